//! Originals, duplicates and totals.
use super::*;
use posd::domain::outcome::Verdict;
use posd::domain::record::{SettlementStep, TotalsRow};

fn minor(amount: u64) -> Amount {
    Amount::from_minor(amount).unwrap()
}

/// A sale of this kind at this second, approved.
fn done(journal: &mut SqliteJournal, name: &str, kind: Kind, seconds: u64, amount: u64) {
    let Record::Sending(mut sending) = sending(name, seconds) else { unreachable!() };
    sending.start.kind = kind;
    sending.start.amount = minor(amount);
    commit(journal, Record::Sending(sending));
    commit(journal, close(Closed { plies: Vec::new(), approved_amount: minor(amount), ..approved(name) }));
}

fn undo(journal: &mut SqliteJournal, name: &str, original: &str, seconds: u64, end: Closed) {
    let Record::Sending(mut sending) = sending(name, seconds) else { unreachable!() };
    sending.start.kind = Kind::Void;
    sending.start.terms.original =
        Some(OriginalRef { txn: Some(txn_id(original)), ..OriginalRef::default() });
    commit(journal, Record::Sending(sending));
    commit(journal, close(end));
}

fn next_batch(journal: &mut SqliteJournal) {
    let at = at(900);
    for step in [
        SettlementStep::Begun { at, operator: OperatorId::new("01").unwrap() },
        SettlementStep::TotalsFrozen { field48: "0".repeat(62), at },
        SettlementStep::Verdict { domestic: Verdict::Agreed, foreign: Verdict::Agreed, at },
        SettlementStep::Closed { domestic: Verdict::Agreed, foreign: Verdict::Agreed, forced: false, at },
    ] {
        commit(journal, Record::Settlement(Box::new(step)));
    }
}

/// The first name that a follow-up gives decides: transaction, STAN in a batch, RRN, authorisation code; the newest
/// that fits the day.
#[test]
fn an_original_is_found_by_what_is_told() {
    let (_dir, mut journal) = new_journal();
    done(&mut journal, "a", Kind::Sale, 10, 1250);
    done(&mut journal, "p", Kind::PreAuth, 20, 1250);
    undo(&mut journal, "v", "a", 30, Closed { plies: Vec::new(), ..approved("v") });
    next_batch(&mut journal);
    done(&mut journal, "q", Kind::PreAuth, 1000, 1250);
    let host = approved("a").host;
    let mut check = |wanted: OriginalRef, name: Option<&str>| {
        let found = journal.find_original(&wanted).unwrap().map(|row| row.start.request_id.to_string());
        assert_eq!(found.as_deref(), name, "{wanted:?}");
    };
    let none = OriginalRef::default;
    check(OriginalRef { txn: Some(txn_id("a")), stan: Some(stan(2)), ..none() }, Some("a"));
    check(OriginalRef { stan: Some(stan(1)), batch: BatchNumber::new(1).ok(), ..none() }, Some("a"));
    check(OriginalRef { stan: Some(stan(1)), batch: BatchNumber::new(2).ok(), ..none() }, None);
    check(OriginalRef { stan: Some(stan(1)), date: Some("1122".to_owned()), ..none() }, Some("a"));
    check(OriginalRef { stan: Some(stan(1)), date: Some("1121".to_owned()), ..none() }, None);
    // All of them have the same RRN: a void is nobody's original.
    check(OriginalRef { rrn: host.rrn.clone(), ..none() }, Some("q"));
    check(OriginalRef { rrn: host.rrn, date: Some("0101".to_owned()), ..none() }, None);
    check(OriginalRef { auth_code: host.auth_code, ..none() }, Some("q"));
    check(OriginalRef { auth_code: AuthCode::new("000000").ok(), ..none() }, None);
    check(none(), None);
}

/// The same card and amount within the window is suspected, whatever became of it but a refusal or an undo.
#[test]
fn a_duplicate_is_a_sale_that_may_have_paid() {
    let (_dir, mut journal) = new_journal();
    let token = card().token.clone();
    let found = |journal: &mut SqliteJournal, amount: u64, since: u64| {
        journal.find_duplicate(&token, minor(amount), at(since)).unwrap()
    };
    done(&mut journal, "a", Kind::Sale, 10, 1250);
    assert_eq!(found(&mut journal, 1250, 0), Some(txn_id("a")));
    assert_eq!(found(&mut journal, 1251, 0), None);
    assert_eq!(found(&mut journal, 1250, 11), None);
    assert_eq!(journal.find_duplicate("ffff", minor(1250), at(0)), Ok(None));
    commit(&mut journal, sending("flying", 20));
    assert_eq!(found(&mut journal, 1250, 0), Some(txn_id("flying")), "in flight");
    commit(&mut journal, close(closed("flying", Outcome::Declined, ResultCode::DeclinedHost, None)));
    assert_eq!(found(&mut journal, 1250, 0), Some(txn_id("a")), "declined");
    undo(&mut journal, "v", "a", 30, Closed { plies: Vec::new(), ..approved("v") });
    assert_eq!(found(&mut journal, 1250, 0), None, "voided; the void itself is no sale");
    commit(&mut journal, sending("lost", 40));
    commit(&mut journal, close(unknown("lost")));
    assert_eq!(found(&mut journal, 1250, 0), Some(txn_id("lost")), "unknown");
    commit(&mut journal, close(Closed { plies: Vec::new(), ..stored_offline("off", 50) }));
    assert_eq!(found(&mut journal, 1250, 0), Some(txn_id("off")), "stored offline");
}

/// Counts and sums by kind, class and operator: what moved money, with what of it was undone.
#[test]
fn totals_count_what_moved_money() {
    let (_dir, mut journal) = new_journal();
    done(&mut journal, "a", Kind::Sale, 10, 1000);
    done(&mut journal, "b", Kind::Sale, 20, 500);
    done(&mut journal, "i", Kind::Balance, 25, 0);
    let Record::Sending(foreign) = sending("f", 30) else { unreachable!() };
    commit(&mut journal, Record::Sending(foreign));
    let mut end = Closed { plies: Vec::new(), ..approved("f") };
    end.host.organisation = Some("VIS".to_owned());
    commit(&mut journal, close(end));
    undo(&mut journal, "v", "a", 40, Closed { plies: Vec::new(), ..approved("v") });
    undo(&mut journal, "w", "b", 50, unknown("w"));
    commit(&mut journal, close(stored_offline("o", 60)));
    let line = |kind, card_class, count, amount, voided_count, voided_amount| TotalsRow {
        kind,
        card_class,
        operator: OperatorId::new("01").unwrap(),
        count,
        amount,
        voided_count,
        voided_amount,
    };
    let mut expected = vec![
        line(Kind::Sale, CardClass::Domestic, 3, 2750, 1, 1000),
        line(Kind::Sale, CardClass::Foreign, 1, 1250, 0, 0),
        line(Kind::Void, CardClass::Domestic, 1, 1250, 0, 0),
    ];
    assert_eq!(journal.totals(&TxnFilter::default()).unwrap(), expected);
    // The bank refuses the upload, and the shop learns that the lost void was booked after all.
    let upload = EntryId::new(txn_id("o"), EntryType::OfflineSale);
    commit(&mut journal, Record::QueueAttempt { entry: upload.clone(), at: at(70) });
    let denied = Record::QueueState {
        entry: upload,
        state: QueueState::Denied,
        response_code: ResponseCode::new("14").ok(),
        ask_again: false,
        error: String::new(),
        host: None,
        at: at(71),
    };
    commit(&mut journal, denied);
    let how = Resolution::Paid;
    commit(&mut journal, Record::Resolved { entry: reversal_of("w"), how, operator: None, at: at(80) });
    expected[0] = line(Kind::Sale, CardClass::Domestic, 2, 1500, 2, 1500);
    expected[2] = line(Kind::Void, CardClass::Domestic, 2, 2500, 0, 0);
    assert_eq!(journal.totals(&TxnFilter::default()).unwrap(), expected);
    assert_eq!(journal.totals(&TxnFilter { batch: Some(1), ..TxnFilter::default() }).unwrap(), expected);
    let foreign = journal.totals(&TxnFilter { trace: Some(4), ..TxnFilter::default() }).unwrap();
    assert_eq!(foreign, [expected[1].clone()]);
}

/// Totals over any time are those of the rows, whether hours are summed or rows counted.
#[test]
fn totals_over_time_are_those_of_the_rows() {
    let (_dir, mut journal) = new_journal();
    let minutes = [0, 59, 60, 61, 119, 120, 200, 500];
    for (n, minute) in minutes.iter().enumerate() {
        done(&mut journal, &format!("t{n}"), Kind::Sale, minute * 60, 100 + n as u64);
    }
    for from in [0, 30, 60, 61, 120, 499] {
        for to in [31, 60, 119, 121, 240, 501] {
            let filter =
                TxnFilter { from: Some(at(from * 60)), to: Some(at(to * 60)), ..TxnFilter::default() };
            let expected: Vec<u64> = minutes
                .iter()
                .enumerate()
                .filter(|(_, minute)| (from..to).contains(*minute))
                .map(|(n, _)| 100 + n as u64)
                .collect();
            let found = journal.totals(&filter).unwrap();
            let sum = found.first().map_or((0, 0), |line| (line.count as usize, line.amount));
            assert_eq!(sum, (expected.len(), expected.iter().sum()), "{from} to {to}");
        }
    }
}

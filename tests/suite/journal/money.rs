//! Transactions: from Sending to the outcome, and the numbers they take.
use super::*;
use std::sync::Arc;

/// Sending: all facts of the request are durable, with its STAN and batch, and a reversal 98 is armed.
#[test]
fn sending_takes_a_stan_and_arms_the_reversal() {
    let (dir, mut journal) = new_journal();
    assert_eq!(commit(&mut journal, sending("a", 10)), Some((stan(1), BatchNumber::FIRST)));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    let loaded = journal.load().unwrap();
    let stored = loaded.open.first().unwrap();
    assert_eq!(stored.start, start("a", 10));
    assert_eq!(stored.card, Some(card()));
    assert_eq!(stored.wire, Some(wire()));
    assert_eq!((stored.stan, stored.outcome, stored.result), (Some(stan(1)), Outcome::None, None));
    assert_eq!(stored.masked_pan, "622588******5678");
    let reversal = stored.reversal().cloned().unwrap();
    assert!(reversal.armed);
    assert_eq!((reversal.reason, reversal.attempts), (Some(ReversalReason::NoAnswer), 0));
    assert_eq!(reversal.icc, wire().reversal_icc);
    assert_eq!(loaded.next_stan, Some(stan(2)));
    assert_eq!(loaded.newest, at(11));
    assert!(loaded.batch_has_records);
    let begun = loaded.identity.unwrap();
    assert_eq!((begun.terminal_id, begun.merchant_id), (wire().terminal_id, wire().merchant_id));
    assert_eq!((begun.currency.as_str(), begun.profile.as_str()), ("CNY", "unionpay"));
}

/// A request id belongs to one transaction, and a refused commit leaves nothing behind, not even its STAN.
#[test]
fn a_request_id_is_stored_once() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    assert!(matches!(journal.commit(&[sending("a", 20)], Durability::Full), Err(JournalError::Fault(_))));
    journal.reopen().unwrap();
    assert_eq!(commit(&mut journal, sending("b", 20)), Some((stan(2), BatchNumber::FIRST)));
}

/// Unsent: nothing was written to a socket, so nothing is owed; the STAN stays used and the row still wants
/// its end.
#[test]
fn unsent_disarms_the_reversal() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, Record::Unsent { id: txn_id("a") });
    assert_eq!(row(&mut journal, "a").reversal(), None);
    assert_eq!(journal.load().unwrap().open.len(), 1);
    commit(&mut journal, close(closed("a", Outcome::Failed, ResultCode::ConnectFailed, None)));
    assert!(journal.load().unwrap().open.is_empty());
    assert_eq!(commit(&mut journal, sending("b", 20)), Some((stan(2), BatchNumber::FIRST)));
}

/// Closed(approved): disarms the reversal, keeps what the host said, and holds the plies until they are
/// printed.
#[test]
fn an_approval_disarms_the_reversal_and_holds_its_plies() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let end = Closed {
        card: Some(Arc::new(CardFacts { cvm: CvmMethod::Signature, ..CardFacts::clone(&card()) })),
        ..approved("a")
    };
    commit(&mut journal, close(end.clone()));
    let stored = row(&mut journal, "a");
    assert_eq!((stored.outcome, stored.result), (Outcome::Approved, Some(ResultCode::Approved)));
    assert_eq!((stored.host, stored.approved_amount), (end.host, end.approved_amount));
    assert_eq!((stored.card, stored.entries), (end.card, Vec::new()));
    assert_eq!(stored.finished_at, Some(at(100)));
    let plies: Vec<_> = stored.plies.iter().map(|p| (p.ply, p.copy, p.state)).collect();
    assert_eq!(plies, [(Ply::Merchant, 0, PrintState::Held), (Ply::Customer, 0, PrintState::Held)]);
    assert_eq!(journal.load().unwrap().open.len(), 1, "plies are still to come");
    for ply in [Ply::Merchant, Ply::Customer] {
        let state = PrintState::Confirmed;
        commit(
            &mut journal,
            Record::PlyState { id: txn_id("a"), ply, copy: 0, state, reason: String::new() },
        );
    }
    let loaded = journal.load().unwrap();
    assert!(loaded.open.is_empty());
    assert_eq!(loaded.counts, [("sale".to_owned(), 1)]);
}

/// It ended before a request: the row is made by Closed, with no STAN and nothing owed.
#[test]
fn a_transaction_that_never_reached_the_bank_is_closed_with_its_start() {
    let (_dir, mut journal) = new_journal();
    let mut end = closed("a", Outcome::Cancelled, ResultCode::CustomerTimeout, None);
    end.start = Some(start("a", 10));
    commit(&mut journal, close(end.clone()));
    let stored = row(&mut journal, "a");
    assert_eq!((stored.outcome, stored.stan, stored.card), (Outcome::Cancelled, None, None));
    assert_eq!(stored.start, start("a", 10));
    assert!(!journal.load().unwrap().batch_has_records);
    // Nothing was sent: there is nothing to reverse.
    end = Closed {
        reversal: Some(ReversalReason::Refused),
        ..closed("b", Outcome::Failed, ResultCode::Interrupted, None)
    };
    end.start = Some(start("b", 20));
    assert!(journal.commit(&[close(end)], Durability::Full).is_err());
}

/// The outcome is written once; an unknown one never stands without its reversal.
#[test]
fn an_outcome_is_written_once() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let bare = closed("a", Outcome::Unknown, ResultCode::HostTimeout, None);
    assert!(journal.commit(&[close(bare)], Durability::Full).is_err());
    commit(&mut journal, close(approved("a")));
    let second = closed("a", Outcome::Declined, ResultCode::DeclinedCard, Some(ReversalReason::Refused));
    assert!(journal.commit(&[close(second)], Durability::Full).is_err());
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Approved);
    let missing = closed("b", Outcome::Failed, ResultCode::CardRemoved, None);
    assert!(journal.commit(&[close(missing)], Durability::Full).is_err());
}

/// The card refuses after an approval: declined, and a reversal 06 with the DE 55 of the second cryptogram is
/// due.
#[test]
fn a_card_that_refuses_an_approval_leaves_a_due_reversal() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let mut end = closed("a", Outcome::Declined, ResultCode::DeclinedCard, Some(ReversalReason::Refused));
    end.reversal_icc = Some(vec![0xde, 0xad]);
    commit(&mut journal, close(end));
    let reversal = row(&mut journal, "a").reversal().cloned().unwrap();
    assert!(!reversal.armed);
    assert_eq!((reversal.state, reversal.reason), (QueueState::Due, Some(ReversalReason::Refused)));
    assert_eq!((reversal.icc, reversal.created_at), (vec![0xde, 0xad], at(100)));
}

/// Management messages draw from the same counter, and a commit takes one number only.
#[test]
fn management_messages_reserve_their_stan() {
    let (dir, mut journal) = new_journal();
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(1), BatchNumber::FIRST)));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    assert_eq!(commit(&mut journal, sending("a", 10)), Some((stan(2), BatchNumber::FIRST)));
    assert!(journal.commit(&[Record::ReserveStan, Record::ReserveStan], Durability::Full).is_err());
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(3), BatchNumber::FIRST)));
}

/// The counter wraps at 999999 and skips what the open batch or an open reversal of an older batch still
/// uses.
#[test]
fn a_stan_in_use_is_skipped() {
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(approved("a")));
    commit(&mut journal, sending("b", 20));
    commit(&mut journal, close(unknown("b")));
    let set_next = |journal: SqliteJournal, sql: &str| {
        drop(journal);
        rusqlite::Connection::open(state.join("journal.db")).unwrap().execute_batch(sql).unwrap();
        open(&state)
    };
    journal = set_next(journal, "UPDATE terminal SET next_stan = 999999");
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(999_999), BatchNumber::FIRST)));
    assert_eq!(
        commit(&mut journal, Record::ReserveStan),
        Some((stan(3), BatchNumber::FIRST)),
        "1 and 2 are used"
    );
    // In another batch only the obligation (2) still holds its number.
    let other = "INSERT INTO batch (id, number, opened_at) VALUES (2, 2, 0);
                 UPDATE terminal SET batch = 2, next_stan = 1";
    journal = set_next(journal, other);
    let second = BatchNumber::new(2).unwrap();
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(1), second)));
    assert_eq!(commit(&mut journal, sending("c", 30)), Some((stan(3), second)));
}

/// A refund without an answer counts as its original's card does: nobody else can say whose card it was.
#[test]
fn a_refund_without_an_answer_is_of_its_originals_card_class() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let mut sale = approved("a");
    sale.host.organisation = Some("VIS".to_owned());
    commit(&mut journal, close(sale));
    assert_eq!(row(&mut journal, "a").card_class, CardClass::Foreign);
    let Record::Sending(mut refund) = sending("b", 20) else { panic!("another record") };
    refund.start.kind = Kind::Refund;
    refund.start.terms.original = Some(OriginalRef { txn: Some(txn_id("a")), ..OriginalRef::default() });
    commit(&mut journal, Record::Sending(refund));
    let end = Closed { reversal: None, host: HostFacts::default(), ..unknown("b") };
    commit(&mut journal, close(end));
    assert_eq!(row(&mut journal, "b").card_class, CardClass::Foreign);
}

//! Field 48, the lines, and the suspects.
use super::rows::{
    advice, amount, approved, day, entry, foreign, offline, refund_unknown, reversed, voided_sale,
};
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryType, Kind, Outcome, QueueState, Resolution, ResultCode};
use crate::domain::profile::VoidedSales;
use crate::domain::record::TxnRow;
use crate::domain::settlement::suspects::{Reason, suspects};
use crate::domain::settlement::totals::{Totals, TotalsError, lines};

fn totals(rows: &[TxnRow]) -> Result<Totals, TotalsError> {
    Totals::of(rows, VoidedSales::BothSides)
}

fn field48(rows: &[TxnRow]) -> String {
    totals(rows).unwrap().field48()
}

/// Two sales of 10.00 of which one is voided: the digits of the published-form example.
#[test]
fn a_voided_sale_stays_a_debit_and_its_void_is_a_credit() {
    let mut rows = vec![approved(Kind::Sale, 1, 1_000)];
    rows.extend(voided_sale(2, 1_000));
    assert_eq!(field48(&rows), "00000000200000200000000100000100000000000000000000000000000000");
    let lines = lines(&rows);
    assert_eq!((lines[0].kind, lines[0].count, lines[0].amount), (Kind::Sale, 2, 2_000));
    assert_eq!((lines[0].voided_count, lines[0].voided_amount), (1, 1_000));
    assert_eq!((lines[1].kind, lines[1].count, lines[1].amount), (Kind::Void, 1, 1_000));
}

/// Where the acquirer counts neither of a pair, both are left out of field 48, and the lines still tell them.
#[test]
fn a_voided_sale_and_its_void_may_stand_on_neither_side() {
    let mut rows = vec![approved(Kind::Sale, 1, 1_000), approved(Kind::Refund, 9, 50)];
    let told = |rows: &[TxnRow]| Totals::of(rows, VoidedSales::Neither).unwrap().field48();
    let without = told(&rows);
    assert_eq!(without, format!("{:012}001{:012}0010{}0", 1_000, 50, "0".repeat(30)));
    rows.extend(voided_sale(2, 1_000));
    assert_eq!(told(&rows), without);
    assert_ne!(field48(&rows), without);
    assert!(lines(&rows).iter().any(|line| line.kind == Kind::Void));
}

#[test]
fn an_empty_batch_is_all_zeros() {
    assert_eq!(field48(&[]), "0".repeat(62));
}

/// Every kind on its side, each class on its own, and nothing that is refused, reversed or unresolved.
#[test]
fn every_kind_stands_on_its_side() {
    let debit = 1_000 + 2_000 + 3_000 + 400 + 500;
    let domestic = format!("{debit:012}005{:012}002", 2_000 + 600);
    let foreign = format!("{:012}001{:012}000", 7_000, 0);
    assert_eq!(field48(&day()), format!("{domestic}0{foreign}0"));
}

#[test]
fn approved_amounts_count_and_not_those_asked_for() {
    let mut row = approved(Kind::Sale, 1, 1_000);
    row.approved_amount = amount(700);
    row.result = Some(ResultCode::Partial);
    assert_eq!(totals(&[row]).unwrap().domestic.debit.amount, amount(700));
}

#[test]
fn what_moves_no_money_is_not_counted() {
    let check = |row: TxnRow| assert_eq!(totals(&[row]).unwrap(), Totals::default());
    check(approved(Kind::PreAuth, 1, 100));
    check(approved(Kind::PreAuthVoid, 1, 100));
    check(approved(Kind::Balance, 1, 0));
    let declined = |outcome| TxnRow { outcome, ..approved(Kind::Sale, 1, 100) };
    for outcome in [
        Outcome::Declined,
        Outcome::Failed,
        Outcome::Cancelled,
        Outcome::Unknown,
        Outcome::Reversed,
        Outcome::None,
    ] {
        check(declined(outcome));
    }
    for state in
        [QueueState::Denied, QueueState::Failed, QueueState::Expired, QueueState::Parked, QueueState::Queued]
    {
        check(offline(1, 100, state, ""));
        check(advice(1, 100, state));
    }
}

/// Neither the sale that never went out nor the void that took it back is known to the bank.
#[test]
fn a_local_void_of_a_sale_that_was_never_uploaded_leaves_no_trace() {
    let mut withdrawn = offline(1, 100, QueueState::Done, "");
    withdrawn.entries[0].attempts = 0;
    let gone = TxnRow { entries: Vec::new(), ..offline(1, 100, QueueState::Queued, "") };
    let void = TxnRow { wire: None, ..approved(Kind::Void, 2, 100) };
    assert_eq!(totals(&[withdrawn, gone, void]).unwrap(), Totals::default());
}

/// What the shop found out counts as it found out.
#[test]
fn a_resolution_decides_what_the_bank_did_not() {
    let resolved = |how| {
        let mut row = offline(1, 100, QueueState::Done, "");
        row.entries[0].resolution = Some(how);
        totals(&[row]).unwrap().domestic.debit.count
    };
    assert_eq!(resolved(Resolution::Paid), 1);
    assert_eq!(resolved(Resolution::NotPaid), 0);
    assert_eq!(resolved(Resolution::WrittenOff), 0);
}

/// A batch that field 48 cannot hold is refused, not cut.
#[test]
fn counts_and_sums_that_do_not_fit_are_refused() {
    let rows: Vec<TxnRow> = (1..=999).map(|stan| approved(Kind::Sale, stan, 1)).collect();
    assert_eq!(totals(&rows).unwrap().domestic.debit.count, 999);
    let more: Vec<TxnRow> = (1..=1_000).map(|stan| approved(Kind::Sale, stan, 1)).collect();
    assert_eq!(totals(&more), Err(TotalsError::Count));
    let much = [approved(Kind::Sale, 1, Amount::MAX.minor()), approved(Kind::Sale, 2, 1)];
    assert_eq!(totals(&much), Err(TotalsError::Amount));
}

#[test]
fn lines_are_by_kind_class_and_operator() {
    let mut other = approved(Kind::Sale, 3, 300);
    other.start.operator = crate::domain::ident::OperatorId::new("02").unwrap();
    let rows = [
        approved(Kind::Sale, 1, 100),
        foreign(approved(Kind::Sale, 2, 200)),
        other,
        approved(Kind::Refund, 4, 50),
        approved(Kind::Sale, 5, 100),
    ];
    let told: Vec<(Kind, &str, &str, u32, u64)> = Vec::from_iter(lines(&rows).iter().map(|line| {
        let operator = if line.operator.as_str() == "01" { "01" } else { "02" };
        (line.kind, line.card_class.word(), operator, line.count, line.amount)
    }));
    assert_eq!(
        told,
        [
            (Kind::Sale, "domestic", "01", 2, 200),
            (Kind::Sale, "domestic", "02", 1, 300),
            (Kind::Sale, "foreign", "01", 1, 200),
            (Kind::Refund, "domestic", "01", 1, 50),
        ]
    );
}

/// Each record about which bank and terminal can differ is named with the sum that it would explain.
#[test]
fn suspects_are_named_with_the_sum_each_would_explain() {
    let check = |row: TxnRow, expected: Option<(Reason, u64)>| {
        let found: Vec<_> = suspects(&[row]).iter().map(|s| (s.reason, s.amount.minor())).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    };
    check(approved(Kind::Sale, 1, 100), None);
    check(reversed(1, 100, QueueState::Done, "00"), None);
    check(reversed(1, 100, QueueState::Done, "25"), Some((Reason::ReversalNotFound, 100)));
    check(reversed(1, 100, QueueState::Due, "25"), Some((Reason::ReversalNotFound, 100)));
    check(reversed(1, 100, QueueState::Done, "12"), Some((Reason::ReversalRefused, 100)));
    check(reversed(1, 100, QueueState::Failed, ""), Some((Reason::ReversalFailed, 100)));
    check(reversed(1, 100, QueueState::Parked, ""), Some((Reason::ReversalFailed, 100)));
    check(refund_unknown(1, 100), Some((Reason::RefundUnresolved, 100)));
    check(offline(1, 100, QueueState::Done, "00"), None);
    check(offline(1, 100, QueueState::Done, "94"), Some((Reason::UploadDuplicate, 100)));
    check(offline(1, 100, QueueState::Denied, "51"), Some((Reason::UploadDenied, 100)));
    check(offline(1, 100, QueueState::Failed, ""), Some((Reason::UploadFailed, 100)));
    check(offline(1, 100, QueueState::Expired, ""), Some((Reason::UploadLate, 100)));
    check(advice(1, 100, QueueState::Denied), Some((Reason::UploadDenied, 100)));
    let partial = TxnRow {
        approved_amount: amount(70),
        result: Some(ResultCode::Partial),
        ..approved(Kind::Sale, 1, 100)
    };
    check(partial, Some((Reason::PartialApproval, 30)));
    let mut found_out = refund_unknown(1, 100);
    found_out.entries[0].resolution = Some(Resolution::NotPaid);
    check(found_out, None);
    // Found by a world: a refund of a foreign card, paid by the shop's word, stood in the class of domestic cards.
    let mut paid = refund_unknown(1, 100);
    paid.outcome = Outcome::Approved;
    paid.approved_amount = amount(100);
    paid.entries[0].resolution = Some(Resolution::Paid);
    check(paid, Some((Reason::ResolvedPaid, 100)));
    let mut written_off = reversed(1, 100, QueueState::Done, "");
    written_off.entries[0].resolution = Some(Resolution::WrittenOff);
    check(written_off, Some((Reason::ReversalFailed, 100)));
}

/// A card that refused after the bank approved, and whose reversal the bank did not know.
#[test]
fn a_declined_record_can_be_a_suspect_too() {
    let mut row = approved(Kind::Sale, 1, 100);
    row.outcome = Outcome::Declined;
    row.result = Some(ResultCode::DeclinedCard);
    row.entries = vec![entry(EntryType::Reversal, QueueState::Failed, "")];
    assert_eq!(suspects(&[row])[0].reason, Reason::ReversalFailed);
}

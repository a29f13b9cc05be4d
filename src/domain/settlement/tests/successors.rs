//! Which kind may follow which transaction, for how much: the table of legal successors, asked row by row.
use super::rows::{amount, approved, offline};
use crate::domain::fault::FaultName;
use crate::domain::money::Amount;
use crate::domain::outcome::{Kind, Outcome, QueueState};
use crate::domain::profile::Profile;
use crate::domain::record::{FollowUp, TxnRow};
use crate::domain::rules::{Present, Undo, eligible, undo};

fn ask(row: &TxnRow, kind: Kind, minor: u64) -> Result<u64, FaultName> {
    let profile = Profile::unionpay();
    let present = Present { same_day: true, profile: &profile };
    eligible(row, kind, amount(minor), present).map(Amount::minor).map_err(|fault| fault.name)
}

fn followed(mut row: TxnRow, kind: Kind, minor: u64, outcome: Outcome, unresolved: bool) -> TxnRow {
    let id = approved(kind, 900, minor).start.id;
    row.follow_ups.push(FollowUp { id, kind, outcome, amount: amount(minor), unresolved });
    row
}

/// Refunds may be repeated, and never sum up to more than was paid as far as the terminal knows.
#[test]
fn refunds_never_exceed_their_original() {
    let sale = approved(Kind::Sale, 1, 1000);
    assert_eq!(ask(&sale, Kind::Refund, 1000), Ok(1000));
    assert_eq!(ask(&sale, Kind::Refund, 1001), Err(FaultName::RefundExceedsOriginal));
    let sale = followed(sale, Kind::Refund, 400, Outcome::Approved, false);
    assert_eq!(ask(&sale, Kind::Refund, 600), Ok(600));
    assert_eq!(ask(&sale, Kind::Refund, 601), Err(FaultName::RefundExceedsOriginal));
    assert_eq!(ask(&sale, Kind::Void, 0), Err(FaultName::OriginalNotEligible));
}

/// The whole of a sale is undone once, on its day and in its batch.
#[test]
fn a_void_undoes_all_of_it_once() {
    let sale = approved(Kind::Sale, 1, 1000);
    assert_eq!(ask(&sale, Kind::Void, 0), Ok(1000));
    assert_eq!(ask(&sale, Kind::Void, 1000), Ok(1000));
    assert_eq!(ask(&sale, Kind::Void, 999), Err(FaultName::AmountInvalid));
    assert_eq!(ask(&sale, Kind::PreAuthVoid, 0), Err(FaultName::OriginalNotEligible));
    let settled = TxnRow { in_open_batch: false, ..sale.clone() };
    assert_eq!(ask(&settled, Kind::Void, 0), Err(FaultName::OriginalNotEligible));
    let voided = followed(sale, Kind::Void, 1000, Outcome::Approved, false);
    assert_eq!(ask(&voided, Kind::Void, 0), Err(FaultName::OriginalNotEligible));
    assert_eq!(ask(&voided, Kind::Refund, 1), Err(FaultName::OriginalNotEligible));
}

/// A follow-up whose end is not known lets no other one begin.
#[test]
fn an_unresolved_follow_up_blocks_the_others() {
    for (outcome, unresolved) in [(Outcome::None, false), (Outcome::Unknown, true)] {
        let sale = followed(approved(Kind::Sale, 1, 1000), Kind::Refund, 1, outcome, unresolved);
        assert_eq!(ask(&sale, Kind::Refund, 1), Err(FaultName::ReversalPending), "{outcome}");
        assert_eq!(ask(&sale, Kind::Void, 0), Err(FaultName::ReversalPending), "{outcome}");
    }
}

/// A completion may reach 115 percent of its pre-authorisation.
#[test]
fn a_completion_has_its_limit() {
    let pre_auth = approved(Kind::PreAuth, 1, 1000);
    assert_eq!(ask(&pre_auth, Kind::PreAuthComplete, 1150), Ok(1150));
    assert_eq!(ask(&pre_auth, Kind::PreAuthComplete, 1151), Err(FaultName::AmountInvalid));
}

/// What the bank has refused is undone here alone; what it may have heard of waits for its word.
#[test]
fn a_stored_sale_is_undone_where_the_bank_stands() {
    let denied = offline(1, 1000, QueueState::Denied, "51");
    assert_eq!((ask(&denied, Kind::Void, 0), undo(&denied)), (Ok(1000), Undo::Local(None)));
    assert_eq!(ask(&denied, Kind::Refund, 1), Err(FaultName::OriginalNotEligible));
    let mut waits = offline(2, 1000, QueueState::Queued, "");
    if let Some(entry) = waits.entries.first_mut() {
        entry.attempts = 1;
        entry.response_code = None;
    }
    assert_eq!(ask(&waits, Kind::Void, 0), Err(FaultName::ReversalPending));
    let done = offline(3, 1000, QueueState::Done, "00");
    assert_eq!((ask(&done, Kind::Void, 0), undo(&done)), (Ok(1000), Undo::Online));
}

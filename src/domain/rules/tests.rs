//! Which kind may follow which transaction, for how much: the table of legal successors, asked row by row.
use super::{Present, Undo, allowed_follow_ups, eligible, undo};
use crate::domain::fault::FaultName;
use crate::domain::money::Amount;
use crate::domain::outcome::{Kind, Outcome, QueueState};
use crate::domain::profile::Profile;
use crate::domain::record::{FollowUp, TxnRow};
use crate::domain::settlement::tests::rows::{amount, approved, offline};

fn ask(row: &TxnRow, kind: Kind, minor: u64) -> Result<u64, FaultName> {
    let profile = Profile::unionpay();
    let present = Present { same_day: true, profile: &profile };
    eligible(row, kind, amount(minor), present).map(Amount::minor).map_err(|fault| fault.name)
}

fn followed(mut row: TxnRow, kind: Kind, minor: u64, outcome: Outcome, unresolved: bool) -> TxnRow {
    let id = approved(kind, 900, minor).start.id;
    let stands = matches!(outcome, Outcome::Approved | Outcome::StoredOffline);
    row.follow_ups.push(FollowUp { id, kind, outcome, amount: amount(minor), unresolved, stands });
    row
}

/// Its last follow-up counts no more: it was undone, or the bank refused its upload.
fn undone(mut row: TxnRow) -> TxnRow {
    if let Some(follow) = row.follow_ups.last_mut() {
        follow.stands = false;
    }
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

/// A pre-authorisation is followed once; when that was undone in its turn, or refused, it is as it was before.
#[test]
fn an_undone_completion_leaves_its_pre_authorisation_open() {
    let kinds = [Kind::PreAuthVoid, Kind::PreAuthComplete, Kind::PreAuthAdvice];
    let profile = Profile::unionpay();
    let day = Present { same_day: true, profile: &profile };
    for (kind, outcome) in
        [(Kind::PreAuthComplete, Outcome::Approved), (Kind::PreAuthAdvice, Outcome::StoredOffline)]
    {
        let completed = followed(approved(Kind::PreAuth, 1, 1000), kind, 900, outcome, false);
        for next in kinds {
            assert_eq!(ask(&completed, next, 0), Err(FaultName::OriginalNotEligible), "{kind}, {next}");
        }
        assert_eq!(allowed_follow_ups(&completed, &kinds, day), []);
        let open = undone(completed);
        assert_eq!(allowed_follow_ups(&open, &kinds, day), kinds);
        assert_eq!(ask(&open, Kind::PreAuthVoid, 0), Ok(1000), "{kind}");
        assert_eq!(ask(&open, Kind::PreAuthComplete, 1150), Ok(1150), "{kind}");
        let again = followed(open, Kind::PreAuthComplete, 800, Outcome::Approved, false);
        assert_eq!(ask(&again, Kind::PreAuthComplete, 1), Err(FaultName::OriginalNotEligible), "the second");
    }
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

/// What may follow depends on the day and on the batch: it is asked anew when either changes.
#[test]
fn what_may_follow_changes_at_midnight_and_with_the_settlement() {
    let kinds =
        [Kind::Void, Kind::Refund, Kind::PreAuthVoid, Kind::PreAuthComplete, Kind::PreAuthCompleteVoid];
    let profile = Profile::unionpay();
    let today = Present { same_day: true, profile: &profile };
    let later = Present { same_day: false, ..today };
    for (kind, now, next_day, settled) in [
        (Kind::Sale, vec![Kind::Void, Kind::Refund], vec![Kind::Refund], vec![Kind::Refund]),
        (
            Kind::PreAuth,
            vec![Kind::PreAuthVoid, Kind::PreAuthComplete],
            vec![Kind::PreAuthVoid, Kind::PreAuthComplete],
            vec![Kind::PreAuthVoid, Kind::PreAuthComplete],
        ),
        (
            Kind::PreAuthComplete,
            vec![Kind::Refund, Kind::PreAuthCompleteVoid],
            vec![Kind::Refund],
            vec![Kind::Refund],
        ),
    ] {
        let row = approved(kind, 1, 1000);
        assert_eq!(allowed_follow_ups(&row, &kinds, today), now, "{kind}");
        assert_eq!(allowed_follow_ups(&row, &kinds, later), next_day, "{kind}, the next day");
        let row = TxnRow { in_open_batch: false, ..row };
        assert_eq!(allowed_follow_ups(&row, &kinds, today), settled, "{kind}, settled");
    }
}

//! A refused signature: the linked undo that follows it, and what a restart makes of one that had not followed yet.
//!
//! The refusal is durable as a line of the transaction's timeline before the undo begins. So the journal alone tells
//! what is still to be done, and doing it twice gives the same undo: its request id is made from its original's name.
use crate::domain::ident::{RequestId, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::record::TxnRow;
use crate::domain::rules;

/// The word of the timeline line that makes a refusal durable; also the word in `StateReasons`.
pub const SIGNATURE_REFUSED: &str = "signature-refused";
/// The word of the timeline line that says why the terminal will not undo it by itself any more. It is written once;
/// the next start reads it and does not try again.
pub const UNDO_IMPOSSIBLE: &str = "undo-impossible";
/// Request ids of undos that the terminal starts by itself begin so; the name of the original follows.
const LINKED: &str = "linked:";

/// What the refusal of a stored transaction's signature still asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing: it does not stand any more. Choice: nor when its batch is settled, because nothing undoes it then.
    Over,
    /// The linked undo is to begin.
    Undo,
    /// The linked undo was begun and is not approved, or there is none: the shop sees the reason, and may undo it by
    /// hand, or refund it. What was begun once is not begun again.
    Person,
}

/// The request id of the undo that the terminal starts by itself.
#[must_use]
pub fn linked_request(original: &TxnId) -> Option<RequestId> {
    RequestId::new(&format!("{LINKED}{original}")).ok()
}

/// No caller may use such a request id: it would take the name of an undo that is still to begin.
#[must_use]
pub fn is_linked(request: &RequestId) -> bool {
    request.as_str().starts_with(LINKED)
}

/// Everything was given back. Choice: a refund undoes nothing, but where the day is over it is the only way, and with
/// all of it given back the refused signature has cost the cardholder nothing.
fn is_given_back(row: &TxnRow) -> bool {
    let refunds = row.follow_ups.iter().filter(|follow| follow.kind == Kind::Refund);
    let through = refunds.filter(|follow| follow.stands && !follow.unresolved);
    let sum = through.fold(Amount::ZERO, |sum, follow| sum.checked_add(follow.amount).unwrap_or(sum));
    !sum.is_zero() && sum >= row.approved_amount
}

/// What the refused signature of this transaction still asks for.
#[must_use]
pub fn refusal(row: &TxnRow) -> Refusal {
    let stands = matches!(row.outcome, Outcome::Approved | Outcome::StoredOffline);
    let undone = row.follow_ups.iter().any(|follow| follow.stands && rules::undoes(follow.kind));
    if !stands || undone || is_given_back(row) || !row.in_open_batch {
        return Refusal::Over;
    }
    let linked = linked_request(&row.start.id).map(|request| TxnId::of(&request));
    let begun = row.follow_ups.iter().any(|follow| Some(&follow.id) == linked.as_ref());
    if begun || rules::undo_of(row.start.kind).is_none() { Refusal::Person } else { Refusal::Undo }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Kind;
    use crate::domain::outcome::QueueState;
    use crate::domain::record::FollowUp;
    use crate::domain::settlement::tests::rows::{advice, amount, approved, offline};

    const OUTCOMES: [Outcome; 8] = [
        Outcome::None,
        Outcome::Approved,
        Outcome::Declined,
        Outcome::Cancelled,
        Outcome::Failed,
        Outcome::Unknown,
        Outcome::Reversed,
        Outcome::StoredOffline,
    ];

    fn undone_by(mut row: TxnRow, id: TxnId, outcome: Outcome) -> TxnRow {
        let kind = rules::undo_of(row.start.kind).unwrap();
        let stands = outcome == Outcome::Approved;
        let unresolved = matches!(outcome, Outcome::None | Outcome::Unknown);
        row.follow_ups.push(FollowUp { id, kind, outcome, amount: amount(1), unresolved, stands });
        row
    }

    fn linked(row: &TxnRow) -> TxnId {
        TxnId::of(&linked_request(&row.start.id).unwrap())
    }

    /// Kind × outcome of the linked undo × outcome of one by hand: only an approved undo ends it, and the linked one
    /// is begun exactly once.
    #[test]
    fn only_an_approved_undo_ends_a_refusal() {
        for kind in [Kind::Sale, Kind::PreAuth, Kind::PreAuthComplete] {
            let row = approved(kind, 1, 1000);
            let by_hand = approved(kind, 2, 1000).start.id;
            assert_eq!(refusal(&row), Refusal::Undo, "{kind}");
            for first in OUTCOMES {
                let done = first == Outcome::Approved;
                let begun = undone_by(row.clone(), linked(&row), first);
                let expected = if done { Refusal::Over } else { Refusal::Person };
                assert_eq!(refusal(&begun), expected, "{kind}, linked {first}");
                let other = undone_by(row.clone(), by_hand.clone(), first);
                let expected = if done { Refusal::Over } else { Refusal::Undo };
                assert_eq!(refusal(&other), expected, "{kind}, by hand {first}");
                for second in OUTCOMES {
                    let both = undone_by(begun.clone(), by_hand.clone(), second);
                    let done = done || second == Outcome::Approved;
                    let expected = if done { Refusal::Over } else { Refusal::Person };
                    assert_eq!(refusal(&both), expected, "{kind}, linked {first}, by hand {second}");
                }
            }
        }
    }

    /// What does not stand needs no undo, and what is settled has none.
    #[test]
    fn a_refusal_ends_with_what_it_was_about() {
        for outcome in OUTCOMES {
            let row = TxnRow { outcome, ..approved(Kind::Sale, 1, 1000) };
            let stands = matches!(outcome, Outcome::Approved | Outcome::StoredOffline);
            let expected = if stands { Refusal::Undo } else { Refusal::Over };
            assert_eq!(refusal(&row), expected, "{outcome}");
            assert_eq!(refusal(&TxnRow { in_open_batch: false, ..row }), Refusal::Over, "{outcome}, settled");
        }
    }

    /// A sale stored offline is undone like another; an advice has no undo, so the shop is told.
    #[test]
    fn what_was_stored_is_undone_or_told() {
        assert_eq!(refusal(&offline(1, 1000, QueueState::Queued, "")), Refusal::Undo);
        assert_eq!(refusal(&advice(1, 1000, QueueState::Queued)), Refusal::Person);
    }

    /// A refund undoes nothing, so a part given back leaves the refusal. The whole given back, at once or in parts,
    /// ends it: once the day is over nothing else can, and nothing is left to undo. One of unknown outcome has given
    /// nothing.
    #[test]
    fn only_refunds_of_everything_end_a_refusal() {
        let refused = approved(Kind::Sale, 1, 1000);
        let check = |refunds: &[(u64, Outcome, bool)], expected| {
            let mut row = refused.clone();
            for ((minor, outcome, unresolved), stan) in refunds.iter().zip(2..) {
                row.follow_ups.push(FollowUp {
                    id: approved(Kind::Refund, stan, *minor).start.id,
                    kind: Kind::Refund,
                    outcome: *outcome,
                    amount: amount(*minor),
                    unresolved: *unresolved,
                    stands: matches!(outcome, Outcome::Approved | Outcome::Unknown),
                });
            }
            assert_eq!(refusal(&row), expected, "{refunds:?}");
        };
        check(&[(1000, Outcome::Approved, false)], Refusal::Over);
        check(&[(400, Outcome::Approved, false), (600, Outcome::Approved, false)], Refusal::Over);
        check(&[(999, Outcome::Approved, false)], Refusal::Undo);
        check(&[(1000, Outcome::Declined, false)], Refusal::Undo);
        check(&[(1000, Outcome::Unknown, true)], Refusal::Undo);
        check(&[(400, Outcome::Approved, false), (600, Outcome::Unknown, true)], Refusal::Undo);
    }

    /// The names of linked undos are known from others.
    #[test]
    fn a_linked_request_is_told_from_others() {
        let row = approved(Kind::Sale, 1, 1000);
        assert!(is_linked(&linked_request(&row.start.id).unwrap()));
        assert!(!is_linked(&row.start.request_id));
    }
}

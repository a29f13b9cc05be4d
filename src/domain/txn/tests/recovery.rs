//! Recovery: each open end of a row, and that doing it twice or being cut in the middle changes nothing.
use super::super::recovery::recover;
use super::disk::Disk;
use super::world::{BankFault, Fault, World};
use crate::domain::calendar::WallTime;
use crate::domain::outcome::{EntryType, Outcome, Ply, PrintState, QueueState, ResultCode};
use crate::domain::record::{EntryId, PlyRow, Record, ReversalReason, TxnRow};
use proptest::prelude::*;

const NOW: WallTime = WallTime(9);

/// The disk of a terminal that lost its power while the bank was asked.
fn asked() -> Disk {
    let mut world = World::sale(&[Fault::Bank(0, BankFault::LoseReply)]);
    world.begin();
    while world.bank.sales.is_empty() {
        world.advance();
    }
    world.disk
}

/// The same a step later: unknown, and its reversal due.
fn unknown() -> Disk {
    let mut disk = asked();
    recovered(&mut disk);
    disk
}

fn recovered(disk: &mut Disk) -> Vec<Record> {
    let records = recover(&disk.loaded(), NOW);
    disk.commit(&records, None).unwrap();
    assert_eq!(recover(&disk.loaded(), NOW), [], "once is enough");
    records
}

fn row(disk: &Disk) -> &TxnRow {
    disk.row.as_ref().unwrap()
}

#[test]
fn a_request_without_an_outcome_becomes_unknown_and_due_98() {
    let mut disk = asked();
    recovered(&mut disk);
    let reversal = row(&disk).reversal().cloned().unwrap();
    assert_eq!((row(&disk).outcome, row(&disk).finished_at), (Outcome::Unknown, Some(NOW)));
    assert_eq!((reversal.state, reversal.reason), (QueueState::Due, Some(ReversalReason::NoAnswer)));
    assert!(!reversal.armed);
    assert_eq!(Some(&reversal.icc), row(&disk).wire.as_ref().map(|wire| &wire.reversal_icc));
}

/// The disarming commit may come alone.
#[test]
fn a_request_that_was_disarmed_is_failed() {
    let mut disk = asked();
    let id = row(&disk).start.id.clone();
    disk.commit(&[Record::Unsent { id }], None).unwrap();
    recovered(&mut disk);
    assert_eq!((row(&disk).outcome, row(&disk).result), (Outcome::Failed, Some(ResultCode::Interrupted)));
    assert!(!disk.owes(EntryType::Reversal));
}

#[test]
fn a_reversal_that_was_being_sent_is_due_again_with_its_count() {
    let mut disk = unknown();
    let id = row(&disk).start.id.clone();
    disk.commit(&[Record::QueueAttempt { entry: EntryId::new(id, EntryType::Reversal), at: NOW }], None)
        .unwrap();
    recovered(&mut disk);
    let reversal = row(&disk).reversal().unwrap();
    assert_eq!((reversal.state, reversal.attempts), (QueueState::Due, 1));
}

#[test]
fn a_reversal_that_waits_is_left_alone() {
    for state in [QueueState::Due, QueueState::Failed] {
        let mut disk = unknown();
        disk.row.as_mut().unwrap().entries.first_mut().unwrap().state = state;
        assert_eq!(recover(&disk.loaded(), NOW), []);
    }
}

/// A ply of which bytes may be on paper is unconfirmed; one that only waited is held and prints by itself.
#[test]
fn plies_end_as_what_is_known_of_them() {
    let mut disk = World::sale(&[]).run().disk;
    let ply = |ply, state| PlyRow { ply, copy: 0, state, reason: String::new() };
    disk.row.as_mut().unwrap().plies =
        vec![ply(Ply::Merchant, PrintState::Printing), ply(Ply::Customer, PrintState::Queued)];
    recovered(&mut disk);
    let states: Vec<_> = row(&disk).plies.iter().map(|ply| (ply.ply, ply.state)).collect();
    assert_eq!(states, [(Ply::Merchant, PrintState::Unconfirmed), (Ply::Customer, PrintState::Held)]);
}

fn any_disk() -> impl Strategy<Value = Disk> {
    let plies = prop::collection::vec(
        (
            prop::sample::select(vec![Ply::Merchant, Ply::Customer]),
            prop::sample::select(PrintState::ALL),
            0..3_u32,
        ),
        0..4,
    );
    let reversal = prop::sample::select(vec![QueueState::Due, QueueState::Sending, QueueState::Failed]);
    (0..3_u8, reversal, any::<bool>(), plies).prop_map(|(kind, state, ask_again, plies)| {
        let mut disk = match kind {
            0 => asked(),
            1 => unknown(),
            _ => World::sale(&[]).run().disk,
        };
        let row = disk.row.as_mut().unwrap();
        if let Some(reversal) = row.entries.first_mut().filter(|reversal| !reversal.armed) {
            reversal.state = state;
            reversal.ask_again = ask_again;
        }
        row.plies.clear();
        for (ply, state, copy) in plies {
            if !row.plies.iter().any(|known| (known.ply, known.copy) == (ply, copy)) {
                row.plies.push(PlyRow { ply, copy, state, reason: String::new() });
            }
        }
        disk
    })
}

proptest! {
    /// Whatever the journal holds, recovering twice is recovering once, and no obligation is lost.
    #[test]
    fn recovering_twice_is_recovering_once(disk in any_disk()) {
        let mut once = disk.clone();
        once.commit(&recover(&disk.loaded(), NOW), None).unwrap();
        let mut twice = once.clone();
        twice.commit(&recover(&once.loaded(), WallTime(10)), None).unwrap();
        prop_assert_eq!(&once.row, &twice.row);
        prop_assert_eq!(disk.owes(EntryType::Reversal), once.owes(EntryType::Reversal));
        prop_assert_ne!(once.outcome(), Some(Outcome::None));
    }
}

//! Which entry goes next: by type and age, before and beside a transaction, held back, hurried, after silence.
use super::super::delivery::End;
use super::super::order::{PAUSE_MAX, PAUSE_MIN, Present, Schedule, Trade, drained, sort};
use super::super::{Entry, EntryId};
use super::{entry, in_state};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::ident::TxnId;
use crate::domain::outcome::{EntryType, QueueState};
use core::time::Duration;
use proptest::prelude::*;

use EntryType::{Advice, OfflineSale, RefundUnknown, Reversal, Script};
use QueueState::{Denied, Expired, Failed, Parked};

const NOW: BootTime = BootTime(1_000_000_000);

fn free(_: &EntryId) -> bool {
    false
}

fn schedule() -> Schedule {
    Schedule::new(PAUSE_MAX, &[], NOW, None)
}

fn present(trade: Trade) -> Present<'static> {
    Present { now: NOW, trade, paused: false, line_of: None, withheld: &free }
}

/// The ids of the entries in the order in which they would go if each were done at its first attempt.
fn drained_in_order(mut entries: Vec<Entry>, present: &Present<'_>) -> Vec<(EntryType, u32)> {
    let mut schedule = schedule();
    let mut order = Vec::new();
    sort(&mut entries);
    while let Some(next) = schedule.next(&entries, present).cloned() {
        order.push((next.entry_type(), next.txn_stan.unwrap().get()));
        schedule.ended(&next, End::Done, true, present.now, 0);
        entries.retain(|entry| entry.id != next.id);
    }
    order
}

/// One entry of each type, and a second upload that is older.
fn all() -> Vec<Entry> {
    vec![
        entry(9, OfflineSale),
        entry(4, Advice),
        entry(7, RefundUnknown),
        entry(8, Reversal),
        entry(6, Reversal),
        entry(5, Script),
    ]
}

/// Script results, then reversals, then uploads; each by age. A refund without an answer never goes.
#[test]
fn the_order_is_fixed() {
    let expected = [(Script, 5), (Reversal, 6), (Reversal, 8), (Advice, 4), (OfflineSale, 9)];
    assert_eq!(drained_in_order(all(), &present(Trade::Idle)), expected);
    let mut entries = all();
    sort(&mut entries);
    let sorted: Vec<_> = entries.iter().map(Entry::entry_type).collect();
    assert_eq!(sorted, [Script, Reversal, Reversal, Advice, OfflineSale, RefundUnknown]);
}

/// A reversal whose original has used the open line goes before everything else.
#[test]
fn a_reversal_goes_first_on_its_originals_own_line() {
    let own = entry(8, Reversal).id.txn;
    let order = drained_in_order(all(), &Present { line_of: Some(&own), ..present(Trade::Idle) });
    assert_eq!(order[..2], [(Reversal, 8), (Script, 5)]);
}

/// A transaction that waits for the line lets only what must precede it go; one at the card keeps uploads back.
#[test]
fn a_transaction_waits_for_reversals_and_scripts_only() {
    let expected = [(Script, 5), (Reversal, 6), (Reversal, 8)];
    assert_eq!(drained_in_order(all(), &present(Trade::Waits)), expected);
    assert_eq!(drained_in_order(all(), &present(Trade::Elsewhere)), expected);
    assert_eq!(drained_in_order(all(), &present(Trade::WithBank)), []);
    // A script result that was tried once, a reversal out of attempts or answered with 25 hold up nobody.
    let tried = Entry { attempts: 1, ..entry(1, Script) };
    let not_found = Entry { ask_again: true, ..entry(2, Reversal) };
    let entries = vec![tried, not_found, in_state(3, Reversal, Failed)];
    let mut schedule = schedule();
    schedule.kick(&entries);
    assert_eq!(schedule.next(&entries, &present(Trade::Waits)), None);
    assert!(schedule.next(&entries, &present(Trade::Elsewhere)).is_some());
}

/// Pausing keeps uploads back, never what trading waits for.
#[test]
fn a_paused_queue_sends_no_uploads() {
    let paused = Present { paused: true, ..present(Trade::Idle) };
    assert_eq!(drained_in_order(all(), &paused), [(Script, 5), (Reversal, 6), (Reversal, 8)]);
}

/// What is refused, expired, parked, or just being changed does not go, and does not hold up the rest.
#[test]
fn what_is_put_aside_blocks_nobody() {
    let entries = vec![
        in_state(1, OfflineSale, Denied),
        in_state(2, OfflineSale, Expired),
        in_state(3, OfflineSale, Parked),
        entry(4, OfflineSale),
        entry(5, OfflineSale),
    ];
    let voided = entries[3].id.clone();
    let withheld = move |id: &EntryId| *id == voided;
    let mut schedule = schedule();
    schedule.kick(&entries);
    let next = schedule.next(&entries, &Present { withheld: &withheld, ..present(Trade::Idle) });
    assert_eq!(next.map(|entry| entry.id.clone()), Some(entries[4].id.clone()));
    assert!(!drained(&entries));
    assert!(drained(&entries[..3]));
}

/// After silence the whole line rests, then another entry goes before the one that was not answered.
#[test]
fn an_unanswered_entry_rests_and_others_go() {
    let entries = vec![Entry { attempts: 2, ..entry(1, OfflineSale) }, entry(2, OfflineSale)];
    let mut schedule = schedule();
    schedule.ended(&entries[0], End::Repeat, false, NOW, 0);
    let at = |now| Present { now, ..present(Trade::Idle) };
    assert_eq!(schedule.next(&entries, &at(NOW)), None);
    let woken = schedule.next_at(&entries, &at(NOW)).unwrap();
    assert_eq!(woken, NOW.after(PAUSE_MIN));
    assert_eq!(schedule.next(&entries, &at(woken)), Some(&entries[1]));
    // Once the bank was heard, only its own pause is left to the first.
    schedule.ended(&entries[1], End::Done, true, woken, 0);
    assert_eq!(schedule.next(&entries[..1], &at(woken)), None);
    assert_eq!(schedule.next_at(&entries[..1], &at(woken)), Some(NOW.after(PAUSE_MIN * 2)));
}

/// A transaction that waits does not wait for pauses: its reversal is tried at once.
#[test]
fn trading_hurries_the_reversal_that_blocks_it() {
    let entries = vec![entry(1, Reversal)];
    let mut schedule = schedule();
    schedule.ended(&entries[0], End::NoLine, false, NOW, 255);
    assert_eq!(schedule.next(&entries, &present(Trade::Idle)), None);
    assert_eq!(schedule.next(&entries, &present(Trade::Waits)), Some(&entries[0]));
}

/// A failed entry is tried only when somebody or something asks for it: once.
#[test]
fn a_failed_entry_is_tried_once_for_each_kick() {
    for entry_type in [Reversal, Script, OfflineSale, Advice] {
        let entries = vec![in_state(1, entry_type, Failed)];
        let mut schedule = schedule();
        let idle = present(Trade::Idle);
        assert_eq!(schedule.next(&entries, &idle), None);
        assert_eq!(schedule.next_at(&entries, &idle), None);
        schedule.kick(&entries);
        assert!(!schedule.is_calm(&entries, &idle));
        assert_eq!(schedule.next(&entries, &idle), Some(&entries[0]));
        schedule.ended(&entries[0], End::Failed, false, NOW, 0);
        assert!(schedule.is_calm(&entries, &idle));
        assert_eq!(schedule.next(&entries, &Present { now: BootTime(u64::MAX), ..idle }), None);
    }
}

/// Without a line nobody is hurried any more; what is due goes when the pause is over.
#[test]
fn no_line_ends_the_hurry_of_all() {
    let entries = vec![entry(1, Reversal), in_state(2, OfflineSale, Failed), entry(3, OfflineSale)];
    let mut schedule = schedule();
    schedule.kick(&entries);
    schedule.ended(&entries[0], End::NoLine, false, NOW, 0);
    assert!(schedule.is_calm(&entries, &present(Trade::Idle)));
    let later = Present { now: NOW.after(PAUSE_MIN), ..present(Trade::Idle) };
    assert_eq!(schedule.next(&entries, &later), Some(&entries[0]));
}

/// A reversal answered with 25 is asked again at its time, or when somebody flushes.
#[test]
fn a_reversal_that_was_not_found_waits_for_its_time() {
    let entries = vec![Entry { ask_again: true, ..entry(1, Reversal) }];
    let mut schedule = Schedule::new(PAUSE_MAX, &entries, NOW, None);
    let again = NOW.after(PAUSE_MAX);
    let idle = present(Trade::Idle);
    assert_eq!(schedule.next(&entries, &idle), None);
    assert_eq!(schedule.next_at(&entries, &idle), Some(again));
    assert_eq!(schedule.next(&entries, &Present { now: again, ..idle }), Some(&entries[0]));
    // No line in between changes nothing about that.
    schedule.kick(&entries);
    schedule.ended(&entries[0], End::NoLine, false, NOW, 0);
    assert_eq!(schedule.next_at(&entries, &idle), Some(again));
    schedule.kick(&entries);
    assert_eq!(schedule.next(&entries, &idle), Some(&entries[0]));
}

/// Goal: a restart does not make a reversal answered with 25 wait anew: its age is that of the wall clock, never below
/// zero, and nothing is taken off while that clock is not trusted.
#[test]
fn a_restart_takes_nothing_from_the_time_waited() {
    let changed_at = WallTime(1_000_000_000);
    let entries = vec![Entry { ask_again: true, changed_at, ..entry(1, Reversal) }];
    let due_after = |wall: Option<i64>| {
        let wall = wall.map(|seconds| WallTime(changed_at.0.saturating_add_signed(seconds * 1_000_000)));
        let schedule = Schedule::new(Duration::from_secs(60), &entries, NOW, wall);
        schedule.next_at(&entries, &present(Trade::Idle)).unwrap().since(NOW)
    };
    assert_eq!(due_after(None), Duration::from_secs(60));
    assert_eq!(due_after(Some(0)), Duration::from_secs(60));
    assert_eq!(due_after(Some(8)), Duration::from_secs(52));
    assert_eq!(due_after(Some(-100)), Duration::from_secs(60), "the clock went back");
    assert_eq!(due_after(Some(3_600)), Duration::ZERO);
}

/// Entries that left the queue are forgotten.
#[test]
fn what_left_the_queue_is_not_waited_for() {
    let entries = vec![entry(1, OfflineSale)];
    let mut schedule = schedule();
    schedule.kick(&entries);
    schedule.forget(&entries[0].id);
    assert!(schedule.is_calm(&entries, &present(Trade::Idle)));
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let types = prop::sample::select(EntryType::ALL.to_vec());
    let states = prop::sample::select(QueueState::ALL.to_vec());
    (1..8_u32, types, states, 0..5_u32, any::<bool>()).prop_map(
        |(number, entry_type, state, attempts, again)| {
            let ask_again = again && entry_type == Reversal;
            Entry { attempts, ask_again, ..in_state(number, entry_type, state) }
        },
    )
}

proptest! {
    /// Whatever is in the queue and whatever happened: what goes may go, nobody is woken for nothing, and pauses
    /// stay within their bounds.
    #[test]
    fn a_wake_is_never_for_nothing(
        entries in prop::collection::vec(any_entry(), 0..8),
        ends in prop::collection::vec((0..8_usize, 0..8_usize, any::<bool>(), any::<u8>()), 0..12),
        kicked in any::<bool>(), paused in any::<bool>(), idle in any::<bool>(),
    ) {
        let all = [
            End::Done, End::Denied, End::Expired, End::AskAgain, End::Repeat, End::Failed, End::NoLine,
            End::StorageFault,
        ];
        let trade = if idle { Trade::Idle } else { Trade::Elsewhere };
        let nobody = TxnId::parse("00000000000000000000000000000000").unwrap();
        let mut schedule = schedule();
        if kicked {
            schedule.kick(&entries);
        }
        for (at, end, heard, roll) in ends {
            if let Some(entry) = entries.get(at) {
                schedule.ended(entry, all[end], heard, NOW, roll);
            }
        }
        let present = Present { paused, line_of: Some(&nobody), ..present(trade) };
        if let Some(next) = schedule.next(&entries, &present) {
            prop_assert!(next.is_sendable() && !(paused && next.waiting_state() == QueueState::Queued));
        }
        if let Some(at) = schedule.next_at(&entries, &present) {
            let woken = Present { now: at.max(NOW), ..present };
            prop_assert!(schedule.next(&entries, &woken).is_some());
            prop_assert!(at <= NOW.after(PAUSE_MAX + PAUSE_MAX / 4));
        }
    }
}

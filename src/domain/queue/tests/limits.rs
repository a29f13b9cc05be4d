//! The merchant's limits: each alone, at its edge and one beyond.
use super::super::limits::{Excess, Rules, Stored, Wanted, excess, head_room};
use super::{entry, in_state};
use crate::domain::calendar::WallTime;
use crate::domain::fault::FaultName;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryMode, EntryType, QueueState};
use core::time::Duration;

const HOUR: u64 = 3_600_000_000;

fn rules() -> Rules {
    Rules {
        enabled: true,
        max_amount: Amount::from_minor(2000).unwrap(),
        max_total: Amount::from_minor(5000).unwrap(),
        max_count: 3,
        max_age: Duration::from_secs(24 * 3600),
        entry_modes: vec![EntryMode::Chip],
    }
}

fn wanted(minor: u64) -> Wanted {
    let amount = Amount::from_minor(minor).unwrap();
    Wanted { amount, entry_mode: Some(EntryMode::Chip), at: WallTime(100 * HOUR), clock_trusted: true }
}

fn stored(amount: u64, count: u32, hours: u64) -> Stored {
    let oldest = (count > 0).then(|| WallTime((100 - hours) * HOUR));
    Stored { amount, count, oldest }
}

/// Only sales that the bank has not heard of count: not what it refused, not advices, not reversals.
#[test]
fn what_waits_is_what_the_bank_has_not_heard_of() {
    let offline = EntryType::OfflineSale;
    let entries = [
        entry(1, EntryType::Reversal),
        entry(2, EntryType::Advice),
        in_state(3, offline, QueueState::Denied),
        in_state(4, offline, QueueState::Failed),
        entry(5, offline),
    ];
    let expected = Stored { amount: 2000, count: 2, oldest: Some(WallTime(4_000_000)) };
    assert_eq!(Stored::of(&entries), expected);
}

/// Each limit lets its own value through and stops one more.
#[test]
fn each_limit_stops_what_is_beyond_it() {
    let check = |stored, wanted, expected: Option<(&str, &str)>| {
        let found = excess(&rules(), stored, wanted);
        assert_eq!(found.map(Excess::limit), expected.map(|(limit, _)| limit));
        if let Some((limit, text)) = expected {
            let fault = found.unwrap().fault();
            assert_eq!(fault.name, FaultName::LimitExceeded);
            assert!(fault.text.starts_with(limit) && fault.text.contains(text), "{}", fault.text);
        }
    };
    check(Stored::default(), wanted(2000), None);
    check(Stored::default(), wanted(2001), Some(("max-amount", "2001 minor units, 2000")));
    check(stored(3000, 2, 1), wanted(2000), None);
    check(stored(3001, 2, 1), wanted(2000), Some(("max-total", "5001 minor units would wait, 5000")));
    check(stored(30, 3, 1), wanted(10), Some(("max-count", "4 offline sales would wait, 3")));
    check(stored(30, 1, 24), wanted(10), None);
    check(stored(30, 1, 26), wanted(10), Some(("max-age-h", "waits 26 h, 24 h")));
    let swiped = Wanted { entry_mode: Some(EntryMode::Contactless), ..wanted(10) };
    check(Stored::default(), swiped, Some(("entry-modes", "contactless")));
    check(Stored::default(), Wanted { entry_mode: None, ..swiped }, None);
    // Without a trusted clock nothing is old.
    check(stored(30, 1, 90), Wanted { clock_trusted: false, ..wanted(10) }, None);
}

/// Switched off is told as such, and leaves no head-room.
#[test]
fn switched_off_nothing_is_stored() {
    let off = Rules { enabled: false, ..rules() };
    let found = excess(&off, Stored::default(), wanted(1)).unwrap();
    assert_eq!((found, found.fault().name), (Excess::Disabled, FaultName::FunctionDisabled));
    assert_eq!(head_room(&off, Stored::default()), Default::default());
}

/// Head-room is what the totals leave, never below nothing.
#[test]
fn head_room_is_what_is_left() {
    let left = head_room(&rules(), stored(4000, 2, 1));
    assert_eq!((left.amount, left.count), (1000, 1));
    let none = head_room(&rules(), stored(9000, 9, 1));
    assert_eq!((none.amount, none.count), (0, 0));
}

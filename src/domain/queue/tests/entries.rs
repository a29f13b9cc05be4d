//! Entries: read from a row, parked, unparked, ended by the shop, put right after an interruption.
use super::super::{Entry, recover};
use super::{code, entry, in_state, row};
use crate::domain::calendar::WallTime;
use crate::domain::fault::FaultName;
use crate::domain::ident::{AuthCode, Stan};
use crate::domain::outcome::{EntryType, Kind, QueueState, Resolution};
use crate::domain::record::{OriginalRef, Record};

use EntryType::{Advice, OfflineSale, RefundUnknown, Reversal, Script};
use QueueState::{Denied, Done, Due, Expired, Failed, Parked, Queued, Sending};

const NOW: WallTime = WallTime(9_000_000);

/// An entry of each type that waits for its turn.
fn each() -> [Entry; 5] {
    [Reversal, Script, OfflineSale, Advice, RefundUnknown].map(|entry_type| entry(1, entry_type))
}

/// What is armed is not owed yet, and what is done is owed no more.
#[test]
fn armed_and_done_entries_are_not_in_the_queue() {
    let mut row = row(1, Kind::Sale, Reversal);
    row.entries[0].armed = true;
    assert_eq!(Entry::all_of(&row), []);
    row.entries[0].armed = false;
    row.entries[0].state = Done;
    assert_eq!(Entry::all_of(&row), []);
}

/// A script result is numbered by itself, everything else by its transaction.
#[test]
fn only_a_script_result_has_a_stan_of_its_own() {
    for entry in each() {
        let own = Entry { own_stan: Some(Stan::new(77).unwrap()), ..entry.clone() };
        let expected = if entry.entry_type() == Script { 77 } else { 1 };
        assert_eq!(own.stan().map(Stan::get), Some(expected), "{}", entry.id);
    }
    assert_eq!(entry(1, Script).stan(), None, "before its first attempt");
}

/// An upload tells the code that authorises it, a reversal the one that an answer brought.
#[test]
fn the_auth_code_is_the_one_that_belongs_to_the_message() {
    let told = AuthCode::new("B00001").unwrap();
    let check = |entry_type, kind, expected: &str| {
        let mut row = row(1, kind, entry_type);
        let original = OriginalRef { auth_code: Some(told.clone()), ..OriginalRef::default() };
        row.start.terms.original = Some(original);
        let content = Entry::all_of(&row).remove(0).content.unwrap();
        assert_eq!(content.auth_code.unwrap().as_str(), expected);
    };
    check(Advice, Kind::PreAuthAdvice, "B00001");
    check(Reversal, Kind::PreAuthComplete, "A12346");
    check(Script, Kind::PreAuth, "A12346");
}

/// Nothing is sent for a refund without an answer, nor for a card whose number is gone; both stay listed.
#[test]
fn an_entry_without_a_message_is_listed_and_never_sent() {
    assert!(!entry(1, RefundUnknown).is_sendable());
    let mut row = row(1, Kind::Sale, Reversal);
    row.card = None;
    let entries = Entry::all_of(&row);
    assert_eq!(entries.len(), 1);
    assert!(!entries[0].is_sendable() && !entries[0].blocks_trading());
}

/// Only what waits to be sent can be put aside, and only what was put aside comes back.
#[test]
fn parking_takes_what_is_still_to_be_sent() {
    for entry in each() {
        let sendable = entry.entry_type() != RefundUnknown;
        assert_eq!(entry.park("why", NOW).is_ok(), sendable, "{}", entry.id);
        let parked = Entry { state: Parked, ..entry.clone() };
        assert!(!parked.is_sendable() && !parked.blocks_trading());
        let Ok(Record::QueueState { state, .. }) = parked.unpark(NOW) else { panic!("{}", entry.id) };
        assert_eq!(state, entry.waiting_state());
        assert_eq!(entry.unpark(NOW).unwrap_err().name, FaultName::WrongState);
    }
    for state in [Denied, Expired, Parked] {
        let fault = in_state(1, OfflineSale, state).park("why", NOW).unwrap_err();
        assert_eq!(fault.name, FaultName::WrongState, "{state}");
    }
    assert!(in_state(1, Reversal, Failed).park("why", NOW).is_ok());
}

/// The shop ends what the bank does not end any more, and nothing else.
#[test]
fn the_shop_resolves_only_what_the_bank_has_left_open() {
    for entry in each() {
        let mine = entry.entry_type() == RefundUnknown;
        assert_eq!(entry.resolve(Resolution::Paid, None, NOW).is_ok(), mine, "{}", entry.id);
        for (state, may) in [
            (Due, mine),
            (Sending, mine),
            (Queued, mine),
            (Failed, true),
            (Denied, true),
            (Expired, true),
            (Parked, true),
        ] {
            let entry = Entry { state, ..entry.clone() };
            assert_eq!(entry.resolve(Resolution::NotPaid, None, NOW).is_ok(), may, "{} {state}", entry.id);
        }
    }
}

/// An attempt that was cut off waits for its turn again, with what was known of it; twice makes no difference.
#[test]
fn an_interrupted_attempt_waits_again() {
    for (kind, entry_type, expected) in [
        (Kind::Sale, Reversal, Due),
        (Kind::Sale, Script, Due),
        (Kind::OfflineSale, OfflineSale, Queued),
        (Kind::PreAuthAdvice, Advice, Queued),
    ] {
        let mut row = row(1, kind, entry_type);
        assert_eq!(recover(&row, NOW), []);
        row.entries[0].state = Sending;
        row.entries[0].ask_again = entry_type == Reversal;
        let [Record::QueueState { state, ask_again, .. }] = &recover(&row, NOW)[..] else {
            panic!("nothing is written");
        };
        assert_eq!((*state, *ask_again), (expected, entry_type == Reversal));
    }
}

/// A reversal whose last answer was A0 remembers that over a restart.
#[test]
fn a_refused_mac_is_known_from_the_last_answer() {
    let mut row = row(1, Kind::Sale, Reversal);
    assert!(!Entry::all_of(&row)[0].mac_refused());
    row.entries[0].response_code = Some(code("A0"));
    assert!(Entry::all_of(&row)[0].mac_refused());
}

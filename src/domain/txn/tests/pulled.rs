//! The card is pulled, mute or refuses at every single command, in every kind of transaction. Whatever was decided by
//! then: no money has moved, or what moved is undone by one reversal, or the sale stands because the chip had already
//! said so. Nothing is doubled, and nobody waits for ever.
use super::super::State;
use super::kinds::{Make, makes};
use super::world::{BankFault, ChipFault, Fault, World};
use crate::domain::outcome::{Kind, Outcome, PinEntry, Prompt, ResultCode};
use crate::domain::record::ReversalReason;
use std::collections::BTreeMap;

/// Every way to set a transaction up, and cards that talk longer: a PIN that the chip checks, counters, a choice.
fn talkative() -> Vec<(&'static str, Make)> {
    let more: [(&'static str, Make); 8] = [
        ("sale, the bank declines", |faults| {
            World::sale(&[faults, &[Fault::Bank(0, BankFault::Decline)]].concat()).with_icc()
        }),
        ("sale, PIN for the chip", |faults| World::sale(faults).with_offline_pin(0).with_icc()),
        ("sale, wrong PIN for the chip", |faults| World::sale(faults).with_offline_pin(2)),
        ("sale, PIN under the chip's key", |faults| World::sale(faults).with_enciphered_pin(1)),
        ("sale, PIN from the reader's pad", |faults| {
            World::sale(faults).with_offline_pin(1).with_pin_entry(PinEntry::Pinpad)
        }),
        ("sale, counters", |faults| World::sale(faults).with_counters().with_icc()),
        ("sale, choice and confirmation", |faults| World::sale(faults).with_choice().with_confirmation()),
        ("offline sale, PIN for the chip", |faults| World::of(Kind::OfflineSale, faults).with_offline_pin(1)),
    ];
    makes().into_iter().chain(more).collect()
}

/// What must hold whatever kind it is, once everything has come to rest (the world has judged every step by then).
fn judge(name: &str, command: usize, fault: ChipFault, world: &World) {
    let place = format!("{name}, {fault:?} at command {command}");
    let row = world.disk.row.as_ref().unwrap_or_else(|| panic!("{place}: no row"));
    let outcome = world.disk.outcome().unwrap_or_else(|| panic!("{place}: no outcome"));
    assert!(world.bank.sales.len() <= 1 && world.bank.reversals.len() <= 1, "{place}: doubled");
    // A balance moves nothing, whatever the bank's books of this world say.
    let moved = world.bank.holds && world.start.kind != Kind::Balance;
    assert!(!moved || outcome == Outcome::Approved, "{place}: money without an approval");
    let asked = !world.bank.sales.is_empty();
    match outcome {
        // The chip had said yes, or was only read, before it left; or it was no financial chip at all.
        Outcome::Approved => assert!(asked || world.disk.withdrawn.is_some(), "{place}"),
        Outcome::StoredOffline => assert!(!asked, "{place}: stored although the bank was asked"),
        Outcome::Declined => assert_eq!(world.bank.reversals.len(), 0, "{place}"),
        Outcome::Failed => {
            let expected = match fault {
                ChipFault::Removed => ResultCode::CardRemoved,
                ChipFault::Mute | ChipFault::Refuses => ResultCode::CardUnreadable,
            };
            let other = [ResultCode::CardNotAccepted, ResultCode::CardUnreadable, ResultCode::CardRemoved];
            let result = row.result.unwrap_or_else(|| panic!("{place}: no result"));
            assert!(
                result == expected || (fault == ChipFault::Refuses && other.contains(&result)),
                "{place}"
            );
        }
        other => panic!("{place}: {other:?}"),
    }
    // A request that the bank has approved and the chip did not complete is undone, once, and says why.
    let undone = asked && !world.bank.holds && outcome == Outcome::Failed;
    if undone && !world.bank.reversals.is_empty() {
        assert_eq!(world.reversal_due(), Some(ReversalReason::Refused), "{place}");
    }
}

/// Every kind × every command × every way to fail.
#[test]
fn a_card_may_be_pulled_at_any_command() {
    let mut ends = BTreeMap::new();
    let mut worlds = 0;
    for (name, make) in talkative() {
        let commands = make(&[]).run().commands();
        for command in 0..commands {
            for fault in [ChipFault::Removed, ChipFault::Mute, ChipFault::Refuses] {
                let run = std::panic::catch_unwind(|| make(&[Fault::Chip(command, fault)]).run());
                let world = run.unwrap_or_else(|_| panic!("{name}: {fault:?} at {command} breaks a rule"));
                judge(name, command, fault, &world);
                *ends.entry(world.disk.outcome().map_or("nothing", Outcome::word)).or_insert(0) += 1;
                worlds += 1;
            }
        }
    }
    assert!(worlds > 400, "{worlds} {ends:?}");
    assert!(ends.keys().eq(["approved", "declined", "failed", "stored-offline"].iter()), "{ends:?}");
}

/// An application that wants the cardholder's word is not taken where nobody can ask for it; one that does not is.
#[test]
fn without_an_agent_only_free_applications_are_taken() {
    let mut alone = World::sale(&[]).with_choice();
    alone.agent = false;
    let alone = alone.run();
    assert_eq!((alone.told, alone.result()), (Some(Outcome::Failed), Some(ResultCode::CardNotAccepted)));
    assert!(alone.bank.sales.is_empty());
}

/// Why the chip declined: its own reason in the cryptogram, or the exception file, whatever the action codes made of
/// it.
#[test]
fn a_decline_of_the_chip_tells_its_reason() {
    let declines = |cid: &'static str| {
        let mut world = World::sale(&[]).lenient();
        world.chip.card = world.chip.card.with_cryptogram(cid);
        let world = world.run();
        assert_eq!(world.told, Some(Outcome::Declined));
        assert!(world.prompts.contains(&Prompt::DoNotRemoveCard));
        world.result().unwrap()
    };
    assert_eq!(declines("00"), ResultCode::DeclinedOffline);
    assert_eq!(declines("01"), ResultCode::CardNotAccepted);
    assert_eq!(declines("02"), ResultCode::PinBlocked);
    let mut listed = World::sale(&[]).lenient();
    let token = super::makings::card_on_file().token;
    listed.setup.blacklist = std::sync::Arc::new([token].into_iter().collect());
    listed.setup.emv.aids.iter_mut().for_each(|entry| entry.tac_denial = [0x10, 0, 0, 0, 0]);
    let listed = listed.run();
    assert_eq!((listed.told, listed.result()), (Some(Outcome::Declined), Some(ResultCode::CardBlacklisted)));
}

/// A card that leaves while the terminal looks for a line ends the sale before anything is durable.
#[test]
fn a_card_that_leaves_before_the_line_owes_nothing() {
    let waits = |state: &State| matches!(state, State::AwaitLine(_));
    let gone = World::sale(&[]).with_stray(waits, super::super::Event::CardRemoved).run();
    assert_eq!((gone.told, gone.result()), (Some(Outcome::Failed), Some(ResultCode::CardRemoved)));
    assert!(gone.bank.sales.is_empty() && gone.bank.reversals.is_empty());
}

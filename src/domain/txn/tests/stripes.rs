//! Chips that cannot be read, and stripes that stand in for them: what the customer is told, what the bank is sent, and
//! what the record keeps.
use super::super::{CardTrouble, Event, State};
use super::world::{BankFault, Fault, World};
use crate::domain::outcome::{CvmMethod, EntryMode, Kind, Outcome, Prompt, ResultCode};
use crate::domain::profile::Profile;
use crate::domain::secret::Track2;
use std::sync::Arc;

/// A stripe whose service code tells of a chip, or of none.
pub(super) fn stripe(service: &str) -> Event {
    Event::CardSwiped(Track2::new(&format!("6228480000001234D2912{service}10000")).unwrap())
}

fn waits_for_card(state: &State) -> bool {
    matches!(state, State::AwaitCard { .. })
}

/// A sale that waits for its card, at a terminal that reads stripes or does not.
fn waiting(kind: Kind, reads_stripes: bool) -> World {
    let mut world = World::of(kind, &[]);
    world.setup.reads_stripes = reads_stripes;
    world.begin();
    while !waits_for_card(&world.txn.as_ref().unwrap().state) {
        assert!(world.advance());
    }
    world.events.clear();
    world
}

/// The chip fails at power-up, so many times.
fn failing(world: &mut World, troubles: &[CardTrouble]) {
    for trouble in troubles {
        world.tell(Event::CardInserted).events.clear();
        world.tell(Event::CardFailed(*trouble));
        // The next card comes when this test says so.
        world.events.retain(|event| *event != Event::CardInserted);
    }
}

const FAILED: [CardTrouble; 3] = [CardTrouble::Unreadable; 3];

/// Goal: without a stripe reader three failures end it; the customer is told to pay otherwise, and nothing was sent.
#[test]
fn a_chip_that_fails_three_times_ends_the_sale_where_no_stripe_is_read() {
    let mut world = waiting(Kind::Sale, false);
    failing(&mut world, &FAILED);
    let world = world.finish();
    assert_eq!((world.told, world.result()), (Some(Outcome::Failed), Some(ResultCode::CardUnreadable)));
    let kept = world.prompts.iter().filter(|prompt| **prompt != Prompt::DoNotRemoveCard).copied();
    let shown = [Prompt::InsertCard, Prompt::TryAgain, Prompt::TryAgain, Prompt::OtherMethod];
    assert_eq!(kept.collect::<Vec<_>>(), shown);
    assert!(world.bank.asked.is_none());
}

/// Goal: where stripes are read, the third failure asks for the stripe; F22 says 80 and 60.5 says 2, the PIN is asked,
/// and the record and the slip know a swiped card.
#[test]
fn a_stripe_stands_in_for_a_chip_that_failed_three_times() {
    let mut world = waiting(Kind::Sale, true);
    failing(&mut world, &FAILED);
    assert_eq!(world.prompts.last(), Some(&Prompt::SwipeCard));
    world.events.push_back(stripe("201"));
    let world = world.finish();
    assert_eq!(world.told, Some(Outcome::Approved));
    let asked = world.bank.asked.as_ref().unwrap();
    assert_eq!((asked.wire.entry_mode.as_str(), asked.wire.capability.as_str()), ("801", "520"));
    assert!(asked.pin.is_some() && asked.track2.is_some() && asked.wire.icc.is_empty());
    let card = world.disk.row.as_ref().unwrap().card.clone().unwrap();
    assert_eq!((card.entry_mode, card.cvm), (EntryMode::Swipe, CvmMethod::OnlinePin));
    assert!(card.signature_required);
}

/// Goal: a swiped chip card is sent to the chip slot before its chip has failed, where the acquirer takes no stripe for
/// a chip, after trouble of the reader alone, and where only the chip can approve.
#[test]
fn a_swiped_chip_card_is_sent_to_the_slot() {
    let slot = |mut world: World, troubles: &[CardTrouble]| {
        failing(&mut world, troubles);
        world.tell(stripe("201"));
        assert_eq!(world.prompts.last(), Some(&Prompt::UseChip));
        assert!(waits_for_card(&world.txn.as_ref().unwrap().state));
    };
    slot(waiting(Kind::Sale, true), &[]);
    slot(waiting(Kind::Sale, true), &FAILED[..2]);
    slot(waiting(Kind::Sale, true), &[CardTrouble::Reader, CardTrouble::Unreadable]);
    slot(waiting(Kind::OfflineSale, true), &[]);
    let mut strict = waiting(Kind::Sale, true);
    let profile = Profile { swipe_fallback: false, ..Profile::clone(&Profile::unionpay()) };
    strict.txn.as_mut().unwrap().setup.identity.profile = Arc::new(profile);
    slot(strict, &FAILED[..2]);
}

/// Goal: a bank that takes no stripe for a chip is told apart from other refusals.
#[test]
fn a_refused_fallback_is_named() {
    let refuses = |code: &str, result| {
        let mut world = waiting(Kind::Sale, true);
        failing(&mut world, &FAILED);
        world.bank.refuses_with = Some(code.to_owned());
        world.events.push_back(stripe("201"));
        let world = world.finish();
        assert_eq!((world.told, world.result()), (Some(Outcome::Declined), Some(result)), "{code}");
    };
    refuses("45", ResultCode::FallbackRefused);
    refuses("51", ResultCode::DeclinedHost);
}

/// Goal: a card without a chip pays by its stripe at once; F22 and 60.5 know of no fallback.
#[test]
fn a_card_without_a_chip_is_swiped() {
    let mut world = waiting(Kind::Sale, true);
    world.events.push_back(stripe("120"));
    let world = world.finish();
    assert_eq!(world.told, Some(Outcome::Approved));
    let asked = world.bank.asked.as_ref().unwrap();
    assert_eq!((asked.wire.entry_mode.as_str(), asked.wire.capability.as_str()), ("021", "500"));
}

/// Goal: a reader in another program's hands is no failure of the chip: the sale ends, and no stripe is asked for.
#[test]
fn trouble_of_the_reader_opens_no_stripe() {
    let mut world = waiting(Kind::Sale, true);
    failing(&mut world, &[CardTrouble::Reader; 3]);
    let world = world.finish();
    assert_eq!((world.told, world.result()), (Some(Outcome::Failed), Some(ResultCode::CardUnreadable)));
    assert!(!world.prompts.contains(&Prompt::SwipeCard));
}

/// Goal: a swiped sale whose answer stays away is reversed with the F22 and F60 it was sent with.
#[test]
fn a_swiped_sale_without_an_answer_is_reversed() {
    let faults = [Fault::Bank(0, BankFault::LoseReply)];
    let mut world = World::of(Kind::Sale, &faults);
    world.setup.reads_stripes = true;
    let world = world.with_stray(waits_for_card, stripe("120")).run();
    assert_eq!(world.disk.outcome(), Some(Outcome::Reversed));
    assert_eq!(world.bank.asked.as_ref().unwrap().wire.entry_mode, "021");
}

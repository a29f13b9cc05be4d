//! A PIN that the chip checks: what the person is asked, what the bank hears of it, and how it ends.
use super::super::{Answer, Ask, Event, Local, PinAsk, State};
use super::world::World;
use crate::domain::emv::kernel::PinKind;
use crate::domain::outcome::{CvmMethod, Kind, Outcome, PinEntry, Prompt, ResultCode};

fn asks_pin(state: &State) -> bool {
    matches!(state, State::AwaitPin { .. })
}

/// Wrong twice, then right: asked three times with fewer tries each time. The bank hears of it in DE 55 alone: there
/// is no DE 52, so DE 22 says "no PIN" in its third digit. Nobody signs.
#[test]
fn a_wrong_pin_is_asked_for_again() {
    let world = World::sale(&[]).with_offline_pin(2).run();
    assert_eq!(world.told, Some(Outcome::Approved));
    let pins = [Prompt::EnterPin, Prompt::WrongPin, Prompt::WrongPin];
    let shown: Vec<_> = world.prompts.iter().filter(|prompt| pins.contains(prompt)).copied().collect();
    assert_eq!(shown, pins);
    let asked = world.bank.asked.as_ref().unwrap();
    assert_eq!((asked.pin.as_ref(), asked.wire.entry_mode.as_str()), (None, "052"));
    let icc = crate::domain::emv::describe::hex(&asked.wire.icc);
    assert!(icc.contains("9F3403010002"), "{icc}");
    let card = world.disk.row.as_ref().unwrap().card.clone().unwrap();
    assert_eq!((card.cvm, card.signature_required), (CvmMethod::OfflinePin, false));
}

/// The question says for whom the PIN is, how many tries are left, and whether one was wrong.
#[test]
fn the_question_tells_the_tries() {
    let mut world = World::sale(&[]).with_offline_pin(1);
    world.begin();
    let mut asked = Vec::new();
    while world.advance() {
        let Some(State::AwaitPin { known, .. }) = world.txn.as_ref().map(|txn| &txn.state) else { continue };
        let super::super::Then::Pin { ask, .. } = known.then else { panic!("{known:?}") };
        asked.push(ask);
    }
    let ask = |tries, again| PinAsk {
        kind: PinKind::OfflinePlain,
        tries_left: Some(tries),
        again,
        bypass_allowed: true,
    };
    assert_eq!(asked, [ask(3, false), ask(2, true)]);
}

/// Three times wrong: the bank decides where terminal and card let it, else the card declines, and the shop reads why.
#[test]
fn a_blocked_pin_is_declined_or_goes_to_the_bank() {
    let world = World::sale(&[]).with_offline_pin(3).run();
    assert_eq!(world.told, Some(Outcome::Approved));
    let icc = crate::domain::emv::describe::hex(&world.bank.asked.as_ref().unwrap().wire.icc);
    assert!(icc.contains("9F3403010001") && icc.contains("95058000A08800"), "{icc}");
    let mut world = World::sale(&[]).with_offline_pin(3);
    world.setup.emv.aids.iter_mut().for_each(|entry| entry.tac_denial = [0, 0, 0x20, 0, 0]);
    let world = world.run();
    assert_eq!(world.told, Some(Outcome::Declined));
    assert_eq!(world.disk.row.as_ref().unwrap().result, Some(ResultCode::PinBlocked));
}

/// A PIN that the card has checked asks nothing of the bank: such a sale may be stored, at once and without a line.
#[test]
fn a_sale_with_a_pin_for_the_card_may_be_stored() {
    let world = World::sale(&[]).lenient().with_offline_pin(0).run();
    assert_eq!(world.told, Some(Outcome::StoredOffline));
    let world = World::of(Kind::OfflineSale, &[]).with_offline_pin(1).run();
    assert_eq!(world.told, Some(Outcome::StoredOffline));
}

/// The card leaves, the person cancels, nobody types: each ends it, and takes the question back where one is open.
#[test]
fn a_question_that_ends_otherwise_is_taken_back() {
    let ends = |event: Event| {
        let mut world = World::sale(&[]).with_offline_pin(1);
        world.begin();
        while !asks_pin(&world.txn.as_ref().unwrap().state) {
            assert!(world.advance());
        }
        world.events.clear();
        let (_, effects) = world.txn.take().unwrap().step(event, world.now);
        assert!(!effects.local.iter().any(|local| matches!(local, Local::Ask(Ask::Pin(_)))));
        (
            effects.local.contains(&Local::Withdraw),
            effects.local.contains(&Local::Prompt(Prompt::CardRemovedTooEarly)),
        )
    };
    assert_eq!(ends(Event::CardRemoved), (true, true));
    assert_eq!(ends(Event::CancelRequested(ResultCode::OperatorCancelled)), (true, false));
    assert_eq!(ends(Event::AgentUnavailable), (false, false));
}

/// Goal: a PIN under the chip's key is asked for and tried as one in clear; the chip gives a challenge for each.
#[test]
fn an_enciphered_pin_is_asked_for_again() {
    let world = World::sale(&[]).with_enciphered_pin(1).run();
    assert_eq!(world.told, Some(Outcome::Approved));
    assert!(icc_of(&world).contains("9F3403040002") && world.prompts.contains(&Prompt::WrongPin));
}

/// Chip data that the bank was sent, in hex.
fn icc_of(world: &World) -> String {
    crate::domain::emv::describe::hex(&world.bank.asked.as_ref().unwrap().wire.icc)
}

/// Goal: the reader's own PIN pad gives the PIN to the chip; prompts, tries and CVM results are those of a typed one.
#[test]
fn a_pin_pad_gives_the_pin_to_the_chip() {
    let world = World::sale(&[]).with_offline_pin(2).with_pin_entry(PinEntry::Pinpad).run();
    assert_eq!(world.told, Some(Outcome::Approved));
    let pins = [Prompt::EnterPin, Prompt::WrongPin, Prompt::WrongPin];
    let shown: Vec<_> = world.prompts.iter().filter(|prompt| pins.contains(prompt)).copied().collect();
    assert_eq!(shown, pins);
    assert!(icc_of(&world).contains("9F3403010002"), "{}", icc_of(&world));
    assert_eq!(world.disk.row.as_ref().unwrap().card.clone().unwrap().cvm, CvmMethod::OfflinePin);
}

/// Goal: the cancel key and the pad's patience end the sale; a pad that does not work lets the chip's list go on, and
/// the bank reads so.
#[test]
fn a_pin_pad_that_gives_no_pin_is_told_apart() {
    let after = |answer: Answer| {
        let mut world = World::sale(&[]).with_offline_pin(0).with_pin_entry(PinEntry::Pinpad);
        world.pad.push_back(answer);
        world.run()
    };
    let cancelled = after(Answer::Cancelled);
    assert_eq!(
        (cancelled.told, cancelled.result()),
        (Some(Outcome::Cancelled), Some(ResultCode::PinCancelled))
    );
    let late = after(Answer::PinTooLate);
    assert_eq!((late.told, late.result()), (Some(Outcome::Cancelled), Some(ResultCode::CustomerTimeout)));
    let broken = after(Answer::PinNotAvailable);
    assert!(icc_of(&broken).contains("95058000908800"), "{}", icc_of(&broken));
}

/// Goal: where no PIN can be typed nobody is told to type one, and the chip hears so: by the pad for the bank's PIN,
/// and where there is no PIN entry at all.
#[test]
fn nobody_is_told_to_type_a_pin_where_none_can_be_typed() {
    for (world, tvr) in [
        (World::sale(&[]).with_pin_entry(PinEntry::Nowhere), "95058000108800"),
        (World::sale(&[]).with_pin_entry(PinEntry::Pinpad), "95058000108800"),
        (World::sale(&[]).with_offline_pin(0).with_pin_entry(PinEntry::Nowhere), "95058000908800"),
    ] {
        let world = world.run();
        assert!(!world.prompts.contains(&Prompt::EnterPin));
        assert!(icc_of(&world).contains(tvr), "{}", icc_of(&world));
    }
}

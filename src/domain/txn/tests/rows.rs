//! One test for each row of the durability rules: what is told, what is durable, what becomes due.
use super::super::{CardTrouble, Event, State};
use super::disk::StoreFault;
use super::world::{BankFault, ChipFault, Fault, World};
use crate::domain::outcome::{EntryType, Outcome, Ply, PrintState, Prompt, QueueState, ResultCode};
use crate::domain::profile::Profile;
use crate::domain::record::{Record, ReversalReason};
use crate::domain::unionpay::de55;

use Outcome::{Approved, Cancelled, Declined, Failed, Unknown};
use ReversalReason::{MacError, NoAnswer, Refused};

/// The commands of a sale without scripts: five to select and read, then the two cryptograms.
const FIRST_AC: usize = 6;
const SECOND_AC: usize = 7;
/// With scripts: EXTERNAL AUTHENTICATE and one script stand before the second cryptogram, one script behind
/// it.
const SECOND_AC_WITH_ICC: usize = 9;
const SCRIPT_AFTER: usize = 10;

/// The commits of a sale.
const SENDING: usize = 0;
const CLOSED: usize = 1;

/// Runs a world and compares what was told, why, and the reversal that was due.
fn check(world: World, outcome: Outcome, result: ResultCode, reversal: Option<ReversalReason>) -> World {
    let world = world.run();
    assert_eq!(world.told, Some(outcome));
    assert_eq!(world.result(), Some(result));
    assert_eq!(world.reversal_due(), reversal);
    world
}

fn sale(fault: Fault) -> World {
    World::sale(&[fault])
}

#[test]
fn an_approval_is_durable_before_it_is_told() {
    let world = check(World::sale(&[]), Approved, ResultCode::Approved, None);
    assert!(world.chip.said_tc);
    let row = world.disk.row.as_ref().unwrap();
    assert_eq!(row.approved_amount, row.start.amount);
    assert_eq!(row.host.auth_code.as_ref().map(|code| code.as_str()), Some("ABC123"));
    let plies: Vec<_> = row.plies.iter().map(|ply| (ply.ply, ply.state)).collect();
    assert_eq!(plies, [(Ply::Merchant, PrintState::Held), (Ply::Customer, PrintState::Held)]);
    let chip = &row.card.as_ref().unwrap().chip;
    let value = |name| chip.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((value("TC"), value("ARQC")), (Some("8877665544332211"), Some("1122334455667788")));
    assert_eq!(world.disk.log.len(), 2, "two commits for the money");
    assert_eq!(
        world.prompts,
        [
            Prompt::InsertCard,
            Prompt::DoNotRemoveCard,
            Prompt::EnterPin,
            Prompt::Dialling,
            Prompt::Processing,
            Prompt::Receiving
        ]
    );
}

/// The bank gets what the card and the customer gave, and the number that the journal took.
#[test]
fn a_request_carries_what_was_read_and_typed() {
    let world = World::sale(&[]).run();
    let row = world.disk.row.as_ref().unwrap();
    let asked = world.bank.asked.as_ref().unwrap();
    assert_eq!((Some(asked.stan), asked.batch), (row.stan, row.batch));
    assert_eq!(asked.pan.masked(), "622848******1234");
    assert_eq!((asked.expiry.as_deref(), asked.sequence), (Some("2912"), Some(1)));
    assert!(asked.track2.is_some() && asked.pin.is_some());
    let wire = row.wire.as_ref().unwrap();
    assert_eq!((&asked.wire.icc, wire.entry_mode.as_str()), (&wire.icc, "051"));
    let world = World::sale(&[]).with_signature().run();
    assert_eq!(world.bank.asked.unwrap().pin, None);
    assert_eq!(world.disk.row.unwrap().wire.unwrap().entry_mode, "052");
}

/// 77, 99, A0 and a wrong MAC say that the keys are no good; nothing else does.
#[test]
fn keys_that_do_not_hold_ask_for_a_new_sign_on() {
    let check = |faults: &[Fault], signed_on| {
        let world = World::sale(faults).run();
        assert_eq!(world.signed_on, signed_on, "{faults:?}");
    };
    check(&[], true);
    check(&[Fault::Bank(0, BankFault::Decline)], true);
    check(&[Fault::Bank(0, BankFault::Garbled)], true);
    check(&[Fault::Bank(0, BankFault::BadMac)], false);
    check(&[Fault::Bank(0, BankFault::RefuseKeys)], false);
    let gone = Fault::Chip(SECOND_AC, ChipFault::Removed);
    check(&[Fault::Bank(0, BankFault::RefuseKeys), gone], false);
}

/// The chip gets the issuer's authentication and scripts, and what came of them stands in the record.
#[test]
fn an_approval_with_scripts_reaches_the_chip() {
    let world = check(World::sale(&[]).with_icc(), Approved, ResultCode::Approved, None);
    assert!(world.chip.said_tc);
}

#[test]
fn a_declined_answer_ends_without_an_obligation() {
    let world = check(sale(Fault::Bank(0, BankFault::Decline)), Declined, ResultCode::DeclinedHost, None);
    assert!(!world.chip.said_tc);
    assert_eq!(world.closed().plies, []);
    let world = World::sale(&[Fault::Bank(0, BankFault::Decline)]).with_icc();
    check(world, Declined, ResultCode::DeclinedHost, None);
}

/// A decline stays a decline, whatever becomes of the chip.
#[test]
fn a_declined_answer_stands_when_the_card_is_gone() {
    let world =
        World::sale(&[Fault::Bank(0, BankFault::Decline), Fault::Chip(SECOND_AC, ChipFault::Removed)]);
    check(world, Declined, ResultCode::DeclinedHost, None);
}

#[test]
fn a_card_that_declines_after_the_approval_is_reversed_06() {
    let world = check(sale(Fault::ChipDeclines), Declined, ResultCode::DeclinedCard, Some(Refused));
    let icc = world.closed().reversal_icc.clone().unwrap();
    let tags: Vec<_> = de55::objects(&icc).unwrap().iter().map(|object| object.tag).collect();
    assert_eq!(
        tags,
        Profile::unionpay().icc.reversal_refused[..3],
        "TVR, IAD and ATC of the last cryptogram"
    );
}

#[test]
fn a_card_gone_before_its_second_cryptogram_is_reversed_06() {
    let world = sale(Fault::Chip(SECOND_AC, ChipFault::Removed));
    check(world, Failed, ResultCode::CardRemoved, Some(Refused));
    for command in SECOND_AC..=SECOND_AC_WITH_ICC {
        let world = sale(Fault::Chip(command, ChipFault::Removed)).with_icc();
        check(world, Failed, ResultCode::CardRemoved, Some(Refused));
    }
}

/// The bank's answer still counts: declined stays declined, and an approval is undone.
#[test]
fn a_card_pulled_while_the_bank_is_asked_is_reversed_06() {
    let waits: [fn(&State) -> bool; 3] = [
        |state| matches!(state, State::AwaitSendingStored(_)),
        |state| matches!(state, State::AwaitSent(_)),
        |state| matches!(state, State::AwaitHost { .. }),
    ];
    for wait in waits {
        let world = World::sale(&[]).with_stray(wait, Event::CardRemoved);
        check(world, Failed, ResultCode::CardRemoved, Some(Refused));
        let world = sale(Fault::Bank(0, BankFault::Decline)).with_stray(wait, Event::CardRemoved);
        check(world, Declined, ResultCode::DeclinedHost, None);
    }
}

/// No byte has left, so the bank is not asked any more.
#[test]
fn a_card_pulled_while_the_line_is_dialled_again_sends_nothing() {
    let world = sale(Fault::Bank(0, BankFault::LostBefore))
        .with_stray(|state| matches!(state, State::AwaitRedial(_)), Event::CardRemoved);
    let world = check(world, Failed, ResultCode::CardRemoved, None);
    assert_eq!(world.bank.sales, []);
}

#[test]
fn a_card_silent_before_its_second_cryptogram_is_reversed_06() {
    for fault in [ChipFault::Mute, ChipFault::Refuses] {
        let world = sale(Fault::Chip(SECOND_AC, fault));
        check(world, Failed, ResultCode::CardUnreadable, Some(Refused));
    }
}

/// The row says: durable before the UI hears. So no prompt tells it earlier.
#[test]
fn a_card_gone_after_the_approval_is_not_told_before_it_is_durable() {
    let mut world = World::sale(&[Fault::Chip(SECOND_AC, ChipFault::Removed)]);
    world.begin();
    while !matches!(world.state(), State::AwaitClosed(_)) {
        world.advance();
    }
    assert!(!world.prompts.contains(&Prompt::CardRemovedTooEarly));
    while world.advance() {}
    assert_eq!(world.prompts.last(), Some(&Prompt::CardRemovedTooEarly));
}

#[test]
fn a_card_gone_during_scripts_after_its_tc_is_approved() {
    for fault in [ChipFault::Removed, ChipFault::Mute, ChipFault::Refuses] {
        let world = sale(Fault::Chip(SCRIPT_AFTER, fault)).with_icc();
        check(world, Approved, ResultCode::Approved, None);
    }
}

#[test]
fn no_answer_is_unknown_and_reversed_98() {
    let world = sale(Fault::Bank(0, BankFault::LoseReply));
    let world = check(world, Unknown, ResultCode::HostTimeout, Some(NoAnswer));
    assert_eq!(world.bank.reversals, world.bank.sales);
    assert_eq!(world.disk.row.unwrap().reversal().unwrap().state, QueueState::Done);
}

#[test]
fn a_late_answer_changes_nothing() {
    let world = sale(Fault::Bank(0, BankFault::LateReply));
    check(world, Unknown, ResultCode::HostTimeout, Some(NoAnswer));
}

#[test]
fn a_garbled_answer_is_unknown_and_reversed_98() {
    let world = sale(Fault::Bank(0, BankFault::Garbled));
    check(world, Unknown, ResultCode::ProtocolError, Some(NoAnswer));
}

#[test]
fn a_wrong_mac_is_unknown_and_reversed_a0() {
    let world = sale(Fault::Bank(0, BankFault::BadMac));
    check(world, Unknown, ResultCode::MacError, Some(MacError));
}

/// Nobody allowed it: declined, and the bank is told so.
#[test]
fn a_partial_approval_that_was_not_announced_is_reversed_06() {
    let world = sale(Fault::Bank(0, BankFault::Partial));
    let world = check(world, Declined, ResultCode::DeclinedHost, Some(Refused));
    assert!(!world.chip.said_tc);
}

#[test]
fn a_line_lost_after_a_byte_left_is_unknown() {
    for fault in [BankFault::LostAfterSeen, BankFault::LostAfterUnseen] {
        check(sale(Fault::Bank(0, fault)), Unknown, ResultCode::HostTimeout, Some(NoAnswer));
    }
}

#[test]
fn a_line_lost_before_a_byte_left_is_dialled_again() {
    let faults = [Fault::Bank(0, BankFault::LostBefore), Fault::Bank(1, BankFault::LostBefore)];
    for count in 1..=2 {
        let world = check(World::sale(&faults[..count]), Approved, ResultCode::Approved, None);
        assert_eq!(world.bank.sales.len(), 1);
    }
}

/// Nothing was written on any attempt: one commit disarms the reversal and closes.
#[test]
fn a_line_that_always_breaks_before_a_byte_leaves_no_obligation() {
    let world = World::sale(&[0, 1, 2].map(|n| Fault::Bank(n, BankFault::LostBefore)));
    let world = check(world, Failed, ResultCode::ConnectFailed, None);
    assert!(world.disk.log.iter().any(|record| matches!(record, Record::Unsent { .. })));
    let world = World::sale(&[Fault::Bank(0, BankFault::LostBefore), Fault::NoLine(1)]);
    check(world, Failed, ResultCode::ConnectFailed, None);
}

#[test]
fn without_a_line_nothing_is_sent_and_nothing_owed() {
    let world = check(sale(Fault::NoLine(0)), Failed, ResultCode::ConnectFailed, None);
    assert_eq!(world.disk.log.len(), 1, "one record makes the row and closes it");
    assert_eq!(world.disk.row.unwrap().stan, None);
}

#[test]
fn a_card_removed_before_the_bank_is_asked_fails() {
    for command in 0..=FIRST_AC {
        let world = sale(Fault::Chip(command, ChipFault::Removed));
        let world = check(world, Failed, ResultCode::CardRemoved, None);
        assert_eq!(world.bank.sales, []);
        assert!(world.prompts.contains(&Prompt::CardRemovedTooEarly));
    }
}

/// The ledger line shows the card even if no PIN was asked.
#[test]
fn a_card_removed_at_its_first_cryptogram_is_known() {
    let world = sale(Fault::Chip(FIRST_AC, ChipFault::Removed)).with_signature().run();
    assert_eq!(
        world.closed().card.as_ref().map(|card| card.pan.masked()).as_deref(),
        Some("622848******1234")
    );
    let world = sale(Fault::Chip(FIRST_AC, ChipFault::Removed)).run();
    assert!(world.closed().card.is_some());
}

#[test]
fn a_chip_that_breaks_the_rules_before_the_bank_is_asked_fails() {
    for command in [5, FIRST_AC] {
        let world = sale(Fault::Chip(command, ChipFault::Refuses));
        check(world, Failed, ResultCode::CardUnreadable, None);
    }
}

#[test]
fn a_commit_that_helps_itself_is_not_noticed() {
    for fault in [StoreFault::Once, StoreFault::OnceButThere] {
        for store in [SENDING, CLOSED] {
            check(sale(Fault::Store(store, fault)), Approved, ResultCode::Approved, None);
        }
    }
}

/// No Sending, no request.
#[test]
fn a_request_that_cannot_be_stored_is_not_sent() {
    let world = sale(Fault::Store(SENDING, StoreFault::Twice));
    let world = check(world, Failed, ResultCode::StorageFault, None);
    assert_eq!(world.bank.sales, []);
}

/// The journal said no, could not be opened to look, and has the record all the same. Its reversal is
/// disarmed with the end that is told; nothing is left that contradicts it.
#[test]
fn a_sending_that_is_there_after_all_is_closed_and_disarmed() {
    let world = sale(Fault::Store(SENDING, StoreFault::TwiceButThere));
    let world = check(world, Failed, ResultCode::StorageFault, None);
    assert_eq!(world.bank.sales, []);
    assert!(world.disk.row.unwrap().stan.is_some());
}

#[test]
fn an_approval_that_cannot_be_stored_is_undone() {
    let world = sale(Fault::Store(CLOSED, StoreFault::Twice));
    let world = check(world, Unknown, ResultCode::StorageFault, Some(Refused));
    assert_eq!(world.closed().plies, []);
    assert!(world.closed().approved_amount.is_zero());
}

/// Nothing is shown until its end is durable, however often the disk fails.
#[test]
fn an_approval_waits_for_the_disk_as_long_as_it_takes() {
    let world = World::sale(&[1, 2, 3, 4].map(|n| Fault::Store(n, StoreFault::Twice)));
    let world = world.run();
    assert!(world.told.is_some());
    assert!(world.now.boot.0 > 10_000_000, "with pauses of five seconds");
}

/// What is read is true: an approval that is durable although it was reported as failed stands.
#[test]
fn an_approval_that_is_there_after_all_stands() {
    let world = sale(Fault::Store(CLOSED, StoreFault::TwiceButThere));
    check(world, Approved, ResultCode::Approved, None);
}

/// The bank holds nothing: the same end is written until it is there.
#[test]
fn a_decline_that_cannot_be_stored_stays_a_decline() {
    for fault in [StoreFault::Twice, StoreFault::TwiceButThere] {
        let world = World::sale(&[Fault::Bank(0, BankFault::Decline), Fault::Store(CLOSED, fault)]);
        check(world, Declined, ResultCode::DeclinedHost, None);
    }
}

/// Nothing was sent: the end is written until it is there, and only then told.
#[test]
fn an_end_without_a_request_waits_for_the_disk() {
    let faults = [0, 1, 2].map(|n| Fault::Store(n, StoreFault::Twice));
    let world = World::sale(&[&[Fault::NoLine(0)], &faults[..]].concat());
    check(world, Failed, ResultCode::ConnectFailed, None);
}

/// The service stops: the bank has three seconds, wherever the request is on its way.
#[test]
fn a_stop_leaves_the_bank_three_seconds() {
    let check = |until: fn(&State) -> bool| {
        let mut world = World::sale(&[Fault::Bank(0, BankFault::LoseReply)]);
        world.begin();
        while !until(world.state()) {
            world.advance();
        }
        let asked = world.now.boot;
        world.tell(Event::Hurry);
        while world.advance() {}
        assert_eq!(world.now.boot.since(asked).as_secs(), 3);
        assert_eq!(world.told, Some(Unknown));
    };
    check(|state| matches!(state, State::AwaitHost { .. }));
    check(|state| matches!(state, State::AwaitSent(_)));
    check(|state| matches!(state, State::AwaitSendingStored(_)));
}

/// The service stops while no byte has left: nothing more is sent.
#[test]
fn a_stop_before_a_byte_left_sends_nothing() {
    let mut world = World::sale(&[Fault::Bank(0, BankFault::LostBefore)]);
    world.begin();
    while !matches!(world.state(), State::AwaitRedial(_)) {
        world.advance();
    }
    world.tell(Event::Hurry);
    while world.advance() {}
    assert_eq!((world.told, world.result()), (Some(Failed), Some(ResultCode::Interrupted)));
    assert_eq!(world.bank.sales, []);
    assert!(!world.disk.owes(EntryType::Reversal));
}

/// A customer who is too slow cancels; one who acts at the last moment does not.
#[test]
fn a_card_inserted_at_the_last_moment_is_read() {
    let mut world = World::sale(&[]);
    world.begin();
    while !matches!(world.state(), State::AwaitPower { .. }) {
        world.advance();
    }
    world.now.boot = world.now.boot.after(super::makings::CUSTOMER_TIMEOUT);
    world.tell(Event::Tick);
    assert!(matches!(world.state(), State::AwaitPower { .. }));
    while world.advance() {}
    assert_eq!(world.told, Some(Approved));
}

/// Power-up fails three times; each time the customer is asked once more.
#[test]
fn a_card_that_never_powers_up_is_unreadable() {
    let mut world = World::sale(&[]);
    world.begin();
    for _ in 0..3 {
        while !matches!(world.state(), State::AwaitPower { .. }) {
            world.advance();
        }
        world.events.clear();
        world.tell(Event::CardFailed(CardTrouble::Unreadable));
    }
    while world.advance() {}
    assert_eq!((world.told, world.result()), (Some(Failed), Some(ResultCode::CardUnreadable)));
    assert_eq!(world.prompts.iter().filter(|prompt| **prompt == Prompt::TryAgain).count(), 2);
    assert_eq!(world.prompts.last(), Some(&Prompt::OtherMethod));
}

#[test]
fn a_sale_that_cannot_begin_fails() {
    let mut world = World::sale(&[]);
    world.begin();
    world.events.clear();
    world.tell(Event::NotBegun(ResultCode::NotSignedOn));
    while world.advance() {}
    assert_eq!((world.told, world.result()), (Some(Failed), Some(ResultCode::NotSignedOn)));
    assert_ne!(world.told, Some(Cancelled));
}

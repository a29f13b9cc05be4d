//! Aftercare: paper, signature, card and reversal in every combination and any order of events.
use super::super::Now;
use super::super::aftercare::{Aftercare, Do, Event, Plan};
use crate::domain::calendar::BootTime;
use crate::domain::outcome::{Ply, Prompt, TxnState};
use core::time::Duration;
use proptest::prelude::*;

const TEAR: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

fn plan() -> Plan {
    let plies = vec![Ply::Merchant, Ply::Customer];
    Plan { plies, tear_pause: TEAR, signature: false, card_in: false, unresolved: false, patience: PATIENCE }
}

fn now(boot: u64) -> Now {
    Now { boot: BootTime(boot), ..Now::default() }
}

/// Plays events, each with the state it leads to and what is to be done; `Tick` comes at the deadline.
fn check(plan: Plan, first: (TxnState, &[Do]), script: &[(Event, TxnState, &[Do])]) {
    let (mut machine, todo) = Aftercare::new(plan, now(1));
    assert_eq!((machine.state(), &todo[..]), first);
    for (event, state, expected) in script {
        let at = machine.deadline().filter(|_| *event == Event::Tick).unwrap_or_default();
        let (next, todo) = machine.step(*event, now(at.0));
        assert_eq!((next.state(), &todo[..]), (*state, *expected), "{event:?}");
        machine = next;
    }
    assert_eq!((machine.state(), machine.deadline()), (TxnState::Finished, None));
}

const PRINTED: Event = Event::PlyEnded { printed: true };
const HELD: Event = Event::PlyEnded { printed: false };
const TORN: Do = Do::Prompt(Prompt::TearReceipt);
const TAKE_CARD: Do = Do::Prompt(Prompt::RemoveCard);

#[test]
fn two_plies_come_with_a_pause_to_tear() {
    check(
        plan(),
        (TxnState::PrintingMerchant, &[Do::Print(Ply::Merchant)]),
        &[
            (PRINTED, TxnState::WaitingTear, &[TORN]),
            (Event::Tick, TxnState::PrintingCustomer, &[Do::Print(Ply::Customer)]),
            (PRINTED, TxnState::Finished, &[]),
        ],
    );
}

/// Paper that is held does not hold the customer.
#[test]
fn held_plies_hold_nobody() {
    check(
        Plan { signature: true, ..plan() },
        (TxnState::PrintingMerchant, &[Do::Print(Ply::Merchant)]),
        &[(HELD, TxnState::PrintingCustomer, &[Do::Print(Ply::Customer)]), (HELD, TxnState::Finished, &[])],
    );
}

#[test]
fn a_signature_is_asked_on_the_merchant_ply() {
    let asked: &[Do] = &[Do::Prompt(Prompt::CheckSignature), Do::AskSignature];
    let customer = Do::Print(Ply::Customer);
    let before =
        [(PRINTED, TxnState::WaitingTear, &[TORN][..]), (Event::Tick, TxnState::WaitingSignature, asked)];
    for (event, todo) in [
        (Event::Signature(Some(true)), vec![customer]),
        (Event::Signature(Some(false)), vec![Do::SignatureRefused, customer]),
        (Event::Signature(None), vec![customer]),
        (Event::Tick, vec![Do::Withdraw, customer]),
    ] {
        let script = [
            before[0],
            before[1],
            (event, TxnState::PrintingCustomer, &todo[..]),
            (PRINTED, TxnState::Finished, &[]),
        ];
        let plan = Plan { signature: true, ..plan() };
        check(plan, (TxnState::PrintingMerchant, &[Do::Print(Ply::Merchant)]), &script);
    }
}

/// With three plies, merchant and bank keep one with a signature: it is asked about once, when both are torn off; and
/// also where only the first of them came.
#[test]
fn a_signature_is_asked_when_the_banks_ply_is_torn_off() {
    let asked: &[Do] = &[Do::Prompt(Prompt::CheckSignature), Do::AskSignature];
    let (bank, customer) = (Do::Print(Ply::Bank), Do::Print(Ply::Customer));
    let plan = Plan { plies: vec![Ply::Merchant, Ply::Bank, Ply::Customer], signature: true, ..plan() };
    let first = (TxnState::PrintingMerchant, &[Do::Print(Ply::Merchant)][..]);
    let end = [
        (Event::Signature(Some(true)), TxnState::PrintingCustomer, &[customer][..]),
        (PRINTED, TxnState::Finished, &[]),
    ];
    let torn = [
        (PRINTED, TxnState::WaitingTear, &[TORN][..]),
        (Event::Tick, TxnState::PrintingMerchant, &[bank]),
        (PRINTED, TxnState::WaitingTear, &[TORN]),
        (Event::Tick, TxnState::WaitingSignature, asked),
    ];
    check(plan.clone(), first, &[&torn[..], &end].concat());
    let held = (HELD, TxnState::WaitingSignature, asked);
    check(plan, first, &[&torn[..2], &[held], &end].concat());
}

#[test]
fn without_paper_the_card_goes_home() {
    let plan = Plan { plies: Vec::new(), card_in: true, ..plan() };
    check(
        plan.clone(),
        (TxnState::RemoveCard, &[TAKE_CARD]),
        &[(Event::CardRemoved, TxnState::Finished, &[])],
    );
    // Nobody takes it: the till does not wait for ever.
    check(plan, (TxnState::RemoveCard, &[TAKE_CARD]), &[(Event::Tick, TxnState::Finished, &[])]);
}

/// Money is decided: the card may go while paper comes, and is then not asked for again.
#[test]
fn a_card_taken_while_paper_comes_is_not_asked_for_again() {
    let plan = Plan { plies: vec![Ply::Merchant], card_in: true, ..plan() };
    let first = (TxnState::PrintingMerchant, &[Do::Print(Ply::Merchant), TAKE_CARD][..]);
    check(
        plan.clone(),
        first,
        &[(Event::CardRemoved, TxnState::PrintingMerchant, &[]), (PRINTED, TxnState::Finished, &[])],
    );
    check(
        plan,
        first,
        &[(PRINTED, TxnState::RemoveCard, &[TAKE_CARD]), (Event::CardRemoved, TxnState::Finished, &[])],
    );
}

#[test]
fn an_unknown_outcome_waits_for_its_reversal_and_then_for_the_card() {
    let plan = Plan { plies: Vec::new(), card_in: true, unresolved: true, ..plan() };
    check(
        plan.clone(),
        (TxnState::Resolving, &[TAKE_CARD]),
        &[
            (Event::Resolved, TxnState::RemoveCard, &[TAKE_CARD]),
            (Event::CardRemoved, TxnState::Finished, &[]),
        ],
    );
    check(
        plan,
        (TxnState::Resolving, &[TAKE_CARD]),
        &[(Event::CardRemoved, TxnState::Resolving, &[]), (Event::Resolved, TxnState::Finished, &[])],
    );
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let plies = prop::sample::select(vec![
        Vec::new(),
        vec![Ply::Merchant],
        vec![Ply::Customer],
        vec![Ply::Merchant, Ply::Customer],
        vec![Ply::Merchant, Ply::Bank, Ply::Customer],
    ]);
    (plies, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(plies, signature, card_in, unresolved)| Plan { plies, signature, card_in, unresolved, ..plan() },
    )
}

fn any_event() -> impl Strategy<Value = (Event, u64)> {
    let event = prop_oneof![
        3 => any::<bool>().prop_map(|printed| Event::PlyEnded { printed }),
        1 => any::<Option<bool>>().prop_map(Event::Signature),
        1 => Just(Event::CardRemoved),
        1 => Just(Event::Resolved),
        3 => Just(Event::Tick),
    ];
    (event, 0..200_000_000_u64)
}

proptest! {
    /// Any order of events: each ply once and in order, one question at most, no end before the reversal has
    /// ended, and nothing after the end.
    #[test]
    fn any_order_of_events_keeps_the_rules(
        plan in any_plan(),
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let (mut machine, mut all) = Aftercare::new(plan.clone(), now(1));
        let mut resolved = !plan.unresolved;
        for (event, boot) in events {
            resolved |= event == Event::Resolved;
            let finished = machine.state() == TxnState::Finished;
            let (next, todo) = machine.step(event, now(boot));
            machine = next;
            prop_assert!(!finished || (todo.is_empty() && machine.state() == TxnState::Finished));
            prop_assert!(resolved || machine.state() != TxnState::Finished);
            all.extend(todo);
        }
        let printed: Vec<Ply> =
            all.iter().filter_map(|todo| if let Do::Print(ply) = todo { Some(*ply) } else { None }).collect();
        prop_assert!(plan.plies.starts_with(&printed));
        let asked = all.iter().filter(|todo| **todo == Do::AskSignature).count();
        prop_assert!(asked <= usize::from(plan.signature));
    }
}

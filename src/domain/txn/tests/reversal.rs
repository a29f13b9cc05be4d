//! One reversal: what is stored before what is sent, what each answer leads to, and any order of events.
use super::super::reversal::{Due, End, Event, Limits, Local, Reversal};
use super::super::{Effects, Garbled, Now, Vital};
use super::world::{BankFault, Fault, RESPONSE_TIMEOUT, World};
use crate::domain::calendar::BootTime;
use crate::domain::ident::ResponseCode;
use crate::domain::outcome::QueueState;
use crate::domain::record::Record;
use proptest::prelude::*;

const ATTEMPTS: u32 = 3;

fn limits() -> Limits {
    Limits { attempts_max: ATTEMPTS, response_timeout: RESPONSE_TIMEOUT, ask_again: true }
}

/// The obligation of a sale whose answer was lost.
fn due() -> Due {
    let mut world = World::sale(&[Fault::Bank(0, BankFault::LoseReply)]);
    world.begin();
    while world.advance() {}
    Due::of(world.disk.row.as_ref().unwrap()).unwrap()
}

fn code(text: &str) -> Event {
    Event::Answered(ResponseCode::new(text).unwrap())
}

type Step = (Reversal, Effects<Local, Due>);

fn tell(machine: Reversal, events: &[Event]) -> Step {
    let mut step = (machine, Effects { local: Vec::new(), vital: Vital::Nothing });
    for event in events {
        step = step.0.step(event.clone(), Now::default());
    }
    step
}

/// A run whose request is out.
fn asked(due: Due, limits: Limits) -> Reversal {
    tell(Reversal::new(due, limits), &[Event::LineReady, Event::Stored, Event::RequestSent]).0
}

/// Gives an answer, stores what it leads to, and compares state, end, and whether a new sign-on is wanted.
fn check(machine: Reversal, answer: Event, state: QueueState, end: End, sign_on: bool) -> Due {
    let (machine, effects) = machine.step(answer, Now::default());
    let Vital::Store(records) = &effects.vital else { panic!("{effects:?}") };
    assert!(
        matches!(&records[..], [Record::QueueState { state: stored, .. }] if *stored == state),
        "{records:?}"
    );
    assert_eq!(effects.local == [Local::DropSignOn], sign_on);
    assert_eq!(machine.ended(), None, "the verdict is not durable yet");
    let (machine, _) = machine.step(Event::Stored, Now::default());
    assert_eq!(machine.ended(), Some(end));
    assert_eq!(machine.due().state, state);
    machine.due().clone()
}

#[test]
fn an_attempt_is_durable_before_its_first_byte() {
    let (machine, effects) = tell(Reversal::new(due(), limits()), &[Event::LineReady]);
    let Vital::Store(records) = effects.vital else { panic!("nothing is stored") };
    assert!(matches!(records[..], [Record::QueueAttempt { .. }]));
    let (machine, effects) = machine.step(Event::Stored, Now::default());
    let Vital::Send(sent) = effects.vital else { panic!("nothing is sent") };
    assert_eq!((sent.attempts, sent.stan), (1, due().stan));
    assert_eq!(machine.due().attempts, 1);
}

#[test]
fn without_a_line_no_attempt_is_counted() {
    let (machine, effects) =
        tell(Reversal::new(due(), limits()), &[Event::LineFailed("no route".to_owned())]);
    assert_eq!((machine.ended(), effects.vital), (Some(End::NoLine), Vital::Nothing));
    assert_eq!((machine.due().attempts, machine.due().last_error.as_str()), (0, "no route"));
}

/// What the journal did not take did not happen: no attempt, no verdict.
#[test]
fn what_is_not_stored_is_not_remembered() {
    let (machine, effects) = tell(Reversal::new(due(), limits()), &[Event::LineReady, Event::StoreFailed]);
    assert_eq!((machine.ended(), effects.vital), (Some(End::StorageFault), Vital::Nothing));
    assert_eq!(machine.due(), &due());
    for answer in ["00", "25", "96", "A0"] {
        let before = asked(due(), limits());
        let kept = before.due().clone();
        let (machine, _) = tell(before, &[code(answer), Event::StoreFailed]);
        assert_eq!(machine.ended(), Some(End::StorageFault));
        assert_eq!(machine.due(), &kept, "{answer}");
        assert!(machine.due().blocks_trading());
    }
}

#[test]
fn it_is_done_on_00_and_12() {
    for answer in ["00", "12"] {
        check(asked(due(), limits()), code(answer), QueueState::Done, End::Done, false);
    }
}

/// 25 no longer blocks trading, is asked once more, and is then done.
#[test]
fn not_found_is_asked_once_more() {
    let once = check(asked(due(), limits()), code("25"), QueueState::Due, End::AskAgain, false);
    assert!(once.ask_again && !once.blocks_trading());
    // No answer the second time leaves it as it is, however often.
    let mut open = once.clone();
    for _ in 0..ATTEMPTS + 2 {
        open = check(asked(open, limits()), Event::LineLost, QueueState::Due, End::StillDue, false);
        assert!(!open.blocks_trading());
    }
    check(asked(open, limits()), code("25"), QueueState::Done, End::Done, false);
}

/// The profile may say that a bank that finds nothing is never asked again.
#[test]
fn not_found_is_done_where_nobody_asks_again() {
    let limits = Limits { ask_again: false, ..limits() };
    check(asked(due(), limits), code("25"), QueueState::Done, End::Done, false);
}

#[test]
fn other_answers_and_silence_leave_it_due_until_the_attempts_are_used_up() {
    let deadline = asked(due(), limits()).deadline().unwrap();
    let late = Now { boot: deadline, ..Now::default() };
    for answer in [
        code("96"),
        Event::Garbled(Garbled::Content),
        Event::Garbled(Garbled::Mac),
        Event::LineLost,
        Event::Tick,
    ] {
        let mut open = due();
        for attempt in 1..=ATTEMPTS {
            let machine = asked(open, limits());
            let (state, end) = match attempt {
                ATTEMPTS => (QueueState::Failed, End::Failed),
                _ => (QueueState::Due, End::StillDue),
            };
            open = match answer {
                Event::Tick => {
                    let (machine, effects) = machine.step(Event::Tick, late);
                    assert!(matches!(effects.vital, Vital::Store(_)));
                    let (machine, _) = machine.step(Event::Stored, late);
                    assert_eq!(machine.ended(), Some(end));
                    machine.due().clone()
                }
                ref other => check(machine, other.clone(), state, end, false),
            };
            assert_eq!((open.attempts, open.state), (attempt, state));
        }
        assert!(!open.blocks_trading(), "the limit only unblocks trading");
        // It is tried again all the same, and may still be done.
        check(asked(open, limits()), code("00"), QueueState::Done, End::Done, false);
    }
}

/// A0 asks for a new sign-on first; twice in a row is failed.
#[test]
fn a_refused_mac_is_tried_once_more_after_a_sign_on() {
    let once = check(asked(due(), limits()), code("A0"), QueueState::Due, End::StillDue, true);
    let failed = check(asked(once.clone(), limits()), code("A0"), QueueState::Failed, End::Failed, false);
    assert_eq!(failed.last_error, "MacError");
    // Silence in between is no answer; another answer is.
    let silence =
        check(asked(once.clone(), limits()), Event::LineLost, QueueState::Due, End::StillDue, false);
    check(
        asked(silence, Limits { attempts_max: 9, ..limits() }),
        code("A0"),
        QueueState::Failed,
        End::Failed,
        false,
    );
    let other = check(asked(once, limits()), code("96"), QueueState::Due, End::StillDue, false);
    check(
        asked(other, Limits { attempts_max: 9, ..limits() }),
        code("A0"),
        QueueState::Due,
        End::StillDue,
        true,
    );
}

#[test]
fn keys_that_the_bank_refuses_ask_for_a_sign_on() {
    for answer in ["77", "99"] {
        check(asked(due(), limits()), code(answer), QueueState::Due, End::StillDue, true);
    }
}

/// An answer can overtake the note that the socket took the request.
#[test]
fn an_answer_before_the_note_of_sending_counts() {
    let (machine, _) = tell(Reversal::new(due(), limits()), &[Event::LineReady, Event::Stored]);
    check(machine, code("00"), QueueState::Done, End::Done, false);
}

fn any_event() -> impl Strategy<Value = (Event, u64)> {
    let event = prop_oneof![
        3 => Just(Event::LineReady),
        1 => Just(Event::LineFailed("no route".to_owned())),
        5 => Just(Event::Stored),
        1 => Just(Event::StoreFailed),
        3 => Just(Event::RequestSent),
        2 => prop::sample::select(vec!["00", "12", "25", "96", "A0", "77"]).prop_map(code),
        1 => prop::sample::select(vec![Garbled::Content, Garbled::Mac]).prop_map(Event::Garbled),
        1 => Just(Event::LineLost),
        2 => Just(Event::Tick),
    ];
    (event, 0..100_000_000_u64)
}

proptest! {
    /// Any order of events: never a 0400 without its counted attempt, never an end without its durable
    /// verdict.
    #[test]
    fn any_order_of_events_keeps_the_rules(events in prop::collection::vec(any_event(), 0..40)) {
        let mut machine = Reversal::new(due(), limits());
        let (mut attempts, mut verdict, mut out) = (0, None, None);
        for (event, boot) in events {
            let ended = machine.ended();
            let kept = machine.due().clone();
            if event == Event::Stored {
                match out.take() {
                    Some(Record::QueueAttempt { .. }) => attempts += 1,
                    Some(Record::QueueState { state, .. }) => verdict = Some(state),
                    _ => {}
                }
            } else if event == Event::StoreFailed {
                out = None;
            }
            let now = Now { boot: BootTime(boot), ..Now::default() };
            let (next, effects) = machine.step(event, now);
            machine = next;
            match effects.vital {
                Vital::Nothing => {}
                Vital::Store(records) => {
                    prop_assert!(out.is_none() && records.len() == 1);
                    out = records.into_iter().next();
                }
                Vital::Send(due) => prop_assert_eq!((attempts, due.attempts), (1, 1)),
            }
            if ended.is_some() {
                prop_assert_eq!(machine.ended(), ended);
                prop_assert_eq!(machine.due(), &kept);
            }
            if let Some(End::Done | End::Failed | End::AskAgain | End::StillDue) = machine.ended() {
                prop_assert_eq!(Some(machine.due().state), verdict);
            }
        }
    }
}

//! One run of one entry: what is stored before what is sent, what each answer leads to, and any order of events.
use super::super::delivery::{Delivery, End, Event, Limits, Local};
use super::super::{Entry, LATE};
use super::{code, entry};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::ident::{Rrn, Stan};
use crate::domain::outcome::{EntryType, QueueState};
use crate::domain::profile::{LateUploads, Profile, UnsignedRefusals};
use crate::domain::record::{HostFacts, Record};
use crate::domain::txn::{Effects, Garbled, Now, Vital};
use core::time::Duration;
use proptest::prelude::*;
use std::sync::Arc;

use EntryType::{Advice, OfflineSale, Reversal, Script};

const ATTEMPTS: u32 = 3;
const SENDABLE: [EntryType; 4] = [Reversal, Script, OfflineSale, Advice];
const UPLOADS: [EntryType; 2] = [OfflineSale, Advice];

fn limits() -> Limits {
    let mut profile = Profile::clone(&Profile::unionpay());
    (profile.reversal_attempts, profile.upload_attempts) = (ATTEMPTS, ATTEMPTS);
    let profile = Arc::new(profile);
    Limits { profile, response_timeout: Duration::from_secs(60), tls: false, late_after: None }
}

fn host(text: &str) -> HostFacts {
    let rrn = Some(Rrn::new("093000000009").unwrap());
    HostFacts { response_code: Some(code(text)), rrn, ..HostFacts::default() }
}

fn answer(text: &str) -> Event {
    Event::Answered { host: Box::new(host(text)), signed: true }
}

fn unsigned(text: &str) -> Event {
    Event::Answered { host: Box::new(host(text)), signed: false }
}

/// The journal's word on an attempt: a script result takes a STAN of its own.
fn attempt_stored() -> Event {
    Event::Stored(Some(Stan::new(99).unwrap()))
}

type Step = (Delivery, Effects<Local, Entry>);

fn tell(machine: Delivery, events: &[Event]) -> Step {
    let mut step = (machine, Effects { local: Vec::new(), vital: Vital::Nothing });
    for event in events {
        step = step.0.step(event.clone(), Now::default());
    }
    step
}

/// A run whose request is out.
fn asked(entry: Entry, limits: Limits) -> Delivery {
    tell(Delivery::new(entry, limits), &[Event::LineReady, attempt_stored(), Event::RequestSent]).0
}

/// Gives an answer, stores what it leads to, and compares state, end, and whether a new sign-on is wanted.
fn check(machine: Delivery, answer: Event, state: QueueState, end: End, sign_on: bool) -> Entry {
    let (machine, effects) = machine.step(answer.clone(), Now::default());
    let Vital::Store(records) = &effects.vital else { panic!("{effects:?}") };
    assert!(
        matches!(&records[..], [Record::QueueState { state: stored, .. }] if *stored == state),
        "{answer:?}: {records:?}"
    );
    assert_eq!(effects.local == [Local::DropSignOn], sign_on, "{answer:?}");
    assert_eq!(machine.ended(), None, "the verdict is not durable yet");
    let (machine, _) = machine.step(Event::Stored(None), Now::default());
    assert_eq!(machine.ended(), Some(end));
    assert_eq!(machine.entry().state, state);
    machine.entry().clone()
}

/// No byte leaves before its attempt is counted durably; a script result takes its number with the first one and
/// keeps it.
#[test]
fn an_attempt_is_durable_before_its_first_byte() {
    for entry_type in SENDABLE {
        let (machine, effects) = tell(Delivery::new(entry(1, entry_type), limits()), &[Event::LineReady]);
        let Vital::Store(records) = effects.vital else { panic!("nothing is stored") };
        assert!(matches!(records[..], [Record::QueueAttempt { .. }]));
        let (machine, effects) = machine.step(attempt_stored(), Now::default());
        let Vital::Send(sent) = effects.vital else { panic!("nothing is sent") };
        let stan = if entry_type == Script { 99 } else { 1 };
        assert_eq!((sent.attempts, sent.stan().map(Stan::get)), (1, Some(stan)));
        assert_eq!(machine.entry().attempts, 1);
        // The next run repeats the number, whatever the journal says.
        let again = tell(Delivery::new((*sent).clone(), limits()), &[Event::LineReady, Event::Stored(None)]);
        let Vital::Send(repeated) = again.1.vital else { panic!("nothing is sent") };
        assert_eq!((repeated.attempts, repeated.stan()), (2, sent.stan()));
    }
}

/// A script result without a number cannot leave.
#[test]
fn without_a_stan_nothing_leaves() {
    let run = Delivery::new(entry(1, Script), limits());
    let (machine, effects) = tell(run, &[Event::LineReady, Event::Stored(None)]);
    assert_eq!((machine.ended(), effects.vital), (Some(End::StorageFault), Vital::Nothing));
}

#[test]
fn without_a_line_no_attempt_is_counted() {
    for entry_type in SENDABLE {
        let run = Delivery::new(entry(1, entry_type), limits());
        let (machine, effects) = tell(run, &[Event::LineFailed("no route".to_owned())]);
        assert_eq!((machine.ended(), effects.vital), (Some(End::NoLine), Vital::Nothing));
        assert_eq!((machine.entry().attempts, machine.entry().last_error.as_str()), (0, "no route"));
    }
}

/// What the journal did not take did not happen: no attempt, no verdict.
#[test]
fn what_is_not_stored_is_not_remembered() {
    for entry_type in SENDABLE {
        let fresh = entry(1, entry_type);
        let run = Delivery::new(fresh.clone(), limits());
        let (machine, effects) = tell(run, &[Event::LineReady, Event::StoreFailed]);
        assert_eq!((machine.ended(), effects.vital), (Some(End::StorageFault), Vital::Nothing));
        assert_eq!(machine.entry(), &fresh);
        for text in ["00", "25", "51", "96", "A0"] {
            let before = asked(fresh.clone(), limits());
            let kept = before.entry().clone();
            let (machine, _) = tell(before, &[answer(text), Event::StoreFailed]);
            assert_eq!(machine.ended(), Some(End::StorageFault));
            assert_eq!(machine.entry(), &kept, "{text}");
            assert!(machine.entry().goes_by_itself());
        }
    }
}

#[test]
fn a_reversal_is_done_on_00_and_12() {
    for text in ["00", "12"] {
        check(asked(entry(1, Reversal), limits()), answer(text), QueueState::Done, End::Done, false);
    }
}

/// 25 no longer blocks trading, is asked once more, and is then done.
#[test]
fn a_reversal_that_was_not_found_is_asked_once_more() {
    let run = asked(entry(1, Reversal), limits());
    let once = check(run, answer("25"), QueueState::Due, End::AskAgain, false);
    assert!(once.ask_again && !once.blocks_trading());
    // No answer the second time leaves it as it is, however often.
    let mut open = once;
    for _ in 0..ATTEMPTS + 2 {
        open = check(asked(open, limits()), Event::LineLost, QueueState::Due, End::Repeat, false);
        assert!(!open.blocks_trading() && open.waits_to_be_asked_again());
    }
    check(asked(open, limits()), answer("25"), QueueState::Done, End::Done, false);
}

/// The profile may say that a bank that finds nothing is never asked again.
#[test]
fn not_found_is_done_where_nobody_asks_again() {
    let mut limits = limits();
    Arc::make_mut(&mut limits.profile).repeat_not_found = Duration::ZERO;
    check(asked(entry(1, Reversal), limits), answer("25"), QueueState::Done, End::Done, false);
}

/// An upload is done when the bank has booked it, now or before; every other refusal is final.
#[test]
fn an_upload_is_booked_or_denied() {
    for entry_type in UPLOADS {
        let run = || asked(entry(1, entry_type), limits());
        for text in ["00", "94", "11", "A2"] {
            check(run(), answer(text), QueueState::Done, End::Done, false);
        }
        for text in ["05", "10", "12", "25", "51", "96", "ZZ"] {
            let denied = check(run(), answer(text), QueueState::Denied, End::Denied, false);
            assert_eq!(denied.last_error, format!("refused with {text}"));
            assert!(!denied.is_sendable(), "a refused upload is never sent again");
        }
    }
}

/// What a booking brings is kept with it; the facts of a repetition are not those of the booking.
#[test]
fn the_facts_of_a_booking_are_kept() {
    let facts = |entry_type, text| {
        let (_, effects) = tell(asked(entry(1, entry_type), limits()), &[answer(text)]);
        let Vital::Store(records) = effects.vital else { panic!("no verdict") };
        let [Record::QueueState { host, response_code, .. }] = &records[..] else { panic!("{records:?}") };
        assert_eq!(response_code.as_ref(), Some(&code(text)));
        host.clone().map(|host| *host)
    };
    assert_eq!(facts(OfflineSale, "00"), Some(host("00")));
    assert_eq!(facts(OfflineSale, "94"), None);
    assert_eq!(facts(OfflineSale, "51"), None);
    assert_eq!(facts(Reversal, "00"), None);
}

/// A script result is done with any answer: it moves no money, and the bank has it.
#[test]
fn a_script_result_is_done_when_it_is_answered() {
    for text in ["00", "12", "25", "51", "96"] {
        let done = check(asked(entry(1, Script), limits()), answer(text), QueueState::Done, End::Done, false);
        let noted = if text == "00" { String::new() } else { format!("answered with {text}") };
        assert_eq!(done.last_error, noted);
    }
}

/// Where the profile doubts answers without MAC and no TLS makes up for it, nobody ends an entry with one, whatever it
/// says: the attempt counts, and it goes again. Only a new sign-on is got by it. With TLS, or a profile that accepts
/// them, they are answers like others.
#[test]
fn an_answer_without_mac_ends_nothing_where_the_profile_says_so() {
    let reverse = || {
        let mut limits = limits();
        Arc::make_mut(&mut limits.profile).unsigned_refusals = UnsignedRefusals::Reverse;
        limits
    };
    for entry_type in SENDABLE {
        for text in ["12", "25", "94", "51", "96", "77", "A0", "ZZ"] {
            let mut open = entry(1, entry_type);
            for attempt in 1..=ATTEMPTS {
                let (state, end) = match attempt {
                    ATTEMPTS => (QueueState::Failed, End::Failed),
                    _ => (super::super::waiting_state(entry_type), End::Repeat),
                };
                let sign_on = ["77", "A0"].contains(&text);
                let run = asked(open, reverse());
                assert!(!tell(asked(run.entry().clone(), reverse()), &[unsigned(text)]).0.heard());
                open = check(run, unsigned(text), state, end, sign_on);
                assert_eq!((open.attempts, open.response_code.as_ref()), (attempt, None), "{text}");
                assert!(!open.ask_again && open.last_error.contains("without MAC"), "{}", open.last_error);
            }
            check(asked(open, reverse()), answer("00"), QueueState::Done, End::Done, false);
            let ended = |limits, answer| {
                let (machine, _) = tell(asked(entry(1, entry_type), limits), &[answer, Event::Stored(None)]);
                (machine.ended(), machine.entry().clone())
            };
            let believed = ended(limits(), answer(text));
            assert_eq!(ended(reverse(), answer(text)), believed, "signed {text}");
            assert_eq!(ended(limits(), unsigned(text)), believed, "accepted {text}");
            assert_eq!(ended(Limits { tls: true, ..reverse() }, unsigned(text)), believed, "{text} over TLS");
        }
    }
}

/// Silence leaves an entry where it is until its attempts are used up; then it has failed, and is never dropped.
#[test]
fn silence_uses_the_attempts_up() {
    let deadline = asked(entry(1, Script), limits()).deadline().unwrap();
    let late = Now { boot: deadline, ..Now::default() };
    for entry_type in SENDABLE {
        for silence in [
            Event::Garbled(Garbled::Content),
            Event::Garbled(Garbled::Mac),
            Event::LineLost,
            Event::Answered { host: Box::default(), signed: true },
            Event::Tick,
        ] {
            let mut open = entry(1, entry_type);
            for attempt in 1..=ATTEMPTS {
                let (state, end) = match attempt {
                    ATTEMPTS => (QueueState::Failed, End::Failed),
                    _ => (super::super::waiting_state(entry_type), End::Repeat),
                };
                let (machine, effects) = asked(open, limits()).step(silence.clone(), late);
                assert!(matches!(effects.vital, Vital::Store(_)), "{silence:?}");
                let (machine, _) = machine.step(Event::Stored(None), late);
                assert_eq!((machine.ended(), machine.heard()), (Some(end), false));
                open = machine.entry().clone();
                assert_eq!((open.attempts, open.state), (attempt, state));
            }
            assert!(!open.goes_first(), "the limit unblocks trading");
            // It is tried again all the same, and may still be done.
            check(asked(open, limits()), answer("00"), QueueState::Done, End::Done, false);
        }
    }
}

/// Other answers to a reversal leave it due until the attempts are used up.
#[test]
fn other_answers_leave_a_reversal_due() {
    let mut open = entry(1, Reversal);
    for attempt in 1..=ATTEMPTS {
        let last = attempt == ATTEMPTS;
        let (state, end) =
            if last { (QueueState::Failed, End::Failed) } else { (QueueState::Due, End::Repeat) };
        open = check(asked(open, limits()), answer("96"), state, end, false);
    }
    assert!(!open.blocks_trading());
}

/// A0 asks for a new sign-on first; twice in a row is failed.
#[test]
fn a_refused_mac_is_tried_once_more_after_a_sign_on() {
    let patient = || {
        let mut limits = limits();
        Arc::make_mut(&mut limits.profile).reversal_attempts = 9;
        Arc::make_mut(&mut limits.profile).upload_attempts = 9;
        limits
    };
    for entry_type in SENDABLE {
        let waits = super::super::waiting_state(entry_type);
        let run = |entry| asked(entry, patient());
        let once = check(run(entry(1, entry_type)), answer("A0"), waits, End::Repeat, true);
        let failed = check(run(once.clone()), answer("A0"), QueueState::Failed, End::Failed, false);
        assert_eq!(failed.last_error, "MacError");
        // Silence in between is no answer; another answer is.
        let silence = check(run(once.clone()), Event::LineLost, waits, End::Repeat, false);
        check(run(silence), answer("A0"), QueueState::Failed, End::Failed, false);
        let other = check(run(once), answer("77"), waits, End::Repeat, true);
        check(run(other), answer("A0"), waits, End::Repeat, true);
    }
}

#[test]
fn keys_that_the_bank_refuses_ask_for_a_sign_on() {
    for entry_type in SENDABLE {
        for text in ["77", "99"] {
            let waits = super::super::waiting_state(entry_type);
            check(asked(entry(1, entry_type), limits()), answer(text), waits, End::Repeat, true);
        }
    }
}

/// An upload that waited too long is marked late, or not sent at all where the bank refuses late ones.
#[test]
fn a_late_upload_is_marked_or_expires() {
    let hour = Duration::from_secs(3600);
    let old = Now { wall: WallTime(3_602_000_000), ..Now::default() };
    let just = Now { wall: WallTime(3_601_000_000), ..Now::default() };
    let begin = |entry_type, policy, late_after, now| {
        let mut limits = Limits { late_after, ..limits() };
        Arc::make_mut(&mut limits.profile).late_uploads = policy;
        Delivery::new(entry(1, entry_type), limits).step(Event::LineReady, now)
    };
    let attempts = |step: &Step| match &step.1.vital {
        Vital::Store(records) => matches!(records[..], [Record::QueueAttempt { .. }]),
        other => panic!("{other:?}"),
    };
    for entry_type in UPLOADS {
        let marked = |now| {
            let run = begin(entry_type, LateUploads::Send, Some(hour), now);
            assert!(attempts(&run));
            let (machine, _) = tell(run.0, &[attempt_stored(), Event::RequestSent, answer("00")]);
            let (machine, _) = tell(machine, &[Event::Stored(None)]);
            machine.entry().last_error.clone()
        };
        assert_eq!((marked(just).as_str(), marked(old).as_str()), ("", LATE));
        assert!(attempts(&begin(entry_type, LateUploads::Expire, Some(hour), just)));
        // Without a trusted clock nothing expires.
        assert!(attempts(&begin(entry_type, LateUploads::Expire, None, old)));
        let (machine, effects) = begin(entry_type, LateUploads::Expire, Some(hour), old);
        let Vital::Store(records) = effects.vital else { panic!("not stored") };
        assert!(matches!(records[..], [Record::QueueState { state: QueueState::Expired, .. }]));
        let (machine, _) = machine.step(Event::Stored(None), old);
        assert_eq!((machine.ended(), machine.entry().attempts), (Some(End::Expired), 0));
    }
    // A reversal and a script result are never too late.
    for entry_type in [Reversal, Script] {
        assert!(attempts(&begin(entry_type, LateUploads::Expire, Some(hour), old)));
    }
}

/// An answer can overtake the note that the socket took the request.
#[test]
fn an_answer_before_the_note_of_sending_counts() {
    let run = Delivery::new(entry(1, Reversal), limits());
    let (machine, _) = tell(run, &[Event::LineReady, attempt_stored()]);
    check(machine, answer("00"), QueueState::Done, End::Done, false);
}

fn any_event() -> impl Strategy<Value = (Event, u64)> {
    let event = prop_oneof![
        3 => Just(Event::LineReady),
        1 => Just(Event::LineFailed("no route".to_owned())),
        5 => Just(attempt_stored()),
        1 => Just(Event::StoreFailed),
        3 => Just(Event::RequestSent),
        2 => prop::sample::select(vec!["00", "12", "25", "94", "96", "A0", "77"]).prop_map(answer),
        1 => prop::sample::select(vec![Garbled::Content, Garbled::Mac]).prop_map(Event::Garbled),
        1 => Just(Event::LineLost),
        2 => Just(Event::Tick),
    ];
    (event, 0..100_000_000_u64)
}

proptest! {
    /// Any order of events, any type: never a message without its counted attempt, never an end without its durable
    /// verdict.
    #[test]
    fn any_order_of_events_keeps_the_rules(
        entry_type in prop::sample::select(SENDABLE.to_vec()),
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let mut machine = Delivery::new(entry(1, entry_type), limits());
        let (mut attempts, mut verdict, mut out) = (0, None, None);
        for (event, boot) in events {
            let ended = machine.ended();
            let kept = machine.entry().clone();
            if matches!(event, Event::Stored(_)) {
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
                Vital::Send(sent) => {
                    prop_assert_eq!((attempts, sent.attempts), (1, 1));
                    prop_assert!(sent.stan().is_some());
                }
            }
            if ended.is_some() {
                prop_assert_eq!(machine.ended(), ended);
                prop_assert_eq!(machine.entry(), &kept);
            }
            let stored = !matches!(machine.ended(), None | Some(End::NoLine | End::StorageFault));
            if stored {
                prop_assert_eq!(Some(machine.entry().state), verdict);
            }
        }
    }
}

//! Sign-on, sign-off and echo: what is stored before what is sent, what each answer leads to, and any order
//! of events.
use super::super::management::{Errand, Event, Local, Management, Request, SignOnAnswer};
use super::super::{Effects, Garbled, Now, Vital};
use super::makings::RESPONSE_TIMEOUT;
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::FaultName;
use crate::domain::ident::{ResponseCode, Stan};
use crate::domain::profile::Profile;
use crate::domain::record::{KeyRecord, Record};
use proptest::prelude::*;

fn stan() -> Stan {
    Stan::new(42).unwrap()
}

fn stored() -> Event {
    Event::Stored(Some(stan()))
}

fn code(text: &str) -> Event {
    Event::Answered(ResponseCode::new(text).unwrap())
}

fn accepted() -> Event {
    let keys = KeyRecord { block: vec![1; 40], tmk_check: [2; 4], loaded_at: WallTime(3) };
    Event::SignOn(Box::new(SignOnAnswer::Accepted { keys, new_master: None, batch: None, clock_offset: 5 }))
}

type Step = (Management, Effects<Local, Request>);

fn tell(errand: Errand, events: &[Event]) -> Step {
    let first = Effects { local: Vec::new(), vital: Vital::Nothing };
    events.iter().fold(
        (Management::new(errand, RESPONSE_TIMEOUT, Profile::unionpay()), first),
        |(machine, _), event| machine.step(event.clone(), Now::default()),
    )
}

/// The errand with its request out.
fn asked(errand: Errand, then: &[Event]) -> Step {
    let before: &[Event] = match errand {
        Errand::Echo | Errand::State => &[Event::LineReady, Event::RequestSent],
        Errand::SignOn | Errand::SignOff => &[Event::LineReady, stored(), Event::RequestSent],
    };
    tell(errand, &[before, then].concat())
}

fn check(step: Step, expected: Result<(), FaultName>) {
    let ended = step.0.ended().expect("it has ended");
    assert_eq!(ended.as_ref().map_err(|fault| fault.name).copied(), expected);
    assert_eq!(step.1.vital, Vital::Nothing);
    assert_eq!(step.0.phase(), "done");
}

#[test]
fn sign_on_and_sign_off_reserve_their_stan_before_the_first_byte() {
    for errand in [Errand::SignOn, Errand::SignOff] {
        let (machine, effects) = tell(errand, &[Event::LineReady]);
        assert_eq!(effects.vital, Vital::Store(vec![Record::ReserveStan]));
        let (_, effects) = machine.step(stored(), Now::default());
        assert_eq!(effects.vital, Vital::Send(Box::new(Request { errand, stan: Some(stan()) })));
    }
    let (_, effects) = tell(Errand::Echo, &[Event::LineReady]);
    assert_eq!(effects.vital, Vital::Send(Box::new(Request { errand: Errand::Echo, stan: None })));
}

#[test]
fn new_keys_are_used_once_they_are_durable() {
    let (machine, effects) = asked(Errand::SignOn, &[accepted()]);
    assert!(
        matches!(&effects.vital, Vital::Store(records) if matches!(records[..], [Record::SignedOn { .. }]))
    );
    assert_eq!((effects.local.len(), machine.ended()), (0, None));
    let (machine, effects) = machine.step(Event::Stored(None), Now::default());
    assert_eq!(effects.local, [Local::UseKeys]);
    check((machine, effects), Ok(()));
    check(asked(Errand::SignOn, &[accepted(), Event::StoreFailed]), Err(FaultName::StorageFault));
}

#[test]
fn a_sign_off_forgets_the_keys_durably() {
    let (_, effects) = asked(Errand::SignOff, &[code("00")]);
    assert_eq!(effects.vital, Vital::Store(vec![Record::SignedOff]));
    let (machine, effects) = asked(Errand::SignOff, &[code("00"), Event::Stored(None)]);
    assert_eq!(effects.local, [Local::DropKeys]);
    check((machine, effects), Ok(()));
}

#[test]
fn each_failure_has_its_name() {
    use Errand::{Echo, SignOff, SignOn};
    let sign_on = |answer| Event::SignOn(Box::new(answer));
    check(asked(Echo, &[code("00")]), Ok(()));
    check(asked(Echo, &[code("96")]), Err(FaultName::HostRejected));
    check(asked(SignOff, &[code("97")]), Err(FaultName::HostRejected));
    let refused = SignOnAnswer::Refused(ResponseCode::new("97").unwrap());
    check(asked(SignOn, &[sign_on(refused)]), Err(FaultName::HostRejected));
    check(asked(SignOn, &[sign_on(SignOnAnswer::KeysBad("PIK".to_owned()))]), Err(FaultName::KeysMissing));
    for errand in [SignOn, SignOff, Echo] {
        check(asked(errand, &[Event::Garbled(Garbled::Content)]), Err(FaultName::ProtocolError));
        check(asked(errand, &[Event::LineLost("reset".to_owned())]), Err(FaultName::HostUnreachable));
        check(asked(errand, &[Event::Cancel]), Err(FaultName::Cancelled));
        check(tell(errand, &[Event::LineFailed("no route".to_owned())]), Err(FaultName::HostUnreachable));
        check(tell(errand, &[Event::Cancel]), Err(FaultName::Cancelled));
        let (machine, _) = asked(errand, &[]);
        let late = Now { boot: machine.deadline().unwrap(), ..Now::default() };
        check(machine.step(Event::Tick, late), Err(FaultName::HostTimeout));
    }
    check(tell(SignOn, &[Event::LineReady, Event::StoreFailed]), Err(FaultName::StorageFault));
    check(tell(SignOn, &[Event::LineReady, Event::Stored(None)]), Err(FaultName::StorageFault));
}

/// A number that is never sent is a harmless gap.
#[test]
fn an_errand_can_be_cancelled_while_its_number_is_stored() {
    check(tell(Errand::SignOn, &[Event::LineReady, Event::Cancel]), Err(FaultName::Cancelled));
    let (machine, effects) = tell(Errand::SignOn, &[Event::LineReady, Event::Cancel, stored()]);
    check((machine, effects), Err(FaultName::Cancelled));
}

/// Only a sign-on brings keys, and only keys end a sign-on well.
#[test]
fn an_answer_to_another_errand_is_no_answer() {
    for errand in [Errand::SignOff, Errand::Echo] {
        check(asked(errand, &[accepted()]), Err(FaultName::ProtocolError));
    }
    check(asked(Errand::SignOn, &[code("00")]), Err(FaultName::ProtocolError));
}

fn any_event() -> impl Strategy<Value = (Event, u64)> {
    let event = prop_oneof![
        4 => Just(Event::LineReady),
        1 => Just(Event::LineFailed("no route".to_owned())),
        4 => Just(stored()),
        1 => Just(Event::Stored(None)),
        1 => Just(Event::StoreFailed),
        4 => Just(Event::RequestSent),
        2 => prop::sample::select(vec!["00", "97"]).prop_map(code),
        3 => Just(accepted()),
        1 => Just(Event::Garbled(Garbled::Mac)),
        1 => Just(Event::LineLost("reset".to_owned())),
        1 => Just(Event::Cancel),
        2 => Just(Event::Tick),
    ];
    (event, 0..100_000_000_u64)
}

proptest! {
    /// Any order of events: no request without its number, no keys without their record, one end.
    #[test]
    fn any_order_of_events_keeps_the_rules(
        errand in prop::sample::select(vec![Errand::SignOn, Errand::SignOff, Errand::Echo]),
        events in prop::collection::vec(any_event(), 0..40),
    ) {
        let mut machine = Management::new(errand, RESPONSE_TIMEOUT, Profile::unionpay());
        let (mut out, mut durable, mut sent): (Option<Record>, Vec<Record>, u32) = (None, Vec::new(), 0);
        for (event, boot) in events {
            let ended = machine.ended().cloned();
            match event {
                Event::Stored(_) => durable.extend(out.take()),
                Event::StoreFailed => out = None,
                _ => {}
            }
            let (next, effects) = machine.step(event, Now { boot: BootTime(boot), ..Now::default() });
            machine = next;
            match effects.vital {
                Vital::Nothing => {}
                Vital::Store(records) => {
                    prop_assert!(out.is_none() && records.len() == 1);
                    out = records.into_iter().next();
                }
                Vital::Send(request) => {
                    sent += 1;
                    let reserved = durable.contains(&Record::ReserveStan);
                    prop_assert_eq!(request.stan.is_some(), reserved);
                    prop_assert_eq!(reserved, errand != Errand::Echo);
                }
            }
            for local in effects.local {
                let record = durable.last();
                let allowed = match local {
                    Local::UseKeys => {
                        errand == Errand::SignOn && matches!(record, Some(Record::SignedOn { .. }))
                    }
                    Local::DropKeys => errand == Errand::SignOff && record == Some(&Record::SignedOff),
                };
                prop_assert!(allowed);
            }
            if ended.is_some() {
                prop_assert_eq!(machine.ended(), ended.as_ref());
            }
        }
        prop_assert!(sent <= 1);
    }
}

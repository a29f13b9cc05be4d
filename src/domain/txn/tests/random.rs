//! Any order of events: the sale never panics, never breaks the write-ahead rule, ends at most once and owes
//! what it must. Most events are what the world would say next, so that the walks get far; the rest are
//! strays.
use super::super::{Answer, CardTrouble, Event, Garbled};
use super::disk::StoreFault;
use super::makings::start;
use super::stripes::stripe;
use super::world::{Fault, World, answer, script};
use crate::domain::emv::apdu::{ResponseApdu, StatusWord};
use crate::domain::emv::params::Aid;
use crate::domain::emv::tests::{ARQC, TC, params, unhex};
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::outcome::ResultCode;
use crate::domain::secret::PinBlock;
use core::time::Duration;
use proptest::prelude::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Next {
    /// What the world says, or time if it says nothing.
    World,
    /// Something else, perhaps late, early, repeated or made up.
    Stray(Event),
    /// Time goes on.
    Wait(Duration),
}

fn host_answer() -> impl Strategy<Value = Event> {
    let code = prop::sample::select(vec!["00", "10", "51", "99", "A0"]);
    let authentication = prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
    let template = prop::sample::select(vec![0x71, 0x72]);
    (code, authentication, prop::collection::vec(template, 0..3)).prop_map(
        |(code, authentication, scripts)| {
            let mut answer = answer(code, start().amount);
            answer.issuer_authentication = authentication;
            answer.scripts = scripts.into_iter().map(script).collect();
            Event::HostAnswered(Box::new(answer))
        },
    )
}

fn card_answer() -> impl Strategy<Value = Event> {
    let data = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::sample::select(vec![unhex(ARQC), unhex(TC), Vec::new()]),
    ];
    let status = prop::sample::select(vec![0x9000, 0x6A82, 0x6A83, 0x6985, 0x6F00, 0x6283]);
    (data, status)
        .prop_map(|(data, status)| Event::CardAnswered(ResponseApdu { data, status: StatusWord(status) }))
}

fn stray() -> impl Strategy<Value = Event> {
    let result = || prop::sample::select(vec![ResultCode::ConnectFailed, ResultCode::NotSignedOn]);
    let answers = vec![
        Answer::Pin(PinBlock::new([1; 8])),
        Answer::PinBypassed,
        Answer::PinNotAvailable,
        Answer::Application(Aid::new(&[0xA0, 0, 0, 3, 0x33, 1, 1]).unwrap()),
        Answer::Yes(true),
        Answer::Yes(false),
        Answer::Cancelled,
    ];
    let numbers = Some((Stan::new(77).unwrap(), BatchNumber::FIRST));
    prop_oneof![
        Just(Event::Begun(Box::new(params()))),
        result().prop_map(Event::NotBegun),
        Just(Event::CardInserted),
        Just(Event::CardRemoved),
        Just(Event::CardPowered),
        card_answer(),
        prop::sample::select(vec![CardTrouble::Removed, CardTrouble::Unreadable, CardTrouble::Reader])
            .prop_map(Event::CardFailed),
        prop::sample::select(vec!["120", "201"]).prop_map(stripe),
        prop::sample::select(answers).prop_map(Event::AgentAnswered),
        Just(Event::AgentUnavailable),
        Just(Event::LineReady),
        result().prop_map(Event::LineFailed),
        prop::sample::select(vec![None, numbers]).prop_map(Event::Stored),
        Just(Event::StoreFailed),
        Just(Event::RequestSent),
        host_answer(),
        prop::sample::select(vec![Garbled::Content, Garbled::Mac]).prop_map(Event::HostGarbled),
        any::<bool>().prop_map(|wrote| Event::LineLost { wrote }),
        result().prop_map(Event::CancelRequested),
        Just(Event::Hurry),
        Just(Event::Tick),
    ]
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        16 => Just(Next::World),
        2 => stray().prop_map(Next::Stray),
        1 => (0..70_000_u64).prop_map(|ms| Next::Wait(Duration::from_millis(ms))),
    ]
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let store = prop::sample::select(vec![StoreFault::Once, StoreFault::Twice, StoreFault::TwiceButThere]);
    prop::collection::vec((0..4_usize, store).prop_map(|(n, fault)| Fault::Store(n, fault)), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_events_keeps_the_rules(
        faults in faults(),
        shape in 0..4_u8,
        walk in prop::collection::vec(next(), 10..80),
    ) {
        let world = World::sale(&faults).with_icc().unjudged();
        let mut world = match shape {
            0 => world,
            1 => world.with_choice(),
            2 => world.with_confirmation(),
            _ => world.with_signature().with_confirmation(),
        };
        world.begin();
        for next in walk {
            match next {
                Next::World => {
                    world.advance();
                }
                Next::Stray(event) => {
                    world.tell(event);
                }
                Next::Wait(time) => world.now.boot = world.now.boot.after(time),
            }
        }
    }
}

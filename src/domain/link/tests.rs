//! The policy over arbitrary days of links: what must hold whatever they do, and the named cases.
use super::policy::{Choice, Effect, Event, LinkStatus, Links, Outlook, Rules};
use super::{Class, LinkFacts, LinkKind, LinkName, LinkReason, LinkState, Trial, Why};
use crate::domain::calendar::BootTime;
use core::time::Duration;
use proptest::prelude::*;

const CABLE: LinkName = LinkName::first(LinkKind::Ethernet);
const WIFI: LinkName = LinkName::first(LinkKind::Wifi);
const LTE: LinkName = LinkName::first(LinkKind::Cellular);
const ALL: [LinkName; 3] = [CABLE, WIFI, LTE];

fn rules() -> Rules {
    Rules { preference: LinkKind::ALL.to_vec(), probe: Some(Duration::from_secs(60)), metered_limit: 1_000 }
}

fn facts(name: LinkName, state: LinkState, reason: Option<LinkReason>) -> LinkFacts {
    LinkFacts {
        interface: format!("if-{name}"),
        state,
        reason,
        address: "192.0.2.1".to_owned(),
        metered: name.kind == LinkKind::Cellular,
        ..LinkFacts::new(name)
    }
}

fn up(name: LinkName) -> LinkFacts {
    facts(name, LinkState::Connected, None)
}

fn seen(links: Vec<LinkFacts>) -> Event {
    Event::Seen { links, month: 1 }
}

/// Links in a day: time runs on, effects are collected.
struct Day {
    links: Links,
    now: BootTime,
    did: Vec<Effect>,
}

impl Day {
    fn of(up_now: &[LinkName]) -> Self {
        let mut day = Self { links: Links::new(rules()), now: BootTime(1_000_000), did: Vec::new() };
        day.does(seen(up_now.iter().copied().map(up).collect()));
        day
    }

    fn does(&mut self, event: Event) {
        let (links, effects) = self.links.clone().step(event, self.now);
        self.links = links;
        self.did.extend(effects);
    }

    fn tries(&mut self, name: LinkName, trial: Trial, times: u32) {
        for _ in 0..times {
            self.does(Event::Tried(name, trial));
        }
    }

    /// Time runs from deadline to deadline; probes end as `answers` says.
    fn runs(&mut self, seconds: u64, answers: impl Fn(LinkName) -> bool) {
        let end = self.now.after(Duration::from_secs(seconds));
        let mut waiting: Vec<Effect> = self.did.clone();
        for _ in 0..10_000 {
            for effect in waiting.drain(..) {
                if let Effect::Probe(name) = effect {
                    let trial = if answers(name) { Trial::Answered } else { Trial::Silent };
                    self.does(Event::Tried(name, trial));
                }
            }
            let Some(at) = self.links.deadline(self.now).filter(|at| *at <= end) else { break };
            self.now = at.max(self.now);
            let known = self.did.len();
            self.does(Event::Tick);
            waiting = self.did[known..].to_vec();
        }
        self.now = end;
        self.does(Event::Tick);
    }

    fn attempts(&self, class: Class) -> Vec<Choice> {
        let mut tried = Vec::new();
        let each = |_| {
            let choice = self.links.choose(&tried, class, self.now);
            if let Choice::Link(name, _) = choice {
                tried.push(name);
            }
            choice
        };
        (1..=3).map(each).collect()
    }
}

fn any_link() -> impl Strategy<Value = LinkName> {
    (0_usize..3).prop_map(|at| ALL[at])
}

fn any_facts() -> impl Strategy<Value = LinkFacts> {
    let reason = prop::option::of((0..LinkReason::ALL.len()).prop_map(|at| LinkReason::ALL[at]));
    let state = (0..LinkState::ALL.len()).prop_map(|at| LinkState::ALL[at]);
    (any_link(), state, reason, 0_u8..3, prop::option::of(any::<bool>()), prop::option::of(0_u64..3_000))
        .prop_map(|(name, state, reason, address, internet, bytes)| LinkFacts {
            address: format!("192.0.2.{address}"),
            internet,
            bytes,
            ..facts(name, state, reason)
        })
}

fn any_event() -> impl Strategy<Value = Event> {
    let trial = prop_oneof![Just(Trial::Answered), Just(Trial::Silent)];
    prop_oneof![
        3 => prop::collection::vec(any_facts(), 0..4).prop_map(seen),
        6 => (any_link(), trial).prop_map(|(link, trial)| Event::Tried(link, trial)),
        1 => prop::option::of(any_link()).prop_map(Event::ExchangeBegan),
        1 => Just(Event::ExchangeEnded),
        3 => Just(Event::Tick),
    ]
}

fn any_day() -> impl Strategy<Value = Vec<(Event, u64)>> {
    prop::collection::vec((any_event(), 0_u64..200_000_000), 1..60)
}

proptest! {
    /// Goal: whatever links do, payment is never refused for its bytes, an exchange is never moved and nothing is done
    /// to its link, what a person must put right is left alone, and every deadline leads on in time.
    #[test]
    fn the_promises_hold_on_any_day(steps in any_day()) {
        let mut day = Day::of(&[]);
        let mut exchange: Option<Option<LinkName>> = None;
        for (event, later) in steps {
            day.now = BootTime(day.now.0 + later);
            match &event {
                Event::ExchangeBegan(link) => exchange = Some(*link),
                Event::ExchangeEnded => exchange = None,
                _ => {}
            }
            let before = day.links.in_use();
            day.did.clear();
            day.does(event);
            for effect in &day.did {
                let (Effect::Reconnect(link) | Effect::Reset(link) | Effect::Probe(link)
                | Effect::Returned(link)) = *effect;
                let of = day.links.facts(link).expect("effects are for links that exist");
                if let Effect::Reconnect(_) | Effect::Reset(_) = effect {
                    prop_assert_ne!(exchange, Some(Some(link)), "an exchange is under way on it");
                    let person = of.reason.is_some_and(LinkReason::needs_person);
                    prop_assert!(of.state == LinkState::Connected || !person, "{:?} is for a person", of.reason);
                }
                prop_assert!(exchange.is_none() || !matches!(effect, Effect::Probe(_)));
            }
            if exchange.is_some() {
                prop_assert_eq!(day.links.in_use(), before, "never moved");
            }
            prop_assert!(!day.attempts(Class::Payment).contains(&Choice::OverBudget));
            // Every attempt goes over a link that is up; together they reach as many of them as there are.
            let is_up = |name: &LinkName| day.links.facts(*name).is_some_and(LinkFacts::is_usable);
            let up: Vec<_> = ALL.into_iter().filter(is_up).collect();
            let mut used = Vec::new();
            for choice in day.attempts(Class::Payment) {
                match choice {
                    Choice::Link(name, _) => { prop_assert!(up.contains(&name)); used.push(name); }
                    Choice::Unbound => prop_assert!(up.is_empty()),
                    Choice::OverBudget => {}
                }
            }
            used.sort();
            used.dedup();
            prop_assert_eq!(used.len(), up.len());
            // A tick at the deadline moves it on: nobody turns in circles.
            if let Some(at) = day.links.deadline(day.now) {
                day.now = at.max(day.now);
                day.does(Event::Tick);
                let next = day.links.deadline(day.now);
                prop_assert!(next.is_none_or(|next| next > day.now), "{:?}", day.links);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Goal: however a preferred link comes and goes beside one that works, the line moves seldom: each fall costs it
    /// twice the trust of the one before.
    #[test]
    fn a_flapping_link_moves_the_line_seldom(ups in prop::collection::vec((1_u64..400, 1_u64..60), 1..120)) {
        let (moves, most) = moves_of(&ups);
        prop_assert!(moves <= most, "{moves} moves, {most} are seldom");
    }
}

/// How often the line moves while the cable is there and gone for so many seconds, and how often it may.
fn moves_of(ups: &[(u64, u64)]) -> (u64, u64) {
    let mut day = Day::of(&[CABLE, WIFI]);
    let (mut moves, begun) = (0, day.now);
    for (good, bad) in ups {
        for (seconds, links) in [(good, vec![CABLE, WIFI]), (bad, vec![WIFI])] {
            let before = day.links.in_use();
            day.does(seen(links.into_iter().map(up).collect()));
            moves += u64::from(before != day.links.in_use());
            let before = day.links.in_use();
            day.runs(*seconds, |_| true);
            moves += u64::from(before != day.links.in_use());
        }
    }
    (moves, 6 + day.now.since(begun).as_secs() / 60 / 2)
}

/// Goal: the same, where each fall took the device away and with it, once, what was known of it.
#[test]
fn a_plug_that_comes_and_goes_moves_the_line_seldom() {
    let (moves, most) = moves_of(&[(1, 1), (1, 1), (1, 1), (60, 1), (60, 1), (1, 1), (60, 1), (60, 1)]);
    assert!(moves <= most, "{moves} moves, {most} are seldom");
}

/// Goal: a link whose device is pulled and plugged again is the one that fell before, with its falls and its bytes.
#[test]
fn a_device_that_was_pulled_is_remembered() {
    let with_bytes = |bytes| LinkFacts { bytes: Some(bytes), ..up(LTE) };
    let mut day = Day::of(&[WIFI]);
    day.does(seen(vec![with_bytes(1_000), up(WIFI)]));
    let month = |day: &Day| {
        let of = |status: &LinkStatus| status.facts.name == LTE;
        day.links.status(day.now).into_iter().find(of).map(|status| (status.month_bytes, status.reason))
    };
    let mut total = month(&day).unwrap().0;
    for fall in 1..=3 {
        day.does(Event::Tried(LTE, Trial::Answered));
        day.does(seen(vec![with_bytes(5_000), up(WIFI)]));
        total = month(&day).unwrap().0.max(total);
        day.does(seen(vec![up(WIFI)]));
        assert_eq!(month(&day), None, "it is not there");
        day.does(seen(vec![with_bytes(0), up(WIFI)]));
        let (bytes, reason) = month(&day).unwrap();
        assert_eq!((bytes, reason.is_some()), (total, fall > 1), "after fall {fall}");
    }
    // Any number of devices that come once: the memory has a size.
    let number = |number| LinkName { kind: LinkKind::Wifi, number };
    for other in 2..60 {
        day.does(seen(vec![up(number(other))]));
    }
    assert!(format!("{:?}", day.links).matches("LinkFacts").count() < 12);
}

/// Goal: the best link is used at once at a start, and one that dies gives way at once.
#[test]
fn a_link_without_carrier_gives_way_at_once() {
    let mut day = Day::of(&[CABLE, WIFI, LTE]);
    assert_eq!(day.links.in_use(), Some(CABLE));
    assert!(day.did.contains(&Effect::Returned(CABLE)));
    day.does(seen(vec![
        facts(CABLE, LinkState::Unavailable, Some(LinkReason::NoCarrier)),
        up(WIFI),
        up(LTE),
    ]));
    assert_eq!(day.links.in_use(), Some(WIFI));
    assert!(day.did.contains(&Effect::Returned(WIFI)), "what waits is tried over the other one");
    assert_eq!(day.links.outlook(), Outlook::Yes);
    day.does(seen(vec![]));
    assert_eq!((day.links.in_use(), day.links.outlook()), (None, Outlook::Unknown));
    assert_eq!(day.attempts(Class::Payment), vec![Choice::Unbound; 3]);
}

/// Goal: each of three attempts goes over another link, the one in use first, and says why.
#[test]
fn three_attempts_three_links() {
    let day = Day::of(&[CABLE, WIFI, LTE]);
    let link = |name, why| Choice::Link(name, why);
    let wanted =
        [link(CABLE, Why::InUse), link(WIFI, Why::NextAfterFailure), link(LTE, Why::NextAfterFailure)];
    assert_eq!(day.attempts(Class::Payment), wanted);
    assert_eq!(Day::of(&[LTE]).attempts(Class::Payment), vec![link(LTE, Why::Only); 3]);
    // One that dies between two attempts moves the order, and is not met again for that.
    let mut day = Day::of(&[CABLE, WIFI]);
    day.tries(CABLE, Trial::Silent, 3);
    assert_eq!(day.links.in_use(), Some(WIFI));
    let second = day.links.choose(&[CABLE], Class::Payment, day.now);
    assert_eq!(second, link(WIFI, Why::NextAfterFailure));
}

/// Goal: a link that has an address and carries nothing is found dead by three silent tries, the next one is used, and
/// it is set up anew; when it answers again it takes over only after it has proven itself for a minute.
#[test]
fn a_dead_link_with_an_address_is_left_and_comes_back_slowly() {
    let mut day = Day::of(&[CABLE, WIFI]);
    day.tries(WIFI, Trial::Answered, 1);
    day.tries(CABLE, Trial::Silent, 2);
    assert_eq!(day.links.in_use(), Some(CABLE), "two tries are no proof");
    day.tries(CABLE, Trial::Silent, 1);
    assert_eq!(day.links.in_use(), Some(WIFI));
    assert!(day.did.contains(&Effect::Reconnect(CABLE)));
    assert_eq!(day.links.status(day.now)[0].reason, Some(LinkReason::Silent));
    day.tries(CABLE, Trial::Answered, 3);
    assert_eq!(day.links.in_use(), Some(WIFI), "not yet");
    day.runs(59, |_| true);
    assert_eq!(day.links.in_use(), Some(WIFI), "not yet");
    day.runs(61, |_| true);
    assert_eq!(day.links.in_use(), Some(CABLE));
}

/// Goal: a modem that looks up and is dead is reconnected, then reset, then left for a while, longer each time; but an
/// acquirer that answers over no link at all is no reason for any of it.
#[test]
fn escalation_is_for_links_not_for_banks() {
    let mut day = Day::of(&[WIFI, LTE]);
    day.runs(1_800, |name| name == WIFI);
    assert!(!day.did.contains(&Effect::Reset(LTE)), "a metered link that nobody needs is left in peace");
    day.tries(LTE, Trial::Silent, 3);
    day.runs(7_200, |name| name == WIFI);
    let of_lte: Vec<_> =
        day.did.iter().filter(|e| matches!(e, Effect::Reconnect(LTE) | Effect::Reset(LTE))).collect();
    assert_eq!(of_lte[..2], [&Effect::Reconnect(LTE), &Effect::Reset(LTE)]);
    assert!((4..=12).contains(&of_lte.len()), "an endless loop: {of_lte:?}");

    let mut day = Day::of(&[WIFI, LTE]);
    day.runs(3_600, |_| false);
    assert!(!day.did.iter().any(|e| matches!(e, Effect::Reconnect(_) | Effect::Reset(_))), "{:?}", day.did);
    assert_eq!(day.links.outlook(), Outlook::No);
    day.runs(1_000, |_| true);
    assert_eq!(day.links.outlook(), Outlook::Yes, "and it is found again");
}

/// Goal: a link that is merely disconnected is left to its manager for half a minute before it is set up anew.
#[test]
fn a_manager_is_given_its_time() {
    let mut day = Day::of(&[CABLE]);
    day.does(seen(vec![up(CABLE), facts(WIFI, LinkState::Disconnected, None)]));
    day.runs(29, |_| true);
    assert!(!day.did.contains(&Effect::Reconnect(WIFI)));
    day.runs(2, |_| true);
    assert!(day.did.contains(&Effect::Reconnect(WIFI)));
}

/// Goal: with the only other link gone, one answer of a dead link is a way again, and its end is the end of it.
#[test]
fn one_answer_is_a_way() {
    let mut day = Day::of(&[CABLE]);
    day.tries(CABLE, Trial::Silent, 3);
    assert_eq!(day.links.outlook(), Outlook::No);
    day.did.clear();
    day.tries(CABLE, Trial::Answered, 1);
    assert_eq!((day.links.outlook(), day.did.clone()), (Outlook::Yes, vec![Effect::Returned(CABLE)]));
    day.does(seen(vec![facts(CABLE, LinkState::Unavailable, Some(LinkReason::NoCarrier))]));
    assert_eq!(day.links.outlook(), Outlook::No);
}

/// Goal: SIM missing, locked, blocked, refused: told, and nothing is done about it, all day.
#[test]
fn a_sim_that_needs_a_person_is_left_alone() {
    use LinkReason::{Denied, NoSim, SimBlocked, SimLocked};
    for reason in [NoSim, SimLocked, SimBlocked, Denied] {
        let mut day = Day::of(&[WIFI]);
        for state in [LinkState::Unavailable, LinkState::Disconnected] {
            day.does(seen(vec![up(WIFI), facts(LTE, state, Some(reason))]));
            day.runs(86_400, |_| true);
            assert_eq!(day.links.status(day.now)[1].reason, Some(reason));
        }
        assert!(
            !day.did.iter().any(|e| matches!(e, Effect::Reconnect(LTE) | Effect::Reset(LTE))),
            "{reason}"
        );
    }
}

/// Goal: a network that wants somebody to log on first is not used and is named.
#[test]
fn a_portal_is_recognised_and_not_used() {
    let mut day = Day::of(&[]);
    day.does(seen(vec![facts(WIFI, LinkState::Connected, Some(LinkReason::Portal)), up(LTE)]));
    assert_eq!(day.links.in_use(), Some(LTE));
    assert_eq!(day.links.status(day.now)[0].reason, Some(LinkReason::Portal));
    assert!(!day.did.contains(&Effect::Probe(WIFI)));
}

/// Goal: with the month's bytes used up a metered link serves payment and nothing else.
#[test]
fn beyond_the_budget_only_payment_goes() {
    let used = |bytes| vec![LinkFacts { bytes: Some(bytes), ..up(LTE) }];
    let mut day = Day::of(&[]);
    day.does(seen(used(0)));
    assert_eq!(day.links.choose(&[], Class::Rest, day.now), Choice::Link(LTE, Why::Only));
    day.does(seen(used(1_000)));
    assert_eq!(day.links.choose(&[], Class::Rest, day.now), Choice::OverBudget);
    assert_eq!(day.links.choose(&[], Class::Payment, day.now), Choice::Link(LTE, Why::Only));
}

/// Goal: an idle mobile link that works costs no probe in a day; one that is alone and dead costs few.
#[test]
fn an_idle_mobile_link_costs_nothing() {
    let mut day = Day::of(&[LTE]);
    day.tries(LTE, Trial::Answered, 1);
    day.did.clear();
    day.runs(86_400, |_| true);
    assert_eq!(day.did, vec![]);
    day.tries(LTE, Trial::Silent, 3);
    day.did.clear();
    day.runs(86_400, |_| false);
    let probes = day.did.iter().filter(|e| matches!(e, Effect::Probe(_))).count();
    assert!((24..=110).contains(&probes), "{probes} probes in a day");
}

/// Goal: names on the bus are read back as they were written, and nothing else is a name.
#[test]
fn names_are_one_spelling_each() {
    for kind in LinkKind::ALL {
        for number in [1, 2, 255] {
            let name = LinkName { kind: *kind, number };
            assert_eq!(LinkName::parse(&name.to_string()), Some(name));
        }
    }
    for text in ["", "wifi1", "wifi0", "wifi02", "wifi 2", "WIFI", "wifi256", "2", "éthernet"] {
        assert_eq!(LinkName::parse(text), None, "{text}");
    }
}

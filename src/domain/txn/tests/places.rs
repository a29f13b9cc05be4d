//! Every state of a transaction of any kind, found by running worlds step by step; each is asked each event.
use super::super::{
    Answer, Cancellable, CardTrouble, Event, Garbled, State, Then, Txn, TxnEffects, Vital, Word,
};
use super::disk::StoreFault;
use super::makings::start;
use super::stripes::stripe;
use super::world::{BankFault, ChipFault, Fault, World, answer};
use crate::domain::calendar::BootTime;
use crate::domain::emv::apdu::{ResponseApdu, StatusWord};
use crate::domain::emv::params::Aid;
use crate::domain::emv::tests::params;
use crate::domain::ident::{BatchNumber, OperatorId, Stan};
use crate::domain::outcome::{Kind, Outcome, ResultCode};
use crate::domain::record::{Closed, Record};
use core::fmt::Write as _;
use std::collections::BTreeSet;

/// A state, how to get there, and which kinds pass it.
struct Place {
    name: String,
    kinds: BTreeSet<Kind>,
    world: fn() -> World,
    steps: usize,
}

impl Place {
    /// The world just before the machine hears what comes next; nothing else will come by itself.
    fn world(&self) -> World {
        let mut world = (self.world)();
        world.begin();
        for _ in 0..self.steps {
            world.advance();
        }
        world.events.clear();
        world
    }

    fn first_word(&self) -> &str {
        self.name.split(',').next().unwrap_or_default()
    }
}

/// What the machine awaits, in words.
fn name(txn: &Txn) -> String {
    match &txn.state {
        State::AwaitBegin => "AwaitBegin".to_owned(),
        State::AwaitCard { .. } => "AwaitCard".to_owned(),
        State::AwaitPower { .. } => "AwaitPower".to_owned(),
        State::AwaitChip { kernel, .. } => format!("AwaitChip, {}", kernel.awaits()),
        State::AwaitChoice { .. } => "AwaitChoice".to_owned(),
        State::AwaitConfirm { known, .. } => match known.then {
            Then::Pin { .. } => "AwaitConfirm, then Pin".to_owned(),
            Then::Online { .. } => "AwaitConfirm, then Online".to_owned(),
            Then::Stored(_) => "AwaitConfirm, then Stored".to_owned(),
            Then::Read { .. } => "AwaitConfirm, then Read".to_owned(),
        },
        State::AwaitAuthorization { .. } => "AwaitAuthorization".to_owned(),
        State::AwaitLookup(_) => "AwaitLookup".to_owned(),
        State::AwaitDuplicate { .. } => "AwaitDuplicate".to_owned(),
        State::AwaitUnsentStored { .. } => "AwaitUnsentStored".to_owned(),
        State::AwaitPin { known, .. } => format!("AwaitPin, {:?}", known.asked_pin()),
        State::AwaitLine(_) => "AwaitLine".to_owned(),
        State::AwaitSendingStored(_) => "AwaitSendingStored".to_owned(),
        State::AwaitSent(_) => "AwaitSent".to_owned(),
        State::AwaitRedial(_) => "AwaitRedial".to_owned(),
        State::AwaitHost { .. } => "AwaitHost".to_owned(),
        State::AwaitCompletion { kernel, online } => {
            let after = if txn_has_second_cryptogram(txn) { " after the TC" } else { "" };
            let line = match online.word {
                Word::Bank(_) => "",
                Word::NoLine { stored: false, .. } => " without a line",
                Word::NoLine { stored: true, .. } => " after Unsent",
            };
            format!("AwaitCompletion, {}{after}{line}", kernel.awaits())
        }
        State::AwaitClosed(closing) => {
            let pause = if closing.retry().is_some() { ", pause" } else { "" };
            format!("AwaitClosed, {}{pause}", closing.closed().outcome)
        }
        State::Ended(closed) => format!("Ended, {}", closed.outcome),
    }
}

fn txn_has_second_cryptogram(txn: &Txn) -> bool {
    let State::AwaitCompletion { kernel, .. } = &txn.state else { return false };
    kernel.clone().gone().is_some()
}

/// Every state once, in the order of a sale.
fn places() -> Vec<Place> {
    let worlds: [fn() -> World; 29] = [
        || World::sale(&[]).with_choice().with_confirmation().with_icc(),
        || World::sale(&[]).with_signature().with_confirmation(),
        || World::sale(&[Fault::Bank(0, BankFault::LostBefore)]),
        || World::sale(&[Fault::Bank(0, BankFault::Decline)]),
        || World::sale(&[Fault::Bank(0, BankFault::LoseReply)]),
        || World::sale(&[Fault::NoLine(0)]),
        || World::sale(&[Fault::Chip(2, ChipFault::Removed)]),
        || World::sale(&[Fault::Store(1, StoreFault::Twice), Fault::Store(2, StoreFault::Twice)]),
        || World::sale(&[Fault::Bank(0, BankFault::Decline), Fault::Store(1, StoreFault::Twice)]),
        || World::sale(&[Fault::Bank(0, BankFault::LoseReply), Fault::Store(1, StoreFault::Twice)]),
        || World::sale(&[Fault::NoLine(0), Fault::Store(0, StoreFault::Twice)]),
        || World::sale(&[]).with_stray(|state| matches!(state, State::AwaitPin { .. }), cancel()),
        || World::sale(&[]).with_duplicate(),
        || World::sale(&[]).with_offline_pin(1),
        || World::sale(&[]).with_enciphered_pin(0),
        || World::sale(&[]).lenient().with_confirmation(),
        || World::sale(&[Fault::NoLine(0)]).unable(),
        || World::sale(&[Fault::Bank(0, BankFault::LostBefore), Fault::NoLine(1)]).unable(),
        || World::of(Kind::Void, &[]).with_confirmation(),
        || World::of(Kind::Void, &[Fault::Attempted]).locally(),
        || World::of(Kind::Void, &[]).linked(),
        || World::of(Kind::Refund, &[]),
        || World::of(Kind::Refund, &[Fault::Bank(0, BankFault::LoseReply)]),
        || World::of(Kind::Balance, &[]),
        || World::of(Kind::PreAuth, &[]).with_icc(),
        || World::of(Kind::PreAuthVoid, &[]),
        || World::of(Kind::PreAuthComplete, &[]),
        || World::of(Kind::PreAuthAdvice, &[]),
        || World::of(Kind::PreAuthCompleteVoid, &[]),
    ];
    let mut places: Vec<Place> = Vec::new();
    for make in worlds.into_iter().chain([offline as fn() -> World, by_voice]) {
        let mut world = make();
        world.begin();
        for steps in 0.. {
            let name = name(world.txn.as_ref().unwrap());
            match places.iter_mut().find(|place| place.name == name) {
                Some(place) => _ = place.kinds.insert(world.start.kind),
                None => {
                    let kinds = BTreeSet::from([world.start.kind]);
                    places.push(Place { name, kinds, world: make, steps });
                }
            }
            if !world.advance() {
                break;
            }
        }
    }
    let order = |place: &Place| ORDER.iter().position(|(word, _)| *word == place.first_word());
    places.sort_by_key(|place| order(place).unwrap_or(usize::MAX));
    places
}

fn offline() -> World {
    World::of(Kind::OfflineSale, &[])
}

fn by_voice() -> World {
    World::of(Kind::OfflineSale, &[]).by_voice()
}

/// What each state takes, by the names of [`events`]. Everything else changes nothing.
const ORDER: &[(&str, &[&str])] = &[
    ("AwaitBegin", &["Begun", "NotBegun", "Cancel"]),
    (
        "AwaitAuthorization",
        &[
            "Application",
            "Authorized",
            "Cancelled",
            "Yes",
            "PinBypassed",
            "AgentUnavailable",
            "Tick at the deadline",
            "Cancel",
        ],
    ),
    ("AwaitCard", &["CardInserted", "CardSwiped", "Tick at the deadline", "Cancel"]),
    ("AwaitPower", &["CardPowered", "CardRemoved", "CardFailed", "Cancel"]),
    ("AwaitChip", &["CardAnswered", "CardRemoved", "CardFailed", "Cancel"]),
    (
        "AwaitChoice",
        &[
            "Application",
            "Cancelled",
            "AgentUnavailable",
            "CardRemoved",
            "CardFailed",
            "Tick at the deadline",
            "Cancel",
        ],
    ),
    (
        "AwaitConfirm",
        &[
            "Application",
            "Authorized",
            "Cancelled",
            "Yes",
            "PinBypassed",
            "AgentUnavailable",
            "CardRemoved",
            "CardFailed",
            "Tick at the deadline",
            "Cancel",
        ],
    ),
    ("AwaitLookup", &["Looked up", "StoreFailed", "CardRemoved", "CardFailed", "Cancel"]),
    (
        "AwaitDuplicate",
        &[
            "Application",
            "Authorized",
            "Cancelled",
            "Yes",
            "PinBypassed",
            "AgentUnavailable",
            "CardRemoved",
            "CardFailed",
            "Tick at the deadline",
            "Cancel",
        ],
    ),
    (
        "AwaitPin",
        &[
            "Application",
            "Authorized",
            "Cancelled",
            "Yes",
            "PinBypassed",
            "AgentUnavailable",
            "CardRemoved",
            "CardFailed",
            "Tick at the deadline",
            "Cancel",
        ],
    ),
    ("AwaitLine", &["LineReady", "LineFailed", "CardRemoved", "Cancel"]),
    ("AwaitSendingStored", &["Stored", "Stored without numbers", "StoreFailed", "Hurry"]),
    (
        "AwaitSent",
        &["RequestSent", "HostAnswered", "HostGarbled", "LineLost", "LineLost after a byte", "Hurry"],
    ),
    ("AwaitRedial", &["LineReady", "LineFailed", "CardRemoved", "Hurry"]),
    (
        "AwaitHost",
        &[
            "HostAnswered",
            "HostGarbled",
            "LineLost",
            "LineLost after a byte",
            "Hurry",
            "Tick at the deadline",
        ],
    ),
    ("AwaitUnsentStored", &["Stored", "Stored without numbers", "StoreFailed"]),
    ("AwaitCompletion", &["CardAnswered", "CardRemoved", "CardFailed"]),
    ("AwaitClosed", &["Stored", "Stored without numbers", "StoreFailed", "Tick at the deadline"]),
    ("Ended", &[]),
];

fn cancel() -> Event {
    Event::CancelRequested(ResultCode::OperatorCancelled)
}

/// One event of each kind. `Tick` comes twice: before the deadline and at it.
fn events(deadline: Option<BootTime>) -> Vec<(&'static str, Event, BootTime)> {
    let at = deadline.unwrap_or(BootTime(u64::MAX));
    let early = BootTime(at.0 - 1);
    let numbers = Some((Stan::new(77).unwrap(), BatchNumber::FIRST));
    let bad = ResponseApdu { data: Vec::new(), status: StatusWord(0x6F00) };
    let aid = Aid::new(&[0xA0, 0, 0, 3, 0x33, 1, 1]).unwrap();
    [
        ("Begun", Event::Begun(Box::new(params()))),
        ("NotBegun", Event::NotBegun(ResultCode::NotSignedOn)),
        ("CardInserted", Event::CardInserted),
        ("CardRemoved", Event::CardRemoved),
        ("CardPowered", Event::CardPowered),
        ("CardAnswered", Event::CardAnswered(bad)),
        ("CardFailed", Event::CardFailed(CardTrouble::Unreadable)),
        ("CardSwiped", stripe("120")),
        ("Application", Event::AgentAnswered(Answer::Application(aid))),
        ("Cancelled", Event::AgentAnswered(Answer::Cancelled)),
        ("Authorized", Event::AgentAnswered(Answer::Authorized(OperatorId::new("00").unwrap()))),
        ("Looked up", Event::DuplicateLookedUp(None)),
        ("Yes", Event::AgentAnswered(Answer::Yes(true))),
        ("PinBypassed", Event::AgentAnswered(Answer::PinBypassed)),
        ("AgentUnavailable", Event::AgentUnavailable),
        ("LineReady", Event::LineReady),
        ("LineFailed", Event::LineFailed(ResultCode::ConnectFailed)),
        ("Stored", Event::Stored(numbers)),
        ("Stored without numbers", Event::Stored(None)),
        ("StoreFailed", Event::StoreFailed),
        ("RequestSent", Event::RequestSent),
        ("HostAnswered", Event::HostAnswered(Box::new(answer("51", start().amount)))),
        ("HostGarbled", Event::HostGarbled(Garbled::Content)),
        ("LineLost", Event::LineLost { wrote: false }),
        ("LineLost after a byte", Event::LineLost { wrote: true }),
        ("Cancel", cancel()),
        ("Hurry", Event::Hurry),
    ]
    .into_iter()
    .map(|(name, event)| (name, event, BootTime(0)))
    .chain([("Tick", Event::Tick, early), ("Tick at the deadline", Event::Tick, at)])
    .collect()
}

/// Gives one event and tells what came of it; `None`: nothing changed.
fn heard(place: &Place, event: Event, at: BootTime) -> Option<(Txn, TxnEffects)> {
    let mut world = place.world();
    let txn = world.txn.take().unwrap();
    let before = format!("{txn:?}");
    let mut now = world.now;
    now.boot = now.boot.max(at);
    let (txn, effects) = txn.step(event, now);
    let nothing = effects.local.is_empty() && effects.vital == Vital::Nothing;
    let same = format!("{txn:?}") == before;
    (!(nothing && same)).then_some((txn, effects))
}

/// The closed record that is to be stored, if the effects store one.
fn closed(effects: &TxnEffects) -> Option<&Closed> {
    let Vital::Store(records) = &effects.vital else { return None };
    records.iter().find_map(|record| match record {
        Record::Closed(closed) => Some(&**closed),
        _ => None,
    })
}

fn deadline(place: &Place) -> Option<BootTime> {
    place.world().txn.and_then(|txn| txn.deadline()).map(|(at, _)| at)
}

/// The walk above misses no state.
#[test]
fn every_state_is_reached() {
    let places = places();
    let reached: BTreeSet<&str> = places.iter().map(Place::first_word).collect();
    let known: BTreeSet<&str> = ORDER.iter().map(|(word, _)| *word).collect();
    assert_eq!(reached, known);
    let names: BTreeSet<&str> = places.iter().map(|place| place.name.as_str()).collect();
    for name in [
        "AwaitChip, first cryptogram",
        "AwaitConfirm, then Pin",
        "AwaitPin, Online",
        "AwaitPin, OfflinePlain",
        "AwaitChip, PIN tries",
        "AwaitPin, OfflineEnciphered",
        "AwaitChip, PIN challenge",
        "AwaitChip, PIN check",
        "AwaitConfirm, then Online",
        "AwaitConfirm, then Read",
        "AwaitConfirm, then Stored",
        "AwaitCompletion, second cryptogram without a line",
        "AwaitCompletion, second cryptogram after Unsent",
        "AwaitCompletion, script command after the TC",
        "AwaitClosed, approved, pause",
        "AwaitClosed, unknown, pause",
        "Ended, cancelled",
    ] {
        assert!(names.contains(name), "{name} is missing in {names:?}");
    }
}

/// Totality: what a state does not await changes nothing, and what it awaits does something.
#[test]
fn late_and_repeated_events_change_nothing() {
    for place in places() {
        let (_, takes) = ORDER.iter().find(|(word, _)| *word == place.first_word()).unwrap();
        let deadline = deadline(&place);
        let pauses = place.name.ends_with("pause");
        for (event_name, event, at) in events(deadline) {
            let awaited = match event_name {
                "Tick at the deadline" => takes.contains(&event_name) && deadline.is_some(),
                // Between two attempts no store is out.
                "Stored" | "Stored without numbers" | "StoreFailed" if pauses => false,
                "Cancel" if place.name.ends_with("without a line") => true,
                _ => takes.contains(&event_name),
            };
            let changed = heard(&place, event, at).is_some();
            assert_eq!(changed, awaited, "{event_name} in {}", place.name);
        }
    }
}

/// What the engine asks of a state: does it want a line, may money move, whose PIN is it, what card is shown.
#[test]
fn a_state_says_what_the_engine_must_know() {
    for place in places() {
        let world = place.world();
        let txn = world.txn.as_ref().unwrap();
        let word = place.first_word();
        let name = &place.name;
        assert_eq!(txn.wants_line(), matches!(word, "AwaitLine" | "AwaitRedial"), "{name}");
        let sent =
            ["AwaitSendingStored", "AwaitSent", "AwaitRedial", "AwaitHost", "AwaitCompletion", "AwaitClosed"];
        let no_line = name.ends_with("without a line") || name.ends_with("after Unsent");
        assert_eq!(txn.money_may_move(), sent.contains(&word) && !no_line, "{name}");
        assert_eq!(txn.asked_pin().is_some(), word == "AwaitPin", "{name}");
        assert_eq!(txn.ended().is_some(), word == "Ended", "{name}");
        let known = ["first cryptogram", "PIN tries", "PIN challenge", "PIN check"];
        let known = known.map(|phase| format!("AwaitChip, {phase}"));
        let chip = word == "AwaitChip" && !known.contains(name);
        let blank = ["AwaitBegin", "AwaitAuthorization", "AwaitCard", "AwaitPower", "AwaitChoice"];
        let unread = chip || blank.contains(&word);
        let ended = matches!(word, "AwaitClosed" | "Ended");
        assert!(ended || txn.card_facts().is_some() != unread, "{name}");
    }
}

/// A customer who does nothing: cancelled by time, the question withdrawn.
#[test]
fn a_customer_who_is_too_slow_cancels() {
    let mut asked = 0;
    for place in places() {
        let Some((at, "customer")) = place.world().txn.and_then(|txn| txn.deadline()) else { continue };
        asked += 1;
        let (_, effects) = heard(&place, Event::Tick, at).unwrap();
        let closed = closed(&effects).unwrap();
        let supervisor = place.name == "AwaitAuthorization";
        let result = if supervisor { ResultCode::NotAuthorized } else { ResultCode::CustomerTimeout };
        assert_eq!((closed.outcome, closed.result), (Outcome::Cancelled, result));
        let withdrawn = effects.local.contains(&super::super::Local::Withdraw);
        assert_eq!(withdrawn, place.name != "AwaitCard", "{}", place.name);
    }
    assert_eq!(asked, 11, "supervisor, card, choice, four confirmations, duplicate, three PINs");
}

/// Pulling the card: before the bank is asked the sale fails, afterwards the bank's word and the chip's
/// count.
#[test]
fn a_card_may_leave_in_every_state() {
    for place in places() {
        let mut world = place.world();
        world.chip.pull();
        world.tell(Event::CardRemoved);
        // The world's own events of this state were dropped: only what ends at once is looked at.
        let ends = world.closing();
        let before_bank = matches!(
            place.first_word(),
            "AwaitChip"
                | "AwaitChoice"
                | "AwaitConfirm"
                | "AwaitLookup"
                | "AwaitDuplicate"
                | "AwaitPin"
                | "AwaitLine"
                | "AwaitRedial"
        );
        let expected = match place.name.as_str() {
            _ if before_bank => Some((Outcome::Failed, ResultCode::CardRemoved)),
            "AwaitCompletion, script command after the TC" => Some((Outcome::Approved, ResultCode::Approved)),
            name if name.starts_with("AwaitCompletion") => Some((Outcome::Failed, ResultCode::CardRemoved)),
            _ => None,
        };
        if !place.name.starts_with("AwaitClosed") && !place.name.starts_with("Ended") {
            assert_eq!(ends, expected, "{}", place.name);
        }
    }
}

/// Cancelling ends a transaction until its Sending is handed to the journal, and changes nothing from then on.
#[test]
fn a_cancel_ends_it_or_changes_nothing() {
    for place in places() {
        let cancellable = place.world().txn.unwrap().cancellable();
        let heard = heard(&place, cancel(), BootTime(0));
        match cancellable {
            Cancellable::Yes => {
                let (_, effects) = heard.unwrap_or_else(|| panic!("{}", place.name));
                let closed = closed(&effects).unwrap();
                assert_eq!(
                    (closed.outcome, closed.result),
                    (Outcome::Cancelled, ResultCode::OperatorCancelled)
                );
                assert_eq!(closed.reversal, None);
                assert!(closed.start.is_some(), "nothing was sent, so its record makes the row");
            }
            Cancellable::Already | Cancellable::TooLate | Cancellable::Ended => {
                assert!(heard.is_none(), "{}", place.name);
            }
        }
    }
}

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/state-cancel.md"));

/// The page in the documents is what the machine does. `POSD_BLESS=1` writes it anew.
#[test]
#[allow(clippy::disallowed_methods, reason = "a test that writes a page on request")]
fn the_page_of_states_and_cancel_is_current() {
    let page = page();
    if std::env::var("POSD_BLESS").is_ok_and(|wish| wish == "1") {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/state-cancel.md");
        return std::fs::write(path, page).unwrap();
    }
    assert_eq!(PAGE, page, "stale: run `POSD_BLESS=1 cargo test --lib state` and look at the difference");
}

fn page() -> String {
    let mut page = String::from(
        "# State and cancel\n\n\
         Written by a test (`src/domain/txn/tests/places.rs`); change the machine, not this page.\n\n\
         *State* is what the bus shows, *awaits* what the machine waits for. While the outcome is being\n\
         stored the bus goes on showing the state before. A cancel that is accepted ends the transaction as\n\
         `cancelled`; in every other case it goes on as if nobody had asked. *Kinds* are those that pass the\n\
         state in the worlds of the test; where most do nothing is said.\n\n\
         | state | awaits | `Cancel` answers | ends with | kinds |\n|---|---|---|---|---|\n",
    );
    for place in places() {
        let txn = place.world().txn.unwrap();
        let state = match &txn.state {
            State::AwaitClosed(_) => "(storing)".to_owned(),
            _ => txn.state().word().to_owned(),
        };
        let cancellable = txn.cancellable();
        let says = match cancellable {
            Cancellable::Yes => "`accepted`".to_owned(),
            Cancellable::Already => "`already-cancelled`".to_owned(),
            Cancellable::TooLate | Cancellable::Ended => {
                Txn::cancel_fault(cancellable).map(|fault| format!("{:?}", fault.name)).unwrap_or_default()
            }
        };
        let ends = match heard(&place, cancel(), BootTime(0)) {
            Some((_, effects)) => closed(&effects).map(|closed| {
                let withdrawn = effects.local.contains(&super::super::Local::Withdraw);
                let question = if withdrawn { ", the question withdrawn" } else { "" };
                let card = if closed.card.is_some() { ", card known" } else { "" };
                format!("{}{card}{question}", closed.outcome)
            }),
            None => Some("as it would have".to_owned()),
        };
        let ends = ends.unwrap_or_default();
        writeln!(page, "| {state} | {} | {says} | {ends} | {} |", place.name, kinds(&place)).unwrap();
    }
    page
}

/// Which kinds pass a place; nothing if most do.
fn kinds(place: &Place) -> String {
    if place.kinds.len() > 7 {
        return String::new();
    }
    place.kinds.iter().map(|kind| kind.word()).collect::<Vec<_>>().join(", ")
}

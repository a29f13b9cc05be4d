//! The adapter on a made-up reader: what the virtual reader of the suite (`tests/suite/card.rs`) cannot show. See
//! `reader.rs` for what these tests do not prove.
#[cfg(feature = "sim")]
mod pad;
mod reader;

use std::sync::Arc;
use std::time::{Duration, Instant};

use pcsc::{Error, Protocol, Protocols};
use tokio::sync::mpsc;

use super::watch::HUNG;
use super::{CardHandle, LOST_MAX, ReaderNames, start_on};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::ports::{CardCommand, CardEvent, CardFault, PadAnswer, PadAsk, ReaderStatus};
use reader::{NAME, Reader, Says};

/// Longest wait for anything.
const WITHIN: Duration = Duration::from_secs(10);
/// Deadline of a command where the test is not about it.
const LONG: Duration = Duration::from_secs(8);
/// Deadline of a command that will not be answered.
const SHORT: Duration = Duration::from_millis(200);

/// The engine's side of the adapter.
struct Engine {
    handle: CardHandle,
    events: mpsc::Receiver<CardEvent>,
    runtime: tokio::runtime::Runtime,
    status: Option<ReaderStatus>,
}

impl Engine {
    fn start(reader: &Reader, deadline: Duration) -> Self {
        let (sender, events) = mpsc::channel(16);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = start_on(Arc::new(reader.clone()), ReaderNames::Auto, deadline, sender).unwrap();
        Self { handle, events, runtime, status: None }
    }

    /// With a card in the reader, powered.
    fn powered(reader: &Reader, deadline: Duration) -> Self {
        let mut engine = Self::start(reader, deadline);
        reader.insert();
        engine.until(|event| *event == CardEvent::Inserted);
        engine.power_on().unwrap();
        engine
    }

    fn next(&mut self, within: Duration) -> Option<CardEvent> {
        let event = self.runtime.block_on(async { tokio::time::timeout(within, self.events.recv()).await });
        let event = event.ok()?.expect("the adapter lives");
        if let CardEvent::Readers(readers) = &event {
            self.status = readers.first().cloned();
        }
        Some(event)
    }

    /// Waits for an event that fits; others are passed over.
    fn until(&mut self, fits: impl Fn(&CardEvent) -> bool) -> CardEvent {
        loop {
            let event = self.next(WITHIN).expect("an event in time");
            if fits(&event) {
                return event;
            }
        }
    }

    fn status_until(&mut self, fits: impl Fn(&ReaderStatus) -> bool) {
        while !self.status.as_ref().is_some_and(&fits) {
            self.next(WITHIN).expect("a report in time");
        }
    }

    fn power_on(&mut self) -> Result<Vec<u8>, CardFault> {
        self.handle.try_send(CardCommand::PowerOn { id: 1 }).unwrap();
        match self.until(|event| matches!(event, CardEvent::Powered { .. })) {
            CardEvent::Powered { result, .. } => result,
            event => panic!("{event:?}"),
        }
    }

    fn send(&mut self, data: &[u8]) -> Result<ResponseApdu, CardFault> {
        self.exchange(CommandApdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: data.to_vec(), le: Some(0) })
    }

    fn exchange(&mut self, command: CommandApdu) -> Result<ResponseApdu, CardFault> {
        self.handle.try_send(CardCommand::Transmit { id: 2, command, next: None }).unwrap();
        match self.until(|event| matches!(event, CardEvent::Response { .. })) {
            CardEvent::Response { result, .. } => result,
            event => panic!("{event:?}"),
        }
    }

    fn ask_pin(&mut self, ask: PadAsk) {
        self.handle.try_send(CardCommand::PresentPin { id: 3, ask }).unwrap();
    }

    fn pin(&mut self) -> Result<PadAnswer, CardFault> {
        match self.until(|event| matches!(event, CardEvent::PinPresented { .. })) {
            CardEvent::PinPresented { id: 3, result } => result,
            event => panic!("{event:?}"),
        }
    }
}

fn says(bytes: &[&[u8]]) -> std::collections::VecDeque<Says> {
    bytes.iter().map(|bytes| Says::Bytes(bytes.to_vec())).collect()
}

/// A reader with a T=0 card.
fn bytewise() -> Reader {
    let reader = Reader::new();
    reader.set(|inside| (inside.atr, inside.prefers) = (vec![0x3B, 0x60, 0, 0], Protocol::T0));
    reader
}

/// The list of a reader that has FEATURE_VERIFY_PIN_DIRECT at 42330006.
const FEATURES: [u8; 12] = [0x0A, 4, 0x42, 0x33, 0, 0x0A, 0x06, 4, 0x42, 0x33, 0, 0x06];

fn with_pin_pad() -> Reader {
    let reader = Reader::new();
    reader.set(|inside| inside.features = Says::Bytes(FEATURES.to_vec()));
    reader
}

/// Goal: on the wire a T=0 command has data or a length, 61xx is fetched and 6Cxx repeated; above, none of it is seen.
#[test]
fn t_0_is_spoken_on_the_wire() {
    let reader = bytewise();
    let mut engine = Engine::powered(&reader, LONG);
    reader.set(|inside| inside.answers = says(&[&[0x61, 3], &[0x6C, 2], &[7, 8, 0x90, 0]]));
    assert_eq!(engine.send(&[1, 2]).unwrap().bytes(), [7, 8, 0x90, 0]);
    let wire: [&[u8]; 3] = [&[0, 0xA4, 4, 0, 2, 1, 2], &[0, 0xC0, 0, 0, 3], &[0, 0xC0, 0, 0, 2]];
    assert_eq!(reader.inside().wire, wire);
    reader.set(|inside| (inside.answers, inside.wire) = (says(&[&[0x6C, 2], &[7, 8, 0x90, 0]]), Vec::new()));
    assert_eq!(engine.send(&[]).unwrap().bytes(), [7, 8, 0x90, 0]);
    assert_eq!(reader.inside().wire, [[0, 0xA4, 4, 0, 0], [0, 0xA4, 4, 0, 2]]);
}

fn read_record(record: u8) -> CommandApdu {
    CommandApdu { cla: 0, ins: 0xB2, p1: record, p2: 0x0C, data: Vec::new(), le: Some(0) }
}

/// Goal: what is said to follow goes to the card once, before it is asked for, and only after 9000; it is answered when
/// it is asked for, and nobody hears of it otherwise.
#[test]
fn what_follows_goes_to_the_card_ahead() {
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, LONG);
    let sent = |engine: &mut Engine, id, command, next| {
        engine.handle.try_send(CardCommand::Transmit { id, command, next }).unwrap();
        match engine.until(|event| matches!(event, CardEvent::Response { .. })) {
            CardEvent::Response { id: of, result } if of == id => result,
            event => panic!("{event:?}"),
        }
    };
    let wire = |count: u8| -> Vec<[u8; 5]> { (1..=count).map(|record| [0, 0xB2, record, 0x0C, 0]).collect() };
    reader.set(|inside| inside.answers = says(&[&[1, 0x90, 0], &[2, 0x90, 0], &[3, 0x6A, 0x83]]));
    assert_eq!(sent(&mut engine, 11, read_record(1), Some(read_record(2))).unwrap().data, [1]);
    reader.wait_for_wire(2);
    assert_eq!(sent(&mut engine, 12, read_record(2), Some(read_record(3))).unwrap().data, [2]);
    reader.wait_for_wire(3);
    assert_eq!(sent(&mut engine, 13, read_record(3), Some(read_record(4))).unwrap().data, [3]);
    assert_eq!(reader.inside().wire, wire(3), "after another status nothing follows");

    // Something else is asked: the answer that is there is not its own.
    reader.set(|inside| inside.answers = says(&[&[1, 0x90, 0], &[2, 0x90, 0], &[9, 0x90, 0]]));
    assert_eq!(sent(&mut engine, 14, read_record(1), Some(read_record(2))).unwrap().data, [1]);
    assert_eq!(sent(&mut engine, 15, read_record(7), None).unwrap().data, [9]);

    // It fails: that is the answer of the command it belongs to.
    reader.set(|inside| {
        inside.answers = [Says::Bytes(vec![1, 0x90, 0]), Says::Fails(Error::RemovedCard)].into();
    });
    assert_eq!(sent(&mut engine, 16, read_record(1), Some(read_record(2))).unwrap().data, [1]);
    assert_eq!(sent(&mut engine, 17, read_record(2), None), Err(CardFault::Removed));
}

/// Goal: a card that hangs at what it was not asked for yet costs the command that is asked next its deadline.
#[test]
fn what_hangs_ahead_is_late_when_it_is_asked_for() {
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, SHORT);
    reader.set(|inside| inside.answers = [Says::Bytes(vec![1, 0x90, 0]), Says::Hangs].into());
    let (command, next) = (read_record(1), Some(read_record(2)));
    engine.handle.try_send(CardCommand::Transmit { id: 2, command, next }).unwrap();
    engine.until(|event| matches!(event, CardEvent::Response { id: 2, result: Ok(_) }));
    reader.wait_for_hanging(1);
    assert_eq!(engine.exchange(read_record(2)), Err(CardFault::Timeout(200)));
    engine.power_on().unwrap();
    reader.let_go();
}

/// Goal: in T=0 a warning takes the place of 61xx; the data is fetched, the warning stays. Without data it stands
/// alone, and T=1 asks for nothing.
#[test]
fn a_warning_in_t_0_keeps_its_data() {
    let reader = bytewise();
    let mut engine = Engine::powered(&reader, LONG);
    reader.set(|inside| inside.answers = says(&[&[0x62, 0x83], &[0x6C, 1], &[7, 0x90, 0]]));
    assert_eq!(engine.send(&[1]).unwrap().bytes(), [7, 0x62, 0x83]);
    reader.set(|inside| inside.answers = says(&[&[0x62, 0x83], &[0x6F, 0]]));
    assert_eq!(engine.send(&[1]).unwrap().bytes(), [0x62, 0x83]);
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, LONG);
    reader.set(|inside| inside.answers = says(&[&[0x62, 0x83]]));
    assert_eq!(engine.send(&[1]).unwrap().bytes(), [0x62, 0x83]);
    assert_eq!(reader.inside().wire.len(), 1);
}

/// Goal: a card that always has more is cut off after a few commands, in both protocols.
#[test]
fn a_card_that_never_ends_is_cut_off() {
    for reader in [bytewise(), Reader::new()] {
        let mut engine = Engine::powered(&reader, LONG);
        for answer in [&[0x61, 0][..], &[7, 0x61, 1], &[0x6C, 1]] {
            let endless = core::iter::repeat_n(Says::Bytes(answer.to_vec()), 1000).collect();
            reader.set(|inside| (inside.answers, inside.wire) = (endless, Vec::new()));
            assert!(matches!(engine.send(&[1]), Err(CardFault::Broken(_))));
            assert!(reader.inside().wire.len() <= 8);
        }
        reader.set(|inside| inside.answers.clear());
        assert_eq!(engine.send(&[1]).unwrap().status, StatusWord::OK, "the next card is heard");
    }
}

/// Goal: a card that offers T=0 first is spoken to in T=0, although PC/SC would take T=1.
#[test]
fn the_cards_first_protocol_is_spoken() {
    let reader = Reader::new();
    reader.set(|inside| inside.atr = vec![0x3B, 0xE0, 0, 0, 0x80, 0x01, 0x61]);
    let mut engine = Engine::powered(&reader, LONG);
    assert_eq!(reader.inside().resets, [Protocols::T0]);
    engine.send(&[1]).unwrap();
    assert_eq!(reader.inside().wire, [[0, 0xA4, 4, 0, 1, 1]]);
}

/// Goal: a broken answer to reset has one warm reset; then the card is used, or refused with the reason.
#[test]
fn a_broken_answer_to_reset_has_a_second_chance() {
    let reader = Reader::new();
    let good = reader.inside().atr.clone();
    let broken = vec![0x3B, 0xE0, 0, 0, 0x81, 0x31, 0xFE, 0x45, 0x00];
    reader.set(|inside| (inside.atr, inside.reset_brings) = (broken.clone(), Some(Ok(good.clone()))));
    let mut engine = Engine::start(&reader, LONG);
    reader.insert();
    engine.until(|event| *event == CardEvent::Inserted);
    assert_eq!(engine.power_on(), Ok(good));
    reader.set(|inside| (inside.atr, inside.resets) = (broken, Vec::new()));
    let refused = CardFault::Broken("answer to reset: wrong check byte".to_owned());
    assert_eq!(engine.power_on(), Err(refused));
    assert_eq!(reader.inside().resets.len(), 1);
}

/// Goal: a card that went and came between two looks is removed and inserted, by the event counter alone.
#[test]
fn a_card_changed_between_two_looks_is_noticed() {
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, LONG);
    reader.set(|inside| inside.event_count += 2);
    engine.until(|event| *event == CardEvent::Removed);
    engine.until(|event| *event == CardEvent::Inserted);
    engine.power_on().unwrap();
}

/// Goal: the longer nothing happens the longer the adapter sleeps, up to a minute; what happens, and a reader that
/// another program holds, keep it awake.
#[test]
fn quiet_readers_are_looked_at_less_often() {
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, LONG);
    engine.handle.try_send(CardCommand::PowerOff { id: 4 }).unwrap();
    engine.until(|event| matches!(event, CardEvent::PoweredOff { .. }));
    let seconds = |reader: &Reader| reader.waits(7).iter().map(Duration::as_secs).collect::<Vec<_>>();
    assert_eq!(seconds(&reader), [5, 10, 20, 40, 60, 60, 60]);
    reader.set(|inside| inside.held = true);
    engine.status_until(|status| !status.ok);
    assert_eq!(seconds(&reader), [5; 7]);
    reader.set(|inside| inside.held = false);
    engine.status_until(|status| status.ok);
    assert_eq!(seconds(&reader), [5, 10, 20, 40, 60, 60, 60]);
}

/// Goal: after a failed command a card that PC/SC calls present is removed if the counter or its answer to reset say
/// so, and mute only if it is the same and answers a reset.
#[test]
fn a_card_that_is_called_present_may_be_gone() {
    let fails = |change: fn(&mut reader::Inside)| {
        let reader = Reader::new();
        let mut engine = Engine::powered(&reader, LONG);
        reader.set(|inside| {
            inside.answers = [Says::Fails(Error::NotTransacted)].into();
            change(inside);
        });
        let fault = engine.send(&[1]).unwrap_err();
        let resets = reader.inside().resets.len();
        (fault, resets)
    };
    assert_eq!(fails(|_| {}), (CardFault::Mute, 1));
    let other = |inside: &mut reader::Inside| inside.reset_brings = Some(Ok(vec![0x3B, 0x60, 0, 0]));
    assert_eq!(fails(other), (CardFault::Removed, 1));
    let gone = |inside: &mut reader::Inside| inside.reset_brings = Some(Err(Error::NoSmartcard));
    assert_eq!(fails(gone), (CardFault::Removed, 1));
    assert_eq!(fails(|inside| inside.event_count += 2), (CardFault::Removed, 0));
    assert_eq!(
        fails(|inside| inside.answers = [Says::Fails(Error::RemovedCard)].into()),
        (CardFault::Removed, 0)
    );
    let reset = |inside: &mut reader::Inside| inside.answers = [Says::Fails(Error::ResetCard)].into();
    assert!(matches!(fails(reset), (CardFault::Broken(_), 1)));
}

/// Goal: a call that never returns costs one command its deadline; so many lost threads are kept and no more, and when
/// they come back all works again.
#[test]
fn lost_threads_are_counted_and_bounded() {
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, SHORT);
    for lost in 1..=LOST_MAX {
        reader.set(|inside| inside.answers = [Says::Hangs].into());
        let begun = Instant::now();
        assert_eq!(engine.send(&[1]), Err(CardFault::Timeout(200)));
        assert!((SHORT..SHORT * 10).contains(&begun.elapsed()));
        reader.wait_for_hanging(lost);
        if lost < LOST_MAX {
            engine.power_on().unwrap();
        }
    }
    let begun = Instant::now();
    assert_eq!(engine.power_on(), Err(CardFault::NoReader(HUNG.to_owned())));
    assert_eq!(engine.send(&[1]), Err(CardFault::NoReader(HUNG.to_owned())));
    assert!(begun.elapsed() < SHORT, "refused at once");
    assert_eq!(reader.inside().wire.len(), LOST_MAX, "and nothing reaches the reader");
    reader.let_go();
    while engine.power_on().is_err() {}
    engine.send(&[1]).unwrap();
}

/// Goal: a reader that hangs at the question for its features is asked once; the worker that takes over works.
#[test]
fn a_reader_that_hangs_at_the_question_is_asked_once() {
    let reader = Reader::new();
    reader.set(|inside| inside.features = Says::Hangs);
    let mut engine = Engine::start(&reader, SHORT);
    reader.wait_for_hanging(1);
    reader.set(|inside| (inside.features, inside.present) = (Says::Bytes(FEATURES.to_vec()), true));
    assert_eq!(engine.power_on(), Err(CardFault::Timeout(200)));
    engine.until(|event| *event == CardEvent::Inserted);
    engine.power_on().unwrap();
    assert_eq!(reader.inside().asked_for_features, 1);
    engine.status_until(|status| status.pin_pad);
    reader.let_go();
}

/// Goal: a PIN pad is known before a card is in; it is told what a PIN looks like, and its answer comes back, the
/// card's own and the pad's own.
#[test]
fn a_pin_pad_gives_a_pin_to_the_card() {
    let reader = with_pin_pad();
    let mut engine = Engine::start(&reader, LONG);
    engine.status_until(|status| status.pin_pad && status.name == NAME && !status.card_present);
    reader.insert();
    engine.until(|event| *event == CardEvent::Inserted);
    engine.ask_pin(PadAsk::plain(30));
    assert_eq!(engine.pin(), Err(CardFault::NoCard), "no card is powered");
    engine.power_on().unwrap();
    let answers = [
        (0x9000, PadAnswer::Presented(StatusWord(0x9000))),
        (0x63C2, PadAnswer::Presented(StatusWord(0x63C2))),
        (0x6400, PadAnswer::TimedOut),
        (0x6401, PadAnswer::Cancelled),
    ];
    for (status, answer) in answers {
        reader.set(|inside| inside.pad = says(&[&u16::to_be_bytes(status)]));
        engine.ask_pin(PadAsk::plain(30));
        assert_eq!(engine.pin(), Ok(answer));
    }
    let inside = reader.inside();
    assert_eq!(inside.told_pad.len(), answers.len());
    for (code, structure) in &inside.told_pad {
        assert_eq!((*code, structure.len(), structure[0]), (0x4233_0006, 19 + 13, 30));
    }
    assert!(inside.wire.is_empty(), "VERIFY is the reader's");
}

/// Goal: a PIN of the wrong length is asked again, a few times, within the same time; it is never taken for none.
#[test]
fn a_pin_of_the_wrong_length_is_asked_again() {
    let reader = with_pin_pad();
    let mut engine = Engine::powered(&reader, LONG);
    reader.set(|inside| inside.pad = says(&[&[0x64, 3], &[0x90, 0]]));
    engine.ask_pin(PadAsk::plain(30));
    assert_eq!(engine.pin(), Ok(PadAnswer::Presented(StatusWord::OK)));
    reader.set(|inside| inside.pad = says(&[&[0x64, 3], &[0x64, 3], &[0x64, 3]]));
    engine.ask_pin(PadAsk::plain(30));
    assert_eq!(engine.pin(), Ok(PadAnswer::TimedOut));
    let inside = reader.inside();
    assert!(
        inside.told_pad.iter().all(|(_, structure)| (28..=30).contains(&structure[0])),
        "within the same time"
    );
}

/// Goal: a card pulled at the PIN pad is removed, and a pad that refuses, answers nonsense or is not there says so.
#[test]
fn faults_at_the_pin_pad_are_named() {
    let reader = with_pin_pad();
    let mut engine = Engine::powered(&reader, LONG);
    for nonsense in [&[0x90][..], &[0x6B, 0x80], &[0x64, 0x02]] {
        reader.set(|inside| inside.pad = says(&[nonsense]));
        engine.ask_pin(PadAsk::plain(30));
        assert!(matches!(engine.pin(), Err(CardFault::PinPad(_))), "{nonsense:02X?}");
    }
    reader.set(|inside| inside.pad = [Says::Fails(Error::RemovedCard)].into());
    engine.ask_pin(PadAsk::plain(30));
    assert_eq!(engine.pin(), Err(CardFault::Removed));
    let reader = Reader::new();
    let mut engine = Engine::powered(&reader, LONG);
    engine.ask_pin(PadAsk::plain(30));
    assert_eq!(engine.pin(), Err(CardFault::PinPad("it has none".to_owned())));
}

/// Goal: the cardholder's time comes on top of a command's; after both the thread is lost and the next card works.
#[test]
fn the_cardholders_time_comes_on_top() {
    let reader = with_pin_pad();
    let mut engine = Engine::powered(&reader, SHORT);
    reader.set(|inside| inside.pad = [Says::Hangs].into());
    engine.ask_pin(PadAsk::plain(1));
    reader.wait_for_hanging(1);
    assert_eq!(engine.next(SHORT * 3), None, "the cardholder has a second");
    assert_eq!(engine.pin(), Err(CardFault::Timeout(1200)));
    engine.power_on().unwrap();
    reader.let_go();
}

/// Goal: a reader that another program holds is told as shared, and named only where the program can be seen.
#[test]
fn a_holder_that_cannot_be_seen_is_another_program() {
    let reader = Reader::new();
    let mut engine = Engine::start(&reader, LONG);
    reader.set(|inside| inside.refuses = Some(Error::SharingViolation));
    reader.insert();
    engine.until(|event| *event == CardEvent::Inserted);
    let fault = engine.power_on().unwrap_err();
    assert!(matches!(fault, CardFault::Shared(_)), "{fault:?}");
    let unseen = CardFault::Shared(None).to_string();
    assert_eq!(unseen, "another program holds the reader: end it, or have it let go of the reader");
}

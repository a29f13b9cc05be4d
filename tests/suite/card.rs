//! The card adapter against a real pcscd with a virtual reader and a simulated card in it.
//!
//! libpcsclite reads the path of pcscd's socket once in the life of a process, so each test runs the test
//! binary again for itself alone, with the path of its own bench. Where there is no virtual reader a test
//! says so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::disallowed_methods, reason = "deadlines are measured, files are written")]
use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use posd::adapters::card_pcsc::{self, CardHandle, ReaderNames};
use posd::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use posd::domain::emv::tlv::{Tag, TagStore};
use posd::domain::secret::Pan;
use posd::ports::{CardCommand, CardEvent, CardFault, ReaderStatus};
use posd::sim::issuer;
use posd::sim::vpcd::Bench;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Tells the second run which folder its bench uses.
const FOLDER: &str = "POSD_TEST_BENCH";
/// Longest wait for anything that has no deadline of its own; backoff of the adapter and polling of vpcd
/// included.
const WITHIN: Duration = Duration::from_secs(20);
/// Deadline of a command where the test is not about it.
const LONG: Duration = Duration::from_secs(10);
/// How many cards follow one another.
const ROUNDS: usize = 40;

/// Runs `body` in a process of its own, where libpcsclite finds the bench. `name` is the test's own name.
fn alone(name: &str, body: fn(Bench)) {
    if let Some(folder) = env::var_os(FOLDER) {
        match Bench::start_in(&PathBuf::from(folder)) {
            Ok(bench) => body(bench),
            Err(skip) => println!("skipped: {skip}"),
        }
        return;
    }
    let folder = Bench::new_folder();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("card::{name}"), "--nocapture", "--test-threads=1"])
        .env(FOLDER, &folder)
        .env("PCSCLITE_CSOCK_NAME", Bench::socket_in(&folder))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    if let Some(line) = text.lines().find(|line| line.contains("skipped:")) {
        println!("{name}: {line}");
    }
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "no such test: {name}\n{text}");
}

/// The engine's side of the adapter.
struct Engine {
    handle: CardHandle,
    events: mpsc::Receiver<CardEvent>,
    runtime: Runtime,
    readers: Vec<ReaderStatus>,
    last_id: u64,
}

impl Engine {
    fn start(deadline: Duration) -> Self {
        Self::start_with(ReaderNames::Auto, deadline)
    }

    fn start_with(names: ReaderNames, deadline: Duration) -> Self {
        let (sender, events) = mpsc::channel(16);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = card_pcsc::start(names, deadline, sender).unwrap();
        Self { handle, events, runtime, readers: Vec::new(), last_id: 0 }
    }

    fn next(&mut self, within: Duration) -> CardEvent {
        let event = self.runtime.block_on(async { tokio::time::timeout(within, self.events.recv()).await });
        let event = event.expect("an event in time").expect("the adapter lives");
        if let CardEvent::Readers(readers) = &event {
            self.readers.clone_from(readers);
        }
        event
    }

    /// Waits for one event; reports of readers may come before it, nothing else.
    fn expect(&mut self, expected: &CardEvent) {
        loop {
            let event = self.next(WITHIN);
            if event == *expected {
                return;
            }
            assert!(matches!(event, CardEvent::Readers(_)), "{event:?} before {expected:?}");
        }
    }

    /// Waits for a report of the readers that fits; other events may come before it.
    fn readers_until(&mut self, fits: impl Fn(&[ReaderStatus]) -> bool) {
        while !fits(&self.readers) {
            self.next(WITHIN);
        }
    }

    fn contact(&self) -> &ReaderStatus {
        self.readers.iter().find(|reader| reader.name == Bench::READER).expect("the contact reader")
    }

    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Waits for the answer to a command; other events are passed over.
    fn answer(&mut self) -> CardEvent {
        loop {
            let event = self.next(WITHIN);
            match &event {
                CardEvent::Powered { id, .. }
                | CardEvent::Response { id, .. }
                | CardEvent::PoweredOff { id } => {
                    assert_eq!(*id, self.last_id);
                    return event;
                }
                _ => {}
            }
        }
    }

    fn power_on(&mut self) -> Result<Vec<u8>, CardFault> {
        let id = self.id();
        self.handle.try_send(CardCommand::PowerOn { id }).unwrap();
        match self.answer() {
            CardEvent::Powered { result, .. } => result,
            event => panic!("{event:?}"),
        }
    }

    fn send(&mut self, header: [u8; 4], data: &[u8]) -> Result<ResponseApdu, CardFault> {
        let id = self.id();
        let [cla, ins, p1, p2] = header;
        let command = CommandApdu { cla, ins, p1, p2, data: data.to_vec(), le: Some(0) };
        self.handle.try_send(CardCommand::Transmit { id, command, next: None }).unwrap();
        match self.answer() {
            CardEvent::Response { result, .. } => result,
            event => panic!("{event:?}"),
        }
    }

    fn ok(&mut self, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        let response = self.send(header, data).expect("an answer");
        assert_eq!(response.status, StatusWord::OK);
        response.data.clone()
    }

    fn power_off(&mut self) {
        let id = self.id();
        self.handle.try_send(CardCommand::PowerOff { id }).unwrap();
        assert_eq!(self.answer(), CardEvent::PoweredOff { id });
    }
}

const SELECT: [u8; 4] = [0, 0xA4, 4, 0];
const DEBIT: [u8; 8] = [0xA0, 0, 0, 3, 0x33, 1, 1, 1];
const PSE: &[u8] = b"1PAY.SYS.DDF01";

/// Goal: a whole conversation, T=0 underneath, up to an ARQC that the bank believes.
#[test]
fn a_card_is_inserted_and_talks_to_its_bank() {
    alone("a_card_is_inserted_and_talks_to_its_bank", |bench| {
        let mut engine = Engine::start(LONG);
        engine.readers_until(|readers| readers.len() == 4);
        assert!(engine.contact().ok && !engine.contact().contactless && !engine.contact().card_present);
        let picc = engine.readers.iter().find(|reader| reader.name == Bench::CONTACTLESS).unwrap();
        assert!(picc.contactless);
        bench.insert("unionpay").unwrap();
        engine.expect(&CardEvent::Inserted);
        assert_eq!(engine.power_on().unwrap(), [0x3B, 0x64, 0, 0, b'P', b'O', b'S', b'D']);
        engine.ok(SELECT, PSE);
        assert!(engine.ok([0, 0xB2, 1, 0x0C], &[]).windows(8).any(|bytes| bytes == DEBIT));
        assert_eq!(engine.send([0, 0xB2, 2, 0x0C], &[]).unwrap().status, StatusWord(0x6A83));
        engine.ok(SELECT, &DEBIT);
        engine.ok([0x80, 0xA8, 0, 0], &[&[0x83, 9][..], &[0; 9]].concat());
        // Amounts, country, TVR, currency, date, type, unpredictable number, time, merchant name.
        let values: [(u32, &[u8]); 10] = [
            (0x9F02, &[0, 0, 0, 0, 0x10, 0]),
            (0x9F03, &[0; 6]),
            (0x9F1A, &[1, 0x56]),
            (0x95, &[0x80, 0, 0, 0, 0]),
            (0x5F2A, &[1, 0x56]),
            (0x9A, &[0x26, 1, 2]),
            (0x9C, &[0]),
            (0x9F37, &[1, 2, 3, 4]),
            (0x9F21, &[1, 2, 3]),
            (0x9F4E, &[0x20; 20]),
        ];
        let data: Vec<u8> = values.iter().flat_map(|(_, value)| value.to_vec()).collect();
        let answer = engine.ok([0x80, 0xAE, 0x80, 0], &data);
        let mut tags = TagStore::default();
        values.iter().for_each(|(tag, value)| tags.put(Tag(*tag), value));
        tags.put(Tag(0x82), &[0x1C, 0]);
        for object in posd::domain::emv::tlv::single(&answer).unwrap().unwrap().children() {
            let object = object.unwrap();
            tags.put(object.tag, object.value);
        }
        let pan = Pan::new("6225880012345675").unwrap();
        assert_eq!(issuer::verify_arqc(&issuer::TEST_IMK, &pan, 1, &tags), Ok(true));
        engine.power_off();
        assert_eq!(engine.send(SELECT, PSE), Err(CardFault::NoCard));
    });
}

/// Goal: T=1 needs no GET RESPONSE; the answer to reset and the preferred protocol are the card's.
#[test]
fn a_block_protocol_card_is_spoken_to_directly() {
    alone("a_block_protocol_card_is_spoken_to_directly", |bench| {
        let mut engine = Engine::start(LONG);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        assert_eq!(engine.power_on().unwrap()[..2], [0x3B, 0xE4]);
        engine.ok(SELECT, PSE);
        engine.ok([0, 0xB2, 1, 0x0C], &[]);
        assert_eq!(bench.apdus().unwrap().len(), 2);
        assert_eq!(engine.power_on().unwrap()[..2], [0x3B, 0xE4], "powering on again is a cold reset");
        assert_eq!(engine.send([0, 0xB2, 1, 0x0C], &[]).unwrap().status, StatusWord(0x6985));
    });
}

/// Goal: a card pulled in the middle of a command, or between two, is `Removed` and not a fault of the
/// reader.
#[test]
fn a_pulled_card_is_removed() {
    alone("a_pulled_card_is_removed", |bench| {
        let mut engine = Engine::start(LONG);
        bench.fault("apdu:3 remove").unwrap();
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        engine.ok(SELECT, PSE);
        engine.ok([0, 0xB2, 1, 0x0C], &[]);
        assert_eq!(engine.send([0, 0xB2, 2, 0x0C], &[]), Err(CardFault::Removed));
        engine.expect(&CardEvent::Removed);
        assert_eq!(engine.send(SELECT, PSE), Err(CardFault::Removed));
        assert_eq!(engine.power_on(), Err(CardFault::NoCard));

        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        bench.remove().unwrap();
        engine.expect(&CardEvent::Removed);
        assert_eq!(engine.send(SELECT, PSE), Err(CardFault::Removed));
        engine.power_off();
    });
}

/// Goal: another card in the place of the first is noticed, however quick the hand.
#[test]
fn a_swapped_card_is_removed_and_inserted() {
    alone("a_swapped_card_is_removed_and_inserted", |bench| {
        let mut engine = Engine::start(LONG);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        bench.insert("unionpay").unwrap();
        engine.expect(&CardEvent::Removed);
        engine.expect(&CardEvent::Inserted);
        assert_eq!(engine.power_on().unwrap()[..2], [0x3B, 0x64]);
    });
}

/// Goal: a chip that hangs costs one command its deadline and no more; the reader is told as hung until the
/// card is pulled, and the next card works.
#[test]
fn a_hung_card_times_out_within_its_deadline() {
    alone("a_hung_card_times_out_within_its_deadline", |bench| {
        let deadline = Duration::from_secs(3);
        let mut engine = Engine::start(deadline);
        bench.fault("apdu:2 mute").unwrap();
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        engine.ok(SELECT, PSE);
        let begun = Instant::now();
        assert_eq!(engine.send([0, 0xB2, 1, 0x0C], &[]), Err(CardFault::Timeout(3000)));
        let took = begun.elapsed();
        assert!((deadline..deadline + Duration::from_secs(1)).contains(&took), "{took:?}");
        engine.readers_until(|readers| readers.iter().any(|reader| reader.reasons == ["hung"]));
        assert!(matches!(engine.power_on(), Err(CardFault::Mute | CardFault::Timeout(_))));
        engine.power_off();
        bench.remove().unwrap();
        engine.readers_until(|readers| readers.iter().all(|reader| reader.ok && !reader.card_present));
        bench.insert("visa").unwrap();
        engine.readers_until(|readers| readers.iter().any(|reader| reader.card_present));
        assert_eq!(engine.power_on().unwrap()[..2], [0x3B, 0xE4]);
        engine.ok(SELECT, PSE);
    });
}

/// Goal: pcscd dies with a card in and a command open to it; nothing is left hanging, and all comes back with
/// pcscd.
#[test]
fn a_restart_of_pcscd_is_survived() {
    alone("a_restart_of_pcscd_is_survived", |mut bench| {
        let mut engine = Engine::start(LONG);
        bench.insert("unionpay").unwrap();
        engine.expect(&CardEvent::Inserted);
        for _ in 0..2 {
            engine.power_on().unwrap();
            bench.kill_pcscd();
            engine.expect(&CardEvent::Removed);
            assert!(engine.readers.iter().all(|reader| !reader.ok && reader.reasons == ["pcscd-absent"]));
            let absent = CardFault::NoReader("pcscd-absent".to_owned());
            assert_eq!(engine.power_on(), Err(absent.clone()));
            engine.power_off();
            bench.start_pcscd().unwrap();
            engine.expect(&CardEvent::Inserted);
            assert!(engine.contact().ok);
        }
        engine.power_on().unwrap();
        engine.ok(SELECT, PSE);
    });
}

/// Goal: the terminal starts before pcscd does. A command is what wakes it, before the backoff would.
#[test]
fn pcscd_may_come_later_than_the_terminal() {
    alone("pcscd_may_come_later_than_the_terminal", |mut bench| {
        bench.kill_pcscd();
        let mut engine = Engine::start(LONG);
        assert_eq!(engine.next(WITHIN), CardEvent::Readers(Vec::new()));
        assert_eq!(engine.power_on(), Err(CardFault::NoReader("pcscd-absent".to_owned())));
        bench.start_pcscd().unwrap();
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
    });
}

/// Goal: a pcscd that takes connections and never answers holds up a command for its deadline only.
#[test]
fn a_stuck_pcscd_holds_up_nobody() {
    alone("a_stuck_pcscd_holds_up_nobody", |bench| {
        let deadline = Duration::from_secs(2);
        let mut engine = Engine::start(deadline);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        bench.freeze_pcscd(true).unwrap();
        for _ in 0..2 {
            let begun = Instant::now();
            assert_eq!(engine.send(SELECT, PSE), Err(CardFault::Timeout(2000)));
            let took = begun.elapsed();
            assert!(took < deadline + Duration::from_secs(1), "{took:?}");
        }
        bench.freeze_pcscd(false).unwrap();
        while engine.power_on().is_err() {}
        engine.ok(SELECT, PSE);
    });
}

/// Goal: pcscd without any reader is told from no pcscd, and readers that appear are used.
#[test]
fn readers_come_and_go() {
    alone("readers_come_and_go", |mut bench| {
        let mut engine = Engine::start(LONG);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        bench.kill_pcscd();
        engine.expect(&CardEvent::Removed);
        bench.plug_readers(false).unwrap();
        bench.start_pcscd().unwrap();
        engine.readers_until(<[ReaderStatus]>::is_empty);
        assert_eq!(engine.power_on(), Err(CardFault::NoReader("unplugged".to_owned())));
        bench.kill_pcscd();
        bench.plug_readers(true).unwrap();
        bench.start_pcscd().unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
    });
}

/// Goal: a reader that another program holds is told as shared, and used again when it is free.
#[test]
fn a_reader_held_by_another_program_is_shared() {
    alone("a_reader_held_by_another_program_is_shared", |bench| {
        let mut engine = Engine::start(LONG);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        let other = pcsc::Context::establish(pcsc::Scope::System).unwrap();
        let reader = std::ffi::CString::new(Bench::READER).unwrap();
        let held = other.connect(&reader, pcsc::ShareMode::Exclusive, pcsc::Protocols::ANY).unwrap();
        engine.readers_until(|readers| readers.iter().any(|reader| reader.reasons == ["shared"]));
        assert_eq!(engine.power_on(), Err(CardFault::Shared(None)));
        drop(held);
        engine.readers_until(|readers| readers.iter().all(|reader| reader.ok));
        engine.power_on().unwrap();
    });
}

/// Tells [`a_program_that_holds_the_reader`] that it is wanted.
const HOLD: &str = "POSD_TEST_HOLD";

/// Goal: none of its own: run by the test after this one as a program that takes the reader, until its input ends.
#[test]
fn a_program_that_holds_the_reader() {
    if env::var_os(HOLD).is_none() {
        return;
    }
    let context = pcsc::Context::establish(pcsc::Scope::System).unwrap();
    let reader = std::ffi::CString::new(Bench::READER).unwrap();
    let held = context.connect(&reader, pcsc::ShareMode::Exclusive, pcsc::Protocols::ANY).unwrap();
    println!("held");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(held);
}

/// Goal: the program that holds the reader is named, in the reader's reasons and in the fault of a power-up, and is
/// forgotten when it has let go.
#[test]
fn the_holder_of_a_reader_is_named() {
    alone("the_holder_of_a_reader_is_named", |bench| {
        let mut engine = Engine::start(LONG);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        let mut other = Command::new(env::current_exe().unwrap())
            .args(["--exact", "card::a_program_that_holds_the_reader", "--nocapture"])
            .env(HOLD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        let process = other.id();
        let program = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap();
        let program = program.trim();
        let reasons = ["shared".to_owned(), format!("held-by-{}", program.replace('_', "-"))];
        engine.readers_until(|readers| readers.iter().any(|reader| reader.reasons == reasons));
        let fault = engine.power_on().unwrap_err();
        assert_eq!(fault, CardFault::Shared(Some(format!("{program} (process {process})"))));
        assert!(fault.to_string().contains("holds the reader: end it"), "{fault}");
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        engine.readers_until(|readers| readers.iter().all(|reader| reader.ok));
        engine.power_on().unwrap();
    });
}

/// Goal: a card that goes in the moment the one before it is out is noticed, again and again.
#[test]
fn cards_that_follow_at_once_are_all_noticed() {
    alone("cards_that_follow_at_once_are_all_noticed", |bench| {
        let mut engine = Engine::start(LONG);
        for _ in 0..ROUNDS {
            bench.insert("visa").unwrap();
            engine.expect(&CardEvent::Inserted);
            engine.power_on().unwrap();
            engine.ok(SELECT, PSE);
            engine.power_off();
            bench.remove().unwrap();
            engine.expect(&CardEvent::Removed);
        }
    });
}

/// Goal: pcscd dies under a command that the chip has not answered; the command is answered at once, not at
/// its deadline, and as what it is.
#[test]
fn a_command_under_a_dying_pcscd_is_answered() {
    alone("a_command_under_a_dying_pcscd_is_answered", |mut bench| {
        let mut engine = Engine::start(LONG);
        bench.fault("select-pse mute").unwrap();
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        let id = engine.id();
        let command = CommandApdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: PSE.to_vec(), le: Some(0) };
        let begun = Instant::now();
        engine.handle.try_send(CardCommand::Transmit { id, command, next: None }).unwrap();
        while bench.apdus().unwrap().is_empty() {
            assert!(begun.elapsed() < WITHIN, "the card sees the command");
        }
        bench.kill_pcscd();
        let result = Err(CardFault::NoReader("pcscd-absent".to_owned()));
        assert_eq!(engine.answer(), CardEvent::Response { id, result });
        assert!(begun.elapsed() < LONG);
        engine.expect(&CardEvent::Removed);
    });
}

/// Goal: the queue has a size, and what was queued behind a hung command is answered too, once each and in
/// order.
#[test]
fn commands_behind_a_hung_one_are_answered_in_order() {
    alone("commands_behind_a_hung_one_are_answered_in_order", |bench| {
        let mut engine = Engine::start(Duration::from_secs(2));
        bench.fault("apdu:1 mute").unwrap();
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
        let command = CommandApdu { cla: 0, ins: 0xA4, p1: 4, p2: 0, data: PSE.to_vec(), le: Some(0) };
        engine.handle.try_send(CardCommand::Transmit { id: 100, command, next: None }).unwrap();
        while bench.apdus().unwrap().is_empty() {}
        let taken =
            (101..120).take_while(|id| engine.handle.try_send(CardCommand::PowerOff { id: *id }).is_ok());
        let taken: Vec<u64> = taken.collect();
        assert!((8..=9).contains(&taken.len()), "{taken:?}");
        engine.last_id = 100;
        let result = Err(CardFault::Timeout(2000));
        assert_eq!(engine.answer(), CardEvent::Response { id: 100, result });
        for id in taken {
            engine.last_id = id;
            assert_eq!(engine.answer(), CardEvent::PoweredOff { id });
        }
    });
}

/// Goal: a chip that gives no answer to reset is `Mute`, and the reader is well.
#[test]
fn a_mute_chip_is_told_as_mute() {
    alone("a_mute_chip_is_told_as_mute", |bench| {
        let file = bench.control().with_file_name("mute.toml");
        std::fs::write(&file, "preset = 'visa'\nmute = true\n").unwrap();
        let mut engine = Engine::start(LONG);
        bench.insert(file.to_str().unwrap()).unwrap();
        engine.expect(&CardEvent::Inserted);
        assert_eq!(engine.power_on(), Err(CardFault::Mute));
        assert!(engine.contact().ok);
        bench.remove().unwrap();
        engine.expect(&CardEvent::Removed);
        bench.insert("visa").unwrap();
        engine.expect(&CardEvent::Inserted);
        engine.power_on().unwrap();
    });
}

/// Goal: configured readers are the only ones used, a missing one is named, and the adapter ends with its
/// handle.
#[test]
fn only_configured_readers_are_used() {
    alone("only_configured_readers_are_used", |bench| {
        let names = ReaderNames::Named(vec!["Gemalto".to_owned(), "POSD contact 00 01".to_owned()]);
        let mut engine = Engine::start_with(names, LONG);
        engine.readers_until(|readers| readers.iter().any(|reader| reader.ok));
        let seen: Vec<_> = engine.readers.iter().map(|reader| (reader.name.as_str(), reader.ok)).collect();
        assert_eq!(seen, [("Gemalto", false), ("POSD contact 00 01", true)]);
        bench.insert("visa").unwrap();
        assert_eq!(engine.power_on(), Err(CardFault::NoCard), "the card is in the other slot");
        let Engine { handle, mut events, runtime, .. } = engine;
        drop(handle);
        let ended = async { while events.recv().await.is_some() {} };
        runtime.block_on(async { tokio::time::timeout(WITHIN, ended).await }).expect("the adapter ends");
    });
}

/// Goal: the card process says what it cannot do.
#[test]
fn the_card_process_refuses_what_it_does_not_know() {
    alone("the_card_process_refuses_what_it_does_not_know", |bench| {
        assert!(bench.insert("amex").unwrap_err().to_string().contains("unionpay-credit"));
        assert!(bench.insert("/nowhere/card.toml").is_err());
        assert!(bench.fault("lunch mute").is_err());
        assert!(!bench.remove().unwrap());
        bench.insert("no-cvm").unwrap();
        assert_eq!(bench.status().unwrap()["card"], "no-cvm");
        assert!(bench.remove().unwrap());
        assert!(bench.apdus().unwrap().is_empty());
    });
}

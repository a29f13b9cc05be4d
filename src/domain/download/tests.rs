//! Goal: what the bank sends comes into use whole or not at all, whatever happens on the way.
use super::lists::{CARDS_MAX, List, PageError, Rest, cards};
use super::machine::{Download, Event, Question, Report, Request, Setup};
use super::records::{RecordError, application, capk};
use super::{Kind, Progress, Row, TableStep, apply, parameters, version};
use crate::domain::calendar::WallTime;
use crate::domain::emv::tlv::{Tag, encode};
use crate::domain::fault::FaultName;
use crate::domain::ident::ResponseCode;
use crate::domain::profile::Profile;
use crate::domain::record::Record;
use crate::domain::secret::{Pan, TokenKey};
use crate::domain::txn::{Effects, Now, Vital};
use core::time::Duration;
use proptest::prelude::*;
use std::sync::Arc;

/// The published records, as `tests/data/iso8583/parts.txt` has them too.
const CAPK: &str = concat!(
    "9F0605A0000003339F220103DF05083230323431323331DF060101DF070101DF0281B0B0627DEE87864F9C18C13B9A1F",
    "025448BF13C58380C91F4CEBA9F9BCB214FF8414E9B59D6ABA10F941C7331768F47B2127907D857FA39AAF8CE02045DD",
    "01619D689EE731C551159BE7EB2D51A372FF56B556E5CB2FDE36E23073A44CA215D6C26CA68847B388E39520E0026E62",
    "294B557D6470440CA0AEFC9438C923AEC9B2098D6D3A1AF5E8B1DE36F4B53040109D89B77CAFAF70C26C601ABDF59EEC",
    "0FDC8A99089140CD2E817E335175B03B7AA33DDF040103DF031487F0CD7C0E86F38F89A66F8C47071A8B88586F26",
);
const AID: &str = concat!(
    "9F0608A000000333010101DF0101009F08020030DF1105D84000A800DF1205D84004F800DF130500100000009F1B0400",
    "000000DF150400000000DF160199DF170199DF14039F3704DF1801019F7B06000000100000DF1906000000100000DF20",
    "06000999999999DF2106000000500000",
);

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// The record with one object exchanged for another (or left out).
fn with(record: &[u8], tag: u32, value: Option<&[u8]>) -> Vec<u8> {
    let objects = crate::domain::emv::tlv::Reader::new(record).map(Result::unwrap);
    objects
        .flat_map(|object| match (object.tag == Tag(tag), value) {
            (true, None) => Vec::new(),
            (true, Some(value)) => encode(object.tag, value).unwrap(),
            (false, _) => encode(object.tag, object.value).unwrap(),
        })
        .collect()
}

fn aid(last: u8) -> Vec<u8> {
    vec![0xA0, 0, 0, 3, 0x33, 1, 1, last]
}

fn aid_record(last: u8) -> Vec<u8> {
    with(&hex(AID), 0x9F06, Some(&aid(last)))
}

/// A bank with everything: what it answers.
#[derive(Clone)]
struct Bank {
    /// Applications by their last byte, and how many stand on a page.
    aids: Vec<u8>,
    page: usize,
    /// One that it lists and does not have.
    lacks: Option<u8>,
    cards: Vec<String>,
    parameters: Vec<u8>,
}

fn bank() -> Bank {
    let cards = (0..5).map(|n| format!("62258800123456{n:02}")).collect();
    let mut parameters = b"1245135".to_vec();
    parameters.extend(b"22");
    parameters.extend(format!("{:<40}", "Corner Shop").bytes());
    Bank { aids: vec![1, 2, 3], page: 2, lacks: None, cards, parameters }
}

impl Bank {
    fn answer(&self, request: &Request) -> Vec<u8> {
        let page = |from: usize, all: usize| {
            let to = all.min(from + self.page);
            let status = if all == 0 {
                b'0'
            } else if to < all {
                b'2'
            } else if from == 0 {
                b'1'
            } else {
                b'3'
            };
            (status, from.min(all)..to)
        };
        match (&request.question, request.kind) {
            (Question::List { received }, Kind::Capk) => {
                assert_eq!(*received, 0);
                [&b"1"[..], &hex("9F0605A0000003339F220103DF05083230323431323331")].concat()
            }
            (Question::List { received }, _) => {
                let (status, part) = page(*received, self.aids.len());
                let items =
                    self.aids[part].iter().flat_map(|last| encode(Tag::TERMINAL_AID, &aid(*last)).unwrap());
                std::iter::once(status).chain(items).collect()
            }
            (Question::Record(key), Kind::Capk) => {
                assert_eq!(*key, hex("A00000033303"));
                [&b"1"[..], &hex(CAPK)].concat()
            }
            (Question::Record(key), _) if self.lacks == key.last().copied() => b"0".to_vec(),
            (Question::Record(key), _) => [&b"1"[..], &aid_record(*key.last().unwrap())].concat(),
            (Question::Cards { next }, _) => {
                let (status, part) = page(next - 1, self.cards.len());
                let entries: String =
                    self.cards[part].iter().map(|pan| format!("{:02}{pan}", pan.len())).collect();
                format!("{}{:03}{entries}", char::from(status), self.cards.len()).into_bytes()
            }
            (Question::Whole, Kind::Parameters) => self.parameters.clone(),
            (Question::Whole, _) => [&b"1"[..], &hex("DF1906000000100000")].concat(),
            (Question::End, _) => Vec::new(),
        }
    }
}

fn setup() -> Setup {
    Setup {
        patience: Duration::from_secs(15),
        profile: Profile::unionpay(),
        token_key: TokenKey::derive(&[7; 32]),
    }
}

/// Where the power goes off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Before the n-th commit is durable, from 0.
    Before(usize),
    /// After it.
    After(usize),
    Never,
}

type End = Option<Result<Report, FaultName>>;

/// Runs one download against a bank and a journal until it ends or the power fails. Counts commits; `asked` has what
/// went out.
fn run(kind: Kind, bank: &Bank, tables: &mut Vec<Progress>, cut: Cut, asked: &mut Vec<Question>) -> End {
    let held = tables.iter().find(|table| table.kind == kind).cloned();
    let (now, mut commits) = (Now { wall: WallTime(9), ..Now::default() }, 0);
    let mut machine = Download::new(kind, setup(), held.as_ref());
    loop {
        assert!(asked.len() < 100, "it does not end");
        let event = if machine.wants_line() { Event::LineReady } else { Event::Tick };
        let (next, mut effects) = machine.step(event, now);
        machine = next;
        loop {
            let event = match effects.vital {
                Vital::Nothing => break,
                Vital::Store(records) => {
                    if cut == Cut::Before(commits) {
                        return None;
                    }
                    for record in records {
                        let Record::Table(step) = record else { panic!("{record:?}") };
                        assert!(apply(tables, &step), "{step:?}");
                    }
                    if cut == Cut::After(commits) {
                        return None;
                    }
                    commits += 1;
                    Event::Stored
                }
                Vital::Send(request) => {
                    asked.push(request.question.clone());
                    (machine, _) = machine.step(Event::RequestSent, now);
                    Event::Answered { code: ResponseCode::new("00").unwrap(), data: bank.answer(&request) }
                }
            };
            (machine, effects) = machine.step(event, now);
        }
        if let Some(end) = machine.ended() {
            return Some(end.clone().map_err(|fault| fault.name));
        }
    }
}

fn table(tables: &[Progress], kind: Kind) -> &Progress {
    tables.iter().find(|table| table.kind == kind).unwrap()
}

/// Goal: each kind comes from an empty terminal to its table, with the bank's bytes.
#[test]
fn every_kind_comes_into_use_whole() {
    let check = |kind, rows: usize, questions: &[Question]| {
        let (mut tables, mut asked) = (Vec::new(), Vec::new());
        let report = run(kind, &bank(), &mut tables, Cut::Never, &mut asked).unwrap().unwrap();
        assert_eq!((report.rows, report.remarks), (Some(rows), vec![]), "{kind}");
        assert_eq!(asked, questions, "{kind}");
        let table = table(&tables, kind);
        assert_eq!((table.table.len(), table.swapped_at, table.is_incomplete()), (rows, WallTime(9), false));
        assert_eq!(version(&tables).len(), 16);
    };
    let key = hex("A00000033303");
    check(Kind::Capk, 1, &[Question::List { received: 0 }, Question::Record(key), Question::End]);
    let (list, record) = (|received| Question::List { received }, |last| Question::Record(aid(last)));
    check(Kind::Aid, 3, &[list(0), list(2), record(1), record(2), record(3), Question::End]);
    check(Kind::Parameters, 3, &[Question::Whole]);
    let cards = |next| Question::Cards { next };
    check(Kind::Blacklist, 5, &[cards(1), cards(3), cards(5), Question::End]);
    check(Kind::Contactless, 1, &[Question::Whole, Question::End]);
    assert_eq!(version(&[]), "");
}

/// Goal: the power may fail around every commit: the old table is in use, or the new one whole; the next run ends with
/// the new one and asks for no record twice.
#[test]
fn a_power_cut_at_each_step_leaves_the_old_table_or_the_new_one() {
    for kind in Kind::ALL.iter().copied() {
        let old = vec![Row { key: b"old".to_vec(), data: b"x".to_vec() }];
        let before = Progress { table: old.clone(), swapped_at: WallTime(1), ..Progress::new(kind) };
        let mut whole = vec![before.clone()];
        run(kind, &bank(), &mut whole, Cut::Never, &mut Vec::new()).unwrap().unwrap();
        let mut cuts = 0;
        for cut in (0..).flat_map(|n| [Cut::Before(n), Cut::After(n)]) {
            let (mut tables, mut asked) = (vec![before.clone()], Vec::new());
            if run(kind, &bank(), &mut tables, cut, &mut asked).is_some() {
                break;
            }
            cuts += 1;
            let held = table(&tables, kind).clone();
            assert!(held.table == old || tables == whole, "{kind}, cut {cuts}");
            if held.table == old {
                run(kind, &bank(), &mut tables, Cut::Never, &mut asked).unwrap().unwrap();
            }
            assert_eq!(tables, whole, "{kind}, cut {cuts}");
            let records = asked.iter().filter(|question| matches!(question, Question::Record(_)));
            let mut records: Vec<_> = records.collect();
            let (all, lost) = (records.len(), usize::from(matches!(cut, Cut::Before(_))));
            records.dedup();
            assert!(all - records.len() <= lost, "{kind}, cut {cuts}: {asked:?}");
        }
        assert!(cuts >= 2, "{kind}");
    }
}

/// Goal: a bank that has changed its list meanwhile gets its new list, and nothing of the old one stays.
#[test]
fn another_list_starts_over() {
    let (mut tables, mut asked) = (Vec::new(), Vec::new());
    assert_eq!(run(Kind::Aid, &bank(), &mut tables, Cut::After(2), &mut asked), None);
    assert_eq!(table(&tables, Kind::Aid).staged.as_ref().unwrap().1.len(), 2);
    let other = Bank { aids: vec![2, 9], ..bank() };
    run(Kind::Aid, &other, &mut tables, Cut::Never, &mut asked).unwrap().unwrap();
    let keys: Vec<_> = table(&tables, Kind::Aid).table.iter().map(|row| row.key.clone()).collect();
    assert_eq!(keys, [aid(2), aid(9)]);
}

/// Goal: what the bank does not have is passed over and told; a bank without a list changes nothing.
#[test]
fn what_is_not_there_is_told() {
    let mut tables = Vec::new();
    let lacking = Bank { lacks: Some(2), ..bank() };
    let report = run(Kind::Aid, &lacking, &mut tables, Cut::Never, &mut Vec::new()).unwrap().unwrap();
    assert_eq!(report.rows, Some(2));
    assert_eq!(report.remarks, ["aid A000000333010102: the bank does not have it"]);
    let before = tables.clone();
    let empty = Bank { aids: vec![], cards: vec![], ..bank() };
    let report = run(Kind::Aid, &empty, &mut tables, Cut::Never, &mut Vec::new()).unwrap().unwrap();
    assert_eq!((report.rows, tables == before), (None, true));
    let report = run(Kind::Blacklist, &empty, &mut tables, Cut::Never, &mut Vec::new()).unwrap().unwrap();
    assert_eq!((report.rows, tables == before), (None, true));
    let all_lacking = Bank { aids: vec![2], ..lacking };
    let end = run(Kind::Aid, &all_lacking, &mut tables, Cut::Never, &mut Vec::new());
    assert_eq!(end, Some(Err(FaultName::HostRejected)));
    assert_eq!(table(&tables, Kind::Aid).table, table(&before, Kind::Aid).table);
}

/// Goal: parameters with an end message of their own are swapped after it; a refused end swaps nothing.
#[test]
fn a_refused_end_swaps_nothing() {
    let mut profile = Profile::clone(&Profile::unionpay());
    profile.downloads.parameters_end = true;
    let setup = Setup { profile: Arc::new(profile), ..setup() };
    let code = |code: &str, data: &[u8]| Event::Answered {
        code: ResponseCode::new(code).unwrap(),
        data: data.to_vec(),
    };
    let now = Now::default();
    let first = |machine: Download, events: &[Event]| {
        let none = Effects { local: vec![], vital: Vital::Nothing };
        events.iter().fold((machine, none), |(machine, _), event| machine.step(event.clone(), now))
    };
    let answer = code("00", &bank().parameters);
    let events =
        [Event::LineReady, Event::RequestSent, answer, Event::Stored, Event::LineReady, Event::RequestSent];
    let (machine, _) = first(Download::new(Kind::Parameters, setup, None), &events);
    assert_eq!((machine.phase(), machine.cancellable()), ("ending", true));
    let (refused, effects) = machine.step(code("96", b""), now);
    assert_eq!(effects.vital, Vital::Nothing);
    let fault = refused.ended().unwrap().clone().unwrap_err();
    assert_eq!(fault.name, FaultName::HostRejected);
    assert!(fault.text.contains("96"), "{fault}");
}

/// Goal: a record that is not what was asked for, broken, or forged ends the download by name, and stages nothing.
#[test]
fn a_bad_record_is_refused_by_name() {
    let check = |kind: Kind, data: &[u8], expected: &str| {
        let now = Now::default();
        let list = match kind {
            Kind::Capk => hex("319F0605A0000003339F220103DF05083230323431323331"),
            _ => [&b"1"[..], &encode(Tag::TERMINAL_AID, &aid(1)).unwrap()].concat(),
        };
        let answer =
            |data: &[u8]| Event::Answered { code: ResponseCode::new("00").unwrap(), data: data.to_vec() };
        let events = [
            Event::LineReady,
            Event::RequestSent,
            answer(&list),
            Event::Stored,
            Event::LineReady,
            Event::RequestSent,
            answer(data),
        ];
        let mut machine = Download::new(kind, setup(), None);
        let mut last = Vital::Nothing;
        for event in events {
            let (next, effects) = machine.step(event, now);
            (machine, last) = (next, effects.vital);
        }
        assert_eq!(last, Vital::Nothing);
        let fault = machine.ended().unwrap().clone().unwrap_err();
        assert_eq!(fault.name, FaultName::ProtocolError);
        assert!(fault.text.contains(expected), "{fault}");
    };
    let mut forged = hex(CAPK);
    forged[60] ^= 1;
    check(Kind::Capk, &[&b"1"[..], &forged].concat(), "record A00000033303 of capk is refused: its checksum");
    check(Kind::Capk, &hex("319F0605"), "tag 9F06 at byte 0: needs 5 bytes, 0 left");
    check(Kind::Capk, b"", "begins with no status");
    check(
        Kind::Aid,
        &[&b"1"[..], &aid_record(7)].concat(),
        "record A000000333010101 of aid is refused: it is another",
    );
    check(Kind::Aid, &[&b"1"[..], &with(&aid_record(1), 0xDF11, None)].concat(), "tag DF11 is missing");
    let twice = [aid_record(1), encode(Tag(0xDF11), &[0; 5]).unwrap()].concat();
    check(Kind::Aid, &[&b"1"[..], &twice].concat(), "tag DF11 appears twice");
}

/// Goal: the published key and application are read as they are meant; both forms of a day are.
#[test]
fn records_are_read() {
    let key = capk(&hex(CAPK)).unwrap();
    assert_eq!((key.rid, key.index, key.expiry), ([0xA0, 0, 0, 3, 0x33], 3, [0x20, 0x24, 0x12, 0x31]));
    assert_eq!((key.modulus.len(), key.exponent.as_slice()), (176, &[3][..]));
    let packed = with(&hex(CAPK), 0xDF05, Some(&[0x20, 0x24, 0x12, 0x31]));
    assert_eq!(capk(&packed), Ok(key));
    let bad = |tag, value: Option<&[u8]>| capk(&with(&hex(CAPK), tag, value)).unwrap_err();
    assert_eq!(bad(0xDF05, Some(b"20241331")), RecordError::Form(Tag(0xDF05)));
    assert_eq!(bad(0xDF07, Some(&[4])), RecordError::Algorithm);
    assert_eq!(bad(0xDF03, None), RecordError::Missing(Tag(0xDF03)));
    assert_eq!(bad(0xDF04, Some(&[5])), RecordError::Form(Tag(0xDF04)));

    let entry = application(&hex(AID), 0).unwrap();
    assert_eq!((entry.aid.bytes(), entry.version), (aid(1).as_slice(), [0, 0x30]));
    assert_eq!((entry.partial_match, entry.online_pin, entry.floor_limit), (true, true, 0));
    assert_eq!((entry.random_max_percent, entry.random_target_percent), (99, 99));
    assert_eq!(entry.tac_denial, [0, 0x10, 0, 0, 0]);
    assert!(!application(&hex(AID), 1).unwrap().partial_match);
    let bad = |tag, value: Option<&[u8]>| application(&with(&hex(AID), tag, value), 0).unwrap_err();
    assert_eq!(bad(0xDF16, Some(&[0x50])), RecordError::Form(Tag(0xDF17)));
    assert_eq!(bad(0xDF17, Some(&[0x9A])), RecordError::Form(Tag(0xDF17)));
    assert_eq!(bad(0xDF20, Some(&[0xFF; 6])), RecordError::Form(Tag(0xDF20)));
    assert_eq!(bad(0x9F08, None), RecordError::Missing(Tag(0x9F09)));
    let few = application(&with(&hex(AID), 0xDF14, None), 0).unwrap();
    assert_eq!(few.default_ddol, [0x9F, 0x37, 0x04]);
}

/// Goal: pages are read as their status says; what cannot be a list is refused.
#[test]
fn pages_are_read() {
    let entry = |last| encode(Tag::TERMINAL_AID, &aid(last)).unwrap();
    let take = |list: &mut List, status: u8, lasts: &[u8]| {
        let page: Vec<u8> =
            std::iter::once(status).chain(lasts.iter().flat_map(|last| entry(*last))).collect();
        list.take(Kind::Aid, &page)
    };
    let mut list = List::default();
    assert_eq!(take(&mut list, b'2', &[1, 2]), Ok(Rest::More));
    assert_eq!(take(&mut list, b'3', &[2, 3]), Ok(Rest::End));
    assert_eq!(list.keys().len(), 3);
    assert_eq!(take(&mut List::default(), b'0', &[]), Ok(Rest::None));
    assert_eq!(take(&mut list, b'0', &[]), Ok(Rest::End));
    assert_eq!(take(&mut list, b'2', &[1]), Err(PageError::Endless));
    assert_eq!(take(&mut List::default(), b'4', &[]), Err(PageError::Status));
    assert_eq!(take(&mut List::default(), b'1', &(0..100).collect::<Vec<_>>()), Err(PageError::Endless));
    let keys = |text: &str| List::default().take(Kind::Capk, &hex(text));
    assert_eq!(keys("319F220103"), Err(PageError::Object(Tag::TERMINAL_CA_KEY_INDEX)));
    assert_eq!(keys("319F0605A000000333"), Err(PageError::Object(Tag::TERMINAL_AID)));
    assert_eq!(keys("319F0605A0000003339F220103"), Ok(Rest::End));

    let page = cards(b"1002166225880012345678166225880012345679").unwrap();
    assert_eq!((page.rest, page.total, page.cards.len()), (Rest::End, 2, 2));
    assert!(!format!("{page:?}").contains("6225880012345678"));
    assert_eq!(cards(b"10021662258800").unwrap_err(), PageError::Card(4));
    assert_eq!(cards(b"1001045555").unwrap_err(), PageError::Card(4));
    assert_eq!(cards(b"1+01").unwrap_err(), PageError::Card(1));
}

/// Goal: a blacklisted card is kept as a token and never as a number; a list that lies about its length is refused.
#[test]
fn a_blacklist_holds_no_card_number() {
    let mut tables = Vec::new();
    run(Kind::Blacklist, &bank(), &mut tables, Cut::Never, &mut Vec::new()).unwrap().unwrap();
    let token = TokenKey::derive(&[7; 32]).token(&Pan::new("6225880012345603").unwrap());
    assert!(tables[0].table.contains(&Row { key: token.into_bytes(), data: vec![] }));
    assert!(!format!("{tables:?}").contains("62258800"));
    let many = Bank { cards: vec!["6225880012345678".to_owned(); CARDS_MAX + 1], page: 300, ..bank() };
    let end = run(Kind::Blacklist, &many, &mut tables, Cut::Never, &mut Vec::new());
    assert_eq!(end, Some(Err(FaultName::ProtocolError)));
}

/// Goal: items are read by their lengths; a bad value is refused by name, an unknown number ends the reading, and only
/// what posd has a use for is acted upon.
#[test]
fn parameters_are_read_item_by_item() {
    let good = parameters::read(&bank().parameters);
    assert_eq!((good.rows.len(), good.remarks.len()), (3, 0));
    let adopted = parameters::adopt(&good.rows);
    assert_eq!(adopted.response_timeout, Some(Duration::from_secs(45)));
    assert_eq!(adopted.connect_attempts, Some(6));
    assert_eq!(adopted.merchant_name.as_deref(), Some(&b"Corner Shop"[..]));
    assert_eq!(adopted.attempts, None);
    let check = |text: &[u8], rows: usize, remark: &str| {
        let received = parameters::read(text);
        assert_eq!((received.rows.len(), received.remarks.as_slice()), (rows, &[remark.to_owned()][..]));
    };
    check(b"12xx135", 1, "item 12 (response-timeout-s) has a wrong form");
    check(b"12101220", 1, "item 12 (response-timeout-s) came twice");
    check(b"13577abc", 1, "item 77 is not known; 3 bytes after it were not read");
    check(b"22short", 0, "item 22 (merchant-name) is cut off");
    check(b"1351", 1, "the items are cut off");
    let gbk = parameters::read(&[b"22".as_slice(), &[0xCA, 0xBE], &[b' '; 38]].concat());
    assert_eq!(parameters::adopt(&gbk.rows).merchant_name, Some(vec![0xCA, 0xBE]));
    assert_eq!(
        parameters::unused(&parameters::read(b"181192026\xFF\x00\x00\x00").rows),
        ["tip-allowed", "tip-percent", "enabled-transactions"]
    );
    assert_eq!(parameters::adopt(&parameters::read(b"1200").rows).response_timeout, None);
}

/// Goal: steps that contradict the journal change nothing.
#[test]
fn steps_out_of_order_are_refused() {
    let mut tables = Vec::new();
    let staged = TableStep::Staged { kind: Kind::Aid, rows: vec![] };
    let swapped = TableStep::Swapped { kind: Kind::Aid, at: WallTime(1) };
    assert!(!apply(&mut tables, &staged) && !apply(&mut tables, &swapped) && tables.is_empty());
    assert!(apply(&mut tables, &TableStep::Dropped { kind: Kind::Aid }) && tables.is_empty());
    assert!(apply(&mut tables, &TableStep::Begun { kind: Kind::Aid, list: [1; 32], at: WallTime(1) }));
    assert!(apply(&mut tables, &swapped) && !apply(&mut tables, &staged) && !apply(&mut tables, &swapped));
}

fn event() -> impl Strategy<Value = Event> {
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        Just(hex("319F0605A0000003339F220103")),
        Just([&b"1"[..], &hex(CAPK)].concat()),
        Just([&b"1"[..], &hex(AID)].concat()),
        Just(b"1001166225880012345678".to_vec()),
        Just(b"0".to_vec()),
    ];
    let answer = (prop_oneof![Just("00"), Just("96")], data)
        .prop_map(|(code, data)| Event::Answered { code: ResponseCode::new(code).unwrap(), data });
    prop_oneof![
        4 => Just(Event::LineReady),
        4 => Just(Event::RequestSent),
        8 => answer,
        4 => Just(Event::Stored),
        1 => Just(Event::StoreFailed),
        1 => Just(Event::Garbled),
        1 => Just(Event::Tick),
        1 => Just(Event::Cancel),
        1 => Just(Event::LineFailed("x".to_owned())),
        1 => Just(Event::LineLost("x".to_owned())),
    ]
}

proptest! {
    /// Goal: no order of events panics, stores out of turn, or goes on after the end; what is stored can be stored.
    #[test]
    fn any_order_of_events_is_taken(
        kind in prop::sample::select(Kind::ALL),
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut machine = Download::new(kind, setup(), None);
        let mut tables = Vec::new();
        let mut pending: Vec<Record> = Vec::new();
        for event in events {
            if event == Event::Stored {
                for record in pending.drain(..) {
                    let Record::Table(step) = record else { panic!("{record:?}") };
                    prop_assert!(apply(&mut tables, &step), "{:?}", step);
                }
            }
            let (over, waits) = (machine.ended().cloned(), !pending.is_empty());
            let (next, effects) = machine.step(event, Now::default());
            machine = next;
            prop_assert!(over.is_none() || machine.ended() == over.as_ref());
            prop_assert!(over.is_none() || effects.vital == Vital::Nothing);
            prop_assert!(machine.progress() <= 90);
            match effects.vital {
                Vital::Store(records) => {
                    prop_assert!(!waits);
                    pending = records;
                }
                Vital::Send(request) => prop_assert!(!waits && request.kind == kind),
                Vital::Nothing => {}
            }
            if machine.ended().is_some() {
                pending.clear();
            }
        }
    }

    /// Goal: no bytes make a reader panic.
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop((capk(&bytes), application(&bytes, 0), cards(&bytes), parameters::read(&bytes)));
        for kind in Kind::ALL {
            _ = List::default().take(*kind, &bytes);
        }
    }
}

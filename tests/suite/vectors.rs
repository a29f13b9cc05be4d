//! The bank's language against messages that others published and against synthetic ones with known keys.
//!
//! The messages stand in `tests/data/iso8583/`, each with its source and what it must decode to.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]
mod answers;
mod described;
mod download;
mod keys;
mod library;
mod queued;
mod requests;

use posd::domain::calendar::LocalTime;
use posd::domain::crypto::cipher::{BlockKey, Sm4Key};
use posd::domain::crypto::mac::MacAlgorithm;
use posd::domain::emv::tlv::{Tag, TagStore};
use posd::domain::ident::{AuthCode, BatchNumber, MerchantId, OperatorId, Rrn, Stan, TerminalId};
use posd::domain::iso8583::{De, Dialect, Form, Format, Frame, Message, iso1987, pack, unpack};
use posd::domain::keystore::{KeyBlockLayout, KeyRules, KeyStore as _, MacForm};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{EntryMode, Kind};
use posd::domain::profile::Profile;
use posd::domain::record::{OriginalRef, WireFacts};
use posd::domain::rules::rule;
use posd::domain::secret::{ClearPin, MasterKeyMaterial, Pan, PinBlock, Track2};
use posd::domain::unionpay::answers::{AnswerError, read_financial, read_management, read_sign_on};
use posd::domain::unionpay::describe::{self, CardData};
use posd::domain::unionpay::dialect::DIALECT;
use posd::domain::unionpay::issuer::{self, ClearMak};
use posd::domain::unionpay::keys::{KeyError, MasterKey, SoftwareStore, WorkingKeys};
use posd::domain::unionpay::mac::pack_signed;
use posd::domain::unionpay::messages::{self, Request, RequestFields, WireSource};
use posd::domain::unionpay::{Identity, de55};
use proptest::prelude::*;

const PUBLISHED: &str = include_str!("../data/iso8583/published.txt");
const SYNTHETIC: &str = include_str!("../data/iso8583/synthetic.txt");
const PARTS: &str = include_str!("../data/iso8583/parts.txt");

/// When answers come in these tests.
const NOW: LocalTime = LocalTime { year: 2026, month: 1, day: 15, hour: 9, minute: 32, second: 10 };

/// Entries that the dialect of terminals must refuse, and why.
const REFUSED: &[(&str, &str)] = &[
    ("A23", "names element 47, which UnionPay terminals do not define"),
    ("A24", "is the dialect between hosts, not the one of terminals"),
];

/// The dialect that a refused entry is written in: another one is only another table.
fn other_dialect(name: &str) -> Dialect {
    let changed = |base: &Dialect, rows: &[(u8, &str)]| {
        let with = |dialect: Dialect, (de, format): &(u8, &str)| {
            dialect.with(De::new(*de).unwrap(), Format::parse(format).unwrap())
        };
        rows.iter().fold(base.clone(), with)
    };
    match name {
        "A23" => changed(&DIALECT, &[(47, "ans..999 lll")]),
        // Characters as in ISO 8583:1987, but bitmaps and binary elements as they are.
        _ => changed(&iso1987::ASCII, &[(96, "b8"), (128, "b8")]).with_forms(Form::Ascii, Form::Packed),
    }
}

/// One entry of a data file.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    bytes: Vec<u8>,
    form: String,
    expected: Vec<(String, String)>,
}

impl Entry {
    /// The bytes from the MTI on.
    fn message(&self) -> &[u8] {
        match self.form.as_str() {
            "framed" => &self.bytes[13..],
            "unprefixed" => &self.bytes[11..],
            "ascii-length" => &self.bytes[4..],
            _ => &self.bytes,
        }
    }

    /// The bytes after the two length bytes, as the host adapter hands them on.
    fn payload(&self) -> &[u8] {
        &self.bytes[2..]
    }

    fn unpacked(&self) -> Message {
        unpack(&DIALECT, self.message()).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

fn entries(file: &str) -> Vec<Entry> {
    let blocks = file.split("\n== ").skip(1);
    blocks
        .map(|block| {
            let name = block.split_whitespace().next().unwrap().to_owned();
            let mut entry = Entry { name, bytes: vec![], form: String::new(), expected: vec![] };
            for (word, rest) in block.lines().skip(1).filter_map(|line| line.split_once(' ')) {
                match word {
                    "hex" => entry.bytes.extend(hex(rest)),
                    "form" => entry.form = rest.to_owned(),
                    "source" => {}
                    _ => entry.expected.push((word.to_owned(), rest.replace('·', " "))),
                }
            }
            entry
        })
        .collect()
}

fn entry(name: &str) -> Entry {
    let all = entries(PUBLISHED).into_iter().chain(entries(SYNTHETIC));
    all.into_iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name} is not in the data files"))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// A vector for those who decode it from outside: hex and what is listed.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) hex: String,
    pub(crate) expected: Vec<(String, String)>,
}

impl From<Entry> for Vector {
    fn from(entry: Entry) -> Self {
        Self { hex: to_hex(&entry.bytes), name: entry.name, expected: entry.expected }
    }
}

/// Every message, published and synthetic.
pub(crate) fn messages() -> Vec<Vector> {
    entries(PUBLISHED).into_iter().chain(entries(SYNTHETIC)).map(Vector::from).collect()
}

/// Every list of data objects.
pub(crate) fn object_parts() -> Vec<Vector> {
    entries(PARTS).into_iter().filter(|part| part.form == "objects").map(Vector::from).collect()
}

/// Conversations with cards: `C` commands, `R` answers.
pub(crate) const TRANSCRIPTS: &[&str] = &[
    include_str!("../data/apdu/contact-approved.txt"),
    include_str!("../data/apdu/contact-declined.txt"),
    include_str!("../data/apdu/contactless-qvsdc.txt"),
];

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    hex(text)
}

/// Keys of the synthetic messages, opened from the answer to the sign-on with a TDK (B2b). Tracks are encrypted.
fn keys() -> WorkingKeys {
    keys_by("B2b", KeyRules { track_encryption: true, ..Profile::unionpay().keys })
}

fn keys_by(name: &str, rules: KeyRules) -> WorkingKeys {
    let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
    WorkingKeys::open_by(&tmk, entry(name).unpacked().bytes(De::PRIVATE_62).unwrap(), rules).unwrap()
}

/// Every published and synthetic message decodes to what its source says, and packs to the same bytes again.
#[test]
fn every_message_decodes_as_listed_and_packs_to_the_same_bytes() {
    let all = [entries(PUBLISHED), entries(SYNTHETIC)].concat();
    assert_eq!(all.len(), 12 + 33, "an entry got lost");
    for entry in all {
        let refused = REFUSED.iter().find(|(name, _)| *name == entry.name);
        let dialect = refused.map_or_else(|| DIALECT.clone(), |_| other_dialect(&entry.name));
        if let Some((_, why)) = refused {
            assert!(unpack(&DIALECT, entry.message()).is_err(), "{} {why}", entry.name);
        }
        let message = unpack(&dialect, entry.message()).unwrap_or_else(|e| panic!("{}: {e}", entry.name));
        for (de, expected) in &entry.expected {
            let shown = match de.as_str() {
                "mti" => message.mti().to_owned(),
                "tpdu" | "header" => {
                    let from = if entry.form == "framed" { 2 } else { 0 };
                    let at = if de == "tpdu" { from..from + 5 } else { from + 5..from + 11 };
                    to_hex(&entry.bytes[at])
                }
                "47" | "52" | "55" | "62" | "64" | "96" | "128" => to_hex(message.bytes(number(de)).unwrap()),
                _ => message.text(number(de)).unwrap().to_owned(),
            };
            assert_eq!(&shown, expected, "{} element {de}", entry.name);
        }
        let listed = entry.expected.iter().filter(|(de, _)| de.parse::<u8>().is_ok()).count();
        assert_eq!(message.fields().count(), listed, "{}: elements that are not listed", entry.name);
        assert_eq!(pack(&dialect, &message).unwrap(), entry.message(), "{}", entry.name);
        if entry.form == "framed" {
            let frame = Frame::parse(entry.payload()).unwrap();
            assert_eq!(frame.encode().unwrap(), entry.bytes, "{}", entry.name);
        }
    }
}

fn number(de: &str) -> De {
    De::new(de.parse().unwrap()).unwrap()
}

fn identity() -> Identity {
    Identity {
        profile: posd::domain::profile::Profile::unionpay(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        tpdu: [0x60, 0x00, 0x05, 0x00, 0x00],
        header: [0x60, 0x32, 0x00, 0x32, 0x00, 0x00],
    }
}

fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

/// The facts of a request of any kind; the chip was read.
fn wire(
    kind: Kind,
    original: Option<&OriginalRef>,
    with_pin: bool,
    icc: &[u8],
    reversal_icc: &[u8],
) -> WireFacts {
    let (identity, entry_mode) = (&identity(), EntryMode::Chip);
    let (message, partial) = (rule(kind).message, false);
    messages::wire_facts(&WireSource {
        fallback: false,
        message,
        identity,
        original,
        entry_mode,
        with_pin,
        partial,
        icc,
        reversal_icc,
    })
}

/// A request of the synthetic card, without track, PIN and original.
fn fields<'a>(wire: &'a WireFacts, number: u32, amount: u64, pan: &'a Pan) -> RequestFields<'a> {
    RequestFields {
        wire,
        stan: stan(number),
        batch: BatchNumber::FIRST,
        amount: Amount::from_minor(amount).unwrap(),
        currency: Currency::CNY,
        pan,
        expiry: Some("3012"),
        sequence: Some(1),
        track2: None,
        pin: None,
        rrn: None,
        auth_code: None,
    }
}

/// The sale of B5.
fn chip_sale(pin: Option<&str>) -> Request {
    chip_sale_under(&keys(), pin)
}

fn chip_sale_under(keys: &WorkingKeys, pin: Option<&str>) -> Request {
    let (pan, track2) = (
        Pan::new("6225880012345678").unwrap(),
        Track2::new("6225880012345678D30121010000012345678").unwrap(),
    );
    let b5 = entry("B5").unpacked();
    let pin = pin.map(|pin| keys.pin_block(&ClearPin::new(pin.as_bytes()).unwrap(), &pan));
    let wire = wire(Kind::Sale, None, pin.is_some(), b5.bytes(De::ICC).unwrap(), &[]);
    let fields = RequestFields { track2: Some(&track2), pin: pin.as_ref(), ..fields(&wire, 3, 1000, &pan) };
    messages::request(&identity(), &fields, keys).unwrap()
}

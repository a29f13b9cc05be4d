//! The bank's language against messages that others published and against synthetic ones with known keys.
//!
//! The messages stand in `tests/data/iso8583/`, each with its source and what it must decode to.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails loudly")]
mod download;
mod library;
mod queued;

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

/// The published calculation (blog zhu244912654/80005341): key unwrapped under the master key, MAC over 91
/// bytes.
#[test]
fn the_published_mac_comes_out() {
    let tmk = MasterKey::from_hex("70F2A84CCBC2AE8625CBB0F2C22AB923").unwrap();
    let mak: [u8; 8] = hex("C24A8FB57AA20123").try_into().unwrap();
    let block = issuer::key_block(&tmk, &[0x22; 16], &ClearMak::Single(mak), None);
    assert_eq!(to_hex(&block[20..28]), "96D605EA176B7E9E", "the MAK as the page prints it encrypted");
    let covered =
        hex("0200302004C020C0981100000000000000005100183402100006324392260009942820D1312101120084393136\
         363838303134303030303030303030303030303031313536ACF46E73838A82F92600000000000000000822000001");
    assert_eq!(covered.len(), 91);
    let single = WorkingKeys::open(&tmk, &block).unwrap();
    assert_eq!(&single.mac(&covered), b"8A9E91B8");
    // A double-length key of two equal halves gives the same; another one is computed with 3DES.
    let open =
        |mak| WorkingKeys::open(&tmk, &issuer::key_block(&tmk, &[0x22; 16], &ClearMak::Double(mak), None));
    let twice: [u8; 16] = [mak, mak].concat().try_into().unwrap();
    assert_eq!(&open(twice).unwrap().mac(&covered), b"8A9E91B8");
    let other: [u8; 16] = hex("0123456789ABCDEFFEDCBA9876543210").try_into().unwrap();
    assert_eq!(&open(other).unwrap().mac(&covered), b"84C8B241");
}

/// Every synthetic message with an element 64 verifies, and no longer does after any one byte has changed.
#[test]
fn the_macs_of_the_synthetic_messages_verify() {
    let keys = keys();
    let signed: Vec<Entry> = entries(SYNTHETIC).into_iter().filter(|e| e.unpacked().has(De::MAC)).collect();
    assert!(signed.len() >= 15, "{} messages carry a MAC", signed.len());
    for entry in signed {
        assert!(keys.verifies(entry.message()), "{}", entry.name);
        let mut changed = entry.message().to_vec();
        changed[11] ^= 1;
        assert!(!keys.verifies(&changed), "{}", entry.name);
    }
}

/// Key blocks of all layouts open with their master key, and with no other.
#[test]
fn key_blocks_open_and_their_check_values_are_compared() {
    let elevens = MasterKey::from_bytes([0x11; 16]);
    assert_eq!(to_hex(&elevens.check_value()), "82E13665");
    let block_of = |name| entry(name).unpacked().bytes(De::PRIVATE_62).unwrap().to_vec();
    let check = |tmk: &MasterKey, block: &[u8], expected: &[(&'static str, &str)]| {
        let opened = WorkingKeys::open(tmk, block).unwrap().check_values();
        let shown: Vec<_> = opened.iter().map(|(key, value)| (*key, to_hex(value))).collect();
        let expected: Vec<_> = expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        assert_eq!(shown, expected);
    };
    check(&elevens, &block_of("A17"), &[("pik", "00962B60"), ("mak", "ADC67D84"), ("tdk", "E2F24340")]);
    let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
    assert_eq!(to_hex(&tmk.check_value()), "08D7B4FB");
    check(&tmk, &block_of("B2"), &[("pik", "E8934A67"), ("mak", "0282D2B1")]);
    check(&tmk, &block_of("B2b"), &[("pik", "E8934A67"), ("mak", "0282D2B1"), ("tdk", "EB7A8DF9")]);
    let error = |block: &[u8]| WorkingKeys::open(&tmk, block).unwrap_err().to_string();
    assert!(error(&block_of("A17")).contains("pik"));
    assert!(error(&block_of("B2")[..39]).contains("39 bytes"));
    let mut damaged = block_of("B2");
    damaged[20] ^= 1;
    assert!(error(&damaged).contains("mak"));
}

/// The simulated host makes the same key block from clear keys, so it can be trusted in the other tests.
#[test]
fn the_issuer_side_makes_the_same_key_block() {
    let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
    let pik: [u8; 16] = hex("1A2B3C4D5E6F708192A3B4C5D6E7F809").try_into().unwrap();
    let mak = ClearMak::Single(hex("C2A48FB57AA20123").try_into().unwrap());
    let tdk: [u8; 16] = hex("89ABCDEF0123456776543210FEDCBA98").try_into().unwrap();
    let of = |name| entry(name).unpacked().bytes(De::PRIVATE_62).unwrap().to_vec();
    assert_eq!(issuer::key_block(&tmk, &pik, &mak, None), of("B2"));
    assert_eq!(issuer::key_block(&tmk, &pik, &mak, Some(&tdk)), of("B2b"));
}

/// PIN blocks: clear form of public examples (wuxinxi/unionpay PinUtil), encrypted form of B3, and back.
#[test]
fn pin_blocks_come_out_and_open_again() {
    let tmk = MasterKey::from_bytes([0x11; 16]);
    let block = issuer::key_block(&tmk, &[0x22; 16], &ClearMak::Single([0x33; 8]), None);
    let twos = WorkingKeys::open(&tmk, &block).unwrap();
    let check = |keys: &WorkingKeys, pin: &str, pan: &str, expected: &str| {
        let (pin, pan) = (ClearPin::new(pin.as_bytes()).unwrap(), Pan::new(pan).unwrap());
        let encrypted = keys.pin_block(&pin, &pan);
        assert_eq!(to_hex(encrypted.reveal()), expected);
        assert_eq!(issuer::clear_pin(keys, &encrypted, &pan), Some(pin));
    };
    check(&twos, "123456", "6225880012345678", "EF9FA3043EA7BD9A");
    check(&keys(), "123456", "6225880012345678", "3F96218777906948");
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

/// B1 apart from DE 62 (licence and serial number), which we leave out; B26 and B27 to the byte.
#[test]
fn management_requests_are_the_synthetic_ones() {
    let ours =
        messages::sign_on(&identity(), stan(1), BatchNumber::FIRST, Some(&OperatorId::new("01").unwrap()));
    let mut theirs = entry("B1").unpacked();
    theirs.remove(De::PRIVATE_62);
    assert_eq!(ours.unwrap().fields, theirs);
    let nobody = messages::sign_on(&identity(), stan(1), BatchNumber::FIRST, None).unwrap();
    assert_eq!(nobody.fields.text(De::PRIVATE_63), Some("00 "));
    assert_eq!(messages::echo(&identity(), BatchNumber::FIRST).unwrap().frame, entry("B26").bytes);
    let off = messages::sign_off(&identity(), stan(17), BatchNumber::FIRST).unwrap();
    assert_eq!(off.frame, entry("B27").bytes);
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

/// Every kind of request is the synthetic one of its kind, byte by byte: card, PIN block, encrypted track, MAC.
#[test]
fn every_kind_of_request_is_the_synthetic_one() {
    let pan = Pan::new("6225880012345678").unwrap();
    let track2 = Track2::new("6225880012345678D30121010000012345678").unwrap();
    let pin = keys().pin_block(&ClearPin::new(b"123456").unwrap(), &pan);
    let rrn = Rrn::new("093000990011").unwrap();
    let completed = Rrn::new("093400000007").unwrap();
    let (first, second) = (AuthCode::new("B00001").unwrap(), AuthCode::new("B00002").unwrap());
    let of = |date: &str, stan| OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan,
        date: Some(date.to_owned()),
        ..OriginalRef::default()
    };
    let check = |name: &str, mode: &str, wire: WireFacts, pin, rrn, auth_code| {
        let wire = WireFacts { entry_mode: mode.to_owned(), ..wire };
        let theirs = entry(name).unpacked();
        let number = theirs.text(De::STAN).unwrap().parse().unwrap();
        let amount = theirs.text(De::AMOUNT).map_or(0, |digits| digits.parse().unwrap());
        let track2 = theirs.has(De::TRACK2).then_some(&track2);
        let fields = RequestFields { track2, pin, rrn, auth_code, ..fields(&wire, number, amount, &pan) };
        let request = messages::request(&identity(), &fields, &keys()).unwrap();
        assert_eq!(request.fields, theirs, "{name}");
        assert_eq!(request.frame, entry(name).bytes, "{name}");
    };
    check("B3", "021", wire(Kind::Sale, None, true, &[], &[]), Some(&pin), None, None);
    let (pin, b10) = (Some(&pin), of("0114", None));
    check("B10", "022", wire(Kind::Refund, Some(&b10), false, &[], &[]), None, Some(&rrn), None);
    check("B11", "021", wire(Kind::PreAuth, None, true, &[], &[]), pin, None, None);
    let held = of("0115", None);
    let complete = wire(Kind::PreAuthComplete, Some(&held), true, &[], &[]);
    check("B12", "021", complete, pin, None, Some(&first));
    let advice = wire(Kind::PreAuthAdvice, Some(&held), false, &[], &[]);
    check("B13", "022", advice, None, None, Some(&first));
    let b12 = of("0115", Some(stan(7)));
    let void = wire(Kind::PreAuthCompleteVoid, Some(&b12), false, &[], &[]);
    check("B15", "012", void, None, Some(&completed), Some(&second));
    check("B16", "021", wire(Kind::Balance, None, true, &[], &[]), pin, None, None);
}

/// The void names its original by batch and trace; one that was never online has no RRN.
#[test]
fn a_void_names_batch_trace_and_rrn() {
    let pan = Pan::new("6225880012345678").unwrap();
    let original = OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan: Some(stan(3)),
        date: Some("0115".to_owned()),
        ..OriginalRef::default()
    };
    let wire = wire(Kind::Void, Some(&original), false, &[], &[]);
    let request = messages::request(&identity(), &fields(&wire, 4, 1000, &pan), &keys()).unwrap();
    let text = |de| request.fields.text(de);
    assert_eq!((request.mti, text(De::PROCESSING_CODE)), ("0200", Some("200000")));
    assert_eq!((text(De::ORIGINAL), text(De::RRN)), (Some("000001000003"), Some("000000000000")));
    assert_eq!((text(De::ENTRY_MODE), text(De::AUTH_CODE)), (Some("052"), None));
    assert_eq!(text(De::PRIVATE_60), Some("23000001000500"));
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

/// B5 to the byte, with its encrypted track.
#[test]
fn a_chip_sale_is_b5() {
    let request = chip_sale(None);
    assert_eq!(request.frame, entry("B5").bytes);
    assert_eq!(
        issuer::clear_track(&keys(), &request.fields).unwrap(),
        "6225880012345678D30121010000012345678"
    );
}

/// Where tracks go out in clear, DE 35 is the track, DE 53 says so, and the rest is B5: because the profile wants it, or
/// because the host gave no TDK.
#[test]
fn a_track_in_clear_changes_35_53_and_64_only() {
    for (block, track_encryption) in [("B2b", false), ("B2", true)] {
        let keys = keys_by(block, KeyRules { track_encryption, ..Profile::unionpay().keys });
        track_in_clear(&chip_sale_under(&keys, None), &keys);
    }
}

fn track_in_clear(request: &Request, keys: &WorkingKeys) {
    let mut theirs = entry("B5").unpacked();
    theirs.set(De::TRACK2, "6225880012345678D30121010000012345678").set(De::SECURITY, "0600000000000000");
    theirs.set(De::MAC, request.fields.bytes(De::MAC).unwrap());
    assert_eq!(request.fields, theirs);
    assert!(keys.verifies(&request.frame[13..]));
    assert_eq!(request.frame[2..13], entry("B5").bytes[2..13]);
}

/// An acquirer's MAC is that of its profile, in DE 64 as bytes or as text, and its answer is judged by the same.
#[test]
fn requests_and_answers_are_authenticated_by_the_profile() {
    for mac in MacAlgorithm::ALL.iter().copied().filter(|mac| !mac.is_sm4()) {
        let code = |mac_form| {
            let keys = keys_by("B2", KeyRules { mac, mac_form, ..Profile::unionpay().keys });
            let request = chip_sale_under(&keys, None);
            let mut answer = entry("B6").unpacked();
            let packed = pack_signed(&DIALECT, &mut answer, &keys).unwrap();
            let payload = [&entry("B6").payload()[..11], &packed].concat();
            assert!(read_financial(&request, &payload, &keys, NOW).unwrap().approved, "{mac} {mac_form}");
            let other = keys_by("B2", KeyRules { mac_form: MacForm::Binary, ..Profile::unionpay().keys });
            if mac != MacAlgorithm::UnionPay {
                let error = read_financial(&request, &payload, &other, NOW).unwrap_err();
                assert_eq!(error, AnswerError::Mac, "{mac} {mac_form}");
            }
            request.fields.bytes(De::MAC).unwrap().to_vec()
        };
        let (binary, text) = (code(MacForm::Binary), code(MacForm::Ascii));
        assert_eq!(&to_hex(&binary).as_bytes()[..8], text, "{mac}");
    }
}

/// With SM4 the PIN goes in DE 59, DE 52 is empty, and DE 53 always says so. No vector is public: this only holds what
/// the description says.
#[test]
fn a_pin_under_sm4_goes_in_59() {
    let rules = KeyRules {
        mac: MacAlgorithm::Sm4UnionPay,
        key_block: KeyBlockLayout::Sm4,
        ..Profile::unionpay().keys
    };
    let record = |byte: u8| {
        let key = BlockKey::Sm4(Sm4Key::new([byte; 16]));
        [&Sm4Key::new([0x11; 16]).encrypt([byte; 16])[..], &key.check_value()].concat()
    };
    let mut store = SoftwareStore::new(rules);
    store.load_master(&MasterKeyMaterial::new([0x11; 16])).unwrap();
    let opened = store.open(&[record(0x22), record(0x33)].concat()).unwrap();
    let pan = Pan::new("6225880012345678").unwrap();
    let pin = opened.session.pin_block(&ClearPin::new(b"123456").unwrap(), &pan).unwrap();
    let request = |pin: Option<&PinBlock>| {
        let wire = wire(Kind::Sale, None, pin.is_some(), &[], &[]);
        let fields = RequestFields { pin, ..fields(&wire, 3, 1000, &pan) };
        messages::request(&identity(), &fields, opened.session.as_ref()).unwrap().fields
    };
    let with_pin = request(Some(&pin));
    assert_eq!(with_pin.bytes(De::PIN_BLOCK), Some(&[0; 8][..]));
    assert_eq!(with_pin.bytes(De::EXTENSION), Some(&[b"A1016", pin.reveal()].concat()[..]));
    assert_eq!(with_pin.text(De::SECURITY), Some("2300000000000000"));
    assert_eq!(request(None).text(De::SECURITY), Some("0300000000000000"));
    assert!(!request(None).has(De::EXTENSION));
}

/// With a PIN, DE 22 says so and DE 26, 52 and 53 come with it; the PIN block is that of B3.
#[test]
fn a_chip_sale_with_pin_carries_26_52_and_53() {
    let request = chip_sale(Some("123456"));
    let text = |de| request.fields.text(de);
    assert_eq!((text(De::ENTRY_MODE), text(De::PIN_CAPTURE)), (Some("051"), Some("12")));
    assert_eq!(text(De::SECURITY), Some("2610000000000000"));
    assert_eq!(to_hex(request.fields.bytes(De::PIN_BLOCK).unwrap()), "3F96218777906948");
}

const NOW: LocalTime = LocalTime { year: 2026, month: 1, day: 15, hour: 9, minute: 32, second: 10 };

/// B2 answers the sign-on with batch, time and keys.
#[test]
fn the_sign_on_answer_brings_batch_time_and_keys() {
    let request = messages::sign_on(&identity(), stan(1), BatchNumber::FIRST, None).unwrap();
    let answer = read_sign_on(&request, entry("B2").payload()).unwrap();
    assert_eq!(answer.response_code.as_str(), "00");
    assert_eq!(answer.batch, Some(BatchNumber::FIRST));
    assert_eq!((answer.host_time.as_deref(), answer.host_date.as_deref()), (Some("093000"), Some("0115")));
    assert_eq!(answer.key_block.len(), 40);
    assert_eq!(answer.header_request, 0);
    let later = messages::sign_on(&identity(), stan(2), BatchNumber::FIRST, None).unwrap();
    let error = read_sign_on(&later, entry("B2").payload()).unwrap_err();
    assert!(matches!(error, AnswerError::Foreign { .. }), "{error}");
}

/// B6 approves the chip sale, with issuer authentication and one script.
#[test]
fn the_chip_answer_brings_authentication_and_scripts() {
    let answer = read_financial(&chip_sale(None), entry("B6").payload(), &keys(), NOW).unwrap();
    assert!(answer.approved && !answer.partial);
    assert_eq!(answer.issuer_authentication, Some(hex("01020304050607083030")));
    assert_eq!(answer.scripts, [hex("72149F180400000001860B84240000061122AABBCCDD")]);
    assert_eq!(answer.amount, Amount::from_minor(1000).ok());
    let host = answer.host;
    assert_eq!(host.rrn.unwrap().as_str(), "093205000003");
    assert_eq!(host.auth_code.unwrap().as_str(), "A12346");
    assert_eq!(host.host_time.unwrap().to_string(), "2026/01/15 09:32:05");
    assert_eq!(host.organisation.as_deref(), Some("CUP"));
    assert_eq!(host.text, None);
    assert_eq!(host.acquirer.as_deref(), Some("01025810"));
}

/// The answer to `request` that the simulated host would send, changed by the test before it is packed.
fn answer_to(request: &Request, code: &str, change: impl FnOnce(&mut Message), signed: bool) -> Vec<u8> {
    let mut answer = Message::new(if request.mti == "0400" { "0410" } else { "0210" });
    for de in [De::PROCESSING_CODE, De::AMOUNT, De::STAN, De::TERMINAL, De::MERCHANT, De::CURRENCY] {
        answer.set_some(de, request.fields.bytes(de));
    }
    answer.set(De::RESPONSE_CODE, code);
    change(&mut answer);
    let asked = Frame::parse(&request.frame[2..]).unwrap();
    let keys = signed.then(keys);
    issuer::reply(&DIALECT, &asked, asked.header, &mut answer, keys.as_ref()).unwrap()[2..].to_vec()
}

/// A change for [`answer_to`]: one element gets another value.
fn set(de: De, value: impl AsRef<[u8]>) -> impl FnOnce(&mut Message) {
    move |message| {
        message.set(de, value);
    }
}

fn judged(code: &str, change: impl FnOnce(&mut Message), signed: bool) -> Result<bool, AnswerError> {
    let request = chip_sale(None);
    let payload = answer_to(&request, code, change, signed);
    read_financial(&request, &payload, &keys(), NOW).map(|answer| answer.approved)
}

/// No approval without a good MAC; a refusal may come without one, but not with a wrong one.
#[test]
fn an_approval_needs_its_mac_and_a_refusal_does_not() {
    let nothing = |_: &mut Message| {};
    assert_eq!(judged("00", nothing, true), Ok(true));
    assert_eq!(judged("00", nothing, false), Err(AnswerError::Mac));
    assert_eq!(judged("00", set(De::MAC, "00000000"), false), Err(AnswerError::Mac));
    assert_eq!(judged("A2", nothing, false), Err(AnswerError::Mac));
    assert_eq!(judged("51", nothing, true), Ok(false));
    assert_eq!(judged("51", nothing, false), Ok(false));
    assert_eq!(judged("51", set(De::MAC, "00000000"), false), Err(AnswerError::Mac));
}

/// An answer that differs from its request is not believed; a stranger's answer is told apart and waited
/// past.
#[test]
fn answers_are_compared_with_their_request() {
    let with = |de: De, value: &'static str| judged("00", set(de, value), true);
    let mismatch = |field| Err(AnswerError::Mismatch { field });
    assert_eq!(with(De::AMOUNT, "000000001001"), mismatch(De::AMOUNT));
    assert_eq!(with(De::PROCESSING_CODE, "200000"), mismatch(De::PROCESSING_CODE));
    assert!(matches!(with(De::TERMINAL, "10000002"), Err(AnswerError::Foreign { .. })));
    assert_eq!(judged("00", |m| m.remove(De::TERMINAL), true), mismatch(De::TERMINAL));
    assert_eq!(with(De::MERCHANT, "102100058120002"), mismatch(De::MERCHANT));
    assert_eq!(with(De::CURRENCY, "840"), mismatch(De::CURRENCY));
    assert_eq!(with(De::RESPONSE_CODE, "  "), mismatch(De::RESPONSE_CODE));
    assert_eq!(judged("00", |m| m.remove(De::AMOUNT), true), mismatch(De::AMOUNT));
    assert_eq!(judged("51", |m| m.remove(De::AMOUNT), true), Ok(false));
    assert!(matches!(with(De::STAN, "000002"), Err(AnswerError::Foreign { .. })));
    let other = read_financial(&chip_sale(None), entry("B8").payload(), &keys(), NOW).unwrap_err();
    assert!(matches!(other, AnswerError::Foreign { .. }), "{other}");
    let cut = &entry("B6").bytes[2..100];
    let error = read_financial(&chip_sale(None), cut, &keys(), NOW).unwrap_err();
    assert!(matches!(error, AnswerError::Unreadable(_)), "{error}");
}

/// Code 10 approves the answer's amount, which may be lower than the one asked for.
#[test]
fn a_partial_approval_tells_its_amount() {
    let request = chip_sale(None);
    let payload = answer_to(&request, "10", set(De::AMOUNT, "000000000400"), true);
    let answer = read_financial(&request, &payload, &keys(), NOW).unwrap();
    assert!(answer.approved && answer.partial);
    assert_eq!(answer.amount.unwrap().minor(), 400);
}

/// Chip data that is cut or malformed makes the whole answer unreadable: the card never gets half a command.
#[test]
fn broken_chip_data_makes_an_approval_unreadable() {
    let icc = |text: &'static str| judged("00", set(De::ICC, hex(text)), true);
    assert_eq!(icc("910A01020304050607083030"), Ok(true));
    for broken in [
        "910A0102",
        "7205860B842400",
        "7203860A84",
        "9103010203",
        "9F",
        "9108000000000000000091080000000000000000",
    ] {
        assert!(matches!(icc(broken), Err(AnswerError::Unreadable(_))), "{broken}");
    }
}

/// Sign-off and echo share the answer type 0830; 60.3 tells them apart.
#[test]
fn a_late_sign_off_answer_is_not_taken_for_an_echo() {
    let off = messages::sign_off(&identity(), stan(17), BatchNumber::FIRST).unwrap();
    let echo = messages::echo(&identity(), BatchNumber::FIRST).unwrap();
    let reply = |request: &Request| {
        let mut answer = Message::new("0830");
        for (de, value) in request.fields.fields() {
            answer.set(de, value);
        }
        answer.set(De::RESPONSE_CODE, "00");
        let asked = Frame::parse(&request.frame[2..]).unwrap();
        issuer::reply(&DIALECT, &asked, asked.header, &mut answer, None).unwrap()[2..].to_vec()
    };
    assert_eq!(read_management(&off, &reply(&off)).unwrap().response_code.as_str(), "00");
    assert_eq!(read_management(&echo, &reply(&echo)).unwrap().response_code.as_str(), "00");
    assert!(matches!(read_management(&echo, &reply(&off)), Err(AnswerError::Foreign { .. })));
}

/// What a stranger may read in logs: no card number, no PIN, no key.
#[test]
fn debug_of_requests_and_keys_shows_no_secret() {
    let shown = format!("{:?} {:?}", chip_sale(Some("123456")), keys());
    for secret in ["12345678", "3F96218777906948", "C2A48FB5", "1A2B3C4D"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// DE 55 of B5 comes out of the card's objects in the same order.
#[test]
fn chip_data_of_a_sale_is_that_of_b5() {
    let b5 = entry("B5").unpacked();
    let mut tags = TagStore::default();
    for object in de55::objects(b5.bytes(De::ICC).unwrap()).unwrap() {
        tags.put(object.tag, object.value);
    }
    tags.put(Tag(0x5A), &[0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x78]);
    assert_eq!(
        posd::domain::profile::Profile::unionpay().icc.request(&tags).unwrap(),
        b5.bytes(De::ICC).unwrap()
    );
    let reversal = to_hex(&posd::domain::profile::Profile::unionpay().icc.reversal_refused(&tags));
    assert_eq!(reversal, "950500800008009F101307010103A0A002010A010000000000123456789F36020001");
}

/// Published chip data, CA key and application records read as the objects their sources list; the one key block in an
/// acquirer's own layout opens where the profile names it, and is refused by its length elsewhere.
#[test]
fn published_parts_of_messages_are_read_or_refused() {
    for part in entries(PARTS) {
        if part.form == "keys" {
            let tmk = MasterKey::from_bytes([0x11; 16]);
            let rules = KeyRules { key_block: KeyBlockLayout::Typed, ..Profile::unionpay().keys };
            let opened = WorkingKeys::open_by(&tmk, &part.bytes, rules).unwrap().check_values();
            assert_eq!(opened, [("pik", [0x00, 0x96, 0x2B, 0x60]), ("mak", [0xAD, 0xC6, 0x7D, 0x84])]);
            let error = WorkingKeys::open(&tmk, &part.bytes).unwrap_err();
            assert!(matches!(error, KeyError::Length { length: 75, .. }));
            continue;
        }
        let objects = de55::objects(&part.bytes).unwrap();
        let read: Vec<_> = objects.iter().map(|o| (format!("{:?}", o.tag), to_hex(o.value))).collect();
        assert_eq!(read, part.expected, "{}", part.name);
    }
}

/// A dump is recognised with and without length, TPDU and header, and shows no card data unless asked.
#[test]
fn a_dump_is_described_in_every_form_and_masked() {
    let b5 = entry("B5");
    let shown = describe::message(&b5.bytes, CardData::Masked).unwrap();
    assert_eq!((shown.tpdu.as_deref(), shown.header.as_deref()), (Some("6000050000"), Some("603200320000")));
    let value = |number| {
        let field = shown.fields.iter().find(|field| field.number == number);
        field.map(|field| field.value.as_str()).unwrap()
    };
    assert_eq!(value(2), "622588******5678");
    assert_eq!(value(35), "622588******5678D********************");
    assert_eq!(value(4), "000000001000");
    assert_eq!(value(53), "0610000000000000");
    assert_eq!(value(64), "4531313432324132");
    let icc = shown.fields.iter().find(|field| field.number == 55).unwrap();
    assert_eq!(icc.objects[0].tag, Tag::CRYPTOGRAM);
    assert_eq!(icc.objects[0].value.as_deref(), Some("1122334455667788"));
    assert_eq!(icc.objects.len(), 20);
    assert_eq!(describe::message(b5.payload(), CardData::Masked).unwrap(), shown);
    let bare = describe::message(b5.message(), CardData::Masked).unwrap();
    assert_eq!((bare.tpdu, bare.header, &bare.fields), (None, None, &shown.fields));
    let length = u16::try_from(b5.message().len()).unwrap().to_be_bytes();
    let short_frame = [&length, b5.message()].concat();
    assert_eq!(describe::message(&short_frame, CardData::Masked).unwrap().fields, shown.fields);
    let clear = describe::message(&b5.bytes, CardData::Clear).unwrap();
    assert_eq!(clear.fields[0].value, "6225880012345678");
    let error = describe::message(&b5.bytes[..60], CardData::Masked).unwrap_err();
    assert!(error.to_string().starts_with("MTI") || error.to_string().starts_with("DE"), "{error}");
}

/// No masked description of any synthetic message shows a card number, a track or a PIN block.
#[test]
fn masked_descriptions_show_no_card_data() {
    for entry in entries(SYNTHETIC) {
        let shown = format!("{:?}", describe::message(&entry.bytes, CardData::Masked).unwrap());
        for secret in ["6225880012345678", "880012345678", "D3012", "3F96218777906948"] {
            assert!(!shown.contains(secret), "{}: {shown}", entry.name);
        }
    }
}

proptest! {
    /// Whatever a line delivers, judging it ends in an answer or a named error.
    #[test]
    fn reading_answers_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let request = chip_sale(None);
        prop_assert!(read_financial(&request, &bytes, &keys(), NOW).is_err());
        prop_assert!(read_management(&request, &bytes).is_err());
        prop_assert!(read_sign_on(&request, &bytes).is_err());
    }

    /// An approval with any one byte of its message changed approves no more.
    #[test]
    fn a_changed_approval_never_approves(at in 11_usize..163, change in 1_u8..=255) {
        let mut payload = entry("B6").payload().to_vec();
        payload[at] ^= change;
        let judged = read_financial(&chip_sale(None), &payload, &keys(), NOW);
        prop_assert!(!judged.is_ok_and(|answer| answer.approved));
    }

    /// Chip data of any content, well signed: a result or `Unreadable`, never a panic.
    #[test]
    fn any_chip_data_is_read_or_refused(icc in proptest::collection::vec(any::<u8>(), 0..255)) {
        let judged = judged("00", set(De::ICC, icc), true);
        prop_assert!(matches!(judged, Ok(true) | Err(AnswerError::Unreadable(_))));
    }

    #[test]
    fn describing_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        framed: bool,
        text in ".{0,60}",
    ) {
        let bytes = if framed { [&entry("B6").bytes[..21], &bytes].concat() } else { bytes };
        for show in [CardData::Masked, CardData::Clear] {
            drop(describe::message(&bytes, show));
            drop(describe::track2(&text, show));
        }
    }
}

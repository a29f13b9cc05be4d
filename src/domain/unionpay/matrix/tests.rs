//! Every message that can be built, with every combination of what it may have, is held against its row.
use super::*;
use crate::domain::calendar::WallTime;
use crate::domain::crypto::cipher::{BlockKey, Sm4Key};
use crate::domain::crypto::mac::MacAlgorithm;
use crate::domain::download::{self, machine::Question};
use crate::domain::ident::{AuthCode, BatchNumber, MerchantId, OperatorId, Rrn, Stan, TerminalId, TxnId};
use crate::domain::keystore::{KeyBlockLayout, KeyRules, SessionKeys, SignOnKeys};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{CardClass, EntryMode, EntryType, Kind};
use crate::domain::profile::Profile;
use crate::domain::queue::{Content, Entry, waiting_state};
use crate::domain::record::{EntryId, OriginalRef, ReversalReason};
use crate::domain::rules::{self, CardUse, Route, Silence};
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan, PinBlock, Track2, Track3};
use crate::domain::settlement::tests::rows::approved;
use crate::domain::unionpay::Identity;
use crate::domain::unionpay::extension::{Extension, tag};
use crate::domain::unionpay::issuer::{ClearMak, key_block};
use crate::domain::unionpay::keys::{MasterKey, WorkingKeys};
use crate::domain::unionpay::messages::{self, Extra, RequestFields, WireSource};
use crate::domain::unionpay::settlement::{self, ChipFailure, Line};

/// Keys of each sort: 3DES, 3DES with tracks encrypted, SM4.
fn every_sort_of_keys() -> [WorkingKeys; 3] {
    let tdes = MasterKey::from_bytes([0x11; 16]);
    let block = key_block(&tdes, &[0x22; 16], &ClearMak::Single([0x33; 8]), Some(&[0x44; 16]));
    let plain = Profile::unionpay().keys;
    let tracks = KeyRules { sign_on: SignOnKeys::TdesTracks, track_encryption: true, ..plain };
    let sm4 = KeyRules {
        sign_on: SignOnKeys::Sm4,
        mac: MacAlgorithm::Sm4UnionPay,
        key_block: KeyBlockLayout::Sm4,
        ..plain
    };
    let record = |byte| {
        let check = BlockKey::Sm4(Sm4Key::new([byte; 16])).check_value();
        [&Sm4Key::new([0x11; 16]).encrypt([byte; 16])[..], &check].concat()
    };
    let (master, sm4_block) = (
        MasterKey::of(&MasterKeyMaterial::new([0x11; 16]), KeyBlockLayout::Sm4),
        [record(0x22), record(0x33)].concat(),
    );
    [
        WorkingKeys::open(&tdes, &block).unwrap(),
        WorkingKeys::open_by(&tdes, &block, tracks).unwrap(),
        WorkingKeys::open_by(&master, &sm4_block, sm4).unwrap(),
    ]
}

const ICC: &[u8] = &[0x9F, 0x36, 2, 0, 1, 0x95, 5, 0, 0, 0, 0, 0];

pub(in crate::domain::unionpay) fn identity() -> Identity {
    Identity {
        profile: Profile::unionpay(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        tpdu: [0x60, 0, 5, 0, 0],
        header: [0x60, 0x32, 0, 0x32, 0, 0],
    }
}

/// Keys of the synthetic messages.
pub(in crate::domain::unionpay) fn keys() -> WorkingKeys {
    let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
    let mak = ClearMak::Single([0xC2, 0xA4, 0x8F, 0xB5, 0x7A, 0xA2, 0x01, 0x23]);
    WorkingKeys::open(&tmk, &key_block(&tmk, &[0x22; 16], &mak, None)).unwrap()
}

pub(in crate::domain::unionpay) fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

pub(in crate::domain::unionpay) fn pan() -> Pan {
    Pan::new("6225880012345678").unwrap()
}

/// What a message may have or not; one bit each.
#[derive(Clone, Copy, Debug)]
pub(in crate::domain::unionpay) struct With {
    pin: bool,
    track: bool,
    expiry: bool,
    sequence: bool,
    codes: bool,
    original: bool,
    icc: bool,
}

impl With {
    pub(in crate::domain::unionpay) fn all() -> impl Iterator<Item = Self> {
        (0..128_u8).map(|bits| {
            let bit = |n: u8| bits & (1 << n) != 0;
            Self {
                pin: bit(0),
                track: bit(1),
                expiry: bit(2),
                sequence: bit(3),
                codes: bit(4),
                original: bit(5),
                icc: bit(6),
            }
        })
    }

    /// A combination that can come before its row: what the row must have is there.
    pub(in crate::domain::unionpay) fn can_be(self, row: &Row) -> bool {
        let needs = |de, there| there || !row.must.has(de);
        needs(De::PIN_BLOCK, self.pin)
            && needs(De::EXPIRY, self.expiry)
            && needs(De::AUTH_CODE, self.codes)
            && needs(De::ICC, self.icc)
    }
}

fn original() -> OriginalRef {
    OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan: Some(stan(7)),
        date: Some("0115".to_owned()),
        ..OriginalRef::default()
    }
}

fn facts(row: &Row, entry_mode: EntryMode, with: With) -> WireFacts {
    let (identity, original) = (identity(), original());
    messages::wire_facts(&WireSource {
        message: row.name,
        identity: &identity,
        original: with.original.then_some(&original),
        entry_mode,
        fallback: entry_mode == EntryMode::Swipe && with.sequence,
        with_pin: with.pin && row.allows(De::PIN_BLOCK),
        partial: false,
        icc: if with.icc { ICC } else { &[] },
        reversal_icc: &[],
    })
}

/// The extra elements that the row must have.
fn extra<'a>(row: &Row, code: &'a [u8], track3: Option<&'a Track3>) -> Extra<'a> {
    Extra {
        track3,
        additional: row.must.has(De::ADDITIONAL_DATA).then_some("000000000100"),
        extension: row.must.has(De::EXTENSION).then_some(code),
        private_62: row.must.has(De::PRIVATE_62).then_some(b"10000002"),
        organisation: row.must.has(De::PRIVATE_63).then_some("CUP"),
    }
}

/// A third track of the usual length.
const TRACK3: &str =
    "996225880012345678D1561560000000000000003000000214000049120000D000000000000D000000000000D0123456";

fn code() -> Vec<u8> {
    Extension::default().with(tag::CODE, "6222000000000000001").encode().unwrap()
}

/// The rows that ask for money, and the ways in which a card comes to each.
pub(in crate::domain::unionpay) fn asked() -> impl Iterator<Item = (&'static Row, EntryMode)> {
    let money = rows().iter().filter(|row| matches!(row.mti, "0100" | "0200" | "0220"));
    money.flat_map(|row| {
        let modes =
            [EntryMode::Chip, EntryMode::Swipe, EntryMode::Contactless, EntryMode::Manual, EntryMode::Code];
        modes
            .into_iter()
            .filter(|mode| row.is_scanned() == (*mode == EntryMode::Code))
            // The number of a swiped card is in its track; rows without one are told a number.
            .filter(|mode| *mode != EntryMode::Swipe || row.allows(De::TRACK2))
            .map(move |mode| (row, mode))
    })
}

pub(in crate::domain::unionpay) fn request(
    row: &Row,
    mode: EntryMode,
    with: With,
    pin: &PinBlock,
) -> messages::Request {
    request_under(&keys(), row, mode, with, pin)
}

fn request_under(
    keys: &WorkingKeys,
    row: &Row,
    mode: EntryMode,
    with: With,
    pin: &PinBlock,
) -> messages::Request {
    let wire = facts(row, mode, with);
    let (pan, code) = (pan(), code());
    let track2 = Track2::new("6225880012345678D30121010000012345678").unwrap();
    let track3 = Track3::new(TRACK3).unwrap();
    let swiped = with.track && mode == EntryMode::Swipe;
    let (rrn, auth_code) = (Rrn::new("093000990011").unwrap(), AuthCode::new("B00001").unwrap());
    let fields = RequestFields {
        wire: &wire,
        stan: stan(9),
        batch: BatchNumber::FIRST,
        amount: Amount::from_minor(1000).unwrap(),
        currency: Currency::CNY,
        pan: &pan,
        expiry: with.expiry.then_some("3012"),
        sequence: with.sequence.then_some(1),
        track2: with.track.then_some(&track2),
        pin: with.pin.then_some(pin),
        rrn: with.codes.then_some(&rrn),
        auth_code: with.codes.then_some(&auth_code),
    };
    messages::request_with(&identity(), &fields, &extra(row, &code, swiped.then_some(&track3)), keys).unwrap()
}

/// Goal: every request for money, with every combination of what it may have, is what its row says.
#[test]
fn every_request_is_what_its_row_says() {
    let mut built = 0;
    for keys in every_sort_of_keys() {
        let pin = keys.pin_block(&ClearPin::new(b"123456").unwrap(), &pan());
        for (row, mode) in asked() {
            for with in With::all().filter(|with| with.can_be(row)) {
                let request = request_under(&keys, row, mode, with, &pin);
                assert!(keys.verifies(&request.frame[13..]), "{} {mode} {with:?}", row.name);
                is_what_its_row_says(row, mode, with, &pin, keys.algorithm_digit(), &request.fields);
                built += 1;
            }
        }
    }
    assert!(built > 12_000, "{built} messages");
}

fn is_what_its_row_says(
    row: &Row,
    mode: EntryMode,
    with: With,
    pin: &PinBlock,
    algorithm: char,
    message: &Message,
) {
    let what = format!("{} {mode} {with:?} {algorithm}", row.name);
    assert_eq!(row.check(message), Ok(()), "{what}");
    assert_eq!(of(message).map(|row| row.name), Some(row.name), "{what}");
    let text = |de| message.text(de).unwrap_or_default();
    let head = (message.mti(), text(De::PROCESSING_CODE), text(De::CONDITION));
    assert_eq!(head, (row.mti, row.processing_code, row.condition));
    // What a PIN brings with it, and what tells of it.
    let has_pin = with.pin && row.allows(De::PIN_BLOCK);
    assert_eq!((message.has(De::PIN_BLOCK), message.has(De::PIN_CAPTURE)), (has_pin, has_pin), "{what}");
    assert_eq!(text(De::ENTRY_MODE).ends_with('1'), has_pin, "{what}");
    let in_extension = message.bytes(De::EXTENSION).is_some_and(|bytes| bytes.starts_with(b"A1016"));
    assert_eq!(in_extension, has_pin && matches!(pin, PinBlock::Sm4(_)), "{what}");
    let security = text(De::SECURITY);
    assert!(!has_pin || security.starts_with(&format!("2{algorithm}")), "{what}");
    let sent = message.text(De::TRACK2);
    assert_eq!(sent.is_some(), with.track && row.allows(De::TRACK2), "{what}");
    let in_clear = sent.is_none_or(|track| track == "6225880012345678D30121010000012345678");
    let third = message.text(De::TRACK3);
    let swiped = with.track && mode == EntryMode::Swipe;
    assert_eq!(third.is_some(), swiped && row.allows(De::TRACK3), "{what}");
    assert!(third.is_none_or(|track| (track == TRACK3) == in_clear && track.len() == TRACK3.len()), "{what}");
    assert_eq!(in_clear, security.get(2..3) != Some("1"), "{what}");
    let told = has_pin || sent.is_some() || algorithm == '3';
    assert_eq!(!security.is_empty(), told && row.allows(De::SECURITY), "{what}");
    let has_number = message.has(De::PAN);
    assert_eq!(has_number, !matches!(mode, EntryMode::Swipe | EntryMode::Code), "{what}");
}

/// An entry of the queue that follows the request of this row, or is its upload.
pub(in crate::domain::unionpay) fn entry(
    row: &Row,
    mode: EntryMode,
    with: With,
    entry_type: EntryType,
    reason: ReversalReason,
) -> Entry {
    let txn = TxnId::parse("0123456789abcdef0123456789abcdef").unwrap();
    let content = Content {
        pan: pan(),
        expiry: with.expiry.then(|| "3012".to_owned()),
        sequence: with.sequence.then_some(1),
        brand: "unionpay".to_owned(),
        wire: facts(row, mode, with),
        acquirer: Some("01025810".to_owned()),
        rrn: Rrn::new("093000990011").ok(),
        auth_code: with.codes.then(|| AuthCode::new("B00001").unwrap()),
        answered_on: with.original.then(|| "0115".to_owned()),
        reason: Some(reason),
        icc: if with.icc { ICC.to_vec() } else { Vec::new() },
    };
    Entry {
        id: EntryId::new(txn, entry_type),
        kind: Kind::Sale,
        txn_stan: Some(stan(9)),
        own_stan: (entry_type == EntryType::Script).then(|| stan(10)),
        batch: BatchNumber::FIRST,
        amount: Amount::from_minor(1000).unwrap(),
        currency: Currency::CNY,
        state: waiting_state(entry_type),
        attempts: 0,
        ask_again: false,
        response_code: None,
        created_at: WallTime::default(),
        changed_at: WallTime::default(),
        last_error: String::new(),
        content: Some(Box::new(content)),
    }
}

/// Goal: the reversal of every request that has one repeats it as the matrix says, and names itself where it must.
#[test]
fn every_reversal_is_what_its_row_says() {
    let keys = keys();
    let pin = keys.pin_block(&ClearPin::new(b"123456").unwrap(), &pan());
    let (row_of_it, code) = (row(Name::Reversal), code());
    let reasons = [ReversalReason::NoAnswer, ReversalReason::MacError, ReversalReason::Refused];
    for (row, mode) in asked().filter(|(row, _)| row.undo != Undo::Never) {
        for with in With::all().filter(|with| with.can_be(row)) {
            let undone = request(row, mode, with, &pin).fields;
            for reason in reasons {
                let entry = entry(row, mode, with, EntryType::Reversal, reason);
                let message = messages::queued_with(&identity(), &entry, Some(&code), &keys).unwrap().fields;
                assert_eq!(row_of_it.check(&message), Ok(()), "{} {mode} {with:?}", row.name);
                assert_eq!(of(&message).map(|row| row.name), Some(Name::Reversal));
                let repeated = [2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 60].into_iter().filter_map(De::new);
                for de in repeated {
                    assert_eq!(message.bytes(de), undone.bytes(de), "{} {mode} {with:?} {de}", row.name);
                }
                let named = message.text(De::ORIGINAL).map(str::len);
                let expected = match row.undo {
                    Undo::Numbers => Some(12),
                    Undo::NumbersAndDay => Some(16),
                    Undo::Unnamed | Undo::Never => None,
                };
                assert_eq!(named, expected, "{}", row.name);
                assert_eq!(message.has(De::EXTENSION), row.allows(De::EXTENSION), "{}", row.name);
            }
        }
    }
}

/// Goal: script results and what is told later are what their rows say.
#[test]
fn every_upload_and_script_result_is_what_its_row_says() {
    let keys = keys();
    let told = [Name::ChipSale, Name::VoiceSale, Name::Advice].map(row);
    let told = told.into_iter().map(|row| (row, EntryType::Advice, row));
    let scripts = [Name::Sale, Name::PreAuth, Name::Balance].map(row);
    let scripts = scripts.into_iter().map(|asked| (asked, EntryType::Script, row(Name::ScriptResult)));
    for (asked, entry_type, row) in told.chain(scripts) {
        for mode in [EntryMode::Chip, EntryMode::Swipe, EntryMode::Contactless, EntryMode::Manual] {
            let chip = matches!(mode, EntryMode::Chip | EntryMode::Contactless);
            for with in With::all().filter(|with| with.can_be(row)) {
                if !chip && (entry_type == EntryType::Script || row.name == Name::ChipSale) {
                    continue; // only a chip says so
                }
                let entry = entry(asked, mode, with, entry_type, ReversalReason::NoAnswer);
                let mut message = messages::queued(&identity(), &entry, &keys).unwrap().fields;
                if asked.name == Name::Balance {
                    message.set(De::AMOUNT, "000000000000"); // the original had none
                }
                assert_eq!(row.check(&message), Ok(()), "{} {mode} {with:?}", row.name);
                assert_eq!(of(&message).map(|row| row.name), Some(row.name));
            }
        }
    }
}

/// Goal: settlement and management messages are what their rows say, and carry no MAC.
#[test]
fn messages_without_money_are_what_their_rows_say() {
    let (identity, batch) = (identity(), BatchNumber::FIRST);
    let operator = OperatorId::new("01").unwrap();
    let line = Line {
        card_class: CardClass::Domestic,
        stan: stan(2),
        pan: pan(),
        amount: Amount::from_minor(1).unwrap(),
    };
    let (sale, refund) = (approved(Kind::Sale, 3, 1000), approved(Kind::Refund, 5, 500));
    let mut built = vec![
        (Name::SignOn, messages::sign_on(&identity, stan(1), batch, Some(&operator))),
        (Name::SignOff, messages::sign_off(&identity, stan(1), batch)),
        (Name::Echo, messages::echo(&identity, batch)),
        (
            Name::Totals,
            settlement::totals(&identity, stan(1), batch, &"0".repeat(62), Currency::CNY, &operator),
        ),
        (Name::BatchLines, settlement::group(&identity, stan(1), batch, &[line])),
        (Name::BatchCopy, settlement::copy(&identity, &refund).unwrap()),
    ];
    for agreed in [false, true] {
        built.push((Name::BatchEnd, settlement::end(&identity, stan(1), batch, 3, agreed)));
        built.push((Name::BatchCertificate, settlement::chip(&identity, &sale, None, agreed).unwrap()));
        for failure in [ChipFailure::CardRefused, ChipFailure::IssuerNotAuthenticated] {
            let built_one = settlement::chip(&identity, &sale, Some(failure), agreed).unwrap();
            built.push((Name::BatchFailure, built_one));
        }
    }
    for (name, request) in built {
        let message = request.unwrap().fields;
        assert_eq!(row(name).check(&message), Ok(()), "{name}");
        assert_eq!(of(&message).map(|row| row.name), Some(name));
        assert!(!row(name).is_signed(), "{name}");
    }
}

/// Goal: questions and ends of downloads are what their rows say.
#[test]
fn downloads_are_what_their_rows_say() {
    let (identity, batch) = (identity(), BatchNumber::FIRST);
    let key = vec![0xA0, 0, 0, 3, 0x33, 3];
    let asked = [Question::Record(key), Question::Cards { next: 1 }, Question::Whole];
    let mut built = vec![(Name::ListQuery, messages::state_upload(&identity, batch, b"011"))];
    for kind in download::Kind::ALL.iter().copied() {
        for question in &asked {
            built.push((Name::Download, messages::download(&identity, batch, kind, question)));
        }
        built.push((Name::DownloadEnd, messages::download(&identity, batch, kind, &Question::End)));
    }
    for kind in [download::Kind::Capk, download::Kind::Aid] {
        let question = Question::List { received: 0 };
        built.push((Name::ListQuery, messages::download(&identity, batch, kind, &question)));
    }
    for (name, request) in built {
        let message = request.unwrap().fields;
        assert_eq!(row(name).check(&message), Ok(()), "{name}");
        assert_eq!(of(&message).map(|row| row.name), Some(name));
    }
}

/// Goal: each message has one row, its MAC where money moves, and every kind of business has the row that fits it.
#[test]
fn the_table_is_whole() {
    for name in Name::ALL {
        assert_eq!(rows().iter().filter(|row| row.name == *name).count(), 1, "{name}");
        let row = row(*name);
        assert_eq!(row.is_signed(), matches!(row.mti, "0100" | "0200" | "0220" | "0400" | "0620"), "{name}");
        assert!(row.must.iter().all(|de| !row.may.has(de)), "{name}");
        let function = row.functions.first().unwrap();
        let mode = if row.is_scanned() { "032" } else { "052" };
        let found = find(row.mti, row.message_type, function, row.condition, mode);
        assert_eq!(found.map(|row| row.name), Some(*name));
    }
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_built()) {
        let (rule, row) = (rules::rule(kind), row(rules::rule(kind).message));
        assert!(row.name.is_offered(), "{kind}");
        assert_eq!(rule.silence == Silence::Reverse, row.undo != Undo::Never, "{kind}");
        assert_eq!(rule.card == CardUse::Pay, row.allows(De::ICC), "{kind}");
        assert_eq!(rule.route == Route::Queue, matches!(row.name, Name::ChipSale | Name::Advice), "{kind}");
        let nine_c = u8::from_str_radix(&row.processing_code[..2], 16).unwrap();
        assert_eq!(rule.transaction_type, nine_c, "{kind}");
        assert_eq!(row.original == Original::None, rule.original == rules::OriginalRule::None, "{kind}");
    }
}

/// Goal: an element too many and one too few are told by number.
#[test]
fn what_does_not_fit_is_named() {
    let mut message = messages::echo(&identity(), BatchNumber::FIRST).unwrap().fields;
    message.set(De::STAN, "000001");
    assert_eq!(row(Name::Echo).check(&message).unwrap_err().to_string(), "DE 11 does not belong here");
    message.remove(De::TERMINAL);
    assert_eq!(row(Name::Echo).check(&message), Err(Unfit::Missing(De::TERMINAL)));
}

//! Messages that posd can build and does not offer yet: payment by code (B34 to the byte), addition to a
//! pre-authorisation, adjustments, electronic cash.
use super::{entry, fields, identity, keys, stan};
use posd::domain::ident::{AuthCode, BatchNumber, Rrn};
use posd::domain::iso8583::{De, Message};
use posd::domain::outcome::EntryMode;
use posd::domain::record::OriginalRef;
use posd::domain::secret::{ClearPin, Pan, Track2};
use posd::domain::unionpay::extension::{Extension, tag};
use posd::domain::unionpay::matrix::{self, Name};
use posd::domain::unionpay::messages::{self, Extra, RequestFields, WireSource};

/// A request of the synthetic card, its original being the first of batch 1.
fn built(name: Name, entry_mode: EntryMode, number: u32, minor: u64, extra: &Extra<'_>) -> messages::Request {
    let pan = Pan::new("6225880012345678").unwrap();
    let track2 = Track2::new("6225880012345678D30121010000012345678").unwrap();
    let pin = keys().pin_block(&ClearPin::new(b"123456").unwrap(), &pan);
    let row = matrix::row(name);
    let (rrn, auth_code) = (Rrn::new("093000990011").unwrap(), AuthCode::new("B00001").unwrap());
    let original = OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan: Some(stan(7)),
        date: Some("0115".to_owned()),
        ..OriginalRef::default()
    };
    let wire = messages::wire_facts(&WireSource {
        message: name,
        identity: &identity(),
        original: Some(&original),
        entry_mode,
        fallback: false,
        with_pin: row.must.has(De::PIN_BLOCK),
        partial: false,
        icc: &[0x9F, 0x36, 2, 0, 1],
        reversal_icc: &[],
    });
    let fields = RequestFields {
        track2: Some(&track2),
        pin: Some(&pin),
        rrn: Some(&rrn),
        auth_code: Some(&auth_code),
        ..fields(&wire, number, minor, &pan)
    };
    messages::request_with(&identity(), &fields, extra, &keys()).unwrap()
}

fn numbers(message: &Message) -> Vec<u8> {
    message.fields().map(|(de, _)| de.number()).collect()
}

/// Goal: the sale by a code is B34 to the byte, MAC included.
#[test]
fn a_sale_by_code_is_b34() {
    let code = Extension::default().with(tag::CODE, "6222000000000000001").encode().unwrap();
    let extra = Extra { extension: Some(&code), ..Extra::default() };
    let sale = built(Name::QrSale, EntryMode::Code, 18, 1, &extra);
    assert_eq!(sale.frame, entry("B34").bytes);
    assert_eq!(sale.fields.bytes(De::MAC), Some(&b"D3A41282"[..]));
}

/// Goal: void and refund of a sale by code name their original and send the voucher back.
#[test]
fn a_code_payment_is_undone_by_its_voucher() {
    let voucher = Extension::default().with(tag::VOUCHER, "20260115000000000001").encode().unwrap();
    let extra = Extra { extension: Some(&voucher), ..Extra::default() };
    let void = built(Name::QrVoid, EntryMode::Code, 19, 1, &extra).fields;
    assert_eq!(numbers(&void), [3, 4, 11, 22, 25, 37, 38, 41, 42, 49, 59, 60, 61, 64]);
    assert_eq!((void.mti(), void.text(De::ORIGINAL)), ("0200", Some("000001000007")));
    let refund = built(Name::QrRefund, EntryMode::Code, 20, 1, &extra).fields;
    assert_eq!(numbers(&refund), [3, 4, 11, 22, 25, 37, 41, 42, 49, 59, 60, 61, 63, 64]);
    let text = |de| refund.text(de);
    assert_eq!((refund.mti(), text(De::ORIGINAL)), ("0220", Some("0000010000070115")));
    assert_eq!((text(De::PRIVATE_63), text(De::PRIVATE_60)), (Some("000"), Some("25000001000600")));
    let read = Extension::decode(refund.bytes(De::EXTENSION).unwrap()).unwrap();
    assert_eq!(read.get(tag::VOUCHER), Some(&b"20260115000000000001"[..]));
}

/// Goal: each message that is not offered yet has its message type, DE 3, DE 25, 60.1 and elements as listed in the
/// transaction table of the field documents. Its track is encrypted, so DE 53 stands beside it.
#[test]
fn each_message_has_its_elements() {
    let check = |name, extra: Extra<'_>, head: [&str; 4], elements: &[u8]| {
        let message = built(name, EntryMode::Chip, 21, 1000, &extra).fields;
        let text = |de| message.text(de).unwrap_or_default();
        let kind = &text(De::PRIVATE_60)[..2];
        assert_eq!([message.mti(), text(De::PROCESSING_CODE), text(De::CONDITION), kind], head, "{name}");
        assert_eq!(numbers(&message), elements, "{name}");
        message
    };
    let none = Extra::default();
    let addition = check(
        Name::PreAuthAddition,
        none,
        ["0100", "030000", "60", "10"],
        &[2, 3, 4, 11, 14, 22, 23, 25, 26, 35, 38, 41, 42, 49, 52, 53, 55, 60, 61, 64],
    );
    assert_eq!(addition.text(De::ORIGINAL), Some("0000000000000115"));
    let tip = Extra { additional: Some("000000000100"), organisation: Some("CUP"), ..none };
    let elements = [2, 3, 4, 11, 14, 22, 25, 37, 38, 41, 42, 48, 49, 60, 61, 63, 64];
    let adjusted = check(Name::TipAdjust, tip, ["0220", "000000", "00", "34"], &elements);
    assert_eq!(adjusted.text(De::ADDITIONAL_DATA), Some("000000000100"));
    check(Name::Adjust, tip, ["0220", "000000", "00", "32"], &elements);
    let terminal = Extra { private_62: Some(b"10000002"), ..none };
    check(
        Name::CashCardRefund,
        terminal,
        ["0220", "200000", "00", "27"],
        &[2, 3, 4, 11, 14, 22, 23, 25, 35, 41, 42, 49, 53, 60, 61, 62, 64],
    );
    let load = [2, 3, 4, 11, 14, 22, 23, 25, 26, 41, 42, 49, 52, 53, 55, 60, 64];
    check(Name::LoadFromAccount, none, ["0200", "600000", "91", "45"], &load);
    let cash = [2, 3, 4, 11, 14, 22, 23, 25, 35, 41, 42, 49, 53, 55, 60, 64];
    check(Name::LoadFromCash, none, ["0200", "630000", "91", "46"], &cash);
    let other = Extra { additional: Some("0520"), private_62: Some(b"6225880012345679"), ..none };
    let elements = [2, 3, 4, 11, 14, 22, 23, 25, 26, 35, 41, 42, 48, 49, 52, 53, 55, 60, 62, 64];
    check(Name::LoadFromOther, other, ["0200", "620000", "91", "47"], &elements);
    let void = [2, 3, 4, 11, 14, 22, 23, 25, 35, 41, 42, 49, 53, 55, 60, 61, 64];
    check(Name::LoadVoid, none, ["0200", "170000", "91", "51"], &void);
}

/// Goal: every listed request that posd can send is the row of the matrix that it claims to be.
#[test]
fn the_listed_requests_fit_the_matrix() {
    let expected = [
        ("B1", Name::SignOn),
        ("B3", Name::Sale),
        ("B5", Name::Sale),
        ("B7", Name::Reversal),
        ("B10", Name::Refund),
        ("B11", Name::PreAuth),
        ("B12", Name::Completion),
        ("B13", Name::Advice),
        ("B15", Name::CompletionVoid),
        ("B16", Name::Balance),
        ("B19", Name::ScriptResult),
        ("B20", Name::Totals),
        ("B22", Name::BatchLines),
        ("B23", Name::BatchCertificate),
        ("B24", Name::BatchEnd),
        ("B26", Name::Echo),
        ("B27", Name::SignOff),
        ("B28", Name::ListQuery),
        ("B30", Name::Download),
        ("B32", Name::DownloadEnd),
        ("B34", Name::QrSale),
        ("A1", Name::SignOn),
        ("A10", Name::Sale),
        ("A15", Name::SignOn),
        ("A18", Name::SignOn),
        ("A21", Name::Download),
    ];
    for (listed, name) in expected {
        let message = entry(listed).unpacked();
        let row = matrix::of(&message).unwrap_or_else(|| panic!("{listed}"));
        assert_eq!((row.name, row.check(&message)), (name, Ok(())), "{listed}");
    }
}

//! The messages to the byte, and what their answers say. The examples are synthetic: built from the field lists, not
//! recorded at a bank.
use super::rows::{advice, amount, approved, foreign, offline};
use crate::domain::emv::tests::unhex;
use crate::domain::emv::tlv::Tag;
use crate::domain::ident::{AuthCode, BatchNumber, MerchantId, OperatorId, Rrn, Stan, TerminalId};
use crate::domain::iso8583::{De, Frame, Message, pack};
use crate::domain::money::Currency;
use crate::domain::outcome::{CardClass, Kind, QueueState, Verdict};
use crate::domain::profile::Profile;
use crate::domain::record::{OriginalRef, TxnRow};
use crate::domain::secret::Pan;
use crate::domain::unionpay::answers::AnswerError;
use crate::domain::unionpay::dialect::DIALECT;
use crate::domain::unionpay::messages::Request;
use crate::domain::unionpay::settlement::{self, ChipFailure, Line, TotalsAnswer, read_totals, read_upload};
use crate::domain::unionpay::{Identity, de55};
use std::sync::Arc;

const SYNTHETIC: &str = include_str!("../../../../tests/data/iso8583/synthetic.txt");
const FIELD48: &str = "00000000200000200000000100000100000000000000000000000000000000";

/// The bytes of an entry of the data file.
fn entry(name: &str) -> Vec<u8> {
    let heading = format!("== {name} ");
    let lines = SYNTHETIC.lines().skip_while(|line| !line.starts_with(&heading)).skip(1);
    let hex: String = lines
        .take_while(|line| !line.starts_with("=="))
        .filter_map(|line| line.strip_prefix("hex "))
        .collect();
    unhex(&hex)
}

fn identity() -> Identity {
    Identity {
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        tpdu: [0x60, 0x00, 0x05, 0x00, 0x00],
        header: [0x60, 0x32, 0x00, 0x32, 0x00, 0x00],
        profile: Profile::unionpay(),
    }
}

fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

fn totals() -> Request {
    let operator = OperatorId::new("01").unwrap();
    settlement::totals(&identity(), stan(14), BatchNumber::FIRST, FIELD48, Currency::CNY, &operator).unwrap()
}

/// The bank's frame after its two length bytes, with fields as told.
fn answer(mti: &str, request: &Request, fields: &[(De, &str)]) -> Vec<u8> {
    let mut message = Message::new(mti);
    for de in [De::STAN, De::TERMINAL, De::MERCHANT, De::PRIVATE_60] {
        message.set_some(de, request.fields.bytes(de));
    }
    for (de, value) in fields {
        message.set(*de, value);
    }
    let packed = pack(&DIALECT, &message).unwrap();
    let asked = identity();
    Frame { tpdu: asked.tpdu, header: asked.header, message: packed }.encode().unwrap()[2..].to_vec()
}

#[test]
fn the_totals_are_those_of_b20() {
    assert_eq!(totals().frame, entry("B20"));
}

#[test]
fn a_group_is_that_of_b22() {
    let line = |number| Line {
        card_class: CardClass::Domestic,
        stan: stan(number),
        pan: Pan::new("6225880012345678").unwrap(),
        amount: amount(1_000),
    };
    let group = settlement::group(&identity(), stan(15), BatchNumber::FIRST, &[line(2), line(4)]).unwrap();
    assert_eq!(group.frame, entry("B22"));
    let eight: Vec<Line> = (1..=8).map(line).collect();
    let full = settlement::group(&identity(), stan(15), BatchNumber::FIRST, &eight).unwrap();
    assert_eq!(full.fields.text(De::ADDITIONAL_DATA).unwrap().len(), 2 + 8 * 40);
    let nine: Vec<Line> = (1..=9).map(line).collect();
    assert!(settlement::group(&identity(), stan(15), BatchNumber::FIRST, &nine).is_err());
}

/// The chip sale of B5 and B23: the request's data with the second cryptogram in the place of the first.
fn chip_sale() -> TxnRow {
    let mut row = approved(Kind::Sale, 3, 1_000);
    let b23 = entry("B23");
    let message = crate::domain::iso8583::unpack(&DIALECT, &b23[13..]).unwrap();
    let wanted = message.bytes(De::ICC).unwrap();
    let first = [(Tag(0x9F26), vec![9; 8]), (Tag(0x9F27), vec![0x80]), (Tag(0x95), vec![0; 5])];
    row.wire.as_mut().unwrap().icc = de55::replaced(wanted, &first);
    assert_ne!(row.wire.as_ref().unwrap().icc, wanted);
    let value = |tag| {
        let objects = de55::objects(wanted).unwrap();
        let object = objects.iter().find(|object| object.tag == Tag(tag)).unwrap();
        object.value.iter().map(|byte| format!("{byte:02X}")).collect::<String>()
    };
    Arc::make_mut(row.card.as_mut().unwrap()).chip = vec![
        ("TC".to_owned(), value(0x9F26)),
        ("TVR".to_owned(), value(0x95)),
        ("IAD".to_owned(), value(0x9F10)),
    ];
    row
}

#[test]
fn a_certificate_is_that_of_b23() {
    let request = settlement::chip(&identity(), &chip_sale(), None, false).unwrap().unwrap();
    assert_eq!(request.frame, entry("B23"));
    assert_eq!(request.stan, Some(stan(3)), "the STAN of the transaction");
    let agreed = settlement::chip(&identity(), &chip_sale(), None, true).unwrap().unwrap();
    assert_eq!(agreed.fields.text(De::PRIVATE_60), Some("0000000120350"));
}

/// DE 62: 71, class, what went wrong, amount, currency, which cryptogram, whether the issuer's was wrong.
#[test]
fn a_chip_failure_says_what_went_wrong() {
    let mut refused = foreign(chip_sale());
    refused.outcome = crate::domain::outcome::Outcome::Declined;
    refused.approved_amount = amount(0);
    "AAC".clone_into(&mut Arc::make_mut(refused.card.as_mut().unwrap()).chip[0].0);
    let request = settlement::chip(&identity(), &refused, Some(ChipFailure::CardRefused), true);
    let fields = request.unwrap().unwrap().fields;
    assert_eq!(fields.bytes(De::PRIVATE_62), Some(&b"71011100000000100015610"[..]));
    assert_eq!(fields.text(De::PRIVATE_60), Some("0000000120450"));
    assert_eq!(fields.text(De::AMOUNT), Some("000000001000"), "what was asked for");
    let icc = fields.bytes(De::ICC).unwrap();
    let objects = de55::objects(icc).unwrap();
    let kind = objects.iter().find(|object| object.tag == Tag(0x9F27)).unwrap().value;
    assert_eq!(kind, [0x00], "an AAC");
    let wrong = settlement::chip(&identity(), &chip_sale(), Some(ChipFailure::IssuerNotAuthenticated), false);
    let fields = wrong.unwrap().unwrap().fields;
    assert_eq!(fields.bytes(De::PRIVATE_62), Some(&b"71000500000000100015622"[..]));
    assert_eq!(fields.text(De::PRIVATE_60), Some("0000000120650"));
}

/// A copy has the elements of its request, without track, PIN and MAC.
#[test]
fn copies_repeat_what_was_sent() {
    let copy = |row: &TxnRow| settlement::copy(&identity(), row).unwrap().unwrap().fields;
    let mut refund = approved(Kind::Refund, 5, 500);
    refund.start.terms.original = Some(OriginalRef {
        rrn: Rrn::new("093000990011").ok(),
        auth_code: AuthCode::new("B00001").ok(),
        ..OriginalRef::default()
    });
    "0000000000000114".clone_into(&mut refund.wire.as_mut().unwrap().original);
    let fields = copy(&refund);
    let text = |de| fields.text(de);
    assert_eq!((fields.mti(), text(De::PROCESSING_CODE)), ("0320", Some("200000")));
    assert_eq!((text(De::RRN), text(De::ORIGINAL)), (Some("093000990011"), Some("0000000000000114")));
    assert_eq!((text(De::PRIVATE_63), text(De::PRIVATE_60)), (Some("CUP"), Some("25000001000500")));
    assert_eq!((text(De::CURRENCY), text(De::AUTH_CODE)), (Some("156"), None), "as its 0220");
    assert!(!fields.has(De::TRACK2) && !fields.has(De::MAC) && !fields.has(De::ICC));

    let mut told = foreign(advice(6, 700, QueueState::Done));
    told.start.terms.auth_code = AuthCode::new("B77777").ok();
    let fields = copy(&told);
    assert_eq!(fields.text(De::AUTH_CODE), Some("B77777"));
    assert_eq!(fields.text(De::PRIVATE_63), Some("VIS"));

    let fields = copy(&offline(7, 400, QueueState::Done, "00"));
    assert_eq!(fields.text(De::PRIVATE_60), Some("36000001000500"));
    assert_eq!(fields.bytes(De::ICC), Some(super::rows::ICC));
    assert_eq!(fields.text(De::PRIVATE_63), Some("CUP"));
    assert_eq!(fields.text(De::STAN), Some("000007"));
}

#[test]
fn the_end_is_that_of_b24() {
    let end = |agreed| settlement::end(&identity(), stan(16), BatchNumber::FIRST, 3, agreed).unwrap();
    assert_eq!(end(false).frame, entry("B24"));
    assert_eq!(end(true).fields.text(De::PRIVATE_60), Some("00000001207"));
    assert_eq!(read_upload(&end(false), &entry("B25")[2..]), Ok(None));
    assert!(matches!(read_upload(&end(true), &entry("B25")[2..]), Err(AnswerError::Mismatch { .. })));
}

/// B21 has no DE 39: the verdict stands in digits 31 and 62 of DE 48.
#[test]
fn the_verdict_stands_in_field_48() {
    let told = read_totals(&totals(), &entry("B21")[2..]);
    assert_eq!(told, Ok(TotalsAnswer::Verdict(Verdict::Disagreed, Verdict::Agreed)));
    let digits =
        |domestic: char, foreign: char| format!("{}{domestic}{}{foreign}", &FIELD48[..30], &FIELD48[31..61]);
    let check = |field48: Option<String>, code: Option<&str>, expected: Result<TotalsAnswer, ()>| {
        let mut fields = Vec::new();
        fields.extend(field48.as_deref().map(|text| (De::ADDITIONAL_DATA, text)));
        fields.extend(code.map(|text| (De::RESPONSE_CODE, text)));
        let payload = answer("0510", &totals(), &fields);
        assert_eq!(read_totals(&totals(), &payload).map_err(|_| ()), expected, "{fields:?}");
    };
    let verdict = |domestic, foreign| Ok(TotalsAnswer::Verdict(domestic, foreign));
    let refused =
        |code: &str| Ok(TotalsAnswer::Refused(crate::domain::ident::ResponseCode::new(code).unwrap()));
    check(Some(digits('1', '1')), Some("00"), verdict(Verdict::Agreed, Verdict::Agreed));
    check(Some(digits('1', '3')), None, verdict(Verdict::Agreed, Verdict::Error));
    check(Some(digits('2', '1')), Some("95"), verdict(Verdict::Disagreed, Verdict::Agreed));
    check(Some(digits('0', '0')), Some("96"), refused("96"));
    check(None, Some("A0"), refused("A0"));
    check(Some(digits('0', '1')), Some("00"), verdict(Verdict::Error, Verdict::Agreed));
    check(None, Some("00"), Err(()));
    check(None, None, Err(()));
    check(Some("1".to_owned()), None, Err(()));
}

/// A stranger's answer decides nothing.
#[test]
fn answers_of_others_are_not_taken() {
    let other = settlement::end(&identity(), stan(17), BatchNumber::FIRST, 3, false).unwrap();
    assert!(matches!(read_upload(&other, &entry("B25")[2..]), Err(AnswerError::Foreign { .. })));
    assert!(matches!(read_totals(&totals(), &entry("B25")[2..]), Err(AnswerError::Foreign { .. })));
    let refusal = answer("0330", &other, &[(De::RESPONSE_CODE, "30")]);
    assert_eq!(read_upload(&other, &refusal).unwrap().unwrap().as_str(), "30");
}

//! Answers against their requests, element by element, for every message that carries a MAC; and the small readers.
use super::*;
use crate::domain::ident::OperatorId;
use crate::domain::outcome::{EntryMode, EntryType};
use crate::domain::record::ReversalReason;
use crate::domain::secret::ClearPin;
use crate::domain::unionpay::issuer::reply;
use crate::domain::unionpay::matrix::tests::{With, asked, entry, identity, keys, pan, request, stan};
use crate::domain::unionpay::matrix::{self, Name, Undo};
use crate::domain::unionpay::{messages, settlement};

const NOW: LocalTime = LocalTime { year: 2026, month: 1, day: 15, hour: 9, minute: 32, second: 10 };

/// What is done to one element of a good answer.
#[derive(Clone, Copy, Debug)]
enum Spoilt {
    Missing,
    Other(&'static str),
}

/// How an answer is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Believed,
    Foreign,
    Mismatch,
}

/// Every element that is compared: what becomes of an answer in which it is another one, and of an approval and of a
/// refusal in which it is missing.
const COMPARED: &[(De, &str, Taken, Taken, Taken)] = &[
    (De::PROCESSING_CODE, "990000", Taken::Mismatch, Taken::Mismatch, Taken::Believed),
    (De::AMOUNT, "000000009999", Taken::Mismatch, Taken::Mismatch, Taken::Believed),
    (De::STAN, "000777", Taken::Foreign, Taken::Mismatch, Taken::Mismatch),
    (De::CONDITION, "77", Taken::Mismatch, Taken::Believed, Taken::Believed),
    (De::RESPONSE_CODE, "  ", Taken::Mismatch, Taken::Mismatch, Taken::Mismatch),
    (De::TERMINAL, "99999999", Taken::Foreign, Taken::Mismatch, Taken::Mismatch),
    (De::MERCHANT, "999999999999999", Taken::Mismatch, Taken::Mismatch, Taken::Believed),
    (De::CURRENCY, "840", Taken::Mismatch, Taken::Believed, Taken::Believed),
];

/// What of an answer is nobody's word: other values change nothing.
const IGNORED: &[(De, &str)] =
    &[(De::TIME, "999999"), (De::DATE, "9999"), (De::ACQUIRER, "1"), (De::RRN, "            ")];

/// A good answer with one thing spoilt.
fn answer(request: &Request, code: &str, spoilt: Option<(De, Spoilt)>) -> Vec<u8> {
    let mti: u16 = request.mti.parse().unwrap();
    let mut answer = Message::new(&format!("{:04}", mti + 10));
    for de in [3, 4, 11, 25, 41, 42, 49, 60].into_iter().filter_map(De::new) {
        answer.set_some(de, request.fields.bytes(de));
    }
    answer.set(De::RESPONSE_CODE, code).set(De::RRN, "093205000003");
    if request.mti == "0500" {
        answer.set(De::ADDITIONAL_DATA, format!("{0}1{0}1", "0".repeat(30)));
    }
    match spoilt {
        None => {}
        Some((de, Spoilt::Missing)) => answer.remove(de),
        Some((de, Spoilt::Other(value))) => _ = answer.set(de, value),
    }
    let asked = Frame::parse(&request.frame[2..]).unwrap();
    let keys = request.fields.has(De::MAC).then(keys);
    reply(&request.profile.dialect, &asked, asked.header, &mut answer, keys.as_ref()).unwrap()[2..].to_vec()
}

fn taken<T>(read: Result<T, AnswerError>) -> (Taken, Option<T>) {
    match read {
        Ok(answer) => (Taken::Believed, Some(answer)),
        Err(AnswerError::Foreign { .. }) => (Taken::Foreign, None),
        Err(AnswerError::Mismatch { .. }) => (Taken::Mismatch, None),
        Err(other) => panic!("{other}"),
    }
}

/// One request of each row that carries a MAC, and the reversal of each that has one.
fn signed() -> Vec<(Name, Request)> {
    let (identity, keys) = (identity(), keys());
    let pin = keys.pin_block(&ClearPin::new(b"123456").unwrap(), &pan());
    let with = With::all().last().unwrap();
    let mut requests = Vec::new();
    for (row, mode) in asked().filter(|(row, mode)| row.is_scanned() || *mode == EntryMode::Chip) {
        requests.push((row.name, request(row, mode, with, &pin)));
        if row.undo != Undo::Never {
            let undo = entry(row, mode, with, EntryType::Reversal, ReversalReason::NoAnswer);
            requests.push((Name::Reversal, messages::queued(&identity, &undo, &keys).unwrap()));
        }
    }
    let script =
        entry(matrix::row(Name::Sale), EntryMode::Chip, with, EntryType::Script, ReversalReason::NoAnswer);
    requests.push((Name::ScriptResult, messages::queued(&identity, &script, &keys).unwrap()));
    requests
}

/// Goal: an answer in which an element that must repeat the request is another one or missing is no answer, for every
/// message; it is never an approval.
#[test]
fn every_answer_is_compared_element_by_element() {
    let (keys, mut compared) = (keys(), 0);
    let read = |request: &Request, code: &str, spoilt| {
        taken(read_financial(request, &answer(request, code, spoilt), &keys, NOW))
    };
    for (name, request) in signed() {
        for code in ["00", "A2", "10", "51", "94"] {
            let (good, told) = read(&request, code, None);
            let approves = response_approves(code);
            // A part of nothing is no part.
            let expected = if code == "10" && !request.fields.has(De::AMOUNT) {
                Taken::Mismatch
            } else {
                Taken::Believed
            };
            assert_eq!(
                (good, told.map(|told| told.approved)),
                (expected, (expected == Taken::Believed).then_some(approves)),
                "{name} {code}"
            );
            for (de, other, changed, approval, refusal) in COMPARED {
                let missing = if approves { *approval } else { *refusal };
                for (spoilt, expected) in [(Spoilt::Other(other), *changed), (Spoilt::Missing, missing)] {
                    let has = request.fields.has(*de) || *de == De::RESPONSE_CODE;
                    let of_no_money = *de == De::AMOUNT && name == Name::ScriptResult && code != "10";
                    let expected = if has && !of_no_money { expected } else { Taken::Believed };
                    // A part of a balance is refused before anything else is looked at twice.
                    let expected =
                        if good == Taken::Mismatch && expected == Taken::Believed { good } else { expected };
                    let (got, told) = read(&request, code, Some((*de, spoilt)));
                    assert_eq!(got, expected, "{name} {code} {de} {spoilt:?}");
                    assert!(told.is_none_or(|told| told.approved == approves));
                    compared += 1;
                }
            }
            for (de, other) in IGNORED {
                assert_eq!(
                    read(&request, code, Some((*de, Spoilt::Other(other)))).0,
                    good,
                    "{name} {code} {de}"
                );
            }
        }
    }
    assert!(compared > 2500, "{compared} answers");
}

fn response_approves(code: &str) -> bool {
    crate::domain::unionpay::response::books(code)
}

/// Goal: an answer of another type is a stranger's, whatever else it says.
#[test]
fn another_message_type_is_a_strangers() {
    let requests = signed();
    for (name, request) in &requests {
        for (_, other) in requests.iter().filter(|(_, other)| other.mti != request.mti) {
            let read = read_financial(request, &answer(other, "00", None), &keys(), NOW);
            assert!(matches!(read, Err(AnswerError::Foreign { .. })), "{name}");
        }
    }
}

/// Goal: for every message, an approval needs a good MAC; a refusal may come without one, not with a wrong one.
#[test]
fn every_approval_needs_its_mac() {
    let keys = keys();
    for (name, request) in signed() {
        for (code, approves) in [("00", true), ("51", false)] {
            let asked = Frame::parse(&request.frame[2..]).unwrap();
            let bytes = answer(&request, code, None);
            let mut wrong = bytes.clone();
            *wrong.last_mut().unwrap() ^= 1;
            assert_eq!(read_financial(&request, &wrong, &keys, NOW), Err(AnswerError::Mac), "{name} {code}");
            let mut message =
                unpack(&request.profile.dialect, &Frame::parse(&bytes).unwrap().message).unwrap();
            message.remove(De::MAC);
            let without = reply(&request.profile.dialect, &asked, asked.header, &mut message, None).unwrap();
            let read = read_financial(&request, &without[2..], &keys, NOW);
            match approves {
                true => assert_eq!(read, Err(AnswerError::Mac), "{name}"),
                false => assert!(!read.unwrap().approved, "{name}"),
            }
        }
    }
}

/// Goal: "repeated" to a request that was sent once is believed, unless a message that answers nothing came first: then
/// something doubled the request, and a decline would hide what the bank booked. No other code is doubted.
#[test]
fn repeated_is_doubted_after_a_message_of_nobody() {
    let (_, request) = signed().into_iter().find(|(name, _)| *name == Name::Sale).unwrap();
    for (code, double) in [("94", true), ("51", false), ("00", false), ("25", false)] {
        let read = read_financial(&request, &answer(&request, code, None), &keys(), NOW).unwrap();
        assert_eq!((read.is_of_a_double(true), read.is_of_a_double(false)), (double, false), "{code}");
    }
}

/// Goal: a part may be as much as was asked for, and neither more nor nothing.
#[test]
fn a_part_is_not_more_than_the_whole() {
    let (_, sale) = signed().into_iter().find(|(name, _)| *name == Name::Sale).unwrap();
    let read = |amount| {
        let bytes = answer(&sale, "10", Some((De::AMOUNT, Spoilt::Other(amount))));
        taken(read_financial(&sale, &bytes, &keys(), NOW)).0
    };
    assert_eq!(read("000000000001"), Taken::Believed);
    assert_eq!(read("000000001000"), Taken::Believed);
    assert_eq!(read("000000001001"), Taken::Mismatch);
    assert_eq!(read("000000000000"), Taken::Mismatch);
}

/// Goal: texts of the bank are kept as people read them, and a reference of the wrong form is left out: it could
/// neither be printed nor sent again.
#[test]
fn what_is_kept_of_an_answer_has_its_form() {
    let (_, sale) = signed().into_iter().find(|(name, _)| *name == Name::Sale).unwrap();
    let asked = Frame::parse(&sale.frame[2..]).unwrap();
    let read = |elements: &[(De, &[u8])]| {
        let bytes = answer(&sale, "00", None);
        let mut message = unpack(&sale.profile.dialect, &Frame::parse(&bytes).unwrap().message).unwrap();
        for (de, value) in elements {
            message.set(*de, value);
        }
        let bytes = reply(&sale.profile.dialect, &asked, asked.header, &mut message, Some(&keys())).unwrap();
        read_financial(&sale, &bytes[2..], &keys(), NOW).unwrap().host
    };
    let host = read(&[
        (De::ADDITIONAL_RESPONSE, b"03080000   01025810   "),
        (De::PRIVATE_63, b"CUP\xD5\xD0\xC9\xCC\xD2\xF8\xD0\xD0            OK"),
        (De::BALANCE, b"1002156C000000123456"),
        (De::AUTH_CODE, b"A12346"),
        (De::RRN, b"093205000003"),
    ]);
    assert_eq!(host.institutions.as_deref(), Some("03080000   01025810"));
    assert_eq!(host.organisation.as_deref(), Some("CUP"));
    assert_eq!(host.text.as_deref(), Some("招商银行            OK"));
    assert_eq!(host.balance.as_deref().and_then(available_balance).map(|(minor, _)| minor), Some(123_456));
    assert_eq!((host.auth_code.unwrap().as_str(), host.rrn.unwrap().as_str()), ("A12346", "093205000003"));
    let bad = read(&[
        (De::ADDITIONAL_RESPONSE, b"\x1B@"),
        (De::PRIVATE_63, b"CUP\xD5"),
        (De::AUTH_CODE, b"      "),
        (De::RRN, b"\x00932050000030"[..12].as_ref()),
    ]);
    assert_eq!((bad.institutions, bad.text, bad.auth_code, bad.rrn), (None, None, None, None));
}

/// Goal: answers without money are told from strangers' in the same way.
#[test]
fn answers_without_money_are_compared_too() {
    let (identity, batch) = (identity(), BatchNumber::FIRST);
    let operator = OperatorId::new("01").unwrap();
    let sign_on = messages::sign_on(&identity, stan(1), batch, None).unwrap();
    let sign_off = messages::sign_off(&identity, stan(1), batch).unwrap();
    let echo = messages::echo(&identity, batch).unwrap();
    let totals =
        settlement::totals(&identity, stan(1), batch, &"0".repeat(62), Currency::CNY, &operator).unwrap();
    let end = settlement::end(&identity, stan(1), batch, 0, true).unwrap();
    let read = |request: &Request, spoilt| {
        let bytes = answer(request, "00", spoilt);
        match request.mti {
            "0800" => taken(read_sign_on(request, &bytes)).0,
            "0820" => taken(read_management(request, &bytes)).0,
            "0500" => taken(settlement::read_totals(request, &bytes)).0,
            _ => taken(settlement::read_upload(request, &bytes)).0,
        }
    };
    for request in [&sign_on, &sign_off, &echo, &totals, &end] {
        assert_eq!(read(request, None), Taken::Believed, "{}", request.mti);
        for (de, other, ..) in COMPARED {
            let found = read(request, Some((*de, Spoilt::Other(other))));
            let expected = match *de {
                De::TERMINAL => Taken::Foreign,
                De::STAN if request.stan.is_some() => Taken::Foreign,
                De::MERCHANT => Taken::Mismatch,
                // Settlement has its verdict in DE 48; the code may be missing.
                De::RESPONSE_CODE if !matches!(request.mti, "0500" | "0320") => Taken::Mismatch,
                _ => Taken::Believed,
            };
            assert_eq!(found, expected, "{} {de}", request.mti);
        }
        assert_eq!(read(request, Some((De::TERMINAL, Spoilt::Missing))), Taken::Mismatch, "{}", request.mti);
    }
}

/// DE 54: the available balance is found among others, with its sign.
#[test]
fn the_available_balance_is_read() {
    let check = |text: &str, expected: Option<i64>| {
        assert_eq!(available_balance(text).map(|(minor, _)| minor), expected, "{text}");
    };
    check("1002156C000000123456", Some(123_456));
    check("1001156C0000000000011002156D000000000250", Some(-250));
    check("1001156C000000000001", None);
    check("1002999C000000000001", None);
    check("1002156X000000000001", None);
    check("1002156C00000000+001", None);
    check("1002156C", None);
}

/// The host may be past New Year while we are not, and the other way round.
#[test]
fn the_year_is_the_nearest_one() {
    let now = |year, month, day| LocalTime { year, month, day, hour: 12, minute: 0, second: 0 };
    let check = |time, date, now, expected: Option<&str>| {
        assert_eq!(host_time(time, date, now).map(|t| t.to_string()).as_deref(), expected, "{date} {time}");
    };
    check("093105", "0115", now(2026, 1, 15), Some("2026/01/15 09:31:05"));
    check("000001", "0101", now(2026, 12, 31), Some("2027/01/01 00:00:01"));
    check("235959", "1231", now(2027, 1, 1), Some("2026/12/31 23:59:59"));
    check("120000", "0229", now(2028, 3, 1), Some("2028/02/29 12:00:00"));
    check("120000", "0229", now(2026, 3, 1), None);
    check("120000", "1301", now(2026, 3, 1), None);
    check("120000", "0100", now(2026, 3, 1), None);
    check("240000", "0101", now(2026, 3, 1), None);
    check("12000", "0101", now(2026, 3, 1), None);
    check("+12000", "0101", now(2026, 3, 1), None);
    check("120000", "1231", now(0, 1, 1), None);
}

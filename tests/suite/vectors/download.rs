//! Downloads: requests to the byte, answers by what they hold.
use super::*;
use posd::domain::download::Kind;
use posd::domain::download::lists::{List, Rest};
use posd::domain::download::machine::Question;
use posd::domain::download::records;

fn made(kind: Kind, question: &Question) -> Request {
    messages::download(&identity(), BatchNumber::FIRST, kind, question).unwrap()
}

fn field_62(name: &str) -> Vec<u8> {
    entry(name).unpacked().bytes(De::PRIVATE_62).unwrap().to_vec()
}

/// B28, B30, B32 to the byte.
#[test]
fn questions_of_a_download_are_the_synthetic_ones() {
    let key = hex("A00000033303");
    for (name, question) in
        [("B28", Question::List { received: 0 }), ("B30", Question::Record(key)), ("B32", Question::End)]
    {
        assert_eq!(to_hex(&made(Kind::Capk, &question).frame), to_hex(&entry(name).bytes), "{name}");
    }
}

/// B29, B31 and B33 answer them, and hold a list, a key whose checksum fits, and an application.
#[test]
fn answers_of_a_download_are_read() {
    let key = hex("A00000033303");
    let read = |name: &str, request: &Request| {
        let answer = read_management(request, entry(name).payload()).unwrap();
        assert_eq!((answer.response_code.as_str(), answer.header_request), ("00", 0));
        assert_eq!(answer.private_62, field_62(name));
        answer.private_62
    };
    let page = read("B29", &made(Kind::Capk, &Question::List { received: 0 }));
    let mut list = List::default();
    assert_eq!(list.take(Kind::Capk, &page), Ok(Rest::End));
    assert_eq!(list.keys(), std::slice::from_ref(&key));
    let record = read("B31", &made(Kind::Capk, &Question::Record(key)));
    assert_eq!(records::capk(&record[1..]).unwrap().modulus.len(), 176);
    let aid = hex("A000000333010101");
    let record = read("B33", &made(Kind::Aid, &Question::Record(aid.clone())));
    assert_eq!(records::application(&record[1..], 0).unwrap().aid.bytes(), aid);
}

/// The other questions: types, codes and field 62; no STAN, no MAC anywhere.
#[test]
fn every_question_has_its_code() {
    let check = |request: Request, mti: &str, code: &str, text: Option<&str>| {
        assert_eq!((request.mti, request.stan), (mti, None));
        assert_eq!(request.fields.text(De::PRIVATE_60), Some(format!("00000001{code}").as_str()));
        assert_eq!(request.fields.text(De::PRIVATE_62), text);
        assert!(!request.fields.has(De::STAN) && !request.fields.has(De::MAC));
    };
    check(made(Kind::Aid, &Question::List { received: 7 }), "0820", "382", Some("107"));
    check(made(Kind::Aid, &Question::End), "0800", "381", None);
    check(made(Kind::Parameters, &Question::Whole), "0800", "360", None);
    check(made(Kind::Parameters, &Question::End), "0800", "361", None);
    check(made(Kind::Blacklist, &Question::Cards { next: 12 }), "0800", "390", Some("012"));
    check(made(Kind::Blacklist, &Question::End), "0800", "391", None);
    check(made(Kind::Contactless, &Question::Whole), "0800", "394", None);
    check(made(Kind::Contactless, &Question::End), "0800", "395", None);
    let state = messages::state_upload(&identity(), BatchNumber::FIRST, b"010").unwrap();
    check(state, "0820", "362", Some("010"));
    let aid = made(Kind::Aid, &Question::Record(hex("A000000333010101")));
    assert_eq!(aid.fields.bytes(De::PRIVATE_62), Some(hex("9F0608A000000333010101").as_slice()));
}

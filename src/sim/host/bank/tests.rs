//! The bank on the synthetic messages whose keys are known, and on messages made here.
mod made;

use super::super::business::Business;
use super::super::ledger::{Effect, Row};
use super::*;
use crate::domain::iso8583::{Frame, unpack};
use crate::domain::keystore::SignOnKeys;
use crate::domain::unionpay::dialect::DIALECT;
use crate::domain::unionpay::keys::MasterKey;
use crate::sim::host::{Config, TEST_TMK};

const SYNTHETIC: &str = include_str!("../../../../tests/data/iso8583/synthetic.txt");
const NOW: LocalTime = LocalTime { year: 2026, month: 1, day: 15, hour: 9, minute: 31, second: 5 };

/// The bytes of one entry of the data file, from the MTI on, and the message in them.
fn vector(name: &str) -> (Vec<u8>, Message) {
    let block = SYNTHETIC.split("\n== ").find(|block| block.split(' ').next() == Some(name)).unwrap();
    let digits: String = block.lines().filter_map(|line| line.strip_prefix("hex ")).collect();
    let bytes: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let packed = Frame::parse(&bytes[2..]).unwrap().message.clone();
    let message = unpack(&DIALECT, &packed).unwrap();
    (packed, message)
}

/// A bank that has answered the terminal with the keys of B2b, tracks encrypted.
fn bank() -> Bank {
    let mut settings = Config::test().unwrap().bank;
    let rules = &mut Arc::make_mut(&mut settings.profile).keys;
    (rules.sign_on, rules.track_encryption) = (SignOnKeys::TdesTracks, true);
    let block = vector("B2b").1.bytes(De::PRIVATE_62).unwrap().to_vec();
    let keys = WorkingKeys::open_by(&MasterKey::from_bytes(TEST_TMK), &block, *rules).unwrap();
    let mut bank = Bank::new(settings, Ledger::open(None).unwrap());
    bank.sessions.insert("10000001", keys);
    bank
}

fn code(bank: &mut Bank, (packed, message): &(Vec<u8>, Message)) -> String {
    let answer = bank.answer(message, packed, &Wish::default(), NOW).unwrap();
    answer.message.text(De::RESPONSE_CODE).unwrap().to_owned()
}

/// Sign-on B1 is answered with the elements of B2, and its keys open under the master key.
#[test]
fn the_published_form_of_a_sign_on_is_answered_in_the_published_form() {
    let (packed, request) = vector("B1");
    let mut bank = Bank::new(Config::test().unwrap().bank, Ledger::open(None).unwrap());
    let answer = bank.answer(&request, &packed, &Wish::default(), NOW).unwrap();
    let elements = |message: &Message| message.fields().map(|(de, _)| de.number()).collect::<Vec<_>>();
    let published = vector("B2").1;
    assert_eq!(elements(&answer.message), elements(&published));
    for de in [De::STAN, De::TERMINAL, De::MERCHANT, De::PRIVATE_60, De::RESPONSE_CODE, De::ACQUIRER] {
        assert_eq!(answer.message.text(de), published.text(de), "{de}");
    }
    let block = answer.message.bytes(De::PRIVATE_62).unwrap();
    assert_eq!(block.len(), 40);
    assert!(WorkingKeys::open(&MasterKey::from_bytes(TEST_TMK), block).is_ok());
    assert!(answer.keys.is_none(), "a sign-on has no MAC");
}

/// Sale B3 with its PIN block and MAC is approved, then its reversal B7 is done; a bent MAC is refused.
#[test]
fn the_synthetic_sale_and_its_reversal_are_believed() {
    let mut bank = bank();
    let (sale, reversal) = (vector("B3"), vector("B7"));
    let mut bent = sale.clone();
    *bent.0.last_mut().unwrap() ^= 1;
    assert_eq!(code(&mut bank, &bent), "A0");
    assert_eq!(bank.ledger.rows().len(), 0);
    assert_eq!(code(&mut bank, &sale), "00");
    assert_eq!(bank.ledger.held(), (1000, 1));
    assert_eq!(code(&mut bank, &reversal), "00");
    assert_eq!(bank.ledger.held(), (0, 0));
    assert_eq!(code(&mut bank, &sale), "94");
}

/// The answer to B3 has the elements of B4 (the expiry aside, which a swiped request does not tell) and
/// a MAC.
#[test]
fn an_approval_has_the_elements_of_the_published_form() {
    let mut bank = bank();
    let (packed, request) = vector("B3");
    let answer = bank.answer(&request, &packed, &Wish::default(), NOW).unwrap();
    let mut elements: Vec<u8> = answer.message.fields().map(|(de, _)| de.number()).collect();
    elements.push(De::MAC.number());
    let published: Vec<u8> = vector("B4").1.fields().map(|(de, _)| de.number()).collect();
    assert_eq!(elements, published.into_iter().filter(|de| *de != 14).collect::<Vec<_>>());
    assert!(answer.keys.is_some());
    let reversal = vector("B7");
    let answer = bank.answer(&reversal.1, &reversal.0, &Wish::default(), NOW).unwrap();
    let elements: Vec<u8> = answer.message.fields().map(|(de, _)| de.number()).collect();
    let published: Vec<u8> = vector("B8").1.fields().map(|(de, _)| de.number()).collect();
    assert_eq!(elements, published.into_iter().filter(|de| *de != 64).collect::<Vec<_>>());
}

/// Code sales are no requests that it speaks.
#[test]
fn what_it_does_not_speak_is_refused_with_40() {
    let mut bank = bank();
    assert_eq!(code(&mut bank, &vector("B34")), "40");
    assert_eq!(bank.ledger.held(), (0, 0));
}

/// A row as if it had been booked, of the card of the vectors.
fn booked(bank: &mut Bank, business: Business, stan: u32, amount: u64, names: (&str, &str, &str)) {
    let key = Key { terminal: "10000001".to_owned(), batch: 1, stan };
    let money = i64::try_from(amount).unwrap();
    let (takes, reserves) = if business == Business::PreAuth { (0, money) } else { (money, 0) };
    let row = Row {
        booked: amount,
        takes,
        reserves,
        state: Effect::Held,
        rrn: names.0.to_owned(),
        auth_code: names.1.to_owned(),
        date: names.2.to_owned(),
        card: bank.fingerprint(&Pan::new("6225880012345678").unwrap()),
        repeats: BTreeMap::from([(42, "102100058120001".to_owned())]),
        ..Row::new(key, business, amount)
    };
    bank.ledger.enter(row).unwrap();
}

/// The follow-ups of the vectors: each is refused with 25 without its original, and booked with it.
#[test]
fn the_synthetic_follow_ups_find_their_originals() {
    let cases = [
        ("B10", Business::Sale, 99, 500, ("093000990011", "A00001", "0114"), (0, 0)),
        ("B12", Business::PreAuth, 6, 50_000, ("093300000006", "B00001", "0115"), (45_000, 0)),
        ("B13", Business::PreAuth, 6, 50_000, ("093300000006", "B00001", "0115"), (45_000, 0)),
        ("B15", Business::PreAuthComplete, 7, 45_000, ("093400000007", "B00002", "0115"), (0, 0)),
    ];
    for (name, business, stan, amount, names, (taken, reserved)) in cases {
        assert_eq!(code(&mut bank(), &vector(name)), "25", "{name}");
        let mut bank = bank();
        booked(&mut bank, business, stan, amount, names);
        assert_eq!(code(&mut bank, &vector(name)), "00", "{name}");
        assert_eq!(bank.ledger.rows().iter().map(Row::net).sum::<i64>(), taken, "{name}");
        assert_eq!(bank.ledger.rows().iter().map(Row::reserved).sum::<i64>(), reserved, "{name}");
    }
    let mut bank = bank();
    assert_eq!(code(&mut bank, &vector("B11")), "00");
    assert_eq!(
        bank.ledger.row(&Key { terminal: "10000001".to_owned(), batch: 1, stan: 6 }).unwrap().reserved(),
        50_000
    );
    assert_eq!(code(&mut bank, &vector("B5")), "05", "its cryptogram is invented");
}

/// Balance B16 is answered in the form of B17, and what is taken is missing from it.
#[test]
fn the_balance_is_told_in_the_published_form() {
    let mut bank = bank();
    assert_eq!(code(&mut bank, &vector("B3")), "00");
    let (packed, request) = vector("B16");
    let answer = bank.answer(&request, &packed, &Wish::default(), NOW).unwrap();
    let mut elements: Vec<u8> = answer.message.fields().map(|(de, _)| de.number()).collect();
    elements.push(De::MAC.number());
    assert_eq!(elements, vector("B17").1.fields().map(|(de, _)| de.number()).collect::<Vec<_>>());
    assert_eq!(answer.message.text(De::BALANCE), Some("1002156C000009999000"));
    assert_eq!(bank.ledger.held(), (1000, 1), "an inquiry moves nothing");
}

/// Script result B19 is believed once its sale is known, and again when it is repeated.
#[test]
fn the_synthetic_script_result_is_believed() {
    let mut bank = bank();
    assert_eq!(code(&mut bank, &vector("B19")), "25");
    let mut bank = self::bank();
    booked(&mut bank, Business::Sale, 3, 1000, ("093205000003", "A12346", "0115"));
    for _ in 0..2 {
        assert_eq!(code(&mut bank, &vector("B19")), "00");
    }
    let rows = bank.ledger.rows();
    assert_eq!((rows[1].state, rows[1].requests_seen), (Effect::Noted, 2));
    assert_eq!(bank.ledger.held(), (1000, 1));
}

/// The settlement of the vectors: totals that disagree, the detail, its end; and one that agrees.
#[test]
fn the_synthetic_settlement_is_answered_in_the_published_form() {
    let mut bank = bank();
    assert_eq!(code(&mut bank, &vector("B22")), "12", "no totals came yet");
    booked(&mut bank, Business::Sale, 3, 1000, ("093205000003", "A12346", "0115"));
    let totals = |bank: &mut Bank| {
        let (packed, request) = vector("B20");
        bank.answer(&request, &packed, &Wish::default(), NOW).unwrap().message
    };
    let published = vector("B21").1;
    bank.settings.totals_without_code = true;
    let answer = totals(&mut bank);
    let elements = |message: &Message| message.fields().map(|(de, _)| de.number()).collect::<Vec<_>>();
    assert_eq!(elements(&answer), elements(&published));
    assert_eq!(answer.text(De::ADDITIONAL_DATA), published.text(De::ADDITIONAL_DATA));
    for name in ["B22", "B23", "B24"] {
        assert_eq!(code(&mut bank, &vector(name)), "00", "{name}");
    }
    let batch = bank.ledger.batches().remove(0);
    assert_eq!((batch.details.len(), batch.end), (3, Some((3, false))));
    assert_eq!(batch.trouble, ["record 2 is not in the books", "record 4 is not in the books"]);
    assert_eq!(code(&mut bank, &vector("B3")), "77", "the batch is over");

    let mut bank = self::bank();
    booked(&mut bank, Business::Sale, 3, 1000, ("1", "A", "0115"));
    booked(&mut bank, Business::Sale, 2, 1000, ("2", "A", "0115"));
    booked(&mut bank, Business::Void, 4, 1000, ("3", "A", "0115"));
    let answer = totals(&mut bank);
    let verdicts = answer.text(De::ADDITIONAL_DATA).unwrap();
    assert_eq!((verdicts.as_bytes()[30], verdicts.as_bytes()[61]), (b'1', b'1'));
    assert_eq!(answer.text(De::RESPONSE_CODE), Some("00"));
}

/// The end of the detail is answered with the elements of B25.
#[test]
fn the_end_is_answered_in_the_published_form() {
    let mut bank = bank();
    let (packed, request) = vector("B20");
    bank.answer(&request, &packed, &Wish::default(), NOW).unwrap();
    let (packed, request) = vector("B24");
    let answer = bank.answer(&request, &packed, &Wish::default(), NOW).unwrap().message;
    let elements = |message: &Message| message.fields().map(|(de, _)| de.number()).collect::<Vec<_>>();
    assert_eq!(elements(&answer), elements(&vector("B25").1));
}

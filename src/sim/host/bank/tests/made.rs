//! The bank's rules on messages made here: the vectors changed and signed anew.
use super::*;
use crate::domain::unionpay::mac::pack_signed;

/// A terminal of the vectors that asks for anything.
struct Till {
    bank: Bank,
    stan: u32,
}

/// What an answer said: code, RRN, authorisation code.
type Said = (String, String, String);

impl Till {
    fn new() -> Self {
        Self { bank: bank(), stan: 100 }
    }

    fn send(&mut self, mut request: Message, wish: &Wish) -> Message {
        let keys = self.bank.sessions.of("10000001");
        request.remove(De::MAC);
        let packed = pack_signed(&DIALECT, &mut request, &keys).unwrap();
        let request = unpack(&DIALECT, &packed).unwrap();
        self.bank.answer(&request, &packed, wish, NOW).unwrap().message
    }

    fn ask(&mut self, request: &Message) -> Said {
        let answer = self.send(request.clone(), &Wish::default());
        let text = |de| answer.text(de).unwrap_or_default().to_owned();
        (text(De::RESPONSE_CODE), text(De::RRN), text(De::AUTH_CODE))
    }

    /// A vector under the next number, with another amount.
    fn like(&mut self, name: &str, amount: u64) -> Message {
        self.stan += 1;
        let mut request = vector(name).1;
        request.set(De::STAN, format!("{:06}", self.stan));
        if request.has(De::AMOUNT) {
            request.set(De::AMOUNT, format!("{amount:012}"));
        }
        request
    }

    fn sale(&mut self, amount: u64) -> (u32, Said) {
        let request = self.like("B3", amount);
        let said = self.ask(&request);
        (self.stan, said)
    }

    /// A void of a sale, swiped and without PIN.
    fn void(&mut self, of: u32, rrn: &str, amount: u64) -> Message {
        let mut request = self.like("B10", amount);
        request.remove(De::PRIVATE_63);
        let mut void = Message::new("0200");
        for (de, value) in request.fields() {
            void.set(de, value);
        }
        void.set(De::RRN, rrn).set(De::ORIGINAL, format!("000001{of:06}"));
        void.set(De::PRIVATE_60, "23000001000500");
        void
    }

    /// The reversal of a request that came without PIN or as the vectors have it.
    fn reversal(request: &Message, original: Option<String>) -> Message {
        let mut reversal = Message::new("0400");
        for (de, value) in request.fields() {
            let kept = [3, 4, 11, 22, 25, 41, 42, 49, 60].contains(&de.number());
            if kept {
                reversal.set(de, value);
            }
        }
        reversal.set_some(De::ORIGINAL, original).set(De::RESPONSE_CODE, "98");
        reversal
    }

    fn refund(&mut self, rrn: &str, amount: u64) -> Message {
        let mut request = self.like("B10", amount);
        request.set(De::RRN, rrn).set(De::ORIGINAL, "0000000000000115");
        request
    }

    fn money(&self) -> (i64, i64) {
        let rows = self.bank.ledger.rows();
        (rows.iter().map(Row::net).sum(), rows.iter().map(Row::reserved).sum())
    }
}

fn code_of(said: &Said) -> &str {
    &said.0
}

/// Every element of the vectors that must be there is missed, and every element that must not is refused, with 30.
#[test]
fn a_request_that_breaks_the_matrix_is_refused_with_30() {
    for name in ["B3", "B7", "B10", "B11", "B12", "B13", "B15", "B16", "B19"] {
        let whole = vector(name).1;
        let elements: Vec<De> = whole.fields().map(|(de, _)| de).collect();
        // Left out: what may be left out, and what a request is not recognised or not believed without.
        let free =
            [De::PAN, De::EXPIRY, De::CARD_SEQUENCE, De::TRACK2, De::AUTH_CODE, De::SECURITY, De::PRIVATE_63];
        let named = [De::TERMINAL, De::MERCHANT, De::PRIVATE_60, De::MAC];
        for de in elements.iter().filter(|de| !free.contains(de) && !named.contains(de)) {
            let mut till = Till::new();
            let mut request = whole.clone();
            request.remove(*de);
            let said = till.ask(&request);
            assert_eq!(code_of(&said), "30", "{name} without {de}");
        }
        for (de, value) in
            [(De::TIME, "093000"), (De::DATE, "0115"), (De::BALANCE, "1"), (De::PRIVATE_62, "1")]
        {
            let mut till = Till::new();
            let mut request = whole.clone();
            request.set(de, value);
            assert_eq!(code_of(&till.ask(&request)), "30", "{name} with {de}");
        }
    }
}

/// A void wants its original, its RRN, its amount and its card; it works once, and its reversal puts the sale back.
#[test]
fn a_void_undoes_its_sale_once() {
    let mut till = Till::new();
    let (of, sale) = till.sale(1000);
    let bad = [
        (till.void(of + 50, &sale.1, 1000), "25"),
        (till.void(of, "000000000000", 1000), "25"),
        (till.void(of, &sale.1, 999), "64"),
    ];
    for (request, refused) in bad {
        assert_eq!(code_of(&till.ask(&request)), refused);
    }
    let mut other = till.void(of, &sale.1, 1000);
    other.set(De::TRACK2, "6225880012345679D3012AE7DA363F24A4D78");
    assert_eq!(code_of(&till.ask(&other)), "14");
    let void = till.void(of, &sale.1, 1000);
    let number = till.stan;
    assert_eq!(code_of(&till.ask(&void)), "00");
    assert_eq!(till.money(), (0, 0));
    let again = till.void(of, &sale.1, 1000);
    assert_eq!(code_of(&till.ask(&again)), "12");
    let refund = till.refund(&sale.1, 100);
    assert_eq!(code_of(&till.ask(&refund)), "12", "a voided sale is not refunded");
    let shapeless = Till::reversal(&void, None);
    assert_eq!(code_of(&till.ask(&shapeless)), "30", "DE 61 has the void's own numbers");
    let reversal = Till::reversal(&void, Some(format!("000001{number:06}")));
    assert_eq!(code_of(&till.ask(&reversal)), "00");
    assert_eq!(till.money(), (1000, 0), "the sale stands again");
    let void = till.void(of, &sale.1, 1000);
    assert_eq!(code_of(&till.ask(&void)), "00");
}

/// Refunds of one sale add up to its amount at most; a reversal does not exist for them.
#[test]
fn refunds_are_summed_against_the_original() {
    let mut till = Till::new();
    let (of, sale) = till.sale(1000);
    for (amount, expected) in [(600, "00"), (401, "64"), (400, "00"), (1, "64")] {
        let refund = till.refund(&sale.1, amount);
        assert_eq!(code_of(&till.ask(&refund)), expected, "{amount}");
    }
    assert_eq!(till.money(), (0, 0));
    let void = till.void(of, &sale.1, 1000);
    assert_eq!(code_of(&till.ask(&void)), "12");
    let refund = till.refund(&sale.1, 1);
    let reversal = Till::reversal(&refund, None);
    assert_eq!(code_of(&till.ask(&reversal)), "40");
    let mut elsewhen = till.refund(&sale.1, 1);
    elsewhen.set(De::ORIGINAL, "0000000000000114");
    assert_eq!(code_of(&till.ask(&elsewhen)), "25");
}

/// A pre-authorisation sets aside, its completion takes at most 115 % and frees the rest, and the undo of the
/// completion brings it back.
#[test]
fn a_pre_authorisation_lives_through_its_completion() {
    let mut till = Till::new();
    let request = till.like("B11", 1000);
    let (pre_code, _, auth) = till.ask(&request);
    assert_eq!((pre_code.as_str(), till.money()), ("00", (0, 1000)));
    let complete = |till: &mut Till, amount| {
        let mut request = till.like("B12", amount);
        request.set(De::AUTH_CODE, &auth);
        request
    };
    let more = complete(&mut till, 1151);
    assert_eq!(code_of(&till.ask(&more)), "64");
    let request = complete(&mut till, 1150);
    let completed = till.stan;
    let (done, rrn, own) = till.ask(&request);
    assert_eq!((done.as_str(), till.money()), ("00", (1150, 0)));
    let again = complete(&mut till, 10);
    assert_eq!(code_of(&till.ask(&again)), "12");
    let mut undo = till.like("B15", 1150);
    undo.set(De::RRN, &rrn).set(De::AUTH_CODE, &own).set(De::ORIGINAL, format!("000001{completed:06}0115"));
    assert_eq!((code_of(&till.ask(&undo)), till.money()), ("00", (0, 1000)));
    let reversal = Till::reversal(&undo, Some(format!("000001{:06}0000", till.stan)));
    assert_eq!((code_of(&till.ask(&reversal)), till.money()), ("00", (1150, 0)));
}

/// What is told is booked once; its repetition hears 94 and the references of the first, or the refusal again.
#[test]
fn an_advice_that_is_repeated_is_recognised() {
    let mut till = Till::new();
    let request = till.like("B11", 1000);
    let auth = till.ask(&request).2;
    let mut advice = till.like("B13", 900);
    advice.set(De::AUTH_CODE, &auth);
    let (first, rrn, own) = till.ask(&advice);
    assert_eq!(first, "00");
    assert_eq!(till.ask(&advice), ("94".to_owned(), rrn, own));
    assert_eq!(till.money(), (900, 0));
    let mut unknown = till.like("B13", 900);
    unknown.set(De::AUTH_CODE, "ZZZZZZ");
    for _ in 0..2 {
        assert_eq!(code_of(&till.ask(&unknown)), "25");
    }
    let reversal = Till::reversal(&advice, None);
    assert_eq!(code_of(&till.ask(&reversal)), "40", "an advice is not reversed");
}

/// A rule's wishes: a part of the amount, which counts from then on, and another code.
#[test]
fn a_partial_approval_books_the_part() {
    let mut till = Till::new();
    let request = till.like("B3", 1000);
    let of = till.stan;
    let answer = till.send(request, &Wish { partial: Some(400), ..Wish::default() });
    assert_eq!(answer.text(De::RESPONSE_CODE), Some("10"));
    assert_eq!((answer.text(De::AMOUNT), till.money()), (Some("000000000400"), (400, 0)));
    let rrn = answer.text(De::RRN).unwrap().to_owned();
    let whole = till.void(of, &rrn, 1000);
    assert_eq!(code_of(&till.ask(&whole)), "64");
    let part = till.void(of, &rrn, 400);
    assert_eq!((code_of(&till.ask(&part)), till.money()), ("00", (0, 0)));
    let request = till.like("B3", 1000);
    let answer = till.send(request, &Wish { decline: Some("91".to_owned()), ..Wish::default() });
    assert_eq!(answer.text(De::RESPONSE_CODE), Some("91"));
}

/// Cards of other schemes, and cards that are set to be foreign, are settled apart.
#[test]
fn foreign_cards_are_counted_apart() {
    let mut till = Till::new();
    till.sale(1000);
    till.bank.settings.foreign = vec![Pan::new("6225880012345678").unwrap()];
    let request = till.like("B3", 70);
    let answer = till.send(request, &Wish::default());
    assert_eq!(answer.text(De::PRIVATE_63), Some("VIS"));
    let mut totals = vector("B20").1;
    let half = |amount: u64| format!("{amount:012}001{:015}0", 0);
    totals.set(De::ADDITIONAL_DATA, half(1000) + &half(70));
    let packed = crate::domain::iso8583::pack(&DIALECT, &totals).unwrap();
    let answer = till.bank.answer(&totals, &packed, &Wish::default(), NOW).unwrap().message;
    let verdicts = answer.text(De::ADDITIONAL_DATA).unwrap().to_owned();
    assert_eq!((verdicts.as_bytes()[30], verdicts.as_bytes()[61]), (b'1', b'1'), "{verdicts}");
}

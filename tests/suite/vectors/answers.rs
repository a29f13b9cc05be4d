//! Answers: what they bring, and which of them are believed.
use super::*;

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
}

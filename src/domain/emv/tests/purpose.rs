//! What a conversation is for decides what the terminal asks for: the bank's word, the card's own, or only who it is.
use super::super::params::Purpose;
use super::*;

fn with(purpose: Purpose) -> TxnParams {
    TxnParams { purpose, ..params() }
}

/// The card that wants no PIN, so that it could also decide alone.
fn signs() -> TestCard {
    TestCard::new().with(0x8E, "00000000 00000000 1E03")
}

/// A terminal that lets small amounts pass: action codes and floor limit want the bank for nothing.
fn lenient() -> EmvConfig {
    let mut config = config();
    for entry in &mut config.aids {
        entry.tac_online = [0; 5];
        entry.tac_default = [0; 5];
        entry.floor_limit = 1_000_000;
        entry.random_threshold = 999_999;
    }
    config
}

fn lenient_card() -> TestCard {
    signs().with(0x9F0F, "0000000000").with(0x9F0D, "0000000000")
}

/// Reading ends with the records: no PIN, no cryptogram, but number, track and expiry.
#[test]
fn a_card_that_is_only_read_makes_no_cryptogram() {
    let talk = Talk::until_read(&TestCard::new(), &config(), with(Purpose::Read));
    let conclusion = talk.ends();
    assert_eq!(conclusion.verdict, Verdict::Read);
    let card = conclusion.card.unwrap();
    assert_eq!((card.pan.masked().as_str(), card.expiry.as_deref()), (MASKED, Some("2912")));
    assert!(card.track2.is_some());
    assert_eq!(card.tags.value(Tag::CRYPTOGRAM), None);
}

/// Where card and terminal would agree without the bank, a terminal that may store nothing asks it all the same and
/// says so in the TVR (byte 4, bit 4).
#[test]
fn a_terminal_that_may_store_nothing_forces_the_bank() {
    let first = |purpose| {
        let talk = Talk::until_first_ac(&lenient_card(), &lenient(), with(purpose));
        let Output::Transmit(command) = &talk.output else { panic!("{:?}", talk.output) };
        (command.p1, command.data[14..19].to_vec())
    };
    assert_eq!(first(Purpose::Pay), (0x40, vec![0x80, 0, 0, 0, 0]));
    assert_eq!(first(Purpose::PayOnline), (0x80, vec![0x80, 0, 0, 0x08, 0]));
}

/// A PIN for the bank is never left unasked: the first cryptogram is an ARQC, typed or not.
#[test]
fn a_card_that_wants_a_pin_for_the_bank_goes_to_the_bank() {
    let card = TestCard::new().with(0x9F0F, "0000000000").with(0x9F0D, "0000000000");
    for result in [PinResult::Entered, PinResult::Bypassed, PinResult::NotAvailable] {
        let talk =
            Talk::until_read(&card, &lenient(), with(Purpose::Pay)).gives(Input::PinDone(result.clone()));
        let Output::Transmit(command) = &talk.output else { panic!("{:?}", talk.output) };
        assert_eq!(command.p1, 0x80, "{result:?}");
    }
}

/// Without the bank only a TC counts: it is asked for although the online codes want the bank, with 8A = Y1.
#[test]
fn a_sale_without_the_bank_takes_a_tc_only() {
    let talk = Talk::until_first_ac(&signs(), &config(), with(Purpose::PayOffline));
    let Output::Transmit(command) = &talk.output else { panic!("{:?}", talk.output) };
    assert_eq!(command.p1, 0x40);
    let approved = talk.gives(answer(TC, 0x9000)).ends();
    assert_eq!(approved.verdict, Verdict::Approved);
    assert_eq!(approved.card.unwrap().tags.value(Tag::RESPONSE_CODE), Some(&b"Y1"[..]));
    let declined = Talk::until_first_ac(&signs(), &config(), with(Purpose::PayOffline));
    assert_eq!(declined.gives(answer(AAC, 0x9000)).ends().verdict, Verdict::DeclinedOffline);
}

/// A card that wants the bank gets its second GENERATE AC, as EMV has it, and is declined: 8A = Z3.
#[test]
fn a_sale_without_the_bank_is_declined_when_the_card_wants_the_bank() {
    let talk = Talk::until_first_ac(&signs(), &config(), with(Purpose::PayOffline));
    let talk = talk.gives(answer(ARQC, 0x9000));
    let Output::Transmit(command) = &talk.output else { panic!("{:?}", talk.output) };
    assert_eq!((command.ins, command.p1), (0xAE, 0x00));
    let conclusion = talk.gives(answer(AAC, 0x9000)).ends();
    assert_eq!(conclusion.verdict, Verdict::DeclinedUnableOnline);
    assert_eq!(conclusion.card.unwrap().tags.value(Tag::RESPONSE_CODE), Some(&b"Z3"[..]));
}

/// What the terminal or the issuer denies is denied, whatever it is for.
#[test]
fn denial_comes_first() {
    let mut config = config();
    config.aids.iter_mut().for_each(|entry| entry.tac_denial = [0x80, 0, 0, 0, 0]);
    for purpose in [Purpose::Pay, Purpose::PayOnline, Purpose::PayOffline] {
        let talk = Talk::until_first_ac(&signs(), &config, with(purpose));
        let Output::Transmit(command) = &talk.output else { panic!("{:?}", talk.output) };
        assert_eq!(command.p1, 0x00, "{purpose:?}");
    }
}

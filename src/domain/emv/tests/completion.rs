//! From the decision to the end: what a card is told and may answer, bit by bit, where whole conversations do not look.
use super::*;
use sha1::{Digest, Sha1};

fn sent(talk: &Talk) -> String {
    match &talk.output {
        Output::Transmit(command) => bytes(command),
        other => panic!("a command was expected, {other:?} came"),
    }
}

/// A terminal and a card that let a sale pass without the bank.
fn alone() -> (TestCard, EmvConfig) {
    let mut config = config();
    (config.aids[0].floor_limit, config.aids[0].random_threshold) = (100_000, 99_999);
    config.aids[0].tac_online = [0; 5];
    let card = TestCard::new().with(0x8E, "00000000 00000000 1E03").with(0x9F0F, "0000000000");
    (card, config)
}

/// The TC hash: over the card's own list, else over nothing, and then the TVR says so in time for the action codes.
#[test]
fn a_tc_hash_is_over_the_list_of_the_card() {
    let card = TestCard::new().with(0x8C, "9505 9814").with(0x8D, "8A02 9814");
    let hash = |data: &str| hex(&Sha1::digest(unhex(data)));
    let listed = Talk::until_first_ac(&card.clone().with(0x97, "9F0206 9A03"), &config(), params());
    let expected = hash("000000001250 261122");
    assert_eq!(sent(&listed), format!("80AE80001980000480 00{expected}00").replace(' ', ""));
    let second = listed.gives(answer(ARQC, 0x9000)).gives(host(true));
    assert_eq!(sent(&second), format!("80AE4000163030{expected}00"));
    let bare = Talk::until_first_ac(&card, &config(), params());
    assert_eq!(sent(&bare), format!("80AE8000198000048080{}00", hash("")));
    let mut denies = config();
    denies.aids[0].tac_denial = [0, 0, 0, 0, 0x80];
    assert!(sent(&Talk::until_first_ac(&card, &denies, params())).starts_with("80AE0000"));
    let broken = Talk::until_read(&card.with(0x97, "9F02"), &config(), params());
    let error = broken.breaks(Input::PinDone(PinResult::Entered)).to_string();
    assert!(error.starts_with("first GENERATE AC"), "{error}");
}

/// A TC was asked, the card wants the bank: the bank's code, not "approved offline", is the response code from then on.
#[test]
fn a_card_that_wants_the_bank_takes_the_offline_word_back() {
    let (card, config) = alone();
    let talk = Talk::until_first_ac(&card, &config, params());
    assert_eq!(talk.tag(Tag::RESPONSE_CODE).as_deref(), Some("5931"));
    let talk = talk.gives(answer(ARQC, 0x9000));
    assert_eq!(talk.tag(Tag::RESPONSE_CODE), None);
    assert_eq!(talk.gives(host(true)).tag(Tag::RESPONSE_CODE).as_deref(), Some("3030"));
}

/// No status word but 9000 answers GENERATE AC, the first or the second.
#[test]
fn a_cryptogram_comes_with_9000_only() {
    for status in [0x6985, 0x6984, 0x6A88, 0x6F00, 0x6283, 0x6700] {
        let first = Talk::until_first_ac(&TestCard::new(), &config(), params());
        assert_eq!(
            first.breaks(answer("", status)),
            KernelError::Status { phase: "first GENERATE AC", status }
        );
        let second = Talk::until_host(&TestCard::new()).gives(host(true));
        let error = KernelError::Status { phase: "second GENERATE AC", status };
        assert_eq!(second.breaks(answer("", status)), error);
    }
}

/// EXTERNAL AUTHENTICATE goes out once, and only where the AIP offers it; whatever it answers, the card decides.
#[test]
fn the_issuer_is_authenticated_once_where_the_card_offers_it() {
    let bank = || host_with(true, Some("0011223344556677"), &[]);
    for (status, tvr) in [(0x9000, "8000048000"), (0x6300, "8000048040"), (0x6985, "8000048040")] {
        let talk = Talk::until_host(&TestCard::new()).gives(bank());
        let talk = talk.refused("00820000 08 0011223344556677", "", status);
        talk.expects(&format!("80AE4000 14 3030 0011223344556677 {tvr} 7800 420300 00"));
    }
    let silent = TestCard { aip: "7800", ..TestCard::new() };
    assert!(sent(&Talk::until_host(&silent).gives(bank())).starts_with("80AE4000"));
    assert!(sent(&Talk::until_host(&TestCard::new()).gives(host(true))).starts_with("80AE4000"));
}

/// The order: issuer authentication, scripts 71, second cryptogram, scripts 72. A declining bank's scripts run all the
/// same.
#[test]
fn scripts_run_at_their_place_whatever_the_bank_says() {
    let script =
        |template: u32, id: &str, command: &str| tlv(template, &(tlv(0x9F18, id) + &tlv(0x86, command)));
    let (after, before) = (script(0x72, "00000072", "84160000"), script(0x71, "00000071", "84180000"));
    for approved in [true, false] {
        let bank = host_with(approved, Some("0011223344556677"), &[&after, &before]);
        let talk = Talk::until_host(&TestCard::new().with(0x8D, "9505 9B02"))
            .gives(bank)
            .line("00820000 08 0011223344556677", "")
            .line("84180000", "");
        let talk = if approved {
            talk.line("80AE4000 07 8000048000 7C00 00", TC)
        } else {
            talk.line("80AE0000 07 8000048000 7C00 00", AAC)
        };
        let talk = talk.line("84160000", "");
        let results = "20000000712000000072";
        assert_eq!(talk.tag(Tag::UNIONPAY_SCRIPT_RESULTS).as_deref(), Some(results));
        let expected = if approved { Verdict::Approved } else { Verdict::DeclinedOnline };
        assert_eq!(verdict(talk).0, expected);
    }
}

/// After a failed command the rest of its script is left out, the next script runs; the fifteenth command and later
/// ones are told as 15.
#[test]
fn a_failed_command_ends_its_script_only() {
    let many = tlv(0x72, &tlv(0x86, "84180000").repeat(16));
    let next = tlv(0x72, &(tlv(0x9F18, "00000002") + &tlv(0x86, "84160000")));
    let mut talk = Talk::until_host(&TestCard::new()).gives(host_with(true, None, &[&many, &next]));
    talk = talk.gives(answer(TC, 0x9000));
    for _ in 1..16 {
        talk = talk.refused("84180000", "", 0x6200);
    }
    let talk = talk.refused("84180000", "", 0x6982).line("84160000", "");
    assert_eq!(talk.tag(Tag::SCRIPT_RESULTS).as_deref(), Some("1F000000002000000002"));
    assert_eq!(talk.tag(Tag::TVR).as_deref(), Some("8000048010"));
}

/// The results of a conversation at each of its steps, none before its time.
#[test]
fn tvr_and_tsi_are_exact_at_every_step() {
    let card = TestCard::new().with(0x9F08, "0030").with(0x9F14, "02").with(0x9F23, "04");
    let results = |talk: &Talk| (talk.tag(Tag::TVR).unwrap(), talk.tag(Tag::TSI).unwrap());
    let at = |tvr: &str, tsi: &str| (tvr.to_owned(), tsi.to_owned());
    let talk = Talk::until_read(&card, &config(), params());
    assert_eq!(results(&talk), at("8080000000", "0000"), "the PIN is asked");
    let talk = talk.gives(Input::PinDone(PinResult::Entered));
    assert_eq!(results(&talk), at("8080048000", "4800"), "a counter is asked");
    let talk = talk.line("80CA9F3600", "9F36020019").line("80CA9F1300", "9F13020010");
    assert_eq!(results(&talk), at("808004E000", "4800"), "the first cryptogram is asked");
    let talk = talk.gives(answer(ARQC, 0x9000));
    assert_eq!(results(&talk), at("808004E000", "6800"), "the bank is asked");
    let script = tlv(0x71, &tlv(0x86, "84180000"));
    let talk = talk.gives(host_with(true, Some("0011223344556677"), &[&script]));
    assert_eq!(results(&talk), at("808004E000", "6800"), "the issuer is authenticated");
    let talk = talk.gives(answer("", 0x6300));
    assert_eq!(results(&talk), at("808004E040", "7C00"), "a script runs");
    let talk = talk.gives(answer("", 0x6985));
    assert_eq!(results(&talk), at("808004E060", "7C00"), "the second cryptogram is asked");
    let talk = talk.gives(answer(TC, 0x9000));
    assert_eq!(results(&talk), at("808004E060", "7C00"), "the end");
}

//! Conversations with the made-up card of the parent, one rule each.
use super::*;

/// A list of methods with signature only: no PIN that would want the bank.
const SIGNATURE: &str = "00000000 00000000 1E03";

const APPROVED: fn() -> (Verdict, Option<String>) = || (Verdict::Approved, Some(MASKED.to_owned()));

/// A sale through the directory, online PIN, host approves: every byte of every command.
#[test]
fn a_sale_goes_through_directory_pin_host_and_second_cryptogram() {
    let card = TestCard::new();
    let talk = Talk::until_read(&card, &config(), params());
    let Output::AskPin(asked) = &talk.output else { panic!("{:?}", talk.output) };
    assert_eq!((asked.card.pan.masked().as_str(), asked.card.cvm), (MASKED, CvmMethod::NoCvm));
    let talk = talk.gives(Input::PinDone(PinResult::Entered));
    // TVR: no offline authentication, online PIN entered, over the floor limit.
    let talk =
        talk.line("80AE8000 1D 000000001250 000000000000 0156 8000048000 0156 261122 00 DEADBEEF 00", ARQC);
    let Output::GoOnline(online) = &talk.output else { panic!("{:?}", talk.output) };
    assert_eq!((online.label.as_str(), online.cvm), ("UNIONPAY DEBIT", CvmMethod::OnlinePin));
    assert_eq!((online.expiry.as_deref(), online.sequence), (Some("2912"), Some(1)));
    let expected = [
        (Tag::CRYPTOGRAM, "1122334455667788"),
        (Tag::CID, "80"),
        (Tag::IAD, "07010103A00000"),
        (Tag::UNPREDICTABLE_NUMBER, "DEADBEEF"),
        (Tag::ATC, "0001"),
        (Tag::TVR, "8000048000"),
        (Tag::TSI, "6800"),
        (Tag::DATE, "261122"),
        (Tag::TRANSACTION_TYPE, "00"),
        (Tag::AMOUNT, "000000001250"),
        (Tag::CURRENCY, "0156"),
        (Tag::AIP, "7C00"),
        (Tag::TERMINAL_COUNTRY, "0156"),
        (Tag::AMOUNT_OTHER, "000000000000"),
        (Tag::CAPABILITIES, "206800"),
        (Tag::CVM_RESULTS, "420300"),
        (Tag::TERMINAL_TYPE, "22"),
        (Tag::DF_NAME, DEBIT),
        (Tag::TERMINAL_VERSION, "0020"),
        (Tag::SEQUENCE_COUNTER, "00000123"),
        (Tag::IFD_SERIAL, "504F534430303031"),
        (Tag::PAN_SEQUENCE, "01"),
    ];
    for (tag, value) in expected {
        assert_eq!(online.tags.value(tag).map(hex).as_deref(), Some(value), "{tag}");
    }
    let talk = talk.gives(host_with(true, Some("0011223344556677"), &[]));
    // The AIP says EXTERNAL AUTHENTICATE.
    let talk = talk.line("00820000 08 0011223344556677", "");
    let talk = talk.line("80AE4000 14 3030 0011223344556677 8000048000 7800 420300 00", TC);
    assert_eq!(talk.tag(Tag::CID).as_deref(), Some("40"));
    assert_eq!(talk.tag(Tag::CRYPTOGRAM).as_deref(), Some("8877665544332211"));
    assert_eq!(talk.tag(Tag::TSI).as_deref(), Some("7800"));
    assert_eq!(talk.tag(Tag::RESPONSE_CODE).as_deref(), Some("3030"));
    assert_eq!(verdict(talk), APPROVED());
}

/// Without a directory the terminal's AIDs are tried; a partial match asks for the next occurrence.
#[test]
fn the_list_of_aids_serves_where_there_is_no_directory() {
    let card = TestCard::new();
    let next = select("A000000333", true);
    let talk = Talk::start(&config(), params())
        .refused(&select_directory(), "", 0x6A82)
        .line(&select("A000000333", false), &card.fci())
        .refused(&next, "", 0x6A82)
        .line(&select(DEBIT, false), &card.fci());
    talk.expects("80A8000002830000");
    // A directory whose record cannot be read leads to the list as well.
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .refused("00B2010C00", "", 0x6985)
        .refused("00B2020C00", "", 0x6A83);
    talk.expects(&select("A000000333", false));
}

/// A whole AID does not match a longer name: the next occurrence may have it. One that was found is not asked for
/// again.
#[test]
fn without_partial_match_only_the_whole_name_counts() {
    let mut config = config();
    config.aids = vec![entry("A000000333", false), entry(DEBIT, false)];
    let card = TestCard::new();
    let talk = Talk::start(&config, params())
        .refused(&select_directory(), "", 0x6A82)
        .line(&select("A000000333", false), &card.fci())
        .refused(&select("A000000333", true), "", 0x6A82)
        .line(&select(DEBIT, false), &card.fci())
        .line(&select(DEBIT, false), &card.fci());
    talk.expects("80A8000002830000");
}

/// Consecutive offline transactions are counted where the card has both limits, with what it tells in the TVR.
#[test]
fn the_counters_of_a_card_with_limits_are_read() {
    let card = TestCard::new().with(0x9F14, "02").with(0x9F23, "04");
    let read = |atc: &str, last: &str| {
        let talk = Talk::until_first_ac(&card, &config(), params()).line("80CA9F3600", atc);
        talk.line("80CA9F1300", last).tag(Tag::TVR)
    };
    assert_eq!(read("9F36020013", "9F13020010").as_deref(), Some("800004C000"));
    assert_eq!(read("9F36020012", "9F13020010").as_deref(), Some("8000048000"));
    assert_eq!(read("9F36020001", "9F13020000").as_deref(), Some("8008048000"));
    assert_eq!(read("", "").as_deref(), Some("800004E000"));
}

/// Two applications are offered by priority; one that was not offered is asked again; the chosen one is
/// selected.
#[test]
fn several_applications_are_offered_by_priority() {
    let debit = TestCard { priority: "02", ..TestCard::new() };
    let credit = TestCard { aid: CREDIT, ..TestCard::new() };
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &debit.directory_record())
        .line("00B2020C00", &credit.directory_record())
        .refused("00B2030C00", "", 0x6A83);
    let offered: Vec<_> = talk.choices().iter().map(|c| (c.aid.to_string(), c.priority)).collect();
    assert_eq!(offered, [(CREDIT.to_owned(), 1), (DEBIT.to_owned(), 2)]);
    let talk = talk.gives(Input::Chosen(aid("A000000004")));
    assert_eq!(talk.choices().len(), 2);
    let talk = talk.gives(Input::Chosen(aid(DEBIT))).line(&select(DEBIT, false), &debit.fci());
    // 6985: the application refuses, and the other one is left.
    let talk = talk.refused("80A8000002830000", "", 0x6985).line(&select(CREDIT, false), &credit.fci());
    // A broken answer gives the application up as well, and then none is left.
    let talk = talk.line("80A8000002830000", "8001");
    assert_eq!(verdict(talk), (Verdict::NotAccepted, None));
}

/// Bit 8 of the priority indicator: never without the cardholder, even if it is the only application.
#[test]
fn an_application_may_want_to_be_confirmed() {
    let card = TestCard { priority: "81", ..TestCard::new() };
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &card.directory_record())
        .refused("00B2020C00", "", 0x6A83);
    assert_eq!(talk.choices().len(), 1);
    talk.gives(Input::Chosen(aid(DEBIT))).expects(&select(DEBIT, false));
}

#[test]
fn a_blocked_card_and_a_blocked_application_end_as_blocked() {
    let talk = Talk::start(&config(), params()).refused(&select_directory(), "", 0x6A81);
    assert_eq!(verdict(talk), (Verdict::Blocked, None));
    let card = TestCard::new();
    let talk = Talk::start(&config(), params())
        .refused(&select_directory(), "", 0x6283)
        .refused(&select("A000000333", false), &card.fci(), 0x6283)
        .refused(&select("A000000333", true), "", 0x6A82);
    assert_eq!(verdict(talk), (Verdict::Blocked, None));
    let talk = Talk::start(&config(), params())
        .refused(&select_directory(), "", 0x6A82)
        .line(&select("A000000333", false), &card.fci())
        .refused(&select("A000000333", true), "", 0x6A82)
        .refused(&select(DEBIT, false), &card.fci(), 0x6283);
    assert_eq!(verdict(talk), (Verdict::Blocked, None));
}

#[test]
fn a_card_of_another_scheme_is_not_accepted() {
    let other = TestCard { aid: "A0000000031010", ..TestCard::new() };
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &other.directory_record())
        .refused("00B2020C00", "", 0x6A83)
        .refused(&select("A000000333", false), "", 0x6A82);
    assert_eq!(verdict(talk), (Verdict::NotAccepted, None));
}

/// The final FCI must name the application that was selected.
#[test]
fn a_card_that_answers_with_another_name_loses_the_application() {
    let card = TestCard::new();
    let other = TestCard { aid: CREDIT, ..TestCard::new() };
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &card.directory_record())
        .refused("00B2020C00", "", 0x6A83)
        .line(&select(DEBIT, false), &other.fci());
    assert_eq!(verdict(talk), (Verdict::NotAccepted, None));
}

/// The PDOL is filled with the terminal's objects; what it does not know is zero. Format 2 is understood.
#[test]
fn a_pdol_is_filled_and_format_2_is_read() {
    let card = TestCard { pdol: "9F3303 9F0206 DF6901 9505 9F1A02", ..TestCard::new() };
    let talk = Talk::start(&config(), params())
        .refused(&select_directory(), "", 0x6A82)
        .line(&select("A000000333", false), &card.fci())
        .refused(&select("A000000333", true), "", 0x6A82)
        .line(&select(DEBIT, false), &card.fci())
        .line("80A80000 13 8311 206800 000000001250 00 0000000000 0156 00", "770A82027C00940408010100");
    talk.expects("00B2010C00");
    let card = TestCard { pdol: "9F33", ..TestCard::new() };
    let talk = Talk::start(&config(), params())
        .line(&select_directory(), &directory())
        .line("00B2010C00", &card.directory_record())
        .refused("00B2020C00", "", 0x6A83)
        .line(&select(DEBIT, false), &card.fci());
    assert_eq!(verdict(talk), (Verdict::NotAccepted, None));
}

/// Records: each defect ends the conversation with an error that names the object and no value.
#[test]
fn defective_records_are_named() {
    let check = |card: TestCard, what: &str| {
        let talk = Talk::start(&config(), params())
            .line(&select_directory(), &directory())
            .line("00B2010C00", &card.directory_record())
            .refused("00B2020C00", "", 0x6A83)
            .line(&select(card.aid, false), &card.fci())
            .line("80A8000002830000", &card.options());
        let error = talk.breaks(answer(&card.record(), 0x9000));
        assert!(error.to_string().contains(what), "{error}");
    };
    check(TestCard::new().without(0x5A), "5A is missing");
    check(TestCard::new().without(0x5F24), "5F24 is missing");
    check(TestCard::new().without(0x8C), "8C is missing");
    check(TestCard::new().without(0x8D), "8D is missing");
    check(TestCard::new().with(0x5A, "6228480000001235"), "57 and 5A disagree");
    check(TestCard::new().with(0x5A, "62284800000012FA"), "5A is malformed");
    check(TestCard::new().with(0x57, "1234"), "57 is malformed");
    check(TestCard::new().with(0x5F24, "291331"), "5F24 is malformed");
    check(TestCard::new().with(0x5F24, "2912"), "5F24 has 2 bytes");
    check(TestCard::new().with(0x5F34, "AA"), "5F34 is malformed");
    check(TestCard::new().with(0x8C, "9F02"), "8C is malformed");
    check(TestCard::new().with(0x8D, "95FF9AFF"), "8D is malformed");
    check(TestCard::new().without(0x8E).with(0x9F0D, "00"), "9F0D has 1 bytes");
    check(TestCard::new().with(0x9F07, "FF"), "9F07 has 1 bytes");
    check(TestCard::new().with(0x8E, "00000000 00000000 42"), "odd length");
    let mut twice = TestCard::new();
    twice.record.push((0x5A, "6228480000001234".to_owned()));
    check(twice, "5A appears twice");
}

/// Nineteen digits, an odd number filled with F, no track 2.
#[test]
fn a_long_card_number_loses_its_filler() {
    let card = TestCard::new().without(0x57).with(0x5A, "6228480000000001234F");
    let talk = Talk::until_host(&card);
    let Output::GoOnline(online) = talk.output else { panic!() };
    assert_eq!(online.pan.reveal(), "6228480000000001234");
    assert_eq!(online.track2, None);
}

#[test]
fn records_cannot_overwrite_the_terminals_objects_nor_the_profile() {
    let card = TestCard::new().with(0x9F02, "000000000001").with(0x95, "0000000000").with(0x82, "0000");
    let talk = Talk::until_first_ac(&card, &config(), params());
    assert_eq!(talk.tag(Tag::AIP).as_deref(), Some("7C00"));
    talk.expects("80AE8000 1D 000000001250 000000000000 0156 8000048000 0156 261122 00 DEADBEEF 00");
}

/// First GENERATE AC: the TVR of each case, and what is asked for.
#[test]
fn restrictions_show_in_the_tvr() {
    let check = |card: TestCard, p1: &str, tvr: &str| {
        let talk = Talk::until_first_ac(&card, &config(), params());
        let command =
            format!("80AE{p1}00 1D 000000001250 000000000000 0156 {tvr} 0156 261122 00 DEADBEEF 00");
        talk.expects(&command);
    };
    check(TestCard::new().with(0x9F08, "0030"), "80", "8080048000");
    check(TestCard::new().with(0x5F24, "261121"), "80", "8040048000");
    check(TestCard::new().with(0x5F24, "261122"), "80", "8000048000");
    check(TestCard::new().with(0x5F25, "261123"), "80", "8020048000");
    check(TestCard::new().with(0x5F25, "991231"), "80", "8000048000");
    // Not allowed outside cash machines, not for domestic goods, not for foreign goods: denied by the action
    // code.
    check(TestCard::new().with(0x9F07, "FE00"), "00", "8010048000");
    check(TestCard::new().with(0x9F07, "D500"), "00", "8010048000");
    check(TestCard::new().with(0x9F07, "AB00").with(0x5F28, "0840"), "00", "8010048000");
    check(TestCard::new().with(0x9F07, "A100"), "80", "8000048000");
    check(TestCard::new().without(0x9F07), "80", "8000048000");
}

/// Action codes: no IAC in the card means "online" for everything; a terminal that is set to approve offline
/// asks TC.
#[test]
fn action_codes_decide_what_is_asked() {
    let asked = |card: TestCard, config: &EmvConfig| {
        let talk = Talk::until_first_ac(&card, config, params());
        let Output::Transmit(command) = talk.output else { panic!("{:?}", talk.output) };
        command.p1
    };
    let mut offline = config();
    offline.aids[0].floor_limit = 100_000;
    offline.aids[0].tac_online = [0; 5];
    let lenient = || TestCard::new().with(0x8E, SIGNATURE).with(0x9F0F, "0000000000");
    assert_eq!(asked(TestCard::new(), &config()), 0x80);
    assert_eq!(asked(TestCard::new().without(0x9F0F), &offline), 0x80);
    assert_eq!(asked(lenient(), &offline), 0x40);
    assert_eq!(asked(lenient().with(0x9F0E, "8000000000"), &offline), 0x00);
    offline.terminal.terminal_type = 0x21;
    assert_eq!(asked(lenient(), &offline), 0x80);
    offline.terminal.terminal_type = 0x23;
    offline.aids[0].tac_default = [0; 5];
    assert_eq!(asked(lenient().with(0x9F0D, "0000000000"), &offline), 0x40);
    assert_eq!(asked(lenient(), &offline), 0x00);
}

#[test]
fn random_selection_sends_a_small_sale_online() {
    let mut config = config();
    config.aids[0].floor_limit = 100_000;
    config.aids[0].random_threshold = 50_000;
    config.aids[0].random_target_percent = 50;
    let tvr = |roll| {
        let params = TxnParams { selection_roll: roll, ..params() };
        Talk::until_first_ac(&TestCard::new(), &config, params).tag(Tag::TVR).unwrap()
    };
    assert_eq!(tvr(50), "8000041000");
    assert_eq!(tvr(51), "8000040000");
}

/// The first cryptogram: a TC or an AAC ends, and the card may never approve more than it was asked to.
#[test]
fn the_first_cryptogram_may_lower_the_request_only() {
    let mut offline = config();
    offline.aids[0].floor_limit = 100_000;
    offline.aids[0].tac_online = [0; 5];
    let lenient = TestCard::new().with(0x8E, SIGNATURE).with(0x9F0F, "0000000000");
    let approved = Talk::until_first_ac(&lenient, &offline, params()).gives(answer(TC, 0x9000));
    assert_eq!(approved.tag(Tag::RESPONSE_CODE).as_deref(), Some("5931"));
    assert_eq!(verdict(approved), APPROVED());
    let asks = Talk::until_first_ac(&lenient, &offline, params()).gives(answer(ARQC, 0x9000));
    assert!(matches!(asks.output, Output::GoOnline(_)));
    let declined = Talk::until_first_ac(&TestCard::new(), &config(), params()).gives(answer(AAC, 0x9000));
    assert_eq!(declined.tag(Tag::RESPONSE_CODE).as_deref(), Some("5A31"));
    assert_eq!(verdict(declined), (Verdict::DeclinedOffline, Some(MASKED.to_owned())));
    let check = |card: &TestCard, data: &str, status, what: &str| {
        let talk = Talk::until_first_ac(card, &config(), params());
        assert!(talk.kernel.card().is_some());
        let error = talk.breaks(answer(data, status)).to_string();
        assert!(error.starts_with("first GENERATE AC") && error.contains(what), "{error}");
    };
    let denied = TestCard::new().with(0x9F0E, "8000000000");
    check(&TestCard::new(), TC, 0x9000, "Arqc was asked");
    check(&denied, TC, 0x9000, "Aac was asked");
    check(&denied, ARQC, 0x9000, "Aac was asked");
    check(&TestCard::new(), "800BC000011122334455667788", 0x9000, "reserved");
    check(&TestCard::new(), "800A8000011122334455667788", 0x9000, "cut");
    check(&TestCard::new(), "800A80000111223344556677", 0x9000, "too short");
    check(&TestCard::new(), "7009800001112233445566", 0x9000, "neither");
    check(&TestCard::new(), "", 0x9000, "not one template");
    check(&TestCard::new(), "", 0x6985, "6985");
}

/// Format 2 of GENERATE AC; missing and doubled objects are refused.
#[test]
fn cryptograms_are_read_in_format_2() {
    let objects = [(0x9F27, "80"), (0x9F36, "0007"), (0x9F26, "1122334455667788"), (0x9F10, "0701")];
    let template = |list: &[(u32, &str)]| {
        tlv(0x77, &list.iter().map(|(tag, value)| tlv(*tag, value)).collect::<String>())
    };
    let talk = || Talk::until_first_ac(&TestCard::new(), &config(), params());
    let good = talk().gives(answer(&template(&objects), 0x9000));
    assert_eq!(good.tag(Tag::ATC).as_deref(), Some("0007"));
    assert_eq!(good.tag(Tag::IAD).as_deref(), Some("0701"));
    assert!(matches!(talk().gives(answer(&template(&objects[..3]), 0x9000)).output, Output::GoOnline(_)));
    assert!(matches!(talk().breaks(answer(&template(&objects[1..]), 0x9000)), KernelError::Data { .. }));
    let twice = [&objects[..], &objects[..1]].concat();
    assert!(matches!(talk().breaks(answer(&template(&twice), 0x9000)), KernelError::Data { .. }));
}

/// The host's word and the card's word make the verdict.
#[test]
fn host_and_card_make_the_verdict() {
    let check = |input: Input, second: &str, data: &str, expected: Verdict| {
        let card = TestCard::new().with(0x8D, "8A02");
        let talk = Talk::until_host(&card).gives(input).line(second, data);
        assert_eq!(verdict(talk), (expected, Some(MASKED.to_owned())));
    };
    check(host(true), "80AE4000 02 3030 00", TC, Verdict::Approved);
    check(host(true), "80AE4000 02 3030 00", AAC, Verdict::DeclinedByCard);
    check(host(false), "80AE0000 02 3531 00", AAC, Verdict::DeclinedOnline);
    check(Input::Host(HostAnswer::Unable), "80AE0000 02 5A33 00", AAC, Verdict::DeclinedUnableOnline);
}

/// No host, and the action codes let it pass: the card has the last word.
#[test]
fn unable_to_go_online_may_still_be_approved() {
    let mut config = config();
    config.aids[0].tac_default = [0; 5];
    let card = TestCard::new().with(0x9F0D, "0000000000").with(0x8D, "8A02");
    let talk = |config: &EmvConfig| {
        let talk = Talk::until_first_ac(&card, config, params()).gives(answer(ARQC, 0x9000));
        talk.gives(Input::Host(HostAnswer::Unable))
    };
    assert_eq!(verdict(talk(&config).line("80AE4000 02 5933 00", TC)), APPROVED());
    let declined = talk(&config).line("80AE4000 02 5933 00", AAC);
    assert_eq!(verdict(declined).0, Verdict::DeclinedUnableOnline);
    config.terminal.terminal_type = 0x21;
    talk(&config).expects("80AE0000 02 5A33 00");
}

#[test]
fn the_second_cryptogram_must_fit_the_request() {
    let check = |input: Input, data: &str, status, what: &str| {
        let talk = Talk::until_host(&TestCard::new()).gives(input);
        let error = talk.breaks(answer(data, status)).to_string();
        assert!(error.starts_with("second GENERATE AC") && error.contains(what), "{error}");
    };
    check(host(true), ARQC, 0x9000, "Tc was asked");
    check(host(false), TC, 0x9000, "Aac was asked");
    check(host(true), "", 0x6F00, "6F00");
    check(host(true), "8002", 0x9000, "needs 2 bytes");
}

/// EXTERNAL AUTHENTICATE failed: the TVR says so, and the card decides.
#[test]
fn failed_issuer_authentication_is_told_to_the_card() {
    let talk = Talk::until_host(&TestCard::new())
        .gives(host_with(true, Some("0011223344556677"), &[]))
        .refused("00820000 08 0011223344556677", "", 0x6300)
        .line("80AE4000 14 3030 0011223344556677 8000048040 7800 420300 00", AAC);
    assert_eq!(verdict(talk).0, Verdict::DeclinedByCard);
}

/// Without the bit in the AIP the card takes tag 91 from CDOL2; nonsense of the host is not passed on.
#[test]
fn issuer_authentication_may_be_left_to_the_second_cryptogram() {
    let card = TestCard { aip: "7800", ..TestCard::new() };
    let talk = Talk::until_host(&card).gives(host_with(true, Some("0011223344556677"), &[]));
    talk.expects("80AE4000 14 3030 0011223344556677 8000048000 6800 420300 00");
    let talk = Talk::until_host(&card).gives(host_with(true, Some("001122"), &[]));
    talk.expects("80AE4000 14 3030 0000000000000000 8000048040 6800 420300 00");
    let talk = Talk::until_host(&card).gives(host(true));
    talk.expects("80AE4000 14 3030 0000000000000000 8000048000 6800 420300 00");
}

/// Scripts before and after the second cryptogram; one fails, one is broken; the sale goes on.
#[test]
fn scripts_run_before_and_after_and_are_reported() {
    let before = "711D 9F1804 00000001 8608 84240000 03 AABBCC 8608 84240000 03 DDEEFF";
    let before = format!("71 {:02X} {}", unhex(&before[4..]).len(), &before[4..]);
    let failing = "72 1A 9F1804 00000002 8604 84180000 8604 84160000 8604 841E0000 00";
    let failing = format!("72 {:02X} {}", unhex(&failing[5..]).len(), &failing[5..]);
    let broken = "72 09 9F1804 00000003 86 05";
    let broken = format!("72 {:02X} {}", unhex(&broken[5..]).len(), &broken[5..]);
    let card = TestCard::new().with(0x8D, "9505 9B02");
    let talk = Talk::until_host(&card)
        .gives(host_with(true, None, &[&failing, &before, &broken]))
        .line("84240000 03 AABBCC", "")
        .refused("84240000 03 DDEEFF", "", 0x6283)
        .line("80AE4000 07 8000048000 6C00 00", TC)
        .line("84180000", "")
        .refused("84160000", "", 0x6985);
    assert_eq!(talk.tag(Tag::TVR).as_deref(), Some("8000048010"));
    assert_eq!(
        talk.tag(Tag::UNIONPAY_SCRIPT_RESULTS).as_deref(),
        Some("20000000011200000002 0000000003".replace(' ', "").as_str())
    );
    assert_eq!(talk.tag(Tag::SCRIPT_RESULTS), talk.tag(Tag::UNIONPAY_SCRIPT_RESULTS));
    assert_eq!(verdict(talk), APPROVED());
}

#[test]
fn scripts_are_bounded_and_failures_before_show_in_the_second_command() {
    let card = TestCard::new().with(0x8D, "9505 9B02");
    let long = tlv(0x71, &tlv(0x86, "84240000").repeat(17));
    let talk = Talk::until_host(&card).gives(host_with(true, None, &[&long, "70020000", ""]));
    talk.expects("80AE4000 07 8000048020 6C00 00");
    let cut = tlv(0x71, &tlv(0x86, "842400"));
    let talk = Talk::until_host(&card).gives(host_with(true, None, &[&cut]));
    talk.expects("80AE4000 07 8000048020 6C00 00");
    assert_eq!(talk.tag(Tag::UNIONPAY_SCRIPT_RESULTS).as_deref(), Some("1100000000"));
    let empty = ["7100"; 9];
    let talk = Talk::until_host(&card).gives(host_with(true, None, &empty));
    talk.expects("80AE4000 07 8000048020 6C00 00");
    assert_eq!(talk.tag(Tag::UNIONPAY_SCRIPT_RESULTS).map(|results| results.len()), Some(80));
}

/// An input that the state does not await is an error in every state, the end included.
#[test]
fn unexpected_inputs_are_refused_in_every_state() {
    let card = TestCard::new();
    let inputs =
        || [answer("", 0x9000), Input::Chosen(aid(DEBIT)), Input::PinDone(PinResult::Entered), host(true)];
    let refused = |talk: &Talk| -> Vec<bool> {
        let step = |input| talk.kernel.clone().step(input);
        inputs().into_iter().map(|i| matches!(step(i), Err(KernelError::Unexpected { .. }))).collect()
    };
    let start = Talk::start(&config(), params());
    assert_eq!(refused(&start), [false, true, true, true]);
    let pin = Talk::until_read(&card, &config(), params());
    assert_eq!(refused(&pin), [true, true, false, true]);
    let first = Talk::until_first_ac(&card, &config(), params());
    assert_eq!(refused(&first), [false, true, true, true]);
    let online = Talk::until_host(&card);
    assert_eq!(refused(&online), [true, true, true, false]);
    let second = online.gives(host(true));
    assert_eq!(refused(&second), [false, true, true, true]);
    let end = second.gives(answer(TC, 0x9000));
    assert_eq!(refused(&end), [true, true, true, true]);
}

/// What the kernel shows of itself has no card data.
#[test]
fn debug_output_has_no_card_data() {
    let talk = Talk::until_host(&TestCard::new());
    let shown = format!("{:?} {:?}", talk.kernel, talk.output);
    assert!(!shown.contains("6228480000001234") && !shown.contains("D2912"), "{shown}");
}

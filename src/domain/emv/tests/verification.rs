//! Cardholder verification: the list, its conditions, and PINs of every kind, with TVR, TSI and results exact.
use super::super::kernel::{PinKind, PinRequest};
use super::*;
use crate::domain::secret::ClearPin;
use PinKind::{OfflinePlain, Online};
use PinResult::{Bypassed, Entered, NotAvailable, Presented};

/// One exchange of the conversation between records and first cryptogram.
#[derive(Clone)]
enum Turn {
    /// GET DATA for the try counter, and what the card says.
    Counter(&'static str, u16),
    /// A PIN is asked with these tries left; `true`: again.
    Asks(PinKind, Option<u8>, bool),
    /// What becomes of the question.
    Says(PinResult),
    /// VERIFY with PIN 1234 in clear, and what the card says.
    Verifies(u16),
}
use Turn::{Asks, Counter, Says, Verifies};

fn typed(digits: &str) -> PinResult {
    PinResult::Typed(ClearPin::new(digits.as_bytes()).unwrap())
}

/// A terminal that can do everything: plain offline PIN, online PIN, signature, enciphered PIN, no CVM.
const ALL: u8 = 0xF8;

fn capable(methods: u8) -> EmvConfig {
    let mut config = config();
    config.terminal.capabilities[1] = methods;
    config
}

/// Plays the turns with a card of these rules; the next output is left.
fn play(methods: u8, rules: &str, turns: &[Turn], params: TxnParams) -> Talk {
    let card = TestCard::new().with(0x8E, &format!("00000500 00002000 {rules}"));
    let mut talk = Talk::until_read(&card, &capable(methods), params);
    for turn in turns {
        talk = match turn.clone() {
            Counter(data, status) => talk.refused("80CA9F1700", data, status),
            Verifies(status) => talk.refused("00200080 08 241234FFFFFFFFFF", "", status),
            Says(result) => talk.gives(Input::PinDone(result)),
            Asks(kind, tries_left, again) => {
                let Output::AskPin(asked) = &talk.output else { panic!("{rules}: {:?}", talk.output) };
                let PinRequest { kind: k, tries_left: t, again: a, .. } = **asked;
                assert_eq!((k, t, a), (kind, tries_left, again), "{rules}");
                talk
            }
        };
    }
    talk
}

/// The third byte of the TVR, the results and the method after a conversation; TSI "performed" and the first cryptogram
/// follow in every case.
fn check(methods: u8, rules: &str, turns: &[Turn], tvr3: &str, results: &str, method: CvmMethod) {
    let talk = play(methods, rules, turns, params());
    let card = talk.kernel.card().unwrap();
    assert_eq!(talk.tag(Tag::TVR).unwrap()[4..6], *tvr3, "{rules}");
    assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some(results), "{rules}");
    assert_eq!(card.cvm, method, "{rules}");
    assert_eq!(talk.tag(Tag::TSI).as_deref(), Some("4800"), "{rules}");
    let Output::Transmit(command) = &talk.output else { panic!("{rules}: {:?}", talk.output) };
    assert_eq!(command.ins, 0xAE, "{rules}");
}

const THREE: Turn = Counter("9F170103", 0x9000);
const FIRST: Turn = Asks(OfflinePlain, Some(3), false);

/// The card checks a PIN: right at once, after wrong ones, never, blocked before and by the last try.
#[test]
fn a_pin_is_checked_by_the_card() {
    let right = || Says(typed("1234"));
    let good = [THREE, FIRST, right(), Verifies(0x9000)];
    check(ALL, "0100", &good, "00", "010002", CvmMethod::OfflinePin);
    check(ALL, "4103 1E00", &good, "00", "410302", CvmMethod::OfflinePin);
    // Twice wrong, then right: the tries are those the card names.
    let second = [
        THREE,
        FIRST,
        right(),
        Verifies(0x63C2),
        Asks(OfflinePlain, Some(2), true),
        right(),
        Verifies(0x63C1),
        Asks(OfflinePlain, Some(1), true),
        right(),
        Verifies(0x9000),
    ];
    check(ALL, "0100", &second, "00", "010002", CvmMethod::OfflinePin);
    // The last try was wrong.
    let last = Counter("9F170101", 0x9000);
    let out = [last, Asks(OfflinePlain, Some(1), false), right(), Verifies(0x63C0)];
    check(ALL, "0100", &out, "A0", "010001", CvmMethod::NoCvm);
    check(ALL, "4100 1E00", &out, "20", "1E0000", CvmMethod::Signature);
    check(ALL, "4100 0000", &out, "A0", "000001", CvmMethod::NoCvm);
    // Blocked: nobody is asked. The rest of the list counts; a PIN for the bank is another PIN.
    let blocked = [Counter("9F170100", 0x9000)];
    check(ALL, "0100", &blocked, "A0", "010001", CvmMethod::NoCvm);
    check(ALL, "4100 1F00", &blocked, "20", "1F0002", CvmMethod::NoCvm);
    let online = [blocked[0].clone(), Asks(Online, None, false), Says(Entered)];
    check(ALL, "4100 0200", &online, "24", "020000", CvmMethod::OnlinePin);
    // Blocked only when VERIFY comes.
    for status in [0x6983, 0x6984] {
        let late = [Counter("", 0x6A88), Asks(OfflinePlain, None, false), right(), Verifies(status)];
        check(ALL, "0100", &late, "A0", "010001", CvmMethod::NoCvm);
    }
}

/// A card that does not tell its counter, or tells nonsense, is asked all the same; one that cannot check a PIN has not
/// checked it; one that never counts down is given up.
#[test]
fn odd_cards_check_no_pin() {
    let right = || Says(typed("1234"));
    for odd in [
        ("", 0x6A88),
        ("", 0x6D00),
        ("9F17020003", 0x9000),
        ("9F3600", 0x9000),
        ("9F17", 0x9000),
        ("", 0x9000),
    ] {
        let turns = [Counter(odd.0, odd.1), Asks(OfflinePlain, None, false), right(), Verifies(0x9000)];
        check(ALL, "0100", &turns, "00", "010002", CvmMethod::OfflinePin);
    }
    for status in [0x6700, 0x6A86, 0x6D00, 0x6300, 0x63D5] {
        check(ALL, "0100", &[THREE, FIRST, right(), Verifies(status)], "80", "010001", CvmMethod::NoCvm);
        check(ALL, "4100 1F00", &[THREE, FIRST, right(), Verifies(status)], "00", "1F0002", CvmMethod::NoCvm);
    }
    let mut turns = vec![THREE, FIRST];
    for attempt in 0..15 {
        turns.extend((attempt > 0).then_some(Asks(OfflinePlain, Some(15), true)));
        turns.extend([right(), Verifies(0x63CF)]);
    }
    check(ALL, "0100", &turns, "80", "010001", CvmMethod::NoCvm);
}

/// PIN and signature: the PIN alone is not success yet, and without it the signature is not asked.
#[test]
fn a_pin_with_a_signature_needs_both() {
    let right = || Says(typed("1234"));
    let good = [THREE, FIRST, right(), Verifies(0x9000)];
    check(ALL, "0300", &good, "00", "030000", CvmMethod::OfflinePinAndSignature);
    let wrong = [THREE, FIRST, right(), Verifies(0x63C0)];
    check(ALL, "0300", &wrong, "A0", "030001", CvmMethod::NoCvm);
    // A terminal without one of the two has not the whole.
    check(0x88, "0303 1F03", &[], "00", "1F0302", CvmMethod::NoCvm);
    check(0x88, "4300 1F00", &[], "00", "1F0002", CvmMethod::NoCvm);
    check(0x28, "4300 1F00", &[], "10", "1F0002", CvmMethod::NoCvm);
}

/// Who types nothing is not asked again in this transaction; where nothing can be typed the next kind is tried.
#[test]
fn a_pin_that_is_not_typed_is_told_from_one_that_cannot_be() {
    let bypassed = [THREE, FIRST, Says(Bypassed)];
    check(ALL, "0100", &bypassed, "88", "010001", CvmMethod::NoCvm);
    check(ALL, "4100 1E00", &bypassed, "08", "1E0000", CvmMethod::Signature);
    check(ALL, "4100 4200 4300 1F00", &bypassed, "08", "1F0002", CvmMethod::NoCvm);
    check(ALL, "4100 0200", &bypassed, "88", "410001", CvmMethod::NoCvm);
    let after_wrong = [
        THREE,
        FIRST,
        Says(typed("1234")),
        Verifies(0x63C2),
        Asks(OfflinePlain, Some(2), true),
        Says(Bypassed),
    ];
    check(ALL, "4100 1E00", &after_wrong, "08", "1E0000", CvmMethod::Signature);
    check(ALL, "0100", &[THREE, FIRST, Says(NotAvailable)], "90", "010001", CvmMethod::NoCvm);
    let other =
        [Asks(Online, None, false), Says(NotAvailable), THREE, FIRST, Says(typed("1234")), Verifies(0x9000)];
    check(ALL, "4200 0100", &other, "10", "010002", CvmMethod::OfflinePin);
}

/// A reader with a PIN pad gives the PIN to the card itself: what the card said counts as if VERIFY had been sent.
#[test]
fn a_pin_pad_of_the_reader_presents_the_pin() {
    let says = |status| Says(Presented(StatusWord(status)));
    check(ALL, "0100", &[THREE, FIRST, says(0x9000)], "00", "010002", CvmMethod::OfflinePin);
    let wrong = [THREE, FIRST, says(0x63C1), Asks(OfflinePlain, Some(1), true), says(0x63C0)];
    check(ALL, "0100", &wrong, "A0", "010001", CvmMethod::NoCvm);
}

/// A PIN for the card is none for the bank, and the other way round: the conversation breaks rather than go on.
#[test]
fn the_wrong_kind_of_pin_is_refused() {
    let step = |turns: &[Turn], rules, result| {
        let talk = play(ALL, rules, turns, params());
        matches!(talk.breaks(Input::PinDone(result)), KernelError::Unexpected { .. })
    };
    assert!(step(&[THREE], "0100", Entered));
    assert!(step(&[], "0200", typed("1234")));
    assert!(step(&[], "0200", Presented(StatusWord(0x9000))));
}

/// The PIN shows in no Debug output: not of the input, the command, the kernel, nor of what it leads to.
#[test]
fn debug_output_has_no_pin() {
    let talk = play(ALL, "0100", &[THREE, FIRST], params());
    let input = Input::PinDone(typed("739152"));
    let mut shown = format!("{input:?}");
    let (kernel, output) = talk.kernel.step(input).unwrap();
    shown += &format!("{kernel:?} {output:?}");
    let Output::Transmit(command) = &output else { panic!("{output:?}") };
    assert_eq!(bytes(command), "0020008008".to_owned() + "26739152FFFFFFFF");
    for part in ["739152", "73 91 52", "115, 145, 82", "55, 51, 57", "7391", "0x73"] {
        assert!(!shown.contains(part), "{part} in {shown}");
    }
}

/// While the card counts tries or checks a PIN only its answer is awaited.
#[test]
fn unexpected_inputs_are_refused_while_a_pin_is_checked() {
    let states: [&[Turn]; 2] = [&[], &[THREE, FIRST, Says(typed("1234"))]];
    for turns in states {
        let talk = play(ALL, "0100", turns, params());
        assert!(talk.kernel.checks_pin() && talk.kernel.knows_card());
        for input in [Input::Chosen(aid(DEBIT)), Input::PinDone(Bypassed), host(true)] {
            let step = talk.kernel.clone().step(input);
            assert!(matches!(step, Err(KernelError::Unexpected { .. })));
        }
        assert!(talk.kernel.gone().is_none(), "a card that is pulled has not decided");
    }
}

/// The method list of a terminal that knows online PIN, signature and no CVM.
#[test]
fn verification_methods_are_tried_in_order() {
    let check = |rules: &str, pin: Option<PinResult>, tvr3: &str, results: &str, method| {
        let asked = pin.map(|pin| [Asks(Online, None, false), Says(pin)]);
        check(0x68, rules, asked.as_ref().map_or(&[], |turns| turns), tvr3, results, method);
    };
    check("0200", Some(Entered), "04", "020000", CvmMethod::OnlinePin);
    check("0200", Some(Bypassed), "88", "020001", CvmMethod::NoCvm);
    check("0200", Some(NotAvailable), "90", "020001", CvmMethod::NoCvm);
    check("4200 1E00", Some(Bypassed), "08", "1E0000", CvmMethod::Signature);
    // A refused PIN is not asked a second time.
    check("4200 4203 0200", Some(Bypassed), "88", "420001", CvmMethod::NoCvm);
    check("1E03", None, "00", "1E0300", CvmMethod::Signature);
    check("1F00", None, "00", "1F0002", CvmMethod::NoCvm);
    check("0000", None, "80", "000001", CvmMethod::NoCvm);
    check("4000 1F00", None, "80", "400001", CvmMethod::NoCvm);
    // Offline PIN is not supported: passed over under condition 03, unsuccessful under 00.
    check("0103 1F03", None, "00", "1F0302", CvmMethod::NoCvm);
    check("4100 1F00", None, "10", "1F0002", CvmMethod::NoCvm);
    check("0100 1F00", None, "90", "3F0001", CvmMethod::NoCvm);
    // Methods nobody knows; the biometric ones are known, and unsupported.
    check("6000 1F00", None, "40", "1F0002", CvmMethod::NoCvm);
    check("2000", None, "C0", "3F0001", CvmMethod::NoCvm);
    check("3F00", None, "C0", "3F0001", CvmMethod::NoCvm);
    for biometric in 0x06..=0x0D {
        let rules = format!("{biometric:02X}03 {:02X}00 1F00", biometric | 0x40);
        check(&rules, None, "00", "1F0002", CvmMethod::NoCvm);
    }
    // Conditions: cash, cashback, a code nobody knows; amounts X = 1280 and Y = 8192 against 1250.
    check("0201 0204 0205 020A 027F 1F02", None, "00", "1F0202", CvmMethod::NoCvm);
    check("0207 0209 1E06", None, "00", "1E0600", CvmMethod::Signature);
    check("1E08", None, "00", "1E0800", CvmMethod::Signature);
    check("0201", None, "80", "3F0001", CvmMethod::NoCvm);
    // A rule that does not apply leaves what was carried out before as it was.
    check("4200 1E01", Some(Bypassed), "88", "420001", CvmMethod::NoCvm);
}

/// Condition codes against kind of business, terminal and amount: the rule with the code is a signature, the one behind
/// it none.
#[test]
fn conditions_hold_for_their_business() {
    let goods = || params();
    let of = |amount: u64| TxnParams { amount: Amount::from_minor(amount).unwrap(), ..params() };
    let typed = |transaction_type| TxnParams { transaction_type, ..params() };
    let back = || TxnParams { amount_other: Amount::from_minor(1).unwrap(), ..params() };
    let check = |condition: u8, terminal_type, params: TxnParams, expected: bool| {
        let rules = format!("1E{condition:02X} 1F00");
        let card = TestCard::new().with(0x8E, &format!("00000500 00002000 {rules}"));
        let mut config = config();
        config.terminal.terminal_type = terminal_type;
        let talk = Talk::until_read(&card, &config, params.clone());
        let signs = talk.kernel.card().unwrap().cvm == CvmMethod::Signature;
        assert_eq!(signs, expected, "{condition:02X} {terminal_type:02X} {params:?}");
    };
    let (attended, unattended) = (0x22, 0x25);
    for (code, holds) in
        [(0x00, true), (0x01, false), (0x02, true), (0x03, true), (0x04, false), (0x05, false)]
    {
        check(code, attended, goods(), holds);
        check(code, unattended, goods(), holds);
    }
    for (code, clerk, nobody) in [
        (0x00, true, true),
        (0x01, false, true),
        (0x02, false, false),
        (0x03, true, true),
        (0x04, true, false),
    ] {
        check(code, attended, typed(0x01), clerk);
        check(code, unattended, typed(0x01), nobody);
    }
    for params in [typed(0x09), back()] {
        check(0x02, attended, params.clone(), false);
        check(0x05, attended, params, true);
    }
    // X = 1280, Y = 8192: the amounts themselves are neither under nor over.
    for (code, amount, holds) in [
        (0x06, 1279, true),
        (0x06, 1280, false),
        (0x07, 1280, false),
        (0x07, 1281, true),
        (0x08, 8191, true),
        (0x08, 8192, false),
        (0x09, 8192, false),
        (0x09, 8193, true),
    ] {
        check(code, attended, of(amount), holds);
    }
    for code in 0x0A..=0xFF {
        check(code, attended, goods(), false);
    }
}

/// "If the terminal supports it" holds for exactly what the capabilities name.
#[test]
fn supported_is_what_the_capabilities_name() {
    for (rule, needs) in [("1E03", 0x20), ("1F03", 0x08), ("0203", 0x40), ("0103", 0x80), ("0303", 0xA0)] {
        for methods in (0..=0xF8).step_by(8) {
            let talk = play(methods, &format!("{rule} 0000"), &[], params());
            let passed_over = talk.tag(Tag::CVM_RESULTS).as_deref() == Some("000001");
            assert_eq!(!passed_over, methods & needs == needs, "{rule} {methods:02X}");
        }
    }
}

/// Amount conditions hold in the card's own currency only.
#[test]
fn amount_conditions_need_the_cards_currency() {
    let card = TestCard::new().with(0x8E, "00000500 00002000 1E06 1F00").with(0x9F42, "0840");
    let talk = Talk::until_read(&card, &config(), params());
    assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some("1F0002"));
}

#[test]
fn cards_without_verification_are_not_asked() {
    let talk = Talk::until_read(&TestCard { aip: "6C00", ..TestCard::new() }, &config(), params());
    assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some("3F0000"));
    assert_eq!(talk.tag(Tag::TSI).as_deref(), Some("0800"));
    let talk = Talk::until_read(&TestCard::new().without(0x8E), &config(), params());
    assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some("3F0000"));
    assert_eq!(talk.tag(Tag::TVR).as_deref(), Some("A000008000"));
    // The AID entry can forbid the online PIN, and then the signature is next.
    let mut config = config();
    config.aids[0].online_pin = false;
    let talk = Talk::until_read(&TestCard::new(), &config, params());
    assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some("5E0300"));
}

/// A list with amounts and no rules counts as no list; one of an odd length is broken.
#[test]
fn lists_without_rules_are_no_lists() {
    let read = |list: &str| Talk::until_read(&TestCard::new().with(0x8E, list), &config(), params());
    for list in ["", "0000", "00000000", "0000000000000000"] {
        let talk = read(list);
        assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some("3F0000"), "{list}");
        assert_eq!(talk.tag(Tag::TVR).as_deref(), Some("A000008000"), "{list}");
        assert_eq!(talk.tag(Tag::TSI).as_deref(), Some("0800"), "{list}");
    }
}

//! Conversations recorded between another terminal and a test card, followed as far as the terminals agree: DDA with
//! the signatures of the card, a plain PIN, both cryptograms.
//!
//! What that terminal asked and ours does not, or the other way round, is named; the TVR that goes to the card differs
//! in the floor limit.
use super::super::params::Capk;
use super::*;
use crate::domain::secret::ClearPin;

const DECLINED: &str = include_str!("../../../../tests/data/apdu/contact-declined.txt");
const APPROVED: &str = include_str!("../../../../tests/data/apdu/contact-approved.txt");

/// Public key of the made-up scheme AFFFFFFFFF. Source: mrautio/emvpt scheme_ca_public_keys_test.yaml.
const CA_KEY: &str = "
    BF08CA64EA24B2644772CA60DAE61A68DE449A1F43503A1025103BDE7487FF2D60E23AF37400BBB6A8075C79
    EB38D775ED5F251E15268128CA152DC5F33E017F14AE11FA2E07298F559387F4F47997DB09AEE867712E5654
    5825C4B12A197C8ABE68E7E24A20B8717453733D0BF12F3CF8AA89CB9BD07A2468B6132410C1E62FD1DFEC2C
    5D7C35B5475C520783E01E549F4C44DECBC2A0587763851738E4CAF22EB0E8747DBF828C2207FECE8460030F";

/// Only the other terminal reads the counters of a card without limits.
const THEIRS: &str = "80CA9F";
/// Only ours asks for the tries that are left before it asks for a PIN.
const OURS: &str = "80CA9F17";

fn lines(recording: &str) -> Vec<(String, Vec<u8>)> {
    let kept: Vec<_> = recording.lines().filter(|line| !line.starts_with('#')).collect();
    let pairs = kept.chunks(2).map(|pair| {
        (pair[0].strip_prefix("C ").unwrap().to_owned(), unhex(pair[1].strip_prefix("R ").unwrap()))
    });
    pairs.filter(|(command, _)| !command.starts_with(THEIRS)).collect()
}

/// Asked for by the kernel between two commands of the recording.
fn aside(talk: Talk) -> Talk {
    match &talk.output {
        Output::GoOnline(_) => talk.gives(host(true)),
        Output::AskPin(_) => talk.gives(Input::PinDone(PinResult::Typed(ClearPin::new(b"1234").unwrap()))),
        Output::Transmit(command) if bytes(command).starts_with(OURS) => talk.gives(answer("", 0x6A88)),
        other => panic!("{other:?} is no part of the recording"),
    }
}

/// Plays the card's side. Commands must be equal but for the bytes of the ranges, counted in hexadecimal
/// digits.
fn follow(recording: &str, mut talk: Talk, own: &[(&str, core::ops::Range<usize>)]) -> Talk {
    for (expected, raw) in lines(recording) {
        while !matches!(&talk.output, Output::Transmit(command) if !bytes(command).starts_with(OURS)) {
            talk = aside(talk);
        }
        let Output::Transmit(command) = &talk.output else { panic!("{:?}", talk.output) };
        let blank = |text: &str| {
            let mut text = text.to_owned();
            for (start, range) in own {
                if text.starts_with(start) {
                    text.replace_range(range.clone(), &"-".repeat(range.len()));
                }
            }
            text
        };
        assert_eq!(blank(&bytes(command)), blank(&expected));
        talk = talk.gives(Input::Response(ResponseApdu::parse(&raw).unwrap()));
    }
    talk
}

fn recorded_config() -> EmvConfig {
    let mut config = config();
    config.aids = vec![entry("AFFFFFFFFF1234", false)];
    config.aids[0].version = [0x00, 0x96];
    config.terminal.capabilities = [0x20, 0xE8, 0x40];
    let (modulus, exponent) = (unhex(CA_KEY), vec![3]);
    let rid = [0xAF, 0xFF, 0xFF, 0xFF, 0xFF];
    config.capks =
        vec![Capk { rid, index: 0x92, expiry: [0x20, 0x49, 0x12, 0x31], exponent, modulus }].into();
    config
}

#[test]
fn a_recorded_decline_is_followed_to_its_end() {
    let mut config = recorded_config();
    config.terminal.country_code = [0x02, 0x46];
    config.aids[0].tac_denial = [0, 0, 0, 0x80, 0];
    config.terminal.capabilities = [0x20, 0x68, 0x40];
    let params = TxnParams {
        amount: Amount::from_minor(1234).unwrap(),
        currency: Currency::from_alpha("EUR").unwrap(),
        now: LocalTime { year: 2018, month: 6, day: 1, ..params().now },
        unpredictable_number: [0x0A, 0x4B, 0x6C, 0xAB],
        ..params()
    };
    let talk = follow(DECLINED, Talk::start(&config, params), &[("80AE0000", 38..48)]);
    let conclusion = talk.ends();
    assert_eq!(conclusion.verdict, Verdict::DeclinedOffline);
    let card = conclusion.card.unwrap();
    assert_eq!((card.label.as_str(), card.sequence), ("VESA", Some(1)));
    assert_eq!(card.expiry.as_deref(), Some("1811"));
    // The card's signature is good; over the floor limit.
    assert_eq!(card.tags.value(Tag::TVR).map(hex).as_deref(), Some("0000008000"));
    assert_eq!(card.tags.value(Tag::CVM_RESULTS).map(hex).as_deref(), Some("1E0300"));
}

#[test]
fn a_recorded_approval_is_followed_to_its_end() {
    let mut config = recorded_config();
    config.terminal.country_code = [0x08, 0x40];
    let params = TxnParams {
        amount: Amount::from_minor(5000).unwrap(),
        currency: Currency::from_alpha("USD").unwrap(),
        transaction_type: 0x01,
        now: LocalTime { year: 2026, month: 4, day: 28, ..params().now },
        unpredictable_number: [0xDF, 0x50, 0xD6, 0xD1],
        ..params()
    };
    // That terminal gave a response code of zeros to the card; ours gives the host's.
    let own = [("80AE8000", 38..48), ("80AE4000", 10..14), ("80AE4000", 42..52)];
    let talk = follow(APPROVED, Talk::start(&config, params), &own);
    // The card's signature is good, the PIN was right; expired, over the floor limit.
    assert_eq!(talk.tag(Tag::TVR).as_deref(), Some("0040008000"));
    assert_eq!(talk.tag(Tag::TSI).as_deref(), Some("E800"));
    assert_eq!(talk.tag(Tag::CVM_RESULTS).as_deref(), Some("410302"));
    assert_eq!(talk.tag(Tag::ATC).as_deref(), Some("00F2"));
    assert_eq!(verdict(talk), (Verdict::Approved, Some("123456******5608".to_owned())));
}

/// One bit of the recorded signature turned, another key, no key: the TVR tells each.
#[test]
fn a_recorded_signature_is_really_checked() {
    let tvr = |change: fn(&mut EmvConfig), turned: bool| {
        let mut config = recorded_config();
        config.terminal.capabilities = [0x20, 0x68, 0x40];
        change(&mut config);
        let now = LocalTime { year: 2018, month: 6, day: 1, ..params().now };
        let unpredictable_number = [0x0A, 0x4B, 0x6C, 0xAB];
        let mut talk = Talk::start(&config, TxnParams { now, unpredictable_number, ..params() });
        for (command, mut raw) in lines(DECLINED) {
            match &talk.output {
                // Without a key no signature is asked for.
                Output::Transmit(sent) if bytes(sent).starts_with("80AE") => break,
                _ => {}
            }
            if command.starts_with("0088") && turned {
                raw[40] ^= 1;
            }
            talk = talk.gives(Input::Response(ResponseApdu::parse(&raw).unwrap()));
        }
        talk.tag(Tag::TVR).unwrap()[..2].to_owned()
    };
    assert_eq!(tvr(|_| {}, false), "00");
    assert_eq!(tvr(|_| {}, true), "08");
    let other = |config: &mut EmvConfig| {
        let mut key = config.capks[0].clone();
        key.modulus[0] ^= 0x10;
        config.capks = vec![key].into();
    };
    assert_eq!(tvr(other, false), "08");
    assert_eq!(tvr(|config| config.capks = Vec::new().into(), false), "08");
}

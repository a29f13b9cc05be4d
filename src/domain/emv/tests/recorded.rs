//! Conversations recorded between another terminal and a test card, followed as far as the terminals agree.
//!
//! That terminal performed DDA and offline PIN; ours does not, so those commands are passed over and the TVR
//! differs.
use super::*;

const DECLINED: &str = include_str!("../../../../tests/data/apdu/contact-declined.txt");
const APPROVED: &str = include_str!("../../../../tests/data/apdu/contact-approved.txt");

/// Commands that only the other terminal sends: INTERNAL AUTHENTICATE, VERIFY, GET DATA.
const FOREIGN: [&str; 3] = ["0088", "0020", "80CA"];

fn lines(recording: &str) -> Vec<(String, Vec<u8>)> {
    let kept: Vec<_> = recording.lines().filter(|line| !line.starts_with('#')).collect();
    let pairs = kept.chunks(2).map(|pair| {
        (pair[0].strip_prefix("C ").unwrap().to_owned(), unhex(pair[1].strip_prefix("R ").unwrap()))
    });
    pairs.filter(|(command, _)| !FOREIGN.iter().any(|foreign| command.starts_with(foreign))).collect()
}

/// Plays the card's side. Commands must be equal but for the bytes of the ranges, counted in hexadecimal
/// digits.
fn follow(recording: &str, mut talk: Talk, own: &[(&str, core::ops::Range<usize>)]) -> Talk {
    for (expected, raw) in lines(recording) {
        if let Output::GoOnline(_) = talk.output {
            talk = talk.gives(host(true));
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
    config
}

#[test]
fn a_recorded_decline_is_followed_to_its_end() {
    let mut config = recorded_config();
    config.terminal.country_code = [0x02, 0x46];
    config.aids[0].tac_denial = [0x80, 0, 0, 0, 0];
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
    // No offline authentication, over the floor limit.
    assert_eq!(card.tags.value(Tag::TVR).map(hex).as_deref(), Some("8000008000"));
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
    assert_eq!(talk.tag(Tag::TVR).as_deref(), Some("8040008000"));
    assert_eq!(talk.tag(Tag::ATC).as_deref(), Some("00F2"));
    assert_eq!(verdict(talk), (Verdict::Approved, Some("123456******5608".to_owned())));
}

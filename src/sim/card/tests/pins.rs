//! PINs that the card checks, between the terminal's kernel and the simulated card with its keys: plain and enciphered.
use super::*;
use crate::domain::emv::kernel::{CardSummary, Conclusion, HostAnswer};
use crate::domain::emv::params::EmvConfig;
use crate::domain::emv::results::Tvr;
use crate::domain::outcome::CvmMethod;
use crate::sim::conversation::{End, Holder};

/// TVR, results and method after a purchase whose holder types this PIN each time; the bank approves.
fn verified(config: &EmvConfig, bench: &mut Bench, pin: &str) -> (Tvr, String, CvmMethod) {
    let holder = Holder { choice: 0, pin: Some(pin.to_owned()) };
    let approves = |_: &mut Card, _: &CardSummary| HostAnswer::Answered {
        approved: true,
        response_code: *b"00",
        issuer_authentication: None,
        scripts: Vec::new(),
    };
    bench.0.inserted();
    let end = conversation::hold(config, &conversation::purchase(), &mut bench.0, &holder, approves);
    let End::Concluded(conclusion) = end else { panic!("{end:?}") };
    let Conclusion { card: Some(card), .. } = *conclusion else { panic!("no card") };
    let value = |tag| card.tags.value(tag).unwrap();
    let results = value(Tag::CVM_RESULTS).iter().map(|byte| format!("{byte:02X}")).collect();
    (Tvr::new(value(Tag::TVR).try_into().unwrap()), results, card.cvm)
}

fn enciphered(more: &str) -> Bench {
    Bench::changed(&format!("preset = 'enciphered-pin'\n{more}"))
}

/// The right PIN is believed under the card's own key for PINs and under the key that it signs with, and in clear.
#[test]
fn a_card_believes_the_right_pin() {
    let config = conversation::terminal();
    for own in [true, false] {
        let (tvr, results, method) = verified(&config, &mut enciphered(&format!("pin-key = {own}")), "1234");
        assert_eq!((tvr.bytes()[2], results.as_str(), method), (0, "440302", CvmMethod::OfflinePin), "{own}");
    }
    let (tvr, results, method) = verified(&config, &mut Bench::preset("offline-pin"), "1234");
    assert_eq!((tvr.bytes()[2], results.as_str(), method), (0, "410302", CvmMethod::OfflinePin));
}

/// A wrong PIN is asked for until no try is left, each time under a challenge and a padding of its own; then the card's
/// list goes on to the PIN for the bank.
#[test]
fn a_card_counts_wrong_pins() {
    for preset in ["enciphered-pin", "offline-pin"] {
        let mut bench = Bench::preset(preset);
        let (tvr, results, method) = verified(&conversation::terminal(), &mut bench, "1111");
        assert!(tvr.has(Tvr::PIN_TRY_LIMIT) && tvr.has(Tvr::ONLINE_PIN), "{preset}");
        assert_eq!((results.as_str(), method), ("420300", CvmMethod::OnlinePin), "{preset}");
        assert_eq!(bench.0.tries_left(), Some(0), "{preset}");
    }
}

/// Without a key that the terminal can trust, or without a challenge, nothing is enciphered: the list goes on, and the
/// card's tries are not touched.
#[test]
fn no_pin_is_enciphered_without_key_and_challenge() {
    let falls_to_the_bank = |config: &EmvConfig, mut bench: Bench, why: &str| {
        let (tvr, results, method) = verified(config, &mut bench, "1234");
        assert_eq!((results.as_str(), method), ("420300", CvmMethod::OnlinePin), "{why}");
        assert!(!tvr.has(Tvr::PIN_TRY_LIMIT) && !tvr.has(Tvr::CVM_FAILED), "{why}");
        assert_eq!(bench.0.tries_left(), Some(3), "{why}");
    };
    let config = conversation::terminal();
    let strange = EmvConfig { capks: [].into(), ..config.clone() };
    falls_to_the_bank(&strange, enciphered(""), "no key of the CA");
    falls_to_the_bank(
        &config,
        enciphered("objects = { 9F2D = '00', 9F46 = '00' }"),
        "certificates of nobody",
    );
    for fault in ["status:6D00", "status:6985", "garbage"] {
        let mut bench = enciphered("");
        bench.0.add_fault(format!("get-challenge {fault} always").parse().unwrap());
        falls_to_the_bank(&config, bench, fault);
    }
}

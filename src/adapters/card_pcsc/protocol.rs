//! Which transmission protocol a card is spoken to with, by its answer to reset. EMV 4.4 Book 1 §8. Spec: unverified.
//!
//! The electrical part, and what else an answer to reset shall hold, is the reader's own: departures are told to the
//! technician and refuse nobody's card.
use pcsc::Protocols;

use crate::domain::emv::apdu::Protocol;
use crate::domain::emv::atr::{Atr, Check};
use crate::domain::mask::CardData;

/// What an answer to reset asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Speak this protocol: the one that TA2 demands, or else the first one offered.
    Speak(Protocol),
    /// The answer is broken, or offers neither T=0 nor T=1: one warm reset is due, then the card is refused.
    Refuse(String),
}

/// Chooses by the answer to reset.
pub(super) fn choose(atr: &[u8]) -> Choice {
    let told = Atr::describe(atr, CardData::Masked);
    for departure in &told.departures {
        tracing::info!(departure = %departure.en, "the chip's answer to reset is not as EMV has it");
    }
    if let Some(failure) = told.failure {
        return Choice::Refuse(failure.to_string());
    }
    if matches!(told.check, Check::Wrong { .. } | Check::Missing) {
        return Choice::Refuse("wrong check byte".to_owned());
    }
    let demanded = told.interface.iter().find(|byte| byte.name == "TA2").map(|byte| byte.value & 0x0F);
    match demanded.or_else(|| told.protocols.first().copied()) {
        Some(0) => Choice::Speak(Protocol::T0),
        Some(1) => Choice::Speak(Protocol::T1),
        other => Choice::Refuse(format!("protocol T={}", other.unwrap_or_default())),
    }
}

/// The same protocol for PC/SC.
pub(super) const fn wanted(protocol: Protocol) -> Protocols {
    match protocol {
        Protocol::T0 => Protocols::T0,
        Protocol::T1 => Protocols::T1,
    }
}

/// What PC/SC says when it is spoken.
pub(super) const fn spoken_by(protocol: Protocol) -> pcsc::Protocol {
    match protocol {
        Protocol::T0 => pcsc::Protocol::T0,
        Protocol::T1 => pcsc::Protocol::T1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the first protocol offered is spoken, whatever else the card can do, unless TA2 demands one.
    #[test]
    fn the_first_protocol_offered_is_spoken() {
        let with_check = |bytes: &[u8]| {
            let check = bytes[1..].iter().fold(0, |sum, byte| sum ^ byte);
            [bytes, &[check]].concat()
        };
        assert_eq!(choose(&[0x3B, 0x60, 0, 0]), Choice::Speak(Protocol::T0), "nothing said is T=0");
        let both = with_check(&[0x3B, 0xE0, 0, 0, 0x80, 0x01]);
        assert_eq!(choose(&both), Choice::Speak(Protocol::T0));
        let blocks = with_check(&[0x3B, 0xE0, 0, 0, 0x81, 0x31, 0xFE, 0x45]);
        assert_eq!(choose(&blocks), Choice::Speak(Protocol::T1));
        let demanded = with_check(&[0x3B, 0xE0, 0, 0, 0x90, 0x01, 0x01]);
        assert_eq!(choose(&demanded), Choice::Speak(Protocol::T1));
    }

    /// Goal: an answer that is cut, has a wrong check byte or another protocol is refused with its reason.
    #[test]
    fn a_broken_answer_to_reset_is_refused() {
        let refused = |atr: &[u8], reason: &str| match choose(atr) {
            Choice::Refuse(why) => assert!(why.contains(reason), "{why}"),
            choice @ Choice::Speak(_) => panic!("{choice:?}"),
        };
        refused(&[], "begins with TS");
        refused(&[0x3B, 0xE0, 0, 0, 0x81, 0x31, 0xFE, 0x45, 0], "check byte");
        refused(&[0x3B, 0x80, 0x0E, 0x8E], "T=14");
        refused(&[0x3B, 0x65, 0, 0, b'P'], "historical byte");
    }
}

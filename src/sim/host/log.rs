//! What was said on the lines, for testers, masked as [`describe`] does it.
use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::iso8583::{De, Message};
use crate::domain::unionpay::describe::{self, CardData};

/// Shown as their length only, beside what [`describe`] masks: expiry, and the element that brings keys.
const COUNTED: [De; 2] = [De::EXPIRY, De::PRIVATE_62];

/// Which way a message went, seen from the acquirer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the terminal.
    In,
    /// To the terminal, whether a fault let it arrive or not.
    Out,
}

/// One message, or bytes that were none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spoken {
    /// Counts from 1 since the start.
    pub number: u64,
    /// Connection, counted from 1.
    pub line: u64,
    /// Which way.
    pub direction: Direction,
    /// MTI; empty where the bytes were no message.
    pub mti: String,
    /// Elements by number: digits and texts as they are, binary ones in hexadecimal, card data masked.
    pub fields: BTreeMap<u8, String>,
    /// In: the fault that a rule wants. Out: why it is a refusal. Else: why there was no message or answer.
    pub note: String,
}

impl Spoken {
    pub(super) fn message(line: u64, direction: Direction, message: &Message, note: String) -> Self {
        let message = describe::unpacked(message, CardData::Masked);
        let shown = message.fields.into_iter().map(|field| {
            let counted = COUNTED.iter().any(|de| de.number() == field.number);
            let value = if counted { format!("({} characters)", field.value.len()) } else { field.value };
            (field.number, value)
        });
        Self { number: 0, line, direction, mti: message.mti, fields: shown.collect(), note }
    }

    pub(super) fn unreadable(line: u64, note: String) -> Self {
        let mti = String::new();
        Self { number: 0, line, direction: Direction::In, mti, fields: BTreeMap::new(), note }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No card number, track, PIN block, expiry or key is found anywhere in a logged message.
    #[test]
    fn the_log_shows_no_card_data() {
        let mut message = Message::new("0200");
        message.set(De::PAN, "6225880012345678").set(De::TRACK2, "6225880012345678D30122010000012345");
        message.set(De::PIN_BLOCK, [0x3F; 8]).set(De::EXPIRY, "3012").set(De::AMOUNT, "000000001000");
        message.set(De::ICC, [0x9F, 0x27, 1, 0x80]).set(De::PRIVATE_62, [7; 40]);
        let spoken = Spoken::message(1, Direction::In, &message, String::new());
        let text = serde_json::to_string(&spoken).unwrap();
        assert_eq!(spoken.fields[&2], "622588******5678");
        assert_eq!(spoken.fields[&4], "000000001000");
        for secret in ["6225880012345678", "3012", "3F3F", "0707"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

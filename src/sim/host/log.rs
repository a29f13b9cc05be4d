//! What was said on the lines, for testers: elements in clear where they may be shown, masked or counted where not.
use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::emv::tlv::Tag;
use crate::domain::iso8583::{De, Message};
use crate::domain::secret::Pan;
use crate::domain::unionpay::de55;

/// Elements that hold nothing secret. DE 48 may hold card numbers, DE 62 keys; those are counted only.
const CLEAR: [u8; 22] =
    [3, 4, 11, 12, 13, 15, 22, 23, 25, 26, 32, 37, 38, 39, 41, 42, 44, 49, 53, 60, 61, 63];
/// Tags that must not be in DE 55 and are not shown where they are: track 2, PAN, expiry, name.
const HIDDEN: [Tag; 4] = [Tag(0x57), Tag(0x5A), Tag(0x5F24), Tag(0x5F20)];

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
    /// Elements by number; texts in clear, secrets masked or as their length.
    pub fields: BTreeMap<u8, String>,
    /// In: the fault that a rule wants. Out: why it is a refusal. Else: why there was no message or answer.
    pub note: String,
}

impl Spoken {
    pub(super) fn message(line: u64, direction: Direction, message: &Message, note: String) -> Self {
        let fields = message.fields().map(|(de, value)| (de.number(), shown(de, value))).collect();
        Self { number: 0, line, direction, mti: message.mti().to_owned(), fields, note }
    }

    pub(super) fn unreadable(line: u64, note: String) -> Self {
        let mti = String::new();
        Self { number: 0, line, direction: Direction::In, mti, fields: BTreeMap::new(), note }
    }
}

fn shown(de: De, value: &[u8]) -> String {
    let text = || String::from_utf8_lossy(value).into_owned();
    match de {
        De::PAN => Pan::new(&text()).map(|pan| pan.masked()).unwrap_or_default(),
        De::ICC => chip(value),
        _ if CLEAR.contains(&de.number()) => text(),
        _ => format!("({} units)", value.len()),
    }
}

/// `9F26=1122334455667788 9F27=80 …`.
fn chip(value: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let Ok(objects) = de55::objects(value) else { return format!("({} bytes, not TLV)", value.len()) };
    let one = |object: de55::Object<'_>| {
        let value = if HIDDEN.contains(&object.tag) { "******".to_owned() } else { hex(object.value) };
        format!("{:X}={value}", object.tag.0)
    };
    objects.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No card number, track, PIN block or key is found anywhere in a logged message.
    #[test]
    fn the_log_shows_no_card_data() {
        let mut message = Message::new("0200");
        message.set(De::PAN, "6225880012345678").set(De::TRACK2, "6225880012345678D30122010000012345");
        message.set(De::PIN_BLOCK, [0x3F; 8]).set(De::EXPIRY, "3012").set(De::AMOUNT, "000000001000");
        message.set(De::ICC, [0x5A, 2, 0x62, 0x25, 0x9F, 0x27, 1, 0x80]).set(De::PRIVATE_62, [7; 40]);
        let spoken = Spoken::message(1, Direction::In, &message, String::new());
        let text = serde_json::to_string(&spoken).unwrap();
        assert_eq!(spoken.fields[&2], "622588******5678");
        assert_eq!(spoken.fields[&55], "5A=****** 9F27=80");
        assert_eq!(spoken.fields[&62], "(40 units)");
        for secret in ["6225880012345678", "D3012", "3012", "3F3F"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

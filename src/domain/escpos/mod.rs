//! ESC/POS for people: a stream of printer bytes as texts and commands with their places. posd's own slips and those of
//! others; what is not known is shown as bytes, and reading goes on behind it as a printer would.
//!
//! Source: Epson's reference of ESC/POS commands (names, lengths, parameters). Spec: unverified, except for the
//! commands that posd sends itself, which emulators of the tests understand as well.
mod table;
mod words;

use crate::domain::mask::{self, CardData};
use crate::domain::text::Bilingual;
use table::Extent;

/// One piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its first byte, from 0.
    pub offset: usize,
    /// Its bytes.
    pub length: usize,
    /// What it is.
    pub what: What,
}

/// What a piece is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Characters, read as GB18030; card numbers masked. What is no character stands as U+FFFD.
    Text(String),
    /// A command.
    Command(Command),
    /// Bytes that no known command begins with, in hexadecimal.
    Unknown(String),
}

/// A command that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As the reference writes it: `ESC a`, `GS ( H`.
    pub name: String,
    /// What it does.
    pub title: Bilingual,
    /// All bytes behind the name in hexadecimal, card numbers masked.
    pub parameters: String,
    /// What they say, where that is known.
    pub meaning: Option<Bilingual>,
}

/// The stream ends inside a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {name} is cut off: {left} bytes follow, {needed} or more are missing")]
pub struct Short {
    /// First byte of the command.
    pub offset: usize,
    /// The command.
    pub name: String,
    /// Bytes that are missing, at the least.
    pub needed: usize,
    /// Bytes behind its name.
    pub left: usize,
}

/// A stream as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its pieces in order, without gaps.
    pub steps: Vec<Step>,
    /// Why it ended early.
    pub failure: Option<Short>,
}

impl Stream {
    /// How many pieces are not known.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.steps.iter().filter(|step| matches!(step.what, What::Unknown(_))).count()
    }
}

/// Reads a stream; only a command that is cut off ends it early.
#[must_use]
pub fn read(bytes: &[u8], show: CardData) -> Stream {
    let mut stream = Stream::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let offset = bytes.len().saturating_sub(rest.len());
        let (what, length) = match next(rest, show) {
            Ok(found) => found,
            Err((name, needed, left)) => {
                stream.failure = Some(Short { offset, name, needed, left });
                break;
            }
        };
        // No piece is empty, so this ends.
        let length = length.clamp(1, rest.len());
        stream.steps.push(Step { offset, length, what });
        rest = rest.get(length..).unwrap_or_default();
    }
    stream
}

/// The first piece and its bytes, or name, missing bytes and present ones of a command that is cut off.
fn next(bytes: &[u8], show: CardData) -> Result<(What, usize), (String, usize, usize)> {
    // No byte of a GB18030 character is a control character, so a text ends where a command begins.
    let characters = bytes.iter().take_while(|byte| is_character(**byte)).count();
    if characters > 0 {
        return Ok((What::Text(text(bytes.get(..characters).unwrap_or_default(), show)), characters));
    }
    let Some(entry) = table::find(bytes) else {
        let lead = matches!(bytes, [0x10 | 0x1B..=0x1D, ..]);
        if let (true, [_]) = (lead, bytes) {
            return Err((table::name(bytes), 1, 0));
        }
        let length = if lead { 2 } else { 1 };
        return Ok((What::Unknown(mask::hex(bytes.get(..length).unwrap_or_default())), length));
    };
    let behind = bytes.get(entry.prefix.len()..).unwrap_or_default();
    let named = entry.prefix.len();
    match entry.shape.extent(behind) {
        Extent::Bytes(length) => match behind.get(..length) {
            Some(parameters) => {
                let command = Command {
                    name: table::name(entry.prefix),
                    title: Bilingual::of(entry.zh, entry.en),
                    parameters: hex(parameters, show),
                    meaning: words::meaning(entry.prefix, parameters, show),
                };
                Ok((What::Command(command), named.saturating_add(length)))
            }
            None => Err((table::name(entry.prefix), length.saturating_sub(behind.len()), behind.len())),
        },
        Extent::More => Err((table::name(entry.prefix), 1, behind.len())),
        Extent::Undefined => {
            let length = named.saturating_add(1).min(bytes.len());
            Ok((What::Unknown(mask::hex(bytes.get(..length).unwrap_or_default())), length))
        }
    }
}

const fn is_character(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7F
}

/// Characters as a person may see them.
fn text(bytes: &[u8], show: CardData) -> String {
    let (text, _) = encoding_rs::GB18030.decode_without_bom_handling(bytes);
    // Four bytes can make a control character, and a terminal would obey it.
    let plain: String = text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
    match show {
        CardData::Masked => mask::grouped(&plain),
        CardData::Clear => plain,
    }
}

fn hex(bytes: &[u8], show: CardData) -> String {
    match show {
        CardData::Masked => mask::hex_runs(bytes),
        CardData::Clear => mask::hex(bytes),
    }
}

#[cfg(test)]
mod tests;

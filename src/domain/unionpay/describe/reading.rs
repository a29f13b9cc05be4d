//! Finds the message in bytes that somebody copied from somewhere: with or without length, TPDU and header, packed or
//! in characters. Of all ways to read them the one that reads all is taken, else the one that comes furthest.
use super::words::{self, pair};
use super::{Described, Part, described};
use crate::domain::iso8583::{De, Dialect, Format, UnpackError, decode_partly, iso1987};
use crate::domain::mask::{CardData, hex};
use crate::domain::text::Bilingual;
use crate::domain::unionpay::dialect::DIALECT;
use std::sync::LazyLock;

/// What stands around a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coat<'a> {
    /// What the length in front says, and how many bytes follow it.
    pub length: Option<(usize, usize)>,
    /// Five bytes.
    pub tpdu: Option<&'a [u8]>,
    /// Six bytes.
    pub header: Option<&'a [u8]>,
    /// Bytes before the MTI.
    pub before: usize,
}

/// How bytes were read, and what came of it.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The message, as far as it was read; `None` if not even its type and bitmap were.
    pub message: Option<Described>,
    /// Why it ends early; offsets count from the MTI.
    pub failure: Option<UnpackError>,
    /// Bytes before the MTI in the reading that was taken.
    pub before: usize,
    /// What the length in front says and how many bytes follow, where they differ.
    pub wrong_length: Option<(usize, usize)>,
    /// Every way that was tried, such as `unionpay with length, TPDU, header`.
    pub tried: Vec<String>,
}

/// UnionPay's table with what some acquirers add: DE 47, whose content only they know.
static UNIONPAY: LazyLock<Dialect> = LazyLock::new(|| with(&DIALECT, &[(47, Format::bytes(999).lll())]));
/// Between hosts: characters, but bitmaps and keys as bytes (CUPS as public code writes it). Spec: unverified.
static CHARACTERS_AND_BYTES: LazyLock<Dialect> = LazyLock::new(|| {
    let bytes = Format::bytes(8);
    with(&iso1987::ASCII, &[(52, bytes), (64, bytes), (96, bytes), (128, bytes)])
        .with_forms(crate::domain::iso8583::Form::Ascii, crate::domain::iso8583::Form::Packed)
});

fn with(dialect: &Dialect, rows: &[(u8, Format)]) -> Dialect {
    rows.iter().fold(dialect.clone(), |dialect, (number, format)| match De::new(*number) {
        Some(de) => dialect.with(de, *format),
        None => dialect,
    })
}

/// Dialects by name, in the order in which they are tried.
fn dialects(wanted: Option<&Dialect>) -> Vec<&Dialect> {
    match wanted {
        Some(dialect) if dialect.name() == iso1987::ASCII.name() => vec![dialect, &CHARACTERS_AND_BYTES],
        Some(dialect) => vec![dialect],
        None => vec![&UNIONPAY, &iso1987::ASCII, &CHARACTERS_AND_BYTES],
    }
}

/// Reads bytes in every way that makes sense; in one dialect only if it is named.
#[must_use]
pub fn read(bytes: &[u8], show: CardData, wanted: Option<&Dialect>) -> Reading {
    let mut best = Reading { message: None, failure: None, before: 0, wrong_length: None, tried: Vec::new() };
    let mut best_score = None;
    let mut tried = Vec::new();
    for dialect in dialects(wanted) {
        for coat in coats(bytes) {
            let variant =
                if core::ptr::eq(dialect, &*CHARACTERS_AND_BYTES) { " (binary bitmap)" } else { "" };
            tried.push(coat.name(&format!("{}{variant}", dialect.name())));
            let body = bytes.get(coat.before..).unwrap_or_default();
            let (view, failure) = match decode_partly(dialect, body) {
                Ok((view, failure)) => (Some(view), failure),
                Err(failure) => (None, Some(failure)),
            };
            let agrees = coat.length.is_none_or(|(said, there)| said == there);
            let known = view
                .as_ref()
                .is_some_and(|view| words::message_type(view.mti()).1 != words::message_type("").1);
            let count = view.as_ref().map_or(0, |view| view.count());
            let reached = failure.map_or(usize::MAX, |failure| failure.offset());
            let score =
                (failure.is_none() && agrees, failure.is_none(), known, view.is_some(), count, reached);
            if best_score.is_none_or(|best| score > best) {
                best_score = Some(score);
                best.message = view.map(|view| {
                    let values: Vec<_> =
                        view.fields().map(|field| (field.de, field.units().collect())).collect();
                    described(view.mti(), &values, dialect, &coat, show)
                });
                best.failure = failure;
                best.before = coat.before;
                best.wrong_length = coat.length.filter(|(said, there)| said != there);
            }
        }
    }
    tried.dedup();
    best.tried = tried;
    best
}

/// Every way in which a message may begin in these bytes.
fn coats(bytes: &[u8]) -> Vec<Coat<'_>> {
    let mut found = Vec::new();
    let mut starts = vec![(0, None)];
    if let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        starts.push((2, Some((usize::from(u16::from_be_bytes(*length)), rest.len()))));
    }
    if let Some((digits, rest)) = bytes.split_first_chunk::<4>() {
        let said = core::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
        // A message in characters begins with digits, too: only a length that fits is one.
        if let Some(said) = said.filter(|said| *said == rest.len()) {
            starts.push((4, Some((said, rest.len()))));
        }
    }
    for (start, length) in starts {
        let rest = bytes.get(start..).unwrap_or_default();
        let fits = length.is_none_or(|(said, there)| said == there);
        let framed = rest.first() == Some(&0x60);
        if let (true, Some((tpdu, rest))) = (framed, rest.split_at_checked(5)) {
            if let Some((header, _)) = rest.split_at_checked(6) {
                found.push(Coat {
                    length,
                    tpdu: Some(tpdu),
                    header: Some(header),
                    before: start.saturating_add(11),
                });
            }
            if fits {
                found.push(Coat { length, tpdu: Some(tpdu), header: None, before: start.saturating_add(5) });
            }
        }
        if fits {
            found.push(Coat { length, tpdu: None, header: None, before: start });
        }
    }
    found
}

impl Coat<'_> {
    /// The way it is read, for people who want to know what was tried.
    fn name(&self, dialect: &str) -> String {
        let mut with = Vec::new();
        if self.length.is_some() {
            with.push("length");
        }
        if self.tpdu.is_some() {
            with.push("TPDU");
        }
        if self.header.is_some() {
            with.push("header");
        }
        if with.is_empty() {
            format!("{dialect}, bare")
        } else {
            format!("{dialect} with {}", with.join(", "))
        }
    }

    /// What TPDU and header say.
    pub(super) fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut put = |key: &str, name, value: String, meaning| {
            parts.push(Part { key: key.to_owned(), name: pair(name), value, meaning });
        };
        if let Some([_, a, b, c, d]) = self.tpdu {
            put("TPDU.1", ("目的地址", "destination"), hex(&[*a, *b]), None);
            put("TPDU.2", ("源地址", "source"), hex(&[*c, *d]), None);
        }
        if let Some(header) = self.header {
            let digits = hex(header);
            let digit = |at: usize| digits.chars().nth(at).unwrap_or('?');
            let text = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
            let kind = words::application_type(&text(0, 2));
            put("H.1-2", ("应用类别", "application type"), text(0, 2), Some(pair(kind)));
            put("H.3-4", ("软件总版本号", "software version"), text(2, 4), None);
            let state = match digit(4) {
                '0' => Some(("正常", "normal")),
                '1' => Some(("测试/训练", "test or training")),
                _ => None,
            };
            put("H.5", ("终端状态", "terminal state"), text(4, 5), state.map(pair));
            let request = pair(words::header_request(digit(5)));
            put("H.6", ("处理要求", "request of the host"), text(5, 6), Some(request));
            put("H.7-12", ("保留/软件分版本号", "reserved, or sub-version"), text(6, 12), None::<Bilingual>);
        }
        parts
    }
}

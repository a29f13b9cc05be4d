//! Messages and tracks decoded for people: what `posctl decode` shows. Card data is masked unless asked for.
//!
//! Plain structs only; text and JSON are the command line's job. A message is recognised in any of its coats
//! ([`reading`]); a broken one is told up to where it breaks. What is card data is known by element (2, 35, 36, 52), by
//! tag in DE 55, and by form in the private elements ([`hide`]).
mod hide;
mod parts;
mod private;
mod reading;
mod track;
mod words;

pub use crate::domain::mask::CardData;
pub use reading::{Coat, Reading, read};
pub use track::{DescribedTrack2, track2};

use super::dialect::DIALECT;
use crate::domain::emv::describe as objects;
use crate::domain::iso8583::{De, Dialect, UnpackError};
use crate::domain::mask::{self, hex};
use crate::domain::money::Currency;
use crate::domain::text::Bilingual;
use hide::printable;

/// A message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Name of the dialect.
    pub dialect: &'static str,
    /// Four digits.
    pub mti: String,
    /// What the message is: its type, and by field 60 which transaction.
    pub title: Bilingual,
    /// Ten hexadecimal digits, if the input had a TPDU.
    pub tpdu: Option<String>,
    /// Twelve hexadecimal digits, if the input had a header.
    pub header: Option<String>,
    /// What TPDU and header say.
    pub envelope: Vec<Part>,
    /// Elements in ascending order.
    pub fields: Vec<DescribedField>,
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedField {
    /// Its number, 2 to 128.
    pub number: u8,
    /// Its name, English.
    pub name: &'static str,
    /// Its name in both languages.
    pub title: Bilingual,
    /// Digits and characters as they are (bytes beyond ASCII as `\xNN`), binary elements in upper-case
    /// hexadecimal; hidden characters are `*`.
    pub value: String,
    /// What the value says as a whole.
    pub meaning: Option<Bilingual>,
    /// Its sub-fields.
    pub parts: Vec<Part>,
    /// Data objects inside DE 55 and DE 62; empty for other elements.
    pub objects: Vec<objects::Described>,
}

/// A part of an element, or of what stands before the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `60.1`, or a tag of DE 59.
    pub key: String,
    /// Its name.
    pub name: Bilingual,
    /// Its value; hidden characters are `*`.
    pub value: String,
    /// What the value says.
    pub meaning: Option<Bilingual>,
}

/// What the parts of one message need to know of the whole.
struct Shown<'a> {
    mti: &'a str,
    /// 60.3, empty where there is none.
    management_code: String,
    currency: Option<Currency>,
    show: CardData,
    is_unionpay: bool,
}

/// Decodes a message, with or without the two length bytes, with or without TPDU and header, in any dialect that is
/// known.
///
/// # Errors
/// Why the bytes are not a message, offsets counted from the MTI.
pub fn message(bytes: &[u8], show: CardData) -> Result<Described, UnpackError> {
    let reading = read(bytes, show, None);
    match (reading.message, reading.failure) {
        (Some(message), None) => Ok(message),
        (_, Some(failure)) => Err(failure),
        (None, None) => Err(UnpackError::Oversize { length: bytes.len() }),
    }
}

/// Describes a message that is unpacked already, by whatever dialect.
#[cfg(feature = "sim")]
#[must_use]
pub fn unpacked(message: &crate::domain::iso8583::Message, show: CardData) -> Described {
    let values: Vec<(De, Vec<u8>)> = message.fields().map(|(de, value)| (de, value.to_vec())).collect();
    described(message.mti(), &values, &DIALECT, &Coat::default(), show)
}

/// A message that was read, in full or in part.
fn described(
    mti: &str,
    values: &[(De, Vec<u8>)],
    dialect: &Dialect,
    coat: &Coat<'_>,
    show: CardData,
) -> Described {
    let value = |de: De| values.iter().find(|(number, _)| *number == de).map(|(_, value)| value.as_slice());
    let text = |de: De| value(de).and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default();
    let shown = Shown {
        mti,
        management_code: text(De::PRIVATE_60).get(8..11).unwrap_or_default().to_owned(),
        currency: Currency::from_numeric3(text(De::CURRENCY)),
        show,
        is_unionpay: dialect.name() == DIALECT.name(),
    };
    let known = hide::Known::of(values.iter().map(|(de, value)| (*de, value.as_slice())));
    let mut fields: Vec<DescribedField> =
        values.iter().map(|(de, value)| described_field(&shown, dialect, *de, value)).collect();
    let mut envelope = coat.parts();
    if show == CardData::Masked {
        fields.iter_mut().for_each(|field| hide_known(&known, field));
        envelope.iter_mut().for_each(|part| known.hide(&mut part.value));
    }
    let hidden = |bytes: &[u8]| {
        let mut text = hex(bytes);
        if show == CardData::Masked {
            known.hide(&mut text);
        }
        text
    };
    Described {
        dialect: dialect.name(),
        mti: mti.to_owned(),
        title: title(mti, text(De::PRIVATE_60)),
        tpdu: coat.tpdu.map(hidden),
        header: coat.header.map(hidden),
        envelope,
        fields,
    }
}

/// Message type, and by 60.1 and 60.3 which transaction.
fn title(mti: &str, private_60: &str) -> Bilingual {
    let kind = words::message_type(mti);
    let code = private_60.get(8..11).filter(|code| *code != "000").and_then(words::management_code);
    let which = code.or_else(|| private_60.get(..2).filter(|kind| *kind != "00").and_then(words::type_code));
    match which {
        Some((zh, en)) => Bilingual { zh: format!("{} · {zh}", kind.0), en: format!("{} · {en}", kind.1) },
        None => words::pair(kind),
    }
}

fn described_field(shown: &Shown<'_>, dialect: &Dialect, de: De, value: &[u8]) -> DescribedField {
    let element = dialect.element(de);
    let in_hex = element.is_some_and(|element| element.format.encoding.is_binary());
    let name = element.map_or("", |element| element.name);
    let title = Bilingual::of(words::element_zh(de.number()).unwrap_or(name), name);
    let text = if shown.show == CardData::Clear {
        if in_hex { hex(value) } else { printable(value) }
    } else {
        hidden(shown, de, value, in_hex)
    };
    let mut told = DescribedField {
        number: de.number(),
        name,
        title,
        value: text,
        meaning: None,
        parts: vec![],
        objects: vec![],
    };
    if !told.value.contains('*') || matches!(de, De::ADDITIONAL_DATA | De::ORIGINAL) {
        told.meaning = parts::meaning(shown, de, value);
    }
    if !shown.is_unionpay {
        return told;
    }
    match de {
        De::ICC => told.objects = objects::describe(value, shown.show).objects,
        De::PRIVATE_62 => (told.parts, told.objects) = private::parts_62(shown, value),
        _ => {
            // Nothing was hidden in the whole, so nothing is in its parts.
            let show = if told.value.contains('*') { shown.show } else { CardData::Clear };
            let parts = parts::of(shown, show, de, value).or_else(|| private::parts(shown, de, value));
            told.parts = parts.unwrap_or_default();
        }
    }
    told
}

/// The value of an element with card data hidden.
fn hidden(shown: &Shown<'_>, de: De, value: &[u8], in_hex: bool) -> String {
    let stars = |each: usize| "*".repeat(value.len().saturating_mul(each));
    let text = || printable(value);
    // Tracks and numbers of cards and accounts, keys: in every dialect.
    match de.number() {
        2 => return mask::number(&text()),
        35 => return mask::track(&text()),
        34 | 36 | 45 | 102 | 103 => return stars(1),
        52 | 96 => return stars(2),
        // Characters of a MAC are hexadecimal digits.
        64 | 128 if value.iter().all(u8::is_ascii_hexdigit) => return hex(value),
        64 | 128 => return mask::cards(&hex(value)),
        _ => {}
    }
    match de {
        De::ICC if in_hex => hide::icc(value),
        De::PRIVATE_62 if shown.is_unionpay => private::value_62(shown, value),
        De::EXTENSION if shown.is_unionpay => private::value_59(value),
        De::ADDITIONAL_DATA if hide::is_batch_detail(shown.mti, value) => hide::batch_detail(&text()),
        _ if hide::has_known_form(shown.mti, shown.is_unionpay, de, value) => text(),
        _ if in_hex => mask::hex_runs(value),
        _ => mask::runs(value, printable),
    }
}

fn hide_known(known: &hide::Known, field: &mut DescribedField) {
    known.hide(&mut field.value);
    for part in &mut field.parts {
        known.hide(&mut part.value);
        if let Some(meaning) = &mut part.meaning {
            known.hide(&mut meaning.zh);
            known.hide(&mut meaning.en);
        }
    }
    if let Some(meaning) = &mut field.meaning {
        known.hide(&mut meaning.zh);
        known.hide(&mut meaning.en);
    }
    field.objects.iter_mut().for_each(|object| hide_in_object(known, object));
}

fn hide_in_object(known: &hide::Known, object: &mut objects::Described) {
    if let Some(value) = &mut object.value {
        known.hide(value);
    }
    for line in &mut object.meaning {
        known.hide(&mut line.zh);
        known.hide(&mut line.en);
    }
    object.children.iter_mut().for_each(|child| hide_in_object(known, child));
}

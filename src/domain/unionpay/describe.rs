//! Messages and tracks decoded for people: what `posctl decode` shows. Card data is masked unless asked for.
//!
//! Plain structs only; text and JSON are the command line's job. What is card data is known by element (2,
//! 35, 36, 52), by tag in DE 55, and by form in the private elements: "as far as recognisable" is not a
//! promise for elements whose content only one acquirer knows.
use super::de55::objects;
use super::dialect::DIALECT;
use super::host_text;
use crate::domain::emv::tlv::Tag;
use crate::domain::iso8583::{De, Frame, Message, UnpackError, unpack};
use crate::domain::secret::{Pan, SecretError, Track2};

/// Whether card data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardData {
    /// First six and last four digits of card numbers; tracks and PIN blocks not at all.
    Masked,
    /// Everything in clear, because a person asked for it.
    Clear,
}

/// A message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Four digits.
    pub mti: String,
    /// Ten hexadecimal digits, if the input had a TPDU.
    pub tpdu: Option<String>,
    /// Twelve hexadecimal digits, if the input had a header.
    pub header: Option<String>,
    /// Elements in ascending order.
    pub fields: Vec<DescribedField>,
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedField {
    /// Its number, 2 to 64.
    pub number: u8,
    /// Its name, English.
    pub name: &'static str,
    /// Digits and characters as they are (bytes beyond ASCII as `\xNN`), binary elements in upper-case
    /// hexadecimal; hidden characters are `*`.
    pub value: String,
    /// Objects inside DE 55, outermost level; empty for other elements and where it cannot be read.
    pub objects: Vec<DescribedObject>,
}

/// One object of DE 55.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedObject {
    /// Upper-case hexadecimal.
    pub tag: String,
    /// Upper-case hexadecimal; hidden digits are `*`.
    pub value: String,
}

/// Decodes a message, with or without the two length bytes, with or without TPDU and header.
///
/// A length that fits the input and a TPDU that begins with `60` are recognised; no message type begins so.
///
/// # Errors
/// Why the bytes are not a message, offsets counted from the MTI.
pub fn message(bytes: &[u8], show: CardData) -> Result<Described, UnpackError> {
    let frame = match bytes.split_first_chunk() {
        Some((length, rest)) if usize::from(u16::from_be_bytes(*length)) == rest.len() => rest,
        _ => bytes,
    };
    let framed = frame.first().filter(|first| **first == 0x60).and_then(|_| Frame::parse(frame).ok());
    let unpacked = match &framed {
        Some(framed) => unpack(&DIALECT, &framed.message),
        None => unpack(&DIALECT, frame),
    };
    match unpacked {
        Ok(message) => {
            let addresses = framed.as_ref().map(|f| (hex(&f.tpdu), hex(&f.header)));
            Ok(described(&message, addresses, show))
        }
        // The first two bytes of a bare message can look like its length.
        Err(error) => match unpack(&DIALECT, bytes) {
            Ok(message) => Ok(described(&message, None, show)),
            Err(_) => Err(error),
        },
    }
}

/// Describes a message that is unpacked already, by whatever dialect.
#[cfg(feature = "sim")]
#[must_use]
pub fn unpacked(message: &Message, show: CardData) -> Described {
    described(message, None, show)
}

/// Track 2 for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTrack2 {
    /// The card number, masked unless asked for.
    pub pan: String,
    /// `YYMM`.
    pub expiry: Option<String>,
    /// Three digits; a first digit of 2 or 6 says that the card has a chip.
    pub service_code: Option<String>,
}

/// Decodes track 2: with or without the sentinels `;` and `?`, separator `=` or `D`. Issuer's own digits are
/// not shown.
///
/// # Errors
/// [`SecretError`]: the text is no track 2.
pub fn track2(text: &str, show: CardData) -> Result<DescribedTrack2, SecretError> {
    let text = text.trim();
    let text = text.strip_prefix(';').unwrap_or(text);
    // A check character may follow the end sentinel.
    let track = Track2::new(text.split('?').next().unwrap_or(text))?;
    let pan = track.pan()?;
    Ok(DescribedTrack2 {
        pan: if show == CardData::Clear { pan.reveal().to_owned() } else { pan.masked() },
        expiry: track.expiry(),
        service_code: track.service_code(),
    })
}

fn described(message: &Message, addresses: Option<(String, String)>, show: CardData) -> Described {
    let (tpdu, header) = addresses.unzip();
    let fields = message.fields().map(|(de, value)| field(message.mti(), de, value, show)).collect();
    Described { mti: message.mti().to_owned(), tpdu, header, fields }
}

fn field(mti: &str, de: De, value: &[u8], show: CardData) -> DescribedField {
    let element = DIALECT.element(de);
    let in_hex = element.is_some_and(|element| element.format.encoding.is_binary());
    let clear = |value: &[u8]| if in_hex { hex(value) } else { printable(value) };
    let value_shown = match (show, de) {
        (CardData::Clear, _) => clear(value),
        (_, De::PAN) => mask_number(&printable(value)),
        (_, De::TRACK2) => mask_track(&printable(value)),
        (_, De::TRACK3) => "*".repeat(value.len()),
        (_, De::PIN_BLOCK) => "*".repeat(value.len().saturating_mul(2)),
        (_, De::ICC) => mask_objects(value, DEPTH_MAX),
        (_, De::ADDITIONAL_DATA) => mask_batch_detail(mti, &printable(value)),
        (_, De::ACQUIRER_PRIVATE | De::PURSE | De::PRIVATE_62 | De::PRIVATE_63) => {
            mask_runs(value, 19, clear)
        }
        // A scanned code stands right behind the digits of its length.
        (_, De::EXTENSION) => mask_runs(value, usize::MAX, clear),
        _ => clear(value),
    };
    let found = if de == De::ICC { objects(value).unwrap_or_default() } else { Vec::new() };
    let described = found.iter().map(|object| DescribedObject {
        tag: format!("{:?}", object.tag),
        value: match show {
            CardData::Clear => hex(object.value),
            CardData::Masked => mask_object(object.tag, object.constructed, object.value, DEPTH_MAX),
        },
    });
    let name = element.map_or("", |element| element.name);
    DescribedField { number: de.number(), name, value: value_shown, objects: described.collect() }
}

/// Templates nested deeper than this are hidden as a whole.
const DEPTH_MAX: usize = 4;

/// Objects that name the card or its holder and are hidden as a whole: track 1, track 1 and 2 discretionary
/// data, the holder's name, PIN data. EMV 4.4 Book 3 Annex A; 56 and 9F6B of magnetic-stripe mode Spec:
/// unverified.
const HIDDEN: &[Tag] =
    &[Tag(0x56), Tag(0x9F6B), Tag(0x9F1F), Tag(0x9F20), Tag(0x5F20), Tag(0x9F0B), Tag(0x99)];

/// DE 55 in hexadecimal with the values of card data hidden; all of it where it cannot be read.
fn mask_objects(data: &[u8], depth: usize) -> String {
    match objects(data) {
        Ok(found) if depth > 0 => {
            let masked = found.iter().map(|object| {
                let head = object.whole.len().saturating_sub(object.value.len());
                let head = hex(object.whole.get(..head).unwrap_or_default());
                head + &mask_object(object.tag, object.constructed, object.value, depth)
            });
            masked.collect()
        }
        _ => "*".repeat(data.len().saturating_mul(2)),
    }
}

fn mask_object(tag: Tag, constructed: bool, value: &[u8], depth: usize) -> String {
    let text = hex(value);
    match tag {
        Tag(0x5A) => mask_number(text.trim_end_matches('F')),
        Tag(0x57) => mask_track(&text),
        tag if HIDDEN.contains(&tag) => "*".repeat(text.len()),
        _ if constructed => mask_objects(value, depth.saturating_sub(1)),
        _ => text,
    }
}

/// First six and last four digits; everything hidden where it is not a card number.
fn mask_number(digits: &str) -> String {
    Pan::new(digits).map_or_else(|_| "*".repeat(digits.len()), |pan| pan.masked())
}

/// The masked card number; all behind the separator is hidden, the length kept.
fn mask_track(track: &str) -> String {
    match track.split_once(['D', '=']) {
        Some((number, rest)) => format!("{}D{}", mask_number(number), "*".repeat(rest.len())),
        None => "*".repeat(track.len()),
    }
}

/// DE 48 of a batch upload: a count of two digits, then records of class 2, STAN 6, card number 20 (left
/// zeros) and amount 12; of the card number the last four digits stay. Elsewhere hidden only if it is as long
/// as a card number.
fn mask_batch_detail(mti: &str, digits: &str) -> String {
    if mti == "0320" && digits.len() > 2 && digits.len() % 40 == 2 {
        let hidden = |at: usize| at.checked_sub(2).is_some_and(|at| (8..24).contains(&(at % 40)));
        return digits.char_indices().map(|(at, c)| if hidden(at) { '*' } else { c }).collect();
    }
    if (13..=19).contains(&digits.len()) { mask_number(digits) } else { digits.to_owned() }
}

/// Hides the middle of every run of 13 to `most` ASCII digits: it may be a card number.
fn mask_runs(value: &[u8], most: usize, show: impl Fn(&[u8]) -> String) -> String {
    let runs = value.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let masked = runs.map(|run| {
        let parts = run
            .split_at_checked(6)
            .and_then(|(head, rest)| rest.split_last_chunk::<4>().map(|(middle, tail)| (head, middle, tail)));
        match parts {
            Some((head, middle, tail))
                if run.first().is_some_and(u8::is_ascii_digit) && (13..=most).contains(&run.len()) =>
            {
                show(head) + &"*".repeat(show(middle).len()) + &show(tail)
            }
            _ => show(run),
        }
    });
    masked.collect()
}

/// Upper-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Characters as they are, those of GBK too, everything else as `\xNN`.
fn printable(bytes: &[u8]) -> String {
    let text = bytes.trim_ascii_end();
    if !text.is_ascii()
        && let Some(shown) = host_text(text)
    {
        let filled = " ".repeat(bytes.len().saturating_sub(text.len()));
        return shown.replace('\\', "\\\\") + &filled;
    }
    let shown = bytes.iter().map(|byte| match byte {
        b'\\' => "\\\\".to_owned(),
        0x20..0x7F => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number is recognised in the middle of other text, in characters and in hexadecimal alike.
    #[test]
    fn card_numbers_inside_texts_are_hidden() {
        assert_eq!(mask_runs(b"A 6225880012345678 B", 19, printable), "A 622588******5678 B");
        assert_eq!(mask_runs(b"6225880012345678", 19, hex), "363232353838************35363738");
        assert_eq!(mask_runs(b"123456789012", 19, printable), "123456789012");
        assert_eq!(mask_runs(b"A30196222000000000000001", 99, printable), "A301962*************0001");
        assert_eq!(mask_runs(b"\xB9\xA4\\  ", 19, printable), "工\\\\  ");
        assert_eq!(mask_runs(b"\xB9\\", 19, printable), "筡", "a backslash may be half a character");
        assert_eq!(mask_runs(b"\xB9 \\", 19, printable), "\\xB9 \\\\");
    }

    /// Card objects are hidden wherever they stand; what cannot be read is hidden whole.
    #[test]
    fn card_objects_inside_chip_data_are_hidden() {
        let data = [0x5A, 8, 0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x78, 0x9A, 1, 0x26];
        assert_eq!(mask_objects(&data, DEPTH_MAX), "5A08622588******56789A0126");
        let nested = [&[0x70, 13][..], &data].concat();
        assert_eq!(mask_objects(&nested, DEPTH_MAX), "700D5A08622588******56789A0126");
        assert_eq!(mask_objects(&[0x5A, 9, 1], DEPTH_MAX), "******");
        let track = [0x57, 11, 0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x78, 0xD3, 0x01, 0x2F];
        assert_eq!(mask_objects(&track, DEPTH_MAX), "570B622588******5678D*****");
    }

    #[test]
    fn track_2_is_decoded_with_and_without_sentinels() {
        let check = |text| {
            let track = track2(text, CardData::Masked).unwrap();
            assert_eq!(track.pan, "622588******5678");
            assert_eq!((track.expiry.as_deref(), track.service_code.as_deref()), (Some("3012"), Some("101")));
        };
        check("6225880012345678D30121010000012345678");
        check(";6225880012345678=30121010000012345678?4\n");
        assert_eq!(track2("6225880012345678=3012101", CardData::Clear).unwrap().pan, "6225880012345678");
        assert!(track2("hello", CardData::Masked).is_err());
        assert!(track2("", CardData::Masked).is_err());
    }
}

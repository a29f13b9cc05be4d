//! Packing and unpacking by table. Bytes from outside are bounded by the table and never make this panic.
//!
//! `pack(unpack(bytes)) == bytes` for every accepted input, fillers included, and `unpack(pack(message)) ==
//! message`. Source: ISO 8583:1987 (bitmap, LLVAR, LLLVAR); packed digits and the sides of fillers as
//! UnionPay terminals write them (public terminal code, two sources agreeing); Spec: unverified.
use super::element::De;
use super::format::{Dialect, Encoding, Filler, Format, Prefix};
use super::message::Message;
use core::fmt;

/// A part of a message, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Message type indicator.
    Mti,
    /// Primary bitmap.
    Bitmap,
    /// A data element, its length prefix included.
    Element(De),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mti => f.write_str("MTI"),
            Self::Bitmap => f.write_str("bitmap"),
            Self::Element(de) => write!(f, "{de}"),
        }
    }
}

/// Why bytes are not a message of the dialect. Offsets count bytes from the MTI; values are never quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The message ends inside a part.
    #[error("{part} at byte {offset}: needs {needed} bytes, {left} left")]
    Short {
        /// Where.
        part: Part,
        /// First byte of what is missing.
        offset: usize,
        /// Bytes wanted.
        needed: usize,
        /// Bytes there.
        left: usize,
    },
    /// Bit 1 is set, but the dialect has one bitmap only.
    #[error("the message names a secondary bitmap, which this dialect does not have")]
    SecondaryBitmap,
    /// The bitmap names an element the dialect does not define.
    #[error("{de} at byte {offset} is not defined in this dialect")]
    Undefined {
        /// Which.
        de: De,
        /// Where it would begin.
        offset: usize,
    },
    /// A length prefix above the maximum.
    #[error("{de} at byte {offset}: length {length}, at most {max} are allowed")]
    TooLong {
        /// Which.
        de: De,
        /// Where its prefix stands.
        offset: usize,
        /// What the prefix says.
        length: usize,
        /// What the dialect allows.
        max: usize,
    },
    /// A nibble above nine among decimal digits.
    #[error("{part} at byte {offset}: not decimal digits")]
    NotDigits {
        /// Where.
        part: Part,
        /// First byte of the digits.
        offset: usize,
    },
    /// The filler nibble is neither 0 nor F.
    #[error("{de} at byte {offset}: the filler is neither 0 nor F")]
    BadFiller {
        /// Which.
        de: De,
        /// First byte of its value.
        offset: usize,
    },
    /// Bytes after the last element.
    #[error("{left} bytes too many at byte {offset}")]
    Trailing {
        /// First byte too many.
        offset: usize,
        /// How many.
        left: usize,
    },
}

/// Why a message cannot be packed. Values are never quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The MTI is not four digits.
    #[error("the MTI must be four digits")]
    Mti,
    /// The dialect does not define the element.
    #[error("{0} is not defined in this dialect")]
    Undefined(De),
    /// The value is too long, or not of the fixed length.
    #[error("{de}: {length} units, {max} are allowed")]
    Length {
        /// Which.
        de: De,
        /// Units of the value.
        length: usize,
        /// Most, or the exact count of a fixed element.
        max: usize,
    },
    /// Something else than (hexadecimal) digits in a packed element.
    #[error("{0} must have digits only")]
    NotDigits(De),
}

/// Reads one whole message, MTI to last element, by the dialect's table.
///
/// # Errors
/// [`UnpackError`] names part, place and need. Nothing is guessed or skipped.
pub fn unpack(dialect: &Dialect, bytes: &[u8]) -> Result<Message, UnpackError> {
    let mut rest = Cursor { bytes, offset: 0 };
    let mti = rest.take(Part::Mti, 2)?;
    let mti = digits(mti, 10).ok_or(UnpackError::NotDigits { part: Part::Mti, offset: 0 })?;
    let bitmap = rest.take(Part::Bitmap, 8)?;
    let bitmap = bitmap.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    let mut message = Message::new(core::str::from_utf8(&mti).unwrap_or_default());
    for de in (1..=64).filter_map(De::new).filter(|de| bitmap & de.bit() != 0) {
        if de.number() == 1 {
            return Err(UnpackError::SecondaryBitmap);
        }
        let offset = rest.offset;
        let format = dialect.element(de).ok_or(UnpackError::Undefined { de, offset })?.format;
        let (value, filled_with_f) = rest.value(de, format)?;
        message.set(de, value);
        if filled_with_f {
            message.filled_with_f |= de.bit();
        }
    }
    match rest.bytes.len() {
        0 => Ok(message),
        left => Err(UnpackError::Trailing { offset: rest.offset, left }),
    }
}

/// Writes a message, MTI to last element, by the dialect's table.
///
/// # Errors
/// [`PackError`]: a value does not have the form of its element.
pub fn pack(dialect: &Dialect, message: &Message) -> Result<Vec<u8>, PackError> {
    let mti = message.mti().as_bytes();
    if mti.len() != 4 || !mti.iter().all(u8::is_ascii_digit) {
        return Err(PackError::Mti);
    }
    let mut out = nibbles_to_bytes(mti.iter().copied());
    let bitmap = message.fields().fold(0_u64, |bits, (de, _)| bits | de.bit());
    out.extend_from_slice(&bitmap.to_be_bytes());
    for (de, value) in message.fields() {
        let format = dialect.element(de).ok_or(PackError::Undefined(de))?.format;
        let fixed = format.prefix == Prefix::Fixed;
        if value.len() > format.max || (fixed && value.len() != format.max) {
            return Err(PackError::Length { de, length: value.len(), max: format.max });
        }
        out.extend(prefix_bytes(format.prefix, value.len()));
        let filler = if message.filled_with_f & de.bit() == 0 { b'0' } else { b'F' };
        match format.encoding {
            Encoding::Text | Encoding::Bytes => out.extend_from_slice(value),
            Encoding::Digits | Encoding::Nibbles => {
                let radix = radix(format.encoding);
                // Upper case only: the reader gives upper case back, and both directions must agree.
                if !value.iter().all(|c| char::from(*c).is_digit(radix) && !c.is_ascii_lowercase()) {
                    return Err(PackError::NotDigits(de));
                }
                let odd = (value.len() % 2 == 1).then_some(filler);
                let (before, after) = match format.filler {
                    Filler::Before => (odd, None),
                    Filler::After => (None, odd),
                };
                let nibbles = before.into_iter().chain(value.iter().copied()).chain(after);
                out.extend(nibbles_to_bytes(nibbles));
            }
        }
    }
    Ok(out)
}

const fn radix(encoding: Encoding) -> u32 {
    if matches!(encoding, Encoding::Digits) { 10 } else { 16 }
}

/// What is left of the input, and how far we are.
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, part: Part, needed: usize) -> Result<&'a [u8], UnpackError> {
        let (offset, left) = (self.offset, self.bytes.len());
        let short = UnpackError::Short { part, offset, needed, left };
        let (taken, rest) = self.bytes.split_at_checked(needed).ok_or(short)?;
        self.bytes = rest;
        self.offset = offset.saturating_add(needed);
        Ok(taken)
    }

    /// One value and whether its filler was F.
    fn value(&mut self, de: De, format: Format) -> Result<(Vec<u8>, bool), UnpackError> {
        let part = Part::Element(de);
        let length = self.length(de, format)?;
        let offset = self.offset;
        if matches!(format.encoding, Encoding::Text | Encoding::Bytes) {
            return Ok((self.take(part, length)?.to_vec(), false));
        }
        let packed = bytes_to_nibbles(self.take(part, length.div_ceil(2))?);
        let nothing = (None, [].as_slice());
        let (filler, value) = match (length % 2 == 1, format.filler) {
            (false, _) => (None, packed.as_slice()),
            (true, Filler::Before) => packed.split_first().map_or(nothing, |(f, rest)| (Some(*f), rest)),
            (true, Filler::After) => packed.split_last().map_or(nothing, |(f, rest)| (Some(*f), rest)),
        };
        let filled_with_f = match filler {
            None | Some(b'0') => false,
            Some(b'F') => true,
            Some(_) => return Err(UnpackError::BadFiller { de, offset }),
        };
        let radix = radix(format.encoding);
        if value.iter().all(|c| char::from(*c).is_digit(radix)) {
            Ok((value.to_vec(), filled_with_f))
        } else {
            Err(UnpackError::NotDigits { part, offset })
        }
    }

    /// Units of the value, from its prefix or the table.
    fn length(&mut self, de: De, format: Format) -> Result<usize, UnpackError> {
        let (part, offset) = (Part::Element(de), self.offset);
        let prefix = match format.prefix {
            Prefix::Fixed => return Ok(format.max),
            Prefix::Ll => self.take(part, 1)?,
            Prefix::Lll => self.take(part, 2)?,
        };
        let digits = digits(prefix, 10).ok_or(UnpackError::NotDigits { part, offset })?;
        // At most four decimal digits: neither step can overflow.
        let length = digits.iter().fold(0, |n: usize, c| n * 10 + usize::from(c - b'0'));
        let max = format.max;
        if length > max { Err(UnpackError::TooLong { de, offset, length, max }) } else { Ok(length) }
    }
}

/// The length prefix in packed digits. The table keeps `length` within the prefix.
fn prefix_bytes(prefix: Prefix, length: usize) -> Vec<u8> {
    let text = match prefix {
        Prefix::Fixed => String::new(),
        Prefix::Ll => format!("{length:02}"),
        Prefix::Lll => format!("{length:04}"),
    };
    nibbles_to_bytes(text.bytes())
}

/// Packed digits as characters; `None` if one is not below `radix`.
fn digits(packed: &[u8], radix: u32) -> Option<Vec<u8>> {
    let digits = bytes_to_nibbles(packed);
    digits.iter().all(|c| char::from(*c).is_digit(radix)).then_some(digits)
}

/// Each byte as two upper-case hexadecimal characters.
fn bytes_to_nibbles(bytes: &[u8]) -> Vec<u8> {
    let character = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + (nibble - 10) };
    bytes.iter().flat_map(|byte| [character(byte >> 4), character(byte & 0x0F)]).collect()
}

/// Pairs of hexadecimal characters as bytes. Callers pass an even count of checked characters.
fn nibbles_to_bytes(characters: impl Iterator<Item = u8>) -> Vec<u8> {
    let value = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
    let mut out = Vec::new();
    let mut high = None;
    for c in characters {
        match high.take() {
            None => high = Some(value(c) << 4),
            Some(left) => out.push(left | value(c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::iso8583::Element;
    use proptest::prelude::*;

    const fn row(de: De, format: Format) -> Element {
        Element { de, name: "", format }
    }

    /// One element of each kind, fixed and variable, both sides of the filler.
    const ELEMENTS: &[Element] = &[
        row(De::PAN, Format::digits(19).ll()),
        row(De::PROCESSING_CODE, Format::digits(6)),
        row(De::ENTRY_MODE, Format::digits(3)),
        row(De::CARD_SEQUENCE, Format::digits(3).filled_before()),
        row(De::TRACK2, Format::nibbles(37).ll()),
        row(De::RRN, Format::text(12)),
        row(De::ADDITIONAL_DATA, Format::digits(322).lll()),
        row(De::ICC, Format::bytes(255).lll()),
        row(De::PRIVATE_63, Format::text(163).lll()),
        row(De::MAC, Format::bytes(8)),
    ];
    const DIALECT: Dialect = Dialect { elements: ELEMENTS };

    fn unpacked(hex: &str) -> Result<Message, UnpackError> {
        let digits: Vec<u8> = hex.bytes().filter(|c| *c != b' ').collect();
        unpack(&DIALECT, &nibbles_to_bytes(digits.into_iter()))
    }

    /// An operator must be able to tell from the error which byte of a dump is wrong.
    #[test]
    fn errors_name_element_place_and_need() {
        let check = |hex, expected: &str| assert_eq!(unpacked(hex).unwrap_err().to_string(), expected);
        check("02", "MTI at byte 0: needs 2 bytes, 1 left");
        check("0A00 0000000000000000", "MTI at byte 0: not decimal digits");
        check("0200 00", "bitmap at byte 2: needs 8 bytes, 1 left");
        check(
            "0200 8000000000000000",
            "the message names a secondary bitmap, which this dialect does not have",
        );
        check("0200 1000000000000000", "DE 4 at byte 10 is not defined in this dialect");
        check("0200 2000000000000000 0000", "DE 3 at byte 10: needs 3 bytes, 2 left");
        check("0200 4000000000000000 20", "DE 2 at byte 10: length 20, at most 19 are allowed");
        check("0200 4000000000000000 0A", "DE 2 at byte 10: not decimal digits");
        check("0200 4000000000000000 04 12 3C", "DE 2 at byte 11: not decimal digits");
        check("0200 4000000000000000 03 12 31", "DE 2 at byte 11: the filler is neither 0 nor F");
        check("0200 0000000000000000 00", "1 bytes too many at byte 10");
        check("0200 0000000000000200 1000", "DE 55 at byte 10: length 1000, at most 255 are allowed");
    }

    /// Both fillers are read, both sides are known, and packing gives back the one that came.
    #[test]
    fn fillers_stand_where_the_table_says() {
        let hex = "02004000060000000000031230021F0001";
        let message = unpacked(hex).unwrap();
        assert_eq!(message.text(De::PAN), Some("123"));
        assert_eq!(message.text(De::ENTRY_MODE), Some("021"));
        assert_eq!(message.text(De::CARD_SEQUENCE), Some("001"));
        assert_eq!(bytes_to_nibbles(&pack(&DIALECT, &message).unwrap()), hex.as_bytes());
    }

    #[test]
    fn values_of_the_wrong_form_are_not_packed() {
        let check = |mti, de, value: &str, expected| {
            assert_eq!(pack(&DIALECT, Message::new(mti).set(de, value)), Err(expected));
        };
        let length = |de, length, max| PackError::Length { de, length, max };
        check("020", De::PAN, "1", PackError::Mti);
        check("02x0", De::PAN, "1", PackError::Mti);
        check("0200", De::AMOUNT, "1", PackError::Undefined(De::AMOUNT));
        check("0200", De::PAN, "12345678901234567890", length(De::PAN, 20, 19));
        check("0200", De::PROCESSING_CODE, "00000", length(De::PROCESSING_CODE, 5, 6));
        check("0200", De::PAN, "12D4", PackError::NotDigits(De::PAN));
        check("0200", De::TRACK2, "12=4", PackError::NotDigits(De::TRACK2));
        check("0200", De::TRACK2, "12d4", PackError::NotDigits(De::TRACK2));
    }

    /// Any value that fits the element.
    fn value(format: Format) -> BoxedStrategy<Vec<u8>> {
        let least = if format.prefix == Prefix::Fixed { format.max } else { 0 };
        let units = match format.encoding {
            Encoding::Digits => (b'0'..=b'9').boxed(),
            Encoding::Nibbles => proptest::sample::select(b"0123456789ABCDEF".to_vec()).boxed(),
            Encoding::Text | Encoding::Bytes => any::<u8>().boxed(),
        };
        proptest::collection::vec(units, least..=format.max).boxed()
    }

    /// Any message of the dialect.
    fn message() -> impl Strategy<Value = Message> {
        let fields: Vec<_> =
            ELEMENTS.iter().map(|element| proptest::option::of(value(element.format))).collect();
        ("[0-9]{4}", fields).prop_map(|(mti, values)| {
            let mut message = Message::new(&mti);
            for (element, value) in ELEMENTS.iter().zip(values) {
                message.set_some(element.de, value);
            }
            message
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_unpacks_to_the_same(message in message()) {
            let packed = pack(&DIALECT, &message).unwrap();
            prop_assert_eq!(unpack(&DIALECT, &packed), Ok(message));
        }

        /// Bytes changed by a line or by malice are refused, or packed again exactly as they came.
        #[test]
        fn what_is_accepted_packs_to_the_same_bytes(
            message in message(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = pack(&DIALECT, &message).unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(read) = unpack(&DIALECT, &bytes) {
                prop_assert_eq!(pack(&DIALECT, &read), Ok(bytes));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(read) = unpack(&DIALECT, &bytes) {
                prop_assert_eq!(pack(&DIALECT, &read), Ok(bytes));
            }
        }
    }
}

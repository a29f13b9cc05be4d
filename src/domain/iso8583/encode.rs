//! Writing by table: one allocation, of a size known beforehand.
use super::decode::{MESSAGE_MAX, character, nibble};
use super::dialect::{Counted, Dialect, Form};
use super::element::De;
use super::format::{Encoding, Fill, Filler, Format, Prefix, Side};
use super::message::Message;
use core::iter::repeat_n;

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
    /// An odd count of digits where the prefix counts bytes.
    #[error("{de}: {length} digits, whose count must be even in this dialect")]
    Odd {
        /// Which.
        de: De,
        /// Digits of the value.
        length: usize,
    },
    /// Something among the units that does not belong there.
    #[error("{de} must have {wanted} only")]
    Malformed {
        /// Which.
        de: De,
        /// What the units should be.
        wanted: &'static str,
    },
    /// More bytes than any message has.
    #[error("the message has {length} bytes, at most {MESSAGE_MAX} are allowed")]
    Oversize {
        /// How many.
        length: usize,
    },
}

/// Writes a message, MTI to last element, by the dialect's table.
///
/// # Errors
/// [`PackError`]: a value does not have the form of its element.
pub fn pack(dialect: &Dialect, message: &Message) -> Result<Vec<u8>, PackError> {
    let mti: [u8; 4] = message.mti().as_bytes().try_into().map_err(|_| PackError::Mti)?;
    if !mti.iter().all(u8::is_ascii_digit) {
        return Err(PackError::Mti);
    }
    let present = message.fields().fold(0, |bits, (de, _)| bits | de.bit());
    let length = length(dialect, message, present)?;
    if length > MESSAGE_MAX {
        return Err(PackError::Oversize { length });
    }
    let mut out = Vec::with_capacity(length);
    match dialect.mti() {
        Form::Packed => pairs(&mut out, &mti),
        Form::Ascii => out.extend_from_slice(&mti),
    }
    bitmaps(&mut out, dialect.bitmap(), present);
    for (de, value) in message.fields() {
        let format = dialect.element(de).ok_or(PackError::Undefined(de))?.format;
        let units = units(format, value);
        prefix(&mut out, de, format, units, dialect.counted())?;
        let filler = match (format.filler, message.has_other_filler(de)) {
            (Filler::Zero, false) | (Filler::F, true) => b'0',
            (Filler::F, false) | (Filler::Zero, true) => b'F',
        };
        write(&mut out, format, value, units, filler);
    }
    Ok(out)
}

/// Checks every value and counts the bytes of the whole message.
fn length(dialect: &Dialect, message: &Message, present: u128) -> Result<usize, PackError> {
    let per_form = |form, packed: usize| if form == Form::Packed { packed } else { packed * 2 };
    let bitmaps = if present & u128::from(u64::MAX) == 0 { 8 } else { 16 };
    let mut total = per_form(dialect.mti(), 2).saturating_add(per_form(dialect.bitmap(), bitmaps));
    for (de, value) in message.fields() {
        let format = dialect.element(de).ok_or(PackError::Undefined(de))?.format;
        let (length, max, units) = (value.len(), format.most(), units(format, value));
        if length > max || (format.is_fixed() && units != max) {
            return Err(PackError::Length { de, length, max });
        }
        if !format.encoding.allows_all(value) {
            return Err(PackError::Malformed { de, wanted: format.encoding.units() });
        }
        total = total.saturating_add(format.prefix.wire_length());
        total = total.saturating_add(format.encoding.wire_length(units));
    }
    Ok(total)
}

/// Units on the wire: those of the value, or the exact count of a fixed element that is completed.
fn units(format: Format, value: &[u8]) -> usize {
    if format.is_fixed() && format.fill != Fill::None { format.most() } else { value.len() }
}

fn bitmaps(out: &mut Vec<u8>, form: Form, present: u128) {
    let both = present & u128::from(u64::MAX) != 0;
    let bits = if both { present | 1 << 127 } else { present };
    let bytes = bits.to_be_bytes();
    let bytes = bytes.iter().take(if both { 16 } else { 8 });
    match form {
        Form::Packed => out.extend(bytes),
        Form::Ascii => out.extend(bytes.flat_map(|byte| [character(byte >> 4), character(*byte)])),
    }
}

fn prefix(
    out: &mut Vec<u8>,
    de: De,
    format: Format,
    units: usize,
    counted: Counted,
) -> Result<(), PackError> {
    if format.is_fixed() {
        return Ok(());
    }
    let number = match counted {
        Counted::Units => units,
        Counted::Bytes if format.encoding.is_packed() && units % 2 == 1 => {
            return Err(PackError::Odd { de, length: units });
        }
        Counted::Bytes => format.encoding.wire_length(units),
    };
    // A format made by hand may allow more than its prefix can tell.
    let too_long = PackError::Length { de, length: units, max: format.prefix.most() };
    let number =
        u16::try_from(number).ok().filter(|n| usize::from(*n) <= format.prefix.most()).ok_or(too_long)?;
    let digit = |divisor: u16| u8::try_from(number / divisor % 10).unwrap_or_default();
    let packed = |high: u16, low: u16| digit(high) << 4 | digit(low);
    let ascii = |divisor: u16| b'0' | digit(divisor);
    let [high, low] = number.to_be_bytes();
    match format.prefix {
        Prefix::Fixed => {}
        Prefix::Ll => out.push(packed(10, 1)),
        Prefix::Lll => out.extend([packed(1000, 100), packed(10, 1)]),
        Prefix::LlAscii => out.extend([ascii(10), ascii(1)]),
        Prefix::LllAscii => out.extend([ascii(100), ascii(10), ascii(1)]),
        Prefix::LlllAscii => out.extend([ascii(1000), ascii(100), ascii(10), ascii(1)]),
        Prefix::Byte => out.push(low),
        Prefix::TwoBytes => out.extend([high, low]),
    }
    Ok(())
}

/// A checked value, completed to `units`. `filler` is the character of the nibble left over.
fn write(out: &mut Vec<u8>, format: Format, value: &[u8], units: usize, filler: u8) {
    let missing = units.saturating_sub(value.len());
    let (zeros, spaces) = if format.fill == Fill::Zeros { (missing, 0) } else { (0, missing) };
    match format.encoding {
        Encoding::Digits | Encoding::Nibbles => {
            let odd = units % 2 == 1;
            if zeros > 0 {
                let (before, after) = if format.side == Side::Right { (odd, false) } else { (false, odd) };
                let characters = repeat_n(filler, usize::from(before))
                    .chain(repeat_n(b'0', zeros))
                    .chain(value.iter().copied())
                    .chain(repeat_n(filler, usize::from(after)));
                let mut high = None;
                for c in characters {
                    match high.take() {
                        None => high = Some(nibble(c) << 4),
                        Some(left) => out.push(left | nibble(c)),
                    }
                }
                return;
            }
            match (odd, format.side, value) {
                (true, Side::Right, [first, rest @ ..]) => {
                    out.push(nibble(filler) << 4 | nibble(*first));
                    pairs(out, rest);
                }
                (true, Side::Left, [head @ .., last]) => {
                    pairs(out, head);
                    out.push(nibble(*last) << 4 | nibble(filler));
                }
                _ => pairs(out, value),
            }
        }
        Encoding::Hex => out.extend(value.iter().flat_map(|byte| [character(byte >> 4), character(*byte)])),
        _ if missing == 0 => out.extend_from_slice(value),
        _ => {
            out.extend(repeat_n(b'0', zeros));
            out.extend_from_slice(value);
            out.extend(repeat_n(b' ', spaces));
        }
    }
}

/// An even count of checked hexadecimal characters as bytes.
fn pairs(out: &mut Vec<u8>, characters: &[u8]) {
    out.extend(characters.as_chunks::<2>().0.iter().map(|[high, low]| nibble(*high) << 4 | nibble(*low)));
}

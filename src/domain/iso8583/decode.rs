//! Reading by table. Bytes from outside are bounded by the table and never make this panic; nothing is allocated, what
//! comes out borrows the input.
//!
//! Accepted is exactly what [`super::pack`] writes: `pack(unpack(bytes)) == bytes`, fillers included. So a length is
//! never guessed, no case is folded, and a secondary bitmap that names nothing is refused.
use super::dialect::{Counted, Dialect, Form};
use super::element::De;
use super::format::{Encoding, Format, Prefix, Side};
use super::message::Message;
use super::view::{Slot, View};
use core::fmt;

/// Most bytes of a message, so that 16 bits can say where an element stands. Choice: sixteen times the longest frame.
pub const MESSAGE_MAX: usize = 65_535;

/// A part of a message, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Message type indicator.
    Mti,
    /// Primary or secondary bitmap.
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
    /// More bytes than any message has.
    #[error("{length} bytes, at most {MESSAGE_MAX} are allowed")]
    Oversize {
        /// How many.
        length: usize,
    },
    /// Bit 1 is set, but the dialect has one bitmap only.
    #[error("bitmap at byte {offset} names a secondary bitmap, which this dialect does not have")]
    SecondaryBitmap {
        /// First byte of the primary bitmap.
        offset: usize,
    },
    /// Bit 1 is set, but no bit of the second bitmap is.
    #[error("bitmap at byte {offset}: the secondary bitmap names no element")]
    EmptyBitmap {
        /// First byte of the secondary bitmap.
        offset: usize,
    },
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
        /// Units by the prefix.
        length: usize,
        /// What the dialect allows.
        max: usize,
    },
    /// A length prefix in characters that is odd where two characters make a byte.
    #[error("{de} at byte {offset}: length {length}, which must be even")]
    Odd {
        /// Which.
        de: De,
        /// Where its prefix stands.
        offset: usize,
        /// What the prefix says.
        length: usize,
    },
    /// Something among the units that does not belong there.
    #[error("{part} at byte {offset}: not {wanted}")]
    Malformed {
        /// Where.
        part: Part,
        /// First byte of the units.
        offset: usize,
        /// What they should be.
        wanted: &'static str,
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

impl UnpackError {
    /// Where the failure is, counted from the MTI.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match self {
            Self::Short { offset, .. }
            | Self::SecondaryBitmap { offset }
            | Self::EmptyBitmap { offset }
            | Self::Undefined { offset, .. }
            | Self::TooLong { offset, .. }
            | Self::Odd { offset, .. }
            | Self::Malformed { offset, .. }
            | Self::BadFiller { offset, .. }
            | Self::Trailing { offset, .. } => *offset,
            Self::Oversize { .. } => MESSAGE_MAX,
        }
    }
}

/// Reads one whole message, MTI to last element, by the dialect's table. Allocates nothing.
///
/// # Errors
/// [`UnpackError`] names part, place and need. Nothing is guessed or skipped.
pub fn decode<'a>(dialect: &'a Dialect, bytes: &'a [u8]) -> Result<View<'a>, UnpackError> {
    if bytes.len() > MESSAGE_MAX {
        return Err(UnpackError::Oversize { length: bytes.len() });
    }
    let mut cursor = Cursor { rest: bytes, offset: 0 };
    let mti = cursor.mti(dialect.mti())?;
    let present = cursor.bitmaps(dialect)?;
    let mut view = View::new(dialect, bytes, mti);
    cursor.elements(&mut view, present)?;
    Ok(view)
}

/// Reads a message as far as it goes, for people who look at a broken one: everything before the failure, and the
/// failure. Allocates nothing.
///
/// # Errors
/// [`UnpackError`] if not even type and bitmap can be read.
pub fn decode_partly<'a>(
    dialect: &'a Dialect,
    bytes: &'a [u8],
) -> Result<(View<'a>, Option<UnpackError>), UnpackError> {
    if bytes.len() > MESSAGE_MAX {
        return Err(UnpackError::Oversize { length: bytes.len() });
    }
    let mut cursor = Cursor { rest: bytes, offset: 0 };
    let mti = cursor.mti(dialect.mti())?;
    let present = cursor.bitmaps(dialect)?;
    let mut view = View::new(dialect, bytes, mti);
    let failure = cursor.elements(&mut view, present).err();
    Ok((view, failure))
}

/// Reads one whole message into a form of its own.
///
/// # Errors
/// As [`decode`].
pub fn unpack(dialect: &Dialect, bytes: &[u8]) -> Result<Message, UnpackError> {
    decode(dialect, bytes).map(|view| Message::of(&view))
}

/// What is left of the input, and how far we are.
struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, part: Part, needed: usize) -> Result<&'a [u8], UnpackError> {
        let (offset, left) = (self.offset, self.rest.len());
        let short = UnpackError::Short { part, offset, needed, left };
        let (taken, rest) = self.rest.split_at_checked(needed).ok_or(short)?;
        self.rest = rest;
        self.offset = offset.saturating_add(needed);
        Ok(taken)
    }

    fn mti(&mut self, form: Form) -> Result<[u8; 4], UnpackError> {
        let offset = self.offset;
        let digits = match (form, self.take(Part::Mti, if form == Form::Packed { 2 } else { 4 })?) {
            (Form::Packed, [a, b]) => [a >> 4, a & 0x0F, b >> 4, b & 0x0F].map(|digit| b'0' | digit),
            (Form::Ascii, [a, b, c, d]) => [*a, *b, *c, *d],
            _ => [0; 4],
        };
        let wanted = Encoding::Digits.units();
        let malformed = UnpackError::Malformed { part: Part::Mti, offset, wanted };
        if digits.iter().all(u8::is_ascii_digit) { Ok(digits) } else { Err(malformed) }
    }

    /// Both bitmaps as one number, the bit of the secondary bitmap itself cleared.
    fn bitmaps(&mut self, dialect: &Dialect) -> Result<u128, UnpackError> {
        let offset = self.offset;
        let primary = u128::from(self.bitmap(dialect.bitmap())?) << 64;
        let (secondary_follows, first) = (primary >> 127 == 1, primary & (u128::MAX >> 1));
        if !secondary_follows {
            return Ok(first);
        }
        if !dialect.has_secondary() {
            return Err(UnpackError::SecondaryBitmap { offset });
        }
        let offset = self.offset;
        match self.bitmap(dialect.bitmap())? {
            0 => Err(UnpackError::EmptyBitmap { offset }),
            second => Ok(first | u128::from(second)),
        }
    }

    fn bitmap(&mut self, form: Form) -> Result<u64, UnpackError> {
        let (part, offset) = (Part::Bitmap, self.offset);
        if form == Form::Packed {
            let bytes = self.take(part, 8)?;
            return Ok(bytes.iter().fold(0, |bits, byte| (bits << 8) | u64::from(*byte)));
        }
        let characters = self.take(part, 16)?;
        let wanted = Encoding::Nibbles.units();
        let digit = |c: &u8| Some(*c).filter(|c| Encoding::Nibbles.allows(*c)).map(nibble);
        characters
            .iter()
            .try_fold(0, |bits, c| Some((bits << 4) | u64::from(digit(c)?)))
            .ok_or(UnpackError::Malformed { part, offset, wanted })
    }

    /// All elements of the bitmaps, and nothing behind them.
    fn elements(&mut self, view: &mut View<'a>, present: u128) -> Result<(), UnpackError> {
        let dialect = view.dialect();
        for de in De::of_bits(present) {
            let offset = self.offset;
            let format = dialect.element(de).ok_or(UnpackError::Undefined { de, offset })?.format;
            let slot = self.value(de, format, dialect.counted())?;
            view.put(de, slot);
        }
        match self.rest.len() {
            0 => Ok(()),
            left => Err(UnpackError::Trailing { offset: self.offset, left }),
        }
    }

    /// Prefix and value of one element, checked.
    fn value(&mut self, de: De, format: Format, counted: Counted) -> Result<Slot, UnpackError> {
        let units = self.length(de, format, counted)?;
        let start = self.offset;
        let raw = self.take(Part::Element(de), format.encoding.wire_length(units))?;
        check(de, format, units, raw, start)?;
        let small = |value| u16::try_from(value).map_err(|_| UnpackError::Oversize { length: value });
        Ok(Slot { start: small(start)?, units: small(units)? })
    }

    /// Units of the value, from its prefix or the table.
    fn length(&mut self, de: De, format: Format, counted: Counted) -> Result<usize, UnpackError> {
        let (part, offset, max) = (Part::Element(de), self.offset, format.most());
        let prefix = match format.prefix {
            Prefix::Fixed => return Ok(max),
            prefix => (prefix, self.take(part, prefix.wire_length())?),
        };
        let number = match prefix {
            (Prefix::Byte | Prefix::TwoBytes, bytes) => {
                Some(bytes.iter().fold(0, |n: usize, byte| n << 8 | usize::from(*byte)))
            }
            (Prefix::Ll | Prefix::Lll, packed) => packed.iter().try_fold(0, |n: usize, byte| {
                let (high, low) = (byte >> 4, byte & 0x0F);
                (high < 10 && low < 10).then(|| n * 100 + usize::from(high) * 10 + usize::from(low))
            }),
            // At most four digits, as above: no step can overflow.
            (_, digits) => digits
                .iter()
                .try_fold(0, |n: usize, c| c.is_ascii_digit().then(|| n * 10 + usize::from(c & 0x0F))),
        };
        let wanted = Encoding::Digits.units();
        let number = number.ok_or(UnpackError::Malformed { part, offset, wanted })?;
        let length = match (counted, format.encoding) {
            (Counted::Bytes, encoding) if encoding.is_packed() => number.saturating_mul(2),
            (Counted::Bytes, Encoding::Hex) if number % 2 == 1 => {
                return Err(UnpackError::Odd { de, offset, length: number });
            }
            (Counted::Bytes, Encoding::Hex) => number / 2,
            _ => number,
        };
        if length > max { Err(UnpackError::TooLong { de, offset, length, max }) } else { Ok(length) }
    }
}

/// The units have the form of their encoding.
fn check(de: De, format: Format, units: usize, raw: &[u8], offset: usize) -> Result<(), UnpackError> {
    let encoding = format.encoding;
    let well_formed = match encoding {
        Encoding::Text | Encoding::Bytes => true,
        Encoding::Hex => Encoding::Nibbles.allows_all(raw),
        Encoding::AsciiDigits | Encoding::AsciiTrack => encoding.allows_all(raw),
        Encoding::Digits | Encoding::Nibbles => {
            let (pairs, alone) = match (units % 2 == 1, format.side) {
                (false, _) => (raw, None),
                (true, Side::Left) => raw
                    .split_last()
                    .map_or((raw, None), |(last, head)| (head, Some((last >> 4, last & 0x0F)))),
                (true, Side::Right) => raw
                    .split_first()
                    .map_or((raw, None), |(first, tail)| (tail, Some((first & 0x0F, first >> 4)))),
            };
            let (digit, filler) = alone.unwrap_or_default();
            if !matches!(filler, 0 | 0x0F) {
                return Err(UnpackError::BadFiller { de, offset });
            }
            let decimal = |nibble: u8| nibble < 10;
            encoding == Encoding::Nibbles
                || (decimal(digit) && pairs.iter().all(|byte| decimal(byte >> 4) && decimal(byte & 0x0F)))
        }
    };
    let (part, wanted) = (Part::Element(de), encoding.units());
    if well_formed { Ok(()) } else { Err(UnpackError::Malformed { part, offset, wanted }) }
}

/// The value of a checked hexadecimal digit: `0` to `9`, `A` to `F`.
pub(super) const fn nibble(character: u8) -> u8 {
    (character & 0x0F).wrapping_add(if character >= b'A' { 9 } else { 0 })
}

/// A nibble as an upper-case hexadecimal character.
pub(super) const fn character(nibble: u8) -> u8 {
    let nibble = nibble & 0x0F;
    if nibble < 10 { b'0' + nibble } else { b'A' + (nibble - 10) }
}

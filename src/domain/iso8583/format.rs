//! How one data element stands on the wire: encoding, length prefix, padding, maximum.
//!
//! Source: ISO 8583:1987 (attributes n, z, an, ans, b and LLVAR, LLLVAR); packed digits and the sides of fillers as
//! UnionPay terminals write them (public terminal code, two sources agreeing); Spec: unverified.

/// What the units of an element are and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Decimal digits, two in a byte (BCD). The unit is the digit.
    Digits,
    /// Hexadecimal digits, two in a byte: tracks, whose separator is `D` and whose middle may be encrypted.
    Nibbles,
    /// Decimal digits, one character each.
    AsciiDigits,
    /// Characters of a track, one byte each: digits, `:;<=>?` and `A` to `F`.
    AsciiTrack,
    /// Characters, one in a byte. The unit is the byte; texts of the host may be GBK.
    Text,
    /// Bytes as they are.
    Bytes,
    /// Bytes written as two upper-case hexadecimal characters each. The unit is the byte.
    Hex,
}

impl Encoding {
    /// True if two units share a byte.
    #[must_use]
    pub const fn is_packed(self) -> bool {
        matches!(self, Self::Digits | Self::Nibbles)
    }

    /// True if the units are bytes of any content, which people read in hexadecimal.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Bytes | Self::Hex)
    }

    /// Bytes that so many units take.
    #[must_use]
    pub const fn wire_length(self, units: usize) -> usize {
        match self {
            Self::Digits | Self::Nibbles => units.div_ceil(2),
            Self::Hex => units.saturating_mul(2),
            _ => units,
        }
    }

    /// True if a unit may have this value. Upper case only: the reader gives upper case, and both ways must agree.
    pub(super) const fn allows(self, unit: u8) -> bool {
        match self {
            Self::Digits | Self::AsciiDigits => unit.is_ascii_digit(),
            Self::Nibbles => matches!(unit, b'0'..=b'9' | b'A'..=b'F'),
            Self::AsciiTrack => matches!(unit, b'0'..=b'?' | b'A'..=b'F'),
            Self::Text | Self::Bytes | Self::Hex => true,
        }
    }

    /// True if all units may have their values. One loop for each encoding, without an early end: compilers make
    /// vectors of it.
    pub(super) fn allows_all(self, units: &[u8]) -> bool {
        let all = |allowed: fn(u8) -> bool| units.iter().fold(true, |all, unit| all & allowed(*unit));
        match self {
            Self::Digits | Self::AsciiDigits => all(|unit| Self::Digits.allows(unit)),
            Self::Nibbles => all(|unit| Self::Nibbles.allows(unit)),
            Self::AsciiTrack => all(|unit| Self::AsciiTrack.allows(unit)),
            Self::Text | Self::Bytes | Self::Hex => true,
        }
    }

    /// The units in words, for errors.
    pub(super) const fn units(self) -> &'static str {
        match self {
            Self::Digits | Self::AsciiDigits => "decimal digits",
            Self::Nibbles | Self::Hex => "upper-case hexadecimal digits",
            Self::AsciiTrack => "track characters",
            Self::Text | Self::Bytes => "bytes",
        }
    }
}

/// What stands before an element to tell its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Nothing: the length is the maximum.
    Fixed,
    /// Two decimal digits in one byte.
    Ll,
    /// Three decimal digits in two bytes, the first nibble zero.
    Lll,
    /// Two characters.
    LlAscii,
    /// Three characters.
    LllAscii,
    /// Four characters.
    LlllAscii,
    /// One byte as a number.
    Byte,
    /// Two bytes as a number, the higher one first.
    TwoBytes,
}

impl Prefix {
    /// Bytes of the prefix itself.
    #[must_use]
    pub const fn wire_length(self) -> usize {
        match self {
            Self::Fixed => 0,
            Self::Ll | Self::Byte => 1,
            Self::Lll | Self::LlAscii | Self::TwoBytes => 2,
            Self::LllAscii => 3,
            Self::LlllAscii => 4,
        }
    }

    /// The largest length that it can tell. Choice: four digits bound every element.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Self::Ll | Self::LlAscii => 99,
            Self::Lll | Self::LllAscii => 999,
            Self::Byte => 255,
            Self::Fixed | Self::LlllAscii | Self::TwoBytes => 9999,
        }
    }
}

/// Where the digits stand when their count is odd and a nibble is left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Digits left, filler after the last: `021` is `02 10`.
    Left,
    /// Digits right, filler before the first: `1` is `01`.
    Right,
}

/// What is written into the nibble left over. Both are read, and written again as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// The usual one.
    Zero,
    /// As some hosts do.
    F,
}

/// How a value shorter than a fixed element is completed when it is packed. Nothing is taken off on unpacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Not at all: such a value is refused.
    None,
    /// Blanks behind.
    Spaces,
    /// Zeros before.
    Zeros,
}

/// The form of one data element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Units and how they are written.
    pub encoding: Encoding,
    /// How the length is told.
    pub prefix: Prefix,
    /// Side of an odd count of packed digits.
    pub side: Side,
    /// What fills the nibble left over.
    pub filler: Filler,
    /// What completes a short value of a fixed element.
    pub fill: Fill,
    /// Most units; for [`Prefix::Fixed`] the exact count.
    pub max: u16,
}

impl Format {
    /// Fixed, of exactly `max` units.
    #[must_use]
    pub const fn fixed(encoding: Encoding, max: u16) -> Self {
        Self {
            encoding,
            prefix: Prefix::Fixed,
            side: Side::Left,
            filler: Filler::Zero,
            fill: Fill::None,
            max,
        }
    }

    /// Packed decimal digits.
    #[must_use]
    pub const fn digits(max: u16) -> Self {
        Self::fixed(Encoding::Digits, max)
    }

    /// Packed hexadecimal digits.
    #[must_use]
    pub const fn nibbles(max: u16) -> Self {
        Self::fixed(Encoding::Nibbles, max)
    }

    /// Characters.
    #[must_use]
    pub const fn text(max: u16) -> Self {
        Self::fixed(Encoding::Text, max)
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(max: u16) -> Self {
        Self::fixed(Encoding::Bytes, max)
    }

    /// Variable, with this prefix.
    #[must_use]
    pub const fn prefixed(self, prefix: Prefix) -> Self {
        Self { prefix, ..self }
    }

    /// Variable, two packed digits of length.
    #[must_use]
    pub const fn ll(self) -> Self {
        self.prefixed(Prefix::Ll)
    }

    /// Variable, three packed digits of length.
    #[must_use]
    pub const fn lll(self) -> Self {
        self.prefixed(Prefix::Lll)
    }

    /// Digits on the right: a nibble left over stands before the first digit.
    #[must_use]
    pub const fn right(self) -> Self {
        Self { side: Side::Right, ..self }
    }

    /// Most units as a count.
    #[must_use]
    pub const fn most(self) -> usize {
        self.max as usize
    }

    /// True if the length is not told but known.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        matches!(self.prefix, Prefix::Fixed)
    }
}

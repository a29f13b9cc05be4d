//! How one data element stands on the wire: encoding, length prefix, filler, maximum. A dialect is a table of
//! these.
use super::element::De;

/// What the units of an element are and how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Decimal digits, two in a byte (BCD). The unit is the digit.
    Digits,
    /// Hexadecimal digits, two in a byte: tracks, whose separator is `D` and whose middle may be encrypted.
    Nibbles,
    /// Characters, one in a byte. The unit is the byte; texts of the host may be GBK.
    Text,
    /// Bytes as they are.
    Bytes,
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
}

/// Where the filler nibble stands when the count of digits is odd. Written as 0, read as 0 or F.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    /// Before the first digit: `1` is `01`.
    Before,
    /// After the last digit: `021` is `02 10`.
    After,
}

/// The form of one data element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Units and how they are written.
    pub encoding: Encoding,
    /// How the length is told.
    pub prefix: Prefix,
    /// Side of the filler nibble.
    pub filler: Filler,
    /// Most units; for [`Prefix::Fixed`] the exact count.
    pub max: usize,
}

impl Format {
    const fn fixed(encoding: Encoding, max: usize) -> Self {
        Self { encoding, prefix: Prefix::Fixed, filler: Filler::After, max }
    }

    /// Packed decimal digits.
    #[must_use]
    pub const fn digits(max: usize) -> Self {
        Self::fixed(Encoding::Digits, max)
    }

    /// Packed hexadecimal digits.
    #[must_use]
    pub const fn nibbles(max: usize) -> Self {
        Self::fixed(Encoding::Nibbles, max)
    }

    /// Characters.
    #[must_use]
    pub const fn text(max: usize) -> Self {
        Self::fixed(Encoding::Text, max)
    }

    /// Bytes.
    #[must_use]
    pub const fn bytes(max: usize) -> Self {
        Self::fixed(Encoding::Bytes, max)
    }

    /// Variable, two digits of length.
    #[must_use]
    pub const fn ll(self) -> Self {
        Self { prefix: Prefix::Ll, ..self }
    }

    /// Variable, three digits of length.
    #[must_use]
    pub const fn lll(self) -> Self {
        Self { prefix: Prefix::Lll, ..self }
    }

    /// The filler nibble stands before the first digit.
    #[must_use]
    pub const fn filled_before(self) -> Self {
        Self { filler: Filler::Before, ..self }
    }
}

/// One row of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Which element.
    pub de: De,
    /// Its name for people, English.
    pub name: &'static str,
    /// Its form.
    pub format: Format,
}

/// A dialect: the elements a network defines, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Its rows.
    pub elements: &'static [Element],
}

impl Dialect {
    /// The row of an element.
    #[must_use]
    pub fn element(&self, de: De) -> Option<&'static Element> {
        self.elements.iter().find(|element| element.de == de)
    }
}

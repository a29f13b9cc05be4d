//! Money in minor units, and the currencies the terminal knows. No floating point anywhere.
use core::fmt;

/// Money in the minor unit of its currency (fen for CNY), never negative.
///
/// ISO 8583 DE 4 and EMV tag 9F02 both carry it as 12 digits, so the largest value is 999_999_999_999.
/// Source: ISO 8583:1987 DE 4 (n 12); EMV 4.4 Book 3 Annex A, tag 9F02 (n 12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

/// The amount has more than the 12 digits of DE 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("amount is above 999999999999 minor units, the most that field 4 carries")]
pub struct AmountTooLarge;

impl Amount {
    /// The largest amount, 12 digits.
    pub const MAX: Self = Self(999_999_999_999);
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The least that can be paid.
    pub const ONE: Self = Self(1);

    /// Takes a count of minor units.
    ///
    /// # Errors
    /// [`AmountTooLarge`] above [`Amount::MAX`].
    pub const fn from_minor(minor: u64) -> Result<Self, AmountTooLarge> {
        if minor <= Self::MAX.0 { Ok(Self(minor)) } else { Err(AmountTooLarge) }
    }

    /// The count of minor units.
    #[must_use]
    pub const fn minor(self) -> u64 {
        self.0
    }

    /// True for nothing at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Adds, or `None` above [`Amount::MAX`].
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|sum| Self::from_minor(sum).ok())
    }

    /// Subtracts, or `None` below zero.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// Twelve digits, right-aligned, zero-padded: the form of DE 4.
    #[must_use]
    pub fn digits12(self) -> String {
        format!("{:012}", self.0)
    }

    /// Major units with exactly the currency's decimals, for people: `12.50`.
    #[must_use]
    pub fn in_major(self, currency: Currency) -> String {
        let exponent = u32::from(currency.exponent());
        let unit = 10_u64.pow(exponent);
        if exponent == 0 {
            return self.0.to_string();
        }
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        format!("{whole}.{rest:0width$}", width = usize::from(currency.exponent()))
    }

    /// Reads major units with exactly the currency's decimals ("12.50" for CNY); anything else is refused.
    ///
    /// # Errors
    /// [`AmountTextError`] names what is wrong with the text.
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, AmountTextError> {
        let decimals = usize::from(currency.exponent());
        let (whole, rest) = match text.split_once('.') {
            Some((whole, rest)) => (whole, rest),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(rest) {
            return Err(AmountTextError::NotDigits);
        }
        if rest.len() != decimals || (decimals == 0 && text.contains('.')) {
            return Err(AmountTextError::Decimals { wanted: decimals });
        }
        let minor: u64 = format!("{whole}{rest}").parse().map_err(|_| AmountTextError::TooLarge)?;
        Self::from_minor(minor).map_err(|_| AmountTextError::TooLarge)
    }
}

/// Why a text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountTextError {
    /// Something else than digits and one point.
    #[error("an amount has digits and one point only, such as 12.50")]
    NotDigits,
    /// Not exactly the currency's decimals.
    #[error("an amount has exactly {wanted} decimals here, such as 12.50 for 2")]
    Decimals {
        /// Decimals of the currency.
        wanted: usize,
    },
    /// More than 12 digits.
    #[error("{AmountTooLarge}")]
    TooLarge,
}

/// A currency of ISO 4217 that this terminal can be set to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    alpha: &'static str,
    numeric: u16,
    exponent: u8,
}

impl Currency {
    /// Renminbi.
    pub const CNY: Self = Self { alpha: "CNY", numeric: 156, exponent: 2 };
    const KNOWN: &'static [Self] = &[
        Self::CNY,
        Self { alpha: "HKD", numeric: 344, exponent: 2 },
        Self { alpha: "MOP", numeric: 446, exponent: 2 },
        Self { alpha: "TWD", numeric: 901, exponent: 2 },
        Self { alpha: "USD", numeric: 840, exponent: 2 },
        Self { alpha: "EUR", numeric: 978, exponent: 2 },
        Self { alpha: "JPY", numeric: 392, exponent: 0 },
    ];

    /// Finds a currency by its three letters.
    #[must_use]
    pub fn from_alpha(alpha: &str) -> Option<Self> {
        Self::KNOWN.iter().copied().find(|c| c.alpha == alpha)
    }

    /// Finds a currency by the three digits of DE 49.
    #[must_use]
    pub fn from_numeric3(digits: &str) -> Option<Self> {
        Self::KNOWN.iter().copied().find(|c| c.numeric3() == digits)
    }

    /// The three letters of ISO 4217.
    #[must_use]
    pub const fn alpha(self) -> &'static str {
        self.alpha
    }

    /// Three digits, as DE 49 carries them.
    #[must_use]
    pub fn numeric3(self) -> String {
        format!("{:03}", self.numeric)
    }

    /// The numeric code in binary-coded decimal, `01 56` for CNY: tag 5F2A.
    #[must_use]
    pub const fn numeric_bcd(self) -> [u8; 2] {
        let n = self.numeric;
        #[allow(clippy::cast_possible_truncation, reason = "single decimal digits")]
        [(n / 100 % 10) as u8, ((n / 10 % 10) << 4 | (n % 10)) as u8]
    }

    /// Decimals of the major unit.
    #[must_use]
    pub const fn exponent(self) -> u8 {
        self.exponent
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_and_print_in_major_units() {
        let check = |text, minor: Result<u64, AmountTextError>| {
            let read = Amount::parse_major(text, Currency::CNY).map(Amount::minor);
            assert_eq!(read, minor, "{text}");
        };
        check("12.50", Ok(1250));
        check("0.01", Ok(1));
        check("9999999999.99", Ok(999_999_999_999));
        check("10000000000.00", Err(AmountTextError::TooLarge));
        check("12.5", Err(AmountTextError::Decimals { wanted: 2 }));
        check("12", Err(AmountTextError::Decimals { wanted: 2 }));
        check("-1.00", Err(AmountTextError::NotDigits));
        check("1,000.00", Err(AmountTextError::NotDigits));
        check("", Err(AmountTextError::NotDigits));
        assert_eq!(Amount(1205).in_major(Currency::CNY), "12.05");
        assert_eq!(Amount(1205).digits12(), "000000001205");
        assert_eq!(Currency::CNY.numeric_bcd(), [0x01, 0x56]);
    }
}

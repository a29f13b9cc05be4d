//! Data elements by number. Names as in ISO 8583:1987, with the UnionPay meaning where it differs.
use core::fmt;

/// Number of a data element (DE): 2 to 128, the position of its bit in the bitmaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct De(u8);

/// Declares the named elements.
macro_rules! elements {
    ($($(#[$doc:meta])* $name:ident = $number:literal),+ $(,)?) => {
        impl De {
            $($(#[$doc])* pub const $name: Self = Self($number);)+
        }
    };
}

elements! {
    /// DE 2, primary account number (PAN).
    PAN = 2,
    /// DE 3, processing code.
    PROCESSING_CODE = 3,
    /// DE 4, amount.
    AMOUNT = 4,
    /// DE 11, system trace audit number.
    STAN = 11,
    /// DE 12, local time `hhmmss`.
    TIME = 12,
    /// DE 13, local date `MMDD`.
    DATE = 13,
    /// DE 14, expiry `YYMM`.
    EXPIRY = 14,
    /// DE 15, settlement date `MMDD`.
    SETTLEMENT_DATE = 15,
    /// DE 22, point-of-service entry mode.
    ENTRY_MODE = 22,
    /// DE 23, card sequence number.
    CARD_SEQUENCE = 23,
    /// DE 25, point-of-service condition code.
    CONDITION = 25,
    /// DE 26, PIN capture code.
    PIN_CAPTURE = 26,
    /// DE 32, acquiring institution.
    ACQUIRER = 32,
    /// DE 35, track 2.
    TRACK2 = 35,
    /// DE 36, track 3.
    TRACK3 = 36,
    /// DE 37, retrieval reference number.
    RRN = 37,
    /// DE 38, authorisation code.
    AUTH_CODE = 38,
    /// DE 39, response code; in a 0400 the reason.
    RESPONSE_CODE = 39,
    /// DE 41, terminal identification.
    TERMINAL = 41,
    /// DE 42, merchant identification.
    MERCHANT = 42,
    /// DE 44, additional response data: issuer and acquirer institution.
    ADDITIONAL_RESPONSE = 44,
    /// DE 48, additional data: totals, batch detail.
    ADDITIONAL_DATA = 48,
    /// DE 49, currency.
    CURRENCY = 49,
    /// DE 52, PIN block.
    PIN_BLOCK = 52,
    /// DE 53, security control information.
    SECURITY = 53,
    /// DE 54, balances.
    BALANCE = 54,
    /// DE 55, chip data (BER-TLV).
    ICC = 55,
    /// DE 57, acquirer's own.
    ACQUIRER_PRIVATE = 57,
    /// DE 58, e-purse data.
    PURSE = 58,
    /// DE 59, extension in tag-length-value form.
    EXTENSION = 59,
    /// DE 60, message type, batch, management code, terminal capability.
    PRIVATE_60 = 60,
    /// DE 61, the original message.
    ORIGINAL = 61,
    /// DE 62, private by message: keys, parameters.
    PRIVATE_62 = 62,
    /// DE 63, private: operator, card organisation, texts.
    PRIVATE_63 = 63,
    /// DE 64, message authentication code (MAC).
    MAC = 64,
}

impl De {
    /// Takes a number; `None` outside 2 to 128. Number 1 is the secondary bitmap, which no message has as a value.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if 2 <= number && number <= 128 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its bit in both bitmaps read as one big-endian number: bit 1 of the primary bitmap is the highest.
    #[must_use]
    pub const fn bit(self) -> u128 {
        1 << (128 - self.0) // 2 <= self.0 <= 128 by construction
    }

    /// Its place in a table that begins with number 1.
    pub(super) const fn index(self) -> usize {
        self.0 as usize - 1
    }

    /// The elements of such a number, ascending. The highest bit is no element.
    pub(super) fn of_bits(bits: u128) -> impl Iterator<Item = Self> {
        // Turned round, the next one is the lowest bit, which goes without a shift over two registers.
        let mut rest = (bits & (u128::MAX >> 1)).reverse_bits();
        core::iter::from_fn(move || {
            let number = u8::try_from(rest.trailing_zeros()).ok()?.checked_add(1)?;
            rest &= rest.wrapping_sub(1);
            Self::new(number)
        })
    }
}

impl fmt::Display for De {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DE {}", self.0)
    }
}

impl fmt::Debug for De {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

//! The requests an acquirer knows, and what each does to the cardholder's money. Written from the field documents, not
//! from the terminal's code: the two shall not share a mistake.
//!
//! Source: transaction table of public terminal code (LiaoYang_POS, Newland, PAX agreeing); Spec: unverified.
use serde::{Deserialize, Serialize};

/// What a financial request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Business {
    /// 0200, 60.1 = 01.
    Balance,
    /// 0200, 60.1 = 22.
    Sale,
    /// 0200, 60.1 = 23.
    Void,
    /// 0220, 60.1 = 25.
    Refund,
    /// 0100, 60.1 = 10.
    PreAuth,
    /// 0100, 60.1 = 11.
    PreAuthVoid,
    /// 0200, 60.1 = 20.
    PreAuthComplete,
    /// 0220, 60.1 = 24.
    PreAuthAdvice,
    /// 0200, 60.1 = 21.
    PreAuthCompleteVoid,
    /// 0220, 60.1 = 30: under a voice authorisation.
    OfflineSale,
    /// 0200, 60.1 = 36: approved by the chip.
    ChipOfflineSale,
    /// 0620: what the card did with scripts.
    ScriptResult,
}

/// How settlement counts: field 48 of 0500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Money from the cardholder.
    Debit,
    /// Money to the cardholder.
    Credit,
}

/// Message type, DE 60.1, DE 3 and DE 25 of each.
const NAMES: &[(&str, &str, &str, &str, Business)] = &[
    ("0200", "01", "310000", "00", Business::Balance),
    ("0200", "22", "000000", "00", Business::Sale),
    ("0200", "23", "200000", "00", Business::Void),
    ("0220", "25", "200000", "00", Business::Refund),
    ("0100", "10", "030000", "06", Business::PreAuth),
    ("0100", "11", "200000", "06", Business::PreAuthVoid),
    ("0200", "20", "000000", "06", Business::PreAuthComplete),
    ("0220", "24", "000000", "06", Business::PreAuthAdvice),
    ("0200", "21", "200000", "06", Business::PreAuthCompleteVoid),
    ("0220", "30", "000000", "00", Business::OfflineSale),
    ("0200", "36", "000000", "00", Business::ChipOfflineSale),
];

impl Business {
    /// The request of this message type and DE 60.1.
    #[must_use]
    pub fn of(mti: &str, message_type: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.0 == mti && row.1 == message_type).map(|row| row.4)
    }

    /// What a reversal or a batch record with this DE 60.1 speaks of.
    #[must_use]
    pub fn of_message_type(message_type: &str) -> Option<Self> {
        NAMES.iter().find(|row| row.1 == message_type).map(|row| row.4)
    }

    /// DE 3 and DE 25; a script result repeats its original's and has no DE 25.
    #[must_use]
    pub fn codes(self) -> Option<(&'static str, &'static str)> {
        NAMES.iter().find(|row| row.4 == self).map(|row| (row.2, row.3))
    }

    /// True if it may be undone by a 0400.
    #[must_use]
    pub const fn is_reversible(self) -> bool {
        matches!(
            self,
            Self::Sale
                | Self::Void
                | Self::PreAuth
                | Self::PreAuthVoid
                | Self::PreAuthComplete
                | Self::PreAuthCompleteVoid
        )
    }

    /// True if it tells what has happened already, and is repeated until it is answered.
    #[must_use]
    pub const fn is_told(self) -> bool {
        matches!(self, Self::PreAuthAdvice | Self::OfflineSale | Self::ChipOfflineSale)
    }

    /// The side of the totals; `None`: not in them.
    #[must_use]
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::Sale
            | Self::PreAuthComplete
            | Self::PreAuthAdvice
            | Self::OfflineSale
            | Self::ChipOfflineSale => Some(Side::Debit),
            Self::Void | Self::Refund | Self::PreAuthCompleteVoid => Some(Side::Credit),
            Self::Balance | Self::PreAuth | Self::PreAuthVoid | Self::ScriptResult => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::unionpay::matrix::{self, Undo};

    /// Goal: what is written here from the field documents and the terminal's own matrix name the same messages.
    #[test]
    fn both_tables_name_the_same_messages() {
        for (mti, message_type, processing_code, condition, business) in NAMES {
            let row = matrix::find(mti, message_type, "000", condition, "052").unwrap();
            let said = (row.mti, row.message_type, row.processing_code, row.condition);
            assert_eq!(said, (*mti, *message_type, *processing_code, *condition), "{business:?}");
            assert_eq!(business.is_reversible(), row.undo != Undo::Never, "{business:?}");
            assert!(row.name.is_offered(), "{business:?}");
        }
    }
}

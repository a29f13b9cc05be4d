//! The numbers and names that identify terminals, batches, transactions and answers.
//!
//! Each type checks its form once, when it is made, so that nothing behind it has to.
use core::fmt;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Why a text or number does not identify anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {allowed}")]
pub struct IdentError {
    /// The thing being named.
    pub what: &'static str,
    /// What would have been taken.
    pub allowed: &'static str,
}

const fn bad(what: &'static str, allowed: &'static str) -> IdentError {
    IdentError { what, allowed }
}

/// System trace audit number (STAN, 流水号): DE 11, 1 to 999_999. Belongs to one business transaction only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stan(u32);

impl Stan {
    /// The number after power-on of a new terminal.
    pub const FIRST: Self = Self(1);

    /// Takes a number.
    ///
    /// # Errors
    /// Outside 1 to 999_999.
    pub fn new(number: u32) -> Result<Self, IdentError> {
        if (1..=999_999).contains(&number) { Ok(Self(number)) } else { Err(bad("STAN", "1 to 999999")) }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The next number; 999_999 wraps to 1.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= 999_999 { Self(1) } else { Self(self.0 + 1) }
    }
}

impl fmt::Display for Stan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Batch number: DE 60.2, 1 to 999_999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(u32);

impl BatchNumber {
    /// The batch of a new terminal.
    pub const FIRST: Self = Self(1);

    /// Takes a number.
    ///
    /// # Errors
    /// Outside 1 to 999_999.
    pub fn new(number: u32) -> Result<Self, IdentError> {
        if (1..=999_999).contains(&number) { Ok(Self(number)) } else { Err(bad("batch", "1 to 999999")) }
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number of the batch that follows; 999_999 wraps to 1.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= 999_999 { Self(1) } else { Self(self.0 + 1) }
    }
}

impl fmt::Display for BatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Declares a text type of fixed ASCII form.
macro_rules! text_ident {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes a text of the right form.
            ///
            /// # Errors
            /// [`IdentError`] says which form is allowed.
            pub fn new(text: &str) -> Result<Self, IdentError> {
                let ok: fn(&str) -> bool = $ok;
                if ok(text) { Ok(Self(text.to_owned())) } else { Err(bad($what, $allowed)) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn printable(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

text_ident!(
    /// Terminal identification: DE 41, 8 printable characters.
    TerminalId, "terminal id", "8 printable ASCII characters", |t| printable(t, 8)
);
text_ident!(
    /// Merchant identification: DE 42, 15 printable characters.
    MerchantId, "merchant id", "15 printable ASCII characters", |t| printable(t, 15)
);
text_ident!(
    /// Retrieval reference number (RRN, 交易参考号): DE 37, 12 characters, given by the host.
    Rrn, "RRN", "12 printable ASCII characters", |t| printable(t, 12)
);
text_ident!(
    /// Authorisation code (授权码): DE 38, 6 characters, only on approval.
    AuthCode, "authorisation code", "6 printable ASCII characters", |t| printable(t, 6)
);
text_ident!(
    /// Response code: DE 39, two characters.
    ResponseCode, "response code", "2 letters or digits",
    |t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_alphanumeric())
);
text_ident!(
    /// The caller's own name for a transaction: 1 to 64 printable characters, the key of idempotency.
    RequestId, "request id", "1 to 64 printable ASCII characters without spaces",
    |t| (1..=64).contains(&t.len()) && t.bytes().all(|b| (0x21..0x7f).contains(&b))
);
text_ident!(
    /// Operator number (操作员号): two digits; 00 supervisor, 99 administrator.
    OperatorId, "operator", "2 digits", |t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())
);

/// Name of a transaction on the bus and in the journal: the first 32 hex digits of SHA-256 of its request id. A clone
/// is cheap: a long queue is looked at often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(Arc<str>);

impl TxnId {
    /// Derives the name from the caller's request id.
    #[must_use]
    pub fn of(request: &RequestId) -> Self {
        let digest = Sha256::digest(request.as_str().as_bytes());
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        let name: String = digest.iter().take(16).flat_map(|b| [digit(b >> 4), digit(b & 0x0F)]).collect();
        Self(name.into())
    }

    /// Takes 32 hex digits read back from the journal or an object path.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, IdentError> {
        if text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.into()))
        } else {
            Err(bad("transaction", "32 lower-case hex digits"))
        }
    }

    /// The 32 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stan_wraps_to_one() {
        assert_eq!(Stan::new(999_999).unwrap().next(), Stan::FIRST);
        assert_eq!(Stan::FIRST.next().to_string(), "000002");
        assert_eq!(BatchNumber::new(999_999).unwrap().next(), BatchNumber::FIRST);
        assert!(Stan::new(0).is_err());
        assert!(Stan::new(1_000_000).is_err());
    }

    /// The path on the bus must be computable by clients: SHA-256("abc") begins ba7816bf 8f01cfea 414140de 5dae2223.
    #[test]
    fn a_transaction_is_named_by_the_hash_of_its_request_id() {
        let id = TxnId::of(&RequestId::new("abc").unwrap());
        assert_eq!(id.as_str(), "ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(TxnId::parse(id.as_str()), Ok(id));
        assert!(TxnId::parse("BA7816BF8F01CFEA414140DE5DAE2223").is_err());
    }

    #[test]
    fn texts_of_the_wrong_form_are_refused_with_what_is_allowed() {
        let error = TerminalId::new("1234").unwrap_err();
        assert_eq!(error.to_string(), "terminal id must be 8 printable ASCII characters");
        assert!(RequestId::new("").is_err());
        assert!(RequestId::new("a b").is_err());
        assert!(RequestId::new(&"x".repeat(65)).is_err());
        assert!(OperatorId::new("1").is_err());
        assert!(ResponseCode::new("A0").is_ok());
    }
}

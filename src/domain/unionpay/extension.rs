//! DE 59: rows of two-character tag, three digits of length, value. A scanned payment stands here: the code, the
//! voucher the bank gives for it, and the terminal's security information.
//!
//! Source: PAX terminal applications (`com.pax.up`), alone; Spec: unverified. A1, a PIN under SM4, is made with
//! the PIN. Not built: A5, the place, whose form no source tells.
use core::fmt;

/// Longest value of one row.
const VALUE_MAX: usize = 999;

/// Tags that are known.
pub mod tag {
    /// Terminal security information, rows of the same form with tags 01 to 05.
    pub const SECURITY: [u8; 2] = *b"A2";
    /// The code that the customer showed.
    pub const CODE: [u8; 2] = *b"A3";
    /// Payment voucher code (付款凭证码): from the bank, sent back when the payment is undone.
    pub const VOUCHER: [u8; 2] = *b"A4";
}

/// Why bytes are no DE 59, or a value does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// A tag is not two letters or digits.
    #[error("DE 59: no tag at byte {at}")]
    Tag {
        /// From the beginning.
        at: usize,
    },
    /// A length is not three digits, or tells more than there is.
    #[error("DE 59: the length at byte {at} is no length of what is left")]
    Length {
        /// From the beginning.
        at: usize,
    },
    /// The same tag twice.
    #[error("DE 59: the tag at byte {at} came before")]
    Twice {
        /// From the beginning.
        at: usize,
    },
    /// A value of more than 999 bytes.
    #[error("DE 59: a value of {length} bytes; 999 is the most")]
    Long {
        /// Its bytes.
        length: usize,
    },
}

/// The rows of DE 59. `Debug` shows tags and lengths: a code pays for whoever reads it in time.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Extension<'a>(Vec<([u8; 2], &'a [u8])>);

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = |tag: &[u8; 2]| tag.map(char::from).iter().collect::<String>();
        f.debug_map().entries(self.0.iter().map(|(name, value)| (tag(name), value.len()))).finish()
    }
}

impl<'a> Extension<'a> {
    /// Adds a row.
    #[must_use]
    pub fn with(mut self, tag: [u8; 2], value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.0.push((tag, value.as_ref()));
        self
    }

    /// The value of a tag.
    #[must_use]
    pub fn get(&self, tag: [u8; 2]) -> Option<&'a [u8]> {
        self.0.iter().find(|(name, _)| *name == tag).map(|(_, value)| *value)
    }

    /// The bytes of DE 59.
    ///
    /// # Errors
    /// [`ExtensionError::Long`].
    pub fn encode(&self) -> Result<Vec<u8>, ExtensionError> {
        let mut bytes = Vec::new();
        for (tag, value) in &self.0 {
            let length = value.len();
            if length > VALUE_MAX {
                return Err(ExtensionError::Long { length });
            }
            bytes.extend_from_slice(tag);
            bytes.extend_from_slice(format!("{length:03}").as_bytes());
            bytes.extend_from_slice(value);
        }
        Ok(bytes)
    }

    /// Reads DE 59. Tags that are not known stay as they are.
    ///
    /// # Errors
    /// [`ExtensionError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ExtensionError> {
        let mut rows = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len().saturating_sub(rest.len());
            let good = |tag: &&[u8; 2]| tag.iter().all(u8::is_ascii_alphanumeric);
            let tag = *rest.first_chunk::<2>().filter(good).ok_or(ExtensionError::Tag { at })?;
            if rows.get(tag).is_some() {
                return Err(ExtensionError::Twice { at });
            }
            let at = at.saturating_add(2);
            let value =
                rest.get(2..5).and_then(length).and_then(|length| rest.get(5..)?.split_at_checked(length));
            let (value, after) = value.ok_or(ExtensionError::Length { at })?;
            rows.0.push((tag, value));
            rest = after;
        }
        Ok(rows)
    }
}

/// Three digits. `parse` alone would take a sign.
fn length(digits: &[u8]) -> Option<usize> {
    let text = core::str::from_utf8(digits).ok()?;
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goal: what is written is read back, and the code of the synthetic sale is written as there.
    #[test]
    fn rows_are_written_and_read_back() {
        let code = "6222000000000000001";
        let sale = Extension::default().with(tag::CODE, code).encode().unwrap();
        assert_eq!(sale, b"A30196222000000000000001");
        let security = Extension::default().with(*b"01", "04").with(*b"02", "00001").encode().unwrap();
        let both = Extension::default().with(tag::SECURITY, &security).with(tag::CODE, code);
        let bytes = both.encode().unwrap();
        let read = Extension::decode(&bytes).unwrap();
        assert_eq!(read, both);
        let inner = Extension::decode(read.get(tag::SECURITY).unwrap()).unwrap();
        assert_eq!((inner.get(*b"02"), inner.get(*b"03")), (Some(&b"00001"[..]), None));
        assert_eq!(format!("{read:?}"), "{\"A2\": 17, \"A3\": 19}");
        let long = Extension::default().with(tag::CODE, &[0; 1000]).encode();
        assert_eq!(long, Err(ExtensionError::Long { length: 1000 }));
    }

    /// Goal: what is no row says where.
    #[test]
    fn what_is_no_row_is_told_with_its_place() {
        let check = |bytes: &[u8], error| assert_eq!(Extension::decode(bytes), Err(error));
        check(b"A", ExtensionError::Tag { at: 0 });
        check(b"A3001xA", ExtensionError::Tag { at: 6 });
        check(b"A3", ExtensionError::Length { at: 2 });
        check(b"A3+01x", ExtensionError::Length { at: 2 });
        check(b"A3002x", ExtensionError::Length { at: 2 });
        check(b"A3001xA3000", ExtensionError::Twice { at: 6 });
    }

    proptest! {
        /// Goal: no bytes panic, and what is read is written as it came.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(read) = Extension::decode(&bytes) {
                prop_assert_eq!(read.encode().unwrap(), bytes);
            }
        }
    }
}

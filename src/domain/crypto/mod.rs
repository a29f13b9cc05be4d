//! Cryptography as a terminal needs it: message authentication, PIN blocks, derived keys, track encryption. Pure
//! functions of keys and data; the ciphers themselves are the RustCrypto crates'.
//!
//! It does not say where keys come from or who may use them: [`crate::domain::keystore`] does.
pub mod cipher;
pub mod dukpt;
pub mod mac;
pub mod pin_block;
pub mod track;

/// What the tests of this module write and read.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails loudly")]
pub(crate) mod testing {
    /// Bytes of a hexadecimal text of exactly that length.
    pub(crate) fn bytes<const N: usize>(text: &str) -> [u8; N] {
        crate::domain::secret::key_from_hex("test", text).unwrap()
    }

    /// Upper-case hexadecimal text.
    pub(crate) fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02X}")).collect()
    }

    /// The rows of one section of a data file: a line `== name`, then lines of columns; `#` begins a remark.
    pub(crate) fn rows<'a>(file: &'a str, section: &str) -> Vec<Vec<&'a str>> {
        let mut lines = file.lines().skip_while(|line| *line != format!("== {section}")).skip(1);
        let inside = lines.by_ref().take_while(|line| !line.starts_with("== "));
        inside
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect()
    }
}

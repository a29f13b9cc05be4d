//! Signatures that give back what was signed, as certificates and signed data have them. EMV 4.4 Book 2 Annex A2.1.
//!
//! The recovered block is header 6A, data that begins with its format, SHA-1, trailer BC. Spec: unverified.
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::keys::RsaKey;

/// The only hash algorithm. EMV 4.4 Book 2 Annex B2.1.
pub(super) const SHA_1: u8 = 0x01;

/// What a signature gave back. Certificates hold card numbers, so it is wiped.
pub(super) struct Recovered {
    data: Zeroizing<Vec<u8>>,
    hash: [u8; 20],
}

impl Recovered {
    /// Opens a signature; `None` if it is not as long as the key, or header, trailer or format are others.
    pub(super) fn open(key: &RsaKey, signature: &[u8], format: u8) -> Option<Self> {
        if signature.len() != key.length() {
            return None;
        }
        let block = Zeroizing::new(key.raw(signature));
        let [0x6A, inside @ .., 0xBC] = block.as_slice() else { return None };
        let (data, hash) = inside.split_last_chunk::<20>()?;
        let opened = Self { data: Zeroizing::new(data.to_vec()), hash: *hash };
        (opened.data.first() == Some(&format)).then_some(opened)
    }

    /// From the format to the padding: what the signature itself says.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }

    /// True if the hash is that of the data and of what was signed with it but stands outside.
    pub(super) fn covers<'a>(&self, outside: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut hash = Sha1::new().chain_update(self.data());
        outside.into_iter().for_each(|part| hash.update(part));
        <[u8; 20]>::from(hash.finalize()) == self.hash
    }

    /// Format 03: the data authentication code. EMV 4.4 Book 2 §5.4 Table 7.
    pub(super) fn static_code(&self) -> Option<[u8; 2]> {
        match self.data() {
            [_format, SHA_1, first, second, ..] => Some([*first, *second]),
            _ => None,
        }
    }

    /// Format 05: the card's dynamic number, 2 to 8 bytes, and what follows it in the dynamic data. EMV 4.4 Book 2
    /// §6.5.2 Table 17, §6.6.2 Table 22.
    pub(super) fn dynamic(&self) -> Option<(&[u8], &[u8])> {
        let [_format, SHA_1, length, rest @ ..] = self.data() else { return None };
        let (number_length, dynamic) = rest.get(..usize::from(*length))?.split_first()?;
        let length = usize::from(*number_length);
        if (2..=8).contains(&length) { dynamic.split_at_checked(length) } else { None }
    }
}

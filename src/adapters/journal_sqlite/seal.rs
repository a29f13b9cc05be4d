//! Sealing of card data and keys at rest of the journal. AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D
//! §8.2.2) and HMAC-SHA-256 (RFC 2104), each under a key of its own that is derived from the storage key.
//!
//! It does not make, keep or change the storage key: the system adapter does.
use crate::ports::JournalError;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE_LENGTH: usize = 12;

/// The keys derived from one storage key.
#[derive(Clone)]
pub(super) struct Seal {
    cipher: Aes256Gcm,
    key_id: String,
}

impl Seal {
    /// Derives the keys. Choice: HMAC-SHA-256 of a purpose under the storage key; one purpose never reads
    /// another's.
    pub(super) fn new(storage_key: &[u8; 32]) -> Result<Self, JournalError> {
        let sealing = Zeroizing::new(mac(storage_key, b"posd seal v1")?);
        let key_id = hex(mac(storage_key, b"posd key id v1")?.iter().take(4));
        Ok(Self {
            cipher: Aes256Gcm::new_from_slice(&*sealing).map_err(|_| fault("the sealing key is unusable"))?,
            key_id,
        })
    }

    /// Names the storage key without telling it: 8 hex digits.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Seals bytes for one column of one row.
    pub(super) fn seal(&self, row: &str, column: &str, clear: &[u8]) -> Result<Vec<u8>, JournalError> {
        let mut nonce = [0_u8; NONCE_LENGTH];
        getrandom::fill(&mut nonce).map_err(|e| fault(&format!("no random bytes from the kernel: {e}")))?;
        let bound = self.associated(row, column);
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: clear, aad: bound.as_bytes() })
            .map_err(|_| fault("sealing failed"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Seal::seal`] made for the same column of the same row.
    pub(super) fn open(
        &self,
        row: &str,
        column: &str,
        key_id: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, JournalError> {
        if key_id != self.key_id {
            return Err(self.wrong_key(key_id));
        }
        let broken = || JournalError::Unusable(format!("{column} of {row}: the seal is broken"));
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH).ok_or_else(broken)?;
        let nonce: [u8; NONCE_LENGTH] = nonce.try_into().map_err(|_| broken())?;
        let bound = self.associated(row, column);
        let clear = self.cipher.decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: bound.as_bytes() });
        clear.map(Zeroizing::new).map_err(|_| broken())
    }

    /// The error that names both keys.
    pub(super) fn wrong_key(&self, wanted: &str) -> JournalError {
        JournalError::Unusable(format!(
            "it is sealed under the storage key {wanted}, but the one given is {}; put the old key back",
            self.key_id
        ))
    }

    fn associated(&self, row: &str, column: &str) -> String {
        format!("{row}|{column}|{}", self.key_id)
    }
}

fn mac(key: &[u8; 32], message: &[u8]) -> Result<[u8; 32], JournalError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| fault("the storage key is unusable"))?;
    mac.update(message);
    Ok(mac.finalize().into_bytes().into())
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.map(|b| format!("{b:02x}")).collect()
}

fn fault(why: &str) -> JournalError {
    JournalError::Fault(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_opens_only_for_its_own_row_column_and_key() {
        let seal = Seal::new(&[7; 32]).unwrap();
        let sealed = seal.seal("row", "column", b"6225880012345678=3012").unwrap();
        let open = |row, column, key: &str| seal.open(row, column, key, &sealed);
        assert_eq!(open("row", "column", seal.key_id()).unwrap().as_slice(), b"6225880012345678=3012");
        assert!(open("other", "column", seal.key_id()).is_err());
        assert!(open("row", "other", seal.key_id()).is_err());
        let other = Seal::new(&[8; 32]).unwrap();
        let error = other.open("row", "column", seal.key_id(), &sealed).unwrap_err().to_string();
        assert!(error.contains(seal.key_id()) && error.contains(other.key_id()), "{error}");
        assert!(seal.open("row", "column", seal.key_id(), &[1, 2, 3]).is_err());
    }

    #[test]
    fn the_same_bytes_are_never_sealed_alike() {
        let seal = Seal::new(&[7; 32]).unwrap();
        assert_ne!(seal.seal("r", "c", b"x").unwrap(), seal.seal("r", "c", b"x").unwrap());
    }
}

//! The RSA keys of simulated cards and of the test certification authority (CA) above them, and the bare RSA operation.
//!
//! The private halves are in the tree on purpose; nothing real is signed with them.
use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use serde::Deserialize;

use crate::domain::emv::params::Capk;

/// Index of the test CA's key, tag 8F, whatever the RID.
pub const CA_INDEX: u8 = 0xE5;
/// Its last day, `YYYYMMDD` in BCD.
const CA_EXPIRY: [u8; 4] = [0x20, 0x39, 0x12, 0x31];

/// How many signatures are remembered.
const SIGNED_MAX: usize = 1000;
/// Signatures by what is signed. No two keys have the same length, so an input has one signer.
static SIGNED: Mutex<BTreeMap<Vec<u8>, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// A key pair; the names are those of RSA.
pub(super) struct KeyPair {
    pub(super) exponent: Vec<u8>,
    pub(super) modulus: Vec<u8>,
    private: Vec<u8>,
}

/// All of them.
pub(super) struct Keys {
    pub(super) ca: KeyPair,
    pub(super) issuer: KeyPair,
    pub(super) icc: KeyPair,
    pub(super) pin: KeyPair,
}

/// A key pair as the file has it.
#[derive(Default, Deserialize)]
struct Text {
    exponent: String,
    modulus: String,
    private: String,
}

#[derive(Default, Deserialize)]
struct File {
    ca: Text,
    issuer: Text,
    icc: Text,
    pin: Text,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    // The file is compiled in, and a test signs with every key of it.
    let file: File = toml::from_str(include_str!("keys.toml")).unwrap_or_default();
    let pair = |text: &Text| KeyPair {
        exponent: hex(&text.exponent),
        modulus: hex(&text.modulus),
        private: hex(&text.private),
    };
    Keys { ca: pair(&file.ca), issuer: pair(&file.issuer), icc: pair(&file.icc), pin: pair(&file.pin) }
});

/// The keys.
pub(super) fn keys() -> &'static Keys {
    &KEYS
}

/// The public key of the test CA, as a terminal must know it to authenticate these cards.
#[must_use]
pub fn test_capk(rid: [u8; 5]) -> Capk {
    let ca = &keys().ca;
    Capk {
        rid,
        index: CA_INDEX,
        expiry: CA_EXPIRY,
        exponent: ca.exponent.clone(),
        modulus: ca.modulus.clone(),
    }
}

impl KeyPair {
    /// The private operation: signs, or takes an encipherment off. The input must be as long as the modulus; else the
    /// answer is empty. What was signed before is remembered: the same cards sign the same again and again.
    pub(super) fn private_operation(&self, input: &[u8]) -> Vec<u8> {
        if input.len() != self.modulus.len() {
            return Vec::new();
        }
        let mut known = SIGNED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = known.get(input) {
            return signed.clone();
        }
        let signed = power(input, &self.private, &self.modulus);
        if known.len() < SIGNED_MAX {
            known.insert(input.to_vec(), signed.clone());
        }
        signed
    }
}

/// `base` to the `exponent` modulo `modulus`, as long as the modulus. Empty where the modulus is even.
pub(super) fn power(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let number = BoxedUint::from_be_slice_vartime;
    let width = number(modulus).bits_precision();
    let same = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, width).ok();
    let odd = Odd::new(number(modulus)).into_option();
    let (Some(odd), Some(base)) = (odd, same(base)) else { return Vec::new() };
    let base = BoxedMontyForm::new(base, &BoxedMontyParams::new_vartime(odd));
    let bytes = base.pow(&number(exponent)).retrieve().to_be_bytes();
    bytes.get(bytes.len().saturating_sub(modulus.len())..).unwrap_or_default().to_vec()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .filter_map(|at| text.get(at..at.saturating_add(2)))
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each private half does, the public half undoes; so every key of the file is whole.
    #[test]
    fn every_key_is_a_pair() {
        let Keys { ca, issuer, icc, pin } = keys();
        for (key, bytes) in [(ca, 176_u8), (issuer, 144), (icc, 128), (pin, 96)] {
            let input: Vec<u8> = core::iter::once(0x6A).chain(1..bytes).collect();
            let signed = key.private_operation(&input);
            assert_eq!(signed.len(), usize::from(bytes));
            assert_eq!(power(&signed, &key.exponent, &key.modulus), input);
        }
        assert!(ca.private_operation(&[1, 2, 3]).is_empty());
    }
}

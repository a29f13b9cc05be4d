//! RSA public keys, and which key of a certification authority counts. EMV 4.4 Book 2 §5.2, §6.2, Annex B2.1.
//!
//! Only the public operation; nothing here is secret but the PIN block that goes through it. Spec: unverified.
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use zeroize::Zeroizing;

use super::super::params::Capk;

/// Lengths of a modulus in bytes: 1984 bits are the most that a signature in one answer can have. Choice: below 512
/// bits no key is believed.
const MODULUS_MIN: usize = 64;
const MODULUS_MAX: usize = 248;

/// The exponents that EMV allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exponent {
    /// 3.
    Three,
    /// 2^16 + 1.
    Fermat4,
}

/// An RSA public key.
#[derive(Clone)]
pub(in crate::domain::emv) struct RsaKey {
    modulus: BoxedMontyParams,
    exponent: Exponent,
    length: usize,
}

impl RsaKey {
    /// Takes modulus and exponent as they stand in certificates. `None` for a modulus that is even, begins with 00 or
    /// has not 64 to 248 bytes, and for exponents other than 3 and 65537.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let exponent = match exponent {
            [3] => Exponent::Three,
            [1, 0, 1] => Exponent::Fermat4,
            _ => return None,
        };
        let length = modulus.len();
        if !(MODULUS_MIN..=MODULUS_MAX).contains(&length) || modulus.first() == Some(&0) {
            return None;
        }
        let modulus = Odd::new(BoxedUint::from_be_slice_vartime(modulus)).into_option()?;
        Some(Self { modulus: BoxedMontyParams::new_vartime(modulus), exponent, length })
    }

    /// The length of the modulus in bytes; certificates, signatures and enciphered blocks have the same.
    pub(in crate::domain::emv) const fn length(&self) -> usize {
        self.length
    }

    /// The public operation on a block of [`Self::length`] bytes; so many come back. A shorter block counts as if zeros
    /// stood before it; of a longer one only the last bytes count.
    pub(in crate::domain::emv) fn raw(&self, block: &[u8]) -> Vec<u8> {
        let number = BoxedUint::from_be_slice_truncated(block, self.modulus.bits_precision());
        let base = Zeroizing::new(BoxedMontyForm::new(number, &self.modulus));
        let mut power = Zeroizing::new(base.square());
        if self.exponent == Exponent::Fermat4 {
            for _ in 1..16 {
                *power = power.square();
            }
        }
        *power = power.mul(&base);
        let bytes = power.retrieve().to_be_bytes();
        let surplus = bytes.len().saturating_sub(self.length);
        bytes.get(surplus..).unwrap_or_default().to_vec()
    }
}

impl Capk {
    /// The key itself, if it is still valid on a day given as `YYYYMMDD` in binary-coded decimal.
    pub(super) fn key(&self, today: [u8; 4]) -> Option<RsaKey> {
        if self.expiry < today { None } else { RsaKey::new(&self.modulus, &self.exponent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Raising to 3 and to 65537 gives what plain multiplication gives, for every length of a modulus.
    #[test]
    fn small_numbers_are_raised_exactly() {
        for length in MODULUS_MIN..=MODULUS_MAX {
            let mut modulus = vec![0xFF; length];
            modulus[0] = 0x80;
            let key = RsaKey::new(&modulus, &[3]).unwrap();
            let mut block = vec![0; length];
            block[length - 2..].copy_from_slice(&[0x01, 0x02]);
            let cube = 0x0102_u32.pow(3).to_be_bytes();
            assert_eq!(key.raw(&block)[length - 4..], cube);
            assert_eq!((key.raw(&block).len(), key.length()), (length, length));
            assert_eq!(key.raw(&[1, 2]), key.raw(&block));
            let key = RsaKey::new(&modulus, &[1, 0, 1]).unwrap();
            block.fill(0);
            block[length - 1] = 1;
            assert_eq!(key.raw(&block), block);
            // n - 1 is -1; an odd power of it is -1 again.
            let minus_one = [&modulus[..length - 1], &[0xFE]].concat();
            assert_eq!(key.raw(&minus_one), minus_one);
        }
    }

    /// What cannot be a key of EMV is refused, not computed with.
    #[test]
    fn what_is_no_key_is_refused() {
        let modulus = [0xFF; 128];
        assert!(RsaKey::new(&modulus, &[3]).is_some());
        assert!(RsaKey::new(&modulus, &[0, 0, 3]).is_none());
        assert!(RsaKey::new(&modulus, &[2]).is_none());
        assert!(RsaKey::new(&modulus, &[]).is_none());
        assert!(RsaKey::new(&modulus[..63], &[3]).is_none());
        assert!(RsaKey::new(&[0xFF; 249], &[3]).is_none());
        let mut even = modulus;
        even[127] = 0xFE;
        assert!(RsaKey::new(&even, &[3]).is_none());
        let mut short = modulus;
        short[0] = 0;
        assert!(RsaKey::new(&short, &[3]).is_none());
    }
}

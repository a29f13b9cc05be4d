//! Message authentication codes that acquirers are known to ask for.
//!
//! The algorithm says how blocks are chained, the key says which cipher: DES, 3DES by its length, or SM4.
//! UnionPay's first step is a plain XOR, so exchanged blocks are not noticed: it is relied on for what the network
//! needs and for nothing else. Source: public terminal code and a published calculation, which the tests repeat;
//! Spec: unverified. ANSI X9.9, ANSI X9.19 (ISO 9797-1 algorithms 1 and 3, padding 1).
use super::cipher::{BlockKey, DesKey, Encrypt, first_eight, xor};
use crate::domain::outcome::words;

words! {
    /// How DE 64 is computed. The word says so where no document or captured message confirms it.
    MacAlgorithm {
        /// UnionPay "ECB": blocks folded by XOR, written as hexadecimal text, encrypted in two steps. DES or 3DES by
        /// the length of the key.
        UnionPay = "unionpay-ecb",
        /// ANSI X9.9: DES in CBC, last block. A key of double length makes it 3DES.
        X9_9 = "x9.9",
        /// ANSI X9.19: DES in CBC under the left half, the last block once more under right and left.
        X9_19 = "x9.19",
        /// The UnionPay form with SM4. Spec: unverified; its second half is by analogy.
        Sm4UnionPay = "sm4-ecb-unconfirmed",
        /// SM4 in CBC, last block. Spec: unverified.
        Sm4Cbc = "sm4-cbc-unconfirmed",
    }
}

impl MacAlgorithm {
    /// True for those that want SM4 keys.
    #[must_use]
    pub const fn is_sm4(self) -> bool {
        matches!(self, Self::Sm4UnionPay | Self::Sm4Cbc)
    }

    /// The first eight bytes of the code. A key of the other cipher gives the same construction with that cipher.
    #[must_use]
    pub fn compute(self, key: &BlockKey, covered: &[u8]) -> [u8; 8] {
        match (self, key) {
            (Self::UnionPay | Self::Sm4UnionPay, BlockKey::Des(key)) => folded(key, covered),
            (Self::UnionPay | Self::Sm4UnionPay, BlockKey::Sm4(key)) => first_eight(&folded(key, covered)),
            (Self::X9_19, BlockKey::Des(key)) => retail(key, covered),
            (Self::X9_9 | Self::Sm4Cbc, BlockKey::Des(key)) => chained(key, covered),
            (Self::X9_9 | Self::X9_19 | Self::Sm4Cbc, BlockKey::Sm4(key)) => {
                first_eight(&chained(key, covered))
            }
        }
    }
}

/// UnionPay's "ECB": XOR of all blocks (zero-filled), as hexadecimal text; its first half encrypted, XOR the second
/// half, encrypted again.
fn folded<const N: usize>(key: &impl Encrypt<N>, covered: &[u8]) -> [u8; N] {
    let mut fold = [0; N];
    covered.chunks(N).for_each(|block| xor(&mut fold, block));
    let text: Vec<u8> = fold.iter().flat_map(|byte| hex_digits(*byte)).collect();
    let (head, tail) = text.split_at_checked(N).unwrap_or_default();
    let mut block = [0; N];
    xor(&mut block, head);
    block = key.encrypt_block(block);
    xor(&mut block, tail);
    key.encrypt_block(block)
}

/// CBC with a zero initial vector and zeros behind the last byte: the last block. ISO 9797-1 algorithm 1, padding 1.
fn chained<const N: usize>(key: &impl Encrypt<N>, covered: &[u8]) -> [u8; N] {
    covered.chunks(N).fold([0; N], |mut block, bytes| {
        xor(&mut block, bytes);
        key.encrypt_block(block)
    })
}

/// CBC under the left half; the last block decrypted under the right half and encrypted under the left. ISO 9797-1
/// algorithm 3, padding 1; ANSI X9.19. Of a single-length key nothing but [`chained`] is left.
pub(super) fn retail(key: &DesKey, covered: &[u8]) -> [u8; 8] {
    let (left, right) = key.halves();
    left.encrypt(right.decrypt(chained(&left, covered)))
}

/// Two upper-case hexadecimal characters.
pub(crate) const fn hex_digits(byte: u8) -> [u8; 2] {
    const fn character(nibble: u8) -> u8 {
        if nibble < 10 { b'0' + nibble } else { b'A' + (nibble - 10) }
    }
    [character(byte >> 4), character(byte & 0x0F)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::cipher::Sm4Key;
    use crate::domain::crypto::testing::{bytes, hex};

    /// From the MTI to the byte before DE 64, 91 bytes. Source: blog zhu244912654/80005341, a demonstration with keys.
    const COVERED: &str = "0200302004C020C0981100000000000000005100183402100006324392260009942820D1312101120084\
         393136363838303134303030303030303030303030303031313536ACF46E73838A82F92600000000000000000822000001";
    const DOUBLE: &str = "0123456789ABCDEFFEDCBA9876543210";
    const SINGLE: &str = "C24A8FB57AA20123";

    fn covered() -> [u8; 91] {
        bytes(COVERED)
    }

    fn double() -> BlockKey {
        BlockKey::Des(DesKey::Double(bytes(DOUBLE)))
    }

    fn single() -> BlockKey {
        BlockKey::Des(DesKey::Single(bytes(SINGLE)))
    }

    fn sm4() -> BlockKey {
        BlockKey::Sm4(Sm4Key::new(bytes(DOUBLE)))
    }

    fn check(algorithm: MacAlgorithm, key: &BlockKey, expected: &str) {
        assert_eq!(hex(&algorithm.compute(key, &covered())), expected, "{algorithm}");
    }

    /// The published calculation; the same key twice in 3DES gives the same.
    #[test]
    fn the_unionpay_mac_is_the_published_one() {
        check(MacAlgorithm::UnionPay, &single(), "8A9E91B88D839AC5");
        let twice = BlockKey::Des(DesKey::Double(bytes(&SINGLE.repeat(2))));
        check(MacAlgorithm::UnionPay, &twice, "8A9E91B88D839AC5");
    }

    /// Over the same bytes, computed with an independent implementation (Python, pycryptodome).
    #[test]
    fn the_other_des_macs_come_out() {
        check(MacAlgorithm::UnionPay, &double(), "84C8B24124A71EAF");
        check(MacAlgorithm::X9_9, &single(), "756FED7EEB9F572C");
        check(MacAlgorithm::X9_19, &double(), "D2E1D279C4F95777");
    }

    /// Over the same bytes, computed with an independent implementation (Python, gmssl). That hosts do it so is
    /// unconfirmed.
    #[test]
    fn the_sm4_macs_come_out() {
        let BlockKey::Sm4(ref key) = sm4() else { panic!("an SM4 key") };
        assert_eq!(hex(&folded(key, &covered())), "D0656CDC7A9D002263671B6D8DF5DACA");
        assert_eq!(hex(&chained(key, &covered())), "3688158D693AF523B30B85356E391EC5");
        check(MacAlgorithm::Sm4UnionPay, &sm4(), "D0656CDC7A9D0022");
        check(MacAlgorithm::Sm4Cbc, &sm4(), "3688158D693AF523");
    }

    /// ISO 9797-1 annex B: algorithm 1 and 3 with padding 1.
    #[test]
    fn the_macs_of_iso_9797_come_out() {
        let text = b"Now is the time for all ";
        let single = BlockKey::Des(DesKey::Single(bytes("0123456789ABCDEF")));
        assert_eq!(hex(&MacAlgorithm::X9_9.compute(&single, text)), "70A30640CC76DD8B");
        assert_eq!(hex(&MacAlgorithm::X9_19.compute(&double(), text)), "A1C72E74EA3FA9B6");
        // openemv/crypto test/crypto_tdes2_retail_mac_test.c
        assert_eq!(hex(&MacAlgorithm::X9_19.compute(&double(), b"Now is the time for it"))[..8], *"2E2B1428");
    }

    /// X9.19 with a single-length key is X9.9: what is decrypted and encrypted under one key is nothing.
    #[test]
    fn a_single_key_makes_x9_19_x9_9() {
        check(MacAlgorithm::X9_19, &single(), "756FED7EEB9F572C");
    }

    /// An operator who writes a profile sees which of them nobody has confirmed.
    #[test]
    fn unconfirmed_algorithms_say_so_in_their_word() {
        for algorithm in MacAlgorithm::ALL {
            assert_eq!(algorithm.is_sm4(), algorithm.word().ends_with("-unconfirmed"), "{algorithm}");
        }
    }
}

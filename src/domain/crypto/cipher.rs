//! Keys and the block ciphers they drive: DES of single and double length, SM4, AES. Every key is wiped when dropped
//! and never printed; none gives its bytes back.
use core::fmt;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A DES key: 8 bytes (DES) or 16 (3DES, EDE with two keys). Parity bits are not looked at.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum DesKey {
    /// DES.
    Single([u8; 8]),
    /// 3DES.
    Double([u8; 16]),
}

impl DesKey {
    /// Encrypts one block.
    #[must_use]
    pub fn encrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut block = block.into();
        match self {
            Self::Single(key) => des::Des::new(key.into()).encrypt_block(&mut block),
            Self::Double(key) => des::TdesEde2::new(key.into()).encrypt_block(&mut block),
        }
        block.into()
    }

    /// Decrypts one block.
    #[must_use]
    pub fn decrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut block = block.into();
        match self {
            Self::Single(key) => des::Des::new(key.into()).decrypt_block(&mut block),
            Self::Double(key) => des::TdesEde2::new(key.into()).decrypt_block(&mut block),
        }
        block.into()
    }

    /// The halves as keys of their own: of a single key both are the key itself.
    pub(super) fn halves(&self) -> (Self, Self) {
        match self {
            Self::Single(_) => (self.clone(), self.clone()),
            Self::Double([a, b, c, d, e, f, g, h, right @ ..]) => {
                (Self::Single([*a, *b, *c, *d, *e, *f, *g, *h]), Self::Single(*right))
            }
        }
    }
}

/// An SM4 key of 16 bytes. GB/T 32907.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Sm4Key([u8; 16]);

impl Sm4Key {
    /// Takes the clear key.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// Encrypts one block.
    #[must_use]
    pub fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        sm4::Sm4::new(&self.0.into()).encrypt_block(&mut block);
        block.into()
    }

    /// Decrypts one block.
    #[must_use]
    pub fn decrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        sm4::Sm4::new(&self.0.into()).decrypt_block(&mut block);
        block.into()
    }
}

/// An AES key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum AesKey {
    /// AES-128.
    Aes128([u8; 16]),
    /// AES-192.
    Aes192([u8; 24]),
    /// AES-256.
    Aes256([u8; 32]),
}

impl AesKey {
    /// Encrypts one block.
    #[must_use]
    pub fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        match self {
            Self::Aes128(key) => aes::Aes128::new(key.into()).encrypt_block(&mut block),
            Self::Aes192(key) => aes::Aes192::new(key.into()).encrypt_block(&mut block),
            Self::Aes256(key) => aes::Aes256::new(key.into()).encrypt_block(&mut block),
        }
        block.into()
    }

    /// Decrypts one block.
    #[must_use]
    pub fn decrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        match self {
            Self::Aes128(key) => aes::Aes128::new(key.into()).decrypt_block(&mut block),
            Self::Aes192(key) => aes::Aes192::new(key.into()).decrypt_block(&mut block),
            Self::Aes256(key) => aes::Aes256::new(key.into()).decrypt_block(&mut block),
        }
        block.into()
    }
}

/// A working key of the host: DES or SM4, as the sign-on brought it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum BlockKey {
    /// DES or 3DES.
    Des(DesKey),
    /// SM4.
    Sm4(Sm4Key),
}

impl BlockKey {
    /// What zeros become: eight bytes of DES over eight zero bytes, or the first eight of SM4 over sixteen. The first
    /// four are the check value that people compare. SM4: Spec: unverified.
    #[must_use]
    pub fn check_block(&self) -> [u8; 8] {
        match self {
            Self::Des(key) => key.encrypt([0; 8]),
            Self::Sm4(key) => first_eight(&key.encrypt([0; 16])),
        }
    }

    /// The first four bytes of [`BlockKey::check_block`].
    #[must_use]
    pub fn check_value(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.check_block();
        [a, b, c, d]
    }
}

/// A cipher over blocks of `N` bytes, as the constructions around it see it.
pub(super) trait Encrypt<const N: usize> {
    fn encrypt_block(&self, block: [u8; N]) -> [u8; N];
}

impl Encrypt<8> for DesKey {
    fn encrypt_block(&self, block: [u8; 8]) -> [u8; 8] {
        self.encrypt(block)
    }
}

impl Encrypt<16> for Sm4Key {
    fn encrypt_block(&self, block: [u8; 16]) -> [u8; 16] {
        self.encrypt(block)
    }
}

macro_rules! masked {
    ($($name:ident),+) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(******)"))
            }
        }
    )+};
}
masked!(DesKey, Sm4Key, AesKey, BlockKey);

/// XORs bytes onto a block; what is longer is cut, what is shorter leaves the rest alone.
pub(super) fn xor<const N: usize>(onto: &mut [u8; N], bytes: &[u8]) {
    onto.iter_mut().zip(bytes).for_each(|(to, byte)| *to ^= byte);
}

/// The first half of a block of 16 bytes.
pub(super) fn first_eight(block: &[u8; 16]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = *block;
    [a, b, c, d, e, f, g, h]
}

/// Compares in a time that does not depend on where the difference is.
#[must_use]
pub fn same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (x, y)| core::hint::black_box(all | (x ^ y)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::testing::{bytes, hex};

    /// Check values of repeated-byte keys: some are in captured answers (NPP Go host), the rest computed.
    #[test]
    fn check_values_are_the_known_ones() {
        let check = |byte, expected: &str| {
            let double = BlockKey::Des(DesKey::Double([byte; 16]));
            assert_eq!(hex(&double.check_block()), expected);
            assert_eq!(hex(&double.check_value()), expected[..8]);
            assert_eq!(hex(&BlockKey::Des(DesKey::Single([byte; 8])).check_block()), expected);
        };
        check(0x00, "8CA64DE9C1B123A7");
        check(0x11, "82E13665B4624DF5");
        check(0x22, "00962B60AA556E65");
        check(0x33, "ADC67D8473BF2F06");
        check(0x44, "E2F2434039AA34AC");
        check(0x55, "0CD7DC4903A8B88B");
        let sm4 = BlockKey::Sm4(Sm4Key::new(bytes("0123456789ABCDEFFEDCBA9876543210")));
        assert_eq!(hex(&sm4.check_value()), "2677F46B");
    }

    /// ISO 9797-1 annex B for DES.
    #[test]
    fn des_is_the_published_one() {
        let key = DesKey::Single(bytes("0123456789ABCDEF"));
        assert_eq!(hex(&key.encrypt(*b"Now is t")), "3FA40E8A984D4815");
        assert_eq!(key.decrypt(key.encrypt(*b"Now is t")), *b"Now is t");
    }

    /// GB/T 32907 annex A.1, where key and plaintext are the same.
    #[test]
    fn sm4_is_the_published_one() {
        let both: [u8; 16] = bytes("0123456789ABCDEFFEDCBA9876543210");
        let key = Sm4Key::new(both);
        assert_eq!(hex(&key.encrypt(both)), "681EDF34D206965E86B3E94F536E4246");
        assert_eq!(key.decrypt(key.encrypt(both)), both);
        assert_eq!(hex(&key.encrypt([0; 16])), "2677F46B09C122CC975533105BD4A22A");
    }

    /// FIPS 197 annex C: the same plaintext under the three lengths.
    #[test]
    fn aes_is_the_published_one() {
        let check = |key: AesKey, expected: &str| {
            let plain: [u8; 16] = bytes("00112233445566778899AABBCCDDEEFF");
            assert_eq!(hex(&key.encrypt(plain)), expected);
            assert_eq!(key.decrypt(key.encrypt(plain)), plain);
        };
        let count = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
        check(AesKey::Aes128(bytes(&count[..32])), "69C4E0D86A7B0430D8CDB78070B4C55A");
        check(AesKey::Aes192(bytes(&count[..48])), "DDA97CA4864CDFE06EAF70A0EC0D7191");
        check(AesKey::Aes256(bytes(count)), "8EA2B7CA516745BFEAFC49904B496089");
    }

    /// A key cannot be written to a log by accident.
    #[test]
    fn keys_are_never_printed() {
        assert_eq!(format!("{:?}", DesKey::Double([0x5A; 16])), "DesKey(******)");
        assert_eq!(format!("{:?}", BlockKey::Sm4(Sm4Key::new([0x5A; 16]))), "BlockKey(******)");
        assert_eq!(format!("{:?}", AesKey::Aes256([0x5A; 32])), "AesKey(******)");
    }

    /// One changed bit anywhere is seen.
    #[test]
    fn comparison_sees_every_difference() {
        assert!(same(&[1, 2, 3], &[1, 2, 3]));
        assert!(!same(&[1, 2, 3], &[0, 2, 3]) && !same(&[1, 2, 3], &[1, 2, 2]));
    }
}

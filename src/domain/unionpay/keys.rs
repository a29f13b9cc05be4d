//! Master key, working keys, PIN block. The ciphers are the `des` crate's.
//!
//! A master key (TMK) of 16 bytes belongs to the terminal. Each sign-on brings fresh working keys encrypted
//! under it (3DES, ECB): PIK for PINs, MAK for MACs, TDK for tracks. Source: key block layouts of public
//! terminal and host code (two sources and one captured answer with known keys agreeing); Spec: unverified.
//! ISO 9564-1 format 0 for PINs.
use crate::domain::secret::{ClearPin, Pan, PinBlock, SecretError, key_from_hex};
use core::fmt;
use des::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use des::{Des, TdesEde2};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Why a key block cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one of the known layouts.
    #[error("a key block of {length} bytes; 24, 40 and 60 are known")]
    Length {
        /// Bytes given.
        length: usize,
    },
    /// The check value does not fit: another master key, or a damaged block.
    #[error("the check value of {key} does not fit; check the master key")]
    CheckValue {
        /// `pik`, `mak` or `tdk`.
        key: &'static str,
    },
}

/// A DES key of single or double length. Wiped when dropped, never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) enum DesKey {
    Single([u8; 8]),
    Double([u8; 16]),
}

impl DesKey {
    pub(super) fn encrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut block = block.into();
        match self {
            Self::Single(key) => Des::new(key.into()).encrypt_block(&mut block),
            Self::Double(key) => TdesEde2::new(key.into()).encrypt_block(&mut block),
        }
        block.into()
    }

    pub(super) fn decrypt(&self, block: [u8; 8]) -> [u8; 8] {
        let mut block = block.into();
        match self {
            Self::Single(key) => Des::new(key.into()).decrypt_block(&mut block),
            Self::Double(key) => TdesEde2::new(key.into()).decrypt_block(&mut block),
        }
        block.into()
    }

    /// First four bytes of the encryption of eight zero bytes.
    pub(super) fn check_value(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.encrypt([0; 8]);
        [a, b, c, d]
    }
}

/// Terminal master key (TMK), 16 bytes. `Debug` shows nothing of it.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey(DesKey);

impl MasterKey {
    /// Takes the clear key.
    #[must_use]
    pub const fn from_bytes(key: [u8; 16]) -> Self {
        Self(DesKey::Double(key))
    }

    /// Takes 32 hexadecimal digits, blanks around them aside.
    ///
    /// # Errors
    /// Any other form; the text is not quoted.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        key_from_hex("master key", text).map(Self::from_bytes)
    }

    /// First four bytes of the encryption of eight zero bytes: tells whether two sides hold the same key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 4] {
        self.0.check_value()
    }

    pub(super) const fn cipher(&self) -> &DesKey {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(******)")
    }
}

/// The working keys of one sign-on, in clear: only ever in memory.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct WorkingKeys {
    pik: DesKey,
    mak: DesKey,
    tdk: Option<DesKey>,
}

impl WorkingKeys {
    /// Decrypts DE 62 of a sign-on answer and compares every check value.
    ///
    /// Layouts: 24 bytes (60.3 = 001) PIK 8 + check 4 + MAK 8 + check 4; 40 bytes (003) PIK 16 + check 4 +
    /// MAK 16 + check 4; 60 bytes (004) the same and TDK 16 + check 4. A MAK whose second half is eight zero
    /// bytes has single length: those zeros are not ciphertext.
    ///
    /// # Errors
    /// [`KeyError`]: an unknown length, or the first key whose check value does not fit.
    pub fn open(tmk: &MasterKey, block: &[u8]) -> Result<Self, KeyError> {
        let unknown = KeyError::Length { length: block.len() };
        let key_length = match block.len() {
            24 => 8,
            40 | 60 => 16,
            _ => return Err(unknown),
        };
        let mut records = block.chunks_exact(key_length + 4);
        let mut next = |name| records.next().map(|record| open_one(tmk, name, record)).transpose();
        let (Some(pik), Some(mak)) = (next("pik")?, next("mak")?) else { return Err(unknown) };
        Ok(Self { pik, mak, tdk: next("tdk")? })
    }

    /// Check values by key: `pik`, `mak` and, where the host gave one, `tdk`.
    #[must_use]
    pub fn check_values(&self) -> Vec<(&'static str, [u8; 4])> {
        let mut values = vec![("pik", self.pik.check_value()), ("mak", self.mak.check_value())];
        values.extend(self.tdk.as_ref().map(|tdk| ("tdk", tdk.check_value())));
        values
    }

    /// DE 52: the PIN in ISO 9564-1 format 0, encrypted under the PIK.
    #[must_use]
    pub fn pin_block(&self, pin: &ClearPin, pan: &Pan) -> PinBlock {
        let mut clear = clear_pin_block(pin, pan);
        let block = PinBlock::new(self.pik.encrypt(clear));
        clear.zeroize();
        block
    }

    /// Second digit of DE 53: 6 = 3DES, 0 = DES.
    pub(super) const fn pin_algorithm(&self) -> char {
        match self.pik {
            DesKey::Double(_) => '6',
            DesKey::Single(_) => '0',
        }
    }

    pub(super) const fn mak(&self) -> &DesKey {
        &self.mak
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) const fn pik(&self) -> &DesKey {
        &self.pik
    }
}

impl fmt::Debug for WorkingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkingKeys(******)")
    }
}

/// One record: encrypted key and its check value.
fn open_one(tmk: &MasterKey, name: &'static str, record: &[u8]) -> Result<DesKey, KeyError> {
    let wrong = KeyError::CheckValue { key: name };
    let (encrypted, check) = record.split_last_chunk::<4>().ok_or(wrong)?;
    let key = match encrypted.as_chunks::<8>().0 {
        [one] => DesKey::Single(tmk.cipher().decrypt(*one)),
        [one, [0, 0, 0, 0, 0, 0, 0, 0]] if name == "mak" => DesKey::Single(tmk.cipher().decrypt(*one)),
        [one, two] => {
            let mut both = [0; 16];
            let halves = tmk.cipher().decrypt(*one).into_iter().chain(tmk.cipher().decrypt(*two));
            both.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
            let key = DesKey::Double(both);
            both.zeroize();
            key
        }
        _ => return Err(wrong),
    };
    if same(&key.check_value(), check) { Ok(key) } else { Err(wrong) }
}

/// ISO 9564-1 format 0: control nibble 0, length, PIN, filler F; XOR four zeros and the twelve rightmost
/// digits of the card number without its check digit.
pub(super) fn clear_pin_block(pin: &ClearPin, pan: &Pan) -> [u8; 8] {
    let mut block = pan_block(pan);
    let digits = pin.reveal();
    let length = u8::try_from(digits.len()).unwrap_or(0); // 4 to 12 by its type
    let pin = [0, length].into_iter().chain(digits.iter().map(|c| c & 0x0F)).chain([0x0F; 10]);
    xor_nibbles(&mut block, pin);
    block
}

/// Four zeros and the twelve rightmost digits without the check digit; shorter numbers are filled with zeros.
pub(super) fn pan_block(pan: &Pan) -> [u8; 8] {
    let digits = pan.reveal().bytes().rev().skip(1).map(|c| c & 0x0F).chain([0; 12]).take(12);
    let mut rightmost: Vec<u8> = digits.collect();
    rightmost.reverse();
    let mut block = [0; 8];
    xor_nibbles(&mut block, [0; 4].into_iter().chain(rightmost.iter().copied()));
    rightmost.zeroize();
    block
}

/// XORs a row of nibbles onto a block, high nibble first.
fn xor_nibbles(block: &mut [u8; 8], mut nibbles: impl Iterator<Item = u8>) {
    for byte in block {
        let (high, low) = (nibbles.next().unwrap_or(0), nibbles.next().unwrap_or(0));
        *byte ^= (high << 4) | low;
    }
}

/// Compares in a time that does not depend on where the difference is.
pub(super) fn same<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    let difference = a.iter().zip(b).fold(0, |all, (x, y)| core::hint::black_box(all | (x ^ y)));
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02X}")).collect()
    }

    /// Check values of repeated-byte keys: some are in captured answers (NPP Go host), the rest computed.
    #[test]
    fn check_values_are_the_known_ones() {
        let check = |byte, expected| {
            assert_eq!(hex(&DesKey::Double([byte; 16]).check_value()), expected);
            assert_eq!(hex(&DesKey::Single([byte; 8]).check_value()), expected);
        };
        check(0x00, "8CA64DE9");
        check(0x11, "82E13665");
        check(0x22, "00962B60");
        check(0x33, "ADC67D84");
        check(0x44, "E2F24340");
        check(0x55, "0CD7DC49");
    }

    /// The clear blocks: two of wuxinxi/unionpay PinUtil, one widely printed ISO-0 example, one computed.
    #[test]
    fn clear_pin_blocks_are_iso_9564_format_0() {
        let check = |pin: &str, pan: &str, expected| {
            let block = clear_pin_block(&ClearPin::new(pin.as_bytes()).unwrap(), &Pan::new(pan).unwrap());
            assert_eq!(hex(&block), expected);
        };
        check("123456", "123456789012345678", "061253DFFEDCBA98");
        check("123456", "1234567890123456", "0612713176FEDCBA");
        check("1234", "4321987654321098", "04122D789ABCDEF6");
        check("123456", "6225880012345678", "06126CD6FEDCBA98");
        // Shorter than thirteen digits: zeros on the left. Longest PIN: no filler is left but the last two.
        check("123456789012", "12345678", "0C12345679B35798");
    }

    /// The zeros behind a single-length MAK are not ciphertext; behind any other key they are.
    #[test]
    fn only_a_mak_may_have_single_length() {
        let tmk = MasterKey::from_bytes([0x11; 16]);
        let half = tmk.cipher().encrypt([0x33; 8]);
        let record = [&half[..], &[0; 8], &DesKey::Single([0x33; 8]).check_value()].concat();
        assert!(open_one(&tmk, "mak", &record).is_ok());
        assert!(matches!(open_one(&tmk, "pik", &record), Err(KeyError::CheckValue { key: "pik" })));
    }

    /// The oldest layout, 60.3 = 001: eight-byte keys.
    #[test]
    fn a_single_length_block_opens() {
        let tmk = MasterKey::from_bytes([0x11; 16]);
        let record = |byte| {
            let key = DesKey::Single([byte; 8]);
            [&tmk.cipher().encrypt([byte; 8])[..], &key.check_value()].concat()
        };
        let keys = WorkingKeys::open(&tmk, &[record(0x22), record(0x33)].concat()).unwrap();
        assert_eq!(keys.check_values().len(), 2);
        assert_eq!(keys.pin_algorithm(), '0');
    }

    #[test]
    fn keys_are_never_printed() {
        let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        assert_eq!(format!("{tmk:?}"), "MasterKey(******)");
        assert!(!MasterKey::from_hex("0123").unwrap_err().to_string().contains("0123"));
    }
}

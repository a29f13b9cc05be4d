//! DUKPT with TDES: 21 bits of counter, at most ten of them ones, so 1,048,575 transactions. ANSI X9.24-1:2009 annex A.
//!
//! The derivation of keys for data has no vector at hand; Spec: unverified there.
use super::{Derived, Family, Registers, Step};
use crate::domain::crypto::cipher::{DesKey, xor};
use crate::domain::crypto::mac::retail;
use crate::domain::crypto::pin_block::ClearBlock;
use cmac::{Cmac, KeyInit, Mac};
use zeroize::Zeroize;

/// Key serial number: ten bytes, the last 21 bits of which are the counter.
pub type Ksn = [u8; 10];

/// Bits 5 to 8 of a KSN's eighth byte and the two bytes behind it.
const COUNTER: u32 = 0x1F_FFFF;
/// XORed onto a key to make another one of it.
const MASK: [u8; 16] = [0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0, 0xC0, 0xC0, 0xC0, 0xC0, 0, 0, 0, 0];

/// The keys of one initial key serial number.
#[derive(Clone, Copy, Debug)]
pub struct Tdes {
    /// With the counter cleared.
    initial: Ksn,
}

impl Tdes {
    /// The family of a serial number; its counter is not looked at.
    #[must_use]
    pub fn new(ksn: Ksn) -> Self {
        let [head @ .., a, b, c] = ksn;
        let [_, a, b, c] = (u32::from_be_bytes([0, a, b, c]) & !COUNTER).to_be_bytes();
        let [s, t, u, v, w, x, y] = head;
        Self { initial: [s, t, u, v, w, x, y, a, b, c] }
    }

    /// The whole serial number of a counter.
    #[must_use]
    pub fn ksn(&self, counter: u32) -> Ksn {
        let [s, t, u, v, w, x, y, a, b, c] = self.initial;
        let [_, a, b, c] = (u32::from_be_bytes([0, a, b, c]) | (counter & COUNTER)).to_be_bytes();
        [s, t, u, v, w, x, y, a, b, c]
    }
}

impl Family for Tdes {
    type Key = [u8; 16];
    const BITS: u32 = 21;
    const ONES_MAX: u32 = 10;

    fn derive(&self, key: &[u8; 16], counter: u32) -> [u8; 16] {
        let [_, _, register @ ..] = self.ksn(counter);
        let mut masked = *key;
        xor(&mut masked, &MASK);
        let derived = joined(one_way(&masked, register), one_way(key, register));
        masked.zeroize();
        derived
    }
}

/// The register XOR the right half, DES under the left half, XOR the right half. Annex A.2.
fn one_way(key: &[u8; 16], mut register: [u8; 8]) -> [u8; 8] {
    let [left, right] = halves(key);
    xor(&mut register, &right);
    register = DesKey::Single(left).encrypt(register);
    xor(&mut register, &right);
    register
}

const fn halves(key: &[u8; 16]) -> [[u8; 8]; 2] {
    let [a, b, c, d, e, f, g, h, right @ ..] = *key;
    [[a, b, c, d, e, f, g, h], right]
}

const fn joined(left: [u8; 8], right: [u8; 8]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = left;
    let [i, j, k, l, m, n, o, p] = right;
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// A terminal's registers, loaded with an initial key.
#[must_use]
pub fn load(ksn: Ksn, initial: &[u8; 16]) -> Registers<Tdes> {
    Registers::load(Tdes::new(ksn), initial)
}

/// The keys of one transaction.
pub struct Transaction {
    /// Sent along: says which keys they are.
    pub ksn: Ksn,
    derived: Derived<Tdes>,
}

/// The next transaction, and the registers for the one after it; `None` when every key has been used.
#[must_use]
pub fn next(registers: Registers<Tdes>) -> Option<(Transaction, Registers<Tdes>)> {
    match registers.step() {
        Step::Key(derived, rest) => {
            Some((Transaction { ksn: rest.family.ksn(derived.counter), derived }, rest))
        }
        Step::UsedUp => None,
    }
}

/// Byte of both halves that a variant changes. Annex A.4.1.
#[derive(Clone, Copy)]
enum Variant {
    Pin = 7,
    MacRequest = 6,
    Data = 5,
    MacResponse = 4,
    DataResponse = 3,
}

impl Transaction {
    /// The PIN block encrypted.
    #[must_use]
    pub fn encrypt_pin(&self, block: &ClearBlock<8>) -> [u8; 8] {
        self.variant(Variant::Pin).encrypt(block.reveal())
    }

    /// MAC of a request by ANSI X9.19: the first four bytes are sent.
    #[must_use]
    pub fn mac_request(&self, covered: &[u8]) -> [u8; 8] {
        retail(&self.variant(Variant::MacRequest), covered)
    }

    /// MAC of an answer.
    #[must_use]
    pub fn mac_response(&self, covered: &[u8]) -> [u8; 8] {
        retail(&self.variant(Variant::MacResponse), covered)
    }

    /// MAC of a request as CMAC. ISO 9797-1 algorithm 5.
    #[must_use]
    pub fn cmac_request(&self, covered: &[u8]) -> [u8; 8] {
        cmac(&self.variant_bytes(Variant::MacRequest), covered)
    }

    /// MAC of an answer as CMAC.
    #[must_use]
    pub fn cmac_response(&self, covered: &[u8]) -> [u8; 8] {
        cmac(&self.variant_bytes(Variant::MacResponse), covered)
    }

    /// The key for data of a request. Its variant is encrypted under itself, half by half. Spec: unverified.
    #[must_use]
    pub fn data_request_key(&self) -> DesKey {
        self.data_key(Variant::Data)
    }

    /// The key for data of an answer. Spec: unverified.
    #[must_use]
    pub fn data_response_key(&self) -> DesKey {
        self.data_key(Variant::DataResponse)
    }

    fn data_key(&self, variant: Variant) -> DesKey {
        let mut bytes = self.variant_bytes(variant);
        let [left, right] = halves(&bytes);
        let key = DesKey::Double(bytes);
        bytes.zeroize();
        DesKey::Double(joined(key.encrypt(left), key.encrypt(right)))
    }

    fn variant(&self, variant: Variant) -> DesKey {
        DesKey::Double(self.variant_bytes(variant))
    }

    fn variant_bytes(&self, variant: Variant) -> [u8; 16] {
        let mut key = *self.derived.key.reveal();
        let changed = variant as usize;
        key.iter_mut().enumerate().filter(|(at, _)| at % 8 == changed).for_each(|(_, byte)| *byte ^= 0xFF);
        key
    }
}

impl core::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transaction").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}

fn cmac(key: &[u8; 16], covered: &[u8]) -> [u8; 8] {
    let mut mac = <Cmac<des::TdesEde2> as KeyInit>::new(key.into());
    mac.update(covered);
    mac.finalize().into_bytes().into()
}

/// The initial key of a terminal from the base derivation key: whoever loads terminals. Annex A.6.
#[cfg(any(test, feature = "sim"))]
#[must_use]
pub fn initial_key(bdk: &[u8; 16], ksn: Ksn) -> [u8; 16] {
    let [register @ .., _, _] = Tdes::new(ksn).initial;
    let mut masked = *bdk;
    xor(&mut masked, &MASK);
    joined(DesKey::Double(*bdk).encrypt(register), DesKey::Double(masked).encrypt(register))
}

#[cfg(test)]
mod tests {
    use super::super::successor;
    use super::*;
    use crate::domain::crypto::pin_block::{decode, format_0};
    use crate::domain::crypto::testing::{bytes, hex, rows};
    use crate::domain::secret::{ClearPin, Pan};

    const VECTORS: &str = include_str!("../../../../tests/data/crypto/dukpt-tdes.txt");
    const KSN: &str = "FFFF9876543210E00000";
    const INITIAL: &str = "6AC292FAA1315B4D858AB3A3D7D5933A";
    /// What ANSI X9.24-1:2009 A.4 computes MACs over.
    const COVERED: &[u8] = b"4012345678909D987";

    fn block() -> ClearBlock<8> {
        format_0(&ClearPin::new(b"1234").unwrap(), &Pan::new("4012345678909").unwrap())
    }

    fn check(transaction: &Transaction, row: &[&str]) {
        let [ksn, key, pin, mac, answer_mac, cmac, answer_cmac] = row else {
            panic!("seven columns: {row:?}")
        };
        assert_eq!(hex(&transaction.ksn), *ksn);
        assert_eq!(hex(transaction.derived.key.reveal()), *key, "{ksn}");
        assert_eq!(hex(&transaction.encrypt_pin(&block())), *pin, "{ksn}");
        assert_eq!(hex(&transaction.mac_request(COVERED))[..8], **mac, "{ksn}");
        assert_eq!(hex(&transaction.mac_response(COVERED))[..8], **answer_mac, "{ksn}");
        assert_eq!(hex(&transaction.cmac_request(COVERED)), *cmac, "{ksn}");
        assert_eq!(hex(&transaction.cmac_response(COVERED)), *answer_cmac, "{ksn}");
        let opened = transaction.variant(Variant::Pin).decrypt(bytes(pin));
        let pan = Pan::new("4012345678909").unwrap();
        assert_eq!(decode::format_0(opened, &pan).unwrap().reveal(), b"1234");
    }

    /// ANSI X9.24-1:2009 A.4: the initial key out of the base derivation key.
    #[test]
    fn the_initial_key_is_the_published_one() {
        let bdk = bytes("0123456789ABCDEFFEDCBA9876543210");
        assert_eq!(hex(&initial_key(&bdk, bytes(KSN))), INITIAL);
        assert_eq!(hex(&initial_key(&bdk, bytes("FFFF9876543210E00007"))), INITIAL, "whatever the counter");
    }

    /// A.4.2, the first 21 transactions: keys, PIN blocks, MACs, and the order of serial numbers.
    #[test]
    fn the_first_transactions_are_the_published_ones() {
        let mut registers = load(bytes(KSN), &bytes(INITIAL));
        let all = rows(VECTORS, "first");
        assert_eq!(all.len(), 21);
        for row in all {
            let (transaction, rest) = next(registers).unwrap();
            check(&transaction, &row);
            registers = rest;
        }
    }

    /// A.4.3, where counters with more than ten ones are left out.
    #[test]
    fn the_transactions_around_the_rollover_are_the_published_ones() {
        let mut registers = Registers::reached(Tdes::new(bytes(KSN)), &bytes(INITIAL), 0x0F_F800);
        let all = rows(VECTORS, "rollover");
        assert_eq!(all.len(), 13);
        for row in all {
            let (transaction, rest) = next(registers).unwrap();
            check(&transaction, &row);
            registers = rest;
        }
    }

    /// After the last counter there is no key, and no way to ask again.
    #[test]
    fn the_registers_end_when_they_are_used_up() {
        let registers = Registers::reached(Tdes::new(bytes(KSN)), &bytes(INITIAL), 0x1F_F800);
        let (last, rest) = next(registers).unwrap();
        assert_eq!(hex(&last.ksn), "FFFF9876543210FFF800");
        assert!(next(rest).is_none());
    }

    /// As many transactions as the standard promises: sum of 21 over 1 to 21 over 10.
    #[test]
    fn a_million_transactions_have_a_key() {
        let counters = core::iter::successors(Some(1), |c| Some(successor::<Tdes>(*c)).filter(|c| *c != 0));
        assert_eq!(counters.inspect(|c| assert!(c.count_ones() <= 10)).count(), 1_048_575);
    }

    /// A register that was used leads to no earlier key: it is empty.
    #[test]
    fn a_used_key_is_gone() {
        let (_, rest) = next(load(bytes(KSN), &bytes(INITIAL))).unwrap();
        assert!(rest.keys.first().unwrap().is_none());
        assert_eq!(format!("{rest:?}"), "Registers { counter: 2, .. }");
    }

    /// Request and answer have different data keys, and neither is the transaction's own.
    #[test]
    fn data_keys_differ() {
        let (transaction, _) = next(load(bytes(KSN), &bytes(INITIAL))).unwrap();
        let ciphered = |key: &DesKey| key.encrypt([0; 8]);
        let own = DesKey::Double(*transaction.derived.key.reveal());
        assert_ne!(ciphered(&transaction.data_request_key()), ciphered(&transaction.data_response_key()));
        assert_ne!(ciphered(&transaction.data_request_key()), ciphered(&own));
    }
}

//! DUKPT with AES: 32 bits of counter, at most 16 of them ones, so 2,448,023,842 transactions. ANSI X9.24-3:2017 §6.
use super::{Derived, Family, Registers, Step};
use crate::domain::crypto::cipher::{AesKey, DesKey};
use crate::domain::crypto::pin_block::format_4;
use crate::domain::secret::{ClearPin, Pan};
use cmac::{Cmac, KeyInit, Mac};
use zeroize::Zeroizing;

/// Initial key identifier: four bytes of base derivation key, four of terminal.
pub type KeyId = [u8; 8];
/// Key serial number: initial key identifier and counter.
pub type Ksn = [u8; 12];

/// What a derived key is for. Table 2 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Encrypts another key.
    KeyEncryption = 0x0002,
    /// Encrypts PIN blocks.
    Pin = 0x1000,
    /// Makes MACs.
    MacGeneration = 0x2000,
    /// Checks MACs.
    MacVerification = 0x2001,
    /// Makes and checks MACs.
    MacBoth = 0x2002,
    /// Encrypts data.
    DataEncryption = 0x3000,
    /// Decrypts data.
    DataDecryption = 0x3001,
    /// Encrypts and decrypts data.
    DataBoth = 0x3002,
    /// Leads to other keys.
    Derivation = 0x8000,
    /// Leads to a terminal's first key.
    InitialKey = 0x8001,
}

/// Algorithm and length of a derived key. Table 2 and 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 3DES with two keys, 16 bytes.
    Tdes2,
    /// 3DES with three keys, 24 bytes.
    Tdes3,
    /// AES-128.
    Aes128,
    /// AES-192.
    Aes192,
    /// AES-256.
    Aes256,
}

impl Kind {
    const fn number_and_bits(self) -> (u16, u16) {
        match self {
            Self::Tdes2 => (0, 128),
            Self::Tdes3 => (1, 192),
            Self::Aes128 => (2, 128),
            Self::Aes192 => (3, 192),
            Self::Aes256 => (4, 256),
        }
    }

    const fn of(key: &AesKey) -> Self {
        match key {
            AesKey::Aes128(_) => Self::Aes128,
            AesKey::Aes192(_) => Self::Aes192,
            AesKey::Aes256(_) => Self::Aes256,
        }
    }
}

/// Key material of any kind, wiped when dropped.
type Material = Zeroizing<Vec<u8>>;

/// One or two blocks of AES over derivation data; what is too much is cut. §6.3.1.
fn derive(key: &AesKey, usage: Usage, kind: Kind, context: [u8; 8]) -> Material {
    let (algorithm, bits) = kind.number_and_bits();
    let length = usize::from(bits / 8);
    let mut derived = Zeroizing::new(Vec::with_capacity(32));
    for block in 1_u8.. {
        let [usage_high, usage_low] = (usage as u16).to_be_bytes();
        let [algorithm_high, algorithm_low] = algorithm.to_be_bytes();
        let [bits_high, bits_low] = bits.to_be_bytes();
        let [s, t, u, v, w, x, y, z] = context;
        derived.extend(key.encrypt([
            1,
            block,
            usage_high,
            usage_low,
            algorithm_high,
            algorithm_low,
            bits_high,
            bits_low,
            s,
            t,
            u,
            v,
            w,
            x,
            y,
            z,
        ]));
        if derived.len() >= length {
            break;
        }
    }
    derived.truncate(length);
    derived
}

/// An AES key of derived material.
fn aes(material: &[u8]) -> Option<AesKey> {
    let key = match material.len() {
        16 => AesKey::Aes128(material.try_into().ok()?),
        24 => AesKey::Aes192(material.try_into().ok()?),
        32 => AesKey::Aes256(material.try_into().ok()?),
        _ => return None,
    };
    Some(key)
}

/// The keys of one initial key identifier.
#[derive(Clone, Copy, Debug)]
pub struct Aes {
    id: KeyId,
}

impl Aes {
    /// The family of an identifier.
    #[must_use]
    pub const fn new(id: KeyId) -> Self {
        Self { id }
    }

    /// The whole serial number of a counter.
    #[must_use]
    pub const fn ksn(&self, counter: u32) -> Ksn {
        let [s, t, u, v, w, x, y, z] = self.id;
        let [a, b, c, d] = counter.to_be_bytes();
        [s, t, u, v, w, x, y, z, a, b, c, d]
    }

    /// The right half of the identifier and the counter.
    const fn context(&self, counter: u32) -> [u8; 8] {
        let [_, _, _, _, context @ ..] = self.ksn(counter);
        context
    }
}

impl Family for Aes {
    type Key = AesKey;
    const BITS: u32 = 32;
    const ONES_MAX: u32 = 16;

    fn derive(&self, key: &AesKey, counter: u32) -> AesKey {
        let material = derive(key, Usage::Derivation, Kind::of(key), self.context(counter));
        // Of the same kind, so of its length: there always is a key.
        aes(&material).unwrap_or(AesKey::Aes128([0; 16]))
    }
}

/// A terminal's registers, loaded with an initial key.
#[must_use]
pub fn load(id: KeyId, initial: &AesKey) -> Registers<Aes> {
    Registers::load(Aes::new(id), initial)
}

/// The keys of one transaction.
pub struct Transaction {
    /// Sent along: says which keys they are.
    pub ksn: Ksn,
    context: [u8; 8],
    derived: Derived<Aes>,
}

/// The next transaction, and the registers for the one after it; `None` when every key has been used.
#[must_use]
pub fn next(registers: Registers<Aes>) -> Option<(Transaction, Registers<Aes>)> {
    match registers.step() {
        Step::Key(derived, rest) => {
            let (ksn, context) = (rest.family.ksn(derived.counter), rest.family.context(derived.counter));
            Some((Transaction { ksn, context, derived }, rest))
        }
        Step::UsedUp => None,
    }
}

impl Transaction {
    /// The PIN in ISO 9564-1 format 4 under a PIN key of `kind`; `None` where the kind is not AES.
    #[must_use]
    pub fn encrypt_pin(&self, kind: Kind, pin: &ClearPin, pan: &Pan, random: &[u8; 8]) -> Option<[u8; 16]> {
        self.aes_key(Usage::Pin, kind).map(|key| format_4(&key, pin, pan, random))
    }

    /// CMAC over bytes, for a key of 16 or 32 bytes; `None` for other kinds.
    #[must_use]
    pub fn cmac(&self, usage: Usage, kind: Kind, covered: &[u8]) -> Option<[u8; 16]> {
        match self.aes_key(usage, kind)? {
            AesKey::Aes128(ref key) => Some(finish(<Cmac<aes::Aes128> as KeyInit>::new(key.into()), covered)),
            AesKey::Aes192(ref key) => Some(finish(<Cmac<aes::Aes192> as KeyInit>::new(key.into()), covered)),
            AesKey::Aes256(ref key) => Some(finish(<Cmac<aes::Aes256> as KeyInit>::new(key.into()), covered)),
        }
    }

    /// A working key for AES; `None` where the kind is not.
    #[must_use]
    pub fn aes_key(&self, usage: Usage, kind: Kind) -> Option<AesKey> {
        match kind {
            Kind::Tdes2 | Kind::Tdes3 => None,
            Kind::Aes128 | Kind::Aes192 | Kind::Aes256 => aes(&self.material(usage, kind)),
        }
    }

    /// A working key for 3DES with two keys.
    #[must_use]
    pub fn tdes_key(&self, usage: Usage) -> Option<DesKey> {
        self.material(usage, Kind::Tdes2).as_slice().try_into().ok().map(DesKey::Double)
    }

    fn material(&self, usage: Usage, kind: Kind) -> Material {
        derive(self.derived.key.reveal(), usage, kind, self.context)
    }
}

impl core::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transaction").field("ksn", &self.ksn).finish_non_exhaustive()
    }
}

fn finish<M: Mac<OutputSize = cmac::digest::typenum::U16>>(mut mac: M, covered: &[u8]) -> [u8; 16] {
    mac.update(covered);
    mac.finalize().into_bytes().into()
}

/// The key under which a new initial key travels, from the one before: whoever loads terminals. Counter FFFFFFFF, which
/// no transaction has. §6.5.
#[cfg(any(test, feature = "sim"))]
#[must_use]
pub fn update_key(initial: &AesKey, id: KeyId, kind: Kind) -> Material {
    let family = Aes::new(id);
    let last = super::derive_from_initial(&family, initial, u32::MAX);
    derive(last.reveal(), Usage::KeyEncryption, kind, family.context(u32::MAX))
}

/// The initial key of a terminal from the base derivation key: whoever loads terminals.
#[cfg(any(test, feature = "sim"))]
#[must_use]
pub fn initial_key(bdk: &AesKey, id: KeyId) -> Material {
    derive(bdk, Usage::InitialKey, Kind::of(bdk), id)
}

#[cfg(test)]
mod tests {
    use super::super::{derive_from_initial, successor};
    use super::*;
    use crate::domain::crypto::pin_block::decode;
    use crate::domain::crypto::testing::{bytes, hex, rows};

    const VECTORS: &str = include_str!("../../../../tests/data/crypto/dukpt-aes.txt");
    const ID: &str = "1234567890123456";
    const HALF: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1";
    const INITIAL_128: &str = "1273671EA26AC29AFA4D1084127652A1";
    const INITIAL_256: &str = "CE9CE0C101D1138F97FB6CAD4DF045A7083D4EAE2D35A31789D01CCF0949550F";

    fn id() -> KeyId {
        bytes(ID)
    }

    fn initial_128() -> AesKey {
        AesKey::Aes128(bytes(INITIAL_128))
    }

    fn initial_256() -> AesKey {
        AesKey::Aes256(bytes(INITIAL_256))
    }

    fn raw(key: &AesKey) -> String {
        match key {
            AesKey::Aes128(key) => hex(key),
            AesKey::Aes192(key) => hex(key),
            AesKey::Aes256(key) => hex(key),
        }
    }

    /// ANSI X9.24-3:2017 supplement: initial keys out of base derivation keys of both lengths.
    #[test]
    fn the_initial_keys_are_the_published_ones() {
        assert_eq!(hex(&initial_key(&AesKey::Aes128(bytes(HALF)), id())), INITIAL_128);
        assert_eq!(hex(&initial_key(&AesKey::Aes256(bytes(&HALF.repeat(2))), id())), INITIAL_256);
    }

    fn first_transactions(initial: &AesKey, section: &str, key_of: impl Fn(&Transaction, &str) -> String) {
        let mut registers = load(id(), initial);
        let all = rows(VECTORS, section);
        let (names, rows) = all.split_first().unwrap();
        assert_eq!(rows.len(), 8);
        for row in rows {
            let (transaction, rest) = next(registers).unwrap();
            for (name, expected) in names.iter().zip(row) {
                let ours = match *name {
                    "ksn" => hex(&transaction.ksn),
                    "key" => raw(transaction.derived.key.reveal()),
                    name => key_of(&transaction, name),
                };
                assert_eq!(ours, *expected, "{name} of {}", hex(&transaction.ksn));
            }
            registers = rest;
        }
    }

    fn working_key(transaction: &Transaction, name: &str) -> String {
        let (pin, pan) = (ClearPin::new(b"1234").unwrap(), Pan::new("4111111111111111").unwrap());
        let random = bytes("2F69ADDE2E9E7ACE");
        let (usage, kind) = match name {
            "pin-128" => (Usage::Pin, Kind::Aes128),
            "pin-256" => (Usage::Pin, Kind::Aes256),
            "mac-128" => (Usage::MacGeneration, Kind::Aes128),
            "mac-256" => (Usage::MacGeneration, Kind::Aes256),
            "data-128" => (Usage::DataEncryption, Kind::Aes128),
            "data-256" => (Usage::DataEncryption, Kind::Aes256),
            "block" => {
                let block = transaction.encrypt_pin(Kind::Aes128, &pin, &pan, &random).unwrap();
                let key = transaction.aes_key(Usage::Pin, Kind::Aes128).unwrap();
                assert_eq!(decode::format_4(&key, block, &pan), Some(pin));
                return hex(&block);
            }
            name => panic!("no such column: {name}"),
        };
        raw(&transaction.aes_key(usage, kind).unwrap())
    }

    /// Supplement, AES-128: keys of the first eight transactions, working keys and PIN blocks of format 4.
    #[test]
    fn the_first_transactions_of_aes_128_are_the_published_ones() {
        first_transactions(&initial_128(), "aes-128", working_key);
    }

    /// Supplement, AES-256: the same, with working keys of both lengths.
    #[test]
    fn the_first_transactions_of_aes_256_are_the_published_ones() {
        first_transactions(&initial_256(), "aes-256", working_key);
    }

    fn far(section: &str, initial: &AesKey) {
        let all = rows(VECTORS, section);
        assert_eq!(all.len(), 8);
        for row in all {
            let [ksn, expected] = row[..] else { panic!("two columns") };
            let ksn: Ksn = bytes(ksn);
            let counter = u32::from_be_bytes(*ksn.last_chunk().unwrap());
            assert_eq!(raw(derive_from_initial(&Aes::new(id()), initial, counter).reveal()), expected);
            if counter.count_ones() <= Aes::ONES_MAX {
                let (transaction, _) = next(Registers::reached(Aes::new(id()), initial, counter)).unwrap();
                assert_eq!(transaction.ksn, ksn);
                assert_eq!(raw(transaction.derived.key.reveal()), expected);
            }
        }
    }

    /// Supplement: keys at the rollover and at the end of the counter. 1FFFF has 17 ones: a receiver can derive it, a
    /// terminal leaves it out.
    #[test]
    fn the_keys_far_on_are_the_published_ones() {
        far("aes-128-far", &initial_128());
        far("aes-256-far", &initial_256());
    }

    /// The last counters have sixteen ones each, and after the last there is no key.
    #[test]
    fn the_registers_end_when_they_are_used_up() {
        let mut registers = Registers::reached(Aes::new(id()), &initial_128(), 0xFFFE_2000);
        for counter in ["FFFE2000", "FFFE4000", "FFFE8000", "FFFF0000"] {
            let (transaction, rest) = next(registers).unwrap();
            assert_eq!(hex(&transaction.ksn)[16..], *counter);
            registers = rest;
        }
        assert!(next(registers).is_none());
    }

    /// Counters with more than sixteen ones are left out.
    #[test]
    fn counters_with_too_many_ones_are_left_out() {
        assert_eq!(successor::<Aes>(0x0001_FFFE), 0x0002_0000);
        assert_eq!(successor::<Aes>(0xFFFF), 0x1_0000);
        assert_eq!(successor::<Aes>(0xFFFF_0000), 0);
    }

    /// Supplement: update keys (openemv/dukpt test/dukpt_aes128_update_key_test.c, dukpt_aes256_update_key_test.c).
    #[test]
    fn the_update_keys_are_the_published_ones() {
        let check = |initial: &AesKey, kind, expected: &str| {
            assert_eq!(hex(&update_key(initial, id(), kind)), expected, "{kind:?}");
        };
        check(&initial_128(), Kind::Aes128, "9A9770AEE1ACD1B13473D0463A1883B9");
        check(&initial_128(), Kind::Tdes2, "4744A5ECBC62B5C4BB76FBEAE1E244A3");
        check(&initial_128(), Kind::Tdes3, "AF82BE8533CFCA526DA71708667AD0BBC7A7517504C78C8A");
        check(&initial_256(), Kind::Aes128, "90E54E4A70160C7E085C09D2B241D343");
        let long = "AEFB210C136278A1279F7C8815F446DB8EBE2AA910B157AA4E6484D8DE9C4807";
        check(&initial_256(), Kind::Aes256, long);
    }

    /// RFC 4493, example 1 to 3, over a key that is given directly.
    #[test]
    fn the_cmac_is_the_published_one() {
        let key: [u8; 16] = bytes("2B7E151628AED2A6ABF7158809CF4F3C");
        let mac = |covered: &[u8]| hex(&finish(<Cmac<aes::Aes128> as KeyInit>::new(&key.into()), covered));
        assert_eq!(mac(b""), "BB1D6929E95937287FA37D129B756746");
        assert_eq!(mac(&bytes::<16>("6BC1BEE22E409F96E93D7E117393172A")), "070A16B46B4D4144F79BDD9DD04A287C");
    }
}

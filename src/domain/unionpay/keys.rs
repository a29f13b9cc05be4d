//! Master key and working keys as the software store holds them.
//!
//! A master key (TMK) of 16 bytes belongs to the terminal. Each sign-on brings fresh working keys encrypted under it
//! (ECB): PIK for PINs, MAK for MACs, TDK for tracks; how they stand in DE 62 is `key_block`'s. Source: public terminal
//! and host code (two sources and one captured answer with known keys agreeing); Spec: unverified.
use super::key_block::{self, Records};
use crate::domain::crypto::cipher::{BlockKey, DesKey, Sm4Key};
use crate::domain::crypto::mac::hex_digits;
use crate::domain::crypto::pin_block;
use crate::domain::crypto::track::{self, EncryptedTrack};
pub use crate::domain::keystore::KeyError;
use crate::domain::keystore::{
    KeyBlockLayout, KeyRules, KeyStore, MacForm, MissingTdk, OpenedKeys, SessionKeys,
};
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan, PinBlock, SecretError};
use core::fmt;

/// Terminal master key (TMK), 16 bytes. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct MasterKey(BlockKey);

impl MasterKey {
    /// Takes the clear key for 3DES.
    #[must_use]
    pub const fn from_bytes(key: [u8; 16]) -> Self {
        Self(BlockKey::Des(DesKey::Double(key)))
    }

    /// Takes 32 hexadecimal digits, blanks around them aside.
    ///
    /// # Errors
    /// Any other form; the text is not quoted.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        MasterKeyMaterial::from_hex(text).map(|key| Self::of(&key, KeyBlockLayout::UnionPay))
    }

    /// The key for the cipher of a layout.
    pub(super) const fn of(key: &MasterKeyMaterial, layout: KeyBlockLayout) -> Self {
        match layout {
            KeyBlockLayout::Sm4 => Self(BlockKey::Sm4(Sm4Key::new(*key.reveal()))),
            KeyBlockLayout::UnionPay | KeyBlockLayout::Typed => Self::from_bytes(*key.reveal()),
        }
    }

    /// First four bytes of the encryption of zeros: tells whether two sides hold the same key.
    #[must_use]
    pub fn check_value(&self) -> [u8; 4] {
        self.0.check_value()
    }

    pub(super) const fn cipher(&self) -> &BlockKey {
        &self.0
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(******)")
    }
}

/// The key store in this process's memory. Wiped when dropped.
#[derive(Debug)]
pub struct SoftwareStore {
    rules: KeyRules,
    master: Option<MasterKey>,
}

impl SoftwareStore {
    /// An empty store.
    #[must_use]
    pub const fn new(rules: KeyRules) -> Self {
        Self { rules, master: None }
    }
}

impl KeyStore for SoftwareStore {
    fn master_check(&self) -> Option<[u8; 4]> {
        self.master.as_ref().map(MasterKey::check_value)
    }

    fn check_value(&self, key: &MasterKeyMaterial) -> [u8; 4] {
        MasterKey::of(key, self.rules.key_block).check_value()
    }

    fn keeps_master(&self) -> bool {
        false
    }

    fn load_master(&mut self, key: &MasterKeyMaterial) -> Result<(), KeyError> {
        self.master = Some(MasterKey::of(key, self.rules.key_block));
        Ok(())
    }

    fn open(&self, block: &[u8]) -> Result<OpenedKeys, KeyError> {
        let master = self.master.as_ref().ok_or(KeyError::NoMasterKey)?;
        let Records { pik, mak, tdk, kept, new_master } = key_block::read(master, block, &self.rules)?;
        let keys = WorkingKeys { rules: self.rules, pik, mak, tdk };
        if self.rules.missing_tdk == MissingTdk::Refuse && self.rules.track_encryption && keys.tdk.is_none() {
            return Err(KeyError::Missing { key: "tdk" });
        }
        let master_check =
            new_master.as_ref().map_or_else(|| master.check_value(), |key| self.check_value(key));
        Ok(OpenedKeys { session: Box::new(keys), block: kept, master_check, new_master })
    }
}

/// The working keys of one sign-on, in clear: only ever in memory. Wiped when dropped.
#[derive(Clone)]
pub struct WorkingKeys {
    rules: KeyRules,
    pik: BlockKey,
    mak: BlockKey,
    tdk: Option<BlockKey>,
}

impl WorkingKeys {
    /// Opens a block by the rules of the profile that ships, for simulators and tests.
    ///
    /// # Errors
    /// [`KeyError`].
    #[cfg(any(test, feature = "sim"))]
    pub fn open(tmk: &MasterKey, block: &[u8]) -> Result<Self, KeyError> {
        Self::open_by(tmk, block, crate::domain::profile::Profile::unionpay().keys)
    }

    /// Opens a block by an acquirer's rules, for simulators and tests.
    ///
    /// # Errors
    /// [`KeyError`].
    #[cfg(any(test, feature = "sim"))]
    pub fn open_by(tmk: &MasterKey, block: &[u8], rules: KeyRules) -> Result<Self, KeyError> {
        let Records { pik, mak, tdk, .. } = key_block::read(tmk, block, &rules)?;
        Ok(Self { rules, pik, mak, tdk })
    }

    /// Keys that a host has chosen, for simulators and tests.
    #[cfg(any(test, feature = "sim"))]
    pub(super) const fn of(rules: KeyRules, pik: BlockKey, mak: BlockKey, tdk: Option<BlockKey>) -> Self {
        Self { rules, pik, mak, tdk }
    }

    /// The PIN encrypted under the PIK: ISO 9564-1 format 0, or the 16 bytes for SM4.
    #[must_use]
    pub fn pin_block(&self, pin: &ClearPin, pan: &Pan) -> PinBlock {
        match &self.pik {
            BlockKey::Des(pik) => PinBlock::Des(pik.encrypt(pin_block::format_0(pin, pan).reveal())),
            BlockKey::Sm4(pik) => PinBlock::Sm4(pik.encrypt(pin_block::sm4(pin, pan).reveal())),
        }
    }

    /// DE 64 for the given bytes, in the profile's algorithm and form.
    #[must_use]
    pub fn mac(&self, covered: &[u8]) -> [u8; 8] {
        let binary = self.rules.mac.compute(&self.mak, covered);
        match self.rules.mac_form {
            MacForm::Binary => binary,
            MacForm::Ascii => {
                let [a, b, c, d, ..] = binary.map(hex_digits);
                let [[a, b], [c, d], [e, f], [g, h]] = [a, b, c, d];
                [a, b, c, d, e, f, g, h]
            }
        }
    }

    /// Check values by key: `pik`, `mak` and, where the host gave one, `tdk`.
    #[must_use]
    pub fn check_values(&self) -> Vec<(&'static str, [u8; 4])> {
        let mut values = vec![("pik", self.pik.check_value()), ("mak", self.mak.check_value())];
        values.extend(self.tdk.as_ref().map(|tdk| ("tdk", tdk.check_value())));
        values
    }

    /// True if the packed message ends in its MAC.
    #[cfg(any(test, feature = "sim"))]
    #[must_use]
    pub fn verifies(&self, packed: &[u8]) -> bool {
        SessionKeys::verifies(self, packed) == Ok(true)
    }

    /// True if the host gave a key for tracks.
    #[cfg(any(test, feature = "sim"))]
    #[must_use]
    pub const fn has_tdk(&self) -> bool {
        self.tdk.is_some()
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) const fn pik(&self) -> &BlockKey {
        &self.pik
    }

    #[cfg(any(test, feature = "sim"))]
    pub(super) const fn tdk(&self) -> Option<&BlockKey> {
        self.tdk.as_ref()
    }
}

impl SessionKeys for WorkingKeys {
    fn pin_block(&self, pin: &ClearPin, pan: &Pan) -> Result<PinBlock, KeyError> {
        Ok(Self::pin_block(self, pin, pan))
    }

    fn mac(&self, covered: &[u8]) -> Result<[u8; 8], KeyError> {
        Ok(Self::mac(self, covered))
    }

    fn encrypt_track(&self, track: &str) -> Result<Option<EncryptedTrack>, KeyError> {
        match &self.tdk {
            Some(BlockKey::Des(tdk)) if self.rules.track_encryption => {
                track::encrypt(tdk, track).map(Some).ok_or(KeyError::Track)
            }
            _ => Ok(None),
        }
    }

    fn algorithm_digit(&self) -> char {
        match self.pik {
            BlockKey::Des(DesKey::Double(_)) => '6',
            BlockKey::Des(DesKey::Single(_)) => '0',
            BlockKey::Sm4(_) => '3',
        }
    }

    fn check_values(&self) -> Vec<(&'static str, [u8; 4])> {
        Self::check_values(self)
    }
}

impl fmt::Debug for WorkingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkingKeys(******)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::mac::MacAlgorithm;
    use crate::domain::crypto::testing::{bytes, hex};
    use crate::domain::profile::Profile;

    const TDK: &str = "89ABCDEF0123456776543210FEDCBA98";

    fn des(key: &str) -> BlockKey {
        BlockKey::Des(DesKey::Double(bytes(key)))
    }

    fn keys(rules: KeyRules, tdk: Option<BlockKey>) -> WorkingKeys {
        let mak = BlockKey::Des(DesKey::Single(bytes("C24A8FB57AA20123")));
        WorkingKeys { rules, pik: des("1A2B3C4D5E6F708192A3B4C5D6E7F809"), mak, tdk }
    }

    #[test]
    fn keys_are_never_printed() {
        let mut store = SoftwareStore::new(Profile::unionpay().keys);
        let key = MasterKeyMaterial::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        store.load_master(&key).unwrap();
        assert_eq!(format!("{key:?}"), "MasterKeyMaterial(******)");
        assert!(format!("{store:?}").ends_with("master: Some(MasterKey(******)) }"));
        assert_eq!(format!("{:?}", keys(Profile::unionpay().keys, None)), "WorkingKeys(******)");
        assert!(!MasterKey::from_hex("0123").unwrap_err().to_string().contains("0123"));
    }

    /// DE 64 has eight bytes in both forms: half the code as text, or all of it.
    #[test]
    fn the_mac_is_written_as_text_or_as_it_is() {
        let mac = |mac_form| keys(KeyRules { mac_form, ..Profile::unionpay().keys }, None).mac(b"0200");
        let binary = hex(&mac(MacForm::Binary));
        assert_eq!(&binary.as_bytes()[..8], mac(MacForm::Ascii));
    }

    /// Every algorithm of DES is reachable by the rules alone.
    #[test]
    fn the_rules_choose_the_algorithm() {
        let code =
            |mac| keys(KeyRules { mac, ..Profile::unionpay().keys }, None).mac(b"Now is the time for all ");
        assert_ne!(code(MacAlgorithm::UnionPay), code(MacAlgorithm::X9_9));
        assert_eq!(code(MacAlgorithm::X9_19), code(MacAlgorithm::X9_9), "the MAK has single length");
    }

    /// A store without a master key opens nothing; with another one, the check value says so.
    #[test]
    fn a_store_opens_only_with_its_master_key() {
        let block: [u8; 40] =
            bytes("41B1F3D154C3079A2CB4F6D696EB21E9E8934A67FF9EBAD21EDCF3CE00000000000000000282D2B1");
        let mut store = SoftwareStore::new(Profile::unionpay().keys);
        assert_eq!(store.open(&block).unwrap_err(), KeyError::NoMasterKey);
        assert_eq!(store.master_check(), None);
        store.load_master(&MasterKeyMaterial::new([0x11; 16])).unwrap();
        assert_eq!(store.open(&block).unwrap_err(), KeyError::CheckValue { key: "pik" });
        let good = MasterKeyMaterial::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
        store.load_master(&good).unwrap();
        let opened = store.open(&block).unwrap();
        assert_eq!(Some(opened.master_check), store.master_check());
        assert_eq!((opened.block.as_slice(), opened.new_master), (block.as_slice(), None));
        assert!(!store.keeps_master());
    }

    /// Tracks are encrypted where the rules say so and there is a key; without one the rules say whether that is good
    /// enough.
    #[test]
    fn tracks_are_encrypted_by_the_rules() {
        let track = "6225880012345678D30121010000012345678";
        let on = KeyRules { track_encryption: true, ..Profile::unionpay().keys };
        let sent = |rules, tdk| keys(rules, tdk).encrypt_track(track).unwrap().map(|t| t.reveal().to_owned());
        assert_eq!(sent(on, Some(des(TDK))).as_deref(), Some("6225880012345678D3012AE7DA363F24A4D78"));
        assert_eq!(sent(Profile::unionpay().keys, Some(des(TDK))), None);
        assert_eq!(sent(on, None), None);
        let block: [u8; 40] =
            bytes("41B1F3D154C3079A2CB4F6D696EB21E9E8934A67FF9EBAD21EDCF3CE00000000000000000282D2B1");
        let open = |missing_tdk| {
            let mut store = SoftwareStore::new(KeyRules { missing_tdk, ..on });
            let key = MasterKeyMaterial::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
            store.load_master(&key).unwrap();
            store.open(&block).map(drop)
        };
        assert_eq!(open(MissingTdk::Off), Ok(()));
        assert_eq!(open(MissingTdk::Refuse), Err(KeyError::Missing { key: "tdk" }));
    }
}

//! Where keys live, and what may be asked of them: encrypt this PIN, authenticate these bytes, encrypt this track, open
//! these working keys. No key ever comes out again.
//!
//! The store that ships is software: [`crate::domain::unionpay::keys::SoftwareStore`]. A hardware store (PKCS#11, TPM,
//! OP-TEE) is another implementation of [`KeyStore`] and [`SessionKeys`]: keys become handles, every answer may be
//! [`KeyError::Unavailable`], and [`KeyStore::keeps_master`] says that the journal need not keep the master key. The
//! engine calls it on its own thread, so such a store bounds each call to a few hundred milliseconds or works ahead.
use crate::domain::calendar::WallTime;
use crate::domain::crypto::cipher::same;
use crate::domain::crypto::mac::MacAlgorithm;
use crate::domain::crypto::track::EncryptedTrack;
use crate::domain::outcome::words;
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan, PinBlock};

words! {
    /// How DE 64 stands in the message.
    MacForm {
        /// The first four bytes as eight upper-case hexadecimal characters.
        Ascii = "ascii",
        /// The first eight bytes as they are.
        Binary = "binary",
    }
}

words! {
    /// DE 60.3 of the sign-on: which keys are asked for.
    SignOnKeys {
        /// PIK and MAK of single length.
        Des = "001",
        /// PIK and MAK of double length.
        Tdes = "003",
        /// … and a TDK.
        TdesTracks = "004",
        /// SM4 keys for PINs and MACs. Spec: unverified, one source.
        Sm4 = "006",
    }
}

words! {
    /// How working keys stand in DE 62 of the answer to a sign-on.
    KeyBlockLayout {
        /// 24, 40 or 60 bytes: PIK, MAK and, in the longest, TDK, each with a check value of four bytes.
        UnionPay = "unionpay",
        /// Records of type, key of 16 bytes and check value of eight. One of them may be a new master key.
        Typed = "typed",
        /// 40 or 60 bytes as `unionpay`, all keys SM4 and encrypted with SM4. Spec: unverified.
        Sm4 = "sm4-unconfirmed",
    }
}

words! {
    /// Length of the MAC key where the layout leaves it open.
    MakLength {
        /// Single where the second half is zeros, else double.
        Auto = "auto",
        /// The second half is not looked at.
        Single = "single",
        /// The second half is ciphertext, whatever it looks like.
        Double = "double",
    }
}

words! {
    /// What is done where tracks are to be encrypted, and the host gave no key for it.
    MissingTdk {
        /// They go out in clear, and DE 53 says so.
        Off = "off",
        /// The sign-on has failed.
        Refuse = "refuse",
    }
}

/// An acquirer's rules about keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// Which keys a sign-on asks for.
    pub sign_on: SignOnKeys,
    /// How DE 64 is computed.
    pub mac: MacAlgorithm,
    /// How it is written.
    pub mac_form: MacForm,
    /// How working keys arrive.
    pub key_block: KeyBlockLayout,
    /// Length of the MAC key.
    pub mak: MakLength,
    /// Tracks are encrypted under the TDK.
    pub track_encryption: bool,
    /// What happens without a TDK.
    pub missing_tdk: MissingTdk,
}

impl KeyRules {
    /// Two rules that cannot hold together.
    #[must_use]
    pub fn contradiction(&self) -> Option<Contradiction> {
        let sm4 = self.key_block == KeyBlockLayout::Sm4;
        let found = |keys, why| Some(Contradiction { keys, why });
        if self.mac.is_sm4() != sm4 {
            found(["mac", "block"], "an SM4 MAC needs the SM4 key block, and the other way round")
        } else if (self.sign_on == SignOnKeys::Sm4) != sm4 {
            found(["sign-on-keys", "block"], "sign-on 006 gives the SM4 key block, and the other way round")
        } else if sm4 && self.track_encryption {
            found(["track-encryption", "block"], "no form is known in which tracks are encrypted with SM4")
        } else if self.key_block == KeyBlockLayout::Typed && self.sign_on != SignOnKeys::Tdes {
            found(["sign-on-keys", "block"], "the typed block holds what sign-on 003 asks for")
        } else if self.track_encryption && self.sign_on != SignOnKeys::TdesTracks {
            found(["track-encryption", "sign-on-keys"], "only sign-on 004 asks for a key for tracks")
        } else if self.mak == MakLength::Double && self.sign_on == SignOnKeys::Des {
            found(["mak", "sign-on-keys"], "sign-on 001 gives keys of single length")
        } else {
            None
        }
    }
}

/// Two keys of `[keys]` whose values do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Their names in a profile.
    pub keys: [&'static str; 2],
    /// Why, as a sentence.
    pub why: &'static str,
}

/// Why keys cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one of the layouts that the profile names.
    #[error("a key block of {length} bytes; {known}")]
    Length {
        /// Bytes given.
        length: usize,
        /// What would have been taken.
        known: &'static str,
    },
    /// The check value does not fit: another master key, or a damaged block.
    #[error("the check value of {key} does not fit; check the master key")]
    CheckValue {
        /// `tmk`, `pik`, `mak` or `tdk`.
        key: &'static str,
    },
    /// A record of a type that is not known, or for the second time.
    #[error("the key block has a record of type {0:02X} that is not known, or not for the first time")]
    Type(u8),
    /// The block does not hold it.
    #[error("the key block holds no {key}")]
    Missing {
        /// `pik`, `mak` or `tdk`.
        key: &'static str,
    },
    /// There is no master key to open it with.
    #[error("no master key is loaded")]
    NoMasterKey,
    /// A track that is to be encrypted holds something else than digits and a separator.
    #[error("the track cannot be encrypted")]
    Track,
    /// A store outside this program does not answer.
    #[error("the key store does not answer")]
    Unavailable,
}

/// Working keys of one sign-on, opened.
pub struct OpenedKeys {
    /// What may be asked of them.
    pub session: Box<dyn SessionKeys>,
    /// The block as it is to be kept: still encrypted, and openable again under the master key that is loaded by then.
    pub block: Vec<u8>,
    /// Check value of that master key.
    pub master_check: [u8; 4],
    /// The master key that the block brought, to be loaded once the block is durable.
    pub new_master: Option<MasterKeyMaterial>,
}

impl core::fmt::Debug for OpenedKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OpenedKeys").field("new_master", &self.new_master).finish_non_exhaustive()
    }
}

/// Working keys as the host sent them: still encrypted under the master key, sealed again at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Field 62 of the sign-on answer, without a master key that it brought.
    pub block: Vec<u8>,
    /// First four bytes of the master key's check value, to notice another master key.
    pub tmk_check: [u8; 4],
    /// When they were loaded.
    pub loaded_at: WallTime,
}

impl core::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyRecord").field("loaded_at", &self.loaded_at).finish_non_exhaustive()
    }
}

/// Holds the master key and opens working keys under it.
pub trait KeyStore: Send + core::fmt::Debug {
    /// Check value of the master key; `None` while there is none.
    fn master_check(&self) -> Option<[u8; 4]>;

    /// Check value that a key would have here.
    fn check_value(&self, key: &MasterKeyMaterial) -> [u8; 4];

    /// True if a loaded master key outlives this process in the store itself.
    fn keeps_master(&self) -> bool;

    /// Takes a master key in place of the one before.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    fn load_master(&mut self, key: &MasterKeyMaterial) -> Result<(), KeyError>;

    /// Opens DE 62 of a sign-on answer and compares every check value. Nothing of the store changes.
    ///
    /// # Errors
    /// [`KeyError`].
    fn open(&self, block: &[u8]) -> Result<OpenedKeys, KeyError>;
}

/// The working keys of one sign-on.
pub trait SessionKeys: Send + core::fmt::Debug {
    /// The PIN as the host wants it, encrypted under the PIK.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    fn pin_block(&self, pin: &ClearPin, pan: &Pan) -> Result<PinBlock, KeyError>;

    /// DE 64 for everything from the MTI to the byte before it.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    fn mac(&self, covered: &[u8]) -> Result<[u8; 8], KeyError>;

    /// The track under the TDK; `None` where tracks go out in clear.
    ///
    /// # Errors
    /// [`KeyError::Track`], [`KeyError::Unavailable`].
    fn encrypt_track(&self, track: &str) -> Result<Option<EncryptedTrack>, KeyError>;

    /// Second digit of DE 53: 0 = DES, 6 = 3DES, 3 = SM4.
    fn algorithm_digit(&self) -> char;

    /// Check values by key: `pik`, `mak` and, where the host gave one, `tdk`.
    fn check_values(&self) -> Vec<(&'static str, [u8; 4])>;

    /// True if the packed message ends in DE 64 and that is the MAC of what stands before it; compared in constant
    /// time.
    ///
    /// The caller has unpacked the message and knows that DE 64 is there.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    fn verifies(&self, packed: &[u8]) -> Result<bool, KeyError> {
        match packed.split_last_chunk::<8>() {
            Some((covered, mac)) => self.mac(covered).map(|ours| same(&ours, mac)),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::profile::Profile;

    /// Goal: rules that no bank can follow are named before they can be used, each pair with its reason.
    #[test]
    fn rules_that_contradict_each_other_are_named() {
        let base = Profile::unionpay().keys;
        let check = |rules: KeyRules, keys: [&str; 2]| {
            assert_eq!(rules.contradiction().map(|found| found.keys), Some(keys), "{rules:?}");
        };
        let sm4 = KeyRules {
            sign_on: SignOnKeys::Sm4,
            mac: MacAlgorithm::Sm4UnionPay,
            key_block: KeyBlockLayout::Sm4,
            ..base
        };
        check(KeyRules { key_block: KeyBlockLayout::UnionPay, ..sm4 }, ["mac", "block"]);
        check(KeyRules { mac: MacAlgorithm::X9_19, ..sm4 }, ["mac", "block"]);
        check(KeyRules { sign_on: SignOnKeys::Tdes, ..sm4 }, ["sign-on-keys", "block"]);
        check(KeyRules { sign_on: SignOnKeys::Sm4, ..base }, ["sign-on-keys", "block"]);
        check(KeyRules { track_encryption: true, ..sm4 }, ["track-encryption", "block"]);
        let typed = KeyRules { key_block: KeyBlockLayout::Typed, ..base };
        check(KeyRules { sign_on: SignOnKeys::TdesTracks, ..typed }, ["sign-on-keys", "block"]);
        check(KeyRules { track_encryption: true, ..base }, ["track-encryption", "sign-on-keys"]);
        check(KeyRules { track_encryption: true, ..typed }, ["track-encryption", "sign-on-keys"]);
        let single = KeyRules { sign_on: SignOnKeys::Des, ..base };
        check(KeyRules { mak: MakLength::Double, ..single }, ["mak", "sign-on-keys"]);
        let tracks = KeyRules { sign_on: SignOnKeys::TdesTracks, track_encryption: true, ..base };
        for rules in [base, sm4, typed, single, tracks] {
            assert_eq!(rules.contradiction(), None);
        }
    }
}

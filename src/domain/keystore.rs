//! Where keys live, and what may be asked of them.
use crate::domain::crypto::mac::MacAlgorithm;
use crate::domain::outcome::words;

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
    /// Those of the profile that ships.
    pub const UNIONPAY: Self = Self {
        mac: MacAlgorithm::UnionPay,
        mac_form: MacForm::Ascii,
        key_block: KeyBlockLayout::UnionPay,
        mak: MakLength::Auto,
        track_encryption: false,
        missing_tdk: MissingTdk::Off,
    };
}

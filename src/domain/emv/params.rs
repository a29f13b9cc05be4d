//! What the kernel is told before a card is in: terminal data, applications, CA keys, this transaction's
//! numbers.
use super::super::calendar::LocalTime;
use super::super::money::{Amount, Currency};
use super::super::secret::PinSeed;
use core::fmt;
use sha1::{Digest, Sha1};
use std::sync::Arc;

/// Application identifier (AID): 5 to 16 bytes, the first five are the scheme (RID). EMV 4.4 Book 1 §12.2.1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aid(Vec<u8>);

impl Aid {
    /// Takes 5 to 16 bytes; anything else is `None`.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (5..=16).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02X}"))
    }
}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Data of the terminal itself. EMV 4.4 Book 4 Annex A; the tag stands first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TerminalData {
    /// Tag `9F1A`: numeric country code, BCD: `01 56`.
    pub country_code: [u8; 2],
    /// Tag `9F35`: terminal type.
    pub terminal_type: u8,
    /// Tag `9F33`: terminal capabilities.
    pub capabilities: [u8; 3],
    /// Tag `9F40`: additional terminal capabilities.
    pub additional_capabilities: [u8; 5],
    /// Tag `9F15`: merchant category code, BCD.
    pub merchant_category_code: [u8; 2],
    /// Tag `9F1E`: serial number of the interface device, 8 characters.
    pub ifd_serial: [u8; 8],
    /// Tag `9F1C`: terminal identification, 8 characters.
    pub terminal_id: [u8; 8],
    /// Tag `9F16`: merchant identifier, 15 characters.
    pub merchant_id: [u8; 15],
    /// Tag `9F4E`: merchant name, ASCII only.
    pub merchant_name: Vec<u8>,
}

/// One application the terminal accepts, with its limits and action codes. Amounts in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AidEntry {
    /// The AID.
    pub aid: Aid,
    /// Application selection indicator: longer AIDs of the card that begin with this one match too. Book 1
    /// §12.3.1.
    pub partial_match: bool,
    /// Tag `9F09`: application version of the terminal.
    pub version: [u8; 2],
    /// Terminal action code, default.
    pub tac_default: [u8; 5],
    /// Terminal action code, online.
    pub tac_online: [u8; 5],
    /// Terminal action code, denial.
    pub tac_denial: [u8; 5],
    /// Tag `9F1B`: floor limit, minor units.
    pub floor_limit: u64,
    /// Threshold of biased random selection, minor units.
    pub random_threshold: u64,
    /// Maximum target percentage, 0 to 99.
    pub random_max_percent: u8,
    /// Target percentage, 0 to 99.
    pub random_target_percent: u8,
    /// Default DDOL.
    pub default_ddol: Vec<u8>,
    /// True if the terminal may ask for an online PIN with this application.
    pub online_pin: bool,
}

/// Public key of a certification authority. EMV 4.4 Book 2 §11.2.2. The SHA-1 was checked when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capk {
    /// Registered application provider identifier.
    pub rid: [u8; 5],
    /// Key index.
    pub index: u8,
    /// Last day of validity, `YYYYMMDD` in BCD.
    pub expiry: [u8; 4],
    /// Exponent, 1 or 3 bytes.
    pub exponent: Vec<u8>,
    /// Modulus, 96 to 248 bytes.
    pub modulus: Vec<u8>,
}

impl Capk {
    /// SHA-1 over RID, index, modulus and exponent. EMV 4.4 Book 2 §11.2.2.
    #[must_use]
    pub fn checksum(&self) -> [u8; 20] {
        Sha1::new()
            .chain_update(self.rid)
            .chain_update([self.index])
            .chain_update(&self.modulus)
            .chain_update(&self.exponent)
            .finalize()
            .into()
    }
}

/// A certificate of an issuer that its certification authority has taken back. EMV 4.4 Book 2 §5.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Registered application provider identifier.
    pub rid: [u8; 5],
    /// Index of the key that signed the certificate.
    pub index: u8,
    /// Serial number of the certificate.
    pub serial: [u8; 3],
}

/// The whole of `emv.toml`. What can be long is shared: each conversation keeps its own copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmvConfig {
    /// The terminal.
    pub terminal: TerminalData,
    /// Its applications, in order of preference.
    pub aids: Vec<AidEntry>,
    /// Its CA keys.
    pub capks: Arc<[Capk]>,
    /// Certificates that count no more.
    pub revoked: Arc<[Revocation]>,
}

/// This transaction's numbers. Chance and time are drawn by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnParams {
    /// Tag `9F02`: amount, authorised.
    pub amount: Amount,
    /// Tag `9F03`: amount, other: cashback; zero.
    pub amount_other: Amount,
    /// Tags `5F2A` and `5F36`.
    pub currency: Currency,
    /// Tag `9C`: transaction type: `00` goods and services.
    pub transaction_type: u8,
    /// Tags `9A` and `9F21`.
    pub now: LocalTime,
    /// Tag `9F37`: unpredictable number.
    pub unpredictable_number: [u8; 4],
    /// Tag `9F41`: transaction sequence counter.
    pub sequence_counter: u32,
    /// Uniform in 1 to 99, for random selection. Book 3 §10.6.2.
    pub selection_roll: u8,
    /// What the random padding of enciphered PINs is made from. Book 2 §7.2.
    pub pin_seed: PinSeed,
    /// What the conversation is for.
    pub purpose: Purpose,
}

/// What the chip is wanted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To pay, as card and terminal decide: with the bank or without it.
    #[default]
    Pay,
    /// To pay with the bank only, because the terminal may store nothing: TVR "merchant forced transaction online".
    PayOnline,
    /// To pay without the bank: only a TC in the first GENERATE AC counts.
    PayOffline,
    /// To be read: application and records. No cryptogram is asked; the conversation ends with
    /// [`super::kernel::Verdict::Read`].
    Read,
}

//! What a simulated chip card is made of.
//!
//! A profile is data only; `Card` brings it to life. Card numbers are invented, with a good check digit, and belong to
//! no one's account.
mod file;
mod presets;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use presets::PRESETS;

use super::signatures::Spoilt;
use crate::domain::emv::apdu::Protocol;
use crate::domain::secret::{Pan, SecretError};
use crate::sim::issuer::Cvn;
#[cfg(doc)]
use crate::sim::issuer::TEST_IMK_SMI;

/// A whole card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Answer to reset. Empty: the chip is mute at power-up.
    pub atr: Vec<u8>,
    /// T=0 makes the card answer 61xx and 6Cxx as real ones do; goes with the ATR.
    pub protocol: Protocol,
    /// The card has the directory `1PAY.SYS.DDF01`.
    pub pse: bool,
    /// The directory names a directory definition file (DDF, tag 9D) before the applications.
    pub ddf: bool,
    /// The card is blocked: every SELECT answers 6A81.
    pub blocked: bool,
    /// Its applications, at least one, in directory order.
    pub applications: Vec<Application>,
}

/// One payment application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Tags 84 and 4F: application identifier (AID).
    pub aid: Vec<u8>,
    /// Tag 50: label.
    pub label: String,
    /// Tag 9F12: preferred name, if any, in the alphabet of `code_table`.
    pub preferred_name: Option<Vec<u8>>,
    /// Tag 9F11: part of ISO 8859 that the preferred name is written in.
    pub code_table: u8,
    /// Tag 87: priority, b8 = cardholder confirmation needed.
    pub priority: u8,
    /// Tags 5A and 57: card number.
    pub pan: Pan,
    /// Tag 5F34: PAN sequence number (PSN).
    pub sequence: u8,
    /// `YYMM`, as tag 5F24 with the last day of that month.
    pub expiry: String,
    /// Tag 5F20: cardholder name.
    pub holder: String,
    /// Tag 5F28: issuer country, and tag 9F42: application currency, BCD.
    pub country: [u8; 2],
    /// Tag 9F08: application version.
    pub version: [u8; 2],
    /// Tag 9F38: PDOL; empty: none.
    pub pdol: Vec<u8>,
    /// Tag 8C: CDOL1.
    pub cdol1: Vec<u8>,
    /// Tag 8D: CDOL2. With [`IssuerAuthentication::InSecondAc`] the card puts `91 0A` before it.
    pub cdol2: Vec<u8>,
    /// Tag 8E: cardholder verification method list, with its two amounts.
    pub cvm_list: Vec<u8>,
    /// Tag 9F07: application usage control.
    pub usage_control: [u8; 2],
    /// Tag 9F0D: issuer action code, default.
    pub iac_default: [u8; 5],
    /// Tag 9F0E: issuer action code, denial.
    pub iac_denial: [u8; 5],
    /// Tag 9F0F: issuer action code, online.
    pub iac_online: [u8; 5],
    /// Issuer master key for cryptograms.
    pub imk: [u8; 16],
    /// Cryptogram version.
    pub cvn: Cvn,
    /// Where the ARPC is checked.
    pub issuer_authentication: IssuerAuthentication,
    /// A TC after going online needs a good ARPC.
    pub issuer_authentication_mandatory: bool,
    /// What the card makes of the first GENERATE AC.
    pub first_ac: FirstAc,
    /// What the card makes of the second GENERATE AC.
    pub second_ac: SecondAc,
    /// What the card makes of issuer script commands.
    pub scripts: Scripts,
    /// How GET PROCESSING OPTIONS and GENERATE AC answer.
    pub format: Format,
    /// The application is blocked: SELECT answers 6283.
    pub blocked: bool,
    /// Application transaction counter (ATC) before the first transaction.
    pub atc: u16,
    /// Bits of every CID beside the type of cryptogram: advice, reason. EMV 4.4 Book 3 Table 15.
    pub cid: u8,
    /// The PIN that the card checks itself, if it has one.
    pub pin: Option<OfflinePin>,
    /// The PIN has a key of its own to be enciphered with (tag 9F2D); otherwise the card's own key serves.
    pub pin_key: bool,
    /// Offline data authentication.
    pub oda: Oda,
    /// What is wrong in its signatures, if anything.
    pub spoilt: Option<Spoilt>,
    /// Objects that differ from what the rest of the profile makes of them, by tag: another value, or `None` where the
    /// object is to be missing. What is nowhere else joins the last record; 9F17 and its like are what GET DATA tells.
    pub objects: BTreeMap<u32, Option<Vec<u8>>>,
}

/// Offline data authentication that the card offers. EMV 4.4 Book 2 §5, §6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Oda {
    /// None.
    None,
    /// Static: the issuer signed the records.
    Sda,
    /// Dynamic: the card signs the terminal's number.
    Dda,
    /// Combined: the card signs its cryptograms; it offers DDA too.
    Cda,
}

/// A PIN in the card. EMV 4.4 Book 3 §6.5.12.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflinePin {
    /// Its digits, 4 to 12. Everybody may know them: no real card has this profile.
    pub digits: String,
    /// How many tries a good PIN gives back.
    pub limit: u8,
    /// How many are left.
    pub left: u8,
}

/// Where the card checks the bank's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IssuerAuthentication {
    /// EXTERNAL AUTHENTICATE; AIP byte 1 bit 3 says so.
    ExternalAuthenticate,
    /// Tag 91 comes with the data of the second GENERATE AC.
    InSecondAc,
}

/// The card's own decision in the first GENERATE AC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstAc {
    /// What the terminal asks.
    Follow,
    /// ARQC where the terminal asks for a TC.
    Online,
    /// AAC always.
    Decline,
    /// TC always, also where it was not asked for: no honest card does that.
    Approve,
}

/// The card's own decision in the second GENERATE AC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondAc {
    /// What the terminal asks, if issuer authentication lets it.
    Follow,
    /// AAC, also after the bank approved.
    Decline,
}

/// The card's answer to issuer script commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scripts {
    /// 9000.
    Accept,
    /// 6988, as for a wrong MAC.
    Refuse,
    /// 9000 where the last eight bytes are the MAC of the rest under [`TEST_IMK_SMI`], else 6988.
    Check,
}

/// Response format of GET PROCESSING OPTIONS and GENERATE AC. EMV 4.4 Book 3 §6.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u8")]
pub enum Format {
    /// Template 80: values in a row.
    One,
    /// Template 77: data objects.
    Two,
}

impl TryFrom<u8> for Format {
    type Error = &'static str;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err("format must be 1 or 2"),
        }
    }
}

/// Why there is no such profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No preset of that name.
    #[error("no preset {0:?}; there are: {list}", list = PRESETS.join(", "))]
    UnknownPreset(String),
    /// The text is not a profile.
    #[error("profile: {0}")]
    Text(#[from] toml::de::Error),
    /// A value has the wrong form.
    #[error("profile: {0}")]
    Card(#[from] SecretError),
    /// A value has the wrong form.
    #[error("profile: {key} must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// What would have been taken.
        allowed: &'static str,
    },
}

//! What a simulated chip card is made of, the presets by name, and profiles from TOML.
//!
//! A profile is data only; `Card` brings it to life. Certificates for offline data authentication are not
//! offered. Card numbers are invented, with a good check digit, and belong to no one's account.
use serde::Deserialize;

use crate::domain::emv::apdu::Protocol;
use crate::domain::secret::{Pan, SecretError};
use crate::sim::issuer::{Cvn, TEST_IMK};

/// Names of the presets, default first.
pub const PRESETS: [&str; 11] = [
    "unionpay",
    "unionpay-credit",
    "declines-offline",
    "declines-after-approval",
    "two-applications",
    "no-pse",
    "signature",
    "no-cvm",
    "visa",
    "approves-offline",
    "asks-first",
];

/// UnionPay debit.
const AID_DEBIT: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x01];
/// UnionPay credit.
const AID_CREDIT: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02];
/// UnionPay electronic cash.
const AID_CASH: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x06];
/// Visa credit and debit.
const AID_VISA: [u8; 7] = [0xA0, 0, 0, 0, 0x03, 0x10, 0x10];

/// A whole card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Answer to reset. Empty: the chip is mute at power-up.
    pub atr: Vec<u8>,
    /// T=0 makes the card answer 61xx and 6Cxx as real ones do; goes with the ATR.
    pub protocol: Protocol,
    /// The card has the directory `1PAY.SYS.DDF01`.
    pub pse: bool,
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
    /// Tag 9F12: preferred name, if any.
    pub preferred_name: Option<String>,
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

/// The card's own decision in the first GENERATE AC. It never gives more than the terminal asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstAc {
    /// What the terminal asks.
    Follow,
    /// ARQC where the terminal asks for a TC.
    Online,
    /// AAC always.
    Decline,
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

/// The card's answer to issuer script commands. Their MAC is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scripts {
    /// 9000.
    Accept,
    /// 6988, as for a wrong MAC.
    Refuse,
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

impl Profile {
    /// Builds a preset of [`PRESETS`].
    ///
    /// # Errors
    /// [`ProfileError::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self, ProfileError> {
        let mut first = unionpay(&AID_DEBIT, "UnionPay Debit", "6225880012345675")?;
        let mut pse = true;
        let mut applications = Vec::new();
        match name {
            "unionpay" => {}
            "unionpay-credit" => first = unionpay(&AID_CREDIT, "UnionPay Credit", "6225880045678902")?,
            "declines-offline" => first.first_ac = FirstAc::Decline,
            "declines-after-approval" => first.second_ac = SecondAc::Decline,
            "two-applications" => {
                first.priority = 2;
                let mut credit = unionpay(&AID_CREDIT, "UnionPay Credit", "6225880087654324")?;
                credit.priority = 1;
                applications.push(credit);
            }
            "no-pse" => pse = false,
            "signature" => first.cvm_list = cvm_list(&[0x5E, 0x03, 0x1F, 0x00]),
            "no-cvm" => first.cvm_list = cvm_list(&[0x1F, 0x00]),
            "approves-offline" => first = cash("6225880076543215")?,
            "asks-first" => {
                first = cash("6225880023456784")?;
                first.first_ac = FirstAc::Online;
            }
            "visa" => {
                first = visa()?;
                applications.insert(0, first);
                return Ok(Self { atr: atr(Protocol::T1), protocol: Protocol::T1, pse, applications });
            }
            _ => return Err(ProfileError::UnknownPreset(name.to_owned())),
        }
        applications.insert(0, first);
        Ok(Self { atr: atr(Protocol::T0), protocol: Protocol::T0, pse, applications })
    }

    /// Reads a profile: a preset (key `preset`, default `unionpay`) and what is to differ in all its
    /// applications.
    ///
    /// # Errors
    /// An unknown key or preset, a value of the wrong form.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        toml::from_str::<Changes>(text)?.apply()
    }
}

/// The keys of a profile file.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Changes {
    preset: Option<String>,
    protocol: Option<ProtocolName>,
    mute: Option<bool>,
    pse: Option<bool>,
    pan: Option<String>,
    sequence: Option<u8>,
    expiry: Option<String>,
    cvm_list: Option<String>,
    issuer_authentication: Option<IssuerAuthentication>,
    issuer_authentication_mandatory: Option<bool>,
    first_ac: Option<FirstAc>,
    second_ac: Option<SecondAc>,
    scripts: Option<Scripts>,
    format: Option<Format>,
    blocked: Option<bool>,
    atc: Option<u16>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolName {
    T0,
    T1,
}

impl Changes {
    fn apply(self) -> Result<Profile, ProfileError> {
        let mut profile = Profile::preset(self.preset.as_deref().unwrap_or("unionpay"))?;
        if let Some(name) = self.protocol {
            profile.protocol = match name {
                ProtocolName::T0 => Protocol::T0,
                ProtocolName::T1 => Protocol::T1,
            };
            profile.atr = atr(profile.protocol);
        }
        if self.mute == Some(true) {
            profile.atr.clear();
        }
        set(&mut profile.pse, self.pse);
        for application in &mut profile.applications {
            if let Some(pan) = &self.pan {
                application.pan = Pan::new(pan)?;
            }
            if let Some(expiry) = &self.expiry {
                application.expiry = checked_expiry(expiry)?;
            }
            if let Some(list) = &self.cvm_list {
                application.cvm_list = cvm_list(&hex_pairs(list)?);
            }
            set(&mut application.sequence, self.sequence);
            set(&mut application.issuer_authentication, self.issuer_authentication);
            set(&mut application.issuer_authentication_mandatory, self.issuer_authentication_mandatory);
            set(&mut application.first_ac, self.first_ac);
            set(&mut application.second_ac, self.second_ac);
            set(&mut application.scripts, self.scripts);
            set(&mut application.format, self.format);
            set(&mut application.blocked, self.blocked);
            set(&mut application.atc, self.atc);
        }
        Ok(profile)
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn checked_expiry(text: &str) -> Result<String, ProfileError> {
    let month = text.get(2..).and_then(|month| month.parse::<u8>().ok());
    let good = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    match month {
        Some(1..=12) if good => Ok(text.to_owned()),
        _ => Err(ProfileError::Value { key: "expiry", allowed: "YYMM" }),
    }
}

/// Reads rules of a CVM list: pairs of bytes in hex, at most 16 rules.
fn hex_pairs(text: &str) -> Result<Vec<u8>, ProfileError> {
    let bad = || ProfileError::Value { key: "cvm-list", allowed: "rules of four hex digits, 16 at most" };
    if text.is_empty()
        || text.len() > 64
        || !text.len().is_multiple_of(4)
        || !text.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(bad());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad))
        .collect()
}

/// An answer to reset as EMV 4.4 Book 1 §8.3 wants it, historical bytes `POSD`.
fn atr(protocol: Protocol) -> Vec<u8> {
    match protocol {
        // TB1 and TC1; T=0 only, so there is no check byte.
        Protocol::T0 => vec![0x3B, 0x64, 0x00, 0x00, b'P', b'O', b'S', b'D'],
        // TB1, TC1, TD1; TD2; TA3 (block size) and TB3 (waiting times); then the check byte.
        Protocol::T1 => {
            let mut bytes = vec![0x3B, 0xE4, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45, b'P', b'O', b'S', b'D'];
            bytes.push(bytes.iter().skip(1).fold(0, |sum, byte| sum ^ byte));
            bytes
        }
    }
}

/// A CVM list with both amounts zero. EMV 4.4 Book 3 §10.5.
fn cvm_list(rules: &[u8]) -> Vec<u8> {
    [&[0; 8], rules].concat()
}

/// The data the terminal gives for every cryptogram: 9F02 9F03 9F1A 95 5F2A 9A 9C 9F37.
const CRYPTOGRAM_DOL: [u8; 21] =
    [0x9F, 0x02, 6, 0x9F, 0x03, 6, 0x9F, 0x1A, 2, 0x95, 5, 0x5F, 0x2A, 2, 0x9A, 3, 0x9C, 1, 0x9F, 0x37, 4];

fn unionpay(aid: &[u8], label: &str, pan: &str) -> Result<Application, ProfileError> {
    let dol = CRYPTOGRAM_DOL.as_slice();
    Ok(Application {
        aid: aid.to_vec(),
        label: label.to_owned(),
        preferred_name: None,
        priority: 1,
        pan: Pan::new(pan)?,
        sequence: 1,
        expiry: "3012".to_owned(),
        holder: "TEST/CARDHOLDER".to_owned(),
        country: [0x01, 0x56],
        version: [0x00, 0x30],
        // 9F7A (electronic cash) is unknown to many terminals: they must fill zeros.
        pdol: vec![0x9F, 0x7A, 1, 0x9F, 0x02, 6, 0x5F, 0x2A, 2],
        // 9F21 and 9F4E follow on UnionPay cards.
        cdol1: [dol, &[0x9F, 0x21, 3, 0x9F, 0x4E, 20]].concat(),
        cdol2: [&[0x8A, 2], dol, &[0x9F, 0x21, 3]].concat(),
        // Online PIN, else signature, else nothing.
        cvm_list: cvm_list(&[0x42, 0x03, 0x5E, 0x03, 0x1F, 0x03]),
        usage_control: [0xFF, 0x00],
        iac_default: [0xD8, 0x60, 0x9C, 0xA8, 0x00],
        iac_denial: [0x00, 0x10, 0x00, 0x00, 0x00],
        iac_online: [0xD8, 0x68, 0x9C, 0xF8, 0x00],
        imk: TEST_IMK,
        cvn: Cvn::UnionPay01,
        issuer_authentication: IssuerAuthentication::ExternalAuthenticate,
        issuer_authentication_mandatory: false,
        first_ac: FirstAc::Follow,
        second_ac: SecondAc::Follow,
        scripts: Scripts::Accept,
        format: Format::Two,
        blocked: false,
        atc: 0x0010,
    })
}

/// A card that leaves it to the terminal whether the bank is asked: its action codes want it at the floor limit only,
/// and let it pass where the bank cannot be reached. No PIN, no signature.
fn cash(pan: &str) -> Result<Application, ProfileError> {
    Ok(Application {
        cvm_list: cvm_list(&[0x1F, 0x00]),
        iac_default: [0; 5],
        iac_online: [0, 0, 0, 0x80, 0],
        ..unionpay(&AID_CASH, "UnionPay Cash", pan)?
    })
}

fn visa() -> Result<Application, ProfileError> {
    let base = unionpay(&AID_VISA, "VISA CREDIT", "4761739001010119")?;
    let dol = CRYPTOGRAM_DOL.as_slice();
    Ok(Application {
        preferred_name: Some("Visa".to_owned()),
        country: [0x08, 0x40],
        version: [0x00, 0x96],
        pdol: Vec::new(),
        cdol1: dol.to_vec(),
        cdol2: [&[0x8A, 2], dol].concat(),
        cvn: Cvn::Visa10,
        issuer_authentication: IssuerAuthentication::InSecondAc,
        format: Format::One,
        ..base
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every preset exists, and its card numbers have a good check digit.
    #[test]
    fn every_preset_is_a_card() {
        for name in PRESETS {
            let profile = Profile::preset(name).unwrap();
            assert!(!profile.applications.is_empty(), "{name}");
            for application in &profile.applications {
                let sum: u32 = application.pan.reveal().bytes().rev().enumerate().fold(0, |sum, (at, b)| {
                    let digit = u32::from(b - b'0') * if at % 2 == 0 { 1 } else { 2 };
                    sum + digit / 10 + digit % 10
                });
                assert_eq!(sum % 10, 0, "{name}");
            }
        }
        assert!(matches!(Profile::preset("amex"), Err(ProfileError::UnknownPreset(_))));
    }

    #[test]
    fn a_profile_file_changes_a_preset() {
        let text = "preset = 'visa'\nprotocol = 't0'\nformat = 2\npan = '4000001234567899'\n\
                    first-ac = 'online'\ncvm-list = '1F00'\nexpiry = '2902'\nscripts = 'refuse'";
        let profile = Profile::from_toml(text).unwrap();
        assert_eq!(profile.protocol, Protocol::T0);
        let application = &profile.applications[0];
        assert_eq!(application.pan.reveal(), "4000001234567899");
        assert_eq!((application.first_ac, application.format), (FirstAc::Online, Format::Two));
        assert_eq!(application.cvm_list, [0, 0, 0, 0, 0, 0, 0, 0, 0x1F, 0]);
        for wrong in
            ["colour = 1", "format = 3", "expiry = '3013'", "pan = 'x'", "cvm-list = '1F'", "preset = 'x'"]
        {
            assert!(Profile::from_toml(wrong).is_err(), "{wrong}");
        }
    }

    /// The check byte of the T=1 answer to reset makes the exclusive-or of all bytes after the first zero.
    #[test]
    fn the_t1_answer_to_reset_has_a_good_check_byte() {
        assert_eq!(atr(Protocol::T1).iter().skip(1).fold(0, |sum, byte| sum ^ byte), 0);
    }
}

//! The preset cards by name.
use std::collections::BTreeMap;

use super::{
    Application, FirstAc, Format, IssuerAuthentication, Oda, OfflinePin, Profile, ProfileError, Scripts,
    SecondAc,
};
use crate::domain::emv::apdu::Protocol;
use crate::domain::secret::Pan;
use crate::sim::issuer::{Cvn, TEST_IMK};

/// Names of the presets, default first.
pub const PRESETS: [&str; 16] = [
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
    "offline-pin",
    "enciphered-pin",
    "sda",
    "dda",
    "cda",
];

/// UnionPay debit.
const AID_DEBIT: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x01];
/// UnionPay credit.
const AID_CREDIT: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02];
/// UnionPay electronic cash.
const AID_CASH: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x06];
/// Visa credit and debit.
const AID_VISA: [u8; 7] = [0xA0, 0, 0, 0, 0x03, 0x10, 0x10];

impl Profile {
    /// Builds a preset of [`PRESETS`].
    ///
    /// # Errors
    /// [`ProfileError::UnknownPreset`].
    pub fn preset(name: &str) -> Result<Self, ProfileError> {
        let mut first = unionpay(&AID_DEBIT, "UnionPay Debit", "6225880012345675")?;
        let (mut pse, mut protocol) = (true, Protocol::T0);
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
            "offline-pin" => {
                first.cvm_list = cvm_list(&[0x41, 0x03, 0x42, 0x03, 0x5E, 0x03, 0x1F, 0x03]);
                first.pin = Some(OfflinePin { digits: "1234".to_owned(), limit: 3, left: 3 });
            }
            "enciphered-pin" => {
                first.cvm_list = cvm_list(&[0x44, 0x03, 0x42, 0x03, 0x5E, 0x03, 0x1F, 0x03]);
                first.pin = Some(OfflinePin { digits: "1234".to_owned(), limit: 3, left: 3 });
                (first.oda, first.pin_key) = (Oda::Cda, true);
            }
            "sda" => first.oda = Oda::Sda,
            "dda" => first.oda = Oda::Dda,
            "cda" => first.oda = Oda::Cda,
            "visa" => {
                first = visa()?;
                protocol = Protocol::T1;
            }
            _ => return Err(ProfileError::UnknownPreset(name.to_owned())),
        }
        applications.insert(0, first);
        Ok(Self { atr: atr(protocol), protocol, pse, ddf: false, blocked: false, applications })
    }
}

/// An answer to reset as EMV 4.4 Book 1 §8.3 wants it, historical bytes `POSD`.
pub(super) fn atr(protocol: Protocol) -> Vec<u8> {
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
pub(super) fn cvm_list(rules: &[u8]) -> Vec<u8> {
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
        code_table: 1,
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
        cid: 0,
        pin: None,
        pin_key: false,
        oda: Oda::None,
        spoilt: None,
        objects: BTreeMap::new(),
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
        preferred_name: Some(b"Visa".to_vec()),
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

    /// The check byte of the T=1 answer to reset makes the exclusive-or of all bytes after the first zero.
    #[test]
    fn the_t1_answer_to_reset_has_a_good_check_byte() {
        assert_eq!(atr(Protocol::T1).iter().skip(1).fold(0, |sum, byte| sum ^ byte), 0);
    }
}

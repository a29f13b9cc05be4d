//! The cryptograms of the simulated card: both GENERATE AC, with CDA where it is asked for, and INTERNAL AUTHENTICATE.
//! EMV 4.4 Book 3 §6.5.5 and §6.5.9, Book 2 §6.5.1 and §6.6.1. Spec: unverified.
use sha1::{Digest, Sha1};

use super::commands::done;
use super::content::{self, object, template};
use super::profile::{Application, FirstAc, Format, Oda, SecondAc};
use super::signatures::{self, Field, Signed};
use super::{Card, Phase, dol};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu};
use crate::domain::emv::tlv::{Tag, TagStore};
use crate::sim::issuer;

/// 6985: conditions of use are not satisfied.
const OUT_OF_ORDER: u16 = 0x6985;
/// 6700: wrong length.
const WRONG_LENGTH: u16 = 0x6700;

/// Application cryptogram types. EMV 4.4 Book 3 Table 15 (CID bits 8 and 7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ac {
    Aac = 0x00,
    Arqc = 0x80,
    Tc = 0x40,
}

impl Card {
    pub(super) fn generate_ac(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        let asked = match command.p1 & 0xC0 {
            0x00 => Ac::Aac,
            0x40 => Ac::Tc,
            0x80 => Ac::Arqc,
            _ => return Err(0x6A86),
        };
        // Bit 5 asks for a signature over the answer. EMV 4.4 Book 3 Table 13.
        let signed = command.p1 & 0x10 != 0 && self.application()?.oda == Oda::Cda;
        match self.volatile.phase {
            Phase::Initiated => self.first_ac(asked, signed, &command.data),
            Phase::Online { arqc } if asked != Ac::Arqc => self.second_ac(asked, signed, arqc, &command.data),
            _ => Err(OUT_OF_ORDER),
        }
    }

    fn first_ac(&mut self, asked: Ac, signed: bool, data: &[u8]) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        let tags = dol::read(&application.cdol1, data).ok_or(WRONG_LENGTH)?;
        let given = match (application.first_ac, asked) {
            (FirstAc::Decline, _) => Ac::Aac,
            (FirstAc::Online, Ac::Tc) => Ac::Arqc,
            (FirstAc::Approve, _) => Ac::Tc,
            (_, asked) => asked,
        };
        // Second byte of the CVR: bits 8-7 second AC (10 = not asked yet), bits 6-5 first AC.
        let result = 0x80 | if given == Ac::Arqc { 0x20 } else { given as u8 >> 2 } | self.pin_result();
        self.volatile.terminal_data.extend_from_slice(data);
        let (arqc, answer) = self.cryptogram(given, signed, result, tags)?;
        self.volatile.phase = if given == Ac::Arqc { Phase::Online { arqc } } else { Phase::Ended };
        self.volatile.arqc = (given == Ac::Arqc).then_some(arqc);
        Ok(answer)
    }

    fn second_ac(
        &mut self,
        asked: Ac,
        signed: bool,
        arqc: [u8; 8],
        data: &[u8],
    ) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        let tags = dol::read(&content::cdol2(application), data).ok_or(WRONG_LENGTH)?;
        let authenticated = match (self.volatile.authenticated, tags.value(Tag(0x91))) {
            (None, Some(answer)) if answer.iter().any(|byte| *byte != 0) => {
                Some(self.answer_is_good(application, arqc, answer))
            }
            (earlier, _) => earlier,
        };
        let refused = authenticated == Some(false)
            || authenticated.is_none() && application.issuer_authentication_mandatory;
        let given = if application.second_ac == SecondAc::Decline || refused { Ac::Aac } else { asked };
        let failed = if authenticated == Some(false) { 0x08 } else { 0 };
        let result = given as u8 | 0x20 | failed | self.pin_result(); // bits 6-5: the first one was an ARQC
        self.volatile.terminal_data.extend_from_slice(data);
        let (_, answer) = self.cryptogram(given, signed, result, tags)?;
        self.last_online_atc = self.atc;
        self.volatile.phase = Phase::Ended;
        Ok(answer)
    }

    /// Makes the cryptogram over the terminal's data and wraps it.
    fn cryptogram(
        &self,
        given: Ac,
        signed: bool,
        result: u8,
        mut tags: TagStore,
    ) -> Result<([u8; 8], ResponseApdu), u16> {
        let application = self.application()?;
        let iad = application.cvn.iad([0x03, result, 0, 0]);
        let atc = self.atc.to_be_bytes();
        let unpredictable = tags.value(Tag(0x9F37)).unwrap_or_default().to_vec();
        tags.put(Tag(0x82), &content::aip(application));
        tags.put(Tag(0x9F36), &atc);
        tags.put(Tag(0x9F10), &iad);
        let (pan, sequence) = (&application.pan, application.sequence);
        let value = issuer::cryptogram(&application.imk, pan, sequence, &tags).map_err(|_| OUT_OF_ORDER)?;
        let cid = given as u8 | application.cid;
        let (head, tail) = ([object(0x9F27, &[cid]), object(0x9F36, &atc)].concat(), object(0x9F10, &iad));
        let middle = if signed && given != Ac::Aac {
            let answer = [head.as_slice(), &tail].concat();
            let signature = self.sign_cryptogram(application, (cid, value), &unpredictable, &answer);
            signature.map(|signature| object(0x9F4B, &signature)).unwrap_or_default()
        } else if application.format == Format::One {
            let answer = object(0x80, &[&[cid], atc.as_slice(), &value, &iad].concat());
            return Ok((value, done(answer)));
        } else {
            object(0x9F26, &value)
        };
        Ok((value, done(template(0x77, &[head, middle, tail]))))
    }

    /// Signed dynamic application data of CDA: dynamic number, CID, cryptogram, and the hash over all that terminal and
    /// card said. EMV 4.4 Book 2 §6.6.1.
    fn sign_cryptogram(
        &self,
        application: &Application,
        (cid, value): (u8, [u8; 8]),
        unpredictable: &[u8],
        answer: &[u8],
    ) -> Option<Vec<u8>> {
        let spoilt = |field| {
            application
                .spoilt
                .is_some_and(|spoilt| spoilt.what == Signed::Cryptogram && spoilt.field == field)
        };
        let hash = Sha1::new().chain_update(&self.volatile.terminal_data).chain_update(answer).finalize();
        let hash: Vec<u8> = hash.iter().map(|byte| byte ^ u8::from(spoilt(Field::Data))).collect();
        let cid = cid ^ if spoilt(Field::Cid) { 0xC0 } else { 0 };
        let dynamic = [self.dynamic_number().as_slice(), &[cid], value.as_slice(), &hash].concat();
        // The changed data is in the hash inside already; the signature around it stays good.
        signatures::sign_dynamic(application, Signed::Cryptogram, &dynamic, unpredictable)
    }

    /// INTERNAL AUTHENTICATE: signs the terminal's data, DDA.
    pub(super) fn internal_authenticate(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        if !matches!(application.oda, Oda::Dda | Oda::Cda) {
            return Err(0x6D00);
        }
        if self.volatile.phase != Phase::Initiated {
            return Err(OUT_OF_ORDER);
        }
        let dynamic = self.dynamic_number();
        let signature = signatures::sign_dynamic(application, Signed::Dynamic, &dynamic, &command.data);
        let signature = signature.unwrap_or_default();
        Ok(done(match application.format {
            Format::One => object(0x80, &signature),
            Format::Two => template(0x77, &[object(0x9F4B, &signature)]),
        }))
    }

    /// ICC dynamic number with its length before it. Nothing here is random, so that tests repeat.
    fn dynamic_number(&self) -> [u8; 9] {
        let digest = Sha1::digest([b"number".as_slice(), &self.atc.to_be_bytes()].concat());
        let [a, b, c, d, e, f, g, h] = digest.first_chunk().copied().unwrap_or_default();
        [8, a, b, c, d, e, f, g, h]
    }

    /// Bits 3 and 2 of the CVR's second byte: offline PIN verification performed, and failed.
    const fn pin_result(&self) -> u8 {
        match self.volatile.pin {
            None => 0,
            Some(true) => 0x04,
            Some(false) => 0x06,
        }
    }
}

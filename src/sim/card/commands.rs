//! The commands of the simulated card. EMV 4.4 Book 1 §11 (SELECT, READ RECORD), Book 3 §6.5 (the others).
use super::content::{self, object, template};
use super::profile::{Application, FirstAc, Format, IssuerAuthentication, Scripts, SecondAc};
use super::{Card, Phase, status};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::domain::emv::tlv::{Tag, TagStore};
use crate::sim::issuer::{self, Cvn};

/// 6985: conditions of use are not satisfied.
const OUT_OF_ORDER: u16 = 0x6985;
/// 6A82: file or application is not there.
const NOT_FOUND: u16 = 0x6A82;
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
    /// Runs one command whole, before the transmission protocol has its say.
    pub(super) fn run(&mut self, command: &CommandApdu) -> ResponseApdu {
        let result = match (command.cla, command.ins) {
            (0x00, 0xA4) => self.select(command),
            (0x00, 0xB2) => self.read_record(command),
            (0x80, 0xA8) => self.processing_options(command),
            (0x80, 0xAE) => self.generate_ac(command),
            (0x00, 0x82) => self.external_authenticate(command),
            (0x80, 0xCA) => self.read_object(command),
            (0x00, 0x20) => self.verify(command),
            (0x00, 0x84) => self.challenge(command),
            (0x04 | 0x84 | 0x8C, 0x16 | 0x18 | 0x1E | 0x24 | 0xDA | 0xDC | 0xD2) => self.script(),
            (0x00 | 0x04 | 0x80 | 0x84 | 0x8C, _) => Err(0x6D00),
            _ => Err(0x6E00),
        };
        result.unwrap_or_else(status)
    }

    fn select(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        if command.p1 != 0x04 || !matches!(command.p2, 0x00 | 0x02) {
            return Err(0x6A86);
        }
        let before = if command.p2 == 0x02 { self.volatile.selected } else { None };
        self.reset();
        if self.profile.blocked {
            return Err(0x6A81);
        }
        if command.data == content::PSE && self.profile.pse {
            self.volatile.in_pse = true;
            return Ok(done(content::pse_fci()));
        }
        // "Next occurrence" goes on behind the application that was selected by the same, partial name.
        let first = before.map_or(0, |at| at.saturating_add(1));
        let (at, application) = self
            .profile
            .applications
            .iter()
            .enumerate()
            .skip(first)
            .find(|(_, application)| command.data.len() >= 5 && application.aid.starts_with(&command.data))
            .ok_or(NOT_FOUND)?;
        let fci = content::application_fci(application);
        let word = if application.blocked { 0x6283 } else { 0x9000 };
        self.volatile.selected = Some(at);
        self.volatile.phase = if application.blocked { Phase::Ended } else { Phase::Selected };
        Ok(ResponseApdu { data: fci, status: StatusWord(word) })
    }

    fn read_record(&self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        if command.p2 & 0x07 != 0x04 {
            return Err(0x6A86);
        }
        let sfi = command.p2 >> 3;
        let record = if self.volatile.in_pse {
            if sfi != 1 {
                return Err(NOT_FOUND);
            }
            content::directory_record(&self.profile, command.p1)
        } else {
            if !matches!(self.volatile.phase, Phase::Initiated | Phase::Online { .. } | Phase::Ended) {
                return Err(OUT_OF_ORDER);
            }
            content::record(self.application()?, sfi, command.p1)
        };
        record.map(done).ok_or(0x6A83)
    }

    fn processing_options(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        if self.volatile.phase != Phase::Selected {
            return Err(OUT_OF_ORDER);
        }
        let application = self.application()?;
        let wanted = dol(&application.pdol).map(|(_, length)| length).sum::<usize>();
        match command.data.as_slice() {
            [0x83, length, values @ ..] if usize::from(*length) == wanted && values.len() == wanted => {}
            _ => return Err(WRONG_LENGTH),
        }
        let aip = content::aip(application);
        let answer = match application.format {
            Format::One => object(0x80, &[aip.as_slice(), &content::AFL].concat()),
            Format::Two => template(0x77, &[object(0x82, &aip), object(0x94, &content::AFL)]),
        };
        self.atc = self.atc.saturating_add(1);
        self.volatile.phase = Phase::Initiated;
        Ok(done(answer))
    }

    fn generate_ac(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        let asked = match command.p1 & 0xC0 {
            0x00 => Ac::Aac,
            0x40 => Ac::Tc,
            0x80 => Ac::Arqc,
            _ => return Err(0x6A86),
        };
        match self.volatile.phase {
            Phase::Initiated => self.first_ac(asked, &command.data),
            Phase::Online { arqc } if asked != Ac::Arqc => self.second_ac(asked, arqc, &command.data),
            _ => Err(OUT_OF_ORDER),
        }
    }

    fn first_ac(&mut self, asked: Ac, data: &[u8]) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        let tags = read_dol(&application.cdol1, data).ok_or(WRONG_LENGTH)?;
        let given = match (application.first_ac, asked) {
            (FirstAc::Decline, _) => Ac::Aac,
            (FirstAc::Online, Ac::Tc) => Ac::Arqc,
            (_, asked) => asked,
        };
        // Second byte of the CVR: bits 8-7 second AC (10 = not asked yet), bits 6-5 first AC.
        let result = 0x80 | if given == Ac::Arqc { 0x20 } else { given as u8 >> 2 } | self.pin_result();
        let (arqc, answer) = self.cryptogram(given, result, tags)?;
        self.volatile.phase = if given == Ac::Arqc { Phase::Online { arqc } } else { Phase::Ended };
        Ok(answer)
    }

    fn second_ac(&mut self, asked: Ac, arqc: [u8; 8], data: &[u8]) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        let tags = read_dol(&content::cdol2(application), data).ok_or(WRONG_LENGTH)?;
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
        let (_, answer) = self.cryptogram(given, result, tags)?;
        self.last_online_atc = self.atc;
        self.volatile.phase = Phase::Ended;
        Ok(answer)
    }

    /// Makes the cryptogram over the terminal's data and wraps it.
    fn cryptogram(&self, given: Ac, result: u8, mut tags: TagStore) -> Result<([u8; 8], ResponseApdu), u16> {
        let application = self.application()?;
        let iad = application.cvn.iad([0x03, result, 0, 0]);
        let atc = self.atc.to_be_bytes();
        tags.put(Tag(0x82), &content::aip(application));
        tags.put(Tag(0x9F36), &atc);
        tags.put(Tag(0x9F10), &iad);
        let (pan, sequence) = (&application.pan, application.sequence);
        let value = issuer::cryptogram(&application.imk, pan, sequence, &tags).map_err(|_| OUT_OF_ORDER)?;
        let cid = given as u8;
        let answer = match application.format {
            Format::One => object(0x80, &[&[cid], atc.as_slice(), &value, &iad].concat()),
            Format::Two => template(
                0x77,
                &[object(0x9F27, &[cid]), object(0x9F36, &atc), object(0x9F26, &value), object(0x9F10, &iad)],
            ),
        };
        Ok((value, done(answer)))
    }

    /// Bits 3 and 2 of the CVR's second byte: offline PIN verification performed, and failed.
    const fn pin_result(&self) -> u8 {
        match self.volatile.pin {
            None => 0,
            Some(true) => 0x04,
            Some(false) => 0x06,
        }
    }

    fn external_authenticate(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        let Phase::Online { arqc } = self.volatile.phase else { return Err(OUT_OF_ORDER) };
        let allowed = application.issuer_authentication == IssuerAuthentication::ExternalAuthenticate;
        if !allowed || self.volatile.authenticated.is_some() {
            return Err(OUT_OF_ORDER);
        }
        if !(8..=16).contains(&command.data.len()) {
            return Err(WRONG_LENGTH);
        }
        let good = self.answer_is_good(application, arqc, &command.data);
        self.volatile.authenticated = Some(good);
        if good { Ok(status(0x9000)) } else { Err(0x6300) }
    }

    /// Checks issuer authentication data: eight bytes ARPC, then the response code it was made with.
    fn answer_is_good(&self, application: &Application, arqc: [u8; 8], answer: &[u8]) -> bool {
        let Some((arpc, [a, b])) = answer.split_first_chunk::<8>() else { return false };
        let (imk, pan, psn) = (&application.imk, &application.pan, application.sequence);
        let arc = [*a, *b];
        let expected = match application.cvn {
            Cvn::UnionPay01 => issuer::arpc(imk, pan, psn, self.atc, arqc, arc),
            Cvn::Visa10 => issuer::arpc_under(&issuer::icc_master_key(imk, pan, psn), arqc, arc),
        };
        expected == *arpc
    }

    fn read_object(&self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        let application = self.application()?;
        let tag = u32::from(u16::from_be_bytes([command.p1, command.p2]));
        let value = match (application.objects.get(&tag), tag) {
            (Some(other), _) => other.clone(),
            (None, 0x9F36) => Some(self.atc.to_be_bytes().to_vec()),
            (None, 0x9F13) => Some(self.last_online_atc.to_be_bytes().to_vec()),
            (None, 0x9F17) => self.tries_left().map(|left| vec![left]),
            _ => None,
        };
        value.map(|value| done(object(tag, &value))).ok_or(0x6A88)
    }

    /// An issuer script command, before or after the second GENERATE AC.
    fn script(&self) -> Result<ResponseApdu, u16> {
        if !matches!(self.volatile.phase, Phase::Online { .. } | Phase::Ended) {
            return Err(OUT_OF_ORDER);
        }
        match self.application()?.scripts {
            Scripts::Accept => Ok(status(0x9000)),
            Scripts::Refuse => Err(0x6988),
        }
    }

    pub(super) fn application(&self) -> Result<&Application, u16> {
        self.volatile.selected.and_then(|at| self.profile.applications.get(at)).ok_or(OUT_OF_ORDER)
    }
}

pub(super) fn done(data: Vec<u8>) -> ResponseApdu {
    ResponseApdu { data, status: StatusWord::OK }
}

/// The entries of a data object list of this card: tags of one or two bytes, short lengths.
fn dol(list: &[u8]) -> impl Iterator<Item = (Tag, usize)> {
    let mut rest = list;
    core::iter::from_fn(move || {
        let (tag, length, tail) = match rest {
            [a, b, length, tail @ ..] if a & 0x1F == 0x1F => {
                (u32::from(*a) << 8 | u32::from(*b), *length, tail)
            }
            [a, length, tail @ ..] if a & 0x1F != 0x1F => (u32::from(*a), *length, tail),
            _ => return None,
        };
        rest = tail;
        Some((Tag(tag), usize::from(length)))
    })
}

/// Cuts the terminal's data by a list; `None` if the lengths do not add up.
fn read_dol(list: &[u8], data: &[u8]) -> Option<TagStore> {
    let mut tags = TagStore::default();
    let mut rest = data;
    for (tag, length) in dol(list) {
        let (value, tail) = rest.split_at_checked(length)?;
        tags.put(tag, value);
        rest = tail;
    }
    rest.is_empty().then_some(tags)
}

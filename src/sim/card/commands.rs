//! The commands of the simulated card. EMV 4.4 Book 1 §11 (SELECT, READ RECORD), Book 3 §6.5 (the others).
use super::content::{self, object, template};
use super::profile::{Application, Format, IssuerAuthentication, Scripts};
use super::{Card, Phase, dol, signatures, status};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::sim::issuer::{self, Cvn, ScriptOf, TEST_IMK_SMI};

/// 6985: conditions of use are not satisfied.
const OUT_OF_ORDER: u16 = 0x6985;
/// 6A82: file or application is not there.
const NOT_FOUND: u16 = 0x6A82;
/// 6700: wrong length.
const WRONG_LENGTH: u16 = 0x6700;

impl Card {
    /// Runs one command whole, before the transmission protocol has its say.
    pub(super) fn run(&mut self, command: &CommandApdu) -> ResponseApdu {
        let result = match (command.cla, command.ins) {
            (0x00, 0xA4) => self.select(command),
            (0x00, 0xB2) => self.read_record(command),
            (0x80, 0xA8) => self.processing_options(command),
            (0x80, 0xAE) => self.generate_ac(command),
            (0x00, 0x88) => self.internal_authenticate(command),
            (0x00, 0x82) => self.external_authenticate(command),
            (0x80, 0xCA) => self.read_object(command),
            (0x00, 0x20) => self.verify(command),
            (0x00, 0x84) => self.challenge(command),
            (0x04 | 0x84 | 0x8C, 0x16 | 0x18 | 0x1E | 0x24 | 0xDA | 0xDC | 0xD2) => self.script(command),
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
            content::record(self.application()?, &self.volatile.signed, sfi, command.p1)
        };
        record.map(done).ok_or(0x6A83)
    }

    fn processing_options(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        if self.volatile.phase != Phase::Selected {
            return Err(OUT_OF_ORDER);
        }
        let application = self.application()?;
        let wanted = dol::entries(&application.pdol).map(|(_, length)| length).sum::<usize>();
        match command.data.as_slice() {
            [0x83, length, values @ ..] if usize::from(*length) == wanted && values.len() == wanted => {}
            _ => return Err(WRONG_LENGTH),
        }
        let (aip, afl) = (content::aip(application), content::afl(application));
        let answer = match application.format {
            Format::One => object(0x80, &[aip.as_slice(), &afl].concat()),
            Format::Two => template(0x77, &[object(0x82, &aip), object(0x94, &afl)]),
        };
        let signed = signatures::sign(application, &content::marked_records(application), aip);
        self.volatile.signed = signed;
        self.volatile.terminal_data = command.data.get(2..).unwrap_or_default().to_vec();
        self.atc = self.atc.saturating_add(1);
        self.volatile.phase = Phase::Initiated;
        Ok(done(answer))
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
    pub(super) fn answer_is_good(&self, application: &Application, arqc: [u8; 8], answer: &[u8]) -> bool {
        let Some((arpc, [a, b])) = answer.split_first_chunk::<8>() else { return false };
        application.arpc(self.atc, arqc, [*a, *b]) == *arpc
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
    fn script(&self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        if !matches!(self.volatile.phase, Phase::Online { .. } | Phase::Ended) {
            return Err(OUT_OF_ORDER);
        }
        let application = self.application()?;
        let good = match application.scripts {
            Scripts::Accept => true,
            Scripts::Refuse => false,
            Scripts::Check => self.mac_is_good(application, command),
        };
        if good { Ok(status(0x9000)) } else { Err(0x6988) }
    }

    /// Checks the MAC of a script command, its last eight bytes.
    fn mac_is_good(&self, application: &Application, command: &CommandApdu) -> bool {
        let (Some((data, mac)), Some(arqc)) = (command.data.split_last_chunk::<8>(), self.volatile.arqc)
        else {
            return false;
        };
        let (cla, ins, p1, p2) = (command.cla, command.ins, command.p1, command.p2);
        let length = u8::try_from(command.data.len()).unwrap_or_default();
        let of = ScriptOf { pan: &application.pan, psn: application.sequence, atc: self.atc, arqc };
        issuer::script_mac(application.cvn, &TEST_IMK_SMI, of, [cla, ins, p1, p2, length], data) == *mac
    }

    pub(super) fn application(&self) -> Result<&Application, u16> {
        self.volatile.selected.and_then(|at| self.profile.applications.get(at)).ok_or(OUT_OF_ORDER)
    }
}

impl Application {
    /// The ARPC that this card takes from its issuer for an ARQC.
    pub(super) fn arpc(&self, atc: u16, arqc: [u8; 8], arc: [u8; 2]) -> [u8; 8] {
        let (imk, pan, psn) = (&self.imk, &self.pan, self.sequence);
        match self.cvn {
            Cvn::UnionPay01 => issuer::arpc(imk, pan, psn, atc, arqc, arc),
            Cvn::Visa10 => issuer::arpc_under(&issuer::icc_master_key(imk, pan, psn), arqc, arc),
        }
    }
}

pub(super) fn done(data: Vec<u8>) -> ResponseApdu {
    ResponseApdu { data, status: StatusWord::OK }
}

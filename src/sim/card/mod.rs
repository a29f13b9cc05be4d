//! A simulated chip card as pure logic: bytes in, bytes out, no reader and no socket.
//!
//! It answers as a UnionPay or Visa contact card does, with real 3DES cryptograms, so that terminal and
//! acquirer can be judged against it. It is authenticated offline by SDA, DDA or CDA under a test CA ([`test_capk`]),
//! checks a PIN itself, and can be any card that its profile describes. It has no contactless application, and what an
//! issuer script says is not done. EMV 4.4 Books 1 to 3. Spec: unverified.
mod ac;
mod commands;
mod content;
mod dol;
mod fault;
mod keys;
mod pin;
mod profile;
mod signatures;

pub use fault::{Fault, FaultKind, FaultSyntax, Step};
pub use keys::{CA_INDEX, test_capk};
pub use profile::{
    Application, FirstAc, Format, IssuerAuthentication, Oda, OfflinePin, PRESETS, Profile, ProfileError,
    Scripts, SecondAc,
};

pub use signatures::{Field, Signed, Spoilt};

use crate::domain::emv::apdu::{CommandApdu, Protocol, ResponseApdu, StatusWord};

/// How many commands the log keeps.
const LOG_MAX: usize = 1000;

/// What the card does with a command.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// It answers.
    Answer(Vec<u8>),
    /// It never answers.
    Mute,
    /// It is pulled out of the reader.
    Removed,
}

/// One command as the log shows it. No card data: answers show their length only, a PIN command shows no
/// data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The command in hex.
    pub command: String,
    /// How many bytes of data were answered.
    pub length: usize,
    /// The status word in hex, or `mute` or `removed`.
    pub status: String,
    /// When it came, in microseconds of the clock that [`Card::clock`] was told.
    pub micros: u64,
}

/// Where the transaction stands. EMV 4.4 Book 3 §8.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing is selected, or the directory.
    #[default]
    Idle,
    /// An application is selected.
    Selected,
    /// GET PROCESSING OPTIONS is done.
    Initiated,
    /// The first GENERATE AC gave this ARQC.
    Online { arqc: [u8; 8] },
    /// The last cryptogram is given.
    Ended,
}

/// What is lost at power-off and reset.
#[derive(Default)]
struct Volatile {
    phase: Phase,
    /// The directory is selected.
    in_pse: bool,
    /// Index of the selected application.
    selected: Option<usize>,
    /// Result of issuer authentication, if there was one.
    authenticated: Option<bool>,
    /// The first cryptogram, if it was an ARQC; script MACs rest on it.
    arqc: Option<[u8; 8]>,
    /// Result of the last VERIFY, if there was one.
    pin: Option<bool>,
    /// What GET CHALLENGE gave, for one VERIFY.
    challenge: Option<[u8; 8]>,
    /// What file 3 holds; signed at GET PROCESSING OPTIONS.
    signed: Vec<signatures::SignedObject>,
    /// The values that the terminal gave for PDOL, CDOL1 and CDOL2 so far; CDA signs their hash.
    terminal_data: Vec<u8>,
    /// T=0: what waits for GET RESPONSE.
    waiting: Vec<u8>,
}

/// A card. The transaction counter and the PIN tries survive power-off, as in a real one.
pub struct Card {
    profile: Profile,
    atc: u16,
    last_online_atc: u16,
    volatile: Volatile,
    faults: Vec<Fault>,
    count: u32,
    micros: u64,
    log: Vec<LogEntry>,
}

impl Card {
    /// Makes a card, not powered.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let atc = profile.applications.first().map_or(0, |application| application.atc);
        Self {
            profile,
            atc,
            last_online_atc: atc,
            volatile: Volatile::default(),
            faults: Vec::new(),
            count: 0,
            micros: 0,
            log: Vec::new(),
        }
    }

    /// What it is made of.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The answer to reset. Empty: mute.
    #[must_use]
    pub fn atr(&self) -> &[u8] {
        &self.profile.atr
    }

    /// Power-off, power-on and reset all lose the volatile state.
    pub fn reset(&mut self) {
        self.volatile = Volatile::default();
    }

    /// The card is put into a reader: count and log begin anew.
    pub fn inserted(&mut self) {
        self.reset();
        self.count = 0;
        self.log.clear();
    }

    /// What time it is, for the log; a card has no clock.
    pub const fn clock(&mut self, micros: u64) {
        self.micros = micros;
    }

    /// Switches a fault on.
    pub fn add_fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Switches all faults off.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// The commands since insertion, oldest first, 1000 at most.
    #[must_use]
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// What the card's issuer answers to the last ARQC, with this response code: tag 91, the ARPC and the code. `None`
    /// where no ARQC waits for an answer.
    #[must_use]
    pub fn issuer_answer(&self, arc: [u8; 2]) -> Option<[u8; 10]> {
        let (Phase::Online { arqc }, Ok(application)) = (self.volatile.phase, self.application()) else {
            return None;
        };
        let [a, b, c, d, e, f, g, h] = application.arpc(self.atc, arqc, arc);
        let [x, y] = arc;
        Some([a, b, c, d, e, f, g, h, x, y])
    }

    /// Answers the bytes of one command, as they come from the reader.
    pub fn transmit(&mut self, bytes: &[u8]) -> Reply {
        self.count = self.count.saturating_add(1);
        let command = CommandApdu::parse(bytes).ok();
        let fault = self.due_fault(command.as_ref());
        let reply = match (fault, command) {
            (Some(FaultKind::Mute), _) => Reply::Mute,
            (Some(FaultKind::Remove), _) => Reply::Removed,
            (Some(FaultKind::Status(word)), _) => Reply::Answer(status(word).bytes()),
            // A template that claims more bytes than there are.
            (Some(FaultKind::Garbage), _) => Reply::Answer(vec![0x6F, 0x7F, 0x9F, 0x90, 0x00]),
            (None, Some(command)) => Reply::Answer(self.transported(&command).bytes()),
            (None, None) => Reply::Answer(status(0x6700).bytes()),
        };
        self.note(bytes, &reply);
        reply
    }

    fn due_fault(&mut self, command: Option<&CommandApdu>) -> Option<FaultKind> {
        let step = command.and_then(|command| self.step_of(command));
        let count = self.count;
        let at = self
            .faults
            .iter()
            .position(|fault| Some(fault.step) == step || fault.step == Step::Apdu(count))?;
        let fault = *self.faults.get(at)?;
        if !fault.always {
            self.faults.remove(at);
        }
        Some(fault.kind)
    }

    fn step_of(&self, command: &CommandApdu) -> Option<Step> {
        Some(match command.ins {
            0xA4 if command.data == content::PSE => Step::SelectPse,
            0xA4 => Step::Select,
            0xA8 => Step::Gpo,
            0xB2 => Step::ReadRecord,
            0xAE if matches!(self.volatile.phase, Phase::Online { .. }) => Step::SecondAc,
            0xAE => Step::FirstAc,
            0x82 => Step::ExternalAuthenticate,
            0x88 => Step::InternalAuthenticate,
            0x20 => Step::Verify,
            0x84 => Step::GetChallenge,
            0xCA => Step::ReadObject,
            0x16 | 0x18 | 0x1E | 0x24 | 0xDA | 0xDC | 0xD2 => Step::Script,
            _ => return None,
        })
    }

    /// Runs a command and wraps its answer as the transmission protocol wants: T=0 cannot answer data to a
    /// command that has data, and insists on the exact length. ISO/IEC 7816-3 §12.2; EMV 4.4 Book 1 Annex A.
    fn transported(&mut self, command: &CommandApdu) -> ResponseApdu {
        if self.profile.protocol == Protocol::T1 {
            return self.run(command);
        }
        if command.ins == 0xC0 {
            return self.get_response(command.le);
        }
        self.volatile.waiting.clear();
        let response = self.run(command);
        match u8::try_from(response.data.len()) {
            Ok(1..) if command.data.is_empty() => exact(response, command.le),
            Ok(length @ 1..) => {
                self.volatile.waiting.clone_from(&response.data);
                // A warning (62xx) goes first; a terminal that wants the data too asks with GET RESPONSE.
                let word = response.status;
                if word.is_ok() { status(0x6100 | u16::from(length)) } else { status(word.0) }
            }
            _ => response,
        }
    }

    fn get_response(&mut self, le: Option<u8>) -> ResponseApdu {
        let data = core::mem::take(&mut self.volatile.waiting);
        if data.is_empty() {
            return status(0x6985);
        }
        let answer = exact(ResponseApdu { data: data.clone(), status: StatusWord::OK }, le);
        if !answer.status.is_ok() {
            self.volatile.waiting = data;
        }
        answer
    }

    fn note(&mut self, bytes: &[u8], reply: &Reply) {
        if self.log.len() >= LOG_MAX {
            self.log.remove(0);
        }
        let (length, status) = match reply {
            Reply::Mute => (0, "mute".to_owned()),
            Reply::Removed => (0, "removed".to_owned()),
            Reply::Answer(answer) => match answer.split_last_chunk::<2>() {
                Some((data, [sw1, sw2])) => (data.len(), format!("{sw1:02X}{sw2:02X}")),
                None => (0, String::new()),
            },
        };
        let has_pin = matches!(bytes, [_, 0x20 | 0x24, ..]);
        let shown = if has_pin { bytes.get(..4).unwrap_or_default() } else { bytes };
        let command = shown.iter().map(|byte| format!("{byte:02X}")).collect();
        self.log.push(LogEntry { command, length, status, micros: self.micros });
    }
}

/// Gives the data if the length asked for is exact, else tells the right one with 6Cxx.
fn exact(response: ResponseApdu, le: Option<u8>) -> ResponseApdu {
    match u8::try_from(response.data.len()) {
        Ok(length) if le != Some(length) => status(0x6C00 | u16::from(length)),
        _ => response,
    }
}

/// An answer without data.
fn status(word: u16) -> ResponseApdu {
    ResponseApdu { data: Vec::new(), status: StatusWord(word) }
}

#[cfg(test)]
mod tests;

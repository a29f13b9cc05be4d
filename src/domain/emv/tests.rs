//! Whole conversations against the kernel, as tables: what is expected of the terminal, what comes back.
//!
//! The recorded conversations in tests/data/apdu stem from another terminal; they are followed as far as its
//! choices and ours agree.
use super::apdu::{CommandApdu, ResponseApdu, StatusWord};
use super::describe::hex;
use super::kernel::{
    Candidate, Conclusion, HostAnswer, Input, Kernel, KernelError, Output, PinResult, Verdict,
};
use super::params::{Aid, AidEntry, Capk, EmvConfig, TerminalData, TxnParams};
use super::tlv::{Tag, encode};
use crate::domain::calendar::LocalTime;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::CvmMethod;
use crate::domain::secret::PinSeed;

mod completion;
mod conversations;
mod purpose;
mod random;
mod recorded;
mod risk;
mod selection;
mod verification;

const DEBIT: &str = "A000000333010101";
pub(in crate::domain) const CREDIT: &str = "A000000333010102";

pub(in crate::domain) fn unhex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn aid(text: &str) -> Aid {
    Aid::new(&unhex(text)).unwrap()
}

fn entry(text: &str, partial_match: bool) -> AidEntry {
    AidEntry {
        aid: aid(text),
        partial_match,
        version: [0x00, 0x20],
        tac_default: [0xD8, 0x40, 0x00, 0xA8, 0x00],
        tac_online: [0xD8, 0x40, 0x04, 0xF8, 0x00],
        tac_denial: [0x00, 0x10, 0x00, 0x00, 0x00],
        floor_limit: 0,
        random_threshold: 0,
        random_max_percent: 0,
        random_target_percent: 0,
        default_ddol: vec![0x9F, 0x37, 0x04],
        online_pin: true,
    }
}

pub(in crate::domain) fn config() -> EmvConfig {
    EmvConfig {
        terminal: TerminalData {
            country_code: [0x01, 0x56],
            terminal_type: 0x22,
            capabilities: [0x20, 0x68, 0x00],
            additional_capabilities: [0x60, 0x00, 0xF0, 0xA0, 0x01],
            merchant_category_code: [0x54, 0x11],
            ifd_serial: *b"POSD0001",
            terminal_id: *b"12345678",
            merchant_id: *b"102290054110001",
            merchant_name: b"POSD TEST".to_vec(),
        },
        aids: vec![entry("A000000333", true)],
        capks: [].into(),
        revoked: [].into(),
    }
}

pub(in crate::domain) fn params() -> TxnParams {
    TxnParams {
        amount: Amount::from_minor(1250).unwrap(),
        amount_other: Amount::ZERO,
        currency: Currency::CNY,
        transaction_type: 0x00,
        now: LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 30, second: 0 },
        unpredictable_number: [0xDE, 0xAD, 0xBE, 0xEF],
        sequence_counter: 123,
        selection_roll: 50,
        pin_seed: PinSeed::new([9; 32]),
        purpose: super::params::Purpose::Pay,
        watch: None,
    }
}

/// One data object as bytes; the value is given in hexadecimal.
pub(in crate::domain) fn tlv(tag: u32, value: &str) -> String {
    hex(&encode(Tag(tag), &unhex(value)).unwrap())
}

/// A card with one record. Tests change what they are about.
#[derive(Clone)]
pub(in crate::domain) struct TestCard {
    aid: &'static str,
    pdol: &'static str,
    pub(in crate::domain) priority: &'static str,
    aip: &'static str,
    /// What it says to every GENERATE AC, where it does not do what is asked.
    cid: Option<&'static str>,
    record: Vec<(u32, String)>,
}

/// CDOL1 of the test card: amounts, country, TVR, currency, date, type, number.
const CDOL1: &str = "9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704";
/// CDOL2: response code, issuer authentication, TVR, TSI, CVM results.
const CDOL2: &str = "8A02 9108 9505 9B02 9F3403";
pub(in crate::domain) const ARQC: &str = "80 12 80 0001 1122334455667788 07010103A00000";
pub(in crate::domain) const TC: &str = "80 12 40 0001 8877665544332211 07010103900000";
pub(in crate::domain) const AAC: &str = "80 12 00 0001 8877665544332211 07010103800000";

impl TestCard {
    /// Online PIN if the terminal can, else signature, else nothing.
    pub(in crate::domain) fn new() -> Self {
        let record = [
            (0x57, "6228480000001234D29122010000000000"),
            (0x5A, "6228480000001234"),
            (0x5F24, "291231"),
            (0x5F28, "0156"),
            (0x5F34, "01"),
            (0x8C, CDOL1),
            (0x8D, CDOL2),
            (0x8E, "00000000 00000000 4203 5E03 1F00"),
            (0x9F07, "FF00"),
            (0x9F08, "0020"),
            (0x9F0D, "D86004A800"),
            (0x9F0E, "0010000000"),
            (0x9F0F, "D86804F800"),
            (0x9F42, "0156"),
        ];
        let record = record.into_iter().map(|(tag, value)| (tag, value.to_owned())).collect();
        Self { aid: DEBIT, pdol: "", priority: "01", aip: "7C00", cid: None, record }
    }

    pub(in crate::domain) fn with(mut self, tag: u32, value: &str) -> Self {
        self.record.retain(|(known, _)| *known != tag);
        self.record.push((tag, value.to_owned()));
        self
    }

    /// A key for PINs, certified by an issuer whom [`pin_authority`] certifies.
    pub(in crate::domain) fn with_pin_key(self) -> Self {
        let chain = pin_chain();
        let card = self.with(0x8F, "E5").with(0x9F32, "03").with(0x9F2E, "03");
        [(0x90, "issuer"), (0x92, "issuer-remainder"), (0x9F2D, "pin")]
            .into_iter()
            .fold(card, |card, (tag, key)| card.with(tag, chain[key].as_str().unwrap()))
    }

    pub(in crate::domain) fn with_cryptogram(mut self, cid: &'static str) -> Self {
        self.cid = Some(cid);
        self
    }

    fn without(mut self, tag: u32) -> Self {
        self.record.retain(|(known, _)| *known != tag);
        self
    }

    fn fci(&self) -> String {
        let mut inside = tlv(0x50, &hex(b"UNIONPAY DEBIT")) + &tlv(0x87, self.priority);
        if !self.pdol.is_empty() {
            inside += &tlv(0x9F38, self.pdol);
        }
        tlv(0x6F, &(tlv(0x84, self.aid) + &tlv(0xA5, &inside)))
    }

    fn record(&self) -> String {
        let objects: String = self.record.iter().map(|(tag, value)| tlv(*tag, value)).collect();
        tlv(0x70, &objects)
    }

    fn options(&self) -> String {
        tlv(0x80, &format!("{} 08010100", self.aip))
    }

    /// What a good card answers; it knows commands by their first bytes. `in_directory`: no application is
    /// open yet, so a record is one of the directory, which has one.
    pub(in crate::domain) fn answers(&self, command: &CommandApdu, in_directory: bool) -> ResponseApdu {
        let data = match (command.ins, command.p1, command.p2) {
            (0xA4, ..) if command.data.starts_with(b"1PAY") => directory(),
            (0xA4, ..) => self.fci(),
            (0xA8, ..) => self.options(),
            (0xB2, 1, 0x0C) if in_directory => self.directory_record(),
            (0xB2, ..) if in_directory => String::new(),
            (0xB2, ..) => self.record(),
            (0xAE, ..) if self.cid.is_some() => {
                AAC.replacen(" 00 ", &format!(" {} ", self.cid.unwrap_or_default()), 1)
            }
            (0xAE, 0x40, _) => TC.to_owned(),
            (0xAE, 0x80, _) => ARQC.to_owned(),
            (0xAE, ..) => AAC.to_owned(),
            _ => String::new(),
        };
        let no_record = in_directory && command.ins == 0xB2 && command.p1 > 1;
        ResponseApdu { data: unhex(&data), status: StatusWord(if no_record { 0x6A83 } else { 0x9000 }) }
    }

    /// Directory with one application.
    fn directory_record(&self) -> String {
        let entry = tlv(0x4F, self.aid) + &tlv(0x50, &hex(b"UNIONPAY DEBIT")) + &tlv(0x87, self.priority);
        tlv(0x70, &tlv(0x61, &entry))
    }
}

/// Certificates of a key for PINs; see the file for whose they are.
fn pin_chain() -> toml::Table {
    let file: toml::Table = include_str!("../../../tests/data/crypto/chains.toml").parse().unwrap();
    file["pin"].as_table().unwrap().clone()
}

/// The key that certifies the issuer of a test card with a key for PINs.
pub(in crate::domain) fn pin_authority() -> Capk {
    Capk {
        rid: [0xA0, 0, 0, 0x03, 0x33],
        index: 0xE5,
        expiry: [0x20, 0x39, 0x12, 0x31],
        exponent: vec![3],
        modulus: unhex(pin_chain()["modulus"].as_str().unwrap()),
    }
}

/// FCI of the directory: records in file 1.
fn directory() -> String {
    tlv(0x6F, &(tlv(0x84, &hex(b"1PAY.SYS.DDF01")) + &tlv(0xA5, "880101")))
}

fn select(name: &str, next: bool) -> String {
    let length = unhex(name).len();
    format!("00A404{}{length:02X}{name}00", if next { "02" } else { "00" })
}

fn select_directory() -> String {
    select(&hex(b"1PAY.SYS.DDF01"), false)
}

fn answer(data: &str, status: u16) -> Input {
    Input::Response(ResponseApdu { data: unhex(data), status: StatusWord(status) })
}

fn bytes(command: &CommandApdu) -> String {
    hex(&command.bytes().unwrap())
}

/// A conversation in progress.
struct Talk {
    kernel: Kernel,
    output: Output,
}

impl Talk {
    fn start(config: &EmvConfig, params: TxnParams) -> Self {
        let (kernel, output) = Kernel::start(config, params);
        Self { kernel, output }
    }

    /// The terminal must send this command now.
    fn expects(&self, command: &str) {
        let command: String = command.split_whitespace().collect();
        match &self.output {
            Output::Transmit(sent) => assert_eq!(bytes(sent), command, "{:?}", self.kernel),
            other => panic!("{command} was expected, {other:?} came"),
        }
    }

    fn gives(self, input: Input) -> Self {
        let (kernel, output) = self.kernel.step(input).unwrap();
        Self { kernel, output }
    }

    fn breaks(self, input: Input) -> KernelError {
        self.kernel.step(input).unwrap_err()
    }

    /// One line of a table: this command, answered with data and 9000.
    fn line(self, command: &str, data: &str) -> Self {
        self.refused(command, data, 0x9000)
    }

    fn refused(self, command: &str, data: &str, status: u16) -> Self {
        self.expects(command);
        self.gives(answer(data, status))
    }

    fn choices(&self) -> Vec<Candidate> {
        match &self.output {
            Output::Choose(candidates) => candidates.clone(),
            other => panic!("a choice was expected, {other:?} came"),
        }
    }

    fn ends(self) -> Conclusion {
        match self.output {
            Output::Done(conclusion) => *conclusion,
            other => panic!("an end was expected, {other:?} came"),
        }
    }

    /// Selection by directory, options and the record of a card.
    fn until_read(card: &TestCard, config: &EmvConfig, params: TxnParams) -> Self {
        Self::start(config, params)
            .line(&select_directory(), &directory())
            .line("00B2010C00", &card.directory_record())
            .refused("00B2020C00", "", 0x6A83)
            .line(&select(card.aid, false), &card.fci())
            .line("80A8000002830000", &card.options())
            .line("00B2010C00", &card.record())
    }

    /// As above, and the PIN entered if it is asked.
    fn until_first_ac(card: &TestCard, config: &EmvConfig, params: TxnParams) -> Self {
        let talk = Self::until_read(card, config, params);
        match talk.output {
            Output::AskPin(_) => talk.gives(Input::PinDone(PinResult::Entered)),
            _ => talk,
        }
    }

    /// As above, and an ARQC.
    fn until_host(card: &TestCard) -> Self {
        let talk = Self::until_first_ac(card, &config(), params()).gives(answer(ARQC, 0x9000));
        assert!(matches!(talk.output, Output::GoOnline(_)), "{:?}", talk.output);
        talk
    }

    fn tag(&self, tag: Tag) -> Option<String> {
        let card = match &self.output {
            Output::Done(conclusion) => conclusion.card.clone(),
            _ => self.kernel.card(),
        };
        card.and_then(|card| card.tags.value(tag).map(hex))
    }
}

fn host(approved: bool) -> Input {
    host_with(approved, None, &[])
}

fn host_with(approved: bool, issuer_authentication: Option<&str>, scripts: &[&str]) -> Input {
    Input::Host(HostAnswer::Answered {
        approved,
        response_code: if approved { *b"00" } else { *b"51" },
        issuer_authentication: issuer_authentication.map(unhex),
        scripts: scripts.iter().map(|script| unhex(script)).collect(),
    })
}

fn verdict(talk: Talk) -> (Verdict, Option<String>) {
    let conclusion = talk.ends();
    (conclusion.verdict, conclusion.card.map(|card| card.pan.masked()))
}

const MASKED: &str = "622848******1234";

//! The chips of the shop's customers: as many data objects as the real kernel wants, put together once.
//!
//! No keys: the terminal of a world does no offline data authentication, which moves no money. What a chip does to the
//! money it does: it says ARQC, TC or AAC, asks for a PIN or a signature, may be pulled, answer nonsense or change its
//! mind.
use super::host::CARDS;
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::domain::emv::params::{AidEntry, EmvConfig, TerminalData};
use crate::domain::emv::tlv::{Tag, write};
use crate::domain::ident::{MerchantId, TerminalId};
use crate::sim::conversation::{application, shop};

/// Terminal of the world's shop.
pub const TERMINAL_ID: &str = "12345678";
/// The shop.
pub const MERCHANT_ID: &str = "102290054110001";

const AID_CARD: [u8; 8] = [0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x01];
const AID_TERMINAL: [u8; 5] = [0xA0, 0, 0, 0x03, 0x33];
/// CDOL1: amounts, country, TVR, currency, date, type, number.
const CDOL1: [u8; 23] = [
    0x9F, 0x02, 6, 0x9F, 0x03, 6, 0x9F, 0x1A, 2, 0x95, 5, 0x5F, 0x2A, 2, 0x9A, 3, 0x9C, 1, 0x9F, 0x37, 4, 0,
    0,
];
/// CDOL2: response code, issuer authentication, TVR, TSI, CVM results.
const CDOL2: [u8; 11] = [0x8A, 2, 0x91, 8, 0x95, 5, 0x9B, 2, 0x9F, 0x34, 3];

/// How a chip answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temper {
    /// As it should.
    #[default]
    Good,
    /// AAC in the second cryptogram, whatever the bank said.
    DeclinesAfterApproval,
    /// AAC in the first one.
    DeclinesAtOnce,
    /// TC in the first one, if it is asked for it.
    ApprovesAlone,
}

/// What goes wrong with one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChipFault {
    /// The card is pulled.
    Pulled,
    /// No answer.
    Mute,
    /// A status word that no phase allows.
    Refuses,
    /// Data that is not TLV.
    Garbage,
}

impl ChipFault {
    /// In the order of a site's ways.
    pub const ALL: [Self; 4] = [Self::Pulled, Self::Mute, Self::Refuses, Self::Garbage];
}

/// The answers of one card.
#[derive(Clone, Debug)]
struct Answers {
    fci: Vec<u8>,
    record: Vec<u8>,
}

/// All cards of the shop; one of them is in the reader.
#[derive(Clone, Debug)]
pub struct Cards {
    answers: Vec<Answers>,
    options: Vec<u8>,
    /// Which card is in the reader.
    pub inserted: u8,
    /// How it answers.
    pub temper: Temper,
    /// Application transaction counters.
    counters: [u16; CARDS],
    cryptograms: u8,
    /// The last cryptogram it gave was a TC.
    pub said_tc: bool,
}

/// Digits of a simulated card. The check digit is not computed: nobody looks at it here.
#[must_use]
pub fn digits(card: u8) -> String {
    format!("622848000000{:04}", 1230_u32.saturating_add(u32::from(card)))
}

/// Which of the shop's cards has this number.
#[must_use]
pub fn card_of(pan: &str) -> Option<u8> {
    let last = pan.strip_prefix("622848000000")?.parse::<u32>().ok()?.checked_sub(1230)?;
    u8::try_from(last).ok().filter(|card| usize::from(*card) < CARDS)
}

fn object(out: &mut Vec<u8>, tag: u32, value: &[u8]) {
    // The values of this file fit: a tag and at most 200 bytes.
    let _fits = write(out, Tag(tag), value).is_ok();
}

fn bcd(digits: &str) -> Vec<u8> {
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
    digits.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, b| (byte << 4) | nibble(*b))).collect()
}

impl Answers {
    fn new(card: u8) -> Self {
        let number = digits(card);
        let mut inside = Vec::new();
        object(&mut inside, 0x50, b"UNIONPAY DEBIT");
        object(&mut inside, 0x87, &[1]);
        let mut body = Vec::new();
        object(&mut body, 0x84, &AID_CARD);
        object(&mut body, 0xA5, &inside);
        let mut fci = Vec::new();
        object(&mut fci, 0x6F, &body);

        let mut objects = Vec::new();
        object(&mut objects, 0x57, &bcd(&format!("{number}D29122010000000000")));
        object(&mut objects, 0x5A, &bcd(&number));
        object(&mut objects, 0x5F24, &[0x29, 0x12, 0x31]);
        object(&mut objects, 0x5F28, &[0x01, 0x56]);
        object(&mut objects, 0x5F34, &[0x01]);
        object(&mut objects, 0x8C, &CDOL1[..21]);
        object(&mut objects, 0x8D, &CDOL2);
        object(&mut objects, 0x8E, &verification(card));
        object(&mut objects, 0x9F07, &[0xFF, 0x00]);
        object(&mut objects, 0x9F08, &[0x00, 0x20]);
        object(&mut objects, 0x9F0D, &[0, 0, 0, 0, 0]);
        object(&mut objects, 0x9F0E, &[0, 0, 0, 0, 0]);
        object(&mut objects, 0x9F0F, &[0, 0, 0, 0x80, 0]);
        object(&mut objects, 0x9F42, &[0x01, 0x56]);
        let mut record = Vec::new();
        object(&mut record, 0x70, &objects);
        Self { fci, record }
    }
}

/// CVM lists: card 0 asks an online PIN, card 1 a signature, the others nothing.
fn verification(card: u8) -> Vec<u8> {
    let rule: &[u8] = match card {
        0 => &[0x42, 0x03, 0x1F, 0x00],
        1 => &[0x5E, 0x03, 0x1F, 0x00],
        _ => &[0x1F, 0x00],
    };
    [0; 8].iter().chain(rule).copied().collect()
}

impl Default for Cards {
    fn default() -> Self {
        Self::new()
    }
}

impl Cards {
    /// The cards, none of them used yet.
    #[must_use]
    pub fn new() -> Self {
        let mut options = Vec::new();
        // AIP: cardholder verification and terminal risk management; AFL: record 1 of file 1.
        object(&mut options, 0x80, &[0x18, 0x00, 0x08, 0x01, 0x01, 0x00]);
        let cards = u8::try_from(CARDS).unwrap_or(u8::MAX);
        Self {
            answers: (0..cards).map(Answers::new).collect(),
            options,
            inserted: 0,
            temper: Temper::Good,
            counters: [0; CARDS],
            cryptograms: 0,
            said_tc: false,
        }
    }

    /// The card is powered up: a new conversation.
    pub fn power_on(&mut self) {
        self.cryptograms = 0;
        self.said_tc = false;
    }

    /// Card class as the bank's answers name it: field 63.1.
    #[must_use]
    pub const fn organisation(foreign: bool) -> &'static str {
        if foreign { "VIS" } else { "CUP" }
    }

    /// The answer to one command.
    pub fn answer(&mut self, command: &CommandApdu) -> ResponseApdu {
        let card = self.answers.get(usize::from(self.inserted));
        let data = match (command.ins, card) {
            // No directory: the terminal asks for its own applications; there is no second one.
            (0xA4, _) if command.data.starts_with(b"1PAY") || command.p2 == 0x02 => return status(0x6A82),
            (0xA4, Some(card)) => card.fci.clone(),
            (0xA8, _) => self.options.clone(),
            (0xB2, Some(card)) => card.record.clone(),
            (0xAE, _) => self.cryptogram(command.p1),
            _ => Vec::new(),
        };
        ResponseApdu { data, status: StatusWord(0x9000) }
    }

    /// GENERATE AC, format 1. EMV 4.4 Book 3 §6.5.5: CID, ATC, cryptogram, issuer data.
    fn cryptogram(&mut self, asked: u8) -> Vec<u8> {
        self.cryptograms = self.cryptograms.saturating_add(1);
        let first = self.cryptograms == 1;
        if first && let Some(counter) = self.counters.get_mut(usize::from(self.inserted)) {
            *counter = counter.wrapping_add(1);
        }
        let kind = match (self.temper, first, asked & 0xC0) {
            (Temper::DeclinesAtOnce, true, _) | (_, _, 0x00) => 0x00,
            (Temper::DeclinesAfterApproval, false, _) => 0x00,
            (Temper::ApprovesAlone, true, 0x40) | (_, false, 0x40) => 0x40,
            (_, true, _) => 0x80,
            (_, false, _) => 0x00,
        };
        self.said_tc = kind == 0x40;
        let [high, low] =
            self.counters.get(usize::from(self.inserted)).copied().unwrap_or_default().to_be_bytes();
        let mut data = vec![0x80, 0x12, kind, high, low];
        data.extend([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, kind]);
        data.extend([0x07, 0x01, 0x01, 0x03, 0xA0, 0x00, 0x00]);
        data
    }
}

/// An answer without data.
#[must_use]
pub const fn status(word: u16) -> ResponseApdu {
    ResponseApdu { data: Vec::new(), status: StatusWord(word) }
}

/// The applications and limits of the world's terminal. `None` if the constants of this file are wrong.
#[must_use]
pub fn config() -> Option<EmvConfig> {
    let entry = AidEntry {
        version: [0x00, 0x20],
        tac_default: [0; 5],
        tac_online: [0, 0, 0, 0x80, 0],
        tac_denial: [0; 5],
        ..application(&AID_TERMINAL)?
    };
    let terminal =
        TerminalData { capabilities: [0x20, 0x68, 0x00], merchant_name: b"WORLD".to_vec(), ..shop() };
    Some(EmvConfig { terminal, aids: vec![entry], capks: [].into(), revoked: [].into() })
}

/// Who the shop is on the wire. `None` as [`config`].
#[must_use]
pub fn identity() -> Option<crate::domain::unionpay::Identity> {
    Some(crate::domain::unionpay::Identity {
        terminal_id: TerminalId::new(TERMINAL_ID).ok()?,
        merchant_id: MerchantId::new(MERCHANT_ID).ok()?,
        tpdu: [0x60, 0, 1, 0, 0],
        header: [0x60, 0x31, 0, 0x31, 0, 0],
        profile: crate::domain::profile::Profile::unionpay(),
    })
}

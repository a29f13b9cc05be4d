//! posd's kernel before a card of the table.
use super::table::{Bank, Row};
use super::{Seen, hex, shown};
use posd::domain::calendar::LocalTime;
use posd::domain::emv::apdu::{CommandApdu, ResponseApdu};
use posd::domain::emv::kernel::{HostAnswer, Verdict};
use posd::domain::emv::params::{Aid, AidEntry, EmvConfig, Purpose, TerminalData, TxnParams};
use posd::domain::emv::tlv::{Tag, TagStore};
use posd::domain::money::{Amount, Currency};
use posd::sim::card::{Card, test_capk};
use posd::sim::conversation::{Chip, End, Holder, exchange, hold};

/// A card that keeps the commands it was given.
pub(super) struct Watched {
    pub(super) card: Card,
    pub(super) commands: Vec<String>,
}

impl Watched {
    pub(super) fn new(row: &Row) -> Self {
        let mut card = Card::new(row.profile());
        row.faults.iter().for_each(|fault| card.add_fault(fault.parse().unwrap()));
        card.inserted();
        Self { card, commands: Vec::new() }
    }

    /// What the bank of this row answers; both terminals are told the same.
    pub(super) fn bank(&self, bank: Bank) -> HostAnswer {
        let approved = !matches!(bank, Bank::Declines);
        let response_code = if approved { *b"00" } else { *b"05" };
        let mut answer = self.card.issuer_answer(response_code).expect("an ARQC");
        if matches!(bank, Bank::Forged) {
            answer[0] ^= 1;
        }
        let command = |before: bool| {
            let (template, id) = if before { (0x71, 1) } else { (0x72, 2) };
            vec![template, 18, 0x9F, 0x18, 4, 0, 0, 0, id, 0x86, 9, 0x04, 0xDA, 0x9F, 0x58, 4, 1, 2, 3, 4]
        };
        let scripts =
            if matches!(bank, Bank::Scripts) { vec![command(true), command(false)] } else { Vec::new() };
        match bank {
            Bank::Unreachable => HostAnswer::Unable,
            _ => HostAnswer::Answered {
                approved,
                response_code,
                issuer_authentication: Some(answer.to_vec()),
                scripts,
            },
        }
    }
}

impl Chip for Watched {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        self.commands.push(shown(command));
        exchange(&mut self.card, command)
    }
}

pub(super) fn config(row: &Row) -> EmvConfig {
    let entry = |rid: &[u8]| AidEntry {
        aid: Aid::new(rid).unwrap(),
        partial_match: true,
        version: [0x00, 0x30],
        tac_default: row.tac_default,
        tac_online: row.tac_online,
        tac_denial: [0x00, 0x10, 0x00, 0x00, 0x00],
        floor_limit: row.floor,
        random_threshold: 0,
        random_max_percent: row.percent,
        random_target_percent: row.percent,
        default_ddol: vec![0x9F, 0x37, 0x04],
        online_pin: true,
    };
    EmvConfig {
        terminal: TerminalData {
            country_code: [0x01, 0x56],
            terminal_type: 0x22,
            capabilities: row.capabilities,
            additional_capabilities: [0x60, 0x00, 0xF0, 0xA0, 0x01],
            merchant_category_code: [0x54, 0x11],
            ifd_serial: *b"POSD0001",
            terminal_id: *b"12345678",
            merchant_id: *b"102290054110001",
            merchant_name: b"POSD TEST".to_vec(),
        },
        aids: vec![entry(&[0xA0, 0, 0, 0x03, 0x33]), entry(&[0xA0, 0, 0, 0, 0x03])],
        capks: vec![test_capk([0xA0, 0, 0, 0x03, 0x33]), test_capk([0xA0, 0, 0, 0, 0x03])],
    }
}

pub(super) fn params(row: &Row) -> TxnParams {
    TxnParams {
        amount: Amount::from_minor(1234).unwrap(),
        amount_other: Amount::ZERO,
        currency: Currency::CNY,
        transaction_type: 0,
        now: LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 30, second: 0 },
        unpredictable_number: [1, 2, 3, 4],
        sequence_counter: 7,
        selection_roll: row.roll,
        purpose: Purpose::Pay,
    }
}

pub(super) fn run(row: &Row) -> Seen {
    let mut watched = Watched::new(row);
    let holder = Holder { choice: row.choice, pin: row.pin.map(str::to_owned) };
    let end = hold(&config(row), &params(row), &mut watched, &holder, |watched| watched.bank(row.bank));
    let (word, tags) = match end {
        End::Concluded(conclusion) => {
            let word = match conclusion.verdict {
                Verdict::Approved => "approved",
                Verdict::NotAccepted | Verdict::Blocked => "terminated",
                _ => "declined",
            };
            (word, conclusion.card.map(|card| card.tags).unwrap_or_default())
        }
        End::Broken(error) => {
            eprintln!("{}: {error}", row.name);
            ("error", TagStore::default())
        }
        End::Gone => ("error", TagStore::default()),
        End::Endless => panic!("{}: no end", row.name),
    };
    let value = |tag| tags.value(tag).map_or_else(|| "-".to_owned(), hex);
    Seen {
        word: word.to_owned(),
        commands: watched.commands,
        tvr: value(Tag::TVR),
        tsi: value(Tag::TSI),
        cvm: value(Tag::CVM_RESULTS),
        cid: value(Tag::CID),
    }
}

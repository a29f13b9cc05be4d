//! posd's kernel before a card of the table.
use super::table::{Bank, Row};
use super::{Seen, hex, shown};
use posd::domain::emv::apdu::{CommandApdu, ResponseApdu};
use posd::domain::emv::kernel::{HostAnswer, Verdict};
use posd::domain::emv::params::{EmvConfig, TxnParams};
use posd::domain::emv::tlv::{Tag, TagStore};
use posd::sim::card::Card;
use posd::sim::conversation::{self, Chip, End, Holder, exchange, hold};

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
    let mut config = conversation::terminal();
    config.terminal.capabilities = row.capabilities;
    for entry in &mut config.aids {
        (entry.tac_default, entry.tac_online) = (row.tac_default, row.tac_online);
        entry.floor_limit = row.floor;
        (entry.random_max_percent, entry.random_target_percent) = (row.percent, row.percent);
    }
    config
}

pub(super) fn params(row: &Row) -> TxnParams {
    TxnParams { selection_roll: row.roll, ..conversation::purchase() }
}

pub(super) fn run(row: &Row) -> Seen {
    let mut watched = Watched::new(row);
    let holder = Holder { choice: row.choice, pin: row.pin.map(str::to_owned) };
    let end = hold(&config(row), &params(row), &mut watched, &holder, |watched, _| watched.bank(row.bank));
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

//! The same simulated cards before posd's kernel and before another terminal: the crate `emv` 0.1.1, a package of its
//! own in `tests/tools/emv-terminal`. Commands, verdict, TVR, TSI, CVM results and CID are compared; so both the card
//! and the kernel are judged by somebody else.
//!
//! Where they differ, the table names the field and the reason: nothing else may differ, and what is named must. Where
//! the other terminal cannot be built (no network, a compiler before 1.95) the test says so and passes.
mod other;
mod ours;
mod table;

use posd::domain::emv::apdu::CommandApdu;
use std::fmt::Write as _;
use table::{ALWAYS, BLANK, ROWS, Reason, Row};

/// What a terminal did with a card.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// `approved`, `declined`, `terminated` (no application) or `error`.
    word: String,
    /// The commands in hex, in order.
    commands: Vec<String>,
    /// Tags 95, 9B, 9F34 and 9F27 in hex; `-` where there is none.
    tvr: String,
    tsi: String,
    cvm: String,
    cid: String,
}

impl Seen {
    fn fields(&self) -> [(&'static str, String); 6] {
        [
            ("end", self.word.clone()),
            ("commands", self.commands.join(" ")),
            ("tvr", self.tvr.clone()),
            ("tsi", self.tsi.clone()),
            ("cvm", self.cvm.clone()),
            ("cid", self.cid.clone()),
        ]
    }

    /// Without what the two do differently with any card: [`ALWAYS`] and [`BLANK`].
    fn without_customs(mut self, row: &Row) -> Self {
        let custom = |command: &String| ALWAYS.iter().any(|(begins, _)| command.starts_with(begins));
        self.commands.retain(|command| !custom(command));
        // The padding of an enciphered PIN is random.
        for verify in self.commands.iter_mut().filter(|command| command.starts_with("00200088")) {
            verify.truncate(10);
        }
        let second = self.commands.iter_mut().filter(|command| command.starts_with("80AE")).nth(1);
        if let Some(second) = second {
            let from_bank = 2 * row.bytes_from_bank();
            second.replace_range(10..10 + from_bank, &".".repeat(from_bank));
        }
        self
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A command as it is compared: without the expected length, which says nothing in the short form.
fn shown(command: &CommandApdu) -> String {
    let mut command = command.clone();
    command.le = None;
    hex(&command.bytes().unwrap())
}

/// What differs, by the name of the field, with both sides.
fn differences(ours: &Seen, theirs: &Seen) -> Vec<(&'static str, String)> {
    let pairs = ours.fields().into_iter().zip(theirs.fields());
    let from_the_first = |ours: &str, theirs: &str| {
        let same = ours.split(' ').zip(theirs.split(' ')).take_while(|(a, b)| a == b).count();
        let rest = |all: &str| all.split(' ').skip(same).collect::<Vec<_>>().join(" ");
        format!("posd {}\n    emv  {}", rest(ours), rest(theirs))
    };
    pairs
        .filter(|((_, ours), (_, theirs))| ours != theirs)
        .map(|((field, ours), (_, theirs))| (field, from_the_first(&ours, &theirs)))
        .collect()
}

/// Every card of the table, before both terminals.
#[test]
fn two_terminals_see_the_same_in_every_card() {
    let terminal = match other::build() {
        Ok(terminal) => terminal,
        Err(reason) => {
            println!("skipped: the second terminal cannot be built here: {reason}");
            return;
        }
    };
    let mut report = String::new();
    for row in ROWS {
        let ours = ours::run(row).without_customs(row);
        let theirs = other::run(&terminal, row).without_customs(row);
        let found = differences(&ours, &theirs);
        let named: Vec<&str> = row.differs.iter().map(|(field, _)| *field).collect();
        if found.iter().map(|(field, _)| *field).collect::<Vec<_>>() != named {
            writeln!(report, "{}: differs in other fields than {named:?}", row.name).unwrap();
            for (field, both) in found {
                writeln!(report, "  {field}\n    {both}").unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

/// The table is wide enough, and no reason stands in it that no card shows.
#[test]
fn every_reason_has_a_card() {
    assert!(ROWS.len() >= 30);
    assert!(ALWAYS.iter().chain(BLANK).all(|(_, reason)| !reason.is_empty()));
    for reason in Reason::ALL {
        let shown = ROWS.iter().any(|row| row.differs.iter().any(|(_, because)| because == reason));
        assert!(shown, "{reason:?} explains nothing");
        assert!(!reason.text().is_empty());
    }
}

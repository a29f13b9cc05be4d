//! What the kernel costs: instructions and heap allocations of one transaction, counted by valgrind.
//!
//! `posd-sim chip` lets kernel and card talk many times. The card is recorded once and then only played back, so that
//! its signing does not count; a run with more transactions less a run with fewer leaves the kernel, and the copies of
//! the tape.
use super::super::card::{Card, Profile};
use super::super::conversation::{self, Chip, End, Holder};
use super::reader::{self, OpenReader};
use super::tell;
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu};
use crate::domain::emv::kernel::{HostAnswer, Verdict};
use std::io::{Error, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The cards that are counted with.
pub(super) const CARDS: [&str; 3] = ["dda", "cda", "unionpay"];
/// Transactions of the short and of the long run.
const RUNS: [u32; 2] = [10, 60];

/// Arguments of `posd-sim chip`.
#[derive(Clone, Debug, clap::Args)]
pub struct ChipArgs {
    /// Preset of the card
    #[arg(long)]
    card: String,
    /// How many transactions
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// One transaction with the card that is in the reader of pcscd instead
    #[arg(long)]
    reader: bool,
    /// Only wait until that reader is empty
    #[arg(long, conflicts_with = "reader")]
    empty: bool,
}

/// A conversation that was recorded: each command must be the same again.
#[derive(Default)]
struct Tape {
    answers: Vec<(Vec<u8>, ResponseApdu)>,
    at: usize,
}

impl Chip for Tape {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        let (known, answer) = self.answers.get(self.at)?;
        self.at = self.at.saturating_add(1);
        (known.as_slice() == command.bytes().ok()?).then(|| answer.clone())
    }
}

/// A card that is being recorded.
struct Recorder {
    card: Card,
    tape: Tape,
}

impl Chip for Recorder {
    fn answer(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        let answer = self.card.answer(command)?;
        self.tape.answers.push((command.bytes().ok()?, answer.clone()));
        Some(answer)
    }
}

/// Plays the transactions. Each must be approved.
#[must_use]
pub fn chip(args: &ChipArgs, open_reader: OpenReader) -> ExitCode {
    let done = match (args.reader, args.empty) {
        (true, _) => reader::pay(open_reader),
        (false, true) => reader::wait_until_empty(open_reader),
        (false, false) => play(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "posd-sim chip: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn play(args: &ChipArgs) -> Result<(), Error> {
    let card = Card::new(Profile::preset(&args.card).map_err(Error::other)?);
    let mut recorder = Recorder { card, tape: Tape::default() };
    let answer = |issuer: Option<[u8; 10]>| HostAnswer::Answered {
        approved: true,
        response_code: *b"00",
        issuer_authentication: issuer.map(Vec::from),
        scripts: Vec::new(),
    };
    let mut issuer = None;
    let (config, params) = (conversation::terminal(), conversation::purchase());
    let holder = Holder { choice: 0, pin: Some("1234".to_owned()) };
    let recorded = conversation::hold(&config, &params, &mut recorder, &holder, |recorder, _| {
        issuer = recorder.card.issuer_answer(*b"00");
        answer(issuer)
    });
    approved(&recorded)?;
    let mut tape = recorder.tape;
    for _ in 0..args.count {
        tape.at = 0;
        approved(&conversation::hold(&config, &params, &mut tape, &holder, |_, _| answer(issuer)))?;
    }
    Ok(())
}

fn approved(end: &End) -> Result<(), Error> {
    match end {
        End::Concluded(conclusion) if conclusion.verdict == Verdict::Approved => Ok(()),
        End::Concluded(conclusion) => Err(Error::other(format!("{:?}", conclusion.verdict))),
        end => Err(Error::other(format!("{end:?}"))),
    }
}

/// What one transaction costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) instructions: u64,
    pub(super) allocations: u64,
}

/// Counts each card of [`CARDS`]; nothing where there is no valgrind.
pub(super) fn measure(program: &Path) -> Result<Vec<(&'static str, Cost)>, Error> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        tell("no valgrind: instructions and allocations of the kernel are not counted");
        return Ok(Vec::new());
    }
    CARDS.into_iter().map(|card| Ok((card, cost(program, card)?))).collect()
}

fn cost(program: &Path, card: &str) -> Result<Cost, Error> {
    let per_transaction = |options: &[&str], begins: &str| -> Result<u64, Error> {
        let [few, many] = RUNS;
        let less = counted(program, card, few, options, begins)?;
        let more = counted(program, card, many, options, begins)?;
        Ok(more.saturating_sub(less) / u64::from(many.saturating_sub(few).max(1)))
    };
    Ok(Cost {
        instructions: per_transaction(
            &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
            "Collected :",
        )?,
        allocations: per_transaction(&["--tool=memcheck", "--leak-check=no"], "total heap usage:")?,
    })
}

/// Runs it under valgrind and reads the first number behind a text of its report.
fn counted(program: &Path, card: &str, count: u32, options: &[&str], begins: &str) -> Result<u64, Error> {
    let output = Command::new("valgrind")
        .args(options)
        .arg(program)
        .args(["chip", "--card", card, "--count", &count.to_string()])
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    number_behind(&report, begins)
        .filter(|_| output.status.success())
        .ok_or_else(|| Error::other(format!("valgrind did not count {card}: {}", report.trim())))
}

/// `total heap usage: 1,234 allocs` is 1234.
fn number_behind(report: &str, begins: &str) -> Option<u64> {
    let (_, rest) = report.split_once(begins)?;
    let digits: String = rest
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_valgrind_are_read() {
        let report = "==1== Collected : 1234567\n==2==   total heap usage: 1,234 allocs, 99 frees";
        assert_eq!(number_behind(report, "Collected :"), Some(1_234_567));
        assert_eq!(number_behind(report, "total heap usage:"), Some(1234));
        assert_eq!(number_behind(report, "no such"), None);
    }

    /// Every card that is counted with is approved, recorded and played back.
    #[test]
    fn the_counted_cards_are_approved() {
        for card in CARDS {
            play(&ChipArgs { card: card.to_owned(), count: 2, reader: false, empty: false }).unwrap();
        }
    }
}

//! `Maintenance.Report`: one tar of plain files for support. It holds what the bus shows anyway, the configuration, the
//! last transactions masked, and what the machine is; no key, no password, no whole card number. Every run of digits
//! that is long enough for a card number loses its middle, whatever it is.
use super::Engine;
use super::Note;
use super::journal_thread::{JournalDoor, read_fault};
use super::upkeep::Work;
use super::view::Snapshot;
use crate::domain::calendar::WallTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::guard::Fact;
use crate::domain::mask;
use crate::domain::record::{TimelineRow, TxnFilter, TxnRow};
use crate::domain::tar;
use crate::ports::{BackupFacts, Journal, JournalError, Surveyor};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Transactions that are told of.
const TRANSACTIONS: u32 = 50;
/// Folder of the files in the archive.
const FOLDER: &str = "posd-report";

const README: &str = "\
A report of posd, the payment-terminal daemon, for support.

versions.txt       what is installed
state.txt          what the terminal says of itself
configuration.toml the values in use
security.txt       what is met of what a bank asks for
queue.txt          what is owed to the bank
statistics.txt     counts of the devices
transactions.txt   the last transactions and their timelines
machine/           the operating system

There is no key, password, PIN or whole card number in it: of every run of 13 and more digits only the first six and
the last four are here. Times are UTC.
";

/// A report that is to be written.
pub(super) struct Draft {
    target: OwnedFd,
    files: Vec<(String, String)>,
    facts: Vec<Fact>,
    surveyor: Arc<dyn Surveyor>,
    at: WallTime,
}

impl Engine {
    /// Gathers what is known at once; the rest is read on the thread that writes.
    pub(super) fn report(&mut self, target: OwnedFd) -> Result<u64, Fault> {
        let snapshot = self.snapshot();
        let file = |name: &str, text: String| (name.to_owned(), text);
        let files = vec![
            file("README.txt", README.to_owned()),
            file("versions.txt", self.versions()),
            file("state.txt", state(&snapshot)),
            file("configuration.toml", self.configuration_text()),
            file("queue.txt", queue(&snapshot)),
            file("statistics.txt", statistics(&snapshot)),
        ];
        let (surveyor, facts) = (Arc::clone(&self.health.checks.surveyor), self.security_facts());
        let draft = Draft { target, files, facts, surveyor, at: self.wall() };
        self.move_aside("report", Work::Report(Box::new(draft)))
    }

    fn versions(&self) -> String {
        let profile = &self.settings.identity.profile.name;
        let parameters = self.downloads.tables.version();
        format!("posd {}\nprofile {profile}\nparameters {parameters}\n", env!("CARGO_PKG_VERSION"))
    }

    /// As `posd.toml` would say it.
    fn configuration_text(&self) -> String {
        let (mut text, mut table) = (String::new(), String::new());
        for (name, value) in self.health.config.all() {
            let Some((of, key)) = name.split_once('.') else { continue };
            if of != table {
                text.push_str(&format!("[{of}]\n"));
                of.clone_into(&mut table);
            }
            text.push_str(&format!("{key} = {value}\n"));
        }
        text
    }
}

/// One `name value` a line; what cannot be written to a text cannot fail.
fn lines<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    rows.into_iter().map(|(name, value)| format!("{name} {value}\n")).collect()
}

fn state(snapshot: &Snapshot) -> String {
    let (terminal, host, ledger) = (&snapshot.terminal, &snapshot.host, &snapshot.ledger);
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    lines([
        ("terminal-id", terminal.terminal_id.clone()),
        ("state", terminal.state.word().to_owned()),
        ("reasons", terminal.reasons.join(" ")),
        ("blocked", pairs(&terminal.blocked)),
        ("update-blockers", terminal.update_blockers.join(" ")),
        ("clock-trusted", terminal.clock_trusted.to_string()),
        ("operator", snapshot.operators.current.clone()),
        ("role", snapshot.operators.role.word().to_owned()),
        ("locked-out", snapshot.operators.locked_out.join(" ")),
        ("signed-on", host.signed_on.to_string()),
        ("reachable", host.reachable.to_owned()),
        ("key-check-values", pairs(&host.key_check_values)),
        ("last-exchange", time(host.last_exchange)),
        ("certificate-until", time(host.certificate_until)),
        ("batch", format!("{} {}", ledger.batch, ledger.batch_state.word())),
        ("batch-opened-at", time(ledger.batch_opened_at)),
    ]) + &snapshot
        .links
        .iter()
        .map(|link| {
            let reason = link.reason.map_or("", |reason| reason.word());
            format!("link {} {} {reason}\n", link.facts.name, link.facts.state.word())
        })
        .collect::<String>()
}

fn queue(snapshot: &Snapshot) -> String {
    let queue = &snapshot.queue;
    let mut text = lines([
        ("paused", queue.paused.clone().unwrap_or_default()),
        ("last-error", queue.last_error.clone()),
        ("next-attempt", time(queue.next_attempt)),
        ("stored-amount", queue.stored_amount.to_string()),
    ]);
    for row in queue.rows.iter() {
        let (kind, state) = (row.id.entry_type.word(), row.state.word());
        let (created, minor) = (time(row.created_at), row.amount.minor());
        let _whole = writeln!(
            text,
            "{created} {kind} {state} batch {} trace {} amount {minor} attempts {} {}",
            row.batch, row.trace, row.attempts, row.last_error
        );
    }
    text
}

fn statistics(snapshot: &Snapshot) -> String {
    let counts = |counts: &[(String, u64)]| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let readers = snapshot.readers.iter().map(|reader| {
        let (name, told) = (&reader.status.name, counts(&reader.statistics));
        format!("reader {name}: {} {} {told}\n", reader.state, reader.status.reasons.join(" "))
    });
    let printer = snapshot.printer.iter().map(|printer| {
        let (status, told) = (&printer.status, counts(&printer.statistics));
        let seen = format!("online {} paper {} cover {}", status.online, status.paper, status.cover);
        format!("printer {} {}: {seen} evidence {} {told}\n", status.model, status.device, status.evidence)
    });
    let kinds = snapshot.ledger.counts.iter().map(|(kind, count)| format!("batch {kind} {count}\n"));
    readers.chain(printer).chain(kinds).collect()
}

impl Draft {
    /// Reads the rest and lays out the archive, masked; and where it is to go. Runs on a thread of its own.
    pub(super) fn finish(
        mut self,
        door: &JournalDoor<Note>,
    ) -> Result<(OwnedFd, Vec<u8>, BackupFacts), Fault> {
        let recent = door.ask(|journal| recent(journal))?.map_err(|error| read_fault(&error))?;
        self.files.push(("transactions.txt".to_owned(), transactions(&recent)));
        self.facts.extend(self.surveyor.security());
        self.facts.sort_by_key(|fact| fact.guard);
        let told = |fact: &Fact| {
            let word = if fact.ok { "ok" } else { "NOT" };
            format!("{} {} {word}: {}\n", fact.guard.level(), fact.guard, fact.evidence)
        };
        self.files.push(("security.txt".to_owned(), self.facts.iter().map(told).collect()));
        let machine = self.surveyor.machine().into_iter();
        self.files.extend(machine.map(|(name, text)| (format!("machine/{name}"), text)));
        let masked =
            |(name, text): &(String, String)| (format!("{FOLDER}/{name}"), mask::grouped(text).into_bytes());
        let files: Vec<(String, Vec<u8>)> = self.files.iter().map(masked).collect();
        let bytes = tar::archive(&files, self.at.0 / 1_000_000);
        let digest = Sha256::digest(&bytes);
        let facts = BackupFacts {
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            transactions: u64::try_from(recent.len()).unwrap_or(u64::MAX),
            newest_transaction: recent.first().map(|(row, _)| row.start.created_at).unwrap_or_default(),
        };
        Ok((self.target, bytes, facts))
    }
}

type Told = Vec<(TxnRow, Vec<TimelineRow>)>;

fn recent(journal: &mut dyn Journal) -> Result<Told, JournalError> {
    let (rows, _) = journal.query(&TxnFilter::default(), TRANSACTIONS, "")?;
    let with_timeline = |row: TxnRow| journal.timeline(&row.start.id).map(|timeline| (row, timeline));
    rows.into_iter().map(with_timeline).collect()
}

fn transactions(told: &[(TxnRow, Vec<TimelineRow>)]) -> String {
    let mut text = String::new();
    for (row, timeline) in told {
        let start = &row.start;
        let stan = row.stan.map_or_else(|| "-".to_owned(), |stan| stan.to_string());
        let code = row.host.response_code.as_ref().map(ToString::to_string).unwrap_or_default();
        let result = row.result.map_or("", |result| result.word());
        let _whole = writeln!(
            text,
            "{} {} batch {} trace {stan} amount {} card {} operator {}: {} {result} {code}",
            time(start.created_at),
            start.kind,
            row.batch,
            start.amount.minor(),
            row.masked_pan,
            start.operator,
            row.outcome,
        );
        for line in timeline {
            let _whole = writeln!(text, "    {} {} {}", time(line.at), line.what, line.text);
        }
    }
    text
}

/// A point in time as people read it, UTC; empty for never.
fn time(at: WallTime) -> String {
    if at.0 == 0 {
        return String::new();
    }
    let seconds = at.0 / 1_000_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date by the rule of the Gregorian calendar, whose period is 146,097 days.
    let shifted = days.saturating_add(719_468);
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = of_era
        .saturating_sub(of_era / 1_460)
        .saturating_add(of_era / 36_524)
        .saturating_sub(of_era / 146_096)
        / 365;
    let of_year = of_era.saturating_sub(365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era.saturating_mul(400).saturating_add(year).saturating_add(carry);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// What a draft that cannot be written means.
pub(super) fn not_written(error: &std::io::Error) -> Fault {
    Fault::new(FaultName::StorageFault, format!("the report cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: dates are right at both ends of months and years, leap years too.
    #[test]
    fn times_are_readable() {
        assert_eq!(time(WallTime(0)), "");
        assert_eq!(time(WallTime(1_795_309_507_000_000)), "2026-11-22T01:05:07Z");
        assert_eq!(time(WallTime(1_709_164_800_000_000)), "2024-02-29T00:00:00Z");
        assert_eq!(time(WallTime(1_735_689_599_999_999)), "2024-12-31T23:59:59Z");
    }
}

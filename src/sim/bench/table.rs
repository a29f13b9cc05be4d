//! The table: what was measured, in words and as JSON. It computes nothing but quotients.
use super::chip::Cost;
use super::codec::Codecs;
use super::kinds::Kinds;
use super::ledger::{Ledgers, Pair, SIZES};
use super::machine::Memory;
use super::reader::Turns;
use super::service::Service;
use super::slips::Slips;
use super::stored::{ANSWER_MS, ROWS, Stored, UPLOADS};
use super::worlds::Worlds;
use super::{Commits, READ_ROUNDS, READS, Syncs, Work};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Everything that goes into the table.
pub(super) struct Table {
    pub(super) machine: String,
    pub(super) file_system: String,
    pub(super) build: String,
    pub(super) sales: u32,
    pub(super) load_before: String,
    pub(super) load_after: String,
    pub(super) syncs: Syncs,
    pub(super) kinds: Kinds,
    pub(super) codecs: Option<Codecs>,
    pub(super) slips: Option<Slips>,
    pub(super) chips: Vec<(&'static str, Cost)>,
    pub(super) turns: Option<Turns>,
    pub(super) commits: Commits,
    pub(super) ledgers: Ledgers,
    pub(super) work: Work,
    pub(super) stored: Stored,
    pub(super) worlds: Worlds,
    pub(super) service: Service,
}

impl Table {
    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(
            "# Measured\n\nMade by `make bench`. Counts and ratios carry over to other machines; times do not.\n\n\
             | what | target | measured |\n|---|---|---|\n",
        );
        for [what, target, measured] in self.rows() {
            // A string takes everything.
            writeln!(text, "| {what} | {target} | {measured} |").ok();
        }
        writeln!(
            text,
            "\nposd {} ({}), {} chip sales with online PIN and two plies each; card, reader, bank and printer are \
             simulated. {}; disk {}. Load average {} at the start, {} at the end.",
            env!("CARGO_PKG_VERSION"),
            self.build,
            self.sales,
            self.machine,
            self.file_system,
            self.load_before,
            self.load_after,
        )
        .ok();
        text
    }

    fn rows(&self) -> Vec<[String; 3]> {
        let codecs = self.codecs.as_ref().map(Codecs::rows).unwrap_or_default();
        [
            self.sync_rows(),
            self.journal_rows(),
            self.stored_rows(),
            self.chip_rows(),
            codecs,
            self.slips.as_ref().map(Slips::rows).unwrap_or_default(),
            self.daemon_rows(),
            self.service_rows(),
        ]
        .concat()
    }

    fn chip_rows(&self) -> Vec<[String; 3]> {
        let cost = |(card, cost): &(&str, Cost)| {
            row(
                &format!("one transaction inside the kernel, card `{card}` (recorded), by valgrind"),
                "",
                format!("{} instructions, {} heap allocations", cost.instructions, cost.allocations),
            )
        };
        let turn = |Turns { ours: (own, time), theirs: (other, against), between: (low, high) }: &Turns| {
            row(
                "one conversation over pcscd with the same CDA card, first to last command as the card sees it, \
                 medians, against the test terminal of the crate `emv`",
                "not slower",
                format!(
                    "{:.2} times ({} for {own} commands against {} for {other}); the middle of pairs of turns is \
                     between {low:.2} and {high:.2} with 95 %",
                    us(*time) / us(*against),
                    micros(*time),
                    micros(*against),
                ),
            )
        };
        self.chips.iter().map(cost).chain(self.turns.iter().map(turn)).collect()
    }

    fn sync_rows(&self) -> Vec<[String; 3]> {
        let kind = |(deed, counts): &(&'static str, Vec<usize>)| {
            row(&format!("… per {deed}, median of {}", counts.len()), "", spread(counts))
        };
        let sales = [
            row(
                "`fdatasync` per sale, counted by strace, median; more in the one sale of many whose commit also \
                 writes the log back",
                "at most 3",
                spread(&self.syncs.fdatasync),
            ),
            row("all syncing calls per sale, median", "", spread(&self.syncs.all)),
        ];
        let others = self.kinds.iter().filter(|(deed, _)| *deed != "sale").map(kind);
        sales.into_iter().chain(others).collect()
    }

    fn journal_rows(&self) -> Vec<[String; 3]> {
        let commits = &self.commits;
        vec![
            row(
                "full commit of a Sending record against a plain write of as many bytes with `fdatasync`",
                "",
                format!(
                    "{:.2} times ({} against {}, {} bytes)",
                    commits.ratio,
                    micros(commits.commit),
                    micros(commits.plain),
                    commits.bytes
                ),
            ),
            row(&larger("a page of 50 rows"), "at most 2", pair(&self.ledgers.page)),
            row(&larger("such a page of one kind and outcome"), "at most 2", pair(&self.ledgers.narrowed)),
            row(&larger("totals of one batch"), "at most 2", pair(&self.ledgers.totals)),
        ]
    }

    fn stored_rows(&self) -> Vec<[String; 3]> {
        let (stored, worlds) = (&self.stored, &self.worlds);
        vec![
            row(
                &format!(
                    "{UPLOADS} stored sales uploaded to a bank that answers after {ANSWER_MS} ms: rate against one \
                     after the other without any time of the terminal's own"
                ),
                "at least 0.9",
                format!("{:.2} times (all in {:.1} s)", stored.rate(), stored.drained.as_secs_f64()),
            ),
            row(
                &format!("settlement of {ROWS} rows: own time beside the bank's"),
                "",
                format!(
                    "{:.0} ms in {:.0} ms, {} requests: {:.1} ms for each",
                    millis(stored.own()),
                    millis(stored.settled),
                    stored.requests,
                    millis(stored.own()) / f64::from(stored.requests)
                ),
            ),
            row(
                "simulated whole transactions of seeded days with faults, in one second of one core",
                "at least 50,000",
                format!("{:.0}", worlds.rate()),
            ),
            row(
                "worlds with up to two faults, all of them in every `make test`",
                "",
                format!("{} ({:.1} s of one core)", worlds.worlds, worlds.worlds_cpu.as_secs_f64()),
            ),
        ]
    }

    fn daemon_rows(&self) -> Vec<[String; 3]> {
        let work = &self.work;
        vec![
            row(
                "D-Bus read of Manager.State against Peer.Ping",
                "at most 1.3",
                format!(
                    "{:.2} times ({} against {}, {READ_ROUNDS} rounds of {READS})",
                    work.ratio,
                    micros(work.read),
                    micros(work.ping)
                ),
            ),
            row(
                "CPU time of posd per sale, mean: utime + stime of the process, so all waits are out",
                "",
                format!(
                    "{:.1} ms (user {:.1}, system {:.1})",
                    self.per_sale(work.cpu.both()),
                    self.per_sale(work.cpu.user),
                    self.per_sale(work.cpu.system)
                ),
            ),
            row(
                "a whole sale on the wall, simulated card, bank and printer included",
                "",
                format!("{:.0} ms", millis(work.wall)),
            ),
            row("resident memory before the first sale", "", memory(work.before)),
            row(&format!("resident memory after {} sales", self.sales), "", memory(work.after)),
        ]
    }

    fn service_rows(&self) -> Vec<[String; 3]> {
        let service = &self.service;
        vec![
            row(
                "from its start to READY, against a service that only takes a name on the bus, medians, turn by turn",
                "at most 3",
                format!(
                    "{:.2} times ({:.1} ms against {:.1} ms)",
                    us(service.own) / us(service.bare),
                    millis(service.own),
                    millis(service.bare)
                ),
            ),
            row(
                &format!(
                    "wakings of all its threads in {} s without anything to do",
                    Service::IDLE_FOR.as_secs()
                ),
                "none beyond the watchdog",
                service.wakings.to_string(),
            ),
        ]
    }

    /// The same as JSON: plain numbers, times in microseconds, memory in KiB.
    pub(super) fn json(&self) -> String {
        let (commits, work) = (&self.commits, &self.work);
        let memory = |Memory { resident, anonymous, peak }: Memory| -> Value {
            json!({ "resident": resident, "anonymous": anonymous, "peak": peak })
        };
        let document: Value = json!({
            "machine": self.machine,
            "file-system": self.file_system,
            "build": self.build,
            "load": [self.load_before, self.load_after],
            "sales": self.sales,
            "fdatasync": self.syncs.fdatasync,
            "syncs": self.syncs.all,
            "fdatasync-by-kind": self.kinds.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "kernel": self.chips.iter().map(|(card, cost)| {
                let counts = json!({ "instructions": cost.instructions, "allocations": cost.allocations });
                ((*card).to_owned(), counts)
            }).collect::<serde_json::Map<_, _>>(),
            "slips": self.slips.as_ref().map(Slips::rows),
            "codec": self.codecs.as_ref().map(|codecs| &codecs.document),
            "pcscd": self.turns.as_ref().map(|turns| json!({
                "own-us": us(turns.ours.1), "own-commands": turns.ours.0,
                "emv-us": us(turns.theirs.1), "emv-commands": turns.theirs.0,
            })),
            "commit": {
                "ratio": commits.ratio,
                "commit-us": us(commits.commit),
                "plain-us": us(commits.plain),
                "bytes": commits.bytes,
            },
            "ledger": {
                "page": pair_json(&self.ledgers.page),
                "page-narrowed": pair_json(&self.ledgers.narrowed),
                "batch-totals": pair_json(&self.ledgers.totals),
            },
            "stored": {
                "upload-rate": self.stored.rate(),
                "upload-us": us(self.stored.drained),
                "settlement-us": us(self.stored.settled),
                "settlement-own-us": us(self.stored.own()),
                "settlement-requests": self.stored.requests,
            },
            "worlds": {
                "transactions-per-core-second": self.worlds.rate(),
                "worlds": self.worlds.worlds,
                "worlds-us": us(self.worlds.worlds_cpu),
            },
            "service": {
                "start-us": us(self.service.own),
                "bare-start-us": us(self.service.bare),
                "idle-wakings": self.service.wakings,
            },
            "property-read": { "ratio": work.ratio, "read-us": us(work.read), "ping-us": us(work.ping) },
            "cpu-per-sale-us": {
                "user": self.per_sale(work.cpu.user) * 1e3,
                "system": self.per_sale(work.cpu.system) * 1e3,
            },
            "wall-per-sale-us": us(work.wall),
            "memory-kib": { "before": memory(work.before), "after": memory(work.after) },
        });
        format!("{document:#}")
    }

    /// Milliseconds of one sale, where the whole is of all of them.
    fn per_sale(&self, whole: Duration) -> f64 {
        millis(whole) / f64::from(self.sales)
    }
}

fn row(what: &str, target: &str, measured: String) -> [String; 3] {
    [what.to_owned(), target.to_owned(), measured]
}

fn millis(time: Duration) -> f64 {
    us(time) / 1e3
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn micros(time: Duration) -> String {
    format!("{:.0} µs", us(time))
}

fn larger(what: &str) -> String {
    let [small, large] = SIZES;
    format!("{what} in a ledger of {large} rows against one of {small}, medians")
}

fn pair(pair: &Pair) -> String {
    format!("{:.2} times ({} against {})", pair.ratio(), micros(pair.large), micros(pair.small))
}

fn pair_json(pair: &Pair) -> Value {
    json!({ "ratio": pair.ratio(), "large-us": us(pair.large), "small-us": us(pair.small) })
}

fn memory(memory: Memory) -> String {
    let mib = |kib: u64| format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024);
    format!(
        "{} MiB, of that {} MiB its own; peak {} MiB",
        mib(memory.resident),
        mib(memory.anonymous),
        mib(memory.peak)
    )
}

/// Median and range of counts that are sorted.
fn spread(sorted: &[usize]) -> String {
    let at = |position: usize| sorted.get(position).copied().unwrap_or_default();
    let last = sorted.len().saturating_sub(1);
    format!("{} (from {} to {})", at(last / 2), at(0), at(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_with_their_range() {
        assert_eq!(spread(&[2, 3, 3, 4, 9]), "3 (from 2 to 9)");
        assert_eq!(spread(&[]), "0 (from 0 to 0)");
    }

    #[test]
    fn memory_is_told_in_tenths_of_a_mebibyte() {
        let text = memory(Memory { resident: 10_752, anonymous: 512, peak: 1024 });
        assert_eq!(text, "10.5 MiB, of that 0.5 MiB its own; peak 1.0 MiB");
    }
}

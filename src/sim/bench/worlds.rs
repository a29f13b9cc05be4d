//! Worlds in memory: how many transactions a core simulates in a second, and how many worlds every test run visits.
use super::machine::Cpu;
use crate::sim::world::days;
use crate::sim::world::exhaustive::{Stage, scenarios};
use std::io::Error;
use std::time::Duration;

/// Transactions of a day, as in `make sim`.
const TRANSACTIONS: u32 = 60;
/// CPU time that is spent on days.
const ENOUGH: Duration = Duration::from_secs(4);
/// Faults in one transaction, as in `make test`.
const FAULTS: u32 = 2;

/// What was measured.
pub(super) struct Worlds {
    /// Transactions of seeded days, with faults and settlements.
    pub(super) transactions: u64,
    /// CPU time that they took.
    pub(super) cpu: Duration,
    /// Worlds of one transaction with up to two faults.
    pub(super) worlds: u64,
    /// CPU time that they took.
    pub(super) worlds_cpu: Duration,
}

/// Runs seeded days for a while, then every world. A broken rule ends it.
pub(super) fn measure() -> Result<Worlds, Error> {
    let process = std::process::id();
    let start = Cpu::of(process)?;
    let (mut transactions, mut cpu) = (0_u64, Duration::ZERO);
    for seed in 0.. {
        let day = days::run(seed, TRANSACTIONS).map_err(|failure| Error::other(failure.to_string()))?;
        transactions = transactions.saturating_add(day.transactions);
        cpu = Cpu::of(process)?.since(start).both();
        if cpu >= ENOUGH {
            break;
        }
    }
    let start = Cpu::of(process)?;
    let mut worlds = 0_u64;
    for scenario in scenarios() {
        let tried = Stage::set(scenario).and_then(|stage| stage.explore(FAULTS, &mut |_, _| {}));
        let tried = tried.map_err(|failure| Error::other(failure.to_string()))?;
        worlds = worlds.saturating_add(tried.worlds);
    }
    Ok(Worlds { transactions, cpu, worlds, worlds_cpu: Cpu::of(process)?.since(start).both() })
}

impl Worlds {
    /// Whole transactions in a second of CPU time.
    pub(super) fn rate(&self) -> f64 {
        // Far below 2^53.
        #[allow(clippy::cast_precision_loss, reason = "a count of seconds of work")]
        let transactions = self.transactions as f64;
        transactions / self.cpu.as_secs_f64()
    }
}

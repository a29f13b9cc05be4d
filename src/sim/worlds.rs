//! `posd-sim worlds`: worlds from the command line. Long seeded days, or every world of one transaction with up to two
//! faults; how many ran, how fast, and the seed of the first one that breaks a rule.
use super::world::days::{self, Told};
use super::world::exhaustive::{Stage, scenarios};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Arguments of `posd-sim worlds`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Seeds of days to run: FIRST..END, or one seed
    #[arg(long, value_name = "A..B", value_parser = seeds, required_unless_present = "exhaustive")]
    seeds: Option<(u64, u64)>,
    /// Transactions of a day
    #[arg(long, value_name = "N", default_value_t = 60)]
    transactions: u32,
    /// Shows all that happens in each day
    #[arg(long)]
    trace: bool,
    /// Instead of days: every world of each kind with up to N faults
    #[arg(long, value_name = "N")]
    exhaustive: Option<u32>,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let number = |part: &str| part.parse::<u64>().map_err(|e| format!("{part:?} is not a seed: {e}"));
    match text.split_once("..") {
        Some((first, end)) => Ok((number(first)?, number(end)?)),
        None => number(text).map(|seed| (seed, seed.saturating_add(1))),
    }
}

/// Runs them.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    match (args.exhaustive, args.seeds) {
        (Some(depth), _) => exhaustive(depth),
        (None, Some((first, end))) if args.trace => {
            for seed in first..end {
                let (ended, trace) = days::traced(seed, args.transactions);
                say(&format!(
                    "POSD_SEED={seed}\n{trace}{}",
                    ended.err().unwrap_or_else(|| "good".to_owned())
                ));
            }
            ExitCode::SUCCESS
        }
        (None, Some((first, end))) => long_days(first, end, args.transactions),
        (None, None) => ExitCode::FAILURE,
    }
}

fn long_days(first: u64, end: u64, transactions: u32) -> ExitCode {
    let begun = Instant::now();
    let mut told = Told::default();
    for seed in first..end {
        match days::run(seed, transactions) {
            Ok(day) => told.add(&day),
            Err(failure) => {
                say(&failure.to_string());
                return ExitCode::FAILURE;
            }
        }
    }
    say(&summary(&told, begun.elapsed()));
    ExitCode::SUCCESS
}

fn summary(told: &Told, took: Duration) -> String {
    let [approved, declined, cancelled, failed, unknown, reversed, stored] = told.outcomes;
    let a_second = u128::from(told.transactions).saturating_mul(1000).checked_div(took.as_millis().max(1));
    format!(
        "{} days, {} transactions, 0 mismatches\n\
         outcomes: {approved} approved, {stored} stored offline, {declined} declined, {cancelled} cancelled, \
         {failed} failed, {reversed} reversed, {unknown} unknown and written off\n\
         {} power cuts, {} commits, {} batches closed, {} of them with differences that the suspects explain\n\
         {} transactions a second on one core",
        told.days,
        told.transactions,
        told.cuts,
        told.commits,
        told.batches,
        told.disagreed,
        a_second.unwrap_or_default(),
    )
}

fn exhaustive(depth: u32) -> ExitCode {
    let begun = Instant::now();
    let mut worlds = 0_u64;
    for scenario in scenarios() {
        let name = scenario.name;
        match Stage::set(scenario).and_then(|stage| stage.explore(depth, &mut |_, _| {})) {
            Ok(tried) => {
                worlds = worlds.saturating_add(tried.worlds);
                say(&format!("{name}: {} worlds, {} with a power cut", tried.worlds, tried.cut));
            }
            Err(failure) => {
                say(&failure.to_string());
                return ExitCode::FAILURE;
            }
        }
    }
    say(&format!("{worlds} worlds in {:.1} s, 0 mismatches", begun.elapsed().as_secs_f32()));
    ExitCode::SUCCESS
}

fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

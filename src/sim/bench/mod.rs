//! `posd-sim bench`: counts and ratios of the real daemon in a simulated shop, as a table.
//!
//! It measures; it does not judge. Times depend on the machine and on what else runs on it, so wherever possible the
//! table has a count, or the ratio of two things measured in the same run. Shops are opened one after the other: in the
//! first two the daemon runs under strace and only its syncs are counted; in the others it runs alone.
mod chip;
mod codec;
mod disk;
mod kinds;
mod ledger;
mod machine;
mod reader;
mod service;
mod slips;
mod stored;
mod table;
mod till;
mod trace;
mod worlds;

pub use super::shop::STORAGE_KEY;
use super::shop::{Plan, Shop};
pub use chip::{ChipArgs, chip};
use disk::Commits;
pub use disk::OpenJournal;
use kinds::{Diary, Kinds};
use machine::{Cpu, Memory};
use reader::Turns;
pub use reader::{OpenReader, ToCard};
pub use service::bare_service;
pub use slips::{Press, SlipArgs, slips};
use std::fs;
use std::io::{Error, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use table::Table;
use till::Till;

/// Rounds of pings and property reads.
const READ_ROUNDS: u32 = 50;
/// Pings in a round, and property reads in a round.
const READS: u32 = 100;
/// Rounds of every kind of business under strace.
const KIND_ROUNDS: u32 = 5;
/// The supervisor's factory password need not be changed.
const NO_CHANGE: &str = "[operators]\nrequire-change = false\n";
/// The most sales: a batch holds 900, and some are left for the shop.
const SALES_MAX: u32 = 800;

/// Arguments of `posd-sim bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder with the posd to measure
    #[arg(long, value_name = "DIR")]
    bin: PathBuf,
    /// How that posd was built; only for the table
    #[arg(long, value_name = "TEXT", default_value = "unknown build")]
    build: String,
    /// Card parameters
    #[arg(long, value_name = "FILE")]
    emv: PathBuf,
    /// Folder for the journals, on the disk to measure; it is emptied
    #[arg(long, value_name = "DIR", default_value = "target/bench/disk")]
    disk: PathBuf,
    /// Sales in each of the two shops with nothing but sales
    #[arg(long, default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(SALES_MAX)))]
    sales: u32,
    /// The test terminal of the crate emv, to be compared with over pcscd
    #[arg(long, value_name = "FILE")]
    emv_terminal: Option<PathBuf>,
    /// What tests/tools/codec-bench/run measured
    #[arg(long, value_name = "FILE")]
    codecs: Option<PathBuf>,
    /// What tests/tools/slip-bench/run measured
    #[arg(long, value_name = "FILE")]
    slips: Option<PathBuf>,
    /// Measure only this, and tell it on standard error
    #[arg(long)]
    only: Option<Part>,
    /// Print JSON instead of Markdown
    #[arg(long)]
    json: bool,
}

/// Parts that can be measured alone.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    /// Conversations over pcscd, against the test terminal of the crate emv.
    Conversations,
    /// Starts and wakings.
    Service,
}

/// Measures and prints. Progress goes to standard error.
#[must_use]
pub fn run(args: &Args, open_journal: OpenJournal) -> ExitCode {
    if let Some(part) = args.only {
        return match only(args, part) {
            Ok(told) => {
                tell(&told);
                ExitCode::SUCCESS
            }
            Err(error) => {
                tell(&format!("broken off: {error}"));
                ExitCode::FAILURE
            }
        };
    }
    let measured = measure(args, open_journal).and_then(|table| {
        let text = if args.json { table.json() } else { table.markdown() };
        writeln!(std::io::stdout(), "{}", text.trim_end())
    });
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("broken off: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One part of the measurements, in a line.
fn only(args: &Args, part: Part) -> Result<String, Error> {
    fs::create_dir_all(&args.disk)?;
    match part {
        Part::Conversations => {
            let program = std::env::current_exe()?;
            let turns = reader::measure(&program, args.emv_terminal.as_deref(), &args.disk)?;
            let Turns { ours: (count, ours), theirs: (others, theirs), between } =
                turns.ok_or_else(|| Error::other("nothing to compare with"))?;
            Ok(format!("{ours:?} for {count} commands against {theirs:?} for {others}; pairs {between:.3?}"))
        }
        Part::Service => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let measured = runtime.block_on(service::measure(args, &args.disk))?;
            Ok(format!("{measured:?}"))
        }
    }
}

fn measure(args: &Args, open_journal: OpenJournal) -> Result<Table, Error> {
    let load_before = machine::load();
    let codecs = codec::read(args.codecs.as_deref())?;
    let slips = slips::read(args.slips.as_deref())?;
    drop(fs::remove_dir_all(&args.disk));
    fs::create_dir_all(&args.disk)?;
    let disk = fs::canonicalize(&args.disk)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tell("commits against plain writes");
    let commits = disk::measure(&disk.join("commits"), open_journal)?;
    tell("pages and totals in a large and a small ledger");
    let ledgers = ledger::measure(&disk.join("ledgers"), open_journal)?;
    drop(fs::remove_dir_all(disk.join("ledgers")));
    tell("the kernel under valgrind");
    let chips = chip::measure(&std::env::current_exe()?)?;
    tell("conversations over pcscd");
    let turns = reader::measure(&std::env::current_exe()?, args.emv_terminal.as_deref(), &disk.join("chip"))?;
    tell("worlds in memory");
    let worlds = worlds::measure()?;
    tell(&format!("{} sales under strace", args.sales));
    let syncs = runtime.block_on(count_syncs(args, &disk))?;
    tell(&format!("{} sales, then property reads against pings", args.sales));
    let work = runtime.block_on(watch_work(args, &disk))?;
    tell(&format!("{KIND_ROUNDS} rounds of every kind of business under strace"));
    let kinds = runtime.block_on(count_kinds(args, &disk))?;
    tell(&format!("{} stored sales uploaded, {} rows settled", stored::UPLOADS, stored::ROWS));
    let stored = runtime.block_on(stored::measure(args, &disk, open_journal))?;
    tell("starts, against a bare service");
    let service = runtime.block_on(service::measure(args, &disk))?;
    let table = Table {
        machine: machine::description(),
        file_system: machine::file_system(&disk)?,
        build: args.build.clone(),
        sales: args.sales,
        load_before,
        load_after: machine::load(),
        syncs,
        kinds,
        codecs,
        slips,
        chips,
        turns,
        commits,
        ledgers,
        work,
        stored,
        worlds,
        service,
    };
    drop(fs::remove_dir_all(&disk));
    Ok(table)
}

/// Syncs of each sale.
struct Syncs {
    /// `fdatasync` of each sale, smallest first.
    fdatasync: Vec<usize>,
    /// All syncing calls of each sale, smallest first.
    all: Vec<usize>,
}

async fn count_syncs(args: &Args, disk: &Path) -> Result<Syncs, Error> {
    let (shop, lines) = traced_shop(args, &disk.join("traced"), "")?;
    let mut till = Till::open(&shop).await?;
    let mut spans = Vec::new();
    for _ in 0..args.sales {
        let from = trace::now();
        till.sell(&shop).await?;
        spans.push((from, trace::now()));
    }
    let calls = end_trace(shop, lines)?;
    Ok(Syncs {
        fdatasync: trace::per_span(&calls, &spans, Some("fdatasync")),
        all: trace::per_span(&calls, &spans, None),
    })
}

async fn count_kinds(args: &Args, disk: &Path) -> Result<Kinds, Error> {
    let (shop, lines) = traced_shop(args, &disk.join("kinds"), NO_CHANGE)?;
    let mut till = Till::open_supervised(&shop).await?;
    till.until_sales_are_taken().await?;
    let mut diary = Diary::default();
    for _ in 0..KIND_ROUNDS {
        kinds::round(&shop, &mut till, &mut diary).await?;
    }
    Ok(diary.count(&end_trace(shop, lines)?))
}

/// The lines of strace, as a thread collects them.
type Lines = JoinHandle<Vec<trace::Sync>>;

fn traced_shop(args: &Args, folder: &Path, sections: &str) -> Result<(Shop, Lines), Error> {
    let mut shop = open_shop(args, folder, trace::STRACE, Stdio::piped(), sections)?;
    let lines = shop.daemon.stdout.take().ok_or_else(|| Error::other("strace has no output"))?;
    Ok((shop, trace::collect(lines)?))
}

/// Ends the daemon; everything that strace saw.
fn end_trace(shop: Shop, lines: Lines) -> Result<Vec<trace::Sync>, Error> {
    drop(shop);
    lines.join().map_err(|_| Error::other("the lines of strace were lost"))
}

/// What sales and reads cost the daemon.
struct Work {
    /// CPU time of all sales.
    cpu: Cpu,
    /// Time of one sale on the wall, median: mostly the simulated card, host, printer and the disk.
    wall: Duration,
    /// Memory before the first sale.
    before: Memory,
    /// Memory after the last.
    after: Memory,
    /// One ping, median of the rounds.
    ping: Duration,
    /// One property read, median of the rounds.
    read: Duration,
    /// Median of the ratios of the rounds.
    ratio: f64,
}

async fn watch_work(args: &Args, disk: &Path) -> Result<Work, Error> {
    let shop = open_shop(args, &disk.join("alone"), &[], Stdio::null(), "")?;
    let process = shop.daemon.id();
    let mut till = Till::open(&shop).await?;
    let (before, start) = (Memory::of(process)?, Cpu::of(process)?);
    let mut walls = Vec::new();
    for _ in 0..args.sales {
        let began = Instant::now();
        till.sell(&shop).await?;
        walls.push(began.elapsed());
    }
    let (after, cpu) = (Memory::of(process)?, Cpu::of(process)?.since(start));
    let (mut pings, mut reads, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..READ_ROUNDS {
        let (mut ping, mut read) = (Duration::ZERO, Duration::ZERO);
        // Turn by turn, so that what disturbs one disturbs the other.
        for _ in 0..READS {
            let began = Instant::now();
            till.ping().await?;
            let between = Instant::now();
            till.read_state().await?;
            ping += between.duration_since(began);
            read += between.elapsed();
        }
        pings.push(ping / READS);
        reads.push(read / READS);
        ratios.push(read.as_secs_f64() / ping.as_secs_f64());
    }
    Ok(Work {
        cpu,
        wall: median(&mut walls),
        before,
        after,
        ping: median(&mut pings),
        read: median(&mut reads),
        ratio: median(&mut ratios),
    })
}

fn open_shop(
    args: &Args,
    folder: &Path,
    under: &[&str],
    output: Stdio,
    sections: &str,
) -> Result<Shop, Error> {
    fs::create_dir_all(folder)?;
    Shop::open(Plan {
        name: "posd-bench-shop",
        posd: &args.bin.join("posd"),
        under,
        emv: &args.emv,
        receipts: None,
        log: &folder.join("posd.log"),
        state: Some(&folder.join("state")),
        // Both plies are printed; nobody stands there to tear.
        tear_pause_s: 0,
        host: "",
        sections,
        output,
    })
}

/// The middle one (the lower of two); the default of nothing.
fn median<T: Copy + Default + PartialOrd>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn tell(text: &str) {
    // Without a place to tell it, the table is still made.
    drop(writeln!(std::io::stderr(), "bench: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_lower_middle() {
        assert_eq!(median(&mut [3, 1, 2]), 2);
        assert_eq!(median(&mut [4, 1, 3, 2]), 2);
        assert_eq!(median::<u32>(&mut []), 0);
        assert!((median(&mut [2.5_f64, 0.5, 1.5]) - 1.5).abs() < f64::EPSILON);
    }
}

//! The simulators as a process: each subcommand is one of them, on the real interface.
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use posd::adapters::card_pcsc::{self, ReaderNames};
use posd::adapters::journal_sqlite::SqliteJournal;
use posd::adapters::printer_escpos::{Pen, encode};
use posd::adapters::typeface::{Typeface, png};
use posd::domain::receipt::{Document, Glyphs, pages, picture};
use posd::sim::{bench, cardd, demo, fuzz, host, printer, storm, till, worlds};

/// Longest time for one command to the card.
const APDU_DEADLINE: Duration = Duration::from_secs(10);

/// Simulated devices for tests and demonstrations of posd
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A chip card in a virtual reader (vpcd)
    Card(cardd::Args),
    /// An acquirer on TCP
    Host(Box<host::Args>),
    /// A receipt printer on TCP
    Printer(printer::Args),
    /// A day in a shop, with everything simulated but the daemon
    Demo(demo::Args),
    /// Counts and ratios of the real daemon in a simulated shop
    Bench(bench::Args),
    /// Kernel and a recorded card, in memory, for counting
    Chip(bench::ChipArgs),
    /// Slips as bytes, to be compared with other libraries
    Slips(bench::SlipArgs),
    /// Whole shops in memory, in which anything goes wrong and no money may get lost
    Worlds(worlds::Args),
    /// Bytes of chance against everything that reads bytes from outside
    Fuzz(fuzz::Args),
    /// A service that only takes a name on the bus, to compare a start with
    #[command(hide = true)]
    BareService,
    /// Mixed business of the real daemon, which is killed again and again
    Storm(storm::Args),
    /// The people at a till that others drive over the bus
    Till(till::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Card(args) => cardd::run(args),
        Command::Host(args) => told(host::run(*args)),
        Command::Printer(args) => told(printer::run(&args)),
        Command::Demo(args) => demo::run(&args),
        Command::Chip(args) => bench::chip(&args, |events| {
            let handle = card_pcsc::start(ReaderNames::Auto, APDU_DEADLINE, events)?;
            Ok(Box::new(move |command| handle.try_send(command).is_ok()))
        }),
        Command::Slips(args) => slips(&args),
        Command::BareService => bench::bare_service(),
        Command::Worlds(args) => worlds::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Storm(args) => storm::run(&args),
        Command::Till(args) => till::run(&args),
        Command::Bench(args) => bench::run(&args, |folder, now| {
            Ok(Box::new(SqliteJournal::open(folder, bench::STORAGE_KEY, now, Vec::new)?))
        }),
    }
}

/// Measures slips with the encoder and the fonts of the daemon.
fn slips(args: &bench::SlipArgs) -> ExitCode {
    let glyphs: Option<Arc<dyn Glyphs>> = match Typeface::open() {
        Ok(face) => Some(Arc::new(face)),
        Err(error) => return told(Err(io::Error::other(error.to_string()))),
    };
    let pen = |dots, raster| Pen { glyphs: glyphs.clone(), ..Pen::new(dots, raster) };
    let encode = |document: &Document, dots, raster| {
        encode(document, &pen(dots, raster)).map(|pieces| pieces.concat()).map_err(|error| error.to_string())
    };
    let picture = |document: &Document| {
        let glyphs = glyphs.as_deref().ok_or("no fonts")?;
        png(&picture(&pages(document, 384, glyphs))).map_err(|error| error.to_string())
    };
    bench::slips(args, &bench::Press { encode: &encode, picture: &picture })
}

/// Tells on standard error why a simulator ended.
fn told(ended: io::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posd-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `posd-sim fuzz`: bytes of chance against everything that reads bytes from outside.
//!
//! A target is a plain function that tells which law an input broke. The same functions run under cargo-fuzz
//! (`tests/fuzz`, led by coverage, on a nightly compiler) and in the loop here, which needs nothing: it changes inputs
//! of a corpus without knowing coverage, so it finds less in the same time. What was once found joins the corpus, and
//! the suite replays the corpus each time.
mod chip;
pub mod targets;

use super::world::chance::SplitMix64;
use std::fs;
use std::io::{Error, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use targets::Target;

/// The longest input that the loop makes.
const INPUT_MAX: usize = 4096;
/// Inputs of a round: between two looks at the clock.
const ROUND: u32 = 1000;

/// Arguments of `posd-sim fuzz`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What is fed; all of them one after the other without this
    #[arg(long)]
    target: Option<String>,
    /// For how long each, and at least one round
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// The same seed makes the same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder with a folder of inputs for each target
    #[arg(long, value_name = "DIR", default_value = "tests/fuzz/corpus")]
    corpus: PathBuf,
    /// Only this round, each of its inputs kept before it is fed: for a round that ended in a panic
    #[arg(long)]
    round: Option<u64>,
    /// Where the number of the round that runs, and an input that broke a law, are kept
    #[arg(long, value_name = "DIR", default_value = "target/fuzz")]
    keep: PathBuf,
}

/// Feeds one target or all, until the time is over or a law is broken.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let chosen = |target: &&Target| args.target.as_deref().is_none_or(|name| name == target.name);
    let chosen: Vec<&Target> = targets::ALL.iter().filter(chosen).collect();
    let names: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
    let ended = match chosen.as_slice() {
        [] => Err(Error::other(format!("no such target; there are {}", names.join(", ")))),
        chosen => chosen.iter().try_for_each(|target| feed(target, args)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "posd-sim fuzz: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn feed(target: &Target, args: &Args) -> Result<(), Error> {
    let corpus = corpus(&args.corpus, target)?;
    fs::create_dir_all(&args.keep)?;
    let (kept, number) = (args.keep.join(target.name), args.keep.join(format!("{}.round", target.name)));
    let (began, time) = (Instant::now(), Duration::from_secs(args.minutes.saturating_mul(60)));
    let (mut round, mut inputs, mut accepted) = (args.round.unwrap_or_default(), 0_u64, 0_u64);
    loop {
        // A panic ends the process at once: the number of the round finds its input again.
        fs::write(&number, round.to_string())?;
        let keep = |input: &[u8]| if args.round.is_some() { fs::write(&kept, input) } else { Ok(()) };
        match play(target, &corpus, args.seed, round, ROUND, keep)? {
            Ok(taken) => accepted = accepted.saturating_add(taken),
            Err((input, broken)) => {
                fs::write(&kept, &input)?;
                let (name, kept) = (target.name, kept.display());
                return Err(Error::other(format!("{name}: {broken}; the input is {kept}")));
            }
        }
        inputs = inputs.saturating_add(u64::from(ROUND));
        round = round.saturating_add(1);
        if args.round.is_some() || began.elapsed() >= time {
            break;
        }
    }
    let (name, seconds, seeds) = (target.name, began.elapsed().as_secs(), corpus.len());
    writeln!(
        std::io::stdout(),
        "{name}: {inputs} inputs in {seconds} s from {seeds} of the corpus, {accepted} accepted, no finding (seed {})",
        args.seed,
    )
}

/// How many inputs of a round were accepted, or the input that broke a law, and the law.
pub type Played = Result<u64, (Vec<u8>, &'static str)>;

/// Feeds one round. The same seed and number make the same inputs; `before` sees each of them first.
///
/// # Errors
/// Those of `before`.
pub fn play(
    target: &Target,
    corpus: &[Vec<u8>],
    seed: u64,
    round: u64,
    inputs: u32,
    mut before: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Played, Error> {
    let mut chance = SplitMix64::new(seed ^ SplitMix64::new(round).draw());
    let mut accepted = 0_u64;
    for _ in 0..inputs {
        let input = mutated(corpus, &mut chance);
        before(&input)?;
        match (target.feed)(&input) {
            Ok(taken) => accepted = accepted.saturating_add(u64::from(taken)),
            Err(broken) => return Ok(Err((input, broken))),
        }
    }
    Ok(Ok(accepted))
}

/// One of the corpus with some changes: bits, bytes, digits, runs cut out, doubled, or taken from another one.
fn mutated(corpus: &[Vec<u8>], chance: &mut SplitMix64) -> Vec<u8> {
    let pick = |end: usize, chance: &mut SplitMix64| {
        let drawn = chance.below(u32::try_from(end).unwrap_or(u32::MAX));
        usize::try_from(drawn).unwrap_or_default()
    };
    let from = |at: usize| corpus.get(at).map(Vec::as_slice).unwrap_or_default();
    let mut input = from(pick(corpus.len(), chance)).to_vec();
    for _ in 0..pick(6, chance) {
        let (at, other) = (pick(input.len().saturating_add(1), chance), from(pick(corpus.len(), chance)));
        let length = pick(input.len().saturating_sub(at).min(64).saturating_add(1), chance);
        let run = at..at.saturating_add(length).min(input.len());
        let [random, digit, ..] = chance.draw().to_be_bytes();
        match (chance.below(7), input.get_mut(at)) {
            (0, Some(byte)) => *byte ^= 1 << (random & 7),
            (1, Some(byte)) => *byte = random,
            (2, Some(byte)) => *byte = b'0' | (digit & 0x0F),
            (3, Some(byte)) => *byte = [0, 0xFF, 0x7F, 0x80].into_iter().nth(pick(4, chance)).unwrap_or(0),
            (4, _) => drop(input.drain(run)),
            (5, _) => {
                let doubled = input.get(run).unwrap_or_default().to_vec();
                drop(input.splice(at..at, doubled));
            }
            _ => {
                let start = pick(other.len().saturating_add(1), chance);
                let taken = other.get(start..).unwrap_or_default();
                drop(input.splice(run, taken.iter().copied().take(length.max(1))));
            }
        }
    }
    input.truncate(INPUT_MAX);
    input
}

/// The inputs of a target, by name of file.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn corpus(folder: &Path, target: &Target) -> Result<Vec<Vec<u8>>, Error> {
    let folder = folder.join(target.name);
    let named = |error: Error| Error::other(format!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .map_err(named)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    files.iter().map(fs::read).collect()
}

//! Worlds: a whole shop in memory in which anything goes wrong and no money may get lost.
//!
//! The exhaustive worlds run in every suite; of the long days a few, and every seed that once broke a rule
//! (`tests/data/seeds`). `make sim` runs as many as one likes.
mod journals;

use posd::sim::world::exhaustive::{Stage, scenarios};
use posd::sim::world::{days, matrix};
use std::path::Path;

const MATRIX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/power-cut-matrix.md");
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seeds");

/// Goal: whatever two things go wrong with one transaction of any kind, at whatever places, both ends agree in the end.
#[test]
fn every_pair_of_faults_ends_in_agreement() {
    let (mut worlds, mut cut) = (0, 0);
    for scenario in scenarios() {
        let stage = Stage::set(scenario).unwrap_or_else(|failure| panic!("{failure}"));
        let tried = stage.explore(2, &mut |_, _| {}).unwrap_or_else(|failure| panic!("{failure}"));
        worlds += tried.worlds;
        cut += tried.cut;
    }
    assert!(worlds > 30_000, "only {worlds} worlds");
    assert!(cut > 10_000, "only {cut} worlds with a power cut");
}

/// Goal: days of mixed business from seeds end without a mismatch.
#[test]
fn a_few_long_days_end_in_agreement() {
    let mut told = days::Told::default();
    for seed in 0..80 {
        told.add(&days::run(seed, 60).unwrap_or_else(|failure| panic!("{failure}")));
    }
    // What nobody ever finds out is rare; every other outcome comes.
    let [approved, declined, cancelled, failed, _, reversed, stored] = told.outcomes;
    let all = [approved, declined, cancelled, failed, reversed, stored];
    assert!(told.cuts > 50 && all.iter().all(|count| *count > 0), "{told:?}");
}

/// Goal: a seed that once broke a rule breaks none any more.
#[test]
fn seeds_that_once_failed_are_good() {
    let text = std::fs::read_to_string(SEEDS).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let numbers: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [seed, transactions] = numbers[..] else {
            panic!("{line:?} is no seed and number of transactions")
        };
        days::run(seed, u32::try_from(transactions).unwrap()).unwrap_or_else(|failure| panic!("{failure}"));
    }
}

/// Goal: a seed says everything: the same day, to the letter, and no card number in anything that was written down.
#[test]
fn a_seed_replays_exactly_and_tells_no_card_number() {
    for seed in 0..20 {
        let (ended, trace) = days::traced(seed, 40);
        assert_eq!(ended, Ok(()));
        assert_eq!(days::traced(seed, 40).1, trace, "POSD_SEED={seed}");
        let digits = trace.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
        assert!(digits < Some(13), "POSD_SEED={seed} tells a long number");
    }
}

/// Goal: the page about power cuts says what the simulator does today.
#[test]
fn the_power_cut_matrix_is_fresh() {
    let page = matrix::page().unwrap_or_else(|failure| panic!("{failure}"));
    if std::env::var_os("POSD_BLESS").is_some() {
        std::fs::write(Path::new(MATRIX), &page).unwrap();
    }
    let kept = std::fs::read_to_string(MATRIX).unwrap_or_default();
    for (now, then) in page.lines().zip(kept.lines()) {
        assert_eq!(now, then, "src/docs/power-cut-matrix.md is stale; POSD_BLESS=1 writes it anew");
    }
    assert_eq!(page.lines().count(), kept.lines().count(), "src/docs/power-cut-matrix.md is stale");
}

//! The corpus of the fuzz targets, replayed: what was once found stays found.
use posd::sim::fuzz::{corpus, play, targets};
use std::path::Path;

/// Inputs of a short round: all targets together take a few seconds of an unoptimised build.
const INPUTS: u32 = 300;

/// No law is broken by any input of the corpus, and the corpus of each target has inputs that are accepted: a loop
/// that only ever sees refusals proves nothing.
#[test]
fn the_corpus_breaks_no_law() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for target in targets::ALL {
        let mut accepted = 0;
        for input in corpus(&folder, target).unwrap() {
            match (target.feed)(&input) {
                Ok(taken) => accepted += usize::from(taken),
                Err(broken) => panic!("{}: {broken}: {input:02X?}", target.name),
            }
        }
        assert!(accepted > 0, "{}: nothing was accepted", target.name);
    }
}

/// A few hundred changed inputs of each target, always the same ones: a law that an ordinary change breaks shows at
/// once, not only where somebody fuzzes for hours.
#[test]
fn a_short_round_of_each_target_breaks_no_law() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for target in targets::ALL {
        let played = play(target, &corpus(&folder, target).unwrap(), 1, 0, INPUTS, |_| Ok(())).unwrap();
        match played {
            Ok(accepted) => assert!(accepted > 0, "{}: nothing was accepted", target.name),
            Err((input, broken)) => panic!("{}: {broken}: {input:02X?}", target.name),
        }
    }
}

/// Every folder of the corpus belongs to a target: a misspelt one would never be replayed.
#[test]
fn the_corpus_has_no_stray_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(targets::named(&name).is_some(), "{name} is no target");
    }
}

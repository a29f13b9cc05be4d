//! Worlds: the shop in memory, in every way in which up to two things go wrong.
use posd::sim::world::exhaustive::{Stage, Tried, scenarios};

fn explore(depth: u32) -> Vec<(&'static str, Tried)> {
    let mut all = Vec::new();
    for scenario in scenarios() {
        let name = scenario.name;
        let stage = Stage::set(scenario).unwrap_or_else(|failure| panic!("{failure}"));
        let started = std::time::Instant::now();
        let tried = stage.explore(depth, &mut |_, _| {}).unwrap_or_else(|failure| panic!("{failure}"));
        eprintln!("{name}: {tried:?} {:?}", started.elapsed());
        all.push((name, tried));
    }
    all
}

/// Goal: whatever single thing goes wrong, at whatever place, both ends agree about the money.
#[test]
fn one_fault_in_every_place() {
    let all = explore(1);
    assert!(!all.is_empty());
}

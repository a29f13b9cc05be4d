//! Every small world: one sale, every pair of faults, to rest. The judge is in `world`: at every step the
//! bank holds money only if the terminal says approved or an obligation is durable; at rest the two agree;
//! the chip never gets an approving second GENERATE AC after a decline; recovery twice is recovery once.
use super::disk::StoreFault;
use super::world::{BankFault, ChipFault, Fault, World};
use crate::domain::outcome::Outcome;
use std::collections::BTreeMap;

/// The sale, and the first reversal or the second dialling.
const MESSAGES: usize = 2;
/// Sending, Closed, the other end, and what the reversal stores.
const STORES: usize = 5;
/// From the first SELECT to the last script.
const COMMANDS: usize = 11;

/// Every single fault. Power may fail before each effect that the world has; one more is never reached.
fn faults(effects: usize) -> Vec<Fault> {
    use BankFault as Bank;
    let bank = [
        Bank::LoseReply,
        Bank::LateReply,
        Bank::BadMac,
        Bank::Garbled,
        Bank::Decline,
        Bank::Partial,
        Bank::LostBefore,
        Bank::LostAfterUnseen,
        Bank::LostAfterSeen,
    ];
    let stores = [StoreFault::Once, StoreFault::OnceButThere, StoreFault::Twice, StoreFault::TwiceButThere];
    let chip = [ChipFault::Removed, ChipFault::Mute, ChipFault::Refuses];
    let all = |count: usize| 0..count;
    bank.iter()
        .flat_map(|fault| all(MESSAGES).map(|n| Fault::Bank(n, *fault)))
        .chain(stores.iter().flat_map(|fault| all(STORES).map(|n| Fault::Store(n, *fault))))
        .chain(chip.iter().flat_map(|fault| all(COMMANDS).map(|n| Fault::Chip(n, *fault))))
        .chain(all(effects).map(Fault::Cut))
        .chain([Fault::ChipDeclines, Fault::NoLine(0), Fault::NoLine(1)])
        .collect()
}

/// Runs one world; a failure names its faults.
fn run(faults: &[Fault]) -> World {
    let world = std::panic::catch_unwind(|| World::sale(faults).with_icc().run());
    world.unwrap_or_else(|_| panic!("the world with {faults:?} breaks a rule"))
}

/// How the row ended, for a look at the spread.
fn end(world: &World) -> &'static str {
    world.disk.outcome().map_or("nothing", Outcome::word)
}

/// How many effects the longest single-fault world has.
fn longest() -> usize {
    faults(0).into_iter().map(|fault| run(&[fault]).effects()).max().unwrap()
}

/// Runs every pair of which `wanted` is true, and says how often each end came.
fn pairs(wanted: fn(Fault, Fault) -> bool) -> BTreeMap<&'static str, usize> {
    let faults = faults(longest());
    let mut ends = BTreeMap::new();
    for (at, first) in faults.iter().enumerate() {
        for second in faults[at..].iter().filter(|second| wanted(*first, **second)) {
            // A fault paired with itself is that fault alone.
            *ends.entry(end(&run(&[*first, *second]))).or_default() += 1;
        }
    }
    ends
}

fn cuts(first: Fault, second: Fault) -> bool {
    [first, second].iter().any(|fault| matches!(fault, Fault::Cut(_)))
}

#[test]
fn every_pair_of_faults_ends_in_agreement() {
    let ends = pairs(|first, second| !cuts(first, second));
    assert!(ends.values().sum::<usize>() > 2500, "{ends:?}");
    assert!(ends.keys().eq(["approved", "declined", "failed", "reversed"].iter()), "{ends:?}");
}

/// A fault and a power cut, or two power cuts: the second may fall into recovery or into the reversal.
#[test]
fn every_power_cut_ends_in_agreement() {
    let ends = pairs(cuts);
    assert!(ends.values().sum::<usize>() > 2500, "{ends:?}");
    assert!(ends.keys().eq(["approved", "declined", "failed", "nothing", "reversed"].iter()), "{ends:?}");
}

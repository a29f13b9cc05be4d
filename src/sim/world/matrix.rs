//! The power-cut matrix: what shop, customer and bank hold after the power failed at each place, written down by the
//! exhaustive driver's own run.
use super::exhaustive::{Deed, Failure, Stage, scenarios};
use super::{FirstCut, World};
use crate::domain::outcome::{EntryType, Outcome};
use core::fmt::Write as _;

const INTRODUCTION: &str = "\
# The power-cut matrix

Made by the simulator's own run (`src/sim/world/matrix.rs`): the real machines in a simulated shop, the power
fails once, at every place, and nothing else goes wrong. Then the terminal starts again, sends what it owes and
settles the day. The test `the_power_cut_matrix_is_fresh` fails when this page is stale; `POSD_BLESS=1` writes
it anew. What the real daemon does on a real disk stands in `power-cuts.md`.

- *State*: where the transaction stood; `queue` and `recovery` are not states of the transaction.
- *The power fails*: what was about to happen, or had just happened.
- *Told*: what customer and shop had been told before the power failed.
- *After the start*: the outcome that the terminal tells, and what it still owes. *knows nothing*: the same request runs
  anew.
- *In the end*: the outcome when everything owed has been sent.
- *The bank*: what it holds in the end, of this transaction.
- *Slips*: unmarked customer slips that came out in all.

";

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line([String; 7]);

/// The whole page.
///
/// # Errors
/// A world breaks a rule.
pub fn page() -> Result<String, Failure> {
    let mut page = INTRODUCTION.to_owned();
    for scenario in scenarios() {
        if !matches!(scenario.deed, Deed::Trade(..)) {
            continue;
        }
        let name = scenario.name;
        let stage = Stage::set(scenario)?;
        let mut lines: Vec<Line> = Vec::new();
        stage.explore(1, &mut |world, wrong| {
            if let (Some(cut), [_]) = (world.first_cut(), wrong) {
                let line = line(world, cut);
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
        })?;
        table(&mut page, name, &lines);
    }
    Ok(page)
}

fn table(page: &mut String, name: &str, lines: &[Line]) {
    let mut title = name.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    // Writing to a text cannot fail.
    let _fits = writeln!(page, "## {title}\n").is_ok();
    page.push_str("| State | The power fails | Told | After the start | In the end | The bank | Slips |\n");
    page.push_str("|---|---|---|---|---|---|---|\n");
    for Line(cells) in lines {
        let _fits = writeln!(page, "| {} |", cells.join(" | ")).is_ok();
    }
    page.push('\n');
}

fn line(world: &World, cut: &FirstCut) -> Line {
    let row = world.last().and_then(|id| world.disk().stored(id));
    let recovered = match &cut.recovered {
        None => "knows nothing".to_owned(),
        Some((outcome, owed)) => {
            let owed: Vec<String> =
                owed.iter().map(|(what, state)| format!("{} {state}", owes(*what))).collect();
            if owed.is_empty() { outcome.to_string() } else { format!("{outcome}; {}", owed.join(", ")) }
        }
    };
    let end = row.map_or_else(|| "nothing happened".to_owned(), |row| row.outcome.to_string());
    let booking = row
        .and_then(|row| Some((row.batch.get(), row.stan?.get())))
        .and_then(|name| world.bank().booking(name));
    let bank = match booking {
        None => "never booked it".to_owned(),
        Some(booking) if booking.reversed => "booked it and undid it".to_owned(),
        Some(_) => "holds it".to_owned(),
    };
    let told = cut.told.map_or_else(|| "nothing".to_owned(), |told: Outcome| told.to_string());
    let slips = world.last().map_or(0, |id| world.judge().slips(id));
    Line([cut.state.to_owned(), cut.place.to_owned(), told, recovered, end, bank, slips.to_string()])
}

const fn owes(entry_type: EntryType) -> &'static str {
    match entry_type {
        EntryType::Reversal => "its reversal is",
        EntryType::Script => "its script result is",
        EntryType::OfflineSale | EntryType::Advice => "its upload is",
        EntryType::RefundUnknown => "its entry for the shop is",
    }
}

//! Terminal and bank, line by line: every transaction of the one against every row of the other.
use crate::sim::host::ledger::{Effect, Row};
use std::collections::{BTreeMap, BTreeSet};

/// A transaction as the terminal tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Object path.
    pub(super) path: String,
    /// The client's name for it.
    pub(super) request: String,
    /// Kind.
    pub(super) kind: String,
    /// Outcome.
    pub(super) outcome: String,
    /// Approved amount, minor units.
    pub(super) approved: u64,
    /// Batch and STAN; a STAN of zero: none was taken.
    pub(super) number: (u32, u32),
    /// Path of the original.
    pub(super) original: String,
}

impl Line {
    /// The bank must hold it.
    fn is_booked(&self) -> bool {
        self.kind != "balance" && ["approved", "stored-offline"].contains(&self.outcome.as_str())
    }

    fn name(&self) -> String {
        let (batch, stan) = self.number;
        format!("{} ({}, batch {batch}, trace {stan})", self.request, self.kind)
    }
}

/// What does not agree, in words; nothing where both tell the same story. `open` are the paths of transactions with
/// an entry in the queue: about them nothing can be said yet.
pub(super) fn compare(lines: &[Line], rows: &[Row], open: &BTreeSet<String>) -> Vec<String> {
    let rows: BTreeMap<(u32, u32), &Row> = rows.iter().map(|row| ((row.batch, row.stan), row)).collect();
    let row_of = |line: &Line| rows.get(&line.number).copied().filter(|_| line.number.1 > 0);
    // A void of a sale that the bank never heard of is the terminal's own affair; the sale is then not told either.
    let local = |line: &&Line| line.kind == "void" && line.outcome == "approved" && row_of(line).is_none();
    let withdrawn: BTreeSet<&str> = lines.iter().filter(local).map(|line| line.original.as_str()).collect();
    let mut found = Vec::new();
    let mut explained = BTreeSet::new();
    for line in lines {
        explained.insert(line.number);
        if open.contains(&line.path) {
            continue;
        }
        let held = row_of(line).filter(|row| row.state == Effect::Held);
        let is_local = local(&line);
        if is_local {
            let offline =
                lines.iter().any(|sale| sale.path == line.original && sale.outcome == "stored-offline");
            if !offline {
                found.push(format!("{} is approved, the bank knows nothing of it", line.name()));
            }
            continue;
        }
        let expected = line.is_booked() && !withdrawn.contains(line.path.as_str());
        match held {
            None if expected => {
                let state = row_of(line).map(|row| (row.state, row.response_code.clone()));
                found.push(format!("{} is {}, the bank holds nothing: {state:?}", line.name(), line.outcome));
            }
            Some(row) if expected && row.booked != line.approved => {
                found.push(format!("{}: {} here, {} at the bank", line.name(), line.approved, row.booked));
            }
            Some(row) if !expected => {
                found.push(format!("{} is {}, the bank holds {}", line.name(), line.outcome, row.booked));
            }
            _ => {}
        }
    }
    for row in rows.values().filter(|row| row.state == Effect::Held) {
        if !explained.contains(&(row.batch, row.stan)) {
            found.push(format!(
                "the bank holds {} of batch {}, trace {} ({:?}), the terminal knows nothing of it",
                row.booked, row.batch, row.stan, row.business
            ));
        }
    }
    found
}

/// True if an outcome that was told may have become this one.
pub(super) fn may_become(told: &str, now: &str) -> bool {
    told == now || told == "unknown" && ["reversed", "approved", "failed"].contains(&now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::host::business::Business;
    use crate::sim::host::ledger::Key;

    fn line(stan: u32, kind: &str, outcome: &str) -> Line {
        Line {
            path: format!("/{stan}"),
            request: format!("r{stan}"),
            kind: kind.to_owned(),
            outcome: outcome.to_owned(),
            approved: 100,
            number: (1, stan),
            original: String::new(),
        }
    }

    fn row(stan: u32, state: Effect) -> Row {
        let key = Key { terminal: "10000001".to_owned(), batch: 1, stan };
        Row { booked: 100, state, ..Row::new(key, Business::Sale, 100) }
    }

    /// What agrees is silent, each way to disagree is told, and what is still owed is left alone.
    #[test]
    fn each_way_to_disagree_is_told() {
        let none = BTreeSet::new();
        let same = [line(2, "sale", "approved"), line(3, "sale", "reversed"), line(4, "sale", "declined")];
        let rows = [row(2, Effect::Held), row(3, Effect::Reversed), row(4, Effect::Declined)];
        assert_eq!(compare(&same, &rows, &none), Vec::<String>::new());
        assert_eq!(compare(&same, &[row(2, Effect::Reversed)], &none).len(), 1);
        assert_eq!(compare(&same, &[row(2, Effect::Held), row(3, Effect::Held)], &none).len(), 1);
        assert_eq!(compare(&same, &[row(2, Effect::Held), row(9, Effect::Held)], &none).len(), 1);
        let less = Row { booked: 50, ..row(2, Effect::Held) };
        assert_eq!(compare(&same, &[less], &none).len(), 1);
        let owed = BTreeSet::from(["/2".to_owned()]);
        assert_eq!(compare(&same, &[], &owed), Vec::<String>::new());
    }

    /// A local void takes its stored sale away on both sides; of a sale that the bank knows it is a lie.
    #[test]
    fn a_local_void_is_the_terminals_own_affair() {
        let void = Line { original: "/2".to_owned(), number: (1, 0), ..line(9, "void", "approved") };
        let none = BTreeSet::new();
        let stored = [line(2, "offline-sale", "stored-offline"), void.clone()];
        assert_eq!(compare(&stored, &[], &none), Vec::<String>::new());
        assert_eq!(compare(&stored, &[row(2, Effect::Held)], &none).len(), 1);
        let online = [line(2, "sale", "approved"), void];
        assert_eq!(compare(&online, &[row(2, Effect::Held)], &none).len(), 2);
    }

    /// What was told may only change from unknown.
    #[test]
    fn outcomes_stay_as_told() {
        assert!(may_become("approved", "approved") && may_become("unknown", "reversed"));
        assert!(!may_become("approved", "reversed") && !may_become("declined", "approved"));
        assert!(!may_become("reversed", "unknown"));
    }
}

//! What a storm tells at its end: what it has reached, so that nobody takes a calm day for a storm.
use super::{Storm, say};
use std::collections::BTreeMap;
use std::time::Duration;

/// Every kind; none is missing in a long storm.
const KINDS: [&str; 10] = [
    "sale",
    "void",
    "refund",
    "balance",
    "pre-auth",
    "pre-auth-void",
    "pre-auth-complete",
    "pre-auth-advice",
    "pre-auth-complete-void",
    "offline-sale",
];
/// Every message type of a terminal.
const MESSAGES: [&str; 8] = ["0100", "0200", "0220", "0320", "0400", "0500", "0620", "0800"];

impl Storm {
    /// Tells how often each kind, outcome, refusal and message came, and what did not agree.
    pub(super) fn report(&self, took: Duration) {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for line in &self.lines {
            *counts.entry((&line.kind, &line.outcome)).or_default() += 1;
        }
        for ((kind, outcome), count) in counts {
            say(&format!("storm: {count:5} {kind} {outcome}"));
        }
        for (cause, count) in &self.refused {
            say(&format!("storm: {count:5} refused: {cause}"));
        }
        let of_kind = |kind| self.lines.iter().filter(|line| line.kind == kind).count();
        let kinds = KINDS.map(|kind| format!("{kind} {}", of_kind(kind)));
        let undone = self.lines.iter().filter(|line| line.request.starts_with("linked:")).count();
        say(&format!("storm: kinds: {}; undone by the terminal itself {undone}", kinds.join(", ")));
        let seen = self.place.acquirer().seen().unwrap_or_default();
        let messages = MESSAGES.map(|mti| format!("{mti} {}", seen.get(mti).copied().unwrap_or(0)));
        say(&format!("storm: messages at the bank: {}", messages.join(", ")));
        let batches = self.place.acquirer().batches().map_or(0, |batches| batches.len());
        say(&format!(
            "storm: {} more kills during a start\n\
             storm: {} lines compared, {} owed, {batches} batches settled, {} differences, {} s",
            self.killed_young,
            self.lines.len(),
            self.open.len(),
            self.differences.len(),
            took.as_secs()
        ));
        for difference in &self.differences {
            say(&format!("storm: {difference}"));
        }
    }
}

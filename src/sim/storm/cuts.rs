//! What each cut of a storm met, and what became of it, as a table for the documents.
use super::Storm;
use super::moment::Moment;
use std::fmt::Write as _;

/// One cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    /// When it came.
    pub(super) moment: Moment,
    /// Transactions begun so far.
    pub(super) begun: u32,
    /// What was under way, in words.
    pub(super) doing: String,
    /// The outcome that the shop had been told of it; empty: none.
    pub(super) told: String,
    /// What the check of the disk said; two for a cut that was followed by another one during the start.
    pub(super) disk: Vec<String>,
    /// What the daemon says of it afterwards.
    pub(super) became: String,
    /// What is left to tell the bank.
    pub(super) owed: usize,
    /// New differences.
    pub(super) differences: usize,
}

impl Storm {
    /// The table, with a heading and what the end of the storm was.
    pub(super) fn page(&self, seed: u64) -> String {
        let mut page = format!(
            "# Power cuts of a whole machine\n\n\
             Written by `make vm-test`; `POSD_BLESS=1` writes it anew. The terminal is a guest with its own kernel, \
             state disk and USB reader; card, bank and printer are outside. qemu gets SIGKILL at a random moment of \
             mixed business, two of three times within 0.6 s after a message that moves money, which the bank answers \
             late in a third of the cases: what is only in the \
             guest's memory is gone, what it has given to its disk stays. Then the disk is checked, the guest boots \
             and the daemon recovers. After each cut every outcome that was ever told must still stand and agree \
             with the bank's books; at the end the batch is settled and both ends are compared line by line. Seed \
             {seed}; how far a guest has come at a cut depends on the machine.\n\n\
             | cut | after | transactions | in the middle of | told so far | check of the disk | afterwards | owed | \
             differences |\n|---|---|---|---|---|---|---|---|---|\n"
        );
        for (at, cut) in self.cuts.iter().enumerate() {
            let Cut { moment, begun, doing, told, disk, became, owed, differences } = cut;
            let dash = |text: &str| if text.is_empty() { "–".to_owned() } else { text.to_owned() };
            // Writing into a text cannot fail.
            writeln!(
                page,
                "| {} | {:.1} s{} | {begun} | {doing} | {} | {} | {} | {owed} | {differences} |",
                at + 1,
                f64::from(moment.life_ms) / 1000.0,
                moment.after_message_ms.map_or_else(String::new, |ms| format!(", {ms} ms after a message")),
                dash(told),
                disk.join("; again while starting: "),
                dash(became),
            )
            .ok();
        }
        let batches = self.place.acquirer().batches().map_or(0, |batches| batches.len());
        writeln!(
            page,
            "\nIn the end: {} cuts, {} of them while the machine was starting; {} transactions, {} lines compared, \
             {batches} batches settled, {} differences.",
            self.cuts.iter().map(|cut| cut.disk.len()).sum::<usize>(),
            self.killed_young,
            self.begun,
            self.lines.len(),
            self.differences.len(),
        )
        .ok();
        page
    }
}

//! Batches: the steps of a settlement, and what the open batch adds up to.
use super::{Disk, fresh_batch, refuse};
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::money::Amount;
use crate::domain::outcome::{BatchState, Kind, Outcome};
use crate::domain::record::{EntryRow, SettlementRow, SettlementStep, TotalsRow, TxnRow};
use crate::domain::rules;
use crate::ports::JournalError;

impl Disk {
    /// One step of the settlement of the open batch.
    pub(super) fn settle(
        &mut self,
        step: &SettlementStep,
    ) -> Result<Option<(Stan, BatchNumber)>, JournalError> {
        match step {
            SettlementStep::Begun { at, operator } => {
                if self.settlement.is_some() {
                    return refuse("the batch is being settled already");
                }
                self.newer(*at);
                self.settlement = Some(SettlementRow {
                    state: BatchState::Settling,
                    begun_at: *at,
                    operator: operator.clone(),
                    frozen: None,
                    verdict: None,
                    uploaded: 0,
                });
            }
            SettlementStep::Reopened { at, .. } => {
                if self.running()?.frozen.is_some() {
                    return refuse("the totals are frozen: the batch is not reopened");
                }
                self.newer(*at);
                self.settlement = None;
            }
            SettlementStep::TotalsFrozen { field48, at } => {
                if self.running()?.frozen.is_some() {
                    return refuse("the totals are frozen already");
                }
                let stan = self.take_stan()?;
                self.newer(*at);
                self.running()?.frozen = Some((field48.clone(), stan));
                return Ok(Some((stan, self.batch_number())));
            }
            SettlementStep::Verdict { domestic, foreign, at } => {
                self.newer(*at);
                let running = self.running()?;
                if running.frozen.is_none() || running.verdict.is_some() {
                    return refuse("a verdict follows frozen totals, and there is one only");
                }
                running.verdict = Some((*domestic, *foreign));
                running.state = BatchState::Uploading;
            }
            SettlementStep::Uploaded { records, at } => {
                self.newer(*at);
                let running = self.running()?;
                if running.verdict.is_none() {
                    return refuse("there is no verdict yet");
                }
                running.uploaded = running.uploaded.max(*records);
            }
            SettlementStep::Closed { domestic, foreign, forced, at } => {
                self.newer(*at);
                let running = self.running()?.clone();
                if running.verdict.is_none() && !(*forced && running.frozen.is_some()) {
                    return refuse(
                        "a batch is closed after its verdict, or by force after its totals are frozen",
                    );
                }
                self.close_batch(&running, (*domestic, *foreign), *forced, *at);
            }
        }
        Ok(None)
    }

    fn running(&mut self) -> Result<&mut SettlementRow, JournalError> {
        match &mut self.settlement {
            Some(running) => Ok(running),
            None => refuse("no settlement runs"),
        }
    }

    fn close_batch(
        &mut self,
        running: &SettlementRow,
        verdict: (crate::domain::outcome::Verdict, crate::domain::outcome::Verdict),
        forced: bool,
        at: WallTime,
    ) {
        let totals = self.totals_of_open();
        let from = self.batch_from;
        if let Some(batch) = self.batches.last_mut() {
            batch.state = BatchState::Closed;
            batch.closed_at = Some(at);
            batch.operator = Some(running.operator.clone());
            batch.verdict = Some(verdict);
            batch.forced = forced;
            batch.field48 = running.frozen.as_ref().map(|(field48, _)| field48.clone());
            batch.totals = totals;
        }
        for kept in self.rows.iter_mut().skip(from) {
            kept.row.in_open_batch = false;
        }
        self.batch_from = self.rows.len();
        let number = self.batch_number().get();
        let next = BatchNumber::new(number.wrapping_add(1)).unwrap_or(BatchNumber::FIRST);
        self.batches.push(fresh_batch(next, at));
        self.settlement = None;
        self.batch_has_records = false;
        self.identity = None;
    }

    /// Opens a batch of the host's number in place of an empty one.
    pub(super) fn adopt_batch(&mut self, number: BatchNumber, at: WallTime) -> Result<(), JournalError> {
        if self.batch_number() == number {
            return Ok(());
        }
        if !self.batch_is_free() {
            return refuse("the open batch has records or obligations: its number stays until settlement");
        }
        if let Some(batch) = self.batches.last_mut() {
            batch.state = BatchState::Closed;
            batch.closed_at = Some(at);
        }
        for kept in self.rows.iter_mut().skip(self.batch_from) {
            kept.row.in_open_batch = false;
        }
        self.batch_from = self.rows.len();
        self.batches.push(fresh_batch(number, at));
        Ok(())
    }

    /// Nothing hangs on the open batch: no record, no obligation, no settlement.
    #[must_use]
    pub fn batch_is_free(&self) -> bool {
        let owes = |place: &usize| {
            self.rows.get(*place).is_some_and(|kept| kept.row.entries.iter().any(EntryRow::is_open))
        };
        !self.batch_has_records && self.settlement.is_none() && !self.open.iter().any(owes)
    }

    fn totals_of_open(&self) -> Vec<TotalsRow> {
        let rows: Vec<&TxnRow> = self.rows.iter().skip(self.batch_from).map(|kept| &kept.row).collect();
        totals(rows.into_iter().map(|row| (row, self.is_undone(row))))
    }

    /// A void of it stands.
    pub(super) fn is_undone(&self, row: &TxnRow) -> bool {
        let Ok(place) = self.place(&row.start.id) else { return false };
        let followers = self.rows.get(place).map(|kept| kept.followers.as_slice()).unwrap_or_default();
        followers.iter().filter_map(|place| self.rows.get(*place)).any(|follower| {
            rules::undoes(follower.row.start.kind) && follower.row.outcome == Outcome::Approved
        })
    }
}

/// Counts and sums of what moved money, each with whether it was voided.
pub(super) fn totals<'a>(rows: impl Iterator<Item = (&'a TxnRow, bool)>) -> Vec<TotalsRow> {
    let mut lines: Vec<TotalsRow> = Vec::new();
    for (row, undone) in rows {
        let moved = matches!(row.outcome, Outcome::Approved | Outcome::StoredOffline);
        if !moved || row.start.kind == Kind::Balance {
            continue;
        }
        let key = (row.start.kind, row.card_class, &row.start.operator);
        let at = match lines.iter().position(|l| (l.kind, l.card_class, &l.operator) == key) {
            Some(at) => at,
            None => {
                lines.push(TotalsRow {
                    kind: key.0,
                    card_class: key.1,
                    operator: key.2.clone(),
                    count: 0,
                    amount: 0,
                    voided_count: 0,
                    voided_amount: 0,
                });
                lines.len().saturating_sub(1)
            }
        };
        let Some(line) = lines.get_mut(at) else { continue };
        add(&mut line.count, &mut line.amount, row.approved_amount);
        if undone {
            add(&mut line.voided_count, &mut line.voided_amount, row.approved_amount);
        }
    }
    lines.sort_by(|a, b| (a.kind, a.card_class, &a.operator).cmp(&(b.kind, b.card_class, &b.operator)));
    lines
}

fn add(count: &mut u32, sum: &mut u64, amount: Amount) {
    *count = count.saturating_add(1);
    *sum = sum.saturating_add(amount.minor());
}

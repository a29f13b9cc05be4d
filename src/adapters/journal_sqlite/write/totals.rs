//! Totals over time, kept in the commits that change them: what moved money, by hour, kind, outcome, class and
//! operator.
use super::Writer;
use crate::ports::JournalError;
use rusqlite::{OptionalExtension, named_params};

/// Which transactions moved money: a condition on `txn`. A sale stored offline counts until the bank has refused it or
/// the shop has said that it was not paid; a balance inquiry never.
pub(in super::super) const MOVED: &str =
    "txn.outcome IN ('approved', 'stored-offline') AND txn.kind <> 'balance'
    AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.txn = txn.id AND queue.type IN ('offline-sale', 'advice')
                        AND (queue.state = 'denied' OR queue.resolution = 'not-paid'))";

/// Which of them were undone later: a condition on `txn`. Such a transaction stays in field 48 and leaves the slip.
pub(in super::super) const UNDONE: &str = "EXISTS (SELECT 1 FROM txn AS undo WHERE undo.original = txn.id
    AND undo.outcome = 'approved' AND undo.kind IN ('void', 'pre-auth-void', 'pre-auth-complete-void'))";

impl Writer<'_> {
    /// Carries out a change of a transaction, and moves it and its original from what they counted as to what they
    /// count as now.
    pub(super) fn changing(
        &self,
        row: i64,
        change: impl FnOnce() -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let original: Option<i64> = self
            .tx
            .prepare_cached("SELECT original FROM txn WHERE id = ?1")?
            .query_row([row], |found| found.get(0))
            .optional()?
            .flatten();
        let all = || [Some(row), original].into_iter().flatten();
        all().try_for_each(|one| self.count(one, -1))?;
        change()?;
        all().try_for_each(|one| self.count(one, 1))
    }

    /// Adds a transaction to the totals (`1`) or takes it out (`-1`).
    pub(super) fn count(&self, row: i64, sign: i64) -> Result<(), JournalError> {
        let sql = format!(
            "INSERT INTO total (hour, kind, outcome, card_class, operator, count, amount, voided_count,
                 voided_amount)
             SELECT created_at / 3600000000, kind, outcome, card_class, operator, :sign, :sign * approved_amount,
                 :sign * {UNDONE}, :sign * approved_amount * {UNDONE}
             FROM txn WHERE id = :row AND {MOVED}
             ON CONFLICT (hour, kind, outcome, card_class, operator) DO UPDATE SET
                 count = count + excluded.count, amount = amount + excluded.amount,
                 voided_count = voided_count + excluded.voided_count,
                 voided_amount = voided_amount + excluded.voided_amount"
        );
        self.run(&sql, named_params! { ":row": row, ":sign": sign }).map(drop)
    }
}

//! What may go: sealed card data some time after its settlement, whole rows at the end of their retention. A portion
//! at a time, so that a sale never waits long behind it. The database overwrites what it deletes (`secure_delete`).
//!
//! Choice: detail of a batch that was closed by force is sealed until its retention ends, because nothing tells earlier
//! that nobody will ask for it. The audit trail is never shortened.
use super::super::columns::time;
use super::Writer;
use crate::domain::record::Housekeeping;
use crate::ports::JournalError;
use rusqlite::{named_params, params};

/// Rows of one commit. Deleting one touches a dozen pages at most.
const PORTION: u32 = 200;
/// Transactions that owe nothing: a condition on `txn`.
const QUIET: &str = "txn.outcome <> 'none'
    AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.txn = txn.id AND queue.state <> 'done')";

impl Writer<'_> {
    /// Does one portion, and tells whether more is left.
    pub(super) fn housekeep(&self, wanted: &Housekeeping) -> Result<bool, JournalError> {
        self.newest(wanted.at)?;
        let wiped = self.run(
            &format!(
                "UPDATE txn SET card_sealed = NULL, card_key_id = NULL WHERE id IN (
                     SELECT txn.id FROM txn INDEXED BY txn_sealed
                     WHERE card_sealed IS NOT NULL AND {QUIET} AND batch IN (
                         SELECT batch.id FROM batch INDEXED BY batch_by_end
                         WHERE closed_at < :before AND forced = 0)
                     LIMIT {PORTION})"
            ),
            named_params! { ":before": time(wanted.wipe_before)? },
        )?;
        let before = time(wanted.delete_before)?;
        let old = self.old_rows(before)?;
        old.iter().try_for_each(|row| self.delete(*row))?;
        let forgotten = self.forget_lines(before)?;
        self.delete_batches(before)?;
        let portion = PORTION as usize;
        Ok(wiped >= portion || old.len() >= portion || forgotten >= portion)
    }

    fn old_rows(&self, before: i64) -> Result<Vec<i64>, JournalError> {
        let sql = format!(
            "SELECT txn.id FROM txn INDEXED BY txn_by_batch
             WHERE {QUIET} AND batch IN (
                 SELECT batch.id FROM batch INDEXED BY batch_by_end WHERE closed_at < ?1)
             LIMIT {PORTION}"
        );
        let mut statement = self.tx.prepare_cached(&sql)?;
        let rows = statement.query_map([before], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// Deletes a transaction with everything that belongs to it. What followed it keeps the numbers it told.
    fn delete(&self, row: i64) -> Result<(), JournalError> {
        self.count(row, -1)?;
        for sql in [
            "UPDATE txn SET original = NULL WHERE original = ?1",
            "DELETE FROM timeline WHERE txn = (SELECT name FROM txn WHERE id = ?1)",
            "DELETE FROM queue WHERE txn = ?1",
            "DELETE FROM ply WHERE txn = ?1",
            "DELETE FROM txn WHERE id = ?1",
        ] {
            self.tx.prepare_cached(sql)?.execute(params![row])?;
        }
        Ok(())
    }

    /// Lines of transactions that never got a row, among the oldest.
    fn forget_lines(&self, before: i64) -> Result<usize, JournalError> {
        self.run(
            &format!(
                "DELETE FROM timeline WHERE id IN (
                     SELECT id FROM (SELECT id, txn, at FROM timeline ORDER BY id LIMIT {PORTION}) AS line
                     WHERE at < :before AND NOT EXISTS (SELECT 1 FROM txn WHERE txn.name = line.txn))"
            ),
            named_params! { ":before": before },
        )
    }

    fn delete_batches(&self, before: i64) -> Result<(), JournalError> {
        self.run(
            &format!(
                "DELETE FROM batch WHERE id IN (
                     SELECT batch.id FROM batch INDEXED BY batch_by_end
                     WHERE closed_at < :before AND NOT EXISTS (SELECT 1 FROM txn WHERE txn.batch = batch.id)
                     LIMIT {PORTION})"
            ),
            named_params! { ":before": before },
        )?;
        self.run(
            "DELETE FROM total WHERE count = 0 AND hour < :hour",
            named_params! { ":hour": before / 3_600_000_000 },
        )
        .map(drop)
    }
}

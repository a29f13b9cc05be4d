//! One commit: each record becomes rows. A record that contradicts what is stored is refused with a fault that says so,
//! and then nothing of its commit is stored.
//!
//! This file hands records out, takes numbers, and writes what has one row and no rules: plies, timelines, operators,
//! the audit trail. Transactions stand in `txn.rs`, what is owed in `queue.rs`, sign-on and settlement in `batch.rs`,
//! tables from the bank in `table.rs`,
//! totals over time in `totals.rs`, deletion in `housekeep.rs`.
mod batch;
mod housekeep;
mod queue;
mod table;
mod totals;
mod txn;

use super::columns::time;
use super::seal::Seal;
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, OperatorId, Stan, TxnId};
use crate::domain::outcome::{Ply, PrintState};
use crate::domain::record::{Committed, OperatorRow, Record, TimelineRow};
use crate::ports::JournalError;
use rusqlite::{OptionalExtension, ToSql, Transaction, named_params};
pub(super) use totals::{MOVED, UNDONE};

/// A STAN and the batch it was taken in.
type Taken = (Stan, BatchNumber);

/// Writes the records of one commit.
pub(super) struct Writer<'a> {
    tx: &'a Transaction<'a>,
    seal: &'a Seal,
}

impl<'a> Writer<'a> {
    pub(super) const fn new(tx: &'a Transaction<'a>, seal: &'a Seal) -> Self {
        Self { tx, seal }
    }

    pub(super) fn write_all(&self, records: &[Record]) -> Result<Committed, JournalError> {
        let mut all = Committed::default();
        for record in records {
            let Committed { taken, more } = self.write(record)?;
            if taken.is_some() && all.taken.is_some() {
                return refuse("one commit takes one STAN only");
            }
            all = Committed { taken: all.taken.or(taken), more: all.more || more };
        }
        Ok(all)
    }

    fn write(&self, record: &Record) -> Result<Committed, JournalError> {
        let numbered = |taken| Committed { taken, more: false };
        match record {
            Record::Sending(sending) => return self.sending(sending).map(Some).map(numbered),
            Record::ReserveStan => return self.take_stan().map(Some).map(numbered),
            Record::Closed(closed) => return self.closed(closed).map(numbered),
            Record::QueueAttempt { entry, at } => return self.queue_attempt(entry, *at).map(numbered),
            Record::Settlement(step) => return self.settlement(step).map(numbered),
            Record::Table(step) => self.table(step)?,
            Record::Unsent { id } => self.unsent(id)?,
            Record::QueueState { entry, state, response_code, ask_again, error, host, at } => {
                let code = response_code.as_ref().map(|c| c.as_str());
                self.queue_state(entry, *state, code, *ask_again, error, *at)?;
                if let Some(host) = host {
                    self.upload_answered(entry, host)?;
                }
            }
            Record::Resolved { entry, how, operator, at } => {
                self.resolved(entry, *how, operator.as_ref(), *at)?;
            }
            Record::QueuePaused { why } => {
                self.run("UPDATE terminal SET queue_paused = :why", named_params! { ":why": why })?;
            }
            Record::Housekeep(wanted) => {
                return self.housekeep(wanted).map(|more| Committed { more, taken: None });
            }
            Record::RestoreConfirmed => {
                self.run("UPDATE terminal SET restore_unconfirmed = 0", &[])?;
            }
            Record::OperatorRemoved(id) => self.remove_operator(id)?,
            Record::PlyState { id, ply, copy, state, reason } => {
                self.ply(self.row_of(id)?, *ply, *copy, *state, reason)?;
            }
            Record::Timeline { id, row } => self.timeline(id, row)?,
            Record::SignedOn { keys, new_master, batch, clock_offset } => {
                new_master.iter().try_for_each(|key| self.master_key(key))?;
                self.signed_on(keys, *batch, *clock_offset)?;
            }
            Record::MasterKeyLoaded(key) => {
                self.master_key(key)?;
                self.signed_off()?;
            }
            Record::SignedOff => self.signed_off()?,
            Record::Operator(row) => self.operator(row)?,
            Record::Audit { at, operator, text } => self.audit(*at, operator.as_ref(), text)?,
        }
        Ok(Committed::default())
    }

    /// Runs a statement that is kept prepared, and tells how many rows it changed.
    fn run(&self, sql: &str, values: &[(&str, &dyn ToSql)]) -> Result<usize, JournalError> {
        Ok(self.tx.prepare_cached(sql)?.execute(values)?)
    }

    /// Runs a statement that must change exactly one row.
    fn run_one(&self, sql: &str, values: &[(&str, &dyn ToSql)], else_say: &str) -> Result<(), JournalError> {
        if self.run(sql, values)? == 1 { Ok(()) } else { refuse(else_say) }
    }

    /// Asks a question whose answer is one 0 or 1.
    fn is(&self, sql: &str, values: &[(&str, &dyn ToSql)]) -> Result<bool, JournalError> {
        Ok(self.tx.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// Raises the clock floor.
    fn newest(&self, at: WallTime) -> Result<(), JournalError> {
        let sql = "UPDATE terminal SET newest_at = :at WHERE newest_at < :at";
        self.run(sql, named_params! { ":at": time(at)? }).map(drop)
    }

    fn row_of(&self, id: &TxnId) -> Result<i64, JournalError> {
        let found = self.row_if_here(id)?;
        found.ok_or_else(|| JournalError::Fault(format!("transaction {id} is not in the journal")))
    }

    fn row_if_here(&self, id: &TxnId) -> Result<Option<i64>, JournalError> {
        let mut statement = self.tx.prepare_cached("SELECT id FROM txn WHERE name = ?1")?;
        Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    /// The next STAN that no record of the open batch and no open entry of the queue uses, and the open batch.
    fn take_stan(&self) -> Result<Taken, JournalError> {
        let (next, number): (u32, u32) = self
            .tx
            .prepare_cached("SELECT next_stan, number FROM terminal JOIN batch ON batch.id = terminal.batch")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (first, batch) = numbers(next, number)?;
        let mut stan = first;
        while self.is_used(stan)? {
            stan = stan.next();
            if stan == first {
                return refuse("every STAN is in use; the batch must be settled");
            }
        }
        self.run("UPDATE terminal SET next_stan = :next", named_params! { ":next": stan.next().get() })?;
        Ok((stan, batch))
    }

    fn is_used(&self, stan: Stan) -> Result<bool, JournalError> {
        self.is(
            "SELECT EXISTS (SELECT 1 FROM txn WHERE batch = (SELECT batch FROM terminal) AND stan = :stan)
                 OR EXISTS (SELECT 1 FROM terminal JOIN batch ON batch.id = terminal.batch
                            WHERE batch.settle_stan = :stan)
                 OR EXISTS (SELECT 1 FROM queue JOIN txn ON txn.id = queue.txn
                            WHERE queue.state <> 'done' AND (txn.stan = :stan OR queue.stan = :stan))",
            named_params! { ":stan": stan.get() },
        )
    }

    fn ply(
        &self,
        row: i64,
        ply: Ply,
        copy: u32,
        state: PrintState,
        reason: &str,
    ) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO ply (txn, ply, copy, state, reason) VALUES (:row, :ply, :copy, :state, :reason)
             ON CONFLICT (txn, ply, copy) DO UPDATE SET state = :state, reason = :reason",
            named_params! {
                ":row": row, ":ply": ply.word(), ":copy": copy, ":state": state.word(), ":reason": reason,
            },
        )
        .map(drop)
    }

    fn timeline(&self, id: &TxnId, row: &TimelineRow) -> Result<(), JournalError> {
        self.newest(row.at)?;
        self.run(
            "INSERT INTO timeline (txn, at, what, text, stan) VALUES (:txn, :at, :what, :text, :stan)",
            named_params! {
                ":txn": id.as_str(), ":at": time(row.at)?, ":what": row.what, ":text": row.text,
                ":stan": row.stan.map(Stan::get),
            },
        )
        .map(drop)
    }

    fn audit(&self, at: WallTime, operator: Option<&OperatorId>, text: &str) -> Result<(), JournalError> {
        self.newest(at)?;
        self.run(
            "INSERT INTO audit (at, operator, text) VALUES (:at, :operator, :text)",
            named_params! {
                ":at": time(at)?, ":operator": operator.map(|o| o.as_str()), ":text": text,
            },
        )
        .map(drop)
    }

    /// Stores an operator as it now is.
    pub(super) fn operator(&self, row: &OperatorRow) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO operator (id, password_phc, factory, failures, locked_until)
             VALUES (:id, :phc, :factory, :failures, :locked_until)
             ON CONFLICT (id) DO UPDATE SET password_phc = :phc, factory = :factory, failures = :failures,
                 locked_until = :locked_until",
            named_params! {
                ":id": row.id.as_str(), ":phc": row.password_phc, ":factory": row.factory,
                ":failures": row.failures, ":locked_until": time(row.locked_until)?,
            },
        )
        .map(drop)
    }

    /// Takes an operator off; one that is gone already stays gone.
    fn remove_operator(&self, id: &OperatorId) -> Result<(), JournalError> {
        self.run("DELETE FROM operator WHERE id = :id", named_params! { ":id": id.as_str() }).map(drop)
    }
}

/// Numbers as stored.
fn numbers(stan: u32, batch: u32) -> Result<Taken, JournalError> {
    let unusable = |e| JournalError::Unusable(format!("a stored number is none: {e}"));
    Ok((Stan::new(stan).map_err(unusable)?, BatchNumber::new(batch).map_err(unusable)?))
}

fn refuse<T>(why: impl Into<String>) -> Result<T, JournalError> {
    Err(JournalError::Fault(why.into()))
}

//! What is owed: attempts, answers, what the shop says. An entry goes only by [`Writer::withdraw`], by being
//! disarmed, or with its transaction; everything else keeps it with its end.
use super::super::columns::time;
use super::{Taken, Writer, numbers, refuse};
use crate::domain::calendar::WallTime;
use crate::domain::ident::OperatorId;
use crate::domain::outcome::{EntryType, Outcome, QueueState, Resolution, ResultCode};
use crate::domain::record::{EntryId, HostFacts};
use crate::ports::JournalError;
use rusqlite::{OptionalExtension, named_params};

/// The states that an answer, the end of attempts or a person can give to an entry of a type.
const fn may_become(entry_type: EntryType, state: QueueState) -> bool {
    use QueueState::{Denied, Done, Due, Expired, Failed, Parked, Queued};
    match entry_type {
        EntryType::Reversal => matches!(state, Due | Done | Failed | Parked),
        EntryType::Script => matches!(state, Due | Done | Denied | Failed | Parked),
        EntryType::OfflineSale | EntryType::Advice => {
            matches!(state, Queued | Done | Denied | Failed | Expired | Parked)
        }
        // Only the shop ends it.
        EntryType::RefundUnknown => matches!(state, Failed | Parked),
    }
}

impl Writer<'_> {
    /// A new entry; `state` is a word or `armed`.
    pub(super) fn new_entry(
        &self,
        row: i64,
        entry_type: EntryType,
        state: &str,
        reason: Option<&str>,
        at: WallTime,
        icc: &[u8],
    ) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO queue (txn, type, state, reason, attempts, ask_again, created_at, changed_at,
                 last_error, icc)
             VALUES (:row, :type, :state, :reason, 0, 0, :at, :at, '', :icc)",
            named_params! {
                ":row": row, ":type": entry_type.word(), ":state": state, ":reason": reason,
                ":at": time(at)?, ":icc": icc,
            },
        )
        .map(drop)
    }

    /// Counts an attempt before its first byte. A script result takes its STAN with the first one.
    pub(super) fn queue_attempt(&self, entry: &EntryId, at: WallTime) -> Result<Option<Taken>, JournalError> {
        self.newest(at)?;
        let row = self.row_of(&entry.txn)?;
        self.run_one(
            "UPDATE queue SET attempts = attempts + 1, state = 'sending', changed_at = :at
             WHERE txn = :row AND type = :type AND type <> 'refund-unknown' AND attempts < 4294967295
                 AND state IN ('due', 'queued', 'sending', 'failed')",
            named_params! { ":row": row, ":type": entry.entry_type.word(), ":at": time(at)? },
            &format!("entry {entry} is not to be sent"),
        )?;
        if entry.entry_type == EntryType::Script { self.script_stan(row).map(Some) } else { Ok(None) }
    }

    /// The number of a script result, taken now if it has none.
    fn script_stan(&self, row: i64) -> Result<Taken, JournalError> {
        let (stan, batch): (Option<u32>, u32) = self
            .tx
            .prepare_cached(
                "SELECT stan, (SELECT number FROM batch JOIN terminal ON terminal.batch = batch.id)
                 FROM queue WHERE txn = ?1 AND type = 'script'",
            )?
            .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))?;
        if let Some(stan) = stan {
            return numbers(stan, batch);
        }
        let taken = self.take_stan()?;
        self.run(
            "UPDATE queue SET stan = :stan WHERE txn = :row AND type = 'script'",
            named_params! { ":row": row, ":stan": taken.0.get() },
        )?;
        Ok(taken)
    }

    pub(super) fn queue_state(
        &self,
        entry: &EntryId,
        state: QueueState,
        response_code: Option<&str>,
        ask_again: bool,
        error: &str,
        at: WallTime,
    ) -> Result<(), JournalError> {
        if !may_become(entry.entry_type, state) {
            return refuse(format!("entry {entry} cannot become {state}"));
        }
        let row = self.row_of(&entry.txn)?;
        self.changing(row, || {
            self.run_one(
                "UPDATE queue SET state = :state, response_code = coalesce(:code, response_code),
                     ask_again = :ask_again, last_error = :error, changed_at = :at
                 WHERE txn = :row AND type = :type AND state NOT IN ('armed', 'done')",
                named_params! {
                    ":row": row, ":type": entry.entry_type.word(), ":state": state.word(),
                    ":code": response_code, ":ask_again": ask_again, ":error": error, ":at": time(at)?,
                },
                &format!("entry {entry} is not open"),
            )?;
            if state == QueueState::Done && entry.entry_type == EntryType::Reversal {
                self.run(
                    "UPDATE txn SET outcome = 'reversed' WHERE id = :row AND outcome = 'unknown'",
                    named_params! { ":row": row },
                )?;
            }
            Ok(())
        })?;
        self.newest(at)
    }

    /// What else the answer to an upload said belongs to its transaction.
    pub(super) fn upload_answered(&self, entry: &EntryId, host: &HostFacts) -> Result<(), JournalError> {
        let row = self.row_of(&entry.txn)?;
        self.changing(row, || self.host(row, host))
    }

    /// The shop's word ends an entry, and settles an outcome that was unknown.
    pub(super) fn resolved(
        &self,
        entry: &EntryId,
        how: Resolution,
        operator: Option<&OperatorId>,
        at: WallTime,
    ) -> Result<(), JournalError> {
        let row = self.row_of(&entry.txn)?;
        self.changing(row, || {
            self.run_one(
                "UPDATE queue SET state = 'done', resolution = :how, resolved_by = :operator, ask_again = 0,
                     changed_at = :at
                 WHERE txn = :row AND type = :type AND state NOT IN ('armed', 'done')",
                named_params! {
                    ":row": row, ":type": entry.entry_type.word(), ":how": how.word(),
                    ":operator": operator.map(|o| o.as_str()), ":at": time(at)?,
                },
                &format!("entry {entry} is not open"),
            )?;
            let (outcome, result) = match how {
                Resolution::Paid => (Outcome::Approved, ResultCode::ResolvedPaid),
                Resolution::NotPaid => (Outcome::Failed, ResultCode::ResolvedNotPaid),
                Resolution::WrittenOff => return Ok(()),
            };
            // A script result says nothing about money.
            let decides = matches!(entry.entry_type, EntryType::Reversal | EntryType::RefundUnknown);
            self.run(
                "UPDATE txn SET outcome = :outcome, result = :result,
                     approved_amount = CASE :outcome WHEN 'approved' THEN amount ELSE 0 END
                 WHERE id = :row AND outcome = 'unknown' AND :decides",
                named_params! {
                    ":row": row, ":outcome": outcome.word(), ":result": result.word(), ":decides": decides,
                },
            )
            .map(drop)
        })?;
        self.newest(at)
    }

    /// A local void takes an entry back that the bank never heard of. One attempt, and it stays.
    pub(super) fn withdraw(&self, entry: &EntryId) -> Result<(), JournalError> {
        let row = self.row_of(&entry.txn)?;
        self.changing(row, || {
            let attempts: Option<u32> = self
                .tx
                .prepare_cached(
                    "SELECT attempts FROM queue WHERE txn = ?1 AND type = ?2 AND state <> 'done'",
                )?
                .query_row((row, entry.entry_type.word()), |found| found.get(0))
                .optional()?;
            match attempts {
                Some(0) => self
                    .run(
                        "DELETE FROM queue WHERE txn = :row AND type = :type",
                        named_params! { ":row": row, ":type": entry.entry_type.word() },
                    )
                    .map(drop),
                Some(_) => refuse(format!("entry {entry} was sent meanwhile: the bank must be asked")),
                None => refuse(format!("entry {entry} is not open")),
            }
        })
    }
}

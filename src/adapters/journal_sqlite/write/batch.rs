//! The batch: what a sign-on changes, and its settlement, one durable step after the other.
use super::super::columns::time;
use super::{Taken, Writer, refuse};
use crate::domain::calendar::WallTime;
use crate::domain::ident::BatchNumber;
use crate::domain::outcome::Verdict;
use crate::domain::record::{KeyRecord, SettlementStep};
use crate::domain::secret::MasterKeyMaterial;
use crate::ports::JournalError;
use rusqlite::named_params;

impl Writer<'_> {
    pub(super) fn signed_on(
        &self,
        keys: &KeyRecord,
        batch: Option<BatchNumber>,
        clock_offset: i64,
    ) -> Result<(), JournalError> {
        if let Some(number) = batch {
            self.adopt_batch(number, keys.loaded_at)?;
        }
        self.newest(keys.loaded_at)?;
        self.run(
            "UPDATE terminal SET keys_sealed = :sealed, keys_key_id = :key_id, tmk_check = :check,
                 keys_loaded_at = :at, clock_offset = :offset",
            named_params! {
                ":sealed": self.seal.seal("terminal", "terminal.keys_sealed", &keys.block)?,
                ":key_id": self.seal.key_id(), ":check": keys.tmk_check.as_slice(),
                ":at": time(keys.loaded_at)?, ":offset": clock_offset,
            },
        )
        .map(drop)
    }

    pub(super) fn master_key(&self, key: &MasterKeyMaterial) -> Result<(), JournalError> {
        self.run(
            "UPDATE terminal SET master_sealed = :sealed, master_key_id = :key_id",
            named_params! {
                ":sealed": self.seal.seal("terminal", "terminal.master_sealed", key.reveal())?,
                ":key_id": self.seal.key_id(),
            },
        )
        .map(drop)
    }

    pub(super) fn signed_off(&self) -> Result<(), JournalError> {
        let sql = "UPDATE terminal SET keys_sealed = NULL, keys_key_id = NULL, tmk_check = NULL,
                       keys_loaded_at = NULL";
        self.run(sql, &[]).map(drop)
    }

    /// Opens a batch of the host's number in place of an empty one.
    fn adopt_batch(&self, number: BatchNumber, at: WallTime) -> Result<(), JournalError> {
        if self.open_number()? == number {
            return Ok(());
        }
        let in_use = self.is(
            "SELECT EXISTS (SELECT 1 FROM txn WHERE batch = (SELECT batch FROM terminal) AND stan IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM queue WHERE state <> 'done')
                 OR EXISTS (SELECT 1 FROM terminal JOIN batch ON batch.id = terminal.batch
                            WHERE batch.state <> 'open')",
            &[],
        )?;
        if in_use {
            return refuse(
                "the open batch has records or obligations, or is being settled: its number stays until it is settled",
            );
        }
        self.run(
            "UPDATE batch SET state = 'closed', closed_at = :at WHERE id = (SELECT batch FROM terminal)",
            named_params! { ":at": time(at)? },
        )?;
        self.open_batch(number, at)
    }

    fn open_number(&self) -> Result<BatchNumber, JournalError> {
        let number: u32 = self
            .tx
            .prepare_cached("SELECT number FROM batch JOIN terminal ON terminal.batch = batch.id")?
            .query_row([], |row| row.get(0))?;
        BatchNumber::new(number).map_err(|e| JournalError::Unusable(format!("batch.number: {e}")))
    }

    fn open_batch(&self, number: BatchNumber, at: WallTime) -> Result<(), JournalError> {
        self.run(
            "INSERT INTO batch (number, opened_at) VALUES (:number, :at)",
            named_params! { ":number": number.get(), ":at": time(at)? },
        )?;
        let row = self.tx.last_insert_rowid();
        self.run("UPDATE terminal SET batch = :batch", named_params! { ":batch": row }).map(drop)
    }

    /// A step out of order is refused: the phases only go forward, but for a settlement that failed before its totals
    /// were frozen.
    pub(super) fn settlement(&self, step: &SettlementStep) -> Result<Option<Taken>, JournalError> {
        match step {
            SettlementStep::Begun { at, operator } => {
                self.newest(*at)?;
                self.run_one(
                    "UPDATE batch SET state = 'settling', begun_at = :at, operator = :operator
                     WHERE id = (SELECT batch FROM terminal) AND state = 'open'",
                    named_params! { ":at": time(*at)?, ":operator": operator.as_str() },
                    "the open batch is being settled already",
                )?;
            }
            SettlementStep::Reopened { at, cause } => {
                self.run_one(
                    "UPDATE batch SET state = 'open', begun_at = NULL, operator = NULL
                     WHERE id = (SELECT batch FROM terminal) AND state = 'settling' AND field48 IS NULL",
                    &[],
                    "only a settlement whose totals are not frozen can be given up",
                )?;
                let text = format!("settlement of batch {} given up: {cause}", self.open_number()?);
                self.audit(*at, None, &text)?;
            }
            SettlementStep::TotalsFrozen { field48, at } => return self.freeze(field48, *at).map(Some),
            SettlementStep::Verdict { domestic, foreign, at } => {
                self.newest(*at)?;
                self.run_one(
                    "UPDATE batch SET state = 'uploading', verdict_domestic = :domestic,
                         verdict_foreign = :foreign
                     WHERE id = (SELECT batch FROM terminal) AND state = 'settling' AND field48 IS NOT NULL",
                    named_params! { ":domestic": domestic.word(), ":foreign": foreign.word() },
                    "a verdict follows frozen totals, and there is one only",
                )?;
            }
            SettlementStep::Uploaded { records, at } => {
                self.newest(*at)?;
                self.run_one(
                    "UPDATE batch SET uploaded = max(uploaded, :records)
                     WHERE id = (SELECT batch FROM terminal) AND state = 'uploading'",
                    named_params! { ":records": records },
                    "records are uploaded after the verdict",
                )?;
            }
            SettlementStep::Closed { domestic, foreign, forced, at } => {
                self.close_batch((*domestic, *foreign), *forced, *at)?;
            }
        }
        Ok(None)
    }

    fn freeze(&self, field48: &str, at: WallTime) -> Result<Taken, JournalError> {
        self.newest(at)?;
        let taken = self.take_stan()?;
        self.run_one(
            "UPDATE batch SET field48 = :field48, settle_stan = :stan
             WHERE id = (SELECT batch FROM terminal) AND state = 'settling' AND field48 IS NULL",
            named_params! { ":field48": field48, ":stan": taken.0.get() },
            "totals are frozen once, after the settlement has begun",
        )?;
        Ok(taken)
    }

    /// Ends the open batch and opens the next one. Without the bank's verdict only a supervisor may do it.
    fn close_batch(
        &self,
        verdict: (Verdict, Verdict),
        forced: bool,
        at: WallTime,
    ) -> Result<(), JournalError> {
        self.newest(at)?;
        self.run_one(
            "UPDATE batch SET state = 'closed', closed_at = :at, verdict_domestic = :domestic,
                 verdict_foreign = :foreign, forced = :forced
             WHERE id = (SELECT batch FROM terminal)
                 AND (state = 'uploading' OR (state = 'settling' AND field48 IS NOT NULL AND :forced))",
            named_params! {
                ":at": time(at)?, ":domestic": verdict.0.word(), ":foreign": verdict.1.word(),
                ":forced": forced,
            },
            "a batch is closed after its verdict, or by force after its totals are frozen",
        )?;
        self.open_batch(self.open_number()?.next(), at)
    }

    /// What a restore changes in the copy before it becomes the journal: nothing is sent that the copy may not know the
    /// answer to, no number is given twice, and trading waits for a sign-on and for a person.
    pub(in super::super) fn restored(
        &self,
        jump: u32,
        at: WallTime,
        sha256: &str,
    ) -> Result<(), JournalError> {
        self.run(
            "UPDATE queue SET state = 'parked', last_error = 'restored from a copy'
             WHERE state IN ('due', 'queued', 'sending', 'failed') AND type <> 'refund-unknown'",
            &[],
        )?;
        self.run(
            "UPDATE terminal SET next_stan = (next_stan + :jump - 1) % 999999 + 1, restore_unconfirmed = 1",
            named_params! { ":jump": jump },
        )?;
        // A settlement that had not said anything to the bank begins anew.
        self.run(
            "UPDATE batch SET state = 'open', begun_at = NULL, operator = NULL
             WHERE state = 'settling' AND field48 IS NULL",
            &[],
        )?;
        self.signed_off()?;
        self.audit(at, None, &format!("restored from the copy with SHA-256 {sha256}"))
    }
}

//! One commit: each record becomes rows. A record that contradicts what is stored is refused with a fault
//! that says so, and then nothing of its commit is stored.
use super::columns::{amount, local, pairs, time};
use super::read::OPEN_REVERSAL;
use super::seal::Seal;
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::outcome::{Outcome, Ply, PrintState, QueueState};
use crate::domain::record::{
    CardFacts, Closed, Committed, KeyRecord, OperatorRow, Record, ReversalReason, Sending, TimelineRow,
    TxnStart,
};
use crate::ports::JournalError;
use rusqlite::{OptionalExtension, ToSql, Transaction, named_params};
use std::collections::BTreeSet;

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
        let mut committed = Committed::default();
        for record in records {
            let Some(taken) = self.write(record)? else { continue };
            if committed.taken.replace(taken).is_some() {
                return refuse("one commit takes one STAN only");
            }
        }
        Ok(committed)
    }

    fn write(&self, record: &Record) -> Result<Option<(Stan, BatchNumber)>, JournalError> {
        match record {
            Record::Sending(sending) => return self.sending(sending).map(Some),
            Record::ReserveStan => return self.take_stan().map(Some),
            Record::Unsent { id } => self.unsent(id)?,
            Record::Closed(closed) => self.closed(closed)?,
            Record::QueueAttempt { entry, at } => self.reversal_attempt(&entry.txn, *at)?,
            Record::QueueState { entry, state, response_code, ask_again, error, host: _, at } => {
                let code = response_code.as_ref().map(|c| c.as_str());
                self.reversal_state(&entry.txn, *state, code, *ask_again, error, *at)?;
            }
            Record::Resolved { .. }
            | Record::QueuePaused { .. }
            | Record::Settlement(_)
            | Record::Housekeep(_)
            | Record::RestoreConfirmed
            | Record::OperatorRemoved(_) => return refuse("the schema of this version does not hold it"),
            Record::PlyState { id, ply, copy, state, reason } => {
                self.ply(self.row_of(id)?, *ply, *copy, *state, reason)?;
            }
            Record::Timeline { id, row } => self.timeline(id, row)?,
            Record::SignedOn { keys, batch, clock_offset } => self.signed_on(keys, *batch, *clock_offset)?,
            Record::SignedOff => self.signed_off()?,
            Record::Operator(row) => self.operator(row)?,
            Record::Audit { at, operator, text } => {
                self.newest(*at)?;
                self.run(
                    "INSERT INTO audit (at, operator, text) VALUES (:at, :operator, :text)",
                    named_params! {
                        ":at": time(*at)?, ":operator": operator.as_ref().map(|o| o.as_str()), ":text": text,
                    },
                )?;
            }
        }
        Ok(None)
    }

    /// Runs a statement that is kept prepared, and tells how many rows it changed.
    fn run(&self, sql: &str, values: &[(&str, &dyn ToSql)]) -> Result<usize, JournalError> {
        Ok(self.tx.prepare_cached(sql)?.execute(values)?)
    }

    /// Runs a statement that must change exactly one row.
    fn run_one(&self, sql: &str, values: &[(&str, &dyn ToSql)], else_say: &str) -> Result<(), JournalError> {
        if self.run(sql, values)? == 1 { Ok(()) } else { refuse(else_say) }
    }

    /// Raises the clock floor.
    fn newest(&self, at: WallTime) -> Result<(), JournalError> {
        let sql = "UPDATE terminal SET newest_at = :at WHERE newest_at < :at";
        self.run(sql, named_params! { ":at": time(at)? }).map(drop)
    }

    fn row_of(&self, id: &TxnId) -> Result<i64, JournalError> {
        let found = self
            .tx
            .prepare_cached("SELECT id FROM txn WHERE name = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        found.ok_or_else(|| JournalError::Fault(format!("transaction {id} is not in the journal")))
    }

    /// The next STAN that no transaction of the open batch and no open reversal uses, and the open batch.
    fn take_stan(&self) -> Result<(Stan, BatchNumber), JournalError> {
        let (next, number): (u32, u32) = self
            .tx
            .prepare_cached("SELECT next_stan, number FROM terminal JOIN batch ON batch.id = terminal.batch")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let unusable = |e| JournalError::Unusable(format!("terminal.next_stan or batch.number: {e}"));
        let first = Stan::new(next).map_err(unusable)?;
        let batch = BatchNumber::new(number).map_err(unusable)?;
        let used = self.used_stans()?;
        let mut stan = first;
        while used.contains(&stan.get()) {
            stan = stan.next();
            if stan == first {
                return refuse("every STAN is in use; the batch must be settled");
            }
        }
        self.run("UPDATE terminal SET next_stan = :next", named_params! { ":next": stan.next().get() })?;
        Ok((stan, batch))
    }

    fn used_stans(&self) -> Result<BTreeSet<u32>, JournalError> {
        let sql = format!(
            "SELECT stan FROM txn JOIN terminal ON terminal.batch = txn.batch WHERE stan IS NOT NULL
             UNION SELECT stan FROM txn JOIN reversal ON reversal.txn = txn.id
                   WHERE {OPEN_REVERSAL} AND stan IS NOT NULL"
        );
        let mut statement = self.tx.prepare_cached(&sql)?;
        let used = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(used)
    }

    fn sending(&self, sending: &Sending) -> Result<(Stan, BatchNumber), JournalError> {
        let taken = self.take_stan()?;
        let (start, wire) = (&sending.start, &sending.wire);
        let row = self.insert_start(start)?;
        self.run(
            "UPDATE txn SET stan = :stan, sent_at = :at, mti = :mti, processing_code = :processing_code,
                 pos_entry_mode = :entry_mode, pos_condition = :condition, message_type = :message_type,
                 capability = :capability, terminal_id = :terminal_id, merchant_id = :merchant_id, icc = :icc,
                 reversal_icc = :reversal_icc WHERE id = :row",
            named_params! {
                ":row": row, ":stan": taken.0.get(), ":at": time(sending.at)?, ":mti": wire.mti,
                ":processing_code": wire.processing_code, ":entry_mode": wire.entry_mode,
                ":condition": wire.condition, ":message_type": wire.message_type,
                ":capability": wire.capability, ":terminal_id": wire.terminal_id.as_str(),
                ":merchant_id": wire.merchant_id.as_str(), ":icc": wire.icc,
                ":reversal_icc": wire.reversal_icc,
            },
        )?;
        self.card(row, &start.id, &sending.card)?;
        self.run(
            "INSERT INTO reversal (txn, state, reason, attempts, ask_again, created_at, changed_at,
                 last_error, icc)
             VALUES (:row, 'armed', :reason, 0, 0, :at, :at, '', :icc)",
            named_params! {
                ":row": row, ":reason": ReversalReason::NoAnswer.code(), ":at": time(sending.at)?,
                ":icc": wire.reversal_icc,
            },
        )?;
        // The first request of a batch fixes the identity under which it must be settled.
        self.run(
            "UPDATE batch SET terminal_id = :terminal_id, merchant_id = :merchant_id, currency = :currency
             WHERE id = (SELECT batch FROM terminal) AND terminal_id IS NULL",
            named_params! {
                ":terminal_id": wire.terminal_id.as_str(), ":merchant_id": wire.merchant_id.as_str(),
                ":currency": start.currency.alpha(),
            },
        )?;
        self.newest(sending.at)?;
        Ok(taken)
    }

    fn insert_start(&self, start: &TxnStart) -> Result<i64, JournalError> {
        self.run(
            "INSERT INTO txn (name, request_id, kind, amount, currency, arguments_sha256, operator,
                 created_at, cashier_ref, metadata, plies, batch, outcome, approved_amount)
             VALUES (:name, :request_id, :kind, :amount, :currency, :arguments, :operator, :created_at,
                 :cashier_ref, :metadata, :plies, (SELECT batch FROM terminal), 'none', 0)",
            named_params! {
                ":name": start.id.as_str(), ":request_id": start.request_id.as_str(),
                ":kind": start.kind.word(), ":amount": amount(start.amount),
                ":currency": start.currency.alpha(), ":arguments": start.arguments_sha256.as_slice(),
                ":operator": start.operator.as_str(), ":created_at": time(start.created_at)?,
                ":cashier_ref": start.cashier_ref, ":metadata": pairs(&start.metadata)?,
                ":plies": start.plies,
            },
        )?;
        self.newest(start.created_at)?;
        Ok(self.tx.last_insert_rowid())
    }

    /// Stores the card; number and expiry leave here sealed together.
    fn card(&self, row: i64, id: &TxnId, card: &CardFacts) -> Result<(), JournalError> {
        let expiry = card.expiry.as_deref().unwrap_or_default();
        let clear = zeroize::Zeroizing::new(format!("{}={expiry}", card.pan.reveal()));
        self.run(
            "UPDATE txn SET card_sealed = :sealed, card_key_id = :key_id, masked_pan = :masked,
                 card_sequence = :sequence, entry_mode = :entry_mode, card_token = :token, brand = :brand,
                 aid = :aid, label = :label, cvm = :cvm, signature_required = :signature, chip = :chip
             WHERE id = :row",
            named_params! {
                ":row": row, ":sealed": self.seal.seal(id.as_str(), "txn.card_sealed", clear.as_bytes())?,
                ":key_id": self.seal.key_id(), ":masked": card.pan.masked(), ":sequence": card.sequence,
                ":entry_mode": card.entry_mode.word(), ":token": card.token, ":brand": card.brand,
                ":aid": card.aid, ":label": card.label, ":cvm": card.cvm.word(),
                ":signature": card.signature_required, ":chip": pairs(&card.chip)?,
            },
        )
        .map(drop)
    }

    fn unsent(&self, id: &TxnId) -> Result<(), JournalError> {
        self.run_one(
            "DELETE FROM reversal WHERE txn = :row AND state = 'armed'",
            named_params! { ":row": self.row_of(id)? },
            &format!("transaction {id} has no armed reversal"),
        )
    }

    fn closed(&self, closed: &Closed) -> Result<(), JournalError> {
        let id = &closed.id;
        if closed.outcome == Outcome::None
            || (closed.outcome == Outcome::Unknown && closed.reversal.is_none())
        {
            return refuse("a closed transaction has an outcome, and an unknown one its reversal");
        }
        let row = match &closed.start {
            Some(start) if start.id == *id => self.insert_start(start)?,
            Some(_) => return refuse("a closed record names two transactions"),
            None => self.row_of(id)?,
        };
        let host = &closed.host;
        self.run_one(
            "UPDATE txn SET outcome = :outcome, result = :result, approved_amount = :approved,
                 finished_at = :finished_at, response_code = :response_code, rrn = :rrn,
                 auth_code = :auth_code, host_time = :host_time, settlement_date = :settlement_date,
                 acquirer = :acquirer, institutions = :institutions, organisation = :organisation,
                 host_text = :host_text
             WHERE id = :row AND outcome = 'none'",
            named_params! {
                ":row": row, ":outcome": closed.outcome.word(), ":result": closed.result.word(),
                ":approved": amount(closed.approved_amount), ":finished_at": time(closed.finished_at)?,
                ":response_code": host.response_code.as_ref().map(|c| c.as_str()),
                ":rrn": host.rrn.as_ref().map(|r| r.as_str()),
                ":auth_code": host.auth_code.as_ref().map(|a| a.as_str()),
                ":host_time": host.host_time.map(local), ":settlement_date": host.settlement_date,
                ":acquirer": host.acquirer, ":institutions": host.institutions,
                ":organisation": host.organisation, ":host_text": host.text,
            },
            &format!("transaction {id} has its outcome already"),
        )?;
        if let Some(card) = &closed.card {
            self.card(row, id, card)?;
        }
        match closed.reversal {
            Some(reason) => self.reversal_due(row, reason, closed)?,
            None => {
                self.run("DELETE FROM reversal WHERE txn = :row", named_params! { ":row": row })?;
            }
        }
        for ply in &closed.plies {
            self.ply(row, *ply, 0, PrintState::Held, "")?;
        }
        self.newest(closed.finished_at)
    }

    /// Makes the reversal due. It may have been disarmed before; without a stored request there is nothing to
    /// reverse.
    fn reversal_due(&self, row: i64, reason: ReversalReason, closed: &Closed) -> Result<(), JournalError> {
        self.run_one(
            "INSERT INTO reversal (txn, state, reason, attempts, ask_again, created_at, changed_at,
                 last_error, icc)
             SELECT id, 'due', :reason, 0, 0, :at, :at, '', coalesce(:icc, reversal_icc)
                 FROM txn WHERE id = :row AND stan IS NOT NULL
             ON CONFLICT (txn) DO UPDATE SET state = 'due', reason = :reason, created_at = :at,
                 changed_at = :at, icc = coalesce(:icc, icc)",
            named_params! {
                ":row": row, ":reason": reason.code(), ":at": time(closed.finished_at)?,
                ":icc": closed.reversal_icc,
            },
            &format!("transaction {} sent no request that could be reversed", closed.id),
        )
    }

    fn reversal_attempt(&self, id: &TxnId, at: WallTime) -> Result<(), JournalError> {
        self.newest(at)?;
        self.run_one(
            "UPDATE reversal SET attempts = attempts + 1, state = 'sending', changed_at = :at
             WHERE txn = :row AND state IN ('due', 'sending', 'failed') AND attempts < 4294967295",
            named_params! { ":row": self.row_of(id)?, ":at": time(at)? },
            &format!("the reversal of transaction {id} is not due"),
        )
    }

    fn reversal_state(
        &self,
        id: &TxnId,
        state: QueueState,
        response_code: Option<&str>,
        ask_again: bool,
        error: &str,
        at: WallTime,
    ) -> Result<(), JournalError> {
        if !matches!(state, QueueState::Due | QueueState::Done | QueueState::Failed) {
            return refuse("a reversal becomes due, done or failed");
        }
        let row = self.row_of(id)?;
        self.run_one(
            "UPDATE reversal SET state = :state, response_code = coalesce(:code, response_code),
                 ask_again = :ask_again, last_error = :error, changed_at = :at
             WHERE txn = :row AND state <> 'armed'",
            named_params! {
                ":row": row, ":state": state.word(), ":code": response_code, ":ask_again": ask_again,
                ":error": error, ":at": time(at)?,
            },
            &format!("transaction {id} has no reversal that was due"),
        )?;
        if state == QueueState::Done {
            self.run(
                "UPDATE txn SET outcome = 'reversed' WHERE id = :row AND outcome = 'unknown'",
                named_params! { ":row": row },
            )?;
        }
        self.newest(at)
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

    fn signed_on(
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

    /// Opens a batch of the host's number in place of an empty one.
    fn adopt_batch(&self, number: BatchNumber, at: WallTime) -> Result<(), JournalError> {
        let open: u32 = self.tx.query_row(
            "SELECT number FROM batch JOIN terminal ON terminal.batch = batch.id",
            [],
            |row| row.get(0),
        )?;
        if open == number.get() {
            return Ok(());
        }
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM txn JOIN terminal ON terminal.batch = txn.batch
                             WHERE stan IS NOT NULL)
                 OR EXISTS (SELECT 1 FROM reversal WHERE {OPEN_REVERSAL})"
        );
        if self.tx.query_row(&sql, [], |row| row.get(0))? {
            return refuse("the open batch has records or obligations: its number stays until settlement");
        }
        let at = time(at)?;
        self.run(
            "UPDATE batch SET closed_at = :at WHERE id = (SELECT batch FROM terminal)",
            named_params! { ":at": at },
        )?;
        self.run(
            "INSERT INTO batch (number, opened_at) VALUES (:number, :at)",
            named_params! { ":number": number.get(), ":at": at },
        )?;
        let row = self.tx.last_insert_rowid();
        self.run("UPDATE terminal SET batch = :batch", named_params! { ":batch": row }).map(drop)
    }

    fn signed_off(&self) -> Result<(), JournalError> {
        let sql = "UPDATE terminal SET keys_sealed = NULL, keys_key_id = NULL, tmk_check = NULL,
                       keys_loaded_at = NULL";
        self.run(sql, &[]).map(drop)
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
}

fn refuse<T>(why: &str) -> Result<T, JournalError> {
    Err(JournalError::Fault(why.to_owned()))
}

//! Transactions: the request before its first byte, and the outcome with everything that follows from it.
use super::super::columns::{amount, local, pairs, time};
use super::{Taken, Writer, numbers, refuse};
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::outcome::{CardClass, EntryType, Kind, Outcome, PrintState};
use crate::domain::record::{
    CardFacts, Closed, HostFacts, OriginalRef, ReversalReason, Sending, TxnStart, Upload, WireFacts,
};
use crate::domain::rules::{Silence, rule};
use crate::ports::JournalError;
use rusqlite::named_params;

impl Writer<'_> {
    pub(super) fn sending(&self, sending: &Sending) -> Result<Taken, JournalError> {
        let taken = self.take_stan()?;
        let start = &sending.start;
        let row = self.insert_start(start)?;
        self.run(
            "UPDATE txn SET stan = :stan, sent_at = :at WHERE id = :row",
            named_params! { ":row": row, ":stan": taken.0.get(), ":at": time(sending.at)? },
        )?;
        self.wire(row, &sending.wire)?;
        self.card(row, &start.id, &sending.card)?;
        if let Some(entry_type) = sending.arms() {
            let (reason, icc) = match entry_type {
                EntryType::Reversal => {
                    (Some(ReversalReason::NoAnswer.code()), sending.wire.reversal_icc.as_slice())
                }
                _ => (None, [].as_slice()),
            };
            self.new_entry(row, entry_type, "armed", reason, sending.at, icc)?;
        }
        self.fix_identity(&sending.wire, start.currency.alpha())?;
        self.newest(sending.at)?;
        Ok(taken)
    }

    /// The first record of a batch fixes the identity under which it must be settled.
    fn fix_identity(&self, wire: &WireFacts, currency: &str) -> Result<(), JournalError> {
        self.run(
            "UPDATE batch SET terminal_id = :terminal_id, merchant_id = :merchant_id, currency = :currency,
                 profile = :profile
             WHERE id = (SELECT batch FROM terminal) AND terminal_id IS NULL",
            named_params! {
                ":terminal_id": wire.terminal_id.as_str(), ":merchant_id": wire.merchant_id.as_str(),
                ":currency": currency, ":profile": wire.profile,
            },
        )
        .map(drop)
    }

    fn insert_start(&self, start: &TxnStart) -> Result<i64, JournalError> {
        let terms = &start.terms;
        self.run(
            "INSERT INTO txn (name, request_id, kind, amount, currency, arguments_sha256, operator,
                 created_at, cashier_ref, metadata, plies, batch, told_auth_code, supervisor, allow_partial,
                 linked, outcome, approved_amount)
             VALUES (:name, :request_id, :kind, :amount, :currency, :arguments, :operator, :created_at,
                 :cashier_ref, :metadata, :plies, (SELECT batch FROM terminal), :auth_code, :supervisor,
                 :allow_partial, :linked, 'none', 0)",
            named_params! {
                ":name": start.id.as_str(), ":request_id": start.request_id.as_str(),
                ":kind": start.kind.word(), ":amount": amount(start.amount),
                ":currency": start.currency.alpha(), ":arguments": start.arguments_sha256.as_slice(),
                ":operator": start.operator.as_str(), ":created_at": time(start.created_at)?,
                ":cashier_ref": start.cashier_ref, ":metadata": pairs(&start.metadata)?,
                ":plies": start.plies, ":auth_code": terms.auth_code.as_ref().map(|a| a.as_str()),
                ":supervisor": terms.supervisor.as_ref().map(|o| o.as_str()),
                ":allow_partial": terms.allow_partial, ":linked": terms.linked,
            },
        )?;
        let row = self.tx.last_insert_rowid();
        if let Some(original) = &terms.original {
            self.original(row, original)?;
        }
        self.newest(start.created_at)?;
        Ok(row)
    }

    /// What the transaction follows. An original that housekeeping has taken meanwhile stays told by its numbers.
    fn original(&self, row: i64, original: &OriginalRef) -> Result<(), JournalError> {
        let original_row = match &original.txn {
            Some(id) => self.row_if_here(id)?,
            None => None,
        };
        self.run(
            "UPDATE txn SET original = :original, original_batch = :batch, original_stan = :stan,
                 original_date = :date, original_rrn = :rrn, original_auth_code = :auth_code,
                 original_card = :card WHERE id = :row",
            named_params! {
                ":row": row, ":original": original_row,
                ":batch": original.batch.map(BatchNumber::get), ":stan": original.stan.map(Stan::get),
                ":date": original.date, ":rrn": original.rrn.as_ref().map(|r| r.as_str()),
                ":auth_code": original.auth_code.as_ref().map(|a| a.as_str()),
                ":card": original.card_token,
            },
        )
        .map(drop)
    }

    /// Stores the fields of the message that a reversal repeats, or that is uploaded later.
    fn wire(&self, row: i64, wire: &WireFacts) -> Result<(), JournalError> {
        self.run(
            "UPDATE txn SET mti = :mti, processing_code = :processing_code, pos_entry_mode = :entry_mode,
                 pos_condition = :condition, message_type = :message_type, capability = :capability,
                 terminal_id = :terminal_id, merchant_id = :merchant_id, profile = :profile, icc = :icc,
                 reversal_icc = :reversal_icc, original_data = :original WHERE id = :row",
            named_params! {
                ":row": row, ":mti": wire.mti, ":processing_code": wire.processing_code,
                ":entry_mode": wire.entry_mode, ":condition": wire.condition,
                ":message_type": wire.message_type, ":capability": wire.capability,
                ":terminal_id": wire.terminal_id.as_str(), ":merchant_id": wire.merchant_id.as_str(),
                ":profile": wire.profile, ":icc": wire.icc, ":reversal_icc": wire.reversal_icc,
                ":original": wire.original,
            },
        )
        .map(drop)
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

    fn kind_of(&self, row: i64) -> Result<Kind, JournalError> {
        let word: String = self
            .tx
            .prepare_cached("SELECT kind FROM txn WHERE id = ?1")?
            .query_row([row], |found| found.get(0))?;
        Kind::from_word(&word).ok_or_else(|| {
            JournalError::Unusable("txn.kind holds a value that is not allowed there".to_owned())
        })
    }

    /// Disarms what [`Sending`] armed; a balance inquiry armed nothing. Said twice it is still true.
    pub(super) fn unsent(&self, id: &TxnId) -> Result<(), JournalError> {
        let row = self.row_of(id)?;
        let open = "SELECT EXISTS (SELECT 1 FROM txn WHERE id = :row AND outcome = 'none')";
        if !self.is(open, named_params! { ":row": row })? {
            return refuse(format!("transaction {id} has its outcome already"));
        }
        self.disarm(row)
    }

    fn disarm(&self, row: i64) -> Result<(), JournalError> {
        let sql = "DELETE FROM queue WHERE txn = :row AND state = 'armed'";
        self.run(sql, named_params! { ":row": row }).map(drop)
    }

    pub(super) fn closed(&self, closed: &Closed) -> Result<Option<Taken>, JournalError> {
        let id = &closed.id;
        if closed.outcome == Outcome::None {
            return refuse("a closed transaction has an outcome");
        }
        if (closed.outcome == Outcome::StoredOffline) != closed.upload.is_some() {
            return refuse("what is stored offline is uploaded later, and nothing else is");
        }
        let row = match &closed.start {
            Some(start) if start.id == *id => self.insert_start(start)?,
            Some(_) => return refuse("a closed record names two transactions"),
            None => self.row_of(id)?,
        };
        if let Some(card) = &closed.card {
            self.card(row, id, card)?;
        }
        let taken = match &closed.upload {
            Some(upload) => Some(self.upload(row, upload, closed)?),
            None => None,
        };
        self.changing(row, || self.outcome(row, closed))?;
        self.owed(row, closed)?;
        for ply in &closed.plies {
            self.ply(row, *ply, 0, PrintState::Held, "")?;
        }
        self.newest(closed.finished_at)?;
        Ok(taken)
    }

    /// Writes how it ended and what the host said; once.
    fn outcome(&self, row: i64, closed: &Closed) -> Result<(), JournalError> {
        self.run_one(
            "UPDATE txn SET outcome = :outcome, result = :result, approved_amount = :approved,
                 finished_at = :finished_at WHERE id = :row AND outcome = 'none'",
            named_params! {
                ":row": row, ":outcome": closed.outcome.word(), ":result": closed.result.word(),
                ":approved": amount(closed.approved_amount), ":finished_at": time(closed.finished_at)?,
            },
            &format!("transaction {} has its outcome already", closed.id),
        )?;
        self.host(row, &closed.host)
    }

    /// Keeps what the host said; what it did not say this time stays.
    pub(super) fn host(&self, row: i64, host: &HostFacts) -> Result<(), JournalError> {
        self.run(
            "UPDATE txn SET response_code = coalesce(:response_code, response_code), rrn = coalesce(:rrn, rrn),
                 auth_code = coalesce(:auth_code, auth_code), host_time = coalesce(:host_time, host_time),
                 settlement_date = coalesce(:settlement_date, settlement_date),
                 acquirer = coalesce(:acquirer, acquirer), institutions = coalesce(:institutions, institutions),
                 organisation = coalesce(:organisation, organisation),
                 host_text = coalesce(:host_text, host_text), balance = coalesce(:balance, balance)
             WHERE id = :row",
            named_params! {
                ":row": row, ":response_code": host.response_code.as_ref().map(|c| c.as_str()),
                ":rrn": host.rrn.as_ref().map(|r| r.as_str()),
                ":auth_code": host.auth_code.as_ref().map(|a| a.as_str()),
                ":host_time": host.host_time.map(local), ":settlement_date": host.settlement_date,
                ":acquirer": host.acquirer, ":institutions": host.institutions,
                ":organisation": host.organisation, ":host_text": host.text, ":balance": host.balance,
            },
        )?;
        // Where no answer came, a follow-up counts as its original does: it is the same card.
        let (message_type, organisation): (Option<String>, Option<String>) = self
            .tx
            .prepare_cached(
                "SELECT t.message_type, coalesce(t.organisation, o.organisation)
                 FROM txn t LEFT JOIN txn o ON o.id = t.original WHERE t.id = ?1",
            )?
            .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))?;
        let class = CardClass::of(message_type.as_deref(), organisation.as_deref());
        self.run(
            "UPDATE txn SET card_class = :class WHERE id = :row AND card_class <> :class",
            named_params! { ":row": row, ":class": class.word() },
        )
        .map(drop)
    }

    /// What the outcome leaves to be done: everything armed is disarmed or becomes owed.
    fn owed(&self, row: i64, closed: &Closed) -> Result<(), JournalError> {
        let id = &closed.id;
        match closed.reversal {
            Some(reason) => self.reversal_due(row, reason, closed)?,
            None if closed.outcome == Outcome::Unknown => self.run_one(
                // It waits for the shop: nobody may repeat or undo a refund.
                "UPDATE queue SET state = 'failed', created_at = :at, changed_at = :at, last_error = 'no answer'
                 WHERE txn = :row AND type = 'refund-unknown' AND state = 'armed'",
                named_params! { ":row": row, ":at": time(closed.finished_at)? },
                &format!("transaction {id} is unknown, and neither a reversal nor an exception stands for it"),
            )?,
            None => self.disarm(row)?,
        }
        if let Some(icc) = &closed.script {
            self.new_entry(row, EntryType::Script, "due", None, closed.finished_at, icc)?;
        }
        match &closed.withdraws {
            Some(entry) => self.withdraw(entry),
            None => Ok(()),
        }
    }

    /// Makes the reversal due. It may have been disarmed before; without a stored request, or for a kind that cannot be
    /// reversed, there is nothing to reverse.
    fn reversal_due(&self, row: i64, reason: ReversalReason, closed: &Closed) -> Result<(), JournalError> {
        if rule(self.kind_of(row)?).silence != Silence::Reverse {
            return refuse(format!("transaction {} is of a kind that cannot be reversed", closed.id));
        }
        self.run_one(
            "INSERT INTO queue (txn, type, state, reason, attempts, ask_again, created_at, changed_at,
                 last_error, icc)
             SELECT id, 'reversal', 'due', :reason, 0, 0, :at, :at, '', coalesce(:icc, reversal_icc)
                 FROM txn WHERE id = :row AND sent_at IS NOT NULL
             ON CONFLICT (txn, type) DO UPDATE SET state = 'due', reason = :reason, created_at = :at,
                 changed_at = :at, icc = coalesce(:icc, icc)",
            named_params! {
                ":row": row, ":reason": reason.code(), ":at": time(closed.finished_at)?,
                ":icc": closed.reversal_icc,
            },
            &format!("transaction {} sent no request that could be reversed", closed.id),
        )
    }

    /// What the bank hears later: its fields, its entry, and its number unless the row has one.
    fn upload(&self, row: i64, upload: &Upload, closed: &Closed) -> Result<Taken, JournalError> {
        if !matches!(upload.entry_type, EntryType::OfflineSale | EntryType::Advice) {
            return refuse(format!("a {} is not uploaded later", upload.entry_type));
        }
        let (stan, batch, currency): (Option<u32>, u32, String) = self
            .tx
            .prepare_cached(
                "SELECT stan, number, txn.currency FROM txn JOIN batch ON batch.id = txn.batch WHERE txn.id = ?1",
            )?
            .query_row([row], |found| Ok((found.get(0)?, found.get(1)?, found.get(2)?)))?;
        let taken = match stan {
            Some(stan) => numbers(stan, batch)?,
            None => self.take_stan()?,
        };
        self.run(
            "UPDATE txn SET stan = :stan WHERE id = :row",
            named_params! { ":row": row, ":stan": taken.0.get() },
        )?;
        self.wire(row, &upload.wire)?;
        self.fix_identity(&upload.wire, &currency)?;
        self.new_entry(row, upload.entry_type, "queued", None, closed.finished_at, &upload.wire.icc)?;
        Ok(taken)
    }
}

//! Rows to facts. Every word, number and text is checked on the way in; see `columns.rs`.
use super::columns::Columns;
use super::seal::Seal;
use super::write::{MOVED, UNDONE};
use crate::domain::calendar::WallTime;
use crate::domain::download::{self, Progress, Row};
use crate::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use crate::domain::money::Currency;
use crate::domain::outcome::{
    BatchState, CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, PrintState, QueueState,
    Resolution, ResultCode, Verdict,
};
use crate::domain::record::{
    Begun, CardFacts, CardSeen, EntryRow, FollowUp, HostFacts, KeyRecord, Loaded, OperatorRow, OriginalRef,
    PlyRow, ReversalReason, SettlementRow, Terms, TimelineRow, TxnRow, TxnStart, WireFacts,
};
use crate::domain::secret::MasterKeyMaterial;
use crate::domain::secret::Pan;
use crate::domain::txn::refused::{SIGNATURE_REFUSED, UNDO_IMPOSSIBLE};
use crate::ports::JournalError;
use rusqlite::{Connection, Params};
use std::sync::Arc;

/// Which plies are still to come. The words must be those of the index `ply_open`.
const OPEN_PLY: &str = "state IN ('held', 'queued', 'printing')";
/// How many transactions a start brings back besides the open ones.
const RECENT: u32 = 20;
/// Most open ends and timeline lines read at once: far above any real day, far below the memory of a
/// terminal.
const ROWS_MAX: u32 = 10_000;

/// A transaction with what stands beside it in other tables; a condition follows.
const TXN: &str = "SELECT txn.*, batch.number AS batch_number,
        txn.batch = (SELECT batch FROM terminal) AS in_open_batch,
        (SELECT name FROM txn AS other WHERE other.id = txn.original) AS original_name
    FROM txn JOIN batch ON batch.id = txn.batch";

/// Reads with one connection.
pub(super) struct Reader<'a> {
    connection: &'a Connection,
    seal: &'a Seal,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(connection: &'a Connection, seal: &'a Seal) -> Self {
        Self { connection, seal }
    }

    /// Runs a query and reads each row.
    pub(super) fn rows<T>(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Params,
        read: impl Fn(&Columns<'_>) -> Result<T, JournalError>,
    ) -> Result<Vec<T>, JournalError> {
        #[cfg(test)]
        super::tests::note(self.connection, sql);
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(&Columns::new(table, row))?);
        }
        Ok(all)
    }

    /// Transactions chosen by a condition on `txn`, with an order and a limit.
    pub(super) fn txns(&self, condition: &str, values: impl Params) -> Result<Vec<TxnRow>, JournalError> {
        let sql = format!("{TXN} {condition}");
        let found = self.rows("txn", &sql, values, |c| Ok((c.get::<i64>("id")?, self.txn(c)?)))?;
        found.into_iter().map(|(row, txn)| self.with_children(row, txn)).collect()
    }

    fn with_children(&self, row: i64, txn: TxnRow) -> Result<TxnRow, JournalError> {
        let entries = self.rows("queue", "SELECT * FROM queue WHERE txn = ?1", [row], entry)?;
        let follow_ups = self.rows("txn", &follow_ups(), [row], follow_up)?;
        let mut plies = self.rows("ply", "SELECT * FROM ply WHERE txn = ?1", [row], ply)?;
        plies.sort_by_key(|ply| (ply.copy, ply.ply));
        Ok(TxnRow { entries, follow_ups, plies, ..txn })
    }

    pub(super) fn find(&self, id: &TxnId) -> Result<Option<TxnRow>, JournalError> {
        Ok(self.txns("WHERE txn.name = ?1", [id.as_str()])?.pop())
    }

    pub(super) fn timeline(&self, id: &TxnId) -> Result<Vec<TimelineRow>, JournalError> {
        let sql = format!("SELECT * FROM timeline WHERE txn = ?1 ORDER BY id LIMIT {ROWS_MAX}");
        self.rows("timeline", &sql, [id.as_str()], |c| {
            let stan = c.number_ident_or_null("stan", Stan::new)?;
            Ok(TimelineRow { at: c.time("at")?, what: c.text("what")?, text: c.text("text")?, stan })
        })
    }

    pub(super) fn load(&self) -> Result<Loaded, JournalError> {
        let sql = "SELECT terminal.*, number, opened_at, terminal_id, merchant_id, currency, profile, state, begun_at,
                       operator, field48, settle_stan, verdict_domestic, verdict_foreign, uploaded
                   FROM terminal JOIN batch ON batch.id = terminal.batch";
        let terminal = self.rows("terminal", sql, [], |c| self.terminal(c))?.pop();
        let terminal = terminal
            .ok_or_else(|| JournalError::Unusable("terminal has no row with an open batch".to_owned()))?;
        let open = format!(
            "WHERE txn.id IN (SELECT id FROM txn WHERE outcome = 'none'
                              UNION SELECT txn FROM queue WHERE state <> 'done'
                              UNION SELECT txn FROM ply WHERE {OPEN_PLY})
             ORDER BY txn.created_at, txn.id LIMIT {ROWS_MAX}"
        );
        let refused = "WHERE txn.batch = (SELECT batch FROM terminal) AND txn.signature_required = 1
                 AND EXISTS (SELECT 1 FROM timeline WHERE timeline.txn = txn.name AND timeline.what = ?1)
             ORDER BY txn.id";
        let not_undone = format!("SELECT txn.name FROM txn {refused}");
        let name = |c: &Columns<'_>| c.ident("name", TxnId::parse);
        let recent = format!("ORDER BY txn.created_at DESC, txn.id DESC LIMIT {RECENT}");
        let counts = "SELECT kind, count(*) AS finished FROM txn INDEXED BY txn_by_batch
                      WHERE batch = (SELECT batch FROM terminal) AND outcome IN ('approved', 'stored-offline')
                      GROUP BY kind ORDER BY kind";
        let count = |c: &Columns<'_>| {
            let kind = c.word("kind", Kind::from_word)?;
            Ok((kind.word().to_owned(), c.number("finished")?))
        };
        let records = "SELECT EXISTS (SELECT 1 FROM txn INDEXED BY txn_by_batch
                       WHERE batch = (SELECT batch FROM terminal) AND stan IS NOT NULL)";
        Ok(Loaded {
            open: self.txns(&open, [])?,
            recent: self.txns(&recent, [])?,
            refused: self.txns(refused, [SIGNATURE_REFUSED])?,
            not_undone: self.rows("txn", &not_undone, [UNDO_IMPOSSIBLE], name)?.into_iter().collect(),
            downloads: self.downloads()?,
            batch_has_records: self.connection.query_row(records, [], |row| row.get(0))?,
            counts: self.rows("txn", counts, [], count)?,
            operators: self.rows("operator", "SELECT * FROM operator ORDER BY id", [], operator)?,
            ..terminal
        })
    }

    /// Tables from the bank. A row that does not fit its digest takes its table out of use, or is asked for again.
    fn downloads(&self) -> Result<Vec<Progress>, JournalError> {
        let mut tables = self.rows("download", "SELECT * FROM download ORDER BY kind", [], |c| {
            let list = if c.is_null("list")? { None } else { Some((c.bytes("list")?, Vec::new())) };
            let kind = c.word("kind", download::Kind::from_word)?;
            Ok(Progress { kind, table: Vec::new(), swapped_at: c.time("swapped_at")?, staged: list })
        })?;
        tables.sort_by_key(|table| table.kind);
        for table in &mut tables {
            let kind = table.kind;
            let sql = "SELECT * FROM download_row WHERE kind = ?1 ORDER BY staged, key";
            let rows = self.rows("download_row", sql, [kind.word()], |c| {
                let row = Row { key: c.get("key")?, data: c.get("data")? };
                let whole = row.digest(kind) == c.bytes("digest")?;
                Ok((row, c.flag("staged")?, whole))
            })?;
            let damaged = rows.iter().filter(|(.., whole)| !whole).count();
            if damaged > 0 {
                tracing::warn!(%kind, damaged, "rows of a table from the bank are damaged; download it again");
            }
            let usable = !rows.iter().any(|(_, staged, whole)| !staged && !whole);
            for (row, staged, whole) in rows {
                match &mut table.staged {
                    Some((_, aside)) if staged && whole => aside.push(row),
                    _ if !staged && usable => table.table.push(row),
                    _ => {}
                }
            }
        }
        Ok(tables)
    }

    /// What the terminal's row and the open batch's row say.
    fn terminal(&self, c: &Columns<'_>) -> Result<Loaded, JournalError> {
        let keys = if c.is_null("keys_sealed")? { None } else { Some(self.keys(c)?) };
        let identity = if c.is_null("terminal_id")? {
            None
        } else {
            let currency = c.word("currency", Currency::from_alpha)?;
            Some(Begun {
                terminal_id: c.ident("terminal_id", TerminalId::new)?,
                merchant_id: c.ident("merchant_id", MerchantId::new)?,
                currency: currency.alpha().to_owned(),
                profile: c.get::<Option<String>>("profile")?.unwrap_or_default(),
            })
        };
        Ok(Loaded {
            next_stan: Some(c.number_ident("next_stan", Stan::new)?),
            batch: Some(c.number_ident("number", BatchNumber::new)?),
            batch_opened_at: c.time("opened_at")?,
            clock_offset: c.get("clock_offset")?,
            newest: c.time("newest_at")?,
            master_key: if c.is_null("master_sealed")? { None } else { Some(self.master_key(c)?) },
            keys,
            identity,
            settlement: settlement(c)?,
            queue_paused: c.get("queue_paused")?,
            restore_unconfirmed: c.flag("restore_unconfirmed")?,
            ..Loaded::default()
        })
    }

    fn master_key(&self, c: &Columns<'_>) -> Result<MasterKeyMaterial, JournalError> {
        let (key_id, sealed) = (c.text("master_key_id")?, c.get::<Vec<u8>>("master_sealed")?);
        let clear = self.seal.open("terminal", "terminal.master_sealed", &key_id, &sealed)?;
        let key = <[u8; 16]>::try_from(clear.as_slice()).map_err(|_| {
            JournalError::Unusable("terminal.master_sealed: the key has another length".to_owned())
        })?;
        Ok(MasterKeyMaterial::new(key))
    }

    fn keys(&self, c: &Columns<'_>) -> Result<KeyRecord, JournalError> {
        let (key_id, sealed) = (c.text("keys_key_id")?, c.get::<Vec<u8>>("keys_sealed")?);
        let block = self.seal.open("terminal", "terminal.keys_sealed", &key_id, &sealed)?;
        Ok(KeyRecord {
            block: block.to_vec(),
            tmk_check: c.bytes("tmk_check")?,
            loaded_at: c.time("keys_loaded_at")?,
        })
    }

    fn txn(&self, c: &Columns<'_>) -> Result<TxnRow, JournalError> {
        Ok(TxnRow {
            start: start(c)?,
            stan: c.number_ident_or_null("stan", Stan::new)?,
            batch: c.number_ident("batch_number", BatchNumber::new)?,
            in_open_batch: c.flag("in_open_batch")?,
            card: if c.is_null("card_sealed")? { None } else { Some(Arc::new(self.card(c)?)) },
            card_seen: if c.is_null("card_token")? { None } else { Some(card_seen(c)?) },
            masked_pan: c.get::<Option<String>>("masked_pan")?.unwrap_or_default(),
            wire: if c.is_null("mti")? { None } else { Some(wire(c)?) },
            outcome: c.word("outcome", Outcome::from_word)?,
            result: c.word_or_null("result", ResultCode::from_word)?,
            host: host(c)?,
            approved_amount: c.amount("approved_amount")?,
            finished_at: c.time_or_null("finished_at")?,
            card_class: c.word("card_class", CardClass::from_word)?,
            entries: Vec::new(),
            follow_ups: Vec::new(),
            plies: Vec::new(),
        })
    }

    fn card(&self, c: &Columns<'_>) -> Result<CardFacts, JournalError> {
        let (key_id, sealed) = (c.text("card_key_id")?, c.get::<Vec<u8>>("card_sealed")?);
        let clear = self.seal.open(&c.text("name")?, "txn.card_sealed", &key_id, &sealed)?;
        let clear = core::str::from_utf8(&clear).map_err(|_| c.bad("card_sealed"))?;
        let (pan, expiry) = clear.split_once('=').ok_or_else(|| c.bad("card_sealed"))?;
        let seen = card_seen(c)?;
        Ok(CardFacts {
            pan: Pan::new(pan).map_err(|_| c.bad("card_sealed"))?,
            expiry: (!expiry.is_empty()).then(|| expiry.to_owned()),
            sequence: if c.is_null("card_sequence")? { None } else { Some(c.number("card_sequence")?) },
            entry_mode: seen.entry_mode,
            token: seen.token,
            brand: seen.brand,
            aid: seen.aid,
            label: seen.label,
            cvm: seen.cvm,
            signature_required: seen.signature_required,
            chip: c.pairs("chip")?,
        })
    }
}

/// What stands in clear, and stays when the number is wiped.
fn card_seen(c: &Columns<'_>) -> Result<CardSeen, JournalError> {
    Ok(CardSeen {
        entry_mode: c.word("entry_mode", EntryMode::from_word)?,
        token: c.text("card_token")?,
        brand: c.text("brand")?,
        aid: c.text("aid")?,
        label: c.text("label")?,
        cvm: c.word("cvm", CvmMethod::from_word)?,
        signature_required: c.flag("signature_required")?,
    })
}

/// The settlement of the open batch, if one is under way.
fn settlement(c: &Columns<'_>) -> Result<Option<SettlementRow>, JournalError> {
    let state = c.word("state", BatchState::from_word)?;
    if state == BatchState::Open {
        return Ok(None);
    }
    let frozen = match c.get::<Option<String>>("field48")? {
        Some(field48) => Some((field48, c.number_ident("settle_stan", Stan::new)?)),
        None => None,
    };
    Ok(Some(SettlementRow {
        state,
        begun_at: c.time("begun_at")?,
        operator: c.ident("operator", OperatorId::new)?,
        frozen,
        verdict: verdict(c)?,
        uploaded: c.number("uploaded")?,
    }))
}

/// The bank's word on a batch: domestic, foreign.
pub(super) fn verdict(c: &Columns<'_>) -> Result<Option<(Verdict, Verdict)>, JournalError> {
    let domestic = c.word_or_null("verdict_domestic", Verdict::from_word)?;
    Ok(domestic.zip(c.word_or_null("verdict_foreign", Verdict::from_word)?))
}

fn start(c: &Columns<'_>) -> Result<TxnStart, JournalError> {
    Ok(TxnStart {
        id: c.ident("name", TxnId::parse)?,
        request_id: c.ident("request_id", RequestId::new)?,
        kind: c.word("kind", Kind::from_word)?,
        amount: c.amount("amount")?,
        currency: c.word("currency", Currency::from_alpha)?,
        arguments_sha256: c.bytes("arguments_sha256")?,
        operator: c.ident("operator", OperatorId::new)?,
        created_at: c.time("created_at")?,
        cashier_ref: c.get("cashier_ref")?,
        metadata: c.pairs("metadata")?,
        plies: c.number("plies")?,
        terms: Terms {
            original: original(c)?,
            auth_code: c.ident_or_null("told_auth_code", AuthCode::new)?,
            supervisor: c.ident_or_null("supervisor", OperatorId::new)?,
            allow_partial: c.flag("allow_partial")?,
            linked: c.flag("linked")?,
        },
    })
}

/// What a follow-up knows of its original; `None` if it is none.
fn original(c: &Columns<'_>) -> Result<Option<OriginalRef>, JournalError> {
    let original = OriginalRef {
        txn: c.ident_or_null("original_name", TxnId::parse)?,
        batch: c.number_ident_or_null("original_batch", BatchNumber::new)?,
        stan: c.number_ident_or_null("original_stan", Stan::new)?,
        date: c.get("original_date")?,
        rrn: c.ident_or_null("original_rrn", Rrn::new)?,
        auth_code: c.ident_or_null("original_auth_code", AuthCode::new)?,
        card_token: c.get("original_card")?,
    };
    Ok(Some(original).filter(|original| *original != OriginalRef::default()))
}

fn wire(c: &Columns<'_>) -> Result<WireFacts, JournalError> {
    Ok(WireFacts {
        mti: c.text("mti")?,
        processing_code: c.text("processing_code")?,
        entry_mode: c.text("pos_entry_mode")?,
        condition: c.text("pos_condition")?,
        message_type: c.text("message_type")?,
        capability: c.text("capability")?,
        terminal_id: c.ident("terminal_id", TerminalId::new)?,
        merchant_id: c.ident("merchant_id", MerchantId::new)?,
        profile: c.get::<Option<String>>("profile")?.unwrap_or_default(),
        reversal_icc: c.get("reversal_icc")?,
        icc: c.get("icc")?,
        original: c.get::<Option<String>>("original_data")?.unwrap_or_default(),
    })
}

fn host(c: &Columns<'_>) -> Result<HostFacts, JournalError> {
    Ok(HostFacts {
        response_code: c.ident_or_null("response_code", ResponseCode::new)?,
        rrn: c.ident_or_null("rrn", Rrn::new)?,
        auth_code: c.ident_or_null("auth_code", AuthCode::new)?,
        host_time: c.local_time("host_time")?,
        settlement_date: c.get("settlement_date")?,
        acquirer: c.get("acquirer")?,
        institutions: c.get("institutions")?,
        organisation: c.get("organisation")?,
        text: c.get("host_text")?,
        balance: c.get("balance")?,
    })
}

fn entry(c: &Columns<'_>) -> Result<EntryRow, JournalError> {
    let entry_type = c.word("type", EntryType::from_word)?;
    let armed = c.text("state")? == "armed";
    // While armed it stands as what recovery makes of it.
    let state = match entry_type {
        EntryType::RefundUnknown if armed => QueueState::Failed,
        _ if armed => QueueState::Due,
        _ => c.word("state", QueueState::from_word)?,
    };
    Ok(EntryRow {
        entry_type,
        state,
        armed,
        reason: c.word_or_null("reason", ReversalReason::from_code)?,
        attempts: c.number("attempts")?,
        ask_again: c.flag("ask_again")?,
        created_at: c.time("created_at")?,
        changed_at: c.time("changed_at")?,
        response_code: c.ident_or_null("response_code", ResponseCode::new)?,
        last_error: c.text("last_error")?,
        resolution: c.word_or_null("resolution", Resolution::from_word)?,
        stan: c.number_ident_or_null("stan", Stan::new)?,
        icc: c.get("icc")?,
    })
}

/// What followed a transaction. A script result that is still owed says nothing about its money, and an upload that
/// the bank has refused leaves nothing open.
fn follow_ups() -> String {
    format!(
        "SELECT name, kind, outcome, amount, approved_amount, {MOVED} AND NOT {UNDONE} AS stands,
             EXISTS (SELECT 1 FROM queue WHERE queue.txn = txn.id AND state NOT IN ('done', 'denied')
                         AND type <> 'script') AS unresolved
         FROM txn WHERE original = ?1 ORDER BY id"
    )
}

fn follow_up(c: &Columns<'_>) -> Result<FollowUp, JournalError> {
    let outcome = c.word("outcome", Outcome::from_word)?;
    let known = !matches!(outcome, Outcome::None | Outcome::Unknown);
    Ok(FollowUp {
        id: c.ident("name", TxnId::parse)?,
        kind: c.word("kind", Kind::from_word)?,
        outcome,
        amount: c.amount(if known { "approved_amount" } else { "amount" })?,
        unresolved: c.flag("unresolved")?,
        stands: c.flag("stands")?,
    })
}

fn ply(c: &Columns<'_>) -> Result<PlyRow, JournalError> {
    Ok(PlyRow {
        ply: c.word("ply", Ply::from_word)?,
        copy: c.number("copy")?,
        state: c.word("state", PrintState::from_word)?,
        reason: c.text("reason")?,
    })
}

fn operator(c: &Columns<'_>) -> Result<OperatorRow, JournalError> {
    Ok(OperatorRow {
        id: c.ident("id", OperatorId::new)?,
        password_phc: c.text("password_phc")?,
        factory: c.flag("factory")?,
        failures: c.number("failures")?,
        locked_until: WallTime(c.number("locked_until")?),
    })
}

//! Rows to facts. Every word, number and text is checked on the way in; see `columns.rs`.
use super::columns::Columns;
use super::seal::Seal;
use crate::domain::calendar::WallTime;
use crate::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use crate::domain::money::Currency;
use crate::domain::outcome::{
    CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, PrintState, QueueState, ResultCode,
};
use crate::domain::record::{
    CardFacts, EntryRow, HostFacts, KeyRecord, Loaded, OperatorRow, PlyRow, ReversalReason, Terms,
    TimelineRow, TxnRow, TxnStart, WireFacts,
};
use crate::domain::secret::Pan;
use crate::ports::JournalError;
use rusqlite::{Connection, Params};

/// Which reversals are obligations. The words must be those of the index `reversal_open`.
pub(super) const OPEN_REVERSAL: &str = "state <> 'done'";
/// Which plies are still to come. The words must be those of the index `ply_open`.
const OPEN_PLY: &str = "state IN ('held', 'queued', 'printing')";
/// How many transactions a start brings back besides the open ones.
const RECENT: u32 = 20;
/// Most open ends and timeline lines read at once: far above any real day, far below the memory of a
/// terminal.
const ROWS_MAX: u32 = 10_000;

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
    fn rows<T>(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Params,
        read: impl Fn(&Columns<'_>) -> Result<T, JournalError>,
    ) -> Result<Vec<T>, JournalError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(read(&Columns::new(table, row))?);
        }
        Ok(all)
    }

    /// Transactions chosen by a condition on `txn` and `number` (of the batch), with an order and a limit.
    pub(super) fn txns(&self, condition: &str, values: impl Params) -> Result<Vec<TxnRow>, JournalError> {
        let sql = format!(
            "SELECT txn.*, batch.number AS batch_number
             FROM txn JOIN batch ON batch.id = txn.batch {condition}"
        );
        let found = self.rows("txn", &sql, values, |c| Ok((c.get::<i64>("id")?, self.txn(c)?)))?;
        found.into_iter().map(|(row, txn)| self.with_reversal_and_plies(row, txn)).collect()
    }

    fn with_reversal_and_plies(&self, row: i64, txn: TxnRow) -> Result<TxnRow, JournalError> {
        let entries = self.rows("reversal", "SELECT * FROM reversal WHERE txn = ?1", [row], reversal)?;
        let plies =
            self.rows("ply", "SELECT * FROM ply WHERE txn = ?1 ORDER BY copy, ply DESC", [row], ply)?;
        Ok(TxnRow { entries, plies, ..txn })
    }

    pub(super) fn find(&self, id: &TxnId) -> Result<Option<TxnRow>, JournalError> {
        Ok(self.txns("WHERE txn.name = ?1", [id.as_str()])?.pop())
    }

    /// Where a transaction stands in the order of pages: its time and row.
    pub(super) fn position(&self, id: &TxnId) -> Result<Option<(i64, i64)>, JournalError> {
        let sql = "SELECT created_at, id FROM txn WHERE name = ?1";
        let found =
            self.rows("txn", sql, [id.as_str()], |c| Ok((c.number("created_at")?, c.number("id")?)))?;
        Ok(found.into_iter().next())
    }

    pub(super) fn timeline(&self, id: &TxnId) -> Result<Vec<TimelineRow>, JournalError> {
        let sql = format!("SELECT * FROM timeline WHERE txn = ?1 ORDER BY id LIMIT {ROWS_MAX}");
        self.rows("timeline", &sql, [id.as_str()], |c| {
            let stan = if c.is_null("stan")? { None } else { Some(c.number_ident("stan", Stan::new)?) };
            Ok(TimelineRow { at: c.time("at")?, what: c.text("what")?, text: c.text("text")?, stan })
        })
    }

    pub(super) fn load(&self) -> Result<Loaded, JournalError> {
        let sql = "SELECT terminal.*, number, opened_at, terminal_id, merchant_id, currency
                   FROM terminal JOIN batch ON batch.id = terminal.batch";
        let terminal = self.rows("terminal", sql, [], |c| self.terminal(c))?.pop();
        let terminal = terminal
            .ok_or_else(|| JournalError::Unusable("terminal has no row with an open batch".to_owned()))?;
        let open = format!(
            "WHERE txn.id IN (SELECT id FROM txn WHERE outcome = 'none'
                              UNION SELECT txn FROM reversal WHERE {OPEN_REVERSAL}
                              UNION SELECT txn FROM ply WHERE {OPEN_PLY})
             ORDER BY txn.created_at, txn.id LIMIT {ROWS_MAX}"
        );
        let recent = format!("ORDER BY txn.created_at DESC, txn.id DESC LIMIT {RECENT}");
        let counts = "SELECT kind, count(*) AS finished FROM txn JOIN terminal ON terminal.batch = txn.batch
                      WHERE outcome = 'approved' GROUP BY kind ORDER BY kind";
        let count = |c: &Columns<'_>| {
            let kind = c.word("kind", Kind::from_word)?;
            Ok((kind.word().to_owned(), c.number("finished")?))
        };
        let records = "SELECT EXISTS (SELECT 1 FROM txn JOIN terminal ON terminal.batch = txn.batch
                       WHERE stan IS NOT NULL)";
        Ok(Loaded {
            open: self.txns(&open, [])?,
            recent: self.txns(&recent, [])?,
            batch_has_records: self.connection.query_row(records, [], |row| row.get(0))?,
            counts: self.rows("txn", counts, [], count)?,
            operators: self.rows("operator", "SELECT * FROM operator ORDER BY id", [], operator)?,
            ..terminal
        })
    }

    /// What the terminal's row and the open batch's row say.
    fn terminal(&self, c: &Columns<'_>) -> Result<Loaded, JournalError> {
        let keys = if c.is_null("keys_sealed")? { None } else { Some(self.keys(c)?) };
        let identity = if c.is_null("terminal_id")? {
            None
        } else {
            let currency = c.word("currency", Currency::from_alpha)?;
            Some((
                c.ident("terminal_id", TerminalId::new)?,
                c.ident("merchant_id", MerchantId::new)?,
                currency.alpha().to_owned(),
            ))
        };
        Ok(Loaded {
            next_stan: Some(c.number_ident("next_stan", Stan::new)?),
            batch: Some(c.number_ident("number", BatchNumber::new)?),
            batch_opened_at: c.time("opened_at")?,
            clock_offset: c.get("clock_offset")?,
            newest: c.time("newest_at")?,
            keys,
            identity,
            ..Loaded::default()
        })
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
        let result = c.get::<Option<String>>("result")?;
        let null_or_time = |column| if c.is_null(column)? { Ok(None) } else { c.time(column).map(Some) };
        Ok(TxnRow {
            start: start(c)?,
            stan: if c.is_null("stan")? { None } else { Some(c.number_ident("stan", Stan::new)?) },
            batch: c.number_ident("batch_number", BatchNumber::new)?,
            in_open_batch: true,
            card: if c.is_null("card_sealed")? { None } else { Some(self.card(c)?) },
            masked_pan: c.get::<Option<String>>("masked_pan")?.unwrap_or_default(),
            wire: if c.is_null("mti")? { None } else { Some(wire(c)?) },
            outcome: c.word("outcome", Outcome::from_word)?,
            result: match result {
                Some(word) => Some(ResultCode::from_word(&word).ok_or_else(|| c.bad("result"))?),
                None => None,
            },
            host: host(c)?,
            approved_amount: c.amount("approved_amount")?,
            finished_at: null_or_time("finished_at")?,
            card_class: CardClass::Domestic,
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
        Ok(CardFacts {
            pan: Pan::new(pan).map_err(|_| c.bad("card_sealed"))?,
            expiry: (!expiry.is_empty()).then(|| expiry.to_owned()),
            sequence: if c.is_null("card_sequence")? { None } else { Some(c.number("card_sequence")?) },
            entry_mode: c.word("entry_mode", EntryMode::from_word)?,
            token: c.text("card_token")?,
            brand: c.text("brand")?,
            aid: c.text("aid")?,
            label: c.text("label")?,
            cvm: c.word("cvm", CvmMethod::from_word)?,
            signature_required: c.flag("signature_required")?,
            chip: c.pairs("chip")?,
        })
    }
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
        terms: Terms::default(),
    })
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
        reversal_icc: c.get("reversal_icc")?,
        icc: c.get("icc")?,
        original: String::new(),
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
        balance: None,
    })
}

fn reversal(c: &Columns<'_>) -> Result<EntryRow, JournalError> {
    let armed = c.text("state")? == "armed";
    let state = if armed { QueueState::Due } else { c.word("state", QueueState::from_word)? };
    if !matches!(state, QueueState::Due | QueueState::Sending | QueueState::Done | QueueState::Failed) {
        return Err(c.bad("state"));
    }
    Ok(EntryRow {
        entry_type: EntryType::Reversal,
        state,
        armed,
        reason: Some(c.word("reason", ReversalReason::from_code)?),
        attempts: c.number("attempts")?,
        ask_again: c.flag("ask_again")?,
        created_at: c.time("created_at")?,
        response_code: c.ident_or_null("response_code", ResponseCode::new)?,
        last_error: c.text("last_error")?,
        resolution: None,
        stan: None,
        icc: c.get("icc")?,
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

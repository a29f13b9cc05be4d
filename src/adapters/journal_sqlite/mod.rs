//! The journal on SQLite: one file `journal.db` in write-ahead mode, one connection, one writer.
//!
//! A full commit is one WAL commit with one fdatasync; a lazy one is written in order and synced by the next full
//! one. The meaning of each record stands in [`crate::domain::record`]; `write` carries it out, `read.rs` reads back,
//! `find.rs` and `query.rs` look things up, `schema.sql` explains each column, `migrate.rs` brings older schemas up
//! to it, `seal.rs` seals card data and keys. Nothing here decides about money, and nothing is retried here: after an
//! error the caller reopens and looks.
mod columns;
mod copy;
mod files;
mod find;
mod migrate;
mod query;
mod read;
mod seal;
#[cfg(test)]
mod tests;
mod write;

use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::money::Amount;
use crate::domain::record::{
    BatchRow, Committed, Loaded, OperatorRow, OriginalRef, Record, TimelineRow, TotalsRow, TxnFilter, TxnRow,
};
use crate::ports::{BackupFacts, CheckCopy, Durability, Journal, JournalError};
use files::JournalDir;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use seal::Seal;
use std::path::Path;
use std::sync::Arc;

/// Pages in the write-ahead log after which a full commit also writes them back: 4 MiB.
const CHECKPOINT_PAGES: i64 = 1000;

/// The journal of this terminal. Belongs to one thread; a second one on the same directory is refused.
pub struct SqliteJournal {
    dir: JournalDir,
    seal: Seal,
    /// `None` after a reopen that failed.
    connection: Option<Connection>,
    /// What the connection is set to.
    durability: Option<Durability>,
    /// Another journal stands in the place of the one that was read: nothing is written until the process starts again.
    replaced: bool,
}

impl SqliteJournal {
    /// Opens the journal in `dir` (made with mode 0700 where it is missing).
    ///
    /// A new one gets STAN 1, batch 1 opened `now`, and the operators of `factory`, which is called only
    /// then: hashing their passwords takes about a quarter of a second. Returns after the new journal is on
    /// the disk.
    ///
    /// # Errors
    /// [`JournalError::Unusable`]: another daemon holds it, it is not a journal, its schema is newer, or it
    /// is sealed under another storage key. Else what the disk says.
    pub fn open(
        dir: &Path,
        storage_key: [u8; 32],
        now: WallTime,
        factory: impl FnOnce() -> Vec<OperatorRow>,
    ) -> Result<Self, JournalError> {
        let storage_key = zeroize::Zeroizing::new(storage_key);
        let dir = JournalDir::open(dir)?;
        dir.drop_next();
        dir.make_database().map_err(|e| JournalError::Fault(format!("cannot make journal.db: {e}")))?;
        let seal = Seal::new(&storage_key)?;
        let mut journal = Self { dir, seal, connection: None, durability: None, replaced: false };
        let mut connection = open_database(&journal.dir.database())?;
        if migrate::version(&connection)? == 0 {
            migrate::create(&mut connection, &journal.seal, now, &factory())?;
        }
        journal.adopt(connection)?;
        journal.dir.make_ballast();
        Ok(journal)
    }

    /// Takes a connection into use if its schema and storage key are ours, and brings an older schema up. The
    /// checkpoint makes durable whatever is read from here on: a log left by a commit that was reported as failed may
    /// still stand in memory only.
    fn adopt(&mut self, mut connection: Connection) -> Result<(), JournalError> {
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Err(JournalError::Fault("the checkpoint was held back".to_owned()));
        }
        migrate::check_known(migrate::version(&connection)?)?;
        let key_id: String =
            connection.query_row("SELECT storage_key_id FROM terminal", [], |row| row.get(0))?;
        if key_id != self.seal.key_id() {
            return Err(self.seal.wrong_key(&key_id));
        }
        migrate::migrate(&mut connection)?;
        self.connection = Some(connection);
        self.durability = None;
        Ok(())
    }

    fn reader(&self) -> Result<read::Reader<'_>, JournalError> {
        Ok(read::Reader::new(self.connection()?, &self.seal))
    }

    fn connection(&self) -> Result<&Connection, JournalError> {
        self.connection.as_ref().ok_or_else(|| JournalError::Fault("it could not be opened again".to_owned()))
    }

    /// Switches between synced and unsynced commits; SQLite takes this only outside a transaction. A lazy
    /// commit does not check point either, because that would sync.
    fn set_durability(&mut self, durability: Durability) -> Result<(), JournalError> {
        if self.durability == Some(durability) {
            return Ok(());
        }
        self.durability = None;
        let (synchronous, checkpoint) = match durability {
            Durability::Full => ("FULL", CHECKPOINT_PAGES),
            Durability::Lazy => ("NORMAL", 0),
        };
        let connection = self.connection()?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", checkpoint, |_| Ok(()))?;
        self.durability = Some(durability);
        Ok(())
    }

    fn write(&mut self, records: &[Record], durability: Durability) -> Result<Committed, JournalError> {
        self.set_durability(durability)?;
        let connection = self
            .connection
            .as_mut()
            .ok_or_else(|| JournalError::Fault("it could not be opened again".to_owned()))?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let committed = write::Writer::new(&transaction, &self.seal).write_all(records)?;
        transaction.commit()?;
        if records.contains(&Record::RestoreConfirmed) {
            self.dir.drop_replaced();
        }
        Ok(committed)
    }
}

impl Journal for SqliteJournal {
    /// On [`JournalError::Full`] the ballast is given up, so that the caller's next try has room for the
    /// obligations.
    fn commit(&mut self, records: &[Record], durability: Durability) -> Result<Committed, JournalError> {
        match self.write(records, durability) {
            // Some file systems notice only in fdatasync, and then SQLite calls it an input/output error.
            Err(JournalError::Fault(why)) if !self.dir.is_full() => Err(JournalError::Fault(why)),
            Err(JournalError::Full | JournalError::Fault(_)) => {
                self.dir.drop_ballast();
                Err(JournalError::Full)
            }
            other => other,
        }
    }

    /// Also makes the ballast again where there is room.
    fn reopen(&mut self) -> Result<(), JournalError> {
        self.durability = None;
        if let Some(old) = self.connection.take() {
            // Dropped either way: a connection whose commit failed is not asked for anything again.
            drop(old.close());
        }
        if self.replaced {
            return Err(restored());
        }
        let connection = open_database(&self.dir.database())?;
        self.adopt(connection)?;
        self.dir.make_ballast();
        Ok(())
    }

    fn load(&mut self) -> Result<Loaded, JournalError> {
        self.reader()?.load()
    }

    fn find(&mut self, id: &TxnId) -> Result<Option<TxnRow>, JournalError> {
        self.reader()?.find(id)
    }

    fn query(
        &mut self,
        filter: &TxnFilter,
        limit: u32,
        cursor: &str,
    ) -> Result<(Vec<TxnRow>, String), JournalError> {
        query::page(&self.reader()?, filter, limit, cursor)
    }

    fn find_original(&mut self, wanted: &OriginalRef) -> Result<Option<TxnRow>, JournalError> {
        find::original(&self.reader()?, wanted)
    }

    fn find_duplicate(
        &mut self,
        card_token: &str,
        amount: Amount,
        since: WallTime,
    ) -> Result<Option<TxnId>, JournalError> {
        find::duplicate(&self.reader()?, card_token, amount, since)
    }

    fn totals(&mut self, filter: &TxnFilter) -> Result<Vec<TotalsRow>, JournalError> {
        find::totals(&self.reader()?, filter)
    }

    fn open_batch(&mut self) -> Result<Vec<TxnRow>, JournalError> {
        find::open_batch(&self.reader()?)
    }

    fn batch(&mut self, number: Option<BatchNumber>) -> Result<Option<BatchRow>, JournalError> {
        find::batch(&self.reader()?, number)
    }

    fn backup(&mut self, to: &Path) -> Result<(), JournalError> {
        let from = self.connection()?;
        let pages: u32 = from.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let size: u32 = from.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        if !files::has_room(to, u64::from(pages).saturating_mul(size.into())) {
            return Err(JournalError::Full);
        }
        copy::write(from, to)
    }

    fn quick_check(&mut self) -> Result<(), JournalError> {
        let word: String = self.connection()?.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        match word.as_str() {
            "ok" => Ok(()),
            damage => Err(JournalError::Unusable(format!("the journal is damaged: {damage}"))),
        }
    }

    fn checker(&self) -> CheckCopy {
        let seal = self.seal.clone();
        Arc::new(move |path: &Path| copy::check(path, &seal))
    }

    /// Choice: this journal answers nothing afterwards, not even a reopen: what the process knows belongs to the
    /// journal that was there before. The process starts again, and recovery reads the restored one.
    fn restore(&mut self, from: &Path) -> Result<BackupFacts, JournalError> {
        let facts = copy::check(from, &self.seal)?;
        if self.connection.is_none() {
            // Broken is what does not open even now.
            drop(self.reopen());
        }
        if let Some(live) = &self.connection
            && copy::newest_business(live)? > copy::newest_business_of(from)?
        {
            return Err(JournalError::Unusable(
                "the journal in use has newer business than the copy, which a restore would lose; \
                 settle first, or move journal.db away and start posd again"
                    .to_owned(),
            ));
        }
        copy::prepare(from, &self.dir, &self.seal, &facts).inspect_err(|_| self.dir.drop_next())?;
        if let Some(live) = self.connection.take() {
            // Everything in its log goes into the file that is kept aside.
            live.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            drop(live.close());
        }
        self.durability = None;
        self.dir.put_next().map_err(|e| JournalError::Fault(format!("cannot replace journal.db: {e}")))?;
        self.replaced = true;
        Ok(facts)
    }

    fn timeline(&mut self, id: &TxnId) -> Result<Vec<TimelineRow>, JournalError> {
        self.reader()?.timeline(id)
    }
}

fn restored() -> JournalError {
    JournalError::Fault("the journal was restored; posd must start again to read it".to_owned())
}

/// A connection set up as the house wants it; the schema is not looked at yet.
fn open_database(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Exclusive before the first read: SQLite then keeps the WAL index in memory, makes no -shm file, and
    // no other program can hold a checkpoint back.
    connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(JournalError::Fault(format!("journal mode is {mode}, not wal")));
    }
    for (name, value) in
        [("synchronous", "FULL"), ("foreign_keys", "ON"), ("trusted_schema", "OFF"), ("secure_delete", "ON")]
    {
        connection.pragma_update(None, name, value)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// SQLite's errors in the words of the port. None of its texts quotes a value.
impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Unusable(format!("journal.db is damaged or not a database: {error}"))
            }
            _ => Self::Fault(error.to_string()),
        }
    }
}

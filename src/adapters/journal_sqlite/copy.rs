//! Copies of the journal: made while it is in use, checked, and put in its place.
//!
//! A copy is one SQLite file without a write-ahead log. It is as well sealed as the journal: card data and keys in it
//! open with the storage key only, which it does not hold.
use super::files::{self, JournalDir};
use super::migrate;
use super::read::Reader;
use super::seal::Seal;
use super::write::Writer;
use crate::domain::calendar::WallTime;
use crate::domain::txn::recovery::recover;
use crate::ports::{BackupFacts, JournalError};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Pages copied at a time: 4 MiB.
const PAGES: i32 = 1024;
/// How far the STAN jumps at a restore: farther than the copy can be behind, so that no number is given twice.
const STAN_JUMP: u32 = 10_000;

/// Writes a copy to a new file, and returns after it is on the disk. After an error there is no file. The copy is not
/// checked here.
pub(super) fn write(from: &Connection, to: &Path) -> Result<(), JournalError> {
    let file = files::new_private_file(to).map_err(|e| at_file("make", to, &e))?;
    fill(from, to)
        .and_then(|()| file.sync_all().map_err(|e| at_file("write", to, &e)))
        .inspect_err(|_| files::remove(to))
}

fn fill(from: &Connection, to: &Path) -> Result<(), JournalError> {
    let mut copy = Connection::open_with_flags(to, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
    let backup = Backup::new(from, &mut copy)?;
    loop {
        match backup.step(PAGES)? {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(JournalError::Fault("the journal is locked by somebody else".to_owned())),
        }
    }
    drop(backup);
    // The header of the journal says write-ahead; a copy stands alone.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    copy.close().map_err(|(_, error)| error.into())
}

/// Checks a copy: whole, ours, of a schema that this version reads, sealed under this key.
pub(super) fn check(copy: &Path, seal: &Seal) -> Result<BackupFacts, JournalError> {
    let (bytes, sha256) = digest(copy).map_err(|e| at_file("read", copy, &e))?;
    let found = Connection::open_with_flags(copy, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    found.pragma_update(None, "trusted_schema", "OFF")?;
    found.pragma_update(None, "cell_size_check", "ON")?;
    let version = migrate::version(&found).map_err(named)?;
    if version == 0 {
        return Err(JournalError::Unusable("the copy is not a journal of posd".to_owned()));
    }
    migrate::check_known(version)?;
    let word: String =
        found.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(named_sql)?;
    if word != "ok" {
        return Err(JournalError::Unusable(format!("the copy is damaged: {word}")));
    }
    // Whoever could write the file must not make the database do more than the journal's own.
    let foreign = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'view'
                       OR (type = 'trigger' AND name NOT IN ('audit_is_not_changed', 'audit_is_not_deleted')))";
    if found.query_row(foreign, [], |row| row.get(0)).map_err(named_sql)? {
        return Err(JournalError::Unusable("the copy holds views or triggers that are not ours".to_owned()));
    }
    let key_id: String =
        found.query_row("SELECT storage_key_id FROM terminal", [], |row| row.get(0)).map_err(named_sql)?;
    if key_id != seal.key_id() {
        return Err(seal.wrong_key(&key_id));
    }
    let facts = "SELECT count(*), coalesce(max(created_at), 0) FROM txn";
    let (transactions, newest): (u32, i64) =
        found.query_row(facts, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(named_sql)?;
    let newest = u64::try_from(newest)
        .map_err(|_| JournalError::Unusable("the copy holds a time before 1970".to_owned()))?;
    Ok(BackupFacts { bytes, sha256, transactions: transactions.into(), newest_transaction: WallTime(newest) })
}

/// Makes the file that takes the journal's place, beside it: migrated, with what was interrupted put right, everything
/// that was not answered parked, the numbers ahead, nobody signed on. Returns after it is on the disk.
pub(super) fn prepare(
    copy: &Path,
    dir: &JournalDir,
    seal: &Seal,
    facts: &BackupFacts,
) -> Result<(), JournalError> {
    let next = dir.next_database();
    dir.drop_next();
    if !files::has_room(&next, facts.bytes) {
        return Err(JournalError::Full);
    }
    std::fs::copy(copy, &next).map_err(|e| at_file("make", &next, &e))?;
    dir.make_private(&next).map_err(|e| at_file("close to others", &next, &e))?;
    let mut restored = super::open_database(&next)?;
    migrate::migrate(&mut restored)?;
    // What was interrupted when the copy was made ends as it would at a start; only then is it known what is owed.
    let loaded = Reader::new(&restored, seal).load()?;
    let interrupted = recover(&loaded, loaded.newest);
    let transaction = restored.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let writer = Writer::new(&transaction, seal);
    writer.write_all(&interrupted)?;
    writer.restored(STAN_JUMP, loaded.newest, &facts.sha256)?;
    transaction.commit()?;
    restored.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    restored.close().map_err(|(_, error)| error)?;
    File::open(&next).and_then(|file| file.sync_all()).map_err(|e| at_file("write", &next, &e))
}

/// When anything was last traded, answered or settled. Notes for people and sign-ons are no business.
pub(super) fn newest_business(connection: &Connection) -> Result<i64, JournalError> {
    let sql = "SELECT max(coalesce((SELECT max(created_at) FROM txn), 0),
                          coalesce((SELECT max(finished_at) FROM txn), 0),
                          coalesce((SELECT max(changed_at) FROM queue), 0),
                          coalesce((SELECT max(begun_at) FROM batch), 0),
                          coalesce((SELECT max(closed_at) FROM batch), 0))";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// The same of a copy. One of an older schema is brought up first, in memory.
pub(super) fn newest_business_of(copy: &Path) -> Result<i64, JournalError> {
    let found = Connection::open_with_flags(copy, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    let mut memory = Connection::open_in_memory()?;
    if migrate::version(&found)? == migrate::NEWEST {
        return newest_business(&found);
    }
    Backup::new(&found, &mut memory)?.step(-1)?;
    migrate::migrate(&mut memory)?;
    newest_business(&memory)
}

fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Size and SHA-256 of a file.
fn digest(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut chunk = vec![0_u8; 64 * 1024];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes = bytes.saturating_add(part.len() as u64);
    }
    Ok((bytes, hash.finalize().iter().map(|b| format!("{b:02x}")).collect()))
}

fn at_file(what: &str, path: &Path, error: &std::io::Error) -> JournalError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return JournalError::Full;
    }
    JournalError::Fault(format!("cannot {what} {}: {error}", path.display()))
}

/// A copy that SQLite cannot read is no fault of the journal.
fn named(error: JournalError) -> JournalError {
    match error {
        JournalError::Unusable(_) | JournalError::Fault(_) => {
            JournalError::Unusable("the copy is damaged or no journal of posd".to_owned())
        }
        full => full,
    }
}

fn named_sql(error: rusqlite::Error) -> JournalError {
    named(error.into())
}

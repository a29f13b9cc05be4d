//! Schema versions: makes the newest, and brings every earlier one up to it, version by version, each in one commit, so
//! that a power cut leaves the old schema or the new one and nothing between.
//!
//! It does not look at keys or rows: what a version means stands in its SQL file.
use super::columns;
use super::seal::Seal;
use super::write::Writer;
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::record::OperatorRow;
use crate::ports::JournalError;
use rusqlite::{Connection, TransactionBehavior};

/// The schema of this version, in `PRAGMA user_version`; `schema.sql` makes it.
pub(super) const NEWEST: i64 = 3;
/// The steps: each comes from the version before the one it names.
const STEPS: &[(i64, &str)] = &[(2, include_str!("migrations/2.sql")), (3, include_str!("migrations/3.sql"))];

/// The schema of a database; 0 = it has none yet.
pub(super) fn version(connection: &Connection) -> Result<i64, JournalError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Refuses a schema that this version does not know.
pub(super) fn check_known(version: i64) -> Result<(), JournalError> {
    if (1..=NEWEST).contains(&version) {
        return Ok(());
    }
    Err(JournalError::Unusable(format!(
        "its schema is version {version}, this posd reads versions 1 to {NEWEST}; install a newer posd"
    )))
}

/// Brings an older schema up to the newest.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), JournalError> {
    let found = version(connection)?;
    check_known(found)?;
    for (to, sql) in STEPS.iter().filter(|(to, _)| *to > found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", to)?;
        transaction.commit()?;
        tracing::info!(schema = to, "the journal was brought to a newer schema");
    }
    Ok(())
}

/// Makes the schema and its first rows in one commit, so that a power cut leaves all of it or nothing.
pub(super) fn create(
    connection: &mut Connection,
    seal: &Seal,
    now: WallTime,
    factory: &[OperatorRow],
) -> Result<(), JournalError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    let at = columns::time(now)?;
    transaction.execute(
        "INSERT INTO batch (id, number, opened_at) VALUES (1, ?1, ?2)",
        (BatchNumber::FIRST.get(), at),
    )?;
    transaction.execute(
        "INSERT INTO terminal (id, storage_key_id, next_stan, batch, clock_offset, newest_at)
         VALUES (1, ?1, ?2, 1, 0, ?3)",
        (seal.key_id(), Stan::FIRST.get(), at),
    )?;
    let writer = Writer::new(&transaction, seal);
    factory.iter().try_for_each(|row| writer.operator(row))?;
    transaction.pragma_update(None, "user_version", NEWEST)?;
    Ok(transaction.commit()?)
}

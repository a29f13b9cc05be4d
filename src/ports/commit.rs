//! What is done when a commit is reported as failed.
//!
//! A failed commit is never simply repeated: in WAL mode it can be found after a reopen. So the journal is closed,
//! opened anew and read; what is read then is durable and true. Only what is absent is written once more. The worlds
//! of the simulator use the same function as the journal thread.
use super::{Durability, Journal, JournalError};
use crate::domain::download::TableStep;
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::outcome::{EntryType, Outcome, QueueState};
use crate::domain::record::{Committed, EntryRow, Record, SettlementRow, SettlementStep, TxnRow};

/// Commits all records as one; after an error it looks before it writes once more. `failed` hears of the first error.
///
/// # Errors
/// What is on the disk is not known.
pub fn commit_or_look(
    journal: &mut dyn Journal,
    records: &[Record],
    durability: Durability,
    failed: &mut dyn FnMut(&JournalError),
) -> Result<Committed, JournalError> {
    match journal.commit(records, durability) {
        Ok(committed) => return Ok(committed),
        Err(error) => failed(&error),
    }
    journal.reopen()?;
    match present(journal, records)? {
        Some(committed) => Ok(committed),
        None => {
            let committed = journal.commit(records, durability)?;
            with_script_number(journal, records, committed)
        }
    }
}

/// An attempt is counted twice without harm, but the STAN of a script result is taken once only: by the commit that was
/// reported as failed, if it was there after all. Then it stands in the entry.
fn with_script_number(
    journal: &mut dyn Journal,
    records: &[Record],
    committed: Committed,
) -> Result<Committed, JournalError> {
    let script = records.iter().find_map(|record| match record {
        Record::QueueAttempt { entry, .. } if entry.entry_type == EntryType::Script => Some(&entry.txn),
        _ => None,
    });
    let (Some(txn), None) = (script, committed.taken) else { return Ok(committed) };
    let Some(row) = journal.find(txn)? else { return Ok(committed) };
    let own = row.entry(EntryType::Script).and_then(|entry| entry.stan);
    Ok(own.and_then(|stan| numbers(stan, row.batch)).unwrap_or(committed))
}

/// Looks whether the records are there after all. They were one commit: one of them stands for all.
fn present(journal: &mut dyn Journal, records: &[Record]) -> Result<Option<Committed>, JournalError> {
    for record in records {
        let there = match record {
            Record::Sending(sending) => journal.find(&sending.start.id)?.and_then(|row| taken(&row)),
            Record::Closed(closed) => match journal.find(&closed.id)? {
                Some(row) if row.outcome == closed.outcome && row.outcome != Outcome::None => {
                    Some(closed.upload.as_ref().and_then(|_| taken(&row)).unwrap_or_default())
                }
                _ => None,
            },
            Record::QueueState { entry, state, .. } => {
                let kept = entry_of(journal.find(&entry.txn)?, entry.entry_type);
                kept.filter(|kept| kept.state == *state).map(|_| Committed::default())
            }
            Record::Resolved { entry, how, .. } => {
                let kept = entry_of(journal.find(&entry.txn)?, entry.entry_type);
                let done = |kept: &EntryRow| kept.state == QueueState::Done && kept.resolution == Some(*how);
                kept.filter(done).map(|_| Committed::default())
            }
            Record::Settlement(step) => settled(journal, step)?,
            Record::Table(TableStep::Swapped { kind, at }) => {
                let tables = journal.load()?.downloads;
                let table = tables.iter().find(|table| table.kind == *kind);
                table.filter(|t| t.staged.is_none() && t.swapped_at == *at).map(|_| Committed::default())
            }
            // Counting an attempt twice, or reserving two numbers, is harmless; the rest is written by value.
            _ => continue,
        };
        return Ok(there);
    }
    Ok(None)
}

fn entry_of(row: Option<TxnRow>, entry_type: EntryType) -> Option<EntryRow> {
    row?.entries.into_iter().find(|entry| entry.entry_type == entry_type)
}

fn taken(row: &TxnRow) -> Option<Committed> {
    numbers(row.stan?, row.batch)
}

const fn numbers(stan: Stan, batch: BatchNumber) -> Option<Committed> {
    Some(Committed { taken: Some((stan, batch)), more: false })
}

/// A step of a settlement that is there already.
fn settled(journal: &mut dyn Journal, step: &SettlementStep) -> Result<Option<Committed>, JournalError> {
    let loaded = journal.load()?;
    let running: Option<&SettlementRow> = loaded.settlement.as_ref();
    let there = match (step, running) {
        (SettlementStep::TotalsFrozen { field48, .. }, Some(running)) => {
            let frozen = running.frozen.as_ref().filter(|(known, _)| known == field48);
            return Ok(frozen.zip(loaded.batch).and_then(|((_, stan), batch)| numbers(*stan, batch)));
        }
        (SettlementStep::Begun { .. }, Some(_)) => true,
        (SettlementStep::Verdict { domestic, foreign, .. }, Some(running)) => {
            running.verdict == Some((*domestic, *foreign))
        }
        (SettlementStep::Uploaded { records, .. }, Some(running)) => running.uploaded == *records,
        // Either of them ends a settlement that was running when its record was made.
        (SettlementStep::Reopened { .. } | SettlementStep::Closed { .. }, None) => true,
        (_, _) => false,
    };
    Ok(there.then(Committed::default))
}

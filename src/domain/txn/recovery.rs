//! From what the journal holds to what must be put right. Pure and idempotent: applied twice, or cut in the
//! middle, it leaves the same obligations.
use crate::domain::calendar::WallTime;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryType, Outcome, PrintState, ResultCode};
use crate::domain::queue;
use crate::domain::record::{Closed, HostFacts, Loaded, Record, ReversalReason, TxnRow};

/// The records that recovery writes before the terminal promises anything: a request without an outcome becomes
/// unknown with its reversal due (98), unknown with its exception (a refund), or failed where nothing can be owed; an
/// entry that was being sent waits again; a ply that was being printed is unconfirmed, one that waited is held.
#[must_use]
pub fn recover(loaded: &Loaded, now: WallTime) -> Vec<Record> {
    loaded.open.iter().flat_map(|row| recover_row(row, now)).collect()
}

fn recover_row(row: &TxnRow, now: WallTime) -> Vec<Record> {
    let id = &row.start.id;
    let mut records = Vec::new();
    if row.outcome == Outcome::None {
        records.push(Record::Closed(Box::new(closed(row, now))));
    }
    // Nobody knows whether what was being sent arrived; repeats are harmless.
    records.extend(queue::recover(row, now));
    let plies = row.plies.iter().filter_map(|ply| {
        let state = match ply.state {
            PrintState::Printing => PrintState::Unconfirmed,
            PrintState::Queued => PrintState::Held,
            PrintState::Confirmed
            | PrintState::Unconfirmed
            | PrintState::Held
            | PrintState::Failed
            | PrintState::Abandoned => return None,
        };
        let (ply, copy, reason) = (ply.ply, ply.copy, "restarted".to_owned());
        Some(Record::PlyState { id: id.clone(), ply, copy, state, reason })
    });
    records.extend(plies);
    records
}

/// The end of a transaction that has none: what is armed tells whether its request may have left. A kind that arms
/// nothing has asked for no money.
fn closed(row: &TxnRow, now: WallTime) -> Closed {
    let armed = |entry_type| row.entry(entry_type).is_some_and(|entry| entry.armed);
    let reversal = armed(EntryType::Reversal).then_some(ReversalReason::NoAnswer);
    let (outcome, result) = match reversal.is_some() || armed(EntryType::RefundUnknown) {
        true => (Outcome::Unknown, ResultCode::HostTimeout),
        false => (Outcome::Failed, ResultCode::Interrupted),
    };
    Closed {
        id: row.start.id.clone(),
        start: None,
        card: None,
        outcome,
        result,
        host: HostFacts::default(),
        approved_amount: Amount::ZERO,
        reversal,
        reversal_icc: None,
        upload: None,
        script: None,
        withdraws: None,
        plies: Vec::new(),
        finished_at: now,
    }
}

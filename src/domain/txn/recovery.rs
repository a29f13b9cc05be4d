//! From what the journal holds to what must be put right. Pure and idempotent: applied twice, or cut in the
//! middle, it leaves the same obligations.
use crate::domain::calendar::WallTime;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryType, Outcome, PrintState, QueueState, ResultCode};
use crate::domain::record::{Closed, EntryId, HostFacts, Loaded, Record, ReversalReason, TxnRow};

/// The records that recovery writes before the terminal promises anything: a request without an outcome
/// becomes unknown with a reversal due (98), or failed if nothing was written to a socket; an interrupted
/// reversal is due again; a ply that was being printed is unconfirmed, one that waited is held.
#[must_use]
pub fn recover(loaded: &Loaded, now: WallTime) -> Vec<Record> {
    loaded.open.iter().flat_map(|row| recover_row(row, now)).collect()
}

fn recover_row(row: &TxnRow, now: WallTime) -> Vec<Record> {
    let id = &row.start.id;
    let mut records = Vec::new();
    match row.reversal() {
        _ if row.outcome == Outcome::None => records.push(Record::Closed(Box::new(closed(row, now)))),
        Some(reversal) if reversal.state == QueueState::Sending => records.push(Record::QueueState {
            entry: EntryId::new(id.clone(), EntryType::Reversal),
            state: QueueState::Due,
            response_code: None,
            ask_again: reversal.ask_again,
            error: "restarted".to_owned(),
            host: None,
            at: now,
        }),
        Some(_) | None => {}
    }
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

/// The end of a transaction that has none: the armed reversal tells whether its request may have left.
fn closed(row: &TxnRow, now: WallTime) -> Closed {
    let armed = row.reversal().is_some();
    Closed {
        id: row.start.id.clone(),
        start: None,
        card: None,
        outcome: if armed { Outcome::Unknown } else { Outcome::Failed },
        result: if armed { ResultCode::HostTimeout } else { ResultCode::Interrupted },
        host: HostFacts::default(),
        approved_amount: Amount::ZERO,
        reversal: armed.then_some(ReversalReason::NoAnswer),
        reversal_icc: None,
        upload: None,
        script: None,
        withdraws: None,
        plies: Vec::new(),
        finished_at: now,
    }
}

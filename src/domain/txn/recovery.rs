//! From what the journal holds to what must be put right. Pure and idempotent: applied twice, or cut in the middle, it
//! leaves the same obligations.
use crate::domain::calendar::WallTime;
use crate::domain::ident::TxnId;
use crate::domain::money::Amount;
use crate::domain::outcome::{Outcome, PrintState, QueueState, ResultCode};
use crate::domain::record::{Closed, HostFacts, Loaded, Record, ReversalReason, TxnRow};

/// The records that recovery writes before the terminal promises anything: a request without an outcome becomes unknown
/// with a reversal due (98), an interrupted reversal is due again, a ply that was being printed is unconfirmed.
#[must_use]
pub fn recover(loaded: &Loaded, now: WallTime) -> Vec<Record> {
    loaded.open.iter().flat_map(|row| recover_row(row, now)).collect()
}

fn recover_row(row: &TxnRow, now: WallTime) -> Vec<Record> {
    let mut records = Vec::new();
    let id = &row.start.id;
    if let Some(reversal) = &row.reversal {
        if reversal.armed && row.outcome == Outcome::None {
            records.push(Record::Closed(Box::new(unknown(id, now))));
        } else if reversal.state == QueueState::Sending {
            records.push(Record::ReversalState {
                id: id.clone(),
                state: QueueState::Due,
                response_code: None,
                ask_again: reversal.ask_again,
                error: "restarted".to_owned(),
                at: now,
            });
        }
    }
    for ply in row.plies.iter().filter(|p| matches!(p.state, PrintState::Printing | PrintState::Queued)) {
        records.push(Record::PlyState {
            id: id.clone(),
            ply: ply.ply,
            copy: ply.copy,
            state: PrintState::Unconfirmed,
            reason: "restarted".to_owned(),
        });
    }
    records
}

fn unknown(id: &TxnId, now: WallTime) -> Closed {
    Closed {
        id: id.clone(),
        start: None,
        card: None,
        outcome: Outcome::Unknown,
        result: ResultCode::HostTimeout,
        host: HostFacts::default(),
        approved_amount: Amount::ZERO,
        reversal: Some(ReversalReason::NoAnswer),
        reversal_icc: None,
        plies: Vec::new(),
        finished_at: now,
    }
}

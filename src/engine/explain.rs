//! `Transaction.Explain`: the facts of one stored transaction for support. Reads the journal, changes nothing.
use super::view::{ExplainView, ObligationView};
use super::{Engine, Note};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::TxnId;
use crate::domain::outcome::Resolution;
use crate::domain::record::{EntryId, EntryRow, HostFacts, ReversalReason, TxnRow, WireFacts};
use crate::ports::JournalError;
use tokio::sync::oneshot;

/// Where the answer goes.
pub(super) type Wish = oneshot::Sender<Result<Box<ExplainView>, Fault>>;

impl Engine {
    /// Asks the journal for the row.
    pub(super) fn explain(&mut self, id: TxnId, answer: Wish) {
        self.find(Note::Explain(answer), id);
    }
}

/// The row was looked up. One that is not stored yet has nothing to explain.
pub(super) fn found(answer: Wish, result: Result<Option<Box<TxnRow>>, JournalError>) {
    let view = match result {
        Ok(Some(row)) => Ok(Box::new(of_row(&row))),
        Ok(None) => Err(Fault::new(
            FaultName::WrongState,
            "nothing of this transaction is stored yet; look again when it has ended",
        )),
        Err(error) => Err(super::journal_thread::read_fault(&error)),
    };
    super::start::reply(answer, view);
}

fn of_row(row: &TxnRow) -> ExplainView {
    ExplainView {
        request: row.wire.as_ref().map(request).unwrap_or_default(),
        answer: answer(&row.host),
        chip: row.card.as_ref().map(|card| card.chip.clone()).unwrap_or_default(),
        obligations: row.entries.iter().map(|entry| obligation(&row.start.id, entry)).collect(),
        plies: row.plies.clone(),
        follow_ups: row.follow_ups.clone(),
    }
}

/// What is known, in the order of the fields.
fn known<const N: usize>(pairs: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    let told = |(name, value): (_, Option<String>)| Some((name, value.filter(|text| !text.is_empty())?));
    pairs.into_iter().filter_map(told).collect()
}

fn request(wire: &WireFacts) -> Vec<(&'static str, String)> {
    known([
        ("mti", Some(wire.mti.clone())),
        ("processing-code", Some(wire.processing_code.clone())),
        ("entry-mode", Some(wire.entry_mode.clone())),
        ("condition", Some(wire.condition.clone())),
        ("terminal-id", Some(wire.terminal_id.to_string())),
        ("merchant-id", Some(wire.merchant_id.to_string())),
        ("message-type", Some(wire.message_type.clone())),
        ("capability", Some(wire.capability.clone())),
        ("original", Some(wire.original.clone())),
    ])
}

fn answer(host: &HostFacts) -> Vec<(&'static str, String)> {
    known([
        ("host-time", host.host_time.map(|time| time.to_string())),
        ("settlement-date", host.settlement_date.clone()),
        ("acquirer", host.acquirer.clone()),
        ("rrn", host.rrn.as_ref().map(ToString::to_string)),
        ("auth-code", host.auth_code.as_ref().map(ToString::to_string)),
        ("response-code", host.response_code.as_ref().map(ToString::to_string)),
        ("institutions", host.institutions.clone()),
        ("balance", host.balance.clone()),
        ("organisation", host.organisation.clone()),
        ("text", host.text.clone()),
    ])
}

fn obligation(txn: &TxnId, entry: &EntryRow) -> ObligationView {
    ObligationView {
        id: EntryId::new(txn.clone(), entry.entry_type).to_string(),
        entry_type: entry.entry_type,
        state: entry.state,
        armed: entry.armed,
        attempts: entry.attempts,
        created_at: entry.created_at,
        reason: entry.reason.map_or("", ReversalReason::code),
        response_code: entry.response_code.as_ref().map(ToString::to_string).unwrap_or_default(),
        last_error: entry.last_error.clone(),
        resolution: entry.resolution.map_or("", Resolution::word),
    }
}

//! What is read back from the journal: transactions with all that belongs to them, what recovery needs, and what a
//! query asks for.
use super::{
    Begun, CardFacts, CardSeen, HostFacts, KeyRecord, OperatorRow, ReversalReason, SettlementRow, TxnStart,
    WireFacts,
};
use crate::domain::calendar::WallTime;
use crate::domain::download::Progress;
use crate::domain::ident::{BatchNumber, ResponseCode, Stan, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{
    CardClass, EntryType, Kind, Outcome, Ply, PrintState, QueueState, Resolution, ResultCode,
};
use crate::domain::secret::MasterKeyMaterial;
use std::collections::BTreeSet;
use std::sync::Arc;

/// An entry of the queue as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// What is owed.
    pub entry_type: EntryType,
    /// Where it stands; while armed what recovery makes of it.
    pub state: QueueState,
    /// True while the request is out and nothing is known: recovery makes it an obligation (reversal: due, 98).
    pub armed: bool,
    /// DE 39 of a 0400; `None` for other types.
    pub reason: Option<ReversalReason>,
    /// Attempts counted.
    pub attempts: u32,
    /// The host said 25 once and is asked again.
    pub ask_again: bool,
    /// When it became due.
    pub created_at: WallTime,
    /// Last attempt, answer, or word of a person.
    pub changed_at: WallTime,
    /// DE 39 of the last answer.
    pub response_code: Option<ResponseCode>,
    /// Last trouble.
    pub last_error: String,
    /// How the shop ended it.
    pub resolution: Option<Resolution>,
    /// DE 11 of a script result, once taken; the other types carry their transaction's.
    pub stan: Option<Stan>,
    /// DE 55 of the message.
    pub icc: Vec<u8>,
}

impl EntryRow {
    /// True while it is owed, or waits for the shop: everything but done.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state != QueueState::Done
    }
}

/// A transaction that follows another, as its original sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// Which.
    pub id: TxnId,
    /// Its kind.
    pub kind: Kind,
    /// Its outcome; none while it is with the bank.
    pub outcome: Outcome,
    /// Approved, or asked for while that is not known.
    pub amount: Amount,
    /// It owes something: its reversal, its upload, an exception. An upload that the bank has refused is clear.
    pub unresolved: bool,
    /// It moved money, and still counts: not undone in turn, upload not refused, not called unpaid by the shop.
    pub stands: bool,
}

/// One ply as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlyRow {
    /// Which.
    pub ply: Ply,
    /// 0 = original.
    pub copy: u32,
    /// What is known.
    pub state: PrintState,
    /// Cause.
    pub reason: String,
}

/// A transaction as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnRow {
    /// What was asked for.
    pub start: TxnStart,
    /// STAN and batch, once a request was stored; else the batch that was open.
    pub stan: Option<Stan>,
    /// The batch it belongs to.
    pub batch: BatchNumber,
    /// That batch is still open; numbers come round again.
    pub in_open_batch: bool,
    /// The card, if one was read before a record was made; `None` also after its sealed data was wiped.
    pub card: Option<Arc<CardFacts>>,
    /// What stays of it then; `None` only while no card was read.
    pub card_seen: Option<CardSeen>,
    /// `622588******5678`; kept when the sealed number is wiped.
    pub masked_pan: String,
    /// The fields a reversal repeats.
    pub wire: Option<WireFacts>,
    /// How it ended; [`Outcome::None`] only between Sending and Closed.
    pub outcome: Outcome,
    /// Why, once ended.
    pub result: Option<ResultCode>,
    /// What the host said.
    pub host: HostFacts,
    /// What was approved.
    pub approved_amount: Amount,
    /// When it ended.
    pub finished_at: Option<WallTime>,
    /// Whose card it was, as settlement counts it; known once ended.
    pub card_class: CardClass,
    /// What it owes or owed, one of each type at most.
    pub entries: Vec<EntryRow>,
    /// What followed it, oldest first.
    pub follow_ups: Vec<FollowUp>,
    /// Its plies.
    pub plies: Vec<PlyRow>,
}

impl TxnRow {
    /// Its entry of a type.
    #[must_use]
    pub fn entry(&self, entry_type: EntryType) -> Option<&EntryRow> {
        self.entries.iter().find(|entry| entry.entry_type == entry_type)
    }

    /// Its reversal, if one was ever armed and not disarmed.
    #[must_use]
    pub fn reversal(&self) -> Option<&EntryRow> {
        self.entry(EntryType::Reversal)
    }
}

/// Everything recovery needs, read once at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Transactions with an open end: no outcome yet, open entries of the queue, plies still to come; oldest first.
    pub open: Vec<TxnRow>,
    /// The last 20 transactions, newest first.
    pub recent: Vec<TxnRow>,
    /// Transactions of the open batch whose signature was refused: a line of their timeline says so. Oldest first.
    pub refused: Vec<TxnRow>,
    /// Those of them that the terminal cannot undo by itself any more: another line says so.
    pub not_undone: BTreeSet<TxnId>,
    /// The next STAN.
    pub next_stan: Option<Stan>,
    /// The open batch.
    pub batch: Option<BatchNumber>,
    /// When it was opened.
    pub batch_opened_at: WallTime,
    /// True once the open batch has a financial record.
    pub batch_has_records: bool,
    /// Finished transactions of the open batch by kind word.
    pub counts: Vec<(String, u32)>,
    /// The master key that was loaded last; `None` = never, so that the credential holds.
    pub master_key: Option<MasterKeyMaterial>,
    /// Keys of the last sign-on that still holds.
    pub keys: Option<KeyRecord>,
    /// Wall clock offset taken at sign-on, µs.
    pub clock_offset: i64,
    /// All operators.
    pub operators: Vec<OperatorRow>,
    /// Newest time in the journal: the clock floor.
    pub newest: WallTime,
    /// Under which identity the open batch began; `None` while it has no request.
    pub identity: Option<Begun>,
    /// The settlement that was interrupted.
    pub settlement: Option<SettlementRow>,
    /// Tables from the bank, in use and built aside; none of a kind that was never downloaded.
    pub downloads: Vec<Progress>,
    /// Why the queue is held back.
    pub queue_paused: Option<String>,
    /// The journal was restored from a backup, and nobody has confirmed the list yet.
    pub restore_unconfirmed: bool,
}

/// Which transactions a query wants; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TxnFilter {
    /// Batch.
    pub batch: Option<u32>,
    /// STAN.
    pub trace: Option<u32>,
    /// Kind.
    pub kind: Option<Kind>,
    /// Outcome.
    pub outcome: Option<Outcome>,
    /// Operator.
    pub operator: Option<String>,
    /// Created at or after.
    pub from: Option<WallTime>,
    /// Created before.
    pub to: Option<WallTime>,
    /// Card token.
    pub card_token: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
}

//! What the journal holds: the facts of a transaction, each in the record that makes it durable.
//!
//! The rule of the house: no byte of a financial message leaves before its [`Sending`] is durable, and nothing is
//! promised to customer, shop or card before its [`Closed`] is.
use super::calendar::{LocalTime, WallTime};
use super::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use super::money::{Amount, Currency};
use super::outcome::{CvmMethod, EntryMode, Kind, Outcome, Ply, PrintState, QueueState, ResultCode};
use super::secret::Pan;

/// What the caller asked for; fixed when the transaction is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnStart {
    /// Name on the bus.
    pub id: TxnId,
    /// The caller's own name for it.
    pub request_id: RequestId,
    /// What is wanted.
    pub kind: Kind,
    /// The amount asked for.
    pub amount: Amount,
    /// Its currency.
    pub currency: Currency,
    /// SHA-256 over the arguments that idempotency compares.
    pub arguments_sha256: [u8; 32],
    /// Who was signed on.
    pub operator: OperatorId,
    /// When it was created.
    pub created_at: WallTime,
    /// The shop's own reference, at most 256 bytes.
    pub cashier_ref: Option<String>,
    /// The caller's pairs, at most 16.
    pub metadata: Vec<(String, String)>,
    /// Plies wanted, 0 to 2.
    pub plies: u8,
}

/// What the card said, as far as paper, messages and follow-ups need it later. No track, PIN block or CVV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFacts {
    /// The card number; sealed at rest.
    pub pan: Pan,
    /// Expiry `YYMM`; sealed at rest.
    pub expiry: Option<String>,
    /// Card sequence number, tag 5F34.
    pub sequence: Option<u8>,
    /// How the card was read.
    pub entry_mode: EntryMode,
    /// HMAC-SHA-256 of the card number under a key of this terminal, first 16 hex digits.
    pub token: String,
    /// Scheme by AID: `unionpay`, `visa`, …; empty where unknown.
    pub brand: String,
    /// Application identifier, upper-case hex.
    pub aid: String,
    /// Application label or preferred name.
    pub label: String,
    /// How the cardholder was verified.
    pub cvm: CvmMethod,
    /// True if the merchant ply needs a signature.
    pub signature_required: bool,
    /// Chip facts for the slip: name to upper-case hex (`ARQC`, `TC`, `TVR`, `TSI`, `ATC`, `AIP`, `IAD`, `UNPR NUM`,
    /// `TermCap`).
    pub chip: Vec<(String, String)>,
}

/// The fields of the request that a reversal must repeat. UnionPay field numbers; text as in the unpacked message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireFacts {
    /// MTI of the request, such as `0200`.
    pub mti: String,
    /// DE 3, 6 digits.
    pub processing_code: String,
    /// DE 22, 3 digits.
    pub entry_mode: String,
    /// DE 25, 2 digits.
    pub condition: String,
    /// DE 60.1, 2 digits.
    pub message_type: String,
    /// DE 60.4 and 60.5, 2 digits.
    pub capability: String,
    /// DE 41 at that time.
    pub terminal_id: TerminalId,
    /// DE 42 at that time.
    pub merchant_id: MerchantId,
    /// DE 55 of a reversal without a usable answer (BER-TLV), if the card gave one.
    pub reversal_icc: Vec<u8>,
    /// DE 55 of the request (BER-TLV).
    pub icc: Vec<u8>,
}

/// Durable before the first byte of a financial request. The journal takes the STAN and batch in the same commit and
/// arms a reversal (98) that only [`Closed`] or [`Record::Unsent`] disarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// What was asked for.
    pub start: TxnStart,
    /// The card.
    pub card: CardFacts,
    /// The fields a reversal repeats.
    pub wire: WireFacts,
    /// When the record was made.
    pub at: WallTime,
}

/// Why the bank is asked to undo: DE 39 of 0400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalReason {
    /// `98`: no usable answer.
    NoAnswer,
    /// `A0`: the answer's MAC was wrong.
    MacError,
    /// `06`: approved, then refused by the card, or not storable.
    Refused,
}

impl ReversalReason {
    /// The two characters of DE 39.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoAnswer => "98",
            Self::MacError => "A0",
            Self::Refused => "06",
        }
    }

    /// Reads the two characters back.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::NoAnswer, Self::MacError, Self::Refused].into_iter().find(|r| r.code() == code)
    }
}

/// What the host's answer said, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// DE 39.
    pub response_code: Option<ResponseCode>,
    /// DE 37.
    pub rrn: Option<Rrn>,
    /// DE 38.
    pub auth_code: Option<AuthCode>,
    /// DE 12 and 13 with the year put in by the terminal.
    pub host_time: Option<LocalTime>,
    /// DE 15, `MMDD`.
    pub settlement_date: Option<String>,
    /// DE 32.
    pub acquirer: Option<String>,
    /// DE 44, issuer and acquirer institution.
    pub institutions: Option<String>,
    /// DE 63.1, card organisation.
    pub organisation: Option<String>,
    /// DE 63.2, texts of the issuer and the centre.
    pub text: Option<String>,
}

/// The outcome; durable before `Finished`, paper and "remove card". Also ends transactions that never reached
/// [`Sending`]; then `start` is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Which transaction.
    pub id: TxnId,
    /// Present if no [`Sending`] is known to be stored: the row is made by this record.
    pub start: Option<TxnStart>,
    /// The card, with its last facts (TC, TSI); `None` leaves what [`Sending`] stored.
    pub card: Option<CardFacts>,
    /// How it ended. [`Outcome::Unknown`] always comes with a reversal.
    pub outcome: Outcome,
    /// Why.
    pub result: ResultCode,
    /// What the host said.
    pub host: HostFacts,
    /// What was approved; zero unless approved.
    pub approved_amount: Amount,
    /// A reversal that is now due, and why. `None` disarms the one armed by [`Sending`].
    pub reversal: Option<ReversalReason>,
    /// DE 55 for that reversal when it differs from the stored one.
    pub reversal_icc: Option<Vec<u8>>,
    /// Plies to be printed; stored as `held`.
    pub plies: Vec<Ply>,
    /// When it ended.
    pub finished_at: WallTime,
}

/// A line of the transaction's timeline. Masked texts only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// When.
    pub at: WallTime,
    /// What: a hyphenated word such as `host-sent`.
    pub what: String,
    /// A sentence for people, English.
    pub text: String,
    /// STAN, where one is known.
    pub stan: Option<Stan>,
}

/// Working keys as the host sent them: still encrypted under the master key, sealed again at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Field 62 of the sign-on answer.
    pub block: Vec<u8>,
    /// First four bytes of the master key's check value, to notice another master key.
    pub tmk_check: [u8; 4],
    /// When they were loaded.
    pub loaded_at: WallTime,
}

impl core::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyRecord").field("loaded_at", &self.loaded_at).finish_non_exhaustive()
    }
}

/// An operator as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorRow {
    /// Number.
    pub id: OperatorId,
    /// Argon2id hash in PHC form.
    pub password_phc: String,
    /// True while the factory password stands.
    pub factory: bool,
    /// Wrong passwords in a row.
    pub failures: u32,
    /// Locked until then; zero = not locked.
    pub locked_until: WallTime,
}

/// One durable step. A slice of them is committed as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Before the first byte.
    Sending(Box<Sending>),
    /// Nothing was written to a socket: disarms the reversal; the STAN stays used.
    Unsent {
        /// Which transaction.
        id: TxnId,
    },
    /// A management message (sign-on, echo) takes a STAN from the same counter, before its first byte. No row is made;
    /// a number that is never sent is a harmless gap.
    ReserveStan,
    /// The outcome.
    Closed(Box<Closed>),
    /// A reversal attempt, before its first byte.
    ReversalAttempt {
        /// The original.
        id: TxnId,
        /// When.
        at: WallTime,
    },
    /// The host's word on a reversal, or the end of its attempts.
    ReversalState {
        /// The original.
        id: TxnId,
        /// `due`, `done` or `failed`.
        state: QueueState,
        /// DE 39 of 0410, if any.
        response_code: Option<ResponseCode>,
        /// True if the host answered 25 and is to be asked once more.
        ask_again: bool,
        /// Cause in words when not done.
        error: String,
        /// When.
        at: WallTime,
    },
    /// What is known of one ply.
    PlyState {
        /// The transaction.
        id: TxnId,
        /// Which ply.
        ply: Ply,
        /// 0 for the original, then 1, 2, … for reprints.
        copy: u32,
        /// What is known.
        state: PrintState,
        /// Cause where it matters.
        reason: String,
    },
    /// A line for people.
    Timeline {
        /// The transaction.
        id: TxnId,
        /// The line.
        row: TimelineRow,
    },
    /// Signed on: keys, clock offset and (where allowed) batch change in one commit.
    SignedOn {
        /// The keys.
        keys: KeyRecord,
        /// Batch offered by the host and adopted.
        batch: Option<BatchNumber>,
        /// Wall clock offset to the host, µs.
        clock_offset: i64,
    },
    /// The sign-on no longer holds: signed off, or keys refused.
    SignedOff,
    /// An operator as it now is.
    Operator(OperatorRow),
    /// A line of the append-only audit trail.
    Audit {
        /// When.
        at: WallTime,
        /// Who.
        operator: Option<OperatorId>,
        /// What.
        text: String,
    },
}

/// What a commit fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// STAN and batch taken by a [`Record::Sending`] or [`Record::ReserveStan`] of this commit; at most one of them.
    pub taken: Option<(Stan, BatchNumber)>,
}

/// A reversal as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReversalRow {
    /// `due`, `sending`, `done` or `failed`; `None` while merely armed.
    pub state: QueueState,
    /// True while the request is out and nothing is known: recovery turns this into due (98).
    pub armed: bool,
    /// DE 39 of 0400.
    pub reason: ReversalReason,
    /// Attempts counted.
    pub attempts: u32,
    /// The host said 25 once and is asked again.
    pub ask_again: bool,
    /// When it became due.
    pub created_at: WallTime,
    /// Last trouble.
    pub last_error: String,
    /// DE 55 of the 0400.
    pub icc: Vec<u8>,
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
    /// The card, if one was read before a record was made; `None` also after its sealed data was wiped.
    pub card: Option<CardFacts>,
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
    /// Its reversal, if one was ever armed and not disarmed.
    pub reversal: Option<ReversalRow>,
    /// Its plies.
    pub plies: Vec<PlyRow>,
}

/// Everything recovery needs, read once at start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Transactions with an open end: no outcome yet, armed, due, sending or failed reversals, plies still to come;
    /// oldest first.
    pub open: Vec<TxnRow>,
    /// The last 20 transactions, newest first.
    pub recent: Vec<TxnRow>,
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
    /// Keys of the last sign-on that still holds.
    pub keys: Option<KeyRecord>,
    /// Wall clock offset taken at sign-on, µs.
    pub clock_offset: i64,
    /// All operators.
    pub operators: Vec<OperatorRow>,
    /// Newest time in the journal: the clock floor.
    pub newest: WallTime,
    /// Terminal id, merchant id and currency under which the open batch began.
    pub identity: Option<(TerminalId, MerchantId, String)>,
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

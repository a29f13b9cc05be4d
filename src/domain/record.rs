//! What the journal holds: the facts of a transaction, each in the record that makes it durable.
//!
//! The rule of the house: no byte of a financial message leaves before its [`Sending`] is durable, and nothing is
//! promised to customer, shop or card before its [`Closed`] is.
mod batch;
mod rows;

use super::calendar::{LocalTime, WallTime};
use super::download::TableStep;
use super::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
pub use super::keystore::KeyRecord;
use super::money::{Amount, Currency};
use super::outcome::{
    CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, PrintState, QueueState, Resolution, ResultCode,
};
use super::secret::{MasterKeyMaterial, Pan};
pub use batch::{BatchRow, Begun, SettlementRow, SettlementStep, TotalsRow};
pub use rows::{EntryRow, FollowUp, Loaded, PlyRow, TxnFilter, TxnRow};
use std::sync::Arc;

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
    /// Plies wanted, 0 to 3.
    pub plies: u8,
    /// What else was agreed.
    pub terms: Terms,
}

/// What a transaction rests on besides its amount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The transaction that it follows.
    pub original: Option<OriginalRef>,
    /// Authorisation code told by the caller: a voice authorisation, or the code of a pre-authorisation.
    pub auth_code: Option<AuthCode>,
    /// Who allowed it, where a supervisor had to.
    pub supervisor: Option<OperatorId>,
    /// A part of the amount may be approved (DE 60.6 = 1).
    pub allow_partial: bool,
    /// The terminal started it by itself, to undo its original: a refused signature. No card is asked.
    pub linked: bool,
}

impl Terms {
    /// DE 38 of the request: the code that the caller told, else that of the original.
    #[must_use]
    pub fn told_auth_code(&self) -> Option<&AuthCode> {
        let theirs = self.original.as_ref().and_then(|original| original.auth_code.as_ref());
        self.auth_code.as_ref().or(theirs)
    }
}

/// The original of a follow-up: what names it in messages, and its row where the terminal has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginalRef {
    /// Its transaction, where this terminal's journal has it.
    pub txn: Option<TxnId>,
    /// Its batch.
    pub batch: Option<BatchNumber>,
    /// Its STAN.
    pub stan: Option<Stan>,
    /// Its day as the bank counts it, `MMDD`: DE 13 of its answer, or what the caller told.
    pub date: Option<String>,
    /// Its RRN.
    pub rrn: Option<Rrn>,
    /// Its authorisation code.
    pub auth_code: Option<AuthCode>,
    /// The token of its card: the card of the follow-up must be the same.
    pub card_token: Option<String>,
}

/// What the card said, as far as paper, messages and follow-ups need it later. No track, PIN block or CVV.
///
/// Transaction, records and rows share one copy of it: a card number stands in memory once.
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

impl CardFacts {
    /// What may stand in clear.
    #[must_use]
    pub fn seen(&self) -> CardSeen {
        CardSeen {
            entry_mode: self.entry_mode,
            token: self.token.clone(),
            brand: self.brand.clone(),
            aid: self.aid.clone(),
            label: self.label.clone(),
            cvm: self.cvm,
            signature_required: self.signature_required,
        }
    }
}

/// What stands of the card in clear, and stays when its sealed number is wiped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSeen {
    /// How the card was read.
    pub entry_mode: EntryMode,
    /// Its token: the card of a late refund is known by it.
    pub token: String,
    /// Scheme by AID.
    pub brand: String,
    /// Application identifier, upper-case hex.
    pub aid: String,
    /// Application label or preferred name.
    pub label: String,
    /// How the cardholder was verified.
    pub cvm: CvmMethod,
    /// True if the merchant ply needed a signature.
    pub signature_required: bool,
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
    /// DE 60.4 to 60.6, 3 digits (2 in rows of the first schema: 60.6 was 0).
    pub capability: String,
    /// DE 61 of the request, digits; empty = none.
    pub original: String,
    /// DE 41 at that time.
    pub terminal_id: TerminalId,
    /// DE 42 at that time.
    pub merchant_id: MerchantId,
    /// Name of the profile at that time; empty in rows of earlier schemas.
    pub profile: String,
    /// DE 55 of a reversal without a usable answer (BER-TLV), if the card gave one.
    pub reversal_icc: Vec<u8>,
    /// DE 55 of the request (BER-TLV).
    pub icc: Vec<u8>,
}

/// Durable before the first byte of a financial request. The journal takes the STAN and batch in the same commit and
/// arms what silence would owe ([`Sending::arms`]): only [`Closed`] or [`Record::Unsent`] disarms it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// What was asked for.
    pub start: TxnStart,
    /// The card.
    pub card: Arc<CardFacts>,
    /// The fields a reversal repeats.
    pub wire: WireFacts,
    /// When the record was made.
    pub at: WallTime,
}

impl Sending {
    /// What is owed if nothing more is ever heard: a reversal (98), an exception for a refund, nothing for a
    /// balance inquiry.
    #[must_use]
    pub fn arms(&self) -> Option<EntryType> {
        super::rules::rule(self.start.kind).silence.entry()
    }
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
    /// DE 54 as it came: account type 2, amount type 2, currency 3, sign 1, amount 12; may repeat.
    pub balance: Option<String>,
}

/// An outcome that the bank hears of later. The journal takes STAN and batch in the commit of [`Closed`] and makes the
/// queue entry in state `queued`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// [`EntryType::OfflineSale`] or [`EntryType::Advice`].
    pub entry_type: EntryType,
    /// The fields of the message to be sent; `icc` is its DE 55.
    pub wire: WireFacts,
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
    pub card: Option<Arc<CardFacts>>,
    /// How it ended. [`Outcome::Unknown`] always comes with a reversal or, for a refund, leaves its exception.
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
    /// Stored offline: what is uploaded later. Takes the STAN.
    pub upload: Option<Upload>,
    /// DE 55 of a script result notification (0620) that is now due.
    pub script: Option<Vec<u8>>,
    /// A local void: this entry of the original, never attempted, leaves the queue in the same commit. An entry that
    /// was attempted meanwhile makes the commit fail.
    pub withdraws: Option<EntryId>,
    /// Plies to be printed; stored as `held`.
    pub plies: Vec<Ply>,
    /// When it ended.
    pub finished_at: WallTime,
}

/// Names an entry of the queue: a transaction owes at most one of each type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// Whose.
    pub txn: TxnId,
    /// What.
    pub entry_type: EntryType,
}

impl EntryId {
    /// An entry of this transaction.
    #[must_use]
    pub const fn new(txn: TxnId, entry_type: EntryType) -> Self {
        Self { txn, entry_type }
    }

    /// Reads the form of [`core::fmt::Display`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (entry_type, txn) = text.rsplit_once('.')?;
        Some(Self { txn: TxnId::parse(txn).ok()?, entry_type: EntryType::from_word(entry_type)? })
    }
}

impl core::fmt::Display for EntryId {
    /// The id on the bus: `reversal.0123…`, the type and the transaction's 32 hex digits.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.entry_type, self.txn)
    }
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
    /// An attempt to send an entry, before its first byte. A script result takes its STAN at its first attempt.
    QueueAttempt {
        /// Which.
        entry: EntryId,
        /// When.
        at: WallTime,
    },
    /// The host's word on an entry, the end of its attempts, or a person's: parked and unparked.
    QueueState {
        /// Which.
        entry: EntryId,
        /// A reversal is `due`, an upload `queued`; or `done`, `denied`, `failed`, `expired`, `parked`.
        state: QueueState,
        /// DE 39 of the answer, if any.
        response_code: Option<ResponseCode>,
        /// True if the host answered 25 to a reversal and is to be asked once more.
        ask_again: bool,
        /// Cause in words when not done.
        error: String,
        /// What else an answer to an upload said: RRN, authorisation code. `None` leaves what is stored.
        host: Option<Box<HostFacts>>,
        /// When.
        at: WallTime,
    },
    /// The shop has ended an entry that the bank did not. `paid` and `not-paid` turn an unknown outcome into
    /// approved (for the amount asked) and failed; `written-off` leaves it.
    Resolved {
        /// Which; its state becomes `done`.
        entry: EntryId,
        /// How.
        how: Resolution,
        /// Who.
        operator: Option<OperatorId>,
        /// When.
        at: WallTime,
    },
    /// The queue is held back by a person, with the reason; `None` lets it go on.
    QueuePaused {
        /// Why.
        why: Option<String>,
    },
    /// A step of the settlement of the open batch.
    Settlement(Box<SettlementStep>),
    /// A step of a download from the bank: built aside, then swapped in one commit.
    Table(TableStep),
    /// Sealed card data and old rows go, as far as [`Housekeeping`] says.
    Housekeep(Housekeeping),
    /// A supervisor has confirmed the list of a restored journal: trading may go on.
    RestoreConfirmed,
    /// An operator is taken off.
    OperatorRemoved(OperatorId),
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
        /// A master key that came with them and holds from now on; kept sealed.
        new_master: Option<MasterKeyMaterial>,
        /// Batch offered by the host and adopted.
        batch: Option<BatchNumber>,
        /// Wall clock offset to the host, µs.
        clock_offset: i64,
    },
    /// The sign-on no longer holds: signed off, or keys refused.
    SignedOff,
    /// Another master key holds from now on; kept sealed. The working keys stood under the one before and go.
    MasterKeyLoaded(MasterKeyMaterial),
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

/// What may go, by `[batch] retention-days` and the rules for sealed card data. One record does a bounded portion, so
/// that no commit is long; [`Committed::more`] tells whether another is worth it. What still owes something stays
/// whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Housekeeping {
    /// Now.
    pub at: WallTime,
    /// Card data of batches settled before this is wiped, unless an obligation, queue entry or exception is open, or
    /// the batch was closed by force: its detail is kept for later.
    pub wipe_before: WallTime,
    /// Rows of batches settled before this are deleted with all that belongs to them, those closed by force too, unless
    /// an obligation, queue entry or exception is open.
    pub delete_before: WallTime,
}

/// What a commit fixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// STAN and batch of the one record of this commit that needs a number: taken by [`Record::Sending`],
    /// [`Record::ReserveStan`] and [`SettlementStep::TotalsFrozen`]; taken, or what it had already, by a
    /// [`Closed::upload`] and by the [`Record::QueueAttempt`] of a script result.
    pub taken: Option<(Stan, BatchNumber)>,
    /// [`Record::Housekeep`] did its portion and left more for another commit.
    pub more: bool,
}

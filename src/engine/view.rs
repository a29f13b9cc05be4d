//! What the outside may see: snapshots of the engine's state, ready for the bus. Plain data, no secrets: card numbers
//! only masked.
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::FaultName;
use crate::domain::ident::TxnId;
use crate::domain::link::{LinkFacts, LinkKind, LinkName, LinkReason};
use crate::domain::money::Amount;
use crate::domain::outcome::{
    BatchState, EntryType, Kind, Outcome, Ply, PrintState, QueueState, ResultCode, Role, TerminalState,
    TxnState,
};
use crate::domain::record::{EntryId, FollowUp, PlyRow};
use crate::domain::text::Bilingual;
use crate::ports::{PrinterStatus, ReaderStatus};
use std::sync::Arc;

/// Everything but transactions, jobs and print jobs. Published whole at each change (`watch`).
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Manager.
    pub terminal: TerminalView,
    /// Operators.
    pub operators: OperatorsView,
    /// Host.
    pub host: HostView,
    /// Queue.
    pub queue: QueueView,
    /// Ledger.
    pub ledger: LedgerView,
    /// Readers; their index is the object's number.
    pub readers: Vec<ReaderView>,
    /// The printer, object 0, if there is one.
    pub printer: Option<PrinterView>,
    /// Network.
    pub network: NetworkView,
    /// Links, in the order of preference.
    pub links: Vec<LinkView>,
}

impl Snapshot {
    /// What is seen before the engine has published anything.
    #[must_use]
    pub fn starting() -> Self {
        Self {
            terminal: TerminalView {
                state: TerminalState::Starting,
                reasons: Vec::new(),
                active: None,
                enabled_kinds: Vec::new(),
                blocked: Vec::new(),
                update_blockers: vec!["starting".to_owned()],
                clock_trusted: false,
                terminal_id: String::new(),
                merchant_id: String::new(),
                merchant_name: String::new(),
            },
            operators: OperatorsView {
                current: String::new(),
                role: Role::None,
                locked_out: Vec::new(),
                all: Vec::new(),
            },
            host: HostView {
                signed_on: false,
                reachable: "unknown",
                key_check_values: Vec::new(),
                keys_loaded_at: WallTime::default(),
                parameter_version: String::new(),
                last_exchange: WallTime::default(),
                certificate_until: WallTime::default(),
                own_certificate_until: WallTime::default(),
            },
            queue: QueueView::default(),
            ledger: LedgerView {
                batch: 0,
                batch_state: BatchState::Open,
                batch_opened_at: WallTime::default(),
                counts: Vec::new(),
            },
            readers: Vec::new(),
            printer: None,
            network: NetworkView::default(),
            links: Vec::new(),
        }
    }
}

/// `org.posd.Pos1.Manager`.
#[derive(Clone, Debug, PartialEq)]
pub struct TerminalView {
    /// `State`.
    pub state: TerminalState,
    /// `StateReasons`, hyphenated words.
    pub reasons: Vec<String>,
    /// `ActiveTransaction`; `None` = `/`.
    pub active: Option<TxnId>,
    /// `EnabledKinds`.
    pub enabled_kinds: Vec<Kind>,
    /// `BlockedReasons`: kind word to reason word.
    pub blocked: Vec<(String, String)>,
    /// `UpdateBlockers`; `SafeToUpdate` is true if empty.
    pub update_blockers: Vec<String>,
    /// `ClockTrusted`.
    pub clock_trusted: bool,
    /// `TerminalId`.
    pub terminal_id: String,
    /// `MerchantId`.
    pub merchant_id: String,
    /// `MerchantName`.
    pub merchant_name: String,
}

/// `org.posd.Pos1.Operators`.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorsView {
    /// `Current`; empty = none.
    pub current: String,
    /// `Role`.
    pub role: Role,
    /// `LockedOut`.
    pub locked_out: Vec<String>,
    /// `Operators`.
    pub all: Vec<String>,
}

/// `org.posd.Pos1.Host`.
#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    /// `SignedOn`.
    pub signed_on: bool,
    /// `Reachable`: yes, no, unknown.
    pub reachable: &'static str,
    /// `KeyCheckValues`: tmk, pik, mak, tdk to 8 hex digits.
    pub key_check_values: Vec<(String, String)>,
    /// `KeysLoadedAt`; 0 = never.
    pub keys_loaded_at: WallTime,
    /// `ParameterVersion`.
    pub parameter_version: String,
    /// `LastExchange`; 0 = never.
    pub last_exchange: WallTime,
    /// `CertificateUntil`; 0 = not known, or no TLS.
    pub certificate_until: WallTime,
    /// `OwnCertificateUntil`; 0 = none.
    pub own_certificate_until: WallTime,
}

/// `org.posd.Pos1.Queue`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueView {
    /// All entries that are not done, in sending order.
    pub rows: Arc<[QueueRow]>,
    /// `NextAttempt`, wall time; 0 = none planned.
    pub next_attempt: WallTime,
    /// `LastError`.
    pub last_error: String,
    /// `Paused`: why, if it is.
    pub paused: Option<String>,
    /// `StoredAmount`: sales approved offline that the bank has not heard of.
    pub stored_amount: u64,
    /// `RemainingAmount`: head-room below `max-total`.
    pub remaining_amount: u64,
    /// `RemainingCount`: head-room below `max-count`.
    pub remaining_count: u32,
}

/// A row of `Queue.List`.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueRow {
    /// What is owed, and by which transaction.
    pub id: EntryId,
    /// State.
    pub state: QueueState,
    /// Amount.
    pub amount: Amount,
    /// Batch.
    pub batch: u32,
    /// STAN.
    pub trace: u32,
    /// Attempts counted.
    pub attempts: u32,
    /// When it became due.
    pub created_at: WallTime,
    /// Last trouble.
    pub last_error: String,
}

/// `org.posd.Pos1.Ledger`.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerView {
    /// `Batch`.
    pub batch: u32,
    /// `BatchState`.
    pub batch_state: BatchState,
    /// `BatchOpenedAt`.
    pub batch_opened_at: WallTime,
    /// `Counts`: kind word to finished transactions of the batch.
    pub counts: Vec<(String, u32)>,
}

/// `org.posd.Pos1.Reader`.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderView {
    /// What the card thread knows.
    pub status: ReaderStatus,
    /// `State`: ready, busy, fault, absent.
    pub state: &'static str,
    /// `Statistics`: cards, apdus, faults.
    pub statistics: Vec<(String, u64)>,
}

/// `org.posd.Pos1.Printer`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrinterView {
    /// What the printer thread knows.
    pub status: PrinterStatus,
    /// `QueueDepth`.
    pub queue_depth: u32,
    /// `Statistics`: jobs, confirmed, unconfirmed, held.
    pub statistics: Vec<(String, u64)>,
    /// The cash drawer at it.
    pub drawer: Option<DrawerView>,
}

/// `org.posd.Pos1.Drawer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawerView {
    /// `IsOpen`; `None` = unknown.
    pub open: Option<bool>,
    /// `OpenCount`, since the start.
    pub opens: u32,
}

/// `org.posd.Pos1.Network`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkView {
    /// `ActiveLink`; `None` = `/`.
    pub active: Option<LinkName>,
    /// `Preference`.
    pub preference: Vec<LinkKind>,
}

/// `org.posd.Pos1.Link`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// What its manager says.
    pub facts: LinkFacts,
    /// `Reason`; `None` = empty.
    pub reason: Option<LinkReason>,
    /// `Verified`: the acquirer answers over it.
    pub verified: bool,
    /// `LastVerified`; 0 = never.
    pub last_verified: WallTime,
}

/// `org.posd.Pos1.Transaction`: one object's properties.
#[derive(Clone, Debug, PartialEq)]
pub struct TxnView {
    /// Names the object.
    pub id: TxnId,
    /// `RequestId`.
    pub request_id: String,
    /// `Kind`.
    pub kind: Kind,
    /// `Currency`.
    pub currency: &'static str,
    /// `Amount`.
    pub amount: Amount,
    /// `ApprovedAmount`.
    pub approved_amount: Amount,
    /// `CreatedAt`.
    pub created_at: WallTime,
    /// `FinishedAt` of results; 0 = not yet.
    pub finished_at: WallTime,
    /// `Operator`.
    pub operator: String,
    /// `Trace`; 0 = none.
    pub trace: u32,
    /// `Batch`; 0 = none.
    pub batch: u32,
    /// `Rrn`.
    pub rrn: String,
    /// `AuthCode`.
    pub auth_code: String,
    /// `MaskedPan`.
    pub masked_pan: String,
    /// `CardToken`.
    pub card_token: String,
    /// `CardBrand`.
    pub card_brand: String,
    /// `Aid`.
    pub aid: String,
    /// `ApplicationLabel`.
    pub application_label: String,
    /// `EntryMode`; empty = none yet.
    pub entry_mode: &'static str,
    /// `ArmedEntryModes`.
    pub armed_entry_modes: Vec<&'static str>,
    /// `CvmMethod`; empty = none yet.
    pub cvm_method: &'static str,
    /// `SignatureRequired`.
    pub signature_required: bool,
    /// `State`.
    pub state: TxnState,
    /// `StateReason`.
    pub state_reason: String,
    /// `Cancellable`.
    pub cancellable: bool,
    /// `Deadline`; 0 = none.
    pub deadline: BootTime,
    /// `DeadlineKind`: customer, host, overall, or empty.
    pub deadline_kind: &'static str,
    /// `Attempt`: this one and how many there are.
    pub attempt: (u32, u32),
    /// `AttemptLink`; `None` = no link is known.
    pub attempt_link: Option<LinkName>,
    /// `Outcome`.
    pub outcome: Outcome,
    /// `ResponseCode`.
    pub response_code: String,
    /// `ResultCode`; `None` = not yet.
    pub result_code: Option<ResultCode>,
    /// `ResultText`; `None` = not yet.
    pub result_text: Option<Bilingual>,
    /// `Original`.
    pub original: Option<TxnId>,
    /// `FollowUps`.
    pub follow_ups: Vec<TxnId>,
    /// `AllowedFollowUps`.
    pub allowed_follow_ups: Vec<Kind>,
    /// `RefundedTotal`.
    pub refunded_total: Amount,
    /// Key `balance` of results: the available balance in minor units, negative for a debit, and its currency.
    pub balance: Option<(i64, &'static str)>,
    /// `PrintJobs`: ids of their objects.
    pub print_jobs: Vec<String>,
    /// True if all plies wanted are confirmed: `printed` of ledger rows.
    pub printed: bool,
}

/// `org.posd.Pos1.PrintJob`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrintJobView {
    /// Id of the object, `[0-9a-z_]+`.
    pub id: String,
    /// `Kind`: receipt, settlement, text, test or declined.
    pub kind: &'static str,
    /// `Ply`; what tells of no transaction is the merchant's.
    pub ply: Ply,
    /// `State`.
    pub state: PrintState,
    /// `Reason`.
    pub reason: String,
    /// `Transaction`; `None` where it tells of none.
    pub transaction: Option<TxnId>,
    /// `Copy`: true for a reprint.
    pub copy: bool,
}

/// `org.posd.Pos1.Job`.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// Number of the object.
    pub number: u64,
    /// `Kind`: sign-on, sign-off, host-test, flush, settlement, backup, verify, restore,
    /// self-test.
    pub kind: &'static str,
    /// `Phase`: connecting, sending, waiting-host, done.
    pub phase: &'static str,
    /// `State`: queued running succeeded failed cancelled.
    pub state: &'static str,
    /// `Progress`, percent.
    pub progress: u8,
    /// `Cancellable`.
    pub cancellable: bool,
    /// `StartedAt`.
    pub started_at: WallTime,
    /// `Result`: numbers and texts by name.
    pub result: Vec<(String, JobValue)>,
    /// `Error`: name and text; `None` = `("", "")`.
    pub error: Option<(FaultName, String)>,
}

/// A value in a job's result.
#[derive(Clone, Debug, PartialEq)]
pub enum JobValue {
    /// Unsigned number (`t`).
    Number(u64),
    /// Unsigned number (`u`).
    Count(u32),
    /// Minor units (`x`).
    Money(i64),
    /// Object path of a transaction (`o`).
    Transaction(TxnId),
    /// Rows (`aa{sv}`).
    Rows(Vec<Vec<(String, JobValue)>>),
    /// Text (`s`).
    Text(String),
    /// The same in each language (`a{ss}`).
    Bilingual(Bilingual),
    /// Bytes (`ay`).
    Bytes(Vec<u8>),
    /// Unsigned byte (`y`).
    Byte(u8),
    /// Yes or no (`b`).
    Flag(bool),
}

/// `Transaction.Explain`: what the journal knows of one transaction, for support. Masked, no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExplainView {
    /// Fields of the request by name; empty = it was never stored for sending.
    pub request: Vec<(&'static str, String)>,
    /// What the bank answered, by name.
    pub answer: Vec<(&'static str, String)>,
    /// Chip facts of the slip: name (`TVR`, `TC`, …) to upper-case hex.
    pub chip: Vec<(String, String)>,
    /// What it owes or owed.
    pub obligations: Vec<ObligationView>,
    /// Its slips.
    pub plies: Vec<PlyRow>,
    /// What followed it, oldest first.
    pub follow_ups: Vec<FollowUp>,
}

/// One entry of the queue, done ones too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObligationView {
    /// Id in the queue.
    pub id: String,
    /// What is owed.
    pub entry_type: EntryType,
    /// Where it stands.
    pub state: QueueState,
    /// The request is out and nothing is known: it becomes an obligation if nothing more is heard.
    pub armed: bool,
    /// Attempts counted.
    pub attempts: u32,
    /// When it became due.
    pub created_at: WallTime,
    /// DE 39 of a 0400: why the bank is asked to undo.
    pub reason: &'static str,
    /// DE 39 of the last answer.
    pub response_code: String,
    /// Last trouble.
    pub last_error: String,
    /// How the shop ended it.
    pub resolution: &'static str,
}

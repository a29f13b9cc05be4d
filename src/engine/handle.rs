//! The engine's front door for the bus: typed requests in, notices out. The queue in front of the engine holds 32
//! commands; when it is full the caller hears `Busy`.
use super::view::{ExplainView, JobView, PrintJobView, Snapshot, TxnView};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::checks::{Level, Part};
use crate::domain::download;
use crate::domain::emv::kernel::Candidate;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::guard::Fact;
use crate::domain::ident::{AuthCode, OperatorId, RequestId, Rrn, TxnId};
use crate::domain::link::LinkName;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{Kind, Outcome, Ply, Prompt, Resolution, TxnState};
use crate::domain::record::{EntryId, TimelineRow, TotalsRow, TxnFilter};
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Password};
use crate::domain::setting::Setting;
use crate::domain::txn::PinAsk;
pub use crate::ports::JoinRequest;
use core::time::Duration;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Who asks: a peer on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Unique name, `:1.42`.
    pub peer: String,
    /// Unix user id.
    pub uid: u32,
}

impl Caller {
    /// Nobody: what the terminal starts by itself after a restart. `(uid_t)-1` is no user.
    #[must_use]
    pub const fn nobody() -> Self {
        Self { peer: String::new(), uid: u32::MAX }
    }
}

/// Arguments of `StartTransaction`, checked in form by the api, in substance by the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// The caller's name for it.
    pub request_id: RequestId,
    /// Kind.
    pub kind: Kind,
    /// Amount.
    pub amount: Amount,
    /// Currency.
    pub currency: Currency,
    /// SHA-256 over the compared arguments.
    pub arguments_sha256: [u8; 32],
    /// Option `customer-timeout`, s.
    pub customer_timeout_s: Option<u32>,
    /// Option `host-timeout`, s.
    pub host_timeout_s: Option<u32>,
    /// Option `plies`, 0 to 3.
    pub plies: Option<u8>,
    /// Option `cashier-ref`.
    pub cashier_ref: Option<String>,
    /// Option `metadata`.
    pub metadata: Vec<(String, String)>,
    /// Option `confirm-card`.
    pub confirm_card: bool,
    /// Option `entry-modes`; empty = all that the terminal has.
    pub entry_modes: Vec<String>,
    /// True if an agent that can ask a PIN would serve this caller.
    pub has_pin_agent: bool,
    /// Option `original`.
    pub original: Option<OriginalArgument>,
    /// Option `rrn`.
    pub rrn: Option<Rrn>,
    /// Option `date`, `MMDD`.
    pub date: Option<String>,
    /// Option `auth-code`.
    pub auth_code: Option<AuthCode>,
    /// Option `allow-duplicate`.
    pub allow_duplicate: bool,
    /// Option `allow-partial`.
    pub allow_partial: bool,
    /// Option `authorization`: an Authorize token.
    pub authorization: Option<String>,
}

/// How a caller names the original of a follow-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginalArgument {
    /// By its object.
    Object(TxnId),
    /// By batch, trace and `MMDD`; 0 and empty = not known.
    Numbers {
        /// Batch.
        batch: u32,
        /// STAN.
        trace: u32,
        /// `MMDD`.
        date: String,
    },
}

/// Leave to do something that an operator of a higher role must allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// Option `authorization`: an Authorize token; not needed while the signed-on operator has the role.
    pub authorization: Option<String>,
}

/// What `Authorize` binds its token to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeRequest {
    /// The action, a word of [`crate::domain::rules::Rule::action`] or of the access matrix.
    pub action: String,
    /// Whose leave.
    pub supervisor: OperatorId,
    /// Proves it.
    pub password: Password,
    /// Option `original`: only for follow-ups of this one.
    pub original: Option<TxnId>,
    /// Option `amount`: only for this amount.
    pub amount: Option<Amount>,
}

/// Answers to `Cancel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    /// It will end as cancelled.
    Accepted,
    /// A cancel was accepted before.
    AlreadyCancelled,
}

/// An inhibitor that is held; letting it go tells the engine.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    tell: mpsc::Sender<u64>,
}

impl Ticket {
    /// One of this number, told there when it goes.
    #[must_use]
    pub const fn new(id: u64, tell: mpsc::Sender<u64>) -> Self {
        Self { id, tell }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // There is a place for every one that may be held; an engine that has gone needs no telling.
        self.tell.try_send(self.id).ok();
    }
}

type Answer<T> = oneshot::Sender<Result<T, Fault>>;

/// What is done about the configuration.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "fields carry the names of the contract; the line of the variant says what it is"
)]
pub enum ConfigChange {
    /// Takes values into use until `wait` is over: the name of the checkpoint.
    Set { values: Vec<(String, Setting)>, wait: Duration, answer: Answer<String> },
    /// Keeps them.
    Confirm { checkpoint: String, answer: Answer<()> },
    /// Takes them back.
    Rollback { checkpoint: String, answer: Answer<()> },
}

/// One request of the bus.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "fields carry the names of the contract; the line of the variant says what it is"
)]
pub enum Command {
    /// `Manager.StartTransaction`.
    Start(Box<StartRequest>, Caller, Answer<TxnId>),
    /// `Manager.GetTransaction` and `Ledger.Query` rows: exposes the object for ten minutes.
    Expose(TxnId, Answer<()>),
    /// `Ledger.Open`.
    Open { batch: u32, trace: u32, answer: Answer<TxnId> },
    /// `Transaction.Cancel`.
    Cancel(TxnId, Answer<CancelAnswer>),
    /// `Transaction.GetTimeline`.
    Timeline(TxnId, Answer<Vec<TimelineRow>>),
    /// `Transaction.GetReceipt`: the bytes in `text`, `svg` or `escpos`.
    Receipt { id: TxnId, ply: Ply, format: String, answer: Answer<Vec<u8>> },
    /// `Transaction.Reprint`: id of the print job.
    Reprint { id: TxnId, ply: Ply, answer: Answer<String> },
    /// `Printer.PrintText`: id of the print job.
    PrintText(String, Answer<String>),
    /// `Printer.TestPage`: id of the print job.
    TestPage(Answer<String>),
    /// `Printer.Feed`.
    Feed { lines: u8, answer: Answer<()> },
    /// `Drawer.Open`.
    OpenDrawer { leave: Leave, caller: Caller, answer: Answer<()> },
    /// `PrintJob.Retry`.
    RetryPrint(String, Answer<()>),
    /// `PrintJob.Abandon`.
    AbandonPrint { job: String, why: String, answer: Answer<()> },
    /// `Operators.SignOn`.
    OperatorSignOn { operator: OperatorId, password: Password, caller: Caller, answer: Answer<()> },
    /// `Operators.SignOff`.
    OperatorSignOff(Answer<()>),
    /// `Operators.ChangePassword`.
    ChangePassword { operator: OperatorId, old: Password, new: Password, answer: Answer<()> },
    /// `Host.SignOn`: number of the job.
    HostSignOn(Answer<u64>),
    /// `Host.SignOff`: number of the job.
    HostSignOff(Answer<u64>),
    /// `Host.Test`: number of the job. With a link: over that one.
    HostTest { link: Option<LinkName>, answer: Answer<u64> },
    /// `Printer.Learn`: number of the job.
    LearnPrinter(Answer<u64>),
    /// `Network.Scan`: number of the job.
    Scan(Answer<u64>),
    /// `Network.Connect`: number of the job.
    Join { wanted: Box<JoinRequest>, answer: Answer<u64> },
    /// `Host.LoadMasterKey`: the check value.
    LoadMasterKey { key: MasterKeyMaterial, leave: Leave, caller: Caller, answer: Answer<String> },
    /// `Host.DownloadParameters`: number of the job. Without kinds those of the profile.
    Download { kinds: Option<Vec<download::Kind>>, leave: Leave, caller: Caller, answer: Answer<u64> },
    /// `Queue.Flush`: number of the job.
    Flush(Answer<u64>),
    /// `Job.Cancel`.
    CancelJob(u64, Answer<CancelAnswer>),
    /// `Operators.Authorize`: the token.
    Authorize(Box<AuthorizeRequest>, Caller, Answer<String>),
    /// `Manager.RegisterAgent` with option `take-over`: redeems a token for action `agent`.
    TakeOver { token: String, caller: Caller, answer: Answer<()> },
    /// `Transaction.Explain`.
    Explain(TxnId, Answer<Box<ExplainView>>),
    /// `Operators.Add`.
    AddOperator { operator: OperatorId, password: Password, by: (Leave, Caller), answer: Answer<()> },
    /// `Operators.Remove`.
    RemoveOperator { operator: OperatorId, leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Operators.Unlock`.
    UnlockOperator { operator: OperatorId, leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Queue.Pause`.
    PauseQueue { why: String, leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Queue.Resume`.
    ResumeQueue(Answer<()>),
    /// `Queue.Park`.
    Park { entry: EntryId, why: String, leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Queue.Unpark`.
    Unpark { entry: EntryId, leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Queue.Resolve`.
    Resolve { entry: EntryId, how: Resolution, leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Ledger.Settle`: number of the job.
    Settle { force_close: bool, leave: Leave, caller: Caller, answer: Answer<u64> },
    /// `Ledger.ReprintSettlement`: id of the print job.
    ReprintSettlement { batch: u32, answer: Answer<String> },
    /// `Ledger.Totals`.
    Totals { filter: Box<TxnFilter>, answer: Answer<Vec<TotalsRow>> },
    /// `Maintenance.Backup`: number of the job. The file or pipe is written and closed by the engine's helper thread.
    Backup(OwnedFd, Answer<u64>),
    /// `Maintenance.Verify`: number of the job.
    Verify(OwnedFd, Answer<u64>),
    /// `Maintenance.Restore`: number of the job.
    Restore { source: OwnedFd, leave: Leave, caller: Caller, answer: Answer<u64> },
    /// `Maintenance.ConfirmRestore`.
    ConfirmRestore { leave: Leave, caller: Caller, answer: Answer<()> },
    /// `Manager.SelfTest`: number of the job.
    SelfTest { what: Vec<Part>, level: Level, answer: Answer<u64> },
    /// `Reader.Reset`.
    ResetReader(Answer<()>),
    /// `Maintenance.Inhibit`.
    Inhibit { why: String, caller: Caller, answer: Answer<Ticket> },
    /// `Maintenance.Security`.
    Security(Answer<Vec<Fact>>),
    /// `Maintenance.Report`: number of the job.
    Report(OwnedFd, Answer<u64>),
    /// `Config.Get`: without keys all of them.
    ConfigGet { keys: Vec<String>, answer: Answer<Vec<(String, Setting)>> },
    /// `Config.Set`, `Confirm`, `Rollback`.
    Config { change: ConfigChange, leave: Leave, caller: Caller },
    /// `Ledger.Query`.
    Query { filter: Box<TxnFilter>, limit: u32, cursor: String, answer: Answer<(Vec<TxnView>, String)> },
}

/// What the bus is told, in order. The publisher takes them one by one.
#[derive(Debug)]
#[allow(
    missing_docs,
    reason = "fields carry the names of the contract; the line of the variant says what it is"
)]
pub enum Notice {
    /// The snapshot changed; read it and emit `PropertiesChanged`.
    Snapshot(Arc<Snapshot>),
    /// A transaction's properties, new or changed. The first one makes the object.
    Txn(Arc<TxnView>),
    /// Its object goes.
    TxnGone(TxnId),
    /// `Transaction.StateChanged`. Follows the [`Notice::Txn`] that carries the new state.
    StateChanged { id: TxnId, old: TxnState, new: TxnState, reason: String, at: WallTime },
    /// `Transaction.Prompt`.
    Prompt { id: TxnId, code: Prompt, deadline: BootTime, remaining_ms: u32 },
    /// `Transaction.Finished`: exactly once. Follows the [`Notice::Txn`] with the outcome.
    Finished { id: TxnId, outcome: Outcome },
    /// A print job, new or changed.
    PrintJob(Arc<PrintJobView>),
    /// Its object goes.
    PrintJobGone(String),
    /// A job, new or changed.
    Job(Arc<JobView>),
    /// `Job.Finished`. Follows the [`Notice::Job`] with the end.
    JobFinished(u64),
    /// Its object goes.
    JobGone(u64),
    /// `Reader.CardInserted` of reader 0, 1, …
    CardInserted(u32),
    /// `Reader.CardRemoved`.
    CardRemoved { reader: u32, early: bool },
    /// Answers when everything before it is on the bus: sent by the api itself before it returns a path.
    Barrier(oneshot::Sender<()>),
}

/// To the agents' keeper in the api.
#[derive(Clone, Debug)]
#[allow(
    missing_docs,
    reason = "fields carry the names of the contract; the line of the variant says what it is"
)]
pub enum AgentCommand {
    /// Ask the agent that serves this starter. Answered by one [`AgentEvent`] of the same id, unless withdrawn.
    Ask { id: u64, txn: TxnId, starter: Caller, ask: AgentAsk, deadline: BootTime, remaining_ms: u32 },
    /// Not needed any more: `Agent.Cancel(txn, why)`.
    Withdraw { id: u64, txn: TxnId, why: &'static str },
    /// `Agent.ShowPrompt`, not answered.
    ShowPrompt { txn: TxnId, starter: Caller, code: Prompt, deadline: BootTime, remaining_ms: u32 },
}

/// What an agent is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "fields carry the names of the contract; the line of the variant says what it is"
)]
pub enum AgentAsk {
    /// `RequestPin`.
    Pin { ask: PinAsk, amount: Amount, currency: Currency },
    /// `SelectApplication`.
    Application(Vec<Candidate>),
    /// `ConfirmCard`.
    Card,
    /// `ConfirmSignature`.
    Signature,
    /// `ConfirmDuplicate`: this one paid the same a moment ago.
    Duplicate(TxnId),
    /// `Authorize` for this action; `refused`: why the supervisor named before did not do.
    Authorize { action: &'static str, refused: Option<FaultName> },
}

/// What an agent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAnswer {
    /// A PIN.
    Pin(ClearPin),
    /// An empty PIN: bypass.
    PinBypassed,
    /// One of the candidates, as it stands in [`AgentAsk::Application`].
    Application(crate::domain::emv::params::Aid),
    /// Yes or no: card, signature, duplicate.
    Yes(bool),
    /// A supervisor's number and password.
    Supervisor(OperatorId, Password),
    /// The person cancelled (`Error.Cancelled`).
    Cancelled,
}

/// From the agents' keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "fields carry the names of the contract; the line of the variant says what it is"
)]
pub enum AgentEvent {
    /// The answer.
    Answered { id: u64, answer: AgentAnswer },
    /// No agent is left that could answer, or it broke the protocol.
    Unavailable { id: u64, why: String },
}

/// The cloneable front door.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl EngineHandle {
    /// Ties the two ends together; the daemon does it.
    #[must_use]
    pub const fn new(commands: mpsc::Sender<Command>, snapshot: watch::Receiver<Arc<Snapshot>>) -> Self {
        Self { commands, snapshot }
    }

    /// The state as last published; no question is put to the engine.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Puts a command and waits for its answer.
    ///
    /// # Errors
    /// `Busy` when 32 commands wait, `Failed` when the engine is gone, else what the engine says.
    pub async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Command) -> Result<T, Fault> {
        let (answer, wait) = oneshot::channel();
        self.commands.try_send(make(answer)).map_err(|_| {
            Fault::new(FaultName::Busy, "the terminal has 32 requests waiting; try again in a moment")
        })?;
        wait.await.map_err(|_| Fault::new(FaultName::Failed, "the terminal is stopping"))?
    }
}

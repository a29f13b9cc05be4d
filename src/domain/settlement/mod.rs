//! Settlement (结算) of the open batch: a consuming step function from "sales are refused" to "the next batch is open".
//!
//! `Begun` ⇒ D → the queue is drained → the batch is read and counted → a line is open → `TotalsFrozen` ⇒ D → 0500,
//! repeated identically until it is answered → `Verdict` ⇒ D → batch upload, its progress durable every eight records
//! or fewer → end → `Closed` ⇒ D. Until the totals are frozen it may fail or be cancelled, and sales are taken again
//! (`Reopened` ⇒ D); afterwards only the bank's word ends it, or a supervisor's force. Every phase is resumed by
//! [`Settlement::recover`]; repeats on the wire are harmless. Nothing here waits, reads a clock or sends.
//!
//! What the batch adds up to is in [`totals`], what goes up in [`upload`], whom to suspect in [`suspects`].
mod phases;
pub mod reconcile;
pub mod slip;
pub mod suspects;
pub mod totals;
pub mod upload;

#[cfg(test)]
pub(in crate::domain) mod tests;

use super::calendar::BootTime;
use super::fault::{Fault, FaultName};
use super::ident::{BatchNumber, OperatorId, ResponseCode, Stan};
use super::outcome::{BatchState, Verdict};
use super::profile::VoidedSales;
use super::record::{Record, SettlementRow, SettlementStep, TotalsRow, TxnRow};
use super::txn::{Effects, Now};
use super::unionpay::settlement::{ChipFailure, Line};
use core::time::Duration;
use suspects::Suspect;
use upload::Detail;

/// First pause before a message without an answer is sent again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How long a store or read that failed waits before it is tried again.
const STORAGE_RETRY: Duration = Duration::from_secs(5);
/// Most records of the upload that are answered and not durable.
const PROGRESS_MAX: usize = upload::GROUP_MAX;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The records of the last store are durable; the STAN taken, if one was.
    Stored(Option<Stan>),
    /// They could not be stored as far as anybody knows.
    StoreFailed,
    /// Script results, reversals and uploads have each reached a final state or are out of attempts.
    Drained,
    /// The queue cannot be emptied now: no line, or no sign-on.
    NotDrained(Fault),
    /// The open batch as the journal has it.
    BatchRead(Vec<TxnRow>),
    /// It could not be read.
    ReadFailed(String),
    /// The line is open, and what must go before has gone.
    LineReady,
    /// No line.
    LineFailed(String),
    /// The socket took the request.
    RequestSent,
    /// The bank answered, and the answer fits.
    Answered(Answer),
    /// What came is no usable answer.
    Garbled,
    /// The line broke.
    LineLost,
    /// Not wanted any more; [`Settlement::cancellable`] was asked before.
    Cancel,
    /// A supervisor closes the batch without the bank.
    ForceClose,
    /// Time passed.
    Tick,
}

/// What the bank said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 0510: its word on domestic and on foreign cards.
    Verdict(Verdict, Verdict),
    /// 0330: taken.
    Taken,
    /// DE 39 of a refusal.
    Refused(ResponseCode),
}

/// Things to do that need no disk and send nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Send everything that the queue owes, each to a final state or out of attempts. Comes back as
    /// [`Event::Drained`] or [`Event::NotDrained`].
    Drain,
    /// Not any more.
    StopDraining,
    /// Read the open batch.
    ReadBatch,
    /// The bank wants a new sign-on before it says more.
    DropSignOn,
}

/// A message, complete but for the terminal's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// 0500.
    Totals {
        /// Its STAN, the same in every repetition.
        stan: Stan,
        /// Field 48, 62 digits.
        field48: String,
    },
    /// 0320 with up to eight lines.
    Group {
        /// A STAN of its own.
        stan: Stan,
        /// The lines.
        lines: Vec<Line>,
    },
    /// 0320 as a copy of what was sent, under its own STAN.
    Copy(Box<TxnRow>),
    /// 0320 with the last cryptogram of a chip transaction, under its STAN.
    Chip {
        /// The transaction.
        row: Box<TxnRow>,
        /// What went wrong, if anything.
        failure: Option<ChipFailure>,
        /// The totals of its class agreed.
        agreed: bool,
    },
    /// 0320: the upload is over.
    End {
        /// A STAN of its own.
        stan: Stan,
        /// All records told, those of an earlier attempt included.
        records: u32,
        /// The totals of both classes agreed.
        agreed: bool,
    },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The batch is closed and the next one open.
    Closed(Box<Report>),
    /// The batch has no record: nothing was to be settled, and it stays open.
    Empty,
    /// It ended before the totals were frozen; sales are taken again. `Cancelled` if a person wanted it.
    Failed(Fault),
}

/// What is told of a closed batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The bank's word on domestic and on foreign cards.
    pub verdict: (Verdict, Verdict),
    /// Closed without waiting for the bank.
    pub forced: bool,
    /// Field 48 of the 0500.
    pub field48: String,
    /// Lines by kind, card class and operator.
    pub totals: Vec<TotalsRow>,
    /// Records about which the bank may think otherwise.
    pub suspects: Vec<Suspect>,
    /// Records of the upload.
    pub uploaded: u32,
    /// How many of them the bank refused in this run.
    pub refused: u32,
}

/// What a settlement is told once.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The batch.
    pub batch: BatchNumber,
    /// Who asked.
    pub operator: OperatorId,
    /// How long the bank may take.
    pub response_timeout: Duration,
    /// Which voided sales field 48 counts.
    pub voided_sales: VoidedSales,
}

/// The settlement of a batch.
pub struct Settlement {
    setup: Setup,
    /// The batch, once read.
    rows: Vec<TxnRow>,
    /// Field 48 and the STAN of the 0500, once durable.
    frozen: Option<(String, Stan)>,
    /// The bank's word, once durable.
    verdict: Option<(Verdict, Verdict)>,
    /// Records of the upload in their order, once there is a verdict.
    plan: Vec<Detail>,
    /// How many of them are answered.
    answered: usize,
    /// How many of these are durable.
    durable: usize,
    /// How many the bank refused in this run.
    refused: u32,
    /// A supervisor does not wait for the bank.
    forced: bool,
    /// Somebody wants it stopped before the totals are frozen.
    stop: bool,
    /// Next pause after a message without an answer.
    pause: Duration,
    /// Why the last message has no answer; empty since the last good one.
    trouble: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Records to be durable.
    Storing { records: Vec<Record>, then: Then },
    /// They were not; tried again.
    StorePause { records: Vec<Record>, then: Then, until: BootTime },
    /// The queue to be empty.
    Draining,
    /// The batch to be read.
    Reading,
    /// It could not be; tried again.
    ReadPause(BootTime),
    /// A line: without one the totals are not frozen, because sales would wait for it. Field 48.
    Connecting(String),
    /// The bank to answer a message.
    Exchange(Box<Request>, Wire),
    /// Nothing.
    Ended(End),
}

/// What follows a store.
#[derive(Clone, Debug)]
enum Then {
    /// `Begun`: drain the queue.
    Drain,
    /// `TotalsFrozen` takes the STAN: ask the bank.
    Ask(String),
    /// `Verdict`: begin the upload.
    Upload(Verdict, Verdict),
    /// `Uploaded`: go on.
    GoOn,
    /// A STAN is reserved for the next group, or for the end.
    Numbered,
    /// `Reopened` or `Closed`.
    End(End),
}

/// How far a message is.
#[derive(Clone, Copy, Debug)]
enum Wire {
    AwaitLine,
    AwaitSent,
    AwaitHost(BootTime),
    Pause(BootTime),
}

type Step = (Settlement, Effects<Local, Request>);

impl Settlement {
    fn new(setup: Setup, state: State) -> Self {
        Self {
            setup,
            rows: Vec::new(),
            frozen: None,
            verdict: None,
            plan: Vec::new(),
            answered: 0,
            durable: 0,
            refused: 0,
            forced: false,
            stop: false,
            pause: RETRY_MIN,
            trouble: String::new(),
            state,
        }
    }

    /// Begins. `force_close`: a supervisor closes the batch without asking the bank.
    #[must_use]
    pub fn begin(setup: Setup, force_close: bool, now: Now) -> Step {
        let begun = SettlementStep::Begun { at: now.wall, operator: setup.operator.clone() };
        let mut settlement = Self::new(setup, State::Reading);
        settlement.forced = force_close;
        settlement.store(vec![phases::record(begun)], Then::Drain)
    }

    /// Goes on where the journal says that it was interrupted; who asked stands there, too.
    #[must_use]
    pub fn recover(row: &SettlementRow, setup: Setup) -> Step {
        let setup = Setup { operator: row.operator.clone(), ..setup };
        let mut settlement = Self::new(setup, State::Reading);
        settlement.frozen.clone_from(&row.frozen);
        settlement.verdict = row.verdict;
        settlement.answered = usize::try_from(row.uploaded).unwrap_or(usize::MAX);
        settlement.durable = settlement.answered;
        if settlement.frozen.is_some() { settlement.read() } else { settlement.drain() }
    }

    /// Takes one event. Total: what a state does not await changes nothing.
    #[must_use]
    pub fn step(self, event: Event, now: Now) -> Step {
        phases::step(self, event, now)
    }

    /// The batch.
    #[must_use]
    pub const fn batch(&self) -> BatchNumber {
        self.setup.batch
    }

    /// Who asked.
    #[must_use]
    pub const fn operator(&self) -> &OperatorId {
        &self.setup.operator
    }

    /// How it ended, once that is durable.
    #[must_use]
    pub const fn ended(&self) -> Option<&End> {
        match &self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Where the batch stands meanwhile.
    #[must_use]
    pub const fn batch_state(&self) -> BatchState {
        match (&self.state, self.verdict) {
            (State::Ended(_), _) => BatchState::Open,
            (_, None) => BatchState::Settling,
            (_, Some(_)) => BatchState::Uploading,
        }
    }

    /// When it wants [`Event::Tick`].
    #[must_use]
    pub const fn deadline(&self) -> Option<BootTime> {
        match &self.state {
            State::StorePause { until: at, .. }
            | State::ReadPause(at)
            | State::Exchange(_, Wire::AwaitHost(at) | Wire::Pause(at)) => Some(*at),
            _ => None,
        }
    }

    /// True while the engine is to get it a line.
    #[must_use]
    pub const fn wants_line(&self) -> bool {
        matches!(self.state, State::Connecting(_) | State::Exchange(_, Wire::AwaitLine))
    }

    /// True while the line must stay with it: a message is out, or the next one waits for the disk only.
    #[must_use]
    pub const fn keeps_line(&self) -> bool {
        match &self.state {
            State::Connecting(_) => true,
            State::Exchange(_, wire) => !matches!(wire, Wire::Pause(_)),
            State::Storing { then, .. } => {
                matches!(then, Then::Ask(_) | Then::Upload(..) | Then::GoOn | Then::Numbered)
            }
            _ => false,
        }
    }

    /// True until `TotalsFrozen` is handed to the journal.
    #[must_use]
    pub const fn cancellable(&self) -> bool {
        if self.frozen.is_some() {
            return false;
        }
        matches!(
            self.state,
            State::Draining
                | State::Reading
                | State::Connecting(_)
                | State::Storing { then: Then::Drain, .. }
        )
    }

    /// The refusal that belongs to a cancel that comes too late.
    #[must_use]
    pub fn too_late() -> Fault {
        let text = "the totals are with the bank; only its answer ends the settlement, or a supervisor's force-close";
        Fault::new(FaultName::TooLate, text)
    }

    /// True while it drains the queue.
    #[must_use]
    pub const fn draining(&self) -> bool {
        matches!(self.state, State::Draining)
    }

    /// Why the bank's answer is waited for longer than usual; empty if it is not.
    #[must_use]
    pub fn trouble(&self) -> &str {
        &self.trouble
    }

    /// For the job's `Phase`: `draining`, `counting`, `connecting`, `comparing`, `uploading`, `ending`, `retrying`
    /// between two attempts, `closing`, `done`.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match &self.state {
            State::Draining => "draining",
            State::Reading | State::ReadPause(_) => "counting",
            State::Connecting(_) => "connecting",
            State::Exchange(_, Wire::Pause(_)) => "retrying",
            State::Exchange(request, _) => match **request {
                Request::Totals { .. } => "comparing",
                Request::Group { .. } | Request::Copy(_) | Request::Chip { .. } => "uploading",
                Request::End { .. } => "ending",
            },
            State::Storing { then, .. } | State::StorePause { then, .. } => match then {
                Then::Drain => "draining",
                Then::Ask(_) | Then::Upload(..) => "comparing",
                Then::GoOn | Then::Numbered => "uploading",
                Then::End(_) => "closing",
            },
            State::Ended(_) => "done",
        }
    }

    /// For the job's `Progress`, percent. It never goes back.
    #[must_use]
    pub fn progress(&self) -> u8 {
        match &self.state {
            State::Ended(_) => 100,
            State::Storing { then: Then::End(_), .. } | State::StorePause { then: Then::End(_), .. } => 97,
            _ if self.verdict.is_some() => {
                let done = self.answered.min(self.plan.len()).saturating_mul(50);
                let share = done.checked_div(self.plan.len()).unwrap_or(0);
                u8::try_from(share.saturating_add(45)).unwrap_or(95)
            }
            _ if self.frozen.is_some() => 30,
            State::Draining | State::Storing { then: Then::Drain, .. } => 5,
            _ => 20,
        }
    }
}

impl core::fmt::Debug for Settlement {
    /// Where it stands; the batch itself is long.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("Settlement");
        shown.field("batch", &self.setup.batch).field("phase", &self.phase());
        shown.field("answered", &self.answered).field("of", &self.plan.len()).finish_non_exhaustive()
    }
}

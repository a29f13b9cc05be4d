//! The reversal (冲正, 0400) of one transaction of unknown outcome: a line, a counted attempt, a send, an
//! answer.
//!
//! The attempt is durable before its first byte; attempts that got no line do not count. Done on 00 and 12;
//! on 25 it no longer blocks trading, is asked once more where the profile says so, and is then done. A0 asks
//! for a new sign-on first; twice in a row is `failed`. The limit of attempts only unblocks trading: nothing
//! is ever dropped.
use super::{Effects, Garbled, Now, Vital};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::ident::{AuthCode, BatchNumber, ResponseCode, Stan, TxnId};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{EntryType, QueueState};
use crate::domain::record::{EntryId, Record, ReversalReason, TxnRow, WireFacts};
use crate::domain::secret::Pan;
use crate::domain::unionpay::response::{self, Class};
use core::time::Duration;

/// An obligation to reverse, as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The original transaction.
    pub id: TxnId,
    /// Its STAN: the 0400 carries the same.
    pub stan: Stan,
    /// Its batch.
    pub batch: BatchNumber,
    /// Its amount.
    pub amount: Amount,
    /// Its currency.
    pub currency: Currency,
    /// Its card.
    pub pan: Pan,
    /// Expiry `YYMM`.
    pub expiry: Option<String>,
    /// Card sequence number.
    pub sequence: Option<u8>,
    /// The stored fields of its request.
    pub wire: WireFacts,
    /// DE 38 of its answer, if there was one.
    pub auth_code: Option<AuthCode>,
    /// DE 39 of the 0400.
    pub reason: ReversalReason,
    /// DE 55 of the 0400.
    pub icc: Vec<u8>,
    /// `due` or `failed`.
    pub state: QueueState,
    /// Attempts counted.
    pub attempts: u32,
    /// The host answered 25 once.
    pub ask_again: bool,
    /// The host answered A0 last time.
    pub mac_refused: bool,
    /// When it became due.
    pub created_at: WallTime,
    /// Last trouble in words.
    pub last_error: String,
}

impl Due {
    /// Reads the obligation of a stored transaction, if it has one.
    #[must_use]
    pub fn of(row: &TxnRow) -> Option<Self> {
        let reversal = row.reversal().filter(|r| !r.armed && r.is_open())?;
        let card = row.card.as_ref()?;
        Some(Self {
            id: row.start.id.clone(),
            stan: row.stan?,
            batch: row.batch,
            amount: row.start.amount,
            currency: row.start.currency,
            pan: card.pan.clone(),
            expiry: card.expiry.clone(),
            sequence: card.sequence,
            wire: row.wire.clone()?,
            auth_code: row.host.auth_code.clone(),
            reason: reversal.reason?,
            icc: reversal.icc.clone(),
            state: reversal.state,
            attempts: reversal.attempts,
            ask_again: reversal.ask_again,
            mac_refused: false,
            created_at: reversal.created_at,
            last_error: reversal.last_error.clone(),
        })
    }

    /// The host answered 25, and its second answer is still wanted.
    #[must_use]
    pub fn waits_to_be_asked_again(&self) -> bool {
        self.ask_again && self.state != QueueState::Failed
    }

    /// True while no financial message may go before it.
    #[must_use]
    pub fn blocks_trading(&self) -> bool {
        self.state != QueueState::Failed && !self.ask_again
    }
}

/// Limits of the acquirer profile.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attempts before it is `failed`.
    pub attempts_max: u32,
    /// How long the bank may take.
    pub response_timeout: Duration,
    /// A bank that knows no original (25) is asked once more; otherwise that is its last word.
    pub ask_again: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line is open.
    LineReady,
    /// No line.
    LineFailed(String),
    /// The records of the last store are durable.
    Stored,
    /// They are not.
    StoreFailed,
    /// The socket took the request.
    RequestSent,
    /// DE 39 of a good 0410.
    Answered(ResponseCode),
    /// No usable answer.
    Garbled(Garbled),
    /// The line broke.
    LineLost,
    /// Time passed.
    Tick,
}

/// Things to do without money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// The bank refuses our MAC: sign on before the next attempt.
    DropSignOn,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The bank holds nothing: the obligation is over.
    Done,
    /// The bank knows no original; asked once more later.
    AskAgain,
    /// Still due.
    StillDue,
    /// Attempts used up, or MAC refused twice.
    Failed,
    /// No line: nothing was counted.
    NoLine,
    /// The journal is in trouble.
    StorageFault,
}

#[derive(Debug)]
enum State {
    AwaitLine,
    AwaitAttemptStored,
    AwaitSent,
    AwaitHost(BootTime),
    /// The verdict, and the obligation as it is once the verdict is durable.
    AwaitVerdictStored(End, Box<Due>),
    Ended(End),
}

/// One run of one reversal.
#[derive(Debug)]
pub struct Reversal {
    due: Due,
    limits: Limits,
    state: State,
}

type Step = (Reversal, Effects<Local, Due>);

impl Reversal {
    /// Begins a run; the engine gets it a line.
    #[must_use]
    pub const fn new(due: Due, limits: Limits) -> Self {
        Self { due, limits, state: State::AwaitLine }
    }

    /// The obligation as it now is.
    #[must_use]
    pub const fn due(&self) -> &Due {
        &self.due
    }

    /// How the run ended, once it has.
    #[must_use]
    pub const fn ended(&self) -> Option<End> {
        match self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// When it wants [`Event::Tick`].
    #[must_use]
    pub const fn deadline(&self) -> Option<BootTime> {
        match self.state {
            State::AwaitHost(deadline) => Some(deadline),
            _ => None,
        }
    }

    /// Takes one event. Total.
    #[must_use]
    pub fn step(mut self, event: Event, now: Now) -> Step {
        if let (State::AwaitVerdictStored(end, due), Event::Stored) = (&self.state, &event) {
            let (end, due) = (*end, (**due).clone());
            return Self { due, ..self }.end(end);
        }
        match (&self.state, event) {
            (State::AwaitLine, Event::LineReady) => {
                let record = Record::QueueAttempt { entry: entry_of(&self.due.id), at: now.wall };
                self.state = State::AwaitAttemptStored;
                (self, Effects::store(vec![], vec![record]))
            }
            (State::AwaitLine, Event::LineFailed(cause)) => {
                self.due.last_error = cause;
                self.end(End::NoLine)
            }
            (State::AwaitAttemptStored, Event::Stored) => {
                self.due.attempts = self.due.attempts.saturating_add(1);
                let due = self.due.clone();
                self.state = State::AwaitSent;
                (self, Effects::send(vec![], due))
            }
            (State::AwaitAttemptStored | State::AwaitVerdictStored(..), Event::StoreFailed) => {
                self.end(End::StorageFault)
            }
            (State::AwaitSent, Event::RequestSent) => {
                self.state = State::AwaitHost(now.boot.after(self.limits.response_timeout));
                (self, Effects::none())
            }
            (State::AwaitSent | State::AwaitHost(_), Event::Answered(code)) => self.answered(code, now),
            (State::AwaitSent | State::AwaitHost(_), Event::Garbled(garbled)) => {
                let word = if garbled == Garbled::Mac { "wrong MAC" } else { "unusable answer" };
                self.silence(word, now)
            }
            (State::AwaitSent | State::AwaitHost(_), Event::LineLost) => self.silence("line lost", now),
            (State::AwaitHost(deadline), Event::Tick) if now.boot >= *deadline => {
                self.silence("no answer", now)
            }
            // Everything else is late, early or repeated.
            (_, _) => (self, Effects::none()),
        }
    }

    fn answered(self, code: ResponseCode, now: Now) -> Step {
        let mut due = Due { mac_refused: false, ..self.due.clone() };
        if response::reversal_done(&code) {
            let once_more = code.as_str() == "25" && self.limits.ask_again && !due.ask_again;
            if once_more {
                due.ask_again = true;
                return self.verdict(due, End::AskAgain, Some(code), "", now, vec![]);
            }
            return self.verdict(due, End::Done, Some(code), "", now, vec![]);
        }
        if code.as_str() == "A0" {
            due.mac_refused = true;
            if self.due.mac_refused {
                return self.verdict(due, End::Failed, Some(code), "MacError", now, vec![]);
            }
        }
        let local =
            if response::class(&code) == Class::SignOnNeeded { vec![Local::DropSignOn] } else { vec![] };
        let text = format!("refused with {code}");
        self.again(due, Some(code), &text, now, local)
    }

    /// No usable answer.
    fn silence(self, error: &str, now: Now) -> Step {
        let due = self.due.clone();
        self.again(due, None, error, now, vec![])
    }

    /// No end yet: still due, or `failed` when the attempts are used up.
    fn again(self, due: Due, code: Option<ResponseCode>, error: &str, now: Now, local: Vec<Local>) -> Step {
        let used_up = due.attempts >= self.limits.attempts_max && !due.ask_again;
        let end = if used_up { End::Failed } else { End::StillDue };
        self.verdict(due, end, code, error, now, local)
    }

    fn verdict(
        mut self,
        due: Due,
        end: End,
        response_code: Option<ResponseCode>,
        error: &str,
        now: Now,
        local: Vec<Local>,
    ) -> Step {
        let state = match end {
            End::Done => QueueState::Done,
            End::Failed => QueueState::Failed,
            End::AskAgain | End::StillDue | End::NoLine | End::StorageFault => QueueState::Due,
        };
        let (entry, ask_again, at) = (entry_of(&due.id), due.ask_again, now.wall);
        let error = error.to_owned();
        let due = Due { state, last_error: error.clone(), ..due };
        let record = Record::QueueState { entry, state, response_code, ask_again, error, host: None, at };
        self.state = State::AwaitVerdictStored(end, Box::new(due));
        (self, Effects { local, vital: Vital::Store(vec![record]) })
    }

    fn end(mut self, end: End) -> Step {
        self.state = State::Ended(end);
        (self, Effects::none())
    }
}

fn entry_of(id: &TxnId) -> EntryId {
    EntryId::new(id.clone(), EntryType::Reversal)
}

//! One run of one entry: a line, a counted attempt, a send, an answer, a durable verdict.
//!
//! The attempt is durable before its first byte; attempts that got no line do not count. A script result takes its STAN
//! with its first attempt; every repetition carries the same one. What is not durable did not happen.
use super::verdict::{self, Verdict};
use super::{Entry, LATE};
use crate::domain::calendar::BootTime;
use crate::domain::ident::{ResponseCode, Stan};
use crate::domain::outcome::{EntryType, QueueState};
use crate::domain::profile::{LateUploads, Profile};
use crate::domain::record::{HostFacts, Record};
use crate::domain::txn::{Effects, Garbled, Now, Vital};
use crate::domain::unionpay::response::{self, Class};
use core::time::Duration;
use std::sync::Arc;

/// What one run goes by.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Attempts, second asking, late uploads.
    pub profile: Arc<Profile>,
    /// How long the bank may take.
    pub response_timeout: Duration,
    /// The line to the bank is under TLS, at every endpoint: what comes on it is the bank's.
    pub tls: bool,
    /// An upload that waited longer is late; `None` while the clock is not trusted: then nothing is.
    pub late_after: Option<Duration>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line is open.
    LineReady,
    /// No line.
    LineFailed(String),
    /// The records of the last store are durable. The STAN, if a script result took one.
    Stored(Option<Stan>),
    /// They are not.
    StoreFailed,
    /// The socket took the request.
    RequestSent,
    /// A good answer.
    Answered {
        /// What it says.
        host: Box<HostFacts>,
        /// It carries a good MAC. Approvals always do.
        signed: bool,
    },
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
    /// The bank refuses our keys: sign on before the next attempt.
    DropSignOn,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The bank has it, or holds nothing: the entry is over.
    Done,
    /// The bank refused an upload; it is never sent again.
    Denied,
    /// The profile does not let it be sent so late.
    Expired,
    /// The bank knows no original; asked once more later.
    AskAgain,
    /// It goes again.
    Repeat,
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
    /// The verdict, and the entry as it is once the verdict is durable.
    AwaitVerdictStored(End, Box<Entry>),
    Ended(End),
}

/// One run of one entry.
#[derive(Debug)]
pub struct Delivery {
    entry: Entry,
    limits: Limits,
    late: bool,
    heard: bool,
    state: State,
}

type Step = (Delivery, Effects<Local, Entry>);

impl Delivery {
    /// Begins a run of an entry that [`Entry::is_sendable`]; the engine gets it a line.
    #[must_use]
    pub const fn new(entry: Entry, limits: Limits) -> Self {
        Self { entry, limits, late: false, heard: false, state: State::AwaitLine }
    }

    /// The entry as it now is.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// How the run ended, once it has.
    #[must_use]
    pub const fn ended(&self) -> Option<End> {
        match self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// The bank has answered in this run: the line is good.
    #[must_use]
    pub const fn heard(&self) -> bool {
        self.heard
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
        if let (State::AwaitVerdictStored(end, entry), Event::Stored(_)) = (&self.state, &event) {
            let (end, entry) = (*end, (**entry).clone());
            return Self { entry, ..self }.end(end);
        }
        match (&self.state, event) {
            (State::AwaitLine, Event::LineReady) => self.begin(now),
            (State::AwaitLine, Event::LineFailed(cause)) => {
                self.entry.last_error = cause;
                self.end(End::NoLine)
            }
            (State::AwaitAttemptStored, Event::Stored(stan)) => self.attempted(stan),
            (State::AwaitAttemptStored | State::AwaitVerdictStored(..), Event::StoreFailed) => {
                self.end(End::StorageFault)
            }
            (State::AwaitSent, Event::RequestSent) => {
                self.state = State::AwaitHost(now.boot.after(self.limits.response_timeout));
                (self, nothing())
            }
            (State::AwaitSent | State::AwaitHost(_), Event::Answered { host, signed }) => {
                self.answered(&host, signed, now)
            }
            (State::AwaitSent | State::AwaitHost(_), Event::Garbled(garbled)) => {
                self.silence(if garbled == Garbled::Mac { "wrong MAC" } else { "unusable answer" }, now)
            }
            (State::AwaitSent | State::AwaitHost(_), Event::LineLost) => self.silence("line lost", now),
            (State::AwaitHost(deadline), Event::Tick) if now.boot >= *deadline => {
                self.silence("no answer", now)
            }
            // Everything else is late, early or repeated.
            (_, _) => (self, nothing()),
        }
    }

    /// The line is there: is it too late for the bank? If not, the attempt is counted before its first byte.
    fn begin(mut self, now: Now) -> Step {
        let upload = matches!(self.entry.entry_type(), EntryType::OfflineSale | EntryType::Advice);
        let waited = Duration::from_micros(now.wall.0.saturating_sub(self.entry.created_at.0));
        self.late = upload && self.limits.late_after.is_some_and(|most| waited > most);
        if self.late && self.limits.profile.late_uploads == LateUploads::Expire {
            let verdict = Verdict {
                state: QueueState::Expired,
                end: End::Expired,
                ask_again: false,
                error: LATE.to_owned(),
                sign_on: false,
            };
            return self.store(verdict, None, None, now);
        }
        let record = Record::QueueAttempt { entry: self.entry.id.clone(), at: now.wall };
        self.state = State::AwaitAttemptStored;
        (self, Effects { local: vec![], vital: Vital::Store(vec![record]) })
    }

    /// The attempt is durable: it may leave.
    fn attempted(mut self, stan: Option<Stan>) -> Step {
        self.entry.attempts = self.entry.attempts.saturating_add(1);
        self.entry.state = QueueState::Sending;
        if self.entry.entry_type() == EntryType::Script {
            self.entry.own_stan = self.entry.own_stan.or(stan);
        }
        if self.entry.stan().is_none() {
            // A journal that gives no number is broken; nothing can leave without one.
            return self.end(End::StorageFault);
        }
        self.state = State::AwaitSent;
        let message = Vital::Send(Box::new(self.entry.clone()));
        (self, Effects { local: vec![], vital: message })
    }

    fn answered(mut self, host: &HostFacts, signed: bool, now: Now) -> Step {
        let Some(code) = host.response_code.clone() else { return self.silence("unusable answer", now) };
        if self.limits.profile.doubts(signed, self.limits.tls) {
            let verdict = verdict::doubted(&self.entry, &code, &self.limits);
            return self.store(verdict, None, None, now);
        }
        self.heard = true;
        let verdict = verdict::answered(&self.entry, &code, &self.limits, self.late);
        // The facts of a repeated upload (94) may be those of the repetition: only a booking's are kept.
        let upload = matches!(self.entry.entry_type(), EntryType::OfflineSale | EntryType::Advice);
        let booked = upload && response::class(&code) == Class::Approved;
        let facts = booked.then(|| Box::new(host.clone()));
        self.store(verdict, Some(code), facts, now)
    }

    /// No usable answer.
    fn silence(self, error: &str, now: Now) -> Step {
        let verdict = verdict::unanswered(&self.entry, &self.limits, error);
        self.store(verdict, None, None, now)
    }

    fn store(
        mut self,
        verdict: Verdict,
        code: Option<ResponseCode>,
        host: Option<Box<HostFacts>>,
        now: Now,
    ) -> Step {
        let Verdict { state, end, ask_again, error, sign_on } = verdict;
        let mut entry = self.entry.clone();
        entry.state = state;
        entry.ask_again = ask_again;
        entry.changed_at = now.wall;
        entry.last_error.clone_from(&error);
        entry.response_code = code.clone().or(entry.response_code);
        let record = Record::QueueState {
            entry: entry.id.clone(),
            state,
            response_code: code,
            ask_again,
            error,
            host,
            at: now.wall,
        };
        self.state = State::AwaitVerdictStored(end, Box::new(entry));
        let local = if sign_on { vec![Local::DropSignOn] } else { vec![] };
        (self, Effects { local, vital: Vital::Store(vec![record]) })
    }

    fn end(mut self, end: End) -> Step {
        self.state = State::Ended(end);
        (self, nothing())
    }
}

const fn nothing() -> Effects<Local, Entry> {
    Effects { local: Vec::new(), vital: Vital::Nothing }
}

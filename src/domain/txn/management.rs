//! Messages that move no money: sign-on (0800/003), sign-off (0820/002), echo (0820/301), state (0820/362).
//!
//! Sign-on and sign-off reserve their STAN durably before the first byte; echo and state carry none. New working
//! keys and the signed-on mark become durable in one commit, and only then does the engine use them.
use super::{Effects, Garbled, Now};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, ResponseCode, Stan};
use crate::domain::profile::Profile;
use crate::domain::record::{KeyRecord, Record};
use crate::domain::secret::MasterKeyMaterial;
use crate::domain::unionpay::catalogue::Catalogue;
use core::time::Duration;
use std::sync::Arc;

/// Which message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// 签到: brings working keys, clock and perhaps a batch.
    SignOn,
    /// 签退.
    SignOff,
    /// 回响.
    Echo,
    /// 终端状态上送.
    State,
}

/// A request, complete but for the terminal's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which.
    pub errand: Errand,
    /// Its STAN; echo and state have none.
    pub stan: Option<Stan>,
}

/// What came of a sign-on answer, after the engine has opened the key block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignOnAnswer {
    /// Keys are good.
    Accepted {
        /// As they are to be stored.
        keys: KeyRecord,
        /// A master key that came with them.
        new_master: Option<MasterKeyMaterial>,
        /// Batch to be adopted.
        batch: Option<BatchNumber>,
        /// Host clock minus ours, µs.
        clock_offset: i64,
    },
    /// A check value is wrong, or the block is broken.
    KeysBad(String),
    /// DE 39.
    Refused(ResponseCode),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line is open.
    LineReady,
    /// No line: why, and the next step.
    LineFailed(String),
    /// Durable; the STAN taken, if one was asked for.
    Stored(Option<Stan>),
    /// Not durable.
    StoreFailed,
    /// The socket took the request.
    RequestSent,
    /// DE 39 of a good answer to sign-off or echo.
    Answered(ResponseCode),
    /// The answer to a sign-on.
    SignOn(Box<SignOnAnswer>),
    /// No usable answer.
    Garbled(Garbled),
    /// The line broke: why, and the next step.
    LineLost(String),
    /// Not wanted any more.
    Cancel,
    /// Time passed.
    Tick,
}

/// Things to do without money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// The keys of the last [`SignOnAnswer::Accepted`] are durable: use them.
    UseKeys,
    /// Forget the keys.
    DropKeys,
}

#[derive(Debug)]
enum State {
    AwaitLine,
    AwaitStan,
    AwaitSent,
    AwaitHost(BootTime),
    AwaitStored(Local),
    Ended(Result<(), Fault>),
}

/// One errand.
#[derive(Debug)]
pub struct Management {
    errand: Errand,
    response_timeout: Duration,
    profile: Arc<Profile>,
    state: State,
}

type Step = (Management, Effects<Local, Request>);

impl Management {
    /// Begins; the engine gets it a line.
    #[must_use]
    pub const fn new(errand: Errand, response_timeout: Duration, profile: Arc<Profile>) -> Self {
        Self { errand, response_timeout, profile, state: State::AwaitLine }
    }

    /// Which message it is.
    #[must_use]
    pub const fn errand(&self) -> Errand {
        self.errand
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn ended(&self) -> Option<&Result<(), Fault>> {
        match &self.state {
            State::Ended(result) => Some(result),
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

    /// True while [`Event::Cancel`] ends it: no answer is on its way to the disk.
    #[must_use]
    pub const fn cancellable(&self) -> bool {
        matches!(self.state, State::AwaitLine | State::AwaitStan | State::AwaitSent | State::AwaitHost(_))
    }

    /// `connecting`, `sending`, `waiting-host` or `done`, for the job's `Phase`.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match self.state {
            State::AwaitLine => "connecting",
            State::AwaitStan | State::AwaitSent => "sending",
            State::AwaitHost(_) | State::AwaitStored(_) => "waiting-host",
            State::Ended(_) => "done",
        }
    }

    /// Takes one event. Total.
    #[must_use]
    pub fn step(mut self, event: Event, now: Now) -> Step {
        match (&self.state, event) {
            (State::AwaitLine, Event::LineReady) => match self.errand {
                Errand::Echo | Errand::State => self.send(None),
                Errand::SignOn | Errand::SignOff => {
                    self.state = State::AwaitStan;
                    (self, Effects::store(vec![], vec![Record::ReserveStan]))
                }
            },
            (State::AwaitLine, Event::LineFailed(cause)) => {
                let text = format!("no connection to the bank: {cause}");
                self.end(Err(Fault::new(FaultName::HostUnreachable, text)))
            }
            (State::AwaitStan, Event::Stored(Some(stan))) => self.send(Some(stan)),
            (State::AwaitStan, Event::Stored(None) | Event::StoreFailed)
            | (State::AwaitStored(_), Event::StoreFailed) => self.end(Err(storage())),
            (State::AwaitStored(then), Event::Stored(_)) => {
                let then = *then;
                self.state = State::Ended(Ok(()));
                (self, Effects::local(vec![then]))
            }
            (State::AwaitSent, Event::RequestSent) => {
                self.state = State::AwaitHost(now.boot.after(self.response_timeout));
                (self, Effects::none())
            }
            (State::AwaitSent | State::AwaitHost(_), Event::SignOn(answer)) => self.signed_on(*answer),
            (State::AwaitSent | State::AwaitHost(_), Event::Answered(code)) => self.answered(&code),
            (State::AwaitSent | State::AwaitHost(_), Event::Garbled(_)) => self.end(Err(unusable())),
            (State::AwaitSent | State::AwaitHost(_), Event::LineLost(cause)) => {
                let text = format!("the line to the bank broke: {cause}");
                self.end(Err(Fault::new(FaultName::HostUnreachable, text)))
            }
            (State::AwaitHost(deadline), Event::Tick) if now.boot >= *deadline => self
                .end(Err(Fault::new(FaultName::HostTimeout, "the bank did not answer in time; try again"))),
            (State::AwaitLine | State::AwaitStan | State::AwaitSent | State::AwaitHost(_), Event::Cancel) => {
                self.end(Err(Fault::new(FaultName::Cancelled, "cancelled")))
            }
            // Everything else is late, early or repeated.
            (_, _) => (self, Effects::none()),
        }
    }

    fn send(mut self, stan: Option<Stan>) -> Step {
        let request = Request { errand: self.errand, stan };
        self.state = State::AwaitSent;
        (self, Effects::send(vec![], request))
    }

    fn signed_on(mut self, answer: SignOnAnswer) -> Step {
        match answer {
            _ if self.errand != Errand::SignOn => self.end(Err(unusable())),
            SignOnAnswer::Accepted { keys, new_master, batch, clock_offset } => {
                self.state = State::AwaitStored(Local::UseKeys);
                let record = Record::SignedOn { keys, new_master, batch, clock_offset };
                (self, Effects::store(vec![], vec![record]))
            }
            SignOnAnswer::KeysBad(text) => self.end(Err(Fault::new(
                FaultName::KeysMissing,
                format!("key verification failed ({text}); check the master key"),
            ))),
            SignOnAnswer::Refused(code) => {
                let fault = refused(&code, &self.profile.catalogue);
                self.end(Err(fault))
            }
        }
    }

    fn answered(mut self, code: &ResponseCode) -> Step {
        if code.as_str() != "00" {
            let fault = refused(code, &self.profile.catalogue);
            return self.end(Err(fault));
        }
        match self.errand {
            Errand::Echo | Errand::State => self.end(Ok(())),
            Errand::SignOff => {
                self.state = State::AwaitStored(Local::DropKeys);
                (self, Effects::store(vec![], vec![Record::SignedOff]))
            }
            // A sign-on without keys is none.
            Errand::SignOn => self.end(Err(unusable())),
        }
    }

    fn end(mut self, result: Result<(), Fault>) -> Step {
        self.state = State::Ended(result);
        (self, Effects::none())
    }
}

fn unusable() -> Fault {
    let text = "the bank's answer is not usable; try again, then call the acquirer";
    Fault::new(FaultName::ProtocolError, text)
}

fn storage() -> Fault {
    Fault::new(FaultName::StorageFault, "the journal cannot be written; call a technician")
}

fn refused(code: &ResponseCode, catalogue: &Catalogue) -> Fault {
    let text = crate::domain::text::declined(code.as_str(), catalogue);
    Fault::new(FaultName::HostRejected, format!("the bank refused with {code}: {}", text.en))
}

//! With the bank: the line, the durable `Sending`, the request, and the wait for its answer.
use super::closing::Ending;
use super::{Base, Step, removed_prompt};
use crate::domain::calendar::BootTime;
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::outcome::{Prompt, ResultCode};
use crate::domain::record::{HostFacts, Record, ReversalReason, Sending};
use crate::domain::txn::{Asking, Event, FinancialRequest, Garbled, Local, Now, Online, State, TxnEffects};
use core::time::Duration;

/// How often the line is opened anew when it broke before any byte left.
const REDIALS: u8 = 2;
/// How long the bank may still take when the service is to end.
const LAST_WAIT: Duration = Duration::from_secs(3);

impl Base {
    pub(super) fn line(self, online: Box<Online>, event: Event, now: Now) -> Step {
        match event {
            Event::LineReady => {
                let sending = Sending {
                    start: self.start.clone(),
                    card: online.card.clone(),
                    wire: online.wire.clone(),
                    at: now.wall,
                };
                let records = vec![Record::Sending(Box::new(sending))];
                (self.txn(State::AwaitSendingStored(online)), TxnEffects::store(vec![], records))
            }
            Event::LineFailed(result) if online.may_store && no_line(result) => {
                self.unable(*online, false, result, now)
            }
            Event::LineFailed(result) => {
                self.end_unsent(Ending::failed(result), Some(online.card), vec![], now)
            }
            // A card that was only read may go.
            Event::CardRemoved if online.kernel.is_some() => {
                let local = removed_prompt(&event);
                self.end_unsent(Ending::failed(ResultCode::CardRemoved), Some(online.card), local, now)
            }
            _ => self.stay(State::AwaitLine(online)),
        }
    }

    pub(super) fn sending_stored(mut self, online: Box<Online>, event: Event, now: Now) -> Step {
        match event {
            Event::Stored(Some((stan, batch))) => {
                let request = Box::new(self.request(&online, stan, batch));
                self.send(Box::new(Asking { online: *online, request, redials: 0 }))
            }
            // Nothing was sent, and nothing will be.
            Event::Stored(None) | Event::StoreFailed => {
                self.end_unstored(Ending::failed(ResultCode::StorageFault), online.card, now)
            }
            Event::Hurry => {
                self.hurry();
                self.stay(State::AwaitSendingStored(online))
            }
            _ => self.stay(State::AwaitSendingStored(online)),
        }
    }

    fn request(&self, online: &Online, stan: Stan, batch: BatchNumber) -> FinancialRequest {
        FinancialRequest {
            stan,
            batch,
            start: self.start.clone(),
            wire: online.wire.clone(),
            pan: online.card.pan.clone(),
            track2: online.track2.clone(),
            expiry: online.card.expiry.clone(),
            sequence: online.card.sequence,
            pin: online.pin.clone(),
        }
    }

    /// Its record is durable; a request that no byte left of goes out again as it is.
    fn send(self, asking: Box<Asking>) -> Step {
        let request = (*asking.request).clone();
        let effects = TxnEffects::send(vec![Local::Prompt(Prompt::Processing)], request);
        (self.txn(State::AwaitSent(asking)), effects)
    }

    /// The service is to end: once it has the request, the bank has three seconds.
    fn hurry(&mut self) {
        self.setup.response_timeout = self.setup.response_timeout.min(LAST_WAIT);
    }

    pub(super) fn sent(mut self, mut asking: Box<Asking>, event: Event, now: Now) -> Step {
        match event {
            Event::RequestSent => {
                let deadline = now.boot.after(self.setup.response_timeout);
                let online = Box::new(asking.online);
                self.go(State::AwaitHost { online, deadline }, vec![Local::Prompt(Prompt::Receiving)])
            }
            Event::LineLost { wrote: false } if asking.redials < REDIALS => {
                asking.redials = asking.redials.saturating_add(1);
                self.go(State::AwaitRedial(asking), vec![Local::Prompt(Prompt::Dialling), Local::OpenLine])
            }
            Event::LineLost { wrote: false } => self.unsent(asking.online, ResultCode::ConnectFailed, now),
            Event::LineLost { wrote: true } => self.no_answer(asking.online, ResultCode::HostTimeout, now),
            // An answer can overtake the note that the socket took the request.
            Event::HostAnswered(answer) => self.answered(asking.online, *answer, now),
            Event::HostGarbled(garbled) => self.garbled(asking.online, garbled, now),
            Event::Hurry => {
                self.hurry();
                self.stay(State::AwaitSent(asking))
            }
            _ => self.stay(State::AwaitSent(asking)),
        }
    }

    pub(super) fn redial(self, asking: Box<Asking>, event: Event, now: Now) -> Step {
        match event {
            Event::LineReady => self.send(asking),
            Event::LineFailed(result) => self.unsent(asking.online, result, now),
            // The bank would book what this card can no longer complete.
            Event::CardRemoved if asking.online.kernel.is_some() => {
                self.unsent(asking.online, ResultCode::CardRemoved, now)
            }
            Event::Hurry => self.unsent(asking.online, ResultCode::Interrupted, now),
            _ => self.stay(State::AwaitRedial(asking)),
        }
    }

    /// Nothing was written to a socket on any attempt. Where the card may be asked instead, that becomes durable first.
    fn unsent(self, online: Online, result: ResultCode, now: Now) -> Step {
        if online.may_store && no_line(result) {
            let records = vec![Record::Unsent { id: self.start.id.clone() }];
            let state = State::AwaitUnsentStored { online: Box::new(online), result };
            return (self.txn(state), TxnEffects::store(vec![], records));
        }
        self.end_disarmed(Ending::failed(result), online.card, now)
    }

    pub(super) fn host(self, online: Box<Online>, deadline: BootTime, event: Event, now: Now) -> Step {
        match event {
            Event::HostAnswered(answer) => self.answered(*online, *answer, now),
            Event::HostGarbled(garbled) => self.garbled(*online, garbled, now),
            Event::LineLost { .. } => self.no_answer(*online, ResultCode::HostTimeout, now),
            Event::Hurry => {
                let deadline = deadline.min(now.boot.after(LAST_WAIT));
                self.stay(State::AwaitHost { online, deadline })
            }
            Event::Tick if now.boot >= deadline => self.no_answer(*online, ResultCode::HostTimeout, now),
            _ => self.stay(State::AwaitHost { online, deadline }),
        }
    }

    fn no_answer(self, online: Online, result: ResultCode, now: Now) -> Step {
        let ending = self.unanswered(result, ReversalReason::NoAnswer);
        self.end_sent(ending, online.card, HostFacts::default(), vec![], vec![], now)
    }

    fn garbled(self, online: Online, garbled: Garbled, now: Now) -> Step {
        match garbled {
            Garbled::Content => self.no_answer(online, ResultCode::ProtocolError, now),
            Garbled::Mac => {
                let ending = self.unanswered(ResultCode::MacError, ReversalReason::MacError);
                let local = vec![Local::DropSignOn];
                self.end_sent(ending, online.card, HostFacts::default(), local, vec![], now)
            }
        }
    }
}

/// There is no line to the bank, rather than something else in the way.
const fn no_line(result: ResultCode) -> bool {
    matches!(result, ResultCode::ConnectFailed | ResultCode::NoLink)
}

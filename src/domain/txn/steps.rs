//! Which event leads where. One function per state, in the file of its phase; each lists what it ignores by naming
//! what it takes. Which states a kind passes follows from its row in [`crate::domain::rules`].
//!
//! Sources: EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order of the card's part; the durability
//! rules of this project for the order of records and sends.
mod after_answer;
mod before_bank;
mod closing;
mod known;
mod opening;
mod presented;
mod with_bank;
mod without_bank;

pub(super) use closing::Closing;

use closing::Ending;

use super::{CardTrouble, Event, Local, Now, Setup, State, Txn, TxnEffects, card};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::CardSummary;
use crate::domain::emv::params::Purpose;
use crate::domain::outcome::{Kind, Prompt, ResultCode};
use crate::domain::record::{CardFacts, ReversalReason, TxnStart};
use crate::domain::rules::{self, CardUse, Rule, Silence};
use std::sync::Arc;

type Step = (Txn, TxnEffects);

/// Takes one event in whatever state.
pub(super) fn step(txn: Txn, event: Event, now: Now) -> Step {
    let Txn { start, setup, state } = txn;
    let this = Base { start, setup };
    if let Event::CancelRequested(result) = event {
        return this.cancel(state, result, now);
    }
    match state {
        State::AwaitBegin => this.begin(event, now),
        State::AwaitAuthorization { params, deadline } => this.authorization(params, deadline, event, now),
        State::AwaitCard { params, attempts, deadline } => this.card(params, attempts, deadline, event, now),
        State::AwaitPower { params, attempts } => this.power(params, attempts, event, now),
        State::AwaitChip { kernel, stage } => this.chip(kernel, stage, event, now),
        State::AwaitChoice { kernel, first, deadline } => this.choice(kernel, first, deadline, event, now),
        State::AwaitConfirm { known, deadline } => this.confirm(known, deadline, event, now),
        State::AwaitLookup(known) => this.lookup(known, event, now),
        State::AwaitDuplicate { known, deadline } => this.duplicate(known, deadline, event, now),
        State::AwaitPin { known, deadline } => this.pin(known, deadline, event, now),
        State::AwaitLine(online) => this.line(online, event, now),
        State::AwaitSendingStored(online) => this.sending_stored(online, event, now),
        State::AwaitSent(asking) => this.sent(asking, event, now),
        State::AwaitRedial(asking) => this.redial(asking, event, now),
        State::AwaitUnsentStored { online, result } => this.unsent_stored(online, result, event, now),
        State::AwaitHost { online, deadline } => this.host(online, deadline, event, now),
        State::AwaitCompletion { kernel, online } => this.completion(kernel, online, event, now),
        State::AwaitClosed(closing) => this.closing(closing, event, now),
        State::Ended(closed) => this.stay(State::Ended(closed)),
    }
}

/// What every state has.
struct Base {
    start: TxnStart,
    setup: Setup,
}

impl Base {
    fn txn(self, state: State) -> Txn {
        Txn { start: self.start, setup: self.setup, state }
    }

    fn stay(self, state: State) -> Step {
        (self.txn(state), TxnEffects::none())
    }

    fn go(self, state: State, local: Vec<Local>) -> Step {
        (self.txn(state), TxnEffects::local(local))
    }

    fn patience(&self, now: Now) -> BootTime {
        now.boot.after(self.setup.customer_timeout)
    }

    fn facts(&self, summary: Option<&CardSummary>) -> Option<Arc<CardFacts>> {
        summary.map(|summary| Arc::new(card::facts(summary, &self.setup.token_key)))
    }

    fn rule(&self) -> &'static Rule {
        rules::rule(self.start.kind)
    }

    /// A sale that somebody at the bank has approved by voice.
    fn by_voice(&self) -> bool {
        self.start.kind == Kind::OfflineSale && self.start.terms.auth_code.is_some()
    }

    /// What the chip is wanted for.
    fn purpose(&self) -> Purpose {
        match (self.rule().card, self.start.kind) {
            (CardUse::Read, _) => Purpose::Read,
            (CardUse::Pay, _) if self.by_voice() => Purpose::Read,
            (CardUse::Pay, Kind::OfflineSale) => Purpose::PayOffline,
            (CardUse::Pay, Kind::Sale) if self.setup.may_store => Purpose::Pay,
            (CardUse::Pay, _) => Purpose::PayOnline,
        }
    }

    /// How it ends if the bank may have booked and says nothing that can be used.
    fn unanswered(&self, result: ResultCode, reason: ReversalReason) -> Ending {
        match self.rule().silence {
            Silence::Reverse => Ending::unknown(result).reversed_by(reason),
            Silence::Except => Ending::unknown(result),
            Silence::Forget => Ending::failed(result),
        }
    }

    /// What the bank has booked is undone, where it can have booked anything.
    fn undone(&self, ending: Ending, reason: ReversalReason) -> Ending {
        match self.rule().silence {
            Silence::Reverse => ending.reversed_by(reason),
            Silence::Except | Silence::Forget => ending,
        }
    }

    /// A person stops it. The engine asked [`Txn::cancellable`] first; too late changes nothing.
    fn cancel(self, state: State, result: ResultCode, now: Now) -> Step {
        let ending = Ending::cancelled(result);
        match state {
            State::AwaitBegin | State::AwaitCard { .. } | State::AwaitPower { .. } => {
                self.end_unsent(ending, None, vec![], now)
            }
            State::AwaitChip { kernel, .. } => {
                let card = self.facts(kernel.card().as_deref());
                self.end_unsent(ending, card, vec![], now)
            }
            State::AwaitAuthorization { .. } | State::AwaitChoice { .. } => {
                self.end_unsent(ending, None, vec![Local::Withdraw], now)
            }
            State::AwaitLookup(known) => self.end_known(ending, known.card, vec![], now),
            State::AwaitConfirm { known, .. }
            | State::AwaitDuplicate { known, .. }
            | State::AwaitPin { known, .. } => self.end_known(ending, known.card, vec![Local::Withdraw], now),
            State::AwaitLine(online) => self.end_unsent(ending, Some(online.card), vec![], now),
            State::AwaitCompletion { online, .. } if online.never_sent() => {
                self.end_unsent(ending, Some(online.card), vec![], now)
            }
            state @ (State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitRedial(_)
            | State::AwaitUnsentStored { .. }
            | State::AwaitHost { .. }
            | State::AwaitCompletion { .. }
            | State::AwaitClosed(_)
            | State::Ended(_)) => self.stay(state),
        }
    }
}

/// What card trouble is called as a result.
fn trouble(event: &Event) -> ResultCode {
    match event {
        Event::CardFailed(CardTrouble::Unreadable | CardTrouble::Reader) => ResultCode::CardUnreadable,
        _ => ResultCode::CardRemoved,
    }
}

fn removed_prompt(event: &Event) -> Vec<Local> {
    match trouble(event) {
        ResultCode::CardRemoved => vec![Local::Prompt(Prompt::CardRemovedTooEarly)],
        _ => Vec::new(),
    }
}

/// The end and what goes with it if, while a person is asked something, the card leaves or patience is over.
fn interruption(event: &Event, deadline: BootTime, now: Now) -> Option<(Ending, Vec<Local>)> {
    match event {
        Event::CardRemoved | Event::CardFailed(_) => {
            Some((Ending::failed(trouble(event)), [vec![Local::Withdraw], removed_prompt(event)].concat()))
        }
        Event::Tick if now.boot >= deadline => {
            Some((Ending::cancelled(ResultCode::CustomerTimeout), vec![Local::Withdraw]))
        }
        _ => None,
    }
}

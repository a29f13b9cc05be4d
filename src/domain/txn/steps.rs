//! The sale: which event leads where. One function per state, in the file of its phase; each lists what it
//! ignores by naming what it takes.
//!
//! Sources: EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order of the card's part; the durability
//! rules of this project for the order of records and sends.
mod after_answer;
mod before_bank;
mod closing;
mod with_bank;

pub(super) use closing::Closing;

use closing::Ending;

use super::{CardTrouble, Event, Local, Now, Setup, State, Txn, TxnEffects, card};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::CardSummary;
use crate::domain::outcome::{Prompt, ResultCode};
use crate::domain::record::{CardFacts, TxnStart};

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
        State::AwaitCard { params, tries, deadline } => this.card(params, tries, deadline, event, now),
        State::AwaitPower { params, tries } => this.power(params, tries, event, now),
        State::AwaitChip { kernel, stage } => this.chip(kernel, stage, event, now),
        State::AwaitChoice { kernel, first, deadline } => this.choice(kernel, first, deadline, event, now),
        State::AwaitConfirm { kernel, card, then, deadline } => {
            this.confirm(kernel, card, then, deadline, event, now)
        }
        State::AwaitPin { kernel, card, deadline } => this.pin(kernel, card, deadline, event, now),
        State::AwaitLine(online) => this.line(online, event, now),
        State::AwaitSendingStored(online) => this.sending_stored(online, event, now),
        State::AwaitSent(asking) => this.sent(asking, event, now),
        State::AwaitRedial(asking) => this.redial(asking, event, now),
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

    fn facts(&self, summary: Option<&CardSummary>) -> Option<CardFacts> {
        summary.map(|summary| card::facts(summary, &self.setup.token_key))
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
            State::AwaitChoice { .. } => self.end_unsent(ending, None, vec![Local::Withdraw], now),
            State::AwaitConfirm { card, .. } | State::AwaitPin { card, .. } => {
                let card = self.facts(Some(&card));
                self.end_unsent(ending, card, vec![Local::Withdraw], now)
            }
            State::AwaitLine(online) => self.end_unsent(ending, Some(online.card), vec![], now),
            state @ (State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitRedial(_)
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
        Event::CardFailed(CardTrouble::Unreadable) => ResultCode::CardUnreadable,
        _ => ResultCode::CardRemoved,
    }
}

fn removed_prompt(event: &Event) -> Vec<Local> {
    match trouble(event) {
        ResultCode::CardRemoved => vec![Local::Prompt(Prompt::CardRemovedTooEarly)],
        _ => Vec::new(),
    }
}

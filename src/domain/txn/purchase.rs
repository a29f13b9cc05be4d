//! The sale: which event leads where. One function per state, in the file of its phase; each lists what it ignores by
//! naming what it takes.
//!
//! Sources: EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order of the card's part; the durability rules of
//! this project for the order of records and sends.
mod after_answer;
mod before_bank;
mod with_bank;

use super::{CardTrouble, Event, Local, Now, Setup, State, Txn, TxnEffects, card};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::{CardSummary, KernelError};
use crate::domain::money::Amount;
use crate::domain::outcome::{Outcome, Ply, Prompt, ResultCode};
use crate::domain::record::{CardFacts, Closed, HostFacts, Record, ReversalReason, TxnStart};

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
        State::AwaitPower { params, tries, deadline } => this.power(params, tries, deadline, event, now),
        State::AwaitChip { kernel, stage } => this.chip(kernel, stage, event, now),
        State::AwaitChoice { kernel, first, deadline } => this.choice(kernel, first, deadline, event, now),
        State::AwaitConfirm { kernel, card, then, deadline } => {
            this.confirm(kernel, card, then, deadline, event, now)
        }
        State::AwaitPin { kernel, card, deadline } => this.pin(kernel, card, deadline, event, now),
        State::AwaitLine(online) => this.line(online, event, now),
        State::AwaitSendingStored(online) => this.sending_stored(online, event, now),
        State::AwaitSent { online, request, redials } => this.sent(online, request, redials, event, now),
        State::AwaitRedial { online, request, redials } => this.redial(online, request, redials, event, now),
        State::AwaitHost { online, deadline } => this.host(online, deadline, event, now),
        State::AwaitCompletion { kernel, online } => this.completion(kernel, online, event, now),
        State::AwaitClosed { closed, tries, retry } => this.closed(closed, tries, retry, event, now),
        State::Ended(closed) => this.stay(State::Ended(closed)),
    }
}

/// What every state has.
struct Base {
    start: TxnStart,
    setup: Setup,
}

/// How it ends, before the card and the approved amount are filled in.
struct Ending {
    outcome: Outcome,
    result: ResultCode,
    reversal: Option<ReversalReason>,
}

impl Ending {
    const fn failed(result: ResultCode) -> Self {
        Self { outcome: Outcome::Failed, result, reversal: None }
    }

    const fn cancelled(result: ResultCode) -> Self {
        Self { outcome: Outcome::Cancelled, result, reversal: None }
    }

    const fn declined(result: ResultCode) -> Self {
        Self { outcome: Outcome::Declined, result, reversal: None }
    }

    const fn unknown(result: ResultCode, reason: ReversalReason) -> Self {
        Self { outcome: Outcome::Unknown, result, reversal: Some(reason) }
    }

    const fn reversed_by(self, reason: ReversalReason) -> Self {
        Self { reversal: Some(reason), ..self }
    }
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

    /// Ends a transaction of which nothing was sent: one record makes the row and closes it.
    fn end_unsent(self, ending: Ending, card: Option<CardFacts>, mut local: Vec<Local>, now: Now) -> Step {
        local.push(Local::PowerOff);
        let start = Some(self.start.clone());
        self.end(ending, start, card, HostFacts::default(), local, now)
    }

    /// Ends it: the outcome goes to the disk, everything else waits for that.
    fn end(
        self,
        ending: Ending,
        start: Option<TxnStart>,
        card: Option<CardFacts>,
        host: HostFacts,
        local: Vec<Local>,
        now: Now,
    ) -> Step {
        let approved = ending.outcome == Outcome::Approved;
        let plies = match (approved, self.start.plies) {
            (true, 1) => vec![Ply::Merchant],
            (true, 2..) => vec![Ply::Merchant, Ply::Customer],
            _ => Vec::new(),
        };
        let closed = Closed {
            id: self.start.id.clone(),
            start,
            card,
            outcome: ending.outcome,
            result: ending.result,
            host,
            approved_amount: if approved { self.start.amount } else { Amount::ZERO },
            reversal: ending.reversal,
            reversal_icc: None,
            plies,
            finished_at: now.wall,
        };
        self.store(closed, 0, local)
    }

    fn store(self, closed: Closed, tries: u8, local: Vec<Local>) -> Step {
        let records = vec![Record::Closed(Box::new(closed.clone()))];
        let state = State::AwaitClosed { closed: Box::new(closed), tries, retry: None };
        (self.txn(state), TxnEffects::store(local, records))
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
            State::AwaitChip { stage, .. } => {
                let card = self.facts(stage.card.as_deref());
                self.end_unsent(ending, card, vec![], now)
            }
            State::AwaitChoice { .. } => self.end_unsent(ending, None, vec![Local::Withdraw], now),
            State::AwaitConfirm { card, .. } | State::AwaitPin { card, .. } => {
                let card = self.facts(Some(&card));
                self.end_unsent(ending, card, vec![Local::Withdraw], now)
            }
            State::AwaitLine(online) => self.end_unsent(ending, Some(online.card), vec![], now),
            state @ (State::AwaitSendingStored(_)
            | State::AwaitSent { .. }
            | State::AwaitRedial { .. }
            | State::AwaitHost { .. }
            | State::AwaitCompletion { .. }
            | State::AwaitClosed { .. }
            | State::Ended(_)) => self.stay(state),
        }
    }
}

/// A protocol error on the card side, in the words of results.
fn broken(_: &KernelError) -> ResultCode {
    ResultCode::CardUnreadable
}

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

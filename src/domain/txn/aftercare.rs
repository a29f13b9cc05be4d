//! What follows a durable outcome: paper, signature, the card on its way out, and the wait for a reversal.
//! None of it can change the outcome or hold it back.
use super::Now;
use crate::domain::calendar::BootTime;
use crate::domain::outcome::{Ply, Prompt, TxnState};
use core::time::Duration;

/// What is to be looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Plies to print, in order.
    pub plies: Vec<Ply>,
    /// Pause between the plies.
    pub tear_pause: Duration,
    /// The plies of merchant and bank are signed.
    pub signature: bool,
    /// A card is in the reader.
    pub card_in: bool,
    /// A reversal is on its way.
    pub unresolved: bool,
    /// How long a person may take for one step.
    pub patience: Duration,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A ply left the printer's queue; `printed` is false if it is held or failed.
    PlyEnded {
        /// Bytes reached the paper.
        printed: bool,
    },
    /// The agent said whether the signature matches, or no agent could.
    Signature(Option<bool>),
    /// The card is out.
    CardRemoved,
    /// The reversal ended.
    Resolved,
    /// Time passed.
    Tick,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    /// Print this ply.
    Print(Ply),
    /// Show this.
    Prompt(Prompt),
    /// Ask whether the signature matches.
    AskSignature,
    /// The question is void.
    Withdraw,
    /// The signature was refused.
    SignatureRefused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitPly(Ply),
    AwaitTear(BootTime),
    AwaitSignature(BootTime),
    AwaitCardOut(BootTime),
    AwaitResolved,
    Finished,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aftercare {
    plan: Plan,
    next_ply: usize,
    signed_printed: bool,
    state: State,
}

impl Aftercare {
    /// Begins with the first thing that is wanted.
    #[must_use]
    pub fn new(plan: Plan, now: Now) -> (Self, Vec<Do>) {
        let this = Self { plan, next_ply: 0, signed_printed: false, state: State::Finished };
        let (this, mut todo) = this.next_ply(now);
        if this.plan.card_in && !matches!(this.state, State::AwaitCardOut(_)) {
            // Money is decided: the card may go while paper comes.
            todo.push(Do::Prompt(Prompt::RemoveCard));
        }
        (this, todo)
    }

    /// Where it stands, in the words of the contract.
    #[must_use]
    pub const fn state(&self) -> TxnState {
        match self.state {
            // The bank's ply is one more that stays in the shop.
            State::AwaitPly(Ply::Merchant | Ply::Bank) => TxnState::PrintingMerchant,
            State::AwaitPly(Ply::Customer) => TxnState::PrintingCustomer,
            State::AwaitTear(_) => TxnState::WaitingTear,
            State::AwaitSignature(_) => TxnState::WaitingSignature,
            State::AwaitCardOut(_) => TxnState::RemoveCard,
            State::AwaitResolved => TxnState::Resolving,
            State::Finished => TxnState::Finished,
        }
    }

    /// When it wants [`Event::Tick`].
    #[must_use]
    pub const fn deadline(&self) -> Option<BootTime> {
        match self.state {
            State::AwaitTear(at) | State::AwaitSignature(at) | State::AwaitCardOut(at) => Some(at),
            State::AwaitPly(_) | State::AwaitResolved | State::Finished => None,
        }
    }

    /// Takes one event. Total.
    #[must_use]
    pub fn step(mut self, event: Event, now: Now) -> (Self, Vec<Do>) {
        if event == Event::CardRemoved {
            self.plan.card_in = false;
        }
        if event == Event::Resolved {
            self.plan.unresolved = false;
        }
        match (self.state, event) {
            (State::AwaitPly(ply), Event::PlyEnded { printed }) => {
                self.signed_printed |= printed && ply.is_signed();
                self.after_ply(printed, now)
            }
            (State::AwaitTear(at), Event::Tick) if now.boot >= at => self.after_tear(now),
            (State::AwaitSignature(_), Event::Signature(Some(false))) => {
                let (this, mut todo) = self.next_ply(now);
                todo.insert(0, Do::SignatureRefused);
                (this, todo)
            }
            (State::AwaitSignature(_), Event::Signature(_)) => self.next_ply(now),
            (State::AwaitSignature(at), Event::Tick) if now.boot >= at => {
                let (this, mut todo) = self.next_ply(now);
                todo.insert(0, Do::Withdraw);
                (this, todo)
            }
            (State::AwaitCardOut(_), Event::CardRemoved) => self.at_the_end(now),
            (State::AwaitCardOut(at), Event::Tick) if now.boot >= at => {
                self.plan.card_in = false;
                self.at_the_end(now)
            }
            (State::AwaitResolved, Event::Resolved) => self.at_the_end(now),
            // Everything else is late, early or repeated.
            (_, _) => (self, Vec::new()),
        }
    }

    fn after_ply(mut self, printed: bool, now: Now) -> (Self, Vec<Do>) {
        let more = self.next_ply < self.plan.plies.len();
        if printed && (more || self.wants_signature()) {
            self.state = State::AwaitTear(now.boot.after(self.plan.tear_pause));
            return (self, vec![Do::Prompt(Prompt::TearReceipt)]);
        }
        self.after_tear(now)
    }

    /// Once, when no ply with a signature line is to come.
    fn wants_signature(&self) -> bool {
        let more = self.plan.plies.get(self.next_ply).is_some_and(|ply| ply.is_signed());
        self.plan.signature && self.signed_printed && !more
    }

    fn after_tear(mut self, now: Now) -> (Self, Vec<Do>) {
        if self.wants_signature() {
            self.plan.signature = false;
            self.state = State::AwaitSignature(now.boot.after(self.plan.patience));
            return (self, vec![Do::Prompt(Prompt::CheckSignature), Do::AskSignature]);
        }
        self.next_ply(now)
    }

    fn next_ply(mut self, now: Now) -> (Self, Vec<Do>) {
        match self.plan.plies.get(self.next_ply) {
            Some(ply) => {
                let ply = *ply;
                self.next_ply = self.next_ply.saturating_add(1);
                self.state = State::AwaitPly(ply);
                (self, vec![Do::Print(ply)])
            }
            None => self.at_the_end(now),
        }
    }

    fn at_the_end(mut self, now: Now) -> (Self, Vec<Do>) {
        if self.plan.unresolved {
            self.state = State::AwaitResolved;
        } else if self.plan.card_in {
            self.state = State::AwaitCardOut(now.boot.after(self.plan.patience));
            return (self, vec![Do::Prompt(Prompt::RemoveCard)]);
        } else {
            self.state = State::Finished;
        }
        (self, Vec::new())
    }
}

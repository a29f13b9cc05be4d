//! One business transaction as a consuming step function, and the machines beside it that use the same line.
//!
//! [`Txn`] is a sale; [`reversal::Reversal`] undoes one of unknown outcome; [`management::Management`] signs
//! on and tests the line; [`aftercare::Aftercare`] brings paper and card home after the outcome. Each has
//! `step(self, event, now) -> (self, Effects)`, is total over its events (a late or repeated event changes
//! nothing) and knows its own deadline. Nothing here waits, reads a clock or draws a number.
//!
//! The write-ahead rule is in the types: [`Effects::vital`] is a store *or* a send, never both. What a store
//! makes durable comes back as [`Event::Stored`] before the state that sends is reached.
pub mod aftercare;
mod card;
mod event;
pub mod management;
pub mod recovery;
pub mod reversal;
mod steps;

pub use event::{
    Answer, Ask, CardTrouble, Effects, Event, FinancialRequest, Garbled, Local, TxnEffects, Vital,
};

use super::calendar::{BootTime, WallTime};
use super::emv::kernel::{CardSummary, Kernel};
use super::emv::params::{Aid, EmvConfig, TxnParams};
use super::fault::{Fault, FaultName};
use super::ident::TxnId;
use super::outcome::{Outcome, TxnState};
use super::record::{CardFacts, Closed, TxnStart, WireFacts};
use super::secret::{Pan, PinBlock, TokenKey};
use super::unionpay::Identity;
use super::unionpay::answers::FinancialAnswer;
use core::time::Duration;

/// The present, as the engine read it when the event came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub boot: BootTime,
    /// For records.
    pub wall: WallTime,
}

/// What a transaction is told once, when it is made.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Applications, terminal data, CA keys.
    pub emv: EmvConfig,
    /// Who we are on the wire.
    pub identity: Identity,
    /// How long a person may take for one step.
    pub customer_timeout: Duration,
    /// How long the bank may take.
    pub response_timeout: Duration,
    /// Makes the card token.
    pub token_key: TokenKey,
    /// True if the caller wants the card confirmed.
    pub confirm_card: bool,
}

/// One running transaction.
#[derive(Debug)]
pub struct Txn {
    start: TxnStart,
    setup: Setup,
    state: State,
}

/// What is awaited. Each state owns only what is valid then.
#[derive(Debug)]
enum State {
    /// The terminal to be free and signed on.
    AwaitBegin,
    /// A card.
    AwaitCard { params: Box<TxnParams>, tries: u8, deadline: BootTime },
    /// The answer to power-up.
    AwaitPower { params: Box<TxnParams>, tries: u8 },
    /// The chip's answer, before the bank is asked.
    AwaitChip { kernel: Box<Kernel>, stage: Stage },
    /// The choice of an application.
    AwaitChoice { kernel: Box<Kernel>, first: Aid, deadline: BootTime },
    /// "Yes, this card".
    AwaitConfirm { kernel: Box<Kernel>, card: Box<CardSummary>, then: Then, deadline: BootTime },
    /// The PIN.
    AwaitPin { kernel: Box<Kernel>, card: Box<CardSummary>, deadline: BootTime },
    /// A line.
    AwaitLine(Box<Online>),
    /// `Sending` to be durable.
    AwaitSendingStored(Box<Online>),
    /// The socket to take the request.
    AwaitSent(Box<Asking>),
    /// A new line, because the first broke before any byte left.
    AwaitRedial(Box<Asking>),
    /// The bank.
    AwaitHost { online: Box<Online>, deadline: BootTime },
    /// The chip's second cryptogram.
    AwaitCompletion { kernel: Box<Kernel>, online: Box<Completed> },
    /// The outcome to be durable.
    AwaitClosed(Box<steps::Closing>),
    /// Nothing: the outcome stands.
    Ended(Box<Closed>),
}

/// What a person has said before the chip went on.
#[derive(Clone, Debug, Default)]
struct Stage {
    pin: Option<PinBlock>,
    confirmed: bool,
}

/// What follows a confirmed card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Pin,
    Online,
}

/// Everything that is known when the bank is asked.
#[derive(Debug)]
struct Online {
    kernel: Kernel,
    summary: Box<CardSummary>,
    card: CardFacts,
    wire: WireFacts,
    pin: Option<PinBlock>,
}

/// The request whose record is durable.
#[derive(Debug)]
struct Asking {
    online: Online,
    request: Box<FinancialRequest>,
    /// Lines that broke before any byte left.
    redials: u8,
}

/// The bank has answered, the card has not yet.
#[derive(Debug)]
struct Completed {
    card: CardFacts,
    answer: FinancialAnswer,
}

/// May it still be stopped?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellable {
    /// Yes.
    Yes,
    /// It is being cancelled already.
    Already,
    /// The bank may have been asked.
    TooLate,
    /// It has ended otherwise.
    Ended,
}

impl Txn {
    /// A new transaction. Nothing is durable, nothing was asked.
    #[must_use]
    pub fn new(start: TxnStart, setup: Setup) -> Self {
        Self { start, setup, state: State::AwaitBegin }
    }

    /// Takes one event. Total: what a state does not await changes nothing.
    #[must_use]
    pub fn step(self, event: Event, now: Now) -> (Self, TxnEffects) {
        steps::step(self, event, now)
    }

    /// What was asked for.
    #[must_use]
    pub const fn start(&self) -> &TxnStart {
        &self.start
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &TxnId {
        &self.start.id
    }

    /// Where it stands, in the words of the contract.
    #[must_use]
    pub fn state(&self) -> TxnState {
        match &self.state {
            State::AwaitBegin => TxnState::Created,
            State::AwaitCard { .. } => TxnState::WaitingCard,
            State::AwaitPower { .. } => TxnState::ReadingCard,
            // The cardholder is known once the records are read: what follows is the first cryptogram.
            State::AwaitChip { kernel, .. } if kernel.card().is_some() => TxnState::Risk,
            State::AwaitChip { .. } => TxnState::ReadingCard,
            State::AwaitChoice { .. } => TxnState::SelectingApplication,
            State::AwaitConfirm { .. } => TxnState::ConfirmingCard,
            State::AwaitPin { .. } => TxnState::WaitingPin,
            State::AwaitLine(_) | State::AwaitRedial(_) => TxnState::Connecting,
            State::AwaitSendingStored(_) | State::AwaitSent(_) => TxnState::Sending,
            State::AwaitHost { .. } => TxnState::WaitingHost,
            State::AwaitCompletion { .. } => TxnState::CardCompletion,
            State::AwaitClosed(_) => TxnState::Resolving,
            State::Ended(_) => TxnState::Finished,
        }
    }

    /// When it wants [`Event::Tick`], and whose patience ends then (`customer`, `host`, or empty for a
    /// retry).
    #[must_use]
    pub const fn deadline(&self) -> Option<(BootTime, &'static str)> {
        match &self.state {
            State::AwaitCard { deadline, .. }
            | State::AwaitChoice { deadline, .. }
            | State::AwaitConfirm { deadline, .. }
            | State::AwaitPin { deadline, .. } => Some((*deadline, "customer")),
            State::AwaitHost { deadline, .. } => Some((*deadline, "host")),
            State::AwaitClosed(closing) => match closing.retry() {
                Some(at) => Some((at, "")),
                None => None,
            },
            State::AwaitBegin
            | State::AwaitPower { .. }
            | State::AwaitChip { .. }
            | State::AwaitLine(_)
            | State::AwaitRedial(_)
            | State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitCompletion { .. }
            | State::Ended(_) => None, // the adapter that is being waited for has its own deadline
        }
    }

    /// May it be cancelled now? Until `Sending` is handed to the journal; then it is too late.
    #[must_use]
    pub fn cancellable(&self) -> Cancellable {
        match &self.state {
            State::AwaitBegin
            | State::AwaitCard { .. }
            | State::AwaitPower { .. }
            | State::AwaitChip { .. }
            | State::AwaitChoice { .. }
            | State::AwaitConfirm { .. }
            | State::AwaitPin { .. }
            | State::AwaitLine(_) => Cancellable::Yes,
            State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitRedial(_)
            | State::AwaitHost { .. }
            | State::AwaitCompletion { .. } => Cancellable::TooLate,
            State::AwaitClosed(closing) if closing.closed().outcome == Outcome::Cancelled => {
                Cancellable::Already
            }
            State::AwaitClosed(_) => Cancellable::TooLate,
            State::Ended(closed) if closed.outcome == Outcome::Cancelled => Cancellable::Already,
            State::Ended(_) => Cancellable::Ended,
        }
    }

    /// The refusal that belongs to a cancel that comes too late.
    #[must_use]
    pub fn cancel_fault(answer: Cancellable) -> Option<Fault> {
        match answer {
            Cancellable::Yes | Cancellable::Already => None,
            Cancellable::TooLate => Some(Fault::new(
                FaultName::TooLate,
                "the bank may have been asked already; wait for the outcome, then void if needed",
            )),
            Cancellable::Ended => {
                Some(Fault::new(FaultName::AlreadyFinished, "the transaction has ended; read its outcome"))
            }
        }
    }

    /// True once a byte may be on its way and until the answer is dealt with.
    #[must_use]
    pub const fn money_may_move(&self) -> bool {
        matches!(
            self.state,
            State::AwaitSendingStored(_)
                | State::AwaitSent(_)
                | State::AwaitRedial(_)
                | State::AwaitHost { .. }
                | State::AwaitCompletion { .. }
                | State::AwaitClosed(_)
        )
    }

    /// True while the engine is to get it a line.
    #[must_use]
    pub const fn wants_line(&self) -> bool {
        matches!(self.state, State::AwaitLine(_) | State::AwaitRedial(_))
    }

    /// The card number, for the PIN block: known while the PIN is asked.
    #[must_use]
    pub const fn pan(&self) -> Option<&Pan> {
        match &self.state {
            State::AwaitPin { card, .. } => Some(&card.pan),
            _ => None,
        }
    }

    /// The card's facts as they will be stored, once a card is read.
    #[must_use]
    pub fn card_facts(&self) -> Option<CardFacts> {
        let facts = |card: &CardSummary| card::facts(card, &self.setup.token_key);
        match &self.state {
            State::AwaitBegin
            | State::AwaitCard { .. }
            | State::AwaitPower { .. }
            | State::AwaitChoice { .. } => None,
            State::AwaitChip { kernel, .. } => kernel.card().map(|card| facts(&card)),
            State::AwaitConfirm { card, .. } | State::AwaitPin { card, .. } => Some(facts(card)),
            State::AwaitLine(online)
            | State::AwaitSendingStored(online)
            | State::AwaitHost { online, .. } => Some(online.card.clone()),
            State::AwaitSent(asking) | State::AwaitRedial(asking) => Some(asking.online.card.clone()),
            State::AwaitCompletion { online, .. } => Some(online.card.clone()),
            State::AwaitClosed(closing) => closing.closed().card.clone(),
            State::Ended(closed) => closed.card.clone(),
        }
    }

    /// The record that ended it, once it is durable.
    #[must_use]
    pub const fn ended(&self) -> Option<&Closed> {
        match &self.state {
            State::Ended(closed) => Some(closed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

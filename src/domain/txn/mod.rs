//! One business transaction as a consuming step function, and the machines beside it that use the same line.
//!
//! [`Txn`] is a sale; [`reversal::Reversal`] undoes one of unknown outcome; [`management::Management`] signs on and
//! tests the line; [`aftercare::Aftercare`] brings paper and card home after the outcome. Each has
//! `step(self, event, now) -> (self, Effects)`, is total over its events (a late or repeated event changes nothing) and
//! knows its own deadline. Nothing here waits, reads a clock or draws a number.
//!
//! The write-ahead rule is in the types: [`Effects::vital`] is a store *or* a send, never both. What a store makes
//! durable comes back as [`Event::Stored`] before the state that sends is reached.
pub mod aftercare;
mod card;
pub mod management;
mod purchase;
pub mod recovery;
pub mod reversal;

use super::calendar::{BootTime, WallTime};
use super::emv::apdu::{CommandApdu, ResponseApdu};
use super::emv::kernel::{Candidate, CardSummary, Kernel};
use super::emv::params::{Aid, EmvConfig, TxnParams};
use super::fault::{Fault, FaultName};
use super::ident::{BatchNumber, Stan, TxnId};
use super::outcome::{Outcome, Prompt, ResultCode, TxnState};
use super::record::{CardFacts, Closed, Record, TxnStart, WireFacts};
use super::secret::{Pan, PinBlock, TokenKey, Track2};
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

/// What happened. Past facts only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The terminal is signed on and free: the customer may be asked. Chance and date for the chip.
    Begun(Box<TxnParams>),
    /// It cannot begin: the sign-on failed.
    NotBegun(ResultCode),
    /// A card that is not left over from an earlier transaction is in the reader.
    CardInserted,
    /// The card is out.
    CardRemoved,
    /// The chip answered to power-up.
    CardPowered,
    /// The chip answered.
    CardAnswered(ResponseApdu),
    /// The chip or reader did not do it.
    CardFailed(CardTrouble),
    /// The agent's answer.
    AgentAnswered(Answer),
    /// No agent can answer.
    AgentUnavailable,
    /// A line to the bank is open, and everything that must go before has gone.
    LineReady,
    /// There is no line; nothing was written.
    LineFailed(ResultCode),
    /// The records of the last store are durable. Numbers taken, if any.
    Stored(Option<(Stan, BatchNumber)>),
    /// They could not be stored, and looking again did not find them.
    StoreFailed,
    /// The request was handed to the socket as a whole.
    RequestSent,
    /// The bank answered, and the answer fits and has a good MAC.
    HostAnswered(Box<FinancialAnswer>),
    /// What came is no usable answer.
    HostGarbled(Garbled),
    /// The line broke. `wrote`: a byte may have left.
    LineLost {
        /// True if a byte may have left.
        wrote: bool,
    },
    /// A person or the service manager wants it stopped; [`Txn::cancellable`] was asked before.
    CancelRequested(ResultCode),
    /// The service ends soon: what the bank still has to say it must say within three seconds.
    Hurry,
    /// Time passed.
    Tick,
}

/// Why an answer is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbled {
    /// Not a message, or fields that do not match the request.
    Content,
    /// The MAC is wrong or missing.
    Mac,
}

/// Why the card side failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardTrouble {
    /// The card is out.
    Removed,
    /// Mute, broken, too slow, or the reader is gone.
    Unreadable,
}

/// What an agent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A PIN was typed; here is its block.
    Pin(PinBlock),
    /// Nothing was typed.
    PinBypassed,
    /// This terminal has no PIN entry.
    PinNotAvailable,
    /// One of the candidates.
    Application(Aid),
    /// Yes or no.
    Yes(bool),
    /// The person cancelled.
    Cancelled,
}

/// What an agent is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The online PIN.
    Pin,
    /// Which application.
    Application(Vec<Candidate>),
    /// Is this the card.
    Card,
}

/// Things to do that move no money and need no disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// Show this.
    Prompt(Prompt),
    /// Power the card up.
    PowerOn,
    /// Exchange one APDU.
    Transmit(CommandApdu),
    /// Power the card down.
    PowerOff,
    /// Ask the agent.
    Ask(Ask),
    /// The question is void.
    Withdraw,
    /// Get a line: sign on if needed, send due reversals, connect.
    OpenLine,
    /// The sign-on no longer holds: the bank refuses our keys or MACs.
    DropSignOn,
    /// The outcome is durable: tell everybody.
    Finish,
}

/// A financial request, complete but for what the engine knows: terminal identity and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleRequest {
    /// STAN, taken by the journal.
    pub stan: Stan,
    /// Batch.
    pub batch: BatchNumber,
    /// What was asked for.
    pub start: TxnStart,
    /// The card number.
    pub pan: Pan,
    /// Track 2 equivalent.
    pub track2: Option<Track2>,
    /// Expiry `YYMM`.
    pub expiry: Option<String>,
    /// Card sequence number.
    pub sequence: Option<u8>,
    /// PIN block, if a PIN was typed.
    pub pin: Option<PinBlock>,
    /// DE 55.
    pub icc: Vec<u8>,
}

/// The one thing of an effect that the write-ahead rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Vital<S> {
    /// Neither.
    #[default]
    Nothing,
    /// Make these durable, then come back with [`Event::Stored`].
    Store(Vec<Record>),
    /// Send this. Its record is durable.
    Send(Box<S>),
}

/// What to do. The local things first, in order; then the vital one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<L, S> {
    /// Without money.
    pub local: Vec<L>,
    /// A store or a send.
    pub vital: Vital<S>,
}

impl<L, S> Effects<L, S> {
    fn none() -> Self {
        Self { local: Vec::new(), vital: Vital::Nothing }
    }

    fn local(local: Vec<L>) -> Self {
        Self { local, vital: Vital::Nothing }
    }

    fn store(local: Vec<L>, records: Vec<Record>) -> Self {
        Self { local, vital: Vital::Store(records) }
    }

    fn send(local: Vec<L>, request: S) -> Self {
        Self { local, vital: Vital::Send(Box::new(request)) }
    }
}

/// The effects of a [`Txn`].
pub type TxnEffects = Effects<Local, SaleRequest>;

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
    AwaitClosed(Box<purchase::Closing>),
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
    request: Box<SaleRequest>,
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
        purchase::step(self, event, now)
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

    /// When it wants [`Event::Tick`], and whose patience ends then (`customer`, `host`, or empty for a retry).
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

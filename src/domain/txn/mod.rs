//! One business transaction as a consuming step function, and the machines beside it that use the same line.
//!
//! [`Txn`] is a transaction of any kind, as [`crate::domain::rules::rule`] describes the kind;
//! [`management::Management`] signs on and tests the line; [`aftercare::Aftercare`] brings paper and card home after
//! the outcome. What is owed to the bank after that is sent by [`crate::domain::queue`]. Each has
//! `step(self, event, now) -> (self, Effects)`, is total over its events (a late or repeated event changes
//! nothing) and knows its own deadline. Nothing here waits, reads a clock or draws a number.
//!
//! The write-ahead rule is in the types: [`Effects::vital`] is a store *or* a send, never both. What a store
//! makes durable comes back as [`Event::Stored`] before the state that sends is reached.
pub mod aftercare;
mod card;
mod event;
pub mod fallback;
pub mod management;
pub mod recovery;
pub mod refused;
mod steps;

pub use event::{
    Answer, Ask, CardTrouble, Effects, Event, FinancialRequest, Garbled, Local, PinAsk, TxnEffects, Vital,
};

use super::calendar::{BootTime, WallTime};
use super::emv::apdu::CommandApdu;
use super::emv::kernel::{CardSummary, Kernel, PinKind};
use super::emv::params::{Aid, EmvConfig, TxnParams};
use super::fault::{Fault, FaultName};
use super::ident::TxnId;
use super::money::Amount;
use super::outcome::{Outcome, PinEntry, ResultCode, TxnState};
use super::record::{CardFacts, Closed, TxnStart, WireFacts};
use super::rules::{self, Route, Undo};
use super::secret::{Pan, PinBlock, TokenKey, Track2};
use super::unionpay::Identity;
use super::unionpay::answers::FinancialAnswer;
use core::time::Duration;
use fallback::Attempts;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// The line to the bank is under TLS, at every endpoint: what comes on it is the bank's.
    pub tls: bool,
    /// Makes the card token.
    pub token_key: TokenKey,
    /// Tokens of the cards from which the bank takes no money.
    pub blacklist: Arc<BTreeSet<String>>,
    /// Sales that were approved here a while ago: token and amount.
    pub recent: Arc<[(String, Amount)]>,
    /// Where a PIN is typed.
    pub pin_entry: PinEntry,
    /// The terminal reads stripes.
    pub reads_stripes: bool,
    /// True if the caller wants the card confirmed.
    pub confirm_card: bool,
    /// The merchant's limits let this sale be approved without the bank.
    pub may_store: bool,
    /// The caller knows that the same card paid the same a moment ago, and means it.
    pub allow_duplicate: bool,
    /// How the original of an undo is undone.
    pub undo: Undo,
    /// The original's card, where its sealed number is still there: an undo that asks for no card uses it.
    pub stored_card: Option<Arc<CardFacts>>,
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
    /// A supervisor.
    AwaitAuthorization { params: Box<TxnParams>, deadline: BootTime },
    /// A card.
    AwaitCard { params: Box<TxnParams>, attempts: Attempts, deadline: BootTime },
    /// The answer to power-up.
    AwaitPower { params: Box<TxnParams>, attempts: Attempts },
    /// The chip's answer, before the bank is asked.
    AwaitChip { kernel: Box<Kernel>, stage: Stage },
    /// The choice of an application. `first`: the best that needs nobody's word.
    AwaitChoice { kernel: Box<Kernel>, first: Option<Aid>, deadline: BootTime },
    /// "Yes, this card".
    AwaitConfirm { known: Box<Known>, deadline: BootTime },
    /// What the journal knows of this card and amount.
    AwaitLookup(Box<Known>),
    /// "Yes, once more".
    AwaitDuplicate { known: Box<Known>, deadline: BootTime },
    /// The PIN.
    AwaitPin { known: Box<Known>, deadline: BootTime },
    /// A line.
    AwaitLine(Box<Online>),
    /// `Sending` to be durable.
    AwaitSendingStored(Box<Online>),
    /// The socket to take the request.
    AwaitSent(Box<Asking>),
    /// A new line, because the first broke before any byte left.
    AwaitRedial(Box<Asking>),
    /// `Unsent` to be durable; then the card is asked whether it approves without the bank.
    AwaitUnsentStored { online: Box<Online>, result: ResultCode },
    /// The bank.
    AwaitHost { online: Box<Online>, deadline: BootTime },
    /// The chip's second cryptogram.
    AwaitCompletion { kernel: Box<Kernel>, online: Box<Completed> },
    /// The outcome to be durable.
    AwaitClosed(Box<steps::Closing>),
    /// Nothing: the outcome stands.
    Ended(Box<Closed>),
}

/// What was settled before the chip went on.
#[derive(Clone, Debug, Default)]
struct Stage {
    pin: Option<PinBlock>,
    /// A PIN for the bank was asked, typed or not.
    pin_asked: bool,
    /// Somebody said "this card".
    confirmed: bool,
    /// It is no duplicate, or one that is meant.
    unique: bool,
}

/// A card that has said who it is, before the bank is asked.
#[derive(Debug)]
struct Known {
    card: CardFacts,
    then: Then,
    stage: Stage,
}

impl Known {
    /// Which PIN is asked while one is: the chip's, or that of a card that was only read, for the bank.
    const fn asked_pin(&self) -> PinKind {
        match &self.then {
            Then::Pin { ask, .. } => ask.kind,
            Then::Online { .. } | Then::Stored(_) | Then::Read { .. } => PinKind::Online,
        }
    }
}

/// What follows once it is clear that this card is meant.
#[derive(Debug)]
enum Then {
    /// The chip wants a PIN.
    Pin { kernel: Box<Kernel>, ask: PinAsk },
    /// The chip wants the bank; what it said goes along.
    Online { kernel: Box<Kernel>, summary: Box<CardSummary> },
    /// The chip has approved by itself.
    Stored(Box<CardSummary>),
    /// The card was only read, by its chip or by its stripe. `fallback`: by its stripe because its chip cannot be.
    Read { track2: Option<Track2>, fallback: bool },
}

/// Everything that is known when the bank is asked.
#[derive(Debug)]
struct Online {
    /// The chip that waits for the bank's word; none if it was only read, or no card is there.
    kernel: Option<Kernel>,
    track2: Option<Track2>,
    card: Arc<CardFacts>,
    wire: WireFacts,
    pin: Option<PinBlock>,
    /// Without a line the card may approve by itself.
    may_store: bool,
}

/// The request whose record is durable.
#[derive(Debug)]
struct Asking {
    online: Online,
    request: Box<FinancialRequest>,
    /// Lines that broke before any byte left.
    redials: u8,
}

/// What the card is told for its second cryptogram.
#[derive(Debug)]
struct Completed {
    card: Arc<CardFacts>,
    word: Word,
}

/// The bank's word, or why there is none.
#[derive(Debug)]
enum Word {
    Bank(Box<FinancialAnswer>),
    /// No line. `stored`: its `Sending` is durable, and disarmed again.
    NoLine {
        stored: bool,
        result: ResultCode,
    },
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

impl Completed {
    /// No request was ever made durable, so none can have left.
    const fn never_sent(&self) -> bool {
        matches!(self.word, Word::NoLine { stored: false, .. })
    }
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
            State::AwaitAuthorization { .. } => TxnState::WaitingAuthorization,
            State::AwaitCard { .. } => TxnState::WaitingCard,
            State::AwaitPower { .. } => TxnState::ReadingCard,
            // The cardholder is known once the records are read: what follows is a PIN, or the first cryptogram.
            State::AwaitChip { kernel, .. } if kernel.checks_pin() => TxnState::ReadingCard,
            State::AwaitChip { kernel, .. } if kernel.knows_card() => TxnState::Risk,
            State::AwaitLookup(known) => match known.then {
                Then::Pin { .. } | Then::Read { .. } => TxnState::ReadingCard,
                Then::Online { .. } | Then::Stored(_) => TxnState::Risk,
            },
            State::AwaitDuplicate { .. } => TxnState::ConfirmingCard,
            State::AwaitChip { .. } => TxnState::ReadingCard,
            State::AwaitChoice { .. } => TxnState::SelectingApplication,
            State::AwaitConfirm { .. } => TxnState::ConfirmingCard,
            State::AwaitPin { .. } => TxnState::WaitingPin,
            State::AwaitLine(_) | State::AwaitRedial(_) | State::AwaitUnsentStored { .. } => {
                TxnState::Connecting
            }
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
            State::AwaitAuthorization { deadline, .. }
            | State::AwaitCard { deadline, .. }
            | State::AwaitChoice { deadline, .. }
            | State::AwaitConfirm { deadline, .. }
            | State::AwaitDuplicate { deadline, .. }
            | State::AwaitPin { deadline, .. } => Some((*deadline, "customer")),
            State::AwaitHost { deadline, .. } => Some((*deadline, "host")),
            State::AwaitClosed(closing) => match closing.retry() {
                Some(at) => Some((at, "")),
                None => None,
            },
            State::AwaitBegin
            | State::AwaitPower { .. }
            | State::AwaitChip { .. }
            | State::AwaitLookup(_)
            | State::AwaitLine(_)
            | State::AwaitRedial(_)
            | State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitUnsentStored { .. }
            | State::AwaitCompletion { .. }
            | State::Ended(_) => None, // the adapter that is being waited for has its own deadline
        }
    }

    /// May it be cancelled now? Until `Sending`, or the `Closed` of one that is told later, is handed to the journal;
    /// then it is too late.
    #[must_use]
    pub fn cancellable(&self) -> Cancellable {
        match &self.state {
            State::AwaitBegin
            | State::AwaitAuthorization { .. }
            | State::AwaitCard { .. }
            | State::AwaitPower { .. }
            | State::AwaitChip { .. }
            | State::AwaitChoice { .. }
            | State::AwaitConfirm { .. }
            | State::AwaitLookup(_)
            | State::AwaitDuplicate { .. }
            | State::AwaitPin { .. }
            | State::AwaitLine(_) => Cancellable::Yes,
            State::AwaitCompletion { online, .. } if online.never_sent() => Cancellable::Yes,
            State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitRedial(_)
            | State::AwaitUnsentStored { .. }
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

    /// True if the bank is asked for its word: then the terminal must be signed on before it begins.
    #[must_use]
    pub fn asks_bank(&self) -> bool {
        let kind = self.start.kind;
        let locally = rules::undoes(kind) && matches!(self.setup.undo, Undo::Local(_));
        rules::rule(kind).route == Route::Online && !locally
    }

    /// True once a byte may be on its way and until the answer is dealt with.
    #[must_use]
    pub const fn money_may_move(&self) -> bool {
        match &self.state {
            State::AwaitSendingStored(_)
            | State::AwaitSent(_)
            | State::AwaitRedial(_)
            | State::AwaitHost { .. }
            | State::AwaitClosed(_) => true,
            State::AwaitCompletion { online, .. } => matches!(online.word, Word::Bank(_)),
            _ => false,
        }
    }

    /// True while the engine is to get it a line.
    #[must_use]
    pub const fn wants_line(&self) -> bool {
        matches!(self.state, State::AwaitLine(_) | State::AwaitRedial(_))
    }

    /// While a PIN is asked: which, and the card number for its block.
    #[must_use]
    pub fn asked_pin(&self) -> Option<(PinKind, &Pan)> {
        match &self.state {
            State::AwaitPin { known, .. } => Some((known.asked_pin(), &known.card.pan)),
            _ => None,
        }
    }

    /// The command that will follow the one to the chip, where that is known. See [`Kernel::ahead`].
    #[must_use]
    pub fn ahead(&self) -> Option<CommandApdu> {
        match &self.state {
            State::AwaitChip { kernel, .. } => kernel.ahead(),
            _ => None,
        }
    }

    /// The card's facts as they will be stored, once a card is read.
    #[must_use]
    pub fn card_facts(&self) -> Option<Arc<CardFacts>> {
        let facts = |card: &CardSummary| Arc::new(card::facts(card, &self.setup.token_key));
        match &self.state {
            State::AwaitBegin
            | State::AwaitAuthorization { .. }
            | State::AwaitCard { .. }
            | State::AwaitPower { .. }
            | State::AwaitChoice { .. } => None,
            State::AwaitChip { kernel, .. } => kernel.card().map(|card| facts(&card)),
            State::AwaitConfirm { known, .. }
            | State::AwaitLookup(known)
            | State::AwaitDuplicate { known, .. }
            | State::AwaitPin { known, .. } => Some(Arc::new(known.card.clone())),
            State::AwaitLine(online)
            | State::AwaitSendingStored(online)
            | State::AwaitUnsentStored { online, .. }
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

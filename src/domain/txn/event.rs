//! What a transaction hears and what it wants: past facts in, things to do out.
//!
//! The write-ahead rule is in the types: [`Effects::vital`] is a store *or* a send, never both.
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::domain::emv::kernel::{Candidate, PinKind};
use crate::domain::emv::params::{Aid, TxnParams};
use crate::domain::ident::{BatchNumber, OperatorId, Stan, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{Prompt, ResultCode};
use crate::domain::record::{Record, TxnStart, WireFacts};
use crate::domain::secret::{ClearPin, Pan, PinBlock, Track2};
use crate::domain::unionpay::answers::FinancialAnswer;
use crate::domain::unionpay::messages::RequestFields;
use core::time::Duration;

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
    /// A card's stripe was read.
    CardSwiped(Track2),
    /// The agent's answer.
    AgentAnswered(Answer),
    /// No agent can answer.
    AgentUnavailable,
    /// What the journal says to [`Local::LookForDuplicate`].
    DuplicateLookedUp(Option<TxnId>),
    /// A line to the bank is open, and everything that must go before has gone.
    LineReady,
    /// There is no line; nothing was written.
    LineFailed(ResultCode),
    /// The records of the last store are durable. Numbers taken, if any.
    Stored(Option<(Stan, BatchNumber)>),
    /// They could not be stored as far as anybody knows. They may be on the disk all the same.
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
    /// A person or the service manager wants it stopped; [`super::Txn::cancellable`] was asked before.
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
    /// The chip is mute, broken or too slow.
    Unreadable,
    /// The reader is gone, or in another program's hands: that says nothing about the chip.
    Reader,
}

/// What an agent said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A PIN for the bank was typed; here is its block.
    Pin(PinBlock),
    /// A PIN for the card was typed.
    PinTyped(ClearPin),
    /// The reader's own PIN pad gave a PIN to the card, which answered so.
    PinPresented(StatusWord),
    /// Nothing was typed.
    PinBypassed,
    /// The reader's PIN pad cannot take one.
    PinNotAvailable,
    /// Nobody typed at the reader's PIN pad in time.
    PinTooLate,
    /// One of the candidates.
    Application(Aid),
    /// Yes or no.
    Yes(bool),
    /// A supervisor allowed it.
    Authorized(OperatorId),
    /// The person cancelled.
    Cancelled,
}

/// Which PIN is asked, and what the person may know about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinAsk {
    /// For the bank, or for the card.
    pub kind: PinKind,
    /// Tries that the card has left, where it said so; never for the bank.
    pub tries_left: Option<u8>,
    /// The PIN before this one was wrong.
    pub again: bool,
    /// Nothing may be typed: then the card's list of methods goes on.
    pub bypass_allowed: bool,
}

/// What an agent is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A PIN.
    Pin(PinAsk),
    /// Which application.
    Application(Vec<Candidate>),
    /// Is this the card.
    Card,
    /// The same card paid the same a moment ago: go on all the same.
    Duplicate(TxnId),
    /// A supervisor's number and password for this action.
    Authorize(&'static str),
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
    /// Have the reader's PIN pad ask for a PIN, for so long at most, and give it to the card.
    AskPad(Duration),
    /// The question is void.
    Withdraw,
    /// Ask the journal whether this card paid the same amount within the profile's window. Comes back as
    /// [`Event::DuplicateLookedUp`].
    LookForDuplicate {
        /// The card.
        token: String,
        /// How much.
        amount: Amount,
    },
    /// Get a line: sign on if needed, send due reversals, connect.
    OpenLine,
    /// The sign-on no longer holds: the bank refuses our keys or MACs.
    DropSignOn,
    /// The outcome is durable: tell everybody.
    Finish,
}

/// A financial request, complete but for what the engine knows: TPDU, header and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinancialRequest {
    /// STAN, taken by the journal.
    pub stan: Stan,
    /// Batch.
    pub batch: BatchNumber,
    /// What was asked for.
    pub start: TxnStart,
    /// The fields that its reversal repeats; DE 55 too.
    pub wire: WireFacts,
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
}

impl FinancialRequest {
    /// What its message carries.
    #[must_use]
    pub fn fields(&self) -> RequestFields<'_> {
        let terms = &self.start.terms;
        let original = terms.original.as_ref();
        RequestFields {
            wire: &self.wire,
            stan: self.stan,
            batch: self.batch,
            amount: self.start.amount,
            currency: self.start.currency,
            pan: &self.pan,
            expiry: self.expiry.as_deref(),
            sequence: self.sequence,
            track2: self.track2.as_ref(),
            pin: self.pin.as_ref(),
            rrn: original.and_then(|original| original.rrn.as_ref()),
            auth_code: terms.told_auth_code(),
        }
    }
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
    pub(in crate::domain) fn none() -> Self {
        Self { local: Vec::new(), vital: Vital::Nothing }
    }

    pub(in crate::domain) fn local(local: Vec<L>) -> Self {
        Self { local, vital: Vital::Nothing }
    }

    pub(in crate::domain) fn store(local: Vec<L>, records: Vec<Record>) -> Self {
        Self { local, vital: Vital::Store(records) }
    }

    pub(in crate::domain) fn send(local: Vec<L>, request: S) -> Self {
        Self { local, vital: Vital::Send(Box::new(request)) }
    }
}

/// The effects of a [`super::Txn`].
pub type TxnEffects = Effects<Local, FinancialRequest>;

//! What goes into the kernel and what comes out, and the one step between. The states are in the phase files.
//!
//! The kernel decides what EMV decides; what a verdict means for money is the transaction's business.
use core::fmt;

use super::action::{AwaitFirstAc, AwaitSecondAc};
use super::apdu::{CommandApdu, ResponseApdu, StatusWord};
use super::cvm::{AwaitChallenge, AwaitPin, AwaitTries, AwaitVerify};
use super::oda::AwaitSignature;
use super::online::{AwaitAuthentication, AwaitHost};
use super::params::{Aid, EmvConfig, TxnParams};
use super::records::{AwaitOptions, AwaitRecord};
use super::risk::AwaitCounter;
use super::script::AwaitScript;
use super::select::{self, AwaitChoice, AwaitDirectory, AwaitDirectoryRecord, AwaitFci, AwaitListed};
use super::session::Session;
use super::tlv::TagStore;
use crate::domain::outcome::CvmMethod;
use crate::domain::secret::{ClearPin, Pan, Track2};

/// What happened to the card conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The card answered.
    Response(ResponseApdu),
    /// The cardholder chose one of [`Output::Choose`].
    Chosen(Aid),
    /// The PIN question is settled.
    PinDone(PinResult),
    /// The host is settled.
    Host(HostAnswer),
}

/// What a PIN is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinKind {
    /// For the bank: answered by [`PinResult::Entered`].
    Online,
    /// For the card, in clear: answered by [`PinResult::Typed`] or [`PinResult::Presented`].
    OfflinePlain,
    /// For the card, under its key: answered by [`PinResult::Typed`].
    OfflineEnciphered,
}

/// A PIN is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinRequest {
    /// Who the card is.
    pub card: Box<CardSummary>,
    /// What for.
    pub kind: PinKind,
    /// Tries that the card has left, where it said so (tag 9F17, or 63Cx after a wrong one).
    pub tries_left: Option<u8>,
    /// The PIN before this one was wrong.
    pub again: bool,
}

/// How the PIN question ended. A PIN for the bank never enters the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinResult {
    /// A PIN block exists and will go online. TVR "online PIN entered".
    Entered,
    /// The PIN for the card; it leaves in VERIFY, and nothing keeps it.
    Typed(ClearPin),
    /// The reader's own PIN pad gave it to the card, which answered VERIFY so.
    Presented(StatusWord),
    /// The cardholder entered nothing. TVR "PIN entry required, PIN pad present, but PIN was not entered".
    Bypassed,
    /// There is no working PIN entry. TVR "PIN entry required and PIN pad not present or not working".
    NotAvailable,
}

/// What the host said, as far as the card may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAnswer {
    /// An answer with a good MAC.
    Answered {
        /// The bank approves.
        approved: bool,
        /// Tag 8A: the response code in ASCII.
        response_code: [u8; 2],
        /// Tag 91, 8 to 16 bytes.
        issuer_authentication: Option<Vec<u8>>,
        /// Templates 71 and 72 as they came, in order.
        scripts: Vec<Vec<u8>>,
    },
    /// No line, nothing was sent: "unable to go online".
    Unable,
}

/// What the kernel wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the card.
    Transmit(CommandApdu),
    /// Let the cardholder choose; answer with [`Input::Chosen`].
    Choose(Vec<Candidate>),
    /// Ask a PIN; answer with [`Input::PinDone`].
    AskPin(Box<PinRequest>),
    /// The card wants the bank; answer with [`Input::Host`].
    GoOnline(Box<CardSummary>),
    /// The conversation is over.
    Done(Box<Conclusion>),
}

/// An application that card and terminal share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Full AID of the card.
    pub aid: Aid,
    /// Preferred name or label, printable.
    pub label: String,
    /// 1 is highest, 15 lowest, 0 = none. Tag 87.
    pub priority: u8,
    /// Only with the cardholder's word: bit 8 of tag 87. Nobody else may choose it.
    pub confirm: bool,
}

/// What is known of the card when the world is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSummary {
    /// The application in use.
    pub aid: Aid,
    /// Its label.
    pub label: String,
    /// Tag 5A, or from tag 57.
    pub pan: Pan,
    /// Tag 57.
    pub track2: Option<Track2>,
    /// `YYMM` from tag 5F24.
    pub expiry: Option<String>,
    /// Tag 5F34.
    pub sequence: Option<u8>,
    /// How the cardholder was verified so far.
    pub cvm: CvmMethod,
    /// Every data object the terminal holds, card's and own, by tag: DE 55 is built from it.
    pub tags: TagStore,
}

/// EMV's own answers. Not errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// TC after an approving host, or offline.
    Approved,
    /// AAC in the first GENERATE AC.
    DeclinedOffline,
    /// The host declined.
    DeclinedOnline,
    /// The host approved, the card answered AAC (or issuer authentication led there): a reversal is due (06).
    DeclinedByCard,
    /// No host, and the card or the action codes did not let it pass.
    DeclinedUnableOnline,
    /// The records are read, and nothing else was wanted ([`super::params::Purpose::Read`]).
    Read,
    /// No application that both accept.
    NotAccepted,
    /// The card or its application is blocked.
    Blocked,
}

/// The end of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// What was decided.
    pub verdict: Verdict,
    /// The card as last known; `None` if no application was opened.
    pub card: Option<Box<CardSummary>>,
}

/// The card or we broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A status word that this phase does not allow.
    #[error("{phase}: the card answered {status:04X}")]
    Status {
        /// Book 3 phase.
        phase: &'static str,
        /// The status word.
        status: u16,
    },
    /// Broken TLV, a missing or doubled data object, a wrong length.
    #[error("{phase}: {what}")]
    Data {
        /// Book 3 phase.
        phase: &'static str,
        /// What is wrong, without values.
        what: String,
    },
    /// An input that the state does not await.
    #[error("{phase}: {input} is not awaited")]
    Unexpected {
        /// Book 3 phase.
        phase: &'static str,
        /// The input's name.
        input: &'static str,
    },
}

/// One card conversation. Each step consumes it; what is left is the next state, or an error.
///
/// A clone is another conversation that went the same way so far; only tests need one.
#[derive(Clone)]
pub struct Kernel(State);

/// What is awaited. One struct a state, in the file of its phase.
#[derive(Clone)]
pub(super) enum State {
    Directory(AwaitDirectory),
    DirectoryRecord(AwaitDirectoryRecord),
    Listed(AwaitListed),
    Choice(AwaitChoice),
    Fci(AwaitFci),
    Options(AwaitOptions),
    Record(AwaitRecord),
    Signature(AwaitSignature),
    PinTries(AwaitTries),
    Pin(AwaitPin),
    PinChallenge(AwaitChallenge),
    PinVerify(AwaitVerify),
    Counter(AwaitCounter),
    FirstAc(AwaitFirstAc),
    Host(AwaitHost),
    Authentication(AwaitAuthentication),
    Script(AwaitScript),
    SecondAc(AwaitSecondAc),
    Ended,
}

/// What a step leads to.
pub(super) type Step = Result<(State, Output), KernelError>;

impl Kernel {
    /// Begins a conversation with a card that is powered up. The first output is always a command.
    #[must_use]
    pub fn start(config: &EmvConfig, params: TxnParams) -> (Self, Output) {
        let (state, output) = select::start(config.clone(), params);
        (Self(state), output)
    }

    /// Takes the answer to the last output and says what comes next. After [`Output::Done`] nothing is
    /// awaited.
    ///
    /// # Errors
    /// [`KernelError::Unexpected`] for an input that the state does not await; the others if the card breaks
    /// the rules. The conversation is over then; ask [`Kernel::card`] before the step for what was known.
    pub fn step(self, input: Input) -> Result<(Self, Output), KernelError> {
        let (state, output) = match self.0 {
            State::Directory(state) => state.step(input),
            State::DirectoryRecord(state) => state.step(input),
            State::Listed(state) => state.step(input),
            State::Choice(state) => state.step(input),
            State::Fci(state) => state.step(input),
            State::Options(state) => state.step(input),
            State::Record(state) => state.step(input),
            State::Signature(state) => state.step(input),
            State::PinTries(state) => state.step(input),
            State::Pin(state) => state.step(input),
            State::PinChallenge(state) => state.step(input),
            State::PinVerify(state) => state.step(input),
            State::Counter(state) => state.step(input),
            State::FirstAc(state) => state.step(input),
            State::Host(state) => state.step(input),
            State::Authentication(state) => state.step(input),
            State::Script(state) => state.step(input),
            State::SecondAc(state) => state.step(input),
            State::Ended => Err(input.unexpected("end")),
        }?;
        Ok((Self(state), output))
    }

    /// The card as it is known now: from the end of the records to the end of the conversation. For a ledger
    /// line when the card is pulled or breaks the rules. After [`Output::Done`] the [`Conclusion`] holds it.
    #[must_use]
    pub fn card(&self) -> Option<Box<CardSummary>> {
        self.session().map(Session::summary)
    }

    /// True while the card counts or checks a PIN.
    #[must_use]
    pub const fn checks_pin(&self) -> bool {
        matches!(self.0, State::PinTries(_) | State::PinChallenge(_) | State::PinVerify(_))
    }

    /// The command that will follow if the card's answer to the last one is as it should be, where that can be told and
    /// the command changes nothing in a card: it reads a record or a counter.
    #[must_use]
    pub fn ahead(&self) -> Option<CommandApdu> {
        match &self.0 {
            State::DirectoryRecord(state) => state.ahead(),
            State::Record(state) => state.ahead(),
            State::Counter(state) => state.ahead(),
            _ => None,
        }
    }

    /// True where [`Kernel::card`] tells something.
    #[must_use]
    pub const fn knows_card(&self) -> bool {
        self.session().is_some()
    }

    /// The card is gone, or silent. If its second cryptogram is there, only scripts were cut short: they count as not
    /// performed and the conversation has its end. Otherwise `None`: the card has not decided.
    #[must_use]
    pub fn gone(self) -> Option<Conclusion> {
        match self.0 {
            State::Script(state) => state.cut_short(),
            _ => None,
        }
    }

    const fn session(&self) -> Option<&Session> {
        match &self.0 {
            State::Signature(state) => Some(state.session()),
            State::PinTries(state) => Some(state.session()),
            State::Pin(state) => Some(state.session()),
            State::PinChallenge(state) => Some(state.session()),
            State::PinVerify(state) => Some(state.session()),
            State::Counter(state) => Some(state.session()),
            State::FirstAc(state) => Some(state.session()),
            State::Host(state) => Some(state.session()),
            State::Authentication(state) => Some(state.session()),
            State::Script(state) => Some(state.session()),
            State::SecondAc(state) => Some(state.session()),
            State::Directory(_)
            | State::DirectoryRecord(_)
            | State::Listed(_)
            | State::Choice(_)
            | State::Fci(_)
            | State::Options(_)
            | State::Record(_)
            | State::Ended => None,
        }
    }

    /// What is awaited, as a word.
    #[must_use]
    pub const fn awaits(&self) -> &'static str {
        match &self.0 {
            State::Directory(_) => "directory",
            State::DirectoryRecord(_) => "directory record",
            State::Listed(_) => "listed application",
            State::Choice(_) => "choice",
            State::Fci(_) => "application",
            State::Options(_) => "processing options",
            State::Record(_) => "record",
            State::Signature(_) => "dynamic signature",
            State::PinTries(_) => "PIN tries",
            State::Pin(_) => "PIN",
            State::PinChallenge(_) => "PIN challenge",
            State::PinVerify(_) => "PIN check",
            State::Counter(_) => "transaction counter",
            State::FirstAc(_) => "first cryptogram",
            State::Host(_) => "host",
            State::Authentication(_) => "issuer authentication",
            State::Script(_) => "script command",
            State::SecondAc(_) => "second cryptogram",
            State::Ended => "nothing",
        }
    }
}

impl fmt::Debug for Kernel {
    /// What is awaited; card data is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel(awaits {})", self.awaits())
    }
}

/// The card's answer, or the error that it was awaited.
pub(super) fn response(input: Input, phase: &'static str) -> Result<ResponseApdu, KernelError> {
    match input {
        Input::Response(answer) => Ok(answer),
        Input::Chosen(_) | Input::PinDone(_) | Input::Host(_) => Err(input.unexpected(phase)),
    }
}

impl Input {
    const fn name(&self) -> &'static str {
        match self {
            Self::Response(_) => "the card's answer",
            Self::Chosen(_) => "a choice",
            Self::PinDone(_) => "a PIN result",
            Self::Host(_) => "the host's answer",
        }
    }

    pub(super) const fn unexpected(&self, phase: &'static str) -> KernelError {
        KernelError::Unexpected { phase, input: self.name() }
    }
}

//! What goes into the kernel and what comes out. The states are in the phase files.
use super::apdu::{CommandApdu, ResponseApdu};
use super::params::Aid;
use super::tlv::TagStore;
use crate::domain::outcome::CvmMethod;
use crate::domain::secret::{Pan, Track2};

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

/// How the PIN question ended. The PIN itself never enters the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinResult {
    /// A PIN block exists and will go online. TVR "online PIN entered".
    Entered,
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
    /// Ask the online PIN; answer with [`Input::PinDone`].
    AskPin(Box<CardSummary>),
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

//! What the engine says to the world and hears from it: plain data, no runtime types.
//!
//! Each adapter is an actor. It takes its commands from a bounded queue (8) and sends its events to the engine's one
//! queue; card, host, printer and journal events are never dropped, because their senders may wait. The journal is a
//! trait, because the engine owns the thread that runs it.
pub mod commit;
mod line;
mod link;
mod survey;

use crate::domain::calendar::{BootTime, LocalTime, WallTime};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::money::Amount;
use crate::domain::quirks::{Proof, UsbId};
use crate::domain::receipt::Document;
use crate::domain::record::{
    BatchRow, Committed, Loaded, OriginalRef, Record, TimelineRow, TotalsRow, TxnFilter, TxnRow,
};
use core::time::Duration;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use line::{HostCommand, HostEvent, LineClock, WayTimes};
pub use link::{JoinRequest, LinkCommand, LinkEvent, LinkFault, Network, Via};
pub use survey::{DiskSeen, Surveyor};

/// To the card thread. Every command is answered by exactly one event that carries its `id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardCommand {
    /// Power the card in the contact reader up. Answered by [`CardEvent::Powered`].
    PowerOn {
        /// Answer carries it.
        id: u64,
    },
    /// Exchange one APDU; 61xx and 6Cxx are handled below. Answered by [`CardEvent::Response`].
    Transmit {
        /// Answer carries it.
        id: u64,
        /// What to send.
        command: CommandApdu,
        /// What will be sent next if the card answers 9000, and changes nothing in it: it may go to the card while
        /// the answer is still being read.
        next: Option<CommandApdu>,
    },
    /// Have the reader's own PIN pad ask for a PIN and give it to the powered card. Answered by
    /// [`CardEvent::PinPresented`], at the latest after the time in `ask` and that of a command. It cannot be
    /// called back; later commands wait behind it.
    PresentPin {
        /// Answer carries it.
        id: u64,
        /// What to ask.
        ask: PadAsk,
    },
    /// Power the card down and let go of it. Answered by [`CardEvent::PoweredOff`].
    PowerOff {
        /// Answer carries it.
        id: u64,
    },
    /// Power the card down, forget all that is known of the readers, and look at them over a new connection to pcscd.
    /// Answered by [`CardEvent::PoweredOff`].
    Reset {
        /// Answer carries it.
        id: u64,
    },
}

/// What a reader's PIN pad is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PadAsk {
    /// VERIFY with a PIN block of format 2 that has no PIN: the pad puts length and digits into it.
    pub template: CommandApdu,
    /// Fewest digits.
    pub min: u8,
    /// Most digits.
    pub max: u8,
    /// How long the cardholder may take, in seconds; from 1.
    pub timeout_s: u8,
}

impl PadAsk {
    /// A plaintext PIN for the card, 4 to 12 digits. EMV 4.4 Book 3 §6.5.12 and its plaintext offline PIN block.
    /// Spec: unverified.
    #[must_use]
    pub fn plain(timeout_s: u8) -> Self {
        let data = vec![0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        let template = CommandApdu { cla: 0x00, ins: 0x20, p1: 0x00, p2: 0x80, data, le: None };
        Self { template, min: 4, max: 12, timeout_s }
    }
}

/// How the question of a PIN pad ended. The PIN itself never leaves the reader. A pad does not tell that no PIN is
/// meant: it is not bypassed there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PadAnswer {
    /// The card was given a PIN; this is its answer to VERIFY.
    Presented(StatusWord),
    /// The cardholder pressed cancel; the card was given nothing.
    Cancelled,
    /// Nobody typed a PIN in time; the card was given nothing.
    TimedOut,
}

/// Why a card or reader did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardFault {
    /// The card is gone.
    #[error("the card was removed")]
    Removed,
    /// No card is in.
    #[error("no card is in the reader")]
    NoCard,
    /// The chip does not answer at power-up or to a command.
    #[error("the chip does not answer")]
    Mute,
    /// The APDU deadline passed; the thread has re-established the reader.
    #[error("the chip took longer than {0} ms")]
    Timeout(u64),
    /// Another program holds the reader: which, where it can be found out (`scdaemon (process 812)`).
    #[error(
        "{} holds the reader: end it, or have it let go of the reader",
        .0.as_deref().unwrap_or("another program")
    )]
    Shared(Option<String>),
    /// No reader, or pcscd is not running.
    #[error("no reader: {0}")]
    NoReader(String),
    /// The answer is not an APDU.
    #[error("broken answer from the chip: {0}")]
    Broken(String),
    /// The reader's PIN pad cannot give a PIN to the card: there is none, or it does not do what it is told.
    #[error("no PIN from the reader's PIN pad: {0}")]
    PinPad(String),
}

/// What is known of one reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderStatus {
    /// PC/SC name.
    pub name: String,
    /// True for a contactless slot (by its name).
    pub contactless: bool,
    /// A card is in.
    pub card_present: bool,
    /// It has a PIN pad that gives a PIN to the card by itself: [`CardCommand::PresentPin`].
    pub pin_pad: bool,
    /// True if the reader works.
    pub ok: bool,
    /// Why not, as hyphenated words (`pcscd-absent`, `unplugged`, `hung`, `sam-slot`; `shared`, and where the programs
    /// that may hold it can be seen `held-by-` with the name of each).
    pub reasons: Vec<String>,
    /// Event counter of pcsc-lite.
    pub event_count: u32,
}

/// From the card thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardEvent {
    /// The readers as they now are; sent at start and at each change. Empty: none, or no pcscd.
    Readers(Vec<ReaderStatus>),
    /// A card came into the contact reader in use.
    Inserted,
    /// The card left it.
    Removed,
    /// Power-up done: the ATR, or why not.
    Powered {
        /// Of the command.
        id: u64,
        /// ATR bytes.
        result: Result<Vec<u8>, CardFault>,
    },
    /// An APDU was answered.
    Response {
        /// Of the command.
        id: u64,
        /// The answer.
        result: Result<ResponseApdu, CardFault>,
    },
    /// The reader's PIN pad has done its part.
    PinPresented {
        /// Of the command.
        id: u64,
        /// How it ended, or why not.
        result: Result<PadAnswer, CardFault>,
    },
    /// The card is powered down.
    PoweredOff {
        /// Of the command.
        id: u64,
    },
}

/// To the printer thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrinterCommand {
    /// Print one document. Answered by [`PrinterEvent::Done`].
    Print {
        /// Answer carries it.
        job: u64,
        /// What to print.
        document: Document,
        /// An earlier life of the terminal was cut off while it printed: a part of a slip may hang out.
        after_break: bool,
    },
    /// Move the paper so many lines. Not answered; what is wrong with the printer is told as its status.
    Feed {
        /// Lines of text.
        lines: u8,
    },
    /// Open the cash drawer. Not answered; what is wrong with the printer is told as its status.
    OpenDrawer,
    /// Find out all that can be found out, and print the page to be read. Answered by [`PrinterEvent::Learnt`].
    Learn {
        /// Answer carries it.
        id: u64,
    },
}

/// What is known of the printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrinterStatus {
    /// Device text of the configuration or what was found; empty where there is none.
    pub device: String,
    /// Model, where it tells.
    pub model: String,
    /// It can take a slip now.
    pub online: bool,
    /// `ok`, `low`, `out` or `unknown`.
    pub paper: String,
    /// `closed`, `open` or `unknown`.
    pub cover: String,
    /// `ok`, `error` or `unknown`.
    pub cutter: String,
    /// The head is too hot.
    pub overheated: bool,
    /// Characters of font A on a line.
    pub columns: u32,
    /// Dots on a line.
    pub dots: u32,
    /// How much the printer can prove: `process-id`, `asb`, `poll` or `none`.
    pub evidence: String,
    /// The cash drawer is open; `None`: nothing tells. While it is, it is looked at every few seconds.
    pub drawer_open: Option<bool>,
    /// What is known of its make and used, in words.
    pub quirks: Vec<String>,
}

/// What a printer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Which USB device it is.
    pub usb: Option<UsbId>,
    /// Maker, model and firmware, where it tells.
    pub maker: String,
    /// See above.
    pub model: String,
    /// See above.
    pub firmware: String,
    /// It answers DLE EOT.
    pub status: bool,
    /// How the end of a slip can be proven.
    pub proof: Proof,
    /// It has a cutter; `None`: it does not say.
    pub cutter: Option<bool>,
    /// It has Chinese characters; `None`: it does not say.
    pub chinese: Option<bool>,
}

/// How a print job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrintEnd {
    /// The end is proven.
    Confirmed,
    /// Bytes were accepted, the end is not proven.
    Unconfirmed(String),
    /// No byte was accepted; try again when the printer is ready.
    Held(String),
    /// The document cannot be printed at all.
    Failed(String),
}

/// From the printer thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrinterEvent {
    /// The printer as it now is; `None`: no printer is configured or found. Sent at start and at each change.
    Status(Option<PrinterStatus>),
    /// The first byte of a job is about to be written.
    Started {
        /// Of the command.
        job: u64,
    },
    /// A printer was asked for all, or one word why not.
    Learnt {
        /// Of the command.
        id: u64,
        /// What it said.
        result: Result<Box<Learnt>, &'static str>,
    },
    /// A job ended.
    Done {
        /// Of the command.
        job: u64,
        /// How.
        end: PrintEnd,
    },
}

/// How hard a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On the disk before the answer: one fdatasync.
    Full,
    /// Ordered after all before it; on the disk with the next full commit at the latest. For evidence whose loss only
    /// makes the terminal more careful.
    Lazy,
}

/// Storage trouble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// No space left.
    #[error("the disk is full")]
    Full,
    /// Anything else the disk or SQLite says.
    #[error("the journal cannot be written or read: {0}")]
    Fault(String),
    /// The file is of a newer or unknown schema, or not a journal.
    #[error("the journal is not usable: {0}")]
    Unusable(String),
}

/// What is known of a copy of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFacts {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Transactions in it.
    pub transactions: u64,
    /// When its newest transaction was made; 0 = it has none.
    pub newest_transaction: WallTime,
}

/// Checks a copy of the journal: whole, of a schema that this version reads, sealed under the storage key in use.
/// [`JournalError::Unusable`] says what is wrong with it.
pub type CheckCopy = Arc<dyn Fn(&Path) -> Result<BackupFacts, JournalError> + Send + Sync>;

/// Why a copy did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// The caller's pipe was not read or written in time.
    #[error("the pipe was not used for too long; try again")]
    TooSlow,
    /// More bytes than a journal may have.
    #[error("the copy has more than {0} bytes")]
    TooLarge(u64),
    /// It would leave the journal no room.
    #[error("the disk has no room for the copy beside the journal")]
    NoRoom,
    /// The operating system says no.
    #[error("the copy cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
}

/// Carries copies of the journal between a caller's descriptor and a file of the daemon's own. May be used on any
/// thread; its calls block, at most ten minutes.
pub trait Courier: Send + Sync {
    /// Where a copy can be put: a file that is not there yet.
    fn place(&self) -> PathBuf;
    /// Reads all of the descriptor into a new file, and syncs it. After an error there is no file.
    ///
    /// # Errors
    /// As in [`CourierError`].
    fn receive(&self, from: OwnedFd, to: &Path) -> Result<(), CourierError>;
    /// Writes all of the file to the descriptor; a regular file is synced.
    ///
    /// # Errors
    /// As in [`CourierError`].
    fn deliver(&self, from: &Path, to: OwnedFd) -> Result<(), CourierError>;
    /// Makes a new file of these bytes.
    ///
    /// # Errors
    /// The disk does not take it.
    fn put(&self, bytes: &[u8], to: &Path) -> std::io::Result<()>;
    /// Removes a file of the daemon's own.
    fn remove(&self, path: &Path);
}

/// The only way to durable storage. Runs on the journal thread, which is the sole writer.
pub trait Journal: Send {
    /// Commits all records as one. [`Durability::Full`] returns after the disk has them.
    ///
    /// # Errors
    /// After an error nothing is known: the caller calls [`Journal::reopen`] and looks.
    fn commit(&mut self, records: &[Record], durability: Durability) -> Result<Committed, JournalError>;

    /// Closes, opens anew, checkpoints: what is read afterwards is durable and true.
    ///
    /// # Errors
    /// The storage is still broken.
    fn reopen(&mut self) -> Result<(), JournalError>;

    /// Reads what recovery needs.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn load(&mut self) -> Result<Loaded, JournalError>;

    /// Reads one transaction.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn find(&mut self, id: &TxnId) -> Result<Option<TxnRow>, JournalError>;

    /// Reads a page, newest first, and the cursor of the next page (empty: no more). An empty cursor starts.
    ///
    /// # Errors
    /// The storage cannot be read, or the cursor is not one of ours (`Unusable`).
    fn query(
        &mut self,
        filter: &TxnFilter,
        limit: u32,
        cursor: &str,
    ) -> Result<(Vec<TxnRow>, String), JournalError>;

    /// Finds the original of a follow-up: by transaction, else by batch, STAN and date, else by RRN, else by
    /// authorisation code, the date too where it is told; the newest that fits.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn find_original(&mut self, wanted: &OriginalRef) -> Result<Option<TxnRow>, JournalError>;

    /// The newest transaction since `since` in which this card paid, or may have paid, exactly this amount.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn find_duplicate(
        &mut self,
        card_token: &str,
        amount: Amount,
        since: WallTime,
    ) -> Result<Option<TxnId>, JournalError>;

    /// Counts and sums of what moved money, by kind, card class and operator.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn totals(&mut self, filter: &TxnFilter) -> Result<Vec<TotalsRow>, JournalError>;

    /// All transactions of the open batch that have a STAN, by STAN as taken; at most 900.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn open_batch(&mut self) -> Result<Vec<TxnRow>, JournalError>;

    /// The newest batch of this number; without one the batch that was closed last.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn batch(&mut self, number: Option<BatchNumber>) -> Result<Option<BatchRow>, JournalError>;

    /// Writes a copy of the journal as it stands to a new file, while it is in use. Nothing else is done meanwhile:
    /// about a second for 200 MB. The copy is not checked.
    ///
    /// # Errors
    /// The storage cannot be read, or the copy not be written; there is no file then. [`JournalError::Full`] also where
    /// the copy would leave the journal no room.
    fn backup(&mut self, to: &Path) -> Result<(), JournalError>;

    /// Looks for damage, without comparing indexes with rows. Nothing else is done meanwhile: about half a second for
    /// 200 MB.
    ///
    /// # Errors
    /// [`JournalError::Unusable`] says what is damaged; the storage cannot be read.
    fn quick_check(&mut self) -> Result<(), JournalError>;

    /// Checks copies; may be used on any thread.
    fn checker(&self) -> CheckCopy;

    /// Puts a copy in the place of the journal, after checking it. Entries that were not answered are parked, the STAN
    /// jumps by 10,000, the sign-on is void, and trading waits for [`Record::RestoreConfirmed`]. This journal answers
    /// nothing afterwards: the process must start again.
    ///
    /// # Errors [`JournalError::Unusable`]: the copy is not usable, or the live journal has newer business. Then
    /// nothing changed.
    fn restore(&mut self, copy: &Path) -> Result<BackupFacts, JournalError>;

    /// Reads a transaction's timeline, oldest first.
    ///
    /// # Errors
    /// The storage cannot be read.
    fn timeline(&mut self, id: &TxnId) -> Result<Vec<TimelineRow>, JournalError>;
}

/// Clock, chance and the machine itself. Called by the engine only; each call returns at once.
pub trait System {
    /// The machine's wall clock.
    fn wall(&self) -> WallTime;
    /// CLOCK_BOOTTIME.
    fn boot(&self) -> BootTime;
    /// A wall time in the terminal's zone.
    fn local(&self, wall: WallTime) -> LocalTime;
    /// A local time of the terminal's zone as wall time; `None` for a date that does not exist.
    fn wall_of(&self, local: LocalTime) -> Option<WallTime>;
    /// Fills with random bytes.
    fn random(&mut self, bytes: &mut [u8]);
    /// The engine is alive: `WATCHDOG=1`.
    fn alive(&mut self);
    /// How often [`System::alive`] is wanted; `None`: nobody listens.
    fn alive_every(&self) -> Option<Duration>;
    /// Holds or frees the lock file that image updaters look at.
    fn hold_busy_lock(&mut self, busy: bool);
    /// Somebody wants a restart at a safe moment, as a package does that brought a new daemon. True once for each wish.
    fn take_restart_wish(&mut self) -> bool;
}

/// Forms of a slip that need more than the domain has: printer commands, fonts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlipForm {
    /// The bytes that the printer would get.
    EscPos,
    /// A picture, one pixel a dot.
    Png,
}

/// Turns a slip into a file of the form, or says what is missing for it; for `GetReceipt`.
pub type RenderSlip = Box<dyn Fn(&Document, SlipForm) -> Result<Vec<u8>, String>>;

/// Puts a command into an adapter's queue; gives it back when the queue is full or the adapter is gone.
pub type Outlet<C> = Box<dyn Fn(C) -> Result<(), C>>;

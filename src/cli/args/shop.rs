//! What may be typed to open, run and close the shop.
use super::{Certain, Filter, LeaveOptions, SecretSource};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Open the operator's session; the password is asked for
    SignOn {
        /// Two digits: 00 supervisor, 99 administrator
        operator: String,
        #[command(flatten)]
        secret: SecretSource,
    },
    /// End the session
    SignOff,
    /// List operators, who is signed on and who is locked
    List,
    /// Change a password; needs no session
    #[command(
        after_help = "A secret file has the old password in its first line and the new one in its second."
    )]
    Password {
        /// Two digits: 00 supervisor, 99 administrator
        operator: String,
        #[command(flatten)]
        secret: SecretSource,
    },
    /// Add an operator; needs the administrator
    #[command(
        after_help = "A secret file has the new operator's password in its first line and, with --supervisor, the \
                      administrator's in its second."
    )]
    Add {
        /// Two digits that nobody has yet
        operator: String,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Take an operator off; needs the administrator
    Remove {
        /// Two digits
        operator: String,
        #[command(flatten)]
        leave: LeaveOptions,
        #[command(flatten)]
        certain: Certain,
    },
    /// End the lock after too many wrong passwords; needs the administrator
    Unlock {
        /// Two digits
        operator: String,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Get a token that allows one act of somebody else; it holds for 60 seconds and once
    Authorize {
        /// void, refund, pre-auth, settle, operators, keys, queue-manage, backup or agent
        action: String,
        /// Who allows it: 00 supervisor, 99 administrator
        supervisor: String,
        /// Only for this transaction: trace number, request id or object path
        #[arg(long, value_name = "TRACE|ID")]
        original: Option<String>,
        /// Only for this amount, major units of CNY
        #[arg(long, value_name = "AMOUNT")]
        amount: Option<String>,
        #[command(flatten)]
        secret: SecretSource,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Host {
    /// Sign on: brings working keys, clock and batch
    SignOn,
    /// Sign off
    SignOff,
    /// Measure the way: DNS, TCP, TLS and an echo message, each apart
    Test {
        /// Over this link, not the one in use: ethernet, wifi, cellular
        #[arg(long, value_name = "LINK")]
        link: Option<String>,
    },
    /// Show the version of the downloaded tables, or download them; downloading needs the administrator
    #[command(
        after_help = "What was begun goes on by itself after an interruption; the old tables stay in use until \
                            the new ones are whole."
    )]
    Parameters {
        /// Download
        #[arg(long)]
        download: bool,
        /// Only this: capk, aid, parameters, blacklist, contactless; may be given several times
        #[arg(long = "kind", value_name = "KIND", requires = "download")]
        kinds: Vec<String>,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Show the check values of the keys, or load the terminal master key; loading needs the administrator
    #[command(
        after_help = "The master key is 32 hex digits. A secret file has it in its first line and, with --supervisor, \
                      the administrator's password in its second."
    )]
    Keys {
        /// Load a master key; it is asked for
        #[arg(long)]
        load: bool,
        #[command(flatten)]
        leave: LeaveOptions,
        #[command(flatten)]
        certain: Certain,
    },
}

/// Names one entry of the queue.
#[derive(Args, Clone, Debug)]
pub(crate) struct EntryName {
    /// Trace number, or the id that `queue list --json` gives
    #[arg(value_name = "TRACE|ID")]
    pub(crate) entry: String,
    /// Batch of the trace number
    #[arg(long)]
    pub(crate) batch: Option<u32>,
    /// Type of the entry, where a transaction owes more than one
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) entry_type: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List what is owed to the host
    List {
        /// At most this many rows
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
        limit: u32,
        /// Continue where the last list ended (its `next`)
        #[arg(long, default_value = "")]
        cursor: String,
        /// Only this type: reversal, script, offline-sale, advice or refund-unknown
        #[arg(long = "type", value_name = "TYPE")]
        entry_type: Option<String>,
        /// Only this state, such as failed or parked
        #[arg(long)]
        state: Option<String>,
        /// Only this batch
        #[arg(long)]
        batch: Option<u32>,
        /// Only this trace number
        #[arg(long)]
        trace: Option<u32>,
    },
    /// Send it now
    Flush,
    /// Hold sales and advices back; reversals go on; needs a supervisor
    Pause {
        /// Why, for the records
        why: String,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Let the queue go on
    Resume,
    /// Put an entry aside; needs a supervisor
    Park {
        #[command(flatten)]
        entry: EntryName,
        /// Why, for the records
        why: String,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Put a parked entry back into its place; needs a supervisor
    Unpark {
        #[command(flatten)]
        entry: EntryName,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// End an entry that the bank did not end, after you have found out what is true; needs a supervisor
    Resolve {
        #[command(flatten)]
        entry: EntryName,
        /// What is true
        #[arg(value_enum)]
        how: How,
        #[command(flatten)]
        leave: LeaveOptions,
        #[command(flatten)]
        certain: Certain,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// The money moved
    Paid,
    /// It did not
    NotPaid,
    /// Nobody knows; the outcome stays
    WrittenOff,
}

impl How {
    /// The word on the bus.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::NotPaid => "not-paid",
            Self::WrittenOff => "written-off",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Settle {
    /// Close the batch although the bank gives no verdict; needs a supervisor
    #[arg(long)]
    pub(crate) force_close: bool,
    #[command(flatten)]
    pub(crate) leave: LeaveOptions,
    #[command(flatten)]
    pub(crate) certain: Certain,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Counts and sums by kind, card class and operator; of the open batch unless a filter says otherwise
    Totals {
        #[command(flatten)]
        filter: Filter,
    },
    /// Compare the ledger with a statement of the bank, line by line
    #[command(
        after_help = "FILE is CSV in UTF-8 with a heading line. Columns are found by their names, in Chinese or \
                      English: trace and amount, and if there terminal, batch, date, card, RRN, authorisation code, \
                      response. Without a filter the batches that the statement names are compared."
    )]
    Reconcile {
        /// The statement
        file: PathBuf,
        #[command(flatten)]
        filter: Filter,
    },
    /// Write all transactions as a file for the books; card numbers are masked
    Export {
        /// Form of the file
        #[arg(long, value_enum, default_value = "csv")]
        format: Form,
        /// Write to this file, which must not exist, instead of stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    Csv,
    Json,
}

impl Form {
    /// The word on the bus.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Backup {
    /// Copy the journal to a new file while business goes on
    Create {
        /// Must not exist
        file: PathBuf,
    },
    /// Prove that a copy could be restored here
    Verify {
        /// The copy
        file: PathBuf,
    },
    /// Put a copy in the place of the journal; needs a supervisor
    Restore {
        /// The copy
        file: PathBuf,
        #[command(flatten)]
        leave: LeaveOptions,
        #[command(flatten)]
        certain: Certain,
    },
    /// Confirm the list of a restored journal, so that trading goes on; needs a supervisor
    Confirm {
        #[command(flatten)]
        leave: LeaveOptions,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Link {
    /// Show Ethernet, Wi-Fi and mobile network: state, signal, and whether the acquirer answers
    List,
    /// Look for wireless networks
    Scan,
    /// Join a wireless network; it stays only if the acquirer can be reached over it
    Connect {
        /// Name of the network
        ssid: String,
        /// The name is given as hexadecimal digits, for names that are no text
        #[arg(long)]
        hex: bool,
        /// The network does not tell its name
        #[arg(long)]
        hidden: bool,
        /// The network has no password
        #[arg(long)]
        open: bool,
        #[command(flatten)]
        secret: SecretSource,
    },
    /// Measure the way to the acquirer over each link, or over one
    Test {
        /// Only this one: ethernet, wifi, cellular
        link: Option<String>,
    },
}

//! What may be typed: commands, options and their help. Decides nothing and touches nothing.
//!
//! The set is the contract's, cut down to what this version does: a command of a later version is a usage error.
pub(crate) mod care;
pub(crate) mod shop;
pub(crate) mod trade;

use super::words::Lang;
use care::{Config, SchemaForm, Test};
use clap::{Args, Parser, Subcommand, ValueEnum};
use shop::{Backup, Host, Ledger, Link, Operator, Queue, Settle};
use std::path::PathBuf;
use trade::{Balance, PreAuth, Refund, Sale, Void};

/// Asks and operates posd, the payment-terminal daemon.
///
/// Without a command it shows the state of the terminal.
#[derive(Debug, Parser)]
#[command(name = "posctl", version, disable_help_subcommand = true, subcommand_required = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Print one JSON document on stdout, for errors too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Address of a private bus; default is the system bus (DBUS_SYSTEM_BUS_ADDRESS is honoured)
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) address: Option<String>,
    /// Language of texts; default from LC_ALL, LC_MESSAGES or LANG
    #[arg(long, global = true, value_enum)]
    pub(crate) lang: Option<Lang>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show terminal, operator, host, queue, batch and devices
    Status,
    /// Sign the operator on or off, change a password
    #[command(subcommand)]
    Operator(Operator),
    /// Sign on to the host, sign off, test the line
    #[command(subcommand)]
    Host(Host),
    /// Take a payment
    Sale(Sale),
    /// Undo a sale of today that is not settled yet
    Void(Void),
    /// Give money of an older sale back, all or a part
    Refund(Refund),
    /// Ask the balance of a card
    Balance(Balance),
    /// Pre-authorisation: reserve an amount, then complete or release it
    #[command(subcommand)]
    PreAuth(PreAuth),
    /// List, show, follow and cancel transactions, read their slips
    #[command(subcommand)]
    Txn(Txn),
    /// Explain one transaction for support: timeline, message fields, chip facts, obligations, prints
    Explain {
        #[command(flatten)]
        which: Which,
    },
    /// Print the slips of a transaction once more, or the last settlement's, marked as copies
    Reprint(Reprint),
    /// Show, send and manage what is owed to the host
    #[command(subcommand)]
    Queue(Queue),
    /// Close the batch: compare totals with the bank, print the slip, open the next batch
    Settle(Settle),
    /// Totals, files for the books, comparison with a list of the bank
    #[command(subcommand)]
    Ledger(Ledger),
    /// Copy the journal, check a copy, put one back
    #[command(subcommand)]
    Backup(Backup),
    /// Ethernet, Wi-Fi and mobile network
    #[command(subcommand)]
    Link(Link),
    /// Card readers
    #[command(subcommand)]
    Reader(Reader),
    /// The receipt printer
    #[command(subcommand)]
    Printer(Printer),
    /// Look at reader, printer, drawer, host, links, storage and clock, and say what to do
    Test(Test),
    /// What is met of what a bank asks for: keys, passwords, line, files, sandbox
    Security,
    /// Write a report for support: a tar of plain files without keys and card numbers
    Report {
        /// Must not exist
        file: PathBuf,
    },
    /// List everything that is not as it should be, with what to do about it
    Doctor,
    /// Show every signal of the terminal as it comes; JSON lines with --json
    Monitor {
        /// End after so many signals
        #[arg(long, value_name = "N")]
        count: Option<u32>,
    },
    /// Print the forms that programs can rely on, offline
    Schema {
        /// Which
        #[arg(value_enum, default_value = "json")]
        form: SchemaForm,
    },
    /// Look at the configuration, and change it behind a checkpoint
    #[command(subcommand)]
    Config(Config),
    /// Explain bytes, offline; card data is masked
    #[command(subcommand)]
    Decode(Decode),
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where a password comes from when nobody shall be asked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SecretSource {
    /// Read the secret from this file
    #[arg(long, value_name = "FILE", conflicts_with = "secret_fd")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Read the secret from this open file descriptor
    #[arg(long, value_name = "N")]
    pub(crate) secret_fd: Option<u32>,
}

/// Leave of a supervisor, where the signed-on operator's role does not suffice. A person at a terminal is asked.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LeaveOptions {
    /// A token of `posctl operator authorize`
    #[arg(long, value_name = "TOKEN", conflicts_with = "supervisor")]
    pub(crate) authorization: Option<String>,
    /// Who allows it; the password is asked for, or read from --secret-file or --secret-fd
    #[arg(long, value_name = "NN")]
    pub(crate) supervisor: Option<String>,
    #[command(flatten)]
    pub(crate) secret: SecretSource,
}

/// For what cannot be taken back.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Certain {
    /// Do it without asking; needed where nobody can be asked
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Which transactions.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only this batch
    #[arg(long)]
    pub(crate) batch: Option<u32>,
    /// Only this trace number
    #[arg(long)]
    pub(crate) trace: Option<u32>,
    /// Only this kind, such as sale or refund
    #[arg(long)]
    pub(crate) kind: Option<String>,
    /// Only this outcome, such as approved or unknown
    #[arg(long)]
    pub(crate) outcome: Option<String>,
    /// Only this operator
    #[arg(long)]
    pub(crate) operator: Option<String>,
    /// Created at or after, local time: 2026-11-22 or 2026-11-22T09:30
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Created before, local time
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Only this card, by its token
    #[arg(long, value_name = "TOKEN")]
    pub(crate) card: Option<String>,
}

/// How posctl serves the transaction it follows.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AgentOptions {
    /// Leave prompts, PIN and signature to another agent
    #[arg(long, conflicts_with_all = ["pin_file", "pin_fd", "yes"])]
    pub(crate) no_agent: bool,
    /// Read the PIN from this file and give it once; an empty file is a bypass
    #[arg(long, value_name = "FILE", conflicts_with = "pin_fd")]
    pub(crate) pin_file: Option<PathBuf>,
    /// Read the PIN from this open file descriptor
    #[arg(long, value_name = "N")]
    pub(crate) pin_fd: Option<u32>,
    /// Say yes to card, signature and duplicate, and take the first application, without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Txn {
    /// List transactions, newest first
    List {
        /// At most this many rows
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Continue where the last list ended (its `next`)
        #[arg(long, default_value = "")]
        cursor: String,
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one transaction and what happened in it
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Follow a transaction until it ends; JSON lines with --json
    Watch {
        #[command(flatten)]
        which: Which,
        /// Also serve its prompts, PIN and signature
        #[arg(long)]
        agent: bool,
    },
    /// Stop a transaction; too late once the bank is asked
    Cancel {
        #[command(flatten)]
        which: Which,
    },
    /// Read the slip without printing it
    Receipt {
        #[command(flatten)]
        which: Which,
        /// Which slip
        #[arg(long, value_enum, default_value = "merchant")]
        ply: Ply,
        /// Form of the slip
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        /// Write to this file instead of stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Names one transaction.
#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// Trace number (1 to 6 digits), request id, or object path
    #[arg(value_name = "TRACE|ID")]
    pub(crate) id: String,
    /// Batch of the trace number; default is the open batch
    #[arg(long)]
    pub(crate) batch: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct Reprint {
    /// Trace number, request id or object path; or `settlement`; default is the last transaction
    #[arg(value_name = "TRACE|ID|settlement")]
    pub(crate) id: Option<String>,
    /// Batch of the trace number, by default the open one; of a settlement the last one
    #[arg(long)]
    pub(crate) batch: Option<u32>,
    /// Which slip; default is both
    #[arg(long, value_enum)]
    pub(crate) ply: Option<Ply>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ply {
    Merchant,
    Customer,
}

impl Ply {
    /// The word on the bus.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Customer => "customer",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Svg,
    Png,
    Escpos,
}

impl Format {
    /// The word on the bus.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Svg => "svg",
            Self::Png => "png",
            Self::Escpos => "escpos",
        }
    }

    /// True for forms that may be shown in a terminal.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Svg)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reader {
    /// List readers and whether a card is in
    List,
    /// Power the card down and look at all readers anew
    Reset,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Printer {
    /// Show paper, cover, what the printer can prove, and how many slips it did
    Status,
    /// Print a page that shows width, places, sizes and Chinese as they must look
    Test,
    /// Ask the printer what it can do, print a page to be read, and write a quirk file
    Learn(LearnOptions),
    /// Open the cash drawer
    OpenDrawer {
        #[command(flatten)]
        leave: LeaveOptions,
    },
}

/// What a person reads on the page; asked at a terminal.
#[derive(Debug, Args)]
pub(crate) struct LearnOptions {
    /// The last number on the first line of the page
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=80))]
    pub(crate) columns: Option<u32>,
    /// The second line shows Chinese characters
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub(crate) chinese: Option<bool>,
    /// The paper was cut
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub(crate) cutter: Option<bool>,
    /// Write the file here instead of to stdout; /etc/posd/quirks is where posd reads it
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    super::learn::yes_or_no(text).ok_or_else(|| "yes or no".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Decode {
    /// BER-TLV objects, as in field 55 or a card's answer
    Tlv(Input),
    /// An ISO 8583 message, with or without length, TPDU and header
    #[command(name = "8583")]
    Iso8583(MessageInput),
    /// Track 2 as a card, field 35 or tag 57 has it
    Track2(Input),
    /// The answer to reset of a chip
    Atr(Input),
    /// ESC/POS commands, as they go to a printer
    #[command(name = "escpos")]
    EscPos(Input),
}

#[derive(Args, Debug)]
pub(crate) struct Input {
    /// Hex with blanks, colons or 0x, a hex dump, or a log line with hex in it; - reads stdin, raw bytes too
    #[arg(value_name = "HEX|-", required = true, num_args = 1.., allow_hyphen_values = false)]
    pub(crate) hex: Vec<String>,
    /// Show card data and keys in clear
    #[arg(long)]
    pub(crate) unmask: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MessageInput {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Read in this dialect only; default is the one that fits
    #[arg(long, value_enum, value_name = "NAME")]
    pub(crate) dialect: Option<DialectName>,
    /// Read with the field forms of an acquirer's profile: a file, or the name of one that ships
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "dialect")]
    pub(crate) profile: Option<String>,
}

/// A table of data elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DialectName {
    /// Terminals of UnionPay.
    #[value(name = "unionpay")]
    Unionpay,
    /// ISO 8583:1987 in characters.
    #[value(name = "iso8583-1987-ascii")]
    Ascii,
}

//! What may be typed: commands, options and their help. Decides nothing and touches nothing.
//!
//! The set is the contract's, cut down to what this version does: a command of a later version is a usage error.
use super::words::Lang;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    /// List, show, follow and cancel transactions, read their slips
    #[command(subcommand)]
    Txn(Txn),
    /// Print the slips of a transaction once more, marked as copies
    Reprint(Reprint),
    /// Show and send what is owed to the host
    #[command(subcommand)]
    Queue(Queue),
    /// Card readers
    #[command(subcommand)]
    Reader(Reader),
    /// The receipt printer
    #[command(subcommand)]
    Printer(Printer),
    /// Explain bytes, offline; card data is masked
    #[command(subcommand)]
    Decode(Decode),
}

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

#[derive(Debug, Subcommand)]
pub(crate) enum Host {
    /// Sign on: brings working keys, clock and batch
    SignOn,
    /// Sign off
    SignOff,
    /// Measure the line with an echo message
    Test,
}

#[derive(Args, Debug)]
pub(crate) struct Sale {
    /// Major units with exactly the currency's decimals, such as 12.50
    pub(crate) amount: String,
    /// Currency, three letters of ISO 4217
    #[arg(long, default_value = "CNY", value_name = "CODE")]
    pub(crate) currency: String,
    /// Your own name for this sale; the same name never charges twice
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Slips to print, 0 to 2; default is the terminal's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=2))]
    pub(crate) plies: Option<u32>,
    /// The till's own reference, printed and kept with the sale
    #[arg(long, value_name = "TEXT")]
    pub(crate) cashier_ref: Option<String>,
    /// Seconds the customer has for card and PIN; default is the terminal's setting
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) timeout: Option<u32>,
    /// Have the card number confirmed before the amount goes out
    #[arg(long)]
    pub(crate) confirm_card: bool,
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
}

/// How posctl serves the transaction it follows.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct AgentOptions {
    /// Leave prompts, PIN and signature to another agent
    #[arg(long, conflicts_with_all = ["pin_file", "pin_fd", "yes"])]
    pub(crate) no_agent: bool,
    /// Read the PIN from this file; an empty file is a bypass
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
        /// Only this batch
        #[arg(long)]
        batch: Option<u32>,
        /// Only this outcome, such as approved or unknown
        #[arg(long)]
        outcome: Option<String>,
        /// Only this operator
        #[arg(long)]
        operator: Option<String>,
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
    /// Trace number, request id or object path; default is the last transaction
    #[arg(value_name = "TRACE|ID")]
    pub(crate) id: Option<String>,
    /// Batch of the trace number; default is the open batch
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
pub(crate) enum Queue {
    /// List what is owed to the host
    List {
        /// At most this many rows
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Continue where the last list ended (its `next`)
        #[arg(long, default_value = "")]
        cursor: String,
    },
    /// Send it now
    Flush,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reader {
    /// List readers and whether a card is in
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Printer {
    /// Show paper, cover and what is known of the last print
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Decode {
    /// BER-TLV objects, as in field 55
    Tlv(Input),
    /// An ISO 8583 message, with or without length, TPDU and header
    #[command(name = "8583")]
    Iso8583(Input),
    /// Track 2 or tag 57
    Track2(Input),
}

#[derive(Args, Debug)]
pub(crate) struct Input {
    /// Hex digits, blanks allowed, or - for stdin
    #[arg(value_name = "HEX|-", required = true, num_args = 1.., allow_hyphen_values = false)]
    pub(crate) hex: Vec<String>,
    /// Show card data
    #[arg(long)]
    pub(crate) unmask: bool,
}

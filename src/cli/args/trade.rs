//! What may be typed to move money.
use super::{AgentOptions, LeaveOptions};
use clap::{Args, Subcommand};

/// What all payments take.
#[derive(Args, Clone, Debug)]
pub(crate) struct Payment {
    /// Currency, three letters of ISO 4217
    #[arg(long, default_value = "CNY", value_name = "CODE")]
    pub(crate) currency: String,
    /// Your own name for this transaction; the same name never charges twice
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Slips to print, 0 to 3, the third one for the bank; default is the terminal's setting
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=3))]
    pub(crate) plies: Option<u32>,
    /// The till's own reference, printed and kept with the transaction
    #[arg(long, value_name = "TEXT")]
    pub(crate) cashier_ref: Option<String>,
    /// Seconds the customer has for card and PIN; default is the terminal's setting
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) timeout: Option<u32>,
    /// Have the card number confirmed before the amount goes out
    #[arg(long)]
    pub(crate) confirm_card: bool,
    /// The same card and amount again is intended
    #[arg(long)]
    pub(crate) allow_duplicate: bool,
    #[command(flatten)]
    pub(crate) agent: AgentOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Sale {
    /// Major units with exactly the currency's decimals, such as 12.50
    pub(crate) amount: String,
    /// Do not ask the bank: the card alone approves, and the sale is uploaded later
    #[arg(long)]
    pub(crate) offline: bool,
    /// Code of a voice authorisation, 6 characters; with --offline
    #[arg(long, value_name = "CODE", requires = "offline")]
    pub(crate) auth_code: Option<String>,
    /// A smaller approved amount is welcome
    #[arg(long, conflicts_with = "offline")]
    pub(crate) allow_partial: bool,
    #[command(flatten)]
    pub(crate) payment: Payment,
}

#[derive(Args, Debug)]
pub(crate) struct Void {
    /// The sale: its trace number, TRACE/BATCH, request id or object path
    #[arg(value_name = "TRACE|ID")]
    pub(crate) original: String,
    #[command(flatten)]
    pub(crate) payment: Payment,
    #[command(flatten)]
    pub(crate) leave: LeaveOptions,
}

#[derive(Args, Debug)]
#[command(after_help = "Name the sale by --rrn and --date from its slip, or by --original.")]
pub(crate) struct Refund {
    /// What to give back, in major units, such as 12.50
    pub(crate) amount: String,
    /// Reference number of the sale, 12 characters
    #[arg(long, requires = "date", required_unless_present = "original")]
    pub(crate) rrn: Option<String>,
    /// Day of the sale, MMDD
    #[arg(long, value_name = "MMDD")]
    pub(crate) date: Option<String>,
    /// The sale, if this terminal made it: TRACE/BATCH, request id or object path
    #[arg(long, value_name = "TRACE/BATCH|ID", conflicts_with = "rrn")]
    pub(crate) original: Option<String>,
    #[command(flatten)]
    pub(crate) payment: Payment,
    #[command(flatten)]
    pub(crate) leave: LeaveOptions,
}

#[derive(Args, Debug)]
pub(crate) struct Balance {
    #[command(flatten)]
    pub(crate) payment: Payment,
}

/// Names a pre-authorisation.
#[derive(Args, Clone, Debug)]
pub(crate) struct Reserved {
    /// If this terminal made it: trace number, TRACE/BATCH, request id or object path
    #[arg(long, value_name = "TRACE|ID", required_unless_present = "auth_code")]
    pub(crate) original: Option<String>,
    /// Its authorisation code, 6 characters
    #[arg(long, value_name = "CODE", requires = "date")]
    pub(crate) auth_code: Option<String>,
    /// Its day, MMDD
    #[arg(long, value_name = "MMDD")]
    pub(crate) date: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PreAuth {
    /// Reserve an amount on the card
    Start {
        /// Major units, such as 500.00
        amount: String,
        #[command(flatten)]
        payment: Payment,
    },
    /// Ask the bank for the money of a pre-authorisation
    Complete {
        /// Major units, such as 480.00
        amount: String,
        #[command(flatten)]
        reserved: Reserved,
        #[command(flatten)]
        payment: Payment,
    },
    /// Tell the bank that the money of a pre-authorisation is taken; it hears of it later
    Advise {
        /// Major units, such as 480.00
        amount: String,
        #[command(flatten)]
        reserved: Reserved,
        #[command(flatten)]
        payment: Payment,
    },
    /// Release a pre-authorisation; needs a supervisor
    Void {
        /// Major units; needed where this terminal did not make it
        #[arg(long, value_name = "AMOUNT")]
        amount: Option<String>,
        #[command(flatten)]
        reserved: Reserved,
        #[command(flatten)]
        payment: Payment,
        #[command(flatten)]
        leave: LeaveOptions,
    },
    /// Undo a completion of today that is not settled yet; needs a supervisor
    VoidCompletion {
        /// The completion: its trace number, TRACE/BATCH, request id or object path
        #[arg(value_name = "TRACE|ID")]
        original: String,
        #[command(flatten)]
        payment: Payment,
        #[command(flatten)]
        leave: LeaveOptions,
    },
}

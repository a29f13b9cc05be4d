//! The rules of the terminal: money, cards, messages, transactions, receipts.
//!
//! Pure means here: no clock, no randomness, no thread, no file, no socket, no environment, no log line. Time and
//! chance arrive as arguments. The module compiles without the feature `daemon`, so the compiler refuses IO crates.
pub mod calendar;
pub mod checks;
pub mod crypto;
pub mod download;
pub mod emv;
pub mod escpos;
pub mod fault;
pub mod followup;
pub mod guard;
pub mod ident;
pub mod iso8583;
pub mod keystore;
pub mod leave;
pub mod link;
pub mod mask;
pub mod money;
pub mod operators;
pub mod outcome;
pub mod profile;
pub mod queue;
pub mod quirks;
pub mod receipt;
pub mod record;
pub mod rules;
pub mod secret;
pub mod setting;
pub(crate) mod settings;
pub mod settlement;
pub mod slip;
pub mod tar;
pub mod text;
pub mod txn;
pub mod unionpay;
pub mod way;

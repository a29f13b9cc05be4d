//! The adapters: each touches one part of the world and speaks [`crate::ports`] to the engine. None imports another.
#![allow(clippy::disallowed_methods, reason = "this is where clocks, files and sockets belong")]
pub mod card_pcsc;
pub mod courier;
pub mod host_tcp;
pub mod journal_sqlite;
pub mod links;
pub mod printer_escpos;
pub mod survey;
pub mod system;
pub mod typeface;

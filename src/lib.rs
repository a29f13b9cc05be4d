//! `posd`, a payment-terminal daemon: *domain decides, engine carries, adapters touch the world, api translates,
//! daemon wires.*
//!
//! Only [`domain`] and [`ports`] exist without the feature `daemon`; the compiler itself keeps IO out of them.
#[cfg(feature = "daemon")]
pub mod adapters;
#[cfg(feature = "daemon")]
pub mod api;
#[cfg(feature = "daemon")]
pub mod cli;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "daemon")]
pub mod daemon;
pub mod domain;
#[cfg(feature = "daemon")]
pub mod engine;
#[cfg(feature = "daemon")]
pub mod logging;
pub mod ports;
#[cfg(feature = "sim")]
pub mod sim;

//! What the end-to-end tests share: a till with a private bus, a real pcscd with a simulated card, a simulated bank and
//! printer, and the real daemon as a child process.
//!
//! Nothing here sleeps: every wait is for a signal of the bus, a question to the agent, the end of the daemon, or a
//! message at the bank. Where a machine lacks what a till needs, the test says so, is counted, and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "clippy lets tests do so, but not the functions they share"
)]
mod agent;
mod between;
mod daemon;
pub(crate) mod pki;
mod till;
mod words;

pub(crate) use agent::{SUPERVISOR, Typed, sealed};
pub(crate) use between::{Way, between};
pub(crate) use till::{Options, PASSWORD, Till, audit_trail, skip, with_till};
pub(crate) use words::{dict_text, fault, number};

//! The api on a real private bus, with a small engine behind it: form of arguments, errors, objects, signals, rights,
//! agents, and the XML.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "clippy lets tests do so, but not the functions they share"
)]
mod agents;
mod business;
mod contract;
mod objects;
mod rights;
pub(crate) mod world;

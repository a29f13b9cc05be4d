//! The one integration test binary. `tidy` fails if a file of this folder is not named here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    reason = "a test may end by panicking, and touches the world"
)]
mod card;
mod cli;
mod config;
mod cuts;
mod dbus;
mod differential;
mod download;
mod durability;
mod fuzz;
mod guest;
mod host;
mod hostile;
mod installed;
mod journal;
mod links;
mod oracle;
mod paper;
mod printer;
mod queue;
mod sale;
mod second_terminal;
mod secrets;
mod settle;
mod slips;
mod storm;
mod support;
mod tidy;
mod variants;
mod vectors;
mod world;

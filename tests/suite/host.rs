//! The line to the acquirer against plain listeners, and the simulated acquirer against a hand-made terminal.
#![allow(clippy::disallowed_methods, reason = "these tests are the world: sockets, files, a process")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what goes wrong in a test ends it"
)]
mod acquirer;
mod amounts;
mod faults;
mod hostile;
mod kinds;
mod line;
mod terminal;
mod tls;

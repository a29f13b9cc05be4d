//! The line to the acquirer against plain listeners, and the simulated acquirer against a hand-made terminal.
mod acquirer;
mod line;

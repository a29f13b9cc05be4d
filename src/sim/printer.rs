//! Simulated printer.

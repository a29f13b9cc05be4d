//! Simulated vpcd.

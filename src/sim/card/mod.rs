//! Simulated card.

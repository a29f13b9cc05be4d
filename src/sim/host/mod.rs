//! Simulated host.
pub mod ledger;
pub mod rules;

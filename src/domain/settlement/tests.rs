//! What a batch adds up to, what goes up, and the machine against a model of journal, queue and bank.
mod reconcile;
pub(in crate::domain) mod rows;
mod slip;
mod totals;
mod upload;
mod walk;
mod wire;
mod world;

//! The engine: one task that owns the running transaction, carries the domain's effects to the adapters and their
//! answers back as events.
pub mod handle;
pub mod view;

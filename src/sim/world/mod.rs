//! Worlds: a whole shop in memory that proves that no money is lost.
pub mod card;
pub mod chance;
pub mod disk;
pub mod host;

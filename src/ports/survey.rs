//! What the engine asks of the machine for people: the disk for a self-test, facts for the security report.

use crate::domain::guard::Fact;

/// What was seen of the disk with the state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSeen {
    /// Bytes that are free for this process.
    pub free_bytes: u64,
    /// A file was written, synced and removed; or why not.
    pub written: Result<(), String>,
}

/// Looks at the machine. Its calls block on files: they are made on threads of their own.
pub trait Surveyor: Send + Sync {
    /// Writes and removes a small file in the state directory, and counts what is free.
    fn disk(&self) -> DiskSeen;
    /// What the machine says of the daemon's user, its files and its sandbox.
    fn security(&self) -> Vec<Fact>;
    /// What is of use to support: name and text of each file. No serial numbers, no addresses, no secrets.
    fn machine(&self) -> Vec<(String, String)>;
}

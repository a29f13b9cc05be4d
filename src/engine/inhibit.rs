//! Inhibitors: while somebody holds one, no new transaction starts. Who holds one has the end of a pipe; the api tells
//! when the last copy of it is closed, or when the holder has left the bus.
use super::Engine;
use super::handle::{Caller, Ticket};
use crate::domain::fault::{Fault, FaultName};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Inhibitors that may be held at once.
const HELD_MAX: usize = 8;

/// Who holds new transactions back, by number.
pub(super) struct Inhibitors {
    held: BTreeMap<u64, String>,
    tell: mpsc::Sender<u64>,
    /// Numbers of those that were let go. Each is told once, and there are never more than [`HELD_MAX`].
    pub(super) gone: mpsc::Receiver<u64>,
}

impl Inhibitors {
    pub(super) fn new() -> Self {
        let (tell, gone) = mpsc::channel(HELD_MAX);
        Self { held: BTreeMap::new(), tell, gone }
    }

    pub(super) fn any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Why, in the words of those who hold.
    pub(super) fn why(&self) -> String {
        let words: Vec<&str> = self.held.values().map(String::as_str).collect();
        words.join("; ")
    }
}

impl Engine {
    /// `Maintenance.Inhibit`. What runs goes on; what comes is refused.
    pub(super) fn inhibit(&mut self, why: String, caller: &Caller) -> Result<Ticket, Fault> {
        if self.stopping() {
            return Err(Fault::new(FaultName::NotReady, "the terminal is stopping"));
        }
        if self.health.inhibitors.held.len() >= HELD_MAX {
            return Err(Fault::new(FaultName::TooMany, "8 inhibitors are held already; close one"));
        }
        let id = self.fresh_id();
        tracing::warn!(why, peer = caller.peer, uid = caller.uid, "no new transactions");
        self.health.inhibitors.held.insert(id, why);
        Ok(Ticket::new(id, self.health.inhibitors.tell.clone()))
    }

    /// One was let go.
    pub(super) fn inhibitor_gone(&mut self, id: u64) {
        if let Some(why) = self.health.inhibitors.held.remove(&id) {
            tracing::info!(why, "an inhibitor was let go");
        }
    }

    /// The refusal while one is held.
    pub(super) fn inhibited_fault(&self) -> Fault {
        let why = self.health.inhibitors.why();
        Fault::new(
            FaultName::WrongState,
            format!("new transactions are held back ({why}); wait until that is over"),
        )
    }
}

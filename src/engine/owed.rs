//! The open entries of the queue in memory, in sending order, and what is known of them all at once.
//!
//! The engine looks at the whole queue many times for every entry that it sends. What it sees is made once for each
//! change, so that a long queue costs no more than a short one while nothing in it changes.
use super::view::QueueRow;
use crate::domain::ident::{Stan, TxnId};
use crate::domain::queue::Entry;
use crate::domain::queue::limits::Stored;
use crate::domain::record::{Begun, EntryId};
use core::cell::OnceCell;
use core::ops::Deref;
use std::collections::HashSet;
use std::sync::Arc;

/// The open entries. Read as a slice; changed through [`Owed::edit`] only.
pub(super) struct Owed {
    entries: Vec<Entry>,
    seen: OnceCell<Seen>,
}

/// What follows from the entries.
struct Seen {
    rows: Arc<[QueueRow]>,
    stored: Stored,
    begun: Vec<Begun>,
    owing: HashSet<TxnId>,
}

impl Owed {
    pub(super) const fn new(entries: Vec<Entry>) -> Self {
        Self { entries, seen: OnceCell::new() }
    }

    /// The entries, to be changed. What was known of them is forgotten.
    pub(super) fn edit(&mut self) -> &mut Vec<Entry> {
        self.seen = OnceCell::new();
        &mut self.entries
    }

    /// This entry, to be changed.
    pub(super) fn edit_one(&mut self, id: &EntryId) -> Option<&mut Entry> {
        self.edit().iter_mut().find(|entry| entry.id == *id)
    }

    /// As the bus shows them.
    pub(super) fn rows(&self) -> Arc<[QueueRow]> {
        Arc::clone(&self.seen().rows)
    }

    /// Sales that the bank has not heard of.
    pub(super) fn stored(&self) -> Stored {
        self.seen().stored
    }

    /// The identities under which they began, each once.
    pub(super) fn begun(&self) -> &[Begun] {
        &self.seen().begun
    }

    /// Whose they are.
    pub(super) fn owing(&self) -> &HashSet<TxnId> {
        &self.seen().owing
    }

    fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| {
            let mut begun: Vec<Begun> = Vec::new();
            for entry in &self.entries {
                if !begun.iter().any(|known| entry.began_as(known)) {
                    begun.extend(entry.begun());
                }
            }
            Seen {
                rows: self.entries.iter().map(row).collect(),
                stored: Stored::of(&self.entries),
                begun,
                owing: self.entries.iter().map(|entry| entry.id.txn.clone()).collect(),
            }
        })
    }
}

impl Deref for Owed {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.entries
    }
}

fn row(entry: &Entry) -> QueueRow {
    QueueRow {
        id: entry.id.clone(),
        state: entry.state,
        amount: entry.amount,
        batch: entry.batch.get(),
        trace: entry.stan().or(entry.txn_stan).map_or(0, Stan::get),
        attempts: entry.attempts,
        created_at: entry.created_at,
        last_error: entry.last_error.clone(),
    }
}

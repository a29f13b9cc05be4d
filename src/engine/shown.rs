//! The transactions that have an object on the bus, and which of them may have changed since the bus was told.
//!
//! A long queue keeps as many objects alive; only those that were touched are compared with what the bus has.
use crate::domain::calendar::BootTime;
use crate::domain::ident::TxnId;
use crate::engine::view::TxnView;
use core::ops::Deref;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A transaction that has an object on the bus.
pub(super) struct Entry {
    pub(super) view: TxnView,
    pub(super) published: Option<Arc<TxnView>>,
    pub(super) arguments_sha256: [u8; 32],
    /// Order of arrival: the last 20 stay.
    pub(super) order: u64,
    /// Stays until then although it is old.
    pub(super) exposed_until: Option<BootTime>,
}

impl Entry {
    /// The view, if the bus has another one or none; the bus counts as told.
    pub(super) fn publish(&mut self) -> Option<Arc<TxnView>> {
        (self.published.as_deref() != Some(&self.view)).then(|| {
            let view = Arc::new(self.view.clone());
            self.published = Some(Arc::clone(&view));
            view
        })
    }
}

/// All of them. Read as a map; who takes an entry to change it leaves its name.
#[derive(Default)]
pub(super) struct Shown {
    entries: BTreeMap<TxnId, Entry>,
    touched: BTreeSet<TxnId>,
}

impl Shown {
    pub(super) fn insert(&mut self, id: TxnId, entry: Entry) {
        self.touched.insert(id.clone());
        self.entries.insert(id, entry);
    }

    pub(super) fn get_mut(&mut self, id: &TxnId) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(id)?;
        self.touched.insert(id.clone());
        Some(entry)
    }

    pub(super) fn remove(&mut self, id: &TxnId) -> Option<Entry> {
        self.touched.remove(id);
        self.entries.remove(id)
    }

    /// What was asked for once is old again.
    pub(super) fn end_exposure(&mut self, now: BootTime) {
        for entry in self.entries.values_mut() {
            entry.exposed_until = entry.exposed_until.filter(|until| now < *until);
        }
    }

    /// The views that the bus does not have yet; it counts as told.
    pub(super) fn publish(&mut self) -> Vec<Arc<TxnView>> {
        let touched = core::mem::take(&mut self.touched);
        touched.iter().filter_map(|id| self.entries.get_mut(id)?.publish()).collect()
    }
}

impl Deref for Shown {
    type Target = BTreeMap<TxnId, Entry>;

    fn deref(&self) -> &BTreeMap<TxnId, Entry> {
        &self.entries
    }
}

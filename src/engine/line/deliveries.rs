//! Entries of the queue on the line: which one goes now, its run, and what follows its end.
use super::{READ_AGAIN, User};
use crate::domain::calendar::BootTime;
use crate::domain::ident::TxnId;
use crate::domain::outcome::{EntryType, ResultCode};
use crate::domain::queue::Entry;
use crate::domain::queue::delivery::{self, Delivery, End, Limits};
use crate::domain::queue::order::{Present, Trade};
use crate::domain::record::{EntryId, Record, TxnRow};
use crate::domain::rules;
use crate::domain::txn::{self, Vital};
use crate::domain::unionpay::messages;
use crate::engine::{Engine, Note, cut};
use crate::ports::{Durability, JournalError};
use std::sync::Arc;

impl Engine {
    /// An outcome that owes something is durable: its row becomes entries of the queue, and the line waits for that.
    pub(in crate::engine) fn owe(&mut self, id: &TxnId) {
        self.line.unread.insert(id.clone());
        self.refresh(id);
    }

    /// The row has been read, or could not be.
    pub(in crate::engine) fn owed_row_read(&mut self, id: &TxnId, error: Option<&JournalError>) {
        match error {
            None => _ = self.line.unread.remove(id),
            Some(error) if self.line.unread.contains(id) => {
                tracing::error!(transaction = %id, %error, "the row of an obligation cannot be read; trying again");
                self.line.read_again_at = Some(self.system.boot().after(READ_AGAIN));
            }
            Some(_) => {}
        }
    }

    pub(super) fn read_owed_rows(&mut self) {
        let now = self.system.boot();
        if self.line.read_again_at.take_if(|at| now >= *at).is_some() {
            for id in self.line.unread.clone() {
                self.refresh(&id);
            }
        }
    }

    /// The open entries of a transaction, as its row now has them.
    pub(in crate::engine) fn take_entries(&mut self, row: &TxnRow) {
        self.line.schedule.take(self.queue.edit(), &row.start.id, Entry::all_of(row));
        self.queue_changed();
    }

    /// Entries came, went or changed.
    pub(in crate::engine) fn queue_changed(&mut self) {
        self.flush_when_calm();
    }

    /// An entry is over.
    pub(in crate::engine) fn leave_queue(&mut self, id: &EntryId) {
        self.queue.edit().retain(|entry| entry.id != *id);
        self.line.schedule.forget(id);
    }

    /// Every entry that can be sent is tried now.
    pub(in crate::engine) fn kick_queue(&mut self) {
        self.line.schedule.kick(&self.queue);
    }

    /// Looks at the queue as the present is.
    fn look<T>(&self, look: impl FnOnce(&Present<'_>) -> T) -> T {
        let trade = match &self.active {
            None if self.settlement_holds_queue() => Trade::WithBank,
            None => Trade::Idle,
            Some(active) if active.txn.wants_line() => Trade::Waits,
            Some(active) if active.txn.money_may_move() => Trade::WithBank,
            Some(_) => Trade::Elsewhere,
        };
        look(&Present {
            now: self.system.boot(),
            trade,
            paused: self.queue_paused.is_some(),
            line_of: self.line.served.as_ref(),
            withheld: &|id| self.is_withheld(id),
        })
    }

    /// A local void is about to withdraw it, a person to change its state, or its row is being read.
    fn is_withheld(&self, id: &EntryId) -> bool {
        let undone = self.active.as_ref().map(|active| active.txn.start()).filter(|s| rules::undoes(s.kind));
        let original = undone.and_then(|start| start.terms.original.as_ref()?.txn.as_ref());
        original == Some(&id.txn) || self.line.changing.contains(id) || self.line.unread.contains(&id.txn)
    }

    /// The entry that goes now, if any. Nothing is flushed at the end of the service.
    pub(super) fn next_entry(&self) -> Option<Entry> {
        if self.keys.is_none() || self.stopping() {
            return None;
        }
        self.look(|present| self.line.schedule.next(&self.queue, present).cloned())
    }

    /// When the next entry is to be tried although nothing happens.
    pub(in crate::engine) fn next_entry_at(&self) -> Option<BootTime> {
        if self.keys.is_none() || self.stopping() || self.line.busy() {
            return None;
        }
        self.look(|present| self.line.schedule.next_at(&self.queue, present))
    }

    /// What was hurried has been tried, or cannot be.
    pub(in crate::engine) fn queue_is_calm(&self) -> bool {
        self.look(|present| self.line.schedule.is_calm(&self.queue, present))
    }

    pub(super) fn deliver(&self, entry: Entry) -> User {
        let limits = Limits {
            profile: Arc::clone(&self.settings.identity.profile),
            response_timeout: self.settings.response_timeout,
            tls: self.settings.tls,
            late_after: self.clock_trusted().then_some(self.settings.store_and_forward.max_age),
        };
        User::Entry(Box::new(Delivery::new(entry, limits)))
    }

    pub(super) fn step_delivery(&mut self, machine: Delivery, event: delivery::Event) {
        let now = self.now();
        let (machine, effects) = machine.step(event, now);
        for local in effects.local {
            match local {
                delivery::Local::DropSignOn => {
                    self.line.refused = true;
                    self.drop_sign_on();
                }
            }
        }
        let entry = machine.entry();
        let changed = self.queue.iter().any(|kept| kept.id == entry.id && kept != entry);
        if changed && let Some(kept) = self.queue.edit_one(&entry.id) {
            *kept = entry.clone();
        }
        let word = entry.entry_type().word();
        match machine.ended() {
            Some(end) => self.delivery_ended(&machine, end),
            None => self.line.user = Some(User::Entry(Box::new(machine))),
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(mut records) => {
                let attempt = matches!(records.first(), Some(Record::QueueAttempt { .. }));
                let what = if attempt { "attempt" } else { "verdict" };
                cut::boundary(&format_args!("before store {word} {what}"));
                records.extend(self.take_notes());
                self.commit(Note::LineUser, records, Durability::Full);
            }
            Vital::Send(entry) => self.send_entry(&entry),
        }
    }

    fn send_entry(&mut self, entry: &Entry) {
        let reason = entry.content.as_ref().and_then(|content| content.reason);
        let text = match reason {
            Some(reason) => format!("reversal sent, reason {}", reason.code()),
            None => format!("{} sent, attempt {}", entry.entry_type(), entry.attempts),
        };
        self.timeline(&entry.id.txn, &format!("{}-sent", entry.entry_type()), &text);
        let identity = &self.settings.identity;
        let built = self.keys.as_deref().map(|keys| messages::queued(identity, entry, keys));
        self.send_built(built);
    }

    fn delivery_ended(&mut self, machine: &Delivery, end: End) {
        let (now, roll) = (self.system.boot(), self.roll());
        let entry = machine.entry();
        tracing::info!(entry = %entry.id, ?end, attempts = entry.attempts, "delivery ended");
        self.line.schedule.ended(entry, end, machine.heard(), now, roll);
        self.count_delivery(end);
        if let Some((what, text)) = epitaph(entry, end) {
            self.timeline(&entry.id.txn, what, &text);
        }
        if end == End::Done {
            self.leave_queue(&entry.id);
        }
        // What may follow the transaction depends on it, and perhaps its outcome.
        self.refresh(&entry.id.txn);
        if !machine.heard() || end == End::StorageFault {
            self.hang_up();
        }
        let waits = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
        let stuck = matches!(end, End::NoLine | End::StorageFault);
        if waits && (stuck || (end == End::Repeat && entry.blocks_trading())) {
            self.step_txn(txn::Event::LineFailed(ResultCode::ConnectFailed));
        }
        if self.active.is_none() && core::mem::take(&mut self.sign_on_asked_for) {
            tracing::info!("the host wants a sign-on");
            self.drop_sign_on();
        }
        self.queue_changed();
    }

    /// Chance for pauses.
    fn roll(&mut self) -> u8 {
        let mut roll = [0_u8];
        self.system.random(&mut roll);
        roll[0]
    }
}

/// The line of the timeline for an end that is worth one.
fn epitaph(entry: &Entry, end: End) -> Option<(&'static str, String)> {
    let line = match (end, entry.entry_type()) {
        (End::Done, EntryType::Reversal) => {
            ("reversed", "the bank confirmed that it holds nothing".to_owned())
        }
        (End::Done, EntryType::Script) => {
            ("script-done", "the bank has the result of the scripts".to_owned())
        }
        (End::Done, _) if entry.last_error.is_empty() => ("uploaded", "the bank has booked it".to_owned()),
        (End::Done, _) => ("uploaded", format!("the bank has booked it ({})", entry.last_error)),
        (End::Denied, _) => ("upload-denied", format!("the bank {}", entry.last_error)),
        (End::Expired, _) => ("upload-expired", "too late for the bank; the shop resolves it".to_owned()),
        (End::Failed, _) => ("queue-failed", format!("attempts used up: {}", entry.last_error)),
        (End::AskAgain | End::Repeat | End::NoLine | End::StorageFault, _) => return None,
    };
    Some(line)
}

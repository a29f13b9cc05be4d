//! The queue as people see and change it: pause and resume, park and unpark, the shop's own word on what the bank left
//! open; and its view. What is sent when is decided in [`crate::domain::queue::order`].
use super::handle::{Caller, Leave};
use super::start::reply;
use super::view::QueueView;
use super::{Engine, Note};
use crate::domain::calendar::WallTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::OperatorId;
use crate::domain::leave::Deed;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryMode, QueueState, Resolution};
use crate::domain::queue::limits::{self, Excess, Wanted};
use crate::domain::record::{Committed, EntryId, Record};
use crate::ports::{Durability, JournalError};
use tokio::sync::oneshot;

type Answer = oneshot::Sender<Result<(), Fault>>;

/// What somebody wants done to an entry.
pub(super) enum Wish {
    /// Put it aside, and why.
    Park(String),
    /// Let it go on.
    Unpark,
    /// End it.
    Resolve(Resolution),
}

/// A change whose record is on its way to the disk.
pub(super) struct Change {
    what: What,
    answer: Answer,
}

enum What {
    Paused(Option<String>),
    /// The entry, and the state that it has then.
    Entry(EntryId, QueueState),
}

impl Engine {
    /// `Queue.Pause`: uploads stay where they are. Reversals and script results go on, because trading waits for them.
    pub(super) fn pause_queue(&mut self, why: String, leave: &Leave, caller: &Caller, answer: Answer) {
        match self.may(&Deed::of("queue-manage"), leave, caller) {
            Ok(operator) => {
                let text = format!("queue paused: {why}");
                let record = Record::QueuePaused { why: Some(why.clone()) };
                self.change_queue(What::Paused(Some(why)), record, Some(operator), text, answer);
            }
            Err(fault) => reply(answer, Err(fault)),
        }
    }

    /// `Queue.Resume`.
    pub(super) fn resume_queue(&mut self, answer: Answer) {
        if self.queue_paused.is_none() {
            return reply(answer, Ok(()));
        }
        let operator = self.session.as_ref().map(|session| session.operator.clone());
        let record = Record::QueuePaused { why: None };
        self.change_queue(What::Paused(None), record, operator, "queue resumed".to_owned(), answer);
    }

    /// `Queue.Park`, `Unpark`, `Resolve`.
    pub(super) fn change_entry(
        &mut self,
        id: &EntryId,
        wish: &Wish,
        leave: &Leave,
        caller: &Caller,
        answer: Answer,
    ) {
        let made = self.entry_change(id, wish, leave, caller);
        match made {
            Ok((state, record, operator, text)) => {
                self.line.changing.insert(id.clone());
                self.change_queue(What::Entry(id.clone(), state), record, Some(operator), text, answer);
            }
            Err(fault) => reply(answer, Err(fault)),
        }
    }

    fn entry_change(
        &mut self,
        id: &EntryId,
        wish: &Wish,
        leave: &Leave,
        caller: &Caller,
    ) -> Result<(QueueState, Record, OperatorId, String), Fault> {
        let now = self.wall();
        let entry =
            self.queue.iter().find(|entry| entry.id == *id).ok_or_else(|| {
                Fault::new(FaultName::NotFound, format!("no open entry {id}; list the queue"))
            })?;
        if self.line.is_sending(id) || self.line.changing.contains(id) {
            let text = "the entry is with the bank, or is being changed; try again in a moment";
            return Err(Fault::new(FaultName::Busy, text));
        }
        let operator = |record: &mut Record, who: &OperatorId| {
            if let Record::Resolved { operator, .. } = record {
                *operator = Some(who.clone());
            }
        };
        let (mut record, text) = match wish {
            Wish::Park(why) => (entry.park(why, now)?, format!("entry {id} parked: {why}")),
            Wish::Unpark => (entry.unpark(now)?, format!("entry {id} unparked")),
            Wish::Resolve(how) => (entry.resolve(*how, None, now)?, format!("entry {id} resolved: {how}")),
        };
        let state = match &record {
            Record::QueueState { state, .. } => *state,
            _ => QueueState::Done,
        };
        let who = self.may(&Deed::of("queue-manage"), leave, caller)?;
        operator(&mut record, &who);
        Ok((state, record, who, text))
    }

    fn change_queue(
        &mut self,
        what: What,
        record: Record,
        operator: Option<OperatorId>,
        text: String,
        answer: Answer,
    ) {
        tracing::info!(%text, "queue");
        if let What::Entry(id, _) = &what {
            self.timeline(&id.txn, "queue-changed", &text);
        }
        let audit = Record::Audit { at: self.wall(), operator, text };
        let mut records = vec![record, audit];
        records.extend(self.take_notes());
        self.commit(Note::Queue(Box::new(Change { what, answer })), records, Durability::Full);
    }

    /// What the journal says to such a change.
    pub(super) fn queue_stored(&mut self, change: Change, result: Result<Committed, JournalError>) {
        let Change { what, answer } = change;
        let result = result.map(drop).map_err(|error| super::journal_thread::read_fault(&error));
        let good = result.is_ok();
        match what {
            What::Paused(why) if good => self.queue_paused = why,
            What::Paused(_) => {}
            What::Entry(id, state) => {
                self.line.changing.remove(&id);
                if good {
                    if state == QueueState::Done {
                        self.leave_queue(&id);
                    } else if let Some(entry) = self.queue.edit_one(&id) {
                        entry.state = state;
                    }
                    self.refresh(&id.txn);
                }
            }
        }
        self.queue_changed();
        reply(answer, result);
    }

    /// The limit that stands against storing one more sale of this amount, if any.
    pub(super) fn store_excess(&self, amount: Amount, entry_mode: Option<EntryMode>) -> Option<Excess> {
        let wanted = Wanted { amount, entry_mode, at: self.wall(), clock_trusted: self.clock_trusted() };
        limits::excess(&self.settings.store_and_forward, self.queue.stored(), wanted)
    }

    pub(super) fn queue_view(&self) -> QueueView {
        let rows = self.queue.rows();
        let last_error = rows.iter().rev().find(|row| !row.last_error.is_empty());
        let next_attempt = self.next_entry_at().map_or(WallTime::default(), |at| {
            let wait = u64::try_from(at.since(self.system.boot()).as_micros()).unwrap_or(u64::MAX);
            // Whole seconds, so that the property does not change with every reading.
            WallTime(self.wall().0.saturating_add(wait) / 1_000_000 * 1_000_000)
        });
        let stored = self.queue.stored();
        let left = limits::head_room(&self.settings.store_and_forward, stored);
        QueueView {
            next_attempt,
            last_error: last_error.map(|row| row.last_error.clone()).unwrap_or_default(),
            rows,
            paused: self.queue_paused.clone(),
            stored_amount: stored.amount,
            remaining_amount: left.amount,
            remaining_count: left.count,
        }
    }
}

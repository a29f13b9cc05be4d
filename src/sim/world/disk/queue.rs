//! What each record does to the entries of the queue.
use super::write::{Taken, entry, hear};
use super::{Disk, refuse};
use crate::domain::calendar::WallTime;
use crate::domain::ident::ResponseCode;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryType, Outcome, QueueState, Resolution, ResultCode};
use crate::domain::record::{EntryId, EntryRow, HostFacts, Upload};
use crate::ports::JournalError;

impl Disk {
    /// A local void: the entry of its original leaves the queue.
    pub(super) fn withdraw(&mut self, id: &EntryId) -> Result<(), JournalError> {
        let row = self.row_mut(&id.txn)?;
        let untouched = row.entry(id.entry_type).is_some_and(|e| e.is_open() && e.attempts == 0 && !e.armed);
        if !untouched {
            return refuse("the entry was attempted meanwhile");
        }
        row.entries.retain(|entry| entry.entry_type != id.entry_type);
        Ok(())
    }

    pub(super) fn upload(
        &mut self,
        place: usize,
        upload: &Upload,
        at: WallTime,
    ) -> Result<Taken, JournalError> {
        let (known, currency) = match self.rows.get(place) {
            Some(kept) => (kept.row.stan.zip(Some(kept.row.batch)), kept.row.start.currency.alpha()),
            None => return refuse("the transaction is not in the journal"),
        };
        let taken = match known {
            Some(taken) => {
                if let Some(kept) = self.rows.get_mut(place) {
                    kept.row.wire = Some(upload.wire.clone());
                }
                taken
            }
            None => self.number(place, &upload.wire, currency)?,
        };
        if let Some(kept) = self.rows.get_mut(place) {
            let mut entry = entry(upload.entry_type, at, upload.wire.icc.clone());
            entry.state = QueueState::Queued;
            kept.row.entries.push(entry);
        }
        Ok(Some(taken))
    }

    pub(super) fn attempt(&mut self, id: &EntryId, at: WallTime) -> Result<Taken, JournalError> {
        self.newer(at);
        let batch = self.batch_number();
        let wants_stan = match self.find_row(&id.txn).and_then(|row| row.entry(id.entry_type)) {
            Some(entry) if may_be_tried(entry) => {
                entry.entry_type == EntryType::Script && entry.stan.is_none()
            }
            Some(_) => return refuse("the entry is not due"),
            None => return refuse("the entry is not in the queue"),
        };
        let stan = if wants_stan { Some(self.take_stan()?) } else { None };
        let entry = self.entry_mut(id)?;
        entry.attempts = entry.attempts.saturating_add(1);
        entry.changed_at = at;
        entry.state = QueueState::Sending;
        entry.stan = stan.or(entry.stan);
        Ok(entry.stan.map(|stan| (stan, batch)))
    }

    fn entry_mut(&mut self, id: &EntryId) -> Result<&mut EntryRow, JournalError> {
        let row = self.row_mut(&id.txn)?;
        match row.entries.iter_mut().find(|entry| entry.entry_type == id.entry_type) {
            Some(entry) if !entry.armed && entry.is_open() => Ok(entry),
            _ => refuse("the entry is not open"),
        }
    }

    pub(super) fn entry_state(
        &mut self,
        id: &EntryId,
        state: QueueState,
        code: Option<&ResponseCode>,
        (ask_again, error, at): (bool, &str, WallTime),
        host: Option<&HostFacts>,
    ) -> Result<(), JournalError> {
        if !may_become(id.entry_type, state) {
            return refuse("an entry of this type does not become that");
        }
        let entry = self.entry_mut(id)?;
        entry.state = state;
        entry.ask_again = ask_again;
        entry.changed_at = at;
        error.clone_into(&mut entry.last_error);
        if let Some(code) = code {
            entry.response_code = Some(code.clone());
        }
        let row = self.row_mut(&id.txn)?;
        if id.entry_type == EntryType::Reversal
            && state == QueueState::Done
            && row.outcome == Outcome::Unknown
        {
            row.outcome = Outcome::Reversed;
        }
        if let Some(host) = host {
            hear(row, host);
            self.classify(&id.txn)?;
        }
        Ok(())
    }

    pub(super) fn resolved(
        &mut self,
        id: &EntryId,
        how: Resolution,
        at: WallTime,
    ) -> Result<(), JournalError> {
        self.newer(at);
        let entry = self.entry_mut(id)?;
        entry.state = QueueState::Done;
        entry.changed_at = at;
        entry.ask_again = false;
        entry.resolution = Some(how);
        let row = self.row_mut(&id.txn)?;
        // A script result says nothing about money.
        let decides = matches!(id.entry_type, EntryType::Reversal | EntryType::RefundUnknown);
        if row.outcome != Outcome::Unknown || !decides {
            return Ok(());
        }
        match how {
            Resolution::Paid => {
                row.outcome = Outcome::Approved;
                row.result = Some(ResultCode::ResolvedPaid);
                row.approved_amount = row.start.amount;
            }
            Resolution::NotPaid => {
                row.outcome = Outcome::Failed;
                row.result = Some(ResultCode::ResolvedNotPaid);
                row.approved_amount = Amount::ZERO;
            }
            Resolution::WrittenOff => {}
        }
        Ok(())
    }
}

/// The states that an answer, the end of attempts or a person can give to an entry of a type.
const fn may_become(entry_type: EntryType, state: QueueState) -> bool {
    use QueueState::{Denied, Done, Due, Expired, Failed, Parked, Queued};
    match entry_type {
        EntryType::Reversal => matches!(state, Due | Done | Failed | Parked),
        EntryType::Script => matches!(state, Due | Done | Denied | Failed | Parked),
        EntryType::OfflineSale | EntryType::Advice => {
            matches!(state, Queued | Done | Denied | Failed | Expired | Parked)
        }
        EntryType::RefundUnknown => matches!(state, Failed | Parked),
    }
}

/// May an attempt be counted?
fn may_be_tried(entry: &EntryRow) -> bool {
    let waits = match entry.state {
        QueueState::Due | QueueState::Sending | QueueState::Queued | QueueState::Failed => true,
        QueueState::Done | QueueState::Denied | QueueState::Expired | QueueState::Parked => false,
    };
    waits && !entry.armed && entry.entry_type != EntryType::RefundUnknown
}

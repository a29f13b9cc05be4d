//! What is read back, and the journal's port over it.
use super::settle::totals;
use super::{Disk, DiskFault, Kept, refuse};
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{BatchState, EntryType, Outcome, PrintState, QueueState, Resolution};
use crate::domain::record::{
    BatchRow, Committed, EntryRow, FollowUp, Loaded, OriginalRef, Record, SettlementRow, TimelineRow,
    TotalsRow, TxnFilter, TxnRow,
};
use crate::domain::txn::refused::{SIGNATURE_REFUSED, UNDO_IMPOSSIBLE};
use crate::ports::{BackupFacts, CheckCopy, Durability, Journal, JournalError};
use std::path::Path;
use std::sync::Arc;

/// How many of the newest transactions are loaded at start.
const RECENT: usize = 20;

impl Disk {
    /// A row as stored, without what followed it.
    pub(super) fn find_row(&self, id: &TxnId) -> Option<&TxnRow> {
        self.rows.get(self.place(id).ok()?).map(|kept| &kept.row)
    }

    /// A row with what followed it.
    #[must_use]
    pub fn row(&self, id: &TxnId) -> Option<TxnRow> {
        self.rows.get(self.place(id).ok()?).map(|kept| self.whole(kept))
    }

    /// A row as stored, without what followed it.
    #[must_use]
    pub fn stored(&self, id: &TxnId) -> Option<&TxnRow> {
        self.find_row(id)
    }

    /// The settlement that is under way.
    #[must_use]
    pub const fn settlement(&self) -> Option<&SettlementRow> {
        self.settlement.as_ref()
    }

    /// Its outcome, if it has a row.
    #[must_use]
    pub fn outcome(&self, id: &TxnId) -> Option<Outcome> {
        self.find_row(id).map(|row| row.outcome)
    }

    /// All rows in order of making, without what followed them.
    pub fn all(&self) -> impl Iterator<Item = &TxnRow> {
        self.rows.iter().map(|kept| &kept.row)
    }

    fn whole(&self, kept: &Kept) -> TxnRow {
        let mut row = kept.row.clone();
        let followers = kept.followers.iter().filter_map(|place| self.rows.get(*place));
        row.follow_ups = followers.map(|follower| self.follow_up(&follower.row)).collect();
        row
    }

    fn follow_up(&self, row: &TxnRow) -> FollowUp {
        let known = !matches!(row.outcome, Outcome::None | Outcome::Unknown);
        let is_denied = |entry: &EntryRow| entry.state == QueueState::Denied;
        let refused = |entry: &EntryRow| {
            matches!(entry.entry_type, EntryType::OfflineSale | EntryType::Advice)
                && (is_denied(entry) || entry.resolution == Some(Resolution::NotPaid))
        };
        // A script result moves no money, and what the bank has refused leaves nothing open.
        let owes = |e: &EntryRow| e.is_open() && !is_denied(e) && e.entry_type != EntryType::Script;
        FollowUp {
            id: row.start.id.clone(),
            kind: row.start.kind,
            outcome: row.outcome,
            amount: if known { row.approved_amount } else { row.start.amount },
            unresolved: row.entries.iter().any(owes),
            stands: moved(row.outcome) && !row.entries.iter().any(refused) && !self.is_undone(row),
        }
    }

    /// What recovery reads, without the latest rows that are only shown.
    #[must_use]
    pub fn loaded(&mut self) -> Loaded {
        self.load_with(0)
    }

    fn load_with(&mut self, recent: usize) -> Loaded {
        let rows = &self.rows;
        self.open.retain(|place| rows.get(*place).is_some_and(|kept| has_open_end(&kept.row)));
        let open = self.open.iter().filter_map(|place| self.rows.get(*place));
        let serial = self.batch_serial();
        let of_batch = |kept: &&Kept| kept.batch == serial && moved(kept.row.outcome);
        let mut counts: Vec<(String, u32)> = Vec::new();
        for kept in self.rows.iter().skip(self.batch_from).filter(of_batch) {
            let word = kept.row.start.kind.word();
            match counts.iter_mut().find(|(known, _)| known == word) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => counts.push((word.to_owned(), 1)),
            }
        }
        counts.sort();
        Loaded {
            open: open.map(|kept| self.whole(kept)).collect(),
            recent: self.rows.iter().rev().take(recent).map(|kept| self.whole(kept)).collect(),
            refused: self.refused(SIGNATURE_REFUSED),
            not_undone: self.refused(UNDO_IMPOSSIBLE).into_iter().map(|row| row.start.id).collect(),
            next_stan: Some(self.next_stan),
            batch: Some(self.batch_number()),
            batch_opened_at: self.batches.last().map(|batch| batch.opened_at).unwrap_or_default(),
            batch_has_records: self.batch_has_records,
            counts,
            master_key: None,
            keys: self.keys.clone(),
            clock_offset: self.clock_offset,
            operators: self.operators.values().cloned().collect(),
            newest: self.newest,
            identity: self.identity.clone(),
            settlement: self.settlement.clone(),
            downloads: self.downloads.clone(),
            queue_paused: self.queue_paused.clone(),
            restore_unconfirmed: false,
        }
    }

    /// Transactions of the open batch that want a signature and have this line; known only where timelines are kept.
    fn refused(&self, what: &str) -> Vec<TxnRow> {
        let signs = |row: &TxnRow| row.card.as_ref().is_some_and(|card| card.signature_required);
        let said =
            |row: &TxnRow| self.timeline.iter().any(|(id, line)| *id == row.start.id && line.what == what);
        let open = self.rows.iter().skip(self.batch_from);
        open.filter(|kept| signs(&kept.row) && said(&kept.row)).map(|kept| self.whole(kept)).collect()
    }

    /// All transactions of the open batch that have a STAN, in the order in which they took it.
    #[must_use]
    pub fn open_rows(&self) -> Vec<TxnRow> {
        let open = self.rows.iter().skip(self.batch_from);
        open.filter(|kept| kept.row.stan.is_some()).map(|kept| self.whole(kept)).collect()
    }

    /// The same as stored, without what followed them.
    pub fn open_stored(&self) -> impl Iterator<Item = &TxnRow> {
        self.all().skip(self.batch_from).filter(|row| row.stan.is_some())
    }

    /// How many rows were made before the open batch was opened.
    #[must_use]
    pub const fn settled_rows(&self) -> usize {
        self.batch_from
    }

    /// Rows with an open end, without the rest of what recovery reads.
    #[must_use]
    pub fn open_ends(&mut self) -> Vec<TxnRow> {
        let rows = &self.rows;
        self.open.retain(|place| rows.get(*place).is_some_and(|kept| has_open_end(&kept.row)));
        self.open.iter().filter_map(|place| self.rows.get(*place)).map(|kept| self.whole(kept)).collect()
    }
}

const fn moved(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Approved | Outcome::StoredOffline)
}

fn has_open_end(row: &TxnRow) -> bool {
    let waits = |state| matches!(state, PrintState::Held | PrintState::Queued | PrintState::Printing);
    row.outcome == Outcome::None
        || row.entries.iter().any(|entry| entry.armed || entry.is_open())
        || row.plies.iter().any(|ply| waits(ply.state))
}

fn fits(row: &TxnRow, wanted: &OriginalRef) -> bool {
    let dated = || {
        let day = row.host.host_time.map(|time| time.mmdd());
        wanted.date.is_none() || wanted.date == day
    };
    if let Some(id) = &wanted.txn {
        return row.start.id == *id;
    }
    if let (Some(batch), Some(stan)) = (wanted.batch, wanted.stan) {
        return row.batch == batch && row.stan == Some(stan) && dated();
    }
    if let Some(rrn) = &wanted.rrn {
        return row.host.rrn.as_ref() == Some(rrn) && dated();
    }
    wanted.auth_code.is_some() && row.host.auth_code == wanted.auth_code && dated()
}

impl Journal for Disk {
    fn commit(&mut self, records: &[Record], durability: Durability) -> Result<Committed, JournalError> {
        self.write(records, durability)
    }

    fn reopen(&mut self) -> Result<(), JournalError> {
        if self.faults.front() == Some(&DiskFault::NoReopen) {
            self.faults.pop_front();
            return refuse("the simulated journal cannot be opened");
        }
        // A checkpoint: what is there is durable.
        self.pending.clear();
        Ok(())
    }

    fn load(&mut self) -> Result<Loaded, JournalError> {
        Ok(self.load_with(RECENT))
    }

    fn find(&mut self, id: &TxnId) -> Result<Option<TxnRow>, JournalError> {
        Ok(self.row(id))
    }

    fn query(&mut self, _: &TxnFilter, limit: u32, _: &str) -> Result<(Vec<TxnRow>, String), JournalError> {
        let newest = self.rows.iter().rev().take(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((newest.map(|kept| self.whole(kept)).collect(), String::new()))
    }

    fn find_original(&mut self, wanted: &OriginalRef) -> Result<Option<TxnRow>, JournalError> {
        let found = self.rows.iter().rev().find(|kept| fits(&kept.row, wanted));
        Ok(found.map(|kept| self.whole(kept)))
    }

    fn find_duplicate(
        &mut self,
        card_token: &str,
        amount: Amount,
        since: WallTime,
    ) -> Result<Option<TxnId>, JournalError> {
        let paid = |row: &TxnRow| {
            row.card.as_ref().is_some_and(|card| card.token == card_token)
                && row.start.amount == amount
                && row.start.created_at >= since
                && matches!(row.outcome, Outcome::Approved | Outcome::StoredOffline | Outcome::Unknown)
        };
        let found = self.rows.iter().rev().find(|kept| paid(&kept.row));
        Ok(found.map(|kept| kept.row.start.id.clone()))
    }

    fn totals(&mut self, _: &TxnFilter) -> Result<Vec<TotalsRow>, JournalError> {
        Ok(totals(self.rows.iter().map(|kept| (&kept.row, false))))
    }

    fn open_batch(&mut self) -> Result<Vec<TxnRow>, JournalError> {
        Ok(self.open_rows())
    }

    fn batch(&mut self, number: Option<BatchNumber>) -> Result<Option<BatchRow>, JournalError> {
        let wanted = |batch: &&BatchRow| match number {
            Some(number) => batch.number == number,
            None => batch.state == BatchState::Closed,
        };
        Ok(self.batches.iter().rev().find(wanted).cloned())
    }

    fn backup(&mut self, _: &Path) -> Result<(), JournalError> {
        refuse("a journal in memory has no copies")
    }

    fn quick_check(&mut self) -> Result<(), JournalError> {
        Ok(())
    }

    fn checker(&self) -> CheckCopy {
        Arc::new(|_| refuse("a journal in memory has no copies"))
    }

    fn restore(&mut self, _: &Path) -> Result<BackupFacts, JournalError> {
        refuse("a journal in memory has no copies")
    }

    fn timeline(&mut self, id: &TxnId) -> Result<Vec<TimelineRow>, JournalError> {
        Ok(self.timeline.iter().filter(|(of, _)| of == id).map(|(_, row)| row.clone()).collect())
    }
}

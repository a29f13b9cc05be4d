//! What each record does to the rows.
use super::{Disk, Kept, Pending, refuse};
use crate::domain::calendar::WallTime;
use crate::domain::download::{self, TableStep};
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{CardClass, EntryType, Outcome, PrintState, QueueState};
use crate::domain::record::{
    Begun, CardFacts, Closed, Committed, EntryRow, HostFacts, PlyRow, Record, Sending, TxnRow, TxnStart,
    WireFacts,
};
use crate::domain::rules::{Silence, rule};
use crate::ports::{Durability, JournalError};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) type Taken = Option<(Stan, BatchNumber)>;

impl Disk {
    /// Writes all records or none.
    pub(super) fn apply_all(
        &mut self,
        records: &[Record],
        durability: Durability,
    ) -> Result<Committed, JournalError> {
        if durability == Durability::Lazy {
            let plies = records.iter().filter_map(|record| match record {
                Record::PlyState { id, .. } => self.place(id).ok().zip(self.find_row(id)),
                _ => None,
            });
            let plies = plies.map(|(place, row)| (place, row.plies.clone())).collect();
            self.pending.push(Pending { plies });
        }
        let (newest, before) = (self.newest, (records.len() > 1).then(|| self.clone_light(records)));
        let mut committed = Committed::default();
        for record in records {
            let taken = match self.apply(record) {
                Ok(None) => continue,
                Ok(Some(taken)) if committed.taken.is_none() => taken,
                Ok(Some(_)) => return self.undo(before, newest, refuse("one commit takes one STAN only")),
                Err(error) => return self.undo(before, newest, Err(error)),
            };
            committed.taken = Some(taken);
        }
        Ok(committed)
    }

    /// What a commit of several records may change: the rows they name and the counters.
    fn clone_light(&self, records: &[Record]) -> Before {
        let mut named: Vec<&TxnId> = Vec::new();
        for record in records {
            match record {
                Record::Sending(sending) => named.push(&sending.start.id),
                Record::Closed(closed) => {
                    named.push(&closed.id);
                    named.extend(closed.withdraws.iter().map(|entry| &entry.txn));
                }
                Record::QueueAttempt { entry, .. }
                | Record::QueueState { entry, .. }
                | Record::Resolved { entry, .. } => named.push(&entry.txn),
                Record::Unsent { id } | Record::PlyState { id, .. } => named.push(id),
                _ => {}
            }
        }
        let rows = named.into_iter().filter_map(|id| {
            let place = self.place(id).ok()?;
            Some((place, self.rows.get(place)?.clone()))
        });
        Before {
            rows: rows.collect(),
            count: self.rows.len(),
            next_stan: self.next_stan,
            batch_has_records: self.batch_has_records,
            settlement: self.settlement.clone(),
            timeline: self.timeline.len(),
            downloads: self.downloads.clone(),
        }
    }

    /// Takes a commit back that was refused in its middle.
    fn undo(
        &mut self,
        before: Option<Before>,
        newest: WallTime,
        error: Result<Committed, JournalError>,
    ) -> Result<Committed, JournalError> {
        self.newest = newest;
        let Some(before) = before else { return error };
        for kept in self.rows.drain(before.count..) {
            self.places.remove(&kept.row.start.id);
        }
        for kept in &mut self.rows {
            kept.followers.retain(|place| *place < before.count);
        }
        self.open.retain(|place| *place < before.count);
        for (place, row) in before.rows {
            if let Some(kept) = self.rows.get_mut(place) {
                *kept = row;
                self.open.insert(place);
            }
        }
        self.next_stan = before.next_stan;
        self.batch_has_records = before.batch_has_records;
        self.settlement = before.settlement;
        self.timeline.truncate(before.timeline);
        self.downloads = before.downloads;
        error
    }

    fn apply(&mut self, record: &Record) -> Result<Taken, JournalError> {
        match record {
            Record::Sending(sending) => return self.sending(sending).map(Some),
            Record::ReserveStan => return Ok(Some((self.take_stan()?, self.batch_number()))),
            Record::Unsent { id } => self.unsent(id)?,
            Record::Closed(closed) => return self.closed(closed),
            Record::QueueAttempt { entry, at } => return self.attempt(entry, *at),
            Record::QueueState { entry, state, response_code, ask_again, error, host, at } => {
                self.newer(*at);
                let code = response_code.as_ref();
                self.entry_state(entry, *state, code, (*ask_again, error, *at), host.as_deref())?;
            }
            Record::Resolved { entry, how, at, .. } => self.resolved(entry, *how, *at)?,
            Record::QueuePaused { why } => self.queue_paused.clone_from(why),
            Record::Settlement(step) => return self.settle(step),
            Record::Table(step) => self.table(step)?,
            Record::PlyState { id, ply, copy, state, reason } => {
                let row = PlyRow { ply: *ply, copy: *copy, state: *state, reason: reason.clone() };
                self.ply(id, row)?;
            }
            Record::Timeline { id, row } => {
                self.newer(row.at);
                if self.keeps_timeline {
                    self.timeline.push((id.clone(), row.clone()));
                }
            }
            Record::SignedOn { keys, batch, clock_offset, .. } => {
                if let Some(number) = batch {
                    self.adopt_batch(*number, keys.loaded_at)?;
                }
                self.newer(keys.loaded_at);
                self.keys = Some(keys.clone());
                self.clock_offset = *clock_offset;
            }
            // Worlds keep no master key.
            Record::SignedOff | Record::MasterKeyLoaded(_) => self.keys = None,
            Record::Operator(row) => {
                self.operators.insert(row.id.as_str().to_owned(), row.clone());
            }
            Record::OperatorRemoved(id) => _ = self.operators.remove(id.as_str()),
            Record::Audit { at, .. } => self.newer(*at),
            // Nothing of it changes what is owed; worlds are too short for it.
            Record::Housekeep(_) | Record::RestoreConfirmed => {}
        }
        Ok(None)
    }

    fn table(&mut self, step: &TableStep) -> Result<(), JournalError> {
        if let TableStep::Begun { at, .. } | TableStep::Swapped { at, .. } = step {
            self.newer(*at);
        }
        if download::apply(&mut self.downloads, step) {
            return Ok(());
        }
        refuse("no download of this kind is under way")
    }

    pub(super) fn newer(&mut self, at: WallTime) {
        self.newest = self.newest.max(at);
    }

    pub(super) fn place(&self, id: &TxnId) -> Result<usize, JournalError> {
        match self.places.get(id) {
            Some(place) => Ok(*place),
            None => refuse("the transaction is not in the journal"),
        }
    }

    /// Whose card it was: as the host said, or, where no answer came, as it said of the original.
    pub(super) fn classify(&mut self, id: &TxnId) -> Result<(), JournalError> {
        let row = |id: &TxnId| Some(&self.rows.get(self.place(id).ok()?)?.row);
        let told = row(id).and_then(|row| row.host.organisation.clone());
        let original = || row(row(id)?.start.terms.original.as_ref()?.txn.as_ref()?);
        let organisation = told.or_else(|| original()?.host.organisation.clone());
        let row = self.row_mut(id)?;
        let message_type = row.wire.as_ref().map(|wire| wire.message_type.as_str());
        row.card_class = CardClass::of(message_type, organisation.as_deref());
        Ok(())
    }

    pub(super) fn row_mut(&mut self, id: &TxnId) -> Result<&mut TxnRow, JournalError> {
        let place = self.place(id)?;
        self.open.insert(place);
        match self.rows.get_mut(place) {
            Some(kept) => Ok(&mut kept.row),
            None => refuse("the transaction is not in the journal"),
        }
    }

    pub(super) fn take_stan(&mut self) -> Result<Stan, JournalError> {
        let first = self.next_stan;
        if self.used.contains(&first.get()) {
            self.reckon_used();
        }
        let mut stan = first;
        while self.used.contains(&stan.get()) {
            stan = stan.next();
            if stan == first {
                return refuse("every STAN is in use; the batch must be settled");
            }
        }
        self.next_stan = stan.next();
        self.used.insert(stan.get());
        Ok(stan)
    }

    /// The numbers of the open batch and of everything that is owed.
    fn reckon_used(&mut self) {
        let serial = self.batch_serial();
        let mut used = BTreeSet::new();
        for kept in &self.rows {
            let owes = kept.row.entries.iter().any(EntryRow::is_open);
            if kept.batch == serial || owes {
                used.extend(kept.row.stan.map(Stan::get));
                used.extend(kept.row.entries.iter().filter_map(|entry| entry.stan.map(Stan::get)));
            }
        }
        used.extend(self.settlement.as_ref().and_then(|s| s.frozen.as_ref()).map(|(_, stan)| stan.get()));
        self.used = used;
    }

    fn insert(&mut self, start: &TxnStart) -> Result<usize, JournalError> {
        if self.places.contains_key(&start.id) {
            return refuse("the transaction has its row already");
        }
        let place = self.rows.len();
        let mut start = start.clone();
        // An original that is not here stays told by its numbers.
        if let Some(original) = &mut start.terms.original {
            original.txn = original.txn.take().filter(|id| self.places.contains_key(id));
        }
        let row = TxnRow {
            start: start.clone(),
            stan: None,
            batch: self.batch_number(),
            in_open_batch: true,
            card: None,
            card_seen: None,
            masked_pan: String::new(),
            wire: None,
            outcome: Outcome::None,
            result: None,
            host: HostFacts::default(),
            approved_amount: Amount::ZERO,
            finished_at: None,
            card_class: CardClass::Domestic,
            entries: Vec::new(),
            follow_ups: Vec::new(),
            plies: Vec::new(),
        };
        let original = start.terms.original.as_ref().and_then(|original| original.txn.as_ref());
        if let Some(original) = original.and_then(|id| self.places.get(id).copied())
            && let Some(kept) = self.rows.get_mut(original)
        {
            kept.followers.push(place);
        }
        self.rows.push(Kept { row, batch: self.batch_serial(), followers: Vec::new() });
        self.places.insert(start.id.clone(), place);
        self.open.insert(place);
        self.newer(start.created_at);
        Ok(place)
    }

    /// Takes the numbers of a request or an upload for a row that has none.
    pub(super) fn number(
        &mut self,
        place: usize,
        wire: &WireFacts,
        currency: &str,
    ) -> Result<(Stan, BatchNumber), JournalError> {
        let stan = self.take_stan()?;
        let batch = self.batch_number();
        self.batch_has_records = true;
        if self.identity.is_none() {
            self.identity = Some(Begun {
                terminal_id: wire.terminal_id.clone(),
                merchant_id: wire.merchant_id.clone(),
                currency: currency.to_owned(),
                profile: wire.profile.clone(),
            });
        }
        if let Some(kept) = self.rows.get_mut(place) {
            kept.row.stan = Some(stan);
            kept.row.batch = batch;
            kept.row.wire = Some(wire.clone());
        }
        Ok((stan, batch))
    }

    fn sending(&mut self, sending: &Sending) -> Result<(Stan, BatchNumber), JournalError> {
        let place = self.insert(&sending.start)?;
        let taken = self.number(place, &sending.wire, sending.start.currency.alpha())?;
        self.newer(sending.at);
        let row = self.row_mut(&sending.start.id)?;
        set_card(row, &sending.card);
        if let Some(entry_type) = sending.arms() {
            let reversal = entry_type == EntryType::Reversal;
            let icc = if reversal { sending.wire.reversal_icc.clone() } else { Vec::new() };
            let mut entry = entry(entry_type, sending.at, icc);
            entry.armed = true;
            entry.reason = reversal.then_some(crate::domain::record::ReversalReason::NoAnswer);
            row.entries.push(entry);
        }
        Ok(taken)
    }

    fn unsent(&mut self, id: &TxnId) -> Result<(), JournalError> {
        let row = self.row_mut(id)?;
        let arms = rule(row.start.kind).silence.entry().is_some();
        if arms != row.entries.iter().any(|entry| entry.armed) {
            return refuse("the transaction has nothing armed");
        }
        row.entries.retain(|entry| !entry.armed);
        Ok(())
    }

    fn closed(&mut self, closed: &Closed) -> Result<Taken, JournalError> {
        if closed.outcome == Outcome::None {
            return refuse("a closed transaction has an outcome");
        }
        if (closed.outcome == Outcome::StoredOffline) != closed.upload.is_some() {
            return refuse("what is stored offline is uploaded later, and nothing else is");
        }
        self.check_closed(closed)?;
        if let Some(entry) = &closed.withdraws {
            self.withdraw(entry)?;
        }
        let place = match &closed.start {
            Some(start) => self.insert(start)?,
            None => self.place(&closed.id)?,
        };
        self.newer(closed.finished_at);
        self.open.insert(place);
        let Some(row) = self.rows.get_mut(place).map(|kept| &mut kept.row) else {
            return refuse("the transaction is not in the journal");
        };
        row.outcome = closed.outcome;
        row.result = Some(closed.result);
        row.approved_amount = closed.approved_amount;
        row.finished_at = Some(closed.finished_at);
        if let Some(card) = &closed.card {
            set_card(row, card);
        }
        if let Some(upload) = &closed.upload {
            row.wire = Some(upload.wire.clone());
        }
        hear(row, &closed.host);
        close_entries(row, closed);
        let held = |ply| PlyRow { ply, copy: 0, state: PrintState::Held, reason: String::new() };
        row.plies = closed.plies.iter().copied().map(held).collect();
        self.classify(&closed.id)?;
        match &closed.upload {
            Some(upload) => self.upload(place, upload, closed.finished_at),
            None => Ok(None),
        }
    }

    /// What must hold before a transaction is closed.
    fn check_closed(&self, closed: &Closed) -> Result<(), JournalError> {
        let row = match &closed.start {
            Some(start) if start.id != closed.id => return refuse("a closed record names two transactions"),
            Some(start) if self.places.contains_key(&start.id) => {
                return refuse("the transaction has its row already");
            }
            Some(_) => None,
            None => Some(self.find_row(&closed.id)),
        };
        let row = match row {
            None => None,
            Some(None) => return refuse("the transaction is not in the journal"),
            Some(Some(row)) if row.outcome != Outcome::None => {
                return refuse("the transaction has its outcome already");
            }
            Some(Some(row)) => Some(row),
        };
        let reversible =
            row.is_some_and(|row| row.stan.is_some() && rule(row.start.kind).silence == Silence::Reverse);
        if closed.reversal.is_some() && !reversible {
            return refuse("it sent no request that could be reversed");
        }
        let excepted = row.is_some_and(|row| row.entry(EntryType::RefundUnknown).is_some());
        if closed.outcome == Outcome::Unknown && closed.reversal.is_none() && !excepted {
            return refuse("an unknown outcome has its reversal or its exception");
        }
        Ok(())
    }

    fn ply(&mut self, id: &TxnId, ply: PlyRow) -> Result<(), JournalError> {
        let row = self.row_mut(id)?;
        match row.plies.iter_mut().find(|known| (known.ply, known.copy) == (ply.ply, ply.copy)) {
            Some(known) => *known = ply,
            None => row.plies.push(ply),
        }
        Ok(())
    }
}

/// What a refused commit is taken back to.
pub(super) struct Before {
    rows: Vec<(usize, Kept)>,
    count: usize,
    next_stan: Stan,
    batch_has_records: bool,
    settlement: Option<crate::domain::record::SettlementRow>,
    timeline: usize,
    downloads: Vec<download::Progress>,
}

fn set_card(row: &mut TxnRow, card: &Arc<CardFacts>) {
    row.masked_pan = card.pan.masked();
    row.card = Some(Arc::clone(card));
    row.card_seen = Some(card.seen());
}

/// Disarms what was armed, or makes it due.
fn close_entries(row: &mut TxnRow, closed: &Closed) {
    let at = closed.finished_at;
    match closed.reversal {
        Some(reason) => {
            let stored = row.wire.as_ref().map(|wire| wire.reversal_icc.clone()).unwrap_or_default();
            let icc = closed.reversal_icc.clone().unwrap_or(stored);
            row.entries.retain(|entry| !entry.armed);
            let mut due = entry(EntryType::Reversal, at, icc);
            due.reason = Some(reason);
            row.entries.push(due);
        }
        None if closed.outcome == Outcome::Unknown => {
            for entry in row.entries.iter_mut().filter(|entry| entry.armed) {
                entry.armed = false;
                "no answer".clone_into(&mut entry.last_error);
                entry.state = QueueState::Failed;
                entry.created_at = at;
            }
        }
        None => row.entries.retain(|entry| !entry.armed),
    }
    if let Some(icc) = &closed.script {
        row.entries.push(entry(EntryType::Script, at, icc.clone()));
    }
}

pub(super) fn entry(entry_type: EntryType, created_at: WallTime, icc: Vec<u8>) -> EntryRow {
    EntryRow {
        entry_type,
        state: if entry_type == EntryType::RefundUnknown { QueueState::Failed } else { QueueState::Due },
        armed: false,
        reason: None,
        attempts: 0,
        ask_again: false,
        created_at,
        changed_at: created_at,
        response_code: None,
        last_error: String::new(),
        resolution: None,
        stan: None,
        icc,
    }
}

/// Keeps what the host said; what it did not say this time stays.
pub(super) fn hear(row: &mut TxnRow, host: &HostFacts) {
    fn keep<T: Clone>(known: &mut Option<T>, said: &Option<T>) {
        if said.is_some() {
            known.clone_from(said);
        }
    }
    let known = &mut row.host;
    keep(&mut known.response_code, &host.response_code);
    keep(&mut known.rrn, &host.rrn);
    keep(&mut known.auth_code, &host.auth_code);
    keep(&mut known.host_time, &host.host_time);
    keep(&mut known.settlement_date, &host.settlement_date);
    keep(&mut known.acquirer, &host.acquirer);
    keep(&mut known.institutions, &host.institutions);
    keep(&mut known.organisation, &host.organisation);
    keep(&mut known.text, &host.text);
    keep(&mut known.balance, &host.balance);
}

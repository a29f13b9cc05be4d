//! The print queue: which ply prints now, what is known of each, and what people want printed again.
//!
//! A ply is marked as being printed, durably, before its first byte: after a power cut it is `unconfirmed` and nobody
//! prints it twice unasked. The mark for both plies is one commit; what is learned later is written lazily, because
//! losing it only makes the terminal more careful. A printer that is away costs no commit: the plies stay `held`.
use super::handle::Notice;
use super::learn::Learning;
use super::own_paper::OwnPapers;
use super::settle_paper::Wish;
use super::view::PrintJobView;
use super::{Engine, Note, cut};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::outcome::{Outcome, Ply, PrintState};
use crate::domain::receipt::Document;
use crate::domain::record::{PlyRow, Record, TxnRow};
use crate::domain::txn::aftercare::Event;
use crate::ports::{Durability, JournalError, PrintEnd, PrinterCommand, PrinterEvent, PrinterStatus};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Plies that may wait for the printer.
const QUEUE_MAX: usize = 64;

/// What a piece of paper tells of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// A transaction.
    Txn(TxnId),
    /// A settled batch.
    Batch(BatchNumber),
    /// Nothing that the journal knows; by its number since the start.
    Own(OwnKind, u64),
}

/// Paper of the shop's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OwnKind {
    /// A text of an application.
    Text,
    /// The test page.
    Test,
    /// A transaction that was refused.
    Declined,
}

impl OwnKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Test => "test",
            Self::Declined => "declined",
        }
    }
}

/// One ply of one transaction, the slip of one settlement, or one paper of the shop's own; copies count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PrintKey {
    pub(super) of: Of,
    ply: Ply,
    copy: u32,
}

impl PrintKey {
    pub(super) const fn ply(id: TxnId, ply: Ply, copy: u32) -> Self {
        Self { of: Of::Txn(id), ply, copy }
    }

    /// The shop's paper on a settlement.
    pub(super) const fn settlement(batch: BatchNumber, copy: u32) -> Self {
        Self { of: Of::Batch(batch), ply: Ply::Merchant, copy }
    }

    /// A paper of the shop's own.
    pub(super) const fn own(kind: OwnKind, number: u64, copy: u32) -> Self {
        Self { of: Of::Own(kind, number), ply: Ply::Merchant, copy }
    }

    pub(super) const fn is_copy(&self) -> bool {
        self.copy > 0
    }

    fn txn(&self) -> Option<&TxnId> {
        match &self.of {
            Of::Txn(id) => Some(id),
            Of::Batch(_) | Of::Own(..) => None,
        }
    }

    /// The id of its object.
    pub(super) fn object(&self) -> String {
        match &self.of {
            Of::Txn(id) => format!("{id}_{}_{}", self.ply, self.copy),
            Of::Batch(batch) => format!("settlement_{batch}_{}", self.copy),
            Of::Own(kind, number) => format!("{}_{number:012x}_{}", kind.word(), self.copy),
        }
    }

    /// `Kind` on the bus.
    const fn kind(&self) -> &'static str {
        match self.of {
            Of::Txn(_) => "receipt",
            Of::Batch(_) => "settlement",
            Of::Own(kind, _) => kind.word(),
        }
    }
}

struct PrintJob {
    state: PrintState,
    reason: String,
    /// The journal says that bytes may be on paper.
    begun: bool,
}

impl PrintJob {
    /// Nothing more happens to it by itself.
    const fn has_ended(&self) -> bool {
        !matches!(self.state, PrintState::Queued | PrintState::Printing | PrintState::Held)
    }
}

/// The print queue.
#[derive(Default)]
pub(super) struct PrintDesk {
    /// The printer is being asked what it is.
    pub(super) learning: Option<Learning>,
    jobs: BTreeMap<PrintKey, PrintJob>,
    queue: VecDeque<PrintKey>,
    current: Option<Current>,
    pub(super) own: OwnPapers,
    /// A part of a slip may hang out of the printer since before the start; told with the first job.
    after_break: bool,
    /// How often the cash drawer was opened since the start.
    pub(super) drawer_opens: u32,
    /// jobs, confirmed, unconfirmed, held.
    pub(super) counts: [u64; 4],
}

struct Current {
    key: PrintKey,
    document: Option<Document>,
    command: u64,
}

impl PrintDesk {
    /// An empty queue. `after_break`: a part of a slip may hang out of the printer since before the start.
    pub(super) fn new(after_break: bool) -> Self {
        Self { after_break, ..Self::default() }
    }

    /// True while a ply of this transaction may still print by itself.
    pub(super) fn has_open(&self, id: &TxnId) -> bool {
        self.jobs.iter().any(|(key, job)| key.txn() == Some(id) && !job.has_ended())
    }

    pub(super) fn state_of(&self, key: &PrintKey) -> Option<PrintState> {
        self.jobs.get(key).map(|job| job.state)
    }

    pub(super) fn depth(&self) -> u32 {
        u32::try_from(self.queue.len().saturating_add(usize::from(self.current.is_some())))
            .unwrap_or(u32::MAX)
    }

    fn of(&self, id: &TxnId) -> impl Iterator<Item = (&PrintKey, &PrintJob)> {
        self.jobs.iter().filter(move |(key, _)| key.txn() == Some(id))
    }

    /// The objects of a transaction.
    pub(super) fn objects(&self, id: &TxnId) -> Vec<String> {
        self.of(id).map(|(key, _)| key.object()).collect()
    }

    /// The papers on settlements, oldest batch first, and whether each has ended.
    pub(super) fn settlements(&self) -> Vec<(PrintKey, bool)> {
        let all = self.jobs.iter().filter(|(key, _)| matches!(key.of, Of::Batch(_)));
        all.map(|(key, job)| (key.clone(), job.has_ended())).collect()
    }

    /// The shop's own papers that have ended, oldest first.
    pub(super) fn ended_own(&self) -> Vec<PrintKey> {
        let own = |key: &PrintKey| if let Of::Own(_, number) = key.of { Some(number) } else { None };
        let ended = self.jobs.iter().filter(|(_, job)| job.has_ended());
        let mut ended: Vec<(u64, PrintKey)> =
            ended.filter_map(|(key, _)| Some((own(key)?, key.clone()))).collect();
        ended.sort();
        ended.into_iter().map(|(_, key)| key).collect()
    }

    /// Numbers of the shop's own papers that have an object.
    pub(super) fn own_numbers(&self) -> BTreeSet<u64> {
        let own = |key: &PrintKey| if let Of::Own(_, number) = key.of { Some(number) } else { None };
        self.jobs.keys().filter_map(own).collect()
    }

    /// The number of the next copy of a paper.
    pub(super) fn next_copy(&self, of: &Of) -> u32 {
        let copies = self.jobs.keys().filter(|key| key.of == *of).map(|key| key.copy);
        copies.max().unwrap_or(0).saturating_add(1)
    }

    /// True while a job is at the printer, or about to be.
    pub(super) const fn is_printing(&self) -> bool {
        self.current.is_some()
    }

    /// A ply that waits, and has no byte on paper.
    pub(super) fn hold(&mut self, key: PrintKey) {
        let job = PrintJob { state: PrintState::Held, reason: String::new(), begun: false };
        self.jobs.insert(key, job);
    }

    /// Forgets one.
    pub(super) fn forget(&mut self, key: &PrintKey) {
        self.jobs.remove(key);
    }

    /// True if every ply that was wanted is proven.
    pub(super) fn all_confirmed(&self, id: &TxnId) -> bool {
        let mut originals = self.of(id).filter(|(key, _)| key.copy == 0).peekable();
        originals.peek().is_some() && originals.all(|(_, job)| job.state == PrintState::Confirmed)
    }
}

impl Engine {
    pub(super) fn enqueue(&mut self, key: PrintKey) {
        if self.desk.queue.len() >= QUEUE_MAX {
            return self.ply_ended(&key, PrintState::Held, "queue-full");
        }
        self.set_print_state(&key, PrintState::Queued, "");
        self.desk.queue.push_back(key);
    }

    /// Starts the next ply. Without a ready printer everything that waits is held.
    pub(super) fn pump_printer(&mut self) {
        while self.desk.current.is_none() {
            let Some(key) = self.desk.queue.pop_front() else { return };
            let ready = self.printer_status.as_ref().is_some_and(|status| status.online);
            if !ready || self.stopping() {
                let reason = if self.printer_status.is_some() { "printer-not-ready" } else { "no-printer" };
                self.ply_ended(&key, PrintState::Held, reason);
                continue;
            }
            self.desk.current = Some(Current { key: key.clone(), document: None, command: 0 });
            match key.of.clone() {
                Of::Txn(id) => self.find(Note::PrintRow(key), id),
                Of::Batch(batch) => self.read_settled(Wish::Print(key), Some(batch)),
                Of::Own(..) => {
                    let document = self.own_document(&key);
                    self.print_document(&key, document);
                }
            }
        }
    }

    /// The row to print has been read: what is on paper is what the ledger says.
    pub(super) fn print_row(&mut self, key: &PrintKey, result: Result<Option<Box<TxnRow>>, JournalError>) {
        let Ok(row) = result else { return self.print_unread(key) };
        let document = row.and_then(|row| self.document(&row, key.ply, key.copy > 0));
        self.print_document(key, document);
    }

    /// The document of the ply at the head of the queue; `None`: there is none to print.
    pub(super) fn print_document(&mut self, key: &PrintKey, document: Option<Document>) {
        let Some(document) = document else {
            self.desk.current = None;
            return self.ply_ended(key, PrintState::Failed, "no-slip");
        };
        if let Some(current) = &mut self.desk.current {
            current.document = Some(document);
        }
        let Some(id) = key.txn().filter(|_| !self.desk.jobs.get(key).is_some_and(|job| job.begun)) else {
            return self.print_begun(key, true);
        };
        // One commit marks every ply of this slip that will follow.
        let keys: Vec<PrintKey> = self
            .desk
            .of(id)
            .filter(|(other, job)| *other == key || (other.copy == 0 && key.copy == 0 && !job.begun))
            .map(|(other, _)| other.clone())
            .collect();
        let mut records: Vec<Record> =
            keys.iter().filter_map(|key| ply_record(key, PrintState::Printing, "")).collect();
        for key in &keys {
            if let Some(job) = self.desk.jobs.get_mut(key) {
                job.begun = true;
            }
        }
        records.extend(self.take_notes());
        cut::boundary(&"before store printing");
        self.commit(Note::PrintBegun(key.clone()), records, Durability::Full);
    }

    /// What the ply at the head of the queue tells of cannot be read.
    pub(super) fn print_unread(&mut self, key: &PrintKey) {
        self.desk.current = None;
        self.ply_ended(key, PrintState::Held, "storage-fault");
    }

    /// The mark is durable: bytes may go.
    pub(super) fn print_begun(&mut self, key: &PrintKey, stored: bool) {
        cut::boundary(&"before print");
        let Some(document) = self.desk.current.as_mut().and_then(|current| current.document.take()) else {
            return;
        };
        let job = self.fresh_id();
        if let Some(current) = &mut self.desk.current {
            current.command = job;
        }
        let after_break = self.desk.after_break;
        let command = PrinterCommand::Print { job, document, after_break };
        let sent = stored && (self.printer)(command).is_ok();
        self.desk.after_break &= !sent;
        if !sent {
            self.desk.current = None;
            return self.ply_ended(key, PrintState::Held, "storage-fault");
        }
        if let Some(count) = self.desk.counts.first_mut() {
            *count = count.saturating_add(1);
        }
        self.set_print_state(key, PrintState::Printing, "");
    }

    /// An event of the printer thread.
    pub(super) fn printer_event(&mut self, event: PrinterEvent) {
        match event {
            PrinterEvent::Status(status) => self.printer_changed(status),
            PrinterEvent::Started { .. } => {}
            PrinterEvent::Learnt { id, result } => self.learnt(id, result),
            PrinterEvent::Done { job, end } => {
                let Some(current) = self.desk.current.take_if(|current| current.command == job) else {
                    return;
                };
                cut::boundary(&"printed");
                let (state, reason) = match end {
                    PrintEnd::Confirmed => (PrintState::Confirmed, String::new()),
                    PrintEnd::Unconfirmed(why) => (PrintState::Unconfirmed, why),
                    PrintEnd::Held(why) => (PrintState::Held, why),
                    PrintEnd::Failed(why) => (PrintState::Failed, why),
                };
                self.ply_ended(&current.key, state, &reason);
            }
        }
    }

    fn printer_changed(&mut self, status: Option<PrinterStatus>) {
        let was = self.printer_status.as_ref().is_some_and(|status| status.online);
        let is = status.as_ref().is_some_and(|status| status.online);
        self.printer_status = status;
        if is && !was {
            let held: Vec<PrintKey> = self
                .desk
                .jobs
                .iter()
                .filter(|(key, job)| job.state == PrintState::Held && !self.desk.queue.contains(key))
                .map(|(key, _)| key.clone())
                .collect();
            let mut held = held;
            let order = |id: &TxnId| self.entries.get(id).map_or(0, |entry| entry.order);
            held.sort_by_key(|key| (key.txn().map_or(u64::MAX, &order), key.ply));
            for key in held {
                self.enqueue(key);
            }
        }
    }

    /// What is known of a ply: on the disk as far as it must be, on the bus, and to the one who waits.
    fn ply_ended(&mut self, key: &PrintKey, state: PrintState, reason: &str) {
        let begun = self.desk.jobs.get(key).is_some_and(|job| job.begun);
        self.set_print_state(key, state, reason);
        let slot = match state {
            PrintState::Confirmed => 1,
            PrintState::Unconfirmed => 2,
            _ => 3,
        };
        if let Some(count) = self.desk.counts.get_mut(slot) {
            *count = count.saturating_add(1);
        }
        if begun && state == PrintState::Held {
            self.unmark(key, reason);
        } else if begun {
            self.note_ply(key, state, reason, Durability::Lazy);
        }
        if let Some(id) = key.txn().filter(|_| key.copy == 0) {
            let printed = matches!(state, PrintState::Confirmed | PrintState::Unconfirmed);
            self.step_care(id, Event::PlyEnded { printed });
        }
    }

    /// No byte was taken: the ply, and those marked with it that have not begun, are held again, durably.
    fn unmark(&mut self, key: &PrintKey, reason: &str) {
        let mut records = Vec::new();
        for (other, job) in &mut self.desk.jobs {
            let waits = matches!(job.state, PrintState::Held | PrintState::Queued);
            if other.of == key.of && job.begun && waits {
                job.begun = false;
                records.extend(ply_record(other, PrintState::Held, reason));
            }
        }
        self.commit(Note::Evidence, records, Durability::Full);
    }

    fn set_print_state(&mut self, key: &PrintKey, state: PrintState, reason: &str) {
        if let Some(job) = self.desk.jobs.get_mut(key) {
            job.state = state;
            reason.clone_into(&mut job.reason);
        }
        self.show_print_job(key);
    }

    pub(super) fn show_print_job(&mut self, key: &PrintKey) {
        let Some(job) = self.desk.jobs.get(key) else { return };
        let view = PrintJobView {
            id: key.object(),
            kind: key.kind(),
            ply: key.ply,
            state: job.state,
            reason: job.reason.clone(),
            transaction: key.txn().cloned(),
            copy: key.copy > 0,
        };
        if let Some(id) = key.txn() {
            let (objects, printed) = (self.desk.objects(id), self.desk.all_confirmed(id));
            if let Some(entry) = self.entries.get_mut(id) {
                entry.view.print_jobs = objects;
                entry.view.printed = printed;
            }
        }
        self.tell(Notice::PrintJob(Arc::new(view)));
    }

    /// The plies of a stored transaction become objects again.
    pub(super) fn restore_print_jobs(&mut self, row: &TxnRow) {
        for PlyRow { ply, copy, state, reason } in &row.plies {
            let key = PrintKey::ply(row.start.id.clone(), *ply, *copy);
            let begun = !matches!(state, PrintState::Held);
            self.desk.jobs.entry(key.clone()).or_insert_with(|| PrintJob {
                state: *state,
                reason: reason.clone(),
                begun,
            });
            self.show_print_job(&key);
        }
    }

    /// The objects of a transaction that goes.
    pub(super) fn drop_print_jobs(&mut self, id: &TxnId) {
        let gone: Vec<PrintKey> = self.desk.of(id).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.desk.jobs.remove(&key);
            self.tell(Notice::PrintJobGone(key.object()));
        }
    }

    /// `Transaction.Reprint`: a copy, marked as such.
    pub(super) fn reprint(&mut self, id: &TxnId, ply: Ply) -> Result<String, Fault> {
        self.session_used()?;
        let entry =
            self.entries.get(id).ok_or_else(|| Fault::new(FaultName::NotFound, "no such transaction"))?;
        if entry.view.outcome != Outcome::Approved {
            return Err(Fault::new(FaultName::WrongState, "only an approved transaction has a slip"));
        }
        self.desk_has_room()?;
        let copies = self.desk.of(id).filter(|(key, _)| key.ply == ply).map(|(key, _)| key.copy);
        let copy = copies.max().unwrap_or(0).saturating_add(1);
        let key = PrintKey::ply(id.clone(), ply, copy);
        self.note_ply(&key, PrintState::Held, "", Durability::Lazy);
        self.print_new(key.clone());
        Ok(key.object())
    }

    /// Refuses one more slip while many wait.
    pub(super) fn desk_has_room(&self) -> Result<(), Fault> {
        let waiting = |job: &PrintJob| matches!(job.state, PrintState::Queued | PrintState::Held);
        if self.desk.jobs.values().filter(|job| waiting(job)).count() >= QUEUE_MAX {
            let text = "64 slips wait for the printer already; make it ready first";
            return Err(Fault::new(FaultName::TooMany, text));
        }
        Ok(())
    }

    /// A piece of paper that nobody had before.
    pub(super) fn print_new(&mut self, key: PrintKey) {
        let job = PrintJob { state: PrintState::Queued, reason: String::new(), begun: false };
        self.desk.jobs.insert(key.clone(), job);
        self.enqueue(key);
    }

    /// What is known of a ply, for the journal; the settlement's slip is evidence of nothing.
    fn note_ply(&mut self, key: &PrintKey, state: PrintState, reason: &str, durability: Durability) {
        if let Some(record) = ply_record(key, state, reason) {
            self.commit(Note::Evidence, vec![record], durability);
        }
    }

    /// `PrintJob.Retry`: the whole ply again, as a marked copy if bytes of it may be on paper.
    pub(super) fn retry_print(&mut self, object: &str) -> Result<(), Fault> {
        self.session_used()?;
        let (key, state) = self.print_job(object)?;
        match state {
            PrintState::Held => {
                self.enqueue(key);
                Ok(())
            }
            PrintState::Unconfirmed | PrintState::Failed => {
                self.set_print_state(&key, PrintState::Abandoned, "printed again as a copy");
                self.note_ply(&key, PrintState::Abandoned, "printed again as a copy", Durability::Lazy);
                match &key.of {
                    Of::Txn(id) => self.reprint(id, key.ply).map(|_| ()),
                    Of::Batch(batch) => self.print_settlement(*batch, true).map(|_| ()),
                    Of::Own(kind, number) => self.reprint_own(*kind, *number),
                }
            }
            PrintState::Queued | PrintState::Printing => {
                Err(Fault::new(FaultName::Busy, "it is being printed; wait for it"))
            }
            PrintState::Confirmed | PrintState::Abandoned => {
                Err(Fault::new(FaultName::WrongState, "it has ended; use Transaction.Reprint for a copy"))
            }
        }
    }

    /// `PrintJob.Abandon`.
    pub(super) fn abandon_print(&mut self, object: &str, why: &str) -> Result<(), Fault> {
        self.session_used()?;
        let (key, state) = self.print_job(object)?;
        if matches!(state, PrintState::Printing | PrintState::Confirmed | PrintState::Abandoned) {
            return Err(Fault::new(
                FaultName::WrongState,
                "only a ply that waits or is in doubt can be given up",
            ));
        }
        if self.desk.current.as_ref().is_some_and(|current| current.key == key) {
            return Err(Fault::new(FaultName::Busy, "it is being printed; wait for it"));
        }
        self.desk.queue.retain(|queued| *queued != key);
        self.set_print_state(&key, PrintState::Abandoned, why);
        if let Some(id) = key.txn().filter(|_| key.copy == 0) {
            self.step_care(id, Event::PlyEnded { printed: false });
        }
        self.note_ply(&key, PrintState::Abandoned, why, Durability::Full);
        Ok(())
    }

    fn print_job(&self, object: &str) -> Result<(PrintKey, PrintState), Fault> {
        let found = self.desk.jobs.iter().find(|(key, _)| key.object() == object);
        found
            .map(|(key, job)| (key.clone(), job.state))
            .ok_or_else(|| Fault::new(FaultName::NotFound, "no such print job"))
    }

    /// Printing wants an operator; using the terminal keeps the session awake.
    pub(super) fn session_used(&mut self) -> Result<(), Fault> {
        let now = self.system.boot();
        match &mut self.session {
            Some(session) => {
                session.last_used = now;
                Ok(())
            }
            None => Err(Fault::new(
                FaultName::OperatorRequired,
                "no operator is signed on; call Operators.SignOn first",
            )),
        }
    }
}

fn ply_record(key: &PrintKey, state: PrintState, reason: &str) -> Option<Record> {
    let id = key.txn()?.clone();
    Some(Record::PlyState { id, ply: key.ply, copy: key.copy, state, reason: reason.to_owned() })
}

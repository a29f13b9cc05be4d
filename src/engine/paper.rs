//! Paper and what else follows an outcome: plies, tear pause, signature, the card on its way out.
//!
//! A ply is marked as being printed, durably, before its first byte: after a power cut it is `unconfirmed` and nobody
//! prints it twice unasked. The mark for both plies is one commit; what is learned later is written lazily, because
//! losing it only makes the terminal more careful. A printer that is away costs no commit: the plies stay `held`.
use super::handle::{AgentAnswer, AgentAsk, AgentCommand, AgentEvent, Caller, Notice};
use super::settle_paper::Wish;
use super::start::reply;
use super::trade::Active;
use super::view::PrintJobView;
use super::{Engine, Note, cut};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::money::Currency;
use crate::domain::outcome::{Outcome, Ply, PrintState};
use crate::domain::receipt::{self, Document};
use crate::domain::record::{Closed, PlyRow, Record, TxnRow};
use crate::domain::slip::{self, Shop};
use crate::domain::txn::aftercare::{Aftercare, Do, Event, Plan};
use crate::ports::{Durability, JournalError, PrintEnd, PrinterCommand, PrinterEvent, PrinterStatus};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Plies that may wait for the printer.
const QUEUE_MAX: usize = 64;

/// What a piece of paper tells of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    /// A transaction.
    Txn(TxnId),
    /// A settled batch.
    Batch(BatchNumber),
}

/// One ply of one transaction, or the slip of one settlement; copies count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PrintKey {
    pub(super) of: Of,
    ply: Ply,
    copy: u32,
}

impl PrintKey {
    const fn ply(id: TxnId, ply: Ply, copy: u32) -> Self {
        Self { of: Of::Txn(id), ply, copy }
    }

    /// The shop's paper on a settlement.
    pub(super) const fn settlement(batch: BatchNumber, copy: u32) -> Self {
        Self { of: Of::Batch(batch), ply: Ply::Merchant, copy }
    }

    pub(super) const fn is_copy(&self) -> bool {
        self.copy > 0
    }

    fn txn(&self) -> Option<&TxnId> {
        match &self.of {
            Of::Txn(id) => Some(id),
            Of::Batch(_) => None,
        }
    }

    /// The id of its object.
    pub(super) fn object(&self) -> String {
        match &self.of {
            Of::Txn(id) => format!("{id}_{}_{}", self.ply, self.copy),
            Of::Batch(batch) => format!("settlement_{batch}_{}", self.copy),
        }
    }
}

struct PrintJob {
    state: PrintState,
    reason: String,
    /// The journal says that bytes may be on paper.
    begun: bool,
}

/// The print queue.
#[derive(Default)]
pub(super) struct PrintDesk {
    jobs: BTreeMap<PrintKey, PrintJob>,
    queue: VecDeque<PrintKey>,
    current: Option<Current>,
    /// jobs, confirmed, unconfirmed, held.
    pub(super) counts: [u64; 4],
}

struct Current {
    key: PrintKey,
    document: Option<Document>,
    command: u64,
}

impl PrintDesk {
    /// True while a ply of this transaction may still print by itself.
    pub(super) fn has_open(&self, id: &TxnId) -> bool {
        self.jobs.iter().any(|(key, job)| {
            key.txn() == Some(id)
                && matches!(job.state, PrintState::Queued | PrintState::Printing | PrintState::Held)
        })
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
        let ended = |job: &PrintJob| {
            !matches!(job.state, PrintState::Queued | PrintState::Printing | PrintState::Held)
        };
        let all = self.jobs.iter().filter(|(key, _)| key.txn().is_none());
        all.map(|(key, job)| (key.clone(), ended(job))).collect()
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

/// A transaction that is being looked after.
pub(super) struct Care {
    pub(super) id: TxnId,
    pub(super) machine: Aftercare,
    starter: Option<Caller>,
    ask: Option<u64>,
}

/// A receipt somebody wants to have.
pub(super) struct ReceiptWish {
    ply: Ply,
    format: String,
    answer: oneshot::Sender<Result<Vec<u8>, Fault>>,
}

impl Engine {
    /// The outcome stands: bring paper and card home, and undo what is unknown.
    pub(super) fn look_after(&mut self, active: Active, closed: Closed) {
        let approved = matches!(closed.outcome, Outcome::Approved | Outcome::StoredOffline);
        let unresolved = closed.outcome == Outcome::Unknown;
        let signature = approved && closed.card.as_ref().is_some_and(|card| card.signature_required);
        for ply in &closed.plies {
            let key = PrintKey::ply(closed.id.clone(), *ply, 0);
            self.desk.jobs.insert(
                key.clone(),
                PrintJob { state: PrintState::Held, reason: String::new(), begun: false },
            );
            self.show_print_job(&key);
        }
        let owes = closed.reversal.is_some() || closed.upload.is_some() || closed.script.is_some();
        if owes || unresolved {
            self.owe(&closed.id);
        }
        if let Some(withdrawn) = &closed.withdraws {
            self.leave_queue(withdrawn);
            self.owe(&withdrawn.txn);
        }
        let plan = Plan {
            plies: closed.plies,
            tear_pause: self.settings.tear_pause,
            signature,
            card_in: self.card_in,
            unresolved,
            patience: self.settings.customer_timeout,
        };
        let now = self.now();
        let (machine, todo) = Aftercare::new(plan, now);
        self.cares.push(Care { id: closed.id, machine, starter: Some(active.starter), ask: None });
        if let Some(index) = self.cares.len().checked_sub(1) {
            self.carry_care(index, todo);
        }
    }

    fn step_care(&mut self, id: &TxnId, event: Event) {
        let now = self.now();
        let Some(index) = self.cares.iter().position(|care| care.id == *id) else { return };
        let Some(care) = self.cares.get_mut(index) else { return };
        let (machine, todo) = care.machine.clone().step(event, now);
        care.machine = machine;
        self.carry_care(index, todo);
    }

    fn carry_care(&mut self, index: usize, todo: Vec<Do>) {
        let Some((id, starter)) = self.cares.get(index).map(|care| (care.id.clone(), care.starter.clone()))
        else {
            return;
        };
        self.show_care(&id);
        for what in todo {
            match what {
                Do::Print(ply) => self.enqueue(PrintKey::ply(id.clone(), ply, 0)),
                Do::Prompt(code) => self.prompt_for(&id, starter.clone(), code),
                Do::AskSignature => self.ask_signature(&id),
                Do::Withdraw => self.withdraw_signature(&id),
                Do::SignatureRefused => {
                    self.refuse_signature(&id, starter.clone().unwrap_or_else(Caller::nobody));
                }
            }
        }
    }

    fn ask_signature(&mut self, id: &TxnId) {
        let ask_id = self.fresh_id();
        let deadline = self.care(id).and_then(|care| care.machine.deadline()).unwrap_or_default();
        let left = deadline.since(self.system.boot());
        let remaining_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let Some(care) = self.cares.iter_mut().find(|care| care.id == *id) else { return };
        care.ask = Some(ask_id);
        let Some(starter) = care.starter.clone() else { return };
        let (txn, ask) = (id.clone(), AgentAsk::Signature);
        self.tell_agents(AgentCommand::Ask { id: ask_id, txn, starter, ask, deadline, remaining_ms });
    }

    fn withdraw_signature(&mut self, id: &TxnId) {
        let Some(ask) = self.cares.iter_mut().find(|care| care.id == *id).and_then(|care| care.ask.take())
        else {
            return;
        };
        self.tell_agents(AgentCommand::Withdraw { id: ask, txn: id.clone(), why: "timeout" });
    }

    fn care(&self, id: &TxnId) -> Option<&Care> {
        self.cares.iter().find(|care| care.id == *id)
    }

    /// The answer to a signature question, if it is one.
    pub(super) fn signature_event(&mut self, event: &AgentEvent) {
        let (AgentEvent::Answered { id, .. } | AgentEvent::Unavailable { id, .. }) = event;
        let Some(txn) = self.cares.iter().find(|care| care.ask == Some(*id)).map(|care| care.id.clone())
        else {
            return;
        };
        let answer = match event {
            AgentEvent::Answered { answer: AgentAnswer::Yes(yes), .. } => Some(*yes),
            AgentEvent::Answered { .. } | AgentEvent::Unavailable { .. } => None,
        };
        self.step_care(&txn, Event::Signature(answer));
    }

    /// The card has left the reader.
    pub(super) fn cares_card_removed(&mut self) {
        let all: Vec<TxnId> = self.cares.iter().map(|care| care.id.clone()).collect();
        for id in all {
            self.step_care(&id, Event::CardRemoved);
        }
    }

    /// A reversal has ended well.
    pub(super) fn care_resolved(&mut self, id: &TxnId) {
        self.step_care(id, Event::Resolved);
    }

    /// Time passed; what is finished goes.
    pub(super) fn tick_cares(&mut self) {
        let now = self.system.boot();
        let due: Vec<TxnId> = self
            .cares
            .iter()
            .filter(|care| care.machine.deadline().is_some_and(|at: BootTime| now >= at))
            .map(|care| care.id.clone())
            .collect();
        for id in due {
            self.step_care(&id, Event::Tick);
        }
        self.cares.retain(|care| care.machine.state() != crate::domain::outcome::TxnState::Finished);
    }

    fn enqueue(&mut self, key: PrintKey) {
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
            if !ready || self.stopping {
                let reason = if self.printer_status.is_some() { "printer-not-ready" } else { "no-printer" };
                self.ply_ended(&key, PrintState::Held, reason);
                continue;
            }
            self.desk.current = Some(Current { key: key.clone(), document: None, command: 0 });
            match key.of.clone() {
                Of::Txn(id) => self.find(Note::PrintRow(key), id),
                Of::Batch(batch) => self.read_settled(Wish::Print(key), Some(batch)),
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
        let sent = stored && (self.printer)(PrinterCommand::Print { job, document }).is_ok();
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

    fn show_print_job(&mut self, key: &PrintKey) {
        let Some(job) = self.desk.jobs.get(key) else { return };
        let view = PrintJobView {
            id: key.object(),
            kind: if key.txn().is_some() { "receipt" } else { "settlement" },
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

    /// `Transaction.GetReceipt`.
    pub(super) fn receipt(
        &mut self,
        id: TxnId,
        ply: Ply,
        format: String,
        answer: oneshot::Sender<Result<Vec<u8>, Fault>>,
    ) {
        if !matches!(format.as_str(), "text" | "svg" | "escpos") {
            let fault = Fault::new(FaultName::NotSupported, "this version gives text, svg and escpos");
            return reply(answer, Err(fault));
        }
        self.find(Note::Receipt(Box::new(ReceiptWish { ply, format, answer })), id);
    }

    pub(super) fn receipt_found(
        &mut self,
        wish: ReceiptWish,
        result: Result<Option<Box<TxnRow>>, JournalError>,
    ) {
        let ReceiptWish { ply, format, answer } = wish;
        reply(answer, self.rendered(result, ply, &format));
    }

    fn rendered(
        &self,
        result: Result<Option<Box<TxnRow>>, JournalError>,
        ply: Ply,
        format: &str,
    ) -> Result<Vec<u8>, Fault> {
        let row = result.map_err(|error| super::journal_thread::read_fault(&error))?;
        let row =
            row.ok_or_else(|| Fault::new(FaultName::NotFound, "the transaction is not in the ledger"))?;
        // A ply that may be on paper already is handed out as a copy only.
        let out =
            |p: &PlyRow| p.ply == ply && matches!(p.state, PrintState::Confirmed | PrintState::Unconfirmed);
        let document = self
            .document(&row, ply, row.plies.iter().any(out))
            .ok_or_else(|| Fault::new(FaultName::WrongState, "only an approved transaction has a slip"))?;
        let columns = self.settings.width_dots / 12;
        match format {
            "text" => Ok(receipt::text(&document, columns).into_bytes()),
            "svg" => Ok(receipt::svg(&document, self.settings.width_dots).into_bytes()),
            _ => (self.encode_slip)(&document).map_err(|text| Fault::new(FaultName::Failed, text)),
        }
    }

    /// What slips say of the shop.
    pub(super) fn shop(&self, currency: Currency) -> Shop {
        Shop {
            merchant_name: self.settings.merchant_name.clone(),
            terminal_id: self.settings.identity.terminal_id.clone(),
            merchant_id: self.settings.identity.merchant_id.clone(),
            language: self.settings.language,
            currency_symbol: symbol(currency.alpha()).to_owned(),
            profile: Arc::clone(&self.settings.identity.profile),
        }
    }

    fn document(&self, row: &TxnRow, ply: Ply, copy: bool) -> Option<Document> {
        let shop = self.shop(row.start.currency);
        let at = row.finished_at.unwrap_or(row.start.created_at);
        slip::receipt(row, &shop, self.system.local(at), ply, copy)
    }

    /// The row of an ended transaction was read again: what it owes and its outcome are taken from there.
    pub(super) fn refreshed(&mut self, id: &TxnId, result: Result<Option<Box<TxnRow>>, JournalError>) {
        self.owed_row_read(id, result.as_ref().err());
        let Ok(Some(row)) = result else { return };
        self.take_entries(&row);
        self.review_refusal(&row);
        self.show_row(&row);
        self.refresh_original(&row.start);
        if !self.queue.iter().any(|entry| entry.id.txn == *id) {
            self.care_resolved(id);
        }
    }
}

/// What stands before amounts on slips.
fn symbol(alpha: &str) -> &str {
    if alpha == "CNY" { "RMB" } else { alpha }
}

fn ply_record(key: &PrintKey, state: PrintState, reason: &str) -> Option<Record> {
    let id = key.txn()?.clone();
    Some(Record::PlyState { id, ply: key.ply, copy: key.copy, state, reason: reason.to_owned() })
}

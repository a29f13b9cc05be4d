//! From what the engine holds to what the bus shows, and the publishing of changes.
use super::handle::Notice;
use super::keys::shown;
use super::shown::Entry;
use super::view::{HostView, LedgerView, PrinterView, ReaderView, Snapshot, TerminalView, TxnView};
use super::{Engine, EngineError, Note};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryType, Outcome, PrintState, TerminalState, TxnState};
use crate::domain::queue;
use crate::domain::record::{
    Begun, CardFacts, CardSeen, Closed, EntryRow, HostFacts, PlyRow, TxnFilter, TxnRow, TxnStart,
};
use crate::domain::rules;
use crate::domain::text;
use crate::domain::txn::Cancellable;
use crate::domain::txn::refused::SIGNATURE_REFUSED;
use crate::domain::unionpay::answers::available_balance;
use crate::domain::unionpay::catalogue::Catalogue;
use crate::ports::{JournalError, ReaderStatus};
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How long before its end a certificate is warned of, µs: 30 days. Choice: an acquirer needs weeks to issue one.
const CERTIFICATE_NOTICE_US: u64 = 30 * 86_400 * 1_000_000;
/// How often the calendar is looked at.
const DAY_LOOK: Duration = Duration::from_secs(3_600);
/// Rows a page may have.
const PAGE_MAX: u32 = 200;

/// A transaction that has just been created.
pub(super) fn of_start(start: &TxnStart, batch: BatchNumber) -> TxnView {
    TxnView {
        id: start.id.clone(),
        request_id: start.request_id.to_string(),
        kind: start.kind,
        currency: start.currency.alpha(),
        amount: start.amount,
        approved_amount: Amount::ZERO,
        created_at: start.created_at,
        finished_at: WallTime::default(),
        operator: start.operator.to_string(),
        trace: 0,
        batch: batch.get(),
        rrn: String::new(),
        auth_code: String::new(),
        masked_pan: String::new(),
        card_token: String::new(),
        card_brand: String::new(),
        aid: String::new(),
        application_label: String::new(),
        entry_mode: "",
        armed_entry_modes: vec!["chip"],
        cvm_method: "",
        signature_required: false,
        state: TxnState::Created,
        state_reason: String::new(),
        cancellable: true,
        deadline: BootTime::default(),
        deadline_kind: "",
        attempt: (0, 0),
        attempt_link: None,
        outcome: Outcome::None,
        response_code: String::new(),
        result_code: None,
        result_text: None,
        original: start.terms.original.as_ref().and_then(|original| original.txn.clone()),
        follow_ups: Vec::new(),
        allowed_follow_ups: Vec::new(),
        refunded_total: Amount::ZERO,
        balance: None,
        print_jobs: Vec::new(),
        printed: false,
    }
}

/// A transaction as the ledger has it.
pub(super) fn of_row(row: &TxnRow, catalogue: &Catalogue) -> TxnView {
    let mut view = of_start(&row.start, row.batch);
    view.trace = row.stan.map_or(0, Stan::get);
    if let Some(card) = &row.card_seen {
        show_seen(&mut view, card);
    }
    view.masked_pan.clone_from(&row.masked_pan);
    view.state = if is_resolving(row) { TxnState::Resolving } else { TxnState::Finished };
    view.cancellable = false;
    view.armed_entry_modes.clear();
    show_end(&mut view, row, catalogue);
    let original = |p: &&PlyRow| p.copy == 0;
    view.printed = row.plies.iter().any(|p| p.copy == 0)
        && row.plies.iter().filter(original).all(|p| p.state == PrintState::Confirmed);
    view
}

/// The outcome is unknown, and somebody may still find it out; what the shop has written off stays unknown.
fn is_resolving(row: &TxnRow) -> bool {
    row.outcome == Outcome::Unknown && row.entries.iter().any(EntryRow::is_open)
}

fn show_card(view: &mut TxnView, card: &CardFacts) {
    view.masked_pan = card.pan.masked();
    show_seen(view, &card.seen());
}

fn show_seen(view: &mut TxnView, card: &CardSeen) {
    view.card_token.clone_from(&card.token);
    view.card_brand.clone_from(&card.brand);
    view.aid.clone_from(&card.aid);
    view.application_label.clone_from(&card.label);
    view.entry_mode = card.entry_mode.word();
    view.cvm_method = card.cvm.word();
    view.signature_required = card.signature_required;
}

fn show_host(view: &mut TxnView, host: &HostFacts) {
    view.rrn = host.rrn.as_ref().map(ToString::to_string).unwrap_or_default();
    view.auth_code = host.auth_code.as_ref().map(ToString::to_string).unwrap_or_default();
    view.response_code = host.response_code.as_ref().map(ToString::to_string).unwrap_or_default();
    let balance = host.balance.as_deref().and_then(available_balance);
    view.balance = balance.map(|(minor, currency)| (minor, currency.alpha()));
}

fn show_end(view: &mut TxnView, row: &TxnRow, catalogue: &Catalogue) {
    view.outcome = row.outcome;
    view.result_code = row.result;
    view.approved_amount = row.approved_amount;
    view.finished_at = row.finished_at.unwrap_or_default();
    show_host(view, &row.host);
    let code = row.host.response_code.as_ref().map(|code| code.as_str());
    let ended = |result| text::ended(row.start.kind, row.outcome, result, code, catalogue);
    view.result_text = row.result.map(ended);
    view.follow_ups = row.follow_ups.iter().map(|follow| follow.id.clone()).collect();
    view.refunded_total = rules::refunded_total(row);
}

impl Engine {
    /// Objects for what the journal brought.
    pub(super) fn restore_entries(&mut self, recent: &[TxnRow], open: &[TxnRow]) {
        for row in open.iter().chain(recent.iter().rev()) {
            self.enter_row(row);
        }
    }

    /// A stored transaction gets an entry and its print jobs.
    pub(super) fn enter_row(&mut self, row: &TxnRow) {
        if self.entries.contains_key(&row.start.id) {
            return;
        }
        let order = self.fresh_id();
        let mut view = of_row(row, &self.settings.identity.profile.catalogue);
        view.allowed_follow_ups = self.allowed_follow_ups(row);
        let entry = Entry {
            view,
            published: None,
            arguments_sha256: row.start.arguments_sha256,
            order,
            exposed_until: None,
        };
        self.entries.insert(row.start.id.clone(), entry);
        self.restore_print_jobs(row);
    }

    /// An entry and its objects go.
    pub(super) fn drop_entry(&mut self, id: &TxnId) {
        self.drop_print_jobs(id);
        if self.entries.remove(id).is_some() {
            self.tell(Notice::TxnGone(id.clone()));
        }
    }

    /// The running transaction's view follows its machine; a new state is told.
    pub(super) fn show_txn(&mut self) {
        let Some(active) = &self.active else { return };
        let txn = &active.txn;
        let (id, state) = (txn.id().clone(), txn.state());
        let (card, cancellable) = (txn.card_facts(), txn.cancellable() == Cancellable::Yes);
        let (deadline, kind) = txn.deadline().unwrap_or_default();
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let view = &mut entry.view;
        if let Some(card) = card {
            show_card(view, &card);
        }
        // `Ended` is shown by aftercare; storing the outcome is not a state of its own for the world.
        let storing = matches!(state, TxnState::Finished | TxnState::Resolving);
        let shown = if storing { view.state } else { state };
        view.cancellable = cancellable;
        view.deadline = deadline;
        view.deadline_kind = kind;
        self.change_state(&id, shown);
    }

    /// A transaction's state changed: its properties first, then the signal.
    fn change_state(&mut self, id: &TxnId, new: TxnState) {
        let at = self.wall();
        let Some(entry) = self.entries.get_mut(id) else { return };
        let old = entry.view.state;
        if old == new {
            return;
        }
        entry.view.state = new;
        let reason = entry.view.state_reason.clone();
        self.timeline(id, "state", &format!("{old} → {new}"));
        self.tell_txn(id);
        self.tell(Notice::StateChanged { id: id.clone(), old, new, reason, at });
    }

    /// Numbers were taken by the journal.
    pub(super) fn stan_taken(&mut self, stan: Stan, batch: BatchNumber) {
        self.open_batch.has_records = true;
        self.next_stan = stan.next();
        let identity = &self.settings.identity;
        self.open_batch.identity.get_or_insert_with(|| Begun {
            terminal_id: identity.terminal_id.clone(),
            merchant_id: identity.merchant_id.clone(),
            currency: self.settings.currency.alpha().to_owned(),
            profile: identity.profile.name.clone(),
        });
        let id = self.active.as_ref().map(|active| active.txn.id().clone());
        if let Some(entry) = id.and_then(|id| self.entries.get_mut(&id)) {
            entry.view.trace = stan.get();
            entry.view.batch = batch.get();
        }
    }

    /// The outcome is durable: it is shown.
    pub(super) fn show_closed(&mut self, closed: &Closed) {
        let Some(entry) = self.entries.get_mut(&closed.id) else { return };
        let catalogue = &self.settings.identity.profile.catalogue;
        let view = &mut entry.view;
        if let Some(card) = &closed.card {
            show_card(view, card);
        }
        view.outcome = closed.outcome;
        view.result_code = Some(closed.result);
        view.approved_amount = closed.approved_amount;
        view.finished_at = closed.finished_at;
        show_host(view, &closed.host);
        let code = closed.host.response_code.as_ref().map(|code| code.as_str());
        view.result_text = Some(text::ended(view.kind, closed.outcome, closed.result, code, catalogue));
        closed.result.word().clone_into(&mut view.state_reason);
        view.cancellable = false;
        view.deadline = BootTime::default();
        view.deadline_kind = "";
        view.armed_entry_modes.clear();
    }

    /// Aftercare moved on.
    pub(super) fn show_care(&mut self, id: &TxnId) {
        let state = self.cares.iter().find(|care| care.id == *id).map(|care| care.machine.state());
        if let Some(state) = state {
            self.change_state(id, state);
        }
    }

    /// A stored row changed an outcome later: unknown becomes reversed.
    pub(super) fn show_row(&mut self, row: &TxnRow) {
        let allowed = self.allowed_follow_ups(row);
        let Some(entry) = self.entries.get_mut(&row.start.id) else { return };
        show_end(&mut entry.view, row, &self.settings.identity.profile.catalogue);
        entry.view.allowed_follow_ups = allowed;
        let looked_after = self.cares.iter().any(|care| care.id == row.start.id);
        if !looked_after && !is_resolving(row) {
            self.change_state(&row.start.id, TxnState::Finished);
        }
    }

    /// What may follow a transaction depends on the day: when it changes, by midnight or by a clock that was set, all
    /// that have ended are read anew.
    pub(super) fn tick_day(&mut self) {
        let now = self.system.local(self.wall());
        if self.shown_on.replace(now).is_none_or(|before| before.same_day(now)) {
            return;
        }
        let shown = self.entries.values().filter(|entry| entry.view.outcome != Outcome::None);
        let ids: Vec<TxnId> = shown.map(|entry| entry.view.id.clone()).collect();
        ids.iter().for_each(|id| self.refresh(id));
    }

    /// When the day may change next. Looked at once an hour, because a zone's clocks may be changed on the way.
    pub(super) fn next_day_at(&self) -> BootTime {
        let left = self.system.local(self.wall()).until_midnight();
        self.system.boot().after(left.min(DAY_LOOK))
    }

    /// Asks the journal for a row again.
    pub(super) fn refresh(&mut self, id: &TxnId) {
        self.find(Note::Refresh(id.clone()), id.clone());
    }

    /// Queues a transaction's properties for the bus, if they changed.
    pub(super) fn tell_txn(&mut self, id: &TxnId) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        self.outbox.extend(entry.publish().map(Notice::Txn));
    }

    /// Sends everything that is new to the publisher, in order. The publisher never waits for the engine.
    pub(super) async fn publish(&mut self) -> Result<(), EngineError> {
        self.outbox.extend(self.entries.publish().into_iter().map(Notice::Txn));
        let snapshot = self.snapshot();
        if self.published.snapshot.as_deref() != Some(&snapshot) {
            let busy = !snapshot.terminal.update_blockers.is_empty();
            if busy != self.published.busy_lock {
                self.published.busy_lock = busy;
                self.system.hold_busy_lock(busy);
            }
            let snapshot = Arc::new(snapshot);
            self.published.snapshot = Some(Arc::clone(&snapshot));
            self.snapshot.send_replace(Arc::clone(&snapshot));
            let end = self.outbox.iter().position(|notice| matches!(notice, Notice::Finished { .. }));
            self.outbox.insert(end.unwrap_or(self.outbox.len()), Notice::Snapshot(snapshot));
        }
        let line = &self.line;
        for notice in due(&mut self.outbox, |id| line.awaits_row_of(id)) {
            self.notices
                .send(notice)
                .await
                .map_err(|_| EngineError::Lost("the bus side is gone".to_owned()))?;
        }
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            terminal: self.terminal_view(),
            operators: self.operators_view(),
            host: self.host_view(),
            queue: self.queue_view(),
            ledger: LedgerView {
                batch: self.batch.get(),
                batch_state: self.batch_state(),
                batch_opened_at: self.open_batch.opened_at,
                counts: self.counts.iter().map(|(kind, count)| (kind.clone(), *count)).collect(),
            },
            readers: self.reader_views(),
            printer: self.printer_view(),
            network: self.network_view(),
            links: self.link_views(),
        }
    }

    fn terminal_view(&self) -> TerminalView {
        let settings = &self.settings;
        let offline = self.keys.is_none() || self.reachable == "no";
        let state = if self.storage_trouble.is_some() {
            TerminalState::Fault
        } else if self.active.is_some() {
            TerminalState::Trading
        } else if self.settling() {
            TerminalState::Settling
        } else if self.identity_changed() || self.upkeep.is_unconfirmed() || self.health.inhibitors.any() {
            TerminalState::Maintenance
        } else if offline {
            TerminalState::ReadyOffline
        } else {
            TerminalState::Ready
        };
        let mut blocked = Vec::new();
        for kind in &settings.enabled_kinds {
            let nobody = self.session.is_none().then_some("no-operator");
            let reason = self.blocked_reason(*kind).or(nobody).or_else(|| self.store_blocked(*kind));
            if let Some(reason) = reason {
                blocked.push((kind.word().to_owned(), reason.to_owned()));
            }
        }
        TerminalView {
            state,
            reasons: self.reasons(),
            active: self.active.as_ref().map(|active| active.txn.id().clone()),
            enabled_kinds: settings.enabled_kinds.iter().copied().filter(|kind| kind.is_built()).collect(),
            blocked,
            update_blockers: self.update_blockers(),
            clock_trusted: self.clock_trusted(),
            terminal_id: settings.identity.terminal_id.to_string(),
            merchant_id: settings.identity.merchant_id.to_string(),
            merchant_name: settings.merchant_name.clone(),
        }
    }

    fn reasons(&self) -> Vec<String> {
        let count: u32 = self.counts.values().copied().fold(0, u32::saturating_add);
        let max = self.settings.batch_max;
        let near = count >= max.saturating_sub(max / 10);
        let named = [
            (self.storage_trouble.is_some(), "storage-fault"),
            (self.upkeep.is_unconfirmed(), "restore-unconfirmed"),
            (self.health.inhibitors.any(), "inhibited"),
            (self.health.config.is_pending(), "config-unconfirmed"),
            (self.identity_changed(), "identity-changed"),
            (!self.has_master_key(), "keys-missing"),
            (self.settings.emv.aids.is_empty(), "parameters-missing"),
            (self.downloads.is_incomplete(), "download-incomplete"),
            (self.keys.is_none(), "not-signed-on"),
            (self.open_batch.mismatch, "batch-mismatch"),
            (self.reachable == "no", "host-unreachable"),
            (self.queue.iter().any(|entry| entry.entry_type() == EntryType::Reversal), "reversal-pending"),
            (self.queue.iter().any(queue::Entry::is_unresolved), "unresolved"),
            (self.queue_paused.is_some(), "queue-paused"),
            (!self.readers.iter().any(|reader| !reader.contactless), "no-reader"),
            (self.printer_status.is_none(), "no-printer"),
            (self.printer_status.as_ref().is_some_and(|printer| !printer.online), "printer-not-ready"),
            (self.printer_status.as_ref().is_some_and(|printer| printer.paper == "out"), "paper-out"),
            (self.printer_status.as_ref().is_some_and(|printer| printer.paper == "low"), "paper-low"),
            (near && count < max, "settle-soon"),
            (count >= max, "batch-full"),
            (!self.clock_trusted(), "clock-untrusted"),
            (self.certificate_expires(), "certificate-expiring"),
            (self.refused.is_open(), SIGNATURE_REFUSED),
        ];
        let standing = self.settings.standing_reasons.iter().cloned();
        standing
            .chain(named.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.to_owned()))
            .collect()
    }

    pub(super) fn update_blockers(&self) -> Vec<String> {
        let named = [
            (self.active.is_some(), "transaction"),
            (self.settling(), "settlement"),
            (self.line.busy(), "host"),
            (self.desk.depth() > 0, "printing"),
            (self.queue.iter().any(|entry| entry.entry_type() == EntryType::Reversal), "reversal"),
            (self.queue.iter().any(queue::Entry::is_sendable), "queue"),
            (self.health.inhibitors.any(), "inhibited"),
        ];
        named.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.to_owned()).collect()
    }

    fn host_view(&self) -> HostView {
        let master = self.key_store.master_check().map(|check| ("tmk", check));
        let working = self.keys.iter().flat_map(|keys| keys.check_values());
        HostView {
            signed_on: self.keys.is_some(),
            reachable: self.reachable,
            key_check_values: master
                .into_iter()
                .chain(working)
                .map(|(name, check)| (name.to_owned(), shown(check)))
                .collect(),
            keys_loaded_at: self.key_record.as_ref().map(|record| record.loaded_at).unwrap_or_default(),
            parameter_version: self.downloads.tables.version(),
            last_exchange: self.last_exchange,
            certificate_until: self.line.certificate_until.unwrap_or_default(),
            own_certificate_until: self.settings.own_certificate_until.unwrap_or_default(),
        }
    }

    /// A certificate of the way to the bank ends within a month, or has ended.
    fn certificate_expires(&self) -> bool {
        let soon = WallTime(self.wall().0.saturating_add(CERTIFICATE_NOTICE_US));
        let ends = [self.line.certificate_until, self.settings.own_certificate_until];
        ends.into_iter().flatten().any(|until| until <= soon)
    }

    fn reader_views(&self) -> Vec<ReaderView> {
        let names = ["cards", "apdus", "faults"];
        let trading = self.active.as_ref().is_some_and(|active| active.txn.state() != TxnState::Created);
        let used = usize::try_from(self.contact_reader()).unwrap_or(0);
        let view = |(at, status): (usize, &ReaderStatus)| ReaderView {
            state: match (status.ok, trading && self.slot.card_in && at == used) {
                (false, _) => "fault",
                (true, true) => "busy",
                (true, false) => "ready",
            },
            statistics: names
                .iter()
                .zip(if at == used { self.slot.counts } else { [0; 3] })
                .map(|(n, count)| ((*n).to_owned(), count))
                .collect(),
            status: status.clone(),
        };
        self.readers.iter().enumerate().map(view).collect()
    }

    fn printer_view(&self) -> Option<PrinterView> {
        let names = ["jobs", "confirmed", "unconfirmed", "held"];
        Some(PrinterView {
            status: self.printer_status.clone()?,
            queue_depth: self.desk.depth(),
            statistics: names
                .iter()
                .zip(self.desk.counts)
                .map(|(n, count)| ((*n).to_owned(), count))
                .collect(),
            drawer: self.drawer_view(),
        })
    }

    /// The readers as the card thread now sees them.
    pub(super) fn readers_changed(&mut self, readers: Vec<ReaderStatus>) {
        self.readers = readers;
    }

    /// Index of the contact reader in use.
    pub(super) fn contact_reader(&self) -> u32 {
        let at = self.readers.iter().position(|reader| !reader.contactless && reader.ok);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
    }

    /// Counts a card, an APDU or a fault.
    pub(super) fn count_reader(&mut self, slot: usize) {
        if let Some(count) = self.slot.counts.get_mut(slot) {
            *count = count.saturating_add(1);
        }
    }

    /// `Ledger.Query`: the journal answers through a small task, the loop goes on.
    pub(super) fn query(
        &mut self,
        filter: Box<TxnFilter>,
        limit: u32,
        cursor: String,
        answer: oneshot::Sender<Result<(Vec<TxnView>, String), Fault>>,
    ) {
        let profile = Arc::clone(&self.settings.identity.profile);
        let done = Box::new(move |page: Result<(Vec<TxnRow>, String), JournalError>| {
            let views = page
                .map(|(rows, next)| (rows.iter().map(|row| of_row(row, &profile.catalogue)).collect(), next));
            super::start::reply(answer, views.map_err(|error| super::journal_thread::read_fault(&error)));
        });
        let limit = limit.clamp(1, PAGE_MAX);
        self.put_task(super::journal_thread::Task::Query { filter, limit, cursor, done });
    }

    /// `Ledger.Open`.
    pub(super) fn open(&mut self, batch: u32, trace: u32, answer: oneshot::Sender<Result<TxnId, Fault>>) {
        let known =
            self.entries.iter().find(|(_, e)| e.view.batch == batch && e.view.trace == trace && trace > 0);
        if let Some((id, _)) = known {
            return super::start::reply(answer, Ok(id.clone()));
        }
        self.put_task(super::journal_thread::Task::FindTrace { note: Note::Open(answer), batch, trace });
    }

    /// The transaction of a batch and STAN was looked up.
    pub(super) fn opened(
        &mut self,
        answer: oneshot::Sender<Result<TxnId, Fault>>,
        result: Result<Option<Box<TxnRow>>, JournalError>,
    ) {
        match result {
            Ok(Some(row)) => {
                let id = row.start.id.clone();
                let (sent, exposed) = oneshot::channel();
                self.expose_found(&id, sent, Ok(Some(row)));
                drop(exposed); // the path is the answer
                super::start::reply(answer, Ok(id));
            }
            Ok(None) => {
                let fault = Fault::new(
                    FaultName::NotFound,
                    "no transaction of that batch and trace; query the ledger",
                );
                super::start::reply(answer, Err(fault));
            }
            Err(error) => super::start::reply(answer, Err(super::journal_thread::read_fault(&error))),
        }
    }
}

/// What goes out now. Whoever hears that a transaction is finished finds what it owes in the queue: until its row is
/// read that word stays, and it alone: the api hands out a path when it believes that its object's notice has gone.
fn due(outbox: &mut Vec<Notice>, awaits_row_of: impl Fn(&TxnId) -> bool) -> Vec<Notice> {
    let early = |notice: &Notice| matches!(notice, Notice::Finished { id, .. } if awaits_row_of(id));
    let (stays, goes) = core::mem::take(outbox).into_iter().partition(early);
    *outbox = stays;
    goes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::RequestId;

    fn txn(request: &str) -> TxnId {
        TxnId::of(&RequestId::new(request).unwrap())
    }

    fn finished(request: &str) -> Notice {
        Notice::Finished { id: txn(request), outcome: Outcome::Unknown }
    }

    fn names(notices: &[Notice]) -> Vec<String> {
        let name = |notice: &Notice| match notice {
            Notice::Finished { id, .. } => id.to_string(),
            other => format!("{other:?}"),
        };
        notices.iter().map(name).collect()
    }

    /// Goal: the end of a transaction is told when its row has been read, once; nothing else waits with it.
    #[test]
    fn only_the_end_of_a_transaction_waits_for_its_row() {
        let mut outbox = vec![Notice::JobGone(1), finished("owes"), Notice::JobGone(2), finished("paid")];
        let owes = txn("owes");
        let gone = due(&mut outbox, |id| *id == owes);
        assert_eq!(names(&gone), names(&[Notice::JobGone(1), Notice::JobGone(2), finished("paid")]));
        assert_eq!(names(&due(&mut outbox, |_| false)), names(&[finished("owes")]));
        assert!(outbox.is_empty());
    }
}

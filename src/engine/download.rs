//! Downloads from the bank: who asks for one, the machine's effects, and which table is under way.
//!
//! A download takes the line when nobody else wants it: no transaction, no settlement, nothing owed that goes now. What
//! it has built aside outlives a restart, after which it goes on. What the tables mean to the terminal stands in
//! `tables.rs`.
use super::handle::{Caller, CancelAnswer, Leave};
use super::tables::Tables;
use super::view::JobValue;
use super::{Engine, Note, cut};
use crate::domain::calendar::BootTime;
use crate::domain::download::machine::{Download, Event, Report, Request, Setup};
use crate::domain::download::{Kind, Progress, TableStep, UNLISTED};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::leave::Deed;
use crate::domain::outcome::{PinEntry, TxnState};
use crate::domain::record::{Committed, Record};
use crate::domain::txn::management::Errand;
use crate::domain::txn::{Effects, Vital};
use crate::domain::unionpay::HostWish;
use crate::domain::unionpay::answers::{self, AnswerError};
use crate::domain::unionpay::messages;
use crate::ports::{Durability, JournalError};
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Longest wait for one answer. Choice: short, because a sale may come meanwhile and waits for it.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest pause before an unfinished download is tried again.
const RETRY_MAX: Duration = Duration::from_secs(86_400);

/// Downloads: what runs, what is wanted.
pub(super) struct Downloads {
    pub(super) tables: Tables,
    run: Option<Run>,
    /// Steps handed to the journal, which has not answered yet.
    storing: Option<Vec<TableStep>>,
    /// What the host's header asked for; done when the transaction is over.
    asked_for: BTreeSet<Kind>,
    /// The host's header asked for the terminal's state.
    state_asked_for: bool,
    /// Failed or interrupted: tried again then.
    unfinished: BTreeSet<Kind>,
    retry_at: Option<BootTime>,
    /// The last pause before a retry; zero = the last download went well.
    pause: Duration,
}

/// One job: kinds one after the other.
struct Run {
    job: u64,
    waiting: VecDeque<Kind>,
    machine: Option<Download>,
    kinds: usize,
    reports: Vec<(Kind, Report)>,
}

impl Downloads {
    pub(super) fn new(tables: Tables) -> Self {
        let unfinished: BTreeSet<Kind> = tables.incomplete().collect();
        // After a restart it goes on at once.
        let retry_at = (!unfinished.is_empty()).then(BootTime::default);
        Self {
            tables,
            run: None,
            storing: None,
            asked_for: BTreeSet::new(),
            state_asked_for: false,
            unfinished,
            retry_at,
            pause: Duration::ZERO,
        }
    }

    /// Something was begun and is not in use yet.
    pub(super) fn is_incomplete(&self) -> bool {
        !self.unfinished.is_empty() || self.tables.incomplete().next().is_some()
    }

    fn machine(&self) -> Option<&Download> {
        self.run.as_ref().and_then(|run| run.machine.as_ref())
    }

    /// When it wants to hear that time passed.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.machine().and_then(Download::deadline)
    }

    /// The way to the bank is there again, or a sign-on was done: what failed need not wait.
    pub(super) fn hurry(&mut self, now: BootTime) {
        self.retry_at = self.retry_at.map(|at| at.min(now));
    }
}

impl Engine {
    /// `Host.DownloadParameters`. While one runs its job is the answer, and does these as well.
    pub(super) fn download_parameters(
        &mut self,
        kinds: Option<Vec<Kind>>,
        leave: &Leave,
        caller: &Caller,
    ) -> Result<u64, Fault> {
        let operator = self.may(&Deed::of("parameters"), leave, caller)?;
        if self.stopping() {
            return Err(Fault::new(FaultName::NotReady, "the terminal is stopping"));
        }
        if let Some(error) = &self.storage_trouble {
            return Err(super::journal_thread::read_fault(error));
        }
        if self.upkeep.holds_money() {
            return Err(super::upkeep::restored_fault());
        }
        let kinds = kinds.unwrap_or_else(|| self.settings.identity.profile.downloads.kinds.clone());
        let job = self.start_download(&kinds)?;
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let line = self.audit(Some(&operator), format!("download of {}", words.join(", ")));
        self.commit(Note::Evidence, vec![line], Durability::Full);
        Ok(job)
    }

    /// Begins a job, or gives the one that runs more to do.
    fn start_download(&mut self, kinds: &[Kind]) -> Result<u64, Fault> {
        if self.downloads.run.is_none() {
            let job = self.new_job("download")?;
            let (waiting, reports) = (VecDeque::new(), Vec::new());
            self.downloads.run = Some(Run { job, waiting, machine: None, kinds: 0, reports });
            self.downloads.retry_at = None;
        }
        let Some(run) = &mut self.downloads.run else { return Ok(0) };
        for kind in kinds {
            let known = run.waiting.contains(kind) || run.machine.as_ref().is_some_and(|m| m.kind() == *kind);
            if !known {
                run.waiting.push_back(*kind);
                run.kinds = run.kinds.saturating_add(1);
            }
        }
        Ok(run.job)
    }

    /// What the host's header asks for. Nothing is done before the transaction is over.
    pub(super) fn heed(&mut self, wish: HostWish) {
        match wish {
            HostWish::Nothing => {}
            HostWish::SignOn => self.sign_on_asked_for = true,
            HostWish::Download(kind) => _ = self.downloads.asked_for.insert(kind),
            HostWish::State => self.downloads.state_asked_for = true,
            HostWish::Application => {
                tracing::info!("the host offers a new application; updates come as packages");
            }
            HostWish::Unknown(digit) => tracing::warn!(digit, "the host's header asks for something unknown"),
        }
    }

    /// … in the answer to a sign-on, sign-off, echo or upload of the state: another one of the kind would answer the
    /// same for ever, so only a download counts.
    pub(super) fn heed_management(&mut self, wish: HostWish) {
        if !matches!(wish, HostWish::SignOn | HostWish::State) {
            self.heed(wish);
        }
    }

    /// A sign-on was done: tables that are missing altogether are asked for.
    pub(super) fn download_what_is_missing(&mut self) {
        self.downloads.hurry(self.system.boot());
        let emv = &self.settings.emv;
        let missing = |kind: &&Kind| match kind {
            Kind::Capk => emv.capks.is_empty(),
            Kind::Aid => emv.aids.is_empty(),
            Kind::Parameters | Kind::Blacklist | Kind::Contactless => false,
        };
        let kinds = self.settings.identity.profile.downloads.kinds.iter();
        let kinds: Vec<Kind> = kinds.filter(missing).copied().collect();
        self.downloads.asked_for.extend(kinds);
    }

    /// Begins what the host asked for when the transaction, its paper and its uploads are done, and what is to be tried
    /// again when its time has come; called after every event of the loop.
    pub(super) fn download_when_free(&mut self) {
        if !self.may_download() || self.downloads.storing.is_some() {
            return;
        }
        let asked = !self.downloads.asked_for.is_empty() || self.downloads.state_asked_for;
        if asked && self.queue_is_calm() && !self.prints() {
            if core::mem::take(&mut self.downloads.state_asked_for)
                && let Err(fault) = self.start_errand(Errand::State)
            {
                tracing::warn!(error = %fault, "the terminal's state is not uploaded");
            }
            let kinds: Vec<Kind> = core::mem::take(&mut self.downloads.asked_for).into_iter().collect();
            self.start_by_itself(&kinds);
        }
        let now = self.system.boot();
        if self.downloads.run.is_none() && self.downloads.retry_at.is_some_and(|at| now >= at) {
            let kinds: Vec<Kind> = self.downloads.unfinished.iter().copied().collect();
            self.downloads.retry_at = None;
            self.start_by_itself(&kinds);
        }
        self.next_kind();
    }

    fn start_by_itself(&mut self, kinds: &[Kind]) {
        if kinds.is_empty() {
            return;
        }
        tracing::info!(?kinds, "download begins");
        if let Err(fault) = self.start_download(kinds) {
            tracing::warn!(error = %fault, "no download");
            self.downloads.unfinished.extend(kinds);
            self.try_again_later();
        }
    }

    fn next_kind(&mut self) {
        let Some(run) = &mut self.downloads.run else { return };
        if run.machine.is_some() {
            return;
        }
        let known = |kind: &Kind| self.downloads.tables.incomplete().any(|other| other == *kind);
        let wanted: Vec<Kind> = run.waiting.iter().copied().filter(|kind| !known(kind)).collect();
        if !wanted.is_empty() {
            return self.store_wishes(&wanted);
        }
        let Some(kind) = run.waiting.pop_front() else { return self.end_download(None) };
        let setup = Setup {
            patience: PATIENCE.min(self.settings.response_timeout),
            profile: Arc::clone(&self.settings.identity.profile),
            token_key: self.settings.token_key.clone(),
        };
        run.machine = Some(Download::new(kind, setup, self.downloads.tables.of(kind)));
        self.show_download();
    }

    /// What is to come is durable before the first of it is asked for: a power cut forgets no kind of a job.
    fn store_wishes(&mut self, kinds: &[Kind]) {
        let at = self.wall();
        let begun = |kind: &Kind| TableStep::Begun { kind: *kind, list: UNLISTED, at };
        self.store_steps(kinds.iter().map(begun).collect());
    }

    /// Wishes of which nothing has come yet are no more. Lost in a power cut they come back, which does no harm.
    fn forget_wishes(&mut self, kinds: &[Kind]) {
        let only_wanted = |kind: &Kind| self.downloads.tables.of(*kind).is_some_and(Progress::is_only_wanted);
        let dropped = |kind: Kind| TableStep::Dropped { kind };
        let steps: Vec<TableStep> = kinds.iter().copied().filter(only_wanted).map(dropped).collect();
        if !steps.is_empty() {
            self.take_steps(&steps);
            let records = steps.into_iter().map(Record::Table).collect();
            self.commit(Note::Evidence, records, Durability::Lazy);
        }
    }

    fn store_steps(&mut self, steps: Vec<TableStep>) {
        cut::boundary(&"before store download");
        self.downloads.storing = Some(steps.clone());
        self.commit(Note::Download, steps.into_iter().map(Record::Table).collect(), Durability::Full);
    }

    /// Nothing else has the terminal.
    fn may_download(&self) -> bool {
        self.active.is_none()
            && !self.settling()
            && !self.stopping()
            && self.storage_trouble.is_none()
            && !self.upkeep.holds_money()
    }

    /// DE 62 of the state upload: hardware 01 to 05, one digit each, then the parameters in use as they came. Choice: 0
    /// is good and 1 is not; 01 reader, 02 printer, 03 PIN entry, 04 line, 05 disk. Line statistics (51) are left out:
    /// no source says how they look. Spec: unverified.
    pub(super) fn state_items(&self) -> Vec<u8> {
        let faults = [
            !self.readers.iter().any(|reader| reader.ok),
            self.printer_status.as_ref().is_none_or(|printer| !printer.online),
            self.pin_entry() == PinEntry::Nowhere,
            self.reachable == "no",
            self.storage_trouble.is_some(),
        ];
        let hardware =
            faults.iter().zip(1_u8..).map(|(fault, number)| format!("{number:02}{}", u8::from(*fault)));
        let mut items: Vec<u8> = hardware.collect::<String>().into_bytes();
        for row in self.downloads.tables.of(Kind::Parameters).iter().flat_map(|table| &table.table) {
            items.extend_from_slice(&row.key);
            items.extend_from_slice(&row.data);
        }
        items
    }

    /// A slip is on its way, or its signature is being checked.
    fn prints(&self) -> bool {
        self.desk.depth() > 0 || self.cares.iter().any(|care| care.machine.state() != TxnState::RemoveCard)
    }

    /// True while a download wants the line and may have it.
    pub(super) fn download_wants_line(&self) -> bool {
        self.may_download() && self.downloads.machine().is_some_and(Download::wants_line)
    }

    /// When an unfinished download is tried again.
    pub(super) fn next_download_at(&self) -> Option<BootTime> {
        self.downloads.retry_at.filter(|_| self.downloads.run.is_none() && self.may_download())
    }

    /// Time passed for the download.
    pub(super) fn tick_download(&mut self) {
        let now = self.system.boot();
        if self.downloads.deadline().is_some_and(|at| now >= at) {
            self.step_download(Event::Tick);
        }
    }

    /// Gives the machine an event and carries what it wants.
    pub(super) fn step_download(&mut self, event: Event) {
        let now = self.now();
        let Some(run) = &mut self.downloads.run else { return };
        let Some(machine) = run.machine.take() else { return };
        let (machine, effects) = machine.step(event, now);
        run.machine = Some(machine);
        self.carry_download(effects);
    }

    fn carry_download(&mut self, effects: Effects<(), Request>) {
        self.show_download();
        let over = self.downloads.machine().is_some_and(|machine| machine.ended().is_some());
        if over || self.downloads.machine().is_some_and(Download::wants_line) {
            let failed = self.downloads.machine().and_then(Download::ended).is_some_and(Result::is_err);
            self.download_leaves_line(failed);
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(records) => {
                let step = |record| match record {
                    Record::Table(step) => Some(step),
                    _ => None,
                };
                self.store_steps(records.into_iter().filter_map(step).collect());
            }
            Vital::Send(request) => {
                let (identity, batch) = (&self.settings.identity, self.batch);
                let built = messages::download(identity, batch, request.kind, &request.question);
                self.send_built(Some(built));
            }
        }
        if over {
            self.kind_ended();
        }
    }

    /// What the journal says. Steps that are durable hold, whatever has become of the machine.
    pub(super) fn download_stored(&mut self, result: Result<Committed, JournalError>) {
        cut::boundary(&"stored download");
        let steps = self.downloads.storing.take().unwrap_or_default();
        let stored = result.is_ok();
        if stored {
            self.take_steps(&steps);
        }
        if self.downloads.machine().is_some() {
            return self.step_download(if stored { Event::Stored } else { Event::StoreFailed });
        }
        // The wishes of a job that has not begun.
        if let Some(run) = self.downloads.run.as_mut().filter(|_| !stored) {
            let left: Vec<Kind> = run.waiting.drain(..).collect();
            self.downloads.unfinished.extend(left);
            self.try_again_later();
            let text = "the journal cannot be written; call a technician";
            self.end_download(Some(Fault::new(FaultName::StorageFault, text)));
        }
    }

    /// An answer on the line. `true`: it is not ours. The header of such an answer is not heeded: a host that asks for
    /// a download in the answers of one would never come to an end.
    pub(super) fn download_answer(&mut self, request: &messages::Request, bytes: &[u8]) -> bool {
        match answers::read_management(request, bytes) {
            Ok(answer) => {
                let (code, data) = (answer.response_code, answer.private_62);
                self.step_download(Event::Answered { code, data });
            }
            Err(AnswerError::Foreign { .. }) => return true,
            Err(error) => {
                tracing::warn!(%error, "the answer is not usable");
                self.step_download(Event::Garbled);
            }
        }
        false
    }

    fn show_download(&mut self) {
        let Some(run) = &self.downloads.run else { return };
        let Some(machine) = &run.machine else { return };
        let done = run.reports.len().saturating_mul(100).saturating_add(usize::from(machine.progress()));
        let share = done.checked_div(run.kinds).unwrap_or_default();
        let progress = u8::try_from(share).unwrap_or(99);
        let (job, phase, cancellable) = (run.job, machine.phase(), machine.cancellable());
        self.job_runs(job, phase, progress, cancellable, "");
    }

    fn kind_ended(&mut self) {
        let Some(run) = &mut self.downloads.run else { return };
        let Some(machine) = run.machine.take() else { return };
        let kind = machine.kind();
        match machine.ended().cloned() {
            Some(Ok(report)) => {
                tracing::info!(%kind, rows = report.rows, remarks = ?report.remarks, "downloaded");
                run.reports.push((kind, report));
                self.downloads.unfinished.remove(&kind);
                self.downloads.pause = Duration::ZERO;
                self.next_kind();
            }
            Some(Err(fault)) => {
                tracing::warn!(%kind, error = %fault, "download failed; the old table stays");
                if fault.name == FaultName::Cancelled {
                    if self.downloads.storing.is_none() {
                        self.forget_wishes(&[kind]);
                    }
                } else {
                    let left = core::iter::once(kind).chain(run.waiting.drain(..));
                    self.downloads.unfinished.extend(left);
                    self.try_again_later();
                }
                self.end_download(Some(fault));
            }
            None => {}
        }
    }

    fn try_again_later(&mut self) {
        let first = self.settings.identity.profile.downloads.retry;
        let pause = self.downloads.pause.saturating_mul(2).clamp(first, RETRY_MAX.max(first));
        self.downloads.retry_at = Some(self.system.boot().after(pause));
        self.downloads.pause = pause;
    }

    fn end_download(&mut self, fault: Option<Fault>) {
        let Some(run) = self.downloads.run.take() else { return };
        let mut result = Vec::new();
        let mut remarks = Vec::new();
        for (kind, report) in run.reports {
            if let Some(rows) = report.rows {
                let count = u32::try_from(rows).unwrap_or(u32::MAX);
                result.push((kind.word().to_owned(), JobValue::Count(count)));
            }
            remarks.extend(report.remarks);
        }
        if !remarks.is_empty() {
            result.push(("remarks".to_owned(), JobValue::Text(remarks.join("; "))));
        }
        self.end_job(run.job, result, fault);
    }

    /// `Job.Cancel`.
    pub(super) fn cancel_download(&mut self) -> Result<CancelAnswer, Fault> {
        let Some(run) = &mut self.downloads.run else {
            return Err(Fault::new(FaultName::AlreadyFinished, "the job has ended; read its result"));
        };
        let waiting: Vec<Kind> = run.waiting.drain(..).collect();
        let cancellable = run.machine.as_ref().map(Download::cancellable);
        self.forget_wishes(&waiting);
        match cancellable {
            Some(false) => Err(Fault::new(FaultName::TooLate, "the table is coming into use; wait for it")),
            Some(true) => {
                self.step_download(Event::Cancel);
                Ok(CancelAnswer::Accepted)
            }
            None => {
                self.end_download(Some(Fault::new(FaultName::Cancelled, "cancelled")));
                Ok(CancelAnswer::Accepted)
            }
        }
    }
}

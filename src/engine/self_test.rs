//! The self-test: one part after the other, each with a deadline, nothing that a sale would have to wait for. What is
//! in use when its turn comes is not looked at, and told as such. Beside it the reset of the reader.
use super::Engine;
use super::Note;
use super::journal_thread::JournalDoor;
use super::own_paper::can_move;
use super::paper::PrintKey;
use super::start::reply;
use super::view::JobValue;
use crate::domain::calendar::BootTime;
use crate::domain::checks::{Finding, Level, Part, Reason, in_order};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::outcome::PrintState;
use crate::domain::txn::management::Errand;
use crate::ports::{CardCommand, JournalError, PrinterStatus, Surveyor};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// For the card thread to answer; its own deadline for a command is 10 s.
const READER_PATIENCE: Duration = Duration::from_secs(15);
/// For the test page.
const PAGE_PATIENCE: Duration = Duration::from_secs(30);
/// For the disk and the journal.
const STORAGE_PATIENCE: Duration = Duration::from_secs(60);
/// For the line: above what dialling and answer may take together by configuration, and what goes before it.
const HOST_PATIENCE: Duration = Duration::from_secs(300);
/// Less than this is nearly full: a copy of the journal would not fit any more.
const FREE_LEAST: u64 = 32 << 20;

/// What the engine holds for it.
pub(super) struct SelfTests {
    pub(super) surveyor: Arc<dyn Surveyor>,
    door: JournalDoor<Note>,
    tell: mpsc::Sender<(u64, Finding)>,
    /// What the thread that looks at the disk has found, by number of the look.
    pub(super) seen: mpsc::Receiver<(u64, Finding)>,
    running: Option<Running>,
    resetting: Option<Resetting>,
}

struct Running {
    job: u64,
    level: Level,
    left: VecDeque<Part>,
    found: Vec<Finding>,
    waits: Option<(Step, BootTime)>,
}

/// What is being waited for.
enum Step {
    Reader { id: u64, name: String },
    Page(PrintKey),
    Host,
    Storage { id: u64 },
}

struct Resetting {
    id: u64,
    until: BootTime,
    answer: oneshot::Sender<Result<(), Fault>>,
}

/// A look that is begun.
enum Look {
    Done(Finding),
    Waits(Step, Duration),
}

impl SelfTests {
    pub(super) fn new(surveyor: Arc<dyn Surveyor>, door: JournalDoor<Note>) -> Self {
        let (tell, seen) = mpsc::channel(4);
        Self { surveyor, door, tell, seen, running: None, resetting: None }
    }

    /// When patience with something is over.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        let test = self.running.as_ref().and_then(|running| running.waits.as_ref()).map(|(_, at)| *at);
        test.into_iter().chain(self.resetting.as_ref().map(|resetting| resetting.until)).min()
    }
}

impl Engine {
    /// `Manager.SelfTest`. Nothing named: all that the terminal has.
    pub(super) fn self_test(&mut self, wanted: &[Part], level: Level) -> Result<u64, Fault> {
        if self.stopping() || self.upkeep.holds_money() {
            return Err(Fault::new(FaultName::NotReady, "the terminal is stopping or being restored"));
        }
        if self.health.checks.running.is_some() {
            return Err(Fault::new(FaultName::Busy, "a self-test is running; wait for its job"));
        }
        let drawer = self.settings.drawer_role.is_some();
        let all: Vec<Part> =
            Part::ALL.iter().copied().filter(|part| *part != Part::Drawer || drawer).collect();
        let job = self.new_job("self-test")?;
        let left = in_order(wanted, &all).into();
        self.health.checks.running = Some(Running { job, level, left, found: Vec::new(), waits: None });
        self.go_on_testing();
        Ok(job)
    }

    /// Looks at one part after the other until one has to be waited for, or all are done.
    fn go_on_testing(&mut self) {
        while let Some(running) =
            self.health.checks.running.as_mut().filter(|running| running.waits.is_none())
        {
            let (job, level) = (running.job, running.level);
            let (done, all) = (running.found.len(), running.found.len().saturating_add(running.left.len()));
            let Some(part) = running.left.pop_front() else { return self.self_test_done() };
            let progress = done.saturating_mul(100).checked_div(all).unwrap_or(0);
            self.job_runs(job, part.word(), u8::try_from(progress).unwrap_or(99), true, "");
            let look = self.look_at(part, level, job);
            let until = |patience| self.system.boot().after(patience);
            let waits = match look {
                Look::Done(finding) => {
                    self.found_part(finding);
                    continue;
                }
                Look::Waits(step, patience) => (step, until(patience)),
            };
            if let Some(running) = &mut self.health.checks.running {
                running.waits = Some(waits);
            }
        }
    }

    fn found_part(&mut self, finding: Finding) {
        if let Some(running) = &mut self.health.checks.running {
            running.waits = None;
            running.found.push(finding);
        }
    }

    fn self_test_done(&mut self) {
        let Some(Running { job, found, .. }) = self.health.checks.running.take() else { return };
        let items = JobValue::Rows(found.iter().map(item).collect());
        self.end_job(job, vec![("items".to_owned(), items)], None);
    }

    fn look_at(&mut self, part: Part, level: Level, job: u64) -> Look {
        // A sale that runs has reader, line and disk for itself.
        let busy = self.active.is_some() || self.settling();
        match part {
            Part::Reader | Part::Host | Part::Storage if busy => {
                Look::Done(Finding::bad(part, Reason::Busy.word(), "a transaction or a settlement runs"))
            }
            Part::Reader => self.look_at_reader(),
            Part::Printer => self.look_at_printer(level, busy),
            Part::Drawer => Look::Done(self.look_at_drawer()),
            Part::Host if !self.errand_fits() => {
                Look::Done(Finding::bad(part, Reason::Busy.word(), "8 host jobs wait already"))
            }
            Part::Host => {
                self.queue_errand(Errand::Echo, job);
                Look::Waits(Step::Host, HOST_PATIENCE)
            }
            Part::Links => Look::Done(self.look_at_links()),
            Part::Storage => self.look_at_storage(),
            Part::Clock if self.clock_trusted() => Look::Done(Finding::good(part, "not behind any record")),
            Part::Clock => {
                let detail = "the clock is behind the newest record";
                Look::Done(Finding::bad(part, Reason::ClockUntrusted.word(), detail))
            }
        }
    }

    /// A reader that is known to work is spoken to: a thread that hangs in it would not answer.
    fn look_at_reader(&mut self) -> Look {
        let contact = self.readers.iter().filter(|reader| !reader.contactless);
        let Some(reader) = contact.clone().find(|reader| reader.ok).or_else(|| contact.clone().next()) else {
            return Look::Done(Finding::bad(
                Part::Reader,
                Reason::Absent.word(),
                "no contact reader, or pcscd does not run",
            ));
        };
        let name = reader.name.clone();
        if !reader.ok {
            let reason = reader.reasons.first().map_or(Reason::NotReady.word(), String::as_str);
            return Look::Done(Finding::bad(Part::Reader, reason, name));
        }
        let id = self.fresh_id();
        match (self.card)(CardCommand::PowerOff { id }) {
            Ok(()) => Look::Waits(Step::Reader { id, name }, READER_PATIENCE),
            Err(_) => Look::Done(Finding::bad(Part::Reader, Reason::Hung.word(), name)),
        }
    }

    fn look_at_printer(&mut self, level: Level, busy: bool) -> Look {
        let done = |reason: &str, detail: &str| Look::Done(Finding::bad(Part::Printer, reason, detail));
        let Some(status) = &self.printer_status else {
            return done(Reason::Absent.word(), "no printer");
        };
        let seen = format!("{} {}", status.model, status.device).trim().to_owned();
        if let Some(reason) = printer_trouble(status) {
            return done(reason.word(), &seen);
        }
        if level == Level::Internal {
            return Look::Done(Finding::good(Part::Printer, format!("{seen}, paper {}", status.paper)));
        }
        if busy || self.desk.is_printing() {
            return done(Reason::Busy.word(), "the page would come between the slips");
        }
        match self.print_page() {
            Ok(key) => Look::Waits(Step::Page(key), PAGE_PATIENCE),
            Err(fault) => done(Reason::NotReady.word(), &fault.text),
        }
    }

    /// Never opened by a test: it has money in it.
    fn look_at_drawer(&self) -> Finding {
        let bad = |reason: Reason, detail: &str| Finding::bad(Part::Drawer, reason.word(), detail);
        if self.settings.drawer_role.is_none() {
            return bad(Reason::NotConfigured, "[printer] drawer is \"none\"");
        }
        match &self.printer_status {
            None => bad(Reason::Absent, "no printer to open it"),
            Some(status) => match (printer_trouble(status), status.drawer_open) {
                (Some(_), _) => bad(Reason::NotReady, "the printer that opens it is not ready"),
                (None, Some(true)) => Finding::good(Part::Drawer, "open"),
                (None, Some(false)) => Finding::good(Part::Drawer, "closed"),
                (None, None) => Finding::good(Part::Drawer, "no switch tells whether it is open"),
            },
        }
    }

    fn look_at_links(&self) -> Finding {
        let links = self.link_views();
        let seen = links.iter().map(|link| format!("{} {}", link.facts.name, link.facts.state.word()));
        let seen = seen.collect::<Vec<_>>().join(", ");
        if links.is_empty() {
            return Finding::good(Part::Links, "not managed by posd: the system's own route is used");
        }
        match (links.iter().any(|link| link.facts.is_usable()), links.iter().find_map(|link| link.reason)) {
            (true, _) => Finding::good(Part::Links, seen),
            (false, Some(reason)) => Finding::bad(Part::Links, reason.word(), seen),
            (false, None) => Finding::bad(Part::Links, Reason::NoLink.word(), seen),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the engine owns this thread")]
    fn look_at_storage(&mut self) -> Look {
        let id = self.fresh_id();
        let SelfTests { surveyor, door, tell, .. } = &self.health.checks;
        let (surveyor, door, tell) = (Arc::clone(surveyor), door.clone(), tell.clone());
        let look = move || {
            let finding = storage(surveyor.as_ref(), &door);
            // Who waited may have lost patience.
            let _gone = tell.blocking_send((id, finding)).is_err();
        };
        match std::thread::Builder::new().name("posd-look".to_owned()).spawn(look) {
            Ok(_) => Look::Waits(Step::Storage { id }, STORAGE_PATIENCE),
            Err(error) => {
                Look::Done(Finding::bad(Part::Storage, Reason::StorageFault.word(), error.to_string()))
            }
        }
    }

    /// The step that is waited for, if it is this one.
    fn awaited(&mut self, fits: impl Fn(&Step) -> bool) -> Option<Step> {
        let running = self.health.checks.running.as_mut()?;
        running.waits.take_if(|(step, _)| fits(step)).map(|(step, _)| step)
    }

    /// The card thread has let go of the card.
    pub(super) fn card_let_go(&mut self, wanted: u64) {
        if let Some(resetting) = self.health.checks.resetting.take_if(|resetting| resetting.id == wanted) {
            reply(resetting.answer, Ok(()));
        }
        if let Some(Step::Reader { name, .. }) =
            self.awaited(|step| matches!(step, Step::Reader { id, .. } if *id == wanted))
        {
            self.found_part(Finding::good(Part::Reader, name));
            self.go_on_testing();
        }
    }

    /// The disk has been looked at.
    pub(super) fn storage_seen(&mut self, (wanted, finding): (u64, Finding)) {
        if self.awaited(|step| matches!(step, Step::Storage { id } if *id == wanted)).is_some() {
            self.found_part(finding);
            self.go_on_testing();
        }
    }

    /// A host job has ended: true if it was the self-test's look at the way to the bank.
    pub(super) fn line_tested(&mut self, job: u64, result: &Result<(), Fault>) -> bool {
        if self.health.checks.running.as_ref().is_none_or(|running| running.job != job) {
            return false;
        }
        if self.awaited(|step| matches!(step, Step::Host)).is_some() {
            let finding = self.way_found(result);
            self.found_part(finding);
            self.go_on_testing();
        }
        true
    }

    fn way_found(&self, result: &Result<(), Fault>) -> Finding {
        let line = &self.line;
        match (result, &line.fault) {
            (Ok(()), _) => {
                let times = [("tcp", line.times.tcp), ("tls", line.times.tls), ("echo", line.echo_ms)];
                let told = times.iter().filter_map(|(name, ms)| Some(format!("{name} {} ms", (*ms)?)));
                Finding::good(Part::Host, told.collect::<Vec<_>>().join(", "))
            }
            (Err(_), Some(fault)) => Finding::bad(Part::Host, fault.cause.word(), &fault.detail),
            (Err(fault), None) => {
                let silent = fault.name == FaultName::HostTimeout;
                let reason = if silent { Reason::HostTimeout } else { Reason::HostFailed };
                Finding::bad(Part::Host, reason.word(), &fault.text)
            }
        }
    }

    /// The test page may be out.
    pub(super) fn watch_test_page(&mut self) {
        let Some(Running { waits: Some((Step::Page(key), _)), .. }) = &self.health.checks.running else {
            return;
        };
        let finding = match self.desk.state_of(key) {
            Some(PrintState::Queued | PrintState::Printing) => return,
            Some(PrintState::Confirmed) => Finding::good(Part::Printer, "the test page is out"),
            Some(PrintState::Unconfirmed) => {
                Finding::bad(Part::Printer, Reason::Unconfirmed.word(), "the test page was sent")
            }
            _ => Finding::bad(Part::Printer, Reason::NotReady.word(), "the test page was not printed"),
        };
        self.found_part(finding);
        self.go_on_testing();
    }

    /// `Job.Cancel` of the test: what has been begun ends by itself, and nobody hears of it.
    pub(super) fn cancel_self_test(&mut self, job: u64) {
        self.health.checks.running.take_if(|running| running.job == job);
        self.end_job(job, Vec::new(), Some(Fault::new(FaultName::Cancelled, "cancelled")));
    }

    /// Patience with a part, or with the reader's reset, may be over.
    pub(super) fn tick_checks(&mut self) {
        let now = self.system.boot();
        if let Some(resetting) = self.health.checks.resetting.take_if(|resetting| now >= resetting.until) {
            let text = "the reader does not come back; take the card out and replug the reader";
            reply(resetting.answer, Err(Fault::new(FaultName::DeviceFault, text)));
        }
        let running = self.health.checks.running.as_mut();
        let Some((step, _)) = running.and_then(|running| running.waits.take_if(|(_, at)| now >= *at)) else {
            return;
        };
        let part = match step {
            Step::Reader { .. } => Part::Reader,
            Step::Page(_) => Part::Printer,
            Step::Host => Part::Host,
            Step::Storage { .. } => Part::Storage,
        };
        self.found_part(Finding::bad(part, Reason::NoAnswer.word(), "no answer in time"));
        self.go_on_testing();
    }

    /// `Reader.Reset`: the card is powered down, pcscd is spoken to anew, and every reader is looked at again.
    pub(super) fn reset_reader(&mut self, answer: oneshot::Sender<Result<(), Fault>>) {
        let fault = |text: &str| Err(Fault::new(FaultName::DeviceBusy, text));
        if self.active.is_some() {
            return reply(answer, fault("a transaction uses the reader; wait for it or cancel it"));
        }
        if self.health.checks.resetting.is_some() {
            return reply(answer, fault("the reader is being reset; wait for it"));
        }
        let id = self.fresh_id();
        if (self.card)(CardCommand::Reset { id }).is_err() {
            let text = "the reader does not take commands; take the card out and replug the reader";
            return reply(answer, Err(Fault::new(FaultName::DeviceFault, text)));
        }
        let until = self.system.boot().after(READER_PATIENCE);
        self.health.checks.resetting = Some(Resetting { id, until, answer });
    }
}

fn printer_trouble(status: &PrinterStatus) -> Option<Reason> {
    match (status.paper.as_str(), status.cover.as_str(), status.cutter.as_str()) {
        (_, "open", _) => Some(Reason::CoverOpen),
        ("out", ..) => Some(Reason::PaperOut),
        (_, _, "error") => Some(Reason::CutterError),
        _ if status.overheated => Some(Reason::Overheated),
        _ => can_move(status).is_err().then_some(Reason::NotReady),
    }
}

/// Looks at the disk and the journal on it; runs on a thread of its own.
fn storage(surveyor: &dyn Surveyor, door: &JournalDoor<Note>) -> Finding {
    let bad = |reason: Reason, detail: String| Finding::bad(Part::Storage, reason.word(), detail);
    let disk = surveyor.disk();
    let free = format!("{} MiB free", disk.free_bytes >> 20);
    if let Err(why) = disk.written {
        return bad(Reason::NotWritable, format!("{why}; {free}"));
    }
    match door.ask(|journal| journal.quick_check()) {
        Ok(Err(JournalError::Unusable(damage))) => bad(Reason::Damaged, damage),
        Ok(Err(error)) => bad(Reason::StorageFault, error.to_string()),
        Err(fault) => bad(Reason::StorageFault, fault.text),
        Ok(Ok(())) if disk.free_bytes < FREE_LEAST => bad(Reason::NearlyFull, free),
        Ok(Ok(())) => Finding::good(Part::Storage, free),
    }
}

/// A row of the job's result.
fn item(finding: &Finding) -> Vec<(String, JobValue)> {
    let text = |text: &str| JobValue::Text(text.to_owned());
    let mut row = vec![
        ("what".to_owned(), text(finding.part.word())),
        ("ok".to_owned(), JobValue::Flag(finding.reason.is_none())),
        ("reason".to_owned(), text(finding.reason.as_deref().unwrap_or_default())),
        ("detail".to_owned(), text(&finding.detail)),
    ];
    row.extend(finding.text().map(|both| ("text".to_owned(), JobValue::Bilingual(both))));
    row
}

//! Jobs: sign-on, sign-off, line test and flush as objects with a phase, an end and a result, kept 60 s after the end.
use super::Engine;
use super::handle::{CancelAnswer, Notice};
use super::view::{JobValue, JobView};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::queue::delivery::End;
use crate::domain::txn::management::Errand;
use crate::domain::way::Stage;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a job's object stays after its end.
const KEPT: Duration = Duration::from_secs(60);
/// Jobs that may exist at once.
const JOBS_MAX: usize = 32;

/// All jobs by number.
#[derive(Default)]
pub(super) struct Jobs {
    all: BTreeMap<u64, (JobView, Option<BootTime>)>,
    last: u64,
    /// Flushes that wait for the entries of the queue to be tried.
    flushes: Vec<Flush>,
}

/// A flush that runs, and what has become of the entries since it began.
#[derive(Clone, Copy)]
struct Flush {
    job: u64,
    done: u32,
    denied: u32,
    failed: u32,
}

impl Engine {
    /// Makes a job object.
    pub(super) fn new_job(&mut self, kind: &'static str) -> Result<u64, Fault> {
        if self.jobs.all.len() >= JOBS_MAX {
            return Err(Fault::new(FaultName::TooMany, "32 jobs exist already; wait a minute"));
        }
        self.jobs.last = self.jobs.last.saturating_add(1);
        let number = self.jobs.last;
        let view = JobView {
            number,
            kind,
            phase: "waiting",
            state: "queued",
            progress: 0,
            cancellable: true,
            started_at: self.wall(),
            result: Vec::new(),
            error: None,
        };
        self.tell(Notice::Job(Arc::new(view.clone())));
        self.jobs.all.insert(number, (view, None));
        Ok(number)
    }

    /// Queues a message that moves no money, as a job. A sign-on that is wanted twice is done once.
    pub(super) fn start_errand(&mut self, errand: Errand) -> Result<u64, Fault> {
        let kind = kind(errand);
        let running = self.jobs.all.values().find(|(view, end)| view.kind == kind && end.is_none());
        if let Some((view, _)) = running.filter(|_| errand == Errand::SignOn) {
            return Ok(view.number);
        }
        if errand == Errand::SignOn && self.master_changing {
            return Err(Fault::new(
                FaultName::Busy,
                "the master key is being changed; try again in a moment",
            ));
        }
        if errand == Errand::SignOn && !self.has_master_key() {
            return Err(Fault::new(
                FaultName::KeysMissing,
                "no master key is loaded; a technician must load it",
            ));
        }
        if !self.errand_fits() {
            return Err(Fault::new(FaultName::TooMany, "8 host jobs wait already; wait for them"));
        }
        let job = self.new_job(kind)?;
        self.queue_errand(errand, job);
        Ok(job)
    }

    /// `Host.SignOn`, `SignOff`, `Test`: a financial exchange must not be open.
    pub(super) fn host_errand(&mut self, errand: Errand) -> Result<u64, Fault> {
        let trading =
            self.active.as_ref().is_some_and(|active| active.txn.money_may_move() || active.txn.wants_line());
        if trading && errand != Errand::Echo {
            return Err(Fault::new(FaultName::Busy, "a transaction is with the bank; wait for it"));
        }
        if errand == Errand::SignOff && self.active.is_some() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it or cancel it"));
        }
        if errand == Errand::SignOff && self.settling() {
            return Err(Fault::new(FaultName::Busy, "the batch is being settled; wait for it"));
        }
        if errand == Errand::SignOff && self.keys.is_none() {
            return Err(Fault::new(FaultName::NotSignedOn, "the terminal is not signed on"));
        }
        self.start_errand(errand)
    }

    /// `Queue.Flush`: everything that can be sent is tried now, once.
    pub(super) fn flush(&mut self) -> Result<u64, Fault> {
        if self.queue_paused.is_some() {
            return Err(Fault::new(FaultName::WrongState, "the queue is paused; call Queue.Resume first"));
        }
        let job = self.new_job("flush")?;
        self.jobs.flushes.push(Flush { job, done: 0, denied: 0, failed: 0 });
        self.kick_queue();
        self.hurry_sign_on();
        self.job_phase(job, "running", "sending");
        self.flush_when_calm();
        Ok(job)
    }

    /// An entry has come to an end: the flushes that run count it.
    pub(super) fn count_delivery(&mut self, end: End) {
        for flush in &mut self.jobs.flushes {
            let count = match end {
                End::Done => &mut flush.done,
                End::Denied | End::Expired => &mut flush.denied,
                End::Failed => &mut flush.failed,
                End::AskAgain | End::Repeat | End::NoLine | End::StorageFault => continue,
            };
            *count = count.saturating_add(1);
        }
    }

    /// The flushes end when every hurried entry was tried, or none can be: no keys, and no sign-on on its way.
    pub(super) fn flush_when_calm(&mut self) {
        let keyless = self.keys.is_none() && !self.line.signing_on() && self.next_sign_on_at().is_none();
        if self.jobs.flushes.is_empty() || !(keyless || self.queue_is_calm()) {
            return;
        }
        let left = self.queue.iter().filter(|entry| entry.is_sendable()).count();
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        let signed_on = self.keys.is_some();
        for flush in core::mem::take(&mut self.jobs.flushes) {
            let count = |name: &str, count| (name.to_owned(), JobValue::Count(count));
            let result = vec![
                count("done", flush.done),
                count("denied", flush.denied),
                count("failed", flush.failed),
                ("remaining".to_owned(), JobValue::Number(left)),
            ];
            let fault = (left > 0 && !signed_on).then(|| {
                Fault::new(FaultName::NotSignedOn, "the terminal is not signed on; call Host.SignOn first")
            });
            self.end_job(flush.job, result, fault);
        }
    }

    /// A job moved on.
    pub(super) fn job_phase(&mut self, number: u64, state: &'static str, phase: &'static str) {
        if let Some((view, None)) = self.jobs.all.get_mut(&number) {
            view.state = state;
            view.phase = phase;
            view.progress = match phase {
                "connecting" => 10,
                "sending" => 40,
                "waiting-host" => 60,
                _ => view.progress,
            };
            let view = Arc::new(view.clone());
            self.tell(Notice::Job(view));
        }
    }

    /// A job whose machine knows its own progress moved on. `trouble`: why it waits, in words.
    pub(super) fn job_runs(
        &mut self,
        number: u64,
        phase: &'static str,
        progress: u8,
        cancellable: bool,
        trouble: &str,
    ) {
        let Some((view, None)) = self.jobs.all.get_mut(&number) else { return };
        let mut next = view.clone();
        next.state = "running";
        next.phase = phase;
        next.progress = next.progress.max(progress).min(99);
        next.cancellable = cancellable;
        next.result = match trouble {
            "" => Vec::new(),
            trouble => vec![("last-error".to_owned(), JobValue::Text(trouble.to_owned()))],
        };
        if *view != next {
            *view = next.clone();
            self.tell(Notice::Job(Arc::new(next)));
        }
    }

    /// A host job ended.
    pub(super) fn finish_errand_job(&mut self, errand: Errand, number: u64, result: Result<(), Fault>) {
        if self.line_tested(number, &result) {
            return;
        }
        let mut values = Vec::new();
        if errand == Errand::Echo {
            let line = &self.line;
            let times = [
                ("dns-ms", line.times.name),
                ("tcp-ms", line.times.tcp),
                ("tls-ms", line.times.tls),
                ("echo-ms", line.echo_ms),
            ];
            values.extend(
                times.into_iter().filter_map(|(name, ms)| Some((name.to_owned(), JobValue::Number(ms?)))),
            );
        }
        if let Err(fault) = &result
            && fault.name != FaultName::Cancelled
        {
            // Where it ended: on the way, or with the message itself.
            let stage = self.line.fault.as_ref().map_or(Stage::Echo, |fault| fault.stage);
            let word = |name: &str, word: &str| (name.to_owned(), JobValue::Text(word.to_owned()));
            values.push(word("stage", stage.word()));
            values.extend(self.line.fault.as_ref().map(|fault| word("cause", fault.cause.word())));
        }
        self.end_job(number, values, result.err());
    }

    /// A job ended: well, or with this fault.
    pub(super) fn end_job(&mut self, number: u64, result: Vec<(String, JobValue)>, fault: Option<Fault>) {
        let until = self.system.boot().after(KEPT);
        let Some((view, end)) = self.jobs.all.get_mut(&number) else { return };
        if end.is_some() {
            return;
        }
        view.state = match &fault {
            None => "succeeded",
            Some(fault) if fault.name == FaultName::Cancelled => "cancelled",
            Some(_) => "failed",
        };
        view.phase = "done";
        view.progress = 100;
        view.cancellable = false;
        view.result = result;
        view.error = fault.map(|fault| (fault.name, fault.text));
        *end = Some(until);
        let view = Arc::new(view.clone());
        self.tell(Notice::Job(view));
        self.tell(Notice::JobFinished(number));
    }

    /// `Job.Cancel`.
    pub(super) fn cancel_job(&mut self, number: u64) -> Result<CancelAnswer, Fault> {
        let job = self.jobs.all.get(&number).map(|(view, end)| (view.kind, view.state, end.is_some()));
        match job {
            None => Err(Fault::new(FaultName::NotFound, "no such job")),
            Some((_, "cancelled", true)) => Ok(CancelAnswer::AlreadyCancelled),
            Some((_, _, true)) => {
                Err(Fault::new(FaultName::AlreadyFinished, "the job has ended; read its result"))
            }
            Some(("flush", _, false)) => {
                self.jobs.flushes.retain(|flush| flush.job != number);
                self.end_job(number, Vec::new(), Some(Fault::new(FaultName::Cancelled, "cancelled")));
                Ok(CancelAnswer::Accepted)
            }
            Some(("self-test", _, false)) => {
                self.cancel_self_test(number);
                Ok(CancelAnswer::Accepted)
            }
            Some(("settlement", _, false)) => self.cancel_settlement(),
            Some(("download", _, false)) => self.cancel_download(),
            Some((_, _, false)) if self.cancel_errand(number) => Ok(CancelAnswer::Accepted),
            Some((_, _, false)) => {
                Err(Fault::new(FaultName::TooLate, "the result is being stored; wait for it"))
            }
        }
    }

    /// When the next finished job's object goes.
    pub(super) fn next_job_gone_at(&self) -> Option<BootTime> {
        self.jobs.all.values().filter_map(|(_, end)| *end).min()
    }

    /// Finished jobs go after a minute.
    pub(super) fn forget_jobs(&mut self) {
        let now = self.system.boot();
        let gone: Vec<u64> = self
            .jobs
            .all
            .iter()
            .filter(|(_, (_, end))| end.is_some_and(|at| now >= at))
            .map(|(n, _)| *n)
            .collect();
        for number in gone {
            self.jobs.all.remove(&number);
            self.tell(Notice::JobGone(number));
        }
    }
}

const fn kind(errand: Errand) -> &'static str {
    match errand {
        Errand::SignOn => "sign-on",
        Errand::SignOff => "sign-off",
        Errand::Echo => "host-test",
        Errand::State => "state-upload",
    }
}

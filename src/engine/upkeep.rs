//! Upkeep of the journal: backup, verify, restore and its confirmation, and the daily housekeeping.
//!
//! One copy moves at a time, on a thread of its own; the journal thread only copies pages and puts files in place. A
//! restore needs a terminal at rest. After it the process ends, and the service manager starts it again: recovery then
//! reads the restored journal, and nothing that this process knows of the old one can reach it.
use super::handle::{Caller, Command, Leave};
use super::journal_thread::{JournalDoor, read_fault};
use super::start::reply;
use super::view::JobValue;
use super::{Engine, Note};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::leave::Deed;
use crate::domain::record::{Committed, Housekeeping, Loaded, Record, SettlementRow};
use crate::ports::{BackupFacts, CheckCopy, Courier, CourierError, Durability, JournalError};
use core::time::Duration;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// First housekeeping after the start: not while the shop waits for the terminal.
const FIRST: Duration = Duration::from_secs(60);
/// Between two portions, so that sales go first.
const BETWEEN_PORTIONS: Duration = Duration::from_secs(1);
/// While something else runs, or the clock is not to be trusted.
const LATER: Duration = Duration::from_secs(600);
/// Between two housekeepings.
const DAY: Duration = Duration::from_secs(86_400);
/// How long the result of a restore can be read before the process ends.
const RESULT_SHOWN: Duration = Duration::from_secs(2);
/// Between two looks whether somebody wants a restart.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);
/// Sealed card data is wiped so long after settlement; microseconds.
const SEALED_US: u64 = 86_400_000_000;

/// What is done with a copy, or with another file for a caller.
pub(super) enum Work {
    Report(Box<super::report::Draft>),
    Backup(OwnedFd),
    Verify(OwnedFd),
    Restore(OwnedFd),
}

/// How it ended.
pub(super) struct Done {
    job: u64,
    restored: bool,
    result: Result<BackupFacts, Fault>,
}

/// What the engine holds for it.
pub(super) struct Upkeep {
    courier: Arc<dyn Courier>,
    check: CheckCopy,
    door: JournalDoor<Note>,
    tell: mpsc::Sender<Done>,
    pub(super) done: mpsc::Receiver<Done>,
    /// The job that moves a copy.
    moving: Option<u64>,
    /// It replaces the journal: no money moves meanwhile.
    restoring: bool,
    /// The journal was restored, and nobody has confirmed the list.
    unconfirmed: bool,
    /// The settlement that was interrupted; after a restore it goes on when the list is confirmed.
    interrupted: Option<SettlementRow>,
    /// The next housekeeping.
    due: BootTime,
    /// The journal was replaced: the process ends then.
    end_at: Option<BootTime>,
    /// The next look whether somebody wants a restart.
    wish_at: BootTime,
}

impl Upkeep {
    pub(super) fn new(
        courier: Arc<dyn Courier>,
        check: CheckCopy,
        door: JournalDoor<Note>,
        loaded: &Loaded,
        now: BootTime,
    ) -> Self {
        let (unconfirmed, interrupted) = (loaded.restore_unconfirmed, loaded.settlement.clone());
        let (tell, done) = mpsc::channel(1);
        let due = now.after(FIRST);
        Self {
            courier,
            check,
            door,
            tell,
            done,
            moving: None,
            restoring: false,
            unconfirmed,
            interrupted,
            due,
            end_at: None,
            wish_at: now,
        }
    }

    /// Trading waits: a restore runs, or waits for a person.
    pub(super) const fn holds_money(&self) -> bool {
        self.restoring || self.unconfirmed
    }

    pub(super) const fn is_unconfirmed(&self) -> bool {
        self.unconfirmed
    }

    /// When something is to happen.
    pub(super) fn next_at(&self) -> BootTime {
        self.end_at.map_or(self.due, |at| at.min(self.due))
    }
}

/// The refusal of money verbs after a restore.
pub(super) fn restored_fault() -> Fault {
    let text = "the journal is or was restored; a supervisor must check the queue and call Maintenance.ConfirmRestore";
    Fault::new(FaultName::WrongState, text)
}

impl Engine {
    /// Requests about upkeep, keys and downloads; gives back what is none.
    pub(super) fn upkeep_command(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::Backup(target, answer) => {
                let result = self.move_copy("backup", Work::Backup(target));
                reply(answer, result);
            }
            Command::Verify(source, answer) => {
                let result = self.move_copy("verify", Work::Verify(source));
                reply(answer, result);
            }
            Command::Restore { source, leave, caller, answer } => {
                let result = self.restore_copy(source, &leave, &caller);
                reply(answer, result);
            }
            Command::ConfirmRestore { leave, caller, answer } => {
                self.confirm_restore(&leave, &caller, answer);
            }
            Command::Download { kinds, leave, caller, answer } => {
                let result = self.download_parameters(kinds, &leave, &caller);
                reply(answer, result);
            }
            Command::LoadMasterKey { key, leave, caller, answer } => {
                self.load_master_key(key, &leave, &caller, answer);
            }
            other => return Some(other),
        }
        None
    }

    /// One file moves at a time.
    fn may_move(&self) -> Result<(), Fault> {
        if self.stopping() {
            return Err(Fault::new(FaultName::NotReady, "the terminal is stopping"));
        }
        if self.upkeep.moving.is_some() {
            return Err(Fault::new(FaultName::Busy, "another copy is being moved; wait for its job"));
        }
        Ok(())
    }

    fn may_move_copy(&self) -> Result<(), Fault> {
        self.may_move()?;
        // The journal thread copies in one go: a sale would wait for it.
        if self.active.is_some() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it"));
        }
        if self.settling() && !self.upkeep.is_unconfirmed() {
            return Err(Fault::new(FaultName::Busy, "the batch is being settled; wait for it"));
        }
        Ok(())
    }

    fn restore_copy(&mut self, source: OwnedFd, leave: &Leave, caller: &Caller) -> Result<u64, Fault> {
        self.may_move_copy()?;
        if self.line.busy() || !self.cares.is_empty() {
            let text = "a message to the bank or a slip is under way; wait for it";
            return Err(Fault::new(FaultName::Busy, text));
        }
        self.may(&Deed::of("backup"), leave, caller)?;
        let job = self.move_copy("restore", Work::Restore(source))?;
        self.upkeep.restoring = true;
        Ok(job)
    }

    fn move_copy(&mut self, kind: &'static str, work: Work) -> Result<u64, Fault> {
        self.may_move_copy()?;
        self.move_aside(kind, work)
    }

    /// The same whatever runs: nothing waits for it.
    #[allow(clippy::disallowed_methods, reason = "the engine owns this thread")]
    pub(super) fn move_aside(&mut self, kind: &'static str, work: Work) -> Result<u64, Fault> {
        self.may_move()?;
        let job = self.new_job(kind)?;
        let Upkeep { courier, check, door, tell, .. } = &self.upkeep;
        let (courier, check, door, tell) =
            (Arc::clone(courier), Arc::clone(check), door.clone(), tell.clone());
        let thread = std::thread::Builder::new().name("posd-copy".to_owned()).spawn(move || {
            let restored = matches!(work, Work::Restore(_));
            let place = courier.place();
            let result = carry_out(work, courier.as_ref(), &check, &door, &place);
            courier.remove(&place);
            // The engine ends before its threads: then nobody waits.
            let _gone = tell.blocking_send(Done { job, restored, result }).is_err();
        });
        match thread {
            Ok(_) => {
                self.upkeep.moving = Some(job);
                self.job_runs(job, "copying", 10, false, "");
            }
            Err(error) => {
                let fault = Fault::new(FaultName::Failed, format!("no thread for the copy: {error}"));
                self.end_job(job, Vec::new(), Some(fault));
            }
        }
        Ok(job)
    }

    /// A copy has come to where it was wanted, or has not.
    pub(super) fn copy_moved(&mut self, done: Done) {
        self.upkeep.moving = None;
        let replaced = done.restored && done.result.is_ok();
        self.upkeep.restoring = replaced;
        match done.result {
            Ok(facts) => {
                let number = |name: &str, value| (name.to_owned(), JobValue::Number(value));
                let values = vec![
                    number("bytes", facts.bytes),
                    ("sha256".to_owned(), JobValue::Text(facts.sha256)),
                    number("transactions", facts.transactions),
                    number("newest-transaction", facts.newest_transaction.0),
                ];
                self.end_job(done.job, values, None);
            }
            Err(fault) => self.end_job(done.job, Vec::new(), Some(fault)),
        }
        if replaced {
            tracing::warn!("the journal was restored; ending soon, to be started again and read it");
            self.upkeep.end_at = Some(self.system.boot().after(RESULT_SHOWN));
        }
    }

    /// `Maintenance.ConfirmRestore`: a supervisor has seen the list.
    fn confirm_restore(
        &mut self,
        leave: &Leave,
        caller: &Caller,
        answer: oneshot::Sender<Result<(), Fault>>,
    ) {
        if !self.upkeep.is_unconfirmed() {
            return reply(answer, Ok(()));
        }
        match self.may(&Deed::of("backup"), leave, caller) {
            Ok(who) => {
                let line = self.audit(Some(&who), "restore confirmed");
                let note = Note::RestoreConfirmed(answer);
                self.commit(note, vec![Record::RestoreConfirmed, line], Durability::Full);
            }
            Err(fault) => reply(answer, Err(fault)),
        }
    }

    pub(super) fn restore_confirmed(
        &mut self,
        answer: oneshot::Sender<Result<(), Fault>>,
        result: Result<Committed, JournalError>,
    ) {
        match result {
            Ok(_) => {
                self.upkeep.unconfirmed = false;
                self.resume_interrupted();
                reply(answer, Ok(()));
            }
            Err(error) => reply(answer, Err(read_fault(&error))),
        }
    }

    /// What was interrupted goes on: at the start, or after a restore when its list is confirmed.
    pub(super) fn resume_interrupted(&mut self) {
        if !self.upkeep.unconfirmed {
            let interrupted = self.upkeep.interrupted.take();
            self.resume_settlement(interrupted.as_ref());
        }
    }

    /// The end after a restore; housekeeping at the start and once a day, in portions, when nothing else wants the
    /// disk. A clock behind the last record makes nothing old.
    pub(super) fn tick_upkeep(&mut self) {
        let now = self.system.boot();
        if self.upkeep.end_at.take_if(|at| now >= *at).is_some() || self.restart_due(now) {
            self.stop();
        }
        if now < self.upkeep.due || self.stopping() {
            return;
        }
        let busy = self.active.is_some() || self.settling() || self.upkeep.holds_money();
        if busy || self.storage_trouble.is_some() || !self.clock_trusted() {
            self.upkeep.due = now.after(LATER);
            return;
        }
        self.upkeep.due = now.after(DAY);
        let at = self.wall();
        let before = |us: u64| WallTime(at.0.saturating_sub(us));
        let retention_us = u64::from(self.settings.retention_days).saturating_mul(SEALED_US);
        let wanted = Housekeeping { at, wipe_before: before(SEALED_US), delete_before: before(retention_us) };
        self.commit(Note::Housekeeping, vec![Record::Housekeep(wanted)], Durability::Full);
    }

    /// Somebody wants a restart, and this is a safe moment. The service manager starts the process again, as after a
    /// restore. Looked for when something else has woken the engine, so it costs no wake-up.
    fn restart_due(&mut self, now: BootTime) -> bool {
        if self.stopping() || now < self.upkeep.wish_at {
            return false;
        }
        if self.upkeep.moving.is_some() || !self.update_blockers().is_empty() {
            return false;
        }
        self.upkeep.wish_at = now.after(BETWEEN_LOOKS);
        let wanted = self.system.take_restart_wish();
        if wanted {
            tracing::info!("ending to be started again, as somebody wished for a safe moment");
        }
        wanted
    }

    /// A portion is done, or could not be; what is left comes soon, or tomorrow.
    pub(super) fn housekept(&mut self, result: Result<Committed, JournalError>) {
        if result.is_ok_and(|committed| committed.more) {
            self.upkeep.due = self.system.boot().after(BETWEEN_PORTIONS);
        }
    }
}

/// Moves one copy; runs on a thread of its own. `place` is removed afterwards.
fn carry_out(
    work: Work,
    courier: &dyn Courier,
    check: &CheckCopy,
    door: &JournalDoor<Note>,
    place: &Path,
) -> Result<BackupFacts, Fault> {
    let file = place.to_owned();
    match work {
        Work::Report(draft) => {
            let (target, bytes, facts) = draft.finish(door)?;
            courier.put(&bytes, place).map_err(|e| super::report::not_written(&e))?;
            courier.deliver(place, target).map_err(|e| moved_fault(&e))?;
            Ok(facts)
        }
        Work::Backup(target) => {
            door.ask(move |journal| journal.backup(&file))?.map_err(|e| read_fault(&e))?;
            let facts = check(place).map_err(|e| read_fault(&e))?;
            courier.deliver(place, target).map_err(|e| moved_fault(&e))?;
            Ok(facts)
        }
        Work::Verify(source) => {
            courier.receive(source, place).map_err(|e| moved_fault(&e))?;
            check(place).map_err(|e| read_fault(&e))
        }
        Work::Restore(source) => {
            courier.receive(source, place).map_err(|e| moved_fault(&e))?;
            // Most bad copies are found here, while the journal thread is free.
            check(place).map_err(|e| read_fault(&e))?;
            door.ask(move |journal| journal.restore(&file))?.map_err(|e| read_fault(&e))
        }
    }
}

fn moved_fault(error: &CourierError) -> Fault {
    let name = match error {
        CourierError::NoRoom => FaultName::StorageFull,
        CourierError::TooLarge(_) => FaultName::InvalidArgument,
        CourierError::TooSlow | CourierError::Io(_) => FaultName::Failed,
    };
    Fault::new(name, error.to_string())
}

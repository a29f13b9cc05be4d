//! Errands on the line: sign-on, sign-off, echo; and the working keys that a sign-on brings.
use super::{ERRANDS_MAX, LineState, Opened, RETRY_MAX, RETRY_MIN, User};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::outcome::ResultCode;
use crate::domain::queue::Entry;
use crate::domain::record::Record;
use crate::domain::txn::management::{self, Errand, Management};
use crate::domain::txn::{self, Vital};
use crate::domain::unionpay::messages;
use crate::engine::{Engine, Note, cut};
use crate::ports::{Durability, WayTimes};
use core::time::Duration;
use std::sync::Arc;

/// The job of an echo that nobody asked for: there is none, numbers begin at 1.
const HEARTBEAT: u64 = 0;
/// How long the host may take for a heartbeat. Choice: short, because a sale may come meanwhile and waits for it.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    fn management(&self, errand: Errand, patience: Duration) -> Management {
        Management::new(errand, patience, Arc::clone(&self.settings.identity.profile))
    }

    pub(super) fn errand(&mut self, errand: Errand, job: u64) -> User {
        if job == HEARTBEAT {
            let patience = HEARTBEAT_PATIENCE.min(self.settings.response_timeout);
            return User::Management { machine: self.management(errand, patience), job, opened: None };
        }
        if errand == Errand::Echo && self.line.unread.is_empty() {
            self.hang_up(); // a test shows the whole way
        }
        self.line.times = WayTimes::default();
        self.line.echo_ms = None;
        self.line.fault = None;
        self.job_phase(job, "running", "connecting");
        User::Management {
            machine: self.management(errand, self.settings.response_timeout),
            job,
            opened: None,
        }
    }

    /// True if one more errand may wait.
    pub(in crate::engine) fn errand_fits(&self) -> bool {
        self.line.errands.len() < ERRANDS_MAX
    }

    /// Puts an errand into the queue.
    pub(in crate::engine) fn queue_errand(&mut self, errand: Errand, job: u64) {
        self.line.errands.push_back((errand, job));
    }

    pub(super) fn step_management(
        &mut self,
        machine: Management,
        job: u64,
        opened: Option<Box<Opened>>,
        event: management::Event,
    ) {
        let now = self.now();
        let (machine, effects) = machine.step(event, now);
        let mut opened = opened;
        for local in effects.local {
            match local {
                management::Local::UseKeys => self.use_keys(opened.take()),
                management::Local::DropKeys => self.drop_keys(),
            }
        }
        match machine.ended() {
            Some(result) => {
                let result = result.clone();
                if result.is_err() {
                    self.hang_up(); // a line on which something went wrong serves nobody else
                }
                self.errand_ended(machine.errand(), job, result);
            }
            None => {
                self.job_phase(job, "running", machine.phase());
                self.line.user = Some(User::Management { machine, job, opened });
            }
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(records) => {
                cut::boundary(&"before store management");
                self.commit(Note::LineUser, records, Durability::Full);
            }
            Vital::Send(wanted) => self.send_errand(&wanted),
        }
    }

    pub(super) fn send_errand(&mut self, wanted: &management::Request) {
        let identity = &self.settings.identity;
        let operator = self.session.as_ref().map(|session| session.operator.clone());
        let built = match (wanted.errand, wanted.stan) {
            (Errand::SignOn, Some(stan)) => {
                Some(messages::sign_on(identity, stan, self.batch, operator.as_ref()))
            }
            (Errand::SignOff, Some(stan)) => Some(messages::sign_off(identity, stan, self.batch)),
            (Errand::Echo, _) => Some(messages::echo(identity, self.batch)),
            (Errand::State, _) => Some(messages::state_upload(identity, self.batch, &self.state_items())),
            (Errand::SignOn | Errand::SignOff, None) => None,
        };
        self.send_built(built);
    }

    pub(super) fn use_keys(&mut self, opened: Option<Box<Opened>>) {
        let Some(opened) = opened else { return };
        if let Some(Err(error)) = opened.new_master.as_ref().map(|key| self.key_store.load_master(key)) {
            tracing::error!(%error, "the new master key cannot be used; a restart takes it from the journal");
        }
        self.keys = Some(opened.keys);
        self.key_record = Some(opened.record);
        self.key_generation = self.key_generation.wrapping_add(1);
        self.clock_offset = opened.clock_offset;
        let host = self.system.wall().0.saturating_add_signed(opened.clock_offset);
        self.clock_anchor = Some((self.system.boot(), WallTime(host)));
        self.open_batch.mismatch = opened.batch_mismatch;
        if let Some(batch) = opened.batch {
            self.batch = batch;
            self.open_batch.opened_at = self.wall();
            self.counts.clear();
        }
        // A sign-on that a refused entry asked for must not send it at once: that could go on for ever.
        if core::mem::take(&mut self.line.refused) {
            self.line.schedule.calm();
            self.flush_when_calm();
        } else {
            self.kick_queue();
        }
    }

    pub(in crate::engine) fn drop_keys(&mut self) {
        self.keys = None;
        self.key_record = None;
    }

    /// The bank refuses our keys: they are forgotten, durably, and asked for anew where that is allowed.
    pub(in crate::engine) fn drop_sign_on(&mut self) {
        self.drop_keys();
        self.commit(Note::Evidence, vec![Record::SignedOff], Durability::Full);
        self.line.sign_on_at = None;
    }

    pub(super) fn errand_ended(&mut self, errand: Errand, job: u64, result: Result<(), Fault>) {
        match &result {
            Ok(()) => tracing::info!(?errand, "errand done"),
            Err(fault) => tracing::warn!(?errand, error = %fault, "errand failed"),
        }
        self.finish_errand_job(errand, job, result.clone());
        match errand {
            Errand::SignOn => self.sign_on_tried(result.is_ok()),
            Errand::SignOff => self.line.signed_off |= result.is_ok(),
            Errand::Echo | Errand::State => {}
        }
    }

    /// An automatic sign-on that failed is tried again after a pause; the transaction that waits for it is told.
    pub(super) fn sign_on_tried(&mut self, good: bool) {
        if good {
            self.line.signed_off = false;
            self.line.sign_on_at = None;
            self.line.sign_on_pause = RETRY_MIN;
            self.download_what_is_missing();
            return;
        }
        self.line.sign_on_at = Some(self.system.boot().after(self.line.sign_on_pause));
        self.line.sign_on_pause = RETRY_MAX.min(self.line.sign_on_pause.saturating_mul(2));
        if self.keys.is_none() {
            self.line.schedule.calm();
            self.flush_when_calm();
        }
        let waits = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
        if waits && self.keys.is_none() {
            self.step_txn(txn::Event::LineFailed(ResultCode::NotSignedOn));
        }
    }

    /// Somebody came who needs the keys: no pause is left to wait for.
    pub(in crate::engine) const fn line_sign_on_now(&mut self) {
        self.line.sign_on_at = None;
        self.line.signed_off = false;
    }

    /// A flush needs the keys: a sign-on that is wanted anyway does not wait for its pause.
    pub(in crate::engine) const fn hurry_sign_on(&mut self) {
        self.line.sign_on_at = None;
    }

    /// Keys are missing, somebody needs them, and the configuration lets the terminal ask for them.
    pub(super) fn wants_sign_on(&self) -> bool {
        let trade = self.session.is_some() && !self.line.signed_off;
        let needed = trade || self.settling() || self.queue.iter().any(Entry::is_sendable);
        self.keys.is_none()
            && needed
            && self.settings.auto_sign_on
            && self.has_master_key()
            && !self.master_changing
            && !self.stopping()
            && !self.line.signing_on()
    }

    /// When the next automatic sign-on is to be tried although nothing happens.
    pub(in crate::engine) fn next_sign_on_at(&self) -> Option<BootTime> {
        if self.wants_sign_on() { Some(self.line.sign_on_at.unwrap_or_default()) } else { None }
    }

    /// Queues the automatic sign-on when its time has come.
    pub(super) fn sign_on_when_due(&mut self) {
        let now = self.system.boot();
        if self.next_sign_on_at().is_some_and(|at| now >= at)
            && let Err(fault) = self.start_errand(Errand::SignOn)
        {
            tracing::warn!(error = %fault, "no automatic sign-on");
            self.line.sign_on_at = Some(now.after(self.line.sign_on_pause));
        }
    }

    /// When the line is to be tested because nobody uses it.
    pub(in crate::engine) fn next_heartbeat_at(&self) -> Option<BootTime> {
        let idle = !self.stopping()
            && self.line.user.is_none()
            && self.active.is_none()
            && matches!(self.line.state, LineState::Open { .. });
        self.settings.line_manner.beat_at(self.line.heard_at).filter(|_| idle)
    }

    /// Sends the echo whose time has come. An errand that waits anyway serves as well.
    pub(super) fn beat_when_due(&mut self) {
        let now = self.system.boot();
        if self.line.errands.is_empty() && self.next_heartbeat_at().is_some_and(|at| now >= at) {
            self.line.errands.push_back((Errand::Echo, HEARTBEAT));
        }
    }

    /// Cancels an errand that waits or runs, by its job. `false`: it is not there, or cannot be stopped any more.
    pub(in crate::engine) fn cancel_errand(&mut self, job: u64) -> bool {
        if let Some(at) = self.line.errands.iter().position(|(_, waiting)| *waiting == job)
            && let Some((errand, job)) = self.line.errands.remove(at)
        {
            self.errand_ended(errand, job, Err(Fault::new(FaultName::Cancelled, "cancelled")));
            return true;
        }
        match self.line.user.take() {
            Some(User::Management { machine, job: running, opened })
                if running == job && machine.cancellable() =>
            {
                self.step_management(machine, job, opened, management::Event::Cancel);
                true
            }
            other => {
                self.line.user = other;
                false
            }
        }
    }
}

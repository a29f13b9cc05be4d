//! The engine: one task that owns the running transaction, carries the domain's effects to the adapters and brings
//! their answers back as events. It decides nothing about money; it only keeps the order.
//!
//! One loop ([`Engine::run`]) takes from seven queues: the bus, the agents, card, host, printer, journal and passwords.
//! Every handler returns at once; what takes time is a command to somebody else. [`Engine::settle`] runs after each of
//! them: it starts what has become possible, and publishes what has changed.
//!
//! Who uses the host line is decided in `line`, one user at a time: a sign-on, what the queue owes, other errands, then
//! the transaction. What a running transaction wants is carried in `trade`; what follows its outcome in `paper`.
mod authorize;
mod card;
mod care;
mod commands;
mod configuration;
mod create;
mod cut;
mod download;
mod drawer;
mod explain;
pub mod handle;
mod inhibit;
mod jobs;
mod journal_thread;
mod keys;
mod learn;
mod line;
mod links;
mod operators;
mod owed;
mod own_paper;
mod paper;
mod password_thread;
mod queue;
mod receipts;
mod recent;
mod report;
mod security;
mod self_test;
mod settle;
mod settle_paper;
mod shown;
mod start;
mod state;
mod tables;
mod trade;
mod undo;
mod upkeep;
pub mod view;
mod views;
mod wifi;

use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::Fault;
use crate::domain::ident::TxnId;
use crate::domain::keystore::KeyStore;
use crate::domain::record::{Committed, TxnRow};
use crate::domain::txn::Now;
use crate::ports::{
    CardCommand, CardEvent, Courier, HostCommand, HostEvent, Journal, JournalError, LinkCommand, LinkEvent,
    Outlet, RenderSlip, Surveyor,
};
use crate::ports::{PrinterCommand, PrinterEvent, System};
pub use configuration::{Configurator, LiveSettings};
use core::time::Duration;
use handle::{AgentCommand, AgentEvent, Command, Notice};
use journal_thread::Answer;
pub use state::{Engine, Settings};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use view::Snapshot;

/// Everything the engine is wired to.
pub struct Wiring {
    /// The journal; the engine gives it a thread.
    pub journal: Box<dyn Journal>,
    /// The key store, with the master key of the credential in it where there is one.
    pub key_store: Box<dyn KeyStore>,
    /// Clock, chance, watchdog, lock file.
    pub system: Box<dyn System>,
    /// To the card thread.
    pub card: Outlet<CardCommand>,
    /// To the host task.
    pub host: Outlet<HostCommand>,
    /// To the printer thread.
    pub printer: Outlet<PrinterCommand>,
    /// To the link task.
    pub link: Outlet<LinkCommand>,
    /// Slip to printer bytes or picture.
    pub render_slip: RenderSlip,
    /// Carries copies of the journal.
    pub courier: Arc<dyn Courier>,
    /// Reads, checks and keeps values of the configuration.
    pub configurator: Box<dyn Configurator>,
    /// Looks at the machine.
    pub surveyor: Arc<dyn Surveyor>,
    /// To the publisher.
    pub notices: mpsc::Sender<Notice>,
    /// To the agents' keeper.
    pub agents: mpsc::Sender<AgentCommand>,
    /// What readers of properties see.
    pub snapshot: watch::Sender<Arc<Snapshot>>,
    /// Where everything comes from.
    pub receivers: Receivers,
}

/// Why the engine ended other than by being stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be read at start: nothing may be promised.
    #[error("recovery failed: {0}")]
    Recovery(JournalError),
    /// A thread could not be started, or is gone.
    #[error("{0}")]
    Lost(String),
}

/// Who waits for the journal.
enum Note {
    /// The running transaction.
    Txn,
    /// The user of the line.
    LineUser,
    /// The settlement.
    Settlement,
    /// The download.
    Download,
    /// Evidence and timelines: only trouble matters.
    Evidence,
    /// A start that must first see whether the request id is known.
    Start(Box<start::PendingStart>),
    /// A start whose original is being looked up.
    Original(Box<start::PendingStart>),
    /// A transaction whose signature was refused, and that is to be undone.
    Undo(undo::Due),
    /// A transaction whose object is wanted.
    Expose(TxnId, oneshot::Sender<Result<(), Fault>>),
    /// A transaction wanted by batch and STAN.
    Open(oneshot::Sender<Result<TxnId, Fault>>),
    /// A transaction whose receipt is wanted.
    Receipt(Box<receipts::ReceiptWish>),
    /// A transaction that is to be explained.
    Explain(explain::Wish),
    /// A transaction that has just ended, or whose reversal has: its row as stored.
    Refresh(TxnId),
    /// A ply whose document is wanted.
    PrintRow(paper::PrintKey),
    /// A settled batch whose slip is wanted.
    Settled(Box<settle_paper::Wish>),
    /// A ply marked as being printed.
    PrintBegun(paper::PrintKey),
    /// An operator record; the answer goes out when it is durable.
    Operator(Box<operators::Pending>),
    /// The confirmation of a restore; the answer goes out when it is durable.
    RestoreConfirmed(oneshot::Sender<Result<(), Fault>>),
    /// Another master key; it is used, and the answer goes out, when it is durable.
    MasterKey(Box<keys::Loading>),
    /// A portion of housekeeping.
    Housekeeping,
    /// A person's change of the queue; the answer goes out when it is durable.
    Queue(Box<queue::Change>),
}

impl Engine {
    /// Runs until stopped. Recovery has been done by [`Engine::recover`].
    ///
    /// # Errors
    /// [`EngineError::Lost`] when a thread it cannot do without is gone; the process must end then.
    pub async fn run(mut self, mut wiring: Receivers) -> Result<(), EngineError> {
        self.settle().await?;
        loop {
            let wait = self.next_wake();
            tokio::select! {
                biased;
                _ = &mut wiring.stop, if !self.stopping() => self.stop(),
                Some(answer) = self.journal.answers.recv() => self.journal_answered(answer),
                Some(event) = wiring.host_events.recv() => self.host_event(event),
                Some(event) = wiring.card_events.recv() => self.card_event(event),
                Some(event) = wiring.agent_events.recv() => self.agent_event(event),
                Some(event) = wiring.printer_events.recv() => self.printer_event(event),
                Some(event) = wiring.link_events.recv() => self.link_event(event),
                Some((visit, checked)) = self.door.judged() => self.judged(visit, checked),
                Some(done) = self.upkeep.done.recv() => self.copy_moved(done),
                Some(id) = self.health.inhibitors.gone.recv() => self.inhibitor_gone(id),
                Some(seen) = self.health.checks.seen.recv() => self.storage_seen(seen),
                Some(command) = wiring.commands.recv() => self.command(command),
                () = tokio::time::sleep(wait) => {}
            }
            self.tick();
            self.settle().await?;
            if self.stopping() && self.may_end() {
                return Ok(());
            }
        }
    }

    /// The present.
    fn now(&self) -> Now {
        Now { boot: self.system.boot(), wall: self.wall() }
    }

    /// The host's clock since the last sign-on of this boot; before it, the machine's clock with the stored offset.
    fn wall(&self) -> WallTime {
        match self.clock_anchor {
            Some((boot, wall)) => {
                let since = u64::try_from(self.system.boot().since(boot).as_micros()).unwrap_or(u64::MAX);
                WallTime(wall.0.saturating_add(since))
            }
            None => WallTime(self.system.wall().0.saturating_add_signed(self.clock_offset)),
        }
    }

    fn clock_trusted(&self) -> bool {
        agrees(self.wall(), self.clock_floor)
    }

    /// How long the loop may sleep: until the nearest deadline, or until the watchdog wants a sign of life.
    fn next_wake(&self) -> Duration {
        let now = self.system.boot();
        let nearest = self.deadlines().into_iter().flatten().min();
        let until = nearest.map_or(Duration::from_secs(60), |at: BootTime| at.since(now));
        self.system.alive_every().map_or(until, |every| until.min(every))
    }

    /// Every point in time at which something is to happen.
    fn deadlines(&self) -> [Option<BootTime>; 20] {
        let care = self.cares.iter().filter_map(|care| care.machine.deadline()).min();
        [
            self.active.as_ref().and_then(|active| active.txn.deadline().map(|(at, _)| at)),
            self.line.deadline(),
            self.refused.deadline(),
            self.settlement_deadline(),
            self.downloads.deadline(),
            self.next_download_at(),
            self.next_entry_at(),
            self.next_sign_on_at(),
            self.next_heartbeat_at(),
            self.next_idle_at(),
            self.next_job_gone_at(),
            self.storage_check_at.filter(|_| self.storage_trouble.is_some()),
            care,
            self.next_forget_at(),
            Some(self.upkeep.next_at()),
            Some(self.next_day_at()),
            self.next_link_at(),
            self.health.checks.deadline(),
            self.next_config_at(),
            self.stop_by,
        ]
    }

    /// Time passed: everybody whose deadline it is hears of it.
    fn tick(&mut self) {
        self.system.alive();
        self.tick_txn();
        self.tick_line();
        self.tick_settlement();
        self.tick_download();
        self.tick_cares();
        self.forget();
        self.forget_jobs();
        self.tick_operators();
        self.tick_storage();
        self.tick_upkeep();
        self.tick_day();
        self.tick_links();
        self.tick_checks();
        self.tick_config();
    }

    /// Starts what has become possible and publishes what has changed.
    async fn settle(&mut self) -> Result<(), EngineError> {
        self.undo_when_free();
        self.begin_when_ready();
        self.watch_settlement();
        self.download_when_free();
        self.pump_line();
        self.watch_settlement();
        self.begin_when_ready();
        self.pump_printer();
        self.watch_test_page();
        self.watch_links();
        if let Some(lost) = self.lost.take() {
            return Err(EngineError::Lost(lost));
        }
        self.publish().await
    }

    /// The service is to end: no new work; before the bank was asked the transaction is cancelled, after it the answer
    /// has three seconds.
    fn stop(&mut self) {
        tracing::info!("stopping");
        let now = self.now();
        self.stop_by = Some(now.boot.after(STOP_PATIENCE));
        self.stop_txn();
    }

    /// Nothing is left that must become durable, or patience is over.
    fn may_end(&self) -> bool {
        let now = self.system.boot();
        let over = self.stop_by.is_some_and(|by| now >= by);
        let busy = self.active.is_some() || self.commits_in_flight > 0 || !self.outbox.is_empty();
        !busy || over
    }

    fn journal_answered(&mut self, answer: Answer<Note>) {
        match answer {
            Answer::Committed { note, result } => {
                self.commits_in_flight = self.commits_in_flight.saturating_sub(1);
                self.note_storage(result.as_ref().err());
                self.committed(note, result);
            }
            Answer::Found { note, result } => self.found(note, result),
            Answer::Duplicate { id, result } => self.duplicate_looked_up(&id, result),
            Answer::OpenBatch(result) => self.open_batch_read(result),
            Answer::Settled { note: Note::Settled(wish), result } => self.settled_read(*wish, result),
            Answer::Settled { .. } => {}
        }
    }

    fn committed(&mut self, note: Note, result: Result<Committed, JournalError>) {
        match note {
            Note::Txn => self.txn_stored(result),
            Note::LineUser => self.line_user_stored(result),
            Note::Settlement => self.settlement_stored(result),
            Note::Download => self.download_stored(result),
            Note::Evidence => {}
            Note::PrintBegun(key) => self.print_begun(&key, result.is_ok()),
            Note::Operator(pending) => self.operator_stored(*pending, result),
            Note::Queue(change) => self.queue_stored(*change, result),
            Note::RestoreConfirmed(answer) => self.restore_confirmed(answer, result),
            Note::MasterKey(loading) => self.master_key_stored(*loading, result),
            Note::Housekeeping => self.housekept(result),
            // These only read.
            Note::Start(_)
            | Note::Original(_)
            | Note::Undo(_)
            | Note::Expose(..)
            | Note::Open(_)
            | Note::Receipt(_)
            | Note::Explain(_)
            | Note::Refresh(_)
            | Note::PrintRow(_)
            | Note::Settled(_) => {}
        }
    }

    fn found(&mut self, note: Note, result: Result<Option<Box<TxnRow>>, JournalError>) {
        match note {
            Note::Start(pending) => self.start_looked_up(*pending, result),
            Note::Original(pending) => self.original_found(*pending, result),
            Note::Undo(due) => self.undo_row_read(due, result),
            Note::Expose(id, answer) => self.expose_found(&id, answer, result),
            Note::Open(answer) => self.opened(answer, result),
            Note::Receipt(wish) => self.receipt_found(*wish, result),
            Note::Explain(answer) => explain::found(answer, result),
            Note::Refresh(id) => self.refreshed(&id, result),
            Note::PrintRow(key) => self.print_row(&key, result),
            // These only write.
            Note::Txn
            | Note::LineUser
            | Note::Settlement
            | Note::Download
            | Note::Evidence
            | Note::PrintBegun(_)
            | Note::Settled(_)
            | Note::Operator(_)
            | Note::RestoreConfirmed(_)
            | Note::MasterKey(_)
            | Note::Housekeeping
            | Note::Queue(_) => {}
        }
    }
}

/// How far the host's clock may lie behind what was recorded before: seconds of DE 12 and the way of the answer, µs.
const CLOCK_GRAIN_US: u64 = 5_000_000;

/// No record is newer than the clock. The host tells whole seconds only, so a little is forgiven.
const fn agrees(wall: WallTime, floor: WallTime) -> bool {
    wall.0.saturating_add(CLOCK_GRAIN_US) >= floor.0
}

/// How long stopping may take; the unit file's limit is above it.
const STOP_PATIENCE: Duration = Duration::from_millis(4_500);

/// The queues the loop takes from, apart from the engine's own.
pub struct Receivers {
    /// From the card thread.
    pub card_events: mpsc::Receiver<CardEvent>,
    /// From the host task.
    pub host_events: mpsc::Receiver<HostEvent>,
    /// From the printer thread.
    pub printer_events: mpsc::Receiver<PrinterEvent>,
    /// From the link task.
    pub link_events: mpsc::Receiver<LinkEvent>,
    /// From the bus.
    pub commands: mpsc::Receiver<Command>,
    /// From the agents' keeper.
    pub agent_events: mpsc::Receiver<AgentEvent>,
    /// Fires when the service is to end.
    pub stop: oneshot::Receiver<()>,
}

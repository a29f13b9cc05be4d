//! The card reader over PC/SC, as pcscd serves it. EMV 4.4 Book 1 is below; the kernel is above; neither is
//! here.
//!
//! Three threads. `posd-card`, the supervisor, owns the commands and speaks to the engine; it never calls
//! PC/SC, so it is never late. `posd-card-io` blocks in PC/SC (`worker.rs`); `posd-card-wake` calls
//! SCardCancel to end its wait.
//!
//! **Deadline.** SCardTransmit cannot be interrupted: it returns when the reader does. When the deadline of a
//! command has passed, the supervisor answers `Timeout` and gives the worker up: it drops its ends of the
//! worker's channels and starts a new worker with a context of its own. The lost thread ends by itself when
//! the reader lets it go (at the latest when the card is pulled); what it then says reaches nobody, and it
//! powers the card down. Until then the reader is held by it and is reported as `hung`. Four lost
//! threads mean that pcscd itself is stuck: then commands are refused until one of them ends.
mod holder;
mod pcscd;
mod pin_pad;
mod port;
mod protocol;
mod roster;
mod session;
mod talk;
#[cfg(test)]
mod tests;
mod watch;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use crate::ports::{CardCommand, CardEvent, CardFault};
use port::Service;
use talk::{Claim, Job, Line, Report, Wake, answer, id_of};
pub use watch::ReaderNames;
use watch::{HUNG, View, is_about_holding};
use worker::Worker;

/// Commands that may wait.
const QUEUE: usize = 8;
/// Longest sleep of the supervisor: then it looks whether the engine is still there.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// First pause before a worker is woken once more; doubles.
const WAKE_AGAIN: Duration = Duration::from_millis(10);
/// How many threads may be lost in PC/SC at one time.
const LOST_MAX: usize = 4;

/// To the supervisor.
enum Message {
    Command(CardCommand),
    /// The worker has something to say.
    Ring,
}

/// Rings the supervisor, at most once until it has heard, so that rings do not fill the queue of commands.
#[derive(Clone)]
struct Bell {
    inbox: Weak<SyncSender<Message>>,
    rung: Arc<AtomicBool>,
}

impl Bell {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst)
            && let Some(inbox) = self.inbox.upgrade()
        {
            // A full inbox keeps the supervisor awake anyhow.
            drop(inbox.try_send(Message::Ring));
        }
    }
}

/// The engine's end of the card adapter. When the last clone is gone, the adapter ends within seconds.
#[derive(Clone)]
pub struct CardHandle(Arc<SyncSender<Message>>);

impl CardHandle {
    /// Queues a command and wakes the card thread. It is answered by exactly one event that carries its id.
    ///
    /// # Errors
    /// Gives the command back if the queue is full (eight fit), or the adapter has ended.
    pub fn try_send(&self, command: CardCommand) -> Result<(), CardCommand> {
        match self.0.try_send(Message::Command(command)) {
            Err(
                TrySendError::Full(Message::Command(c)) | TrySendError::Disconnected(Message::Command(c)),
            ) => Err(c),
            _ => Ok(()),
        }
    }
}

/// Starts the adapter. It reports the readers at once, also when there is no pcscd yet, and then keeps
/// trying.
///
/// `apdu_deadline` is the longest time for one command, GET RESPONSE and repetitions included, power-up too.
///
/// # Errors
/// The thread cannot be made.
pub fn start(
    names: ReaderNames,
    apdu_deadline: Duration,
    events: Sender<CardEvent>,
) -> std::io::Result<CardHandle> {
    start_on(Arc::new(pcscd::Pcscd), names, apdu_deadline, events)
}

/// Starts the adapter on this service.
fn start_on(
    service: Arc<dyn Service>,
    names: ReaderNames,
    apdu_deadline: Duration,
    events: Sender<CardEvent>,
) -> std::io::Result<CardHandle> {
    let (sender, inbox) = sync_channel(QUEUE.saturating_add(1)); // one place is for the bell
    let handle = CardHandle(Arc::new(sender));
    let bell = Bell { inbox: Arc::downgrade(&handle.0), rung: Arc::new(AtomicBool::new(false)) };
    let (view, crew, lost) = (None, None, Vec::new());
    let supervisor = Supervisor { service, names, deadline: apdu_deadline, events, bell, view, crew, lost };
    std::thread::Builder::new().name("posd-card".to_owned()).spawn(move || supervisor.run(inbox))?;
    Ok(handle)
}

/// The engine is gone.
struct EngineGone;

/// A worker as the supervisor sees it.
struct Crew {
    jobs: SyncSender<Job>,
    reports: Receiver<Report>,
    wake: SyncSender<Wake>,
    /// It waits for the readers.
    watching: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Supervisor {
    service: Arc<dyn Service>,
    names: ReaderNames,
    deadline: Duration,
    events: Sender<CardEvent>,
    bell: Bell,
    /// What the engine was told last.
    view: Option<View>,
    crew: Option<Crew>,
    /// Threads that did not come back from PC/SC in time.
    lost: Vec<JoinHandle<()>>,
}

impl Supervisor {
    fn run(mut self, inbox: Receiver<Message>) {
        loop {
            self.hire();
            if self.hear().is_err() {
                return;
            }
            let done = match inbox.recv_timeout(IDLE_MAX) {
                Ok(Message::Command(command)) => self.perform(command),
                Ok(Message::Ring) => {
                    self.bell.rung.store(false, Ordering::SeqCst);
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) if !self.events.is_closed() => Ok(()),
                Err(_) => return,
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Sees to it that there is a worker, unless too many are lost.
    fn hire(&mut self) {
        self.lost.retain(|thread| !thread.is_finished());
        if self.crew.is_none() && self.lost.len() < LOST_MAX {
            self.crew = self.new_crew().inspect_err(|error| tracing::error!(%error, "no card thread")).ok();
        }
    }

    fn new_crew(&self) -> std::io::Result<Crew> {
        let (jobs, job_inbox) = sync_channel(1);
        let (report_outbox, reports) = sync_channel(QUEUE);
        let (wake, wake_orders) = sync_channel(4);
        let watching = Arc::new(AtomicBool::new(false));
        let line = Line {
            jobs: job_inbox,
            reports: report_outbox,
            bell: self.bell.clone(),
            events: self.events.clone(),
            watching: Arc::clone(&watching),
            wake: wake.clone(),
        };
        let view = self.view.clone().unwrap_or_default();
        let worker = Worker::new(Arc::clone(&self.service), self.names.clone(), view, line);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("posd-card-wake").spawn(move || talk::wake_on_demand(wake_orders))?;
        let thread = thread("posd-card-io").spawn(move || worker.run())?;
        Ok(Crew { jobs, reports, wake, watching, thread })
    }

    /// Takes what the worker has said while nobody listened.
    fn hear(&mut self) -> Result<(), EngineGone> {
        while let Some(report) = self.crew.as_ref().and_then(|crew| crew.reports.try_recv().ok()) {
            if let Report::View(view) = report {
                self.publish(view)?;
            }
        }
        Ok(())
    }

    /// Does one command: hands it to the worker and waits for the answer, until its deadline.
    fn perform(&mut self, command: CardCommand) -> Result<(), EngineGone> {
        let longest = self.longest(&command);
        let deadline = Instant::now() + longest;
        self.hire();
        let refusal = CardFault::NoReader(HUNG.to_owned());
        let Some(crew) = &self.crew else { return self.tell(answer(&command, refusal)) };
        let claim = Claim::default();
        let job = Job { command: command.clone(), deadline, claim: claim.clone() };
        if crew.jobs.try_send(job).is_err() {
            self.crew = None; // it has ended by itself
            return self.tell(answer(&command, refusal));
        }
        let mut pause = WAKE_AGAIN;
        loop {
            let Some(crew) = &self.crew else { return Ok(()) };
            if crew.watching.load(Ordering::SeqCst) {
                // A full queue means that a wake is on its way already.
                drop(crew.wake.try_send(Wake::Now));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match crew.reports.recv_timeout(left.min(pause)) {
                Ok(Report::View(view)) => self.publish(view)?,
                Ok(Report::Told(id)) if id == id_of(&command) => return Ok(()),
                Ok(Report::Told(_)) => {}
                Ok(Report::Done(event)) => {
                    let event = self.corrected(event);
                    return self.tell(event);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {
                    pause = pause.saturating_mul(2)
                }
                // The worker is answering at this moment.
                Err(_) if !claim.take() => return Ok(()),
                Err(_) => return self.give_up(&command, longest),
            }
        }
    }

    /// How long a command may take: the cardholder's time at a PIN pad comes on top.
    fn longest(&self, command: &CardCommand) -> Duration {
        match command {
            CardCommand::PresentPin { ask, .. } => {
                self.deadline.saturating_add(Duration::from_secs(ask.timeout_s.max(1).into()))
            }
            CardCommand::PowerOn { .. } | CardCommand::Transmit { .. } | CardCommand::PowerOff { .. } => {
                self.deadline
            }
        }
    }

    /// The deadline has passed, or the worker has died: a new worker takes over.
    fn give_up(&mut self, command: &CardCommand, waited: Duration) -> Result<(), EngineGone> {
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        self.lost.extend(self.crew.take().map(|crew| crew.thread));
        let lost = self.lost.len();
        tracing::warn!(waited_ms, lost, most = LOST_MAX, "the card reader does not come back; starting anew");
        self.tell(answer(command, CardFault::Timeout(waited_ms)))?;
        self.hire();
        Ok(())
    }

    /// "Held by another program" is not true while the other one is a lost thread of ours.
    fn corrected(&self, event: CardEvent) -> CardEvent {
        match event {
            CardEvent::Powered { id, result: Err(CardFault::Shared(_)) } if self.has_lost() => {
                CardEvent::Powered { id, result: Err(CardFault::Mute) }
            }
            event => event,
        }
    }

    fn has_lost(&self) -> bool {
        self.lost.iter().any(|thread| !thread.is_finished())
    }

    fn publish(&mut self, mut view: View) -> Result<(), EngineGone> {
        if self.has_lost() {
            let is_held = |reason: &String| is_about_holding(reason);
            let held = view.readers.iter_mut().filter(|reader| reader.reasons.iter().any(is_held));
            held.for_each(|reader| reader.reasons = vec![HUNG.to_owned()]);
        }
        for event in view.events_after(self.view.as_ref()) {
            self.tell(event)?;
        }
        self.view = Some(view);
        Ok(())
    }

    fn tell(&self, event: CardEvent) -> Result<(), EngineGone> {
        self.events.blocking_send(event).map_err(|_| EngineGone)
    }
}

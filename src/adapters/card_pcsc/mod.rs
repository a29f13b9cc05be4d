//! The card reader over PC/SC, as pcscd serves it. EMV 4.4 Book 1 is below; the kernel is above; neither is
//! here.
//!
//! Three threads, which meet at one desk (`desk.rs`). `posd-card-io`, the worker, blocks in PC/SC, takes the
//! engine's commands and answers them (`worker.rs`). `posd-card`, the supervisor, never calls PC/SC, so it is never
//! late: it looks after deadlines. `posd-card-wake` calls SCardCancel to end the worker's wait.
//!
//! **Deadline.** SCardTransmit cannot be interrupted: it returns when the reader does. When the deadline of a
//! command has passed, the supervisor answers `Timeout` and gives the worker up: the desk does not hear it any more,
//! and a new worker with a context of its own takes over. The lost thread ends by itself when the reader lets it go
//! (at the latest when the card is pulled); what it then says reaches nobody, and it powers the card down. Until then
//! the reader is held by it and is reported as `hung`. Four lost threads mean that pcscd itself is stuck: then commands
//! are refused until one of them ends.
mod desk;
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

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::ports::{CardCommand, CardEvent, CardFault};
use desk::{Desk, Finding};
use port::Service;
use talk::{Wake, answer};
use watch::HUNG;
pub use watch::ReaderNames;
use worker::Worker;

/// How many threads may be lost in PC/SC at one time.
const LOST_MAX: usize = 4;

/// The engine's end of the card adapter. When the last clone is gone, the adapter ends.
#[derive(Clone)]
pub struct CardHandle(Arc<End>);

/// Closes the desk when it is dropped.
struct End(Arc<Desk>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl CardHandle {
    /// Queues a command and wakes the card thread. It is answered by exactly one event that carries its id.
    ///
    /// # Errors
    /// Gives the command back if the queue is full (eight fit), or the adapter has ended.
    pub fn try_send(&self, command: CardCommand) -> Result<(), CardCommand> {
        self.0.0.put(command)
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
    let desk = Arc::new(Desk::new(apdu_deadline, events));
    let supervisor = Supervisor { service, names, desk: Arc::clone(&desk), crew: None };
    std::thread::Builder::new().name("posd-card".to_owned()).spawn(move || supervisor.run())?;
    Ok(CardHandle(Arc::new(End(desk))))
}

/// A worker as the supervisor sees it.
struct Crew {
    wake: SyncSender<Wake>,
    thread: JoinHandle<()>,
}

struct Supervisor {
    service: Arc<dyn Service>,
    names: ReaderNames,
    desk: Arc<Desk>,
    crew: Option<Crew>,
}

impl Supervisor {
    fn run(mut self) {
        loop {
            self.hire();
            match self.desk.look() {
                Finding::Late(command) => self.give_up(&command),
                Finding::Wake => self.wake(),
                Finding::Unstaffed => {
                    self.hire();
                    if self.crew.is_none() {
                        let hung = || CardFault::NoReader(HUNG.to_owned());
                        self.desk.refuse(|command| answer(command, hung()));
                    }
                }
                // A worker that waits in PC/SC need not wait for the end of that.
                Finding::Closed => return self.wake(),
            }
        }
    }

    /// Sees to it that there is a worker, unless too many are lost.
    fn hire(&mut self) {
        if self.crew.is_none() && self.desk.lost() < LOST_MAX {
            self.crew = self.new_crew().inspect_err(|error| tracing::error!(%error, "no card thread")).ok();
        }
    }

    fn new_crew(&self) -> std::io::Result<Crew> {
        let (wake, orders) = sync_channel(4);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("posd-card-wake").spawn(move || talk::wake_on_demand(orders))?;
        let (service, names, desk) = (Arc::clone(&self.service), self.names.clone(), Arc::clone(&self.desk));
        let worker = Worker::new(service, names, desk, wake.clone());
        let thread = thread("posd-card-io").spawn(move || worker.run())?;
        Ok(Crew { wake, thread })
    }

    fn wake(&self) {
        if let Some(crew) = &self.crew {
            // A full queue means that a wake is on its way already.
            drop(crew.wake.try_send(Wake::Now));
        }
    }

    /// The deadline has passed: a new worker takes over.
    fn give_up(&mut self, command: &CardCommand) {
        let waited = self.desk.time_for(command);
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let thread = self.crew.take().map(|crew| crew.thread);
        let lost = self.desk.lose(thread, answer(command, CardFault::Timeout(waited_ms)));
        tracing::warn!(waited_ms, lost, most = LOST_MAX, "the card reader does not come back; starting anew");
    }
}

//! Where the engine, the supervisor and the worker meet: commands go in, answers come out, and whoever is given up is
//! not heard any more.
//!
//! In a conversation a command costs one waking of a thread, the worker's: it waits here for the next one, takes it
//! itself and answers the engine itself. The supervisor sleeps until the deadline of what is being done. It is woken by
//! a command only when the worker is not here, because then the worker has to be fetched out of PC/SC.
//!
//! It is a channel that knows who waits. Its locks are those of a channel: the table's is held for a few moves; the
//! outbox's also while an event waits for room, which only these threads do: the engine never takes it.
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Sender;

use super::watch::{HUNG, View, is_about_holding};
use crate::ports::{CardCommand, CardEvent, CardFault};

/// Commands that may wait.
const QUEUE: usize = 8;
/// First pause before a worker is woken once more; doubles.
const WAKE_AGAIN: Duration = Duration::from_millis(10);
/// How long a worker that waits for a command only lets others run before it sleeps: the engine judges most answers
/// within this time, and to wake a thread costs as much.
const ALERT: Duration = Duration::from_micros(100);
/// Without a worker: how often it is looked whether a lost thread came back.
const LOST_CHECK: Duration = Duration::from_secs(5);

/// A worker: the first is 1. One that is not the newest is given up.
pub(super) type CrewNumber = u64;

/// The worker was given up, or the engine is gone: it ends.
pub(super) struct GivenUp;

/// A command with the time by which it has to be answered.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) command: CardCommand,
    pub(super) deadline: Instant,
}

/// Where the worker is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Whereabouts {
    /// There is none.
    #[default]
    Nowhere,
    /// It looks after readers, or does a command; it comes by itself.
    Busy,
    /// It waits here for a command.
    Here,
    /// It waits in PC/SC until something changes, and has to be woken.
    Watching,
}

#[derive(Default)]
struct Table {
    commands: VecDeque<CardCommand>,
    /// By when the first of them has to be answered; counted from when it is the first and nothing is being done.
    due: Option<Instant>,
    /// What the worker is doing.
    flight: Option<Job>,
    crew: CrewNumber,
    worker: Whereabouts,
    /// A worker that watches was woken then, and has so long to come.
    woken: Option<(Instant, Duration)>,
    /// The supervisor sleeps without end.
    dozing: bool,
    /// The engine is gone.
    closed: bool,
}

impl Table {
    fn set_due(&mut self, longest: Duration) {
        if self.due.is_none() && self.flight.is_none() {
            self.due = self.commands.front().map(|command| Instant::now() + time_for(command, longest));
        }
    }

    fn check(&self, crew: CrewNumber) -> Result<(), GivenUp> {
        if self.crew == crew && !self.closed { Ok(()) } else { Err(GivenUp) }
    }

    /// The command that is late, with the worker that is to blame given up.
    fn late(&mut self, now: Instant, longest: Duration) -> Option<CardCommand> {
        let command = if self.flight.as_ref().is_some_and(|job| job.deadline <= now) {
            self.flight.take().map(|job| job.command)
        } else if self.due.is_some_and(|due| due <= now) {
            self.due = None;
            self.commands.pop_front()
        } else {
            None
        }?;
        self.crew = self.crew.saturating_add(1);
        self.worker = Whereabouts::Nowhere;
        self.woken = None;
        self.set_due(longest);
        Some(command)
    }

    /// How long the supervisor may sleep. `None`: until it is woken.
    fn rest(&self, now: Instant, longest: Duration) -> Option<Duration> {
        let flight = self.flight.as_ref().map(|job| job.deadline);
        let again = self.woken.and_then(|(since, pause)| since.checked_add(pause));
        let until = [flight, self.due, again].into_iter().flatten().min();
        match self.worker {
            _ if until.is_some() => until.map(|until| until.saturating_duration_since(now)),
            // A command that is laid down meanwhile is not late before this is over.
            Whereabouts::Here | Whereabouts::Busy => Some(longest),
            Whereabouts::Nowhere => Some(LOST_CHECK),
            Whereabouts::Watching => None,
        }
    }
}

/// What the engine was told last, and the way to it: one event after the other.
struct Outbox {
    view: Option<View>,
    events: Sender<CardEvent>,
    /// Threads that did not come back from PC/SC in time.
    lost: Vec<JoinHandle<()>>,
}

impl Outbox {
    fn tell(&self, event: CardEvent) -> Result<(), GivenUp> {
        self.events.blocking_send(event).map_err(|_| GivenUp)
    }

    fn has_lost(&self) -> bool {
        self.lost.iter().any(|thread| !thread.is_finished())
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
}

/// What the supervisor finds when it looks.
pub(super) enum Finding {
    /// The worker is late with this command, and given up.
    Late(CardCommand),
    /// The worker has to be woken: a command is there.
    Wake,
    /// There is no worker.
    Unstaffed,
    /// The engine is gone.
    Closed,
}

/// The meeting place.
pub(super) struct Desk {
    table: Mutex<Table>,
    /// For the worker: a command is there.
    command: Condvar,
    /// For the supervisor: a command is there, and the worker is elsewhere.
    trouble: Condvar,
    /// Locked before the table where both are wanted.
    outbox: Mutex<Outbox>,
    /// The longest time for a command.
    longest: Duration,
}

/// A thread that panics here would leave what it holds whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a command may take: the cardholder's time at a PIN pad comes on top.
fn time_for(command: &CardCommand, longest: Duration) -> Duration {
    match command {
        CardCommand::PresentPin { ask, .. } => {
            longest.saturating_add(Duration::from_secs(ask.timeout_s.max(1).into()))
        }
        CardCommand::PowerOn { .. }
        | CardCommand::Transmit { .. }
        | CardCommand::PowerOff { .. }
        | CardCommand::Reset { .. } => longest,
    }
}

impl Desk {
    pub(super) fn new(longest: Duration, events: Sender<CardEvent>) -> Self {
        Self {
            table: Mutex::default(),
            command: Condvar::new(),
            trouble: Condvar::new(),
            outbox: Mutex::new(Outbox { view: None, events, lost: Vec::new() }),
            longest,
        }
    }

    /// Lays a command down. Gives it back if so many wait already, or nobody is here any more.
    pub(super) fn put(&self, command: CardCommand) -> Result<(), CardCommand> {
        let mut table = lock(&self.table);
        if table.closed || table.commands.len() >= QUEUE {
            return Err(command);
        }
        table.commands.push_back(command);
        table.set_due(self.longest);
        let is_here = table.worker == Whereabouts::Here;
        let dozing = table.dozing;
        drop(table);
        if is_here {
            self.command.notify_one();
        }
        if dozing || !is_here {
            self.trouble.notify_one();
        }
        Ok(())
    }

    /// The engine is gone: everybody ends.
    pub(super) fn close(&self) {
        lock(&self.table).closed = true;
        self.command.notify_all();
        self.trouble.notify_all();
    }

    /// How long a command may take.
    pub(super) fn time_for(&self, command: &CardCommand) -> Duration {
        time_for(command, self.longest)
    }

    /// Signs a new worker on, which goes on from this view.
    pub(super) fn sign_on(&self) -> (CrewNumber, View) {
        let outbox = lock(&self.outbox);
        let mut table = lock(&self.table);
        table.crew = table.crew.saturating_add(1);
        table.worker = Whereabouts::Busy;
        (table.crew, outbox.view.clone().unwrap_or_default())
    }

    /// For the worker: the next command, if one is there or comes within `linger`.
    pub(super) fn next(&self, crew: CrewNumber, linger: Duration) -> Result<Option<Job>, GivenUp> {
        let now = Instant::now();
        let (until, alert_until) = (now + linger, now + linger.min(ALERT));
        let mut table = lock(&self.table);
        loop {
            table.check(crew)?;
            table.worker = Whereabouts::Busy;
            if let Some(command) = table.commands.pop_front() {
                let due = table.due.take();
                let deadline = due.unwrap_or_else(|| Instant::now() + time_for(&command, self.longest));
                let job = Job { command, deadline };
                (table.flight, table.woken) = (Some(job.clone()), None);
                return Ok(Some(job));
            }
            let now = Instant::now();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Ok(None);
            }
            if now < alert_until {
                drop(table);
                std::thread::yield_now();
                table = lock(&self.table);
                continue;
            }
            table.worker = Whereabouts::Here;
            table = self.command.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For the worker: it is about to wait in PC/SC. False: not now, a command is there.
    pub(super) fn watches(&self, crew: CrewNumber) -> Result<bool, GivenUp> {
        let mut table = lock(&self.table);
        table.check(crew)?;
        let is_free = table.commands.is_empty();
        table.worker = if is_free { Whereabouts::Watching } else { Whereabouts::Busy };
        Ok(is_free)
    }

    /// For the worker: it has come back from there.
    pub(super) fn is_back(&self, crew: CrewNumber) -> Result<(), GivenUp> {
        let mut table = lock(&self.table);
        table.check(crew)?;
        (table.worker, table.woken) = (Whereabouts::Busy, None);
        Ok(())
    }

    /// For the worker: answers the command that it does, unless it was given up: then the command has its answer.
    pub(super) fn answer(&self, crew: CrewNumber, event: CardEvent) -> Result<(), GivenUp> {
        let outbox = lock(&self.outbox);
        {
            let mut table = lock(&self.table);
            table.check(crew)?;
            table.flight = None;
            table.set_due(self.longest);
        }
        let told = outbox.tell(outbox.corrected(event));
        drop(outbox);
        self.closed_unless(told)
    }

    /// For the worker: shows the readers.
    pub(super) fn show(&self, crew: CrewNumber, mut view: View) -> Result<(), GivenUp> {
        let mut outbox = lock(&self.outbox);
        lock(&self.table).check(crew)?;
        if outbox.has_lost() {
            let is_held = |reason: &String| is_about_holding(reason);
            let held = view.readers.iter_mut().filter(|reader| reader.reasons.iter().any(is_held));
            held.for_each(|reader| reader.reasons = vec![HUNG.to_owned()]);
        }
        let events = view.events_after(outbox.view.as_ref());
        let told = events.into_iter().try_for_each(|event| outbox.tell(event));
        outbox.view = Some(view);
        drop(outbox);
        self.closed_unless(told)
    }

    fn closed_unless(&self, told: Result<(), GivenUp>) -> Result<(), GivenUp> {
        told.inspect_err(|GivenUp| self.close())
    }

    /// For the supervisor: sleeps until something is to be done.
    pub(super) fn look(&self) -> Finding {
        let mut table = lock(&self.table);
        loop {
            let now = Instant::now();
            if table.closed {
                return Finding::Closed;
            }
            if let Some(command) = table.late(now, self.longest) {
                return Finding::Late(command);
            }
            let waits = !table.commands.is_empty();
            match (table.worker, table.woken) {
                (Whereabouts::Nowhere, _) if waits => return Finding::Unstaffed,
                (Whereabouts::Watching, None) if waits => {
                    table.woken = Some((now, WAKE_AGAIN));
                    return Finding::Wake;
                }
                // A wake that comes just before the wait begins is lost.
                (Whereabouts::Watching, Some((since, pause))) if now >= since + pause => {
                    table.woken = Some((now, pause.saturating_mul(2)));
                    return Finding::Wake;
                }
                _ => {}
            }
            let rest = table.rest(now, self.longest);
            table.dozing = rest.is_none();
            table = match rest {
                Some(most) => {
                    self.trouble.wait_timeout(table, most).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.trouble.wait(table).unwrap_or_else(PoisonError::into_inner),
            };
            table.dozing = false;
            if table.worker == Whereabouts::Nowhere {
                return Finding::Unstaffed;
            }
        }
    }

    /// For the supervisor: the thread of a worker that was given up is lost, and its command has this answer. How many
    /// are lost now.
    pub(super) fn lose(&self, thread: Option<JoinHandle<()>>, answer: CardEvent) -> usize {
        let mut outbox = lock(&self.outbox);
        outbox.lost.extend(thread);
        let (told, lost) = (outbox.tell(answer), outbox.lost.len());
        drop(outbox);
        drop(self.closed_unless(told));
        lost
    }

    /// For the supervisor, which has no worker: answers the first command.
    pub(super) fn refuse(&self, answer: impl FnOnce(&CardCommand) -> CardEvent) {
        let mut table = lock(&self.table);
        table.due = None;
        let command = table.commands.pop_front();
        table.set_due(self.longest);
        drop(table);
        if let Some(command) = command {
            let told = lock(&self.outbox).tell(answer(&command));
            drop(self.closed_unless(told));
        }
    }

    /// How many threads are lost in PC/SC at this moment.
    pub(super) fn lost(&self) -> usize {
        let mut outbox = lock(&self.outbox);
        outbox.lost.retain(|thread| !thread.is_finished());
        outbox.lost.len()
    }
}

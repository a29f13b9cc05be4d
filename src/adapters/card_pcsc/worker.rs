//! The thread that blocks in PC/SC, and the one that can wake it.
//!
//! `posd-card-io` waits in SCardGetStatusChange or runs one command. SCardCancel ends the wait; it is called
//! from `posd-card-wake`, because it talks to pcscd itself and would block with it. It costs pcscd a connection and a
//! thread, so it is called only while the worker says that it waits. A cancel that comes just before the wait begins
//! is lost, so it is repeated, and the wait is bounded anyhow.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use pcsc::Error;

use super::desk::{CrewNumber, Desk, GivenUp, Job};
use super::holder::{self, Holder};
use super::port::{Manager, Seen, Service};
use super::roster::{follow_names, name_of, reported};
use super::session::{Failure, Session, is_service_gone, pin_pad_of};
use super::talk::{Wake, answer};
use super::watch::{PCSCD_ABSENT, ReaderNames, Reported, View};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu};
use crate::ports::{CardCommand, CardEvent, CardFault};

/// First wait for a change after something happened. Bounded because a cancel or a plug event may be lost, and because
/// pcsc-lite does not call it a change when another program takes a free reader, or lets go of it.
const WAIT_FIRST: Duration = Duration::from_secs(5);
/// Longest wait for a change: each one in which nothing happened makes the next one twice as long. An idle terminal
/// is asleep, and a reader that was taken meanwhile is told at power-up anyhow.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long the worker waits for the next command before it watches the readers again: in a conversation the
/// next one comes at once, and waking the wait costs more.
const LINGER: Duration = Duration::from_millis(20);
/// First pause before pcscd is tried again; doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// Longest pause before pcscd is tried again.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Why the watch over one context ended.
enum Ended {
    /// pcscd is gone.
    ServiceGone,
    GivenUp,
    /// Somebody wants a new one.
    Anew,
}

impl From<GivenUp> for Ended {
    fn from(_: GivenUp) -> Self {
        Self::GivenUp
    }
}

/// How the card stands.
enum Power {
    Off,
    On(Session),
    /// It was powered and then pulled.
    Pulled,
}

/// A command that went to the card before it was asked for, and what came of it.
struct Ahead {
    command: CommandApdu,
    outcome: Result<ResponseApdu, Failure>,
}

/// The worker. Runs on its own thread until it is given up.
pub(super) struct Worker {
    service: Arc<dyn Service>,
    names: ReaderNames,
    /// Last view that was reported, by this worker or the one before.
    view: View,
    /// A view has been reported by this worker.
    shown: bool,
    desk: Arc<Desk>,
    /// Who this one is at the desk.
    crew: CrewNumber,
    /// To the waking thread.
    wake: SyncSender<Wake>,
    /// Which of the plugged readers have a PIN pad. Each reader is asked once: one that hangs at the question costs one
    /// worker, and the next one goes by the view.
    pin_pads: BTreeMap<String, bool>,
    /// Who else speaks to pcscd; looked for when a reader turns out to be held.
    holders: Option<Vec<Holder>>,
    /// A command that came while pcscd was away.
    next: Option<Job>,
    /// What the card said to a command that nobody has asked for yet.
    ahead: Option<Ahead>,
    /// Pause before pcscd is tried again.
    pause: Duration,
}

impl Worker {
    /// Signs a new worker on at the desk.
    pub(super) fn new(
        service: Arc<dyn Service>,
        names: ReaderNames,
        desk: Arc<Desk>,
        wake: SyncSender<Wake>,
    ) -> Self {
        let (crew, view) = desk.sign_on();
        let pin_pads = view.readers.iter().map(|reader| (reader.name.clone(), reader.pin_pad)).collect();
        let (shown, holders, next, ahead, pause) = (false, None, None, None, BACKOFF_FIRST);
        Self { service, names, view, shown, desk, crew, wake, pin_pads, holders, next, ahead, pause }
    }

    /// Connects to pcscd, watches and works, again and again.
    pub(super) fn run(mut self) {
        while self.once().is_ok() {}
    }

    /// One life of a connection to pcscd, and the pause after it.
    fn once(&mut self) -> Result<(), GivenUp> {
        if let Ok(manager) = self.service.connect() {
            // Without a waker a command waits for the bounded wait to end.
            drop(self.wake.try_send(Wake::Connection(manager.waker())));
            match self.watch(&*manager) {
                Ended::GivenUp => return Err(GivenUp),
                Ended::ServiceGone => {}
                Ended::Anew => return Ok(()),
            }
        }
        self.tell_absence()?;
        self.next = self.next_job(self.pause)?;
        if self.next.is_none() {
            self.pause = self.pause.saturating_mul(2).min(BACKOFF_MAX);
        }
        Ok(())
    }

    /// pcscd is away: says so, and answers the command that wanted it.
    fn tell_absence(&mut self) -> Result<(), GivenUp> {
        self.show(self.view.without_pcscd(&self.names))?;
        if let Some(job) = self.next.take() {
            let absent = || CardFault::NoReader(PCSCD_ABSENT.to_owned());
            self.desk.answer(self.crew, answer(&job.command, absent()))?;
        }
        Ok(())
    }

    /// Watches the readers and does commands while the context lives.
    fn watch(&mut self, manager: &dyn Manager) -> Ended {
        let mut states = Vec::new();
        let mut power = Power::Off;
        let mut wait = Duration::ZERO; // the first look only asks how things are
        loop {
            let looked = self.look(manager, &mut states, wait, &mut power);
            let worked = looked.and_then(|calm| self.work(manager, &mut power).map(|()| calm));
            wait = match worked {
                Ok(true) => wait.saturating_mul(2).clamp(WAIT_FIRST, WAIT_MAX),
                Ok(false) => WAIT_FIRST,
                Err(ended) => return ended,
            };
        }
    }

    /// Does the commands that are there, and those that follow at once.
    fn work(&mut self, manager: &dyn Manager, power: &mut Power) -> Result<(), Ended> {
        self.pause = BACKOFF_FIRST;
        let mut linger = Duration::ZERO;
        while let Some(job) = self.next_job(linger)? {
            self.perform(manager, job, power)?;
            linger = LINGER;
        }
        Ok(())
    }

    /// The next command, if one is there or comes within `linger`.
    fn next_job(&mut self, linger: Duration) -> Result<Option<Job>, GivenUp> {
        if self.next.is_some() {
            return Ok(self.next.take());
        }
        self.desk.next(self.crew, linger)
    }

    /// Waits for a change of the readers, or for being woken, and shows what there is. True: nothing happened, and
    /// nobody else holds a reader.
    fn look(
        &mut self,
        manager: &dyn Manager,
        states: &mut Vec<Seen>,
        wait: Duration,
        power: &mut Power,
    ) -> Result<bool, Ended> {
        let plugged = follow_names(manager, states).map_err(|_| Ended::ServiceGone)?;
        let wait = if plugged { Duration::ZERO } else { wait };
        let is_free = wait.is_zero() || self.desk.watches(self.crew)?;
        let waited = if is_free { manager.wait(wait, states) } else { Err(Error::Cancelled) };
        self.desk.is_back(self.crew)?;
        let is_over = matches!(waited, Err(Error::Timeout));
        match waited {
            Ok(()) => states.iter_mut().for_each(Seen::keep),
            // The states are fresh all the same, and pcsc-lite does not call it a change when another program
            // takes a free reader.
            Err(Error::Timeout) => {}
            Err(Error::Cancelled) => {
                if plugged {
                    states.clear(); // not looked at yet: next time
                }
                return Ok(false);
            }
            // A reader went between the two calls.
            Err(Error::UnknownReader | Error::ReaderUnavailable | Error::NoReadersAvailable) => {
                states.clear()
            }
            Err(error) if is_service_gone(error) => return Err(Ended::ServiceGone),
            Err(error) => {
                tracing::warn!(%error, "waiting for the card readers failed");
                return Err(Ended::ServiceGone);
            }
        }
        let view = self.judge(states, power);
        let ours = matches!(power, Power::On(_));
        if ours && (view.card_in(self.view.in_use.as_deref()).is_none() || self.is_swapped(&view)) {
            *power = Power::Pulled;
        }
        let calm = is_over && view == self.view && self.holders.is_none();
        self.show(view)?;
        if self.ask_for_pin_pads(manager, states, power) {
            let view = self.judge(states, power);
            self.show(view)?;
        }
        Ok(calm)
    }

    /// What the readers' states mean.
    fn judge(&mut self, states: &[Seen], power: &Power) -> View {
        let ours = matches!(power, Power::On(_)).then(|| self.view.in_use.clone()).flatten();
        let mut reported: Vec<Reported> =
            states.iter().skip(1).map(|state| reported(state, ours.as_deref(), &self.pin_pads)).collect();
        if reported.iter().any(|reader| reader.held) {
            let holders = self.holders.get_or_insert_with(holder::others);
            let names: Vec<String> = holders.iter().map(|holder| holder.program.clone()).collect();
            let held = reported.iter_mut().filter(|reader| reader.held);
            held.for_each(|reader| reader.holders.clone_from(&names));
        } else {
            self.holders = None;
        }
        View::new(&self.names, &reported, self.view.in_use.as_deref())
    }

    /// Asks readers that were not asked yet whether they have a PIN pad; true if one has. Called after they have been
    /// shown, so that a reader that hangs is known.
    fn ask_for_pin_pads(&mut self, manager: &dyn Manager, states: &[Seen], power: &Power) -> bool {
        let names = || states.iter().skip(1).map(|state| (state.name.as_c_str(), name_of(state)));
        self.pin_pads.retain(|known, _| names().any(|(_, name)| name == *known));
        let ours = matches!(power, Power::On(_)).then_some(self.view.in_use.as_ref()).flatten();
        let mut found = false;
        for (reader, name) in names() {
            let is_asked = self.pin_pads.contains_key(&name) || ours == Some(&name);
            // Only readers of concern: another slot may be another program's.
            if is_asked || !self.view.readers.iter().any(|reader| reader.name == name && reader.ok) {
                continue;
            }
            let has_one = pin_pad_of(manager, reader).unwrap_or(false);
            found |= has_one;
            self.pin_pads.insert(name, has_one);
        }
        found
    }

    fn is_swapped(&self, view: &View) -> bool {
        view.events_after(Some(&self.view)).contains(&CardEvent::Removed)
    }

    /// Reports a view that differs from the last one; the first one always.
    fn show(&mut self, view: View) -> Result<(), GivenUp> {
        if view == self.view && self.shown {
            return Ok(());
        }
        self.shown = true;
        self.view = view.clone();
        self.desk.show(self.crew, view)
    }

    fn perform(&mut self, manager: &dyn Manager, job: Job, power: &mut Power) -> Result<(), Ended> {
        let Job { command, deadline } = job;
        let ahead = self.ahead.take();
        let mut follows = None;
        let (event, gone) = match command {
            CardCommand::PowerOn { id } => {
                let (result, gone) = split(self.power_on(manager, power));
                (CardEvent::Powered { id, result }, gone)
            }
            CardCommand::Transmit { id, command, next } => {
                let outcome = match ahead.filter(|ahead| ahead.command == command) {
                    Some(ahead) => ahead.outcome,
                    None => powered(power, |session| session.exchange(manager, command, deadline)),
                };
                let (result, gone) = split(outcome);
                follows = next.filter(|_| result.as_ref().is_ok_and(|answer| answer.status.is_ok()));
                (CardEvent::Response { id, result }, gone)
            }
            CardCommand::PresentPin { id, ask } => {
                let outcome = powered(power, |session| session.present_pin(manager, &ask, deadline));
                let (result, gone) = split(outcome);
                (CardEvent::PinPresented { id, result }, gone)
            }
            CardCommand::PowerOff { id } => {
                *power = Power::Off;
                (CardEvent::PoweredOff { id }, false)
            }
            CardCommand::Reset { id } => {
                *power = Power::Off;
                self.pin_pads.clear();
                self.desk.answer(self.crew, CardEvent::PoweredOff { id })?;
                return Err(Ended::Anew);
            }
        };
        self.desk.answer(self.crew, event)?;
        if gone {
            return Err(Ended::ServiceGone);
        }
        // While the engine is woken and judges the answer, the card is at work on what follows.
        self.ahead = follows.map(|command| {
            let outcome = powered(power, |session| session.exchange(manager, command.clone(), deadline));
            Ahead { command, outcome }
        });
        Ok(())
    }

    fn power_on(&mut self, manager: &dyn Manager, power: &mut Power) -> Result<Vec<u8>, Failure> {
        *power = Power::Off; // a card that is on goes through a cold reset
        let reader = self.view.in_use.clone().ok_or_else(|| {
            let reason = self.view.readers.iter().flat_map(|reader| &reader.reasons).next();
            CardFault::NoReader(reason.cloned().unwrap_or_else(|| super::watch::UNPLUGGED.to_owned()))
        })?;
        let session = match Session::open(manager, &reader) {
            Err(Failure::Fault(CardFault::Shared(None))) => {
                return Err(CardFault::Shared(holder::named(&holder::others())).into());
            }
            opened => opened?,
        };
        let atr = session.atr().to_vec();
        // The reader was busy when it was asked, or says so only with a card in it.
        let has_one = session.has_pin_pad();
        *power = Power::On(session);
        if self.pin_pads.insert(reader.clone(), has_one).unwrap_or_default() != has_one {
            let view = self.view.with_pin_pad(&reader, has_one);
            self.show(view).map_err(|GivenUp| Failure::ServiceGone)?;
        }
        Ok(atr)
    }
}

/// Has a powered card do something, and notes that it was pulled meanwhile.
fn powered<T>(power: &mut Power, run: impl FnOnce(&mut Session) -> Result<T, Failure>) -> Result<T, Failure> {
    let outcome = match power {
        Power::On(session) => run(session),
        Power::Off => Err(CardFault::NoCard.into()),
        Power::Pulled => Err(CardFault::Removed.into()),
    };
    if matches!(outcome, Err(Failure::Fault(CardFault::Removed))) {
        *power = Power::Pulled;
    }
    outcome
}

fn split<T>(outcome: Result<T, Failure>) -> (Result<T, CardFault>, bool) {
    let gone = matches!(outcome, Err(Failure::ServiceGone));
    (outcome.map_err(Failure::into_fault), gone)
}

//! What the supervisor, the worker and the waking thread say to each other.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use tokio::sync::mpsc::Sender;

use super::Bell;
use super::port::Waker;
use super::watch::View;
use crate::ports::{CardCommand, CardEvent, CardFault};

/// A command with the time by which it has to be answered.
pub(super) struct Job {
    pub(super) command: CardCommand,
    pub(super) deadline: Instant,
    pub(super) claim: Claim,
}

/// Who answers a command: the first to take it, and nobody else.
#[derive(Clone, Default)]
pub(super) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// True for the first.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }
}

/// What the worker tells the supervisor.
pub(super) enum Report {
    /// The readers as they now are.
    View(View),
    /// The command is done; here is its answer.
    Done(CardEvent),
    /// The command with this number is done, and the engine has the card's answer.
    Told(u64),
}

/// To the waking thread.
pub(super) enum Wake {
    /// This is the connection to wake from now on.
    Connection(Waker),
    /// Wake it.
    Now,
}

/// The worker's ends of its channels.
pub(super) struct Line {
    /// From the supervisor.
    pub(super) jobs: Receiver<Job>,
    /// To the supervisor.
    pub(super) reports: SyncSender<Report>,
    /// Rings the supervisor, which waits elsewhere.
    pub(super) bell: Bell,
    /// To the engine: answers of cards.
    pub(super) events: Sender<CardEvent>,
    /// The worker waits for the readers: a command wants it woken.
    pub(super) watching: Arc<AtomicBool>,
    /// To the waking thread.
    pub(super) wake: SyncSender<Wake>,
}

/// Wakes contexts until the other side is gone. Runs on its own thread.
pub(super) fn wake_on_demand(orders: Receiver<Wake>) {
    let mut current = None;
    for order in orders {
        match order {
            Wake::Connection(waker) => current = Some(waker),
            Wake::Now => drop(current.as_ref().map(|wake: &Waker| wake())),
        }
    }
}

/// The number that a command's answer carries.
pub(super) const fn id_of(command: &CardCommand) -> u64 {
    match command {
        CardCommand::PowerOn { id }
        | CardCommand::Transmit { id, .. }
        | CardCommand::PresentPin { id, .. }
        | CardCommand::PowerOff { id } => *id,
    }
}

/// The event that answers a command with a fault.
pub(super) fn answer(command: &CardCommand, fault: CardFault) -> CardEvent {
    match command {
        CardCommand::PowerOn { id } => CardEvent::Powered { id: *id, result: Err(fault) },
        CardCommand::Transmit { id, .. } => CardEvent::Response { id: *id, result: Err(fault) },
        CardCommand::PresentPin { id, .. } => CardEvent::PinPresented { id: *id, result: Err(fault) },
        CardCommand::PowerOff { id } => CardEvent::PoweredOff { id: *id },
    }
}

//! The thread that wakes a worker, and the answer of a command that cannot be done.
use std::sync::mpsc::Receiver;

use super::port::Waker;
use crate::ports::{CardCommand, CardEvent, CardFault};

/// To the waking thread.
pub(super) enum Wake {
    /// This is the connection to wake from now on.
    Connection(Waker),
    /// Wake it.
    Now,
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

/// The event that answers a command with a fault.
pub(super) fn answer(command: &CardCommand, fault: CardFault) -> CardEvent {
    match command {
        CardCommand::PowerOn { id } => CardEvent::Powered { id: *id, result: Err(fault) },
        CardCommand::Transmit { id, .. } => CardEvent::Response { id: *id, result: Err(fault) },
        CardCommand::PresentPin { id, .. } => CardEvent::PinPresented { id: *id, result: Err(fault) },
        CardCommand::PowerOff { id } | CardCommand::Reset { id } => CardEvent::PoweredOff { id: *id },
    }
}

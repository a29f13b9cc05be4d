//! The slot of the virtual reader: which card is in, and the conversation between it and vpcd.
//!
//! One task owns everything; [`Slot`] is its handle. While a card is in and vpcd is not there, the task tries
//! again: a card stays in its reader when pcscd restarts.
use core::future::pending;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Request, Wire};
use crate::sim::card::{Card, Fault, LogEntry, Profile, Reply};

/// How long to wait before vpcd is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Longest wait for one TCP step on the loopback.
const STEP_MAX: Duration = Duration::from_secs(2);
/// How many different cards a slot remembers, so that their counters go on.
const WALLET_MAX: usize = 32;
/// How many faults may wait for a card.
const FAULTS_MAX: usize = 32;

/// Handle of a slot. The slot ends when the last handle is gone.
#[derive(Clone)]
pub struct Slot(mpsc::Sender<Order>);

/// What a slot is asked to do.
enum Order {
    Insert(String, Box<Profile>, oneshot::Sender<Result<(), SlotError>>),
    Remove(oneshot::Sender<bool>),
    Fault(Fault, oneshot::Sender<Result<(), SlotError>>),
    ClearFaults(oneshot::Sender<()>),
    Status(oneshot::Sender<SlotStatus>),
    Log(oneshot::Sender<Vec<LogEntry>>),
}

/// Why a slot did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The task of the slot has ended.
    #[error("the slot is gone")]
    Gone,
    /// Too many different cards or faults.
    #[error("the slot remembers {WALLET_MAX} cards and {FAULTS_MAX} faults, no more")]
    Full,
}

/// What is known of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// Name of the card that is in.
    pub card: Option<String>,
    /// True if vpcd is connected.
    pub connected: bool,
    /// Commands since insertion, those of the card that was in last.
    pub apdus: usize,
}

impl Slot {
    /// Puts a card in; one that is in is removed first. A card of the same name keeps its counters.
    ///
    /// # Errors
    /// Too many different cards; the slot has ended.
    pub async fn insert(&self, name: &str, profile: Profile) -> Result<(), SlotError> {
        self.ask(|answer| Order::Insert(name.to_owned(), Box::new(profile), answer)).await?
    }

    /// Takes the card out; false if none was in.
    ///
    /// # Errors
    /// The slot has ended.
    pub async fn remove(&self) -> Result<bool, SlotError> {
        self.ask(Order::Remove).await
    }

    /// Switches a fault on, for the card that is in or else for the next one.
    ///
    /// # Errors
    /// Too many faults; the slot has ended.
    pub async fn fault(&self, fault: Fault) -> Result<(), SlotError> {
        self.ask(|answer| Order::Fault(fault, answer)).await?
    }

    /// Switches all faults off.
    ///
    /// # Errors
    /// The slot has ended.
    pub async fn clear_faults(&self) -> Result<(), SlotError> {
        self.ask(Order::ClearFaults).await
    }

    /// Tells what is in.
    ///
    /// # Errors
    /// The slot has ended.
    pub async fn status(&self) -> Result<SlotStatus, SlotError> {
        self.ask(Order::Status).await
    }

    /// The commands since insertion, of the card that was in last.
    ///
    /// # Errors
    /// The slot has ended.
    pub async fn log(&self) -> Result<Vec<LogEntry>, SlotError> {
        self.ask(Order::Log).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, SlotError> {
        let (answer, wait) = oneshot::channel();
        self.0.send(order(answer)).await.map_err(|_| SlotError::Gone)?;
        wait.await.map_err(|_| SlotError::Gone)
    }
}

/// Makes an empty slot of the vpcd at `address`, and the task that has to run for it.
pub fn serve(address: SocketAddr) -> (Slot, impl Future<Output = ()>) {
    let (sender, orders) = mpsc::channel(8);
    let task = Task {
        address,
        wallet: BTreeMap::new(),
        last: String::new(),
        link: Link::Out,
        mute: false,
        powered: false,
        waiting_faults: Vec::new(),
        began: Instant::now(),
    };
    (Slot(sender), task.run(orders))
}

/// The line to vpcd.
enum Link {
    /// No card is in.
    Out,
    /// A card is in, vpcd is not there; tried at this time.
    Trying(Instant),
    /// A card is in the reader.
    Up(Wire),
}

/// What happened on the line.
enum Happened {
    Connected(TcpStream),
    Refused,
    Message(Vec<u8>),
    Closed,
}

impl Link {
    async fn next(&mut self, address: SocketAddr) -> Happened {
        match self {
            Self::Out => pending().await,
            Self::Trying(at) => {
                sleep_until(*at).await;
                match timeout(STEP_MAX, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => Happened::Connected(stream),
                    Ok(Err(_)) | Err(_) => Happened::Refused,
                }
            }
            Self::Up(wire) => wire.next().await.map_or(Happened::Closed, Happened::Message),
        }
    }
}

struct Task {
    address: SocketAddr,
    wallet: BTreeMap<String, Card>,
    /// Name of the card that is in, or was last.
    last: String,
    link: Link,
    /// The card has fallen mute: it answers nothing until it is removed.
    mute: bool,
    /// vpcd has switched the power on.
    powered: bool,
    waiting_faults: Vec<Fault>,
    /// Time in the log counts from here.
    began: Instant,
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                happened = self.link.next(self.address) => self.react(happened).await,
            }
        }
    }

    /// Does what the handle asked. A handle that no longer waits for the answer is not our concern.
    fn obey(&mut self, order: Order) {
        match order {
            Order::Insert(name, profile, answer) => drop(answer.send(self.insert(name, *profile))),
            Order::Remove(answer) => drop(answer.send(self.remove())),
            Order::Fault(fault, answer) => drop(answer.send(self.fault(fault))),
            Order::ClearFaults(answer) => {
                self.waiting_faults.clear();
                self.wallet.values_mut().for_each(Card::clear_faults);
                answer.send(()).ok();
            }
            Order::Status(answer) => drop(answer.send(self.status())),
            Order::Log(answer) => {
                let log = self.wallet.get(&self.last).map(|card| card.log().to_vec());
                drop(answer.send(log.unwrap_or_default()));
            }
        }
    }

    fn insert(&mut self, name: String, profile: Profile) -> Result<(), SlotError> {
        self.remove();
        let known = self.wallet.get(&name).is_some_and(|card| *card.profile() == profile);
        if !known {
            if self.wallet.len() >= WALLET_MAX {
                return Err(SlotError::Full);
            }
            self.wallet.insert(name.clone(), Card::new(profile));
        }
        if let Some(card) = self.wallet.get_mut(&name) {
            card.inserted();
            card.clear_faults();
            self.waiting_faults.drain(..).for_each(|fault| card.add_fault(fault));
        }
        self.last = name;
        self.link = Link::Trying(Instant::now());
        Ok(())
    }

    fn remove(&mut self) -> bool {
        let was_in = !matches!(self.link, Link::Out);
        self.link = Link::Out;
        self.mute = false;
        was_in
    }

    fn fault(&mut self, fault: Fault) -> Result<(), SlotError> {
        if self.waiting_faults.len() >= FAULTS_MAX {
            return Err(SlotError::Full);
        }
        match self.wallet.get_mut(&self.last) {
            Some(card) if !matches!(self.link, Link::Out) => card.add_fault(fault),
            _ => self.waiting_faults.push(fault),
        }
        Ok(())
    }

    fn status(&self) -> SlotStatus {
        let is_in = !matches!(self.link, Link::Out);
        SlotStatus {
            card: is_in.then(|| self.last.clone()),
            connected: matches!(self.link, Link::Up(_)),
            apdus: self.wallet.get(&self.last).map_or(0, |card| card.log().len()),
        }
    }

    async fn react(&mut self, happened: Happened) {
        match happened {
            Happened::Connected(stream) => {
                self.powered = false;
                self.link = Link::Up(Wire::new(stream));
            }
            Happened::Refused => self.link = Link::Trying(Instant::now() + RETRY),
            Happened::Closed => self.lose_line(),
            Happened::Message(payload) => self.converse(&payload).await,
        }
    }

    /// vpcd is gone, so the card has no power; it stays in the reader.
    fn lose_line(&mut self) {
        if let Some(card) = self.wallet.get_mut(&self.last) {
            card.reset();
        }
        self.mute = false;
        self.link = Link::Trying(Instant::now() + RETRY);
    }

    async fn converse(&mut self, payload: &[u8]) {
        let (Some(card), Some(request)) = (self.wallet.get_mut(&self.last), Request::read(payload)) else {
            return;
        };
        if self.mute {
            return;
        }
        let answer = match request {
            Request::PowerOff | Request::PowerOn => {
                self.powered = request == Request::PowerOn;
                return card.reset();
            }
            // vpcd asks the answer to reset to see whether a card is there at all: a chip that is mute at
            // power-up is a card until it has power. Then the line is cut, since vpcd 3.3 hangs on an empty
            // answer.
            Request::Atr if card.atr().is_empty() && self.powered => return self.lose_line(),
            Request::Atr if card.atr().is_empty() => vec![0x3B, 0x00],
            Request::Atr => card.atr().to_vec(),
            Request::Apdu(bytes) => {
                card.clock(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX));
                match card.transmit(&bytes) {
                    Reply::Answer(answer) => answer,
                    Reply::Mute => return self.mute = true,
                    Reply::Removed => return self.link = Link::Out,
                }
            }
        };
        if let Link::Up(wire) = &mut self.link
            && !matches!(timeout(STEP_MAX, wire.answer(&answer)).await, Ok(Ok(())))
        {
            self.lose_line();
        }
    }
}

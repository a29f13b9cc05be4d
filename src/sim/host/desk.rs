//! The acquirer's one actor: takes messages and orders from a queue, lets the bank judge, applies the
//! rules' faults, keeps the log, and tells the lines what to send.
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use crate::domain::calendar::LocalTime;
use crate::domain::iso8583::{De, Frame, Message, unpack};
use crate::domain::unionpay::issuer::reply;

use super::amounts::fault_by_amount;
use super::bank::{Answer, Bank, Wish};
use super::line::{Action, Line};
use super::log::{Direction, Spoken};
use super::rules::{Fault, Rules, Seen};

/// Terminals that may be connected at once.
const LINES_MAX: usize = 64;
/// Messages kept in the log; older ones are forgotten.
const LOG_MAX: usize = 1000;
/// Testers that may wait for a message.
const WAITERS_MAX: usize = 64;
/// Answers that may be held back.
const HELD_MAX: usize = 64;

/// What the actor is asked.
pub(super) enum Ask {
    /// A terminal has connected.
    Terminal(TcpStream),
    /// A whole message came: what the two length bytes count.
    Message {
        /// From which line.
        line: u64,
        /// The bytes.
        payload: Vec<u8>,
        /// When the last of them was read.
        came: Instant,
    },
    /// A line is gone.
    LineEnded {
        /// Which.
        line: u64,
    },
    /// Do this; the order carries its own way to answer.
    Do(Box<dyn FnOnce(&mut Desk) + Send>),
    /// Close all lines and end.
    Stop,
}

/// Somebody waits until `count` requests of `mti` have been dealt with.
struct Waiter {
    mti: String,
    count: u32,
    deadline: Instant,
    done: SyncSender<()>,
}

/// The actor's state.
pub(super) struct Desk {
    pub(super) bank: Bank,
    pub(super) rules: Rules,
    by_amount: bool,
    lines: BTreeMap<u64, Line>,
    lines_opened: u64,
    held: VecDeque<(u64, Vec<u8>)>,
    log: VecDeque<Spoken>,
    logged: u64,
    seen: BTreeMap<String, u32>,
    kept_waiting: Duration,
    waiters: Vec<Waiter>,
    asks: SyncSender<Ask>,
}

impl Desk {
    pub(super) fn new(bank: Bank, by_amount: bool, asks: SyncSender<Ask>) -> Self {
        Self {
            bank,
            rules: Rules::default(),
            by_amount,
            lines: BTreeMap::new(),
            lines_opened: 0,
            held: VecDeque::new(),
            log: VecDeque::new(),
            logged: 0,
            seen: BTreeMap::new(),
            kept_waiting: Duration::ZERO,
            waiters: Vec::new(),
            asks,
        }
    }

    pub(super) fn run(mut self, asked: &Receiver<Ask>) {
        while let Ok(ask) = asked.recv() {
            match ask {
                Ask::Terminal(stream) => self.open(stream),
                Ask::Message { line, payload, came } => self.message(line, &payload, came),
                Ask::LineEnded { line } => drop(self.lines.remove(&line)),
                Ask::Do(order) => order(&mut self),
                Ask::Stop => return,
            }
        }
    }

    /// The log, oldest first.
    pub(super) fn messages(&self) -> Vec<Spoken> {
        self.log.iter().cloned().collect()
    }

    /// Requests by MTI that have been dealt with since the start.
    pub(super) fn seen(&self) -> BTreeMap<String, u32> {
        self.seen.clone()
    }

    /// How long terminals have waited for us since the start: from the last byte of each request until its answer was
    /// given to the writer, with what rules put on top.
    pub(super) const fn kept_waiting(&self) -> Duration {
        self.kept_waiting
    }

    /// Answers `done` once `count` requests of `mti` have been dealt with since the start. Too many
    /// waiters: never.
    pub(super) fn wait_for(&mut self, mti: &str, count: u32, deadline: Instant, done: SyncSender<()>) {
        let now = Instant::now();
        self.waiters.retain(|waiter| waiter.deadline > now);
        if self.waiters.len() < WAITERS_MAX {
            self.waiters.push(Waiter { mti: mti.to_owned(), count, deadline, done });
            self.wake();
        }
    }

    /// Closes every line.
    pub(super) fn hang_up(&mut self) {
        self.lines.clear();
    }

    /// Sends the answers that were held back, oldest first, and tells how many.
    pub(super) fn release(&mut self) -> usize {
        let held = std::mem::take(&mut self.held);
        let count = held.len();
        for (line, bytes) in held {
            self.act(line, Action::Write(bytes));
        }
        count
    }

    fn open(&mut self, stream: TcpStream) {
        if self.lines.len() >= LINES_MAX {
            return; // dropped: the terminal sees a closed connection
        }
        self.lines_opened = self.lines_opened.saturating_add(1);
        if let Ok(line) = Line::start(self.lines_opened, stream, self.asks.clone()) {
            self.lines.insert(self.lines_opened, line);
        }
    }

    fn message(&mut self, line: u64, payload: &[u8], came: Instant) {
        let read = Frame::parse(payload).map_err(|error| error.to_string()).and_then(|frame| {
            let dialect = &self.bank.settings.profile.dialect;
            let request = unpack(dialect, &frame.message).map_err(|error| error.to_string())?;
            Ok((frame, request))
        });
        match read {
            Ok((frame, request)) => {
                let late = self.request(line, &frame, &request);
                self.kept_waiting = self.kept_waiting.saturating_add(came.elapsed()).saturating_add(late);
                let seen = self.seen.entry(request.mti().to_owned()).or_default();
                *seen = seen.saturating_add(1);
                self.wake();
            }
            Err(why) => self.note(Spoken::unreadable(line, why)),
        }
    }

    /// Deals with a request, and tells by how much a rule holds its answer back.
    fn request(&mut self, line: u64, frame: &Frame, request: &Message) -> Duration {
        let amount = request.text(De::AMOUNT).and_then(|text| text.parse().ok());
        let stan = request.text(De::STAN).and_then(|text| text.parse().ok());
        let message_type = request.text(De::PRIVATE_60).and_then(|sixty| sixty.get(..2));
        let mut fault = self.rules.fault_for(&Seen { mti: request.mti(), amount, stan, message_type });
        if fault.is_none()
            && self.by_amount
            && matches!(message_type, Some("10" | "22"))
            && request.mti() != "0400"
        {
            fault = amount.and_then(fault_by_amount);
        }
        let words = fault.as_ref().map(ToString::to_string).unwrap_or_default();
        self.note(Spoken::message(line, Direction::In, request, words));
        if fault.as_ref().is_some_and(Fault::before_booking) {
            if fault == Some(Fault::CloseBefore) {
                self.act(line, Action::Close);
            }
            return Duration::ZERO;
        }
        let wish = match &fault {
            Some(Fault::Decline(code) | Fault::DeclineUnsigned(code)) => {
                Wish { decline: Some(code.clone()), ..Wish::default() }
            }
            Some(Fault::Approve(code)) => Wish { approve: Some(code.clone()), ..Wish::default() },
            Some(Fault::Partial(amount)) => Wish { partial: Some(*amount), ..Wish::default() },
            Some(Fault::Script(templates)) => Wish { scripts: templates.clone(), ..Wish::default() },
            _ => Wish::default(),
        };
        let answered = self.bank.answer(request, &frame.message, &wish, beijing_time());
        let sent = answered.and_then(|answer| self.deliver(line, frame, answer, fault.as_ref()));
        if let Err(error) = sent {
            // Without books or a packed answer there is nothing true to say.
            self.note(Spoken::unreadable(line, format!("no answer: {error}")));
            self.act(line, Action::Close);
        }
        match fault {
            Some(Fault::Late(ms)) => Duration::from_millis(ms),
            _ => Duration::ZERO,
        }
    }

    /// Packs, spoils where a fault wants it, and sends.
    fn deliver(
        &mut self,
        line: u64,
        request: &Frame,
        answer: Answer,
        fault: Option<&Fault>,
    ) -> io::Result<()> {
        let Answer { mut message, mut keys, why } = answer;
        match fault {
            Some(Fault::WrongStan) => {
                let stan = message.text(De::STAN).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
                message.set(De::STAN, format!("{:06}", stan % 999_999 + 1));
            }
            Some(Fault::NoMac | Fault::DeclineUnsigned(_)) => keys = None,
            Some(Fault::BadCheckValue) => spoil(&mut message, De::PRIVATE_62, 16),
            _ => {}
        }
        let mut header = request.header;
        if let (Some(Fault::Header(digit)), [_, _, third, ..]) = (fault, &mut header) {
            *third = *third & 0xF0 | digit;
        }
        let dialect = &self.bank.settings.profile.dialect;
        let mut bytes =
            reply(dialect, request, header, &mut message, keys.as_ref()).map_err(io::Error::other)?;
        self.note(Spoken::message(line, Direction::Out, &message, why.into_owned()));
        if fault == Some(&Fault::BadMac) && keys.is_some() {
            // The last character of the MAC, one hexadecimal digit for another.
            if let Some(last) = bytes.last_mut() {
                *last = if *last == b'0' { b'1' } else { b'0' };
            }
        }
        if fault == Some(&Fault::Garbage) {
            bytes.iter_mut().skip(13).for_each(|byte| *byte = 0xFF); // after length, TPDU and header
        }
        match fault {
            Some(Fault::Drop) => {}
            Some(Fault::Hold) => {
                self.held.push_back((line, bytes));
                self.held.truncate(HELD_MAX);
            }
            Some(Fault::Late(ms)) => self.act_after(line, Duration::from_millis(*ms), Action::Write(bytes)),
            Some(Fault::Close) => self.act(line, Action::Close),
            Some(Fault::HalfClose) => self.act(line, Action::HalfClose),
            Some(Fault::Duplicate) => {
                self.act(line, Action::Write(bytes.clone()));
                self.act(line, Action::Write(bytes));
            }
            Some(Fault::Split) => self.act(line, Action::WriteSplit(bytes)),
            Some(Fault::Truncate) => {
                bytes.truncate(bytes.len() / 2);
                self.act(line, Action::Write(bytes));
                self.act(line, Action::Close);
            }
            _ => self.act(line, Action::Write(bytes)),
        }
        Ok(())
    }

    fn act(&self, line: u64, action: Action) {
        self.act_after(line, Duration::ZERO, action);
    }

    /// A line that is gone takes nothing; the terminal has to ask again.
    fn act_after(&self, line: u64, after: Duration, action: Action) {
        if let Some(line) = self.lines.get(&line) {
            line.act(after, action);
        }
    }

    fn note(&mut self, mut spoken: Spoken) {
        self.logged = self.logged.saturating_add(1);
        spoken.number = self.logged;
        if self.log.len() >= LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(spoken);
    }

    fn wake(&mut self) {
        let seen = &self.seen;
        self.waiters.retain(|waiter| {
            let waits = seen.get(&waiter.mti).copied().unwrap_or(0) < waiter.count;
            if !waits {
                waiter.done.try_send(()).ok(); // one that has given up no longer listens
            }
            waits
        });
    }
}

/// Inverts one byte of an element, if it is that long.
fn spoil(message: &mut Message, de: De, at: usize) {
    let mut bytes = message.bytes(de).unwrap_or_default().to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte = !*byte;
        message.set(de, bytes);
    }
}

/// UnionPay's time, which has no summer time: UTC+8.
fn beijing_time() -> LocalTime {
    let now = jiff::tz::offset(8).to_datetime(jiff::Timestamp::now());
    let small = |part: i8| u8::try_from(part).unwrap_or_default();
    LocalTime {
        year: u16::try_from(now.year()).unwrap_or_default(),
        month: small(now.month()),
        day: small(now.day()),
        hour: small(now.hour()),
        minute: small(now.minute()),
        second: small(now.second()),
    }
}

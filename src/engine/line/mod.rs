//! The one line to the bank: who uses it, dialling, and matching answers to questions.
//!
//! Order: a wanted sign-on, entries of the queue that go now ([`crate::domain::queue::order`]), other errands, then the
//! transaction; uploads after the errands, and downloads last. A line that is open is used again while somebody wants
//! it: a reversal goes out first on the connection of its original, so that the bank sees the two in order. A line on
//! which a message got no answer is closed.
mod deliveries;
mod errands;
mod incoming;

use super::Engine;
use super::cut;
use super::handle::Notice;
use super::links::Way;
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::download::machine;
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::keystore::SessionKeys;
use crate::domain::link::{LinkName, Trial};
use crate::domain::outcome::{QueueState, ResultCode};
use crate::domain::profile::Profile;
use crate::domain::queue::Entry;
use crate::domain::queue::delivery::{self, Delivery};
use crate::domain::queue::order::Schedule;
use crate::domain::record::{Committed, EntryId, KeyRecord};
use crate::domain::secret::MasterKeyMaterial;
use crate::domain::settlement;
use crate::domain::txn::management::{self, Errand, Management};
use crate::domain::txn::{self, FinancialRequest};
use crate::domain::unionpay::messages::{self, Request};
use crate::domain::way::WayFault;
use crate::ports::{HostCommand, HostEvent, JournalError, LineClock, WayTimes};
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

/// First pause before a sign-on that failed is tried again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Pause before a row that could not be read is asked for again.
pub(in crate::engine) const READ_AGAIN: Duration = Duration::from_secs(5);
/// Errands that may wait.
const ERRANDS_MAX: usize = 8;

/// The line and its queue.
pub(super) struct Line {
    state: LineState,
    user: Option<User>,
    /// The question that is out.
    pending: Option<Request>,
    /// Errands that wait, with their job numbers.
    errands: VecDeque<(Errand, u64)>,
    /// When entries of the queue are tried.
    pub(super) schedule: Schedule,
    /// Entries whose state a person is changing: they are not sent before that is durable.
    pub(super) changing: BTreeSet<EntryId>,
    /// Whose request went out on the line that is open.
    served: Option<TxnId>,
    /// When an automatic sign-on that failed is tried again.
    sign_on_at: Option<BootTime>,
    sign_on_pause: Duration,
    /// Somebody signed the terminal off: it does not sign on by itself before an operator comes.
    signed_off: bool,
    /// Transactions that owe something and whose row is being read: no other one trades before that, and the line
    /// that is still open is kept for them.
    unread: BTreeSet<TxnId>,
    /// When a row that could not be read is asked for again.
    read_again_at: Option<BootTime>,
    endpoint: usize,
    sent_at: BootTime,
    /// When the line was opened, or the host last said something on it.
    heard_at: BootTime,
    /// The bank refused the keys of an entry: the sign-on that follows does not hurry it.
    refused: bool,
    /// What the last dialling took.
    pub(super) times: WayTimes,
    pub(super) echo_ms: Option<u64>,
    /// Why the last dialling or line ended, until the next one.
    pub(super) fault: Option<WayFault>,
    /// When the host's certificate ends; `None` without TLS, or before the first line.
    pub(super) certificate_until: Option<WallTime>,
    /// An answer whose TPDU is not the request's with its addresses swapped has been told of.
    tpdu_told: bool,
    /// Messages on this line that answered nothing.
    strays: u32,
    /// One of them came while the present question was out.
    stray_since_sent: bool,
}

#[derive(Clone, Copy)]
enum LineState {
    Closed,
    Dialling { id: u64, attempt: u32 },
    Open { id: u64 },
}

enum User {
    Txn,
    Entry(Box<Delivery>),
    Settlement,
    Download,
    Management { machine: Management, job: u64, opened: Option<Box<Opened>> },
}

/// Keys that were opened but are not durable yet, and what came with them.
struct Opened {
    keys: Box<dyn SessionKeys>,
    record: KeyRecord,
    new_master: Option<MasterKeyMaterial>,
    clock_offset: i64,
    batch: Option<BatchNumber>,
    /// The host offered a batch that cannot be taken up before settlement.
    batch_mismatch: bool,
}

/// What happened on the line, for whoever uses it.
enum Heard {
    Ready,
    NoLine(String),
    Sent,
    Lost { wrote: bool, cause: String },
}

/// What a line is wanted for, as far as the choice of a link depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineNeed {
    /// Money, and what it rests on.
    Payment,
    /// Downloads and tests.
    Rest,
    /// A test of one link.
    Named(LinkName),
}

/// Nothing was written, for a reason of our own.
fn unsent(cause: &str) -> Heard {
    Heard::Lost { wrote: false, cause: cause.to_owned() }
}

impl Line {
    /// `wall`: the time, if the clock is to be trusted.
    pub(super) fn new(profile: &Profile, entries: &[Entry], now: BootTime, wall: Option<WallTime>) -> Self {
        Self {
            state: LineState::Closed,
            user: None,
            pending: None,
            errands: VecDeque::new(),
            schedule: Schedule::new(profile.repeat_not_found, entries, now, wall),
            changing: BTreeSet::new(),
            served: None,
            sign_on_at: None,
            sign_on_pause: RETRY_MIN,
            signed_off: false,
            unread: BTreeSet::new(),
            read_again_at: None,
            endpoint: 0,
            sent_at: BootTime(0),
            heard_at: BootTime(0),
            refused: false,
            times: WayTimes { name: None, tcp: None, tls: None },
            echo_ms: None,
            fault: None,
            certificate_until: None,
            tpdu_told: false,
            strays: 0,
            stray_since_sent: false,
        }
    }

    /// The deadline of whoever uses it, the transaction aside.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        let user = match &self.user {
            Some(User::Entry(machine)) => machine.deadline(),
            Some(User::Management { machine, .. }) => machine.deadline(),
            Some(User::Txn | User::Settlement | User::Download) | None => None,
        };
        user.into_iter().chain(self.read_again_at).min()
    }

    /// The row of something that is owed is still to be read.
    pub(super) fn owes_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// What this transaction owes is being read. A row that cannot be read is not waited for.
    pub(super) fn awaits_row_of(&self, id: &TxnId) -> bool {
        self.read_again_at.is_none() && self.unread.contains(id)
    }

    pub(super) const fn busy(&self) -> bool {
        self.user.is_some()
    }

    pub(super) fn signing_on(&self) -> bool {
        let running = match &self.user {
            Some(User::Management { machine, .. }) => machine.errand() == Errand::SignOn,
            Some(User::Txn | User::Settlement | User::Download | User::Entry(_)) | None => false,
        };
        running || self.errands.iter().any(|(errand, _)| *errand == Errand::SignOn)
    }

    /// This entry is being sent.
    pub(super) fn is_sending(&self, id: &EntryId) -> bool {
        matches!(&self.user, Some(User::Entry(machine)) if machine.entry().id == *id)
    }

    /// Something that moves money is on its way, or may be on the next step.
    pub(super) fn carries_money(&self) -> bool {
        self.pending.is_some() && matches!(self.user, Some(User::Txn | User::Entry(_) | User::Settlement))
    }

    /// The endpoint that is dialled next.
    pub(super) const fn endpoint(&self) -> usize {
        self.endpoint
    }

    fn id(&self) -> Option<u64> {
        match self.state {
            LineState::Closed => None,
            LineState::Dialling { id, .. } | LineState::Open { id } => Some(id),
        }
    }
}

impl Engine {
    /// Gives the line to the next one that wants it.
    pub(super) fn pump_line(&mut self) {
        self.sign_on_when_due();
        self.beat_when_due();
        while self.line.user.is_none() {
            let Some(user) = self.next_user() else {
                return self.close_idle_line();
            };
            let money = matches!(user, User::Txn | User::Settlement);
            self.line.user = Some(user);
            match self.line.state {
                LineState::Open { .. } if (money && self.line_is_stale()) || self.line_link_is_down() => {
                    // Nobody may be there any more, and a request that is lost is a reversal. What is owed goes on the
                    // line of its original only while that one's link is there.
                    self.hang_up();
                    self.dial(1);
                }
                LineState::Open { .. } => self.tell_user(Heard::Ready),
                LineState::Closed | LineState::Dialling { .. } => self.dial(1),
            }
        }
    }

    fn line_is_stale(&self) -> bool {
        self.settings.line_manner.is_stale(self.line.heard_at, self.system.boot()) || self.line_link_is_down()
    }

    fn close_idle_line(&mut self) {
        // A transaction between its question and its outcome keeps the line: its reversal goes out on it.
        let moving = self.active.as_ref().is_some_and(|active| active.txn.money_may_move());
        let kept = self.settings.line_manner.long
            && !self.stopping()
            && matches!(self.line.state, LineState::Open { .. });
        if !moving && !kept && self.line.unread.is_empty() {
            self.hang_up();
        }
    }

    /// The transaction wants a line anew: whoever has to go before it goes first.
    pub(super) fn give_line_back(&mut self) {
        if matches!(self.line.user, Some(User::Txn)) {
            self.line.user = None;
        }
    }

    fn hang_up(&mut self) {
        if let Some(line) = self.line.id() {
            self.put_host(HostCommand::Close { line });
        }
        self.line_is_closed();
    }

    fn line_is_closed(&mut self) {
        self.line.state = LineState::Closed;
        self.line.pending = None;
        self.line.served = None;
    }

    fn next_user(&mut self) -> Option<User> {
        let sign_on = self.line.errands.iter().position(|(errand, _)| *errand == Errand::SignOn);
        if let Some((errand, job)) = sign_on.and_then(|at| self.line.errands.remove(at)) {
            return Some(self.errand(errand, job));
        }
        let entry = self.next_entry();
        let upload = entry.as_ref().is_some_and(|entry| entry.waiting_state() == QueueState::Queued);
        if let Some(entry) = entry.filter(|_| !upload || self.line.errands.is_empty()) {
            return Some(self.deliver(entry));
        }
        if !self.active.as_ref().is_some_and(|active| active.txn.money_may_move())
            && let Some((errand, job)) = self.line.errands.pop_front()
        {
            return Some(self.errand(errand, job));
        }
        if self.settlement_wants_line() && self.keys.is_some() {
            return Some(User::Settlement);
        }
        let wanted = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
        if wanted && self.line.unread.is_empty() {
            return Some(User::Txn);
        }
        self.download_wants_line().then_some(User::Download)
    }

    fn dial(&mut self, attempt: u32) {
        let id = self.fresh_id();
        self.line.state = LineState::Dialling { id, attempt };
        self.line.strays = 0;
        let endpoint = self.line.endpoint;
        let via = match self.choose_link(attempt, self.line_need()) {
            Way::Goes(via, why) => {
                self.links.line = via.as_ref().map(|via| via.link);
                tracing::info!(attempt, way = %why, "dialling");
                self.show_attempt(attempt, &why);
                via
            }
            Way::Shut(fault) => return self.way_is_shut(fault),
        };
        let clock = self.line_clock();
        self.put_host(HostCommand::Connect { line: id, endpoint, clock, via });
    }

    /// What the present user of the line wants it for.
    fn line_need(&self) -> LineNeed {
        match &self.line.user {
            Some(User::Management { machine, job, .. }) if machine.errand() == Errand::Echo => {
                self.links.tests.get(job).map_or(LineNeed::Rest, |name| LineNeed::Named(*name))
            }
            Some(User::Download) => LineNeed::Rest,
            Some(User::Txn | User::Entry(_) | User::Settlement | User::Management { .. }) | None => {
                LineNeed::Payment
            }
        }
    }

    /// No attempt can be made at all.
    fn way_is_shut(&mut self, fault: WayFault) {
        self.line.state = LineState::Closed;
        let words = fault.to_string();
        self.line.fault = Some(fault);
        self.tell_user(Heard::NoLine(words));
    }

    /// By which time certificates are judged.
    pub(super) fn line_clock(&self) -> LineClock {
        // A clock behind the build date is dead, and the newest record knows better. One behind a record only may be
        // the record's fault: certificates are judged by the clock then, or one wrong record would shut the line for
        // good.
        let wall = self.wall();
        let now = if wall < self.settings.built_at { self.clock_floor } else { wall };
        LineClock { now, trusted: self.clock_trusted() }
    }

    pub(super) fn put_host(&mut self, command: HostCommand) {
        if (self.host)(command).is_err() {
            self.lost = Some("the host task does not take commands".to_owned());
        }
    }

    /// An event of the host task. Events of an older line are stale.
    pub(super) fn host_event(&mut self, event: HostEvent) {
        let current = self.line.id();
        match event {
            HostEvent::Connected { line, times, certificate_until } if current == Some(line) => {
                self.line.times = times;
                self.line.certificate_until = certificate_until;
                self.line.fault = None;
                self.line.heard_at = self.system.boot();
                self.line.state = LineState::Open { id: line };
                if self.reachable == "no" {
                    // The link is back: what was given up is tried again.
                    self.kick_queue();
                    self.downloads.hurry(self.system.boot());
                }
                self.reachable = "yes";
                self.line_link_tried(Trial::Answered);
                self.tell_user(Heard::Ready);
            }
            HostEvent::ConnectFailed { line, times, fault } if current == Some(line) => {
                self.line.times = times;
                self.connect_failed(fault);
            }
            HostEvent::Sent { line } if current == Some(line) => self.tell_user(Heard::Sent),
            HostEvent::Frame { line, bytes } if current == Some(line) => {
                self.line_link_tried(Trial::Answered);
                self.frame(&bytes);
            }
            HostEvent::Probed { id, result } => self.probed(id, result),
            HostEvent::Lost { line, wrote, fault } if current == Some(line) => {
                tracing::info!(%fault, wrote, "line lost");
                let cause = fault.to_string();
                self.line.fault = Some(fault);
                if wrote {
                    self.line_link_tried(Trial::Silent);
                }
                self.line_is_closed();
                self.tell_user(Heard::Lost { wrote, cause });
            }
            HostEvent::Connected { .. }
            | HostEvent::ConnectFailed { .. }
            | HostEvent::Sent { .. }
            | HostEvent::Frame { .. }
            | HostEvent::Lost { .. } => {}
        }
    }

    fn connect_failed(&mut self, fault: WayFault) {
        let LineState::Dialling { attempt, .. } = self.line.state else { return };
        self.line.state = LineState::Closed;
        self.line.endpoint = self.line.endpoint.wrapping_add(1);
        tracing::info!(attempt, stage = %fault.stage, cause = %fault.cause, %fault, "no connection");
        self.attempt_failed(attempt, &fault);
        if attempt < self.settings.connect_attempts && !self.stopping() && self.line.user.is_some() {
            return self.dial(attempt.saturating_add(1));
        }
        self.reachable = "no";
        let words = fault.to_string();
        self.line.fault = Some(fault);
        self.tell_user(Heard::NoLine(words));
    }

    /// Tells whoever uses the line.
    fn tell_user(&mut self, heard: Heard) {
        match self.line.user.take() {
            None => {}
            Some(User::Txn) => {
                let event = match heard {
                    Heard::Ready => match self.keys.is_none() || self.pin_block_is_stale() {
                        true => txn::Event::LineFailed(ResultCode::NotSignedOn),
                        false => txn::Event::LineReady,
                    },
                    Heard::NoLine(_) => txn::Event::LineFailed(ResultCode::ConnectFailed),
                    Heard::Sent => txn::Event::RequestSent,
                    Heard::Lost { wrote, .. } => txn::Event::LineLost { wrote },
                };
                self.line.user = Some(User::Txn);
                self.step_txn(event);
            }
            Some(User::Settlement) => {
                self.line.user = Some(User::Settlement);
                self.step_settlement(match heard {
                    Heard::Ready => settlement::Event::LineReady,
                    Heard::NoLine(cause) => settlement::Event::LineFailed(cause),
                    Heard::Sent => settlement::Event::RequestSent,
                    Heard::Lost { .. } => settlement::Event::LineLost,
                });
            }
            Some(User::Download) => {
                self.line.user = Some(User::Download);
                self.step_download(match heard {
                    Heard::Ready => machine::Event::LineReady,
                    Heard::NoLine(cause) => machine::Event::LineFailed(cause),
                    Heard::Sent => machine::Event::RequestSent,
                    Heard::Lost { cause, .. } => machine::Event::LineLost(cause),
                });
            }
            Some(User::Entry(machine)) => {
                let event = match heard {
                    Heard::Ready => delivery::Event::LineReady,
                    Heard::NoLine(cause) => delivery::Event::LineFailed(cause),
                    Heard::Sent => delivery::Event::RequestSent,
                    Heard::Lost { .. } => delivery::Event::LineLost,
                };
                self.step_delivery(*machine, event);
            }
            Some(User::Management { machine, job, opened }) => {
                let event = match heard {
                    Heard::Ready => management::Event::LineReady,
                    Heard::NoLine(cause) => management::Event::LineFailed(cause),
                    Heard::Sent => management::Event::RequestSent,
                    Heard::Lost { cause, .. } => management::Event::LineLost(cause),
                };
                self.step_management(machine, job, opened, event);
            }
        }
    }

    /// The transaction has left the line: it waits for nothing on it any more.
    pub(super) fn release_line(&mut self) {
        if matches!(self.line.user, Some(User::Txn)) {
            self.line.user = None;
            self.line.pending = None;
            if let LineState::Dialling { .. } = self.line.state {
                self.hang_up();
            }
        }
    }

    /// The settlement keeps the line, wants it anew for its next message (whoever must go before it goes first), or
    /// needs it no more, or only after a pause.
    pub(super) fn settlement_uses_line(&mut self, keeps: bool, wants: bool) {
        if matches!(self.line.user, Some(User::Settlement)) && (wants || !keeps) {
            self.line.user = None;
            if !keeps {
                self.hang_up();
            }
        }
    }

    /// The download gives the line back: between two messages, so that whoever must go before goes first, or for good.
    /// A line on which something went wrong serves nobody else.
    pub(super) fn download_leaves_line(&mut self, failed: bool) {
        if matches!(self.line.user, Some(User::Download)) {
            self.line.user = None;
            if failed {
                self.hang_up();
            }
        }
    }

    /// Sends a request whose record is durable.
    fn send(&mut self, request: Request) {
        let LineState::Open { id } = self.line.state else {
            return self.tell_user(unsent("the line is closed"));
        };
        cut::boundary(&format_args!("before send {}", request.mti));
        self.line.sent_at = self.system.boot();
        self.line.stray_since_sent = false;
        if let (Some(User::Txn), Some(active)) = (&self.line.user, &self.active) {
            self.line.served = Some(active.txn.id().clone());
        }
        let frame = request.frame.clone();
        let mti = request.mti;
        self.line.pending = Some(request);
        self.put_host(HostCommand::Send { line: id, frame });
        tracing::info!(mti, "sent");
        cut::boundary(&format_args!("after send {mti}"));
    }

    /// Sends the request of the running transaction.
    pub(super) fn send_txn(&mut self, wanted: &FinancialRequest) {
        let identity = &self.settings.identity;
        let built = self.keys.as_deref().map(|keys| messages::request(identity, &wanted.fields(), keys));
        self.send_built(built);
    }

    pub(super) fn send_built<E: core::fmt::Display>(&mut self, built: Option<Result<Request, E>>) {
        match built {
            Some(Ok(request)) => self.send(request),
            Some(Err(error)) => {
                tracing::error!(%error, "the request cannot be packed");
                self.tell_user(unsent("the request cannot be packed; call the acquirer"));
            }
            None => self.tell_user(unsent("there are no keys; sign on")),
        }
    }

    /// What the journal says to the user of the line, the transaction aside.
    pub(super) fn line_user_stored(&mut self, result: Result<Committed, JournalError>) {
        let what = match &self.line.user {
            Some(User::Entry(machine)) => machine.entry().entry_type().word(),
            Some(User::Txn | User::Settlement | User::Download | User::Management { .. }) | None => {
                "management"
            }
        };
        cut::boundary(&format_args!("stored {what}"));
        match self.line.user.take() {
            Some(User::Entry(machine)) => {
                let event = match result {
                    Ok(committed) => delivery::Event::Stored(committed.taken.map(|(stan, _)| stan)),
                    Err(_) => delivery::Event::StoreFailed,
                };
                self.step_delivery(*machine, event);
            }
            Some(User::Management { machine, job, opened }) => {
                let event = match result {
                    Ok(committed) => management::Event::Stored(committed.taken.map(|(stan, _)| stan)),
                    Err(_) => management::Event::StoreFailed,
                };
                self.step_management(machine, job, opened, event);
            }
            other @ (Some(User::Txn | User::Settlement | User::Download) | None) => self.line.user = other,
        }
    }

    /// Whoever uses the line hears that time passed.
    pub(super) fn tick_line(&mut self) {
        self.read_owed_rows();
        let now = self.system.boot();
        if self.line.deadline().is_none_or(|at| now < at) {
            return;
        }
        match self.line.user.take() {
            Some(User::Entry(machine)) => self.step_delivery(*machine, delivery::Event::Tick),
            Some(User::Management { machine, job, opened }) => {
                self.step_management(machine, job, opened, management::Event::Tick);
            }
            other @ (Some(User::Txn | User::Settlement | User::Download) | None) => self.line.user = other,
        }
    }

    /// The attempt is shown where somebody looks at it; where links are known, its timeline says which and why.
    fn show_attempt(&mut self, attempt: u32, why: &str) {
        let most = self.settings.connect_attempts;
        let link = self.links.line;
        let Some(id) = self.waits_for_line() else { return };
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.view.attempt = (attempt, most);
            entry.view.attempt_link = link;
        }
        if link.is_some() {
            self.timeline(&id, "attempt", &format!("{attempt} of {most} {why}"));
        }
    }

    /// An attempt over a link came to nothing: the link's name suffers, and the timeline says why.
    fn attempt_failed(&mut self, attempt: u32, fault: &WayFault) {
        let Some(link) = self.links.line else { return };
        if let Some(id) = self.waits_for_line() {
            let most = self.settings.connect_attempts;
            let words = format!("{attempt} of {most} over {link}: {} at {}", fault.cause, fault.stage);
            self.timeline(&id, "no-connection", &words);
        }
        self.link_tried(link, Some(fault));
    }

    /// The transaction that waits for the line.
    fn waits_for_line(&self) -> Option<TxnId> {
        self.active.as_ref().filter(|a| a.txn.wants_line()).map(|a| a.txn.id().clone())
    }

    /// Tells the bus at once; for things that must keep their order.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.outbox.push(notice);
    }
}

//! The one line to the bank: who uses it, dialling, and matching answers to questions.
//!
//! Order: a wanted sign-on, reversals that must go before trading, other errands, then the transaction. A line that is
//! open is used again while somebody wants it: a reversal goes out first on the connection of its original, so that the
//! bank sees the two in order. A line on which a reversal got no answer is closed.
use super::Engine;
use super::Note;
use super::cut;
use super::handle::Notice;
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::outcome::ResultCode;
use crate::domain::record::{Committed, KeyRecord, Record};
use crate::domain::txn::management::{self, Errand, Management, SignOnAnswer};
use crate::domain::txn::reversal::{self, Due, End, Limits, Reversal};
use crate::domain::txn::{self, Garbled, SaleRequest, Vital};
use crate::domain::unionpay::answers::{self, AnswerError};
use crate::domain::unionpay::keys::WorkingKeys;
use crate::domain::unionpay::messages::{self, Request, ReversalFields, SaleFields};
use crate::domain::unionpay::Identity;
use crate::ports::{Durability, HostCommand, HostEvent, JournalError};
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

/// First pause before a reversal that found no line or no answer is tried again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
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
    /// Reversals that are tried now although nobody trades: after a sign-on, a returned link, a flush.
    kicked: BTreeSet<TxnId>,
    retry_at: Option<BootTime>,
    retry_pause: Duration,
    /// When an automatic sign-on that failed is tried again.
    sign_on_at: Option<BootTime>,
    sign_on_pause: Duration,
    /// When a reversal answered with 25 is asked again.
    ask_again_at: Option<BootTime>,
    endpoint: usize,
    dialled_at: BootTime,
    sent_at: BootTime,
    pub(super) tcp_ms: Option<u64>,
    pub(super) echo_ms: Option<u64>,
}

#[derive(Clone, Copy)]
enum LineState {
    Closed,
    Dialling { id: u64, attempt: u32 },
    Open { id: u64 },
}

enum User {
    Txn,
    Reversal(Reversal),
    Management { machine: Management, job: u64, opened: Option<Box<Opened>> },
}

/// Keys that were opened but are not durable yet, and what came with them.
struct Opened {
    keys: WorkingKeys,
    record: KeyRecord,
    clock_offset: i64,
    batch: Option<BatchNumber>,
}

/// What happened on the line, for whoever uses it.
enum Heard {
    Ready,
    NoLine(String),
    Sent,
    Lost { wrote: bool },
}

impl Line {
    pub(super) const fn new() -> Self {
        Self {
            state: LineState::Closed,
            user: None,
            pending: None,
            errands: VecDeque::new(),
            kicked: BTreeSet::new(),
            retry_at: None,
            retry_pause: RETRY_MIN,
            sign_on_at: None,
            sign_on_pause: RETRY_MIN,
            ask_again_at: None,
            endpoint: 0,
            dialled_at: BootTime(0),
            sent_at: BootTime(0),
            tcp_ms: None,
            echo_ms: None,
        }
    }

    /// The deadline of whoever uses it, the transaction aside.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        match &self.user {
            Some(User::Reversal(machine)) => machine.deadline(),
            Some(User::Management { machine, .. }) => machine.deadline(),
            Some(User::Txn) | None => None,
        }
    }

    pub(super) const fn busy(&self) -> bool {
        self.user.is_some()
    }

    pub(super) fn signing_on(&self) -> bool {
        let running = matches!(&self.user, Some(User::Management { machine, .. }) if machine.errand() == Errand::SignOn);
        running || self.errands.iter().any(|(errand, _)| *errand == Errand::SignOn)
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
        while self.line.user.is_none() {
            let Some(user) = self.next_user() else {
                return self.close_idle_line();
            };
            self.line.user = Some(user);
            match self.line.state {
                LineState::Open { .. } => self.tell_user(Heard::Ready),
                LineState::Closed | LineState::Dialling { .. } => self.dial(1),
            }
        }
    }

    fn close_idle_line(&mut self) {
        // A transaction between its question and its outcome keeps the line: its reversal goes out on it.
        if self.active.as_ref().is_some_and(|active| active.txn.money_may_move()) {
            return;
        }
        self.hang_up();
    }

    fn hang_up(&mut self) {
        if let Some(line) = self.line.id() {
            self.put_host(HostCommand::Close { line });
        }
        self.line.state = LineState::Closed;
        self.line.pending = None;
    }

    fn next_user(&mut self) -> Option<User> {
        let sign_on = self.line.errands.iter().position(|(errand, _)| *errand == Errand::SignOn);
        if let Some((errand, job)) = sign_on.and_then(|at| self.line.errands.remove(at)) {
            return Some(self.errand(errand, job));
        }
        if self.keys.is_some()
            && let Some(due) = self.next_reversal()
        {
            let limits = Limits {
                attempts_max: self.settings.reversal_attempts,
                response_timeout: self.settings.response_timeout,
                ask_again: !self.settings.repeat_not_found.is_zero(),
            };
            return Some(User::Reversal(Reversal::new(due, limits)));
        }
        if !self.active.as_ref().is_some_and(|active| active.txn.money_may_move())
            && let Some((errand, job)) = self.line.errands.pop_front()
        {
            return Some(self.errand(errand, job));
        }
        self.active.as_ref().is_some_and(|active| active.txn.wants_line()).then_some(User::Txn)
    }

    fn errand(&mut self, errand: Errand, job: u64) -> User {
        self.line.tcp_ms = None;
        self.line.echo_ms = None;
        self.job_phase(job, "running", "connecting");
        User::Management { machine: Management::new(errand, self.settings.response_timeout), job, opened: None }
    }

    /// The reversal that should go now, if any.
    fn next_reversal(&mut self) -> Option<Due> {
        let now = self.system.boot();
        let trading = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
        let free = self.active.as_ref().is_none_or(|active| !active.txn.money_may_move() || active.txn.wants_line());
        let retry = self.line.retry_at.is_none_or(|at| now >= at);
        let again = self.line.ask_again_at.is_some_and(|at| now >= at);
        let kicked = &self.line.kicked;
        let due = self.reversals.iter().find(|due| {
            kicked.contains(&due.id) || (due.blocks_trading() && (trading || retry)) || (due.ask_again && again)
        })?;
        free.then(|| due.clone())
    }

    /// When the next reversal is to be tried although nothing happens.
    pub(super) fn next_reversal_at(&self) -> Option<BootTime> {
        if self.keys.is_none() || self.line.busy() {
            return None;
        }
        let blocking = self.reversals.iter().any(Due::blocks_trading);
        let again = self.reversals.iter().any(|due| due.ask_again);
        let retry = if blocking { self.line.retry_at } else { None };
        let asked = if again { self.line.ask_again_at } else { None };
        retry.into_iter().chain(asked).min()
    }

    /// Puts an errand into the queue; a second sign-on joins the first.
    pub(super) fn queue_errand(&mut self, errand: Errand, job: u64) -> Result<(), Fault> {
        if self.line.errands.len() >= ERRANDS_MAX {
            return Err(Fault::new(FaultName::TooMany, "8 host jobs wait already; wait for them"));
        }
        self.line.errands.push_back((errand, job));
        Ok(())
    }

    /// Every open reversal is tried now.
    pub(super) fn kick_reversals(&mut self) {
        self.line.kicked = self.reversals.iter().map(|due| due.id.clone()).collect();
        self.line.retry_at = None;
        self.line.retry_pause = RETRY_MIN;
    }

    fn dial(&mut self, attempt: u32) {
        let id = self.fresh_id();
        self.line.state = LineState::Dialling { id, attempt };
        self.line.dialled_at = self.system.boot();
        let endpoint = self.line.endpoint;
        self.show_attempt(attempt);
        self.put_host(HostCommand::Connect { line: id, endpoint });
    }

    fn put_host(&mut self, command: HostCommand) {
        if (self.host)(command).is_err() {
            self.lost = Some("the host task does not take commands".to_owned());
        }
    }

    /// An event of the host task. Events of an older line are stale.
    pub(super) fn host_event(&mut self, event: HostEvent) {
        let current = self.line.id();
        match event {
            HostEvent::Connected { line } if current == Some(line) => {
                let now = self.system.boot();
                self.line.tcp_ms = u64::try_from(now.since(self.line.dialled_at).as_millis()).ok();
                self.line.state = LineState::Open { id: line };
                if self.reachable == "no" {
                    // The link is back: what was given up is tried again.
                    self.kick_reversals();
                }
                self.reachable = "yes";
                self.tell_user(Heard::Ready);
            }
            HostEvent::ConnectFailed { line, cause } if current == Some(line) => self.connect_failed(&cause),
            HostEvent::Sent { line } if current == Some(line) => self.tell_user(Heard::Sent),
            HostEvent::Frame { line, bytes } if current == Some(line) => self.frame(&bytes),
            HostEvent::Lost { line, wrote, cause } if current == Some(line) => {
                tracing::info!(%cause, wrote, "line lost");
                self.line.state = LineState::Closed;
                self.line.pending = None;
                self.tell_user(Heard::Lost { wrote });
            }
            HostEvent::Connected { .. }
            | HostEvent::ConnectFailed { .. }
            | HostEvent::Sent { .. }
            | HostEvent::Frame { .. }
            | HostEvent::Lost { .. } => {}
        }
    }

    fn connect_failed(&mut self, cause: &str) {
        let LineState::Dialling { attempt, .. } = self.line.state else { return };
        self.line.state = LineState::Closed;
        self.line.endpoint = self.line.endpoint.wrapping_add(1);
        tracing::info!(attempt, cause, "no connection");
        if attempt < self.settings.connect_attempts && !self.stopping && self.line.user.is_some() {
            return self.dial(attempt.saturating_add(1));
        }
        self.reachable = "no";
        self.tell_user(Heard::NoLine(cause.to_owned()));
    }

    /// Tells whoever uses the line.
    fn tell_user(&mut self, heard: Heard) {
        match self.line.user.take() {
            None => {}
            Some(User::Txn) => {
                let event = match heard {
                    Heard::Ready => match self.pin_block_is_stale() {
                        true => txn::Event::LineFailed(ResultCode::NotSignedOn),
                        false => txn::Event::LineReady,
                    },
                    Heard::NoLine(_) => txn::Event::LineFailed(ResultCode::ConnectFailed),
                    Heard::Sent => txn::Event::RequestSent,
                    Heard::Lost { wrote } => txn::Event::LineLost { wrote },
                };
                self.line.user = Some(User::Txn);
                self.step_txn(event);
            }
            Some(User::Reversal(machine)) => {
                let event = match heard {
                    Heard::Ready => reversal::Event::LineReady,
                    Heard::NoLine(cause) => reversal::Event::LineFailed(cause),
                    Heard::Sent => reversal::Event::RequestSent,
                    Heard::Lost { .. } => reversal::Event::LineLost,
                };
                self.step_reversal(machine, event);
            }
            Some(User::Management { machine, job, opened }) => {
                let event = match heard {
                    Heard::Ready => management::Event::LineReady,
                    Heard::NoLine(cause) => management::Event::LineFailed(cause),
                    Heard::Sent => management::Event::RequestSent,
                    Heard::Lost { .. } => management::Event::LineLost,
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

    /// Sends a request whose record is durable.
    fn send(&mut self, request: Request) {
        let LineState::Open { id } = self.line.state else {
            return self.tell_user(Heard::Lost { wrote: false });
        };
        cut::boundary(&format_args!("before send {}", request.mti));
        self.line.sent_at = self.system.boot();
        let frame = request.frame.clone();
        let mti = request.mti;
        self.line.pending = Some(request);
        self.put_host(HostCommand::Send { line: id, frame });
        tracing::info!(mti, "sent");
        cut::boundary(&format_args!("after send {mti}"));
    }

    /// Sends the sale of the running transaction.
    pub(super) fn send_sale(&mut self, sale: &SaleRequest) {
        let built = self.keys.as_ref().map(|keys| {
            let fields = SaleFields {
                stan: sale.stan,
                batch: sale.batch,
                amount: sale.start.amount,
                currency: sale.start.currency,
                pan: &sale.pan,
                track2: sale.track2.as_ref(),
                expiry: sale.expiry.as_deref(),
                sequence: sale.sequence,
                pin: sale.pin.as_ref(),
                icc: &sale.icc,
            };
            messages::sale(&self.settings.identity, &fields, keys)
        });
        self.send_built(built);
    }

    fn send_built<E: core::fmt::Display>(&mut self, built: Option<Result<Request, E>>) {
        match built {
            Some(Ok(request)) => self.send(request),
            Some(Err(error)) => {
                tracing::error!(%error, "the request cannot be packed");
                self.tell_user(Heard::Lost { wrote: false });
            }
            None => self.tell_user(Heard::Lost { wrote: false }),
        }
    }

    /// A whole message came.
    fn frame(&mut self, bytes: &[u8]) {
        cut::boundary(&"frame received");
        let now = self.now();
        self.last_exchange = now.wall;
        let Some(request) = self.line.pending.take() else {
            return self.foreign(bytes);
        };
        let foreign = match self.line.user.take() {
            Some(User::Txn) => {
                self.line.user = Some(User::Txn);
                self.sale_answer(&request, bytes)
            }
            Some(User::Reversal(machine)) => self.reversal_answer(machine, &request, bytes),
            Some(User::Management { machine, job, opened }) => {
                self.management_answer(machine, job, opened, &request, bytes)
            }
            None => true,
        };
        if foreign {
            self.foreign(bytes);
            if self.line.user.is_some() {
                self.line.pending = Some(request); // its answer may still come
            }
        }
    }

    /// A late, repeated or unknown message: journalled and shown, never acted upon.
    fn foreign(&mut self, bytes: &[u8]) {
        let Some((mti, stan)) = answers::identify(bytes) else {
            return tracing::warn!("a message that is no answer was dropped");
        };
        let stan = stan.unwrap_or(0);
        tracing::warn!(mti, stan, "a late or repeated answer");
        let owner = self.entries.iter().filter(|(_, e)| e.view.trace == stan).filter(|_| stan > 0).max_by_key(|(_, e)| e.order);
        if let Some(id) = owner.map(|(id, _)| id.clone()) {
            self.timeline(&id, "late-answer", &format!("a late or repeated {mti} came; the outcome stands"));
            let notes = self.take_notes();
            self.commit(Note::Evidence, notes, Durability::Lazy);
        }
    }

    fn sale_answer(&mut self, request: &Request, bytes: &[u8]) -> bool {
        let now = self.now();
        let local = self.system.local(now.wall);
        let Some(keys) = self.keys.as_ref() else { return true };
        let event = match answers::read_financial(request, bytes, keys, local) {
            Ok(answer) => txn::Event::HostAnswered(Box::new(answer)),
            Err(AnswerError::Foreign { .. }) => return true,
            Err(error) => {
                tracing::warn!(%error, "the answer is not usable");
                txn::Event::HostGarbled(garbled(&error))
            }
        };
        self.step_txn(event);
        false
    }

    fn reversal_answer(&mut self, machine: Reversal, request: &Request, bytes: &[u8]) -> bool {
        let local = self.system.local(self.wall());
        let Some(keys) = self.keys.as_ref() else {
            self.line.user = Some(User::Reversal(machine));
            return true;
        };
        let event = match answers::read_financial(request, bytes, keys, local) {
            Ok(answer) => match answer.host.response_code {
                Some(code) => reversal::Event::Answered(code),
                None => reversal::Event::Garbled(Garbled::Content),
            },
            Err(AnswerError::Foreign { .. }) => {
                self.line.user = Some(User::Reversal(machine));
                return true;
            }
            Err(error) => reversal::Event::Garbled(garbled(&error)),
        };
        self.step_reversal(machine, event);
        false
    }

    fn management_answer(
        &mut self,
        machine: Management,
        job: u64,
        mut opened: Option<Box<Opened>>,
        request: &Request,
        bytes: &[u8],
    ) -> bool {
        let now = self.system.boot();
        self.line.echo_ms = u64::try_from(now.since(self.line.sent_at).as_millis()).ok();
        let event = if machine.errand() == Errand::SignOn {
            answers::read_sign_on(request, bytes).map(|answer| {
                let (event, keys) = self.open_keys(answer);
                opened = keys;
                event
            })
        } else {
            answers::read_management(request, bytes)
                .map(|answer| management::Event::Answered(answer.response_code))
        };
        match event {
            Ok(event) => self.step_management(machine, job, opened, event),
            Err(AnswerError::Foreign { .. }) => {
                self.line.user = Some(User::Management { machine, job, opened });
                return true;
            }
            Err(error) => self.step_management(machine, job, opened, management::Event::Garbled(garbled(&error))),
        }
        false
    }

    /// Opens the key block of a sign-on answer and checks it; nothing is used before it is durable.
    fn open_keys(
        &self,
        answer: answers::SignOnAnswer,
    ) -> (management::Event, Option<Box<Opened>>) {
        let sign_on = |answer| management::Event::SignOn(Box::new(answer));
        if answer.response_code.as_str() != "00" {
            return (sign_on(SignOnAnswer::Refused(answer.response_code)), None);
        }
        let Some(master) = self.settings.master_key.as_ref() else {
            return (sign_on(SignOnAnswer::KeysBad("no master key is loaded".to_owned())), None);
        };
        let keys = match WorkingKeys::open(master, &answer.key_block) {
            Ok(keys) => keys,
            Err(error) => return (sign_on(SignOnAnswer::KeysBad(error.to_string())), None),
        };
        let system = self.system.wall();
        let stamp = answer.host_time.as_deref().zip(answer.host_date.as_deref());
        let host = stamp
            .and_then(|(time, date)| answers::host_time(time, date, self.system.local(self.wall())))
            .and_then(|local| self.system.wall_of(local));
        let clock_offset = host.map_or(self.clock_offset, |host| {
            i64::try_from(i128::from(host.0).saturating_sub(i128::from(system.0))).unwrap_or(0)
        });
        let record = KeyRecord {
            block: answer.key_block.clone(),
            tmk_check: master.check_value(),
            loaded_at: host.unwrap_or(system),
        };
        // A batch is only taken up while nothing of the own one is open.
        let free = !self.batch_has_records && self.reversals.is_empty();
        let batch = answer.batch.filter(|batch| free && *batch != self.batch && batch.get() < 999_999);
        let accepted = SignOnAnswer::Accepted { keys: record.clone(), batch, clock_offset };
        (sign_on(accepted), Some(Box::new(Opened { keys, record, clock_offset, batch })))
    }

    fn step_reversal(&mut self, machine: Reversal, event: reversal::Event) {
        let now = self.now();
        let (machine, effects) = machine.step(event, now);
        for local in effects.local {
            match local {
                reversal::Local::DropSignOn => self.drop_sign_on(),
            }
        }
        let due = machine.due().clone();
        if let Some(kept) = self.reversals.iter_mut().find(|kept| kept.id == due.id) {
            *kept = due;
        }
        match machine.ended() {
            Some(end) => self.reversal_ended(&machine, end),
            None => self.line.user = Some(User::Reversal(machine)),
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(mut records) => {
                cut::boundary(&"before store reversal");
                records.extend(self.take_notes());
                self.commit(Note::LineUser, records, Durability::Full);
            }
            Vital::Send(due) => self.send_reversal(&due),
        }
    }

    fn send_reversal(&mut self, due: &Due) {
        let identity = Identity {
            terminal_id: due.wire.terminal_id.clone(),
            merchant_id: due.wire.merchant_id.clone(),
            ..self.settings.identity.clone()
        };
        let built = self.keys.as_ref().map(|keys| {
            let fields = ReversalFields {
                wire: &due.wire,
                stan: due.stan,
                batch: due.batch,
                amount: due.amount,
                currency: due.currency,
                pan: &due.pan,
                expiry: due.expiry.as_deref(),
                sequence: due.sequence,
                auth_code: due.auth_code.as_ref(),
                icc: &due.icc,
                reason: due.reason,
            };
            messages::reversal(&identity, &fields, keys)
        });
        self.timeline(&due.id, "reversal-sent", &format!("reversal sent, reason {}", due.reason.code()));
        self.send_built(built);
    }

    fn reversal_ended(&mut self, machine: &Reversal, end: End) {
        let now = self.system.boot();
        let id = machine.due().id.clone();
        self.line.kicked.remove(&id);
        tracing::info!(transaction = %id, ?end, "reversal attempt ended");
        match end {
            End::Done => {
                self.reversals.retain(|due| due.id != id);
                self.line.retry_pause = RETRY_MIN;
                self.timeline(&id, "reversed", "the bank confirmed that it holds nothing");
                self.refresh(&id);
            }
            End::AskAgain => self.line.ask_again_at = Some(now.after(self.settings.repeat_not_found)),
            End::StillDue | End::NoLine | End::StorageFault => {
                self.line.retry_at = Some(now.after(self.line.retry_pause));
                self.line.retry_pause = RETRY_MAX.min(self.line.retry_pause.saturating_mul(2));
                if machine.due().ask_again {
                    self.line.ask_again_at = Some(now.after(self.settings.repeat_not_found));
                }
                if end == End::NoLine {
                    self.line.kicked.clear();
                }
                self.hang_up();
                let trading = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
                if trading {
                    self.step_txn(txn::Event::LineFailed(ResultCode::ConnectFailed));
                }
            }
            End::Failed => self.hang_up(),
        }
        if self.line.kicked.is_empty() {
            self.flush_jobs_done();
        }
    }

    fn step_management(
        &mut self,
        machine: Management,
        job: u64,
        opened: Option<Box<Opened>>,
        event: management::Event,
    ) {
        let now = self.now();
        let (machine, effects) = machine.step(event, now);
        let mut opened = opened;
        for local in effects.local {
            match local {
                management::Local::UseKeys => self.use_keys(opened.take()),
                management::Local::DropKeys => self.drop_keys(),
            }
        }
        match machine.ended() {
            Some(result) => {
                let result = result.clone();
                self.errand_ended(machine.errand(), job, result);
            }
            None => {
                self.job_phase(job, "running", machine.phase());
                self.line.user = Some(User::Management { machine, job, opened });
            }
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(records) => {
                cut::boundary(&"before store management");
                self.commit(Note::LineUser, records, Durability::Full);
            }
            Vital::Send(wanted) => self.send_errand(&wanted),
        }
    }

    fn send_errand(&mut self, wanted: &management::Request) {
        let identity = &self.settings.identity;
        let operator = self.session.as_ref().map(|session| session.operator.clone());
        let built = match (wanted.errand, wanted.stan) {
            (Errand::SignOn, Some(stan)) => Some(messages::sign_on(identity, stan, self.batch, operator.as_ref())),
            (Errand::SignOff, Some(stan)) => Some(messages::sign_off(identity, stan, self.batch)),
            (Errand::Echo, _) => Some(messages::echo(identity, self.batch)),
            (Errand::SignOn | Errand::SignOff, None) => None,
        };
        self.send_built(built);
    }

    fn use_keys(&mut self, opened: Option<Box<Opened>>) {
        let Some(opened) = opened else { return };
        self.keys = Some(opened.keys);
        self.key_record = Some(opened.record);
        self.key_generation = self.key_generation.wrapping_add(1);
        self.clock_offset = opened.clock_offset;
        if let Some(batch) = opened.batch {
            self.batch = batch;
            self.batch_opened_at = self.wall();
            self.counts.clear();
        }
        self.kick_reversals();
    }

    fn drop_keys(&mut self) {
        self.keys = None;
        self.key_record = None;
    }

    /// The bank refuses our keys: they are forgotten, durably, and asked for anew where that is allowed.
    pub(super) fn drop_sign_on(&mut self) {
        self.drop_keys();
        self.commit(Note::Evidence, vec![Record::SignedOff], Durability::Full);
        self.line.sign_on_at = None;
    }

    fn errand_ended(&mut self, errand: Errand, job: u64, result: Result<(), Fault>) {
        match &result {
            Ok(()) => tracing::info!(?errand, "errand done"),
            Err(fault) => tracing::warn!(?errand, error = %fault, "errand failed"),
        }
        if result.is_err() {
            self.hang_up();
        }
        self.finish_errand_job(errand, job, result.clone());
        if errand == Errand::SignOn {
            self.sign_on_tried(result.is_ok());
        }
    }

    /// An automatic sign-on that failed is tried again after a pause; the transaction that waits for it is told.
    fn sign_on_tried(&mut self, good: bool) {
        if good {
            self.line.sign_on_at = None;
            self.line.sign_on_pause = RETRY_MIN;
            return;
        }
        self.line.sign_on_at = Some(self.system.boot().after(self.line.sign_on_pause));
        self.line.sign_on_pause = RETRY_MAX.min(self.line.sign_on_pause.saturating_mul(2));
        let waits = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
        if waits && self.keys.is_none() {
            self.step_txn(txn::Event::LineFailed(ResultCode::NotSignedOn));
        }
    }

    /// Somebody came who needs the keys: no pause is left to wait for.
    pub(super) const fn line_sign_on_now(&mut self) {
        self.line.sign_on_at = None;
    }

    /// Keys are missing, somebody needs them, and the configuration lets the terminal ask for them.
    fn wants_sign_on(&self) -> bool {
        let needed = self.session.is_some() || !self.reversals.is_empty();
        self.keys.is_none()
            && needed
            && self.settings.auto_sign_on
            && self.settings.master_key.is_some()
            && !self.stopping
            && !self.line.signing_on()
    }

    /// When the next automatic sign-on is to be tried although nothing happens.
    pub(super) fn next_sign_on_at(&self) -> Option<BootTime> {
        if self.wants_sign_on() { Some(self.line.sign_on_at.unwrap_or_default()) } else { None }
    }

    /// Queues the automatic sign-on when its time has come.
    fn sign_on_when_due(&mut self) {
        let now = self.system.boot();
        if self.next_sign_on_at().is_some_and(|at| now >= at)
            && let Err(fault) = self.start_errand(Errand::SignOn)
        {
            tracing::warn!(error = %fault, "no automatic sign-on");
        }
    }

    /// What the journal says to the user of the line, the transaction aside.
    pub(super) fn line_user_stored(&mut self, result: Result<Committed, JournalError>) {
        cut::boundary(&"stored for the line");
        match self.line.user.take() {
            Some(User::Reversal(machine)) => {
                let event = if result.is_ok() { reversal::Event::Stored } else { reversal::Event::StoreFailed };
                self.step_reversal(machine, event);
            }
            Some(User::Management { machine, job, opened }) => {
                let event = match result {
                    Ok(committed) => management::Event::Stored(committed.taken.map(|(stan, _)| stan)),
                    Err(_) => management::Event::StoreFailed,
                };
                self.step_management(machine, job, opened, event);
            }
            other @ (Some(User::Txn) | None) => self.line.user = other,
        }
    }

    /// Whoever uses the line hears that time passed.
    pub(super) fn tick_line(&mut self) {
        let now = self.system.boot();
        if self.line.deadline().is_none_or(|at| now < at) {
            return;
        }
        match self.line.user.take() {
            Some(User::Reversal(machine)) => self.step_reversal(machine, reversal::Event::Tick),
            Some(User::Management { machine, job, opened }) => {
                self.step_management(machine, job, opened, management::Event::Tick);
            }
            other @ (Some(User::Txn) | None) => self.line.user = other,
        }
    }

    /// Cancels an errand that waits or runs, by its job. `false`: it is not there, or cannot be stopped any more.
    pub(super) fn cancel_errand(&mut self, job: u64) -> bool {
        if let Some(at) = self.line.errands.iter().position(|(_, waiting)| *waiting == job)
            && let Some((errand, job)) = self.line.errands.remove(at)
        {
            self.errand_ended(errand, job, Err(Fault::new(FaultName::Cancelled, "cancelled")));
            return true;
        }
        match self.line.user.take() {
            Some(User::Management { machine, job: running, opened }) if running == job => {
                self.step_management(machine, job, opened, management::Event::Cancel);
                true
            }
            other => {
                self.line.user = other;
                false
            }
        }
    }

    /// A reversal has become due with the outcome of a transaction: it goes out at once.
    pub(super) fn reversal_due(&mut self, due: Due) {
        self.line.retry_at = None;
        self.line.retry_pause = RETRY_MIN;
        self.reversals.retain(|kept| kept.id != due.id);
        self.reversals.push(due);
    }

    /// The attempt is shown where somebody looks at it.
    fn show_attempt(&mut self, attempt: u32) {
        let most = self.settings.connect_attempts;
        let Some(id) = self.active.as_ref().filter(|a| a.txn.wants_line()).map(|a| a.txn.id().clone()) else { return };
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.view.attempt = (attempt, most);
        }
    }

    /// Tells the bus at once; for things that must keep their order.
    pub(super) fn tell(&mut self, notice: Notice) {
        self.outbox.push(notice);
    }
}

fn garbled(error: &AnswerError) -> Garbled {
    match error {
        AnswerError::Mac => Garbled::Mac,
        _ => Garbled::Content,
    }
}

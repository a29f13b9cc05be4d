//! The running transaction: its effects go to the adapters, their answers come back as its events.
use super::cut;
use super::handle::{AgentAnswer, AgentAsk, AgentCommand, AgentEvent, Caller, CancelAnswer, Notice};
use super::journal_thread::Task;
use super::{Engine, Note};
use crate::domain::calendar::WallTime;
use crate::domain::emv::kernel::PinKind;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::TxnId;
use crate::domain::money::Amount;
use crate::domain::outcome::{Kind, Outcome, Prompt, ResultCode, TxnState};
use crate::domain::record::{Closed, Committed, Record};
use crate::domain::secret::ClearPin;
use crate::domain::txn::{Answer, Ask, Cancellable, Event, Local, Txn, TxnEffects, Vital};
use crate::ports::{CardCommand, Durability, JournalError};
use core::time::Duration;

/// How far apart two readings of one deadline can be.
const SAME_DEADLINE: Duration = Duration::from_millis(100);

/// The one transaction that runs, and what the engine keeps for it.
pub(super) struct Active {
    pub(super) txn: Txn,
    pub(super) starter: Caller,
    /// The card command that is out.
    pub(super) card_wait: Option<u64>,
    /// The agent question that is out.
    pub(super) ask_wait: Option<u64>,
    /// Key set under which the PIN block was made.
    pin_keys: Option<u32>,
}

impl Active {
    pub(super) const fn new(txn: Txn, starter: Caller) -> Self {
        Self { txn, starter, card_wait: None, ask_wait: None, pin_keys: None }
    }
}

impl Engine {
    /// Gives the machine an event and carries what it wants.
    pub(super) fn step_txn(&mut self, event: Event) {
        let Some(Active { txn, starter, card_wait, ask_wait, pin_keys }) = self.active.take() else {
            return;
        };
        let now = self.now();
        let before = txn.state();
        let (txn, effects) = txn.step(event, now);
        let asks_card = txn.state() == TxnState::WaitingCard && asked_nobody(before);
        self.active = Some(Active { txn, starter, card_wait, ask_wait, pin_keys });
        self.show_txn();
        self.carry(effects);
        if asks_card {
            if self.slot.card_in && self.slot.card_used {
                self.prompt(Prompt::RemoveCard);
            }
            self.offer_card();
        }
    }

    fn carry(&mut self, effects: TxnEffects) {
        if !self.active.as_ref().is_some_and(|active| active.txn.wants_line() || active.txn.money_may_move())
        {
            self.release_line();
        }
        for local in effects.local {
            self.carry_local(local);
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(records) => self.store_txn(records),
            Vital::Send(request) => {
                let id = request.start.id.clone();
                let text = format!("{} request handed to the line", request.start.kind);
                self.timeline(&id, "request-sent", &text);
                self.send_txn(&request);
            }
        }
    }

    fn store_txn(&mut self, mut records: Vec<Record>) {
        if records.iter().any(|record| matches!(record, Record::Closed(_))) {
            self.release_line();
        }
        let name = if matches!(records.first(), Some(Record::Sending(_))) { "Sending" } else { "Closed" };
        cut::boundary(&format_args!("before store {name}"));
        records.extend(self.take_notes());
        self.commit(Note::Txn, records, Durability::Full);
    }

    fn carry_local(&mut self, local: Local) {
        match local {
            Local::Prompt(code) => self.prompt(code),
            Local::PowerOn => {
                let sent = self.card_command("power on", |id| CardCommand::PowerOn { id });
                self.answered_by_nobody(sent);
            }
            Local::Transmit(command) => {
                let what = format!("transmit {:02X}", command.ins);
                let next = self.active.as_ref().and_then(|active| active.txn.ahead());
                let sent = self.card_command(&what, |id| CardCommand::Transmit { id, command, next });
                self.answered_by_nobody(sent);
            }
            // A card that is not powered down is powered down when the next one is powered up.
            Local::PowerOff => _ = self.card_command("power off", |id| CardCommand::PowerOff { id }),
            Local::Ask(ask) => self.ask(ask),
            Local::AskPad(longest) => self.ask_pin_pad(longest),
            Local::Withdraw => self.withdraw("cancelled"),
            Local::LookForDuplicate { token, amount } => self.look_for_duplicate(token, amount),
            // The pump sees that the machine wants a line, and what has to go before.
            Local::OpenLine => self.give_line_back(),
            Local::DropSignOn => self.drop_sign_on(),
            Local::Finish => self.finish_txn(),
        }
    }

    /// Shows a prompt on the bus and to the starter's agent.
    pub(super) fn prompt(&mut self, code: Prompt) {
        let Some((id, starter)) = self.active.as_ref().map(|a| (a.txn.id().clone(), a.starter.clone()))
        else {
            return;
        };
        self.prompt_for(&id, Some(starter), code);
    }

    /// Shows a prompt for any transaction.
    pub(super) fn prompt_for(&mut self, id: &TxnId, starter: Option<Caller>, code: Prompt) {
        let deadline = self.entries.get(id).map(|entry| entry.view.deadline).unwrap_or_default();
        let left = deadline.since(self.system.boot());
        let remaining_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        self.tell(Notice::Prompt { id: id.clone(), code, deadline, remaining_ms });
        if let Some(starter) = starter {
            self.tell_agents(AgentCommand::ShowPrompt {
                txn: id.clone(),
                starter,
                code,
                deadline,
                remaining_ms,
            });
        }
    }

    pub(super) fn tell_agents(&mut self, command: AgentCommand) {
        if self.agents.try_send(command).is_err() {
            tracing::warn!("the agents' keeper is behind; a question or prompt was dropped");
        }
    }

    fn ask(&mut self, ask: Ask) {
        self.ask_again(ask, None);
    }

    /// Asks the starter's agent. `refused`: why the answer before this one did not do.
    pub(super) fn ask_again(&mut self, ask: Ask, refused: Option<FaultName>) {
        let id = self.fresh_id();
        let Some(active) = &mut self.active else { return };
        active.ask_wait = Some(id);
        let (txn, starter) = (active.txn.id().clone(), active.starter.clone());
        let start = active.txn.start();
        let ask = match ask {
            Ask::Pin(ask) => AgentAsk::Pin { ask, amount: start.amount, currency: start.currency },
            Ask::Application(candidates) => AgentAsk::Application(candidates),
            Ask::Card => AgentAsk::Card,
            Ask::Duplicate(earlier) => AgentAsk::Duplicate(earlier),
            Ask::Authorize(action) => AgentAsk::Authorize { action, refused },
        };
        let deadline = active.txn.deadline().map(|(at, _)| at).unwrap_or_default();
        let left = deadline.since(self.system.boot());
        let remaining_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        cut::boundary(&"before ask");
        self.tell_agents(AgentCommand::Ask { id, txn, starter, ask, deadline, remaining_ms });
    }

    fn withdraw(&mut self, why: &'static str) {
        let Some((id, txn)) =
            self.active.as_mut().and_then(|a| Some((a.ask_wait.take()?, a.txn.id().clone())))
        else {
            return;
        };
        self.tell_agents(AgentCommand::Withdraw { id, txn, why });
    }

    /// An agent answered. Late answers to withdrawn questions are ignored.
    pub(super) fn agent_event(&mut self, event: AgentEvent) {
        let (AgentEvent::Answered { id, .. } | AgentEvent::Unavailable { id, .. }) = &event;
        if self.active.as_ref().is_none_or(|active| active.ask_wait != Some(*id)) {
            return self.signature_event(&event);
        }
        // The keeper gives up at the same deadline as the transaction: then it is the customer who was late.
        let due = self.active.as_ref().and_then(|active| active.txn.deadline());
        let over = due.is_some_and(|(at, _)| at.since(self.system.boot()) < SAME_DEADLINE);
        if over && matches!(event, AgentEvent::Unavailable { .. }) {
            return;
        }
        cut::boundary(&"agent answered");
        if let Some(active) = &mut self.active {
            active.ask_wait = None;
        }
        let event = match event {
            AgentEvent::Unavailable { why, .. } => {
                tracing::info!(why, "no agent answers");
                Event::AgentUnavailable
            }
            AgentEvent::Answered { answer, .. } => Event::AgentAnswered(match answer {
                AgentAnswer::Pin(pin) => match self.typed(pin) {
                    Some(answer) => answer,
                    None => return self.step_txn(Event::AgentUnavailable),
                },
                AgentAnswer::PinBypassed => Answer::PinBypassed,
                AgentAnswer::Application(aid) => Answer::Application(aid),
                AgentAnswer::Yes(yes) => Answer::Yes(yes),
                AgentAnswer::Supervisor(supervisor, password) => {
                    return self.supervisor_named(supervisor, password);
                }
                AgentAnswer::Cancelled => Answer::Cancelled,
            }),
        };
        self.step_txn(event);
    }

    /// A PIN for the card goes to the card. One for the bank is encrypted: the clear PIN ends here.
    fn typed(&mut self, pin: ClearPin) -> Option<Answer> {
        let active = self.active.as_mut()?;
        let (kind, pan) = active.txn.asked_pin()?;
        if kind != PinKind::Online {
            return Some(Answer::PinTyped(pin));
        }
        let keys = self.keys.as_ref()?;
        let made = keys.pin_block(&pin, pan);
        let block = made.inspect_err(|error| tracing::error!(%error, "no PIN block")).ok()?;
        active.pin_keys = Some(self.key_generation);
        Some(Answer::Pin(block))
    }

    /// The working keys changed after the PIN was encrypted.
    pub(super) fn pin_block_is_stale(&self) -> bool {
        self.active
            .as_ref()
            .and_then(|active| active.pin_keys)
            .is_some_and(|made| made != self.key_generation)
    }

    /// Has this card paid this amount a moment ago? The journal answers with [`Self::duplicate_looked_up`].
    fn look_for_duplicate(&mut self, token: String, amount: Amount) {
        let Some(id) = self.active.as_ref().map(|active| active.txn.id().clone()) else { return };
        let window =
            u64::try_from(self.settings.identity.profile.duplicate_window.as_micros()).unwrap_or(u64::MAX);
        let since = WallTime(self.wall().0.saturating_sub(window));
        self.put_task(Task::FindDuplicate { id, token, amount, since });
    }

    /// What the journal says to that. Who cannot look does not know.
    pub(super) fn duplicate_looked_up(&mut self, id: &TxnId, result: Result<Option<TxnId>, JournalError>) {
        if self.active.as_ref().is_none_or(|active| active.txn.id() != id) {
            return;
        }
        self.step_txn(match result {
            Ok(earlier) => Event::DuplicateLookedUp(earlier),
            Err(error) => {
                tracing::warn!(%error, "duplicates cannot be looked for");
                Event::StoreFailed
            }
        });
    }

    /// What the journal says to the transaction.
    pub(super) fn txn_stored(&mut self, result: Result<Committed, JournalError>) {
        let sending = self.active.as_ref().is_some_and(|active| active.txn.state() == TxnState::Sending);
        cut::boundary(&if sending { "stored Sending" } else { "stored Closed" });
        match result {
            Ok(committed) => {
                if let Some((stan, batch)) = committed.taken {
                    self.stan_taken(stan, batch);
                }
                self.step_txn(Event::Stored(committed.taken));
            }
            Err(_) => {
                // What was reported as failed may be on the disk all the same: the batch counts as begun.
                self.open_batch.has_records = true;
                self.step_txn(Event::StoreFailed);
            }
        }
    }

    /// Time passed for the transaction.
    pub(super) fn tick_txn(&mut self) {
        let now = self.system.boot();
        let due =
            self.active.as_ref().and_then(|active| active.txn.deadline()).is_some_and(|(at, _)| now >= at);
        if due {
            self.step_txn(Event::Tick);
        }
    }

    /// The outcome is durable: everybody hears of it, exactly once, and the terminal is free.
    fn finish_txn(&mut self) {
        let Some(active) = self.active.take() else { return };
        let Some(closed) = active.txn.ended().cloned() else { return };
        cut::boundary(&"before finished");
        tracing::info!(
            transaction = %closed.id, outcome = %closed.outcome, result = %closed.result, "finished"
        );
        self.count_finished(&active, &closed);
        self.refresh_original(&active.txn.start().clone());
        self.show_closed(&closed);
        self.tell_txn(&closed.id);
        self.tell(Notice::Finished { id: closed.id.clone(), outcome: closed.outcome });
        cut::boundary(&"after finished");
        if matches!(closed.outcome, Outcome::Approved | Outcome::StoredOffline) {
            self.refresh(&closed.id); // what may follow it is told by its row
        }
        self.look_after(active, closed);
        if core::mem::take(&mut self.sign_on_asked_for) {
            tracing::info!("the host wants a sign-on");
            self.drop_sign_on();
        }
    }

    fn count_finished(&mut self, active: &Active, closed: &Closed) {
        let count = self.counts.entry(active.txn.start().kind.word().to_owned()).or_default();
        if matches!(closed.outcome, Outcome::Approved | Outcome::StoredOffline) {
            *count = count.saturating_add(1);
            let sells = matches!(active.txn.start().kind, Kind::Sale | Kind::OfflineSale);
            if let Some(card) = closed.card.as_ref().filter(|_| sells) {
                self.recent.add(&card.token, closed.approved_amount);
            }
        }
    }

    /// `Transaction.Cancel`.
    pub(super) fn cancel(&mut self, id: &TxnId) -> Result<CancelAnswer, Fault> {
        let Some(active) = self.active.as_ref().filter(|active| active.txn.id() == id) else {
            let entry =
                self.entries.get(id).ok_or_else(|| Fault::new(FaultName::NotFound, "no such transaction"))?;
            return if entry.view.outcome == Outcome::Cancelled {
                Ok(CancelAnswer::AlreadyCancelled)
            } else {
                Err(Fault::new(FaultName::AlreadyFinished, "the transaction has ended; read its outcome"))
            };
        };
        match active.txn.cancellable() {
            Cancellable::Yes => {
                self.step_txn(Event::CancelRequested(ResultCode::OperatorCancelled));
                Ok(CancelAnswer::Accepted)
            }
            Cancellable::Already => Ok(CancelAnswer::AlreadyCancelled),
            other => {
                Err(Txn::cancel_fault(other).unwrap_or_else(|| Fault::new(FaultName::TooLate, "too late")))
            }
        }
    }

    /// The service ends: what may still be cancelled is; what has been sent has three seconds.
    pub(super) fn stop_txn(&mut self) {
        let Some(cancellable) = self.active.as_ref().map(|active| active.txn.cancellable()) else { return };
        if cancellable == Cancellable::Yes {
            self.step_txn(Event::CancelRequested(ResultCode::Interrupted));
        } else {
            self.step_txn(Event::Hurry);
        }
    }
}

/// The customer has not been asked for a card yet.
pub(super) const fn asked_nobody(state: TxnState) -> bool {
    matches!(state, TxnState::Created | TxnState::WaitingAuthorization)
}

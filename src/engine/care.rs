//! What follows an outcome: plies in their order, tear pause, signature, the card on its way out.
use super::Engine;
use super::handle::{AgentAnswer, AgentAsk, AgentCommand, AgentEvent, Caller};
use super::paper::PrintKey;
use super::trade::Active;
use crate::domain::calendar::BootTime;
use crate::domain::ident::TxnId;
use crate::domain::outcome::{Outcome, TxnState};
use crate::domain::record::{Closed, TxnRow};
use crate::domain::txn::aftercare::{Aftercare, Do, Event, Plan};
use crate::ports::JournalError;

/// A transaction that is being looked after.
pub(super) struct Care {
    pub(super) id: TxnId,
    pub(super) machine: Aftercare,
    starter: Option<Caller>,
    ask: Option<u64>,
}

impl Engine {
    /// The outcome stands: bring paper and card home, and undo what is unknown.
    pub(super) fn look_after(&mut self, active: Active, closed: Closed) {
        let approved = matches!(closed.outcome, Outcome::Approved | Outcome::StoredOffline);
        let unresolved = closed.outcome == Outcome::Unknown;
        let signature = approved && closed.card.as_ref().is_some_and(|card| card.signature_required);
        for ply in &closed.plies {
            let key = PrintKey::ply(closed.id.clone(), *ply, 0);
            self.desk.hold(key.clone());
            self.show_print_job(&key);
        }
        let owes = closed.reversal.is_some() || closed.upload.is_some() || closed.script.is_some();
        if owes || unresolved {
            self.owe(&closed.id);
        }
        if let Some(withdrawn) = &closed.withdraws {
            self.leave_queue(withdrawn);
            self.owe(&withdrawn.txn);
        }
        if closed.outcome == Outcome::Declined && self.settings.declined_slip {
            self.print_declined(&closed);
        }
        let plan = Plan {
            plies: closed.plies,
            tear_pause: self.settings.tear_pause,
            signature,
            card_in: self.slot.card_in,
            unresolved,
            patience: self.settings.customer_timeout,
        };
        let now = self.now();
        let (machine, todo) = Aftercare::new(plan, now);
        self.cares.push(Care { id: closed.id, machine, starter: Some(active.starter), ask: None });
        if let Some(index) = self.cares.len().checked_sub(1) {
            self.carry_care(index, todo);
        }
    }

    pub(super) fn step_care(&mut self, id: &TxnId, event: Event) {
        let now = self.now();
        let Some(index) = self.cares.iter().position(|care| care.id == *id) else { return };
        let Some(care) = self.cares.get_mut(index) else { return };
        let (machine, todo) = care.machine.clone().step(event, now);
        care.machine = machine;
        self.carry_care(index, todo);
    }

    fn carry_care(&mut self, index: usize, todo: Vec<Do>) {
        let Some((id, starter)) = self.cares.get(index).map(|care| (care.id.clone(), care.starter.clone()))
        else {
            return;
        };
        self.show_care(&id);
        for what in todo {
            match what {
                Do::Print(ply) => self.enqueue(PrintKey::ply(id.clone(), ply, 0)),
                Do::Prompt(code) => self.prompt_for(&id, starter.clone(), code),
                Do::AskSignature => self.ask_signature(&id),
                Do::Withdraw => self.withdraw_signature(&id),
                Do::SignatureRefused => {
                    self.refuse_signature(&id, starter.clone().unwrap_or_else(Caller::nobody));
                }
            }
        }
    }

    fn ask_signature(&mut self, id: &TxnId) {
        let ask_id = self.fresh_id();
        let deadline = self.care(id).and_then(|care| care.machine.deadline()).unwrap_or_default();
        let left = deadline.since(self.system.boot());
        let remaining_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let Some(care) = self.cares.iter_mut().find(|care| care.id == *id) else { return };
        care.ask = Some(ask_id);
        let Some(starter) = care.starter.clone() else { return };
        let (txn, ask) = (id.clone(), AgentAsk::Signature);
        self.tell_agents(AgentCommand::Ask { id: ask_id, txn, starter, ask, deadline, remaining_ms });
    }

    fn withdraw_signature(&mut self, id: &TxnId) {
        let Some(ask) = self.cares.iter_mut().find(|care| care.id == *id).and_then(|care| care.ask.take())
        else {
            return;
        };
        self.tell_agents(AgentCommand::Withdraw { id: ask, txn: id.clone(), why: "timeout" });
    }

    fn care(&self, id: &TxnId) -> Option<&Care> {
        self.cares.iter().find(|care| care.id == *id)
    }

    /// The answer to a signature question, if it is one.
    pub(super) fn signature_event(&mut self, event: &AgentEvent) {
        let (AgentEvent::Answered { id, .. } | AgentEvent::Unavailable { id, .. }) = event;
        let Some(txn) = self.cares.iter().find(|care| care.ask == Some(*id)).map(|care| care.id.clone())
        else {
            return;
        };
        let answer = match event {
            AgentEvent::Answered { answer: AgentAnswer::Yes(yes), .. } => Some(*yes),
            AgentEvent::Answered { .. } | AgentEvent::Unavailable { .. } => None,
        };
        self.step_care(&txn, Event::Signature(answer));
    }

    /// The card has left the reader.
    pub(super) fn cares_card_removed(&mut self) {
        let all: Vec<TxnId> = self.cares.iter().map(|care| care.id.clone()).collect();
        for id in all {
            self.step_care(&id, Event::CardRemoved);
        }
    }

    /// A reversal has ended well.
    pub(super) fn care_resolved(&mut self, id: &TxnId) {
        self.step_care(id, Event::Resolved);
    }

    /// Time passed; what is finished goes.
    pub(super) fn tick_cares(&mut self) {
        let now = self.system.boot();
        let due: Vec<TxnId> = self
            .cares
            .iter()
            .filter(|care| care.machine.deadline().is_some_and(|at: BootTime| now >= at))
            .map(|care| care.id.clone())
            .collect();
        for id in due {
            self.step_care(&id, Event::Tick);
        }
        self.cares.retain(|care| care.machine.state() != TxnState::Finished);
    }

    /// The row of an ended transaction was read again: what it owes and its outcome are taken from there.
    pub(super) fn refreshed(&mut self, id: &TxnId, result: Result<Option<Box<TxnRow>>, JournalError>) {
        self.owed_row_read(id, result.as_ref().err());
        let Ok(Some(row)) = result else { return };
        self.take_entries(&row);
        self.review_refusal(&row);
        self.show_row(&row);
        self.refresh_original(&row.start);
        if !self.queue.iter().any(|entry| entry.id.txn == *id) {
            self.care_resolved(id);
        }
    }
}

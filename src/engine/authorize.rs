//! Who may do it: the one place that every part of the engine asks before it lets a caller act, and how a supervisor
//! gives his leave, beforehand by a token or while a transaction waits for him.
use super::handle::{AuthorizeRequest, Caller, Command, Leave};
use super::operators::{Session, Visit, Wish};
use super::start::reply;
use super::{Engine, Note};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{OperatorId, TxnId};
use crate::domain::leave::{self, Deed, Grant};
use crate::domain::operators::{check_there, role};
use crate::domain::outcome::{Role, TxnState};
use crate::domain::record::Record;
use crate::domain::rules::rule;
use crate::domain::secret::Password;
use crate::domain::txn::{Answer, Ask, Event};
use crate::ports::Durability;
use tokio::sync::oneshot;

/// Choice: supervisors that an agent may name for one transaction before it ends unauthorised.
const NAMED_MAX: u8 = 3;

impl Engine {
    /// The session under which this caller works: needed to start a transaction, to settle, to reprint and for the
    /// drawer, and for nothing else.
    ///
    /// # Errors
    /// `OperatorRequired`, when nobody is signed on, or under another user of the system.
    pub(super) fn session_of(&self, caller: &Caller) -> Result<&Session, Fault> {
        let refuse = |text: &str| Err(Fault::new(FaultName::OperatorRequired, text));
        match &self.session {
            None => refuse("no operator is signed on; call Operators.SignOn first"),
            Some(session) if session.uid != caller.uid => {
                refuse("the operator session belongs to another user of the system")
            }
            Some(session) => Ok(session),
        }
    }

    /// May this caller do what only a higher role may allow? Gives the operator who allowed it, for the record: the
    /// signed-on one, if its role suffices and the session is the caller's; else the supervisor behind the token. The
    /// audit trail gets its line here.
    ///
    /// Call it as the last check: the token is used up when it passes, whatever follows.
    ///
    /// # Errors
    /// `NotAuthorized`, with the action; `InvalidArgument`, when the action needs no leave.
    pub(super) fn may(&mut self, deed: &Deed, leave: &Leave, caller: &Caller) -> Result<OperatorId, Fault> {
        let (action, least) = leave::needed(deed.action)?;
        let now = self.system.boot();
        let signed_on = self
            .session
            .as_mut()
            .filter(|session| session.uid == caller.uid && leave::suffices(session.role, least));
        let (who, how) = match (signed_on, &leave.authorization) {
            (Some(session), _) => {
                session.last_used = now;
                (session.operator.clone(), "signed on")
            }
            (None, Some(token)) => (self.door.tokens.spend(token, caller.uid, deed, now)?, "token"),
            (None, None) => return Err(leave::missing(action)),
        };
        self.note_audit(&who, format!("allowed {deed} to user {}: {how}", caller.uid));
        Ok(who)
    }

    /// An audit line of now, to be committed with what it tells of.
    pub(super) fn audit(&self, operator: Option<&OperatorId>, text: impl Into<String>) -> Record {
        Record::Audit { at: self.wall(), operator: operator.cloned(), text: text.into() }
    }

    /// Writes an audit line that nothing waits for; it is durable with the next full commit.
    pub(super) fn note_audit(&mut self, operator: &OperatorId, text: impl Into<String>) {
        let line = self.audit(Some(operator), text);
        self.commit(Note::Evidence, vec![line], Durability::Lazy);
    }

    /// Requests about operators and leave; gives back what is none.
    pub(super) fn people_command(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::OperatorSignOn { operator, password, caller, answer } => {
                self.operator_sign_on(operator, password, caller, answer);
            }
            Command::OperatorSignOff(answer) => {
                let result = self.operator_sign_off();
                reply(answer, result);
            }
            Command::ChangePassword { operator, old, new, answer } => {
                self.change_password(operator, old, new, answer);
            }
            Command::AddOperator { operator, password, by, answer } => {
                self.add_operator(operator, password, &by, answer);
            }
            Command::RemoveOperator { operator, leave, caller, answer } => {
                self.remove_operator(operator, &leave, &caller, answer);
            }
            Command::UnlockOperator { operator, leave, caller, answer } => {
                self.unlock_operator(operator, &leave, &caller, answer);
            }
            Command::Authorize(request, caller, answer) => self.authorize(*request, &caller, answer),
            Command::TakeOver { token, caller, answer } => {
                let leave = Leave { authorization: Some(token) };
                let result = self.may(&Deed::of("agent"), &leave, &caller).map(drop);
                reply(answer, result);
            }
            other => return Some(other),
        }
        None
    }

    /// `Operators.Authorize`: the supervisor's password is judged like a sign-on's; no session begins.
    fn authorize(
        &mut self,
        request: AuthorizeRequest,
        caller: &Caller,
        answer: oneshot::Sender<Result<String, Fault>>,
    ) {
        let AuthorizeRequest { action, supervisor, password, original, amount } = request;
        let deed = leave::needed(&action).and_then(|(action, least)| {
            self.may_give_leave(&supervisor, least)?;
            // Void kinds may write 0 for the original's amount; that binds nothing.
            let amount = amount.filter(|amount| !amount.is_zero());
            Ok(Deed { action, original, amount })
        });
        match deed {
            Ok(deed) => {
                let grant = Grant { supervisor: supervisor.clone(), uid: caller.uid, deed };
                self.verify(Visit::new(supervisor, Wish::Authorize(grant, answer)), password);
            }
            Err(fault) => reply(answer, Err(fault)),
        }
    }

    /// The supervisor is who he says he is: the token.
    pub(super) fn issue(&mut self, grant: Grant) -> Result<String, Fault> {
        let mut random = [0_u8; 16];
        self.system.random(&mut random);
        let now = self.system.boot();
        self.door.tokens.issue(random, grant, now)
    }

    /// An agent named a supervisor for the transaction that waits for one.
    pub(super) fn supervisor_named(&mut self, supervisor: OperatorId, password: Password) {
        let Some((txn, action)) = self.waits_for_supervisor() else { return };
        match leave::needed(action).and_then(|(_, least)| self.may_give_leave(&supervisor, least)) {
            Ok(()) => self.verify(Visit::new(supervisor, Wish::Allow(txn)), password),
            Err(fault) => self.supervisor_judged(&txn, Err(fault)),
        }
    }

    /// There is such an operator, and its role suffices. Told before the password is looked at: numbers are no secret.
    fn may_give_leave(&self, supervisor: &OperatorId, least: Role) -> Result<(), Fault> {
        check_there(self.operator(supervisor))?;
        if leave::suffices(role(supervisor), least) { Ok(()) } else { Err(leave::too_low(supervisor, least)) }
    }

    /// What became of it. A wrong password or number may be corrected while tries and the customer's deadline last.
    pub(super) fn supervisor_judged(&mut self, txn: &TxnId, verdict: Result<OperatorId, Fault>) {
        let Some((waiting, action)) = self.waits_for_supervisor() else { return };
        if waiting != *txn {
            return;
        }
        let event = match verdict {
            Ok(operator) => Event::AgentAnswered(Answer::Authorized(operator)),
            Err(fault) => {
                let named = self.door.named.take().filter(|(of, _)| of == txn).map_or(0, |(_, named)| named);
                let named = named.saturating_add(1);
                tracing::info!(cause = %fault.name, named, "the transaction is not authorised");
                if named < NAMED_MAX {
                    self.door.named = Some((waiting, named));
                    return self.ask_again(Ask::Authorize(action), Some(fault.name));
                }
                Event::AgentUnavailable
            }
        };
        self.door.named = None;
        self.step_txn(event);
    }

    /// The running transaction and its action, if a supervisor must allow it and no agent is being asked.
    fn waits_for_supervisor(&self) -> Option<(TxnId, &'static str)> {
        let active = self.active.as_ref()?;
        let waits = active.txn.state() == TxnState::WaitingAuthorization && active.ask_wait.is_none();
        waits.then(|| (active.txn.id().clone(), rule(active.txn.start().kind).action))
    }
}

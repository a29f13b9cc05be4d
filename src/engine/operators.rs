//! Operators' sessions and the list of operators. Whatever changes is durable, with its audit line, before it is told.
use super::handle::{Caller, Leave};
use super::password_thread::{Checked, PasswordThread, Work};
use super::start::reply;
use super::{Engine, Note};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{OperatorId, TxnId};
use crate::domain::leave::{Deed, Grant, Tokens};
use crate::domain::operators::{self, Decision};
use crate::domain::outcome::Role;
use crate::domain::record::{Committed, OperatorRow, Record};
use crate::domain::secret::Password;
use crate::ports::{Durability, JournalError};
use core::time::Duration;
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// The signed-on operator.
pub(super) struct Session {
    pub(super) operator: OperatorId,
    pub(super) role: Role,
    pub(super) uid: u32,
    pub(super) last_used: BootTime,
}

/// What is under way between operators and the terminal.
pub(super) struct Door {
    passwords: PasswordThread<Visit>,
    /// Operators whose records are being judged or changed: one change at a time, or two could undo each other.
    busy: BTreeSet<OperatorId>,
    /// What supervisors have allowed and nobody has done yet.
    pub(super) tokens: Tokens,
    /// Supervisors that an agent has named for the running transaction.
    pub(super) named: Option<(TxnId, u8)>,
}

impl Door {
    /// Opens it.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn open() -> std::io::Result<Self> {
        let passwords = PasswordThread::start()?;
        Ok(Self { passwords, busy: BTreeSet::new(), tokens: Tokens::default(), named: None })
    }

    /// The next password that has been judged.
    pub(super) async fn judged(&mut self) -> Option<(Visit, Checked)> {
        self.passwords.answers.recv().await
    }
}

type Answer<T> = oneshot::Sender<Result<T, Fault>>;

/// Somebody at the door: which operator, and who waits for what.
pub(super) struct Visit {
    operator: OperatorId,
    wish: Wish,
}

impl Visit {
    /// Who comes, and what for.
    pub(super) const fn new(operator: OperatorId, wish: Wish) -> Self {
        Self { operator, wish }
    }
}

/// What is wanted of an operator's record or password.
pub(super) enum Wish {
    /// A session.
    SignOn(Caller, Answer<()>),
    /// Another password.
    Change(Answer<()>),
    /// A token.
    Authorize(Grant, Answer<String>),
    /// The running transaction waits for this supervisor's word.
    Allow(TxnId),
    /// A new operator.
    Add(Answer<()>),
    /// No operator any more.
    Remove(Answer<()>),
    /// No lock any more.
    Unlock(Answer<()>),
}

/// A visit on its way to the disk: what was decided, and the row as it will be.
pub(super) struct Pending {
    visit: Visit,
    row: Option<OperatorRow>,
    verdict: Result<Role, Fault>,
}

/// Recorded where no operator is known; cannot happen while a session is required.
pub(super) fn nobody() -> OperatorId {
    OperatorId::new("00").unwrap_or_else(|_| unreachable!("two digits"))
}

impl Engine {
    /// `Operators.SignOn`.
    pub(super) fn operator_sign_on(
        &mut self,
        operator: OperatorId,
        password: Password,
        caller: Caller,
        answer: Answer<()>,
    ) {
        self.verify(Visit { operator, wish: Wish::SignOn(caller, answer) }, password);
    }

    /// `Operators.ChangePassword`; needs no session.
    pub(super) fn change_password(
        &mut self,
        operator: OperatorId,
        old: Password,
        new: Password,
        answer: Answer<()>,
    ) {
        let salt = self.salt();
        let phc = operators::check_new(&operator, &new, Some(&old)).and_then(|()| self.open_door(&operator));
        let visit = Visit { operator, wish: Wish::Change(answer) };
        match phc {
            Ok(phc) => self.judge(visit, Work::Change { old, phc, new, salt }),
            Err(fault) => self.turn_away(visit, fault),
        }
    }

    /// `Operators.Add`.
    pub(super) fn add_operator(
        &mut self,
        operator: OperatorId,
        new: Password,
        by: &(Leave, Caller),
        answer: Answer<()>,
    ) {
        let allowed = operators::check_add(self.operator(&operator))
            .and_then(|()| operators::check_new(&operator, &new, None))
            .and_then(|()| self.may(&Deed::of("operators"), &by.0, &by.1));
        let salt = self.salt();
        let visit = Visit { operator, wish: Wish::Add(answer) };
        match allowed {
            Ok(_) => self.judge(visit, Work::Make { new, salt }),
            Err(fault) => self.turn_away(visit, fault),
        }
    }

    /// `Operators.Remove`.
    pub(super) fn remove_operator(
        &mut self,
        operator: OperatorId,
        leave: &Leave,
        caller: &Caller,
        answer: Answer<()>,
    ) {
        let signed_on = self.session.as_ref().map(|session| &session.operator);
        let allowed = operators::check_remove(&operator, self.operator(&operator), signed_on)
            .and_then(|()| self.check_idle(&operator))
            .and_then(|()| self.may(&Deed::of("operators"), leave, caller));
        let visit = Visit { operator, wish: Wish::Remove(answer) };
        match allowed {
            Ok(_) => self.decided(visit, None, Ok(Role::Cashier)),
            Err(fault) => self.turn_away(visit, fault),
        }
    }

    /// `Operators.Unlock`.
    pub(super) fn unlock_operator(
        &mut self,
        operator: OperatorId,
        leave: &Leave,
        caller: &Caller,
        answer: Answer<()>,
    ) {
        let open =
            operators::check_there(self.operator(&operator)).map(operators::unlocked).and_then(|row| {
                self.check_idle(&operator)?;
                self.may(&Deed::of("operators"), leave, caller)?;
                Ok(row)
            });
        let visit = Visit { operator, wish: Wish::Unlock(answer) };
        match open {
            Ok(row) => self.decided(visit, Some(row), Ok(Role::Cashier)),
            Err(fault) => self.turn_away(visit, fault),
        }
    }

    /// Has an operator's password verified off the loop; a door that is shut answers at once.
    pub(super) fn verify(&mut self, visit: Visit, password: Password) {
        match self.open_door(&visit.operator) {
            Ok(phc) => self.judge(visit, Work::Verify { password, phc }),
            Err(fault) => self.turn_away(visit, fault),
        }
    }

    pub(super) fn operator(&self, id: &OperatorId) -> Option<&OperatorRow> {
        self.operators.iter().find(|row| row.id == *id)
    }

    /// The stored hash, if this operator's door is not locked.
    fn open_door(&self, operator: &OperatorId) -> Result<String, Fault> {
        operators::check_open(self.operator(operator), self.wall()).map(|row| row.password_phc.clone())
    }

    fn salt(&mut self) -> [u8; 16] {
        let mut salt = [0_u8; 16];
        self.system.random(&mut salt);
        salt
    }

    /// Nothing of this operator is being judged or changed.
    fn check_idle(&self, operator: &OperatorId) -> Result<(), Fault> {
        if self.door.busy.contains(operator) { Err(busy()) } else { Ok(()) }
    }

    fn judge(&mut self, visit: Visit, work: Work) {
        if let Err(fault) = self.check_idle(&visit.operator) {
            return self.turn_away(visit, fault);
        }
        let operator = visit.operator.clone();
        match self.door.passwords.put(visit, work) {
            Ok(()) => _ = self.door.busy.insert(operator),
            Err(visit) => self.turn_away(visit, busy()),
        }
    }

    /// A password was judged, or a new one hashed.
    pub(super) fn judged(&mut self, visit: Visit, checked: Checked) {
        let Checked { right, new_phc } = checked;
        let now = self.wall();
        let row = self.operator(&visit.operator);
        let fresh = new_phc.map(|phc| operators::with_password(visit.operator.clone(), phc));
        let unhashed = || Fault::new(FaultName::Failed, "the password could not be hashed; try again");
        let Decision { answer, store } = match &visit.wish {
            Wish::Change(_) => {
                let Decision { answer, store } = operators::check_change(row, right, now);
                match (answer, fresh) {
                    (Ok(role), Some(fresh)) => Decision { answer: Ok(role), store: Some(fresh) },
                    (Ok(_), None) => Decision { answer: Err(unhashed()), store },
                    (Err(fault), _) => Decision { answer: Err(fault), store },
                }
            }
            Wish::Add(_) => {
                let answer = fresh.is_some().then_some(Role::Cashier).ok_or_else(unhashed);
                Decision { answer, store: fresh }
            }
            _ => operators::check_sign_on(row, right, now, self.settings.require_change),
        };
        self.decided(visit, store, answer);
    }

    /// What was decided becomes durable before anybody hears of it.
    fn decided(&mut self, visit: Visit, row: Option<OperatorRow>, verdict: Result<Role, Fault>) {
        self.door.busy.insert(visit.operator.clone());
        let mut records: Vec<Record> = row.iter().cloned().map(Record::Operator).collect();
        if matches!(visit.wish, Wish::Remove(_)) {
            records.push(Record::OperatorRemoved(visit.operator.clone()));
        }
        records.push(self.audit(Some(&visit.operator), told(&visit, &verdict)));
        let pending = Pending { visit, row, verdict };
        self.commit(Note::Operator(Box::new(pending)), records, Durability::Full);
    }

    /// It is durable.
    pub(super) fn operator_stored(&mut self, pending: Pending, result: Result<Committed, JournalError>) {
        let Pending { visit, row, verdict } = pending;
        self.door.busy.remove(&visit.operator);
        if let Err(error) = result {
            return self.turn_away(visit, super::journal_thread::read_fault(&error));
        }
        let removed = matches!(visit.wish, Wish::Remove(_));
        if removed || row.is_some() {
            self.operators.retain(|kept| kept.id != visit.operator);
            self.operators.extend(row);
            self.operators.sort_by(|a, b| a.id.cmp(&b.id));
        }
        match verdict {
            Ok(role) => self.let_in(visit, role),
            Err(fault) => self.turn_away(visit, fault),
        }
    }

    fn let_in(&mut self, visit: Visit, role: Role) {
        let Visit { operator, wish } = visit;
        match wish {
            Wish::SignOn(caller, answer) => {
                self.open_session(operator, role, caller.uid);
                reply(answer, Ok(()));
            }
            Wish::Authorize(grant, answer) => reply(answer, self.issue(grant)),
            Wish::Allow(txn) => self.supervisor_judged(&txn, Ok(operator)),
            Wish::Change(answer) | Wish::Add(answer) | Wish::Remove(answer) | Wish::Unlock(answer) => {
                reply(answer, Ok(()));
            }
        }
    }

    fn turn_away(&mut self, visit: Visit, fault: Fault) {
        match visit.wish {
            Wish::SignOn(_, answer)
            | Wish::Change(answer)
            | Wish::Add(answer)
            | Wish::Remove(answer)
            | Wish::Unlock(answer) => reply(answer, Err(fault)),
            Wish::Authorize(_, answer) => reply(answer, Err(fault)),
            Wish::Allow(txn) => self.supervisor_judged(&txn, Err(fault)),
        }
    }

    fn open_session(&mut self, operator: OperatorId, role: Role, uid: u32) {
        tracing::info!(%operator, %role, "operator signed on");
        if let Some(earlier) = self.session.take() {
            self.note_audit(&earlier.operator, format!("signed off: {operator} signed on"));
        }
        let last_used = self.system.boot();
        self.session = Some(Session { operator, role, uid, last_used });
        self.line_sign_on_now();
    }

    /// `Operators.SignOff`.
    pub(super) fn operator_sign_off(&mut self) -> Result<(), Fault> {
        if self.active.is_some() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it or cancel it"));
        }
        match self.session.take() {
            Some(session) => {
                self.note_audit(&session.operator, "signed off");
                Ok(())
            }
            None => Err(Fault::new(FaultName::OperatorRequired, "nobody is signed on")),
        }
    }

    /// An idle operator is signed off. Nobody is idle while a transaction runs.
    pub(super) fn tick_operators(&mut self) {
        let now = self.system.boot();
        let running = self.active.is_some();
        let idle_timeout = self.settings.idle_timeout;
        if let Some(session) = self.session.as_mut().filter(|_| running) {
            session.last_used = now;
        }
        let idle = self.session.take_if(|session| now.since(session.last_used) >= idle_timeout);
        if let Some(session) = idle {
            tracing::info!("the operator was idle for too long");
            self.note_audit(&session.operator, "signed off: idle");
        }
    }

    /// When that is, or when a lock ends.
    pub(super) fn next_idle_at(&self) -> Option<BootTime> {
        let session = self.session.as_ref().filter(|_| self.active.is_none());
        let idle = session.map(|session| session.last_used.after(self.settings.idle_timeout));
        let (now, wall) = (self.system.boot(), self.wall());
        let locks = self.operators.iter().map(|row| operators::locked_for_s(row, wall));
        let unlock = locks.filter(|left| *left > 0).min().map(|left| now.after(Duration::from_secs(left)));
        idle.into_iter().chain(unlock).min()
    }

    /// What the bus sees.
    pub(super) fn operators_view(&self) -> super::view::OperatorsView {
        let now: WallTime = self.wall();
        super::view::OperatorsView {
            current: self.session.as_ref().map(|s| s.operator.to_string()).unwrap_or_default(),
            role: self.session.as_ref().map_or(Role::None, |s| s.role),
            locked_out: self
                .operators
                .iter()
                .filter(|row| operators::locked_for_s(row, now) > 0)
                .map(|row| row.id.to_string())
                .collect(),
            all: self.operators.iter().map(|row| row.id.to_string()).collect(),
        }
    }
}

/// The audit line of a visit: what was wanted and how it ended.
fn told(visit: &Visit, verdict: &Result<Role, Fault>) -> String {
    let what = match &visit.wish {
        Wish::SignOn(caller, _) => format!("signed on for user {}", caller.uid),
        Wish::Change(_) => "password changed".to_owned(),
        Wish::Authorize(grant, _) => format!("authorised {} for user {}", grant.deed, grant.uid),
        Wish::Allow(txn) => format!("authorised transaction {txn}"),
        Wish::Add(_) => "added".to_owned(),
        Wish::Remove(_) => "removed".to_owned(),
        Wish::Unlock(_) => "unlocked".to_owned(),
    };
    match verdict {
        Ok(_) => what,
        Err(fault) => format!("not {what}: {}", fault.name),
    }
}

fn busy() -> Fault {
    Fault::new(FaultName::Busy, "another password is being checked; try again in a moment")
}

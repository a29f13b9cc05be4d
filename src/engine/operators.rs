//! Operators' sessions. Hashing a password takes 50 ms of work on purpose, so it happens on a thread of its own.
use super::handle::Caller;
use super::{Engine, Note};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::OperatorId;
use crate::domain::leave::Tokens;
use crate::domain::operators::{self, Decision};
use crate::domain::outcome::Role;
use crate::domain::record::{Committed, OperatorRow, Record};
use crate::domain::secret::Password;
use crate::ports::{Durability, JournalError};
use std::collections::BTreeSet;
use tokio::sync::oneshot;

/// Password checks that may be under way at once.
const CHECKS_MAX: usize = 4;

/// The signed-on operator.
pub(super) struct Session {
    pub(super) operator: OperatorId,
    pub(super) role: Role,
    pub(super) uid: u32,
    pub(super) last_used: BootTime,
}

/// What is under way between operators and the terminal.
#[derive(Default)]
pub(super) struct Door {
    /// Operators whose passwords are being checked.
    checks: BTreeSet<OperatorId>,
    /// What supervisors have allowed and nobody has done yet.
    pub(super) tokens: Tokens,
}

type Answer = oneshot::Sender<Result<(), Fault>>;

/// What a password check was for.
pub(super) enum Purpose {
    SignOn(Caller),
    Change { new: Password, salt: [u8; 16] },
}

/// A password check that has come back.
pub(super) struct PasswordDone {
    operator: OperatorId,
    purpose: Purpose,
    password: Password,
    /// `None`: the stored hash could not be used.
    right: Option<bool>,
    /// Hash of the new password, where one was wanted and the old one was right.
    new_phc: Option<Result<String, String>>,
    answer: Answer,
}

/// An operator record on its way to the disk, and what follows.
pub(super) struct Pending {
    operator: OperatorId,
    row: Option<OperatorRow>,
    then: Result<Option<Session>, Fault>,
    answer: Answer,
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
        answer: Answer,
    ) {
        self.check_password(operator, password, Purpose::SignOn(caller), answer);
    }

    /// `Operators.ChangePassword`; needs no session.
    pub(super) fn change_password(
        &mut self,
        operator: OperatorId,
        old: Password,
        new: Password,
        answer: Answer,
    ) {
        if let Err(fault) = operators::check_new(&operator, &new) {
            return super::start::reply(answer, Err(fault));
        }
        let mut salt = [0_u8; 16];
        self.system.random(&mut salt);
        self.check_password(operator, old, Purpose::Change { new, salt }, answer);
    }

    fn check_password(&mut self, operator: OperatorId, password: Password, purpose: Purpose, answer: Answer) {
        let now = self.wall();
        let row = self.operators.iter().find(|row| row.id == operator);
        let row = match operators::check_open(row, now) {
            Ok(row) => row,
            Err(fault) => return super::start::reply(answer, Err(fault)),
        };
        // One at a time for each operator: two that overlap could undo each other's record.
        if self.door.checks.len() >= CHECKS_MAX || !self.door.checks.insert(operator.clone()) {
            let fault = Fault::new(FaultName::Busy, "a password is being checked; try again in a moment");
            return super::start::reply(answer, Err(fault));
        }
        let phc = row.password_phc.clone();
        let checked = operator.clone();
        let done = self.password_done.clone();
        let work = move || {
            let right = operators::verify(&password, &phc).ok();
            let new_phc = match &purpose {
                Purpose::Change { new, salt } if right == Some(true) => {
                    Some(operators::hash(new, *salt).map_err(|error| error.to_string()))
                }
                Purpose::Change { .. } | Purpose::SignOn(_) => None,
            };
            // The engine ends before its threads: then nobody waits.
            let _gone = done
                .blocking_send(PasswordDone { operator, purpose, password, right, new_phc, answer })
                .is_err();
        };
        let thread = std::thread::Builder::new().name("posd-password".to_owned());
        if let Err(error) = thread.spawn(work) {
            self.door.checks.remove(&checked);
            tracing::error!(%error, "no thread for a password check");
        }
    }

    /// A password was checked: the row changes first, durably, then the caller hears.
    pub(super) fn password_done(&mut self, done: PasswordDone) {
        let PasswordDone { operator, purpose, password, right, new_phc, answer } = done;
        let now = self.wall();
        let row = self.operators.iter().find(|row| row.id == operator);
        let (then, store) = match purpose {
            Purpose::SignOn(caller) => {
                let Decision { answer, store } =
                    operators::check_sign_on(row, right, now, self.settings.require_change);
                let last_used = self.system.boot();
                let session =
                    |role| Some(Session { operator: operator.clone(), role, uid: caller.uid, last_used });
                (answer.map(session), store)
            }
            Purpose::Change { new, .. } => {
                let Decision { answer, store } = operators::check_change(row, right, now, &password, &new);
                match (answer, new_phc) {
                    (Err(fault), _) => (Err(fault), store),
                    (Ok(()), Some(Ok(phc))) => {
                        (Ok(None), Some(operators::with_password(operator.clone(), phc)))
                    }
                    (Ok(()), _) => (
                        Err(Fault::new(FaultName::Failed, "the password could not be hashed; try again")),
                        store,
                    ),
                }
            }
        };
        let what = match &then {
            Ok(Some(_)) => "signed on",
            Ok(None) => "password changed",
            Err(fault) => fault.name.word(),
        };
        let audit = Record::Audit { at: now, operator: Some(operator.clone()), text: what.to_owned() };
        let records = store.iter().cloned().map(Record::Operator).chain([audit]).collect();
        self.commit(
            Note::Operator(Box::new(Pending { operator, row: store, then, answer })),
            records,
            Durability::Full,
        );
    }

    /// The row is durable.
    pub(super) fn operator_stored(&mut self, pending: Pending, result: Result<Committed, JournalError>) {
        let Pending { operator, row, then, answer } = pending;
        self.door.checks.remove(&operator);
        if let Err(error) = result {
            return super::start::reply(answer, Err(super::journal_thread::read_fault(&error)));
        }
        if let Some(row) = row
            && let Some(kept) = self.operators.iter_mut().find(|kept| kept.id == row.id)
        {
            *kept = row;
        }
        let outcome = then.map(|session| {
            if let Some(session) = session {
                tracing::info!(operator = %session.operator, role = %session.role, "operator signed on");
                self.session = Some(session);
                self.line_sign_on_now();
            }
        });
        super::start::reply(answer, outcome);
    }

    /// `Operators.SignOff`.
    pub(super) fn operator_sign_off(&mut self) -> Result<(), Fault> {
        if self.active.is_some() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it or cancel it"));
        }
        match self.session.take() {
            Some(session) => {
                let audit = Record::Audit {
                    at: self.wall(),
                    operator: Some(session.operator),
                    text: "signed off".to_owned(),
                };
                self.commit(Note::Evidence, vec![audit], Durability::Lazy);
                Ok(())
            }
            None => Err(Fault::new(FaultName::OperatorRequired, "nobody is signed on")),
        }
    }

    /// An idle operator is signed off.
    pub(super) fn tick_operators(&mut self) {
        let now = self.system.boot();
        let idle =
            self.session.as_ref().is_some_and(|s| now.since(s.last_used) >= self.settings.idle_timeout);
        if idle && self.active.is_none() {
            tracing::info!("the operator was idle for too long");
            self.session = None;
        }
    }

    /// When that is.
    pub(super) fn next_idle_at(&self) -> Option<BootTime> {
        let session = self.session.as_ref().filter(|_| self.active.is_none())?;
        Some(session.last_used.after(self.settings.idle_timeout))
    }

    /// What the bus sees.
    pub(super) fn operators_view(&self) -> super::view::OperatorsView {
        let now = self.wall();
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

//! Who may do it: the one place that every part of the engine asks before it lets a caller act.
use super::Engine;
use super::handle::{Caller, Leave};
use super::operators::Session;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::OperatorId;
use crate::domain::leave::{self, Deed};

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
    /// signed-on one, if its role suffices and the session is the caller's; else the supervisor behind the token.
    ///
    /// Call it as the last check: the token is used up when it passes, whatever follows.
    ///
    /// # Errors
    /// `NotAuthorized`, with the action; `InvalidArgument`, when the action needs no leave.
    pub(super) fn may(&mut self, deed: &Deed, leave: &Leave, caller: &Caller) -> Result<OperatorId, Fault> {
        let (action, least) = leave::needed(deed.action)?;
        let now = self.system.boot();
        if let Some(session) = &mut self.session
            && session.uid == caller.uid
            && leave::suffices(session.role, least)
        {
            session.last_used = now;
            return Ok(session.operator.clone());
        }
        match &leave.authorization {
            Some(token) => self.door.tokens.spend(token, caller.uid, deed, now),
            None => Err(leave::missing(action)),
        }
    }
}

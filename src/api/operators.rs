//! `org.posd.Pos1.Operators`: who is signed on. Passwords come through file descriptors only.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, no_options};
use super::secret_fd::{SecretFdError, read_secret};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::OperatorId;
use crate::domain::secret::Password;
use crate::engine::handle::Command;
use crate::engine::view::Snapshot;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::OwnedFd;

/// For a client to write a password and close the pipe.
const SECRET_WAIT: Duration = Duration::from_secs(5);

/// The object.
#[derive(Clone, Debug)]
pub(super) struct OperatorsObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
}

#[interface(name = "org.posd.Pos1.Operators", introspection_docs = false)]
impl OperatorsObject {
    async fn sign_on(
        &self,
        operator: &str,
        secret: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        no_options(options)?;
        let operator = read_operator(operator)?;
        let caller = self.desk.admit(&header, Action::Trade).await?;
        let password = read_password("secret", secret).await?;
        let command = |answer| Command::OperatorSignOn { operator, password, caller, answer };
        self.desk.ask_and_settle(command).await
    }

    async fn sign_off(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<(), ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Trade).await?;
        self.desk.ask_and_settle(Command::OperatorSignOff).await
    }

    async fn change_password(
        &self,
        operator: &str,
        old: OwnedFd,
        new: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        no_options(options)?;
        let operator = read_operator(operator)?;
        self.desk.admit(&header, Action::Trade).await?;
        let old = read_password("old", old).await?;
        let new = read_password("new", new).await?;
        let command = |answer| Command::ChangePassword { operator, old, new, answer };
        self.desk.ask_and_settle(command).await
    }

    #[zbus(property)]
    fn current(&self) -> String {
        self.snapshot.borrow().operators.current.clone()
    }

    #[zbus(property)]
    fn role(&self) -> &'static str {
        self.snapshot.borrow().operators.role.word()
    }

    #[zbus(property)]
    fn locked_out(&self) -> Vec<String> {
        self.snapshot.borrow().operators.locked_out.clone()
    }

    #[zbus(property)]
    fn operators(&self) -> Vec<String> {
        self.snapshot.borrow().operators.all.clone()
    }
}

fn read_operator(text: &str) -> Result<OperatorId, Fault> {
    OperatorId::new(text).map_err(|e| invalid(e.to_string()))
}

async fn read_password(what: &str, fd: OwnedFd) -> Result<Password, Fault> {
    match read_secret(fd.into(), SECRET_WAIT).await {
        Ok(mut bytes) => Ok(Password::new(std::mem::take(&mut *bytes))),
        Err(error @ SecretFdError::TooMany) => Err(Fault::new(FaultName::Busy, error.to_string())),
        Err(error) => Err(invalid(format!("{what}: {error}"))),
    }
}

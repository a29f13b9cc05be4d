//! `org.posd.Pos1.Operators`: who is signed on, who there is, and a supervisor's leave for one act. Passwords come
//! through file descriptors only.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, leave_only, no_options, shorten};
use super::path;
use super::secret_fd::{SECRET_WAIT, SecretFdError, read_secret};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{OperatorId, TxnId};
use crate::domain::money::Amount;
use crate::domain::secret::Password;
use crate::engine::handle::{AuthorizeRequest, Command};
use crate::engine::view::Snapshot;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};

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

    #[zbus(out_args("token"))]
    async fn authorize(
        &self,
        action: &str,
        supervisor: &str,
        secret: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, ApiError> {
        let (original, amount) = read_bounds(options)?;
        let action = Action::from_word(action).ok_or_else(|| {
            invalid(format!("action {:?} is not known; GetPermissions lists them", shorten(action)))
        })?;
        let supervisor = read_operator(supervisor)?;
        let caller = self.desk.admit(&header, Action::Trade).await?;
        let password = read_password("secret", secret).await?;
        let action = action.word().to_owned();
        let request = Box::new(AuthorizeRequest { action, supervisor, password, original, amount });
        self.desk.ask_and_settle(|answer| Command::Authorize(request, caller, answer)).await
    }

    async fn add(
        &self,
        operator: &str,
        secret: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let operator = read_operator(operator)?;
        let caller = self.desk.admit(&header, Action::Operators).await?;
        let password = read_password("secret", secret).await?;
        let command = |answer| Command::AddOperator { operator, password, by: (leave, caller), answer };
        self.desk.ask_and_settle(command).await
    }

    async fn remove(
        &self,
        operator: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let operator = read_operator(operator)?;
        let caller = self.desk.admit(&header, Action::Operators).await?;
        let command = |answer| Command::RemoveOperator { operator, leave, caller, answer };
        self.desk.ask_and_settle(command).await
    }

    async fn unlock(
        &self,
        operator: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let operator = read_operator(operator)?;
        let caller = self.desk.admit(&header, Action::Operators).await?;
        let command = |answer| Command::UnlockOperator { operator, leave, caller, answer };
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

/// What a token is bound to: option `original`, a transaction, and option `amount`.
fn read_bounds(options: Dict) -> Result<(Option<TxnId>, Option<Amount>), Fault> {
    let mut options = Options::new("option", options);
    let original: Option<OwnedObjectPath> = options.take("original", "o")?;
    let amount: Option<i64> = options.take("amount", "x")?;
    options.finish()?;
    let read = |path: OwnedObjectPath| {
        path::read_transaction(path.as_str())
            .ok_or_else(|| invalid("option original is not the path of a transaction"))
    };
    let original = original.filter(|path| path.as_str() != "/").map(read).transpose()?;
    let minor = |amount: i64| u64::try_from(amount).ok().and_then(|minor| Amount::from_minor(minor).ok());
    let wrong = || invalid("option amount must be 0 to 999999999999 minor units");
    Ok((original, amount.map(|amount| minor(amount).ok_or_else(wrong)).transpose()?))
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

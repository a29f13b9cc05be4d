//! `org.posd.Pos1.Host`: sign-on at the acquirer's host, a test of the way there, keys, downloads.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, leave_only, no_options};
use super::path;
use super::secret_fd::{SECRET_WAIT, SecretFdError, read_secret};
use crate::domain::download::Kind;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::link::LinkName;
use crate::domain::secret::MasterKeyMaterial;
use crate::engine::handle::{Command, Leave};
use crate::engine::view::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};

/// The object.
#[derive(Clone, Debug)]
pub(super) struct HostObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
}

#[interface(name = "org.posd.Pos1.Host", introspection_docs = false)]
impl HostObject {
    #[zbus(out_args("job"))]
    async fn sign_on(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        self.desk.start_job(options, &header, Command::HostSignOn).await
    }

    #[zbus(out_args("job"))]
    async fn sign_off(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        self.desk.start_job(options, &header, Command::HostSignOff).await
    }

    #[zbus(out_args("job"))]
    async fn test(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        let mut options = Options::new("option", options);
        let link = options.word("link", LinkName::parse)?;
        options.finish()?;
        self.desk.admit(&header, Action::Trade).await?;
        Ok(path::job(self.desk.ask_and_settle(|answer| Command::HostTest { link, answer }).await?))
    }

    #[zbus(out_args("check"))]
    async fn load_master_key(
        &self,
        key: OwnedFd,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, ApiError> {
        let leave = leave_only(options)?;
        let caller = self.desk.admit(&header, Action::Keys).await?;
        let key = read_key(key).await?;
        let command = |answer| Command::LoadMasterKey { key, leave, caller, answer };
        self.desk.ask_and_settle(command).await
    }

    #[zbus(out_args("job"))]
    async fn download_parameters(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        let mut options = Options::new("option", options);
        let leave = Leave { authorization: options.authorization()? };
        let kinds = options.words("kinds", Kind::from_word)?;
        options.finish()?;
        let caller = self.desk.admit(&header, Action::Parameters).await?;
        let command = |answer| Command::Download { kinds, leave, caller, answer };
        Ok(path::job(self.desk.ask_and_settle(command).await?))
    }

    #[zbus(property)]
    fn signed_on(&self) -> bool {
        self.snapshot.borrow().host.signed_on
    }

    #[zbus(property)]
    fn reachable(&self) -> &'static str {
        self.snapshot.borrow().host.reachable
    }

    #[zbus(property)]
    fn key_check_values(&self) -> HashMap<String, String> {
        self.snapshot.borrow().host.key_check_values.iter().cloned().collect()
    }

    #[zbus(property)]
    fn keys_loaded_at(&self) -> u64 {
        self.snapshot.borrow().host.keys_loaded_at.0
    }

    #[zbus(property)]
    fn parameter_version(&self) -> String {
        self.snapshot.borrow().host.parameter_version.clone()
    }

    #[zbus(property)]
    fn last_exchange(&self) -> u64 {
        self.snapshot.borrow().host.last_exchange.0
    }

    #[zbus(property)]
    fn certificate_until(&self) -> u64 {
        self.snapshot.borrow().host.certificate_until.0
    }

    #[zbus(property)]
    fn own_certificate_until(&self) -> u64 {
        self.snapshot.borrow().host.own_certificate_until.0
    }
}

/// 32 hexadecimal digits. Never quoted.
async fn read_key(fd: OwnedFd) -> Result<MasterKeyMaterial, Fault> {
    let bytes = match read_secret(fd.into(), SECRET_WAIT).await {
        Ok(bytes) => bytes,
        Err(error @ SecretFdError::TooMany) => return Err(Fault::new(FaultName::Busy, error.to_string())),
        Err(error) => return Err(invalid(format!("key: {error}"))),
    };
    let wrong = || invalid("key: the master key must be 32 hex digits");
    let text = core::str::from_utf8(&bytes).map_err(|_| wrong())?;
    MasterKeyMaterial::from_hex(text).map_err(|_| wrong())
}

impl Desk {
    /// Methods without arguments that return a job; all need `trade`.
    pub(super) async fn start_job(
        &self,
        options: Dict,
        header: &Header<'_>,
        command: fn(oneshot::Sender<Result<u64, Fault>>) -> Command,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        self.admit(header, Action::Trade).await?;
        Ok(path::job(self.ask_and_settle(command).await?))
    }
}

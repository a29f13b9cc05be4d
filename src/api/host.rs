//! `org.posd.Pos1.Host`: sign-on at the acquirer's host, and a test of the way there.
use super::auth::Action;
use super::desk::Desk;
use super::error::ApiError;
use super::options::{Dict, no_options};
use super::path;
use crate::domain::fault::Fault;
use crate::engine::handle::Command;
use crate::engine::view::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::OwnedObjectPath;

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
        self.desk.start_job(options, &header, Command::HostTest).await
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

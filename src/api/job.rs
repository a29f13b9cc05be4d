//! `org.posd.Pos1.Job`: something that takes longer than a call: sign-on, a host test, a flush.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, error_name};
use super::options::{Dict, no_options};
use super::row;
use crate::engine::handle::{CancelAnswer, Command};
use crate::engine::view::JobView;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::Value;

/// The object.
#[derive(Clone, Debug)]
pub(super) struct JobObject {
    pub(super) desk: Desk,
    pub(super) view: watch::Receiver<Arc<JobView>>,
}

#[interface(name = "org.posd.Pos1.Job", introspection_docs = false)]
impl JobObject {
    #[zbus(out_args("answer"))]
    async fn cancel(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<&'static str, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Trade).await?;
        let number = self.view.borrow().number;
        Ok(self.desk.ask(|answer| Command::CancelJob(number, answer)).await?.word())
    }

    #[zbus(signal)]
    pub(super) async fn finished(
        emitter: &SignalEmitter<'_>,
        state: &str,
        result: HashMap<String, Value<'_>>,
    ) -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> &'static str {
        self.view.borrow().kind
    }

    #[zbus(property)]
    fn phase(&self) -> &'static str {
        self.view.borrow().phase
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.view.borrow().state
    }

    #[zbus(property)]
    fn progress(&self) -> u8 {
        self.view.borrow().progress
    }

    #[zbus(property)]
    fn cancellable(&self) -> bool {
        self.view.borrow().cancellable
    }

    #[zbus(property)]
    fn started_at(&self) -> u64 {
        self.view.borrow().started_at.0
    }

    #[zbus(property)]
    fn result(&self) -> HashMap<String, Value<'static>> {
        row::job_result(&self.view.borrow())
    }

    #[zbus(property)]
    fn error(&self) -> (String, String) {
        match &self.view.borrow().error {
            Some((name, text)) => (error_name(*name), text.clone()),
            None => (String::new(), String::new()),
        }
    }
}

impl CancelAnswer {
    /// The word on the bus.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AlreadyCancelled => "already-cancelled",
        }
    }
}

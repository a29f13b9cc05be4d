//! `org.posd.Pos1.PrintJob`: one ply of paper, and what is proven of it.
use super::auth::Action;
use super::desk::Desk;
use super::error::ApiError;
use super::options::{Dict, no_options};
use super::{free_text, path};
use crate::engine::handle::Command;
use crate::engine::view::PrintJobView;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::OwnedObjectPath;

/// The object.
#[derive(Clone, Debug)]
pub(super) struct PrintJobObject {
    pub(super) desk: Desk,
    pub(super) view: watch::Receiver<Arc<PrintJobView>>,
}

#[interface(name = "org.posd.Pos1.PrintJob", introspection_docs = false)]
impl PrintJobObject {
    async fn retry(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<(), ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Reprint).await?;
        let job = self.view.borrow().id.clone();
        self.desk.ask_and_settle(|answer| Command::RetryPrint(job, answer)).await
    }

    async fn abandon(
        &self,
        why: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        no_options(options)?;
        free_text::check("why", why)?;
        let why = why.to_owned();
        self.desk.admit(&header, Action::Reprint).await?;
        let job = self.view.borrow().id.clone();
        self.desk.ask_and_settle(|answer| Command::AbandonPrint { job, why, answer }).await
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> &'static str {
        self.view.borrow().kind
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn ply(&self) -> &'static str {
        self.view.borrow().ply.word()
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.view.borrow().state.word()
    }

    #[zbus(property)]
    fn reason(&self) -> String {
        self.view.borrow().reason.clone()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn transaction(&self) -> OwnedObjectPath {
        self.view.borrow().transaction.as_ref().map_or_else(path::none, path::transaction)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn copy(&self) -> bool {
        self.view.borrow().copy
    }
}

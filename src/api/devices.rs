//! `org.posd.Pos1.Reader`, `org.posd.Pos1.Printer`, `org.posd.Pos1.Drawer`: what is known of the devices, and paper
//! that tells of no transaction.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, leave_only, no_options};
use super::{free_text, path};
use crate::engine::handle::Command;
use crate::engine::view::{DrawerView, PrinterView, ReaderView};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedObjectPath;

/// Lines of one `Feed`. Choice: half a metre of paper is enough for anybody.
const FEED_MAX: u32 = 127;

/// The reader's object.
#[derive(Clone, Debug)]
pub(super) struct ReaderObject {
    pub(super) desk: Desk,
    pub(super) view: watch::Receiver<Arc<ReaderView>>,
}

#[interface(name = "org.posd.Pos1.Reader", introspection_docs = false)]
impl ReaderObject {
    async fn reset(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<(), ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::DeviceControl).await?;
        self.desk.ask_and_settle(Command::ResetReader).await
    }

    #[zbus(signal)]
    pub(super) async fn card_inserted(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn card_removed(emitter: &SignalEmitter<'_>, early: bool) -> zbus::Result<()>;

    #[zbus(property)]
    fn name(&self) -> String {
        self.view.borrow().status.name.clone()
    }

    #[zbus(property)]
    fn kind(&self) -> &'static str {
        if self.view.borrow().status.contactless { "contactless" } else { "contact" }
    }

    #[zbus(property)]
    fn card_present(&self) -> bool {
        self.view.borrow().status.card_present
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.view.borrow().state
    }

    #[zbus(property)]
    fn reasons(&self) -> Vec<String> {
        self.view.borrow().status.reasons.clone()
    }

    #[zbus(property)]
    fn event_count(&self) -> u32 {
        self.view.borrow().status.event_count
    }

    #[zbus(property)]
    fn statistics(&self) -> HashMap<String, u64> {
        self.view.borrow().statistics.iter().cloned().collect()
    }
}

/// The cash drawer, on the printer's object.
#[derive(Clone, Debug)]
pub(super) struct DrawerObject {
    pub(super) desk: Desk,
    pub(super) view: watch::Receiver<Arc<DrawerView>>,
}

#[interface(name = "org.posd.Pos1.Drawer", introspection_docs = false)]
impl DrawerObject {
    async fn open(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let caller = self.desk.admit(&header, Action::Drawer).await?;
        self.desk.ask_and_settle(|answer| Command::OpenDrawer { leave, caller, answer }).await
    }

    #[zbus(property)]
    fn is_open(&self) -> &'static str {
        match self.view.borrow().open {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        }
    }

    #[zbus(property)]
    fn open_count(&self) -> u32 {
        self.view.borrow().opens
    }
}

/// The printer's object.
#[derive(Clone, Debug)]
pub(super) struct PrinterObject {
    pub(super) desk: Desk,
    pub(super) view: watch::Receiver<Arc<PrinterView>>,
}

#[interface(name = "org.posd.Pos1.Printer", introspection_docs = false)]
impl PrinterObject {
    #[zbus(out_args("printjob"))]
    async fn print_text(
        &self,
        text: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        free_text::check_slip("text", text)?;
        let text = text.to_owned();
        self.desk.admit(&header, Action::Reprint).await?;
        let job = self.desk.ask_and_settle(|answer| Command::PrintText(text, answer)).await?;
        Ok(path::print_job(&job))
    }

    #[zbus(out_args("printjob"))]
    async fn test_page(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Reprint).await?;
        let job = self.desk.ask_and_settle(Command::TestPage).await?;
        Ok(path::print_job(&job))
    }

    #[zbus(out_args("job"))]
    async fn learn(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::DeviceControl).await?;
        Ok(path::job(self.desk.ask_and_settle(Command::LearnPrinter).await?))
    }

    async fn feed(
        &self,
        lines: u32,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        no_options(options)?;
        let allowed = u8::try_from(lines).ok().filter(|_| (1..=FEED_MAX).contains(&lines));
        let lines = allowed.ok_or_else(|| invalid(format!("lines must be 1 to {FEED_MAX}, not {lines}")))?;
        self.desk.admit(&header, Action::Reprint).await?;
        self.desk.ask(|answer| Command::Feed { lines, answer }).await
    }

    #[zbus(property)]
    fn model(&self) -> String {
        self.view.borrow().status.model.clone()
    }

    #[zbus(property)]
    fn device(&self) -> String {
        self.view.borrow().status.device.clone()
    }

    #[zbus(property)]
    fn online(&self) -> bool {
        self.view.borrow().status.online
    }

    #[zbus(property)]
    fn paper(&self) -> String {
        self.view.borrow().status.paper.clone()
    }

    #[zbus(property)]
    fn cover(&self) -> String {
        self.view.borrow().status.cover.clone()
    }

    #[zbus(property)]
    fn cutter(&self) -> String {
        self.view.borrow().status.cutter.clone()
    }

    #[zbus(property)]
    fn overheated(&self) -> bool {
        self.view.borrow().status.overheated
    }

    #[zbus(property)]
    fn columns(&self) -> u32 {
        self.view.borrow().status.columns
    }

    #[zbus(property)]
    fn dots(&self) -> u32 {
        self.view.borrow().status.dots
    }

    #[zbus(property)]
    fn evidence(&self) -> String {
        self.view.borrow().status.evidence.clone()
    }

    #[zbus(property)]
    fn quirks(&self) -> Vec<String> {
        self.view.borrow().status.quirks.clone()
    }

    #[zbus(property)]
    fn queue_depth(&self) -> u32 {
        self.view.borrow().queue_depth
    }

    #[zbus(property)]
    fn statistics(&self) -> HashMap<String, u64> {
        self.view.borrow().statistics.iter().cloned().collect()
    }
}

//! `org.posd.Pos1.Transaction`: one payment, from the first prompt to the last slip.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, no_options, shorten};
use super::path;
use super::row::{self, Row, minor};
use super::secret_fd::sealed_memfd;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::TxnId;
use crate::domain::outcome::Ply;
use crate::engine::handle::Command;
use crate::engine::view::TxnView;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};

/// Forms of a receipt.
const FORMATS: &[&str] = &["text", "svg", "png", "escpos"];

/// The object.
#[derive(Clone, Debug)]
pub(super) struct TransactionObject {
    pub(super) desk: Desk,
    pub(super) view: watch::Receiver<Arc<TxnView>>,
}

impl TransactionObject {
    fn id(&self) -> TxnId {
        self.view.borrow().id.clone()
    }
}

#[interface(name = "org.posd.Pos1.Transaction", introspection_docs = false)]
impl TransactionObject {
    #[zbus(out_args("answer"))]
    async fn cancel(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<&'static str, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Trade).await?;
        let id = self.id();
        Ok(self.desk.ask(|answer| Command::Cancel(id, answer)).await?.word())
    }

    #[zbus(out_args("result"))]
    async fn get_result(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<Row, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Query).await?;
        Ok(row::result(&self.view.borrow()))
    }

    #[zbus(out_args("rows"))]
    async fn get_timeline(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Row>, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Query).await?;
        let id = self.id();
        let lines = self.desk.ask(|answer| Command::Timeline(id, answer)).await?;
        Ok(lines.iter().map(row::timeline).collect())
    }

    #[zbus(out_args("facts"))]
    async fn explain(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<Row, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Query).await?;
        let id = self.id();
        let facts = self.desk.ask(|answer| Command::Explain(id, answer)).await?;
        Ok(row::explained(&facts))
    }

    #[zbus(out_args("receipt"))]
    async fn get_receipt(
        &self,
        ply: &str,
        format: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedFd, ApiError> {
        no_options(options)?;
        let ply = read_ply(ply)?;
        if !FORMATS.contains(&format) {
            return Err(invalid(format!(
                "format must be text, svg, png or escpos, not {:?}",
                shorten(format)
            ))
            .into());
        }
        let format = format.to_owned();
        self.desk.admit(&header, Action::Query).await?;
        let id = self.id();
        let bytes = self.desk.ask(|answer| Command::Receipt { id, ply, format, answer }).await?;
        let memfd = sealed_memfd("posd-receipt", &bytes)
            .map_err(|e| Fault::new(FaultName::Failed, format!("no memory for the receipt: {e}")))?;
        Ok(memfd.into())
    }

    #[zbus(out_args("printjob"))]
    async fn reprint(
        &self,
        ply: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        let ply = read_ply(ply)?;
        self.desk.admit(&header, Action::Reprint).await?;
        let id = self.id();
        let job = self.desk.ask_and_settle(|answer| Command::Reprint { id, ply, answer }).await?;
        Ok(path::print_job(&job))
    }

    /// Named otherwise than on the bus: zbus makes `state_changed` for the property.
    #[zbus(signal, name = "StateChanged")]
    pub(super) async fn entered_state(
        emitter: &SignalEmitter<'_>,
        old: &str,
        new: &str,
        reason: &str,
        at: u64,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn prompt(
        emitter: &SignalEmitter<'_>,
        code: &str,
        text_by_language: HashMap<&'static str, String>,
        details: Row,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    pub(super) async fn finished(emitter: &SignalEmitter<'_>, outcome: &str, result: Row)
    -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn request_id(&self) -> String {
        self.view.borrow().request_id.clone()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn kind(&self) -> &'static str {
        self.view.borrow().kind.word()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn currency(&self) -> &'static str {
        self.view.borrow().currency
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn amount(&self) -> i64 {
        minor(self.view.borrow().amount)
    }

    #[zbus(property)]
    fn approved_amount(&self) -> i64 {
        minor(self.view.borrow().approved_amount)
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn created_at(&self) -> u64 {
        self.view.borrow().created_at.0
    }

    #[zbus(property)]
    fn operator(&self) -> String {
        self.view.borrow().operator.clone()
    }

    #[zbus(property)]
    fn trace(&self) -> u32 {
        self.view.borrow().trace
    }

    #[zbus(property)]
    fn batch(&self) -> u32 {
        self.view.borrow().batch
    }

    #[zbus(property)]
    fn rrn(&self) -> String {
        self.view.borrow().rrn.clone()
    }

    #[zbus(property)]
    fn auth_code(&self) -> String {
        self.view.borrow().auth_code.clone()
    }

    #[zbus(property)]
    fn masked_pan(&self) -> String {
        self.view.borrow().masked_pan.clone()
    }

    #[zbus(property)]
    fn card_token(&self) -> String {
        self.view.borrow().card_token.clone()
    }

    #[zbus(property)]
    fn card_brand(&self) -> String {
        self.view.borrow().card_brand.clone()
    }

    #[zbus(property)]
    fn aid(&self) -> String {
        self.view.borrow().aid.clone()
    }

    #[zbus(property)]
    fn application_label(&self) -> String {
        self.view.borrow().application_label.clone()
    }

    #[zbus(property)]
    fn entry_mode(&self) -> &'static str {
        self.view.borrow().entry_mode
    }

    #[zbus(property)]
    fn armed_entry_modes(&self) -> Vec<&'static str> {
        self.view.borrow().armed_entry_modes.clone()
    }

    #[zbus(property)]
    fn cvm_method(&self) -> &'static str {
        self.view.borrow().cvm_method
    }

    #[zbus(property)]
    fn signature_required(&self) -> bool {
        self.view.borrow().signature_required
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.view.borrow().state.word()
    }

    #[zbus(property)]
    fn state_reason(&self) -> String {
        self.view.borrow().state_reason.clone()
    }

    #[zbus(property)]
    fn cancellable(&self) -> bool {
        self.view.borrow().cancellable
    }

    #[zbus(property)]
    fn deadline(&self) -> u64 {
        self.view.borrow().deadline.0
    }

    #[zbus(property)]
    fn deadline_kind(&self) -> &'static str {
        self.view.borrow().deadline_kind
    }

    #[zbus(property)]
    fn attempt(&self) -> (u32, u32) {
        self.view.borrow().attempt
    }

    #[zbus(property)]
    fn attempt_link(&self) -> OwnedObjectPath {
        self.view.borrow().attempt_link.map_or_else(path::none, path::link)
    }

    #[zbus(property)]
    fn outcome(&self) -> &'static str {
        self.view.borrow().outcome.word()
    }

    #[zbus(property)]
    fn response_code(&self) -> String {
        self.view.borrow().response_code.clone()
    }

    #[zbus(property)]
    fn result_code(&self) -> &'static str {
        self.view.borrow().result_code.map_or("", |code| code.word())
    }

    #[zbus(property)]
    fn result_text(&self) -> HashMap<&'static str, String> {
        self.view.borrow().result_text.as_ref().map(row::bilingual).unwrap_or_default()
    }

    #[zbus(property)]
    fn original(&self) -> OwnedObjectPath {
        self.view.borrow().original.as_ref().map_or_else(path::none, path::transaction)
    }

    #[zbus(property)]
    fn follow_ups(&self) -> Vec<OwnedObjectPath> {
        self.view.borrow().follow_ups.iter().map(path::transaction).collect()
    }

    #[zbus(property)]
    fn allowed_follow_ups(&self) -> Vec<String> {
        self.view.borrow().allowed_follow_ups.iter().map(|kind| kind.word().to_owned()).collect()
    }

    #[zbus(property)]
    fn refunded_total(&self) -> i64 {
        minor(self.view.borrow().refunded_total)
    }

    #[zbus(property)]
    fn print_jobs(&self) -> Vec<OwnedObjectPath> {
        self.view.borrow().print_jobs.iter().map(|id| path::print_job(id)).collect()
    }
}

fn read_ply(word: &str) -> Result<Ply, Fault> {
    Ply::from_word(word)
        .ok_or_else(|| invalid(format!("ply must be merchant, bank or customer, not {:?}", shorten(word))))
}

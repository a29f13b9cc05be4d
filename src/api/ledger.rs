//! `org.posd.Pos1.Ledger`: looks back at finished transactions, shows the open batch and settles it.
use super::auth::{Action, Need};
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::export::{Format, export};
use super::options::{Dict, Options, no_options};
use super::path;
use super::queue::page_limit;
use super::row::{self, Row};
use crate::domain::calendar::WallTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::record::TxnFilter;
use crate::engine::handle::{Command, Leave};
use crate::engine::view::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};

/// Longest text in a filter or cursor, bytes.
const TEXT_MAX: usize = 128;

/// The object.
#[derive(Clone, Debug)]
pub(super) struct LedgerObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    /// One permit: held while a file is written.
    pub(super) exporting: Arc<Semaphore>,
}

#[interface(name = "org.posd.Pos1.Ledger", introspection_docs = false)]
impl LedgerObject {
    #[zbus(out_args("rows", "next"))]
    async fn query(
        &self,
        filter: Dict,
        limit: u32,
        cursor: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<Row>, String), ApiError> {
        no_options(options)?;
        let filter = Box::new(read_filter(filter)?);
        let limit = page_limit(limit)?;
        let cursor = bounded("cursor", cursor.to_owned())?;
        self.desk.admit(&header, Action::Query).await?;
        let query = |answer| Command::Query { filter, limit, cursor, answer };
        let (views, next) = self.desk.ask(query).await?;
        Ok((views.iter().map(row::ledger).collect(), next))
    }

    #[zbus(out_args("transaction"))]
    async fn open(
        &self,
        batch: u32,
        trace: u32,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        for (what, number) in [("batch", batch), ("trace", trace)] {
            if !(1..=999_999).contains(&number) {
                return Err(invalid(format!("{what} must be 1 to 999999")).into());
            }
        }
        self.desk.admit(&header, Action::Query).await?;
        let id = self.desk.ask_and_settle(|answer| Command::Open { batch, trace, answer }).await?;
        Ok(path::transaction(&id))
    }

    #[zbus(out_args("rows"))]
    async fn totals(
        &self,
        filter: Dict,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Row>, ApiError> {
        no_options(options)?;
        let filter = Box::new(read_filter(filter)?);
        self.desk.admit(&header, Action::Query).await?;
        let rows = self.desk.ask(|answer| Command::Totals { filter, answer }).await?;
        Ok(rows.iter().map(row::totals).collect())
    }

    #[zbus(out_args("file"))]
    async fn export(
        &self,
        format: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedFd, ApiError> {
        let format = Format::read(format)?;
        let mut options = Options::new("option", options);
        let filter = take_filter(&mut options)?;
        options.finish()?;
        self.desk.admit(&header, Need::by_cashiers(Action::Backup, "Export")).await?;
        let busy = |_| Fault::new(FaultName::Busy, "another export is being written; wait for it");
        // Held to the end: each export keeps a page and a growing file.
        let _one_at_a_time = self.exporting.try_acquire().map_err(busy)?;
        Ok(export(&self.desk, format, filter).await?.into())
    }

    #[zbus(out_args("job"))]
    async fn settle(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        let mut options = Options::new("option", options);
        let force_close = options.take("force-close", "b")?.unwrap_or(false);
        let leave = Leave { authorization: options.authorization()? };
        options.finish()?;
        let caller = self.desk.admit(&header, Action::Settle).await?;
        let settle = |answer| Command::Settle { force_close, leave, caller, answer };
        Ok(path::job(self.desk.ask_and_settle(settle).await?))
    }

    #[zbus(out_args("printjob"))]
    async fn reprint_settlement(
        &self,
        batch: u32,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        if batch > 999_999 {
            return Err(invalid("batch must be 1 to 999999, or 0 for the batch that was closed last").into());
        }
        self.desk.admit(&header, Action::Reprint).await?;
        let job = self.desk.ask_and_settle(|answer| Command::ReprintSettlement { batch, answer }).await?;
        Ok(path::print_job(&job))
    }

    #[zbus(property)]
    fn batch(&self) -> u32 {
        self.snapshot.borrow().ledger.batch
    }

    #[zbus(property)]
    fn batch_state(&self) -> &'static str {
        self.snapshot.borrow().ledger.batch_state.word()
    }

    #[zbus(property)]
    fn batch_opened_at(&self) -> u64 {
        self.snapshot.borrow().ledger.batch_opened_at.0
    }

    #[zbus(property)]
    fn counts(&self) -> HashMap<String, u32> {
        self.snapshot.borrow().ledger.counts.iter().cloned().collect()
    }
}

fn read_filter(filter: Dict) -> Result<TxnFilter, Fault> {
    let mut filter = Options::new("filter", filter);
    let read = take_filter(&mut filter)?;
    filter.finish()?;
    Ok(read)
}

/// Takes the keys of a ledger filter.
fn take_filter(filter: &mut Options) -> Result<TxnFilter, Fault> {
    Ok(TxnFilter {
        batch: filter.take("batch", "u")?,
        trace: filter.take("trace", "u")?,
        kind: filter.word("kind", Kind::from_word)?,
        outcome: filter.word("outcome", Outcome::from_word)?,
        operator: bounded_option(filter, "operator")?,
        from: filter.take("from", "t")?.map(WallTime),
        to: filter.take("to", "t")?.map(WallTime),
        card_token: bounded_option(filter, "card-token")?,
        request_id: bounded_option(filter, "request-id")?,
    })
}

fn bounded_option(filter: &mut Options, key: &str) -> Result<Option<String>, Fault> {
    filter.text(key)?.map(|text| bounded(key, text)).transpose()
}

fn bounded(what: &str, text: String) -> Result<String, Fault> {
    if text.len() <= TEXT_MAX {
        Ok(text)
    } else {
        Err(invalid(format!("{what} must have at most {TEXT_MAX} bytes")))
    }
}

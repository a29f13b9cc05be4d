//! `org.posd.Pos1.Ledger`: looks back at finished transactions, and shows the open batch.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, no_options};
use super::path;
use super::queue::page_limit;
use super::row::{self, Row};
use crate::domain::calendar::WallTime;
use crate::domain::fault::Fault;
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::record::TxnFilter;
use crate::engine::handle::Command;
use crate::engine::view::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::OwnedObjectPath;

/// Longest text in a filter or cursor, bytes.
const TEXT_MAX: usize = 128;

/// The object.
#[derive(Clone, Debug)]
pub(super) struct LedgerObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
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
    let read = TxnFilter {
        batch: filter.take("batch", "u")?,
        trace: filter.take("trace", "u")?,
        kind: filter.word("kind", Kind::from_word)?,
        outcome: filter.word("outcome", Outcome::from_word)?,
        operator: bounded_option(&mut filter, "operator")?,
        from: filter.take("from", "t")?.map(WallTime),
        to: filter.take("to", "t")?.map(WallTime),
        card_token: bounded_option(&mut filter, "card-token")?,
        request_id: bounded_option(&mut filter, "request-id")?,
    };
    filter.finish()?;
    Ok(read)
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

//! `org.posd.Pos1.Queue`: what still has to reach the host. Its rows are in the snapshot, so reading them
//! asks nobody.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, no_options};
use super::row::{self, Row};
use crate::domain::fault::Fault;
use crate::domain::outcome::{EntryType, QueueState};
use crate::engine::handle::Command;
use crate::engine::view::{QueueRow, Snapshot};
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::zvariant::OwnedObjectPath;

/// Rows of one page at most; also what limit 0 means.
pub(super) const PAGE_MAX: u32 = 200;

/// The object.
#[derive(Clone, Debug)]
pub(super) struct QueueObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
}

#[interface(name = "org.posd.Pos1.Queue", introspection_docs = false)]
impl QueueObject {
    #[zbus(out_args("job"))]
    async fn flush(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        self.desk.start_job(options, &header, Command::Flush).await
    }

    #[zbus(out_args("rows", "next"))]
    async fn list(
        &self,
        filter: Dict,
        limit: u32,
        cursor: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<Row>, String), ApiError> {
        no_options(options)?;
        let filter = Filter::read(filter)?;
        let limit = page_limit(limit)?;
        let first = read_cursor(cursor)?;
        self.desk.admit(&header, Action::Query).await?;
        let snapshot = Arc::clone(&self.snapshot.borrow());
        Ok(page(&snapshot.queue.rows, &filter, limit, first))
    }

    #[zbus(property)]
    fn depth(&self) -> u32 {
        self.count(|_| true)
    }

    #[zbus(property)]
    fn oldest_at(&self) -> u64 {
        self.snapshot.borrow().queue.rows.iter().map(|row| row.created_at.0).min().unwrap_or(0)
    }

    #[zbus(property)]
    fn pending_reversals(&self) -> u32 {
        self.count(|row| row.entry_type == EntryType::Reversal)
    }

    #[zbus(property)]
    fn parked_count(&self) -> u32 {
        self.count(|row| row.state == QueueState::Parked)
    }

    #[zbus(property)]
    fn unresolved_count(&self) -> u32 {
        self.count(|row| matches!(row.state, QueueState::Failed | QueueState::Denied | QueueState::Expired))
    }

    /// This version cannot hold the queue.
    #[zbus(property)]
    fn paused(&self) -> bool {
        false
    }

    /// This version stores no sale offline, so the next three are zero.
    #[zbus(property)]
    fn stored_amount(&self) -> i64 {
        0
    }

    #[zbus(property)]
    fn remaining_amount(&self) -> i64 {
        0
    }

    #[zbus(property)]
    fn remaining_count(&self) -> u32 {
        0
    }

    #[zbus(property)]
    fn last_error(&self) -> String {
        self.snapshot.borrow().queue.last_error.clone()
    }

    #[zbus(property)]
    fn next_attempt(&self) -> u64 {
        self.snapshot.borrow().queue.next_attempt.0
    }
}

impl QueueObject {
    fn count(&self, wanted: impl Fn(&QueueRow) -> bool) -> u32 {
        let snapshot = self.snapshot.borrow();
        u32::try_from(snapshot.queue.rows.iter().filter(|row| wanted(row)).count()).unwrap_or(u32::MAX)
    }
}

/// The limit of a page: 0 stands for the most there can be.
pub(super) fn page_limit(limit: u32) -> Result<u32, Fault> {
    match limit {
        0 => Ok(PAGE_MAX),
        1..=PAGE_MAX => Ok(limit),
        _ => Err(invalid(format!("limit must be at most {PAGE_MAX}; read on with the cursor"))),
    }
}

/// A cursor is the number of matching rows that were read before.
fn read_cursor(cursor: &str) -> Result<usize, Fault> {
    if cursor.is_empty() {
        return Ok(0);
    }
    cursor.parse().map_err(|_| invalid("cursor must be empty or what the last page gave"))
}

struct Filter {
    entry_type: Option<String>,
    state: Option<QueueState>,
    batch: Option<u32>,
    trace: Option<u32>,
}

impl Filter {
    fn read(filter: Dict) -> Result<Self, Fault> {
        let mut filter = Options::new("filter", filter);
        let read = Self {
            entry_type: filter.text("type")?,
            state: filter.word("state", QueueState::from_word)?,
            batch: filter.take("batch", "u")?,
            trace: filter.take("trace", "u")?,
        };
        filter.finish()?;
        Ok(read)
    }

    fn wants(&self, row: &QueueRow) -> bool {
        self.entry_type.as_ref().is_none_or(|entry_type| entry_type == row.entry_type.word())
            && self.state.is_none_or(|state| state == row.state)
            && self.batch.is_none_or(|batch| batch == row.batch)
            && self.trace.is_none_or(|trace| trace == row.trace)
    }
}

fn page(rows: &[QueueRow], filter: &Filter, limit: u32, first: usize) -> (Vec<Row>, String) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut wanted = rows.iter().filter(|row| filter.wants(row)).skip(first);
    let page: Vec<Row> = wanted.by_ref().take(limit).map(row::queue).collect();
    let next = wanted.next().map(|_| first.saturating_add(page.len()).to_string());
    (page, next.unwrap_or_default())
}

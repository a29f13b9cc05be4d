//! `org.posd.Pos1.Queue`: what still has to reach the host, and what of it waits for people. Its rows are in the
//! snapshot, so reading them asks nobody.
use super::auth::Action;
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::free_text;
use super::options::{Dict, Options, leave_only, no_options, shorten};
use super::row::{self, Row};
use crate::domain::fault::Fault;
use crate::domain::outcome::{EntryType, QueueState, Resolution};
use crate::domain::record::EntryId;
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

    async fn pause(
        &self,
        why: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let why = read_why(why)?;
        let caller = self.desk.admit(&header, Action::QueueManage).await?;
        self.desk.ask_and_settle(|answer| Command::PauseQueue { why, leave, caller, answer }).await
    }

    async fn resume(&self, options: Dict, #[zbus(header)] header: Header<'_>) -> Result<(), ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Trade).await?;
        self.desk.ask_and_settle(Command::ResumeQueue).await
    }

    async fn park(
        &self,
        id: &str,
        why: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let entry = read_id(id)?;
        let why = read_why(why)?;
        let caller = self.desk.admit(&header, Action::QueueManage).await?;
        self.desk.ask_and_settle(|answer| Command::Park { entry, why, leave, caller, answer }).await
    }

    async fn unpark(
        &self,
        id: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let entry = read_id(id)?;
        let caller = self.desk.admit(&header, Action::QueueManage).await?;
        self.desk.ask_and_settle(|answer| Command::Unpark { entry, leave, caller, answer }).await
    }

    async fn resolve(
        &self,
        id: &str,
        how: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let leave = leave_only(options)?;
        let entry = read_id(id)?;
        let how = Resolution::from_word(how).ok_or_else(|| {
            invalid(format!("how must be paid, not-paid or written-off, not {:?}", shorten(how)))
        })?;
        let caller = self.desk.admit(&header, Action::QueueManage).await?;
        self.desk.ask_and_settle(|answer| Command::Resolve { entry, how, leave, caller, answer }).await
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
        let after = read_cursor(cursor)?;
        self.desk.admit(&header, Action::Query).await?;
        let snapshot = Arc::clone(&self.snapshot.borrow());
        Ok(page(&snapshot.queue.rows, &filter, limit, after))
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
        self.count(|row| row.id.entry_type == EntryType::Reversal)
    }

    #[zbus(property)]
    fn parked_count(&self) -> u32 {
        self.count(|row| row.state == QueueState::Parked)
    }

    #[zbus(property)]
    fn unresolved_count(&self) -> u32 {
        self.count(|row| matches!(row.state, QueueState::Failed | QueueState::Denied | QueueState::Expired))
    }

    #[zbus(property)]
    fn paused(&self) -> bool {
        self.snapshot.borrow().queue.paused.is_some()
    }

    #[zbus(property)]
    fn paused_why(&self) -> String {
        self.snapshot.borrow().queue.paused.clone().unwrap_or_default()
    }

    #[zbus(property)]
    fn stored_amount(&self) -> i64 {
        signed(self.snapshot.borrow().queue.stored_amount)
    }

    #[zbus(property)]
    fn remaining_amount(&self) -> i64 {
        signed(self.snapshot.borrow().queue.remaining_amount)
    }

    #[zbus(property)]
    fn remaining_count(&self) -> u32 {
        self.snapshot.borrow().queue.remaining_count
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

fn signed(minor: u64) -> i64 {
    i64::try_from(minor).unwrap_or(i64::MAX)
}

fn read_id(id: &str) -> Result<EntryId, Fault> {
    EntryId::parse(id).ok_or_else(|| invalid("id must be that of an entry of the queue, as List gives it"))
}

/// A reason that a person gave; an empty one would help nobody later.
fn read_why(why: &str) -> Result<String, Fault> {
    free_text::check("why", why)?;
    if why.trim().is_empty() { Err(invalid("why must say why")) } else { Ok(why.to_owned()) }
}

/// Where the last page ended: how many rows were read before, and the id of the last one. Entries leave the queue
/// while somebody pages through it; the id finds the place again, the number stands in for one that has left.
fn read_cursor(cursor: &str) -> Result<Option<(usize, EntryId)>, Fault> {
    if cursor.is_empty() {
        return Ok(None);
    }
    let parts = cursor.split_once(':').and_then(|(read, id)| Some((read.parse().ok()?, EntryId::parse(id)?)));
    let (read, id) = parts.ok_or_else(|| invalid("cursor must be empty or what the last page gave"))?;
    Ok(Some((read, id)))
}

struct Filter {
    entry_type: Option<EntryType>,
    state: Option<QueueState>,
    batch: Option<u32>,
    trace: Option<u32>,
}

impl Filter {
    fn read(filter: Dict) -> Result<Self, Fault> {
        let mut filter = Options::new("filter", filter);
        let read = Self {
            entry_type: filter.word("type", EntryType::from_word)?,
            state: filter.word("state", QueueState::from_word)?,
            batch: filter.take("batch", "u")?,
            trace: filter.take("trace", "u")?,
        };
        filter.finish()?;
        Ok(read)
    }

    fn wants(&self, row: &QueueRow) -> bool {
        self.entry_type.is_none_or(|entry_type| entry_type == row.id.entry_type)
            && self.state.is_none_or(|state| state == row.state)
            && self.batch.is_none_or(|batch| batch == row.batch)
            && self.trace.is_none_or(|trace| trace == row.trace)
    }
}

fn page(
    rows: &[QueueRow],
    filter: &Filter,
    limit: u32,
    after: Option<(usize, EntryId)>,
) -> (Vec<Row>, String) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted: Vec<&QueueRow> = rows.iter().filter(|row| filter.wants(row)).collect();
    let first = after.map_or(0, |(read, id)| {
        let at = wanted.iter().position(|row| row.id == id);
        at.map_or_else(|| read.saturating_sub(1), |at| at.saturating_add(1))
    });
    let end = first.saturating_add(limit).min(wanted.len());
    let page = wanted.get(first..end).unwrap_or_default();
    let next = page.last().filter(|_| end < wanted.len());
    let next = next.map(|row| format!("{end}:{}", row.id)).unwrap_or_default();
    (page.iter().map(|row| row::queue(row)).collect(), next)
}

//! The thread that owns the journal. What is done when a commit is reported as failed stands in
//! [`crate::ports::commit`].
use crate::domain::calendar::WallTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, TxnId};
use crate::domain::money::Amount;
use crate::domain::record::{
    BatchRow, Committed, OriginalRef, Record, TimelineRow, TotalsRow, TxnFilter, TxnRow,
};
use crate::ports::commit::commit_or_look;
use crate::ports::{Durability, Journal, JournalError};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::{mpsc, oneshot};

/// Tasks that may wait for the journal thread.
const QUEUE: usize = 64;
/// How long [`JournalDoor::ask`] waits.
const ASK_DEADLINE: Duration = Duration::from_secs(600);
/// Rows read at once of a batch of the past.
const PAGE: u32 = 200;
/// Of these, how many may be questions of the bus: the rest is kept for commits.
const QUESTIONS: usize = 24;

/// Work with the journal that answers by itself.
pub(super) type Errand = Box<dyn FnOnce(&mut dyn Journal) + Send>;

/// What the engine wants of the journal. `T` is the engine's own note of who asked.
pub(super) enum Task<T> {
    /// Make these durable.
    Commit { note: T, records: Vec<Record>, durability: Durability },
    /// Read one transaction.
    Find { note: T, id: TxnId },
    /// Read the original of a follow-up; answered by [`Answer::Found`].
    FindOriginal { note: T, wanted: Box<OriginalRef> },
    /// What the transaction `id` may be a duplicate of.
    FindDuplicate { id: TxnId, token: String, amount: Amount, since: WallTime },
    /// A page, straight back to the bus.
    Query { filter: Box<TxnFilter>, limit: u32, cursor: String, done: Rows },
    /// Read one transaction by batch and STAN.
    FindTrace { note: T, batch: u32, trace: u32 },
    /// Read all of the open batch that has a STAN.
    OpenBatch,
    /// Read a batch of the past and its transactions; without a number the one that was closed last.
    Settled { note: T, number: Option<BatchNumber> },
    /// Totals, straight back to the bus.
    Totals { filter: Box<TxnFilter>, answer: oneshot::Sender<Result<Vec<TotalsRow>, Fault>> },
    /// Something else with the journal, by [`JournalDoor::ask`].
    With(Errand),
    /// A timeline, straight back to the bus.
    Timeline { id: TxnId, answer: oneshot::Sender<Result<Vec<TimelineRow>, Fault>> },
}

/// What is done with a page of rows, on the journal thread.
pub(super) type Rows = Box<dyn FnOnce(Result<(Vec<TxnRow>, String), JournalError>) + Send>;

/// What the journal says.
pub(super) enum Answer<T> {
    /// To [`Task::Commit`].
    Committed { note: T, result: Result<Committed, JournalError> },
    /// To [`Task::Find`].
    Found { note: T, result: Result<Option<Box<TxnRow>>, JournalError> },
    /// To [`Task::FindDuplicate`].
    Duplicate { id: TxnId, result: Result<Option<TxnId>, JournalError> },
    /// To [`Task::OpenBatch`].
    OpenBatch(Result<Vec<TxnRow>, JournalError>),
    /// To [`Task::Settled`].
    Settled { note: T, result: Result<Option<Settled>, JournalError> },
}

/// A batch and its transactions that have a STAN.
pub(super) struct Settled {
    pub(super) batch: BatchRow,
    pub(super) rows: Vec<TxnRow>,
}

/// The engine's end.
pub(super) struct JournalThread<T> {
    tasks: SyncSender<Task<T>>,
    waiting: Arc<AtomicUsize>,
    pub(super) answers: mpsc::Receiver<Answer<T>>,
}

impl<T: Send + 'static> JournalThread<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread.
    #[allow(clippy::disallowed_methods, reason = "the engine owns this thread")]
    pub(super) fn start(journal: Box<dyn Journal>) -> std::io::Result<Self> {
        let (tasks, wanted) = sync_channel(QUEUE);
        let (answered, answers) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicUsize::new(0));
        let taken = Arc::clone(&waiting);
        std::thread::Builder::new()
            .name("posd-journal".to_owned())
            .spawn(move || run(journal, &wanted, &taken, &answered))?;
        Ok(Self { tasks, waiting, answers })
    }

    /// True if one more question of the bus may be put; otherwise the asker hears `Busy`.
    pub(super) fn takes_questions(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < QUESTIONS
    }

    /// A way to the journal for a thread that may wait.
    pub(super) fn door(&self) -> JournalDoor<T> {
        JournalDoor { tasks: self.tasks.clone(), waiting: Arc::clone(&self.waiting) }
    }

    /// Hands a task over. `Err`: the thread is gone or hopelessly behind; the engine ends then.
    pub(super) fn put(&self, task: Task<T>) -> Result<(), &'static str> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.tasks.try_send(task).map_err(|_| "the journal thread does not take tasks")
    }
}

/// A way to the journal for a thread that may wait: copies of the whole journal are made through it.
pub(super) struct JournalDoor<T> {
    tasks: SyncSender<Task<T>>,
    waiting: Arc<AtomicUsize>,
}

impl<T> Clone for JournalDoor<T> {
    fn clone(&self) -> Self {
        Self { tasks: self.tasks.clone(), waiting: Arc::clone(&self.waiting) }
    }
}

impl<T> JournalDoor<T> {
    /// Does something with the journal, in its turn, and waits for the end, at most ten minutes.
    ///
    /// # Errors
    /// The thread is gone, or took longer.
    pub(super) fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Journal) -> R + Send + 'static,
    ) -> Result<R, Fault> {
        let (done, wait) = sync_channel(1);
        let work = Box::new(move |journal: &mut dyn Journal| {
            let _gone = done.send(work(journal)).is_err();
        });
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let gone = || Fault::new(FaultName::Failed, "the journal thread does not answer");
        self.tasks.send(Task::With(work)).map_err(|_| gone())?;
        wait.recv_timeout(ASK_DEADLINE).map_err(|_| gone())
    }
}

fn run<T>(
    mut journal: Box<dyn Journal>,
    tasks: &Receiver<Task<T>>,
    waiting: &AtomicUsize,
    answers: &mpsc::Sender<Answer<T>>,
) {
    while let Ok(task) = tasks.recv() {
        waiting.fetch_sub(1, Ordering::Relaxed);
        let answer = match task {
            Task::Commit { note, records, durability } => {
                let result = commit(journal.as_mut(), &records, durability);
                Answer::Committed { note, result }
            }
            Task::Find { note, id } => {
                let result = journal.find(&id).map(|row| row.map(Box::new));
                Answer::Found { note, result }
            }
            Task::FindOriginal { note, wanted } => {
                let result = journal.find_original(&wanted).map(|row| row.map(Box::new));
                Answer::Found { note, result }
            }
            Task::FindDuplicate { id, token, amount, since } => {
                let result = journal.find_duplicate(&token, amount, since);
                Answer::Duplicate { id, result }
            }
            Task::FindTrace { note, batch, trace } => {
                let filter = TxnFilter { batch: Some(batch), trace: Some(trace), ..TxnFilter::default() };
                let result =
                    journal.query(&filter, 1, "").map(|(rows, _)| rows.into_iter().next().map(Box::new));
                Answer::Found { note, result }
            }
            Task::Query { filter, limit, cursor, done } => {
                done(journal.query(&filter, limit, &cursor));
                continue;
            }
            Task::Totals { filter, answer } => {
                let rows = journal.totals(&filter).map_err(|error| read_fault(&error));
                let _gone = answer.send(rows).is_err();
                continue;
            }
            Task::With(work) => {
                work(journal.as_mut());
                continue;
            }
            Task::OpenBatch => Answer::OpenBatch(journal.open_batch()),
            Task::Settled { note, number } => {
                Answer::Settled { note, result: settled(journal.as_mut(), number) }
            }
            Task::Timeline { id, answer } => {
                let rows = journal.timeline(&id).map_err(|error| read_fault(&error));
                let _gone = answer.send(rows).is_err();
                continue;
            }
        };
        if answers.blocking_send(answer).is_err() {
            return;
        }
    }
}

fn settled(journal: &mut dyn Journal, number: Option<BatchNumber>) -> Result<Option<Settled>, JournalError> {
    let Some(batch) = journal.batch(number)? else { return Ok(None) };
    let filter = TxnFilter { batch: Some(batch.number.get()), ..TxnFilter::default() };
    let mut rows: Vec<TxnRow> = Vec::new();
    let mut cursor = String::new();
    loop {
        let (page, next) = journal.query(&filter, PAGE, &cursor)?;
        rows.extend(page.into_iter().filter(|row| row.stan.is_some()));
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    rows.sort_by_key(|row| row.start.created_at);
    Ok(Some(Settled { batch, rows }))
}

/// The refusal for a read that failed.
pub(super) fn read_fault(error: &JournalError) -> Fault {
    let name = match error {
        JournalError::Full => FaultName::StorageFull,
        JournalError::Fault(_) => FaultName::StorageFault,
        JournalError::Unusable(_) => FaultName::InvalidArgument,
    };
    Fault::new(name, error.to_string())
}

fn commit(
    journal: &mut dyn Journal,
    records: &[Record],
    durability: Durability,
) -> Result<Committed, JournalError> {
    commit_or_look(journal, records, durability, &mut |error| {
        tracing::warn!(%error, "a commit failed; reopening the journal to see what is there");
    })
}

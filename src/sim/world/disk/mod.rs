//! The journal in memory: what each record of [`crate::domain::record`] does to the rows, told in plain Rust, and how a
//! disk fails under it.
//!
//! A commit is all or nothing; a record that contradicts what is stored is refused, and then nothing of its commit is
//! stored. Commits are *pending* until a full commit syncs all that went before; a power cut keeps a prefix of the
//! pending ones, as the torn tail of a write-ahead log does. A differential test feeds the same records to this model
//! and to the real journal and compares what they read back.
mod queue;
mod read;
mod settle;
mod write;

use crate::domain::calendar::WallTime;
use crate::domain::download::Progress;
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::outcome::BatchState;
use crate::domain::record::{
    BatchRow, Begun, Committed, KeyRecord, OperatorRow, PlyRow, Record, SettlementRow, TimelineRow, TxnRow,
};
use crate::ports::{Durability, JournalError};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// How a commit goes wrong. A commit reported as failed may be there all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// Nothing of it is stored; the disk has no space left.
    Full,
    /// Nothing of it is stored; the disk says that it failed.
    Fault,
    /// It is stored, and the disk says that it failed.
    ButThere,
    /// After the commit before it failed, the journal cannot be opened anew.
    NoReopen,
}

/// A row and what the journal alone knows of it.
#[derive(Clone, Debug)]
struct Kept {
    row: TxnRow,
    /// Serial number of its batch: the numbers of batches come round again.
    batch: u32,
    /// The transactions that follow it, by place.
    followers: Vec<usize>,
}

/// A lazy commit that is not synced, and how to take it back.
#[derive(Clone, Debug)]
struct Pending {
    plies: Vec<(usize, Vec<PlyRow>)>,
}

/// The journal.
#[derive(Clone, Debug)]
pub struct Disk {
    rows: Vec<Kept>,
    places: HashMap<TxnId, usize>,
    /// Places whose row may have an open end; looked through by [`Disk::loaded`].
    open: BTreeSet<usize>,
    pending: Vec<Pending>,
    next_stan: Stan,
    /// Every number that may be in use; reckoned anew when one is met.
    used: BTreeSet<u32>,
    batches: Vec<BatchRow>,
    /// First row of the open batch: all before it are settled.
    batch_from: usize,
    batch_has_records: bool,
    identity: Option<Begun>,
    settlement: Option<SettlementRow>,
    keys: Option<KeyRecord>,
    clock_offset: i64,
    operators: BTreeMap<String, OperatorRow>,
    newest: WallTime,
    queue_paused: Option<String>,
    downloads: Vec<Progress>,
    timeline: Vec<(TxnId, TimelineRow)>,
    keeps_timeline: bool,
    /// What goes wrong next, in order.
    faults: VecDeque<DiskFault>,
    /// Commits made, for the figures.
    commits: u64,
}

fn refuse<T>(why: &str) -> Result<T, JournalError> {
    Err(JournalError::Fault(why.to_owned()))
}

impl Disk {
    /// The journal of a new terminal.
    #[must_use]
    pub fn new(now: WallTime) -> Self {
        Self {
            rows: Vec::new(),
            places: HashMap::new(),
            open: BTreeSet::new(),
            pending: Vec::new(),
            next_stan: Stan::FIRST,
            used: BTreeSet::new(),
            batches: vec![fresh_batch(BatchNumber::FIRST, now)],
            batch_from: 0,
            batch_has_records: false,
            identity: None,
            settlement: None,
            keys: None,
            clock_offset: 0,
            operators: BTreeMap::new(),
            newest: now,
            queue_paused: None,
            downloads: Vec::new(),
            timeline: Vec::new(),
            keeps_timeline: false,
            faults: VecDeque::new(),
            commits: 0,
        }
    }

    /// Keeps the lines for people, too; worlds do without.
    #[must_use]
    pub const fn with_timeline(mut self) -> Self {
        self.keeps_timeline = true;
        self
    }

    /// The next number to be taken, for worlds that begin near its end.
    pub const fn set_next_stan(&mut self, next: Stan) {
        self.next_stan = next;
    }

    /// The next commits and reopens go wrong in this way, one after the other.
    pub fn fail(&mut self, faults: &[DiskFault]) {
        self.faults.extend(faults);
    }

    /// Faults that were not reached go.
    pub fn no_more_faults(&mut self) {
        self.faults.clear();
    }

    pub(super) fn write(
        &mut self,
        records: &[Record],
        durability: Durability,
    ) -> Result<Committed, JournalError> {
        let fault = self.faults.pop_front();
        match fault {
            Some(DiskFault::Full) => return Err(JournalError::Full),
            Some(DiskFault::Fault | DiskFault::NoReopen) => return refuse("the simulated disk failed"),
            Some(DiskFault::ButThere) | None => {}
        }
        self.commits = self.commits.wrapping_add(1);
        let committed = self.apply_all(records, durability)?;
        if durability == Durability::Full {
            self.pending.clear();
        }
        match fault {
            Some(_) => refuse("the simulated disk failed, and has it all the same"),
            None => Ok(committed),
        }
    }

    /// How many lazy commits a power cut may take away.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The power fails: the first `keep` pending commits stay, the others are gone.
    pub fn cut(&mut self, keep: usize) {
        self.faults.clear();
        while self.pending.len() > keep {
            for (place, plies) in self.pending.pop().into_iter().flat_map(|lost| lost.plies).rev() {
                if let Some(kept) = self.rows.get_mut(place) {
                    kept.row.plies = plies;
                    self.open.insert(place);
                }
            }
        }
        self.pending.clear();
    }

    /// How many transactions have a row.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// How many commits were made.
    #[must_use]
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// Number of the open batch.
    #[must_use]
    pub fn batch_number(&self) -> BatchNumber {
        self.batches.last().map_or(BatchNumber::FIRST, |batch| batch.number)
    }

    fn batch_serial(&self) -> u32 {
        u32::try_from(self.batches.len()).unwrap_or(u32::MAX)
    }
}

fn fresh_batch(number: BatchNumber, opened_at: WallTime) -> BatchRow {
    BatchRow {
        number,
        state: BatchState::Open,
        opened_at,
        closed_at: None,
        operator: None,
        verdict: None,
        forced: false,
        field48: None,
        totals: Vec::new(),
    }
}

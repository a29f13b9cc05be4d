//! Which entry goes next, and when one is tried again. Pure: time and chance are told.
//!
//! Fixed order: script results, reversals, then offline sales and advices by age. A reversal whose original has used
//! the line that is still open goes before all, so that the bank sees the two in order. While a transaction waits for
//! the line only what must precede it goes; uploads go when no transaction runs at all.
//!
//! An entry that got no answer waits for its own growing pause, so that it holds up nobody else; a line on which
//! nothing was heard makes everybody wait for a common one, so that a silent bank does not use up all attempts at once.
use super::delivery::End;
use super::{Entry, EntryId};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::ident::TxnId;
use crate::domain::outcome::EntryType;
use crate::domain::record::TxnRow;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// First pause after an attempt that was not answered; doubles up to [`PAUSE_MAX`].
pub const PAUSE_MIN: Duration = Duration::from_secs(2);
/// Longest pause, apart from its jitter of up to a quarter.
pub const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What the running transaction has to do with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trade {
    /// None runs.
    Idle,
    /// One runs and does not need the line yet.
    Elsewhere,
    /// One waits for the line.
    Waits,
    /// One is with the bank: nothing else goes.
    WithBank,
}

/// What of the present the choice depends on.
#[derive(Clone, Copy)]
pub struct Present<'a> {
    /// Now.
    pub now: BootTime,
    /// The running transaction.
    pub trade: Trade,
    /// A person holds the queue back: no upload goes. Reversals and script results go all the same, because trading
    /// waits for them.
    pub paused: bool,
    /// Whose request went out on the line that is open.
    pub line_of: Option<&'a TxnId>,
    /// Entries that must not be touched: one that a running local void is about to withdraw, or whose state somebody
    /// is just changing.
    pub withheld: &'a dyn Fn(&EntryId) -> bool,
}

/// What the past has taught about when to try.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Tried now, whatever their pause, and although attempts are used up.
    kicked: BTreeSet<EntryId>,
    /// Not before.
    later: BTreeMap<EntryId, BootTime>,
    /// Nobody before, unless a transaction waits for it.
    quiet_until: Option<BootTime>,
    pause: Duration,
    /// Before a reversal that was answered with 25 is asked again.
    repeat_not_found: Duration,
}

impl Schedule {
    /// What is known at a start: a reversal that was answered with 25 waits for what is left of its time by the wall
    /// clock, or for all of it while that is not to be trusted (`wall` is `None`).
    #[must_use]
    pub fn new(repeat_not_found: Duration, entries: &[Entry], now: BootTime, wall: Option<WallTime>) -> Self {
        let again = |entry: &Entry| {
            let waited = wall.map_or(0, |wall| wall.0.saturating_sub(entry.changed_at.0));
            now.after(repeat_not_found.saturating_sub(Duration::from_micros(waited)))
        };
        let waits = |entry: &&Entry| entry.waits_to_be_asked_again();
        Self {
            kicked: BTreeSet::new(),
            later: entries.iter().filter(waits).map(|entry| (entry.id.clone(), again(entry))).collect(),
            quiet_until: None,
            pause: PAUSE_MIN,
            repeat_not_found,
        }
    }

    /// The entry that goes now, if any. `entries` are in order ([`sort`]).
    #[must_use]
    pub fn next<'e>(&self, entries: &'e [Entry], present: &Present<'_>) -> Option<&'e Entry> {
        let goes = |entry: &&Entry| {
            may_go(entry, present)
                && ((present.trade == Trade::Waits && entry.goes_first())
                    || self.ripe_at(entry).is_some_and(|at| at <= present.now))
        };
        let own = present.line_of.and_then(|txn| {
            let own = |entry: &&Entry| entry.id.txn == *txn && entry.entry_type() == EntryType::Reversal;
            entries.iter().filter(own).find(goes)
        });
        own.or_else(|| entries.iter().find(goes))
    }

    /// When the next one goes although nothing happens until then.
    #[must_use]
    pub fn next_at(&self, entries: &[Entry], present: &Present<'_>) -> Option<BootTime> {
        if matches!(present.trade, Trade::Waits | Trade::WithBank) {
            return None;
        }
        let mut ripe = entries.iter().filter(|e| may_go(e, present)).filter_map(|entry| self.ripe_at(entry));
        // In a long queue that is hurried the first one settles it.
        let first = ripe.next()?;
        if first <= present.now { Some(first) } else { ripe.min().into_iter().chain([first]).min() }
    }

    /// From when on an entry goes by itself; never if its attempts are used up and nobody asked for it.
    fn ripe_at(&self, entry: &Entry) -> Option<BootTime> {
        if self.kicked.contains(&entry.id) {
            return Some(BootTime(0));
        }
        if !entry.goes_by_itself() {
            return None;
        }
        let later = self.later.get(&entry.id).copied();
        Some(later.max(self.quiet_until).unwrap_or_default())
    }

    /// A sign-on, a returned link, a flush, a settlement: every entry that can be sent is tried now.
    pub fn kick(&mut self, entries: &[Entry]) {
        self.kicked = entries.iter().filter(|e| e.is_sendable()).map(|entry| entry.id.clone()).collect();
        self.wake(entries);
    }

    /// The bank answers: no pause is left but that of a reversal that was not found.
    pub fn wake(&mut self, entries: &[Entry]) {
        let waits: BTreeSet<&EntryId> =
            entries.iter().filter(|entry| entry.waits_to_be_asked_again()).map(|entry| &entry.id).collect();
        self.later.retain(|id, _| waits.contains(id));
        self.line_is_good();
    }

    /// Nobody is hurried any more.
    pub fn calm(&mut self) {
        self.kicked.clear();
    }

    /// The bank was heard: nobody has to wait for the line's sake.
    const fn line_is_good(&mut self) {
        self.quiet_until = None;
        self.pause = PAUSE_MIN;
    }

    /// The open entries of a transaction, as its row now has them, take their places in the queue.
    pub fn take(&mut self, queue: &mut Vec<Entry>, txn: &TxnId, open: Vec<Entry>) {
        let known: Vec<EntryId> =
            queue.extract_if(.., |entry| entry.id.txn == *txn).map(|entry| entry.id).collect();
        for gone in known.iter().filter(|id| !open.iter().any(|entry| entry.id == **id)) {
            self.forget(gone);
        }
        for entry in open.iter().filter(|entry| !known.contains(&entry.id)) {
            self.is_new(entry);
        }
        queue.extend(open);
        sort(queue);
    }

    /// An entry has become due just now.
    pub fn is_new(&mut self, entry: &Entry) {
        self.later.remove(&entry.id);
        if entry.blocks_trading() {
            self.line_is_good();
        }
    }

    /// A run has ended. `heard`: the bank answered in it; `roll`: chance, for the pauses.
    pub fn ended(&mut self, entry: &Entry, end: End, heard: bool, now: BootTime, roll: u8) {
        self.kicked.remove(&entry.id);
        if heard {
            self.line_is_good();
        } else if end != End::Expired {
            self.quiet_until = Some(now.after(jittered(self.pause, roll)));
            self.pause = PAUSE_MAX.min(self.pause.saturating_mul(2));
        }
        if end == End::NoLine {
            // Without a line for one there is none for the others.
            self.kicked.clear();
        }
        let rest = match end {
            End::Done | End::Denied | End::Expired | End::Failed => None,
            _ if entry.waits_to_be_asked_again() => Some(self.repeat_not_found),
            End::AskAgain => Some(self.repeat_not_found),
            End::NoLine => None,
            End::Repeat | End::StorageFault => {
                let doublings = entry.attempts.saturating_sub(1).min(5);
                Some(jittered(PAUSE_MAX.min(PAUSE_MIN.saturating_mul(1_u32 << doublings)), roll))
            }
        };
        match rest {
            Some(rest) => _ = self.later.insert(entry.id.clone(), now.after(rest)),
            None => _ = self.later.remove(&entry.id),
        }
    }

    /// What was hurried has been tried, as far as it can go at all.
    #[must_use]
    pub fn is_calm(&self, entries: &[Entry], present: &Present<'_>) -> bool {
        // Whatever transaction runs now, it will not run for ever.
        let present = Present { trade: Trade::Idle, ..*present };
        !entries.iter().any(|entry| self.kicked.contains(&entry.id) && may_go(entry, &present))
    }

    /// An entry has left the queue.
    pub fn forget(&mut self, id: &EntryId) {
        self.kicked.remove(id);
        self.later.remove(id);
    }
}

/// Every entry is final or out of attempts: what settlement waits for before it counts.
#[must_use]
pub fn drained(entries: &[Entry]) -> bool {
    !entries.iter().any(Entry::goes_by_itself)
}

/// The open entries of these transactions in the order in which they go.
#[must_use]
pub fn in_order(rows: &[TxnRow]) -> Vec<Entry> {
    let mut entries: Vec<_> = rows.iter().flat_map(Entry::all_of).collect();
    sort(&mut entries);
    entries
}

/// Puts entries into the order in which they go.
pub fn sort(entries: &mut [Entry]) {
    entries.sort_by(|a, b| rank(a).cmp(&rank(b)));
}

fn rank(entry: &Entry) -> (u8, u64, &EntryId) {
    let by_type = match entry.entry_type() {
        EntryType::Script => 0,
        EntryType::Reversal => 1,
        EntryType::OfflineSale | EntryType::Advice => 2,
        EntryType::RefundUnknown => 3,
    };
    (by_type, entry.created_at.0, &entry.id)
}

fn may_go(entry: &Entry, present: &Present<'_>) -> bool {
    let upload = matches!(entry.entry_type(), EntryType::OfflineSale | EntryType::Advice);
    let now = match present.trade {
        Trade::Idle => !(upload && present.paused),
        Trade::Elsewhere => !upload,
        Trade::Waits => entry.goes_first(),
        Trade::WithBank => false,
    };
    now && entry.is_sendable() && !(present.withheld)(&entry.id)
}

/// A pause and up to a quarter of it, so that the terminals of a chain do not come all at once.
fn jittered(pause: Duration, roll: u8) -> Duration {
    pause.saturating_add(pause.saturating_mul(u32::from(roll)) / 1024)
}

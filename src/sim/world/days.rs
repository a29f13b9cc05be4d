//! The seeded driver: long days of mixed business in which anything goes wrong, settled at their end.
//!
//! A seed decides everything: the bank's habit, how often things go wrong, the first STAN, what the customers want. The
//! same seed gives the same day, to the letter of its trace.
use super::card::Temper;
use super::chance::{Chance, SplitMix64};
use super::host::{CARDS, Habit};
use super::trade::Wanted;
use super::{Beginning, Flow, World};
use crate::domain::ident::TxnId;
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::profile::LateUploads;
use crate::domain::record::Record;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// Transactions before a shop settles in the middle of a day: a batch holds at most 900.
const SHIFT: u32 = 600;
/// What waits longer than this is late, where the shop minds.
const LATE: Duration = Duration::from_secs(60);
/// Originals that the shop still remembers.
const REMEMBERED: usize = 24;

/// A broken rule, and the seed that shows it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How long the day was to be.
    pub transactions: u32,
    /// The rule.
    pub what: String,
    /// What happened.
    pub trace: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "POSD_SEED={} ({} transactions): {}", self.seed, self.transactions, self.what)?;
        f.write_str(&self.trace)
    }
}

/// What happened in days that broke no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Days.
    pub days: u64,
    /// Transactions begun; each ends in the day.
    pub transactions: u64,
    /// Of these approved, declined, cancelled, failed, unknown for good, reversed, stored offline.
    pub outcomes: [u64; 7],
    /// Power cuts.
    pub cuts: u64,
    /// Commits.
    pub commits: u64,
    /// Batches closed with the bank.
    pub batches: u64,
    /// Of these did not agree; every difference was among the suspects.
    pub disagreed: u64,
}

impl Told {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.days = self.days.saturating_add(other.days);
        self.transactions = self.transactions.saturating_add(other.transactions);
        self.cuts = self.cuts.saturating_add(other.cuts);
        self.commits = self.commits.saturating_add(other.commits);
        self.batches = self.batches.saturating_add(other.batches);
        self.disagreed = self.disagreed.saturating_add(other.disagreed);
        for (sum, more) in self.outcomes.iter_mut().zip(other.outcomes) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// One day in one shop.
struct Day {
    draws: SplitMix64,
    /// With the card that paid.
    originals: Vec<(TxnId, u8)>,
}

/// Runs the day of a seed to rest.
///
/// # Errors
/// The first broken rule, with the trace of the whole day.
pub fn run(seed: u64, transactions: u32) -> Result<Told, Failure> {
    let (ended, world) = play(seed, transactions, Keep::Nothing);
    match ended {
        Ok(()) => Ok(tell(&world)),
        Err(what) => {
            let (again, trace) = traced(seed, transactions);
            let what = match again {
                Err(again) if again == what => what,
                again => format!("{what}; and when run again: {again:?}"),
            };
            Err(Failure { seed, transactions, what, trace })
        }
    }
}

/// Runs the day of a seed with its trace.
pub fn traced(seed: u64, transactions: u32) -> (Result<(), String>, String) {
    let (ended, world) = play(seed, transactions, Keep::Trace);
    (ended, world.map(|world| world.trace().to_owned()).unwrap_or_default())
}

/// Every commit that the day of a seed tries, in order: what a journal has to take, or to refuse.
#[must_use]
pub fn commits(seed: u64, transactions: u32) -> Vec<Vec<Record>> {
    play(seed, transactions, Keep::Commits).1.and_then(|world| world.tried).unwrap_or_default()
}

/// What is kept of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Nothing,
    Trace,
    Commits,
}

fn play(seed: u64, transactions: u32, keep: Keep) -> (Result<(), String>, Option<World>) {
    let mut draws = SplitMix64::new(seed);
    let habit = if draws.below(8) == 0 { Habit::BooksLate } else { Habit::Remembers };
    let per_mille =
        [0, 2, 10, 30, 60].get(usize::try_from(draws.below(5)).unwrap_or(0)).copied().unwrap_or(0);
    let near_wrap = draws.below(4) == 0;
    let first_stan = if near_wrap { 999_999_u32.saturating_sub(draws.below(transactions.max(1))) } else { 1 };
    let chance = Chance::seeded(draws.draw(), per_mille);
    let beginning = Beginning { chance, seed, habit, first_stan, traced: keep == Keep::Trace };
    let Some(mut world) = World::new(beginning) else { return (Err("no world".to_owned()), None) };
    let late_uploads;
    (late_uploads, world.late_after) = match draws.below(4) {
        0 => (LateUploads::Expire, Some(LATE)),
        1 => (LateUploads::Send, Some(LATE)),
        _ => (LateUploads::Send, None),
    };
    Arc::make_mut(&mut world.setup.identity.profile).late_uploads = late_uploads;
    world.tried = (keep == Keep::Commits).then(Vec::new);
    let mut day = Day { draws, originals: Vec::new() };
    let ended = day.trade(&mut world, transactions).and_then(|()| world.come_to_rest());
    (ended, Some(world))
}

fn tell(world: &Option<World>) -> Told {
    let Some(world) = world else { return Told::default() };
    let mut told = Told {
        days: 1,
        transactions: world.judge.transactions,
        cuts: u64::from(world.cuts),
        commits: world.disk.commits(),
        batches: world.judge.batches,
        disagreed: world.judge.disagreed,
        ..Told::default()
    };
    for row in world.disk.all() {
        let at = match row.outcome {
            Outcome::Approved => 0,
            Outcome::Declined => 1,
            Outcome::Cancelled => 2,
            Outcome::Failed => 3,
            Outcome::Unknown | Outcome::None => 4,
            Outcome::Reversed => 5,
            Outcome::StoredOffline => 6,
        };
        if let Some(sum) = told.outcomes.get_mut(at) {
            *sum = sum.saturating_add(1);
        }
    }
    told
}

impl Day {
    fn trade(&mut self, world: &mut World, transactions: u32) -> Result<(), String> {
        for number in 0..transactions {
            let wanted = self.wanted();
            let mut made = None;
            world.survive(|world| {
                made = world.trade(&wanted)?;
                world.idle()
            })?;
            if let Some(id) = made {
                self.remember((id, wanted.card));
            }
            if number % SHIFT == SHIFT - 1 {
                world.survive(|world| world.settle(false))?;
            }
            if number % 8 == 7 {
                let act = self.draws.below(12);
                world.survive(|world| self.act(world, act))?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, id: (TxnId, u8)) {
        if self.originals.len() >= REMEMBERED {
            let at = usize::try_from(self.draws.below(24)).unwrap_or(0);
            if let Some(old) = self.originals.get_mut(at) {
                *old = id;
            }
        } else {
            self.originals.push(id);
        }
    }

    fn wanted(&mut self) -> Wanted {
        let kind = match self.draws.below(100) {
            0..46 => Kind::Sale,
            46..56 => Kind::OfflineSale,
            56..66 => Kind::Void,
            66..74 => Kind::Refund,
            74..77 => Kind::Balance,
            77..86 => Kind::PreAuth,
            86..89 => Kind::PreAuthVoid,
            89..94 => Kind::PreAuthComplete,
            94..97 => Kind::PreAuthAdvice,
            _ => Kind::PreAuthCompleteVoid,
        };
        let follows = !crate::domain::rules::rule(kind).follows.is_empty();
        let cards = u32::try_from(CARDS).unwrap_or(1);
        let mut card = u8::try_from(self.draws.below(cards)).unwrap_or(0);
        let amount = match kind {
            Kind::Balance | Kind::Void | Kind::PreAuthVoid | Kind::PreAuthCompleteVoid => 0,
            Kind::Refund => u64::from(self.draws.below(400)).saturating_add(1),
            Kind::PreAuthComplete | Kind::PreAuthAdvice => u64::from(self.draws.below(900)).saturating_add(1),
            _ => u64::from(self.draws.below(2000)).saturating_add(1),
        };
        let temper = match (kind, self.draws.below(40)) {
            (Kind::OfflineSale, 1..) => Temper::ApprovesAlone,
            (_, 0) => Temper::DeclinesAfterApproval,
            (_, 1) => Temper::DeclinesAtOnce,
            (_, 2 | 3) => Temper::ApprovesAlone,
            _ => Temper::Good,
        };
        let few = u32::try_from(self.originals.len()).unwrap_or(0);
        let original = usize::try_from(self.draws.below(few)).unwrap_or(0);
        let original = self.originals.get(original).filter(|_| follows).cloned();
        // Now and then the customer has the wrong card.
        if let Some((_, theirs)) = original.as_ref().filter(|_| self.draws.below(20) > 0) {
            card = *theirs;
        }
        Wanted {
            kind,
            amount,
            card,
            temper,
            original: original.map(|(id, _)| id),
            partial: self.draws.below(4) == 0,
            may_store: self.draws.below(3) == 0,
            scripts: self.draws.below(10) == 0,
        }
    }

    /// What people do between two customers.
    fn act(&mut self, world: &mut World, act: u32) -> Flow {
        match act {
            0 => world.pause(Some("the line is bad")),
            1 | 2 => world.pause(None),
            3 => world.park_one(),
            4 => world.unpark_all(),
            5 => world.sign_on(),
            6 => world.resolve_all(self.draws.below(5) == 0),
            7 => match self.originals.last().cloned() {
                Some((id, _)) => world.reprint(&id),
                None => Ok(()),
            },
            8 if self.draws.below(4) == 0 => world.settle(self.draws.below(6) == 0),
            9 => world.drain().map(drop),
            10 => {
                world.land();
                Ok(())
            }
            _ => {
                world.wait(90_000_000);
                world.idle()
            }
        }
    }
}

impl World {
    /// A person holds the queue back, or lets it go on.
    fn pause(&mut self, why: Option<&str>) -> Flow {
        let record = Record::QueuePaused { why: why.map(str::to_owned) };
        if self.commit(&[record], "before a pause is durable")?.is_some() {
            self.memory.paused = why.is_some();
        }
        Ok(())
    }

    /// A supervisor puts the oldest entry aside.
    fn park_one(&mut self) -> Flow {
        let wall = self.now.wall;
        let parked = self
            .memory
            .entries
            .iter()
            .find_map(|entry| Some((entry.id.txn.clone(), entry.park("to be looked at", wall).ok()?)));
        let Some((id, record)) = parked else { return Ok(()) };
        self.commit(&[record], "before an entry is parked")?;
        self.refresh(&id);
        Ok(())
    }

    /// What was put aside goes on.
    pub(super) fn unpark_all(&mut self) -> Flow {
        let wall = self.now.wall;
        let parked: Vec<(TxnId, Record)> = self
            .memory
            .entries
            .iter()
            .filter_map(|entry| Some((entry.id.txn.clone(), entry.unpark(wall).ok()?)))
            .collect();
        for (id, record) in parked {
            self.commit(&[record], "before an entry goes on")?;
            self.refresh(&id);
        }
        Ok(())
    }

    /// Nothing happens for a while.
    fn wait(&mut self, micros: u64) {
        self.sleep_until(crate::domain::calendar::BootTime(self.now.boot.0.saturating_add(micros)));
    }

    /// Everything that a person held back goes on.
    pub(super) fn let_everything_go(&mut self) -> Flow {
        self.pause(None)?;
        self.unpark_all()
    }
}

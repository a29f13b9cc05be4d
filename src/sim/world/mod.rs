//! Worlds: a whole shop in memory that proves that no money is lost.
//!
//! The machines are the real ones: [`crate::domain::txn`], [`crate::domain::queue`],
//! [`crate::domain::settlement`], the chip kernel, recovery. Around them stand a clock that jumps to the next
//! deadline, a journal ([`disk`]), a bank ([`host`]), chips ([`card`]), paper, people and the power, all of
//! which fail where [`chance`] says so. What the engine does is done here by a small scheduler: one
//! transaction, one line, the queue in the order of the domain. [`judge`] watches every step and looks at
//! everything when the world has come to rest.
//!
//! Drivers: [`exhaustive`] (one transaction, up to two faults, each in every place) and [`days`] (long mixed
//! days from a seed). [`matrix`] writes down what a power cut leaves behind.
pub mod card;
pub mod chance;
pub mod days;
pub mod disk;
pub mod exhaustive;
pub mod host;
pub mod judge;
pub mod matrix;
mod net;
mod paper;
mod post;
mod power;
mod rest;
mod settle;
pub mod trade;

use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::emv::params::EmvConfig;
use crate::domain::ident::{OperatorId, TxnId};
use crate::domain::outcome::{EntryType, Outcome, PinEntry, QueueState};
use crate::domain::profile::Profile;
use crate::domain::queue::Entry;
use crate::domain::queue::order::Schedule;
use crate::domain::record::{Committed, EntryId, Record};
use crate::domain::rules::Undo;
use crate::domain::secret::TokenKey;
use crate::domain::txn::{Now, Setup};
use crate::ports::Durability;
use crate::ports::commit::commit_or_look;
use chance::Chance;
use core::fmt;
use core::time::Duration;
use disk::{Disk, DiskFault};
use host::{Asked, Bank, Habit};
use judge::Judge;

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the bank may take.
const RESPONSE: Duration = Duration::from_secs(40);
/// More steps than any transaction, or the settlement of a full batch, needs: a machine that goes in circles.
const STEPS_MAX: u32 = 20_000;
/// A business day, somewhere in 2026.
const MORNING: WallTime = WallTime(1_790_000_000_000_000);

/// Why a step of the world does not return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// The power failed.
    Cut,
    /// A rule is broken.
    Broken(String),
}

/// What a step of the world gives back.
pub type Flow<T = ()> = Result<T, Halt>;

/// A rule is broken: says which.
pub(crate) fn broken<T>(what: impl Into<String>) -> Flow<T> {
    Err(Halt::Broken(what.into()))
}

/// How much the world writes down.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<String>);

impl Trace {
    /// Writes a line, if anybody reads it.
    fn line(&mut self, now: Now, what: &dyn fmt::Display) {
        if let Some(text) = &mut self.0 {
            let ms = now.boot.0 / 1000;
            text.push_str(&format!("{ms:>10} {what}\n"));
        }
    }
}

/// How a commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Store {
    CutBefore,
    CutAfter,
    Once,
    OnceButThere,
    Twice,
    TwiceButThere,
    SecondButThere,
}

/// What of the terminal's memory a power cut takes.
#[derive(Clone, Debug)]
struct Memory {
    signed_on: bool,
    line: bool,
    entries: Vec<Entry>,
    schedule: Schedule,
    withheld: Option<EntryId>,
    /// Whose request went out on the open line.
    line_of: Option<TxnId>,
    paused: bool,
}

impl Memory {
    /// Of a terminal that has just started and has read its journal.
    fn new(entries: Vec<Entry>, now: Now) -> Self {
        Self {
            signed_on: false,
            line: false,
            schedule: Schedule::new(Profile::unionpay().repeat_not_found, &entries, now.boot, Some(now.wall)),
            entries,
            withheld: None,
            line_of: None,
            paused: false,
        }
    }
}

/// The shop.
#[derive(Clone, Debug)]
pub struct World {
    chance: Chance,
    now: Now,
    disk: Disk,
    bank: Bank,
    cards: card::Cards,
    judge: Judge,
    trace: Trace,
    setup: Setup,
    /// An upload is late after so long. `None`: never.
    late_after: Option<Duration>,
    memory: Memory,
    /// Requests that are still on their way although the terminal has given them up.
    floating: Vec<Asked>,
    /// Transactions begun, for their names.
    serial: u32,
    /// Names begin with this.
    prefix: String,
    cuts: u32,
    steps: u32,
    /// The transaction that was begun last.
    last: Option<TxnId>,
    /// Where it stood when the power failed: state of the transaction and what was about to happen.
    place: (&'static str, &'static str),
    /// Every commit that was tried, if anybody wants them.
    tried: Option<Vec<Vec<Record>>>,
    /// The first power cut, for the matrix.
    first_cut: Option<FirstCut>,
}

/// What the first power cut of a world left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstCut {
    /// Where the transaction stood.
    pub state: &'static str,
    /// Where the power failed.
    pub place: &'static str,
    /// What everybody had been told by then.
    pub told: Option<Outcome>,
    /// What recovery made of it: outcome and what is owed. `None`: the terminal knows nothing of it.
    pub recovered: Option<(Outcome, Vec<(EntryType, QueueState)>)>,
}

/// What a world begins with.
#[derive(Clone, Debug)]
pub struct Beginning {
    /// Where it goes wrong.
    pub chance: Chance,
    /// Names its transactions.
    pub seed: u64,
    /// The bank.
    pub habit: Habit,
    /// The first STAN.
    pub first_stan: u32,
    /// Keeps a trace.
    pub traced: bool,
}

impl World {
    /// A new terminal in a new shop. `None` if the constants of the simulator are wrong.
    #[must_use]
    pub fn new(beginning: Beginning) -> Option<Self> {
        let Beginning { chance, seed, habit, first_stan, traced } = beginning;
        let now = Now { boot: BootTime(1_000_000), wall: MORNING };
        let mut disk = Disk::new(now.wall);
        if let Ok(first) = crate::domain::ident::Stan::new(first_stan) {
            disk.set_next_stan(first);
        }
        Some(Self {
            chance,
            now,
            disk,
            bank: Bank::new(habit),
            cards: card::Cards::new(),
            judge: Judge::default(),
            trace: Trace(traced.then(String::new)),
            setup: setup(card::config()?)?,
            late_after: None,
            memory: Memory::new(Vec::new(), now),
            floating: Vec::new(),
            serial: 0,
            prefix: format!("{seed:x}"),
            cuts: 0,
            steps: 0,
            last: None,
            place: ("", ""),
            tried: None,
            first_cut: None,
        })
    }

    /// Everything that was written down.
    #[must_use]
    pub fn trace(&self) -> &str {
        self.trace.0.as_deref().unwrap_or_default()
    }

    /// The journal, to be looked at.
    #[must_use]
    pub const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The bank, to be looked at.
    #[must_use]
    pub const fn bank(&self) -> &Bank {
        &self.bank
    }

    /// The judge, to be looked at.
    #[must_use]
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    /// How often the power failed.
    #[must_use]
    pub const fn cuts(&self) -> u32 {
        self.cuts
    }

    /// The transaction that was begun last.
    #[must_use]
    pub const fn last(&self) -> Option<&TxnId> {
        self.last.as_ref()
    }

    /// What the first power cut left behind.
    #[must_use]
    pub const fn first_cut(&self) -> Option<&FirstCut> {
        self.first_cut.as_ref()
    }

    /// Where the chance stands, to be looked at.
    #[must_use]
    pub const fn chance(&self) -> &Chance {
        &self.chance
    }

    /// Nothing goes wrong any more.
    pub fn calm(&mut self) {
        self.chance.calm();
    }

    fn note(&mut self, what: &dyn fmt::Display) {
        self.trace.line(self.now, what);
    }

    /// Asks the chance: `None` is the good way.
    fn fails<T: Copy>(&mut self, ways: &[T]) -> Option<T> {
        let count = u8::try_from(ways.len()).unwrap_or(u8::MAX - 1).saturating_add(1);
        let way = self.chance.way(count);
        ways.get(usize::from(way).checked_sub(1)?).copied()
    }

    /// The power fails here, before `what`.
    fn cut<T>(&mut self, what: &'static str) -> Flow<T> {
        self.place.1 = what;
        self.note(&format_args!("POWER FAILS {what}"));
        Err(Halt::Cut)
    }

    /// A place where nothing but the power can fail.
    fn power(&mut self, what: &'static str) -> Flow {
        match self.fails(&[()]) {
            Some(()) => self.cut(what),
            None => Ok(()),
        }
    }

    /// One more step; a world that never ends is broken.
    fn step(&mut self) -> Flow {
        self.steps = self.steps.saturating_add(1);
        if self.steps > STEPS_MAX { broken("it never comes to rest") } else { Ok(()) }
    }

    /// Makes records durable, as the journal thread does.
    fn commit(&mut self, records: &[Record], what: &'static str) -> Flow<Option<Committed>> {
        const WAYS: [Store; 7] = [
            Store::CutBefore,
            Store::CutAfter,
            Store::Once,
            Store::OnceButThere,
            Store::Twice,
            Store::TwiceButThere,
            Store::SecondButThere,
        ];
        if let Some(tried) = &mut self.tried {
            tried.push(records.to_vec());
        }
        let way = self.fails(&WAYS);
        let faults: &[DiskFault] = match way {
            Some(Store::CutBefore) => return self.cut(what),
            None | Some(Store::CutAfter) => &[],
            Some(Store::Once) => &[DiskFault::Full],
            Some(Store::OnceButThere) => &[DiskFault::ButThere],
            Some(Store::Twice) => &[DiskFault::Fault, DiskFault::Full],
            Some(Store::TwiceButThere) => &[DiskFault::ButThere, DiskFault::NoReopen],
            Some(Store::SecondButThere) => &[DiskFault::Fault, DiskFault::ButThere],
        };
        self.disk.fail(faults);
        let stored = commit_or_look(&mut self.disk, records, Durability::Full, &mut |_| {});
        self.disk.no_more_faults();
        if self.trace.0.is_some() {
            let text = records.iter().map(name_of).collect::<Vec<_>>().join(" + ");
            let end = if stored.is_ok() { "durable" } else { "FAILED" };
            let why = way.map(|way| format!(" ({way:?})")).unwrap_or_default();
            let error = stored.as_ref().err().map(|e| format!(": {e}")).unwrap_or_default();
            self.note(&format_args!("{end} {text}{why}{error}"));
        }
        if way == Some(Store::CutAfter) {
            return self.cut("durable, not yet heard");
        }
        Ok(stored.ok())
    }

    /// Lets time pass.
    fn sleep_until(&mut self, at: BootTime) {
        if at > self.now.boot {
            let wait = at.0.saturating_sub(self.now.boot.0);
            self.now = Now { boot: at, wall: WallTime(self.now.wall.0.saturating_add(wait)) };
        }
    }

    /// Everything takes a moment, so that no two things happen at once.
    fn moment(&mut self) {
        self.sleep_until(BootTime(self.now.boot.0.saturating_add(1_000)));
    }
}

fn setup(emv: EmvConfig) -> Option<Setup> {
    Some(Setup {
        emv,
        identity: card::identity()?,
        customer_timeout: PATIENCE,
        response_timeout: RESPONSE,
        tls: false,
        token_key: TokenKey::derive(&[7; 32]),
        blacklist: std::sync::Arc::default(),
        recent: std::sync::Arc::default(),
        pin_entry: PinEntry::Agent,
        reads_stripes: false,
        confirm_card: false,
        may_store: false,
        allow_duplicate: true,
        undo: Undo::Online,
        stored_card: None,
    })
}

/// A record in a word or two. Nothing of a card is shown.
fn name_of(record: &Record) -> String {
    match record {
        Record::Sending(_) => "Sending".to_owned(),
        Record::Unsent { .. } => "Unsent".to_owned(),
        Record::ReserveStan => "ReserveStan".to_owned(),
        Record::Closed(closed) => {
            let due =
                closed.reversal.map(|reason| format!(", reversal due {}", reason.code())).unwrap_or_default();
            format!("Closed({}, {}{due})", closed.outcome, closed.result)
        }
        Record::QueueAttempt { entry, .. } => format!("Attempt({})", entry.entry_type),
        Record::QueueState { entry, state, response_code, .. } => {
            let code = response_code.as_ref().map(|code| format!(" on {code}")).unwrap_or_default();
            format!("{}({state}{code})", entry.entry_type)
        }
        Record::Resolved { entry, how, .. } => format!("Resolved({}, {how})", entry.entry_type),
        Record::PlyState { ply, state, .. } => format!("{ply}({state})"),
        Record::Settlement(step) => format!("Settlement({})", step_name(step)),
        Record::SignedOn { .. } => "SignedOn".to_owned(),
        Record::MasterKeyLoaded(_) => "MasterKeyLoaded".to_owned(),
        Record::SignedOff => "SignedOff".to_owned(),
        _ => "other".to_owned(),
    }
}

const fn step_name(step: &crate::domain::record::SettlementStep) -> &'static str {
    use crate::domain::record::SettlementStep as Step;
    match step {
        Step::Begun { .. } => "begun",
        Step::Reopened { .. } => "reopened",
        Step::TotalsFrozen { .. } => "totals frozen",
        Step::Verdict { .. } => "verdict",
        Step::Uploaded { .. } => "uploaded",
        Step::Closed { .. } => "closed",
    }
}

/// The cashier, and the supervisor.
fn operator(number: &str) -> Flow<OperatorId> {
    OperatorId::new(number).or_else(|_| broken("an operator of the simulator has no number"))
}

//! What the engine holds, how it is made from the journal, and the small verbs that all its parts use.
use super::care::Care;
use super::configuration::{ConfigDesk, Configurator};
use super::download::Downloads;
use super::handle::{AgentCommand, Notice};
use super::inhibit::Inhibitors;
use super::jobs::Jobs;
use super::journal_thread::{JournalDoor, JournalThread, Task};
use super::line::Line;
use super::links::LinkDesk;
use super::operators::{Door, Session};
use super::owed::Owed;
use super::paper::PrintDesk;
use super::recent::Recent;
use super::self_test::SelfTests;
use super::settle::Settling;
use super::shown::Shown;
use super::tables::Tables;
use super::trade::Active;
use super::undo::Refused;
use super::upkeep::Upkeep;
use super::view::Snapshot;
use super::{EngineError, Note, Receivers, Wiring};
use crate::domain::calendar::{BootTime, LocalTime, WallTime};
use crate::domain::emv::params::EmvConfig;
use crate::domain::ident::{BatchNumber, Stan, TxnId};
use crate::domain::keystore::{KeyStore, SessionKeys};
use crate::domain::link::policy::Rules;
use crate::domain::money::Currency;
use crate::domain::outcome::{Kind, PinEntry, PrintState, Role};
use crate::domain::queue::limits;
use crate::domain::queue::order;
use crate::domain::record::{Begun, KeyRecord, Loaded, OperatorRow, Record, TimelineRow, TxnRow};
use crate::domain::secret::{MasterKeyMaterial, TokenKey};
use crate::domain::slip::{Language, Template};
use crate::domain::txn::recovery::recover;
use crate::domain::unionpay::Identity;
use crate::domain::way::LineManner;
use crate::ports::{
    CardCommand, Courier, Durability, HostCommand, Journal, JournalError, Outlet, PrinterCommand,
    PrinterStatus, ReaderStatus, RenderSlip, Surveyor, System,
};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Pause between looks at a journal in trouble.
const STORAGE_CHECK: Duration = Duration::from_secs(5);

/// What the configuration says, as far as the engine needs it.
pub struct Settings {
    /// Identity on the wire.
    pub identity: Identity,
    /// Printed and shown.
    pub merchant_name: String,
    /// The terminal's currency.
    pub currency: Currency,
    /// Language of paper.
    pub language: Language,
    /// Kinds switched on by configuration.
    pub enabled_kinds: Vec<Kind>,
    /// Applications, terminal data, CA keys.
    pub emv: EmvConfig,
    /// Attempts to connect.
    pub connect_attempts: u32,
    /// How long the bank may take.
    pub response_timeout: Duration,
    /// Every endpoint of the bank is spoken to under TLS.
    pub tls: bool,
    /// Keys of the host that are pinned.
    pub tls_pins: usize,
    /// polkit decides who may call what; else groups do.
    pub polkit: bool,
    /// How long a person may take.
    pub customer_timeout: Duration,
    /// How long a line to the bank lives.
    pub line_manner: LineManner,
    /// When this terminal's own certificate ends; `None` where the host wants none.
    pub own_certificate_until: Option<WallTime>,
    /// Which link to use.
    pub links: Rules,
    /// Sign on by itself.
    pub auto_sign_on: bool,
    /// Where a PIN is typed.
    pub pin_entry: PinEntry,
    /// Plies of a slip.
    pub plies: u8,
    /// The least role that may open the cash drawer; `None`: there is none.
    pub drawer_role: Option<Role>,
    /// Pause between them.
    pub tear_pause: Duration,
    /// What is refused gets a slip.
    pub declined_slip: bool,
    /// What the shop adds to its slips.
    pub slips: Arc<Template>,
    /// A printer is configured.
    pub width_dots: u32,
    /// Most transactions of a batch.
    pub batch_max: u32,
    /// How long rows are kept after settlement, days.
    pub retention_days: u32,
    /// How long an operator may be idle.
    pub idle_timeout: Duration,
    /// Factory passwords only serve to change them.
    pub require_change: bool,
    /// The merchant's limits on offline sales.
    pub store_and_forward: limits::Rules,
    /// Makes card tokens.
    pub token_key: TokenKey,
    /// Reasons that stand from the start, such as `config-invalid`.
    pub standing_reasons: Vec<String>,
    /// When this program was built: the floor of the clock.
    pub built_at: WallTime,
}

/// The engine. Its fields are its whole state.
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) system: Box<dyn System>,
    pub(super) journal: JournalThread<Note>,
    pub(super) card: Outlet<CardCommand>,
    pub(super) host: Outlet<HostCommand>,
    pub(super) printer: Outlet<PrinterCommand>,
    pub(super) render_slip: RenderSlip,
    pub(super) notices: mpsc::Sender<Notice>,
    pub(super) agents: mpsc::Sender<AgentCommand>,
    pub(super) snapshot: watch::Sender<Arc<Snapshot>>,
    /// The running transaction: at most one.
    pub(super) active: Option<Active>,
    /// The settlement of the open batch, while one runs.
    pub(super) settling: Option<Settling>,
    /// Tables from the bank.
    pub(super) downloads: Downloads,
    /// Transactions whose outcome stands but whose paper or card is not home.
    pub(super) cares: Vec<Care>,
    /// Every transaction that has an object.
    pub(super) entries: Shown,
    /// What is owed to the bank or waits for the shop, in sending order.
    pub(super) queue: Owed,
    /// Why a person holds the uploads back.
    pub(super) queue_paused: Option<String>,
    pub(super) line: Line,
    /// Links, and which one is used.
    pub(super) links: LinkDesk,
    pub(super) jobs: Jobs,
    pub(super) upkeep: Upkeep,
    /// What the terminal does for its own health.
    pub(super) health: Health,
    pub(super) desk: PrintDesk,
    pub(super) readers: Vec<ReaderStatus>,
    pub(super) slot: Slot,
    pub(super) printer_status: Option<PrinterStatus>,
    pub(super) operators: Vec<OperatorRow>,
    pub(super) session: Option<Session>,
    pub(super) door: Door,
    /// Holds the master key.
    pub(super) key_store: Box<dyn KeyStore>,
    /// A master key is on its way to the disk: nobody signs on until it is there.
    pub(super) master_changing: bool,
    /// The working keys of the sign-on.
    pub(super) keys: Option<Box<dyn SessionKeys>>,
    /// Grows with each new set of keys: a PIN block belongs to one set.
    pub(super) key_generation: u32,
    pub(super) key_record: Option<KeyRecord>,
    pub(super) clock_offset: i64,
    /// The host's time at the last sign-on of this boot; from then on only CLOCK_BOOTTIME counts.
    pub(super) clock_anchor: Option<(BootTime, WallTime)>,
    pub(super) clock_floor: WallTime,
    pub(super) reachable: &'static str,
    pub(super) last_exchange: WallTime,
    pub(super) batch: BatchNumber,
    /// The next STAN as far as the engine has heard; the journal has the last word.
    pub(super) next_stan: Stan,
    pub(super) open_batch: OpenBatch,
    /// Sales approved in the open batch, for the next card's floor limit.
    pub(super) recent: Recent,
    pub(super) counts: BTreeMap<String, u32>,
    pub(super) storage_trouble: Option<JournalError>,
    /// The host's header asked for a sign-on; it comes when the transaction is over.
    pub(super) sign_on_asked_for: bool,
    /// When the journal is tried again.
    pub(super) storage_check_at: Option<BootTime>,
    pub(super) refused: Refused,
    /// The day for which `AllowedFollowUps` are shown; `None` before it was looked at.
    pub(super) shown_on: Option<LocalTime>,
    pub(super) commits_in_flight: u32,
    pub(super) next_id: u64,
    /// The service is to end, at the latest then.
    pub(super) stop_by: Option<BootTime>,
    pub(super) lost: Option<String>,
    /// Notices that wait for the end of the handler, in order.
    pub(super) outbox: Vec<Notice>,
    /// Timeline lines that go with the next commit.
    pub(super) notes: Vec<(TxnId, TimelineRow)>,
    pub(super) published: Published,
}

/// What the world was last told.
#[derive(Default)]
pub(super) struct Published {
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// The lock file is held.
    pub(super) busy_lock: bool,
}

/// The batch that is open.
pub(super) struct OpenBatch {
    /// The host offered another batch than this one, which has records.
    pub(super) mismatch: bool,
    pub(super) opened_at: WallTime,
    pub(super) has_records: bool,
    pub(super) identity: Option<Begun>,
}

impl OpenBatch {
    const fn new(opened_at: WallTime, has_records: bool, identity: Option<Begun>) -> Self {
        Self { mismatch: false, opened_at, has_records, identity }
    }
}

/// The card slot that is in use.
#[derive(Default)]
pub(super) struct Slot {
    /// Cards, APDUs and faults so far.
    pub(super) counts: [u64; 3],
    /// A card is in the reader.
    pub(super) card_in: bool,
    /// The card in the reader has served a transaction already.
    pub(super) card_used: bool,
}

/// What the terminal does for its own health.
pub(super) struct Health {
    /// The self-test, and the reader's reset.
    pub(super) checks: SelfTests,
    /// What of the configuration is being changed.
    pub(super) config: ConfigDesk,
    /// Who holds new transactions back.
    pub(super) inhibitors: Inhibitors,
}

impl Health {
    fn new(
        (surveyor, configurator): (Arc<dyn Surveyor>, Box<dyn Configurator>),
        door: JournalDoor<Note>,
    ) -> Self {
        let checks = SelfTests::new(surveyor, door);
        Self { checks, config: ConfigDesk::new(configurator), inhibitors: Inhibitors::new() }
    }
}

impl Engine {
    /// Reads the journal, puts right what was interrupted, and makes the engine. When it returns, every obligation is
    /// rebuilt and durable.
    ///
    /// # Errors
    /// [`EngineError`] if the journal cannot be read or written, or a thread cannot be started.
    pub fn recover(settings: Settings, mut wiring: Wiring) -> Result<(Self, Receivers), EngineError> {
        let (loaded, after_break) = rebuild(wiring.journal.as_mut(), wiring.system.wall())?;
        let (journal, door, upkeep) = threads(wiring.journal, wiring.courier, &loaded, wiring.system.boot())?;
        let (clock_floor, clock_offset) = clock(wiring.system.wall(), settings.built_at, &loaded);
        let mut engine = Self {
            line: line(&settings, &loaded, wiring.system.as_ref(), (clock_floor, clock_offset)),
            health: Health::new((wiring.surveyor, wiring.configurator), journal.door()),
            journal,
            card: wiring.card,
            host: wiring.host,
            printer: wiring.printer,
            links: LinkDesk::new(settings.links.clone(), wiring.link),
            render_slip: wiring.render_slip,
            notices: wiring.notices,
            agents: wiring.agents,
            snapshot: wiring.snapshot,
            active: None,
            settling: None,
            downloads: Downloads::new(Tables::new(loaded.downloads, &settings)),
            cares: Vec::new(),
            entries: Shown::default(),
            queue: Owed::new(order::in_order(&loaded.open)),
            queue_paused: loaded.queue_paused,
            system: wiring.system,
            jobs: Jobs::default(),
            upkeep,
            desk: PrintDesk::new(after_break),
            readers: Vec::new(),
            slot: Slot::default(),
            printer_status: None,
            operators: loaded.operators,
            session: None,
            door,
            key_store: wiring.key_store,
            master_changing: false,
            keys: None,
            key_generation: 0,
            key_record: None,
            clock_offset,
            clock_anchor: None,
            clock_floor,
            reachable: "unknown",
            last_exchange: WallTime::default(),
            batch: loaded.batch.unwrap_or(BatchNumber::FIRST),
            next_stan: loaded.next_stan.unwrap_or(Stan::FIRST),
            open_batch: OpenBatch::new(loaded.batch_opened_at, loaded.batch_has_records, loaded.identity),
            recent: Recent::default(),
            counts: loaded.counts.into_iter().collect(),
            storage_trouble: None,
            sign_on_asked_for: false,
            storage_check_at: None,
            refused: Refused::new(loaded.not_undone),
            shown_on: None,
            commits_in_flight: 0,
            next_id: 0,
            stop_by: None,
            lost: None,
            outbox: Vec::new(),
            notes: Vec::new(),
            published: Published::default(),
            settings,
        };
        engine.resume((loaded.master_key, loaded.keys), [&loaded.recent, &loaded.open, &loaded.refused]);
        Ok((engine, wiring.receivers))
    }

    /// Goes on where the last run ended: keys, transactions, refused signatures, a settlement.
    fn resume(
        &mut self,
        (master, keys): (Option<MasterKeyMaterial>, Option<KeyRecord>),
        [recent, open, refused]: [&[TxnRow]; 3],
    ) {
        self.restore_keys(master.as_ref(), keys);
        self.restore_entries(recent, open);
        self.restore_refused(refused);
        self.use_tables();
        self.resume_interrupted();
    }

    /// The service is to end: no new work.
    pub(super) const fn stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    /// A number for a command, a question, a line.
    pub(super) const fn fresh_id(&mut self) -> u64 {
        self.next_id = self.next_id.saturating_add(1);
        self.next_id
    }

    /// Hands records to the journal thread.
    pub(super) fn commit(&mut self, note: Note, records: Vec<Record>, durability: Durability) {
        self.commits_in_flight = self.commits_in_flight.saturating_add(1);
        self.put_task(Task::Commit { note, records, durability });
    }

    /// Asks the journal thread for a row.
    pub(super) fn find(&mut self, note: Note, id: TxnId) {
        self.put_task(Task::Find { note, id });
    }

    /// Hands a task to the journal thread. Without that thread the process must end.
    pub(super) fn put_task(&mut self, task: Task<Note>) {
        if let Err(why) = self.journal.put(task) {
            self.lost = Some(why.to_owned());
        }
    }

    /// Notes a line for a transaction's timeline; durable with the next full commit.
    pub(super) fn timeline(&mut self, id: &TxnId, what: &str, text: &str) {
        let stan = self.entries.get(id).and_then(|e| crate::domain::ident::Stan::new(e.view.trace).ok());
        let row = TimelineRow { at: self.wall(), what: what.to_owned(), text: text.to_owned(), stan };
        self.notes.push((id.clone(), row));
    }

    /// The timeline lines noted since the last commit, as records.
    pub(super) fn take_notes(&mut self) -> Vec<Record> {
        self.notes.drain(..).map(|(id, row)| Record::Timeline { id, row }).collect()
    }

    /// While the journal is in trouble a small commit is tried now and then: it reopens what was closed.
    pub(super) fn tick_storage(&mut self) {
        let now = self.system.boot();
        if self.storage_trouble.is_some() && self.storage_check_at.take_if(|at| now >= *at).is_some() {
            let audit = Record::Audit { at: self.wall(), operator: None, text: "storage checked".to_owned() };
            self.commit(Note::Evidence, vec![audit], Durability::Full);
        }
    }

    /// Storage trouble comes and goes; the terminal's state follows.
    pub(super) fn note_storage(&mut self, error: Option<&JournalError>) {
        if let Some(error) = error {
            tracing::error!(%error, "the journal is in trouble");
            self.storage_check_at = Some(self.system.boot().after(STORAGE_CHECK));
        }
        self.storage_trouble = error.cloned();
    }
}

/// The threads of the journal and of the passwords, and the keeper of copies that has its own when it needs one.
fn threads(
    journal: Box<dyn Journal>,
    courier: Arc<dyn Courier>,
    loaded: &Loaded,
    now: BootTime,
) -> Result<(JournalThread<Note>, Door, Upkeep), EngineError> {
    let none = |error: std::io::Error| EngineError::Lost(error.to_string());
    let check = journal.checker();
    let journal = JournalThread::start(journal).map_err(none)?;
    let upkeep = Upkeep::new(courier, check, journal.door(), loaded, now);
    Ok((journal, Door::open().map_err(none)?, upkeep))
}

/// Floor and offset of the clock. One that was set right since the last sign-on needs no offset: it would count twice.
fn clock(now: WallTime, built_at: WallTime, loaded: &Loaded) -> (WallTime, i64) {
    let floor = built_at.max(loaded.newest);
    (floor, if now < floor { loaded.clock_offset } else { 0 })
}

/// The line, which knows how long its entries have waited, where the clock is to be trusted.
fn line(settings: &Settings, loaded: &Loaded, system: &dyn System, (floor, offset): (WallTime, i64)) -> Line {
    let wall = WallTime(system.wall().0.saturating_add_signed(offset));
    let trusted = super::agrees(wall, floor).then_some(wall);
    Line::new(&settings.identity.profile, &order::in_order(&loaded.open), system.boot(), trusted)
}

/// Reads, repairs, reads again: what recovery returns is what the disk holds. Tells besides whether the interruption
/// cut a slip off, a part of which may hang out of the printer.
fn rebuild(journal: &mut dyn Journal, now: WallTime) -> Result<(Loaded, bool), EngineError> {
    let loaded = journal.load().map_err(EngineError::Recovery)?;
    let records = recover(&loaded, now);
    if records.is_empty() {
        return Ok((loaded, false));
    }
    let broken_off =
        |record: &Record| matches!(record, Record::PlyState { state: PrintState::Unconfirmed, .. });
    let after_break = records.iter().any(broken_off);
    tracing::warn!(records = records.len(), "recovering from an interruption");
    if let Err(error) = journal.commit(&records, Durability::Full) {
        tracing::warn!(%error, "recovery's commit failed; looking again");
        journal.reopen().map_err(EngineError::Recovery)?;
        let seen = journal.load().map_err(EngineError::Recovery)?;
        let records = recover(&seen, now);
        if !records.is_empty() {
            journal.commit(&records, Durability::Full).map_err(EngineError::Recovery)?;
        }
    }
    let repaired = journal.load().map_err(EngineError::Recovery)?;
    Ok((repaired, after_break))
}

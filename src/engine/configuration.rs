//! `Config`: what of the configuration may change while the terminal runs, behind a checkpoint. Until somebody confirms
//! it a change is in memory only: what nobody confirms in time, or a power cut, takes back.
use super::Engine;
use super::handle::{Caller, ConfigChange, Leave};
use super::start::reply;
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::OperatorId;
use crate::domain::leave::Deed;
use crate::domain::outcome::{Kind, Role};
use crate::domain::queue::limits;
use crate::domain::setting::Setting;
use crate::domain::slip::Language;
use crate::domain::way::LineManner;
use core::time::Duration;
use tokio::sync::oneshot;

/// Reads, checks and keeps values. The daemon does it with the code that reads `posd.toml`.
pub trait Configurator {
    /// Every key with the value in use, by name.
    fn all(&self) -> Vec<(String, Setting)>;
    /// Checks changes together with everything else, and says what would be in use then. Nothing is written.
    ///
    /// # Errors
    /// `InvalidArgument` names key and allowed values, `NotAuthorized` a key of files only, `NotSupported` one that
    /// wants a new start, `WrongState` files that are not valid.
    fn propose(&mut self, changes: &[(String, Setting)]) -> Result<Box<LiveSettings>, Fault>;
    /// Keeps what was proposed, over restarts; durable when it returns.
    ///
    /// # Errors
    /// `StorageFull`, `StorageFault`: it is still a proposal.
    fn keep(&mut self) -> Result<(), Fault>;
    /// Forgets what was proposed, and says what is in use then.
    fn take_back(&mut self) -> Box<LiveSettings>;
}

/// What of the settings may change while the terminal runs.
#[allow(missing_docs, reason = "the names of the settings they replace")]
pub struct LiveSettings {
    pub merchant_name: String,
    pub language: Language,
    pub enabled_kinds: Vec<Kind>,
    /// As cards may ask for it, 9F4E.
    pub card_merchant_name: Vec<u8>,
    pub connect_attempts: u32,
    pub response_timeout: Duration,
    pub customer_timeout: Duration,
    pub line_manner: LineManner,
    pub auto_sign_on: bool,
    pub plies: u8,
    pub tear_pause: Duration,
    pub drawer_role: Option<Role>,
    pub batch_max: u32,
    pub retention_days: u32,
    pub idle_timeout: Duration,
    pub require_change: bool,
    pub store_and_forward: limits::Rules,
}

/// What the engine holds for it.
pub(super) struct ConfigDesk {
    keeper: Box<dyn Configurator>,
    pending: Option<Pending>,
    /// The last change that was taken back by time.
    undone: Option<String>,
}

struct Pending {
    checkpoint: String,
    until: BootTime,
    by: OperatorId,
}

impl ConfigDesk {
    pub(super) fn new(keeper: Box<dyn Configurator>) -> Self {
        Self { keeper, pending: None, undone: None }
    }

    /// A change waits for its confirmation.
    pub(super) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    pub(super) fn all(&self) -> Vec<(String, Setting)> {
        self.keeper.all()
    }
}

impl Engine {
    /// Reads and changes of the configuration.
    pub(super) fn config_command(&mut self, change: ConfigChange, leave: &Leave, caller: &Caller) {
        match change {
            ConfigChange::Set { values, wait, answer } => {
                let result = self.config_set(&values, wait, leave, caller);
                reply(answer, result);
            }
            ConfigChange::Confirm { checkpoint, answer } => {
                let result = self.config_confirm(&checkpoint, leave, caller);
                reply(answer, result);
            }
            ConfigChange::Rollback { checkpoint, answer } => {
                let result = self.config_rollback(&checkpoint, leave, caller);
                reply(answer, result);
            }
        }
    }

    /// `Config.Get`; nothing named: every key.
    pub(super) fn config_get(
        &self,
        keys: &[String],
        answer: oneshot::Sender<Result<Vec<(String, Setting)>, Fault>>,
    ) {
        let all = self.health.config.all();
        let unknown = keys.iter().find(|key| !all.iter().any(|(name, _)| name == *key));
        let result = match unknown {
            Some(key) => {
                let key: String = key.chars().take(40).collect();
                let text = format!("keys has no key {key:?}; Get without keys names all");
                Err(Fault::new(FaultName::InvalidArgument, text))
            }
            None => Ok(all.into_iter().filter(|(name, _)| keys.is_empty() || keys.contains(name)).collect()),
        };
        reply(answer, result);
    }

    fn config_set(
        &mut self,
        values: &[(String, Setting)],
        wait: Duration,
        leave: &Leave,
        caller: &Caller,
    ) -> Result<String, Fault> {
        let busy = |text: &str| Err(Fault::new(FaultName::Busy, text));
        if self.active.is_some() || self.settling() {
            return busy("a transaction or a settlement runs; wait for it");
        }
        if self.health.config.is_pending() {
            return busy("a change waits for Config.Confirm or Rollback; end that one first");
        }
        let by = self.may(&Deed::of("parameters"), leave, caller)?;
        let live = self.health.config.keeper.propose(values)?;
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        let mut bytes = [0; 8];
        self.system.random(&mut bytes);
        let checkpoint = format!("{:016x}", u64::from_be_bytes(bytes));
        tracing::warn!(keys = names.join(" "), checkpoint, "the configuration is changed, to be confirmed");
        self.note_audit(&by, format!("configuration changed: {}", names.join(" ")));
        self.adopt(*live);
        let until = self.system.boot().after(wait);
        self.health.config.pending = Some(Pending { checkpoint: checkpoint.clone(), until, by });
        Ok(checkpoint)
    }

    /// The change of this name waits.
    fn awaited_change(&self, checkpoint: &str) -> Result<(), Fault> {
        if self.health.config.pending.as_ref().is_some_and(|pending| pending.checkpoint == checkpoint) {
            return Ok(());
        }
        if self.health.config.undone.as_deref() == Some(checkpoint) {
            let text = "nobody confirmed that change in time: it was taken back; call Config.Set again";
            return Err(Fault::new(FaultName::RolledBack, text));
        }
        Err(Fault::new(FaultName::NotFound, "no change of that name waits"))
    }

    fn config_confirm(&mut self, checkpoint: &str, leave: &Leave, caller: &Caller) -> Result<(), Fault> {
        self.awaited_change(checkpoint)?;
        let by = self.may(&Deed::of("parameters"), leave, caller)?;
        self.health.config.keeper.keep()?;
        self.health.config.pending = None;
        self.note_audit(&by, "configuration confirmed");
        Ok(())
    }

    fn config_rollback(&mut self, checkpoint: &str, leave: &Leave, caller: &Caller) -> Result<(), Fault> {
        self.awaited_change(checkpoint)?;
        if self.active.is_some() || self.settling() {
            let text = "a transaction or a settlement runs; wait for it";
            return Err(Fault::new(FaultName::Busy, text));
        }
        let by = self.may(&Deed::of("parameters"), leave, caller)?;
        self.health.config.pending = None;
        self.take_change_back(&by, "configuration rolled back");
        Ok(())
    }

    fn take_change_back(&mut self, by: &OperatorId, how: &str) {
        let live = self.health.config.keeper.take_back();
        self.adopt(*live);
        self.note_audit(by, how);
        tracing::warn!("{how}");
    }

    pub(super) fn next_config_at(&self) -> Option<BootTime> {
        // One that must wait for a transaction is looked at again when that ends.
        let free = self.active.is_none() && !self.settling();
        self.health.config.pending.as_ref().filter(|_| free).map(|pending| pending.until)
    }

    /// Nobody confirmed in time. What runs keeps what it began with: the change goes when it has ended.
    pub(super) fn tick_config(&mut self) {
        let now = self.system.boot();
        if self.active.is_some() || self.settling() {
            return;
        }
        if let Some(pending) = self.health.config.pending.take_if(|pending| now >= pending.until) {
            self.take_change_back(&pending.by, "configuration rolled back: not confirmed in time");
            self.health.config.undone = Some(pending.checkpoint);
        }
    }

    /// Takes settings into use. What the bank has downloaded goes before them.
    fn adopt(&mut self, live: LiveSettings) {
        let settings = &mut self.settings;
        settings.merchant_name.clone_from(&live.merchant_name);
        settings.language = live.language;
        settings.enabled_kinds = live.enabled_kinds;
        settings.emv.terminal.merchant_name = live.card_merchant_name;
        settings.connect_attempts = live.connect_attempts;
        settings.response_timeout = live.response_timeout;
        settings.customer_timeout = live.customer_timeout;
        settings.line_manner = live.line_manner;
        settings.auto_sign_on = live.auto_sign_on;
        settings.plies = live.plies;
        settings.tear_pause = live.tear_pause;
        settings.drawer_role = settings.drawer_role.and(live.drawer_role);
        settings.batch_max = live.batch_max;
        settings.retention_days = live.retention_days;
        settings.idle_timeout = live.idle_timeout;
        settings.require_change = live.require_change;
        settings.store_and_forward = live.store_and_forward;
        self.downloads.tables.rest_on(live.merchant_name, live.response_timeout, live.connect_attempts);
        self.use_tables();
    }
}

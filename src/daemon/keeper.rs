//! Keeps the configuration while the daemon runs: what `Config.Set` proposes is read by the code that reads the files,
//! lies above them, and is written to the state directory when it is confirmed.
use crate::config::{self, Config};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::setting::Setting;
use crate::domain::settings::{ConfigError, ConfigErrors};
use crate::domain::way::LineManner;
use crate::engine::{Configurator, LiveSettings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Keys that take effect at once. What is missing here is wired into adapters at the start.
const LIVE: &[&str] = &[
    "terminal.merchant-name",
    "terminal.language",
    "terminal.enabled-kinds",
    "host.connect-attempts",
    "host.response-timeout-s",
    "host.connection",
    "host.heartbeat-s",
    "host.auto-sign-on",
    "reader.customer-timeout-s",
    "printer.plies",
    "printer.tear-pause-s",
    "printer.drawer-role",
    "store-and-forward.enabled",
    "store-and-forward.max-amount",
    "store-and-forward.max-total",
    "store-and-forward.max-count",
    "store-and-forward.max-age-h",
    "store-and-forward.entry-modes",
    "batch.max-transactions",
    "batch.retention-days",
    "operators.idle-timeout-s",
    "operators.require-change",
];

/// Keys that need not have a value, so that they may be missing among those in use.
const UNSET: &[&str] = &["printer.width-dots", "printer.drawer-pulse-ms", "printer.drawer-sensor"];

/// Identity, the way to the bank, files: who may change these owns the machine.
fn of_files_only(key: &str) -> bool {
    let named = ["terminal.id", "terminal.merchant-id", "host.endpoints", "printer.device", "emv.parameters"];
    named.contains(&key) || key.starts_with("security.") || key.starts_with("host.tls-")
}

type Values = BTreeMap<String, Setting>;

/// The daemon's configuration.
pub(super) struct Keeper {
    path: PathBuf,
    set_file: PathBuf,
    /// As the daemon was started.
    started: Config,
    /// What is in use.
    used: Config,
    /// Values that were confirmed, now or in an earlier life.
    set: Values,
    proposed: Option<(Config, Values)>,
}

impl Keeper {
    /// Keeps what a start has read. Confirmed values that were refused then are forgotten with the next change.
    pub(super) fn new(path: &Path, state_dir: &Path, started: &Config, refused: bool) -> Self {
        let set_file = state_dir.join(config::SET_FILE);
        let set = if refused { Values::new() } else { read_set(&set_file) };
        let (path, used) = (path.to_owned(), started.clone());
        Self { path, set_file, started: started.clone(), used, set, proposed: None }
    }

    fn now(&self) -> &Config {
        self.proposed.as_ref().map_or(&self.used, |(config, _)| config)
    }
}

impl Configurator for Keeper {
    fn all(&self) -> Vec<(String, Setting)> {
        let live: BTreeMap<String, Setting> = config::shown(self.now()).into_iter().collect();
        let of = |(name, value): (String, Setting)| {
            let now = LIVE.contains(&name.as_str()).then(|| live.get(&name).cloned()).flatten();
            (name, now.unwrap_or(value))
        };
        config::shown(&self.started).into_iter().map(of).collect()
    }

    fn propose(&mut self, changes: &[(String, Setting)]) -> Result<Box<LiveSettings>, Fault> {
        let known = config::shown(&self.started);
        for (key, _) in changes {
            may_change(key, &known)?;
        }
        let mut set = self.set.clone();
        set.extend(changes.iter().cloned());
        let name = Path::new("Config.Set");
        let config = config::load_with(&self.path, name, &as_toml(&set)).map_err(|e| refusal(name, &e))?;
        let live = live(&config);
        self.proposed = Some((config, set));
        Ok(Box::new(live))
    }

    fn keep(&mut self) -> Result<(), Fault> {
        let Some((config, set)) = &self.proposed else { return Ok(()) };
        config::write_set(&self.set_file, &as_toml(set)).map_err(|error| not_kept(&error))?;
        (self.used, self.set) = (config.clone(), set.clone());
        self.proposed = None;
        Ok(())
    }

    fn take_back(&mut self) -> Box<LiveSettings> {
        self.proposed = None;
        Box::new(live(&self.used))
    }
}

fn may_change(key: &str, known: &[(String, Setting)]) -> Result<(), Fault> {
    let shown: String = key.chars().take(60).collect();
    if of_files_only(key) {
        let text = format!("{shown} is for files only: the owner of the machine writes it to posd.toml");
        return Err(Fault::new(FaultName::NotAuthorized, text));
    }
    if LIVE.contains(&key) {
        return Ok(());
    }
    if UNSET.contains(&key) || known.iter().any(|(name, _)| name == key) {
        let text = format!("{shown} takes effect with a new start: write it to posd.toml.d and restart posd");
        return Err(Fault::new(FaultName::NotSupported, text));
    }
    Err(Fault::new(FaultName::InvalidArgument, format!("values has no key {shown:?}; Config.Get names all")))
}

/// What is wrong, by key. Errors of the files themselves are another matter.
fn refusal(name: &Path, errors: &ConfigErrors) -> Fault {
    let of = |ours: bool| errors.0.iter().filter(move |error| (error.file == name) == ours);
    let told = |error: &ConfigError| match error.allowed.as_str() {
        "" => format!("{} {}", error.key, error.problem),
        allowed => format!("{} {}; allowed: {allowed}", error.key, error.problem),
    };
    let ours: Vec<String> = of(true).map(told).collect();
    if ours.is_empty() {
        let first = of(false).next().map(ToString::to_string).unwrap_or_default();
        let text = format!("the files are not valid ({first}); put them right first: posd --check-config");
        return Fault::new(FaultName::WrongState, text);
    }
    Fault::new(FaultName::InvalidArgument, ours.join(", "))
}

fn not_kept(error: &std::io::Error) -> Fault {
    let full = error.kind() == std::io::ErrorKind::StorageFull;
    let name = if full { FaultName::StorageFull } else { FaultName::StorageFault };
    Fault::new(name, format!("the change cannot be kept: {error}; it is taken back in time"))
}

fn as_toml(set: &Values) -> String {
    let (mut text, mut last) = (String::new(), "");
    for (name, value) in set {
        let Some((table, key)) = name.split_once('.') else { continue };
        if table != last {
            text.push_str(&format!("[{table}]\n"));
            last = table;
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    text
}

/// What was confirmed before; what cannot be read is as if it were not there, and the start has told of it.
fn read_set(file: &Path) -> Values {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let Ok(root) = text.parse::<toml::Table>() else { return Values::new() };
    let mut all = Values::new();
    for (table, entries) in &root {
        for (key, value) in entries.as_table().into_iter().flatten() {
            if let Some(value) = setting(value) {
                all.insert(format!("{table}.{key}"), value);
            }
        }
    }
    all.retain(|key, _| LIVE.contains(&key.as_str()));
    all
}

fn setting(value: &toml::Value) -> Option<Setting> {
    match value {
        toml::Value::String(text) => Some(Setting::Text(text.clone())),
        toml::Value::Integer(number) => Some(Setting::Number(*number)),
        toml::Value::Boolean(flag) => Some(Setting::Flag(*flag)),
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| item.as_str().map(str::to_owned));
            items.collect::<Option<Vec<String>>>().map(Setting::List)
        }
        _ => None,
    }
}

fn live(config: &Config) -> LiveSettings {
    LiveSettings {
        merchant_name: config.terminal.merchant_name.clone(),
        language: config.terminal.language,
        enabled_kinds: config.terminal.enabled_kinds.clone(),
        card_merchant_name: config.emv.terminal.merchant_name.clone(),
        connect_attempts: config.host.connect_attempts,
        response_timeout: config.host.response_timeout,
        customer_timeout: config.reader.customer_timeout,
        line_manner: LineManner {
            long: config.host.connection == config::Connection::Long,
            heartbeat: config.host.heartbeat,
        },
        auto_sign_on: config.host.auto_sign_on,
        plies: config.printer.plies,
        tear_pause: config.printer.tear_pause,
        drawer_role: config.printer.drawer.map(|drawer| drawer.role),
        batch_max: config.batch.max_transactions,
        retention_days: config.batch.retention_days,
        idle_timeout: config.operators.idle_timeout,
        require_change: config.operators.require_change,
        store_and_forward: super::store_and_forward(&config.store_and_forward),
    }
}

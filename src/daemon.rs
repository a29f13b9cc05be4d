//! The composition root: the only place that names every type. Reads configuration and secrets, recovers, starts the
//! adapters and the bus, runs the engine, and says how it ended.
#![allow(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
mod keeper;

use crate::adapters::card_pcsc::{self, ReaderNames};
use crate::adapters::courier::FileCourier;
use crate::adapters::host_tcp::{self, HostSettings, TlsSettings};
use crate::adapters::journal_sqlite::SqliteJournal;
use crate::adapters::links;
use crate::adapters::printer_escpos::{self, Device, DrawerWire, PrinterSettings};
use crate::adapters::survey::MachineSurveyor;
use crate::adapters::system::{self, BusyLock, Machine, Zone};
use crate::adapters::typeface::{self, Typeface};
use crate::api::{self, Parts, Security};
use crate::config::{self, Config, Connection, LinkControl, PrinterDevice};
use crate::domain::calendar::WallTime;
use crate::domain::keystore::KeyStore;
use crate::domain::link::policy::Rules;
use crate::domain::operators;
use crate::domain::queue::limits;
use crate::domain::quirks::{Quirk, Traits, UsbId};
use crate::domain::receipt::{self, Glyphs};
use crate::domain::record::OperatorRow;
use crate::domain::secret::{MasterKeyMaterial, TokenKey};
use crate::domain::slip::Template;
use crate::domain::unionpay::Identity;
use crate::domain::unionpay::keys::SoftwareStore;
use crate::domain::way::LineManner;
use crate::engine::handle::EngineHandle;
use crate::engine::view::Snapshot;
use crate::engine::{Engine, Receivers, Settings, Wiring};
use crate::ports::{CardCommand, HostCommand, LinkCommand, Outlet, PrinterCommand, RenderSlip, SlipForm};
use core::time::Duration;
use keeper::Keeper;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

/// Longest time for one APDU. Choice: cards take up to 2 s for a cryptogram; 10 s leaves room for slow readers.
const APDU_DEADLINE: Duration = Duration::from_secs(10);
/// 2026-11-01: no clock below the release is true. Packages set SOURCE_DATE_EPOCH and move it forward.
const RELEASED_S: u64 = 1_793_491_200;
/// Events that may wait for the engine, per adapter.
const EVENTS: usize = 64;
/// Notices that may wait for the bus.
const NOTICES: usize = 256;

/// Checks the configuration and tells what is wrong with it.
#[must_use]
pub fn check_config(path: &Path) -> ExitCode {
    match config::check(path).map_err(|errors| errors.to_string()).and_then(check_tls) {
        Ok(text) => {
            tell(&text);
            ExitCode::SUCCESS
        }
        Err(text) => {
            tell(&text);
            ExitCode::from(config::EXIT_CONFIG)
        }
    }
}

/// The files of `[host] tls-*`, too, where an endpoint wants TLS.
fn check_tls((config, text): (Config, String)) -> Result<String, String> {
    if config.host.endpoints.iter().any(|endpoint| endpoint.tls) {
        tls_settings(&config.host).check().map_err(|error| format!("[host] tls-*: {error}"))?;
    }
    Ok(text)
}

/// Runs the daemon until it is told to stop.
#[must_use]
pub fn run(config: &Path, state_dir: Option<PathBuf>) -> ExitCode {
    if let Err(error) = crate::logging::start() {
        tell(&format!("posd: no logging: {error}"));
    }
    let state_dir = state_dir
        .or_else(|| std::env::var_os("STATE_DIRECTORY").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/var/lib/posd"));
    let loaded = match config::load_or_last_good(config, &state_dir) {
        Ok(loaded) => loaded,
        Err(errors) => {
            tell(&errors.to_string());
            return ExitCode::from(config::EXIT_CONFIG);
        }
    };
    for error in loaded.invalid.iter().flat_map(|errors| &errors.0) {
        tracing::error!(%error, "configuration: the last good copy is used");
    }
    let (quirks, wrong) = config::load_quirks(config);
    for error in wrong.iter().flat_map(|errors| &errors.0) {
        tracing::error!(%error, "a quirk file is left out");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let printer = printer_settings(&loaded.config, quirks);
            let invalid = loaded.invalid.is_some();
            runtime.block_on(serve((config, &loaded.config), invalid, &state_dir, printer))
        }
        Err(error) => Err(error.to_string()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            tracing::error!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// Secrets and clocks of this machine.
struct Ground {
    machine: Machine,
    storage_key: Zeroizing<[u8; 32]>,
    master_key: Option<MasterKeyMaterial>,
}

fn credentials_dir() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn ground(config: &Config, state_dir: &Path) -> Result<Ground, String> {
    let say = |error: system::SystemError| error.to_string();
    let credentials = credentials_dir();
    let runtime_dir =
        std::env::var_os("RUNTIME_DIRECTORY").map_or_else(|| PathBuf::from("/run/posd"), PathBuf::from);
    let lock = BusyLock::in_dir(&runtime_dir)
        .inspect_err(|error| tracing::warn!(%error, "no busy.lock; updaters must read SafeToUpdate"))
        .ok();
    let zone = Zone::new(config.terminal.timezone.clone());
    let watchdog = sd_notify::watchdog_enabled();
    let storage_key = system::storage_key(credentials.as_deref(), state_dir).map_err(say)?;
    let master_key = system::master_key(credentials.as_deref()).map_err(say)?;
    Ok(Ground {
        machine: Machine::new(zone, &runtime_dir, lock, watchdog),
        storage_key,
        master_key: master_key.map(|key| MasterKeyMaterial::new(*key)),
    })
}

async fn serve(
    (path, config): (&Path, &Config),
    config_invalid: bool,
    state_dir: &Path,
    printer: PrinterSettings,
) -> Result<(), String> {
    // Heard from the first moment on: a stop during recovery is a stop, too.
    let signals = Signals::listen().map_err(|error| format!("signals cannot be heard: {error}"))?;
    let Ground { machine, storage_key, master_key } = ground(config, state_dir)?;
    let journal = SqliteJournal::open(state_dir, *storage_key, system::wall_now(), factory_operators)
        .map_err(|error| error.to_string())?;
    let settings = settings(config, config_invalid, TokenKey::derive(&storage_key));
    let key_store = key_store(config, master_key.as_ref())?;

    let (commands_in, commands) = mpsc::channel(32);
    let (notices, notices_out) = mpsc::channel(NOTICES);
    let (agents, agent_commands) = mpsc::channel(NOTICES);
    let (agent_events_in, agent_events) = mpsc::channel(16);
    let (snapshot, snapshots) = watch::channel(Arc::new(Snapshot::starting()));
    let (stop, stopped) = oneshot::channel();
    let (recovered, recovery) = oneshot::channel();
    let (ready, name_owned) = oneshot::channel();

    let parts = Parts {
        engine: EngineHandle::new(commands_in, snapshots),
        barriers: notices.downgrade(),
        notices: notices_out,
        agent_commands,
        agent_events: agent_events_in,
        security: security(config),
        address: None,
        recovered: recovery,
        ready,
    };
    let render_slip = slip_renderer(&printer);
    let adapters = adapters(config, printer)?;
    let wiring = Wiring {
        journal: Box::new(journal),
        key_store: Box::new(key_store),
        system: Box::new(machine),
        card: adapters.card,
        host: adapters.host,
        printer: adapters.printer,
        link: adapters.link,
        courier: Arc::new(FileCourier::new(state_dir)),
        surveyor: Arc::new(MachineSurveyor::new(state_dir, path, credentials_dir())),
        configurator: Box::new(Keeper::new(path, state_dir, config, config_invalid)),
        render_slip,
        notices,
        agents,
        snapshot,
        receivers: Receivers {
            card_events: adapters.card_events,
            host_events: adapters.host_events,
            printer_events: adapters.printer_events,
            link_events: adapters.link_events,
            commands,
            agent_events,
            stop: stopped,
        },
    };
    let (engine, receivers) = Engine::recover(settings, wiring).map_err(|error| error.to_string())?;
    // The api waits for this before it takes the name: who sees the name sees a terminal that is whole.
    let told = recovered.send(());
    if told.is_err() {
        return Err("the bus side ended before it began".to_owned());
    }
    together(engine, receivers, parts, signals, stop, name_owned).await
}

/// The key store, with the master key of the credential in it where there is one.
fn key_store(config: &Config, master_key: Option<&MasterKeyMaterial>) -> Result<SoftwareStore, String> {
    let mut key_store = SoftwareStore::new(config.host.profile.keys);
    if let Some(key) = master_key {
        key_store.load_master(key).map_err(|error| error.to_string())?;
    }
    Ok(key_store)
}

/// Runs engine and bus; the end of one is the end of both.
async fn together(
    engine: Engine,
    receivers: Receivers,
    parts: Parts,
    mut signals: Signals,
    stop: oneshot::Sender<()>,
    name_owned: oneshot::Receiver<()>,
) -> Result<(), String> {
    let engine = async { engine.run(receivers).await.map_err(|error| error.to_string()) };
    let bus = async { api::serve(parts).await.map_err(|error| error.to_string()) };
    let ready = async {
        if name_owned.await.is_ok() {
            tracing::info!("ready");
            notify(&[sd_notify::NotifyState::Ready]);
        }
        core::future::pending::<()>().await;
    };
    let stopping = async {
        signals.heard().await;
        notify(&[sd_notify::NotifyState::Stopping]);
        // An engine that has ended by itself needs no telling.
        let _ended = stop.send(()).is_err();
        core::future::pending::<()>().await;
    };
    tokio::select! {
        ended = async { tokio::try_join!(engine, bus) } => ended.map(drop),
        () = ready => Ok(()),
        () = stopping => Ok(()),
    }
}

fn notify(what: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::warn!(%error, "the service manager does not hear us");
    }
}

/// SIGTERM of the service manager and SIGINT of a person.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// The adapters, started, as the engine wants them.
struct Adapters {
    card: Outlet<CardCommand>,
    card_events: mpsc::Receiver<crate::ports::CardEvent>,
    host: Outlet<HostCommand>,
    host_events: mpsc::Receiver<crate::ports::HostEvent>,
    printer: Outlet<PrinterCommand>,
    printer_events: mpsc::Receiver<crate::ports::PrinterEvent>,
    link: Outlet<LinkCommand>,
    link_events: mpsc::Receiver<crate::ports::LinkEvent>,
}

fn adapters(config: &Config, printer: PrinterSettings) -> Result<Adapters, String> {
    let (card_in, card_events) = mpsc::channel(EVENTS);
    let (host_in, host_events) = mpsc::channel(EVENTS);
    let (printer_in, printer_events) = mpsc::channel(EVENTS);
    let names = match config.reader.names.as_slice() {
        [one] if one == "auto" => ReaderNames::Auto,
        names => ReaderNames::Named(names.to_vec()),
    };
    let card = card_pcsc::start(names, APDU_DEADLINE, card_in).map_err(|error| error.to_string())?;
    let settings = HostSettings {
        endpoints: config.host.endpoints.iter().map(ToString::to_string).collect(),
        connect_timeout: config.host.connect_timeout,
        tls: Some(tls_settings(&config.host)),
    };
    settings.check().map_err(|error| error.to_string())?;
    let host = host_tcp::start(settings, host_in);
    let printer = printer_escpos::start(printer, printer_in).map_err(|error| error.to_string())?;
    let (link_in, link_events) = mpsc::channel(EVENTS);
    Ok(Adapters {
        link: link_task(config, link_in),
        link_events,
        card: Box::new(move |command| card.try_send(command)),
        card_events,
        host: Box::new(move |command| host.try_send(command).map_err(mpsc::error::TrySendError::into_inner)),
        host_events,
        printer: Box::new(move |command| printer.try_send(command).map_err(given_back)),
        printer_events,
    })
}

/// The link task, or nobody: then commands come back, and no link is known.
fn link_task(config: &Config, events: mpsc::Sender<crate::ports::LinkEvent>) -> Outlet<LinkCommand> {
    match config.links.manager {
        LinkControl::NetworkManager => {
            let link = links::start(None, events);
            Box::new(move |command| link.try_send(command).map_err(mpsc::error::TrySendError::into_inner))
        }
        LinkControl::Unmanaged => Box::new(Err),
    }
}

fn tls_settings(host: &config::Host) -> TlsSettings {
    TlsSettings { ca: host.tls_ca.clone(), client: host.tls_client.clone(), pins: host.tls_pins.clone() }
}

/// When the terminal's own certificate ends. Files that cannot be used do not close the shop: whoever dials is told.
fn own_certificate(host: &config::Host) -> Option<WallTime> {
    if !host.endpoints.iter().any(|endpoint| endpoint.tls) {
        return None;
    }
    tls_settings(host).check().unwrap_or_else(|error| {
        tracing::error!(%error, "[host] tls-*: no line to the bank before this is put right");
        None
    })
}

fn given_back<T>(error: std::sync::mpsc::TrySendError<T>) -> T {
    match error {
        std::sync::mpsc::TrySendError::Full(value) | std::sync::mpsc::TrySendError::Disconnected(value) => {
            value
        }
    }
}

fn printer_settings(config: &Config, quirks: Vec<Quirk>) -> PrinterSettings {
    let device = match &config.printer.device {
        PrinterDevice::Auto => Device::Auto,
        PrinterDevice::Usb { vendor, product, serial } => {
            Device::Usb(UsbId { vendor: *vendor, product: *product }, serial.clone())
        }
        PrinterDevice::File(path) if path.starts_with("/dev") => Device::Special(path.clone()),
        PrinterDevice::File(path) => Device::File(path.clone()),
        PrinterDevice::Tcp { host, port } => Device::Tcp(host.clone(), *port),
    };
    let chinese = match config.printer.chinese {
        config::Chinese::Auto => printer_escpos::Chinese::Auto,
        config::Chinese::Gb18030 => printer_escpos::Chinese::Gb18030,
        config::Chinese::Raster => printer_escpos::Chinese::Raster,
    };
    // Without a font the shop prints all the same: as text, with the printer's own characters.
    let glyphs = Typeface::open().inspect_err(|error| {
        tracing::warn!(%error, "slips are printed as text, and GetReceipt gives no png");
    });
    PrinterSettings {
        device,
        line: printer_escpos::Line {
            speed: config.printer.serial_speed,
            flow: match config.printer.serial_flow {
                config::SerialFlow::Nothing => printer_escpos::Flow::Nothing,
                config::SerialFlow::RtsCts => printer_escpos::Flow::RtsCts,
                config::SerialFlow::XonXoff => printer_escpos::Flow::XonXoff,
            },
        },
        width_dots: config.printer.width_dots,
        chinese,
        glyphs: glyphs.ok().map(|typeface| Arc::new(typeface) as Arc<dyn Glyphs>),
        drawer: config.printer.drawer.map(|drawer| DrawerWire {
            pin_5: drawer.pin_5,
            pulse_ms: drawer.pulse_ms,
            open_is_high: match drawer.sensor {
                config::DrawerSensor::Unknown => None,
                config::DrawerSensor::High => Some(true),
                config::DrawerSensor::Low => Some(false),
            },
        }),
        quirks,
        timing: Default::default(),
    }
}

/// What makes files of slips.
fn slip_renderer(settings: &PrinterSettings) -> RenderSlip {
    // A file for a person, not for a line.
    let pen = settings.pen(&Traits::default(), matches!(settings.device, Device::File(_)));
    Box::new(move |slip, form| match (form, pen.glyphs.as_deref()) {
        (SlipForm::EscPos, _) => printer_escpos::encode(slip, &pen)
            .map(|pieces| pieces.concat())
            .map_err(|error| error.to_string()),
        (SlipForm::Png, Some(glyphs)) => {
            let pages = receipt::pages(slip, pen.width_dots, glyphs);
            glyphs.rest();
            typeface::png(&receipt::picture(&pages)).map_err(|error| error.to_string())
        }
        (SlipForm::Png, None) => {
            Err("posd has no font to draw with: install fonts-wqy-microhei and restart posd".to_owned())
        }
    })
}

fn store_and_forward(config: &config::StoreAndForward) -> limits::Rules {
    limits::Rules {
        enabled: config.enabled,
        max_amount: config.max_amount,
        max_total: config.max_total,
        max_count: config.max_count,
        max_age: config.max_age,
        entry_modes: config.entry_modes.clone(),
    }
}

/// What the shop adds to its slips, without a picture that cannot be used.
fn template(slip: &config::Slip) -> Template {
    let (template, wrong) = config::template(slip);
    for error in wrong.iter().flat_map(|errors| &errors.0) {
        tracing::error!(%error, "slips have no picture");
    }
    template
}

fn settings(config: &Config, config_invalid: bool, token_key: TokenKey) -> Settings {
    let built_s = option_env!("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok()).unwrap_or(RELEASED_S);
    Settings {
        identity: Identity {
            terminal_id: config.terminal.id.clone(),
            merchant_id: config.terminal.merchant_id.clone(),
            tpdu: config.host.tpdu,
            header: config.host.header,
            profile: Arc::clone(&config.host.profile),
        },
        merchant_name: config.terminal.merchant_name.clone(),
        currency: config.terminal.currency,
        language: config.terminal.language,
        enabled_kinds: config.terminal.enabled_kinds.clone(),
        emv: config.emv.clone(),
        connect_attempts: config.host.connect_attempts,
        response_timeout: config.host.response_timeout,
        tls: config.host.endpoints.iter().all(|endpoint| endpoint.tls),
        tls_pins: config.host.tls_pins.len(),
        polkit: config.security.polkit,
        customer_timeout: config.reader.customer_timeout,
        line_manner: LineManner {
            long: config.host.connection == Connection::Long,
            heartbeat: config.host.heartbeat,
        },
        own_certificate_until: own_certificate(&config.host),
        links: Rules {
            preference: config.links.preference.clone(),
            probe: config.links.probe,
            metered_limit: config.links.metered_limit,
        },
        auto_sign_on: config.host.auto_sign_on,
        pin_entry: config.reader.pin_entry,
        drawer_role: config.printer.drawer.map(|drawer| drawer.role),
        plies: config.printer.plies,
        tear_pause: config.printer.tear_pause,
        declined_slip: config.printer.declined_slip,
        slips: Arc::new(template(&config.slip)),
        width_dots: config.printer.width_dots.unwrap_or(printer_escpos::WIDTH_DOTS),
        batch_max: config.batch.max_transactions,
        retention_days: config.batch.retention_days,
        idle_timeout: config.operators.idle_timeout,
        require_change: config.operators.require_change,
        store_and_forward: store_and_forward(&config.store_and_forward),
        token_key,
        standing_reasons: if config_invalid { vec!["config-invalid".to_owned()] } else { Vec::new() },
        built_at: WallTime(built_s.saturating_mul(1_000_000)),
    }
}

fn security(config: &Config) -> Security {
    Security {
        polkit: config.security.polkit,
        cashier_gid: system::group_id("posd-cashier"),
        technician_gid: system::group_id("posd-technician"),
    }
}

/// The operators of a terminal that leaves the factory.
fn factory_operators() -> Vec<OperatorRow> {
    operators::FACTORY
        .iter()
        .filter_map(|(number, password)| {
            let salt = system::random::<16>().ok()?;
            operators::factory_row(number, password, salt)
        })
        .collect()
}

/// For people who start it by hand.
fn tell(text: &str) {
    use std::io::Write as _;
    // Nobody to tell is no reason to fail.
    let _closed = writeln!(std::io::stderr(), "{text}").is_err();
}

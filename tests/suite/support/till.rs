//! One till: its parts, its daemon, and the client that talks to it.
use super::agent::{Agent, Typed, sealed};
use super::daemon::{Daemon, Place};
use super::words::dict_text;
use crate::dbus::world::{OPEN_POLICY, PrivateBus};
use posd::api::proxy::{self, BUS_NAME, Dict, ROOT_PATH};
use posd::domain::profile::{self, Profile};
use posd::sim::host::ledger::Effect;
use posd::sim::host::log::Direction;
use posd::sim::host::{Acquirer, Config, Remote, TlsFiles};
use posd::sim::printer::{Args, Printer};
use posd::sim::vpcd::Bench;
use rustix::process::Signal;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use zbus::export::ordered_stream::OrderedStreamExt;
use zbus::zvariant::{Fd, ObjectPath, OwnedObjectPath, OwnedValue};
use zbus::{Connection, MatchRule, Message, MessageStream, message};

/// The password that operator 01 takes. Long, so that a test can look for it.
pub(crate) const PASSWORD: &str = "kasse-7731-nord";
/// Longest wait for one event. Longer than the printer's probe and the back-off of the card adapter.
const WITHIN: Duration = Duration::from_secs(30);
/// Longest time of one test.
const TEST_MAX: Duration = Duration::from_secs(110);
/// Tests that could not run on this machine.
static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// How a till begins.
pub(crate) struct Options {
    /// `[reader] customer-timeout-s`.
    pub(crate) customer_timeout_s: u32,
    /// `[host] response-timeout-s`.
    pub(crate) response_timeout_s: u32,
    /// `[host] auto-sign-on`.
    pub(crate) auto_sign_on: bool,
    /// The bank takes connections from the start.
    pub(crate) host: bool,
    /// The printer is there from the start.
    pub(crate) printer: bool,
    /// pcscd runs from the start.
    pub(crate) pcscd: bool,
    /// `POSD_LOG` of the daemon.
    pub(crate) log: &'static str,
    /// What is special about the bank.
    pub(crate) bank: fn(&mut Config),
    /// The bank speaks TLS with these files.
    pub(crate) tls: Option<TlsFiles>,
    /// A profile by which terminal and bank speak: what it changes of the one that ships. Empty changes nothing.
    pub(crate) profile: &'static str,
    /// More lines of `[host]`.
    pub(crate) host_keys: String,
    /// More lines of `[printer]`.
    pub(crate) printer_keys: &'static str,
    /// Longest time of the test.
    pub(crate) test_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            customer_timeout_s: 20,
            response_timeout_s: 10,
            auto_sign_on: true,
            host: true,
            printer: true,
            pcscd: true,
            log: "debug",
            bank: |_| {},
            tls: None,
            profile: "",
            host_keys: String::new(),
            printer_keys: "",
            test_max: TEST_MAX,
        }
    }
}

/// Something happened.
pub(crate) enum Heard {
    /// A signal of the daemon, or a change of its name's owner.
    Signal(Message),
    /// A call to the agent, as a word.
    Agent(String),
    /// A daemon of this process id ended.
    Exited(u32),
}

/// How a transaction ended, as its signal says.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) outcome: String,
    pub(crate) result: Dict,
}

impl Finished {
    pub(crate) fn text(&self, key: &str) -> String {
        dict_text(&self.result, key)
    }
}

/// Everything that stands on a counter.
pub(crate) struct Till {
    pub(crate) bench: Bench,
    pub(crate) acquirer: Acquirer,
    pub(crate) printer: Option<Arc<Printer>>,
    pub(crate) client: Connection,
    /// What the customer types.
    pub(crate) typed: watch::Sender<Typed>,
    /// What the cashier says of a signature.
    pub(crate) signature: watch::Sender<bool>,
    /// What the cashier says of a suspected duplicate.
    pub(crate) duplicate: watch::Sender<bool>,
    /// Everything heard since the start.
    pub(crate) heard: Vec<Heard>,
    /// Environment of the daemon that is started next.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) bus: PrivateBus,
    daemon: Option<Daemon>,
    printer_address: std::net::SocketAddr,
    events: mpsc::UnboundedReceiver<Heard>,
    tell: mpsc::UnboundedSender<Heard>,
    dir: tempfile::TempDir,
}

/// The audit trail as it stands on the disk: operator, or `--`, and text; without times.
pub(crate) fn audit_trail(till: &Till) -> Vec<String> {
    let journal = rusqlite::Connection::open(till.state_dir().join("journal.db")).unwrap();
    let mut rows =
        journal.prepare("SELECT coalesce(operator, '--') || ' ' || text FROM audit ORDER BY id").unwrap();
    let lines = rows.query_map([], |row| row.get(0)).unwrap();
    lines.map(Result::unwrap).collect()
}

/// Runs a test with a till, or says why this machine has none.
pub(crate) fn with_till(options: Options, test: impl AsyncFnOnce(&mut Till)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let test_max = options.test_max;
        let Some(mut till) = Till::without_daemon(options).await else { return };
        let test = async {
            till.start_daemon().await;
            test(&mut till).await;
        };
        tokio::time::timeout(test_max, test).await.expect("the test hangs");
    });
}

impl Till {
    /// Puts a till up, its daemon still off.
    async fn without_daemon(options: Options) -> Option<Self> {
        let missing = ["dbus-daemon"].into_iter().find(|program| !installed(program));
        if let Some(program) = missing {
            return skip(&format!("{program} is not installed"));
        }
        let mut bench = match Bench::start() {
            Ok(bench) => bench,
            Err(why) => return skip(&why.to_string()),
        };
        if !options.pcscd {
            bench.kill_pcscd();
        }
        let mut bank = Config::test().unwrap();
        let text = options.profile;
        let profile = profile::read("variant", Path::new("variant"), text, Some(&Profile::unionpay()));
        bank.bank.profile = Arc::new(profile.unwrap_or_else(|errors| panic!("{errors}")));
        (options.bank)(&mut bank);
        bank.tls.clone_from(&options.tls);
        let acquirer = Acquirer::start(bank).unwrap();
        if !options.host {
            acquirer.refuse_connections().unwrap();
        }
        let printer = Printer::on_loopback().unwrap();
        let printer_address = printer.address();
        let bus = PrivateBus::start(OPEN_POLICY);
        let (tell, events) = mpsc::unbounded_channel();
        let (typed, typed_end) = watch::channel(Typed::Pin("123456"));
        let (signature, signature_end) = watch::channel(true);
        let (duplicate, duplicate_end) = watch::channel(true);
        let agent = Agent {
            typed: typed_end,
            signature: signature_end,
            duplicate: duplicate_end,
            heard: tell.clone(),
            pins: Default::default(),
        };
        let client = connect(&bus.address, agent).await;
        listen(&client, &tell).await;
        let till = Self {
            bench,
            acquirer,
            printer: options.printer.then(|| Arc::new(printer)),
            client,
            typed,
            signature,
            duplicate,
            heard: Vec::new(),
            env: vec![("POSD_LOG".to_owned(), options.log.to_owned())],
            bus,
            daemon: None,
            printer_address,
            events,
            tell,
            dir: tempfile::tempdir().unwrap(),
        };
        till.write_files(&options);
        Some(till)
    }

    fn write_files(&self, options: &Options) {
        let dir = self.dir();
        for name in ["state", "run", "credentials"] {
            std::fs::create_dir(dir.join(name)).unwrap();
        }
        std::fs::write(dir.join("credentials/tmk"), "0123456789ABCDEFFEDCBA9876543210\n").unwrap();
        let emv = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/emv.toml");
        std::fs::create_dir(dir.join("profiles")).unwrap();
        std::fs::write(dir.join("profiles/variant.toml"), options.profile).unwrap();
        let Options { customer_timeout_s, response_timeout_s, auto_sign_on, host_keys, printer_keys, .. } =
            options;
        let profile = if options.profile.is_empty() { "unionpay" } else { "variant" };
        let host = match &options.tls {
            None => self.acquirer.address().to_string(),
            Some(_) => format!("tls://localhost:{}", self.acquirer.address().port()),
        };
        let text = format!(
            "[terminal]\nid = \"10000001\"\nmerchant-id = \"102100058120001\"\nmerchant-name = \"示例商户\"\n\
             [host]\nendpoints = [\"{host}\"]\nconnect-timeout-s = 2\nresponse-timeout-s = {response_timeout_s}\n\
             auto-sign-on = {auto_sign_on}\nprofile = \"{profile}\"\n{host_keys}\n\
             [reader]\ncustomer-timeout-s = {customer_timeout_s}\n\
             [printer]\ndevice = \"tcp:{printer}\"\nchinese = \"gb18030\"\ntear-pause-s = 0\n{printer_keys}\
             [emv]\nparameters = \"{emv}\"\n\
             [links]\nmanager = \"none\"\n\
             [security]\npolkit = false\n",
            printer = self.printer_address,
        );
        std::fs::write(dir.join("posd.toml"), text).unwrap();
    }

    /// The folder of everything the daemon reads and writes.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The state directory.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// Changes the configuration for the next start.
    pub(crate) fn configure(&self, old: &str, new: &str) {
        let path = self.dir().join("posd.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{old} is not there");
        std::fs::write(path, text.replace(old, new)).unwrap();
    }

    /// What the daemon has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("posd.log")).unwrap_or_default()
    }

    // ---- the daemon -------------------------------------------------------------------------------------------

    /// Starts the daemon and waits until it owns its name.
    pub(crate) async fn start_daemon(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        let mark = self.mark();
        let bus = self.bus.address.clone();
        let place = Place { dir: self.dir.path(), bus: &bus, pcscd: self.bench.socket(), env: &self.env };
        let daemon = Daemon::start(&place, self.tell.clone());
        let id = daemon.id();
        self.daemon = Some(daemon);
        let owned = self.hear("the bus name", mark, |heard| match heard {
            Heard::Exited(gone) if *gone == id => Some(false),
            Heard::Signal(message) => new_owner(message).filter(|owner| !owner.is_empty()).map(|_| true),
            _ => None,
        });
        assert!(owned.await, "the daemon ended at once\n{}", self.log());
    }

    /// Waits for the end of the daemon; its exit code, if it was not killed.
    pub(crate) async fn daemon_ended(&mut self) -> Option<i32> {
        let id = self.daemon.as_ref().expect("a daemon").id();
        let ended = self.hear("the end of the daemon", 0, |heard| {
            matches!(heard, Heard::Exited(gone) if *gone == id).then_some(())
        });
        ended.await;
        self.daemon.take().expect("a daemon").collect()
    }

    /// SIGTERM, and how long it took to end. It must end with code 0.
    pub(crate) async fn stop_daemon(&mut self) -> Duration {
        let began = Instant::now();
        self.daemon.as_ref().expect("a daemon").signal(Signal::TERM);
        assert_eq!(self.daemon_ended().await, Some(0), "{}", self.log());
        began.elapsed()
    }

    /// The daemon's own sockets, to be looked at.
    pub(crate) fn daemon_sockets(&self) -> Vec<OwnedFd> {
        self.daemon.as_ref().expect("a daemon").sockets()
    }

    /// The daemon's resident memory.
    pub(crate) fn daemon_memory_kib(&self) -> u64 {
        let id = self.daemon.as_ref().expect("a daemon").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the daemon lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// From now on the daemon can write to no file, or can again.
    pub(crate) fn break_disk(&self, broken: bool) {
        self.daemon.as_ref().expect("a daemon").break_disk(broken);
    }

    /// Kills the daemon without warning.
    pub(crate) async fn kill_daemon(&mut self) {
        self.daemon.as_ref().expect("a daemon").signal(Signal::KILL);
        self.daemon_ended().await;
    }

    // ---- events -----------------------------------------------------------------------------------------------

    /// The present, as a position in what was heard.
    pub(crate) fn mark(&mut self) -> usize {
        while let Ok(heard) = self.events.try_recv() {
            self.heard.push(heard);
        }
        self.heard.len()
    }

    /// Waits for the next event.
    async fn next(&mut self, what: &str) {
        match tokio::time::timeout(WITHIN, self.events.recv()).await {
            Ok(Some(heard)) => self.heard.push(heard),
            _ => panic!("waited for {what}"),
        }
    }

    /// Waits until anything happens; for loops that look again.
    pub(crate) async fn something(&mut self, what: &str) {
        self.next(what).await;
    }

    /// Waits for an event from a position on.
    pub(crate) async fn hear<T>(
        &mut self,
        what: &str,
        from: usize,
        mut pick: impl FnMut(&Heard) -> Option<T>,
    ) -> T {
        let mut at = from;
        loop {
            while let Some(heard) = self.heard.get(at) {
                if let Some(found) = pick(heard) {
                    return found;
                }
                at += 1;
            }
            self.next(what).await;
        }
    }

    /// Waits for a call to the agent.
    pub(crate) async fn agent_called(&mut self, word: &str, from: usize) {
        let called = |heard: &Heard| matches!(heard, Heard::Agent(call) if call == word).then_some(());
        self.hear(&format!("agent call {word}"), from, called).await;
    }

    /// Waits until a property has a value; asks anew with each event.
    pub(crate) async fn until<T>(&mut self, path: &str, name: &str, wanted: impl Fn(&T) -> bool) -> T
    where
        T: TryFrom<OwnedValue> + core::fmt::Debug,
    {
        loop {
            self.mark();
            let now = self.read::<T>(path, name).await.ok();
            match now {
                Some(value) if wanted(&value) => return value,
                other => self.next(&format!("{name} of {path}, which is {other:?}")).await,
            }
        }
    }

    /// Waits until a property has this value.
    pub(crate) async fn until_is(&mut self, path: &str, name: &str, value: &str) {
        self.until::<String>(path, name, |now| now == value).await;
    }

    // ---- the bus ----------------------------------------------------------------------------------------------

    /// Reads a property of `Interface.Name` from the daemon, past all caches.
    pub(crate) async fn read<T: TryFrom<OwnedValue>>(&self, path: &str, name: &str) -> zbus::Result<T> {
        let (interface, property) = name.split_once('.').expect("Interface.Property");
        let arguments = (format!("org.posd.Pos1.{interface}"), property);
        let properties = Some("org.freedesktop.DBus.Properties");
        let reply = self.client.call_method(Some(BUS_NAME), path, properties, "Get", &arguments).await?;
        let value: OwnedValue = reply.body().deserialize()?;
        T::try_from(value).map_err(|_| zbus::Error::Failure(format!("{name} has another type")))
    }

    /// Reads a property that must be there.
    pub(crate) async fn get<T: TryFrom<OwnedValue>>(&self, path: &str, name: &str) -> T {
        self.read(path, name).await.unwrap_or_else(|error| panic!("{name} of {path}: {error}"))
    }

    /// A text property that must be there.
    pub(crate) async fn text(&self, path: &str, name: &str) -> String {
        self.get(path, name).await
    }

    pub(crate) async fn manager(&self) -> proxy::ManagerProxy<'static> {
        proxy::ManagerProxy::new(&self.client).await.unwrap()
    }

    pub(crate) async fn operators(&self) -> proxy::OperatorsProxy<'static> {
        proxy::OperatorsProxy::new(&self.client).await.unwrap()
    }

    pub(crate) async fn ledger(&self) -> proxy::LedgerProxy<'static> {
        proxy::LedgerProxy::new(&self.client).await.unwrap()
    }

    pub(crate) async fn transaction(&self, path: &OwnedObjectPath) -> proxy::TransactionProxy<'static> {
        proxy::TransactionProxy::builder(&self.client).path(path.clone()).unwrap().build().await.unwrap()
    }

    // ---- the shop ---------------------------------------------------------------------------------------------

    /// First thing in the morning: agent, password of one's own, operator session, sign-on at the bank, a reader.
    pub(crate) async fn open(&mut self) {
        self.change_password("01", "0000", PASSWORD).await.unwrap();
        self.open_again().await;
    }

    /// … and begins a sale of 12.50 with this card, while the agent types this.
    pub(crate) async fn sells(&mut self, card: &str, typed: Typed) -> OwnedObjectPath {
        self.open().await;
        self.typed.send_replace(typed);
        self.put_card(card);
        self.sale("s-1", 1250).await
    }

    /// The same after a restart.
    pub(crate) async fn open_again(&mut self) {
        self.register_agent().await;
        self.sign_on("01", PASSWORD).await.unwrap();
        self.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        self.reader_ready().await;
    }

    /// Waits until sales are not blocked.
    pub(crate) async fn reader_ready(&mut self) {
        type Blocked = HashMap<String, String>;
        self.until::<Blocked>(ROOT_PATH, "Manager.BlockedReasons", |blocked| !blocked.contains_key("sale"))
            .await;
    }

    pub(crate) async fn register_agent(&self) {
        let path = ObjectPath::try_from("/agent").unwrap();
        self.manager().await.register_agent(&path, Default::default()).await.unwrap();
    }

    pub(crate) async fn change_password(&self, operator: &str, old: &str, new: &str) -> zbus::Result<()> {
        let (old, new) = (Fd::from(sealed(old.as_bytes())), Fd::from(sealed(new.as_bytes())));
        self.operators().await.change_password(operator, old, new, Default::default()).await
    }

    pub(crate) async fn sign_on(&self, operator: &str, password: &str) -> zbus::Result<()> {
        let secret = Fd::from(sealed(password.as_bytes()));
        self.operators().await.sign_on(operator, secret, Default::default()).await
    }

    pub(crate) async fn host(&self) -> proxy::HostProxy<'static> {
        proxy::HostProxy::new(&self.client).await.unwrap()
    }

    pub(crate) async fn maintenance(&self) -> proxy::MaintenanceProxy<'static> {
        proxy::MaintenanceProxy::new(&self.client).await.unwrap()
    }

    /// Signs on at the bank, although keys may be there.
    pub(crate) async fn host_sign_on(&mut self) {
        let job = self.host().await.sign_on(Default::default()).await.unwrap();
        self.until_is(job.as_str(), "Job.State", "succeeded").await;
    }

    /// Starts a transaction of any kind.
    pub(crate) async fn try_start(
        &self,
        kind: &str,
        request_id: &str,
        amount: i64,
        options: HashMap<&str, zbus::zvariant::Value<'_>>,
    ) -> zbus::Result<OwnedObjectPath> {
        self.manager().await.start_transaction(request_id, kind, amount, "CNY", options).await
    }

    /// Starts one that follows another, and must be taken.
    pub(crate) async fn follow(
        &self,
        kind: &str,
        request_id: &str,
        amount: i64,
        original: &OwnedObjectPath,
    ) -> OwnedObjectPath {
        let options = HashMap::from([("original", zbus::zvariant::Value::from(original.clone()))]);
        self.try_start(kind, request_id, amount, options).await.unwrap()
    }

    /// Waits for the end of a transaction, its paper and its card; the card stays with the customer.
    pub(crate) async fn ended(&mut self, path: &OwnedObjectPath) -> Finished {
        let end = self.finished(path).await;
        self.entered(path, "remove-card").await;
        self.take_card().await;
        self.entered(path, "finished").await;
        end
    }

    /// Starts a sale of so many fen.
    pub(crate) async fn try_sale(&self, request_id: &str, amount: i64) -> zbus::Result<OwnedObjectPath> {
        self.manager().await.start_transaction(request_id, "sale", amount, "CNY", Default::default()).await
    }

    /// Starts a sale that must be taken.
    pub(crate) async fn sale(&self, request_id: &str, amount: i64) -> OwnedObjectPath {
        self.try_sale(request_id, amount).await.unwrap()
    }

    /// Waits for `Finished`.
    pub(crate) async fn finished(&mut self, path: &OwnedObjectPath) -> Finished {
        let path = path.to_string();
        self.hear("Finished", 0, |heard| finished_of(heard, &path)).await
    }

    /// How often `Finished` was heard.
    pub(crate) fn finished_count(&mut self, path: &OwnedObjectPath) -> usize {
        self.mark();
        self.heard.iter().filter(|heard| finished_of(heard, path.as_str()).is_some()).count()
    }

    /// States in the order of their signals.
    pub(crate) fn states(&mut self, path: &OwnedObjectPath) -> Vec<String> {
        self.mark();
        let of = |heard: &Heard| {
            let message = signal_of(heard, path.as_str(), "StateChanged")?;
            let (_, new, _, _): (String, String, String, u64) = message.body().deserialize().ok()?;
            Some(new)
        };
        self.heard.iter().filter_map(of).collect()
    }

    /// Prompts in the order of their signals.
    pub(crate) fn prompts(&mut self, path: &OwnedObjectPath) -> Vec<String> {
        self.mark();
        let of = |heard: &Heard| {
            let message = signal_of(heard, path.as_str(), "Prompt")?;
            let (code, _, _): (String, HashMap<String, String>, Dict) = message.body().deserialize().ok()?;
            Some(code)
        };
        self.heard.iter().filter_map(of).collect()
    }

    /// Waits until a transaction is in a state, or was.
    pub(crate) async fn entered(&mut self, path: &OwnedObjectPath, state: &str) {
        let wanted = path.to_string();
        let entered = |heard: &Heard| {
            let message = signal_of(heard, &wanted, "StateChanged")?;
            let (_, new, _, _): (String, String, String, u64) = message.body().deserialize().ok()?;
            (new == state).then_some(())
        };
        self.hear(&format!("state {state}"), 0, entered).await;
    }

    /// The values that a property was changed to, in order, as its signals say.
    pub(crate) fn changes<T: TryFrom<OwnedValue>>(&mut self, path: &str, name: &str) -> Vec<T> {
        self.mark();
        let (interface, property) = name.split_once('.').expect("Interface.Property");
        let interface = format!("org.posd.Pos1.{interface}");
        let of = |heard: &Heard| {
            let message = signal_of(heard, path, "PropertiesChanged")?;
            let (of, mut changed, _): (String, Dict, Vec<String>) = message.body().deserialize().ok()?;
            (of == interface).then(|| changed.remove(property))?.and_then(|value| T::try_from(value).ok())
        };
        self.heard.iter().filter_map(of).collect()
    }

    /// The row of a request in the ledger.
    pub(crate) async fn row(&self, request_id: &str) -> Option<Dict> {
        let filter = HashMap::from([("request-id", request_id.into())]);
        let (mut rows, _) = self.ledger().await.query(filter, 10, "", Default::default()).await.unwrap();
        assert!(rows.len() <= 1, "one request, one row");
        rows.pop()
    }

    /// What is owed to the bank.
    pub(crate) async fn owed(&self) -> Vec<Dict> {
        let queue = proxy::QueueProxy::new(&self.client).await.unwrap();
        queue.list(HashMap::new(), 0, "", Default::default()).await.unwrap().0
    }

    /// Waits until nothing is owed to the bank.
    pub(crate) async fn nothing_owed(&mut self) {
        self.until::<u32>(ROOT_PATH, "Queue.PendingReversals", |count| *count == 0).await;
    }

    /// The words of a transaction's timeline.
    pub(crate) async fn timeline(&self, path: &OwnedObjectPath) -> Vec<String> {
        let rows = self.transaction(path).await.get_timeline(Default::default()).await.unwrap();
        rows.iter().map(|row| dict_text(row, "what")).collect()
    }

    /// States of the plies of a transaction, in the order of its `PrintJobs`.
    pub(crate) async fn plies(&self, path: &OwnedObjectPath) -> Vec<(String, String)> {
        let jobs: Vec<OwnedObjectPath> = self.get(path.as_str(), "Transaction.PrintJobs").await;
        let mut plies = Vec::new();
        for job in jobs {
            let ply = self.text(job.as_str(), "PrintJob.Ply").await;
            plies.push((ply, self.text(job.as_str(), "PrintJob.State").await));
        }
        plies
    }

    /// Waits until every ply of a transaction is in this state.
    pub(crate) async fn plies_are(&mut self, path: &OwnedObjectPath, state: &str) {
        loop {
            self.mark();
            let plies = self.plies(path).await;
            if !plies.is_empty() && plies.iter().all(|(_, now)| now == state) {
                return;
            }
            self.next(&format!("plies {state}, which are {plies:?}")).await;
        }
    }

    /// The requests of these kinds at the bank, in order: MTI, and DE 39 where it has one.
    pub(crate) fn asked(&self, mtis: &[&str]) -> Vec<String> {
        let spoken = self.acquirer.messages().unwrap();
        let asked = spoken.iter().filter(|m| m.direction == Direction::In && mtis.contains(&m.mti.as_str()));
        asked.map(|m| m.fields.get(&39).map_or(m.mti.clone(), |code| format!("{} {code}", m.mti))).collect()
    }

    /// What the bank did with the money of each request.
    pub(crate) fn booked(&self) -> Vec<Effect> {
        self.acquirer.ledger().unwrap().iter().map(|row| row.state).collect()
    }

    /// Pulls the card and waits until the daemon has seen it.
    pub(crate) async fn take_card(&mut self) {
        let reader = self.reader().await;
        self.bench.remove().unwrap();
        self.until::<bool>(&reader, "Reader.CardPresent", |present| !present).await;
    }

    /// Puts a card in.
    pub(crate) fn put_card(&self, card: &str) {
        self.bench.insert(card).unwrap();
    }

    /// Path of the contact reader.
    pub(crate) async fn reader(&self) -> String {
        for number in 0..8 {
            let path = format!("{ROOT_PATH}/reader/{number}");
            if self.read::<String>(&path, "Reader.Name").await.is_ok_and(|name| name == Bench::READER) {
                return path;
            }
        }
        panic!("no contact reader")
    }

    /// Waits until the bank has dealt with so many messages of a kind.
    pub(crate) async fn bank_saw(&self, mti: &'static str, count: u32) {
        let remote: Remote = (*self.acquirer).clone();
        let wait = move || remote.wait_for(mti, count, WITHIN).unwrap();
        assert!(tokio::task::spawn_blocking(wait).await.unwrap(), "the bank did not see {count} x {mti}");
    }

    /// Waits until so many receipts were cut; their texts.
    pub(crate) async fn paper(&self, count: usize) -> Vec<String> {
        let printer = Arc::clone(self.printer.as_ref().expect("a printer"));
        let waiting = Arc::clone(&printer);
        let there = tokio::task::spawn_blocking(move || waiting.wait_for(count, WITHIN)).await.unwrap();
        let report = printer.report();
        assert!(there, "{count} receipts did not come: {report:?}");
        assert_eq!(report.errors, [""; 0]);
        report.receipts.into_iter().map(|receipt| receipt.text).collect()
    }

    /// The printer comes, at the address that the configuration names.
    pub(crate) fn plug_printer(&mut self) {
        let args = Args { listen: self.printer_address, out: None, control: None, width_dots: 384 };
        self.printer = Some(Arc::new(Printer::start(&args).unwrap()));
    }
}

impl Drop for Till {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("---- posd ----\n{}", lines[lines.len().saturating_sub(120)..].join("\n"));
            for row in self.acquirer.messages().unwrap_or_default() {
                eprintln!(
                    "bank: line {} {:?} {} {:?} {}",
                    row.line, row.direction, row.mti, row.fields, row.note
                );
            }
        }
    }
}

/// Says why this machine cannot run a test, counts it, and lets it pass.
pub(crate) fn skip<T>(why: &str) -> Option<T> {
    let number = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(std::env::var_os("POSD_TEST_NO_SKIP").is_none(), "must not be skipped: {why}");
    println!("skipped: {why} ({number} of this run)");
    None
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

async fn connect(address: &str, agent: Agent) -> Connection {
    let builder = zbus::connection::Builder::address(address).unwrap();
    builder.serve_at("/agent", agent).unwrap().build().await.unwrap()
}

/// Every signal of the daemon becomes an event, in order.
async fn listen(client: &Connection, tell: &mpsc::UnboundedSender<Heard>) {
    let base = || MatchRule::builder().msg_type(message::Type::Signal);
    let rules = [
        base().path_namespace("/org/posd").unwrap().build(),
        base().member("NameOwnerChanged").unwrap().arg(0, BUS_NAME).unwrap().build(),
    ];
    for rule in rules {
        let mut stream = MessageStream::for_match_rule(rule, client, Some(1024)).await.unwrap();
        let tell = tell.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = OrderedStreamExt::next(&mut stream).await {
                if tell.send(Heard::Signal(message)).is_err() {
                    return;
                }
            }
        });
    }
}

/// The new owner of the daemon's name, if this is that signal.
fn new_owner(message: &Message) -> Option<String> {
    let owner = message.header().member().is_some_and(|member| member == "NameOwnerChanged");
    let (name, _, new): (String, String, String) = owner.then(|| message.body().deserialize().ok())??;
    (name == BUS_NAME).then_some(new)
}

fn signal_of<'a>(heard: &'a Heard, path: &str, member: &str) -> Option<&'a Message> {
    let Heard::Signal(message) = heard else { return None };
    let header = message.header();
    let fits =
        header.path().is_some_and(|p| p.as_str() == path) && header.member().is_some_and(|m| m == member);
    fits.then_some(message)
}

fn finished_of(heard: &Heard, path: &str) -> Option<Finished> {
    let (outcome, result) = signal_of(heard, path, "Finished")?.body().deserialize().ok()?;
    Some(Finished { outcome, result })
}

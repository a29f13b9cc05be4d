//! A private bus, the api on it, and a small engine that answers every command in the simplest way.
use posd::api::{Parts, Security, ServeError, proxy, serve};
use posd::domain::calendar::{BootTime, WallTime};
use posd::domain::fault::{Fault, FaultName};
use posd::domain::guard::{Fact, Guard};
use posd::domain::ident::{OperatorId, RequestId, Stan, TxnId};
use posd::domain::link::{LinkFacts, LinkKind, LinkName, LinkState};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{
    BatchState, CardClass, EntryType, Kind, Outcome, Ply, PrintState, QueueState, ResultCode, Role,
    TerminalState, TxnState,
};
use posd::domain::record::{EntryId, FollowUp, PlyRow, TimelineRow, TotalsRow};
use posd::domain::setting::Setting;
use posd::domain::text;
use posd::engine::handle::{
    AgentCommand, AgentEvent, CancelAnswer, Command, ConfigChange, EngineHandle, Leave, Notice, StartRequest,
    Ticket,
};
use posd::engine::view::*;
use posd::ports::{PrinterStatus, ReaderStatus};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use zbus::Connection;
pub(crate) use zbus::export::ordered_stream::OrderedStreamExt;

/// Runs a test on the kind of runtime the daemon has. Half a minute means that something waits for ever.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test).await.expect("the test hangs")
    })
}

/// Lets everybody do everything; the api's own checks are under test.
pub(crate) const OPEN_POLICY: &str = r#"<policy context="default"><allow user="*"/>
<allow send_destination="*" eavesdrop="true"/>
<allow receive_sender="*" eavesdrop="true"/><allow own="*"/></policy>"#;

/// A `dbus-daemon` of our own, ended with the value.
pub(crate) struct PrivateBus {
    child: Child,
    pub(crate) address: String,
    _dir: tempfile::TempDir,
}

impl PrivateBus {
    pub(crate) fn start(policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Other users of this machine must reach the socket: some tests call as another user.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = dir.path().join("bus.conf");
        let socket = dir.path().join("bus");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
            "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth>{policy}</busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = std::process::Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        assert!(address.starts_with("unix:"), "the bus did not start with this policy");
        Self { child, address: address.trim().to_owned(), _dir: dir }
    }

    pub(crate) async fn connect(&self) -> Connection {
        zbus::connection::Builder::address(self.address.as_str()).unwrap().build().await.unwrap()
    }

    /// Ends the bus under its clients.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a world begins.
pub(crate) struct Setup {
    pub(crate) policy: String,
    pub(crate) security: Security,
}

impl Default for Setup {
    fn default() -> Self {
        Self { policy: OPEN_POLICY.to_owned(), security: Security::default() }
    }
}

/// The api on a private bus, and the test's hands on the engine's side of it.
pub(crate) struct World {
    pub(crate) bus: PrivateBus,
    /// A client.
    pub(crate) client: Connection,
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) agent_commands: mpsc::Sender<AgentCommand>,
    pub(crate) agent_events: mpsc::Receiver<AgentEvent>,
    /// What the engine was asked, oldest first, as `Debug` shows it.
    pub(crate) asked: mpsc::UnboundedReceiver<String>,
    pub(crate) served: JoinHandle<Result<(), ServeError>>,
    engine: JoinHandle<()>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let bus = PrivateBus::start(&setup.policy);
        let mut ends = Ends::new(&bus, setup.security);
        ends.recovered.take().unwrap().send(()).unwrap();
        let served = tokio::spawn(serve(ends.parts.take().unwrap()));
        ends.ready.await.expect("the api is ready");
        let client = bus.connect().await;
        Self {
            client,
            bus,
            notices: ends.notices,
            agent_commands: ends.agent_commands,
            agent_events: ends.agent_events,
            asked: ends.asked,
            served,
            engine: ends.engine,
        }
    }

    pub(crate) async fn tell(&self, notice: Notice) {
        self.notices.send(notice).await.unwrap();
    }

    /// Waits until everything told so far is on the bus.
    pub(crate) async fn settle(&self) {
        let (passed, wait) = oneshot::channel();
        self.tell(Notice::Barrier(passed)).await;
        wait.await.unwrap();
    }

    /// Starts a sale as `client` does.
    pub(crate) async fn sale(&self, request_id: &str) -> TxnId {
        let manager = proxy::ManagerProxy::new(&self.client).await.unwrap();
        manager.start_transaction(request_id, "sale", 1250, "CNY", Default::default()).await.unwrap();
        txn_id(request_id)
    }

    /// Ends the engine: the api is to end, too.
    pub(crate) async fn stop(self) -> Result<PrivateBus, ServeError> {
        self.engine.abort();
        drop((self.notices, self.agent_commands));
        self.served.await.unwrap().map(|()| self.bus)
    }

    /// The next command the engine was asked.
    pub(crate) async fn next_asked(&mut self) -> String {
        self.asked.recv().await.unwrap()
    }
}

pub(crate) fn txn_id(request_id: &str) -> TxnId {
    TxnId::of(&RequestId::new(request_id).unwrap())
}

/// All that a world is made of, before it runs.
pub(crate) struct Ends {
    pub(crate) parts: Option<Parts>,
    pub(crate) recovered: Option<oneshot::Sender<()>>,
    pub(crate) ready: oneshot::Receiver<()>,
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) agent_commands: mpsc::Sender<AgentCommand>,
    pub(crate) agent_events: mpsc::Receiver<AgentEvent>,
    pub(crate) asked: mpsc::UnboundedReceiver<String>,
    pub(crate) engine: JoinHandle<()>,
}

impl Ends {
    pub(crate) fn new(bus: &PrivateBus, security: Security) -> Self {
        let (commands, engine_commands) = mpsc::channel(32);
        let (snapshots, snapshot) = watch::channel(Arc::new(snapshot()));
        let (notices, notices_end) = mpsc::channel(64);
        let (agent_commands, agent_commands_end) = mpsc::channel(8);
        let (agent_events_end, agent_events) = mpsc::channel(16);
        let (recovered, recovered_end) = oneshot::channel();
        let (ready_end, ready) = oneshot::channel();
        let (log, asked) = mpsc::unbounded_channel();
        let engine = FakeEngine {
            notices: notices.clone(),
            snapshots,
            log,
            known: BTreeMap::new(),
            held: Vec::new(),
            gone: Vec::new(),
            jobs: 0,
        };
        let parts = Parts {
            engine: EngineHandle::new(commands, snapshot),
            notices: notices_end,
            barriers: notices.downgrade(),
            agent_commands: agent_commands_end,
            agent_events: agent_events_end,
            security,
            address: Some(bus.address.clone()),
            recovered: recovered_end,
            ready: ready_end,
        };
        Self {
            parts: Some(parts),
            recovered: Some(recovered),
            ready,
            notices,
            agent_commands,
            agent_events,
            asked,
            engine: tokio::spawn(engine.run(engine_commands)),
        }
    }
}

/// The one token that the fake engine knows.
pub(crate) const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// Answers commands. A request id that begins with `hang` is never answered, one that begins with `cli` is approved at
/// once.
struct FakeEngine {
    notices: mpsc::Sender<Notice>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    log: mpsc::UnboundedSender<String>,
    known: BTreeMap<TxnId, [u8; 32]>,
    held: Vec<oneshot::Sender<Result<TxnId, Fault>>>,
    /// Ends of inhibitors.
    gone: Vec<mpsc::Receiver<u64>>,
    jobs: u64,
}

impl FakeEngine {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            self.log.send(format!("{command:?}")).ok();
            self.obey(command).await;
        }
    }

    async fn obey(&mut self, command: Command) {
        let refuse = |name| Fault::new(name, format!("the fake engine says {name}"));
        match command {
            Command::Start(request, _, answer) => self.start(*request, answer).await,
            Command::Expose(id, answer) => {
                let known = self.known.contains_key(&id);
                answer.send(if known { Ok(()) } else { Err(refuse(FaultName::NotFound)) }).unwrap();
            }
            Command::Open { batch, trace, answer } => {
                let id = txn_id(&format!("{batch}-{trace}"));
                self.tell(Notice::Txn(Arc::new(txn(&format!("{batch}-{trace}"))))).await;
                answer.send(Ok(id)).unwrap();
            }
            Command::Cancel(_, answer) => answer.send(Ok(CancelAnswer::Accepted)).unwrap(),
            Command::Timeline(_, answer) => answer.send(Ok(vec![timeline_row()])).unwrap(),
            Command::Receipt { format, answer, .. } => {
                let png = format == "png";
                let bytes = if png { Err(refuse(FaultName::NotSupported)) } else { Ok(b"receipt".to_vec()) };
                answer.send(bytes).unwrap();
            }
            Command::Reprint { id, ply, answer } => {
                self.tell(Notice::PrintJob(Arc::new(print_job("ab_1", &id, ply)))).await;
                answer.send(Ok("ab_1".to_owned())).unwrap();
            }
            Command::OpenDrawer { answer, .. } => answer.send(Ok(())).unwrap(),
            Command::PrintText(_, answer) | Command::TestPage(answer) => {
                let slip = PrintJobView {
                    transaction: None,
                    kind: "text",
                    ..print_job("text_1_0", &txn_id("x"), Ply::Merchant)
                };
                self.tell(Notice::PrintJob(Arc::new(slip))).await;
                answer.send(Ok("text_1_0".to_owned())).unwrap();
            }
            Command::ResetReader(answer) => answer.send(Ok(())).unwrap(),
            Command::Inhibit { answer, .. } => {
                let (tell, gone) = mpsc::channel(1);
                self.gone.push(gone);
                answer.send(Ok(Ticket::new(7, tell))).unwrap();
            }
            Command::Security(answer) => {
                let met = Fact::new(Guard::Clock, true, "right");
                let unmet = Fact::new(Guard::Tls, false, "plain TCP");
                answer.send(Ok(vec![met, unmet])).unwrap();
            }
            Command::ConfigGet { answer, .. } => {
                let plies = ("printer.plies".to_owned(), Setting::Number(2));
                answer.send(Ok(vec![plies])).unwrap();
            }
            Command::Feed { answer, .. } => answer.send(Ok(())).unwrap(),
            Command::RetryPrint(_, answer) => answer.send(Ok(())).unwrap(),
            Command::AbandonPrint { answer, .. } => answer.send(Ok(())).unwrap(),
            Command::OperatorSignOn { operator, password, answer, .. } => {
                if password.reveal() != b"0000" {
                    return answer.send(Err(refuse(FaultName::WrongPassword))).unwrap();
                }
                let mut next = (**self.snapshots.borrow()).clone();
                next.operators.current = operator.to_string();
                next.operators.role = Role::Cashier;
                self.show(next).await;
                answer.send(Ok(())).unwrap();
            }
            Command::OperatorSignOff(answer) => answer.send(Ok(())).unwrap(),
            Command::ChangePassword { answer, .. } => answer.send(Ok(())).unwrap(),
            Command::HostSignOn(answer)
            | Command::HostSignOff(answer)
            | Command::HostTest { answer, .. }
            | Command::LearnPrinter(answer)
            | Command::Scan(answer)
            | Command::Join { answer, .. }
            | Command::SelfTest { answer, .. }
            | Command::Flush(answer) => {
                self.jobs += 1;
                self.tell(Notice::Job(Arc::new(job(self.jobs)))).await;
                answer.send(Ok(self.jobs)).unwrap();
            }
            Command::CancelJob(_, answer) => answer.send(Ok(CancelAnswer::AlreadyCancelled)).unwrap(),
            // Two pages: the first says that there is more, the second that it was the last.
            Command::Query { limit, cursor, answer, .. } => {
                let (name, next) = if cursor.is_empty() { ("q", "more") } else { ("r", "") };
                let rows = (0..limit.min(2)).map(|n| finished(&format!("{name}-{n}"))).collect();
                answer.send(Ok((rows, next.to_owned()))).unwrap();
            }
            Command::Totals { answer, .. } => answer.send(Ok(vec![totals_row()])).unwrap(),
            Command::Explain(_, answer) => answer.send(Ok(Box::new(explained()))).unwrap(),
            other => self.with_leave(other).await,
        }
    }

    /// What needs a role: allowed with the token [`TOKEN`] only.
    async fn with_leave(&mut self, command: Command) {
        let allowed = |leave: &Leave, action: &'static str| {
            let refused = Fault::new(FaultName::NotAuthorized, format!("{action} needs a supervisor"));
            let refused = refused.with("action", action);
            if leave.authorization.as_deref() == Some(TOKEN) { Ok(()) } else { Err(refused) }
        };
        match command {
            Command::Authorize(request, _, answer) => {
                let wrong = Fault::new(FaultName::WrongPassword, "wrong password");
                let good = request.password.reveal() == b"123456";
                answer.send(if good { Ok(TOKEN.to_owned()) } else { Err(wrong) }).unwrap();
            }
            Command::LoadMasterKey { leave, answer, .. } => {
                answer.send(allowed(&leave, "keys").map(|()| "08D7B4FB".to_owned())).unwrap();
            }
            Command::Download { leave, answer, .. } => {
                answer.send(allowed(&leave, "parameters").map(|()| 3)).unwrap();
            }
            Command::TakeOver { token, answer, .. } => {
                let leave = Leave { authorization: Some(token) };
                answer.send(allowed(&leave, "agent")).unwrap();
            }
            Command::AddOperator { by: (leave, _), answer, .. }
            | Command::RemoveOperator { leave, answer, .. }
            | Command::UnlockOperator { leave, answer, .. } => {
                answer.send(allowed(&leave, "operators")).unwrap();
            }
            Command::PauseQueue { why, leave, answer, .. } => {
                let mut next = (**self.snapshots.borrow()).clone();
                next.queue.paused = Some(why);
                self.show(next).await;
                answer.send(allowed(&leave, "queue-manage")).unwrap();
            }
            Command::Park { leave, answer, .. }
            | Command::Unpark { leave, answer, .. }
            | Command::Resolve { leave, answer, .. } => {
                answer.send(allowed(&leave, "queue-manage")).unwrap();
            }
            Command::ResumeQueue(answer) => answer.send(Ok(())).unwrap(),
            Command::ConfirmRestore { leave, answer, .. } => answer.send(allowed(&leave, "backup")).unwrap(),
            Command::ReprintSettlement { answer, .. } => {
                let slip = PrintJobView {
                    transaction: None,
                    kind: "settlement",
                    ..print_job("1_s", &txn_id("x"), Ply::Merchant)
                };
                self.tell(Notice::PrintJob(Arc::new(slip))).await;
                answer.send(Ok("1_s".to_owned())).unwrap();
            }
            Command::Settle { force_close, leave, answer, .. } => {
                let refused = if force_close { allowed(&leave, "settle") } else { Ok(()) };
                self.job("settlement", refused, answer).await;
            }
            Command::Restore { leave, answer, .. } => {
                self.job("restore", allowed(&leave, "backup"), answer).await
            }
            Command::Backup(target, answer) => {
                rustix::io::write(&target, b"copy").unwrap();
                self.job("backup", Ok(()), answer).await;
            }
            Command::Report(target, answer) => {
                rustix::io::write(&target, b"tar").unwrap();
                self.job("report", Ok(()), answer).await;
            }
            Command::Config { change: ConfigChange::Set { answer, .. }, leave, .. } => {
                answer.send(allowed(&leave, "parameters").map(|()| "c1".to_owned())).unwrap();
            }
            Command::Config { change, leave, .. } => {
                let (ConfigChange::Confirm { answer, .. } | ConfigChange::Rollback { answer, .. }) = change
                else {
                    unreachable!()
                };
                answer.send(allowed(&leave, "parameters")).unwrap();
            }
            Command::Verify(_, answer) => self.job("verify", Ok(()), answer).await,
            other => panic!("no test asks for {other:?}"),
        }
    }

    /// A job that has ended when its path is told.
    async fn job(
        &mut self,
        kind: &'static str,
        allowed: Result<(), Fault>,
        answer: oneshot::Sender<Result<u64, Fault>>,
    ) {
        if let Err(fault) = allowed {
            return answer.send(Err(fault)).unwrap();
        }
        self.jobs += 1;
        let end = JobView {
            kind,
            state: "succeeded",
            phase: "done",
            progress: 100,
            result: job_result(kind),
            ..job(self.jobs)
        };
        self.tell(Notice::Job(Arc::new(end))).await;
        answer.send(Ok(self.jobs)).unwrap();
    }

    async fn start(&mut self, request: StartRequest, answer: oneshot::Sender<Result<TxnId, Fault>>) {
        let id = TxnId::of(&request.request_id);
        if request.request_id.as_str().starts_with("hang") {
            return self.held.push(answer);
        }
        if !request.kind.is_built() {
            let fault = Fault::new(FaultName::NotSupported, "this kind is not built");
            return answer.send(Err(fault)).unwrap();
        }
        match self.known.get(&id) {
            Some(hash) if *hash != request.arguments_sha256 => {
                let fault = Fault::new(FaultName::IdempotencyConflict, "other arguments");
                return answer.send(Err(fault)).unwrap();
            }
            Some(_) => {}
            None => {
                self.known.insert(id.clone(), request.arguments_sha256);
                let name = request.request_id.as_str();
                let mut view = if name.starts_with("cli") { finished(name) } else { txn(name) };
                view.kind = request.kind;
                view.amount = request.amount;
                if request.kind == Kind::Balance {
                    view.balance = Some((123_456, "CNY"));
                }
                self.tell(Notice::Txn(Arc::new(view))).await;
            }
        }
        // The caller of a hung test may be gone.
        answer.send(Ok(id)).ok();
    }

    async fn show(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        self.snapshots.send_replace(Arc::clone(&snapshot));
        self.tell(Notice::Snapshot(snapshot)).await;
    }

    async fn tell(&self, notice: Notice) {
        self.notices.send(notice).await.unwrap();
    }
}

pub(crate) fn snapshot() -> Snapshot {
    let reversal = |n: u32, state| QueueRow {
        id: EntryId::new(txn_id(&format!("r-{n}")), EntryType::Reversal),
        state,
        amount: Amount::from_minor(100).unwrap(),
        batch: 1,
        trace: n,
        attempts: n,
        created_at: WallTime(u64::from(n) * 1000),
        last_error: String::new(),
    };
    Snapshot {
        terminal: TerminalView {
            state: TerminalState::Ready,
            reasons: vec![],
            active: None,
            enabled_kinds: vec![Kind::Sale],
            blocked: vec![("refund".to_owned(), "not-built".to_owned())],
            update_blockers: vec![],
            clock_trusted: true,
            terminal_id: "10000001".to_owned(),
            merchant_id: "102100058120001".to_owned(),
            merchant_name: "示例商户".to_owned(),
        },
        operators: OperatorsView {
            current: String::new(),
            role: Role::None,
            locked_out: vec![],
            all: vec!["00".to_owned(), "01".to_owned()],
        },
        host: HostView {
            signed_on: true,
            reachable: "yes",
            key_check_values: vec![("pik".to_owned(), "82E13665".to_owned())],
            keys_loaded_at: WallTime(5),
            parameter_version: String::new(),
            last_exchange: WallTime(6),
            certificate_until: WallTime(7),
            own_certificate_until: WallTime(0),
        },
        queue: QueueView {
            rows: vec![
                reversal(1, QueueState::Due),
                reversal(2, QueueState::Failed),
                reversal(3, QueueState::Due),
            ]
            .into(),
            next_attempt: WallTime(0),
            last_error: String::new(),
            stored_amount: 2500,
            remaining_amount: 497_500,
            remaining_count: 49,
            paused: None,
        },
        ledger: LedgerView {
            batch: 1,
            batch_state: BatchState::Open,
            batch_opened_at: WallTime(7),
            counts: vec![("sale".to_owned(), 2)],
        },
        readers: vec![reader()],
        printer: Some(printer()),
        network: NetworkView {
            active: Some(LinkName::first(LinkKind::Wifi)),
            preference: LinkKind::ALL.to_vec(),
        },
        links: vec![link()],
    }
}

pub(crate) fn link() -> LinkView {
    let facts = LinkFacts {
        interface: "wlan0".to_owned(),
        state: LinkState::Connected,
        ..LinkFacts::new(LinkName::first(LinkKind::Wifi))
    };
    LinkView { facts, reason: None, verified: true, last_verified: WallTime(9) }
}

pub(crate) fn reader() -> ReaderView {
    ReaderView {
        status: ReaderStatus {
            name: "Virtual PCD 00 00".to_owned(),
            contactless: false,
            card_present: false,
            pin_pad: false,
            ok: true,
            reasons: vec![],
            event_count: 3,
        },
        state: "ready",
        statistics: vec![("cards".to_owned(), 1)],
    }
}

fn printer() -> PrinterView {
    PrinterView {
        status: PrinterStatus {
            device: "/dev/usb/lp0".to_owned(),
            model: "P58".to_owned(),
            online: true,
            paper: "ok".to_owned(),
            cover: "closed".to_owned(),
            cutter: "ok".to_owned(),
            overheated: false,
            columns: 32,
            dots: 384,
            evidence: "asb".to_owned(),
            drawer_open: Some(false),
            quirks: vec!["cutter=false (10-p58.toml)".to_owned()],
        },
        queue_depth: 0,
        statistics: vec![("jobs".to_owned(), 9)],
        drawer: Some(DrawerView { open: Some(false), opens: 3 }),
    }
}

/// A sale that has just been taken.
pub(crate) fn txn(request_id: &str) -> TxnView {
    TxnView {
        id: txn_id(request_id),
        request_id: request_id.to_owned(),
        kind: Kind::Sale,
        currency: Currency::CNY.alpha(),
        amount: Amount::from_minor(1250).unwrap(),
        approved_amount: Amount::ZERO,
        created_at: WallTime(1_000_000),
        finished_at: WallTime(0),
        operator: "01".to_owned(),
        trace: 0,
        batch: 1,
        rrn: String::new(),
        auth_code: String::new(),
        masked_pan: String::new(),
        card_token: String::new(),
        card_brand: String::new(),
        aid: String::new(),
        application_label: String::new(),
        entry_mode: "",
        armed_entry_modes: vec![],
        cvm_method: "",
        signature_required: false,
        state: TxnState::Created,
        state_reason: String::new(),
        cancellable: true,
        deadline: BootTime(0),
        deadline_kind: "",
        attempt: (0, 0),
        attempt_link: None,
        outcome: Outcome::None,
        response_code: String::new(),
        result_code: None,
        result_text: None,
        original: None,
        follow_ups: Vec::new(),
        balance: None,
        allowed_follow_ups: vec![],
        refunded_total: Amount::ZERO,
        print_jobs: vec![],
        printed: false,
    }
}

/// The same, approved.
pub(crate) fn finished(request_id: &str) -> TxnView {
    TxnView {
        approved_amount: Amount::from_minor(1250).unwrap(),
        finished_at: WallTime(2_000_000),
        trace: 17,
        rrn: "123456789012".to_owned(),
        auth_code: "654321".to_owned(),
        masked_pan: "622588******5678".to_owned(),
        card_brand: "unionpay".to_owned(),
        entry_mode: "chip",
        cvm_method: "online-pin",
        state: TxnState::PrintingMerchant,
        cancellable: false,
        outcome: Outcome::Approved,
        response_code: "00".to_owned(),
        result_code: Some(ResultCode::Approved),
        result_text: Some(text::ended(
            Kind::Sale,
            Outcome::Approved,
            ResultCode::Approved,
            Some("00"),
            &posd::domain::profile::Profile::unionpay().catalogue,
        )),
        ..txn(request_id)
    }
}

fn print_job(id: &str, txn: &TxnId, ply: Ply) -> PrintJobView {
    PrintJobView {
        id: id.to_owned(),
        kind: "receipt",
        ply,
        state: PrintState::Queued,
        reason: String::new(),
        transaction: Some(txn.clone()),
        copy: true,
    }
}

pub(crate) fn job(number: u64) -> JobView {
    JobView {
        number,
        kind: "sign-on",
        phase: "connecting",
        state: "running",
        progress: 0,
        cancellable: true,
        started_at: WallTime(9),
        result: vec![],
        error: None,
    }
}

fn timeline_row() -> TimelineRow {
    TimelineRow {
        at: WallTime(3),
        what: "host-sent".to_owned(),
        text: "Request sent".to_owned(),
        stan: Some(Stan::new(17).unwrap()),
    }
}

fn totals_row() -> TotalsRow {
    TotalsRow {
        kind: Kind::Sale,
        card_class: CardClass::Domestic,
        operator: OperatorId::new("01").unwrap(),
        count: 3,
        amount: 3750,
        voided_count: 1,
        voided_amount: 1250,
    }
}

fn explained() -> ExplainView {
    let entry = ObligationView {
        id: EntryId::new(txn_id("a-1"), EntryType::Reversal).to_string(),
        entry_type: EntryType::Reversal,
        state: QueueState::Done,
        armed: false,
        attempts: 2,
        created_at: WallTime(4),
        reason: "98",
        response_code: "00".to_owned(),
        last_error: String::new(),
        resolution: "",
    };
    let ply = PlyRow { ply: Ply::Merchant, copy: 0, state: PrintState::Confirmed, reason: String::new() };
    let follow = FollowUp {
        id: txn_id("v-1"),
        kind: Kind::Void,
        outcome: Outcome::Approved,
        amount: Amount::from_minor(1250).unwrap(),
        unresolved: false,
        stands: true,
    };
    ExplainView {
        request: vec![("mti", "0200".to_owned())],
        answer: vec![("response-code", "00".to_owned())],
        chip: vec![("TVR".to_owned(), "0000008000".to_owned())],
        obligations: vec![entry],
        plies: vec![ply],
        follow_ups: vec![follow],
    }
}

fn job_result(kind: &str) -> Vec<(String, JobValue)> {
    let row = |pairs: Vec<(&str, JobValue)>| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    let text = |text: &str| JobValue::Text(text.to_owned());
    if kind != "settlement" {
        return row(vec![("bytes", JobValue::Number(4)), ("sha256", text("00ff"))]);
    }
    let total = row(vec![
        ("kind", text("sale")),
        ("card-class", text("domestic")),
        ("operator", text("01")),
        ("count", JobValue::Count(3)),
        ("amount", JobValue::Money(3750)),
    ]);
    let suspect = row(vec![
        ("path", JobValue::Transaction(txn_id("a-1"))),
        ("reason", text("reversal-not-found")),
        ("amount", JobValue::Money(1250)),
    ]);
    row(vec![
        ("batch", JobValue::Count(1)),
        ("verdict-domestic", text("disagreed")),
        ("verdict-foreign", text("agreed")),
        ("totals", JobValue::Rows(vec![total])),
        ("suspects", JobValue::Rows(vec![suspect])),
    ])
}

//! The real posctl binary: offline decoding, usage errors, no daemon, and exit codes by outcome against a small fake
//! daemon on a private bus. The fake knows the contract, not the product.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test: a surprise shall end it, and it makes its own files"
)]
mod decode;
mod verbs;

use proptest::prelude::*;
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};

const POSCTL: &str = env!("CARGO_BIN_EXE_posctl");

fn posctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(POSCTL);
    command.args(arguments).env("LANG", "C").env_remove("LC_ALL").env_remove("LC_MESSAGES");
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    posctl(arguments).output().unwrap()
}

/// The one document on stdout.
fn document(output: &Output) -> Json {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "one document, not {text:?}");
    let document: Json = serde_json::from_str(text).unwrap();
    assert_eq!(document["schema"], "posctl.v1");
    document
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Usage errors exit 2 and are a document with --json, wherever it stands; commands of later versions are such errors.
#[test]
fn a_wrong_command_line_is_told_in_text_and_json() {
    for arguments in [
        &["settle", "now"][..],
        &["settle", "--force-close"],
        &["void"],
        &["refund", "1.00"],
        &["refund", "1.00", "--rrn", "123456789012"],
        &["pre-auth", "complete", "1.00"],
        &["pre-auth", "start"],
        &["sale", "1.00", "--auth-code", "123456"],
        &["operator", "remove", "05"],
        &["queue", "resolve", "7", "stolen"],
        &["ledger", "totals", "--from", "22.11.2026"],
        &["sale"],
        &["sale", "12.5"],
        &["sale", "0.00"],
        &["sale", "1.00", "--request-id", "a b"],
        &["sale", "1.00", "--plies", "3"],
        &["operator", "sign-on", "1"],
        &["--lang", "fr"],
        &["decode", "tlv", "9G"],
        &["txn", "list", "--limit", "0"],
    ] {
        let text = run(arguments);
        assert_eq!(text.status.code(), Some(2), "{arguments:?}: {}", stderr(&text));
        assert!(text.stdout.is_empty() && !text.stderr.is_empty(), "{arguments:?}");
        let json = run(&[arguments, &["--json"]].concat());
        assert_eq!(json.status.code(), Some(2), "{arguments:?}");
        let document = document(&json);
        assert_eq!(document["ok"], false, "{arguments:?}");
        assert_eq!(document["error"]["name"], "Usage", "{arguments:?}");
        assert!(document["error"]["details"].is_object());
    }
}

/// Nobody at the other end: 4, said in the person's language; nothing starts and nothing is asked.
#[test]
fn a_missing_daemon_is_exit_4() {
    let json = run(&["--json"]);
    assert_eq!(json.status.code(), Some(4));
    assert_eq!(document(&json)["error"]["name"], "DaemonUnreachable");
    let text = run(&["sale", "1.00"]);
    assert_eq!(text.status.code(), Some(4));
    assert!(text.stdout.is_empty());
    let zh = run(&["status", "--lang", "zh"]);
    assert!(stderr(&zh).contains("无法连接"), "{}", stderr(&zh));
    let private = run(&["--address", "unix:path=/nonexistent/other", "--json", "txn", "list"]);
    assert_eq!(private.status.code(), Some(4));
}

#[test]
fn help_and_version_are_answers() {
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(document(&run(&["--version", "--json"]))["data"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document(&run(&["sale", "--help", "--json"]))["data"]["help"].is_string());
}

/// Card data is masked unless asked for; the keys are those of the manual page.
#[test]
fn tlv_is_decoded_offline_and_masked() {
    let hex = "70 13 5A 08 62 28 48 00 00 00 12 34 57 04 62 28 D2 91 9C 01 00";
    let shown = document(&run(&["decode", "tlv", "--json", hex]));
    let template = &shown["data"][0];
    assert_eq!((&template["tag"], &template["length"]), (&"70".into(), &19.into()));
    let pan = &template["children"][0];
    assert_eq!(pan["tag"], "5A");
    assert_eq!(pan["name"], "Primary account number");
    assert_eq!(pan["value"], "622848******1234");
    let text = run(&["decode", "tlv", hex]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("622848******1234") && !text.contains("6228480000001234"), "{text}");
    let clear = document(&run(&["decode", "tlv", "--unmask", "--json", hex]));
    assert_eq!(clear["data"][0]["children"][0]["value"], "6228480000001234");
}

/// A sign-on request of a public code sample (java8583 QuickStart by Ajsgn), from stdin, with its length and TPDU.
#[test]
fn a_message_is_decoded_from_stdin() {
    let hex = "0041600000000060220000000008000020000000C00012\n0001723530303830303031333039333130303833393835303038\
               001100000172003000";
    let hex = format!("{hex}03435550");
    // The bitmap above names 11, 41, 42, 60, 63; the length is made to fit.
    let body: String = hex.chars().filter(|c| !c.is_whitespace()).skip(4).collect();
    let framed = format!("{:04X}{body}", body.len() / 2);
    let mut child = posctl(&["decode", "8583", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(framed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let data = &document(&output)["data"];
    assert_eq!(data["mti"], "0800");
    assert_eq!((&data["tpdu"], &data["header"]), (&"6000000000".into(), &"602200000000".into()));
    assert_eq!(data["fields"]["11"], "000172");
    assert_eq!(data["fields"]["41"], "50080001");
    let bare = run(&["decode", "8583", "--json", &body[22..]]);
    assert_eq!(document(&bare)["data"]["fields"]["41"], "50080001");
    assert_eq!(document(&bare)["data"]["tpdu"], Json::Null);
    let broken = run(&["decode", "8583", "--json", "0800"]);
    assert_eq!(broken.status.code(), Some(1));
    assert_eq!(document(&broken)["error"]["name"], "Malformed");
}

#[test]
fn track_2_is_decoded_and_masked() {
    let track = "6225880012345678D30122010000012345678";
    let data = document(&run(&["decode", "track2", "--json", track]))["data"].clone();
    assert_eq!(data["pan"], "622588******5678");
    assert_eq!((&data["expiry"], &data["service-code"]), (&"3012".into(), &"201".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the bytes are, decoding ends in an answer or a named failure, never in a crash, and never shows what
    /// looks like a whole card number of the input's field 2.
    #[test]
    fn arbitrary_bytes_never_crash_decode(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in ["tlv", "8583", "track2"] {
            if hex.is_empty() { continue; }
            let output = run(&["decode", form, "--json", &hex]);
            prop_assert!(matches!(output.status.code(), Some(0 | 1)), "{} {}", form, stderr(&output));
            document(&output);
        }
    }
}

/// The same through the door that a mistyped command line takes: texts that are not hex.
#[test]
fn odd_texts_are_refused_by_name() {
    for text in ["zz", "0", "９Ｆ", "--", "", " "] {
        let output = run(&["decode", "tlv", "--json", "--", text]);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{text:?}: {}", stderr(&output));
        document(&output);
    }
}

/// A private bus in a directory of its own.
struct Bus {
    daemon: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Bus {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}/bus</listen><policy context=\"default\">\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/><allow own=\"*\"/></policy></busconfig>",
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { daemon, address: address.trim().to_owned(), _dir: dir }
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// What the fake daemon does with a sale.
#[derive(Clone, Copy, Debug)]
enum Script {
    /// Refuses `StartTransaction` by this name.
    Refuse(&'static str),
    /// Ends with outcome and result code.
    End(&'static str, &'static str),
    /// Asks the agent for the PIN; approved if it is 4821, else cancelled.
    AskPin,
    /// Stops after the answer to `StartTransaction`; comes back knowing this outcome.
    Restart(&'static str, &'static str),
    /// Stops, and comes back without any memory of the sale.
    Forget,
    /// Waits for ever.
    Hang,
    /// Has one sale from before: `till-1`, batch 3, trace 7.
    Sold,
}

mod fake {
    //! The daemon side: Manager, Host, Transaction and Job as far as posctl needs them.
    use super::Script;
    use posd::domain::outcome::{Kind, Outcome, ResultCode};
    use std::collections::HashMap;
    use std::io::{Read as _, Write as _};
    use zbus::object_server::SignalEmitter;
    use zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};

    type Dict = HashMap<String, OwnedValue>;

    #[derive(Debug, zbus::DBusError)]
    #[zbus(prefix = "org.posd.Pos1.Error")]
    pub(super) enum Refusal {
        #[zbus(error)]
        ZBus(zbus::Error),
        Busy(String),
        NotAuthorized(String),
        NotSignedOn(String),
        OperatorRequired(String),
        NotFound(String),
        DeviceAbsent(String),
    }

    fn refusal(name: &str) -> Refusal {
        let text = "because".to_owned();
        match name {
            "Busy" => Refusal::Busy(text),
            "NotAuthorized" => Refusal::NotAuthorized(text),
            "NotSignedOn" => Refusal::NotSignedOn(text),
            "OperatorRequired" => Refusal::OperatorRequired(text),
            "DeviceAbsent" => Refusal::DeviceAbsent(text),
            _ => Refusal::NotFound(text),
        }
    }

    pub(super) struct Manager {
        pub(super) script: Script,
    }

    fn path_of(request_id: &str) -> OwnedObjectPath {
        let request = posd::domain::ident::RequestId::new(request_id).unwrap();
        let id = posd::domain::ident::TxnId::of(&request);
        OwnedObjectPath::try_from(format!("/org/posd/Pos1/transaction/{id}")).unwrap()
    }

    #[zbus::interface(name = "org.posd.Pos1.Manager")]
    impl Manager {
        #[allow(clippy::too_many_arguments, reason = "the contract's")]
        async fn start_transaction(
            &self,
            request_id: String,
            kind: String,
            amount: i64,
            currency: String,
            _options: Dict,
            #[zbus(connection)] bus: &zbus::Connection,
            #[zbus(header)] header: zbus::message::Header<'_>,
        ) -> Result<OwnedObjectPath, Refusal> {
            assert_eq!((kind.as_str(), amount, currency.as_str()), ("sale", 1250, "CNY"));
            if let Script::Refuse(name) = self.script {
                return Err(refusal(name));
            }
            let path = path_of(&request_id);
            let transaction = Transaction { outcome: "none".into(), code: String::new(), request_id };
            bus.object_server().at(path.clone(), transaction).await?;
            let agent = header.sender().unwrap().to_owned();
            let (bus, script, at) = (bus.clone(), self.script, path.clone());
            tokio::spawn(async move { play(&bus, script, &at, agent).await.unwrap() });
            Ok(path)
        }

        async fn get_transaction(
            &self,
            request_id: String,
            _options: Dict,
            #[zbus(connection)] bus: &zbus::Connection,
        ) -> Result<OwnedObjectPath, Refusal> {
            let path = path_of(&request_id);
            match bus.object_server().interface::<_, Transaction>(&path).await {
                Ok(_) => Ok(path),
                Err(_) => Err(Refusal::NotFound("no such request id".to_owned())),
            }
        }

        fn register_agent(&self, _path: ObjectPath<'_>, options: Dict) {
            assert!(options.contains_key("capabilities"));
        }

        fn unregister_agent(&self, _path: ObjectPath<'_>, _options: Dict) {}
    }

    /// Lets the sale happen, as the script says.
    async fn play(
        bus: &zbus::Connection,
        script: Script,
        path: &OwnedObjectPath,
        agent: zbus::names::UniqueName<'static>,
    ) -> zbus::Result<()> {
        let emitter = SignalEmitter::new(bus, path.clone())?;
        let text = HashMap::from([("en", "Insert the card"), ("zh", "请插入芯片卡")]);
        Transaction::prompt(&emitter, "insert-card", text, HashMap::new()).await?;
        match script {
            Script::End(outcome, code) => finish(bus, path, outcome, code).await,
            Script::AskPin => {
                let question = (path, HashMap::from([("remaining-ms", Value::from(30_000_u32))]));
                let answer = bus
                    .call_method(
                        Some(agent),
                        "/org/posd/posctl/agent",
                        Some("org.posd.Pos1.Agent"),
                        "RequestPin",
                        &question,
                    )
                    .await;
                let Ok(answer) = answer else {
                    return finish(bus, path, "cancelled", "pin-cancelled").await;
                };
                let fd: OwnedFd = answer.body().deserialize()?;
                let fd = std::os::fd::OwnedFd::from(fd);
                let seals = rustix::fs::fcntl_get_seals(&fd).unwrap();
                assert!(seals.contains(rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::GROW));
                let mut pin = String::new();
                std::fs::File::from(fd).read_to_string(&mut pin)?;
                assert_eq!(pin, "4821");
                finish(bus, path, "approved", "approved").await
            }
            Script::Restart(outcome, code) => {
                bus.release_name("org.posd.Pos1").await?;
                finish(bus, path, outcome, code).await?;
                bus.request_name("org.posd.Pos1").await
            }
            Script::Forget => {
                bus.release_name("org.posd.Pos1").await?;
                bus.object_server().remove::<Transaction, _>(path).await?;
                bus.request_name("org.posd.Pos1").await
            }
            Script::Hang | Script::Sold | Script::Refuse(_) => Ok(()),
        }
    }

    async fn finish(
        bus: &zbus::Connection,
        path: &OwnedObjectPath,
        outcome: &str,
        code: &str,
    ) -> zbus::Result<()> {
        let transaction = bus.object_server().interface::<_, Transaction>(path).await?;
        {
            let mut transaction = transaction.get_mut().await;
            transaction.outcome = outcome.to_owned();
            transaction.code = code.to_owned();
        }
        Transaction::finished(transaction.signal_emitter(), outcome, HashMap::new()).await
    }

    pub(super) struct Transaction {
        request_id: String,
        outcome: String,
        code: String,
    }

    #[zbus::interface(name = "org.posd.Pos1.Transaction")]
    impl Transaction {
        fn get_result(&self, _options: Dict) -> HashMap<String, Value<'static>> {
            let text = |key: &str, value: &str| (key.to_owned(), Value::from(value.to_owned()));
            let mut result = HashMap::from([
                text("outcome", &self.outcome),
                text("result-code", &self.code),
                text("currency", "CNY"),
                text("masked-pan", "622848******1234"),
            ]);
            let said = match self.outcome.as_str() {
                "approved" => HashMap::from([("zh", "消费成功"), ("en", "Sale approved")]),
                _ => HashMap::from([("zh", "交易失败"), ("en", "Not approved")]),
            };
            result.insert("text".to_owned(), Value::from(said));
            result.insert("amount".to_owned(), Value::from(1250_i64));
            result.insert("trace".to_owned(), Value::from(7_u32));
            if let (Some(outcome), Some(code)) =
                (Outcome::from_word(&self.outcome), ResultCode::from_word(&self.code))
            {
                let text = posd::domain::text::ended(
                    Kind::Sale,
                    outcome,
                    code,
                    None,
                    &posd::domain::profile::Profile::unionpay().catalogue,
                );
                result.insert("text".to_owned(), HashMap::from([("zh", text.zh), ("en", text.en)]).into());
            }
            result
        }

        fn cancel(&self, _options: Dict) -> &'static str {
            "accepted"
        }

        fn get_timeline(&self, _options: Dict) -> Vec<HashMap<String, Value<'static>>> {
            let sent = HashMap::from([
                ("t".to_owned(), Value::from(1_795_000_000_000_000_u64)),
                ("what".to_owned(), Value::from("sending")),
                ("text".to_owned(), Value::from("0200")),
                ("stan".to_owned(), Value::from(7_u32)),
            ]);
            vec![sent]
        }

        fn get_receipt(&self, ply: &str, format: &str, _options: Dict) -> OwnedFd {
            let memory = rustix::fs::memfd_create("slip", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            let mut file = std::fs::File::from(memory);
            write!(file, "{ply} slip as {format}").unwrap();
            OwnedFd::from(std::os::fd::OwnedFd::from(file))
        }

        fn reprint(&self, ply: &str, _options: Dict) -> OwnedObjectPath {
            OwnedObjectPath::try_from(format!("/org/posd/Pos1/printjob/{ply}")).unwrap()
        }

        #[zbus(property)]
        fn request_id(&self) -> &str {
            &self.request_id
        }

        #[zbus(property)]
        fn outcome(&self) -> &str {
            &self.outcome
        }

        #[zbus(property)]
        fn state(&self) -> &'static str {
            "finished"
        }

        #[zbus(signal)]
        async fn prompt(
            emitter: &SignalEmitter<'_>,
            code: &str,
            text: HashMap<&str, &str>,
            details: HashMap<&str, Value<'_>>,
        ) -> zbus::Result<()>;

        #[zbus(signal)]
        async fn finished(
            emitter: &SignalEmitter<'_>,
            outcome: &str,
            result: HashMap<&str, Value<'_>>,
        ) -> zbus::Result<()>;
    }

    impl Transaction {
        pub(super) fn sold() -> (OwnedObjectPath, Self) {
            let request_id = "till-1".to_owned();
            (path_of(&request_id), Self { request_id, outcome: "approved".into(), code: "approved".into() })
        }
    }

    pub(super) struct Ledger;

    #[zbus::interface(name = "org.posd.Pos1.Ledger")]
    impl Ledger {
        fn query(
            &self,
            filter: Dict,
            limit: u32,
            _cursor: &str,
            _options: Dict,
        ) -> (Vec<HashMap<String, Value<'static>>>, String) {
            // A list has no filter; the last slip is that of the last approved transaction.
            assert!(filter.keys().all(|key| key == "outcome") && limit > 0);
            let row = HashMap::from([
                ("path".to_owned(), Value::from(path_of("till-1"))),
                ("request-id".to_owned(), Value::from("till-1")),
                ("kind".to_owned(), Value::from("sale")),
                ("outcome".to_owned(), Value::from("approved")),
                ("amount".to_owned(), Value::from(1250_i64)),
                ("currency".to_owned(), Value::from("CNY")),
            ]);
            (vec![row], "more".to_owned())
        }

        fn open(&self, batch: u32, trace: u32, _options: Dict) -> Result<OwnedObjectPath, Refusal> {
            if (batch, trace) == (3, 7) { Ok(path_of("till-1")) } else { Err(refusal("NotFound")) }
        }

        #[zbus(property)]
        fn batch(&self) -> u32 {
            3
        }
    }

    /// A ply: the merchant's prints, the customer's meets a printer without paper.
    pub(super) struct PrintJob {
        pub(super) state: &'static str,
    }

    #[zbus::interface(name = "org.posd.Pos1.PrintJob")]
    impl PrintJob {
        #[zbus(property)]
        fn state(&self) -> &str {
            self.state
        }
    }

    pub(super) struct Host;

    #[zbus::interface(name = "org.posd.Pos1.Host")]
    impl Host {
        fn sign_on(&self, _options: Dict) -> OwnedObjectPath {
            OwnedObjectPath::try_from("/org/posd/Pos1/job/1").unwrap()
        }

        fn test(&self, _options: Dict) -> OwnedObjectPath {
            OwnedObjectPath::try_from("/org/posd/Pos1/job/2").unwrap()
        }
    }

    pub(super) struct Job {
        pub(super) kind: &'static str,
        pub(super) error: &'static str,
    }

    #[zbus::interface(name = "org.posd.Pos1.Job")]
    impl Job {
        #[zbus(property)]
        fn kind(&self) -> &str {
            self.kind
        }

        #[zbus(property)]
        fn state(&self) -> &str {
            if self.error.is_empty() { "succeeded" } else { "failed" }
        }

        #[zbus(property)]
        fn result(&self) -> HashMap<String, Value<'static>> {
            HashMap::from([("tcp-ms".to_owned(), Value::from(12_u64))])
        }

        #[zbus(property)]
        fn error(&self) -> (String, String) {
            (self.error.to_owned(), "the host is silent".to_owned())
        }
    }
}

/// Runs a fake daemon on a private bus while `check` runs.
fn with_daemon(script: Script, check: impl FnOnce(&str)) {
    let bus = Bus::start();
    let address = bus.address.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let daemon = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let daemon = zbus::connection::Builder::address(address.as_str())
                .unwrap()
                .serve_at("/org/posd", zbus::fdo::ObjectManager)
                .unwrap()
                .serve_at("/org/posd/Pos1", fake::Manager { script })
                .unwrap()
                .serve_at("/org/posd/Pos1", fake::Host)
                .unwrap()
                .serve_at("/org/posd/Pos1", fake::Ledger)
                .unwrap()
                .serve_at("/org/posd/Pos1/printjob/merchant", fake::PrintJob { state: "confirmed" })
                .unwrap()
                .serve_at("/org/posd/Pos1/printjob/customer", fake::PrintJob { state: "held" })
                .unwrap()
                .serve_at("/org/posd/Pos1/job/1", fake::Job { kind: "sign-on", error: "HostTimeout" })
                .unwrap()
                .serve_at("/org/posd/Pos1/job/2", fake::Job { kind: "host-test", error: "" })
                .unwrap()
                .name("org.posd.Pos1")
                .unwrap()
                .build()
                .await
                .unwrap();
            if matches!(script, Script::Sold) {
                let (path, transaction) = fake::Transaction::sold();
                daemon.object_server().at(path, transaction).await.unwrap();
            }
            ready.send(()).unwrap();
            stopped.await.ok();
        });
    });
    is_ready.recv_timeout(std::time::Duration::from_secs(30)).unwrap();
    check(&bus.address);
    stop.send(()).ok();
    daemon.join().unwrap();
}

fn sale(script: Script, arguments: &[&str]) -> Output {
    let mut output = None;
    with_daemon(script, |address| {
        let fixed = ["sale", "12.50", "--request-id", "till-1", "--address", address];
        output = Some(run(&[&fixed, arguments].concat()));
    });
    output.unwrap()
}

/// Every outcome has its exit status, and the document carries what the daemon knows.
#[test]
fn a_sale_exits_by_its_outcome() {
    for (outcome, code, exit) in [
        ("approved", "approved", 0),
        ("stored-offline", "offline-approved", 0),
        ("declined", "declined-host", 7),
        ("unknown", "host-timeout", 8),
        ("reversed", "host-timeout", 8),
        ("cancelled", "operator-cancelled", 1),
        ("cancelled", "customer-timeout", 3),
        ("failed", "connect-failed", 1),
    ] {
        let output = sale(Script::End(outcome, code), &["--json"]);
        assert_eq!(output.status.code(), Some(exit), "{outcome} {code}: {}", stderr(&output));
        let document = document(&output);
        assert_eq!(document["ok"], true);
        assert_eq!(document["data"]["outcome"], outcome);
        assert_eq!(document["data"]["request-id"], "till-1");
        assert_eq!(document["data"]["amount"], 1250);
        assert!(stderr(&output).contains("till-1"), "the request id is told while it runs");
    }
}

#[test]
fn refusals_exit_by_their_name() {
    for (name, exit) in
        [("Busy", 10), ("NotAuthorized", 5), ("NotSignedOn", 9), ("OperatorRequired", 9), ("DeviceAbsent", 6)]
    {
        let output = sale(Script::Refuse(name), &["--json"]);
        assert_eq!(output.status.code(), Some(exit), "{name}");
        let document = document(&output);
        assert_eq!(document["error"]["name"], name);
        assert_eq!(document["error"]["message"], "because");
    }
    let output = sale(Script::Refuse("OperatorRequired"), &["--json"]);
    assert_eq!(document(&output)["error"]["details"]["kind"], "operator");
}

/// People see prompts on stderr in their language, the result on stdout.
#[test]
fn people_read_prompts_and_result_in_their_language() {
    let zh = sale(Script::End("declined", "declined-host"), &["--lang", "zh"]);
    assert!(stderr(&zh).contains("请插入芯片卡"), "{}", stderr(&zh));
    let shown = String::from_utf8(zh.stdout).unwrap();
    assert!(shown.contains("交易失败") && shown.contains("12.50 CNY"), "{shown}");
    let en = sale(Script::End("approved", "approved"), &[]);
    assert!(stderr(&en).contains("Insert the card"));
    assert!(String::from_utf8(en.stdout).unwrap().starts_with("Sale approved\n"));
}

/// The PIN goes from a file into a sealed memory file, and only when the daemon asks.
#[test]
fn a_pin_from_a_file_answers_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pin");
    std::fs::write(&file, "4821\n").unwrap();
    let output = sale(Script::AskPin, &["--json", "--pin-file", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Without a file and without a terminal nobody can be asked, and posctl must not hang.
    let output = sale(Script::AskPin, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(document(&output)["data"]["result-code"], "pin-cancelled");
}

/// The daemon dies in the middle. posctl waits and reads the outcome from what the daemon then knows.
#[test]
fn a_restart_in_the_middle_is_waited_for() {
    let output = sale(Script::Restart("reversed", "host-timeout"), &["--json"]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    assert_eq!(document(&output)["data"]["outcome"], "reversed");
    let output = sale(Script::Restart("approved", "approved"), &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let output = sale(Script::Forget, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(document(&output)["error"]["name"], "Interrupted");
}

/// ^C lets go: 130, and how to come back is told. The transaction is not cancelled.
#[test]
fn an_interrupt_detaches() {
    with_daemon(Script::Hang, |address| {
        let mut child = posctl(&["sale", "12.50", "--request-id", "till-1", "--json", "--address", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut chatter = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(chatter.any(|line| line.unwrap() == "Insert the card"));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let document = document(&output);
        assert_eq!(document["error"]["name"], "Interrupted");
        assert_eq!(document["error"]["details"]["request-id"], "till-1");
        assert!(document["error"]["message"].as_str().unwrap().contains("posctl txn cancel till-1"));
    });
}

/// A terminal for posctl: `script` gives it one. Returns everything that was shown.
fn at_a_terminal(address: &str, wait_for: &str, type_in: &[u8]) -> String {
    let command = format!(
        "trap : INT; {POSCTL} sale 12.50 --request-id till-1 --lang en --address '{address}'; echo rc=$?; stty -a"
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (mut shown, mut typed, mut byte) = (Vec::new(), false, [0_u8; 1]);
    while screen.read(&mut byte).unwrap() == 1 {
        shown.push(byte[0]);
        if !typed && String::from_utf8_lossy(&shown).contains(wait_for) {
            keys.write_all(type_in).unwrap();
            keys.flush().unwrap();
            typed = true;
        }
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

/// The PIN is typed without echo, and the terminal has its echo back afterwards: after an answer, after Ctrl-D, and
/// after ^C in the middle of the question.
#[test]
fn the_terminal_gets_its_echo_back() {
    for (keys, exit) in [(&b"4821\n"[..], 0), (b"\x04", 1), (b"12\x03", 130)] {
        with_daemon(Script::AskPin, |address| {
            let shown = at_a_terminal(address, "PIN (", keys);
            assert!(shown.contains(&format!("rc={exit}")), "{keys:?}: {shown}");
            assert!(!shown.contains("4821"), "{shown}");
            assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
        });
    }
}

/// Work of the daemon ends by its own name: a silent host is a time-out, a finished test is an answer.
#[test]
fn jobs_end_by_their_result() {
    with_daemon(Script::Hang, |address| {
        let output = run(&["host", "sign-on", "--json", "--address", address]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(document(&output)["error"]["name"], "HostTimeout");
        let output = run(&["host", "test", "--json", "--address", address]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(document(&output)["data"]["result"]["tcp-ms"], 12);
        let output = run(&["printer", "status", "--json", "--address", address]);
        assert_eq!(output.status.code(), Some(6));
        let output = run(&["reader", "list", "--json", "--address", address]);
        assert_eq!(document(&output)["data"]["readers"], Json::Array(Vec::new()));
    });
}

/// Without a terminal nothing prompts: a password must come from a file or descriptor.
#[test]
fn nothing_is_asked_without_a_terminal() {
    with_daemon(Script::Hang, |address| {
        let output = run(&["operator", "sign-on", "01", "--address", address]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--secret-file"));
    });
}

/// A finished sale is found by trace number, request id and path, shown, and printed once more.
#[test]
fn a_finished_sale_is_found_shown_and_printed() {
    with_daemon(Script::Sold, |address| {
        let ask = |arguments: &[&str]| run(&[arguments, &["--json", "--address", address]].concat());
        let listed = document(&ask(&["txn", "list"]));
        assert_eq!(listed["data"]["rows"][0]["request-id"], "till-1");
        assert_eq!(listed["data"]["next"], "more");
        let path = listed["data"]["rows"][0]["path"].as_str().unwrap().to_owned();
        for id in ["7", "till-1", &path] {
            let shown = ask(&["txn", "show", id]);
            assert_eq!(shown.status.code(), Some(0), "{id}: {}", stderr(&shown));
            let data = &document(&shown)["data"];
            assert_eq!((&data["outcome"], &data["timeline"][0]["stan"]), (&"approved".into(), &7.into()));
        }
        let missing = ask(&["txn", "show", "8"]);
        assert_eq!(
            (missing.status.code(), &document(&missing)["error"]["name"]),
            (Some(1), &"NotFound".into())
        );
        assert_eq!(document(&ask(&["txn", "cancel", "7"]))["data"]["answer"], "accepted");
        let watched = ask(&["txn", "watch", "till-1"]);
        assert_eq!(
            (watched.status.code(), &document(&watched)["data"]["outcome"]),
            (Some(0), &"approved".into())
        );
        let merchant = ask(&["reprint", "--ply", "merchant"]);
        assert_eq!(merchant.status.code(), Some(0), "{}", stderr(&merchant));
        let both = ask(&["reprint", "7"]);
        assert_eq!(both.status.code(), Some(6), "a held ply is a device that is not ready");
        assert_eq!(document(&both)["error"]["details"]["print-jobs"][1]["state"], "held");
    });
}

/// Slips go to stdout, into the document, or to a file; pictures never into a document.
#[test]
fn slips_are_read_without_printing() {
    with_daemon(Script::Sold, |address| {
        let text = run(&["txn", "receipt", "7", "--address", address]);
        assert_eq!(text.stdout, b"merchant slip as text");
        let json = run(&["txn", "receipt", "7", "--ply", "customer", "--json", "--address", address]);
        assert_eq!(document(&json)["data"]["receipt"], "customer slip as text");
        let picture = ["txn", "receipt", "7", "--format", "png", "--json", "--address", address];
        assert_eq!(run(&picture).status.code(), Some(2));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("slip.png");
        let written = run(&[&picture[..], &["--output", file.to_str().unwrap()]].concat());
        assert_eq!(document(&written)["data"]["bytes"], 20);
        assert_eq!(std::fs::read(&file).unwrap(), b"merchant slip as png");
    });
}

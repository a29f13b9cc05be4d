//! The daemon side: Manager, Host, Transaction and Job as far as posctl needs them.
use super::daemon::Script;
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

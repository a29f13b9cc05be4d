//! Who may do what on the system bus, with the shipped policies and a real polkit: `src/docs/access.md` says it, and every
//! method of the shipped interfaces is called as everybody.
use super::machine::Machine;
use super::stored_sale;
use crate::support::{Options, number, with_till};
use posd::api::proxy::{HostProxy, LedgerProxy, OBJECT_MANAGER_PATH};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;
use zbus::export::futures_core::Stream;
use zbus::fdo::ObjectManagerProxy;
use zbus::zvariant::{ObjectPath, StructureBuilder, Value};
use zbus::{Connection, MatchRule, MessageStream, message};

const XML: &str = include_str!("../../../systemd/dbus/org.posd.Pos1.xml");
const DOC: &str = include_str!("../../../src/docs/access.md");
const ROOT: &str = "/org/posd/Pos1";

/// Columns of the table and the users that stand for them: number and groups by name.
const USERS: [(&str, u32, &[&str]); 4] = [
    ("root", 0, &["root"]),
    ("cashier", 3001, &["posd-cashier"]),
    ("technician", 3002, &["posd-technician"]),
    ("others", 65534, &["nogroup"]),
];

/// Kinds of StartTransaction that have an action of their own.
const KINDS: [&str; 6] = ["sale", "balance", "offline-sale", "void", "refund", "pre-auth"];

/// A method, and the kind of transaction where that matters.
#[derive(Clone, Debug)]
struct Call {
    interface: String,
    method: String,
    signature: Vec<String>,
    kind: &'static str,
}

impl Call {
    fn name(&self) -> String {
        let name = format!("{}.{}", self.interface.trim_start_matches("org.posd.Pos1."), self.method);
        if self.kind.is_empty() { name } else { format!("{name} {}", self.kind) }
    }

    /// Arguments of the right types; what they say is of no use to anybody.
    fn body(&self) -> zbus::zvariant::Structure<'static> {
        let mut body = StructureBuilder::new();
        for (at, kind) in self.signature.iter().enumerate() {
            body = body.append_field(match kind.as_str() {
                "s" if at == 1 && !self.kind.is_empty() => Value::from(self.kind),
                "s" if at == 3 && !self.kind.is_empty() => Value::from("CNY"),
                "s" => Value::from("x"),
                "x" => Value::from(1_i64),
                "u" => Value::from(1_u32),
                "ay" => Value::from(b"x".to_vec()),
                "o" => Value::from(ObjectPath::try_from("/none").unwrap()),
                "h" => Value::Fd(std::os::fd::OwnedFd::from(tempfile::tempfile().unwrap()).into()),
                "as" => Value::from(Vec::<&str>::new()),
                "a{sv}" => Value::from(HashMap::<String, Value<'_>>::new()),
                other => panic!("no value of type {other}"),
            });
        }
        body.build().unwrap()
    }
}

/// Every method of the shipped interfaces that posd serves.
fn calls() -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut interface = String::new();
    let attribute = |line: &str, name: &str| {
        line.split_once(&format!("{name}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("", |(value, _)| value)
            .to_owned()
    };
    for line in XML.lines().map(str::trim) {
        if line.starts_with("<interface ") {
            interface = attribute(line, "name");
        } else if line.starts_with("<method ") {
            let method = attribute(line, "name");
            calls.push(Call { interface: interface.clone(), method, signature: Vec::new(), kind: "" });
        } else if line.starts_with("<arg ") && attribute(line, "direction") == "in" {
            calls.last_mut().unwrap().signature.push(attribute(line, "type"));
        }
    }
    calls.retain(|call| call.interface != "org.posd.Pos1.Agent");
    let (start, mut rest): (Vec<Call>, _) =
        calls.into_iter().partition(|call| call.method == "StartTransaction");
    rest.extend(KINDS.iter().map(|kind| Call { kind, ..start[0].clone() }));
    rest
}

/// Runs `work` on a thread that is the user, with a connection of that user to the bus.
fn as_user<T: Send + 'static>(
    uid: u32,
    gids: Vec<u32>,
    address: String,
    work: impl AsyncFnOnce(Connection) -> T + Send + 'static,
) -> T {
    let run = move || {
        let groups: Vec<Gid> = gids.iter().map(|gid| Gid::from_raw(*gid)).collect();
        set_thread_groups(&groups).unwrap();
        set_thread_res_gid(groups[0], groups[0], groups[0]).unwrap();
        let user = Uid::from_raw(uid);
        set_thread_res_uid(user, user, user).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bus = zbus::connection::Builder::address(address.as_str()).unwrap().build().await.unwrap();
            work(bus).await
        })
    };
    std::thread::spawn(run).join().unwrap()
}

/// What an answer says of the caller's rights: whatever the bank, the keys or the shop think of the call, they were asked.
fn verdict(answer: &zbus::Result<message::Message>) -> &'static str {
    let Err(zbus::Error::MethodError(name, text, _)) = answer else { return "yes" };
    let text = text.as_deref().unwrap_or_default();
    match name.as_str() {
        "org.freedesktop.DBus.Error.AccessDenied" => "bus",
        "org.posd.Pos1.Error.NotAuthorized" if text.contains("is not allowed") => "no",
        "org.posd.Pos1.Error.AuthenticationRequired" => "asks",
        name if name.starts_with("org.posd.Pos1.Error.") => "yes",
        other => panic!("{other}: {text}"),
    }
}

/// An object of each interface. A transaction and a job have to be brought onto the bus first.
async fn objects(bus: &Connection) -> BTreeMap<String, String> {
    HostProxy::new(bus).await.unwrap().test(HashMap::new()).await.unwrap();
    let ledger = LedgerProxy::new(bus).await.unwrap();
    let (rows, _) = ledger.query(HashMap::new(), 1, "", HashMap::new()).await.unwrap();
    let (batch, trace) = (number(&rows[0], "batch"), number(&rows[0], "trace"));
    ledger.open(batch.try_into().unwrap(), trace.try_into().unwrap(), HashMap::new()).await.unwrap();
    let manager = ObjectManagerProxy::new(bus, "org.posd.Pos1", OBJECT_MANAGER_PATH).await.unwrap();
    let mut objects = BTreeMap::new();
    for (path, interfaces) in manager.get_managed_objects().await.unwrap() {
        for interface in interfaces.into_keys() {
            objects.insert(interface.to_string(), path.to_string());
        }
    }
    objects
}

/// Goal: every method answers everybody as the table of the documentation says, and the table leaves none out.
#[test]
fn every_method_answers_everybody_as_documented() {
    let Some(machine) = Machine::boot() else { return };
    with_till(Options { printer: false, ..Options::default() }, async |till| {
        stored_sale(till).await;
        machine.sh("mkdir /var/lib/posd");
        machine.put(&till.state_dir(), "/var/lib/posd");
    });
    machine.install("");
    machine.sh("usermod -aG posd-cashier cashier; usermod -aG posd-technician technician");
    // One that is named has an object although it is away.
    machine
        .sh("printf '[printer]\\ndevice = \"tcp:127.0.0.1:9100\"\\ndrawer = \"pin2\"\\n' > /etc/posd/posd.toml.d/printer.toml");
    machine.sh("chown -R posd:posd /var/lib/posd; systemctl restart posd");
    let gid = |name: &str| machine.sh(&format!("getent group {name} | cut -d: -f3")).trim().parse().unwrap();
    let objects = as_user(0, vec![0], machine.bus(), async |bus| objects(&bus).await);
    // A booted container has no card reader, and so no object of it; its row is held by the tests of the rights alone.
    let has_reader = objects.contains_key("org.posd.Pos1.Reader");
    let mut rows: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (_, uid, groups) in USERS {
        let (mut calls, objects) = (calls(), objects.clone());
        calls.retain(|call| has_reader || !call.name().starts_with("Reader."));
        let groups = groups.iter().map(|name| gid(name)).collect();
        let told = as_user(uid, groups, machine.bus(), async move |bus| {
            let mut told = Vec::new();
            for call in calls {
                let path = objects.get(&call.interface).map_or(ROOT, String::as_str);
                let interface = Some(call.interface.as_str());
                let answer = bus
                    .call_method(Some("org.posd.Pos1"), path, interface, call.method.as_str(), &call.body())
                    .await;
                told.push((call.name(), verdict(&answer)));
            }
            told
        });
        for (name, verdict) in told {
            rows.entry(name).or_default().push(verdict);
        }
    }
    let mut table = String::new();
    for (name, verdicts) in &rows {
        writeln!(table, "| {name} | {} |", verdicts.join(" | ")).unwrap();
    }
    let documented: Vec<&str> = DOC
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('.'))
        .filter(|line| has_reader || !line.starts_with("| Reader."))
        .collect();
    assert_eq!(documented, table.lines().collect::<Vec<_>>(), "src/docs/access.md should have:\n{table}");
}

/// Goal: nobody outside the groups hears a signal that a cashier hears.
#[test]
fn signals_reach_the_groups_alone() {
    let Some(machine) = Machine::boot() else { return };
    machine.install("");
    machine.sh("usermod -aG posd-cashier cashier");
    let gid = machine.sh("getent group posd-cashier | cut -d: -f3").trim().parse().unwrap();
    let listen = |uid: u32, gid: u32| {
        let address = machine.bus();
        std::thread::spawn(move || {
            as_user(uid, vec![gid], address, async |bus| {
                let rule = MatchRule::builder().msg_type(message::Type::Signal).build();
                let mut stream = MessageStream::for_match_rule(rule, &bus, Some(64)).await.unwrap();
                let ours = async {
                    while let Some(Ok(message)) = next(&mut stream).await {
                        let interface =
                            message.header().interface().map(ToString::to_string).unwrap_or_default();
                        let path = message.header().path().map(ToString::to_string).unwrap_or_default();
                        if path.starts_with(ROOT) {
                            return interface;
                        }
                        if path == "/org/freedesktop/DBus"
                            && message.header().member().is_some_and(|m| m.as_str() == "NameLost")
                        {
                            return String::new();
                        }
                    }
                    String::new()
                };
                tokio::time::timeout(Duration::from_secs(5), ours).await.unwrap_or_default()
            })
        })
    };
    let (cashier, stranger) = (listen(3001, gid), listen(65534, 65534));
    // Jobs come and go, and each says so.
    machine.sh("for n in 1 2 3 4 5 6 7 8; do posctl host test || true; sleep .3; done");
    assert_ne!(cashier.join().unwrap(), "");
    assert_eq!(stranger.join().unwrap(), "");
}

async fn next(stream: &mut MessageStream) -> Option<zbus::Result<message::Message>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_next(context)).await
}

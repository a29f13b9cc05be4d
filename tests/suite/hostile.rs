//! Whatever is said on the bus: calls of chance, by many senders, to the real daemon. It answers each, stays alive and
//! small, and no money moves.
use crate::support::{Options, Till, with_till};
use posd::sim::world::chance::SplitMix64;
use std::io::{Seek as _, Write as _};
use std::str::FromStr as _;
use std::time::Duration;
use zbus::zvariant::signature::Child;
use zbus::zvariant::{
    Array, Dict, Fd, ObjectPath, OwnedObjectPath, Signature, Str, Structure, StructureBuilder, Value,
};
use zbus::{Connection, Message};

/// The bus contract.
const CONTRACT: &str = include_str!("../../systemd/dbus/org.posd.Pos1.xml");
/// Calls of one test.
const CALLS: u32 = 4000;
/// Calls before the daemon's memory is looked at for the first time: until then its tables fill.
const WARM: u32 = 1000;
/// How much more memory it may have after the other calls. Choice: tables have a size, heaps have holes.
const GROWTH_MAX_KIB: u64 = 4096;
/// Calls of one sender; then it leaves, sometimes with a call unanswered.
const SENDER_CALLS: u32 = 60;
/// Longest wait for one answer.
const ANSWERED_IN: Duration = Duration::from_secs(20);
/// Deepest nest of values.
const DEPTH_MAX: u32 = 6;
/// A seed to begin with; `POSD_SEED` is another one.
const SEED: u64 = 20_261_127;

/// A method of the contract.
struct Method {
    interface: String,
    name: String,
    /// Types of its arguments.
    types: Vec<Signature>,
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// The methods, read line by line: the file has one element a line.
fn methods() -> Vec<Method> {
    let (mut found, mut interface): (Vec<Method>, _) = (Vec::new(), String::new());
    for line in CONTRACT.lines().map(str::trim) {
        if line.starts_with("<interface ") {
            interface = attribute(line, "name").unwrap().to_owned();
        } else if line.starts_with("<method ") {
            let name = attribute(line, "name").unwrap().to_owned();
            found.push(Method { interface: interface.clone(), name, types: Vec::new() });
        } else if line.starts_with("<arg ") && attribute(line, "direction") == Some("in") {
            let kind = Signature::from_str(attribute(line, "type").unwrap()).unwrap();
            found.last_mut().unwrap().types.push(kind);
        }
    }
    found.retain(|method| !method.interface.ends_with(".Agent"));
    found
}

/// What is said, from one seed.
struct Babel {
    chance: SplitMix64,
    methods: Vec<Method>,
    paths: Vec<String>,
}

impl Babel {
    fn below(&mut self, end: usize) -> usize {
        self.chance.below(u32::try_from(end).unwrap()) as usize
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn text(&mut self) -> String {
        match self.below(13) {
            0 => String::new(),
            12 => self.one_of(&["s-1", "CNY", "01", "zh", "en", "text", "host", "unionpay"]).to_owned(),
            1 => "A".repeat(self.below(200_000)),
            2 => "\u{1b}@\u{7}\u{202e}\u{fffd}行".repeat(self.below(50)),
            3 => "%s%n../../etc/passwd'; DROP TABLE txn;--".to_owned(),
            4 => i64::MIN.to_string(),
            5 => format!("r-{}", self.below(50)),
            6 => self.one_of(&["00", "01", "99", "0000", "123456", "000000"]).to_owned(),
            7 => self.one_of(&["CNY", "USD", "cny", "C", "€€€"]).to_owned(),
            8 => self.one_of(&["sale", "void", "refund", "pre-auth", "balance", "settle"]).to_owned(),
            9 => self.one_of(&["batch", "period", "all", "customer", "merchant", "pdf"]).to_owned(),
            10 => self.one_of(&["original", "request-id", "authorization", "supervisor", "limit"]).to_owned(),
            _ => (0..self.below(40))
                .map(|_| char::from_u32(self.chance.below(0x3000) + 1).unwrap_or('x'))
                .collect(),
        }
    }

    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => 1,
            2 => u64::MAX,
            3 => 1 << 63,
            4 => self.chance.draw() >> 54,
            _ => self.chance.draw(),
        }
    }

    fn file(&mut self) -> Fd<'static> {
        let content = match self.below(4) {
            0 => Vec::new(),
            1 => b"000000".to_vec(),
            _ => (0..self.below(5000)).map(|_| self.chance.below(256) as u8).collect(),
        };
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        Fd::from(std::os::fd::OwnedFd::from(file))
    }

    fn any_type(&mut self, depth: u32) -> Signature {
        let simple = ["y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o", "g", "h", "v"];
        let compound = ["as", "a{sv}", "ay", "(sx)", "aa{sv}", "a(oa{sa{sv}})", "a{ss}", "(((s)))", "aaaaas"];
        let deep = depth >= DEPTH_MAX;
        let word = if deep || self.below(3) > 0 { self.one_of(&simple) } else { self.one_of(&compound) };
        Signature::from_str(if deep && word == "v" { "s" } else { word }).unwrap()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any number will do")]
    fn value(&mut self, kind: &Signature, depth: u32) -> Value<'static> {
        let child = |child: &Child| child.signature().clone();
        match kind {
            Signature::U8 => Value::U8(self.number() as u8),
            Signature::Bool => Value::Bool(self.below(2) == 0),
            Signature::I16 => Value::I16(self.number() as i16),
            Signature::U16 => Value::U16(self.number() as u16),
            Signature::I32 => Value::I32(self.number() as i32),
            Signature::U32 => Value::U32(self.number() as u32),
            Signature::I64 => Value::I64(self.number().cast_signed()),
            Signature::U64 => Value::U64(self.number()),
            Signature::F64 => Value::F64(f64::from_bits(self.number())),
            Signature::Str => Value::Str(Str::from(self.text())),
            Signature::Signature => Value::Signature(self.any_type(0)),
            Signature::ObjectPath => {
                let at = self.below(self.paths.len());
                Value::ObjectPath(ObjectPath::try_from(self.paths[at].clone()).unwrap())
            }
            Signature::Fd => Value::Fd(self.file()),
            Signature::Variant => {
                let inner = self.any_type(depth + 1);
                Value::Value(Box::new(self.value(&inner, depth + 1)))
            }
            Signature::Array(element) => {
                let element = child(element);
                let mut array = Array::new(&element);
                for _ in 0..self.below(if depth == 0 { 40 } else { 4 }) {
                    let value = self.value(&element, depth + 1);
                    array.append(value).unwrap();
                }
                Value::Array(array)
            }
            Signature::Dict { key, value } => {
                let (key, of) = (child(key), child(value));
                let mut dict = Dict::new(&key, &of);
                // Options are mostly none, so that the other arguments are looked at.
                for _ in 0..self.below(8).saturating_sub(4) {
                    let (key, value) = (self.value(&key, depth + 1), self.value(&of, depth + 1));
                    dict.append(key, value).unwrap();
                }
                Value::Dict(dict)
            }
            Signature::Structure(fields) => {
                let fields: Vec<Signature> = fields.iter().cloned().collect();
                let fields: Vec<_> = fields.iter().map(|field| self.value(field, depth + 1)).collect();
                Value::Structure(structure(fields))
            }
            other => panic!("{other}"),
        }
    }

    /// A call: mostly to a method that there is, mostly with arguments of its types.
    fn call(&mut self) -> (String, String, String, Vec<Value<'static>>) {
        let at = self.below(self.methods.len());
        let method = &self.methods[at];
        let (mut interface, mut name) = (method.interface.clone(), method.name.clone());
        let mut types = method.types.clone();
        if self.below(20) == 0 {
            name = self.one_of(&["Nothing", "GetAll", "Get", "Set", "Introspect"]).to_owned();
        }
        if self.below(20) == 0 {
            interface = "org.freedesktop.DBus.Properties".to_owned();
        }
        if self.below(4) == 0 {
            types = (0..self.below(6)).map(|_| self.any_type(0)).collect();
        }
        let home = interface.rsplit('.').next().unwrap().to_lowercase();
        let mut at = self.below(self.paths.len());
        if self.below(8) > 0 {
            let is_home = |path: &String| path.contains(&format!("/{home}/"));
            at = self.paths.iter().position(is_home).unwrap_or(0);
        }
        let values = types.iter().map(|kind| self.value(kind, 0)).collect();
        (self.paths[at].clone(), interface, name, values)
    }
}

fn structure(fields: Vec<Value<'static>>) -> Structure<'static> {
    let mut builder = StructureBuilder::new();
    for field in fields {
        builder.push_value(field);
    }
    builder.build().unwrap()
}

async fn say(
    bus: &Connection,
    (path, interface, name, values): (String, String, String, Vec<Value<'static>>),
) -> zbus::Result<Message> {
    let (path, to) = (path.as_str(), Some("org.posd.Pos1"));
    let answer = async {
        match values.is_empty() {
            true => bus.call_method(to, path, Some(interface.as_str()), name.as_str(), &()).await,
            false => {
                bus.call_method(to, path, Some(interface.as_str()), name.as_str(), &structure(values)).await
            }
        }
    };
    let answer = tokio::time::timeout(ANSWERED_IN, answer).await;
    answer.unwrap_or_else(|_| panic!("{interface}.{name} of {path} has no answer"))
}

/// Goal: thousands of calls of any form by many senders are each answered; the daemon neither ends nor grows, and what
/// was sold before stands as it was, here and at the bank, also after a restart.
#[test]
fn whatever_is_said_on_the_bus_moves_no_money() {
    let seed = std::env::var("POSD_SEED").ok().map_or(SEED, |text| text.parse().unwrap());
    let options = Options { log: "warn", test_max: Duration::from_secs(600), ..Options::default() };
    with_till(options, async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.take_card().await;
        till.nothing_owed().await;
        let booked = till.booked();
        let plies: Vec<OwnedObjectPath> = till.get(sale.as_str(), "Transaction.PrintJobs").await;
        let root = "/org/posd/Pos1";
        let objects = ["", "/printer/0", "/reader/0", "/job/1"].map(|name| format!("{root}{name}"));
        let more = ["/", "/org/posd", "/nobody", sale.as_str(), plies[0].as_str()].map(str::to_owned);
        let paths = objects.into_iter().chain(more).collect();
        let mut babel = Babel { chance: SplitMix64::new(seed), methods: methods(), paths };
        assert!(babel.methods.len() > 40, "the contract was read");

        let (mut answered, mut refused, mut thrown_out, mut warm) = (0_u32, 0_u32, 0_u32, 0);
        let mut refusals = std::collections::BTreeMap::new();
        let mut bus = till.bus.connect().await;
        for count in 0..CALLS {
            if count % SENDER_CALLS == 0 {
                leave(&bus, &mut babel).await;
                bus = till.bus.connect().await;
            }
            match say(&bus, babel.call()).await {
                Ok(_) => answered += 1,
                Err(zbus::Error::MethodError(name, ..)) => {
                    *refusals.entry(name.to_string()).or_insert(0_u32) += 1;
                    refused += 1;
                }
                // The bus itself throws out who says what is no message.
                Err(zbus::Error::InputOutput(_)) => {
                    thrown_out += 1;
                    bus = till.bus.connect().await;
                }
                Err(error) => panic!("seed {seed}, call {count}: {error}"),
            }
            if count == WARM {
                warm = till.daemon_memory_kib();
            }
        }
        let grown = till.daemon_memory_kib().saturating_sub(warm);
        eprintln!(
            "{answered} answered, {thrown_out} thrown out; {warm} KiB, then {grown} KiB more; refused: {refusals:#?}"
        );
        assert!(answered > 200 && refused > 1000, "too little was said");
        assert!(grown < GROWTH_MAX_KIB, "seed {seed}: {grown} KiB more than {warm} KiB");

        // It is the same daemon: its end would have been heard.
        assert_eq!(till.booked(), booked, "seed {seed}");
        approved_once(till).await;
        till.kill_daemon().await;
        till.start_daemon().await;
        approved_once(till).await;
        assert_eq!(till.booked(), booked, "seed {seed}");
    });
}

/// A sender leaves; every other time it does not wait for its last answer.
async fn leave(bus: &Connection, babel: &mut Babel) {
    if babel.below(2) == 0 {
        let (path, interface, name, values) = babel.call();
        let message = Message::method_call(path.as_str(), name.as_str()).unwrap();
        let message = message.destination("org.posd.Pos1").unwrap().interface(interface.as_str()).unwrap();
        let message = if values.is_empty() { message.build(&()) } else { message.build(&structure(values)) };
        bus.send(&message.unwrap()).await.unwrap();
    }
}

async fn approved_once(till: &Till) {
    let row = till.row("s-1").await.expect("the sale is in the ledger");
    assert_eq!(crate::support::dict_text(&row, "outcome"), "approved");
    assert_eq!(crate::support::number(&row, "amount"), 1250);
    assert!(till.owed().await.is_empty());
}

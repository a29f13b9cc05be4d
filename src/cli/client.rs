//! The connection to the daemon: proxies, properties, and values of the bus as plain JSON. Only the public contract.
use super::args::Which;
use super::failure::{Exit, Failure};
use crate::api::proxy::{
    BUS_NAME, Dict, DrawerProxy, HostProxy, LedgerProxy, MaintenanceProxy, ManagerProxy, OBJECT_MANAGER_PATH,
    OperatorsProxy, Options, PrinterProxy, QueueProxy, ROOT_PATH, ReaderProxy, TransactionProxy,
};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};

/// No method of the daemon takes longer; polkit may ask a person meanwhile.
const CALL_MAX: Duration = Duration::from_secs(30);
/// Where transactions live.
const TRANSACTIONS: &str = "/org/posd/Pos1/transaction/";

/// All objects of the daemon: path → interface → property → value, with the contract's names in lower case.
pub(crate) type Objects = BTreeMap<String, BTreeMap<String, Map<String, Json>>>;

/// An open connection to a bus on which the daemon answers.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pub(crate) bus: zbus::Connection,
}

impl Terminal {
    /// Connects to a private bus or the system bus, and makes sure that the daemon is there.
    pub(crate) async fn connect(address: Option<&str>) -> Result<Self, Failure> {
        let builder = match address {
            Some(address) => zbus::connection::Builder::address(address)?,
            None => zbus::connection::Builder::system()?,
        };
        let connecting = builder.method_timeout(CALL_MAX).build();
        let bus = tokio::time::timeout(CALL_MAX, connecting)
            .await
            .map_err(|_| Failure::no_daemon("the bus does not answer"))?
            .map_err(no_bus)?;
        let terminal = Self { bus };
        if terminal.owner().await?.is_none() {
            return Err(Failure::no_daemon("nobody has the name org.posd.Pos1 on the bus"));
        }
        Ok(terminal)
    }

    /// The peer that is the daemon now.
    pub(crate) async fn owner(&self) -> Result<Option<zbus::names::OwnedUniqueName>, Failure> {
        let dbus = zbus::fdo::DBusProxy::new(&self.bus).await?;
        match dbus.get_name_owner(zbus::names::BusName::try_from(BUS_NAME)?).await {
            Ok(owner) => Ok(Some(owner)),
            Err(zbus::fdo::Error::NameHasNoOwner(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn manager(&self) -> Result<ManagerProxy<'static>, Failure> {
        Ok(ManagerProxy::builder(&self.bus)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?)
    }

    pub(crate) async fn operators(&self) -> Result<OperatorsProxy<'static>, Failure> {
        Ok(OperatorsProxy::builder(&self.bus)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?)
    }

    pub(crate) async fn host(&self) -> Result<HostProxy<'static>, Failure> {
        Ok(HostProxy::builder(&self.bus).cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    pub(crate) async fn queue(&self) -> Result<QueueProxy<'static>, Failure> {
        Ok(QueueProxy::builder(&self.bus).cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    pub(crate) async fn ledger(&self) -> Result<LedgerProxy<'static>, Failure> {
        Ok(LedgerProxy::builder(&self.bus).cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    pub(crate) async fn maintenance(&self) -> Result<MaintenanceProxy<'static>, Failure> {
        Ok(MaintenanceProxy::builder(&self.bus)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?)
    }

    pub(crate) async fn transaction(
        &self,
        path: &OwnedObjectPath,
    ) -> Result<TransactionProxy<'static>, Failure> {
        let builder = TransactionProxy::builder(&self.bus).path(path.clone())?;
        Ok(builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    pub(crate) async fn printer(&self, path: &str) -> Result<PrinterProxy<'_>, Failure> {
        let path = OwnedObjectPath::try_from(path)
            .map_err(|_| Failure::usage(format!("{path} is not an object path")))?;
        let builder = PrinterProxy::builder(&self.bus).path(path)?;
        Ok(builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    pub(crate) async fn reader(&self, path: &str) -> Result<ReaderProxy<'_>, Failure> {
        let path = OwnedObjectPath::try_from(path)
            .map_err(|_| Failure::usage(format!("{path} is not an object path")))?;
        let builder = ReaderProxy::builder(&self.bus).path(path)?;
        Ok(builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    /// The cash drawer of a printer.
    pub(crate) async fn drawer(&self, path: &str) -> Result<DrawerProxy<'_>, Failure> {
        let path = OwnedObjectPath::try_from(path)
            .map_err(|_| Failure::usage(format!("{path} is not an object path")))?;
        let builder = DrawerProxy::builder(&self.bus).path(path)?;
        Ok(builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?)
    }

    /// All properties of one interface of an object, read at once.
    pub(crate) async fn properties(
        &self,
        path: &ObjectPath<'_>,
        interface: &str,
    ) -> Result<Map<String, Json>, Failure> {
        let builder = zbus::fdo::PropertiesProxy::builder(&self.bus).destination(BUS_NAME)?.path(path)?;
        let proxy = builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?;
        let name = zbus::names::InterfaceName::try_from(format!("{BUS_NAME}.{interface}"))?;
        Ok(plain_properties(proxy.get_all(name).await?))
    }

    /// Everything the daemon shows, in one call.
    pub(crate) async fn objects(&self) -> Result<Objects, Failure> {
        let builder = zbus::fdo::ObjectManagerProxy::builder(&self.bus)
            .destination(BUS_NAME)?
            .path(OBJECT_MANAGER_PATH)?;
        let proxy = builder.cache_properties(zbus::proxy::CacheProperties::No).build().await?;
        let managed = proxy.get_managed_objects().await?;
        let of_ours = |interfaces: HashMap<zbus::names::OwnedInterfaceName, HashMap<String, OwnedValue>>| {
            interfaces
                .into_iter()
                .filter_map(|(name, properties)| {
                    let short = name.strip_prefix(BUS_NAME)?.strip_prefix('.')?.to_owned();
                    Some((short, plain_properties(properties)))
                })
                .collect()
        };
        Ok(managed.into_iter().map(|(path, interfaces)| (path.to_string(), of_ours(interfaces))).collect())
    }

    /// Finds the object of a transaction: by trace number, `TRACE/BATCH`, request id, or path.
    pub(crate) async fn find(&self, id: &str, batch: Option<u32>) -> Result<OwnedObjectPath, Failure> {
        let numbers = id.split_once('/').and_then(|(trace, batch)| Some((trace, batch.parse().ok()?)));
        if let Some((trace, batch)) = numbers.filter(|(trace, _)| trace.parse::<u32>().is_ok()) {
            return Box::pin(self.find(trace, Some(batch))).await;
        }
        if id.starts_with(TRANSACTIONS) {
            return OwnedObjectPath::try_from(id)
                .map_err(|_| Failure::usage(format!("{id} is not an object path")));
        }
        let is_trace = (1..=6).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_digit());
        if is_trace {
            let trace = id.parse().map_err(|_| Failure::usage("a trace number has 1 to 6 digits"))?;
            let ledger = self.ledger().await?;
            let batch = match batch {
                Some(batch) => batch,
                None => ledger.batch().await?,
            };
            return Ok(ledger.open(batch, trace, Options::new()).await?);
        }
        if batch.is_some() {
            return Err(Failure::usage("--batch goes with a trace number only"));
        }
        Ok(self.manager().await?.get_transaction(id, Options::new()).await?)
    }

    /// What people call a transaction: its trace number, while its object is there; else the end of its path.
    pub(crate) async fn trace_of(&self, path: &str) -> String {
        let id = path.rsplit('/').next().unwrap_or_default().to_owned();
        let Ok(path) = ObjectPath::try_from(path) else { return id };
        match self.properties(&path, "Transaction").await {
            Ok(properties) if properties.number("trace") > 0 => format!("{:06}", properties.number("trace")),
            _ => id,
        }
    }

    /// Finds the object of a transaction named on the command line.
    pub(crate) async fn which(&self, which: &Which) -> Result<OwnedObjectPath, Failure> {
        self.find(&which.id, which.batch).await
    }
}

/// The bus itself cannot be reached, unless it refuses us or its address makes no sense.
fn no_bus(error: zbus::Error) -> Failure {
    let text = error.to_string();
    match Failure::from(error) {
        failure if matches!(failure.exit, Exit::NotAuthorized | Exit::Usage) => failure,
        _ => Failure::no_daemon(&text),
    }
}

/// The object of Manager, Operators, Host, Queue and Ledger.
pub(crate) fn root() -> ObjectPath<'static> {
    ObjectPath::from_static_str_unchecked(ROOT_PATH)
}

impl From<zbus::names::Error> for Failure {
    fn from(error: zbus::names::Error) -> Self {
        Self::new(Exit::Failed, "ProtocolError", format!("a name on the bus is malformed: {error}"))
    }
}

/// A dictionary of the bus as JSON, keys sorted so that documents are the same every time.
pub(crate) fn plain_dict(dict: Dict) -> Map<String, Json> {
    let sorted: BTreeMap<String, OwnedValue> = dict.into_iter().collect();
    sorted.into_iter().map(|(key, value)| (key, plain(&value))).collect()
}

/// The arguments of a signal as JSON.
pub(crate) fn plain_body(message: &zbus::Message) -> Result<Vec<Json>, Failure> {
    let body = message.body();
    if body.signature() == &zbus::zvariant::Signature::Unit {
        return Ok(Vec::new());
    }
    let arguments: zbus::zvariant::Structure<'_> = body.deserialize()?;
    Ok(arguments.fields().iter().map(plain).collect())
}

/// Properties as JSON: `TerminalId` becomes `terminal-id`, the form of all other keys.
fn plain_properties(properties: HashMap<String, OwnedValue>) -> Map<String, Json> {
    let sorted: BTreeMap<String, OwnedValue> = properties.into_iter().collect();
    sorted.into_iter().map(|(key, value)| (hyphenated(&key), plain(&value))).collect()
}

/// `KeyCheckValues` → `key-check-values`.
fn hyphenated(name: &str) -> String {
    let mut out = String::with_capacity(name.len().saturating_add(4));
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A value of the bus as JSON. File descriptors, which no property holds, are null.
fn plain(value: &Value<'_>) -> Json {
    match value {
        Value::U8(n) => (*n).into(),
        Value::Bool(b) => (*b).into(),
        Value::I16(n) => (*n).into(),
        Value::U16(n) => (*n).into(),
        Value::I32(n) => (*n).into(),
        Value::U32(n) => (*n).into(),
        Value::I64(n) => (*n).into(),
        Value::U64(n) => (*n).into(),
        Value::F64(n) => (*n).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Signature(signature) => signature.to_string().into(),
        Value::ObjectPath(path) => path.as_str().into(),
        Value::Value(inner) => plain(inner),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Dict(dict) => {
            let key = |key: &Value<'_>| match plain(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            let sorted: BTreeMap<String, Json> = dict.iter().map(|(k, v)| (key(k), plain(v))).collect();
            Json::Object(sorted.into_iter().collect())
        }
        Value::Structure(fields) => fields.fields().iter().map(plain).collect(),
        Value::Fd(_) => Json::Null,
    }
}

/// Reads the next item of a stream.
pub(crate) async fn next<S>(stream: &mut S) -> Option<S::Item>
where
    S: zbus::export::futures_core::Stream + Unpin,
{
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *stream).poll_next(cx)).await
}

/// Texts and numbers of a JSON object of ours, with nothing in place of what is absent.
pub(crate) trait Fields {
    /// A text, empty if absent.
    fn text(&self, key: &str) -> &str;
    /// A number, 0 if absent.
    fn number(&self, key: &str) -> u64;
    /// An amount, 0 if absent.
    fn minor(&self, key: &str) -> i64;
    /// A yes or no, no if absent.
    fn yes(&self, key: &str) -> bool;
}

impl Fields for Map<String, Json> {
    fn text(&self, key: &str) -> &str {
        self.get(key).and_then(Json::as_str).unwrap_or_default()
    }

    fn number(&self, key: &str) -> u64 {
        self.get(key).and_then(Json::as_u64).unwrap_or_default()
    }

    fn minor(&self, key: &str) -> i64 {
        self.get(key).and_then(Json::as_i64).unwrap_or_default()
    }

    fn yes(&self, key: &str) -> bool {
        self.get(key).and_then(Json::as_bool).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_the_bus_become_plain_json() {
        let mut counts: HashMap<String, u32> = HashMap::new();
        counts.insert("sale".to_owned(), 3);
        assert_eq!(plain(&Value::from(counts)), json!({ "sale": 3 }));
        assert_eq!(plain(&Value::from((1_u32, 2_u32))), json!([1, 2]));
        assert_eq!(plain(&Value::from(vec!["a", "b"])), json!(["a", "b"]));
        assert_eq!(plain(&Value::new(Value::from("inner"))), json!("inner"));
        assert_eq!(hyphenated("KeyCheckValues"), "key-check-values");
    }
}

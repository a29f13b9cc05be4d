//! A client on a shop's bus, with an agent that types the PIN and looks at the signature. Measurements and the storm
//! sell with it.
//!
//! It speaks the contract by its names, as a client in any language does; it shares nothing with the daemon but the
//! bus.
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, Write as _};
use std::time::Duration;
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::message::Type;
use zbus::zvariant::{DynamicType, Fd, ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, MatchRule, Message, MessageStream};

/// Name of the daemon, and the first part of its interfaces.
const BUS_NAME: &str = "org.posd.Pos1";
/// The object with everything but transactions.
pub(super) const ROOT: &str = "/org/posd/Pos1";
/// Interface of properties.
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const AGENT: &str = "/till/agent";
/// The PIN of every card.
const PIN: &[u8] = b"123456";

/// Options of a call.
pub(super) type Options<'a> = HashMap<&'a str, Value<'a>>;
/// What comes back.
pub(super) type Dict = HashMap<String, OwnedValue>;

/// A connection to the bus and what is heard on it.
pub(super) struct Client {
    bus: Connection,
    signals: MessageStream,
    owners: MessageStream,
    /// How long an answer or a signal may take.
    patience: Duration,
}

impl Client {
    /// Connects; the daemon need not be there.
    pub(super) async fn connect(address: &str, patience: Duration) -> Result<Self, Error> {
        let bus = zbus::connection::Builder::address(address)
            .and_then(|builder| builder.serve_at(AGENT, Agent))
            .map_err(Error::other)?
            // Over TCP, too, whoever forwards it stands for us.
            .auth_mechanism(zbus::AuthMechanism::External)
            .build()
            .await
            .map_err(Error::other)?;
        // Of the bus only the change of the name's owner is of interest, and that is rare.
        let mine =
            MatchRule::builder().msg_type(Type::Signal).path_namespace(ROOT).map_err(Error::other)?.build();
        let owner = MatchRule::builder()
            .msg_type(Type::Signal)
            .interface("org.freedesktop.DBus")
            .and_then(|rule| rule.member("NameOwnerChanged"))
            .and_then(|rule| rule.arg(0, BUS_NAME))
            .map_err(Error::other)?
            .build();
        let owners = MessageStream::for_match_rule(owner, &bus, Some(64)).await.map_err(Error::other)?;
        let signals = MessageStream::for_match_rule(mine, &bus, Some(1024)).await.map_err(Error::other)?;
        Ok(Self { bus, signals, owners, patience })
    }

    /// Waits until the daemon answers.
    pub(super) async fn until_it_answers(&mut self) -> Result<(), Error> {
        while self.property::<String>(ROOT, "Manager", "State").await.is_err() {
            within(self.patience, "the daemon", self.owners.next()).await?;
        }
        Ok(())
    }

    /// Waits until the daemon has lost its name.
    pub(super) async fn until_it_is_gone(&mut self) -> Result<(), Error> {
        loop {
            let closed = || Error::other("the bus closed");
            let message = self.owners.next().await.ok_or_else(closed)?.map_err(Error::other)?;
            let (_, _, new): (String, String, String) = message.body().deserialize().map_err(Error::other)?;
            if new.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits until somebody serves the transactions of this user: an agent of another connection.
    pub(super) async fn until_served(&mut self) -> Result<(), Error> {
        while self.property::<String>(ROOT, "Manager", "CurrentAgent").await?.is_empty() {
            self.next_signal("an agent").await?;
        }
        Ok(())
    }

    /// The agent serves the transactions of this client.
    pub(super) async fn register_agent(&self) -> Result<(), Error> {
        let agent = ObjectPath::from_static_str_unchecked(AGENT);
        let capable = Options::from([("capabilities", Value::from(vec!["RequestPin", "ConfirmSignature"]))]);
        self.call(ROOT, "Manager", "RegisterAgent", &(agent, capable)).await.map(drop)
    }

    /// Opens a session for an operator.
    pub(super) async fn sign_on_operator(&self, operator: &str, password: &[u8]) -> Result<(), Error> {
        let session = (operator, secret(password)?, Options::new());
        self.call(ROOT, "Operators", "SignOn", &session).await.map(drop)
    }

    /// Waits until the daemon has found its reader: after a start it looks for one while it already answers.
    pub(super) async fn until_a_reader_is_there(&mut self) -> Result<(), Error> {
        loop {
            let reasons: Vec<String> = self.property(ROOT, "Manager", "StateReasons").await?;
            let blocked: HashMap<String, String> = self.property(ROOT, "Manager", "BlockedReasons").await?;
            let mut words = reasons.iter().chain(blocked.values());
            if !words.any(|word| word == "no-reader") {
                return Ok(());
            }
            self.next_signal("a card reader").await?;
        }
    }

    /// Waits until the terminal is signed on at the bank and takes sales.
    pub(super) async fn until_sales_are_taken(&mut self) -> Result<(), Error> {
        loop {
            let signed_on: bool = self.property(ROOT, "Host", "SignedOn").await?;
            let blocked: HashMap<String, String> = self.property(ROOT, "Manager", "BlockedReasons").await?;
            if signed_on && !blocked.contains_key("sale") {
                return Ok(());
            }
            self.next_signal("the sign-on at the bank").await?;
        }
    }

    /// Waits until the terminal is signed on at the bank.
    pub(super) async fn until_signed_on(&mut self) -> Result<(), Error> {
        while !self.property::<bool>(ROOT, "Host", "SignedOn").await? {
            self.next_signal("the sign-on at the bank").await?;
        }
        Ok(())
    }

    /// Starts a transaction; its path.
    pub(super) async fn start(
        &self,
        request: &str,
        kind: &str,
        amount: i64,
        options: Options<'_>,
    ) -> Result<OwnedObjectPath, Error> {
        let start = (request, kind, amount, "CNY", options);
        let reply = self.call(ROOT, "Manager", "StartTransaction", &start).await?;
        reply.body().deserialize().map_err(Error::other)
    }

    /// Waits for the end of a job: its state and result.
    pub(super) async fn job(&mut self, path: &OwnedObjectPath) -> Result<(String, Dict), Error> {
        // It may have ended before we listened for it: properties tell, signals only wake.
        loop {
            let state: String = self.property(path, "Job", "State").await?;
            if !["queued", "running"].contains(&state.as_str()) {
                let result: Dict = self.property(path, "Job", "Result").await?;
                return Ok((state, result));
            }
            self.next_signal("the end of a job").await?;
        }
    }

    /// Reads a property of an interface of the daemon.
    pub(super) async fn property<T: TryFrom<OwnedValue>>(
        &self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<T, Error> {
        let whose = (format!("{BUS_NAME}.{interface}"), name);
        let reply = self.call(path, PROPERTIES, "Get", &whose).await?;
        let value: OwnedValue = reply.body().deserialize().map_err(Error::other)?;
        T::try_from(value).map_err(|_| Error::other(format!("{interface}.{name} has another type")))
    }

    /// Calls a method; an interface without dots is one of the daemon's own.
    pub(super) async fn call<B>(
        &self,
        path: &str,
        interface: &str,
        method: &str,
        body: &B,
    ) -> Result<Message, Error>
    where
        B: Serialize + DynamicType,
    {
        let own = format!("{BUS_NAME}.{interface}");
        let interface = if interface.contains('.') { interface } else { own.as_str() };
        let reply = self.bus.call_method(Some(BUS_NAME), path, Some(interface), method, body);
        within(self.patience, method, reply)
            .await?
            .map_err(|error| Error::other(format!("{method}: {error}")))
    }

    /// Waits for the next signal of this name from an object.
    pub(super) async fn signal<T>(&mut self, path: &OwnedObjectPath, name: &str) -> Result<T, Error>
    where
        T: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        loop {
            let message = self.next_signal(name).await?;
            let header = message.header();
            if header.path() == Some(&**path) && header.member().is_some_and(|member| *member == name) {
                return message.body().deserialize().map_err(Error::other);
            }
        }
    }

    /// Waits for the next signal of the daemon, whichever it is.
    pub(super) async fn next_signal(&mut self, what: &str) -> Result<Message, Error> {
        let closed = || Error::other(format!("the bus closed while {what} was waited for"));
        within(self.patience, what, self.signals.next()).await?.ok_or_else(closed)?.map_err(Error::other)
    }
}

async fn within<T>(patience: Duration, what: &str, event: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(patience, event)
        .await
        .map_err(|_| Error::other(format!("{what} did not come in {} s", patience.as_secs())))
}

/// A secret as an argument.
pub(super) fn secret(bytes: &[u8]) -> Result<Fd<'static>, Error> {
    sealed(bytes).map(Fd::from)
}

/// The customer, who knows the PIN, and the cashier, who trusts every signature but those under an odd amount: whoever
/// starts a transaction decides with its amount, wherever the agent is.
struct Agent;

#[zbus::interface(name = "org.posd.Pos1.Agent")]
impl Agent {
    #[allow(clippy::unused_async, reason = "the interface is asynchronous")]
    async fn request_pin(&self, _transaction: OwnedObjectPath, _options: Dict) -> zbus::fdo::Result<OwnedFd> {
        sealed(PIN).map(OwnedFd::from).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }

    async fn confirm_signature(
        &self,
        transaction: OwnedObjectPath,
        _options: Dict,
        #[zbus(connection)] bus: &Connection,
    ) -> zbus::fdo::Result<bool> {
        let whose = (format!("{BUS_NAME}.Transaction"), "Amount");
        let reply = bus.call_method(Some(BUS_NAME), &transaction, Some(PROPERTIES), "Get", &whose).await?;
        let amount: OwnedValue = reply.body().deserialize()?;
        let amount = i64::try_from(amount).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))?;
        Ok(amount % 2 == 0)
    }
}

/// A memory file that nobody can change any more: how secrets travel.
fn sealed(secret: &[u8]) -> Result<std::os::fd::OwnedFd, Error> {
    let mut file = File::from(memfd_create("secret", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(secret)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file.into())
}

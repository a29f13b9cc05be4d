//! The till that is measured with: a client of its own on the shop's bus, with an agent that types the PIN.
//!
//! It speaks the contract by its names, as a client in any language does; it shares nothing with the daemon but the
//! bus. It sells; it does not measure.
use crate::sim::shop::{Shop, WAIT_MAX};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Error, Write as _};
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::message::Type;
use zbus::zvariant::{DynamicType, Fd, ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, MatchRule, Message, MessageStream};

/// Name of the daemon, and the first part of its interfaces.
const BUS_NAME: &str = "org.posd.Pos1";
/// The object with everything but transactions.
const ROOT: &str = "/org/posd/Pos1";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const PEER: &str = "org.freedesktop.DBus.Peer";
const AGENT: &str = "/till/agent";
/// The card of every sale, and its PIN.
const CARD: &str = "unionpay";
const PIN: &[u8] = b"123456";
/// First amount; each sale costs one fen more, so that no two look like one.
const PRICE: i64 = 1250;

type Options<'a> = HashMap<&'a str, Value<'a>>;
type Dict = HashMap<String, OwnedValue>;

/// A till with its daemon behind it.
pub(super) struct Till {
    bus: Connection,
    signals: MessageStream,
    sold: u32,
}

impl Till {
    /// Comes to work: waits for the daemon, gives the operator a password of his own, signs on, waits until sales are
    /// possible.
    pub(super) async fn open(shop: &Shop) -> Result<Self, Error> {
        let bus = zbus::connection::Builder::address(shop.address.as_str())
            .map_err(Error::other)?
            .serve_at(AGENT, Agent)
            .map_err(Error::other)?
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
        let mut owners = MessageStream::for_match_rule(owner, &bus, Some(4)).await.map_err(Error::other)?;
        let signals = MessageStream::for_match_rule(mine, &bus, Some(1024)).await.map_err(Error::other)?;
        let mut till = Self { bus, signals, sold: 0 };
        while till.property::<String>(ROOT, "Manager", "State").await.is_err() {
            within("the daemon", owners.next()).await?;
        }
        till.sign_on().await?;
        Ok(till)
    }

    async fn sign_on(&mut self) -> Result<(), Error> {
        let none = Options::new;
        let secret = |bytes| sealed(bytes).map(Fd::from);
        let change = ("01", secret(b"0000")?, secret(b"246810")?, none());
        self.call(ROOT, "org.posd.Pos1.Operators", "ChangePassword", &change).await?;
        let sign_on = ("01", secret(b"246810")?, none());
        self.call(ROOT, "org.posd.Pos1.Operators", "SignOn", &sign_on).await?;
        let agent = ObjectPath::from_static_str_unchecked(AGENT);
        let capable = Options::from([("capabilities", Value::from(vec!["RequestPin"]))]);
        self.call(ROOT, "org.posd.Pos1.Manager", "RegisterAgent", &(agent, capable)).await?;
        loop {
            let signed_on: bool = self.property(ROOT, "Host", "SignedOn").await?;
            let blocked: HashMap<String, String> = self.property(ROOT, "Manager", "BlockedReasons").await?;
            if signed_on && !blocked.contains_key("sale") {
                return Ok(());
            }
            self.next_signal("the sign-on at the bank").await?;
        }
    }

    /// One sale, from the card going in to the last ply and the card out. It must be approved.
    pub(super) async fn sell(&mut self, shop: &Shop) -> Result<(), Error> {
        self.sold += 1;
        let request = format!("bench-{}", self.sold);
        let price = PRICE + i64::from(self.sold);
        shop.bench.insert(CARD)?;
        let start = (request.as_str(), "sale", price, "CNY", Options::new());
        let reply = self.call(ROOT, "org.posd.Pos1.Manager", "StartTransaction", &start).await?;
        let path: OwnedObjectPath = reply.body().deserialize().map_err(Error::other)?;
        let (outcome, _): (String, Dict) = self.signal(&path, "Finished").await?;
        if outcome != "approved" {
            return Err(Error::other(format!("{request} was {outcome}")));
        }
        shop.bench.remove()?;
        loop {
            let (_, state, _, _): (String, String, String, u64) = self.signal(&path, "StateChanged").await?;
            if state == "finished" {
                return Ok(());
            }
        }
    }

    /// The smallest call there is.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.call(ROOT, PEER, "Ping", &()).await.map(drop)
    }

    /// A read of `Manager.State`.
    pub(super) async fn read_state(&self) -> Result<(), Error> {
        self.call(ROOT, PROPERTIES, "Get", &("org.posd.Pos1.Manager", "State")).await.map(drop)
    }

    async fn property<T: TryFrom<OwnedValue>>(
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

    async fn call<B>(&self, path: &str, interface: &str, method: &str, body: &B) -> Result<Message, Error>
    where
        B: Serialize + DynamicType,
    {
        let reply = self.bus.call_method(Some(BUS_NAME), path, Some(interface), method, body);
        within(method, reply).await?.map_err(|error| Error::other(format!("{method}: {error}")))
    }

    /// Waits for the next signal of this name from an object.
    async fn signal<T>(&mut self, path: &OwnedObjectPath, name: &str) -> Result<T, Error>
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

    async fn next_signal(&mut self, what: &str) -> Result<Message, Error> {
        let closed = || Error::other(format!("the bus closed while {what} was waited for"));
        within(what, self.signals.next()).await?.ok_or_else(closed)?.map_err(Error::other)
    }
}

async fn within<T>(what: &str, event: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(WAIT_MAX, event)
        .await
        .map_err(|_| Error::other(format!("{what} did not come in {} s", WAIT_MAX.as_secs())))
}

/// The customer: knows the PIN.
struct Agent;

#[zbus::interface(name = "org.posd.Pos1.Agent")]
impl Agent {
    #[allow(clippy::unused_async, reason = "the interface is asynchronous")]
    async fn request_pin(&self, _transaction: OwnedObjectPath, _options: Dict) -> zbus::fdo::Result<OwnedFd> {
        sealed(PIN).map(OwnedFd::from).map_err(|error| zbus::fdo::Error::Failed(error.to_string()))
    }
}

/// A memory file that nobody can change any more: how secrets travel.
fn sealed(secret: &[u8]) -> Result<std::os::fd::OwnedFd, Error> {
    let mut file = File::from(memfd_create("secret", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(secret)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK)?;
    Ok(file.into())
}

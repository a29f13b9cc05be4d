//! Links over NetworkManager and ModemManager: one task that tells all links at each change and does the few things
//! that are asked of it. NetworkManager owns the connections; ModemManager is only read, and resets a modem.
//!
//! Both may be absent, come late or start again: nothing is ever waited for, and nobody is started by being asked. A
//! bus that breaks is connected to anew.
mod facts;
mod proxies;
mod read;
mod wifi;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use zbus::export::ordered_stream::OrderedStreamExt as _;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};
use zbus::{Connection, MatchRule, MessageStream, connection};

use crate::domain::link::{LinkFacts, LinkKind, LinkName};
use crate::ports::{JoinRequest, LinkCommand, LinkEvent, LinkFault};
use proxies::{Bag, DEVICE, MM, MM_PATH, ModemProxy, NM, NM_ADDRESSES, NM_DEVICES, NM_PATH};
use read::{Known, Names};
use wifi::Joined;

/// Commands that may wait.
const COMMANDS_MAX: usize = 8;
/// Signals that may wait; more of them say the same: look again.
const SIGNALS_MAX: usize = 32;
/// Between a signal and the look that it causes: managers tell one change in many signals.
const CALM: Duration = Duration::from_millis(150);
/// How long one look, or one small wish, may take.
const CALL_MAX: Duration = Duration::from_secs(10);
/// Before a bus that is not there is tried again.
const BUS_AGAIN: Duration = Duration::from_secs(30);
/// Between looks although nobody told anything: strength of signals, bytes. Choice.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// Starts the task on the current runtime and gives its command queue (8 places). It ends when all senders of
/// commands are gone or nobody takes events any more. `address`: of the bus; `None` = the system bus, or
/// `DBUS_SYSTEM_BUS_ADDRESS`.
pub fn start(address: Option<String>, events: mpsc::Sender<LinkEvent>) -> mpsc::Sender<LinkCommand> {
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let task = Task { address, commands, events, names: Names::default(), known: Vec::new(), joined: None };
    tokio::spawn(task.run());
    sender
}

struct Task {
    address: Option<String>,
    commands: mpsc::Receiver<LinkCommand>,
    events: mpsc::Sender<LinkEvent>,
    names: Names,
    known: Vec<Known>,
    joined: Option<Joined>,
}

/// The engine has ended, and so does the task.
struct EngineGone;

impl Task {
    async fn run(mut self) {
        loop {
            let ended = match self.connect().await {
                Ok((bus, signals)) => self.serve(&bus, signals).await,
                Err(error) => {
                    tracing::info!(%error, "no bus for links");
                    Ok(())
                }
            };
            if ended.is_err() || self.without_bus().await.is_err() {
                return;
            }
        }
    }

    async fn connect(&self) -> zbus::Result<(Connection, MessageStream)> {
        let builder = match &self.address {
            Some(address) => connection::Builder::address(address.as_str())?,
            None => connection::Builder::system()?,
        };
        let bus = builder.build().await?;
        let signals = signals(&bus).await?;
        Ok((bus, signals))
    }

    /// Until the bus is tried again, wishes are answered.
    async fn without_bus(&mut self) -> Result<(), EngineGone> {
        self.joined = None;
        self.tell_links(Vec::new()).await?;
        let again = Instant::now() + BUS_AGAIN;
        loop {
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.refuse(command).await?,
                    None => return Err(EngineGone),
                },
                () = tokio::time::sleep_until(again) => return Ok(()),
            }
        }
    }

    async fn refuse(&self, command: LinkCommand) -> Result<(), EngineGone> {
        let fault = LinkFault::NoManager;
        match command {
            LinkCommand::Reconnect(_) | LinkCommand::Reset(_) => Ok(()),
            LinkCommand::Scan { id } => self.tell(LinkEvent::Scanned { id, result: Err(fault) }).await,
            LinkCommand::Join { id, .. } => self.tell(LinkEvent::Joined { id, result: Err(fault) }).await,
            LinkCommand::Keep { id } => self.tell(LinkEvent::Kept { id, result: Err(fault) }).await,
            LinkCommand::RollBack { id } => self.tell(LinkEvent::RolledBack { id }).await,
        }
    }

    /// Tells links and does wishes until the bus breaks.
    async fn serve(&mut self, bus: &Connection, mut signals: MessageStream) -> Result<(), EngineGone> {
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                () = bus.closed() => return Ok(()),
                command = self.commands.recv() => {
                    let Some(command) = command else { return Err(EngineGone) };
                    self.obey(bus, command).await?;
                    look_at = look_at.min(Instant::now() + CALM);
                }
                signal = signals.next() => match signal {
                    Some(_) => look_at = look_at.min(Instant::now() + CALM),
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(look_at) => {
                    self.look(bus).await?;
                    look_at = Instant::now() + LOOK_EVERY;
                }
            }
        }
    }

    /// Reads everything and tells it. A manager that does not answer has no links.
    async fn look(&mut self, bus: &Connection) -> Result<(), EngineGone> {
        let known = match timeout(CALL_MAX, read::all(bus, &mut self.names)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                tracing::info!(%error, "links cannot be read");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!("the manager of links does not answer");
                Vec::new()
            }
        };
        self.tell_links(known).await
    }

    async fn tell_links(&mut self, known: Vec<Known>) -> Result<(), EngineGone> {
        let facts = |known: &[Known]| known.iter().map(|link| link.facts.clone()).collect::<Vec<LinkFacts>>();
        let (old, new) = (facts(&self.known), facts(&known));
        self.known = known;
        if old == new { Ok(()) } else { self.tell(LinkEvent::Seen(new)).await }
    }

    async fn tell(&self, event: LinkEvent) -> Result<(), EngineGone> {
        self.events.send(event).await.map_err(|_| EngineGone)
    }

    fn find(&self, name: LinkName) -> Option<&Known> {
        self.known.iter().find(|known| known.facts.name == name)
    }

    fn wifi(&self) -> Option<(LinkName, OwnedObjectPath)> {
        let known = self.known.iter().find(|known| known.facts.name.kind == LinkKind::Wifi)?;
        Some((known.facts.name, known.device.clone()?))
    }

    async fn obey(&mut self, bus: &Connection, command: LinkCommand) -> Result<(), EngineGone> {
        match command {
            LinkCommand::Reconnect(name) => {
                let device = self.find(name).and_then(|known| known.device.clone());
                let done = timeout(CALL_MAX, reconnect(bus, device)).await;
                logged(name, "reconnected", done.unwrap_or(Err(zbus::Error::InvalidReply)));
                Ok(())
            }
            LinkCommand::Reset(name) => {
                let modem = self.find(name).and_then(|known| known.modem.clone());
                let done = timeout(CALL_MAX, reset(bus, modem)).await;
                logged(name, "reset", done.unwrap_or(Err(zbus::Error::InvalidReply)));
                Ok(())
            }
            LinkCommand::Scan { id } => {
                let result = match self.wifi() {
                    Some((_, device)) => wifi::scan(bus, &device).await,
                    None => Err(self.no_wifi(bus).await),
                };
                self.tell(LinkEvent::Scanned { id, result }).await
            }
            LinkCommand::Join { id, wanted } => self.join(bus, id, &wanted).await,
            LinkCommand::Keep { id } => {
                let result = match self.joined.take_if(|joined| joined.id == id) {
                    Some(joined) => wifi::keep(bus, &joined).await,
                    None => Err(LinkFault::Timeout),
                };
                self.tell(LinkEvent::Kept { id, result }).await
            }
            LinkCommand::RollBack { id } => {
                if let Some(joined) = self.joined.take_if(|joined| joined.id == id) {
                    wifi::roll_back(bus, &joined).await;
                }
                self.tell(LinkEvent::RolledBack { id }).await
            }
        }
    }

    async fn join(&mut self, bus: &Connection, id: u64, wanted: &JoinRequest) -> Result<(), EngineGone> {
        let result = match self.wifi() {
            Some((name, device)) => match wifi::join(bus, &device, id, wanted).await {
                Ok(joined) => {
                    self.joined = Some(joined);
                    Ok(name)
                }
                Err(fault) => Err(fault),
            },
            None => Err(self.no_wifi(bus).await),
        };
        // The link's facts first: who hears that it is joined may use it at once.
        self.look(bus).await?;
        self.tell(LinkEvent::Joined { id, result }).await
    }

    async fn no_wifi(&self, bus: &Connection) -> LinkFault {
        match read::is_there(bus, NM).await {
            Ok(true) => LinkFault::NoWifi,
            Ok(false) | Err(_) => LinkFault::NoManager,
        }
    }
}

/// Everything that may mean a change. Access points are not listened to: their strength changes all the time.
async fn signals(bus: &Connection) -> zbus::Result<MessageStream> {
    let properties = "org.freedesktop.DBus.Properties";
    let from = |sender| MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(sender);
    let rules = [
        from(NM)?.path(NM_PATH)?.build(),
        from(NM)?.interface(properties)?.path_namespace(NM_DEVICES)?.build(),
        from(NM)?.interface(DEVICE)?.build(),
        from(NM)?.interface(properties)?.path_namespace(NM_ADDRESSES)?.build(),
        from(MM)?.path_namespace(MM_PATH)?.build(),
    ];
    let names = zbus::fdo::DBusProxy::builder(bus).cache_properties(CacheProperties::No).build().await?;
    for rule in rules {
        names.add_match_rule(rule).await?;
    }
    for service in [NM, MM] {
        let owner = from("org.freedesktop.DBus")?.member("NameOwnerChanged")?.arg(0, service)?.build();
        names.add_match_rule(owner).await?;
    }
    // All that comes is a signal of one of the rules: this connection has no other use.
    let any = MatchRule::builder().msg_type(zbus::message::Type::Signal).build();
    MessageStream::for_match_rule(any, bus, Some(SIGNALS_MAX)).await
}

/// Has NetworkManager set a link up anew, with the profile it has or the best one it knows.
async fn reconnect(bus: &Connection, device: Option<OwnedObjectPath>) -> zbus::Result<()> {
    let Some(device) = device else { return Ok(()) };
    let none = ObjectPath::from_static_str_unchecked("/");
    let active = Bag::read(bus, NM, &device, DEVICE).await?.object("ActiveConnection");
    let profile = match active {
        Some(active) => Bag::read(bus, NM, &active, proxies::ACTIVE).await?.object("Connection"),
        None => None,
    };
    let profile = profile.map_or_else(|| none.clone(), |profile| profile.into_inner());
    read::manager(bus).await?.activate_connection(&profile, &device, &none).await.map(drop)
}

async fn reset(bus: &Connection, modem: Option<OwnedObjectPath>) -> zbus::Result<()> {
    let Some(modem) = modem else { return Ok(()) };
    let proxy = ModemProxy::builder(bus).path(modem)?.cache_properties(CacheProperties::No).build().await?;
    proxy.reset().await
}

fn logged(link: LinkName, what: &str, done: zbus::Result<()>) {
    match done {
        Ok(()) => tracing::warn!(%link, what, "a link that does not work is put right"),
        Err(error) => tracing::warn!(%link, what, %error, "a link could not be put right"),
    }
}

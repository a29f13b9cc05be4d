//! The D-Bus objects of `org.posd.Pos1`: they translate between the bus and the engine, and decide nothing.
//!
//! Interface methods check the form of their arguments and the caller's right, pass a message on and wait for
//! its answer. They take `&self` only: in zbus a `&mut self` method holds a write lock, under which one slow
//! call freezes the tree for every client. Property getters read the last view and ask nobody. One task, the
//! publisher, adds and removes objects and sends all signals. The contract is
//! `systemd/dbus/org.posd.Pos1.xml`.
mod agent_call;
mod agents;
mod auth;
mod auth_lookup;
mod config;
mod desk;
mod devices;
mod error;
mod export;
mod free_text;
mod host;
mod inhibit;
mod job;
mod ledger;
mod maintenance;
mod manager;
mod network;
mod operators;
mod options;
mod path;
mod print_job;
pub mod proxy;
mod published;
mod publisher;
mod queue;
mod row;
mod secret_fd;
mod start;
mod transaction;

pub use agent_call::{AGENT_INTERFACE, Capability};
pub use auth::{Action, Security};
pub use error::{ERROR_PREFIX, error_name};

use crate::engine::handle::{AgentCommand, AgentEvent, EngineHandle, Notice};
use agents::AgentsKeeper;
use auth::GateKeeper;
use auth_lookup::Lookup;
use desk::Desk;
use proxy::{BUS_NAME, OBJECT_MANAGER_PATH};
use publisher::Publisher;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream, ObjectManager, RequestNameFlags};
use zbus::proxy::CacheProperties;
use zbus::{Connection, connection};
use zbus_polkit::policykit1::{AuthorityProxy, ChangedStream};

/// For agents to be told that the terminal stops.
const RELEASE_WAIT: Duration = Duration::from_secs(1);

/// What the daemon hands in.
#[derive(Debug)]
pub struct Parts {
    /// The engine's front door.
    pub engine: EngineHandle,
    /// What the engine tells; the api ends when it is closed.
    pub notices: mpsc::Receiver<Notice>,
    /// The other end of [`Parts::notices`], for [`Notice::Barrier`].
    pub barriers: mpsc::WeakSender<Notice>,
    /// What the engine wants of agents.
    pub agent_commands: mpsc::Receiver<AgentCommand>,
    /// What agents said; 16 places are enough.
    pub agent_events: mpsc::Sender<AgentEvent>,
    /// How callers are judged.
    pub security: Security,
    /// Address of the bus; `None` = the system bus, or `DBUS_SYSTEM_BUS_ADDRESS`.
    pub address: Option<String>,
    /// Fires when recovery is done: only then the name is requested.
    pub recovered: oneshot::Receiver<()>,
    /// Fired when the name is owned.
    pub ready: oneshot::Sender<()>,
}

/// Why the api ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No bus.
    #[error("cannot connect to the bus: {0}")]
    Connect(#[source] zbus::Error),
    /// Another daemon runs on this bus.
    #[error("the name {BUS_NAME} is taken: another posd runs on this bus")]
    NameTaken,
    /// The bus does not give the name.
    #[error("the bus does not give the name {BUS_NAME}: {0}; is its policy file installed?")]
    NameRefused(#[source] zbus::Error),
    /// The connection broke.
    #[error("the connection to the bus is lost")]
    Lost,
    /// The bus refused something else.
    #[error("the bus refused: {0}")]
    Bus(#[from] zbus::Error),
}

/// Puts everything on the bus and serves until the engine closes its notices.
///
/// Objects are registered before the name is requested, and the name is requested after recovery, so that a
/// client that sees the name sees a terminal that is whole.
///
/// # Errors
/// [`ServeError`]; after any of them the daemon should end and be restarted.
pub async fn serve(parts: Parts) -> Result<(), ServeError> {
    let bus = connect(parts.address.as_deref()).await.map_err(ServeError::Connect)?;
    let names = DBusProxy::builder(&bus).cache_properties(CacheProperties::No).build().await?;
    let polkit = AuthorityProxy::builder(&bus).cache_properties(CacheProperties::No).build().await?;
    let polkit_changes = polkit_changes(&polkit, parts.security).await?;

    let lookup = Lookup::new(names.clone(), polkit, parts.security);
    let (gate, gate_keeper, permissions) = GateKeeper::new(lookup);
    let (agents, agents_keeper, agents_view) =
        AgentsKeeper::new(bus.clone(), names.clone(), parts.agent_events);
    let gate_task = tokio::spawn(gate_keeper.run(vanishing(&names).await?, polkit_changes));
    let _end_with_this = AbortOnDrop(gate_task.abort_handle());
    let agents_task = tokio::spawn(agents_keeper.run(parts.agent_commands, vanishing(&names).await?));

    let desk = Desk { engine: parts.engine, gate, agents, notices: parts.barriers };
    let publisher = Publisher::start(bus.clone(), desk, agents_view, permissions).await?;
    let published = async {
        let name = take_name(&bus, parts.recovered, parts.ready);
        let publish = async { publisher.run(parts.notices).await.map_err(ServeError::from) };
        tokio::try_join!(publish, name).map(drop)
    };
    let end = tokio::select! {
        end = published => end,
        () = bus.closed() => Err(ServeError::Lost),
    };
    stop(&bus, agents_task).await;
    end
}

/// Tells the agents, gives the name back and closes the connection.
async fn stop(bus: &Connection, agents: JoinHandle<()>) {
    let abort = agents.abort_handle();
    if timeout(RELEASE_WAIT, agents).await.is_err() {
        abort.abort();
    }
    // On a broken connection nothing of this works, and nothing of it is needed.
    drop(bus.clone().close().await);
}

async fn connect(address: Option<&str>) -> zbus::Result<Connection> {
    let builder = match address {
        Some(address) => connection::Builder::address(address)?,
        None => connection::Builder::system()?,
    };
    builder.serve_at(OBJECT_MANAGER_PATH, ObjectManager)?.build().await
}

/// Peers that leave the bus.
async fn vanishing(names: &DBusProxy<'static>) -> zbus::Result<NameOwnerChangedStream> {
    names.receive_name_owner_changed_with_args(&[(2, "")]).await
}

/// polkit's signal that its answers may differ from now on.
async fn polkit_changes(
    polkit: &AuthorityProxy<'static>,
    security: Security,
) -> zbus::Result<Option<ChangedStream>> {
    if security.polkit { polkit.receive_changed().await.map(Some) } else { Ok(None) }
}

/// Requests the name after recovery; no queue, no replacement.
async fn take_name(
    bus: &Connection,
    recovered: oneshot::Receiver<()>,
    ready: oneshot::Sender<()>,
) -> Result<(), ServeError> {
    if recovered.await.is_err() {
        // The engine ends before it has recovered; the publisher will see that, too.
        return Ok(());
    }
    match bus.request_name_with_flags(BUS_NAME, RequestNameFlags::DoNotQueue.into()).await {
        Ok(_) => {
            // The daemon may not want to know.
            ready.send(()).ok();
            Ok(())
        }
        Err(zbus::Error::NameTaken) => Err(ServeError::NameTaken),
        Err(error) => Err(ServeError::NameRefused(error)),
    }
}

/// Ends a task together with the one that started it.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

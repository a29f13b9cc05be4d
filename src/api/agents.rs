//! The agents' keeper: which programs show prompts and take PINs, and which of them serves whom.
//!
//! A transaction is served by the starter's own agent, else by the newest agent of the starter's uid, else by the
//! newest that took over with a supervisor's leave, else by none. The keeper is one task and never waits for the bus
//! itself: each call runs in a task of its own and reports back. An answer that comes after its question was withdrawn
//! finds no question and is dropped.
use super::agent_call::{self, Address, CallEnd, Capability};
use super::row::Row;
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::TxnId;
use crate::engine::handle::{AgentAsk, AgentCommand, AgentEvent, Caller};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use zbus::Connection;
use zbus::export::ordered_stream::OrderedStreamExt;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::names::BusName;
use zbus::zvariant::OwnedObjectPath;

/// Agents registered at once.
const AGENTS_MAX: usize = 32;
/// Questions open at once. The engine has one transaction, so one or two are open.
const ASKS_MAX: usize = 8;
/// Prompts under way to one agent; further ones are left out until it answers.
const PROMPTS_MAX: usize = 4;
/// For a prompt to be taken.
const PROMPT_WAIT: Duration = Duration::from_secs(5);
/// For a question that came without a deadline.
const ASK_WAIT_MAX: Duration = Duration::from_secs(600);
/// For the bus to say whether a peer is there.
const BUS_WAIT: Duration = Duration::from_secs(5);
/// Requests of objects waiting for the keeper; callers wait for a place.
const REQUESTS: usize = 32;

/// In the place of an agent's number: none is left, and one may come before the deadline.
const NOBODY: u64 = 0;

/// An agent as `Manager.Agents` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AgentView {
    pub(super) address: Address,
    pub(super) uid: u32,
    pub(super) capabilities: Vec<Capability>,
    /// It took over: it serves the transactions of every user.
    pub(super) serves_all: bool,
}

/// What `Manager.CurrentAgent` and `Manager.Agents` show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AgentsView {
    /// Peer of the agent that is being asked, else of the newest; empty = none.
    pub(super) current: String,
    /// Oldest first.
    pub(super) all: Vec<AgentView>,
}

#[derive(Debug)]
enum Request {
    Register {
        caller: Caller,
        path: OwnedObjectPath,
        capabilities: Vec<Capability>,
        serves_all: bool,
        answer: Done,
    },
    Unregister {
        caller: Caller,
        path: OwnedObjectPath,
        answer: Done,
    },
    HasPinAgent {
        caller: Caller,
        answer: oneshot::Sender<bool>,
    },
    /// A call ended.
    CallEnded {
        id: u64,
        agent: u64,
        end: CallEnd,
    },
    /// A prompt was taken, or not in time.
    PromptEnded {
        agent: u64,
    },
    /// The bus does not know a peer that has just registered.
    PeerAbsent(String),
}

type Done = oneshot::Sender<Result<(), Fault>>;

/// The way to the keeper; cloned into the objects that need it.
#[derive(Clone, Debug)]
pub(super) struct Agents {
    requests: mpsc::Sender<Request>,
}

impl Agents {
    /// `RegisterAgent`.
    pub(super) async fn register(
        &self,
        caller: Caller,
        path: OwnedObjectPath,
        capabilities: Vec<Capability>,
        serves_all: bool,
    ) -> Result<(), Fault> {
        self.put(|answer| Request::Register { caller, path, capabilities, serves_all, answer }).await?
    }

    /// `UnregisterAgent`.
    pub(super) async fn unregister(&self, caller: Caller, path: OwnedObjectPath) -> Result<(), Fault> {
        self.put(|answer| Request::Unregister { caller, path, answer }).await?
    }

    /// True if an agent that can ask a PIN would serve this caller.
    pub(super) async fn has_pin_agent(&self, caller: &Caller) -> Result<bool, Fault> {
        self.put(|answer| Request::HasPinAgent { caller: caller.clone(), answer }).await
    }

    async fn put<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Fault> {
        let stopping = || Fault::new(FaultName::Failed, "the terminal is stopping");
        let (answer, wait) = oneshot::channel();
        self.requests.send(make(answer)).await.map_err(|_| stopping())?;
        wait.await.map_err(|_| stopping())
    }
}

#[derive(Debug)]
struct Registered {
    /// Counts up: tells agents apart, and which is newer.
    number: u64,
    view: AgentView,
    prompts: usize,
}

#[derive(Debug)]
struct Pending {
    txn: TxnId,
    starter: Caller,
    ask: AgentAsk,
    until: Instant,
    /// The agent that is being asked, or [`NOBODY`] while the next one is awaited.
    agent: u64,
    /// Agents that had no answer.
    tried: Vec<u64>,
    /// Ends with the answer, or when the question is withdrawn.
    call: Option<AbortHandle>,
}

impl Pending {
    fn abort(&self) {
        if let Some(call) = &self.call {
            call.abort();
        }
    }
}

fn unavailable(id: u64, why: impl Into<String>) -> AgentEvent {
    AgentEvent::Unavailable { id, why: why.into() }
}

fn tried_too(mut tried: Vec<u64>, agent: u64) -> Vec<u64> {
    if agent != NOBODY {
        tried.push(agent);
    }
    tried
}

/// The task behind [`Agents`].
pub(super) struct AgentsKeeper {
    bus: Connection,
    names: DBusProxy<'static>,
    agents: Vec<Registered>,
    last_number: u64,
    pending: BTreeMap<u64, Pending>,
    requests: mpsc::Receiver<Request>,
    reports: mpsc::WeakSender<Request>,
    events: mpsc::Sender<AgentEvent>,
    view: watch::Sender<Arc<AgentsView>>,
}

impl AgentsKeeper {
    /// Makes the pair, and the view for the Manager's properties.
    pub(super) fn new(
        bus: Connection,
        names: DBusProxy<'static>,
        events: mpsc::Sender<AgentEvent>,
    ) -> (Agents, Self, watch::Receiver<Arc<AgentsView>>) {
        let (sender, requests) = mpsc::channel(REQUESTS);
        let (view, watch) = watch::channel(Arc::default());
        let keeper = Self {
            bus,
            names,
            agents: Vec::new(),
            last_number: 0,
            pending: BTreeMap::new(),
            requests,
            reports: sender.downgrade(),
            events,
            view,
        };
        (Agents { requests: sender }, keeper, watch)
    }

    /// Runs until the engine closes its end; then tells all agents that the terminal stops.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<AgentCommand>,
        mut vanished: NameOwnerChangedStream,
    ) {
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                Some(request) = self.requests.recv() => self.take(request),
                Some(change) = vanished.next() => {
                    if let Ok(args) = change.args() {
                        self.drop_peer(args.name.as_str());
                    }
                }
            }
            self.publish();
        }
        for agent in &self.agents {
            agent_call::release(&self.bus, &agent.view.address).await;
        }
    }

    fn obey(&mut self, command: AgentCommand) {
        match command {
            AgentCommand::Ask { id, txn, starter, ask, deadline, remaining_ms } => {
                let until = Instant::now() + wait_of(deadline, remaining_ms);
                if self.pending.len() >= ASKS_MAX {
                    self.say(unavailable(id, "too many questions are open"));
                    return;
                }
                let tried = Vec::new();
                let pending = Pending { txn, starter, ask, until, agent: NOBODY, tried, call: None };
                self.ask_next(id, pending, false);
            }
            AgentCommand::Withdraw { id, txn, why } => {
                if let Some(pending) = self.pending.remove(&id) {
                    pending.abort();
                    if let Some(agent) = self.find(pending.agent) {
                        let (bus, address) = (self.bus.clone(), agent.view.address.clone());
                        tokio::spawn(async move { agent_call::withdraw(&bus, &address, &txn, why).await });
                    }
                }
            }
            AgentCommand::ShowPrompt { txn, starter, code, deadline, remaining_ms } => {
                let Some(report) = self.reports.upgrade() else { return };
                let serving = self.serving(&starter, Capability::ShowPrompt, &[]).map(|agent| agent.number);
                let serving = self.agents.iter_mut().find(|agent| Some(agent.number) == serving);
                let Some(agent) = serving.filter(|agent| agent.prompts < PROMPTS_MAX) else { return };
                agent.prompts += 1;
                let (bus, address, agent) = (self.bus.clone(), agent.view.address.clone(), agent.number);
                let options = time_options(deadline, remaining_ms);
                tokio::spawn(async move {
                    let until = Instant::now() + PROMPT_WAIT;
                    agent_call::show_prompt(&bus, &address, &txn, code, options, until).await;
                    report.send(Request::PromptEnded { agent }).await.ok();
                });
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            // Whoever asked may have gone: then nobody waits for the answer.
            Request::Register { caller, path, capabilities, serves_all, answer } => {
                answer.send(self.register(caller, path, capabilities, serves_all)).ok();
            }
            Request::Unregister { caller, path, answer } => {
                answer.send(self.unregister(Address { peer: caller.peer, path })).ok();
            }
            Request::HasPinAgent { caller, answer } => {
                answer.send(self.serving(&caller, Capability::RequestPin, &[]).is_some()).ok();
            }
            Request::CallEnded { id, agent, end } => self.call_ended(id, agent, end),
            Request::PromptEnded { agent } => {
                if let Some(agent) = self.agents.iter_mut().find(|known| known.number == agent) {
                    agent.prompts = agent.prompts.saturating_sub(1);
                }
            }
            Request::PeerAbsent(peer) => self.drop_peer(&peer),
        }
    }

    fn register(
        &mut self,
        caller: Caller,
        path: OwnedObjectPath,
        capabilities: Vec<Capability>,
        serves_all: bool,
    ) -> Result<(), Fault> {
        let address = Address { peer: caller.peer, path };
        if self.agents.iter().any(|agent| agent.view.address == address) {
            return Err(Fault::new(
                FaultName::AlreadyExists,
                "this agent is registered; unregister it first",
            ));
        }
        if self.agents.len() >= AGENTS_MAX {
            return Err(Fault::new(
                FaultName::TooMany,
                format!("{AGENTS_MAX} agents are registered; unregister one"),
            ));
        }
        self.last_number += 1;
        self.confirm_peer(address.peer.clone());
        let view = AgentView { address, uid: caller.uid, capabilities, serves_all };
        self.agents.push(Registered { number: self.last_number, view, prompts: 0 });
        self.ask_again();
        Ok(())
    }

    /// Asks what waits for an agent once more: one has come, perhaps after a crash of the shop's program.
    fn ask_again(&mut self) {
        let waiting = |pending: &Pending| pending.agent == NOBODY;
        let ids: Vec<u64> = self.pending.iter().filter(|(_, p)| waiting(p)).map(|(id, _)| *id).collect();
        for id in ids {
            self.call_ended(id, NOBODY, CallEnd::Gone);
        }
    }

    /// The peer may have left while its call was on the way here; its leaving was then told before it was
    /// known.
    fn confirm_peer(&self, peer: String) {
        let (names, reports) = (self.names.clone(), self.reports.clone());
        tokio::spawn(async move {
            let Ok(name) = BusName::try_from(peer.clone()) else { return };
            if let (Ok(Ok(false)), Some(report)) =
                (timeout(BUS_WAIT, names.name_has_owner(name)).await, reports.upgrade())
            {
                report.send(Request::PeerAbsent(peer)).await.ok();
            }
        });
    }

    fn unregister(&mut self, address: Address) -> Result<(), Fault> {
        let before = self.agents.len();
        self.drop_agents(|agent| agent.view.address == address);
        if self.agents.len() == before {
            return Err(Fault::new(FaultName::NotFound, "no agent is registered at this path by this peer"));
        }
        Ok(())
    }

    fn drop_peer(&mut self, peer: &str) {
        self.drop_agents(|agent| agent.view.address.peer == peer);
    }

    /// Forgets agents; what they were asked goes to the next ones.
    fn drop_agents(&mut self, gone: impl Fn(&Registered) -> bool) {
        let numbers: Vec<u64> =
            self.agents.iter().filter(|agent| gone(agent)).map(|agent| agent.number).collect();
        self.agents.retain(|agent| !numbers.contains(&agent.number));
        let orphans = |pending: &Pending| numbers.contains(&pending.agent);
        let ids: Vec<(u64, u64)> =
            self.pending.iter().filter(|(_, p)| orphans(p)).map(|(id, p)| (*id, p.agent)).collect();
        for (id, agent) in ids {
            self.call_ended(id, agent, CallEnd::Gone);
        }
    }

    fn call_ended(&mut self, id: u64, agent: u64, end: CallEnd) {
        // An answer to a question that is withdrawn, or asked of another agent by now, is late.
        if self.pending.get(&id).is_none_or(|pending| pending.agent != agent) {
            return;
        }
        let Some(pending) = self.pending.remove(&id) else { return };
        pending.abort();
        match end {
            CallEnd::Answered(answer) => self.say(AgentEvent::Answered { id, answer }),
            CallEnd::Broken(why) => self.say(unavailable(id, why)),
            CallEnd::TimedOut if agent == NOBODY => {
                self.say(unavailable(id, "the agent is gone, and no other came in time"));
            }
            CallEnd::TimedOut => self.say(unavailable(id, "the agent did not answer in time")),
            CallEnd::Gone | CallEnd::Lacking => {
                let may_wait = end == CallEnd::Gone;
                self.ask_next(id, Pending { tried: tried_too(pending.tried, agent), ..pending }, may_wait);
            }
        }
    }

    /// Asks the agent that serves now. Where there is none: `may_wait` until one comes, else unavailable.
    fn ask_next(&mut self, id: u64, mut pending: Pending, may_wait: bool) {
        let serving = self.serving(&pending.starter, Capability::of(&pending.ask), &pending.tried);
        let next = serving.map(|agent| (agent.number, agent.view.address.clone()));
        let Some(report) = self.reports.upgrade() else { return };
        let until = pending.until;
        let call = match next {
            Some((agent, address)) => {
                pending.agent = agent;
                let (bus, ask, txn) = (self.bus.clone(), pending.ask.clone(), pending.txn.clone());
                tokio::spawn(async move {
                    let end = agent_call::ask(&bus, &address, &txn, &ask, until).await;
                    report.send(Request::CallEnded { id, agent, end }).await.ok();
                })
            }
            None if may_wait => {
                pending.agent = NOBODY;
                tokio::spawn(async move {
                    tokio::time::sleep_until(until).await;
                    let end = CallEnd::TimedOut;
                    report.send(Request::CallEnded { id, agent: NOBODY, end }).await.ok();
                })
            }
            None => return self.say(unavailable(id, "no agent that can be asked serves this caller")),
        };
        pending.call = Some(call.abort_handle());
        self.pending.insert(id, pending);
    }

    /// The selection rule: the starter's own agent, else the newest of its uid, else the newest that took over.
    ///
    /// Choice: one that took over comes last, so that a shop whose own program still answers keeps it.
    fn serving(&self, starter: &Caller, need: Capability, tried: &[u64]) -> Option<&Registered> {
        let able =
            |agent: &&Registered| agent.view.capabilities.contains(&need) && !tried.contains(&agent.number);
        let newest_first = || self.agents.iter().rev().filter(able);
        newest_first()
            .find(|agent| agent.view.address.peer == starter.peer)
            .or_else(|| newest_first().find(|agent| agent.view.uid == starter.uid))
            .or_else(|| newest_first().find(|agent| agent.view.serves_all))
    }

    fn find(&self, number: u64) -> Option<&Registered> {
        self.agents.iter().find(|agent| agent.number == number)
    }

    /// Tells the engine. Its queue has room for more than the questions it can have open; should it be full
    /// all the same, the event waits in a task and the keeper goes on.
    fn say(&self, event: AgentEvent) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.events.try_send(event) {
            let events = self.events.clone();
            tokio::spawn(async move { events.send(event).await.ok() });
        }
    }

    fn publish(&self) {
        let asked = self.pending.values().next().and_then(|pending| self.find(pending.agent));
        let current = asked.or(self.agents.last()).map(|agent| agent.view.address.peer.clone());
        let all = self.agents.iter().map(|agent| agent.view.clone()).collect();
        let view = AgentsView { current: current.unwrap_or_default(), all };
        self.view.send_if_modified(|old| {
            let changed = **old != view;
            if changed {
                *old = Arc::new(view);
            }
            changed
        });
    }
}

fn wait_of(deadline: BootTime, remaining_ms: u32) -> Duration {
    if deadline == BootTime::default() {
        ASK_WAIT_MAX
    } else {
        Duration::from_millis(u64::from(remaining_ms)).min(ASK_WAIT_MAX)
    }
}

/// The options of prompts: when it ends; where nothing ends it, 0 ms and no deadline.
pub(super) fn time_options(deadline: BootTime, remaining_ms: u32) -> Row {
    let mut options = Row::from([("remaining-ms", remaining_ms.into())]);
    if deadline != BootTime::default() {
        options.insert("deadline", deadline.0.into());
    }
    options
}

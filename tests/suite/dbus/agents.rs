//! Agents: who is asked, how PINs come in, and what happens when an agent vanishes, cancels, lies or is late.
use super::world::*;
use posd::api::proxy::{ManagerProxy, Options};
use posd::domain::calendar::BootTime;
use posd::domain::emv::kernel::{Candidate, PinKind};
use posd::domain::emv::params::Aid;
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::Prompt;
use posd::domain::secret::ClearPin;
use posd::domain::txn::PinAsk;
use posd::engine::handle::{AgentAnswer, AgentAsk, AgentCommand, AgentEvent, Caller};
use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use tokio::sync::{mpsc, oneshot};
use zbus::export::futures_core::Stream;
use zbus::zvariant::{self, ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, fdo, interface};

/// What an agent answers, and how.
enum Reply {
    Fd(OwnedFd),
    Text(&'static str),
    Yes(bool),
    Cancelled,
    /// Waits until the test lets it go, then answers with an empty PIN or yes.
    Wait(oneshot::Receiver<()>),
}

/// A scripted agent: takes one reply for each question, and reports every call.
struct TestAgent {
    replies: mpsc::UnboundedReceiver<Reply>,
    calls: mpsc::UnboundedSender<(String, HashMap<String, OwnedValue>)>,
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.posd.Pos1.Error")]
enum AgentError {
    #[zbus(error)]
    ZBus(zbus::Error),
    Cancelled(String),
}

impl TestAgent {
    fn report(&self, what: &str, options: HashMap<String, OwnedValue>) {
        self.calls.send((what.to_owned(), options)).ok();
    }

    async fn reply(&mut self) -> Result<Reply, AgentError> {
        match self.replies.recv().await {
            Some(Reply::Cancelled) => Err(AgentError::Cancelled("the person cancelled".to_owned())),
            Some(Reply::Wait(go)) => {
                go.await.ok();
                Ok(Reply::Yes(true))
            }
            Some(reply) => Ok(reply),
            None => std::future::pending().await,
        }
    }
}

#[interface(name = "org.posd.Pos1.Agent")]
impl TestAgent {
    async fn request_pin(
        &mut self,
        _transaction: OwnedObjectPath,
        options: HashMap<String, OwnedValue>,
    ) -> Result<zvariant::OwnedFd, AgentError> {
        self.report("RequestPin", options);
        match self.reply().await? {
            Reply::Fd(fd) => Ok(fd.into()),
            _ => Ok(pipe_with(b"").into()),
        }
    }

    async fn select_application(
        &mut self,
        _transaction: OwnedObjectPath,
        candidates: Vec<HashMap<String, OwnedValue>>,
        options: HashMap<String, OwnedValue>,
    ) -> Result<String, AgentError> {
        self.report(&format!("SelectApplication {}", candidates.len()), options);
        match self.reply().await? {
            Reply::Text(text) => Ok(text.to_owned()),
            _ => Ok(String::new()),
        }
    }

    async fn confirm_card(
        &mut self,
        _transaction: OwnedObjectPath,
        options: HashMap<String, OwnedValue>,
    ) -> Result<bool, AgentError> {
        self.report("ConfirmCard", options);
        Ok(matches!(self.reply().await?, Reply::Yes(true)))
    }

    async fn show_prompt(
        &self,
        _transaction: OwnedObjectPath,
        code: &str,
        text: HashMap<String, String>,
        options: HashMap<String, OwnedValue>,
    ) {
        self.report(&format!("ShowPrompt {code} {}", text["en"]), options);
    }
}

fn pipe_with(bytes: &[u8]) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(bytes).unwrap();
    reader.into()
}

fn memfd_with(bytes: &[u8]) -> OwnedFd {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let fd = memfd_create("pin", MemfdFlags::ALLOW_SEALING).unwrap();
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).unwrap();
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK).unwrap();
    file.into()
}

/// A client with an agent at `/agent`.
struct Client {
    bus: Connection,
    replies: mpsc::UnboundedSender<Reply>,
    calls: mpsc::UnboundedReceiver<(String, HashMap<String, OwnedValue>)>,
}

impl Client {
    async fn new(world: &World) -> Self {
        let (replies, replies_end) = mpsc::unbounded_channel();
        let (calls_end, calls) = mpsc::unbounded_channel();
        let agent = TestAgent { replies: replies_end, calls: calls_end };
        let bus = zbus::connection::Builder::address(world.bus.address.as_str())
            .unwrap()
            .serve_at("/agent", agent)
            .unwrap()
            .build()
            .await
            .unwrap();
        Self { bus, replies, calls }
    }

    /// The same, registered.
    async fn registered(world: &World) -> Self {
        let client = Self::new(world).await;
        client.register(Options::new()).await.unwrap();
        client
    }

    async fn register(&self, options: Options<'_>) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.bus).await?;
        manager.register_agent(&ObjectPath::try_from("/agent")?, options).await
    }

    fn caller(&self) -> Caller {
        let uid = std::fs::metadata("/proc/self").unwrap().uid();
        Caller { peer: self.bus.unique_name().unwrap().to_string(), uid }
    }

    async fn next_call(&mut self) -> (String, HashMap<String, OwnedValue>) {
        self.calls.recv().await.unwrap()
    }
}

const fn pin(bypass_allowed: bool) -> AgentAsk {
    let ask = PinAsk { kind: PinKind::Online, tries_left: None, again: false, bypass_allowed };
    AgentAsk::Pin { ask, amount: Amount::ZERO, currency: Currency::CNY }
}

impl World {
    async fn ask(&self, id: u64, starter: Caller, ask: AgentAsk, remaining_ms: u32) {
        let (txn, deadline) = (txn_id("a-1"), BootTime(1));
        let command = AgentCommand::Ask { id, txn, starter, ask, deadline, remaining_ms };
        self.agent_commands.send(command).await.unwrap();
    }

    async fn event(&mut self) -> AgentEvent {
        self.agent_events.recv().await.unwrap()
    }

    /// Asks a PIN of `client` and gives `reply`.
    async fn pin_by(&mut self, client: &Client, reply: Reply, bypass_allowed: bool) -> AgentEvent {
        client.replies.send(reply).ok().unwrap();
        self.ask(7, client.caller(), pin(bypass_allowed), 5000).await;
        self.event().await
    }
}

fn answered(answer: AgentAnswer) -> AgentEvent {
    AgentEvent::Answered { id: 7, answer }
}

fn why(event: AgentEvent) -> String {
    match event {
        AgentEvent::Unavailable { why, .. } => why,
        AgentEvent::Answered { .. } => panic!("{event:?}"),
    }
}

/// A PIN comes by sealed memfd or by pipe; nothing in it is an empty PIN; the question carries what the UI
/// shows.
#[test]
fn a_pin_comes_through_a_file_descriptor() {
    run(async {
        let mut world = World::start().await;
        let mut client = Client::registered(&world).await;
        let good = answered(AgentAnswer::Pin(ClearPin::new(b"1234").unwrap()));
        assert_eq!(world.pin_by(&client, Reply::Fd(memfd_with(b"1234")), false).await, good);
        let (_, options) = client.next_call().await;
        let mut keys: Vec<_> = options.keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["amount", "bypass-allowed", "currency", "kind", "remaining-ms"]);
        assert_eq!(world.pin_by(&client, Reply::Fd(pipe_with(b"1234")), false).await, good);
        let bypass = world.pin_by(&client, Reply::Fd(pipe_with(b"")), true).await;
        assert_eq!(bypass, answered(AgentAnswer::PinBypassed));
        assert!(why(world.pin_by(&client, Reply::Fd(pipe_with(b"")), false).await).contains("bypass"));
        let cancelled = world.pin_by(&client, Reply::Cancelled, false).await;
        assert_eq!(cancelled, answered(AgentAnswer::Cancelled));
    });
}

/// A PIN for the card is told from one for the bank, with the tries that the card has left.
#[test]
fn a_pin_for_the_card_is_asked_with_the_tries_left() {
    run(async {
        let mut world = World::start().await;
        let mut client = Client::registered(&world).await;
        client.replies.send(Reply::Fd(pipe_with(b"1234"))).ok().unwrap();
        let kind = PinKind::OfflinePlain;
        let ask = PinAsk { kind, tries_left: Some(1), again: true, bypass_allowed: true };
        let ask = AgentAsk::Pin { ask, amount: Amount::ZERO, currency: Currency::CNY };
        world.ask(7, client.caller(), ask, 5000).await;
        world.event().await;
        let (_, options) = client.next_call().await;
        assert_eq!(<&str>::try_from(&options["kind"]), Ok("offline"));
        assert_eq!(u8::try_from(&options["tries-left"]), Ok(1));
    });
}

/// What is no PIN, or comes by something that could change under the reader, is refused, and never quoted.
#[test]
fn a_wrong_pin_or_descriptor_is_no_answer() {
    run(async {
        let mut world = World::start().await;
        let client = Client::registered(&world).await;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"1234").unwrap();
        assert!(why(world.pin_by(&client, Reply::Fd(file.into()), false).await).contains("memfd"));
        let text = why(world.pin_by(&client, Reply::Fd(pipe_with(b"12a4")), false).await);
        assert!(text.contains("4 to 12 digits") && !text.contains("12a4"), "{text}");
        let long = why(world.pin_by(&client, Reply::Fd(pipe_with(&[b'1'; 65])), false).await);
        assert!(long.contains("64 bytes"), "{long}");
        // A pipe that is never closed ends with the deadline.
        let (reader, _writer) = std::io::pipe().unwrap();
        client.replies.send(Reply::Fd(reader.into())).ok().unwrap();
        world.ask(7, client.caller(), pin(false), 200).await;
        assert!(why(world.event().await).contains("in time"));
    });
}

/// The starter's own agent is asked, not the newest; others of the same user stand in when it has none.
#[test]
fn the_starters_own_agent_is_asked_first() {
    run(async {
        let mut world = World::start().await;
        let mut own = Client::registered(&world).await;
        let mut newest = Client::registered(&world).await;
        let stranger = Client::new(&world).await;
        own.replies.send(Reply::Yes(true)).ok().unwrap();
        world.ask(7, own.caller(), AgentAsk::Card, 5000).await;
        assert_eq!(world.event().await, answered(AgentAnswer::Yes(true)));
        assert_eq!(own.next_call().await.0, "ConfirmCard");
        newest.replies.send(Reply::Yes(false)).ok().unwrap();
        world.ask(7, stranger.caller(), AgentAsk::Card, 5000).await;
        assert_eq!(world.event().await, answered(AgentAnswer::Yes(false)));
        assert_eq!(newest.next_call().await.0, "ConfirmCard");
        // Another user is served by nobody.
        let other = Caller { uid: 4711, ..stranger.caller() };
        world.ask(7, other, AgentAsk::Card, 5000).await;
        assert!(why(world.event().await).contains("no agent"));
    });
}

/// An agent that leaves the bus in the middle of a question hands it to the next one, also to one that comes
/// later; only the deadline ends the search.
#[test]
fn a_question_goes_on_to_the_next_agent_when_one_vanishes() {
    run(async {
        let mut world = World::start().await;
        let mut older = Client::registered(&world).await;
        let mut newer = Client::registered(&world).await;
        let starter = newer.caller();
        world.ask(7, starter, AgentAsk::Card, 10_000).await;
        assert_eq!(newer.next_call().await.0, "ConfirmCard");
        newer.bus.close().await.unwrap();
        assert_eq!(older.next_call().await.0, "ConfirmCard");
        older.bus.close().await.unwrap();
        let mut restarted = Client::registered(&world).await;
        assert_eq!(restarted.next_call().await.0, "ConfirmCard");
        restarted.replies.send(Reply::Yes(true)).ok().unwrap();
        assert_eq!(world.event().await, answered(AgentAnswer::Yes(true)));
        world.ask(7, restarted.caller(), AgentAsk::Card, 300).await;
        restarted.bus.close().await.unwrap();
        assert!(why(world.event().await).contains("no other came"));
    });
}

/// An agent that lacks a method, or says so, is passed over; one that answers something else has broken the
/// protocol.
#[test]
fn an_agent_without_the_method_is_passed_over() {
    run(async {
        let mut world = World::start().await;
        let mut full = Client::registered(&world).await;
        let half = Client::new(&world).await;
        half.register(HashMap::from([("capabilities", Value::from(vec!["show-prompt"]))])).await.unwrap();
        full.replies.send(Reply::Fd(pipe_with(b"1234"))).ok().unwrap();
        world.ask(7, half.caller(), pin(false), 5000).await;
        assert!(matches!(world.event().await, AgentEvent::Answered { .. }));
        assert_eq!(full.next_call().await.0, "RequestPin");
        // The test agent has no ConfirmSignature at all.
        world.ask(7, full.caller(), AgentAsk::Signature, 5000).await;
        assert!(why(world.event().await).contains("no agent"));
        let aid = Aid::new(&[0xA0, 0, 0, 3, 0x33, 1, 1, 1]).unwrap();
        let candidate =
            Candidate { aid: aid.clone(), label: "PBOC DEBIT".to_owned(), priority: 1, confirm: false };
        full.replies.send(Reply::Text("A0000000041010")).ok().unwrap();
        world.ask(7, full.caller(), AgentAsk::Application(vec![candidate.clone()]), 5000).await;
        assert!(why(world.event().await).contains("candidates"));
        full.replies.send(Reply::Text("A000000333010101")).ok().unwrap();
        world.ask(7, full.caller(), AgentAsk::Application(vec![candidate]), 5000).await;
        assert_eq!(world.event().await, answered(AgentAnswer::Application(aid)));
    });
}

/// An answer after the question was withdrawn is thrown away; the next question gets its own answer.
#[test]
fn a_late_answer_is_ignored() {
    run(async {
        let mut world = World::start().await;
        let mut client = Client::registered(&world).await;
        let (go, wait) = oneshot::channel();
        client.replies.send(Reply::Wait(wait)).ok().unwrap();
        world.ask(1, client.caller(), AgentAsk::Card, 10_000).await;
        assert_eq!(client.next_call().await.0, "ConfirmCard");
        let withdraw = AgentCommand::Withdraw { id: 1, txn: txn_id("a-1"), why: "card-removed" };
        world.agent_commands.send(withdraw).await.unwrap();
        go.send(()).unwrap();
        client.replies.send(Reply::Yes(false)).ok().unwrap();
        world.ask(2, client.caller(), AgentAsk::Card, 10_000).await;
        let answer = AgentAnswer::Yes(false);
        assert_eq!(world.event().await, AgentEvent::Answered { id: 2, answer });
    });
}

/// The shipped bus policy lets the daemon call agents, and them answer.
#[test]
fn agents_are_reached_through_the_shipped_policy() {
    run(async {
        let policy = super::rights::shipped_policy();
        let mut world = World::with(Setup { policy, ..Setup::default() }).await;
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            return; // The policy lets in root and groups that this machine may not have.
        }
        let client = Client::registered(&world).await;
        client.replies.send(Reply::Yes(true)).ok().unwrap();
        world.ask(7, client.caller(), AgentAsk::Card, 5000).await;
        assert_eq!(world.event().await, answered(AgentAnswer::Yes(true)));
    });
}

/// No answer at all ends with the deadline.
#[test]
fn a_silent_agent_ends_with_the_deadline() {
    run(async {
        let mut world = World::start().await;
        let client = Client::registered(&world).await;
        world.ask(7, client.caller(), AgentAsk::Card, 200).await;
        assert!(why(world.event().await).contains("in time"));
    });
}

/// A withdrawn question is taken off the agent's screen.
#[test]
fn a_withdrawn_question_is_cancelled_at_the_agent() {
    run(async {
        let world = World::start().await;
        // A plain object that only listens: it sees Cancel and Release as messages.
        let bus = world.bus.connect().await;
        let rule = zbus::MatchRule::builder().msg_type(zbus::message::Type::MethodCall).build();
        let mut calls = zbus::MessageStream::for_match_rule(rule, &bus, None).await.unwrap();
        let manager = ManagerProxy::new(&bus).await.unwrap();
        manager.register_agent(&ObjectPath::try_from("/a").unwrap(), Options::new()).await.unwrap();
        let uid = std::fs::metadata("/proc/self").unwrap().uid();
        let starter = Caller { peer: bus.unique_name().unwrap().to_string(), uid };
        world.ask(1, starter, AgentAsk::Card, 10_000).await;
        let call = OrderedStreamExt::next(&mut calls).await.unwrap().unwrap();
        assert_eq!(call.header().member().unwrap().as_str(), "ConfirmCard");
        let withdraw = AgentCommand::Withdraw { id: 1, txn: txn_id("a-1"), why: "card-removed" };
        world.agent_commands.send(withdraw).await.unwrap();
        let call = OrderedStreamExt::next(&mut calls).await.unwrap().unwrap();
        assert_eq!(call.header().member().unwrap().as_str(), "Cancel");
        let (_, why, _): (OwnedObjectPath, String, HashMap<String, OwnedValue>) =
            call.body().deserialize().unwrap();
        assert_eq!(why, "card-removed");
        // The engine ends: agents are released.
        let _bus = world.stop().await.unwrap(); // what was sent must still be delivered
        let call = OrderedStreamExt::next(&mut calls).await.unwrap().unwrap();
        assert_eq!(call.header().member().unwrap().as_str(), "Release");
    });
}

/// The registry: no doubles, no strangers' agents, 32 at most, shown on the Manager, forgotten with their
/// peers.
#[test]
fn the_registry_is_bounded_and_shown() {
    run(async {
        let world = World::start().await;
        let client = Client::registered(&world).await;
        let name = |result: zbus::Result<()>| match result.unwrap_err() {
            zbus::Error::MethodError(name, ..) => name.rsplit('.').next().unwrap().to_owned(),
            error => panic!("{error}"),
        };
        assert_eq!(name(client.register(Options::new()).await), "AlreadyExists");
        let odd = HashMap::from([("capabilities", Value::from(vec!["dance"]))]);
        assert_eq!(name(client.register(odd).await), "InvalidArgument");
        assert_eq!(
            name(client.register(HashMap::from([("take-over", Value::from("x"))])).await),
            "InvalidArgument"
        );
        let manager = ManagerProxy::new(&client.bus).await.unwrap();
        let path = |n: u32| ObjectPath::try_from(format!("/agent/{n}")).unwrap();
        assert_eq!(name(manager.unregister_agent(&path(1), Options::new()).await), "NotFound");
        for n in 1..32 {
            manager.register_agent(&path(n), Options::new()).await.unwrap();
        }
        assert_eq!(name(manager.register_agent(&path(32), Options::new()).await), "TooMany");
        manager.unregister_agent(&path(1), Options::new()).await.unwrap();

        let watcher = ManagerProxy::new(&world.client).await.unwrap();
        let mut shown = Box::pin(watcher.receive_agents_changed().await);
        let peer = client.bus.unique_name().unwrap().to_string();
        assert_eq!(watcher.current_agent().await.unwrap(), peer);
        client.bus.close().await.unwrap();
        loop {
            let next = std::future::poll_fn(|cx| shown.as_mut().poll_next(cx)).await;
            let agents = next.unwrap().get().await.unwrap();
            if agents.is_empty() {
                break;
            }
        }
        assert_eq!(watcher.current_agent().await.unwrap(), "");
    });
}

/// The engine is told with each start whether a PIN could be asked.
#[test]
fn a_start_tells_whether_a_pin_can_be_asked() {
    run(async {
        let mut world = World::start().await;
        world.sale("a-1").await;
        assert!(world.next_asked().await.contains("has_pin_agent: false"));
        let _client = Client::registered(&world).await;
        world.sale("a-2").await;
        assert!(world.next_asked().await.contains("has_pin_agent: true"));
    });
}

/// Prompts are shown and nobody waits for them.
#[test]
fn prompts_reach_the_agent() {
    run(async {
        let world = World::start().await;
        let mut client = Client::registered(&world).await;
        let prompt = AgentCommand::ShowPrompt {
            txn: txn_id("a-1"),
            starter: client.caller(),
            code: Prompt::InsertCard,
            deadline: BootTime(0),
            remaining_ms: 0,
        };
        world.agent_commands.send(prompt).await.unwrap();
        assert_eq!(client.next_call().await.0, "ShowPrompt insert-card Insert the card");
    });
}

/// Keeps the derive honest: the agent's error has the name the contract gives it.
#[test]
fn the_cancelled_error_has_the_contracts_name() {
    let error = AgentError::Cancelled(String::new());
    assert_eq!(zbus::DBusError::name(&error).as_str(), "org.posd.Pos1.Error.Cancelled");
    drop(AgentError::ZBus(zbus::Error::Unsupported));
    drop(fdo::Error::Failed(String::new()));
}

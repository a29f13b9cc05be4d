//! Following one transaction to its end. Signals only wake; what is true is read from the daemon, after a restart of
//! the daemon too. Nothing is ever concluded from silence.
use super::client::{self, Terminal, next, plain_dict};
use super::failure::{Exit, Failure, lost_the_daemon};
use super::screen::Screen;
use super::words;
use crate::api::proxy::{BUS_NAME, Options};
use crate::domain::ident::{RequestId, TxnId};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::time::Duration;
use zbus::message::Message;
use zbus::names::OwnedUniqueName;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

/// No transaction takes longer: the daemon's own deadlines end it before.
const FOLLOW_MAX: Duration = Duration::from_secs(1800);
/// How long a daemon that went away may take to come back. systemd restarts it within seconds.
const RETURN_MAX: Duration = Duration::from_secs(60);
/// How often the object may be missing although the daemon knows the transaction.
const FINDS_MAX: u32 = 5;

/// What happened to the transaction, in the words of the contract.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// `StateChanged`.
    State { old: String, new: String, reason: String, at: u64 },
    /// `Prompt`, with its texts by language.
    Prompt { code: String, text: HashMap<String, String> },
    /// `Finished`: the outcome is durable.
    Decided,
    /// The daemon went away.
    Lost,
    /// The daemon is back.
    Back,
}

/// Follows one transaction.
pub(crate) struct Follower {
    terminal: Terminal,
    path: OwnedObjectPath,
    request_id: String,
    daemon: Option<OwnedUniqueName>,
    signals: zbus::MessageStream,
    owners: zbus::fdo::NameOwnerChangedStream,
}

/// The object a request id will have. Known before the daemon is asked, so no signal is missed.
pub(crate) fn path_of(request: &RequestId) -> Result<OwnedObjectPath, Failure> {
    let path = format!("{}/transaction/{}", client::root(), TxnId::of(request));
    OwnedObjectPath::try_from(path).map_err(|error| Failure::usage(error.to_string()))
}

impl Follower {
    /// Subscribes to the signals of a transaction that may not have begun yet.
    pub(crate) async fn new(
        terminal: &Terminal,
        path: OwnedObjectPath,
        request_id: &str,
    ) -> Result<Self, Failure> {
        let rule = zbus::MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender(BUS_NAME)?
            .path(path.clone())?
            .interface("org.posd.Pos1.Transaction")?
            .build();
        let signals = zbus::MessageStream::for_match_rule(rule, &terminal.bus, Some(64)).await?;
        let dbus = zbus::fdo::DBusProxy::new(&terminal.bus).await?;
        let owners = dbus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?;
        let daemon = terminal.owner().await?;
        let request_id = request_id.to_owned();
        Ok(Self { terminal: terminal.clone(), path, request_id, daemon, signals, owners })
    }

    /// The transaction's object.
    pub(crate) const fn path(&self) -> &OwnedObjectPath {
        &self.path
    }

    /// Follows until the outcome is durable and returns the result, as `GetResult` gives it.
    pub(crate) async fn outcome(
        &mut self,
        show: &mut dyn FnMut(Event),
    ) -> Result<Map<String, Json>, Failure> {
        let follow = async {
            let mut finds = 0;
            loop {
                match self.result().await {
                    Ok(Some(result)) => {
                        self.show_what_came(show).await;
                        return Ok(result);
                    }
                    Ok(None) => match self.event().await {
                        Event::Lost => self.come_back(show).await?,
                        event => show(event),
                    },
                    Err(failure) if lost_the_daemon(&failure) => self.come_back(show).await?,
                    // A daemon that restarted faster than its going was heard has no such object any more.
                    Err(failure) if failure.name == "NotFound" && finds < FINDS_MAX => {
                        finds += 1;
                        self.find_again().await?;
                    }
                    Err(failure) => return Err(failure),
                }
            }
        };
        tokio::time::timeout(FOLLOW_MAX, follow).await.unwrap_or_else(|_| {
            Err(Failure::new(Exit::Unknown, "OutcomeUnknown", "the transaction did not end in half an hour"))
        })
    }

    /// Shows the events that have arrived already: the outcome may have been faster than they were read.
    async fn show_what_came(&mut self, show: &mut dyn FnMut(Event)) {
        while let Ok(event) = tokio::time::timeout(Duration::ZERO, self.event()).await {
            if matches!(event, Event::Lost) {
                return;
            }
            show(event);
        }
    }

    /// Follows what comes after the outcome (paper, signature, card) until one of these states, or for `limit`.
    pub(crate) async fn until_state(&mut self, ends: &[&str], limit: Duration, show: &mut dyn FnMut(Event)) {
        let follow = async {
            loop {
                let state = match self.terminal.transaction(&self.path).await {
                    Ok(transaction) => transaction.state().await.ok(),
                    Err(_) => None,
                };
                match state {
                    Some(state) if !ends.contains(&state.as_str()) => {}
                    _ => return,
                }
                match self.event().await {
                    Event::Lost => return,
                    event => show(event),
                }
            }
        };
        tokio::time::timeout(limit, follow).await.ok();
    }

    /// After a call that may or may not have reached the daemon: waits for it and finds the transaction again.
    pub(crate) async fn recover(&mut self, show: &mut dyn FnMut(Event)) -> Result<(), Failure> {
        self.come_back(show).await
    }

    /// The result, if there is one already.
    async fn result(&self) -> Result<Option<Map<String, Json>>, Failure> {
        let transaction = self.terminal.transaction(&self.path).await?;
        if transaction.outcome().await? == "none" {
            return Ok(None);
        }
        Ok(Some(plain_dict(transaction.get_result(Options::new()).await?)))
    }

    /// The next thing that happens.
    async fn event(&mut self) -> Event {
        loop {
            let message = tokio::select! {
                message = next(&mut self.signals) => message,
                owner = next(&mut self.owners) => {
                    let now = owner.as_ref().and_then(new_owner);
                    if now.is_none() || now != self.daemon {
                        return Event::Lost;
                    }
                    continue;
                }
            };
            match message {
                Some(Ok(message)) if self.is_from_the_daemon(&message) => {
                    if let Some(event) = read_event(&message) {
                        return event;
                    }
                }
                Some(_) => {}
                None => return Event::Lost, // the bus itself is gone
            }
        }
    }

    /// Signals can be sent by any peer; only those of the daemon count.
    fn is_from_the_daemon(&self, message: &Message) -> bool {
        match (message.header().sender(), &self.daemon) {
            (Some(sender), Some(daemon)) => *sender == *daemon,
            _ => false,
        }
    }

    /// Waits for the daemon and finds the transaction again.
    async fn come_back(&mut self, show: &mut dyn FnMut(Event)) -> Result<(), Failure> {
        show(Event::Lost);
        let found = async {
            loop {
                wait_for_owner(&self.terminal, &mut self.owners).await?;
                match self.find_again().await {
                    Err(failure) if lost_the_daemon(&failure) => {} // gone again
                    found => return found,
                }
            }
        };
        match tokio::time::timeout(RETURN_MAX, found).await {
            Ok(Err(failure)) if lost_the_daemon(&failure) => Err(self.unknown(&failure.message)),
            Ok(found) => found.inspect(|()| show(Event::Back)),
            Err(_) => Err(self.unknown("posd went away and did not come back within a minute")),
        }
    }

    /// Asks the daemon that is there now for the transaction by request id, which also makes its object again.
    async fn find_again(&mut self) -> Result<(), Failure> {
        self.daemon = self.terminal.owner().await?;
        let manager = self.terminal.manager().await?;
        match manager.get_transaction(&self.request_id, Options::new()).await.map_err(Failure::from) {
            Ok(path) => {
                self.path = path;
                Ok(())
            }
            // The daemon takes its name only after it has read its journal: what it does not know never was.
            Err(failure) if failure.name == "NotFound" => Err(Failure::new(
                Exit::Failed,
                "Interrupted",
                "posd restarted before the bank was asked: nothing was charged; start again",
            )
            .with("request-id", self.request_id.clone())),
            Err(failure) if lost_the_daemon(&failure) => Err(failure),
            Err(failure) => Err(self.unknown(&failure.message)),
        }
    }

    /// Nobody can say what came of it.
    fn unknown(&self, why: &str) -> Failure {
        let next = "do not charge again before you have asked: posctl txn show";
        let message = format!("{why}; {next} {}", self.request_id);
        Failure::new(Exit::Unknown, "OutcomeUnknown", message).with("request-id", self.request_id.clone())
    }
}

/// Who has the name after the change.
fn new_owner(change: &zbus::fdo::NameOwnerChanged) -> Option<OwnedUniqueName> {
    let arguments = change.args().ok()?;
    arguments.new_owner().as_ref().map(|name| OwnedUniqueName::from(name.to_owned()))
}

/// Waits until somebody owns the daemon's name.
async fn wait_for_owner(
    terminal: &Terminal,
    owners: &mut zbus::fdo::NameOwnerChangedStream,
) -> Result<OwnedUniqueName, Failure> {
    loop {
        if let Some(owner) = terminal.owner().await? {
            return Ok(owner);
        }
        if next(owners).await.is_none() {
            return Err(Failure::no_daemon("the bus is gone"));
        }
    }
}

/// Reads a signal of a transaction. What `Finished` carries is not used: the result is read from the daemon.
fn read_event(message: &Message) -> Option<Event> {
    let header = message.header();
    let body = message.body();
    match header.member()?.as_str() {
        "Finished" => Some(Event::Decided),
        "StateChanged" => {
            let (old, new, reason, at) = body.deserialize::<(String, String, String, u64)>().ok()?;
            Some(Event::State { old, new, reason, at })
        }
        "Prompt" => {
            type Body = (String, HashMap<String, String>, HashMap<String, OwnedValue>);
            let (code, text, _) = body.deserialize::<Body>().ok()?;
            Some(Event::Prompt { code, text })
        }
        _ => None,
    }
}

/// Shows events as lines on stderr: prompts in the chosen language, and the coming and going of the daemon.
pub(crate) fn show_on(screen: &Screen) -> impl FnMut(Event) + '_ {
    |event| match event {
        Event::Prompt { code, text } => {
            let said = text.get(screen.lang.key()).or_else(|| text.get("en")).unwrap_or(&code);
            screen.note(said);
        }
        Event::Lost => screen.note(screen.word(words::DAEMON_GONE)),
        Event::Back => screen.note(screen.word(words::DAEMON_BACK)),
        Event::State { .. } | Event::Decided => {}
    }
}

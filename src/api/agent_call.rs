//! One call to an agent: the message out, the answer back as the engine wants it. Agents are foreign
//! programs: their answers are checked, and their error texts go nowhere.
use super::error::ERROR_PREFIX;
use super::path;
use super::secret_fd::read_secret;
use crate::domain::emv::kernel::{Candidate, PinKind};
use crate::domain::fault::FaultName;
use crate::domain::ident::{OperatorId, TxnId};
use crate::domain::outcome::words;
use crate::domain::secret::{ClearPin, Password};
use crate::engine::handle::{AgentAnswer, AgentAsk};
use std::collections::HashMap;
use tokio::time::{Instant, timeout_at};
use zbus::Connection;
use zbus::message::{Flags, Message};
use zbus::zvariant::{DynamicType, OwnedFd, OwnedObjectPath, Value};

/// The interface that clients export.
pub const AGENT_INTERFACE: &str = "org.posd.Pos1.Agent";

words! {
    /// A method an agent can have; the words of option `capabilities`.
    Capability {
        /// `SelectApplication`.
        SelectApplication = "select-application",
        /// `ConfirmCard`.
        ConfirmCard = "confirm-card",
        /// `RequestPin`.
        RequestPin = "request-pin",
        /// `ConfirmSignature`.
        ConfirmSignature = "confirm-signature",
        /// `ConfirmDuplicate`.
        ConfirmDuplicate = "confirm-duplicate",
        /// `Authorize`.
        Authorize = "authorize",
        /// `ShowPrompt`.
        ShowPrompt = "show-prompt",
    }
}

impl Capability {
    /// What a question needs.
    pub(super) const fn of(ask: &AgentAsk) -> Self {
        match ask {
            AgentAsk::Pin { .. } => Self::RequestPin,
            AgentAsk::Application(_) => Self::SelectApplication,
            AgentAsk::Card => Self::ConfirmCard,
            AgentAsk::Signature => Self::ConfirmSignature,
            AgentAsk::Duplicate(_) => Self::ConfirmDuplicate,
            AgentAsk::Authorize { .. } => Self::Authorize,
        }
    }

    /// Reads `request-pin` or the method's own name, `RequestPin`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
        let text = plain(text);
        Self::ALL.iter().copied().find(|capability| plain(capability.word()) == text)
    }
}

/// Where an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Unique name of its peer.
    pub(super) peer: String,
    /// Its object.
    pub(super) path: OwnedObjectPath,
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    /// A good answer.
    Answered(AgentAnswer),
    /// The agent is gone: another one may be asked, also one that comes later.
    Gone,
    /// The agent is there and has no such method: another one may be asked.
    Lacking,
    /// It broke the protocol; the text says how, without values.
    Broken(String),
    /// No answer before the deadline.
    TimedOut,
}

/// Options of a call: what the contract lists and `remaining-ms`.
type Options = HashMap<&'static str, Value<'static>>;

/// Asks and waits, until the deadline at the latest.
pub(super) async fn ask(
    bus: &Connection,
    agent: &Address,
    txn: &TxnId,
    ask: &AgentAsk,
    until: Instant,
) -> CallEnd {
    let mut options = with_remaining(until);
    let txn = path::transaction(txn);
    let reply = match ask {
        AgentAsk::Pin { ask, amount, currency } => {
            options.insert("kind", if ask.kind == PinKind::Online { "online" } else { "offline" }.into());
            options.insert("bypass-allowed", ask.bypass_allowed.into());
            if let Some(tries) = ask.tries_left {
                options.insert("tries-left", tries.into());
            }
            options.insert("amount", i64::try_from(amount.minor()).unwrap_or(i64::MAX).into());
            options.insert("currency", currency.alpha().into());
            call(bus, agent, "RequestPin", &(txn, options), until).await
        }
        AgentAsk::Application(candidates) => {
            let rows: Vec<_> = candidates.iter().map(candidate_row).collect();
            call(bus, agent, "SelectApplication", &(txn, rows, options), until).await
        }
        AgentAsk::Card => call(bus, agent, "ConfirmCard", &(txn, options), until).await,
        AgentAsk::Signature => call(bus, agent, "ConfirmSignature", &(txn, options), until).await,
        AgentAsk::Duplicate(earlier) => {
            let earlier = path::transaction(earlier);
            call(bus, agent, "ConfirmDuplicate", &(txn, earlier, options), until).await
        }
        AgentAsk::Authorize { action, refused } => {
            if let Some(refused) = refused {
                options.insert("refused", refused.word().into());
            }
            call(bus, agent, "Authorize", &(txn, *action, options), until).await
        }
    };
    match reply {
        Ok(reply) => read_answer(ask, &reply, until).await,
        Err(end) => end,
    }
}

/// Shows a prompt; the answer is awaited so that a slow agent can be told from a quick one.
pub(super) async fn show_prompt(
    bus: &Connection,
    agent: &Address,
    txn: &TxnId,
    code: crate::domain::outcome::Prompt,
    options: HashMap<&'static str, Value<'static>>,
    until: Instant,
) {
    let text = super::row::bilingual(&crate::domain::text::prompt(code));
    let body = (path::transaction(txn), code.word(), text, options);
    // An agent that cannot show it loses nothing but the picture.
    drop(call(bus, agent, "ShowPrompt", &body, until).await);
}

/// Tells an agent that an answer is not needed any more.
pub(super) async fn withdraw(bus: &Connection, agent: &Address, txn: &TxnId, why: &str) {
    tell(bus, agent, "Cancel", &(path::transaction(txn), why, Options::new())).await;
}

/// Tells an agent that the terminal stops.
pub(super) async fn release(bus: &Connection, agent: &Address) {
    tell(bus, agent, "Release", &(Options::new(),)).await;
}

async fn tell<B>(bus: &Connection, agent: &Address, method: &'static str, body: &B)
where
    B: serde::Serialize + DynamicType,
{
    let message = Message::method_call(agent.path.as_ref(), method)
        .and_then(|message| message.destination(agent.peer.as_str()))
        .and_then(|message| message.interface(AGENT_INTERFACE))
        .and_then(|message| message.with_flags(Flags::NoReplyExpected))
        .and_then(|message| message.build(body));
    match message {
        Ok(message) => drop(bus.send(&message).await),
        Err(error) => tracing::warn!(%error, method, "no message to the agent"),
    }
}

fn with_remaining(until: Instant) -> Options {
    let left = until.saturating_duration_since(Instant::now()).as_millis();
    HashMap::from([("remaining-ms", Value::from(u32::try_from(left).unwrap_or(u32::MAX)))])
}

fn candidate_row(candidate: &Candidate) -> HashMap<&'static str, Value<'static>> {
    HashMap::from([
        ("aid", Value::from(candidate.aid.to_string())),
        ("label", Value::from(candidate.label.clone())),
        ("priority", Value::from(u32::from(candidate.priority))),
    ])
}

async fn call<B>(
    bus: &Connection,
    agent: &Address,
    method: &'static str,
    body: &B,
    until: Instant,
) -> Result<Message, CallEnd>
where
    B: serde::Serialize + DynamicType,
{
    let calling =
        bus.call_method(Some(agent.peer.as_str()), agent.path.as_ref(), Some(AGENT_INTERFACE), method, body);
    match timeout_at(until, calling).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(CallEnd::TimedOut),
    }
}

/// What an error reply means. Only its name is looked at.
fn failed(error: &zbus::Error) -> CallEnd {
    const DBUS: &str = "org.freedesktop.DBus.Error.";
    let zbus::Error::MethodError(name, _, _) = error else {
        return CallEnd::Broken("the agent's reply cannot be read".to_owned());
    };
    let name = name.as_str();
    if name.strip_prefix(ERROR_PREFIX) == Some(FaultName::Cancelled.word()) {
        return CallEnd::Answered(AgentAnswer::Cancelled);
    }
    match name.strip_prefix(DBUS) {
        Some("NoReply" | "ServiceUnknown" | "NameHasNoOwner" | "Disconnected") => CallEnd::Gone,
        Some("UnknownObject" | "UnknownInterface" | "UnknownMethod") => CallEnd::Lacking,
        _ => CallEnd::Broken(format!("the agent answered {name}")),
    }
}

async fn read_answer(ask: &AgentAsk, reply: &Message, until: Instant) -> CallEnd {
    let body = reply.body();
    let wrong = |what: &str| CallEnd::Broken(format!("the agent's answer is not {what}"));
    match ask {
        AgentAsk::Pin { ask, .. } => match body.deserialize::<OwnedFd>() {
            Ok(fd) => read_pin(fd.into(), ask.bypass_allowed, until).await,
            Err(_) => wrong("a file descriptor"),
        },
        AgentAsk::Application(candidates) => match body.deserialize::<&str>() {
            Ok(aid) => candidates.iter().find(|candidate| candidate.aid.to_string() == aid).map_or_else(
                || wrong("one of the candidates"),
                |candidate| CallEnd::Answered(AgentAnswer::Application(candidate.aid.clone())),
            ),
            Err(_) => wrong("a text"),
        },
        AgentAsk::Card | AgentAsk::Signature | AgentAsk::Duplicate(_) => match body.deserialize::<bool>() {
            Ok(yes) => CallEnd::Answered(AgentAnswer::Yes(yes)),
            Err(_) => wrong("yes or no"),
        },
        AgentAsk::Authorize { .. } => match body.deserialize::<(&str, OwnedFd)>() {
            Ok((supervisor, fd)) => read_supervisor(supervisor, fd.into(), until).await,
            Err(_) => wrong("an operator number and a file descriptor"),
        },
    }
}

async fn read_pin(fd: std::os::fd::OwnedFd, bypass_allowed: bool, until: Instant) -> CallEnd {
    let left = until.saturating_duration_since(Instant::now());
    match read_secret(fd, left).await {
        Ok(digits) if digits.is_empty() && bypass_allowed => CallEnd::Answered(AgentAnswer::PinBypassed),
        Ok(digits) if digits.is_empty() => {
            CallEnd::Broken("the agent gave no PIN, and bypass is not allowed".to_owned())
        }
        Ok(digits) => match ClearPin::new(&digits) {
            Ok(pin) => CallEnd::Answered(AgentAnswer::Pin(pin)),
            Err(error) => CallEnd::Broken(error.to_string()),
        },
        Err(error) => CallEnd::Broken(error.to_string()),
    }
}

async fn read_supervisor(number: &str, fd: std::os::fd::OwnedFd, until: Instant) -> CallEnd {
    let left = until.saturating_duration_since(Instant::now());
    let Ok(supervisor) = OperatorId::new(number) else {
        return CallEnd::Broken("the agent's supervisor is not a number of two digits".to_owned());
    };
    match read_secret(fd, left).await {
        Ok(secret) => CallEnd::Answered(AgentAnswer::Supervisor(supervisor, Password::new(secret.to_vec()))),
        Err(error) => CallEnd::Broken(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_words_or_as_method_names() {
        assert_eq!(Capability::read("request-pin"), Some(Capability::RequestPin));
        assert_eq!(Capability::read("RequestPin"), Some(Capability::RequestPin));
        assert_eq!(Capability::read("Release"), None);
    }
}

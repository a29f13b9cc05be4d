//! `org.posd.Pos1.Manager`: starts and finds transactions, keeps agents, shows the terminal's state.
use super::agent_call::Capability;
use super::agents::AgentsView;
use super::auth::{Action, Need};
use super::desk::Desk;
use super::error::{ApiError, invalid};
use super::options::{Dict, Options, is_token, no_options, shorten};
use super::row::Row;
use super::{path, start};
use crate::domain::checks::{Level, Part};
use crate::domain::fault::Fault;
use crate::domain::ident::{RequestId, TxnId};
use crate::domain::outcome::Kind;
use crate::engine::handle::Command;
use crate::engine::view::Snapshot;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use zbus::interface;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::{OwnedObjectPath, Value};

/// Major and minor version of the contract.
const API_VERSION: (u32, u32) = (1, 0);
/// What this version can do; the XML explains the words.
const FEATURES: &[&str] = &[
    "sale",
    "void",
    "refund",
    "balance",
    "pre-auth",
    "offline-sale",
    "partial-approval",
    "chip",
    "online-pin",
    "reversal",
    "store-and-forward",
    "settlement",
    "export",
    "backup",
    "receipts",
    "reprint",
    "operators",
    "authorize",
    "agents",
    "self-test",
];

/// The object.
#[derive(Clone, Debug)]
pub(super) struct ManagerObject {
    pub(super) desk: Desk,
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) agents: watch::Receiver<Arc<AgentsView>>,
}

#[interface(name = "org.posd.Pos1.Manager", introspection_docs = false)]
impl ManagerObject {
    #[zbus(out_args("transaction"))]
    async fn start_transaction(
        &self,
        request_id: &str,
        kind: &str,
        amount: i64,
        currency: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        let mut request = start::read(request_id, kind, amount, currency, options)?;
        let caller = self.desk.admit(&header, start::action(request.kind)).await?;
        request.has_pin_agent = self.desk.agents.has_pin_agent(&caller).await?;
        let start = |answer| Command::Start(Box::new(request), caller, answer);
        Ok(path::transaction(&self.desk.ask_and_settle(start).await?))
    }

    #[zbus(out_args("transaction"))]
    async fn get_transaction(
        &self,
        request_id: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        let id = TxnId::of(&RequestId::new(request_id).map_err(|e| invalid(e.to_string()))?);
        self.desk.admit(&header, Action::Query).await?;
        self.desk.ask_and_settle(|answer| Command::Expose(id.clone(), answer)).await?;
        Ok(path::transaction(&id))
    }

    async fn register_agent(
        &self,
        path: OwnedObjectPath,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        let (capabilities, take_over) = read_agent_options(options)?;
        let caller = self.desk.admit(&header, Action::Agent).await?;
        let serves_all = take_over.is_some();
        if let Some(token) = take_over {
            let caller = caller.clone();
            self.desk.ask(|answer| Command::TakeOver { token, caller, answer }).await?;
        }
        Ok(self.desk.agents.register(caller, path, capabilities, serves_all).await?)
    }

    async fn unregister_agent(
        &self,
        path: OwnedObjectPath,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), ApiError> {
        no_options(options)?;
        let caller = self.desk.admit(&header, Action::Agent).await?;
        Ok(self.desk.agents.unregister(caller, path).await?)
    }

    #[zbus(out_args("job"))]
    async fn self_test(
        &self,
        what: Vec<String>,
        level: &str,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedObjectPath, ApiError> {
        no_options(options)?;
        let (what, level) = read_test(&what, level)?;
        self.desk.admit(&header, Need::by_cashiers(Action::DeviceControl, "SelfTest")).await?;
        let test = |answer| Command::SelfTest { what, level, answer };
        Ok(path::job(self.desk.ask_and_settle(test).await?))
    }

    #[zbus(out_args("permissions"))]
    async fn get_permissions(
        &self,
        options: Dict,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<HashMap<String, String>, ApiError> {
        no_options(options)?;
        self.desk.admit(&header, Action::Query).await?;
        Ok(self.desk.gate.permissions(&header).await?)
    }

    #[zbus(signal)]
    pub(super) async fn permissions_changed(emitter: &SignalEmitter<'_>) -> zbus::Result<()>;

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn api_version(&self) -> (u32, u32) {
        API_VERSION
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn features(&self) -> Vec<&'static str> {
        FEATURES.to_vec()
    }

    #[zbus(property)]
    fn state(&self) -> &'static str {
        self.snapshot.borrow().terminal.state.word()
    }

    #[zbus(property)]
    fn state_reasons(&self) -> Vec<String> {
        self.snapshot.borrow().terminal.reasons.clone()
    }

    #[zbus(property)]
    fn active_transaction(&self) -> OwnedObjectPath {
        self.snapshot.borrow().terminal.active.as_ref().map_or_else(path::none, path::transaction)
    }

    #[zbus(property)]
    fn enabled_kinds(&self) -> Vec<&'static str> {
        self.snapshot.borrow().terminal.enabled_kinds.iter().copied().map(Kind::word).collect()
    }

    #[zbus(property)]
    fn blocked_reasons(&self) -> HashMap<String, String> {
        self.snapshot.borrow().terminal.blocked.iter().cloned().collect()
    }

    #[zbus(property)]
    fn safe_to_update(&self) -> bool {
        self.snapshot.borrow().terminal.update_blockers.is_empty()
    }

    #[zbus(property)]
    fn update_blockers(&self) -> Vec<String> {
        self.snapshot.borrow().terminal.update_blockers.clone()
    }

    #[zbus(property)]
    fn clock_trusted(&self) -> bool {
        self.snapshot.borrow().terminal.clock_trusted
    }

    #[zbus(property)]
    fn terminal_id(&self) -> String {
        self.snapshot.borrow().terminal.terminal_id.clone()
    }

    #[zbus(property)]
    fn merchant_id(&self) -> String {
        self.snapshot.borrow().terminal.merchant_id.clone()
    }

    #[zbus(property)]
    fn merchant_name(&self) -> String {
        self.snapshot.borrow().terminal.merchant_name.clone()
    }

    #[zbus(property)]
    fn current_agent(&self) -> String {
        self.agents.borrow().current.clone()
    }

    #[zbus(property)]
    fn agents(&self) -> Vec<Row> {
        let words = |capabilities: &[Capability]| -> Vec<&'static str> {
            capabilities.iter().copied().map(Capability::word).collect()
        };
        let row = |agent: &super::agents::AgentView| {
            Row::from([
                ("peer", Value::from(agent.address.peer.clone())),
                ("path", Value::from(agent.address.path.clone().into_inner())),
                ("uid", agent.uid.into()),
                ("capabilities", words(&agent.capabilities).into()),
            ])
        };
        self.agents.borrow().all.iter().map(row).collect()
    }
}

/// What is to be tested, and how far; an empty level is `internal`.
fn read_test(what: &[String], level: &str) -> Result<(Vec<Part>, Level), Fault> {
    let list = |all: &[&str]| all.join(", ");
    let part = |word: &String| {
        let known: Vec<&str> = Part::ALL.iter().map(|part| part.word()).collect();
        let wrong = || format!("what has no value {:?}; it is one of {}", shorten(word), list(&known));
        Part::from_word(word).ok_or_else(|| invalid(wrong()))
    };
    let parts = what.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    let known: Vec<&str> = Level::ALL.iter().map(|level| level.word()).collect();
    let wrong = || invalid(format!("level must be one of {}, not {:?}", list(&known), shorten(level)));
    let level = if level.is_empty() { Some(Level::Internal) } else { Level::from_word(level) };
    Ok((parts, level.ok_or_else(wrong)?))
}

/// The methods an agent has, all of them unless it says otherwise, and its token to serve everybody.
fn read_agent_options(options: Dict) -> Result<(Vec<Capability>, Option<String>), Fault> {
    let mut options = Options::new("option", options);
    let words: Option<Vec<String>> = options.take("capabilities", "as")?;
    let take_over = options.text("take-over")?;
    if take_over.as_deref().is_some_and(|token| !is_token(token)) {
        return Err(invalid(
            "option take-over must be a token of Operators.Authorize for agent, 32 hex digits",
        ));
    }
    options.finish()?;
    let Some(words) = words else { return Ok((Capability::ALL.to_vec(), take_over)) };
    let read = |word: &String| {
        Capability::read(word)
            .ok_or_else(|| invalid(format!("option capabilities has no value {:?}", shorten(word))))
    };
    let mut capabilities = words.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    capabilities.sort_unstable();
    capabilities.dedup();
    Ok((capabilities, take_over))
}

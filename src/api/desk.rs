//! What every object passes its calls on with: the engine, the gate, the agents' keeper, and the order of the
//! bus.
use super::agents::Agents;
use super::auth::{Gate, Need};
use super::error::ApiError;
use crate::domain::fault::Fault;
use crate::engine::handle::{Caller, Command, EngineHandle, Notice};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use zbus::message::Header;

/// For the publisher to catch up with the engine. It only has to write to the bus's socket.
const CATCH_UP: Duration = Duration::from_secs(5);

/// Cloned into every object.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) engine: EngineHandle,
    pub(super) gate: Gate,
    pub(super) agents: Agents,
    /// The other end of the engine's notices; weak, so that they end when the engine does.
    pub(super) notices: mpsc::WeakSender<Notice>,
}

impl Desk {
    /// Lets the caller in, or not.
    pub(super) async fn admit(&self, header: &Header<'_>, need: impl Into<Need>) -> Result<Caller, ApiError> {
        Ok(self.gate.admit(header, need.into()).await?)
    }

    /// Puts a command to the engine.
    pub(super) async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Command,
    ) -> Result<T, ApiError> {
        Ok(self.engine.ask(make).await?)
    }

    /// Puts a command to the engine, and returns when all it told before its answer is on the bus: what the
    /// answer names then exists, and properties show what was done.
    pub(super) async fn ask_and_settle<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Command,
    ) -> Result<T, ApiError> {
        let answer = self.engine.ask(make).await?;
        let (passed, wait) = oneshot::channel();
        if let Some(notices) = self.notices.upgrade() {
            let settle = async {
                // A closed queue means that the terminal stops; the answer stands all the same.
                notices.send(Notice::Barrier(passed)).await.ok();
                drop(wait.await);
            };
            if timeout(CATCH_UP, settle).await.is_err() {
                tracing::warn!("the bus is slow: an answer goes out before its signals");
            }
        }
        Ok(answer)
    }
}

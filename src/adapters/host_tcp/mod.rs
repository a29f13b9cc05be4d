//! The line to the acquirer: one task, one line at a time, whole frames in and out, over TCP or TLS.
//!
//! It cuts the byte stream into frames (`stream.rs`) and knows nothing of the message inside. It does not wait
//! for answers, repeat or choose endpoints: the engine has those deadlines and decisions.
mod certificate;
mod dial;
mod endpoint;
mod probe;
mod refusal;
mod stream;
mod tls;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

pub use endpoint::{EndpointError, HostSettings};
pub use tls::{TlsFileError, TlsSettings};

use crate::domain::way::{Stage, WayCause, WayFault};
use crate::ports::{HostCommand, HostEvent, LineClock, Via, WayTimes};
use dial::Dialler;
use stream::{Broken, Line, Unwritten};

/// Commands that may wait. One exchange needs three (connect, send, close).
const COMMANDS_MAX: usize = 8;
/// How long the socket may take to accept one frame. Choice: a frame is under 4 KiB, so a socket that does
/// not take it within this time has an unacknowledged earlier frame and is dead.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// Starts the task on the current runtime and gives its command queue (8 places).
///
/// The task ends when all senders of commands are gone or nobody takes events any more. A line that the
/// engine closes or replaces says nothing more, not even [`HostEvent::ConnectFailed`]. An endpoint that
/// cannot be used answers [`HostEvent::ConnectFailed`] with the words of [`EndpointError`].
pub fn start(settings: HostSettings, events: mpsc::Sender<HostEvent>) -> mpsc::Sender<HostCommand> {
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    let probes = probe::start(settings.clone(), events.clone());
    tokio::spawn(HostTask { commands, events, probes, dialler: Dialler::new(settings) }.run());
    sender
}

/// The receiver of events is gone: the engine has ended, and so does the task.
struct EngineGone;

struct HostTask {
    commands: mpsc::Receiver<HostCommand>,
    events: mpsc::Sender<HostEvent>,
    probes: mpsc::Sender<probe::Wanted>,
    dialler: Dialler,
}

/// A line that is wanted.
struct Wanted {
    line: u64,
    endpoint: usize,
    clock: LineClock,
    via: Option<Via>,
}

/// What the task does next.
enum State {
    Idle,
    Connecting(Wanted),
    Open(Line),
}

impl HostTask {
    async fn run(mut self) {
        let mut state = State::Idle;
        loop {
            let next = match state {
                State::Idle => match self.commands.recv().await {
                    Some(command) => self.take(command, None).await,
                    None => return,
                },
                State::Connecting(wanted) => self.connecting(wanted).await,
                State::Open(line) => self.open(line).await,
            };
            match next {
                Ok(Some(next)) => state = next,
                Ok(None) | Err(EngineGone) => return,
            }
        }
    }

    /// Waits for the line, but obeys a close or a newer connect at once.
    async fn connecting(&mut self, wanted: Wanted) -> Result<Option<State>, EngineGone> {
        let Wanted { line, endpoint, clock, via } = wanted;
        self.dialler.prepare();
        let mut times = WayTimes::default();
        let result = {
            let attempt = self.dialler.dial(endpoint, clock, via.as_ref(), &mut times);
            tokio::pin!(attempt);
            loop {
                tokio::select! {
                    biased;
                    command = self.commands.recv() => match command {
                        None => return Ok(None),
                        Some(HostCommand::Connect { line, endpoint, clock, via }) => {
                            return Ok(Some(State::Connecting(Wanted { line, endpoint, clock, via })));
                        }
                        Some(HostCommand::Probe { id, endpoint, clock, via }) => {
                            let wanted = probe::Wanted { id, endpoint, clock, via };
                            probe(&self.probes, &self.events, wanted).await?;
                        }
                        Some(HostCommand::Close { line: closed }) if closed == line => {
                            return Ok(Some(State::Idle));
                        }
                        Some(HostCommand::Close { .. }) => {}
                        Some(HostCommand::Send { line: asked, .. }) => {
                            tell(&self.events, not_open(asked)).await?;
                        }
                    },
                    result = &mut attempt => break result,
                }
            }
        };
        match result {
            Ok(dialled) => {
                let certificate_until = dialled.certificate_until;
                tell(&self.events, HostEvent::Connected { line, times, certificate_until }).await?;
                Ok(Some(State::Open(Line::new(line, dialled.stream, &dialled.endpoint, clock))))
            }
            Err(fault) => {
                tell(&self.events, HostEvent::ConnectFailed { line, times, fault }).await?;
                Ok(Some(State::Idle))
            }
        }
    }

    /// Serves an open line until something ends or replaces it. Commands come first, so that a send on a
    /// line whose end is already readable is answered as a send and not taken for lost after the fact.
    async fn open(&mut self, mut line: Line) -> Result<Option<State>, EngineGone> {
        tokio::select! {
            biased;
            command = self.commands.recv() => match command {
                Some(command) => self.take(command, Some(line)).await,
                None => Ok(None),
            },
            received = line.receive() => {
                let id = line.id;
                match received {
                    Ok(bytes) => {
                        tell(&self.events, HostEvent::Frame { line: id, bytes }).await?;
                        Ok(Some(State::Open(line)))
                    }
                    Err(broken) => {
                        let (wrote, fault) = (line.owes_answer(), line.end(&broken));
                        let event = HostEvent::Lost { line: id, wrote, fault };
                        drop(line);
                        tell(&self.events, event).await?;
                        Ok(Some(State::Idle))
                    }
                }
            }
        }
    }

    async fn take(&mut self, command: HostCommand, open: Option<Line>) -> Result<Option<State>, EngineGone> {
        let state = match (command, open) {
            (HostCommand::Connect { line, endpoint, clock, via }, older) => {
                drop(older);
                State::Connecting(Wanted { line, endpoint, clock, via })
            }
            (HostCommand::Probe { id, endpoint, clock, via }, open) => {
                probe(&self.probes, &self.events, probe::Wanted { id, endpoint, clock, via }).await?;
                open.map_or(State::Idle, State::Open)
            }
            (HostCommand::Send { line, frame }, Some(open)) if open.id == line => {
                self.send(open, &frame).await?
            }
            (HostCommand::Send { line, .. }, open) => {
                tell(&self.events, not_open(line)).await?;
                open.map_or(State::Idle, State::Open)
            }
            (HostCommand::Close { line }, Some(open)) if open.id == line => {
                open.goodbye().await;
                State::Idle
            }
            (HostCommand::Close { .. }, open) => open.map_or(State::Idle, State::Open),
        };
        Ok(Some(state))
    }

    /// Sends one frame. What the peer said before is delivered ahead, and so is the end of the line.
    async fn send(&mut self, mut line: Line, frame: &[u8]) -> Result<State, EngineGone> {
        let id = line.id;
        while line.wants_reading() {
            // Bytes of TLS need not be a frame; the end of the line comes, though.
            let patience = if line.peer_has_closed() { WRITE_MAX } else { Duration::ZERO };
            tokio::task::yield_now().await; // lets the runtime see what the socket has
            let broken = match timeout(patience, line.receive()).await {
                Ok(Ok(bytes)) => {
                    tell(&self.events, HostEvent::Frame { line: id, bytes }).await?;
                    continue;
                }
                Ok(Err(broken)) => broken,
                Err(_) if patience.is_zero() => break,
                Err(_) => Broken::Closed,
            };
            let fault = line.end(&broken);
            drop(line);
            tell(&self.events, HostEvent::Lost { line: id, wrote: false, fault }).await?;
            return Ok(State::Idle);
        }
        match line.write(frame, WRITE_MAX).await {
            Ok(()) => {
                tell(&self.events, HostEvent::Sent { line: id }).await?;
                Ok(State::Open(line))
            }
            Err(Unwritten { wrote, fault }) => {
                drop(line);
                tell(&self.events, HostEvent::Lost { line: id, wrote, fault }).await?;
                Ok(State::Idle)
            }
        }
    }
}

async fn tell(events: &mpsc::Sender<HostEvent>, event: HostEvent) -> Result<(), EngineGone> {
    events.send(event).await.map_err(|_| EngineGone)
}

/// Hands a probe on. One too many is answered at once: the acquirer was not reached, and nobody waits for it.
async fn probe(
    probes: &mpsc::Sender<probe::Wanted>,
    events: &mpsc::Sender<HostEvent>,
    wanted: probe::Wanted,
) -> Result<(), EngineGone> {
    let id = wanted.id;
    if probes.try_send(wanted).is_ok() {
        return Ok(());
    }
    let fault = WayFault::new(Stage::Tcp, WayCause::Timeout, "too many links are being tried already");
    tell(events, HostEvent::Probed { id, result: Err(fault) }).await
}

fn not_open(line: u64) -> HostEvent {
    let fault = WayFault::new(Stage::Tcp, WayCause::Broken, "the line is not open");
    HostEvent::Lost { line, wrote: false, fault }
}

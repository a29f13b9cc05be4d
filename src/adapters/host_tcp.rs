//! The line to the acquirer over TCP: one task, one line at a time, whole frames in and out.
//!
//! It cuts the byte stream into frames ([`FrameReader`]) and knows nothing of the message inside. It does
//! not wait for answers, repeat or choose endpoints: the engine has those deadlines and decisions. TLS is
//! not spoken yet; such an endpoint is refused.
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc as thread_mpsc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::domain::iso8583::{FrameError, FrameReader};
use crate::ports::{HostCommand, HostEvent};

/// Commands that may wait. One exchange needs three (connect, send, close).
const COMMANDS_MAX: usize = 8;
/// How long the socket may take to accept one frame. Choice: a frame is under 4 KiB, so a socket that does
/// not take it within this time has an unacknowledged earlier frame and is dead.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried. Choice: a list longer than this is a mistake in the zone.
const ADDRESSES_MAX: usize = 8;

/// Where the acquirer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostSettings {
    /// `host:port`, IPv6 literals in brackets; tried in the order the engine asks for.
    pub endpoints: Vec<String>,
    /// For name resolution and connection together.
    pub connect_timeout: Duration,
}

/// Why an endpoint of the configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The list is empty.
    #[error("host.endpoints is empty: at least one host:port is needed")]
    None,
    /// TLS is not available in this version.
    #[error("host.endpoints: {0} asks for TLS, which this version does not speak; give host:port")]
    Tls(String),
    /// Not a name or address and a port.
    #[error("host.endpoints: {0} is not host:port (port 1 to 65535)")]
    Form(String),
}

impl HostSettings {
    /// Judges every endpoint, so that the configuration can refuse a bad one at start.
    ///
    /// # Errors
    /// The first endpoint that cannot be used, or none at all.
    pub fn check(&self) -> Result<(), EndpointError> {
        if self.endpoints.is_empty() {
            return Err(EndpointError::None);
        }
        self.endpoints.iter().try_for_each(|endpoint| check_endpoint(endpoint))
    }

    fn endpoint(&self, index: usize) -> Result<&str, EndpointError> {
        let at = index.checked_rem(self.endpoints.len()).ok_or(EndpointError::None)?;
        let endpoint = self.endpoints.get(at).ok_or(EndpointError::None)?;
        check_endpoint(endpoint).map(|()| endpoint.as_str())
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), EndpointError> {
    if endpoint.starts_with("tls://") {
        return Err(EndpointError::Tls(endpoint.to_owned()));
    }
    let bad = || EndpointError::Form(endpoint.to_owned());
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(bad)?;
    let port_fits = port.parse::<u16>().is_ok_and(|port| port > 0);
    let bare_colon = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || host.contains('/') || bare_colon || !port_fits {
        return Err(bad());
    }
    Ok(())
}

/// Starts the task on the current runtime and gives its command queue (8 places).
///
/// The task ends when all senders of commands are gone or nobody takes events any more. A line that the
/// engine closes or replaces says nothing more, not even [`HostEvent::ConnectFailed`]. An endpoint that
/// cannot be used answers [`HostEvent::ConnectFailed`] with the words of [`EndpointError`].
pub fn start(settings: HostSettings, events: mpsc::Sender<HostEvent>) -> mpsc::Sender<HostCommand> {
    let (sender, commands) = mpsc::channel(COMMANDS_MAX);
    tokio::spawn(HostTask { settings, commands, events, resolver: Resolver::start() }.run());
    sender
}

/// The receiver of events is gone: the engine has ended, and so does the task.
struct EngineGone;

struct HostTask {
    settings: HostSettings,
    commands: mpsc::Receiver<HostCommand>,
    events: mpsc::Sender<HostEvent>,
    resolver: Resolver,
}

/// What the task does next.
enum State {
    Idle,
    Connecting { line: u64, endpoint: usize },
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
                State::Connecting { line, endpoint } => self.connecting(line, endpoint).await,
                State::Open(line) => self.open(line).await,
            };
            match next {
                Ok(Some(next)) => state = next,
                Ok(None) | Err(EngineGone) => return,
            }
        }
    }

    /// Waits for the line, but obeys a close or a newer connect at once.
    async fn connecting(&mut self, line: u64, endpoint: usize) -> Result<Option<State>, EngineGone> {
        let attempt = connect(&self.settings, &self.resolver, endpoint);
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    None => return Ok(None),
                    Some(HostCommand::Connect { line, endpoint }) => {
                        return Ok(Some(State::Connecting { line, endpoint }));
                    }
                    Some(HostCommand::Close { line: closed }) if closed == line => {
                        return Ok(Some(State::Idle));
                    }
                    Some(HostCommand::Close { .. }) => {}
                    Some(HostCommand::Send { line: asked, .. }) => {
                        tell(&self.events, not_open(asked)).await?;
                    }
                },
                result = &mut attempt => {
                    return match result {
                        Ok((stream, name_ms)) => {
                            tell(&self.events, HostEvent::Connected { line, name_ms }).await?;
                            Ok(Some(State::Open(Line::new(line, stream))))
                        }
                        Err(cause) => {
                            tell(&self.events, HostEvent::ConnectFailed { line, cause }).await?;
                            Ok(Some(State::Idle))
                        }
                    };
                }
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
                        let event = HostEvent::Lost {
                            line: id, wrote: line.unanswered > 0, cause: broken.to_string(),
                        };
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
            (HostCommand::Connect { line, endpoint }, older) => {
                drop(older);
                State::Connecting { line, endpoint }
            }
            (HostCommand::Send { line, frame }, Some(open)) if open.id == line => {
                self.send(open, &frame).await?
            }
            (HostCommand::Send { line, .. }, open) => {
                tell(&self.events, not_open(line)).await?;
                open.map_or(State::Idle, State::Open)
            }
            (HostCommand::Close { line }, Some(open)) if open.id == line => State::Idle,
            (HostCommand::Close { .. }, open) => open.map_or(State::Idle, State::Open),
        };
        Ok(Some(state))
    }

    /// Sends one frame. What the peer said before it closed is still delivered, ahead of the loss.
    async fn send(&mut self, mut line: Line, frame: &[u8]) -> Result<State, EngineGone> {
        let id = line.id;
        if line.peer_has_closed() {
            let cause = loop {
                match timeout(WRITE_MAX, line.receive()).await {
                    Ok(Ok(bytes)) => tell(&self.events, HostEvent::Frame { line: id, bytes }).await?,
                    Ok(Err(broken)) => break broken.to_string(),
                    Err(_) => break Broken::Closed.to_string(),
                }
            };
            drop(line);
            tell(&self.events, HostEvent::Lost { line: id, wrote: false, cause }).await?;
            return Ok(State::Idle);
        }
        match line.write(frame, WRITE_MAX).await {
            Ok(()) => {
                tell(&self.events, HostEvent::Sent { line: id }).await?;
                Ok(State::Open(line))
            }
            Err(Unwritten { wrote, cause }) => {
                drop(line);
                tell(&self.events, HostEvent::Lost { line: id, wrote, cause }).await?;
                Ok(State::Idle)
            }
        }
    }
}

async fn tell(events: &mpsc::Sender<HostEvent>, event: HostEvent) -> Result<(), EngineGone> {
    events.send(event).await.map_err(|_| EngineGone)
}

fn not_open(line: u64) -> HostEvent {
    HostEvent::Lost { line, wrote: false, cause: "the line is not open".to_owned() }
}

/// Why nothing more can be read from a line.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the host closed the connection")]
    Closed,
    #[error("the host closed the connection inside a message")]
    ClosedInside,
    #[error("the host sent {0}")]
    NoFrame(#[from] FrameError),
    #[error("reading failed: {0}")]
    Io(io::Error),
}

/// A frame that did not go out as a whole.
struct Unwritten {
    wrote: bool,
    cause: String,
}

/// One open connection.
struct Line {
    id: u64,
    stream: TcpStream,
    /// Frames written less frames read, never below zero. A duplicate answer can make it too small, so after
    /// [`HostEvent::Sent`] the engine counts a lost line as sent whatever is said here.
    unanswered: u32,
    frames: FrameReader,
    /// Read from the socket, not yet taken by `frames`: at most one chunk.
    unread: Vec<u8>,
}

impl Line {
    fn new(id: u64, stream: TcpStream) -> Self {
        Self { id, stream, unanswered: 0, frames: FrameReader::default(), unread: Vec::new() }
    }

    /// Asks the socket itself: the runtime's own readiness may be older than a close that has already come.
    fn peer_has_closed(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let closed = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, Some(&now)) {
            Ok(_) => fds.iter().any(|fd| fd.revents().intersects(closed)),
            Err(_) => false, // interrupted: the write will tell
        }
    }

    async fn write(&mut self, frame: &[u8], within: Duration) -> Result<(), Unwritten> {
        let deadline = Instant::now() + within;
        let mut left = frame;
        let mut wrote = false;
        while !left.is_empty() {
            let cause = match timeout_at(deadline, self.stream.write(left)).await {
                Ok(Ok(0)) => "the socket takes no bytes".to_owned(),
                Ok(Ok(taken)) => {
                    wrote = true;
                    left = left.get(taken..).unwrap_or_default();
                    continue;
                }
                Ok(Err(error)) => format!("writing failed: {error}"),
                Err(_) => format!("the host did not take the message within {} ms", within.as_millis()),
            };
            return Err(Unwritten { wrote, cause });
        }
        self.unanswered = self.unanswered.saturating_add(1);
        Ok(())
    }

    /// The next whole message. May be dropped and called again: bytes already read are kept.
    async fn receive(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            let mut rest = self.unread.as_slice();
            let frame = self.frames.read(&mut rest)?;
            self.unread = rest.to_vec();
            if let Some(bytes) = frame {
                self.unanswered = self.unanswered.saturating_sub(1);
                return Ok(bytes);
            }
            let mut chunk = [0_u8; 1024];
            let count = self.stream.read(&mut chunk).await.map_err(Broken::Io)?;
            if count == 0 {
                let inside = !self.frames.is_between_frames();
                return Err(if inside { Broken::ClosedInside } else { Broken::Closed });
            }
            self.unread.extend(chunk.iter().take(count));
        }
    }
}

/// Resolves and connects within the one time-out; also says how long the name took, ms. The text is the cause.
async fn connect(
    settings: &HostSettings,
    resolver: &Resolver,
    endpoint: usize,
) -> Result<(TcpStream, u64), String> {
    let endpoint = settings.endpoint(endpoint).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let attempt = async {
        let addresses = resolver.resolve(endpoint).await?;
        let name_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut cause = format!("{endpoint}: the name has no address");
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let stream = prepare(stream).map_err(|error| format!("{endpoint}: {error}"))?;
                    return Ok((stream, name_ms));
                }
                Err(error) => cause = format!("{endpoint}: {error}"),
            }
        }
        Err(cause)
    };
    match timeout(settings.connect_timeout, attempt).await {
        Ok(result) => result,
        Err(_) => {
            Err(format!("{endpoint}: no connection within {} ms", settings.connect_timeout.as_millis()))
        }
    }
}

/// A frame goes out at once, and a dead peer is noticed within a minute. Choice: 30 s idle, then three
/// probes 10 s apart; mobile networks drop silent connections after some minutes.
fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(&stream, 3)?;
    Ok(stream)
}

type Addresses = io::Result<Vec<SocketAddr>>;

/// Name resolution on a thread of its own: getaddrinfo blocks and cannot be cancelled. One question at a
/// time; a second one while the first still hangs is refused, so that threads do not pile up.
struct Resolver {
    questions: Option<thread_mpsc::SyncSender<(String, oneshot::Sender<Addresses>)>>,
}

impl Resolver {
    fn start() -> Self {
        let (questions, asked) = thread_mpsc::sync_channel::<(String, oneshot::Sender<Addresses>)>(1);
        let answer_all = move || {
            while let Ok((endpoint, answer)) = asked.recv() {
                let addresses = endpoint.to_socket_addrs().map(Iterator::collect);
                drop(answer.send(addresses)); // nobody waits any more: the time-out has passed
            }
        };
        let thread = std::thread::Builder::new().name("posd-resolver".to_owned()).spawn(answer_all);
        Self { questions: thread.ok().map(|_| questions) }
    }

    async fn resolve(&self, endpoint: &str) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = endpoint.parse() {
            return Ok(vec![address]);
        }
        let busy = || format!("{endpoint}: the name resolver does not answer");
        let questions = self.questions.as_ref().ok_or_else(busy)?;
        let (sender, answer) = oneshot::channel();
        questions.try_send((endpoint.to_owned(), sender)).map_err(|_| busy())?;
        let addresses = answer.await.map_err(|_| busy())?;
        addresses.map_err(|error| format!("{endpoint}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A host that never reads fills the socket; the write ends at its deadline instead of waiting for ever.
    #[tokio::test]
    async fn a_host_that_takes_nothing_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_deaf, _) = listener.accept().await.unwrap();
        let mut line = Line::new(1, stream);
        let mut written = 0;
        let given_up = loop {
            match line.write(&[0; 65_536], Duration::from_millis(50)).await {
                Ok(()) => written += 1,
                Err(unwritten) => break unwritten,
            }
            assert!(written < 10_000, "no socket buffer is that large");
        };
        assert!(given_up.cause.contains("within 50 ms"), "{}", given_up.cause);
        assert_eq!(line.unanswered, written);
    }
}

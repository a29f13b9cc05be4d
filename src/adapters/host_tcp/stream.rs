//! One open line: whole frames in and out of a byte stream, plain or TLS.
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use super::refusal;
use crate::domain::iso8583::{FrameError, FrameReader};
use crate::domain::way::{Stage, WayCause, WayFault};
use crate::ports::LineClock;

/// How long the last bytes of a line may take. Choice.
const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// The bytes of a line.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    const fn tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Closes it, under TLS with a word of goodbye. Nobody waits for a socket that takes none.
    pub(super) async fn goodbye(mut self) {
        if self.tls() {
            drop(timeout(GOODBYE_MAX, self.shutdown()).await);
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}

/// Why nothing more can be read from a line.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
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
pub(super) struct Unwritten {
    pub(super) wrote: bool,
    pub(super) fault: WayFault,
}

/// One open connection.
pub(super) struct Line {
    pub(super) id: u64,
    stream: Stream,
    /// As configured, for people.
    endpoint: String,
    clock: LineClock,
    /// Frames written less frames read, never below zero. A duplicate answer can make it too small, so after
    /// [`crate::ports::HostEvent::Sent`] the engine counts a lost line as sent whatever is said here.
    unanswered: u32,
    frames: FrameReader,
    /// Read from the stream, not yet taken by `frames`: at most one chunk.
    unread: Vec<u8>,
}

impl Line {
    pub(super) fn new(id: u64, stream: Stream, endpoint: &str, clock: LineClock) -> Self {
        let (frames, unread) = (FrameReader::default(), Vec::new());
        Self { id, stream, endpoint: endpoint.to_owned(), clock, unanswered: 0, frames, unread }
    }

    /// A frame has left that no frame has answered.
    pub(super) const fn owes_answer(&self) -> bool {
        self.unanswered > 0
    }

    /// Something has come in that must be looked at before a frame is sent: the end of the line, or, under TLS, what
    /// only the library can read. Asks the socket itself: the runtime's own readiness may be older than a close that
    /// has already come.
    pub(super) fn wants_reading(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let wanted = if self.stream.tls() { ended | PollFlags::IN } else { ended };
        let mut fds = [PollFd::new(self.stream.socket(), wanted)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, Some(&now)) {
            Ok(_) => fds.iter().any(|fd| fd.revents().intersects(wanted)),
            Err(_) => false, // interrupted: the write will tell
        }
    }

    /// True if what has come in is the end, and not only bytes.
    pub(super) fn peer_has_closed(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut fds = [PollFd::new(self.stream.socket(), PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|_| fds.iter().any(|fd| fd.revents().intersects(ended)))
    }

    pub(super) async fn write(&mut self, frame: &[u8], within: Duration) -> Result<(), Unwritten> {
        let deadline = Instant::now() + within;
        let mut left = frame;
        let mut wrote = false;
        let failed = loop {
            let step = async {
                // TLS keeps what the socket did not take: only a flush says that it has left.
                if left.is_empty() {
                    self.stream.flush().await.map(|()| 0)
                } else {
                    self.stream.write(left).await
                }
            };
            match timeout_at(deadline, step).await {
                Ok(Ok(0)) if left.is_empty() => {
                    self.unanswered = self.unanswered.saturating_add(1);
                    return Ok(());
                }
                Ok(Ok(0)) => break "the socket takes no bytes".to_owned(),
                Ok(Ok(taken)) => {
                    wrote = true;
                    left = left.get(taken..).unwrap_or_default();
                }
                Ok(Err(error)) => {
                    let fault = self.fault(&error, format!("writing failed: {error}"));
                    return Err(Unwritten { wrote, fault });
                }
                Err(_) => {
                    break format!("the host did not take the message within {} ms", within.as_millis());
                }
            }
        };
        let fault = WayFault::new(Stage::Echo, WayCause::Broken, format!("{}: {failed}", self.endpoint));
        Err(Unwritten { wrote, fault })
    }

    /// The next whole message. May be dropped and called again: bytes already read are kept.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            let mut rest = self.unread.as_slice();
            let frame = self.frames.read(&mut rest)?;
            self.unread = rest.to_vec();
            if let Some(bytes) = frame {
                self.unanswered = self.unanswered.saturating_sub(1);
                return Ok(bytes);
            }
            let mut chunk = [0_u8; 1024];
            let count = match self.stream.read(&mut chunk).await {
                // A TLS peer that leaves without a word of goodbye has closed, too: frames carry their own length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read.map_err(Broken::Io)?,
            };
            if count == 0 {
                let inside = !self.frames.is_between_frames();
                return Err(if inside { Broken::ClosedInside } else { Broken::Closed });
            }
            self.unread.extend(chunk.iter().take(count));
        }
    }

    /// Closes it.
    pub(super) async fn goodbye(self) {
        self.stream.goodbye().await;
    }

    /// The end of the line as the engine hears it.
    pub(super) fn end(&self, broken: &Broken) -> WayFault {
        let words = broken.to_string();
        match broken {
            Broken::Io(error) => self.fault(error, words),
            Broken::Closed | Broken::ClosedInside | Broken::NoFrame(_) => self.broken(&words),
        }
    }

    fn fault(&self, error: &io::Error, words: String) -> WayFault {
        refusal::of(error, &self.endpoint, self.clock).unwrap_or_else(|| self.broken(&words))
    }

    fn broken(&self, words: &str) -> WayFault {
        WayFault::new(Stage::Echo, WayCause::Broken, format!("{}: {words}", self.endpoint))
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
        let mut line = Line::new(1, Stream::Plain(stream), "bank", LineClock::default());
        let mut written = 0;
        let given_up = loop {
            match line.write(&[0; 65_536], Duration::from_millis(50)).await {
                Ok(()) => written += 1,
                Err(unwritten) => break unwritten,
            }
            assert!(written < 10_000, "no socket buffer is that large");
        };
        assert!(given_up.fault.detail.contains("within 50 ms"), "{}", given_up.fault);
        assert_eq!(line.unanswered, written);
    }
}

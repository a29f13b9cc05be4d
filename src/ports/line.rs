//! What the engine and the host task say to each other about the one line to the bank.
use super::Via;
use crate::domain::calendar::WallTime;
use crate::domain::way::WayFault;
use core::fmt;

/// To the host task. At most one line is open.
#[derive(Clone, PartialEq, Eq)]
pub enum HostCommand {
    /// Open a line to one endpoint; closes an older line. Answered by [`HostEvent::Connected`] or
    /// [`HostEvent::ConnectFailed`] within the connect time-out.
    Connect {
        /// Names the line in all its events.
        line: u64,
        /// Index into the configured endpoints, taken modulo their number.
        endpoint: usize,
        /// By which certificates are judged.
        clock: LineClock,
        /// Over which link; `None` = the system's own route.
        via: Option<Via>,
    },
    /// See whether the acquirer can be reached over a link: connection and handshake, no message. The line is not
    /// touched. Answered by [`HostEvent::Probed`] within the connect time-out, or after the probe before it.
    Probe {
        /// Answer carries it.
        id: u64,
        /// As in [`HostCommand::Connect`].
        endpoint: usize,
        /// By which certificates are judged.
        clock: LineClock,
        /// Over which link.
        via: Via,
    },
    /// Write one whole frame, length prefix included. Answered by [`HostEvent::Sent`] or [`HostEvent::Lost`].
    Send {
        /// The line.
        line: u64,
        /// The bytes.
        frame: Vec<u8>,
    },
    /// Close the line. Not answered.
    Close {
        /// The line.
        line: u64,
    },
}

/// What the engine knows of the time: a machine whose clock has lost its battery still has to judge certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineClock {
    /// The later one of clock and clock floor (build date, newest journal time).
    pub now: WallTime,
    /// The clock is not behind the floor.
    pub trusted: bool,
}

/// How long each stage of the way took, as far as it was reached, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WayTimes {
    /// The name of the host; 0 where the endpoint is an address.
    pub name: Option<u64>,
    /// The connection.
    pub tcp: Option<u64>,
    /// The handshake; none without TLS.
    pub tls: Option<u64>,
}

/// From the host task.
#[derive(Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// The line is open.
    Connected {
        /// The line.
        line: u64,
        /// What the way took.
        times: WayTimes,
        /// When the first certificate of the host's chain ends; `None` without TLS.
        certificate_until: Option<WallTime>,
    },
    /// No line.
    ConnectFailed {
        /// The line.
        line: u64,
        /// What the way took, as far as it went.
        times: WayTimes,
        /// Where and why it ended.
        fault: WayFault,
    },
    /// A probe has ended.
    Probed {
        /// Of the command.
        id: u64,
        /// The acquirer was reached, or where and why not.
        result: Result<WayTimes, WayFault>,
    },
    /// The frame was handed to the socket as a whole.
    Sent {
        /// The line.
        line: u64,
    },
    /// A whole message came: the bytes after the two length bytes (TPDU, header, message).
    Frame {
        /// The line.
        line: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The line is gone, or what came is not a frame.
    Lost {
        /// The line.
        line: u64,
        /// True if at least one byte of an unanswered frame may have left.
        wrote: bool,
        /// Why.
        fault: WayFault,
    },
}

impl fmt::Debug for HostCommand {
    /// Frames by their length: they hold card data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { line, endpoint, via, .. } => {
                write!(f, "connect line {line} to endpoint {endpoint}")?;
                via.as_ref().map_or(Ok(()), |via| write!(f, " over {}", via.link))
            }
            Self::Probe { id, via, .. } => write!(f, "probe {id} over {}", via.link),
            Self::Send { line, frame } => write!(f, "send {} bytes on line {line}", frame.len()),
            Self::Close { line } => write!(f, "close line {line}"),
        }
    }
}

impl fmt::Debug for HostEvent {
    /// Frames by their length: they hold card data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected { line, times, .. } => write!(f, "line {line} connected, {times:?}"),
            Self::ConnectFailed { line, fault, .. } => write!(f, "line {line} not connected: {fault}"),
            Self::Probed { id, result: Ok(times) } => write!(f, "probe {id}: {times:?}"),
            Self::Probed { id, result: Err(fault) } => write!(f, "probe {id}: {fault}"),
            Self::Sent { line } => write!(f, "sent on line {line}"),
            Self::Frame { line, bytes } => write!(f, "{} bytes on line {line}", bytes.len()),
            Self::Lost { line, wrote, fault } => write!(f, "line {line} lost, wrote {wrote}: {fault}"),
        }
    }
}

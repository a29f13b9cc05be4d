//! One terminal's connection: a thread that reads whole messages and a thread that writes answers when they
//! are due.
//!
//! Two threads, because a late answer must not keep the next message from being read: a reversal may
//! overtake it.
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::desk::Ask;

/// The longest message read, length bytes aside.
const PAYLOAD_MAX: usize = 4096;
/// Answers that may wait for their time on one line.
const ANSWERS_MAX: usize = 64;
/// How long the terminal may refuse to take bytes.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long the writer sleeps when nothing is due; it is woken by the next answer or by the end of the line.
const IDLE: Duration = Duration::from_secs(3600);

/// What a line is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send these bytes.
    Write(Vec<u8>),
    /// Send these bytes one by one.
    WriteSplit(Vec<u8>),
    /// Close the own direction; what the terminal says is still read.
    HalfClose,
    /// Close the connection.
    Close,
}

/// The acquirer's end of a connection. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    actions: SyncSender<(Duration, Action)>,
}

impl Line {
    /// Starts both threads. Messages go to `asks` with the line's number, and at last [`Ask::LineEnded`].
    pub(super) fn start(number: u64, stream: TcpStream, asks: SyncSender<Ask>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_MAX))?;
        let (actions, due) = sync_channel(ANSWERS_MAX);
        let mut reading = stream.try_clone()?;
        let mut writing = stream.try_clone()?;
        thread::Builder::new().name(format!("sim-read-{number}")).spawn(move || {
            while let Ok(payload) = read_payload(&mut reading) {
                if asks.send(Ask::Message { line: number, payload, came: Instant::now() }).is_err() {
                    break;
                }
            }
            drop(reading.shutdown(Shutdown::Both)); // fails only where it is closed already
            drop(asks.send(Ask::LineEnded { line: number })); // fails only where the acquirer has ended
        })?;
        thread::Builder::new().name(format!("sim-write-{number}")).spawn(move || {
            write_when_due(&mut writing, &due);
            drop(writing.shutdown(Shutdown::Both));
        })?;
        Ok(Self { stream, actions })
    }

    /// Does something after a delay. A line whose queue is full is closed: the terminal does not read.
    pub(super) fn act(&self, after: Duration, action: Action) {
        if let Err(TrySendError::Full(_)) = self.actions.try_send((after, action)) {
            self.hang_up();
        }
    }

    /// Closes the connection at once.
    pub(super) fn hang_up(&self) {
        drop(self.stream.shutdown(Shutdown::Both));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Reads two bytes of length and what they count.
fn read_payload(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0_u8; 2];
    stream.read_exact(&mut length)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length == 0 || length > PAYLOAD_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0_u8; length];
    stream.read_exact(&mut payload)?;
    Ok(payload)
}

/// Does each action at its time, in the order of those times, until the line is dropped or closed.
fn write_when_due(stream: &mut TcpStream, actions: &Receiver<(Duration, Action)>) {
    let mut waiting: Vec<(Instant, Action)> = Vec::new();
    loop {
        waiting.sort_by_key(|(due, _)| *due);
        let wait = waiting.first().map_or(IDLE, |(due, _)| due.saturating_duration_since(Instant::now()));
        match actions.recv_timeout(wait) {
            Ok((after, action)) => {
                let now = Instant::now();
                waiting.push((now.checked_add(after).unwrap_or(now), action));
            }
            Err(RecvTimeoutError::Timeout) if waiting.is_empty() => {}
            Err(RecvTimeoutError::Timeout) => {
                let (_, action) = waiting.remove(0);
                let done = match action {
                    Action::Write(bytes) => stream.write_all(&bytes),
                    Action::WriteSplit(bytes) => bytes.iter().try_for_each(|byte| stream.write_all(&[*byte])),
                    Action::HalfClose => stream.shutdown(Shutdown::Write),
                    Action::Close => return,
                };
                if done.is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

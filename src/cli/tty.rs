//! Questions at the terminal. A thread of its own reads, so that prompts and signals go on; whatever happens to the
//! question, the terminal gets its echo back before the question is gone.
use super::failure::{Exit, Failure};
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::termios::{LocalModes, OptionalActions, Termios};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// The longest line taken; what is beyond it is dropped.
const LINE_MAX: usize = 128;

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(Zeroizing<Vec<u8>>),
    /// Ctrl-D, or the terminal is gone.
    Ended,
}

/// A question on the screen. Dropping it takes it back and restores the terminal.
#[derive(Debug)]
pub(crate) struct Question {
    answer: oneshot::Receiver<Typed>,
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Question {
    /// Asks, and shows what is typed.
    pub(crate) fn open(prompt: &str) -> Result<Self, Failure> {
        Self::ask(prompt, false)
    }

    /// Asks without echo.
    pub(crate) fn silent(prompt: &str) -> Result<Self, Failure> {
        Self::ask(prompt, true)
    }

    fn ask(prompt: &str, silent: bool) -> Result<Self, Failure> {
        let trouble = |error: std::io::Error| Failure::io("the terminal cannot be asked", &error);
        let stop = rustix::event::eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| trouble(e.into()))?;
        let thread_stop = stop.try_clone().map_err(trouble)?;
        let (put, answer) = oneshot::channel();
        let prompt = prompt.to_owned();
        let thread = std::thread::Builder::new()
            .name("posctl-tty".to_owned())
            .spawn(move || {
                let _restored_at_the_end = silent.then(NoEcho::start).flatten();
                write!(std::io::stderr().lock(), "{prompt}").ok();
                if let Some(typed) = read_line(&thread_stop) {
                    put.send(typed).ok();
                }
            })
            .map_err(trouble)?;
        Ok(Self { answer, stop, thread: Some(thread) })
    }

    /// Waits for the line. The caller sets the deadline.
    pub(crate) async fn answer(&mut self) -> Typed {
        (&mut self.answer).await.unwrap_or(Typed::Ended)
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        rustix::io::write(&self.stop, &1_u64.to_ne_bytes()).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok(); // it only waits in poll, which the write above ends
        }
    }
}

/// How long a person may think about an answer.
const THINKING_MAX: Duration = Duration::from_secs(120);

/// One line of a person, or why there is none.
pub(crate) async fn line(mut question: Question) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match tokio::time::timeout(THINKING_MAX, question.answer()).await {
        Ok(Typed::Line(line)) => Ok(line),
        Ok(Typed::Ended) => Err(Failure::new(Exit::Failed, "Cancelled", "cancelled at the terminal")),
        Err(_) => Err(Failure::new(Exit::Timeout, "Timeout", "nobody typed anything")),
    }
}

/// The terminal without echo, until dropped. Suspending is off meanwhile: a shell would see the terminal mute.
struct NoEcho(Termios);

impl NoEcho {
    fn start() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = rustix::termios::tcgetattr(stdin).ok()?;
        let mut mute = before.clone();
        mute.local_modes.remove(LocalModes::ECHO);
        mute.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        mute.special_codes[rustix::termios::SpecialCodeIndex::VSUSP] = 0;
        rustix::termios::tcsetattr(stdin, OptionalActions::Flush, &mute).ok()?;
        Some(Self(before))
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0).ok();
    }
}

/// Reads one line from stdin, or returns `None` when told to stop.
fn read_line(stop: &OwnedFd) -> Option<Typed> {
    let stdin = rustix::stdio::stdin();
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_MAX));
    loop {
        let mut waits = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match rustix::event::poll(&mut waits, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Some(Typed::Ended),
        }
        let [typed, stopped] = waits.each_ref().map(|wait| !wait.revents().is_empty());
        if stopped {
            return None;
        }
        if !typed {
            continue;
        }
        let mut bytes = Zeroizing::new([0_u8; LINE_MAX]);
        let count = match rustix::io::read(stdin, &mut *bytes) {
            Ok(count) if count > 0 => count,
            Err(rustix::io::Errno::INTR) => continue,
            _ => return Some(Typed::Ended),
        };
        for byte in bytes.iter().take(count) {
            if *byte == b'\n' {
                return Some(Typed::Line(line));
            }
            if line.len() < LINE_MAX {
                line.push(*byte);
            }
        }
    }
}

//! Simulated receipt printer on TCP: reads ESC/POS as a Chinese 58 mm printer does, answers status questions, cuts
//! receipts into text files and pictures, and fails on command.
//!
//! Its reader is written from the command reference and shares no code with the encoder, so that the two check each
//! other: what the reader does not know is an error in the report. It prints no bar codes.
mod control;
mod draw;
mod mechanism;
mod reader;

use mechanism::{Mechanism, Message, Order, Out};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

const RECEIVE_BUFFER: usize = 8 * 1024;
const MESSAGES_MAX: usize = 64;
const PICTURES_MAX: usize = 256;

/// `posd-sim printer`: options of the simulated printer.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Where it listens for jobs; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,
    /// Directory for receipt-N.txt and receipt-N.png.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Unix socket that takes faults and questions, one a line: see `help` on it.
    #[arg(long)]
    pub control: Option<PathBuf>,
    /// Dots on a line.
    #[arg(long, default_value_t = 384)]
    pub width_dots: u32,
}

/// Runs the simulated printer until the process is ended.
///
/// # Errors
/// An address, directory or socket cannot be used.
pub fn run(args: &Args) -> std::io::Result<()> {
    let mut printer = Printer::start(args)?;
    writeln!(std::io::stderr(), "printer listens on {}", printer.address())?;
    for thread in std::mem::take(&mut printer.threads) {
        if thread.join().is_err() {
            return Err(std::io::Error::other("a thread of the simulated printer ended early"));
        }
    }
    Ok(())
}

/// What goes wrong, now or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: clears all others; what waits in the buffer is printed.
    Nothing,
    /// No paper.
    PaperOut,
    /// Little paper left.
    PaperLow,
    /// The cover is open.
    CoverOpen,
    /// Switched offline.
    Offline,
    /// The head is too hot.
    Overheated,
    /// The cutter jams at its next cut.
    CutterError,
    /// Stops reading; connections stay open.
    Stall,
    /// Closes every connection on which something comes.
    Unplugged,
    /// Loses power and comes back at once: connections, buffer and settings are gone, paper stays.
    Reboot,
    /// Takes 64 bytes, pauses for 10 ms, takes the next.
    Slow,
    /// Does not know GS ( H.
    NoProcessId,
    /// Answers nothing at all.
    Mute,
    /// No fault: somebody pushes the cash drawer in.
    DrawerIn,
}

/// Faults by their names on the control socket.
const FAULTS: [(&str, Fault); 14] = [
    ("ok", Fault::Nothing),
    ("paper-out", Fault::PaperOut),
    ("paper-low", Fault::PaperLow),
    ("cover-open", Fault::CoverOpen),
    ("offline", Fault::Offline),
    ("overheated", Fault::Overheated),
    ("cutter-error", Fault::CutterError),
    ("stall", Fault::Stall),
    ("unplugged", Fault::Unplugged),
    ("reboot", Fault::Reboot),
    ("slow", Fault::Slow),
    ("no-process-id", Fault::NoProcessId),
    ("mute", Fault::Mute),
    ("drawer-in", Fault::DrawerIn),
];

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FAULTS.iter().find(|(name, _)| *name == text).map(|(_, fault)| *fault);
        found.ok_or_else(|| format!("{text:?} is none of {}", fault_names()))
    }
}

fn fault_names() -> String {
    FAULTS.map(|(name, _)| name).join(", ")
}

/// A piece of paper that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// 1, 2, … since the start.
    pub number: usize,
    /// Its lines as laid out, without empty lines at its end.
    pub text: String,
}

/// What the printer has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The last 1000 receipts, oldest first.
    pub receipts: Vec<Receipt>,
    /// What hangs out of the printer.
    pub uncut: String,
    /// Commands it does not know and other things that should not come.
    pub errors: Vec<String>,
    /// Document bytes received.
    pub bytes: usize,
    /// How often the cash drawer was opened.
    pub pulses: usize,
    /// Connections that are open.
    pub connections: usize,
    /// Why pictures are not drawn, if they are not.
    pub no_pictures: Option<String>,
}

/// A running simulated printer; ends when dropped.
#[derive(Debug)]
pub struct Printer {
    address: SocketAddr,
    orders: SyncSender<Message>,
    jobs: TcpListener,
    control: Option<(UnixListener, PathBuf)>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Printer {
    /// Starts it on threads of its own.
    ///
    /// # Errors
    /// An address, directory or socket cannot be used.
    pub fn start(args: &Args) -> std::io::Result<Self> {
        if let Some(out) = &args.out {
            std::fs::create_dir_all(out)?;
        }
        let jobs = TcpListener::bind(args.listen)?;
        // Printers have small buffers: a sender must notice soon that nothing is taken any more.
        rustix::net::sockopt::set_socket_recv_buffer_size(&jobs, RECEIVE_BUFFER)?;
        let (orders, messages) = sync_channel(MESSAGES_MAX);
        let mut threads = Vec::new();
        let out = match &args.out {
            Some(folder) => {
                // A thread of its own: the font takes seconds to load, and paper does not wait for pictures.
                let (pictures, strips) = sync_channel(PICTURES_MAX);
                let drawn = orders.clone();
                threads.push(spawn("sim-printer-pen", move || draw::run(&strips, &drawn))?);
                Some(Out { folder: folder.clone(), pictures })
            }
            None => None,
        };
        let mechanism = Mechanism::new(args.width_dots, out);
        threads.push(spawn("sim-printer", move || mechanism.run(&messages))?);
        let (listener, to_mechanism) = (jobs.try_clone()?, orders.clone());
        threads.push(spawn("sim-printer-tcp", move || accept(&listener, &to_mechanism))?);
        let control = match &args.control {
            Some(path) => {
                let listener = control::listen(path)?;
                let (accepting, to_mechanism) = (listener.try_clone()?, orders.clone());
                threads.push(spawn("sim-printer-ctl", move || control::serve(&accepting, &to_mechanism))?);
                Some((listener, path.clone()))
            }
            None => None,
        };
        Ok(Self { address: jobs.local_addr()?, orders, jobs, control, threads })
    }

    /// Starts it on a free port of the loopback, without files.
    ///
    /// # Errors
    /// No port is free.
    pub fn on_loopback() -> std::io::Result<Self> {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start(&Args { listen, out: None, control: None, width_dots: 384 })
    }

    /// Where it takes jobs.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets a fault on top of those that are set; [`Fault::Nothing`] clears them. In force on return.
    pub fn set(&self, fault: Fault) {
        self.set_after(0, fault);
    }

    /// Sets a fault that comes when so many more document bytes have been taken; status requests do not count.
    pub fn set_after(&self, bytes: usize, fault: Fault) {
        let (done, wait) = sync_channel(1);
        if self.orders.send(Message::Order(Order::Set { fault, after: bytes, done })).is_ok() {
            wait_briefly(&wait, ());
        }
    }

    /// What it has done so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let (answer, wait) = sync_channel(1);
        if self.orders.send(Message::Order(Order::Report(answer))).is_err() {
            return Report::default();
        }
        wait_briefly(&wait, Report::default())
    }

    /// Waits until so many receipts were cut (and left as files) since the start; false if the time is over first.
    #[must_use]
    pub fn wait_for(&self, count: usize, time: Duration) -> bool {
        let (answer, wait) = sync_channel(1);
        let until = Instant::now() + time;
        let order = Order::WaitFor { count, until, answer };
        self.orders.send(Message::Order(order)).is_ok()
            && wait.recv_timeout(time.saturating_add(Duration::from_secs(1))).is_ok_and(|there| there)
    }
}

impl Drop for Printer {
    /// Frees the port; threads end by themselves.
    fn drop(&mut self) {
        self.orders.send(Message::Order(Order::Stop)).ok();
        // On Linux this wakes the thread that waits in accept.
        rustix::net::shutdown(&self.jobs, rustix::net::Shutdown::Read).ok();
        if let Some((listener, path)) = &self.control {
            rustix::net::shutdown(listener, rustix::net::Shutdown::Read).ok();
            std::fs::remove_file(path).ok();
        }
    }
}

/// The mechanism answers at once; ten seconds mean that it is gone.
fn wait_briefly<T>(wait: &Receiver<T>, otherwise: T) -> T {
    wait.recv_timeout(Duration::from_secs(10)).unwrap_or(otherwise)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn accept(listener: &TcpListener, to_mechanism: &SyncSender<Message>) {
    for (connection, stream) in (0_u64..).zip(listener.incoming()) {
        let Ok(stream) = stream else { return };
        let (Ok(reading), to_mechanism) = (stream.try_clone(), to_mechanism.clone()) else { continue };
        let started = to_mechanism.send(Message::Opened { connection, stream }).is_ok()
            && spawn("sim-printer-job", move || read(connection, reading, &to_mechanism)).is_ok();
        if !started {
            return;
        }
    }
}

/// Reads one connection. The next bytes are read only when the mechanism has taken the last ones: that is how a stalled
/// printer fills up its sender.
fn read(connection: u64, mut stream: TcpStream, to_mechanism: &SyncSender<Message>) {
    let mut buffer = [0_u8; 1024];
    while let Ok(count) = stream.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default().to_vec();
        let (more, taken) = sync_channel(1);
        let sent = to_mechanism.send(Message::Bytes { connection, bytes, more });
        if count == 0 || sent.is_err() || taken.recv().is_err() {
            break;
        }
    }
    to_mechanism.send(Message::Closed { connection }).ok();
}

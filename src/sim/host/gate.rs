//! The doors: one thread that accepts terminals on TCP and testers on the control socket, and can refuse
//! terminals.
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};

/// How long a command to the doors may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the doors are told. The answer comes when it is done.
enum Order {
    Refuse(SyncSender<io::Result<()>>),
    Accept(SyncSender<io::Result<()>>),
    Stop,
}

/// Who came in.
pub(super) enum Visitor {
    /// A terminal.
    Terminal(TcpStream),
    /// A tester on the control socket.
    Tester(UnixStream),
}

/// The handle of the doors.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    orders: SyncSender<Order>,
    wake: Arc<UnixStream>,
    address: SocketAddr,
}

impl Gate {
    /// Opens both doors and hands every visitor to `welcome`, on the thread `sim-gate`.
    pub(super) fn open(
        listen: SocketAddr,
        control: Option<&Path>,
        welcome: impl FnMut(&Gate, Visitor) + Send + 'static,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (place, address) = keep_port(listen)?;
        let terminals = TcpListener::bind(address)?;
        terminals.set_nonblocking(true)?;
        let testers = control.map(control_socket).transpose()?;
        let (wake, woken) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let (orders, ordered) = sync_channel(4);
        let gate = Self { orders, wake: Arc::new(wake), address };
        let doors = Doors {
            _place: place,
            terminals: Some(terminals),
            testers,
            woken,
            ordered,
            gate: gate.clone(),
            welcome,
        };
        let thread = thread::Builder::new().name("sim-gate".to_owned()).spawn(move || doors.run())?;
        Ok((gate, thread))
    }

    /// Where terminals come in.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses new connections of terminals from now on.
    pub(super) fn refuse(&self) -> io::Result<()> {
        self.order(Order::Refuse)
    }

    /// Accepts them again, on the same port.
    pub(super) fn accept(&self) -> io::Result<()> {
        self.order(Order::Accept)
    }

    /// Closes both doors and ends the thread.
    pub(super) fn stop(&self) {
        drop(self.orders.send(Order::Stop)); // fails only where it has ended
        drop((&*self.wake).write_all(&[0]));
    }

    fn order(&self, order: fn(SyncSender<io::Result<()>>) -> Order) -> io::Result<()> {
        let (done, result) = sync_channel(1);
        let ended = |_| io::Error::other("the acquirer has ended");
        self.orders.send(order(done)).map_err(|_| io::Error::other("the acquirer has ended"))?;
        (&*self.wake).write_all(&[0])?;
        result.recv_timeout(PATIENCE).map_err(ended)?
    }
}

/// A socket file of an earlier run is replaced; any other file is not.
fn control_socket(path: &Path) -> io::Result<(UnixListener, PathBuf)> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok((listener, path.to_owned()))
}

/// Binds a port for as long as the socket lives, without listening on it: while terminals are refused, nobody else can
/// be given the port, neither to listen on nor for an outgoing connection. Linux lets the listener share it, because
/// both have SO_REUSEADDR (which `TcpListener::bind` sets) and this one never listens. socket(7).
fn keep_port(listen: SocketAddr) -> io::Result<(OwnedFd, SocketAddr)> {
    let family = if listen.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let place = socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&place, true)?;
    bind(&place, &listen)?;
    let address = SocketAddr::try_from(getsockname(&place)?)?;
    Ok((place, address))
}

struct Doors<F> {
    /// Keeps the port while nobody listens on it.
    _place: OwnedFd,
    terminals: Option<TcpListener>,
    testers: Option<(UnixListener, PathBuf)>,
    woken: UnixStream,
    ordered: Receiver<Order>,
    gate: Gate,
    welcome: F,
}

impl<F: FnMut(&Gate, Visitor)> Doors<F> {
    fn run(mut self) {
        loop {
            self.wait();
            while let Ok(order) = self.ordered.try_recv() {
                // An answer that nobody waits for any more is dropped.
                match order {
                    Order::Refuse(done) => {
                        self.terminals = None;
                        drop(done.send(Ok(())));
                    }
                    Order::Accept(done) => drop(done.send(self.listen_again())),
                    Order::Stop => {
                        if let Some((_, path)) = &self.testers {
                            drop(fs::remove_file(path)); // somebody else may have taken it away
                        }
                        return;
                    }
                }
            }
            while let Some(Ok((stream, _))) = self.terminals.as_ref().map(TcpListener::accept) {
                if stream.set_nonblocking(false).is_ok() {
                    (self.welcome)(&self.gate, Visitor::Terminal(stream));
                }
            }
            while let Some(Ok((stream, _))) = self.testers.as_ref().map(|(testers, _)| testers.accept()) {
                if stream.set_nonblocking(false).is_ok() {
                    (self.welcome)(&self.gate, Visitor::Tester(stream));
                }
            }
        }
    }

    /// Sleeps until somebody knocks or an order comes.
    fn wait(&mut self) {
        let mut fds = vec![PollFd::new(&self.woken, PollFlags::IN)];
        fds.extend(self.terminals.as_ref().map(|door| PollFd::new(door, PollFlags::IN)));
        fds.extend(self.testers.as_ref().map(|(door, _)| PollFd::new(door, PollFlags::IN)));
        poll(&mut fds, None).ok(); // interrupted: the doors are looked at all the same
        drop(self.woken.read(&mut [0; 16])); // nonblocking: empty is fine
    }

    fn listen_again(&mut self) -> io::Result<()> {
        if self.terminals.is_none() {
            let terminals = TcpListener::bind(self.gate.address)?;
            terminals.set_nonblocking(true)?;
            self.terminals = Some(terminals);
        }
        Ok(())
    }
}

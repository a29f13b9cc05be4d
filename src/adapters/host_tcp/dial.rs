//! From an endpoint to an open stream: name, connection, handshake, all within one time-out.
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc as thread_mpsc;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::{Endpoint, HostSettings};
use super::refusal;
use super::stream::Stream;
use super::tls::{self, Loaded, TlsFileError};
use crate::domain::calendar::WallTime;
use crate::domain::way::{Stage, WayCause, WayFault};
use crate::ports::{LineClock, Via, WayTimes};

/// Addresses of one name that are tried. Choice: a list longer than this is a mistake in the zone.
const ADDRESSES_MAX: usize = 8;
/// A peer that acknowledges nothing for so long is gone. Choice, with the keep-alive below: a minute of silence, then a
/// probe every 10 s; mobile networks drop silent connections after some minutes and tell nobody.
const UNACKNOWLEDGED_MAX_MS: u32 = 20_000;

/// Dials; keeps what outlives a line: the resolver's thread, and the TLS configuration with its sessions.
pub(super) struct Dialler {
    settings: HostSettings,
    resolver: Resolver,
    tls: Option<Loaded>,
}

/// A line that is open.
pub(super) struct Dialled {
    pub(super) stream: Stream,
    pub(super) endpoint: String,
    pub(super) certificate_until: Option<WallTime>,
}

impl Dialler {
    pub(super) fn new(settings: HostSettings) -> Self {
        Self { settings, resolver: Resolver::start(), tls: None }
    }

    /// Reads the files for TLS, once. Files that cannot be used are tried again with the next dial, so that a
    /// technician who puts them right need not restart anything.
    pub(super) fn prepare(&mut self) {
        let tls = self.settings.tls.as_ref().filter(|_| self.tls.is_none() && self.settings.wants_tls());
        if let Some(settings) = tls {
            match settings.load() {
                Ok(loaded) => self.tls = Some(loaded),
                Err(error) => tracing::error!(%error, "TLS cannot be spoken"),
            }
        }
    }

    /// Dials one endpoint. `times` has what was reached, also after a fault.
    pub(super) async fn dial(
        &self,
        endpoint: usize,
        clock: LineClock,
        via: Option<&Via>,
        times: &mut WayTimes,
    ) -> Result<Dialled, WayFault> {
        let endpoint = self
            .settings
            .endpoint(endpoint)
            .map_err(|error| WayFault::new(Stage::Dns, WayCause::NoName, error.to_string()))?;
        let within = self.settings.connect_timeout;
        let attempt = timeout(within, self.attempt(endpoint, clock, via, times)).await;
        attempt.unwrap_or_else(|_| {
            let stage = match *times {
                WayTimes { name: None, .. } => Stage::Dns,
                WayTimes { tcp: None, .. } => Stage::Tcp,
                _ => Stage::Tls,
            };
            let what = if stage == Stage::Tls { "TLS handshake" } else { "connection" };
            let words = format!("{}: no {what} within {} ms", endpoint.text, within.as_millis());
            Err(WayFault::new(stage, WayCause::Timeout, words))
        })
    }

    async fn attempt(
        &self,
        endpoint: Endpoint<'_>,
        clock: LineClock,
        via: Option<&Via>,
        times: &mut WayTimes,
    ) -> Result<Dialled, WayFault> {
        let mut begun = Instant::now();
        let addresses = self.resolver.resolve(endpoint.address).await;
        let addresses = addresses.map_err(|words| WayFault::new(Stage::Dns, WayCause::NoName, words))?;
        times.name = Some(lap(&mut begun));
        let stream = connect(endpoint, addresses, via).await?;
        times.tcp = Some(lap(&mut begun));
        let (stream, certificate_until) = if endpoint.tls {
            let secured = self.shake_hands(endpoint, stream, clock).await?;
            times.tls = Some(lap(&mut begun));
            let until = secured.get_ref().1.peer_certificates().and_then(tls::host_until);
            (Stream::Tls(Box::new(secured)), until)
        } else {
            (Stream::Plain(stream), None)
        };
        Ok(Dialled { stream, endpoint: endpoint.text.to_owned(), certificate_until })
    }

    async fn shake_hands(
        &self,
        endpoint: Endpoint<'_>,
        stream: TcpStream,
        clock: LineClock,
    ) -> Result<TlsStream<TcpStream>, WayFault> {
        let fault =
            |cause, words: String| WayFault::new(Stage::Tls, cause, format!("{}: {words}", endpoint.text));
        let Some(loaded) = &self.tls else { return Err(self.files_fault(endpoint)) };
        loaded.clock.set(clock.now);
        let name = ServerName::try_from(endpoint.name.to_owned())
            .map_err(|_| fault(WayCause::WrongName, "no certificate can be for this name".to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&loaded.config));
        let secured = connector.connect(name, stream).await.map_err(|error| {
            refusal::of(&error, endpoint.text, clock).unwrap_or_else(|| match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => fault(
                    WayCause::NoTls,
                    "the host closed the connection during the TLS handshake".to_owned(),
                ),
                _ => fault(WayCause::Tls, format!("the TLS handshake failed: {error}")),
            })
        })?;
        // A resumed session rests on a verification of earlier: only its time can have run out.
        let own = secured.get_ref().1.peer_certificates().and_then(tls::host_until);
        if let Some(until) = own.filter(|until| *until < clock.now) {
            let at = UnixTime::since_unix_epoch(Duration::from_micros(until.0));
            return Err(fault(WayCause::Expired, refusal::expired(Some(at), clock)));
        }
        Ok(secured)
    }

    fn files_fault(&self, endpoint: Endpoint<'_>) -> WayFault {
        let error = self.settings.tls.as_ref().and_then(|settings| settings.check().err());
        let words = error.as_ref().map_or_else(|| "TLS is not set up".to_owned(), TlsFileError::to_string);
        WayFault::new(Stage::Tls, WayCause::TlsFiles, format!("{}: {words}", endpoint.text))
    }
}

/// Milliseconds since `begun`, which then begins anew.
fn lap(begun: &mut Instant) -> u64 {
    let now = Instant::now();
    let took = now.saturating_duration_since(*begun);
    *begun = now;
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

async fn connect(
    endpoint: Endpoint<'_>,
    addresses: Vec<SocketAddr>,
    via: Option<&Via>,
) -> Result<TcpStream, WayFault> {
    let fault = |cause, words: String| {
        let over = via.map(|via| format!(" over {} ({})", via.link, via.interface)).unwrap_or_default();
        WayFault::new(Stage::Tcp, cause, format!("{}{over}: {words}", endpoint.text))
    };
    let mut cause = (WayCause::NoConnection, "the name has no address".to_owned());
    for address in addresses.into_iter().take(ADDRESSES_MAX) {
        let opened = match via {
            None => TcpStream::connect(address).await.map_err(|error| (why(&error), error)),
            Some(via) => match bound(address, via) {
                Ok(socket) => socket.connect(address).await.map_err(|error| (why(&error), error)),
                Err(error) => Err((WayCause::LinkGone, error)),
            },
        };
        match opened {
            Ok(stream) => {
                return prepare(stream).map_err(|error| fault(WayCause::NoConnection, error.to_string()));
            }
            Err((word, error)) => cause = (word, error.to_string()),
        }
    }
    Err(fault(cause.0, cause.1))
}

fn why(error: &io::Error) -> WayCause {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => WayCause::Refused,
        _ => WayCause::NoConnection,
    }
}

/// A socket that leaves by this link and no other. Since Linux 5.7 SO_BINDTODEVICE needs no capability on a socket
/// that is not bound yet; where it is refused all the same the address of the link is what the socket is bound to, and
/// then the routes decide.
fn bound(to: SocketAddr, via: &Via) -> io::Result<TcpSocket> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    match socket.bind_device(Some(via.interface.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let own: IpAddr = via.address.parse().map_err(|_| error)?;
            socket.bind(SocketAddr::new(own, 0))?;
        }
        done => done?,
    }
    Ok(socket)
}

/// A frame goes out at once, and a dead peer is noticed.
fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(&stream, 3)?;
    sockopt::set_tcp_user_timeout(&stream, UNACKNOWLEDGED_MAX_MS)?;
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

//! The host adapter against listeners that behave as badly as networks do.
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use posd::adapters::host_tcp::{self, EndpointError, HostSettings, TlsSettings};
use posd::domain::iso8583::frame::PAYLOAD_MAX;
use posd::ports::{HostCommand, HostEvent, LineClock};
use posd::sim::host::rules::{Fault, Rule};
use posd::sim::host::{Acquirer, Config};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::terminal::{Sale, Terminal};

/// No test waits longer for one event.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The adapter and both its queues.
pub(super) struct Engine {
    commands: mpsc::Sender<HostCommand>,
    events: mpsc::Receiver<HostEvent>,
}

impl Engine {
    fn new(endpoints: &[String]) -> Self {
        Self::with_timeout(endpoints, Duration::from_secs(5))
    }

    fn with_timeout(endpoints: &[String], connect_timeout: Duration) -> Self {
        Self::with(HostSettings { endpoints: endpoints.to_vec(), connect_timeout, tls: None })
    }

    pub(super) fn with(settings: HostSettings) -> Self {
        let (sender, events) = mpsc::channel(32);
        Self { commands: host_tcp::start(settings, sender), events }
    }

    async fn connect(&self, line: u64, endpoint: usize) {
        self.connect_at(line, endpoint, LineClock::default()).await;
    }

    pub(super) async fn connect_at(&self, line: u64, endpoint: usize, clock: LineClock) {
        self.commands.send(HostCommand::Connect { line, endpoint, clock, via: None }).await.unwrap();
    }

    pub(super) async fn send(&self, line: u64, frame: Vec<u8>) {
        self.commands.send(HostCommand::Send { line, frame }).await.unwrap();
    }

    pub(super) async fn close(&self, line: u64) {
        self.commands.send(HostCommand::Close { line }).await.unwrap();
    }

    pub(super) async fn event(&mut self) -> HostEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the task lives")
    }

    pub(super) async fn expect(&mut self, wanted: HostEvent) {
        assert_eq!(self.event().await, wanted);
    }

    async fn expect_connected(&mut self, wanted: u64) {
        let event = self.event().await;
        assert!(matches!(event, HostEvent::Connected { line, .. } if line == wanted), "{event:?}");
    }

    async fn expect_lost(&mut self, line: u64, wrote: bool, cause: &str) {
        match self.event().await {
            HostEvent::Lost { line: l, wrote: w, fault } if l == line && w == wrote => {
                assert!(fault.detail.contains(cause), "{fault}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// Opens a line to a fresh listener and gives the host's end of it.
    async fn opened(&mut self, listener: &TcpListener, line: u64) -> TcpStream {
        self.connect(line, 0).await;
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        self.expect_connected(line).await;
        stream
    }
}

async fn listener() -> (TcpListener, Vec<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    (listener, vec![endpoint])
}

pub(super) fn payload(byte: u8, length: usize) -> Vec<u8> {
    vec![byte; length]
}

pub(super) fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    [length.to_be_bytes().as_slice(), payload].concat()
}

/// A frame goes out whole and its answer comes back without the length bytes.
#[tokio::test]
async fn a_frame_goes_out_whole_and_the_answer_comes_back() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut host = engine.opened(&listener, 1).await;
    let request = framed(&payload(0x11, 300));
    engine.send(1, request.clone()).await;
    engine.expect(HostEvent::Sent { line: 1 }).await;
    let mut got = vec![0; request.len()];
    host.read_exact(&mut got).await.unwrap();
    assert_eq!(got, request);
    host.write_all(&framed(&payload(0x22, 100))).await.unwrap();
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(0x22, 100) }).await;
}

/// Bytes may come split or joined as the network likes.
#[tokio::test]
async fn split_and_joined_frames_are_told_apart() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut host = engine.opened(&listener, 1).await;
    host.set_nodelay(true).unwrap();
    for byte in framed(&payload(1, 40)) {
        host.write_all(&[byte]).await.unwrap();
    }
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(1, 40) }).await;
    let mut joined = [framed(&payload(2, 21)), framed(&payload(3, 4096))].concat();
    joined.extend_from_slice(&framed(&payload(4, 30))[..10]);
    host.write_all(&joined).await.unwrap();
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(2, 21) }).await;
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(3, 4096) }).await;
    host.write_all(&framed(&payload(4, 30))[10..]).await.unwrap();
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(4, 30) }).await;
}

/// A length that cannot be is garbage: the line is dropped at once, not after a long wait for its bytes.
#[tokio::test]
async fn a_length_out_of_bounds_ends_the_line() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    for (line, length) in [(1, 0_u16), (2, 12), (3, 4097), (4, 65535)] {
        let mut host = engine.opened(&listener, line).await;
        host.write_all(&length.to_be_bytes()).await.unwrap();
        engine.expect_lost(line, false, &length.to_string()).await;
        assert_eq!(host.read(&mut [0; 8]).await.unwrap_or(0), 0, "the line is closed");
    }
}

/// An answer that is cut off is a lost line, and the request counts as sent.
#[tokio::test]
async fn a_close_inside_an_answer_is_a_lost_line() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut host = engine.opened(&listener, 1).await;
    engine.send(1, framed(&payload(1, 50))).await;
    engine.expect(HostEvent::Sent { line: 1 }).await;
    host.read_exact(&mut [0; 52]).await.unwrap();
    host.write_all(&framed(&payload(2, 50))[..20]).await.unwrap();
    drop(host);
    engine.expect_lost(1, true, "inside a message").await;
}

/// The host closes after its answer, as many do. Nothing is owed, and a send that follows is known to be
/// unwritten.
#[tokio::test]
async fn a_send_on_a_half_open_line_is_answered_as_unwritten() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut host = engine.opened(&listener, 1).await;
    // Nothing is awaited between the close and the send, so the runtime has not yet looked at the socket.
    host.shutdown().await.unwrap();
    engine.commands.try_send(HostCommand::Send { line: 1, frame: framed(&payload(1, 50)) }).unwrap();
    engine.expect_lost(1, false, "closed").await;
    let mut rest = Vec::new();
    host.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "no byte left the terminal");
}

/// What the host said before it closed still arrives, ahead of the loss.
#[tokio::test]
async fn an_answer_before_the_close_is_not_lost_with_the_line() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut host = engine.opened(&listener, 1).await;
    host.write_all(&framed(&payload(7, 60))).await.unwrap();
    host.shutdown().await.unwrap();
    engine.commands.try_send(HostCommand::Send { line: 1, frame: framed(&payload(1, 50)) }).unwrap();
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(7, 60) }).await;
    engine.expect_lost(1, false, "closed").await;
}

/// An idle line that the host closes is told, with nothing owed once the answer has come.
#[tokio::test]
async fn an_idle_line_that_is_closed_owes_nothing() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut host = engine.opened(&listener, 1).await;
    engine.send(1, framed(&payload(1, 50))).await;
    engine.expect(HostEvent::Sent { line: 1 }).await;
    host.read_exact(&mut [0; 52]).await.unwrap();
    host.write_all(&framed(&payload(2, 50))).await.unwrap();
    drop(host);
    engine.expect(HostEvent::Frame { line: 1, bytes: payload(2, 50) }).await;
    engine.expect_lost(1, false, "closed").await;
    // The line is over; a late send is answered, never silent.
    engine.send(1, framed(&payload(1, 50))).await;
    engine.expect_lost(1, false, "not open").await;
}

/// A frame on its way up an old line is gone with the line.
#[tokio::test]
async fn events_of_an_old_line_never_reach_a_new_one() {
    let (listener, endpoints) = listener().await;
    let mut engine = Engine::new(&endpoints);
    let mut old = engine.opened(&listener, 1).await;
    let mut new = engine.opened(&listener, 2).await;
    // The old socket is closed by now, or refuses what is written to it.
    drop(old.write_all(&framed(&payload(1, 50))).await);
    assert_eq!(old.read(&mut [0; 8]).await.unwrap_or(0), 0, "the older line was closed");
    engine.close(1).await; // of the old line: does not touch the new one
    new.write_all(&framed(&payload(2, 50))).await.unwrap();
    engine.expect(HostEvent::Frame { line: 2, bytes: payload(2, 50) }).await;
    engine.send(1, framed(&payload(3, 50))).await;
    engine.expect_lost(1, false, "not open").await;
    engine.close(2).await;
    engine.close(2).await;
    assert_eq!(new.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(engine.events.try_recv().is_err(), "a close is not answered");
}

/// Nobody listens: the cause is told, and the next endpoint of the list is another.
#[tokio::test]
async fn a_refused_connection_is_told_and_the_next_endpoint_is_tried() {
    let (listener, mut endpoints) = listener().await;
    let (gone, closed) = self::listener().await;
    drop(gone);
    endpoints.insert(0, closed[0].clone());
    let mut engine = Engine::new(&endpoints);
    engine.connect(1, 0).await;
    match engine.event().await {
        HostEvent::ConnectFailed { line: 1, fault, .. } => {
            assert!(fault.detail.contains("refused"), "{fault}")
        }
        other => panic!("{other:?}"),
    }
    engine.connect(2, 3).await; // modulo two
    listener.accept().await.unwrap();
    engine.expect_connected(2).await;
}

/// A listener whose queue of connections is full leaves a connect unanswered: Linux drops the SYN.
fn deaf_listener() -> (rustix::fd::OwnedFd, SocketAddr, Vec<std::net::TcpStream>) {
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
    let deaf = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&deaf, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    listen(&deaf, 0).unwrap();
    let address = SocketAddr::try_from(getsockname(&deaf).unwrap()).unwrap();
    let mut queued = Vec::new();
    // A queue of length 0 takes one connection; the attempt that times out proves that it is full.
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
        assert!(queued.len() < 8, "the queue of length 0 never fills");
    }
    (deaf, address, queued)
}

#[tokio::test]
async fn a_connect_that_nobody_answers_ends_at_the_time_out() {
    let (_deaf, address, _queued) = deaf_listener();
    let mut engine = Engine::with_timeout(&[address.to_string()], Duration::from_millis(150));
    engine.connect(1, 0).await;
    match engine.event().await {
        HostEvent::ConnectFailed { line: 1, fault, .. } => {
            assert!(fault.detail.contains("150 ms"), "{fault}")
        }
        other => panic!("{other:?}"),
    }
}

/// A cancelled attempt does not keep the adapter busy, and says nothing more.
#[tokio::test]
async fn a_close_or_a_newer_connect_ends_an_attempt_at_once() {
    let (_deaf, address, _queued) = deaf_listener();
    let (listener, mut endpoints) = listener().await;
    endpoints.push(address.to_string());
    let mut engine = Engine::with_timeout(&endpoints, PATIENCE * 10);
    engine.connect(1, 1).await;
    engine.close(1).await;
    engine.connect(2, 1).await;
    engine.send(2, framed(&payload(1, 50))).await;
    engine.expect_lost(2, false, "not open").await;
    engine.connect(3, 0).await;
    listener.accept().await.unwrap();
    engine.expect_connected(3).await;
}

#[tokio::test]
async fn names_are_resolved_and_bad_endpoints_are_named() {
    let (listener, endpoints) = listener().await;
    let port = endpoints[0].rsplit_once(':').unwrap().1;
    let endpoints = [format!("localhost:{port}"), "tls://acquirer.example:443".to_owned()];
    let mut engine = Engine::new(&endpoints);
    engine.connect(1, 0).await;
    engine.expect_connected(1).await;
    listener.accept().await.unwrap();
    engine.connect(2, 1).await;
    match engine.event().await {
        HostEvent::ConnectFailed { line: 2, fault, .. } => assert!(fault.detail.contains("TLS"), "{fault}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn endpoints_are_judged_before_they_are_used() {
    let check = |endpoints: &[&str]| {
        let endpoints = endpoints.iter().map(ToString::to_string).collect();
        HostSettings { endpoints, connect_timeout: PATIENCE, tls: None }.check()
    };
    assert_eq!(check(&["127.0.0.1:9000", "acquirer.example:1", "[::1]:9000"]), Ok(()));
    assert_eq!(check(&[]), Err(EndpointError::None));
    let tls = "tls://acquirer.example:443";
    let files = TlsSettings { ca: "/ca.pem".into(), client: None, pins: Vec::new() };
    let secured = |endpoints: &[&str]| {
        let endpoints = endpoints.iter().map(ToString::to_string).collect();
        HostSettings { endpoints, connect_timeout: PATIENCE, tls: Some(files.clone()) }.check()
    };
    assert_eq!(secured(&[tls, "tls://[::1]:443"]), Ok(()));
    assert_eq!(secured(&[tls, "127.0.0.1:9000"]), Err(EndpointError::Mixed));
    assert_eq!(check(&["127.0.0.1:9000", tls]), Err(EndpointError::NoTls(tls.to_owned())));
    for bad in ["", "host", "host:", ":9000", "host:0", "host:65536", "::1:9000", "http://host:80"] {
        assert_eq!(check(&[bad]), Err(EndpointError::Form(bad.to_owned())), "{bad}");
    }
}

/// The adapter and the simulated acquirer speak with each other: an answer in single bytes, one that is cut
/// off, and a connection closed instead of one.
#[tokio::test]
async fn the_adapter_meets_the_simulated_acquirer() {
    let acquirer = Acquirer::start(Config::test().unwrap()).unwrap();
    let terminal = Terminal::signed_on(acquirer.address());
    let mut engine = Engine::new(&[acquirer.address().to_string()]);
    for (stan, fault) in [(2, Fault::Split), (3, Fault::Truncate), (4, Fault::Close)] {
        acquirer.rule(Rule::once("0200", fault.clone())).unwrap();
        let line = u64::from(stan);
        let request = terminal.sale_request(&Sale::new(stan, 100));
        engine.connect(line, 0).await;
        engine.expect_connected(line).await;
        engine.send(line, request.frame.clone()).await;
        engine.expect(HostEvent::Sent { line }).await;
        match (fault, engine.event().await) {
            (Fault::Split, HostEvent::Frame { bytes, .. }) => {
                assert!(terminal.read(&request, &bytes).unwrap().approved);
            }
            (Fault::Truncate, HostEvent::Lost { wrote: true, fault, .. }) => {
                assert!(fault.detail.contains("inside"), "{fault}");
            }
            (Fault::Close, HostEvent::Lost { wrote: true, fault, .. }) => {
                assert!(fault.detail.contains("closed"), "{fault}");
            }
            (fault, event) => panic!("{fault}: {event:?}"),
        }
    }
    assert_eq!(acquirer.held().unwrap(), (300, 3), "all three are booked");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a host sends, in whatever pieces, ends in frames and one loss; nothing hangs or panics.
    #[test]
    fn noise_from_the_host_ends_in_frames_and_one_loss(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, endpoints) = listener().await;
            let mut engine = Engine::new(&endpoints);
            let mut host = engine.opened(&listener, 1).await;
            for piece in &pieces {
                if host.write_all(piece).await.is_err() {
                    break; // the adapter has dropped the line
                }
            }
            drop(host);
            loop {
                match engine.event().await {
                    HostEvent::Frame { line: 1, bytes } => assert!(bytes.len() <= PAYLOAD_MAX),
                    HostEvent::Lost { line: 1, wrote: false, .. } => break,
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}

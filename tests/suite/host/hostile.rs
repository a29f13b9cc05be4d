//! A box in the middle of the line that splits, joins, repeats, cuts and corrupts what it carries: between the real
//! host task and the simulated acquirer.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use posd::adapters::host_tcp::{HostSettings, TlsSettings};
use posd::domain::unionpay::answers::AnswerError;
use posd::domain::unionpay::messages::Request;
use posd::ports::HostEvent;
use posd::sim::host::ledger::Effect;
use posd::sim::host::{Acquirer, Config};
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpListener;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::line::Engine;
use super::terminal::{Sale, Terminal, code};
use super::tls::{BOTH, NAME, NOW, VALID, server, settings};
use crate::support::pki::Ca;

/// How long the terminal waits where an answer must come.
const PATIENT: Duration = Duration::from_secs(20);
/// How long it waits where perhaps none comes: an exchange takes a few milliseconds.
const SHORT: Duration = Duration::from_millis(300);

/// What the box does to one direction.
#[derive(Clone, Debug)]
struct Mischief {
    /// Bytes that go on at once.
    chunk: usize,
    /// Everything goes twice.
    repeat: bool,
    /// A bit of the byte at this place is turned over.
    flip: Option<(usize, u8)>,
    /// Nothing goes on from this byte; the connection is closed.
    cut: Option<usize>,
}

impl Mischief {
    /// It changes nothing but time.
    const fn harmless(&self) -> bool {
        self.flip.is_none() && self.cut.is_none()
    }

    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let (mut at, mut bytes) = (0, [0; 4096]);
        while let Ok(count @ 1..) = from.read(&mut bytes).await {
            let mut burst = bytes[..count].to_vec();
            if let Some((place, bit)) = self.flip.filter(|(place, _)| (at..at + count).contains(place)) {
                burst[place - at] ^= 1 << bit;
            }
            let cut = self.cut.and_then(|cut| cut.checked_sub(at)).filter(|cut| *cut < count);
            at += count;
            match cut {
                Some(cut) => burst.truncate(cut),
                None if self.repeat => burst.extend(burst.clone()),
                None => {}
            }
            for piece in burst.chunks(self.chunk) {
                if to.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            if cut.is_some() {
                return;
            }
        }
    }
}

/// `reach`: how far into the stream it strikes.
fn mischief(reach: usize) -> impl Strategy<Value = Mischief> {
    let chunk = prop_oneof![1..8_usize, 8..600_usize];
    let flip = option::weighted(0.4, (0..reach, 0..8_u8));
    let cut = option::weighted(0.15, 0..reach);
    (chunk, proptest::bool::weighted(0.2), flip, cut).prop_map(|(chunk, repeat, flip, cut)| Mischief {
        chunk,
        repeat,
        flip,
        cut,
    })
}

/// Puts the box in front of an address.
async fn box_before(address: SocketAddr, there: Mischief, back: Mischief) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (terminal, _) = listener.accept().await.unwrap();
        let host = tokio::net::TcpStream::connect(address).await.unwrap();
        terminal.set_nodelay(true).unwrap();
        host.set_nodelay(true).unwrap();
        let ((from_terminal, to_terminal), (from_host, to_host)) = (terminal.into_split(), host.into_split());
        // The end of one direction ends both.
        tokio::select! {
            () = there.carry(from_terminal, to_host) => {}
            () = back.carry(from_host, to_terminal) => {}
        }
    });
    own
}

/// A door that takes TLS off in front of an address.
async fn door_before(address: SocketAddr, ca: &Ca) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let own = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server(&ca.host(NAME, VALID), None, BOTH)));
    tokio::spawn(async move {
        let (terminal, _) = listener.accept().await.unwrap();
        if let Ok(mut terminal) = acceptor.accept(terminal).await {
            let mut host = tokio::net::TcpStream::connect(address).await.unwrap();
            copy_bidirectional(&mut terminal, &mut host).await.ok();
        }
    });
    own
}

/// Sends a request over whatever stands between and reads as the engine does: strangers' messages are waited past, the
/// first answer counts. `None`: no usable answer. Panics if the host task says something that is not allowed.
async fn outcome(
    endpoint: String,
    tls: Option<TlsSettings>,
    patience: Duration,
    terminal: &Terminal,
    request: &Request,
) -> Option<(String, Option<String>)> {
    let mut engine = Engine::with(HostSettings { endpoints: vec![endpoint], connect_timeout: patience, tls });
    engine.connect_at(1, 0, NOW).await;
    match engine.event().await {
        HostEvent::Connected { line: 1, .. } => {}
        HostEvent::ConnectFailed { line: 1, .. } => return None,
        other => panic!("{other:?}"),
    }
    engine.send(1, request.frame.clone()).await;
    let mut stray = false;
    let answer = async {
        loop {
            match engine.event().await {
                HostEvent::Sent { line: 1 } => {}
                HostEvent::Frame { line: 1, bytes } => match terminal.read(request, &bytes) {
                    Ok(answer) if answer.is_of_a_double(stray) => return None,
                    Ok(answer) => {
                        let rrn = answer.host.rrn.as_ref().map(ToString::to_string);
                        return Some((code(&answer), rrn));
                    }
                    Err(AnswerError::Foreign { .. }) => stray = true,
                    Err(_) => return None,
                },
                HostEvent::Lost { line: 1, .. } => return None,
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(patience, answer).await.unwrap_or(None)
}

/// Goal: what comes out is the true answer or none, in plain TCP and in TLS; a box that only splits, joins or repeats
/// changes nothing but time; and nothing hangs.
#[test]
fn a_hostile_box_changes_nothing_but_time() {
    let acquirer = Acquirer::start(Config::test().unwrap()).unwrap();
    let terminal = Terminal::signed_on(acquirer.address());
    let ca = Ca::new("bank");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plan = any::<bool>().prop_flat_map(|secure| {
        let reach = if secure { 3000 } else { 400 };
        (Just(secure), mischief(reach), mischief(reach), 1..=999_u64)
    });
    let (stan, approved) = (std::cell::Cell::new(1), std::cell::Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig::with_cases(256));
    let ran = runner.run(&plan, |(secure, there, back, amount)| {
        stan.set(stan.get() + 1);
        let request = terminal.sale_request(&Sale::new(stan.get(), amount));
        let harmless = there.harmless() && back.harmless() && !(secure && (there.repeat || back.repeat));
        let patience = if harmless { PATIENT } else { SHORT };
        let outcome = runtime.block_on(async {
            if secure {
                let door = door_before(acquirer.address(), &ca).await;
                let port = box_before(door, there, back).await.port();
                outcome(format!("tls://{NAME}:{port}"), Some(settings(&ca)), patience, &terminal, &request)
                    .await
            } else {
                let endpoint = box_before(acquirer.address(), there, back).await.to_string();
                outcome(endpoint, None, patience, &terminal, &request).await
            }
        });
        let rows = acquirer.ledger().unwrap();
        let row = rows.iter().find(|row| row.stan == stan.get());
        match outcome {
            Some((code, rrn)) if code == "00" => {
                approved.set(approved.get() + 1);
                let row = row.expect("an approval without a booking");
                prop_assert_eq!((row.state, row.amount), (Effect::Held, amount));
                prop_assert_eq!(rrn, Some(row.rrn.to_string()));
            }
            Some((code, _)) => {
                prop_assert!(!harmless, "refused with {code}");
                prop_assert!(
                    row.is_none_or(|row| row.state != Effect::Held),
                    "refused with {code}, but booked"
                );
            }
            None => prop_assert!(!harmless, "no answer"),
        }
        Ok(())
    });
    ran.unwrap();
    assert!(
        (20..236).contains(&approved.get()),
        "{} of 256 approved: the box does too much or too little",
        approved.get()
    );
}

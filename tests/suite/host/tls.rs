//! TLS on the line: who is let in as the bank, who is not, and what people are told.
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use posd::adapters::host_tcp::{HostSettings, TlsFileError, TlsSettings};
use posd::domain::calendar::WallTime;
use posd::domain::way::{Stage, WayCause, WayFault};
use posd::ports::{HostEvent, LineClock, WayTimes};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::line::{Engine, PATIENCE, framed, payload};
use crate::support::pki::{Ca, Identity};

/// 2027-01-01: a day within [`VALID`].
pub(super) const NOW: LineClock = LineClock { now: WallTime(1_798_761_600_000_000), trusted: true };
pub(super) const VALID: (i32, i32) = (2026, 2028);
/// 2028-01-01.
const UNTIL: WallTime = WallTime(1_830_297_600_000_000);
pub(super) const NAME: &str = "localhost";
pub(super) const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

/// A host that takes handshakes and echoes frames; it tells of each handshake.
struct Host {
    port: u16,
    shaken: mpsc::Receiver<Option<HandshakeKind>>,
}

fn chain(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}

pub(super) fn server(
    identity: &Identity,
    client_ca: Option<&Path>,
    versions: &[&'static SupportedProtocolVersion],
) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add(chain(file).remove(0)).unwrap();
            let asked = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(asked.unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
    builder.with_single_cert(chain(&identity.certificate), key).unwrap()
}

impl Host {
    async fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (tell, shaken) = mpsc::channel(8);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shaken = acceptor.accept(stream).await;
                let kind = shaken.as_ref().ok().and_then(|stream| stream.get_ref().1.handshake_kind());
                if tell.send(kind).await.is_err() {
                    return;
                }
                if let Ok(stream) = shaken {
                    tokio::spawn(async move {
                        let (mut from, mut to) = tokio::io::split(stream);
                        tokio::io::copy(&mut from, &mut to).await
                    });
                }
            }
        });
        Self { port, shaken }
    }

    fn endpoint(&self) -> String {
        format!("tls://{NAME}:{}", self.port)
    }
}

pub(super) fn settings(ca: &Ca) -> TlsSettings {
    TlsSettings { ca: ca.file(), client: None, pins: Vec::new() }
}

fn engine(endpoint: String, tls: TlsSettings) -> Engine {
    Engine::with(HostSettings {
        endpoints: vec![endpoint],
        connect_timeout: Duration::from_secs(5),
        tls: Some(tls),
    })
}

/// Dials once; what the engine hears.
async fn dial(
    engine: &mut Engine,
    line: u64,
    clock: LineClock,
) -> Result<(WayTimes, Option<WallTime>), WayFault> {
    engine.connect_at(line, 0, clock).await;
    match engine.event().await {
        HostEvent::Connected { line: l, times, certificate_until } if l == line => {
            Ok((times, certificate_until))
        }
        HostEvent::ConnectFailed { line: l, fault, .. } if l == line => Err(fault),
        other => panic!("{other:?}"),
    }
}

async fn exchange(engine: &mut Engine, line: u64) {
    engine.send(line, framed(&payload(7, 90))).await;
    engine.expect(HostEvent::Sent { line }).await;
    engine.expect(HostEvent::Frame { line, bytes: payload(7, 90) }).await;
}

/// Goal: with the configured CA, and with the present and the next key pinned, frames go both ways in TLS 1.2 and 1.3;
/// the end of the certificate is told, and each stage of the way has its time.
#[tokio::test]
async fn a_good_host_is_spoken_to() {
    let ca = Ca::new("bank");
    let (now, next) = (ca.host(NAME, VALID), ca.host(NAME, VALID));
    for version in BOTH {
        for identity in [&now, &next] {
            let host = Host::start(server(identity, None, &[version])).await;
            let pinned = TlsSettings { pins: vec![now.pin, next.pin], ..settings(&ca) };
            let mut engine = engine(host.endpoint(), pinned);
            let (times, until) = dial(&mut engine, 1, NOW).await.unwrap();
            assert_eq!(until, Some(UNTIL));
            assert!(times.name.is_some() && times.tcp.is_some() && times.tls.is_some(), "{times:?}");
            exchange(&mut engine, 1).await;
            exchange(&mut engine, 1).await;
        }
    }
}

/// Goal: a host that shows an old certificate of another CA beside its own, which nobody needs, is spoken to, and the
/// end that is told is that of its own.
#[tokio::test]
async fn an_old_certificate_beside_the_hosts_own_is_no_end() {
    let ca = Ca::new("bank");
    let identity = ca.host(NAME, VALID);
    let own = std::fs::read_to_string(&identity.certificate).unwrap();
    let old = std::fs::read_to_string(Ca::new("root").host("old", (2000, 2020)).certificate).unwrap();
    std::fs::write(&identity.certificate, own + &old).unwrap();
    let host = Host::start(server(&identity, None, BOTH)).await;
    let mut engine = engine(host.endpoint(), settings(&ca));
    assert_eq!(dial(&mut engine, 1, NOW).await.unwrap().1, Some(UNTIL));
    exchange(&mut engine, 1).await;
}

/// Goal: an address may stand in the place of the name, and its certificate must be for the address.
#[tokio::test]
async fn an_address_has_its_own_certificate() {
    let ca = Ca::new("bank");
    let host = Host::start(server(&ca.host("127.0.0.1", VALID), None, BOTH)).await;
    let mut engine = engine(format!("tls://127.0.0.1:{}", host.port), settings(&ca));
    dial(&mut engine, 1, NOW).await.unwrap();
    exchange(&mut engine, 1).await;
    let mut engine = self::engine(host.endpoint(), settings(&ca));
    assert_eq!(dial(&mut engine, 1, NOW).await.unwrap_err().cause, WayCause::WrongName);
}

/// Goal: the second connection resumes the session of the first, and not beyond the end of the certificate.
#[tokio::test]
async fn sessions_are_resumed_while_the_certificate_lasts() {
    let ca = Ca::new("bank");
    for version in BOTH {
        let mut host = Host::start(server(&ca.host(NAME, VALID), None, &[version])).await;
        let mut engine = engine(host.endpoint(), settings(&ca));
        dial(&mut engine, 1, NOW).await.unwrap();
        exchange(&mut engine, 1).await; // with the answer come the tickets
        engine.close(1).await;
        assert_eq!(host.shaken.recv().await.unwrap(), Some(HandshakeKind::Full));
        dial(&mut engine, 2, NOW).await.unwrap();
        exchange(&mut engine, 2).await;
        engine.close(2).await;
        assert_eq!(host.shaken.recv().await.unwrap(), Some(HandshakeKind::Resumed), "{version:?}");
        let late = LineClock { now: WallTime(UNTIL.0 + 1_000_000), trusted: true };
        let fault = dial(&mut engine, 3, late).await.unwrap_err();
        assert_eq!((fault.stage, fault.cause), (Stage::Tls, WayCause::Expired), "{fault}");
    }
}

/// Goal: each host that is not the bank is refused by the name of what is wrong, with the facts that a technician
/// compares: a man in the middle with a CA of his own, a certificate that has ended or not begun, one that is revoked
/// by leaving its key out of the pins, one for another name; and a wrong clock of our own is told from a wrong host.
#[tokio::test]
async fn whoever_is_not_the_bank_is_refused() {
    let (ca, other, twin) = (Ca::new("bank"), Ca::new("other"), Ca::new("bank"));
    let good = ca.host(NAME, VALID);
    let revoked = ca.host(NAME, VALID);
    let pin: String = revoked.pin.iter().map(|byte| format!("{byte:02x}")).collect();
    let lost = LineClock { trusted: false, ..NOW };
    let check = async |identity: &Identity, pins: &[&Identity], clock, cause, words: &[&str]| {
        let mut host = Host::start(server(identity, None, BOTH)).await;
        let pins = pins.iter().map(|identity| identity.pin).collect();
        let mut engine = engine(host.endpoint(), TlsSettings { pins, ..settings(&ca) });
        let fault = dial(&mut engine, 1, clock).await.unwrap_err();
        assert_eq!((fault.stage, fault.cause), (Stage::Tls, cause), "{fault}");
        for word in words {
            assert!(fault.to_string().contains(word), "{word}: {fault}");
        }
        assert_eq!(host.shaken.recv().await.unwrap(), None, "{cause}: nobody got a line");
    };
    check(&other.host(NAME, VALID), &[], NOW, WayCause::UnknownCa, &["not signed by a CA of tls-ca"]).await;
    // A CA that only bears the name of ours.
    check(&twin.host(NAME, VALID), &[], NOW, WayCause::UnknownCa, &["tls-ca"]).await;
    check(&ca.host(NAME, (2020, 2026)), &[], NOW, WayCause::Expired, &["2026-01-01", "2027-01-01"]).await;
    check(&ca.host(NAME, (2028, 2030)), &[], NOW, WayCause::NotYetValid, &["2028-01-01", "2027-01-01"]).await;
    check(&ca.host(NAME, (2020, 2026)), &[], lost, WayCause::Clock, &["clock", "2026-01-01"]).await;
    check(&ca.host(NAME, (2028, 2030)), &[], lost, WayCause::Clock, &["clock", "2028-01-01"]).await;
    check(&ca.host("other.example", VALID), &[], NOW, WayCause::WrongName, &["other.example"]).await;
    check(&revoked, &[&good], NOW, WayCause::PinMismatch, &[&pin, "tls-pin-sha256"]).await;
    // The pin does not replace the CA.
    let forged = other.host(NAME, VALID);
    check(&forged, &[&forged], NOW, WayCause::UnknownCa, &[]).await;
    // A terminal's certificate is none of a host.
    check(&ca.terminal(), &[], NOW, WayCause::Tls, &["not usable"]).await;
}

/// Goal: a machine without a clock still trades, because the newest thing it knows of stands in for the time.
#[tokio::test]
async fn a_lost_clock_alone_shuts_nobody_out() {
    let ca = Ca::new("bank");
    let host = Host::start(server(&ca.host(NAME, VALID), None, BOTH)).await;
    let mut engine = engine(host.endpoint(), settings(&ca));
    dial(&mut engine, 1, LineClock { trusted: false, ..NOW }).await.unwrap();
    exchange(&mut engine, 1).await;
}

/// Goal: a host that wants certificates of terminals gets one; without or with a foreign one the cause is named, in
/// TLS 1.2 at the handshake, in TLS 1.3, which lets the terminal finish first, at the first message.
#[tokio::test]
async fn a_terminal_shows_its_certificate() {
    let (ca, other) = (Ca::new("bank"), Ca::new("other"));
    let (own, foreign) = (ca.terminal(), other.terminal());
    for version in BOTH {
        let new = || async { Host::start(server(&ca.host(NAME, VALID), Some(&ca.file()), &[version])).await };
        let with = |identity: &Identity| TlsSettings {
            client: Some((identity.certificate.clone(), identity.key.clone())),
            ..settings(&ca)
        };
        let host = new().await;
        let mut good = engine(host.endpoint(), with(&own));
        dial(&mut good, 1, NOW).await.unwrap();
        exchange(&mut good, 1).await;
        for tls in [settings(&ca), with(&foreign)] {
            let host = new().await;
            let mut bad = engine(host.endpoint(), tls);
            let fault = match dial(&mut bad, 1, NOW).await {
                Err(fault) => fault,
                Ok(_) => match bad.event().await {
                    HostEvent::Lost { line: 1, wrote: false, fault } => fault,
                    other => panic!("{other:?}"),
                },
            };
            assert_eq!((fault.stage, fault.cause), (Stage::Tls, WayCause::ClientRefused), "{fault}");
        }
    }
}

/// Goal: a port that does not speak TLS, or only a TLS that is too old, is named, gets no plain message, and hangs
/// nobody.
#[tokio::test]
async fn what_speaks_no_modern_tls_is_refused() {
    let ca = Ca::new("bank");
    let check = async |says: &[u8], closes: bool, causes: &[WayCause]| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("tls://{NAME}:{}", listener.local_addr().unwrap().port());
        let tls = Some(settings(&ca));
        let timeout = if closes || !says.is_empty() { PATIENCE } else { Duration::from_millis(200) };
        let mut engine =
            Engine::with(HostSettings { endpoints: vec![endpoint], connect_timeout: timeout, tls });
        engine.connect_at(1, 0, NOW).await;
        let (mut host, _) = listener.accept().await.unwrap();
        let mut hello = [0; 5];
        host.read_exact(&mut hello).await.unwrap();
        assert_eq!(hello[0], 22, "a handshake, no plain message");
        host.write_all(says).await.unwrap();
        if closes {
            host.shutdown().await.unwrap();
        }
        let HostEvent::ConnectFailed { fault, .. } = engine.event().await else { panic!("no fault") };
        assert_eq!(fault.stage, Stage::Tls, "{fault}");
        assert!(causes.contains(&fault.cause), "{fault:?}");
    };
    // An ISO 8583 host, and one that speaks HTTP.
    check(&framed(&payload(0x60, 40)), false, &[WayCause::NoTls]).await;
    check(b"HTTP/1.1 400 Bad Request\r\n\r\n", false, &[WayCause::NoTls]).await;
    check(&[], true, &[WayCause::NoTls]).await;
    check(&[], false, &[WayCause::Timeout]).await;
    // Alert protocol_version, fatal, as a server answers that knows nothing above TLS 1.1.
    check(&[21, 3, 2, 0, 2, 2, 70], true, &[WayCause::TlsVersion]).await;
    // A ServerHello of TLS 1.1: version, random, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2F, 0]);
    check(&hello, false, &[WayCause::TlsVersion]).await;
}

/// Goal: files that cannot be used are named with what is wrong, and a file that is put right is taken without a
/// restart; a key that everybody may read is refused.
#[tokio::test]
async fn bad_files_are_named_and_healed() {
    use std::os::unix::fs::PermissionsExt as _;
    let ca = Ca::new("bank");
    let own = ca.terminal();
    let other = ca.terminal();
    let client = |certificate: &Path, key: &Path| TlsSettings {
        client: Some((certificate.to_owned(), key.to_owned())),
        ..settings(&ca)
    };
    let good = client(&own.certificate, &own.key);
    assert!(good.check().unwrap().is_some_and(|until| until > UNTIL));
    let missing = ca.dir().join("missing.pem");
    let error = TlsSettings { ca: missing.clone(), ..settings(&ca) }.check().unwrap_err();
    assert!(matches!(&error, TlsFileError::Read { file, .. } if *file == missing), "{error}");
    let error = TlsSettings { ca: own.key.clone(), ..settings(&ca) }.check().unwrap_err();
    assert!(matches!(error, TlsFileError::Nothing { what: "certificate", .. }), "{error}");
    let error = client(&own.certificate, &own.certificate).check().unwrap_err();
    assert!(matches!(error, TlsFileError::Open { .. } | TlsFileError::Nothing { .. }), "{error}");
    let error = client(&own.certificate, &other.key).check().unwrap_err();
    assert!(matches!(error, TlsFileError::Unusable { .. }), "{error}");
    std::fs::set_permissions(&own.key, std::fs::Permissions::from_mode(0o604)).unwrap();
    let error = good.check().unwrap_err();
    assert!(matches!(error, TlsFileError::Open { mode: 0o604, .. }), "{error}");

    let host = Host::start(server(&ca.host(NAME, VALID), None, BOTH)).await;
    let mut engine = engine(host.endpoint(), good);
    let fault = dial(&mut engine, 1, NOW).await.unwrap_err();
    assert_eq!(fault.cause, WayCause::TlsFiles, "{fault}");
    assert!(fault.detail.contains("604"), "{fault}");
    std::fs::set_permissions(&own.key, std::fs::Permissions::from_mode(0o600)).unwrap();
    dial(&mut engine, 2, NOW).await.unwrap();
}

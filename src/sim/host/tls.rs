//! TLS in front of the acquirer: a thread for each terminal that takes the handshake and passes plain bytes on, so
//! that everything behind it stays as it is.
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a terminal may take for its handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// PEM files of an acquirer that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, the own one first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// CA of terminals; with it each must show a certificate.
    pub client_ca: Option<PathBuf>,
}

/// Takes handshakes.
#[derive(Clone)]
pub(super) struct Porter {
    config: Arc<ServerConfig>,
}

impl Porter {
    pub(super) fn new(files: &TlsFiles) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(ca)? {
                    roots.add(root).map_err(io::Error::other)?;
                }
                let asked = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(asked.map_err(io::Error::other)?)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(io::Error::other)?;
        let config = builder.with_single_cert(certificates(&files.certificate)?, key);
        Ok(Self { config: Arc::new(config.map_err(io::Error::other)?) })
    }

    /// Takes one terminal's handshake on a thread of its own; `welcome` gets the plain side of a terminal that passed.
    pub(super) fn admit(
        &self,
        terminal: TcpStream,
        welcome: impl FnOnce(TcpStream) + Send + 'static,
    ) -> io::Result<()> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let carry = move || {
            // A terminal that fails or leaves harms only itself.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            drop(runtime.and_then(|runtime| runtime.block_on(carry(&acceptor, terminal, welcome))));
        };
        thread::Builder::new().name("sim-tls".to_owned()).spawn(carry).map(drop)
    }
}

fn certificates(file: &PathBuf) -> io::Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
    chain.collect::<Result<_, _>>().map_err(io::Error::other)
}

async fn carry(
    acceptor: &TlsAcceptor,
    terminal: TcpStream,
    welcome: impl FnOnce(TcpStream),
) -> io::Result<()> {
    terminal.set_nonblocking(true)?;
    terminal.set_nodelay(true)?;
    let terminal = tokio::net::TcpStream::from_std(terminal)?;
    let shaken = timeout(HANDSHAKE_MAX, acceptor.accept(terminal)).await;
    let mut terminal = shaken.map_err(io::Error::other)??;
    let (near, far) = pair()?;
    welcome(far);
    near.set_nonblocking(true)?;
    near.set_nodelay(true)?;
    let mut near = tokio::net::TcpStream::from_std(near)?;
    copy_bidirectional(&mut terminal, &mut near).await.map(drop)
}

/// Both ends of a connection of our own.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    loop {
        let (far, peer) = listener.accept()?;
        if peer == near.local_addr()? {
            return Ok((near, far));
        }
    }
}

//! TLS on the line: who the host must be, and who this terminal is.
//!
//! Only the configured CA counts, never the system's. TLS 1.2 and 1.3, nothing older, and no way back to plain
//! TCP. Pins are asked in addition to the CA, never instead of it. One configuration lives as long as the task,
//! so that sessions are resumed. The time is what the engine says, because the machine's clock may have lost its
//! battery. Source: manual of rustls; pinning by key as in RFC 7469, 2.4.
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use zeroize::Zeroizing;

use super::certificate;
use crate::domain::calendar::WallTime;

/// No PEM file of certificates or a key is larger. Choice.
const FILE_MAX: u64 = 1 << 20;
/// Bits of a file's mode that let everybody read, write or execute it.
const OTHERS: u32 = 0o007;

/// `[host] tls-*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM: the only CA certificates that count.
    pub ca: PathBuf,
    /// PEM: certificate chain and key of this terminal, where the host wants them.
    pub client: Option<(PathBuf, PathBuf)>,
    /// SHA-256 of SubjectPublicKeyInfo: the host's key must be one of them. Empty: any key that the CA vouches for.
    pub pins: Vec<[u8; 32]>,
}

/// Why the files for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// The system does not give it.
    #[error("{} cannot be read: {error}", file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// It holds nothing of the kind.
    #[error("{} holds no {what} in PEM form", file.display())]
    Nothing {
        /// Which.
        file: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
    },
    /// Choice: a key that everybody on the machine may read is not used.
    #[error("{} may be read by everybody (mode {mode:03o}); chmod o= it, and have a new key if others log in here",
        file.display())]
    Open {
        /// Which.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A certificate or key that cannot be used, or a key that does not fit its certificate.
    #[error("{} cannot be used: {error}", file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// The library's words.
        error: String,
    },
}

impl TlsSettings {
    /// Reads all files and says when the terminal's own certificate ends, if it has one. For checks and warnings.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn check(&self) -> Result<Option<WallTime>, TlsFileError> {
        self.load().map(|loaded| loaded.own_until)
    }

    /// Reads all files: the key's bytes are wiped, and live on in the configuration only.
    pub(super) fn load(&self) -> Result<Loaded, TlsFileError> {
        let provider = Arc::new(ring::default_provider());
        let clock = Arc::new(Clock::default());
        let unusable = |file: &Path| {
            let file = file.to_owned();
            move |error: String| TlsFileError::Unusable { file, error }
        };
        let verifier = self.verifier(&provider)?;
        let time: Arc<dyn TimeProvider> = Arc::<Clock>::clone(&clock);
        let builder = ClientConfig::builder_with_details(provider, time)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&self.ca)(error.to_string()))?
            .dangerous() // so the library calls a verifier of one's own; ours asks the library's first
            .with_custom_certificate_verifier(Arc::new(verifier));
        let (config, own_until) = match &self.client {
            None => (builder.with_no_client_auth(), None),
            Some((chain_file, key_file)) => {
                let chain = certificates(chain_file)?;
                let until = chain.iter().filter_map(until).min();
                let key = private_key(key_file)?;
                let config = builder.with_client_auth_cert(chain, key);
                (config.map_err(|error| unusable(key_file)(error.to_string()))?, until)
            }
        };
        Ok(Loaded { config: Arc::new(config), clock, own_until })
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<PinningVerifier, TlsFileError> {
        let unusable = |error: String| TlsFileError::Unusable { file: self.ca.clone(), error };
        let mut roots = RootCertStore::empty();
        for root in certificates(&self.ca)? {
            roots.add(root).map_err(|error| unusable(error.to_string()))?;
        }
        let webpki =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        let webpki = webpki.map_err(|error| unusable(error.to_string()))?;
        Ok(PinningVerifier { webpki, pins: self.pins.clone() })
    }
}

/// Files that were read.
pub(super) struct Loaded {
    pub(super) config: Arc<ClientConfig>,
    pub(super) clock: Arc<Clock>,
    own_until: Option<WallTime>,
}

/// When a certificate ends; `None` where it cannot be read.
pub(super) fn until(der: &CertificateDer<'_>) -> Option<WallTime> {
    certificate::read(der).map(|read| read.until)
}

/// When the host's own certificate ends, the first of what it shows (RFC 8446, 4.4.2). The others only help to find a
/// way to the CA: one that nobody needs, such as an old cross-signed one, may have ended long ago.
pub(super) fn host_until(chain: &[CertificateDer<'_>]) -> Option<WallTime> {
    chain.first().and_then(until)
}

fn read(file: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), TlsFileError> {
    let failed = |error| TlsFileError::Read { file: file.to_owned(), error };
    #[allow(clippy::disallowed_methods, reason = "an adapter touches files")]
    let opened = File::open(file).map_err(failed)?;
    let facts = opened.metadata().map_err(failed)?;
    // Room for all of it: a buffer that grows leaves copies behind.
    let room = usize::try_from(facts.len().min(FILE_MAX)).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    opened.take(FILE_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, facts.mode() & 0o777))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let (bytes, _) = read(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain =
        chain.map_err(|error| TlsFileError::Unusable { file: file.to_owned(), error: error.to_string() })?;
    if chain.is_empty() {
        return Err(TlsFileError::Nothing { file: file.to_owned(), what: "certificate" });
    }
    Ok(chain)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let (bytes, mode) = read(file)?;
    if mode & OTHERS != 0 {
        return Err(TlsFileError::Open { file: file.to_owned(), mode });
    }
    // What the library says of a key that it cannot read is not passed on: it could quote it.
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| TlsFileError::Nothing { file: file.to_owned(), what: "private key" })
}

/// The engine's clock, as told with the last connect.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now_s: AtomicU64,
}

impl Clock {
    pub(super) fn set(&self, now: WallTime) {
        self.now_s.store(now.0 / 1_000_000, Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.now_s.load(Ordering::Relaxed))))
    }
}

/// The host's certificate is good, but its key is none of the pinned ones.
#[derive(Debug, thiserror::Error)]
#[error("the key's SHA-256 is {}", hex(found))]
pub(super) struct PinMismatch {
    found: [u8; 32],
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The library's verifier, and then the pins.
#[derive(Debug)]
struct PinningVerifier {
    webpki: Arc<WebPkiServerVerifier>,
    pins: Vec<[u8; 32]>,
}

impl ServerCertVerifier for PinningVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if self.pins.is_empty() {
            return Ok(verified);
        }
        let read = certificate::read(end_entity).ok_or(CertificateError::BadEncoding)?;
        if self.pins.contains(&read.key_sha256) {
            return Ok(verified);
        }
        Err(CertificateError::Other(OtherError(Arc::new(PinMismatch { found: read.key_sha256 }))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

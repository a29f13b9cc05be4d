//! Certificates for tests, made afresh in each: nothing with a key or an end is kept.
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PublicKeyData as _, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

/// A certification authority and a folder of its own for files.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

/// A certificate and its key as files.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// SHA-256 of its public key.
    pub(crate) pin: [u8; 32],
}

/// Years in which a certificate is valid: from the first of January to the first of January.
pub(crate) type Years = (i32, i32);

/// The last moment of a certificate.
type End = (i32, u8, u8);

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir }
    }

    /// Its own certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A host of this name or address.
    pub(crate) fn host(&self, name: &str, years: Years) -> Identity {
        self.issue(name, years.0, (years.1, 1, 1), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A host whose certificate ends at the beginning of a day.
    pub(crate) fn host_until(&self, name: &str, end: End) -> Identity {
        self.issue(name, 2020, end, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A terminal.
    pub(crate) fn terminal(&self) -> Identity {
        self.issue("terminal", 2020, (4000, 1, 1), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: &str, from: i32, end: End, purpose: ExtendedKeyUsagePurpose) -> Identity {
        use std::os::unix::fs::PermissionsExt as _;
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(end.0, end.1, end.2);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let pin: [u8; 32] = Sha256::digest(key.subject_public_key_info()).into();
        let file = |kind: &str| {
            let stem: String = pin[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            self.dir.path().join(format!("{stem}.{kind}"))
        };
        let identity = Identity { certificate: file("pem"), key: file("key"), pin };
        std::fs::write(&identity.certificate, made.pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&identity.key, std::fs::Permissions::from_mode(0o600)).unwrap();
        identity
    }
}

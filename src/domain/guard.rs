//! What a bank's engineer wants to know of a terminal's security, and how far it is met. The words people read are in
//! [`super::text::guard`].
use super::outcome::words;
use super::text::{Bilingual, guard};

words! {
    /// One thing that keeps money, keys or card data safe.
    Guard {
        /// No factory password stands.
        FactoryPasswords = "factory-passwords",
        /// A factory password would open no session.
        RequireChange = "require-change",
        /// Who may call what is decided.
        AccessControl = "access-control",
        /// A terminal master key is loaded.
        MasterKey = "master-key",
        /// Working keys are loaded.
        WorkingKeys = "working-keys",
        /// The clock is not behind what was recorded.
        Clock = "clock",
        /// The line to the bank is encrypted.
        Tls = "tls",
        /// The host's key is pinned.
        TlsPin = "tls-pin",
        /// The daemon is no administrator.
        User = "user",
        /// The state directory is closed to others.
        StateDirectory = "state-directory",
        /// The key that seals card data does not lie beside it.
        StorageKey = "storage-key",
        /// Nobody else can write the configuration.
        Configuration = "configuration",
        /// Memory does not become a file.
        CoreDumps = "core-dumps",
        /// No program that it starts gains rights.
        NoNewPrivileges = "no-new-privileges",
        /// System calls are filtered.
        Seccomp = "seccomp",
        /// It holds no capability.
        Capabilities = "capabilities",
        /// The system's files cannot be written.
        SystemReadOnly = "system-read-only",
    }
}

impl Guard {
    /// 1: no shop should open without it. 2: what a bank asks for. 3: the sandbox.
    #[must_use]
    pub const fn level(self) -> u32 {
        match self {
            Self::FactoryPasswords
            | Self::RequireChange
            | Self::AccessControl
            | Self::MasterKey
            | Self::WorkingKeys
            | Self::Clock => 1,
            Self::Tls
            | Self::TlsPin
            | Self::User
            | Self::StateDirectory
            | Self::StorageKey
            | Self::Configuration
            | Self::CoreDumps => 2,
            Self::NoNewPrivileges | Self::Seccomp | Self::Capabilities | Self::SystemReadOnly => 3,
        }
    }
}

/// How far one of them is met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Which.
    pub guard: Guard,
    /// It is met.
    pub ok: bool,
    /// What was seen, in English. Holds no secrets: check values of keys are none.
    pub evidence: String,
}

impl Fact {
    /// Puts the three together.
    #[must_use]
    pub fn new(guard: Guard, ok: bool, evidence: impl Into<String>) -> Self {
        Self { guard, ok, evidence: evidence.into() }
    }

    /// What to do, where it is not met.
    #[must_use]
    pub fn text(&self) -> Option<Bilingual> {
        (!self.ok).then(|| guard::fix(self.guard))
    }
}

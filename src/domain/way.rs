//! The way to the bank: its stages, and why it ends at one of them. For each cause the next step stands in
//! [`crate::domain::text::way`].
use super::outcome::words;
use core::fmt;

words! {
    /// How far somebody came on the way to the bank.
    Stage {
        /// The name of the host becomes an address.
        Dns = "dns",
        /// The connection.
        Tcp = "tcp",
        /// The handshake: who the host is, and who we are.
        Tls = "tls",
        /// A message and its answer.
        Echo = "echo",
    }
}

words! {
    /// Why the way ends.
    WayCause {
        /// The name has no address, or nobody resolves names.
        NoName = "no-name",
        /// Nobody listens there, or the network does not lead there.
        NoConnection = "no-connection",
        /// The connect time-out.
        Timeout = "timeout",
        /// The line was open and broke.
        Broken = "broken",
        /// Files of this terminal that TLS needs are missing or wrong.
        TlsFiles = "tls-files",
        /// What answers does not speak TLS.
        NoTls = "no-tls",
        /// No version or method of TLS that both sides speak.
        TlsVersion = "tls-version",
        /// The host's certificate is not of the configured CA.
        UnknownCa = "unknown-ca",
        /// It is for another name.
        WrongName = "wrong-name",
        /// It has expired.
        Expired = "certificate-expired",
        /// It is not valid yet.
        NotYetValid = "certificate-not-yet-valid",
        /// Its time does not fit, and this terminal's clock is known to be wrong.
        Clock = "clock",
        /// It is good, but its key is none of the pinned ones.
        PinMismatch = "pin-mismatch",
        /// The host wants a certificate of this terminal, or refuses the one it got.
        ClientRefused = "client-certificate-refused",
        /// Anything else that TLS does not like.
        Tls = "tls-failed",
    }
}

/// Why there is no line, or no longer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WayFault {
    /// Where.
    pub stage: Stage,
    /// Why, as a word.
    pub cause: WayCause,
    /// What happened, in words: names the endpoint, the file or the certificate. Holds no secrets.
    pub detail: String,
}

impl WayFault {
    /// Puts the three together.
    #[must_use]
    pub fn new(stage: Stage, cause: WayCause, detail: impl Into<String>) -> Self {
        Self { stage, cause, detail: detail.into() }
    }
}

impl fmt::Display for WayFault {
    /// What happened, and the next step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.detail, super::text::way::next_step(self.cause).en)
    }
}

//! The way to the bank: its stages, and why it ends at one of them. For each cause the next step stands in
//! [`crate::domain::text::way`].
use super::calendar::BootTime;
use super::outcome::words;
use core::fmt;
use core::time::Duration;

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
        /// Somebody is there and takes no connections.
        Refused = "refused",
        /// The link does not take a socket of this terminal, or is gone.
        LinkGone = "link-gone",
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

/// How long a line lives, and how long it may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineManner {
    /// It stays open while nobody needs it. Else it lives for one piece of business.
    pub long: bool,
    /// How long the host may say nothing before a long line is tested with an echo.
    pub heartbeat: Duration,
}

impl LineManner {
    /// When a line that nobody uses is to be tested: networks drop silent ones without a word.
    #[must_use]
    pub fn beat_at(&self, heard_at: BootTime) -> Option<BootTime> {
        self.long.then(|| heard_at.after(self.heartbeat))
    }

    /// The host was silent for longer than that: perhaps nobody is there any more. A request for money that gets lost
    /// is a reversal, so it wants a new line.
    #[must_use]
    pub fn is_stale(&self, heard_at: BootTime, now: BootTime) -> bool {
        now.since(heard_at) > self.heartbeat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a long line is tested when its time has come and not before; no line that was silent for longer carries
    /// money.
    #[test]
    fn a_silent_line_is_tested_and_not_trusted() {
        let manner = |long| LineManner { long, heartbeat: Duration::from_secs(60) };
        let at = |seconds: u64| BootTime(seconds * 1_000_000);
        assert_eq!(manner(true).beat_at(at(5)), Some(at(65)));
        assert_eq!(manner(false).beat_at(at(5)), None);
        for long in [false, true] {
            assert!(!manner(long).is_stale(at(5), at(65)));
            assert!(manner(long).is_stale(at(5), at(66)));
            assert!(!manner(long).is_stale(at(5), at(4)), "a clock that went back");
        }
    }
}

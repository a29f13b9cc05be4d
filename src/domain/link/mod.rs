//! Links: Ethernet, Wi-Fi and mobile network as one line to the acquirer. What is known of a link, and in
//! [`policy`] which one is used now and what is done about one that does not work.
//!
//! A link that has an address may still be dead: only an answer of the acquirer's end counts ([`Trial`]).
pub mod budget;
mod health;
pub mod policy;
#[cfg(test)]
mod tests;

use super::outcome::words;
use core::fmt;

words! {
    /// A kind of link.
    LinkKind {
        /// Cable.
        Ethernet = "ethernet",
        /// Wireless LAN.
        Wifi = "wifi",
        /// Mobile network.
        Cellular = "cellular",
    }
}

words! {
    /// What its manager says of a link.
    LinkState {
        /// It cannot be used: no carrier, no SIM, radio off. The reason says which.
        Unavailable = "unavailable",
        /// It could be used and is not.
        Disconnected = "disconnected",
        /// It is being set up.
        Connecting = "connecting",
        /// It has an address. Whether the acquirer answers over it is another question.
        Connected = "connected",
    }
}

words! {
    /// Why a link is as it is.
    LinkReason {
        /// No cable, or nothing at its other end.
        NoCarrier = "no-carrier",
        /// The radio is switched off.
        RadioOff = "radio-off",
        /// The manager was told to leave it alone.
        Unmanaged = "unmanaged",
        /// No SIM is in.
        NoSim = "no-sim",
        /// The SIM wants its PIN.
        SimLocked = "sim-locked",
        /// The SIM wants its PUK: the PIN was wrong too often.
        SimBlocked = "sim-blocked",
        /// The network refuses this SIM.
        Denied = "registration-denied",
        /// The modem looks for its network.
        Searching = "searching",
        /// The modem does not work.
        ModemFailed = "modem-failed",
        /// The password of the network is wrong.
        WrongSecret = "wrong-secret",
        /// The access point is out of reach.
        AccessPointGone = "access-point-gone",
        /// Nobody gives it an address.
        NoAddress = "no-address",
        /// The network wants somebody to log on in a browser first.
        Portal = "portal",
        /// It is connected, and the acquirer does not answer over it.
        Silent = "acquirer-silent",
        /// It comes and goes; it is trusted again after a while.
        Unstable = "unstable",
        /// Anything else that the manager does not explain.
        Failed = "failed",
    }
}

impl LinkReason {
    /// Only a person can put it right: the terminal says so and leaves the link alone. A SIM's PIN is never guessed.
    #[must_use]
    pub const fn needs_person(self) -> bool {
        match self {
            Self::NoCarrier
            | Self::RadioOff
            | Self::Unmanaged
            | Self::NoSim
            | Self::SimLocked
            | Self::SimBlocked
            | Self::Denied
            | Self::WrongSecret
            | Self::Portal => true,
            Self::Searching
            | Self::ModemFailed
            | Self::AccessPointGone
            | Self::NoAddress
            | Self::Silent
            | Self::Unstable
            | Self::Failed => false,
        }
    }
}

/// Names a link on the bus and in the journal: its kind, and from the second of a kind on a number (`wifi`, `wifi2`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName {
    /// Kind.
    pub kind: LinkKind,
    /// 1, 2, …
    pub number: u8,
}

impl LinkName {
    /// The first link of a kind.
    #[must_use]
    pub const fn first(kind: LinkKind) -> Self {
        Self { kind, number: 1 }
    }

    /// Reads the name back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (word, number) = text.split_at_checked(digits)?;
        let number = if number.is_empty() { 1 } else { number.parse().ok().filter(|number| *number > 1)? };
        let name = Self { kind: LinkKind::from_word(word)?, number };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if self.number > 1 { write!(f, "{}", self.number) } else { Ok(()) }
    }
}

/// What the managers tell of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its name here.
    pub name: LinkName,
    /// The network interface that carries its traffic; empty while there is none.
    pub interface: String,
    /// State.
    pub state: LinkState,
    /// Why, where that needs saying.
    pub reason: Option<LinkReason>,
    /// Its first address; empty while there is none.
    pub address: String,
    /// Strength of the signal, percent; 100 for a cable with a carrier.
    pub signal: u8,
    /// Name of the mobile operator or of the wireless network.
    pub operator: String,
    /// `lte`, `5g`, `802.11`, …; empty where nobody tells.
    pub technology: String,
    /// Its bytes cost money.
    pub metered: bool,
    /// The manager itself has reached the internet over it: a check of its own. `None` = it does not check.
    pub internet: Option<bool>,
    /// Tries left for the SIM's PIN, where one is wanted.
    pub pin_tries: Option<u32>,
    /// Bytes received and sent since the interface came up.
    pub bytes: Option<u64>,
}

impl LinkFacts {
    /// A link of which nothing is known but its name.
    #[must_use]
    pub const fn new(name: LinkName) -> Self {
        Self {
            name,
            interface: String::new(),
            state: LinkState::Disconnected,
            reason: None,
            address: String::new(),
            signal: 0,
            operator: String::new(),
            technology: String::new(),
            metered: false,
            internet: None,
            pin_tries: None,
            bytes: None,
        }
    }

    /// A connection can be tried over it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.state == LinkState::Connected
            && self.reason != Some(LinkReason::Portal)
            && !self.interface.is_empty()
    }
}

/// How a try to reach the acquirer over a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// The acquirer's end answered: a connection, or a message.
    Answered,
    /// Nothing came back in time, or the network says that no way leads there.
    Silent,
}

words! {
    /// What the bytes are for.
    Class {
        /// Sales, their reversals, uploads, settlement, sign-on: always.
        Payment = "payment",
        /// Downloads, tests, probes: not on a metered link whose budget is used up.
        Rest = "rest",
    }
}

words! {
    /// Why this link.
    Why {
        /// The one in use.
        InUse = "in-use",
        /// The one before it failed.
        NextAfterFailure = "next-after-failure",
        /// The others are known to be dead or unstable; so is this one, but it is all there is.
        LastResort = "last-resort",
        /// There is no other.
        Only = "only",
        /// Somebody named it.
        Named = "named",
    }
}

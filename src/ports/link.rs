//! What the engine and the link task say to each other: links as their managers tell them, and the few things that
//! are done to them.
use crate::domain::link::{LinkFacts, LinkName};
use core::fmt;
use zeroize::Zeroizing;

/// To the link task.
#[derive(PartialEq, Eq)]
pub enum LinkCommand {
    /// Set the link up anew. Not answered: [`LinkEvent::Seen`] shows what comes of it.
    Reconnect(LinkName),
    /// Start the modem again. Not answered.
    Reset(LinkName),
    /// Look for wireless networks. Answered by [`LinkEvent::Scanned`] within 20 s.
    Scan {
        /// Answer carries it.
        id: u64,
    },
    /// Join a wireless network; what was before comes back by itself after 90 s, unless [`LinkCommand::Keep`] says
    /// that it is good. Answered by [`LinkEvent::Joined`] within 60 s.
    Join {
        /// Answer carries it.
        id: u64,
        /// Which network, and how.
        wanted: Box<JoinRequest>,
    },
    /// The network of this join is good: keep it. Answered by [`LinkEvent::Kept`].
    Keep {
        /// Of the join.
        id: u64,
    },
    /// It is not: what was before comes back now. Answered by [`LinkEvent::RolledBack`].
    RollBack {
        /// Of the join.
        id: u64,
    },
}

/// A wireless network to join.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinRequest {
    /// Its name, 1 to 32 bytes of any kind.
    pub ssid: Vec<u8>,
    /// Its password; empty = an open network.
    pub secret: Zeroizing<Vec<u8>>,
    /// It does not tell its name by itself.
    pub hidden: bool,
}

impl fmt::Debug for JoinRequest {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, password not shown", String::from_utf8_lossy(&self.ssid))
    }
}

impl fmt::Debug for LinkCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reconnect(name) => write!(f, "reconnect {name}"),
            Self::Reset(name) => write!(f, "reset {name}"),
            Self::Scan { id } => write!(f, "scan {id}"),
            Self::Join { id, wanted } => write!(f, "join {id}: {wanted:?}"),
            Self::Keep { id } => write!(f, "keep {id}"),
            Self::RollBack { id } => write!(f, "roll back {id}"),
        }
    }
}

/// A wireless network that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name, as its bytes are.
    pub ssid: Vec<u8>,
    /// Of its strongest access point, percent.
    pub strength: u8,
    /// It wants a password.
    pub secured: bool,
}

/// Why something was not done to a link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkFault {
    /// NetworkManager is not there.
    #[error("NetworkManager is not running; start it, or connect the network by hand")]
    NoManager,
    /// No wireless device.
    #[error("this terminal has no wireless network device, or it is switched off")]
    NoWifi,
    /// No such network.
    #[error("the network is not in reach; go nearer, or check its name")]
    NotFound,
    /// The password.
    #[error("the password of the network is wrong; check capital letters and digits")]
    WrongSecret,
    /// The device is connected, and nobody gives it an address.
    #[error("the network gives no address; restart the access point")]
    NoAddress,
    /// It took too long.
    #[error("the network did not answer in time; go nearer and try again")]
    Timeout,
    /// NetworkManager does not let us.
    #[error("NetworkManager does not allow it to user posd; install posd's polkit rules")]
    NotAllowed,
    /// Anything else.
    #[error("NetworkManager says: {0}")]
    Other(String),
}

/// From the link task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// All links as they now are; sent at start and at each change. Empty: no manager, or it has none.
    Seen(Vec<LinkFacts>),
    /// Networks in reach, strongest first; at most 64.
    Scanned {
        /// Of the command.
        id: u64,
        /// The networks, or why not.
        result: Result<Vec<Network>, LinkFault>,
    },
    /// The network is joined and has given an address, or what was before is back.
    Joined {
        /// Of the command.
        id: u64,
        /// The link that it is, or why not.
        result: Result<LinkName, LinkFault>,
    },
    /// The network stays.
    Kept {
        /// Of the join.
        id: u64,
        /// Or why it did not.
        result: Result<(), LinkFault>,
    },
    /// What was before is back, or comes back by itself.
    RolledBack {
        /// Of the join.
        id: u64,
    },
}

/// The interface that a connection goes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The link.
    pub link: LinkName,
    /// Its network interface: the socket is bound to it.
    pub interface: String,
    /// Its address: the socket is bound to that where the system does not allow the other.
    pub address: String,
}

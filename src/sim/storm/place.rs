//! Where a storm blows: what is outside the daemon, and how it is cut off.
use crate::sim::host::Acquirer;
use crate::sim::shop::Shop;
use std::io::Error;

/// A shop whose daemon can be cut off.
pub(super) enum Place {
    /// The daemon is a process beside us; its end is a SIGKILL.
    Process(Box<Shop>),
}

impl Place {
    /// The bank.
    pub(super) fn acquirer(&self) -> &Acquirer {
        match self {
            Self::Process(shop) => &shop.acquirer,
        }
    }

    /// Address of the bus that the daemon is on now.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Process(shop) => shop.address.clone(),
        }
    }

    /// Puts a card in.
    pub(super) fn insert(&self, card: &str) -> Result<(), Error> {
        match self {
            Self::Process(shop) => shop.bench.insert(card),
        }
    }

    /// Takes the card out, if one is in.
    pub(super) fn remove(&self) -> Result<(), Error> {
        match self {
            Self::Process(shop) => shop.bench.remove().map(drop),
        }
    }

    /// Cuts the daemon off and starts it again on what is on its disk. It returns at once.
    pub(super) fn cut(&mut self) -> Result<(), Error> {
        match self {
            Self::Process(shop) => shop.kill_and_restart(),
        }
    }
}

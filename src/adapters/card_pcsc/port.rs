//! What the adapter asks of PC/SC, and nothing more: one small port in front of libpcsclite.
//!
//! It has the shape of PC/SC, so that everything above it is the code that runs in a shop. Behind it is pcscd
//! ([`super::pcscd`]). What no virtual reader can show (a PIN pad, a T=0 card on the wire, a chip that was changed for
//! another one of the same kind) is tested with a made-up reader behind the same port.
use std::ffi::{CStr, CString};
use std::time::Duration;

use pcsc::{Disposition, Error, Protocol, Protocols, ShareMode, State};

/// Where connections to the resource manager come from.
pub(super) trait Service: Send + Sync {
    /// SCardEstablishContext.
    ///
    /// # Errors
    /// As PC/SC says; usually that nobody is there.
    fn connect(&self) -> Result<Box<dyn Manager>, Error>;
}

/// Ends the wait of [`Manager::wait`] from another thread: SCardCancel. One that comes before the wait begins is lost.
pub(super) type Waker = Box<dyn Fn() + Send>;

/// One connection to the resource manager. Dropping it ends it.
pub(super) trait Manager {
    /// What wakes this connection.
    fn waker(&self) -> Waker;

    /// SCardListReaders; no readers are an empty list.
    ///
    /// # Errors
    /// As PC/SC says.
    fn readers(&self) -> Result<Vec<CString>, Error>;

    /// SCardGetStatusChange: waits until one of the readers is not as it is known. The states are also fresh after
    /// [`Error::Timeout`].
    ///
    /// # Errors
    /// As PC/SC says.
    fn wait(&self, longest: Duration, readers: &mut [Seen]) -> Result<(), Error>;

    /// SCardConnect.
    ///
    /// # Errors
    /// As PC/SC says.
    fn open(&self, reader: &CStr, share: ShareMode, protocols: Protocols) -> Result<Box<dyn Handle>, Error>;
}

/// A reader, or the card in it, that is open.
pub(super) trait Handle {
    /// SCardStatus: protocol and answer to reset. PC/SC may still call a card present that was pulled, so that is not
    /// asked.
    ///
    /// # Errors
    /// As PC/SC says.
    fn status(&self) -> Result<(Option<Protocol>, Vec<u8>), Error>;

    /// SCardTransmit; returns the length of the answer.
    ///
    /// # Errors
    /// As PC/SC says.
    fn transmit(&self, command: &[u8], answer: &mut [u8]) -> Result<usize, Error>;

    /// SCardControl; returns the length of the answer.
    ///
    /// # Errors
    /// As PC/SC says.
    fn control(&self, code: u32, input: &[u8], answer: &mut [u8]) -> Result<usize, Error>;

    /// SCardReconnect, exclusively.
    ///
    /// # Errors
    /// As PC/SC says.
    fn reconnect(&mut self, protocols: Protocols, first: Disposition) -> Result<(), Error>;

    /// SCardDisconnect. If the reader refuses, the card is reset instead; one that was pulled refuses both, and that
    /// is well.
    fn close(self: Box<Self>, last: Disposition);
}

/// The state of one reader: as it is known, and as it now is. The upper 16 bits are pcsc-lite's event counter.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) name: CString,
    pub(super) known: State,
    pub(super) now: State,
}

impl Seen {
    /// A reader of which nothing is known yet.
    pub(super) fn new(name: impl Into<CString>) -> Self {
        Self { name: name.into(), known: State::UNAWARE, now: State::UNAWARE }
    }

    /// True if a flag is set now.
    pub(super) const fn has(&self, flag: State) -> bool {
        self.now.contains(flag)
    }

    /// How often a card came or went.
    pub(super) fn event_count(&self) -> u32 {
        u32::try_from((self.now.bits() >> 16) & 0xFFFF).unwrap_or(0)
    }

    /// What is now, is known.
    pub(super) const fn keep(&mut self) {
        self.known = self.now;
    }
}

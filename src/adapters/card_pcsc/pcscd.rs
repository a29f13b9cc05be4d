//! The port as pcscd serves it, through libpcsclite. Translates and decides nothing.
use std::ffi::CStr;
use std::time::Duration;

use pcsc::{Card, Context, Disposition, Error, Protocol, Protocols, ReaderState, Scope, ShareMode, State};

use super::port::{Handle, Manager, Seen, Service, Waker};

/// pcscd, found by libpcsclite.
pub(super) struct Pcscd;

impl Service for Pcscd {
    fn connect(&self) -> Result<Box<dyn Manager>, Error> {
        Ok(Box::new(Context::establish(Scope::System)?))
    }
}

impl Manager for Context {
    fn waker(&self) -> Waker {
        let context = self.clone();
        // The answer says nothing: 1.9.9 may answer "invalid handle" to a cancel that worked.
        Box::new(move || _ = context.cancel())
    }

    fn readers(&self) -> Result<Vec<std::ffi::CString>, Error> {
        match self.list_readers_owned() {
            Err(Error::NoReadersAvailable) => Ok(Vec::new()),
            names => names,
        }
    }

    fn wait(&self, longest: Duration, readers: &mut [Seen]) -> Result<(), Error> {
        let state = |seen: &Seen| ReaderState::new(seen.name.clone(), seen.known);
        let mut states: Vec<ReaderState> = readers.iter().map(state).collect();
        let waited = self.get_status_change(longest, &mut states);
        for (seen, state) in readers.iter_mut().zip(&states) {
            let count = pcsc::ffi::DWORD::from(state.event_count()) << 16;
            seen.now = State::from_bits_retain(state.event_state().bits() | count);
        }
        waited
    }

    fn open(&self, reader: &CStr, share: ShareMode, protocols: Protocols) -> Result<Box<dyn Handle>, Error> {
        Ok(Box::new(Self::connect(self, reader, share, protocols)?))
    }
}

impl Handle for Card {
    fn status(&self) -> Result<(Option<Protocol>, Vec<u8>), Error> {
        let status = self.status2_owned()?;
        Ok((status.protocol2(), status.atr().to_vec()))
    }

    fn transmit(&self, command: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        Ok(Self::transmit(self, command, answer)?.len())
    }

    fn control(&self, code: u32, input: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        Ok(Self::control(self, code.into(), input, answer)?.len())
    }

    fn reconnect(&mut self, protocols: Protocols, first: Disposition) -> Result<(), Error> {
        Self::reconnect(self, ShareMode::Exclusive, protocols, first)
    }

    fn close(self: Box<Self>, last: Disposition) {
        if let Err((card, _)) = self.disconnect(last) {
            drop(card); // tries once more, with a reset
        }
    }
}

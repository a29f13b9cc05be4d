//! Puts a simulated card into the CCID reader of a guest: the other end of qemu's `ccid-card-passthru`.
//!
//! qemu is a client of a Unix socket here; a guest that ends closes it, and the next one finds the same card in the
//! same reader. Every message is three words, high byte first (type, reader, length), and that many bytes. The reader
//! exchanges TPDUs, so cards speak T=0 whatever their profile says: over T=1 they would have to speak its blocks. It
//! does not tell resets; a card loses what it must when it is put in. libcacard's `vscard_common.h`, as qemu 7.2
//! speaks it.
use super::card::{Card, Fault, LogEntry, Profile, Reply};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Message types.
const INIT: u32 = 1;
const ERROR: u32 = 2;
const READER_ADD: u32 = 3;
const ATR: u32 = 5;
const CARD_REMOVE: u32 = 6;
const APDU: u32 = 7;
/// "VSCD", version 0.0.2, no capabilities.
const HELLO: [u8; 12] = [b'V', b'S', b'C', b'D', 0, 0, 0, 2, 0, 0, 0, 0];
/// Reader number before one is given.
const UNDEFINED: u32 = u32::MAX;
/// Longest message that is read: an extended APDU with its headers.
const MESSAGE_MAX: u32 = 66 * 1024;

/// The reader. Dropping it ends its thread and removes its socket.
pub struct Reader {
    socket: PathBuf,
    slot: Arc<Inside>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The slot, for the thread that speaks to qemu and for whoever puts cards in.
#[derive(Default)]
struct Inside(Mutex<Slot>);

/// What is in the reader, and the line to qemu.
#[derive(Default)]
struct Slot {
    /// Every card that was ever in: their counters go on.
    wallet: BTreeMap<String, Card>,
    /// Name of the card that is in, or was last; and whether it is in.
    last: String,
    is_in: bool,
    /// qemu, once it has taken the reader.
    line: Option<UnixStream>,
}

impl Reader {
    /// Listens for qemu.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn listen(socket: &Path) -> Result<Self, Error> {
        let listener = UnixListener::bind(socket)?;
        let slot = Arc::new(Inside::default());
        let ends = Arc::new(AtomicBool::new(false));
        let (inside, over) = (Arc::clone(&slot), Arc::clone(&ends));
        let thread = std::thread::Builder::new().name("sim-vscard".to_owned()).spawn(move || {
            while let Ok((line, _)) = listener.accept() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                // A guest whose power fails closes the line; the next one opens it again.
                drop(converse(&inside, line));
                lock(&inside).line = None;
            }
        })?;
        Ok(Self { socket: socket.to_path_buf(), slot, ends, thread: Some(thread) })
    }

    /// Where it listens: for `-chardev socket,path=…`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Puts a card of this preset in; one that is in is taken out first.
    ///
    /// # Errors
    /// No such preset.
    pub fn insert(&self, preset: &str) -> Result<(), Error> {
        self.remove();
        let profile = Profile::from_toml(&format!("preset = \"{preset}\"\nprotocol = \"t0\"\n"));
        let profile = profile.map_err(|error| Error::other(error.to_string()))?;
        let mut slot = lock(&self.slot);
        let card = slot.wallet.entry(preset.to_owned()).or_insert_with(|| Card::new(profile));
        card.inserted();
        card.clear_faults();
        (slot.last, slot.is_in) = (preset.to_owned(), true);
        slot.show();
        Ok(())
    }

    /// Takes the card out; false if none was in.
    pub fn remove(&self) -> bool {
        let mut slot = lock(&self.slot);
        let was_in = core::mem::take(&mut slot.is_in);
        if was_in {
            slot.tell(CARD_REMOVE, &[]);
        }
        was_in
    }

    /// Switches a fault of the card on that is in.
    pub fn fault(&self, fault: Fault) {
        let mut slot = lock(&self.slot);
        if let Some(card) = slot.card() {
            card.add_fault(fault);
        }
    }

    /// The commands since a card was put in last.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        let mut slot = lock(&self.slot);
        slot.card().map(|card| card.log().to_vec()).unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(line) = lock(&self.slot).line.take() {
            drop(line.shutdown(std::net::Shutdown::Both));
        }
        // Wakes the thread.
        drop(UnixStream::connect(&self.socket));
        drop(self.thread.take().map(JoinHandle::join));
        drop(std::fs::remove_file(&self.socket));
    }
}

fn lock(slot: &Inside) -> MutexGuard<'_, Slot> {
    slot.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Slot {
    fn card(&mut self) -> Option<&mut Card> {
        self.wallet.get_mut(&self.last)
    }

    /// Tells qemu of the card that is in.
    fn show(&mut self) {
        let atr = self.card().map(|card| card.atr().to_vec()).unwrap_or_default();
        self.tell(ATR, &atr);
    }

    /// Sends a message, if qemu is there: its end is nothing that a card knows of.
    fn tell(&mut self, kind: u32, data: &[u8]) {
        if let Some(line) = &mut self.line
            && send(line, kind, 0, data).is_err()
        {
            self.line = None;
        }
    }

    /// The card answers a command, or does what its fault wants.
    fn transmit(&mut self, command: &[u8]) {
        if !self.is_in {
            return;
        }
        match self.card().map(|card| card.transmit(command)) {
            Some(Reply::Answer(answer)) => self.tell(APDU, &answer),
            Some(Reply::Removed) => {
                self.is_in = false;
                self.tell(CARD_REMOVE, &[]);
            }
            Some(Reply::Mute) | None => {}
        }
    }
}

/// Serves qemu until it closes.
fn converse(slot: &Inside, mut line: UnixStream) -> Result<(), Error> {
    send(&mut line, INIT, UNDEFINED, &HELLO)?;
    loop {
        let (kind, data) = receive(&mut line)?;
        match kind {
            INIT => send(&mut line, READER_ADD, UNDEFINED, b"posd")?,
            // Every message is confirmed with an error of number zero; the first confirmation is that of the reader.
            ERROR if data.iter().any(|byte| *byte != 0) => {
                return Err(Error::other(format!("qemu refuses: {data:02x?}")));
            }
            ERROR => {
                let mut slot = lock(slot);
                if slot.line.is_none() {
                    slot.line = Some(line.try_clone()?);
                    if slot.is_in {
                        slot.show();
                    }
                }
            }
            APDU => lock(slot).transmit(&data),
            _ => {}
        }
    }
}

fn send(line: &mut UnixStream, kind: u32, reader: u32, data: &[u8]) -> Result<(), Error> {
    let length = u32::try_from(data.len()).map_err(|_| ErrorKind::InvalidInput)?;
    let header = [kind, reader, length].map(u32::to_be_bytes);
    line.write_all(&[header.as_flattened(), data].concat())
}

/// The next message: its type and what it carries.
fn receive(line: &mut UnixStream) -> Result<(u32, Vec<u8>), Error> {
    let mut words = [[0; 4]; 3];
    line.read_exact(words.as_flattened_mut())?;
    let [kind, _, length] = words.map(u32::from_be_bytes);
    if length > MESSAGE_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut data = Vec::new();
    line.take(length.into()).read_to_end(&mut data)?;
    Ok((kind, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// qemu's part, in the order in which qemu 7.2 speaks: the card is shown after the reader was taken, answers, goes.
    #[test]
    fn a_guest_sees_the_card_come_answer_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::listen(&folder.path().join("card")).unwrap();
        reader.insert("visa").unwrap();
        // A second guest finds the card where the first one left it.
        for _ in 0..2 {
            let mut qemu = UnixStream::connect(reader.socket()).unwrap();
            assert_eq!(receive(&mut qemu).unwrap(), (INIT, HELLO.to_vec()));
            send(&mut qemu, INIT, UNDEFINED, &HELLO).unwrap();
            assert_eq!(receive(&mut qemu).unwrap(), (READER_ADD, b"posd".to_vec()));
            send(&mut qemu, ERROR, 0, &[0; 4]).unwrap();
            let (kind, atr) = receive(&mut qemu).unwrap();
            assert_eq!((kind, &atr[..2]), (ATR, &[0x3B, 0x64][..]));
            send(&mut qemu, ERROR, 0, &[0; 4]).unwrap();
            send(&mut qemu, APDU, 0, b"\x00\xA4\x04\x00\x0E1PAY.SYS.DDF01").unwrap();
            let (kind, answer) = receive(&mut qemu).unwrap();
            assert_eq!((kind, answer[0]), (APDU, 0x61), "T=0");
        }
        let mut qemu = UnixStream::connect(reader.socket()).unwrap();
        receive(&mut qemu).unwrap();
        send(&mut qemu, INIT, UNDEFINED, &HELLO).unwrap();
        receive(&mut qemu).unwrap();
        send(&mut qemu, ERROR, 0, &[0; 4]).unwrap();
        receive(&mut qemu).unwrap();
        assert!(reader.remove() && !reader.remove());
        assert_eq!(receive(&mut qemu).unwrap(), (CARD_REMOVE, Vec::new()));
    }
}

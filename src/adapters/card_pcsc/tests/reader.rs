//! A made-up PC/SC with one reader, behind the adapter's port.
//!
//! **A fake.** It stands for what the virtual reader of the suite cannot show: PIN pads, T=0 on the wire, calls that
//! never come back, cards that are changed unseen. What it answers is what PC/SC's documents say, not what a reader
//! was seen to do.
use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use pcsc::{Disposition, Error, Protocol, Protocols, ShareMode, State};

use super::super::port::{Handle, Manager, Seen, Service, Waker};

/// The reader's name.
pub(super) const NAME: &str = "Fake PIN pad 00 00";

/// A card's answers to the bytes of commands.
type Chip = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// What one call answers.
#[derive(Clone, Debug)]
pub(super) enum Says {
    Bytes(Vec<u8>),
    Fails(Error),
    /// Of the PIN pad: this PIN is typed, and the card is given it.
    Types(String),
    /// It does not come back before [`Reader::let_go`].
    Hangs,
}

/// What the reader is like, and what was asked of it.
pub(super) struct Inside {
    pub(super) present: bool,
    pub(super) event_count: u32,
    /// Another program holds it.
    pub(super) held: bool,
    /// So many waits end at once, as if their time were over.
    pub(super) hasty: usize,
    /// The times that those waits were given.
    pub(super) waits: Vec<Duration>,
    pub(super) atr: Vec<u8>,
    /// What a connection with any protocol leads to.
    pub(super) prefers: Protocol,
    /// What SCardConnect for a card answers instead of a card.
    pub(super) refuses: Option<Error>,
    /// Answers to SCardTransmit, one after the other.
    pub(super) answers: VecDeque<Says>,
    /// Answers to SCardTransmit and to the PIN pad's VERIFY, where none of the above is left.
    pub(super) chip: Option<Chip>,
    /// Commands on the wire.
    pub(super) wire: Vec<Vec<u8>>,
    /// The answer to GET_FEATURE_REQUEST.
    pub(super) features: Says,
    /// How often it was asked for them with no card open.
    pub(super) asked_for_features: usize,
    /// Answers of the PIN pad.
    pub(super) pad: VecDeque<Says>,
    /// What the PIN pad was told: control code and structure.
    pub(super) told_pad: Vec<(u32, Vec<u8>)>,
    /// Resets, each with the protocols that were allowed.
    pub(super) resets: Vec<Protocols>,
    /// What the next reset brings: another answer to reset, or an error.
    pub(super) reset_brings: Option<Result<Vec<u8>, Error>>,
    spoken: Protocol,
    hanging: usize,
    let_go: bool,
}

/// The reader; clones are the same one.
#[derive(Clone)]
pub(super) struct Reader(Arc<(Mutex<Inside>, Condvar)>);

impl Reader {
    /// An empty reader without a PIN pad, for a T=1 card.
    pub(super) fn new() -> Self {
        let inside = Inside {
            present: false,
            event_count: 0,
            held: false,
            hasty: 0,
            waits: Vec::new(),
            atr: vec![0x3B, 0xE0, 0, 0, 0x81, 0x31, 0xFE, 0x45, 0xEB],
            prefers: Protocol::T1,
            refuses: None,
            answers: VecDeque::new(),
            chip: None,
            wire: Vec::new(),
            features: Says::Fails(Error::UnsupportedFeature),
            asked_for_features: 0,
            pad: VecDeque::new(),
            told_pad: Vec::new(),
            resets: Vec::new(),
            reset_brings: None,
            spoken: Protocol::T1,
            hanging: 0,
            let_go: false,
        };
        Self(Arc::new((Mutex::new(inside), Condvar::new())))
    }

    pub(super) fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.0.lock().unwrap()
    }

    /// Changes something, and pcscd sees it.
    pub(super) fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.inside());
        self.0.1.notify_all();
    }

    pub(super) fn insert(&self) {
        self.set(|inside| (inside.present, inside.event_count) = (true, inside.event_count + 1));
    }

    /// Lets go of all calls that hang, and of those to come.
    pub(super) fn let_go(&self) {
        self.set(|inside| inside.let_go = true);
    }

    /// Waits until so many commands were on the wire.
    pub(super) fn wait_for_wire(&self, commands: usize) {
        self.wait_until("commands", commands, |inside| inside.wire.len());
    }

    /// Waits until so many calls hang.
    pub(super) fn wait_for_hanging(&self, calls: usize) {
        self.wait_until("hanging calls", calls, |inside| inside.hanging);
    }

    /// Has so many waits end at once and tells what they were given. A wait that has begun before ends first.
    pub(super) fn waits(&self, count: usize) -> Vec<Duration> {
        self.set(|inside| {
            (inside.hasty, inside.waits) = (count, Vec::new());
            inside.event_count += 2; // a card that went and came
        });
        self.wait_until("waits", count, |inside| inside.waits.len());
        self.inside().waits.clone()
    }

    fn wait_until(&self, what: &str, count: usize, so_far: impl Fn(&Inside) -> usize) {
        let until = Instant::now() + Duration::from_secs(10);
        let mut inside = self.inside();
        while so_far(&inside) < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} {what}", so_far(&inside));
            inside = self.0.1.wait_timeout(inside, left).unwrap().0;
        }
    }

    fn say(&self, says: Says, answer: &mut [u8]) -> Result<usize, Error> {
        match says {
            Says::Bytes(bytes) => {
                answer.get_mut(..bytes.len()).ok_or(Error::InsufficientBuffer)?.copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            Says::Fails(error) => Err(error),
            Says::Types(_) => panic!("only a PIN pad types"),
            Says::Hangs => {
                self.set(|inside| inside.hanging += 1);
                let mut inside = self.inside();
                while !inside.let_go {
                    inside = self.0.1.wait(inside).unwrap();
                }
                Err(Error::NotTransacted)
            }
        }
    }
}

impl Service for Reader {
    fn connect(&self) -> Result<Box<dyn Manager>, Error> {
        Ok(Box::new(Connection { reader: self.clone(), cancelled: Arc::default() }))
    }
}

struct Connection {
    reader: Reader,
    cancelled: Arc<Mutex<bool>>,
}

impl Manager for Connection {
    fn waker(&self) -> Waker {
        let (reader, cancelled) = (self.reader.clone(), Arc::clone(&self.cancelled));
        Box::new(move || {
            *cancelled.lock().unwrap() = true;
            reader.set(|_| {});
        })
    }

    fn readers(&self) -> Result<Vec<CString>, Error> {
        Ok(vec![CString::new(NAME).unwrap()])
    }

    fn wait(&self, longest: Duration, readers: &mut [Seen]) -> Result<(), Error> {
        let until = Instant::now() + longest;
        let mut inside = self.reader.inside();
        loop {
            let mut changed = false;
            for seen in readers.iter_mut().filter(|seen| seen.name.to_bytes() == NAME.as_bytes()) {
                let flags = if inside.present { State::PRESENT } else { State::EMPTY };
                let flags = if inside.held { flags | State::EXCLUSIVE } else { flags };
                let count = pcsc::ffi::DWORD::from(inside.event_count) << 16;
                seen.now = State::from_bits_retain(flags.bits() | count);
                changed |= seen.now != seen.known;
            }
            if changed {
                return Ok(());
            }
            if inside.hasty > 0 && !longest.is_zero() {
                inside.hasty -= 1;
                inside.waits.push(longest);
                self.reader.0.1.notify_all();
                return Err(Error::Timeout);
            }
            if core::mem::take(&mut *self.cancelled.lock().unwrap()) && !longest.is_zero() {
                return Err(Error::Cancelled);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Timeout);
            }
            inside = self.reader.0.1.wait_timeout(inside, left).unwrap().0;
        }
    }

    fn open(&self, _: &CStr, share: ShareMode, protocols: Protocols) -> Result<Box<dyn Handle>, Error> {
        let is_direct = matches!(share, ShareMode::Direct);
        let mut inside = self.reader.inside();
        if !is_direct {
            if let Some(error) = inside.refuses {
                return Err(error);
            }
            if !inside.present {
                return Err(Error::NoSmartcard);
            }
            inside.spoken = chosen(protocols, inside.prefers);
        }
        Ok(Box::new(Open { reader: self.reader.clone(), is_direct }))
    }
}

fn chosen(protocols: Protocols, prefers: Protocol) -> Protocol {
    if protocols == Protocols::T0 {
        Protocol::T0
    } else if protocols == Protocols::T1 {
        Protocol::T1
    } else {
        prefers
    }
}

struct Open {
    reader: Reader,
    is_direct: bool,
}

impl Handle for Open {
    fn status(&self) -> Result<(Option<Protocol>, Vec<u8>), Error> {
        let inside = self.reader.inside();
        Ok((Some(inside.spoken), inside.atr.clone()))
    }

    fn transmit(&self, command: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        let says = {
            let mut inside = self.reader.inside();
            inside.wire.push(command.to_vec());
            self.reader.0.1.notify_all();
            let next = inside.answers.pop_front();
            next.unwrap_or_else(|| {
                Says::Bytes(inside.chip.as_mut().map_or(vec![0x90, 0], |chip| chip(command)))
            })
        };
        self.reader.say(says, answer)
    }

    fn control(&self, code: u32, input: &[u8], answer: &mut [u8]) -> Result<usize, Error> {
        let says = {
            let mut inside = self.reader.inside();
            if code == super::super::pin_pad::GET_FEATURE_REQUEST {
                inside.asked_for_features += usize::from(self.is_direct);
                inside.features.clone()
            } else {
                inside.told_pad.push((code, input.to_vec()));
                match inside.pad.pop_front().expect("the PIN pad is asked no more often than this") {
                    Says::Types(pin) => {
                        let chip = inside.chip.as_mut().expect("a card to give the PIN to");
                        Says::Bytes(chip(&with_pin(input, &pin)))
                    }
                    says => says,
                }
            }
        };
        self.reader.say(says, answer)
    }

    fn reconnect(&mut self, protocols: Protocols, _: Disposition) -> Result<(), Error> {
        let mut inside = self.reader.inside();
        inside.resets.push(protocols);
        if let Some(brought) = inside.reset_brings.take() {
            inside.atr = brought?;
        }
        inside.spoken = chosen(protocols, inside.prefers);
        Ok(())
    }

    fn close(self: Box<Self>, _: Disposition) {}
}

/// What a PIN pad makes of the structure it is told: the command in it, with the PIN where the three format bytes say.
/// PC/SC part 10 §2.6.1; only what the adapter asks for: units of bytes, BCD from the left, a length in bits.
fn with_pin(structure: &[u8], pin: &str) -> Vec<u8> {
    let (format, block, length) = (structure[2], structure[3], structure[4]);
    assert_eq!((format & 0x87, length & 0x10), (0x81, 0));
    let [most, least] = [structure[5], structure[6]].map(usize::from);
    assert!((least..=most).contains(&pin.len()), "the pad itself refuses such a PIN");
    let mut command = structure[19..].to_vec();
    assert_eq!(structure[15..19], u32::try_from(command.len()).unwrap().to_le_bytes());
    let (digits_at, digits_bytes) = (5 + usize::from((format >> 3) & 0x0F), usize::from(block & 0x0F));
    let digits = pin.bytes().map(|digit| digit - b'0').chain(core::iter::repeat(0x0F));
    let digits: Vec<u8> = digits.take(digits_bytes * 2).collect();
    for (at, pair) in digits.chunks(2).enumerate() {
        command[digits_at + at] = (pair[0] << 4) | pair[1];
    }
    assert_eq!((block >> 4, length), (4, 4), "the length in the lower half of the first byte");
    command[5] = (command[5] & 0xF0) | u8::try_from(pin.len()).unwrap();
    command
}

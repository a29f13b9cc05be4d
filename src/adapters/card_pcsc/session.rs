//! One powered card: connect, exchange, disconnect, and what PC/SC's errors mean.
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use pcsc::{Disposition, Error, Protocols, ShareMode, State};
use zeroize::Zeroizing;

use super::pin_pad::{self, Told};
use super::port::{Handle, Manager, Seen};
use super::protocol::{Choice, choose, spoken_by, wanted};
use super::watch::{PCSCD_ABSENT, UNPLUGGED};
use crate::domain::emv::apdu::{
    ApduError, CommandApdu, Exchange, ExchangeStep, Protocol, RESPONSE_MAX, ResponseApdu,
};
use crate::ports::{CardFault, PadAnswer, PadAsk};

/// Longest wait for pcscd to notice that a card whose command failed was pulled. Measured: vpcd takes up to
/// 1.6 s.
const SETTLE_MAX: Duration = Duration::from_millis(1800);
/// Least time left before the deadline that makes the wait worth it.
const SETTLE_SPARE: Duration = Duration::from_millis(100);
/// Least time left before the deadline that makes a reset worth it.
const RESET_SPARE: Duration = Duration::from_secs(1);
/// Resets that it may take to agree on a protocol: one because the answer was broken, one to change it.
const AGREEMENT_ROUNDS: usize = 3;
/// How often a PIN of the wrong length is asked.
const LENGTH_ROUNDS: usize = 3;
/// A reader's list of features: six bytes each, and no more than this many bytes.
const FEATURES_MAX: usize = 256;

/// What the worker has to know about a failed command.
#[derive(Debug)]
pub(super) enum Failure {
    /// Report it; the connection to pcscd is sound.
    Fault(CardFault),
    /// Report it; pcscd is gone, the context is worth nothing any more.
    ServiceGone,
}

impl From<CardFault> for Failure {
    fn from(fault: CardFault) -> Self {
        Self::Fault(fault)
    }
}

/// A card that is powered and ours alone. Dropping it powers the card down.
pub(super) struct Session {
    /// `None` only while it is being dropped.
    handle: Option<Box<dyn Handle>>,
    reader: CString,
    protocol: Protocol,
    atr: Vec<u8>,
    /// The reader's event counter at power-up, where it was told.
    event_count: Option<u32>,
    /// The control code of the reader's PIN pad.
    pin_pad: Option<u32>,
}

impl Session {
    /// Powers the card up and takes the reader exclusively.
    pub(super) fn open(manager: &dyn Manager, reader: &str) -> Result<Self, Failure> {
        let reader = CString::new(reader).map_err(|_| CardFault::NoReader(UNPLUGGED.to_owned()))?;
        let handle = manager.open(&reader, ShareMode::Exclusive, Protocols::ANY).map_err(connect_failure)?;
        let mut seen = [Seen::new(reader.clone())];
        let looked = manager.wait(Duration::ZERO, &mut seen);
        let [seen] = seen;
        let event_count = looked.is_ok().then(|| seen.event_count());
        let pin_pad = verify_code_of(&*handle);
        let protocol = Protocol::T0; // until it is agreed on
        let handle = Some(handle);
        let mut session = Self { handle, reader, protocol, atr: Vec::new(), event_count, pin_pad };
        session.agree()?;
        Ok(session)
    }

    /// The answer to reset.
    pub(super) fn atr(&self) -> &[u8] {
        &self.atr
    }

    /// The reader has a PIN pad.
    pub(super) const fn has_pin_pad(&self) -> bool {
        self.pin_pad.is_some()
    }

    /// Agrees on the protocol that the answer to reset asks for: libpcsclite itself prefers T=1. A broken answer has
    /// one warm reset. EMV 4.4 Book 1 §8.1. Spec: unverified.
    fn agree(&mut self) -> Result<(), Failure> {
        let handle = self.handle.as_mut().ok_or(CardFault::Removed)?;
        let mut refused = false;
        for _ in 0..AGREEMENT_ROUNDS {
            let (spoken, atr) = handle.status().map_err(connect_failure)?;
            let protocols = match choose(&atr) {
                Choice::Speak(protocol) if spoken == Some(spoken_by(protocol)) => {
                    (self.protocol, self.atr) = (protocol, atr);
                    return Ok(());
                }
                Choice::Speak(protocol) => wanted(protocol),
                Choice::Refuse(why) if refused => {
                    return Err(CardFault::Broken(format!("answer to reset: {why}")).into());
                }
                Choice::Refuse(_) => {
                    refused = true;
                    Protocols::ANY
                }
            };
            handle.reconnect(protocols, Disposition::ResetCard).map_err(connect_failure)?;
        }
        Err(CardFault::Broken("the reader does not speak the card's protocol".to_owned()).into())
    }

    /// Exchanges one command, 61xx and 6Cxx included. Blocks as long as the reader does.
    ///
    /// After a failure it waits a little for pcscd to tell a pulled card from a silent one, but not past
    /// `deadline`. The conversation is over then.
    pub(super) fn exchange(
        &mut self,
        manager: &dyn Manager,
        command: CommandApdu,
        deadline: Instant,
    ) -> Result<ResponseApdu, Failure> {
        let wants_data = self.protocol == Protocol::T0 && !command.data.is_empty() && command.le.is_some();
        let mut answer = self.carry(manager, command, deadline)?;
        if wants_data && answer.data.is_empty() && matches!(answer.status.sw1(), 0x62 | 0x63) {
            // In T=0 a warning comes in the place of 61xx; there may be data all the same. EMV 4.4 Book 1 §9.3.1.1 and
            // annex A. Spec: unverified.
            let mut fetched = self.carry(manager, CommandApdu::get_response(0), deadline)?;
            if fetched.status.is_ok() {
                answer.data = core::mem::take(&mut fetched.data);
            }
        }
        Ok(answer)
    }

    fn carry(
        &mut self,
        manager: &dyn Manager,
        command: CommandApdu,
        deadline: Instant,
    ) -> Result<ResponseApdu, Failure> {
        let broken = |error: ApduError| CardFault::Broken(error.to_string());
        let (mut exchange, mut bytes) = Exchange::start(command, self.protocol).map_err(broken)?;
        loop {
            let bytes_sent = Zeroizing::new(core::mem::take(&mut bytes));
            let raw = match self.transmit(&bytes_sent) {
                Ok(raw) => raw,
                Err(error) => return Err(transmit_failure(error, || self.card_now(manager, deadline))),
            };
            match exchange.answered(&raw).map_err(broken)? {
                ExchangeStep::Done(response) => return Ok(response),
                ExchangeStep::Send(next, wire) => (exchange, bytes) = (next, wire),
            }
        }
    }

    fn transmit(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        // One byte more than a short answer: a longer one is then an error and not cut.
        let mut buffer = Zeroizing::new(vec![0; RESPONSE_MAX.saturating_add(1)]);
        let handle = self.handle.as_ref().ok_or(Error::RemovedCard)?;
        let length = handle.transmit(bytes, &mut buffer)?;
        buffer.truncate(length);
        // vpcd 3.3 calls it a success when the card is pulled, and gives no bytes.
        if buffer.is_empty() { Err(Error::NotTransacted) } else { Ok(buffer) }
    }

    /// Has the reader's PIN pad give a PIN to the card. Blocks until the cardholder is done, or the pad's own time is
    /// over. A PIN of the wrong length is asked again within the same time.
    pub(super) fn present_pin(
        &mut self,
        manager: &dyn Manager,
        ask: &PadAsk,
        deadline: Instant,
    ) -> Result<PadAnswer, Failure> {
        let code = self.pin_pad.ok_or_else(|| CardFault::PinPad("it has none".to_owned()))?;
        let until = Instant::now() + Duration::from_secs(ask.timeout_s.into());
        let mut left = ask.timeout_s.max(1);
        for _ in 0..LENGTH_ROUNDS {
            let structure = pin_pad::verify_structure(&PadAsk { timeout_s: left, ..ask.clone() });
            let structure = structure.ok_or_else(|| CardFault::PinPad("no VERIFY to fill in".to_owned()))?;
            let mut answer = [0; RESPONSE_MAX];
            let handle = self.handle.as_ref().ok_or(CardFault::Removed)?;
            let length = match handle.control(code, &structure, &mut answer) {
                Ok(length) => length,
                Err(error) => return Err(transmit_failure(error, || self.card_now(manager, deadline))),
            };
            match pin_pad::told(answer.get(..length).unwrap_or_default()) {
                Some(Told::Ended(answer)) => return Ok(answer),
                Some(Told::WrongLength) => {}
                Some(Told::Refused(status)) => {
                    return Err(CardFault::PinPad(format!("it refuses the question: {status:04X}")).into());
                }
                None => return Err(CardFault::PinPad(format!("it answers {length} bytes")).into()),
            }
            left = u8::try_from(until.saturating_duration_since(Instant::now()).as_secs()).unwrap_or(u8::MAX);
            if left == 0 {
                break;
            }
        }
        Ok(PadAnswer::TimedOut)
    }

    /// Whether pcscd sees the card leave, now or soon, or has seen it since power-up.
    fn card_now(&mut self, manager: &dyn Manager, deadline: Instant) -> CardNow {
        let mut seen = [Seen::new(self.reader.clone())];
        let until = deadline.checked_sub(SETTLE_SPARE).unwrap_or(deadline).min(Instant::now() + SETTLE_MAX);
        let mut wait = Duration::ZERO; // the first look only asks how it is
        let mut looked = false;
        loop {
            let waited = manager.wait(wait, &mut seen);
            let [state] = &mut seen;
            match waited {
                Ok(()) => {}
                Err(Error::Timeout) => return self.after_reset(deadline),
                // A late wake that was meant for the wait before this command.
                Err(Error::Cancelled) if Instant::now() < until => {
                    if looked {
                        wait = until.saturating_duration_since(Instant::now());
                    }
                    continue;
                }
                Err(Error::Cancelled) => return CardNow::Silent,
                Err(error) if is_service_gone(error) => return CardNow::Unknown,
                Err(_) => return CardNow::Pulled, // the reader itself is gone, with the card in it
            }
            let swapped = self.event_count.is_some_and(|first| first != state.event_count());
            if swapped || !state.has(State::PRESENT) {
                return CardNow::Pulled;
            }
            looked = true;
            self.event_count.get_or_insert(state.event_count());
            state.keep();
            wait = until.saturating_duration_since(Instant::now());
        }
    }

    /// PC/SC may call a card present that is gone, or that has become another one: only a reset tells. A card that
    /// answers it as before was there all the time.
    fn after_reset(&mut self, deadline: Instant) -> CardNow {
        let Some(handle) = &mut self.handle else { return CardNow::Pulled };
        if deadline.saturating_duration_since(Instant::now()) < RESET_SPARE {
            return CardNow::Silent;
        }
        match handle.reconnect(wanted(self.protocol), Disposition::ResetCard) {
            Ok(()) => match handle.status() {
                Ok((_, atr)) if atr != self.atr => CardNow::Pulled,
                _ => CardNow::Silent,
            },
            Err(
                Error::RemovedCard | Error::NoSmartcard | Error::ReaderUnavailable | Error::UnknownReader,
            ) => CardNow::Pulled,
            Err(Error::NoService | Error::ServiceStopped) => CardNow::Unknown,
            Err(_) => CardNow::Silent,
        }
    }
}

/// Asks the reader for its features. One that does not know the question has no PIN pad.
fn verify_code_of(handle: &dyn Handle) -> Option<u32> {
    let mut list = [0; FEATURES_MAX];
    let length = handle.control(pin_pad::GET_FEATURE_REQUEST, &[], &mut list).ok()?;
    pin_pad::verify_code(list.get(..length)?)
}

/// Whether a reader has a PIN pad, asked without touching the card in it. `None`: the reader is in use.
pub(super) fn pin_pad_of(manager: &dyn Manager, reader: &CStr) -> Option<bool> {
    let handle = manager.open(reader, ShareMode::Direct, Protocols::UNDEFINED).ok()?;
    let code = verify_code_of(&*handle);
    handle.close(Disposition::LeaveCard);
    Some(code.is_some())
}

/// How the card is after a command failed.
#[derive(Clone, Copy)]
enum CardNow {
    /// It was pulled, or its reader was.
    Pulled,
    /// It is there and does not answer.
    Silent,
    /// pcscd is gone.
    Unknown,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.close(Disposition::UnpowerCard);
        }
    }
}

/// True if the error says that this context is of no use any more.
pub(super) const fn is_service_gone(error: Error) -> bool {
    matches!(
        error,
        Error::NoService
            | Error::ServiceStopped
            | Error::InvalidHandle
            | Error::CommError
            | Error::InternalError
            | Error::Shutdown
    )
}

/// What an error of SCardConnect or SCardStatus means.
fn connect_failure(error: Error) -> Failure {
    Failure::Fault(match error {
        Error::NoSmartcard | Error::RemovedCard => CardFault::NoCard,
        Error::SharingViolation => CardFault::Shared(None),
        Error::UnresponsiveCard | Error::UnpoweredCard | Error::NotTransacted => CardFault::Mute,
        Error::UnknownReader | Error::ReaderUnavailable | Error::NoReadersAvailable => {
            CardFault::NoReader(UNPLUGGED.to_owned())
        }
        Error::UnsupportedCard | Error::ProtoMismatch | Error::InvalidAtr => {
            CardFault::Broken(format!("answer to reset: {error}"))
        }
        error if is_service_gone(error) => return Failure::ServiceGone,
        error => CardFault::Broken(error.to_string()),
    })
}

/// What an error of SCardTransmit means. `card_now` is asked only where PC/SC itself does not say.
fn transmit_failure(error: Error, card_now: impl FnOnce() -> CardNow) -> Failure {
    Failure::Fault(match error {
        Error::NoService | Error::ServiceStopped | Error::InvalidHandle | Error::Shutdown => {
            return Failure::ServiceGone;
        }
        Error::RemovedCard | Error::NoSmartcard | Error::ReaderUnavailable | Error::UnknownReader => {
            CardFault::Removed
        }
        Error::InsufficientBuffer => CardFault::Broken("answer of more than 258 bytes".to_owned()),
        error => match card_now() {
            CardNow::Pulled => CardFault::Removed,
            CardNow::Unknown => return Failure::ServiceGone,
            CardNow::Silent if error == Error::ResetCard => {
                CardFault::Broken("the card was reset by another program".to_owned())
            }
            CardNow::Silent => CardFault::Mute,
        },
    })
}

impl Failure {
    /// The fault that goes to the engine.
    pub(super) fn into_fault(self) -> CardFault {
        match self {
            Self::Fault(fault) => fault,
            Self::ServiceGone => CardFault::NoReader(PCSCD_ABSENT.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmitted(error: Error, card_now: CardNow) -> CardFault {
        transmit_failure(error, || card_now).into_fault()
    }

    /// pcsc-lite answers a pulled card in several ways, depending on the driver and the moment.
    #[test]
    fn a_pulled_card_is_told_from_a_silent_one() {
        assert_eq!(transmitted(Error::RemovedCard, CardNow::Silent), CardFault::Removed);
        for vague in [Error::CommError, Error::NotTransacted, Error::InternalError, Error::ResetCard] {
            assert_eq!(transmitted(vague, CardNow::Pulled), CardFault::Removed, "{vague}");
        }
        assert_eq!(transmitted(Error::NotTransacted, CardNow::Silent), CardFault::Mute);
        let absent = CardFault::NoReader(PCSCD_ABSENT.to_owned());
        assert_eq!(transmitted(Error::NoService, CardNow::Silent), absent);
        assert_eq!(transmitted(Error::CommError, CardNow::Unknown), absent);
    }

    #[test]
    fn a_failed_power_up_is_named() {
        assert_eq!(connect_failure(Error::NoSmartcard).into_fault(), CardFault::NoCard);
        assert_eq!(connect_failure(Error::SharingViolation).into_fault(), CardFault::Shared(None));
        assert_eq!(connect_failure(Error::UnresponsiveCard).into_fault(), CardFault::Mute);
        assert!(matches!(connect_failure(Error::ServiceStopped), Failure::ServiceGone));
    }
}

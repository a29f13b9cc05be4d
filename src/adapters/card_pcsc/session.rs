//! One powered card: connect, exchange, disconnect, and what PC/SC's errors mean.
use std::ffi::CString;
use std::time::{Duration, Instant};

use pcsc::{Card, Context, Disposition, Error, Protocols, ReaderState, ShareMode, State};
use zeroize::Zeroizing;

use super::watch::{PCSCD_ABSENT, UNPLUGGED};
use crate::domain::emv::apdu::{CommandApdu, Exchange, ExchangeStep, Protocol, RESPONSE_MAX, ResponseApdu};
use crate::ports::CardFault;

/// Longest wait for pcscd to notice that a card whose command failed was pulled. Measured: vpcd takes up to
/// 1.6 s.
const SETTLE_MAX: Duration = Duration::from_millis(1800);
/// Least time left before the deadline that makes the wait worth it.
const SETTLE_SPARE: Duration = Duration::from_millis(100);

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
    card: Option<Card>,
    reader: CString,
    protocol: Protocol,
}

impl Session {
    /// Powers the card up and takes the reader exclusively. Returns the answer to reset, too.
    pub(super) fn open(context: &Context, reader: &str) -> Result<(Self, Vec<u8>), Failure> {
        let reader = CString::new(reader).map_err(|_| CardFault::NoReader(UNPLUGGED.to_owned()))?;
        let card = context.connect(&reader, ShareMode::Exclusive, Protocols::ANY).map_err(connect_failure)?;
        let status = card.status2_owned().map_err(connect_failure)?;
        let protocol = match status.protocol2() {
            Some(pcsc::Protocol::T0) => Protocol::T0,
            Some(pcsc::Protocol::T1) => Protocol::T1,
            _ => return Err(CardFault::Broken("no transmission protocol".to_owned()).into()),
        };
        let atr = status.atr().to_vec();
        Ok((Self { card: Some(card), reader, protocol }, atr))
    }

    /// Exchanges one command, 61xx and 6Cxx included. Blocks as long as the reader does.
    ///
    /// After a failure it waits a little for pcscd to tell a pulled card from a silent one, but not past
    /// `deadline`.
    pub(super) fn exchange(
        &self,
        context: &Context,
        command: CommandApdu,
        deadline: Instant,
    ) -> Result<ResponseApdu, Failure> {
        let broken = |error: crate::domain::emv::apdu::ApduError| CardFault::Broken(error.to_string());
        let (mut exchange, mut bytes) = Exchange::start(command, self.protocol).map_err(broken)?;
        loop {
            let bytes_sent = Zeroizing::new(core::mem::take(&mut bytes));
            let answer = self.transmit(&bytes_sent);
            let raw = answer.map_err(|error| transmit_failure(error, || self.card_now(context, deadline)))?;
            match exchange.answered(&raw).map_err(broken)? {
                ExchangeStep::Done(response) => return Ok(response),
                ExchangeStep::Send(next, wire) => (exchange, bytes) = (next, wire),
            }
        }
    }

    fn transmit(&self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        // One byte more than a short answer: a longer one is then an error and not cut.
        let mut buffer = Zeroizing::new(vec![0; RESPONSE_MAX.saturating_add(1)]);
        let card = self.card.as_ref().ok_or(Error::RemovedCard)?;
        let length = card.transmit(bytes, &mut buffer)?.len();
        buffer.truncate(length);
        // vpcd 3.3 calls it a success when the card is pulled, and gives no bytes.
        if buffer.is_empty() { Err(Error::NotTransacted) } else { Ok(buffer) }
    }

    /// Whether pcscd sees the card leave, now or soon.
    fn card_now(&self, context: &Context, deadline: Instant) -> CardNow {
        let mut states = [ReaderState::new(self.reader.clone(), State::UNAWARE)];
        let until = deadline.checked_sub(SETTLE_SPARE).unwrap_or(deadline).min(Instant::now() + SETTLE_MAX);
        let mut wait = Duration::ZERO; // the first look only asks how it is
        let mut count = None;
        loop {
            let looked = context.get_status_change(wait, &mut states);
            let [state] = &mut states;
            match looked {
                Ok(()) => {}
                Err(Error::Timeout) => return CardNow::Silent,
                // A late wake that was meant for the wait before this command.
                Err(Error::Cancelled) if Instant::now() < until => {
                    if count.is_some() {
                        wait = until.saturating_duration_since(Instant::now());
                    }
                    continue;
                }
                Err(Error::Cancelled) => return CardNow::Silent,
                Err(error) if is_service_gone(error) => return CardNow::Unknown,
                Err(_) => return CardNow::Pulled, // the reader itself is gone, with the card in it
            }
            let swapped = count.is_some_and(|first| first != state.event_count());
            if swapped || !state.event_state().contains(State::PRESENT) {
                return CardNow::Pulled;
            }
            count.get_or_insert(state.event_count());
            state.sync_current_state();
            wait = until.saturating_duration_since(Instant::now());
        }
    }
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
        if let Some(Err((card, _))) = self.card.take().map(|card| card.disconnect(Disposition::UnpowerCard)) {
            drop(card); // tries once more, with a reset; a pulled card refuses both and that is well
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

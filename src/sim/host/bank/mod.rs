//! The bank's judgement: what one request is answered with, and what it does to the books.
//!
//! Strict and honest: it judges by the field documents ([`form`]), keeps books that only add up, and never says
//! anything they do not hold. It speaks sign-on (0800, with the 60.3 of the profile), sign-off (0820/002), echo
//! (0820/301), every transaction of [`Business`](super::business::Business), reversal (0400), script result (0620),
//! settlement (0500, 0320) and downloads; all else is refused with 40. It injects no faults; what a rule wants comes in
//! as a [`Wish`].
//! Source: field lists and response codes of public UnionPay terminal and host code; which code answers
//! which fault is our choice where marked.
mod card;
mod form;
mod keys;
mod matrix;
mod original;
mod settle;
pub(super) mod tables;
#[cfg(test)]
mod tests;
mod trade;
mod undo;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::domain::calendar::LocalTime;
use crate::domain::ident::{MerchantId, TerminalId};
use crate::domain::iso8583::{De, Message};
use crate::domain::profile::Profile;
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan, TokenKey};
use crate::domain::unionpay::keys::WorkingKeys;

use super::batches::Batch;
use super::ledger::{Key, Ledger};
use keys::Sessions;
use tables::Tables;

/// DE 32 and the second half of DE 44. Choice: invented.
const ACQUIRER: &str = "01025810";
/// What a reversal must repeat of its original beside amount, terminal, batch and STAN.
const REPEATED: [De; 6] =
    [De::PROCESSING_CODE, De::ENTRY_MODE, De::CONDITION, De::MERCHANT, De::CURRENCY, De::PRIVATE_60];
/// Under this key the books know cards again. Choice: invented; it keeps numbers out of the file, no more.
const BOOK_KEY: [u8; 32] = *b"posd simulated acquirer books v1";

/// What the bank knows of its customers and of itself.
#[derive(Clone)]
pub struct BankSettings {
    /// How it speaks: dialect, forms, keys.
    pub profile: Arc<Profile>,
    /// Terminal master key (TMK) of every terminal.
    pub tmk: MasterKeyMaterial,
    /// Given to each terminal in its place at the first sign-on, where the profile has the key block with types.
    pub new_tmk: Option<MasterKeyMaterial>,
    /// Issuer master key (IMK) of every card.
    pub imk: [u8; 16],
    /// Terminals and the merchant of each.
    pub terminals: Vec<(TerminalId, MerchantId)>,
    /// PINs of cards that have another than `default_pin`.
    pub pins: Vec<(Pan, ClearPin)>,
    /// The PIN of all other cards.
    pub default_pin: ClearPin,
    /// Hands out MAC keys of double length instead of single.
    pub double_mak: bool,
    /// Gives no key for tracks, although it is asked for one.
    pub without_tdk: bool,
    /// Hands out these keys for PINs and MACs at each sign-on instead of new ones, so that a test can look for them.
    pub session_keys: Option<([u8; 16], [u8; 16])>,
    /// Hands out this batch number at sign-on instead of echoing the terminal's.
    pub batch: Option<u32>,
    /// Books a request that comes after its own reversal, instead of refusing it with 12.
    pub books_late: bool,
    /// Cards that are settled as foreign ones, beside those that begin with another digit than 6.
    pub foreign: Vec<Pan>,
    /// Answers an agreeing 0500 without DE 39, as some acquirers do.
    pub totals_without_code: bool,
}

/// What a rule wants of the bank for one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// Refuse it with this code, whatever it is.
    pub(super) decline: Option<String>,
    /// Approve with this code instead of 00.
    pub(super) approve: Option<String>,
    /// Approve no more than this, with code 10.
    pub(super) partial: Option<u64>,
    /// Script templates (71, 72) for the chip, whole objects.
    pub(super) scripts: Vec<u8>,
}

impl Wish {
    fn refusal(&self) -> Result<(), Refusal> {
        self.decline.as_deref().map_or(Ok(()), |code| refuse(code, "a rule wants it"))
    }

    /// DE 39 of an approval of this amount; the issuer's cryptogram is over it.
    fn code(&self, amount: u64) -> [u8; 2] {
        let wanted = self.approve.as_deref().and_then(|code| code.as_bytes().try_into().ok());
        let part = self.partial.filter(|part| *part < amount).map(|_| *b"10");
        wanted.or(part).unwrap_or(*b"00")
    }
}

/// An answer before it is packed.
pub(super) struct Answer {
    /// All elements but the MAC.
    pub(super) message: Message,
    /// With these it is signed; without it has no MAC.
    pub(super) keys: Option<WorkingKeys>,
    /// Why it is a refusal, for the log.
    pub(super) why: Cow<'static, str>,
}

/// A refusal: DE 39 and the reason for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refusal {
    code: String,
    why: Cow<'static, str>,
}

fn refuse<T>(code: &str, why: impl Into<Cow<'static, str>>) -> Result<T, Refusal> {
    Err(Refusal { code: code.to_owned(), why: why.into() })
}

/// The bank and its books.
pub(super) struct Bank {
    pub(super) settings: BankSettings,
    pub(super) ledger: Ledger,
    pub(super) tables: Tables,
    sessions: Sessions,
    serial: u32,
    cards: TokenKey,
}

impl Bank {
    pub(super) fn new(settings: BankSettings, ledger: Ledger) -> Self {
        Self {
            settings,
            ledger,
            tables: Tables::new(),
            sessions: Sessions::default(),
            serial: 0,
            cards: TokenKey::derive(&BOOK_KEY),
        }
    }

    /// Judges a request. `packed` is its bytes from MTI to the end.
    ///
    /// # Errors
    /// No randomness, or the ledger cannot be written.
    pub(super) fn answer(
        &mut self,
        request: &Message,
        packed: &[u8],
        wish: &Wish,
        now: LocalTime,
    ) -> io::Result<Answer> {
        self.serial = self.serial.checked_add(1).filter(|serial| *serial < 1_000_000).unwrap_or(1);
        let mut answer = self.frame_of_answer(request, now);
        let mut keys = None;
        let judged = match (request.mti(), management_code(request)) {
            ("0800", Some(code)) if code == self.settings.profile.keys.sign_on.word() => {
                self.sign_on(request, wish, &mut answer)?
            }
            ("0820", Some("301")) => self.known(request),
            ("0820", Some("002")) => self.known(request).map(|()| self.sign_off(request)),
            ("0500", Some("201")) => self.totals(request, wish, &mut answer)?,
            ("0320", _) => self.upload(request, wish, &mut answer)?,
            ("0100" | "0200" | "0220" | "0400" | "0620", _) => match self.authentic(request, packed) {
                Ok(session) => {
                    let judged = match request.mti() {
                        "0400" => self.reversal(request, wish, &answer)?,
                        "0620" => self.script_result(request, wish, &answer)?,
                        _ => self.trade(request, &session, wish, &mut answer)?,
                    };
                    keys = Some(session);
                    judged
                }
                Err(refusal) => Err(refusal),
            },
            _ => match self.known(request).map(|()| self.tables.answer(request, &mut answer)) {
                Err(refusal) => Err(refusal),
                Ok(Some(said)) => wish.refusal().and(said),
                Ok(None) => refuse("40", "this kind of message is not supported"),
            },
        };
        let (code, why) = judged.map_or_else(|no| (no.code, no.why), |()| ("00".to_owned(), "".into()));
        if !(self.settings.totals_without_code && request.mti() == "0500" && code == "00") {
            answer.set(De::RESPONSE_CODE, code);
        }
        Ok(Answer { message: answer, keys, why })
    }

    /// What every answer has: the request's own elements, time, acquirer and RRN.
    fn frame_of_answer(&self, request: &Message, now: LocalTime) -> Message {
        let mti = request.mti().parse::<u16>().unwrap_or_default().saturating_add(10);
        let mut answer = Message::new(&format!("{mti:04}"));
        let echoed =
            [3, 4, 11, 25, 41, 42, 49, 60].into_iter().filter_map(De::new).filter(|de| request.has(*de));
        for de in echoed {
            answer.set_some(de, request.bytes(de));
        }
        let time = format!("{:02}{:02}{:02}", now.hour, now.minute, now.second);
        answer.set(De::RRN, format!("{time}{:06}", self.serial));
        answer.set(De::TIME, time).set(De::DATE, now.mmdd()).set(De::ACQUIRER, ACQUIRER);
        answer
    }

    /// Terminal and merchant are registered, and belong together.
    fn known(&self, request: &Message) -> Result<(), Refusal> {
        let terminal = request.text(De::TERMINAL).unwrap_or_default();
        let merchant = request.text(De::MERCHANT).unwrap_or_default();
        match self.settings.terminals.iter().find(|(known, _)| known.as_str() == terminal) {
            None => refuse("97", "unknown terminal"),
            Some((_, known)) if known.as_str() != merchant => refuse("03", "unknown merchant"),
            Some(_) => Ok(()),
        }
    }

    /// The same card gives the same text.
    fn fingerprint(&self, pan: &Pan) -> String {
        self.cards.token(pan)
    }

    /// DE 63.1 of an answer. Choice: by the first digit, as the ranges of the schemes have it; a card that is set to be
    /// foreign is called a Visa card.
    fn organisation(&self, pan: &Pan) -> &'static str {
        match pan.reveal().as_bytes().first() {
            _ if self.settings.foreign.contains(pan) => "VIS",
            Some(b'4') => "VIS",
            Some(b'5') => "MCC",
            Some(b'3') => "JCB",
            _ => "CUP",
        }
    }
}

/// Terminal, batch and STAN, without which nothing can be booked.
fn key_of(request: &Message) -> Result<Key, Refusal> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let batch = number(request.text(De::PRIVATE_60).and_then(|sixty| sixty.get(2..8)));
    match (request.text(De::TERMINAL), batch, number(request.text(De::STAN))) {
        (Some(terminal), Some(batch), Some(stan)) => Ok(Key { terminal: terminal.to_owned(), batch, stan }),
        _ => refuse("30", "DE 11, 41 or 60 is missing"),
    }
}

/// DE 4; zero where there is none.
fn amount_of(request: &Message) -> u64 {
    request.text(De::AMOUNT).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// DE 60.1.
fn message_type(request: &Message) -> Option<&str> {
    request.text(De::PRIVATE_60)?.get(..2)
}

/// DE 60.3.
fn management_code(request: &Message) -> Option<&str> {
    request.text(De::PRIVATE_60)?.get(8..11)
}

fn repeated(request: &Message) -> BTreeMap<u8, String> {
    let text = |de: De| request.text(de).map(|text| (de.number(), text.to_owned()));
    REPEATED.into_iter().filter_map(text).collect()
}

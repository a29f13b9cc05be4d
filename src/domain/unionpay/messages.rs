//! Requests: typed builders that give whole frames. Each says which elements it sends.
//!
//! Source: field matrix and reversal rules of public terminal code (LiaoYang_POS, Newland, PAX agreeing on
//! these rows); Spec: unverified. Tracks are not encrypted, so DE 53 stands only beside a PIN.
mod queued;

pub use queued::queued;

use super::dialect::DIALECT;
use super::keys::WorkingKeys;
use super::mac::pack_signed;
use super::{Identity, de55};
use crate::domain::ident::{AuthCode, BatchNumber, OperatorId, Stan};
use crate::domain::iso8583::{De, Frame, FrameError, Message, PackError, pack};
use crate::domain::money::{Amount, Currency};
use crate::domain::record::{ReversalReason, WireFacts};
use crate::domain::secret::{Pan, PinBlock, Track2};

/// A request ready to send, and what its answer is checked against.
///
/// `Debug` shows element numbers and lengths only; `frame` holds card data in clear.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Message type.
    pub mti: &'static str,
    /// DE 11; the echo test has none.
    pub stan: Option<Stan>,
    /// The whole frame, its two length bytes included.
    pub frame: Vec<u8>,
    /// The elements sent.
    pub fields: Message,
}

impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("stan", &self.stan).field("frame", &self.frame.len()).field("fields", &self.fields);
        shown.finish()
    }
}

/// Why a request cannot be made: a value from configuration or journal has the wrong form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An element's value does not fit.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The message does not fit into a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Nothing is ever sent for this entry of the queue, or what it needs is gone.
    #[error("there is no message for this entry")]
    NothingToSend,
}

/// POS sign-on (签到), 0800 with 60.3 = 003: DE 11, 41, 42, 60, 63. DE 62 is left out. No MAC.
///
/// DE 63.1 is the operator, two digits and a blank; `00` when nobody is signed on.
///
/// # Errors
/// [`BuildError`].
pub fn sign_on(
    identity: &Identity,
    stan: Stan,
    batch: BatchNumber,
    operator: Option<&OperatorId>,
) -> Result<Request, BuildError> {
    let mut message = management("0800", identity, Some(stan), batch, "003");
    message.set(De::PRIVATE_63, format!("{} ", operator.map_or("00", OperatorId::as_str)));
    plain(identity, "0800", Some(stan), message)
}

/// POS sign-off (签退), 0820 with 60.3 = 002: DE 11, 41, 42, 60. No MAC.
///
/// # Errors
/// [`BuildError`].
pub fn sign_off(identity: &Identity, stan: Stan, batch: BatchNumber) -> Result<Request, BuildError> {
    plain(identity, "0820", Some(stan), management("0820", identity, Some(stan), batch, "002"))
}

/// Echo test (回响), 0820 with 60.3 = 301: DE 41, 42, 60. No STAN, no MAC.
///
/// # Errors
/// [`BuildError`].
pub fn echo(identity: &Identity, batch: BatchNumber) -> Result<Request, BuildError> {
    plain(identity, "0820", None, management("0820", identity, None, batch, "301"))
}

/// What a contact-chip sale carries.
#[derive(Clone, Copy, Debug)]
pub struct SaleFields<'a> {
    /// DE 11.
    pub stan: Stan,
    /// DE 60.2.
    pub batch: BatchNumber,
    /// DE 4.
    pub amount: Amount,
    /// DE 49.
    pub currency: Currency,
    /// DE 2.
    pub pan: &'a Pan,
    /// DE 35, from tag 57.
    pub track2: Option<&'a Track2>,
    /// DE 14, `YYMM`.
    pub expiry: Option<&'a str>,
    /// DE 23, from tag 5F34.
    pub sequence: Option<u8>,
    /// DE 52; with it come DE 26 and 53, and DE 22 ends in 1 instead of 2.
    pub pin: Option<&'a PinBlock>,
    /// DE 55, from [`de55::sale`]; empty leaves it out.
    pub icc: &'a [u8],
}

/// The facts of a contact-chip sale that its reversal must repeat. [`sale`] takes the same, so both agree.
#[must_use]
pub fn wire_facts(identity: &Identity, with_pin: bool, icc: &[u8], reversal_icc: &[u8]) -> WireFacts {
    WireFacts {
        mti: "0200".to_owned(),
        processing_code: "000000".to_owned(),
        entry_mode: if with_pin { "051" } else { "052" }.to_owned(),
        condition: "00".to_owned(),
        message_type: "22".to_owned(),
        capability: "500".to_owned(),
        original: String::new(),
        terminal_id: identity.terminal_id.clone(),
        merchant_id: identity.merchant_id.clone(),
        reversal_icc: reversal_icc.to_vec(),
        icc: icc.to_vec(),
    }
}

/// Sale (消费) with the contact chip, 0200/000000: DE 2, 3, 4, 11, 14, 22, 23, 25, 26, 35, 41, 42, 49, 52,
/// 53, 55, 60, 64.
///
/// # Errors
/// [`BuildError`].
pub fn sale(identity: &Identity, sale: &SaleFields<'_>, keys: &WorkingKeys) -> Result<Request, BuildError> {
    let wire = wire_facts(identity, sale.pin.is_some(), sale.icc, &[]);
    let card = Card { pan: sale.pan, expiry: sale.expiry, sequence: sale.sequence };
    let money = Money { stan: sale.stan, batch: sale.batch, amount: sale.amount, currency: sale.currency };
    let mut message = financial("0200", &wire, &money, &card);
    message.set_some(De::TRACK2, sale.track2.map(Track2::reveal));
    if let Some(pin) = sale.pin {
        // 12 = longest PIN; 2 = PIN block made with the card number.
        let security = format!("2{}00000000000000", keys.pin_algorithm());
        message.set(De::PIN_CAPTURE, "12").set(De::PIN_BLOCK, pin.reveal()).set(De::SECURITY, security);
    }
    set_icc(&mut message, sale.icc);
    signed(identity, "0200", sale.stan, message, keys)
}

/// What a reversal carries.
#[derive(Clone, Copy, Debug)]
pub struct ReversalFields<'a> {
    /// What the original said: DE 3, 22, 25, 41, 42, 60.1, 60.4, 60.5.
    pub wire: &'a WireFacts,
    /// DE 11 of the original; a reversal takes no number of its own.
    pub stan: Stan,
    /// DE 60.2 of the original.
    pub batch: BatchNumber,
    /// DE 4 of the original.
    pub amount: Amount,
    /// DE 49 of the original.
    pub currency: Currency,
    /// DE 2, sent unless the card was swiped or a code scanned.
    pub pan: &'a Pan,
    /// DE 14, sent with DE 2.
    pub expiry: Option<&'a str>,
    /// DE 23, sent with DE 2.
    pub sequence: Option<u8>,
    /// DE 38, if an answer brought one.
    pub auth_code: Option<&'a AuthCode>,
    /// DE 55 of the reversal; empty leaves it out. Its tag 9F36 is taken out when the answer's MAC was wrong.
    pub icc: &'a [u8],
    /// DE 39.
    pub reason: ReversalReason,
}

/// Reversal (冲正), 0400: DE 2, 3, 4, 11, 14, 22, 23, 25, 38, 39, 41, 42, 49, 55, 60, 64 of the original.
///
/// No track, PIN, security control or RRN; the MAC is made with the current key. Of `identity` only TPDU and
/// header are taken: terminal and merchant are those of the original.
///
/// # Errors
/// [`BuildError`]: what was stored does not fit.
pub fn reversal(
    identity: &Identity,
    reversal: &ReversalFields<'_>,
    keys: &WorkingKeys,
) -> Result<Request, BuildError> {
    let ReversalFields { wire, stan, batch, amount, currency, .. } = *reversal;
    let card = Card { pan: reversal.pan, expiry: reversal.expiry, sequence: reversal.sequence };
    let mut message = financial("0400", wire, &Money { stan, batch, amount, currency }, &card);
    message.set_some(De::AUTH_CODE, reversal.auth_code.map(AuthCode::as_str));
    message.set(De::RESPONSE_CODE, reversal.reason.code());
    match reversal.reason {
        ReversalReason::MacError => set_icc(&mut message, &de55::without(reversal.icc, de55::ATC)),
        ReversalReason::NoAnswer | ReversalReason::Refused => set_icc(&mut message, reversal.icc),
    }
    signed(identity, "0400", stan, message, keys)
}

struct Money {
    stan: Stan,
    batch: BatchNumber,
    amount: Amount,
    currency: Currency,
}

struct Card<'a> {
    pan: &'a Pan,
    expiry: Option<&'a str>,
    sequence: Option<u8>,
}

/// What original and reversal have in common.
fn financial(mti: &str, wire: &WireFacts, money: &Money, card: &Card<'_>) -> Message {
    let mut message = Message::new(mti);
    // The host takes the number of a swiped card from track 2; a scanned code has none.
    if !["02", "03", "80"].iter().any(|mode| wire.entry_mode.starts_with(mode)) {
        message.set(De::PAN, card.pan.reveal());
        message.set_some(De::EXPIRY, card.expiry);
        message.set_some(De::CARD_SEQUENCE, card.sequence.map(|number| format!("{number:03}")));
    }
    let WireFacts { message_type, capability, .. } = wire;
    message
        .set(De::PROCESSING_CODE, &wire.processing_code)
        .set(De::AMOUNT, money.amount.digits12())
        .set(De::STAN, money.stan.to_string())
        .set(De::ENTRY_MODE, &wire.entry_mode)
        .set(De::CONDITION, &wire.condition)
        .set(De::TERMINAL, wire.terminal_id.as_str())
        .set(De::MERCHANT, wire.merchant_id.as_str())
        .set(De::CURRENCY, money.currency.numeric3())
        // 60.3 is 000 for money. Rows of the first schema have no 60.6: it was 0.
        .set(De::PRIVATE_60, format!("{message_type}{}000{capability:0<3}", money.batch));
    message
}

fn set_icc(message: &mut Message, icc: &[u8]) {
    if !icc.is_empty() {
        message.set(De::ICC, icc);
    }
}

pub(super) fn management(
    mti: &str,
    identity: &Identity,
    stan: Option<Stan>,
    batch: BatchNumber,
    code: &str,
) -> Message {
    let mut message = Message::new(mti);
    message
        .set_some(De::STAN, stan.map(|stan| stan.to_string()))
        .set(De::TERMINAL, identity.terminal_id.as_str())
        .set(De::MERCHANT, identity.merchant_id.as_str())
        .set(De::PRIVATE_60, format!("00{batch}{code}"));
    message
}

pub(super) fn plain(
    identity: &Identity,
    mti: &'static str,
    stan: Option<Stan>,
    fields: Message,
) -> Result<Request, BuildError> {
    let packed = pack(&DIALECT, &fields)?;
    framed(identity, mti, stan, fields, packed)
}

fn signed(
    identity: &Identity,
    mti: &'static str,
    stan: Stan,
    mut fields: Message,
    keys: &WorkingKeys,
) -> Result<Request, BuildError> {
    let packed = pack_signed(&mut fields, keys)?;
    framed(identity, mti, Some(stan), fields, packed)
}

fn framed(
    identity: &Identity,
    mti: &'static str,
    stan: Option<Stan>,
    fields: Message,
    message: Vec<u8>,
) -> Result<Request, BuildError> {
    let frame = Frame { tpdu: identity.tpdu, header: identity.header, message }.encode()?;
    Ok(Request { mti, stan, frame, fields })
}

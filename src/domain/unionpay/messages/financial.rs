//! Requests for money that the bank is asked: one builder for all kinds, and the facts that messages of the queue are
//! made from. Which elements a kind sends is data.
//!
//! Source: field matrix and reversal rules of public terminal code (LiaoYang_POS, Newland, PAX agreeing on these
//! rows); Spec: unverified.
use super::{BuildError, Request, signed};
use crate::domain::crypto::track::EncryptedTrack;
use crate::domain::ident::{AuthCode, BatchNumber, Rrn, Stan};
use crate::domain::iso8583::{De, Message};
use crate::domain::keystore::SessionKeys;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{EntryMode, Kind};
use crate::domain::profile::Forms;
use crate::domain::record::{OriginalRef, WireFacts};
use crate::domain::rules::Rule;
use crate::domain::secret::{Pan, PinBlock, Track2};
use crate::domain::unionpay::Identity;

/// DE 61.1 and 61.2 where no batch and trace are told.
const NO_NUMBERS: &str = "000000000000";
/// DE 61.3 where the day is not known.
const NO_DATE: &str = "0000";
/// DE 37 of an original that the bank gave no number.
const NO_RRN: &str = "000000000000";
/// DE 60.1 of a completion advice.
const ADVICE: &str = "24";
/// DE 60.1 of a sale under a voice authorisation (离线结算).
const VOICE: &str = "30";

/// What 60.1 says about the elements of a request: the columns of the field matrix in which kinds differ.
struct Elements {
    /// DE 4.
    amount: bool,
    /// DE 23, where the card has one.
    sequence: bool,
    /// DE 37, of the original.
    rrn: bool,
    /// DE 38, told or of the original; sent where known.
    auth_code: bool,
    /// DE 63 = `000`.
    zeros: bool,
}

fn elements(message_type: &str) -> Elements {
    let kind = |words: &[&str]| words.contains(&message_type);
    Elements {
        amount: message_type != "01",
        sequence: !kind(&["11", "21"]),
        rrn: kind(&["21", "23", "25"]),
        auth_code: kind(&["11", "20", "21", "23", "24"]),
        zeros: kind(&["24", "25"]),
    }
}

/// What the facts of a request are made from.
#[derive(Clone, Copy, Debug)]
pub struct WireSource<'a> {
    /// The row of the kind; an upload of a sale approved by the chip has that of the offline sale.
    pub rule: &'a Rule,
    /// Terminal and merchant.
    pub identity: &'a Identity,
    /// The original of a follow-up.
    pub original: Option<&'a OriginalRef>,
    /// How the card was read.
    pub entry_mode: EntryMode,
    /// Swiped after the chip could not be read.
    pub fallback: bool,
    /// A PIN block goes with it.
    pub with_pin: bool,
    /// A part of the amount may be approved.
    pub partial: bool,
    /// The bank was asked by voice: an offline sale becomes 0220, 60.1 = 30.
    pub voice: bool,
    /// DE 55; empty leaves it out.
    pub icc: &'a [u8],
    /// DE 55 of its reversal without a usable answer.
    pub reversal_icc: &'a [u8],
}

/// The facts of a request that its reversal repeats, and that an upload is sent from. [`request`] takes the same.
#[must_use]
pub fn wire_facts(source: &WireSource<'_>) -> WireFacts {
    let WireSource { rule, identity, .. } = *source;
    let (mti, message_type) = if source.voice { ("0220", VOICE) } else { (rule.mti, rule.message_type) };
    let forms = &identity.profile.forms;
    // The third digit: 1 = a PIN goes with it, 2 = none.
    let mode = match source.entry_mode {
        EntryMode::Chip => "05",
        EntryMode::Swipe if source.fallback => &forms.entry_mode_fallback,
        EntryMode::Swipe => "02",
        EntryMode::Contactless => "07",
        EntryMode::Code => &forms.entry_mode_code,
        EntryMode::Manual => "01",
    };
    WireFacts {
        mti: mti.to_owned(),
        processing_code: rule.processing_code.to_owned(),
        entry_mode: format!("{mode}{}", if source.with_pin { '1' } else { '2' }),
        condition: rule.condition.to_owned(),
        message_type: message_type.to_owned(),
        // 60.4: contact chip; 60.5: normal, 2 = fallback; 60.6: partial approval.
        capability: format!("5{}{}", if source.fallback { '2' } else { '0' }, u8::from(source.partial)),
        original: original(rule.kind, source.voice, source.original),
        terminal_id: identity.terminal_id.clone(),
        merchant_id: identity.merchant_id.clone(),
        reversal_icc: source.reversal_icc.to_vec(),
        icc: source.icc.to_vec(),
    }
}

/// DE 61 of a request. Voice: 61.4 = 01, authorised by telephone.
fn original(kind: Kind, voice: bool, original: Option<&OriginalRef>) -> String {
    let numbers = || match original.and_then(|original| original.batch.zip(original.stan)) {
        Some((batch, stan)) => format!("{batch}{stan}"),
        None => NO_NUMBERS.to_owned(),
    };
    let date = original.and_then(|original| original.date.as_deref()).unwrap_or(NO_DATE);
    match kind {
        Kind::Void => numbers(),
        Kind::PreAuthCompleteVoid => format!("{}{date}", numbers()),
        Kind::Refund | Kind::PreAuthVoid | Kind::PreAuthComplete | Kind::PreAuthAdvice => {
            format!("{NO_NUMBERS}{date}")
        }
        Kind::OfflineSale if voice => format!("{NO_NUMBERS}{NO_DATE}01"),
        _ => String::new(),
    }
}

/// What a request for money carries.
#[derive(Clone, Copy, Debug)]
pub struct RequestFields<'a> {
    /// DE 3, 22, 25, 41, 42, 55, 60, 61, and by 60.1 which other elements are sent.
    pub wire: &'a WireFacts,
    /// DE 11.
    pub stan: Stan,
    /// DE 60.2.
    pub batch: BatchNumber,
    /// DE 4.
    pub amount: Amount,
    /// DE 49.
    pub currency: Currency,
    /// DE 2, sent unless the card was swiped or a code scanned.
    pub pan: &'a Pan,
    /// DE 14, sent with DE 2.
    pub expiry: Option<&'a str>,
    /// DE 23, from tag 5F34, sent with DE 2.
    pub sequence: Option<u8>,
    /// DE 35, from tag 57; encrypted where the profile wants it.
    pub track2: Option<&'a Track2>,
    /// DE 52, or DE 59 with SM4; with it come DE 26 and 53.
    pub pin: Option<&'a PinBlock>,
    /// DE 37 of the original; zeros where it has none.
    pub rrn: Option<&'a Rrn>,
    /// DE 38: told by the caller, or of the original.
    pub auth_code: Option<&'a AuthCode>,
}

/// Any request for money: DE 2, 3, 4, 11, 14, 22, 23, 25, 26, 35, 37, 38, 41, 42, 49, 52, 53, 55,
/// 60, 61, 63, 64 as its kind has them.
///
/// # Errors
/// [`BuildError`].
pub fn request(
    identity: &Identity,
    fields: &RequestFields<'_>,
    keys: &dyn SessionKeys,
) -> Result<Request, BuildError> {
    let RequestFields { wire, stan, batch, amount, currency, .. } = *fields;
    let elements = elements(&wire.message_type);
    let mti = mti(&wire.mti);
    let card = Card { pan: fields.pan, expiry: fields.expiry, sequence: fields.sequence };
    let forms = &identity.profile.forms;
    let mut message = common(mti, forms, wire, &Money { stan, batch, amount, currency }, &card);
    set_secured(&mut message, forms, fields, keys)?;
    if elements.rrn {
        message.set(De::RRN, fields.rrn.map_or(NO_RRN, Rrn::as_str));
    }
    if elements.auth_code {
        message.set_some(De::AUTH_CODE, fields.auth_code.map(AuthCode::as_str));
    }
    if !wire.original.is_empty() {
        message.set(De::ORIGINAL, &wire.original);
    }
    if elements.zeros {
        let text = if wire.message_type == ADVICE { &forms.advice_63 } else { &forms.refund_63 };
        message.set_some(De::PRIVATE_63, Some(text).filter(|text| !text.is_empty()));
    }
    set_icc(&mut message, &wire.icc);
    signed(identity, mti, stan, message, keys)
}

/// Track and PIN, and DE 53 that says how they are encrypted: PIN format, algorithm, tracks, zeros. It stands beside a
/// PIN or an encrypted track, and with SM4 always.
fn set_secured(
    message: &mut Message,
    forms: &Forms,
    fields: &RequestFields<'_>,
    keys: &dyn SessionKeys,
) -> Result<(), BuildError> {
    let encrypted = fields.track2.map(|track| keys.encrypt_track(track.reveal())).transpose()?.flatten();
    let track = encrypted.as_ref().map(EncryptedTrack::reveal);
    message.set_some(De::TRACK2, track.or(fields.track2.map(Track2::reveal)));
    match fields.pin {
        Some(PinBlock::Des(block)) => _ = message.set(De::PIN_BLOCK, *block),
        Some(PinBlock::Sm4(block)) => {
            message.set(De::PIN_BLOCK, [0; 8]).set(De::EXTENSION, [b"A1016", block.as_slice()].concat());
        }
        None => {}
    }
    message.set_some(De::PIN_CAPTURE, fields.pin.map(|_| forms.pin_capture.as_str()));
    let (algorithm, tracks) = (keys.algorithm_digit(), u8::from(encrypted.is_some()));
    if fields.pin.is_some() || encrypted.is_some() || algorithm == '3' {
        let format = if fields.pin.is_some() { forms.pin_format.as_str() } else { "0" };
        message.set(De::SECURITY, format!("{format}{algorithm}{tracks}0000000000000"));
    }
    Ok(())
}

pub(super) struct Money {
    pub(super) stan: Stan,
    pub(super) batch: BatchNumber,
    pub(super) amount: Amount,
    pub(super) currency: Currency,
}

pub(super) struct Card<'a> {
    pub(super) pan: &'a Pan,
    pub(super) expiry: Option<&'a str>,
    pub(super) sequence: Option<u8>,
}

/// What a request and the messages that follow it have in common.
pub(super) fn common(mti: &str, forms: &Forms, wire: &WireFacts, money: &Money, card: &Card<'_>) -> Message {
    let elements = elements(&wire.message_type);
    let mut message = Message::new(mti);
    // The host takes the number of a swiped card from track 2; a scanned code has none.
    if !["02", "03", "80"].iter().any(|mode| wire.entry_mode.starts_with(mode)) {
        message.set(De::PAN, card.pan.reveal());
        message.set_some(De::EXPIRY, card.expiry);
        let sequence = card.sequence.filter(|_| elements.sequence);
        message.set_some(De::CARD_SEQUENCE, sequence.map(|number| format!("{number:03}")));
    }
    if elements.amount {
        message.set(De::AMOUNT, money.amount.digits12());
    }
    let WireFacts { message_type, capability, .. } = wire;
    message
        .set(De::PROCESSING_CODE, &wire.processing_code)
        .set(De::STAN, money.stan.to_string())
        .set(De::ENTRY_MODE, &wire.entry_mode)
        .set(De::CONDITION, &wire.condition)
        .set(De::TERMINAL, wire.terminal_id.as_str())
        .set(De::MERCHANT, wire.merchant_id.as_str())
        .set(De::CURRENCY, money.currency.numeric3())
        .set(De::PRIVATE_60, forms.private_60(message_type, money.batch, capability));
    message
}

pub(super) fn set_icc(message: &mut Message, icc: &[u8]) {
    if !icc.is_empty() {
        message.set(De::ICC, icc);
    }
}

/// The three types that ask for money; what else a row might hold is asked as 0200.
fn mti(word: &str) -> &'static str {
    match word {
        "0100" => "0100",
        "0220" => "0220",
        _ => "0200",
    }
}

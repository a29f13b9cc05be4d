//! Requests for money: one builder for all messages of the matrix, and the facts that messages of the queue are made
//! from. Which elements a message has is its row; where their values come from stands here.
//!
//! Source: field matrix and reversal rules of public terminal code (LiaoYang_POS, Newland, PAX agreeing on these
//! rows); Spec: unverified.
use super::{BuildError, Request, signed};
use crate::domain::crypto::track::EncryptedTrack;
use crate::domain::ident::{AuthCode, BatchNumber, Rrn, Stan};
use crate::domain::iso8583::{De, Message};
use crate::domain::keystore::SessionKeys;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::EntryMode;
use crate::domain::profile::Forms;
use crate::domain::record::{OriginalRef, WireFacts};
use crate::domain::secret::{Pan, PinBlock, Track2, Track3};
use crate::domain::unionpay::Identity;
use crate::domain::unionpay::matrix::{self, Name, Original, Row};

/// DE 61.1 and 61.2 where no batch and trace are told.
const NO_NUMBERS: &str = "000000000000";
/// DE 61.3 where the day is not known.
const NO_DAY: &str = "0000";
/// DE 37 of an original that the bank gave no number.
const NO_RRN: &str = "000000000000";

/// What the facts of a request are made from.
#[derive(Clone, Copy, Debug)]
pub struct WireSource<'a> {
    /// Which request.
    pub message: Name,
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
    /// DE 55; empty leaves it out.
    pub icc: &'a [u8],
    /// DE 55 of its reversal without a usable answer.
    pub reversal_icc: &'a [u8],
}

/// The facts of a request that its reversal repeats, and that an upload is sent from. [`request`] takes the same.
#[must_use]
pub fn wire_facts(source: &WireSource<'_>) -> WireFacts {
    let identity = source.identity;
    let row = matrix::row(source.message);
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
    // 60.4: 5 = contact chip, 6 = … and contactless.
    let reads = if matches!(source.entry_mode, EntryMode::Contactless | EntryMode::Code) { '6' } else { '5' };
    WireFacts {
        mti: row.mti.to_owned(),
        processing_code: row.processing_code.to_owned(),
        entry_mode: format!("{mode}{}", if source.with_pin { '1' } else { '2' }),
        condition: row.condition.to_owned(),
        message_type: row.message_type.to_owned(),
        // 60.5: normal, 2 = fallback; 60.6: partial approval.
        capability: format!("{reads}{}{}", if source.fallback { '2' } else { '0' }, u8::from(source.partial)),
        original: original(row, source.original),
        terminal_id: identity.terminal_id.clone(),
        merchant_id: identity.merchant_id.clone(),
        profile: identity.profile.name.clone(),
        reversal_icc: source.reversal_icc.to_vec(),
        icc: source.icc.to_vec(),
    }
}

/// DE 61 of a request.
fn original(row: &Row, original: Option<&OriginalRef>) -> String {
    let numbers = || match original.and_then(|original| original.batch.zip(original.stan)) {
        Some((batch, stan)) => format!("{batch}{stan}"),
        None => NO_NUMBERS.to_owned(),
    };
    let day = original.and_then(|original| original.date.as_deref()).unwrap_or(NO_DAY);
    match row.original {
        Original::None => String::new(),
        Original::Numbers => numbers(),
        Original::NumbersAndDay => format!("{}{day}", numbers()),
        Original::Day => format!("{NO_NUMBERS}{day}"),
        Original::ByVoice => format!("{NO_NUMBERS}{NO_DAY}01"),
    }
}

/// What a request for money carries.
#[derive(Clone, Copy, Debug)]
pub struct RequestFields<'a> {
    /// DE 3, 22, 25, 41, 42, 55, 60, 61, and which row of the matrix it is.
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
    /// DE 52, or DE 59 with SM4; with it come DE 26 and 53. Not sent where the row has no PIN.
    pub pin: Option<&'a PinBlock>,
    /// DE 37 of the original; zeros where it has none.
    pub rrn: Option<&'a Rrn>,
    /// DE 38: told by the caller, or of the original.
    pub auth_code: Option<&'a AuthCode>,
}

/// What only some messages carry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra<'a> {
    /// DE 36, of a card that was swiped; encrypted where the profile wants it. No reader of posd gives it yet.
    pub track3: Option<&'a Track3>,
    /// DE 48: the tip in 12 digits; `0520` for a load from another account.
    pub additional: Option<&'a str>,
    /// DE 59, see [`super::super::extension`].
    pub extension: Option<&'a [u8]>,
    /// DE 62: the terminal of an original paid with electronic cash; the card that is loaded.
    pub private_62: Option<&'a [u8]>,
    /// DE 63.1 of an adjustment: the card's organisation, such as `CUP`.
    pub organisation: Option<&'a str>,
}

/// Any request for money that posd offers: DE 2, 3, 4, 11, 14, 22, 23, 25, 26, 35, 37, 38, 41, 42, 49, 52, 53, 55, 60,
/// 61, 63, 64 as its row has them.
///
/// # Errors
/// [`BuildError`].
pub fn request(
    identity: &Identity,
    fields: &RequestFields<'_>,
    keys: &dyn SessionKeys,
) -> Result<Request, BuildError> {
    request_with(identity, fields, &Extra::default(), keys)
}

/// Any request for money at all, also those that posd does not offer yet ([`Name::is_offered`]): DE 36, 48, 59 and 62
/// too.
///
/// # Errors
/// [`BuildError`].
pub fn request_with(
    identity: &Identity,
    fields: &RequestFields<'_>,
    extra: &Extra<'_>,
    keys: &dyn SessionKeys,
) -> Result<Request, BuildError> {
    let RequestFields { wire, stan, batch, amount, currency, .. } = *fields;
    let row = matrix::of_facts(wire).ok_or(BuildError::UnknownMessage)?;
    let card = Card { pan: fields.pan, expiry: fields.expiry, sequence: fields.sequence };
    let forms = &identity.profile.forms;
    let mut message = common(row, row, forms, wire, &Money { stan, batch, amount, currency }, &card);
    set_secured(row, &mut message, forms, fields, extra.track3, keys)?;
    let zeros = row.must.has(De::RRN).then_some(NO_RRN);
    row.fill(&mut message, De::RRN, fields.rrn.map(Rrn::as_str).or(zeros));
    row.fill(&mut message, De::AUTH_CODE, fields.auth_code.map(AuthCode::as_str));
    row.fill(&mut message, De::ADDITIONAL_DATA, extra.additional);
    row.fill(&mut message, De::ICC, some(&wire.icc));
    if let Some(more) = extra.extension {
        let pin = message.bytes(De::EXTENSION).unwrap_or_default();
        let both = [pin, more].concat();
        row.fill(&mut message, De::EXTENSION, Some(both));
    }
    row.fill(&mut message, De::ORIGINAL, some(&wire.original));
    row.fill(&mut message, De::PRIVATE_62, extra.private_62);
    let text = match row.name {
        Name::Refund | Name::QrRefund => some(&forms.refund_63),
        Name::Advice => some(&forms.advice_63),
        Name::ChipSale => some(&forms.upload_63),
        _ => extra.organisation.map(str::as_bytes),
    };
    row.fill(&mut message, De::PRIVATE_63, text);
    signed(identity, row.mti, stan, message, keys)
}

/// Track and PIN, and DE 53 that says how they are encrypted: PIN format, algorithm, tracks (0: in clear), zeros. It
/// stands beside a PIN or a track, and with SM4 always; each as far as the row has it.
fn set_secured(
    row: &Row,
    message: &mut Message,
    forms: &Forms,
    fields: &RequestFields<'_>,
    track3: Option<&Track3>,
    keys: &dyn SessionKeys,
) -> Result<(), BuildError> {
    let pin = fields.pin.filter(|_| row.allows(De::PIN_BLOCK));
    let mut encrypted = false;
    let tracks = [(De::TRACK2, fields.track2.map(Track2::reveal)), (De::TRACK3, track3.map(Track3::reveal))];
    for (de, track) in tracks {
        let Some(track) = track.filter(|_| row.allows(de)) else { continue };
        let hidden = keys.encrypt_track(track)?;
        encrypted |= hidden.is_some();
        message.set(de, hidden.as_ref().map_or(track, EncryptedTrack::reveal));
    }
    match pin {
        Some(PinBlock::Des(block)) => _ = message.set(De::PIN_BLOCK, *block),
        Some(PinBlock::Sm4(block)) => {
            message.set(De::PIN_BLOCK, [0; 8]);
            row.fill(message, De::EXTENSION, Some([b"A1016", block.as_slice()].concat()));
        }
        None => {}
    }
    message.set_some(De::PIN_CAPTURE, pin.map(|_| forms.pin_capture.as_str()));
    let (algorithm, tracks) = (keys.algorithm_digit(), u8::from(encrypted));
    if pin.is_some() || message.has(De::TRACK2) || message.has(De::TRACK3) || algorithm == '3' {
        let format = if pin.is_some() { forms.security_pin.as_str() } else { "0" };
        let algorithm = forms.security_cipher.unwrap_or(algorithm);
        row.fill(message, De::SECURITY, Some(format!("{format}{algorithm}{tracks}0000000000000")));
    }
    Ok(())
}

/// What is paid.
pub(in crate::domain::unionpay) struct Money {
    pub(in crate::domain::unionpay) stan: Stan,
    pub(in crate::domain::unionpay) batch: BatchNumber,
    pub(in crate::domain::unionpay) amount: Amount,
    pub(in crate::domain::unionpay) currency: Currency,
}

/// Who pays.
pub(in crate::domain::unionpay) struct Card<'a> {
    pub(in crate::domain::unionpay) pan: &'a Pan,
    pub(in crate::domain::unionpay) expiry: Option<&'a str>,
    pub(in crate::domain::unionpay) sequence: Option<u8>,
}

/// What a request of this row and the messages that follow it have in common. `original` is the row of the request
/// itself: what that had not, its followers do not have either.
pub(in crate::domain::unionpay) fn common(
    row: &Row,
    original: &Row,
    forms: &Forms,
    wire: &WireFacts,
    money: &Money,
    card: &Card<'_>,
) -> Message {
    let mut message = Message::new(row.mti);
    let mut fill = |de, value: Option<&str>| {
        if original.allows(de) {
            row.fill(&mut message, de, value);
        }
    };
    // The host takes the number of a swiped card from track 2; a scanned code has none.
    if !["02", "03", "04", "80"].iter().any(|mode| wire.entry_mode.starts_with(mode)) {
        fill(De::PAN, Some(card.pan.reveal()));
        fill(De::EXPIRY, card.expiry);
        fill(De::CARD_SEQUENCE, card.sequence.map(|number| format!("{number:03}")).as_deref());
    }
    let WireFacts { message_type, capability, .. } = wire;
    fill(De::AMOUNT, Some(&money.amount.digits12()));
    fill(De::PROCESSING_CODE, Some(&wire.processing_code));
    fill(De::STAN, Some(&money.stan.to_string()));
    fill(De::ENTRY_MODE, Some(&wire.entry_mode));
    fill(De::CONDITION, Some(&wire.condition));
    fill(De::TERMINAL, Some(wire.terminal_id.as_str()));
    fill(De::MERCHANT, Some(wire.merchant_id.as_str()));
    fill(De::CURRENCY, Some(&money.currency.numeric3()));
    fill(De::PRIVATE_60, Some(&forms.private_60(message_type, money.batch, capability)));
    message
}

/// What is not empty.
pub(in crate::domain::unionpay) fn some(value: &(impl AsRef<[u8]> + ?Sized)) -> Option<&[u8]> {
    Some(value.as_ref()).filter(|value| !value.is_empty())
}

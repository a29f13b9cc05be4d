//! Messages of the queue: reversal (冲正, 0400), script result (0620), upload of an offline sale (0200 with 60.1 = 36,
//! 0220 with 30) and completion advice (0220 with 24). None carries a track, a PIN or a security control.
//!
//! Terminal and merchant are those of the original, whoever the terminal is today; the MAC is made with the current
//! key.
//! Source: field matrix and reversal rules of public terminal code; Spec: unverified.
use super::financial::{Card, Money, common, some};
use super::{BuildError, Request, signed};
use crate::domain::ident::{AuthCode, Rrn, Stan};
use crate::domain::iso8583::{De, Message};
use crate::domain::keystore::SessionKeys;
use crate::domain::outcome::EntryType;
use crate::domain::profile::{NamesOriginal, Profile};
use crate::domain::queue::{Content, Entry};
use crate::domain::record::ReversalReason;
use crate::domain::unionpay::matrix::{self, Name, Row, Undo};
use crate::domain::unionpay::{Identity, de55};

/// Day of an original whose answer is not known: DE 61.3.
const NO_DAY: &str = "0000";

/// The message of an entry.
///
/// # Errors
/// [`BuildError::NothingToSend`] if there is none for it, else what was stored does not fit.
pub fn queued(identity: &Identity, entry: &Entry, keys: &dyn SessionKeys) -> Result<Request, BuildError> {
    queued_with(identity, entry, None, keys)
}

/// The message of an entry, with DE 59 of its original: the reversal of a code sale repeats the code. The journal does
/// not keep DE 59, as posd sells nothing by code yet.
///
/// # Errors
/// As [`queued`].
pub fn queued_with(
    identity: &Identity,
    entry: &Entry,
    extension: Option<&[u8]>,
    keys: &dyn SessionKeys,
) -> Result<Request, BuildError> {
    let (content, stan) = entry.content.as_deref().zip(entry.stan()).ok_or(BuildError::NothingToSend)?;
    let identity = Identity {
        terminal_id: content.wire.terminal_id.clone(),
        merchant_id: content.wire.merchant_id.clone(),
        ..identity.clone()
    };
    let original = matrix::of_facts(&content.wire).ok_or(BuildError::UnknownMessage)?;
    let name = match entry.entry_type() {
        EntryType::Reversal => Name::Reversal,
        EntryType::Script => Name::ScriptResult,
        EntryType::OfflineSale | EntryType::Advice => original.name,
        EntryType::RefundUnknown => return Err(BuildError::NothingToSend),
    };
    let origin = Origin { profile: &identity.profile, entry, content, stan, original };
    let mut message = match name {
        Name::Reversal => reversal(&origin)?,
        Name::ScriptResult => script(&origin),
        _ => upload(&origin),
    };
    if name == Name::Reversal && original.allows(De::EXTENSION) {
        message.set_some(De::EXTENSION, extension);
    }
    signed(&identity, matrix::row(name).mti, stan, message, keys)
}

/// What a message of the queue is made from.
struct Origin<'a> {
    profile: &'a Profile,
    entry: &'a Entry,
    content: &'a Content,
    stan: Stan,
    /// The row of the request that it follows, or is.
    original: &'static Row,
}

/// 0400: DE 2, 3, 4, 11, 14, 22, 23, 25, 38, 39, 41, 42, 49, 55, 60, 61, 64 of the original. No RRN.
///
/// DE 55 leaves out tag 9F36 when the answer's MAC was wrong.
fn reversal(origin: &Origin<'_>) -> Result<Message, BuildError> {
    let Origin { profile, entry, content, .. } = origin;
    let reason = content.reason.ok_or(BuildError::NothingToSend)?;
    let mut message = origin.base(matrix::row(Name::Reversal));
    message.set_some(De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    message.set(De::RESPONSE_CODE, profile.reversal_codes.of(reason));
    let icc = match reason {
        ReversalReason::MacError => &de55::without(&content.icc, de55::ATC),
        ReversalReason::NoAnswer | ReversalReason::Refused => &content.icc,
    };
    message.set_some(De::ICC, some(icc));
    let own = format!("{}{}", entry.batch, origin.stan);
    let undo = match profile.names_original {
        NamesOriginal::ByKind => origin.original.undo,
        NamesOriginal::Never => Undo::Unnamed,
        NamesOriginal::Numbers => Undo::Numbers,
        NamesOriginal::NumbersAndDay => Undo::NumbersAndDay,
    };
    match undo {
        Undo::Numbers => _ = message.set(De::ORIGINAL, own),
        Undo::NumbersAndDay => _ = message.set(De::ORIGINAL, own + origin.day()),
        Undo::Unnamed | Undo::Never => {}
    }
    Ok(message)
}

/// 0620: DE 2, 3, 4, 11 (its own), 22, 23, 25 by the profile, 32, 37, 38, 41, 42, 49, 55, 60 (00, 951), 61 (batch,
/// trace, day of the original), 64.
fn script(origin: &Origin<'_>) -> Message {
    let Origin { profile, entry, content, .. } = origin;
    let mut message = origin.base(matrix::row(Name::ScriptResult));
    if !profile.forms.script_condition {
        message.remove(De::CONDITION);
    }
    message.set_some(De::ACQUIRER, content.acquirer.as_ref());
    message.set_some(De::RRN, content.rrn.as_ref().map(Rrn::as_str));
    message.set_some(De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    message.set_some(De::ICC, some(&content.icc));
    // 60.4 and 60.5 of the original; 60.6 is left out.
    let capability = content.wire.capability.get(..2).unwrap_or("50");
    message.set(De::PRIVATE_60, format!("00{}951{capability}", entry.batch));
    let original = entry.txn_stan.map(|stan| stan.to_string()).unwrap_or_default();
    message.set(De::ORIGINAL, format!("{}{original}{}", entry.batch, origin.day()));
    message
}

/// What the bank is told later, as the row of the request says: a sale that the chip approved (0200/36, with DE 55 and
/// its tag 8A), a sale under a voice authorisation (0220/30), a completion advice (0220/24).
///
/// The card number stands in all of them, however the card was read: public terminals send track 2 of a swiped card in
/// an advice, but a track is never stored.
fn upload(origin: &Origin<'_>) -> Message {
    let Origin { profile, content, original: row, .. } = origin;
    let mut message = origin.base(row);
    row.fill(&mut message, De::PAN, Some(content.pan.reveal()));
    row.fill(&mut message, De::EXPIRY, content.expiry.as_ref());
    row.fill(&mut message, De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    row.fill(&mut message, De::ICC, some(&content.icc));
    row.fill(&mut message, De::ORIGINAL, some(&content.wire.original));
    let text = match row.name {
        // Public terminals say so of every chip card here, and count it as domestic.
        Name::ChipSale => &profile.forms.upload_63,
        Name::Advice => &profile.forms.advice_63,
        _ => organisation(&content.brand),
    };
    row.fill(&mut message, De::PRIVATE_63, some(text));
    message
}

impl Origin<'_> {
    /// The elements that a message of this row repeats from its original.
    fn base(&self, row: &Row) -> Message {
        let Content { pan, expiry, sequence, wire, .. } = self.content;
        let card = Card { pan, expiry: expiry.as_deref(), sequence: *sequence };
        let Entry { batch, amount, currency, .. } = *self.entry;
        let money = Money { stan: self.stan, batch, amount, currency };
        common(row, self.original, &self.profile.forms, wire, &money, &card)
    }

    /// The day of the original's answer, `MMDD`; zeros if there was none.
    fn day(&self) -> &str {
        self.content.answered_on.as_deref().unwrap_or(NO_DAY)
    }
}

/// DE 63.1 by the scheme of the card. Source: codes printed by public terminal code; Spec: unverified.
fn organisation(brand: &str) -> &'static str {
    match brand {
        "visa" => "VIS",
        "mastercard" => "MCC",
        "jcb" => "JCB",
        "amex" => "AMX",
        _ => "CUP",
    }
}

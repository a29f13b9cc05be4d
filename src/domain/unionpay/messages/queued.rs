//! Messages of the queue: reversal (冲正, 0400), script result (0620), upload of an offline sale (0200 with 60.1 = 36,
//! 0220 with 30) and completion advice (0220 with 24). None carries a track, a PIN or a security control.
//!
//! Terminal and merchant are those of the original, whoever the terminal is today; the MAC is made with the current
//! key.
//! Source: field matrix and reversal rules of public terminal code; Spec: unverified.
use super::financial::{Card, Money, common, set_icc};
use super::{BuildError, Request, signed};
use crate::domain::ident::{AuthCode, Rrn, Stan};
use crate::domain::iso8583::{De, Message};
use crate::domain::keystore::SessionKeys;
use crate::domain::outcome::{EntryType, Kind};
use crate::domain::profile::Profile;
use crate::domain::queue::{Content, Entry};
use crate::domain::record::ReversalReason;
use crate::domain::unionpay::{Identity, de55};

/// Day of an original whose answer is not known: DE 61.3.
const NO_DAY: &str = "0000";

/// The message of an entry.
///
/// # Errors
/// [`BuildError::NothingToSend`] if there is none for it, else what was stored does not fit.
pub fn queued(identity: &Identity, entry: &Entry, keys: &dyn SessionKeys) -> Result<Request, BuildError> {
    let (content, stan) = entry.content.as_deref().zip(entry.stan()).ok_or(BuildError::NothingToSend)?;
    let identity = Identity {
        terminal_id: content.wire.terminal_id.clone(),
        merchant_id: content.wire.merchant_id.clone(),
        ..identity.clone()
    };
    let profile = &*identity.profile;
    let (mti, message) = match entry.entry_type() {
        EntryType::Reversal => ("0400", reversal(profile, entry, content, stan)?),
        EntryType::Script => ("0620", script(profile, entry, content, stan)),
        EntryType::OfflineSale if content.wire.mti == "0200" => {
            ("0200", chip_upload(profile, entry, content, stan))
        }
        EntryType::OfflineSale => ("0220", voice_upload(profile, entry, content, stan)),
        EntryType::Advice => ("0220", advice(profile, entry, content, stan)),
        EntryType::RefundUnknown => return Err(BuildError::NothingToSend),
    };
    signed(&identity, mti, stan, message, keys)
}

/// 0400: DE 2, 3, 4, 11, 14, 22, 23, 25, 38, 39, 41, 42, 49, 55, 60, 61, 64 of the original. No RRN.
///
/// DE 55 leaves out tag 9F36 when the answer's MAC was wrong.
fn reversal(profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Result<Message, BuildError> {
    let reason = content.reason.ok_or(BuildError::NothingToSend)?;
    let mut message = base("0400", profile, entry, content, stan);
    message.set_some(De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    message.set(De::RESPONSE_CODE, profile.reversal_codes.of(reason));
    match reason {
        ReversalReason::MacError => set_icc(&mut message, &de55::without(&content.icc, de55::ATC)),
        ReversalReason::NoAnswer | ReversalReason::Refused => set_icc(&mut message, &content.icc),
    }
    let own = format!("{}{stan}", entry.batch);
    let day = content.answered_on.as_deref().unwrap_or(NO_DAY);
    match entry.kind {
        Kind::Void => _ = message.set(De::ORIGINAL, own),
        Kind::PreAuth | Kind::PreAuthVoid | Kind::PreAuthComplete | Kind::PreAuthCompleteVoid => {
            message.set(De::ORIGINAL, format!("{own}{day}"));
        }
        _ => {}
    }
    Ok(message)
}

/// 0620: DE 2, 3, 4, 11 (its own), 22, 23, 32, 37, 38, 41, 42, 49, 55, 60 (00, 951), 61 (batch, trace, day of the
/// original), 64.
fn script(profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Message {
    let mut message = base("0620", profile, entry, content, stan);
    message.remove(De::EXPIRY);
    message.remove(De::CONDITION);
    message.set_some(De::ACQUIRER, content.acquirer.as_ref());
    message.set_some(De::RRN, content.rrn.as_ref().map(Rrn::as_str));
    message.set_some(De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    set_icc(&mut message, &content.icc);
    // 60.4 and 60.5 of the original; 60.6 is left out.
    let capability = content.wire.capability.get(..2).unwrap_or("50");
    message.set(De::PRIVATE_60, format!("00{}951{capability}", entry.batch));
    let original = entry.txn_stan.map(|stan| stan.to_string()).unwrap_or_default();
    let day = content.answered_on.as_deref().unwrap_or(NO_DAY);
    message.set(De::ORIGINAL, format!("{}{original}{day}", entry.batch));
    message
}

/// 0200/36, approved by the chip: DE 2, 3, 4, 11, 14, 22, 23, 25, 41, 42, 49, 55 (with 8A), 60, 63, 64.
fn chip_upload(profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Message {
    let mut message = with_pan("0200", profile, entry, content, stan);
    set_icc(&mut message, &content.icc);
    // Public terminals say so of every chip card here, and count it as domestic.
    message.set(De::PRIVATE_63, &profile.forms.upload_63);
    message
}

/// 0220/30, approved by voice: DE 2, 3, 4, 11, 14, 22, 25, 38, 41, 42, 49, 60, 61, 63, 64.
fn voice_upload(profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Message {
    let mut message = with_pan("0220", profile, entry, content, stan);
    message.remove(De::CARD_SEQUENCE);
    message.set_some(De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    message.set(De::ORIGINAL, &content.wire.original);
    message.set(De::PRIVATE_63, organisation(&content.brand));
    message
}

/// 0220/24: DE 2, 3, 4, 11, 14, 22, 23, 25, 38, 41, 42, 49, 60, 61, 63 (000), 64.
///
/// Public terminals send track 2 of a swiped card here; a track is never stored, so the card number goes instead.
fn advice(profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Message {
    let mut message = with_pan("0220", profile, entry, content, stan);
    message.set_some(De::AUTH_CODE, content.auth_code.as_ref().map(AuthCode::as_str));
    message.set(De::ORIGINAL, &content.wire.original);
    let text = Some(&profile.forms.advice_63).filter(|text| !text.is_empty());
    message.set_some(De::PRIVATE_63, text);
    message
}

/// The elements that every message of an entry repeats from its original.
fn base(mti: &str, profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Message {
    let Content { pan, expiry, sequence, wire, .. } = content;
    let card = Card { pan, expiry: expiry.as_deref(), sequence: *sequence };
    let Entry { batch, amount, currency, .. } = entry;
    common(
        mti,
        &profile.forms,
        wire,
        &Money { stan, batch: *batch, amount: *amount, currency: *currency },
        &card,
    )
}

/// … and the card number, however the card was read: no track tells it later.
fn with_pan(mti: &str, profile: &Profile, entry: &Entry, content: &Content, stan: Stan) -> Message {
    let mut message = base(mti, profile, entry, content, stan);
    message.set(De::PAN, content.pan.reveal());
    message.set_some(De::EXPIRY, content.expiry.as_ref());
    message
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

//! Messages of downloads: lists, records, parameters, their ends, and the upload of the terminal's state. DE 41, 42, 60
//! and, where something is asked or told, 62. No STAN, no MAC.
//!
//! Source: LiaoYang_POS, synthetic vectors made after it; Spec: unverified.
use super::{BuildError, Request, management, plain};
use crate::domain::download::Kind;
use crate::domain::download::machine::Question;
use crate::domain::emv::tlv::{self, Tag};
use crate::domain::ident::BatchNumber;
use crate::domain::iso8583::De;
use crate::domain::unionpay::Identity;

/// DE 60.3 of a kind: list, record or page, end. Only CA keys and applications have lists.
const fn codes(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::Capk => ("372", "370", "371"),
        Kind::Aid => ("382", "380", "381"),
        Kind::Parameters => ("360", "360", "361"),
        Kind::Blacklist => ("390", "390", "391"),
        Kind::Contactless => ("394", "394", "395"),
    }
}

/// A question of a download: 0820 for lists, else 0800.
///
/// # Errors
/// [`BuildError`]; a record that cannot be named has none.
pub fn download(
    identity: &Identity,
    batch: BatchNumber,
    kind: Kind,
    question: &Question,
) -> Result<Request, BuildError> {
    let (list, record, end) = codes(kind);
    let (mti, code) = match question {
        Question::List { .. } => ("0820", list),
        Question::Record(_) | Question::Cards { .. } | Question::Whole => ("0800", record),
        Question::End => ("0800", end),
    };
    let mut message = management(mti, identity, None, batch, code);
    match question {
        Question::List { received } => message.set(De::PRIVATE_62, format!("1{received:02}")),
        Question::Record(key) => message.set(De::PRIVATE_62, named(kind, key)?),
        Question::Cards { next } => message.set(De::PRIVATE_62, format!("{next:03}")),
        Question::Whole | Question::End => &mut message,
    };
    plain(identity, mti, None, message)
}

/// A CA key by RID and index, an application by its AID.
fn named(kind: Kind, key: &[u8]) -> Result<Vec<u8>, BuildError> {
    let none = |_| BuildError::NothingToSend;
    let (aid, index) = match (kind, key.split_last_chunk::<1>()) {
        (Kind::Capk, Some((rid, index))) => (rid, Some(index)),
        _ => (key, None),
    };
    let mut named = tlv::encode(Tag::TERMINAL_AID, aid).map_err(none)?;
    if let Some(index) = index {
        tlv::write(&mut named, Tag::TERMINAL_CA_KEY_INDEX, index).map_err(none)?;
    }
    Ok(named)
}

/// Upload of the terminal's state, 0820 with 60.3 = 362: DE 62 holds numbered items like the parameters.
///
/// # Errors
/// [`BuildError`].
pub fn state_upload(identity: &Identity, batch: BatchNumber, items: &[u8]) -> Result<Request, BuildError> {
    let mut message = management("0820", identity, None, batch, "362");
    message.set(De::PRIVATE_62, items);
    plain(identity, "0820", None, message)
}

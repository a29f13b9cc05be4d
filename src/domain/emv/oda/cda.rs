//! Combined data authentication: the card signs its cryptogram together with everything that was said. EMV 4.4 Book 2
//! §6.6.
//!
//! A signature is asked with each cryptogram that is not an AAC, the first and the second one: mode 1 of Book 2 Annex
//! D4. What a failure means for the transaction is in `action.rs`. Spec: unverified.
use sha1::{Digest, Sha1};

use super::super::results::{CryptogramType, Tsi, Tvr};
use super::super::session::Session;
use super::super::tlv::{Tag, Tlv};
use super::dda::FORMAT;
use super::keys::RsaKey;
use super::signed::Recovered;
use super::{Defect, signing_key};

/// P1 of GENERATE AC: a signature is wanted. EMV 4.4 Book 3 §6.5.5.2.
const SIGNATURE_WANTED: u8 = 0x10;

/// A card whose key is good, and what was said to it so far.
#[derive(Clone)]
pub(in crate::domain::emv) struct Cda {
    key: RsaKey,
    /// Values of the PDOL, of CDOL1, of CDOL2: the transaction data hash code without the card's answer.
    said: Sha1,
}

/// What counts of a signed answer.
pub(in crate::domain::emv) struct Checked {
    /// The CID inside the signature goes before the one in clear. EMV 4.4 Book 4 §6.3.2.1.
    pub(in crate::domain::emv) cid: u8,
    pub(in crate::domain::emv) authentic: bool,
}

/// Gets the card's key ready. Done before the action codes are looked at, so that they see a failure.
pub(super) fn prepare(session: &mut Session) -> Result<(), Defect> {
    let key = signing_key(&session.app)?;
    session.cda = Some(Cda { key, said: Sha1::new().chain_update(&session.app.options_data) });
    Ok(())
}

/// Notes the data of a GENERATE AC; says which bit of P1 asks for a signature.
pub(in crate::domain::emv) fn ask(session: &mut Session, asked: CryptogramType, data: &[u8]) -> u8 {
    match &mut session.cda {
        Some(cda) => {
            cda.said.update(data);
            if asked == CryptogramType::Aac { 0 } else { SIGNATURE_WANTED }
        }
        None => 0,
    }
}

/// True if an answer must be signed: a signature was asked, and the card did not decline.
pub(in crate::domain::emv) fn expected(
    session: &Session,
    asked: CryptogramType,
    given: CryptogramType,
) -> bool {
    session.cda.is_some() && asked != CryptogramType::Aac && given != CryptogramType::Aac
}

/// Judges an answer that must be signed; `cid` stands in clear in it. The cryptogram comes out of the signature. After
/// a failure no further signature is asked.
pub(in crate::domain::emv) fn check(session: &mut Session, answer: &Tlv<'_>, cid: u8) -> Checked {
    session.tsi.set(Tsi::ODA);
    let opened = session.cda.as_ref().and_then(|cda| open(cda, answer));
    let number = session.app.params.unpredictable_number;
    if let Some(opened) = &opened
        && opened.said
        && opened.cid == cid
        && opened.signed.covers([number.as_slice()])
    {
        session.app.card.put(Tag::CRYPTOGRAM, &opened.cryptogram);
        session.app.card.put(Tag::ICC_DYNAMIC_NUMBER, &opened.number);
        return Checked { cid, authentic: true };
    }
    session.tvr.set(Tvr::CDA_FAILED);
    session.cda = None;
    Checked { cid: opened.map_or(cid, |opened| opened.cid), authentic: false }
}

/// What stands in the signature. EMV 4.4 Book 2 §6.6.1 Table 19.
struct Opened {
    signed: Recovered,
    number: Vec<u8>,
    cid: u8,
    cryptogram: [u8; 8],
    /// The transaction data hash code is right.
    said: bool,
}

/// `None` if there is no signature, or it has not the form of one.
fn open(cda: &Cda, answer: &Tlv<'_>) -> Option<Opened> {
    if answer.tag != Tag::RESPONSE_FORMAT_2 {
        return None;
    }
    let mut said = cda.said.clone();
    let mut signature = None;
    for object in answer.children() {
        let object = object.ok()?;
        if object.tag == Tag::SIGNED_DYNAMIC_DATA {
            if signature.replace(object.value).is_some() {
                return None;
            }
        } else {
            let end = object.start.checked_add(object.value.len())?;
            said.update(answer.value.get(object.offset..end)?);
        }
    }
    let signed = Recovered::open(&cda.key, signature?, FORMAT)?;
    let (number, rest) = signed.dynamic()?;
    let (cid, rest) = rest.split_first()?;
    let (cryptogram, rest) = rest.split_first_chunk::<8>()?;
    let hash = rest.first_chunk::<20>()?;
    let said = <[u8; 20]>::from(said.finalize()) == *hash;
    let (number, cid, cryptogram) = (number.to_vec(), *cid, *cryptogram);
    Some(Opened { signed, number, cid, cryptogram, said })
}

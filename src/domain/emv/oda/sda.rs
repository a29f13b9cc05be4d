//! Static data authentication: the issuer's signature over the records. EMV 4.4 Book 2 §5.4.
//!
//! It shows that nobody changed the records, not that the card is no copy. Spec: unverified.
use super::super::session::Session;
use super::super::tlv::Tag;
use super::Defect;
use super::certificates::{issuer_key, object};
use super::signed::Recovered;

const FORMAT: u8 = 0x03;

/// What a card needs for it. EMV 4.4 Book 3 §7.2 Table 29.
const NEEDED: [Tag; 4] =
    [Tag::CA_KEY_INDEX, Tag::ISSUER_CERTIFICATE, Tag::ISSUER_EXPONENT, Tag::SIGNED_STATIC_DATA];

/// Checks tag 93 and keeps what it holds as tag 9F45.
pub(super) fn verify(session: &mut Session) -> Result<(), Defect> {
    let app = &session.app;
    NEEDED.iter().try_for_each(|tag| object(app, *tag).map(drop))?;
    let issuer = issuer_key(app)?;
    let signed =
        Recovered::open(&issuer, object(app, Tag::SIGNED_STATIC_DATA)?, FORMAT).ok_or(Defect::Failed)?;
    let code = signed.static_code().ok_or(Defect::Failed)?;
    if !signed.covers(app.signed.pieces(&app.card)?) {
        return Err(Defect::Failed);
    }
    session.app.card.put(Tag::DATA_AUTHENTICATION_CODE, &code);
    Ok(())
}

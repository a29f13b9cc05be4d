//! The TC hash value (tag 98): SHA-1 over the data of a list of its own, for cards whose GENERATE AC wants it.
//!
//! EMV 4.4 Book 3 §9.2.2. This terminal has no default list of its own, so that of a card without one is empty (§7.3).
//! Spec: unverified.
use sha1::{Digest, Sha1};

use super::dol::{self, DolError};
use super::results::Tvr;
use super::session::Session;
use super::tlv::Tag;

/// Before the action codes are looked at: TVR "default TDOL used" if CDOL1 wants the hash and the card has no list.
pub(super) fn prepare(session: &mut Session) {
    let wanted = session.app.card.value(Tag::CDOL1).is_some_and(asks);
    if wanted && !session.app.card.contains(Tag::TDOL) {
        session.tvr.set(Tvr::DEFAULT_TDOL);
    }
}

/// Puts the hash among the terminal's objects if a list asks for it, over what is known now.
pub(super) fn put(session: &mut Session, list: &[u8]) -> Result<(), DolError> {
    if asks(list) {
        let data = session.fill(session.app.card.value(Tag::TDOL).unwrap_or_default())?;
        session.app.own.put(Tag::TC_HASH, &Sha1::digest(&data));
    }
    Ok(())
}

/// True if the hash is on a list. A list that is broken says so where it is filled.
fn asks(list: &[u8]) -> bool {
    dol::entries(list).is_ok_and(|entries| entries.iter().any(|entry| entry.tag == Tag::TC_HASH))
}

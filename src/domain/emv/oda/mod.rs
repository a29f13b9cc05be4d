//! Offline data authentication: is the card one that its issuer made? EMV 4.4 Book 3 §10.3, Book 2 §5 and §6.
//!
//! One method is chosen, the strongest that card and terminal share: CDA, else DDA, else SDA. It leaves bits in TVR and
//! TSI and never ends a conversation by itself; the action codes decide what a failure means. XDA is not supported, the
//! configuration refuses a terminal that claims it, and a card that has it is taken by what else it has. Keys of
//! authorities, issuers and cards are in `keys` and `certificates`, what was signed in `statics` and `signed`. Spec:
//! unverified.
pub(super) mod cda;
mod certificates;
mod dda;
mod keys;
mod sda;
mod signed;
mod statics;
#[cfg(test)]
mod tests;

use super::kernel::Step;
use super::results::{Aip, Capabilities, Tsi, Tvr, TvrBit};
use super::session::{App, Session};
use super::tlv::Tag;
use super::{cvm, restrictions};

pub(super) use dda::AwaitSignature;
pub(super) use keys::RsaKey;
pub(super) use statics::StaticData;

/// Why no key or no signature is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// The card has not all that is needed. TVR "ICC data missing".
    Missing,
    /// A key of an authority is not there, expired, or something does not fit.
    Failed,
}

/// How a card is authenticated. EMV 4.4 Book 3 §10.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Sda,
    Dda,
    Cda,
}

fn choose(card: Aip, terminal: Capabilities) -> Option<Method> {
    if card.has(Aip::CDA) && terminal.has(Capabilities::CDA) {
        Some(Method::Cda)
    } else if card.has(Aip::DDA) && terminal.has(Capabilities::DDA) {
        Some(Method::Dda)
    } else if card.has(Aip::SDA) && terminal.has(Capabilities::SDA) {
        Some(Method::Sda)
    } else {
        None
    }
}

/// Authenticates what can be now, then goes on with the restrictions. With CDA only the keys are ready afterwards.
pub(super) fn authenticate(mut session: Box<Session>) -> Step {
    // Choice: tag 9F22 tells which key of the authority the card wants, whether the terminal has it or not.
    if let Some(index) = session.app.card.array::<1>(Tag::CA_KEY_INDEX) {
        session.app.own.put(Tag::TERMINAL_CA_KEY_INDEX, &index);
    }
    match choose(session.aip, session.capabilities()) {
        None => {
            session.tvr.set(Tvr::ODA_NOT_PERFORMED);
            go_on(session)
        }
        Some(Method::Sda) => {
            session.tvr.set(Tvr::SDA_SELECTED);
            let verdict = sda::verify(&mut session);
            end(session, Tvr::SDA_FAILED, verdict)
        }
        Some(Method::Dda) => dda::ask(session),
        Some(Method::Cda) => match cda::prepare(&mut session) {
            Ok(()) => go_on(session),
            Err(defect) => end(session, Tvr::CDA_FAILED, Err(defect)),
        },
    }
}

/// Notes how the method ended.
fn end(mut session: Box<Session>, failed: TvrBit, verdict: Result<(), Defect>) -> Step {
    session.tsi.set(Tsi::ODA);
    if let Err(defect) = verdict {
        session.tvr.set(failed);
        if defect == Defect::Missing {
            session.tvr.set(Tvr::ICC_DATA_MISSING);
        }
    }
    go_on(session)
}

fn go_on(mut session: Box<Session>) -> Step {
    restrictions::check(&mut session)?;
    cvm::verify(session)
}

/// What a card needs to sign. EMV 4.4 Book 3 §7.2 Table 30.
const NEEDED: [Tag; 5] = [
    Tag::CA_KEY_INDEX,
    Tag::ISSUER_CERTIFICATE,
    Tag::ISSUER_EXPONENT,
    Tag::ICC_CERTIFICATE,
    Tag::ICC_EXPONENT,
];

/// The key that the card's dynamic signatures are checked with.
fn signing_key(app: &App) -> Result<RsaKey, Defect> {
    NEEDED.iter().try_for_each(|tag| certificates::object(app, *tag).map(drop))?;
    certificates::card_key(app, &certificates::issuer_key(app)?)
}

/// The key that an offline PIN is enciphered with: the card's own for PINs if it has one, else the one it signs with.
/// EMV 4.4 Book 2 §7.1.
///
/// # Errors
/// The PIN cannot be enciphered; whether data was missing or a check failed makes no difference to the cardholder.
pub(super) fn pin_key(session: &Session) -> Result<RsaKey, Defect> {
    certificates::pin_key(&session.app)
}

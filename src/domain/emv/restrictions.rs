//! Processing restrictions: versions, usage control, dates. They set TVR bits and decide nothing.
//!
//! EMV 4.4 Book 3 §10.4. Spec: unverified.
use super::kernel::KernelError;
use super::results::Tvr;
use super::session::Session;
use super::tlv::Tag;

const PHASE: &str = "processing restrictions";

/// Sets the bits of the second byte of the TVR.
pub(super) fn check(session: &mut Session) -> Result<(), KernelError> {
    if session.fixed::<2>(Tag::CARD_VERSION, PHASE)?.is_some_and(|card| card != session.app.entry.version) {
        session.tvr.set(Tvr::VERSIONS_DIFFER);
    }
    if !usage_allowed(session)? {
        session.tvr.set(Tvr::SERVICE_NOT_ALLOWED);
    }
    let today = century(session.app.params.now.yymmdd_bcd());
    if session.fixed::<3>(Tag::EFFECTIVE_DATE, PHASE)?.is_some_and(|date| century(date) > today) {
        session.tvr.set(Tvr::NOT_YET_EFFECTIVE);
    }
    if session.fixed::<3>(Tag::EXPIRY, PHASE)?.is_some_and(|date| century(date) < today) {
        session.tvr.set(Tvr::EXPIRED);
    }
    Ok(())
}

/// Puts the century before a date: 50 to 99 are 19xx. EMV 4.4 Book 4 §6.7.3.
pub(super) const fn century([year, month, day]: [u8; 3]) -> [u8; 4] {
    [if year >= 0x50 { 0x19 } else { 0x20 }, year, month, day]
}

/// Application usage control. EMV 4.4 Book 3 §10.4.2, Annex C2.
fn usage_allowed(session: &Session) -> Result<bool, KernelError> {
    let Some([first, second]) = session.fixed::<2>(Tag::AUC, PHASE)? else { return Ok(true) };
    let place = if session.app.terminal.is_atm() { 0x02 } else { 0x01 };
    if first & place == 0 {
        return Ok(false);
    }
    // Without the issuer's country nothing else can be judged.
    let Some(issuer) = session.fixed::<2>(Tag::ISSUER_COUNTRY, PHASE)? else { return Ok(true) };
    let domestic = issuer == session.app.terminal.country_code;
    let params = &session.app.params;
    let kind = match (params.transaction_type, domestic) {
        (0x01, true) => 0x80,
        (0x01, false) => 0x40,
        // Choice: the terminal does not tell goods from services, so either permission is enough.
        (0x00 | 0x09, true) => 0x20 | 0x08,
        (0x00 | 0x09, false) => 0x10 | 0x04,
        _ => return Ok(true),
    };
    let cashback = if domestic { 0x80 } else { 0x40 };
    Ok(first & kind != 0 && (params.amount_other.is_zero() || second & cashback != 0))
}

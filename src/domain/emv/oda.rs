//! Offline data authentication: the place where it will stand. EMV 4.4 Book 3 §10.3.
//!
//! This version does not perform it, and says so to the card and the issuer. Spec: unverified.
use super::results::Tvr;
use super::session::Session;

/// Records that no authentication took place. TSI "performed" stays clear.
pub(super) fn leave_out(session: &mut Session) {
    session.tvr.set(Tvr::ODA_NOT_PERFORMED);
}

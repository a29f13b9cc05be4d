//! What DE 39 means for the terminal. The texts for people are in [`crate::domain::text`].
//!
//! Source: Q/CUP 006.6-2014 display table for the codes; the approving set and the reversal set as in two
//! public terminal applications; Spec: unverified.
use crate::domain::ident::ResponseCode;

/// What a financial request's response code asks of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Approved in full.
    Approved,
    /// Approved for the amount in the answer.
    PartlyApproved,
    /// Refused, and the keys or the batch of the sign-on no longer hold: sign on again.
    SignOnNeeded,
    /// Refused, for whatever reason.
    Declined,
}

/// Approved in full: success, VIP, and the "ask the issuer" family A2 to A6.
pub const APPROVED: &[&str] = &["00", "11", "A2", "A4", "A5", "A6"];
/// Approved in part; DE 4 of the answer says how much.
pub const PARTLY_APPROVED: &str = "10";
/// Batch differs, PIN format wrong (keys differ), MAC wrong.
pub const SIGN_ON_NEEDED: &[&str] = &["77", "99", "A0"];
/// "Repeated transaction": an upload that came before. Its first one counts.
pub const REPEATED: &str = "94";
/// A reversal is done: success, "invalid transaction", "no such original".
pub const REVERSAL_DONE: &[&str] = &["00", "12", "25"];

/// Sorts the answer to a sale or another request for money.
#[must_use]
pub fn class(code: &ResponseCode) -> Class {
    match code.as_str() {
        PARTLY_APPROVED => Class::PartlyApproved,
        code if APPROVED.contains(&code) => Class::Approved,
        code if SIGN_ON_NEEDED.contains(&code) => Class::SignOnNeeded,
        _ => Class::Declined,
    }
}

/// True if such a code books money, in full or in part.
#[must_use]
pub fn books(code: &str) -> bool {
    code == PARTLY_APPROVED || APPROVED.contains(&code)
}

/// True if the host will not ask for this reversal again.
#[must_use]
pub fn reversal_done(code: &ResponseCode) -> bool {
    REVERSAL_DONE.contains(&code.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A code that is not known must never count as an approval.
    #[test]
    fn only_the_listed_codes_approve() {
        let check = |code, expected| assert_eq!(class(&ResponseCode::new(code).unwrap()), expected, "{code}");
        for code in ["00", "11", "A2", "A4", "A5", "A6"] {
            check(code, Class::Approved);
        }
        check("10", Class::PartlyApproved);
        for code in ["77", "99", "A0"] {
            check(code, Class::SignOnNeeded);
        }
        for code in ["01", "05", "51", "A1", "A3", "A7", "a2", "ZZ", "0O", "68"] {
            check(code, Class::Declined);
        }
    }
}

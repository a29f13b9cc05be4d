//! Which elements each request must, may and must not have, and the forms of the private ones. A request that breaks it
//! is refused with 30, whatever it asks for.
//!
//! Source: request field matrix of public terminal code (LiaoYang_POS, Newland, PAX); Spec: unverified. Where the
//! matrix says "conditional", [`conditions`] says on what, as far as it is known.
use super::super::business::Business;
use super::{Refusal, refuse};
use crate::domain::iso8583::{De, Message};
use crate::domain::profile::Forms;

/// The columns of [`MATRIX`], in order; a reversal is one more, the last.
const COLUMNS: [Business; 12] = [
    Business::Balance,
    Business::Sale,
    Business::Void,
    Business::Refund,
    Business::PreAuth,
    Business::PreAuthVoid,
    Business::PreAuthComplete,
    Business::PreAuthAdvice,
    Business::PreAuthCompleteVoid,
    Business::OfflineSale,
    Business::ChipOfflineSale,
    Business::ScriptResult,
];

/// `M` must be there, `C` may, `-` must not. What has no row must not be there.
const MATRIX: &[(De, &str)] = &[
    //                    balance sale void refund pre-auth pa-void completion advice c-void offline chip script | 0400
    (De::PAN, "CCCCCCCCCMMCC"),
    (De::PROCESSING_CODE, "MMMMMMMMMMMMM"),
    (De::AMOUNT, "-MMMMMMMMMMMM"),
    (De::STAN, "MMMMMMMMMMMMM"),
    (De::EXPIRY, "CCCCCCCCCCM-C"),
    (De::ENTRY_MODE, "MMMMMMMMMMMMM"),
    (De::CARD_SEQUENCE, "CCCCC-CC--CCC"),
    (De::CONDITION, "MMMMMMMMMMM-M"),
    (De::PIN_CAPTURE, "CCC-CCC-C----"),
    (De::ACQUIRER, "-----------M-"),
    (De::TRACK2, "CCCCCCCCC----"),
    (De::TRACK3, "CCCCCCCCC----"),
    (De::RRN, "--MM----MC-M-"),
    (De::AUTH_CODE, "--C--MMMMC-CC"),
    (De::RESPONSE_CODE, "------------M"),
    (De::TERMINAL, "MMMMMMMMMMMMM"),
    (De::MERCHANT, "MMMMMMMMMMMMM"),
    (De::ADDITIONAL_DATA, "---------C---"),
    (De::CURRENCY, "MMMMMMMMMMMMM"),
    (De::PIN_BLOCK, "CCC-CCC-C----"),
    (De::SECURITY, "CCCCCCCCC----"),
    (De::ICC, "CC--C-----MMC"),
    (De::EXTENSION, "CCCCCCCCC-C-C"),
    (De::PRIVATE_60, "MMMMMMMMMMMMM"),
    (De::ORIGINAL, "--MM-MMMMM-MC"),
    (De::PRIVATE_63, "---M---C-MM--"),
    (De::MAC, "MMMMMMMMMMMMM"),
];

/// Why an element is refused, for the log; static, because a log line holds no data of the request.
macro_rules! element {
    ($de:expr, $what:literal, $($number:literal)+) => {
        match $de.number() {
            $($number => concat!("DE ", $number, $what),)+
            _ => concat!("an element", $what),
        }
    };
}

fn missing(de: De) -> &'static str {
    element!(de, " is missing", 2 3 4 11 14 22 25 32 37 38 39 41 42 49 55 60 61 63 64)
}

fn unwanted(de: De) -> &'static str {
    element!(de, " does not belong here", 
        2 4 12 13 14 15 23 25 26 32 35 36 37 38 39 44 48 52 53 54 55 57 58 59 61 62 63)
}

/// Checks a request of this business; `None` is a reversal.
pub(super) fn check(request: &Message, business: Option<Business>, forms: &Forms) -> Result<(), Refusal> {
    let column = COLUMNS.iter().position(|column| Some(*column) == business).unwrap_or(COLUMNS.len());
    let needs = |de: De| {
        let row = MATRIX.iter().find(|row| row.0 == de);
        row.and_then(|row| row.1.as_bytes().get(column)).copied().unwrap_or(b'-')
    };
    if let Some((de, _)) = MATRIX.iter().find(|(de, _)| needs(*de) == b'M' && !request.has(*de)) {
        return refuse("30", missing(*de));
    }
    if let Some((de, _)) = request.fields().find(|(de, _)| needs(*de) == b'-') {
        return refuse("30", unwanted(de));
    }
    let sixty = request.text(De::PRIVATE_60).unwrap_or_default().len();
    if !(13..=forms.private_60_digits).contains(&sixty) {
        return refuse("30", "DE 60 has not the length of this acquirer");
    }
    match business {
        Some(business) => conditions(request, business, forms),
        None => Ok(()),
    }
}

/// What the conditional elements depend on.
fn conditions(request: &Message, business: Business, forms: &Forms) -> Result<(), Refusal> {
    let text = |de| request.text(de).unwrap_or_default();
    if let Some((processing, condition)) = business.codes()
        && (text(De::PROCESSING_CODE) != processing || text(De::CONDITION) != condition)
    {
        return refuse("30", "DE 3 or DE 25 is not that of this transaction");
    }
    original(text(De::ORIGINAL), business)?;
    let mode = text(De::ENTRY_MODE);
    // A script result repeats the entry mode of its original, which may have had a PIN.
    let with_pin = mode.ends_with('1') && business != Business::ScriptResult;
    let has_pin = request.has(De::PIN_BLOCK);
    if with_pin && !has_pin {
        return refuse("30", "DE 22 tells of a PIN, DE 52 is missing");
    }
    if has_pin && !with_pin {
        return refuse("30", "DE 52 has a PIN, DE 22 does not tell of it");
    }
    if has_pin != request.has(De::PIN_CAPTURE) || has_pin && !request.has(De::SECURITY) {
        return refuse("30", "a PIN needs DE 26, 52 and 53");
    }
    if business == Business::Balance && !has_pin {
        return refuse("30", "a balance inquiry needs a PIN");
    }
    if mode.starts_with("02") && request.has(De::PAN) {
        return refuse("30", "a swiped card tells its number by track 2 only");
    }
    let chip = mode.starts_with("05") || mode.starts_with("07");
    if chip
        && matches!(business, Business::Balance | Business::Sale | Business::PreAuth)
        && !request.has(De::ICC)
    {
        return refuse("30", "DE 55 is missing or unreadable");
    }
    let sixty_three = text(De::PRIVATE_63);
    let fits = match business {
        Business::Refund => sixty_three == forms.refund_63,
        Business::PreAuthAdvice => sixty_three.is_empty() || sixty_three == forms.advice_63,
        Business::ChipOfflineSale => sixty_three == forms.upload_63,
        _ => true,
    };
    if fits { Ok(()) } else { refuse("30", "DE 63 is not that of this acquirer") }
}

/// The form of DE 61: batch and trace of the original, its date, or zeros where the authorisation code or the RRN
/// names it.
fn original(sixty_one: &str, business: Business) -> Result<(), Refusal> {
    let zeros = sixty_one.starts_with("000000000000");
    let fits = match business {
        Business::Balance | Business::Sale | Business::PreAuth | Business::ChipOfflineSale => true,
        Business::Void => sixty_one.len() == 12 && !zeros,
        Business::PreAuthCompleteVoid | Business::ScriptResult => sixty_one.len() == 16 && !zeros,
        Business::Refund | Business::PreAuthVoid | Business::PreAuthComplete | Business::PreAuthAdvice => {
            sixty_one.len() == 16 && zeros
        }
        Business::OfflineSale => sixty_one.len() >= 12,
    };
    if fits { Ok(()) } else { refuse("30", "DE 61 has not the form of this transaction") }
}

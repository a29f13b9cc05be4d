//! The form of a request: the elements that the bank's own request matrix gives it ([`matrix`]), on what "may" depends,
//! and the forms of the private elements. A request that breaks it is refused with 30, whatever it asks for.
use super::super::business::Business;
use super::{Refusal, management_code, matrix, refuse};
use crate::domain::iso8583::{De, Message};
use crate::domain::profile::Forms;

/// Checks a request of this business; `None` is a reversal.
pub(super) fn check(request: &Message, business: Option<Business>, forms: &Forms) -> Result<(), Refusal> {
    let mode = request.text(De::ENTRY_MODE).unwrap_or_default();
    if mode.starts_with("03") || mode.starts_with("04") {
        return refuse("40", "payment by code is not supported");
    }
    matrix::check(request, business)?;
    let wanted = if business == Some(Business::ScriptResult) { "951" } else { "000" };
    if management_code(request) != Some(wanted) {
        return refuse("30", "DE 60.3 is not that of this transaction");
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

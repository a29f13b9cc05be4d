//! Guards free texts of callers: at most 256 bytes, and no card number in them. They are stored and shown in
//! clear. A slip of the shop's own is longer, and has the same guard.
use super::error::invalid;
use crate::domain::fault::Fault;

/// Longest free text, bytes.
const BYTES_MAX: usize = 256;
/// Longest slip of the shop's own, bytes. Choice: 30 cm of Chinese text on the narrowest paper.
const SLIP_MAX: usize = 4096;
/// Digits of a card number that is guarded; ISO/IEC 7812-1 allows 19 at most. Spec: unverified.
const PAN_DIGITS: core::ops::RangeInclusive<usize> = 13..=19;

/// Checks a free text. `what` names it in the error; the text itself is never quoted.
///
/// # Errors
/// `InvalidArgument` if it is longer than 256 bytes or [`holds_card_number`].
pub(super) fn check(what: &str, text: &str) -> Result<(), Fault> {
    bounded(what, text, BYTES_MAX)
}

/// Checks a text that goes on paper as a slip of its own.
///
/// # Errors
/// `InvalidArgument` if there is nothing to see in it, it is longer than 4096 bytes, or [`holds_card_number`].
pub(super) fn check_slip(what: &str, text: &str) -> Result<(), Fault> {
    if text.chars().all(|c| c.is_whitespace() || c.is_control()) {
        return Err(invalid(format!("{what} has nothing in it that could be seen on paper")));
    }
    bounded(what, text, SLIP_MAX)
}

fn bounded(what: &str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() > bytes_max {
        return Err(invalid(format!("{what} must have at most {bytes_max} bytes, not {}", text.len())));
    }
    if holds_card_number(text) {
        return Err(invalid(format!("{what} seems to hold a card number; leave it out")));
    }
    Ok(())
}

/// True if 13 to 19 digits pass the Luhn check, spaces and dashes between them aside.
///
/// Choice: digits that stand together count as one group, and a number begins and ends with a group. So a
/// time stamp of 17 digits is judged once, as a whole, and not by each of its parts: one in ten is refused,
/// not most. A group of 20 or more digits is no number of anything; there every part is judged.
pub(super) fn holds_card_number(text: &str) -> bool {
    runs(text).iter().any(|groups| {
        groups.iter().any(|group| group.len() > *PAN_DIGITS.end() && any_part_passes(group))
            || (0..groups.len()).any(|first| begins_card_number(groups.get(first..).unwrap_or_default()))
    })
}

/// The groups of digits, and in the outer list what only spaces and dashes join.
fn runs(text: &str) -> Vec<Vec<Vec<u8>>> {
    let mut runs = vec![vec![vec![]]];
    for c in text.chars() {
        let run = runs.last_mut();
        match (digit(c), run) {
            (Some(digit), Some(run)) => {
                if let Some(group) = run.last_mut() {
                    group.push(digit);
                }
            }
            (None, Some(run)) if is_joint(c) => run.push(vec![]),
            _ => runs.push(vec![vec![]]),
        }
    }
    runs
}

/// ASCII digits and the full-width ones of Chinese keyboards.
fn digit(c: char) -> Option<u8> {
    let value = match c {
        '0'..='9' => u32::from(c) - u32::from('0'),
        '\u{ff10}'..='\u{ff19}' => u32::from(c) - 0xff10,
        _ => return None,
    };
    u8::try_from(value).ok()
}

fn is_joint(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{ff0d}')
}

/// True if the first groups, joined, are a number that passes.
fn begins_card_number(groups: &[Vec<u8>]) -> bool {
    let mut joined = Vec::new();
    for group in groups {
        joined.extend_from_slice(group);
        if joined.len() > *PAN_DIGITS.end() {
            return false;
        }
        if PAN_DIGITS.contains(&joined.len()) && passes_luhn(&joined) {
            return true;
        }
    }
    false
}

fn any_part_passes(group: &[u8]) -> bool {
    PAN_DIGITS.clone().any(|length| group.windows(length).any(passes_luhn))
}

/// The check digit rule of card numbers (ISO/IEC 7812-1, Luhn). Spec: unverified. A row of zeros passes it and is no
/// card number.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .zip([false, true].into_iter().cycle())
        .map(|(&digit, double)| match (u32::from(digit), double) {
            (digit, false) => digit,
            (digit, true) if digit > 4 => digit * 2 - 9,
            (digit, true) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|&digit| digit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn card_numbers_are_found_in_any_dress() {
        for text in [
            "6225880012345675",
            "card 6225 8800 1234 5675 please",
            "6225-8800-1234-5675",
            "till 12 6225880012345675 30/12",
            "x6225880012345675D3012201",
            "６２２５８８００１２３４５６７５",
            "62258800123456753012201000",
        ] {
            assert!(holds_card_number(text), "{text}");
        }
        for text in [
            "",
            "order 12345",
            "6225880012345676",
            "2026-11-22 09:30:00.000",
            "000000000000000",
            "123456789012",
        ] {
            assert!(!holds_card_number(text), "{text}");
        }
    }

    #[test]
    fn a_refused_text_is_not_quoted() {
        let error = check("option cashier-ref", "6225880012345675").unwrap_err();
        assert_eq!(error.text, "option cashier-ref seems to hold a card number; leave it out");
        assert!(check("why", &"x".repeat(257)).unwrap_err().text.contains("at most 256 bytes"));
        assert_eq!(check("why", &"x".repeat(256)), Ok(()));
        assert!(check_slip("text", &"x".repeat(4097)).unwrap_err().text.contains("at most 4096 bytes"));
        assert_eq!(check_slip("text", &"x".repeat(4096)), Ok(()));
        assert!(check_slip("text", " \n\u{1b}").unwrap_err().text.contains("nothing in it"));
        assert!(check_slip("text", "6225880012345675").unwrap_err().text.contains("card number"));
    }

    /// Appends the digit that makes the number pass.
    fn with_check_digit(mut digits: Vec<u8>) -> Vec<u8> {
        digits.push(0);
        let last = digits.len() - 1;
        while !passes_luhn(&digits) {
            digits[last] += 1;
        }
        digits
    }

    proptest! {
        /// A valid number is found with any separators in it and any words around it.
        #[test]
        fn every_valid_number_is_found(
            digits in proptest::collection::vec(0_u8..=9, 12..=18),
            joints in proptest::collection::vec(prop_oneof![Just(""), Just(" "), Just("-"), Just(" - ")], 19),
            before in "[a-z:]{0,8}", after in "[a-z:]{0,8}",
        ) {
            prop_assume!(digits.iter().any(|d| *d != 0));
            let digits = with_check_digit(digits);
            let number: String = digits.iter().zip(&joints).map(|(d, joint)| format!("{d}{joint}")).collect();
            let text = format!("{before}{number}{after}");
            prop_assert!(holds_card_number(&text), "{}", text);
        }

        /// Fewer than 13 digits are never refused, whatever stands between them.
        #[test]
        fn short_numbers_pass(groups in proptest::collection::vec("[0-9]{1,3}", 0..=4)) {
            prop_assert!(!holds_card_number(&groups.join("-")));
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in ".{0,300}") {
            prop_assert!(check("text", &text).is_ok() || !text.is_empty());
        }
    }
}

//! What people may see of numbers and texts that may hold card data: six digits in front and four behind.
//!
//! For everything that explains bytes to people; types of their own ([`super::secret`]) guard what the daemon itself
//! works with. PCI DSS 4.0 requirement 3.4; Spec: unverified.
use super::secret::Pan;

/// Whether card data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardData {
    /// First six and last four digits of card numbers; tracks, PIN blocks and keys not at all.
    Masked,
    /// Everything in clear, because a person asked for it.
    Clear,
}

/// The fewest digits of a card number that keeps its ends.
pub const PAN_MIN: usize = 13;

/// First six and last four digits; everything hidden where it is not a card number.
#[must_use]
pub fn number(digits: &str) -> String {
    Pan::new(digits).map_or_else(|_| "*".repeat(digits.len()), |pan| pan.masked())
}

/// The masked card number; all behind the separator is hidden, the length kept.
#[must_use]
pub fn track(track: &str) -> String {
    match track.split_once(['D', '=']) {
        Some((digits, rest)) => format!("{}D{}", number(digits), "*".repeat(rest.len())),
        None => "*".repeat(track.len()),
    }
}

/// Hides the middle of every run of 13 and more ASCII digits: it may hold a card number.
#[must_use]
pub fn runs(value: &[u8], show: impl Fn(&[u8]) -> String) -> String {
    let pieces = value.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let masked = pieces.map(|run| {
        let ends = run
            .split_at_checked(6)
            .and_then(|(head, rest)| rest.split_last_chunk::<4>().map(|(middle, tail)| (head, middle, tail)));
        match ends {
            Some((head, middle, tail))
                if run.first().is_some_and(u8::is_ascii_digit) && run.len() >= PAN_MIN =>
            {
                show(head) + &"*".repeat(show(middle).len()) + &show(tail)
            }
            _ => show(run),
        }
    });
    masked.collect()
}

/// Hides the middle of every run of 13 and more digits in a text for people, also of wide ones and where single blanks
/// or hyphens group them, as on slips.
#[must_use]
pub fn grouped(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let digit = |c: &char| matches!(c, '0'..='9' | '０'..='９');
    // A separator belongs to a run if digits stand on both sides of it.
    let inside = |at: usize| {
        let beside = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(digit);
        let separates = matches!(chars.get(at), Some(' ' | '-'));
        beside(Some(at)) || (separates && beside(at.checked_sub(1)) && beside(at.checked_add(1)))
    };
    let places: Vec<(usize, char)> = chars.iter().copied().enumerate().collect();
    let runs = places.chunk_by(|(a, _), (b, _)| inside(*a) == inside(*b));
    let shown = runs.flat_map(|run| {
        let all = run.iter().filter(|(_, c)| digit(c)).count();
        let mut seen = 0_usize;
        run.iter().map(move |(_, c)| {
            seen = seen.saturating_add(usize::from(digit(c)));
            let middle = seen > 6 && seen <= all.saturating_sub(4);
            if all >= PAN_MIN && digit(c) && middle { '*' } else { *c }
        })
    });
    shown.collect()
}

/// The same as [`runs`] for bytes shown in hexadecimal, which may be packed digits as well as characters. Hides too
/// much rather than too little: seven characters that are digits look like a packed number.
#[must_use]
pub fn hex_runs(value: &[u8]) -> String {
    let as_text = runs(value, hex);
    let packed = runs(hex(value).as_bytes(), printable);
    // Both have two characters for each byte; hidden is what either hides.
    as_text.chars().zip(packed.chars()).map(|(a, b)| if a == '*' || b == '*' { '*' } else { a }).collect()
}

/// Hides in a text what could be a card number by its beginning and its check digit, and leaves other digits: for
/// values whose form is known.
#[must_use]
pub fn cards(text: &str) -> String {
    let mut shown: Vec<u8> = text.as_bytes().to_vec();
    let digits = text.as_bytes();
    for at in 0..digits.len() {
        for length in PAN_MIN..=19 {
            let Some(window) = digits.get(at..at.saturating_add(length)) else { break };
            if looks_like_a_card(window) {
                let (from, to) = (at.saturating_add(6), at.saturating_add(length).saturating_sub(4));
                shown.iter_mut().take(to).skip(from).for_each(|c| *c = b'*');
            }
        }
    }
    String::from_utf8(shown).unwrap_or_else(|_| "*".repeat(text.len()))
}

/// True if such a number could be a card's: 13 to 19 digits that begin as schemes do and end in their check digit.
#[must_use]
pub fn looks_like_a_card(digits: &[u8]) -> bool {
    (PAN_MIN..=19).contains(&digits.len())
        && matches!(digits, [b'3'..=b'6', ..] | [b'2', b'2'..=b'7', ..])
        && luhn(digits)
}

/// True if the last digit is the check digit. ISO/IEC 7812-1 annex B; Spec: unverified.
#[must_use]
pub fn luhn(digits: &[u8]) -> bool {
    let sum = digits.iter().rev().enumerate().fold(0_u32, |sum, (at, digit)| {
        let digit = u32::from(digit & 0x0F);
        let doubled = digit.saturating_mul(2);
        let counted = if at % 2 == 0 { digit } else { doubled / 10 + doubled % 10 };
        sum.saturating_add(counted)
    });
    digits.iter().all(u8::is_ascii_digit) && sum % 10 == 0
}

/// Bytes as upper-case hexadecimal without spaces.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]));
    text
}

/// Characters as they are, everything else as `\xNN`.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let shown = bytes.iter().map(|byte| match byte {
        b'\\' => "\\\\".to_owned(),
        0x20..0x7F => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02X}"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a number is recognised in the middle of other text, in characters, hexadecimal and packed alike.
    #[test]
    fn card_numbers_inside_texts_are_hidden() {
        assert_eq!(runs(b"A 6225880012345678 B", printable), "A 622588******5678 B");
        assert_eq!(grouped("卡号 6225 8800-1234 5678  1234"), "卡号 6225 88**-**** 5678  1234");
        assert_eq!(grouped("６２２５８８００１２３４５６７８"), "６２２５８８******５６７８");
        assert_eq!(runs(b"6225880012345678", hex), "363232353838************35363738");
        assert_eq!(runs(b"123456789012", printable), "123456789012");
        assert_eq!(runs(b"A30196222000000000000001", printable), "A301962*************0001");
        assert_eq!(runs(b"\xB9\xA4\\", printable), "\\xB9\\xA4\\\\");
        assert_eq!(hex_runs(&[0x62, 0x25, 0x88, 0, 0x12, 0x34, 0x56, 0x78]), "622588******5678");
        assert_eq!(hex_runs(b"6225880012345678"), "363232**********************3738");
        assert_eq!(hex_runs(&[0xA6, 0x22, 0x58, 0x80, 1, 0x23, 0x45, 0x67, 0x8F]), "A622588******5678F");
    }

    /// Goal: what is known not to be a card number stays readable, and a card number among it does not.
    #[test]
    fn known_forms_stay_readable() {
        assert_eq!(cards("A000000333010101"), "A000000333010101");
        assert_eq!(cards("A04111111111111111F"), "A0411111******1111F");
    }

    /// Goal: the check digit tells card numbers from other numbers.
    #[test]
    fn the_check_digit_is_judged() {
        assert!(looks_like_a_card(b"4111111111111111") && looks_like_a_card(b"371449635398431"));
        assert!(!looks_like_a_card(b"4111111111111112") && !looks_like_a_card(b"102100058120001"));
    }
}

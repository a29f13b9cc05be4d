//! What of a message is shown: card numbers with six digits in front and four behind, tracks and keys not at all.
//!
//! Three nets, one behind the other: elements and objects that hold card data by their nature; runs of digits in
//! elements whose content only one acquirer knows; and every card number that the message itself names, wherever else
//! it stands. "As far as recognisable" is all that can be promised for the second.
use super::words;
use crate::domain::emv::describe::masked;
use crate::domain::emv::tlv::{DEPTH_MAX, Reader, Tag};
use crate::domain::iso8583::De;
use crate::domain::mask::{self, PAN_MIN, hex, looks_like_a_card};
use crate::domain::unionpay::host_text;

/// Characters as they are, those of GBK too, everything else as `\xNN`.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = bytes.trim_ascii_end();
    if !text.is_ascii()
        && let Some(shown) = host_text(text)
    {
        let filled = " ".repeat(bytes.len().saturating_sub(text.len()));
        return shown.replace('\\', "\\\\") + &filled;
    }
    mask::printable(bytes)
}

/// DE 48 of a batch upload: a count of two digits, then records of class 2, STAN 6, card number 20 (left zeros) and
/// amount 12; of the card number the last four digits stay.
pub(super) fn batch_detail(digits: &str) -> String {
    let hidden = |at: usize| at.checked_sub(2).is_some_and(|at| (8..24).contains(&(at % 40)));
    digits.char_indices().map(|(at, c)| if hidden(at) { '*' } else { c }).collect()
}

/// One such record without the count in front.
pub(super) fn batch_record(record: &str) -> String {
    record.char_indices().map(|(at, c)| if (8..24).contains(&at) { '*' } else { c }).collect()
}

/// True for DE 48 with such records.
pub(super) fn is_batch_detail(mti: &str, value: &[u8]) -> bool {
    mti == "0320" && value.len() > 2 && value.len() % 40 == 2
}

/// True for elements whose digits are known not to be a card number: by number, and by their inner form where a sender
/// could put one there.
pub(super) fn has_known_form(mti: &str, is_unionpay: bool, de: De, value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = core::str::from_utf8(value).unwrap_or_default();
    match de {
        De::MERCHANT => !looks_like_a_card(value),
        De::SECURITY => text.get(3..).is_some_and(|rest| rest.bytes().all(|digit| digit == b'0')),
        De::PRIVATE_60 if is_unionpay => {
            let type_is_known = text.get(..2).is_some_and(|code| words::type_code(code).is_some());
            let code_is_known = text.get(8..11).is_some_and(|code| words::management_code(code).is_some());
            // Sales begin with 22 as a card of Mastercard's may, so its whole range counts here.
            let is_range =
                text.get(..4).is_some_and(|four| !four.starts_with('2') || ("2221"..="2720").contains(&four));
            let form_is_known = matches!(value.len(), 11 | 13 | 14 | 17) && type_is_known && code_is_known;
            form_is_known && !(is_range && looks_like_a_card(value))
        }
        De::ORIGINAL if is_unionpay => {
            let date = text.get(12..16).unwrap_or("0000");
            let month = date.get(..2).and_then(|month| month.parse().ok()).unwrap_or(99_u8);
            digits && month <= 12 && !looks_like_a_card(value)
        }
        De::ADDITIONAL_DATA if is_unionpay => matches!(mti, "0500" | "0510") && value.len() == 62,
        // Totals of 16 digits, and what the original message was.
        de if !is_unionpay => matches!(de.number(), 86..=90) && !looks_like_a_card(value),
        _ => false,
    }
}

/// Chip data in hexadecimal with the values of card data hidden; all of it where it cannot be read.
pub(super) fn objects(data: &[u8], depth: usize) -> String {
    let mut text = String::new();
    let mut end = 0;
    for object in Reader::new(data) {
        let Ok(object) = object else { return "*".repeat(data.len().saturating_mul(2)) };
        let finish = object.start.saturating_add(object.value.len());
        text.push_str(&hex(data.get(end..object.start).unwrap_or_default()));
        text.push_str(&self::object(object.tag, object.value, depth));
        end = finish;
    }
    text + &hex(data.get(end..).unwrap_or_default())
}

/// One value of chip data.
fn object(tag: Tag, value: &[u8], depth: usize) -> String {
    if tag.is_constructed() {
        return match depth.checked_sub(1) {
            Some(depth) => objects(value, depth),
            None => "*".repeat(value.len().saturating_mul(2)),
        };
    }
    masked(tag, value)
}

/// Chip data, to the depth that templates may have.
pub(super) fn icc(data: &[u8]) -> String {
    objects(data, DEPTH_MAX)
}

/// The card numbers that a message names: they are hidden wherever else they stand.
pub(super) struct Known(Vec<String>);

impl Known {
    /// Collects those of DE 2, of the tracks, and of chip data.
    pub(super) fn of<'a>(fields: impl Iterator<Item = (De, &'a [u8])>) -> Self {
        let mut found = Vec::new();
        for (de, value) in fields {
            match de {
                De::PAN => found.push(text(value)),
                De::TRACK2 | De::TRACK3 => found.push(text(leading_digits(value))),
                De::ICC => collect(value, DEPTH_MAX, &mut found),
                _ => {}
            }
        }
        found.retain(|number| number.len() >= PAN_MIN);
        found.sort_unstable_by_key(|number| core::cmp::Reverse(number.len()));
        Self(found)
    }

    /// Hides them in a text, as digits and as characters in hexadecimal.
    pub(super) fn hide(&self, shown: &mut String) {
        for number in &self.0 {
            for (form, width) in [(number.clone(), 1_usize), (hex(number.as_bytes()), 2)] {
                if shown.contains(&form) {
                    let (head, tail) =
                        (width.saturating_mul(6), form.len().saturating_sub(width.saturating_mul(4)));
                    let keep = |at: usize| at < head || at >= tail;
                    let masked: String =
                        form.char_indices().map(|(at, c)| if keep(at) { c } else { '*' }).collect();
                    *shown = shown.replace(&form, &masked);
                }
            }
        }
    }
}

fn leading_digits(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|c| !c.is_ascii_digit()).unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn collect(data: &[u8], depth: usize, found: &mut Vec<String>) {
    for object in Reader::new(data).map_while(Result::ok) {
        match object.tag {
            Tag::PAN | Tag::TRACK2 | Tag::TRACK2_CONTACTLESS => {
                found.push(text(leading_digits(hex(object.value).as_bytes())));
            }
            tag if tag.is_constructed() => {
                if let Some(depth) = depth.checked_sub(1) {
                    collect(object.value, depth, found);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: texts of hosts are read, and what is none stays visible as bytes.
    #[test]
    fn texts_of_hosts_are_readable() {
        assert_eq!(mask::runs(b"\xB9\xA4\\  ", printable), "工\\\\  ");
        assert_eq!(mask::runs(b"\xB9\\", printable), "筡", "a backslash may be half a character");
        assert_eq!(mask::runs(b"\xB9 \\", printable), "\\xB9 \\\\");
    }

    /// Goal: card objects are hidden wherever they stand; what cannot be read is hidden whole.
    #[test]
    fn card_objects_inside_chip_data_are_hidden() {
        let data = [0x5A, 8, 0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x78, 0x9A, 1, 0x26];
        assert_eq!(icc(&data), "5A08622588******56789A0126");
        let nested = [&[0x70, 13][..], &data].concat();
        assert_eq!(icc(&nested), "700D5A08622588******56789A0126");
        assert_eq!(icc(&[0x5A, 9, 1]), "******");
        let track = [0x57, 11, 0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x78, 0xD3, 0x01, 0x2F];
        assert_eq!(icc(&track), "570B622588******5678D*****");
    }

    /// Goal: a card number that the message names is hidden where nobody expects it.
    #[test]
    fn a_named_card_number_is_hidden_everywhere() {
        let known = Known::of([(De::TRACK2, &b"6225880012345678D3012"[..])].into_iter());
        let mut shown = "x00622588001234567800 36323235383830303132333435363738".to_owned();
        known.hide(&mut shown);
        assert_eq!(shown, "x00622588******567800 363232353838************35363738");
    }
}

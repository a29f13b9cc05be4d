//! The name of an application for people: its preferred name where the terminal has its alphabet, else its label.
//!
//! EMV 4.4 Book 1 §12.4, Book 3 Annex B3 (tags 50, 9F11, 9F12), Book 4 Annex A3 (code tables in tag 9F40); ISO 8859
//! parts 1 to 10. Spec: unverified.
use encoding_rs::Encoding;

use super::tlv::{Tag, TagStore};

/// Longest label, tags 50 and 9F12.
const LABEL_MAX: usize = 16;

/// The preferred name (tag 9F12) if the terminal supports the code table that the issuer names (tag 9F11), else the
/// label (tag 50). `None` if neither can be shown.
pub(super) fn label(objects: &TagStore, additional_capabilities: [u8; 5]) -> Option<String> {
    let text = |tag: Tag, table: u8| objects.value(tag).and_then(|value| decode(table, value));
    let table = objects.array(Tag::CODE_TABLE).map(|[table]| table);
    let preferred = table.filter(|table| supports(additional_capabilities, *table));
    // A label is of the common character set, which every table shares.
    preferred.and_then(|table| text(Tag::PREFERRED_NAME, table)).or_else(|| text(Tag::LABEL, 1))
}

/// Tables 1 to 8 are bits 1 to 8 of the last byte of tag 9F40, 9 and 10 bits 1 and 2 of the byte before.
fn supports([.., high, low]: [u8; 5], table: u8) -> bool {
    let bits = u16::from_be_bytes([high & 0x03, low]);
    matches!(table, 1..=10) && bits >> (table - 1) & 1 != 0
}

/// Text in a part of ISO 8859. `None` if it is empty, has control characters, or bytes that the part does not assign.
fn decode(part: u8, bytes: &[u8]) -> Option<String> {
    if !bytes.iter().all(|byte| matches!(byte, 0x20..=0x7E | 0xA0..=0xFF)) {
        return None;
    }
    let bytes = bytes.get(..LABEL_MAX).unwrap_or(bytes);
    // Parts 1 and 9 are known by their supersets here, which differ in control characters only.
    let encoding: &Encoding = match part {
        1 => encoding_rs::WINDOWS_1252,
        2 => encoding_rs::ISO_8859_2,
        3 => encoding_rs::ISO_8859_3,
        4 => encoding_rs::ISO_8859_4,
        5 => encoding_rs::ISO_8859_5,
        6 => encoding_rs::ISO_8859_6,
        7 => encoding_rs::ISO_8859_7,
        8 => encoding_rs::ISO_8859_8,
        9 => encoding_rs::WINDOWS_1254,
        10 => encoding_rs::ISO_8859_10,
        _ => return None,
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: Option<u8>, preferred: &[u8], capabilities: [u8; 5]) -> Option<String> {
        let mut objects = TagStore::default();
        objects.put(Tag::LABEL, b"DEBIT");
        objects.put(Tag::PREFERRED_NAME, preferred);
        if let Some(table) = table {
            objects.put(Tag::CODE_TABLE, &[table]);
        }
        label(&objects, capabilities)
    }

    /// Each table that the terminal has shows the preferred name in its alphabet.
    #[test]
    fn preferred_names_are_shown_in_their_alphabet() {
        let check = |table: u8, bytes: &[u8], expected: &str| {
            assert_eq!(shown(Some(table), bytes, [0, 0, 0, 3, 0xFF]).as_deref(), Some(expected), "{table}");
        };
        check(1, b"Cr\xE9dit", "Crédit");
        check(2, b"\xA3\xF3d\xBC", "Łódź");
        check(5, b"\xB4\xD5\xD1\xD5\xE2", "Дебет");
        check(7, b"\xD7\xF1\xDD\xF9\xF3\xE7", "Χρέωση");
        check(9, b"Kredi kart\xFD", "Kredi kartı");
    }

    /// Without the table, with one that the terminal lacks, or with bytes that it does not assign: the label.
    #[test]
    fn a_name_that_cannot_be_shown_leaves_the_label() {
        let all = [0, 0, 0, 3, 0xFF];
        let check = |table, bytes: &[u8], capabilities| {
            assert_eq!(shown(table, bytes, capabilities).as_deref(), Some("DEBIT"), "{table:?}");
        };
        check(None, b"Name", all);
        check(Some(0), b"Name", all);
        check(Some(11), b"Name", all);
        check(Some(5), b"Name", [0, 0, 0, 3, 0xEF]);
        check(Some(9), b"Name", [0, 0, 0, 2, 0xFF]);
        check(Some(1), b"Na\x85me", all);
        check(Some(3), b"\xA5", all);
        check(Some(1), b"   ", all);
    }

    /// Sixteen characters at most; without label and name there is nothing.
    #[test]
    fn labels_have_a_length() {
        let mut objects = TagStore::default();
        assert_eq!(label(&objects, [0; 5]), None);
        objects.put(Tag::LABEL, b"A LABEL THAT IS TOO LONG");
        assert_eq!(label(&objects, [0; 5]).as_deref(), Some("A LABEL THAT IS"));
    }
}

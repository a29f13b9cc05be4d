//! Data objects for people: names, lengths, values with card data masked. Used by `posctl decode tlv`.
//!
//! It does not judge values. EMV 4.4 Book 3 Annex A and B. Spec: unverified.

use super::results::{Aip, Capabilities, Tsi, Tvr};
use super::tlv::{DEPTH_MAX, Reader, Tag, Tlv, TlvError};

/// One object as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The tag; it prints as hexadecimal.
    pub tag: Tag,
    /// Its name, if the dictionary has it.
    pub name: Option<&'static str>,
    /// Length of the value in bytes.
    pub length: usize,
    /// The value in hexadecimal, masked with `*` where it is card data; `None` for a template.
    pub value: Option<String>,
    /// Names of the bits that are set, for bit fields that have names.
    pub bits: Vec<&'static str>,
    /// The objects inside a template.
    pub children: Vec<Self>,
}

/// Describes all objects in the bytes, with templates opened. With `unmask`, card data is shown in full.
///
/// # Errors
/// The first broken object, or more than [`DEPTH_MAX`] levels. Offsets count inside the innermost template.
pub fn describe(bytes: &[u8], unmask: bool) -> Result<Vec<Described>, TlvError> {
    level(bytes, unmask, 1)
}

fn level(bytes: &[u8], unmask: bool, depth: usize) -> Result<Vec<Described>, TlvError> {
    Reader::new(bytes)
        .map(|object| {
            let Tlv { tag, value, offset } = object?;
            let name = tag.name();
            let length = value.len();
            if !tag.is_constructed() {
                let value = Some(if unmask || !tag.is_sensitive() { hex(value) } else { masked(tag, value) });
                return Ok(Described { tag, name, length, value, bits: bits(object?), children: Vec::new() });
            }
            if depth >= DEPTH_MAX {
                return Err(TlvError::TooDeep { tag, offset });
            }
            let children = level(value, unmask, depth.saturating_add(1))?;
            Ok(Described { tag, name, length, value: None, bits: Vec::new(), children })
        })
        .collect()
}

fn bits(object: Tlv<'_>) -> Vec<&'static str> {
    match object.tag {
        Tag::TVR => object.value.try_into().map(|bytes| Tvr::new(bytes).names()),
        Tag::TSI => object.value.try_into().map(|bytes| Tsi::new(bytes).names()),
        Tag::AIP => object.value.try_into().map(|bytes| Aip::new(bytes).names()),
        Tag::CAPABILITIES => object.value.try_into().map(|bytes| Capabilities::new(bytes).names()),
        _ => return Vec::new(),
    }
    .unwrap_or_default()
}

/// Bytes as upper-case hexadecimal without spaces.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0').to_ascii_uppercase();
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]));
    text
}

/// A card number keeps six digits in front and four behind; everything else is hidden whole.
fn masked(tag: Tag, value: &[u8]) -> String {
    let digits = hex(value);
    let last = digits.trim_end_matches('F').len();
    let shown = |at: usize| tag == Tag::PAN && last >= 13 && (at < 6 || at.saturating_add(4) >= last);
    digits.chars().enumerate().map(|(at, digit)| if shown(at) { digit } else { '*' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn card_data_is_masked_unless_asked_for() {
        let record = [
            0x70, 0x15, 0x5A, 8, 0x62, 0x28, 0x48, 0, 0, 0, 0x12, 0x34, 0x57, 4, 0x62, 0x28, 0xD2, 0x91,
            0x95, 1, 0x80, 0, 0,
        ];
        let values = |unmask| -> Vec<_> {
            describe(&record, unmask)
                .unwrap()
                .remove(0)
                .children
                .into_iter()
                .filter_map(|c| c.value)
                .collect()
        };
        assert_eq!(values(false), ["622848******1234", "********", "80"]);
        assert_eq!(values(true), ["6228480000001234", "6228D291", "80"]);
    }

    #[test]
    fn names_bits_and_children_are_told() {
        let told = describe(&[0x77, 7, 0x95, 5, 0x80, 0, 4, 0, 0], false).unwrap();
        assert_eq!(told[0].name, Some("Response message template format 2"));
        assert_eq!(told[0].value, None);
        let tvr = &told[0].children[0];
        assert_eq!((tvr.length, tvr.value.as_deref()), (5, Some("8000040000")));
        assert_eq!(tvr.bits, ["offline data authentication was not performed", "online PIN entered"]);
    }

    #[test]
    fn templates_are_opened_to_a_limit() {
        let mut nested = vec![0x50, 0];
        for _ in 0..7 {
            nested = super::super::tlv::encode(Tag::RECORD_TEMPLATE, &nested).unwrap();
        }
        assert!(describe(&nested, false).is_ok());
        nested = super::super::tlv::encode(Tag::RECORD_TEMPLATE, &nested).unwrap();
        assert!(matches!(describe(&nested, false), Err(TlvError::TooDeep { .. })));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_described_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            if let Ok(told) = describe(&bytes, false) {
                prop_assert!(told.len() <= bytes.len());
            }
        }
    }
}

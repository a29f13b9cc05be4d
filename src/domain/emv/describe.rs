//! Data objects for people: names, lengths, values with card data masked, and what the values mean.
//!
//! It does not judge values, and shows what can be read of broken data up to the failure. EMV 4.4 Book 3 Annex A and B.
//! Spec: unverified.
use super::meaning;
use super::tag::{Entry, Format, entry};
use super::tlv::{DEPTH_MAX, Reader, Tag, Tlv, TlvError};
use crate::domain::mask::{self, CardData};
use crate::domain::text::Bilingual;

pub use crate::domain::mask::hex;

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
    /// What the value says, a line each; empty where nothing is known or the value is masked.
    pub meaning: Vec<Bilingual>,
    /// The objects inside a template.
    pub children: Vec<Self>,
}

impl Described {
    /// Its name in both languages.
    #[must_use]
    pub fn title(&self) -> Option<Bilingual> {
        entry(self.tag).map(|entry| {
            let zh = if entry.zh.is_empty() { entry.name } else { entry.zh };
            Bilingual::of(zh, entry.name)
        })
    }
}

/// What was read, and why it ended early if it did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// The objects before the failure, those of an unfinished template in it.
    pub objects: Vec<Described>,
    /// A status word that stood behind the objects, as in a card's answer.
    pub status: Option<u16>,
    /// The failure; its offset counts from the first byte given.
    pub failure: Option<TlvError>,
}

/// Describes all objects in the bytes, with templates opened, as far as they can be read.
#[must_use]
pub fn describe(bytes: &[u8], show: CardData) -> Objects {
    let mut told = Objects::default();
    let mut currency = None;
    told.failure = level(bytes, 0, 1, show, &mut told.objects, &mut currency).err();
    // Tag 90 without a value behind other objects is 9000, the good end of a card's answer.
    let ends_well = told.failure.is_none() && told.objects.len() > 1 && bytes.ends_with(&[0x90, 0]);
    if ends_well && told.objects.pop_if(|last| last.tag == Tag(0x90) && last.length == 0).is_some() {
        told.status = Some(0x9000);
    }
    told
}

fn level(
    bytes: &[u8],
    base: usize,
    depth: usize,
    show: CardData,
    into: &mut Vec<Described>,
    currency: &mut Option<[u8; 2]>,
) -> Result<(), TlvError> {
    let code = Reader::new(bytes).flatten().find(|object| object.tag == Tag::CURRENCY);
    *currency = code.and_then(|object| object.value.try_into().ok()).or(*currency);
    for object in Reader::new(bytes) {
        let object = object.map_err(|error| error.shifted(base))?;
        let Tlv { tag, value, offset, start } = object;
        let mut told = Described {
            tag,
            name: tag.name(),
            length: value.len(),
            value: None,
            meaning: Vec::new(),
            children: Vec::new(),
        };
        if !tag.is_constructed() {
            let text = if show == CardData::Clear { hex(value) } else { masked(tag, value) };
            if !text.contains('*') {
                told.meaning = meaning::of(tag, value, *currency);
            }
            told.value = Some(text);
            into.push(told);
            continue;
        }
        let below = if depth >= DEPTH_MAX {
            Err(TlvError::TooDeep { tag, offset: base.saturating_add(offset) })
        } else {
            let (base, depth) = (base.saturating_add(start), depth.saturating_add(1));
            level(value, base, depth, show, &mut told.children, currency)
        };
        into.push(told);
        below?;
    }
    Ok(())
}

/// The value of a data object in hexadecimal with card data hidden: a card number keeps six digits in front and four
/// behind, what is sensitive otherwise is hidden whole, and elsewhere the middle of what may be a card number goes.
#[must_use]
pub fn masked(tag: Tag, value: &[u8]) -> String {
    let text = hex(value);
    match tag {
        Tag::PAN => {
            let digits = text.trim_end_matches('F');
            mask::number(digits) + &"F".repeat(text.len().saturating_sub(digits.len()))
        }
        Tag::TRACK2 | Tag::TRACK2_CONTACTLESS => mask::track(&text),
        tag if tag.is_sensitive() => "*".repeat(text.len()),
        tag => match entry(tag) {
            Some(Entry { format: Format::A | Format::An | Format::Ans, .. }) => mask::runs(value, hex),
            // Too short for a card number; the expiry of a key as eight characters.
            Some(_) if value.len() <= 6 || (tag == Tag(0xDF05) && value.starts_with(b"20")) => text,
            Some(_) => mask::cards(&text),
            None => mask::hex_runs(value),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn card_data_is_masked_unless_asked_for() {
        let record = [
            0x70, 0x18, 0x5A, 8, 0x62, 0x28, 0x48, 0, 0, 0, 0x12, 0x34, 0x57, 4, 0x62, 0x28, 0xD2, 0x91,
            0x9F, 0x36, 2, 0, 1, 0x95, 0, 0,
        ];
        let values = |show| -> Vec<_> {
            let mut told = describe(&record, show).objects;
            told.remove(0).children.into_iter().filter_map(|c| c.value).collect()
        };
        assert_eq!(values(CardData::Masked), ["622848******1234", "****D***", "0001", ""]);
        assert_eq!(values(CardData::Clear), ["6228480000001234", "6228D291", "0001", ""]);
    }

    #[test]
    fn names_meanings_and_children_are_told() {
        let told = describe(&[0x77, 7, 0x95, 5, 0x80, 0, 4, 0, 0], CardData::Masked).objects;
        assert_eq!(told[0].name, Some("Response message template format 2"));
        assert_eq!(told[0].value, None);
        let tvr = &told[0].children[0];
        assert_eq!((tvr.length, tvr.value.as_deref()), (5, Some("8000040000")));
        let lines: Vec<_> = tvr.meaning.iter().map(|line| line.en.as_str()).collect();
        assert_eq!(lines, ["offline data authentication was not performed", "online PIN entered"]);
        assert_eq!(tvr.title().unwrap().zh, "终端验证结果");
    }

    #[test]
    fn templates_are_opened_to_a_limit() {
        let mut nested = vec![0x50, 0];
        for _ in 0..7 {
            nested = super::super::tlv::encode(Tag::RECORD_TEMPLATE, &nested).unwrap();
        }
        assert_eq!(describe(&nested, CardData::Masked).failure, None);
        nested = super::super::tlv::encode(Tag::RECORD_TEMPLATE, &nested).unwrap();
        let failure = describe(&nested, CardData::Masked).failure;
        assert_eq!(failure, Some(TlvError::TooDeep { tag: Tag::RECORD_TEMPLATE, offset: 14 }));
    }

    /// Goal: broken data shows what stands before the failure, and where in the input it broke.
    #[test]
    fn broken_data_is_told_up_to_the_failure() {
        let told = describe(&[0x9C, 1, 0, 0x70, 5, 0x95, 1, 0, 0x9A, 3], CardData::Masked);
        assert_eq!(told.objects.len(), 2);
        assert_eq!(told.objects[1].children.len(), 1);
        let failure = TlvError::ValueCut { tag: Tag::DATE, offset: 8, needed: 3, left: 0 };
        assert_eq!(told.failure, Some(failure));
        let answer = describe(&[0x9F, 0x36, 2, 0, 1, 0x90, 0], CardData::Masked);
        assert_eq!((answer.objects.len(), answer.status), (1, Some(0x9000)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_described_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let told = describe(&bytes, CardData::Masked);
            prop_assert!(told.objects.len() <= bytes.len());
        }
    }
}

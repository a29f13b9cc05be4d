//! Data object lists: which objects, in which lengths, a card wants in a command. EMV 4.4 Book 3 §5.4.
//!
//! Where the values come from is the caller's business. Spec: unverified.
use super::tag::{self, Format};
use super::tlv::{Reader, Tag, TlvError};

/// The most data that a list may ask for: what fits into one command beside its template.
pub const FILLED_MAX: usize = 252;

/// One entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DolEntry {
    /// The object.
    pub tag: Tag,
    /// How many bytes of it.
    pub length: u8,
}

/// Why a list cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DolError {
    /// A broken list.
    #[error(transparent)]
    Form(#[from] TlvError),
    /// More data than a command can carry.
    #[error("the list asks for {0} bytes, at most {FILLED_MAX} fit")]
    TooLong(usize),
}

/// The entries of a list.
///
/// # Errors
/// [`DolError::Form`] for a cut entry, [`DolError::TooLong`] if its data would not fit into a command.
pub fn entries(list: &[u8]) -> Result<Vec<DolEntry>, DolError> {
    let mut reader = Reader::new(list);
    let mut entries = Vec::new();
    let mut total = 0_usize;
    while let Some(entry) = reader.dol_entry()? {
        total = total.saturating_add(usize::from(entry.length));
        entries.push(entry);
    }
    if total > FILLED_MAX { Err(DolError::TooLong(total)) } else { Ok(entries) }
}

/// The command data that a list asks for. Objects that `value` does not know become zeros, and so do
/// templates.
///
/// # Errors
/// As [`entries`].
pub fn fill<'a>(list: &[u8], value: impl Fn(Tag) -> Option<&'a [u8]>) -> Result<Vec<u8>, DolError> {
    let mut filled = Vec::new();
    for DolEntry { tag, length } in entries(list)? {
        let known = value(tag).filter(|_| !tag.is_constructed());
        let format = tag::entry(tag).map_or(Format::B, |entry| entry.format);
        fit(&mut filled, known.unwrap_or_default(), usize::from(length), format);
    }
    Ok(filled)
}

/// Brings a value to a length: numbers keep their right end, all else keeps its left end. EMV 4.4 Book 3
/// §5.4.
fn fit(out: &mut Vec<u8>, value: &[u8], length: usize, format: Format) {
    let (missing, surplus) = (length.saturating_sub(value.len()), value.len().saturating_sub(length));
    if format == Format::N {
        out.extend(core::iter::repeat_n(0, missing));
        out.extend(value.iter().skip(surplus));
    } else {
        let filler = if format == Format::Cn && !value.is_empty() { 0xFF } else { 0 };
        out.extend(value.iter().take(length));
        out.extend(core::iter::repeat_n(filler, missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(tag: Tag, value: &[u8], length: u8, expected: &[u8]) {
        let list = [tag.bytes(), vec![length]].concat();
        let filled = fill(&list, |asked| (asked == tag).then_some(value)).unwrap();
        assert_eq!(filled, expected, "{tag} in {length}");
    }

    #[test]
    fn values_are_padded_and_cut_by_their_format() {
        check(Tag::AMOUNT, &[0, 0, 0, 0, 0x12, 0x50], 6, &[0, 0, 0, 0, 0x12, 0x50]);
        check(Tag::AMOUNT, &[0, 1, 0x23, 0x45, 0x67, 0x89], 3, &[0x45, 0x67, 0x89]);
        check(Tag::AMOUNT_OTHER, &[9, 8, 7, 6, 5, 4], 7, &[0, 9, 8, 7, 6, 5, 4]);
        check(Tag::TRANSACTION_TYPE, &[9], 3, &[0, 0, 9]);
        check(Tag::TVR, &[1, 2, 3, 4, 5], 6, &[1, 2, 3, 4, 5, 0]);
        check(Tag::UNPREDICTABLE_NUMBER, &[0xDE, 0xAD, 0xBE, 0xEF], 3, &[0xDE, 0xAD, 0xBE]);
        check(Tag::PAN, &[0x62, 0x28], 4, &[0x62, 0x28, 0xFF, 0xFF]);
        check(Tag::DATE, &[0x26, 0x11, 0x22], 0, &[]);
        check(Tag::FCI_TEMPLATE, &[1, 2], 2, &[0, 0]);
        check(Tag(0x9F7F), &[1], 2, &[1, 0]);
    }

    #[test]
    fn unknown_objects_become_zeros() {
        let list = [0x9F, 0x66, 4, 0x5A, 2, 0x9C, 1];
        let filled = fill(&list, |tag| (tag == Tag::TRANSACTION_TYPE).then_some([0x31].as_slice())).unwrap();
        assert_eq!(filled, [0, 0, 0, 0, 0, 0, 0x31]);
    }

    #[test]
    fn broken_and_greedy_lists_are_refused() {
        let nothing = |_| None;
        assert_eq!(
            fill(&[0x95], nothing),
            Err(DolError::Form(TlvError::LengthCut { tag: Tag::TVR, offset: 0 }))
        );
        assert_eq!(fill(&[0x9C, 1, 0x9F], nothing), Err(DolError::Form(TlvError::TagCut { offset: 2 })));
        assert_eq!(fill(&[0x95, 200, 0x9A, 53], nothing), Err(DolError::TooLong(253)));
    }

    proptest! {
        #[test]
        fn arbitrary_lists_fill_to_the_length_they_ask_for(
            list in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Ok(filled) = fill(&list, |_| Some([1, 2, 3].as_slice())) {
                let asked = entries(&list).unwrap();
                let total: usize = asked.iter().map(|entry| usize::from(entry.length)).sum();
                prop_assert_eq!(filled.len(), total);
            }
        }
    }
}

//! The data object lists of the simulated card, from the card's side.
use crate::domain::emv::tlv::{Tag, TagStore};

/// The entries of a data object list of this card: tags of one or two bytes, short lengths.
pub(super) fn entries(list: &[u8]) -> impl Iterator<Item = (Tag, usize)> {
    let mut rest = list;
    core::iter::from_fn(move || {
        let (tag, length, tail) = match rest {
            [a, b, length, tail @ ..] if a & 0x1F == 0x1F => {
                (u32::from(*a) << 8 | u32::from(*b), *length, tail)
            }
            [a, length, tail @ ..] if a & 0x1F != 0x1F => (u32::from(*a), *length, tail),
            _ => return None,
        };
        rest = tail;
        Some((Tag(tag), usize::from(length)))
    })
}

/// Cuts the terminal's data by a list; `None` if the lengths do not add up.
pub(super) fn read(list: &[u8], data: &[u8]) -> Option<TagStore> {
    let mut tags = TagStore::default();
    let mut rest = data;
    for (tag, length) in entries(list) {
        let (value, tail) = rest.split_at_checked(length)?;
        tags.put(tag, value);
        rest = tail;
    }
    rest.is_empty().then_some(tags)
}

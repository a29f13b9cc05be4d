//! BER-TLV reader and writer, and the store of data objects. EMV 4.4 Book 3 Annex B.
//!
//! Tags have at most three bytes, lengths at most three (65535). The reader never allocates and never
//! descends by itself; who descends counts against [`DEPTH_MAX`]. What tags mean is in `tag.rs`. Spec:
//! unverified.
use super::dol::DolEntry;
use core::fmt;
use zeroize::Zeroize;

/// How deep templates may nest. Choice: cards use four levels (6F, A5, BF0C, 61).
pub const DEPTH_MAX: usize = 8;

/// The longest value that a length of three bytes can tell.
pub const VALUE_MAX: usize = 0xFFFF;

/// A tag of one to three bytes as the number its bytes spell: `0x9F26`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl Tag {
    /// True for a template: bit 6 of the first byte. EMV 4.4 Book 3 Annex B1.
    #[must_use]
    pub const fn is_constructed(self) -> bool {
        let [_, a, b, c] = self.0.to_be_bytes();
        let first = if a != 0 {
            a
        } else if b != 0 {
            b
        } else {
            c
        };
        first & 0x20 != 0
    }

    /// One to three bytes, without leading zeros.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        let bytes = self.0.to_be_bytes();
        let kept: Vec<u8> = bytes.into_iter().skip_while(|b| *b == 0).collect();
        if kept.is_empty() { vec![0] } else { kept }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why bytes are not BER-TLV, or a store refuses an object. Never quotes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The bytes end inside a tag.
    #[error("the tag at byte {offset} is cut off")]
    TagCut {
        /// Counted from the start of the bytes given.
        offset: usize,
    },
    /// A tag of more than three bytes.
    #[error("the tag at byte {offset} has more than 3 bytes")]
    TagTooLong {
        /// Counted from the start of the bytes given.
        offset: usize,
    },
    /// The bytes end inside a length.
    #[error("tag {tag} at byte {offset}: the length is cut off")]
    LengthCut {
        /// The tag.
        tag: Tag,
        /// Where the tag begins.
        offset: usize,
    },
    /// An indefinite length, or one of more than three bytes.
    #[error("tag {tag} at byte {offset}: the length is indefinite or has more than 3 bytes")]
    LengthForm {
        /// The tag.
        tag: Tag,
        /// Where the tag begins.
        offset: usize,
    },
    /// The value is longer than what is left.
    #[error("tag {tag} at byte {offset}: needs {needed} bytes, {left} left")]
    ValueCut {
        /// The tag.
        tag: Tag,
        /// Where the tag begins.
        offset: usize,
        /// Bytes that the length tells.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// More levels than [`DEPTH_MAX`].
    #[error("tag {tag} at byte {offset}: more than {DEPTH_MAX} levels")]
    TooDeep {
        /// The tag.
        tag: Tag,
        /// Where the tag begins.
        offset: usize,
    },
    /// The store holds the tag already.
    #[error("tag {tag} appears twice")]
    Duplicate {
        /// The tag.
        tag: Tag,
    },
    /// A value to be written has more than [`VALUE_MAX`] bytes.
    #[error("tag {tag}: {length} bytes are more than {VALUE_MAX}")]
    ValueTooLong {
        /// The tag.
        tag: Tag,
        /// Its length.
        length: usize,
    },
}

impl TlvError {
    /// The same error with its offset counted from a place so many bytes earlier.
    #[must_use]
    pub const fn shifted(self, by: usize) -> Self {
        let mut error = self;
        match &mut error {
            Self::TagCut { offset }
            | Self::TagTooLong { offset }
            | Self::LengthCut { offset, .. }
            | Self::LengthForm { offset, .. }
            | Self::ValueCut { offset, .. }
            | Self::TooDeep { offset, .. } => *offset = offset.saturating_add(by),
            Self::Duplicate { .. } | Self::ValueTooLong { .. } => {}
        }
        error
    }

    /// Where the failure is, if it is in bytes that were read.
    #[must_use]
    pub const fn offset(&self) -> Option<usize> {
        match self {
            Self::TagCut { offset }
            | Self::TagTooLong { offset }
            | Self::LengthCut { offset, .. }
            | Self::LengthForm { offset, .. }
            | Self::ValueCut { offset, .. }
            | Self::TooDeep { offset, .. } => Some(*offset),
            Self::Duplicate { .. } | Self::ValueTooLong { .. } => None,
        }
    }
}

/// One data object inside the bytes it was read from. `Debug` shows tag and length only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag.
    pub tag: Tag,
    /// The value; for a template the objects inside it.
    pub value: &'a [u8],
    /// Where the tag begins in the bytes given to the [`Reader`].
    pub offset: usize,
    /// Where the value begins in them.
    pub start: usize,
}

impl<'a> Tlv<'a> {
    /// The objects inside this template.
    #[must_use]
    pub const fn children(&self) -> Reader<'a> {
        Reader::new(self.value)
    }
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.tag, self.value.len())
    }
}

/// Reads the objects of one level, one after the other. After an error it is at its end.
///
/// Bytes `00` between objects mean nothing and are skipped. EMV 4.4 Book 3 Annex B1.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first byte.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, offset: 0 }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(1);
        Some(*first)
    }

    fn tag(&mut self) -> Result<Option<(Tag, usize)>, TlvError> {
        let mut first = 0;
        let mut offset = self.offset;
        while first == 0 {
            offset = self.offset;
            match self.byte() {
                Some(byte) => first = byte,
                None => return Ok(None),
            }
        }
        let mut number = u32::from(first);
        if first & 0x1F != 0x1F {
            return Ok(Some((Tag(number), offset)));
        }
        for _ in 0..2 {
            let next = self.byte().ok_or(TlvError::TagCut { offset })?;
            number = number << 8 | u32::from(next);
            if next & 0x80 == 0 {
                return Ok(Some((Tag(number), offset)));
            }
        }
        Err(TlvError::TagTooLong { offset })
    }

    fn length(&mut self, tag: Tag, offset: usize) -> Result<usize, TlvError> {
        let cut = TlvError::LengthCut { tag, offset };
        match self.byte().ok_or(cut)? {
            short @ 0..=0x7F => Ok(usize::from(short)),
            0x81 => self.byte().map(usize::from).ok_or(cut),
            0x82 => {
                let high = self.byte().ok_or(cut)?;
                let low = self.byte().ok_or(cut)?;
                Ok(usize::from(u16::from_be_bytes([high, low])))
            }
            _ => Err(TlvError::LengthForm { tag, offset }),
        }
    }

    /// Reads a tag and one length byte without a value. EMV 4.4 Book 3 §5.4.
    pub(super) fn dol_entry(&mut self) -> Result<Option<DolEntry>, TlvError> {
        let Some((tag, offset)) = self.tag()? else { return Ok(None) };
        let length = self.byte().ok_or(TlvError::LengthCut { tag, offset })?;
        Ok(Some(DolEntry { tag, length }))
    }

    fn object(&mut self) -> Result<Option<Tlv<'a>>, TlvError> {
        let Some((tag, offset)) = self.tag()? else { return Ok(None) };
        let needed = self.length(tag, offset)?;
        let left = self.rest.len();
        let (value, rest) =
            self.rest.split_at_checked(needed).ok_or(TlvError::ValueCut { tag, offset, needed, left })?;
        let start = self.offset;
        self.rest = rest;
        self.offset = start.saturating_add(needed);
        Ok(Some(Tlv { tag, value, offset, start }))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Tlv<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let object = self.object().transpose();
        if matches!(object, Some(Err(_))) {
            self.rest = &[];
        }
        object
    }
}

/// Reads bytes that must be exactly one object.
///
/// # Errors
/// Broken TLV. `None` if there is no object, or something follows it.
pub fn single(input: &[u8]) -> Result<Option<Tlv<'_>>, TlvError> {
    let mut reader = Reader::new(input);
    let first = reader.next().transpose()?;
    match reader.next().transpose()? {
        None => Ok(first),
        Some(_) => Ok(None),
    }
}

/// Appends one object, with the shortest form of its length.
///
/// # Errors
/// [`TlvError::ValueTooLong`]; nothing is appended then.
pub fn write(out: &mut Vec<u8>, tag: Tag, value: &[u8]) -> Result<(), TlvError> {
    let length = value.len();
    let [high, low] =
        u16::try_from(length).map_err(|_| TlvError::ValueTooLong { tag, length })?.to_be_bytes();
    out.extend(tag.bytes());
    match (high, low) {
        (0, 0..=0x7F) => out.push(low),
        (0, _) => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend_from_slice(value);
    Ok(())
}

/// One object as bytes; a template is made from the bytes of its children.
///
/// # Errors
/// [`TlvError::ValueTooLong`].
pub fn encode(tag: Tag, value: &[u8]) -> Result<Vec<u8>, TlvError> {
    let mut out = Vec::with_capacity(value.len().saturating_add(6));
    write(&mut out, tag, value)?;
    Ok(out)
}

/// Data objects by tag. `Debug` shows tags and lengths only.
///
/// All values stand in one buffer: a store is copied at each step that tells the world about the card, and forty small
/// buffers would cost forty allocations each time. The buffer is wiped when it is given up.
#[derive(Clone, Default)]
pub struct TagStore {
    /// By rising tag.
    slots: Vec<Slot>,
    bytes: Vec<u8>,
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Slot {
    tag: Tag,
    at: usize,
    length: usize,
}

/// First size of the buffer: a card and its terminal fill about so much.
const BUFFER: usize = 512;
/// So many objects that is.
const SLOTS: usize = 64;

impl TagStore {
    fn find(&self, tag: Tag) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&tag, |slot| slot.tag)
    }

    fn of(&self, slot: Slot) -> Option<&[u8]> {
        self.bytes.get(slot.at..slot.at.checked_add(slot.length)?)
    }

    /// The value of a tag.
    #[must_use]
    pub fn value(&self, tag: Tag) -> Option<&[u8]> {
        let at = self.find(tag).ok()?;
        self.of(*self.slots.get(at)?)
    }

    /// The value of a tag whose length is fixed; `None` if it is absent or has another length.
    #[must_use]
    pub fn array<const N: usize>(&self, tag: Tag) -> Option<[u8; N]> {
        self.value(tag)?.try_into().ok()
    }

    /// True if the tag is there, also with an empty value.
    #[must_use]
    pub fn contains(&self, tag: Tag) -> bool {
        self.find(tag).is_ok()
    }

    /// Puts a value in, replacing an older one.
    pub fn put(&mut self, tag: Tag, value: &[u8]) {
        let slot = Slot { tag, at: self.bytes.len(), length: value.len() };
        match self.find(tag) {
            Ok(at) => {
                self.wipe(at);
                if let Some(known) = self.slots.get_mut(at) {
                    *known = slot;
                }
            }
            Err(at) => {
                if self.slots.capacity() == 0 {
                    self.slots.reserve(SLOTS);
                }
                self.slots.insert(at, slot);
            }
        }
        self.make_room(value.len());
        self.bytes.extend_from_slice(value);
    }

    /// A buffer that grows by itself would leave its old content behind.
    fn make_room(&mut self, more: usize) {
        let needed = self.bytes.len().saturating_add(more);
        if needed > self.bytes.capacity() {
            let mut bytes = Vec::with_capacity(needed.saturating_mul(2).max(BUFFER));
            bytes.extend_from_slice(&self.bytes);
            self.bytes.zeroize();
            self.bytes = bytes;
        }
    }

    fn wipe(&mut self, at: usize) {
        if let Some(Slot { at, length, .. }) = self.slots.get(at).copied()
            && let Some(old) = self.bytes.get_mut(at..at.saturating_add(length))
        {
            old.zeroize();
        }
    }

    /// Puts a value in that must not be there yet.
    ///
    /// # Errors
    /// [`TlvError::Duplicate`]; the older value stays.
    pub fn put_new(&mut self, tag: Tag, value: &[u8]) -> Result<(), TlvError> {
        if self.contains(tag) {
            return Err(TlvError::Duplicate { tag });
        }
        self.put(tag, value);
        Ok(())
    }

    /// Both together, with room for a few more; where both have a tag, that of `over` counts.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let mut both = Self {
            slots: Vec::with_capacity(self.slots.len().saturating_add(over.slots.len()).saturating_add(8)),
            bytes: Vec::with_capacity(self.bytes.len().saturating_add(over.bytes.len()).saturating_add(32)),
        };
        let mut under = self.slots.iter().peekable();
        for slot in &over.slots {
            while let Some(lower) = under.next_if(|lower| lower.tag < slot.tag) {
                both.append(self, *lower);
            }
            under.next_if(|same| same.tag == slot.tag);
            both.append(over, *slot);
        }
        under.for_each(|rest| both.append(self, *rest));
        both
    }

    /// A value of another store, under a tag above all others here.
    fn append(&mut self, from: &Self, slot: Slot) {
        let Some(value) = from.of(slot) else { return };
        self.slots.push(Slot { at: self.bytes.len(), ..slot });
        self.bytes.extend_from_slice(value);
    }

    /// Takes a tag out.
    pub fn remove(&mut self, tag: Tag) {
        if let Ok(at) = self.find(tag) {
            self.wipe(at);
            self.slots.remove(at);
        }
    }

    /// All objects, by rising tag number.
    pub fn iter(&self) -> impl Iterator<Item = (Tag, &[u8])> {
        self.slots.iter().filter_map(|slot| Some((slot.tag, self.of(*slot)?)))
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True for a store without objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl PartialEq for TagStore {
    /// The same objects; in which order they came does not count.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for TagStore {}

impl Drop for TagStore {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for TagStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(tag, value)| (tag, value.len()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goal: a store is a map, in whatever order, length and repetition its objects come.
    #[test]
    fn a_store_keeps_the_last_value_of_each_tag() {
        let mut store = TagStore::default();
        let mut model = std::collections::BTreeMap::new();
        for step in 0..400_usize {
            let tag = Tag(u32::try_from(step * 7 % 23).unwrap());
            let value = vec![u8::try_from(step % 251).unwrap(); step % 13];
            if step % 5 == 4 {
                store.remove(tag);
                model.remove(&tag);
            } else {
                store.put(tag, &value);
                model.insert(tag, value);
            }
            assert!(store.iter().eq(model.iter().map(|(tag, value)| (*tag, value.as_slice()))));
            assert_eq!(store.len(), model.len());
        }
        assert_eq!(store.clone(), store);
        let mut other = TagStore::default();
        model.iter().rev().for_each(|(tag, value)| other.put(*tag, value));
        assert_eq!(other, store);
    }

    fn read(input: &[u8]) -> Result<Vec<(u32, Vec<u8>)>, TlvError> {
        Reader::new(input).map(|tlv| tlv.map(|tlv| (tlv.tag.0, tlv.value.to_vec()))).collect()
    }

    #[test]
    fn objects_are_read_in_all_forms_of_tag_and_length() {
        let check =
            |input: &[u8], expected: &[(u32, Vec<u8>)]| assert_eq!(read(input), Ok(expected.to_vec()));
        check(&[], &[]);
        check(&[0x5A, 2, 0x12, 0x34], &[(0x5A, vec![0x12, 0x34])]);
        check(&[0x9F, 0x26, 1, 7, 0x82, 0], &[(0x9F26, vec![7]), (0x82, vec![])]);
        check(&[0xDF, 0x81, 0x29, 1, 7], &[(0xDF_8129, vec![7])]);
        check(&[0x50, 0x81, 1, 7], &[(0x50, vec![7])]);
        check(&[0x50, 0x82, 0, 1, 7], &[(0x50, vec![7])]);
        check(&[0, 0, 0x50, 1, 7, 0, 0x87, 1, 1, 0], &[(0x50, vec![7]), (0x87, vec![1])]);
    }

    #[test]
    fn broken_objects_name_the_place_and_the_tag() {
        let check = |input: &[u8], error| assert_eq!(read(input), Err(error));
        check(&[0x50, 0, 0x9F], TlvError::TagCut { offset: 2 });
        check(&[0x9F, 0x81, 0x82, 0x03, 0], TlvError::TagTooLong { offset: 0 });
        check(&[0x9F, 0x26], TlvError::LengthCut { tag: Tag(0x9F26), offset: 0 });
        check(&[0x50, 0x82, 1], TlvError::LengthCut { tag: Tag(0x50), offset: 0 });
        check(&[0x50, 0x80, 0, 0], TlvError::LengthForm { tag: Tag(0x50), offset: 0 });
        check(&[0x50, 0x83, 0, 0, 1, 7], TlvError::LengthForm { tag: Tag(0x50), offset: 0 });
        check(&[0, 0x50, 3, 1, 2], TlvError::ValueCut { tag: Tag(0x50), offset: 1, needed: 3, left: 2 });
    }

    #[test]
    fn a_reader_is_at_its_end_after_an_error() {
        let mut reader = Reader::new(&[0x50, 3, 1]);
        assert!(matches!(reader.next(), Some(Err(_))));
        assert!(reader.next().is_none());
    }

    /// Two stores laid over one another hold the objects of both, and the upper one's where both have one.
    #[test]
    fn stores_are_laid_over_one_another() {
        let store = |objects: &[(Tag, &[u8])]| {
            let mut store = TagStore::default();
            objects.iter().for_each(|(tag, value)| store.put(*tag, value));
            store
        };
        let card = store(&[(Tag(0x9F36), &[1]), (Tag(0x5A), &[2, 2]), (Tag(0x9F02), &[3])]);
        let own = store(&[(Tag(0x9F02), &[4; 6]), (Tag(0x95), &[5]), (Tag(0xDF31), &[])]);
        let expected: [(Tag, &[u8]); 5] = [
            (Tag(0x5A), &[2, 2]),
            (Tag(0x95), &[5]),
            (Tag(0x9F02), &[4; 6]),
            (Tag(0x9F36), &[1]),
            (Tag(0xDF31), &[]),
        ];
        assert!(card.overlaid(&own).iter().eq(expected));
        assert!(own.overlaid(&TagStore::default()).iter().eq(own.iter()));
        assert!(TagStore::default().overlaid(&own).iter().eq(own.iter()));
    }

    #[test]
    fn a_store_refuses_a_second_value_and_lists_by_tag() {
        let mut store = TagStore::default();
        store.put_new(Tag(0x9F26), &[1]).unwrap();
        store.put_new(Tag(0x5A), &[2, 3]).unwrap();
        assert_eq!(store.put_new(Tag(0x5A), &[9]), Err(TlvError::Duplicate { tag: Tag(0x5A) }));
        assert_eq!(store.value(Tag(0x5A)), Some([2, 3].as_slice()));
        assert_eq!(store.array::<2>(Tag(0x5A)), Some([2, 3]));
        assert_eq!(store.array::<3>(Tag(0x5A)), None);
        assert_eq!(store.iter().map(|(tag, _)| tag.0).collect::<Vec<_>>(), [0x5A, 0x9F26]);
        assert_eq!(format!("{store:?}"), "{5A: 2, 9F26: 1}");
    }

    #[test]
    fn templates_are_told_by_the_first_byte() {
        let check = |tag, expected| assert_eq!(Tag(tag).is_constructed(), expected, "{tag:X}");
        check(0x70, true);
        check(0x6F, true);
        check(0xBF0C, true);
        check(0x5A, false);
        check(0x9F26, false);
        check(0xDF_8129, false);
        check(0xFF_8101, true);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            value in proptest::collection::vec(any::<u8>(), 0..700), which in 0..4_usize
        ) {
            let tag = [Tag(0x5A), Tag(0x9F26), Tag(0xDF_8129), Tag(0x70)][which];
            let bytes = encode(tag, &value).unwrap();
            let read = single(&bytes).unwrap().map(|tlv| (tlv.tag, tlv.value.to_vec()));
            prop_assert_eq!(read, Some((tag, value)));
        }

        #[test]
        fn arbitrary_bytes_end_in_objects_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            prop_assert!(Reader::new(&bytes).count() <= bytes.len());
        }
    }
}

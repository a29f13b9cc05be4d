//! BER-TLV reader and writer, and the store of data objects. EMV 4.4 Book 3 Annex B.
use core::fmt;
use std::collections::BTreeMap;
use zeroize::Zeroize;

/// A tag of one to three bytes as the number its bytes spell: `0x9F26`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.0)
    }
}

/// Data objects by tag. `Debug` shows tags and lengths only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TagStore(BTreeMap<Tag, Vec<u8>>);

impl TagStore {
    /// The value of a tag.
    #[must_use]
    pub fn value(&self, tag: Tag) -> Option<&[u8]> {
        self.0.get(&tag).map(Vec::as_slice)
    }

    /// Puts a value in, replacing an older one.
    pub fn put(&mut self, tag: Tag, value: &[u8]) {
        if let Some(mut old) = self.0.insert(tag, value.to_vec()) {
            old.zeroize();
        }
    }
}

impl Drop for TagStore {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for TagStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(tag, value)| (tag, value.len()))).finish()
    }
}

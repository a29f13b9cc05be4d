//! A message as data: type and elements by number, without any encoding.
use super::element::De;
use core::fmt;
use std::collections::BTreeMap;
use zeroize::Zeroize;

/// An ISO 8583 message: message type indicator (MTI) and data elements in ascending order.
///
/// A value is a row of bytes: ASCII digits for packed elements (`D` and other upper-case hexadecimal digits
/// in tracks), characters for texts, the bytes themselves for binary elements. `Debug` shows numbers and
/// lengths only; the values are wiped when the message is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    mti: String,
    fields: BTreeMap<De, Vec<u8>>,
    /// Bits of the elements whose filler nibble came as F, so that packing gives back what was unpacked.
    pub(super) filled_with_f: u64,
}

impl Message {
    /// An empty message of a type such as `0200`. Packing refuses anything but four digits.
    #[must_use]
    pub fn new(mti: &str) -> Self {
        Self { mti: mti.to_owned(), fields: BTreeMap::new(), filled_with_f: 0 }
    }

    /// The four digits of the message type.
    #[must_use]
    pub fn mti(&self) -> &str {
        &self.mti
    }

    /// Puts a value in, replacing an older one. Packing checks its form.
    pub fn set(&mut self, de: De, value: impl AsRef<[u8]>) -> &mut Self {
        self.filled_with_f &= !de.bit();
        if let Some(mut old) = self.fields.insert(de, value.as_ref().to_vec()) {
            old.zeroize();
        }
        self
    }

    /// Puts a value in if there is one.
    pub fn set_some(&mut self, de: De, value: Option<impl AsRef<[u8]>>) -> &mut Self {
        match value {
            Some(value) => self.set(de, value),
            None => self,
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, de: De) {
        self.filled_with_f &= !de.bit();
        if let Some(mut old) = self.fields.remove(&de) {
            old.zeroize();
        }
    }

    /// The value of an element.
    #[must_use]
    pub fn bytes(&self, de: De) -> Option<&[u8]> {
        self.fields.get(&de).map(Vec::as_slice)
    }

    /// The value of an element as text; `None` also where it is not UTF-8 (ASCII is).
    #[must_use]
    pub fn text(&self, de: De) -> Option<&str> {
        self.bytes(de).and_then(|bytes| core::str::from_utf8(bytes).ok())
    }

    /// True if the element is there.
    #[must_use]
    pub fn has(&self, de: De) -> bool {
        self.fields.contains_key(&de)
    }

    /// All elements in ascending order.
    pub fn fields(&self) -> impl Iterator<Item = (De, &[u8])> {
        self.fields.iter().map(|(de, value)| (*de, value.as_slice()))
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.fields.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for Message {
    /// `0200 {3: 6, 4: 12}`: elements and lengths, no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.mti)?;
        f.debug_map().entries(self.fields().map(|(de, value)| (de, value.len()))).finish()
    }
}

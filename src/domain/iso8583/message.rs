//! A message as data: type and elements by number, without any encoding.
use super::element::De;
use super::format::Filler;
use super::view::View;
use core::fmt;
use zeroize::Zeroize;

/// Part of a message's buffer. A message of gigabytes could not be told apart from a damaged one, so 32 bits do.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn of(self, buffer: &[u8]) -> &[u8] {
        self.range().and_then(|range| buffer.get(range)).unwrap_or_default()
    }

    fn of_mut(self, buffer: &mut [u8]) -> &mut [u8] {
        self.range().and_then(|range| buffer.get_mut(range)).unwrap_or_default()
    }

    fn range(self) -> Option<core::ops::Range<usize>> {
        let start = usize::try_from(self.start).ok()?;
        Some(start..start.checked_add(usize::try_from(self.length).ok()?)?)
    }
}

/// An ISO 8583 message: message type indicator (MTI) and data elements in ascending order.
///
/// A value is a row of bytes: ASCII digits for packed elements (`D` and other upper-case hexadecimal digits
/// in tracks), characters for texts, the bytes themselves for binary elements. All values stand in one buffer, which is
/// wiped when the message is dropped, and each part of it when it is replaced, removed or moved. `Debug` shows numbers
/// and lengths only.
#[derive(Clone, Default)]
pub struct Message {
    buffer: Vec<u8>,
    mti: Span,
    /// Ascending by element.
    fields: Vec<(De, Span)>,
    /// Bits of the elements whose filler nibble came as the dialect does not write it, so that packing gives back what
    /// was unpacked.
    other_filler: u128,
}

impl Message {
    /// An empty message of a type such as `0200`. Packing refuses anything but four digits.
    #[must_use]
    pub fn new(mti: &str) -> Self {
        let mut message = Self::default();
        message.mti = message.append(mti.as_bytes());
        message
    }

    /// An own copy of what was decoded.
    pub(super) fn of(view: &View<'_>) -> Self {
        // Four for the MTI, and one of room for the filler that is unpacked with the last digit.
        let buffer = Vec::with_capacity(view.units().saturating_add(5));
        let fields = Vec::with_capacity(view.count());
        let mut message = Self { buffer, mti: Span::default(), fields, other_filler: 0 };
        message.mti = message.append(view.mti().as_bytes());
        for field in view.fields() {
            let start = message.buffer.len();
            field.append_to(&mut message.buffer);
            let span = message.span_from(start);
            message.fields.push((field.de, span));
            if field.filler().is_some_and(|filler: Filler| filler != field.format.filler) {
                message.other_filler |= field.de.bit();
            }
        }
        message
    }

    /// The four digits of the message type.
    #[must_use]
    pub fn mti(&self) -> &str {
        core::str::from_utf8(self.mti.of(&self.buffer)).unwrap_or_default() // came as a text
    }

    /// Puts a value in, replacing an older one. Packing checks its form.
    pub fn set(&mut self, de: De, value: impl AsRef<[u8]>) -> &mut Self {
        let value = value.as_ref();
        self.other_filler &= !de.bit();
        let found = self.place(de);
        if let Some((_, span)) = found.ok().and_then(|at| self.fields.get(at)) {
            let old = span.of_mut(&mut self.buffer);
            if old.len() == value.len() {
                old.copy_from_slice(value);
                return self;
            }
            self.remove(de);
        }
        let span = self.append(value);
        // The place of a removed element and of a missing one is the same.
        let (Ok(at) | Err(at)) = found;
        self.fields.insert(at.min(self.fields.len()), (de, span));
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
        self.other_filler &= !de.bit();
        if let Ok(at) = self.place(de) {
            let (_, span) = self.fields.remove(at);
            span.of_mut(&mut self.buffer).zeroize();
        }
    }

    /// The value of an element.
    #[must_use]
    pub fn bytes(&self, de: De) -> Option<&[u8]> {
        let (_, span) = self.fields.get(self.place(de).ok()?)?;
        Some(span.of(&self.buffer))
    }

    /// The value of an element as text; `None` also where it is not UTF-8 (ASCII is).
    #[must_use]
    pub fn text(&self, de: De) -> Option<&str> {
        self.bytes(de).and_then(|bytes| core::str::from_utf8(bytes).ok())
    }

    /// True if the element is there.
    #[must_use]
    pub fn has(&self, de: De) -> bool {
        self.place(de).is_ok()
    }

    /// All elements in ascending order.
    pub fn fields(&self) -> impl Iterator<Item = (De, &[u8])> {
        self.fields.iter().map(|(de, span)| (*de, span.of(&self.buffer)))
    }

    /// True if the filler nibble of this element came as the dialect does not write it.
    pub(super) const fn has_other_filler(&self, de: De) -> bool {
        self.other_filler & de.bit() != 0
    }

    /// Where an element stands, or would.
    fn place(&self, de: De) -> Result<usize, usize> {
        self.fields.binary_search_by_key(&de, |(de, _)| *de)
    }

    /// Puts a value at the end of the buffer.
    fn append(&mut self, value: &[u8]) -> Span {
        let needed = self.buffer.len().saturating_add(value.len());
        if needed > self.buffer.capacity() {
            self.move_to(needed.saturating_mul(2).max(256));
        }
        let start = self.buffer.len();
        self.buffer.extend_from_slice(value);
        self.span_from(start)
    }

    fn span_from(&self, start: usize) -> Span {
        let length = self.buffer.len().saturating_sub(start);
        let small = |value| u32::try_from(value).unwrap_or(u32::MAX);
        Span { start: small(start), length: small(length) }
    }

    /// Moves what is in use into a larger buffer. A vector that grows by itself would leave the old values in memory.
    fn move_to(&mut self, capacity: usize) {
        let mut old = core::mem::replace(&mut self.buffer, Vec::with_capacity(capacity));
        for span in core::iter::once(&mut self.mti).chain(self.fields.iter_mut().map(|(_, span)| span)) {
            let start = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
            self.buffer.extend_from_slice(span.of(&old));
            span.start = start;
        }
        old.zeroize();
    }
}

/// Equal type, elements, values, and fillers that came.
impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.other_filler == other.other_filler
            && self.mti() == other.mti()
            && self.fields.len() == other.fields.len()
            && self.fields().eq(other.fields())
    }
}

impl Eq for Message {}

impl Drop for Message {
    fn drop(&mut self) {
        // As a slice: a vector wipes one byte after the other. Beyond its end no value ever stood.
        self.buffer.as_mut_slice().zeroize();
    }
}

impl fmt::Debug for Message {
    /// `0200 {3: 6, 4: 12}`: elements and lengths, no value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.mti())?;
        f.debug_map().entries(self.fields().map(|(de, value)| (de, value.len()))).finish()
    }
}

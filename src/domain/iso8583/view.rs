//! A message as it came: where each element stands in the bytes, without a copy of any.
use super::decode::{character, nibble};
use super::dialect::Dialect;
use super::element::De;
use super::format::{Encoding, Filler, Format, Side};
use core::fmt;

/// Where the value of an element stands.
#[derive(Clone, Copy, Default)]
pub(super) struct Slot {
    /// First byte of the value, from the MTI.
    pub(super) start: u16,
    /// Units of the value.
    pub(super) units: u16,
}

/// A decoded message that borrows its bytes and its dialect. `Debug` shows numbers and lengths, no value.
#[derive(Clone)]
pub struct View<'a> {
    dialect: &'a Dialect,
    bytes: &'a [u8],
    mti: [u8; 4],
    present: u128,
    slots: [Slot; 128],
    /// Of all elements.
    units: usize,
}

impl<'a> View<'a> {
    /// A message without elements yet.
    pub(super) const fn new(dialect: &'a Dialect, bytes: &'a [u8], mti: [u8; 4]) -> Self {
        Self { dialect, bytes, mti, present: 0, slots: [Slot { start: 0, units: 0 }; 128], units: 0 }
    }

    pub(super) const fn dialect(&self) -> &'a Dialect {
        self.dialect
    }

    pub(super) fn put(&mut self, de: De, slot: Slot) {
        self.present |= de.bit();
        self.units = self.units.saturating_add(slot.units.into());
        if let Some(place) = self.slots.get_mut(de.index()) {
            *place = slot;
        }
    }

    /// The four digits of the message type.
    #[must_use]
    pub fn mti(&self) -> &str {
        core::str::from_utf8(&self.mti).unwrap_or_default() // four digits by construction
    }

    /// The whole message.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// True if the element is there.
    #[must_use]
    pub const fn has(&self, de: De) -> bool {
        self.present & de.bit() != 0
    }

    /// How many elements there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::try_from(self.present.count_ones()).unwrap_or_default()
    }

    /// Units of all elements together.
    pub(super) const fn units(&self) -> usize {
        self.units
    }

    /// An element.
    #[must_use]
    #[inline]
    pub fn field(&self, de: De) -> Option<Field<'a>> {
        if !self.has(de) {
            return None;
        }
        let slot = self.slots.get(de.index())?;
        let format = self.dialect.element(de)?.format;
        let (start, units) = (usize::from(slot.start), usize::from(slot.units));
        let raw = self.bytes.get(start..)?.get(..format.encoding.wire_length(units))?;
        Some(Field { de, format, raw, units })
    }

    /// All elements in ascending order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        De::of_bits(self.present).filter_map(|de| self.field(de))
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.mti())?;
        f.debug_map().entries(self.fields().map(|field| (field.de, field.units))).finish()
    }
}

/// One element of a [`View`]. Its units are digits as characters, characters, or bytes, as in a
/// [`Message`](super::Message). `Debug` shows number and length.
#[derive(Clone, Copy)]
pub struct Field<'a> {
    /// Which.
    pub de: De,
    /// Its form.
    pub format: Format,
    raw: &'a [u8],
    units: usize,
}

impl<'a> Field<'a> {
    /// The value as it stands on the wire, filler included, prefix not.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its units in number.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.units
    }

    /// True if a prefix says zero.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// Its units where they stand on the wire as they are; `None` for packed digits and for bytes in hexadecimal.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        match self.format.encoding {
            Encoding::Digits | Encoding::Nibbles | Encoding::Hex => None,
            _ => Some(self.raw),
        }
    }

    /// Its units one after the other.
    pub fn units(&self) -> impl Iterator<Item = u8> + use<'a> {
        let (raw, encoding) = (self.raw, self.format.encoding);
        let before = usize::from(self.filler().is_some() && self.format.side == Side::Right);
        (before..before.saturating_add(self.units)).filter_map(move |at| match encoding {
            Encoding::Digits | Encoding::Nibbles => {
                let byte = raw.get(at / 2)?;
                Some(character(if at % 2 == 0 { byte >> 4 } else { byte & 0x0F }))
            }
            Encoding::Hex => {
                let at = at.saturating_mul(2);
                let (high, low) = (raw.get(at)?, raw.get(at.saturating_add(1))?);
                Some(nibble(*high) << 4 | nibble(*low))
            }
            _ => raw.get(at).copied(),
        })
    }

    /// True if its units are these.
    #[must_use]
    pub fn is(&self, units: &[u8]) -> bool {
        match self.bytes() {
            Some(bytes) => bytes == units,
            None => self.units == units.len() && self.units().eq(units.iter().copied()),
        }
    }

    /// Copies its units into the front of a buffer; `None` if it is too small.
    pub fn copy_to<'b>(&self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let place = buffer.get_mut(..self.units)?;
        match self.bytes() {
            Some(bytes) => place.copy_from_slice(bytes),
            None => place.iter_mut().zip(self.units()).for_each(|(to, unit)| *to = unit),
        }
        Some(place)
    }

    /// The filler nibble that stands there, if there is one.
    pub(super) fn filler(&self) -> Option<Filler> {
        if self.units.is_multiple_of(2) || !self.format.encoding.is_packed() {
            return None;
        }
        let nibble = match self.format.side {
            Side::Left => self.raw.last()? & 0x0F,
            Side::Right => self.raw.first()? >> 4,
        };
        Some(if nibble == 0 { Filler::Zero } else { Filler::F })
    }

    /// Appends its units. Faster than one by one, because every message read goes through here.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        match (self.format.encoding, self.filler().map(|_| self.format.side)) {
            (Encoding::Digits | Encoding::Nibbles, odd) => {
                let end = out.len().saturating_add(self.units);
                let mut pairs = self.raw;
                if let (Some(Side::Right), Some((first, rest))) = (odd, self.raw.split_first()) {
                    out.push(character(*first));
                    pairs = rest;
                }
                out.extend(pairs.iter().flat_map(|byte| [character(byte >> 4), character(*byte)]));
                out.truncate(end);
            }
            (Encoding::Hex, _) => out.extend(self.units()),
            _ => out.extend_from_slice(self.raw),
        }
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} +{}", self.de, self.units)
    }
}

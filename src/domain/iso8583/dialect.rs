//! A dialect: the elements a network defines, each with its format, and the form of what stands before them. Another
//! network is another table.
use super::element::De;
use super::format::Format;
use super::iso1987;
use crate::domain::outcome::words;
use std::borrow::Cow;

/// One row of a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Which element.
    pub de: De,
    /// Its name for people, English.
    pub name: &'static str,
    /// Its form.
    pub format: Format,
}

words! {
    /// How the message type and the bitmaps are written.
    Form {
        /// Four digits in two bytes; a bitmap in eight bytes.
        Packed = "packed",
        /// Four characters; a bitmap in sixteen upper-case hexadecimal characters.
        Ascii = "ascii",
    }
}

/// What the length prefix of a variable element counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The units: digits, characters, bytes of a binary value.
    Units,
    /// The bytes on the wire. An odd count of packed digits cannot be told then, and is refused.
    Bytes,
}

/// Rows by number, number 1 first: what [`table`] makes.
pub type Table = [Option<Element>; 128];

/// Makes a table of rows in any order; the last of two rows of one element counts.
#[must_use]
pub const fn table(elements: &[Element]) -> Table {
    let mut rows: Table = [None; 128];
    let mut rest = elements;
    while let [element, tail @ ..] = rest {
        if let Some((_, [row, ..])) = rows.split_at_mut_checked(element.de.index()) {
            *row = Some(*element);
        }
        rest = tail;
    }
    rows
}

/// A dialect. Copies of a shipped one share its table until one of their elements is changed.
///
/// It has a secondary bitmap if it defines an element above 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    name: &'static str,
    mti: Form,
    bitmap: Form,
    counted: Counted,
    rows: Cow<'static, [Option<Element>]>,
}

impl Dialect {
    /// A dialect with MTI and bitmaps in this form, whose prefixes count units.
    #[must_use]
    pub const fn new(name: &'static str, form: Form, rows: &'static Table) -> Self {
        Self { name, mti: form, bitmap: form, counted: Counted::Units, rows: Cow::Borrowed(rows) }
    }

    /// The same elements with MTI and bitmaps in these forms.
    #[must_use]
    pub fn with_forms(&self, mti: Form, bitmap: Form) -> Self {
        Self { mti, bitmap, ..self.clone() }
    }

    /// The same elements with prefixes that count this.
    #[must_use]
    pub fn with_counted(&self, counted: Counted) -> Self {
        Self { counted, ..self.clone() }
    }

    /// A copy with one element changed or added. An added one has the name of ISO 8583.
    #[must_use]
    pub fn with(&self, de: De, format: Format) -> Self {
        let name = self.element(de).or_else(|| iso1987::ASCII.element(de)).map_or("", |element| element.name);
        let mut changed = self.clone();
        if let Some(row) = changed.rows.to_mut().get_mut(de.index()) {
            *row = Some(Element { de, name, format });
        }
        changed
    }

    /// A copy without one element: a message that has it is refused.
    #[must_use]
    pub fn without(&self, de: De) -> Self {
        let mut changed = self.clone();
        if let Some(row) = changed.rows.to_mut().get_mut(de.index()) {
            *row = None;
        }
        changed
    }

    /// Its name for people; copies keep it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Form of the message type.
    #[must_use]
    pub const fn mti(&self) -> Form {
        self.mti
    }

    /// Form of the bitmaps.
    #[must_use]
    pub const fn bitmap(&self) -> Form {
        self.bitmap
    }

    /// What prefixes count.
    #[must_use]
    pub const fn counted(&self) -> Counted {
        self.counted
    }

    /// The row of an element.
    #[must_use]
    pub fn element(&self, de: De) -> Option<&Element> {
        self.rows.get(de.index())?.as_ref()
    }

    /// All rows in ascending order.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.rows.iter().flatten()
    }

    /// True if a message may have a secondary bitmap.
    #[must_use]
    pub fn has_secondary(&self) -> bool {
        self.elements().any(|element| element.de.number() > 64)
    }
}

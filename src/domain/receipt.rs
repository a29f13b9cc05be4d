//! The slip as a layout tree: rows and columns of text, rules, pictures, QR codes, a cut. One tree, several renderers.
//!
//! The geometry is that of Chinese receipt printers: a cell is 12 dots wide, an ASCII character takes one cell, every
//! other character two, and doubled text twice of that. The ESC/POS renderer is an adapter; those for people and
//! screens are here. It does not decide what a slip says: that is [`crate::domain::slip`].
mod bitmap;
mod layout;
mod picture;
mod raster;
mod svg;

pub use bitmap::{Bitmap, Glyph};
pub use layout::{COLUMNS_MIN, Line, Row, cells, lines, text};
pub use picture::{Picture, qr};
pub use raster::{CodeBoxes, Glyphs, LINE_DOTS, Page, blank, draw, pages, picture, unknown};
pub use svg::svg;

/// Dots of one cell: ASCII of font A is 12 x 24, hanzi are 24 x 24. Source: printer manuals; 384 dots are 32 cells.
pub const CELL_DOTS: u32 = 12;

/// Cells on a line of so many dots; never below [`COLUMNS_MIN`].
#[must_use]
pub const fn columns(dots_per_line: u32) -> u32 {
    let whole = dots_per_line / CELL_DOTS;
    if whole < COLUMNS_MIN { COLUMNS_MIN } else { whole }
}

/// A whole slip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// From top to bottom.
    pub blocks: Vec<Block>,
}

/// Where text stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Left.
    Left,
    /// Centre.
    Centre,
    /// Right.
    Right,
}

/// One element of a slip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A paragraph, wrapped at the width; never inside a character. A line feed in it begins a new line.
    Text {
        /// What it says.
        text: String,
        /// Where.
        align: Align,
        /// Twice as wide and high.
        double: bool,
        /// Bold.
        bold: bool,
    },
    /// A label at the left and a value at the right of one line; two lines where they do not fit.
    Pair {
        /// The label.
        label: String,
        /// The value.
        value: String,
        /// Value twice as wide and high, and bold. Choice: it then has a line of its own, because printers differ in
        /// how they align two sizes on one line.
        double: bool,
    },
    /// A picture in the middle, drawn smaller where it is wider than the paper.
    Picture(Picture),
    /// A text as a QR code in the middle; as text where the paper is too narrow for the code.
    Qr(String),
    /// A line of dashes.
    Rule,
    /// Empty lines.
    Feed(u8),
    /// Cut, or a tear mark where there is no cutter.
    Cut,
}

impl Block {
    /// A plain paragraph at the left.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), align: Align::Left, double: false, bold: false }
    }

    /// A paragraph in the middle.
    #[must_use]
    pub fn centred(text: impl Into<String>, double: bool, bold: bool) -> Self {
        Self::Text { text: text.into(), align: Align::Centre, double, bold }
    }

    /// A label and its value.
    #[must_use]
    pub fn pair(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Pair { label: label.into(), value: value.into(), double: false }
    }
}

//! The slip as a layout tree: rows and columns of text, rules, a cut. One tree, several renderers.

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
    /// A paragraph, wrapped at the width; never inside a character.
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
        /// Value twice as wide and high.
        double: bool,
    },
    /// A line of dashes.
    Rule,
    /// Empty lines.
    Feed(u8),
    /// Cut, or a tear mark where there is no cutter.
    Cut,
}

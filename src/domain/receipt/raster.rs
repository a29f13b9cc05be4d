//! From the layout tree to dots: the same lines as every other renderer, drawn with glyphs that somebody else has.
//!
//! It does not know fonts: glyphs come from a [`Glyphs`], and a character that no font has is drawn as a box with its
//! code point, so that a name is never silently wrong.
use super::bitmap::{Bitmap, Glyph};
use super::layout::{Line, Row, cells, lines};
use super::{Align, CELL_DOTS, Document, columns};
use std::sync::Arc;

/// Rows of dots of a line: 24 of the character and six between lines, as receipt printers space text by default.
pub const LINE_DOTS: u32 = 30;

/// Rows of dots from the last text to the cut: what a printer must feed until it has passed the cutter.
const TEAR_DOTS: u32 = 24;

/// Who has the shapes of characters. The same character always has the same dots.
pub trait Glyphs: core::fmt::Debug + Send + Sync {
    /// The character in a box of its cells: [`CELL_DOTS`] times one or two wide, [`LINE_DOTS`] high; both twice if
    /// `double`.
    fn glyph(&self, c: char, double: bool) -> Arc<Glyph>;
    /// A slip is done: what is held only to draw may be let go.
    fn rest(&self) {}
}

/// A piece of paper from one cut to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What is on it.
    pub bitmap: Bitmap,
    /// It is cut off at its end.
    pub cut: bool,
}

/// Shapes where there is no font: every character is a box with its code.
#[derive(Clone, Copy, Debug)]
pub struct CodeBoxes;

impl Glyphs for CodeBoxes {
    fn glyph(&self, c: char, double: bool) -> Arc<Glyph> {
        Arc::new(unknown(c, double))
    }
}

/// Draws a document for a head of so many dots.
#[must_use]
pub fn pages(document: &Document, dots_per_line: u32, glyphs: &dyn Glyphs) -> Vec<Page> {
    let lines = lines(document, columns(dots_per_line));
    let pages = lines
        .split_inclusive(|line| *line == Line::Cut)
        .map(|page| Page { bitmap: draw(page, dots_per_line, glyphs), cut: page.last() == Some(&Line::Cut) });
    pages.collect()
}

/// Draws lines below each other; a cut takes no room. No two bytes of the result begin a real-time command.
#[must_use]
pub fn draw(lines: &[Line], dots_per_line: u32, glyphs: &dyn Glyphs) -> Bitmap {
    let height = lines.iter().map(Line::dots).fold(0, u32::saturating_add);
    let mut paper = Bitmap::white(dots_per_line, height);
    let mut y = 0_u32;
    for line in lines {
        match line {
            Line::Row(row) => write(&mut paper, row, y, glyphs),
            Line::Picture(picture) => {
                let x = dots_per_line.saturating_sub(picture.dots.width()) / 2;
                paper.overlay(&picture.dots, x, y);
            }
            Line::Cut => {}
        }
        y = y.saturating_add(line.dots());
    }
    paper.calm();
    paper
}

fn write(paper: &mut Bitmap, row: &Row, y: u32, glyphs: &dyn Glyphs) {
    let scale = if row.double { 2 } else { 1 };
    let wide = u32::try_from(row.cells()).unwrap_or(u32::MAX).saturating_mul(CELL_DOTS);
    let free = paper.width().saturating_sub(wide);
    let mut x = match row.align {
        Align::Left => 0,
        Align::Centre => free / 2,
        Align::Right => free,
    };
    for c in row.text.chars() {
        if c != ' ' {
            paper.stamp(&glyphs.glyph(c, row.double), x, y, row.bold);
        }
        x = x.saturating_add(box_width(c).saturating_mul(scale));
    }
}

/// All pages as one picture for people, with a dashed line where the paper is cut and more follows.
#[must_use]
pub fn picture(pages: &[Page]) -> Bitmap {
    let width = pages.first().map_or(0, |page| page.bitmap.width());
    let mut whole = Bitmap::white(width, 0);
    for (at, page) in pages.iter().enumerate() {
        if at > 0 {
            whole.append(&tear_line(width));
        }
        whole.append(&page.bitmap);
    }
    whole
}

fn tear_line(width: u32) -> Bitmap {
    let mut line = Bitmap::white(width, TEAR_DOTS);
    for x in (0..width).filter(|x| x % 16 < 8) {
        line.blacken(x, TEAR_DOTS / 2);
    }
    line
}

impl Line {
    /// Rows of dots that it takes.
    #[must_use]
    pub fn dots(&self) -> u32 {
        match self {
            Self::Row(row) => height_of(row.double),
            Self::Picture(picture) => picture.dots.height(),
            Self::Cut => 0,
        }
    }
}

const fn height_of(double: bool) -> u32 {
    if double { LINE_DOTS * 2 } else { LINE_DOTS }
}

/// Width of a character's box at single size.
fn box_width(c: char) -> u32 {
    let mut text = [0; 4];
    if cells(c.encode_utf8(&mut text)) == 1 { CELL_DOTS } else { CELL_DOTS * 2 }
}

/// An empty box for a character, which a [`Glyphs`] fills.
#[must_use]
pub fn blank(c: char, double: bool) -> Glyph {
    let scale = if double { 2 } else { 1 };
    Glyph::blank(box_width(c).saturating_mul(scale), height_of(double))
}

/// What stands for a character that no font has: a frame with its code point in hexadecimal, as character tables show
/// it. A person can look it up, and nobody takes it for another character.
#[must_use]
pub fn unknown(c: char, double: bool) -> Glyph {
    let scale = if double { 2 } else { 1 };
    let mut glyph = blank(c, double);
    let mut dot = |x: u32, y: u32| {
        for (dx, dy) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().take((scale * scale) as usize) {
            glyph.blacken(
                x.saturating_mul(scale).saturating_add(dx),
                y.saturating_mul(scale).saturating_add(dy),
            );
        }
    };
    let (left, right, top, bottom) = (1, box_width(c).saturating_sub(2), 4, 26);
    (left..=right).for_each(|x| [top, bottom].into_iter().for_each(|y| dot(x, y)));
    (top..=bottom).for_each(|y| [left, right].into_iter().for_each(|x| dot(x, y)));
    let code = format!("{:06X}", c as u32);
    for (at, digit) in (0_u32..).zip(code.chars().filter_map(|digit| digit.to_digit(16))) {
        let (column, line) = (at % 3, at / 3);
        let (x, y) = (4 + column * 6, 7 + line * 10);
        for (dy, bits) in (0_u32..).zip(DIGITS.get(digit as usize).copied().unwrap_or_default()) {
            for dx in (0..4).filter(|dx| bits & (8 >> dx) != 0) {
                dot(x + dx, y + dy);
            }
        }
    }
    glyph
}

/// The sixteen hexadecimal digits, four dots wide and seven high.
const DIGITS: [[u8; 7]; 16] = [
    [6, 9, 9, 9, 9, 9, 6],
    [2, 6, 2, 2, 2, 2, 7],
    [6, 9, 1, 2, 4, 8, 15],
    [6, 9, 1, 6, 1, 9, 6],
    [1, 3, 5, 9, 15, 1, 1],
    [15, 8, 14, 1, 1, 9, 6],
    [6, 8, 8, 14, 9, 9, 6],
    [15, 1, 1, 2, 2, 4, 4],
    [6, 9, 9, 6, 9, 9, 6],
    [6, 9, 9, 7, 1, 1, 6],
    [6, 9, 9, 15, 9, 9, 9],
    [14, 9, 9, 14, 9, 9, 14],
    [6, 9, 8, 8, 8, 9, 6],
    [14, 9, 9, 9, 9, 9, 14],
    [15, 8, 8, 14, 8, 8, 15],
    [15, 8, 8, 14, 8, 8, 8],
];

#[cfg(test)]
mod tests {
    use super::super::Block;
    use super::*;
    use proptest::prelude::*;

    fn pages_of(blocks: Vec<Block>) -> Vec<Page> {
        pages(&Document { blocks }, 384, &CodeBoxes)
    }

    /// Columns of dots that hold any ink, as first and last.
    fn extent(page: &Page) -> (u32, u32) {
        let inked = |x: &u32| (0..page.bitmap.height()).any(|y| page.bitmap.is_black(*x, y));
        let mut columns = (0..384).filter(inked);
        let first = columns.next().unwrap();
        (first, columns.next_back().unwrap_or(first))
    }

    #[test]
    fn rows_stand_left_centred_and_right_on_the_grid_of_cells() {
        let at = |align| {
            let block = Block::Text { text: "国国".to_owned(), align, double: false, bold: false };
            extent(pages_of(vec![block]).first().unwrap())
        };
        assert_eq!([at(Align::Left), at(Align::Centre), at(Align::Right)], [(1, 46), (169, 214), (337, 382)]);
        let double = pages_of(vec![Block::centred("国国", true, true)]);
        // Two dots of emphasis to the right.
        assert_eq!(extent(double.first().unwrap()), (146, 239));
        assert_eq!(double.first().unwrap().bitmap.height(), 60);
    }

    #[test]
    fn a_cut_ends_a_page() {
        let pages = pages_of(vec![Block::text("1"), Block::Feed(2), Block::Cut, Block::text("2")]);
        let shapes: Vec<_> = pages.iter().map(|page| (page.bitmap.height(), page.cut)).collect();
        assert_eq!(shapes, [(90, true), (30, false)]);
        assert_eq!(picture(&pages).height(), 90 + 24 + 30);
        assert!(pages_of(vec![]).is_empty());
    }

    /// A name with a character that no font has is told from any other: no two code points look alike.
    #[test]
    fn unknown_characters_differ_from_each_other() {
        let mut seen = std::collections::BTreeSet::new();
        for c in ('\u{20000}'..'\u{20800}').chain('\u{3400}'..'\u{3500}') {
            let glyph = unknown(c, false);
            let dots: Vec<bool> = (0..30)
                .flat_map(|y| (0..24).map(move |x| (x, y)))
                .map(|(x, y)| glyph.is_black(x, y))
                .collect();
            assert!(seen.insert(dots), "{:x}", c as u32);
        }
    }

    proptest! {
        /// Any text at any width of head draws without a real-time command in it, always the same.
        #[test]
        fn any_text_is_drawn_safely(text in any::<String>(), bytes in 24_u32..129, double in any::<bool>()) {
            let block = || Block::Text { text: text.clone(), align: Align::Centre, double, bold: true };
            let draw = || pages(&Document { blocks: vec![block(), Block::Cut] }, bytes * 8, &CodeBoxes);
            let drawn = draw();
            for page in &drawn {
                prop_assert_eq!(page.bitmap.width(), bytes * 8);
                for pair in page.bitmap.bytes().windows(2) {
                    prop_assert!(!matches!(pair, [0x10, 0x04 | 0x05 | 0x14]));
                }
            }
            prop_assert_eq!(drawn, draw());
        }
    }
}

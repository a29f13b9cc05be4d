//! From the layout tree to lines of known width. All text of a slip passes here once and is cleaned here once: what
//! comes out holds no control character, so no renderer can be made to send a command by a merchant name.
use super::picture::{Picture, qr_picture};
use super::{Align, Block, Document};

/// The narrowest line that is laid out, in cells; narrower widths are taken as this one.
pub const COLUMNS_MIN: u32 = 16;

/// What stands on paper, from top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line of characters; may be empty.
    Row(Row),
    /// Dots in the middle of the paper, never wider than the line.
    Picture(Picture),
    /// The paper is cut here.
    Cut,
}

/// One line of characters, all of one size. Never wider than the width it was laid out for, no space at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The characters; no control characters.
    pub text: String,
    /// Where it stands.
    pub align: Align,
    /// Twice as wide and high.
    pub double: bool,
    /// Bold.
    pub bold: bool,
}

impl Row {
    /// Cells that the row takes on paper.
    #[must_use]
    pub fn cells(&self) -> usize {
        cells(&self.text).saturating_mul(if self.double { 2 } else { 1 })
    }
}

/// Cells of a text at single size: ASCII takes one, all else two.
///
/// Printers that know GB18030 draw whatever is not one byte in the 24-dot font, Latin letters with accents too.
#[must_use]
pub fn cells(text: &str) -> usize {
    text.chars().map(cells_of).fold(0, usize::saturating_add)
}

const fn cells_of(c: char) -> usize {
    if c.is_ascii() { 1 } else { 2 }
}

/// Lays a document out for a line of so many cells.
#[must_use]
pub fn lines(document: &Document, columns: u32) -> Vec<Line> {
    let width = columns.max(COLUMNS_MIN) as usize;
    let mut lines = Vec::new();
    for block in &document.blocks {
        match block {
            Block::Text { text, align, double, bold } => {
                for paragraph in text.split('\n') {
                    add_rows(&mut lines, paragraph, width, *align, *double, *bold);
                }
            }
            Block::Pair { label, value, double } => add_pair(&mut lines, label, value, *double, width),
            Block::Picture(picture) => lines.push(Line::Picture(picture.fitted(columns.max(COLUMNS_MIN)))),
            Block::Qr(text) => match qr_picture(text, columns.max(COLUMNS_MIN)) {
                Some(picture) => lines.push(Line::Picture(picture)),
                None => add_rows(&mut lines, text, width, Align::Centre, false, false),
            },
            Block::Rule => lines.push(Line::Row(plain("-".repeat(width)))),
            Block::Feed(count) => {
                lines.extend((0..*count).map(|_| Line::Row(plain(String::new()))));
            }
            Block::Cut => lines.push(Line::Cut),
        }
    }
    lines
}

/// The document as UTF-8 text with `\n` after each line. A doubled line is written at single size and aligned as such;
/// a cut is a line of spaced dashes; of a picture there is what it says.
#[must_use]
pub fn text(document: &Document, columns: u32) -> String {
    let width = columns.max(COLUMNS_MIN) as usize;
    let mut out = String::new();
    for line in lines(document, columns) {
        match line {
            Line::Row(row) => out.push_str(&indented(&row, width)),
            Line::Picture(picture) => out.push_str(&instead(&picture, width)),
            Line::Cut => out.push_str(&format!("{}\n", "- ".repeat(width / 2).trim_end())),
        }
    }
    out
}

fn indented(row: &Row, width: usize) -> String {
    let free = width.saturating_sub(cells(&row.text));
    let indent = match row.align {
        _ if row.text.is_empty() => 0,
        Align::Left => 0,
        Align::Centre => free / 2,
        Align::Right => free,
    };
    format!("{}{}\n", " ".repeat(indent), row.text)
}

/// What a picture says, as lines of text.
fn instead(picture: &Picture, width: usize) -> String {
    let mut lines = Vec::new();
    if !picture.says.is_empty() {
        add_rows(&mut lines, &picture.says, width, Align::Centre, false, false);
    }
    let rows = lines.iter().filter_map(|line| if let Line::Row(row) = line { Some(row) } else { None });
    rows.map(|row| indented(row, width)).collect()
}

const fn plain(text: String) -> Row {
    Row { text, align: Align::Left, double: false, bold: false }
}

fn add_rows(lines: &mut Vec<Line>, paragraph: &str, width: usize, align: Align, double: bool, bold: bool) {
    let width = if double { width / 2 } else { width };
    let rows = wrap(&clean(paragraph), width);
    lines.extend(rows.into_iter().map(|text| Line::Row(Row { text, align, double, bold })));
}

fn add_pair(lines: &mut Vec<Line>, label: &str, value: &str, double: bool, width: usize) {
    let (label, value) = (clean(label), clean(value));
    let gap = width.saturating_sub(cells(&label).saturating_add(cells(&value)));
    if double || gap == 0 {
        add_rows(lines, &label, width, Align::Left, false, false);
        add_rows(lines, &value, width, Align::Right, double, double);
    } else {
        let row = format!("{label}{}{value}", " ".repeat(gap));
        lines.push(Line::Row(plain(row.trim_end().to_owned())));
    }
}

/// Takes out what is not a visible character of its own: control, formatting and direction characters. Blanks of any
/// kind but the ideographic one become a space; what no font can know (private use, non-characters) becomes `?`.
fn clean(text: &str) -> String {
    text.chars().filter_map(clean_char).collect()
}

const fn clean_char(c: char) -> Option<char> {
    match c {
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' => {
            Some(' ')
        }
        // C0, DEL and C1: ESC, GS, DLE and LF would be commands.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => None,
        // Soft hyphen, zero width, joiners, direction marks, selectors, tags: they would move or hide text.
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' => None,
        '\u{e0000}'..='\u{e0fff}' => None,
        // The same sign in the two-byte area of GB18030, which cheap printers have.
        '\u{a5}' => Some('\u{ffe5}'),
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fdd0}'..='\u{fdef}' => Some('?'),
        _ if (c as u32) & 0xfffe == 0xfffe => Some('?'),
        _ => Some(c),
    }
}

/// Breaks a cleaned text into rows of at most `width` cells: at a space or beside a wide character where it can,
/// inside a word only if that word is longer than a whole row. One row at least, possibly empty.
fn wrap(text: &str, width: usize) -> Vec<String> {
    if cells(text) <= width {
        return vec![text.trim_end_matches(' ').to_owned()]; // nearly every line
    }
    let mut rows = Rows { done: Vec::new(), row: String::new(), used: 0, width };
    for word in words(text) {
        let size = cells(&word);
        let overflows = rows.used.saturating_add(size) > width;
        if overflows && rows.used > 0 && size <= width {
            rows.break_row();
        }
        word.chars().for_each(|c| rows.push(c));
    }
    rows.break_row();
    rows.done
}

struct Rows {
    done: Vec<String>,
    row: String,
    used: usize,
    width: usize,
}

impl Rows {
    fn break_row(&mut self) {
        let row = core::mem::take(&mut self.row);
        self.done.push(row.trim_end_matches(' ').to_owned());
        self.used = 0;
    }

    fn push(&mut self, c: char) {
        if self.used.saturating_add(cells_of(c)) > self.width {
            self.break_row();
        }
        if c == ' ' && self.used == 0 && !self.done.is_empty() {
            return; // the space at which the row was broken
        }
        self.row.push(c);
        self.used = self.used.saturating_add(cells_of(c));
    }
}

/// Splits into what is kept together: runs of visible ASCII, and closing punctuation with what it closes; each other
/// character, spaces too, is a word of its own.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in text.chars() {
        let joins = (last.is_ascii_graphic() && c.is_ascii_graphic()) || (last != ' ' && closes(c));
        match words.last_mut() {
            Some(word) if joins => word.push(c),
            _ => words.push(c.to_string()),
        }
        last = c;
    }
    words
}

/// Punctuation that must not begin a line.
const fn closes(c: char) -> bool {
    matches!(
        c,
        ',' | '.'
            | ';'
            | ':'
            | '!'
            | '?'
            | ')'
            | '，'
            | '。'
            | '、'
            | '；'
            | '：'
            | '！'
            | '？'
            | '）'
            | '》'
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Bitmap, svg};
    use super::*;
    use proptest::prelude::*;

    fn one(block: Block) -> Document {
        Document { blocks: vec![block] }
    }

    fn check(block: Block, columns: u32, expected: &[&str]) {
        let shown = text(&one(block), columns);
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    }

    /// A hanzi takes two cells and is never split; words stay whole where they fit a line.
    #[test]
    fn paragraphs_wrap_at_the_width() {
        check(
            Block::text("本人确认以上交易, 同意将其计入本卡账户"),
            16,
            &["本人确认以上交", "易, 同意将其计入", "本卡账户"],
        );
        check(Block::text("approved by the issuing bank"), 16, &["approved by the", "issuing bank"]);
        check(Block::text("0123456789ABCDEFGHIJ"), 16, &["0123456789ABCDEF", "GHIJ"]);
        check(Block::text("一\n\n二"), 16, &["一", "", "二"]);
        check(Block::text("A商户"), 16, &["A商户"]);
    }

    #[test]
    fn a_pair_stands_on_one_line_or_falls_to_two() {
        check(Block::pair("批次号", "000001"), 16, &["批次号    000001"]);
        check(Block::pair("参考号", "123456789012"), 16, &["参考号", "    123456789012"]);
        // One cell between them is the least.
        check(Block::pair("参考号", "123456789"), 16, &["参考号 123456789"]);
        check(Block::pair("参考号", "1234567890"), 16, &["参考号", "      1234567890"]);
    }

    #[test]
    fn doubled_text_takes_twice_the_cells() {
        let double =
            Block::Text {
                text: "签购单签购单".to_owned(), align: Align::Centre, double: true, bold: true
            };
        let laid = lines(&one(double), 16);
        let rows: Vec<_> = laid
            .iter()
            .map(|line| match line {
                Line::Row(row) => (row.text.as_str(), row.cells()),
                Line::Cut | Line::Picture(_) => ("", 0),
            })
            .collect();
        assert_eq!(rows, [("签购单签", 16), ("购单", 8)]);
        let amount = Block::Pair { label: "金额".to_owned(), value: "RMB 12.50".to_owned(), double: true };
        check(amount, 32, &["金额", "                       RMB 12.50"]);
    }

    /// A merchant name with commands in it could cut or reset: nothing of them reaches a renderer.
    #[test]
    fn no_control_character_passes() {
        check(Block::text("abc\u{1b}@\u{1d}V\0d\u{9b}ef\r"), 16, &["abc@Vdef"]);
        check(Block::text("a\u{202e}b\u{200b}c\td\u{e5e5}"), 16, &["abc d?"]);
        check(Block::pair("a\nb", "c\u{10}\u{4}\u{1}"), 16, &["ab             c"]);
        check(Block::text("\u{a5}12"), 16, &["\u{ffe5}12"]);
    }

    fn any_block() -> impl Strategy<Value = Block> {
        let any_text = || proptest::collection::vec(any::<char>(), 0..60);
        let any_align = prop_oneof![Just(Align::Left), Just(Align::Centre), Just(Align::Right)];
        prop_oneof![
            (any_text(), any_align, any::<bool>(), any::<bool>()).prop_map(|(t, align, double, bold)| {
                Block::Text { text: t.into_iter().collect(), align, double, bold }
            }),
            (any_text(), any_text(), any::<bool>()).prop_map(|(l, v, double)| Block::Pair {
                label: l.into_iter().collect(),
                value: v.into_iter().collect(),
                double
            }),
            any_text().prop_map(|text| Block::Qr(text.into_iter().collect())),
            (1_u32..900, 0_u32..9).prop_map(|(width, height)| {
                let dots = std::sync::Arc::new(Bitmap::white(width, height));
                Block::Picture(Picture { dots, says: "\u{1b}logo".to_owned() })
            }),
            Just(Block::Rule),
            (0_u8..4).prop_map(Block::Feed),
            Just(Block::Cut),
        ]
    }

    proptest! {
        /// Whatever anybody puts into a document, no renderer lets a control byte out and no line is too wide.
        #[test]
        fn any_text_at_any_width_is_laid_out_safely(
            blocks in proptest::collection::vec(any_block(), 0..6),
            columns in 16_u32..64,
        ) {
            let document = Document { blocks };
            for line in lines(&document, columns) {
                if let Line::Picture(picture) = &line {
                    prop_assert!(picture.dots.width() <= columns * 12);
                }
                if let Line::Row(row) = line {
                    prop_assert!(row.cells() <= columns as usize, "{row:?}");
                    prop_assert!(!row.text.chars().any(char::is_control), "{row:?}");
                    prop_assert!(!row.text.ends_with(' '), "{row:?}");
                }
            }
            for shown in [text(&document, columns), svg(&document, columns * 12)] {
                prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
            }
        }
    }
}

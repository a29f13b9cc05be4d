//! Documents as ESC/POS bytes. Pure: the crate `escpos` writes into memory, all sending is ours.
//!
//! What the crate (0.20.1) gets wrong goes out as `custom` bytes; the tests below name each bug, so that an upgrade
//! that changes one is noticed. Pictures are packed here: the crate wants image files, scales them, and is slow.
use crate::domain::receipt::{Align, Bitmap, CodeBoxes, Document, Glyphs, Line, Row, columns, draw, lines};
use escpos::driver::Driver;
use escpos::errors::PrinterError;
use escpos::printer::Printer;
use escpos::utils::{Encoder, JustifyMode, Protocol};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// FS &: multi-byte characters on. ESC @ may turn them off, so it follows each one.
const MULTI_BYTE_ON: &[u8] = &[0x1c, b'&'];
/// GS V 66 0: feed to the cutter, cut and leave a point. Not the crate's `partial_cut`, which cuts through.
const PARTIAL_CUT: &[u8] = &[0x1d, b'V', 66, 0];
/// Lines between the last text and the cut. Choice: 4, which is the way from the head to the tear bar of printers
/// without a cutter; those ignore the cut itself.
const FEED_LINES: u8 = 4;
/// Rows of dots in one GS v 0. Choice: four lines of text, 5.8 kB on 58 mm: a printer with a small buffer takes it, and
/// trouble is noticed after 15 mm.
const BAND_ROWS: u32 = 120;
/// Lines of text in one piece. Choice: as much paper as three bands.
const PIECE_ROWS: usize = 12;
/// Dots per mm of receipt heads (203 dpi), and per text line at the default spacing of 30.
const DOTS_PER_MM: u64 = 8;
const LINE_DOTS: u64 = 30;

/// The document cannot be put into bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slip cannot be encoded: {0}")]
pub struct EncodeError(String);

impl From<PrinterError> for EncodeError {
    fn from(error: PrinterError) -> Self {
        Self(error.to_string())
    }
}

/// With what a document is written.
#[derive(Clone, Debug)]
pub struct Pen {
    /// Dots on a line.
    pub width_dots: u32,
    /// All lines as pictures; else only those with characters that GB18030 writes in four bytes, because printers that
    /// say GB18030 mostly have the two-byte areas alone.
    pub raster: bool,
    /// Shapes of characters. Without them every line is text.
    pub glyphs: Option<Arc<dyn Glyphs>>,
    /// Lines of paper before the cut.
    pub feed_lines: u8,
    /// The paper is cut, not only fed.
    pub cutter: bool,
}

impl Pen {
    /// For a printer of which no more is known, without shapes.
    #[must_use]
    pub const fn new(width_dots: u32, raster: bool) -> Self {
        Self { width_dots, raster, glyphs: None, feed_lines: FEED_LINES, cutter: true }
    }

    /// Ends what a job that was cut off has left: the zeros are the dots its command may still want, and are skipped
    /// where it wants none; then its paper is cut, lest two slips are taken for one.
    pub(super) fn clearing(&self, open_bytes: usize) -> Vec<u8> {
        [&vec![0; open_bytes], feeding(self.feed_lines).as_slice(), self.cut()].concat()
    }

    /// The command that cuts, or none.
    const fn cut(&self) -> &'static [u8] {
        if self.cutter { PARTIAL_CUT } else { &[] }
    }

    /// How much paper a document takes, in mm and rounded up.
    pub(super) fn height_mm(&self, document: &Document) -> u64 {
        let height = |line: &Line| match line {
            Line::Cut => LINE_DOTS * u64::from(self.feed_lines),
            line => u64::from(line.dots()),
        };
        let dots: u64 = lines(document, columns(self.width_dots)).iter().map(height).sum();
        dots.div_ceil(DOTS_PER_MM)
    }

    /// The shapes for a row that is to be a picture.
    fn shapes(&self, row: &Row) -> Option<&dyn Glyphs> {
        let rare = |c: char| {
            if c.is_ascii() {
                return false;
            }
            let mut utf8 = [0; 4];
            let (code, _, unmappable) = encoding_rs::GB18030.encode(c.encode_utf8(&mut utf8));
            unmappable || code.len() > 2
        };
        self.glyphs.as_deref().filter(|_| self.raster || row.text.chars().any(rare))
    }
}

/// Encodes a document, from ESC @ to the cut, in pieces between which a printer may be asked how it is: no command and
/// no character is divided.
///
/// # Errors
/// A character that GB18030 does not have; the layout lets none pass.
pub fn encode(document: &Document, pen: &Pen) -> Result<Vec<Vec<u8>>, EncodeError> {
    let mut paper = Paper::new(pen)?;
    for line in lines(document, columns(pen.width_dots)) {
        match line {
            Line::Row(row) => match pen.shapes(&row) {
                Some(_) => paper.drawn.push(Line::Row(row)),
                None => paper.write(&row)?,
            },
            Line::Picture(_) => paper.drawn.push(line),
            Line::Cut => {
                paper.draw()?;
                paper.put_text()?;
                paper.printer.feeds(pen.feed_lines)?.custom(pen.cut())?;
                paper.end_piece()?;
            }
        }
    }
    paper.draw()?;
    paper.end_piece()?;
    if let Some(glyphs) = &pen.glyphs {
        glyphs.rest();
    }
    Ok(paper.pieces)
}

/// What has been written, and what waits.
struct Paper<'a> {
    pen: &'a Pen,
    printer: Printer<Memory>,
    /// What the printer has been given since the last piece.
    memory: Rc<RefCell<Vec<u8>>>,
    style: Style,
    /// Lines in this style that wait.
    text: String,
    /// Lines of text since the last piece.
    rows: usize,
    /// Lines that become one picture.
    drawn: Vec<Line>,
    pieces: Vec<Vec<u8>>,
}

impl<'a> Paper<'a> {
    fn new(pen: &'a Pen) -> Result<Self, EncodeError> {
        let (mut printer, memory) = blank();
        printer.init()?.custom(MULTI_BYTE_ON)?;
        let style = Style { align: Align::Left, double: false, bold: false };
        Ok(Self {
            pen,
            printer,
            memory,
            style,
            text: String::new(),
            rows: 0,
            drawn: Vec::new(),
            pieces: Vec::new(),
        })
    }

    fn write(&mut self, row: &Row) -> Result<(), EncodeError> {
        self.draw()?;
        if self.style.differs(row) {
            self.put_text()?;
            self.style.follow(row, &mut self.printer)?;
        }
        self.text.push_str(&row.text);
        self.text.push('\n');
        self.rows = self.rows.saturating_add(1);
        if self.rows >= PIECE_ROWS { self.end_piece() } else { Ok(()) }
    }

    /// Puts the lines that wait onto paper, as bands of dots.
    fn draw(&mut self) -> Result<(), EncodeError> {
        if self.drawn.is_empty() {
            return Ok(());
        }
        self.put_text()?;
        // Rows wait here only where there are shapes for them; pictures need none.
        let glyphs = self.pen.glyphs.as_deref().unwrap_or(&CodeBoxes);
        let picture = draw(&self.drawn, self.pen.width_dots, glyphs);
        self.drawn.clear();
        for band in bands(&picture) {
            self.printer.custom(&band)?;
            self.end_piece()?;
        }
        Ok(())
    }

    /// Hands the crate lines of one style together: each call of it costs as much as a line.
    fn put_text(&mut self) -> Result<(), EncodeError> {
        if !self.text.is_empty() {
            self.printer.write(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    fn end_piece(&mut self) -> Result<(), EncodeError> {
        self.put_text()?;
        self.printer.print()?;
        let piece = self.memory.take();
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        self.rows = 0;
        Ok(())
    }
}

/// A picture as GS v 0 commands, each with at most [`BAND_ROWS`] rows.
fn bands(picture: &Bitmap) -> impl Iterator<Item = Vec<u8>> {
    let row = picture.row_bytes().max(1);
    let [low, high, ..] = row.to_le_bytes();
    picture.bytes().chunks(row.saturating_mul(BAND_ROWS as usize)).map(move |dots| {
        let [rows_low, rows_high, ..] = (dots.len() / row).to_le_bytes();
        [&[0x1d, b'v', b'0', 0, low, high, rows_low, rows_high], dots].concat()
    })
}

/// ESC d: so many lines of paper.
pub(super) const fn feeding(lines: u8) -> [u8; 3] {
    [0x1b, b'd', lines]
}

/// What the printer is set to; commands go out only where a row differs.
struct Style {
    align: Align,
    double: bool,
    bold: bool,
}

impl Style {
    /// True if the row looks different; an empty one looks like any other.
    fn differs(&self, row: &Row) -> bool {
        let same = (self.align, self.double, self.bold) == (row.align, row.double, row.bold);
        !same && !row.text.is_empty()
    }

    fn follow(&mut self, row: &Row, printer: &mut Printer<Memory>) -> Result<(), PrinterError> {
        if row.align != self.align {
            printer.justify(match row.align {
                Align::Left => JustifyMode::LEFT,
                Align::Centre => JustifyMode::CENTER,
                Align::Right => JustifyMode::RIGHT,
            })?;
            self.align = row.align;
        }
        if row.double != self.double {
            let scale = if row.double { 2 } else { 1 };
            printer.size(scale, scale)?;
            self.double = row.double;
        }
        if row.bold != self.bold {
            printer.bold(row.bold)?;
            self.bold = row.bold;
        }
        Ok(())
    }
}

/// The crate's driver that only remembers.
#[derive(Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Driver for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn write(&self, data: &[u8]) -> Result<(), PrinterError> {
        self.0.try_borrow_mut()?.extend_from_slice(data);
        Ok(())
    }

    fn read(&self, _buf: &mut [u8]) -> Result<usize, PrinterError> {
        Ok(0)
    }

    fn flush(&self) -> Result<(), PrinterError> {
        Ok(())
    }
}

fn blank() -> (Printer<Memory>, Rc<RefCell<Vec<u8>>>) {
    let memory = Memory::default();
    let bytes = Rc::clone(&memory.0);
    (Printer::new(memory, Protocol::new(Encoder::new(encoding_rs::GB18030)), None), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::receipt::{Block, Picture};
    use escpos::utils::RealTimeStatusRequest;
    use proptest::prelude::*;

    /// In one piece, as text where no glyphs are at hand.
    fn bytes(document: &Document) -> Vec<u8> {
        encode(document, &Pen::new(384, true)).unwrap().concat()
    }

    fn drawn(document: &Document, raster: bool) -> Vec<Vec<u8>> {
        encode(document, &Pen { glyphs: Some(Arc::new(CodeBoxes)), ..Pen::new(384, raster) }).unwrap()
    }

    fn crate_bytes(
        write: impl for<'p> Fn(&'p mut Printer<Memory>) -> Result<&'p mut Printer<Memory>, PrinterError>,
    ) -> Vec<u8> {
        let (mut printer, memory) = blank();
        write(&mut printer).unwrap();
        printer.print().unwrap();
        memory.take()
    }

    #[test]
    fn a_document_becomes_init_text_and_a_partial_cut() {
        let blocks = vec![Block::centred("签A", true, true), Block::text("12"), Block::Cut];
        let expected: &[&[u8]] = &[
            b"\x1b@\x1c&",
            b"\x1ba\x01\x1d!\x11\x1bE\x01\xc7\xa9A\n",
            b"\x1ba\x00\x1d!\x00\x1bE\x0012\n",
            b"\x1bd\x04\x1dV\x42\x00",
        ];
        assert_eq!(bytes(&Document { blocks }), expected.concat());
    }

    /// Characters outside the two-byte areas go out as the four bytes of GB18030.
    #[test]
    fn rare_characters_take_four_bytes() {
        let rare = Document { blocks: vec![Block::text("𠮷")] };
        assert_eq!(bytes(&rare), b"\x1b@\x1c&\x95\x34\xb2\x35\n");
    }

    /// … where no font is at hand; with one they are drawn, because few printers know four bytes.
    #[test]
    fn a_line_with_a_rare_character_is_drawn_in_text_mode_too() {
        let blocks = vec![Block::text("客户"), Block::text("𠮷先生"), Block::text("12")];
        let pieces = drawn(&Document { blocks }, false);
        let picture = [b"\x1dv0\0\x30\0\x1e\0".as_slice(), &[0; 48]].concat();
        assert_eq!(pieces.len(), 2);
        let text = b"\x1b@\x1c&\xbf\xcd\xbb\xa7\n";
        assert_eq!(pieces[0].len(), text.len() + 8 + 48 * 30);
        assert!(pieces[0].starts_with(&[text, &*picture].concat()), "{:02x?}", pieces[0]);
        assert_eq!(pieces[1], b"12\n");
    }

    /// A shop's picture goes out as dots in text mode too, and without any font, between the lines where it stands.
    #[test]
    fn a_picture_stands_between_lines_of_text() {
        let mut dots = Bitmap::white(8, 2);
        dots.blacken(0, 0);
        let picture = Picture { dots: Arc::new(dots), says: String::new() };
        let blocks = vec![Block::text("1"), Block::Picture(picture), Block::text("2")];
        let mut rows = [0; 96];
        rows[23] = 0x08; // dot 188 of 384
        let expected: &[&[u8]] = &[b"\x1b@\x1c&1\n\x1dv0\0\x30\0\x02\0", &rows, b"2\n"];
        assert_eq!(bytes(&Document { blocks }), expected.concat());
    }

    /// A picture goes out in bands; between two pieces nothing is left open.
    #[test]
    fn a_picture_is_cut_into_bands() {
        let blocks = vec![Block::Feed(9), Block::text("末"), Block::Cut];
        let pieces = drawn(&Document { blocks }, true);
        let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [4 + 8 + 48 * 120, 8 + 48 * 120, 8 + 48 * 60, 7]);
        assert_eq!(pieces[3], b"\x1bd\x04\x1dV\x42\x00");
    }

    /// Crate bug, 0.20.1: `partial_cut` sends m = 65, which is the full cut. We send GS V 66 ourselves.
    #[test]
    fn the_crate_still_cuts_through_for_a_partial_cut() {
        assert_eq!(crate_bytes(|p| p.partial_cut()), b"\x1dV\x41\x01");
    }

    /// Crate bug, 0.20.1: a zero byte follows DLE EOT 1 to 4. We send the three bytes ourselves.
    #[test]
    fn the_crate_still_adds_a_byte_to_status_requests() {
        let bytes = crate_bytes(|p| p.real_time_status(RealTimeStatusRequest::Printer));
        assert_eq!(bytes, b"\x10\x04\x01\x00");
    }

    /// Crate bug, 0.20.1: text goes out with the commands in it. The layout has cleaned ours before.
    #[test]
    fn the_crate_still_lets_commands_pass_in_text_and_the_layout_does_not() {
        assert_eq!(crate_bytes(|p| p.write("a\u{1b}@\u{1d}V\0")), b"a\x1b@\x1dV\0");
        let document = Document { blocks: vec![Block::text("a\u{1b}@\u{1d}V\0")] };
        assert_eq!(bytes(&document), b"\x1b@\x1c&a@V\n");
    }

    /// Crate behaviour, 0.20.1: the one code point that GB18030 lacks is an error; the layout replaces it.
    #[test]
    fn the_crate_refuses_what_gb18030_lacks() {
        assert!(blank().0.write("\u{e5e5}").is_err());
        assert_eq!(bytes(&Document { blocks: vec![Block::text("\u{e5e5}")] }), b"\x1b@\x1c&?\n");
    }

    proptest! {
        /// Whatever a text holds, it can be encoded, and no byte of it is taken for a command.
        #[test]
        fn any_text_is_encoded_and_none_of_it_is_a_command(text in any::<String>()) {
            let bytes = bytes(&Document { blocks: vec![Block::text(text)] });
            let body = bytes.strip_prefix(b"\x1b@\x1c&").unwrap();
            prop_assert!(body.iter().all(|b| *b == b'\n' || *b >= 0x20), "{body:02x?}");
        }
    }
}

//! What the encoder sends against what would be on paper, read back by a reader of its own: text mode in text, cells
//! and emphasis, raster mode dot by dot against the PNG.
//!
//! Needs the font of Debian's fonts-wqy-microhei (`make deps`); tests that draw say so and are left out without it.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail like tests, and say why they are left out"
)]
mod emulator;
mod reader;

use crate::slips::kinds;
use posd::adapters::printer_escpos::{Pen, encode};
use posd::adapters::typeface::{Typeface, png};
use posd::domain::receipt::{
    self, Align, Bitmap, Block, CodeBoxes, Document, Glyphs, LINE_DOTS, Line, Picture, columns, draw, lines,
    pages, picture, unknown,
};
use proptest::prelude::*;
use reader::{Printed, read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The fonts of this machine; `None` is said once on stderr.
pub(crate) fn typeface() -> Option<Arc<dyn Glyphs>> {
    static FACE: OnceLock<Option<Arc<Typeface>>> = OnceLock::new();
    let opened = FACE.get_or_init(|| {
        let opened = Typeface::open().inspect_err(|error| eprintln!("left out: {error}"));
        opened.ok().map(Arc::new)
    });
    opened.clone().map(|face| face as Arc<dyn Glyphs>)
}

fn one(text: &str) -> Document {
    Document { blocks: vec![Block::text(text), Block::Cut] }
}

fn sent(document: &Document, width_dots: u32, raster: bool, glyphs: Option<Arc<dyn Glyphs>>) -> Vec<u8> {
    encode(document, &Pen { glyphs, ..Pen::new(width_dots, raster) }).unwrap().concat()
}

/// Text mode: every line has the characters, the place, the size and the weight of the layout.
#[track_caller]
fn text_mode_agrees(document: &Document, width_dots: u32) {
    let sheets = read(&sent(document, width_dots, false, None), width_dots as usize).unwrap();
    let mut printed = sheets.iter().flat_map(|sheet| &sheet.printed);
    let columns = columns(width_dots);
    for line in lines(document, columns) {
        let row = match line {
            Line::Row(row) => row,
            Line::Picture(_) => {
                dots_agree(&draw(&[line], width_dots, &CodeBoxes), &mut printed);
                continue;
            }
            Line::Cut => {
                assert_eq!(printed.next(), Some(&Printed::Feed(4)));
                continue;
            }
        };
        let Some(Printed::Line(line)) = printed.next() else { panic!("no line for {row:?}") };
        let free = columns as usize - row.cells();
        let from = match row.align {
            _ if row.text.is_empty() => line.from,
            Align::Left => 0,
            Align::Centre => free / 2,
            Align::Right => free,
        };
        assert_eq!((&line.text, line.from, line.cells), (&row.text, from, row.cells()));
        if !row.text.is_empty() {
            assert_eq!((line.bold, line.double), (row.bold, row.double), "{row:?}");
        }
    }
    assert_eq!(printed.next(), None);
}

/// The next rows of dots are those of a picture.
#[track_caller]
fn dots_agree<'a>(picture: &Bitmap, printed: &mut impl Iterator<Item = &'a Printed>) {
    for row in picture.bytes().chunks(picture.row_bytes()) {
        assert_eq!(printed.next(), Some(&Printed::Dots(row.to_vec())));
    }
}

/// Raster mode: the dots on paper are the pixels of the PNG.
#[track_caller]
fn raster_mode_agrees(document: &Document, width_dots: u32, glyphs: &Arc<dyn Glyphs>) {
    let drawn = pages(document, width_dots, glyphs.as_ref());
    let sheets =
        read(&sent(document, width_dots, true, Some(Arc::clone(glyphs))), width_dots as usize).unwrap();
    assert_eq!(drawn.len(), sheets.len());
    for (page, sheet) in drawn.iter().zip(&sheets) {
        assert_eq!(page.cut, sheet.cut);
        let dots: Vec<u8> = sheet
            .printed
            .iter()
            .flat_map(|printed| match printed {
                Printed::Dots(row) => row.as_slice(),
                Printed::Feed(_) => &[],
                Printed::Line(line) => panic!("text on a picture: {line:?}"),
            })
            .copied()
            .collect();
        if page.bitmap.height() == 0 {
            assert!(dots.is_empty());
            continue;
        }
        let file = png(&picture(std::slice::from_ref(page))).unwrap();
        assert!(pixels(file) == Some((width_dots, dots)), "dots and pixels differ");
    }
}

#[test]
fn every_slip_says_the_same_as_text_on_paper() {
    for (name, document) in kinds() {
        for width_dots in [384, 576] {
            eprintln!("{name} on {width_dots}");
            text_mode_agrees(&document, width_dots);
        }
    }
}

#[test]
fn every_slip_is_dot_by_dot_the_picture() {
    let Some(glyphs) = typeface() else { return };
    for (name, document) in kinds() {
        for width_dots in [384, 576] {
            eprintln!("{name} on {width_dots}");
            raster_mode_agrees(&document, width_dots, &glyphs);
        }
    }
}

/// Pictures of Chinese slips stand in the documentation as a head of 384 dots draws them. They are drawn anew with
/// `POSD_BLESS=1`.
#[test]
fn the_documentation_shows_the_slips_as_they_are_printed() {
    let Some(glyphs) = typeface() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/slips");
    let bless = std::env::var_os("POSD_BLESS").is_some();
    for (name, document) in kinds().into_iter().filter(|(name, _)| name.ends_with("-zh")) {
        let path = folder.join(format!("{}.png", name.trim_end_matches("-zh")));
        let drawn = png(&picture(&pages(&document, 384, glyphs.as_ref()))).unwrap();
        if bless {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &drawn).unwrap();
        }
        let shown = std::fs::read(&path).unwrap_or_default();
        assert!(pixels(shown) == pixels(drawn), "{}: not as it is printed", path.display());
    }
}

/// The picture of the shop that tests and documentation show.
#[test]
fn the_shops_picture_is_the_one_in_its_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/logo.png");
    let drawn = png(&crate::slips::teacup()).unwrap();
    if std::env::var_os("POSD_BLESS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    assert!(pixels(std::fs::read(path).unwrap()) == pixels(drawn));
}

/// Width and bits of a PNG with one bit a pixel, black set; nothing of what is none.
fn pixels(file: Vec<u8>) -> Option<(u32, Vec<u8>)> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().ok()?;
    let mut bits = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut bits).ok()?;
    assert_eq!(info.bit_depth, png::BitDepth::One);
    Some((info.width, bits.iter().map(|byte| !byte).collect()))
}

/// All two-byte characters of GB18030, GB2312 among them, without those of private use, which have no meaning.
fn two_byte_characters() -> Vec<char> {
    let codes = (0x81..=0xfe_u8).flat_map(|lead| (0x40..=0xfe_u8).map(move |trail| [lead, trail]));
    let decoded = codes.filter_map(|code| {
        let text =
            encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(&code)?.into_owned();
        let mut chars = text.chars();
        chars.next().filter(|c| chars.next().is_none() && !matches!(c, '\u{e000}'..='\u{f8ff}'))
    });
    decoded.collect()
}

/// Characters of names that GB18030 writes in four bytes: extensions A and B.
fn four_byte_characters() -> Vec<char> {
    let both = ('\u{3400}'..='\u{4db5}').step_by(13).chain(('\u{20000}'..='\u{2a6d6}').step_by(73));
    // Some of extension A stand in the two-byte area.
    both.filter(|c| encoding_rs::GB18030.encode(&c.to_string()).0.len() == 4).collect()
}

/// In text mode every character of GBK reaches the printer as itself; the ideographic space at an end is left out.
#[test]
fn every_character_of_gbk_goes_out_as_itself() {
    let all = two_byte_characters();
    assert!(all.len() > 21_000, "{}", all.len());
    let all: Vec<char> = all.into_iter().filter(|c| *c != '\u{3000}').collect();
    for row in all.chunks(15) {
        let row: String = row.iter().collect();
        let sheets = read(&sent(&one(&row), 384, false, typeface()), 384).unwrap();
        match &sheets[0].printed[0] {
            Printed::Line(line) => assert_eq!(line.text, row),
            other => panic!("{row}: {other:?}"),
        }
    }
}

/// Rare characters go out as their four bytes where there is no font, and as dots where there is one; never as `?`.
#[test]
fn a_thousand_rare_characters_are_printed_and_none_as_a_question_mark() {
    let all = four_byte_characters();
    assert!(all.len() >= 1000, "{}", all.len());
    for c in &all {
        let sheets = read(&sent(&one(&c.to_string()), 384, false, None), 384).unwrap();
        let Printed::Line(line) = &sheets[0].printed[0] else { panic!("{c} is drawn without a font") };
        assert_eq!(line.text, c.to_string());
    }
    let Some(glyphs) = typeface() else { return };
    let question = glyphs.glyph('?', false);
    let mut boxes = 0;
    for c in all {
        let sheets = read(&sent(&one(&c.to_string()), 384, false, Some(Arc::clone(&glyphs))), 384).unwrap();
        let rows = sheets[0].printed.iter().filter(|printed| matches!(printed, Printed::Dots(_))).count();
        assert_eq!(rows, LINE_DOTS as usize, "{c}");
        let glyph = glyphs.glyph(c, false);
        assert!(!glyph.is_blank() && glyph != question, "{c}");
        boxes += usize::from(*glyph == unknown(c, false));
    }
    eprintln!(
        "{boxes} rare characters are in no font of this machine and are drawn as boxes with their code"
    );
}

/// The fonts have what the table of a Chinese printer has: of GBK at most a handful is drawn as a box.
#[test]
fn the_fonts_know_gbk() {
    let Some(glyphs) = typeface() else { return };
    let all = two_byte_characters().into_iter().filter(|c| !c.is_whitespace());
    let missing: Vec<char> = all.filter(|c| *glyphs.glyph(*c, false) == unknown(*c, false)).collect();
    assert!(missing.len() <= 80, "{} missing: {missing:?}", missing.len());
    assert_eq!(missing.iter().filter(|c| ('\u{4e00}'..='\u{9fa5}').contains(*c)).count(), 0, "{missing:?}");
    eprintln!("{} of GBK are in no font of this machine: {missing:?}", missing.len());
}

/// A machine without the font says which package brings it.
#[test]
fn a_missing_font_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Typeface::open_in(folder.path()).unwrap_err().to_string();
    assert!(error.contains("wqy-microhei.ttc") && error.contains("install fonts-wqy-microhei"), "{error}");
}

fn any_document() -> impl Strategy<Value = Document> {
    let any_text = || any::<String>();
    let any_align = prop_oneof![Just(Align::Left), Just(Align::Centre), Just(Align::Right)];
    let block = prop_oneof![
        (any_text(), any_align, any::<bool>(), any::<bool>())
            .prop_map(|(text, align, double, bold)| Block::Text { text, align, double, bold }),
        (any_text(), any_text(), any::<bool>()).prop_map(|(label, value, double)| Block::Pair {
            label,
            value,
            double
        }),
        any_text().prop_map(Block::Qr),
        (1_u32..700, proptest::collection::vec((0_u32..700, 0_u32..40), 0..99)).prop_map(|(width, black)| {
            let mut dots = Bitmap::white(width, 40);
            black.into_iter().for_each(|(x, y)| dots.blacken(x, y));
            Block::Picture(Picture { dots: Arc::new(dots), says: String::new() })
        }),
        Just(Block::Rule),
        (0_u8..4).prop_map(Block::Feed),
        Just(Block::Cut),
    ];
    proptest::collection::vec(block, 0..6).prop_map(|blocks| Document { blocks })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    /// Any text at any width: the reader finds nothing but known commands, no line over the width, and the text.
    #[test]
    fn whatever_a_document_says_is_what_the_paper_says(document in any_document(), bytes in 24_u32..129) {
        text_mode_agrees(&document, bytes * 8);
        if let Some(glyphs) = typeface() {
            raster_mode_agrees(&document, bytes * 8, &glyphs);
        }
        let shown = receipt::text(&document, columns(bytes * 8));
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
    }
}

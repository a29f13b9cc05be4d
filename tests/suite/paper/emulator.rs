//! Slips for a reader that we did not write: `make check-paper` has the emulator emupos print them and compares.
use super::{sent, typeface};
use crate::slips::kinds;
use posd::adapters::typeface::png;
use posd::domain::receipt::{Align, Line, columns, lines, pages, picture};
use std::fmt::Write as _;
use std::path::PathBuf;

/// Writes each slip as the bytes for a printer, and what then has to be on paper: for raster mode its picture, for text
/// mode a line for each line: first dot, cells, 2 if double, 1 if bold, text; or for a picture: first dot, dots, 0, rows.
#[test]
#[ignore = "writes for tests/oracle/paper_emupos.py: make check-paper"]
fn slips_for_another_reader() {
    let out = PathBuf::from(std::env::var_os("POSD_PAPER_OUT").expect("POSD_PAPER_OUT names a folder"));
    let glyphs = typeface().expect("raster mode needs the fonts");
    for (name, document) in kinds() {
        for width_dots in [384, 576] {
            let path = |mode: &str, end: &str| out.join(format!("{name}.{width_dots}.{mode}.{end}"));
            std::fs::write(path("text", "bin"), sent(&document, width_dots, false, None)).unwrap();
            let mut rows = String::new();
            let columns = columns(width_dots);
            for line in lines(&document, columns) {
                let row = match line {
                    Line::Row(row) => row,
                    Line::Picture(picture) => {
                        let (wide, high) = (picture.dots.width(), picture.dots.height());
                        writeln!(rows, "{}\t{wide}\t0\t{high}\t", (width_dots - wide) / 2).unwrap();
                        continue;
                    }
                    Line::Cut => continue,
                };
                let free_dots = (columns as usize - row.cells()) * 12;
                let from = match row.align {
                    Align::Left => 0,
                    Align::Centre => free_dots / 2,
                    Align::Right => free_dots,
                };
                let (cells, double, bold) = (row.cells(), 1 + u8::from(row.double), u8::from(row.bold));
                writeln!(rows, "{from}\t{cells}\t{double}\t{bold}\t{}", row.text).unwrap();
            }
            std::fs::write(path("text", "rows"), rows).unwrap();
            let drawn = picture(&pages(&document, width_dots, glyphs.as_ref()));
            let raster = sent(&document, width_dots, true, Some(std::sync::Arc::clone(&glyphs)));
            std::fs::write(path("raster", "bin"), raster).unwrap();
            std::fs::write(path("raster", "png"), png(&drawn).unwrap()).unwrap();
        }
    }
}

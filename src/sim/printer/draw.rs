//! Paper: lines of characters on a grid of cells, as text and as a picture. One dot of the head is one pixel.
use super::mechanism::Message;
use ab_glyph::{Font as _, FontVec, PxScale};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender};

const CELL: usize = 12;
const GLYPH: usize = 24;
/// A little smaller, so that wide letters do not touch.
const ASCII: usize = 22;
const LINE: usize = 30;
/// White paper around the print.
const MARGIN: usize = 20;
const WHITE: u8 = 0xff;
const EDGE: u8 = 0xd8;

/// Fonts with hanzi, best first, and which of the file's faces has ASCII at half the width.
const FONTS: &[(&str, u32)] = &[
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", 1),
    ("/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc", 1),
];

/// A character in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Glyph {
    pub(super) c: char,
    pub(super) bold: bool,
    /// 1 or 2.
    pub(super) scale: u8,
}

impl Glyph {
    fn cells(self) -> usize {
        if self.c.is_ascii() { 1 } else { 2 }
    }

    fn dots(self) -> usize {
        self.cells() * CELL * usize::from(self.scale)
    }
}

struct PaperLine {
    glyphs: Vec<Glyph>,
    align: u8,
    /// A picture in place of characters.
    dots: Option<Dots>,
}

struct Dots {
    row_bytes: usize,
    bytes: Vec<u8>,
}

impl PaperLine {
    fn indent(&self, free: usize) -> usize {
        match self.align {
            0 => 0,
            1 => free / 2,
            _ => free,
        }
    }
}

/// A strip of paper.
pub(super) struct Strip {
    dots: usize,
    lines: Vec<PaperLine>,
}

impl Strip {
    pub(super) fn new(width_dots: u32) -> Self {
        Self { dots: width_dots as usize, lines: Vec::new() }
    }

    /// Adds a line; says so if it is too wide, and prints it all the same.
    pub(super) fn add(&mut self, glyphs: Vec<Glyph>, align: u8) -> Result<(), String> {
        let dots: usize = glyphs.iter().map(|glyph| glyph.dots()).sum();
        let text: String = glyphs.iter().map(|glyph| glyph.c).collect();
        self.lines.push(PaperLine { glyphs, align, dots: None });
        if dots <= self.dots { Ok(()) } else { Err(format!("a line of {dots} dots: {text}")) }
    }

    /// Adds a picture; says so if it is too wide, and prints it all the same.
    pub(super) fn add_dots(&mut self, row_bytes: usize, bytes: Vec<u8>) -> Result<(), String> {
        let fits = row_bytes * 8 <= self.dots;
        let dots = Some(Dots { row_bytes: row_bytes.max(1), bytes });
        self.lines.push(PaperLine { glyphs: Vec::new(), align: 0, dots });
        if fits { Ok(()) } else { Err(format!("a picture of {row_bytes} bytes a row")) }
    }

    /// Takes off what has been printed.
    pub(super) fn cut(&mut self) -> Self {
        Self { dots: self.dots, lines: std::mem::take(&mut self.lines) }
    }

    /// The lines as UTF-8, doubled ones at single size and aligned as such; no empty lines at the end. Pictures that
    /// follow each other are a line with their number of rows.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let mut drawn = 0;
        for line in &self.lines {
            if let Some(dots) = &line.dots {
                drawn += dots.bytes.len() / dots.row_bytes;
                continue;
            }
            if drawn > 0 {
                out.push_str(&format!("[{drawn} rows of dots]\n"));
                drawn = 0;
            }
            let cells: usize = line.glyphs.iter().map(|glyph| glyph.cells()).sum();
            let text: String = line.glyphs.iter().map(|glyph| glyph.c).collect();
            let indent = line.indent((self.dots / CELL).saturating_sub(cells));
            out.push_str(format!("{}{text}", " ".repeat(indent)).trim_end());
            out.push('\n');
        }
        if drawn > 0 {
            out.push_str(&format!("[{drawn} rows of dots]\n"));
        }
        let end = out.trim_end().len();
        out.truncate(end);
        if !out.is_empty() {
            out.push('\n');
        }
        out
    }
}

/// Draws strips into files until nobody sends any more.
pub(super) fn run(strips: &Receiver<(PathBuf, Strip)>, drawn: &SyncSender<Message>) {
    let font = load();
    while let Ok((path, strip)) = strips.recv() {
        let picture = font.as_ref().map_err(Clone::clone).and_then(|font| draw(font, &strip));
        let result = picture.and_then(|png| {
            std::fs::write(&path, png).map_err(|error| format!("{}: {error}", path.display()))
        });
        if drawn.send(Message::Drawn(result)).is_err() {
            return;
        }
    }
}

/// The strip as PNG, or why it cannot be drawn.
fn draw(font: &FontVec, strip: &Strip) -> Result<Vec<u8>, String> {
    let heights = strip.lines.iter().map(|line| {
        if let Some(dots) = &line.dots {
            return dots.bytes.len() / dots.row_bytes;
        }
        let scale = line.glyphs.iter().map(|glyph| usize::from(glyph.scale)).max().unwrap_or(1);
        LINE.max(GLYPH * scale + LINE - GLYPH)
    });
    let height: usize = heights.clone().sum::<usize>() + 2 * MARGIN;
    let mut image = Image::new(strip.dots + 2 * MARGIN, height);
    let mut top = MARGIN;
    for (line, line_height) in strip.lines.iter().zip(heights) {
        if let Some(dots) = &line.dots {
            image.dots(dots, top);
        }
        let dots: usize = line.glyphs.iter().map(|glyph| glyph.dots()).sum();
        let mut x = MARGIN + line.indent(strip.dots.saturating_sub(dots));
        for glyph in &line.glyphs {
            image.ink(font, *glyph, x, top + line_height);
            x += glyph.dots();
        }
        top += line_height;
    }
    image.png()
}

fn load() -> Result<FontVec, String> {
    for (path, face) in FONTS {
        if let Ok(bytes) = std::fs::read(path) {
            return FontVec::try_from_vec_and_index(bytes, *face).map_err(|why| format!("{path}: {why}"));
        }
    }
    Err("no font with hanzi is installed (Debian: fonts-wqy-microhei)".to_owned())
}

struct Image {
    width: usize,
    pixels: Vec<u8>,
}

impl Image {
    fn new(width: usize, height: usize) -> Self {
        let mut image = Self { width, pixels: vec![WHITE; width * height] };
        for (at, pixel) in image.pixels.iter_mut().enumerate() {
            let (x, y) = (at % width, at / width);
            if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
                *pixel = EDGE;
            }
        }
        image
    }

    /// Draws one character into its cells; `bottom` is the lower edge of its line.
    fn ink(&mut self, font: &FontVec, glyph: Glyph, left: usize, bottom: usize) {
        if glyph.c == '-' {
            return self.dash(glyph, left, bottom);
        }
        let scale = usize::from(glyph.scale);
        let size = if glyph.c.is_ascii() { ASCII } else { GLYPH };
        let em = font.units_per_em().unwrap_or(1000.0);
        #[allow(clippy::cast_precision_loss, reason = "below 50")]
        let size = PxScale::from((size * scale) as f32 * font.height_unscaled() / em);
        let Some(outline) = font.outline_glyph(font.glyph_id(glyph.c).with_scale(size)) else { return };
        let bounds = outline.px_bounds();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole, positive, below 50"
        )]
        let (width, above) = (bounds.width() as usize, (-bounds.min.y).max(0.0) as usize);
        // In the middle of its cells, on a base line a sixth above their lower edge.
        let x = left + glyph.dots().saturating_sub(width) / 2;
        let top = bottom.saturating_sub(GLYPH * scale / 6 + (LINE - GLYPH) / 2 + above);
        outline.draw(|column, row, ink| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 1 becomes a byte"
            )]
            let ink = (ink.clamp(0.0, 1.0) * f32::from(u8::MAX)) as u8;
            for spread in 0..=usize::from(glyph.bold) {
                self.darken(x + column as usize + spread, top + row as usize, ink);
            }
        });
    }

    /// A hyphen as wide as its cell, so that a line of them is a rule as on real heads, with gaps of four dots.
    fn dash(&mut self, glyph: Glyph, left: usize, bottom: usize) {
        let scale = usize::from(glyph.scale);
        let y = bottom.saturating_sub(LINE * scale / 2);
        for x in left + 2 * scale..(left + glyph.dots()).saturating_sub(2 * scale) {
            for thick in 0..2 * scale {
                self.darken(x, y + thick, u8::MAX);
            }
        }
    }

    fn dots(&mut self, dots: &Dots, top: usize) {
        for (row, bytes) in dots.bytes.chunks(dots.row_bytes).enumerate() {
            for x in (0..dots.row_bytes * 8)
                .filter(|x| bytes.get(x / 8).is_some_and(|b| b & (0x80 >> (x % 8)) != 0))
            {
                self.darken(MARGIN + x, top + row, u8::MAX);
            }
        }
    }

    fn darken(&mut self, x: usize, y: usize, ink: u8) {
        if x >= self.width {
            return;
        }
        if let Some(pixel) = self.pixels.get_mut(y * self.width + x) {
            *pixel = (*pixel).min(WHITE - ink);
        }
    }

    fn png(&self) -> Result<Vec<u8>, String> {
        let side = |dots: usize| u32::try_from(dots).map_err(|_| "the receipt is too long".to_owned());
        let height = self.pixels.len() / self.width;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side(self.width)?, side(height)?);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        written.map_err(|why| why.to_string())?;
        Ok(file)
    }
}

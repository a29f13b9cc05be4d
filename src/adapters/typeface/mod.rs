//! The fonts of this machine as glyphs for receipts, and receipts as PNG.
//!
//! Hanzi and ASCII come from WenQuanYi Micro Hei, whose monospaced face has half-width letters; what it lacks (rare
//! characters of names) from GNU Unifont; what that lacks too is drawn as a box with the code point. Outlines are
//! turned into dots by the crate `ab_glyph`, which reads them where they are wanted: `fontdue` reads a whole font at
//! once, which took 180 MB and half a second for this one against 7 MB and 12 ms (measured 2026-11-26, unoptimised).
mod png;
mod whole;

use crate::domain::receipt::{CELL_DOTS, Glyph, Glyphs, LINE_DOTS, blank, unknown};
use ab_glyph::{Font as _, FontVec, PxScale, ScaleFont as _, point};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use png::png;

/// Where fonts with hanzi are, best first, and which face of the file is the monospaced one.
const MAIN: &[(&str, u32)] = &[
    ("truetype/wqy/wqy-microhei.ttc", 1),
    ("wenquanyi/wqy-microhei/wqy-microhei.ttc", 1),
    ("truetype/wqy/wqy-zenhei.ttc", 1),
];
/// Where the fonts for rare characters are: plane 0, planes 1 and up.
const RARE: &[&str] = &[
    "opentype/unifont/unifont.otf",
    "opentype/unifont/unifont_jp.otf",
    "opentype/unifont/unifont_upper.otf",
];
/// The folder of fonts.
const FOLDER: &str = "/usr/share/fonts";
/// Glyphs that are remembered; then all are forgotten. A day's slips have some hundred different ones.
const CACHE_MAX: usize = 2048;
/// Size of a hanzi in dots, and the row on which it stands, counted from the top of its line.
const EM: f32 = 24.0;
const BASELINE: f32 = 23.0;
/// From how much cover on a dot is black. Choice: half, seen on paper-sized pictures; less fills narrow hanzi up.
const INK: f32 = 0.5;

/// No font for receipts is on this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no font for receipts: {} is missing or broken; install fonts-wqy-microhei", .0.display())]
pub struct NoFont(PathBuf);

/// Fonts, and the glyphs already drawn. The files are in memory only while a slip is drawn that has new characters.
pub struct Typeface {
    folder: PathBuf,
    /// File of the main font, and which face of it.
    main: (PathBuf, u32),
    desk: Mutex<Desk>,
}

/// What is drawn, and what it is drawn with.
#[derive(Default)]
struct Desk {
    glyphs: HashMap<(char, bool), Arc<Glyph>>,
    /// `None`: not opened; empty: none there.
    main: Option<Vec<Face>>,
    rare: Option<Vec<Face>>,
}

impl core::fmt::Debug for Typeface {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Typeface").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Typeface {
    /// Finds the main font of the machine. Files are read when a character is wanted that has not been drawn, and let
    /// go by [`Glyphs::rest`].
    ///
    /// # Errors
    /// [`NoFont`]: none of the known ones is there.
    pub fn open() -> Result<Self, NoFont> {
        Self::open_in(Path::new(FOLDER))
    }

    /// Finds the fonts below another folder.
    ///
    /// # Errors
    /// [`NoFont`].
    pub fn open_in(folder: &Path) -> Result<Self, NoFont> {
        let places = MAIN.iter().map(|(name, face)| (folder.join(name), *face));
        let main = places.into_iter().find(|(path, face)| whole::is_whole(path, *face));
        let missing = || NoFont(folder.join(MAIN.first().map_or("", |(name, _)| name)));
        let (folder, main) = (folder.to_owned(), main.ok_or_else(missing)?);
        Ok(Self { folder, main, desk: Mutex::new(Desk::default()) })
    }

    fn draw(&self, desk: &mut Desk, c: char, double: bool) -> Glyph {
        let (path, face) = &self.main;
        let main = desk.main.get_or_insert_with(|| {
            let opened = Face::open(path, *face);
            if opened.is_none() {
                tracing::error!(font = %path.display(), "cannot be read any more; characters are boxes");
            }
            opened.into_iter().collect()
        });
        if let Some(glyph) = main.iter().find_map(|face| face.draw(c, double)) {
            return glyph;
        }
        let open = |name: &&str| Face::open(&self.folder.join(name), 0);
        let rare = desk.rare.get_or_insert_with(|| RARE.iter().filter_map(open).collect());
        rare.iter().find_map(|face| face.draw(c, double)).unwrap_or_else(|| unknown(c, double))
    }
}

impl Glyphs for Typeface {
    fn glyph(&self, c: char, double: bool) -> Arc<Glyph> {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(glyph) = desk.glyphs.get(&(c, double)) {
            return Arc::clone(glyph);
        }
        if desk.glyphs.len() >= CACHE_MAX {
            desk.glyphs.clear();
        }
        let glyph = Arc::new(self.draw(&mut desk, c, double));
        desk.glyphs.insert((c, double), Arc::clone(&glyph));
        glyph
    }

    fn rest(&self) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        (desk.main, desk.rare) = (None, None);
    }
}

/// One face of one font file.
struct Face {
    font: FontVec,
    /// Size in dots as the crate counts it, at which a hanzi is [`EM`] dots wide.
    size: f32,
}

impl Face {
    fn open(path: &Path, face: u32) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let font = FontVec::try_from_vec_and_index(bytes, face).ok()?;
        let size = EM * font.height_unscaled() / font.units_per_em()?;
        size.is_finite().then_some(Self { font, size })
    }

    /// The character in its box, `None` where the font has none. Characters that are wider than their box are made
    /// narrower; those that are not are put in its middle.
    fn draw(&self, c: char, double: bool) -> Option<Glyph> {
        let id = self.font.glyph_id(c);
        if id.0 == 0 {
            return None;
        }
        let mut glyph = blank(c, double);
        let scale = if double { 2.0 } else { 1.0 };
        let wide = if glyph.width() > CELL_DOTS * if double { 2 } else { 1 } { EM } else { EM / 2.0 } * scale;
        let size = PxScale::from(self.size * scale);
        let advance = self.font.as_scaled(size).h_advance(id);
        let squeeze = if advance > wide { wide / advance } else { 1.0 };
        let size = PxScale { x: size.x * squeeze, y: size.y };
        let left = (wide - advance * squeeze) / 2.0;
        let outline =
            self.font.outline_glyph(id.with_scale_and_position(size, point(left, BASELINE * scale)));
        if let Some(outline) = outline {
            let corner = outline.px_bounds().min;
            outline.draw(|x, y, cover| {
                if let (Some(x), Some(y)) = (dot(corner.x, x), dot(corner.y, y))
                    && cover >= INK
                {
                    glyph.blacken(x, y);
                }
            });
        }
        Some(glyph)
    }
}

/// A dot of an outline in its box; `None` where it would stand left of or above it.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole and within 0..=LIMIT: checked"
)]
fn dot(corner: f32, offset: u32) -> Option<u32> {
    const LIMIT: u32 = LINE_DOTS * 4;
    if offset > LIMIT || corner.abs() > LIMIT as f32 {
        return None;
    }
    (corner as i32).checked_add_unsigned(offset)?.try_into().ok()
}

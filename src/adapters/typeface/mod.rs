//! The fonts of this machine as glyphs for receipts, and receipts as PNG.
//!
//! Hanzi and ASCII come from WenQuanYi Micro Hei, whose monospaced face has half-width letters; what it lacks (rare
//! characters of names) from GNU Unifont; what that lacks too is drawn as a box with the code point. Outlines are
//! turned into dots by the crate `ab_glyph`, which reads them where they are wanted: `fontdue` reads a whole font at
//! once, which took 180 MB and half a second for this one against 7 MB and 12 ms (measured 2026-11-26, unoptimised).
mod png;

use crate::domain::receipt::{CELL_DOTS, Glyph, Glyphs, LINE_DOTS, blank, unknown};
use ab_glyph::{Font as _, FontVec, PxScale, ScaleFont as _, point};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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

/// Fonts, and the glyphs already drawn.
pub struct Typeface {
    main: Face,
    rare: OnceLock<Vec<Face>>,
    folder: PathBuf,
    cache: Mutex<HashMap<(char, bool), Arc<Glyph>>>,
}

impl core::fmt::Debug for Typeface {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Typeface").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Typeface {
    /// Opens the main font of the machine; the others when a character first wants them.
    ///
    /// # Errors
    /// [`NoFont`]: none of the known ones is there.
    pub fn open() -> Result<Self, NoFont> {
        Self::open_in(Path::new(FOLDER))
    }

    /// Opens the fonts below another folder.
    ///
    /// # Errors
    /// [`NoFont`].
    pub fn open_in(folder: &Path) -> Result<Self, NoFont> {
        let main = MAIN.iter().find_map(|(name, face)| Face::open(&folder.join(name), *face));
        let missing = || NoFont(folder.join(MAIN.first().map_or("", |(name, _)| name)));
        Ok(Self {
            main: main.ok_or_else(missing)?,
            rare: OnceLock::new(),
            folder: folder.to_owned(),
            cache: Mutex::new(HashMap::new()),
        })
    }

    fn draw(&self, c: char, double: bool) -> Glyph {
        let rare = || {
            let open = |name: &&str| Face::open(&self.folder.join(name), 0);
            self.rare.get_or_init(|| RARE.iter().filter_map(open).collect())
        };
        let drawn = self.main.draw(c, double);
        drawn
            .or_else(|| rare().iter().find_map(|face| face.draw(c, double)))
            .unwrap_or_else(|| unknown(c, double))
    }
}

impl Glyphs for Typeface {
    fn glyph(&self, c: char, double: bool) -> Arc<Glyph> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(glyph) = cache.get(&(c, double)) {
            return Arc::clone(glyph);
        }
        if cache.len() >= CACHE_MAX {
            cache.clear();
        }
        let glyph = Arc::new(self.draw(c, double));
        cache.insert((c, double), Arc::clone(&glyph));
        glyph
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

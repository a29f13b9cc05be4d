//! Pictures on a slip: what a shop has drawn, and QR codes.
use super::CELL_DOTS;
use super::bitmap::Bitmap;
use qrcodegen::{QrCode, QrCodeEcc};
use std::sync::Arc;

/// White modules around a QR code. Source: ISO/IEC 18004, 9.1 (quiet zone). Spec: unverified.
const QUIET_MODULES: u32 = 4;
/// Narrowest and widest module, in dots: 0.25 mm, below which heat runs together, and 0.75 mm, which any phone reads.
const MODULE_DOTS: core::ops::RangeInclusive<u32> = 2..=6;

/// Dots in the middle of the paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What is drawn.
    pub dots: Arc<Bitmap>,
    /// What stands there where nothing can be drawn; may be empty.
    pub says: String,
}

impl Picture {
    /// The picture for a line of so many cells: one that is wider is drawn at half its size, as often as it takes.
    pub(super) fn fitted(&self, columns: u32) -> Self {
        let width = columns.saturating_mul(CELL_DOTS);
        let mut dots = Arc::clone(&self.dots);
        while dots.width() > width {
            dots = Arc::new(dots.halved());
        }
        Self { dots, says: self.says.clone() }
    }
}

/// The modules of a QR code without white around them, a dot each; `None` for a text that is too long for one. Error
/// correction is at level M, because thermal paper fades and creases.
#[must_use]
pub fn qr(text: &str) -> Option<Bitmap> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = u32::try_from(code.size()).ok()?;
    let mut modules = Bitmap::white(size, size);
    for (y, row) in (0..size).zip(0_i32..) {
        for (x, column) in (0..size).zip(0_i32..) {
            if code.get_module(column, row) {
                modules.blacken(x, y);
            }
        }
    }
    Some(modules)
}

/// A QR code as large as a line of so many cells lets it be; `None` where it does not fit.
pub(super) fn qr_picture(text: &str, columns: u32) -> Option<Picture> {
    let modules = qr(text)?;
    let around = modules.width().saturating_add(QUIET_MODULES * 2);
    let module = (columns.saturating_mul(CELL_DOTS) / around.max(1)).min(*MODULE_DOTS.end());
    let dots = modules.magnified(module, QUIET_MODULES).filter(|_| MODULE_DOTS.contains(&module))?;
    Some(Picture { dots: Arc::new(dots), says: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finder patterns stand in three corners, with white around the whole.
    #[test]
    fn a_qr_code_fills_its_line_and_has_white_around_it() {
        let drawn = qr_picture("https://example.org/i/1042", 32).unwrap().dots;
        let modules = qr("https://example.org/i/1042").unwrap().width();
        assert_eq!(drawn.width(), (modules + 8) * 6);
        assert_eq!(drawn.height(), drawn.width());
        let module = |x: u32, y: u32| drawn.is_black((4 + x) * 6, (4 + y) * 6);
        for (x, y) in [(0, 0), (modules - 7, 0), (0, modules - 7)] {
            let ring: Vec<bool> = (0..7).map(|step| module(x + step, y)).collect();
            assert_eq!(ring, [true; 7], "{x} {y}");
            assert!(!module(x + 1, y + 1) && module(x + 3, y + 3), "{x} {y}");
        }
        assert!((0..drawn.width()).all(|at| !drawn.is_black(at, 23) && !drawn.is_black(23, at)));
    }

    #[test]
    fn a_picture_that_is_too_wide_is_halved_and_a_code_that_is_too_dense_is_none() {
        let mut dots = Bitmap::white(400, 4);
        (0..4).for_each(|x| (0..4).for_each(|y| dots.blacken(x, y)));
        let fitted = Picture { dots: Arc::new(dots), says: String::new() }.fitted(16).dots;
        assert_eq!((fitted.width(), fitted.height()), (100, 1));
        assert!(fitted.is_black(0, 0) && !fitted.is_black(1, 0));
        assert_eq!(qr_picture(&"x".repeat(2000), 16), None);
        assert_eq!(qr(&"x".repeat(4000)), None);
    }
}

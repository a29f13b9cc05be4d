//! What a shop adds to its slips: a picture at their head, words and a QR code at the foot of the cardholder's ply.
//!
//! It is data and is checked when it is loaded, so that no slip fails on it later. It stands beside what the scheme
//! asks for and never in place of it. Choice: what the shop says to its customers stands on their ply alone; those that
//! are kept as evidence end with the signature.
use crate::domain::receipt::{Bitmap, Block, Picture, qr};
use std::sync::Arc;

/// Widest picture, in dots: paper of 80 mm. On narrower paper it is drawn at half its size.
pub const LOGO_WIDTH_MAX: u32 = 576;
/// Highest picture, in dots: 40 mm.
pub const LOGO_HEIGHT_MAX: u32 = 320;
/// Most lines of the foot.
pub const FOOT_LINES_MAX: usize = 8;
/// Longest of them, in characters.
const FOOT_CHARS_MAX: usize = 96;
/// Longest text of a QR code, in bytes: what fits the width of 58 mm with dots that phones can still tell apart.
const QR_BYTES_MAX: usize = 300;

/// What stands on slips beside what must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    /// Above the title of every ply.
    pub logo: Option<Logo>,
    /// The last words to the cardholder, at most [`FOOT_LINES_MAX`].
    pub foot: Vec<FootLine>,
    /// Below them.
    pub foot_qr: Option<QrText>,
    /// The settlement slip ends with a list of its transactions.
    pub settlement_detail: bool,
}

/// A picture that fits paper of 80 mm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logo(Arc<Bitmap>);

impl Logo {
    /// `None` for a picture without dots, or with more than [`LOGO_WIDTH_MAX`] times [`LOGO_HEIGHT_MAX`].
    #[must_use]
    pub fn new(dots: Bitmap) -> Option<Self> {
        let fits =
            (1..=LOGO_WIDTH_MAX).contains(&dots.width()) && (1..=LOGO_HEIGHT_MAX).contains(&dots.height());
        fits.then(|| Self(Arc::new(dots)))
    }
}

/// A line of at most 96 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FootLine(String);

impl FootLine {
    /// `None` for what is longer, or holds control characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.chars().count() <= FOOT_CHARS_MAX && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a QR code on a slip can hold: 1 to 300 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QrText(String);

impl QrText {
    /// `None` for what does not fit.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=QR_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        (fits && qr(text).is_some()).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Template {
    /// Above the title.
    pub(super) fn head(&self) -> Option<Block> {
        let dots = Arc::clone(&self.logo.as_ref()?.0);
        Some(Block::Picture(Picture { dots, says: String::new() }))
    }

    /// Below everything else.
    pub(super) fn foot(&self) -> Vec<Block> {
        let lines = self.foot.iter().map(|line| Block::centred(line.as_str(), false, false));
        let code = self.foot_qr.iter().map(|text| Block::Qr(text.as_str().to_owned()));
        let mut blocks: Vec<Block> = lines.chain(code).collect();
        if !blocks.is_empty() {
            blocks.insert(0, Block::Rule);
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_paper_is_refused_when_it_is_loaded() {
        for (width, height, fits) in [
            (576, 320, true),
            (1, 1, true),
            (577, 10, false),
            (10, 321, false),
            (0, 10, false),
            (10, 0, false),
        ] {
            assert_eq!(Logo::new(Bitmap::white(width, height)).is_some(), fits, "{width} x {height}");
        }
        assert!(FootLine::new(&"谢".repeat(96)).is_some() && FootLine::new("").is_some());
        assert!(FootLine::new(&"a".repeat(97)).is_none() && FootLine::new("\u{1b}@").is_none());
        assert!(QrText::new(&"x".repeat(300)).is_some());
        for text in [String::new(), "x".repeat(301), "a\nb".to_owned()] {
            assert_eq!(QrText::new(&text), None, "{text:?}");
        }
    }
}

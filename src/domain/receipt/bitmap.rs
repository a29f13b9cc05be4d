//! Black and white dots as a print head takes them: rows of bytes, the leftmost dot in the highest bit.

/// Widest glyph in dots: a wide character at double size. It and seven dots of shift fit a `u64`.
const GLYPH_DOTS_MAX: u32 = 48;

/// A picture of dots. Rows below each other are equally wide and begin with a byte of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    width: u32,
    bytes: Vec<u8>,
}

impl Bitmap {
    /// A white picture of so many dots.
    #[must_use]
    pub fn white(width: u32, height: u32) -> Self {
        let size = row_bytes(width).saturating_mul(height as usize);
        Self { width, bytes: vec![0; size] }
    }

    /// Dots of a row.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        let rows = self.bytes.len().checked_div(self.row_bytes()).unwrap_or(0);
        u32::try_from(rows).unwrap_or(u32::MAX)
    }

    /// Bytes of a row.
    #[must_use]
    pub const fn row_bytes(&self) -> usize {
        row_bytes(self.width)
    }

    /// All rows, one after the other; a set bit is black.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// True if the dot is black; dots outside are white.
    #[must_use]
    pub fn is_black(&self, x: u32, y: u32) -> bool {
        let byte = self.at(x, y).and_then(|at| self.bytes.get(at)).copied().unwrap_or(0);
        byte & (0x80 >> (x % 8)) != 0
    }

    /// Makes a dot black; dots outside are left out.
    pub fn blacken(&mut self, x: u32, y: u32) {
        if let Some(byte) = self.at(x, y).and_then(|at| self.bytes.get_mut(at)) {
            *byte |= 0x80 >> (x % 8);
        }
    }

    fn at(&self, x: u32, y: u32) -> Option<usize> {
        if x >= self.width {
            return None;
        }
        (y as usize).checked_mul(self.row_bytes())?.checked_add((x / 8) as usize)
    }

    /// Puts a glyph over what is there, its left upper corner at `x`, `y`; what would stand outside is left out.
    pub fn stamp(&mut self, glyph: &Glyph, x: u32, y: u32, bold: bool) {
        let width = self.row_bytes();
        let (left, shift) = ((x / 8) as usize, x % 8);
        for (row, bits) in (y as usize..).zip(&glyph.rows) {
            let bits = if bold { bits | (bits >> glyph.weight()) } else { *bits };
            let line =
                row.checked_mul(width).and_then(|from| self.bytes.get_mut(from..)?.get_mut(left..width));
            for (byte, ink) in line.into_iter().flatten().zip((bits >> shift).to_be_bytes()) {
                *byte |= ink;
            }
        }
    }

    /// Puts another picture over what is there, its left upper corner at `x`, `y`; what would stand outside is left
    /// out.
    pub fn overlay(&mut self, other: &Self, x: u32, y: u32) {
        other.each_black(|from_x, from_y| self.blacken(x.saturating_add(from_x), y.saturating_add(from_y)));
    }

    /// The picture at half its size: a dot is black where two or more of its four were.
    #[must_use]
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width.div_ceil(2), self.height().div_ceil(2));
        let mut half = Self::white(width, height);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let (left, top) = (x.saturating_mul(2), y.saturating_mul(2));
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)];
            let black = four
                .iter()
                .filter(|(dx, dy)| self.is_black(left.saturating_add(*dx), top.saturating_add(*dy)));
            if black.count() >= 2 {
                half.blacken(x, y);
            }
        }
        half
    }

    /// Each dot as a square of `scale` dots, with `margin` white dots of the picture around; `None` for nothing at all.
    #[must_use]
    pub fn magnified(&self, scale: u32, margin: u32) -> Option<Self> {
        let side = |dots: u32| dots.checked_add(margin.checked_mul(2)?)?.checked_mul(scale);
        let (width, height) = (side(self.width)?, side(self.height())?);
        let mut large = Self::white(width, height);
        self.each_black(|x, y| {
            let (left, top) = ((x + margin) * scale, (y + margin) * scale);
            for (dx, dy) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dx, dy))) {
                large.blacken(left + dx, top + dy);
            }
        });
        (width > 0 && height > 0).then_some(large)
    }

    fn each_black(&self, mut each: impl FnMut(u32, u32)) {
        for y in 0..self.height() {
            (0..self.width).filter(|x| self.is_black(*x, y)).for_each(|x| each(x, y));
        }
    }

    /// Adds the rows of another picture of the same width below.
    pub fn append(&mut self, below: &Self) {
        if below.width == self.width {
            self.bytes.extend_from_slice(&below.bytes);
        }
    }

    /// Darkens one dot wherever two bytes would read as the beginning of a real-time command (DLE EOT, DLE ENQ, DLE
    /// DC4). Printers look for these in all they receive, pictures too, and could cut, pulse a drawer or throw away
    /// what they hold. Choice: the dot to the right of a lone one, 1/8 mm, so that nobody can see it.
    pub fn calm(&mut self) {
        for at in 0..self.bytes.len() {
            if let Some([first @ 0x10, 0x04 | 0x05 | 0x14]) = self.bytes.get_mut(at..at.saturating_add(2)) {
                *first = 0x18;
            }
        }
    }
}

const fn row_bytes(width: u32) -> usize {
    width.div_ceil(8) as usize
}

/// One character as dots, at most 48 of them wide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glyph {
    width: u32,
    /// From top to bottom; the leftmost dot is the highest bit.
    rows: Vec<u64>,
}

impl Glyph {
    /// An empty one; wider ones than 48 dots become 48 wide.
    #[must_use]
    pub fn blank(width: u32, height: u32) -> Self {
        Self { width: width.min(GLYPH_DOTS_MAX), rows: vec![0; height as usize] }
    }

    /// Dots of a row.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Makes a dot black; dots outside are left out.
    pub fn blacken(&mut self, x: u32, y: u32) {
        if x < self.width
            && let Some(row) = self.rows.get_mut(y as usize)
        {
            *row |= (1 << 63) >> x;
        }
    }

    /// True if the dot is black; dots outside are white.
    #[must_use]
    pub fn is_black(&self, x: u32, y: u32) -> bool {
        let row = self.rows.get(y as usize).copied().unwrap_or(0);
        x < self.width && row & ((1 << 63) >> x) != 0
    }

    /// True if nothing is black.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.rows.iter().all(|row| *row == 0)
    }

    /// Dots that bold adds to the right of each stroke: one at single size, two at double.
    const fn weight(&self) -> u32 {
        if self.rows.len() > 30 { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dots(bitmap: &Bitmap) -> Vec<String> {
        let row = |y| (0..bitmap.width()).map(|x| if bitmap.is_black(x, y) { '#' } else { '.' }).collect();
        (0..bitmap.height()).map(row).collect()
    }

    /// A glyph lands at any dot, not only at byte boundaries, and what hangs over the edge is lost, not wrapped.
    #[test]
    fn a_glyph_is_stamped_where_it_belongs() {
        let mut glyph = Glyph::blank(3, 2);
        glyph.blacken(0, 0);
        glyph.blacken(2, 1);
        glyph.blacken(3, 1);
        let mut paper = Bitmap::white(16, 3);
        paper.stamp(&glyph, 6, 0, false);
        paper.stamp(&glyph, 14, 1, true);
        assert_eq!(dots(&paper), ["......#.........", "........#.....##", "................"]);
    }

    proptest! {
        /// Whatever is drawn, no two bytes of it begin a real-time command, and drawing it again changes nothing.
        #[test]
        fn no_picture_holds_a_real_time_command(
            bytes in proptest::collection::vec(
                prop_oneof![Just(0x10_u8), Just(4), Just(5), Just(0x14), any::<u8>()], 0..200,
            ),
        ) {
            let mut bitmap = Bitmap { width: 16, bytes };
            bitmap.calm();
            for pair in bitmap.bytes().windows(2) {
                prop_assert!(!matches!(pair, [0x10, 0x04 | 0x05 | 0x14]), "{pair:02x?}");
            }
            let once = bitmap.clone();
            bitmap.calm();
            prop_assert_eq!(bitmap, once);
        }
    }
}

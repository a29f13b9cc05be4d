//! A picture of dots as a PNG file: one bit a dot, one pixel a dot.
use crate::domain::receipt::Bitmap;
use png::{BitDepth, ColorType, Encoder, EncodingError};

/// Writes the picture black on white.
///
/// # Errors
/// It has no dots, or more than a PNG can have.
pub fn png(bitmap: &Bitmap) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, bitmap.width(), bitmap.height());
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    // In PNG a set bit is white; dots right of the last one are not looked at.
    let white: Vec<u8> = bitmap.bytes().iter().map(|byte| !byte).collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&white)?;
    writer.finish()?;
    Ok(file)
}

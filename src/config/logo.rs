//! The picture of `[slip] logo`: a PNG of any kind, as black and white dots.
#![allow(clippy::disallowed_methods, reason = "configuration is files")]
use super::Slip;
use super::files::whole_file;
use crate::domain::receipt::Bitmap;
use crate::domain::settings::{ConfigError, ConfigErrors};
use crate::domain::slip::{LOGO_HEIGHT_MAX, LOGO_WIDTH_MAX, Logo, Template};
use png::{ColorType, Decoder, Limits, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Most memory that reading it may take: an RGBA picture of the largest size needs a tenth of it.
const MEMORY_MAX: usize = 8 * 1024 * 1024;
/// Darker than this is black. Of 0 to 255.
const BLACK_BELOW: u32 = 128;

/// What stands on slips, with the picture if it can be used. One that is missing or wrong is told and left out: a shop
/// does not stay closed for it.
#[must_use]
pub fn template(slip: &Slip) -> (Template, Option<ConfigErrors>) {
    let read = slip.logo.as_deref().map(read);
    let (logo, wrong) = match read.transpose() {
        Ok(logo) => (logo, None),
        Err(error) => (None, Some(ConfigErrors(vec![error]))),
    };
    (Template { logo, ..slip.template.clone() }, wrong)
}

fn read(path: &Path) -> Result<Logo, ConfigError> {
    let wrong = |problem: String| ConfigError {
        allowed: format!("a PNG of at most {LOGO_WIDTH_MAX} x {LOGO_HEIGHT_MAX} dots"),
        ..whole_file(path, problem)
    };
    let file = File::open(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let dots = decode(BufReader::new(file)).map_err(|error| wrong(format!("is no picture: {error}")))?;
    let (width, height) = (dots.width(), dots.height());
    Logo::new(dots).ok_or_else(|| wrong(format!("has {width} x {height} dots")))
}

/// Dots of a PNG; what is transparent is paper.
fn decode(file: BufReader<File>) -> Result<Bitmap, String> {
    let mut decoder = Decoder::new_with_limits(file, Limits { bytes: MEMORY_MAX });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let size = reader.output_buffer_size().filter(|size| *size <= MEMORY_MAX).ok_or("it is too large")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|error| error.to_string())?;
    let samples = match frame.color_type {
        ColorType::Grayscale => 1,
        ColorType::GrayscaleAlpha => 2,
        ColorType::Rgb => 3,
        ColorType::Rgba => 4,
        ColorType::Indexed => return Err("its colours have no table".to_owned()),
    };
    let mut dots = Bitmap::white(frame.width, frame.height);
    for (y, line) in (0..frame.height).zip(pixels.chunks(frame.line_size)) {
        for (x, pixel) in (0..frame.width).zip(line.chunks_exact(samples)) {
            if is_black(pixel) {
                dots.blacken(x, y);
            }
        }
    }
    Ok(dots)
}

/// Brightness as televisions weigh it (ITU-R BT.601), on white paper.
fn is_black(pixel: &[u8]) -> bool {
    let (light, alpha) = match *pixel {
        [grey] => (u32::from(grey), 255),
        [grey, alpha] => (u32::from(grey), u32::from(alpha)),
        [r, g, b] => (brightness(r, g, b), 255),
        [r, g, b, alpha] => (brightness(r, g, b), u32::from(alpha)),
        _ => (255, 255),
    };
    let seen = (light * alpha + 255 * (255 - alpha)) / 255;
    seen < BLACK_BELOW
}

fn brightness(r: u8, g: u8, b: u8) -> u32 {
    (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn written(folder: &Path, color: ColorType, size: (u32, u32), pixels: &[u8]) -> PathBuf {
        let path = folder.join(format!("{color:?}-{}.png", size.0));
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), size.0, size.1);
        encoder.set_color(color);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        path
    }

    fn logo(path: PathBuf) -> (Option<Logo>, Option<String>) {
        let (template, wrong) = template(&Slip { logo: Some(path), template: Template::default() });
        (template.logo, wrong.map(|errors| errors.to_string()))
    }

    #[test]
    fn any_kind_of_png_becomes_black_and_white_dots() {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = Bitmap::white(2, 1);
        expected.blacken(0, 0);
        for (color, pixels) in [
            (ColorType::Grayscale, vec![127, 128]),
            (ColorType::GrayscaleAlpha, vec![0, 255, 0, 0]),
            (ColorType::Rgb, vec![255, 0, 0, 255, 255, 0]),
            (ColorType::Rgba, vec![0, 0, 0, 200, 0, 0, 0, 100]),
        ] {
            let (read, wrong) = logo(written(folder.path(), color, (2, 1), &pixels));
            assert_eq!(read, Logo::new(expected.clone()), "{color:?}: {wrong:?}");
        }
    }

    #[test]
    fn a_wrong_picture_is_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let wide = written(folder.path(), ColorType::Grayscale, (577, 1), &[0; 577]);
        let text = folder.path().join("text.png");
        std::fs::write(&text, "no picture").unwrap();
        for (path, said) in [
            (wide, "has 577 x 1 dots"),
            (text, "is no picture"),
            (folder.path().join("none.png"), "cannot be read"),
        ] {
            let (read, wrong) = logo(path);
            let wrong = wrong.unwrap();
            assert!(read.is_none() && wrong.contains(said) && wrong.contains("576 x 320"), "{wrong}");
        }
    }
}

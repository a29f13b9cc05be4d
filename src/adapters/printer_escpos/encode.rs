//! Documents as ESC/POS bytes. Pure: the crate `escpos` writes into memory, all sending is ours.
//!
//! What the crate (0.20.1) gets wrong goes out as `custom` bytes; the tests below name each bug, so that an upgrade
//! that changes one is noticed.
use crate::domain::receipt::{Align, Document, Line, Row, columns, lines};
use escpos::driver::Driver;
use escpos::errors::PrinterError;
use escpos::printer::Printer;
use escpos::utils::{Encoder, JustifyMode, Protocol};
use std::cell::RefCell;

/// FS &: multi-byte characters on. ESC @ may turn them off, so it follows each one.
const MULTI_BYTE_ON: &[u8] = &[0x1c, b'&'];
/// GS V 66 0: feed to the cutter, cut and leave a point. Not the crate's `partial_cut`, which cuts through.
const PARTIAL_CUT: &[u8] = &[0x1d, b'V', 66, 0];
/// Lines between the last text and the cut. Choice: 4, which is the way from the head to the tear bar of printers
/// without a cutter; those ignore the cut itself.
const FEED_BEFORE_CUT: u8 = 4;
/// Dots per mm of receipt heads (203 dpi), and per text line at the default spacing of 30.
const DOTS_PER_MM: u64 = 8;
const LINE_DOTS: u64 = 30;

/// The document cannot be put into bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slip cannot be encoded: {0}")]
pub struct EncodeError(String);

impl From<PrinterError> for EncodeError {
    fn from(error: PrinterError) -> Self {
        Self(error.to_string())
    }
}

/// Encodes a document for a printer with so many dots on a line: text in GB18030, from ESC @ to the cut.
///
/// # Errors
/// A character that GB18030 does not have; the layout lets none pass.
pub fn encode(document: &Document, width_dots: u32) -> Result<Vec<u8>, EncodeError> {
    let mut printer = blank();
    printer.init()?.custom(MULTI_BYTE_ON)?;
    let mut style = Style { align: Align::Left, double: false, bold: false };
    for line in lines(document, columns(width_dots)) {
        match line {
            Line::Row(row) => {
                style.follow(&row, &mut printer)?;
                printer.write(&format!("{}\n", row.text))?;
            }
            Line::Cut => {
                printer.feeds(FEED_BEFORE_CUT)?.custom(PARTIAL_CUT)?;
            }
        }
    }
    finish(printer)
}

/// How much paper a document takes, in mm and rounded up.
pub(super) fn height_mm(document: &Document, width_dots: u32) -> u64 {
    let height = |line: &Line| match line {
        Line::Row(row) if row.double => LINE_DOTS * 2,
        Line::Row(_) => LINE_DOTS,
        Line::Cut => LINE_DOTS * u64::from(FEED_BEFORE_CUT),
    };
    let dots: u64 = lines(document, columns(width_dots)).iter().map(height).sum();
    dots.div_ceil(DOTS_PER_MM)
}

/// What the printer is set to; commands go out only where a row differs.
struct Style {
    align: Align,
    double: bool,
    bold: bool,
}

impl Style {
    fn follow(&mut self, row: &Row, printer: &mut Printer<Memory>) -> Result<(), PrinterError> {
        if row.text.is_empty() {
            return Ok(());
        }
        if row.align != self.align {
            printer.justify(match row.align {
                Align::Left => JustifyMode::LEFT,
                Align::Centre => JustifyMode::CENTER,
                Align::Right => JustifyMode::RIGHT,
            })?;
            self.align = row.align;
        }
        if row.double != self.double {
            let scale = if row.double { 2 } else { 1 };
            printer.size(scale, scale)?;
            self.double = row.double;
        }
        if row.bold != self.bold {
            printer.bold(row.bold)?;
            self.bold = row.bold;
        }
        Ok(())
    }
}

/// The crate's driver that only remembers.
#[derive(Default)]
struct Memory(RefCell<Vec<u8>>);

impl Driver for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn write(&self, data: &[u8]) -> Result<(), PrinterError> {
        self.0.try_borrow_mut()?.extend_from_slice(data);
        Ok(())
    }

    fn read(&self, _buf: &mut [u8]) -> Result<usize, PrinterError> {
        Ok(0)
    }

    fn flush(&self) -> Result<(), PrinterError> {
        Ok(())
    }
}

fn blank() -> Printer<Memory> {
    Printer::new(Memory::default(), Protocol::new(Encoder::new(encoding_rs::GB18030)), None)
}

fn finish(mut printer: Printer<Memory>) -> Result<Vec<u8>, EncodeError> {
    printer.print()?;
    Ok(printer.driver().0.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::receipt::Block;
    use escpos::utils::RealTimeStatusRequest;
    use proptest::prelude::*;

    type Bytes = Result<Vec<u8>, EncodeError>;

    fn crate_bytes(
        write: impl for<'p> Fn(&'p mut Printer<Memory>) -> Result<&'p mut Printer<Memory>, PrinterError>,
    ) -> Vec<u8> {
        let mut printer = blank();
        write(&mut printer).unwrap();
        finish(printer).unwrap()
    }

    #[test]
    fn a_document_becomes_init_text_and_a_partial_cut() {
        let blocks = vec![Block::centred("签A", true, true), Block::text("12"), Block::Cut];
        let expected: &[&[u8]] = &[
            b"\x1b@\x1c&",
            b"\x1ba\x01\x1d!\x11\x1bE\x01\xc7\xa9A\n",
            b"\x1ba\x00\x1d!\x00\x1bE\x0012\n",
            b"\x1bd\x04\x1dV\x42\x00",
        ];
        assert_eq!(encode(&Document { blocks }, 384).unwrap(), expected.concat());
    }

    /// Characters outside the two-byte areas go out as the four bytes of GB18030.
    #[test]
    fn rare_characters_take_four_bytes() {
        let bytes: Bytes = encode(&Document { blocks: vec![Block::text("𠮷")] }, 384);
        assert_eq!(bytes.unwrap(), b"\x1b@\x1c&\x95\x34\xb2\x35\n");
    }

    /// Crate bug, 0.20.1: `partial_cut` sends m = 65, which is the full cut. We send GS V 66 ourselves.
    #[test]
    fn the_crate_still_cuts_through_for_a_partial_cut() {
        assert_eq!(crate_bytes(|p| p.partial_cut()), b"\x1dV\x41\x01");
    }

    /// Crate bug, 0.20.1: a zero byte follows DLE EOT 1 to 4. We send the three bytes ourselves.
    #[test]
    fn the_crate_still_adds_a_byte_to_status_requests() {
        let bytes = crate_bytes(|p| p.real_time_status(RealTimeStatusRequest::Printer));
        assert_eq!(bytes, b"\x10\x04\x01\x00");
    }

    /// Crate bug, 0.20.1: text goes out with the commands in it. The layout has cleaned ours before.
    #[test]
    fn the_crate_still_lets_commands_pass_in_text_and_the_layout_does_not() {
        assert_eq!(crate_bytes(|p| p.write("a\u{1b}@\u{1d}V\0")), b"a\x1b@\x1dV\0");
        let bytes = encode(&Document { blocks: vec![Block::text("a\u{1b}@\u{1d}V\0")] }, 384).unwrap();
        assert_eq!(bytes, b"\x1b@\x1c&a@V\n");
    }

    /// Crate behaviour, 0.20.1: the one code point that GB18030 lacks is an error; the layout replaces it.
    #[test]
    fn the_crate_refuses_what_gb18030_lacks() {
        assert!(blank().write("\u{e5e5}").is_err());
        assert!(encode(&Document { blocks: vec![Block::text("\u{e5e5}")] }, 384).is_ok());
    }

    proptest! {
        /// Whatever a text holds, it can be encoded, and no byte of it is taken for a command.
        #[test]
        fn any_text_is_encoded_and_none_of_it_is_a_command(text in any::<String>()) {
            let bytes = encode(&Document { blocks: vec![Block::text(text)] }, 384).unwrap();
            let body = bytes.strip_prefix(b"\x1b@\x1c&").unwrap();
            prop_assert!(body.iter().all(|b| *b == b'\n' || *b >= 0x20), "{body:02x?}");
        }
    }
}

//! A receipt printer that only looks: ESC/POS bytes to what would be on paper. It is written from the command reference
//! of Epson and the GB18030 standard, shares nothing with the encoder or the simulated printer, and takes any byte that
//! it does not know for an error. One character cell is 12 dots wide, hanzi take two.
use std::collections::VecDeque;

/// What stands between two cuts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// From top to bottom.
    pub(crate) printed: Vec<Printed>,
    /// Cut off at its end, and not through.
    pub(crate) cut: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Printed {
    Line(Line),
    /// One row of dots, a bit a dot.
    Dots(Vec<u8>),
    /// Lines fed without print.
    Feed(u8),
}

/// A line of characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// Cell of the first character, in cells of single width; half cells are rounded down.
    pub(crate) from: usize,
    /// Cells that it takes.
    pub(crate) cells: usize,
    pub(crate) bold: bool,
    pub(crate) double: bool,
}

struct State {
    columns: usize,
    align: u8,
    bold: bool,
    double: bool,
    hanzi: bool,
    line: Line,
    sheets: Vec<Sheet>,
    sheet: Sheet,
}

/// Reads a whole job.
///
/// # Errors
/// Says what it does not know and where, and what would not fit on paper.
pub(crate) fn read(bytes: &[u8], width_dots: usize) -> Result<Vec<Sheet>, String> {
    let mut left: VecDeque<u8> = bytes.iter().copied().collect();
    let mut state = State {
        columns: width_dots / 12,
        align: 0,
        bold: false,
        double: false,
        hanzi: true,
        line: Line::default(),
        sheets: Vec::new(),
        sheet: Sheet::default(),
    };
    while let Some(byte) = left.pop_front() {
        let at = bytes.len() - left.len() - 1;
        state.step(byte, &mut left, width_dots).map_err(|what| format!("byte {at}: {what}"))?;
    }
    if !state.line.text.is_empty() {
        return Err("the last line is not printed".to_owned());
    }
    if !state.sheet.printed.is_empty() {
        state.sheets.push(state.sheet);
    }
    Ok(state.sheets)
}

fn take(left: &mut VecDeque<u8>) -> Result<u8, String> {
    left.pop_front().ok_or_else(|| "it ends inside a command".to_owned())
}

impl State {
    fn step(&mut self, byte: u8, left: &mut VecDeque<u8>, width_dots: usize) -> Result<(), String> {
        match byte {
            b'\n' => self.end_line(),
            0x20..=0x7e => self.put(char::from(byte), 1),
            0x81..=0xfe if self.hanzi => {
                let c = hanzi(byte, left)?;
                self.put(c, 2)
            }
            0x1b => self.escape(take(left)?, left),
            0x1c => match take(left)? {
                b'&' => self.switch(true),
                b'.' => self.switch(false),
                other => Err(format!("FS {other:02x}")),
            },
            0x1d => match take(left)? {
                b'!' => match take(left)? {
                    0x00 => self.size(false),
                    0x11 => self.size(true),
                    other => Err(format!("GS ! {other:02x}")),
                },
                b'V' => match (take(left)?, take(left)?) {
                    (66, 0) => self.cut(),
                    other => Err(format!("GS V {other:?}")),
                },
                b'v' => self.dots(left, width_dots),
                other => Err(format!("GS {other:02x}")),
            },
            other => Err(format!("{other:02x} is no command")),
        }
    }

    fn escape(&mut self, command: u8, left: &mut VecDeque<u8>) -> Result<(), String> {
        match command {
            b'@' => {
                (self.align, self.bold, self.double) = (0, false, false);
                Ok(())
            }
            b'a' => {
                self.begins("ESC a")?;
                self.align = take(left)?;
                if self.align <= 2 { Ok(()) } else { Err(format!("ESC a {}", self.align)) }
            }
            b'E' => {
                self.bold = take(left)? & 1 == 1;
                Ok(())
            }
            b'd' => {
                self.begins("ESC d")?;
                let lines = take(left)?;
                self.sheet.printed.push(Printed::Feed(lines));
                Ok(())
            }
            other => Err(format!("ESC {other:02x}")),
        }
    }

    /// Commands that work at the beginning of a line only.
    fn begins(&self, what: &str) -> Result<(), String> {
        if self.line.text.is_empty() { Ok(()) } else { Err(format!("{what} inside a line")) }
    }

    fn switch(&mut self, hanzi: bool) -> Result<(), String> {
        self.hanzi = hanzi;
        Ok(())
    }

    fn size(&mut self, double: bool) -> Result<(), String> {
        self.begins("GS !")?;
        self.double = double;
        Ok(())
    }

    fn put(&mut self, c: char, cells: usize) -> Result<(), String> {
        if self.line.text.is_empty() {
            (self.line.bold, self.line.double) = (self.bold, self.double);
        }
        if self.line.bold != self.bold {
            return Err("bold changes inside a line".to_owned());
        }
        self.line.text.push(c);
        self.line.cells += cells * if self.double { 2 } else { 1 };
        if self.line.cells > self.columns {
            return Err(format!("more than {} cells: {}", self.columns, self.line.text));
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), String> {
        let mut line = std::mem::take(&mut self.line);
        let free = self.columns - line.cells;
        line.from = match self.align {
            0 => 0,
            1 => free / 2,
            _ => free,
        };
        self.sheet.printed.push(Printed::Line(line));
        Ok(())
    }

    fn dots(&mut self, left: &mut VecDeque<u8>, width_dots: usize) -> Result<(), String> {
        self.begins("GS v")?;
        let mut head = [0; 6];
        for byte in &mut head {
            *byte = take(left)?;
        }
        let [b'0', 0, x_low, x_high, y_low, y_high] = head else { return Err(format!("GS v {head:02x?}")) };
        let wide = usize::from(x_low) + 256 * usize::from(x_high);
        let high = usize::from(y_low) + 256 * usize::from(y_high);
        if wide * 8 > width_dots || wide == 0 || high == 0 {
            return Err(format!("a picture of {wide} bytes and {high} rows"));
        }
        for _ in 0..high {
            let row = (0..wide).map(|_| take(left)).collect::<Result<Vec<u8>, String>>()?;
            self.sheet.printed.push(Printed::Dots(row));
        }
        Ok(())
    }

    fn cut(&mut self) -> Result<(), String> {
        self.begins("GS V")?;
        let sheet = std::mem::take(&mut self.sheet);
        self.sheets.push(Sheet { cut: true, ..sheet });
        Ok(())
    }
}

/// Two bytes, or four where the second is a digit.
fn hanzi(first: u8, left: &mut VecDeque<u8>) -> Result<char, String> {
    let mut code = vec![first, take(left)?];
    if code[1].is_ascii_digit() {
        code.extend([take(left)?, take(left)?]);
    }
    let text = encoding_rs::GB18030.decode_without_bom_handling_and_without_replacement(&code);
    let mut chars = text.iter().flat_map(|text| text.chars());
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(format!("{code:02x?} is no character")),
    }
}

/// The reader itself is held against bytes written by hand.
#[test]
fn the_reader_reads_what_the_command_reference_says() {
    let bytes = b"\x1b@\x1c&\x1ba\x01\x1d!\x11\xc7\xa9\n\x1ba\x02\x1d!\x00\x1bE\x01a\n\x1dv0\0\x01\0\x02\0\xf0\x0f\x1bd\x04\x1dVB\0";
    let line = |text: &str, from, cells, bold, double| {
        Printed::Line(Line { text: text.to_owned(), from, cells, bold, double })
    };
    let printed = vec![
        line("签", 14, 4, false, true),
        line("a", 31, 1, true, false),
        Printed::Dots(vec![0xf0]),
        Printed::Dots(vec![0x0f]),
        Printed::Feed(4),
    ];
    assert_eq!(read(bytes, 384), Ok(vec![Sheet { printed, cut: true }]));
    assert!(read(b"\x18", 384).is_err());
    assert!(read(b"\x1dV\x41\x00", 384).is_err());
    assert!(read(b"\xc7", 384).is_err());
    assert!(read(&[b'x'; 33], 384).unwrap_err().contains("32 cells"));
}

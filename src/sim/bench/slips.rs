//! Slips as bytes against python-escpos, receiptline and the bare crate `escpos`, on the same content. `posd-sim slips`
//! writes that content and measures posd and the crate; `tests/tools/slip-bench/run` has the others take turns with it,
//! and leaves lines that are read and worded here.
use super::tell;
use crate::domain::receipt::{Align, Block, Document, Line, Row, columns, lines};
use escpos::driver::Driver;
use escpos::errors::PrinterError;
use escpos::printer::Printer;
use escpos::utils::{Encoder, JustifyMode, Protocol};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::io::{Error, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Paper of 58 mm and of 80 mm.
const NARROW: u32 = 384;
const WIDE: u32 = 576;
/// How long each is measured in a turn.
const TURN: Duration = Duration::from_millis(300);
/// Lines of the raster slip, 1,590 dots, and of one of 400 mm.
const RASTER_LINES: usize = 53;
const LONG_LINES: usize = 106;

/// Which of the others has a goal.
const PYTHON: &str = "python-escpos 3.1";

/// Arguments of `posd-sim slips`.
#[derive(Clone, Debug, clap::Args)]
pub struct SlipArgs {
    /// Folder for what the others are to print; it has to be there
    #[arg(long, value_name = "DIR")]
    content: PathBuf,
}

/// Bytes of a file or for a printer, or why there are none.
type Made = Result<Vec<u8>, String>;

/// What posd's adapters can do with a document.
pub struct Press<'a> {
    /// Bytes for a printer of so many dots; as pictures if the flag says so.
    pub encode: &'a dyn Fn(&Document, u32, bool) -> Made,
    /// What is on the paper, as PNG.
    pub picture: &'a dyn Fn(&Document) -> Made,
}

/// Writes the content, then a line for each measurement to standard output: who, what, ns for a slip, bytes of it.
#[must_use]
pub fn slips(args: &SlipArgs, press: &Press<'_>) -> ExitCode {
    match turn(&args.content, press) {
        Ok(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            tell(&format!("broken off: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn turn(content: &Path, press: &Press<'_>) -> Result<String, Error> {
    let (slip, tall) = (sale(0), sale(RASTER_LINES));
    let laid: Vec<Row> = rows(&slip);
    fs::write(content.join("rows.tsv"), tsv(&laid))?;
    fs::write(content.join("slip.receiptline"), receiptline(&slip))?;
    fs::write(content.join("slip.png"), (press.picture)(&tall).map_err(Error::other)?)?;
    // The peak first: fonts are opened by it, and belong to it.
    let peak = peak_of(|| (press.encode)(&sale(LONG_LINES), WIDE, true).map(drop))?;
    let mut text = format!("posd\tpeak\t0\t{peak}\n");
    let mut measure = |name: &str, what: &str, run: &dyn Fn() -> Made| {
        let bytes = run().map_err(Error::other)?.len();
        let (began, mut count) = (Instant::now(), 0_u32);
        while began.elapsed() < TURN {
            drop(black_box(run().map_err(Error::other)?));
            count = count.saturating_add(1);
        }
        let each = began.elapsed().as_nanos() / u128::from(count.max(1));
        writeln!(text, "{name}\t{what}\t{each}\t{bytes}").map_err(Error::other)
    };
    measure("posd", "text", &|| (press.encode)(&slip, NARROW, false))?;
    measure("posd", "raster", &|| (press.encode)(&tall, NARROW, true))?;
    measure("bare", "text", &|| bare(&laid).map_err(|error| error.to_string()))?;
    Ok(text)
}

/// A sale as it is printed; of so many lines where that is more.
fn sale(at_least: usize) -> Document {
    let mut blocks = vec![
        Block::centred("签购单", true, true),
        Block::centred("POS SALES SLIP", false, true),
        Block::centred("商户存根 MERCHANT COPY", false, false),
        Block::Rule,
    ];
    let pairs = [
        ("商户名称 MERCHANT", "示例商户"),
        ("商户编号 MID", "102100058120001"),
        ("终端编号 TID", "10000001"),
        ("操作员号 OPERATOR", "01"),
        ("卡号 CARD", "6225 88** **** 5678 I"),
        ("交易类型 TYPE", "消费 SALE"),
        ("批次号 BATCH", "000001"),
        ("凭证号 VOUCHER", "000012"),
        ("授权码 AUTH", "A10042"),
        ("参考号 RRN", "092211000012"),
        ("日期 DATE", "2026/11/22 09:30:00"),
    ];
    blocks.extend(pairs.map(|(label, value)| Block::pair(label, value)));
    blocks
        .push(Block::Pair { label: "金额 AMOUNT".to_owned(), value: "RMB 12.50".to_owned(), double: true });
    blocks.push(Block::Rule);
    let chip =
        ["AID A000000333010101", "ARQC 0123456789ABCDEF", "TVR 0000048000  TSI F800", "ATC 0012  CSN 001"];
    blocks.extend(chip.map(Block::text));
    // Two lines more are taken by the doubled ones.
    let missing = at_least.saturating_sub(blocks.len().saturating_add(3));
    blocks.extend((0..missing).map(|number| Block::text(format!("明细 {number:02} 商品名称 1 x 12.50"))));
    blocks.push(Block::Cut);
    Document { blocks }
}

fn rows(document: &Document) -> Vec<Row> {
    let laid = lines(document, columns(NARROW)).into_iter();
    laid.filter_map(|line| if let Line::Row(row) = line { Some(row) } else { None }).collect()
}

/// Laid lines for who lays out nothing: align, 2 if double, 1 if bold, text.
fn tsv(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let align = match row.align {
            Align::Left => "left",
            Align::Centre => "center",
            Align::Right => "right",
        };
        format!("{align}\t{}\t{}\t{}\n", 1 + u8::from(row.double), u8::from(row.bold), row.text)
    };
    rows.iter().map(line).collect()
}

/// The same slip in the language of receiptline.
fn receiptline(document: &Document) -> String {
    let line = |block: &Block| match block {
        Block::Text { text, double: true, .. } => format!("^^{text}\n"),
        Block::Text { text, align: Align::Centre, bold: true, .. } => format!("\"{text}\"\n"),
        Block::Text { text, align: Align::Centre, .. } => format!("{text}\n"),
        Block::Text { text, .. } => format!("{text} |\n"),
        Block::Pair { label, value, double: true } => format!("{label} |\n| ^^\"{value}\"\n"),
        Block::Pair { label, value, .. } => format!("{label} | {value}\n"),
        Block::Rule => "-\n".to_owned(),
        Block::Cut => "=\n".to_owned(),
        Block::Feed(_) | Block::Picture(_) | Block::Qr(_) => String::new(),
    };
    document.blocks.iter().map(line).collect()
}

/// The crate's driver that only remembers.
#[derive(Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

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

/// Lines that are laid out already, by the crate alone.
fn bare(rows: &[Row]) -> Result<Vec<u8>, PrinterError> {
    let memory = Memory::default();
    let bytes = Rc::clone(&memory.0);
    let mut printer = Printer::new(memory, Protocol::new(Encoder::new(encoding_rs::GB18030)), None);
    printer.init()?;
    for row in rows {
        printer.justify(match row.align {
            Align::Left => JustifyMode::LEFT,
            Align::Centre => JustifyMode::CENTER,
            Align::Right => JustifyMode::RIGHT,
        })?;
        let scale = if row.double { 2 } else { 1 };
        printer.size(scale, scale)?.bold(row.bold)?.writeln(&row.text)?;
    }
    printer.feeds(4)?.cut()?.print()?;
    Ok(bytes.take())
}

/// Bytes of memory that a run takes beyond what is held before it.
fn peak_of(run: impl FnOnce() -> Result<(), String>) -> Result<u64, Error> {
    let status = |key: &str| -> Result<u64, Error> {
        let text = fs::read_to_string("/proc/self/status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| Error::other("no memory in /proc/self/status"))
    };
    fs::write("/proc/self/clear_refs", "5")?;
    let before = status("VmRSS:")?;
    run().map_err(Error::other)?;
    Ok(status("VmHWM:")?.saturating_sub(before))
}

/// What the turns told: by who and what, ns and bytes.
pub(super) struct Slips(BTreeMap<(String, String), (f64, u64)>);

/// Reads the lines of all turns; without the file, a word about it.
pub(super) fn read(file: Option<&Path>) -> Result<Option<Slips>, Error> {
    match file.filter(|file| file.exists()) {
        None => {
            tell("no lines of slips: their rows are left out");
            Ok(None)
        }
        Some(file) => Ok(Some(Slips::parse(&fs::read_to_string(file)?))),
    }
}

impl Slips {
    fn parse(text: &str) -> Self {
        let mut turns: BTreeMap<(String, String), Vec<(f64, u64)>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split('\t');
            let (Some(name), Some(what)) = (words.next(), words.next()) else { continue };
            let (Some(ns), Some(bytes)) = (words.next(), words.next()) else { continue };
            if let (Ok(ns), Ok(bytes)) = (ns.parse(), bytes.parse()) {
                turns.entry((name.to_owned(), what.to_owned())).or_default().push((ns, bytes));
            }
        }
        let median = |mut turns: Vec<(f64, u64)>| {
            turns.sort_by(|a, b| a.0.total_cmp(&b.0));
            turns.get(turns.len() / 2).copied().unwrap_or_default()
        };
        Self(turns.into_iter().map(|(key, turns)| (key, median(turns))).collect())
    }

    fn of(&self, name: &str, what: &str) -> Option<(f64, u64)> {
        self.0.get(&(name.to_owned(), what.to_owned())).copied()
    }

    /// What was measured, what is asked for, and the figure.
    pub(super) fn rows(&self) -> Vec<[String; 3]> {
        let mut rows = Vec::new();
        let mut row =
            |what: String, target: &str, figure: String| rows.push([what, target.to_owned(), figure]);
        for ((name, what), (theirs, size)) in &self.0 {
            let Some((ours, bytes)) = self.of("posd", what) else { continue };
            let figures =
                format!("{:.1} µs against {:.1} µs, {size} bytes against {bytes}", theirs / 1e3, ours / 1e3);
            match (name.as_str(), what.as_str()) {
                ("posd", "peak") => row(
                    "memory that a raster slip of 80 mm x 400 mm takes while it is encoded, fonts opened for it \
                     included"
                        .to_owned(),
                    "",
                    format!("{:.1} MiB", ours_mib(bytes)),
                ),
                ("posd", _) => {}
                ("bare", _) => {
                    let (crate_us, our_us) = (theirs / 1e3, ours / 1e3);
                    row(
                        "a text slip laid out and encoded against the bare crate `escpos` with lines that are laid out \
                         already"
                            .to_owned(),
                        "at most 3",
                        format!(
                            "{:.2} times ({our_us:.1} µs against {crate_us:.1} µs, {bytes} bytes against {size})",
                            ours / theirs
                        ),
                    );
                }
                (other, "raster") => row(
                    format!(
                        "a raster slip of 384 x 1590 dots: {other}, which is given the picture, against posd, which \
                         draws it"
                    ),
                    if other == PYTHON { "at least 10" } else { "" },
                    format!("{:.1} times ({figures})", theirs / ours),
                ),
                (other, _) => row(
                    format!("a text slip: {other} against posd"),
                    if other == PYTHON { "at least 10" } else { "" },
                    format!("{:.1} times ({figures})", theirs / ours),
                ),
            }
        }
        rows
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit")]
fn ours_mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Goal: the raster slip has the height that its row says, and the others get the lines that posd prints.
    #[test]
    fn the_content_is_what_the_rows_say() {
        let dots: u32 = lines(&sale(RASTER_LINES), columns(NARROW)).iter().map(Line::dots).sum();
        assert_eq!(dots, 1590);
        let long: u32 = lines(&sale(LONG_LINES), columns(WIDE)).iter().map(Line::dots).sum();
        assert_eq!(long, 3180);
        let laid = rows(&sale(0));
        assert!(tsv(&laid).starts_with("center\t2\t1\t签购单\ncenter\t1\t1\tPOS SALES SLIP\n"));
        assert!(receiptline(&sale(0)).starts_with("^^签购单\n\"POS SALES SLIP\"\n"));
        let bytes = bare(&laid).unwrap();
        assert!(bytes.windows(9).any(|found| found == b"RMB 12.50"));
    }

    /// Goal: of many turns the median counts, and each comparison has its row.
    #[test]
    fn lines_become_rows() {
        let text = "posd\ttext\t100\t900\nposd\ttext\t300\t900\nposd\ttext\t200\t900\nposd\tpeak\t0\t2097152\n\
                    bare\ttext\t100\t950\npython-escpos 3.1\ttext\t4000\t1000\nnoise\n";
        let rows = Slips::parse(text).rows();
        let figures: Vec<(&str, &str)> =
            rows.iter().map(|[_, target, figure]| (&**target, &**figure)).collect();
        assert_eq!(
            figures,
            [
                ("at most 3", "2.00 times (0.2 µs against 0.1 µs, 900 bytes against 950)"),
                ("", "2.0 MiB"),
                ("at least 10", "20.0 times (4.0 µs against 0.2 µs, 1000 bytes against 900)"),
            ]
        );
    }
}

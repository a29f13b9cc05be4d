//! What parameters of commands say, for those that a technician meets.
use super::{is_character, text};
use crate::domain::mask::CardData;
use crate::domain::text::Bilingual;

/// What the bytes behind a name say; `None` for a command without parameters, else at least the number.
pub(super) fn meaning(prefix: &[u8], parameters: &[u8], show: CardData) -> Option<Bilingual> {
    let said = match (prefix, parameters) {
        (_, []) => None,
        (b"\x1B*", [_, ..]) => columns(parameters),
        (b"\x1Dv0" | b"\x1DQ0", [_, ..]) => raster(parameters),
        (b"\x1Dk", [kind, rest @ ..]) => Some(barcode(*kind, rest, show)),
        (b"\x1D(k", [_, _, rest @ ..]) => code(rest, show),
        (b"\x1D(H", [_, _, 48, 48, id @ ..]) => Some(quoted("打印完成标识", "tell when printed", id, show)),
        (b"\x1Bp", [pin, on, off]) => Some(pulse(*pin, *on, *off)),
        (b"\x1DV", [m, rest @ ..]) => Some(cut(*m, rest.first().copied())),
        (b"\x1D!", [n]) => {
            let (wide, high) = ((n >> 4 & 7).saturating_add(1), (n & 7).saturating_add(1));
            Some(both(format!("宽{wide}倍 高{high}倍"), format!("width {wide}, height {high}")))
        }
        (_, [n, ..]) => one(prefix, *n),
    };
    said.or_else(|| match parameters {
        [n] => Some(both(format!("n={n}"), format!("n={n}"))),
        _ => None,
    })
}

fn both(zh: String, en: String) -> Bilingual {
    Bilingual { zh, en }
}

/// Commands with one byte whose values have names.
fn one(prefix: &[u8], n: u8) -> Option<Bilingual> {
    let (zh, en) = match (prefix, n) {
        (b"\x10\x04", 1) => ("打印机状态", "printer"),
        (b"\x10\x04", 2) => ("脱机原因", "cause of being offline"),
        (b"\x10\x04", 3) => ("错误原因", "cause of an error"),
        (b"\x10\x04", 4) => ("纸张传感器", "paper sensors"),
        (b"\x10\x05", 0) => ("联机", "go online"),
        (b"\x10\x05", 1) => ("恢复并从出错行继续", "recover and go on at the failed line"),
        (b"\x10\x05", 2) => ("清除缓冲区后恢复", "recover without what is buffered"),
        (b"\x10\x14", 1) => ("钱箱脉冲", "drawer pulse"),
        (b"\x10\x14", 2) => ("关机", "power off"),
        (b"\x10\x14", 8) => ("清除缓冲区", "clear buffers"),
        (b"\x1Ba", 0 | b'0') => ("左对齐", "left"),
        (b"\x1Ba", 1 | b'1') => ("居中", "centre"),
        (b"\x1Ba", 2 | b'2') => ("右对齐", "right"),
        (b"\x1BM", 0 | b'0') => ("字体A", "font A"),
        (b"\x1BM", 1 | b'1') => ("字体B", "font B"),
        (b"\x1B-" | b"\x1C-", 0 | b'0') => ("关", "off"),
        (b"\x1B-" | b"\x1C-", 1 | b'1') => ("1点宽", "one dot"),
        (b"\x1B-" | b"\x1C-", 2 | b'2') => ("2点宽", "two dots"),
        (b"\x1Bt", 0) => ("PC437", "PC437"),
        (b"\x1DH", 0 | b'0') => ("不打印", "none"),
        (b"\x1DH", 1 | b'1') => ("上方", "above"),
        (b"\x1DH", 2 | b'2') => ("下方", "below"),
        (b"\x1DH", 3 | b'3') => ("上下方", "above and below"),
        (b"\x1Dr", 1 | b'1') => ("纸张传感器", "paper sensors"),
        (b"\x1Dr", 2 | b'2') => ("钱箱", "drawer"),
        (b"\x1Da", 0) => ("关", "off"),
        (b"\x1DI", 1 | b'1') => ("型号编号", "model number"),
        (b"\x1DI", 2 | b'2') => ("类型", "type"),
        (b"\x1DI", 65) => ("固件版本", "firmware"),
        (b"\x1DI", 66) => ("制造商", "maker"),
        (b"\x1DI", 67) => ("型号", "model"),
        (b"\x1DI", 68) => ("序列号", "serial number"),
        (b"\x1Bd" | b"\x1Be", _) => return Some(both(format!("{n}行"), format!("{n} lines"))),
        (b"\x1BJ" | b"\x1BK" | b"\x1B3" | b"\x1Dh", _) => {
            return Some(both(format!("{n}点"), format!("{n} dots")));
        }
        (b"\x1BE" | b"\x1BG" | b"\x1B{" | b"\x1DB" | b"\x1CW", _) if n & 1 == 1 => ("开", "on"),
        (b"\x1BE" | b"\x1BG" | b"\x1B{" | b"\x1DB" | b"\x1CW", _) => ("关", "off"),
        _ => return None,
    };
    Some(Bilingual::of(zh, en))
}

fn cut(m: u8, feed: Option<u8>) -> Bilingual {
    let (zh, en) = match m {
        0 | b'0' | 65 | 97 | 103 => ("全切", "through"),
        _ => ("半切", "leaving a point"),
    };
    match feed {
        Some(n) => {
            both(format!("走纸至切刀再进{n}单位, {zh}"), format!("feed to the cutter and {n} units, {en}"))
        }
        None => Bilingual::of(zh, en),
    }
}

fn pulse(pin: u8, on: u8, off: u8) -> Bilingual {
    let pin = if matches!(pin, 1 | b'1') { 5 } else { 2 };
    let (on, off) = (u16::from(on).saturating_mul(2), u16::from(off).saturating_mul(2));
    both(format!("{pin}脚, 通{on}ms 断{off}ms"), format!("pin {pin}, {on} ms on, {off} ms off"))
}

fn columns(parameters: &[u8]) -> Option<Bilingual> {
    let [m, low, high] = *parameters.first_chunk()?;
    let (wide, high) = (u16::from_le_bytes([low, high]), if matches!(m, 32 | 33) { 24 } else { 8 });
    Some(both(format!("{wide}x{high}点"), format!("{wide}x{high} dots")))
}

fn raster(parameters: &[u8]) -> Option<Bilingual> {
    let [_, a, b, c, d] = *parameters.first_chunk()?;
    let (bytes, rows) = (u32::from(u16::from_le_bytes([a, b])), u16::from_le_bytes([c, d]));
    let dots = bytes.saturating_mul(8);
    Some(both(format!("{dots}x{rows}点"), format!("{dots}x{rows} dots")))
}

/// Kinds of bar codes, by number and by letter.
fn barcode(kind: u8, rest: &[u8], show: CardData) -> Bilingual {
    let name = match kind {
        0 | 65 => "UPC-A",
        1 | 66 => "UPC-E",
        2 | 67 => "EAN13",
        3 | 68 => "EAN8",
        4 | 69 => "CODE39",
        5 | 70 => "ITF",
        6 | 71 => "CODABAR",
        72 => "CODE93",
        73 => "CODE128",
        _ => "GS1",
    };
    let data = match kind {
        0..=6 => rest.split_last().map_or(rest, |(_, data)| data),
        _ => rest.get(1..).unwrap_or_default(),
    };
    quoted(name, name, data, show)
}

/// GS ( k: kind and function, then its data.
fn code(bytes: &[u8], show: CardData) -> Option<Bilingual> {
    let [kind, function, rest @ ..] = bytes else { return None };
    let name = match kind {
        48 => "PDF417",
        49 => "QR",
        50 => "MaxiCode",
        51 => "GS1 DataBar",
        54 => "Data Matrix",
        55 => "Aztec",
        _ => return None,
    };
    let (zh, en) = match (kind, function) {
        (49, 65) => ("型号", "model"),
        (49, 67) => ("模块大小", "size of modules"),
        (49, 69) => ("纠错等级", "error correction"),
        (_, 80) => {
            let data = rest.get(1..).unwrap_or_default();
            return Some(quoted(&format!("{name} 数据"), &format!("{name} data"), data, show));
        }
        (_, 81) => ("打印", "print"),
        (_, 82) => ("请求大小", "request for its size"),
        _ => ("设置", "setting"),
    };
    let number = match (function, rest) {
        (65, [n @ 49..=51, ..]) => format!(" {}", n.saturating_sub(48)),
        (67, [n, ..]) => format!(" {n}"),
        (69, [n @ 48..=51, ..]) => {
            let level = ['L', 'M', 'Q', 'H'].into_iter().nth(usize::from(n.saturating_sub(48)));
            level.map_or_else(String::new, |level| format!(" {level}"))
        }
        _ => String::new(),
    };
    Some(both(format!("{name} {zh}{number}"), format!("{name} {en}{number}")))
}

/// Data that is characters, quoted; of anything else only the size.
fn quoted(zh: &str, en: &str, data: &[u8], show: CardData) -> Bilingual {
    if data.iter().all(|byte| is_character(*byte)) {
        let shown = text(data, show);
        return both(format!("{zh} \"{shown}\""), format!("{en} \"{shown}\""));
    }
    let count = data.len();
    both(format!("{zh} {count}字节"), format!("{en}, {count} bytes"))
}

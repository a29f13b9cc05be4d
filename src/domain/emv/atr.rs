//! The answer to reset (ATR) of a chip for people: every interface byte, the historical bytes, the check byte, and
//! where it departs from what EMV allows.
//!
//! ISO/IEC 7816-3 §8.2 (structure, F and D, guard time, T=0 and T=1 parameters), ISO/IEC 7816-4 §8.1 (historical
//! bytes), EMV 4.4 Book 1 §8.3 (what a card may answer), PC/SC part 3 (contactless cards). Spec: unverified.
use crate::domain::mask::{self, CardData, hex};
use crate::domain::text::Bilingual;

/// The most bytes of an answer to reset, TS aside.
const LENGTH_MAX: usize = 33;

/// One interface byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceByte {
    /// `TS`, `T0`, `TA1` …
    pub name: String,
    /// The byte.
    pub value: u8,
    /// What it says.
    pub meaning: Bilingual,
}

/// The check byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Not there, and not wanted: T=0 alone.
    NotWanted,
    /// Right.
    Good,
    /// Wrong.
    Wrong {
        /// What it should be.
        expected: u8,
    },
    /// Wanted and not there.
    Missing,
}

/// Why the bytes end before the answer does. Offsets count from TS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AtrError {
    /// No bytes at all.
    #[error("byte 0: an answer to reset begins with TS and T0")]
    Empty,
    /// The first byte is none.
    #[error("byte 0: TS must be 3B or 3F")]
    BadStart,
    /// A byte that is announced is not there.
    #[error("byte {offset}: {name}{group} is announced and missing")]
    Short {
        /// `TA`, `TB`, `TC`, `TD` or `historical byte `.
        name: &'static str,
        /// Its number.
        group: usize,
        /// Where it should stand.
        offset: usize,
    },
    /// Bytes behind the end.
    #[error("byte {offset}: {left} bytes behind the end of the answer")]
    Trailing {
        /// First byte too many.
        offset: usize,
        /// How many.
        left: usize,
    },
}

impl AtrError {
    /// Where the failure is.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match self {
            Self::Empty | Self::BadStart => 0,
            Self::Short { offset, .. } | Self::Trailing { offset, .. } => *offset,
        }
    }
}

/// An answer to reset for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atr {
    /// TS, T0 and the interface bytes in order.
    pub interface: Vec<InterfaceByte>,
    /// Protocols offered, in order: 0, 1, 15 for global parameters.
    pub protocols: Vec<u8>,
    /// Historical bytes in hexadecimal, masked as texts are.
    pub historical: String,
    /// What they say, a line each.
    pub historical_meaning: Vec<Bilingual>,
    /// The check byte.
    pub check: Check,
    /// Where it departs from EMV; empty if a payment terminal takes it.
    pub departures: Vec<Bilingual>,
    /// Why it ended early.
    pub failure: Option<AtrError>,
}

impl Atr {
    /// Reads an answer to reset as far as it goes.
    #[must_use]
    pub fn describe(bytes: &[u8], show: CardData) -> Self {
        let mut told = Self {
            interface: Vec::new(),
            protocols: Vec::new(),
            historical: String::new(),
            historical_meaning: Vec::new(),
            check: Check::NotWanted,
            departures: Vec::new(),
            failure: None,
        };
        let mut cursor = Cursor { bytes, at: 0 };
        told.failure = told.read(&mut cursor, show).err();
        if bytes.len() > LENGTH_MAX {
            told.depart(("超过32字节", "more than 32 bytes follow TS"));
        }
        told
    }

    fn read(&mut self, cursor: &mut Cursor<'_>, show: CardData) -> Result<(), AtrError> {
        let start = cursor.next().ok_or(AtrError::Empty)?;
        let convention = match start {
            0x3B => ("正向约定", "direct convention"),
            0x3F => ("反向约定", "inverse convention"),
            _ => return Err(AtrError::BadStart),
        };
        self.push("TS".to_owned(), start, pair(convention));
        let format = cursor.next().ok_or(AtrError::Empty)?;
        let count = usize::from(format & 0x0F);
        let meaning = Bilingual {
            zh: format!("其后 {}, 历史字节 {count} 个", follow(format, 1)),
            en: format!("{} follow, {count} historical bytes", follow(format, 1)),
        };
        self.push("T0".to_owned(), format, meaning);
        self.groups(cursor, format)?;
        let at = cursor.at;
        let historical = cursor.bytes.get(at..at.saturating_add(count)).unwrap_or_else(|| cursor.rest());
        // A memory card's content has many zeros in a row, and no place for a card number.
        let is_known = matches!(historical, [0x80, 0x4F, 0x0C, 0xA0, 0, 0, 3, 6, _, 0, _, 0, 0, 0, 0]);
        let clear = show == CardData::Clear || is_known;
        self.historical = if clear { hex(historical) } else { mask::hex_runs(historical) };
        if !self.historical.contains('*') {
            self.historical_meaning = historical_bytes(historical);
        }
        if historical.len() < count {
            let (group, offset) = (historical.len().saturating_add(1), cursor.bytes.len());
            return Err(AtrError::Short { name: "historical byte ", group, offset });
        }
        cursor.at = at.saturating_add(count);
        self.check(cursor)
    }

    /// TA1 to the last TDi.
    fn groups(&mut self, cursor: &mut Cursor<'_>, format: u8) -> Result<(), AtrError> {
        let (mut present, mut protocol, mut group) = (format, 0, 1_usize);
        loop {
            let mut next = None;
            for (name, bit) in [("TA", 0x10_u8), ("TB", 0x20), ("TC", 0x40), ("TD", 0x80)] {
                if present & bit == 0 {
                    continue;
                }
                let offset = cursor.at;
                let value = cursor.next().ok_or(AtrError::Short { name, group, offset })?;
                let meaning = interface_byte(name, group, protocol, value);
                self.push(format!("{name}{group}"), value, meaning);
                self.judge(name, group, protocol, value);
                if name == "TD" {
                    self.protocols.push(value & 0x0F);
                    next = Some(value);
                }
            }
            let Some(value) = next else { break };
            (present, protocol) = (value, value & 0x0F);
            group = group.saturating_add(1);
        }
        if self.protocols.is_empty() {
            self.protocols.push(0);
        }
        Ok(())
    }

    /// The check byte covers everything from T0 on; it is wanted unless T=0 alone is offered.
    fn check(&mut self, cursor: &mut Cursor<'_>) -> Result<(), AtrError> {
        if self.protocols.iter().any(|protocol| *protocol != 0) {
            let covered = cursor.bytes.get(1..cursor.at).unwrap_or_default();
            let expected = covered.iter().fold(0, |sum, byte| sum ^ byte);
            self.check = match cursor.next() {
                Some(check) if check == expected => Check::Good,
                Some(_) => Check::Wrong { expected },
                None => Check::Missing,
            };
            if self.check != Check::Good {
                self.depart(("校验字节TCK错误或缺失", "the check byte TCK is wrong or missing"));
            }
        }
        match cursor.rest().len() {
            0 => Ok(()),
            left => Err(AtrError::Trailing { offset: cursor.at, left }),
        }
    }

    fn push(&mut self, name: String, value: u8, meaning: Bilingual) {
        self.interface.push(InterfaceByte { name, value, meaning });
    }

    fn depart(&mut self, text: (&str, &str)) {
        self.departures.push(pair(text));
    }

    /// EMV 4.4 Book 1 §8.3.3.
    fn judge(&mut self, name: &str, group: usize, protocol: u8, value: u8) {
        match (name, group, protocol, value) {
            ("TA", 1, _, value) if !matches!(value, 0x11..=0x13) => {
                self.depart(("TA1应为11至13", "TA1 shall be 11 to 13"));
            }
            ("TB", 1, _, value) if value != 0 => self.depart(("TB1应为00", "TB1 shall be 00")),
            ("TC", 1, _, value) if value != 0 && value != 0xFF => {
                self.depart(("TC1应为00或FF", "TC1 shall be 00 or FF"));
            }
            ("TD", 1, _, value) if value & 0x0F > 1 => {
                self.depart(("TD1应表示T=0或T=1", "TD1 shall name T=0 or T=1"));
            }
            ("TA", 2, _, value) if value & 0x10 != 0 => {
                self.depart((
                    "TA2使用隐含参数, 终端拒绝",
                    "TA2 names implicit parameters, which terminals refuse",
                ));
            }
            ("TB", 2, ..) => self.depart(("不应有TB2", "TB2 shall be absent")),
            ("TC", 2, _, value) if value != 0x0A => self.depart(("TC2应为0A", "TC2 shall be 0A")),
            ("TA", 3.., 1, value) if !matches!(value, 0x10..=0xFE) => {
                self.depart(("IFSC应为10至FE", "IFSC shall be 10 to FE"));
            }
            ("TB", 3.., 1, value) if value >> 4 > 4 || value & 0x0F > 5 => {
                self.depart(("BWI不应大于4, CWI不应大于5", "BWI shall be at most 4, CWI at most 5"));
            }
            ("TC", 3.., 1, value) if value != 0 => {
                self.depart(("T=1应使用LRC", "T=1 shall use the LRC"));
            }
            _ => {}
        }
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

fn pair((zh, en): (&str, &str)) -> Bilingual {
    Bilingual::of(zh, en)
}

/// Names of the bytes that a T0 or TDi announces.
fn follow(value: u8, group: usize) -> String {
    let named = [("TA", 0x10_u8), ("TB", 0x20), ("TC", 0x40), ("TD", 0x80)];
    let names: Vec<String> =
        named.iter().filter(|(_, bit)| value & bit != 0).map(|(name, _)| format!("{name}{group}")).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(" ") }
}

fn interface_byte(name: &str, group: usize, protocol: u8, value: u8) -> Bilingual {
    let (high, low) = (value >> 4, value & 0x0F);
    match (name, group, protocol) {
        ("TA", 1, _) => speed(high, low),
        ("TB", 1 | 2, _) => Bilingual::of("编程电压(已废弃)", "programming voltage (no longer used)"),
        ("TC", 1, _) if value == 0xFF => Bilingual::of(
            "额外保护时间 N=255: T=0为12 etu, T=1为11 etu",
            "guard time N=255: 12 etu in T=0, 11 etu in T=1",
        ),
        ("TC", 1, _) => Bilingual {
            zh: format!("额外保护时间 {value} etu"),
            en: format!("{value} etu of extra guard time"),
        },
        ("TD", ..) => {
            let next = follow(value, group.saturating_add(1));
            let global = if low == 15 { (", 全局参数", ", global parameters") } else { ("", "") };
            Bilingual {
                zh: format!("协议 T={low}{}, 其后 {next}", global.0),
                en: format!("protocol T={low}{}; {next} follow", global.1),
            }
        }
        ("TA", 2, _) => {
            let how = if value & 0x10 == 0 { ("TA1", "by TA1") } else { ("隐含", "implicit") };
            let change = if value & 0x80 == 0 {
                ("可改变", "can change")
            } else {
                ("不可改变", "cannot change")
            };
            Bilingual {
                zh: format!("专用模式 T={low}, 参数{}, {}", how.0, change.0),
                en: format!("specific mode T={low}, parameters {}, {}", how.1, change.1),
            }
        }
        ("TC", 2, _) => Bilingual {
            zh: format!("T=0 等待时间整数 WI={value}"),
            en: format!("T=0 waiting time integer WI={value}"),
        },
        ("TA", _, 1) => Bilingual { zh: format!("IFSC={value} 字节"), en: format!("IFSC={value} bytes") },
        ("TB", _, 1) => Bilingual {
            zh: format!("块等待 BWI={high}, 字符等待 CWI={low}"),
            en: format!("block waiting BWI={high}, character waiting CWI={low}"),
        },
        ("TC", _, 1) => {
            pair(if value & 1 == 0 { ("校验: LRC", "check: LRC") } else { ("校验: CRC", "check: CRC") })
        }
        ("TA", _, 15) => clock_and_class(value),
        _ => Bilingual::of("其他协议参数", "parameter of another protocol"),
    }
}

/// TA1: clock conversion and baud rate. ISO/IEC 7816-3 tables 7 and 8.
fn speed(high: u8, low: u8) -> Bilingual {
    let f = match high {
        0 => Some((372_u32, "4")),
        1 => Some((372, "5")),
        2 => Some((558, "6")),
        3 => Some((744, "8")),
        4 => Some((1116, "12")),
        5 => Some((1488, "16")),
        6 => Some((1860, "20")),
        9 => Some((512, "5")),
        10 => Some((768, "7.5")),
        11 => Some((1024, "10")),
        12 => Some((1536, "15")),
        13 => Some((2048, "20")),
        _ => None,
    };
    let d = match low {
        1 => Some(1_u32),
        2 => Some(2),
        3 => Some(4),
        4 => Some(8),
        5 => Some(16),
        6 => Some(32),
        7 => Some(64),
        8 => Some(12),
        9 => Some(20),
        _ => None,
    };
    match (f, d) {
        (Some((f, most)), Some(d)) => {
            let tenths = f * 10 / d; // 1 <= d <= 64, f <= 2048
            let clocks = format!("{}.{}", tenths / 10, tenths % 10);
            Bilingual {
                zh: format!("F={f} D={d}, 每etu {clocks} 时钟, 最高 {most} MHz"),
                en: format!("F={f} D={d}, {clocks} clocks per etu, {most} MHz at most"),
            }
        }
        _ => Bilingual::of("保留的F或D", "reserved F or D"),
    }
}

fn clock_and_class(value: u8) -> Bilingual {
    let stop = match value >> 6 {
        0 => ("不支持停钟", "no clock stop"),
        1 => ("停钟于低电平", "clock stop low"),
        2 => ("停钟于高电平", "clock stop high"),
        _ => ("停钟任意电平", "clock stop either way"),
    };
    let class = match value & 0x3F {
        1 => "A (5 V)",
        2 => "B (3 V)",
        3 => "A, B",
        4 => "C (1.8 V)",
        6 => "B, C",
        7 => "A, B, C",
        _ => "?",
    };
    Bilingual { zh: format!("{}, 电压类别 {class}", stop.0), en: format!("{}, class {class}", stop.1) }
}

/// ISO/IEC 7816-4 §8.1.1; PC/SC part 3 §3.1.3.2.3 for contactless memory cards.
fn historical_bytes(bytes: &[u8]) -> Vec<Bilingual> {
    match bytes {
        [] => Vec::new(),
        [0x80, 0x4F, _, 0xA0, 0, 0, 3, 6, standard, high, low, ..] => vec![Bilingual {
            zh: format!("非接存储卡, 标准 {standard:02X}, 卡名 {high:02X}{low:02X}"),
            en: format!("contactless memory card, standard {standard:02X}, card name {high:02X}{low:02X}"),
        }],
        [0x80, objects @ ..] => compact(objects),
        [0x00, middle @ .., life, a, b] => {
            let mut lines = compact(middle);
            lines.push(status(*life, &[*a, *b]));
            lines
        }
        [0x10, reference, ..] => vec![Bilingual {
            zh: format!("DIR数据引用 {reference:02X}"),
            en: format!("reference to DIR data {reference:02X}"),
        }],
        _ if bytes.iter().all(|byte| (0x20..0x7F).contains(byte)) => {
            let text = mask::printable(bytes);
            vec![Bilingual {
                zh: format!("专有文本 \"{text}\""), en: format!("proprietary text \"{text}\"")
            }]
        }
        _ => vec![Bilingual::of("专有格式", "proprietary form")],
    }
}

fn status(life: u8, word: &[u8]) -> Bilingual {
    let word = hex(word);
    Bilingual {
        zh: format!("生命周期状态 {life:02X}, 状态字 {word}"),
        en: format!("life cycle {life:02X}, status {word}"),
    }
}

/// Compact TLV: a nibble of tag, a nibble of length.
fn compact(bytes: &[u8]) -> Vec<Bilingual> {
    let (mut lines, mut rest) = (Vec::new(), bytes);
    while let Some((head, tail)) = rest.split_first() {
        let length = usize::from(head & 0x0F);
        let Some((value, next)) = tail.split_at_checked(length) else {
            lines.push(Bilingual::of("紧凑TLV被截断", "the compact TLV is cut off"));
            break;
        };
        let (zh, en) = match head >> 4 {
            1 => ("国家代码", "country code"),
            2 => ("发卡方标识", "issuer identification"),
            3 => ("卡片服务数据", "card service data"),
            4 => ("初始访问数据", "initial access data"),
            5 => ("发卡方数据", "issuer's data"),
            6 => ("预发行数据", "pre-issuing data"),
            7 => ("卡片能力", "card capabilities"),
            8 => ("状态", "status"),
            15 => ("应用标识", "application identifier"),
            _ => ("其他", "other"),
        };
        let value = hex(value);
        lines.push(Bilingual { zh: format!("{zh} {value}"), en: format!("{en} {value}") });
        rest = next;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(bytes: &[u8]) -> Atr {
        Atr::describe(bytes, CardData::Masked)
    }

    /// Goal: the shortest contact answer, T=0, is read and taken by EMV.
    #[test]
    fn a_card_with_t_0_is_told() {
        let atr = told(&[0x3B, 0x60, 0x00, 0x00]);
        let names: Vec<_> = atr.interface.iter().map(|byte| byte.name.as_str()).collect();
        assert_eq!(names, ["TS", "T0", "TB1", "TC1"]);
        assert_eq!((atr.protocols, atr.check, atr.failure), (vec![0], Check::NotWanted, None));
        assert_eq!(atr.departures, []);
    }

    /// Goal: T=1 with its parameters, historical bytes and check byte.
    #[test]
    fn a_card_with_t_1_is_told_and_checked() {
        let mut bytes = vec![0x3B, 0xE5, 0x00, 0x00, 0x81, 0x31, 0xFE, 0x45];
        bytes.extend_from_slice(b"posd!");
        let check = bytes[1..].iter().fold(0, |sum, byte| sum ^ byte);
        bytes.push(check);
        let atr = told(&bytes);
        assert_eq!((atr.check, atr.failure), (Check::Good, None));
        assert_eq!(atr.protocols, [1, 1]);
        assert!(atr.interface.iter().any(|byte| byte.meaning.en == "IFSC=254 bytes"));
        assert!(atr.interface.iter().any(|b| b.meaning.en == "block waiting BWI=4, character waiting CWI=5"));
        assert_eq!(atr.historical_meaning[0].en, "proprietary text \"posd!\"");
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(told(&bytes).check, Check::Wrong { expected: check });
    }

    /// Goal: a contactless card of PC/SC part 3, and an answer that is cut off, with the place.
    #[test]
    fn contactless_and_broken_answers_are_told() {
        let atr = told(&[0x3B, 0x84, 0x80, 0x01, 0x00, 0x12, 0x23, 0x3F, 0x9B]);
        assert_eq!(atr.protocols, [0, 1]);
        let cut = told(&[0x3B, 0xE5, 0x00]);
        assert_eq!(cut.failure, Some(AtrError::Short { name: "TC", group: 1, offset: 3 }));
        assert_eq!(cut.interface.len(), 3);
        assert_eq!(told(&[0x60]).failure, Some(AtrError::BadStart));
        assert_eq!(told(&[]).failure, Some(AtrError::Empty));
        let long = told(&[0x3B, 0x60, 0, 0, 9]);
        assert_eq!(long.failure, Some(AtrError::Trailing { offset: 4, left: 1 }));
        let memory =
            told(&[0x3B, 0x8F, 0x80, 0x01, 0x80, 0x4F, 0x0C, 0xA0, 0, 0, 3, 6, 3, 0, 1, 0, 0, 0, 0, 0x6A]);
        assert_eq!(memory.check, Check::Good);
        assert_eq!(memory.historical_meaning[0].en, "contactless memory card, standard 03, card name 0001");
    }

    proptest! {
        /// Goal: whatever a reader delivers is told without a panic.
        #[test]
        fn any_answer_is_told(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let atr = told(&bytes);
            prop_assert!(atr.interface.len() <= bytes.len());
        }
    }
}

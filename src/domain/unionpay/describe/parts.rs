//! Sub-fields of elements that are digits: each with its key (60.1), name, value and what the value says.
use super::hide::printable;
use super::words::{self, Words, pair};
use super::{Part, Shown, hide};
use crate::domain::iso8583::De;
use crate::domain::mask::{self, CardData};
use crate::domain::money::{Amount, Currency};
use crate::domain::profile::Profile;
use crate::domain::text::Bilingual;

/// Cuts a value into parts, one after the other.
pub(super) struct Cut<'a> {
    rest: &'a [u8],
    show: CardData,
    parts: Vec<Part>,
}

impl<'a> Cut<'a> {
    pub(super) const fn new(rest: &'a [u8], show: CardData) -> Self {
        Self { rest, show, parts: Vec::new() }
    }

    /// The next bytes as a part; nothing where they are not all there.
    pub(super) fn take(&mut self, key: &str, name: Words, length: usize) -> Option<&'a str> {
        let (value, rest) = self.rest.split_at_checked(length).filter(|(value, _)| !value.is_empty())?;
        self.rest = rest;
        self.put(key, name, value);
        core::str::from_utf8(value).ok()
    }

    /// The same with what its value says.
    fn told(&mut self, key: &str, name: Words, length: usize, say: impl Fn(&str) -> Option<Words>) {
        self.meant(key, name, length, |text| say(text).map(pair));
    }

    fn meant(&mut self, key: &str, name: Words, length: usize, say: impl Fn(&str) -> Option<Bilingual>) {
        let meaning = self.take(key, name, length).and_then(say);
        if let Some(part) = self.parts.last_mut().filter(|part| part.key == key) {
            part.meaning = meaning;
        }
    }

    /// Everything left, if there is something.
    pub(super) fn rest(mut self, key: &str, name: Words) -> Vec<Part> {
        let rest = self.rest;
        if !rest.is_empty() {
            self.put(key, name, rest);
        }
        self.parts
    }

    fn put(&mut self, key: &str, name: Words, value: &[u8]) {
        let value = match self.show {
            CardData::Clear => printable(value),
            CardData::Masked => mask::runs(value, printable),
        };
        self.parts.push(Part { key: key.to_owned(), name: pair(name), value, meaning: None });
    }
}

/// The parts of an element of digits; `None` if it has none that are known.
pub(super) fn of(shown: &Shown<'_>, show: CardData, de: De, value: &[u8]) -> Option<Vec<Part>> {
    let mut cut = Cut::new(value, show);
    match de {
        De::PRIVATE_60 => {
            cut.told("60.1", ("交易类型码", "message type"), 2, words::type_code);
            cut.take("60.2", ("批次号", "batch"), 6);
            cut.told("60.3", ("网络管理信息码", "management code"), 3, words::management_code);
            cut.told("60.4", ("终端读取能力", "terminal capability"), 1, |digit| {
                Some(match digit {
                    "0" => ("未指明", "unspecified"),
                    "2" => ("磁条", "magnetic stripe"),
                    "5" => ("磁条+接触式IC", "stripe and chip"),
                    "6" => ("磁条+接触+非接IC", "stripe, chip and contactless"),
                    _ => return None,
                })
            });
            cut.told("60.5", ("IC卡条件代码", "chip condition"), 1, |digit| {
                Some(match digit {
                    "0" | "1" => ("正常", "normal"),
                    "2" => ("上次读IC卡失败(降级)", "the last chip read failed (fallback)"),
                    _ => return None,
                })
            });
            cut.told("60.6", ("部分承兑/返回余额", "partial approval, balance"), 1, |digit| {
                Some(if digit == "0" { ("不支持", "not supported") } else { ("支持", "supported") })
            });
            cut.told("60.7", ("账户类型", "account type"), 3, |code| match code {
                "048" => Some(("发卡行积分", "issuer's points")),
                "065" => Some(("联盟积分", "alliance points")),
                _ => None,
            });
            Some(cut.rest("60.8", ("其余", "rest")))
        }
        De::ORIGINAL => {
            cut.take("61.1", ("原批次号", "original batch"), 6);
            cut.take("61.2", ("原流水号", "original trace"), 6);
            cut.meant("61.3", ("原交易日期", "original date"), 4, month_and_day);
            cut.told("61.4", ("原授权方式", "authorised by"), 2, |code| {
                Some(match code {
                    "00" => ("POS授权", "terminal"),
                    "01" => ("电话授权", "phone"),
                    "02" => ("小额代授权", "stand-in for small amounts"),
                    _ => return None,
                })
            });
            Some(cut.rest("61.5", ("原授权机构", "authorising institution")))
        }
        De::SECURITY => Some(security(cut)),
        De::ADDITIONAL_DATA => additional(shown, cut, value),
        _ => None,
    }
}

/// DE 53: how PIN and tracks are protected.
fn security(mut cut: Cut<'_>) -> Vec<Part> {
    cut.told("53.1", ("PIN格式", "PIN format"), 1, |digit| {
        Some(match digit {
            "0" => ("无PIN", "no PIN"),
            "1" => ("ANSI X9.8不带主账号", "X9.8 without card number"),
            "2" => ("ANSI X9.8带主账号", "X9.8 with card number"),
            _ => return None,
        })
    });
    cut.told("53.2", ("加密算法", "algorithm"), 1, |digit| {
        Some(match digit {
            "0" => ("单倍长DES", "DES"),
            "6" => ("双倍长3DES", "3DES"),
            "3" => ("SM4", "SM4"),
            _ => return None,
        })
    });
    cut.told("53.3", ("磁道加密", "track encryption"), 1, |digit| match digit {
        "0" => Some(("未加密", "no")),
        "1" => Some(("已加密", "yes")),
        _ => None,
    });
    cut.rest("53.4", ("保留", "reserved"))
}

/// DE 48 by message.
fn additional(shown: &Shown<'_>, mut cut: Cut<'_>, value: &[u8]) -> Option<Vec<Part>> {
    let settles = matches!(shown.mti, "0500" | "0510");
    if settles && value.len() == 62 {
        for (prefix, class) in [("48.1", ("内卡", "domestic")), ("48.2", ("外卡", "foreign"))] {
            let name = |zh: &str, en: &str| Bilingual {
                zh: format!("{}{zh}", class.0),
                en: format!("{} {en}", class.1),
            };
            for (at, zh, en, length) in [
                (1, "借记金额", "debit amount", 12),
                (2, "借记笔数", "debit count", 3),
                (3, "贷记金额", "credit amount", 12),
                (4, "贷记笔数", "credit count", 3),
                (5, "对账应答", "verdict", 1),
            ] {
                let key = format!("{prefix}.{at}");
                cut.meant(&key, ("", ""), length, |text| match length {
                    12 => in_major(text, None),
                    1 => verdict(text).map(pair),
                    _ => text.parse::<u32>().ok().map(|n| plain(&n.to_string())),
                });
                if let Some(part) = cut.parts.last_mut() {
                    part.name = name(zh, en);
                }
            }
        }
        return Some(cut.rest("48.3", ("其余", "rest")));
    }
    if hide::is_batch_detail(shown.mti, value) {
        cut.take("48.1", ("明细笔数", "records"), 2);
        for at in 1..=value.len() / 40 {
            detail(&mut cut, at);
        }
        return Some(cut.rest("48.10", ("其余", "rest")));
    }
    let count = matches!(shown.mti, "0320" | "0330") && value.len() == 4;
    let tip = shown.mti == "0220" && value.len() == 12;
    let name = match (count, tip) {
        (true, _) => ("总笔数", "records in all"),
        (_, true) => ("小费", "tip"),
        _ => return None,
    };
    cut.meant("48.1", name, value.len(), |text| if tip { in_major(text, None) } else { None });
    Some(cut.parts)
}

/// One record of a batch upload as one part.
fn detail(cut: &mut Cut<'_>, at: usize) -> Option<()> {
    let (record, rest) = cut.rest.split_at_checked(40)?;
    cut.rest = rest;
    let text = core::str::from_utf8(record).ok()?;
    let (class, stan, digits) = (text.get(..2)?, text.get(2..8)?, text.get(8..28)?);
    let number = digits.trim_start_matches('0');
    let number = if cut.show == CardData::Clear { number.to_owned() } else { mask::number(number) };
    let amount = text.get(28..).and_then(|text| in_major(text, None));
    let class = match class {
        "00" => ("内卡", "domestic"),
        "01" => ("外卡", "foreign"),
        _ => ("?", "?"),
    };
    let said = |of: &str, class: &str| format!("{class} · {number} · {of}");
    let (zh, en) = amount.map_or_else(|| ("?".to_owned(), "?".to_owned()), |a| (a.zh, a.en));
    cut.parts.push(Part {
        key: format!("48.{}", at.saturating_add(1)),
        name: Bilingual { zh: format!("流水号 {stan}"), en: format!("trace {stan}") },
        value: if cut.show == CardData::Clear { text.to_owned() } else { hide::batch_record(text) },
        meaning: Some(Bilingual { zh: said(&zh, class.0), en: said(&en, class.1) }),
    });
    Some(())
}

fn verdict(digit: &str) -> Option<Words> {
    Some(match digit {
        "0" => ("请求", "asked"),
        "1" => ("对账平", "agreed"),
        "2" => ("对账不平", "disagreed"),
        "3" => ("对账出错", "in error"),
        _ => return None,
    })
}

fn plain(text: &str) -> Bilingual {
    Bilingual::of(text, text)
}

/// Twelve digits of the minor unit in major units.
pub(super) fn in_major(text: &str, currency: Option<Currency>) -> Option<Bilingual> {
    let amount = Amount::from_minor(text.parse().ok()?).ok()?;
    let major = amount.in_major(currency.unwrap_or(Currency::CNY));
    Some(match currency {
        Some(currency) => plain(&format!("{major} {}", currency.alpha())),
        None => plain(&major),
    })
}

fn month_and_day(text: &str) -> Option<Bilingual> {
    let (month, day) = text.split_at_checked(2)?;
    (month != "00").then(|| plain(&format!("{month}-{day}")))
}

/// What a value without parts says.
pub(super) fn meaning(shown: &Shown<'_>, de: De, value: &[u8]) -> Option<Bilingual> {
    let text = core::str::from_utf8(value).ok()?;
    let joined = |a: Option<Words>, b: Option<Words>| {
        let both = [a, b].into_iter().flatten();
        let (zh, en): (Vec<_>, Vec<_>) = both.unzip();
        (!zh.is_empty()).then(|| Bilingual { zh: zh.join(", "), en: en.join(", ") })
    };
    match de {
        De::PROCESSING_CODE => words::processing_code(text.get(..2)?).map(pair),
        De::AMOUNT => in_major(text, shown.currency),
        De::TIME => {
            let (h, rest) = text.split_at_checked(2)?;
            let (m, s) = rest.split_at_checked(2)?;
            Some(plain(&format!("{h}:{m}:{s}")))
        }
        De::DATE | De::SETTLEMENT_DATE => month_and_day(text),
        De::EXPIRY => {
            let (year, month) = text.split_at_checked(2)?;
            Some(plain(&format!("20{year}-{month}")))
        }
        De::ENTRY_MODE => joined(words::entry_mode(text.get(..2)?), words::pin_ability(text.get(2..)?)),
        De::CONDITION => words::condition(text).map(pair),
        De::CURRENCY => Currency::from_numeric3(text).map(|currency| plain(currency.alpha())),
        De::RESPONSE_CODE if matches!(shown.mti, "0400" | "0420") => words::reversal_reason(text).map(pair),
        De::RESPONSE_CODE => {
            let profile = Profile::unionpay();
            let entry = profile.catalogue.look_up(text);
            Some(Bilingual { zh: entry.zh.to_string(), en: entry.en.to_string() })
        }
        De::PIN_BLOCK if value.iter().all(|byte| *byte == 0) => {
            Some(Bilingual::of("全零: PIN在59域", "zeros: the PIN is in field 59"))
        }
        De::MAC => {
            let is_text = value.iter().all(u8::is_ascii_hexdigit);
            is_text.then(|| Bilingual { zh: format!("文本 \"{text}\""), en: format!("text \"{text}\"") })
        }
        _ => None,
    }
}

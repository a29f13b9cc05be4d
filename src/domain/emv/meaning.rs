//! What the value of a data object says, in sentences for people. What is not understood gets no sentence.
//!
//! EMV 4.4 Book 3 Annex A and C, Book 4 Annex A; UnionPay's objects as public terminal code reads them. Spec:
//! unverified.
use super::dol;
use super::qualifiers::{Additional, Auc, Ctq, Ttq};
use super::results::{Aip, Capabilities, Cid, CryptogramType, Tsi, Tvr};
use super::tag::{Format, entry};
use super::tlv::Tag;
use crate::domain::mask::{hex, printable};
use crate::domain::money::{Amount, Currency};
use crate::domain::text::Bilingual;

/// The sentences of a value; `currency` is what the objects around it name (5F2A).
pub(super) fn of(tag: Tag, value: &[u8], currency: Option<[u8; 2]>) -> Vec<Bilingual> {
    bits(tag, value).or_else(|| lists(tag, value)).unwrap_or_else(|| {
        let one = codes(tag, value).or_else(|| numbers(tag, value, currency)).or_else(|| text(tag, value));
        one.into_iter().collect()
    })
}

fn same(text: impl AsRef<str>) -> Bilingual {
    Bilingual::of(text.as_ref(), text.as_ref())
}

fn pair((zh, en): (&str, &str)) -> Bilingual {
    Bilingual::of(zh, en)
}

/// Bit fields: a line for each bit that is set.
fn bits(tag: Tag, value: &[u8]) -> Option<Vec<Bilingual>> {
    let texts = match tag {
        Tag::TVR
        | Tag::IAC_DEFAULT
        | Tag::IAC_DENIAL
        | Tag::IAC_ONLINE
        | Tag(0xDF11 | 0xDF12 | 0xDF13 | 0xDF8120 | 0xDF8121 | 0xDF8122) => {
            Tvr::new(value.try_into().ok()?).texts()
        }
        Tag::TSI => Tsi::new(value.try_into().ok()?).texts(),
        Tag::AIP => Aip::new(value.try_into().ok()?).texts(),
        Tag::CAPABILITIES => Capabilities::new(value.try_into().ok()?).texts(),
        Tag::ADDITIONAL_CAPABILITIES => Additional::new(value.try_into().ok()?).texts(),
        Tag::AUC => Auc::new(value.try_into().ok()?).texts(),
        Tag::TTQ => Ttq::new(value.try_into().ok()?).texts(),
        Tag::CTQ => Ctq::new(value.try_into().ok()?).texts(),
        _ => return None,
    };
    if texts.is_empty() {
        return Some(vec![Bilingual::of("无置位", "no bit is set")]);
    }
    Some(texts.into_iter().map(pair).collect())
}

/// Values that are lists: a line for each entry.
fn lists(tag: Tag, value: &[u8]) -> Option<Vec<Bilingual>> {
    if entry(tag).is_some_and(|entry| entry.format == Format::Dol) {
        let list = dol::entries(value).ok()?;
        let line = |part: &dol::DolEntry| {
            let named = |name: &str| format!("{} ({}) {name}", part.tag, part.length);
            let (zh, en) =
                entry(part.tag).map_or(("?", "?"), |e| (if e.zh.is_empty() { e.name } else { e.zh }, e.name));
            Bilingual::of(&named(zh), &named(en))
        };
        return Some(list.iter().map(line).collect());
    }
    match tag {
        Tag::CVM_LIST => cvm_list(value),
        Tag::AFL => Some(file_locator(value)),
        Tag::UNIONPAY_SCRIPT_RESULTS | Tag::SCRIPT_RESULTS => {
            Some(value.as_chunks::<5>().0.iter().map(script_result).collect())
        }
        Tag::RESPONSE_FORMAT_1 => response_format_1(value),
        _ => None,
    }
}

/// Two amounts, then rules of two bytes.
fn cvm_list(value: &[u8]) -> Option<Vec<Bilingual>> {
    let (x, rest) = value.split_first_chunk::<4>()?;
    let (y, rules) = rest.split_first_chunk::<4>()?;
    let mut lines = Vec::new();
    let (x, y) = (u32::from_be_bytes(*x), u32::from_be_bytes(*y));
    if x != 0 || y != 0 {
        lines.push(same(format!("X = {x}, Y = {y}")));
    }
    for (at, [code, condition]) in rules.as_chunks::<2>().0.iter().enumerate() {
        let (method, when) = (cvm_method(*code), cvm_condition(*condition));
        let next = if code & 0x40 == 0 {
            ("失败则结束", "if unsuccessful: fail")
        } else {
            ("失败则用下一条", "if unsuccessful: next rule")
        };
        let at = at.saturating_add(1);
        lines.push(Bilingual {
            zh: format!("{at}. {} · {} · {}", method.0, when.0, next.0),
            en: format!("{at}. {} · {} · {}", method.1, when.1, next.1),
        });
    }
    Some(lines)
}

/// EMV 4.4 Book 3 Annex C3.
const fn cvm_method(code: u8) -> (&'static str, &'static str) {
    match code & 0x3F {
        0x00 => ("持卡人验证失败", "fail CVM processing"),
        0x01 => ("IC卡明文PIN验证", "plaintext PIN verified by the card"),
        0x02 => ("联机加密PIN验证", "enciphered PIN verified online"),
        0x03 => ("IC卡明文PIN验证+签名", "plaintext PIN verified by the card, and signature"),
        0x04 => ("IC卡密文PIN验证", "enciphered PIN verified by the card"),
        0x05 => ("IC卡密文PIN验证+签名", "enciphered PIN verified by the card, and signature"),
        0x06..=0x0D => ("生物特征验证", "biometric"),
        0x1E => ("签名", "signature"),
        0x1F => ("无需持卡人验证", "no CVM required"),
        0x20 => ("持卡人证件验证(银联)", "identity document (UnionPay)"),
        0x3F => ("未进行持卡人验证", "no CVM performed"),
        _ => ("未知方法", "unknown method"),
    }
}

const fn cvm_condition(code: u8) -> (&'static str, &'static str) {
    match code {
        0 => ("总是", "always"),
        1 => ("无人值守取现", "if unattended cash"),
        2 => ("非取现非返现", "if not cash and not cashback"),
        3 => ("终端支持此方法", "if the terminal supports it"),
        4 => ("人工取现", "if manual cash"),
        5 => ("返现", "if cashback"),
        6 => ("应用货币且金额低于X", "if application currency and under X"),
        7 => ("应用货币且金额高于X", "if application currency and over X"),
        8 => ("应用货币且金额低于Y", "if application currency and under Y"),
        9 => ("应用货币且金额高于Y", "if application currency and over Y"),
        _ => ("未知条件", "unknown condition"),
    }
}

fn file_locator(value: &[u8]) -> Vec<Bilingual> {
    let line = |[sfi, first, last, signed]: &[u8; 4]| {
        let sfi = sfi >> 3;
        let records = if first == last { format!("{first}") } else { format!("{first}-{last}") };
        Bilingual {
            zh: format!("SFI {sfi} 记录 {records}, 其中 {signed} 条参与脱机认证"),
            en: format!("SFI {sfi}, records {records}, {signed} of them for offline authentication"),
        }
    };
    value.as_chunks::<4>().0.iter().map(line).collect()
}

fn script_result([first, id @ ..]: &[u8; 5]) -> Bilingual {
    let (number, id) = (first & 0x0F, hex(id));
    match first >> 4 {
        0 => Bilingual { zh: format!("脚本 {id}: 未执行"), en: format!("script {id}: not performed") },
        1 => Bilingual {
            zh: format!("脚本 {id}: 第 {number} 条命令失败"),
            en: format!("script {id}: command {number} failed"),
        },
        2 => Bilingual { zh: format!("脚本 {id}: 成功"), en: format!("script {id}: successful") },
        _ => same(format!("{id}: {first:02X}")),
    }
}

fn response_format_1(value: &[u8]) -> Option<Vec<Bilingual>> {
    let (head, rest) = value.split_first_chunk::<2>()?;
    if !rest.is_empty() && rest.len().is_multiple_of(4) {
        let mut lines = Aip::new(*head).texts().into_iter().map(pair).collect::<Vec<_>>();
        lines.extend(file_locator(rest));
        return Some(lines);
    }
    None
}

/// Values of which each has a name.
fn codes(tag: Tag, value: &[u8]) -> Option<Bilingual> {
    match (tag, value) {
        (Tag::CVM_RESULTS, [method, condition, outcome]) => {
            let (method, condition) = (cvm_method(*method), cvm_condition(*condition));
            let outcome = match outcome {
                0 => ("结果未知", "outcome unknown"),
                1 => ("失败", "failed"),
                2 => ("成功", "successful"),
                _ => ("?", "?"),
            };
            Some(Bilingual {
                zh: format!("{} · {} · {}", method.0, condition.0, outcome.0),
                en: format!("{} · {} · {}", method.1, condition.1, outcome.1),
            })
        }
        (Tag::CID, [cid]) => Some(cryptogram(Cid(*cid))),
        (Tag::TRANSACTION_TYPE, [code]) => transaction_type(*code).map(pair),
        (Tag::TERMINAL_TYPE, [code]) => terminal_type(*code),
        (Tag::CURRENCY | Tag::APPLICATION_CURRENCY | Tag::REFERENCE_CURRENCY, [_, _]) => {
            currency_of(value.try_into().ok()?).map(|currency| same(currency.alpha()))
        }
        (Tag::TERMINAL_COUNTRY | Tag::ISSUER_COUNTRY, [high, low]) => country(*high, *low).map(pair),
        (Tag::AID | Tag::DF_NAME | Tag::TERMINAL_AID | Tag::DDF_NAME, _) => application(value),
        (Tag::IAD, [7, key, version, _, ..]) => {
            let (key, version) = (format!("{key:02X}"), format!("{version:02X}"));
            Some(Bilingual {
                zh: format!("分散密钥索引 {key}, 密文版本 {version}, 卡片验证结果 {}", cvr(value)),
                en: format!(
                    "key index {key}, cryptogram version {version}, card verification results {}",
                    cvr(value)
                ),
            })
        }
        (Tag::ISSUER_AUTHENTICATION, [arpc @ .., _, _]) if arpc.len() == 8 => {
            let code = printable(value.get(8..).unwrap_or_default());
            Some(Bilingual {
                zh: format!("ARPC + 响应码 {code}"),
                en: format!("ARPC + response code {code}"),
            })
        }
        (Tag::RESPONSE_CODE, _) => response_code(value),
        (Tag::PRIORITY, [code]) => {
            let confirm =
                if code & 0x80 == 0 { ("", "") } else { (", 需持卡人确认", ", to be confirmed") };
            let priority = code & 0x0F;
            Some(Bilingual {
                zh: format!("优先级 {priority}{}", confirm.0),
                en: format!("priority {priority}{}", confirm.1),
            })
        }
        (Tag(0xDF06), [1]) => Some(same("SHA-1")),
        (Tag(0xDF07), [1]) => Some(same("RSA")),
        (Tag(0xDF07), [4]) => Some(same("SM2")),
        (Tag::SDA_TAG_LIST, [0x82]) => Some(same("AIP")),
        (Tag::SCRIPT_COMMAND, [class, instruction, ..]) => command(*class, *instruction),
        _ => None,
    }
}

fn cvr(value: &[u8]) -> String {
    hex(value.get(3..7).unwrap_or_default())
}

fn cryptogram(cid: Cid) -> Bilingual {
    let (zh, en) = match cid.cryptogram() {
        Some(CryptogramType::Aac) => ("AAC: 卡片拒绝", "AAC: the card declines"),
        Some(CryptogramType::Tc) => ("TC: 卡片批准", "TC: the card approves"),
        Some(CryptogramType::Arqc) => ("ARQC: 请求联机", "ARQC: the card wants the issuer asked"),
        None => ("保留值", "reserved"),
    };
    let (advice_zh, advice_en) =
        if cid.asks_advice() { (", 需通知", ", advice wanted") } else { ("", "") };
    let (why_zh, why_en) = match cid.reason() {
        1 => (", 服务不允许", ", service not allowed"),
        2 => (", PIN重试次数超限", ", PIN try limit exceeded"),
        3 => (", 发卡行认证失败", ", issuer authentication failed"),
        _ => ("", ""),
    };
    Bilingual { zh: format!("{zh}{advice_zh}{why_zh}"), en: format!("{en}{advice_en}{why_en}") }
}

const fn transaction_type(code: u8) -> Option<(&'static str, &'static str)> {
    Some(match code {
        0x00 => ("消费", "goods and services"),
        0x01 => ("取现", "cash"),
        0x03 => ("预授权", "pre-authorisation"),
        0x09 => ("消费返现", "cashback"),
        0x17 => ("现金圈存撤销", "void of a cash load"),
        0x20 => ("退货/撤销", "refund or void"),
        0x30 | 0x31 => ("余额查询", "balance inquiry"),
        0x60 => ("指定账户圈存", "load from the own account"),
        0x62 => ("非指定账户圈存", "load from another account"),
        0x63 => ("现金充值", "cash load"),
        _ => return None,
    })
}

/// EMV 4.4 Book 4 Annex A1.
fn terminal_type(code: u8) -> Option<Bilingual> {
    let who = match code >> 4 {
        1 => ("金融机构", "financial institution"),
        2 => ("商户", "merchant"),
        3 => ("持卡人", "cardholder"),
        _ => return None,
    };
    let what = match code & 0x0F {
        1 => ("有人值守, 仅联机", "attended, online only"),
        2 => ("有人值守, 可脱机可联机", "attended, offline with online capability"),
        3 => ("有人值守, 仅脱机", "attended, offline only"),
        4 => ("无人值守, 仅联机", "unattended, online only"),
        5 => ("无人值守, 可脱机可联机", "unattended, offline with online capability"),
        6 => ("无人值守, 仅脱机", "unattended, offline only"),
        _ => return None,
    };
    Some(Bilingual { zh: format!("{}, {}", who.0, what.0), en: format!("{}, {}", who.1, what.1) })
}

fn currency_of(code: [u8; 2]) -> Option<Currency> {
    Currency::from_numeric3(hex(&code).get(1..)?)
}

const fn country(high: u8, low: u8) -> Option<(&'static str, &'static str)> {
    Some(match (high, low) {
        (0x01, 0x56) => ("中国", "China"),
        (0x03, 0x44) => ("中国香港", "Hong Kong, China"),
        (0x04, 0x46) => ("中国澳门", "Macao, China"),
        (0x01, 0x58) => ("中国台湾", "Taiwan, China"),
        (0x07, 0x02) => ("新加坡", "Singapore"),
        (0x03, 0x92) => ("日本", "Japan"),
        (0x04, 0x10) => ("韩国", "Korea"),
        (0x07, 0x64) => ("泰国", "Thailand"),
        (0x08, 0x40) => ("美国", "United States"),
        (0x08, 0x26) => ("英国", "United Kingdom"),
        (0x02, 0x76) => ("德国", "Germany"),
        (0x02, 0x50) => ("法国", "France"),
        _ => return None,
    })
}

/// The scheme of an application by its registered provider. ISO/IEC 7816-5.
fn application(value: &[u8]) -> Option<Bilingual> {
    let name = match value.first_chunk::<5>()? {
        [0xA0, 0, 0, 0x03, 0x33] => {
            let (zh, en) = match value.get(5..8) {
                Some([1, 1, 1]) => ("银联借记", "UnionPay debit"),
                Some([1, 1, 2]) => ("银联贷记", "UnionPay credit"),
                Some([1, 1, 3]) => ("银联准贷记", "UnionPay quasi-credit"),
                Some([1, 1, 6]) => ("银联电子现金", "UnionPay e-cash"),
                Some([1, 1, 8]) => ("银联美国通用借记", "UnionPay US common debit"),
                _ => ("银联", "UnionPay"),
            };
            return Some(Bilingual::of(zh, en));
        }
        [0xA0, 0, 0, 0, 0x03] => "Visa",
        [0xA0, 0, 0, 0, 0x04] => "Mastercard",
        [0xA0, 0, 0, 0, 0x25] => "American Express",
        [0xA0, 0, 0, 0, 0x65] => "JCB",
        [0xA0, 0, 0, 0x01, 0x52] => "Discover",
        [b'1', b'P', b'A', b'Y', _] => "1PAY.SYS.DDF01 (PSE)",
        [b'2', b'P', b'A', b'Y', _] => "2PAY.SYS.DDF01 (PPSE)",
        _ => return None,
    };
    Some(same(name))
}

fn response_code(value: &[u8]) -> Option<Bilingual> {
    let (zh, en) = match value {
        b"Y1" => ("脱机批准", "approved offline"),
        b"Z1" => ("脱机拒绝", "declined offline"),
        b"Y3" => ("无法联机, 脱机批准", "unable to go online, approved offline"),
        b"Z3" => ("无法联机, 脱机拒绝", "unable to go online, declined offline"),
        _ => return text(Tag::RESPONSE_CODE, value),
    };
    let code = printable(value);
    Some(Bilingual { zh: format!("{code}: {zh}"), en: format!("{code}: {en}") })
}

fn command(class: u8, instruction: u8) -> Option<Bilingual> {
    let name = match instruction {
        0x1E => "APPLICATION BLOCK",
        0x18 => "APPLICATION UNBLOCK",
        0x16 => "CARD BLOCK",
        0x24 => "PIN CHANGE/UNBLOCK",
        0xDA => "PUT DATA",
        0xDC => "UPDATE RECORD",
        0xD6 => "UPDATE BINARY",
        _ => return None,
    };
    Some(same(format!("{name} ({class:02X} {instruction:02X})")))
}

/// Dates, amounts, counters.
fn numbers(tag: Tag, value: &[u8], currency: Option<[u8; 2]>) -> Option<Bilingual> {
    let digits = hex(value);
    match tag {
        Tag::DATE | Tag::EXPIRY | Tag::EFFECTIVE_DATE => match value {
            [_, _, _] => date(digits.get(..2)?, digits.get(2..4)?, digits.get(4..6)?),
            _ => None,
        },
        Tag(0xDF05) => {
            let text = if value.len() == 8 { String::from_utf8_lossy(value).into_owned() } else { digits };
            date(text.get(2..4)?, text.get(4..6)?, text.get(6..8)?)
        }
        Tag::TIME => match value {
            [h, m, s] => Some(same(format!("{h:02X}:{m:02X}:{s:02X}"))),
            _ => None,
        },
        Tag::AMOUNT
        | Tag::AMOUNT_OTHER
        | Tag::ECASH_BALANCE
        | Tag::ECASH_LIMIT
        | Tag::ECASH_SINGLE_LIMIT
        | Tag::ECASH_TERMINAL_LIMIT
        | Tag(0xDF19 | 0xDF20 | 0xDF21 | 0x9F5D) => amount(digits.parse().ok()?, currency),
        Tag::AMOUNT_BINARY | Tag::AMOUNT_OTHER_BINARY | Tag::FLOOR_LIMIT | Tag(0xDF15) => {
            amount(u64::from(u32::from_be_bytes(value.try_into().ok()?)), currency)
        }
        Tag::ATC | Tag::LAST_ONLINE_ATC => Some(same(u16::from_be_bytes(value.try_into().ok()?).to_string())),
        Tag::PIN_TRY_COUNTER => match value {
            [left] => Some(Bilingual { zh: format!("剩余 {left} 次"), en: format!("{left} tries left") }),
            _ => None,
        },
        Tag(0xDF16 | 0xDF17) => Some(same(format!("{digits} %"))),
        _ => None,
    }
}

fn date(year: &str, month: &str, day: &str) -> Option<Bilingual> {
    let within = |text: &str, most: u8| text.parse().is_ok_and(|n: u8| n <= most);
    let fits = within(year, 99) && within(month, 12) && within(day, 31);
    fits.then(|| same(format!("20{year}-{month}-{day}")))
}

fn amount(minor: u64, currency: Option<[u8; 2]>) -> Option<Bilingual> {
    let amount = Amount::from_minor(minor).ok()?;
    Some(match currency.and_then(currency_of) {
        Some(currency) => same(format!("{} {}", amount.in_major(currency), currency.alpha())),
        None => same(amount.in_major(Currency::CNY)),
    })
}

/// Characters, where the format says so.
fn text(tag: Tag, value: &[u8]) -> Option<Bilingual> {
    let format = entry(tag)?.format;
    let is_text = matches!(format, Format::A | Format::An | Format::Ans);
    (is_text && !value.is_empty() && value.iter().any(u8::is_ascii_graphic))
        .then(|| same(printable(value).trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::testing::bytes;

    fn en<const N: usize>(tag: u32, value: &str) -> Vec<String> {
        let value: [u8; N] = bytes(value);
        of(Tag(tag), &value, Some([0x01, 0x56])).into_iter().map(|line| line.en).collect()
    }

    /// Goal: values with a known form become sentences.
    #[test]
    fn values_are_told_in_words() {
        assert_eq!(en::<6>(0x9F02, "000000001000"), ["10.00 CNY"]);
        assert_eq!(en::<3>(0x9A, "260115"), ["2026-01-15"]);
        assert_eq!(
            en::<3>(0x9F34, "020300"),
            ["enciphered PIN verified online · if the terminal supports it · outcome unknown"]
        );
        assert_eq!(en::<1>(0x9F27, "80"), ["ARQC: the card wants the issuer asked"]);
        assert_eq!(en::<2>(0x5F2A, "0156"), ["CNY"]);
        assert_eq!(en::<8>(0x84, "A000000333010101"), ["UnionPay debit"]);
        assert_eq!(en::<8>(0x94, "0802020010010200").len(), 2);
        assert_eq!(en::<8>(0xDF05, "3230323431323331"), ["2024-12-31"]);
        assert_eq!(en::<3>(0x9F49, "9F3704"), ["9F37 (4) Unpredictable number"]);
        assert_eq!(en::<2>(0x8A, "5931"), ["Y1: approved offline"]);
        assert_eq!(en::<5>(0xDF31, "2000000001"), ["script 00000001: successful"]);
        assert_eq!(en::<5>(0x95, "0000000000"), ["no bit is set"]);
        assert!(en::<2>(0x9A, "2601").is_empty());
        let list = en::<14>(0x8E, "00000000000000004403410342 03".replace(' ', "").as_str());
        assert_eq!(
            list[0],
            "1. enciphered PIN verified by the card · if the terminal supports it · \
                             if unsuccessful: next rule"
        );
        assert_eq!(list.len(), 3);
    }
}

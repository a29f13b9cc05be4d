//! Elements whose content depends on the message: balances, institutions, and the private elements 59, 62 and 63.
//!
//! Key material is shown to nobody who did not ask for it: an answer to a sign-on, and bytes of DE 62 that are neither
//! text nor known objects, are hidden whole.
use super::hide::printable;
use super::parts::{Cut, in_major};
use super::words::pair;
use super::{Part, Shown};
use crate::domain::emv::describe as objects;
use crate::domain::iso8583::De;
use crate::domain::mask::{self, CardData, hex};
use crate::domain::money::Currency;
use crate::domain::text::Bilingual;

/// What DE 62 is in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Private62 {
    /// Working keys, or a master key: lengths only.
    Keys,
    /// One status character, then data objects.
    StatusAndObjects,
    /// Data objects.
    Objects,
    /// Characters.
    Text,
    /// Neither: may be keys.
    Unknown,
}

impl Private62 {
    /// By the message type and 60.3, then by form.
    pub(super) fn of(shown: &Shown<'_>, value: &[u8]) -> Self {
        let response = matches!(shown.mti, "0810" | "0830");
        let code = shown.management_code.as_str();
        let is_objects = |value: &[u8]| {
            let told = objects::describe(value, CardData::Masked);
            !told.objects.is_empty()
                && told.failure.is_none()
                && told.objects.iter().all(|o| o.name.is_some())
        };
        if response && (code.starts_with("00") || matches!(code, "350" | "351" | "401")) {
            return Self::Keys;
        }
        if is_objects(value) {
            return Self::Objects;
        }
        match value {
            [b'0'..=b'9', rest @ ..] if is_objects(rest) => Self::StatusAndObjects,
            // A key in hexadecimal characters is a key.
            _ if value.len() >= 32 && value.iter().all(u8::is_ascii_hexdigit) => Self::Unknown,
            _ if value.iter().all(|byte| matches!(byte, 0x20..0x7F)) => Self::Text,
            // Texts of parameters may be GBK: known by the item number in front.
            _ if response && code == "360" && value.starts_with(b"1") => Self::Text,
            _ => Self::Unknown,
        }
    }
}

/// DE 62 as one value; binary elements are in hexadecimal.
pub(super) fn value_62(shown: &Shown<'_>, value: &[u8]) -> String {
    match Private62::of(shown, value) {
        Private62::Keys | Private62::Unknown => "*".repeat(value.len().saturating_mul(2)),
        Private62::Text => mask::runs(value, hex),
        Private62::Objects => super::hide::icc(value),
        Private62::StatusAndObjects => {
            let (status, rest) = value.split_at_checked(1).unwrap_or((value, &[]));
            hex(status) + &super::hide::icc(rest)
        }
    }
}

/// The parts of DE 62, and the data objects in it.
pub(super) fn parts_62(shown: &Shown<'_>, value: &[u8]) -> (Vec<Part>, Vec<objects::Described>) {
    let described = |value: &[u8]| objects::describe(value, shown.show).objects;
    match Private62::of(shown, value) {
        Private62::Keys => (key_block(shown, value), Vec::new()),
        Private62::Unknown => (Vec::new(), Vec::new()),
        Private62::Objects => (Vec::new(), described(value)),
        Private62::StatusAndObjects => {
            let (status, rest) = value.split_at_checked(1).unwrap_or((value, &[]));
            let meaning = match status {
                b"0" => Some(("无", "none")),
                b"1" => Some(("本报文含全部或本条记录", "all in this message, or this record")),
                b"2" => Some(("还有后续", "more follow")),
                b"3" => Some(("最后一页", "last page")),
                _ => None,
            };
            let name = Bilingual::of("状态", "status");
            let part =
                Part { key: "62.1".to_owned(), name, value: printable(status), meaning: meaning.map(pair) };
            (vec![part], described(rest))
        }
        Private62::Text => (text_62(shown, value), Vec::new()),
    }
}

/// Lengths of a key block's records; key and check values only where card data is shown.
fn key_block(shown: &Shown<'_>, value: &[u8]) -> Vec<Part> {
    let (key, records): (usize, &[&str]) = match (value.len(), shown.management_code.as_str()) {
        (24, _) => (8, &["PIK", "MAK"]),
        (40, _) => (16, &["PIK", "MAK"]),
        (60, _) => (16, &["PIK", "MAK", "TDK"]),
        (75, _) => return typed_block(shown, value),
        _ => (0, &[]),
    };
    let mut parts = Vec::new();
    let chunks = value.chunks(key.saturating_add(4).max(5));
    for ((name, record), at) in records.iter().zip(chunks).zip(1_u8..) {
        let (sealed, check) = record.split_at_checked(key).unwrap_or((record, &[]));
        let single = sealed.len() == 16 && sealed.ends_with(&[0; 8]);
        let length = if single { 8 } else { sealed.len() };
        let shape = if shown.show == CardData::Clear {
            hex(sealed)
        } else {
            "*".repeat(sealed.len().saturating_mul(2))
        };
        let check = if shown.show == CardData::Clear { hex(check) } else { "*".repeat(8) };
        parts.push(Part {
            key: format!("62.{at}"),
            name: Bilingual {
                zh: format!("{name} 密文+校验值"),
                en: format!("{name}, encrypted, and check value"),
            },
            value: format!("{shape} {check}"),
            meaning: Some(Bilingual {
                zh: format!("{length} 字节密钥{}", if single { ", 后8字节为零" } else { "" }),
                en: format!("key of {length} bytes{}", if single { ", then 8 zeros" } else { "" }),
            }),
        });
    }
    parts
}

/// Records of type, key and a check value of eight bytes.
fn typed_block(shown: &Shown<'_>, value: &[u8]) -> Vec<Part> {
    let line = |(record, at): (&[u8; 25], u8)| {
        let [kind, key @ ..] = record;
        let name = match kind {
            0 => "TMK",
            1 => "MAK",
            2 => "PIK",
            _ => "?",
        };
        let body = if shown.show == CardData::Clear { hex(key) } else { "*".repeat(48) };
        Part {
            key: format!("62.{at}"),
            name: Bilingual {
                zh: format!("{name} 密文+校验值"),
                en: format!("{name}, encrypted, and check value"),
            },
            value: format!("{kind:02X} {body}"),
            meaning: Some(Bilingual::of("16 字节密钥", "key of 16 bytes")),
        }
    };
    value.as_chunks::<25>().0.iter().zip(1..).map(line).collect()
}

fn text_62(shown: &Shown<'_>, value: &[u8]) -> Vec<Part> {
    let mut cut = Cut::new(value, shown.show);
    if value.starts_with(b"Sequence No") {
        cut.take("62.1", ("标志", "label"), 11);
        cut.take("62.2", ("长度", "length"), 2);
        return cut.rest("62.3", ("入网许可证号+终端序列号", "licence and serial number"));
    }
    let upload = matches!(shown.management_code.as_str(), "203" | "204" | "205" | "206");
    if shown.mti == "0320" && upload && (value.starts_with(b"61") || value.starts_with(b"71")) {
        cut.take("62.1", ("标志", "label"), 2);
        cut.take("62.2", ("卡类别(00内卡 01外卡)", "class (00 domestic, 01 foreign)"), 2);
        cut.take("62.3", ("结果(00成功 05 ARPC错 11脱机拒绝)", "result (05 ARPC failed, 11 declined)"), 2);
        cut.take("62.4", ("金额", "amount"), 12);
        cut.take("62.5", ("货币", "currency"), 3);
        return cut.rest("62.6", ("密文类型+ARPC结果", "cryptogram type, ARPC result"));
    }
    if matches!(shown.management_code.as_str(), "372" | "382" | "390") && value.len() == 3 {
        cut.take("62.1", ("查询标志+已收条数/起始号", "query and count received, or next number"), 3);
        return cut.rest("62.2", ("其余", "rest"));
    }
    cut.rest("62.1", ("文本", "text"))
}

/// DE 44, 54, 59 and 63: characters.
pub(super) fn parts(shown: &Shown<'_>, de: De, value: &[u8]) -> Option<Vec<Part>> {
    let mut cut = Cut::new(value, shown.show);
    match de {
        De::ADDITIONAL_RESPONSE => {
            cut.take("44.1", ("发卡机构", "issuer"), 11);
            cut.take("44.2", ("收单机构", "acquirer"), 11);
            Some(cut.rest("44.3", ("卡种", "card type")))
        }
        De::BALANCE => {
            Some(value.as_chunks::<20>().0.iter().zip(1..).map(|(b, at)| balance(b, at)).collect())
        }
        De::EXTENSION => Some(extension(shown, value)),
        De::PRIVATE_63 => {
            let response =
                shown.mti.as_bytes().get(2) == Some(&b'1') || shown.mti.as_bytes().get(2) == Some(&b'3');
            let name = if response {
                ("国际卡组织代码", "card organisation")
            } else {
                ("操作员/卡组织", "operator or organisation")
            };
            cut.take("63.1", name, 3);
            cut.take("63.2.1", ("发卡方信息", "text of the issuer"), 20);
            cut.take("63.2.2", ("银联中心信息", "text of the centre"), 20);
            cut.take("63.2.3", ("受理方信息", "text of the acquirer"), 20);
            Some(cut.rest("63.2.4", ("POS信息", "text for the terminal")))
        }
        _ => None,
    }
}

/// One balance: account type, kind of amount, currency, sign, amount.
fn balance(text: &[u8; 20], at: usize) -> Part {
    let [_, _, kind @ .., _, _, _, _, _, _, _, _, _, _, _, _] = text;
    let [k1, k2, c1, c2, c3, sign] = kind;
    let kind = match [*k1, *k2] {
        [b'0', b'1'] => ("账面余额", "ledger balance"),
        [b'0', b'2'] => ("可用余额", "available balance"),
        _ => ("余额", "balance"),
    };
    let currency = core::str::from_utf8(&[*c1, *c2, *c3]).ok().and_then(Currency::from_numeric3);
    let amount = text.get(8..).and_then(|digits| core::str::from_utf8(digits).ok());
    let minus = if *sign == b'D' { "-" } else { "" };
    let meaning = amount.and_then(|digits| in_major(digits, currency));
    let meaning = meaning
        .map(|told| Bilingual { zh: format!("{minus}{}", told.zh), en: format!("{minus}{}", told.en) });
    Part { key: format!("54.{at}"), name: pair(kind), value: mask::runs(text, printable), meaning }
}

/// DE 59 as one value: the encrypted PIN hidden whole, elsewhere what may be a card number or a scanned code.
pub(super) fn value_59(value: &[u8]) -> String {
    let (mut text, mut rest) = (String::new(), value);
    while let Some((head, tail)) = rest.split_first_chunk::<5>() {
        let length =
            head.get(2..).and_then(|digits| core::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        let Some((inner, next)) = length.and_then(|length| tail.split_at_checked(length)) else { break };
        if !head.starts_with(b"A1") {
            // Head and value in one: the digits of the length are part of the run, as they stand.
            let whole = rest.get(..inner.len().saturating_add(5)).unwrap_or_default();
            text.push_str(&mask::runs(whole, printable));
        } else {
            text.push_str(&printable(head));
            text.push_str(&"*".repeat(inner.len()));
        }
        rest = next;
    }
    text + &mask::runs(rest, printable)
}

/// DE 59: tag of two characters, length of three digits, value.
fn extension(shown: &Shown<'_>, value: &[u8]) -> Vec<Part> {
    let (mut parts, mut rest) = (Vec::new(), value);
    while let Some((tag, tail)) = rest.split_first_chunk::<2>() {
        let length = tail.split_first_chunk::<3>().and_then(|(digits, tail)| {
            let length: usize = core::str::from_utf8(digits).ok()?.parse().ok()?;
            tail.split_at_checked(length)
        });
        let Some((value, next)) = length else { break };
        let (zh, en) = match tag {
            b"A1" => ("PIN密文(SM4)", "PIN block (SM4)"),
            b"A2" => ("终端安全信息(TUSN)", "terminal security information (TUSN)"),
            b"A3" => ("扫码付C2B码", "scanned code"),
            b"A4" => ("付款凭证码", "payment voucher code"),
            b"A5" => ("位置信息", "location"),
            _ => ("未知", "unknown"),
        };
        let text = match (shown.show, tag) {
            (CardData::Clear, b"A1") => hex(value),
            (CardData::Clear, _) => printable(value),
            (_, b"A1") => "*".repeat(value.len().saturating_mul(2)),
            _ => mask::runs(value, printable),
        };
        parts.push(Part { key: printable(tag), name: Bilingual::of(zh, en), value: text, meaning: None });
        rest = next;
    }
    parts
}

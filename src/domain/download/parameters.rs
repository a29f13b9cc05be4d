//! Field 62 of the terminal parameters: numbered items of fixed length, one after the other.
//!
//! Source: LiaoYang_POS; Spec: unverified. An item whose number is not known has no known length: what follows it
//! cannot be read, and is told.
use super::Row;
use core::time::Duration;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Decimal digits.
    Digits,
    /// Digits and blanks: a telephone number.
    Phone,
    /// Characters, perhaps GBK, filled up with blanks.
    Text,
    /// Bytes.
    Bytes,
}

/// One item.
struct Item {
    number: &'static str,
    name: &'static str,
    length: usize,
    form: Form,
}

const fn item(number: &'static str, name: &'static str, length: usize, form: Form) -> Item {
    Item { number, name, length, form }
}

/// Every item that is known.
const ITEMS: &[Item] = &[
    item("11", "application-type", 2, Form::Digits),
    item(TIMEOUT, "response-timeout-s", 2, Form::Digits),
    item(RETRIES, "connect-retries", 1, Form::Digits),
    item("14", "phone-1", 14, Form::Phone),
    item("15", "phone-2", 14, Form::Phone),
    item("16", "phone-3", 14, Form::Phone),
    item("17", "management-phone", 14, Form::Phone),
    item("18", "tip-allowed", 1, Form::Digits),
    item("19", "tip-percent", 2, Form::Digits),
    item("20", "manual-entry", 1, Form::Digits),
    item("21", "auto-sign-off", 1, Form::Digits),
    item(MERCHANT_NAME, "merchant-name", 40, Form::Text),
    item(RESEND, "resend-count", 1, Form::Digits),
    item("24", "offline-upload-mode", 1, Form::Digits),
    item("25", "master-key-index", 1, Form::Digits),
    item("26", "enabled-transactions", 4, Form::Bytes),
    item("27", "offline-count-max", 2, Form::Digits),
];
const TIMEOUT: &str = "12";
const RETRIES: &str = "13";
const MERCHANT_NAME: &str = "22";
const RESEND: &str = "23";

/// What came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Good items by number.
    pub rows: Vec<Row>,
    /// What was refused or passed over, and why; no values.
    pub remarks: Vec<String>,
}

/// Reads the items. A value of a wrong form is refused by its name, and the others stand.
#[must_use]
pub fn read(mut bytes: &[u8]) -> Received {
    let mut received = Received::default();
    while !bytes.is_empty() {
        let Some((number, rest)) = bytes.split_at_checked(2) else {
            received.remarks.push("the items are cut off".to_owned());
            break;
        };
        let Some(item) = ITEMS.iter().find(|item| item.number.as_bytes() == number) else {
            let shown: String = number.iter().map(|b| b.escape_ascii().to_string()).collect();
            let left = rest.len();
            received.remarks.push(format!("item {shown} is not known; {left} bytes after it were not read"));
            break;
        };
        let Some((value, rest)) = rest.split_at_checked(item.length) else {
            received.remarks.push(format!("item {} ({}) is cut off", item.number, item.name));
            break;
        };
        bytes = rest;
        let twice = received.rows.iter().any(|row| row.key == item.number.as_bytes());
        if twice || !item.form.fits(value) {
            let why = if twice { "came twice" } else { "has a wrong form" };
            received.remarks.push(format!("item {} ({}) {why}", item.number, item.name));
        } else {
            received.rows.push(Row { key: item.number.as_bytes().to_vec(), data: value.to_vec() });
        }
    }
    received
}

impl Form {
    fn fits(self, value: &[u8]) -> bool {
        match self {
            Self::Digits => value.iter().all(u8::is_ascii_digit),
            Self::Phone => value.iter().all(|b| b.is_ascii_digit() || b" -#*,".contains(b)),
            Self::Text => value.iter().all(|b| *b >= 0x20) && value.iter().any(|b| *b != b' '),
            Self::Bytes => true,
        }
    }
}

/// What posd does by the items it has a use for; `None` where there is none, or one out of the limits of posd.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// How long an answer is waited for. Item 12, 1 to 99 s.
    pub response_timeout: Option<Duration>,
    /// Attempts to connect. Item 13 counts the repeats: 0 to 9, so 1 to 10 attempts.
    pub connect_attempts: Option<u32>,
    /// Name of the merchant, perhaps GBK. Item 22.
    pub merchant_name: Option<Vec<u8>>,
    /// Attempts of a reversal or an upload: item 23 counts the repeats.
    pub attempts: Option<u32>,
}

/// What of a table of parameters is acted upon.
#[must_use]
pub fn adopt(rows: &[Row]) -> Adopted {
    let value =
        |number: &str| rows.iter().find(|row| row.key == number.as_bytes()).map(|row| row.data.as_slice());
    let digits = |number: &str| core::str::from_utf8(value(number)?).ok()?.parse::<u32>().ok();
    Adopted {
        response_timeout: digits(TIMEOUT).filter(|s| *s > 0).map(|s| Duration::from_secs(u64::from(s))),
        connect_attempts: digits(RETRIES).map(|repeats| repeats.saturating_add(1)),
        merchant_name: value(MERCHANT_NAME).map(|name| name.trim_ascii_end().to_vec()),
        attempts: digits(RESEND).map(|repeats| repeats.saturating_add(1)),
    }
}

/// Names of the items that posd has no use for yet, for people.
#[must_use]
pub fn unused(rows: &[Row]) -> Vec<&'static str> {
    let used = [TIMEOUT, RETRIES, MERCHANT_NAME, RESEND];
    let here = |item: &&Item| rows.iter().any(|row| row.key == item.number.as_bytes());
    ITEMS.iter().filter(here).filter(|item| !used.contains(&item.number)).map(|item| item.name).collect()
}

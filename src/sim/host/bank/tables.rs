//! What the bank has for downloads: CA keys, applications, parameters, a blacklist, contactless parameters; and what it
//! was asked for.
//!
//! Written from the field documents, with its own small TLV writer: terminal and bank shall not share a mistake.
use super::{Refusal, management_code, refuse};
use crate::domain::iso8583::{De, Message};

/// Questions that are remembered.
const ASKED_MAX: usize = 1000;

/// A published CA key of UnionPay (RID A000000333, index 03), as its record travels.
const CAPK: &str = concat!(
    "9F0605A0000003339F220103DF05083230323431323331DF060101DF070101DF0281B0B0627DEE87864F9C18C13B9A1F025448BF13C58380",
    "C91F4CEBA9F9BCB214FF8414E9B59D6ABA10F941C7331768F47B2127907D857FA39AAF8CE02045DD01619D689EE731C551159BE7EB2D51A3",
    "72FF56B556E5CB2FDE36E23073A44CA215D6C26CA68847B388E39520E0026E62294B557D6470440CA0AEFC9438C923AEC9B2098D6D3A1AF5",
    "E8B1DE36F4B53040109D89B77CAFAF70C26C601ABDF59EEC0FDC8A99089140CD2E817E335175B03B7AA33DDF040103DF031487F0CD7C0E86",
    "F38F89A66F8C47071A8B88586F26"
);
/// What every application of UnionPay has in common.
const AID_REST: &str = concat!(
    "DF0101009F08020030DF1105D84000A800DF1205D84004F800DF130500100000009F1B0400000000DF150400000000DF160199DF170199",
    "DF14039F3704DF1801019F7B06000000100000DF1906000000100000DF2006000999999999DF2106000000100000"
);

/// The tables. Records are whole, as they travel after the status digit.
#[derive(Clone, Debug)]
pub(in crate::sim::host) struct Tables {
    /// Records of CA keys.
    pub(in crate::sim::host) capk: Vec<Vec<u8>>,
    /// Records of applications.
    pub(in crate::sim::host) aid: Vec<Vec<u8>>,
    /// Items.
    pub(in crate::sim::host) parameters: Vec<u8>,
    /// Card numbers.
    pub(in crate::sim::host) blacklist: Vec<String>,
    /// BER-TLV.
    pub(in crate::sim::host) contactless: Vec<u8>,
    /// Entries on a page.
    pub(in crate::sim::host) page: usize,
    /// Lists these and does not give them: RID and index, or AID.
    pub(in crate::sim::host) lacking: Vec<Vec<u8>>,
    asked: Vec<String>,
}

impl Tables {
    /// A key, three applications, a time-out of 45 s.
    pub(super) fn new() -> Self {
        let aid = |last: u8| {
            let mut record = hex(&format!("9F0608A0000003330101{last:02X}")).unwrap_or_default();
            record.extend(hex(AID_REST).unwrap_or_default());
            record
        };
        Self {
            capk: hex(CAPK).into_iter().collect(),
            aid: vec![aid(1), aid(2), aid(3)],
            parameters: b"1245".to_vec(),
            blacklist: Vec::new(),
            contactless: hex("DF1906000000100000").unwrap_or_default(),
            page: 10,
            lacking: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// What was asked, oldest first: `capk list 00`, `aid record A000000333010101`, `blacklist page 001`, `capk end`,
    /// `state …`.
    pub(in crate::sim::host) fn asked(&self) -> Vec<String> {
        self.asked.clone()
    }

    fn note(&mut self, what: String) {
        if self.asked.len() < ASKED_MAX {
            self.asked.push(what);
        }
    }

    /// Answers a question of a download; `None`: it is none.
    pub(super) fn answer(&mut self, request: &Message, answer: &mut Message) -> Option<Result<(), Refusal>> {
        let asked = request.bytes(De::PRIVATE_62).unwrap_or_default().to_vec();
        let text = String::from_utf8_lossy(&asked).into_owned();
        let (what, said) = match (request.mti(), management_code(request)?) {
            ("0820", "372") => {
                (format!("capk list {}", text.get(1..).unwrap_or_default()), self.list(true, &text))
            }
            ("0820", "382") => {
                (format!("aid list {}", text.get(1..).unwrap_or_default()), self.list(false, &text))
            }
            ("0800", "370") => self.record("capk", &asked),
            ("0800", "380") => self.record("aid", &asked),
            ("0800", "360") => ("parameters".to_owned(), Some(self.parameters.clone())),
            ("0800", "390") => (format!("blacklist page {text}"), self.cards(&text)),
            ("0800", "394") => ("contactless".to_owned(), Some(self.contactless())),
            ("0800", "371") => ("capk end".to_owned(), Some(Vec::new())),
            ("0800", "381") => ("aid end".to_owned(), Some(Vec::new())),
            ("0800", "361") => ("parameters end".to_owned(), Some(Vec::new())),
            ("0800", "391") => ("blacklist end".to_owned(), Some(Vec::new())),
            ("0800", "395") => ("contactless end".to_owned(), Some(Vec::new())),
            ("0820", "362") => (format!("state {text}"), Some(Vec::new())),
            _ => return None,
        };
        self.note(what);
        Some(match said {
            Some(data) => {
                if !data.is_empty() {
                    answer.set(De::PRIVATE_62, data);
                }
                Ok(())
            }
            None => refuse("30", "DE 62 cannot be read"),
        })
    }

    /// Where a page begins, and its status digit.
    fn part(&self, from: usize, all: usize) -> (u8, core::ops::Range<usize>) {
        let to = all.min(from.saturating_add(self.page));
        let status = match (all, from) {
            (0, _) => b'0',
            _ if to < all => b'2',
            (_, 0) => b'1',
            _ => b'3',
        };
        (status, from.min(to)..to)
    }

    fn list(&self, keys: bool, asked: &str) -> Option<Vec<u8>> {
        let from = asked.strip_prefix('1').filter(|rest| rest.len() == 2)?.parse().ok()?;
        let records = if keys { &self.capk } else { &self.aid };
        let (status, part) = self.part(from, records.len());
        let heads = records.get(part)?.iter().filter_map(|record| head(record, keys));
        Some(core::iter::once(status).chain(heads.flatten()).collect())
    }

    fn record(&self, kind: &str, asked: &[u8]) -> (String, Option<Vec<u8>>) {
        let name = name_of(asked);
        let what = format!("{kind} record {}", name.iter().map(|b| format!("{b:02X}")).collect::<String>());
        let records = if kind == "capk" { &self.capk } else { &self.aid };
        let found = records.iter().find(|record| record.starts_with(asked) && !asked.is_empty());
        let found = found.filter(|_| !self.lacking.contains(&name));
        let said = found.map_or_else(|| b"0".to_vec(), |record| [b"1".as_slice(), record].concat());
        (what, Some(said))
    }

    fn cards(&self, asked: &str) -> Option<Vec<u8>> {
        let next: usize = asked.parse().ok()?;
        let (status, part) = self.part(next.checked_sub(1)?, self.blacklist.len());
        if status == b'0' {
            return Some(b"0".to_vec());
        }
        let entries = self.blacklist.get(part)?.iter().map(|pan| format!("{:02}{pan}", pan.len()));
        let total = self.blacklist.len();
        Some(format!("{}{total:03}{}", char::from(status), entries.collect::<String>()).into_bytes())
    }

    fn contactless(&self) -> Vec<u8> {
        let status: &[u8] = if self.contactless.is_empty() { b"0" } else { b"1" };
        [status, &self.contactless].concat()
    }
}

/// The first objects of a record that the list repeats: all have lengths of one byte. `9F06` of an application; `9F06`,
/// `9F22` and `DF05` of a key.
fn head(record: &[u8], key: bool) -> Option<Vec<u8>> {
    let mut at = 0_usize;
    for _ in 0..if key { 3 } else { 1 } {
        let length = usize::from(*record.get(at.checked_add(2)?)?);
        at = at.checked_add(3)?.checked_add(length)?;
    }
    record.get(..at).map(<[u8]>::to_vec)
}

/// The values of the objects of a question, one after the other.
fn name_of(asked: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    let mut rest = asked;
    while let [_, _, length, tail @ ..] = rest {
        let Some((value, left)) = tail.split_at_checked(usize::from(*length)) else { break };
        name.extend_from_slice(value);
        rest = left;
    }
    name
}

/// Hexadecimal digits as bytes.
pub(in crate::sim::host) fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok())
        .collect()
}

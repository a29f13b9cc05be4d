//! `emv.toml`: terminal data, applications, CA public keys and revoked certificates. EMV 4.4 Book 4 Annex A (terminal
//! data), Book 1 §12 (applications), Book 2 §11.2 (CA keys), Book 2 §5.1.2 (revocation).
use super::groups::{hex, hex_bytes};
use super::{PinEntry, Terminal};
use crate::domain::emv::params::{Aid, AidEntry, Capk, EmvConfig, Revocation, TerminalData};
use crate::domain::emv::results::Capabilities;
use crate::domain::settings::{ConfigError, Section, Tables};
use std::path::Path;

const AIDS_MAX: usize = 128;
const CAPKS_MAX: usize = 256;
/// Choice: EMV asks for 30 a scheme. EMV 4.4 Book 2 §5.1.2.
const REVOKED_MAX: usize = 1024;
/// "XDA" in tag 9F33. The terminal may not promise what it does not do. EMV 4.4 Book 4 Annex A2.
const XDA: u8 = 0x04;
/// 9F1B has four bytes.
const FLOOR_LIMIT_MAX: i64 = 0xffff_ffff;

/// Reads the text of `emv.toml`. Tags 9F1C, 9F16 and 9F4E are taken from `[terminal]`; without it nothing is
/// returned, but everything is checked. The capabilities must fit the way in which `[reader]` takes PINs.
pub(super) fn read(
    file: &Path,
    text: &str,
    (identity, pin_entry): (Option<&Terminal>, Option<PinEntry>),
    errors: &mut Vec<ConfigError>,
) -> Option<EmvConfig> {
    let before = errors.len();
    let mut tables = Tables::parse(file, text, errors);
    if errors.len() > before {
        return None;
    }
    let mut aids = Vec::new();
    let mut capks = Vec::new();
    let mut revoked = Vec::new();
    for (n, (entries, line)) in tables.lists.remove("aid").unwrap_or_default().into_iter().enumerate() {
        let name = format!("[[aid]] {}", n.saturating_add(1));
        let section = Section::new(&name, (file.to_owned(), line), entries, errors);
        aids.extend(aid(section, &aids));
    }
    for (n, (entries, line)) in tables.lists.remove("capk").unwrap_or_default().into_iter().enumerate() {
        let name = format!("[[capk]] {}", n.saturating_add(1));
        let section = Section::new(&name, (file.to_owned(), line), entries, errors);
        capks.extend(capk(section, &capks));
    }
    for (n, (entries, line)) in tables.lists.remove("revoked").unwrap_or_default().into_iter().enumerate() {
        let name = format!("[[revoked]] {}", n.saturating_add(1));
        let section = Section::new(&name, (file.to_owned(), line), entries, errors);
        revoked.extend(revocation(section, &revoked));
    }
    let top = tables.tables.remove("").unwrap_or_default();
    let mut section = Section::new("", (file.to_owned(), 0), top, errors);
    if !(1..=AIDS_MAX).contains(&aids.len()) || capks.len() > CAPKS_MAX || revoked.len() > REVOKED_MAX {
        section.wrong_table(
            "",
            "has too few or too many tables",
            &format!("1 to {AIDS_MAX} [[aid]], at most {CAPKS_MAX} [[capk]] and {REVOKED_MAX} [[revoked]]"),
        );
    }
    let terminal = terminal(section, identity, pin_entry);
    let unknown = tables.tables.into_keys().chain(tables.lists.into_keys());
    errors.extend(unknown.map(|name| ConfigError {
        file: file.to_owned(),
        line: tables.lines.get(&name).map_or(0, |(_, line)| *line),
        key: format!("[{name}]"),
        problem: "is not known".to_owned(),
        allowed: "[[aid]], [[capk]], [[revoked]]".to_owned(),
    }));
    Some(EmvConfig { terminal: terminal?, aids, capks: capks.into(), revoked: revoked.into() })
}

fn terminal(
    mut s: Section<'_>,
    identity: Option<&Terminal>,
    pin_entry: Option<PinEntry>,
) -> Option<TerminalData> {
    let country_code = s.text("country-code", None, "4 digits such as 0156", bcd);
    let terminal_type = s.text("terminal-type", None, "2 digits such as 22", bcd::<1>);
    let capabilities =
        s.text("capabilities", None, "6 hex digits without XDA (third byte, 04): not supported", |t| {
            hex(t).filter(|[.., security]: &[u8; 3]| security & XDA == 0)
        });
    if let Some(why) = capabilities.zip(pin_entry).and_then(|(can, entry)| promised_in_vain(can, entry)) {
        s.contradiction(["capabilities", "[reader] pin-entry"], why);
    }
    let additional = s.text("additional-capabilities", None, "10 hex digits", hex);
    let category = s.text("merchant-category-code", None, "4 digits", bcd);
    let serial = s.text("ifd-serial", None, "8 printable ASCII characters", |t| {
        t.bytes().all(|b| (0x20..0x7f).contains(&b)).then(|| t.as_bytes().try_into().ok())?
    });
    s.finish();
    let identity = identity?;
    Some(TerminalData {
        country_code: country_code?,
        terminal_type: u8::from_be_bytes(terminal_type?),
        capabilities: capabilities?,
        additional_capabilities: additional?,
        merchant_category_code: category?,
        ifd_serial: serial?,
        terminal_id: identity.id.as_str().as_bytes().try_into().ok()?,
        merchant_id: identity.merchant_id.as_str().as_bytes().try_into().ok()?,
        merchant_name: merchant_name(identity),
    })
}

/// Why these capabilities promise the card a PIN that this terminal cannot take.
fn promised_in_vain(capabilities: [u8; 3], pin_entry: PinEntry) -> Option<&'static str> {
    let can = |bit| Capabilities::new(capabilities).has(bit);
    let (plain, online, enciphered) = (
        can(Capabilities::OFFLINE_PIN_PLAIN),
        can(Capabilities::ONLINE_PIN),
        can(Capabilities::OFFLINE_PIN_ENCIPHERED),
    );
    match pin_entry {
        PinEntry::Nowhere if plain || online || enciphered => Some(
            "no PIN can be typed: take 80, 40 and 10 out of the second byte, or set pin-entry to agent or pinpad",
        ),
        // PC/SC part 10: a pad puts the PIN into a command to the card. It makes no block for a bank, and has no key
        // of the card to encipher with.
        PinEntry::Pinpad if online || enciphered => Some(
            "the reader's PIN pad gives a PIN to the card alone, and in clear: take 40 and 10 out of the second byte, \
             or set pin-entry to agent",
        ),
        PinEntry::Agent | PinEntry::Pinpad | PinEntry::Nowhere => None,
    }
}

/// Tag 9F4E is ASCII. Choice: other characters are left out, and where nothing remains the merchant id stands
/// in.
fn merchant_name(identity: &Terminal) -> Vec<u8> {
    let ascii: String = identity.merchant_name.chars().filter(char::is_ascii).collect();
    let name = if ascii.trim().is_empty() { identity.merchant_id.as_str() } else { ascii.trim() };
    name.as_bytes().to_vec()
}

fn aid(mut s: Section<'_>, earlier: &[AidEntry]) -> Option<AidEntry> {
    let action = |t: &str| hex(t);
    let aid = s.text("aid", None, "10 to 32 hex digits", |t| Aid::new(&hex_bytes(t)?));
    let partial_match = s.flag("partial-match", true);
    let version = s.text("version", None, "4 hex digits", hex);
    let tac_default = s.text("tac-default", None, "10 hex digits", action);
    let tac_online = s.text("tac-online", None, "10 hex digits", action);
    let tac_denial = s.text("tac-denial", None, "10 hex digits", action);
    let floor_limit = s.number("floor-limit", 0, 0..=FLOOR_LIMIT_MAX, " minor units");
    let threshold = s.number("random-threshold", 0, 0..=FLOOR_LIMIT_MAX, " minor units");
    let max_percent: Option<u8> = s.number("random-max-percent", 99, 0..=99, " %");
    let target_percent: Option<u8> = s.number("random-target-percent", 99, 0..=99, " %");
    let ddol = s.text("default-ddol", Some(vec![0x9f, 0x37, 0x04]), "2 to 504 hex digits", |t| {
        hex_bytes(t).filter(|bytes| (1..=252).contains(&bytes.len()))
    });
    let online_pin = s.flag("online-pin", true);
    if target_percent > max_percent {
        s.wrong_table("random-target-percent", "is above random-max-percent", "at most random-max-percent");
    }
    if aid.is_some() && earlier.iter().any(|other| Some(&other.aid) == aid.as_ref()) {
        s.wrong_table("aid", "stands in the file twice", "each AID once");
    }
    s.finish();
    Some(AidEntry {
        aid: aid?,
        partial_match: partial_match?,
        version: version?,
        tac_default: tac_default?,
        tac_online: tac_online?,
        tac_denial: tac_denial?,
        floor_limit: floor_limit?,
        random_threshold: threshold?,
        random_max_percent: max_percent?,
        random_target_percent: target_percent?,
        default_ddol: ddol?,
        online_pin: online_pin?,
    })
}

fn capk(mut s: Section<'_>, earlier: &[Capk]) -> Option<Capk> {
    let rid: Option<[u8; 5]> = s.text("rid", None, "10 hex digits", hex);
    let index = s.text("index", None, "2 hex digits", hex::<1>);
    let expiry = s.text("expiry", None, "a day as YYYYMMDD", day);
    let exponent = s.text("exponent", None, "03 or 010001", |t| {
        hex_bytes(t).filter(|e| matches!(e.as_slice(), [3] | [1, 0, 1]))
    });
    let modulus = s.text("modulus", None, "192 to 496 hex digits", |t| {
        hex_bytes(t).filter(|m| (96..=248).contains(&m.len()))
    });
    let sha1: Option<[u8; 20]> = s.text("sha1", None, "40 hex digits", hex);
    let mut capk = match (rid, index, expiry, exponent, modulus) {
        (Some(rid), Some([index]), Some(expiry), Some(exponent), Some(modulus)) => {
            Some(Capk { rid, index, expiry, exponent, modulus })
        }
        _ => None,
    };
    if let (Some(key), Some(sha1)) = (&capk, sha1)
        && key.checksum() != sha1
    {
        s.wrong_table("sha1", "does not fit the key", "SHA-1 over RID, index, modulus and exponent");
        capk = None;
    }
    capk = capk.filter(|key| {
        let twice = earlier.iter().any(|other| (other.rid, other.index) == (key.rid, key.index));
        if twice {
            s.wrong_table("index", "stands in the file twice", "each key of a RID once");
        }
        !twice
    });
    s.finish();
    sha1.and(capk)
}

fn revocation(mut s: Section<'_>, earlier: &[Revocation]) -> Option<Revocation> {
    let rid: Option<[u8; 5]> = s.text("rid", None, "10 hex digits", hex);
    let index = s.text("index", None, "2 hex digits", hex::<1>);
    let serial: Option<[u8; 3]> = s.text("serial", None, "6 hex digits", hex);
    let revocation = match (rid, index, serial) {
        (Some(rid), Some([index]), Some(serial)) => Some(Revocation { rid, index, serial }),
        _ => None,
    };
    if revocation.is_some_and(|entry| earlier.contains(&entry)) {
        s.wrong_table("serial", "stands in the file twice", "each certificate once");
    }
    s.finish();
    revocation
}

/// Decimal digits, two a byte.
fn bcd<const N: usize>(text: &str) -> Option<[u8; N]> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| hex(text))?
}

/// `YYYYMMDD` in BCD. The day is not held against the month: an expiry on 30 February ends in February as
/// well.
fn day(text: &str) -> Option<[u8; 4]> {
    let month: u8 = text.get(4..6)?.parse().ok()?;
    let day: u8 = text.get(6..8)?.parse().ok()?;
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then(|| bcd(text))?
}

//! The tables of `posd.toml`: every key with its default and its limits.
use super::profiles::is_name;
use super::zone::zone;
use super::{
    Batch, Chinese, Connection, Drawer, DrawerPin, DrawerSensor, Endpoint, Host, LinkControl, Links,
    Operators, PinEntry, Printer, PrinterDevice, Reader, Security, SerialFlow, Slip, StoreAndForward,
    Terminal,
};
use crate::domain::ident::{MerchantId, TerminalId};
use crate::domain::link::LinkKind;
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{EntryMode, Kind, Role};
use crate::domain::profile::Profile;
use crate::domain::settings::Section;
use crate::domain::slip::{FOOT_LINES_MAX, FootLine, Language, QrText, Template};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const PORT: &str = "name:port or tls://name:port, the port 1 to 65535";
const DEVICE: &str = "auto, usb:VID:PID[:serial] in hex, an absolute path, tcp:HOST:PORT";
/// 9_999_999_999.99: the largest amount of DE 4.
const AMOUNT_MAX: i64 = 999_999_999_999;

pub(super) fn terminal(mut s: Section<'_>) -> Option<Terminal> {
    let id = s.text("id", None, "8 printable ASCII characters", |t| TerminalId::new(t).ok());
    let merchant_id =
        s.text("merchant-id", None, "15 printable ASCII characters", |t| MerchantId::new(t).ok());
    let name = s.text("merchant-name", Some(String::new()), "at most 40 characters", |t| {
        (t.chars().count() <= 40 && !t.chars().any(char::is_control)).then(|| t.to_owned())
    });
    let currency =
        s.text("currency", Some(Currency::CNY), "CNY, HKD, MOP, TWD, USD, EUR, JPY", Currency::from_alpha);
    let language = s.text("language", Some(Language::Zh), &all(Language::ALL), Language::from_word);
    let built: Vec<Kind> =
        Kind::ALL.iter().copied().filter(|k| !matches!(k, Kind::QrSale | Kind::QrRefund)).collect();
    let kinds = s.list("enabled-kinds", Some(built), 0..=Kind::ALL.len(), &all(Kind::ALL), Kind::from_word);
    let timezone = s.text("timezone", zone("Asia/Shanghai"), "a zone of the system's tzdata", zone);
    s.finish();
    Some(Terminal {
        id: id?,
        merchant_id: merchant_id?,
        merchant_name: name?,
        currency: currency?,
        language: language?,
        enabled_kinds: kinds?,
        timezone: timezone?,
    })
}

/// `profile` is what the key of that name stands for; what it says counts where a key here is absent.
pub(super) fn host(mut s: Section<'_>, profile: &Arc<Profile>) -> Option<Host> {
    let name = s.text("profile", Some(()), "1 to 32 of a-z, 0-9, - and _", |t| is_name(t).then_some(()));
    let seconds = i64::try_from(profile.response_timeout.as_secs()).unwrap_or(60);
    let endpoints = s.list("endpoints", None, 1..=8, PORT, endpoint);
    let tpdu = s.text("tpdu", Some(profile.tpdu), "10 hex digits", hex);
    let header = s.text("header", Some(profile.header), "12 hex digits", hex);
    let connect_attempts = s.number("connect-attempts", 3, 1..=10, "");
    let connect_timeout = s.number("connect-timeout-s", 10, 1..=60, " s");
    let response_timeout = s.number("response-timeout-s", seconds, 1..=300, " s");
    let ca = s.text("tls-ca", Some(PathBuf::from("/etc/posd/ca.pem")), "an absolute path", absolute);
    let cert = s.optional("tls-cert", "an absolute path", absolute);
    let key = s.optional("tls-key", "an absolute path", absolute);
    let pins = s.one_or_list("tls-pin-sha256", 2, "64 hex digits", hex);
    let connection =
        s.text("connection", Some(Connection::Short), &all(Connection::ALL), Connection::from_word);
    let heartbeat = s.number("heartbeat-s", 120, 60..=240, " s");
    let auto_sign_on = s.flag("auto-sign-on", true);
    let client = match (cert, key) {
        (Some(Some(cert)), Some(Some(key))) => Some(Some((cert, key))),
        (Some(None), Some(None)) => Some(None),
        (Some(_), Some(_)) => {
            s.wrong_table("tls-cert", "and tls-key belong together", "both, or neither");
            None
        }
        _ => None,
    };
    let endpoints = endpoints.filter(|endpoints: &Vec<Endpoint>| {
        let mixed = endpoints.iter().any(|e| e.tls) && endpoints.iter().any(|e| !e.tls);
        if mixed {
            // Whoever blocks the one with TLS would get the plain one.
            s.wrong_table("endpoints", "mixes tls:// and plain ones", "tls:// everywhere, or nowhere");
        }
        !mixed
    });
    s.finish();
    let (profile, endpoints) = (name.map(|()| Arc::clone(profile))?, endpoints?);
    let private = endpoints.iter().all(|endpoint| endpoint.tls);
    Some(Host {
        profile: if private { profile.on_private_line() } else { profile },
        endpoints,
        tpdu: tpdu?,
        header: header?,
        connect_attempts: connect_attempts?,
        connect_timeout: Duration::from_secs(connect_timeout?),
        response_timeout: Duration::from_secs(response_timeout?),
        tls_ca: ca?,
        tls_client: client?,
        tls_pins: pins?,
        connection: connection?,
        heartbeat: Duration::from_secs(heartbeat?),
        auto_sign_on: auto_sign_on?,
    })
}

pub(super) fn reader(mut s: Section<'_>) -> Option<Reader> {
    let names = s.list("names", Some(vec!["auto".to_owned()]), 1..=4, "auto alone, or PC/SC names", |t| {
        (!t.is_empty() && t.len() <= 128).then(|| t.to_owned())
    });
    let customer_timeout = s.number("customer-timeout-s", 60, 1..=600, " s");
    let pin_entry = s.text("pin-entry", Some(PinEntry::Agent), &all(PinEntry::ALL), PinEntry::from_word);
    let names = names.filter(|names| {
        let mixed = names.len() > 1 && names.iter().any(|name| name == "auto");
        if mixed {
            s.wrong_table("names", "holds auto beside others", "auto alone, or PC/SC names");
        }
        !mixed
    });
    s.finish();
    Some(Reader {
        names: names?,
        customer_timeout: Duration::from_secs(customer_timeout?),
        pin_entry: pin_entry?,
    })
}

pub(super) fn printer(mut s: Section<'_>) -> Option<Printer> {
    let device = s.text("device", Some(PrinterDevice::Auto), DEVICE, printer_device);
    let speed = s.number("serial-speed", 115_200, 9_600..=921_600, " bit/s");
    let flow = s.text("serial-flow", Some(SerialFlow::RtsCts), &all(SerialFlow::ALL), SerialFlow::from_word);
    let width_dots: Option<Option<u32>> =
        s.number_if_there("width-dots", 192..=1024, " dots, a multiple of 8");
    let plies = s.number("plies", 2, 0..=3, "");
    let tear_pause = s.number("tear-pause-s", 5, 0..=60, " s");
    let declined_slip = s.flag("declined-slip", false);
    let chinese = s.text("chinese", Some(Chinese::Auto), &all(Chinese::ALL), Chinese::from_word);
    let full_pan =
        s.list("full-pan", Some(Vec::new()), 0..=Kind::ALL.len(), &all(Kind::ALL), Kind::from_word);
    let drawer_pin = s.text("drawer", Some(DrawerPin::Nowhere), &all(DrawerPin::ALL), DrawerPin::from_word);
    let pulse_ms = s.number_if_there("drawer-pulse-ms", 20..=500, " ms");
    let sensor = s.text(
        "drawer-sensor",
        Some(DrawerSensor::Unknown),
        &all(DrawerSensor::ALL),
        DrawerSensor::from_word,
    );
    let role = s.text("drawer-role", Some(Role::Cashier), "\"cashier\" or \"supervisor\"", drawer_role);
    let width_dots = width_dots.filter(|dots| {
        let whole = dots.is_none_or(|dots| dots.is_multiple_of(8));
        if !whole {
            s.wrong_table("width-dots", "is not a multiple of 8", "192 to 1024 dots, a multiple of 8");
        }
        whole
    });
    s.finish();
    Some(Printer {
        device: device?,
        serial_speed: speed?,
        serial_flow: flow?,
        width_dots: width_dots?,
        plies: plies?,
        tear_pause: Duration::from_secs(tear_pause?),
        declined_slip: declined_slip?,
        chinese: chinese?,
        full_pan: full_pan?,
        drawer: {
            let pin = drawer_pin?;
            let drawer =
                Drawer { pin_5: pin == DrawerPin::Pin5, pulse_ms: pulse_ms?, sensor: sensor?, role: role? };
            (pin != DrawerPin::Nowhere).then_some(drawer)
        },
    })
}

fn drawer_role(word: &str) -> Option<Role> {
    Role::from_word(word).filter(|role| matches!(role, Role::Cashier | Role::Supervisor))
}

/// What the shop adds to its slips, and where its picture is.
pub(super) fn slip(mut s: Section<'_>) -> Option<Slip> {
    let logo = s.optional("logo", "an absolute path", absolute);
    let allowed = "at most 96 characters, none of them a control character";
    let foot = s.lines("foot", 0..=FOOT_LINES_MAX, allowed, FootLine::new);
    let foot_qr = s.optional("foot-qr", "1 to 300 bytes, no control characters", QrText::new);
    let settlement_detail = s.flag("settlement-detail", false);
    s.finish();
    Some(Slip {
        logo: logo?,
        template: Template {
            logo: None,
            foot: foot?,
            foot_qr: foot_qr?,
            settlement_detail: settlement_detail?,
        },
    })
}

pub(super) fn emv(mut s: Section<'_>) -> Option<PathBuf> {
    let path = s.text("parameters", Some(PathBuf::from("/etc/posd/emv.toml")), "an absolute path", absolute);
    s.finish();
    path
}

pub(super) fn store_and_forward(mut s: Section<'_>) -> Option<StoreAndForward> {
    let enabled = s.flag("enabled", true);
    let max_amount = s.number("max-amount", 20_000, 0..=AMOUNT_MAX, " minor units");
    let max_total = s.number("max-total", 500_000, 0..=AMOUNT_MAX, " minor units");
    let max_count = s.number("max-count", 50, 0..=900, "");
    let max_age_h: Option<u64> = s.number("max-age-h", 24, 1..=720, " h");
    let modes = s.list("entry-modes", Some(vec![EntryMode::Chip]), 0..=2, "chip, contactless", |t| match t {
        "chip" => Some(EntryMode::Chip),
        "contactless" => Some(EntryMode::Contactless),
        _ => None,
    });
    s.finish();
    Some(StoreAndForward {
        enabled: enabled?,
        max_amount: Amount::from_minor(max_amount?).ok()?,
        max_total: Amount::from_minor(max_total?).ok()?,
        max_count: max_count?,
        max_age: Duration::from_secs(max_age_h?.saturating_mul(3600)),
        entry_modes: modes?,
    })
}

pub(super) fn batch(mut s: Section<'_>) -> Option<Batch> {
    let max_transactions = s.number("max-transactions", 500, 1..=900, "");
    let retention_days = s.number("retention-days", 400, 1..=3650, " days");
    s.finish();
    Some(Batch { max_transactions: max_transactions?, retention_days: retention_days? })
}

pub(super) fn operators(mut s: Section<'_>) -> Option<Operators> {
    let idle_timeout = s.number("idle-timeout-s", 1800, 1..=86_400, " s");
    let require_change = s.flag("require-change", true);
    s.finish();
    Some(Operators { idle_timeout: Duration::from_secs(idle_timeout?), require_change: require_change? })
}

pub(super) fn links(mut s: Section<'_>) -> Option<Links> {
    let default = LinkControl::NetworkManager;
    let manager = s.text("manager", Some(default), &all(LinkControl::ALL), LinkControl::from_word);
    let preference = s.list(
        "preference",
        Some(LinkKind::ALL.to_vec()),
        1..=LinkKind::ALL.len(),
        &all(LinkKind::ALL),
        LinkKind::from_word,
    );
    let probe = s.number("probe-s", 60, 0..=3_600, " s (0 = never)");
    let metered: Option<u32> = s.number("metered-month-mib", 0, 0..=1_048_576, " MiB (0 = no limit)");
    s.finish();
    Some(Links {
        manager: manager?,
        preference: preference?,
        probe: Some(probe?).filter(|seconds: &u64| *seconds > 0).map(Duration::from_secs),
        metered_limit: u64::from(metered?).saturating_mul(1_048_576),
    })
}

pub(super) fn security(mut s: Section<'_>) -> Option<Security> {
    let polkit = s.flag("polkit", true);
    s.finish();
    Some(Security { polkit: polkit? })
}

/// The words of an enumeration as a list for people.
fn all<T: core::fmt::Display>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn absolute(text: &str) -> Option<PathBuf> {
    (text.starts_with('/') && !text.contains('\0')).then(|| PathBuf::from(text))
}

/// Exactly `N` bytes of hex.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    hex_bytes(text)?.try_into().ok()
}

/// Whole bytes of hex.
pub(super) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks_exact(2).map(byte).collect()
}

fn endpoint(text: &str) -> Option<Endpoint> {
    let (tls, rest) = match text.strip_prefix("tls://") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (host, port) = host_and_port(rest)?;
    Some(Endpoint { tls, host, port })
}

/// `name:port`, `1.2.3.4:port` or `[2001:db8::1]:port`.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port =
        Some(port).filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?.parse().ok().filter(|p| *p != 0)?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').filter(|a| a.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => Some(host).filter(|h| {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
            (1..=253).contains(&h.len()) && h.bytes().all(fits)
        })?,
    };
    Some((host.to_owned(), port))
}

fn printer_device(text: &str) -> Option<PrinterDevice> {
    if text == "auto" {
        return Some(PrinterDevice::Auto);
    }
    if let Some(path) = absolute(text) {
        return Some(PrinterDevice::File(path));
    }
    if let Some(address) = text.strip_prefix("tcp:") {
        return host_and_port(address).map(|(host, port)| PrinterDevice::Tcp { host, port });
    }
    let mut parts = text.strip_prefix("usb:")?.splitn(3, ':');
    let (vendor, product) = (hex::<2>(parts.next()?)?, hex::<2>(parts.next()?)?);
    let serial = match parts.next() {
        Some("") => return None,
        serial => serial.map(str::to_owned),
    };
    Some(PrinterDevice::Usb {
        vendor: u16::from_be_bytes(vendor),
        product: u16::from_be_bytes(product),
        serial,
    })
}

//! The configuration as it would stand in `posd.toml`, defaults too: for `Config.Get`, and for support. What is shown
//! here reads back as the same configuration; a test holds that.
use super::{Config, Drawer, Printer, PrinterDevice, Slip};
use crate::domain::setting::Setting;
use std::time::Duration;

/// Every key with its value, table by table: `printer.plies`. Keys of files only are shown too; none is a secret.
#[must_use]
pub fn shown(config: &Config) -> Vec<(String, Setting)> {
    let mut all = Vec::new();
    let mut table = |name: &str, rows: Vec<(&str, Setting)>| {
        all.extend(rows.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
    };
    let terminal = &config.terminal;
    table(
        "terminal",
        vec![
            ("id", text(&terminal.id)),
            ("merchant-id", text(&terminal.merchant_id)),
            ("merchant-name", text(&terminal.merchant_name)),
            ("currency", text(terminal.currency.alpha())),
            ("language", text(terminal.language.word())),
            ("enabled-kinds", list(&terminal.enabled_kinds)),
            ("timezone", text(terminal.timezone.iana_name().unwrap_or_default())),
        ],
    );
    table("host", host(config));
    let reader = &config.reader;
    table(
        "reader",
        vec![
            ("names", list(&reader.names)),
            ("customer-timeout-s", seconds(reader.customer_timeout)),
            ("pin-entry", text(reader.pin_entry)),
        ],
    );
    table("printer", printer(&config.printer));
    table("slip", slip(&config.slip));
    table("emv", vec![("parameters", text(config.emv_parameters.display()))]);
    let store = &config.store_and_forward;
    table(
        "store-and-forward",
        vec![
            ("enabled", Setting::Flag(store.enabled)),
            ("max-amount", number(store.max_amount.minor())),
            ("max-total", number(store.max_total.minor())),
            ("max-count", number(store.max_count)),
            ("max-age-h", number(store.max_age.as_secs() / 3_600)),
            ("entry-modes", list(&store.entry_modes)),
        ],
    );
    table(
        "batch",
        vec![
            ("max-transactions", number(config.batch.max_transactions)),
            ("retention-days", number(config.batch.retention_days)),
        ],
    );
    table(
        "operators",
        vec![
            ("idle-timeout-s", seconds(config.operators.idle_timeout)),
            ("require-change", Setting::Flag(config.operators.require_change)),
        ],
    );
    let links = &config.links;
    table(
        "links",
        vec![
            ("manager", text(links.manager)),
            ("preference", list(&links.preference)),
            ("probe-s", seconds(links.probe.unwrap_or_default())),
            ("metered-month-mib", number(links.metered_limit / 1_048_576)),
        ],
    );
    table("security", vec![("polkit", Setting::Flag(config.security.polkit))]);
    all
}

fn host(config: &Config) -> Vec<(&'static str, Setting)> {
    let host = &config.host;
    let mut rows = vec![
        ("profile", text(&host.profile.name)),
        ("endpoints", list(&host.endpoints)),
        ("tpdu", hex(&host.tpdu)),
        ("header", hex(&host.header)),
        ("connect-attempts", number(host.connect_attempts)),
        ("connect-timeout-s", seconds(host.connect_timeout)),
        ("response-timeout-s", seconds(host.response_timeout)),
        ("tls-ca", text(host.tls_ca.display())),
    ];
    if let Some((cert, key)) = &host.tls_client {
        rows.push(("tls-cert", text(cert.display())));
        rows.push(("tls-key", text(key.display())));
    }
    if !host.tls_pins.is_empty() {
        let pins = host.tls_pins.iter().map(|pin| digits(pin)).collect();
        rows.push(("tls-pin-sha256", Setting::List(pins)));
    }
    rows.push(("connection", text(host.connection)));
    rows.push(("heartbeat-s", seconds(host.heartbeat)));
    rows.push(("auto-sign-on", Setting::Flag(host.auto_sign_on)));
    rows
}

fn slip(slip: &Slip) -> Vec<(&'static str, Setting)> {
    let foot = slip.template.foot.iter().map(|line| line.as_str().to_owned()).collect();
    let mut rows = vec![
        ("foot", Setting::List(foot)),
        ("settlement-detail", Setting::Flag(slip.template.settlement_detail)),
    ];
    rows.extend(slip.logo.as_ref().map(|path| ("logo", text(path.display()))));
    rows.extend(slip.template.foot_qr.as_ref().map(|code| ("foot-qr", text(code.as_str()))));
    rows
}

fn printer(printer: &Printer) -> Vec<(&'static str, Setting)> {
    let device = match &printer.device {
        PrinterDevice::Auto => "auto".to_owned(),
        PrinterDevice::File(path) => path.display().to_string(),
        PrinterDevice::Tcp { host, port } if host.contains(':') => format!("tcp:[{host}]:{port}"),
        PrinterDevice::Tcp { host, port } => format!("tcp:{host}:{port}"),
        PrinterDevice::Usb { vendor, product, serial } => {
            let serial = serial.as_ref().map(|serial| format!(":{serial}")).unwrap_or_default();
            format!("usb:{vendor:04x}:{product:04x}{serial}")
        }
    };
    let mut rows = vec![
        ("device", Setting::Text(device)),
        ("serial-speed", number(printer.serial_speed)),
        ("serial-flow", text(printer.serial_flow)),
        ("plies", number(printer.plies)),
        ("tear-pause-s", seconds(printer.tear_pause)),
        ("declined-slip", Setting::Flag(printer.declined_slip)),
        ("chinese", text(printer.chinese)),
        ("full-pan", list(&printer.full_pan)),
    ];
    rows.extend(printer.width_dots.map(|dots| ("width-dots", number(dots))));
    rows.push((
        "drawer",
        text(match printer.drawer {
            None => "none",
            Some(Drawer { pin_5: false, .. }) => "pin2",
            Some(Drawer { pin_5: true, .. }) => "pin5",
        }),
    ));
    if let Some(drawer) = &printer.drawer {
        rows.extend(drawer.pulse_ms.map(|ms| ("drawer-pulse-ms", number(ms))));
        rows.push(("drawer-sensor", text(drawer.sensor)));
        rows.push(("drawer-role", text(drawer.role)));
    }
    rows
}

fn text(value: impl core::fmt::Display) -> Setting {
    Setting::Text(value.to_string())
}

fn number(value: impl TryInto<i64>) -> Setting {
    Setting::Number(value.try_into().unwrap_or(i64::MAX))
}

fn seconds(value: Duration) -> Setting {
    number(value.as_secs())
}

fn list<T: core::fmt::Display>(items: &[T]) -> Setting {
    Setting::List(items.iter().map(ToString::to_string).collect())
}

fn hex(bytes: &[u8]) -> Setting {
    Setting::Text(digits(bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test makes its own files")]
mod tests {
    use super::*;
    use crate::config::{Config, load_with};
    use std::path::Path;

    /// The shipped file and one in which as much as possible is not the default.
    const OTHER: &str = r#"
[terminal]
language = "en"
enabled-kinds = ["sale"]
merchant-name = "\"店\""
[host]
endpoints = ["tls://[2001:db8::1]:9000", "tls://b.example:1"]
tls-cert = "/etc/posd/cert.pem"
tls-key = "/etc/posd/key.pem"
tls-pin-sha256 = "abababababababababababababababababababababababababababababababab"
connection = "long"
[printer]
device = "usb:04b8:0e15:X1"
serial-flow = "none"
declined-slip = true
width-dots = 576
drawer = "pin5"
drawer-pulse-ms = 200
drawer-sensor = "low"
drawer-role = "supervisor"
full-pan = ["pre-auth"]
[slip]
logo = "/etc/posd/logo.png"
foot = ["谢谢惠顾", "", "\"再见\"", ""]
foot-qr = "https://shop.example/1"
settlement-detail = true
[links]
probe-s = 0
metered-month-mib = 7
[store-and-forward]
entry-modes = []
"#;

    /// Goal: what is shown, written as a file, is the same configuration.
    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let emv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/emv.toml");
        let file = dir.path().join("posd.toml");
        let base = format!(
            "[terminal]\nid = \"10000001\"\nmerchant-id = \"102100058120001\"\n[host]\nendpoints = [\"h:1\"]\n\
             [emv]\nparameters = \"{}\"\n",
            emv.display()
        );
        std::fs::write(&file, base).unwrap();
        for over in ["", OTHER] {
            let config = load_with(&file, Path::new("over"), over).unwrap();
            let (mut text, mut last) = (String::new(), String::new());
            for (name, value) in shown(&config) {
                let (table, key) = name.split_once('.').unwrap();
                if table != last {
                    text += &format!("[{table}]\n");
                    last = table.to_owned();
                }
                text += &format!("{key} = {value}\n");
            }
            let again = dir.path().join("again.toml");
            std::fs::write(&again, &text).unwrap();
            assert_eq!(Config::load(&again).unwrap().0, config, "{text}");
        }
    }
}

//! Configuration files: defaults, limits, drop-ins, every error with its place, the last good copy.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]
use posd::config::{self, Chinese, Config, ConfigErrors, PinEntry, PrinterDevice};
use posd::domain::emv::params::{Aid, Revocation};
use posd::domain::link::LinkKind;
use posd::domain::outcome::{EntryMode, Kind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The least a terminal must be told.
const LEAST: &str = "[terminal]\nid = \"10000001\"\nmerchant-id = \"102100058120001\"\n\
                     [host]\nendpoints = [\"127.0.0.1:9000\"]\n";

/// Every key of the manual, with its default where it has one.
const WHOLE: &str = r#"
[terminal]
id = "10000001"                 # F41, 8 characters
merchant-id = "102100058120001" # F42, 15
merchant-name = "示例商户"
currency = "CNY"
language = "zh"
enabled-kinds = ["sale", "void", "refund", "balance", "pre-auth", "pre-auth-void", "pre-auth-complete",
    "pre-auth-advice", "pre-auth-complete-void", "offline-sale"]
timezone = "Asia/Shanghai"

[host]
profile = "unionpay"
endpoints = ["127.0.0.1:9000"]
tpdu = "6000050000"
header = "603200320000"
connect-attempts = 3
connect-timeout-s = 10
response-timeout-s = 60
tls-ca = "/etc/posd/ca.pem"
connection = "short"
heartbeat-s = 120
auto-sign-on = true

[reader]
names = ["auto"]
customer-timeout-s = 60
pin-entry = "agent"

[printer]
device = "auto"
width-dots = 384
plies = 2
tear-pause-s = 5
chinese = "auto"

full-pan = []

[store-and-forward]
enabled = true
max-amount = 20000
max-total = 500000
max-count = 50
max-age-h = 24
entry-modes = ["chip"]

[batch]
max-transactions = 500
retention-days = 400

[operators]
idle-timeout-s = 1800
require-change = true

[links]
manager = "networkmanager"
preference = ["ethernet", "wifi", "cellular"]

[security]
polkit = true
"#;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new(text: &str) -> Self {
        let files = Self { dir: TempDir::new().unwrap() };
        std::fs::create_dir(files.path("posd.toml.d")).unwrap();
        files.write("emv.toml", include_str!("../data/emv.toml"));
        files
            .write("posd.toml.d/00-emv.toml", &format!("[emv]\nparameters = {:?}\n", files.path("emv.toml")));
        files.write("posd.toml", text);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn load(&self) -> Result<Config, ConfigErrors> {
        Config::load(&self.path("posd.toml")).map(|(config, _)| config)
    }

    /// The errors as people see them, without the folder.
    fn errors(&self) -> Vec<String> {
        let folder = format!("{}/", self.dir.path().display());
        self.load().unwrap_err().to_string().lines().map(|line| line.replace(&folder, "")).collect()
    }
}

#[test]
fn the_manual_shows_the_defaults() {
    let mut least = Files::new(LEAST).load().unwrap();
    let whole = Files::new(WHOLE).load().unwrap();
    least.terminal.merchant_name.clone_from(&whole.terminal.merchant_name);
    least.emv_parameters.clone_from(&whole.emv_parameters);
    // Nothing said of the width is 384 only where nothing is known of the printer.
    assert_eq!((least.printer.width_dots, whole.printer.width_dots), (None, Some(384)));
    least.printer.width_dots = whole.printer.width_dots;
    assert_eq!(least, whole);
    assert_eq!(whole.host.tpdu, [0x60, 0x00, 0x05, 0x00, 0x00]);
    assert_eq!(whole.host.response_timeout, Duration::from_secs(60));
    assert_eq!(whole.reader.pin_entry, PinEntry::Agent);
    assert_eq!(whole.store_and_forward.entry_modes, [EntryMode::Chip]);
    assert_eq!(whole.links.preference, LinkKind::ALL);
    assert_eq!(whole.printer.chinese, Chinese::Auto);
}

/// The card tables are typed, and the terminal's identity is put into its EMV data.
#[test]
fn the_card_tables_of_the_demo_are_read() {
    let emv = Files::new(WHOLE).load().unwrap().emv;
    let aids: Vec<String> = emv.aids.iter().map(|row| row.aid.to_string()).collect();
    assert_eq!(aids[..2], ["A000000333010101", "A000000333010102"]);
    assert_eq!(emv.aids[0].aid, Aid::new(&[0xa0, 0, 0, 3, 0x33, 1, 1, 1]).unwrap());
    assert_eq!(emv.aids[0].tac_online, [0xd8, 0x40, 0x04, 0xf8, 0x00]);
    assert_eq!(emv.aids[0].default_ddol, [0x9f, 0x37, 0x04]);
    assert_eq!((emv.terminal.country_code, emv.terminal.terminal_type), ([0x01, 0x56], 0x22));
    assert_eq!(emv.terminal.merchant_category_code, [0x59, 0x99]);
    assert_eq!(&emv.terminal.terminal_id, b"10000001");
    assert_eq!(&emv.terminal.merchant_id, b"102100058120001");
    // Tag 9F4E is ASCII; a Chinese name alone leaves the merchant id.
    assert_eq!(emv.terminal.merchant_name, b"102100058120001");
    let key = emv.capks.iter().find(|key| key.rid == [0xa0, 0, 0, 3, 0x33]).unwrap();
    assert_eq!((key.index, key.modulus.len(), key.expiry), (3, 176, [0x20, 0x24, 0x12, 0x31]));
    assert_eq!(emv.capks.len(), 11);
    assert!(emv.revoked.is_empty());
    let files = Files::new(WHOLE);
    let one = "\n[[revoked]]\nrid = \"A000000333\"\nindex = \"03\"\nserial = \"000101\"\n";
    files.write("emv.toml", &format!("{}{one}", include_str!("../data/emv.toml")));
    let entry = Revocation { rid: [0xa0, 0, 0, 3, 0x33], index: 3, serial: [0, 1, 1] };
    assert_eq!(*files.load().unwrap().emv.revoked, [entry]);
}

/// Drop-ins are laid over the file in the order of their names, key by key.
#[test]
fn later_files_win_key_by_key() {
    let files = Files::new(LEAST);
    files.write("posd.toml.d/20-b.toml", "[host]\nresponse-timeout-s = 20\n");
    files.write("posd.toml.d/10-a.toml", "[host]\nresponse-timeout-s = 10\nconnect-attempts = 5\n");
    files.write("posd.toml.d/30-not-read.conf", "nonsense");
    let (config, sources) = Config::load(&files.path("posd.toml")).unwrap();
    assert_eq!(config.host.response_timeout, Duration::from_secs(20));
    assert_eq!(config.host.connect_attempts, 5);
    let names: Vec<_> = sources.iter().filter_map(|s| s.file_name()?.to_str()).collect();
    assert_eq!(names, ["posd.toml", "00-emv.toml", "10-a.toml", "20-b.toml", "emv.toml"]);
    assert!(config::check(&files.path("posd.toml")).unwrap().1.contains("terminal 10000001"));
}

/// One look shows everything that is wrong: file, line, key, and what is allowed.
#[test]
fn all_errors_are_told_at_once_with_their_places() {
    let files = Files::new(
        "[terminal]\nid = \"1\"\nmerchant-id = \"102100058120001\"\ncolour = \"red\"\n\n\
         [host]\nconnect-attempts = 11\nauto-sign-on = \"yes\"\n\n[kiosk]\nx = 1\n",
    );
    files.write("posd.toml.d/50.toml", "language = \"zh\"\n[reader]\npin-entry = \"phone\"\n");
    let errors = files.errors();
    let check = |n: usize, start: &str, end: &str| {
        let line: &String = &errors[n];
        assert!(line.starts_with(start) && line.ends_with(end), "{line}");
    };
    check(0, "posd.toml:2: [terminal] id is \"1\"", "allowed: 8 printable ASCII characters");
    check(1, "posd.toml:4: [terminal] colour is not known", "enabled-kinds, timezone");
    check(2, "posd.toml:6: [host] endpoints is missing", "the port 1 to 65535");
    check(3, "posd.toml:7: [host] connect-attempts is 11", "allowed: 1 to 10");
    check(4, "posd.toml:8: [host] auto-sign-on is \"yes\"", "allowed: true, false");
    check(5, "posd.toml:10: [kiosk] is not known", "[security]");
    check(6, "posd.toml.d/50.toml:1: language stands in no table", "[security]");
    check(7, "posd.toml.d/50.toml:3: [reader] pin-entry is \"phone\"", "allowed: agent, pinpad, none");
    assert_eq!(errors.len(), 8, "{errors:#?}");
}

#[test]
fn a_file_that_is_not_toml_is_told_with_its_line() {
    let files = Files::new("[terminal]\nid = \n");
    assert!(files.errors().iter().any(|e| e.starts_with("posd.toml:2: is not TOML")), "{:?}", files.errors());
    let absent = Config::load(Path::new("/nonexistent/posd.toml")).unwrap_err().to_string();
    assert!(absent.starts_with("/nonexistent/posd.toml: cannot be read"), "{absent}");
}

/// Each key takes what the manual says and nothing else.
#[test]
fn values_have_limits() {
    let check = |table: &str, line: &str, fits: bool| {
        let files = Files::new(LEAST);
        files.write("posd.toml.d/90.toml", &format!("[{table}]\n{line}\n"));
        let result = files.load();
        assert_eq!(result.is_ok(), fits, "[{table}] {line}: {:?}", result.err().map(|e| e.to_string()));
    };
    check("terminal", "timezone = \"Europe/Berlin\"", true);
    check("terminal", "timezone = \"Mars/Olympus\"", false);
    check("terminal", "currency = \"XXX\"", false);
    check("terminal", "enabled-kinds = []", true);
    check("terminal", "enabled-kinds = [\"sale\", \"sale\"]", false);
    check("terminal", "merchant-name = \"a\\u0007\"", false);
    check("host", "endpoints = [\"tls://pay.example.com:443\", \"tls://[::1]:9000\"]", true);
    check("host", "endpoints = [\"pay.example.com:443\", \"[::1]:9000\"]", true);
    check("host", "endpoints = [\"tls://pay.example.com:443\", \"[::1]:9000\"]", false);
    check("host", "endpoints = []", false);
    check("host", "endpoints = [\"127.0.0.1\"]", false);
    check("host", "endpoints = [\"127.0.0.1:0\"]", false);
    check("host", "endpoints = [\"127.0.0.1:65536\"]", false);
    check("host", "endpoints = [\"127.0.0.1:+80\"]", false);
    check("host", "endpoints = [\"http://x:80\"]", false);
    check("host", "endpoints = \"127.0.0.1:9000\"", false);
    check("host", "tpdu = \"60000500\"", false);
    check("host", "header = \"60320032000G\"", false);
    check("host", "response-timeout-s = 0", false);
    check("host", "response-timeout-s = 1.5", false);
    check("host", "response-timeout-s = 99999999999999999999", false);
    check("host", "response-timeout-s = 0x3C", true);
    check("host", "connection = \"long\"\nheartbeat-s = 60", true);
    check("host", "connection = \"always\"", false);
    check("host", "heartbeat-s = 59", false);
    check("host", "heartbeat-s = 241", false);
    check("host", "tls-cert = \"/etc/posd/me.pem\"", false);
    check("host", "tls-cert = \"/c\"\ntls-key = \"/k\"", true);
    check("host", "tls-pin-sha256 = \"00\"", false);
    let pin = |digit: &str| format!("\"{}\"", digit.repeat(64));
    check("host", &format!("tls-pin-sha256 = {}", pin("0")), true);
    check("host", &format!("tls-pin-sha256 = [{}, {}]", pin("0"), pin("1")), true);
    check("host", &format!("tls-pin-sha256 = [{}, {}, {}]", pin("0"), pin("1"), pin("2")), false);
    check("host", "tls-pin-sha256 = []", false);
    check("reader", "names = [\"auto\", \"Gemalto\"]", false);
    check("printer", "device = \"usb:04B8:0202\"", true);
    check("printer", "device = \"usb:04b8:0202:ABC:1\"", true);
    check("printer", "device = \"usb:04b8\"", false);
    check("printer", "device = \"lp0\"", false);
    check("printer", "width-dots = 385", false);
    check("printer", "full-pan = [\"pre-auth\"]", true);
    check("printer", "plies = 3", true);
    check("printer", "plies = 4", false);
    check("slip", "foot = [\"a\", \"\", \"b\", \"\"]", true);
    check("slip", &format!("foot = [\"{}\"]", "谢".repeat(96)), true);
    check("slip", &format!("foot = [\"{}\"]", "a".repeat(97)), false);
    check("slip", &format!("foot = [{}]", "\"a\",".repeat(9)), false);
    check("slip", "foot-qr = \"\"", false);
    check("slip", "logo = \"logo.png\"", false);
    check("slip", "settlement-detail = 1", false);
    check("store-and-forward", "entry-modes = [\"swipe\"]", false);
    check("batch", "max-transactions = 901", false);
    check("batch", "max-transactions = -1", false);
    check("links", "preference = [\"ethernet\", \"carrier-pigeon\"]", false);
    check("security", "polkit = 1", false);
    check("emv", "parameters = \"emv.toml\"", false);
    let files = Files::new(LEAST);
    files.write(
        "posd.toml.d/90.toml",
        "[printer]\ndevice = \"usb:04b8:0202:A:1\"\nfull-pan = [\"pre-auth\"]\n",
    );
    let printer = files.load().unwrap().printer;
    let serial = Some("A:1".to_owned());
    assert_eq!(printer.device, PrinterDevice::Usb { vendor: 0x04b8, product: 0x0202, serial });
    assert_eq!(printer.full_pan, [Kind::PreAuth]);
}

/// A picture that cannot be used keeps no shop closed, and who checks the configuration is told.
#[test]
fn a_wrong_picture_is_found_by_who_checks() {
    let files = Files::new(LEAST);
    files.write("logo.png", "no picture");
    files.write("posd.toml.d/90.toml", &format!("[slip]\nlogo = {:?}\n", files.path("logo.png")));
    assert!(files.load().is_ok());
    let told = config::check(&files.path("posd.toml")).unwrap_err().to_string();
    assert!(told.contains("logo.png: is no picture") && told.contains("576 x 320"), "{told}");
}

/// A wrong digit in a CA key or in any card table is found before a card is.
#[test]
fn card_tables_are_checked() {
    let check = |from: &str, to: &str, words: &str| {
        let files = Files::new(LEAST);
        let whole = include_str!("../data/emv.toml");
        assert!(whole.contains(from));
        files.write("emv.toml", &whole.replacen(from, to, 1));
        let errors = files.errors();
        assert!(errors.len() == 1 && errors[0].contains(words), "{from}: {errors:?}");
    };
    check("modulus = \"B062", "modulus = \"B063", "[[capk]] 1 sha1 does not fit the key");
    check("index = \"03\"", "index = \"04\"", "[[capk]] 1 sha1 does not fit the key");
    check("exponent = \"03\"", "exponent = \"05\"", "[[capk]] 1 exponent is \"05\"; allowed: 03 or 010001");
    check("expiry = \"20241231\"", "expiry = \"20241331\"", "[[capk]] 1 expiry");
    check(
        "aid = \"A000000333010102\"",
        "aid = \"A000000333010101\"",
        "[[aid]] 2 aid stands in the file twice",
    );
    check("tac-denial = \"0010000000\"", "tac-denial = \"00100000\"", "[[aid]] 1 tac-denial");
    check(
        "random-target-percent = 99",
        "random-target-percent = 100",
        "[[aid]] 1 random-target-percent is 100",
    );
    check("random-max-percent = 99", "random-max-percent = 50", "is above random-max-percent");
    check("country-code = \"0156\"", "country-code = \"015F\"", "emv.toml:6: country-code is \"015F\"");
    check("ifd-serial = \"12345678\"", "ifd-serial = \"1234567\"", "ifd-serial");
    check("[[aid]]", "[[application]]", "[application] is not known");
    check("version = \"0030\"\n", "", "[[aid]] 1 version is missing");
    check("capabilities = \"E0F8C8\"", "capabilities = \"E0F8CC\"", "without XDA");
    let revoke = |entry: &str, words: &str| check("# UnionPay debit", entry, words);
    let one = "[[revoked]]\nrid = \"A000000333\"\nindex = \"03\"\nserial = \"000101\"\n";
    revoke(&one.replace("0101", "01"), "[[revoked]] 1 serial is \"0001\"; allowed: 6 hex digits");
    revoke(&one.replace("A000", "A0"), "[[revoked]] 1 rid");
    revoke(&one.replace("index = \"03\"\n", ""), "[[revoked]] 1 index is missing");
    revoke(&format!("{one}{one}"), "[[revoked]] 2 serial stands in the file twice");
    revoke(&format!("{one}date = 1\n"), "[[revoked]] 1 date");
}

/// Capabilities that promise a PIN which nobody can type are refused with what to change, at their line.
#[test]
fn capabilities_fit_the_way_a_pin_is_typed() {
    let check = |pin_entry: &str, second: &str, words: Option<&str>| {
        let files = Files::new(&format!("{LEAST}[reader]\npin-entry = {pin_entry:?}\n"));
        let whole = include_str!("../data/emv.toml");
        files.write("emv.toml", &whole.replacen("\"E0F8C8\"", &format!("\"E0{second}C8\""), 1));
        match words {
            None => _ = Config::load(&files.path("posd.toml")).unwrap(),
            Some(words) => {
                let errors = files.errors();
                let place = "emv.toml:10: capabilities and [reader] pin-entry do not go together";
                let good = errors.len() == 1 && errors[0].contains(place) && errors[0].contains(words);
                assert!(good, "{pin_entry} {second}: {errors:?}");
            }
        }
    };
    check("agent", "F8", None);
    check("none", "28", None);
    for second in ["A8", "68", "38"] {
        check("none", second, Some("no PIN can be typed"));
    }
    check("pinpad", "A8", None);
    for second in ["E8", "B8", "F8"] {
        check("pinpad", second, Some("to the card alone"));
    }
}

/// A bad edit never stops the shop; the first start has nothing to fall back on.
#[test]
fn the_last_good_copy_stands_in_for_a_bad_file() {
    let files = Files::new(WHOLE);
    let (path, state) = (files.path("posd.toml"), files.path("state"));
    files.write("posd.toml", "[terminal]\n");
    assert!(config::load_or_last_good(&path, &state).is_err());
    files.write("posd.toml", WHOLE);
    files.write("posd.toml.d/90.toml", "[host]\nresponse-timeout-s = 20\nendpoints = [\"[::1]:1\"]\n");
    let good = config::load_or_last_good(&path, &state).unwrap();
    assert_eq!((good.invalid, good.not_kept), (None, None));
    for name in ["posd.toml", "emv.toml"] {
        let mode = std::fs::metadata(state.join("last-good").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // The bad edit may be anywhere, in the card tables too.
    files.write("emv.toml", "[[aid]]\n");
    let bad = config::load_or_last_good(&path, &state).unwrap();
    assert!(bad.invalid.unwrap().to_string().contains("emv.toml"));
    assert_eq!(bad.config.emv, good.config.emv);
    assert_eq!((&bad.config.host, &bad.config.terminal), (&good.config.host, &good.config.terminal));
    // And the copy is not replaced by what is bad.
    let again = config::load_or_last_good(&path, &state).unwrap();
    assert_eq!(again.config, bad.config);
}

/// Goal: a profile's file beside the configuration changes what it names, [host] wins over it, and a wrong one is told
/// with file and line and does not stop a shop that had a good one.
#[test]
fn a_profile_is_a_file_of_its_name() {
    let text = LEAST.replace("[host]\n", "[host]\nprofile = \"icbc\"\n");
    let files = Files::new(&text);
    let state = files.path("state");
    std::fs::create_dir(&state).unwrap();
    let folder = files.path("profiles");
    assert_eq!(
        files.errors(),
        [
            "profiles/icbc.toml: [host] profile names icbc, and there is no such profile; allowed: unionpay, or the name of a file \
         in that folder or in /usr/share/posd/profiles"
        ]
    );
    std::fs::create_dir(&folder).unwrap();
    files.write("profiles/icbc.toml", "[frame]\ntpdu = \"6000030000\"\n[forms]\nrefund-63 = \"CUP\"\n");
    let config = config::load_or_last_good(&files.path("posd.toml"), &state).unwrap().config;
    assert_eq!((config.host.tpdu, config.host.profile.name.as_str()), ([0x60, 0, 3, 0, 0], "icbc"));
    assert_eq!(config.host.profile.forms.refund_63, "CUP");
    files.write("posd.toml", &text.replace("[host]\n", "[host]\ntpdu = \"6000090000\"\n"));
    assert_eq!(files.load().unwrap().host.tpdu, [0x60, 0, 9, 0, 0]);
    files.write("profiles/icbc.toml", "[frame]\ntpdu = \"60\"\n");
    assert_eq!(files.errors(), ["profiles/icbc.toml:2: [frame] tpdu is \"60\"; allowed: 10 hex digits"]);
    let kept = config::load_or_last_good(&files.path("posd.toml"), &state).unwrap();
    assert!(kept.invalid.is_some() && kept.not_kept.is_none());
    assert_eq!(kept.config.host.tpdu, [0x60, 0, 3, 0, 0]);
}

/// Goal: a profile that posd may not look at, or a link to nowhere, is told; it never counts as "no profile".
#[test]
fn a_profile_that_cannot_be_read_is_not_an_absent_one() {
    let files = Files::new(LEAST);
    std::fs::create_dir(files.path("profiles")).unwrap();
    std::os::unix::fs::symlink("/nonexistent/unionpay.toml", files.path("profiles/unionpay.toml")).unwrap();
    let errors = files.errors();
    assert!(errors[0].starts_with("profiles/unionpay.toml: cannot be read"), "{errors:?}");
}

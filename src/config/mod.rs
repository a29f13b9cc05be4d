//! Configuration files: what the owner of the machine wrote in `posd.toml`, its drop-ins and `emv.toml`,
//! checked and typed. A key that is unknown, missing, of the wrong type or out of range is told with file,
//! line and what is allowed, all of them at once.
//!
//! It does not know about `Config.Set` or host downloads, and does not open devices or sockets. The default
//! of each key stands beside its limits in `groups.rs`.
mod emv;
mod files;
mod groups;
mod logo;
mod profiles;
mod quirks;
mod shown;
mod zone;

use crate::domain::emv::params::EmvConfig;
use crate::domain::ident::{MerchantId, TerminalId};
use crate::domain::link::LinkKind;
use crate::domain::money::{Amount, Currency};
pub use crate::domain::outcome::PinEntry;
use crate::domain::outcome::{EntryMode, Kind, Role, words};
use crate::domain::profile::Profile;
use crate::domain::slip::{Language, Template};
use jiff::tz::TimeZone;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use crate::domain::settings::{ConfigError, ConfigErrors};
pub use files::{Loaded, SET_FILE, load_or_last_good, load_with, write_set};
pub use logo::template;
pub use quirks::load_quirks;
pub use shown::shown;

/// Exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
pub const EXIT_CONFIG: u8 = 78;

/// Everything the files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `[terminal]`.
    pub terminal: Terminal,
    /// `[host]`.
    pub host: Host,
    /// `[reader]`.
    pub reader: Reader,
    /// `[printer]`.
    pub printer: Printer,
    /// `[slip]`.
    pub slip: Slip,
    /// `[emv] parameters`: the file that [`Config::emv`] was read from.
    pub emv_parameters: PathBuf,
    /// The applications, CA keys and terminal data of that file; 9F1C, 9F16 and 9F4E come from `[terminal]`.
    pub emv: EmvConfig,
    /// `[store-and-forward]`.
    pub store_and_forward: StoreAndForward,
    /// `[batch]`.
    pub batch: Batch,
    /// `[operators]`.
    pub operators: Operators,
    /// `[links]`.
    pub links: Links,
    /// `[security]`.
    pub security: Security,
}

impl Config {
    /// Reads `path`, then `<path>.d/*.toml` in the order of their names; of the same key the later one
    /// counts. Returns the files that were read, in that order, `emv.toml` last.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first thing.
    pub fn load(path: &Path) -> Result<(Self, Vec<PathBuf>), ConfigErrors> {
        files::load(path).map(|read| (read.config, read.sources))
    }
}

/// Answers `posd --check-config`: the configuration, and one line that says what was read.
///
/// # Errors
/// Everything that is wrong; the daemon prints it and exits with [`EXIT_CONFIG`].
pub fn check(path: &Path) -> Result<(Config, String), ConfigErrors> {
    let (config, sources) = Config::load(path)?;
    template(&config.slip).1.map_or(Ok(()), Err)?;
    let files: Vec<_> = sources.iter().map(|source| source.display().to_string()).collect();
    let text = format!(
        "configuration ok: terminal {}, merchant {}, {} endpoints, {} applications, {} CA keys ({})",
        config.terminal.id,
        config.terminal.merchant_id,
        config.host.endpoints.len(),
        config.emv.aids.len(),
        config.emv.capks.len(),
        files.join(", ")
    );
    Ok((config, text))
}

/// Who this terminal is and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// DE 41.
    pub id: TerminalId,
    /// DE 42.
    pub merchant_id: MerchantId,
    /// Name on the slip, at most 40 characters; may be empty.
    pub merchant_name: String,
    /// The one currency of this terminal.
    pub currency: Currency,
    /// Language of paper and of texts for people.
    pub language: Language,
    /// Kinds that are switched on.
    pub enabled_kinds: Vec<Kind>,
    /// The zone in which the shop lives; it knows its IANA name.
    pub timezone: TimeZone,
}

/// Where the acquirer is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The acquirer's rules.
    pub profile: Arc<Profile>,
    /// Tried in order; at least one.
    pub endpoints: Vec<Endpoint>,
    /// Transport protocol data unit, 5 bytes.
    pub tpdu: [u8; 5],
    /// Message header, 6 bytes.
    pub header: [u8; 6],
    /// Connection attempts for one request.
    pub connect_attempts: u32,
    /// Deadline of one attempt.
    pub connect_timeout: Duration,
    /// Deadline of an answer.
    pub response_timeout: Duration,
    /// The only CA that counts on `tls://` endpoints.
    pub tls_ca: PathBuf,
    /// Certificate and key of this terminal, where the host wants them.
    pub tls_client: Option<(PathBuf, PathBuf)>,
    /// SHA-256 of the host's public key (SubjectPublicKeyInfo), where it is pinned: the present one and the next.
    pub tls_pins: Vec<[u8; 32]>,
    /// How long a line to the host lives.
    pub connection: Connection,
    /// How long a line may be idle: a long one is tested with an echo then, and none that was idle for longer carries a
    /// request for money.
    pub heartbeat: Duration,
    /// Sign on by itself.
    pub auto_sign_on: bool,
}

/// One address of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Wants TLS.
    pub tls: bool,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port, not 0.
    pub port: u16,
}

impl core::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { tls, host, port } = self;
        let scheme = if *tls { "tls://" } else { "" };
        if host.contains(':') {
            write!(f, "{scheme}[{host}]:{port}")
        } else {
            write!(f, "{scheme}{host}:{port}")
        }
    }
}

/// Card readers and PIN entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// PC/SC names, or `auto` alone.
    pub names: Vec<String>,
    /// How long a customer is waited for.
    pub customer_timeout: Duration,
    /// Where a PIN is typed.
    pub pin_entry: PinEntry,
}

/// What the shop adds to its slips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// Where its picture is: a PNG.
    pub logo: Option<PathBuf>,
    /// All else of it.
    pub template: Template,
}

/// The slip printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printer {
    /// Where it is.
    pub device: PrinterDevice,
    /// Bits per second, where it is on a serial line.
    pub serial_speed: u32,
    /// What holds that line back.
    pub serial_flow: SerialFlow,
    /// Dots on a line; `None`: as the printer is known to have, else 384.
    pub width_dots: Option<u32>,
    /// Plies of a slip, 0 to 3; the third is the bank's.
    pub plies: u8,
    /// Pause between two plies for tearing.
    pub tear_pause: Duration,
    /// What is refused gets a slip, too.
    pub declined_slip: bool,
    /// How Chinese reaches the paper.
    pub chinese: Chinese,
    /// Kinds whose merchant ply shows the whole card number.
    pub full_pan: Vec<Kind>,
    /// The cash drawer at it.
    pub drawer: Option<Drawer>,
}

/// The cash drawer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawer {
    /// Its coil is at pin 5 of the plug, not at pin 2.
    pub pin_5: bool,
    /// How long the coil pulls, in milliseconds; `None`: as is known of the printer, else 100.
    pub pulse_ms: Option<u16>,
    /// What its switch says.
    pub sensor: DrawerSensor,
    /// The least role that may open it.
    pub role: Role,
}

/// Where the printer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrinterDevice {
    /// The first one found.
    Auto,
    /// By USB ids, and serial number where several are alike.
    Usb {
        /// Vendor id.
        vendor: u16,
        /// Product id.
        product: u16,
        /// Serial number.
        serial: Option<String>,
    },
    /// A device file.
    File(PathBuf),
    /// Raw printing over TCP.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// Limits of sales without the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreAndForward {
    /// Allowed at all.
    pub enabled: bool,
    /// Most of one transaction.
    pub max_amount: Amount,
    /// Most of all that wait.
    pub max_total: Amount,
    /// Most that wait.
    pub max_count: u32,
    /// Oldest that may wait before new ones are refused.
    pub max_age: Duration,
    /// How the card must have been read.
    pub entry_modes: Vec<EntryMode>,
}

/// The batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Most transactions, 1 to 900: totals have three-digit counts.
    pub max_transactions: u32,
    /// Days that settled rows are kept.
    pub retention_days: u32,
}

/// Operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operators {
    /// A session ends after so long without use.
    pub idle_timeout: Duration,
    /// Factory passwords work only to change them.
    pub require_change: bool,
}

/// Network links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// Who manages them.
    pub manager: LinkControl,
    /// Best first.
    pub preference: Vec<LinkKind>,
    /// How often the acquirer is tried over an idle link that works; `None` = never.
    pub probe: Option<Duration>,
    /// Bytes a metered link may carry in a month before only payment uses it; 0 = no limit.
    pub metered_limit: u64,
}

/// Access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Ask polkit; without it the groups of the bus policy decide.
    pub polkit: bool,
}

words! {
    /// How long a line to the host lives.
    Connection {
        /// For one piece of business.
        Short = "short",
        /// As long as it holds.
        Long = "long",
    }
}

words! {
    /// Where the coil of a cash drawer is.
    DrawerPin {
        /// There is no drawer.
        Nowhere = "none",
        /// Pin 2 of the plug, as most have it.
        Pin2 = "pin2",
        /// Pin 5.
        Pin5 = "pin5",
    }
}

words! {
    /// What the switch of a cash drawer, at pin 3 of the plug, says when it is open.
    DrawerSensor {
        /// There is none.
        Unknown = "none",
        /// High.
        High = "high",
        /// Low.
        Low = "low",
    }
}

words! {
    /// How a serial line is held back while the printer cannot take more.
    SerialFlow {
        /// By a wire.
        RtsCts = "rts-cts",
        /// By bytes of the printer.
        XonXoff = "xon-xoff",
        /// Not at all.
        Nothing = "none",
    }
}

words! {
    /// How Chinese reaches the paper.
    Chinese {
        /// By what the printer says it can.
        Auto = "auto",
        /// As text, with the printer's own font.
        Gb18030 = "gb18030",
        /// As dots.
        Raster = "raster",
    }
}

words! {
    /// Who manages the links.
    LinkControl {
        /// NetworkManager.
        NetworkManager = "networkmanager",
        /// Nobody that posd talks to.
        Unmanaged = "none",
    }
}

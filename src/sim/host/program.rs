//! `posd-sim host`: the acquirer as a process.
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::ident::{MerchantId, TerminalId};
use crate::domain::profile::{self, Profile};
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan, key_from_hex};

use super::{Acquirer, Config, TlsFiles};

/// Serve a simulated acquirer until it is killed. Prints `listening ADDRESS` when terminals can connect.
#[derive(clap::Args)]
pub struct Args {
    /// Where terminals connect; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Speak TLS with this certificate chain (PEM), the own one first.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Demand certificates of this CA (PEM) of terminals.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Unix socket for rules and questions: one command a line, one line of JSON back.
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// File of the books (JSON); read at start if it exists, written after each change.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Profile by which it speaks: a file as posd has them in its folder `profiles`; it changes what it names.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Terminal master key, 32 hex digits; a public test key by default.
    #[arg(long, value_name = "HEX")]
    tmk: Option<String>,
    /// Issuer master key of the cards, 32 hex digits; that of the simulated cards by default.
    #[arg(long, value_name = "HEX")]
    imk: Option<String>,
    /// A registered terminal and its merchant; may be repeated. 10000001:102100058120001 by default.
    #[arg(long = "terminal", value_name = "ID:MERCHANT")]
    terminals: Vec<String>,
    /// A card whose PIN is not 123456; may be repeated. For test cards only: the command line is public.
    #[arg(long = "pin", value_name = "PAN:PIN")]
    pins: Vec<String>,
    /// Give each terminal this master key at its first sign-on, 32 hex digits; with the key block that has types.
    #[arg(long, value_name = "HEX", requires = "profile")]
    new_tmk: Option<String>,
    /// Hand out MAC keys of double length.
    #[arg(long)]
    double_mak: bool,
    /// Answer a sign-on that asks for a key for tracks without one.
    #[arg(long)]
    without_tdk: bool,
    /// Hand out this batch number at sign-on instead of echoing the terminal's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=999_999))]
    batch: Option<u32>,
    /// Let the last digits of an amount choose the response to sales and pre-authorisations: 51 and other
    /// codes refuse, 10 approves half, 98 books without an answer, 99 does neither; 9001 to 9027 spoil the
    /// answer or its line, 91xx and 92xx are codes with letters. The whole table: src/docs/simulator.md.
    #[arg(long)]
    by_amount: bool,
    /// Book a sale that arrives after its own reversal, instead of refusing it with 12.
    #[arg(long)]
    books_late: bool,
    /// A card that is settled as a foreign one; may be repeated.
    #[arg(long = "foreign", value_name = "PAN")]
    foreign: Vec<String>,
    /// Answer an agreeing settlement without field 39.
    #[arg(long)]
    totals_without_code: bool,
}

/// Runs the acquirer. Returns only when it cannot start or breaks.
///
/// # Errors
/// An argument has the wrong form, a socket cannot be bound, or the ledger's file cannot be read.
pub fn run(args: Args) -> io::Result<()> {
    let acquirer = Acquirer::start(config(args)?)?;
    announce(&acquirer)?;
    acquirer.wait();
    Err(io::Error::other("the acquirer has ended"))
}

/// Scripts wait for this line.
fn announce(acquirer: &Acquirer) -> io::Result<()> {
    use io::Write;
    let mut out = io::stdout().lock();
    writeln!(out, "listening {}", acquirer.address())?;
    out.flush()
}

fn config(args: Args) -> io::Result<Config> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let mut config = Config::test()?;
    config.listen = args.listen;
    config.tls = args.tls_cert.zip(args.tls_key).map(|(certificate, key)| TlsFiles {
        certificate,
        key,
        client_ca: args.tls_client_ca,
    });
    config.control = args.control;
    config.ledger = args.ledger;
    config.by_amount = args.by_amount;
    let bank = &mut config.bank;
    if let Some(tmk) = &args.tmk {
        bank.tmk = MasterKeyMaterial::from_hex(tmk).map_err(|error| wrong(error.to_string()))?;
    }
    if let Some(file) = &args.profile {
        bank.profile = Arc::new(profile(file)?);
    }
    let new_tmk = args.new_tmk.as_deref().map(MasterKeyMaterial::from_hex).transpose();
    bank.new_tmk = new_tmk.map_err(|error| wrong(error.to_string()))?;
    if let Some(imk) = &args.imk {
        bank.imk = key_from_hex("issuer master key", imk).map_err(|error| wrong(error.to_string()))?;
    }
    let terminal = |text: &String| {
        let (terminal, merchant) = text.split_once(':')?;
        Some((TerminalId::new(terminal).ok()?, MerchantId::new(merchant).ok()?))
    };
    if !args.terminals.is_empty() {
        let terminals = args.terminals.iter().map(terminal).collect::<Option<_>>();
        bank.terminals = terminals.ok_or_else(|| wrong("--terminal wants ID:MERCHANT".to_owned()))?;
    }
    let pin = |text: &String| {
        let (pan, pin) = text.split_once(':')?;
        Some((Pan::new(pan).ok()?, ClearPin::new(pin.as_bytes()).ok()?))
    };
    let pins = args.pins.iter().map(pin).collect::<Option<_>>();
    bank.pins = pins.ok_or_else(|| wrong("--pin wants PAN:PIN".to_owned()))?;
    bank.double_mak = args.double_mak;
    bank.without_tdk = args.without_tdk;
    bank.batch = args.batch;
    bank.books_late = args.books_late;
    bank.totals_without_code = args.totals_without_code;
    let foreign = args.foreign.iter().map(|digits| Pan::new(digits)).collect::<Result<_, _>>();
    bank.foreign = foreign.map_err(|error| wrong(error.to_string()))?;
    Ok(config)
}

/// The profile of a file, laid over the one that ships, as posd reads it.
fn profile(file: &Path) -> io::Result<Profile> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let text =
        std::fs::read_to_string(file).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    profile::read(&name, file, &text, Some(&Profile::unionpay())).map_err(|errors| wrong(errors.to_string()))
}

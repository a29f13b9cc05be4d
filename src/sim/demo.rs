//! `posd-sim demo`: a morning in a shop. The real daemon and the real posctl on a private bus, with the simulated card
//! in a virtual PC/SC reader, the simulated acquirer and printer on TCP. Everything is started here and ended here.
//!
//! It shows; it does not judge. The same scenes are judged by the test suite.
use super::host::rules::{Fault, Rule};
use super::host::{Acquirer, Config as HostConfig};
use super::printer::{self, Printer};
use super::vpcd::Bench;
use serde_json::Value;
use std::fs;
use std::io::{Error, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for anything in the demonstration.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Public test key; see the key vectors in tests/data/iso8583.
const TMK: &str = "0123456789ABCDEFFEDCBA9876543210\n";

/// Arguments of `posd-sim demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder with the posd and posctl to show
    #[arg(long, value_name = "DIR")]
    bin: PathBuf,
    /// Card parameters
    #[arg(long, value_name = "FILE")]
    emv: PathBuf,
    /// Folder for receipts
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Shows it.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    match Shop::open(args).and_then(|mut shop| shop.morning()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("\nThe demonstration broke off: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Everything that runs. Dropping it ends it.
struct Shop {
    folder: PathBuf,
    out: PathBuf,
    bin: PathBuf,
    address: String,
    bus: Child,
    daemon: Child,
    acquirer: Acquirer,
    printer: Printer,
    bench: Bench,
    slips: usize,
}

impl Shop {
    fn open(args: &Args) -> Result<Self, Error> {
        let folder = std::env::temp_dir().join(format!("posd-demo-{}", std::process::id()));
        fs::create_dir(&folder)?;
        fs::create_dir_all(&args.out)?;
        say("== posd: a payment terminal for Linux ==");
        say(
            "Starting a card reader (pcscd with a virtual slot), a bank, a printer and a message bus, all simulated",
        );
        say("devices on their real interfaces; then the real daemon.\n");
        let bench = Bench::start().map_err(|skip| Error::other(skip.to_string()))?;
        let acquirer = Acquirer::start(HostConfig::test()?)?;
        let printer = Printer::start(&printer::Args {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            out: Some(args.out.clone()),
            control: None,
            width_dots: 384,
        })?;
        let address = format!("unix:path={}", folder.join("bus").display());
        let bus = start_bus(&folder)?;
        write_configuration(&folder, args, &acquirer, &printer)?;
        let daemon = Command::new(args.bin.join("posd"))
            .arg("--config")
            .arg(folder.join("posd.toml"))
            .arg("--state-dir")
            .arg(folder.join("state"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", &address)
            .env("CREDENTIALS_DIRECTORY", folder.join("credentials"))
            .env("RUNTIME_DIRECTORY", folder.join("run"))
            .env("PCSCLITE_CSOCK_NAME", bench.socket())
            .stdin(Stdio::null())
            .stderr(fs::File::create(args.out.join("posd.log"))?)
            .spawn()?;
        let (out, bin) = (args.out.clone(), args.bin.clone());
        Ok(Self { folder, out, bin, address, bus, daemon, acquirer, printer, bench, slips: 0 })
    }

    fn morning(&mut self) -> Result<(), Error> {
        self.wait_for("the daemon", |shop| shop.status().is_some())?;
        self.opening()?;
        self.approved()?;
        self.declined()?;
        self.lost_reply()?;
        say("\n-- What the bank holds, from its own ledger --");
        for row in self.acquirer.ledger()? {
            let state = format!("{:?}", row.state).to_lowercase();
            say(&format!(
                "   STAN {:06}  {:>8} fen  {state:<10} answered {}",
                row.stan, row.amount, row.response_code
            ));
        }
        self.command(&["txn", "list"])?;
        say(&format!("\nThe slips are in {}: receipt-N.txt and receipt-N.png.", self.out.display()));
        Ok(())
    }

    fn opening(&mut self) -> Result<(), Error> {
        scene(
            "The shop opens: the factory password is changed, the operator signs on, the terminal signs on",
        );
        fs::write(self.folder.join("change"), "0000\n246810\n")?;
        fs::write(self.folder.join("password"), "246810\n")?;
        let (change, password) = (self.file("change"), self.file("password"));
        self.command(&["operator", "password", "01", "--secret-file", &change])?;
        self.command(&["operator", "sign-on", "01", "--secret-file", &password])?;
        self.wait_for("the sign-on", |shop| {
            shop.status().is_some_and(|data| data.pointer("/host/signed-on") == Some(&Value::Bool(true)))
        })?;
        self.command(&["status"])
    }

    fn approved(&mut self) -> Result<(), Error> {
        scene("A customer pays 12.50 with chip and PIN");
        self.sale("12.50", "123456", "unionpay")?;
        self.wait_for_slips(2)
    }

    fn declined(&mut self) -> Result<(), Error> {
        scene("A second card has no money left: the bank says 51");
        let rule = Rule::once("0200", Fault::Decline("51".to_owned()));
        self.acquirer.rule(rule)?;
        self.sale("980.00", "123456", "unionpay")
    }

    fn lost_reply(&mut self) -> Result<(), Error> {
        scene("The bank approves 66.00, but its answer is lost on the way");
        self.acquirer.rule(Rule::once("0200", Fault::Close))?;
        self.sale("66.00", "123456", "unionpay")?;
        if !self.acquirer.wait_for("0400", 1, WAIT_MAX)? {
            return Err(Error::other("no reversal came to the bank"));
        }
        say(
            "   The terminal did not guess: it has sent a reversal by itself, and the bank has taken the sale back.",
        );
        self.command(&["queue", "list"])
    }

    fn sale(&mut self, amount: &str, pin: &str, card: &str) -> Result<(), Error> {
        fs::write(self.folder.join("pin"), format!("{pin}\n"))?;
        let pin = self.file("pin");
        self.bench.insert(card)?;
        self.command(&["sale", amount, "--pin-file", &pin])?;
        self.bench.remove()?;
        Ok(())
    }

    /// Waits for the next slips and shows them; the printer keeps their files.
    fn wait_for_slips(&mut self, more: usize) -> Result<(), Error> {
        self.slips += more;
        if !self.printer.wait_for(self.slips, WAIT_MAX) {
            return Err(Error::other("no slip came out of the printer"));
        }
        for (number, slip) in self.printer.report().receipts.iter().enumerate() {
            say(&format!("   .--- slip {} ", number + 1));
            slip.text.lines().for_each(|line| say(&format!("   | {line}")));
        }
        Ok(())
    }

    /// Shows a command and what it says. Outcomes other than success are part of the story.
    fn command(&self, words: &[&str]) -> Result<(), Error> {
        say(&format!("\n$ posctl {}", words.join(" ")));
        let output = self.posctl().args(words).output()?;
        say(String::from_utf8_lossy(&output.stderr).trim_end());
        say(String::from_utf8_lossy(&output.stdout).trim_end());
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            say(&format!("[exit {code}]"));
        }
        Ok(())
    }

    fn posctl(&self) -> Command {
        let mut posctl = Command::new(self.bin.join("posctl"));
        posctl.args(["--address", &self.address, "--lang", "en"]).stdin(Stdio::null());
        posctl
    }

    fn status(&self) -> Option<Value> {
        let output = self.posctl().args(["--json", "status"]).output().ok()?;
        let document: Value = serde_json::from_slice(&output.stdout).ok()?;
        (document.get("ok") == Some(&Value::Bool(true))).then(|| document.get("data").cloned()).flatten()
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Asks again until it holds. posctl is the only eye here, so the asking is what is waited on.
    fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), Error> {
        let until = Instant::now() + WAIT_MAX;
        while Instant::now() < until {
            if holds(self) {
                return Ok(());
            }
        }
        Err(Error::other(format!("{what} did not come in {} s", WAIT_MAX.as_secs())))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.bus] {
            // Both may have ended by themselves.
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn start_bus(folder: &Path) -> Result<Child, Error> {
    let socket = folder.join("bus");
    let configuration = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>\
         <allow own=\"*\"/></policy></busconfig>",
        socket.display()
    );
    fs::write(&configuration, text)?;
    let log = fs::File::create(folder.join("bus.log"))?;
    let mut bus = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", configuration.display()))
        .args(["--nofork", "--print-address"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    // The address is printed when the socket listens.
    let mut line = String::new();
    let output = bus.stdout.take().ok_or_else(|| Error::other("dbus-daemon has no output"))?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)?;
    Ok(bus)
}

fn write_configuration(
    folder: &Path,
    args: &Args,
    acquirer: &Acquirer,
    printer: &Printer,
) -> Result<(), Error> {
    fs::create_dir(folder.join("credentials"))?;
    fs::create_dir(folder.join("run"))?;
    fs::write(folder.join("credentials/tmk"), TMK)?;
    let text = format!(
        "[terminal]\nid = \"10000001\"\nmerchant-id = \"102100058120001\"\nmerchant-name = \"示例商户\"\n\
         [host]\nendpoints = [\"{}\"]\n[printer]\ndevice = \"tcp:{}\"\ntear-pause-s = 1\n\
         [emv]\nparameters = \"{}\"\n[links]\nmanager = \"none\"\n[security]\npolkit = false\n",
        acquirer.address(),
        printer.address(),
        fs::canonicalize(&args.emv)?.display(),
    );
    fs::write(folder.join("posd.toml"), text)
}

fn scene(title: &str) {
    say(&format!("\n== {title} =="));
}

fn say(text: &str) {
    if !text.is_empty() {
        // A closed terminal is no reason to stop half-way.
        drop(writeln!(std::io::stdout(), "{text}"));
    }
}

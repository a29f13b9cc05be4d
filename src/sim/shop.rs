//! A shop of simulated parts around the real daemon: a private bus, pcscd with a virtual reader, the acquirer and the
//! printer on TCP. Demonstration, measurements and storm open one each; what happens in it is theirs.
use super::host::{Acquirer, Config as HostConfig};
use super::printer::{self, Printer};
use super::vpcd::Bench;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Error};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Longest wait for anything in a shop.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);
/// Public test key; see the key vectors in tests/data/iso8583.
pub(super) const TMK: &str = "0123456789ABCDEFFEDCBA9876543210\n";
/// The key that seals card data in a shop's journal: no secret, so that measurements can write into it.
pub const STORAGE_KEY: [u8; 32] = [0x5a; 32];

/// How a shop is to be.
pub(super) struct Plan<'a> {
    /// First part of the name of its folder.
    pub(super) name: &'a str,
    /// The daemon.
    pub(super) posd: &'a Path,
    /// Program with arguments under which the daemon runs; empty for none. It must become the daemon's child, not its
    /// parent, so that ending our child ends the daemon.
    pub(super) under: &'a [&'a str],
    /// Card parameters.
    pub(super) emv: &'a Path,
    /// Folder for receipts; `None` keeps no files of them.
    pub(super) receipts: Option<&'a Path>,
    /// File for the daemon's log.
    pub(super) log: &'a Path,
    /// State directory of the daemon; `None` puts it into the shop's folder.
    pub(super) state: Option<&'a Path>,
    /// `[printer] tear-pause-s`.
    pub(super) tear_pause_s: u32,
    /// More lines for section `[host]` of the configuration.
    pub(super) host: &'a str,
    /// More sections of the configuration.
    pub(super) sections: &'a str,
    /// What becomes of the daemon's standard output.
    pub(super) output: Stdio,
}

/// Everything that runs. Dropping it ends it, the daemon first.
pub(super) struct Shop {
    /// The daemon.
    pub(super) daemon: Running,
    launch: Launch,
    _bus: Running,
    /// Address of the bus.
    pub(super) address: String,
    /// The bank.
    pub(super) acquirer: Acquirer,
    /// The printer.
    pub(super) printer: Printer,
    /// The card reader.
    pub(super) bench: Bench,
    folder: Folder,
}

impl Shop {
    /// Starts all parts, then the daemon. It returns at once: the daemon is still starting.
    pub(super) fn open(plan: Plan<'_>) -> Result<Self, Error> {
        let folder = Folder::make(plan.name)?;
        let bench = Bench::start().map_err(|skip| Error::other(skip.to_string()))?;
        let acquirer = Acquirer::start(HostConfig::test()?)?;
        let printer = Printer::start(&printer::Args {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            out: plan.receipts.map(Path::to_path_buf),
            control: None,
            width_dots: 384,
        })?;
        let address = format!("unix:path={}", folder.join("bus").display());
        let bus = start_bus(&folder)?;
        write_configuration(&folder, &plan, &acquirer, &printer)?;
        let mut words: Vec<OsString> = plan.under.iter().map(OsString::from).collect();
        words.push(plan.posd.into());
        let launch = Launch {
            words,
            configuration: folder.join("posd.toml"),
            state: plan.state.map_or_else(|| folder.join("state"), Path::to_path_buf),
            environment: [
                ("DBUS_SYSTEM_BUS_ADDRESS", OsString::from(&address)),
                ("CREDENTIALS_DIRECTORY", folder.join("credentials").into()),
                ("RUNTIME_DIRECTORY", folder.join("run").into()),
                ("PCSCLITE_CSOCK_NAME", bench.socket().into()),
            ],
            log: plan.log.to_path_buf(),
        };
        drop(fs::File::create(&launch.log)?);
        let daemon = launch.start(plan.output)?;
        Ok(Self { daemon, launch, _bus: bus, address, acquirer, printer, bench, folder })
    }

    /// Ends the daemon without warning, as a power cut would, and starts it again on the same state directory.
    pub(super) fn kill_and_restart(&mut self) -> Result<(), Error> {
        self.kill()?;
        self.restart()
    }

    /// Ends the daemon without warning.
    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.daemon.kill()?;
        self.daemon.wait().map(drop)
    }

    /// Starts the daemon again on its state directory.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.daemon = self.launch.start(Stdio::null())?;
        Ok(())
    }

    /// A file in the shop's own folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// How the daemon is started.
struct Launch {
    words: Vec<OsString>,
    configuration: PathBuf,
    state: PathBuf,
    environment: [(&'static str, OsString); 4],
    log: PathBuf,
}

impl Launch {
    fn start(&self, output: Stdio) -> Result<Running, Error> {
        let program = self.words.first().map_or(OsStr::new("posd"), OsString::as_os_str);
        let log = fs::File::options().append(true).open(&self.log)?;
        Command::new(program)
            .args(self.words.iter().skip(1))
            .arg("--config")
            .arg(&self.configuration)
            .arg("--state-dir")
            .arg(&self.state)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            .spawn()
            .map(Running)
            .map_err(|error| Error::other(format!("{}: {error}", program.display())))
    }
}

/// A process of ours: ended and collected when dropped.
pub(super) struct Running(Child);

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A folder of ours: removed when dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// In the temporary directory, because the paths of sockets must be short.
    pub(super) fn make(name: &str) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn start_bus(folder: &Path) -> Result<Running, Error> {
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
    let bus = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", configuration.display()))
        .args(["--nofork", "--print-address"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| Error::other(format!("dbus-daemon: {error}")))?;
    let mut bus = Running(bus);
    // The address is printed when the socket listens.
    let mut line = String::new();
    let output = bus.stdout.take().ok_or_else(|| Error::other("dbus-daemon has no output"))?;
    BufReader::new(output).read_line(&mut line)?;
    Ok(bus)
}

fn write_configuration(
    folder: &Path,
    plan: &Plan<'_>,
    acquirer: &Acquirer,
    printer: &Printer,
) -> Result<(), Error> {
    fs::create_dir(folder.join("credentials"))?;
    fs::create_dir(folder.join("run"))?;
    fs::write(folder.join("credentials/tmk"), TMK)?;
    let sealing: String = STORAGE_KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(folder.join("credentials/storage-key"), sealing)?;
    let text = Site {
        bank: acquirer.address().to_string(),
        printer: format!("tcp:{}", printer.address()),
        tear_pause_s: plan.tear_pause_s,
        emv: &fs::canonicalize(plan.emv)?,
        host: plan.host,
        sections: &format!("[security]\npolkit = false\n{}", plan.sections),
    };
    fs::write(folder.join("posd.toml"), text.configuration())
}

/// What the configuration of a shop says.
pub(super) struct Site<'a> {
    /// Address of the bank.
    pub(super) bank: String,
    /// `[printer] device`.
    pub(super) printer: String,
    /// `[printer] tear-pause-s`.
    pub(super) tear_pause_s: u32,
    /// Card parameters, as the daemon finds them.
    pub(super) emv: &'a Path,
    /// More lines for section `[host]`.
    pub(super) host: &'a str,
    /// More sections.
    pub(super) sections: &'a str,
}

impl Site<'_> {
    /// `posd.toml`.
    pub(super) fn configuration(&self) -> String {
        format!(
            "[terminal]\nid = \"10000001\"\nmerchant-id = \"102100058120001\"\nmerchant-name = \"示例商户\"\n\
             [host]\nendpoints = [\"{}\"]\n{}\n[printer]\ndevice = \"{}\"\nchinese = \"gb18030\"\n\
             tear-pause-s = {}\n[emv]\nparameters = \"{}\"\n[links]\nmanager = \"none\"\n{}",
            self.bank,
            self.host,
            self.printer,
            self.tear_pause_s,
            self.emv.display(),
            self.sections,
        )
    }
}

//! A private PC/SC world for tests: pcscd with two virtual readers and a card process, in their own network
//! namespace.
//!
//! vpcd listens on every interface, so it must never run in the machine's own network. The namespace belongs
//! to a small holder process; pcscd and `posd-sim card` are started inside it. pcscd takes an inherited
//! listening socket, so its socket can be any path; a program finds it through `PCSCLITE_CSOCK_NAME`, which
//! libpcsclite reads once in the life of a process. Both sockets are files: the terminal itself runs outside.
//! Needs the Debian packages pcscd, vsmartcard-vpcd, util-linux and iproute2, and root or unprivileged user
//! namespaces.
use std::fs::DirBuilder;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};
use serde_json::Value;

/// The driver, as Debian installs it.
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";
/// Where vpcd of the contact reader listens, inside the namespace.
const PORT: u16 = 35963;
/// Longest wait for a child to be ready, or for an answer of the card process.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Numbers the benches of this process.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Why there is no bench on this machine. A test prints it and passes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no virtual reader: {0}")]
pub struct Skip(String);

/// The running world. Dropping it ends its processes and removes its files.
pub struct Bench {
    folder: PathBuf,
    control: PathBuf,
    socket: PathBuf,
    holder: Child,
    pcscd: Option<Child>,
    card: Option<Child>,
}

impl Bench {
    /// PC/SC name of the contact reader that holds the card.
    pub const READER: &str = "POSD contact 00 00";

    /// PC/SC name of a contactless slot, always empty.
    pub const CONTACTLESS: &str = "POSD contactless PICC 00 00";

    /// Starts everything in a new folder of the temporary directory.
    ///
    /// # Errors
    /// [`Skip`] says what is missing here.
    pub fn start() -> Result<Self, Skip> {
        Self::start_in(&Self::new_folder())
    }

    /// A folder name that no other bench has.
    #[must_use]
    pub fn new_folder() -> PathBuf {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        std::env::temp_dir().join(format!("posd-bench-{}-{number}", std::process::id()))
    }

    /// Where pcscd of a bench in this folder listens; for `PCSCLITE_CSOCK_NAME`.
    #[must_use]
    pub fn socket_in(folder: &Path) -> PathBuf {
        folder.join("pcscd.comm")
    }

    /// Starts everything in this folder, which must not exist and must have a short path (socket paths are
    /// limited).
    ///
    /// # Errors
    /// [`Skip`] says what is missing here.
    pub fn start_in(folder: &Path) -> Result<Self, Skip> {
        check_machine()?;
        let program = card_program()?;
        write_readers(folder).map_err(|error| skip("reader configuration", &error))?;
        let holder = hold_namespace().inspect_err(|_| drop(std::fs::remove_dir_all(folder)))?;
        let mut bench = Self {
            folder: folder.to_owned(),
            control: folder.join("card.sock"),
            socket: Self::socket_in(folder),
            holder,
            pcscd: None,
            card: None,
        };
        bench.start_pcscd().map_err(|error| skip("pcscd", &error))?;
        bench.start_card(&program).map_err(|error| skip("posd-sim card", &error))?;
        Ok(bench)
    }

    /// The socket of pcscd, for `PCSCLITE_CSOCK_NAME`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The control socket of `posd-sim card`.
    #[must_use]
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// What pcscd wrote, for a failed test.
    #[must_use]
    pub fn pcscd_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("pcscd.log")).unwrap_or_default()
    }

    /// Starts pcscd, if it does not run. Its socket takes connections when this returns.
    ///
    /// # Errors
    /// The socket or the process cannot be made.
    pub fn start_pcscd(&mut self) -> std::io::Result<()> {
        if self.pcscd.is_some() {
            return Ok(());
        }
        drop(std::fs::remove_file(&self.socket));
        let listener = UnixListener::bind(&self.socket)?;
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("pcscd.log"))?;
        // The socket comes in as standard input and becomes descriptor 3, as systemd would hand it over.
        // From 2.0 on pcscd asks polkit about every client; a private bench has none (Debian 13).
        let script = "case $(pcscd --help 2>&1) in *--disable-polkit*) open=--disable-polkit;; esac; \
                      exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; \
                      exec pcscd --foreground --debug $open --config \"$1\"";
        let child = self
            .inside("sh")
            .args(["-c", script, "sh"])
            .arg(self.folder.join("conf"))
            .env("PATH", search_path())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.pcscd = Some(child);
        Ok(())
    }

    /// Kills pcscd without warning. Its socket file stays behind, as after a crash.
    pub fn kill_pcscd(&mut self) {
        end(self.pcscd.take());
    }

    /// Stops pcscd in its tracks (it takes connections and never answers), or lets it go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze_pcscd(&self, frozen: bool) -> std::io::Result<()> {
        if !frozen {
            return self.signal_pcscd(Signal::CONT).map(drop);
        }
        let id = self.signal_pcscd(Signal::STOP)?;
        // The signal is only sent so far; the system tells the parent when every thread stands still.
        rustix::process::waitpid(Some(id), WaitOptions::UNTRACED)?;
        Ok(())
    }

    /// Unplugs both readers, or plugs them in again, for the pcscd that is started next: a running one reads
    /// the configuration of such readers only once.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn plug_readers(&self, plugged: bool) -> std::io::Result<()> {
        let text = if plugged { reader_configuration(&self.folder) } else { String::new() };
        std::fs::write(self.folder.join("conf/readers"), text)
    }

    fn signal_pcscd(&self, signal: Signal) -> std::io::Result<Pid> {
        let id = self.pcscd.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        let id = id.and_then(Pid::from_raw).ok_or(ErrorKind::NotFound)?;
        rustix::process::kill_process(id, signal)?;
        Ok(id)
    }

    /// Puts a card in: a preset or a profile file.
    ///
    /// # Errors
    /// The card process refused or is gone.
    pub fn insert(&self, card: &str) -> std::io::Result<()> {
        self.ask(&format!("insert {card}")).map(drop)
    }

    /// Takes the card out; false if none was in.
    ///
    /// # Errors
    /// The card process is gone.
    pub fn remove(&self) -> std::io::Result<bool> {
        Ok(self.ask("remove")?.get("removed").and_then(Value::as_bool).unwrap_or_default())
    }

    /// Switches a fault on, or all off with `clear`. See [`crate::sim::card::Fault`].
    ///
    /// # Errors
    /// No such fault; the card process is gone.
    pub fn fault(&self, fault: &str) -> std::io::Result<()> {
        self.ask(&format!("fault {fault}")).map(drop)
    }

    /// The commands that the card saw since it was inserted: objects with `command`, `length`, `status`.
    ///
    /// # Errors
    /// The card process is gone.
    pub fn apdus(&self) -> std::io::Result<Vec<Value>> {
        let answer = self.ask("apdus")?;
        Ok(answer.get("apdus").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// What is in: an object with `card`, `connected`, `apdus`.
    ///
    /// # Errors
    /// The card process is gone.
    pub fn status(&self) -> std::io::Result<Value> {
        self.ask("status")
    }

    /// Sends one line to the card process and reads its answer.
    fn ask(&self, line: &str) -> std::io::Result<Value> {
        let mut stream = UnixStream::connect(&self.control)?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        let answer: Value = serde_json::from_str(&answer)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(Error::other(error.to_owned())),
            None => Ok(answer),
        }
    }

    fn start_card(&mut self, program: &Path) -> std::io::Result<()> {
        let mut child = self
            .inside(program)
            .args(["card", "--exit-with-stdin", "--vpcd", &format!("127.0.0.1:{PORT}"), "--control"])
            .arg(&self.control)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let ready = await_ready(&mut child);
        self.card = Some(child);
        ready
    }

    /// A command that runs in the namespace of the holder, under the same process id as the `nsenter` that
    /// starts it.
    fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let namespace = |kind: &str| format!("/proc/{}/ns/{kind}", self.holder.id());
        let mut command = Command::new("nsenter");
        if !is_root() {
            command.arg(format!("--user={}", namespace("user"))).arg("--preserve-credentials");
        }
        command.arg(format!("--net={}", namespace("net"))).arg("--").arg(program);
        command
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        end(self.card.take());
        end(self.pcscd.take());
        drop(self.holder.kill());
        drop(self.holder.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Kills a child of ours and collects it.
fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        drop(child.kill());
        drop(child.wait());
    }
}

fn skip(what: &str, error: &dyn core::fmt::Display) -> Skip {
    Skip(format!("{what}: {error}"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `PATH`, with the folders of system programs that a user's shell may lack.
fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin:/usr/bin:/bin");
    path
}

fn check_machine() -> Result<(), Skip> {
    let path = search_path();
    for program in ["pcscd", "unshare", "nsenter", "ip", "sh"] {
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            return Err(Skip(format!("{program} is not installed")));
        }
    }
    if Path::new(DRIVER).is_file() { Ok(()) } else { Err(Skip(format!("{DRIVER} is not installed"))) }
}

/// `posd-sim` beside this program, or one folder above where Cargo puts tests.
fn card_program() -> Result<PathBuf, Skip> {
    let own = std::env::current_exe().map_err(|error| skip("own path", &error))?;
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("posd-sim"))
        .find(|path| path.is_file())
        .ok_or_else(|| Skip("posd-sim is not built".to_owned()))
}

/// The readers: name, file of the driver, port.
const READERS: [(&str, &str, u16); 2] =
    [("POSD contact", "libvpcd-contact.so", PORT), ("POSD contactless PICC", "libvpcd-picc.so", PORT + 10)];

/// Two readers. Each has its own copy of the driver: one copy keeps its slots in globals, so two readers on
/// the same file overwrite each other (vpcd 3.3).
fn write_readers(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    DirBuilder::new().mode(0o700).create(folder.join("conf"))?;
    for (_, library, _) in READERS {
        std::fs::copy(DRIVER, folder.join(library))?;
    }
    std::fs::write(folder.join("conf/readers"), reader_configuration(folder))
}

fn reader_configuration(folder: &Path) -> String {
    let entry = |(name, library, port): (&str, &str, u16)| {
        let library = folder.join(library);
        format!(
            "FRIENDLYNAME \"{name}\"\nDEVICENAME /dev/null:{port}\nLIBPATH {}\nCHANNELID {port}\n\n",
            library.display()
        )
    };
    READERS.map(entry).concat()
}

/// Starts the process that keeps the namespace; it ends with its standard input, so with us.
fn hold_namespace() -> Result<Child, Skip> {
    let flags: &[&str] = if is_root() { &["--net"] } else { &["--user", "--map-root-user", "--net"] };
    let mut child = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", "ip link set lo up && echo ready && exec cat"])
        .env("PATH", search_path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| skip("unshare", &error))?;
    if let Err(error) = await_ready(&mut child) {
        drop(child.kill());
        drop(child.wait());
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            drop(stderr.take(1000).read_to_string(&mut said));
        }
        return Err(Skip(format!("network namespace: {error}: {}", said.trim())));
    }
    Ok(child)
}

/// Waits until a child says `ready` on its standard output, or ends without it.
fn await_ready(child: &mut Child) -> std::io::Result<()> {
    let stdout = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
    let deadline = Instant::now() + WAIT_MAX;
    let mut text = Vec::new();
    let mut byte = [0];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = rustix::time::Timespec::try_from(left).map_err(|_| ErrorKind::InvalidInput)?;
        let mut watched = [rustix::event::PollFd::new(&stdout, rustix::event::PollFlags::IN)];
        if rustix::event::poll(&mut watched, Some(&left))? == 0 {
            return Err(ErrorKind::TimedOut.into());
        }
        if rustix::io::read(&stdout, &mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        text.extend(byte);
        if text.ends_with(b"ready\n") {
            return Ok(());
        }
    }
}

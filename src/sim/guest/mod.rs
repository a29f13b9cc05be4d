//! A whole machine in qemu: its own kernel, systemd, bus, pcscd with a USB reader, and the packaged daemon. Its power
//! can be cut.
//!
//! Everything but the state directory is forgotten when it ends. It lives on what `tests/tools/guest` has made, and
//! in a network namespace of its own, in which its gateway is our loopback interface and nothing else: bank and
//! printer listen there. The processor is emulated, so a boot takes half a minute, and no time in it means anything.
mod shop;
mod writes;

pub use shop::{GuestShop, Terms};
pub use writes::{WriteLog, so_far};

use std::fs;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Our loopback interface, as a guest sees it.
pub const GATEWAY: &str = "10.0.2.2";
/// What the guest says on its serial line when its services run.
const READY: &str = "guest: ready";
/// Longest wait for a boot, and for a script: the processor is emulated and may be shared.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);
/// Memory in MiB.
const MEMORY: &str = "768";
/// Quiet, and without what only hardware needs.
const KERNEL_ARGUMENTS: &str = "root=/dev/vda rw panic=-1 quiet mitigations=off nokaslr audit=0 net.ifnames=0 \
     random.trust_cpu=on";

/// What differs between the architectures of guests.
struct Board {
    /// qemu for it.
    program: &'static str,
    /// The machine and its processor.
    options: [&'static str; 4],
    /// Its serial line, as its kernel calls it.
    console: &'static str,
}

impl Board {
    /// The one that this guest is made for.
    fn of(made: &Path) -> Result<Self, Error> {
        match fs::read_to_string(made.join("architecture"))?.trim() {
            "amd64" => Ok(Self {
                program: "qemu-system-x86_64",
                options: ["-M", "q35", "-cpu", "max"],
                console: "ttyS0",
            }),
            "arm64" => Ok(Self {
                program: "qemu-system-aarch64",
                options: ["-M", "virt,gic-version=3", "-cpu", "cortex-a72"],
                console: "ttyAMA0",
            }),
            other => Err(Error::other(format!("no board for a guest of {other:?}; known: amd64, arm64"))),
        }
    }
}

/// How a guest is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The folder that `tests/tools/guest` names.
    pub made: PathBuf,
    /// Folder for sockets and disks; its path must be short.
    pub folder: PathBuf,
    /// The disk of the state directory, see [`make_state_disk`].
    pub state: PathBuf,
    /// A file in which every write to that disk is logged, see [`WriteLog`].
    pub writes: Option<PathBuf>,
    /// Socket of the reader, see [`super::vscard::Reader`].
    pub reader: PathBuf,
    /// Files that are put into the guest before its services start: absolute path and content.
    pub files: Vec<(String, Vec<u8>)>,
    /// Services that are started with it, beside those that always are.
    pub services: Vec<String>,
    /// Where its serial line is written to.
    pub log: PathBuf,
}

/// A running guest. Dropping it cuts its power.
pub struct Guest {
    qemu: Child,
    serial: Option<JoinHandle<()>>,
    heard: Receiver<()>,
    ready: bool,
    monitor: PathBuf,
    shell: SocketAddr,
    bus: SocketAddr,
}

impl Guest {
    /// Switches it on. It returns at once: [`Self::until_ready`] waits for its services.
    ///
    /// # Errors
    /// qemu or something on its disks is missing; there is a way to other machines from here.
    pub fn switch_on(plan: &Plan) -> Result<Self, Error> {
        check_namespace()?;
        let payload = pack(plan)?;
        let (shell, bus) = (free_port()?, free_port()?);
        let monitor = plan.folder.join("monitor");
        let board = Board::of(&plan.made)?;
        let mut arguments = format!("console={} {KERNEL_ARGUMENTS}", board.console);
        for service in &plan.services {
            arguments.push_str(" systemd.wants=");
            arguments.push_str(service);
        }
        let disk = |name: &str, path: &Path, more: &str| {
            format!("if=none,id={name},format=raw,file={}{more}", path.display())
        };
        // qemu ends with the thread that started it, however that ends.
        let mut qemu = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", board.program])
            .args(["-nodefaults", "-display", "none", "-no-reboot"])
            .args(board.options)
            .args(["-accel", "tcg,thread=multi", "-smp", "2", "-m", MEMORY])
            .arg("-kernel")
            .arg(plan.made.join("vmlinuz"))
            .arg("-initrd")
            .arg(plan.made.join("initrd"))
            .args(["-append", &arguments])
            .args(["-drive", &disk("root", &plan.made.join("disk"), ",snapshot=on")])
            .args(["-device", "virtio-blk-pci,drive=root"])
            .args(state_disk(plan))
            .args(["-device", "virtio-blk-pci,drive=state,serial=state"])
            .args(["-drive", &disk("payload", &payload, ",readonly=on")])
            .args(["-device", "virtio-blk-pci,drive=payload,serial=payload"])
            .arg("-netdev")
            .arg(format!("user,id=net,hostfwd=tcp:{shell}-:1,hostfwd=tcp:{bus}-:2"))
            .args(["-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"])
            // Not xHCI: there qemu's reader leaves an empty packet behind an answer of exactly 64 bytes, and that is
            // taken for the next answer.
            .args(["-device", "piix3-usb-uhci"])
            .arg("-chardev")
            .arg(format!("socket,id=card,path={}", plan.reader.display()))
            .args(["-device", "usb-ccid,id=reader", "-device", "ccid-card-passthru,id=slot,chardev=card"])
            .args(["-serial", "stdio", "-monitor", &format!("unix:{},server=on,wait=off", monitor.display())])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(plan.folder.join("qemu.log"))?)
            .spawn()
            .map_err(|error| Error::other(format!("setpriv: {error}")))?;
        let stdout = qemu.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        let (tell, heard) = channel();
        let log = fs::File::options().create(true).append(true).open(&plan.log)?;
        let serial = std::thread::Builder::new()
            .name("sim-serial".to_owned())
            .spawn(move || listen(stdout, log, &tell))?;
        Ok(Self { qemu, serial: Some(serial), heard, ready: false, monitor, shell, bus })
    }

    /// Waits until its services run.
    ///
    /// # Errors
    /// qemu has ended; it takes too long.
    pub fn until_ready(&mut self) -> Result<(), Error> {
        if !self.ready {
            self.heard.recv_timeout(PATIENCE).map_err(|error| match error {
                RecvTimeoutError::Timeout => Error::other("the guest does not come up"),
                RecvTimeoutError::Disconnected => Error::other("qemu has ended"),
            })?;
            self.ready = true;
        }
        Ok(())
    }

    /// Address of its system bus, where we are root. File descriptors do not pass.
    #[must_use]
    pub fn bus(&self) -> String {
        format!("tcp:host={},port={}", self.bus.ip(), self.bus.port())
    }

    /// Runs a script as root; whether it succeeded, and what it said on both channels.
    ///
    /// # Errors
    /// The guest is gone or takes too long.
    pub fn try_sh(&self, script: &str) -> Result<(bool, String), Error> {
        let mut line = TcpStream::connect(self.shell)?;
        line.set_read_timeout(Some(PATIENCE))?;
        line.write_all(format!("{}\n{script}", script.len()).as_bytes())?;
        let mut said = Vec::new();
        line.read_to_end(&mut said)?;
        let said = String::from_utf8_lossy(&said);
        let (said, status) = said.trim_end().rsplit_once('\n').ok_or(ErrorKind::UnexpectedEof)?;
        Ok((status == "0", said.to_owned()))
    }

    /// Runs a script that must succeed; what it said.
    ///
    /// # Errors
    /// It did not succeed.
    pub fn sh(&self, script: &str) -> Result<String, Error> {
        match self.try_sh(script)? {
            (true, said) => Ok(said),
            (false, said) => Err(Error::other(format!("{script}\n{said}"))),
        }
    }

    /// Gives qemu's monitor one command; what it said.
    ///
    /// # Errors
    /// It refuses; qemu is gone.
    pub fn monitor(&self, command: &str) -> Result<String, Error> {
        let mut line = UnixStream::connect(&self.monitor)?;
        line.set_read_timeout(Some(PATIENCE))?;
        let mut said = Vec::new();
        for sent in ["", command] {
            if !sent.is_empty() {
                said.clear();
                line.write_all(format!("{sent}\n").as_bytes())?;
            }
            let mut byte = [0];
            while !said.ends_with(b"(qemu) ") {
                line.read_exact(&mut byte)?;
                said.extend(byte);
            }
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        // What works is silent, or answers a question.
        if said.contains("Error") { Err(Error::other(said)) } else { Ok(said) }
    }

    /// Cuts its power: nothing in it hears of it, and nothing of its memory reaches a disk.
    ///
    /// # Errors
    /// It cannot be ended.
    pub fn cut(mut self) -> Result<(), Error> {
        self.qemu.kill()?;
        self.qemu.wait().map(drop)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.qemu.kill());
        drop(self.qemu.wait());
        drop(self.serial.take().map(JoinHandle::join));
    }
}

/// The options that give qemu the state disk. It has a cache that a flush empties, like every disk.
fn state_disk(plan: &Plan) -> Vec<String> {
    let file = |name: &str, path: &Path| format!("driver=file,node-name={name},filename={}", path.display());
    let Some(log) = &plan.writes else {
        let drive = format!("if=none,id=state,format=raw,cache=writeback,file={}", plan.state.display());
        return vec!["-drive".to_owned(), drive];
    };
    let logged =
        "driver=blklogwrites,node-name=state,file=state-file,log=state-log,log-super-update-interval=1";
    [file("state-file", &plan.state), file("state-log", log), logged.to_owned()]
        .into_iter()
        .flat_map(|node| ["-blockdev".to_owned(), node])
        .collect()
}

/// Writes the serial line into the log, and tells when the guest is ready.
fn listen(serial: ChildStdout, mut log: fs::File, tell: &Sender<()>) {
    let mut serial = BufReader::new(serial);
    let mut line = Vec::new();
    while matches!(serial.read_until(b'\n', &mut line), Ok(1..)) {
        // A full disk must not stop the guest.
        drop(log.write_all(&line));
        if String::from_utf8_lossy(&line).contains(READY) {
            tell.send(()).ok();
        }
        line.clear();
    }
}

/// A guest may talk to us alone: its network is ours, so there must be no way out of it.
fn check_namespace() -> Result<(), Error> {
    let routes = fs::read_to_string("/proc/net/route")?;
    if routes.lines().count() > 1 {
        return Err(Error::other(
            "a guest needs a network namespace without routes: `make vm-test` makes one",
        ));
    }
    Ok(())
}

/// Puts the files for the guest into an archive, which it reads as a disk.
fn pack(plan: &Plan) -> Result<PathBuf, Error> {
    let (folder, archive) = (plan.folder.join("files"), plan.folder.join("files.tar"));
    for (path, content) in &plan.files {
        let path = folder.join(path.trim_start_matches('/'));
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(path, content)?;
    }
    run(Command::new("tar")
        .args(["--owner=0", "--group=0", "-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(&folder)
        .arg("."))?;
    Ok(archive)
}

/// A port that nobody listens on now.
fn free_port() -> Result<SocketAddr, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Makes an empty disk for a state directory.
///
/// # Errors
/// It cannot be made.
pub fn make_state_disk(path: &Path) -> Result<(), Error> {
    fs::File::create(path)?.set_len(64 << 20)?;
    run(Command::new("mkfs.ext4").args(["-q", "-F", "-L", "state"]).arg(path)).map(drop)
}

/// Checks the state disk of a guest that is off, as a boot after a power cut does; what there was to do.
///
/// # Errors
/// The file system is damaged.
pub fn check_state_disk(path: &Path) -> Result<String, Error> {
    let said = run(Command::new("e2fsck").args(["-p", "-f"]).arg(path))?;
    let mut words: Vec<&str> = Vec::new();
    for line in said.lines().filter(|line| !line.contains(" files (")) {
        words.push(line.split_once(": ").map_or(line, |(_, word)| word));
    }
    Ok(if words.is_empty() { "clean".to_owned() } else { words.join("; ") })
}

/// Runs a helper program; what it said. A status of 1 is what e2fsck ends with when it has mended something.
fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let good =
        output.status.success() || output.status.code() == Some(1) && command.get_program() == "e2fsck";
    if good { Ok(said) } else { Err(Error::other(format!("{}: {said}", command.get_program().display()))) }
}

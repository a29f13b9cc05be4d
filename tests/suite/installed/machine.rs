//! A booted container: a real systemd, bus, polkit and file system, and users; no devices. What it writes is gone with it.
use crate::support::skip;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// nspawn locks the folder that a container is made of.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// From the start of nspawn until the services run: 2 s on a quiet machine.
const BOOT_WITHIN: Duration = Duration::from_secs(120);

/// The container. Dropping it ends it.
pub(super) struct Machine {
    nspawn: Child,
    leader: Pid,
    /// The folder of the bus socket, shared with the container.
    bus: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// What `tests/tools/machine` has made.
fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/machine").join(name)
}

impl Machine {
    /// Boots one with the packages in `/debs`, or says why this machine has none.
    pub(super) fn boot() -> Option<Self> {
        if !made("root").exists() {
            return skip("tests/tools/machine has made no container here");
        }
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let bus = tempfile::tempdir().unwrap();
        std::fs::set_permissions(bus.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let own = tempfile::tempdir().unwrap();
        let told = UnixDatagram::bind(own.path().join("notify")).unwrap();
        told.set_read_timeout(Some(BOOT_WITHIN)).unwrap();
        // It dies with this thread, however the thread ends.
        let mut nspawn = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "systemd-nspawn", "--quiet", "--boot", "--volatile=overlay"])
            .args([
                "--private-network",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                "--notify-ready=yes",
            ])
            .arg(format!("--machine=posd-{}", std::process::id()))
            .arg(format!("--directory={}", std::fs::canonicalize(made("root")).unwrap().display()))
            .arg(format!("--bind-ro={}:/debs", made("debs").display()))
            .arg(format!("--bind={}:/run/dbus", bus.path().display()))
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .env("NOTIFY_SOCKET", own.path().join("notify"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let Some(leader) = ready(&told) else {
            nspawn.kill().ok();
            nspawn.wait().ok();
            return skip("systemd-nspawn boots nothing here");
        };
        Some(Self { nspawn, leader, bus, _alone: alone })
    }

    /// Runs a script as root; what it said on both channels, and whether it succeeded.
    pub(super) fn try_sh(&self, script: &str) -> (bool, String) {
        let output = self.inside(&["sh", "-ec", &format!("exec 2>&1; {script}")]).output().unwrap();
        let Output { status, stdout, .. } = output;
        (status.success(), String::from_utf8_lossy(&stdout).into_owned())
    }

    /// Runs a script that must succeed; what it said.
    pub(super) fn sh(&self, script: &str) -> String {
        let (good, said) = self.try_sh(script);
        assert!(good, "{script}\n{said}");
        said
    }

    /// Puts a folder of this machine into the container.
    pub(super) fn put(&self, from: &Path, to: &str) {
        let mut tar =
            Command::new("tar").arg("-cC").arg(from).arg(".").stdout(Stdio::piped()).spawn().unwrap();
        let mut inside = self.inside(&["tar", "-xC", to]);
        let status = inside.stdin(tar.stdout.take().unwrap()).status().unwrap();
        assert!(status.success() && tar.wait().unwrap().success(), "{to}");
    }

    /// Installs one version of posd, `""` or `"~0"`; what dpkg said.
    pub(super) fn install(&self, suffix: &str) -> String {
        self.sh(&format!("dpkg -i /debs/posd_{}{suffix}_*.deb", env!("CARGO_PKG_VERSION")))
    }

    /// The address of its system bus, as seen from outside.
    pub(super) fn bus(&self) -> String {
        format!("unix:path={}/system_bus_socket", self.bus.path().display())
    }

    fn inside(&self, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &self.leader.as_raw_nonzero().to_string()]).args(args);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }
}

/// Waits until the container says that its services run; its first process, as numbered here.
fn ready(told: &UnixDatagram) -> Option<Pid> {
    let mut leader = None;
    loop {
        let mut bytes = [0; 4096];
        let len = told.recv(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
        let number = text
            .lines()
            .find_map(|line| line.strip_prefix("X_NSPAWN_LEADER_PID="))
            .and_then(|n| n.parse().ok());
        leader = number.and_then(Pid::from_raw).or(leader);
        if text.lines().any(|line| line == "READY=1") {
            return leader;
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.try_sh("journalctl --no-pager -n 60").1);
        }
        // The end of the first process is the end of all of them, and of nspawn.
        kill_process(self.leader, Signal::KILL).ok();
        self.nspawn.wait().ok();
    }
}

//! The daemon as a child process: started, watched, ended by its process id.
use super::till::Heard;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, Signal, kill_process, pidfd_getfd, pidfd_open,
    prlimit,
};
use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tokio::sync::mpsc;

/// A running daemon. Dropping it kills it.
pub(super) struct Daemon(Child);

/// Where a daemon of this till lives.
pub(super) struct Place<'a> {
    pub(super) dir: &'a Path,
    pub(super) bus: &'a str,
    pub(super) pcscd: &'a Path,
    pub(super) env: &'a [(String, String)],
}

impl Daemon {
    /// Starts it. Its end is told as [`Heard::Exited`].
    pub(super) fn start(place: &Place<'_>, heard: mpsc::UnboundedSender<Heard>) -> Self {
        let dir = place.dir;
        let log = OpenOptions::new().create(true).append(true).open(dir.join("posd.log")).unwrap();
        // A file that may not grow is to be an error and not a signal, for `break_disk`.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_posd")]);
        for gone in [
            "JOURNAL_STREAM",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "STATE_DIRECTORY",
            "POSD_CUT",
            "POSD_CUT_LOG",
        ] {
            command.env_remove(gone);
        }
        let child = command
            .arg("--config")
            .arg(dir.join("posd.toml"))
            .arg("--state-dir")
            .arg(dir.join("state"))
            .env("DBUS_SYSTEM_BUS_ADDRESS", place.bus)
            .env("PCSCLITE_CSOCK_NAME", place.pcscd)
            .env("CREDENTIALS_DIRECTORY", dir.join("credentials"))
            .env("RUNTIME_DIRECTORY", dir.join("run"))
            .envs(place.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Self(child);
        let watched = pidfd_open(daemon.pid(), PidfdFlags::empty()).unwrap();
        let id = daemon.0.id();
        let watch = move || {
            let mut ended = [PollFd::new(&watched, PollFlags::IN)];
            if poll(&mut ended, None).is_ok() {
                heard.send(Heard::Exited(id)).ok();
            }
        };
        std::thread::Builder::new().name("watch-posd".to_owned()).spawn(watch).unwrap();
        daemon
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap()
    }

    /// Sends a signal to it.
    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// From now on no file takes a byte from it, or all do again.
    pub(super) fn break_disk(&self, broken: bool) {
        let limit = Rlimit { current: broken.then_some(0), maximum: None };
        prlimit(Some(self.pid()), Resource::Fsize, limit).unwrap();
    }

    /// Its sockets, shared with it.
    pub(super) fn sockets(&self) -> Vec<OwnedFd> {
        let own = pidfd_open(self.pid(), PidfdFlags::empty()).unwrap();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).unwrap().flatten() {
            let socket = std::fs::read_link(entry.path())
                .is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
            let number = entry.file_name().to_string_lossy().parse().unwrap();
            if socket {
                found.extend(pidfd_getfd(&own, number, PidfdGetfdFlags::empty()));
            }
        }
        found
    }

    /// Collects it after its end; the exit code, if it was not killed.
    pub(super) fn collect(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

//! Looks at the machine for people: whether the state directory takes a file, who can read what, what the sandbox
//! allows as it is seen from inside, and what the machine is.
use crate::domain::guard::{Fact, Guard};
use crate::ports::{DiskSeen, Surveyor};
use rustix::fs::statvfs;
use rustix::process::{DumpableBehavior, dumpable_behavior, geteuid};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is written to see whether writing works.
const PROBE: [u8; 4096] = [0x5A; 4096];

/// The surveyor of one machine.
pub struct MachineSurveyor {
    state_dir: PathBuf,
    config: PathBuf,
    credentials: Option<PathBuf>,
}

/// Longest text that is read of a file, bytes.
const TEXT_MAX: u64 = 16 * 1024;
/// USB devices that are named.
const USB_MAX: usize = 32;

impl MachineSurveyor {
    /// Looks at this state directory, configuration file and folder of credentials.
    #[must_use]
    pub fn new(state_dir: &Path, config: &Path, credentials: Option<PathBuf>) -> Self {
        Self { state_dir: state_dir.to_owned(), config: config.to_owned(), credentials }
    }

    /// Mode and owner of the state directory, which others must not enter.
    fn state_directory(&self) -> Fact {
        let (ok, evidence) = match self.state_dir.metadata() {
            Ok(seen) => {
                let mine = seen.uid() == geteuid().as_raw();
                (
                    mine && seen.mode() & 0o077 == 0,
                    format!("mode {:o}, uid {}", seen.mode() & 0o7777, seen.uid()),
                )
            }
            Err(error) => (false, error.to_string()),
        };
        Fact::new(Guard::StateDirectory, ok, evidence)
    }

    /// Where the storage key comes from. One beside the data goes with a stolen disk.
    fn storage_key(&self) -> Fact {
        let credential = self.credentials.as_ref().is_some_and(|dir| dir.join("storage-key").exists());
        let beside = self.state_dir.join("storage-key");
        let evidence = match (credential, beside.metadata()) {
            (true, _) => "a credential of the service manager".to_owned(),
            (false, Ok(seen)) => format!("{}, mode {:o}", beside.display(), seen.mode() & 0o7777),
            (false, Err(error)) => error.to_string(),
        };
        Fact::new(Guard::StorageKey, credential, evidence)
    }

    /// The configuration and its drop-ins: whoever writes them decides where the money goes.
    fn configuration(&self) -> Fact {
        let mut folder = self.config.as_os_str().to_owned();
        folder.push(".d");
        let folder = PathBuf::from(folder);
        let found = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let all: Vec<PathBuf> = [self.config.clone(), folder.clone()].into_iter().chain(found).collect();
        let open = |path: &&PathBuf| {
            path.metadata().is_ok_and(|seen| {
                let ours = seen.uid() == 0 || seen.uid() == geteuid().as_raw();
                !ours || seen.mode() & 0o022 != 0
            })
        };
        match all.iter().find(open) {
            Some(path) => {
                let mode = path.metadata().map_or(0, |seen| seen.mode() & 0o7777);
                Fact::new(Guard::Configuration, false, format!("{} has mode {mode:o}", path.display()))
            }
            None => Fact::new(Guard::Configuration, true, self.config.display().to_string()),
        }
    }
}

/// What /proc says of the process: `NoNewPrivs: 1`.
fn of_status(status: &str, name: &str) -> String {
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned());
    status.lines().find_map(of).unwrap_or_default()
}

fn sandbox(status: &str) -> Vec<Fact> {
    let (privileges, seccomp) = (of_status(status, "NoNewPrivs"), of_status(status, "Seccomp"));
    let effective = of_status(status, "CapEff");
    let none = !effective.is_empty() && effective.bytes().all(|digit| digit == b'0');
    vec![
        Fact::new(Guard::NoNewPrivileges, privileges == "1", format!("NoNewPrivs {privileges}")),
        Fact::new(Guard::Seccomp, seccomp == "2", format!("Seccomp {seccomp}")),
        Fact::new(Guard::Capabilities, none, format!("CapEff {effective}")),
    ]
}

/// A core file is cut to nothing, or the kernel makes none of this process.
fn core_dumps() -> Fact {
    let limits = text_of(Path::new("/proc/self/limits"));
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
    let limit = limit.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned();
    let closed = dumpable_behavior().is_ok_and(|how| how != DumpableBehavior::Dumpable);
    Fact::new(Guard::CoreDumps, limit == "0" || closed, format!("limit {limit}, dumpable {}", !closed))
}

/// Whether the system's files are mounted so that nobody writes them here.
fn system_read_only() -> Fact {
    let mounts = text_of(Path::new("/proc/self/mounts"));
    let of = |line: &str| {
        let mut fields = line.split(' ');
        let place = fields.nth(1)?.to_owned();
        let options = fields.nth(1)?;
        matches!(place.as_str(), "/" | "/usr").then(|| (place, options.split(',').any(|o| o == "ro")))
    };
    // The mount that was made last lies on top.
    let all: Vec<(String, bool)> = mounts.lines().filter_map(of).collect();
    let top = |name: &str| all.iter().rev().find(|(place, _)| place == name);
    match top("/usr").or_else(|| top("/")) {
        Some((place, read_only)) => {
            let word = if *read_only { "read-only" } else { "writable" };
            Fact::new(Guard::SystemReadOnly, *read_only, format!("{place} is {word}"))
        }
        None => Fact::new(Guard::SystemReadOnly, false, "no mount of / or /usr is seen"),
    }
}

/// The beginning of a text file; empty where there is none.
fn text_of(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(TEXT_MAX).read_to_end(&mut bytes));
    read.map_or_else(|_| String::new(), |_| String::from_utf8_lossy(&bytes).into_owned())
}

/// USB devices by ids and product; no serial numbers.
fn usb() -> String {
    let found = std::fs::read_dir("/sys/bus/usb/devices").into_iter().flatten().flatten();
    let named = found.filter_map(|entry| {
        let field = |name: &str| text_of(&entry.path().join(name)).trim().to_owned();
        let (vendor, product) = (field("idVendor"), field("idProduct"));
        (!vendor.is_empty())
            .then(|| format!("{vendor}:{product} {} {}\n", field("manufacturer"), field("product")))
    });
    let mut all: Vec<String> = named.take(USB_MAX).collect();
    all.sort();
    all.concat()
}

impl Surveyor for MachineSurveyor {
    fn disk(&self) -> DiskSeen {
        let free = statvfs(&self.state_dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
        DiskSeen { free_bytes: free, written: probe(&self.state_dir).map_err(|error| error.to_string()) }
    }

    fn security(&self) -> Vec<Fact> {
        let uid = geteuid().as_raw();
        let mut all = vec![
            Fact::new(Guard::User, uid != 0, format!("uid {uid}")),
            self.state_directory(),
            self.storage_key(),
            self.configuration(),
            core_dumps(),
            system_read_only(),
        ];
        all.extend(sandbox(&text_of(Path::new("/proc/self/status"))));
        all
    }

    fn machine(&self) -> Vec<(String, String)> {
        let file = |name: &str, path: &str| (name.to_owned(), text_of(Path::new(path)));
        let disk = self.disk();
        let written = disk.written.err().unwrap_or_else(|| "writable".to_owned());
        let space = format!("{} MiB free, {written}\n", disk.free_bytes >> 20);
        vec![
            file("os-release", "/etc/os-release"),
            file("kernel", "/proc/version"),
            file("uptime", "/proc/uptime"),
            file("load", "/proc/loadavg"),
            file("memory", "/proc/meminfo"),
            ("usb".to_owned(), usb()),
            ("disk".to_owned(), space),
        ]
    }
}

/// Writes, syncs and removes a file. One that an interrupted look has left is written over.
fn probe(dir: &Path) -> io::Result<()> {
    let path = dir.join("probe");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let written = file.write_all(&PROBE).and_then(|()| file.sync_all());
    written.and(std::fs::remove_file(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn looking_at(dir: &Path) -> MachineSurveyor {
        MachineSurveyor::new(dir, &dir.join("posd.toml"), None)
    }

    fn is_met(facts: &[Fact], guard: Guard) -> bool {
        facts.iter().find(|fact| fact.guard == guard).unwrap().ok
    }

    /// Goal: what others can read or write is found.
    #[test]
    fn modes_are_judged() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("posd.toml");
        std::fs::write(&config, "").unwrap();
        let set = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        for (of_dir, of_config, good) in [(0o700, 0o644, true), (0o755, 0o664, false), (0o710, 0o646, false)]
        {
            set(dir.path(), of_dir);
            set(&config, of_config);
            let facts = looking_at(dir.path()).security();
            assert_eq!(is_met(&facts, Guard::StateDirectory), good, "{facts:?}");
            assert_eq!(is_met(&facts, Guard::Configuration), good, "{facts:?}");
            assert!(!is_met(&facts, Guard::StorageKey), "no credential");
        }
    }

    /// Goal: the kernel's words on the sandbox are read as they are written.
    #[test]
    fn the_kernels_words_are_read() {
        let good =
            "Name:\tposd\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t9\n";
        assert!(sandbox(good).iter().all(|fact| fact.ok), "{:?}", sandbox(good));
        let bad = good.replace("\t1", "\t0").replace("\t2", "\t0").replace("00\n", "01\n");
        assert!(sandbox(&bad).iter().all(|fact| !fact.ok), "{:?}", sandbox(&bad));
        assert!(sandbox("").iter().all(|fact| !fact.ok));
    }

    /// Goal: a directory that takes a file is told from one that does not, and nothing is left in it.
    #[test]
    fn a_directory_that_takes_no_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let seen = looking_at(dir.path()).disk();
        assert!(seen.written.is_ok() && seen.free_bytes > 0, "{seen:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let seen = looking_at(&dir.path().join("gone")).disk();
        assert!(seen.written.is_err(), "{seen:?}");
    }
}

//! What Linux tells under `/proc` about the machine and about the daemon: read, not judged.
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// Length of one tick in `/proc/PID/stat`: USER_HZ is 100 on every architecture that Linux has today. proc(5).
const TICK: Duration = Duration::from_millis(10);

/// CPU time of a process and of its threads, those that have ended too, in whole ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    /// In its own code.
    pub(super) user: Duration,
    /// In the kernel for it.
    pub(super) system: Duration,
}

impl Cpu {
    /// Up to now.
    pub(super) fn of(process: u32) -> Result<Self, Error> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        Self::parse(&text).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// Fields 14 and 15. The name, field 2, may hold anything, so counting begins behind its last bracket.
    fn parse(text: &str) -> Option<Self> {
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut time = || fields.next()?.parse().ok().and_then(|ticks| TICK.checked_mul(ticks));
        Some(Self { user: time()?, system: time()? })
    }

    /// The whole.
    pub(super) const fn both(self) -> Duration {
        self.user.saturating_add(self.system)
    }

    /// What was used since an earlier reading.
    pub(super) fn since(self, earlier: Self) -> Self {
        let less = |now: Duration, then| now.saturating_sub(then);
        Self { user: less(self.user, earlier.user), system: less(self.system, earlier.system) }
    }
}

/// Memory of a process in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident now: VmRSS.
    pub(super) resident: u64,
    /// Of that, pages that belong to no file: RssAnon.
    pub(super) anonymous: u64,
    /// The most that was ever resident: VmHWM.
    pub(super) peak: u64,
}

impl Memory {
    /// As it is now.
    pub(super) fn of(process: u32) -> Result<Self, Error> {
        let text = fs::read_to_string(format!("/proc/{process}/status"))?;
        let value = |name| {
            let value = field(&text, name).and_then(|value| value.split(' ').next()?.parse().ok());
            value.ok_or_else(|| Error::other(format!("/proc/{process}/status has no {name}")))
        };
        Ok(Self { resident: value("VmRSS")?, anonymous: value("RssAnon")?, peak: value("VmHWM")? })
    }
}

/// How often the threads of a process have gone to sleep, and so were woken: voluntary context switches. Threads that
/// have ended do not count.
pub(super) fn wakings(process: u32) -> Result<u64, Error> {
    let mut sum = 0_u64;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let text = fs::read_to_string(thread?.path().join("status"))?;
        let count = field(&text, "voluntary_ctxt_switches").and_then(|count| count.parse::<u64>().ok());
        sum = sum.saturating_add(count.unwrap_or_default());
    }
    Ok(sum)
}

/// The value behind `NAME:` at the start of a line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim())
    };
    text.lines().find_map(value)
}

/// The machine in a few words: processor, cores, kernel.
pub(super) fn description() -> String {
    let cpuinfo = read("/proc/cpuinfo");
    // arm has no model name there; the architecture has to do.
    let model = field(&cpuinfo, "model name").unwrap_or(std::env::consts::ARCH);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Type of the file system that holds this folder.
pub(super) fn file_system(folder: &Path) -> Result<String, Error> {
    let folder = fs::canonicalize(folder)?;
    Ok(file_system_of(&folder, &read("/proc/self/mountinfo")).unwrap_or_else(|| "unknown".to_owned()))
}

/// The deepest mount point above it; the last of several on the same point hides the others. proc(5).
fn file_system_of(folder: &Path, mounts: &str) -> Option<String> {
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let point = Path::new(place.split(' ').nth(4)?).to_path_buf();
        folder
            .starts_with(&point)
            .then(|| (point.components().count(), kind.split(' ').next().map(str::to_owned)))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth)?.1
}

/// Load average over 1, 5 and 15 minutes.
pub(super) fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// A file of the kernel; what is not there is empty.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process may call itself anything.
    #[test]
    fn times_are_found_behind_any_name() {
        let text = "7 (a) 1 (b) S 1 7 7 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 9 0 1 2 3";
        let cpu = Cpu::parse(text).unwrap();
        assert_eq!(cpu.user, Duration::from_millis(1500));
        assert_eq!(cpu.system, Duration::from_millis(250));
        assert_eq!(Cpu::parse("7 (posd) S 1"), None);
    }

    #[test]
    fn the_deepest_mount_counts() {
        let mounts =
            "21 1 254:0 / / rw - ext4 /dev/vda rw\n30 21 0:20 / /tmp rw,nosuid shared:3 - tmpfs tmpfs rw";
        assert_eq!(file_system_of(Path::new("/tmp/x"), mounts).as_deref(), Some("tmpfs"));
        assert_eq!(file_system_of(Path::new("/tmpx"), mounts).as_deref(), Some("ext4"));
        assert_eq!(file_system_of(Path::new("/x"), ""), None);
    }

    /// Of this very process, whose memory is known to be there.
    #[test]
    fn memory_is_read() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.resident > 0 && memory.peak >= memory.resident && memory.anonymous < memory.resident);
    }
}

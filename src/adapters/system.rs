//! The machine itself: clocks, time zone, chance, the update lock, and the two secrets that come from
//! outside.
//!
//! It never sets the system clock, and it does not know what the secrets are used for.
use crate::domain::calendar::{BootTime, LocalTime, WallTime};
use crate::domain::secret::{SecretError, key_from_hex};
use crate::ports::System;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Longest secret file that is read, bytes.
const SECRET_FILE_MAX: u64 = 256;
/// Longest group file that is read, bytes.
const GROUP_FILE_MAX: u64 = 1024 * 1024;

/// Why the machine did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// A file could not be read or made.
    #[error("{what} {path}: {cause}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A secret has the wrong form. Its value is never quoted.
    #[error("{path}: {cause}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: SecretError,
    },
    /// The kernel gave no random bytes.
    #[error("no random bytes from the kernel: {0}")]
    NoChance(String),
}

fn file_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SystemError {
    let path = path.to_owned();
    move |cause| SystemError::File { what, path, cause }
}

/// The machine's wall clock, without the offset taken at sign-on. Before 1970 it is 0.
#[must_use]
pub fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// CLOCK_BOOTTIME: goes on while the machine sleeps and never jumps.
#[must_use]
pub fn boot_now() -> BootTime {
    let now = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    BootTime(seconds.saturating_mul(1_000_000).saturating_add(nanos / 1_000))
}

/// Fresh random bytes of the kernel.
///
/// # Errors
/// [`SystemError::NoChance`]; on Linux only before the pool is ready in early boot.
pub fn random<const N: usize>() -> Result<[u8; N], SystemError> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).map_err(|e| SystemError::NoChance(e.to_string()))?;
    Ok(bytes)
}

/// The shop's time zone.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// The shop lives in this one.
    #[must_use]
    pub const fn new(zone: TimeZone) -> Self {
        Self(zone)
    }

    /// The local time of a wall time. Beyond the year 9999 it stands still.
    #[must_use]
    pub fn local(&self, at: WallTime) -> LocalTime {
        let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
        let stamp = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
        let zoned: Zoned = stamp.to_zoned(self.0.clone());
        let small = |value: i8| u8::try_from(value).unwrap_or(0);
        LocalTime {
            year: u16::try_from(zoned.year()).unwrap_or(0),
            month: small(zoned.month()),
            day: small(zoned.day()),
            hour: small(zoned.hour()),
            minute: small(zoned.minute()),
            second: small(zoned.second()),
        }
    }

    /// The wall time of a local time, such as the host's DE 12 and 13. A time that a clock change skips or
    /// repeats is read with the offset before the change. `None` if there is no such day or hour.
    #[must_use]
    pub fn wall(&self, local: LocalTime) -> Option<WallTime> {
        let small = |value: u8| i8::try_from(value).ok();
        // A leap second is the second before it: the wall clock has no name for it.
        let date_time = DateTime::new(
            i16::try_from(local.year).ok()?,
            small(local.month)?,
            small(local.day)?,
            small(local.hour)?,
            small(local.minute)?,
            small(local.second.min(59))?,
            0,
        )
        .ok()?;
        let zoned = self.0.to_ambiguous_zoned(date_time).compatible().ok()?;
        u64::try_from(zoned.timestamp().as_microsecond()).ok().map(WallTime)
    }
}

/// The file that image updaters look at: its lock is held while an update would hurt.
#[derive(Debug)]
pub struct BusyLock {
    file: File,
    path: PathBuf,
    held: bool,
}

impl BusyLock {
    /// Makes `busy.lock` in the runtime directory, and the directory where it is missing. Not yet held.
    ///
    /// # Errors
    /// [`SystemError::File`].
    pub fn in_dir(runtime_dir: &Path) -> Result<Self, SystemError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(runtime_dir)
            .map_err(file_error("cannot make", runtime_dir))?;
        let path = runtime_dir.join("busy.lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(&path)
            .map_err(file_error("cannot make", &path))?;
        Ok(Self { file, path, held: false })
    }

    /// Takes the lock (`busy`) or gives it back. Never waits. True if the lock now is as wanted: an updater
    /// may hold it.
    ///
    /// # Errors
    /// [`SystemError::File`].
    pub fn set(&mut self, busy: bool) -> Result<bool, SystemError> {
        if busy == self.held {
            return Ok(true);
        }
        let operation = if busy { FlockOperation::NonBlockingLockExclusive } else { FlockOperation::Unlock };
        match flock(&self.file, operation) {
            Ok(()) => {
                self.held = busy;
                Ok(true)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(file_error("cannot lock", &self.path)(e.into())),
        }
    }
}

/// The machine as the engine sees it: clocks, chance, watchdog, the two files for updaters.
#[derive(Debug)]
pub struct Machine {
    zone: Zone,
    lock: Option<BusyLock>,
    /// Whoever makes this file wants a restart.
    restart_wish: PathBuf,
    watchdog: Option<Duration>,
    last_alive: BootTime,
    /// Signs of life on their way to the service manager.
    signs: Option<SyncSender<()>>,
}

impl Machine {
    /// Puts it together. `watchdog` is the interval the service manager wants; half of it is kept. Without a lock file
    /// (no runtime directory) updaters read `SafeToUpdate` on the bus only. A wish for a restart that is older than
    /// this process is fulfilled.
    #[must_use]
    pub fn new(zone: Zone, runtime_dir: &Path, lock: Option<BusyLock>, watchdog: Option<Duration>) -> Self {
        let signs = watchdog.and_then(|_| start_messenger());
        let mut machine = Self {
            zone,
            lock,
            restart_wish: runtime_dir.join("restart"),
            watchdog: watchdog.map(|every| every / 2),
            last_alive: BootTime::default(),
            signs,
        };
        machine.take_restart_wish();
        machine
    }
}

/// The thread that tells the service manager. It may block when nobody reads there; the engine, whose signs of life it
/// carries, must not.
fn start_messenger() -> Option<SyncSender<()>> {
    let (signs, heard) = sync_channel(1);
    let carry = move || {
        while heard.recv().is_ok() {
            if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]) {
                tracing::warn!(%error, "the service manager does not hear us");
            }
        }
    };
    let started = std::thread::Builder::new().name("posd-watchdog".to_owned()).spawn(carry);
    started.inspect_err(|error| tracing::error!(%error, "no thread for the watchdog")).ok().map(|_| signs)
}

impl System for Machine {
    fn wall(&self) -> WallTime {
        wall_now()
    }

    fn boot(&self) -> BootTime {
        boot_now()
    }

    fn local(&self, wall: WallTime) -> LocalTime {
        self.zone.local(wall)
    }

    fn wall_of(&self, local: LocalTime) -> Option<WallTime> {
        self.zone.wall(local)
    }

    fn random(&mut self, bytes: &mut [u8]) {
        // The kernel's pool is ready long before a payment terminal is: this fails on no machine that booted.
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "no random bytes from the kernel");
            std::process::abort(); // a predictable number would be worse than a restart
        }
    }

    fn alive(&mut self) {
        let now = boot_now();
        let due = self.watchdog.is_some_and(|every| now.since(self.last_alive) >= every);
        if due {
            self.last_alive = now;
            // A full queue means that one is on its way already.
            let _waiting = self.signs.as_ref().is_some_and(|signs| signs.try_send(()).is_err());
        }
    }

    fn alive_every(&self) -> Option<Duration> {
        self.watchdog
    }

    fn hold_busy_lock(&mut self, busy: bool) {
        match self.lock.as_mut().map(|lock| lock.set(busy)) {
            Some(Ok(true)) | None => {}
            Some(Ok(false)) => tracing::warn!("an updater holds busy.lock"),
            Some(Err(error)) => tracing::warn!(%error, "busy.lock"),
        }
    }

    fn take_restart_wish(&mut self) -> bool {
        match std::fs::remove_file(&self.restart_wish) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            // One that cannot be taken away would be a wish for ever.
            Err(error) => {
                tracing::warn!(%error, "the wish for a restart cannot be taken; restart by hand");
                false
            }
        }
    }
}

/// The number of a group of this system; `None` where there is no such group, or no readable `/etc/group`. Groups that
/// come from a directory service are not seen: the package makes these two locally.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    let file = File::open("/etc/group").ok()?;
    let mut text = String::new();
    file.take(GROUP_FILE_MAX).read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1).and_then(|number| number.parse().ok())).flatten()
    })
}

/// The key that seals card data at rest: the credential `storage-key` where there is one, else the file of
/// that name in the state directory. A first start makes it there, mode 0600, and it is on the disk when this
/// returns.
pub fn storage_key(
    credentials_dir: Option<&Path>,
    state_dir: &Path,
) -> Result<Zeroizing<[u8; 32]>, SystemError> {
    let path = state_dir.join("storage-key");
    let credential = credentials_dir.map(|dir| dir.join("storage-key"));
    for place in credential.iter().chain([&path]) {
        if let Some(key) = secret::<32>(place, "storage key")? {
            return Ok(key);
        }
    }
    let key = Zeroizing::new(random::<32>()?);
    make_secret(state_dir, &path, key.as_slice()).map_err(file_error("cannot make", &path))?;
    Ok(key)
}

/// The terminal master key from the credential `tmk`, 32 hex digits; `None` where there is no such
/// credential.
///
/// # Errors
/// [`SystemError::File`], [`SystemError::Secret`].
pub fn master_key(credentials_dir: Option<&Path>) -> Result<Option<Zeroizing<[u8; 16]>>, SystemError> {
    match credentials_dir {
        Some(dir) => secret::<16>(&dir.join("tmk"), "master key"),
        None => Ok(None),
    }
}

/// Reads a secret in hex; `None` if there is no such file.
fn secret<const N: usize>(
    path: &Path,
    what: &'static str,
) -> Result<Option<Zeroizing<[u8; N]>>, SystemError> {
    // Large enough from the start, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(512));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(file_error("cannot read", path)(e)),
    };
    file.take(SECRET_FILE_MAX).read_to_string(&mut text).map_err(file_error("cannot read", path))?;
    match key_from_hex::<N>(what, &text) {
        Ok(key) => Ok(Some(Zeroizing::new(key))),
        Err(cause) => Err(SystemError::Secret { path: path.to_owned(), cause }),
    }
}

/// Writes a new secret beside its place, then links it there: a power cut leaves the whole file or none, and
/// a file that came meanwhile is not overwritten.
fn make_secret(dir: &Path, path: &Path, key: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut text = Zeroizing::new(String::with_capacity(key.len().saturating_mul(2).saturating_add(1)));
    for byte in key {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::hard_link(&beside, path)?;
    std::fs::remove_file(&beside)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const LOCAL: LocalTime = LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7 };

    /// 2026-11-22T01:05:07Z is 09:05:07 in Shanghai.
    #[test]
    fn local_time_is_the_shops() {
        let shanghai = Zone::new(TimeZone::get("Asia/Shanghai").unwrap());
        let wall = WallTime(1_795_309_507_000_000);
        assert_eq!(shanghai.local(wall), LOCAL);
        assert_eq!(shanghai.wall(LOCAL), Some(wall));
        assert!(shanghai.local(WallTime(u64::MAX)).year >= 9999);
    }

    /// Clocks in Berlin skip 02:30 on 29 March 2026 and repeat it on 25 October.
    #[test]
    fn clock_changes_and_impossible_days_have_an_answer() {
        let berlin = Zone::new(TimeZone::get("Europe/Berlin").unwrap());
        let at = |month, day| LocalTime { year: 2026, month, day, hour: 2, minute: 30, second: 0 };
        assert_eq!(berlin.wall(at(3, 29)), Some(WallTime(1_774_747_800_000_000)));
        assert_eq!(berlin.wall(at(10, 25)), Some(WallTime(1_792_888_200_000_000)));
        assert_eq!(berlin.wall(at(2, 30)), None);
        assert_eq!(berlin.wall(LocalTime { month: 0, ..LOCAL }), None);
        assert_eq!(
            berlin.wall(LocalTime { second: 60, ..LOCAL }),
            berlin.wall(LocalTime { second: 59, ..LOCAL })
        );
    }

    #[test]
    fn the_clocks_run() {
        let (wall, boot) = (wall_now(), boot_now());
        assert!(wall.0 > 1_700_000_000_000_000 && boot.0 > 0);
        assert!(boot_now() >= boot);
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }

    /// An updater sees the lock while posd is busy, and posd sees the updater's.
    #[test]
    fn the_busy_lock_excludes_updaters() {
        let dir = TempDir::new().unwrap();
        let run = dir.path().join("run");
        let (mut ours, mut updater) = (BusyLock::in_dir(&run).unwrap(), BusyLock::in_dir(&run).unwrap());
        assert!(ours.set(true).unwrap() && ours.set(true).unwrap());
        assert!(!updater.set(true).unwrap());
        assert!(ours.set(false).unwrap());
        assert!(updater.set(true).unwrap());
        assert!(!ours.set(true).unwrap());
    }

    #[test]
    fn a_storage_key_is_made_once_and_kept_private() {
        let dir = TempDir::new().unwrap();
        let state = dir.path().join("state");
        let key = storage_key(None, &state).unwrap();
        assert_eq!(storage_key(None, &state).unwrap(), key);
        let path = state.join("storage-key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim().len(), 64);
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1);
        std::fs::write(&path, "damaged").unwrap();
        let error = storage_key(None, &state).unwrap_err().to_string();
        assert!(error.contains("storage-key") && !error.contains("damaged"), "{error}");
    }

    #[test]
    fn credentials_come_first() {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("storage-key"), "ab".repeat(32)).unwrap();
        let state = dir.path().join("state");
        assert_eq!(*storage_key(Some(dir.path()), &state).unwrap(), [0xab; 32]);
        assert!(!state.exists());
        assert_eq!(master_key(Some(dir.path())).unwrap(), None);
        assert_eq!(master_key(None).unwrap(), None);
        std::fs::write(dir.path().join("tmk"), "0123456789abcdeffedcba9876543210\n").unwrap();
        assert_eq!(master_key(Some(dir.path())).unwrap().unwrap()[..2], [0x01, 0x23]);
        std::fs::write(dir.path().join("tmk"), "0123").unwrap();
        assert!(master_key(Some(dir.path())).is_err());
    }
}

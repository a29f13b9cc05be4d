//! Carries copies of the journal between a caller's file descriptor and a file of the daemon's own.
//!
//! Descriptors are regular files or pipes; the api has checked it. A pipe is waited for with poll, never longer than
//! the deadline, so a caller who stops reading or writing holds one thread for ten minutes and nothing else.
use crate::ports::{Courier, CourierError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat, statvfs};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a whole copy may take on its way.
const DEADLINE: Duration = Duration::from_secs(600);
/// Largest copy taken: more than ten years of a busy till.
const SIZE_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Bytes moved at a time.
const CHUNK: usize = 256 * 1024;
/// Free bytes that an incoming copy leaves for the journal.
const MARGIN: u64 = 16 * 1024 * 1024;
/// How files of the daemon's own begin.
const PREFIX: &str = "copy.";

/// The courier of one state directory.
pub struct FileCourier {
    dir: PathBuf,
    last: AtomicU64,
}

impl FileCourier {
    /// Uses this directory, and removes what an earlier process has left there.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        let left = std::fs::read_dir(dir).into_iter().flatten().flatten();
        for file in left.filter(|file| file.file_name().to_string_lossy().starts_with(PREFIX)) {
            remove(&file.path());
        }
        Self { dir: dir.to_owned(), last: AtomicU64::new(0) }
    }
}

impl Courier for FileCourier {
    fn place(&self) -> PathBuf {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("{PREFIX}{number}"))
    }

    fn receive(&self, from: OwnedFd, to: &Path) -> Result<(), CourierError> {
        take(from, to).inspect_err(|_| remove(to))
    }

    fn deliver(&self, from: &Path, to: OwnedFd) -> Result<(), CourierError> {
        let mut file = File::open(from)?;
        let mut target = Caller::new(to)?;
        let mut chunk = vec![0_u8; CHUNK];
        loop {
            let read = file.read(&mut chunk)?;
            let Some(mut part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
            while !part.is_empty() {
                let written = target.when_ready(PollFlags::OUT, |file| file.write(part))?;
                part = part.get(written..).unwrap_or_default();
            }
        }
        // A pipe cannot be synced; its reader answers for the bytes.
        if target.pipe { Ok(()) } else { Ok(target.file.sync_all()?) }
    }

    fn put(&self, bytes: &[u8], to: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        file.write_all(bytes).inspect_err(|_| remove(to))
    }

    fn remove(&self, path: &Path) {
        remove(path);
    }
}

fn take(from: OwnedFd, to: &Path) -> Result<(), CourierError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut source = Caller::new(from)?;
    let (mut chunk, mut bytes) = (vec![0_u8; CHUNK], 0_u64);
    loop {
        let read = source.when_ready(PollFlags::IN, |file| file.read(&mut chunk))?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        bytes = bytes.saturating_add(part.len() as u64);
        if bytes > SIZE_MAX {
            return Err(CourierError::TooLarge(SIZE_MAX));
        }
        let room = statvfs(to.parent().unwrap_or(to)).map_err(io::Error::from)?;
        if room.f_bavail.saturating_mul(room.f_frsize) < MARGIN {
            return Err(CourierError::NoRoom);
        }
        file.write_all(part)?;
    }
    Ok(file.sync_all()?)
}

/// The caller's end.
struct Caller {
    file: File,
    pipe: bool,
    until: Instant,
}

impl Caller {
    #[allow(clippy::disallowed_methods, reason = "an adapter; the deadline of a thread of its own")]
    fn new(fd: OwnedFd) -> Result<Self, CourierError> {
        let pipe = FileType::from_raw_mode(fstat(&fd).map_err(io::Error::from)?.st_mode) == FileType::Fifo;
        if pipe {
            // The caller holds the other descriptors of this pipe and may use it too: then a call after poll would
            // block.
            let flags = fcntl_getfl(&fd).map_err(io::Error::from)?;
            fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(io::Error::from)?;
        }
        Ok(Self { file: File::from(fd), pipe, until: Instant::now() + DEADLINE })
    }

    /// Waits until the caller's end can be used, and uses it.
    #[allow(clippy::disallowed_methods, reason = "an adapter; the deadline of a thread of its own")]
    fn when_ready(
        &mut self,
        wanted: PollFlags,
        mut act: impl FnMut(&mut File) -> io::Result<usize>,
    ) -> Result<usize, CourierError> {
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CourierError::TooSlow);
            }
            if self.pipe && !wait(&self.file, wanted, left)? {
                return Err(CourierError::TooSlow);
            }
            match act(&mut self.file) {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                done => return Ok(done?),
            }
        }
    }
}

/// True if it became ready before the time was up.
fn wait(fd: &impl AsFd, wanted: PollFlags, left: Duration) -> Result<bool, CourierError> {
    let mut fds = [PollFd::new(fd, wanted)];
    let left = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    match poll(&mut fds, Some(&left)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

fn remove(path: &Path) {
    // Not there, or not to be had: the next start tries again.
    drop(std::fs::remove_file(path));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes through a pipe or a file comes out the same, in a file that nobody else reads.
    #[test]
    fn bytes_come_and_go_unchanged() {
        let dir = tempfile::TempDir::new().unwrap();
        let courier = FileCourier::new(dir.path());
        let bytes: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[n as usize % 4]).collect();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let sent = bytes.clone();
        let feeding = std::thread::Builder::new().spawn(move || File::from(writer).write_all(&sent)).unwrap();
        let place = courier.place();
        courier.receive(reader, &place).unwrap();
        feeding.join().unwrap().unwrap();
        assert!(std::fs::read(&place).unwrap() == bytes);
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let reading = std::thread::Builder::new()
            .spawn(move || {
                let mut all = Vec::new();
                File::from(reader).read_to_end(&mut all).map(|_| all)
            })
            .unwrap();
        courier.deliver(&place, writer).unwrap();
        assert!(reading.join().unwrap().unwrap() == bytes);
        let out = dir.path().join("out");
        courier.deliver(&place, File::create(&out).unwrap().into()).unwrap();
        assert!(std::fs::read(&out).unwrap() == bytes);
        assert_ne!(courier.place(), place);
    }

    /// What an interrupted process has left is removed at the next start, and a caller who goes away is an error.
    #[test]
    fn nothing_is_left_behind() {
        let dir = tempfile::TempDir::new().unwrap();
        std::fs::write(dir.path().join("copy.7"), "left").unwrap();
        let courier = FileCourier::new(dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let place = courier.place();
        std::fs::write(&place, "here already").unwrap();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(reader);
        assert!(courier.deliver(&place, writer).is_err(), "nobody reads");
    }
}

//! The files around the journal: its directory and modes, the lock against a second daemon, the ballast.
//!
//! It does not look into the database.
use crate::ports::JournalError;
use rustix::fs::{FlockOperation, flock, statvfs};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Size of the ballast: room for about a hundred commits, enough to make every obligation durable on a full
/// disk.
const BALLAST_BYTES: usize = 1024 * 1024;
/// Free bytes beside the ballast before it is made again, so that it does not fill the disk itself.
const BALLAST_MARGIN: u64 = 4 * 1024 * 1024;

/// The journal's directory, locked for this process.
pub(super) struct JournalDir {
    dir: PathBuf,
    /// Held, never read: the lock ends with the file description, also when the process is killed.
    _lock: File,
}

impl JournalDir {
    /// Makes the directory (0700) where it is missing and locks it.
    pub(super) fn open(dir: &Path) -> Result<Self, JournalError> {
        let named = |what: &str, e: io::Error| JournalError::Fault(format!("{what} {}: {e}", dir.display()));
        if !dir.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| named("cannot make", e))?;
        }
        std::fs::set_permissions(dir, Permissions::from_mode(0o700))
            .map_err(|e| named("cannot close to others", e))?;
        let lock = private_file(&dir.join("journal.lock")).map_err(|e| named("cannot lock", e))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
            if e == rustix::io::Errno::WOULDBLOCK {
                JournalError::Unusable(format!("another posd holds {}", dir.display()))
            } else {
                named("cannot lock", e.into())
            }
        })?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The database.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("journal.db")
    }

    /// Makes an empty database file, readable to nobody else; SQLite gives its write-ahead log the same mode.
    /// The directory is synced, so that a power cut cannot take the file away from under its first commit.
    pub(super) fn make_database(&self) -> io::Result<()> {
        let path = self.database();
        let file = private_file(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    /// Writes the ballast if it is missing and there is room. Its loss is no error: it is a reserve. Random
    /// bytes, because a compressing file system would store zeros in no space at all.
    pub(super) fn make_ballast(&self) {
        let path = self.ballast();
        let whole = std::fs::metadata(&path).is_ok_and(|m| m.len() == BALLAST_BYTES as u64);
        let room = statvfs(&self.dir).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) > BALLAST_MARGIN);
        if whole || !room {
            return;
        }
        let mut bytes = vec![0_u8; BALLAST_BYTES];
        let written = getrandom::fill(&mut bytes).is_ok()
            && private_file(&path).and_then(|mut f| f.write_all(&bytes).and_then(|()| f.sync_all())).is_ok();
        if !written {
            self.drop_ballast();
        }
    }

    /// True if not a block is left for us.
    pub(super) fn is_full(&self) -> bool {
        statvfs(&self.dir).is_ok_and(|s| s.f_bavail == 0)
    }

    /// Gives the ballast's space back to the disk.
    pub(super) fn drop_ballast(&self) {
        // Not there, or not to be had: the next commit tells.
        drop(std::fs::remove_file(self.ballast()));
    }
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

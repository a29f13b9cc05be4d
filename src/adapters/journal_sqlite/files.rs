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

/// Free bytes that a copy leaves on the disk: the shop goes on selling while it is written.
const COPY_MARGIN: u64 = 16 * 1024 * 1024;

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
    /// The directory is synced, so that a power cut cannot take the file away from under its first commit. A file with
    /// something in it has been through that.
    pub(super) fn make_database(&self) -> io::Result<()> {
        let path = self.database();
        let file = private_file(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        if file.metadata()?.len() > 0 {
            return Ok(());
        }
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }

    /// A database that is being made to take the journal's place.
    pub(super) fn next_database(&self) -> PathBuf {
        self.dir.join("journal.db.next")
    }

    /// Removes what an interrupted restore has left.
    pub(super) fn drop_next(&self) {
        for name in ["journal.db.next", "journal.db.next-wal", "journal.db.next-journal"] {
            remove(&self.dir.join(name));
        }
    }

    /// The journal that a restore has replaced; kept until a supervisor has confirmed the list.
    fn replaced_database(&self) -> PathBuf {
        self.dir.join("journal.db.replaced")
    }

    /// Removes the replaced journal: its sealed card data must not outlive its use.
    pub(super) fn drop_replaced(&self) {
        remove(&self.replaced_database());
        remove(&self.replaced_log());
    }

    fn replaced_log(&self) -> PathBuf {
        self.dir.join("journal.db.replaced-wal")
    }

    /// Puts the prepared database in the journal's place. A power cut at any point leaves the old one or the new one:
    /// the old file gets a second name, then one rename replaces it. A log that is left belongs to a journal that could
    /// not be opened; it goes aside first, because it would be read into the new one.
    pub(super) fn put_next(&self) -> io::Result<()> {
        self.drop_replaced();
        let log = self.dir.join("journal.db-wal");
        if log.exists() {
            std::fs::rename(&log, self.replaced_log())?;
        }
        if self.database().exists() {
            std::fs::hard_link(self.database(), self.replaced_database())?;
        }
        File::open(&self.dir)?.sync_all()?;
        std::fs::rename(self.next_database(), self.database())?;
        File::open(&self.dir)?.sync_all()
    }

    /// Readable to nobody else.
    pub(super) fn make_private(&self, path: &Path) -> io::Result<()> {
        std::fs::set_permissions(path, Permissions::from_mode(0o600))
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

/// A file of its own that was not there.
pub(super) fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// True if a file of this size leaves the journal room to grow beside it.
pub(super) fn has_room(path: &Path, bytes: u64) -> bool {
    let folder = path.parent().unwrap_or(path);
    let wanted = bytes.saturating_add(COPY_MARGIN);
    statvfs(folder).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) > wanted)
}

/// Removes a file that may not be there.
pub(super) fn remove(path: &Path) {
    drop(std::fs::remove_file(path));
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

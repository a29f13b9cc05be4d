//! Looks at the machine for people: whether the state directory takes a file.
use crate::ports::{DiskSeen, Surveyor};
use rustix::fs::statvfs;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is written to see whether writing works.
const PROBE: [u8; 4096] = [0x5A; 4096];

/// The surveyor of one machine.
pub struct MachineSurveyor {
    state_dir: PathBuf,
}

impl MachineSurveyor {
    /// Looks at this state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.to_owned() }
    }
}

impl Surveyor for MachineSurveyor {
    fn disk(&self) -> DiskSeen {
        let free = statvfs(&self.state_dir).map_or(0, |s| s.f_bavail.saturating_mul(s.f_frsize));
        DiskSeen { free_bytes: free, written: probe(&self.state_dir).map_err(|error| error.to_string()) }
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

    /// Goal: a directory that takes a file is told from one that does not, and nothing is left in it.
    #[test]
    fn a_directory_that_takes_no_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let seen = MachineSurveyor::new(dir.path()).disk();
        assert!(seen.written.is_ok() && seen.free_bytes > 0, "{seen:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let seen = MachineSurveyor::new(&dir.path().join("gone")).disk();
        assert!(seen.written.is_err(), "{seen:?}");
    }
}

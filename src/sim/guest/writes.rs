//! What a disk was told, write by write, and the disks that a loss of power could have left of it: everything up to a
//! flush that was answered, and of what came after it any part.
//!
//! The log is that of qemu's driver `blklogwrites`, which has the format of Linux's dm-log-writes
//! (`Documentation/admin-guide/device-mapper/log-writes.rst`): a sector with the number of entries, then for each entry
//! a sector that describes it and the data.
use std::fs;
use std::io::{Error, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

const MAGIC: u64 = 0x006A_7366_7773_6872;
/// Bytes of a sector, of the log and of the disk.
const SECTOR: u64 = 512;
/// An entry's flags: what came before is durable.
const FLUSH: u64 = 1;
/// There is no data; the sectors are without content.
const DISCARD: u64 = 4;

/// One entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where it goes, in bytes.
    place: u64,
    /// How much.
    length: u64,
    flags: u64,
    /// Where its data is in the log.
    data: u64,
}

/// How many entries a log has by now; it may be growing.
///
/// # Errors
/// It is no such log.
pub fn so_far(log: &Path) -> Result<u64, Error> {
    let mut head = [0; 24];
    fs::File::open(log)?.read_exact(&mut head)?;
    if number(&head, 0) != MAGIC { Err(ErrorKind::InvalidData.into()) } else { Ok(number(&head, 2)) }
}

/// A log that grows no more.
#[derive(Debug)]
pub struct WriteLog {
    log: fs::File,
    entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads what there is.
    ///
    /// # Errors
    /// It is no such log, or it is cut off.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let count = so_far(path)?;
        let mut log = fs::File::open(path)?;
        let (mut entries, mut at) = (Vec::new(), SECTOR);
        for _ in 0..count {
            let mut head = [0; 32];
            log.seek(SeekFrom::Start(at))?;
            log.read_exact(&mut head)?;
            let bytes = |word| number(&head, word).checked_mul(SECTOR).ok_or(ErrorKind::InvalidData);
            let entry =
                Entry { place: bytes(0)?, length: bytes(1)?, flags: number(&head, 2), data: at + SECTOR };
            at = entry.data + if entry.flags & DISCARD == 0 { entry.length } else { 0 };
            entries.push(entry);
        }
        Ok(Self { log, entries })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries that make everything before them durable.
    #[must_use]
    pub fn flushes(&self) -> Vec<usize> {
        let is_flush = |(_, entry): &(usize, &Entry)| entry.flags & FLUSH != 0;
        self.entries.iter().enumerate().filter(is_flush).map(|(at, _)| at).collect()
    }

    /// Carries out those of these entries that are wanted; how many were left out.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn replay(
        &mut self,
        disk: &mut fs::File,
        entries: Range<usize>,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Result<usize, Error> {
        let mut left_out = 0;
        for entry in self.entries.get(entries).ok_or(ErrorKind::InvalidInput)? {
            if entry.length == 0 || entry.flags & DISCARD != 0 {
                continue;
            }
            if !is_wanted() {
                left_out += 1;
                continue;
            }
            let mut data = vec![0; usize::try_from(entry.length).map_err(Error::other)?];
            self.log.seek(SeekFrom::Start(entry.data))?;
            self.log.read_exact(&mut data)?;
            disk.seek(SeekFrom::Start(entry.place))?;
            disk.write_all(&data)?;
        }
        Ok(left_out)
    }
}

/// The little-endian number at a place of eight bytes; 0 beyond the end.
fn number(bytes: &[u8], place: usize) -> u64 {
    let bytes = bytes.chunks(8).nth(place).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::shop::Folder;

    fn sector(words: &[u64]) -> Vec<u8> {
        let mut sector: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        sector.resize(512, 0);
        sector
    }

    /// Goal: what was flushed is there, and of what came after it only what is wanted; a discard has no data.
    #[test]
    fn a_log_makes_every_disk_that_could_be_left() {
        let folder = Folder::make("posd-writes").unwrap();
        let (log, disk) = (folder.join("log"), folder.join("disk"));
        let parts: [Vec<u8>; 8] = [
            sector(&[MAGIC, 1, 5, 512]),
            sector(&[1, 1, 0, 0]),
            vec![0xAA; 512],
            sector(&[0, 4, DISCARD, 0]),
            sector(&[0, 0, FLUSH, 0]),
            sector(&[2, 1, 0, 0]),
            vec![0xBB; 512],
            sector(&[1, 1, 0, 0]),
        ];
        fs::write(&log, [parts.concat(), vec![0xCC; 512]].concat()).unwrap();
        fs::write(&disk, [0; 2048]).unwrap();
        let mut writes = WriteLog::open(&log).unwrap();
        assert_eq!((so_far(&log).unwrap(), writes.len(), writes.flushes()), (5, 5, vec![2]));
        let mut file = fs::File::options().write(true).open(&disk).unwrap();
        assert_eq!(writes.replay(&mut file, 0..3, || true).unwrap(), 0);
        let mut turn = false;
        let every_other = || {
            turn = !turn;
            turn
        };
        assert_eq!(writes.replay(&mut file, 3..5, every_other).unwrap(), 1, "the last write is lost");
        let left = fs::read(&disk).unwrap();
        let sectors: Vec<u8> = left.chunks(512).map(|sector| sector[0]).collect();
        assert_eq!(sectors, [0, 0xAA, 0xBB, 0]);
        assert!(so_far(&disk).is_err(), "a disk is no log");
        fs::write(&log, sector(&[MAGIC, 1, 2, 512])).unwrap();
        assert!(WriteLog::open(&log).is_err(), "a log that is cut off");
    }
}

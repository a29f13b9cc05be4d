//! Whether a font file is one and is whole, by its directory: posd starts often and draws seldom, and a font with hanzi
//! has megabytes.
//!
//! OpenType 1.9, "Organization of an OpenType font": a collection (`ttcf`) lists the places where fonts begin; a font
//! begins with a version and a list of its tables, each with its place and length in the file.
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// What a font begins with: outlines of TrueType, of PostScript.
const VERSIONS: [u32; 2] = [0x0001_0000, u32::from_be_bytes(*b"OTTO")];
const COLLECTION: u32 = u32::from_be_bytes(*b"ttcf");
/// Tables that glyphs cannot be drawn without.
const NEEDED: [&[u8; 4]; 4] = [b"cmap", b"head", b"hhea", b"maxp"];
/// Bytes before the list of tables, and of each of its entries.
const HEAD: usize = 12;
const ENTRY: usize = 16;

/// True if this face of the file is there with all of its tables.
pub(super) fn is_whole(path: &Path, face: u32) -> bool {
    tables(path, face).is_some_and(|tables| NEEDED.iter().all(|needed| tables.contains(*needed)))
}

/// The names of the tables of a face; `None`: it is no font, or a table lies beyond the end of the file.
fn tables(path: &Path, face: u32) -> Option<Vec<[u8; 4]>> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut start = 0;
    if number(&read(&mut file, 0, 4)?, 0)? == COLLECTION {
        let place = u64::from(face).checked_mul(4)?.checked_add(u64::try_from(HEAD).ok()?)?;
        start = u64::from(number(&read(&mut file, place, 4)?, 0)?);
    }
    let head = read(&mut file, start, HEAD)?;
    if !VERSIONS.contains(&number(&head, 0)?) {
        return None;
    }
    let count = usize::from(u16::from_be_bytes(head.get(4..6)?.try_into().ok()?));
    let list = read(&mut file, start.checked_add(u64::try_from(HEAD).ok()?)?, count.checked_mul(ENTRY)?)?;
    list.chunks_exact(ENTRY)
        .map(|entry| {
            let end = u64::from(number(entry, 8)?).checked_add(u64::from(number(entry, 12)?))?;
            (end <= length).then_some(entry.get(..4)?.try_into().ok()?)
        })
        .collect()
}

fn read(file: &mut File, place: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; count];
    file.seek(SeekFrom::Start(place)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A font with these tables, behind `before`.
    fn font(before: &[u8], tables: &[[u8; 4]], length_of_each: u32) -> Vec<u8> {
        let mut bytes = before.to_vec();
        bytes.extend(0x0001_0000_u32.to_be_bytes());
        bytes.extend(u16::try_from(tables.len()).unwrap().to_be_bytes());
        bytes.extend([0; 6]);
        let place = u32::try_from(bytes.len() + tables.len() * ENTRY).unwrap();
        for name in tables {
            bytes.extend(name);
            bytes.extend([0; 4]);
            bytes.extend(place.to_be_bytes());
            bytes.extend(length_of_each.to_be_bytes());
        }
        bytes.extend([7; 10]);
        bytes
    }

    /// Goal: a font alone or in a collection is known; one that is cut off, lacks a table, or is none is refused.
    #[test]
    fn only_whole_fonts_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("font");
        let whole = |bytes: &[u8], face| {
            std::fs::write(&path, bytes).unwrap();
            is_whole(&path, face)
        };
        let all = [*b"cmap", *b"glyf", *b"head", *b"hhea", *b"maxp"];
        assert!(whole(&font(&[], &all, 10), 0));
        assert!(!whole(&font(&[], &all, 11), 0), "a table beyond the end");
        assert!(!whole(&font(&[], &all[..4], 10), 0), "a table is missing");
        let bytes = font(&[], &all, 10);
        for length in 0..bytes.len() {
            assert!(!whole(&bytes[..length], 0), "cut off at {length}");
        }
        let list = [&b"ttcf"[..], &[0, 1, 0, 0], &[0, 0, 0, 2], &[0, 0, 0, 0], &[0, 0, 0, 20]].concat();
        assert!(whole(&font(&list, &all, 10), 1));
        assert!(!whole(&font(&list, &all, 10), 0), "the list itself is no font");
        assert!(!whole(&font(&list, &all, 10), 9000), "no such face");
        assert!(!whole(b"%PDF-1.4 of some length at least", 0));
        assert!(!is_whole(folder.path(), 0), "a folder");
    }
}

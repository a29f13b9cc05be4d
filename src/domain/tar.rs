//! A tar archive of plain files, in the form of POSIX.1-1988 (ustar), which every tar reads.

/// Bytes of a block.
const BLOCK: usize = 512;

/// The archive: files by name, in this order, all of one time (s since 1970). Names have at most 100 bytes; what is
/// longer is cut.
#[must_use]
pub fn archive(files: &[(String, Vec<u8>)], at_s: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, content) in files {
        out.extend(header(name, content.len(), at_s));
        out.extend(content);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.extend([0; 2 * BLOCK]);
    out
}

fn header(name: &str, size: usize, at_s: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, length: usize, text: &[u8]| {
        let field = block.get_mut(at..at.saturating_add(length)).unwrap_or_default();
        for (place, byte) in field.iter_mut().zip(text) {
            *place = *byte;
        }
    };
    put(0, 100, name.as_bytes());
    put(100, 8, b"0000600\0");
    put(108, 8, b"0000000\0");
    put(116, 8, b"0000000\0");
    put(124, 12, format!("{size:011o}\0").as_bytes());
    put(136, 12, format!("{at_s:011o}\0").as_bytes());
    put(148, 8, b"        ");
    put(156, 1, b"0");
    put(257, 8, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in block.iter_mut().skip(148).zip(sum.bytes()) {
        *place = byte;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the form of the standard: whole blocks, a sum over the header, two empty blocks at the end.
    #[test]
    fn the_archive_has_the_form_of_the_standard() {
        let files = [("a/b.txt".to_owned(), b"hello".to_vec()), ("empty".to_owned(), Vec::new())];
        let all = archive(&files, 1_795_309_507);
        assert_eq!(all.len(), 5 * BLOCK);
        assert_eq!((&all[..8], &all[257..265]), (&b"a/b.txt\0"[..], &b"ustar\x0000"[..]));
        assert_eq!(&all[124..136], b"00000000005\0");
        assert_eq!(&all[512..518], b"hello\0");
        let mut header = all[..BLOCK].to_vec();
        let told = u32::from_str_radix(core::str::from_utf8(&header[148..154]).unwrap(), 8).unwrap();
        header[148..156].fill(b' ');
        assert_eq!(told, header.iter().map(|byte| u32::from(*byte)).sum::<u32>());
        assert!(all[3 * BLOCK..].iter().all(|byte| *byte == 0));
    }
}

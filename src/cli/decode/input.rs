//! What a person pastes: hex in any dress, a dump, raw bytes, or a line of a log with hex somewhere in it.
//!
//! Nothing is decided here: it offers candidates, best first, and the decoder takes the first that it understands.
use crate::cli::args::Input;
use crate::cli::failure::Failure;
use std::io::Read as _;

/// The most bytes of input: four times the largest message in hex.
const INPUT_MAX: usize = 1 << 18;
/// The most candidates of one input.
const CANDIDATES_MAX: usize = 64;
/// Fewest bytes of a run inside other text: shorter ones are numbers, not data.
const RUN_MIN: usize = 4;

/// Bytes that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) bytes: Vec<u8>,
    /// For people: how they were found.
    pub(super) found: String,
    /// True if they stand inside other text, so that they may be something else.
    pub(super) in_text: bool,
}

/// What was given, as it is.
pub(super) fn given(input: &Input) -> Result<Vec<u8>, Failure> {
    let mut bytes = input.hex.join(" ").into_bytes();
    if bytes == b"-" {
        bytes.clear();
        let limit = u64::try_from(INPUT_MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut stdin = std::io::stdin().lock().take(limit);
        stdin.read_to_end(&mut bytes).map_err(|error| Failure::io("stdin cannot be read", &error))?;
    }
    if bytes.len() > INPUT_MAX {
        return Err(Failure::usage(format!("the input is longer than {INPUT_MAX} bytes")));
    }
    Ok(bytes)
}

/// Everything in the input that may be meant, best first; never empty.
pub(super) fn candidates(input: &[u8]) -> Result<Vec<Candidate>, Failure> {
    let plain = |bytes, found: &str| Candidate { bytes, found: found.to_owned(), in_text: false };
    let text = match core::str::from_utf8(input) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\r' | '\n')) => text.trim(),
        _ => return Ok(vec![plain(input.to_vec(), "raw bytes")]),
    };
    if text.is_empty() {
        return Err(Failure::usage("there is nothing to decode"));
    }
    let mut found = Vec::new();
    let clean = undressed(text);
    let all_hex = clean.bytes().all(|c| c.is_ascii_hexdigit());
    if let Some(bytes) = from_hex(&clean) {
        found.push(plain(bytes, "hex"));
    }
    if let Some(bytes) = dump(text) {
        found.push(plain(bytes, "a hex dump"));
    }
    if text.is_ascii() && text.len() >= 20 && text.bytes().take(4).all(|c| c.is_ascii_digit()) {
        found.push(plain(text.as_bytes().to_vec(), "characters"));
    }
    found.extend(runs(text));
    found.truncate(CANDIDATES_MAX);
    if found.is_empty() {
        return Err(Failure::usage(match all_hex {
            true => "the input has an odd number of hex digits",
            false => {
                "no hex digits were found in the input: two for each byte, with blanks, colons or 0x between"
            }
        }));
    }
    Ok(found)
}

/// Without what people and tools put between and before bytes.
fn undressed(text: &str) -> String {
    let text = text.replace("0x", " ").replace("0X", " ").replace("\\x", " ");
    text.chars().filter(|c| !c.is_whitespace() && !matches!(c, ':' | '-' | ',' | ';' | '"' | '\'')).collect()
}

/// Two hex digits make a byte; `None` for anything else, and for nothing.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>()?;
    let (whole, rest) = digits.as_chunks::<2>();
    let complete = rest.is_empty() && !whole.is_empty();
    complete.then(|| whole.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Lines of `xxd`, `hexdump -C` or Wireshark: an offset, then bytes, then characters.
fn dump(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (line, _) = line.split_once('|').unwrap_or((line, ""));
        let (offset, rest) = line.trim_start().split_once([' ', ':', '\t'])?;
        let at = usize::from_str_radix(offset, 16).ok().filter(|_| offset.len() >= 4)?;
        if at != bytes.len() {
            // The last line of `hexdump` is the length alone.
            return None;
        }
        let (rest, _) = rest.trim_start_matches(':').trim().split_once("  ").map_or_else(
            || (rest.trim_start_matches(':').trim(), ""),
            // hexdump has a gap in the middle; xxd has it before the characters.
            |(first, second)| {
                if second.starts_with(|c: char| c.is_ascii_hexdigit()) && at_gap(first) {
                    (rest.trim_start_matches(':').trim(), "")
                } else {
                    (first, second)
                }
            },
        );
        let words = rest.split_whitespace().take_while(|word| matches!(word.len(), 2 | 4));
        let line: Vec<u8> = words.map_while(from_hex).flatten().take(16).collect();
        if line.is_empty() {
            return None;
        }
        bytes.extend(line);
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// Eight bytes stand before the gap of `hexdump -C`.
fn at_gap(first: &str) -> bool {
    first.split_whitespace().count() == 8 && first.split_whitespace().all(|word| word.len() == 2)
}

/// Runs of hex inside other text, longest first: words of nothing but hex, and neighbours of such words.
fn runs(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let mut put = |digits: &str, at: usize| {
        if let Some(bytes) = from_hex(digits).filter(|bytes| bytes.len() >= RUN_MIN) {
            found.push(Candidate { bytes, found: format!("hex at character {at}"), in_text: true });
        }
    };
    // Between separators that no hex has inside.
    let pieces = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, ' ' | '\t' | ':' | '-')));
    for piece in pieces {
        let at = place(text, piece);
        let mut joined = String::new();
        for word in piece.split_whitespace() {
            let digits = word.trim_start_matches("0x").replace([':', '-'], "");
            if digits.bytes().all(|c| c.is_ascii_hexdigit()) {
                put(&digits, at.saturating_add(place(piece, word)));
                joined.push_str(&digits);
            } else {
                put(&joined, at);
                joined.clear();
                // `key:value` and `name-value`.
                for part in word.split([':', '-']) {
                    put(part, at.saturating_add(place(piece, part)));
                }
            }
        }
        put(&joined, at);
    }
    found.sort_by_key(|candidate| core::cmp::Reverse(candidate.bytes.len()));
    found.dedup_by(|a, b| a.bytes == b.bytes);
    found
}

/// Where a piece of a text stands in it, in characters from 1.
fn place(text: &str, piece: &str) -> usize {
    let at = (piece.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    text.get(..at).map_or(0, |before| before.chars().count()).saturating_add(1)
}

/// The texts in which a track may stand: the whole without blanks, then words of track characters.
pub(super) fn tracks(input: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(input);
    let whole: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let track = |c: char| c.is_ascii_hexdigit() || matches!(c, '=' | ';' | '?');
    let mut words: Vec<String> = text
        .split(|c: char| !track(c))
        .flat_map(|word| [Some(word), word.split_once('=').map(|(_, value)| value)])
        .flatten()
        .filter(|word| word.len() >= 13)
        .map(str::to_owned)
        .collect();
    words.sort_by_key(|word| core::cmp::Reverse(word.len()));
    words.truncate(CANDIDATES_MAX);
    words.insert(0, whole);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Vec<u8> {
        candidates(text.as_bytes()).unwrap().remove(0).bytes
    }

    /// Goal: hex is read in every dress that people paste.
    #[test]
    fn hex_is_read_in_every_dress() {
        let wanted = [0x9f, 0x02, 0x06, 0xab];
        for text in
            ["9F0206aB", "9F 02\n06aB", "9f:02:06:ab", "0x9F, 0x02, 0x06, 0xAB", "\\x9f\\x02\\x06\\xab"]
        {
            assert_eq!(first(text), wanted, "{text}");
        }
        let xxd = "00000000: 9f02 06ab 3132 3334 3536 3738 3930 3132  ....123456789012\n00000010: 41  A\n";
        let dumped = candidates(xxd.as_bytes()).unwrap();
        assert!(dumped.iter().any(|c| c.bytes.len() == 17 && c.found == "a hex dump"), "{dumped:?}");
        let hexdump = "00000000  9f 02 06 ab 31 32 33 34  35 36 37 38 39 30 31 32  |....123456789012|";
        assert!(candidates(hexdump.as_bytes()).unwrap().iter().any(|c| c.bytes.len() == 16));
    }

    /// Goal: in a log line the longest run comes first; odd digits and plain words are refused by name.
    #[test]
    fn hex_is_found_in_a_log_line() {
        let line = "Nov 25 18:53:17 till posd[812]: line=3 frame=0041600000000060 sent (16 bytes)";
        assert_eq!(first(line), [0, 0x41, 0x60, 0, 0, 0, 0, 0x60]);
        assert_eq!(first("{\"raw\":\"9f0206ab9f\",\"n\":12}"), [0x9f, 2, 6, 0xab, 0x9f]);
        for text in ["9F0", "9G", "", "  ", "hello world"] {
            assert_eq!(
                candidates(text.as_bytes()).unwrap_err().exit,
                crate::cli::failure::Exit::Usage,
                "{text}"
            );
        }
        assert_eq!(candidates(&[0x9f, 0, 1]).unwrap()[0].found, "raw bytes");
    }
}

//! Formats as people write them: `n6`, `z..37 ll`, `ans..999 lll`, `n3 right`.
//!
//! First the kind with its length, as in the tables of ISO 8583; `..` before the length means "at most". Then words,
//! in any order:
//!
//! | word | meaning | where |
//! |---|---|---|
//! | `ll` `lll` | length in packed digits, one and two bytes | behind `..` |
//! | `ll-ascii` `lll-ascii` `llll-ascii` | length in characters | behind `..` |
//! | `bin1` `bin2` | length as a number of one or two bytes | behind `..` |
//! | `ascii` | one character for each digit; without it two digits share a byte | `n` `z` |
//! | `hex` | two hexadecimal characters for each byte | `b` |
//! | `left` `right` | side of the digits if their count is odd; `left` without a word | packed `n` `z` |
//! | `f` | the nibble left over is written as F, not 0 (both are read) | packed `n` `z` |
//! | `spaces` | a shorter value is completed with blanks behind | fixed `an` `ans` |
//! | `zeros` | … with zeros before | fixed `n` `an` `ans` |
//!
//! Kinds: `n` decimal digits, `z` characters of a track, `an` and `ans` characters (the same here: what the bank writes
//! into a text is not judged), `b` bytes (their count, not that of bits).
use super::format::{Encoding, Fill, Filler, Format, Prefix, Side};
use core::fmt;

/// Why a text is no format: the word, and what would have been taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}`: {allowed}")]
pub struct FormatError {
    /// As it was written.
    pub word: String,
    /// What is allowed there.
    pub allowed: &'static str,
}

const KIND: &str =
    "a format begins with n, z, an, ans or b and a length of 1 to 9999, as in n6 or ans..25 ll";
const WORDS: &str = "the words behind the length are ll, lll, ll-ascii, lll-ascii, llll-ascii, bin1, bin2, ascii, hex, \
                     left, right, f, spaces and zeros";

impl Format {
    /// Reads the notation of the module's head.
    ///
    /// # Errors
    /// [`FormatError`] names the word and what is allowed.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let error = |word: &str, allowed| FormatError { word: word.to_owned(), allowed };
        let mut words = text.split_whitespace();
        let head = words.next().unwrap_or_default();
        let (mut format, variable) = parse_head(head).ok_or_else(|| error(head, KIND))?;
        let mut seen = 0_u8;
        for word in words {
            let (group, allowed) = apply(word, &mut format).ok_or_else(|| error(word, WORDS))?;
            if let Some(allowed) = allowed {
                return Err(error(word, allowed));
            }
            if seen & group != 0 {
                return Err(error(word, "a word of this meaning stands there twice"));
            }
            seen |= group;
        }
        let problem = match (variable, format.is_fixed()) {
            (true, true) => Some("a length behind .. needs a prefix, such as ll or lll-ascii"),
            (false, false) => Some("a prefix goes with .. before the length only, as in n..19 ll"),
            (true, _) if format.fill != Fill::None => {
                Some("spaces and zeros complete elements of fixed length only")
            }
            _ if format.most() > format.prefix.most() => Some(
                "the length is more than its prefix can tell: two digits 99, three 999, four 9999, bin1 255",
            ),
            _ => None,
        };
        problem.map_or(Ok(format), |allowed| Err(error(text, allowed)))
    }
}

/// Kind and length, and whether `..` stands between them.
fn parse_head(head: &str) -> Option<(Format, bool)> {
    let kind_end = head.find(|c: char| !c.is_ascii_lowercase())?;
    let (kind, length) = head.split_at_checked(kind_end)?;
    let encoding = match kind {
        "n" => Encoding::Digits,
        "z" => Encoding::Nibbles,
        "an" | "ans" => Encoding::Text,
        "b" => Encoding::Bytes,
        _ => return None,
    };
    let digits = length.strip_prefix("..");
    let max = digits.unwrap_or(length);
    let plain =
        (1..=4).contains(&max.len()) && !max.starts_with('0') && max.bytes().all(|c| c.is_ascii_digit());
    let max = max.parse().ok().filter(|_| plain)?;
    Some((Format::fixed(encoding, max), digits.is_some()))
}

/// Applies a word. Gives its group, of which each may stand once, and what would be allowed if it does not fit.
fn apply(word: &str, format: &mut Format) -> Option<(u8, Option<&'static str>)> {
    let encoding = format.encoding;
    // `ascii` may stand behind `left`; then it is `ascii` that does not fit.
    let plain = format.side == Side::Left && format.filler == Filler::Zero;
    let packed = (!encoding.is_packed()).then_some("left, right and f go with n and z without ascii only");
    let unless = |fits: bool, allowed| (!fits).then_some(allowed);
    let (group, allowed) = match word {
        "ll" | "lll" | "ll-ascii" | "lll-ascii" | "llll-ascii" | "bin1" | "bin2" => (1, None),
        "ascii" => {
            (2, unless(encoding.is_packed() && plain, "ascii goes with n and z without right and f only"))
        }
        "hex" => (2, unless(encoding == Encoding::Bytes, "hex goes with b only")),
        "left" | "right" => (4, packed),
        "f" => (8, packed),
        "spaces" => (16, unless(encoding == Encoding::Text, "spaces go with an and ans only")),
        "zeros" => {
            let fits = matches!(encoding, Encoding::Digits | Encoding::AsciiDigits | Encoding::Text);
            (16, unless(fits, "zeros go with n, an and ans only"))
        }
        _ => return None,
    };
    match word {
        "ll" => format.prefix = Prefix::Ll,
        "lll" => format.prefix = Prefix::Lll,
        "ll-ascii" => format.prefix = Prefix::LlAscii,
        "lll-ascii" => format.prefix = Prefix::LllAscii,
        "llll-ascii" => format.prefix = Prefix::LlllAscii,
        "bin1" => format.prefix = Prefix::Byte,
        "bin2" => format.prefix = Prefix::TwoBytes,
        "ascii" if encoding == Encoding::Digits => format.encoding = Encoding::AsciiDigits,
        "ascii" => format.encoding = Encoding::AsciiTrack,
        "hex" => format.encoding = Encoding::Hex,
        "right" => format.side = Side::Right,
        "f" => format.filler = Filler::F,
        "spaces" => format.fill = Fill::Spaces,
        "zeros" => format.fill = Fill::Zeros,
        _ => {}
    }
    Some((group, allowed))
}

impl fmt::Display for Format {
    /// The notation that [`Format::parse`] reads to the same format.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, written) = match self.encoding {
            Encoding::Digits => ("n", ""),
            Encoding::Nibbles => ("z", ""),
            Encoding::AsciiDigits => ("n", " ascii"),
            Encoding::AsciiTrack => ("z", " ascii"),
            Encoding::Text => ("ans", ""),
            Encoding::Bytes => ("b", ""),
            Encoding::Hex => ("b", " hex"),
        };
        let (dots, prefix) = match self.prefix {
            Prefix::Fixed => ("", ""),
            Prefix::Ll => ("..", " ll"),
            Prefix::Lll => ("..", " lll"),
            Prefix::LlAscii => ("..", " ll-ascii"),
            Prefix::LllAscii => ("..", " lll-ascii"),
            Prefix::LlllAscii => ("..", " llll-ascii"),
            Prefix::Byte => ("..", " bin1"),
            Prefix::TwoBytes => ("..", " bin2"),
        };
        let side = if self.side == Side::Right { " right" } else { "" };
        let filler = if self.filler == Filler::F { " f" } else { "" };
        let fill = match self.fill {
            Fill::None => "",
            Fill::Spaces => " spaces",
            Fill::Zeros => " zeros",
        };
        write!(f, "{kind}{dots}{}{prefix}{written}{side}{filler}{fill}", self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a profile says is read, and shown again in the same words.
    #[test]
    fn the_notation_of_the_tables_is_read_and_given_back() {
        let check = |text: &str, expected: Format| {
            assert_eq!(Format::parse(text), Ok(expected), "{text}");
            assert_eq!(expected.to_string(), text);
        };
        check("n6", Format::digits(6));
        check("n..19 ll", Format::digits(19).ll());
        check("z..37 ll", Format::nibbles(37).ll());
        check("ans..25 ll", Format::text(25).ll());
        check("b8", Format::bytes(8));
        check("b..255 lll", Format::bytes(255).lll());
        check("n3 right", Format::digits(3).right());
        check("n..11 ll f", Format { filler: Filler::F, ..Format::digits(11).ll() });
        check("ans15 spaces", Format { fill: Fill::Spaces, ..Format::text(15) });
        check("n12 ascii zeros", Format { fill: Fill::Zeros, ..Format::fixed(Encoding::AsciiDigits, 12) });
        check("z..37 ll-ascii ascii", Format::fixed(Encoding::AsciiTrack, 37).prefixed(Prefix::LlAscii));
        check("b16 hex", Format::fixed(Encoding::Hex, 16));
        check("b..9999 bin2", Format::bytes(9999).prefixed(Prefix::TwoBytes));
        // Two ways to say the same.
        assert_eq!(Format::parse("an12"), Ok(Format::text(12)));
        assert_eq!(Format::parse(" n3  left "), Ok(Format::digits(3)));
        assert_eq!(Format::parse("n..11 f ll"), Format::parse("n..11 ll f"));
    }

    /// Whoever mistypes a format is told the word and what may stand there.
    #[test]
    fn what_is_no_format_is_refused_by_word() {
        let check = |text: &str, word: &str, allowed: &str| {
            let error = Format::parse(text).unwrap_err();
            assert_eq!(error.word, word, "{text}");
            assert!(error.allowed.contains(allowed), "{text}: {error}");
        };
        for head in
            ["", "x6", "n", "6", "n0", "n06", "n..", "n99999", "n-1", "n+1", "N6", "n6ll", "n..19ll", "ü6"]
        {
            check(head, head, "begins with");
        }
        check("n..19 LL", "LL", "words behind");
        check("n..19", "n..19", "needs a prefix");
        check("n19 ll", "n19 ll", "goes with ..");
        check("n..100 ll", "n..100 ll", "more than its prefix");
        check("b..256 bin1", "b..256 bin1", "more than its prefix");
        check("an3 right", "right", "n and z");
        check("n3 ascii right", "right", "without ascii");
        check("n3 right ascii", "ascii", "without right");
        check("an3 ascii", "ascii", "n and z");
        check("n3 hex", "hex", "b only");
        check("n3 spaces", "spaces", "an and ans");
        check("b3 zeros", "zeros", "n, an and ans");
        check("ans..3 ll spaces", "ans..3 ll spaces", "fixed length");
        check("n..3 ll lll", "lll", "twice");
        check("n3 left right", "right", "twice");
        check("an3 spaces zeros", "zeros", "twice");
    }
}

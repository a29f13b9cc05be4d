//! ESC/POS as the simulated printer understands it: bytes to commands. Source: Epson ESC/POS reference; GB18030-2005.

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// GS v 0: rows of dots, each so many bytes.
    Dots {
        /// Bytes of a row.
        row_bytes: usize,
        /// All rows.
        bytes: Vec<u8>,
    },
    /// A character for the line.
    Char(char),
    /// Print the line and go to the next.
    LineFeed,
    /// ESC @.
    Init,
    /// FS & and FS .
    MultiByte(bool),
    /// ESC a: 0 left, 1 centre, 2 right.
    Align(u8),
    /// ESC E.
    Bold(bool),
    /// GS !: 1 or 2 times.
    Scale(u8),
    /// ESC d: print the line and feed so many.
    Feed(u8),
    /// GS V.
    Cut,
    /// ESC p: the drawer's coil pulls.
    Pulse,
    /// GS r 1.
    Barrier,
    /// GS ( H function 48.
    ProcessId([u8; 4]),
    /// GS I n.
    Identify(u8),
    /// NUL.
    Nothing,
    /// Something it does not know, in words.
    Unknown(String),
}

/// Reads the first command and says how many bytes it takes; `None`: more bytes must come first.
pub(super) fn next(bytes: &[u8], multi_byte: bool) -> Option<(Command, usize)> {
    let unknown = |what: &[u8]| Command::Unknown(format!("unknown bytes {what:02x?}"));
    Some(match bytes {
        [] | [0x1b..=0x1d] => return None,
        [0x00, ..] => (Command::Nothing, 1),
        [b'\n', ..] => (Command::LineFeed, 1),
        [0x1b, b'@', ..] => (Command::Init, 2),
        [0x1c, b'&', ..] => (Command::MultiByte(true), 2),
        [0x1c, b'.', ..] => (Command::MultiByte(false), 2),
        [0x1b, b'a' | b'E' | b'd', rest @ ..] => escape(bytes, *rest.first()?),
        [0x1d, b'!', rest @ ..] => match rest.first()? {
            0x00 => (Command::Scale(1), 3),
            0x11 => (Command::Scale(2), 3),
            other => (Command::Unknown(format!("GS ! {other:#04x}: only 1x1 and 2x2 are drawn")), 3),
        },
        [0x1b, b'p', rest @ ..] => match rest {
            [0 | 1 | b'0' | b'1', _, _, ..] => (Command::Pulse, 5),
            [_, _, _, ..] => (unknown(&[0x1b, b'p']), 5),
            _ => return None,
        },
        [0x1d, b'V', rest @ ..] => cut(rest)?,
        [0x1d, b'v', rest @ ..] => return dots(rest),
        [0x1d, b'r', rest @ ..] => match rest.first()? {
            1 | b'1' => (Command::Barrier, 3),
            other => (unknown(&[0x1d, b'r', *other]), 3),
        },
        [0x1d, b'I', rest @ ..] => (Command::Identify(*rest.first()?), 3),
        [0x1d, b'(', rest @ ..] => return parenthesis(rest),
        [0x20..=0x7e, ..] => (Command::Char(char::from(*bytes.first()?)), 1),
        [0x81..=0xfe, ..] if multi_byte => return wide(bytes),
        [0x81..=0xfe, ..] => (Command::Unknown(format!("{:02x?} without FS &", bytes.first()?)), 1),
        [0x1b..=0x1d, second, ..] => (unknown(&[*bytes.first()?, *second]), 2),
        [other, ..] => (unknown(&[*other]), 1),
    })
}

fn escape(bytes: &[u8], parameter: u8) -> (Command, usize) {
    let command = match (bytes.get(1), parameter) {
        (Some(b'a'), 0..=2) => Command::Align(parameter),
        (Some(b'a'), b'0'..=b'2') => Command::Align(parameter - b'0'),
        (Some(b'E'), _) => Command::Bold(parameter & 1 == 1),
        (Some(b'd'), _) => Command::Feed(parameter),
        _ => Command::Unknown(format!("ESC a {parameter:#04x}")),
    };
    (command, 3)
}

/// GS V m, or GS V m n for the forms that feed first.
fn cut(rest: &[u8]) -> Option<(Command, usize)> {
    match rest.first()? {
        0 | 1 | b'0' | b'1' => Some((Command::Cut, 3)),
        65 | 66 => rest.get(1).map(|_| (Command::Cut, 4)),
        other => Some((Command::Unknown(format!("GS V {other:#04x}")), 3)),
    }
}

/// GS v 0 m xL xH yL yH and the dots.
fn dots(rest: &[u8]) -> Option<(Command, usize)> {
    let [b'0', 0, x_low, x_high, y_low, y_high, bytes @ ..] = rest else {
        let known = b"0\0".starts_with(rest.get(..2).unwrap_or(rest)) && rest.len() < 6;
        return (!known).then(|| (Command::Unknown(format!("GS v {:02x?}", rest.first())), 2));
    };
    let row_bytes = usize::from(u16::from_le_bytes([*x_low, *x_high]));
    let length = row_bytes.saturating_mul(usize::from(u16::from_le_bytes([*y_low, *y_high])));
    let bytes = bytes.get(..length)?.to_vec();
    Some((Command::Dots { row_bytes, bytes }, length.saturating_add(8)))
}

/// GS ( X pL pH …: the length is in the command, so unknown ones can be skipped.
fn parenthesis(rest: &[u8]) -> Option<(Command, usize)> {
    let [group, low, high, parameters @ ..] = rest else { return None };
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let parameters = parameters.get(..length)?;
    let command = match (group, parameters) {
        (b'H', [48, 48, id @ ..]) => match <[u8; 4]>::try_from(id) {
            Ok(id) if id.iter().all(|byte| (0x20..=0x7e).contains(byte)) => Command::ProcessId(id),
            _ => Command::Unknown(format!("GS ( H with id {id:02x?}")),
        },
        _ => Command::Unknown(format!("GS ( {} {parameters:02x?}", char::from(*group))),
    };
    Some((command, length.saturating_add(5)))
}

/// A character of two bytes, or of four where the second is a digit.
fn wide(bytes: &[u8]) -> Option<(Command, usize)> {
    let length = match bytes.get(1)? {
        0x30..=0x39 => 4,
        0x40..=0x7e | 0x80..=0xfe => 2,
        other => {
            return Some((Command::Unknown(format!("{:02x?} {other:02x}: half a hanzi", bytes.first()?)), 1));
        }
    };
    let code = bytes.get(..length)?;
    let (text, wrong) = encoding_rs::GB18030.decode_without_bom_handling(code);
    let mut chars = text.chars();
    Some(match (chars.next(), chars.next()) {
        (Some(c), None) if !wrong => (Command::Char(c), length),
        _ => (Command::Unknown(format!("{code:02x?} is no character of GB18030")), length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_whole_or_not_at_all() {
        let check = |bytes: &[u8], expected: Option<(Command, usize)>| {
            assert_eq!(next(bytes, true), expected, "{bytes:02x?}");
        };
        check(b"\x1b@x", Some((Command::Init, 2)));
        check(b"\x1b", None);
        check(b"\x1ba", None);
        check(b"\x1ba\x02", Some((Command::Align(2), 3)));
        check(b"\x1bE\x01", Some((Command::Bold(true), 3)));
        check(b"\x1d!\x11", Some((Command::Scale(2), 3)));
        check(b"\x1dV\x42", None);
        check(b"\x1dV\x42\x00", Some((Command::Cut, 4)));
        check(b"\x1dr\x01", Some((Command::Barrier, 3)));
        let dots = Command::Dots { row_bytes: 2, bytes: b"abcd".to_vec() };
        check(b"\x1dv0\0\x02\0\x02\0abcd1", Some((dots, 12)));
        check(b"\x1dv0\0\x02\0\x02\0abc", None);
        check(b"\x1dv0", None);
        check(b"\x1dI\x43", Some((Command::Identify(67), 3)));
        check(b"\x1d(H\x06\x00000042", Some((Command::ProcessId(*b"0042"), 11)));
        check(b"\x1d(H\x06\x0000004", None);
        check(b"\xc7\xa9", Some((Command::Char('签'), 2)));
        check(b"\xc7", None);
        check(b"\x95\x34\xb2\x35", Some((Command::Char('𠮷'), 4)));
        check(b"\x95\x34\xb9", None);
    }

    #[test]
    fn what_it_does_not_know_is_said() {
        let unknown = |bytes: &[u8], multi_byte| match next(bytes, multi_byte) {
            Some((Command::Unknown(_), length)) => length,
            other => panic!("{bytes:02x?}: {other:?}"),
        };
        assert_eq!(unknown(b"\x18", true), 1);
        assert_eq!(unknown(b"\x1c!\x01", true), 2);
        assert_eq!(unknown(b"\xc7\xa9", false), 1);
        assert_eq!(unknown(b"\xc7\n", true), 1);
        assert_eq!(unknown(b"\x1d(L\x02\x00ab", true), 7);
        assert_eq!(unknown(b"\x1dr\x02", true), 3);
        assert_eq!(unknown(b"\x1dv0\x03\x01\0\x01\0a", true), 2);
    }
}

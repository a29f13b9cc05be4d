//! Streams of printers for people.
use super::*;
use proptest::prelude::*;

fn told(bytes: &[u8]) -> Vec<(usize, String)> {
    let told = |step: Step| {
        let text = match step.what {
            What::Text(text) => format!("\"{text}\""),
            What::Command(command) => match command.meaning {
                Some(meaning) => format!("{}: {}", command.name, meaning.en),
                None => command.name,
            },
            What::Unknown(hex) => format!("? {hex}"),
        };
        (step.offset, text)
    };
    read(bytes, CardData::Masked).steps.into_iter().map(told).collect()
}

fn list(expected: &[(usize, &str)]) -> Vec<(usize, String)> {
    expected.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
}

/// Goal: a slip as posd sends it is told command by command with the place of each.
#[test]
fn a_slip_is_told() {
    let text = b"\x1b@\x1c&\x1ba\x01\x1d!\x11\xc7\xa9A\n\x1bE\x0012\n\x1bd\x04".as_slice();
    let bytes = [text, b"\x1dV\x42\x00\x1d(H\x06\x00000042\x10\x04\x01"].concat();
    let expected = [
        (0, "ESC @"),
        (2, "FS &"),
        (4, "ESC a: centre"),
        (7, "GS !: width 2, height 2"),
        (10, "\"签A\""),
        (13, "LF"),
        (14, "ESC E: off"),
        (17, "\"12\""),
        (19, "LF"),
        (20, "ESC d: 4 lines"),
        (23, "GS V: feed to the cutter and 0 units, leaving a point"),
        (27, "GS ( H: tell when printed \"0042\""),
        (38, "DLE EOT: printer"),
    ];
    assert_eq!(told(&bytes), list(&expected));
}

/// Goal: data of pictures and codes is skipped by its length, whatever bytes it holds.
#[test]
fn data_is_no_command() {
    let picture =
        [b"\x1dv0\x00\x01\x00\x02\x00".as_slice(), b"\x1b@", b"\x1dk\x49\x03\x7bB1", b"\n"].concat();
    assert_eq!(told(&picture), list(&[(0, "GS v 0: 8x2 dots"), (10, "GS k: CODE128 \"{B1\""), (17, "LF")]));
    let codes = b"\x1dk\x04AB\x00\x1d(k\x05\x001P0\x1b@\x1b*\x21\x01\x00\x1b\x1b\x1b\x1bD\x08\x00!";
    let expected = [
        (0, "GS k: CODE39 \"AB\""),
        (6, "GS ( k: QR data, 2 bytes"),
        (16, "ESC *: 1x24 dots"),
        (24, "ESC D"),
        (28, "\"!\""),
    ];
    assert_eq!(told(codes), list(&expected));
    assert_eq!(
        told(b"\x1cq\x01\x01\x00\x01\x0012345678\x1b&\x03AA\x01abc."),
        list(&[(0, "FS q"), (15, "ESC &"), (24, "\".\""),])
    );
}

/// Goal: what no reference has is told as bytes, and reading goes on behind it.
#[test]
fn unknown_bytes_are_told() {
    assert_eq!(
        told(b"\x07\x1b\x01\x1dV\x09A"),
        list(&[(0, "? 07"), (1, "? 1B01"), (3, "? 1D5609"), (6, "\"A\"")])
    );
    assert_eq!(read(b"\x07\x1b\x01\x1dV\x09A", CardData::Masked).unknown(), 3);
}

/// Goal: a command that is cut off is told with its place and what is missing.
#[test]
fn a_cut_off_command_is_named() {
    for (bytes, name, needed, left) in [
        (b"A\x1ba".as_slice(), "ESC a", 1, 0),
        (b"A\x1b", "ESC", 1, 0),
        (b"A\x1d(H\x06\x0000", "GS ( H", 4, 4),
        (b"A\x1dv0\x00\x30", "GS v 0", 1, 2),
        (b"A\x1bD\x08", "ESC D", 1, 1),
    ] {
        let stream = read(bytes, CardData::Masked);
        let expected = Short { offset: 1, name: name.to_owned(), needed, left };
        assert_eq!((stream.steps.len(), stream.failure), (1, Some(expected)), "{bytes:02x?}");
    }
}

/// Goal: a card number is masked in text, grouped or not, in bar codes and in parameters; dates and amounts stay.
#[test]
fn card_numbers_are_masked() {
    let shown = |bytes: &[u8]| format!("{:?}", read(bytes, CardData::Masked));
    for bytes in [
        b"6225880012345678".as_slice(),
        b"6225 8800 1234 5678",
        b"\x1dk\x49\x106225880012345678",
        b"\x1d(k\x13\x001P06225880012345678",
        b"\x1c(Z\x10\x006225880012345678",
    ] {
        let masked = shown(bytes);
        assert!(masked.contains("******") || masked.contains("** ****"), "{masked}");
        for secret in ["001234", "00 1234", "303031323334"] {
            assert!(!masked.contains(secret), "{masked}");
        }
        let clear = format!("{:?}", read(bytes, CardData::Clear));
        assert!(["001234", "00 1234", "303031323334"].iter().any(|secret| clear.contains(secret)), "{clear}");
    }
    assert_eq!(told(b"2026-11-26 06:57:34  12.50"), list(&[(0, "\"2026-11-26 06:57:34  12.50\"")]));
}

/// Goal: no character of a stream can command the terminal on which it is shown.
#[test]
fn control_characters_do_not_pass() {
    // U+009B, the control sequence introducer of eight bits, in GB18030.
    let bytes = [b'A', 0x81, 0x30, 0x83, 0x37, b'B'];
    assert_eq!(encoding_rs::GB18030.decode_without_bom_handling(&bytes).0, "A\u{9b}B");
    assert_eq!(told(&bytes), list(&[(0, "\"A\u{FFFD}B\"")]));
}

proptest! {
    /// Goal: the pieces of any stream lie side by side without gaps, up to its end or to the command that is cut off.
    #[test]
    fn pieces_have_no_gaps(bytes in proptest::collection::vec(
        prop_oneof![any::<u8>(), proptest::sample::select(&b"\x10\x1b\x1c\x1d(VkHLv0*&q"[..])], 0..200,
    )) {
        let stream = read(&bytes, CardData::Masked);
        let mut at = 0;
        for step in &stream.steps {
            prop_assert_eq!(step.offset, at);
            prop_assert!(step.length > 0);
            at += step.length;
        }
        prop_assert_eq!(at, stream.failure.map_or(bytes.len(), |short| short.offset));
    }
}

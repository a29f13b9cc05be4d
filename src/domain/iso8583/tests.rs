//! The codec: its errors by name, its two laws for both shipped dialects and for dialects of chance.
use super::*;
use crate::domain::unionpay::dialect::DIALECT as UNIONPAY;
use proptest::prelude::*;

fn de(number: u8) -> De {
    De::new(number).unwrap()
}

fn format(text: &str) -> Format {
    Format::parse(text).unwrap()
}

/// Packed, one element of each kind, fixed and variable, both sides of the filler.
fn small() -> Dialect {
    static EMPTY: dialect::Table = dialect::table(&[]);
    let rows = [
        (De::PAN, "n..19 ll"),
        (De::PROCESSING_CODE, "n6"),
        (De::ENTRY_MODE, "n3"),
        (De::CARD_SEQUENCE, "n3 right"),
        (De::TRACK2, "z..37 ll"),
        (De::RRN, "ans12"),
        (De::ADDITIONAL_DATA, "n..322 lll"),
        (De::ICC, "b..255 lll"),
        (De::PRIVATE_63, "ans..163 lll"),
        (De::MAC, "b8"),
    ];
    rows.iter().fold(Dialect::new("small", Form::Packed, &EMPTY), |d, (de, text)| d.with(*de, format(text)))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn refusal(dialect: &Dialect, bytes: &[u8]) -> String {
    unpack(dialect, bytes).unwrap_err().to_string()
}

/// An operator must be able to tell from the error which byte of a dump is wrong.
#[test]
fn errors_name_element_place_and_need() {
    let check = |hex, expected: &str| assert_eq!(refusal(&small(), &bytes(hex)), expected);
    check("02", "MTI at byte 0: needs 2 bytes, 1 left");
    check("0A00 0000000000000000", "MTI at byte 0: not decimal digits");
    check("0200 00", "bitmap at byte 2: needs 8 bytes, 1 left");
    check(
        "0200 8000000000000000",
        "bitmap at byte 2 names a secondary bitmap, which this dialect does not have",
    );
    check("0200 1000000000000000", "DE 4 at byte 10 is not defined in this dialect");
    check("0200 2000000000000000 0000", "DE 3 at byte 10: needs 3 bytes, 2 left");
    check("0200 4000000000000000 20", "DE 2 at byte 10: length 20, at most 19 are allowed");
    check("0200 4000000000000000 0A", "DE 2 at byte 10: not decimal digits");
    check("0200 4000000000000000 04 12 3C", "DE 2 at byte 11: not decimal digits");
    check("0200 4000000000000000 03 12 31", "DE 2 at byte 11: the filler is neither 0 nor F");
    check("0200 0000000000000000 00", "1 bytes too many at byte 10");
    check("0200 0000000000000200 1000", "DE 55 at byte 10: length 1000, at most 255 are allowed");
    let long = vec![0; decode::MESSAGE_MAX + 1];
    assert_eq!(refusal(&small(), &long), "65536 bytes, at most 65535 are allowed");
}

/// The same of a dialect in ASCII with two bitmaps.
#[test]
fn errors_of_a_dialect_in_ascii_do_too() {
    let check = |text: &str, expected: &str| assert_eq!(refusal(&iso1987::ASCII, text.as_bytes()), expected);
    check("08", "MTI at byte 0: needs 4 bytes, 2 left");
    check("08A0", "MTI at byte 0: not decimal digits");
    check("0800822g000000000000", "bitmap at byte 4: not upper-case hexadecimal digits");
    check("0800820000000000000a", "bitmap at byte 4: not upper-case hexadecimal digits");
    check("08008200000000000000", "bitmap at byte 20: needs 16 bytes, 0 left");
    let empty = "bitmap at byte 20: the secondary bitmap names no element";
    check("080082000000000000000000000000000000", empty);
    check("080080000000000000008000000000000000", "DE 65 at byte 36 is not defined in this dialect");
    check("02004000000000000000031a2", "DE 2 at byte 22: not decimal digits");
    check("0200400000000000000 ", "bitmap at byte 4: not upper-case hexadecimal digits");
    check("020000000000200000000312x", "DE 35 at byte 22: not track characters");
    check("0200000000000000100001020304050607ab", "DE 52 at byte 20: not upper-case hexadecimal digits");
    let counting_bytes =
        iso1987::ASCII.with(De::ICC, format("b..9 ll-ascii hex")).with_counted(Counted::Bytes);
    let odd = "DE 55 at byte 20: length 3, which must be even";
    assert_eq!(refusal(&counting_bytes, b"0200000000000000020003ABC"), odd);
}

/// Both fillers are read, both sides are known, and packing gives back the one that came.
#[test]
fn fillers_stand_where_the_table_says() {
    let wire = bytes("02004000060000000000031230021F0001");
    let message = unpack(&small(), &wire).unwrap();
    assert_eq!(message.text(De::PAN), Some("123"));
    assert_eq!(message.text(De::ENTRY_MODE), Some("021"));
    assert_eq!(message.text(De::CARD_SEQUENCE), Some("001"));
    assert_eq!(pack(&small(), &message), Ok(wire));
    let with_f = small().with(De::PAN, format("n..19 ll f"));
    assert_eq!(pack(&with_f, Message::new("0200").set(De::PAN, "123")).unwrap()[10..], [3, 0x12, 0x3F]);
}

#[test]
fn values_of_the_wrong_form_are_not_packed() {
    let check = |mti, de, value: &str, expected| {
        assert_eq!(pack(&small(), Message::new(mti).set(de, value)), Err(expected));
    };
    let length = |de, length, max| PackError::Length { de, length, max };
    let digits = |de| PackError::Malformed { de, wanted: "decimal digits" };
    let nibbles = |de| PackError::Malformed { de, wanted: "upper-case hexadecimal digits" };
    check("020", De::PAN, "1", PackError::Mti);
    check("02x0", De::PAN, "1", PackError::Mti);
    check("0200", De::AMOUNT, "1", PackError::Undefined(De::AMOUNT));
    check("0200", De::PAN, "12345678901234567890", length(De::PAN, 20, 19));
    check("0200", De::PROCESSING_CODE, "00000", length(De::PROCESSING_CODE, 5, 6));
    check("0200", De::PAN, "12D4", digits(De::PAN));
    check("0200", De::TRACK2, "12=4", nibbles(De::TRACK2));
    check("0200", De::TRACK2, "12d4", nibbles(De::TRACK2));
    let by_hand = small().with(De::PAN, Format { max: 500, ..Format::text(1).ll() });
    let long = pack(&by_hand, Message::new("0200").set(De::PAN, [b'1'; 100]));
    assert_eq!(long, Err(length(De::PAN, 100, 99)));
    let bytes = small().with_counted(Counted::Bytes);
    let odd = pack(&bytes, Message::new("0200").set(De::PAN, "123"));
    assert_eq!(odd, Err(PackError::Odd { de: De::PAN, length: 3 }));
}

/// What a dialect completes comes back completed; nothing else is.
#[test]
fn short_values_are_completed_only_where_the_table_says() {
    let check = |text: &str, value: &str, expected: &str| {
        let dialect = small().with(De::RRN, format(text));
        let packed = pack(&dialect, Message::new("0200").set(De::RRN, value)).unwrap();
        assert_eq!(unpack(&dialect, &packed).unwrap().text(De::RRN), Some(expected), "{text}");
        assert_eq!(packed.len(), packed.capacity(), "the length is known beforehand");
    };
    check("an5 spaces", "ab", "ab   ");
    check("an5 zeros", "ab", "000ab");
    check("n5 zeros", "12", "00012");
    check("n5 right zeros", "12", "00012");
    check("n5 right f zeros", "", "00000");
    check("n5 ascii zeros", "12345", "12345");
}

/// One element more or less is one call, and the copy says so.
#[test]
fn a_dialect_is_changed_by_element() {
    let with = UNIONPAY.with(de(47), format("ans..999 lll"));
    assert_eq!(with.element(de(47)).map(|e| e.name), Some("additional data, national"));
    assert_ne!(with, UNIONPAY);
    assert_eq!(with.without(de(47)), UNIONPAY);
    assert!(UNIONPAY.element(de(47)).is_none());
    assert!(!UNIONPAY.has_secondary() && UNIONPAY.with(de(70), format("n3")).has_secondary());
    assert_eq!(UNIONPAY.with(De::MAC, format("b8")), UNIONPAY);
    let renamed = UNIONPAY.with(De::PAN, format("n..12 ll"));
    assert_eq!(renamed.element(De::PAN).map(|e| e.name), Some("card number"));
    assert_eq!((De::new(0), De::new(1), De::new(129)), (None, None, None));
}

/// A row with a wrong number, or more than its prefix can tell, would only show in the field.
#[test]
fn the_shipped_tables_are_sound() {
    let numbers = |dialect: &Dialect| dialect.elements().map(|e| e.de.number()).collect::<Vec<_>>();
    let all: Vec<u8> = (2..=128).filter(|n| *n != 65).collect();
    assert_eq!(numbers(&iso1987::ASCII), all);
    assert_eq!(numbers(&UNIONPAY).len(), 35);
    for element in iso1987::ASCII.elements().chain(UNIONPAY.elements()) {
        assert_eq!(Format::parse(&element.format.to_string()), Ok(element.format), "{}", element.de);
        assert!(!element.name.is_empty());
    }
}

/// A view tells the units in every way the same, and shows no value.
#[test]
fn a_view_borrows_what_it_tells() {
    let wire = bytes("0200 6000060000000000 03 123F 000000 0210 0001");
    let dialect = small();
    let view = decode(&dialect, &wire).unwrap();
    assert_eq!((view.mti(), view.count(), view.bytes()), ("0200", 4, wire.as_slice()));
    let pan = view.field(De::PAN).unwrap();
    assert_eq!((pan.raw(), pan.len(), pan.bytes()), (&wire[11..13], 3, None));
    assert!(pan.is(b"123") && !pan.is(b"12") && !pan.is(b"124") && !pan.is_empty());
    assert_eq!(pan.copy_to(&mut [0; 5]), Some(b"123".as_slice()));
    assert_eq!(pan.copy_to(&mut [0; 2]), None);
    assert!(view.field(De::CARD_SEQUENCE).unwrap().is(b"001") && view.field(De::MAC).is_none());
    assert_eq!(format!("{view:?}"), "0200 {2: 3, 3: 6, 22: 3, 23: 3}");
    assert_eq!(format!("{pan:?}"), "DE 2 +3");
    assert_eq!(format!("{:?}", unpack(&dialect, &wire).unwrap()), format!("{view:?}"));
}

/// A value of another length leaves no second copy, and equality sees values, not where they stand.
#[test]
fn a_message_is_its_values() {
    let mut built = Message::new("0200");
    for length in [3, 3, 300, 0, 5] {
        built.set(De::PRIVATE_63, vec![b'x'; length]).set(De::PAN, "123");
    }
    built.set(De::RRN, "123456789012").remove(De::RRN);
    let mut other = Message::new("0200");
    other.set(De::PAN, "123").set(De::PRIVATE_63, "xxxxx").set_some(De::MAC, None::<&[u8]>);
    assert_eq!(built, other);
    assert_eq!(built.fields().map(|(de, _)| de).collect::<Vec<_>>(), [De::PAN, De::PRIVATE_63]);
    assert!(!built.has(De::RRN) && built.bytes(De::RRN).is_none());
    other.remove(De::PAN);
    assert_ne!(built, other);
    assert_eq!(Message::default().mti(), "");
}

/// Any format; only what [`Format::parse`] would give.
fn any_format() -> impl Strategy<Value = Format> {
    let encodings = vec![
        Encoding::Digits,
        Encoding::Nibbles,
        Encoding::AsciiDigits,
        Encoding::AsciiTrack,
        Encoding::Text,
        Encoding::Bytes,
        Encoding::Hex,
    ];
    let prefixes = vec![
        Prefix::Fixed,
        Prefix::Ll,
        Prefix::Lll,
        Prefix::LlAscii,
        Prefix::LllAscii,
        Prefix::LlllAscii,
        Prefix::Byte,
        Prefix::TwoBytes,
    ];
    let choice = (proptest::sample::select(encodings), proptest::sample::select(prefixes));
    (choice, any::<(bool, bool)>(), 1_u16..60).prop_map(|((encoding, prefix), (right, f), max)| {
        let packed = encoding.is_packed();
        let side = if packed && right { Side::Right } else { Side::Left };
        let filler = if packed && f { Filler::F } else { Filler::Zero };
        Format { side, filler, ..Format::fixed(encoding, max).prefixed(prefix) }
    })
}

fn any_form() -> impl Strategy<Value = Form> {
    proptest::sample::select(vec![Form::Packed, Form::Ascii])
}

/// Any dialect, with and without a secondary bitmap.
fn any_dialect() -> impl Strategy<Value = Dialect> {
    static EMPTY: dialect::Table = dialect::table(&[]);
    let counted = proptest::sample::select(vec![Counted::Units, Counted::Bytes]);
    let rows = proptest::collection::vec((2_u8..=128, any_format()), 0..12);
    (any_form(), any_form(), counted, rows).prop_map(|(mti, bitmap, counted, rows)| {
        let empty = Dialect::new("any", Form::Packed, &EMPTY).with_forms(mti, bitmap).with_counted(counted);
        rows.into_iter().fold(empty, |dialect, (number, format)| dialect.with(de(number), format))
    })
}

/// Any value that fits the element.
fn value(format: Format, counted: Counted) -> BoxedStrategy<Vec<u8>> {
    let least = if format.is_fixed() { format.most() } else { 0 };
    let allowed: Vec<u8> = (0..=255).filter(|unit| format.encoding.allows(*unit)).collect();
    // An odd count of packed digits cannot be told where bytes are counted.
    let even = counted == Counted::Bytes && format.encoding.is_packed() && !format.is_fixed();
    // Two characters make a byte, and a prefix of two characters tells 99 of them.
    let told = if counted == Counted::Bytes && format.encoding == Encoding::Hex { 49 } else { 90 };
    proptest::collection::vec(proptest::sample::select(allowed), least..=format.most().min(told).max(least))
        .prop_map(move |mut value| {
            if even && value.len() % 2 == 1 {
                value.pop();
            }
            value
        })
        .boxed()
}

/// A dialect and any message of it, with at most some thirty elements.
fn any_message(dialect: impl Strategy<Value = Dialect>) -> impl Strategy<Value = (Dialect, Message)> {
    dialect.prop_flat_map(|dialect| {
        let counted = dialect.counted();
        let rows: Vec<Element> = dialect.elements().copied().collect();
        let most = rows.len().min(30);
        let chosen = proptest::sample::subsequence(rows, 0..=most);
        let fields = chosen.prop_flat_map(move |rows| {
            rows.into_iter().map(|row| (Just(row.de), value(row.format, counted))).collect::<Vec<_>>()
        });
        (Just(dialect), "[0-9]{4}", fields).prop_map(|(dialect, mti, fields)| {
            let mut message = Message::new(&mti);
            for (de, value) in fields {
                message.set(de, value);
            }
            (dialect, message)
        })
    })
}

fn all_dialects() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(UNIONPAY.clone()), Just(iso1987::ASCII.clone()), any_dialect()]
}

/// Both laws for bytes: refused by a named error, or written again exactly as they came; and view and message agree.
fn check_bytes(dialect: &Dialect, bytes: &[u8]) -> Result<(), TestCaseError> {
    match decode(dialect, bytes) {
        Ok(view) => {
            let message = unpack(dialect, bytes).unwrap();
            prop_assert_eq!(pack(dialect, &message).unwrap(), bytes);
            prop_assert_eq!(view.count(), message.fields().count());
            for (field, (de, value)) in view.fields().zip(message.fields()) {
                prop_assert_eq!(field.de, de);
                prop_assert!(field.is(value), "{}", de);
            }
        }
        Err(error) => prop_assert_eq!(unpack(dialect, bytes), Err(error)),
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_packed_unpacks_to_the_same((dialect, message) in any_message(all_dialects())) {
        let packed = pack(&dialect, &message).unwrap();
        prop_assert_eq!(packed.len(), packed.capacity());
        prop_assert_eq!(unpack(&dialect, &packed), Ok(message));
        check_bytes(&dialect, &packed)?;
    }

    /// Bytes changed by a line or by malice are refused, or packed again exactly as they came.
    #[test]
    fn what_is_accepted_packs_to_the_same_bytes(
        (dialect, message) in any_message(all_dialects()),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let mut bytes = pack(&dialect, &message).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_bytes(&dialect, &bytes)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        dialect in all_dialects(),
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        check_bytes(&dialect, &bytes)?;
    }

    /// Every format is read again from what it shows.
    #[test]
    fn formats_are_read_from_what_they_show(format in any_format()) {
        prop_assert_eq!(Format::parse(&format.to_string()), Ok(format));
    }

    #[test]
    fn any_text_is_a_format_or_a_named_error(text in "[nzasb.0-9]{0,6}( [a-z0-9-]{0,8}){0,3}|.{0,20}") {
        if let Ok(format) = Format::parse(&text) {
            prop_assert_eq!(Format::parse(&format.to_string()), Ok(format));
        }
    }
}

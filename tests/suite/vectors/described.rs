//! Messages and their parts for people: as listed, and without secrets.
use super::*;

/// What a stranger may read in logs: no card number, no PIN, no key.
#[test]
fn debug_of_requests_and_keys_shows_no_secret() {
    let shown = format!("{:?} {:?}", chip_sale(Some("123456")), keys());
    for secret in ["12345678", "3F96218777906948", "C2A48FB5", "1A2B3C4D"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Published chip data, CA key and application records read as the objects their sources list; the one key block in an
/// acquirer's own layout opens where the profile names it, and is refused by its length elsewhere.
#[test]
fn published_parts_of_messages_are_read_or_refused() {
    for part in entries(PARTS) {
        if part.form == "keys" {
            let tmk = MasterKey::from_bytes([0x11; 16]);
            let rules = KeyRules { key_block: KeyBlockLayout::Typed, ..Profile::unionpay().keys };
            let opened = WorkingKeys::open_by(&tmk, &part.bytes, rules).unwrap().check_values();
            assert_eq!(opened, [("pik", [0x00, 0x96, 0x2B, 0x60]), ("mak", [0xAD, 0xC6, 0x7D, 0x84])]);
            let error = WorkingKeys::open(&tmk, &part.bytes).unwrap_err();
            assert!(matches!(error, KeyError::Length { length: 75, .. }));
            continue;
        }
        let objects = de55::objects(&part.bytes).unwrap();
        let read: Vec<_> = objects.iter().map(|o| (format!("{:?}", o.tag), to_hex(o.value))).collect();
        assert_eq!(read, part.expected, "{}", part.name);
    }
}

/// A dump is recognised with and without length, TPDU and header, and shows no card data unless asked.
#[test]
fn a_dump_is_described_in_every_form_and_masked() {
    let b5 = entry("B5");
    let shown = describe::message(&b5.bytes, CardData::Masked).unwrap();
    assert_eq!((shown.tpdu.as_deref(), shown.header.as_deref()), (Some("6000050000"), Some("603200320000")));
    let value = |number| {
        let field = shown.fields.iter().find(|field| field.number == number);
        field.map(|field| field.value.as_str()).unwrap()
    };
    assert_eq!(value(2), "622588******5678");
    assert_eq!(value(35), "622588******5678D********************");
    assert_eq!(value(4), "000000001000");
    assert_eq!(value(53), "0610000000000000");
    assert_eq!(value(64), "4531313432324132");
    let icc = shown.fields.iter().find(|field| field.number == 55).unwrap();
    assert_eq!(icc.objects[0].tag, Tag::CRYPTOGRAM);
    assert_eq!(icc.objects[0].value.as_deref(), Some("1122334455667788"));
    assert_eq!(icc.objects.len(), 20);
    assert_eq!(describe::message(b5.payload(), CardData::Masked).unwrap(), shown);
    let bare = describe::message(b5.message(), CardData::Masked).unwrap();
    assert_eq!((bare.tpdu, bare.header, &bare.fields), (None, None, &shown.fields));
    let length = u16::try_from(b5.message().len()).unwrap().to_be_bytes();
    let short_frame = [&length, b5.message()].concat();
    assert_eq!(describe::message(&short_frame, CardData::Masked).unwrap().fields, shown.fields);
    let clear = describe::message(&b5.bytes, CardData::Clear).unwrap();
    assert_eq!(clear.fields[0].value, "6225880012345678");
    let error = describe::message(&b5.bytes[..60], CardData::Masked).unwrap_err();
    assert!(error.to_string().starts_with("MTI") || error.to_string().starts_with("DE"), "{error}");
}

/// No masked description of any synthetic message shows a card number, a track or a PIN block.
#[test]
fn masked_descriptions_show_no_card_data() {
    for entry in entries(SYNTHETIC) {
        let shown = format!("{:?}", describe::message(&entry.bytes, CardData::Masked).unwrap());
        for secret in ["6225880012345678", "880012345678", "D3012", "3F96218777906948"] {
            assert!(!shown.contains(secret), "{}: {shown}", entry.name);
        }
    }
}

proptest! {
    #[test]
    fn describing_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        framed: bool,
        text in ".{0,60}",
    ) {
        let bytes = if framed { [&entry("B6").bytes[..21], &bytes].concat() } else { bytes };
        for show in [CardData::Masked, CardData::Clear] {
            drop(describe::message(&bytes, show));
            drop(describe::track2(&text, show));
        }
    }
}

//! Requests are the synthetic ones, byte by byte.
use super::*;

/// B1 apart from DE 62 (licence and serial number), which we leave out; B26 and B27 to the byte.
#[test]
fn management_requests_are_the_synthetic_ones() {
    let ours =
        messages::sign_on(&identity(), stan(1), BatchNumber::FIRST, Some(&OperatorId::new("01").unwrap()));
    let mut theirs = entry("B1").unpacked();
    theirs.remove(De::PRIVATE_62);
    assert_eq!(ours.unwrap().fields, theirs);
    let nobody = messages::sign_on(&identity(), stan(1), BatchNumber::FIRST, None).unwrap();
    assert_eq!(nobody.fields.text(De::PRIVATE_63), Some("00 "));
    assert_eq!(messages::echo(&identity(), BatchNumber::FIRST).unwrap().frame, entry("B26").bytes);
    let off = messages::sign_off(&identity(), stan(17), BatchNumber::FIRST).unwrap();
    assert_eq!(off.frame, entry("B27").bytes);
}

/// Every kind of request is the synthetic one of its kind, byte by byte: card, PIN block, encrypted track, MAC.
#[test]
fn every_kind_of_request_is_the_synthetic_one() {
    let pan = Pan::new("6225880012345678").unwrap();
    let track2 = Track2::new("6225880012345678D30121010000012345678").unwrap();
    let pin = keys().pin_block(&ClearPin::new(b"123456").unwrap(), &pan);
    let rrn = Rrn::new("093000990011").unwrap();
    let completed = Rrn::new("093400000007").unwrap();
    let (first, second) = (AuthCode::new("B00001").unwrap(), AuthCode::new("B00002").unwrap());
    let of = |date: &str, stan| OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan,
        date: Some(date.to_owned()),
        ..OriginalRef::default()
    };
    let check = |name: &str, mode: &str, wire: WireFacts, pin, rrn, auth_code| {
        let wire = WireFacts { entry_mode: mode.to_owned(), ..wire };
        let theirs = entry(name).unpacked();
        let number = theirs.text(De::STAN).unwrap().parse().unwrap();
        let amount = theirs.text(De::AMOUNT).map_or(0, |digits| digits.parse().unwrap());
        let track2 = theirs.has(De::TRACK2).then_some(&track2);
        let fields = RequestFields { track2, pin, rrn, auth_code, ..fields(&wire, number, amount, &pan) };
        let request = messages::request(&identity(), &fields, &keys()).unwrap();
        assert_eq!(request.fields, theirs, "{name}");
        assert_eq!(request.frame, entry(name).bytes, "{name}");
    };
    check("B3", "021", wire(Kind::Sale, None, true, &[], &[]), Some(&pin), None, None);
    let (pin, b10) = (Some(&pin), of("0114", None));
    check("B10", "022", wire(Kind::Refund, Some(&b10), false, &[], &[]), None, Some(&rrn), None);
    check("B11", "021", wire(Kind::PreAuth, None, true, &[], &[]), pin, None, None);
    let held = of("0115", None);
    let complete = wire(Kind::PreAuthComplete, Some(&held), true, &[], &[]);
    check("B12", "021", complete, pin, None, Some(&first));
    let advice = wire(Kind::PreAuthAdvice, Some(&held), false, &[], &[]);
    check("B13", "022", advice, None, None, Some(&first));
    let b12 = of("0115", Some(stan(7)));
    let void = wire(Kind::PreAuthCompleteVoid, Some(&b12), false, &[], &[]);
    check("B15", "012", void, None, Some(&completed), Some(&second));
    check("B16", "021", wire(Kind::Balance, None, true, &[], &[]), pin, None, None);
}

/// The void names its original by batch and trace; one that was never online has no RRN.
#[test]
fn a_void_names_batch_trace_and_rrn() {
    let pan = Pan::new("6225880012345678").unwrap();
    let original = OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan: Some(stan(3)),
        date: Some("0115".to_owned()),
        ..OriginalRef::default()
    };
    let wire = wire(Kind::Void, Some(&original), false, &[], &[]);
    let request = messages::request(&identity(), &fields(&wire, 4, 1000, &pan), &keys()).unwrap();
    let text = |de| request.fields.text(de);
    assert_eq!((request.mti, text(De::PROCESSING_CODE)), ("0200", Some("200000")));
    assert_eq!((text(De::ORIGINAL), text(De::RRN)), (Some("000001000003"), Some("000000000000")));
    assert_eq!((text(De::ENTRY_MODE), text(De::AUTH_CODE)), (Some("052"), None));
    assert_eq!(text(De::PRIVATE_60), Some("23000001000500"));
}

/// B5 to the byte, with its encrypted track.
#[test]
fn a_chip_sale_is_b5() {
    let request = chip_sale(None);
    assert_eq!(request.frame, entry("B5").bytes);
    assert_eq!(
        issuer::clear_track(&keys(), &request.fields).unwrap(),
        "6225880012345678D30121010000012345678"
    );
}

/// Where tracks go out in clear, DE 35 is the track, DE 53 says so, and the rest is B5: because the profile wants it,
/// or because the host gave no TDK.
#[test]
fn a_track_in_clear_changes_35_53_and_64_only() {
    for (block, track_encryption) in [("B2b", false), ("B2", true)] {
        let keys = keys_by(block, KeyRules { track_encryption, ..Profile::unionpay().keys });
        track_in_clear(&chip_sale_under(&keys, None), &keys);
    }
}

fn track_in_clear(request: &Request, keys: &WorkingKeys) {
    let mut theirs = entry("B5").unpacked();
    theirs.set(De::TRACK2, "6225880012345678D30121010000012345678").set(De::SECURITY, "0600000000000000");
    theirs.set(De::MAC, request.fields.bytes(De::MAC).unwrap());
    assert_eq!(request.fields, theirs);
    assert!(keys.verifies(&request.frame[13..]));
    assert_eq!(request.frame[2..13], entry("B5").bytes[2..13]);
}

/// With a PIN, DE 22 says so and DE 26, 52 and 53 come with it; the PIN block is that of B3.
#[test]
fn a_chip_sale_with_pin_carries_26_52_and_53() {
    let request = chip_sale(Some("123456"));
    let text = |de| request.fields.text(de);
    assert_eq!((text(De::ENTRY_MODE), text(De::PIN_CAPTURE)), (Some("051"), Some("12")));
    assert_eq!(text(De::SECURITY), Some("2610000000000000"));
    assert_eq!(to_hex(request.fields.bytes(De::PIN_BLOCK).unwrap()), "3F96218777906948");
}

/// DE 55 of B5 comes out of the card's objects in the same order.
#[test]
fn chip_data_of_a_sale_is_that_of_b5() {
    let b5 = entry("B5").unpacked();
    let mut tags = TagStore::default();
    for object in de55::objects(b5.bytes(De::ICC).unwrap()).unwrap() {
        tags.put(object.tag, object.value);
    }
    tags.put(Tag(0x5A), &[0x62, 0x25, 0x88, 0x00, 0x12, 0x34, 0x56, 0x78]);
    assert_eq!(
        posd::domain::profile::Profile::unionpay().icc.request(&tags).unwrap(),
        b5.bytes(De::ICC).unwrap()
    );
    let reversal = to_hex(&posd::domain::profile::Profile::unionpay().icc.reversal_refused(&tags));
    assert_eq!(reversal, "950500800008009F101307010103A0A002010A010000000000123456789F36020001");
}

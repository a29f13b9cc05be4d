//! MACs, key blocks and PIN blocks: as published, and as an acquirer's profile wants them.
use super::*;

/// The published calculation (blog zhu244912654/80005341): key unwrapped under the master key, MAC over 91
/// bytes.
#[test]
fn the_published_mac_comes_out() {
    let tmk = MasterKey::from_hex("70F2A84CCBC2AE8625CBB0F2C22AB923").unwrap();
    let mak: [u8; 8] = hex("C24A8FB57AA20123").try_into().unwrap();
    let block = issuer::key_block(&tmk, &[0x22; 16], &ClearMak::Single(mak), None);
    assert_eq!(to_hex(&block[20..28]), "96D605EA176B7E9E", "the MAK as the page prints it encrypted");
    let covered =
        hex("0200302004C020C0981100000000000000005100183402100006324392260009942820D1312101120084393136\
         363838303134303030303030303030303030303031313536ACF46E73838A82F92600000000000000000822000001");
    assert_eq!(covered.len(), 91);
    let single = WorkingKeys::open(&tmk, &block).unwrap();
    assert_eq!(&single.mac(&covered), b"8A9E91B8");
    // A double-length key of two equal halves gives the same; another one is computed with 3DES.
    let open =
        |mak| WorkingKeys::open(&tmk, &issuer::key_block(&tmk, &[0x22; 16], &ClearMak::Double(mak), None));
    let twice: [u8; 16] = [mak, mak].concat().try_into().unwrap();
    assert_eq!(&open(twice).unwrap().mac(&covered), b"8A9E91B8");
    let other: [u8; 16] = hex("0123456789ABCDEFFEDCBA9876543210").try_into().unwrap();
    assert_eq!(&open(other).unwrap().mac(&covered), b"84C8B241");
}

/// Every synthetic message with an element 64 verifies, and no longer does after any one byte has changed.
#[test]
fn the_macs_of_the_synthetic_messages_verify() {
    let keys = keys();
    let signed: Vec<Entry> = entries(SYNTHETIC).into_iter().filter(|e| e.unpacked().has(De::MAC)).collect();
    assert!(signed.len() >= 15, "{} messages carry a MAC", signed.len());
    for entry in signed {
        assert!(keys.verifies(entry.message()), "{}", entry.name);
        let mut changed = entry.message().to_vec();
        changed[11] ^= 1;
        assert!(!keys.verifies(&changed), "{}", entry.name);
    }
}

/// Key blocks of all layouts open with their master key, and with no other.
#[test]
fn key_blocks_open_and_their_check_values_are_compared() {
    let elevens = MasterKey::from_bytes([0x11; 16]);
    assert_eq!(to_hex(&elevens.check_value()), "82E13665");
    let block_of = |name| entry(name).unpacked().bytes(De::PRIVATE_62).unwrap().to_vec();
    let check = |tmk: &MasterKey, block: &[u8], expected: &[(&'static str, &str)]| {
        let opened = WorkingKeys::open(tmk, block).unwrap().check_values();
        let shown: Vec<_> = opened.iter().map(|(key, value)| (*key, to_hex(value))).collect();
        let expected: Vec<_> = expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        assert_eq!(shown, expected);
    };
    check(&elevens, &block_of("A17"), &[("pik", "00962B60"), ("mak", "ADC67D84"), ("tdk", "E2F24340")]);
    let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
    assert_eq!(to_hex(&tmk.check_value()), "08D7B4FB");
    check(&tmk, &block_of("B2"), &[("pik", "E8934A67"), ("mak", "0282D2B1")]);
    check(&tmk, &block_of("B2b"), &[("pik", "E8934A67"), ("mak", "0282D2B1"), ("tdk", "EB7A8DF9")]);
    let error = |block: &[u8]| WorkingKeys::open(&tmk, block).unwrap_err().to_string();
    assert!(error(&block_of("A17")).contains("pik"));
    assert!(error(&block_of("B2")[..39]).contains("39 bytes"));
    let mut damaged = block_of("B2");
    damaged[20] ^= 1;
    assert!(error(&damaged).contains("mak"));
}

/// The simulated host makes the same key block from clear keys, so it can be trusted in the other tests.
#[test]
fn the_issuer_side_makes_the_same_key_block() {
    let tmk = MasterKey::from_hex("0123456789ABCDEFFEDCBA9876543210").unwrap();
    let pik: [u8; 16] = hex("1A2B3C4D5E6F708192A3B4C5D6E7F809").try_into().unwrap();
    let mak = ClearMak::Single(hex("C2A48FB57AA20123").try_into().unwrap());
    let tdk: [u8; 16] = hex("89ABCDEF0123456776543210FEDCBA98").try_into().unwrap();
    let of = |name| entry(name).unpacked().bytes(De::PRIVATE_62).unwrap().to_vec();
    assert_eq!(issuer::key_block(&tmk, &pik, &mak, None), of("B2"));
    assert_eq!(issuer::key_block(&tmk, &pik, &mak, Some(&tdk)), of("B2b"));
}

/// PIN blocks: clear form of public examples (wuxinxi/unionpay PinUtil), encrypted form of B3, and back.
#[test]
fn pin_blocks_come_out_and_open_again() {
    let tmk = MasterKey::from_bytes([0x11; 16]);
    let block = issuer::key_block(&tmk, &[0x22; 16], &ClearMak::Single([0x33; 8]), None);
    let twos = WorkingKeys::open(&tmk, &block).unwrap();
    let check = |keys: &WorkingKeys, pin: &str, pan: &str, expected: &str| {
        let (pin, pan) = (ClearPin::new(pin.as_bytes()).unwrap(), Pan::new(pan).unwrap());
        let encrypted = keys.pin_block(&pin, &pan);
        assert_eq!(to_hex(encrypted.reveal()), expected);
        assert_eq!(issuer::clear_pin(keys, &encrypted, &pan), Some(pin));
    };
    check(&twos, "123456", "6225880012345678", "EF9FA3043EA7BD9A");
    check(&keys(), "123456", "6225880012345678", "3F96218777906948");
}

/// An acquirer's MAC is that of its profile, in DE 64 as bytes or as text, and its answer is judged by the same.
#[test]
fn requests_and_answers_are_authenticated_by_the_profile() {
    for mac in MacAlgorithm::ALL.iter().copied().filter(|mac| !mac.is_sm4()) {
        let code = |mac_form| {
            let keys = keys_by("B2", KeyRules { mac, mac_form, ..Profile::unionpay().keys });
            let request = chip_sale_under(&keys, None);
            let mut answer = entry("B6").unpacked();
            let packed = pack_signed(&DIALECT, &mut answer, &keys).unwrap();
            let payload = [&entry("B6").payload()[..11], &packed].concat();
            assert!(read_financial(&request, &payload, &keys, NOW).unwrap().approved, "{mac} {mac_form}");
            let other = keys_by("B2", KeyRules { mac_form: MacForm::Binary, ..Profile::unionpay().keys });
            if mac != MacAlgorithm::UnionPay {
                let error = read_financial(&request, &payload, &other, NOW).unwrap_err();
                assert_eq!(error, AnswerError::Mac, "{mac} {mac_form}");
            }
            request.fields.bytes(De::MAC).unwrap().to_vec()
        };
        let (binary, text) = (code(MacForm::Binary), code(MacForm::Ascii));
        assert_eq!(&to_hex(&binary).as_bytes()[..8], text, "{mac}");
    }
}

/// With SM4 the PIN goes in DE 59, DE 52 is empty, and DE 53 always says so. No vector is public: this only holds what
/// the description says.
#[test]
fn a_pin_under_sm4_goes_in_59() {
    let rules = KeyRules {
        mac: MacAlgorithm::Sm4UnionPay,
        key_block: KeyBlockLayout::Sm4,
        ..Profile::unionpay().keys
    };
    let record = |byte: u8| {
        let key = BlockKey::Sm4(Sm4Key::new([byte; 16]));
        [&Sm4Key::new([0x11; 16]).encrypt([byte; 16])[..], &key.check_value()].concat()
    };
    let mut store = SoftwareStore::new(rules);
    store.load_master(&MasterKeyMaterial::new([0x11; 16])).unwrap();
    let opened = store.open(&[record(0x22), record(0x33)].concat()).unwrap();
    let pan = Pan::new("6225880012345678").unwrap();
    let pin = opened.session.pin_block(&ClearPin::new(b"123456").unwrap(), &pan).unwrap();
    let request = |pin: Option<&PinBlock>| {
        let wire = wire(Kind::Sale, None, pin.is_some(), &[], &[]);
        let fields = RequestFields { pin, ..fields(&wire, 3, 1000, &pan) };
        messages::request(&identity(), &fields, opened.session.as_ref()).unwrap().fields
    };
    let with_pin = request(Some(&pin));
    assert_eq!(with_pin.bytes(De::PIN_BLOCK), Some(&[0; 8][..]));
    assert_eq!(with_pin.bytes(De::EXTENSION), Some(&[b"A1016", pin.reveal()].concat()[..]));
    assert_eq!(with_pin.text(De::SECURITY), Some("2300000000000000"));
    assert_eq!(request(None).text(De::SECURITY), Some("0300000000000000"));
    assert!(!request(None).has(De::EXTENSION));
}

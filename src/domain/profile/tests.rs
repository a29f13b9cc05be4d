//! Goal: the shipped text is whole, a short text changes only what it names, and a wrong one says where and why.
use super::*;
use crate::domain::crypto::testing;
use crate::domain::emv::tlv::Tag;
use crate::domain::iso8583::{De, Message, pack};
use crate::domain::unionpay::de55::UnableOnline;

fn changed(text: &str) -> Result<Profile, Vec<String>> {
    let read = read("icbc", Path::new("icbc.toml"), text, Some(&Profile::unionpay()));
    read.map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

/// Goal: the compiled-in text can be read, names every key, and says what the documents say.
#[test]
fn the_shipped_profile_names_every_key() {
    let profile = shipped();
    assert_eq!(profile.tpdu, [0x60, 0x00, 0x05, 0x00, 0x00]);
    assert_eq!(profile.reversal_codes.of(ReversalReason::NoAnswer), "98");
    assert_eq!(profile.icc.mandatory.len(), 14);
    // Every line with a key can be left out of a file, but not of this one.
    let lines: Vec<&str> = SHIPPED.lines().collect();
    let keys = |line: &&str| line.contains(" = ") && !line.starts_with('#');
    let head = lines.iter().position(|line| line.starts_with("[[response]]")).unwrap();
    for (n, line) in lines.iter().enumerate().take(head).filter(|(_, line)| keys(line)) {
        let without: Vec<&str> = lines.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, l)| *l).collect();
        let errors = read(UNIONPAY, Path::new("x"), &without.join("\n"), None).unwrap_err();
        let key = line.split(" = ").next().unwrap();
        assert!(
            errors.0.iter().any(|e| e.key.ends_with(key) && e.problem == "is missing"),
            "{line}: {errors}"
        );
    }
}

/// Goal: what a text leaves out is its base's; what it names is changed, and rows of responses are laid over.
#[test]
fn a_short_text_changes_only_what_it_names() {
    let text = "[keys]\nmac = \"x9.19\"\nmac-form = \"binary\"\n[forms]\nprivate-60-digits = 13\nrefund-63 = \"CUP\"\n\
        [chip-data]\noptional = [\"9F34\"]\n[[response]]\ncode = \"51\"\nclass = \"retryable\"\nzh = \"余额\"\n\
        en = \"no money\"\nnext = \"other-card\"\n";
    let (profile, base) = (changed(text).unwrap(), Profile::unionpay());
    assert_eq!(profile.name, "icbc");
    assert_eq!(profile.keys.mac.word(), "x9.19");
    assert_eq!((profile.forms.private_60_digits, profile.forms.refund_63.as_str()), (13, "CUP"));
    assert_eq!(profile.icc.optional, [Tag(0x9F34)]);
    assert_eq!(profile.catalogue.look_up("51").en, "no money");
    assert_eq!(profile.catalogue.rows().len(), base.catalogue.rows().len());
    assert_eq!((&profile.reversal_codes, profile.header), (&base.reversal_codes, base.header));
    assert_eq!(changed("").unwrap(), Profile { name: "icbc".to_owned(), ..Profile::clone(&base) });
    let batch = BatchNumber::new(1).unwrap();
    assert_eq!(profile.forms.private_60("22", batch, "501"), "2200000100050");
    assert_eq!(base.forms.private_60("22", batch, "50"), "22000001000500");
}

/// Goal: every wrong value is told with file, line, key and what is allowed, all at once.
#[test]
fn a_wrong_text_says_where_and_why() {
    let check = |text: &str, expected: &[&str]| assert_eq!(changed(text).unwrap_err(), expected, "{text}");
    check(
        "[forms]\npin-capture = \"3\"\n[reversal]\nattempts = 0\nno-answer = \"980\"\n",
        &[
            "icbc.toml:2: [forms] pin-capture is \"3\"; allowed: 2 digits",
            "icbc.toml:4: [reversal] attempts is 0; allowed: 1 to 99",
            "icbc.toml:5: [reversal] no-answer is \"980\"; allowed: 2 letters or digits",
        ],
    );
    check(
        "[forms]\npin = 1\n",
        &[concat!(
            "icbc.toml:2: [forms] pin is not known; allowed: entry-mode-code, entry-mode-fallback, pin-capture, ",
            "security-pin, security-cipher, private-60-digits, refund-63, advice-63, ",
            "upload-63, script-condition, sequence-number"
        )],
    );
    let cipher = "icbc.toml:2: [forms] security-cipher is \"66\"; allowed: by-key, or one digit";
    check("[forms]\nsecurity-cipher = \"66\"\n", &[cipher]);
    check("[forms]\nsecurity-pin = \"3\"\n", &["icbc.toml:2: [forms] security-pin is \"3\"; allowed: 1, 2"]);
    check("[frame]\ntpdu = \"60\"\n", &["icbc.toml:2: [frame] tpdu is \"60\"; allowed: 10 hex digits"]);
    let mixed = changed("[keys]\nmac = \"sm4-ecb-unconfirmed\"\n").unwrap_err();
    let why = "an SM4 MAC needs the SM4 key block, and the other way round";
    assert_eq!(mixed, [format!("icbc.toml:2: [keys] mac and block do not go together; allowed: {why}")]);
    let tracks =
        changed("[forms]\npin-capture = \"12\"\n[keys]\nblock = \"unionpay\"\ntrack-encryption = true\n");
    let why = "only sign-on 004 asks for a key for tracks";
    let expected = "icbc.toml:5: [keys] track-encryption and sign-on-keys do not go together; allowed: ";
    assert_eq!(tracks.unwrap_err(), [format!("{expected}{why}")]);
    let unknown = changed("\n[fram]\ntpdu = \"60\"\n").unwrap_err();
    assert!(unknown[0].starts_with("icbc.toml:2: [fram] is not known; allowed: [frame], "), "{unknown:?}");
    let broken = changed("[frame\n").unwrap_err();
    assert!(broken[0].starts_with("icbc.toml:1: is not TOML"), "{broken:?}");
    let tags = changed("[chip-data]\nmandatory = [\"9f26\"]\n").unwrap_err();
    assert!(tags[0].starts_with("icbc.toml:2: [chip-data] mandatory holds \"9f26\""), "{tags:?}");
}

/// Goal: an element stands on the wire as the profile says, all others as before; what is no format, or an element that
/// cannot be changed, is told with what is allowed.
#[test]
fn elements_stand_on_the_wire_as_the_profile_says() {
    let profile =
        changed("[fields]\n48 = \"ans..322 lll\"\n22 = \"n3 right\"\n57 = \"b..20 bin1\"\n").unwrap();
    let (base, mut message) = (Profile::unionpay(), Message::new("0200"));
    message.set(De::AMOUNT, "000000001000").set(De::ENTRY_MODE, "021").set(De::ADDITIONAL_DATA, "12");
    let hex = |dialect: &Dialect| testing::hex(&pack(dialect, &message).unwrap());
    assert_eq!(hex(&base.dialect), "020010000400000100000000000010000210000212");
    assert_eq!(hex(&profile.dialect), "02001000040000010000000000001000002100023132");
    let check = |text: &str, expected: &str| {
        let errors = changed(&format!("[fields]\n{text}\n")).unwrap_err();
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{errors:?}");
    };
    check(
        "48 = \"ans..322\"",
        "icbc.toml:2: [fields] 48 is \"ans..322\"; allowed: a length behind .. needs a prefix",
    );
    check(
        "48 = \"x9\"",
        "icbc.toml:2: [fields] 48 is \"x9\"; allowed: a format begins with n, z, an, ans or b",
    );
    check("48 = 9", "icbc.toml:2: [fields] 48 is 9; allowed: a text");
    for key in ["64", "1", "048", "mac"] {
        let expected = format!("icbc.toml:2: [fields] {key} is not known; allowed: the elements 2 to 63");
        check(&format!("{key} = \"n3\""), &expected);
    }
}

/// Goal: message type and bitmap stand as the profile says, each by itself; other words are told with those allowed.
#[test]
fn type_and_bitmap_stand_on_the_wire_as_the_profile_says() {
    let mut message = Message::new("0820");
    message.set(De::STAN, "000001");
    let wire = |text: &str| pack(&changed(text).unwrap().dialect, &message).unwrap();
    assert_eq!(testing::hex(&wire("")), "08200020000000000000000001");
    assert_eq!(wire("[frame]\nmti = \"ascii\"\n"), [b"0820".as_slice(), &wire("")[2..]].concat());
    let bitmap = wire("[frame]\nbitmap = \"ascii\"\n");
    assert_eq!(bitmap, [&wire("")[..2], b"0020000000000000", &[0, 0, 1]].concat());
    let both = wire("[frame]\nmti = \"ascii\"\nbitmap = \"ascii\"\n");
    assert_eq!(both, [b"08200020000000000000".as_slice(), &[0, 0, 1]].concat());
    for key in ["mti", "bitmap"] {
        let expected = format!("icbc.toml:2: [frame] {key} is \"binary\"; allowed: packed, ascii");
        assert_eq!(changed(&format!("[frame]\n{key} = \"binary\"\n")).unwrap_err(), [expected]);
        let expected = format!("icbc.toml:2: [frame] {key} is 1; allowed: packed, ascii");
        assert_eq!(changed(&format!("[frame]\n{key} = 1\n")).unwrap_err(), [expected]);
    }
}

/// Goal: what the bank counts and what it hears of a chip that was left alone are settings of two words each.
#[test]
fn counting_and_the_code_of_an_upload_are_settings() {
    let base = Profile::unionpay();
    assert_eq!((base.voided_sales, base.icc.unable_online), (VoidedSales::BothSides, UnableOnline::AsTold));
    let text = "[settlement]\nvoided-sales = \"neither\"\n[chip-data]\nupload-unable-online = \"Y1\"\n";
    let profile = changed(text).unwrap();
    let expected = (VoidedSales::Neither, UnableOnline::AsOffline);
    assert_eq!((profile.voided_sales, profile.icc.unable_online), expected);
    let wrong = changed("[settlement]\nvoided-sales = \"both\"\n").unwrap_err();
    let expected = "icbc.toml:2: [settlement] voided-sales is \"both\"; allowed: both-sides, neither";
    assert_eq!(wrong, [expected]);
    let wrong = changed("[chip-data]\nupload-unable-online = \"Z3\"\n").unwrap_err();
    assert_eq!(wrong, ["icbc.toml:2: [chip-data] upload-unable-online is \"Z3\"; allowed: Y3, Y1"]);
    let unknown = changed("[settlement]\nvoids = 1\n").unwrap_err();
    assert_eq!(unknown, ["icbc.toml:2: [settlement] voids is not known; allowed: voided-sales"]);
}

/// Goal: no profile makes the terminal tell people "approved" where it books nothing, or the other way round.
#[test]
fn what_books_money_is_not_a_setting() {
    let row = |code: &str, class: &str| {
        changed(&format!(
            "[[response]]\ncode = \"{code}\"\nclass = \"{class}\"\nzh = \"一\"\nen = \"one\"\nnext = \"done\"\n"
        ))
    };
    assert!(row("51", "approved").unwrap_err()[0].contains("does not fit the code"));
    assert!(row("00", "do-not-retry").unwrap_err()[0].contains("does not fit the code"));
    assert!(row("Z9", "do-not-retry").is_ok() && row("A2", "approved").is_ok());
}

/// Goal: no profile puts a track, a card number or an expiry into DE 55, which the journal keeps.
#[test]
fn chip_data_holds_no_secret() {
    for tag in ["57", "5A", "5F24", "5F34", "5F20", "9F20", "9F6B", "56", "99"] {
        let wrong = changed(&format!("[chip-data]\noptional = [\"9F34\", \"{tag}\"]\n")).unwrap_err();
        assert!(
            wrong[0].starts_with(&format!("icbc.toml:2: [chip-data] optional holds \"{tag}\"")),
            "{wrong:?}"
        );
    }
}

/// Goal: an element that answers repeat is not filled on the wire, or no answer would match; a code stands once; texts
/// have no control characters; an element that must have a value is not emptied.
#[test]
fn what_would_never_work_is_refused() {
    assert!(changed("[fields]\n41 = \"ans10 spaces\"\n").unwrap_err()[0].contains("is filled"));
    assert!(changed("[fields]\n38 = \"an8 spaces\"\n").is_ok());
    let row =
        "[[response]]\ncode = \"51\"\nclass = \"retryable\"\nzh = \"一\"\nen = \"one\"\nnext = \"done\"\n";
    assert!(changed(&row.repeat(2)).unwrap_err()[0].contains("51 stands twice"));
    assert!(changed(&row.replace("one", "o\\u001bne")).unwrap_err()[0].contains("[[response]] en"));
    for key in ["upload-63", "refund-63"] {
        assert!(changed(&format!("[forms]\n{key} = \"\"\n")).unwrap_err()[0].contains("1 to 20"));
    }
    assert!(changed("[forms]\nadvice-63 = \"\"\n").is_ok());
}

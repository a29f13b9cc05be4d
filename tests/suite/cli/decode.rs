//! `posctl decode` through the real binary: every vector, every dress of input, what is masked, and how it looks.
use super::{document, posctl, run, stderr};
use crate::vectors;
use proptest::prelude::*;
use serde_json::Value as Json;
use std::io::Write;
use std::process::{Output, Stdio};

/// Runs with bytes on stdin.
fn piped(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = posctl(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Goal: each published and synthetic message is told exactly as its source lists it, in its own dialect.
#[test]
fn every_message_is_told_as_listed() {
    let messages = vectors::messages();
    assert_eq!(messages.len(), 12 + 33);
    for message in messages {
        let output = run(&["decode", "8583", "--json", "--unmask", &message.hex]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", message.name, out(&output));
        assert!(stderr(&output).contains("in clear"), "{}: no warning", message.name);
        let data = &document(&output)["data"];
        let dialect = if message.name == "A24" { "iso8583-1987-ascii" } else { "unionpay" };
        assert_eq!(data["dialect"], dialect, "{}", message.name);
        let mut elements = 0;
        for (key, expected) in &message.expected {
            let told = match key.as_str() {
                "mti" | "tpdu" | "header" => &data[key.as_str()],
                number => {
                    elements += 1;
                    assert!(
                        !data["explained"][number]["name"].as_str().unwrap().is_empty(),
                        "{} {key}",
                        message.name
                    );
                    &data["fields"][number]
                }
            };
            assert_eq!(told, &Json::from(expected.as_str()), "{} element {key}", message.name);
        }
        assert_eq!(data["fields"].as_object().unwrap().len(), elements, "{}", message.name);
    }
}

/// Goal: masked, no message shows a card number, a track, a PIN block or a key, in JSON and in both languages.
#[test]
fn no_message_shows_card_data_or_keys() {
    let secrets = [
        "6225880012345678",
        "36323235383830303132333435363738",
        "6221550999400728",
        "6227001823260036733",
        "6324392260009942820",
        "D3012",
        "3F96218777906948",
        "F421C8F4FFE584DC",
        "41B1F3D154C3079A",
        "51DBA323AF605992",
        "E8934A67",
        "950973182317F80B",
        "6A5D90C152DF2778",
    ];
    for message in vectors::messages() {
        for options in [&["--json"][..], &["--lang", "zh"], &["--lang", "en"]] {
            let output = run(&[&["decode", "8583", &message.hex], options].concat());
            assert_eq!(output.status.code(), Some(0), "{}", message.name);
            for secret in secrets {
                assert!(!out(&output).contains(secret), "{} {options:?} shows {secret}", message.name);
            }
        }
    }
}

/// Goal: chip data of the vectors is told object by object, in exactly the form of the contract.
#[test]
fn chip_data_of_the_vectors_is_told() {
    for part in vectors::object_parts() {
        let data = document(&run(&["decode", "tlv", "--json", &part.hex]))["data"].clone();
        let told: Vec<(String, String)> = data
            .as_array()
            .unwrap()
            .iter()
            .map(|object| {
                let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
                assert_eq!(keys, ["tag", "name", "length", "value", "children"], "{}", part.name);
                assert!(object["name"].is_string(), "{}: {} has no name", part.name, object["tag"]);
                (object["tag"].as_str().unwrap().to_owned(), object["value"].as_str().unwrap().to_owned())
            })
            .collect();
        assert_eq!(told, part.expected, "{}", part.name);
    }
}

/// Goal: every answer of the recorded cards is read, status word too, with every object named but the issuer's own.
#[test]
fn answers_of_cards_are_told() {
    let mut answers = 0;
    for transcript in vectors::TRANSCRIPTS {
        let cards = transcript.lines().filter_map(|line| line.strip_prefix("R "));
        for answer in cards.filter(|answer| answer.len() > 4 && answer.ends_with("9000")) {
            answers += 1;
            let output = run(&["decode", "tlv", "--json", answer]);
            assert_eq!(output.status.code(), Some(0), "{answer}: {}", out(&output));
            let data = &document(&output)["data"];
            assert_eq!(data.as_array().unwrap().len(), 1, "{answer}");
            assert!(all_named(data), "{data}");
            assert!(!out(&output).contains("1234560012345608"), "{answer}");
        }
    }
    assert!(answers > 15, "{answers}");
}

fn all_named(objects: &Json) -> bool {
    let private = |object: &Json| object["tag"].as_str().unwrap().starts_with("DF");
    let named = |object: &Json| object["name"].is_string() || private(object);
    objects.as_array().unwrap().iter().all(|object| named(object) && all_named(&object["children"]))
}

/// Goal: whatever dress a message comes in, it is the same message.
#[test]
fn a_message_is_found_in_every_dress() {
    let echo = vectors::messages().into_iter().find(|message| message.name == "B26").unwrap();
    let bytes = vectors::bytes(&echo.hex);
    let wanted = document(&run(&["decode", "8583", "--json", &echo.hex]))["data"]["fields"].clone();
    let spaced: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let colons = spaced.join(":");
    let prefixed: Vec<String> = bytes.iter().map(|byte| format!("0x{byte:02x},")).collect();
    let body = echo.hex[26..].to_owned();
    let framed = echo.hex[4..].to_owned();
    for text in [spaced.join(" "), colons, prefixed.join(" "), body, framed] {
        assert_eq!(document(&run(&["decode", "8583", "--json", &text]))["data"]["fields"], wanted, "{text}");
    }
    let arguments: Vec<&str> = spaced.iter().map(String::as_str).collect();
    let several = run(&[&["decode", "8583", "--json"], arguments.as_slice()].concat());
    assert_eq!(document(&several)["data"]["fields"], wanted);
    let log = format!("Nov 25 18:53:17 till posd[812]: line=3 frame={} (54 bytes)\n", echo.hex);
    for input in
        [echo.hex.as_bytes(), log.as_bytes(), &bytes, format!("{{\"raw\":\"{}\"}}", echo.hex).as_bytes()]
    {
        assert_eq!(document(&piped(&["decode", "8583", "--json", "-"], input))["data"]["fields"], wanted);
    }
}

/// Goal: the plain dialect is recognised in characters, and a named dialect is the only one tried.
#[test]
fn the_dialect_is_told_or_forced() {
    let text = "0800202000000080000092000000002910000001";
    let data = document(&run(&["decode", "8583", "--json", text]))["data"].clone();
    assert_eq!((&data["dialect"], &data["mti"]), (&"iso8583-1987-ascii".into(), &"0800".into()), "{data}");
    let forced = run(&["decode", "8583", "--json", "--dialect", "unionpay", text]);
    assert_eq!(forced.status.code(), Some(1));
    let profile = run(&["decode", "8583", "--json", "--profile", "unionpay", "08000000000000000000"]);
    assert_eq!(profile.status.code(), Some(0), "{}", out(&profile));
    let missing = run(&["decode", "8583", "--json", "--profile", "/nonexistent.toml", "0800"]);
    assert_eq!((missing.status.code(), &document(&missing)["error"]["name"]), (Some(2), &"Usage".into()));
}

/// Goal: a message that is cut off shows what stands before the cut, then where and why, and fails.
#[test]
fn a_broken_message_is_told_up_to_the_failure() {
    let sale = vectors::messages().into_iter().find(|message| message.name == "B5").unwrap();
    let cut = &sale.hex[..180];
    let output = run(&["decode", "8583", cut]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("622588******5678"), "{}", out(&output));
    assert!(stderr(&output).contains("DE 42 at byte 66"), "{}", stderr(&output));
    let json = document(&run(&["decode", "8583", "--json", cut]));
    let details = &json["error"]["details"];
    assert_eq!((&details["offset"], &details["input-offset"]), (&66.into(), &79.into()));
    assert_eq!(details["partial"]["fields"]["4"], "000000001000");
    let tlv = document(&run(&["decode", "tlv", "--json", "9C01009A03"]));
    assert_eq!(tlv["error"]["details"]["offset"], 3);
    assert_eq!(tlv["error"]["details"]["partial"][0]["tag"], "9C");
}

/// Goal: an answer to reset is told byte by byte, and where it departs from EMV.
#[test]
fn an_answer_to_reset_is_told() {
    let data = document(&run(&["decode", "atr", "--json", "3B 65 00 00 20 63 CB 68 00"]))["data"].clone();
    assert_eq!(data["protocols"], Json::from(vec!["T=0"]));
    assert_eq!((&data["tck"], &data["departures"]), (&"not-wanted".into(), &Json::from(Vec::<Json>::new())));
    assert_eq!(data["historical"], "2063CB6800");
    let wrong = document(&run(&["decode", "atr", "--json", "3B8480010012233F9B"]))["data"].clone();
    assert_eq!(wrong["tck"], "wrong");
    let cut = run(&["decode", "atr", "--json", "3BE500"]);
    assert_eq!((cut.status.code(), &document(&cut)["error"]["name"]), (Some(1), &"Malformed".into()));
}

/// A slip as posd sends it, with a picture, a code, a drawer pulse and a command that nobody knows.
fn slip() -> Vec<u8> {
    let gb = |text: &str| encoding_rs::GB18030.encode(text).0.into_owned();
    [
        b"\x1b@\x1c&\x1ba\x01\x1d!\x11".to_vec(),
        gb("银联签购单\n"),
        b"\x1d!\x00\x1ba\x00".to_vec(),
        gb("卡号 6225 8800 1234 5678\n"),
        b"\x1bE\x01RMB 12.50\n\x1bE\x00\n\x1d(k\x04\x001A2\x00\x1d(k\x10\x001P0https://a.b/c".to_vec(),
        b"\x1dv0\x00\x30\x00\x02\x00".to_vec(),
        vec![0x1B; 96],
        b"\x1b\x01\x1bd\x04\x1dVB\x00\x1bp\x00\x19\xfa\x10\x04\x01\x1d(H\x06\x00000042".to_vec(),
    ]
    .concat()
}

/// Goal: how a slip's bytes look to a technician, in both languages, from raw bytes and from hex alike.
#[test]
fn printer_bytes_look_as_agreed() {
    let golden = [
        ("en", include_str!("../../data/decode/slip.en.txt")),
        ("zh", include_str!("../../data/decode/slip.zh.txt")),
    ];
    let hex: String = slip().iter().map(|byte| format!("{byte:02x}")).collect();
    for (language, expected) in golden {
        let raw = piped(&["decode", "escpos", "--lang", language, "-"], &slip());
        assert_eq!((raw.status.code(), out(&raw).as_str()), (Some(0), expected), "{language}");
        assert_eq!(out(&run(&["decode", "escpos", "--lang", language, &hex])), expected, "{language}");
    }
}

/// Goal: the form of the document, and where a stream that is cut off ends.
#[test]
fn printer_bytes_have_the_documented_keys() {
    let data = document(&run(&["decode", "escpos", "--json", "1B6101 41 07"]))["data"].clone();
    assert_eq!(
        data,
        serde_json::json!([
            { "offset": 0, "length": 3, "command": "ESC a", "name": "Alignment", "parameters": "01", "meaning": "centre" },
            { "offset": 3, "length": 1, "text": "A" },
            { "offset": 4, "length": 1, "unknown": "07" },
        ])
    );
    let cut = document(&run(&["decode", "escpos", "--json", "sent frame=1B40411D5642 to printer"]));
    let error = &cut["error"];
    assert_eq!((&error["name"], &error["details"]["offset"]), (&"Malformed".into(), &3.into()), "{cut}");
    assert_eq!(error["details"]["partial"].as_array().unwrap().len(), 2, "{cut}");
}

/// Goal: how a sale looks to a technician, in both languages, within 80 columns.
#[test]
fn a_sale_looks_as_agreed() {
    let sale = vectors::messages().into_iter().find(|message| message.name == "B5").unwrap();
    let golden = [
        ("en", include_str!("../../data/decode/sale.en.txt")),
        ("zh", include_str!("../../data/decode/sale.zh.txt")),
    ];
    for (language, expected) in golden {
        let text = out(&run(&["decode", "8583", "--lang", language, &sale.hex]));
        assert_eq!(text, expected, "{language}");
        for line in text.lines() {
            let wide = line.chars().map(|c| if c.is_ascii() || c == '·' { 1 } else { 2 }).sum::<usize>();
            assert!(wide <= 80, "{line}");
        }
    }
}

/// A card number with its check digit.
fn card_number() -> impl Strategy<Value = String> {
    ("(4|5|62|35)[0-9]{11,16}").prop_map(|digits: String| {
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(at, digit)| {
                let digit = u32::from(digit - b'0');
                let doubled = digit * 2;
                if at % 2 == 0 { doubled / 10 + doubled % 10 } else { digit }
            })
            .sum();
        format!("{digits}{}", (10 - sum % 10) % 10)
    })
}

/// Where a sender may put it: a place in a message or in chip data, as hex.
fn placed(number: &str, place: usize) -> (&'static str, String) {
    let packed = if number.len().is_multiple_of(2) { number.to_owned() } else { format!("{number}F") };
    let text: String = number.bytes().map(|byte| format!("{byte:02X}")).collect();
    let length = format!("{:02X}", packed.len() / 2);
    let field = |bitmap: &str, value: &str| format!("0200{bitmap}{value}");
    let lll = |count: usize| format!("{count:04}");
    let zeros = if number.len().is_multiple_of(2) { "" } else { "0" };
    match place {
        0 => ("tlv", format!("5A{length}{packed}")),
        1 => ("tlv", format!("70{:02X}DF7E{length}{packed}", packed.len() / 2 + 3)),
        2 => ("tlv", format!("50{:02X}{text}", text.len() / 2)),
        3 => ("tlv", format!("9F10{length}{packed}")),
        4 => ("8583", field("4000000000000000", &format!("{:02}{number}{zeros}", number.len()))),
        5 => ("8583", field("0000000000010000", &format!("{}{number}{zeros}", lll(number.len())))),
        6 => ("8583", field("0000000000000002", &format!("{}{text}", lll(number.len())))),
        7 => ("8583", field("0000000000000020", &format!("{}{}{text}", lll(number.len() + 5), "4133303136"))),
        8 => ("8583", field("0000000000000004", &format!("{}{text}", lll(number.len())))),
        9 => ("8583", field("0000000000000008", &format!("{}{number}{zeros}", lll(number.len())))),
        10 => ("8583", field("0000000020000000", &format!("{:02}{number}D2512201{zeros}", number.len() + 9))),
        11 => {
            ("8583", field("0000000000000200", &format!("{}DF7E{length}{packed}", lll(packed.len() / 2 + 3))))
        }
        12 => ("8583", field("0000000000000010", &format!("{}{number}{zeros}", lll(number.len())))),
        13 => ("8583", field("0000000000000400", &format!("{}{text}", lll(number.len())))),
        14 => ("8583", field("0000000000000080", &format!("{}{text}", lll(number.len())))),
        15 => ("8583", field("0000000000100000", &format!("{:02}{text}", number.len()))),
        16 => ("tlv", format!("9F26{length}{packed}")),
        17 => ("track2", format!("{number}D25122010000")),
        18 => ("atr", format!("3B{:02X}{packed}", packed.len() / 2)),
        19 => ("escpos", format!("1B40{text}0A")),
        20 => ("escpos", format!("1D6B49{:02X}{text}", text.len() / 2)),
        _ => ("escpos", format!("1C285A{:02X}00{text}", text.len() / 2)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    /// Goal: wherever a sender puts a card number, it is never shown whole unless asked for, whether the input is whole
    /// or broken.
    #[test]
    fn a_card_number_is_never_shown_whole(number in card_number(), place in 0_usize..22, cut in 0_usize..6) {
        let (form, hex) = placed(&number, place);
        let hex = &hex[..hex.len() - (cut * 2).min(hex.len() - 2)];
        let text: String = number.bytes().map(|byte| format!("{byte:02X}")).collect();
        for options in [&["--json"][..], &["--lang", "zh"]] {
            let output = run(&[&["decode", form, hex], options].concat());
            prop_assert!(matches!(output.status.code(), Some(0..=2)), "{form} {hex}: {}", stderr(&output));
            let told = out(&output) + &stderr(&output);
            prop_assert!(!told.contains(&number) && !told.contains(&text), "{form} {hex}: {told}");
        }
    }

    /// Goal: whatever stands on stdin, decode answers or refuses by name.
    #[test]
    fn any_input_is_told_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,80}") {
        for form in ["tlv", "8583", "track2", "atr", "escpos"] {
            for input in [bytes.as_slice(), text.as_bytes()] {
                let output = piped(&["decode", form, "--json", "-"], input);
                prop_assert!(matches!(output.status.code(), Some(0..=2)), "{} {}", form, stderr(&output));
                document(&output);
            }
        }
    }
}

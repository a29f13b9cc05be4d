//! posctl without a daemon: command lines that cannot be, help, and what is decoded offline.
use super::{document, posctl, run, stderr};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::io::Write;
use std::process::Stdio;

/// Usage errors exit 2 and are a document with --json, wherever it stands; commands of later versions are such errors.
#[test]
fn a_wrong_command_line_is_told_in_text_and_json() {
    for arguments in [
        &["settle", "now"][..],
        &["settle", "--force-close"],
        &["void"],
        &["refund", "1.00"],
        &["refund", "1.00", "--rrn", "123456789012"],
        &["pre-auth", "complete", "1.00"],
        &["pre-auth", "start"],
        &["sale", "1.00", "--auth-code", "123456"],
        &["operator", "remove", "05"],
        &["queue", "resolve", "7", "stolen"],
        &["ledger", "totals", "--from", "22.11.2026"],
        &["sale"],
        &["sale", "12.5"],
        &["sale", "0.00"],
        &["sale", "1.00", "--request-id", "a b"],
        &["sale", "1.00", "--plies", "4"],
        &["operator", "sign-on", "1"],
        &["--lang", "fr"],
        &["decode", "tlv", "9G"],
        &["txn", "list", "--limit", "0"],
    ] {
        let text = run(arguments);
        assert_eq!(text.status.code(), Some(2), "{arguments:?}: {}", stderr(&text));
        assert!(text.stdout.is_empty() && !text.stderr.is_empty(), "{arguments:?}");
        let json = run(&[arguments, &["--json"]].concat());
        assert_eq!(json.status.code(), Some(2), "{arguments:?}");
        let document = document(&json);
        assert_eq!(document["ok"], false, "{arguments:?}");
        assert_eq!(document["error"]["name"], "Usage", "{arguments:?}");
        assert!(document["error"]["details"].is_object());
    }
}

/// Nobody at the other end: 4, said in the person's language; nothing starts and nothing is asked.
#[test]
fn a_missing_daemon_is_exit_4() {
    let json = run(&["--json"]);
    assert_eq!(json.status.code(), Some(4));
    assert_eq!(document(&json)["error"]["name"], "DaemonUnreachable");
    let text = run(&["sale", "1.00"]);
    assert_eq!(text.status.code(), Some(4));
    assert!(text.stdout.is_empty());
    let zh = run(&["status", "--lang", "zh"]);
    assert!(stderr(&zh).contains("无法连接"), "{}", stderr(&zh));
    let private = run(&["--address", "unix:path=/nonexistent/other", "--json", "txn", "list"]);
    assert_eq!(private.status.code(), Some(4));
}

#[test]
fn help_and_version_are_answers() {
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(document(&run(&["--version", "--json"]))["data"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document(&run(&["sale", "--help", "--json"]))["data"]["help"].is_string());
}

/// Card data is masked unless asked for; the keys are those of the manual page.
#[test]
fn tlv_is_decoded_offline_and_masked() {
    let hex = "70 13 5A 08 62 28 48 00 00 00 12 34 57 04 62 28 D2 91 9C 01 00";
    let shown = document(&run(&["decode", "tlv", "--json", hex]));
    let template = &shown["data"][0];
    assert_eq!((&template["tag"], &template["length"]), (&"70".into(), &19.into()));
    let pan = &template["children"][0];
    assert_eq!(pan["tag"], "5A");
    assert_eq!(pan["name"], "Primary account number");
    assert_eq!(pan["value"], "622848******1234");
    let text = run(&["decode", "tlv", hex]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("622848******1234") && !text.contains("6228480000001234"), "{text}");
    let clear = document(&run(&["decode", "tlv", "--unmask", "--json", hex]));
    assert_eq!(clear["data"][0]["children"][0]["value"], "6228480000001234");
}

/// A sign-on request of a public code sample (java8583 QuickStart by Ajsgn), from stdin, with its length and TPDU.
#[test]
fn a_message_is_decoded_from_stdin() {
    let hex = "0041600000000060220000000008000020000000C00012\n0001723530303830303031333039333130303833393835303038\
               001100000172003000";
    let hex = format!("{hex}03435550");
    // The bitmap above names 11, 41, 42, 60, 63; the length is made to fit.
    let body: String = hex.chars().filter(|c| !c.is_whitespace()).skip(4).collect();
    let framed = format!("{:04X}{body}", body.len() / 2);
    let mut child = posctl(&["decode", "8583", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(framed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let data = &document(&output)["data"];
    assert_eq!(data["mti"], "0800");
    assert_eq!((&data["tpdu"], &data["header"]), (&"6000000000".into(), &"602200000000".into()));
    assert_eq!(data["fields"]["11"], "000172");
    assert_eq!(data["fields"]["41"], "50080001");
    let bare = run(&["decode", "8583", "--json", &body[22..]]);
    assert_eq!(document(&bare)["data"]["fields"]["41"], "50080001");
    assert_eq!(document(&bare)["data"]["tpdu"], Json::Null);
    let broken = run(&["decode", "8583", "--json", "0800"]);
    assert_eq!(broken.status.code(), Some(1));
    assert_eq!(document(&broken)["error"]["name"], "Malformed");
}

#[test]
fn track_2_is_decoded_and_masked() {
    let track = "6225880012345678D30122010000012345678";
    let data = document(&run(&["decode", "track2", "--json", track]))["data"].clone();
    assert_eq!(data["pan"], "622588******5678");
    assert_eq!((&data["expiry"], &data["service-code"]), (&"3012".into(), &"201".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever the bytes are, decoding ends in an answer or a named failure, never in a crash, and never shows what
    /// looks like a whole card number of the input's field 2.
    #[test]
    fn arbitrary_bytes_never_crash_decode(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in ["tlv", "8583", "track2"] {
            if hex.is_empty() { continue; }
            let output = run(&["decode", form, "--json", &hex]);
            prop_assert!(matches!(output.status.code(), Some(0 | 1)), "{} {}", form, stderr(&output));
            document(&output);
        }
    }
}

/// The same through the door that a mistyped command line takes: texts that are not hex.
#[test]
fn odd_texts_are_refused_by_name() {
    for text in ["zz", "0", "９Ｆ", "--", "", " "] {
        let output = run(&["decode", "tlv", "--json", "--", text]);
        assert!(matches!(output.status.code(), Some(0 | 2)), "{text:?}: {}", stderr(&output));
        document(&output);
    }
}

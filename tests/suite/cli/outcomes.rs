//! Exit status, prompts and documents of posctl against the fake daemon: how a sale ends, who types what, and what is
//! read afterwards.
use super::daemon::{Script, sale, with_daemon};
use super::{POSCTL, document, posctl, run, stderr};
use serde_json::Value as Json;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

/// Every outcome has its exit status, and the document carries what the daemon knows.
#[test]
fn a_sale_exits_by_its_outcome() {
    for (outcome, code, exit) in [
        ("approved", "approved", 0),
        ("stored-offline", "offline-approved", 0),
        ("declined", "declined-host", 7),
        ("unknown", "host-timeout", 8),
        ("reversed", "host-timeout", 8),
        ("cancelled", "operator-cancelled", 1),
        ("cancelled", "customer-timeout", 3),
        ("failed", "connect-failed", 1),
    ] {
        let output = sale(Script::End(outcome, code), &["--json"]);
        assert_eq!(output.status.code(), Some(exit), "{outcome} {code}: {}", stderr(&output));
        let document = document(&output);
        assert_eq!(document["ok"], true);
        assert_eq!(document["data"]["outcome"], outcome);
        assert_eq!(document["data"]["request-id"], "till-1");
        assert_eq!(document["data"]["amount"], 1250);
        assert!(stderr(&output).contains("till-1"), "the request id is told while it runs");
    }
}

#[test]
fn refusals_exit_by_their_name() {
    for (name, exit) in
        [("Busy", 10), ("NotAuthorized", 5), ("NotSignedOn", 9), ("OperatorRequired", 9), ("DeviceAbsent", 6)]
    {
        let output = sale(Script::Refuse(name), &["--json"]);
        assert_eq!(output.status.code(), Some(exit), "{name}");
        let document = document(&output);
        assert_eq!(document["error"]["name"], name);
        assert_eq!(document["error"]["message"], "because");
    }
    let output = sale(Script::Refuse("OperatorRequired"), &["--json"]);
    assert_eq!(document(&output)["error"]["details"]["kind"], "operator");
}

/// People see prompts on stderr in their language, the result on stdout.
#[test]
fn people_read_prompts_and_result_in_their_language() {
    let zh = sale(Script::End("declined", "declined-host"), &["--lang", "zh"]);
    assert!(stderr(&zh).contains("请插入芯片卡"), "{}", stderr(&zh));
    let shown = String::from_utf8(zh.stdout).unwrap();
    assert!(shown.contains("交易失败") && shown.contains("12.50 CNY"), "{shown}");
    let en = sale(Script::End("approved", "approved"), &[]);
    assert!(stderr(&en).contains("Insert the card"));
    assert!(String::from_utf8(en.stdout).unwrap().starts_with("Sale approved\n"));
}

/// The PIN goes from a file into a sealed memory file, and only when the daemon asks.
#[test]
fn a_pin_from_a_file_answers_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pin");
    std::fs::write(&file, "4821\n").unwrap();
    let output = sale(Script::AskPin, &["--json", "--pin-file", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // Without a file and without a terminal nobody can be asked, and posctl must not hang.
    let output = sale(Script::AskPin, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(document(&output)["data"]["result-code"], "pin-cancelled");
}

/// The daemon dies in the middle. posctl waits and reads the outcome from what the daemon then knows.
#[test]
fn a_restart_in_the_middle_is_waited_for() {
    let output = sale(Script::Restart("reversed", "host-timeout"), &["--json"]);
    assert_eq!(output.status.code(), Some(8), "{}", stderr(&output));
    assert_eq!(document(&output)["data"]["outcome"], "reversed");
    let output = sale(Script::Restart("approved", "approved"), &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    let output = sale(Script::Forget, &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(document(&output)["error"]["name"], "Interrupted");
}

/// ^C lets go: 130, and how to come back is told. The transaction is not cancelled.
#[test]
fn an_interrupt_detaches() {
    with_daemon(Script::Hang, |address| {
        let mut child = posctl(&["sale", "12.50", "--request-id", "till-1", "--json", "--address", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut chatter = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(chatter.any(|line| line.unwrap() == "Insert the card"));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130));
        let document = document(&output);
        assert_eq!(document["error"]["name"], "Interrupted");
        assert_eq!(document["error"]["details"]["request-id"], "till-1");
        assert!(document["error"]["message"].as_str().unwrap().contains("posctl txn cancel till-1"));
    });
}

/// A terminal for posctl: `script` gives it one. Returns everything that was shown.
fn at_a_terminal(address: &str, wait_for: &str, type_in: &[u8]) -> String {
    let command = format!(
        "trap : INT; {POSCTL} sale 12.50 --request-id till-1 --lang en --address '{address}'; echo rc=$?; stty -a"
    );
    let mut child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (mut shown, mut typed, mut byte) = (Vec::new(), false, [0_u8; 1]);
    while screen.read(&mut byte).unwrap() == 1 {
        shown.push(byte[0]);
        if !typed && String::from_utf8_lossy(&shown).contains(wait_for) {
            keys.write_all(type_in).unwrap();
            keys.flush().unwrap();
            typed = true;
        }
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

/// The PIN is typed without echo, and the terminal has its echo back afterwards: after an answer, after Ctrl-D, and
/// after ^C in the middle of the question.
#[test]
fn the_terminal_gets_its_echo_back() {
    for (keys, exit) in [(&b"4821\n"[..], 0), (b"\x04", 1), (b"12\x03", 130)] {
        with_daemon(Script::AskPin, |address| {
            let shown = at_a_terminal(address, "PIN (", keys);
            assert!(shown.contains(&format!("rc={exit}")), "{keys:?}: {shown}");
            assert!(!shown.contains("4821"), "{shown}");
            assert!(shown.contains(" echo ") && !shown.contains("-echo "), "{shown}");
        });
    }
}

/// Work of the daemon ends by its own name: a silent host is a time-out, a finished test is an answer.
#[test]
fn jobs_end_by_their_result() {
    with_daemon(Script::Hang, |address| {
        let output = run(&["host", "sign-on", "--json", "--address", address]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(document(&output)["error"]["name"], "HostTimeout");
        let output = run(&["host", "test", "--json", "--address", address]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(document(&output)["data"]["result"]["tcp-ms"], 12);
        let output = run(&["printer", "status", "--json", "--address", address]);
        assert_eq!(output.status.code(), Some(6));
        let output = run(&["reader", "list", "--json", "--address", address]);
        assert_eq!(document(&output)["data"]["readers"], Json::Array(Vec::new()));
    });
}

/// Without a terminal nothing prompts: a password must come from a file or descriptor.
#[test]
fn nothing_is_asked_without_a_terminal() {
    with_daemon(Script::Hang, |address| {
        let output = run(&["operator", "sign-on", "01", "--address", address]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("--secret-file"));
    });
}

/// A finished sale is found by trace number, request id and path, shown, and printed once more.
#[test]
fn a_finished_sale_is_found_shown_and_printed() {
    with_daemon(Script::Sold, |address| {
        let ask = |arguments: &[&str]| run(&[arguments, &["--json", "--address", address]].concat());
        let listed = document(&ask(&["txn", "list"]));
        assert_eq!(listed["data"]["rows"][0]["request-id"], "till-1");
        assert_eq!(listed["data"]["next"], "more");
        let path = listed["data"]["rows"][0]["path"].as_str().unwrap().to_owned();
        for id in ["7", "till-1", &path] {
            let shown = ask(&["txn", "show", id]);
            assert_eq!(shown.status.code(), Some(0), "{id}: {}", stderr(&shown));
            let data = &document(&shown)["data"];
            assert_eq!((&data["outcome"], &data["timeline"][0]["stan"]), (&"approved".into(), &7.into()));
        }
        let missing = ask(&["txn", "show", "8"]);
        assert_eq!(
            (missing.status.code(), &document(&missing)["error"]["name"]),
            (Some(1), &"NotFound".into())
        );
        assert_eq!(document(&ask(&["txn", "cancel", "7"]))["data"]["answer"], "accepted");
        let watched = ask(&["txn", "watch", "till-1"]);
        assert_eq!(
            (watched.status.code(), &document(&watched)["data"]["outcome"]),
            (Some(0), &"approved".into())
        );
        let merchant = ask(&["reprint", "--ply", "merchant"]);
        assert_eq!(merchant.status.code(), Some(0), "{}", stderr(&merchant));
        let both = ask(&["reprint", "7"]);
        assert_eq!(both.status.code(), Some(6), "a held ply is a device that is not ready");
        assert_eq!(document(&both)["error"]["details"]["print-jobs"][1]["state"], "held");
    });
}

/// Slips go to stdout, into the document, or to a file; pictures never into a document.
#[test]
fn slips_are_read_without_printing() {
    with_daemon(Script::Sold, |address| {
        let text = run(&["txn", "receipt", "7", "--address", address]);
        assert_eq!(text.stdout, b"merchant slip as text");
        let json = run(&["txn", "receipt", "7", "--ply", "customer", "--json", "--address", address]);
        assert_eq!(document(&json)["data"]["receipt"], "customer slip as text");
        let picture = ["txn", "receipt", "7", "--format", "png", "--json", "--address", address];
        assert_eq!(run(&picture).status.code(), Some(2));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("slip.png");
        let written = run(&[&picture[..], &["--output", file.to_str().unwrap()]].concat());
        assert_eq!(document(&written)["data"]["bytes"], 20);
        assert_eq!(std::fs::read(&file).unwrap(), b"merchant slip as png");
    });
}

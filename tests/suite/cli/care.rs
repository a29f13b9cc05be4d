//! The verbs of care against the real bus objects with the small engine of the bus tests behind them, and what works
//! offline.
use super::{document, posctl, run as offline};
use crate::dbus::world::{TOKEN, World, run};
use serde_json::Value as Json;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// Goal: facts of security are shown with what to do, in both languages, and the status follows level 1.
#[test]
fn security_is_shown_with_what_to_do() {
    run(async {
        let world = World::start().await;
        let (exit, document) = world.json(&["security"]).await;
        assert_eq!((exit, &document["data"]["level"]), (Some(0), &1.into()), "{document}");
        assert_eq!(document["data"]["facts"][1]["id"], "tls");
        let output = world.posctl(&["security", "--lang", "zh"]).await;
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("线路未加密") && shown.contains("plain TCP"), "{shown}");
    });
}

/// Goal: a report is a new file of its owner's; one that is there is left alone.
#[test]
fn a_report_is_a_new_file() {
    run(async {
        let world = World::start().await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("report.tar");
        let name = file.to_str().unwrap();
        let (exit, document) = world.json(&["report", name]).await;
        assert_eq!(exit, Some(0), "{document}");
        assert_eq!(std::fs::read(&file).unwrap(), b"tar");
        assert_eq!(world.json(&["report", name]).await.0, Some(1));
    });
}

/// Goal: values are typed as their keys are, a change wants an administrator, and its checkpoint is told.
#[test]
fn a_change_is_typed_and_named() {
    run(async {
        let mut world = World::start().await;
        let (exit, document) = world.json(&["config", "get"]).await;
        assert_eq!((exit, &document["data"]["values"]["printer.plies"]), (Some(0), &2.into()));
        let (exit, document) = world.json(&["config", "set", "printer.plies=1"]).await;
        assert_eq!((exit, &document["error"]["details"]["action"]), (Some(5), &"parameters".into()));
        let allowed = ["--authorization", TOKEN];
        let set = ["config", "set", "printer.plies=1", "--timeout", "7"];
        let (exit, document) = world.json(&[&set[..], &allowed].concat()).await;
        assert_eq!((exit, &document["data"]["checkpoint"]), (Some(0), &"c1".into()), "{document}");
        let heard = world.heard();
        assert!(heard.contains("(\"printer.plies\", Number(1))") && heard.contains("wait: 7s"), "{heard}");
        for verb in ["confirm", "rollback"] {
            let (exit, document) = world.json(&[&["config", verb, "c1"][..], &allowed].concat()).await;
            assert_eq!(exit, Some(0), "{document}");
        }
        assert_eq!(world.json(&["config", "set", "printer.plies"]).await.0, Some(2));
        assert_eq!(world.json(&["config", "set", "printer.plies=two"]).await.0, Some(2));
    });
}

/// Goal: each signal is one document on a line of its own.
#[test]
fn signals_are_told_line_by_line() {
    run(async {
        let world = World::start().await;
        let mut command = posctl(&["monitor", "--count", "2", "--json", "--address", &world.bus.address]);
        let mut monitor = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(monitor.stderr.take().unwrap());
        // It says when it listens.
        let listens = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            (line, said)
        });
        assert!(listens.await.unwrap().0.contains("listening"));
        for name in ["cli-m-1", "cli-m-2"] {
            world.sale(name).await;
        }
        let output = tokio::task::spawn_blocking(move || monitor.wait_with_output().unwrap()).await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), output.status.code()), (2, Some(0)));
        assert!(lines.iter().all(|line| line["data"]["at"].is_u64() && line["data"]["signal"].is_string()));
    });
}

/// Goal: the forms that programs rely on are there without a terminal, and the documents have that form.
#[test]
fn schemas_are_printed_offline() {
    let output = offline(&["schema", "dbus"]);
    let shipped = include_str!("../../../systemd/dbus/org.posd.Pos1.xml");
    assert_eq!(
        (String::from_utf8(output.stdout).unwrap().as_str(), output.status.code()),
        (shipped, Some(0))
    );
    let output = offline(&["schema"]);
    let schema: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["oneOf"][0]["properties"]["schema"]["const"], "posctl.v1");
    let output = offline(&["schema", "--json"]);
    assert_eq!(document(&output)["data"]["json-schema"], schema);
}

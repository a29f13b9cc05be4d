//! Every verb of posctl that moves or manages money, against the real bus objects with the small engine of the bus
//! tests behind them: what reaches the engine, what is shown, and the exit status.
use super::{document, posctl, stderr};
use crate::dbus::world::{TOKEN, World, run, txn_id};
use serde_json::Value as Json;
use std::process::Output;

impl World {
    /// Runs posctl on this world's bus; the objects are served by this very thread meanwhile.
    pub(super) async fn posctl(&self, arguments: &[&str]) -> Output {
        let arguments = [arguments, &["--address", &self.bus.address]].concat();
        let mut command = posctl(&arguments);
        command.env("TZ", "UTC");
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// The same with `--json`: exit status and document.
    pub(super) async fn json(&self, arguments: &[&str]) -> (Option<i32>, Json) {
        let output = self.posctl(&[arguments, &["--json"]].concat()).await;
        (output.status.code(), document(&output))
    }

    /// What the engine was asked since the last look, oldest first.
    pub(super) fn heard(&mut self) -> String {
        let mut all = String::new();
        while let Ok(asked) = self.asked.try_recv() {
            all.push_str(&asked);
            all.push('\n');
        }
        all
    }
}

fn secret(content: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, content).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (dir, name)
}

/// Each payment verb starts its kind with amount and original as typed, and ends with its outcome.
#[test]
fn every_payment_verb_starts_its_kind() {
    run(async {
        let mut world = World::start().await;
        let cases: &[(&[&str], &[&str])] = &[
            (
                &["sale", "12.50", "--offline", "--auth-code", "123456"],
                &["OfflineSale", "Amount(1250)", "AuthCode(\"123456\")"],
            ),
            (&["sale", "12.50", "--allow-partial"], &["kind: Sale", "allow_partial: true"]),
            (&["void", "17/3"], &["kind: Void", "Amount(0)", "batch: 3, trace: 17"]),
            (&["void", "17"], &["kind: Void", "original: Some(Object(TxnId("]),
            (
                &["refund", "1.00", "--rrn", "123456789012", "--date", "1122"],
                &["kind: Refund", "Rrn(\"123456789012\")", "date: Some(\"1122\")"],
            ),
            (&["refund", "1.00", "--original", "17/3"], &["kind: Refund", "batch: 3, trace: 17"]),
            (&["balance"], &["kind: Balance", "Amount(0)"]),
            (&["pre-auth", "start", "5.00"], &["kind: PreAuth,", "Amount(500)"]),
            (
                &["pre-auth", "complete", "4.00", "--original", "17/3"],
                &["kind: PreAuthComplete,", "Amount(400)"],
            ),
            (
                &["pre-auth", "advise", "4.00", "--auth-code", "123456", "--date", "1122"],
                &["kind: PreAuthAdvice", "AuthCode(\"123456\")"],
            ),
            (&["pre-auth", "void", "--original", "17/3"], &["kind: PreAuthVoid", "Amount(0)"]),
            (&["pre-auth", "void-completion", "17/3"], &["kind: PreAuthCompleteVoid", "Amount(0)"]),
        ];
        for (number, (arguments, expected)) in cases.iter().enumerate() {
            let name = format!("cli-{number}");
            let (exit, document) =
                world.json(&[*arguments, &["--request-id", &name, "--no-agent"][..]].concat()).await;
            assert_eq!(exit, Some(0), "{arguments:?}: {document}");
            assert_eq!(document["data"]["outcome"], "approved");
            assert_eq!(document["data"]["request-id"], name.as_str());
            let heard = world.heard();
            for part in *expected {
                assert!(heard.contains(part), "{arguments:?}: {part} in {heard}");
            }
        }
        let output = world.posctl(&["balance", "--request-id", "cli-b", "--no-agent", "--lang", "zh"]).await;
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("余额") && shown.contains("1234.56 CNY"), "{shown}");
    });
}

/// A supervisor's password from a file becomes a token, and the token goes with the start.
#[test]
fn a_supervisors_password_becomes_a_token() {
    run(async {
        let mut world = World::start().await;
        let (_dir, file) = secret("123456\n");
        let leave = ["--supervisor", "00", "--secret-file", &file, "--request-id", "cli-v", "--no-agent"];
        let (exit, document) = world.json(&[&["void", "17/3"][..], &leave].concat()).await;
        assert_eq!(exit, Some(0), "{document}");
        let heard = world.heard();
        assert!(
            heard.contains("action: \"void\"")
                && heard.contains(&format!("authorization: Some(\"{TOKEN}\")")),
            "{heard}"
        );
        let (exit, document) =
            world.json(&["operator", "authorize", "refund", "00", "--secret-file", &file]).await;
        assert_eq!((exit, &document["data"]["token"]), (Some(0), &TOKEN.into()));
        let (_dir, wrong) = secret("0\n");
        let (exit, document) =
            world.json(&["operator", "authorize", "refund", "00", "--secret-file", &wrong]).await;
        assert_eq!((exit, &document["error"]["name"]), (Some(1), &"WrongPassword".into()));
    });
}

/// Without the role the exit status is 5 and the details name the action; with a token it is done.
#[test]
fn a_missing_role_is_exit_5_with_the_action() {
    run(async {
        let world = World::start().await;
        let (_dir, file) = secret("4711\n");
        let (_key_dir, key) = secret("0123456789ABCDEFFEDCBA9876543210\n");
        let dir = tempfile::tempdir().unwrap();
        let copy = dir.path().join("copy");
        std::fs::write(&copy, "copy").unwrap();
        let copy = copy.to_str().unwrap();
        let id = format!("reversal.{}", txn_id("r-1"));
        let cases: &[(&str, &[&str])] = &[
            ("operators", &["operator", "add", "05", "--secret-file", &file]),
            ("operators", &["operator", "remove", "05", "--yes"]),
            ("operators", &["operator", "unlock", "05"]),
            ("keys", &["host", "keys", "--load", "--yes", "--secret-file", &key]),
            ("queue-manage", &["queue", "pause", "inventory"]),
            ("queue-manage", &["queue", "park", "1", "wait"]),
            ("queue-manage", &["queue", "unpark", &id]),
            ("queue-manage", &["queue", "resolve", "2", "not-paid", "--yes"]),
            ("settle", &["settle", "--force-close", "--yes"]),
            ("backup", &["backup", "restore", copy, "--yes"]),
            ("backup", &["backup", "confirm"]),
        ];
        for (action, arguments) in cases {
            let (exit, document) = world.json(arguments).await;
            assert_eq!(exit, Some(5), "{arguments:?}: {document}");
            assert_eq!(document["error"]["name"], "NotAuthorized", "{arguments:?}");
            assert_eq!(document["error"]["details"]["action"], *action, "{arguments:?}");
            let (exit, document) = world.json(&[*arguments, &["--authorization", TOKEN][..]].concat()).await;
            assert_eq!(exit, Some(0), "{arguments:?}: {document}");
        }
    });
}

/// What cannot be taken back is not done without --yes where nobody can be asked.
#[test]
fn destructive_verbs_want_a_yes() {
    run(async {
        let mut world = World::start().await;
        let (_dir, file) = secret("copy");
        for arguments in [
            &["operator", "remove", "05"][..],
            &["host", "keys", "--load", "--secret-file", &file],
            &["queue", "resolve", "1", "paid"],
            &["settle", "--force-close"],
            &["backup", "restore", &file],
        ] {
            let (exit, document) = world.json(arguments).await;
            assert_eq!(exit, Some(2), "{arguments:?}");
            assert!(document["error"]["message"].as_str().unwrap().contains("--yes"), "{document}");
        }
        assert_eq!(world.heard(), "");
    });
}

/// The queue is read with filters; an entry is named by the trace number of its slip.
#[test]
fn the_queue_is_listed_and_managed() {
    run(async {
        let mut world = World::start().await;
        let (exit, document) = world.json(&["queue", "list", "--state", "failed"]).await;
        assert_eq!((exit, document["data"]["rows"].as_array().unwrap().len()), (Some(0), 1));
        let (exit, document) = world.json(&["queue", "park", "1", "wait", "--authorization", TOKEN]).await;
        assert_eq!((exit, &document["data"]["done"]), (Some(0), &"parked".into()));
        assert!(world.heard().contains(txn_id("r-1").as_str()));
        let (exit, document) = world.json(&["queue", "park", "99", "wait"]).await;
        assert_eq!((exit, &document["error"]["name"]), (Some(1), &"NotFound".into()));
        let (exit, _) = world.json(&["queue", "list", "--type", "odd"]).await;
        assert_eq!(exit, Some(2));
        assert_eq!(world.json(&["queue", "resume"]).await.0, Some(0));
        let zh = world.posctl(&["queue", "list", "--lang", "zh"]).await;
        let shown = String::from_utf8(zh.stdout).unwrap();
        assert!(shown.contains("冲正") && shown.contains("失败"), "{shown}");
    });
}

/// A settlement ends with verdict, totals and suspects; its slip is printed again.
#[test]
fn a_settlement_is_followed_to_its_verdict() {
    run(async {
        let world = World::start().await;
        let (exit, document) = world.json(&["settle"]).await;
        assert_eq!(exit, Some(0), "{document}");
        let result = &document["data"]["result"];
        assert_eq!(
            (&result["verdict-domestic"], &result["verdict-foreign"]),
            (&"disagreed".into(), &"agreed".into())
        );
        assert_eq!(result["suspects"][0]["amount"], 1250);
        let text = world.posctl(&["settle", "--lang", "zh"]).await;
        let shown = String::from_utf8(text.stdout.clone()).unwrap();
        for part in ["对账不平", "对账平", "消费", "37.50", "请先核对", "12.50", "查无原交易"]
        {
            assert!(shown.contains(part), "{part}: {shown} {}", stderr(&text));
        }
    });
}

/// Totals, and the ledger as a file: on stdout, in the document, in a new file that nobody else reads.
#[test]
fn the_books_are_counted_and_exported() {
    run(async {
        let mut world = World::start().await;
        let (exit, document) = world.json(&["ledger", "totals"]).await;
        assert_eq!((exit, &document["data"]["rows"][0]["count"]), (Some(0), &3.into()));
        assert!(world.heard().contains("batch: Some(1)"), "the open batch unless told otherwise");
        world.json(&["ledger", "totals", "--operator", "01", "--from", "2026-11-22"]).await;
        let heard = world.heard();
        assert!(
            heard.contains("operator: Some(\"01\")")
                && heard.contains("from: Some(WallTime(1795305600000000))"),
            "{heard}"
        );
        let csv = world.posctl(&["ledger", "export"]).await;
        assert!(csv.stdout.starts_with(b"path,request-id,kind,"), "{}", stderr(&csv));
        let (_, document) = world.json(&["ledger", "export", "--format", "json", "--kind", "sale"]).await;
        assert_eq!(document["data"]["content"].as_array().unwrap().len(), 4);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("books.csv");
        let output = ["ledger", "export", "--output", file.to_str().unwrap()];
        let (exit, document) = world.json(&output).await;
        assert_eq!((exit, document["data"]["bytes"].as_u64()), (Some(0), Some(csv.stdout.len() as u64)));
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(world.json(&output).await.0, Some(1), "an existing file is left alone");
    });
}

/// Copies are made into new files, checked and put back.
#[test]
fn the_journal_is_copied_checked_and_put_back() {
    run(async {
        let world = World::start().await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("copy");
        let file = file.to_str().unwrap();
        let (exit, document) = world.json(&["backup", "create", file]).await;
        assert_eq!((exit, &document["data"]["result"]["bytes"]), (Some(0), &4.into()), "{document}");
        assert_eq!(std::fs::read(file).unwrap(), b"copy");
        assert_eq!(world.json(&["backup", "create", file]).await.0, Some(1));
        assert_eq!(std::fs::read(file).unwrap(), b"copy");
        assert_eq!(world.json(&["backup", "verify", file]).await.0, Some(0));
        assert_eq!(world.json(&["backup", "verify", "/nonexistent"]).await.0, Some(1));
        let restored = world.json(&["backup", "restore", file, "--yes", "--authorization", TOKEN]).await;
        assert_eq!(restored.0, Some(0), "{}", restored.1);
    });
}

/// One page tells a technician everything, with the chip's bits in words.
#[test]
fn a_transaction_is_explained_in_words() {
    run(async {
        let world = World::start().await;
        world.sale("cli-1").await;
        let (exit, document) = world.json(&["explain", "cli-1"]).await;
        assert_eq!(exit, Some(0), "{document}");
        assert_eq!(document["data"]["facts"]["request"]["mti"], "0200");
        assert_eq!(document["data"]["timeline"][0]["what"], "host-sent");
        let text = world.posctl(&["explain", "cli-1", "--lang", "en"]).await;
        let shown = String::from_utf8(text.stdout).unwrap();
        for part in ["host-sent", "MTI", "0000008000", "reversal, done, 2 tries", "merchant", "void"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let (exit, document) = world.json(&["explain", "nothing"]).await;
        assert_eq!((exit, &document["error"]["name"]), (Some(1), &"NotFound".into()));
    });
}

/// Operators are listed with role and state; lists of transactions take the ledger's filters.
#[test]
fn operators_and_transactions_are_listed() {
    run(async {
        let mut world = World::start().await;
        let (exit, document) = world.json(&["operator", "list"]).await;
        assert_eq!((exit, &document["data"]["operators"][0]), (Some(0), &"00".into()));
        let text = world.posctl(&["operator", "list"]).await;
        assert!(String::from_utf8(text.stdout).unwrap().contains("supervisor"));
        let filter =
            ["txn", "list", "--kind", "refund", "--outcome", "unknown", "--card", "0011223344556677"];
        assert_eq!(world.json(&filter).await.0, Some(0));
        let heard = world.heard();
        assert!(heard.contains("kind: Some(Refund)") && heard.contains("outcome: Some(Unknown)"), "{heard}");
        assert!(heard.contains("card_token: Some(\"0011223344556677\")"), "{heard}");
    });
}

/// A statement of the bank is compared with the ledger line by line; one that is none is refused by name.
#[test]
fn a_statement_is_reconciled() {
    run(async {
        let world = World::start().await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("bank.csv");
        let name = file.to_str().unwrap();
        std::fs::write(
            &file,
            "批次号,流水号,卡号,交易金额\n000001,000017,622588******5678,12.50\n000001,000099,,3.00\n",
        )
        .unwrap();
        let (exit, document) = world.json(&["ledger", "reconcile", name]).await;
        assert_eq!(exit, Some(0), "{document}");
        let data = &document["data"];
        assert_eq!((&data["matched"], &data["bank-sum"]), (&1.into(), &1550.into()), "{document}");
        let unknown = data["differences"].as_array().unwrap().iter().find(|row| row["trace"] == 99).unwrap();
        assert_eq!((&unknown["amount"], &unknown["transaction"]), (&300.into(), &Json::Null));
        assert_eq!(unknown["cause"], "unknown");
        let zh = world.posctl(&["ledger", "reconcile", name, "--lang", "zh"]).await;
        let shown = String::from_utf8(zh.stdout).unwrap();
        assert!(shown.contains("终端无此交易") && shown.contains("3.00 CNY"), "{shown}");
        std::fs::write(&file, "trace,amount\n17,12.50\n").unwrap();
        assert_eq!(world.json(&["ledger", "reconcile", name]).await.0, Some(2), "no batch and no filter");
        assert_eq!(world.json(&["ledger", "reconcile", name, "--batch", "1"]).await.0, Some(0));
        std::fs::write(&file, "a,b\n1,2\n").unwrap();
        let (exit, document) = world.json(&["ledger", "reconcile", name]).await;
        assert_eq!((exit, &document["error"]["name"]), (Some(1), &"Malformed".into()));
    });
}

/// The keys are shown by their check values, and a key that is none is refused before anybody is asked for leave.
#[test]
fn keys_are_shown_by_their_check_values() {
    run(async {
        let world = World::start().await;
        let (exit, document) = world.json(&["host", "keys"]).await;
        assert_eq!((exit, &document["data"]["key-check-values"]["pik"]), (Some(0), &"82E13665".into()));
        let (_dir, file) = secret("no key\n");
        let (exit, document) = world
            .json(&["host", "keys", "--load", "--yes", "--secret-file", &file, "--authorization", TOKEN])
            .await;
        assert_eq!((exit, &document["error"]["name"]), (Some(2), &"InvalidArgument".into()));
        assert!(!document.to_string().contains("no key"), "{document}");
    });
}

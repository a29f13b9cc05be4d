//! Follow-ups, supervisors, the queue in people's hands, settlement, export and backup: arguments, errors, answers.
use super::objects::{fault, name_of, option, pipe_with, transaction};
use super::world::*;
use posd::api::proxy::*;
use posd::domain::money::Amount;
use posd::domain::outcome::{Kind, Outcome, ResultCode};
use posd::engine::handle::Notice;
use posd::engine::view::TxnView;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use zbus::zvariant::{Fd, ObjectPath, OwnedValue, Value};

fn text(value: &str) -> OwnedValue {
    OwnedValue::from(zbus::zvariant::Str::from(value.to_owned()))
}

/// What names an original reaches the engine as it was told; kinds without an original refuse it.
#[test]
fn a_follow_up_names_its_original() {
    run(async {
        let mut world = World::start().await;
        let manager = ManagerProxy::new(&world.client).await.unwrap();
        let sale = world.sale("a-1").await;
        world.next_asked().await;
        let path = format!("/org/posd/Pos1/transaction/{sale}");
        let original = option("original", ObjectPath::try_from(path.as_str()).unwrap());
        manager.start_transaction("v-1", "void", 0, "CNY", original).await.unwrap();
        let asked = world.next_asked().await;
        assert!(asked.contains(&format!("original: Some(Object(TxnId(\"{sale}\")))")), "{asked}");
        let options = HashMap::from([
            ("original", Value::from((0_u32, 17_u32, ""))),
            ("rrn", Value::from("123456789012")),
            ("date", Value::from("1122")),
            ("authorization", Value::from(TOKEN)),
            ("allow-partial", Value::from(true)),
        ]);
        manager.start_transaction("f-1", "refund", 100, "CNY", options).await.unwrap();
        let asked = world.next_asked().await;
        for part in [
            "Numbers { batch: 0, trace: 17, date: \"\" }",
            "rrn: Some(Rrn(\"123456789012\"))",
            "date: Some(\"1122\")",
            "authorization: Some(",
            "allow_partial: true",
        ] {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        for (kind, amount, options, name) in [
            ("pre-auth", 1, option("original", (1_u32, 2_u32, "")), "InvalidArgument"),
            ("refund", 1, option("original", ObjectPath::try_from("/x").unwrap()), "InvalidArgument"),
            ("refund", 1, option("rrn", "1"), "InvalidArgument"),
            ("refund", 1, option("authorization", "1"), "InvalidArgument"),
            ("pre-auth-complete", 0, Options::new(), "AmountInvalid"),
            ("refund", 0, Options::new(), "AmountInvalid"),
            ("balance", 1, Options::new(), "AmountInvalid"),
        ] {
            let refused = manager.start_transaction("x", kind, amount, "CNY", options).await;
            assert_eq!(name_of(refused), name, "{kind}");
        }
        manager.start_transaction("b-1", "balance", 0, "CNY", Options::new()).await.unwrap();
    });
}

/// Original, follow-ups and what was given back are seen on the object, a balance in the result.
#[test]
fn a_transaction_shows_what_it_follows_and_what_follows_it() {
    run(async {
        let world = World::start().await;
        let view = TxnView {
            original: Some(txn_id("o-1")),
            follow_ups: vec![txn_id("f-1"), txn_id("f-2")],
            allowed_follow_ups: vec![Kind::Refund],
            refunded_total: Amount::from_minor(300).unwrap(),
            balance: Some((-1250, "CNY")),
            ..finished("s-1")
        };
        world.tell(Notice::Txn(Arc::new(view))).await;
        world.settle().await;
        let txn = transaction(&world, "s-1").await;
        let path = |name| format!("/org/posd/Pos1/transaction/{}", txn_id(name));
        assert_eq!(txn.original().await.unwrap().as_str(), path("o-1"));
        let follow_ups: Vec<String> =
            txn.follow_ups().await.unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(follow_ups, [path("f-1"), path("f-2")]);
        assert_eq!(txn.allowed_follow_ups().await.unwrap(), ["refund"]);
        assert_eq!(txn.refunded_total().await.unwrap(), 300);
        let result = txn.get_result(Options::new()).await.unwrap();
        assert_eq!(result["balance"], OwnedValue::from(-1250_i64));
        assert_eq!(result["balance-currency"], text("CNY"));
        world.tell(Notice::Txn(Arc::new(txn_stored("s-2")))).await;
        world.settle().await;
        assert_eq!(transaction(&world, "s-2").await.outcome().await.unwrap(), "stored-offline");
    });
}

fn txn_stored(request_id: &str) -> TxnView {
    let result_code = Some(ResultCode::OfflineApproved);
    TxnView { outcome: Outcome::StoredOffline, result_code, ..finished(request_id) }
}

/// Support reads the facts of the journal in one call.
#[test]
fn a_transaction_is_explained() {
    run(async {
        let world = World::start().await;
        world.sale("a-1").await;
        let facts = transaction(&world, "a-1").await.explain(Options::new()).await.unwrap();
        let named = |key: &str| HashMap::<String, String>::try_from(facts[key].try_clone().unwrap()).unwrap();
        assert_eq!(named("request")["mti"], "0200");
        assert_eq!(named("answer")["response-code"], "00");
        assert_eq!(named("chip")["TVR"], "0000008000");
        let rows = |key: &str| Vec::<Dict>::try_from(facts[key].try_clone().unwrap()).unwrap();
        assert_eq!(rows("obligations")[0]["state"], text("done"));
        assert_eq!(rows("plies")[0]["state"], text("confirmed"));
        assert_eq!(rows("follow-ups")[0]["kind"], text("void"));
    });
}

/// A token comes against a supervisor's password and is bound to what the caller names.
#[test]
fn a_supervisor_gives_a_token() {
    run(async {
        let mut world = World::start().await;
        let operators = OperatorsProxy::new(&world.client).await.unwrap();
        let secret = pipe_with(b"123456");
        let original =
            ObjectPath::try_from("/org/posd/Pos1/transaction/ba7816bf8f01cfea414140de5dae2223").unwrap();
        let bounds = HashMap::from([("original", Value::from(original)), ("amount", Value::from(100_i64))]);
        let token = operators.authorize("refund", "00", Fd::from(secret), bounds).await.unwrap();
        assert_eq!(token, TOKEN);
        let asked = world.next_asked().await;
        for part in
            ["\"refund\"", "OperatorId(\"00\")", "Password(******)", "ba7816bf", "amount: Some(Amount(100))"]
        {
            assert!(asked.contains(part), "{part}: {asked}");
        }
        let authorize = |action, supervisor, secret: &[u8], options| {
            operators.authorize(action, supervisor, Fd::from(pipe_with(secret)), options)
        };
        assert_eq!(name_of(authorize("refund", "00", b"0", Options::new()).await), "WrongPassword");
        for (action, supervisor, options) in [
            ("steal", "00", Options::new()),
            ("refund", "0", Options::new()),
            ("refund", "00", option("amount", -1_i64)),
            ("refund", "00", option("original", ObjectPath::try_from("/x").unwrap())),
        ] {
            assert_eq!(name_of(authorize(action, supervisor, b"123456", options).await), "InvalidArgument");
        }
    });
}

/// Without role and token the error names the action; with the token it is done.
#[test]
fn a_missing_role_names_the_action() {
    run(async {
        let world = World::start().await;
        let operators = OperatorsProxy::new(&world.client).await.unwrap();
        let queue = QueueProxy::new(&world.client).await.unwrap();
        let ledger = LedgerProxy::new(&world.client).await.unwrap();
        let maintenance = MaintenanceProxy::new(&world.client).await.unwrap();
        let manager = ManagerProxy::new(&world.client).await.unwrap();
        let fd = || Fd::from(pipe_with(b"4711"));
        let id = format!("reversal.{}", txn_id("r-1"));
        let token = || option("authorization", TOKEN);
        let force = |token: bool| {
            let mut options = option("force-close", true);
            options.extend(token.then(|| ("authorization", Value::from(TOKEN))));
            options
        };
        let agent = ObjectPath::try_from("/a").unwrap();
        macro_rules! check {
            ($action:literal, $call:expr, $without:expr, $with:expr) => {
                let refused = $call($without).await.map(drop);
                let (name, text) = fault(refused);
                assert_eq!(name, "NotAuthorized", $action);
                assert!(text.ends_with(concat!("[action=", $action, "]")), "{text}");
                $call($with).await.unwrap();
            };
        }
        check!("operators", |o| operators.add("05", fd(), o), Options::new(), token());
        check!("operators", |o| operators.remove("05", o), Options::new(), token());
        check!("operators", |o| operators.unlock("05", o), Options::new(), token());
        check!("queue-manage", |o| queue.pause("inventory", o), Options::new(), token());
        check!("queue-manage", |o| queue.park(&id, "bank asks to wait", o), Options::new(), token());
        check!("queue-manage", |o| queue.unpark(&id, o), Options::new(), token());
        check!("queue-manage", |o| queue.resolve(&id, "not-paid", o), Options::new(), token());
        check!("settle", |o| ledger.settle(o), force(false), force(true));
        check!("backup", |o| maintenance.restore(fd(), o), Options::new(), token());
        check!("backup", |o| maintenance.confirm_restore(o), Options::new(), token());
        let other = option("take-over", "ffffffffffffffffffffffffffffffff");
        check!("agent", |o| manager.register_agent(&agent, o), other, option("take-over", TOKEN));
        // Without force-close no role is needed.
        ledger.settle(Options::new()).await.unwrap();
    });
}

/// The queue in people's hands: ids, reasons and resolutions are checked before the engine hears of them.
#[test]
fn the_queue_is_managed_by_ids_and_reasons() {
    run(async {
        let mut world = World::start().await;
        let queue = QueueProxy::new(&world.client).await.unwrap();
        let id = format!("reversal.{}", txn_id("r-1"));
        let token = || option("authorization", TOKEN);
        queue.resolve(&id, "written-off", token()).await.unwrap();
        let asked = world.next_asked().await;
        assert!(asked.contains("entry_type: Reversal") && asked.contains("how: WrittenOff"), "{asked}");
        for refused in [
            queue.resolve(&id, "stolen", token()).await,
            queue.resolve("reversal.1", "paid", token()).await,
            queue.park("x", "why", token()).await,
            queue.park(&id, " ", token()).await,
            queue.park(&id, "6225880012345675", token()).await,
            queue.unpark("", token()).await,
            queue.pause("", token()).await,
            queue.pause(&"x".repeat(257), token()).await,
            queue.pause("why", option("authorization", "TOKEN")).await,
        ] {
            assert_eq!(name_of(refused), "InvalidArgument");
        }
        assert!(world.asked.try_recv().is_err());
        assert!(!queue.inner().get_property::<bool>("Paused").await.unwrap());
        queue.pause("inventory", token()).await.unwrap();
        assert!(queue.inner().get_property::<bool>("Paused").await.unwrap());
        assert_eq!(queue.inner().get_property::<String>("PausedWhy").await.unwrap(), "inventory");
        queue.resume(Options::new()).await.unwrap();
        assert_eq!(queue.stored_amount().await.unwrap(), 2500);
        assert_eq!(queue.remaining_amount().await.unwrap(), 497_500);
        assert_eq!(queue.remaining_count().await.unwrap(), 49);
    });
}

/// Pages of the queue hold together although entries leave it in between.
#[test]
fn a_page_of_the_queue_goes_on_where_the_last_one_ended() {
    run(async {
        let world = World::start().await;
        let queue = QueueProxy::new(&world.client).await.unwrap();
        let (_, next) = queue.list(Options::new(), 2, "", Options::new()).await.unwrap();
        let trace = |rows: &[Dict]| u32::try_from(rows[0]["trace"].try_clone().unwrap()).unwrap();
        let mut gone = snapshot();
        gone.queue.rows = gone.queue.rows.iter().skip(1).cloned().collect();
        world.tell(Notice::Snapshot(Arc::new(gone))).await;
        world.settle().await;
        let (rows, end) = queue.list(Options::new(), 2, &next, Options::new()).await.unwrap();
        assert_eq!((rows.len(), trace(&rows), end.as_str()), (1, 3, ""));
        let mut gone = snapshot();
        gone.queue.rows = [0, 2].map(|at| gone.queue.rows[at].clone()).into();
        world.tell(Notice::Snapshot(Arc::new(gone))).await;
        world.settle().await;
        let (rows, _) = queue.list(Options::new(), 2, &next, Options::new()).await.unwrap();
        assert_eq!((rows.len(), trace(&rows)), (1, 3));
        assert_eq!(
            name_of(queue.list(option("type", "odd"), 0, "", Options::new()).await),
            "InvalidArgument"
        );
        let (rows, _) = queue.list(option("type", "offline-sale"), 0, "", Options::new()).await.unwrap();
        assert!(rows.is_empty());
    });
}

fn read(fd: zbus::zvariant::OwnedFd) -> (String, File) {
    let mut file = File::from(OwnedFd::from(fd));
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    (content, file)
}

/// The whole ledger comes as a file, page after page, and nobody can change it any more.
#[test]
fn the_ledger_is_exported_page_by_page() {
    run(async {
        let mut world = World::start().await;
        let ledger = LedgerProxy::new(&world.client).await.unwrap();
        let (csv, mut file) = read(ledger.export("csv", Options::new()).await.unwrap());
        assert!(file.rewind().is_ok() && file.write(b"x").is_err(), "the memfd must be sealed");
        let lines: Vec<&str> = csv.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(
            lines[0],
            "path,request-id,kind,state,outcome,amount,approved-amount,currency,batch,trace,rrn,auth-code,masked-pan,\
             entry-mode,operator,created-at,finished-at,original,response-code,printed"
        );
        assert!(lines[1].ends_with(
            ",q-0,sale,printing-merchant,approved,1250,1250,CNY,1,17,123456789012,654321,622588******5678,chip,01,\
             1000000,2000000,/,00,false"
        ));
        assert!(lines[4].contains(",r-1,"));
        let (first, second) = (world.next_asked().await, world.next_asked().await);
        assert!(first.contains("cursor: \"\"") && second.contains("cursor: \"more\""), "{second}");
        let filter = HashMap::from([("batch", Value::from(3_u32)), ("kind", Value::from("sale"))]);
        let (json, _) = read(ledger.export("json", filter).await.unwrap());
        assert!(world.next_asked().await.contains("batch: Some(3)"));
        let rows: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&json).unwrap();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[0]["approved-amount"], 1250);
        assert_eq!(rows[0].keys().map(String::as_str).collect::<Vec<_>>().join(","), lines[0]);
        assert_eq!(name_of(ledger.export("xls", Options::new()).await), "InvalidArgument");
        assert_eq!(name_of(ledger.export("csv", option("kind", "odd")).await), "InvalidArgument");
    });
}

/// Totals have the keys of the contract; a settlement is a job, its slip a print job without a transaction.
#[test]
fn the_batch_is_counted_settled_and_its_slip_printed_again() {
    run(async {
        let mut world = World::start().await;
        let ledger = LedgerProxy::new(&world.client).await.unwrap();
        let rows = ledger.totals(option("batch", 1_u32), Options::new()).await.unwrap();
        assert!(world.next_asked().await.contains("batch: Some(1)"));
        assert_eq!(rows[0]["kind"], text("sale"));
        assert_eq!(rows[0]["card-class"], text("domestic"));
        assert_eq!(rows[0]["operator"], text("01"));
        assert_eq!(
            (&rows[0]["count"], &rows[0]["amount"]),
            (&OwnedValue::from(3_u32), &OwnedValue::from(3750_i64))
        );
        assert_eq!(name_of(ledger.totals(option("kind", "odd"), Options::new()).await), "InvalidArgument");
        assert_eq!(ledger.settle(Options::new()).await.unwrap().as_str(), "/org/posd/Pos1/job/1");
        assert_eq!(name_of(ledger.settle(option("force-close", "yes")).await), "InvalidArgument");
        let job = ledger.reprint_settlement(0, Options::new()).await.unwrap();
        assert_eq!(job.as_str(), "/org/posd/Pos1/printjob/1_s");
        let job = PrintJobProxy::builder(&world.client).path(job).unwrap().build().await.unwrap();
        assert_eq!(job.transaction().await.unwrap().as_str(), "/");
        assert_eq!(job.kind().await.unwrap(), "settlement");
        assert_eq!(name_of(ledger.reprint_settlement(1_000_000, Options::new()).await), "InvalidArgument");
    });
}

/// Backup, Verify and Restore take files and pipes of the right direction, and nothing else.
#[test]
fn copies_of_the_journal_go_through_files_and_pipes() {
    run(async {
        let world = World::start().await;
        let maintenance = MaintenanceProxy::new(&world.client).await.unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let job = maintenance.backup(writer.as_fd().into(), Options::new()).await.unwrap();
        assert_eq!(job.as_str(), "/org/posd/Pos1/job/1");
        drop(writer);
        let mut copy = String::new();
        reader.read_to_string(&mut copy).unwrap();
        assert_eq!(copy, "copy");
        let file = tempfile::tempfile().unwrap();
        maintenance.backup(file.as_fd().into(), Options::new()).await.unwrap();
        maintenance.verify(file.as_fd().into(), Options::new()).await.unwrap();
        maintenance.restore(file.as_fd().into(), option("authorization", TOKEN)).await.unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        for (refused, expected) in [
            (maintenance.backup(reader.as_fd().into(), Options::new()).await, "open for writing"),
            (maintenance.verify(writer.as_fd().into(), Options::new()).await, "open for reading"),
            (maintenance.restore(socket.as_fd().into(), Options::new()).await, "a regular file or a pipe"),
        ] {
            let (name, text) = fault(refused);
            assert_eq!(name, "InvalidArgument");
            assert!(text.contains(expected), "{text}");
        }
    });
}

//! The daemon as a service: host jobs, readiness, configuration, identity, batches.
use crate::support::{Options, PASSWORD, Till, with_till};
use posd::api::proxy::{Dict, ROOT_PATH};
use rustix::fs::{FlockOperation, flock};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// Goal: the line test measures, the sign-off holds until an operator comes, and each job tells its end.
#[test]
fn the_bank_is_tested_signed_off_and_signed_on() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let host = till.host().await;
        let job = host.test(Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        let result: std::collections::HashMap<String, zbus::zvariant::OwnedValue> =
            till.get(job.as_str(), "Job.Result").await;
        assert!(result.contains_key("tcp-ms") && result.contains_key("echo-ms"), "{result:?}");

        let job = host.sign_off(Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        assert!(!till.get::<bool>(ROOT_PATH, "Host.SignedOn").await);
        assert_eq!(crate::support::fault(till.try_sale("s-1", 1).await), "NotSignedOn");
        till.sign_on("01", PASSWORD).await.unwrap();
        till.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        assert_eq!(till.asked(&["0800", "0820"]), ["0800", "0820", "0820", "0800"]);
        let values: std::collections::HashMap<String, String> =
            till.get(ROOT_PATH, "Host.KeyCheckValues").await;
        assert_eq!(values["tmk"], "08D7B4FB", "of the public test key");
        assert!(till.get::<u64>(ROOT_PATH, "Host.KeysLoadedAt").await > 0);
    });
}

/// Goal: a host job fails with a name when the bank is away.
#[test]
fn a_line_test_without_a_bank_fails_with_a_name() {
    with_till(Options { host: false, ..Options::default() }, async |till| {
        let job = till.host().await.test(Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "failed").await;
        let (name, text): (String, String) =
            till.get::<zbus::zvariant::OwnedValue>(job.as_str(), "Job.Error").await.try_into().unwrap();
        assert!(name.ends_with("HostUnreachable") && !text.is_empty(), "{name}: {text}");
    });
}

/// Goal: the service manager hears READY=1 when the name is owned, and a sign of life from the engine afterwards.
#[test]
fn the_service_manager_hears_ready_and_watchdog() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        let path = till.dir().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        till.env.push(("NOTIFY_SOCKET".to_owned(), path.display().to_string()));
        till.env.push(("WATCHDOG_USEC".to_owned(), "1000000".to_owned()));
        till.start_daemon().await;
        for wanted in ["READY=1", "WATCHDOG=1"] {
            let mut bytes = [0; 256];
            while !String::from_utf8_lossy(&bytes).contains(wanted) {
                bytes = [0; 256];
                socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{wanted}: {error}"));
            }
        }
    });
}

/// Goal: while money or paper is under way updaters find the lock taken; at rest it is free.
#[test]
fn the_busy_lock_is_held_during_a_sale() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let lock = std::fs::File::open(till.dir().join("run/busy.lock")).unwrap();
        till.until::<bool>(ROOT_PATH, "Manager.SafeToUpdate", |safe| *safe).await;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("free at rest");
        flock(&lock, FlockOperation::Unlock).unwrap();
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        till.until::<bool>(ROOT_PATH, "Manager.SafeToUpdate", |safe| !safe).await;
        assert!(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err(), "taken");
        till.transaction(&sale).await.cancel(Default::default()).await.unwrap();
        till.finished(&sale).await;
        till.until::<bool>(ROOT_PATH, "Manager.SafeToUpdate", |safe| *safe).await;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("free again");
    });
}

/// Goal: a bad file never stops the shop: the last good configuration is used, and the state says so.
#[test]
fn a_bad_configuration_leaves_the_last_good_one() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        till.configure("customer-timeout-s", "customer-timeout");
        till.start_daemon().await;
        let reasons: Vec<String> = till.get(ROOT_PATH, "Manager.StateReasons").await;
        assert!(reasons.contains(&"config-invalid".to_owned()), "{reasons:?}");
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
    });
}

/// Goal: another terminal id under an open batch is maintenance: no sale, but the batch's own id is kept.
#[test]
fn another_identity_under_an_open_batch_is_maintenance() {
    with_till(Options::default(), async |till| {
        a_sale(till, "s-1").await;
        till.stop_daemon().await;
        till.configure("10000001", "10000002");
        till.start_daemon().await;
        assert_eq!(till.text(ROOT_PATH, "Manager.State").await, "maintenance");
        let reasons: Vec<String> = till.get(ROOT_PATH, "Manager.StateReasons").await;
        assert!(reasons.contains(&"identity-changed".to_owned()), "{reasons:?}");
        till.register_agent().await;
        till.sign_on("01", PASSWORD).await.unwrap();
        assert_eq!(crate::support::fault(till.try_sale("s-2", 1).await), "WrongState");
        till.stop_daemon().await;
        till.configure("10000002", "10000001");
        till.start_daemon().await;
        till.open_again().await;
        till.sale("s-2", 1).await;
    });
}

/// Goal: a batch number that the bank offers is taken up while nothing is open, and only named otherwise.
#[test]
fn a_batch_of_the_bank_is_taken_up_while_nothing_is_open() {
    with_till(Options::default(), async |till| {
        till.acquirer.hand_out_batch(Some(77)).unwrap();
        a_sale(till, "s-1").await;
        assert_eq!(till.get::<u32>(ROOT_PATH, "Ledger.Batch").await, 77);
        assert_eq!(till.acquirer.ledger().unwrap()[0].batch, 77);
        till.acquirer.hand_out_batch(Some(78)).unwrap();
        till.host_sign_on().await;
        let named = |reasons: &Vec<String>| reasons.iter().any(|reason| reason == "batch-mismatch");
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", named).await;
        assert_eq!(till.get::<u32>(ROOT_PATH, "Ledger.Batch").await, 77);
    });
}

/// Goal: a session that nobody uses ends by itself.
#[test]
fn an_idle_operator_is_signed_off() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        till.configure("[security]", "[operators]\nidle-timeout-s = 1\n[security]");
        till.start_daemon().await;
        till.change_password("01", "0000", PASSWORD).await.unwrap();
        till.sign_on("01", PASSWORD).await.unwrap();
        till.until_is(ROOT_PATH, "Operators.Current", "01").await;
        till.until_is(ROOT_PATH, "Operators.Current", "").await;
    });
}

/// Goal: a terminal without a master key says so and sells nothing.
#[test]
fn a_terminal_without_a_master_key_says_so() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        std::fs::remove_file(till.dir().join("credentials/tmk")).unwrap();
        till.start_daemon().await;
        let reasons: Vec<String> = till.get(ROOT_PATH, "Manager.StateReasons").await;
        assert!(reasons.contains(&"keys-missing".to_owned()), "{reasons:?}");
        let refused = till.host().await.sign_on(Default::default()).await;
        assert_eq!(crate::support::fault(refused), "KeysMissing");
    });
}

/// An approved sale.
async fn a_sale(till: &mut Till, request_id: &str) {
    till.open().await;
    till.put_card("unionpay");
    let sale = till.sale(request_id, 1250).await;
    assert_eq!(till.finished(&sale).await.outcome, "approved");
    till.plies_are(&sale, "confirmed").await;
    let _: Dict = till.row(request_id).await.unwrap();
}

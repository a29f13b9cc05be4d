//! Backup, verify and restore with the real daemon: the journal goes out and comes back by file descriptors.
use crate::support::{Options, PASSWORD, Till, fault, with_till};
use posd::api::proxy::ROOT_PATH;
use std::collections::HashMap;
use std::fs::File;
use zbus::zvariant::{Fd, OwnedObjectPath, OwnedValue};

/// Password of the supervisor.
const SUPERVISOR: &str = "aufsicht-9921-sued";

async fn backup(till: &mut Till, name: &str) -> File {
    let path = till.dir().join(name);
    let target = File::create(&path).unwrap();
    let maintenance = till.maintenance().await;
    let job = maintenance.backup(Fd::from(&target), Default::default()).await.unwrap();
    till.until_is(job.as_str(), "Job.State", "succeeded").await;
    let result: HashMap<String, OwnedValue> = till.get(job.as_str(), "Job.Result").await;
    let bytes = u64::try_from(result["bytes"].try_clone().unwrap()).unwrap();
    assert_eq!(bytes, std::fs::metadata(&path).unwrap().len());
    File::open(path).unwrap()
}

async fn job_error(till: &mut Till, job: &OwnedObjectPath) -> String {
    till.until_is(job.as_str(), "Job.State", "failed").await;
    let (name, _): (String, String) =
        till.get::<OwnedValue>(job.as_str(), "Job.Error").await.try_into().unwrap();
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

/// A whole sale, approved, the card taken.
async fn sell(till: &mut Till) -> OwnedObjectPath {
    let sale = till.sale("s-1", 1250).await;
    till.put_card("unionpay");
    let end = till.finished(&sale).await;
    assert_eq!(end.text("outcome"), "approved", "{}", till.log());
    till.entered(&sale, "remove-card").await;
    till.take_card().await;
    till.entered(&sale, "finished").await;
    sale
}

async fn reasons(till: &Till) -> Vec<String> {
    till.get(ROOT_PATH, "Manager.StateReasons").await
}

/// Goal: a copy made in use is whole, is verified, and a spoilt one is not.
#[test]
fn a_backup_is_made_and_verified() {
    with_till(Options::default(), async |till| {
        till.open().await;
        sell(till).await;
        let copy = backup(till, "copy.db").await;
        let maintenance = till.maintenance().await;
        let job = maintenance.verify(Fd::from(&copy), Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        let path = till.dir().join("spoilt.db");
        std::fs::write(&path, "no journal ".repeat(1000)).unwrap();
        let spoilt = File::open(path).unwrap();
        let job = maintenance.verify(Fd::from(&spoilt), Default::default()).await.unwrap();
        assert_eq!(job_error(till, &job).await, "InvalidArgument");
        let left = std::fs::read_dir(till.state_dir()).unwrap().flatten();
        let left: Vec<_> = left.filter(|f| f.file_name().to_string_lossy().starts_with("copy.")).collect();
        assert!(left.is_empty(), "{left:?}");
    });
}

/// Goal: a restore ends the daemon; the next one trades only after a supervisor has confirmed the list.
#[test]
fn a_restore_waits_for_a_supervisor() {
    with_till(Options::default(), async |till| {
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        till.open().await;
        let copy = backup(till, "copy.db").await;
        let maintenance = till.maintenance().await;
        let refused = maintenance.restore(Fd::from(&copy), Default::default()).await;
        assert_eq!(fault(refused), "NotAuthorized", "a cashier is signed on");
        till.sign_on("00", SUPERVISOR).await.unwrap();
        let job = maintenance.restore(Fd::from(&copy), Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        assert_eq!(till.daemon_ended().await, Some(0), "{}", till.log());

        till.start_daemon().await;
        assert!(reasons(till).await.contains(&"restore-unconfirmed".to_owned()));
        assert_eq!(till.text(ROOT_PATH, "Manager.State").await, "maintenance");
        till.register_agent().await;
        till.sign_on("01", PASSWORD).await.unwrap();
        assert_eq!(fault(till.try_sale("s-1", 1).await), "WrongState");
        let maintenance = till.maintenance().await;
        assert_eq!(fault(maintenance.confirm_restore(Default::default()).await), "NotAuthorized");
        till.sign_on("00", SUPERVISOR).await.unwrap();
        maintenance.confirm_restore(Default::default()).await.unwrap();
        assert!(!reasons(till).await.contains(&"restore-unconfirmed".to_owned()));
        till.sign_on("01", PASSWORD).await.unwrap();
        till.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        till.reader_ready().await;
        let sale = sell(till).await;
        assert!(till.get::<u32>(sale.as_str(), "Transaction.Trace").await > 10_000, "the number has jumped");
    });
}

/// Goal: what the journal in use has newer is not lost to an older copy.
#[test]
fn an_older_copy_is_refused() {
    with_till(Options::default(), async |till| {
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        till.open().await;
        let copy = backup(till, "copy.db").await;
        sell(till).await;
        till.until::<bool>(ROOT_PATH, "Manager.SafeToUpdate", |safe| *safe).await;
        till.sign_on("00", SUPERVISOR).await.unwrap();
        let maintenance = till.maintenance().await;
        let job = maintenance.restore(Fd::from(&copy), Default::default()).await.unwrap();
        assert_eq!(job_error(till, &job).await, "InvalidArgument");
        assert!(till.row("s-1").await.is_some());
        till.sign_on("01", PASSWORD).await.unwrap();
        till.reader_ready().await;
    });
}

//! A disk that fills up, or breaks, in the middle of a sale.
use crate::support::{Options, Till, fault, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use zbus::zvariant::OwnedObjectPath;

/// A small file system over a folder, which takes root; it goes when dropped.
struct Small(PathBuf);

impl Small {
    fn over(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=700", "posd-test"]).arg(folder);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then(|| Self(folder.to_owned()))
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).unwrap();
        for size in [4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

/// Goal: when the disk fills up while the bank thinks, the ballast makes room for the outcome: both ends hold the sale.
#[test]
fn a_disk_that_fills_up_while_the_bank_thinks_loses_nothing() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        let Some(small) = Small::over(&till.state_dir()) else {
            return println!("skipped: no right to mount");
        };
        till.start_daemon().await;
        let sale = waiting_sale(till).await;
        small.fill();
        till.acquirer.release().unwrap();
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(till.booked(), [Effect::Held]);
        assert!(!till.state_dir().join("ballast").exists());
        till.kill_daemon().await;
        till.start_daemon().await;
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved", "it was durable");
        till.kill_daemon().await;
    });
}

/// Goal: on a disk that takes nothing an outcome is not told before it is durable; then both ends agree.
#[test]
fn an_outcome_that_cannot_be_stored_is_not_told() {
    with_till(Options::default(), async |till| {
        let sale = waiting_sale(till).await;
        till.break_disk(true);
        till.acquirer.release().unwrap();
        till.until_is(ROOT_PATH, "Manager.State", "fault").await;
        assert_eq!(till.finished_count(&sale), 0);
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "none");
        assert!(till.printer.as_ref().unwrap().report().receipts.is_empty());
        assert_eq!(fault(till.try_sale("s-2", 1).await), "StorageFault");
        till.break_disk(false);
        // The approval or its undoing, whichever is tried when the disk is back.
        match till.finished(&sale).await.outcome.as_str() {
            "approved" => assert_eq!(till.booked(), [Effect::Held]),
            "unknown" => {
                till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
                assert_eq!(till.booked(), [Effect::Reversed]);
            }
            other => panic!("{other}"),
        }
        till.until::<String>(ROOT_PATH, "Manager.State", |state| state != "fault").await;
    });
}

/// Goal: a kill while the disk takes nothing: the recovered terminal knows of the request and undoes it.
#[test]
fn a_kill_on_a_broken_disk_is_reversed() {
    with_till(Options::default(), async |till| {
        let sale = waiting_sale(till).await;
        till.break_disk(true);
        till.acquirer.release().unwrap();
        till.until_is(ROOT_PATH, "Manager.State", "fault").await;
        till.kill_daemon().await;
        till.start_daemon().await;
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        till.nothing_owed().await;
        assert_eq!(till.booked(), [Effect::Reversed]);
    });
}

/// Goal: a sale whose request cannot be made durable is not sent.
#[test]
fn a_request_that_cannot_be_stored_is_not_sent() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.break_disk(true);
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.until_is(ROOT_PATH, "Manager.State", "fault").await;
        till.break_disk(false);
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "storage-fault"));
        assert!(till.asked(&["0200", "0400"]).is_empty());
        assert!(till.owed().await.is_empty());
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved");
    });
}

/// A sale that the bank has judged and not yet answered.
async fn waiting_sale(till: &mut Till) -> OwnedObjectPath {
    till.open().await;
    till.acquirer.rule(Rule::once("0200", Fault::Hold)).unwrap();
    till.put_card("unionpay");
    let sale = till.sale("s-1", 1250).await;
    till.bank_saw("0200", 1).await;
    sale
}

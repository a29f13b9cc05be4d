//! What people do to the queue: pause, park, resolve; who may, and what becomes of outcomes.
use super::{cut_the_network, depth, flush, impatient, only, open, queue, store, supervisor};
use crate::support::{Options, Till, fault, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::rules::{Fault, Rule};
use std::collections::HashMap;
use zbus::zvariant::OwnedObjectPath;

/// Goal: a paused queue sends no upload, over a restart too, and says so; a cashier may resume it.
#[test]
fn a_paused_queue_keeps_its_uploads() {
    with_till(Options::default(), async |till| {
        till.open().await;
        assert_eq!(fault(queue(till).await.pause("line of the bank", HashMap::new()).await), "NotAuthorized");
        supervisor(till).await;
        queue(till).await.pause("line of the bank", HashMap::new()).await.unwrap();
        store(till, "s-1", 1000).await;
        assert_eq!(fault(queue(till).await.flush(HashMap::new()).await), "WrongState");
        till.stop_daemon().await;
        till.start_daemon().await;
        assert!(till.get::<bool>(ROOT_PATH, "Queue.Paused").await);
        let reasons: Vec<String> = till.get(ROOT_PATH, "Manager.StateReasons").await;
        assert!(reasons.contains(&"queue-paused".to_owned()), "{reasons:?}");
        till.open_again().await;
        // Trading goes on; only the upload waits.
        till.put_card("unionpay");
        let sale = till.sale("s-2", 300).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(open(till).await, [("offline-sale".to_owned(), "queued".to_owned(), 0)]);
        till.take_card().await;
        queue(till).await.resume(HashMap::new()).await.unwrap();
        depth(till, 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1300, 2));
    });
}

/// Goal: a parked entry stays while others go, goes when it is unparked, and needs a supervisor for both.
#[test]
fn a_parked_entry_blocks_nobody_and_comes_back() {
    with_till(Options::default(), async |till| {
        till.open().await;
        cut_the_network(till);
        store(till, "s-1", 1000).await;
        let entry = only(till).await;
        assert_eq!(
            fault(queue(till).await.park(&entry, "asked the bank", HashMap::new()).await),
            "NotAuthorized"
        );
        supervisor(till).await;
        park(till, &entry).await;
        assert_eq!(till.get::<u32>(ROOT_PATH, "Queue.ParkedCount").await, 1);
        assert_eq!(fault(queue(till).await.park(&entry, "again", HashMap::new()).await), "WrongState");
        store(till, "s-2", 200).await;
        till.acquirer.accept_connections().unwrap();
        depth(till, 1).await;
        assert_eq!(till.acquirer.held().unwrap(), (200, 1));
        queue(till).await.unpark(&entry, HashMap::new()).await.unwrap();
        depth(till, 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1200, 2));
        assert_eq!(fault(queue(till).await.unpark(&entry, HashMap::new()).await), "NotFound");
    });
}

/// Parks an entry, as soon as it is not just being tried.
async fn park(till: &mut Till, entry: &str) {
    loop {
        match queue(till).await.park(entry, "asked the bank", HashMap::new()).await {
            Ok(()) => return,
            Err(error) if error.to_string().contains("Busy") => till.something("the end of an attempt").await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A sale whose answer is lost, and whose reversals stay without an answer until their attempts are used up.
async fn reversal_failed(till: &mut Till) -> (OwnedObjectPath, String) {
    till.open().await;
    till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
    till.acquirer.rule(Rule::always("0400", Fault::Drop)).unwrap();
    till.put_card("unionpay");
    let sale = till.sale("s-1", 1000).await;
    assert_eq!(till.finished(&sale).await.outcome, "unknown");
    till.take_card().await;
    let entry = only(till).await;
    supervisor(till).await;
    till.until::<u32>(ROOT_PATH, "Queue.UnresolvedCount", |count| *count == 1).await;
    assert_eq!(open(till).await, [("reversal".to_owned(), "failed".to_owned(), 4)]);
    (sale, entry)
}

/// Goal: the shop ends a reversal that the bank never answered; the outcome follows once, and the entry is gone.
#[test]
fn the_shop_resolves_an_unknown_outcome() {
    for (how, outcome) in [("paid", "approved"), ("not-paid", "failed"), ("written-off", "unknown")] {
        with_till(impatient(), async move |till| {
            let (sale, entry) = reversal_failed(till).await;
            queue(till).await.resolve(&entry, how, HashMap::new()).await.unwrap();
            depth(till, 0).await;
            till.until_is(sale.as_str(), "Transaction.Outcome", outcome).await;
            till.until_is(sale.as_str(), "Transaction.State", "finished").await;
            assert_eq!(fault(queue(till).await.resolve(&entry, how, HashMap::new()).await), "NotFound");
            let sent = till.asked(&["0400"]).len();
            flush(till).await;
            assert_eq!(till.asked(&["0400"]).len(), sent, "a resolved entry is never sent again");
        });
    }
}

/// Goal: what the bank may still end is not the shop's to end, and a failed reversal is tried again by a flush.
#[test]
fn a_failed_reversal_is_still_the_banks() {
    with_till(impatient(), async |till| {
        let (sale, entry) = reversal_failed(till).await;
        till.acquirer.clear_rules().unwrap();
        flush(till).await;
        depth(till, 0).await;
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.acquirer.held().unwrap(), (0, 0));
        cut_the_network(till);
        store(till, "s-2", 200).await;
        let upload = only(till).await;
        let busy_or_wrong = fault(queue(till).await.resolve(&upload, "paid", HashMap::new()).await);
        assert!(busy_or_wrong == "WrongState" || busy_or_wrong == "Busy", "{busy_or_wrong}");
        assert_ne!(upload, entry);
    });
}

//! The store-and-forward queue with real parts: sales are stored without a network and forwarded when it comes, what
//! the bank refuses or does not answer waits for the shop, and a power cut repeats the same message.
mod forward;
mod people;

use crate::support::{Options, Till, dict_text, number};
use posd::api::proxy::{Dict, QueueProxy, ROOT_PATH};
use std::collections::HashMap;
use zbus::zvariant::OwnedObjectPath;

/// A bank on the same machine answers at once, so one second is patience enough.
fn impatient() -> Options {
    Options { response_timeout_s: 1, ..Options::default() }
}

async fn queue(till: &Till) -> QueueProxy<'static> {
    QueueProxy::new(&till.client).await.unwrap()
}

async fn start(till: &Till, request_id: &str, kind: &str, amount: i64) -> zbus::Result<OwnedObjectPath> {
    till.manager().await.start_transaction(request_id, kind, amount, "CNY", HashMap::new()).await
}

/// A sale that the card approves by itself, told and off the counter.
async fn store(till: &mut Till, request_id: &str, amount: i64) -> OwnedObjectPath {
    till.put_card("approves-offline");
    let sale = start(till, request_id, "offline-sale", amount).await.unwrap();
    let end = till.finished(&sale).await;
    assert_eq!(
        (end.outcome.as_str(), end.text("result-code").as_str()),
        ("stored-offline", "offline-approved")
    );
    till.take_card().await;
    till.entered(&sale, "finished").await;
    sale
}

/// From now on no connection reaches the bank.
fn cut_the_network(till: &Till) {
    till.acquirer.refuse_connections().unwrap();
    till.acquirer.hang_up().unwrap();
}

/// `Queue.Flush`, to its end; the result.
async fn flush(till: &mut Till) -> Dict {
    let job = queue(till).await.flush(HashMap::new()).await.unwrap();
    till.until::<String>(job.as_str(), "Job.State", |state| state != "running" && state != "queued").await;
    till.get::<HashMap<String, zbus::zvariant::OwnedValue>>(job.as_str(), "Job.Result").await
}

/// Type, state and attempts of every open entry.
async fn open(till: &Till) -> Vec<(String, String, i64)> {
    let rows = till.owed().await;
    rows.iter()
        .map(|row| (dict_text(row, "type"), dict_text(row, "state"), number(row, "attempts")))
        .collect()
}

/// Waits until the queue holds so many entries.
async fn depth(till: &mut Till, wanted: u32) {
    till.until::<u32>(ROOT_PATH, "Queue.Depth", |depth| *depth == wanted).await;
}

/// The id of the one open entry.
async fn only(till: &Till) -> String {
    let rows = till.owed().await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    dict_text(&rows[0], "id")
}

/// Supervisor 00 signs on, so that the queue may be managed.
async fn supervisor(till: &mut Till) {
    till.change_password("00", "123456", "chefin-4410-sued").await.unwrap();
    till.operators().await.sign_off(HashMap::new()).await.unwrap();
    till.sign_on("00", "chefin-4410-sued").await.unwrap();
}

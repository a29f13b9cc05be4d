//! Stored, forwarded, refused, repeated: what becomes of sales that the bank hears of later.
use super::{cut_the_network, depth, flush, impatient, open, queue, start, store, supervisor};
use crate::support::{Options, Till, dict_text, fault, number, with_till};
use posd::api::proxy::{Dict, ROOT_PATH};
use posd::sim::host::ledger::Effect;
use posd::sim::host::log::Direction;
use posd::sim::host::rules::{Fault, Rule};
use std::collections::HashMap;
use zbus::zvariant::OwnedObjectPath;

/// Goal: without a network a sale is stored, shown with its head-room, and forwarded by itself when the line comes.
#[test]
fn a_sale_is_stored_without_a_network_and_forwarded_when_it_comes() {
    with_till(Options::default(), async |till| {
        till.open().await;
        cut_the_network(till);
        let before = till.get::<i64>(ROOT_PATH, "Queue.RemainingAmount").await;
        let sale = store(till, "s-1", 1250).await;
        assert_eq!(till.get::<i64>(ROOT_PATH, "Queue.StoredAmount").await, 1250);
        assert_eq!(till.get::<i64>(ROOT_PATH, "Queue.RemainingAmount").await, before - 1250);
        let [(entry_type, _, attempts)] = &open(till).await[..] else { panic!("not in the queue") };
        assert_eq!((entry_type.as_str(), *attempts), ("offline-sale", 0), "no connection is no attempt");
        assert_eq!(till.acquirer.held().unwrap(), (0, 0));
        till.acquirer.accept_connections().unwrap();
        depth(till, 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "stored-offline");
        till.until::<String>(sale.as_str(), "Transaction.Rrn", |rrn| !rrn.is_empty()).await;
        assert_eq!(till.get::<i64>(ROOT_PATH, "Queue.StoredAmount").await, 0);
    });
}

/// Goal: after a cold start without any network the terminal is ready, stores sales, and keeps what it stored before.
#[test]
fn a_cold_start_without_a_network_reaches_ready_offline() {
    with_till(Options::default(), async |till| {
        till.open().await;
        cut_the_network(till);
        store(till, "s-1", 1000).await;
        till.stop_daemon().await;
        till.start_daemon().await;
        till.until_is(ROOT_PATH, "Manager.State", "ready-offline").await;
        till.open_again().await;
        store(till, "s-2", 200).await;
        assert_eq!(open(till).await.len(), 2);
        till.acquirer.accept_connections().unwrap();
        depth(till, 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1200, 2));
        assert_eq!(till.booked(), [Effect::Held, Effect::Held], "each booked once");
    });
}

/// Goal: a refused upload is listed, never sent again, and does not hold up the next one.
#[test]
fn a_refused_upload_waits_for_the_shop_and_blocks_nobody() {
    with_till(Options::default(), async |till| {
        till.open().await;
        cut_the_network(till);
        store(till, "s-1", 1000).await;
        store(till, "s-2", 200).await;
        till.acquirer.rule(Rule::once("0200", Fault::Decline("05".to_owned()))).unwrap();
        till.acquirer.accept_connections().unwrap();
        depth(till, 1).await;
        assert_eq!(open(till).await, [("offline-sale".to_owned(), "denied".to_owned(), 1)]);
        assert_eq!(dict_text(&till.owed().await[0], "last-error"), "refused with 05");
        assert_eq!(till.get::<u32>(ROOT_PATH, "Queue.UnresolvedCount").await, 1);
        let reasons: Vec<String> = till.get(ROOT_PATH, "Manager.StateReasons").await;
        assert!(reasons.contains(&"unresolved".to_owned()), "{reasons:?}");
        let sent = till.asked(&["0200"]).len();
        let result = flush(till).await;
        assert_eq!(number(&result, "remaining"), 0, "nothing is left to send");
        assert_eq!(till.asked(&["0200"]).len(), sent);
        assert_eq!(till.acquirer.held().unwrap(), (200, 1));
    });
}

/// Goal: an upload whose answer was lost is repeated with the same STAN, and booked once.
#[test]
fn an_unanswered_upload_is_repeated_and_booked_once() {
    with_till(impatient(), async |till| {
        till.open().await;
        cut_the_network(till);
        store(till, "s-1", 1000).await;
        till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
        till.acquirer.accept_connections().unwrap();
        depth(till, 0).await;
        assert_eq!(till.asked(&["0200"]).len(), 2);
        assert_eq!(till.acquirer.held().unwrap(), (1000, 1));
        assert_eq!(till.booked(), [Effect::Held]);
    });
}

/// Goal: attempts that are used up end in `failed`, listed and tried again by a flush; nothing is dropped.
#[test]
fn a_silent_bank_uses_the_attempts_up() {
    with_till(impatient(), async |till| {
        till.open().await;
        cut_the_network(till);
        store(till, "s-1", 1000).await;
        till.acquirer.rule(Rule::always("0200", Fault::Drop)).unwrap();
        till.acquirer.accept_connections().unwrap();
        till.until::<u32>(ROOT_PATH, "Queue.UnresolvedCount", |count| *count == 1).await;
        assert_eq!(open(till).await, [("offline-sale".to_owned(), "failed".to_owned(), 3)]);
        till.acquirer.clear_rules().unwrap();
        let result = flush(till).await;
        assert_eq!((number(&result, "done"), number(&result, "remaining")), (1, 0));
        depth(till, 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1000, 1));
    });
}

/// Goal: wherever the power fails between the attempt and the verdict, the same message goes again and is booked once.
#[test]
fn a_power_cut_in_an_upload_repeats_the_same_stan() {
    let boundaries = [
        "before store offline-sale attempt",
        "stored offline-sale",
        "before send 0200",
        "after send 0200",
        "frame received",
        "before store offline-sale verdict",
    ];
    for (at, boundary) in boundaries.into_iter().enumerate() {
        with_till(Options::default(), async move |till| {
            till.open().await;
            supervisor(till).await;
            queue(till).await.pause("until the cut", HashMap::new()).await.unwrap();
            store(till, "s-1", 1000).await;
            till.stop_daemon().await;
            // The boundaries that are passed when the queue is resumed are those of the delivery.
            let log = till.dir().join("cuts");
            till.env.push(("POSD_CUT_LOG".to_owned(), log.display().to_string()));
            till.env.push(("POSD_CUT".to_owned(), (at + 1).to_string()));
            till.start_daemon().await;
            let resumed = queue(till).await.resume(HashMap::new()).await;
            assert_eq!(till.daemon_ended().await, None, "killed, {resumed:?}");
            let passed = std::fs::read_to_string(&log).unwrap();
            assert!(passed.lines().last().unwrap().ends_with(boundary), "{passed}");
            till.env.truncate(till.env.len() - 2);
            till.start_daemon().await;
            depth(till, 0).await;
            assert_eq!(till.booked(), [Effect::Held], "{boundary}");
            assert_eq!(till.acquirer.held().unwrap(), (1000, 1), "{boundary}");
        });
    }
}

/// Goal: a bank that has the upload already says 94, and that ends it: it is booked once.
#[test]
fn an_upload_that_the_bank_has_already_is_done() {
    with_till(impatient(), async |till| {
        till.open().await;
        cut_the_network(till);
        let sale = store(till, "s-1", 1000).await;
        till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
        till.acquirer.rule(Rule::once("0200", Fault::Decline("94".to_owned()))).unwrap();
        till.acquirer.accept_connections().unwrap();
        depth(till, 0).await;
        assert_eq!(till.asked(&["0200"]).len(), 2);
        assert_eq!(till.acquirer.held().unwrap(), (1000, 1));
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "stored-offline");
        assert_eq!(till.get::<u32>(ROOT_PATH, "Queue.UnresolvedCount").await, 0);
        assert_eq!(ended(till, &sale, "response-code").await, ("done".to_owned(), "94".to_owned()));
    });
}

/// Goal: an upload that waited longer than `max-age-h` stops new offline sales, is sent all the same, and is marked
/// late.
#[test]
fn a_late_upload_is_sent_and_marked() {
    with_till(Options::default(), async |till| {
        till.open().await;
        cut_the_network(till);
        let sale = store(till, "s-1", 1000).await;
        till.stop_daemon().await;
        let day_and_more = 25_i64 * 3_600 * 1_000_000;
        let journal = rusqlite::Connection::open(till.state_dir().join("journal.db")).unwrap();
        let aged = "UPDATE queue SET created_at = created_at - ?1 WHERE type = 'offline-sale'";
        assert_eq!(journal.execute(aged, [day_and_more]).unwrap(), 1);
        drop(journal);
        till.start_daemon().await;
        till.open_again().await;
        till.put_card("approves-offline");
        assert_eq!(fault(start(till, "s-2", "offline-sale", 100).await), "LimitExceeded");
        till.acquirer.accept_connections().unwrap();
        depth(till, 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1000, 1));
        assert_eq!(ended(till, &sale, "last-error").await, ("done".to_owned(), "late".to_owned()));
    });
}

/// State and one more word of what a sale owed.
async fn ended(till: &Till, sale: &OwnedObjectPath, word: &str) -> (String, String) {
    let facts = till.transaction(sale).await.explain(HashMap::new()).await.unwrap();
    let rows = Vec::<Dict>::try_from(facts["obligations"].try_clone().unwrap()).unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    (dict_text(&rows[0], "state"), dict_text(&rows[0], word))
}

/// Goal: what the card did with the issuer's scripts is told to the bank, once, under a number of its own.
#[test]
fn script_results_reach_the_bank() {
    with_till(Options::default(), async |till| {
        till.open().await;
        // One before the second cryptogram, one after it, and one that no card knows.
        let scripts = [
            "7112 9F1804 00000001 8609 8424000004 11223344",
            "7212 9F1804 00000002 8609 8424000004 11223344",
            "7212 9F1804 00000003 8609 8466000004 11223344",
        ];
        let rule = format!("0200 script {}", scripts.concat().replace(' ', ""));
        let words: Vec<&str> = rule.split(' ').collect();
        till.acquirer.rule(Rule::parse(&words).unwrap()).unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.bank_saw("0620", 1).await;
        depth(till, 0).await;
        let spoken = till.acquirer.messages().unwrap();
        let told: Vec<_> = spoken
            .iter()
            .filter(|m| m.direction == Direction::In && ["0200", "0620"].contains(&m.mti.as_str()))
            .collect();
        let [request, result] = told[..] else { panic!("{told:?}") };
        let icc = result.fields[&55].to_uppercase();
        assert!(icc.contains("DF310F 2000000001 2000000002 1100000003".replace(' ', "").as_str()), "{icc}");
        assert_ne!(result.fields[&11], request.fields[&11], "a number of its own");
        assert!(
            result.fields[&61].contains(&request.fields[&11]),
            "and that of its sale: {:?}",
            result.fields
        );
        assert_eq!(till.booked(), [Effect::Held, Effect::Noted]);
        assert_eq!(till.acquirer.held().unwrap().0, 1250);
    });
}

/// Goal: each limit of the merchant refuses the sale before the card is asked, and says which limit it was.
#[test]
fn limits_refuse_before_the_card_is_asked() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        till.configure("[emv]", "[store-and-forward]\nmax-amount = 5000\nmax-count = 1\n[emv]");
        till.start_daemon().await;
        till.open().await;
        cut_the_network(till);
        assert_eq!(fault(super::start(till, "s-0", "offline-sale", 5001).await), "LimitExceeded");
        assert_eq!(till.get::<u32>(ROOT_PATH, "Queue.RemainingCount").await, 1);
        store(till, "s-1", 5000).await;
        assert_eq!(till.get::<u32>(ROOT_PATH, "Queue.RemainingCount").await, 0);
        let full = super::start(till, "s-2", "offline-sale", 1).await.unwrap_err().to_string();
        assert!(full.contains("max-count: 2 offline sales would wait, 1 may"), "{full}");
    });
}

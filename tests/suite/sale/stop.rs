//! The end of the daemon in the middle of business: told to stop, or killed.
use crate::support::{Options, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use std::time::Duration;

/// What the documents promise.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Goal: stopping while the customer is waited for cancels the sale, durably, within five seconds.
#[test]
fn a_stop_while_the_card_is_waited_for_cancels_the_sale() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        assert!(till.stop_daemon().await < STOP_MAX);
        assert_eq!(till.finished(&sale).await.outcome, "cancelled");
        till.start_daemon().await;
        let again = till.manager().await.get_transaction("s-1", Default::default()).await.unwrap();
        assert_eq!(again, sale);
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "cancelled");
        assert!(till.booked().is_empty());
    });
}

/// Goal: stopping while the bank is silent leaves a durable reversal within five seconds; the restart sends it.
#[test]
fn a_stop_while_the_bank_is_silent_is_reversed_after_the_restart() {
    with_till(Options { response_timeout_s: 60, ..Options::default() }, async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.bank_saw("0200", 1).await;
        assert!(till.stop_daemon().await < STOP_MAX);
        assert_eq!(till.booked(), [Effect::Held], "the bank still holds it");
        till.start_daemon().await;
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        till.nothing_owed().await;
        assert_eq!(till.booked(), [Effect::Reversed]);
    });
}

/// Goal: an upgrade that comes in the middle of a sale ends the daemon after it, by itself, with a clean exit; the wish
/// is not kept for the next daemon.
#[test]
fn a_wish_for_a_restart_waits_for_a_safe_moment() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        let wish = till.dir().join("run/restart");
        std::fs::write(&wish, "").unwrap();
        till.put_card("unionpay");
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(till.daemon_ended().await, Some(0), "{}", till.log());
        assert!(!wish.exists());
        till.start_daemon().await;
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved");
        till.plies_are(&sale, "confirmed").await;
    });
}

/// Goal: an answer that comes within the last three seconds is still taken.
#[test]
fn a_stop_waits_for_an_answer_that_is_near() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::Late(1000))).unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.bank_saw("0200", 1).await;
        assert!(till.stop_daemon().await < STOP_MAX);
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.start_daemon().await;
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved");
        till.plies_are(&sale, "confirmed").await;
        assert_eq!(till.booked(), [Effect::Held]);
        assert_eq!(till.paper(2).await.len(), 2);
    });
}

/// Goal: a pending reversal outlives a kill, and the recovered terminal sends it before anything else.
#[test]
fn a_pending_reversal_outlives_a_kill() {
    with_till(Options { response_timeout_s: 1, ..Options::default() }, async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
        till.acquirer.rule(Rule::always("0400", Fault::DropBefore)).unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "unknown");
        assert_eq!(
            till.get::<u32>(ROOT_PATH, "Queue.PendingReversals").await,
            1,
            "it is there when the end is told"
        );
        till.bank_saw("0400", 1).await;
        till.kill_daemon().await;
        till.start_daemon().await;
        assert_eq!(till.get::<u32>(ROOT_PATH, "Queue.PendingReversals").await, 1);
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "unknown");
        till.acquirer.clear_rules().unwrap();
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        till.nothing_owed().await;
        assert_eq!(till.booked(), [Effect::Reversed]);
        let blockers: Vec<String> = till.get(ROOT_PATH, "Manager.UpdateBlockers").await;
        assert!(!blockers.contains(&"reversal".to_owned()));
    });
}

/// Goal: a kill while the bank thinks: what was sent is unknown, and is reversed by the recovered terminal.
#[test]
fn a_kill_while_the_bank_thinks_is_reversed() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::Hold)).unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.bank_saw("0200", 1).await;
        till.kill_daemon().await;
        till.start_daemon().await;
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.booked(), [Effect::Reversed]);
        assert_eq!(till.finished_count(&sale), 0, "what recovery closed is not signalled again");
        till.open_again().await;
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved");
        assert_eq!(till.booked(), [Effect::Reversed, Effect::Held], "each has its own number");
    });
}

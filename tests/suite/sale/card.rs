//! What the card and its owner can do: pull it, leave it, refuse, mistype, cancel.
use crate::support::{Options, Typed, fault, with_till};
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};

/// Goal: a card pulled while it is read ends the sale; nobody at the bank has heard of it.
#[test]
fn a_card_pulled_while_it_is_read_fails_the_sale() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.bench.fault("gpo remove").unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "card-removed"));
        assert!(till.prompts(&sale).contains(&"card-removed-too-early".to_owned()));
        assert!(till.booked().is_empty());
    });
}

/// Goal: a card pulled while the PIN is asked ends the sale, and the agent's question is withdrawn.
#[test]
fn a_card_pulled_at_the_pin_fails_the_sale() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("unionpay", Typed::Nothing).await;
        till.agent_called("RequestPin", 0).await;
        till.bench.remove().unwrap();
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "card-removed"));
        till.agent_called("Cancel cancelled", 0).await;
        assert!(till.booked().is_empty());
    });
}

/// Goal: a card pulled while the bank thinks cannot give its last word; the approval is undone with reason 06.
#[test]
fn a_card_pulled_while_the_bank_thinks_is_reversed() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::Hold)).unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        till.bank_saw("0200", 1).await;
        till.take_card().await;
        till.acquirer.release().unwrap();
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "card-removed"));
        till.bank_saw("0400", 1).await;
        till.nothing_owed().await;
        assert_eq!(till.asked(&["0200", "0400"]), ["0200", "0400 06"]);
        assert_eq!(till.booked(), [Effect::Reversed]);
    });
}

/// Goal: a wrong PIN is the bank's word (55), not ours.
#[test]
fn a_wrong_pin_is_declined_by_the_bank() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("unionpay", Typed::Pin("654321")).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("response-code").as_str()), ("declined", "55"));
        assert_eq!(till.booked(), [Effect::Declined]);
    });
}

/// Goal: the customer's cancel at the PIN ends the sale before the bank is asked.
#[test]
fn the_customer_cancels_at_the_pin() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("unionpay", Typed::Cancel).await;
        let end = till.finished(&sale).await;
        assert_eq!(end.outcome, "cancelled");
        assert!(
            ["pin-cancelled", "customer-cancelled"].contains(&end.text("result-code").as_str()),
            "{end:?}"
        );
        assert!(till.booked().is_empty());
    });
}

/// Goal: a customer who presses enter goes on without a PIN; the card's list falls to the signature.
#[test]
fn a_pin_that_is_passed_over_leads_to_the_next_method() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("unionpay", Typed::Bypass).await;
        till.finished(&sale).await;
        till.agent_called("RequestPin", 0).await;
        assert_ne!(till.text(sale.as_str(), "Transaction.CvmMethod").await, "online-pin");
    });
}

/// Goal: a card that refuses offline is declined without asking the bank.
#[test]
fn a_card_that_refuses_offline_is_declined() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("declines-offline");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("declined", "declined-offline")
        );
        assert!(till.booked().is_empty());
    });
}

/// Goal: nobody comes. The sale ends as cancelled by the customer's time-out.
#[test]
fn a_customer_who_does_not_come_is_a_time_out() {
    with_till(Options { customer_timeout_s: 1, ..Options::default() }, async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        assert!(till.get::<u64>(sale.as_str(), "Transaction.Deadline").await > 0);
        assert_eq!(till.text(sale.as_str(), "Transaction.DeadlineKind").await, "customer");
        let end = till.finished(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("cancelled", "customer-timeout")
        );
        assert_eq!(
            fault(till.transaction(&sale).await.reprint("customer", Default::default()).await),
            "WrongState"
        );
    });
}

/// Goal: a customer who leaves at the PIN is a time-out as well, and the question is withdrawn.
#[test]
fn a_customer_who_leaves_at_the_pin_is_a_time_out() {
    with_till(Options { customer_timeout_s: 2, ..Options::default() }, async |till| {
        let sale = till.sells("unionpay", Typed::Nothing).await;
        let end = till.finished(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("cancelled", "customer-timeout")
        );
        till.agent_called("RequestPin", 0).await;
        assert!(till.booked().is_empty());
    });
}

/// Goal: the last customer's card is not charged for the next one: the sale waits until it is out.
#[test]
fn a_card_that_was_left_in_is_not_used_again() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("no-cvm");
        let first = till.sale("s-1", 1250).await;
        till.finished(&first).await;
        let second = till.sale("s-2", 500).await;
        till.entered(&second, "waiting-card").await;
        till.take_card().await;
        assert_eq!(till.text(second.as_str(), "Transaction.State").await, "waiting-card");
        assert!(till.prompts(&second).contains(&"remove-card".to_owned()));
        till.put_card("unionpay");
        assert_eq!(till.finished(&second).await.outcome, "approved");
        assert_eq!(till.acquirer.held().unwrap(), (1750, 2));
    });
}

/// Goal: cancel is free until the bank may have been asked, answers every time, and is too late afterwards.
#[test]
fn a_sale_can_be_cancelled_until_the_bank_is_asked() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        let txn = till.transaction(&sale).await;
        assert_eq!(txn.cancel(Default::default()).await.unwrap(), "accepted");
        let end = till.finished(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("cancelled", "operator-cancelled")
        );
        assert_eq!(txn.cancel(Default::default()).await.unwrap(), "already-cancelled");

        till.typed.send_replace(Typed::Nothing);
        till.put_card("unionpay");
        let sale = till.sale("s-2", 1250).await;
        let mark = till.mark();
        till.agent_called("RequestPin", 0).await;
        let txn = till.transaction(&sale).await;
        assert_eq!(txn.cancel(Default::default()).await.unwrap(), "accepted");
        assert_eq!(till.finished(&sale).await.outcome, "cancelled");
        till.agent_called("Cancel cancelled", mark).await;

        till.typed.send_replace(Typed::Pin("123456"));
        till.take_card().await;
        till.put_card("unionpay");
        till.acquirer.rule(Rule::once("0200", Fault::Hold)).unwrap();
        let sale = till.sale("s-3", 1250).await;
        till.bank_saw("0200", 1).await;
        let txn = till.transaction(&sale).await;
        assert_eq!(fault(txn.cancel(Default::default()).await), "TooLate");
        till.acquirer.release().unwrap();
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(fault(txn.cancel(Default::default()).await), "AlreadyFinished");
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
    });
}

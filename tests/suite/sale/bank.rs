//! What the bank can do to a sale: refuse, stay silent, answer late, twice or wrongly, hang up, or be away.
use crate::support::{Options, PASSWORD, Till, dict_text, number, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use zbus::zvariant::OwnedObjectPath;

/// One second is enough for a bank on the same machine.
fn impatient() -> Options {
    Options { response_timeout_s: 1, ..Options::default() }
}

/// A shop in which the next sale meets a fault.
async fn sale_with(till: &mut Till, fault: Fault) -> OwnedObjectPath {
    till.open().await;
    till.acquirer.rule(Rule::once("0200", fault)).unwrap();
    till.put_card("unionpay");
    till.sale("s-1", 1250).await
}

/// Everything that is owed is tried now.
async fn flush(till: &mut Till) {
    let queue = posd::api::proxy::QueueProxy::new(&till.client).await.unwrap();
    let job = queue.flush(Default::default()).await.unwrap();
    till.until_is(job.as_str(), "Job.State", "succeeded").await;
}

/// Goal: a refusal is an outcome with the bank's code and a text; nothing is printed, owed or booked.
#[test]
fn a_sale_that_the_bank_refuses_is_declined() {
    with_till(Options::default(), async |till| {
        let sale = sale_with(till, Fault::Decline("51".to_owned())).await;
        let end = till.finished(&sale).await;
        assert_eq!(end.outcome, "declined");
        assert_eq!(
            (end.text("result-code").as_str(), end.text("response-code").as_str()),
            ("declined-host", "51")
        );
        let text: std::collections::HashMap<String, String> =
            till.get(sale.as_str(), "Transaction.ResultText").await;
        assert!(!text["zh"].is_empty() && !text["en"].is_empty());
        assert_eq!(till.acquirer.held().unwrap(), (0, 0));
        assert_eq!(till.booked(), [Effect::Declined]);
        assert!(till.owed().await.is_empty());
        assert!(till.plies(&sale).await.is_empty());
        till.take_card().await;
        till.entered(&sale, "finished").await;
        assert_eq!(till.asked(&["0200", "0400"]), ["0200"]);
    });
}

/// Goal: the card has the last word. Its refusal after the bank's approval undoes the booking with reason 06.
#[test]
fn a_sale_that_the_card_refuses_after_approval_is_reversed() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("declines-after-approval");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("declined", "declined-card"));
        till.bank_saw("0400", 1).await;
        till.nothing_owed().await;
        assert_eq!(till.booked(), [Effect::Reversed]);
        assert_eq!(till.asked(&["0200", "0400"]), ["0200", "0400 06"]);
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "declined", "it stays what it was");
        assert!(till.printer.as_ref().unwrap().report().receipts.is_empty());
    });
}

/// Goal: no answer is `unknown`, never "not charged"; the reversal goes before the next sale, and then it is
/// `reversed`.
#[test]
fn a_lost_reply_is_reversed_before_the_next_sale() {
    with_till(impatient(), async |till| {
        let sale = sale_with(till, Fault::Drop).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("unknown", "host-timeout"));
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved");
        assert_eq!(till.asked(&["0200", "0400"]), ["0200", "0400 98", "0200"]);
        assert_eq!(till.booked(), [Effect::Reversed, Effect::Held]);
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.changes::<String>(sale.as_str(), "Transaction.Outcome"), ["unknown", "reversed"]);
        assert_eq!(till.finished_count(&sale), 1);
        assert!(till.states(&sale).contains(&"resolving".to_owned()));
        assert_eq!(dict_text(&till.row("s-1").await.unwrap(), "outcome"), "reversed");
        till.nothing_owed().await;
    });
}

/// Goal: an answer that comes after the time-out changes nothing and is shown in the timeline.
#[test]
fn a_late_reply_changes_nothing() {
    with_till(impatient(), async |till| {
        till.open().await;
        for mti in ["0200", "0400"] {
            till.acquirer.rule(Rule::once(mti, Fault::Hold)).unwrap();
        }
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "unknown");
        till.bank_saw("0400", 1).await;
        // The approval comes now, and the answer to the reversal behind it.
        assert_eq!(till.acquirer.release().unwrap(), 2);
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.booked(), [Effect::Reversed]);
        assert!(
            till.timeline(&sale).await.contains(&"late-answer".to_owned()),
            "{:?}",
            till.timeline(&sale).await
        );
        assert!(till.printer.as_ref().unwrap().report().receipts.is_empty());
    });
}

/// Goal: an answer that anybody could have written is no answer. It is reversed with A0, after a new sign-on.
#[test]
fn an_answer_with_a_wrong_mac_is_reversed_after_a_new_sign_on() {
    with_till(Options::default(), async |till| {
        let sale = sale_with(till, Fault::BadMac).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("unknown", "mac-error"));
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.asked(&["0200", "0400", "0800"]), ["0800", "0200", "0800", "0400 A0"]);
        assert_eq!(till.booked(), [Effect::Reversed]);
    });
}

/// Goal: the second copy of an answer changes nothing.
#[test]
fn an_answer_that_comes_twice_counts_once() {
    with_till(Options::default(), async |till| {
        let sale = sale_with(till, Fault::Duplicate).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.plies_are(&sale, "confirmed").await;
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
        assert_eq!(till.finished_count(&sale), 1);
        assert!(
            till.timeline(&sale).await.contains(&"late-answer".to_owned()),
            "{:?}",
            till.timeline(&sale).await
        );
        assert_eq!(till.paper(2).await.len(), 2);
    });
}

/// Goal: what is no usable answer leaves the outcome unknown, and the reversal brings both ends together.
#[test]
fn an_unusable_answer_is_reversed() {
    for (fault, result) in [
        (Fault::Close, "host-timeout"),
        (Fault::Garbage, "protocol-error"),
        (Fault::Truncate, "host-timeout"),
        (Fault::NoMac, "mac-error"),
    ] {
        with_till(impatient(), async |till| {
            let sale = sale_with(till, fault.clone()).await;
            let end = till.finished(&sale).await;
            assert_eq!(
                (end.outcome.as_str(), end.text("result-code").as_str()),
                ("unknown", result),
                "{fault}"
            );
            till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
            assert_eq!(till.booked(), [Effect::Reversed], "{fault}");
        });
    }
}

/// Goal: an answer with another STAN is not ours; the time-out decides.
#[test]
fn an_answer_to_somebody_else_is_not_taken() {
    with_till(impatient(), async |till| {
        let sale = sale_with(till, Fault::WrongStan).await;
        assert_eq!(till.finished(&sale).await.outcome, "unknown");
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.booked(), [Effect::Reversed]);
    });
}

/// Goal: a reversal of a sale that the bank never saw is answered 25. It unblocks trading and waits to be asked again.
#[test]
fn a_reversal_of_an_unseen_sale_does_not_block_trading() {
    with_till(impatient(), async |till| {
        let sale = sale_with(till, Fault::CloseBefore).await;
        assert_eq!(till.finished(&sale).await.outcome, "unknown");
        till.bank_saw("0400", 1).await;
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved");
        assert_eq!(till.booked(), [Effect::NotFound, Effect::Held]);
        let owed = till.owed().await;
        assert_eq!((owed.len(), dict_text(&owed[0], "state").as_str()), (1, "due"));
        assert_eq!(number(&owed[0], "attempts"), 1);
        assert_eq!(till.asked(&["0400"]).len(), 1, "not asked twice in a row");
        flush(till).await;
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        till.nothing_owed().await;
        assert_eq!(till.asked(&["0400"]), ["0400 98", "0400 98"], "the second 25 is the end");
    });
}

/// Goal: a bank that refuses the reversal's MAC gets a new sign-on and the reversal once more.
#[test]
fn a_reversal_that_is_refused_with_a0_follows_a_new_sign_on() {
    with_till(impatient(), async |till| {
        till.acquirer.rule(Rule::once("0400", Fault::Decline("A0".to_owned()))).unwrap();
        let sale = sale_with(till, Fault::Drop).await;
        assert_eq!(till.finished(&sale).await.outcome, "unknown");
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.asked(&["0200", "0400", "0800"]), ["0800", "0200", "0400 98", "0800", "0400 98"]);
        assert_eq!(till.booked(), [Effect::Reversed]);
    });
}

/// Goal: a reversal that nobody answers blocks trading until its attempts are used up, then is listed as failed; it is
/// tried again when somebody asks for it, and is never dropped.
#[test]
fn a_reversal_that_nobody_answers_is_kept_until_it_is_done() {
    with_till(impatient(), async |till| {
        till.acquirer.rule(Rule::always("0400", Fault::DropBefore)).unwrap();
        let sale = sale_with(till, Fault::Drop).await;
        assert_eq!(till.finished(&sale).await.outcome, "unknown");
        till.until::<u32>(ROOT_PATH, "Queue.UnresolvedCount", |count| *count == 1).await;
        let owed = till.owed().await;
        assert_eq!((dict_text(&owed[0], "state").as_str(), number(&owed[0], "attempts")), ("failed", 4));
        assert_eq!(till.asked(&["0400"]).len(), 4);
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved", "trading goes on");
        till.acquirer.clear_rules().unwrap();
        flush(till).await;
        till.until_is(sale.as_str(), "Transaction.Outcome", "reversed").await;
        assert!(till.owed().await.is_empty());
        assert_eq!(till.booked(), [Effect::Reversed, Effect::Held]);
    });
}

/// Goal: a bank that has lost our keys refuses with A0; the till signs on by itself and the next sale works.
#[test]
fn lost_keys_are_fetched_anew() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.acquirer.forget_keys().unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("response-code").as_str()), ("declined", "A0"));
        till.bank_saw("0800", 2).await;
        till.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved");
        assert_eq!(till.acquirer.held().unwrap(), (500, 1));
    });
}

/// Goal: a bank that is away in the morning is signed on to by itself when it comes.
#[test]
fn a_bank_that_comes_late_is_signed_on_to() {
    with_till(Options { host: false, ..Options::default() }, async |till| {
        till.change_password("01", "0000", PASSWORD).await.unwrap();
        till.sign_on("01", PASSWORD).await.unwrap();
        till.until_is(ROOT_PATH, "Host.Reachable", "no").await;
        assert!(!till.get::<bool>(ROOT_PATH, "Host.SignedOn").await);
        assert_eq!(till.text(ROOT_PATH, "Manager.State").await, "ready-offline");
        till.acquirer.accept_connections().unwrap();
        till.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        till.until_is(ROOT_PATH, "Host.Reachable", "yes").await;
        till.until_is(ROOT_PATH, "Manager.State", "ready").await;
    });
}

/// Goal: without a line the sale fails after three attempts that can be watched; nothing is booked and nothing owed.
#[test]
fn a_sale_without_a_line_fails_and_owes_nothing() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.acquirer.refuse_connections().unwrap();
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "connect-failed"));
        let attempts = till.changes::<zbus::zvariant::OwnedValue>(sale.as_str(), "Transaction.Attempt");
        let attempts: Vec<(u32, u32)> = attempts.into_iter().map(|v| v.try_into().unwrap()).collect();
        assert_eq!(attempts, [(1, 3), (2, 3), (3, 3)]);
        assert!(till.owed().await.is_empty());
        assert!(till.booked().is_empty());
        till.until_is(ROOT_PATH, "Host.Reachable", "no").await;
        till.acquirer.accept_connections().unwrap();
        till.take_card().await;
        till.put_card("no-cvm");
        let next = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&next).await.outcome, "approved");
        assert_eq!(till.asked(&["0200", "0400"]), ["0200"]);
    });
}

//! Every kind beside the sale, with real parts: its original, its supervisor, its card, and the bank's books.
use crate::support::{Options, SUPERVISOR, Till, fault, with_till};
use posd::api::proxy::ROOT_PATH;
use std::collections::HashMap;
use zbus::zvariant::{OwnedObjectPath, Value};

type Paths = Vec<OwnedObjectPath>;

/// A till whose supervisor has a password of her own.
async fn open(till: &mut Till) {
    till.change_password("00", "123456", SUPERVISOR).await.unwrap();
    till.open().await;
}

/// A sale that is approved, its paper printed, its card taken.
async fn paid(till: &mut Till, request_id: &str, amount: i64) -> OwnedObjectPath {
    till.put_card("unionpay");
    let sale = till.sale(request_id, amount).await;
    assert_eq!(till.ended(&sale).await.outcome, "approved");
    sale
}

async fn allowed(till: &mut Till, path: &OwnedObjectPath, wanted: &[&str]) {
    till.until::<Vec<String>>(path.as_str(), "Transaction.AllowedFollowUps", |kinds| kinds == wanted).await;
}

/// Goal: a void asks supervisor and card, undoes the sale at the bank, and both transactions know of each other.
#[test]
fn a_void_asks_supervisor_and_card_and_undoes_the_sale() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let sale = paid(till, "s-1", 1250).await;
        allowed(till, &sale, &["void", "refund"]).await;
        till.put_card("unionpay");
        let void = till.follow("void", "v-1", 0, &sale).await;
        let end = till.ended(&void).await;
        assert_eq!(end.outcome, "approved");
        let states = till.states(&void);
        assert_eq!(states.first().map(String::as_str), Some("waiting-authorization"));
        assert!(!states.contains(&"waiting-pin".to_owned()), "the profile wants no PIN");
        till.agent_called("Authorize void", 0).await;
        assert_eq!(till.acquirer.held().unwrap().0, 0, "the bank holds nothing any more");
        assert_eq!(till.get::<i64>(void.as_str(), "Transaction.Amount").await, 1250, "the whole amount");
        assert_eq!(till.get::<OwnedObjectPath>(void.as_str(), "Transaction.Original").await, sale);
        let follows = |paths: &Paths| paths == core::slice::from_ref(&void);
        till.until::<Paths>(sale.as_str(), "Transaction.FollowUps", follows).await;
        allowed(till, &sale, &[]).await;
        let again = HashMap::from([("original", Value::from(sale.clone()))]);
        assert_eq!(fault(till.try_start("void", "v-2", 0, again).await), "OriginalNotEligible");
    });
}

/// Goal: another card than the sale's ends the void before the bank is asked.
#[test]
fn a_void_with_another_card_is_refused() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let sale = paid(till, "s-1", 1250).await;
        till.put_card("unionpay-credit");
        let void = till.follow("void", "v-1", 0, &sale).await;
        let end = till.finished(&void).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "wrong-card"));
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
    });
}

/// Goal: refunds add up to the sale and not further, and a partly refunded sale cannot be voided any more.
#[test]
fn refunds_add_up_to_the_sale_and_not_further() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let sale = paid(till, "s-1", 1000).await;
        for (request_id, amount, total) in [("r-1", 400, 400), ("r-2", 600, 1000)] {
            till.put_card("unionpay");
            let refund = till.follow("refund", request_id, amount, &sale).await;
            assert_eq!(till.ended(&refund).await.outcome, "approved");
            till.until::<i64>(sale.as_str(), "Transaction.RefundedTotal", |sum| *sum == total).await;
            let original = || HashMap::from([("original", Value::from(sale.clone()))]);
            let more = till.try_start("refund", &format!("{request_id}-more"), 601, original()).await;
            assert_eq!(fault(more), "RefundExceedsOriginal");
            let void = till.try_start("void", &format!("{request_id}-void"), 0, original()).await;
            assert_eq!(fault(void), "OriginalNotEligible");
        }
        assert_eq!(till.acquirer.held().unwrap().0, 0);
    });
}

/// Goal: a balance inquiry tells the balance, moves nothing and prints nothing.
#[test]
fn a_balance_is_told_and_nothing_moves() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.put_card("unionpay");
        let balance = till.try_start("balance", "b-1", 0, HashMap::new()).await.unwrap();
        assert_eq!(till.ended(&balance).await.outcome, "approved");
        let view = till.transaction(&balance).await.get_result(Default::default()).await.unwrap();
        assert!(view.contains_key("balance"), "{view:?}");
        assert_eq!(till.acquirer.held().unwrap(), (0, 0));
        assert_eq!(till.get::<Paths>(balance.as_str(), "Transaction.PrintJobs").await, Paths::new());
        let wrong = till.try_start("balance", "b-2", 1, HashMap::new()).await;
        assert_eq!(fault(wrong), "AmountInvalid");
    });
}

/// Goal: money is held, taken, and given back: pre-authorisation, completion, void of the completion.
#[test]
fn a_pre_authorisation_is_completed_and_the_completion_voided() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.put_card("unionpay");
        let held = till.try_start("pre-auth", "p-1", 50_000, HashMap::new()).await.unwrap();
        assert_eq!(till.ended(&held).await.outcome, "approved");
        allowed(till, &held, &["pre-auth-void", "pre-auth-complete", "pre-auth-advice"]).await;
        let too_much = HashMap::from([("original", Value::from(held.clone()))]);
        assert_eq!(
            fault(till.try_start("pre-auth-complete", "c-0", 57_501, too_much).await),
            "AmountInvalid"
        );
        till.put_card("unionpay");
        let taken = till.follow("pre-auth-complete", "c-1", 45_000, &held).await;
        assert_eq!(till.ended(&taken).await.outcome, "approved");
        assert_eq!(till.acquirer.held().unwrap().0, 45_000);
        allowed(till, &taken, &["refund", "pre-auth-complete-void"]).await;
        till.put_card("unionpay");
        let void = till.follow("pre-auth-complete-void", "cv-1", 0, &taken).await;
        assert_eq!(till.ended(&void).await.outcome, "approved");
        // What is not taken any more is held again.
        assert_eq!(till.acquirer.held().unwrap().0, 50_000);
    });
}

/// Goal: a completion that was voided leaves its pre-authorisation open: it is completed again, or given back.
#[test]
fn a_voided_completion_leaves_its_pre_authorisation_open() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let family = ["pre-auth-void", "pre-auth-complete", "pre-auth-advice"];
        for (round, next, left) in [(1, "pre-auth-complete", 300), (2, "pre-auth-void", 300)] {
            till.put_card("unionpay");
            let held = till.try_start("pre-auth", &format!("p-{round}"), 500, HashMap::new()).await.unwrap();
            assert_eq!(till.ended(&held).await.outcome, "approved");
            allowed(till, &held, &family).await;
            till.put_card("unionpay");
            let taken = till.follow("pre-auth-complete", &format!("c-{round}"), 450, &held).await;
            assert_eq!(till.ended(&taken).await.outcome, "approved");
            allowed(till, &held, &[]).await;
            let original = HashMap::from([("original", Value::from(held.clone()))]);
            let twice = till.try_start("pre-auth-complete", &format!("t-{round}"), 100, original).await;
            assert_eq!(fault(twice), "OriginalNotEligible");
            till.put_card("unionpay");
            let void = till.follow("pre-auth-complete-void", &format!("cv-{round}"), 0, &taken).await;
            assert_eq!(till.ended(&void).await.outcome, "approved");
            allowed(till, &held, &family).await;
            till.put_card("unionpay");
            let amount = if next == "pre-auth-void" { 0 } else { 300 };
            let last = till.follow(next, &format!("n-{round}"), amount, &held).await;
            assert_eq!(till.ended(&last).await.outcome, "approved", "{next}");
            assert_eq!(till.acquirer.held().unwrap().0, left, "after {next}");
            allowed(till, &held, &[]).await;
        }
    });
}

/// Goal: a sale that the card approves by itself needs no bank, waits in the queue, and is uploaded when asked.
#[test]
fn an_offline_sale_is_stored_and_uploaded() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.put_card("approves-offline");
        let sale = till.try_start("offline-sale", "o-1", 700, HashMap::new()).await.unwrap();
        let end = till.ended(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("stored-offline", "offline-approved")
        );
        let too_much = till.try_start("offline-sale", "o-2", 20_001, HashMap::new()).await;
        assert_eq!(fault(too_much), "LimitExceeded");
        till.nothing_owed().await;
        assert_eq!(till.acquirer.held().unwrap().0, 700);
    });
}

/// Goal: a card that wants its PIN checked by the bank makes no offline sale.
#[test]
fn an_offline_sale_with_a_card_that_wants_a_pin_is_declined() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.put_card("unionpay");
        let sale = till.try_start("offline-sale", "o-1", 700, HashMap::new()).await.unwrap();
        let end = till.finished(&sale).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("declined", "declined-offline")
        );
        assert!(till.owed().await.is_empty());
    });
}

/// Goal: a refused signature undoes the sale by itself: no card, operator or supervisor is asked.
#[test]
fn a_refused_signature_undoes_the_sale() {
    with_till(Options::default(), async |till| {
        open(till).await;
        till.signature.send_replace(false);
        till.put_card("signature");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.until::<Paths>(sale.as_str(), "Transaction.FollowUps", |paths| paths.len() == 1).await;
        let undo = till.get::<Paths>(sale.as_str(), "Transaction.FollowUps").await.remove(0);
        till.until_is(undo.as_str(), "Transaction.Outcome", "approved").await;
        assert_eq!(till.text(undo.as_str(), "Transaction.Kind").await, "void");
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved", "the original stays");
        assert_eq!(till.acquirer.held().unwrap().0, 0);
        let states = till.states(&undo);
        for asked in ["waiting-authorization", "waiting-card", "waiting-pin"] {
            assert!(!states.contains(&asked.to_owned()), "{states:?}");
        }
        let refused = |reasons: &Vec<String>| !reasons.iter().any(|reason| reason == "signature-refused");
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", refused).await;
    });
}

/// Goal: the same card and amount at once is charged twice only if the cashier says so.
#[test]
fn a_second_equal_sale_is_asked_about() {
    with_till(Options::default(), async |till| {
        open(till).await;
        let first = paid(till, "s-1", 1250).await;
        till.duplicate.send_replace(false);
        till.put_card("unionpay");
        let second = till.sale("s-2", 1250).await;
        let end = till.finished(&second).await;
        assert_eq!(
            (end.outcome.as_str(), end.text("result-code").as_str()),
            ("cancelled", "duplicate-suspected")
        );
        till.agent_called(&format!("ConfirmDuplicate {first}"), 0).await;
        assert_eq!(till.acquirer.held().unwrap(), (1250, 1));
        till.take_card().await;
        till.duplicate.send_replace(true);
        paid(till, "s-3", 1250).await;
        till.duplicate.send_replace(false);
        paid(till, "s-4", 1249).await;
        assert_eq!(till.acquirer.held().unwrap(), (3749, 3));
    });
}

//! A PIN that the card checks itself, from the agent through kernel and reader to the card and back.
use crate::support::{Options, Typed, with_till};
use posd::sim::host::ledger::Effect;
use std::time::{Duration, Instant};

/// Goal: a PIN that is wrong twice is asked for again with the tries that the card names; the right one ends it, nobody
/// signs, the bank gets no PIN block, and no log holds a PIN.
#[test]
fn a_wrong_pin_is_asked_for_again() {
    with_till(Options { log: "trace", ..Options::default() }, async |till| {
        let sale = till.sells("offline-pin", Typed::Pins(&["71927", "71928", "1234"])).await;
        let end = till.finished(&sale).await;
        assert_eq!(end.outcome, "approved", "{end:?}");
        for asked in ["PIN offline Some(3)", "PIN offline Some(2)", "PIN offline Some(1)"] {
            till.agent_called(asked, 0).await;
        }
        let prompts = till.prompts(&sale);
        let pins: Vec<_> = prompts.iter().filter(|prompt| prompt.ends_with("-pin")).collect();
        assert_eq!(pins, ["enter-pin", "wrong-pin", "wrong-pin"]);
        assert_eq!(till.text(sale.as_str(), "Transaction.CvmMethod").await, "offline-pin");
        assert!(!till.get::<bool>(sale.as_str(), "Transaction.SignatureRequired").await);
        assert_eq!(till.booked(), [Effect::Held]);
        let log = till.log();
        for pin in ["71927", "71928", "7192 7", "2571927", "2571928", "241234F"] {
            assert!(!log.to_uppercase().contains(pin), "{pin} is in the log");
        }
    });
}

/// Goal: three wrong PINs block the card's PIN; its list goes on, here to the PIN for the bank, which is another one.
#[test]
fn a_blocked_pin_leads_to_the_next_method() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("offline-pin", Typed::Pins(&["1111", "2222", "3333", "123456"])).await;
        let end = till.finished(&sale).await;
        assert_eq!(end.outcome, "approved", "{end:?}");
        till.agent_called("PIN online None", 0).await;
        assert_eq!(till.text(sale.as_str(), "Transaction.CvmMethod").await, "online-pin");
    });
}

/// Goal: who presses enter is not asked for another PIN: the card's list falls to the signature.
#[test]
fn a_pin_that_is_passed_over_leads_to_the_signature() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("offline-pin", Typed::Bypass).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.agent_called("PIN offline Some(3)", 0).await;
        assert_eq!(till.text(sale.as_str(), "Transaction.CvmMethod").await, "signature");
        assert!(till.get::<bool>(sale.as_str(), "Transaction.SignatureRequired").await);
    });
}

/// Goal: a card pulled while the PIN is asked again ends the sale at once, and the question is withdrawn.
#[test]
fn a_card_pulled_at_the_second_question_fails_the_sale() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("offline-pin", Typed::Pins(&["1111"])).await;
        till.agent_called("PIN offline Some(2)", 0).await;
        till.bench.remove().unwrap();
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "card-removed"));
        till.agent_called("Cancel cancelled", 0).await;
        assert!(till.booked().is_empty());
    });
}

/// Goal: a card pulled while it checks the PIN ends the sale too, and nothing hangs.
#[test]
fn a_card_pulled_while_it_checks_the_pin_fails_the_sale() {
    with_till(Options::default(), async |till| {
        till.bench.fault("verify remove").unwrap();
        let sale = till.sells("offline-pin", Typed::Pin("1234")).await;
        let end = till.finished(&sale).await;
        assert_eq!((end.outcome.as_str(), end.text("result-code").as_str()), ("failed", "card-removed"));
        assert!(till.booked().is_empty());
    });
}

/// Goal: a cancel at the second question is answered within 100 ms and ends the sale.
#[test]
fn a_sale_is_cancelled_at_the_second_question() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("offline-pin", Typed::Pins(&["1111"])).await;
        till.agent_called("PIN offline Some(2)", 0).await;
        let txn = till.transaction(&sale).await;
        let asked = Instant::now();
        assert_eq!(txn.cancel(Default::default()).await.unwrap(), "accepted");
        assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
        let end = till.finished(&sale).await;
        assert_eq!(end.text("result-code"), "operator-cancelled");
        till.agent_called("Cancel cancelled", 0).await;
    });
}

/// Goal: a PIN goes to the card under the card's own key, wrong once and then right, through a real pcscd.
#[test]
fn an_enciphered_pin_is_checked_by_the_card() {
    with_till(Options::default(), async |till| {
        let sale = till.sells("enciphered-pin", Typed::Pins(&["1111", "1234"])).await;
        let end = till.finished(&sale).await;
        assert_eq!(end.outcome, "approved", "{end:?}");
        till.agent_called("PIN offline Some(2)", 0).await;
        assert_eq!(till.text(sale.as_str(), "Transaction.CvmMethod").await, "offline-pin");
    });
}

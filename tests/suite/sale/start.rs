//! `StartTransaction`: when it is refused, and that the same request never becomes two sales.
use crate::support::{Options, PASSWORD, fault, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::ledger::Effect;

/// Goal: the same request id gives the same transaction, while it runs, after it, and after a restart; with another
/// amount it is refused. The customer pays once.
#[test]
fn the_same_request_is_one_sale_before_and_after_a_restart() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.sale("s-1", 1250).await, sale);
        till.put_card("unionpay");
        till.finished(&sale).await;
        assert_eq!(till.sale("s-1", 1250).await, sale);
        assert_eq!(fault(till.try_sale("s-1", 1251).await), "IdempotencyConflict");
        till.plies_are(&sale, "confirmed").await;
        till.stop_daemon().await;

        till.start_daemon().await;
        assert_eq!(till.sale("s-1", 1250).await, sale, "no operator is needed to hear of it");
        assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved");
        assert_eq!(fault(till.try_sale("s-1", 1251).await), "IdempotencyConflict");
        let manager = till.manager().await;
        assert_eq!(manager.get_transaction("s-1", Default::default()).await.unwrap(), sale);
        assert_eq!(fault(manager.get_transaction("s-0", Default::default()).await), "NotFound");
        assert_eq!(till.booked(), [Effect::Held]);
        assert_eq!(till.finished_count(&sale), 1);
    });
}

/// Goal: one sale at a time.
#[test]
fn a_second_sale_meets_busy() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(fault(till.try_sale("s-2", 1).await), "Busy");
        assert_eq!(till.text(ROOT_PATH, "Manager.State").await, "trading");
        till.transaction(&sale).await.cancel(Default::default()).await.unwrap();
        till.finished(&sale).await;
        till.sale("s-2", 1).await;
    });
}

/// Goal: each thing that is missing is named, in the order in which it can be put right.
#[test]
fn what_is_missing_for_a_sale_is_named() {
    with_till(Options { auto_sign_on: false, ..Options::default() }, async |till| {
        assert_eq!(fault(till.try_sale("s-1", 1).await), "OperatorRequired");
        till.change_password("01", "0000", PASSWORD).await.unwrap();
        till.sign_on("01", PASSWORD).await.unwrap();
        type Blocked = std::collections::HashMap<String, String>;
        let not_signed_on = |blocked: &Blocked| blocked.get("sale").is_some_and(|why| why == "not-signed-on");
        till.until::<Blocked>(ROOT_PATH, "Manager.BlockedReasons", not_signed_on).await;
        assert_eq!(fault(till.try_sale("s-1", 1).await), "NotSignedOn");
        till.host_sign_on().await;
        till.until::<bool>(ROOT_PATH, "Host.SignedOn", |on| *on).await;
        till.reader_ready().await;
        assert_eq!(fault(till.try_sale("s-1", 1).await), "NotReady", "no agent");
        till.register_agent().await;
        assert_eq!(fault(till.try_sale("s-1", 0).await), "AmountInvalid");
        let manager = till.manager().await;
        let refused = manager.start_transaction("s-1", "sale", 1, "USD", Default::default()).await;
        assert_eq!(fault(refused), "CurrencyMismatch");
        let refused = manager.start_transaction("s-1", "void", 0, "CNY", Default::default()).await;
        assert_eq!(fault(refused), "InvalidArgument", "a void of what?");
        let refused = manager.start_transaction("s-1", "qr-sale", 1, "CNY", Default::default()).await;
        assert_eq!(fault(refused), "NotSupported");
        till.sale("s-1", 1).await;
    });
}

//! Operators: what a wrong number, a wrong or a factory password answers.
use crate::support::{Options, PASSWORD, fault, with_till};
use posd::api::proxy::ROOT_PATH;

/// Goal: each refusal at the door has its name; five wrong passwords lock it.
#[test]
fn the_door_tells_why_it_stays_shut() {
    with_till(Options::default(), async |till| {
        assert_eq!(fault(till.sign_on("77", "0000").await), "NoSuchOperator");
        assert_eq!(fault(till.sign_on("01", "0000").await), "MustChangePassword");
        assert_eq!(fault(till.change_password("01", "9999", PASSWORD).await), "WrongPassword");
        till.change_password("01", "0000", PASSWORD).await.unwrap();
        for _ in 0..4 {
            assert_eq!(fault(till.sign_on("01", "1357").await), "WrongPassword");
        }
        assert_eq!(fault(till.sign_on("01", "1357").await), "LockedOut", "the fifth one locks");
        assert_eq!(fault(till.sign_on("01", PASSWORD).await), "LockedOut", "even with the right one");
        let locked: Vec<String> = till.get(ROOT_PATH, "Operators.LockedOut").await;
        assert_eq!(locked, ["01"]);
        assert_eq!(till.text(ROOT_PATH, "Operators.Current").await, "");
        till.stop_daemon().await;
        till.start_daemon().await;
        assert_eq!(fault(till.sign_on("01", PASSWORD).await), "LockedOut", "a restart is no way in");
    });
}

/// Goal: a session belongs to the terminal and ends with a restart.
#[test]
fn a_session_ends_with_sign_off_and_with_a_restart() {
    with_till(Options::default(), async |till| {
        till.open().await;
        assert_eq!(till.text(ROOT_PATH, "Operators.Current").await, "01");
        assert_eq!(till.text(ROOT_PATH, "Operators.Role").await, "cashier");
        till.operators().await.sign_off(Default::default()).await.unwrap();
        till.until_is(ROOT_PATH, "Operators.Current", "").await;
        till.sign_on("01", PASSWORD).await.unwrap();
        till.until_is(ROOT_PATH, "Operators.Current", "01").await;
        till.stop_daemon().await;
        till.start_daemon().await;
        assert_eq!(till.text(ROOT_PATH, "Operators.Current").await, "");
        assert!(till.get::<bool>(ROOT_PATH, "Host.SignedOn").await, "the bank's keys stay");
    });
}

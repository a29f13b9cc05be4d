//! Operators: what a wrong number, a wrong or a factory password answers.
use crate::support::{Options, PASSWORD, Till, audit_trail, fault, sealed, with_till};
use posd::api::proxy::ROOT_PATH;
use std::collections::HashMap;
use zbus::zvariant::{Fd, Value};

/// What the administrator and the supervisor take in these tests.
const ADMINISTRATOR: &str = "verwalter-2290";
const SUPERVISOR: &str = "aufsicht-6614";

async fn authorize(till: &Till, action: &str, supervisor: &str, password: &str) -> zbus::Result<String> {
    let secret = Fd::from(sealed(password.as_bytes()));
    till.operators().await.authorize(action, supervisor, secret, HashMap::new()).await
}

async fn add(till: &Till, operator: &str, token: &str) -> zbus::Result<()> {
    let options = HashMap::from([("authorization", Value::from(token))]);
    till.operators().await.add(operator, Fd::from(sealed(b"5820")), options).await
}

/// Goal: a supervisor's word is told by number and password only, serves once, and only who must can give it.
#[test]
fn a_token_carries_the_administrators_word_once() {
    with_till(Options::default(), async |till| {
        assert_eq!(fault(authorize(till, "operators", "99", "12345678").await), "MustChangePassword");
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        assert_eq!(fault(authorize(till, "trade", "99", ADMINISTRATOR).await), "InvalidArgument");
        assert_eq!(fault(authorize(till, "fly", "99", ADMINISTRATOR).await), "InvalidArgument");
        assert_eq!(fault(authorize(till, "operators", "00", SUPERVISOR).await), "NotAuthorized");
        assert_eq!(fault(authorize(till, "void", "01", "0000").await), "NotAuthorized");
        assert_eq!(fault(authorize(till, "void", "77", "0000").await), "NoSuchOperator");
        assert_eq!(fault(authorize(till, "operators", "99", "wrong-one").await), "WrongPassword");
        assert_eq!(till.text(ROOT_PATH, "Operators.Current").await, "", "no session begins");

        let missing = till.operators().await.add("04", Fd::from(sealed(b"5820")), HashMap::new()).await;
        let text = missing.as_ref().unwrap_err().to_string();
        assert!(text.ends_with("[action=operators]"), "a program reads what to ask leave for: {text}");
        assert_eq!(fault(missing), "NotAuthorized");

        let token = authorize(till, "operators", "99", ADMINISTRATOR).await.unwrap();
        assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()), "{token}");
        let other = authorize(till, "void", "00", SUPERVISOR).await.unwrap();
        assert_eq!(fault(add(till, "04", &other).await), "NotAuthorized", "for another action");
        add(till, "04", &token).await.unwrap();
        assert_eq!(fault(add(till, "05", &token).await), "NotAuthorized", "used up");
        till.sign_on("04", "5820").await.unwrap();
        let all: Vec<String> = till.get(ROOT_PATH, "Operators.Operators").await;
        assert_eq!(all, ["00", "01", "02", "03", "04", "99"]);
    });
}

/// Goal: the administrator adds, unlocks and removes; 00, 99 and whoever is signed on stay; each deed is in the trail.
#[test]
fn the_administrator_keeps_the_list_of_operators() {
    with_till(Options::default(), async |till| {
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        till.sign_on("99", ADMINISTRATOR).await.unwrap();
        assert_eq!(till.text(ROOT_PATH, "Operators.Role").await, "administrator");
        let door = till.operators().await;
        let secret = |text: &str| Fd::from(sealed(text.as_bytes()));
        assert_eq!(fault(door.add("02", secret("5820"), HashMap::new()).await), "AlreadyExists");
        assert_eq!(fault(door.add("04", secret("58"), HashMap::new()).await), "InvalidArgument");
        door.add("04", secret("5820"), HashMap::new()).await.unwrap();
        for wrong in 1..=5 {
            let refused = till.sign_on("04", "0000").await;
            assert_eq!(fault(refused), if wrong < 5 { "WrongPassword" } else { "LockedOut" });
        }
        assert_eq!(till.text(ROOT_PATH, "Operators.Current").await, "99", "a wrong password ends no session");
        assert_eq!(fault(till.change_password("04", "5820", "9731").await), "LockedOut");
        let locked: Vec<String> = till.get(ROOT_PATH, "Operators.LockedOut").await;
        assert_eq!(locked, ["04"]);
        door.unlock("04", HashMap::new()).await.unwrap();
        let locked: Vec<String> = till.get(ROOT_PATH, "Operators.LockedOut").await;
        assert!(locked.is_empty(), "{locked:?}");
        assert_eq!(fault(door.unlock("77", HashMap::new()).await), "NoSuchOperator");
        for kept in ["00", "99"] {
            assert_eq!(fault(door.remove(kept, HashMap::new()).await), "InvalidArgument");
        }
        door.remove("04", HashMap::new()).await.unwrap();
        assert_eq!(fault(till.sign_on("04", "5820").await), "NoSuchOperator");
        assert_eq!(fault(door.remove("04", HashMap::new()).await), "NoSuchOperator");

        till.change_password("01", "0000", PASSWORD).await.unwrap();
        till.sign_on("01", PASSWORD).await.unwrap();
        assert_eq!(
            till.text(ROOT_PATH, "Operators.Current").await,
            "01",
            "the next one replaces the session"
        );
        assert_eq!(fault(door.remove("02", HashMap::new()).await), "NotAuthorized", "a cashier may not");
        let uid = rustix::process::getuid().as_raw();
        till.stop_daemon().await;
        let expected = [
            "99 password changed".to_owned(),
            format!("99 signed on for user {uid}"),
            format!("99 allowed operators to user {uid}: signed on"),
            "04 added".to_owned(),
            format!("04 not signed on for user {uid}: LockedOut"),
            "04 unlocked".to_owned(),
            "04 removed".to_owned(),
            "99 signed off: 01 signed on".to_owned(),
        ];
        let trail = audit_trail(till);
        let mut rest = trail.iter();
        for line in &expected {
            assert!(rest.any(|stored| stored == line), "{line} is missing, or out of order: {trail:#?}");
        }
    });
}

/// Goal: what is done under a removed lock or a new name survives a restart.
#[test]
fn the_list_of_operators_survives_a_restart() {
    with_till(Options::default(), async |till| {
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        till.sign_on("99", ADMINISTRATOR).await.unwrap();
        let door = till.operators().await;
        door.add("31", Fd::from(sealed(b"5820")), HashMap::new()).await.unwrap();
        door.remove("03", HashMap::new()).await.unwrap();
        let token = authorize(till, "operators", "99", ADMINISTRATOR).await.unwrap();
        till.stop_daemon().await;
        till.start_daemon().await;
        let all: Vec<String> = till.get(ROOT_PATH, "Operators.Operators").await;
        assert_eq!(all, ["00", "01", "02", "31", "99"]);
        assert_eq!(fault(add(till, "04", &token).await), "NotAuthorized", "tokens die with the daemon");
    });
}

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

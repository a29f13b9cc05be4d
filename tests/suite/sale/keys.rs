//! The master key over the bus.
use crate::support::{Options, Till, fault, sealed, with_till};
use posd::api::proxy::ROOT_PATH;
use std::collections::HashMap;
use zbus::zvariant::{Fd, Value};

/// The administrator's password in these tests.
const ADMINISTRATOR: &str = "verwalter-2290";
/// The public test key, which the simulated bank has; its check value is 08D7B4FB.
const KEY: &str = "0123456789ABCDEFFEDCBA9876543210";

/// The administrator's word for one change of keys.
async fn token(till: &Till) -> String {
    let secret = Fd::from(sealed(ADMINISTRATOR.as_bytes()));
    till.operators().await.authorize("keys", "99", secret, HashMap::new()).await.unwrap()
}

async fn load(till: &Till, key: &str, token: Option<&str>) -> zbus::Result<String> {
    let options = token.map(|token| ("authorization", Value::from(token))).into_iter().collect();
    till.host().await.load_master_key(Fd::from(sealed(key.as_bytes())), options).await
}

async fn check_values(till: &Till) -> HashMap<String, String> {
    till.get(ROOT_PATH, "Host.KeyCheckValues").await
}

/// Goal: a technician gives a terminal its master key over the bus: the administrator must allow it, it is used at
/// once, outlives a restart before the credential, and the working keys under it do, too.
#[test]
fn a_master_key_is_loaded_over_the_bus() {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        std::fs::write(till.dir().join("credentials/tmk"), "1".repeat(32)).unwrap();
        till.start_daemon().await;
        assert_eq!(check_values(till).await["tmk"], "82E13665", "the credential's");
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        assert_eq!(fault(load(till, KEY, None).await), "NotAuthorized");
        let token = token(till).await;
        assert_eq!(fault(load(till, "0123", Some(&token)).await), "InvalidArgument");
        assert_eq!(fault(load(till, &"G".repeat(32), Some(&token)).await), "InvalidArgument");
        assert_eq!(load(till, KEY, Some(&token)).await.unwrap(), "08D7B4FB");
        assert_eq!(check_values(till).await["tmk"], "08D7B4FB");
        assert_eq!(fault(load(till, KEY, Some(&token)).await), "NotAuthorized", "the token is used up");
        till.open().await;
        till.stop_daemon().await;
        till.start_daemon().await;
        let restored = check_values(till).await;
        assert_eq!(restored["tmk"], "08D7B4FB", "the journal's, before the credential's");
        assert!(restored.contains_key("pik") && restored.contains_key("mak"), "{restored:?}");
        assert!(!till.log().contains(KEY));
    });
}

/// Goal: the working keys under another master key go with it, so that nothing is asked under keys the bank has not.
#[test]
fn another_master_key_ends_the_sign_on() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        let token = token(till).await;
        assert_eq!(load(till, &"1".repeat(32), Some(&token)).await.unwrap(), "82E13665");
        assert!(!till.get::<bool>(ROOT_PATH, "Host.SignedOn").await);
        assert_eq!(check_values(till).await.into_keys().collect::<Vec<_>>(), ["tmk"]);
        assert_eq!(till.get::<u64>(ROOT_PATH, "Host.KeysLoadedAt").await, 0);
    });
}

/// Goal: the master key cannot change under business that is not settled.
#[test]
fn a_master_key_waits_for_the_settlement() {
    with_till(Options::default(), async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.plies_are(&sale, "confirmed").await;
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        let token = token(till).await;
        assert_eq!(fault(load(till, KEY, Some(&token)).await), "WrongState");
        assert!(till.get::<bool>(ROOT_PATH, "Host.SignedOn").await, "the working keys stay");
    });
}

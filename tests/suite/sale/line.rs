//! The line to the bank under the whole daemon: TLS from end to end, who is refused, long links.
use crate::support::pki::{Ca, Identity};
use crate::support::{Options, Till, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::TlsFiles;
use posd::sim::host::log::Direction;
use std::collections::HashMap;
use std::time::Duration;
use zbus::zvariant::OwnedValue;

/// The bank shows `bank` and wants certificates of the CA.
fn files(ca: &Ca, bank: &Identity) -> TlsFiles {
    TlsFiles { certificate: bank.certificate.clone(), key: bank.key.clone(), client_ca: Some(ca.file()) }
}

/// The terminal trusts `ca` and shows `own`.
fn keys(ca: &Ca, own: &Identity, pins: &[&Identity]) -> String {
    let hex = |pin: &[u8; 32]| pin.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let pins: Vec<String> = pins.iter().map(|identity| format!("\"{}\"", hex(&identity.pin))).collect();
    let pins =
        if pins.is_empty() { String::new() } else { format!("tls-pin-sha256 = [{}]\n", pins.join(", ")) };
    format!(
        "tls-ca = \"{}\"\ntls-cert = \"{}\"\ntls-key = \"{}\"\n{pins}",
        ca.file().display(),
        own.certificate.display(),
        own.key.display()
    )
}

/// Tests the way to the bank: the job's result, and its error.
async fn test_way(till: &mut Till, state: &str) -> (HashMap<String, OwnedValue>, (String, String)) {
    let job = till.host().await.test(Default::default()).await.unwrap();
    till.until_is(job.as_str(), "Job.State", state).await;
    let error: OwnedValue = till.get(job.as_str(), "Job.Error").await;
    (till.get(job.as_str(), "Job.Result").await, error.try_into().unwrap())
}

/// The connection on which each request came, in order.
fn lines_of(till: &Till, mti: &str) -> Vec<u64> {
    let spoken = till.acquirer.messages().unwrap();
    spoken.iter().filter(|m| m.direction == Direction::In && m.mti == mti).map(|m| m.line).collect()
}

/// Goal: over TLS with both certificates and a pinned key a sale is approved and printed, the way to the bank is
/// measured stage by stage, and a certificate that ends in ten days is warned of with its date.
#[test]
fn a_sale_goes_over_tls() {
    let ca = Ca::new("bank");
    let day = jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(10));
    let end = (i32::from(day.year()), u8::try_from(day.month()).unwrap(), u8::try_from(day.day()).unwrap());
    let (bank, next, own) =
        (ca.host_until("localhost", end), ca.host("localhost", (2020, 4000)), ca.terminal());
    let options = Options {
        tls: Some(files(&ca, &bank)),
        host_keys: keys(&ca, &own, &[&bank, &next]),
        ..Options::default()
    };
    with_till(options, async |till| {
        till.open().await;
        till.put_card("unionpay");
        let sale = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.paper(2).await;
        let (result, _) = test_way(till, "succeeded").await;
        for stage in ["dns-ms", "tcp-ms", "tls-ms", "echo-ms"] {
            assert!(result.contains_key(stage), "{stage}: {result:?}");
        }
        let until = till.get::<u64>(ROOT_PATH, "Host.CertificateUntil").await;
        let midnight = day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        assert_eq!(until, u64::try_from(midnight.as_microsecond()).unwrap());
        assert!(till.get::<u64>(ROOT_PATH, "Host.OwnCertificateUntil").await > until);
        let reasons: Vec<String> = till.get(ROOT_PATH, "Manager.StateReasons").await;
        assert!(reasons.iter().any(|reason| reason == "certificate-expiring"), "{reasons:?}");
    });
}

/// Goal: whoever sits in the middle with a CA of his own gets no message at all, the test says which stage failed, why
/// and what to do, and a sale moves no money and owes nothing.
#[test]
fn a_man_in_the_middle_gets_nothing() {
    let (ca, other) = (Ca::new("bank"), Ca::new("other"));
    let options = Options {
        tls: Some(TlsFiles { client_ca: None, ..files(&ca, &other.host("localhost", (2020, 4000))) }),
        host_keys: keys(&ca, &ca.terminal(), &[]),
        ..Options::default()
    };
    with_till(options, async |till| {
        let (result, (name, text)) = test_way(till, "failed").await;
        assert!(name.ends_with("HostUnreachable") && text.contains("do not trade"), "{name}: {text}");
        let word = |key: &str| result.get(key).and_then(|value| String::try_from(value.clone()).ok());
        assert_eq!((word("stage").as_deref(), word("cause").as_deref()), (Some("tls"), Some("unknown-ca")));
        assert!(result.contains_key("tcp-ms") && !result.contains_key("echo-ms"), "{result:?}");
        assert!(till.acquirer.messages().unwrap().is_empty(), "nothing was said to him");
        assert!(till.owed().await.is_empty());
    });
}

/// Goal: a long link carries one sale after the other, and after a silence the heartbeat, on one connection; when the
/// bank drops it, the next sale makes a new one and nothing is lost.
#[test]
fn a_long_link_stays_and_is_tested() {
    let host_keys = "connection = \"long\"\nheartbeat-s = 60".to_owned();
    with_till(Options { host_keys, ..Options::default() }, async |till| {
        till.open().await;
        till.put_card("no-cvm");
        let sale = till.sale("s-1", 500).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        till.take_card().await;
        let remote = (*till.acquirer).clone();
        let beat = move || remote.wait_for("0820", 1, Duration::from_secs(70)).unwrap();
        assert!(tokio::task::spawn_blocking(beat).await.unwrap(), "no heartbeat");
        assert_eq!((lines_of(till, "0800"), lines_of(till, "0200")), (vec![1], vec![1]));
        assert_eq!(lines_of(till, "0820"), [1]);
        till.acquirer.hang_up().unwrap();
        till.put_card("no-cvm");
        let sale = till.sale("s-2", 500).await;
        assert_eq!(till.finished(&sale).await.outcome, "approved");
        assert_eq!(lines_of(till, "0200"), [1, 2]);
        assert!(till.owed().await.is_empty());
    });
}

//! The terminal looks after itself: self-test and reset of the reader, on the real daemon with its devices.
use crate::support::{Options, Till, fault, with_till};
use posd::api::proxy::{Dict, ROOT_PATH, ReaderProxy};
use std::collections::HashMap;
use zbus::zvariant::OwnedValue;

/// One row of a self-test: whether it is well, why not, and the text in Chinese.
#[derive(Debug, PartialEq)]
struct Item {
    ok: bool,
    reason: String,
    zh: String,
}

async fn self_test(till: &mut Till, what: &[&str], level: &str) -> HashMap<String, Item> {
    let job = till.manager().await.self_test(what, level, Default::default()).await.unwrap();
    till.until_is(job.as_str(), "Job.State", "succeeded").await;
    let result: Dict = till.get(job.as_str(), "Job.Result").await;
    let items: Vec<Dict> = result["items"].try_clone().unwrap().try_into().unwrap();
    let text = |item: &Dict, key: &str| String::try_from(item[key].try_clone().unwrap()).unwrap();
    let read = |item: &Dict| {
        let both: HashMap<String, String> =
            item.get("text").map(|text| text.try_clone().unwrap().try_into().unwrap()).unwrap_or_default();
        let zh = both.get("zh").cloned().unwrap_or_default();
        assert_eq!(both.is_empty(), bool::try_from(&item["ok"]).unwrap());
        (text(item, "what"), Item { ok: (&item["ok"]).try_into().unwrap(), reason: text(item, "reason"), zh })
    };
    items.iter().map(read).collect()
}

/// Goal: a terminal whose parts are well says so of each, and its test page comes out of the printer.
#[test]
fn a_terminal_that_is_well_says_so() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let items = self_test(till, &[], "").await;
        let mut parts: Vec<&str> = items.keys().map(String::as_str).collect();
        parts.sort_unstable();
        assert_eq!(parts, ["clock", "host", "links", "printer", "reader", "storage"]);
        assert!(items.values().all(|item| item.ok), "{items:?}\n{}", till.log());
        let items = self_test(till, &["printer", "drawer"], "external").await;
        assert!(items["printer"].ok, "{items:?}");
        assert_eq!(items["drawer"].reason, "not-configured");
        assert!(!till.paper(1).await.concat().is_empty(), "the test page");
        let refused = till.manager().await.self_test(&["colour"], "internal", Default::default()).await;
        assert_eq!(fault(refused), "InvalidArgument");
        let refused = till.manager().await.self_test(&[], "deep", Default::default()).await;
        assert_eq!(fault(refused), "InvalidArgument");
    });
}

/// Goal: what is broken is named with its cause and next step; the job itself succeeds.
#[test]
fn what_is_broken_is_named() {
    let options = Options { pcscd: false, printer: false, ..Options::default() };
    with_till(options, async |till| {
        till.acquirer.refuse_connections().unwrap();
        let items = self_test(till, &["reader", "printer", "host", "clock"], "internal").await;
        assert!(items["clock"].ok);
        let (reader, printer, host) = (&items["reader"], &items["printer"], &items["host"]);
        assert!(
            ["absent", "pcscd-absent"].contains(&reader.reason.as_str()) && !reader.zh.is_empty(),
            "{reader:?}"
        );
        assert!(!printer.ok && !printer.zh.is_empty(), "{printer:?}");
        assert_eq!((host.ok, host.reason.as_str()), (false, "refused"), "{host:?}");
        assert!(host.zh.contains("主机"), "{host:?}");
    });
}

/// Goal: while a customer is before the terminal nothing that he waits for is touched, and the sale ends as it would.
#[test]
fn a_sale_is_left_alone() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        let items = self_test(till, &[], "external").await;
        for part in ["reader", "host", "storage", "printer"] {
            assert_eq!(items[part].reason, "busy", "{items:?}");
        }
        let refused = reader(till).await.reset(Default::default()).await;
        assert_eq!(fault(refused), "DeviceBusy");
        till.put_card("unionpay");
        assert_eq!(till.finished(&sale).await.outcome, "approved", "{}", till.log());
    });
}

async fn reader(till: &Till) -> ReaderProxy<'static> {
    ReaderProxy::builder(&till.client).path(format!("{ROOT_PATH}/reader/0")).unwrap().build().await.unwrap()
}

/// Goal: after a reset the reader is there again, and takes cards.
#[test]
fn a_reader_that_was_reset_takes_cards() {
    with_till(Options::default(), async |till| {
        till.open().await;
        reader(till).await.reset(Default::default()).await.unwrap();
        till.reader_ready().await;
        let sale = till.sale("s-1", 1250).await;
        till.put_card("unionpay");
        assert_eq!(till.finished(&sale).await.outcome, "approved", "{}", till.log());
        let name: OwnedValue = till.get(&format!("{ROOT_PATH}/reader/0"), "Reader.Name").await;
        assert!(!String::try_from(name).unwrap().is_empty());
    });
}

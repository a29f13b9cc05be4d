//! The terminal looks after itself and is looked after, on the real daemon with its devices: self-test, reset of the
//! reader, inhibitors, facts of security, the report for support, changes of the configuration.
use crate::secrets::{card_numbers, find};
use crate::support::{Options, PASSWORD, Till, Typed, dict_text, fault, number, with_till};
use posd::api::proxy::{ConfigProxy, Dict, ROOT_PATH, ReaderProxy};
use posd::domain::secret::ClearPin;
use std::collections::HashMap;
use zbus::zvariant::{OwnedValue, Value};

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

async fn reasons(till: &Till) -> Vec<String> {
    till.get(ROOT_PATH, "Manager.StateReasons").await
}

/// Goal: while an inhibitor is open nothing new starts, and what runs goes on; it ends with the last copy, however many
/// there were, and no more than eight are held.
#[test]
fn an_inhibitor_holds_new_transactions_back() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.entered(&sale, "waiting-card").await;
        let maintenance = till.maintenance().await;
        let held = maintenance.inhibit("the printer is being changed", Default::default()).await.unwrap();
        let copy = std::os::fd::OwnedFd::from(held).try_clone().unwrap();
        // The first one is closed: its copy holds.
        till.put_card("unionpay");
        assert_eq!(till.ended(&sale).await.outcome, "approved", "{}", till.log());
        till.until_is(ROOT_PATH, "Manager.State", "maintenance").await;
        assert!(reasons(till).await.contains(&"inhibited".to_owned()));
        assert!(!till.get::<bool>(ROOT_PATH, "Manager.SafeToUpdate").await);
        assert_eq!(fault(till.try_sale("s-2", 1).await), "WrongState");
        assert_eq!(till.sale("s-1", 1250).await, sale, "what is known is still told");
        let mut more = Vec::new();
        for _ in 0..7 {
            more.push(maintenance.inhibit("more", Default::default()).await.unwrap());
        }
        assert_eq!(fault(maintenance.inhibit("one too many", Default::default()).await), "TooMany");
        assert_eq!(fault(maintenance.inhibit("", Default::default()).await), "InvalidArgument");
        drop((copy, more));
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", |all| {
            !all.contains(&"inhibited".to_owned())
        })
        .await;
        till.reader_ready().await;
        let sale = till.sale("s-2", 1).await;
        till.transaction(&sale).await.cancel(Default::default()).await.unwrap();
    });
}

/// Goal: an inhibitor of a peer that has left the bus does not hold, although its descriptor is still open.
#[test]
fn an_inhibitor_goes_with_its_peer() {
    with_till(Options::default(), async |till| {
        let other = till.bus.connect().await;
        let maintenance = posd::api::proxy::MaintenanceProxy::new(&other).await.unwrap();
        let held = maintenance.inhibit("a helper", Default::default()).await.unwrap();
        till.until::<bool>(ROOT_PATH, "Manager.SafeToUpdate", |safe| !safe).await;
        drop(maintenance);
        other.close().await.unwrap();
        till.until::<bool>(ROOT_PATH, "Manager.SafeToUpdate", |safe| *safe).await;
        drop(held);
    });
}

/// Goal: passwords, keys, line and modes are told as they are, and what to do stands beside what is not met.
#[test]
fn security_is_told_as_it_is() {
    with_till(Options::default(), async |till| {
        till.open().await;
        let facts = till.maintenance().await.security(Default::default()).await.unwrap();
        let fact = |id: &str| {
            let fact =
                facts.iter().find(|fact| dict_text(fact, "id") == id).unwrap_or_else(|| panic!("{id}"));
            (bool::try_from(&fact["ok"]).unwrap(), dict_text(fact, "evidence"), fact.contains_key("text"))
        };
        // 01 has changed its password, the others have not.
        assert_eq!(fact("factory-passwords"), (false, "operators 00 02 03 99".to_owned(), true));
        assert_eq!(fact("require-change"), (true, "require-change = true".to_owned(), false));
        assert!(!fact("access-control").0 && !fact("tls").0 && fact("state-directory").0);
        let (loaded, evidence, _) = fact("master-key");
        assert!(loaded && evidence.starts_with("check value "), "{evidence}");
        assert!(fact("working-keys").1.contains("pik "), "{facts:?}");
        let all = format!("{facts:?}");
        assert!(!all.contains("0123456789ABCDEF"), "the master key itself");
        assert_eq!(facts.len(), posd::domain::guard::Guard::ALL.len());
    });
}

/// Goal: the report is a tar of plain files that tells of the shop's day, and no card number, PIN or key is in it.
#[test]
fn a_report_tells_of_the_day_and_no_secret() {
    let bank = |bank: &mut posd::sim::host::Config| {
        bank.bank.default_pin = ClearPin::new(b"739582").unwrap();
    };
    with_till(Options { bank, ..Options::default() }, async |till| {
        till.typed.send_replace(Typed::Pin("739582"));
        till.open().await;
        let sale = till.sale("s-1", 1250).await;
        till.put_card("unionpay");
        assert_eq!(till.ended(&sale).await.outcome, "approved", "{}", till.log());
        let path = till.dir().join("report.tar");
        let target = std::fs::File::create(&path).unwrap();
        let job = till.maintenance().await.report((&target).into(), Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        let result: Dict = till.get(job.as_str(), "Job.Result").await;
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(number(&result, "bytes"), i64::try_from(bytes.len()).unwrap());
        assert_eq!(card_numbers(&bytes), Vec::<String>::new());
        for secret in ["739582", PASSWORD, "0123456789ABCDEF", "0123456789abcdef", "6225880012345675"] {
            assert!(!find(&bytes, secret.as_bytes()), "{secret}");
        }
        let listed = std::process::Command::new("tar").arg("tf").arg(&path).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for file in ["README.txt", "versions.txt", "state.txt", "configuration.toml", "transactions.txt"] {
            assert!(listed.contains(&format!("posd-report/{file}\n")), "{listed}");
        }
        assert!(listed.contains("posd-report/machine/kernel\n"), "{listed}");
        for told in ["622588******5675", "waiting-card → reading-card", "plies = 2", "signed-on true"] {
            assert!(find(&bytes, told.as_bytes()), "{told}\n{}", String::from_utf8_lossy(&bytes));
        }
    });
}

/// Password of the administrator.
const ADMINISTRATOR: &str = "verwalter-4410-ost";

async fn config(till: &Till) -> ConfigProxy<'static> {
    ConfigProxy::new(&till.client).await.unwrap()
}

async fn plies(till: &Till) -> i64 {
    number(&config(till).await.get(&["printer.plies"], Default::default()).await.unwrap(), "printer.plies")
}

fn values<'a>(pairs: &[(&'a str, Value<'a>)]) -> HashMap<&'a str, Value<'a>> {
    pairs.iter().map(|(key, value)| (*key, value.try_clone().unwrap())).collect()
}

/// Goal: a change is in use at once, stays when it is confirmed, over a restart too, and lies above the files.
#[test]
fn a_confirmed_change_stays() {
    with_till(Options::default(), async |till| {
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        till.open().await;
        let one = values(&[("printer.plies", 1_u32.into()), ("terminal.merchant-name", "新店".into())]);
        let config = config(till).await;
        assert_eq!(fault(config.set(one.clone(), Default::default()).await), "NotAuthorized", "a cashier");
        till.sign_on("99", ADMINISTRATOR).await.unwrap();
        let checkpoint = config.set(one, Default::default()).await.unwrap();
        assert!(reasons(till).await.contains(&"config-unconfirmed".to_owned()));
        assert_eq!(
            (plies(till).await, till.text(ROOT_PATH, "Manager.MerchantName").await),
            (1, "新店".into())
        );
        let again = values(&[("printer.plies", 0_u32.into())]);
        assert_eq!(fault(config.set(again, Default::default()).await), "Busy", "one at a time");
        assert_eq!(fault(config.confirm("other", Default::default()).await), "NotFound");
        config.confirm(&checkpoint, Default::default()).await.unwrap();
        assert!(!reasons(till).await.contains(&"config-unconfirmed".to_owned()));
        till.stop_daemon().await;
        till.configure("tear-pause-s = 0", "tear-pause-s = 0\nplies = 2");
        till.start_daemon().await;
        assert_eq!(
            (plies(till).await, till.text(ROOT_PATH, "Manager.MerchantName").await),
            (1, "新店".into())
        );
        // Values that no longer fit the files are left out, and told: the shop opens.
        std::fs::write(till.state_dir().join("set.toml"), "[printer]\nplies = 9\n").unwrap();
        till.stop_daemon().await;
        till.start_daemon().await;
        assert_eq!(plies(till).await, 2);
        assert!(reasons(till).await.contains(&"config-invalid".to_owned()));
    });
}

/// Goal: a change that nobody confirms goes back by itself, by time and by a power cut, and a rollback does it at once.
#[test]
fn an_unconfirmed_change_goes_back() {
    with_till(Options::default(), async |till| {
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        till.sign_on("99", ADMINISTRATOR).await.unwrap();
        let one = values(&[("printer.plies", 1_u32.into())]);
        let soon = values(&[("timeout", 1_u32.into())]);
        let config = config(till).await;
        let checkpoint = config.set(one.clone(), soon).await.unwrap();
        till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", |all| {
            !all.contains(&"config-unconfirmed".to_owned())
        })
        .await;
        assert_eq!(plies(till).await, 2);
        assert_eq!(fault(config.confirm(&checkpoint, Default::default()).await), "RolledBack");
        let checkpoint = config.set(one.clone(), Default::default()).await.unwrap();
        assert_eq!(plies(till).await, 1);
        config.rollback(&checkpoint, Default::default()).await.unwrap();
        assert_eq!(plies(till).await, 2);
        config.set(one, Default::default()).await.unwrap();
        till.kill_daemon().await;
        till.start_daemon().await;
        assert_eq!(plies(till).await, 2);
    });
}

/// Goal: keys of files only, keys that want a start, keys and values that do not exist are refused, each by its name.
#[test]
fn what_cannot_be_set_is_refused_by_name() {
    with_till(Options::default(), async |till| {
        till.change_password("99", "12345678", ADMINISTRATOR).await.unwrap();
        till.sign_on("99", ADMINISTRATOR).await.unwrap();
        let config = config(till).await;
        let refused = async |key: &str, value: Value<'_>| {
            fault(config.set(values(&[(key, value)]), Default::default()).await)
        };
        for key in ["security.polkit", "host.endpoints", "host.tls-ca", "terminal.id", "emv.parameters"] {
            assert_eq!(refused(key, "x".into()).await, "NotAuthorized", "{key}");
        }
        assert_eq!(refused("printer.width-dots", 576_u32.into()).await, "NotSupported");
        assert_eq!(refused("printer.colour", 1_u32.into()).await, "InvalidArgument");
        assert_eq!(refused("printer.plies", 4_u32.into()).await, "InvalidArgument");
        assert_eq!(refused("printer.plies", "2".into()).await, "InvalidArgument");
        assert_eq!(
            refused("terminal.merchant-name", "a\n[security]\npolkit=false".into()).await,
            "InvalidArgument"
        );
        let told = config.set(values(&[("printer.plies", 4_u32.into())]), Default::default()).await;
        let told = told.unwrap_err().to_string();
        assert!(told.contains("[printer] plies is 4; allowed: 0 to 3"), "{told}");
        let all = config.get(&[], Default::default()).await.unwrap();
        assert!(all.len() > 40 && dict_text(&all, "terminal.language") == "zh", "{all:?}");
        assert_eq!(fault(config.get(&["no.key"], Default::default()).await), "InvalidArgument");
        assert!(!till.state_dir().join("set.toml").exists(), "nothing was confirmed");
    });
}

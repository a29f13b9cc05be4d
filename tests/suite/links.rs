//! Links under the whole daemon: a sale over the second link, what the bus shows, managers that come and go, wireless
//! networks. The manager is a double on the till's own bus; both links lead to the loopback, or to nowhere.
mod manager;
mod table;

use crate::support::{Options, Till, sealed, skip, with_till};
use manager::{ACTIVATED, DISCONNECTED, Device, ETHERNET, Manager, UNAVAILABLE, WIFI};
use posd::api::proxy::{NetworkProxy, ROOT_PATH};
use std::collections::HashMap;
use zbus::zvariant::{Fd, OwnedObjectPath, OwnedValue};

const CABLE: &str = "/org/posd/Pos1/link/ethernet";
const WLAN: &str = "/org/posd/Pos1/link/wifi";
/// An interface that no machine has: what is bound to it goes nowhere.
const NOWHERE: &str = "posd-gone0";

fn device(kind: u32, interface: &'static str, state: u32) -> Device {
    Device { kind, interface, state, reason: 0, connectivity: 0 }
}

/// A till whose daemon asks the managers of links; `probe` is `[links] probe-s`.
fn with_links(probe: u32, test: impl AsyncFnOnce(&mut Till)) {
    with_till(Options::default(), async |till| {
        till.stop_daemon().await;
        let keys = format!("manager = \"networkmanager\"\nprobe-s = {probe}");
        till.configure("manager = \"none\"", &keys);
        till.start_daemon().await;
        test(till).await;
    });
}

async fn network(till: &Till) -> NetworkProxy<'static> {
    NetworkProxy::new(&till.client).await.unwrap()
}

/// Goal: with a first link that is up and leads nowhere a sale is approved over the second one; each attempt says which
/// link it took, why, and why it ended, and AttemptLink names the one that served.
#[test]
fn a_sale_takes_the_second_link_when_the_first_is_dead() {
    with_links(0, async |till| {
        let devices = [device(ETHERNET, NOWHERE, ACTIVATED), device(WIFI, "lo", ACTIVATED)];
        let _manager = Manager::start(&till.bus.address.clone(), &devices).await;
        till.until_is(WLAN, "Link.State", "connected").await;
        till.open().await;
        till.put_card("unionpay");
        let path = till.sale("s-1", 1250).await;
        assert_eq!(till.finished(&path).await.outcome, "approved");
        let link: OwnedObjectPath = till.get(path.as_str(), "Transaction.AttemptLink").await;
        let attempt: OwnedValue = till.get(path.as_str(), "Transaction.Attempt").await;
        assert_eq!(link.as_str(), WLAN);
        assert_eq!(<(u32, u32)>::try_from(attempt).unwrap(), (2, 3));
        let rows = till.transaction(&path).await.get_timeline(Default::default()).await.unwrap();
        let told = |row: &HashMap<String, OwnedValue>| -> Option<(String, String)> {
            let text = |key: &str| row.get(key)?.try_clone().ok()?.try_into().ok();
            let what: String = text("what")?;
            matches!(what.as_str(), "attempt" | "no-connection").then_some((what, text("text")?))
        };
        let told: Vec<_> = rows.iter().filter_map(told).collect();
        let wanted = [
            ("attempt", "1 of 3 over ethernet (posd-gone0): in-use"),
            ("no-connection", "1 of 3 over ethernet: link-gone at tcp"),
            ("attempt", "2 of 3 over wifi (lo): next-after-failure"),
        ];
        assert_eq!(told, wanted.map(|(what, text)| (what.to_owned(), text.to_owned())));
        // The third silent try makes it dead: from then on the other one is the first.
        till.ended(&path).await;
        till.put_card("unionpay");
        let path = till.sale("s-2", 1300).await;
        assert_eq!(till.finished(&path).await.outcome, "approved");
        let attempt: OwnedValue = till.get(path.as_str(), "Transaction.Attempt").await;
        assert_eq!(till.text(CABLE, "Link.Reason").await, "acquirer-silent");
        assert_eq!(<(u32, u32)>::try_from(attempt).unwrap().0, 2);
    });
}

/// Goal: links come onto the bus when their manager does, late or again, and go with it; without it everything is as if
/// there were none. With all links down the terminal says so, and with one back it is ready again, by signals alone.
#[test]
fn managers_come_late_and_go_and_the_state_follows_the_links() {
    with_links(60, async |till| {
        till.open().await;
        till.until_is(ROOT_PATH, "Manager.State", "ready").await;
        assert!(network(till).await.links().await.unwrap().is_empty(), "nobody manages links yet");
        let address = till.bus.address.clone();
        let manager = Manager::start(&address, &[device(ETHERNET, "lo", ACTIVATED)]).await;
        till.until::<bool>(CABLE, "Link.Verified", |verified| *verified).await;
        let active: OwnedObjectPath = till.get(ROOT_PATH, "Network.ActiveLink").await;
        assert_eq!(active.as_str(), CABLE);
        manager.set(0, |cable| (cable.state, cable.reason) = (UNAVAILABLE, 40)).await;
        till.until_is(CABLE, "Link.Reason", "no-carrier").await;
        till.until_is(ROOT_PATH, "Manager.State", "ready-offline").await;
        manager.set(0, |cable| (cable.state, cable.reason) = (ACTIVATED, 0)).await;
        till.until_is(ROOT_PATH, "Manager.State", "ready").await;
        manager.set(0, |cable| cable.connectivity = 2).await;
        till.until_is(CABLE, "Link.Reason", "portal").await;
        manager.stop().await;
        till.until::<Vec<OwnedObjectPath>>(ROOT_PATH, "Network.Links", Vec::is_empty).await;
        let job = till.host().await.test(Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        let _again = Manager::start(&address, &[device(ETHERNET, "lo", ACTIVATED)]).await;
        till.until::<bool>(CABLE, "Link.Verified", |verified| *verified).await;
    });
}

/// Goal: the way is measured over a link that somebody names, the dead one says where it ends, and no other is taken.
#[test]
fn the_way_is_measured_over_each_link() {
    with_links(0, async |till| {
        let devices = [device(ETHERNET, NOWHERE, ACTIVATED), device(WIFI, "lo", ACTIVATED)];
        let _manager = Manager::start(&till.bus.address.clone(), &devices).await;
        till.until_is(WLAN, "Link.State", "connected").await;
        for (link, state) in [("wifi", "succeeded"), ("ethernet", "failed")] {
            let options = HashMap::from([("link", link.into())]);
            let job = till.host().await.test(options).await.unwrap();
            till.until_is(job.as_str(), "Job.State", state).await;
            let result: HashMap<String, OwnedValue> = till.get(job.as_str(), "Job.Result").await;
            let cause = result.get("cause").map(|value| value.to_string());
            assert_eq!(cause.as_deref(), (link == "ethernet").then_some("\"link-gone\""), "{link}");
        }
        let unknown = HashMap::from([("link", "cellular".into())]);
        let refused = till.host().await.test(unknown).await.unwrap_err().to_string();
        assert!(refused.contains("NotFound"), "{refused}");
    });
}

/// Joins a network and gives the job's state and error.
async fn joins(till: &mut Till, ssid: &[u8], password: &str, state: &str) -> String {
    let secret = Fd::from(sealed(password.as_bytes()));
    let job = network(till).await.connect(ssid, secret, Default::default()).await.unwrap();
    till.until_is(job.as_str(), "Job.State", state).await;
    let error: OwnedValue = till.get(job.as_str(), "Job.Error").await;
    let (name, _): (String, String) = error.try_into().unwrap();
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

/// Goal: networks are listed with their bytes; a wrong password is told as such; a good network stays only if the bank
/// is reached over it, and else what was before comes back.
#[test]
fn a_network_is_kept_only_if_the_bank_answers() {
    with_links(0, async |till| {
        let devices = [device(WIFI, "lo", DISCONNECTED)];
        let manager = Manager::start(&till.bus.address.clone(), &devices).await;
        till.until_is(WLAN, "Link.State", "disconnected").await;
        let job = network(till).await.scan(Default::default()).await.unwrap();
        till.until_is(job.as_str(), "Job.State", "succeeded").await;
        let result: HashMap<String, OwnedValue> = till.get(job.as_str(), "Job.Result").await;
        let rows: Vec<HashMap<String, OwnedValue>> = result["rows"].try_clone().unwrap().try_into().unwrap();
        let texts: Vec<String> =
            rows.iter().map(|row| row["ssid-text"].try_clone().unwrap().try_into().unwrap()).collect();
        assert_eq!(texts, ["小店", "С\\xb5"]);
        let ssid: Vec<u8> = rows[1]["ssid"].try_clone().unwrap().try_into().unwrap();
        assert_eq!(ssid, [0xD0, 0xA1, 0xB5]);

        assert_eq!(joins(till, "小店".as_bytes(), "99999999", "failed").await, "WrongPassword");
        assert_eq!(manager.asked().last().unwrap(), "rolled back");
        assert_eq!(joins(till, b"nobody", "12345678", "failed").await, "NotFound");
        assert_eq!(joins(till, "小店".as_bytes(), "12345678", "succeeded").await, "");
        assert_eq!(manager.asked().last().unwrap(), "kept");
        assert!(manager.asked().contains(&"join /ap/0 wpa-psk".to_owned()), "{:?}", manager.asked());
        till.acquirer.refuse_connections().unwrap();
        assert_eq!(joins(till, &ssid, "", "failed").await, "RolledBack");
        assert_eq!(manager.asked().last().unwrap(), "rolled back");
    });
}

/// Goal: against the real NetworkManager with two cables to one bank: a cable that is mute, pulled, plugged in again, and
/// a manager that goes and comes; the script prints what each of them took.
#[test]
fn the_real_networkmanager_and_two_cables() {
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools");
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_posd")).parent().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lab = std::process::Command::new(format!("{tools}/links-lab.sh"))
        .arg(dir.path())
        .arg(format!("{tools}/links-real.sh"))
        .arg(bin)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&lab.stdout), String::from_utf8_lossy(&lab.stderr));
    if lab.status.code() == Some(77) {
        return skip(err.lines().last().unwrap_or("the lab cannot be built here")).unwrap_or_default();
    }
    assert!(lab.status.success() && out.contains("all as it must be"), "{out}\n{err}");
    println!("{out}");
}

/// Goal: what a technician sees and does with `posctl link`: the links in words, the networks, the way to the bank over
/// one link and over each, a network joined with a password from a file, and a wrong one.
#[test]
fn posctl_shows_tries_and_joins_links() {
    with_links(0, async |till| {
        let devices = [device(ETHERNET, NOWHERE, ACTIVATED), device(WIFI, "lo", ACTIVATED)];
        let manager = Manager::start(&till.bus.address.clone(), &devices).await;
        till.until_is(WLAN, "Link.State", "connected").await;
        till.open().await;
        let address = till.bus.address.clone();
        let posctl = async |words: Vec<String>| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_posctl"));
            command.arg("link").args(words).args(["--address", &address]).stdin(std::process::Stdio::null());
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            let (out, err) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            (output.status.code(), out, err)
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();

        let (code, shown, _) = posctl(words("list --lang en")).await;
        assert_eq!(code, Some(0));
        let line = |start: &str| shown.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        assert!(line("ethernet").contains(NOWHERE), "{shown}");
        assert!(line("wifi").contains("answers") && line("wifi").contains("小店"), "{shown}");
        let (code, shown, _) = posctl(words("scan --lang zh")).await;
        assert_eq!(code, Some(0));
        assert!(shown.contains("小店") && shown.contains("80 %"), "{shown}");

        let (code, shown, told) = posctl(words("test wifi --json")).await;
        assert_eq!(code, Some(0), "{shown}{told}");
        assert!(shown.contains("\"echo-ms\""), "{shown}");
        let (code, shown, told) = posctl(words("test ethernet --json")).await;
        assert_ne!(code, Some(0), "{shown}{told}");
        let (_, shown, told) = posctl(words("test --lang en")).await;
        assert!(shown.contains("ethernet") && shown.contains("wifi"), "{shown}{told}");

        let secret = till.dir().join("wifi-password");
        let file = secret.display().to_string();
        std::fs::write(&secret, "12345678").unwrap();
        let (code, shown, told) =
            posctl([words("connect 小店 --json --secret-file"), vec![file.clone()]].concat()).await;
        assert_eq!(code, Some(0), "{shown}{told}");
        assert_eq!(manager.asked().last().unwrap(), "kept");
        std::fs::write(&secret, "99999999").unwrap();
        let (code, shown, told) =
            posctl([words("connect 小店 --json --secret-file"), vec![file]].concat()).await;
        assert_ne!(code, Some(0), "{told}");
        assert!(shown.contains("WrongPassword"), "{shown}{told}");
        assert!(!shown.contains("99999999") && !told.contains("99999999"));
    });
}

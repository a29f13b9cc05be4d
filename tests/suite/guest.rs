//! Whole machines in qemu: own kernel, systemd, a USB reader with the simulated card, a USB printer; and their power
//! fails. They boot for half a minute each, so plain `cargo test` leaves them out: `make vm-test`.
mod lost;

use posd::sim::guest::{GuestShop, Terms};
use posd::sim::printer::Fault;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const EMV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/emv.toml");
/// Longest wait for paper.
const PAPER_WITHIN: Duration = Duration::from_secs(60);
/// Waits for a condition inside, 120 s at most: posctl asks over a bus that is slow here.
const UNTIL: &str =
    "wait_for() { n=0; while ! eval \"$1\"; do n=$((n+1)); [ $n -lt 240 ] || exit 1; sleep .5; done; }; ";

/// What `tests/tools/guest` has made.
fn made() -> PathBuf {
    std::env::var_os("POSD_GUEST").expect("`make vm-test` runs these tests").into()
}

fn log(name: &str) -> PathBuf {
    made().join(format!("{name}.log"))
}

/// A page of the documents that a run writes: the committed one where `POSD_BLESS` asks for it.
fn page(name: &str) -> PathBuf {
    if std::env::var_os("POSD_BLESS").is_some() {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs").join(name)
    } else {
        made().join(name)
    }
}

/// The terms of a shop with a printer on TCP and no other services.
fn terms<'a>(made: &'a Path, log: &'a Path) -> Terms<'a> {
    Terms {
        made,
        emv: Path::new(EMV),
        usb_printer: false,
        log_writes: false,
        services: &[],
        host: "",
        sections: "[operators]\nrequire-change = false\n",
        log,
    }
}

/// Opens a shop and waits until its terminal takes sales.
fn open_on(terms: &Terms<'_>) -> GuestShop {
    let mut shop = GuestShop::open(terms).unwrap();
    let guest = shop.guest().unwrap();
    guest.until_ready().unwrap();
    guest.sh(&format!("{UNTIL} wait_for 'posctl host sign-on'; printf 123456 >/run/pin")).unwrap();
    shop
}

/// A transaction as a cashier makes it, with the card of a customer; what posctl says.
fn deed(shop: &mut GuestShop, what: &str) -> serde_json::Value {
    shop.reader.insert("unionpay").unwrap();
    let (_, said) =
        shop.guest().unwrap().try_sh(&format!("posctl --json {what} --pin-file /run/pin --yes")).unwrap();
    shop.reader.remove();
    let document = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    serde_json::from_str(document).unwrap_or_else(|_| panic!("{what}: {said}"))
}

/// A sale that must be approved.
fn sell(shop: &mut GuestShop, amount: &str) {
    let document = deed(shop, &format!("sale {amount}"));
    assert_eq!(document["data"]["outcome"], "approved", "{amount}: {document}");
}

/// Waits until the daemon has the proof that both plies of the last transaction are on paper.
fn proven(shop: &mut GuestShop) {
    let printed = "posctl --json txn list --limit 1 | grep -q .printed.:true";
    shop.guest().unwrap().sh(&format!("{UNTIL} wait_for '{printed}'")).unwrap();
}

/// Goal: the packaged daemon on a machine of its own makes a whole sale: chip in a USB reader, bank, paper, books.
#[test]
#[ignore = "boots a guest: make vm-test"]
fn a_sale_from_the_chip_to_the_paper() {
    let mut shop = open_on(&terms(&made(), &log("sale")));
    sell(&mut shop, "12.50");
    assert!(shop.printer.wait_for(2, PAPER_WITHIN), "two plies");
    for receipt in shop.printer.report().receipts {
        assert!(receipt.text.contains("12.50"), "{}", receipt.text);
    }
    let booked: Vec<u64> = shop.acquirer.ledger().unwrap().iter().map(|row| row.booked).collect();
    assert_eq!(booked, [1250]);
    // The first cryptogram and the last one, through CCID.
    let cryptograms = shop.reader.log().iter().filter(|entry| entry.command.starts_with("80AE")).count();
    assert_eq!(cryptograms, 2);
    let failed = shop.guest().unwrap().sh("systemctl --failed --plain --no-legend").unwrap();
    assert_eq!(failed, "", "a unit has failed");
}

/// Goal: in a boot with everything else that a terminal has, the daemon is ready, and its start is told beside theirs.
/// No time is asserted; `POSD_BLESS=1` writes src/docs/machine-boot.md.
#[test]
#[ignore = "boots a guest: make vm-test"]
fn a_boot_with_all_services() {
    let services = &["NetworkManager.service", "pcscd.service"][..];
    let mut shop = open_on(&Terms { services, ..terms(&made(), &log("boot")) });
    let guest = shop.guest().unwrap();
    let mut rows = String::new();
    for unit in ["pcscd", "NetworkManager", "posd"] {
        let asked = "ActiveState InactiveExitTimestampMonotonic ActiveEnterTimestampMonotonic";
        let asked = asked.split(' ').map(|name| format!(" --property={name}")).collect::<String>();
        let said = guest.sh(&format!("systemctl show {unit}.service{asked}")).unwrap();
        let value =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap();
        assert_eq!(value("ActiveState"), "active", "{unit}");
        let us = |name: &str| value(name).parse::<u64>().unwrap();
        let [began, ready] = [us("InactiveExitTimestampMonotonic"), us("ActiveEnterTimestampMonotonic")];
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        let (began, took) = (seconds(began), seconds(ready - began));
        rows.push_str(&format!("| `{unit}.service` | {began:.2} s | {took:.2} s |\n"));
    }
    let text = format!(
        "# A boot\n\nWritten by `make vm-test`; `POSD_BLESS=1` writes it anew. One boot of the guest, whose processor \
         is emulated: only the proportions mean anything. `posd` is ordered after the others and says itself when it is \
         ready, NetworkManager too; pcscd counts as ready when it is started.\n\n\
         | unit | started after | ready within |\n|---|---|---|\n{rows}"
    );
    println!("{text}");
    std::fs::write(page("machine-boot.md"), text).unwrap();
}

/// Goal: a printer on USB is the daemon's alone, under a stable name, and prints; paper that runs out and plugs that are
/// pulled, of printer and reader, cost no sale, and everything goes on when they are back.
#[test]
#[ignore = "boots a guest: make vm-test"]
fn devices_come_and_go() {
    let mut shop = open_on(&Terms { usb_printer: true, ..terms(&made(), &log("devices")) });
    shop.plug_printer().unwrap();
    let node = "stat -L -c '%U %G %a' /dev/usb/lp0 /dev/posd/printer-POSD_Receipt_0001";
    assert_eq!(shop.guest().unwrap().sh(node).unwrap().trim(), "root posd 660\nroot posd 660");
    sell(&mut shop, "1.00");
    assert!(shop.printer.wait_for(2, PAPER_WITHIN), "{:?}", shop.printer.report());
    proven(&mut shop);

    shop.printer.set(Fault::PaperOut);
    sell(&mut shop, "2.00");
    shop.printer.set(Fault::Nothing);
    assert!(shop.printer.wait_for(4, PAPER_WITHIN), "{:?}", shop.printer.report());
    proven(&mut shop);

    shop.unplug_printer().unwrap();
    sell(&mut shop, "3.00");
    shop.plug_printer().unwrap();
    assert!(shop.printer.wait_for(6, PAPER_WITHIN), "{:?}", shop.printer.report());
    let printed = shop.printer.report();
    for (receipt, amount) in printed.receipts.iter().zip([1, 1, 2, 2, 3, 3]) {
        assert!(receipt.text.contains(&format!("{amount}.00")), "{amount}.00 in {printed:?}");
    }

    shop.unplug_reader().unwrap();
    let gone = format!("{UNTIL} wait_for 'posctl --json sale 4.00 --timeout 1 | grep -q DeviceAbsent'");
    shop.guest().unwrap().sh(&gone).unwrap();
    shop.plug_reader().unwrap();
    let back = format!("{UNTIL} wait_for 'posctl --json reader list | grep -q CCID'");
    shop.guest().unwrap().sh(&back).unwrap();
    sell(&mut shop, "5.00");
    let booked: Vec<u64> = shop.acquirer.ledger().unwrap().iter().map(|row| row.booked).collect();
    assert_eq!(booked, [100, 200, 300, 500]);
}

/// Goal: wherever the power of the whole machine fails, no told outcome changes and both ends agree on every line. The
/// seed is printed; `POSD_BLESS=1` writes src/docs/machine-cuts.md.
#[test]
#[ignore = "boots a guest twenty times: make vm-test"]
fn twenty_power_cuts_leave_both_ends_in_agreement() {
    let page = page("machine-cuts.md");
    let status = Command::new(env!("CARGO_BIN_EXE_posd-sim"))
        .args(["storm", "--kills", "20", "--emv", EMV, "--guest"])
        .arg(made())
        .arg("--log")
        .arg(log("cuts"))
        .arg("--page")
        .arg(&page)
        .status()
        .unwrap();
    let written = std::fs::read_to_string(page).unwrap();
    println!("{written}");
    assert!(status.success());
    let is_cut = |line: &&str| {
        line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    assert_eq!(written.lines().filter(is_cut).count(), 20);
    assert!(written.contains(" 0 differences."));
}

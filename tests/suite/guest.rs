//! Whole machines in qemu: own kernel, systemd, a USB reader with the simulated card, a USB printer; and their power
//! fails. They boot for half a minute each, so plain `cargo test` leaves them out: `make vm-test`.
use posd::sim::guest::{Guest, GuestShop, Terms};
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

/// Opens a shop and waits until its terminal takes sales.
fn open(name: &str, sections: &str) -> GuestShop {
    let terms = Terms {
        made: &made(),
        emv: Path::new(EMV),
        host: "",
        sections: &format!("[operators]\nrequire-change = false\n{sections}"),
        log: &log(name),
    };
    let mut shop = GuestShop::open(&terms).unwrap();
    let guest = shop.guest().unwrap();
    guest.until_ready().unwrap();
    guest.sh(&format!("{UNTIL} wait_for 'posctl host sign-on'; printf 123456 >/run/pin")).unwrap();
    shop
}

/// One sale as a cashier makes it, with the card in; what posctl says of it.
fn sell(guest: &Guest, amount: &str) -> serde_json::Value {
    let (_, said) = guest.try_sh(&format!("posctl --json sale {amount} --pin-file /run/pin --yes")).unwrap();
    let document = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{said}"));
    serde_json::from_str(document).unwrap()
}

/// Goal: the packaged daemon on a machine of its own makes a whole sale: chip in a USB reader, bank, paper, books.
#[test]
#[ignore = "boots a guest: make vm-test"]
fn a_sale_from_the_chip_to_the_paper() {
    let mut shop = open("sale", "");
    shop.reader.insert("unionpay").unwrap();
    let sale = sell(shop.guest().unwrap(), "12.50");
    assert_eq!(sale["data"]["outcome"], "approved", "{sale}");
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

/// Goal: wherever the power of the whole machine fails, no told outcome changes and both ends agree on every line. The
/// seed is printed; `POSD_BLESS=1` writes src/docs/machine-cuts.md.
#[test]
#[ignore = "boots a guest twenty times: make vm-test"]
fn twenty_power_cuts_leave_both_ends_in_agreement() {
    let page = if std::env::var_os("POSD_BLESS").is_some() {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/machine-cuts.md")
    } else {
        made().join("machine-cuts.md")
    };
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
    assert_eq!(written.lines().filter(|line| line.contains(" s | ")).count(), 20);
    assert!(written.contains(" 0 differences."));
}

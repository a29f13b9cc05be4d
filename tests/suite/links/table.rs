//! Fault of the links × moment in a sale → what the shop and the bank have: `src/docs/link-faults.md`.
use super::manager::{ACTIVATED, ETHERNET, Manager, UNAVAILABLE, WIFI};
use super::{CABLE, NOWHERE, WLAN, device, with_links};
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/link-faults.md");

const INTRODUCTION: &str = "\
# Faults of links, and what a sale makes of them

Written by `tests/suite/links/table.rs`; `POSD_BLESS=1` writes it anew. Two links, Ethernet preferred to Wi-Fi, one bank,
three attempts. *Leads nowhere*: it has an address, and nothing comes back. *Shop* is the outcome that is told, *bank*
what the bank holds in the end: they agree in every row.

| fault | moment | shop | attempt | over | bank | reversals at the bank |
|---|---|---|---|---|---|---|
";

/// One row: what goes wrong, and when.
struct Row {
    fault: &'static str,
    moment: &'static str,
    /// Interface and state of both links before the sale.
    links: [(&'static str, u32); 2],
    /// The bank books the sale, and its answer is lost.
    answer_lost: bool,
    /// The first link loses its carrier while the answer is waited for.
    then_down: bool,
}

const UP: (&str, u32) = ("lo", ACTIVATED);
const DEAD: (&str, u32) = (NOWHERE, ACTIVATED);
const DOWN: (&str, u32) = ("lo", UNAVAILABLE);

const fn before(fault: &'static str, links: [(&'static str, u32); 2]) -> Row {
    Row { fault, moment: "before the sale", links, answer_lost: false, then_down: false }
}

const fn during(fault: &'static str, then_down: bool) -> Row {
    Row { fault, moment: "between request and answer", links: [UP, UP], answer_lost: true, then_down }
}

const ROWS: [Row; 7] = [
    before("none", [UP, UP]),
    before("Ethernet leads nowhere", [DEAD, UP]),
    before("Ethernet has no carrier", [DOWN, UP]),
    before("both lead nowhere", [DEAD, DEAD]),
    before("no carrier on both, the system has another route", [DOWN, DOWN]),
    during("the answer is lost", false),
    during("the answer is lost with the carrier of Ethernet", true),
];

/// Goal: whatever happens to the links at whatever moment, shop and bank agree about the money, and the page says how.
#[test]
fn the_table_of_link_faults_is_true() {
    let rows = std::thread::scope(|scope| {
        let threads = ROWS.each_ref().map(|row| scope.spawn(|| line(row)));
        threads.map(|thread| thread.join().expect("the row passed"))
    });
    let Some(rows) = rows.into_iter().collect::<Option<Vec<_>>>() else { return };
    let text = format!("{INTRODUCTION}{}", rows.concat());
    if std::env::var_os("POSD_BLESS").is_some() {
        std::fs::write(TABLE, &text).unwrap();
    }
    let kept = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(text, kept, "src/docs/link-faults.md is stale; POSD_BLESS=1 writes it anew");
}

/// The link of the last line that was dialled.
fn last_dialled(log: &str) -> String {
    let line = log.lines().rev().find(|line| line.contains("dialling")).expect("a line was dialled");
    let after = line.split_once("over ").map_or("its own route", |(_, after)| after);
    after.split(" (").next().unwrap_or_default().to_owned()
}

/// Runs a row; `None` where this machine has no till.
fn line(row: &Row) -> Option<String> {
    let mut text = None;
    with_links(0, async |till| {
        // The till opens while all is well: what a row begins with does not depend on how often it dialled before.
        let well = [device(ETHERNET, UP.0, UP.1), device(WIFI, UP.0, UP.1)];
        let manager = Manager::start(&till.bus.address.clone(), &well).await;
        for link in [CABLE, WLAN] {
            till.until_is(link, "Link.State", "connected").await;
        }
        till.open().await;
        for (number, link) in [CABLE, WLAN].into_iter().enumerate() {
            let (interface, state) = row.links[number];
            manager.set(number, |device| (device.interface, device.state) = (interface, state)).await;
            till.until_is(link, "Link.Interface", interface).await;
            let word = if state == ACTIVATED { "connected" } else { "unavailable" };
            till.until_is(link, "Link.State", word).await;
        }
        if row.answer_lost {
            till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
        }
        till.put_card("unionpay");
        let path = till.sale("s-1", 1250).await;
        if row.then_down {
            till.bank_saw("0200", 1).await;
            manager.set(0, |cable| (cable.state, cable.reason) = (UNAVAILABLE, 40)).await;
        }
        let mut shop = till.finished(&path).await.outcome;
        if shop == "unknown" {
            till.nothing_owed().await;
            let known = |outcome: &String| outcome != "unknown";
            shop = format!("unknown, then {}", till.until(path.as_str(), "Transaction.Outcome", known).await);
        }
        let attempt: OwnedValue = till.get(path.as_str(), "Transaction.Attempt").await;
        let (attempt, most) = <(u32, u32)>::try_from(attempt).unwrap();
        let link: OwnedObjectPath = till.get(path.as_str(), "Transaction.AttemptLink").await;
        let over =
            link.as_str().rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("its own route");
        let money = till.booked().into_iter().find(|effect| *effect != Effect::Noted);
        let bank = match money {
            None => "nothing",
            Some(Effect::Held) => "the money",
            Some(Effect::Reversed) => "undone",
            Some(other) => panic!("{other:?}"),
        };
        assert_eq!(shop == "approved", bank == "the money", "{}: {shop}, {bank}", row.fault);
        let reversals = match till.asked(&["0400"]).len() {
            0 => "none".to_owned(),
            count => format!("{count}, over {}", last_dialled(&till.log())),
        };
        let Row { fault, moment, .. } = row;
        text = Some(format!(
            "| {fault} | {moment} | {shop} | {attempt} of {most} | {over} | {bank} | {reversals} |\n"
        ));
    });
    text
}

//! The power-cut matrix: the daemon is stopped dead at every effect boundary of a sale, once with an answer and
//! once with a lost one, and must agree with the bank after its restart.
//!
//! The boundaries come from a run without a cut. The outcomes stand in `src/docs/power-cuts.md`; a difference fails the
//! test, and `POSD_BLESS=1` writes the file anew.
use crate::support::{Options, SUPERVISOR, Till, dict_text, number, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use zbus::zvariant::{OwnedObjectPath, Value};

/// Where the outcomes are kept.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/power-cuts.md");
/// The one request of every run.
const REQUEST: &str = "cut";

/// A sale with something that goes wrong, or nothing.
struct Scenario {
    title: &'static str,
    card: &'static str,
    fault: Option<Fault>,
    /// What the terminal says in the end when nothing is cut.
    end: &'static str,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { title: "A sale that the bank approves", card: "unionpay", fault: None, end: "approved" },
    Scenario {
        title: "A sale whose answer is lost, and its reversal",
        card: "unionpay",
        fault: Some(Fault::Drop),
        end: "reversed",
    },
    Scenario {
        title: "A sale that the card refuses after the bank's approval, and its reversal",
        card: "declines-after-approval",
        fault: None,
        end: "declined",
    },
    Scenario {
        title: "A sale whose answer has a wrong MAC, the new sign-on, and its reversal",
        card: "unionpay",
        fault: Some(Fault::BadMac),
        end: "reversed",
    },
];

/// Goal: wherever the power fails, both ends agree about the money and no slip is printed twice without its mark.
#[test]
fn a_power_cut_at_any_boundary_leaves_both_ends_in_agreement() {
    // One till each, side by side.
    let sections = std::thread::scope(|scope| {
        let threads = SCENARIOS.each_ref().map(|scenario| scope.spawn(|| section(scenario)));
        threads.map(|thread| thread.join().expect("the scenario passed"))
    });
    let Some(sections) = sections.into_iter().collect::<Option<Vec<_>>>() else { return };
    let text = format!("{INTRODUCTION}{}", sections.concat());
    if std::env::var_os("POSD_BLESS").is_some() {
        std::fs::create_dir_all(Path::new(TABLE).parent().unwrap()).unwrap();
        std::fs::write(TABLE, &text).unwrap();
    }
    let kept = std::fs::read_to_string(TABLE).unwrap_or_default();
    for (now, then) in text.lines().zip(kept.lines()) {
        assert_eq!(now, then, "src/docs/power-cuts.md is stale; POSD_BLESS=1 writes it anew");
    }
    assert_eq!(text.lines().count(), kept.lines().count(), "src/docs/power-cuts.md is stale");
}

const INTRODUCTION: &str = "\
# What a power cut leaves behind

Made by `tests/suite/cuts.rs` from real runs: the daemon is killed at each boundary between two effects, started again on
the same state directory, and asked when it has come to rest. A boundary is named by what was about to happen, or by what
had just been heard. *Terminal* is the outcome it tells for the request; *not known* means that the same request may run
anew. *Host* is what the bank holds. *Paper* counts the slips that came out, before and after the cut together, and what
the terminal says of each ply.

A sale that the bank never saw is *unknown* for a minute: its reversal is answered with 25 and asked once more.
";

/// Runs a scenario at every boundary and makes its table. `None` where there is no till.
fn section(scenario: &Scenario) -> Option<String> {
    let response_timeout_s = if scenario.fault == Some(Fault::Drop) { 1 } else { 10 };
    let options = Options { response_timeout_s, test_max: Duration::from_secs(580), ..Options::default() };
    let mut rows = None;
    with_till(options, async |till| rows = Some(matrix(till, scenario).await));
    Some(format!("\n## {}\n\n{HEAD}{}", scenario.title, rows?))
}

const HEAD: &str = "| # | cut at | terminal | host | paper |\n|--:|---|---|---|---|\n";

async fn matrix(till: &mut Till, scenario: &Scenario) -> String {
    // A terminal that has been signed on: every run begins with a copy of it.
    till.open().await;
    till.put_card(scenario.card);
    till.stop_daemon().await;
    let kept = till.dir().join("signed-on");
    copy(&till.state_dir(), &kept);

    let names = boundaries(till, scenario).await;
    let mut rows = String::new();
    for (at, name) in names.iter().enumerate() {
        prepare(till, scenario).await;
        let before = till.printer.as_ref().unwrap().report().receipts.len();
        cut(till, at + 1, name).await;
        let rest = Rest::after_restart(till, before).await;
        rest.check(&format!("cut {} at {name}", at + 1));
        writeln!(rows, "| {} | {name} | {} | {} | {} |", at + 1, rest.terminal, rest.host(), rest.paper)
            .unwrap();
        till.stop_daemon().await;
    }
    rows
}

/// Everything as in the morning, but for the card's counter and the paper on the floor.
async fn prepare(till: &mut Till, scenario: &Scenario) {
    std::fs::remove_dir_all(till.state_dir()).unwrap();
    copy(&till.dir().join("signed-on"), &till.state_dir());
    till.acquirer.clear_ledger().unwrap();
    till.acquirer.clear_rules().unwrap();
    if scenario.fault == Some(Fault::BadMac) {
        // The sign-on of the run before has given the bank other keys than the copy has.
        till.start_daemon().await;
        till.host_sign_on().await;
        till.stop_daemon().await;
    }
    if let Some(fault) = &scenario.fault {
        till.acquirer.rule(Rule::once("0200", fault.clone())).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The names of the boundaries of one sale, from a run without a cut.
async fn boundaries(till: &mut Till, scenario: &Scenario) -> Vec<String> {
    prepare(till, scenario).await;
    start_with_log(till, None).await;
    assert_eq!(passed(till), [""; 0], "before the sale there is no boundary, so that they can be counted");
    let sale = till.sale(REQUEST, 1250).await;
    till.finished(&sale).await;
    till.until_is(sale.as_str(), "Transaction.Outcome", scenario.end).await;
    if scenario.end == "approved" {
        till.plies_are(&sale, "confirmed").await;
    } else {
        till.bank_saw("0400", 1).await;
        till.nothing_owed().await;
    }
    let names = passed(till);
    till.stop_daemon().await;
    names
}

/// Starts the daemon with a log of boundaries, opens the shop, and lets the daemon die at the n-th of them.
async fn start_with_log(till: &mut Till, at: Option<usize>) {
    let log = till.dir().join("cuts");
    std::fs::write(&log, "").unwrap();
    till.env = vec![("POSD_CUT_LOG".to_owned(), log.display().to_string())];
    till.env.extend(at.map(|at| ("POSD_CUT".to_owned(), at.to_string())));
    till.start_daemon().await;
    till.open_again().await;
    let reader = till.reader().await;
    till.until::<bool>(&reader, "Reader.CardPresent", |present| *present).await;
    till.env.clear();
}

/// The boundaries that were passed.
fn passed(till: &Till) -> Vec<String> {
    let log = std::fs::read_to_string(till.dir().join("cuts")).unwrap();
    log.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
}

/// Runs the sale into the cut.
async fn cut(till: &mut Till, at: usize, name: &str) {
    start_with_log(till, Some(at)).await;
    // The daemon may die before it answers.
    drop(till.try_sale(REQUEST, 1250).await);
    assert_eq!(till.daemon_ended().await, None, "killed");
    let passed = passed(till);
    assert_eq!(
        (passed.len(), passed.last().map(String::as_str)),
        (at, Some(name)),
        "the same way every time"
    );
}

/// How things are when the terminal has come to rest after its restart.
struct Rest {
    terminal: String,
    bank: Vec<Effect>,
    /// A reversal answered with 25 that waits to be asked again.
    waits: bool,
    paper: String,
    twice: bool,
    printed: bool,
}

impl Rest {
    /// `before`: how many slips lay there before the sale.
    async fn after_restart(till: &mut Till, before: usize) -> Self {
        till.start_daemon().await;
        let waits = settled(till).await;
        let found = till.manager().await.get_transaction(REQUEST, Default::default()).await;
        let (terminal, plies) = match &found {
            Ok(sale) => {
                let plies = printed(till, sale).await;
                (till.text(sale.as_str(), "Transaction.Outcome").await, plies)
            }
            Err(_) => ("not known".to_owned(), Vec::new()),
        };
        let report = till.printer.as_ref().unwrap().report();
        let count = |ply: &str| {
            let slips = report.receipts.iter().skip(before).filter(|slip| slip.text.contains(ply));
            slips.filter(|slip| !slip.text.contains("DUPLICATED")).count()
        };
        let counts = [count("商户存根"), count("持卡人存根")];
        let paper: Vec<String> =
            plies.iter().zip(counts).map(|((ply, state), count)| format!("{count} {ply}, {state}")).collect();
        assert!(report.uncut.trim().is_empty(), "half a slip: {}", report.uncut);
        Self {
            terminal,
            bank: till.booked(),
            waits,
            paper: if paper.is_empty() { "none".to_owned() } else { paper.join("; ") },
            twice: counts.iter().any(|count| *count > 1),
            printed: counts.iter().any(|count| *count > 0),
        }
    }

    /// The promise: one truth about the money at both ends, and paper only for what is true.
    fn check(&self, what: &str) {
        let held = self.bank.contains(&Effect::Held);
        let approved = self.terminal == "approved";
        assert_eq!(approved, held, "{what}: the terminal says {}, the bank {:?}", self.terminal, self.bank);
        assert!(self.bank.len() <= 1, "{what}: booked twice");
        assert!(!self.twice, "{what}: two slips without a mark: {}", self.paper);
        assert!(approved || !self.printed, "{what}: a slip for what is not approved");
        let known = ["not known", "approved", "declined", "cancelled", "failed", "reversed"];
        let settled = known.contains(&self.terminal.as_str()) && !self.waits;
        let asked = self.terminal == "unknown" && self.waits && self.bank == [Effect::NotFound];
        assert!(settled || asked, "{what}: {} with {:?}", self.terminal, self.bank);
    }

    fn host(&self) -> &'static str {
        match self.bank.first() {
            None => "nothing",
            Some(Effect::Held) => "held",
            Some(Effect::Reversed) => "reversed",
            Some(Effect::Declined) => "declined",
            Some(Effect::NotFound) => "never seen",
            Some(Effect::Noted) => "noted",
        }
    }
}

/// Waits until nothing is owed (false), or all that is owed waits to be asked again (true).
async fn settled(till: &mut Till) -> bool {
    loop {
        till.mark();
        let owed = till.owed().await;
        let busy: Vec<String> = till.get(ROOT_PATH, "Manager.UpdateBlockers").await;
        let never_seen = till.booked() == [Effect::NotFound];
        let asked = owed.iter().all(|row| number(row, "attempts") > 0 && dict_text(row, "state") == "due");
        match owed.is_empty() {
            true => return false,
            false if never_seen && asked && !busy.contains(&"host".to_owned()) => return true,
            false => till.something(&format!("the reversal: {owed:?}")).await,
        }
    }
}

/// Waits until every ply has ended; their states.
async fn printed(till: &mut Till, sale: &OwnedObjectPath) -> Vec<(String, String)> {
    loop {
        till.mark();
        let mut plies = till.plies(sale).await;
        if plies.iter().all(|(_, state)| !["queued", "printing", "held"].contains(&state.as_str())) {
            plies.sort_by_key(|(ply, _)| ply != "merchant");
            return plies;
        }
        till.something(&format!("the plies: {plies:?}")).await;
    }
}

/// Goal: the undo of a refused signature that a power cut kept from beginning begins after the restart, with nobody
/// asked; one that was begun is reversed, and then the shop undoes the sale by hand. The reason stands until then.
#[test]
fn a_refused_signature_survives_a_power_cut() {
    with_till(Options { test_max: Duration::from_secs(120), ..Options::default() }, async |till| {
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        till.open().await;
        till.signature.send_replace(false);
        till.put_card("signature");
        till.stop_daemon().await;
        let kept = till.dir().join("signed-on");
        copy(&till.state_dir(), &kept);

        start_with_log(till, None).await;
        let sale = refused_sale(till).await.unwrap();
        undone(till, &sale).await;
        let names = passed(till);
        till.stop_daemon().await;
        for (name, end) in [("before store Sending", "approved"), ("frame received", "reversed")] {
            let at = names.iter().rposition(|passed| passed == name).unwrap() + 1;
            std::fs::remove_dir_all(till.state_dir()).unwrap();
            copy(&kept, &till.state_dir());
            till.acquirer.clear_ledger().unwrap();
            start_with_log(till, Some(at)).await;
            drop(refused_sale(till).await);
            assert_eq!(till.daemon_ended().await, None, "killed");
            assert_eq!(passed(till), names[..at], "the same way every time");

            till.start_daemon().await;
            till.until::<Paths>(sale.as_str(), "Transaction.FollowUps", |paths| paths.len() == 1).await;
            let undo = till.get::<Paths>(sale.as_str(), "Transaction.FollowUps").await.remove(0);
            till.until_is(undo.as_str(), "Transaction.Outcome", end).await;
            assert_eq!(till.text(sale.as_str(), "Transaction.Outcome").await, "approved");
            if end == "reversed" {
                till.nothing_owed().await;
                assert!(reasons(till).await.contains(&REFUSED.to_owned()), "until the undo is approved");
                assert_eq!(till.acquirer.held().unwrap().0, 1250);
                till.open_again().await;
                let void = till.follow("void", "by-hand", 0, &sale).await;
                assert_eq!(till.finished(&void).await.outcome, "approved");
                // The sale's own object may hear of its second undo a moment later.
                let two = |paths: &Paths| paths.len() == 2;
                till.until::<Paths>(sale.as_str(), "Transaction.FollowUps", two).await;
            }
            undone(till, &sale).await;
            till.stop_daemon().await;
        }
    });
}

/// Goal: the undo of a refused signature that a power cut kept from beginning and that the day is over for is given up
/// once, in writing, however often the terminal starts; the reason stands until the whole amount is given back.
#[test]
fn a_refused_signature_of_yesterday_waits_for_its_refund() {
    with_till(Options { test_max: Duration::from_secs(120), ..Options::default() }, async |till| {
        till.change_password("00", "123456", SUPERVISOR).await.unwrap();
        till.open().await;
        till.signature.send_replace(false);
        till.put_card("signature");
        till.stop_daemon().await;
        let kept = till.dir().join("signed-on");
        copy(&till.state_dir(), &kept);
        start_with_log(till, None).await;
        let sale = refused_sale(till).await.unwrap();
        undone(till, &sale).await;
        let at = passed(till).iter().rposition(|passed| passed == "before store Sending").unwrap() + 1;
        till.stop_daemon().await;
        std::fs::remove_dir_all(till.state_dir()).unwrap();
        copy(&kept, &till.state_dir());
        till.acquirer.clear_ledger().unwrap();
        start_with_log(till, Some(at)).await;
        drop(refused_sale(till).await);
        assert_eq!(till.daemon_ended().await, None, "killed");

        // The bank's day, which the sale has, is that of Shanghai: 19 hours ahead of the one zone, 6 behind the other.
        let hour = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).hour();
        let elsewhere = if hour < 18 { "Pacific/Pago_Pago" } else { "Pacific/Kiritimati" };
        till.configure("[terminal]\n", &format!("[terminal]\ntimezone = \"{elsewhere}\"\n"));
        for start in 1..=3 {
            till.start_daemon().await;
            till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", |why| {
                why.contains(&REFUSED.to_owned())
            })
            .await;
            till.open_again().await;
            let lines = till.timeline(&sale).await;
            let given_up = lines.iter().filter(|what| *what == "undo-impossible").count();
            assert_eq!(given_up, 1, "start {start}: {lines:?}");
            assert!(till.get::<Paths>(sale.as_str(), "Transaction.FollowUps").await.is_empty());
            if start < 3 {
                till.stop_daemon().await;
            }
        }
        for (request_id, amount, stands) in [("part", 250, true), ("rest", 1000, false)] {
            let refund = till.follow("refund", request_id, amount, &sale).await;
            assert_eq!(till.finished(&refund).await.outcome, "approved");
            till.take_card().await;
            till.put_card("signature");
            let stood = |why: &Vec<String>| why.contains(&REFUSED.to_owned()) == stands;
            till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", stood).await;
        }
        till.stop_daemon().await;
    });
}

type Paths = Vec<OwnedObjectPath>;

const REFUSED: &str = "signature-refused";

/// A sale with one slip, so that nothing is printed beside its undo.
async fn refused_sale(till: &Till) -> zbus::Result<OwnedObjectPath> {
    till.try_start("sale", REQUEST, 1250, HashMap::from([("plies", Value::from(1_u32))])).await
}

async fn reasons(till: &Till) -> Vec<String> {
    till.get::<Vec<String>>(ROOT_PATH, "Manager.StateReasons").await
}

/// Waits until an undo of this sale is approved, and the refusal is over at both ends.
async fn undone(till: &mut Till, sale: &OwnedObjectPath) {
    till.until::<Paths>(sale.as_str(), "Transaction.FollowUps", |paths| !paths.is_empty()).await;
    let undo = till.get::<Paths>(sale.as_str(), "Transaction.FollowUps").await.pop().unwrap();
    till.until_is(undo.as_str(), "Transaction.Outcome", "approved").await;
    let over = |reasons: &Vec<String>| !reasons.iter().any(|reason| reason == REFUSED);
    till.until::<Vec<String>>(ROOT_PATH, "Manager.StateReasons", over).await;
    assert_eq!(till.acquirer.held().unwrap().0, 0);
}

//! Writes that a power failure loses: a day on a machine whose disk logs every write, and afterwards the disks that a
//! failure could have left, each with the journal that is found on it.
use super::{deed, log, made, open_on, terms};
use posd::sim::guest::{GuestShop, Terms, WriteLog, check_state_disk};
use posd::sim::host::Remote;
use posd::sim::host::log::Direction;
use posd::sim::host::rules::{Fault, Rule};
use posd::sim::world::chance::SplitMix64;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Disks of moments of chance, beside those right after a message came to the bank or an outcome was told.
const DISKS: u32 = 60;
/// How often the bank is asked what it has heard.
const LOOK: Duration = Duration::from_millis(2);
/// Messages that may only go out after the record of their transaction is durable.
const RECORDED: [&str; 4] = ["0100", "0200", "0220", "0400"];

/// What was true.
#[derive(Debug)]
enum Fact {
    /// The bank had a request with this MTI and DE 11.
    Sent(String, u32),
    /// The shop was told this outcome of this request.
    Told(String, String),
}

/// Since when: the disk had had so many writes, or fewer.
type Facts = Vec<(u64, Fact)>;

/// Notes how many writes there were when each message came, until told to stop.
fn listen(bank: &Remote, writes: impl Fn() -> std::io::Result<u64>, stop: &AtomicBool) -> Facts {
    let (mut facts, mut heard) = (Facts::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let messages = bank.messages().unwrap();
        let now = writes().unwrap(); // after the messages: never fewer than there were when they came
        for message in messages.iter().filter(|message| message.number > heard) {
            let stan = message.fields.get(&11).and_then(|stan| stan.parse().ok());
            let is_recorded = message.direction == Direction::In && RECORDED.contains(&message.mti.as_str());
            if let (true, Some(stan)) = (is_recorded, stan) {
                facts.push((now, Fact::Sent(message.mti.clone(), stan)));
            }
        }
        heard = messages.last().map_or(heard, |message| message.number);
        std::thread::sleep(LOOK);
    }
    facts
}

/// A day in which the bank is silent once, something is voided, and the batch is settled; what was told.
fn trade(shop: &mut GuestShop) -> Facts {
    let writes = shop.writes_so_far().unwrap();
    let mut facts = Facts::new();
    let mut told = |document: &serde_json::Value| {
        let text =
            |name: &str| document["data"][name].as_str().unwrap_or_else(|| panic!("{document}")).to_owned();
        facts.push((writes().unwrap(), Fact::Told(text("request-id"), text("outcome"))));
    };
    told(&deed(shop, "sale 1.00"));
    shop.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
    told(&deed(shop, "sale 2.00"));
    let third = deed(shop, "sale 3.00");
    told(&third);
    told(&deed(shop, "sale 4.00"));
    told(&deed(shop, &format!("void {}", third["data"]["trace"])));
    shop.guest().unwrap().sh("posctl settle --yes").unwrap();
    told(&deed(shop, "sale 5.00"));
    facts
}

/// What a journal says: outcomes by request, and every DE 11 it knows.
#[derive(Default)]
struct Found {
    outcomes: BTreeMap<String, String>,
    stans: Vec<u32>,
}

/// Mends the file system as a boot does, and reads the journal on it with the daemon's SQLite.
fn read(disk: &Path, folder: &Path) -> Found {
    check_state_disk(disk).unwrap();
    let files = folder.join("files");
    drop(fs::remove_dir_all(&files));
    fs::create_dir_all(&files).unwrap();
    let dump = format!("rdump / {}", files.display());
    assert!(Command::new("debugfs").args(["-R", &dump]).arg(disk).output().unwrap().status.success());
    let mut found = Found::default();
    let journal = files.join("journal.db");
    if !journal.exists() {
        return found; // the first start was not through
    }
    let journal = Connection::open(journal).unwrap();
    let check: String = journal.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let tables: u32 = journal
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'txn'", [], |row| row.get(0))
        .unwrap();
    if tables == 0 {
        return found;
    }
    let mut rows = journal.prepare("SELECT request_id, outcome, stan FROM txn").unwrap();
    let rows =
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<u32>>(2)?))).unwrap();
    for row in rows {
        let (request, outcome, stan) = row.unwrap();
        found.outcomes.insert(request, outcome);
        found.stans.extend(stan);
    }
    found
}

/// Holds what a disk has against what was true when it had had `durable` writes.
fn compare(found: &Found, facts: &Facts, durable: u64) {
    for (since, fact) in facts.iter().filter(|(since, _)| *since <= durable) {
        match fact {
            Fact::Sent(mti, stan) => assert!(
                found.stans.contains(stan),
                "{mti} with STAN {stan} was at the bank since {since}: at {durable} there is no record"
            ),
            Fact::Told(request, outcome) => {
                let now = found.outcomes.get(request);
                let undone = outcome == "unknown" && now.is_some_and(|now| now == "reversed");
                assert!(undone || now == Some(outcome), "{fact:?} since {since}: at {durable} it is {now:?}");
            }
        }
    }
}

/// Makes the disks and looks at each; how many there were, and how many writes were lost in all.
fn judge(
    folder: &Path,
    before: &Path,
    writes: &mut WriteLog,
    facts: &Facts,
    dice: &mut SplitMix64,
) -> (usize, usize) {
    let flushes = writes.flushes();
    let chance =
        |dice: &mut SplitMix64| flushes[usize::try_from(dice.draw() % flushes.len() as u64).unwrap()];
    let mut moments: Vec<usize> = (0..DISKS).map(|_| chance(dice)).collect();
    for (since, _) in facts {
        // The last flush that is surely true of it, and the writes after it lost: nothing later may be needed.
        moments.extend(flushes.iter().copied().find(|flush| *flush as u64 + 1 >= *since));
    }
    moments.sort_unstable();
    moments.dedup();
    let (whole, torn) = (folder.join("whole"), folder.join("torn"));
    fs::copy(before, &whole).unwrap();
    let open = |path: &Path| fs::File::options().write(true).open(path).unwrap();
    let (mut done, mut lost) = (0, 0);
    for moment in &moments {
        let durable = moment + 1;
        writes.replay(&mut open(&whole), done..durable, || true).unwrap();
        done = durable;
        fs::copy(&whole, &torn).unwrap();
        let next = flushes.iter().copied().find(|flush| flush > moment).unwrap_or(writes.len());
        lost += writes.replay(&mut open(&torn), durable..next, || dice.below(2) == 0).unwrap();
        compare(&read(&torn, folder), facts, durable as u64);
    }
    (moments.len(), lost)
}

/// Goal: whatever a disk loses of what was not flushed, the journal on it is sound, has a record of every request that
/// the bank ever saw, and the outcome that the shop was told. The seed is printed.
#[test]
#[ignore = "boots a guest: make vm-test"]
fn lost_writes_lose_no_money() {
    let (made, log) = (made(), log("lost-writes"));
    let mut shop =
        open_on(&Terms { log_writes: true, host: "response-timeout-s = 5\n", ..terms(&made, &log) });
    let (bank, writes, stop) =
        (Remote::clone(&shop.acquirer), shop.writes_so_far().unwrap(), AtomicBool::new(false));
    let facts = std::thread::scope(|scope| {
        let listener = scope.spawn(|| listen(&bank, writes, &stop));
        let mut facts = trade(&mut shop);
        stop.store(true, Ordering::Relaxed);
        facts.extend(listener.join().unwrap());
        facts
    });
    let sent = facts.iter().filter(|(_, fact)| matches!(fact, Fact::Sent(..))).count();
    assert!(sent >= 7, "five sales, a reversal, a void: {facts:?}");
    let (before, mut writes) = shop.end_of_writes().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seed =
        std::env::var("POSD_SEED").map_or_else(|_| getrandom::u64().unwrap(), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let (disks, lost) = judge(folder.path(), &before, &mut writes, &facts, &mut SplitMix64::new(seed));
    println!(
        "{} writes, {} flushes, {disks} disks, {lost} writes lost, {} facts",
        writes.len(),
        writes.flushes().len(),
        facts.len()
    );
    assert!(lost > 0, "nothing was lost");
}

//! Power cuts, kills, failing writes, full disks.
use super::*;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// A day with every record that there is; each item is one commit. Day after day numbers and batches go on.
fn day(n: u32) -> Vec<Vec<Record>> {
    use posd::domain::outcome::Verdict;
    use posd::domain::record::{Housekeeping, SettlementStep};
    let name = |what: &str| format!("{what}{n}");
    let base = u64::from(n) * 1000;
    let of_kind = |what: &str, kind, original: Option<&str>| {
        let Record::Sending(mut sending) = sending(&name(what), base + 10) else { unreachable!() };
        sending.start.kind = kind;
        sending.start.terms.original =
            original.map(|o| OriginalRef { txn: Some(txn_id(&name(o))), ..OriginalRef::default() });
        Record::Sending(sending)
    };
    let (time, clerk) = (at(base + 500), OperatorId::new("01").unwrap());
    let upload = EntryId::new(txn_id(&name("stored")), EntryType::OfflineSale);
    let script = EntryId::new(txn_id(&name("sold")), EntryType::Script);
    let refund = EntryId::new(txn_id(&name("refund")), EntryType::RefundUnknown);
    let settle = |step| vec![Record::Settlement(Box::new(step))];
    let state = |entry: &EntryId, state| Record::QueueState {
        entry: entry.clone(),
        state,
        response_code: None,
        ask_again: false,
        error: String::new(),
        host: None,
        at: time,
    };
    let ply = |state| Record::PlyState {
        id: txn_id(&name("sold")),
        ply: Ply::Merchant,
        copy: 0,
        state,
        reason: String::new(),
    };
    let line = TimelineRow { at: time, what: "sent".to_owned(), text: "…".to_owned(), stan: None };
    let approve = |what: &str| Closed { plies: Vec::new(), ..approved(&name(what)) };
    let word = Verdict::Agreed;
    vec![
        vec![sign_on(None)],
        vec![Record::ReserveStan],
        vec![sending(&name("sold"), base + 10), Record::Timeline { id: txn_id(&name("sold")), row: line }],
        vec![close(Closed { script: Some(vec![1]), ..approved(&name("sold")) })],
        vec![ply(PrintState::Printing)],
        vec![ply(PrintState::Confirmed)],
        vec![Record::QueueAttempt { entry: script.clone(), at: time }],
        vec![state(&script, QueueState::Done)],
        vec![sending(&name("lost"), base + 20)],
        vec![close(unknown(&name("lost")))],
        vec![attempt(&name("lost"), base + 30)],
        vec![reversal_state(&name("lost"), QueueState::Done, Some("00"))],
        vec![sending(&name("unsent"), base + 40)],
        vec![Record::Unsent { id: txn_id(&name("unsent")) }],
        vec![close(closed(&name("unsent"), Outcome::Failed, ResultCode::ConnectFailed, None))],
        vec![close(stored_offline(&name("stored"), base + 50))],
        vec![state(&upload, QueueState::Parked)],
        vec![state(&upload, QueueState::Queued)],
        vec![Record::QueuePaused { why: Some("bank".to_owned()) }],
        vec![Record::QueuePaused { why: None }],
        vec![Record::QueueAttempt { entry: upload.clone(), at: time }],
        vec![state(&upload, QueueState::Done)],
        vec![of_kind("void", Kind::Void, Some("sold"))],
        vec![close(approve("void"))],
        vec![of_kind("refund", Kind::Refund, None)],
        vec![close(Closed { reversal: None, ..unknown(&name("refund")) })],
        vec![Record::Resolved { entry: refund, how: Resolution::Paid, operator: None, at: time }],
        vec![Record::Operator(OperatorRow { failures: n, ..operator("42") })],
        vec![Record::OperatorRemoved(OperatorId::new("42").unwrap())],
        vec![Record::Audit { at: time, operator: None, text: "a day".to_owned() }],
        settle(SettlementStep::Begun { at: time, operator: clerk.clone() }),
        settle(SettlementStep::Reopened { at: time, cause: "no line".to_owned() }),
        settle(SettlementStep::Begun { at: time, operator: clerk }),
        settle(SettlementStep::TotalsFrozen { field48: "0".repeat(62), at: time }),
        settle(SettlementStep::Verdict { domestic: word, foreign: word, at: time }),
        settle(SettlementStep::Uploaded { records: 8, at: time }),
        settle(SettlementStep::Closed { domestic: word, foreign: word, forced: false, at: at(base + 501) }),
        vec![Record::RestoreConfirmed],
        vec![Record::SignedOff],
        vec![Record::Housekeep(Housekeeping {
            at: at(base + 900),
            wipe_before: time,
            delete_before: WallTime(time.0.saturating_sub(1_500_000_000)),
        })],
    ]
}

/// The power fails after each commit of two whole days: what had been promised by then is there, and nothing else.
#[test]
fn a_power_cut_keeps_what_was_committed() {
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    for (n, records) in day(0).into_iter().chain(day(1)).enumerate() {
        journal.commit(&records, Durability::Full).unwrap_or_else(|error| panic!("{records:?}: {error}"));
        let copy = dir.path().join(format!("cut{n}"));
        cut(&state, &copy);
        assert_eq!(open(&copy).load().unwrap(), journal.load().unwrap(), "after step {n}");
    }
}

/// Child of the test below: days for ever, telling after each commit how many there were.
#[test]
#[ignore = "a child process of another test"]
fn child_that_trades_for_days() {
    let Some(dir) = std::env::var_os("POSD_TEST_DIR") else { return };
    let mut journal = open(Path::new(&dir));
    for (n, records) in (0..20).flat_map(day).enumerate() {
        if journal.commit(&records, Durability::Full).is_err() {
            return;
        }
        println!("\npromised {}", n + 1);
    }
}

/// Writes begin to fail at ever later points of whole days: after a reopen every promise stands, and at most the commit
/// that was reported as failed is there besides. So it is for each kind of record.
#[test]
fn every_record_is_there_or_not_after_a_failed_write() {
    let mut ends = std::collections::BTreeSet::new();
    for blocks in (190..1500).step_by(37) {
        let dir = TempDir::new().unwrap();
        let state = dir.path().join("state");
        drop(open(&state));
        let prepare = format!("trap '' XFSZ; ulimit -f {blocks}");
        let output = child("journal::power::child_that_trades_for_days", &state, &prepare).output().unwrap();
        let output = String::from_utf8_lossy(&output.stdout);
        let promised = output.lines().filter_map(promise).next_back().unwrap_or(0) as usize;
        let (_dir, mut reference) = new_journal();
        let mut days = (0..20).flat_map(day);
        for records in days.by_ref().take(promised) {
            reference.commit(&records, Durability::Full).unwrap();
        }
        let found = open(&state).load().unwrap();
        if found != reference.load().unwrap() {
            reference.commit(&days.next().unwrap(), Durability::Full).unwrap();
            assert_eq!(found, reference.load().unwrap(), "{promised} promised, {blocks} blocks");
        }
        ends.insert(promised % day(0).len());
    }
    assert!(ends.len() > 10, "writes failed at {ends:?} only");
}

/// The power fails in the middle of a write: the log is torn at any byte, and a prefix of the commits remains.
#[test]
fn a_torn_log_keeps_a_prefix_of_the_commits() {
    let (dir, mut journal) = new_journal();
    for n in 0..6 {
        commit(&mut journal, sending(&format!("t{n}"), n));
    }
    let state = dir.path().join("state");
    let length = std::fs::metadata(state.join("journal.db-wal")).unwrap().len();
    let mut last = 0;
    for (n, end) in (0..=length).step_by(7919).chain([length]).enumerate() {
        let copy = dir.path().join(format!("torn{n}"));
        cut(&state, &copy);
        let log = std::fs::OpenOptions::new().write(true).open(copy.join("journal.db-wal")).unwrap();
        log.set_len(end).unwrap();
        let loaded = open(&copy).load().unwrap();
        let stans: Vec<_> = loaded.open.iter().map(|t| t.stan.unwrap().get()).collect();
        assert!(stans.iter().copied().eq(1..=stans.len() as u32), "{end}: {stans:?}");
        assert_eq!(loaded.next_stan, Some(stan(stans.len() as u32 + 1)));
        assert!(stans.len() >= last, "a longer log holds no less");
        last = stans.len();
    }
    assert_eq!(last, 6);
}

/// What reopen reads is what was committed, and the journal goes on from there.
#[test]
fn a_reopened_journal_reads_and_writes_on() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let before = journal.load().unwrap();
    journal.reopen().unwrap();
    assert_eq!(journal.load().unwrap(), before);
    assert_eq!(std::fs::metadata(dir.path().join("state/journal.db-wal")).unwrap().len(), 0);
    commit(&mut journal, close(approved("a")));
}

/// Starts this test program again for one of the ignored tests below, in a shell that first runs `prepare`.
fn child(test: &str, dir: &Path, prepare: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{prepare}\nexec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", test])
        .env("POSD_TEST_DIR", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Reads the promises of a child: each stands on a line of its own.
fn promise(line: &str) -> Option<u32> {
    line.strip_prefix("promised ")?.parse().ok()
}

/// Child of the two tests below: stores sales for ever, telling each promise after its commit.
#[test]
#[ignore = "a child process of other tests"]
fn child_that_stores_sales() {
    let Some(dir) = std::env::var_os("POSD_TEST_DIR") else { return };
    let mut journal = open(Path::new(&dir));
    for n in 0..100_000 {
        let name = format!("c{}-{n}", std::process::id());
        let Ok(committed) = journal.commit(&[sending(&name, n)], Durability::Full) else { return };
        println!("\npromised {}", committed.taken.unwrap().0.get());
        if journal.commit(&[close(approved(&name))], Durability::Full).is_err() {
            return;
        }
    }
}

/// SIGKILL at random moments: every promise that was told is kept, and no STAN is given twice.
#[test]
fn a_killed_daemon_keeps_every_promise() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    drop(open(&state));
    let mut promised = Vec::new();
    for round in 0..8_u32 {
        let mut child = child("journal::power::child_that_stores_sales", &state, "").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The kernel's scheduling makes the moment random; the number of lines only spreads it.
        for line in lines.by_ref().take(20 + 37 * (round as usize % 3)) {
            promised.extend(promise(&line.unwrap()));
        }
        child.kill().unwrap();
        promised.extend(lines.map_while(Result::ok).filter_map(|line| promise(&line)));
        child.wait().unwrap();
        let mut journal = open(&state);
        for stan in &promised {
            let filter = TxnFilter { trace: Some(*stan), ..TxnFilter::default() };
            assert_eq!(journal.query(&filter, 2, "").unwrap().0.len(), 1, "STAN {stan}");
        }
        assert!(journal.load().unwrap().next_stan > promised.last().and_then(|s| Stan::new(*s).ok()));
    }
    assert!(promised.len() > 50, "{} promises", promised.len());
}

/// Writes begin to fail at ever later points (the files may not grow): what was promised before is there.
#[test]
fn a_write_that_fails_takes_back_no_promise() {
    let mut promises = 0;
    for blocks in [200, 270, 350, 600, 1000, 2000, 4000] {
        let dir = TempDir::new().unwrap();
        let state = dir.path().join("state");
        drop(open(&state));
        // With its signal ignored, the write itself fails. A shell counts blocks of 512 or 1024 bytes.
        let prepare = format!("trap '' XFSZ; ulimit -f {blocks}");
        let output = child("journal::power::child_that_stores_sales", &state, &prepare).output().unwrap();
        let mut journal = open(&state);
        for stan in String::from_utf8_lossy(&output.stdout).lines().filter_map(promise) {
            let filter = TxnFilter { trace: Some(stan), ..TxnFilter::default() };
            assert_eq!(journal.query(&filter, 2, "").unwrap().0.len(), 1, "STAN {stan}, {blocks} blocks");
            promises += 1;
        }
        commit(&mut journal, sending("after", 1));
    }
    assert!(promises > 10, "{promises} promises");
}

/// Child of the test below, on a small file system of its own.
#[test]
#[ignore = "a child process of another test"]
fn child_on_a_full_disk() {
    let Some(dir) = std::env::var_os("POSD_TEST_DIR") else { return };
    let dir = Path::new(&dir);
    let state = dir.join("state");
    let mut journal = open(&state);
    assert!(state.join("ballast").exists());
    commit(&mut journal, sending("a", 10));
    // Something else fills the disk to the last byte.
    let filler = dir.join("filler");
    while std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&filler)
        .and_then(|mut f| std::io::Write::write_all(&mut f, &[1; 4096]))
        .is_ok()
    {}
    let mut tries = 0;
    while journal.commit(&[sending(&format!("fill{tries}"), 20)], Durability::Full).is_ok() {
        tries += 1;
        assert!(tries < 1000, "the disk did not fill");
    }
    assert!(!state.join("ballast").exists(), "the ballast is given up");
    journal.reopen().unwrap();
    commit(&mut journal, close(unknown("a")));
    assert_eq!(row(&mut journal, "a").reversal().cloned().unwrap().state, QueueState::Due);
    // Space returns: the ballast is made again with the next reopening.
    std::fs::remove_file(filler).unwrap();
    journal.reopen().unwrap();
    assert!(state.join("ballast").exists());
    println!("\npromised 1");
}

/// A full disk: the commit says so, the ballast goes, and the obligations can still be written.
#[test]
fn a_full_disk_still_has_room_for_the_obligations() {
    let dir = TempDir::new().unwrap();
    let mounted = format!("mount -t tmpfs -o size=8m posd-test '{}' || exit 77", dir.path().display());
    let test = child("journal::power::child_on_a_full_disk", dir.path(), &mounted);
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", test.get_program().to_str().unwrap()]).args(test.get_args());
    let output = command.env("POSD_TEST_DIR", dir.path()).output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).lines().any(|l| promise(l) == Some(1)));
        }
        // Containers may forbid new mounts; the rule then rests on the machine that allows them.
        Ok(output) if output.status.code() == Some(77) || output.stdout.is_empty() => {}
        other => panic!("{other:?}"),
    }
}

//! Copies of the journal: made in use, checked, put in its place.
use super::*;

/// A journal with a sale in each state that a restore must think about, and its copy.
fn copied() -> (TempDir, SqliteJournal, std::path::PathBuf) {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sign_on(None));
    commit(&mut journal, sending("sold", 10));
    commit(&mut journal, close(approved("sold")));
    commit(&mut journal, sending("lost", 20));
    commit(&mut journal, close(unknown("lost")));
    commit(&mut journal, close(Closed { plies: Vec::new(), ..stored_offline("stored", 30) }));
    commit(&mut journal, sending("flying", 40));
    let copy = dir.path().join("copy");
    journal.backup(&copy).unwrap();
    (dir, journal, copy)
}

fn check(path: &Path) -> Result<BackupFacts, JournalError> {
    let (_dir, journal) = new_journal();
    journal.checker()(path)
}

fn refused<T: std::fmt::Debug>(result: Result<T, JournalError>, words: &str) {
    match result {
        Err(JournalError::Unusable(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?} instead of {words}"),
    }
}

/// A copy is one private file with everything in it, and the journal goes on meanwhile and afterwards.
#[test]
fn a_copy_holds_everything() {
    let (dir, mut journal, copy) = copied();
    let facts = journal.checker()(&copy).unwrap();
    assert_eq!((facts.transactions, facts.newest_transaction), (4, at(40)));
    assert_eq!(facts.bytes, std::fs::metadata(&copy).unwrap().len());
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(journal.backup(&copy), Err(JournalError::Fault(_))), "nothing is overwritten");
    let before = journal.load().unwrap();
    commit(&mut journal, close(unknown("flying")));
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(&copy, other.join("journal.db")).unwrap();
    assert_eq!(open(&other).load().unwrap(), before);
}

/// What is not a whole journal of ours is refused with the reason.
#[test]
fn a_copy_is_checked() {
    let (dir, _journal, copy) = copied();
    let spoilt = |name: &str, spoil: &dyn Fn(&Path)| {
        let path = dir.path().join(name);
        std::fs::copy(&copy, &path).unwrap();
        spoil(&path);
        check(&path)
    };
    let sql = |path: &Path, sql: &str| rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    refused(spoilt("empty", &|path| std::fs::write(path, "").unwrap()), "not a journal");
    refused(
        spoilt("text", &|path| std::fs::write(path, "hello ".repeat(1000)).unwrap()),
        "damaged or no journal",
    );
    refused(spoilt("version", &|path| sql(path, "PRAGMA user_version = 99")), "schema is version 99");
    let trigger = "CREATE TRIGGER t AFTER INSERT ON txn BEGIN DELETE FROM txn; END";
    refused(spoilt("trigger", &|path| sql(path, trigger)), "not ours");
    let key = "UPDATE terminal SET storage_key_id = '00000000'";
    refused(spoilt("key", &|path| sql(path, key)), "put the old key back");
    let short = |path: &Path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    refused(spoilt("short", &short), "damaged");
    // A page of rows overwritten in the middle.
    let hole = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        let (from, to) = (bytes.len() / 2, bytes.len() / 2 + 8192);
        bytes[from..to].fill(0xa5);
        std::fs::write(path, bytes).unwrap();
    };
    refused(spoilt("hole", &hole), "damaged");
    assert!(spoilt("whole", &|_| {}).is_ok());
}

/// After a restore nothing is sent by itself, no number comes twice, and trading waits for a sign-on and a person.
#[test]
fn a_restored_journal_waits_for_people() {
    let (_old, _journal, copy) = copied();
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    let facts = journal.restore(&copy).unwrap();
    assert_eq!(facts.transactions, 4);
    assert!(
        journal.load().is_err() && journal.reopen().is_err(),
        "what the process knows is of another journal"
    );
    assert!(journal.commit(&[sending("x", 50)], Durability::Full).is_err());
    drop(journal);
    let mut journal = open(&state);
    let loaded = journal.load().unwrap();
    assert!(loaded.restore_unconfirmed && loaded.keys.is_none());
    assert_eq!(loaded.next_stan, Some(stan(10_005)));
    assert_eq!((loaded.clock_offset, loaded.batch), (-1_500_000, Some(BatchNumber::FIRST)));
    let mut owed = |name: &str| {
        let kept = row(&mut journal, name);
        (kept.outcome, kept.entries.iter().map(|e| (e.entry_type, e.state, e.armed)).collect::<Vec<_>>())
    };
    let parked = |entry_type| vec![(entry_type, QueueState::Parked, false)];
    assert_eq!(owed("sold"), (Outcome::Approved, Vec::new()));
    assert_eq!(owed("lost"), (Outcome::Unknown, parked(EntryType::Reversal)));
    assert_eq!(owed("stored"), (Outcome::StoredOffline, parked(EntryType::OfflineSale)));
    assert_eq!(owed("flying"), (Outcome::Unknown, parked(EntryType::Reversal)));
    assert_eq!(row(&mut journal, "sold").card, Some(card()));
    // The replaced journal is kept until a supervisor has seen the list.
    assert!(state.join("journal.db.replaced").exists());
    commit(&mut journal, Record::RestoreConfirmed);
    assert!(!journal.load().unwrap().restore_unconfirmed);
    assert!(!state.join("journal.db.replaced").exists());
    commit(&mut journal, sending("next", 5000));
    drop(journal);
    let raw = rusqlite::Connection::open(state.join("journal.db")).unwrap();
    let text: String = raw.query_row("SELECT text FROM audit", [], |r| r.get(0)).unwrap();
    assert!(text.contains(&facts.sha256), "{text}");
}

/// A restore would lose what the journal in use has newer; then it is refused, and nothing has changed.
#[test]
fn a_restore_never_loses_newer_business() {
    let (_dir, mut journal, copy) = copied();
    commit(&mut journal, close(Closed { finished_at: at(400), ..unknown("flying") }));
    let before = journal.load().unwrap();
    refused(journal.restore(&copy), "newer business");
    assert_eq!(journal.load().unwrap(), before);
    commit(&mut journal, sending("next", 500));
    // A damaged one changes nothing either.
    std::fs::write(&copy, "no journal").unwrap();
    refused(journal.restore(&copy), "damaged");
    commit(&mut journal, sending("more", 600));
}

/// The number jumps over the end of its range.
#[test]
fn the_jump_of_the_number_comes_round() {
    let (dir, journal) = new_journal();
    drop(journal);
    let state = dir.path().join("state");
    let raw = rusqlite::Connection::open(state.join("journal.db")).unwrap();
    raw.execute("UPDATE terminal SET next_stan = 995000", []).unwrap();
    drop(raw);
    let copy = dir.path().join("copy");
    let mut journal = open(&state);
    journal.backup(&copy).unwrap();
    journal.restore(&copy).unwrap();
    drop(journal);
    assert_eq!(open(&state).load().unwrap().next_stan, Some(stan(5001)));
}

/// A copy of an older version is brought up on its way; the stored one of version 1 stands for all.
#[test]
fn a_copy_of_an_older_version_can_be_restored() {
    let (dir, mut journal) = new_journal();
    let copy = dir.path().join("copy");
    let raw = rusqlite::Connection::open(&copy).unwrap();
    raw.execute_batch(include_str!("../../data/journal/v1.sql")).unwrap();
    drop(raw);
    assert_eq!(journal.restore(&copy).unwrap().transactions, 8);
    drop(journal);
    let loaded = open(&dir.path().join("state")).load().unwrap();
    assert_eq!((loaded.recent.len(), loaded.next_stan), (8, Some(stan(10_009))));
}

/// The power fails while a restore prepares its file: the journal in use is read as ever.
#[test]
fn an_interrupted_restore_leaves_the_journal_alone() {
    let (dir, journal, copy) = copied();
    drop(journal);
    let state = dir.path().join("state");
    std::fs::copy(&copy, state.join("journal.db.next")).unwrap();
    std::fs::write(state.join("journal.db.next-wal"), "half").unwrap();
    assert_eq!(open(&state).load().unwrap().recent.len(), 4);
    assert!(!state.join("journal.db.next").exists() && !state.join("journal.db.next-wal").exists());
}

//! Files, keys, people and paper.
use super::*;

/// A new terminal begins at STAN 1 in batch 1 with the factory operators, in files that nobody else may read.
#[test]
fn a_new_journal_is_private_and_has_the_factory_operators() {
    let (dir, mut journal) = new_journal();
    let loaded = journal.load().unwrap();
    assert_eq!(loaded.next_stan, Some(Stan::FIRST));
    assert_eq!(loaded.batch, Some(BatchNumber::FIRST));
    assert_eq!((loaded.batch_opened_at, loaded.newest), (at(0), at(0)));
    assert_eq!(loaded.operators, factory());
    assert!(!loaded.batch_has_records && loaded.open.is_empty() && loaded.identity.is_none());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = dir.path().join("state");
    assert_eq!(mode(&state), 0o700);
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    // The factory set is for a new journal only.
    drop(journal);
    let mut journal = SqliteJournal::open(&state, KEY, at(9), || panic!("not a new journal")).unwrap();
    assert_eq!(journal.load().unwrap().operators.len(), 5);
}

/// Operators are replaced whole; timeline and audit only grow, and the database itself refuses to touch the
/// audit.
#[test]
fn operators_change_and_trails_grow() {
    let (dir, mut journal) = new_journal();
    let changed = OperatorRow { factory: false, failures: 3, locked_until: at(60), ..operator("01") };
    let line =
        |what: &str, stan| TimelineRow { at: at(5), what: what.to_owned(), text: "…".to_owned(), stan };
    let lines = [line("created", None), line("host-sent", Some(stan(1)))];
    let id = txn_id("a");
    let who = Some(OperatorId::new("00").unwrap());
    let records = [
        Record::Operator(changed.clone()),
        Record::Timeline { id: id.clone(), row: lines[0].clone() },
        Record::Timeline { id: id.clone(), row: lines[1].clone() },
        Record::Audit { at: at(6), operator: who, text: "unlocked 01".to_owned() },
        Record::Audit { at: at(7), operator: None, text: "started".to_owned() },
    ];
    journal.commit(&records, Durability::Lazy).unwrap();
    assert_eq!(journal.load().unwrap().operators[1], changed);
    assert_eq!(journal.load().unwrap().newest, at(7));
    assert_eq!(journal.timeline(&id).unwrap(), lines);
    drop(journal);
    let raw = rusqlite::Connection::open(dir.path().join("state/journal.db")).unwrap();
    assert_eq!(raw.query_row("SELECT count(*) FROM audit", [], |r| r.get::<_, i64>(0)), Ok(2));
    assert!(raw.execute("UPDATE audit SET text = ''", []).is_err());
    assert!(raw.execute("DELETE FROM audit", []).is_err());
}

/// Reprints are plies of their own; a state replaces the earlier one of the same copy.
#[test]
fn ply_states_replace_each_other() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(Closed { plies: vec![Ply::Merchant], ..approved("a") }));
    for (copy, state) in [(0, PrintState::Printing), (0, PrintState::Unconfirmed), (1, PrintState::Queued)] {
        let reason = "power cut".to_owned();
        let record = Record::PlyState { id: txn_id("a"), ply: Ply::Merchant, copy, state, reason };
        journal.commit(&[record], Durability::Lazy).unwrap();
    }
    let plies: Vec<_> = row(&mut journal, "a").plies.iter().map(|p| (p.copy, p.state)).collect();
    assert_eq!(plies, [(0, PrintState::Unconfirmed), (1, PrintState::Queued)]);
    let nobody = Record::PlyState {
        id: txn_id("b"),
        ply: Ply::Merchant,
        copy: 0,
        state: PrintState::Held,
        reason: String::new(),
    };
    assert!(journal.commit(&[nobody], Durability::Full).is_err());
}

/// One daemon at a time; a database that is not ours is named and left alone.
#[test]
fn a_second_daemon_a_wrong_key_and_foreign_files_are_refused() {
    let (dir, journal) = new_journal();
    let state = dir.path().join("state");
    let refused = |result: Result<SqliteJournal, JournalError>, words: &str| match result.err() {
        Some(JournalError::Unusable(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?} instead of {words}"),
    };
    refused(try_open(&state), "another posd holds");
    drop(journal);
    refused(SqliteJournal::open(&state, [1; 32], at(0), factory), "sealed under the storage key");
    let raw = rusqlite::Connection::open(state.join("journal.db")).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    drop(raw);
    refused(try_open(&state), "schema is version 99");
    std::fs::write(
        state.join("journal.db"),
        "not a database, but long enough to have a header of one".repeat(20),
    )
    .unwrap();
    refused(try_open(&state), "not a database");
}

/// Card numbers and expiry dates never reach the disk in clear, nor do the working keys.
#[test]
fn card_data_is_never_on_the_disk_in_clear() {
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    let search = || {
        for file in std::fs::read_dir(&state).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            for secret in [PAN.as_bytes(), b"=3012", b"working keys", b"\x62\x25\x88\x00\x12\x34\x56\x78"] {
                let found = bytes.windows(secret.len()).any(|w| w == secret);
                assert!(!found, "{} holds {secret:?}", path.display());
            }
        }
    };
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, sign_on(None));
    search();
    commit(&mut journal, close(Closed { card: Some(card()), ..approved("a") }));
    journal.reopen().unwrap();
    search();
    assert_eq!(row(&mut journal, "a").card.unwrap().pan.reveal(), PAN);
}

/// A word, number or text that does not belong in its column is an error naming table and column.
#[test]
fn a_foreign_value_is_named_with_its_table_and_column() {
    let check = |sql: &str, column: &str| {
        let (dir, mut journal) = new_journal();
        commit(&mut journal, sending("a", 10));
        drop(journal);
        let state = dir.path().join("state");
        rusqlite::Connection::open(state.join("journal.db")).unwrap().execute_batch(sql).unwrap();
        let error = open(&state).load().unwrap_err();
        assert!(matches!(&error, JournalError::Unusable(text) if text.contains(column)), "{sql}: {error}");
    };
    check("UPDATE txn SET kind = 'Sale'", "txn.kind");
    check("UPDATE txn SET outcome = 'paid'", "txn.outcome");
    check("UPDATE txn SET amount = -1", "txn.amount");
    check("UPDATE txn SET amount = 1000000000000", "txn.amount");
    check("UPDATE txn SET created_at = -5", "txn.created_at");
    check("UPDATE txn SET plies = 300", "txn.plies");
    check("UPDATE txn SET stan = 0", "txn.stan");
    check("UPDATE txn SET currency = 'XXX'", "txn.currency");
    check("UPDATE txn SET arguments_sha256 = x'00'", "txn.arguments_sha256");
    check("UPDATE txn SET metadata = '{'", "txn.metadata");
    check("UPDATE txn SET host_time = '20261322000000'", "txn.host_time");
    check("UPDATE txn SET card_sealed = x'00112233'", "txn.card_sealed");
    check("UPDATE queue SET state = 'waiting'", "queue.state");
    check("UPDATE queue SET type = 'letter'", "queue.type");
    check("UPDATE queue SET reason = '42'", "queue.reason");
    check("UPDATE queue SET attempts = 5000000000", "queue.attempts");
    check("UPDATE queue SET resolution = 'maybe'", "queue.resolution");
    check("UPDATE txn SET card_class = 'other'", "txn.card_class");
    check("UPDATE txn SET original_stan = 0", "txn.original_stan");
    check("UPDATE batch SET state = 'shut'", "terminal.state");
    check("UPDATE terminal SET next_stan = 1000000", "terminal.next_stan");
    check("INSERT INTO ply VALUES (1, 'third', 0, 'held', '')", "ply.ply");
    check("UPDATE operator SET factory = 2", "operator.factory");
    // A seal moved to another transaction does not open.
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, sending("b", 20));
    drop(journal);
    let state = dir.path().join("state");
    let swap = "UPDATE txn SET card_sealed = (SELECT card_sealed FROM txn WHERE id = 1) WHERE id = 2";
    rusqlite::Connection::open(state.join("journal.db")).unwrap().execute_batch(swap).unwrap();
    assert!(open(&state).load().unwrap_err().to_string().contains("seal is broken"));
}

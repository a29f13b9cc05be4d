//! Schema versions: a stored database of every earlier one is opened with the newest code.
use super::*;
use rusqlite::Connection;
use std::sync::Arc;

/// Databases as the code of each earlier schema left them. A released schema adds one and never changes one.
const STORED: &[(u32, &str)] =
    &[(1, include_str!("../../data/journal/v1.sql")), (2, include_str!("../../data/journal/v2.sql"))];

/// Puts a stored database where a journal is looked for.
fn stored(dump: &str) -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let raw = Connection::open(state.join("journal.db")).unwrap();
    raw.pragma_update(None, "journal_mode", "WAL").unwrap();
    raw.execute_batch(dump).unwrap();
    (dir, state)
}

/// Tables with their columns, foreign keys, indexes and triggers, without the order of columns: an added column stands
/// last.
fn shape(path: &Path) -> Vec<String> {
    let raw = Connection::open(path).unwrap();
    let lines = |sql: &str| -> Vec<String> {
        let mut statement = raw.prepare(sql).unwrap();
        let columns = statement.column_count();
        let line = |row: &rusqlite::Row<'_>| {
            (0..columns).map(|n| row.get::<_, rusqlite::types::Value>(n).map(|v| format!("{v:?}"))).collect()
        };
        statement.query_map([], line).unwrap().map(|l: Result<Vec<String>, _>| l.unwrap().join(" ")).collect()
    };
    let tables = "sqlite_schema AS t WHERE t.type = 'table'";
    let each = |pragma: &str, columns: &str| {
        lines(&format!("SELECT t.name, {columns} FROM {pragma}(t.name) AS c, {tables} ORDER BY 1, 2"))
    };
    let mut all = each("pragma_table_xinfo", r#"c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden"#);
    all.extend(each("pragma_foreign_key_list", r#"c."from", c."table", c."to", c.on_delete"#));
    all.extend(lines("SELECT name, strict, wr FROM pragma_table_list ORDER BY 1"));
    let words = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    all.extend(
        lines("SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') ORDER BY 1, 2")
            .into_iter()
            .map(words),
    );
    all
}

/// Every earlier schema comes to the same tables as a new journal has.
#[test]
fn an_old_journal_gets_the_schema_of_a_new_one() {
    let (dir, journal) = new_journal();
    drop(journal);
    let fresh = shape(&dir.path().join("state/journal.db"));
    assert!(fresh.len() > 100, "{} lines", fresh.len());
    for (version, dump) in STORED {
        let (_dir, state) = stored(dump);
        let before: u32 = Connection::open(state.join("journal.db"))
            .unwrap()
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(before, *version);
        drop(open(&state));
        assert_eq!(shape(&state.join("journal.db")), fresh, "from version {version}");
    }
}

/// Nothing is lost on the way from version 1: transactions, what they owe, paper, keys, people, trails.
#[test]
fn a_journal_of_version_1_keeps_everything() {
    let (_dir, state) = stored(STORED[0].1);
    let mut journal = open(&state);
    let loaded = journal.load().unwrap();
    let open_ends: Vec<_> = loaded.open.iter().map(|row| row.start.request_id.as_str()).collect();
    assert_eq!(open_ends, ["v1-approved", "v1-failed", "v1-due", "v1-open"]);
    assert_eq!(loaded.recent.len(), 8);
    assert_eq!((loaded.next_stan, loaded.batch), (Some(stan(9)), BatchNumber::new(17).ok()));
    assert_eq!((loaded.batch_opened_at, loaded.newest), (at(50), at(300)));
    assert!(loaded.batch_has_records && loaded.settlement.is_none() && loaded.queue_paused.is_none());
    assert!(!loaded.restore_unconfirmed);
    assert_eq!((loaded.keys, loaded.clock_offset), (Some(keys()), -1_500_000));
    assert_eq!(loaded.counts, [("sale".to_owned(), 2)]);
    assert_eq!(loaded.operators.len(), 5);
    let changed = OperatorRow { factory: false, failures: 2, locked_until: at(500), ..operator("01") };
    assert_eq!(loaded.operators[1], changed);
    assert_eq!(loaded.identity.unwrap().terminal_id, wire().terminal_id);

    let approved_row = row(&mut journal, "v1-approved");
    let facts = CardFacts::clone(&card());
    let card = Arc::new(CardFacts { cvm: CvmMethod::Signature, signature_required: true, ..facts });
    let stored = WireFacts { profile: String::new(), ..wire() };
    assert_eq!((approved_row.card, approved_row.wire), (Some(card), Some(stored)));
    assert_eq!(
        (approved_row.start, approved_row.host),
        (start("v1-approved", 70), approved("v1-approved").host)
    );
    assert_eq!(approved_row.plies.len(), 3);
    assert_eq!(row(&mut journal, "v1-foreign").card_class, CardClass::Foreign);
    let mut owed = |name: &str| {
        let entry = row(&mut journal, name).reversal().cloned();
        entry.map(|e| (e.state, e.armed, e.reason.unwrap().code(), e.attempts, e.ask_again, e.icc))
    };
    assert_eq!(owed("v1-unsent"), None);
    assert_eq!(owed("v1-done"), Some((QueueState::Done, false, "98", 1, false, vec![0x95, 1, 0])));
    assert_eq!(owed("v1-failed"), Some((QueueState::Failed, false, "06", 3, false, vec![0xde, 0xad])));
    assert_eq!(owed("v1-due"), Some((QueueState::Due, false, "A0", 1, true, vec![0x95, 1, 0])));
    assert_eq!(owed("v1-open"), Some((QueueState::Due, true, "98", 0, false, vec![0x95, 1, 0])));
    assert_eq!(journal.timeline(&txn_id("v1-open")).unwrap().len(), 2);
    let raw = {
        drop(journal);
        Connection::open(state.join("journal.db")).unwrap()
    };
    let ends: Vec<Option<i64>> = raw
        .prepare("SELECT closed_at FROM batch ORDER BY id")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(ends.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    assert_eq!(raw.query_row("SELECT count(*) FROM audit", [], |r| r.get::<_, i64>(0)), Ok(1));
}

/// The totals that version 2 keeps begin with what version 1 sold.
#[test]
fn totals_of_a_journal_of_version_1_are_those_of_its_rows() {
    let (_dir, state) = stored(STORED[0].1);
    let mut journal = open(&state);
    let over_time = journal.totals(&TxnFilter::default()).unwrap();
    let of_batch = journal.totals(&TxnFilter { batch: Some(17), ..TxnFilter::default() }).unwrap();
    assert_eq!(over_time, of_batch);
    assert_eq!(over_time.iter().map(|t| (t.count, t.amount)).collect::<Vec<_>>(), [(1, 1250), (1, 1250)]);
}

/// The power fails while the schema changes: the old one or the new one is there, and opening goes on from it.
#[test]
fn a_power_cut_while_the_schema_changes_leaves_old_or_new() {
    let (dir, state) = stored(STORED[0].1);
    let old = Connection::open(state.join("journal.db")).unwrap();
    old.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    old.execute_batch("BEGIN IMMEDIATE").unwrap();
    old.execute_batch(include_str!("../../../src/adapters/journal_sqlite/migrations/2.sql")).unwrap();
    old.execute_batch("PRAGMA user_version = 2; COMMIT").unwrap();
    let length = std::fs::metadata(state.join("journal.db-wal")).unwrap().len();
    for (n, end) in (0..=length).step_by(65_537).chain([length]).enumerate() {
        let copy = dir.path().join(format!("torn{n}"));
        cut(&state, &copy);
        let log = std::fs::OpenOptions::new().write(true).open(copy.join("journal.db-wal")).unwrap();
        log.set_len(end).unwrap();
        assert_eq!(open(&copy).load().unwrap().recent.len(), 8, "{end} of {length}");
    }
}

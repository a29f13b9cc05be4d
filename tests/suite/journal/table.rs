//! Tables from the bank: built aside, swapped in one commit, kept over a reopen, and not used when damaged.
use super::*;
use posd::domain::download::{Kind, Progress, Row, TableStep, version};
use rusqlite::Connection;

fn step(step: TableStep) -> Record {
    Record::Table(step)
}

fn begun(kind: Kind, seconds: u64) -> Record {
    step(TableStep::Begun { kind, list: [7; 32], at: at(seconds) })
}

fn row(key: &[u8], data: &[u8]) -> Row {
    Row { key: key.to_vec(), data: data.to_vec() }
}

fn staged(kind: Kind, rows: &[Row]) -> Record {
    step(TableStep::Staged { kind, rows: rows.to_vec() })
}

fn swapped(kind: Kind, seconds: u64) -> Record {
    step(TableStep::Swapped { kind, at: at(seconds) })
}

fn store(journal: &mut SqliteJournal, record: Record) {
    journal.commit(&[record], Durability::Full).unwrap();
}

fn tables(journal: &mut SqliteJournal) -> Vec<Progress> {
    journal.load().unwrap().downloads
}

/// What is staged is seen after a reopen, apart from the table in use; the swap puts it in its place whole.
#[test]
fn rows_are_staged_and_swapped() {
    let (dir, mut journal) = new_journal();
    assert_eq!(tables(&mut journal), []);
    let (one, two) = (row(b"\xA0\x01", b"one"), row(b"\xA0\x02", b"two"));
    store(&mut journal, begun(Kind::Aid, 1));
    store(&mut journal, staged(Kind::Aid, std::slice::from_ref(&two)));
    store(&mut journal, staged(Kind::Aid, &[row(b"\xA0\x02", b"newer"), one.clone()]));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    let newer = row(b"\xA0\x02", b"newer");
    let aside =
        Progress { staged: Some(([7; 32], vec![one.clone(), newer.clone()])), ..Progress::new(Kind::Aid) };
    assert_eq!(tables(&mut journal), [aside]);
    store(&mut journal, swapped(Kind::Aid, 2));
    let whole = Progress { table: vec![one, newer], swapped_at: at(2), ..Progress::new(Kind::Aid) };
    assert_eq!(tables(&mut journal), std::slice::from_ref(&whole));

    // Another download leaves it alone until its own swap, or for good.
    store(&mut journal, begun(Kind::Aid, 3));
    store(&mut journal, staged(Kind::Aid, &[row(b"\xA0\x09", b"nine")]));
    assert_eq!(tables(&mut journal)[0].table, whole.table);
    store(&mut journal, step(TableStep::Dropped { kind: Kind::Aid }));
    assert_eq!(tables(&mut journal), [whole]);
    assert_eq!(journal.load().unwrap().newest, at(3));
}

/// Steps that contradict what is stored are refused, and kinds do not meddle with each other.
#[test]
fn steps_out_of_order_are_refused() {
    let (_dir, mut journal) = new_journal();
    let refused = |journal: &mut SqliteJournal, record: Record| {
        assert!(matches!(journal.commit(&[record], Durability::Full), Err(JournalError::Fault(_))));
    };
    refused(&mut journal, staged(Kind::Capk, &[]));
    refused(&mut journal, swapped(Kind::Capk, 1));
    store(&mut journal, begun(Kind::Aid, 1));
    refused(&mut journal, swapped(Kind::Capk, 1));
    store(&mut journal, begun(Kind::Capk, 1));
    store(&mut journal, staged(Kind::Capk, &[row(b"k", b"v")]));
    store(&mut journal, swapped(Kind::Capk, 2));
    refused(&mut journal, swapped(Kind::Capk, 3));
    let found = tables(&mut journal);
    assert_eq!(
        found.iter().map(|t| (t.kind, t.table.len(), t.is_incomplete())).collect::<Vec<_>>(),
        [(Kind::Capk, 1, false), (Kind::Aid, 0, true)]
    );
    assert_eq!(version(&found).len(), 16);
}

/// A damaged row takes its table out of use; a damaged row that is built aside is asked for again.
#[test]
fn damaged_rows_are_not_used() {
    let (dir, mut journal) = new_journal();
    for kind in [Kind::Aid, Kind::Capk] {
        store(&mut journal, begun(kind, 1));
        store(&mut journal, staged(kind, &[row(b"a", b"good"), row(b"b", b"good")]));
    }
    store(&mut journal, swapped(Kind::Aid, 2));
    drop(journal);
    let state = dir.path().join("state");
    let raw = Connection::open(state.join("journal.db")).unwrap();
    assert_eq!(raw.execute("UPDATE download_row SET data = x'00' WHERE key = x'61'", []), Ok(2));
    drop(raw);
    let found = tables(&mut open(&state));
    assert_eq!((found[1].kind, found[1].table.len()), (Kind::Aid, 0));
    assert_eq!(found[0].staged.as_ref().unwrap().1, [row(b"b", b"good")]);
}

/// A power cut around the swap finds the old table or the new one, whole.
#[test]
fn a_torn_swap_is_old_or_new() {
    let (dir, mut journal) = new_journal();
    let old: Vec<Row> = (0..20).map(|n| row(&[n], b"old")).collect();
    let new: Vec<Row> = (10..40).map(|n| row(&[n], &[n; 200])).collect();
    store(&mut journal, begun(Kind::Capk, 1));
    store(&mut journal, staged(Kind::Capk, &old));
    store(&mut journal, swapped(Kind::Capk, 2));
    store(&mut journal, begun(Kind::Capk, 3));
    store(&mut journal, staged(Kind::Capk, &new));
    let state = dir.path().join("state");
    let before = std::fs::metadata(state.join("journal.db-wal")).unwrap().len();
    store(&mut journal, swapped(Kind::Capk, 4));
    let after = std::fs::metadata(state.join("journal.db-wal")).unwrap().len();
    assert!(after > before);
    let (mut seen_old, mut seen_new) = (false, false);
    for (n, end) in (before..after).step_by(1021).chain([after]).enumerate() {
        let copy = dir.path().join(format!("torn{n}"));
        cut(&state, &copy);
        let log = std::fs::OpenOptions::new().write(true).open(copy.join("journal.db-wal")).unwrap();
        log.set_len(end).unwrap();
        let found = tables(&mut open(&copy));
        seen_old |= found[0].table == old;
        seen_new |= found[0].table == new;
        assert!(found[0].table == old || found[0].table == new, "{end}");
        assert_eq!(found[0].is_incomplete(), found[0].table == old);
    }
    assert!(seen_old && seen_new);
}

//! What goes when: sealed card data after settlement, rows at the end of their retention.
use super::*;
use posd::domain::outcome::Verdict;
use posd::domain::record::{Housekeeping, SettlementStep};

/// Settles the open batch at this second; by force where the bank says nothing.
fn settle(journal: &mut SqliteJournal, seconds: u64, forced: bool) {
    let (at, word) = (at(seconds), if forced { Verdict::Unknown } else { Verdict::Agreed });
    let mut steps = vec![
        SettlementStep::Begun { at, operator: OperatorId::new("01").unwrap() },
        SettlementStep::TotalsFrozen { field48: "0".repeat(62), at },
        SettlementStep::Verdict { domestic: word, foreign: word, at },
        SettlementStep::Closed { domestic: word, foreign: word, forced, at },
    ];
    if forced {
        steps.remove(2);
    }
    for step in steps {
        commit(journal, Record::Settlement(Box::new(step)));
    }
}

fn sold(journal: &mut SqliteJournal, name: &str, seconds: u64) {
    commit(journal, sending(name, seconds));
    commit(journal, close(approved(name)));
    let row = TimelineRow { at: at(seconds), what: "created".to_owned(), text: "…".to_owned(), stan: None };
    commit(journal, Record::Timeline { id: txn_id(name), row });
}

fn keep_house(journal: &mut SqliteJournal, wipe_before: u64, delete_before: u64) -> bool {
    let (wipe_before, delete_before) = (at(wipe_before), at(delete_before));
    let record = Record::Housekeep(Housekeeping { at: at(5000), wipe_before, delete_before });
    journal.commit(&[record], Durability::Full).unwrap().more
}

/// Sealed card data goes some time after its settlement; what may stand in clear stays, and so does everything else.
#[test]
fn card_data_is_wiped_after_settlement() {
    let (_dir, mut journal) = new_journal();
    sold(&mut journal, "a", 10);
    settle(&mut journal, 200, false);
    sold(&mut journal, "b", 300);
    let before = row(&mut journal, "a");
    assert!(!keep_house(&mut journal, 200, 0));
    assert_eq!(row(&mut journal, "a"), before, "not before its time");
    assert!(!keep_house(&mut journal, 201, 0));
    assert_eq!(row(&mut journal, "a"), TxnRow { card: None, ..before });
    assert_eq!(row(&mut journal, "a").card_seen, Some(card().seen()));
    assert!(row(&mut journal, "b").card.is_some(), "the open batch keeps it");
}

/// What still owes something keeps its card data and its row; with the last entry's end both may go.
#[test]
fn what_owes_something_stays() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(unknown("a")));
    settle(&mut journal, 200, false);
    keep_house(&mut journal, 4000, 4000);
    assert!(row(&mut journal, "a").card.is_some());
    commit(&mut journal, reversal_state("a", QueueState::Done, Some("00")));
    keep_house(&mut journal, 4000, 0);
    assert_eq!(row(&mut journal, "a").card, None);
    keep_house(&mut journal, 4000, 4000);
    assert_eq!(journal.find(&txn_id("a")).unwrap(), None);
}

/// Detail of a batch that was closed by force is kept sealed until its retention ends.
#[test]
fn detail_of_a_forced_batch_is_kept_until_its_retention_ends() {
    let (_dir, mut journal) = new_journal();
    sold(&mut journal, "a", 10);
    settle(&mut journal, 200, true);
    keep_house(&mut journal, 4000, 0);
    assert!(row(&mut journal, "a").card.is_some());
    keep_house(&mut journal, 4000, 4000);
    assert_eq!(journal.find(&txn_id("a")).unwrap(), None);
}

/// At the end of its retention a transaction goes with its request id, its paper, its timeline and its batch; what
/// followed it keeps the numbers it told, and totals agree with the rows that are left.
#[test]
fn old_rows_go_with_all_that_belongs_to_them() {
    let (dir, mut journal) = new_journal();
    sold(&mut journal, "a", 10);
    settle(&mut journal, 200, false);
    let Record::Sending(mut refund) = sending("r", 300) else { unreachable!() };
    refund.start.kind = Kind::Refund;
    let told = OriginalRef { rrn: approved("a").host.rrn, ..OriginalRef::default() };
    refund.start.terms.original = Some(OriginalRef { txn: Some(txn_id("a")), ..told.clone() });
    commit(&mut journal, Record::Sending(refund));
    commit(&mut journal, close(Closed { plies: Vec::new(), ..approved("r") }));
    let orphan = TimelineRow { at: at(20), what: "created".to_owned(), text: "…".to_owned(), stan: None };
    commit(&mut journal, Record::Timeline { id: txn_id("never"), row: orphan });
    keep_house(&mut journal, 4000, 4000);
    assert_eq!(journal.find(&txn_id("a")).unwrap(), None);
    assert!(journal.timeline(&txn_id("a")).unwrap().is_empty());
    assert!(journal.timeline(&txn_id("never")).unwrap().is_empty());
    assert_eq!(journal.batch(BatchNumber::new(1).ok()).unwrap(), None);
    assert_eq!(row(&mut journal, "r").start.terms.original, Some(told));
    let left: Vec<_> = journal.totals(&TxnFilter::default()).unwrap().iter().map(|t| t.kind).collect();
    assert_eq!(left, [Kind::Refund]);
    let rows = journal.query(&TxnFilter::default(), 50, "").unwrap().0;
    assert_eq!(rows.len(), 1);
    commit(&mut journal, sending("a", 4500));
    drop(journal);
    let raw = rusqlite::Connection::open(dir.path().join("state/journal.db")).unwrap();
    for (table, count) in [("ply", 0), ("timeline", 0), ("queue", 1), ("batch", 1), ("total", 1)] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(raw.query_row(&sql, [], |r| r.get::<_, i64>(0)), Ok(count), "{table}");
    }
}

/// A commit of housekeeping is bounded, and tells when another is worth it.
#[test]
fn housekeeping_goes_in_portions() {
    let (_dir, mut journal) = new_journal();
    let records: Vec<Record> = (0..450)
        .map(|n| {
            let name = format!("t{n}");
            let mut end = closed(&name, Outcome::Cancelled, ResultCode::OperatorCancelled, None);
            end.start = Some(start(&name, 10));
            end.card = Some(card());
            close(end)
        })
        .collect();
    journal.commit(&records, Durability::Full).unwrap();
    settle(&mut journal, 200, false);
    let count = |journal: &mut SqliteJournal| {
        let (mut rows, mut cursor) = (0, String::new());
        loop {
            let (page, next) = journal.query(&TxnFilter::default(), 200, &cursor).unwrap();
            rows += page.len();
            if next.is_empty() {
                return rows;
            }
            cursor = next;
        }
    };
    assert!(keep_house(&mut journal, 4000, 4000));
    assert_eq!(count(&mut journal), 250);
    assert!(keep_house(&mut journal, 4000, 4000));
    assert!(!keep_house(&mut journal, 4000, 4000));
    assert_eq!(count(&mut journal), 0);
}

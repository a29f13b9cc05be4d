//! How SQLite goes about each question: every statement that [`Reader::rows`] runs in these tests is also explained,
//! and no plan may read a whole ledger or sort one.
use super::find;
use super::query;
use super::read::Reader;
use super::seal::Seal;
use crate::domain::calendar::WallTime;
use crate::domain::ident::{AuthCode, BatchNumber, Rrn, Stan, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::record::{OriginalRef, TxnFilter};
use rusqlite::Connection;
use std::cell::RefCell;

thread_local! {
    /// Statements of this test with their plans.
    static SEEN: RefCell<Vec<(String, Vec<String>)>> = const { RefCell::new(Vec::new()) };
}

/// Explains a statement that is about to run.
pub(super) fn note(connection: &Connection, sql: &str) {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let mut rows = explain.raw_query();
    let mut plan = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        plan.push(row.get::<_, String>("detail").unwrap());
    }
    SEEN.with_borrow_mut(|seen| seen.push((sql.to_owned(), plan)));
}

/// A journal with one row. Plans do not depend on rows here: the journal is never analysed.
struct Asked {
    connection: Connection,
    seal: Seal,
}

impl Asked {
    fn new() -> Self {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("schema.sql")).unwrap();
        let row = "INSERT INTO batch (id, number, opened_at) VALUES (1, 1, 0);
             INSERT INTO terminal (id, storage_key_id, next_stan, batch, clock_offset, newest_at)
                 VALUES (1, '', 1, 1, 0, 0);
             INSERT INTO txn (name, request_id, kind, amount, currency, arguments_sha256, operator, created_at,
                 metadata, plies, batch, outcome, approved_amount)
                 VALUES ('00112233445566778899aabbccddeeff', 'r', 'sale', 1, 'CNY', zeroblob(32), '01', 0, '[]', 2, 1,
                 'approved', 1)";
        connection.execute_batch(row).unwrap();
        Self { connection, seal: Seal::new(&[7; 32]).unwrap() }
    }

    /// Asks, and gives what was asked of SQLite with its plans.
    fn plans<T>(&self, ask: impl FnOnce(&Reader<'_>) -> T) -> Vec<(String, Vec<String>)> {
        SEEN.with_borrow_mut(Vec::clear);
        ask(&Reader::new(&self.connection, &self.seal));
        SEEN.take()
    }
}

/// Every combination of the keys of a filter.
fn filters() -> impl Iterator<Item = TxnFilter> {
    (0..512_u32).map(|bits| {
        let has = |bit: u32| bits & (1 << bit) != 0;
        TxnFilter {
            batch: has(0).then_some(1),
            trace: has(1).then_some(2),
            kind: has(2).then_some(Kind::Sale),
            outcome: has(3).then_some(Outcome::Approved),
            operator: has(4).then(|| "01".to_owned()),
            from: has(5).then_some(WallTime(0)),
            to: has(6).then_some(WallTime(u64::MAX)),
            card_token: has(7).then(|| "0123456789abcdef".to_owned()),
            request_id: has(8).then(|| "r".to_owned()),
        }
    })
}

/// No plan reads a whole table that grows with the ledger, but in the order of an index and only to its limit.
fn assert_goes_by_index(seen: &[(String, Vec<String>)]) {
    assert!(!seen.is_empty());
    for (sql, plan) in seen {
        // Obligations and missing plies have indexes of their own; they are few.
        let whole = plan.iter().filter(|step| {
            step.starts_with("SCAN")
                && ["txn", "queue", "ply", "timeline", "total"]
                    .iter()
                    .any(|t| step.starts_with(&format!("SCAN {t}")))
                && !step.contains("queue_open")
                && !step.contains("ply_open")
        });
        for step in whole {
            let ordered =
                step.contains("INDEX txn_by_time") && sql.contains("LIMIT") && !sql.contains(" = ?");
            assert!(ordered, "{step}\n{sql}\n{plan:#?}");
        }
    }
}

/// A page costs the logarithm of the ledger, whatever it is narrowed by; only a batch's or a number's rows are ever
/// sorted.
#[test]
fn no_page_reads_or_sorts_the_ledger() {
    let asked = Asked::new();
    for filter in filters() {
        for cursor in ["", "p1-00000000000000010000000000000001"] {
            let seen = asked.plans(|reader| query::page(reader, &filter, 50, cursor).unwrap());
            assert_goes_by_index(&seen);
            let narrow = filter.batch.is_some() || filter.trace.is_some() || filter.request_id.is_some();
            for (sql, plan) in
                seen.iter().filter(|(sql, _)| !narrow && sql.starts_with("SELECT created_at, id"))
            {
                assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}\n{plan:#?}");
            }
        }
    }
}

/// Totals read a batch's, a card's or a number's rows, or hours; rows over time only in the hours at the edges.
#[test]
fn no_totals_read_the_ledger() {
    let asked = Asked::new();
    for filter in filters() {
        assert_goes_by_index(&asked.plans(|reader| find::totals(reader, &filter).unwrap()));
    }
    assert_goes_by_index(&asked.plans(|reader| find::batch(reader, None).unwrap()));
    assert_goes_by_index(&asked.plans(|reader| find::batch(reader, Some(BatchNumber::FIRST)).unwrap()));
    assert_goes_by_index(&asked.plans(|reader| find::open_batch(reader).unwrap()));
}

/// Neither do recovery, the look for an original, and the look for a duplicate.
#[test]
fn nothing_else_reads_the_ledger() {
    let asked = Asked::new();
    assert_goes_by_index(&asked.plans(|reader| reader.load().unwrap()));
    let id = TxnId::parse("00112233445566778899aabbccddeeff").unwrap();
    assert_goes_by_index(&asked.plans(|reader| reader.find(&id).unwrap()));
    assert_goes_by_index(&asked.plans(|reader| reader.timeline(&id).unwrap()));
    for wanted in [
        OriginalRef { txn: Some(id), ..OriginalRef::default() },
        OriginalRef { stan: Some(Stan::FIRST), batch: Some(BatchNumber::FIRST), ..OriginalRef::default() },
        OriginalRef { stan: Some(Stan::FIRST), date: Some("1122".to_owned()), ..OriginalRef::default() },
        OriginalRef { rrn: Rrn::new("123456789012").ok(), ..OriginalRef::default() },
        OriginalRef { auth_code: AuthCode::new("123456").ok(), ..OriginalRef::default() },
    ] {
        assert_goes_by_index(&asked.plans(|reader| find::original(reader, &wanted).unwrap()));
    }
    let (token, amount) = ("0123456789abcdef", Amount::from_minor(1).unwrap());
    assert_goes_by_index(&asked.plans(|reader| find::duplicate(reader, token, amount, WallTime(0)).unwrap()));
}

//! What the size of the ledger costs: a page of 50 rows and the totals of one batch, in a journal of 1,000,000 rows
//! and in one of 10,000, turn by turn.
//!
//! Both are filled directly with SQL from one sale that the journal itself stored; the questions go through the
//! journal.
use super::disk::{OpenJournal, sale};
use super::median;
use crate::domain::calendar::WallTime;
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::record::TxnFilter;
use crate::ports::{Durability, Journal};
use rusqlite::Connection;
use std::io::Error;
use std::path::Path;
use std::time::{Duration, Instant};

/// Rows of the small and of the large ledger.
pub(super) const SIZES: [u32; 2] = [10_000, 1_000_000];
/// Rows of a batch.
const BATCH: u32 = 500;
/// Questions of each sort to each ledger.
const ROUNDS: u32 = 200;
/// Time of the first row, and between two, µs.
const FIRST: u64 = 1_600_000_000_000_000;
const BETWEEN: u64 = 60_000_000;

/// The medians of one question in both ledgers.
pub(super) struct Pair {
    pub(super) small: Duration,
    pub(super) large: Duration,
}

impl Pair {
    pub(super) fn ratio(&self) -> f64 {
        self.large.as_secs_f64() / self.small.as_secs_f64()
    }
}

/// What was measured.
pub(super) struct Ledgers {
    /// A page of 50 from anywhere.
    pub(super) page: Pair,
    /// The same of one kind and outcome.
    pub(super) narrowed: Pair,
    /// Totals of any batch.
    pub(super) totals: Pair,
}

/// A ledger under test.
struct Ledger {
    journal: Box<dyn Journal>,
    rows: u32,
}

/// Measures in this folder, which must not hold a journal.
pub(super) fn measure(folder: &Path, open: OpenJournal) -> Result<Ledgers, Error> {
    let mut ledgers = Vec::new();
    for rows in SIZES {
        let folder = folder.join(rows.to_string());
        let mut journal = open(&folder, WallTime(FIRST)).map_err(Error::other)?;
        journal.commit(&sale(0)?, Durability::Full).map_err(Error::other)?;
        drop(journal);
        fill(&folder.join("journal.db"), rows).map_err(Error::other)?;
        ledgers.push(Ledger { journal: open(&folder, WallTime(FIRST)).map_err(Error::other)?, rows });
    }
    let page = |ledger: &mut Ledger, chance: u32, filter: TxnFilter| {
        let to = FIRST.saturating_add(u64::from(chance % ledger.rows).saturating_mul(BETWEEN));
        let filter = TxnFilter { to: Some(WallTime(to)), ..filter };
        ledger.journal.query(&filter, 50, "").map(drop)
    };
    let narrow =
        TxnFilter { kind: Some(Kind::Sale), outcome: Some(Outcome::Approved), ..TxnFilter::default() };
    Ok(Ledgers {
        page: pair(&mut ledgers, |ledger, chance| page(ledger, chance, TxnFilter::default()))?,
        narrowed: pair(&mut ledgers, |ledger, chance| page(ledger, chance, narrow.clone()))?,
        totals: pair(&mut ledgers, |ledger, chance| {
            let batch = (chance % (ledger.rows / BATCH)).saturating_add(2);
            ledger.journal.totals(&TxnFilter { batch: Some(batch), ..TxnFilter::default() }).map(drop)
        })?,
    })
}

/// Puts the same question to both ledgers, turn by turn, at places that chance chooses. The first rounds warm up.
fn pair(
    ledgers: &mut [Ledger],
    ask: impl Fn(&mut Ledger, u32) -> Result<(), crate::ports::JournalError>,
) -> Result<Pair, Error> {
    let mut times = [Vec::new(), Vec::new()];
    let mut chance = 1_u32;
    for round in 0..ROUNDS + ROUNDS / 10 {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        for (ledger, times) in ledgers.iter_mut().zip(&mut times) {
            let began = Instant::now();
            ask(ledger, chance >> 8).map_err(Error::other)?;
            if round >= ROUNDS / 10 {
                times.push(began.elapsed());
            }
        }
    }
    let [small, large] = &mut times;
    Ok(Pair { small: median(small), large: median(large) })
}

/// Makes so many rows from the first one, in batches of the past. Their sealed card data is wiped, as it is a day after
/// settlement.
fn fill(database: &Path, rows: u32) -> rusqlite::Result<()> {
    let raw = Connection::open(database)?;
    raw.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")?;
    let mut columns = raw.prepare("SELECT name FROM pragma_table_info('txn')")?;
    let columns: Vec<String> = columns.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let value = |column: &String| match column.as_str() {
        "id" => "NULL".to_owned(),
        "name" => "printf('%032x', n)".to_owned(),
        "request_id" => "'fill-' || n".to_owned(),
        "created_at" => format!("{FIRST} + n * {BETWEEN}"),
        "batch" => format!("2 + n / {BATCH}"),
        "stan" => "1 + n % 999999".to_owned(),
        "rrn" => "printf('%012d', n)".to_owned(),
        "outcome" => "CASE WHEN n % 7 THEN 'approved' ELSE 'declined' END".to_owned(),
        "card_token" => "printf('%016x', n % 5000)".to_owned(),
        "card_sealed" | "card_key_id" => "NULL".to_owned(),
        _ => format!("first.{column}"),
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    raw.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n <= {rows} / {BATCH} + 2)
         INSERT INTO batch (id, number, opened_at, closed_at, state) SELECT n, n, 0, 1, 'closed' FROM numbers;
         WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows} - 1)
         INSERT INTO txn SELECT {} FROM numbers, (SELECT * FROM txn WHERE id = 1) AS first;
         COMMIT",
        values.join(", ")
    ))
}

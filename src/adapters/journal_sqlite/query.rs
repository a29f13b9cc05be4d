//! Pages of transactions, newest first. A page ends at a row, not at an offset, so rows that arrive meanwhile neither
//! repeat nor hide any.
//!
//! Whatever is asked for, a page costs the logarithm of the ledger and not its size: [`Wanted`] chooses one index.
//! Kind, outcome and operator have few values, and any of them may be left open; so for these the page is put
//! together from one sorted run of the index for each combination that exists.
use super::read::Reader;
use crate::domain::calendar::WallTime;
use crate::domain::record::{TxnFilter, TxnRow};
use crate::ports::JournalError;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

/// Most rows a page has.
const LIMIT_MAX: u32 = 200;

/// The last row of a page: the next one begins below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    created_at: i64,
    row: i64,
}

impl Cursor {
    /// Clients treat it as opaque: `p1-` and two numbers of 16 hex digits.
    fn text(self) -> String {
        format!("p1-{:016x}{:016x}", self.created_at, self.row)
    }

    fn parse(text: &str) -> Result<Self, JournalError> {
        let bad = || JournalError::Unusable("the cursor is not one that this journal gave out".to_owned());
        let digits = text.strip_prefix("p1-").ok_or_else(bad)?;
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() != 32 || !digits.bytes().all(hex) {
            return Err(bad());
        }
        let (at, row) = digits.split_at_checked(16).ok_or_else(bad)?;
        let number = |part| i64::from_str_radix(part, 16).map_err(|_| bad());
        Ok(Self { created_at: number(at)?, row: number(row)? })
    }
}

/// The conditions of a question with their values, and the index that leads to its rows.
pub(super) struct Wanted {
    terms: Vec<&'static str>,
    values: Vec<Value>,
    index: &'static str,
}

impl Wanted {
    /// Every condition of a filter. The first index of these that the filter can use is the narrowest.
    pub(super) fn of(filter: &TxnFilter) -> Self {
        let index = if filter.request_id.is_some() {
            // The column is unique; its index has no name of its own.
            ""
        } else if filter.batch.is_some() {
            "INDEXED BY txn_by_batch"
        } else if filter.trace.is_some() {
            "INDEXED BY txn_by_stan"
        } else if filter.card_token.is_some() {
            "INDEXED BY txn_by_card"
        } else {
            "INDEXED BY txn_by_time"
        };
        let mut wanted = Self { terms: Vec::new(), values: Vec::new(), index };
        wanted.add("request_id = ?", filter.request_id.clone());
        wanted.add("batch IN (SELECT batch.id FROM batch WHERE number = ?)", filter.batch);
        wanted.add("stan = ?", filter.trace);
        wanted.add("card_token = ?", filter.card_token.clone());
        wanted.add("kind = ?", filter.kind.map(|k| k.word().to_owned()));
        wanted.add("outcome = ?", filter.outcome.map(|o| o.word().to_owned()));
        wanted.add("operator = ?", filter.operator.clone());
        wanted.span(filter.from, filter.to);
        wanted
    }

    /// Only kind, outcome and operator as they are, by the index of these words.
    fn words(words: &Words) -> Self {
        Self {
            terms: vec!["kind = ?", "outcome = ?", "operator = ?"],
            values: [&words.0, &words.1, &words.2].map(|word| Value::Text(word.clone())).to_vec(),
            index: "INDEXED BY txn_by_words",
        }
    }

    /// Created at or after `from`, and before `to`.
    fn span(&mut self, from: Option<WallTime>, to: Option<WallTime>) {
        self.add("created_at >= ?", from.map(bound));
        self.add("created_at < ?", to.map(bound));
    }

    /// Adds a condition whose value stands as `?`.
    fn add(&mut self, term: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.terms.push(term);
            self.values.push(value.into());
        }
    }

    /// The statement that selects `columns` of what is wanted; `rest` groups, orders, limits.
    pub(super) fn sql(&self, columns: &str, rest: &str) -> String {
        let terms = if self.terms.is_empty() { "TRUE".to_owned() } else { self.terms.join(" AND ") };
        format!("SELECT {columns} FROM txn {} WHERE {terms} {rest}", self.index)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// The newest positions, at most `limit`, below the cursor.
    fn positions(
        &self,
        reader: &Reader<'_>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Cursor>, JournalError> {
        let below = if after.is_some() { "AND (created_at, id) < (?, ?)" } else { "" };
        let sql =
            self.sql("created_at, id", &format!("{below} ORDER BY created_at DESC, id DESC LIMIT {limit}"));
        let after = after.map(|c| [Value::Integer(c.created_at), Value::Integer(c.row)]);
        let values = self.values().cloned().chain(after.into_iter().flatten());
        reader.rows("txn", &sql, params_from_iter(values), |c| {
            Ok(Cursor { created_at: c.number("created_at")?, row: c.number("id")? })
        })
    }
}

/// Kind, outcome and operator as stored.
type Words = (String, String, String);

/// The next combination after one, by columns from the last to the first. Not by comparing all three at once: SQLite
/// then reads every row of the combination it stands on (measured).
const NEXT_WORDS: [&str; 3] = [
    "kind = ?1 AND outcome = ?2 AND operator > ?3 ORDER BY operator",
    "kind = ?1 AND outcome > ?2 AND ?3 IS NOT NULL ORDER BY outcome, operator",
    "kind > ?1 AND ?2 IS NOT NULL AND ?3 IS NOT NULL ORDER BY kind, outcome, operator",
];

fn next_words(reader: &Reader<'_>, last: &Words) -> Result<Option<Words>, JournalError> {
    for after in NEXT_WORDS {
        let sql =
            format!("SELECT kind, outcome, operator FROM txn INDEXED BY txn_by_words WHERE {after} LIMIT 1");
        let found = reader.rows("txn", &sql, (&last.0, &last.1, &last.2), |c| {
            Ok((c.text("kind")?, c.text("outcome")?, c.text("operator")?))
        })?;
        if let Some(next) = found.into_iter().next() {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// Every combination of kind, outcome and operator that exists and that the filter takes: found by jumping through the
/// index from one to the next.
fn combinations(reader: &Reader<'_>, filter: &TxnFilter) -> Result<Vec<Words>, JournalError> {
    let kind = filter.kind.map(|k| k.word());
    let mut last: Words = (kind.unwrap_or_default().to_owned(), String::new(), String::new());
    let mut all = Vec::new();
    while let Some(next) = next_words(reader, &last)? {
        last = next;
        if kind.is_some_and(|kind| kind != last.0) {
            break;
        }
        if filter.outcome.is_none_or(|outcome| outcome.word() == last.1)
            && filter.operator.as_ref().is_none_or(|operator| *operator == last.2)
        {
            all.push(last.clone());
        }
    }
    Ok(all)
}

/// True where only kind, outcome, operator or time narrow the answer.
fn by_words(filter: &TxnFilter) -> bool {
    let narrow = filter.request_id.is_some()
        || filter.batch.is_some()
        || filter.trace.is_some()
        || filter.card_token.is_some();
    !narrow && (filter.kind.is_some() || filter.outcome.is_some() || filter.operator.is_some())
}

/// The newest positions that the filter takes, at most `limit`, below the cursor.
fn positions(
    reader: &Reader<'_>,
    filter: &TxnFilter,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Cursor>, JournalError> {
    if !by_words(filter) {
        return Wanted::of(filter).positions(reader, after, limit);
    }
    let mut all = Vec::new();
    for words in combinations(reader, filter)? {
        let mut wanted = Wanted::words(&words);
        wanted.span(filter.from, filter.to);
        all.extend(wanted.positions(reader, after, limit)?);
    }
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.truncate(limit as usize);
    Ok(all)
}

/// Reads one page and the cursor of the next; the cursor is empty where no row follows.
pub(super) fn page(
    reader: &Reader<'_>,
    filter: &TxnFilter,
    limit: u32,
    cursor: &str,
) -> Result<(Vec<TxnRow>, String), JournalError> {
    let limit = limit.clamp(1, LIMIT_MAX);
    let after = if cursor.is_empty() { None } else { Some(Cursor::parse(cursor)?) };
    // One row more than asked for tells whether another page follows.
    let mut found = positions(reader, filter, after, limit.saturating_add(1))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| last.text()).unwrap_or_default();
    let mut rows = Vec::with_capacity(found.len());
    for position in found {
        rows.extend(reader.txns("WHERE txn.id = ?1", [position.row])?);
    }
    Ok((rows, next))
}

/// A time of a filter; beyond what can be stored it is simply the end of time.
pub(super) fn bound(at: WallTime) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_reads_back() {
        let cursor = Cursor { created_at: 1_790_000_000_000_000, row: 42 };
        assert_eq!(Cursor::parse(&cursor.text()), Ok(cursor));
    }

    proptest! {
        /// Whatever a client sends: a cursor of ours or a named error, and nothing else reads as one.
        #[test]
        fn any_text_is_a_cursor_of_ours_or_refused(text in "(p1-)?[0-9a-fA-F+-]{0,40}|.{0,60}") {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(cursor.text(), text);
                prop_assert!(cursor.created_at >= 0 && cursor.row >= 0);
            }
        }

        #[test]
        fn every_position_has_a_cursor(created_at in 0..=i64::MAX, row in 0..=i64::MAX) {
            let cursor = Cursor { created_at, row };
            prop_assert_eq!(Cursor::parse(&cursor.text()), Ok(cursor));
        }
    }
}

//! Pages of transactions, newest first. A page ends at a row, not at an offset, so rows that arrive meanwhile
//! neither repeat nor hide any.
use super::read::Reader;
use crate::domain::calendar::WallTime;
use crate::domain::record::{TxnFilter, TxnRow};
use crate::ports::JournalError;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

/// Most rows a page has.
const LIMIT_MAX: u32 = 200;

/// The last row of a page: the next one begins below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// The conditions of a query with their values.
#[derive(Default)]
struct Conditions {
    terms: Vec<&'static str>,
    values: Vec<Value>,
}

impl Conditions {
    /// Adds a condition whose value stands as `?`.
    fn add(&mut self, term: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.terms.push(term);
            self.values.push(value.into());
        }
    }
}

/// Reads one page and the cursor of the next; the cursor is empty where no row follows.
pub(super) fn page(
    reader: &Reader<'_>,
    filter: &TxnFilter,
    limit: u32,
    cursor: &str,
) -> Result<(Vec<TxnRow>, String), JournalError> {
    let limit = limit.clamp(1, LIMIT_MAX);
    let mut wanted = Conditions::default();
    wanted.add("batch.number = ?", filter.batch);
    wanted.add("txn.stan = ?", filter.trace);
    wanted.add("txn.kind = ?", filter.kind.map(|k| k.word().to_owned()));
    wanted.add("txn.outcome = ?", filter.outcome.map(|o| o.word().to_owned()));
    wanted.add("txn.operator = ?", filter.operator.clone());
    wanted.add("txn.created_at >= ?", filter.from.map(bound));
    wanted.add("txn.created_at < ?", filter.to.map(bound));
    wanted.add("txn.card_token = ?", filter.card_token.clone());
    wanted.add("txn.request_id = ?", filter.request_id.clone());
    if !cursor.is_empty() {
        let after = Cursor::parse(cursor)?;
        wanted.terms.push("(txn.created_at, txn.id) < (?, ?)");
        wanted.values.extend([after.created_at.into(), after.row.into()]);
    }
    let prefix = if wanted.terms.is_empty() { "" } else { "WHERE " };
    let terms = wanted.terms.join(" AND ");
    // One row more than asked for tells whether another page follows.
    let fetch = limit.saturating_add(1);
    let condition = format!("{prefix}{terms} ORDER BY txn.created_at DESC, txn.id DESC LIMIT {fetch}");
    let mut found = reader.txns(&condition, params_from_iter(wanted.values))?;
    if found.len() < fetch as usize {
        return Ok((found, String::new()));
    }
    found.truncate(limit as usize);
    let next = match found.last() {
        Some(last) => {
            reader.position(&last.start.id)?.map(|(created_at, row)| Cursor { created_at, row }.text())
        }
        None => None,
    };
    Ok((found, next.unwrap_or_default()))
}

/// A time of a filter; beyond what can be stored it is simply the end of time.
fn bound(at: WallTime) -> i64 {
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

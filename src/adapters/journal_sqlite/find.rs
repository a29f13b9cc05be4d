//! What follow-ups, the duplicate guard, settlement and reports look for. Everything here goes by an index; totals over
//! time are sums of hours (table `total`), with rows only at the two edges.
use super::columns::{Columns, amount, time};
use super::query::{Wanted, bound};
use super::read::{Reader, verdict};
use super::write::{MOVED, UNDONE};
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, OperatorId, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{BatchState, CardClass, Kind};
use crate::domain::record::{BatchRow, OriginalRef, TotalsRow, TxnFilter, TxnRow};
use crate::ports::JournalError;
use rusqlite::{named_params, params_from_iter};
use std::collections::BTreeMap;

/// Microseconds in an hour.
const HOUR: i64 = 3_600_000_000;
/// The day that the bank gave an original must be the one told. One whose answer has not come has no day yet.
const SAME_DAY: &str = "(:date IS NULL OR txn.host_time IS NULL OR substr(txn.host_time, 5, 4) = :date)";
/// Kinds that a refund or void can follow; their follow-ups may carry the same RRN.
const FOLLOWED: &str =
    "txn.kind IN ('sale', 'offline-sale', 'pre-auth', 'pre-auth-complete', 'pre-auth-advice')";

/// The newest transaction that fits what a follow-up tells. The first name it gives decides: transaction, STAN with
/// batch, RRN, authorisation code.
pub(super) fn original(reader: &Reader<'_>, wanted: &OriginalRef) -> Result<Option<TxnRow>, JournalError> {
    if let Some(id) = &wanted.txn {
        return reader.find(id);
    }
    let date = &wanted.date;
    let newest = "ORDER BY txn.id DESC LIMIT 1";
    let found = if let Some(stan) = wanted.stan {
        let batch = "(:batch IS NULL OR batch.number = :batch)";
        reader.txns(
            &format!("WHERE txn.stan = :stan AND {batch} AND {SAME_DAY} {newest}"),
            named_params! {
                ":stan": stan.get(), ":batch": wanted.batch.map(BatchNumber::get), ":date": date,
            },
        )?
    } else if let Some(rrn) = &wanted.rrn {
        reader.txns(
            &format!("WHERE txn.rrn = :rrn AND {FOLLOWED} AND {SAME_DAY} {newest}"),
            named_params! { ":rrn": rrn.as_str(), ":date": date },
        )?
    } else if let Some(code) = &wanted.auth_code {
        // Only a pre-authorisation is named by its code; the kind also names the index.
        reader.txns(
            &format!("WHERE txn.auth_code = :code AND txn.kind = 'pre-auth' AND {SAME_DAY} {newest}"),
            named_params! { ":code": code.as_str(), ":date": date },
        )?
    } else {
        Vec::new()
    };
    Ok(found.into_iter().next())
}

/// The newest sale since then in which this card paid this amount, or may have; one that was undone does not count.
pub(super) fn duplicate(
    reader: &Reader<'_>,
    card_token: &str,
    paid: Amount,
    since: WallTime,
) -> Result<Option<TxnId>, JournalError> {
    let sql = format!(
        "SELECT name FROM txn INDEXED BY txn_by_card
         WHERE card_token = :token AND created_at >= :since AND amount = :amount
             AND kind IN ('sale', 'offline-sale')
             AND outcome IN ('none', 'approved', 'stored-offline', 'unknown') AND NOT {UNDONE}
         ORDER BY created_at DESC, id DESC LIMIT 1"
    );
    let values = named_params! { ":token": card_token, ":since": time(since)?, ":amount": amount(paid) };
    let found = reader.rows("txn", &sql, values, |c| c.ident("name", TxnId::parse))?;
    Ok(found.into_iter().next())
}

/// What settlement counts: the open batch as its numbers were taken.
pub(super) fn open_batch(reader: &Reader<'_>) -> Result<Vec<TxnRow>, JournalError> {
    let open = "WHERE txn.batch = (SELECT batch FROM terminal) AND txn.stan IS NOT NULL ORDER BY txn.id";
    reader.txns(open, [])
}

/// The newest batch of a number; without one the batch that was settled last.
pub(super) fn batch(
    reader: &Reader<'_>,
    number: Option<BatchNumber>,
) -> Result<Option<BatchRow>, JournalError> {
    let chosen = match number {
        Some(_) => "WHERE number = ?1 ORDER BY id DESC",
        // An empty batch whose number was given up at a sign-on was never settled.
        None => "WHERE closed_at IS NOT NULL AND field48 IS NOT NULL AND ?1 IS NULL ORDER BY closed_at DESC",
    };
    let sql = format!("SELECT * FROM batch {chosen} LIMIT 1");
    let number = number.map(BatchNumber::get);
    let Some((id, row)) = reader.rows("batch", &sql, [number], batch_row)?.pop() else { return Ok(None) };
    let mut totals = Sums::default();
    let by_row = format!(
        "SELECT {} FROM txn INDEXED BY txn_by_batch WHERE batch = ?1 AND {MOVED} GROUP BY 1, 2, 3",
        sums()
    );
    totals.add(reader.rows("txn", &by_row, [id], totals_row)?);
    Ok(Some(BatchRow { totals: totals.rows(), ..row }))
}

fn batch_row(c: &Columns<'_>) -> Result<(i64, BatchRow), JournalError> {
    let row = BatchRow {
        number: c.number_ident("number", BatchNumber::new)?,
        state: c.word("state", BatchState::from_word)?,
        opened_at: c.time("opened_at")?,
        closed_at: c.time_or_null("closed_at")?,
        operator: c.ident_or_null("operator", OperatorId::new)?,
        verdict: verdict(c)?,
        forced: c.flag("forced")?,
        field48: c.get("field48")?,
        totals: Vec::new(),
    };
    Ok((c.get("id")?, row))
}

/// What is counted and summed over rows of `txn`.
fn sums() -> String {
    format!(
        "kind, card_class, operator, count(*) AS count, sum(approved_amount) AS amount,
         sum({UNDONE}) AS voided_count, sum(approved_amount * {UNDONE}) AS voided_amount"
    )
}

fn totals_row(c: &Columns<'_>) -> Result<TotalsRow, JournalError> {
    Ok(TotalsRow {
        kind: c.word("kind", Kind::from_word)?,
        card_class: c.word("card_class", CardClass::from_word)?,
        operator: c.ident("operator", OperatorId::new)?,
        count: c.number("count")?,
        amount: c.number("amount")?,
        voided_count: c.number("voided_count")?,
        voided_amount: c.number("voided_amount")?,
    })
}

/// Lines of several sources put together.
#[derive(Default)]
struct Sums(BTreeMap<(Kind, CardClass, OperatorId), TotalsRow>);

impl Sums {
    fn add(&mut self, rows: Vec<TotalsRow>) {
        for row in rows.into_iter().filter(|row| row.count > 0) {
            let key = (row.kind, row.card_class, row.operator.clone());
            let Some(sum) = self.0.get_mut(&key) else {
                self.0.insert(key, row);
                continue;
            };
            sum.count = sum.count.saturating_add(row.count);
            sum.amount = sum.amount.saturating_add(row.amount);
            sum.voided_count = sum.voided_count.saturating_add(row.voided_count);
            sum.voided_amount = sum.voided_amount.saturating_add(row.voided_amount);
        }
    }

    fn rows(self) -> Vec<TotalsRow> {
        self.0.into_values().collect()
    }
}

/// Totals of what a filter takes. Where only time, kind, outcome or operator narrow it, whole hours come from the table
/// of hours.
pub(super) fn totals(reader: &Reader<'_>, filter: &TxnFilter) -> Result<Vec<TotalsRow>, JournalError> {
    let mut all = Sums::default();
    let narrow = filter.request_id.is_some()
        || filter.batch.is_some()
        || filter.trace.is_some()
        || filter.card_token.is_some();
    if narrow {
        all.add(from_rows(reader, filter)?);
        return Ok(all.rows());
    }
    let (from, to) = (filter.from.map_or(0, bound), filter.to.map_or(i64::MAX, bound));
    // The first whole hour and the one after the last: rows before and after these are counted one by one.
    let first = from.div_euclid(HOUR).saturating_add(i64::from(from.rem_euclid(HOUR) > 0));
    let end = to.div_euclid(HOUR);
    if first >= end {
        all.add(from_rows(reader, filter)?);
        return Ok(all.rows());
    }
    all.add(from_hours(reader, filter, first, end)?);
    let edge = |hours: i64| Some(WallTime(u64::try_from(hours.saturating_mul(HOUR)).unwrap_or(u64::MAX)));
    if from.rem_euclid(HOUR) > 0 {
        all.add(from_rows(reader, &TxnFilter { to: edge(first), ..filter.clone() })?);
    }
    if filter.to.is_some() {
        all.add(from_rows(reader, &TxnFilter { from: edge(end), ..filter.clone() })?);
    }
    Ok(all.rows())
}

fn from_rows(reader: &Reader<'_>, filter: &TxnFilter) -> Result<Vec<TotalsRow>, JournalError> {
    let wanted = Wanted::of(filter);
    let sql = wanted.sql(&sums(), &format!("AND {MOVED} GROUP BY 1, 2, 3"));
    reader.rows("txn", &sql, params_from_iter(wanted.values()), totals_row)
}

fn from_hours(
    reader: &Reader<'_>,
    filter: &TxnFilter,
    first: i64,
    end: i64,
) -> Result<Vec<TotalsRow>, JournalError> {
    let sql = "SELECT kind, card_class, operator, sum(count) AS count, sum(amount) AS amount,
                   sum(voided_count) AS voided_count, sum(voided_amount) AS voided_amount
               FROM total WHERE hour >= :first AND hour < :end AND (:kind IS NULL OR kind = :kind)
                   AND (:outcome IS NULL OR outcome = :outcome) AND (:operator IS NULL OR operator = :operator)
               GROUP BY 1, 2, 3";
    let values = named_params! {
        ":first": first, ":end": end, ":kind": filter.kind.map(|k| k.word()),
        ":outcome": filter.outcome.map(|o| o.word()), ":operator": filter.operator,
    };
    reader.rows("total", sql, values, totals_row)
}

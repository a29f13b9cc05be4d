//! Rows and results, `a{sv}`: what is known of transactions and queue entries, under the keys of the
//! contract. What is not known is absent.
use super::path;
use crate::domain::money::Amount;
use crate::domain::outcome::Outcome;
use crate::domain::record::TimelineRow;
use crate::domain::text::Bilingual;
use crate::engine::view::{JobValue, JobView, QueueRow, TxnView};
use std::collections::HashMap;
use zbus::zvariant::{OwnedObjectPath, Value};

/// An outgoing `a{sv}`.
pub(super) type Row = HashMap<&'static str, Value<'static>>;

/// An amount as the bus carries it, `x`. It has 12 digits at most, so it always fits.
pub(super) fn minor(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap_or(i64::MAX)
}

/// Language to text.
pub(super) fn bilingual(text: &Bilingual) -> HashMap<&'static str, String> {
    HashMap::from([("zh", text.zh.clone()), ("en", text.en.clone())])
}

/// Puts in what is known: texts that are not empty, numbers that are not zero.
trait Put {
    fn put_text(&mut self, key: &'static str, text: &str);
    fn put_u32(&mut self, key: &'static str, number: u32);
    fn put_time(&mut self, key: &'static str, time: u64);
    fn put_path(&mut self, key: &'static str, path: OwnedObjectPath);
}

impl Put for Row {
    fn put_text(&mut self, key: &'static str, text: &str) {
        if !text.is_empty() {
            self.insert(key, Value::from(text.to_owned()));
        }
    }

    fn put_u32(&mut self, key: &'static str, number: u32) {
        if number != 0 {
            self.insert(key, Value::from(number));
        }
    }

    fn put_time(&mut self, key: &'static str, time: u64) {
        if time != 0 {
            self.insert(key, Value::from(time));
        }
    }

    fn put_path(&mut self, key: &'static str, path: OwnedObjectPath) {
        self.insert(key, Value::from(path.into_inner()));
    }
}

/// What results and ledger rows share.
fn facts(view: &TxnView) -> Row {
    let mut row = Row::new();
    row.put_text("outcome", view.outcome.word());
    row.put_text("response-code", &view.response_code);
    row.insert("amount", minor(view.amount).into());
    if view.outcome != Outcome::None {
        row.insert("approved-amount", minor(view.approved_amount).into());
    }
    row.put_text("currency", view.currency);
    row.put_u32("batch", view.batch);
    row.put_u32("trace", view.trace);
    row.put_text("rrn", &view.rrn);
    row.put_text("auth-code", &view.auth_code);
    row.put_text("masked-pan", &view.masked_pan);
    row.put_text("entry-mode", view.entry_mode);
    row.put_time("finished-at", view.finished_at.0);
    row
}

/// The dictionary of `Finished` and `GetResult`.
pub(super) fn result(view: &TxnView) -> Row {
    let mut row = facts(view);
    row.put_text("result-code", view.result_code.map_or("", |code| code.word()));
    row.put_text("card-brand", &view.card_brand);
    row.put_text("cvm-method", view.cvm_method);
    if let Some(text) = &view.result_text {
        row.insert("text", bilingual(text).into());
    }
    row
}

/// A row of `Ledger.Query`.
pub(super) fn ledger(view: &TxnView) -> Row {
    let mut row = facts(view);
    row.put_path("path", path::transaction(&view.id));
    row.put_path("original", path::none());
    row.put_text("request-id", &view.request_id);
    row.put_text("kind", view.kind.word());
    row.put_text("state", view.state.word());
    row.put_text("operator", &view.operator);
    row.put_time("created-at", view.created_at.0);
    row.insert("printed", view.printed.into());
    row
}

/// A row of `Queue.List`.
pub(super) fn queue(entry: &QueueRow) -> Row {
    let mut row = Row::from([
        ("id", Value::from(entry.id.clone())),
        ("type", entry.entry_type.word().into()),
        ("state", entry.state.word().into()),
        ("amount", minor(entry.amount).into()),
        ("attempts", entry.attempts.into()),
    ]);
    row.put_u32("batch", entry.batch);
    row.put_u32("trace", entry.trace);
    row.put_time("created-at", entry.created_at.0);
    row.put_text("last-error", &entry.last_error);
    row.put_path("transaction", path::transaction(&entry.transaction));
    row
}

/// A row of `Transaction.GetTimeline`.
pub(super) fn timeline(line: &TimelineRow) -> Row {
    let mut row = Row::from([
        ("t", Value::from(line.at.0)),
        ("what", line.what.clone().into()),
        ("text", line.text.clone().into()),
    ]);
    row.put_u32("stan", line.stan.map_or(0, |stan| stan.get()));
    row
}

/// A job's result.
pub(super) fn job_result(view: &JobView) -> HashMap<String, Value<'static>> {
    dict(&view.result)
}

fn dict(values: &[(String, JobValue)]) -> HashMap<String, Value<'static>> {
    values.iter().map(|(key, found)| (key.clone(), job_value(found))).collect()
}

fn job_value(value: &JobValue) -> Value<'static> {
    match value {
        JobValue::Number(number) => Value::from(*number),
        JobValue::Count(count) => Value::from(*count),
        JobValue::Money(minor) => Value::from(*minor),
        JobValue::Text(text) => Value::from(text.clone()),
        JobValue::Transaction(id) => Value::from(super::path::transaction(id)),
        JobValue::Rows(rows) => Value::from(rows.iter().map(|row| dict(row)).collect::<Vec<_>>()),
    }
}

//! Rows and results, `a{sv}`: what is known of transactions and queue entries, under the keys of the
//! contract. What is not known is absent.
use super::path;
use crate::domain::money::Amount;
use crate::domain::outcome::Outcome;
use crate::domain::record::{FollowUp, PlyRow, TimelineRow, TotalsRow};
use crate::domain::text::Bilingual;
use crate::engine::view::{ExplainView, JobValue, JobView, ObligationView, QueueRow, TxnView};
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

/// The dictionary of `Finished` and `GetResult`.
pub(super) fn result(view: &TxnView) -> Row {
    const SHARED: [&str; 12] = [
        "outcome",
        "response-code",
        "amount",
        "approved-amount",
        "currency",
        "batch",
        "trace",
        "rrn",
        "auth-code",
        "masked-pan",
        "entry-mode",
        "finished-at",
    ];
    let mut row = ledger(view);
    row.retain(|key, _| SHARED.contains(key));
    row.put_text("result-code", view.result_code.map_or("", |code| code.word()));
    row.put_text("card-brand", &view.card_brand);
    row.put_text("cvm-method", view.cvm_method);
    if let Some(text) = &view.result_text {
        row.insert("text", bilingual(text).into());
    }
    if let Some((amount, currency)) = view.balance {
        row.insert("balance", amount.into());
        row.put_text("balance-currency", currency);
    }
    row
}

/// A row of `Ledger.Query`.
pub(super) fn ledger(view: &TxnView) -> Row {
    let value = |(name, cell): (&'static str, Cell)| Some((name, cell.value()?));
    LEDGER_COLUMNS.into_iter().zip(cells(view)).filter_map(value).collect()
}

/// One value of a ledger row. What is not known is told apart from zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Text(String),
    Number(u32),
    Money(i64),
    Time(u64),
    Path(OwnedObjectPath),
    Yes(bool),
    Unknown,
}

impl Cell {
    fn text(text: &str) -> Self {
        if text.is_empty() { Self::Unknown } else { Self::Text(text.to_owned()) }
    }

    const fn number(number: u32) -> Self {
        if number == 0 { Self::Unknown } else { Self::Number(number) }
    }

    const fn time(time: u64) -> Self {
        if time == 0 { Self::Unknown } else { Self::Time(time) }
    }

    fn value(self) -> Option<Value<'static>> {
        Some(match self {
            Self::Text(text) => Value::from(text),
            Self::Number(number) => Value::from(number),
            Self::Money(minor) => Value::from(minor),
            Self::Time(time) => Value::from(time),
            Self::Path(path) => Value::from(path.into_inner()),
            Self::Yes(yes) => Value::from(yes),
            Self::Unknown => return None,
        })
    }
}

/// The columns of a ledger row in the order of the contract: keys of `Query`, header of `Export`.
pub(super) const LEDGER_COLUMNS: [&str; 20] = [
    "path",
    "request-id",
    "kind",
    "state",
    "outcome",
    "amount",
    "approved-amount",
    "currency",
    "batch",
    "trace",
    "rrn",
    "auth-code",
    "masked-pan",
    "entry-mode",
    "operator",
    "created-at",
    "finished-at",
    "original",
    "response-code",
    "printed",
];

/// The values of a ledger row, in the order of [`LEDGER_COLUMNS`].
pub(super) fn cells(view: &TxnView) -> [Cell; 20] {
    let decided = view.outcome != Outcome::None;
    [
        Cell::Path(path::transaction(&view.id)),
        Cell::text(&view.request_id),
        Cell::text(view.kind.word()),
        Cell::text(view.state.word()),
        Cell::text(view.outcome.word()),
        Cell::Money(minor(view.amount)),
        if decided { Cell::Money(minor(view.approved_amount)) } else { Cell::Unknown },
        Cell::text(view.currency),
        Cell::number(view.batch),
        Cell::number(view.trace),
        Cell::text(&view.rrn),
        Cell::text(&view.auth_code),
        Cell::text(&view.masked_pan),
        Cell::text(view.entry_mode),
        Cell::text(&view.operator),
        Cell::time(view.created_at.0),
        Cell::time(view.finished_at.0),
        Cell::Path(view.original.as_ref().map_or_else(path::none, path::transaction)),
        Cell::text(&view.response_code),
        Cell::Yes(view.printed),
    ]
}

/// A row of `Ledger.Totals`.
pub(super) fn totals(row: &TotalsRow) -> Row {
    let signed = |minor: u64| i64::try_from(minor).unwrap_or(i64::MAX);
    Row::from([
        ("kind", Value::from(row.kind.word())),
        ("card-class", row.card_class.word().into()),
        ("operator", row.operator.to_string().into()),
        ("count", row.count.into()),
        ("amount", signed(row.amount).into()),
        ("voided-count", row.voided_count.into()),
        ("voided-amount", signed(row.voided_amount).into()),
    ])
}

/// A row of `Queue.List`.
pub(super) fn queue(entry: &QueueRow) -> Row {
    let mut row = Row::from([
        ("id", Value::from(entry.id.to_string())),
        ("type", entry.id.entry_type.word().into()),
        ("state", entry.state.word().into()),
        ("amount", minor(entry.amount).into()),
        ("attempts", entry.attempts.into()),
    ]);
    row.put_u32("batch", entry.batch);
    row.put_u32("trace", entry.trace);
    row.put_time("created-at", entry.created_at.0);
    row.put_text("last-error", &entry.last_error);
    row.put_path("transaction", path::transaction(&entry.id.txn));
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

/// The dictionary of `Transaction.Explain`.
pub(super) fn explained(view: &ExplainView) -> Row {
    let named = |pairs: &[(&'static str, String)]| -> HashMap<&'static str, String> {
        pairs.iter().map(|(name, value)| (*name, value.clone())).collect()
    };
    let chip: HashMap<String, String> = view.chip.iter().cloned().collect();
    Row::from([
        ("request", Value::from(named(&view.request))),
        ("answer", Value::from(named(&view.answer))),
        ("chip", Value::from(chip)),
        ("obligations", Value::from(view.obligations.iter().map(obligation).collect::<Vec<_>>())),
        ("plies", Value::from(view.plies.iter().map(ply).collect::<Vec<_>>())),
        ("follow-ups", Value::from(view.follow_ups.iter().map(follow_up).collect::<Vec<_>>())),
    ])
}

fn obligation(entry: &ObligationView) -> Row {
    let mut row = Row::from([
        ("id", Value::from(entry.id.clone())),
        ("type", entry.entry_type.word().into()),
        ("state", entry.state.word().into()),
        ("armed", entry.armed.into()),
        ("attempts", entry.attempts.into()),
    ]);
    row.put_time("created-at", entry.created_at.0);
    row.put_text("reason", entry.reason);
    row.put_text("response-code", &entry.response_code);
    row.put_text("last-error", &entry.last_error);
    row.put_text("resolution", entry.resolution);
    row
}

fn ply(ply: &PlyRow) -> Row {
    let mut row = Row::from([
        ("ply", Value::from(ply.ply.word())),
        ("copy", ply.copy.into()),
        ("state", ply.state.word().into()),
    ]);
    row.put_text("reason", &ply.reason);
    row
}

fn follow_up(follow: &FollowUp) -> Row {
    let mut row = Row::from([
        ("kind", Value::from(follow.kind.word())),
        ("outcome", follow.outcome.word().into()),
        ("amount", minor(follow.amount).into()),
        ("unresolved", follow.unresolved.into()),
        ("stands", follow.stands.into()),
    ]);
    row.put_path("transaction", path::transaction(&follow.id));
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
        JobValue::Bilingual(text) => Value::from(bilingual(text)),
        JobValue::Bytes(bytes) => Value::from(bytes.clone()),
        JobValue::Byte(byte) => Value::from(*byte),
        JobValue::Flag(flag) => Value::from(*flag),
        JobValue::Transaction(id) => Value::from(super::path::transaction(id)),
        JobValue::Rows(rows) => Value::from(rows.iter().map(|row| dict(row)).collect::<Vec<_>>()),
    }
}

//! `posctl ledger reconcile`: the ledger against a statement of the bank. Reads both, decides nothing: the comparison
//! is the domain's.
use super::args::Filter;
use super::books::read_filter;
use super::client::{Fields as _, Terminal, plain_dict, root};
use super::failure::{Exit, Failure};
use super::screen::{Screen, Tone, money, pairs};
use super::words::{self, Pair};
use crate::api::proxy::Options;
use crate::domain::money::Currency;
use crate::domain::outcome::{Kind, Outcome};
use crate::domain::settlement::reconcile::{Cause, Comparison, Difference, Line, Record, compare, read};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use zbus::zvariant::Value;

/// Largest statement, bytes. Choice: more than the most lines that are taken.
const STATEMENT_MAX: u64 = 128 << 20;
/// Most batches that a statement may name without a filter.
const BATCHES_MAX: usize = 400;

/// `posctl ledger reconcile FILE`
pub(crate) async fn reconcile(
    screen: &Screen,
    address: Option<&str>,
    file: &Path,
    wanted: &Filter,
) -> Result<Exit, Failure> {
    let lines = statement(file)?;
    let mut filters = vec![read_filter(wanted)?];
    if filters.iter().all(Options::is_empty) {
        filters = batches(&lines)?;
    }
    let terminal = Terminal::connect(address).await?;
    let name = terminal.properties(&root(), "Manager").await?.text("terminal-id").to_owned();
    let open = open_transactions(&terminal).await?;
    let mut records = Vec::new();
    for filter in filters {
        for row in ledger_rows(&terminal, filter).await? {
            records.push(record(&row, &open));
        }
    }
    records.reverse(); // oldest first: where a statement names no batch, the newest of a number counts
    let found = compare(&records, &lines, &name);
    screen.answer(document(&found), &page(screen, &found));
    Ok(Exit::Done)
}

#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; it reads the file it was told to")]
fn statement(file: &Path) -> Result<Vec<Line>, Failure> {
    let what = || format!("{} cannot be read", file.display());
    let malformed =
        |text: &str| Failure::new(Exit::Failed, "Malformed", format!("{}: {text}", file.display()));
    let mut bytes = Vec::new();
    let source = File::open(file).map_err(|error| Failure::io(&what(), &error))?;
    let limit = STATEMENT_MAX.saturating_add(1);
    source.take(limit).read_to_end(&mut bytes).map_err(|error| Failure::io(&what(), &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > STATEMENT_MAX {
        return Err(malformed("more than 128 MiB; split it by day"));
    }
    let text = String::from_utf8(bytes).map_err(|_| malformed("not UTF-8; save it as CSV in UTF-8"))?;
    // Choice: two decimals, as all currencies have but the yen.
    read(&text, Currency::CNY.exponent()).map_err(|error| malformed(&error.to_string()))
}

/// The batches that the statement names, as filters.
fn batches(lines: &[Line]) -> Result<Vec<Options<'static>>, Failure> {
    let named: BTreeSet<u32> = lines.iter().filter_map(|line| line.batch).collect();
    if named.is_empty() || named.len() > BATCHES_MAX || lines.iter().any(|line| line.batch.is_none()) {
        return Err(Failure::usage(
            "the statement does not name the batches; say which with --batch or with --from and --to",
        ));
    }
    Ok(named.into_iter().rev().map(|batch| Options::from([("batch", Value::from(batch))])).collect())
}

/// Paths of the transactions that wait for the bank or the shop.
async fn open_transactions(terminal: &Terminal) -> Result<BTreeSet<String>, Failure> {
    let queue = terminal.queue().await?;
    let (mut open, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let (rows, next) = queue.list(Options::new(), 0, &cursor, Options::new()).await?;
        open.extend(rows.into_iter().map(|row| plain_dict(row).text("transaction").to_owned()));
        if next.is_empty() {
            return Ok(open);
        }
        cursor = next;
    }
}

async fn ledger_rows(terminal: &Terminal, filter: Options<'_>) -> Result<Vec<Map<String, Json>>, Failure> {
    let ledger = terminal.ledger().await?;
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (rows, next) = ledger.query(filter.clone(), 0, &cursor, Options::new()).await?;
        all.extend(rows.into_iter().map(plain_dict));
        if next.is_empty() {
            return Ok(all);
        }
        cursor = next;
    }
}

/// A row as the comparison wants it: money that goes back is negative.
fn record(row: &Map<String, Json>, open: &BTreeSet<String>) -> Record {
    let sign = Kind::from_word(row.text("kind")).map_or(0, sign);
    let done =
        matches!(Outcome::from_word(row.text("outcome")), Some(Outcome::Approved | Outcome::StoredOffline));
    let number = |key| u32::try_from(row.number(key)).unwrap_or(0);
    Record {
        id: row.text("path").to_owned(),
        batch: number("batch"),
        trace: number("trace"),
        masked_pan: row.text("masked-pan").to_owned(),
        amount: row.minor("approved-amount").saturating_mul(sign),
        rrn: row.text("rrn").to_owned(),
        moved: done && sign != 0,
        outcome: row.text("outcome").to_owned(),
        unresolved: open.contains(row.text("path")),
    }
}

/// Which way the money goes; 0 = none moves.
const fn sign(kind: Kind) -> i64 {
    match kind {
        Kind::Sale | Kind::OfflineSale | Kind::QrSale | Kind::PreAuthComplete | Kind::PreAuthAdvice => 1,
        Kind::Void | Kind::Refund | Kind::QrRefund | Kind::PreAuthCompleteVoid => -1,
        Kind::Balance | Kind::PreAuth | Kind::PreAuthVoid => 0,
    }
}

fn both(screen: &Screen, (zh, en): (&'static str, &'static str)) -> &'static str {
    screen.word(Pair(zh, en))
}

fn page(screen: &Screen, found: &Comparison) -> String {
    let sum = |minor| money(minor, Currency::CNY.alpha());
    let mut text = pairs(&[
        (screen.word(words::MATCHED), found.matched.to_string()),
        (screen.word(words::TERMINAL_SUM), sum(found.terminal_sum)),
        (screen.word(words::BANK_SUM), sum(found.bank_sum)),
        (screen.word(words::DIFFERENCE), sum(found.bank_sum.saturating_sub(found.terminal_sum))),
    ]);
    for difference in &found.differences {
        let (batch, trace) = numbers(difference);
        let cause = screen.tone(Tone::Bad, both(screen, difference.cause.words()));
        text.push_str(&format!("\n{batch:06} {trace:06}  {}  {cause}\n", sum(difference.amount)));
        text.push_str(&format!("    -> {}\n", both(screen, difference.cause.action())));
    }
    text
}

/// The cause for programs.
const fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::MissingAtBank => "missing-at-bank",
        Cause::BookedAtBank => "booked-at-bank",
        Cause::Unresolved => "unresolved",
        Cause::Amount => "amount",
        Cause::Card => "card",
        Cause::Unknown => "unknown",
        Cause::Twice => "twice",
    }
}

fn numbers(difference: &Difference) -> (u32, u32) {
    let record = difference.record.as_ref().map(|record| (record.batch, record.trace));
    let line = difference.line.as_ref().map(|line| (line.batch.unwrap_or(0), line.trace));
    record.or(line).unwrap_or_default()
}

fn document(found: &Comparison) -> Json {
    let row = |difference: &Difference| {
        let (batch, trace) = numbers(difference);
        let said = |(zh, en): (&'static str, &'static str)| json!({ "zh": zh, "en": en });
        json!({
            "batch": batch,
            "trace": trace,
            "amount": difference.amount,
            "cause": word(difference.cause),
            "text": said(difference.cause.words()),
            "action": said(difference.cause.action()),
            "transaction": difference.record.as_ref().map(|record| record.id.as_str()),
            "line": difference.line.as_ref().map(|line| line.number),
        })
    };
    json!({
        "matched": found.matched,
        "terminal-sum": found.terminal_sum,
        "bank-sum": found.bank_sum,
        "differences": found.differences.iter().map(row).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes back counts against the shop, what was not approved or only reserved does not count.
    #[test]
    fn a_row_becomes_a_record_with_its_sign() {
        let row = |kind: &str, outcome: &str| {
            let row = json!({ "path": "/p", "kind": kind, "outcome": outcome, "approved-amount": 1250 });
            let read = record(row.as_object().unwrap(), &BTreeSet::from(["/p".to_owned()]));
            assert!(read.unresolved);
            (read.amount, read.moved)
        };
        assert_eq!(row("sale", "approved"), (1250, true));
        assert_eq!(row("refund", "approved"), (-1250, true));
        assert_eq!(row("pre-auth", "approved"), (0, false));
        assert!(!row("sale", "reversed").1);
    }

    /// Without batches in the statement nobody can say which records it should hold.
    #[test]
    fn a_statement_without_batches_wants_a_filter() {
        let line = |batch| Line { batch, ..Line::default() };
        assert_eq!(batches(&[line(Some(3)), line(Some(3)), line(Some(4))]).unwrap().len(), 2);
        assert_eq!(batches(&[line(Some(3)), line(None)]).unwrap_err().exit, Exit::Usage);
        assert_eq!(batches(&[]).unwrap_err().exit, Exit::Usage);
    }
}

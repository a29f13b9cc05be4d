//! The shop's books: settlement, totals, files, and which transactions a filter means.
use super::args::Filter;
use super::args::shop::{Form, Ledger, Settle};
use super::client::{Fields as _, Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::leave::{certain, with_leave};
use super::screen::{Screen, major, pairs, table};
use super::till::allowed;
use super::{jobs, reconcile, words};
use crate::api::proxy::Options;
use crate::domain::settlement::suspects::Reason;
use crate::domain::text;
use serde_json::{Map, Value as Json, json};
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use zbus::zvariant::Value;

/// A settlement waits for the bank and uploads up to 900 records.
const SETTLE_MAX: Duration = Duration::from_secs(3600);

/// `posctl settle`
pub(crate) async fn settle(screen: &Screen, address: Option<&str>, wanted: &Settle) -> Result<Exit, Failure> {
    if wanted.force_close {
        certain(screen, wanted.certain.yes, screen.word(words::FORCE_CLOSE)).await?;
    }
    let (terminal, token) = allowed(screen, address, &wanted.leave, "settle").await?;
    let ledger = terminal.ledger().await?;
    let job = with_leave(&terminal, screen, token, async |mut options| {
        if wanted.force_close {
            options.insert("force-close", Value::from(true));
        }
        ledger.settle(options).await
    })
    .await?;
    let ended = jobs::to_end(screen, &terminal, &job, SETTLE_MAX).await;
    let again = "; posctl settle goes on where it was";
    let properties =
        ended.map_err(|failure| Failure { message: failure.message.clone() + again, ..failure })?;
    let result = jobs::result(&job, &properties)?;
    let suspects = suspects(screen, &terminal, &rows(&result, "suspects")).await;
    let text = format!("{}{suspects}", settled(screen, &result));
    screen.answer(jobs::document(&job, &properties, &result), &text);
    Ok(Exit::Done)
}

/// Where to look when the totals differ.
async fn suspects(screen: &Screen, terminal: &Terminal, rows: &[Map<String, Json>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut cells = Vec::new();
    for row in rows {
        let reason = row.text("reason");
        let said = Reason::from_word(reason).map(|reason| screen.bilingual(&text::suspicion(reason)));
        let trace = terminal.trace_of(row.text("path")).await;
        cells.push(vec![trace, major(row.minor("amount")), said.unwrap_or_else(|| reason.to_owned())]);
    }
    let head = [words::TRANSACTION_NAME, words::AMOUNT, words::REASON].map(|label| screen.word(label));
    format!("\n{}\n{}", screen.word(words::SUSPECTS), table(&head, &cells))
}

/// A settlement for people: the verdict first, then the sums.
fn settled(screen: &Screen, result: &Map<String, Json>) -> String {
    let verdict = |key: &str| screen.verdict(result.text(key));
    let mut shown = pairs(&[
        (screen.word(words::BATCH), format!("{:06}", result.number("batch"))),
        (screen.term("domestic"), verdict("verdict-domestic")),
        (screen.term("foreign"), verdict("verdict-foreign")),
    ]);
    let totals = rows(result, "totals");
    if !totals.is_empty() {
        shown.push_str(&format!("\n{}", totals_table(screen, &totals)));
    }
    shown
}

fn rows(result: &Map<String, Json>, key: &str) -> Vec<Map<String, Json>> {
    let list = result.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Json::as_object).cloned().collect()
}

/// `posctl ledger …`
pub(crate) async fn ledger(screen: &Screen, address: Option<&str>, verb: &Ledger) -> Result<Exit, Failure> {
    match verb {
        Ledger::Totals { filter } => totals(screen, address, filter).await,
        Ledger::Reconcile { file, filter } => reconcile::reconcile(screen, address, file, filter).await,
        Ledger::Export { format, output, filter } => {
            export(screen, address, *format, output.as_deref(), filter).await
        }
    }
}

async fn totals(screen: &Screen, address: Option<&str>, wanted: &Filter) -> Result<Exit, Failure> {
    let mut filter = read_filter(wanted)?;
    let ledger = Terminal::connect(address).await?.ledger().await?;
    if filter.is_empty() {
        filter.insert("batch", Value::from(ledger.batch().await?));
    }
    let rows = ledger.totals(filter, Options::new()).await?;
    let rows: Vec<Map<String, Json>> = rows.into_iter().map(plain_dict).collect();
    let text = if rows.is_empty() {
        screen.word(words::NOTHING_TO_SHOW).to_owned()
    } else {
        totals_table(screen, &rows)
    };
    screen.answer(json!({ "rows": rows }), &text);
    Ok(Exit::Done)
}

fn totals_table(screen: &Screen, rows: &[Map<String, Json>]) -> String {
    let head = [words::KIND, words::CARDS, words::OPERATOR, words::COUNT, words::AMOUNT, words::VOIDED];
    let cells = |row: &Map<String, Json>| {
        let voided = match row.number("voided-count") {
            0 => String::new(),
            count => format!("{count} / {}", major(row.minor("voided-amount"))),
        };
        vec![
            screen.term(row.text("kind")).to_owned(),
            screen.term(row.text("card-class")).to_owned(),
            row.text("operator").to_owned(),
            row.number("count").to_string(),
            major(row.minor("amount")),
            voided,
        ]
    };
    table(&head.map(|label| screen.word(label)), &rows.iter().map(cells).collect::<Vec<_>>())
}

async fn export(
    screen: &Screen,
    address: Option<&str>,
    format: Form,
    output: Option<&Path>,
    wanted: &Filter,
) -> Result<Exit, Failure> {
    let filter = read_filter(wanted)?;
    let ledger = Terminal::connect(address).await?.ledger().await?;
    let fd = OwnedFd::from(ledger.export(format.word(), filter).await?);
    let mut source = File::from(fd);
    source.rewind().map_err(|error| Failure::io("the export cannot be read", &error))?;
    let mut data = Map::new();
    data.insert("format".to_owned(), format.word().into());
    let Some(file) = output else {
        if !screen.json {
            screen.copy(&mut source)?;
            return Ok(Exit::Done);
        }
        let content = std::io::read_to_string(source)
            .map_err(|error| Failure::io("the export cannot be read", &error))?;
        let parsed = matches!(format, Form::Json).then(|| serde_json::from_str::<Json>(&content).ok());
        data.insert("content".to_owned(), parsed.flatten().unwrap_or(Json::String(content)));
        screen.answer(Json::Object(data), "");
        return Ok(Exit::Done);
    };
    let what = format!("{} cannot be written", file.display());
    let mut target = super::backup::create(file)?;
    let bytes = std::io::copy(&mut source, &mut target)
        .and_then(|bytes| target.flush().and(target.sync_all()).map(|()| bytes))
        .map_err(|error| Failure::io(&what, &error))?;
    data.insert("file".to_owned(), file.display().to_string().into());
    data.insert("bytes".to_owned(), bytes.into());
    screen.answer(Json::Object(data), &format!("{} {}", screen.word(words::WRITTEN), file.display()));
    Ok(Exit::Done)
}

/// A filter of the ledger as the command line has it.
pub(crate) fn read_filter(wanted: &Filter) -> Result<Options<'_>, Failure> {
    let mut filter = Options::new();
    for (key, number) in [("batch", wanted.batch), ("trace", wanted.trace)] {
        filter.extend(number.map(|number| (key, Value::from(number))));
    }
    for (key, text) in [
        ("kind", &wanted.kind),
        ("outcome", &wanted.outcome),
        ("operator", &wanted.operator),
        ("card-token", &wanted.card),
    ] {
        filter.extend(text.as_ref().map(|text| (key, Value::from(text.as_str()))));
    }
    for (key, text) in [("from", &wanted.from), ("to", &wanted.to)] {
        if let Some(text) = text {
            filter.insert(key, Value::from(read_time(text)?));
        }
    }
    Ok(filter)
}

/// A local date, or date and time, as µs since 1970.
fn read_time(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::usage(format!("{text} is not a time such as 2026-11-22 or 2026-11-22T09:30"));
    let civil: jiff::civil::DateTime = match text.parse::<jiff::civil::DateTime>() {
        Ok(time) => time,
        Err(_) => text.parse::<jiff::civil::Date>().map_err(|_| wrong())?.into(),
    };
    let zoned = civil.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| wrong())?;
    u64::try_from(zoned.timestamp().as_microsecond()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times are those of the clock on the wall; what is no time is a usage error.
    #[test]
    fn times_are_read_as_dates_or_with_minutes() {
        let day = read_time("2026-11-22").unwrap();
        assert_eq!(read_time("2026-11-22T09:30").unwrap() - day, (9 * 60 + 30) * 60 * 1_000_000);
        assert_eq!(read_time("22.11.2026").unwrap_err().exit, Exit::Usage);
    }
}

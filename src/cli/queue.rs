//! `posctl queue …`: what is owed to the host, and what of it people have to decide.
use super::args::shop::{EntryName, Queue};
use super::client::{Fields as _, Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::leave::{certain, with_leave};
use super::screen::{Screen, major, table};
use super::till::allowed;
use super::{jobs, words};
use crate::api::proxy::Options;
use serde_json::{Map, Value as Json, json};
use zbus::zvariant::Value;

/// The action of what supervisors do with the queue.
const MANAGE: &str = "queue-manage";

/// `posctl queue …`
pub(crate) async fn queue(screen: &Screen, address: Option<&str>, verb: &Queue) -> Result<Exit, Failure> {
    match verb {
        Queue::Flush => {
            let terminal = Terminal::connect(address).await?;
            let job = terminal.queue().await?.flush(Options::new()).await?;
            return jobs::follow(screen, &terminal, job).await;
        }
        Queue::List { limit, cursor, entry_type, state, batch, trace } => {
            let mut filter = Options::new();
            for (key, value) in [("type", entry_type), ("state", state)] {
                filter.extend(value.as_ref().map(|value| (key, Value::from(value.as_str()))));
            }
            for (key, value) in [("batch", batch), ("trace", trace)] {
                filter.extend(value.map(|value| (key, Value::from(value))));
            }
            let queue = Terminal::connect(address).await?.queue().await?;
            let (rows, next) = queue.list(filter, *limit, cursor, Options::new()).await?;
            let rows: Vec<Map<String, Json>> = rows.into_iter().map(plain_dict).collect();
            let mut text = queue_table(screen, &rows);
            if !next.is_empty() {
                text.push_str(&format!("{}: --cursor {next}\n", screen.word(words::MORE)));
            }
            screen.answer(json!({ "rows": rows, "next": next }), &text);
        }
        Queue::Resume => {
            Terminal::connect(address).await?.queue().await?.resume(Options::new()).await?;
            screen.answer(json!({ "paused": false }), screen.word(words::QUEUE_RESUMED));
        }
        Queue::Pause { why, leave } => {
            let (terminal, token) = allowed(screen, address, leave, MANAGE).await?;
            let queue = terminal.queue().await?;
            with_leave(&terminal, screen, token, async |options| queue.pause(why, options).await).await?;
            screen.answer(json!({ "paused": true, "why": why }), screen.word(words::QUEUE_PAUSED));
        }
        Queue::Park { entry, why, leave } => {
            let (terminal, token) = allowed(screen, address, leave, MANAGE).await?;
            let (queue, row) = (terminal.queue().await?, find(&terminal, entry).await?);
            let id = row.text("id");
            with_leave(&terminal, screen, token, async |options| queue.park(id, why, options).await).await?;
            done(screen, &row, "parked");
        }
        Queue::Unpark { entry, leave } => {
            let (terminal, token) = allowed(screen, address, leave, MANAGE).await?;
            let (queue, row) = (terminal.queue().await?, find(&terminal, entry).await?);
            let id = row.text("id");
            with_leave(&terminal, screen, token, async |options| queue.unpark(id, options).await).await?;
            done(screen, &row, "unparked");
        }
        Queue::Resolve { entry, how, leave, certain: sure } => {
            let terminal = Terminal::connect(address).await?;
            let row = find(&terminal, entry).await?;
            let what = format!("{} -> {}", line(screen, &row), screen.term(how.word()));
            certain(screen, sure.yes, &what).await?;
            let token = super::leave::given(&terminal, screen, leave, MANAGE, 0).await?;
            let (queue, id) = (terminal.queue().await?, row.text("id"));
            let act = async |options| queue.resolve(id, how.word(), options).await;
            with_leave(&terminal, screen, token, act).await?;
            done(screen, &row, how.word());
        }
    }
    Ok(Exit::Done)
}

fn done(screen: &Screen, row: &Map<String, Json>, what: &str) {
    let text = format!("{}: {}", line(screen, row), screen.term(what));
    screen.answer(json!({ "id": row.text("id"), "done": what }), &text);
}

/// An entry in one line.
fn line(screen: &Screen, row: &Map<String, Json>) -> String {
    let (kind, amount) = (screen.term(row.text("type")), major(row.minor("amount")));
    format!("{kind} {} {:06} {amount}", screen.word(words::TRACE), row.number("trace"))
}

/// The entry that is meant: by its id, or by the trace number that stands on the slip.
async fn find(terminal: &Terminal, name: &EntryName) -> Result<Map<String, Json>, Failure> {
    let trace: Option<u32> = name.entry.parse().ok().filter(|trace| (1..=999_999).contains(trace));
    let mut filter = Options::new();
    filter.extend(trace.map(|trace| ("trace", Value::from(trace))));
    filter.extend(name.batch.map(|batch| ("batch", Value::from(batch))));
    filter.extend(name.entry_type.as_ref().map(|word| ("type", Value::from(word.as_str()))));
    let queue = terminal.queue().await?;
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let (rows, next) = queue.list(filter.clone(), 0, &cursor, Options::new()).await?;
        let rows = rows.into_iter().map(plain_dict);
        found.extend(rows.filter(|row| trace.is_some() || row.text("id") == name.entry));
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    match found.len() {
        0 => Err(Failure::named("NotFound", "the queue has no such entry; see: posctl queue list")),
        1 => Ok(found.remove(0)),
        _ => {
            let types: Vec<&str> = found.iter().map(|row| row.text("type")).collect();
            let text =
                format!("that trace number owes {}; say which with --type or --batch", types.join(", "));
            Err(Failure::usage(text))
        }
    }
}

/// The last trouble of an entry stands on a line of its own below it: it is as long as it likes.
fn queue_table(screen: &Screen, rows: &[Map<String, Json>]) -> String {
    if rows.is_empty() {
        return format!("{}\n", screen.word(words::EMPTY));
    }
    let head = [words::TRACE, words::TYPE, words::STATE, words::AMOUNT, words::ATTEMPTS, words::SINCE];
    let cells = |row: &Map<String, Json>| {
        vec![
            format!("{:06}", row.number("trace")),
            screen.term(row.text("type")).to_owned(),
            screen.term(row.text("state")).to_owned(),
            major(row.minor("amount")),
            row.number("attempts").to_string(),
            screen.short_time(row.number("created-at")),
        ]
    };
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let text = table(&head.map(|label| screen.word(label)), &cells);
    let mut lines = text.lines();
    let mut out = format!("{}\n", lines.next().unwrap_or_default());
    for (line, row) in lines.zip(rows) {
        out.push_str(&format!("{line}\n"));
        if !row.text("last-error").is_empty() {
            out.push_str(&format!("        {}\n", row.text("last-error")));
        }
    }
    out
}

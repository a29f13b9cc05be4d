//! `posctl txn …` and `posctl reprint`: what happened, what it came to, and its slips.
use super::args::{AgentOptions, Format, Ply, Reprint, Txn, Which};
use super::books::read_filter;
use super::client::{Fields as _, Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::follow::{Event, Follower, show_on};
use super::printer::{printed, watch_print};
use super::screen::{Screen, money, pairs, table};
use super::trade::{detached, report, said};
use super::{agent, words};
use crate::api::proxy::{LedgerProxy, Options};
use crate::domain::outcome::TxnState;
use crate::domain::text::names;
use serde_json::{Map, Value as Json, json};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use zbus::zvariant::OwnedObjectPath;

/// The largest slip taken; a long one as PNG has some 100 kB.
const SLIP_MAX: u64 = 8 << 20;

/// `posctl txn …`
pub(crate) async fn txn(screen: &Screen, address: Option<&str>, verb: &Txn) -> Result<Exit, Failure> {
    if let Txn::Receipt { format, output: None, .. } = verb {
        receipt_can_be_shown(screen, *format)?;
    }
    let terminal = Terminal::connect(address).await?;
    match verb {
        Txn::List { limit, cursor, filter } => {
            list(screen, &terminal.ledger().await?, read_filter(filter)?, *limit, cursor).await
        }
        Txn::Show { which } => show(screen, &terminal, which).await,
        Txn::Watch { which, agent } => watch(screen, &terminal, which, *agent).await,
        Txn::Cancel { which } => {
            let path = terminal.which(which).await?;
            let answer = terminal.transaction(&path).await?.cancel(Options::new()).await?;
            let label = if answer == "accepted" { words::CANCEL_ACCEPTED } else { words::CANCEL_ALREADY };
            screen.answer(json!({ "transaction": path, "answer": answer }), screen.word(label));
            Ok(Exit::Done)
        }
        Txn::Receipt { which, ply, format, output } => {
            let path = terminal.which(which).await?;
            let proxy = terminal.transaction(&path).await?;
            let fd = proxy.get_receipt(ply.word(), format.word(), Options::new()).await?;
            receipt(screen, &path, read_slip(fd.into())?, (*ply, *format), output.as_deref())
        }
    }
}

async fn list(
    screen: &Screen,
    ledger: &LedgerProxy<'_>,
    filter: Options<'_>,
    limit: u32,
    cursor: &str,
) -> Result<Exit, Failure> {
    let (rows, next) = ledger.query(filter, limit, cursor, Options::new()).await?;
    let rows: Vec<Map<String, Json>> = rows.into_iter().map(plain_dict).collect();
    let text = if rows.is_empty() {
        screen.word(words::NOTHING_TO_SHOW).to_owned()
    } else {
        let head = [words::TIME, words::TRACE, words::KIND, words::AMOUNT, words::OUTCOME, words::CARD];
        let cells = |row: &Map<String, Json>| {
            vec![
                screen.short_time(row.number("created-at")),
                format!("{:06}", row.number("trace")),
                screen.term(row.text("kind")).to_owned(),
                money(row.minor("amount"), row.text("currency")),
                screen.term(row.text("outcome")).to_owned(),
                row.text("masked-pan").to_owned(),
            ]
        };
        table(&head.map(|label| screen.word(label)), &rows.iter().map(cells).collect::<Vec<_>>())
    };
    screen.answer(json!({ "rows": rows, "next": next }), &text);
    Ok(Exit::Done)
}

async fn show(screen: &Screen, terminal: &Terminal, which: &Which) -> Result<Exit, Failure> {
    let path = terminal.which(which).await?;
    let properties = terminal.properties(&path, "Transaction").await?;
    let timeline = terminal.transaction(&path).await?.get_timeline(Options::new()).await?;
    let timeline: Vec<Map<String, Json>> = timeline.into_iter().map(plain_dict).collect();
    let number = |key| match properties.number(key) {
        0 => String::new(),
        number => format!("{number:06}"),
    };
    let own = |key| properties.text(key).to_owned();
    let state = TxnState::from_word(properties.text("state"));
    let state = state.map_or_else(|| own("state"), |state| screen.bilingual(&names::state(state)));
    let mut text = pairs(&[
        (screen.word(words::REQUEST_ID), own("request-id")),
        (screen.word(words::KIND), screen.term(properties.text("kind")).to_owned()),
        (screen.word(words::AMOUNT), money(properties.minor("amount"), properties.text("currency"))),
        (screen.word(words::STATE), state),
        (
            screen.word(words::OUTCOME),
            format!("{}  {}", screen.term(properties.text("outcome")), said(screen, &properties)),
        ),
        (screen.word(words::BATCH), number("batch")),
        (screen.word(words::TRACE), number("trace")),
        (screen.word(words::CARD), own("masked-pan")),
        (screen.word(words::ENTRY_MODE), screen.term(properties.text("entry-mode")).to_owned()),
        (screen.word(words::CVM), screen.verified(properties.text("cvm-method")).to_owned()),
        (screen.word(words::RRN), own("rrn")),
        (screen.word(words::AUTH_CODE), own("auth-code")),
        (screen.word(words::RESPONSE_CODE), own("response-code")),
        (screen.word(words::OPERATOR), own("operator")),
        (screen.word(words::TIME), screen.time(properties.number("created-at"))),
    ]);
    if !timeline.is_empty() {
        let cells = |row: &Map<String, Json>| {
            let stan =
                if row.number("stan") > 0 { format!("{:06}", row.number("stan")) } else { String::new() };
            vec![screen.time(row.number("t")), row.text("what").to_owned(), stan, row.text("text").to_owned()]
        };
        let rows: Vec<_> = timeline.iter().map(cells).collect();
        text.push('\n');
        text.push_str(&table(&[screen.word(words::TIME), "", "STAN", ""], &rows));
    }
    let mut data = properties;
    data.insert("transaction".to_owned(), path.as_str().into());
    data.insert("timeline".to_owned(), json!(timeline));
    screen.answer(Json::Object(data), &text);
    Ok(Exit::Done)
}

async fn watch(screen: &Screen, terminal: &Terminal, which: &Which, serve: bool) -> Result<Exit, Failure> {
    let path = terminal.which(which).await?;
    let request = terminal.transaction(&path).await?.request_id().await?;
    let options = AgentOptions { no_agent: !serve, ..AgentOptions::default() };
    let agent = agent::register(terminal, screen, &options).await?;
    let mut follower = Follower::new(terminal, path, &request).await?;
    screen.when_interrupted(detached(&request));
    let mut lines = show_on(screen);
    let mut show = |event: Event| {
        if screen.json {
            screen.answer(event_document(&event), "");
        } else if let Event::State { new, reason, at, .. } = &event {
            let why = if reason.is_empty() { String::new() } else { format!("  {reason}") };
            screen.answer(Json::Null, &format!("{}  {new}{why}", screen.time(*at)));
        } else {
            lines(event);
        }
    };
    let result = follower.outcome(&mut show).await?;
    let exit = report(screen, &request, follower.path().as_str(), result);
    if let Some(agent) = agent {
        agent.end().await;
    }
    Ok(exit)
}

/// One line of `txn watch --json`.
fn event_document(event: &Event) -> Json {
    match event {
        Event::State { old, new, reason, at } => {
            json!({ "event": "state-changed", "old": old, "new": new, "reason": reason, "at": at })
        }
        Event::Prompt { code, text } => json!({ "event": "prompt", "code": code, "text": text }),
        Event::Decided => json!({ "event": "finished" }),
        Event::Lost => json!({ "event": "daemon-lost" }),
        Event::Back => json!({ "event": "daemon-back" }),
    }
}

/// Bytes that are not text go to files and pipes only.
fn receipt_can_be_shown(screen: &Screen, format: Format) -> Result<(), Failure> {
    use std::io::IsTerminal as _;
    if format.is_text() || !(screen.json || std::io::stdout().is_terminal()) {
        return Ok(());
    }
    Err(Failure::usage(format!("{} is not text; name a file with --output", format.word())))
}

fn read_slip(fd: OwnedFd) -> Result<Vec<u8>, Failure> {
    use std::io::Seek as _;
    let mut file = File::from(fd);
    file.rewind().ok(); // a pipe cannot, and need not
    let mut bytes = Vec::new();
    file.take(SLIP_MAX.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io("the slip cannot be read", &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SLIP_MAX {
        return Err(Failure::new(Exit::Failed, "ProtocolError", "the slip is longer than 8 MiB"));
    }
    Ok(bytes)
}

#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; it writes the file it was told to")]
fn receipt(
    screen: &Screen,
    path: &OwnedObjectPath,
    slip: Vec<u8>,
    (ply, format): (Ply, Format),
    output: Option<&Path>,
) -> Result<Exit, Failure> {
    let mut data = json!({ "transaction": path, "ply": ply.word(), "format": format.word() });
    if let Some(file) = output {
        std::fs::write(file, &slip)
            .map_err(|error| Failure::io(&format!("{} cannot be written", file.display()), &error))?;
        let text = format!("{} {}", screen.word(words::WRITTEN), file.display());
        put(&mut data, "file", json!(file.display().to_string()));
        put(&mut data, "bytes", json!(slip.len()));
        screen.answer(data, &text);
    } else if screen.json {
        put(&mut data, "receipt", json!(String::from_utf8_lossy(&slip)));
        screen.answer(data, "");
    } else {
        screen.raw(&slip);
    }
    Ok(Exit::Done)
}

fn put(object: &mut Json, key: &str, value: Json) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// `posctl reprint`
pub(crate) async fn reprint(
    screen: &Screen,
    address: Option<&str>,
    wanted: &Reprint,
) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    if wanted.id.as_deref() == Some("settlement") {
        return reprint_settlement(screen, &terminal, wanted.batch.unwrap_or(0)).await;
    }
    let path = match &wanted.id {
        Some(id) => terminal.find(id, wanted.batch).await?,
        None => last(&terminal).await?,
    };
    let proxy = terminal.transaction(&path).await?;
    let plies = wanted.ply.map_or_else(|| vec![Ply::Merchant, Ply::Customer], |ply| vec![ply]);
    let mut jobs = Vec::new();
    for ply in plies {
        let job = proxy.reprint(ply.word(), Options::new()).await?;
        jobs.push(watch_print(&terminal, ply, &job).await?);
    }
    printed(screen, &jobs, &json!({ "transaction": path, "print-jobs": jobs }))
}

/// `posctl reprint settlement`
async fn reprint_settlement(screen: &Screen, terminal: &Terminal, batch: u32) -> Result<Exit, Failure> {
    let job = terminal.ledger().await?.reprint_settlement(batch, Options::new()).await?;
    let jobs = [watch_print(terminal, Ply::Merchant, &job).await?];
    printed(screen, &jobs, &json!({ "print-jobs": jobs }))
}

/// The newest transaction of the ledger that has a slip.
async fn last(terminal: &Terminal) -> Result<OwnedObjectPath, Failure> {
    let approved = Options::from([("outcome", zbus::zvariant::Value::from("approved"))]);
    let (rows, _) = terminal.ledger().await?.query(approved, 1, "", Options::new()).await?;
    let rows: Vec<Map<String, Json>> = rows.into_iter().map(plain_dict).collect();
    let path = rows.first().map(|row| row.text("path")).unwrap_or_default();
    OwnedObjectPath::try_from(path)
        .map_err(|_| Failure::new(Exit::Failed, "NotFound", "there is no transaction to print"))
}

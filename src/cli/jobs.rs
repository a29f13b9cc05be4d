//! Work that the daemon does as a Job: sign-on, line test, flush, settlement, backup. Follows it and reports its end.
use super::client::{Fields as _, Terminal, next};
use super::failure::{Exit, Failure};
use super::screen::{Screen, pairs};
use super::words;
use crate::api::proxy::BUS_NAME;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use zbus::zvariant::OwnedObjectPath;

/// No other job takes longer: three connections, one answer, and the reversals before it; a copy of the journal.
const JOB_MAX: Duration = Duration::from_secs(600);

/// Follows a job to its end and shows what came of it.
pub(crate) async fn follow(
    screen: &Screen,
    terminal: &Terminal,
    job: OwnedObjectPath,
) -> Result<Exit, Failure> {
    let properties = to_end(screen, terminal, &job, JOB_MAX).await?;
    let result = result(&job, &properties)?;
    let value = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut rows = vec![(screen.term(properties.text("kind")), screen.word(words::DONE).to_owned())];
    rows.extend(result.iter().map(|(key, item)| (key.as_str(), value(item))));
    screen.answer(document(&job, &properties, &result), &pairs(&rows));
    Ok(Exit::Done)
}

/// Follows a job to its end, showing its phases; its properties then.
pub(crate) async fn to_end(
    screen: &Screen,
    terminal: &Terminal,
    job: &OwnedObjectPath,
    limit: Duration,
) -> Result<Map<String, Json>, Failure> {
    screen.when_interrupted(
        Failure::new(Exit::Interrupted, "Interrupted", "detached; the job goes on without posctl")
            .with("job", job.as_str()),
    );
    let ended = tokio::time::timeout(limit, until_ended(screen, terminal, job)).await;
    ended.map_err(|_| {
        let text = format!("the job did not end in {} minutes", limit.as_secs() / 60);
        Failure::new(Exit::Timeout, "Timeout", text).with("job", job.as_str())
    })?
}

/// Waits for the end. Every signal of the object leads to a look at its properties, which are what counts.
async fn until_ended(
    screen: &Screen,
    terminal: &Terminal,
    job: &OwnedObjectPath,
) -> Result<Map<String, Json>, Failure> {
    let signals = |path: &OwnedObjectPath| -> Result<_, Failure> {
        let rule = zbus::MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(BUS_NAME)?;
        Ok(rule.path(path.clone())?.build())
    };
    let mut changes = zbus::MessageStream::for_match_rule(signals(job)?, &terminal.bus, Some(64)).await?;
    let dbus = zbus::fdo::DBusProxy::new(&terminal.bus).await?;
    let mut owners = dbus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?;
    let mut shown = String::new();
    loop {
        let properties = terminal.properties(job, "Job").await?;
        show_phase(screen, &properties, &mut shown);
        if matches!(properties.text("state"), "succeeded" | "failed" | "cancelled") {
            return Ok(properties);
        }
        tokio::select! {
            change = next(&mut changes) => if change.is_none() {
                return Err(Failure::no_daemon("the bus is gone"));
            },
            _ = next(&mut owners) => {
                return Err(Failure::no_daemon("it went away during the job, which then does not go on"));
            }
        }
    }
}

/// A new phase is a line for who watches.
fn show_phase(screen: &Screen, properties: &Map<String, Json>, shown: &mut String) {
    let phase = properties.text("phase");
    if matches!(phase, "" | "done") {
        return;
    }
    let progress = match properties.number("progress") {
        0 => String::new(),
        percent => format!(" {percent} %"),
    };
    let line = format!("{}{progress}", screen.term(phase));
    if line != *shown {
        screen.note(&line);
        *shown = line;
    }
}

/// The result of a job that succeeded; any other end is a failure by the name the job gives.
pub(crate) fn result(
    job: &OwnedObjectPath,
    properties: &Map<String, Json>,
) -> Result<Map<String, Json>, Failure> {
    let result = properties.get("result").and_then(Json::as_object).cloned().unwrap_or_default();
    let state = properties.text("state");
    if state == "succeeded" {
        return Ok(result);
    }
    let error = properties.get("error").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let part = |at: usize| error.get(at).and_then(Json::as_str).unwrap_or_default();
    let (name, message) = match (state, part(0)) {
        ("cancelled", "") => ("Cancelled", "the job was cancelled"),
        (_, "") => ("Failed", "the job failed and gives no reason"),
        (_, name) => (name, part(1)),
    };
    Err(Failure::named(name, message).with("job", job.as_str()).with("result", result))
}

/// The answer for programs.
pub(crate) fn document(
    job: &OwnedObjectPath,
    properties: &Map<String, Json>,
    result: &Map<String, Json>,
) -> Json {
    json!({ "job": job.as_str(), "kind": properties.text("kind"), "result": result })
}

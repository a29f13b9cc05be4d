//! Work that the daemon does as a Job: sign-on, sign-off, line test, flush. Starts it, follows it, reports its end.
use super::client::{Fields as _, Terminal, next};
use super::failure::{Exit, Failure};
use super::screen::{Screen, pairs};
use super::words;
use crate::api::proxy::BUS_NAME;
use serde_json::{Map, Value as Json};
use std::time::Duration;
use zbus::zvariant::OwnedObjectPath;

/// No job of this version takes longer: three connections, one answer, and the reversals before it.
const JOB_MAX: Duration = Duration::from_secs(600);

/// Follows a job to its end and shows what came of it.
pub(crate) async fn follow(
    screen: &Screen,
    terminal: &Terminal,
    job: OwnedObjectPath,
) -> Result<Exit, Failure> {
    screen.when_interrupted(
        Failure::new(Exit::Interrupted, "Interrupted", "detached; the job goes on without posctl")
            .with("job", job.as_str()),
    );
    let ended = tokio::time::timeout(JOB_MAX, until_ended(terminal, &job)).await;
    let properties = ended.map_err(|_| {
        Failure::new(Exit::Timeout, "Timeout", "the job did not end in ten minutes").with("job", job.as_str())
    })??;
    report(screen, &job, &properties)
}

/// Waits for the end. Every signal of the object leads to a look at its properties, which are what counts.
async fn until_ended(terminal: &Terminal, job: &OwnedObjectPath) -> Result<Map<String, Json>, Failure> {
    let signals = |path: &OwnedObjectPath| -> Result<_, Failure> {
        let rule = zbus::MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(BUS_NAME)?;
        Ok(rule.path(path.clone())?.build())
    };
    let mut changes = zbus::MessageStream::for_match_rule(signals(job)?, &terminal.bus, Some(64)).await?;
    let dbus = zbus::fdo::DBusProxy::new(&terminal.bus).await?;
    let mut owners = dbus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?;
    loop {
        let properties = terminal.properties(job, "Job").await?;
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

/// A job that succeeded is an answer; any other end is a failure by the name the job gives.
fn report(screen: &Screen, job: &OwnedObjectPath, properties: &Map<String, Json>) -> Result<Exit, Failure> {
    let result = properties.get("result").and_then(Json::as_object).cloned().unwrap_or_default();
    let state = properties.text("state");
    if state != "succeeded" {
        let error = properties.get("error").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let part = |at: usize| error.get(at).and_then(Json::as_str).unwrap_or_default();
        let (name, message) = match (state, part(0)) {
            ("cancelled", "") => ("Cancelled", "the job was cancelled"),
            (_, "") => ("Failed", "the job failed and gives no reason"),
            (_, name) => (name, part(1)),
        };
        return Err(Failure::named(name, message).with("job", job.as_str()).with("result", result));
    }
    let value = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut rows = vec![(properties.text("kind"), screen.word(words::DONE).to_owned())];
    rows.extend(result.iter().map(|(key, item)| (key.as_str(), value(item))));
    let text = pairs(&rows);
    let mut data = Map::new();
    data.insert("job".to_owned(), job.as_str().into());
    data.insert("kind".to_owned(), properties.text("kind").into());
    data.insert("result".to_owned(), result.into());
    screen.answer(Json::Object(data), &text);
    Ok(Exit::Done)
}

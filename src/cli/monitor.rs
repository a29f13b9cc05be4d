//! `posctl monitor`: every signal of the terminal as it comes, with its time; JSON lines with `--json`. It goes on when
//! the daemon goes and comes back, and says so.
use super::client::{Terminal, next, plain_body};
use super::failure::{Exit, Failure};
use super::screen::Screen;
use super::words;
use crate::api::proxy::BUS_NAME;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use zbus::message::Message;

/// Signals that may wait while the reader of our output is slow.
const WAITING: usize = 512;

/// `posctl monitor`. Ends after `count` signals, or when it is interrupted.
pub(crate) async fn monitor(
    screen: &Screen,
    address: Option<&str>,
    count: Option<u32>,
) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let rule = zbus::MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(BUS_NAME)?.build();
    let mut signals = zbus::MessageStream::for_match_rule(rule, &terminal.bus, Some(WAITING)).await?;
    let dbus = zbus::fdo::DBusProxy::new(&terminal.bus).await?;
    let mut owners = dbus.receive_name_owner_changed_with_args(&[(0, BUS_NAME)]).await?;
    screen.note(screen.word(words::LISTENING));
    let (mut told, mut last) = (0_u32, None);
    while count.is_none_or(|count| told < count) {
        tokio::select! {
            signal = next(&mut signals) => match signal {
                Some(signal) => {
                    show(screen, &signal?, lapse(&mut last))?;
                    told = told.saturating_add(1);
                }
                None => return Err(Failure::no_daemon("the bus is gone")),
            },
            change = next(&mut owners) => {
                let is_away = |args: zbus::fdo::NameOwnerChangedArgs<'_>| args.new_owner.is_none();
                let gone = change.is_none_or(|change| change.args().is_ok_and(is_away));
                let word = if gone { "daemon-gone" } else { "daemon-back" };
                screen.answer(json!({ "at": now(), "event": word }), &format!("{} {word}", clock(screen)));
            }
        }
    }
    Ok(Exit::Done)
}

/// Milliseconds since the last time; 0 at first.
#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; it says how far apart signals are")]
fn lapse(last: &mut Option<Instant>) -> u64 {
    let now = Instant::now();
    let since = last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// µs since 1970.
#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; a line says when it was written")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn clock(screen: &Screen) -> String {
    screen.time(now())
}

fn show(screen: &Screen, signal: &Message, after_ms: u64) -> Result<(), Failure> {
    let header = signal.header();
    let text = |part: Option<String>| part.unwrap_or_default();
    let path = text(header.path().map(ToString::to_string));
    let interface = text(header.interface().map(ToString::to_string));
    let member = text(header.member().map(ToString::to_string));
    let arguments = plain_body(signal)?;
    let short = interface.strip_prefix(BUS_NAME).unwrap_or(&interface).trim_start_matches('.').to_owned();
    let said = Json::from(arguments.clone());
    let line = format!("{} +{after_ms} ms {path} {short}.{member} {said}", clock(screen));
    let data = json!({
        "at": now(),
        "after-ms": after_ms,
        "path": path,
        "interface": interface,
        "signal": member,
        "arguments": arguments,
    });
    screen.answer(data, &line);
    Ok(())
}

//! `posctl host test`: how long each stage of the way to the host takes, and where it ends if it does.
use super::client::{Fields as _, Terminal};
use super::failure::{Exit, Failure};
use super::jobs;
use super::screen::{Screen, Tone, pairs};
use super::words::{self, Pair};
use crate::api::proxy::Options;
use crate::domain::text::way::next_step;
use crate::domain::way::{Stage, WayCause};
use serde_json::{Map, Value as Json};
use std::time::Duration;
use zbus::zvariant::OwnedObjectPath;

/// Three connections, one answer, and what goes before it.
const TEST_MAX: Duration = Duration::from_secs(600);

/// Follows the test to its end and shows its stages.
pub(crate) async fn test(
    screen: &Screen,
    terminal: &Terminal,
    job: OwnedObjectPath,
) -> Result<Exit, Failure> {
    let properties = jobs::to_end(screen, terminal, &job, TEST_MAX).await?;
    let told = properties.get("result").and_then(Json::as_object).cloned().unwrap_or_default();
    let rows = pairs(&stages(screen, &told));
    match jobs::result(&job, &properties) {
        Ok(result) => {
            screen.answer(jobs::document(&job, &properties, &result), &rows);
            Ok(Exit::Done)
        }
        Err(failure) => {
            if !screen.json {
                screen.note(rows.trim_end());
            }
            Err(failure)
        }
    }
}

/// Of `Host.Test`: over a link that somebody named.
pub(crate) fn options(link: Option<&str>) -> Options<'_> {
    link.map(|name| ("link", name.into())).into_iter().collect()
}

/// A row for each stage that was reached; the last one says why it is the last.
pub(crate) fn stages(screen: &Screen, told: &Map<String, Json>) -> Vec<(&'static str, String)> {
    let failed = Stage::from_word(told.text("stage"));
    let row = |stage: &Stage| {
        let label = screen.word(label(*stage));
        if failed == Some(*stage) {
            return Some((label, screen.tone(Tone::Bad, &why(screen, told.text("cause")))));
        }
        let ms = told.get(&format!("{stage}-ms")).and_then(Json::as_u64)?;
        Some((label, format!("{ms} ms")))
    };
    Stage::ALL.iter().filter_map(row).collect()
}

const fn label(stage: Stage) -> Pair {
    match stage {
        Stage::Dns => words::STAGE_DNS,
        Stage::Tcp => words::STAGE_TCP,
        Stage::Tls => words::STAGE_TLS,
        Stage::Echo => words::STAGE_ECHO,
    }
}

fn why(screen: &Screen, cause: &str) -> String {
    let failed = screen.word(words::STAGE_FAILED);
    match WayCause::from_word(cause) {
        Some(known) => format!("{failed} ({cause}): {}", screen.bilingual(&next_step(known))),
        None => failed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::words::Lang;
    use serde_json::json;

    /// Goal: what was reached has its time, what ended it has cause and next step, and what comes after is not there.
    #[test]
    fn the_failing_stage_is_named() {
        let rows = |told: Json| stages(&Screen::new(true, Lang::En), told.as_object().unwrap());
        let whole = rows(json!({ "dns-ms": 3, "tcp-ms": 12, "tls-ms": 40, "echo-ms": 80 }));
        let times: Vec<&str> = whole.iter().map(|(_, time)| time.as_str()).collect();
        assert_eq!(times, ["3 ms", "12 ms", "40 ms", "80 ms"]);
        let cut = rows(json!({ "dns-ms": 3, "tcp-ms": 12, "stage": "tls", "cause": "pin-mismatch" }));
        assert_eq!(cut.len(), 3);
        assert!(cut[2].1.contains("pin-mismatch") && cut[2].1.contains("tls-pin-sha256"), "{cut:?}");
        let silent = rows(json!({ "dns-ms": 3, "tcp-ms": 12, "stage": "echo" }));
        assert_eq!((silent.len(), silent[2].1.as_str()), (3, "failed"));
    }
}

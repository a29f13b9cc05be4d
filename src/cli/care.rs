//! `posctl test`: the terminal looks at its parts, and says of each that is not well why, and what to do. `posctl
//! security`: the same of what keeps money, keys and card data safe.
use super::args::care::{Level, Test};
use super::client::{Fields as _, Terminal};
use super::failure::{Exit, Failure};
use super::screen::{Screen, Tone, table};
use super::{jobs, words};
use crate::api::proxy::Options;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use zbus::zvariant::OwnedObjectPath;

/// A line that is dialled three times, an answer, and what goes before it.
const TEST_MAX: Duration = Duration::from_secs(600);
/// Parts that are devices: what is wrong with them is status 6.
const DEVICES: [&str; 3] = ["reader", "printer", "drawer"];

/// `posctl test`
pub(crate) async fn test(screen: &Screen, address: Option<&str>, wanted: &Test) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let all = wanted.parts.iter().any(|part| part == "all");
    let parts: Vec<&str> = if all { Vec::new() } else { wanted.parts.iter().map(String::as_str).collect() };
    let (job, properties, items) = run(screen, &terminal, &parts, wanted.level.word()).await?;
    let result = jobs::result(&job, &properties)?;
    screen.answer(jobs::document(&job, &properties, &result), &shown(screen, &items));
    if wanted.level == Level::Interactive && !screen.json {
        screen.note(screen.word(words::LOOK_AT_TEST_PAGE));
    }
    Ok(exit(&items))
}

/// Has the terminal test its parts: the job, its properties at the end, and what was found.
pub(crate) async fn run(
    screen: &Screen,
    terminal: &Terminal,
    parts: &[&str],
    level: &str,
) -> Result<(OwnedObjectPath, Map<String, Json>, Vec<Map<String, Json>>), Failure> {
    let job = terminal.manager().await?.self_test(parts, level, Options::new()).await?;
    let properties = jobs::to_end(screen, terminal, &job, TEST_MAX).await?;
    let result = jobs::result(&job, &properties)?;
    let items = result.get("items").and_then(Json::as_array).cloned().unwrap_or_default();
    Ok((job, properties, items.iter().filter_map(Json::as_object).cloned().collect()))
}

/// What to do about a finding, and what was seen.
pub(crate) fn advice(screen: &Screen, finding: &Map<String, Json>) -> String {
    let seen = [finding.text("detail"), finding.text("evidence")].concat();
    let text = finding.get("text").and_then(Json::as_object).map(|text| text.text(screen.lang.key()));
    match text {
        Some(text) if !text.is_empty() && !seen.is_empty() => format!("{text} ({seen})"),
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => seen,
    }
}

fn shown(screen: &Screen, items: &[Map<String, Json>]) -> String {
    let row = |item: &Map<String, Json>| {
        let (tone, label) =
            if item.yes("ok") { (Tone::Good, words::WELL) } else { (Tone::Bad, words::NOT_WELL) };
        let told = advice(screen, item);
        vec![screen.term(item.text("what")).to_owned(), screen.tone(tone, screen.word(label)), told]
    };
    let head = [words::PART, words::RESULT, words::WHAT_TO_DO];
    table(&head.map(|label| screen.word(label)), &items.iter().map(row).collect::<Vec<_>>())
}

/// A device that is not well is status 6, anything else status 1; what was in use is 10.
fn exit(items: &[Map<String, Json>]) -> Exit {
    let bad: Vec<&Map<String, Json>> = items.iter().filter(|item| !item.yes("ok")).collect();
    if bad.is_empty() {
        return Exit::Done;
    }
    if bad.iter().all(|item| item.text("reason") == "busy") {
        return Exit::Busy;
    }
    if bad.iter().any(|item| DEVICES.contains(&item.text("what"))) { Exit::Device } else { Exit::Failed }
}

/// `posctl reader reset`
pub(crate) async fn reset_reader(screen: &Screen, address: Option<&str>) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let readers = super::status::listed(&terminal.objects().await?, "Reader");
    let Some(reader) = readers.first() else {
        return Err(Failure::named(
            "DeviceAbsent",
            "no reader is known; check its cable, and whether pcscd runs",
        ));
    };
    terminal.reader(reader.text("path")).await?.reset(Options::new()).await?;
    screen.answer(json!({ "reset": true }), screen.word(words::READER_RESET));
    Ok(Exit::Done)
}

/// `posctl security`. What is not met is told, and status 1 where it is of level 1: no shop should open without it.
pub(crate) async fn security(screen: &Screen, address: Option<&str>) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let facts = terminal.maintenance().await?.security(Options::new()).await?;
    let facts: Vec<Map<String, Json>> = facts.into_iter().map(super::client::plain_dict).collect();
    let row = |fact: &Map<String, Json>| {
        let (tone, label) =
            if fact.yes("ok") { (Tone::Good, words::WELL) } else { (Tone::Careful, words::NOT_MET) };
        let text = fact.get("text").and_then(Json::as_object).map(|text| text.text(screen.lang.key()));
        vec![
            fact.number("level").to_string(),
            fact.text("id").to_owned(),
            screen.tone(tone, screen.word(label)),
            fact.text("evidence").to_owned(),
            text.unwrap_or_default().to_owned(),
        ]
    };
    let head = [words::LEVEL, words::GUARD, words::RESULT, words::EVIDENCE, words::WHAT_TO_DO];
    let text = table(&head.map(|label| screen.word(label)), &facts.iter().map(row).collect::<Vec<_>>());
    let bad = |level: u64| facts.iter().any(|fact| !fact.yes("ok") && fact.number("level") == level);
    let met = (1..=3).take_while(|level| !bad(*level)).last().unwrap_or(0);
    screen.answer(json!({ "level": met, "facts": facts }), &text);
    Ok(if met == 0 { Exit::Failed } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::words::Lang;

    fn items(all: Json) -> Vec<Map<String, Json>> {
        all.as_array().unwrap().iter().map(|item| item.as_object().unwrap().clone()).collect()
    }

    /// Goal: the status tells a device from the rest, and what is not well has its text in the language of the screen.
    #[test]
    fn a_part_that_is_not_well_has_its_text_and_status() {
        let good = json!({ "what": "clock", "ok": true, "reason": "", "detail": "fine" });
        let text = json!({ "zh": "缺纸: 请装纸", "en": "no paper: load a roll" });
        let paper =
            json!({ "what": "printer", "ok": false, "reason": "paper-out", "detail": "T88", "text": text });
        let host = json!({ "what": "host", "ok": false, "reason": "refused", "detail": "x" });
        let busy = json!({ "what": "reader", "ok": false, "reason": "busy", "detail": "x" });
        assert_eq!(exit(&items(json!([good]))), Exit::Done);
        assert_eq!(exit(&items(json!([good, host]))), Exit::Failed);
        assert_eq!(exit(&items(json!([paper, host]))), Exit::Device);
        assert_eq!(exit(&items(json!([good, busy]))), Exit::Busy);
        let zh = shown(&Screen::new(false, Lang::Zh), &items(json!([good, paper])));
        assert!(zh.contains("缺纸: 请装纸 (T88)") && zh.contains("打印机"), "{zh}");
    }
}

//! `posctl printer learn`: asks a printer and the person before it, and writes a quirk file.
use super::args::LearnOptions;
use super::client::{Fields as _, Terminal};
use super::failure::{Exit, Failure};
use super::jobs;
use super::screen::Screen;
use super::tty::{self, Question};
use super::words::{self, Pair};
use crate::api::proxy::Options;
use serde_json::{Map, Value as Json, json};
use std::fmt::Write as _;
use std::time::Duration;

/// A printer answers within seconds; one that does not is given up by the daemon before this.
const JOB_MAX: Duration = Duration::from_secs(60);
/// Dots of a character of font A.
const DOTS: u32 = 12;

/// What a person has read on the page; `None`: not asked.
struct Read {
    columns: Option<u32>,
    chinese: Option<bool>,
    cutter: Option<bool>,
}

/// The job, the questions, the file.
#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer; it writes the file it was told to")]
pub(crate) async fn learn(
    screen: &Screen,
    terminal: &Terminal,
    path: &str,
    options: &LearnOptions,
) -> Result<Exit, Failure> {
    let job = terminal.printer(path).await?.learn(Options::new()).await?;
    let properties = jobs::to_end(screen, terminal, &job, JOB_MAX).await?;
    let facts = jobs::result(&job, &properties)?;
    let read = read(screen, options).await?;
    let file = quirk_file(&facts, &read)?;
    let data = json!({ "printer": facts, "file": file });
    match &options.output {
        Some(path) => {
            std::fs::write(path, &file)
                .map_err(|error| Failure::io(&format!("{} cannot be written", path.display()), &error))?;
            screen.answer(data, &format!("{}: {}", screen.word(words::WRITTEN), path.display()));
        }
        None => screen.answer(data, &file),
    }
    screen.note(screen.word(words::QUIRK_NEXT));
    Ok(Exit::Done)
}

async fn read(screen: &Screen, options: &LearnOptions) -> Result<Read, Failure> {
    let mut read = Read { columns: options.columns, chinese: options.chinese, cutter: options.cutter };
    if !screen.interactive {
        return Ok(read);
    }
    if read.columns.is_none() {
        read.columns = Some(ask(screen, words::ASK_COLUMNS, columns).await?);
    }
    if read.chinese.is_none() {
        read.chinese = Some(ask(screen, words::ASK_CHINESE, yes_or_no).await?);
    }
    if read.cutter.is_none() {
        read.cutter = Some(ask(screen, words::ASK_CUTTER, yes_or_no).await?);
    }
    Ok(read)
}

/// Asks until the answer is one; three times at most.
async fn ask<T>(screen: &Screen, question: Pair, of: fn(&str) -> Option<T>) -> Result<T, Failure> {
    for _ in 0..3 {
        let line = tty::line(Question::open(screen.word(question))?).await?;
        if let Some(answer) = std::str::from_utf8(&line).ok().map(str::trim).and_then(of) {
            return Ok(answer);
        }
    }
    Err(Failure::usage("no answer that fits; nothing was written"))
}

fn columns(text: &str) -> Option<u32> {
    text.parse().ok().filter(|columns| (16..=80).contains(columns))
}

/// As a person answers in either language.
pub(crate) fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "y" | "yes" | "是" => Some(true),
        "n" | "no" | "否" => Some(false),
        _ => None,
    }
}

/// The file: who it is for, and what is so. What is as of any printer is left out.
fn quirk_file(facts: &Map<String, Json>, read: &Read) -> Result<String, Failure> {
    let (usb, model) = (facts.text("usb"), facts.text("model"));
    if usb.is_empty() && model.is_empty() {
        return Err(Failure::named(
            "NotSupported",
            "the printer tells neither a USB identity nor a model; use posd.toml",
        ));
    }
    let mut file = format!("# {} {} {}\n[[printer]]\n", facts.text("maker"), model, facts.text("firmware"));
    // Writing into a text cannot fail.
    let mut line = |key: &str, value: String| writeln!(file, "{key} = {value}").unwrap_or_default();
    // JSON and TOML write these texts alike.
    for (key, value) in [("usb", usb), ("model", model)] {
        if !value.is_empty() {
            line(key, Json::from(value).to_string());
        }
    }
    if let Some(columns) = read.columns {
        line("width-dots", columns.saturating_mul(DOTS).next_multiple_of(8).to_string());
    }
    let said = |key: &str| match facts.text(key) {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    if let Some(chinese) = read.chinese.or_else(|| said("chinese")) {
        line("chinese", if chinese { "\"gb18030\"" } else { "\"raster\"" }.to_owned());
    }
    if let Some(cutter) = read.cutter.or_else(|| said("cutter")) {
        line("cutter", cutter.to_string());
    }
    if !facts.yes("status") {
        line("status", "false".to_owned());
    }
    line("proof", Json::from(facts.text("proof")).to_string());
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::quirks;
    use std::path::Path;

    /// Goal: what posctl writes, posd reads, and it says what the printer and the person said.
    #[test]
    fn the_file_is_one_that_posd_reads() {
        let facts = json!({ "usb": "0416:5011", "maker": "M", "model": "POS\"58", "firmware": "1.0",
            "status": false, "proof": "none", "cutter": "unknown", "chinese": "yes" });
        let facts = facts.as_object().unwrap();
        let read = Read { columns: Some(32), chinese: Some(false), cutter: Some(false) };
        let file = quirk_file(facts, &read).unwrap();
        let quirks = quirks::read(Path::new("x.toml"), &file).unwrap();
        let usb = quirks::UsbId::read("0416:5011");
        let (_, said) = quirks::apply(&quirks, usb, "POS\"58");
        let wanted = ["width-dots=384", "chinese=raster", "cutter=false", "status=false", "proof=none"];
        assert_eq!(said, wanted.map(|said| format!("{said} (x.toml)")));
        assert!(quirks::apply(&quirks, usb, "other").1.is_empty());
        let nobody = json!({ "usb": "", "model": "" });
        assert!(quirk_file(nobody.as_object().unwrap(), &read).is_err());
    }
}

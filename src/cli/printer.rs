//! `posctl printer …`, and what becomes of paper that another command wants printed.
use super::args::{Ply, Printer};
use super::client::{Fields as _, Terminal, next};
use super::failure::{Exit, Failure};
use super::leave::{given, with_leave};
use super::screen::{Screen, Tone, pairs};
use super::status::{Properties, listed};
use super::words::{self, Pair};
use crate::api::proxy::{BUS_NAME, Options};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use zbus::zvariant::OwnedObjectPath;

/// The action of opening the cash drawer.
const DRAWER: &str = "drawer";
/// How long a print is watched. After it the job goes on by itself.
const PRINT_MAX: Duration = Duration::from_secs(60);

/// `posctl printer …`
pub(crate) async fn printer(screen: &Screen, address: Option<&str>, verb: &Printer) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let printers = listed(&terminal.objects().await?, "Printer");
    let Some(printer) = printers.first() else {
        return Err(Failure::named("DeviceAbsent", "no printer is connected; check cable and power"));
    };
    match verb {
        Printer::Status => {
            screen.answer(json!({ "printer": printer }), &facts(screen, printer));
            Ok(Exit::Done)
        }
        Printer::Test => test(screen, &terminal, printer.text("path")).await,
        Printer::Learn(options) => {
            super::learn::learn(screen, &terminal, printer.text("path"), options).await
        }
        Printer::OpenDrawer { leave } => {
            let drawer = terminal.drawer(printer.text("path")).await?;
            let token = given(&terminal, screen, leave, DRAWER, 0).await?;
            with_leave(&terminal, screen, token, async |options| drawer.open(options).await).await?;
            screen.answer(json!({ "opened": true }), screen.word(words::DRAWER_OPENED));
            Ok(Exit::Done)
        }
    }
}

/// `posctl printer test`: the page, what became of it, and what to look for on it.
async fn test(screen: &Screen, terminal: &Terminal, path: &str) -> Result<Exit, Failure> {
    let job = terminal.printer(path).await?.test_page(Options::new()).await?;
    let job = watch_print(terminal, Ply::Merchant, &job).await?;
    let exit = printed(screen, std::slice::from_ref(&job), &json!({ "print-job": job }))?;
    if !screen.json {
        screen.note(screen.word(words::LOOK_AT_TEST_PAGE));
    }
    Ok(exit)
}

/// All that is known of a printer, for people.
fn facts(screen: &Screen, printer: &Properties) -> String {
    let named = |key: &str, names: &[(&str, Pair)]| {
        let word = printer.text(key);
        let name = names.iter().find(|(known, _)| *known == word);
        name.map_or_else(|| word.to_owned(), |(_, pair)| screen.word(*pair).to_owned())
    };
    let ready = screen.tone(
        if printer.yes("online") { Tone::Good } else { Tone::Bad },
        screen.word(if printer.yes("online") { words::ONLINE } else { words::OFFLINE }),
    );
    let heat = if printer.yes("overheated") { screen.word(words::TOO_HOT).to_owned() } else { String::new() };
    let width = format!("{} dots, {} columns", printer.number("dots"), printer.number("columns"));
    let statistics = printer.get("statistics").and_then(Json::as_object).cloned().unwrap_or_default();
    let count = |key: &str| statistics.number(key);
    let prints = format!(
        "{}: {} {}, {} {}, {} {}",
        count("jobs"),
        count("confirmed"),
        screen.term("confirmed"),
        count("unconfirmed"),
        screen.term("unconfirmed"),
        count("held"),
        screen.term("held"),
    );
    let quirks = printer.get("quirks").and_then(Json::as_array).cloned().unwrap_or_default();
    let quirks = quirks.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", ");
    pairs(&[
        (screen.word(words::MODEL), printer.text("model").to_owned()),
        (screen.word(words::DEVICE), printer.text("device").to_owned()),
        (screen.word(words::STATE), ready),
        (screen.word(words::PAPER_LABEL), named("paper", PAPER)),
        (screen.word(words::COVER_LABEL), named("cover", COVER)),
        (screen.word(words::CUTTER), named("cutter", CUTTER)),
        (screen.word(words::ATTENTION), heat),
        (screen.word(words::WIDTH), width),
        (screen.word(words::PROOF), named("evidence", EVIDENCE)),
        (screen.word(words::QUIRKS), quirks),
        (screen.word(words::WAITING_JOBS), printer.number("queue-depth").to_string()),
        (screen.word(words::SLIPS), prints),
    ])
}

const NOT_KNOWN: Pair = Pair("不明", "not known");
const PAPER: &[(&str, Pair)] = &[
    ("ok", Pair("有纸", "ok")),
    ("low", Pair("将尽, 请备纸", "nearly out: have a roll ready")),
    ("out", Pair("缺纸, 请装纸", "out: load paper")),
    ("unknown", NOT_KNOWN),
];
const COVER: &[(&str, Pair)] = &[
    ("closed", Pair("已合上", "closed")),
    ("open", Pair("打开, 请合上", "open: close it")),
    ("unknown", NOT_KNOWN),
];
const CUTTER: &[(&str, Pair)] = &[
    ("ok", Pair("正常", "ok")),
    ("error", Pair("卡住, 请关机清理", "stuck: switch off and clear it")),
    ("unknown", NOT_KNOWN),
];
/// What the printer can prove, in words.
const EVIDENCE: &[(&str, Pair)] = &[
    ("process-id", Pair("打印机确认每张打完 (GS ( H)", "it tells when each slip is out (GS ( H)")),
    ("asb", Pair("打印机自动报告状态 (ASB)", "it reports its state by itself (ASB)")),
    ("poll", Pair("打印时查询状态 (DLE EOT)", "it is asked while it prints (DLE EOT)")),
    ("none", Pair("无, 每张都要看", "nothing: look at each slip")),
];

/// A printer on one line.
pub(crate) fn printer_line(screen: &Screen, printer: &Properties) -> String {
    let online = if printer.yes("online") {
        screen.tone(Tone::Good, screen.word(words::ONLINE))
    } else {
        screen.tone(Tone::Bad, screen.word(words::OFFLINE))
    };
    let model = match printer.text("model") {
        "" => printer.text("device"),
        model => model,
    };
    let mut line = format!("{model}  {online}");
    for (key, label) in [("paper", words::PAPER), ("cover", words::COVER)] {
        if !matches!(printer.text(key), "" | "unknown") {
            line.push_str(&format!(", {} {}", screen.word(label), printer.text(key)));
        }
    }
    if printer.number("queue-depth") > 0 {
        line.push_str(&format!(", {} {}", printer.number("queue-depth"), screen.word(words::JOBS_WAITING)));
    }
    line
}

/// What came of print jobs; a slip that is not out is a device that is not ready.
pub(crate) fn printed(screen: &Screen, jobs: &[Map<String, Json>], data: &Json) -> Result<Exit, Failure> {
    let states: Vec<&str> = jobs.iter().map(|job| job.text("state")).collect();
    let text: String = jobs.iter().map(|job| print_line(screen, job)).collect();
    if states.iter().any(|state| matches!(*state, "held" | "failed")) {
        let failure =
            Failure::new(Exit::Device, "NotReady", "the printer is not ready; a held slip prints by itself");
        return Err(failure.with("print-jobs", json!(jobs)));
    }
    screen.answer(data.clone(), &text);
    Ok(Exit::Done)
}

fn print_line(screen: &Screen, job: &Map<String, Json>) -> String {
    let more = match job.text("state") {
        "unconfirmed" => screen.word(words::UNCONFIRMED),
        "held" => screen.word(words::HELD),
        _ => "",
    };
    format!("{}  {}  {more}\n", screen.term(job.text("ply")), screen.term(job.text("state")))
}

/// Watches a print job until nothing more happens to it by itself.
pub(crate) async fn watch_print(
    terminal: &Terminal,
    ply: Ply,
    job: &OwnedObjectPath,
) -> Result<Map<String, Json>, Failure> {
    let rule = zbus::MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(BUS_NAME)?;
    let rule = rule.path(job.clone())?.build();
    let mut changes = zbus::MessageStream::for_match_rule(rule, &terminal.bus, Some(64)).await?;
    let settle = async {
        loop {
            let properties = terminal.properties(job, "PrintJob").await?;
            if !matches!(properties.text("state"), "queued" | "printing") {
                return Ok(properties);
            }
            if next(&mut changes).await.is_none() {
                return Err(Failure::no_daemon("the bus is gone"));
            }
        }
    };
    let mut properties = match tokio::time::timeout(PRINT_MAX, settle).await {
        Ok(properties) => properties?,
        Err(_) => terminal.properties(job, "PrintJob").await?,
    };
    properties.insert("path".to_owned(), job.as_str().into());
    properties.insert("ply".to_owned(), ply.word().into());
    Ok(properties)
}

//! `posctl explain`: everything a technician may want to know of one transaction, in words.
use super::args::Which;
use super::client::{Fields as _, Terminal, plain_dict};
use super::failure::{Exit, Failure};
use super::screen::{Screen, major, money, pairs, table};
use super::trade::said;
use super::words::{self, Pair};
use crate::api::proxy::Options;
use crate::domain::emv::results::{Aip, Capabilities, Tsi, Tvr};
use serde_json::{Map, Value as Json, json};

type Row = Map<String, Json>;

/// `posctl explain`
pub(crate) async fn explain(screen: &Screen, address: Option<&str>, which: &Which) -> Result<Exit, Failure> {
    let terminal = Terminal::connect(address).await?;
    let path = terminal.which(which).await?;
    let mut properties = terminal.properties(&path, "Transaction").await?;
    let transaction = terminal.transaction(&path).await?;
    let timeline = transaction.get_timeline(Options::new()).await?;
    let timeline: Vec<Row> = timeline.into_iter().map(plain_dict).collect();
    // Of one that has only begun nothing is stored.
    let facts = match transaction.explain(Options::new()).await.map_err(Failure::from) {
        Ok(facts) => plain_dict(facts),
        Err(failure) if failure.name == "WrongState" => Row::new(),
        Err(failure) => return Err(failure),
    };
    let text = page(screen, &properties, &facts, &timeline);
    properties.insert("transaction".to_owned(), path.as_str().into());
    properties.insert("facts".to_owned(), Json::Object(facts));
    properties.insert("timeline".to_owned(), json!(timeline));
    screen.answer(Json::Object(properties), &text);
    Ok(Exit::Done)
}

fn page(screen: &Screen, properties: &Row, facts: &Row, timeline: &[Row]) -> String {
    let mut text = head(screen, properties);
    let mut section = |title: Pair, body: String| {
        if !body.is_empty() {
            text.push_str(&format!("\n{}\n{}", screen.word(title), indented(&body)));
        }
    };
    section(words::TIMELINE, timeline_lines(screen, timeline));
    section(words::REQUEST, fields(facts, "request", REQUEST));
    section(words::ANSWER, fields(facts, "answer", ANSWER));
    section(words::CHIP, chip(facts));
    section(words::OBLIGATIONS, obligations(screen, &rows(facts, "obligations")));
    section(words::PRINTS, plies(screen, &rows(facts, "plies")));
    section(words::FOLLOW_UPS, follow_ups(screen, &rows(facts, "follow-ups")));
    if facts.is_empty() {
        text.push_str(&format!("\n{}\n", screen.word(words::NOT_STORED)));
    }
    text
}

fn head(screen: &Screen, properties: &Row) -> String {
    let own = |key| properties.text(key).to_owned();
    let term = |key| screen.term(properties.text(key)).to_owned();
    let number = |key| match properties.number(key) {
        0 => String::new(),
        number => format!("{number:06}"),
    };
    let original = match properties.text("original") {
        "/" => "",
        path => path.rsplit('/').next().unwrap_or_default(),
    };
    let amount = match properties.minor("amount") {
        0 => String::new(),
        minor => money(minor, properties.text("currency")),
    };
    pairs(&[
        (screen.word(words::KIND), term("kind")),
        (screen.word(words::AMOUNT), amount),
        (screen.word(words::OUTCOME), term("outcome")),
        (screen.word(words::RESULT), said(screen, properties)),
        (screen.word(words::BATCH), number("batch")),
        (screen.word(words::TRACE), number("trace")),
        (screen.word(words::CARD), own("masked-pan")),
        (screen.word(words::ENTRY_MODE), term("entry-mode")),
        (screen.word(words::CVM), term("cvm-method")),
        (screen.word(words::OPERATOR), own("operator")),
        (screen.word(words::ORIGINAL), original.to_owned()),
        (screen.word(words::REQUEST_ID), own("request-id")),
        (screen.word(words::TIME), screen.time(properties.number("created-at"))),
    ])
}

fn indented(body: &str) -> String {
    body.lines().map(|line| format!("  {line}\n")).collect()
}

fn rows(facts: &Row, key: &str) -> Vec<Row> {
    let list = facts.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Json::as_object).cloned().collect()
}

/// With milliseconds between the lines: what took long is what a technician looks for.
fn timeline_lines(screen: &Screen, timeline: &[Row]) -> String {
    let mut before = timeline.first().map_or(0, |row| row.number("t"));
    let mut out = String::new();
    for row in timeline {
        let (at, what) = (row.number("t"), row.text("what"));
        let passed = at.saturating_sub(before) / 1000;
        before = at;
        let text =
            if row.text("text").is_empty() { String::new() } else { format!("  {}", row.text("text")) };
        out.push_str(&format!("{}  {:>7}  {what}{text}\n", screen.short_time(at), format!("+{passed}ms")));
    }
    out
}

/// Fields of a message: key of the facts, number of the element, name.
type Names = &'static [(&'static str, &'static str, &'static str)];

const REQUEST: Names = &[
    ("mti", "MTI", "message type"),
    ("processing-code", "3", "processing code"),
    ("entry-mode", "22", "entry mode"),
    ("condition", "25", "condition"),
    ("terminal-id", "41", "terminal"),
    ("merchant-id", "42", "merchant"),
    ("message-type", "60.1", "transaction type"),
    ("capability", "60.4-6", "capability, condition, partial"),
    ("original", "61", "original"),
];

const ANSWER: Names = &[
    ("host-time", "12, 13", "host's time"),
    ("settlement-date", "15", "settlement date"),
    ("acquirer", "32", "acquirer"),
    ("rrn", "37", "reference number"),
    ("auth-code", "38", "authorisation code"),
    ("response-code", "39", "response code"),
    ("institutions", "44", "institutions"),
    ("balance", "54", "balance"),
    ("organisation", "63.1", "card organisation"),
    ("text", "63.2", "text"),
];

fn fields(facts: &Row, key: &str, names: Names) -> String {
    let Some(found) = facts.get(key).and_then(Json::as_object) else { return String::new() };
    let line = |(key, element, name): &(&str, &str, &str)| {
        let value = found.get(*key).and_then(Json::as_str)?;
        Some(format!("{element:<7} {name:<30}  {value}\n"))
    };
    names.iter().filter_map(line).collect()
}

/// Chip facts with their bits in words, as EMV names them.
fn chip(facts: &Row) -> String {
    let Some(found) = facts.get("chip").and_then(Json::as_object) else { return String::new() };
    let mut out = String::new();
    for (name, value) in found {
        let hex = value.as_str().unwrap_or_default();
        out.push_str(&format!("{name:<9} {hex}\n"));
        for bit in bits(name, hex) {
            out.push_str(&format!("            {bit}\n"));
        }
    }
    out
}

fn bits(name: &str, hex: &str) -> Vec<&'static str> {
    fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
        let pair = |at: usize| u8::from_str_radix(hex.get(at..at.checked_add(2)?)?, 16).ok();
        let all: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(pair).collect();
        all?.try_into().ok()
    }
    match name {
        "TVR" => bytes(hex).map(|bytes| Tvr::new(bytes).names()),
        "TSI" => bytes(hex).map(|bytes| Tsi::new(bytes).names()),
        "AIP" => bytes(hex).map(|bytes| Aip::new(bytes).names()),
        "TermCap" => bytes(hex).map(|bytes| Capabilities::new(bytes).names()),
        _ => None,
    }
    .unwrap_or_default()
}

fn obligations(screen: &Screen, rows: &[Row]) -> String {
    let line = |row: &Row| {
        let mut parts = vec![
            screen.term(row.text("type")).to_owned(),
            screen.term(row.text("state")).to_owned(),
            format!("{} {}", row.number("attempts"), screen.word(words::ATTEMPTS)),
            screen.short_time(row.number("created-at")),
        ];
        for (label, key) in [("39 =", "reason"), ("->", "response-code"), ("", "last-error")] {
            if !row.text(key).is_empty() {
                parts.push(format!("{label} {}", row.text(key)).trim().to_owned());
            }
        }
        if !row.text("resolution").is_empty() {
            parts.push(format!("{}: {}", screen.word(words::CLOSED_BY), screen.term(row.text("resolution"))));
        }
        format!("{}\n", parts.join(", "))
    };
    rows.iter().map(line).collect()
}

fn plies(screen: &Screen, rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let copy = match row.number("copy") {
            0 => screen.word(words::ORIGINAL_PLY).to_owned(),
            number => format!("{} {number}", screen.word(words::COPY)),
        };
        let (ply, state) = (screen.term(row.text("ply")), screen.term(row.text("state")));
        vec![ply.to_owned(), copy, state.to_owned(), row.text("reason").to_owned()]
    };
    without_head(&rows.iter().map(cells).collect::<Vec<_>>())
}

fn follow_ups(screen: &Screen, rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let id = row.text("transaction").rsplit('/').next().unwrap_or_default();
        let (kind, outcome) = (screen.term(row.text("kind")), screen.term(row.text("outcome")));
        vec![kind.to_owned(), major(row.minor("amount")), outcome.to_owned(), id.to_owned()]
    };
    without_head(&rows.iter().map(cells).collect::<Vec<_>>())
}

fn without_head(rows: &[Vec<String>]) -> String {
    table(&["", "", "", ""], rows).lines().skip(1).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_told_in_words_and_odd_values_are_left_alone() {
        assert_eq!(
            bits("TVR", "8000040000"),
            ["offline data authentication was not performed", "online PIN entered"]
        );
        assert!(bits("TVR", "80").is_empty() && bits("TVR", "8").is_empty() && bits("TC", "00").is_empty());
    }
}

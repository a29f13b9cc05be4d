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
    let mut follow_ups = Vec::new();
    for mut row in rows(&facts, "follow-ups") {
        row.insert("trace".to_owned(), terminal.trace_of(row.text("transaction")).await.into());
        follow_ups.push(row);
    }
    let original = match properties.text("original") {
        "/" | "" => String::new(),
        path => terminal.trace_of(path).await,
    };
    let text = format!(
        "{}{}",
        head(screen, &properties, original),
        sections(screen, &facts, &timeline, &follow_ups)
    );
    properties.insert("transaction".to_owned(), path.as_str().into());
    properties.insert("facts".to_owned(), Json::Object(facts));
    properties.insert("timeline".to_owned(), json!(timeline));
    screen.answer(Json::Object(properties), &text);
    Ok(Exit::Done)
}

fn sections(screen: &Screen, facts: &Row, timeline: &[Row], followers: &[Row]) -> String {
    let mut text = String::new();
    let mut section = |title: Pair, body: String| {
        if !body.is_empty() {
            text.push_str(&format!("\n{}\n{}", screen.word(title), indented(&body)));
        }
    };
    section(words::TIMELINE, timeline_lines(screen, timeline));
    section(words::REQUEST, fields(screen, facts, "request", REQUEST));
    section(words::ANSWER, fields(screen, facts, "answer", ANSWER));
    section(words::CHIP, chip(facts));
    section(words::OBLIGATIONS, obligations(screen, &rows(facts, "obligations")));
    section(words::PRINTS, plies(screen, &rows(facts, "plies")));
    section(words::FOLLOW_UPS, follow_ups(screen, followers));
    if facts.is_empty() {
        text.push_str(&format!("\n{}\n", screen.word(words::NOT_STORED)));
    }
    text
}

fn head(screen: &Screen, properties: &Row, original: String) -> String {
    let own = |key| properties.text(key).to_owned();
    let term = |key| screen.term(properties.text(key)).to_owned();
    let number = |key| match properties.number(key) {
        0 => String::new(),
        number => format!("{number:06}"),
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
        (screen.word(words::CVM), screen.verified(properties.text("cvm-method")).to_owned()),
        (screen.word(words::OPERATOR), own("operator")),
        (screen.word(words::ORIGINAL), original),
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
type Names = &'static [(&'static str, &'static str, Pair)];

const REQUEST: Names = &[
    ("mti", "MTI", Pair("消息类型", "message type")),
    ("processing-code", "3", Pair("交易处理码", "processing code")),
    ("entry-mode", "22", Pair("输入方式", "entry mode")),
    ("condition", "25", Pair("服务点条件码", "condition")),
    ("terminal-id", "41", Pair("终端号", "terminal")),
    ("merchant-id", "42", Pair("商户号", "merchant")),
    ("message-type", "60.1", Pair("交易类型码", "transaction type")),
    ("capability", "60.4-6", Pair("终端能力, 部分批准", "capability, partial approval")),
    ("original", "61", Pair("原交易信息", "original")),
];

const ANSWER: Names = &[
    ("host-time", "12, 13", Pair("主机时间", "time of the host")),
    ("settlement-date", "15", Pair("清算日期", "settlement date")),
    ("acquirer", "32", Pair("受理机构", "acquirer")),
    ("rrn", "37", Pair("参考号", "reference number")),
    ("auth-code", "38", Pair("授权码", "authorisation code")),
    ("response-code", "39", Pair("应答码", "response code")),
    ("institutions", "44", Pair("发卡行, 收单行", "issuer and acquirer")),
    ("balance", "54", Pair("余额", "balance")),
    ("organisation", "63.1", Pair("卡组织", "card organisation")),
    ("text", "63.2", Pair("附加信息", "text")),
];

fn fields(screen: &Screen, facts: &Row, key: &str, names: Names) -> String {
    let Some(found) = facts.get(key).and_then(Json::as_object) else { return String::new() };
    let cells = |(key, element, name): &(&str, &str, Pair)| {
        let value = found.get(*key).and_then(Json::as_str)?;
        Some(vec![(*element).to_owned(), screen.word(*name).to_owned(), value.to_owned()])
    };
    without_head(&names.iter().filter_map(cells).collect::<Vec<_>>())
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
            format!("{} {}", row.number("attempts"), screen.word(words::TRIES)),
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
        let (kind, outcome) = (screen.term(row.text("kind")), screen.term(row.text("outcome")));
        vec![kind.to_owned(), major(row.minor("amount")), outcome.to_owned(), row.text("trace").to_owned()]
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

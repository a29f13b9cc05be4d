//! `posctl status`, `reader list`: the terminal on one screen, from one call.
use super::args::Reader;
use super::client::{Fields as _, Objects, Terminal, root};
use super::failure::{Exit, Failure};
use super::printer::printer_line;
use super::screen::{Screen, Tone, major, pairs, table};
use super::words;
use crate::domain::text::names;
use serde_json::{Map, Value as Json, json};

/// Properties of one object.
pub(crate) type Properties = Map<String, Json>;

/// `posctl status`
pub(crate) async fn status(screen: &Screen, address: Option<&str>) -> Result<Exit, Failure> {
    let objects = Terminal::connect(address).await?.objects().await?;
    let part = |interface: &str| root_part(&objects, interface);
    let data = json!({
        "terminal": part("Manager"),
        "operators": part("Operators"),
        "host": part("Host"),
        "queue": part("Queue"),
        "ledger": part("Ledger"),
        "readers": listed(&objects, "Reader"),
        "printers": listed(&objects, "Printer"),
        "links": listed(&objects, "Link"),
    });
    screen.answer(data, &overview(screen, &objects));
    Ok(Exit::Done)
}

/// `posctl reader list`
pub(crate) async fn readers(screen: &Screen, address: Option<&str>, verb: &Reader) -> Result<Exit, Failure> {
    if matches!(verb, Reader::Reset) {
        return super::care::reset_reader(screen, address).await;
    }
    let objects = Terminal::connect(address).await?.objects().await?;
    let readers = listed(&objects, "Reader");
    let text = if readers.is_empty() {
        screen.word(words::NONE).to_owned()
    } else {
        let cells = |reader: &Properties| {
            vec![
                reader.text("name").to_owned(),
                reader.text("kind").to_owned(),
                reader.text("state").to_owned(),
                screen
                    .word(if reader.yes("card-present") { words::CARD_IN } else { words::NO_CARD })
                    .to_owned(),
                reader_reasons(screen, reader),
            ]
        };
        let head = [words::READER, words::TYPE, words::STATE, words::CARD, words::ATTENTION];
        table(&head.map(|label| screen.word(label)), &readers.iter().map(cells).collect::<Vec<_>>())
    };
    screen.answer(json!({ "readers": readers }), &text);
    Ok(Exit::Done)
}

/// Properties of one interface of the root object; empty if it is not there.
pub(crate) fn root_part(objects: &Objects, interface: &str) -> Properties {
    objects.get(root().as_str()).and_then(|interfaces| interfaces.get(interface)).cloned().unwrap_or_default()
}

/// All objects with an interface, each with its path.
pub(crate) fn listed(objects: &Objects, interface: &str) -> Vec<Properties> {
    let with_path = |(path, interfaces): (&String, &std::collections::BTreeMap<String, Properties>)| {
        let mut properties = interfaces.get(interface)?.clone();
        properties.insert("path".to_owned(), path.as_str().into());
        Some(properties)
    };
    objects.iter().filter_map(with_path).collect()
}

/// The words of a `reasons` list.
fn reasons(properties: &Properties) -> String {
    let words = |list: &Vec<Json>| list.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" ");
    let list = properties.get("reasons").or_else(|| properties.get("state-reasons")).and_then(Json::as_array);
    list.map(words).unwrap_or_default()
}

/// Why a reader does not work, for people; words that nobody knows stand for themselves.
fn reader_reasons(screen: &Screen, reader: &Properties) -> String {
    let words = reasons(reader);
    let said = |word: &str| names::reader_reason(word).map(|both| screen.bilingual(&both));
    let each = words.split_whitespace().map(|word| said(word).unwrap_or_else(|| word.to_owned()));
    each.collect::<Vec<_>>().join("; ")
}

/// The whole screen for people.
fn overview(screen: &Screen, objects: &Objects) -> String {
    let terminal = root_part(objects, "Manager");
    let mut rows = vec![
        (screen.word(words::TERMINAL), terminal_line(screen, &terminal)),
        (screen.word(words::MERCHANT), terminal.text("merchant-name").to_owned()),
        (screen.word(words::OPERATOR), operator_line(screen, &root_part(objects, "Operators"))),
        (screen.word(words::HOST), host_line(screen, &root_part(objects, "Host"))),
        (screen.word(words::QUEUE), queue_line(screen, &root_part(objects, "Queue"))),
        (screen.word(words::STORED), offline_line(screen, &root_part(objects, "Queue"))),
        (screen.word(words::BATCH), batch_line(screen, &root_part(objects, "Ledger"))),
    ];
    let readers = listed(objects, "Reader");
    if readers.is_empty() {
        rows.push((screen.word(words::READER), screen.tone(Tone::Bad, screen.word(words::ABSENT))));
    }
    rows.extend(readers.iter().map(|reader| (screen.word(words::READER), reader_line(screen, reader))));
    let printers = listed(objects, "Printer");
    if printers.is_empty() {
        rows.push((screen.word(words::PRINTER), screen.tone(Tone::Bad, screen.word(words::ABSENT))));
    }
    rows.extend(printers.iter().map(|printer| (screen.word(words::PRINTER), printer_line(screen, printer))));
    if !terminal.yes("clock-trusted") {
        rows.push((
            screen.word(words::CLOCK),
            screen.tone(Tone::Careful, screen.word(words::CLOCK_UNTRUSTED)),
        ));
    }
    if !matches!(terminal.text("active-transaction"), "" | "/") {
        rows.push((screen.word(words::TRANSACTION), terminal.text("active-transaction").to_owned()));
    }
    let mut why: Vec<String> = reasons(&terminal).split_whitespace().map(str::to_owned).collect();
    let queue = root_part(objects, "Queue");
    for (holds, reason) in
        [(queue.yes("paused"), "queue-paused"), (queue.number("unresolved-count") > 0, "queue-unresolved")]
    {
        if holds && !why.iter().any(|known| known == reason) {
            why.push(reason.to_owned());
        }
    }
    if why.iter().any(|reason| reason == "certificate-expiring") {
        let host = root_part(objects, "Host");
        let ends = [
            (words::HOST_CERTIFICATE, screen.time(host.number("certificate-until"))),
            (words::OWN_CERTIFICATE, screen.time(host.number("own-certificate-until"))),
        ];
        let known = ends.into_iter().filter(|(_, time)| !time.is_empty());
        rows.extend(known.map(|(label, time)| (screen.word(label), screen.tone(Tone::Careful, &time))));
    }
    for reason in why.iter().map(String::as_str) {
        let said = match words::remedy(reason) {
            Some(pair) => screen.word(pair).to_owned(),
            None => names::reason(reason).map_or_else(|| reason.to_owned(), |both| screen.bilingual(&both)),
        };
        rows.push((screen.word(words::ATTENTION), screen.tone(Tone::Careful, &said)));
    }
    pairs(&rows)
}

fn terminal_line(screen: &Screen, terminal: &Properties) -> String {
    let state = terminal.text("state");
    let tone = match state {
        "ready" | "trading" => Tone::Good,
        "fault" => Tone::Bad,
        _ => Tone::Careful,
    };
    let identity = format!("{} · {}", terminal.text("terminal-id"), terminal.text("merchant-id"));
    format!("{}  {}", screen.tone(tone, screen.term(state)), screen.tone(Tone::Dim, &identity))
}

fn operator_line(screen: &Screen, operators: &Properties) -> String {
    match operators.text("current") {
        "" => screen.tone(Tone::Careful, screen.word(words::NOBODY)),
        current => format!("{current} ({})", screen.term(operators.text("role"))),
    }
}

fn host_line(screen: &Screen, host: &Properties) -> String {
    let signed_on = if host.yes("signed-on") {
        screen.tone(Tone::Good, screen.word(words::SIGNED_ON))
    } else {
        screen.tone(Tone::Careful, screen.word(words::SIGNED_OFF))
    };
    let reachable = match host.text("reachable") {
        "yes" => format!(", {}", screen.word(words::REACHABLE)),
        "no" => format!(", {}", screen.tone(Tone::Bad, screen.word(words::UNREACHABLE))),
        _ => String::new(),
    };
    let last = match screen.time(host.number("last-exchange")) {
        time if time.is_empty() => String::new(),
        time => format!(", {} {time}", screen.word(words::LAST_EXCHANGE)),
    };
    format!("{signed_on}{reachable}{last}")
}

fn queue_line(screen: &Screen, queue: &Properties) -> String {
    let mut parts = Vec::new();
    let mut count = |key, label| match queue.number(key) {
        0 => {}
        number => parts.push(format!("{number} {}", screen.word(label))),
    };
    count("depth", words::ENTRIES);
    count("pending-reversals", words::REVERSALS);
    count("unresolved-count", words::UNRESOLVED);
    count("parked-count", words::PARKED);
    if queue.yes("paused") {
        parts.push(format!("{} ({})", screen.word(words::PAUSED), queue.text("paused-why")));
    }
    if parts.is_empty() {
        return screen.word(words::EMPTY).to_owned();
    }
    if !queue.text("last-error").is_empty() {
        parts.push(queue.text("last-error").to_owned());
    }
    screen.tone(Tone::Careful, &parts.join(", "))
}

/// Sales that the bank has not heard of, and how many more there may be; empty without any.
fn offline_line(screen: &Screen, queue: &Properties) -> String {
    if queue.minor("stored-amount") == 0 {
        return String::new();
    }
    let (stored, left) = (major(queue.minor("stored-amount")), major(queue.minor("remaining-amount")));
    format!("{stored}, {} {left} / {}", screen.word(words::REMAINING), queue.number("remaining-count"))
}

fn batch_line(screen: &Screen, ledger: &Properties) -> String {
    let counts = ledger.get("counts").and_then(Json::as_object);
    let total: u64 = counts.map_or(0, |counts| counts.values().filter_map(Json::as_u64).sum());
    let number = ledger.number("batch");
    let state = match ledger.text("batch-state") {
        "open" => screen.term("open").to_owned(),
        state => screen.tone(Tone::Careful, screen.term(state)),
    };
    format!("{number:06}  {state}, {total} {}", screen.word(words::TRANSACTIONS))
}

fn reader_line(screen: &Screen, reader: &Properties) -> String {
    let state = reader.text("state");
    let tone = if matches!(state, "ready" | "busy") { Tone::Good } else { Tone::Bad };
    let card = screen.word(if reader.yes("card-present") { words::CARD_IN } else { words::NO_CARD });
    let line = format!("{}  {}, {card}", reader.text("name"), screen.tone(tone, screen.term(state)));
    match reader_reasons(screen, reader) {
        why if why.is_empty() => line,
        why => format!("{line} ({why})"),
    }
}

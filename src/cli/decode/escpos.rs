//! `decode escpos`: printer bytes as texts and commands, a row each.
use super::input::{Candidate, candidates, given};
use super::layout::{Page, Row};
use super::{card_data, end, malformed};
use crate::cli::args::Input;
use crate::cli::failure::{Exit, Failure};
use crate::cli::screen::{Screen, Tone};
use crate::cli::words;
use crate::domain::escpos::{Step, Stream, What, read};
use crate::domain::unionpay::describe::CardData;
use serde_json::{Value as Json, json};

/// Columns of names: `DLE EOT` and `GS ( H` fit.
const NAME: usize = 8;

pub(super) fn run(screen: &Screen, input: &Input) -> Result<Exit, Failure> {
    let found = candidates(&given(input)?)?;
    let (stream, candidate) = best(&found, card_data(input));
    let failure = stream.failure.as_ref().map(|short| {
        let place = if candidate.in_text { format!(" in {}", candidate.found) } else { String::new() };
        malformed(format!("{short}{place}")).with("offset", short.offset)
    });
    let data = stream.steps.iter().map(|step| document(screen, step)).collect();
    end(screen, data, &text(screen, &stream), failure)
}

/// The first candidate in which everything is known, else the one with the fewest surprises.
fn best(found: &[Candidate], show: CardData) -> (Stream, Candidate) {
    let read = found.iter().map(|candidate| (read(&candidate.bytes, show), candidate));
    let surprises = |stream: &Stream| stream.unknown().saturating_add(usize::from(stream.failure.is_some()));
    let least = read.min_by_key(|(stream, _)| surprises(stream));
    let nothing = || (Stream::default(), Candidate { bytes: vec![], found: String::new(), in_text: false });
    least.map_or_else(nothing, |(stream, candidate)| (stream, candidate.clone()))
}

fn document(screen: &Screen, step: &Step) -> Json {
    let mut document = json!({ "offset": step.offset, "length": step.length });
    let parts = match &step.what {
        What::Text(text) => json!({ "text": text }),
        What::Unknown(bytes) => json!({ "unknown": bytes }),
        What::Command(command) => json!({
            "command": command.name,
            "name": screen.bilingual(&command.title),
            "parameters": command.parameters,
            "meaning": command.meaning.as_ref().map(|meaning| screen.bilingual(meaning)),
        }),
    };
    if let (Some(document), Json::Object(parts)) = (document.as_object_mut(), parts) {
        document.extend(parts);
    }
    document
}

/// A row for each piece; the line feed that ends a text stands behind it.
fn text(screen: &Screen, stream: &Stream) -> String {
    let mut page = Page::new(screen);
    let places = stream.steps.last().map_or(1, |step| step.offset.to_string().len());
    let is_feed = |step: &&Step| matches!(&step.what, What::Command(command) if command.name == "LF");
    let mut steps = stream.steps.iter().peekable();
    while let Some(step) = steps.next() {
        let place = format!("{:>places$}", step.offset);
        let (name, value, meaning) = match &step.what {
            What::Text(text) => {
                let feed = steps.next_if(is_feed).map_or("", |_| "LF");
                (screen.word(words::PRINTED), format!("\"{text}\""), feed.to_owned())
            }
            What::Unknown(bytes) => ("?", bytes.clone(), screen.word(words::NOT_KNOWN).to_owned()),
            What::Command(command) => {
                let meaning = command.meaning.as_ref().map(|meaning| page.say(meaning));
                (command.name.as_str(), page.say(&command.title), meaning.unwrap_or_default())
            }
        };
        let row =
            Row { key: (&place, places), name: (name, NAME), value: &value, meaning: &meaning, indent: 0 };
        page.row(&row);
    }
    let unknown = stream.unknown();
    if unknown > 0 {
        page.blank();
        page.line(Some(Tone::Careful), &format!("{}: {unknown}", screen.word(words::UNKNOWN_PIECES)));
    }
    page.finish()
}

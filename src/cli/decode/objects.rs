//! `decode tlv`: data objects as a tree.
use super::input::{Candidate, candidates, given};
use super::layout::{Page, Row};
use super::{card_data, end, malformed};
use crate::cli::args::Input;
use crate::cli::failure::{Exit, Failure};
use crate::cli::screen::{Screen, Tone, columns};
use crate::cli::words;
use crate::domain::emv::describe::{Described, Objects, describe};
use crate::domain::unionpay::describe::CardData;
use serde_json::{Value as Json, json};

/// Columns of names: longer ones push their value to the right.
const NAME_MAX: usize = 34;

pub(super) fn run(screen: &Screen, input: &Input) -> Result<Exit, Failure> {
    let found = candidates(&given(input)?)?;
    let (told, candidate) = best(&found, card_data(input));
    let failure = told.failure.map(|error| {
        let place = if candidate.in_text { format!(" in {}", candidate.found) } else { String::new() };
        let failure = malformed(format!("{error}{place} ({} bytes were given)", candidate.bytes.len()));
        failure.with("offset", error.offset())
    });
    let mut page = Page::new(screen);
    lines(&mut page, &told.objects, 0);
    if let Some(status) = told.status {
        page.line(Some(Tone::Dim), &format!("SW {status:04X}"));
    }
    if screen.json && told.status.is_some() {
        screen.note(screen.word(words::STATUS_LEFT_OUT));
    }
    end(screen, documents(&told.objects), &page.finish(), failure)
}

/// The first candidate that is understood, else the one that comes furthest.
fn best(found: &[Candidate], show: CardData) -> (Objects, Candidate) {
    let mut best: Option<(Objects, &Candidate)> = None;
    for candidate in found {
        let told = describe(&candidate.bytes, show);
        let known = told.objects.iter().any(|object| object.name.is_some());
        if told.failure.is_none() && (known || !candidate.in_text) {
            return (told, candidate.clone());
        }
        let reached = |told: &Objects| told.objects.len();
        if best.as_ref().is_none_or(|(best, _)| reached(&told) > reached(best)) {
            best = Some((told, candidate));
        }
    }
    let nothing = || (Objects::default(), Candidate { bytes: vec![], found: String::new(), in_text: false });
    best.map_or_else(nothing, |(told, candidate)| (told, candidate.clone()))
}

/// The form of the contract: a list of tag, name, length, value, children.
pub(super) fn documents(objects: &[Described]) -> Json {
    objects.iter().map(document).collect()
}

fn document(object: &Described) -> Json {
    json!({
        "tag": object.tag.to_string(),
        "name": object.name,
        "length": object.length,
        "value": object.value,
        "children": documents(&object.children),
    })
}

/// A row for each object, templates before what is in them. Depth is bounded by the decoder.
pub(super) fn lines(page: &mut Page<'_>, objects: &[Described], indent: usize) {
    let titled = |object: &Described| object.title().map_or_else(|| "?".to_owned(), |title| page.say(&title));
    let titles: Vec<String> = objects.iter().map(titled).collect();
    let wide = titles.iter().map(|title| columns(title)).max().unwrap_or(0).min(NAME_MAX);
    for (object, title) in objects.iter().zip(&titles) {
        let key = format!("{:<6} {:>3}", object.tag.to_string(), object.length);
        let one = match object.meaning.as_slice() {
            [one] => page.say(one),
            _ => String::new(),
        };
        page.row(&Row {
            indent,
            key: (&key, 10),
            name: (title, if object.value.is_none() { 0 } else { wide }),
            value: object.value.as_deref().unwrap_or(title),
            meaning: &one,
        });
        if object.meaning.len() > 1 {
            page.dots(indent.saturating_add(12), &object.meaning);
        }
        lines(page, &object.children, indent.saturating_add(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the form of running.md: tag, name, length, value, children, and nothing else.
    #[test]
    fn objects_have_the_documented_keys() {
        let objects = describe(&[0x70, 0x03, 0x9c, 0x01, 0x00], CardData::Masked).objects;
        let document = document(&objects[0]);
        assert_eq!(document["tag"], "70");
        assert_eq!(document["value"], Json::Null);
        assert_eq!(document["children"][0]["tag"], "9C");
        assert_eq!(document["children"][0]["value"], "00");
        let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["tag", "name", "length", "value", "children"]);
    }
}

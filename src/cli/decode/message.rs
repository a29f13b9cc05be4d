//! `decode 8583`: a message with its envelope, its elements, and what is inside them.
use super::input::{Candidate, candidates, given};
use super::layout::{Page, Row};
use super::{card_data, end, malformed, objects, ways};
use crate::cli::args::{DialectName, MessageInput};
use crate::cli::failure::{Exit, Failure};
use crate::cli::screen::{Screen, Tone, columns};
use crate::cli::words;
use crate::domain::iso8583::{Dialect, iso1987};
use crate::domain::profile::{Profile, read as read_profile};
use crate::domain::unionpay::describe::{Described, DescribedField, Part, Reading, read};
use crate::domain::unionpay::dialect::DIALECT;
use serde_json::{Map, Value as Json, json};

/// Fewest bytes of a message in other text: type, bitmap, and something in it.
const MESSAGE_MIN: usize = 12;

pub(super) fn run(screen: &Screen, options: &MessageInput) -> Result<Exit, Failure> {
    let dialect = wanted(options)?;
    let found = candidates(&given(&options.input)?)?;
    let (reading, candidate) = best(&found, options, dialect.as_ref())?;
    let failure = failed(&reading, &candidate);
    let Some(message) = &reading.message else {
        return Err(failure.unwrap_or_else(|| malformed("this is no message")));
    };
    end(screen, document(screen, message), &text(screen, message), failure)
}

/// The dialect that was asked for.
fn wanted(options: &MessageInput) -> Result<Option<Dialect>, Failure> {
    if let Some(name) = &options.profile {
        return profile(name).map(|profile| Some(profile.dialect.clone()));
    }
    Ok(options.dialect.map(|name| match name {
        DialectName::Unionpay => DIALECT.clone(),
        DialectName::Ascii => iso1987::ASCII.clone(),
    }))
}

/// A profile that ships, by name, or one in a file.
#[allow(clippy::disallowed_methods, reason = "posctl is an outer layer and reads the user's file")]
fn profile(name: &str) -> Result<Profile, Failure> {
    let shipped = Profile::unionpay();
    if name == shipped.name {
        return Ok(shipped.as_ref().clone());
    }
    let path = std::path::Path::new(name);
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("profile {name}: {error}; give a file, or {}", shipped.name))
    })?;
    read_profile(name, path, &text, Some(&shipped)).map_err(|errors| Failure::usage(errors.to_string()))
}

/// The first candidate that is read whole, else the one that comes furthest.
fn best(
    found: &[Candidate],
    options: &MessageInput,
    dialect: Option<&Dialect>,
) -> Result<(Reading, Candidate), Failure> {
    let mut best: Option<(usize, Reading, &Candidate)> = None;
    let fits = |candidate: &&Candidate| !candidate.in_text || candidate.bytes.len() >= MESSAGE_MIN;
    for candidate in found.iter().filter(fits) {
        let reading = read(&candidate.bytes, card_data(&options.input), dialect);
        let score = reading.message.as_ref().map_or(0, |message| message.fields.len().saturating_add(1));
        let whole = reading.message.is_some() && reading.failure.is_none() && reading.wrong_length.is_none();
        if whole {
            return Ok((reading, candidate.clone()));
        }
        if best.as_ref().is_none_or(|(best, ..)| score > *best) {
            best = Some((score, reading, candidate));
        }
    }
    best.map(|(_, reading, candidate)| (reading, candidate.clone()))
        .ok_or_else(|| malformed("no run of hex in the text is long enough for a message"))
}

/// What is wrong with the input, with its place in it.
fn failed(reading: &Reading, candidate: &Candidate) -> Option<Failure> {
    let sentence = match (reading.failure, reading.wrong_length) {
        (Some(error), wrong) => {
            let cut = wrong.map_or_else(String::new, |(said, there)| {
                format!("; the length in front says {said} bytes, {there} follow")
            });
            let input = reading.before.saturating_add(error.offset());
            let whole = reading.message.as_ref().is_some_and(|message| !message.fields.is_empty());
            let tried = if whole { String::new() } else { ways(&reading.tried) };
            format!(
                "{error} (counted from the MTI; byte {input} of the input, {}){cut}{tried}",
                candidate.found
            )
        }
        (None, Some((said, there))) => {
            format!("the length in front says {said} bytes, {there} follow; the message itself is whole")
        }
        (None, None) => return None,
    };
    let mut failure = malformed(sentence).with("tried", reading.tried.clone());
    if let Some(error) = reading.failure {
        failure = failure.with("offset", error.offset());
        failure = failure.with("input-offset", reading.before.saturating_add(error.offset()));
    }
    Some(failure)
}

/// The form of the contract, and beside it the dialect and everything explained.
fn document(screen: &Screen, message: &Described) -> Json {
    let fields: Map<String, Json> =
        message.fields.iter().map(|field| (field.number.to_string(), field.value.as_str().into())).collect();
    let explained: Map<String, Json> =
        message.fields.iter().map(|field| (field.number.to_string(), explained(screen, field))).collect();
    json!({
        "mti": message.mti,
        "tpdu": message.tpdu,
        "header": message.header,
        "fields": fields,
        "dialect": message.dialect,
        "title": screen.bilingual(&message.title),
        "envelope": message.envelope.iter().map(|part| part_document(screen, part)).collect::<Vec<_>>(),
        "explained": explained,
    })
}

fn explained(screen: &Screen, field: &DescribedField) -> Json {
    json!({
        "name": screen.bilingual(&field.title),
        "meaning": field.meaning.as_ref().map(|meaning| screen.bilingual(meaning)),
        "parts": field.parts.iter().map(|part| part_document(screen, part)).collect::<Vec<_>>(),
        "objects": objects::documents(&field.objects),
    })
}

fn part_document(screen: &Screen, part: &Part) -> Json {
    json!({
        "key": part.key,
        "name": screen.bilingual(&part.name),
        "value": part.value,
        "meaning": part.meaning.as_ref().map(|meaning| screen.bilingual(meaning)),
    })
}

fn text(screen: &Screen, message: &Described) -> String {
    let mut page = Page::new(screen);
    let title = page.say(&message.title);
    page.line(Some(Tone::Good), &format!("{} {title}", message.mti));
    let mut head = |name, value: Option<&str>| {
        if let Some(value) = value {
            page.row(&Row { name: (screen.word(name), 8), value, ..Row::default() });
        }
    };
    head(words::DIALECT, Some(message.dialect));
    head(words::TPDU, message.tpdu.as_deref());
    head(words::HEADER, message.header.as_deref());
    parts(&mut page, &message.envelope, 10);
    page.blank();
    let name = message.fields.iter().map(|field| columns(&page.say(&field.title))).max().unwrap_or(0).min(28);
    for field in &message.fields {
        let (number, title) = (format!("{:>3}", field.number), page.say(&field.title));
        let meaning = field.meaning.as_ref().map(|meaning| page.say(meaning)).unwrap_or_default();
        // Objects and private bytes are shown one by one below: all of them in one value is for programs.
        let bytes = format!("{} {}", field.value.len() / 2, screen.word(words::BYTES));
        let below = !field.objects.is_empty() || (field.number == 62 && !field.parts.is_empty());
        let value = if below { bytes.as_str() } else { field.value.as_str() };
        page.row(&Row { key: (&number, 3), name: (&title, name), value, meaning: &meaning, indent: 0 });
        parts(&mut page, &field.parts, 5);
        objects::lines(&mut page, &field.objects, 5);
    }
    page.finish()
}

fn parts(page: &mut Page<'_>, parts: &[Part], indent: usize) {
    let names: Vec<String> = parts.iter().map(|part| page.say(&part.name)).collect();
    let key = parts.iter().map(|part| columns(&part.key)).max().unwrap_or(0);
    let name = names.iter().map(|name| columns(name)).max().unwrap_or(0).min(30);
    for (part, title) in parts.iter().zip(&names) {
        let meaning = part.meaning.as_ref().map(|meaning| page.say(meaning)).unwrap_or_default();
        page.row(&Row {
            indent,
            key: (&part.key, key),
            name: (title, name),
            value: &part.value,
            meaning: &meaning,
        });
    }
}

//! `decode track2` and `decode atr`.
use super::input::{candidates, given, tracks};
use super::layout::{Page, Row};
use super::{card_data, end, malformed};
use crate::cli::args::Input;
use crate::cli::failure::{Exit, Failure};
use crate::cli::screen::{Screen, Tone};
use crate::cli::words;
use crate::domain::emv::atr::{Atr, Check};
use crate::domain::emv::tlv::{Tag, single};
use crate::domain::text::Bilingual;
use crate::domain::unionpay::describe::{DescribedTrack2, track2 as describe_track2};
use serde_json::{Value as Json, json};

/// `decode track2`: the text of a track, or tag 57 with its length, or a line with one in it.
pub(super) fn track2(screen: &Screen, input: &Input) -> Result<Exit, Failure> {
    let bytes = given(input)?;
    let mut texts = tracks(&bytes);
    let inside: Vec<String> = texts.iter().filter_map(|text| equivalent(text)).collect();
    texts.splice(0..0, inside);
    let first = texts.iter().map(|text| describe_track2(text, card_data(input)));
    let mut refused = None;
    let mut found = None;
    for told in first {
        match told {
            Ok(track) => {
                found = Some(track);
                break;
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let Some(track) = found else {
        let why = refused.map_or_else(String::new, |error| error.to_string());
        return Err(malformed(format!("{why}; sentinels, = or D, and tag 57 are understood")));
    };
    screen.answer(track_document(screen, &track), &track_text(screen, &track));
    Ok(Exit::Done)
}

/// The value of tag 57, if the text is that object.
fn equivalent(text: &str) -> Option<String> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect();
    let object = single(&bytes).ok()??;
    (object.tag == Tag::TRACK2).then(|| crate::domain::mask::hex(object.value))
}

fn track_document(screen: &Screen, track: &DescribedTrack2) -> Json {
    let service: Vec<String> = track.service.iter().map(|line| screen.bilingual(line)).collect();
    let mut document = json!({
        "pan": track.pan,
        "luhn": track.luhn,
        "expiry": track.expiry,
        "service-code": track.service_code,
        "service": service,
        "discretionary-length": track.discretionary_length,
        "lrc": track.lrc,
    });
    if let (Some(clear), Some(document)) = (&track.discretionary, document.as_object_mut()) {
        document.insert("discretionary".to_owned(), clear.as_str().into());
    }
    document
}

fn track_text(screen: &Screen, track: &DescribedTrack2) -> String {
    let mut page = Page::new(screen);
    let mut put = |name, value: &str, meaning: &str| {
        if !value.is_empty() {
            page.row(&Row { name: (screen.word(name), 16), value, meaning, ..Row::default() });
        }
    };
    let luhn = if track.luhn { words::LUHN_GOOD } else { words::LUHN_BAD };
    put(words::PAN, &track.pan, screen.word(luhn));
    let expiry = track.expiry.as_deref().unwrap_or_default();
    let (year, month) = expiry.split_at_checked(2).unwrap_or_default();
    put(words::EXPIRY, expiry, &format!("20{year}-{month}"));
    put(words::SERVICE_CODE, track.service_code.as_deref().unwrap_or_default(), "");
    page.dots(18, &track.service);
    let mut put = |name, value: &str, meaning: &str| {
        page.row(&Row { name: (screen.word(name), 16), value, meaning, ..Row::default() });
    };
    let length = track.discretionary_length.to_string();
    let hidden = "*".repeat(track.discretionary_length);
    put(words::DISCRETIONARY, track.discretionary.as_deref().unwrap_or(&hidden), &length);
    match track.lrc {
        Some(true) => put(words::LRC, screen.word(words::RIGHT), ""),
        Some(false) => put(words::LRC, screen.word(words::WRONG), ""),
        None => {}
    }
    page.finish()
}

/// `decode atr`
pub(super) fn atr(screen: &Screen, input: &Input) -> Result<Exit, Failure> {
    let found = candidates(&given(input)?)?;
    let told = found.iter().map(|candidate| Atr::describe(&candidate.bytes, card_data(input)));
    let mut all: Vec<Atr> = told.collect();
    let whole = all.iter().position(|atr| atr.failure.is_none());
    let furthest = || {
        let reached = all.iter().enumerate().max_by_key(|(at, atr)| (atr.interface.len(), usize::MAX - at));
        reached.map(|(at, _)| at)
    };
    let Some(at) = whole.or_else(furthest) else { return Err(malformed("there is no answer to reset")) };
    let atr = all.swap_remove(at);
    let failure = atr.failure.map(|error| malformed(error.to_string()).with("offset", error.offset()));
    end(screen, atr_document(screen, &atr), &atr_text(screen, &atr), failure)
}

fn atr_document(screen: &Screen, atr: &Atr) -> Json {
    let said = |lines: &[Bilingual]| lines.iter().map(|line| screen.bilingual(line)).collect::<Vec<_>>();
    let interface: Vec<Json> = atr
        .interface
        .iter()
        .map(|byte| {
            json!({
                "name": byte.name,
                "value": format!("{:02X}", byte.value),
                "meaning": screen.bilingual(&byte.meaning),
            })
        })
        .collect();
    json!({
        "interface": interface,
        "protocols": atr.protocols.iter().map(|protocol| format!("T={protocol}")).collect::<Vec<_>>(),
        "historical": atr.historical,
        "historical-meaning": said(&atr.historical_meaning),
        "tck": check_word(atr.check),
        "departures": said(&atr.departures),
    })
}

const fn check_word(check: Check) -> &'static str {
    match check {
        Check::NotWanted => "not-wanted",
        Check::Good => "good",
        Check::Wrong { .. } => "wrong",
        Check::Missing => "missing",
    }
}

fn atr_text(screen: &Screen, atr: &Atr) -> String {
    let mut page = Page::new(screen);
    for byte in &atr.interface {
        let (value, meaning) = (format!("{:02X}", byte.value), page.say(&byte.meaning));
        page.row(&Row { key: (&byte.name, 4), value: &value, meaning: &meaning, ..Row::default() });
    }
    if !atr.historical.is_empty() {
        let name = screen.word(words::HISTORICAL);
        page.row(&Row { key: (name, 4), value: &atr.historical, ..Row::default() });
        page.dots(6, &atr.historical_meaning);
    }
    let check = match atr.check {
        Check::NotWanted => screen.word(words::TCK_NOT_WANTED).to_owned(),
        Check::Good => screen.word(words::RIGHT).to_owned(),
        Check::Wrong { expected } => format!("{} ({expected:02X})", screen.word(words::WRONG)),
        Check::Missing => screen.word(words::MISSING).to_owned(),
    };
    page.row(&Row { key: ("TCK", 4), value: &check, ..Row::default() });
    page.blank();
    if atr.failure.is_some() {
        return page.finish();
    }
    if atr.departures.is_empty() {
        page.line(Some(Tone::Good), screen.word(words::ATR_FITS));
    } else {
        page.line(Some(Tone::Careful), screen.word(words::ATR_DEPARTS));
        page.dots(2, &atr.departures);
    }
    page.finish()
}

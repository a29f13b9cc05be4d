//! What people and programs see: one JSON document or short aligned text on stdout, chatter on stderr, colour only on
//! a terminal. Knows nothing of the bus.
use super::failure::{Exit, Failure};
use super::words::{self, Lang, Pair};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::CvmMethod;
use crate::domain::text::Bilingual;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::Write as _;

/// How this run talks: language, form, and whether somebody sits at a terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    /// One JSON document on stdout instead of text.
    pub(crate) json: bool,
    /// Language of texts.
    pub(crate) lang: Lang,
    /// True if questions may be asked: a terminal on both sides and no `--json`.
    pub(crate) interactive: bool,
    colour: bool,
    /// What is said and reported if the run is interrupted now.
    parting: RefCell<Option<Failure>>,
}

/// A colour of the terminal, by what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Somebody should look.
    Careful,
    /// It does not work.
    Bad,
    /// Less important.
    Dim,
}

impl Screen {
    /// Makes a screen from what was asked for and what is connected.
    pub(crate) fn new(json: bool, lang: Lang) -> Self {
        use std::io::IsTerminal as _;
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            lang,
            interactive: !json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            colour: !json && std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
            parting: RefCell::new(None),
        }
    }

    /// One of two texts.
    pub(crate) const fn word(&self, pair: Pair) -> &'static str {
        self.lang.of(pair)
    }

    /// A word of the contract (kind, outcome, state, phase …) in the chosen language; an unknown one as it is.
    pub(crate) fn term<'a>(&self, word: &'a str) -> &'a str {
        words::terms::term(word).map_or(word, |pair| self.lang.of(pair))
    }

    /// How the cardholder was verified, in the chosen language.
    pub(crate) fn verified<'a>(&self, word: &'a str) -> &'a str {
        CvmMethod::from_word(word).map_or(word, |method| self.lang.of(words::terms::cvm(method)))
    }

    /// A text of the domain in the chosen language.
    pub(crate) fn bilingual(&self, text: &Bilingual) -> String {
        match self.lang {
            Lang::Zh => text.zh.clone(),
            Lang::En => text.en.clone(),
        }
    }

    /// The bank's word on totals, in its colour.
    pub(crate) fn verdict(&self, word: &str) -> String {
        match word {
            "" => String::new(),
            "agreed" => self.tone(Tone::Good, self.term(word)),
            _ => self.tone(Tone::Bad, self.term(word)),
        }
    }

    /// Text in a colour, where colours are shown.
    pub(crate) fn tone(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Careful => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// The answer of a command: `data` for programs, `text` for people.
    pub(crate) fn answer(&self, data: Value, text: &str) {
        if self.json {
            put(&format!("{}\n", json!({ "schema": SCHEMA, "ok": true, "data": data })));
        } else if text.ends_with('\n') || text.is_empty() {
            put(text);
        } else {
            put(&format!("{text}\n"));
        }
    }

    /// Bytes as they are, for slips that go to a file or pipe.
    pub(crate) fn raw(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).ok();
    }

    /// A file as it is, of any size. A reader that went away is no trouble of ours.
    pub(crate) fn copy(&self, source: &mut std::fs::File) -> Result<(), Failure> {
        match std::io::copy(source, &mut std::io::stdout().lock()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::io("stdout cannot be written", &error))
            }
            _ => Ok(()),
        }
    }

    /// A line for the person who watches; never on stdout.
    pub(crate) fn note(&self, text: &str) {
        writeln!(std::io::stderr().lock(), "{text}").ok();
    }

    /// A failure, as document or sentence.
    pub(crate) fn failure(&self, failure: &Failure) -> Exit {
        if self.json {
            put(&format!("{}\n", failure_document(failure)));
        } else {
            let sentence = match (self.lang, words::refusal_zh(&failure.name)) {
                (Lang::Zh, Some(zh)) => format!("{zh} ({})", failure.message),
                _ => failure.message.clone(),
            };
            self.note(&format!("posctl: {sentence}"));
        }
        failure.exit
    }

    /// Says what an interruption from now on leaves behind.
    pub(crate) fn when_interrupted(&self, parting: Failure) {
        *self.parting.borrow_mut() = Some(parting);
    }

    /// What to report after an interruption.
    pub(crate) fn parting(&self) -> Failure {
        let plain = || Failure::new(Exit::Interrupted, "Interrupted", "interrupted");
        self.parting.borrow_mut().take().unwrap_or_else(plain)
    }

    /// A wall time of the bus (µs since 1970) in the local zone; empty for 0.
    pub(crate) fn time(&self, micros: u64) -> String {
        Self::format(micros, "%Y-%m-%d %H:%M:%S")
    }

    /// The same without the year, for tables.
    pub(crate) fn short_time(&self, micros: u64) -> String {
        Self::format(micros, "%m-%d %H:%M:%S")
    }

    fn format(micros: u64, form: &str) -> String {
        let stamp = i64::try_from(micros).ok().and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
        match stamp {
            Some(stamp) if micros > 0 => {
                stamp.to_zoned(jiff::tz::TimeZone::system()).strftime(form).to_string()
            }
            _ => String::new(),
        }
    }
}

/// Name and version of the form of all documents.
const SCHEMA: &str = "posctl.v1";

/// The document for a failure.
fn failure_document(failure: &Failure) -> Value {
    json!({
        "schema": SCHEMA,
        "ok": false,
        "error": { "name": failure.name, "message": failure.message, "details": failure.details },
    })
}

/// Writes to stdout. A reader that went away is no trouble of ours.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

/// An amount of the bus in major units with its currency: `12.50 CNY`.
pub(crate) fn money(minor: i64, currency: &str) -> String {
    if minor < 0 {
        return format!("-{}", money(minor.saturating_neg(), currency));
    }
    let amount = u64::try_from(minor).ok().and_then(|minor| Amount::from_minor(minor).ok());
    match (amount, Currency::from_alpha(currency)) {
        (Some(amount), Some(known)) => format!("{} {currency}", amount.in_major(known)),
        _ => format!("{minor} {currency} (minor units)"),
    }
}

/// An amount of a row that names no currency, for a terminal has one. Choice: two decimals, as all of them have but the
/// yen.
pub(crate) fn major(minor: i64) -> String {
    let amount = u64::try_from(minor).ok().and_then(|minor| Amount::from_minor(minor).ok());
    amount.map_or_else(|| minor.to_string(), |amount| amount.in_major(Currency::CNY))
}

/// Columns a text takes in a terminal; Chinese characters and full-width forms take two. Escape sequences take none.
pub(crate) fn columns(text: &str) -> usize {
    let mut escape = false;
    text.chars()
        .map(|c| match c {
            '\u{1b}' => {
                escape = true;
                0
            }
            'm' if escape => {
                escape = false;
                0
            }
            _ if escape => 0,
            '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' => 2,
            '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' => 2,
            _ => 1,
        })
        .sum()
}

/// Labels at the left, values beside them; empty values are left out.
pub(crate) fn pairs(rows: &[(&str, String)]) -> String {
    let wide = rows.iter().map(|(label, _)| columns(label)).max().unwrap_or(0);
    let line = |(label, value): &(&str, String)| {
        let gap = " ".repeat(wide.saturating_sub(columns(label)).saturating_add(2));
        format!("{label}{gap}{value}\n")
    };
    rows.iter().filter(|(_, value)| !value.is_empty()).map(line).collect()
}

/// Columns under headings, each as wide as its widest cell.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| columns(cell)).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(columns(cell));
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(&widths).map(|(cell, width)| {
            format!("{cell}{}", " ".repeat(width.saturating_sub(columns(cell)).saturating_add(2)))
        });
        format!("{}\n", padded.collect::<String>().trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    text.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_labels_line_up_with_english_ones() {
        assert_eq!(columns("终端 A"), 6);
        assert_eq!(columns("\u{1b}[32m好\u{1b}[0m"), 2);
        let text = pairs(&[("终端", "ready".to_owned()), ("RRN", "1".to_owned()), ("空", String::new())]);
        assert_eq!(text, "终端  ready\nRRN   1\n");
        let rows = vec![vec!["1".to_owned(), "销售".to_owned()], vec!["22".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["N", "Kind"], &rows), "N   Kind\n1   销售\n22  x\n");
    }

    #[test]
    fn money_is_shown_in_major_units() {
        assert_eq!(money(1250, "CNY"), "12.50 CNY");
        assert_eq!(money(500, "JPY"), "500 JPY");
        assert_eq!(money(-1250, "CNY"), "-12.50 CNY");
        assert_eq!(money(500, "XXX"), "500 XXX (minor units)");
    }

    #[test]
    fn a_failure_is_one_document_with_name_message_and_details() {
        let failure = Failure::named("NotSignedOn", "sign on first");
        let document = failure_document(&failure);
        assert_eq!(document["schema"], "posctl.v1");
        assert_eq!(document["ok"], false);
        assert_eq!(document["error"]["name"], "NotSignedOn");
        assert_eq!(document["error"]["details"]["kind"], "host");
    }
}

//! `posctl decode …`: bytes for people, offline. The domain decodes and masks; here input is read and answers are laid
//! out. What is broken is shown up to where it breaks, and the command fails.
mod escpos;
mod input;
mod layout;
mod message;
mod objects;
mod others;

use super::args::{Decode, Input};
use super::failure::{Exit, Failure};
use super::screen::Screen;
use super::words;
use crate::domain::unionpay::describe::CardData;
use serde_json::Value as Json;

/// `posctl decode …`
pub(crate) fn run(screen: &Screen, what: &Decode) -> Result<Exit, Failure> {
    let input = match what {
        Decode::Iso8583(options) => &options.input,
        Decode::Tlv(input) | Decode::Track2(input) | Decode::Atr(input) | Decode::EscPos(input) => input,
    };
    warn(screen, input);
    match what {
        Decode::Iso8583(options) => message::run(screen, options),
        Decode::Tlv(input) => objects::run(screen, input),
        Decode::Track2(input) => others::track2(screen, input),
        Decode::Atr(input) => others::atr(screen, input),
        Decode::EscPos(input) => escpos::run(screen, input),
    }
}

/// What is shown in clear ends up in scroll-back and logs: it is said each time.
fn warn(screen: &Screen, input: &Input) {
    if input.unmask {
        screen.note(screen.word(words::UNMASKED));
    }
}

const fn card_data(input: &Input) -> CardData {
    if input.unmask { CardData::Clear } else { CardData::Masked }
}

/// Ends with what was read: done, or failed with what could be read before the failure. Failures never quote values.
fn end(screen: &Screen, data: Json, text: &str, failure: Option<Failure>) -> Result<Exit, Failure> {
    match failure {
        None => {
            screen.answer(data, text);
            Ok(Exit::Done)
        }
        Some(failure) if screen.json => Err(failure.with("partial", data)),
        Some(failure) => {
            screen.answer(Json::Null, text);
            Err(failure)
        }
    }
}

/// What was given cannot be read.
fn malformed(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, "Malformed", message)
}

/// Every way that was tried, in a sentence.
fn ways(tried: &[String]) -> String {
    if tried.is_empty() { String::new() } else { format!(" (tried: {})", tried.join("; ")) }
}

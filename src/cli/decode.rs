//! `posctl decode …`: bytes for people, offline. The domain decodes and masks; this file reads input and lays out.
use super::args::{Decode, Input};
use super::failure::{Exit, Failure};
use super::screen::{Screen, Tone, pairs, table};
use crate::domain::emv::describe::{self as emv, Described as Object};
use crate::domain::unionpay::describe::{self as unionpay, CardData, Described as Message};
use serde_json::{Map, Value as Json, json};
use std::io::Read as _;

/// The most characters taken: four times the largest message in hex.
const INPUT_MAX: u64 = 1 << 18;

/// `posctl decode …`
pub(crate) fn run(screen: &Screen, what: &Decode) -> Result<Exit, Failure> {
    match what {
        Decode::Tlv(input) => {
            let objects = emv::describe(&bytes(input)?, input.unmask).map_err(malformed)?;
            screen.answer(objects.iter().map(object_document).collect(), &object_lines(screen, &objects, 0));
        }
        Decode::Iso8583(input) => {
            let bytes = bytes(input)?;
            let message = unionpay::message(&bytes, card_data(input)).map_err(malformed)?;
            screen.answer(message_document(&message), &message_lines(screen, &message));
        }
        Decode::Track2(input) => {
            let track = unionpay::track2(&characters(input)?, card_data(input)).map_err(malformed)?;
            let data = json!({
                "pan": track.pan,
                "expiry": track.expiry,
                "service-code": track.service_code,
            });
            let text = pairs(&[
                ("PAN", track.pan),
                ("Expiry (YYMM)", track.expiry.unwrap_or_default()),
                ("Service code", track.service_code.unwrap_or_default()),
            ]);
            screen.answer(data, &text);
        }
    }
    Ok(Exit::Done)
}

const fn card_data(input: &Input) -> CardData {
    if input.unmask { CardData::Clear } else { CardData::Masked }
}

/// What was given cannot be read. The message names the place, never a value.
fn malformed(error: impl std::error::Error) -> Failure {
    Failure::new(Exit::Failed, "Malformed", error.to_string())
}

/// The input without blanks, from the command line or from stdin.
fn characters(input: &Input) -> Result<String, Failure> {
    let mut text = input.hex.concat();
    if text == "-" {
        text.clear();
        std::io::stdin()
            .lock()
            .take(INPUT_MAX.saturating_add(1))
            .read_to_string(&mut text)
            .map_err(|error| Failure::io("stdin cannot be read", &error))?;
    }
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > INPUT_MAX {
        return Err(Failure::usage(format!("the input is longer than {INPUT_MAX} characters")));
    }
    text.retain(|c| !c.is_whitespace());
    Ok(text)
}

fn bytes(input: &Input) -> Result<Vec<u8>, Failure> {
    from_hex(&characters(input)?)
}

/// Two hex digits make a byte.
fn from_hex(text: &str) -> Result<Vec<u8>, Failure> {
    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Option<Vec<u8>> = text.chars().map(digit).collect();
    let digits =
        digits.ok_or_else(|| Failure::usage("the input must be hex digits, blanks between them allowed"))?;
    let (whole, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Failure::usage("the input has an odd number of hex digits"));
    }
    Ok(whole.iter().map(|[high, low]| high << 4 | low).collect())
}

fn object_document(object: &Object) -> Json {
    let mut document = json!({
        "tag": object.tag.to_string(),
        "name": object.name,
        "length": object.length,
        "value": object.value,
        "children": object.children.iter().map(object_document).collect::<Vec<_>>(),
    });
    if let (false, Some(document)) = (object.bits.is_empty(), document.as_object_mut()) {
        document.insert("bits".to_owned(), json!(object.bits));
    }
    document
}

/// One line for each object, templates before what is in them. Depth is bounded by the decoder.
fn object_lines(screen: &Screen, objects: &[Object], depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let line = |object: &Object| {
        let name = screen.tone(Tone::Dim, object.name.unwrap_or("?"));
        let value = object.value.as_deref().unwrap_or_default();
        let mut text =
            format!("{indent}{:<6} {:>3}  {value}  {name}\n", object.tag.to_string(), object.length);
        for bit in &object.bits {
            text.push_str(&format!("{indent}             · {bit}\n"));
        }
        text.push_str(&object_lines(screen, &object.children, depth.saturating_add(1)));
        text
    };
    objects.iter().map(line).collect()
}

fn message_document(message: &Message) -> Json {
    let fields: Map<String, Json> =
        message.fields.iter().map(|field| (field.number.to_string(), field.value.as_str().into())).collect();
    json!({ "mti": message.mti, "tpdu": message.tpdu, "header": message.header, "fields": fields })
}

fn message_lines(screen: &Screen, message: &Message) -> String {
    let head = pairs(&[
        ("MTI", message.mti.clone()),
        ("TPDU", message.tpdu.clone().unwrap_or_default()),
        ("Header", message.header.clone().unwrap_or_default()),
    ]);
    let mut rows = Vec::new();
    for field in &message.fields {
        let name = screen.tone(Tone::Dim, field.name);
        rows.push(vec![field.number.to_string(), name, field.value.clone()]);
        for object in &field.objects {
            rows.push(vec![String::new(), format!("  {}", object.tag), object.value.clone()]);
        }
    }
    format!("{head}\n{}", table(&["DE", "Name", "Value"], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_with_blanks_and_in_both_cases() {
        let input = |hex: &str| Input { hex: vec![hex.to_owned()], unmask: false };
        assert_eq!(bytes(&input("9F 02\n06aB")).unwrap(), [0x9f, 0x02, 0x06, 0xab]);
        assert_eq!(bytes(&input("9F0")).unwrap_err().exit, Exit::Usage);
        assert_eq!(bytes(&input("9G")).unwrap_err().exit, Exit::Usage);
        assert!(bytes(&input("")).unwrap().is_empty());
    }

    /// The form of running.md: tag, name, length, value, children.
    #[test]
    fn objects_have_the_documented_keys() {
        let objects = emv::describe(&[0x70, 0x03, 0x9c, 0x01, 0x00], false).unwrap();
        let document = object_document(&objects[0]);
        assert_eq!(document["tag"], "70");
        assert_eq!(document["value"], Json::Null);
        assert_eq!(document["children"][0]["tag"], "9C");
        assert_eq!(document["children"][0]["value"], "00");
        assert_eq!(document["children"][0]["length"], 1);
    }
}

//! Our codec before an independent one: pyiso8583 4.0.1 from PyPI, set up by `tests/oracle/iso8583_codec.py` for the
//! dialect of UnionPay terminals.
//!
//! Where Python, pip or the network is missing the test says so and passes.
use posd::domain::iso8583::{De, Encoding, Format, Message, pack, unpack};
use posd::domain::unionpay::dialect::DIALECT;
use posd::sim::world::chance::SplitMix64;
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

const MESSAGES: usize = 1000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn value(format: Format, chance: &mut SplitMix64) -> Vec<u8> {
    let most = u32::from(format.max);
    // The judge takes no empty elements.
    let length = if format.is_fixed() { most } else { 1 + chance.below(most) };
    let unit = |chance: &mut SplitMix64| match format.encoding {
        Encoding::Digits => b'0' + chance.below(10) as u8,
        Encoding::Nibbles => b"0123456789ABCDEF"[chance.below(16) as usize],
        _ => chance.below(256) as u8,
    };
    (0..length).map(|_| unit(chance)).collect()
}

fn message(chance: &mut SplitMix64) -> Message {
    let mut message = Message::new(&format!("{:04}", chance.below(10_000)));
    for element in DIALECT.elements().filter(|_| chance.draw().is_multiple_of(3)).collect::<Vec<_>>() {
        message.set(element.de, value(element.format, chance));
    }
    message
}

/// The elements as the judge tells them: digits and nibbles as they are, everything else in hexadecimal.
fn told(message: &Message) -> Value {
    let shown = |de: De, value: &[u8]| {
        let packed = DIALECT.element(de).unwrap().format.encoding.is_packed();
        if packed { String::from_utf8(value.to_vec()).unwrap() } else { hex(value) }
    };
    let fields = message.fields().map(|(de, v)| (de.number().to_string(), shown(de, v).into()));
    json!({ "mti": message.mti(), "fields": fields.collect::<serde_json::Map<String, Value>>() })
}

/// Goal: for 1,000 messages of chance the judge writes the bytes that we write and reads what we read, in both
/// directions: it is given elements and gives bytes, and is given our bytes and gives elements.
#[test]
fn messages_agree_with_an_independent_codec() {
    let check = "import importlib.metadata as m; assert m.version('pyiso8583') == '4.0.1'";
    let python = match super::oracle::python("iso8583-venv", "pyiso8583==4.0.1", check) {
        Ok(python) => python,
        Err(reason) => return println!("skipped: no pyiso8583: {reason}"),
    };
    let mut chance = SplitMix64::new(8583);
    let messages: Vec<Message> = (0..MESSAGES).map(|_| message(&mut chance)).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/iso8583_codec.py");
    let mut judge =
        Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut questions = judge.stdin.take().unwrap();
    let lines: Vec<String> = messages
        .iter()
        .map(|message| {
            let bytes = hex(&pack(&DIALECT, message).unwrap());
            json!({ "bytes": bytes, "message": told(message) }).to_string()
        })
        .collect();
    let writer =
        std::thread::spawn(move || lines.iter().for_each(|line| writeln!(questions, "{line}").unwrap()));
    let output = judge.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), MESSAGES);
    for (message, answer) in messages.iter().zip(answers) {
        let ours = pack(&DIALECT, message).unwrap();
        assert_eq!(answer["bytes"], hex(&ours), "{}", told(message));
        assert_eq!(answer["message"], told(message), "{}", hex(&ours));
        assert_eq!(unpack(&DIALECT, &ours).as_ref(), Ok(message));
    }
}

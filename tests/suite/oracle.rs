//! Our cryptograms before an independent judge: pyemv 1.5.0 from PyPI, in a virtual environment of its own.
//!
//! Where Python, pip or the network is missing the test says so and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use posd::domain::emv::tlv::{self, Tag, TagStore};
use posd::domain::secret::Pan;
use posd::sim::card::{Card, Format, Profile, Reply};
use posd::sim::issuer;
use serde_json::{Value, json};

/// How many random cards of each scheme are judged.
const CASES: usize = 8;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn digits(count: usize) -> String {
    (0..count).map(|_| char::from(b'0' + random::<1>()[0] % 10)).collect()
}

/// One transaction of a card with random keys, number and amounts: its preset, and all tags that came of it.
struct Case {
    scheme: &'static str,
    profile: Profile,
    tags: TagStore,
    arc: [u8; 2],
}

impl Case {
    fn new(scheme: &'static str, preset: &str, pan_length: usize) -> Self {
        let mut profile = Profile::preset(preset).unwrap();
        // T=1 spares the test the GET RESPONSE dance; the cryptograms are the same.
        profile.protocol = posd::domain::emv::apdu::Protocol::T1;
        let application = &mut profile.applications[0];
        application.imk = random();
        application.pan = Pan::new(&digits(pan_length)).unwrap();
        application.sequence = random::<1>()[0] % 100;
        application.atc = u16::from_be_bytes(random()) / 2;
        application.format = Format::Two;
        let mut tags = TagStore::default();
        let lengths = [
            (0x9F02, 6),
            (0x9F03, 6),
            (0x9F1A, 2),
            (0x95, 5),
            (0x5F2A, 2),
            (0x9A, 3),
            (0x9C, 1),
            (0x9F37, 4),
        ];
        for (tag, length) in lengths {
            tags.put(Tag(tag), &random::<6>()[..length]);
        }
        let mut case = Self { scheme, profile, tags, arc: random() };
        case.go_online();
        case
    }

    /// Runs the card up to its ARQC.
    fn go_online(&mut self) {
        let application = &self.profile.applications[0];
        let mut card = Card::new(self.profile.clone());
        ok(&mut card, [0, 0xA4, 4, 0], &application.aid);
        // Lengths of PDOL and CDOL1 of the two presets; what is not under the cryptogram is zero.
        let (options, data_length) = if self.scheme == "visa-10" { (0_u8, 29) } else { (9, 52) };
        let options = [&[0x83, options][..], &vec![0; usize::from(options)]].concat();
        take(&ok(&mut card, [0x80, 0xA8, 0, 0], &options), &mut self.tags);
        let order = [0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37];
        let mut data: Vec<u8> =
            order.iter().flat_map(|tag| self.tags.value(Tag(*tag)).unwrap().to_vec()).collect();
        data.resize(data_length, 0);
        take(&ok(&mut card, [0x80, 0xAE, 0x80, 0], &data), &mut self.tags);
    }

    fn question(&self) -> Value {
        let application = &self.profile.applications[0];
        let tags: serde_json::Map<String, Value> =
            self.tags.iter().map(|(tag, value)| (format!("{tag:?}"), hex(value).into())).collect();
        json!({
            "scheme": self.scheme, "imk": hex(&application.imk), "pan": application.pan.reveal(),
            "psn": format!("{:02}", application.sequence), "arc": hex(&self.arc), "tags": tags,
        })
    }

    fn ours(&self) -> Value {
        let application = &self.profile.applications[0];
        let (imk, pan, psn) = (&application.imk, &application.pan, application.sequence);
        assert_eq!(issuer::verify_arqc(imk, pan, psn, &self.tags), Ok(true));
        let answer = issuer::authentication_data(imk, pan, psn, &self.tags, self.arc).unwrap();
        json!({ "arqc": hex(self.tags.value(Tag(0x9F26)).unwrap()), "arpc": hex(&answer[..8]) })
    }
}

fn ok(card: &mut Card, header: [u8; 4], data: &[u8]) -> Vec<u8> {
    let bytes = [&header[..], &[u8::try_from(data.len()).unwrap()], data, &[0]].concat();
    let Reply::Answer(mut answer) = card.transmit(&bytes) else { panic!("no answer") };
    assert_eq!(answer.split_off(answer.len() - 2), [0x90, 0], "{header:02X?}");
    answer
}

fn take(answer: &[u8], tags: &mut TagStore) {
    for object in tlv::single(answer).unwrap().unwrap().children() {
        let object = object.unwrap();
        tags.put(object.tag, object.value);
    }
}

/// A judge's Python: an environment of its own with one package, or why there is none. `check` is a program that fails
/// without it.
pub(crate) fn python(environment: &str, package: &str, check: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(environment);
    let python = folder.join("bin/python");
    let run = |program: &Path, args: &[&str]| {
        // `timeout` is the deadline: a network without answers must not hold up the suite.
        let output = Command::new("timeout").arg("120").arg(program).args(args).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => {
                Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("").to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    };
    let there = ["-c", check];
    if run(&python, &there).is_ok() {
        return Ok(python);
    }
    let target = folder.to_str().ok_or("path of the build folder")?;
    run(Path::new("python3"), &["-m", "venv", target])?;
    run(&python, &["-m", "pip", "install", "--quiet", "--retries", "1", package])?;
    run(&python, &there)?;
    Ok(python)
}

/// Goal: for random keys, card numbers, amounts and counters, the card's ARQC and the bank's ARPC are
/// pyemv's.
#[test]
fn cryptograms_agree_with_an_independent_implementation() {
    let check = "import pyemv; assert pyemv.__version__ == '1.5.0'";
    let python = match python("oracle-venv", "pyemv==1.5.0", check) {
        Ok(python) => python,
        Err(reason) => return println!("skipped: no pyemv: {reason}"),
    };
    let cases: Vec<Case> = (0..CASES)
        .flat_map(|_| [Case::new("unionpay-01", "unionpay", 16), Case::new("visa-10", "visa", 16)])
        .chain([Case::new("unionpay-01", "unionpay", 19), Case::new("unionpay-01", "unionpay", 13)])
        .collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/emv_crypto.py");
    let mut judge = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = judge.stdin.take().unwrap();
    cases.iter().for_each(|case| writeln!(questions, "{}", case.question()).unwrap());
    drop(questions);
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(answers.len(), cases.len());
    for (case, answer) in cases.iter().zip(answers) {
        assert_eq!(case.ours(), answer, "{}", case.question());
    }
}

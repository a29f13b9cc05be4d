//! The judge: asks all codecs turn by turn, so that what disturbs one disturbs the others, and compares within a round.
use super::codecs;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const ROUNDS: usize = 51;
/// How long one answer takes: about a time slice, so that most of them are not interrupted.
const ANSWER_NS: f64 = 3e6;
/// Calls before the first round: virtual machines compile what they do often.
const WARM_UP: u32 = 5000;
const COUNTED: u64 = 1000;

/// A codec in its process.
struct Codec {
    name: String,
    remark: String,
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Calls in an answer: decode, encode.
    calls: [f64; 2],
    /// Nanoseconds of one decode and one encode in each round.
    times: Vec<[f64; 2]>,
}

impl Codec {
    /// None, and a word about it, if the process does not come up: it speaks no such message, or is not there.
    fn start(command: &mut Command) -> Option<Self> {
        let started = Self::greeted(command);
        if started.is_none() {
            eprintln!("codec-bench: left out: {command:?}");
        }
        started
    }

    fn greeted(command: &mut Command) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (ask, mut answers) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut line = String::new();
        // iso8583_rs tells where it reads its table before anything else.
        while answers.read_line(&mut line).ok()? > 0 {
            if let Some((name, remark)) = line.trim_end_matches('\n').split_once('\t') {
                let (name, remark) = (name.to_owned(), remark.to_owned());
                return Some(Self { name, remark, child, ask, answers, calls: [1.0; 2], times: Vec::new() });
            }
            line.clear();
        }
        child.wait().ok()?;
        None
    }

    fn answer(&mut self, question: &str) -> String {
        writeln!(self.ask, "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Nanoseconds of one call.
    fn time(&mut self, what: &str, calls: f64) -> f64 {
        self.answer(&format!("{what} {calls}")).parse::<f64>().unwrap() / calls
    }

    fn warm_up(&mut self) {
        for (at, what) in ["decode", "encode"].into_iter().enumerate() {
            self.time(what, f64::from(WARM_UP));
            self.calls[at] = (ANSWER_NS / self.time(what, f64::from(WARM_UP))).ceil();
        }
    }

    fn round(&mut self) {
        let [decodes, encodes] = self.calls;
        let times = [self.time("decode", decodes), self.time("encode", encodes)];
        self.times.push(times);
    }

    fn median(&self, of: impl Fn(&[f64; 2]) -> f64) -> f64 {
        median(self.times.iter().map(of).collect())
    }

    fn document(mut self, ours: &[f64]) -> Value {
        let both = self.times.iter().map(|[decode, encode]| decode + encode);
        let ratio = median(both.zip(ours).map(|(theirs, ours)| theirs / ours).collect());
        let allocations: Vec<u64> =
            self.answer("allocations").split(' ').filter_map(|count| count.parse().ok()).collect();
        let document = json!({
            "name": self.name, "remark": self.remark, "ratio": ratio, "allocations": allocations,
            "decode-ns": self.median(|times| times[0]), "encode-ns": self.median(|times| times[1]),
        });
        drop(self.ask);
        self.child.wait().unwrap();
        document
    }
}

/// Everything as one document; times in nanoseconds, ratios of decode and encode together to `posd`.
pub(crate) fn all(others: &[&str]) -> Value {
    let own = std::env::current_exe().unwrap();
    let message = codecs::message();
    let ours = codecs::NAMES.iter().map(|name| {
        let mut command = Command::new(&own);
        command.args(["work", name]).env("SPEC_FILE", codecs::SPEC);
        command
    });
    let theirs = others.chunks_exact(2).map(|words| {
        let mut command = Command::new(words[0]);
        command.args([words[1], &message]);
        command
    });
    let mut running: Vec<Codec> =
        ours.chain(theirs).filter_map(|mut command| Codec::start(&mut command)).collect();
    running.iter_mut().for_each(Codec::warm_up);
    for _ in 0..ROUNDS {
        running.iter_mut().for_each(Codec::round);
    }
    let base = running.iter().find(|codec| codec.name == "posd").unwrap();
    let base: Vec<f64> = base.times.iter().map(|[decode, encode]| decode + encode).collect();
    json!({
        "codecs": running.into_iter().map(|codec| codec.document(&base)).collect::<Vec<_>>(),
        "instructions": instructions(&own),
    })
}

/// Of one decode and one encode of B5 as UnionPay writes it; nothing without valgrind.
fn instructions(own: &PathBuf) -> Option<[u64; 2]> {
    let count = |what: &str, calls: u64| -> Option<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(own)
            .args(["loop", what, &calls.to_string()])
            .output()
            .ok()?;
        let told = String::from_utf8(output.stderr).ok()?;
        told.lines().find_map(|line| line.split_once("Collected : "))?.1.trim().parse().ok()
    };
    let of = |what| Some((count(what, COUNTED)? - count(what, 0)?) / COUNTED);
    Some([of("decode")?, of("encode")?])
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

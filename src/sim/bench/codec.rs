//! The ISO 8583 codec against others on vector B5, as `tests/tools/codec-bench/run` measured it: that script needs
//! the registries of three languages, so it writes a document, and this only reads and words it.
use super::tell;
use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::io::Error;
use std::path::Path;

/// The codec that the ratios go to: it decodes into a message of its own, as the others do.
const OURS: &str = "posd";
/// The same, decoding into a view of the bytes.
const VIEW: &str = "posd-view";
/// B5 as UnionPay writes it.
const PACKED: &str = "posd-packed";
/// What is asked of codecs that are compiled as ours is.
const COMPILED: &str = "at least 3";
/// What is asked of those that are not.
const INTERPRETED: &str = "at least 50";

/// The document of that script; it is kept as it came.
pub(super) struct Codecs {
    read: Read,
    pub(super) document: Value,
}

#[derive(Deserialize)]
struct Read {
    codecs: Vec<Codec>,
    /// Of one decode and one encode of B5 as UnionPay writes it; absent where nothing counts them.
    instructions: Option<[u64; 2]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Codec {
    name: String,
    /// What is wrong with it; empty if nothing.
    remark: String,
    /// Its time for one decode and one encode to ours, the median of rounds.
    ratio: f64,
    /// Of one decode and one encode; empty where they cannot be counted, which tells the interpreted ones.
    allocations: Vec<u64>,
    decode_ns: f64,
    encode_ns: f64,
}

impl Codec {
    fn micros(&self) -> f64 {
        (self.decode_ns + self.encode_ns) / 1e3
    }
}

/// Reads the document; without the file, a word about it.
pub(super) fn read(file: Option<&Path>) -> Result<Option<Codecs>, Error> {
    match file.filter(|file| file.exists()) {
        None => {
            tell("no document of the codecs: their rows are left out");
            Ok(None)
        }
        Some(file) => Codecs::parse(&fs::read_to_string(file)?)
            .map(Some)
            .map_err(|error| Error::other(format!("{}: {error}", file.display()))),
    }
}

impl Codecs {
    fn parse(text: &str) -> serde_json::Result<Self> {
        let document: Value = serde_json::from_str(text)?;
        Ok(Self { read: Read::deserialize(&document)?, document })
    }

    fn named(&self, name: &str) -> Option<&Codec> {
        self.read.codecs.iter().find(|codec| codec.name == name)
    }

    /// What was measured, what is asked for, and the figure.
    pub(super) fn rows(&self) -> Vec<[String; 3]> {
        let costs = self.named(PACKED).and_then(|packed| match packed.allocations.as_slice() {
            [decode, encode] => Some([
                "heap allocations of one decode and one encode of vector B5".to_owned(),
                "none in decode".to_owned(),
                format!("{decode} and {encode}"),
            ]),
            _ => None,
        });
        let instructions = self.read.instructions.map(|[decode, encode]| {
            [
                "instructions of the same, by valgrind".to_owned(),
                String::new(),
                format!("{decode} and {encode}"),
            ]
        });
        let others = self.read.codecs.iter().filter(|codec| !codec.name.starts_with(OURS));
        costs.into_iter().chain(instructions).chain(others.filter_map(|other| self.against(other))).collect()
    }

    fn against(&self, other: &Codec) -> Option<[String; 3]> {
        let (ours, view) = (self.named(OURS)?, self.named(VIEW)?);
        let remark = if other.remark.is_empty() { String::new() } else { format!("; it {}", other.remark) };
        Some([
            format!(
                "elements of B5 in ASCII decoded to a message and encoded: {} against posd, a process each, turn by \
                 turn, medians",
                other.name
            ),
            if other.allocations.is_empty() { INTERPRETED } else { COMPILED }.to_owned(),
            format!(
                "{:.1} times ({:.2} µs against {:.2} µs; decoded to a view {:.1} times){remark}",
                other.ratio,
                other.micros(),
                ours.micros(),
                other.ratio / view.ratio,
            ),
        ])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn codec(name: &str, ratio: f64, allocations: &[u64], remark: &str) -> Value {
        serde_json::json!({
            "name": name, "ratio": ratio, "allocations": allocations, "remark": remark,
            "decode-ns": 400.0 * ratio, "encode-ns": 200.0 * ratio,
        })
    }

    /// Goal: a document of the script becomes rows with the target of their kind, and what is missing has none.
    #[test]
    fn a_document_becomes_rows() {
        let document = serde_json::json!({
            "codecs": [
                codec(PACKED, 0.6, &[0, 1], ""), codec(VIEW, 0.5, &[0, 1], ""), codec(OURS, 1.0, &[2, 1], ""),
                codec("other 1.0", 6.0, &[55, 12], ""), codec("slow 2.0", 60.0, &[], "writes other bytes"),
            ],
            "instructions": null,
        });
        let rows = Codecs::parse(&document.to_string()).unwrap().rows();
        let cells: Vec<(&str, &str)> =
            rows.iter().map(|[_, target, figure]| (&**target, &**figure)).collect();
        assert_eq!(
            cells,
            [
                ("none in decode", "0 and 1"),
                ("at least 3", "6.0 times (3.60 µs against 0.60 µs; decoded to a view 12.0 times)"),
                (
                    "at least 50",
                    "60.0 times (36.00 µs against 0.60 µs; decoded to a view 120.0 times); it writes other bytes"
                ),
            ]
        );
    }

    /// Goal: a document of another form is refused, not worded as if nothing had been measured.
    #[test]
    fn another_document_is_refused() {
        assert!(Codecs::parse("{}").is_err());
    }
}

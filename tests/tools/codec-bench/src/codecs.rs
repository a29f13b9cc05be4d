//! The codecs in Rust, each as a process of its own, and the one message.
use super::work::serve;
use posd::domain::iso8583::{De, Dialect, Form, Format, Message, decode, iso1987, pack, unpack};
use posd::domain::unionpay::dialect::DIALECT;
use std::hint::black_box;

const VECTORS: &str = include_str!("../../../data/iso8583/synthetic.txt");
/// How the elements of B5 look for `iso8583_rs`, which takes its table from a file named by the environment.
pub(crate) const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/b5.yaml");
/// What `work` knows, ours first.
pub(crate) const NAMES: [&str; 5] = ["posd-packed", "posd-view", "posd", "iso8583-core", "iso8583_rs"];

/// What a codec is told that re-encodes to something else; it is measured all the same.
const OTHER_BYTES: &str = "writes other bytes than it read";

/// B5 as UnionPay writes it, without length, TPDU and header.
fn b5() -> Vec<u8> {
    let block = VECTORS.split("\n== ").find(|block| block.starts_with("B5 ")).unwrap();
    let hex: String = block.lines().filter_map(|line| line.strip_prefix("hex ")).collect();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    bytes.skip(13).collect()
}

/// The common dialect, and B5 in it.
fn common() -> (Dialect, Message) {
    let mac = De::new(64).unwrap();
    let dialect =
        iso1987::ASCII.with_forms(Form::Ascii, Form::Packed).with(mac, Format::parse("b8").unwrap());
    let packed = unpack(&DIALECT, &b5()).unwrap();
    let mut message = Message::new(packed.mti());
    for (de, value) in packed.fields() {
        match de.number() {
            55 => message.set(de, value.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
            _ => message.set(de, value),
        };
    }
    (dialect, message)
}

/// The common message in hexadecimal, for other languages.
pub(crate) fn message() -> String {
    let (dialect, message) = common();
    pack(&dialect, &message).unwrap().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Decodes or encodes B5 as UnionPay writes it.
pub(crate) fn repeat(what: &str, count: u64) {
    let wire = b5();
    let message = unpack(&DIALECT, &wire).unwrap();
    for _ in 0..count {
        match what {
            "decode" => drop(black_box(decode(&DIALECT, black_box(&wire)).unwrap())),
            _ => drop(black_box(pack(&DIALECT, black_box(&message)).unwrap())),
        }
    }
}

/// One codec until the judge hangs up.
pub(crate) fn work(name: &str) {
    match name {
        "posd-packed" => {
            let wire = b5();
            let message = unpack(&DIALECT, &wire).unwrap();
            assert_eq!(pack(&DIALECT, &message).as_deref(), Ok(wire.as_slice()));
            serve(
                name,
                "",
                || drop(black_box(decode(&DIALECT, black_box(&wire)).unwrap())),
                || drop(black_box(pack(&DIALECT, black_box(&message)).unwrap())),
            );
        }
        "posd-view" | "posd" => posd(name),
        "iso8583-core" => core(),
        _ => rs(),
    }
}

/// Into a message of its own, as the others do, or into a view of the bytes.
fn posd(name: &str) {
    let (dialect, message) = common();
    let bytes = pack(&dialect, &message).unwrap();
    assert_eq!(unpack(&dialect, &bytes).as_ref(), Ok(&message));
    let encode = || drop(black_box(pack(&dialect, black_box(&message)).unwrap()));
    match name {
        "posd" => serve(name, "", || drop(black_box(unpack(&dialect, black_box(&bytes)).unwrap())), encode),
        _ => serve(name, "", || drop(black_box(decode(&dialect, black_box(&bytes)).unwrap())), encode),
    }
}

fn core() {
    let (dialect, message) = common();
    let bytes = pack(&dialect, &message).unwrap();
    let read = |bytes: &[u8]| iso8583_core::ISO8583Message::from_bytes(bytes).unwrap();
    let theirs = read(&bytes);
    serve(
        "iso8583-core 0.1.0",
        if theirs.to_bytes() == bytes { "" } else { OTHER_BYTES },
        || drop(black_box(read(black_box(&bytes)))),
        || drop(black_box(black_box(&theirs).to_bytes())),
    );
}

fn rs() {
    let (dialect, message) = common();
    let mut bytes = pack(&dialect, &message).unwrap();
    let spec = iso8583_rs::iso8583::iso_spec::spec("");
    let theirs = spec.parse(&mut bytes).map_err(|error| error.msg).unwrap();
    let written = theirs.assemble().map_err(|error| error.msg).unwrap();
    serve(
        "iso8583_rs 0.1.10",
        if written == bytes { "" } else { OTHER_BYTES },
        || drop(black_box(spec.parse(black_box(&mut bytes)).map_err(|error| error.msg).unwrap())),
        || drop(black_box(black_box(&theirs).assemble().map_err(|error| error.msg).unwrap())),
    );
}

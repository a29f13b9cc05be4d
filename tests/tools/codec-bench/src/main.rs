//! Measures the codec and two others on the elements of vector B5, in a dialect that all of them speak: MTI and
//! elements in characters, binary bitmap. `codec-bench message` prints that message for Python and Node;
//! `codec-bench loop decode N` is what perf counts.
use posd::domain::iso8583::{De, Dialect, Form, Format, Message, decode, iso1987, pack, unpack};
use posd::domain::unionpay::dialect::DIALECT;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const VECTORS: &str = include_str!("../../../data/iso8583/synthetic.txt");
/// How the elements of B5 look for `iso8583_rs`, which takes its table from a file named by the environment.
const SPEC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/b5.yaml");

fn b5() -> Vec<u8> {
    let block = VECTORS.split("\n== ").find(|block| block.starts_with("B5 ")).unwrap();
    let hex: String = block.lines().filter_map(|line| line.strip_prefix("hex ")).collect();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    bytes.skip(13).collect() // length, TPDU, header
}

/// The common dialect and B5 in it.
fn common() -> (Dialect, Message) {
    let mac = De::new(64).unwrap();
    let dialect = iso1987::ASCII.with_forms(Form::Ascii, Form::Packed).with(mac, Format::parse("b8").unwrap());
    let packed = unpack(&DIALECT, &b5()).unwrap();
    let mut message = Message::new(packed.mti());
    for (de, value) in packed.fields() {
        match de.number() {
            55 => {
                let hex: String = value.iter().map(|byte| format!("{byte:02X}")).collect();
                message.set(de, hex)
            }
            _ => message.set(de, value),
        };
    }
    (dialect, message)
}

/// Nanoseconds of one call, the median of rounds, and its allocations.
fn measure(mut call: impl FnMut()) -> (f64, usize) {
    for _ in 0..2000 {
        call();
    }
    let region = Region::new(ALLOCATOR);
    call();
    let change = region.change();
    let mut rounds: Vec<Duration> = (0..31)
        .map(|_| {
            let began = Instant::now();
            (0..2000).for_each(|_| call());
            began.elapsed() / 2000
        })
        .collect();
    rounds.sort_unstable();
    (rounds[rounds.len() / 2].as_nanos() as f64, change.allocations + change.reallocations)
}

fn row(name: &str, decode: (f64, usize), encode: (f64, usize)) {
    let both = decode.0 + encode.0;
    println!("{name}\t{:.0}\t{}\t{:.0}\t{}\t{both:.0}", decode.0, decode.1, encode.0, encode.1);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (dialect, message) = common();
    let bytes = pack(&dialect, &message).unwrap();
    let wire = b5();
    let original = unpack(&DIALECT, &wire).unwrap();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["message"] => println!("{}", bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>()),
        ["loop", "decode", count] => (0..count.parse::<u64>().unwrap()).for_each(|_| {
            black_box(decode(&DIALECT, black_box(&wire)).unwrap());
        }),
        ["loop", "encode", count] => (0..count.parse::<u64>().unwrap()).for_each(|_| {
            black_box(pack(&DIALECT, black_box(&original)).unwrap());
        }),
        _ => table(&dialect, &message, &bytes, &original, &wire),
    }
}

fn table(dialect: &Dialect, message: &Message, bytes: &[u8], original: &Message, wire: &[u8]) {
    println!("codec\tdecode ns\tallocations\tencode ns\tallocations\tboth ns");
    assert_eq!(pack(&DIALECT, original).unwrap(), wire);
    row(
        "posd, B5 as UnionPay writes it (packed)",
        measure(|| drop(black_box(decode(&DIALECT, black_box(wire)).unwrap()))),
        measure(|| drop(black_box(pack(&DIALECT, black_box(original)).unwrap()))),
    );
    assert_eq!(&unpack(dialect, bytes).unwrap(), message);
    row(
        "posd",
        measure(|| drop(black_box(decode(dialect, black_box(bytes)).unwrap()))),
        measure(|| drop(black_box(pack(dialect, black_box(message)).unwrap()))),
    );
    row(
        "posd, into a message of its own",
        measure(|| drop(black_box(unpack(dialect, black_box(bytes)).unwrap()))),
        measure(|| drop(black_box(pack(dialect, black_box(message)).unwrap()))),
    );
    match iso8583_core::ISO8583Message::from_bytes(bytes) {
        Ok(theirs) => {
            if theirs.to_bytes() != bytes {
                println!("# iso8583-core 0.1.0 writes other bytes than it read");
            }
            row(
                "iso8583-core 0.1.0",
                measure(|| drop(black_box(iso8583_core::ISO8583Message::from_bytes(black_box(bytes)).unwrap()))),
                measure(|| drop(black_box(black_box(&theirs).to_bytes()))),
            );
        }
        Err(error) => println!("# iso8583-core 0.1.0 refuses the message: {error}"),
    }
    rs(bytes);
}

fn rs(bytes: &[u8]) {
    // One thread, and nothing has read the environment yet.
    assert_eq!(std::env::var("SPEC_FILE").as_deref(), Ok(SPEC), "start it by `run`");
    let spec = iso8583_rs::iso8583::iso_spec::spec("");
    let mut input = bytes.to_vec();
    match spec.parse(&mut input) {
        Ok(theirs) => {
            match theirs.assemble() {
                Ok(written) if written == bytes => {}
                _ => println!("# iso8583_rs 0.1.10 writes other bytes than it read"),
            }
            row(
                "iso8583_rs 0.1.10",
                measure(|| drop(black_box(spec.parse(black_box(&mut input)).map_err(|e| e.msg).unwrap()))),
                measure(|| drop(black_box(black_box(&theirs).assemble().map_err(|e| e.msg).unwrap()))),
            );
        }
        Err(error) => println!("# iso8583_rs 0.1.10 refuses the message: {}", error.msg),
    }
}

//! What is fed, and the laws that must hold for every input.
use super::chip;
use crate::domain::download::lists::{self, List};
use crate::domain::download::{Kind, parameters, records};
use crate::domain::iso8583::{Dialect, FrameReader, decode, iso1987, pack, unpack};
use crate::domain::profile::{self, Profile};
use crate::domain::unionpay::de55;
use crate::domain::unionpay::dialect::DIALECT;
use std::path::Path;

/// One target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Name of the target and of its folder in the corpus.
    pub name: &'static str,
    /// Feeds one input: true if it was accepted, false if refused as it must be; the error is the law it broke.
    pub feed: fn(&[u8]) -> Result<bool, &'static str>,
}

/// All targets. A reader of bytes from outside that is not here is missing here.
pub const ALL: &[Target] = &[
    Target { name: "decode", feed: message },
    Target { name: "frames", feed: frames },
    Target { name: "de55", feed: icc },
    Target { name: "profile", feed: profile },
    Target { name: "downloads", feed: downloads },
    Target { name: "tlv", feed: chip::objects },
    Target { name: "dol", feed: chip::list },
    Target { name: "afl", feed: chip::locator },
    Target { name: "certificates", feed: chip::signatures },
    Target { name: "chip", feed: chip::conversation },
];

/// The target of a name, for cargo-fuzz.
#[must_use]
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}

/// A message of each dialect: what is accepted packs to the same bytes, and view and message tell the same.
fn message(bytes: &[u8]) -> Result<bool, &'static str> {
    Ok(message_of(&DIALECT, bytes)? | message_of(&iso1987::ASCII, bytes)?)
}

fn message_of(dialect: &Dialect, bytes: &[u8]) -> Result<bool, &'static str> {
    let Ok(view) = decode(dialect, bytes) else {
        let refused = unpack(dialect, bytes).is_err();
        return if refused { Ok(false) } else { Err("decode refuses what unpack accepts") };
    };
    let message = unpack(dialect, bytes).map_err(|_| "unpack refuses what decode accepts")?;
    if pack(dialect, &message).as_deref() != Ok(bytes) {
        return Err("what was accepted packs to other bytes");
    }
    let same = view.count() == message.fields().count()
        && view.fields().zip(message.fields()).all(|(field, (de, value))| field.de == de && field.is(value));
    if same { Ok(true) } else { Err("view and message differ") }
}

/// The first byte says in which pieces the rest comes; in whichever, the same frames come out.
fn frames(bytes: &[u8]) -> Result<bool, &'static str> {
    let Some((pieces, stream)) = bytes.split_first() else { return Ok(false) };
    let whole = read_frames(stream, stream.len().max(1));
    let cut = read_frames(stream, usize::from(*pieces).max(1));
    if whole == cut { Ok(!whole.0.is_empty()) } else { Err("frames depend on how the stream is cut") }
}

/// All frames, and how the stream ended.
fn read_frames(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, String) {
    let (mut reader, mut frames) = (FrameReader::default(), Vec::new());
    for mut rest in stream.chunks(piece) {
        loop {
            match reader.read(&mut rest) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, error.to_string()),
            }
        }
    }
    (frames, reader.is_between_frames().to_string())
}

/// DE 55: the objects are the data, apart from the zeros between them, and an answer is read or refused.
fn icc(bytes: &[u8]) -> Result<bool, &'static str> {
    drop(de55::read_answer(bytes));
    let Ok(objects) = de55::objects(bytes) else { return Ok(false) };
    let mut rest = bytes;
    for object in &objects {
        while let Some(behind) = rest.strip_prefix(&[0]) {
            rest = behind;
        }
        rest = rest.strip_prefix(object.whole).ok_or("an object is not where it should be")?;
    }
    if rest.iter().all(|byte| *byte == 0) { Ok(true) } else { Err("bytes behind the last object are lost") }
}

/// A profile as a file of its own and as changes to the shipped one: taken, or every problem with its line.
fn profile(bytes: &[u8]) -> Result<bool, &'static str> {
    let Ok(text) = core::str::from_utf8(bytes) else { return Ok(false) };
    let (file, base) = (Path::new("fuzz.toml"), Profile::unionpay());
    let mut taken = false;
    for base in [None, Some(base.as_ref())] {
        match profile::read("fuzz", file, text, base) {
            Ok(_) => taken = true,
            Err(errors) if errors.0.is_empty() => return Err("a refusal without a problem"),
            Err(_) => {}
        }
    }
    Ok(taken)
}

/// Field 62 of downloads. The first byte says what it is; a list that is taken names each entry once, a record that is
/// taken names what it is about.
fn downloads(bytes: &[u8]) -> Result<bool, &'static str> {
    let Some((what, body)) = bytes.split_first() else { return Ok(false) };
    match what {
        b'k' | b'a' => {
            let mut list = List::default();
            let kind = if *what == b'k' { Kind::Capk } else { Kind::Aid };
            let taken = list.take(kind, body).is_ok();
            let twice = list
                .keys()
                .iter()
                .enumerate()
                .any(|(n, key)| list.keys().iter().skip(n + 1).any(|k| k == key));
            if taken && twice { Err("a list names an entry twice") } else { Ok(taken) }
        }
        b'K' => match records::capk(body) {
            Ok(key) if key.modulus.len() < 96 => Err("a key that is too short"),
            read => Ok(read.is_ok()),
        },
        b'A' => match records::application(body, 0) {
            Ok(entry) if entry.random_target_percent > entry.random_max_percent => Err("percentages cross"),
            read => Ok(read.is_ok()),
        },
        b'b' => Ok(lists::cards(body).is_ok()),
        b'p' => {
            let received = parameters::read(body);
            drop(parameters::adopt(&received.rows));
            let kept: usize = received.rows.iter().map(|row| row.key.len() + row.data.len()).sum();
            if kept > body.len() { Err("more is kept than came") } else { Ok(!received.rows.is_empty()) }
        }
        _ => Ok(false),
    }
}

//! What a simulated card and its issuer have signed: certificates, static and dynamic data, each part of them spoilt on
//! demand. EMV 4.4 Book 2 §5, §6 and §7.1, Annex A2.1. Spec: unverified.
use core::str::FromStr;

use sha1::{Digest, Sha1};

use super::keys::{CA_INDEX, KeyPair, keys};
use super::profile::{Application, Oda};

/// What is spoilt in a card's signatures, `WHAT FIELD` in a profile file: `icc expiry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoilt {
    /// Which signature.
    pub what: Signed,
    /// Which part of it.
    pub field: Field,
}

/// A signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// Issuer public key certificate, tag 90.
    Issuer,
    /// Signed static application data, tag 93.
    Static,
    /// ICC public key certificate, tag 9F46.
    Icc,
    /// ICC PIN encipherment public key certificate, tag 9F2D.
    Pin,
    /// Signed dynamic application data of INTERNAL AUTHENTICATE.
    Dynamic,
    /// Signed dynamic application data of GENERATE AC (CDA).
    Cryptogram,
}

/// A part of a signature. What the signature has no such part of stays good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The first byte, 6A.
    Header,
    /// The second byte, which says what it is.
    Format,
    /// Issuer number or card number.
    Subject,
    /// The certificate ended in January 2020.
    Expiry,
    /// Hash algorithm indicator.
    HashAlgorithm,
    /// Public key algorithm indicator.
    KeyAlgorithm,
    /// Length of the key, or of the dynamic data.
    Length,
    /// The hash does not fit.
    Hash,
    /// The last byte, BC.
    Trailer,
    /// The signature is one byte too short.
    Short,
    /// The whole signature is missing.
    Missing,
    /// The remainder of the key is missing.
    Remainder,
    /// The exponent is missing.
    Exponent,
    /// What is signed differs from what the card gives: static data, the terminal's numbers, the answer's objects.
    Data,
    /// The signed type of cryptogram is another one than the answer's.
    Cid,
}

/// The signatures by name.
const SIGNED: [(&str, Signed); 6] = [
    ("issuer", Signed::Issuer),
    ("static", Signed::Static),
    ("icc", Signed::Icc),
    ("pin", Signed::Pin),
    ("dynamic", Signed::Dynamic),
    ("cryptogram", Signed::Cryptogram),
];

/// The parts by name.
const FIELDS: [(&str, Field); 15] = [
    ("header", Field::Header),
    ("format", Field::Format),
    ("subject", Field::Subject),
    ("expiry", Field::Expiry),
    ("hash-algorithm", Field::HashAlgorithm),
    ("key-algorithm", Field::KeyAlgorithm),
    ("length", Field::Length),
    ("hash", Field::Hash),
    ("trailer", Field::Trailer),
    ("short", Field::Short),
    ("missing", Field::Missing),
    ("remainder", Field::Remainder),
    ("exponent", Field::Exponent),
    ("data", Field::Data),
    ("cid", Field::Cid),
];

impl Spoilt {
    /// Everything that can be spoilt, also what a signature has no part of.
    pub fn all() -> impl Iterator<Item = Self> {
        let each = |what: Signed| FIELDS.iter().map(move |(_, field)| Self { what, field: *field });
        SIGNED.iter().flat_map(move |(_, what)| each(*what))
    }
}

impl FromStr for Spoilt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = "spoilt is `WHAT FIELD`, such as `icc expiry`";
        let (what, field) = text.split_once(' ').ok_or(bad)?;
        let what = SIGNED.iter().find(|(name, _)| *name == what).ok_or(bad)?.1;
        let field = FIELDS.iter().find(|(name, _)| *name == field).ok_or(bad)?.1;
        Ok(Self { what, field })
    }
}

/// The last month of every certificate, MMYY.
const CERTIFICATE_END: [u8; 2] = [0x12, 0x30];
/// A month that is over.
const PAST: [u8; 2] = [0x01, 0x20];
/// Serial number of the issuer's certificate: the card's CA may have revoked it.
const ISSUER_SERIAL: [u8; 3] = [0x00, 0x00, 0x01];
/// Serial number of the card's own certificates.
const ICC_SERIAL: [u8; 3] = [0x00, 0x00, 0x02];
/// Data authentication code (tag 9F45) in the signed static data.
const DAC: [u8; 2] = [0xDA, 0xC0];

/// An object of file 3: number of its record, tag, value.
pub(super) type SignedObject = (u8, u32, Vec<u8>);

/// A certificate and what belongs to it.
struct Certificate {
    signature: Vec<u8>,
    remainder: Vec<u8>,
    exponent: Vec<u8>,
}

/// Signs what stands in the records, under the test CA. `records` are the records that the file locator marks, one
/// after the other; the static data is theirs and the AIP.
pub(super) fn sign(application: &Application, records: &[u8], aip: [u8; 2]) -> Vec<SignedObject> {
    let keys = keys();
    let spoilt =
        |what: Signed| application.spoilt.filter(|spoilt| spoilt.what == what).map(|spoilt| spoilt.field);
    let mut objects = Vec::new();
    if application.oda == Oda::None && !application.pin_key {
        return objects;
    }
    let static_data = [records, aip.as_slice()].concat();
    let issuer = certificate(
        (&keys.ca, &keys.issuer),
        &[&[0x02], issuer_number(application).as_slice()].concat(),
        ISSUER_SERIAL,
        &[],
        spoilt(Signed::Issuer),
    );
    objects.push((1, 0x8F, vec![CA_INDEX]));
    put(&mut objects, (1, 0x90), (1, 0x9F32), (2, 0x92), issuer, spoilt(Signed::Issuer));
    let holder = [&[0x04], card_number(application).as_slice()].concat();
    match application.oda {
        Oda::None => {}
        Oda::Sda => {
            let spoilt = spoilt(Signed::Static);
            let room = keys.issuer.modulus.len().saturating_sub(26);
            let hash = if spoilt == Some(Field::HashAlgorithm) { 0x7F } else { 0x01 };
            let head = [&[0x03, hash], DAC.as_slice()].concat();
            let signed = seal(&keys.issuer, &head, room, &[], &static_data, spoilt);
            if spoilt != Some(Field::Missing) {
                objects.push((2, 0x93, signed));
            }
        }
        Oda::Dda | Oda::Cda => {
            let spoilt = spoilt(Signed::Icc);
            let icc = certificate((&keys.issuer, &keys.icc), &holder, ICC_SERIAL, &static_data, spoilt);
            put(&mut objects, (2, 0x9F46), (2, 0x9F47), (2, 0x9F48), icc, spoilt);
            objects.push((2, 0x9F49, vec![0x9F, 0x37, 0x04]));
        }
    }
    if application.pin_key {
        let spoilt = spoilt(Signed::Pin);
        let pin = certificate((&keys.issuer, &keys.pin), &holder, ICC_SERIAL, &[], spoilt);
        put(&mut objects, (3, 0x9F2D), (3, 0x9F2E), (3, 0x9F2F), pin, spoilt);
    }
    objects
}

/// Adds a certificate's three objects, as far as there are any: record and tag of each.
fn put(
    objects: &mut Vec<SignedObject>,
    certificate: (u8, u32),
    exponent: (u8, u32),
    remainder: (u8, u32),
    given: Certificate,
    spoilt: Option<Field>,
) {
    let parts = [
        (certificate, given.signature, Field::Missing),
        (exponent, given.exponent, Field::Exponent),
        (remainder, given.remainder, Field::Remainder),
    ];
    for ((record, tag), value, missing) in parts {
        if !value.is_empty() && spoilt != Some(missing) {
            objects.push((record, tag, value));
        }
    }
}

/// Certifies a key: format and subject, dates, the key as far as it fits, the hash also over the rest.
fn certificate(
    (signer, subject): (&KeyPair, &KeyPair),
    head: &[u8],
    serial: [u8; 3],
    static_data: &[u8],
    spoilt: Option<Field>,
) -> Certificate {
    let end = if spoilt == Some(Field::Expiry) { PAST } else { CERTIFICATE_END };
    let algorithm = if spoilt == Some(Field::KeyAlgorithm) { 0x7F } else { 0x01 };
    let hash = if spoilt == Some(Field::HashAlgorithm) { 0x7F } else { 0x01 };
    let length = byte(subject.modulus.len()) ^ u8::from(spoilt == Some(Field::Length));
    let head =
        [head, end.as_slice(), &serial, &[hash, algorithm, length, byte(subject.exponent.len())]].concat();
    // Header, hash and trailer take 22 bytes beside the head.
    let room = signer.modulus.len().saturating_sub(head.len()).saturating_sub(22);
    let (inside, remainder) = subject.modulus.split_at(room.min(subject.modulus.len()));
    let extra = [remainder, subject.exponent.as_slice(), static_data].concat();
    let signature = seal(signer, &head, room, inside, &extra, spoilt);
    Certificate { signature, remainder: remainder.to_vec(), exponent: subject.exponent.clone() }
}

/// Signs a block with recovery: header, head, payload filled up with BB, hash (over these and `extra`), trailer. Where
/// a part is to be spoilt that the hash covers, the hash covers it spoilt, so that nothing else is wrong.
fn seal(
    signer: &KeyPair,
    head: &[u8],
    room: usize,
    payload: &[u8],
    extra: &[u8],
    spoilt: Option<Field>,
) -> Vec<u8> {
    let mut body = [head, payload].concat();
    body.resize(head.len().saturating_add(room), 0xBB);
    match (spoilt, body.as_mut_slice()) {
        (Some(Field::Format), [format, ..]) => *format ^= 0x10,
        (Some(Field::Subject), [0x02 | 0x04, subject, ..]) => *subject ^= 0x10,
        _ => {}
    }
    let mut hash = Sha1::new().chain_update(&body).chain_update(extra).finalize();
    if matches!(spoilt, Some(Field::Hash | Field::Data)) {
        hash.iter_mut().for_each(|byte| *byte ^= 0x55);
    }
    let header = if spoilt == Some(Field::Header) { 0x6B } else { 0x6A };
    let trailer = if spoilt == Some(Field::Trailer) { 0xBD } else { 0xBC };
    let mut signature =
        signer.private_operation(&[&[header], body.as_slice(), hash.as_slice(), &[trailer]].concat());
    if spoilt == Some(Field::Short) {
        signature.pop();
    }
    signature
}

/// Signed dynamic application data: `dynamic` is the ICC dynamic data, `extra` what the terminal knows beside it.
/// `None` where it is to be missing.
pub(super) fn sign_dynamic(
    application: &Application,
    what: Signed,
    dynamic: &[u8],
    extra: &[u8],
) -> Option<Vec<u8>> {
    let spoilt = application.spoilt.filter(|spoilt| spoilt.what == what).map(|spoilt| spoilt.field);
    let key = &keys().icc;
    let hash = if spoilt == Some(Field::HashAlgorithm) { 0x7F } else { 0x01 };
    let length = if spoilt == Some(Field::Length) { 0xFF } else { byte(dynamic.len()) };
    let head = [&[0x05, hash, length], dynamic].concat();
    let room = key.modulus.len().saturating_sub(head.len()).saturating_sub(22);
    (spoilt != Some(Field::Missing)).then(|| seal(key, &head, room, &[], extra, spoilt))
}

/// The leftmost six digits of the card number, filled with F.
fn issuer_number(application: &Application) -> [u8; 4] {
    digits(application.pan.reveal().get(..6).unwrap_or_default())
}

/// The card number, filled with F.
fn card_number(application: &Application) -> [u8; 10] {
    digits(application.pan.reveal())
}

fn digits<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0xFF; N];
    for (at, digit) in text.chars().filter_map(|c| c.to_digit(10)).enumerate() {
        let digit = u8::try_from(digit).unwrap_or_default();
        if let Some(byte) = bytes.get_mut(at / 2) {
            *byte = if at % 2 == 0 { digit << 4 | 0x0F } else { *byte & 0xF0 | digit };
        }
    }
    bytes
}

fn byte(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoilt_is_read_by_name() {
        let spoilt = Spoilt { what: Signed::Icc, field: Field::HashAlgorithm };
        assert_eq!("icc hash-algorithm".parse(), Ok(spoilt));
        assert!("icc".parse::<Spoilt>().is_err() && "icc colour".parse::<Spoilt>().is_err());
        assert_eq!(Spoilt::all().count(), SIGNED.len() * FIELDS.len());
    }

    #[test]
    fn numbers_are_filled_with_f() {
        assert_eq!(digits::<4>("622588"), [0x62, 0x25, 0x88, 0xFF]);
        assert_eq!(digits::<10>("6225880012345675")[8..], [0xFF, 0xFF]);
        assert_eq!(digits::<4>("12345"), [0x12, 0x34, 0x5F, 0xFF]);
    }
}

//! The little that is wanted of an X.509 certificate beyond its verification: how long it is valid, and the
//! fingerprint of its key. Source: RFC 5280, 4.1.
use sha2::{Digest, Sha256};

use crate::domain::calendar::WallTime;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, constructed: the version.
const VERSION: u8 = 0xA0;

/// What is wanted of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    /// The last moment at which it is valid.
    pub(super) until: WallTime,
    /// SHA-256 over SubjectPublicKeyInfo: what stays the same when a certificate is renewed for its key.
    pub(super) key_sha256: [u8; 32],
}

/// Reads a certificate. `None`: it is not one.
pub(super) fn read(der: &[u8]) -> Option<Certificate> {
    let mut outer = der;
    let mut body = take(&mut outer, SEQUENCE)?.content;
    let mut body = take(&mut body, SEQUENCE)?.content;
    if body.first() == Some(&VERSION) {
        take_any(&mut body)?;
    }
    take_any(&mut body)?; // serial number
    take_any(&mut body)?; // signature algorithm
    take_any(&mut body)?; // issuer
    let mut validity = take(&mut body, SEQUENCE)?.content;
    take_any(&mut validity)?; // not before
    let until = time(&take_any(&mut validity)?)?;
    take_any(&mut body)?; // subject
    let key = take(&mut body, SEQUENCE)?.whole;
    Some(Certificate { until, key_sha256: Sha256::digest(key).into() })
}

/// One data object.
struct Object<'d> {
    tag: u8,
    content: &'d [u8],
    /// Tag and length included.
    whole: &'d [u8],
}

fn take<'d>(input: &mut &'d [u8], tag: u8) -> Option<Object<'d>> {
    take_any(input).filter(|object| object.tag == tag)
}

/// Takes the next object off the front. Lengths of up to four bytes, definite form only, as DER has them.
fn take_any<'d>(input: &mut &'d [u8]) -> Option<Object<'d>> {
    let all = *input;
    let (&tag, rest) = all.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        0x80 | 0x85..=0xFF => return None,
    };
    let (content, left) = rest.split_at_checked(length)?;
    *input = left;
    Some(Object { tag, content, whole: all.get(..all.len().checked_sub(left.len())?)? })
}

/// `YYMMDDhhmmssZ` (years 1950 to 2049) or `YYYYMMDDhhmmssZ`.
fn time(object: &Object<'_>) -> Option<WallTime> {
    let digits = object.content.strip_suffix(b"Z")?;
    let (century, digits) = match object.tag {
        UTC_TIME => (None, digits),
        GENERALIZED_TIME => (Some(two(digits, 0)?), digits.get(2..)?),
        _ => return None,
    };
    let year = two(digits, 0)?;
    let century = century.unwrap_or(if year < 50 { 20 } else { 19 });
    let part = |at| two(digits, at).and_then(|value| i8::try_from(value).ok());
    let date = jiff::civil::DateTime::new(
        century.checked_mul(100)?.checked_add(year)?,
        part(2)?,
        part(4)?,
        part(6)?,
        part(8)?,
        part(10)?,
        0,
    )
    .ok()?;
    let stamp = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(WallTime(u64::try_from(stamp.as_microsecond()).unwrap_or(0))) // before 1970: long over
}

fn two(digits: &[u8], at: usize) -> Option<i16> {
    match digits.get(at..at.checked_add(2)?)? {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(i16::from(tens - b'0') * 10 + i16::from(ones - b'0'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

    /// Goal: end and key of certificates before and after 2050, when the form of their dates changes.
    #[test]
    fn the_end_and_the_key_are_read() {
        let check = |year, wanted_s: u64| {
            let mut params = CertificateParams::new(vec!["host".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 3, 1);
            let key = KeyPair::generate().unwrap();
            let made = params.self_signed(&key).unwrap();
            let read = read(made.der()).unwrap();
            assert_eq!(read.until, WallTime(wanted_s * 1_000_000), "{year}");
            let spki: [u8; 32] = Sha256::digest(key.subject_public_key_info()).into();
            assert_eq!(read.key_sha256, spki, "{year}");
        };
        check(2028, 1_835_481_600);
        check(2060, 2_845_324_800);
    }

    /// Goal: what is cut short or is no certificate is refused, not guessed.
    #[test]
    fn what_is_cut_short_is_refused() {
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["host".to_owned()]).unwrap().self_signed(&key).unwrap();
        let whole: &[u8] = made.der();
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None, "{end}");
        }
        assert_eq!(read(&[0x30, 0x80, 0, 0]), None);
        assert_eq!(read(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), None);
    }
}

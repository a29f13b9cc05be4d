//! Track 2 for people: card number, expiry, service code digit by digit, length of the issuer's own digits.
//!
//! ISO/IEC 7813 (content, service code), ISO/IEC 7811-6 (sentinels, LRC). Spec: unverified.
use super::words::Words;
use crate::domain::mask::{self, CardData};
use crate::domain::secret::{SecretError, Track2};
use crate::domain::text::Bilingual;

/// Track 2 for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTrack2 {
    /// The card number, masked unless asked for.
    pub pan: String,
    /// True if its check digit is right.
    pub luhn: bool,
    /// `YYMM`.
    pub expiry: Option<String>,
    /// Three digits.
    pub service_code: Option<String>,
    /// What each digit of the service code says.
    pub service: Vec<Bilingual>,
    /// Digits of the issuer behind the service code, in number.
    pub discretionary_length: usize,
    /// Those digits, if card data is shown.
    pub discretionary: Option<String>,
    /// The longitudinal check: `None` if the text has none.
    pub lrc: Option<bool>,
}

/// Decodes track 2: with or without the sentinels `;` and `?` and a check character, separator `=` or `D`, and as tag
/// 57 or DE 35 has it, filler included.
///
/// # Errors
/// [`SecretError`]: the text is no track 2.
pub fn track2(text: &str, show: CardData) -> Result<DescribedTrack2, SecretError> {
    let whole = text.trim().to_ascii_uppercase();
    let inner = whole.strip_prefix(';').unwrap_or(&whole);
    let (content, behind) = inner.split_once('?').unwrap_or((inner, ""));
    let track = Track2::new(content)?;
    let pan = track.pan()?;
    let number = pan.reveal();
    let discretionary =
        track.reveal().split_once('D').and_then(|(_, rest)| rest.get(7..)).unwrap_or_default();
    let code = track.service_code();
    Ok(DescribedTrack2 {
        pan: if show == CardData::Clear { number.to_owned() } else { pan.masked() },
        luhn: mask::luhn(number.as_bytes()),
        expiry: track.expiry(),
        service: code.as_deref().map(service).unwrap_or_default(),
        service_code: code,
        discretionary_length: discretionary.len(),
        discretionary: (show == CardData::Clear).then(|| discretionary.to_owned()),
        lrc: behind.bytes().next().map(|check| check == lrc(content)),
    })
}

/// The check character: the exclusive or of the low four bits of all characters, sentinels included.
fn lrc(content: &str) -> u8 {
    let framed = format!(";{}?", content.replace('D', "="));
    framed.bytes().fold(0, |sum, c| sum ^ (c & 0x0F)) | 0x30
}

fn service(code: &str) -> Vec<Bilingual> {
    let digits = code.chars().zip([first as fn(char) -> Words, second, third]);
    let line = |(digit, meaning): (char, fn(char) -> Words)| {
        let (zh, en) = meaning(digit);
        Bilingual { zh: format!("{digit}: {zh}"), en: format!("{digit}: {en}") }
    };
    digits.map(line).collect()
}

const fn first(digit: char) -> Words {
    match digit {
        '1' => ("国际通用", "international interchange"),
        '2' => ("国际通用, 有芯片时使用芯片", "international interchange, use the chip where feasible"),
        '5' => ("仅国内使用", "national interchange only"),
        '6' => ("仅国内使用, 有芯片时使用芯片", "national interchange only, use the chip where feasible"),
        '7' => ("仅双边协议使用", "by bilateral agreement only"),
        '9' => ("测试卡", "test card"),
        _ => ("保留", "reserved"),
    }
}

const fn second(digit: char) -> Words {
    match digit {
        '0' => ("正常授权", "normal authorisation"),
        '2' => ("由发卡行联机授权", "authorisation by the issuer online"),
        '4' => ("由发卡行联机授权, 双边协议除外", "authorisation by the issuer online, except by agreement"),
        _ => ("保留", "reserved"),
    }
}

const fn third(digit: char) -> Words {
    match digit {
        '0' => ("无限制, 需PIN", "no restrictions, PIN required"),
        '1' => ("无限制", "no restrictions"),
        '2' => ("仅商品和服务", "goods and services only"),
        '3' => ("仅ATM, 需PIN", "ATM only, PIN required"),
        '4' => ("仅现金", "cash only"),
        '5' => ("仅商品和服务, 需PIN", "goods and services only, PIN required"),
        '6' => ("无限制, 可输入PIN", "no restrictions, PIN where feasible"),
        '7' => ("仅商品和服务, 可输入PIN", "goods and services only, PIN where feasible"),
        _ => ("保留", "reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: all forms of the same track are told alike, with every part named.
    #[test]
    fn track_2_is_decoded_with_and_without_sentinels() {
        let check = |text: &str, lrc| {
            let track = track2(text, CardData::Masked).unwrap();
            assert_eq!(track.pan, "622588******5678");
            assert_eq!((track.expiry.as_deref(), track.service_code.as_deref()), (Some("3012"), Some("101")));
            assert_eq!(
                (track.discretionary_length, track.discretionary, track.lrc),
                (13, None, lrc),
                "{text}"
            );
            assert_eq!(track.service[0].en, "1: international interchange");
        };
        check("6225880012345678D30121010000012345678", None);
        check("6225880012345678d30121010000012345678F", None);
        check(";6225880012345678=30121010000012345678?", None);
        let good = char::from(lrc("6225880012345678D30121010000012345678"));
        check(&format!(";6225880012345678=30121010000012345678?{good}\n"), Some(true));
        check(";6225880012345678=30121010000012345678?!", Some(false));
        let clear = track2("4111111111111111=3012101", CardData::Clear).unwrap();
        assert_eq!((clear.pan.as_str(), clear.luhn), ("4111111111111111", true));
        assert!(track2("hello", CardData::Masked).is_err());
        assert!(track2("", CardData::Masked).is_err());
    }
}

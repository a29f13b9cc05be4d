//! The encrypted segment of a track: sixteen characters are replaced by their ciphertext under the TDK.
//!
//! The segment is the eight bytes that end one byte before the last byte of the packed track. Source: public terminal
//! code (CaoEnXin/LiaoYang_POS `Src/tranproc.c`, wuxinxi/unionpay, agreeing); the fill of short tracks is LiaoYang's
//! alone; Spec: unverified.
use super::cipher::DesKey;
use zeroize::Zeroize;

/// Characters in the segment.
const SEGMENT: usize = 16;
/// A shorter track is filled to this length, with F in front.
const SHORTEST: usize = 17;

/// A track as it is sent, separator `D`, segment encrypted: characters 0 to 9 and A to F. Its card number is still in
/// clear, so it is wiped and never printed.
#[derive(Clone, PartialEq, Eq, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct EncryptedTrack(String);

impl EncryptedTrack {
    /// The characters for DE 35 or 36.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for EncryptedTrack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EncryptedTrack(******)")
    }
}

/// Encrypts the segment of a track of digits and `D`; `None` if the segment holds anything else.
#[must_use]
pub fn encrypt(tdk: &DesKey, track: &str) -> Option<EncryptedTrack> {
    replace(track, |block| tdk.encrypt(block)).map(EncryptedTrack)
}

/// The track again, fill included: the host's side.
#[cfg(any(test, feature = "sim"))]
#[must_use]
pub fn decrypt(tdk: &DesKey, track: &str) -> Option<String> {
    replace(track, |block| tdk.decrypt(block))
}

fn replace(track: &str, cipher: impl Fn([u8; 8]) -> [u8; 8]) -> Option<String> {
    let filled = format!("{track:F>SHORTEST$}");
    // An odd track is packed with one filler nibble behind it.
    let from = filled.len().checked_sub(if filled.len().is_multiple_of(2) { 18 } else { 17 })?;
    let (head, rest) = filled.split_at_checked(from)?;
    let (segment, tail) = rest.split_at_checked(SEGMENT)?;
    let mut block = [0; SEGMENT / 2];
    for (byte, pair) in block.iter_mut().zip(segment.as_bytes().as_chunks::<2>().0) {
        let [high, low] = pair.map(|c| char::from(c).to_digit(16));
        *byte = u8::try_from((high? << 4) | low?).ok()?;
    }
    let ciphered: String = cipher(block).iter().map(|byte| format!("{byte:02X}")).collect();
    block.zeroize();
    Some(format!("{head}{ciphered}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::testing::bytes;

    fn tdk() -> DesKey {
        DesKey::Double(bytes("89ABCDEF0123456776543210FEDCBA98"))
    }

    fn check(track: &str, clear: &str, expected_at: usize) {
        let encrypted = encrypt(&tdk(), track).unwrap();
        let at = expected_at..expected_at + SEGMENT;
        assert_eq!(encrypted.reveal().len(), clear.len());
        assert_eq!(encrypted.reveal()[..at.start], clear[..at.start], "before the segment");
        assert_eq!(encrypted.reveal()[at.end..], clear[at.end..], "behind the segment");
        assert_ne!(encrypted.reveal()[at.clone()], clear[at]);
        assert_eq!(decrypt(&tdk(), encrypted.reveal()).unwrap(), clear);
    }

    /// 37 characters: 20 to 35 are encrypted. Computed with an independent implementation (Python, pycryptodome).
    #[test]
    fn an_odd_track_comes_out() {
        let encrypted = encrypt(&tdk(), "6225880012345678D30121010000012345678").unwrap();
        assert_eq!(encrypted.reveal(), "6225880012345678D3012AE7DA363F24A4D78");
    }

    /// Where the segment lies at even, odd, shortest and too short lengths, and at the longest of track 3.
    #[test]
    fn the_segment_ends_one_byte_before_the_last() {
        check("6225880012345678D30121010000012345678", "6225880012345678D30121010000012345678", 20);
        check("6225880012345678D3012101000001234567", "6225880012345678D3012101000001234567", 18);
        check("6225880012345678D", "6225880012345678D", 0);
        check("6225880012345678D3", "6225880012345678D3", 0);
        check("12345678D3012", "FFFF12345678D3012", 0);
        let longest = "9".repeat(104);
        check(&longest, &longest, 86);
    }

    /// Nothing but digits and separators is a track; a text of several bytes a character cannot break it.
    #[test]
    fn what_is_no_track_is_refused() {
        for text in ["6225880012345678=3012101", "卡卡卡卡卡卡卡卡卡卡卡卡", "12345678G3012"] {
            assert_eq!(encrypt(&tdk(), text), None, "{text}");
        }
    }
}

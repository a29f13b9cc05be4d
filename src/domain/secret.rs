//! Card data and keys. These types wipe themselves, have no `Display` and no serialization, and their `Debug` masks.
//!
//! Only three places look inside: message packing, receipts that are set to show the whole number, and sealing at rest.
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Why card data or a key has the wrong form. Never quotes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {allowed}")]
pub struct SecretError {
    /// The thing being read.
    pub what: &'static str,
    /// What would have been taken.
    pub allowed: &'static str,
}

/// Primary account number: DE 2 and tag 5A, 8 to 19 digits.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Pan(String);

impl Pan {
    /// Takes 8 to 19 digits.
    ///
    /// # Errors
    /// Any other form. The check digit is not judged: issuers decide.
    pub fn new(digits: &str) -> Result<Self, SecretError> {
        if (8..=19).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(digits.to_owned()))
        } else {
            Err(SecretError { what: "card number", allowed: "8 to 19 digits" })
        }
    }

    /// All digits, for messages and seals only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// First six and last four, `*` between; under 13 digits every digit is hidden.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0)
    }
}

/// Hides the middle of a card number. Under 13 digits the two ends would leave fewer than three hidden, so all go.
fn mask(digits: &str) -> String {
    let length = digits.len();
    digits
        .chars()
        .enumerate()
        .map(|(at, c)| if length >= 13 && (at < 6 || at + 4 >= length) { c } else { '*' })
        .collect()
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

/// Track 2 equivalent data: DE 35 and tag 57, digits with `D` as separator, at most 37 characters. Never stored.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Track2(String);

impl Track2 {
    /// Takes digits and exactly one separator (`D` or `=`); a padding `F` at the end is dropped.
    ///
    /// # Errors
    /// Any other form.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let bad =
            SecretError { what: "track 2", allowed: "8 to 19 digits, D, then digits; 37 characters at most" };
        let text = text.strip_suffix(['F', 'f']).unwrap_or(text).replace('=', "D");
        let (pan, rest) = text.split_once('D').ok_or(bad)?;
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let fits = (8..=19).contains(&pan.len()) && rest.len() >= 4 && text.len() <= 37;
        if fits && digits(pan) && digits(rest) { Ok(Self(text)) } else { Err(bad) }
    }

    /// The characters, separator `D`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The card number before the separator.
    ///
    /// # Errors
    /// Cannot happen for a value made by [`Track2::new`].
    pub fn pan(&self) -> Result<Pan, SecretError> {
        Pan::new(self.0.split('D').next().unwrap_or_default())
    }

    /// Expiry `YYMM` after the separator.
    #[must_use]
    pub fn expiry(&self) -> Option<String> {
        self.0.split_once('D').and_then(|(_, rest)| rest.get(..4)).map(str::to_owned)
    }

    /// Service code, three digits after the expiry.
    #[must_use]
    pub fn service_code(&self) -> Option<String> {
        self.0.split_once('D').and_then(|(_, rest)| rest.get(4..7)).map(str::to_owned)
    }
}

impl fmt::Debug for Track2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Track2(******)")
    }
}

/// Track 3: DE 36, digits with `D` as separator, 8 to 104 characters. Never stored.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Track3(String);

impl Track3 {
    /// Takes digits and separators (`D` or `=`); a padding `F` at the end is dropped.
    ///
    /// # Errors
    /// Any other form.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.strip_suffix(['F', 'f']).unwrap_or(text).replace('=', "D");
        let fits = (8..=104).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit() || c == b'D');
        let bad = SecretError { what: "track 3", allowed: "8 to 104 digits and separators D" };
        if fits { Ok(Self(text)) } else { Err(bad) }
    }

    /// The characters, separator `D`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Track3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Track3(******)")
    }
}

/// A PIN as typed: 4 to 12 digits. Lives only between the agent's file descriptor and the PIN block.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ClearPin(Vec<u8>);

impl ClearPin {
    /// Takes 4 to 12 ASCII digits.
    ///
    /// # Errors
    /// Any other form.
    pub fn new(digits: &[u8]) -> Result<Self, SecretError> {
        if (4..=12).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) {
            Ok(Self(digits.to_vec()))
        } else {
            Err(SecretError { what: "PIN", allowed: "4 to 12 digits" })
        }
    }

    /// The ASCII digits.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClearPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClearPin(******)")
    }
}

/// Chance that the padding of enciphered PINs is expanded from. Whoever knows it can try out the PINs of a recorded
/// command, so it is as secret as a PIN.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct PinSeed([u8; 32]);

impl PinSeed {
    /// Takes 32 random bytes.
    #[must_use]
    pub const fn new(chance: [u8; 32]) -> Self {
        Self(chance)
    }

    /// `length` bytes for the `attempt`-th PIN of this transaction: SHA-256 of seed, attempt and counter, as often as
    /// needed. Different for every attempt.
    #[must_use]
    pub fn padding(&self, attempt: u32, length: usize) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        for counter in 0_u8..=u8::MAX {
            let left = length.saturating_sub(bytes.len());
            if left == 0 {
                break;
            }
            let digest = Sha256::new_with_prefix(self.0)
                .chain_update(attempt.to_be_bytes())
                .chain_update([counter])
                .finalize();
            bytes.extend(digest.iter().take(left));
        }
        bytes
    }
}

impl fmt::Debug for PinSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinSeed(******)")
    }
}

/// An encrypted PIN block. Never stored.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub enum PinBlock {
    /// Eight bytes for DE 52.
    Des([u8; 8]),
    /// Sixteen bytes for DE 59, sub-field A1. Spec: unverified.
    Sm4([u8; 16]),
}

impl PinBlock {
    /// Takes the eight encrypted bytes of DE 52.
    #[must_use]
    pub const fn new(block: [u8; 8]) -> Self {
        Self::Des(block)
    }

    /// The encrypted bytes.
    #[must_use]
    pub const fn reveal(&self) -> &[u8] {
        match self {
            Self::Des(block) => block,
            Self::Sm4(block) => block,
        }
    }
}

impl fmt::Debug for PinBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinBlock(******)")
    }
}

/// A password or other short text that a person typed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Password(Vec<u8>);

impl Password {
    /// Takes bytes as typed; the rules for new passwords are the operators module's.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(******)")
    }
}

/// A terminal master key (TMK) on its way into the key store, 16 bytes. Once it is there nothing gives it back.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct MasterKeyMaterial([u8; 16]);

impl MasterKeyMaterial {
    /// Takes the clear key.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self(key)
    }

    /// Takes 32 hexadecimal digits, blanks around them aside.
    ///
    /// # Errors
    /// Any other form; the text is not quoted.
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        key_from_hex("master key", text).map(Self)
    }

    /// The clear key, for the store and for sealing.
    #[must_use]
    pub const fn reveal(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for MasterKeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKeyMaterial(******)")
    }
}

/// The key under which card numbers become tokens: the same card gives the same token on this terminal only.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// Derives the key from the storage key. Choice: HMAC-SHA-256 of a purpose, so that one purpose never reads
    /// another's key.
    #[must_use]
    pub fn derive(storage_key: &[u8; 32]) -> Self {
        Self(hmac_sha256(storage_key, b"posd card token v1"))
    }

    /// HMAC-SHA-256 of the card number, first 16 hex digits.
    #[must_use]
    pub fn token(&self, pan: &Pan) -> String {
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
        let mac = hmac_sha256(&self.0, pan.0.as_bytes());
        mac.iter().take(8).flat_map(|b| [digit(b >> 4), digit(b & 0x0F)]).collect()
    }
}

/// RFC 2104: a key shorter than the block of 64 bytes is filled with zeros.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    block.zeroize();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

impl PartialEq for TokenKey {
    /// Takes the same time wherever they differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Eq for TokenKey {}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(******)")
    }
}

/// Sixteen or thirty-two secret bytes read from 32 or 64 hex digits.
///
/// # Errors
/// Anything but exactly `N` bytes of hex, blanks around it aside.
pub fn key_from_hex<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], SecretError> {
    let bad = SecretError { what, allowed: "hex digits, two for each byte of the key" };
    let text = text.trim().as_bytes();
    if text.len() != N * 2 {
        return Err(bad);
    }
    let mut key = [0_u8; N];
    if !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(bad); // from_str_radix alone would take a sign
    }
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        let pair = core::str::from_utf8(pair).map_err(|_| bad)?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| bad)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_card_data() {
        let pan = Pan::new("6225880012345678").unwrap();
        assert_eq!(format!("{pan:?}"), "622588******5678");
        assert_eq!(format!("{:?}", Pan::new("123456789012").unwrap()), "************");
        let track = Track2::new("6225880012345678D30121010000012345678").unwrap();
        assert_eq!(format!("{track:?}"), "Track2(******)");
        assert_eq!(format!("{:?}", Track3::new("996225880012345678").unwrap()), "Track3(******)");
        assert_eq!(format!("{:?}", ClearPin::new(b"1234").unwrap()), "ClearPin(******)");
        assert_eq!(format!("{:?}", PinBlock::new([7; 8])), "PinBlock(******)");
        assert_eq!(format!("{:?}", PinSeed::new([7; 32])), "PinSeed(******)");
    }

    /// Padding has the length asked for and repeats for no other attempt and no other seed.
    #[test]
    fn padding_differs_from_attempt_to_attempt() {
        let seed = PinSeed::new([7; 32]);
        for length in [0, 1, 32, 33, 231] {
            assert_eq!(seed.padding(0, length).len(), length);
        }
        assert_eq!(seed.padding(1, 40), seed.padding(1, 40));
        assert_ne!(seed.padding(1, 40), seed.padding(2, 40));
        assert_ne!(seed.padding(1, 40), PinSeed::new([8; 32]).padding(1, 40));
    }

    #[test]
    fn track_2_gives_its_parts_and_drops_the_padding() {
        let track = Track2::new("6225880012345678D3012201000001234567F").unwrap();
        assert_eq!(track.pan().unwrap().reveal(), "6225880012345678");
        assert_eq!(track.expiry().as_deref(), Some("3012"));
        assert_eq!(track.service_code().as_deref(), Some("201"));
        assert!(Track2::new("6225880012345678").is_err());
        assert!(Track2::new("6225880012345678D30").is_err());
    }

    #[test]
    fn track_3_is_digits_and_separators() {
        assert_eq!(Track3::new("996225880012345678=1F").unwrap().reveal(), "996225880012345678D1");
        assert!(Track3::new(&"1".repeat(104)).is_ok());
        for bad in ["1234567", &"1".repeat(105), "12345678A", ""] {
            assert!(Track3::new(bad).is_err(), "{bad}");
        }
    }

    /// Equality of tokens is how a card is recognised; other terminals must not be able to link it.
    #[test]
    fn a_token_depends_on_card_and_storage_key() {
        let pan = Pan::new("6225880012345678").unwrap();
        let token = TokenKey::derive(&[7; 32]).token(&pan);
        assert_eq!(token.len(), 16);
        assert_eq!(token, TokenKey::derive(&[7; 32]).token(&pan));
        assert_ne!(token, TokenKey::derive(&[8; 32]).token(&pan));
        assert_ne!(token, TokenKey::derive(&[7; 32]).token(&Pan::new("6225880012345679").unwrap()));
    }

    /// RFC 4231, test case 2 has a short key; here the key is that of case 1 filled to 32 bytes by zeros, which is the
    /// same key for HMAC.
    #[test]
    fn the_hmac_is_the_published_one() {
        let mut key = [0_u8; 32];
        key.iter_mut().take(20).for_each(|b| *b = 0x0b);
        let mac: String = hmac_sha256(&key, b"Hi There").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(mac, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn keys_are_read_from_hex_only() {
        assert_eq!(key_from_hex::<2>("k", " 0aFF\n"), Ok([0x0a, 0xff]));
        assert!(key_from_hex::<2>("k", "0aF").is_err());
        assert!(key_from_hex::<2>("k", "0aFG").is_err());
        assert!(key_from_hex::<2>("k", "+a+F").is_err());
    }
}

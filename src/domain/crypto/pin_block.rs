//! PIN blocks. ISO 9564-1 formats 0 to 4; and 16 bytes for SM4, which is unconfirmed.
//!
//! Filler comes in as random bytes: nothing here draws any. Taking a PIN out of a block again is for simulators and
//! tests only; a terminal never does.
use super::cipher::{AesKey, xor};
use crate::domain::secret::{ClearPin, Pan};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A PIN block before it is encrypted. Wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ClearBlock<const N: usize>([u8; N]);

impl<const N: usize> ClearBlock<N> {
    /// The clear bytes, for a cipher.
    pub(in crate::domain) const fn reveal(&self) -> [u8; N] {
        self.0
    }
}

impl<const N: usize> core::fmt::Debug for ClearBlock<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ClearBlock(******)")
    }
}

/// Format 0: length, PIN and filler F, XOR four zeros and the twelve rightmost digits of the card number without its
/// check digit.
#[must_use]
pub fn format_0(pin: &ClearPin, pan: &Pan) -> ClearBlock<8> {
    with_pan(pin_field(0, pin, [0x0F; 12]), pan)
}

/// Format 1, for a transaction without a card number: random filler, nibble by nibble.
#[must_use]
pub fn format_1(pin: &ClearPin, filler: &[u8; 6]) -> ClearBlock<8> {
    pin_field(1, pin, filler.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]))
}

/// Format 2, for the chip alone: filler F and no card number.
#[must_use]
pub fn format_2(pin: &ClearPin) -> ClearBlock<8> {
    pin_field(2, pin, [0x0F; 12])
}

/// Format 3: as format 0, with random filler from A to F, one byte of `filler` for each nibble.
#[must_use]
pub fn format_3(pin: &ClearPin, pan: &Pan, filler: &[u8; 10]) -> ClearBlock<8> {
    // 256 is no multiple of 6, so A to D come a little more often; filler hides the PIN's length no less for it.
    with_pan(pin_field(3, pin, filler.iter().map(|byte| 0x0A + byte % 6)), pan)
}

/// Format 4 under AES: PIN field (length, PIN, filler A, eight random bytes) encrypted, XOR card-number field,
/// encrypted again.
#[must_use]
pub fn format_4(key: &AesKey, pin: &ClearPin, pan: &Pan, random: &[u8; 8]) -> [u8; 16] {
    let mut field = [0; 16];
    let clear: ClearBlock<8> = pin_field(4, pin, [0x0A; 12]);
    field.iter_mut().zip(clear.0.iter().chain(random)).for_each(|(to, from)| *to = *from);
    let mut block = key.encrypt(field);
    field.zeroize();
    xor(&mut block, &pan_field_4(pan).0);
    key.encrypt(block)
}

/// Sixteen bytes for SM4: format 0 with filler F up to 16 bytes, and the card number's twelve digits on the right.
/// Spec: unverified, in every part.
#[must_use]
pub fn sm4(pin: &ClearPin, pan: &Pan) -> ClearBlock<16> {
    with_pan(pin_field(0, pin, [0x0F; 28]), pan)
}

/// Control nibble, length, PIN, filler.
fn pin_field<const N: usize>(
    control: u8,
    pin: &ClearPin,
    filler: impl IntoIterator<Item = u8>,
) -> ClearBlock<N> {
    let digits = pin.reveal();
    let length = u8::try_from(digits.len()).unwrap_or(0); // 4 to 12 by its type
    packed([control, length].into_iter().chain(digits.iter().map(|c| c & 0x0F)).chain(filler))
}

/// The card number's twelve rightmost digits without the check digit on the right; shorter numbers have zeros in front.
fn pan_field<const N: usize>(pan: &Pan) -> ClearBlock<N> {
    let digits = pan.reveal().bytes().rev().skip(1).map(|c| c & 0x0F).chain([0; 12]).take(12);
    let mut block = packed_from_right(digits);
    let field = ClearBlock(block);
    block.zeroize();
    field
}

/// Format 4: digits of the card number beyond twelve, then the number from its first digit, at least twelve, zeros
/// behind.
fn pan_field_4(pan: &Pan) -> ClearBlock<16> {
    let digits = pan.reveal();
    let beyond = u8::try_from(digits.len().saturating_sub(12)).unwrap_or(0);
    let zeros = core::iter::repeat_n(0, 12_usize.saturating_sub(digits.len()));
    packed([beyond].into_iter().chain(zeros).chain(digits.bytes().map(|c| c & 0x0F)))
}

fn with_pan<const N: usize>(mut block: ClearBlock<N>, pan: &Pan) -> ClearBlock<N> {
    xor(&mut block.0, &pan_field::<N>(pan).0);
    block
}

/// Nibbles two to a byte, the first one high; what is missing is zero, what is too much is left out.
fn packed<const N: usize>(nibbles: impl IntoIterator<Item = u8>) -> ClearBlock<N> {
    let mut nibbles = nibbles.into_iter();
    let mut block = [0; N];
    for byte in &mut block {
        let (high, low) = (nibbles.next().unwrap_or(0), nibbles.next().unwrap_or(0));
        *byte = (high << 4) | (low & 0x0F);
    }
    let packed = ClearBlock(block);
    block.zeroize();
    packed
}

/// Nibbles from the last one backwards.
fn packed_from_right<const N: usize>(nibbles: impl IntoIterator<Item = u8>) -> [u8; N] {
    let mut nibbles = nibbles.into_iter();
    let mut block = [0; N];
    for byte in block.iter_mut().rev() {
        let (low, high) = (nibbles.next().unwrap_or(0), nibbles.next().unwrap_or(0));
        *byte = (high << 4) | (low & 0x0F);
    }
    block
}

/// PINs out of blocks again: the host's side.
#[cfg(any(test, feature = "sim"))]
pub mod decode {
    use super::{AesKey, ClearBlock, ClearPin, Pan, pan_field_4, with_pan, xor};

    /// Format 0; `None` if the block is none for this card.
    #[must_use]
    pub fn format_0(block: [u8; 8], pan: &Pan) -> Option<ClearPin> {
        pin(0, &with_pan(ClearBlock(block), pan).0, |filler| filler == 0x0F)
    }

    /// Format 3.
    #[must_use]
    pub fn format_3(block: [u8; 8], pan: &Pan) -> Option<ClearPin> {
        pin(3, &with_pan(ClearBlock(block), pan).0, |filler| filler >= 0x0A)
    }

    /// Format 4, still encrypted.
    #[must_use]
    pub fn format_4(key: &AesKey, block: [u8; 16], pan: &Pan) -> Option<ClearPin> {
        let mut block = key.decrypt(block);
        xor(&mut block, &pan_field_4(pan).0);
        pin(4, key.decrypt(block).first_chunk::<8>()?, |filler| filler == 0x0A)
    }

    /// The 16 bytes for SM4.
    #[must_use]
    pub fn sm4(block: [u8; 16], pan: &Pan) -> Option<ClearPin> {
        pin(0, &with_pan(ClearBlock(block), pan).0, |filler| filler == 0x0F)
    }

    fn pin(format: u8, field: &[u8], filled: impl Fn(u8) -> bool) -> Option<ClearPin> {
        let nibbles: Vec<u8> = field.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]).collect();
        let (control, rest) = nibbles.split_first()?;
        let (length, rest) = rest.split_first()?;
        let (digits, filler) = rest.split_at_checked(usize::from(*length))?;
        let whole = *control == format && filler.iter().all(|f| filled(*f)) && digits.iter().all(|d| *d < 10);
        let pin: Vec<u8> = digits.iter().map(|d| b'0' | d).collect();
        whole.then(|| ClearPin::new(&pin).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::crypto::testing::{bytes, hex};

    fn pin(digits: &str) -> ClearPin {
        ClearPin::new(digits.as_bytes()).unwrap()
    }

    fn pan(digits: &str) -> Pan {
        Pan::new(digits).unwrap()
    }

    /// Format 0: two of wuxinxi/unionpay PinUtil, one widely printed ISO-0 example, one of openemv/pinblock, the rest
    /// computed.
    #[test]
    fn format_0_is_the_known_one() {
        let check = |digits: &str, card: &str, expected: &str| {
            let block = format_0(&pin(digits), &pan(card));
            assert_eq!(hex(&block.0), expected);
            assert_eq!(decode::format_0(block.0, &pan(card)), Some(pin(digits)));
        };
        check("123456", "123456789012345678", "061253DFFEDCBA98");
        check("123456", "1234567890123456", "0612713176FEDCBA");
        check("1234", "4321987654321098", "04122D789ABCDEF6");
        check("123456", "6225880012345678", "06126CD6FEDCBA98");
        check("1234", "4012345678909", "041274EDCBA9876F");
        // Shorter than thirteen digits: zeros on the left. Longest PIN: no filler is left but the last two.
        check("123456789012", "12345678", "0C12345679B35798");
    }

    /// openemv/pinblock test/pinblock_format0_test.c: another card's number does not open it.
    #[test]
    fn format_0_of_another_card_does_not_open() {
        let block = format_0(&pin("1234"), &pan("4012345678909"));
        assert_eq!(decode::format_0(block.0, &pan("4022345678909")), None);
    }

    /// openemv/pinblock test/pinblock_format1_test.c; its nonce is read from the last byte backwards.
    #[test]
    fn format_1_is_the_known_one() {
        let filler: [u8; 6] = bytes("EDCBA9876FC5");
        assert_eq!(hex(&format_1(&pin("12345"), &filler).0), "1512345EDCBA9876");
    }

    /// openemv/pinblock test/pinblock_format2_test.c.
    #[test]
    fn format_2_is_the_known_one() {
        assert_eq!(hex(&format_2(&pin("34567")).0), "2534567FFFFFFFFF");
    }

    /// openemv/pinblock test/pinblock_format3_test.c gives the first two bytes; whatever the filler behind them, the
    /// PIN comes out for this card and not for another.
    #[test]
    fn format_3_hides_its_filler_and_opens_for_its_card() {
        for random in [[0; 10], [0xFF; 10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]] {
            let block = format_3(&pin("12345"), &pan("4012345678909"), &random);
            assert_eq!(hex(&block.0)[..4], *"3512");
            assert_eq!(decode::format_3(block.0, &pan("4012345678909")), Some(pin("12345")));
            assert_eq!(decode::format_3(block.0, &pan("4088888888889")), None);
            assert_eq!(decode::format_0(block.0, &pan("4012345678909")), None);
        }
    }

    /// openemv/pinblock test/pinblock_format4_test.c: the two fields before encryption.
    #[test]
    fn the_fields_of_format_4_are_the_known_ones() {
        let field = |digits| hex(&pin_field::<8>(4, &pin(digits), [0x0A; 12]).0);
        assert_eq!(field("1234"), "441234AAAAAAAAAA");
        assert_eq!(field("12345"), "4512345AAAAAAAAA");
        let card = |digits| hex(&pan_field_4(&pan(digits)).0);
        assert_eq!(card("4111111111111111"), "44111111111111111000000000000000");
        assert_eq!(card("411111111111111"), "34111111111111110000000000000000");
        assert_eq!(card("123456789"), "00001234567890000000000000000000");
    }

    /// Both halves of format 4 together; the encrypted block itself is checked with the DUKPT vectors.
    #[test]
    fn format_4_opens_again_for_its_card_and_key() {
        let (key, other) = (AesKey::Aes128([7; 16]), AesKey::Aes128([8; 16]));
        let card = pan("4111111111111111");
        let block = format_4(&key, &pin("123456789012"), &card, &[0x55; 8]);
        assert_eq!(decode::format_4(&key, block, &card), Some(pin("123456789012")));
        assert_eq!(decode::format_4(&other, block, &card), None);
        assert_ne!(block, format_4(&key, &pin("123456789012"), &card, &[0x56; 8]));
    }

    /// The 16 bytes for SM4, as the description has them; no vector is public.
    #[test]
    fn the_sm4_block_is_format_0_made_longer() {
        let card = pan("6225880012345678");
        let block = sm4(&pin("123456"), &card);
        assert_eq!(hex(&block.0), "06123456FFFFFFFFFFFFA77FFEDCBA98");
        assert_eq!(decode::sm4(block.0, &card), Some(pin("123456")));
    }
}

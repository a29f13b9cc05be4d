//! A reader's own PIN pad: PC/SC part 10, rev. 2.02.09. Pure bytes; who sends them is `session.rs`.
//!
//! The reader lists what it can do (GET_FEATURE_REQUEST), each ability with the control code that calls it up. For
//! FEATURE_VERIFY_PIN_DIRECT it is told what a PIN looks like and given a VERIFY without one; it asks the cardholder,
//! puts the digits in, sends the command to the card and gives its status word back. The PIN is never here.
//!
//! Layout and numbers agree with pcsc-lite's `reader.h` and with the middleware of the Belgian identity card, whose
//! PIN block is the same. Spec: unverified against the document itself and on a real PIN pad.
use crate::domain::emv::apdu::StatusWord;
use crate::ports::{PadAnswer, PadAsk};

/// CM_IOCTL_GET_FEATURE_REQUEST, SCARD_CTL_CODE(3400) of pcsc-lite. Part 10 §2.2.
pub(super) const GET_FEATURE_REQUEST: u32 = 0x4200_0000 + 3400;
/// FEATURE_VERIFY_PIN_DIRECT. Part 10 §2.3.
const VERIFY_PIN_DIRECT: u8 = 0x06;

/// bmFormatString: the PIN begins one byte (bit 7: unit; bits 6 to 3: how many) into the data, on the left (bit 2), in
/// BCD (bits 1 and 0).
const FORMAT: u8 = 0x80 | (1 << 3) | 0x01;
/// bmPINBlockString: the PIN's length is written in 4 bits, its digits take 7 bytes.
const BLOCK: u8 = (4 << 4) | 7;
/// bmPINLengthFormat: the length stands 4 bits into the data, behind the control nibble.
const LENGTH_AT: u8 = 4;
/// bEntryValidationCondition: the entry ends with the key for it; not at the longest PIN, so that one can be mended.
const VALIDATION_KEY: u8 = 0x02;
/// bNumberMessage: one, the reader's own.
const MESSAGES: u8 = 1;
/// wLangId of the reader's own message: US English. Choice: a reader without that language shows what it has.
const LANGUAGE: u16 = 0x0409;

/// The control code of FEATURE_VERIFY_PIN_DIRECT in the reader's list; none if it has no PIN pad or the list is broken.
///
/// The list: tag, length 4, control code in big-endian order, again and again. Part 10 §2.2.
pub(super) fn verify_code(features: &[u8]) -> Option<u32> {
    let (entries, rest) = features.as_chunks::<6>();
    if !rest.is_empty() || entries.iter().any(|[_, length, ..]| *length != 4) {
        return None;
    }
    let found = entries.iter().find(|[tag, ..]| *tag == VERIFY_PIN_DIRECT)?;
    let [_, _, code @ ..] = *found;
    Some(u32::from_be_bytes(code))
}

/// PIN_VERIFY_STRUCTURE, packed, in little-endian order. Part 10 §2.6.1. `None`: the template is no command.
pub(super) fn verify_structure(ask: &PadAsk) -> Option<Vec<u8>> {
    let template = ask.template.bytes().ok()?;
    let length = u32::try_from(template.len()).ok()?;
    let timeout = ask.timeout_s.max(1); // 0 would be the reader's own
    let mut bytes = vec![timeout, timeout, FORMAT, BLOCK, LENGTH_AT];
    bytes.extend_from_slice(&u16::from_be_bytes([ask.min, ask.max]).to_le_bytes()); // wPINMaxExtraDigit: XXYY
    bytes.extend_from_slice(&[VALIDATION_KEY, MESSAGES]);
    bytes.extend_from_slice(&LANGUAGE.to_le_bytes());
    bytes.push(0); // bMsgIndex
    bytes.extend_from_slice(&[0; 3]); // bTeoPrologue: the driver fills it
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&template);
    Some(bytes)
}

/// What a PIN pad's answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is over.
    Ended(PadAnswer),
    /// Too few digits or too many; nothing went to the card. It may be asked again.
    WrongLength,
    /// The pad did not do what it was told, for this reason.
    Refused(u16),
}

/// Reads the status word that came back: the pad's own, or the card's. Part 10 §2.5, as OpenSC's `reader-pcsc.c` reads
/// them: 6400 nobody typed in time, 6401 the key for cancelling, 6402 two new PINs differ, 6403 the PIN has too few
/// digits or too many, 6B80 the structure is not understood. `None`: no status word.
///
/// No answer means "no PIN": a pad cannot tell an empty entry from a short one, so a PIN is never bypassed there.
pub(super) fn told(answer: &[u8]) -> Option<Told> {
    let status = u16::from_be_bytes(<[u8; 2]>::try_from(answer).ok()?);
    Some(match status {
        0x6400 => Told::Ended(PadAnswer::TimedOut),
        // 6480: a reader that was told to stop by another way than its key. Spec: unverified.
        0x6401 | 0x6480 => Told::Ended(PadAnswer::Cancelled),
        0x6403 => Told::WrongLength,
        // Nobody asked for a new PIN.
        0x6402 | 0x6B80 => Told::Refused(status),
        _ => Told::Ended(PadAnswer::Presented(StatusWord(status))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goal: the structure is byte for byte what the layout of part 10 says for a plaintext PIN block of EMV.
    #[test]
    fn the_structure_has_the_layout_of_part_10() {
        let bytes = verify_structure(&PadAsk::plain(30)).unwrap();
        let expected: [&[u8]; 14] = [
            &[30],                     // bTimerOut
            &[30],                     // bTimerOut2
            &[0x89],                   // bmFormatString
            &[0x47],                   // bmPINBlockString
            &[0x04],                   // bmPINLengthFormat
            &[12, 4],                  // wPINMaxExtraDigit: 040C
            &[0x02],                   // bEntryValidationCondition
            &[1],                      // bNumberMessage
            &[0x09, 0x04],             // wLangId
            &[0],                      // bMsgIndex
            &[0, 0, 0],                // bTeoPrologue
            &[13, 0, 0, 0],            // ulDataLength
            &[0x00, 0x20, 0, 0x80, 8], // VERIFY
            &[0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(bytes.len(), 19 + 13);
        assert_eq!(verify_structure(&PadAsk::plain(0)).unwrap()[0], 1, "never the reader's own time");
    }

    /// Goal: the control code is found among other features, and a broken list has none.
    #[test]
    fn the_pin_pad_is_found_in_the_list_of_features() {
        let list = [[0x0A, 4, 0x42, 0x33, 0, 0x0A], [0x06, 4, 0x42, 0x33, 0x00, 0x06]].concat();
        assert_eq!(verify_code(&list), Some(0x4233_0006));
        assert_eq!(verify_code(&list[..6]), None);
        assert_eq!(verify_code(&list[..11]), None);
        assert_eq!(verify_code(&[0x06, 3, 0x42, 0x33, 0x00, 0x06]), None);
        assert_eq!(verify_code(&[]), None);
    }

    /// Goal: the pad's own status words are told from the card's.
    #[test]
    fn the_pads_own_answers_are_told_from_the_cards() {
        let told = |status: u16| told(&status.to_be_bytes());
        assert_eq!(told(0x6400), Some(Told::Ended(PadAnswer::TimedOut)));
        assert_eq!(told(0x6401), Some(Told::Ended(PadAnswer::Cancelled)));
        assert_eq!(told(0x6480), Some(Told::Ended(PadAnswer::Cancelled)));
        assert_eq!(told(0x6403), Some(Told::WrongLength));
        for status in [0x9000, 0x63C2, 0x6983, 0x6984] {
            assert_eq!(told(status), Some(Told::Ended(PadAnswer::Presented(StatusWord(status)))));
        }
        for status in [0x6402, 0x6B80] {
            assert_eq!(told(status), Some(Told::Refused(status)));
        }
        assert_eq!(super::told(&[0x90]), None);
        assert_eq!(super::told(&[1, 0x90, 0]), None);
    }

    proptest! {
        /// Goal: whatever a reader lists or answers is read without a panic.
        #[test]
        fn any_bytes_of_a_reader_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let code = verify_code(&bytes);
            prop_assert!(code.is_none() || bytes.len() % 6 == 0);
            prop_assert!(told(&bytes).is_none() || bytes.len() == 2);
        }
    }
}

//! GET DATA: one object that a card keeps outside its records. EMV 4.4 Book 3 §6.5.7. Spec: unverified.
use super::apdu::{CommandApdu, ResponseApdu};
use super::tlv::{self, Tag};

/// Asks for an object with a tag of two bytes.
pub(super) const fn command(tag: Tag) -> CommandApdu {
    let [.., p1, p2] = tag.0.to_be_bytes();
    CommandApdu { cla: 0x80, ins: 0xCA, p1, p2, data: Vec::new(), le: Some(0) }
}

/// The value in an answer; `None` where the card does not tell it, or tells something else.
pub(super) fn value<const N: usize>(tag: Tag, answer: &ResponseApdu) -> Option<[u8; N]> {
    let object = tlv::single(&answer.data).ok()?;
    object.filter(|object| answer.status.is_ok() && object.tag == tag)?.value.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::apdu::StatusWord;
    use super::*;

    /// A counter is what its own object says, in its own length, after 9000.
    #[test]
    fn a_counter_is_two_bytes_under_its_tag() {
        let told = |status, data: &[u8]| {
            let answer = ResponseApdu { data: data.to_vec(), status: StatusWord(status) };
            value::<2>(Tag::ATC, &answer).map(u16::from_be_bytes)
        };
        assert_eq!(told(0x9000, &[0x9F, 0x36, 2, 1, 2]), Some(0x0102));
        assert_eq!(told(0x9000, &[0x9F, 0x13, 2, 1, 2]), None);
        assert_eq!(told(0x9000, &[0x9F, 0x36, 1, 1]), None);
        assert_eq!(told(0x9000, &[]), None);
        assert_eq!(told(0x6A88, &[0x9F, 0x36, 2, 1, 2]), None);
    }
}

//! Message authentication: UnionPay's "ECB" MAC over everything from the MTI to the byte before DE 64.
//!
//! Bitmap with bit 64 already set; length, TPDU and header are outside. The first step is a plain XOR, so
//! exchanged blocks are not noticed: this MAC is relied on for what the network needs and for nothing else.
//! Source: public terminal code and a published calculation, which the tests repeat; Spec: unverified.
use super::keys::{WorkingKeys, same};
use crate::domain::iso8583::{De, Dialect, Message, PackError, pack};

impl WorkingKeys {
    /// DE 64 for the given bytes: eight upper-case hexadecimal characters.
    ///
    /// XOR of all 8-byte blocks (zero-filled), as 16 characters; first half encrypted under the MAK, XOR
    /// second half, encrypted again; the first eight characters of the result. DES for a single-length MAK,
    /// 3DES for a double one.
    #[must_use]
    pub fn mac(&self, bytes: &[u8]) -> [u8; 8] {
        let mut folded = [0_u8; 8];
        for block in bytes.chunks(8) {
            xor(&mut folded, block);
        }
        let text = hex(folded);
        let (head, tail) = text.split_at(8);
        let mut block = [0; 8];
        xor(&mut block, head);
        block = self.mak().encrypt(block);
        xor(&mut block, tail);
        let text = hex(self.mak().encrypt(block));
        let mut mac = [0; 8];
        xor(&mut mac, &text);
        mac
    }

    /// True if the packed message ends in DE 64 and that is the MAC of what stands before it.
    ///
    /// The caller has unpacked the message and knows that DE 64 is there. Compared in constant time.
    #[must_use]
    pub fn verifies(&self, packed: &[u8]) -> bool {
        packed.split_last_chunk::<8>().is_some_and(|(covered, mac)| same(&self.mac(covered), mac))
    }
}

/// Packs a message with its MAC: DE 64 is put in, or replaced.
///
/// # Errors
/// [`PackError`] if a value does not have the form of its element.
pub fn pack_signed(
    dialect: &Dialect,
    message: &mut Message,
    keys: &WorkingKeys,
) -> Result<Vec<u8>, PackError> {
    message.set(De::MAC, [0; 8]);
    let mut packed = pack(dialect, message)?;
    packed.truncate(packed.len().saturating_sub(8)); // DE 64 is the last element
    let mac = keys.mac(&packed);
    packed.extend_from_slice(&mac);
    message.set(De::MAC, mac);
    Ok(packed)
}

fn xor(onto: &mut [u8; 8], bytes: &[u8]) {
    onto.iter_mut().zip(bytes).for_each(|(to, byte)| *to ^= byte);
}

/// Sixteen upper-case hexadecimal characters.
fn hex(block: [u8; 8]) -> [u8; 16] {
    let character = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'A' + (nibble - 10) };
    let mut text = [0; 16];
    let characters = block.iter().flat_map(|byte| [character(byte >> 4), character(byte & 0x0F)]);
    text.iter_mut().zip(characters).for_each(|(to, c)| *to = c);
    text
}

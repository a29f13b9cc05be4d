//! The host's side of keys and PINs, for simulators and tests only: never in the packaged daemon.
use super::dialect::DIALECT;
use super::keys::{DesKey, MasterKey, WorkingKeys, pan_block};
use super::mac::pack_signed;
use super::messages::BuildError;
use crate::domain::iso8583::{Frame, Message, pack};
use crate::domain::secret::{ClearPin, Pan, PinBlock};

/// A MAC key in clear, as a host chooses it.
#[derive(Clone, Copy)]
pub enum ClearMak {
    /// Eight bytes, sent with eight zero bytes behind it.
    Single([u8; 8]),
    /// Sixteen bytes.
    Double([u8; 16]),
}

/// DE 62 of a sign-on answer: 40 bytes, or 60 with a TDK.
#[must_use]
pub fn key_block(tmk: &MasterKey, pik: &[u8; 16], mak: &ClearMak, tdk: Option<&[u8; 16]>) -> Vec<u8> {
    let double = |key: &[u8; 16]| {
        let halves = key.as_chunks::<8>().0.iter().flat_map(|half| tmk.cipher().encrypt(*half));
        halves.chain(DesKey::Double(*key).check_value()).collect::<Vec<u8>>()
    };
    let mut block = double(pik);
    match mak {
        ClearMak::Double(mak) => block.extend(double(mak)),
        ClearMak::Single(mak) => {
            block.extend(tmk.cipher().encrypt(*mak));
            block.extend([0; 8]);
            block.extend(DesKey::Single(*mak).check_value());
        }
    }
    block.extend(tdk.map(double).unwrap_or_default());
    block
}

/// The PIN out of DE 52; `None` if the block is not ISO 9564-1 format 0 for this card and key.
#[must_use]
pub fn clear_pin(keys: &WorkingKeys, block: &PinBlock, pan: &Pan) -> Option<ClearPin> {
    let clear = keys.pik().decrypt(*block.reveal());
    let mixed = clear.iter().zip(pan_block(pan)).flat_map(|(a, b)| [(a ^ b) >> 4, (a ^ b) & 0x0F]);
    let nibbles: Vec<u8> = mixed.collect();
    let (control, rest) = nibbles.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (digits, filler) = rest.split_at_checked(usize::from(*length))?;
    let whole = *control == 0 && filler.iter().all(|f| *f == 0x0F) && digits.iter().all(|d| *d < 10);
    let pin: Vec<u8> = digits.iter().map(|d| b'0' | d).collect();
    whole.then(|| ClearPin::new(&pin).ok()).flatten()
}

/// The addresses swapped, as an answer carries them.
#[must_use]
pub const fn reply_tpdu(tpdu: [u8; 5]) -> [u8; 5] {
    let [protocol, to_a, to_b, from_a, from_b] = tpdu;
    [protocol, from_a, from_b, to_a, to_b]
}

/// The whole frame of an answer, length included; with keys it gets a MAC.
///
/// # Errors
/// [`BuildError`]: a value does not have the form of its element.
pub fn reply(
    request: &Frame,
    header: [u8; 6],
    answer: &mut Message,
    keys: Option<&WorkingKeys>,
) -> Result<Vec<u8>, BuildError> {
    let message = match keys {
        Some(keys) => pack_signed(&DIALECT, answer, keys)?,
        None => pack(&DIALECT, answer)?,
    };
    Ok(Frame { tpdu: reply_tpdu(request.tpdu), header, message }.encode()?)
}

//! The host's side of keys and PINs, for simulators and tests only: never in the packaged daemon.
use super::dialect::DIALECT;
use super::keys::{MasterKey, WorkingKeys};
use super::mac::pack_signed;
use super::messages::BuildError;
use crate::domain::crypto::cipher::{BlockKey, DesKey};
use crate::domain::crypto::pin_block::decode;
use crate::domain::crypto::track;
use crate::domain::iso8583::{De, Frame, Message, pack};
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
        let halves = key.as_chunks::<8>().0.iter().flat_map(|half| under(tmk, *half));
        halves.chain(BlockKey::Des(DesKey::Double(*key)).check_value()).collect::<Vec<u8>>()
    };
    let mut block = double(pik);
    match mak {
        ClearMak::Double(mak) => block.extend(double(mak)),
        ClearMak::Single(mak) => {
            block.extend(under(tmk, *mak));
            block.extend([0; 8]);
            block.extend(BlockKey::Des(DesKey::Single(*mak)).check_value());
        }
    }
    block.extend(tdk.map(double).unwrap_or_default());
    block
}

/// Eight bytes under a 3DES master key; an SM4 one has no such block.
fn under(tmk: &MasterKey, block: [u8; 8]) -> [u8; 8] {
    match tmk.cipher() {
        BlockKey::Des(tmk) => tmk.encrypt(block),
        BlockKey::Sm4(_) => block,
    }
}

/// The PIN out of DE 52 or 59; `None` if the block is none for this card and key.
#[must_use]
pub fn clear_pin(keys: &WorkingKeys, block: &PinBlock, pan: &Pan) -> Option<ClearPin> {
    match (keys.pik(), block) {
        (BlockKey::Des(pik), PinBlock::Des(block)) => decode::format_0(pik.decrypt(*block), pan),
        (BlockKey::Sm4(pik), PinBlock::Sm4(block)) => decode::sm4(pik.decrypt(*block), pan),
        _ => None,
    }
}

/// Track 2 of a request as it was read: decrypted where DE 53 says that it is encrypted.
#[must_use]
pub fn clear_track(keys: &WorkingKeys, request: &Message) -> Option<String> {
    let sent = request.text(De::TRACK2)?;
    let encrypted = request.text(De::SECURITY).and_then(|control| control.get(2..3)) == Some("1");
    match keys.tdk() {
        Some(BlockKey::Des(tdk)) if encrypted => track::decrypt(tdk, sent),
        _ => (!encrypted).then(|| sent.to_owned()),
    }
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

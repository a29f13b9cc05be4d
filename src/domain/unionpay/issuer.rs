//! The host's side of keys and PINs, for simulators and tests only: never in the packaged daemon.
use super::keys::{MasterKey, WorkingKeys};
use super::mac::pack_signed;
use super::messages::BuildError;
use crate::domain::crypto::cipher::{BlockKey, DesKey, Sm4Key};
use crate::domain::crypto::pin_block::decode;
use crate::domain::crypto::track;
use crate::domain::iso8583::{De, Dialect, Frame, Message, pack};
use crate::domain::keystore::{KeyBlockLayout, KeyRules, SignOnKeys};
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan, PinBlock};

/// A MAC key in clear, as a host chooses it.
#[derive(Clone, Copy)]
pub enum ClearMak {
    /// Eight bytes, sent with eight zero bytes behind it.
    Single([u8; 8]),
    /// Sixteen bytes.
    Double([u8; 16]),
}

/// Working keys in clear, as a host chooses them.
#[derive(Clone, Copy)]
pub struct ClearKeys {
    /// For PINs; of single length (sign-on 001) its first half.
    pub pik: [u8; 16],
    /// For MACs; with SM4 it has sixteen bytes.
    pub mak: ClearMak,
    /// For tracks.
    pub tdk: Option<[u8; 16]>,
}

impl ClearKeys {
    /// DE 62 of the answer to a sign-on, by the rules of an acquirer. `new_tmk` goes with the block that has types: the
    /// other keys stand under it.
    #[must_use]
    pub fn block(
        &self,
        tmk: &MasterKeyMaterial,
        rules: &KeyRules,
        new_tmk: Option<&MasterKeyMaterial>,
    ) -> Vec<u8> {
        let under = |key| MasterKey::of(key, rules.key_block);
        match (rules.key_block, rules.sign_on) {
            (KeyBlockLayout::Typed, _) => {
                let renewed =
                    new_tmk.map(|key| [&[0], &record::<8>(&under(tmk), key.reveal(), 16)[..]].concat());
                let tmk = under(new_tmk.unwrap_or(tmk));
                let mak = [&[1], &record::<8>(&tmk, self.mak.bytes(), 16)[..]].concat();
                let pik = [&[2], &record::<8>(&tmk, &self.pik, 16)[..]].concat();
                [renewed.unwrap_or_default(), mak, pik].concat()
            }
            (_, SignOnKeys::Des) => {
                let single = |key: &[u8]| record::<4>(&under(tmk), key.get(..8).unwrap_or(key), 8);
                [single(&self.pik), single(self.mak.bytes())].concat()
            }
            _ => key_block(&under(tmk), &self.pik, &self.mak, self.tdk.as_ref()),
        }
    }

    /// The same keys ready for use.
    #[must_use]
    pub fn opened(&self, rules: KeyRules) -> WorkingKeys {
        let block_key = |key: &[u8]| match rules.key_block {
            KeyBlockLayout::Sm4 => sm4_key(key),
            KeyBlockLayout::UnionPay | KeyBlockLayout::Typed => des_key(key),
        };
        let half = if rules.sign_on == SignOnKeys::Des { 8 } else { 16 };
        let pik = block_key(self.pik.get(..half).unwrap_or(&self.pik));
        let tdk = self.tdk.as_ref().map(|key| block_key(key));
        WorkingKeys::of(rules, pik, block_key(self.mak.bytes()), tdk)
    }
}

impl ClearMak {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Single(key) => key,
            Self::Double(key) => key,
        }
    }
}

/// DE 62 of a sign-on answer: 40 bytes, or 60 with a TDK.
#[must_use]
pub fn key_block(tmk: &MasterKey, pik: &[u8; 16], mak: &ClearMak, tdk: Option<&[u8; 16]>) -> Vec<u8> {
    let record = |key: &[u8]| record::<4>(tmk, key, 16);
    [record(pik), record(mak.bytes()), tdk.map(|key| record(key)).unwrap_or_default()].concat()
}

/// A key under the master key, zeros up to `length` behind it, and `N` bytes of its check value.
fn record<const N: usize>(tmk: &MasterKey, key: &[u8], length: usize) -> Vec<u8> {
    let (mut sealed, check): (Vec<u8>, _) = match tmk.cipher() {
        BlockKey::Des(tmk) => {
            let blocks = key.as_chunks().0.iter();
            (blocks.flat_map(|block| tmk.encrypt(*block)).collect(), des_key(key).check_block())
        }
        BlockKey::Sm4(tmk) => {
            let blocks = key.as_chunks().0.iter();
            (blocks.flat_map(|block| tmk.encrypt(*block)).collect(), sm4_key(key).check_block())
        }
    };
    sealed.resize(length, 0);
    sealed.extend(check.into_iter().take(N));
    sealed
}

fn des_key(key: &[u8]) -> BlockKey {
    BlockKey::Des(match (key.try_into(), key.try_into()) {
        (Ok(single), _) => DesKey::Single(single),
        (_, Ok(double)) => DesKey::Double(double),
        _ => DesKey::Single([0; 8]), // of another length there is none
    })
}

fn sm4_key(key: &[u8]) -> BlockKey {
    let (mut whole, given) = ([0; 16], key.iter());
    whole.iter_mut().zip(given).for_each(|(to, from)| *to = *from);
    BlockKey::Sm4(Sm4Key::new(whole))
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
    dialect: &Dialect,
    request: &Frame,
    header: [u8; 6],
    answer: &mut Message,
    keys: Option<&WorkingKeys>,
) -> Result<Vec<u8>, BuildError> {
    let message = match keys {
        Some(keys) => pack_signed(dialect, answer, keys)?,
        None => pack(dialect, answer)?,
    };
    Ok(Frame { tpdu: reply_tpdu(request.tpdu), header, message }.encode()?)
}

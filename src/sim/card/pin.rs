//! The PIN inside the simulated card: VERIFY, GET CHALLENGE, the try counter. EMV 4.4 Book 3 §6.5.6 and §6.5.12,
//! Book 2 §7. Spec: unverified.
use sha1::{Digest, Sha1};

use super::commands::done;
use super::keys::keys;
use super::profile::{Oda, OfflinePin};
use super::{Card, Phase, status};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu};

/// 6983: no tries are left.
const BLOCKED: u16 = 0x6983;
/// 6985: conditions of use are not satisfied.
const OUT_OF_ORDER: u16 = 0x6985;

impl Card {
    /// VERIFY: P2 80 brings a PIN block in clear, 88 an enciphered one.
    pub(super) fn verify(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        let pin = self.application()?.pin.clone().ok_or(0x6D00_u16)?;
        if !matches!(self.volatile.phase, Phase::Initiated | Phase::Online { .. }) {
            return Err(OUT_OF_ORDER);
        }
        let left = self.tries_left().unwrap_or_default();
        let block = match (command.p1, command.p2) {
            (0, 0x80) => <[u8; 8]>::try_from(command.data.as_slice()).map_err(|_| 0x6700_u16)?,
            (0, 0x88) => self.deciphered(&command.data)?,
            _ => return Err(0x6A86),
        };
        if left == 0 {
            return Err(BLOCKED);
        }
        let good = block == pin_block(&pin);
        let left = if good { pin.limit } else { left.saturating_sub(1) };
        self.set_tries_left(left);
        self.volatile.pin = Some(good);
        if good { Ok(status(0x9000)) } else { Err(0x63C0 | u16::from(left.min(0x0F))) }
    }

    /// Takes the encipherment off: 7F, PIN block, the card's own challenge, padding. Whatever is wrong inside makes a
    /// block that no PIN has, so it spends a try. EMV 4.4 Book 2 §7.2.
    fn deciphered(&mut self, enciphered: &[u8]) -> Result<[u8; 8], u16> {
        let challenge = self.volatile.challenge.take().ok_or(OUT_OF_ORDER)?;
        let application = self.application()?;
        let key = match (application.pin_key, application.oda) {
            (true, _) => &keys().pin,
            (false, Oda::Dda | Oda::Cda) => &keys().icc,
            (false, Oda::None | Oda::Sda) => return Err(0x6A86),
        };
        if enciphered.len() != key.modulus.len() {
            return Err(0x6700);
        }
        let clear = key.private_operation(enciphered);
        let good = clear.first() == Some(&0x7F) && clear.get(9..17) == Some(challenge.as_slice());
        let block = clear.get(1..9).filter(|_| good).and_then(|block| block.try_into().ok());
        Ok(block.unwrap_or_default())
    }

    /// GET CHALLENGE: eight bytes that are good for one VERIFY. Nothing here is random, so that tests repeat.
    pub(super) fn challenge(&mut self, command: &CommandApdu) -> Result<ResponseApdu, u16> {
        if command.p1 != 0 || command.p2 != 0 {
            return Err(0x6A86);
        }
        self.application()?;
        let digest = Sha1::digest([self.atc.to_be_bytes().as_slice(), &self.count.to_be_bytes()].concat());
        let challenge = digest.first_chunk::<8>().copied().unwrap_or_default();
        self.volatile.challenge = Some(challenge);
        Ok(done(challenge.to_vec()))
    }

    /// PIN tries left in the selected application, if it has a PIN.
    pub(super) fn tries_left(&self) -> Option<u8> {
        let at = self.volatile.selected?;
        self.profile.applications.get(at)?.pin.as_ref().map(|pin| pin.left)
    }

    fn set_tries_left(&mut self, left: u8) {
        let at = self.volatile.selected.unwrap_or(usize::MAX);
        if let Some(pin) = self.profile.applications.get_mut(at).and_then(|app| app.pin.as_mut()) {
            pin.left = left;
        }
    }
}

/// The plaintext PIN block: control nibble 2, length, digits, filled with F. EMV 4.4 Book 3 Table 24.
fn pin_block(pin: &OfflinePin) -> [u8; 8] {
    let text = format!("2{:X}{:F<14}", pin.digits.len(), pin.digits);
    let nibbles: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).filter_map(|d| u8::try_from(d).ok()).collect();
    let mut block = [0xFF; 8];
    for (byte, pair) in block.iter_mut().zip(nibbles.chunks(2)) {
        *byte = pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_block_holds_length_and_digits() {
        let block = |digits: &str| pin_block(&OfflinePin { digits: digits.to_owned(), limit: 3, left: 3 });
        assert_eq!(block("1234"), [0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(block("123456789012"), [0x2C, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0xFF]);
    }
}

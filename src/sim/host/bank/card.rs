//! The card of a request: whose it is, its PIN, and the chip's cryptogram.
use crate::domain::emv::tlv::{Tag, TagStore};
use crate::domain::iso8583::{De, Message};
use crate::domain::keystore::SignOnKeys;
use crate::domain::secret::{Pan, PinBlock};
use crate::domain::unionpay::de55;
use crate::domain::unionpay::issuer::{clear_pin, clear_track};
use crate::domain::unionpay::keys::WorkingKeys;
use crate::sim::issuer;

use super::{Bank, Refusal, refuse};

/// What of the card a request is judged by.
pub(super) struct Card {
    pub(super) pan: Pan,
    sequence: u8,
    has_chip: bool,
}

impl Card {
    /// `None` where the request names no card. The number stands in clear in an encrypted track, too.
    pub(super) fn read(request: &Message) -> Option<Self> {
        let track = request.text(De::TRACK2).and_then(|track| track.split('D').next());
        let pan = Pan::new(request.text(De::PAN).or(track)?).ok()?;
        let sequence = request.text(De::CARD_SEQUENCE).and_then(|psn| psn.parse().ok()).unwrap_or(0);
        let mode = request.text(De::ENTRY_MODE).unwrap_or_default();
        Some(Self { pan, sequence, has_chip: mode.starts_with("05") || mode.starts_with("07") })
    }
}

/// What the chip must have said.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cryptogram {
    /// It asks the issuer: an ARQC.
    Request,
    /// It has approved by itself: a TC, and tag 8A says so.
    Certificate,
}

impl Bank {
    /// DE 53 says how PIN and track are encrypted, as the profile has it, and the track can be read.
    ///
    /// Digits: PIN block (0 none, 1 without, 2 with the card number), cipher (0 DES, 6 3DES, 3 SM4, unless the acquirer
    /// wants another), track (1 = encrypted), zeros.
    pub(super) fn check_security(&self, request: &Message, keys: &WorkingKeys) -> Result<(), Refusal> {
        let profile = &self.settings.profile;
        let text = |de| request.text(de).unwrap_or_default();
        let has_pin = request.has(De::PIN_BLOCK);
        if has_pin && text(De::PIN_CAPTURE) != profile.forms.pin_capture {
            return refuse("30", "DE 26 is not that of this acquirer");
        }
        let track = request.text(De::TRACK2).is_some();
        let secret_track = track && profile.keys.track_encryption && keys.has_tdk();
        let cipher = profile.forms.security_cipher.unwrap_or(match profile.keys.sign_on {
            SignOnKeys::Des => '0',
            SignOnKeys::Tdes | SignOnKeys::TdesTracks => '6',
            SignOnKeys::Sm4 => '3',
        });
        let format = if has_pin { profile.forms.security_pin.as_str() } else { "0" };
        let expected = format!("{format}{cipher}{}0000000000000", u8::from(secret_track));
        if text(De::SECURITY) != expected && (request.has(De::SECURITY) || has_pin || secret_track) {
            return refuse("30", "DE 53 is not what PIN, cipher and track of this acquirer make it");
        }
        if track && !clear_track(keys, request).is_some_and(|track| is_track(&track)) {
            return refuse("A7", "the track cannot be read");
        }
        Ok(())
    }

    /// Compares the PIN, where one came. Choice: 99 for a block that is not ISO 9564-1 format 0 under the
    /// session's key.
    pub(super) fn check_pin(
        &self,
        request: &Message,
        card: &Card,
        keys: &WorkingKeys,
    ) -> Result<(), Refusal> {
        let Some(block) = request.bytes(De::PIN_BLOCK) else { return Ok(()) };
        let sm4 = self.settings.profile.keys.sign_on == SignOnKeys::Sm4;
        let block = if sm4 { sm4_block(request, block) } else { block.try_into().map(PinBlock::Des).ok() };
        let Some(pin) = block.and_then(|block| clear_pin(keys, &block, &card.pan)) else {
            return refuse("99", "the PIN block cannot be read");
        };
        let own = self.settings.pins.iter().find(|(pan, _)| *pan == card.pan).map(|(_, pin)| pin);
        if pin == *own.unwrap_or(&self.settings.default_pin) { Ok(()) } else { refuse("55", "wrong PIN") }
    }

    /// Verifies the cryptogram of a chip, and gives tag 91 for a card that asks; `None` for a card without a chip.
    /// Choice: A7 where nothing can be verified, 05 where it is wrong.
    pub(super) fn check_chip(
        &self,
        request: &Message,
        card: &Card,
        wanted: Cryptogram,
        code: [u8; 2],
    ) -> Result<Option<Vec<u8>>, Refusal> {
        if !card.has_chip {
            return Ok(None);
        }
        let Some(tags) = request.bytes(De::ICC).and_then(read_tags) else {
            return refuse("30", "DE 55 is missing or unreadable");
        };
        agrees(request, &tags)?;
        let approved =
            tags.value(Tag(0x9F27)).and_then(<[u8]>::first).is_some_and(|info| info & 0xC0 == 0x40);
        let offline = matches!(tags.value(Tag(0x8A)), Some(b"Y1" | b"Y3"));
        match wanted {
            Cryptogram::Certificate if !approved => {
                return refuse("30", "9F27 does not say that the card approved");
            }
            Cryptogram::Certificate if !offline => return refuse("30", "8A must be Y1 or Y3"),
            Cryptogram::Request if approved => {
                return refuse("30", "9F27 says that the card has approved already");
            }
            Cryptogram::Certificate | Cryptogram::Request => {}
        }
        let imk = &self.settings.imk;
        match issuer::verify_arqc(imk, &card.pan, card.sequence, &tags) {
            Err(_) => return refuse("A7", "the cryptogram cannot be verified"),
            Ok(false) => return refuse("05", "wrong cryptogram"),
            Ok(true) if wanted == Cryptogram::Certificate => return Ok(None),
            Ok(true) => {}
        }
        match issuer::authentication_data(imk, &card.pan, card.sequence, &tags, code) {
            Ok(proof) => Ok(Some([&[0x91, 10], proof.as_slice()].concat())),
            Err(_) => refuse("A7", "no ARPC can be made"),
        }
    }
}

/// The PIN under SM4: DE 52 is zeros, DE 59 has it under tag A1 with a length of three digits.
fn sm4_block(request: &Message, fifty_two: &[u8]) -> Option<PinBlock> {
    let row = request.bytes(De::EXTENSION)?.strip_prefix(b"A1016")?;
    let block = row.first_chunk().filter(|_| fifty_two == [0; 8])?;
    Some(PinBlock::Sm4(*block))
}

/// Digits around one separator. What another key makes of an encrypted track is hardly ever that; a short one is filled
/// with F in front.
fn is_track(track: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    track.trim_start_matches('F').split_once('D').is_some_and(|(pan, rest)| digits(pan) && digits(rest))
}

/// What the chip signed must be what the message asks for.
fn agrees(request: &Message, tags: &TagStore) -> Result<(), Refusal> {
    let digits = |tag| {
        let value = tags.value(Tag(tag)).unwrap_or_default();
        value.iter().map(|byte| format!("{byte:02X}")).collect::<String>()
    };
    if digits(0x9F02) != request.text(De::AMOUNT).unwrap_or("000000000000") {
        return refuse("13", "tag 9F02 is not the amount of DE 4");
    }
    if !request.text(De::PROCESSING_CODE).unwrap_or_default().starts_with(&digits(0x9C)) {
        return refuse("30", "tag 9C is not the transaction type of DE 3");
    }
    Ok(())
}

/// The objects of DE 55; `None` where they are broken or one is there twice.
pub(super) fn read_tags(icc: &[u8]) -> Option<TagStore> {
    let mut tags = TagStore::default();
    for object in de55::objects(icc).ok()? {
        if tags.value(object.tag).is_some() {
            return None;
        }
        tags.put(object.tag, object.value);
    }
    Some(tags)
}

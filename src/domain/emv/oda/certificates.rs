//! From the key of a certification authority to the keys of issuer and card: certificates 90, 9F46 and 9F2D.
//!
//! EMV 4.4 Book 2 §5.3 (issuer), §6.4 (card), §7.1 (PIN encipherment). A certificate gives back the first part of a
//! key; the rest stands in the remainder. Spec: unverified.
use super::super::restrictions::century;
use super::super::session::App;
use super::super::tlv::Tag;
use super::Defect;
use super::keys::RsaKey;
use super::signed::{Recovered, SHA_1};

/// The only signature algorithm here. EMV 4.4 Book 2 Annex B2.1.
const RSA: u8 = 0x01;

/// Where a certificate stands, and what it says about whom.
struct Kind {
    certificate: Tag,
    remainder: Tag,
    exponent: Tag,
    format: u8,
    holder: Holder,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// 4 bytes: the first 3 to 8 digits of the card number.
    Issuer,
    /// 10 bytes: the card number.
    Card,
}

const ISSUER: Kind = Kind {
    certificate: Tag::ISSUER_CERTIFICATE,
    remainder: Tag::ISSUER_REMAINDER,
    exponent: Tag::ISSUER_EXPONENT,
    format: 0x02,
    holder: Holder::Issuer,
};
const CARD: Kind = Kind {
    certificate: Tag::ICC_CERTIFICATE,
    remainder: Tag::ICC_REMAINDER,
    exponent: Tag::ICC_EXPONENT,
    format: 0x04,
    holder: Holder::Card,
};
const PIN: Kind = Kind {
    certificate: Tag::PIN_CERTIFICATE,
    remainder: Tag::PIN_REMAINDER,
    exponent: Tag::PIN_EXPONENT,
    format: 0x04,
    holder: Holder::Card,
};

/// The key of the issuer, from its certificate under the authority's key that the card names.
pub(super) fn issuer_key(app: &App) -> Result<RsaKey, Defect> {
    let [index] = app.card.array(Tag::CA_KEY_INDEX).ok_or(Defect::Missing)?;
    let of_scheme = |rid: &[u8]| app.aid.bytes().starts_with(rid);
    let authority = app.capks.iter().find(|key| key.index == index && of_scheme(&key.rid));
    let authority = authority.and_then(|key| key.key(today(app))).ok_or(Defect::Failed)?;
    let (key, serial) = recover(app, &ISSUER, &authority, core::iter::empty())?;
    let revoked = |entry| entry == (serial, index);
    if app.revoked.iter().any(|entry| of_scheme(&entry.rid) && revoked((entry.serial, entry.index))) {
        return Err(Defect::Failed);
    }
    Ok(key)
}

/// The key of the card. Its certificate covers the static data too.
pub(super) fn card_key(app: &App, issuer: &RsaKey) -> Result<RsaKey, Defect> {
    Ok(recover(app, &CARD, issuer, app.signed.pieces(&app.card)?)?.0)
}

/// The key that PINs are enciphered with: the card's own for this purpose if it has one, else that of its signatures.
pub(super) fn pin_key(app: &App) -> Result<RsaKey, Defect> {
    let issuer = issuer_key(app)?;
    if app.card.contains(Tag::PIN_CERTIFICATE) && app.card.contains(Tag::PIN_EXPONENT) {
        Ok(recover(app, &PIN, &issuer, core::iter::empty())?.0)
    } else {
        card_key(app, &issuer)
    }
}

/// An object that must be there and say something.
pub(super) fn object(app: &App, tag: Tag) -> Result<&[u8], Defect> {
    app.card.value(tag).filter(|value| !value.is_empty()).ok_or(Defect::Missing)
}

/// Opens a certificate and checks all it says; gives the key and the serial number.
fn recover<'a>(
    app: &'a App,
    kind: &Kind,
    signer: &RsaKey,
    statics: impl Iterator<Item = &'a [u8]>,
) -> Result<(RsaKey, [u8; 3]), Defect> {
    let certificate = object(app, kind.certificate)?;
    let exponent = object(app, kind.exponent)?;
    let pan = object(app, Tag::PAN)?;
    let remainder = app.card.value(kind.remainder).unwrap_or_default();
    let signed = Recovered::open(signer, certificate, kind.format).ok_or(Defect::Failed)?;
    let fields = Fields::read(signed.data(), kind.holder).ok_or(Defect::Failed)?;
    // Choice: a remainder that is needed and absent is missing data; one of a wrong length is a failure.
    if remainder.is_empty() && fields.remainder_length() > 0 {
        return Err(Defect::Missing);
    }
    let good = signed.covers([remainder, exponent].into_iter().chain(statics))
        && fields.is_about(pan, kind.holder)
        && fields.is_valid_on(today(app))
        && usize::from(fields.exponent_length) == exponent.len();
    let key = if good { fields.key(remainder, exponent) } else { None };
    key.map(|key| (key, fields.serial)).ok_or(Defect::Failed)
}

/// `YYYYMMDD`.
fn today(app: &App) -> [u8; 4] {
    century(app.params.now.yymmdd_bcd())
}

/// What stands in a certificate behind its format. EMV 4.4 Book 2 §5.3 Table 6, §6.4 Table 14.
struct Fields<'a> {
    holder: &'a [u8],
    /// `MMYY`.
    expiry: [u8; 2],
    serial: [u8; 3],
    key_length: u8,
    exponent_length: u8,
    /// The first bytes of the modulus, filled with BB if it is shorter.
    first: &'a [u8],
}

impl<'a> Fields<'a> {
    /// `None` also for algorithms that are not known.
    fn read(data: &'a [u8], holder: Holder) -> Option<Self> {
        let (_format, rest) = data.split_first()?;
        let (holder, rest) = rest.split_at_checked(match holder {
            Holder::Issuer => 4,
            Holder::Card => 10,
        })?;
        let (expiry, rest) = rest.split_first_chunk()?;
        let (serial, rest) = rest.split_first_chunk()?;
        let ([SHA_1, RSA, key_length, exponent_length], first) = rest.split_first_chunk()? else {
            return None;
        };
        let (key_length, exponent_length) = (*key_length, *exponent_length);
        Some(Self { holder, expiry: *expiry, serial: *serial, key_length, exponent_length, first })
    }

    fn remainder_length(&self) -> usize {
        usize::from(self.key_length).saturating_sub(self.first.len())
    }

    /// True if card number and holder agree: the issuer's digits begin it, the card's are all of it.
    fn is_about(&self, pan: &[u8], holder: Holder) -> bool {
        match holder {
            Holder::Issuer => {
                let mut pan = digits(pan);
                digits(self.holder).count() >= 3 && digits(self.holder).all(|digit| pan.next() == Some(digit))
            }
            Holder::Card => digits(self.holder).eq(digits(pan)),
        }
    }

    /// A certificate is good to the end of its month.
    fn is_valid_on(&self, [century_today, year_today, month_today, _]: [u8; 4]) -> bool {
        let [month, year] = self.expiry;
        let [century, year, month, _] = century([year, month, 0]);
        let is_month = matches!(month, 0x01..=0x09 | 0x10..=0x12);
        is_month && [century, year, month] >= [century_today, year_today, month_today]
    }

    fn key(&self, remainder: &[u8], exponent: &[u8]) -> Option<RsaKey> {
        if remainder.len() != self.remainder_length() {
            return None;
        }
        let first = self.first.get(..usize::from(self.key_length).min(self.first.len()))?;
        RsaKey::new(&[first, remainder].concat(), exponent)
    }
}

/// The digits before the filler F.
fn digits(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]).take_while(|digit| *digit != 0x0F)
}

//! Field 62 of single records: a CA key, an application.
//!
//! Source: public terminal code (LiaoYang_POS parser, many SDK samples agreeing on the tags), the key of a published
//! record verified by its checksum; Spec: unverified.
use crate::domain::emv::params::{Aid, AidEntry, Capk};
use crate::domain::emv::tlv::{Reader, Tag, TagStore, TlvError};

/// Tag `DF05` of a CA key: its last day, eight characters `YYYYMMDD` or four bytes BCD.
pub(super) const EXPIRY: Tag = Tag(0xDF05);
const HASH_ALGORITHM: Tag = Tag(0xDF06);
const KEY_ALGORITHM: Tag = Tag(0xDF07);
const MODULUS: Tag = Tag(0xDF02);
const CHECKSUM: Tag = Tag(0xDF03);
const EXPONENT: Tag = Tag(0xDF04);
const SELECTION: Tag = Tag(0xDF01);
const TAC_DEFAULT: Tag = Tag(0xDF11);
const TAC_ONLINE: Tag = Tag(0xDF12);
const TAC_DENIAL: Tag = Tag(0xDF13);
const DEFAULT_DDOL: Tag = Tag(0xDF14);
const THRESHOLD: Tag = Tag(0xDF15);
const MAX_PERCENT: Tag = Tag(0xDF16);
const TARGET_PERCENT: Tag = Tag(0xDF17);
const ONLINE_PIN: Tag = Tag(0xDF18);
/// Limits of e-cash and contactless payments, n12 each: checked, kept, not used yet.
const LIMITS: [Tag; 4] = [Tag(0x9F7B), Tag(0xDF19), Tag(0xDF20), Tag(0xDF21)];

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not BER-TLV, or an object twice.
    #[error(transparent)]
    Tlv(#[from] TlvError),
    /// An object is missing.
    #[error("tag {0} is missing")]
    Missing(Tag),
    /// An object has a wrong form.
    #[error("tag {0} has a wrong form")]
    Form(Tag),
    /// The checksum does not fit the key.
    #[error("its checksum (tag DF03) does not fit the key")]
    Checksum,
    /// It is about something else than was asked for.
    #[error("it is another record than the one asked for")]
    Other,
    /// A key of another algorithm than RSA with SHA-1: it is passed over.
    #[error("its algorithm is not RSA with SHA-1")]
    Algorithm,
}

fn objects(bytes: &[u8]) -> Result<TagStore, RecordError> {
    let mut store = TagStore::default();
    for object in Reader::new(bytes) {
        let object = object?;
        store.put_new(object.tag, object.value)?;
    }
    Ok(store)
}

fn value(store: &TagStore, tag: Tag) -> Result<&[u8], RecordError> {
    store.value(tag).ok_or(RecordError::Missing(tag))
}

fn fixed<const N: usize>(store: &TagStore, tag: Tag) -> Result<[u8; N], RecordError> {
    value(store, tag)?.try_into().map_err(|_| RecordError::Form(tag))
}

/// Two decimal digits a byte.
fn is_bcd(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b >> 4 <= 9 && b & 0x0F <= 9)
}

/// `YYYYMMDD` in BCD from either form.
fn day(bytes: &[u8]) -> Option<[u8; 4]> {
    let packed: [u8; 4] = match bytes.len() {
        4 => bytes.try_into().ok()?,
        8 if bytes.iter().all(u8::is_ascii_digit) => {
            let (pairs, _) = bytes.as_chunks::<2>();
            let mut packed = [0; 4];
            packed
                .iter_mut()
                .zip(pairs)
                .for_each(|(to, [high, low])| *to = (high & 0x0F) << 4 | (low & 0x0F));
            packed
        }
        _ => return None,
    };
    let [.., month, day] = packed;
    let is_day = (0x01..=0x12).contains(&month) && (0x01..=0x31).contains(&day);
    (is_bcd(&packed) && is_day).then_some(packed)
}

/// Reads a CA key: RID, index, expiry, algorithms, modulus, exponent, and the SHA-1 over them, which must fit.
///
/// # Errors
/// [`RecordError`]; `Algorithm` for one that this terminal cannot use.
pub fn capk(bytes: &[u8]) -> Result<Capk, RecordError> {
    let store = objects(bytes)?;
    // Other algorithms have other parts: that is looked at first.
    for tag in [HASH_ALGORITHM, KEY_ALGORITHM] {
        if store.value(tag).is_some_and(|value| value != [1]) {
            return Err(RecordError::Algorithm);
        }
    }
    let [index] = fixed(&store, Tag::TERMINAL_CA_KEY_INDEX)?;
    let key = Capk {
        rid: fixed(&store, Tag::TERMINAL_AID)?,
        index,
        expiry: day(value(&store, EXPIRY)?).ok_or(RecordError::Form(EXPIRY))?,
        exponent: value(&store, EXPONENT)?.to_vec(),
        modulus: value(&store, MODULUS)?.to_vec(),
    };
    if !matches!(key.exponent.as_slice(), [3] | [1, 0, 1]) {
        return Err(RecordError::Form(EXPONENT));
    }
    if !(96..=248).contains(&key.modulus.len()) {
        return Err(RecordError::Form(MODULUS));
    }
    if fixed::<20>(&store, CHECKSUM)? != key.checksum() {
        return Err(RecordError::Checksum);
    }
    Ok(key)
}

/// Reads an application. `partial_match` is the value of tag `DF01` that lets longer AIDs of the card match too: the
/// sources contradict each other, so it is a key of the profile.
///
/// Choice: what a terminal cannot do without is missed (AID, version, action codes); the rest has the defaults of
/// `emv.toml`.
///
/// # Errors
/// [`RecordError`].
pub fn application(bytes: &[u8], partial_match: u8) -> Result<AidEntry, RecordError> {
    let store = objects(bytes)?;
    let aid = Aid::new(value(&store, Tag::TERMINAL_AID)?).ok_or(RecordError::Form(Tag::TERMINAL_AID))?;
    let selection = optional::<1>(&store, SELECTION)?.map_or(Ok(true), |[value]| match value {
        0 | 1 => Ok(value == partial_match),
        _ => Err(RecordError::Form(SELECTION)),
    })?;
    let version = if store.contains(Tag::CARD_VERSION) { Tag::CARD_VERSION } else { Tag::TERMINAL_VERSION };
    let number = |tag| {
        Ok::<u64, RecordError>(optional::<4>(&store, tag)?.map_or(0, |v| u64::from(u32::from_be_bytes(v))))
    };
    let max_percent = percent(&store, MAX_PERCENT)?;
    let target_percent = percent(&store, TARGET_PERCENT)?;
    if target_percent > max_percent {
        return Err(RecordError::Form(TARGET_PERCENT));
    }
    let ddol = store.value(DEFAULT_DDOL).unwrap_or(&[0x9F, 0x37, 0x04]);
    if !(1..=252).contains(&ddol.len()) {
        return Err(RecordError::Form(DEFAULT_DDOL));
    }
    let online_pin = optional::<1>(&store, ONLINE_PIN)?.is_none_or(|[value]| value != 0);
    for tag in LIMITS {
        if optional::<6>(&store, tag)?.is_some_and(|limit| !is_bcd(&limit)) {
            return Err(RecordError::Form(tag));
        }
    }
    Ok(AidEntry {
        aid,
        partial_match: selection,
        version: fixed(&store, version)?,
        tac_default: fixed(&store, TAC_DEFAULT)?,
        tac_online: fixed(&store, TAC_ONLINE)?,
        tac_denial: fixed(&store, TAC_DENIAL)?,
        floor_limit: number(Tag::FLOOR_LIMIT)?,
        random_threshold: number(THRESHOLD)?,
        random_max_percent: max_percent,
        random_target_percent: target_percent,
        default_ddol: ddol.to_vec(),
        online_pin,
    })
}

fn optional<const N: usize>(store: &TagStore, tag: Tag) -> Result<Option<[u8; N]>, RecordError> {
    store.value(tag).map(|value| value.try_into().map_err(|_| RecordError::Form(tag))).transpose()
}

/// One byte BCD, 0 to 99; 99 where there is none.
fn percent(store: &TagStore, tag: Tag) -> Result<u8, RecordError> {
    match optional::<1>(store, tag)? {
        None => Ok(99),
        Some([packed]) if is_bcd(&[packed]) => {
            Ok((packed >> 4).saturating_mul(10).saturating_add(packed & 0x0F))
        }
        Some(_) => Err(RecordError::Form(tag)),
    }
}

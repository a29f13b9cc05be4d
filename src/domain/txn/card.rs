//! From what the chip said to what records, messages and paper need.
use crate::domain::emv::describe::hex;
use crate::domain::emv::kernel::CardSummary;
use crate::domain::emv::tlv::Tag;
use crate::domain::outcome::EntryMode;
use crate::domain::record::CardFacts;
use crate::domain::secret::TokenKey;

/// Scheme by registered application provider identifier (the first five bytes of an AID). ISO/IEC 7816-5
/// registrations as printed in the schemes' public documents. `Spec: unverified`
const BRANDS: &[(&str, &str)] = &[
    ("A000000333", "unionpay"),
    ("A000000003", "visa"),
    ("A000000004", "mastercard"),
    ("A000000025", "amex"),
    ("A000000065", "jcb"),
    ("A000000152", "discover"),
];

/// What is printed in the chip block of a slip, in this order. Spec: UnionPay slips as banks approve them
/// print ARQC or TC, TVR, AID, sequence, TSI, ATC, label.
const CHIP_BLOCK: &[(&str, u32)] = &[
    ("TVR", 0x95),
    ("TSI", 0x9B),
    ("ATC", 0x9F36),
    ("AIP", 0x82),
    ("IAD", 0x9F10),
    ("UNPR NUM", 0x9F37),
    ("TermCap", 0x9F33),
];

/// The facts of a card, for records and paper.
pub(super) fn facts(summary: &CardSummary, token_key: &TokenKey) -> CardFacts {
    with_token(summary, token_key.token(&summary.pan), chip_lines(summary))
}

/// The facts after the second cryptogram, of the card that is known: its token, its last chip lines, and the ARQC of
/// the first.
pub(super) fn last_facts(summary: &CardSummary, first: &CardFacts) -> CardFacts {
    let mut chip = chip_lines(summary);
    let arqc = first.chip.iter().filter(|(name, _)| name == "ARQC");
    let missing = arqc.filter(|(name, _)| !chip.iter().any(|(known, _)| known == name)).cloned();
    chip.extend(missing.collect::<Vec<_>>());
    with_token(summary, first.token.clone(), chip)
}

fn with_token(summary: &CardSummary, token: String, chip: Vec<(String, String)>) -> CardFacts {
    let aid = summary.aid.to_string();
    let brand = BRANDS.iter().find(|(rid, _)| aid.starts_with(rid)).map_or("", |(_, name)| name);
    CardFacts {
        pan: summary.pan.clone(),
        expiry: summary.expiry.clone(),
        sequence: summary.sequence,
        entry_mode: EntryMode::Chip,
        token,
        brand: brand.to_owned(),
        aid,
        label: summary.label.clone(),
        cvm: summary.cvm,
        signature_required: summary.cvm.wants_signature(),
        chip,
    }
}

/// The chip block. The cryptogram is named by its own kind (CID, tag 9F27).
fn chip_lines(summary: &CardSummary) -> Vec<(String, String)> {
    let value = |tag| summary.tags.value(Tag(tag)).map(hex);
    let cryptogram = match summary.tags.value(Tag(0x9F27)).and_then(<[u8]>::first).map(|cid| cid & 0xC0) {
        Some(0x40) => "TC",
        Some(0x80) => "ARQC",
        _ => "AAC",
    };
    let lines = core::iter::once((cryptogram, 0x9F26)).chain(CHIP_BLOCK.iter().copied());
    lines.filter_map(|(name, tag)| Some((name.to_owned(), value(tag)?))).collect()
}

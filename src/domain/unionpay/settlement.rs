//! Settlement on the wire: the totals (0500), the batch upload and its end (0320), and their answers.
//!
//! None of them carries a MAC. Source: field lists and the forms of DE 48 and 62 of public terminal code (LiaoYang_POS,
//! Newland agreeing); Spec: unverified.
use super::answers::{AnswerError, own, repeats};
use super::matrix::{self, Name};
use super::messages::{BuildError, Card, Money, Request, common, management, plain, some};
use super::response::{Class, class};
use super::{Identity, de55};
use crate::domain::emv::tlv::Tag;
use crate::domain::ident::{AuthCode, BatchNumber, OperatorId, ResponseCode, Rrn, Stan};
use crate::domain::iso8583::{De, Message};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{CardClass, Outcome, Verdict};
use crate::domain::record::{TxnRow, WireFacts};
use crate::domain::secret::Pan;

/// Most lines of one group.
pub const GROUP_MAX: usize = 8;

/// A line of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose card.
    pub card_class: CardClass,
    /// STAN of the transaction.
    pub stan: Stan,
    /// The card.
    pub pan: Pan,
    /// What was approved.
    pub amount: Amount,
}

/// What went wrong with a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChipFailure {
    /// The bank approved, its cryptogram was wrong, and the card approved all the same.
    IssuerNotAuthenticated,
    /// The bank approved and the card did not.
    CardRefused,
}

/// Settlement (批结算), 0500 with 60.3 = 201: DE 11, 41, 42, 48, 49, 60, 63. `field48` has 62 digits. No MAC.
///
/// # Errors
/// [`BuildError`].
pub fn totals(
    identity: &Identity,
    stan: Stan,
    batch: BatchNumber,
    field48: &str,
    currency: Currency,
    operator: &OperatorId,
) -> Result<Request, BuildError> {
    let mut message = management("0500", identity, Some(stan), batch, "201");
    message
        .set(De::ADDITIONAL_DATA, field48)
        .set(De::CURRENCY, currency.numeric3())
        .set(De::PRIVATE_63, format!("{operator} "));
    plain(identity, "0500", Some(stan), message)
}

/// Batch upload of what was asked online, 0320 with 60.3 = 201: DE 11, 41, 42, 48, 60. DE 48 is the number of
/// lines, two digits, then 40 digits each: card class 2, STAN 6, card number 20 with zeros before it, amount 12.
///
/// # Errors
/// [`BuildError`]; more than [`GROUP_MAX`] lines do not fit.
pub fn group(
    identity: &Identity,
    stan: Stan,
    batch: BatchNumber,
    lines: &[Line],
) -> Result<Request, BuildError> {
    let mut field48 = format!("{:02}", lines.len());
    for line in lines {
        let (class, pan) = (class_digits(line.card_class), line.pan.reveal());
        field48.push_str(&format!("{class}{}{pan:0>20}{}", line.stan, line.amount.digits12()));
    }
    let mut message = management("0320", identity, Some(stan), batch, "201");
    message.set(De::ADDITIONAL_DATA, field48);
    plain(identity, "0320", Some(stan), message)
}

/// Batch upload of one record as a copy of what was sent: the elements that its 0220 or 0200 has, without track, PIN
/// and MAC, under its own STAN; DE 63 names the card's organisation. `None`: the row has no request to copy.
///
/// # Errors
/// [`BuildError`].
pub fn copy(identity: &Identity, row: &TxnRow) -> Option<Result<Request, BuildError>> {
    let (stan, wire, card) = (row.stan?, row.wire.as_ref()?, row.card.as_ref()?);
    let original = matrix::of_facts(wire)?;
    let (copy, terms) = (matrix::row(Name::BatchCopy), &row.start.terms);
    let money = Money { stan, batch: row.batch, amount: row.approved_amount, currency: row.start.currency };
    let facts = Card { pan: &card.pan, expiry: card.expiry.as_deref(), sequence: card.sequence };
    let mut message = common(copy, original, &identity.profile.forms, wire, &money, &facts);
    if original.must.has(De::PAN) {
        message.set(De::PAN, card.pan.reveal());
    }
    // A void and a refund name the original by its RRN; a sale that was uploaded later has none of its own.
    let rrn = terms.original.as_ref().and_then(|original| original.rrn.as_ref());
    if original.must.has(De::RRN) {
        message.set_some(De::RRN, rrn.map(Rrn::as_str));
    }
    if original.allows(De::AUTH_CODE) {
        message.set_some(De::AUTH_CODE, terms.told_auth_code().map(AuthCode::as_str));
    }
    message.set_some(De::ICC, some(&wire.icc));
    message.set_some(De::ORIGINAL, some(&wire.original));
    message.set(De::PRIVATE_63, organisation(row));
    Some(plain(identity, "0320", Some(stan), message))
}

/// Batch upload of a chip's last cryptogram, 0320 with 60.3 = 203 (failure 204), or 205 (206) where the class did not
/// agree: DE 2, 4, 11 of the transaction, 22, 23, 41, 42, 55, 60, 62. `None`: the row has no request.
///
/// DE 62 of a certificate: `61`, class 2, `00`, amount 12, currency 3; of a failure: `71`, class 2, result 2,
/// amount 12, currency 3, cryptogram (1 AAC, 2 TC), result of the issuer's cryptogram (0 good, 2 wrong).
///
/// # Errors
/// [`BuildError`].
pub fn chip(
    identity: &Identity,
    row: &TxnRow,
    failure: Option<ChipFailure>,
    agreed: bool,
) -> Option<Result<Request, BuildError>> {
    let (stan, wire, card) = (row.stan?, row.wire.as_ref()?, row.card.as_ref()?);
    let amount = if row.outcome == Outcome::Approved { row.approved_amount } else { row.start.amount };
    let (class, currency) = (class_digits(row.card_class), row.start.currency.numeric3());
    let digits = amount.digits12();
    let field62 = match failure {
        None => format!("61{class}00{digits}{currency}"),
        Some(ChipFailure::IssuerNotAuthenticated) => format!("71{class}05{digits}{currency}22"),
        Some(ChipFailure::CardRefused) => format!("71{class}11{digits}{currency}10"),
    };
    let code = match (failure, agreed) {
        (None, true) => "203",
        (None, false) => "205",
        (Some(_), true) => "204",
        (Some(_), false) => "206",
    };
    let mut message = Message::new("0320");
    message
        .set(De::PAN, card.pan.reveal())
        .set(De::AMOUNT, digits)
        .set(De::STAN, stan.to_string())
        .set(De::ENTRY_MODE, &wire.entry_mode)
        .set_some(De::CARD_SEQUENCE, card.sequence.map(|number| format!("{number:03}")))
        .set(De::TERMINAL, wire.terminal_id.as_str())
        .set(De::MERCHANT, wire.merchant_id.as_str())
        .set(De::ICC, last_cryptogram(row, wire))
        .set(
            De::PRIVATE_60,
            format!("00{}{code}{}", row.batch, wire.capability.get(..2).unwrap_or(&wire.capability)),
        )
        .set(De::PRIVATE_62, field62);
    Some(plain(identity, "0320", Some(stan), message))
}

/// End of the batch upload, 0320 with 60.3 = 207, or 202 where a class did not agree: DE 11, 41, 42, 48, 60. DE 48 is
/// the number of records, four digits.
///
/// # Errors
/// [`BuildError`].
pub fn end(
    identity: &Identity,
    stan: Stan,
    batch: BatchNumber,
    records: u32,
    agreed: bool,
) -> Result<Request, BuildError> {
    let mut message = management("0320", identity, Some(stan), batch, if agreed { "207" } else { "202" });
    message.set(De::ADDITIONAL_DATA, format!("{records:04}"));
    plain(identity, "0320", Some(stan), message)
}

fn class_digits(class: CardClass) -> &'static str {
    match class {
        CardClass::Domestic => "00",
        CardClass::Foreign => "01",
    }
}

fn organisation(row: &TxnRow) -> &str {
    row.host.organisation.as_deref().filter(|text| text.len() == 3).unwrap_or("CUP")
}

/// DE 55 of the request with what the chip said last: cryptogram and its kind, issuer application data, TVR.
fn last_cryptogram(row: &TxnRow, wire: &WireFacts) -> Vec<u8> {
    let fact = |name: &str| {
        let card = row.card.as_ref()?;
        card.chip.iter().find(|(known, _)| known == name).and_then(|(_, hex)| bytes(hex))
    };
    let certificate = fact("TC").map(|value| (value, 0x40_u8));
    let cryptogram = certificate.or_else(|| fact("AAC").map(|value| (value, 0x00)));
    let mut values = Vec::new();
    if let Some((value, kind)) = cryptogram {
        values.push((Tag(0x9F26), value));
        values.push((Tag(0x9F27), vec![kind]));
    }
    values.extend(fact("IAD").map(|value| (Tag(0x9F10), value)));
    values.extend(fact("TVR").map(|value| (Tag(0x95), value)));
    de55::replaced(&wire.icc, &values)
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The bank's word on the totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TotalsAnswer {
    /// On domestic and on foreign cards.
    Verdict(Verdict, Verdict),
    /// DE 39, without a word on the totals.
    Refused(ResponseCode),
}

/// Reads a 0510. Its verdict stands in DE 48, digits 31 and 62; DE 39 may be missing.
///
/// # Errors
/// [`AnswerError`]: it is no answer to this request, or has neither a verdict nor a refusal.
pub fn read_totals(request: &Request, payload: &[u8]) -> Result<TotalsAnswer, AnswerError> {
    let answer = ours(request, payload)?;
    let digits = answer.text(De::ADDITIONAL_DATA).filter(|digits| digits.len() == 62);
    let digit = |at: usize| digits.and_then(|digits| digits.get(at..=at));
    let verdict = |digit: Option<&str>| match digit? {
        "1" => Some(Verdict::Agreed),
        "2" => Some(Verdict::Disagreed),
        "3" => Some(Verdict::Error),
        _ => None,
    };
    match (verdict(digit(30)), verdict(digit(61)), code(&answer)) {
        (Some(domestic), Some(foreign), _) => Ok(TotalsAnswer::Verdict(domestic, foreign)),
        (_, _, Some(code)) if class(&code) != Class::Approved => Ok(TotalsAnswer::Refused(code)),
        // Choice: a digit that says nothing sends the detail up, which is never wrong.
        (domestic, foreign, _) if digits.is_some() => {
            Ok(TotalsAnswer::Verdict(domestic.unwrap_or(Verdict::Error), foreign.unwrap_or(Verdict::Error)))
        }
        _ => Err(AnswerError::Mismatch { field: De::ADDITIONAL_DATA }),
    }
}

/// Reads a 0330: `Some` is the code of a refusal.
///
/// # Errors
/// [`AnswerError`]: it is no answer to this request.
pub fn read_upload(request: &Request, payload: &[u8]) -> Result<Option<ResponseCode>, AnswerError> {
    let answer = ours(request, payload)?;
    let function = |message: &Message| {
        message.text(De::PRIVATE_60).and_then(|private| private.get(8..11)).map(str::to_owned)
    };
    if function(&answer).is_some_and(|theirs| Some(theirs) != function(&request.fields)) {
        return Err(AnswerError::Mismatch { field: De::PRIVATE_60 });
    }
    Ok(code(&answer).filter(|code| class(code) != Class::Approved))
}

fn ours(request: &Request, payload: &[u8]) -> Result<Message, AnswerError> {
    let (answer, _) = own(request, payload)?;
    repeats(&request.fields, &answer, De::TERMINAL, true)?;
    repeats(&request.fields, &answer, De::MERCHANT, false)?;
    Ok(answer)
}

fn code(answer: &Message) -> Option<ResponseCode> {
    answer.text(De::RESPONSE_CODE).and_then(|text| ResponseCode::new(text).ok())
}

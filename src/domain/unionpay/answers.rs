//! Answers: is it ours, is it whole, does it match, is its MAC good; only then what it says.
//!
//! Never approves on a wrong MAC, a field that differs or bytes that cannot be read. Source: response checks
//! of public terminal code; the MAC rule (every approval; a refusal only if it carries one) is a Choice
//! between two of them. Spec: unverified.
use super::de55::{self, IccError};
use super::messages::Request;
use super::response::{Class, class};
use super::{header_request, host_text};
use crate::domain::calendar::LocalTime;
use crate::domain::ident::{AuthCode, BatchNumber, ResponseCode, Rrn};
use crate::domain::iso8583::{De, Dialect, Frame, FrameError, Message, UnpackError, unpack};
use crate::domain::keystore::{KeyError, SessionKeys};
use crate::domain::money::{Amount, Currency};
use crate::domain::record::HostFacts;

/// Why bytes from the host are not a usable answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A whole message that answers something else (late or doubled): keep waiting.
    #[error("a {mti} that is not the answer to this request")]
    Foreign {
        /// Its message type.
        mti: String,
        /// Its STAN, where it has one.
        stan: Option<String>,
    },
    /// Not a message of the dialect.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// An element that must repeat the request, or be there, does not.
    #[error("{field} is missing or differs from the request")]
    Mismatch {
        /// Which.
        field: De,
    },
    /// An approval without or with a wrong MAC, or a refusal with a wrong one.
    #[error("the MAC is wrong or missing")]
    Mac,
    /// The MAC cannot be checked: no key of this sign-on answers.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

/// What cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// TPDU or header.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Bitmap or elements.
    #[error(transparent)]
    Message(#[from] UnpackError),
    /// Chip data.
    #[error(transparent)]
    Icc(#[from] IccError),
}

/// The answer to a sign-on.
#[derive(Clone, PartialEq, Eq)]
pub struct SignOnAnswer {
    /// DE 39; only `00` signs on.
    pub response_code: ResponseCode,
    /// DE 60.2, the host's batch, if it is a batch number at all.
    pub batch: Option<BatchNumber>,
    /// DE 12, `hhmmss`.
    pub host_time: Option<String>,
    /// DE 13, `MMDD`.
    pub host_date: Option<String>,
    /// DE 62, keys encrypted under the master key; empty if there is none.
    pub key_block: Vec<u8>,
    /// See [`header_request`].
    pub header_request: u8,
}

impl core::fmt::Debug for SignOnAnswer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("SignOnAnswer");
        shown.field("response_code", &self.response_code).field("batch", &self.batch);
        shown.field("host_time", &self.host_time).field("host_date", &self.host_date);
        shown.field("key_block", &self.key_block.len()).field("header_request", &self.header_request);
        shown.finish()
    }
}

/// The answer to a sign-off, an echo test, or a question of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementAnswer {
    /// DE 39.
    pub response_code: ResponseCode,
    /// DE 62; empty if there is none.
    pub private_62: Vec<u8>,
    /// See [`header_request`].
    pub header_request: u8,
}

/// The answer to a request for money, an upload, a script result or a reversal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinancialAnswer {
    /// The code approves, in full or in part, and the MAC is good.
    pub approved: bool,
    /// Approved for `amount` only (code 10). The caller decides whether that counts.
    pub partial: bool,
    /// What is kept. `response_code` is always there.
    pub host: HostFacts,
    /// DE 4.
    pub amount: Option<Amount>,
    /// Tag 91 of DE 55.
    pub issuer_authentication: Option<Vec<u8>>,
    /// Templates 71 and 72 of DE 55 with tag and length, in order.
    pub scripts: Vec<Vec<u8>>,
    /// It carries a MAC, and a good one. Approvals always do.
    pub signed: bool,
    /// See [`header_request`].
    pub header_request: u8,
}

impl FinancialAnswer {
    /// "Repeated" (94) to a request that was sent once, after a message that answers nothing: something on the way
    /// doubled the request and spoiled the answer to the first one. What became of that is not known.
    #[must_use]
    pub fn is_of_a_double(&self, after_stray: bool) -> bool {
        after_stray && self.host.response_code.as_ref().is_some_and(|code| code.as_str() == "94")
    }
}

/// Reads the answer to a sign-on: the bytes after the two length bytes.
///
/// # Errors
/// [`AnswerError`].
pub fn read_sign_on(request: &Request, payload: &[u8]) -> Result<SignOnAnswer, AnswerError> {
    let (answer, frame) = own(request, payload)?;
    let response_code = management_checks(request, &answer)?;
    let text = |de| answer.text(de).map(str::to_owned);
    Ok(SignOnAnswer {
        response_code,
        batch: answer
            .text(De::PRIVATE_60)
            .and_then(|private| private.get(2..8))
            .and_then(|digits| digits.parse().ok())
            .and_then(|number| BatchNumber::new(number).ok()),
        host_time: text(De::TIME),
        host_date: text(De::DATE),
        key_block: answer.bytes(De::PRIVATE_62).unwrap_or_default().to_vec(),
        header_request: header_request(frame.header),
    })
}

/// Reads the answer to a sign-off, an echo test, or a question of a download.
///
/// # Errors
/// [`AnswerError`]. Without a STAN only type, terminal and 60.3 tell whether it is ours.
pub fn read_management(request: &Request, payload: &[u8]) -> Result<ManagementAnswer, AnswerError> {
    let (answer, frame) = own(request, payload)?;
    let code = |message: &Message| {
        message.text(De::PRIVATE_60).and_then(|private| private.get(8..11)).map(str::to_owned)
    };
    if code(&answer).is_some_and(|theirs| Some(theirs) != code(&request.fields)) {
        return Err(foreign(&answer));
    }
    let response_code = management_checks(request, &answer)?;
    let private_62 = answer.bytes(De::PRIVATE_62).unwrap_or_default().to_vec();
    Ok(ManagementAnswer { response_code, private_62, header_request: header_request(frame.header) })
}

/// Reads the answer to a request for money, an upload, a script result or a reversal. `now` gives the year of DE 12
/// and 13.
///
/// # Errors
/// [`AnswerError`].
pub fn read_financial(
    request: &Request,
    payload: &[u8],
    keys: &dyn SessionKeys,
    now: LocalTime,
) -> Result<FinancialAnswer, AnswerError> {
    let (answer, frame) = own(request, payload)?;
    let response_code = response_code(&answer)?;
    let class = class(&response_code);
    let approved = matches!(class, Class::Approved | Class::PartlyApproved);
    let partial = class == Class::PartlyApproved;
    financial_checks(&request.fields, &answer, approved, partial)?;
    let has_mac = answer.has(De::MAC);
    if (approved || has_mac) && !(has_mac && keys.verifies(&frame.message)?) {
        return Err(AnswerError::Mac);
    }
    let icc = de55::read_answer(answer.bytes(De::ICC).unwrap_or_default()).map_err(Unreadable::from)?;
    Ok(FinancialAnswer {
        approved,
        partial,
        host: host_facts(&answer, response_code, now),
        amount: answer.text(De::AMOUNT).and_then(amount),
        issuer_authentication: icc.issuer_authentication,
        scripts: icc.scripts,
        signed: has_mac,
        header_request: header_request(frame.header),
    })
}

/// The available balance (amount type 02) of DE 54 in minor units, negative for a debit, and its currency. `None` where
/// there is none, or none that can be read.
#[must_use]
pub fn available_balance(balance: &str) -> Option<(i64, Currency)> {
    let parts = (0..balance.len()).step_by(20).filter_map(|at| balance.get(at..at.saturating_add(20)));
    parts.filter(|part| part.get(2..4) == Some("02")).find_map(|part| {
        let currency = Currency::from_numeric3(part.get(4..7)?)?;
        let digits = part.get(8..20).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        let minor: i64 = digits.parse().ok()?;
        match part.get(7..8)? {
            "C" => Some((minor, currency)),
            "D" => Some((minor.checked_neg()?, currency)),
            _ => None,
        }
    })
}

/// Puts a year to `hhmmss` and `MMDD`: the one that lies nearest to `now`, because a host may be past
/// midnight of New Year while we are not, and the other way round. `None` if the digits are no time.
#[must_use]
pub fn host_time(hhmmss: &str, mmdd: &str, now: LocalTime) -> Option<LocalTime> {
    let two = |text: &str, at: usize| -> Option<u8> {
        let digits = text.get(at..at + 2)?;
        // `parse` alone would take a sign.
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let (month, day) = (two(mmdd, 0)?, two(mmdd, 2)?);
    let (hour, minute, second) = (two(hhmmss, 0)?, two(hhmmss, 2)?, two(hhmmss, 4)?);
    let year = match i16::from(month) - i16::from(now.month) {
        7.. => now.year.checked_sub(1)?,
        ..=-7 => now.year.checked_add(1)?,
        _ => now.year,
    };
    let days = match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_time = (1..=days).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    is_time.then_some(LocalTime { year, month, day, hour, minute, second })
}

/// Unpacks, and tells a stranger's message from ours by type, terminal and STAN.
pub(super) fn own(request: &Request, payload: &[u8]) -> Result<(Message, Frame), AnswerError> {
    let frame = Frame::parse(payload).map_err(Unreadable::from)?;
    let answer = unpack(&request.profile.dialect, &frame.message).map_err(Unreadable::from)?;
    if answer.mti() != answer_mti(request.mti) {
        return Err(foreign(&answer));
    }
    let (ours, theirs) = (request.fields.bytes(De::TERMINAL), answer.bytes(De::TERMINAL));
    if theirs.is_some() && theirs != ours {
        return Err(foreign(&answer));
    }
    match (request.stan, answer.text(De::STAN)) {
        (Some(ours), Some(theirs)) if ours.to_string() != theirs => Err(foreign(&answer)),
        (Some(_), None) => Err(AnswerError::Mismatch { field: De::STAN }),
        _ => Ok((answer, frame)),
    }
}

/// True if the TPDU is the request's with its addresses swapped, as an answer that comes back the same way has it.
/// Source: ISO 8583 over TPDU as in public terminal code; Spec: unverified.
#[must_use]
pub fn comes_back(request: &Request, payload: &[u8]) -> bool {
    let Some([id, to_1, to_2, from_1, from_2]) = request.frame.get(2..7) else { return false };
    payload.get(..5) == Some(&[*id, *from_1, *from_2, *to_1, *to_2])
}

/// Names any message that came: its type and STAN. `None` if it is not a message at all.
#[must_use]
pub fn identify(dialect: &Dialect, payload: &[u8]) -> Option<(String, Option<u32>)> {
    let frame = Frame::parse(payload).ok()?;
    let message = unpack(dialect, &frame.message).ok()?;
    let stan = message.text(De::STAN).and_then(|digits| digits.parse().ok());
    Some((message.mti().to_owned(), stan))
}

fn foreign(answer: &Message) -> AnswerError {
    AnswerError::Foreign { mti: answer.mti().to_owned(), stan: answer.text(De::STAN).map(str::to_owned) }
}

/// Request type plus 10: 0200 is answered by 0210, 0820 by 0830.
fn answer_mti(request: &str) -> String {
    request.parse().map_or_else(|_| String::new(), |number: u16| format!("{:04}", number.saturating_add(10)))
}

fn response_code(answer: &Message) -> Result<ResponseCode, AnswerError> {
    let code = answer.text(De::RESPONSE_CODE).and_then(|text| ResponseCode::new(text).ok());
    code.ok_or(AnswerError::Mismatch { field: De::RESPONSE_CODE })
}

fn management_checks(request: &Request, answer: &Message) -> Result<ResponseCode, AnswerError> {
    let code = response_code(answer)?;
    repeats(&request.fields, answer, De::TERMINAL, true)?;
    repeats(&request.fields, answer, De::MERCHANT, false)?;
    Ok(code)
}

/// An approval must repeat the request's facts; a refusal may leave out what it does repeat correctly
/// otherwise.
fn financial_checks(
    request: &Message,
    answer: &Message,
    approved: bool,
    partial: bool,
) -> Result<(), AnswerError> {
    repeats(request, answer, De::TERMINAL, true)?;
    repeats(request, answer, De::MERCHANT, approved)?;
    repeats(request, answer, De::PROCESSING_CODE, approved)?;
    repeats(request, answer, De::CONDITION, false)?;
    repeats(request, answer, De::CURRENCY, false)?;
    let sum = |message: &Message| message.text(De::AMOUNT).and_then(amount).filter(|sum| !sum.is_zero());
    match partial {
        // A part, not more than was asked for.
        true if sum(answer).is_some_and(|part| Some(part) <= sum(request)) => Ok(()),
        true => Err(AnswerError::Mismatch { field: De::AMOUNT }),
        // A balance inquiry has none, and what an answer says there is nobody's money; nor is it to a script result.
        false if !request.has(De::AMOUNT) || request.mti() == "0620" => Ok(()),
        false => repeats(request, answer, De::AMOUNT, approved),
    }
}

/// The element equals the request's; absence is a difference only where it is needed. What the request had not cannot
/// differ from it.
pub(super) fn repeats(
    request: &Message,
    answer: &Message,
    field: De,
    needed: bool,
) -> Result<(), AnswerError> {
    let (ours, theirs) = (request.bytes(field), answer.bytes(field));
    if ours == theirs || ours.is_none() || (theirs.is_none() && !needed) {
        Ok(())
    } else {
        Err(AnswerError::Mismatch { field })
    }
}

fn amount(digits: &str) -> Option<Amount> {
    digits.parse().ok().and_then(|minor| Amount::from_minor(minor).ok())
}

/// What is kept of an answer. An identifier of the wrong form is left out: it cannot be printed or sent
/// again.
fn host_facts(answer: &Message, response_code: ResponseCode, now: LocalTime) -> HostFacts {
    let text = |de| answer.bytes(de).and_then(host_text);
    // Some hosts fill what they do not know with blanks.
    let told = |de| answer.text(de).filter(|text| !text.trim().is_empty());
    let private = answer.bytes(De::PRIVATE_63).unwrap_or_default();
    let (organisation, texts) = private.split_at_checked(3).unwrap_or((private, &[]));
    HostFacts {
        response_code: Some(response_code),
        rrn: told(De::RRN).and_then(|rrn| Rrn::new(rrn).ok()),
        auth_code: told(De::AUTH_CODE).and_then(|code| AuthCode::new(code).ok()),
        host_time: answer
            .text(De::TIME)
            .zip(answer.text(De::DATE))
            .and_then(|(time, date)| host_time(time, date, now)),
        settlement_date: text(De::SETTLEMENT_DATE),
        acquirer: text(De::ACQUIRER),
        institutions: text(De::ADDITIONAL_RESPONSE),
        organisation: host_text(organisation),
        text: host_text(texts).map(|text| text.trim().to_owned()),
        balance: text(De::BALANCE),
    }
}

#[cfg(test)]
mod tests;

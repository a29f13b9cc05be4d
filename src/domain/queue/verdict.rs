//! What an answer, or none, makes of an entry. One function for each type of entry, and one for silence.
use super::delivery::{End, Limits};
use super::{Entry, LATE};
use crate::domain::ident::ResponseCode;
use crate::domain::outcome::{EntryType, QueueState};
use crate::domain::unionpay::response::{self, Class};

/// What becomes of the entry once it is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) state: QueueState,
    pub(super) end: End,
    pub(super) ask_again: bool,
    pub(super) error: String,
    /// The bank refuses our keys: sign on before the next attempt.
    pub(super) sign_on: bool,
}

/// A good answer came. `late`: the upload waited longer than allowed.
pub(super) fn answered(entry: &Entry, code: &ResponseCode, limits: &Limits, late: bool) -> Verdict {
    match entry.entry_type() {
        EntryType::Reversal => reversal(entry, code, limits),
        EntryType::Script => script(entry, code, limits),
        EntryType::OfflineSale | EntryType::Advice => upload(entry, code, limits, late),
        // Nothing is ever sent for it.
        EntryType::RefundUnknown => ended(entry, QueueState::Failed, End::Failed, ""),
    }
}

/// No usable answer came: it goes again, or has `failed` when its attempts are used up. A reversal that was answered
/// with 25 keeps waiting for its second answer.
pub(super) fn unanswered(entry: &Entry, limits: &Limits, error: &str) -> Verdict {
    let most = match entry.entry_type() {
        EntryType::Reversal => limits.profile.reversal_attempts,
        _ => limits.profile.upload_attempts,
    };
    if entry.attempts >= most && !entry.ask_again {
        return ended(entry, QueueState::Failed, End::Failed, error);
    }
    ended(entry, entry.waiting_state(), End::Repeat, error)
}

/// An answer without a MAC came, which anybody could have sent: it ends nothing, as if none had come. Choice: where it
/// refuses our keys the terminal signs on before it asks again, because a bank that has lost them can sign nothing, and
/// a needless sign-on moves no money.
pub(super) fn doubted(entry: &Entry, code: &ResponseCode, limits: &Limits) -> Verdict {
    let sign_on = response::class(code) == Class::SignOnNeeded;
    Verdict { sign_on, ..unanswered(entry, limits, &format!("answered with {code}, but without MAC")) }
}

/// Done on 00 and 12; on 25 it no longer blocks trading, is asked once more, and is then done. Source: the rules of
/// public terminal code; Spec: unverified.
fn reversal(entry: &Entry, code: &ResponseCode, limits: &Limits) -> Verdict {
    if response::reversal_done(code) {
        let once_more =
            code.as_str() == "25" && !limits.profile.repeat_not_found.is_zero() && !entry.ask_again;
        if once_more {
            return Verdict { ask_again: true, ..ended(entry, QueueState::Due, End::AskAgain, "") };
        }
        return ended(entry, QueueState::Done, End::Done, "");
    }
    keys_refused(entry, code, limits).unwrap_or_else(|| again(entry, code, limits))
}

/// Any answer but "sign on again" says that the bank has it: it moves no money, so a refusal is only noted.
fn script(entry: &Entry, code: &ResponseCode, limits: &Limits) -> Verdict {
    let noted = || match response::class(code) {
        Class::Approved | Class::PartlyApproved => String::new(),
        Class::SignOnNeeded | Class::Declined => format!("answered with {code}"),
    };
    keys_refused(entry, code, limits).unwrap_or_else(|| ended(entry, QueueState::Done, End::Done, &noted()))
}

/// Done when the bank has booked it, now or before (94: a repetition). The words for success are those of
/// [`response::APPROVED`]; an upload is never approved in part. Any other answer is a refusal and final.
fn upload(entry: &Entry, code: &ResponseCode, limits: &Limits, late: bool) -> Verdict {
    let done = || ended(entry, QueueState::Done, End::Done, if late { LATE } else { "" });
    let denied = || ended(entry, QueueState::Denied, End::Denied, &format!("refused with {code}"));
    match response::class(code) {
        Class::Approved => done(),
        Class::Declined if code.as_str() == response::REPEATED => done(),
        Class::SignOnNeeded => keys_refused(entry, code, limits).unwrap_or_else(denied),
        Class::PartlyApproved | Class::Declined => denied(),
    }
}

/// 77, 99 and A0 ask for a new sign-on and come again; A0 twice in a row is `failed`.
fn keys_refused(entry: &Entry, code: &ResponseCode, limits: &Limits) -> Option<Verdict> {
    if response::class(code) != Class::SignOnNeeded {
        return None;
    }
    if code.as_str() == "A0" && entry.mac_refused() {
        return Some(ended(entry, QueueState::Failed, End::Failed, "MacError"));
    }
    Some(Verdict { sign_on: true, ..again(entry, code, limits) })
}

fn again(entry: &Entry, code: &ResponseCode, limits: &Limits) -> Verdict {
    unanswered(entry, limits, &format!("refused with {code}"))
}

fn ended(entry: &Entry, state: QueueState, end: End, error: &str) -> Verdict {
    Verdict { state, end, ask_again: entry.ask_again, error: error.to_owned(), sign_on: false }
}

//! Who may be to blame when the bank's totals differ: the bank never shows its lines, so the terminal names every
//! record about which the two can disagree, with the sum that each would explain.
use super::totals::upload_of;
use crate::domain::ident::TxnId;
use crate::domain::money::Amount;
use crate::domain::outcome::{
    CardClass, EntryType, Kind, Outcome, QueueState, Resolution, ResultCode, words,
};
use crate::domain::queue::LATE;
use crate::domain::record::{EntryRow, TxnRow};

words! {
    /// Why the bank may count a record otherwise than the terminal.
    Reason {
        /// The bank knew no original (25) when asked to undo it: the request may have come later.
        ReversalNotFound = "reversal-not-found",
        /// The bank called the undo an invalid transaction (12): whether it holds the original is not said.
        ReversalRefused = "reversal-refused",
        /// The undo was never answered so that it counts.
        ReversalFailed = "reversal-failed",
        /// Nobody knows whether the refund was booked.
        RefundUnresolved = "refund-unresolved",
        /// The bank refused what was approved without it.
        UploadDenied = "upload-denied",
        /// The bank never answered to what was approved without it.
        UploadFailed = "upload-failed",
        /// Told so late that the bank may count it to another day.
        UploadLate = "upload-late",
        /// The bank called the upload a duplicate (94): it has it once, perhaps with other facts.
        UploadDuplicate = "upload-duplicate",
        /// Only the shop says that the bank has it; whose card it was the bank never said, so it may count it in the
        /// other class.
        ResolvedPaid = "resolved-paid",
        /// Approved for less than asked.
        PartialApproval = "partial-approval",
    }
}

/// A record about which bank and terminal may disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// Which.
    pub txn: TxnId,
    /// Its kind.
    pub kind: Kind,
    /// Whose card.
    pub card_class: CardClass,
    /// Why.
    pub reason: Reason,
    /// The difference it would explain.
    pub amount: Amount,
}

/// The suspects of a batch, in the order of its records; a record may be suspected for more than one reason.
#[must_use]
pub fn suspects(rows: &[TxnRow]) -> Vec<Suspect> {
    rows.iter().flat_map(of_row).collect()
}

fn of_row(row: &TxnRow) -> Vec<Suspect> {
    let suspect = |(reason, amount)| Suspect {
        txn: row.start.id.clone(),
        kind: row.start.kind,
        card_class: row.card_class,
        reason,
        amount,
    };
    let reversal = row.reversal().and_then(reversal).map(|reason| (reason, row.start.amount));
    let refund = refund(row).map(|reason| (reason, row.start.amount));
    let upload = upload_of(row).and_then(upload).map(|reason| (reason, row.approved_amount));
    let partial = (row.outcome == Outcome::Approved && row.result == Some(ResultCode::Partial)).then(|| {
        let rest = row.start.amount.checked_sub(row.approved_amount).unwrap_or(Amount::ZERO);
        (Reason::PartialApproval, rest)
    });
    let paid = |entry: &EntryRow| {
        entry.resolution == Some(Resolution::Paid) && entry.entry_type != EntryType::Script
    };
    let resolved = row.entries.iter().any(paid).then_some((Reason::ResolvedPaid, row.approved_amount));
    [reversal, refund, upload, resolved, partial].into_iter().flatten().map(suspect).collect()
}

fn code(entry: &EntryRow) -> &str {
    entry.response_code.as_ref().map_or("", |code| code.as_str())
}

fn reversal(entry: &EntryRow) -> Option<Reason> {
    match (entry.state, code(entry)) {
        // The shop has found out what became of it.
        _ if matches!(entry.resolution, Some(Resolution::Paid | Resolution::NotPaid)) => None,
        (_, "25") => Some(Reason::ReversalNotFound),
        (_, "12") => Some(Reason::ReversalRefused),
        (QueueState::Done, _) if entry.resolution.is_none() => None,
        _ => Some(Reason::ReversalFailed),
    }
}

fn refund(row: &TxnRow) -> Option<Reason> {
    let entry = row.entry(EntryType::RefundUnknown)?;
    let found = matches!(entry.resolution, Some(Resolution::Paid | Resolution::NotPaid));
    (!found).then_some(Reason::RefundUnresolved)
}

fn upload(entry: &EntryRow) -> Option<Reason> {
    match (entry.state, code(entry)) {
        _ if matches!(entry.resolution, Some(Resolution::Paid | Resolution::NotPaid)) => None,
        (QueueState::Denied, _) => Some(Reason::UploadDenied),
        (QueueState::Expired, _) => Some(Reason::UploadLate),
        (QueueState::Done, "94") => Some(Reason::UploadDuplicate),
        (QueueState::Done, _) if entry.last_error == LATE => Some(Reason::UploadLate),
        (QueueState::Done, _) if entry.resolution.is_none() => None,
        _ => Some(Reason::UploadFailed),
    }
}

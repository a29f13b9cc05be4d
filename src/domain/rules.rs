//! The kinds of business as one table: what each says on the wire, what it asks of people and cards, what silence of
//! the bank means, and what may follow it. Nothing else decides which kind may come after which.
//!
//! What a kind says on the wire is the row of its message in [`super::unionpay::matrix`]. Source of the successors: the
//! durability rules of this project and public terminal code (LiaoYang_POS, Newland); Spec: unverified.
#[cfg(test)]
mod tests;

use super::fault::{Fault, FaultName};
use super::ident::AuthCode;
use super::money::Amount;
use super::outcome::{EntryType, Kind, Outcome, QueueState};
use super::profile::Profile;
use super::record::{EntryId, TxnRow};
use super::unionpay::matrix::Name as Message;

/// What it means when the bank does not answer a request that may have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The bank is asked to undo it: 0400.
    Reverse,
    /// Nobody may repeat or undo it; the shop finds out and resolves it.
    Except,
    /// Nothing: no money could move.
    Forget,
}

impl Silence {
    /// The entry that is armed before the first byte.
    #[must_use]
    pub const fn entry(self) -> Option<EntryType> {
        match self {
            Self::Reverse => Some(EntryType::Reversal),
            Self::Except => Some(EntryType::RefundUnknown),
            Self::Forget => None,
        }
    }
}

/// What the chip is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardUse {
    /// The whole conversation, with cryptograms.
    Pay,
    /// Application and records only: the card number and track 2. DE 55 is not sent.
    Read,
}

/// How the bank hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It is asked, and its answer decides.
    Online,
    /// It is told later, through the queue.
    Queue,
}

/// Which amounts a caller may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountRule {
    /// Above zero.
    Positive,
    /// Zero only.
    Zero,
    /// Zero or the original's: the whole of it is undone.
    Originals,
}

/// How the original is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalRule {
    /// There is none.
    None,
    /// It stands in this journal, in the open batch, and is of today.
    Here,
    /// By authorisation code and date; its row too where this journal has it.
    ByAuthCode,
    /// By RRN and date; its row too where this journal has it.
    ByRrn,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The kind.
    pub kind: Kind,
    /// The message that asks or tells the bank.
    pub message: Message,
    /// Tag 9C: the first two digits of DE 3.
    pub transaction_type: u8,
    /// How the bank hears of it.
    pub route: Route,
    /// What no answer means.
    pub silence: Silence,
    /// What the chip is asked.
    pub card: CardUse,
    /// Which amounts.
    pub amount: AmountRule,
    /// How the original is known.
    pub original: OriginalRule,
    /// Which kinds it follows.
    pub follows: &'static [Kind],
    /// A supervisor must allow it.
    pub supervisor: bool,
    /// The action that an Authorize token names.
    pub action: &'static str,
}

const SALE: Rule = Rule {
    kind: Kind::Sale,
    message: Message::Sale,
    transaction_type: 0x00,
    route: Route::Online,
    silence: Silence::Reverse,
    card: CardUse::Pay,
    amount: AmountRule::Positive,
    original: OriginalRule::None,
    follows: &[],
    supervisor: false,
    action: "trade",
};

const TABLE: &[Rule] = &[
    SALE,
    Rule {
        kind: Kind::Void,
        message: Message::Void,
        transaction_type: 0x20,
        card: CardUse::Read,
        amount: AmountRule::Originals,
        original: OriginalRule::Here,
        follows: &[Kind::Sale, Kind::OfflineSale],
        supervisor: true,
        action: "void",
        ..SALE
    },
    Rule {
        kind: Kind::Refund,
        message: Message::Refund,
        transaction_type: 0x20,
        silence: Silence::Except,
        card: CardUse::Read,
        original: OriginalRule::ByRrn,
        follows: &[Kind::Sale, Kind::OfflineSale, Kind::PreAuthComplete, Kind::PreAuthAdvice],
        supervisor: true,
        action: "refund",
        ..SALE
    },
    Rule {
        kind: Kind::Balance,
        message: Message::Balance,
        transaction_type: 0x31,
        silence: Silence::Forget,
        amount: AmountRule::Zero,
        ..SALE
    },
    Rule {
        kind: Kind::PreAuth,
        message: Message::PreAuth,
        transaction_type: 0x03,
        action: "pre-auth",
        ..SALE
    },
    Rule {
        kind: Kind::PreAuthVoid,
        message: Message::PreAuthVoid,
        transaction_type: 0x20,
        card: CardUse::Read,
        amount: AmountRule::Originals,
        original: OriginalRule::ByAuthCode,
        follows: &[Kind::PreAuth],
        supervisor: true,
        action: "pre-auth",
        ..SALE
    },
    Rule {
        kind: Kind::PreAuthComplete,
        message: Message::Completion,
        card: CardUse::Read,
        original: OriginalRule::ByAuthCode,
        follows: &[Kind::PreAuth],
        action: "pre-auth",
        ..SALE
    },
    Rule {
        kind: Kind::PreAuthAdvice,
        message: Message::Advice,
        route: Route::Queue,
        silence: Silence::Forget,
        card: CardUse::Read,
        original: OriginalRule::ByAuthCode,
        follows: &[Kind::PreAuth],
        action: "pre-auth",
        ..SALE
    },
    Rule {
        kind: Kind::PreAuthCompleteVoid,
        message: Message::CompletionVoid,
        transaction_type: 0x20,
        card: CardUse::Read,
        amount: AmountRule::Originals,
        original: OriginalRule::Here,
        follows: &[Kind::PreAuthComplete],
        supervisor: true,
        action: "pre-auth",
        ..SALE
    },
    // Its upload; a sale under a voice authorisation is told by `Message::VoiceSale` instead.
    Rule {
        kind: Kind::OfflineSale,
        message: Message::ChipSale,
        route: Route::Queue,
        silence: Silence::Forget,
        ..SALE
    },
];

/// The row of a kind. Kinds that are not built have the sale's.
#[must_use]
pub fn rule(kind: Kind) -> &'static Rule {
    TABLE.iter().find(|rule| rule.kind == kind).unwrap_or(&SALE)
}

/// True for the kinds that undo the whole of their original.
#[must_use]
pub const fn undoes(kind: Kind) -> bool {
    matches!(kind, Kind::Void | Kind::PreAuthVoid | Kind::PreAuthCompleteVoid)
}

/// True if the PIN is asked although the chip is only read: the profile says for which kinds. Where the chip is asked
/// to pay, it says itself what it wants.
#[must_use]
pub const fn asks_pin_after_reading(kind: Kind, profile: &Profile) -> bool {
    match kind {
        Kind::Void => profile.void_pin,
        Kind::PreAuthVoid => profile.pre_auth_void_pin,
        Kind::PreAuthComplete => profile.completion_pin,
        Kind::PreAuthCompleteVoid => profile.completion_void_pin,
        _ => false,
    }
}

/// The kind that undoes a transaction of this kind.
#[must_use]
pub const fn undo_of(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::Sale | Kind::OfflineSale => Some(Kind::Void),
        Kind::PreAuth => Some(Kind::PreAuthVoid),
        Kind::PreAuthComplete => Some(Kind::PreAuthCompleteVoid),
        _ => None,
    }
}

/// How an undo is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// The bank is asked.
    Online,
    /// The bank never heard of the original, or refused it: its entry leaves the queue, and that is all. `None`: the
    /// entry was denied and is left as it is.
    Local(Option<EntryId>),
}

/// How the original's undo is carried out. Call after [`eligible`].
#[must_use]
pub fn undo(original: &TxnRow) -> Undo {
    match original.entry(EntryType::OfflineSale) {
        Some(entry) if entry.state == QueueState::Denied => Undo::Local(None),
        Some(entry) if entry.is_open() && entry.attempts == 0 => {
            Undo::Local(Some(EntryId::new(original.start.id.clone(), EntryType::OfflineSale)))
        }
        _ => Undo::Online,
    }
}

/// What the terminal knows to have been refunded, or may have been: everything from Sending on that did not end in a
/// refusal.
#[must_use]
pub fn refunded_total(original: &TxnRow) -> Amount {
    let counts = |outcome| {
        matches!(outcome, Outcome::None | Outcome::Unknown | Outcome::Approved | Outcome::StoredOffline)
    };
    original
        .follow_ups
        .iter()
        .filter(|follow| follow.kind == Kind::Refund && counts(follow.outcome))
        .fold(Amount::ZERO, |sum, follow| sum.checked_add(follow.amount).unwrap_or(sum))
}

/// What of the present a follow-up is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    /// The original's day is today, in the terminal's time zone.
    pub same_day: bool,
    /// Rules of the acquirer.
    pub profile: &'a Profile,
}

fn refuse<T>(name: FaultName, text: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::new(name, text))
}

/// May a transaction of `kind` and `amount` (zero: not told) follow this original now? Gives its amount.
///
/// # Errors
/// `OriginalNotEligible`, `ReversalPending`, `AmountInvalid`, `RefundExceedsOriginal`: the text says why, and what
/// to do.
pub fn eligible(
    original: &TxnRow,
    kind: Kind,
    amount: Amount,
    present: Present<'_>,
) -> Result<Amount, Fault> {
    let theirs = original.start.kind;
    if !rule(kind).follows.contains(&theirs) {
        return refuse(FaultName::OriginalNotEligible, format!("a {kind} cannot follow a {theirs}"));
    }
    match original.outcome {
        Outcome::Approved | Outcome::StoredOffline => {}
        Outcome::None | Outcome::Unknown => {
            return refuse(
                FaultName::ReversalPending,
                "the outcome of the original is not known yet; wait until it is resolved",
            );
        }
        other => {
            let text = format!("the original is {other}: there is nothing to follow");
            return refuse(FaultName::OriginalNotEligible, text);
        }
    }
    upload_settled(original, kind)?;
    if original.follow_ups.iter().any(|follow| follow.outcome == Outcome::None || follow.unresolved) {
        return refuse(
            FaultName::ReversalPending,
            "another follow-up of the original is not resolved yet; wait, or resolve it in the queue",
        );
    }
    // Refunds may be repeated, and what was undone leaves the original as it was before.
    let in_the_way = original.follow_ups.iter().find(|follow| follow.stands && follow.kind != Kind::Refund);
    if let Some(follow) = in_the_way {
        let text = format!("the original has a {} already", follow.kind);
        return refuse(FaultName::OriginalNotEligible, text);
    }
    amount_of(original, kind, amount, present)
}

/// An original that was stored offline must have been heard of by the bank, or not at all.
fn upload_settled(original: &TxnRow, kind: Kind) -> Result<(), Fault> {
    let Some(entry) = original
        .entry(EntryType::OfflineSale)
        .or_else(|| original.entry(EntryType::Advice))
        .filter(|entry| entry.is_open())
    else {
        return Ok(());
    };
    let untouched = entry.attempts == 0 && entry.state != QueueState::Expired;
    match entry.state {
        QueueState::Denied if undoes(kind) => Ok(()),
        QueueState::Denied => refuse(
            FaultName::OriginalNotEligible,
            "the bank refused the upload of the original: there is nothing to give back",
        ),
        _ if untouched && undoes(kind) => Ok(()),
        QueueState::Failed | QueueState::Expired => refuse(
            FaultName::ReversalPending,
            "the upload of the original has failed; resolve it in the queue first",
        ),
        _ => refuse(
            FaultName::ReversalPending,
            "the original is still to be uploaded; flush the queue and try again",
        ),
    }
}

fn amount_of(original: &TxnRow, kind: Kind, amount: Amount, present: Present<'_>) -> Result<Amount, Fault> {
    let approved = original.approved_amount;
    let refunded = refunded_total(original);
    match rule(kind).original {
        OriginalRule::Here if !original.in_open_batch => {
            refuse(FaultName::OriginalNotEligible, "the batch of the original is settled; refund it instead")
        }
        OriginalRule::Here if !present.same_day => {
            refuse(FaultName::OriginalNotEligible, "the original is not of today; refund it instead")
        }
        OriginalRule::Here | OriginalRule::ByAuthCode if undoes(kind) => {
            if !refunded.is_zero() {
                return refuse(FaultName::OriginalNotEligible, "the original was refunded; refund the rest");
            }
            if !amount.is_zero() && amount != approved {
                return refuse(
                    FaultName::AmountInvalid,
                    "the whole amount of the original is undone; give 0 or that amount",
                );
            }
            Ok(approved)
        }
        OriginalRule::ByRrn => {
            let rest = approved.checked_sub(refunded).unwrap_or(Amount::ZERO);
            if amount > rest {
                let text = format!("{} minor units of the original are left to refund", rest.minor());
                return refuse(FaultName::RefundExceedsOriginal, text);
            }
            Ok(amount)
        }
        OriginalRule::ByAuthCode => {
            let most = u128::from(approved.minor())
                .saturating_mul(u128::from(present.profile.completion_percent_max))
                .checked_div(100)
                .unwrap_or(0);
            if u128::from(amount.minor()) > most {
                let text = format!("a completion may reach {most} minor units");
                return refuse(FaultName::AmountInvalid, text);
            }
            Ok(amount)
        }
        OriginalRule::Here | OriginalRule::None => Ok(amount),
    }
}

/// Which kinds may follow this transaction now: `AllowedFollowUps`.
#[must_use]
pub fn allowed_follow_ups(original: &TxnRow, enabled: &[Kind], present: Present<'_>) -> Vec<Kind> {
    TABLE
        .iter()
        .filter(|rule| rule.follows.contains(&original.start.kind) && enabled.contains(&rule.kind))
        .filter(|rule| {
            // The least that can be asked for; what a caller asks for is judged when it asks.
            let least = if undoes(rule.kind) { Amount::ZERO } else { Amount::ONE };
            eligible(original, rule.kind, least, present).is_ok()
        })
        .map(|rule| rule.kind)
        .collect()
}

/// The authorisation code that names a pre-authorisation: its row's, or the one told.
#[must_use]
pub fn auth_code_of(original: Option<&TxnRow>, told: Option<&AuthCode>) -> Option<AuthCode> {
    told.or_else(|| original.and_then(|row| row.host.auth_code.as_ref())).cloned()
}

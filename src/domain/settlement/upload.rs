//! Batch upload (批上送): which records go to the bank, in which form and order.
//!
//! Only for a card class whose totals did not agree: sales approved without the bank (with a voice authorisation, then
//! by the chip), what was asked online in groups of eight, refunds and completion advices. Always: the certificate of
//! each chip transaction and each chip failure. The order is fixed, so that an interrupted upload goes on where it was.
//! Source: public terminal code (LiaoYang_POS, Newland agreeing on the order); Spec: unverified.
use super::totals::{self, upload_of};
use crate::domain::outcome::{CardClass, EntryMode, Kind, Outcome, ResultCode, Verdict};
use crate::domain::profile::VoidedSales;
use crate::domain::record::{CardFacts, TxnRow};
use crate::domain::unionpay::settlement::ChipFailure;
pub use crate::domain::unionpay::settlement::GROUP_MAX;

/// How a record is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Copy of a 0220: a sale under a voice authorisation.
    VoiceSale,
    /// Copy of a 0200 with 60.1 = 36: a sale that the chip approved.
    ChipOfflineSale,
    /// A line of a group: asked and answered online.
    Line,
    /// Copy of a 0220: a refund or a completion advice.
    Advice,
    /// The certificate (TC) of a chip transaction: 60.3 = 203, or 205 where the class did not agree.
    Certificate,
    /// A chip transaction that went wrong: 60.3 = 204, or 206 where the class did not agree.
    Failure(ChipFailure),
}

/// One record of the upload: an index into the rows of the batch, and how it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Which row.
    pub row: usize,
    /// How.
    pub form: Form,
    /// Its class agreed.
    pub agreed: bool,
}

/// All records of the upload in the order in which they go. A row can stand there twice: as a line and with its chip.
#[must_use]
pub fn plan(
    rows: &[TxnRow],
    voided_sales: VoidedSales,
    (domestic, foreign): (Verdict, Verdict),
) -> Vec<Detail> {
    let mut all: Vec<Detail> = Vec::new();
    // The card of a batch that is open is never wiped.
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.card.is_some()) {
        let verdict = match row.card_class {
            CardClass::Domestic => domestic,
            CardClass::Foreign => foreign,
        };
        let agreed = verdict == Verdict::Agreed;
        let detail = |form| Detail { row: at, form, agreed };
        all.extend(detail_form(row, voided_sales).filter(|_| !agreed).map(detail));
        all.extend(chip_form(row).map(detail));
    }
    let class = |detail: &Detail| match detail.form {
        Form::VoiceSale => 1_u8,
        Form::ChipOfflineSale => 2,
        Form::Line => 3,
        Form::Advice => 4,
        Form::Certificate => 5,
        Form::Failure(_) => 6,
    };
    // Stable: within a class the order of the STANs stays.
    all.sort_by_key(class);
    all
}

/// How a record is told when its class did not agree; a chip sale is told by its certificate instead.
fn detail_form(row: &TxnRow, voided_sales: VoidedSales) -> Option<Form> {
    totals::counted(row, voided_sales)?;
    if upload_of(row).is_some() && row.start.kind != Kind::PreAuthAdvice {
        let voice = row.wire.as_ref().is_some_and(|wire| wire.mti == "0220");
        return Some(if voice { Form::VoiceSale } else { Form::ChipOfflineSale });
    }
    match row.start.kind {
        Kind::Refund | Kind::QrRefund | Kind::PreAuthAdvice => Some(Form::Advice),
        _ if chip_form(row).is_some() => None,
        _ => Some(Form::Line),
    }
}

/// How its chip is told, whatever the bank says of the totals.
fn chip_form(row: &TxnRow) -> Option<Form> {
    let card = row.card.as_ref().filter(|card| card.entry_mode == EntryMode::Chip)?;
    let paid = matches!(row.start.kind, Kind::Sale | Kind::PreAuth);
    let asked = row.stan.is_some() && row.wire.as_ref().is_some_and(|wire| !wire.icc.is_empty());
    if !paid || !asked || upload_of(row).is_some() {
        return None;
    }
    match row.outcome {
        Outcome::Approved if issuer_not_authenticated(card) => {
            Some(Form::Failure(ChipFailure::IssuerNotAuthenticated))
        }
        Outcome::Approved => Some(Form::Certificate),
        Outcome::Declined if row.result == Some(ResultCode::DeclinedCard) => {
            Some(Form::Failure(ChipFailure::CardRefused))
        }
        _ => None,
    }
}

/// Byte 5, bit 7 of the TVR. EMV 4.4 Book 3 Annex C5.
fn issuer_not_authenticated(card: &CardFacts) -> bool {
    let tvr = card.chip.iter().find(|(name, _)| name == "TVR").map(|(_, value)| value.as_str());
    let last = tvr.and_then(|hex| hex.get(8..10)).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    last.is_some_and(|byte| byte & 0x40 != 0)
}

/// How many records from `from` on go in one message: up to eight lines, or one of anything else.
#[must_use]
pub fn message_length(plan: &[Detail], from: usize) -> usize {
    let rest = plan.get(from..).unwrap_or_default();
    match rest.first() {
        None => 0,
        Some(Detail { form: Form::Line, .. }) => {
            rest.iter().take(GROUP_MAX).take_while(|detail| detail.form == Form::Line).count()
        }
        Some(_) => 1,
    }
}

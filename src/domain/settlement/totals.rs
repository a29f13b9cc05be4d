//! What a batch adds up to: field 48 of the 0500, and the lines of slip and bus.
//!
//! The rule is UnionPay's unless the profile says otherwise: a voided sale stays a debit and its void is a credit;
//! what was reversed, refused or is not resolved stands on neither side; pre-authorisations, their voids and balance
//! inquiries move no money. Source: public terminal code (LiaoYang_POS) for the sides and the layout of field 48;
//! Spec: unverified.
use crate::domain::money::Amount;
use crate::domain::outcome::{CardClass, EntryType, Kind, Outcome, QueueState, Resolution};
use crate::domain::profile::VoidedSales;
use crate::domain::record::{EntryRow, TotalsRow, TxnRow};
use crate::domain::rules;

/// On which side of field 48 a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// 借记: money for the shop.
    Debit,
    /// 贷记: money back to cardholders.
    Credit,
}

/// Count and sum of one side of one card class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many; three digits on the wire.
    pub count: u32,
    /// Approved amounts; 12 digits on the wire.
    pub amount: Amount,
}

/// Both sides of one card class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// Money for the shop.
    pub debit: Sum,
    /// Money back.
    pub credit: Sum,
}

/// A batch as field 48 tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// 内卡.
    pub domestic: Sides,
    /// 外卡.
    pub foreign: Sides,
}

/// The batch cannot be told in field 48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotalsError {
    /// More than 999 on one side.
    #[error("more than 999 transactions on one side; field 48 has three digits")]
    Count,
    /// A sum of more than 12 digits.
    #[error("a sum above 999999999999 minor units; field 48 has twelve digits")]
    Amount,
}

/// Most records of one side: three digits.
const COUNT_MAX: u32 = 999;

/// The side of a record, `None` if it moves no money or nobody knows whether it did.
#[must_use]
pub fn side(row: &TxnRow) -> Option<Side> {
    let happened = match row.outcome {
        Outcome::Approved => row.stan.is_some() && row.wire.is_some(),
        Outcome::StoredOffline => told(row),
        _ => false,
    };
    if !happened {
        return None;
    }
    match row.start.kind {
        Kind::Sale | Kind::OfflineSale | Kind::QrSale | Kind::PreAuthComplete | Kind::PreAuthAdvice => {
            Some(Side::Debit)
        }
        Kind::Void | Kind::PreAuthCompleteVoid | Kind::Refund | Kind::QrRefund => Some(Side::Credit),
        Kind::Balance | Kind::PreAuth | Kind::PreAuthVoid => None,
    }
}

/// The side on which field 48 and the detail have a record: that of [`side`], without the pairs of sale and void that
/// the acquirer does not count. A void is of the batch of its original, so the pair goes together.
#[must_use]
pub fn counted(row: &TxnRow, voided_sales: VoidedSales) -> Option<Side> {
    let pair = || voided(row) || rules::undoes(row.start.kind);
    side(row).filter(|_| voided_sales == VoidedSales::BothSides || !pair())
}

/// The entry through which the bank hears of a record that was approved without it.
#[must_use]
pub fn upload_of(row: &TxnRow) -> Option<&EntryRow> {
    row.entry(EntryType::OfflineSale).or_else(|| row.entry(EntryType::Advice))
}

/// True if the bank has taken up what was approved without it. An entry that was withdrawn by a local void never went
/// out; one that the shop wrote off may or may not stand with the bank.
fn told(row: &TxnRow) -> bool {
    upload_of(row).is_some_and(|entry| {
        entry.state == QueueState::Done
            && entry.attempts > 0
            && !matches!(entry.resolution, Some(Resolution::NotPaid | Resolution::WrittenOff))
    })
}

impl Sum {
    fn add(&mut self, amount: Amount) -> Result<(), TotalsError> {
        self.count = self.count.saturating_add(1);
        if self.count > COUNT_MAX {
            return Err(TotalsError::Count);
        }
        self.amount = self.amount.checked_add(amount).ok_or(TotalsError::Amount)?;
        Ok(())
    }
}

impl Totals {
    /// Adds up a batch.
    ///
    /// # Errors
    /// [`TotalsError`] if it does not fit into field 48.
    pub fn of(rows: &[TxnRow], voided_sales: VoidedSales) -> Result<Self, TotalsError> {
        let mut totals = Self::default();
        for row in rows {
            let Some(side) = counted(row, voided_sales) else { continue };
            let class = match row.card_class {
                CardClass::Domestic => &mut totals.domestic,
                CardClass::Foreign => &mut totals.foreign,
            };
            match side {
                Side::Debit => class.debit.add(row.approved_amount)?,
                Side::Credit => class.credit.add(row.approved_amount)?,
            }
        }
        Ok(totals)
    }

    /// Field 48 of the 0500, 62 digits: for domestic, then foreign cards the sum and count of the debits, of the
    /// credits, and the place of the bank's verdict, 0 in requests.
    #[must_use]
    pub fn field48(&self) -> String {
        let class = |sides: &Sides| {
            let sum = |sum: &Sum| format!("{}{:03}", sum.amount.digits12(), sum.count);
            format!("{}{}0", sum(&sides.debit), sum(&sides.credit))
        };
        format!("{}{}", class(&self.domestic), class(&self.foreign))
    }
}

/// Lines by kind, card class and operator of all that moved money. What was voided later is in its line and counted
/// beside it, whether field 48 has it or not, so that paper may leave it out.
#[must_use]
pub fn lines(rows: &[TxnRow]) -> Vec<TotalsRow> {
    let mut lines: Vec<TotalsRow> = Vec::new();
    for row in rows.iter().filter(|row| side(row).is_some()) {
        let (kind, class, operator) = (row.start.kind, row.card_class, &row.start.operator);
        let known =
            lines.iter().position(|l| l.kind == kind && l.card_class == class && l.operator == *operator);
        let at = known.unwrap_or_else(|| {
            lines.push(TotalsRow {
                kind,
                card_class: class,
                operator: operator.clone(),
                count: 0,
                amount: 0,
                voided_count: 0,
                voided_amount: 0,
            });
            lines.len().saturating_sub(1)
        });
        let Some(line) = lines.get_mut(at) else { continue };
        line.count = line.count.saturating_add(1);
        line.amount = line.amount.saturating_add(row.approved_amount.minor());
        if voided(row) {
            line.voided_count = line.voided_count.saturating_add(1);
            line.voided_amount = line.voided_amount.saturating_add(row.approved_amount.minor());
        }
    }
    lines.sort_by(|a, b| (a.kind, a.card_class, &a.operator).cmp(&(b.kind, b.card_class, &b.operator)));
    lines
}

/// True if the whole of it was undone later.
#[must_use]
pub fn voided(row: &TxnRow) -> bool {
    row.follow_ups.iter().any(|follow| rules::undoes(follow.kind) && follow.outcome == Outcome::Approved)
}

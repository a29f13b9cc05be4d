//! What the acquirer knows of a settlement: the totals it was told, its verdict, and the detail that came up.
//!
//! Source: settlement rules of public terminal code (LiaoYang_POS, Newland); Spec: unverified.
use serde::{Deserialize, Serialize};

use super::business::{Business, Side};
use super::ledger::{Effect, Key, Row};
use crate::domain::profile::VoidedSales;

/// Which part of the detail a record belongs to, in the order in which they must come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Copies of offline sales, 60.1 = 30.
    Offline,
    /// Copies of sales approved by the chip, 60.1 = 36.
    ChipOffline,
    /// Lines of field 48, 60.3 = 201.
    Online,
    /// Copies of refunds and completion advices.
    Told,
    /// Certificates of online chip transactions, 60.3 = 203 or 205.
    Certificate,
    /// Chip failures, 60.3 = 204 or 206.
    ChipFailure,
}

/// One record of the detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Part of the detail.
    pub family: Family,
    /// STAN of the transaction.
    pub stan: u32,
    /// Minor units.
    pub amount: u64,
    /// From a foreign card; told by the online lines only.
    pub foreign: bool,
}

/// Count and sum of one card class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Money from cardholders, minor units.
    pub debit: u64,
    /// How often.
    pub debits: u32,
    /// Money to cardholders.
    pub credit: u64,
    /// How often.
    pub credits: u32,
}

impl Totals {
    /// Adds up the held rows of one class. The profile says whether a voided sale stays a debit and its void is a
    /// credit, or neither counts.
    #[must_use]
    pub fn of<'a>(
        rows: impl Iterator<Item = &'a Row> + Clone,
        voided_sales: VoidedSales,
        foreign: bool,
    ) -> Self {
        let held = rows.filter(|row| row.state == Effect::Held);
        let undo = |row: &Row| matches!(row.business, Business::Void | Business::PreAuthCompleteVoid);
        let undone: Vec<Key> =
            held.clone().filter(|row| undo(row)).filter_map(|row| row.original.clone()).collect();
        let pair = |row: &Row| undo(row) || undone.contains(&row.key());
        let counted = held
            .filter(|row| row.foreign == foreign && (voided_sales == VoidedSales::BothSides || !pair(row)));
        counted.fold(Self::default(), |mut sums, row| {
            let (sum, count) = match row.business.side() {
                Some(Side::Debit) => (&mut sums.debit, &mut sums.debits),
                Some(Side::Credit) => (&mut sums.credit, &mut sums.credits),
                None => return sums,
            };
            *sum = sum.saturating_add(row.booked);
            *count = count.saturating_add(1);
            sums
        })
    }

    /// Half of field 48 without its verdict: 30 digits.
    #[must_use]
    pub fn digits(&self) -> String {
        format!("{:012}{:03}{:012}{:03}", self.debit, self.debits, self.credit, self.credits)
    }
}

/// The settlement of one batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// DE 41.
    pub terminal: String,
    /// DE 60.2.
    pub number: u32,
    /// Field 48 of the last 0500.
    pub told: String,
    /// What the books say, in the same form.
    pub known: String,
    /// How often 0500 came.
    pub asked: u32,
    /// The totals of domestic cards agree.
    pub domestic_agrees: bool,
    /// Those of foreign cards.
    pub foreign_agrees: bool,
    /// The detail, each record once, in the order it came.
    pub details: Vec<Detail>,
    /// Records that came again.
    pub repeated: u32,
    /// The end: count told, and whether it said that all agrees (207).
    pub end: Option<(u32, bool)>,
    /// What was not as it must be, in words.
    pub trouble: Vec<String>,
}

/// Words about trouble that are kept of one batch.
const TROUBLE_MAX: usize = 100;

impl Batch {
    /// A batch of which nothing is settled.
    #[must_use]
    pub const fn new(terminal: String, number: u32) -> Self {
        Self {
            terminal,
            number,
            told: String::new(),
            known: String::new(),
            asked: 0,
            domestic_agrees: false,
            foreign_agrees: false,
            details: Vec::new(),
            repeated: 0,
            end: None,
            trouble: Vec::new(),
        }
    }

    /// Terminal and number.
    #[must_use]
    pub fn name(&self) -> (String, u32) {
        (self.terminal.clone(), self.number)
    }

    /// Everything agrees.
    #[must_use]
    pub const fn agrees(&self) -> bool {
        self.domestic_agrees && self.foreign_agrees
    }

    /// The batch is over.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.end.is_some()
    }

    /// Keeps a word about trouble.
    pub fn complain(&mut self, what: String) {
        if self.trouble.len() < TROUBLE_MAX && !self.trouble.contains(&what) {
            self.trouble.push(what);
        }
    }

    /// Takes a record in. `row` is what the books have under its number: it must be held, and for the same amount;
    /// what comes after a later part of the detail is trouble, what came already counts once.
    pub fn take(&mut self, detail: Detail, row: Option<&Row>) {
        let same = |known: &&Detail| known.family == detail.family && known.stan == detail.stan;
        if let Some(known) = self.details.iter().find(same) {
            if *known != detail {
                self.complain(format!("record {} came again with other content", detail.stan));
            }
            self.repeated = self.repeated.saturating_add(1);
            return;
        }
        if self.is_closed() {
            self.complain(format!("record {} came after the end", detail.stan));
        }
        if self.details.last().is_some_and(|last| last.family > detail.family) {
            self.complain(format!("record {} is out of order", detail.stan));
        }
        let held = row.filter(|row| row.state == Effect::Held);
        match (detail.family, held) {
            (Family::ChipFailure, _) => {} // a card that refused after the approval: nothing is held
            (_, None) => self.complain(format!("record {} is not in the books", detail.stan)),
            (_, Some(row)) if row.booked != detail.amount => {
                self.complain(format!("record {} has another amount than the books", detail.stan));
            }
            (Family::Online, Some(row)) if row.foreign != detail.foreign => {
                self.complain(format!("record {} has another card class than the books", detail.stan));
            }
            (_, Some(_)) => {}
        }
        self.details.push(detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stan: u32, business: Business, booked: u64) -> Row {
        let key = Key { terminal: "10000001".to_owned(), batch: 1, stan };
        Row { booked, state: Effect::Held, ..Row::new(key, business, booked) }
    }

    /// Both sides and both classes are counted apart; pre-authorisations, refusals and reversed rows are in neither.
    #[test]
    fn totals_count_what_is_held() {
        let rows = [
            row(2, Business::Sale, 1000),
            row(3, Business::ChipOfflineSale, 1000),
            row(4, Business::Void, 1000),
            row(5, Business::PreAuth, 5000),
            Row { foreign: true, ..row(6, Business::PreAuthAdvice, 700) },
            Row { state: Effect::Reversed, ..row(7, Business::Sale, 300) },
        ];
        let sums = Totals { debit: 2000, debits: 2, credit: 1000, credits: 1 };
        assert_eq!(Totals::of(rows.iter(), VoidedSales::BothSides, false), sums);
        assert_eq!(sums.digits(), "000000002000002000000001000001");
        let foreign = Totals { debit: 700, debits: 1, ..Totals::default() };
        assert_eq!(Totals::of(rows.iter(), VoidedSales::BothSides, true), foreign);
    }

    /// Where neither of a voided sale and its void counts, an undone void brings the sale back.
    #[test]
    fn a_voided_sale_may_count_on_neither_side() {
        let sale = row(2, Business::Sale, 1000);
        let void = Row { original: Some(sale.key()), ..row(4, Business::Void, 1000) };
        let refund = Row { original: Some(sale.key()), ..row(5, Business::Refund, 300) };
        let neither = |rows: &[Row]| Totals::of(rows.iter(), VoidedSales::Neither, false);
        let rows = [sale, void, refund];
        assert_eq!(neither(&rows), Totals { credit: 300, credits: 1, ..Totals::default() });
        let [sale, void, refund] = rows;
        let reversed = [sale, Row { state: Effect::Reversed, ..void }, refund];
        assert_eq!(neither(&reversed), Totals { debit: 1000, debits: 1, credit: 300, credits: 1 });
    }

    /// The detail is taken once, in order, and only as the books have it.
    #[test]
    fn the_detail_is_compared_with_the_books() {
        let mut batch = Batch::new("10000001".to_owned(), 1);
        let (sale, refund) = (row(2, Business::Sale, 1000), row(5, Business::Refund, 500));
        let detail = |family, stan, amount| Detail { family, stan, amount, foreign: false };
        batch.take(detail(Family::Online, 2, 1000), Some(&sale));
        batch.take(detail(Family::Online, 2, 1000), Some(&sale));
        batch.take(detail(Family::Told, 5, 500), Some(&refund));
        assert_eq!((batch.details.len(), batch.repeated, batch.trouble.len()), (2, 1, 0));
        batch.take(detail(Family::Online, 3, 1), None);
        batch.take(detail(Family::Told, 5, 400), Some(&refund));
        assert_eq!(
            batch.trouble,
            [
                "record 3 is out of order",
                "record 3 is not in the books",
                "record 5 came again with other content"
            ]
        );
    }
}

//! Settlement: totals (0500) against the bank's own books, then the detail and its end (0320). None of it has a MAC.
//!
//! Source: settlement rules of public terminal code (LiaoYang_POS, Newland); Spec: unverified. A malformed message is
//! refused with 30; a detail that the books do not know is taken and written down as trouble, as a bank does that
//! clears it up later.
use std::io;

use crate::domain::iso8583::{De, Message};

use super::super::batches::{Batch, Detail, Family, Totals};
use super::super::business::Business;
use super::super::ledger::Key;
use super::{Bank, Refusal, Wish, amount_of, key_of, management_code, message_type, refuse};

/// Digits of field 48 of 0500: debit 12 + 3, credit 12 + 3, verdict 1, twice.
const TOTALS_DIGITS: usize = 62;
/// Digits of one line of the detail: class 2, trace 6, card number 20, amount 12.
const LINE_DIGITS: usize = 40;
/// Lines of one message.
const LINES_MAX: usize = 8;

/// Elements of each message of settlement, all mandatory.
const OF_TOTALS: &[De] = &[
    De::STAN,
    De::TERMINAL,
    De::MERCHANT,
    De::ADDITIONAL_DATA,
    De::CURRENCY,
    De::PRIVATE_60,
    De::PRIVATE_63,
];
const OF_LINES: &[De] = &[De::STAN, De::TERMINAL, De::MERCHANT, De::ADDITIONAL_DATA, De::PRIVATE_60];
const OF_CERTIFICATES: &[De] = &[
    De::PAN,
    De::AMOUNT,
    De::STAN,
    De::ENTRY_MODE,
    De::TERMINAL,
    De::MERCHANT,
    De::ICC,
    De::PRIVATE_60,
    De::PRIVATE_62,
];

impl Bank {
    /// Compares the totals, and says 1 or 2 for each card class.
    pub(super) fn totals(
        &mut self,
        request: &Message,
        wish: &Wish,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        let checked = self
            .known(request)
            .and_then(|()| wish.refusal())
            .and_then(|()| only(request, OF_TOTALS, &[]))
            .and_then(|()| key_of(request));
        let key = match checked {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let told = request.text(De::ADDITIONAL_DATA).unwrap_or_default().to_owned();
        let (domestic, foreign) = told.split_at_checked(31).unwrap_or_default();
        if told.len() != TOTALS_DIGITS || !domestic.ends_with('0') || !foreign.ends_with('0') {
            return Ok(refuse("30", "DE 48 must have 62 digits, with 0 for each verdict"));
        }
        let rows = self.ledger.rows();
        let voided_sales = self.settings.profile.voided_sales;
        let own = || rows.iter().filter(|row| row.terminal == key.terminal && row.batch == key.batch);
        let known = [false, true].map(|foreign| Totals::of(own(), voided_sales, foreign).digits());
        let mut batch = self.settled(&key);
        if batch.is_closed() {
            batch.complain("0500 came after the end".to_owned());
        }
        if batch.asked > 0 && batch.told != told {
            batch.complain("0500 was repeated with other totals".to_owned());
        }
        let agrees = |told: &str, known: &String| told.get(..30) == Some(known);
        let [known_domestic, known_foreign] = &known;
        batch.domestic_agrees = agrees(domestic, known_domestic);
        batch.foreign_agrees = agrees(foreign, known_foreign);
        let verdict = |half: &str, agrees: bool| {
            let digit = if agrees { '1' } else { '2' };
            format!("{}{digit}", half.get(..30).unwrap_or_default())
        };
        let verdicts = verdict(domestic, batch.domestic_agrees) + &verdict(foreign, batch.foreign_agrees);
        answer.set(De::ADDITIONAL_DATA, verdicts);
        answer.set_some(De::SETTLEMENT_DATE, answer.text(De::DATE).map(str::to_owned));
        batch.told = told;
        batch.known = format!("{known_domestic}0{known_foreign}0");
        batch.asked = batch.asked.saturating_add(1);
        self.ledger.settle(batch)?;
        Ok(Ok(()))
    }

    /// Takes a piece of the detail, or its end.
    pub(super) fn upload(
        &mut self,
        request: &Message,
        wish: &Wish,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        let checked = self.known(request).and_then(|()| wish.refusal()).and_then(|()| key_of(request));
        let key = match checked {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut batch = self.settled(&key);
        if batch.asked == 0 {
            return Ok(refuse("12", "no 0500 came for this batch"));
        }
        let judged = match (message_type(request), management_code(request)) {
            (Some("00"), Some("201")) => self.lines(request, &key, &mut batch, answer),
            (Some("00"), Some(code @ ("202" | "207"))) => end(request, code == "207", &mut batch, answer),
            (Some("00"), Some("203" | "205")) => self.record(request, &key, &mut batch, Family::Certificate),
            (Some("00"), Some("204" | "206")) => self.record(request, &key, &mut batch, Family::ChipFailure),
            (Some(kind), _) => match family_of(kind) {
                Some(family) => self.record(request, &key, &mut batch, family),
                None => refuse("40", "this kind of detail is not supported"),
            },
            (None, _) => refuse("30", "DE 60 is missing"),
        };
        self.ledger.settle(batch)?;
        Ok(judged)
    }

    fn settled(&self, key: &Key) -> Batch {
        let known = self.ledger.batch(&key.terminal, key.batch).cloned();
        known.unwrap_or_else(|| Batch::new(key.terminal.clone(), key.batch))
    }

    /// Field 48: a count of two digits and as many lines.
    fn lines(
        &self,
        request: &Message,
        key: &Key,
        batch: &mut Batch,
        answer: &mut Message,
    ) -> Result<(), Refusal> {
        only(request, OF_LINES, &[])?;
        let text = request.text(De::ADDITIONAL_DATA).unwrap_or_default();
        let (count, lines) = text.split_at_checked(2).unwrap_or_default();
        let lines: Vec<&str> = (0..lines.len())
            .step_by(LINE_DIGITS)
            .filter_map(|at| lines.get(at..at.saturating_add(LINE_DIGITS)))
            .collect();
        let whole = text.len() == lines.len().saturating_mul(LINE_DIGITS).saturating_add(2);
        if !whole || count.parse() != Ok(lines.len()) || !(1..=LINES_MAX).contains(&lines.len()) {
            return refuse("30", "DE 48 must have a count of 1 to 8 and 40 digits for each line");
        }
        for line in lines {
            let number =
                |range: std::ops::Range<usize>| line.get(range).and_then(|digits| digits.parse().ok());
            let (Some(class), Some(stan), Some(amount)) = (number(0..2), number(2..8), number(28..40)) else {
                return refuse("30", "a line of DE 48 is not digits");
            };
            let stan = u32::try_from(stan).unwrap_or_default();
            let foreign = class == 1;
            let named = Key { stan, ..key.clone() };
            let row = self.ledger.row(&named);
            if row.is_some_and(|row| row.foreign != foreign) {
                batch.complain(format!("line {stan} is of the other card class"));
            }
            let agreed = if foreign { batch.foreign_agrees } else { batch.domestic_agrees };
            if agreed {
                batch.complain(format!("line {stan} is of a card class that agreed"));
            }
            let digits = line.get(8..28).unwrap_or_default().trim_start_matches('0');
            let same_card = crate::domain::secret::Pan::new(digits).map(|pan| self.fingerprint(&pan));
            if let (Some(row), Ok(card)) = (row, same_card)
                && row.card != card
            {
                batch.complain(format!("line {stan} has another card than the books"));
            }
            batch.take(Detail { family: Family::Online, stan, amount, foreign }, row);
        }
        answer.set(De::ADDITIONAL_DATA, text);
        Ok(())
    }

    /// A record of its own: a copy of what was told before, or a chip's certificate.
    fn record(&self, request: &Message, key: &Key, batch: &mut Batch, family: Family) -> Result<(), Refusal> {
        let row = self.ledger.row(key);
        if matches!(family, Family::Certificate | Family::ChipFailure) {
            only(request, OF_CERTIFICATES, &[De::CARD_SEQUENCE])?;
            let length = if family == Family::Certificate { 21 } else { 23 };
            let mark: &[u8] = if family == Family::Certificate { b"61" } else { b"71" };
            let sixty_two = request.bytes(De::PRIVATE_62).unwrap_or_default();
            if sixty_two.len() != length || !sixty_two.starts_with(mark) {
                return refuse("30", "DE 62 has not the form of this record");
            }
        } else {
            let business = message_type(request).and_then(Business::of_message_type);
            if row.is_some_and(|row| Some(row.business) != business) {
                batch.complain(format!("record {} is of another kind than the books", key.stan));
            }
        }
        let foreign = row.is_some_and(|row| row.foreign);
        batch.take(Detail { family, stan: key.stan, amount: amount_of(request), foreign }, row);
        Ok(())
    }
}

/// The end tells how many records came up, and whether all agreed; both must be true.
fn end(request: &Message, all_agree: bool, batch: &mut Batch, answer: &mut Message) -> Result<(), Refusal> {
    only(request, OF_LINES, &[])?;
    let text = request.text(De::ADDITIONAL_DATA).unwrap_or_default();
    let count = text.parse::<u32>().ok().filter(|_| text.len() == 4);
    let Some(count) = count else { return refuse("30", "DE 48 must have four digits") };
    answer.set(De::ADDITIONAL_DATA, text);
    if u32::try_from(batch.details.len()) != Ok(count) {
        batch.complain(format!("the end tells {count} records, {} came", batch.details.len()));
    }
    if batch.agrees() != all_agree {
        batch.complain("the end tells another verdict".to_owned());
    }
    if batch.end.is_some_and(|end| end != (count, all_agree)) {
        batch.complain("the end was repeated with other content".to_owned());
    }
    batch.end = Some((count, all_agree));
    Ok(())
}

/// The family of a copy by its DE 60.1.
fn family_of(kind: &str) -> Option<Family> {
    match kind {
        "30" | "32" | "34" => Some(Family::Offline),
        "36" => Some(Family::ChipOffline),
        "24" | "25" => Some(Family::Told),
        _ => None,
    }
}

/// Exactly these elements, and perhaps those.
fn only(request: &Message, must: &[De], may: &[De]) -> Result<(), Refusal> {
    if must.iter().any(|de| !request.has(*de)) {
        return refuse("30", "an element of this settlement message is missing");
    }
    if request.fields().any(|(de, _)| !must.contains(&de) && !may.contains(&de)) {
        return refuse("30", "an element does not belong into this settlement message");
    }
    Ok(())
}

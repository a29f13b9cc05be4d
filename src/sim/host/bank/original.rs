//! Which booked row a follow-up speaks of. A void names its original by batch and trace, a refund by the RRN,
//! everything after a pre-authorisation by the authorisation code.
use crate::domain::iso8583::{De, Message};

use super::super::business::{Business, Side};
use super::super::ledger::{Key, Row};
use super::{Bank, Refusal, refuse};

impl Bank {
    /// The held row that this request follows; 25 where there is none.
    pub(super) fn original(&self, request: &Message, business: Business, key: &Key) -> Result<&Row, Refusal> {
        let sixty_one = request.text(De::ORIGINAL).unwrap_or_default();
        let found = match business {
            Business::Void | Business::PreAuthCompleteVoid | Business::ScriptResult => {
                self.by_number(request, business, key, sixty_one)?
            }
            Business::Refund => {
                let rrn = request.text(De::RRN);
                self.ledger.find(|row| {
                    let taken = row.business.side() == Some(Side::Debit);
                    taken && same_merchant(row, request) && Some(row.rrn.as_str()) == rrn
                })
            }
            _ => {
                let code = request.text(De::AUTH_CODE);
                self.ledger.find(|row| {
                    let named = Some(row.auth_code.as_str()) == code;
                    row.business == Business::PreAuth && named && same_merchant(row, request)
                })
            }
        };
        let Some(row) = found else { return refuse("25", "no such original") };
        // A date of zeros: the terminal does not know it.
        if sixty_one.get(12..16).is_some_and(|date| date != "0000" && date != row.date) {
            return refuse("25", "the original is of another day");
        }
        Ok(row)
    }

    fn by_number(
        &self,
        request: &Message,
        business: Business,
        key: &Key,
        sixty_one: &str,
    ) -> Result<Option<&Row>, Refusal> {
        let number = |range| sixty_one.get(range).and_then(|digits: &str| digits.parse::<u32>().ok());
        let (Some(batch), Some(stan)) = (number(0..6), number(6..12)) else {
            return refuse("30", "DE 61 is no batch and trace");
        };
        if batch != key.batch && business != Business::ScriptResult {
            return refuse("25", "the original is of another batch: only a refund can follow");
        }
        let named = Key { terminal: key.terminal.clone(), batch, stan };
        let kinds: &[Business] = match business {
            Business::Void => &[Business::Sale, Business::OfflineSale, Business::ChipOfflineSale],
            Business::PreAuthCompleteVoid => &[Business::PreAuthComplete],
            _ => &[Business::Sale, Business::PreAuth, Business::Balance],
        };
        let Some(row) = self.ledger.row(&named).filter(|row| kinds.contains(&row.business)) else {
            return Ok(None);
        };
        if business == Business::ScriptResult {
            // The card's word counts whatever became of the money.
            return Ok(Some(row));
        }
        if row.state != super::super::ledger::Effect::Held {
            return refuse("25", "the original was refused or reversed");
        }
        let rrn = request.text(De::RRN).unwrap_or_default();
        let told_later = row.business.is_told() && rrn == "000000000000";
        if rrn != row.rrn && !told_later {
            return refuse("25", "DE 37 is not the original's");
        }
        if request.text(De::AUTH_CODE).is_some_and(|code| code != row.auth_code) {
            return refuse("25", "DE 38 is not the original's");
        }
        Ok(Some(row))
    }
}

fn same_merchant(row: &Row, request: &Message) -> bool {
    row.repeats.get(&De::MERCHANT.number()).map(String::as_str) == request.text(De::MERCHANT)
}

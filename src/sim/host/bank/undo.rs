//! What comes after a transaction: its reversal (0400), and the result of issuer scripts (0620).
use std::io;

use crate::domain::emv::tlv::Tag;
use crate::domain::iso8583::{De, Message};
use crate::domain::profile::{NamesOriginal, Profile};

use super::super::business::Business;
use super::super::ledger::{Effect, Key, Reversal, Row, Standing};
use super::card::read_tags;
use super::{Bank, Refusal, Wish, amount_of, key_of, message_type, refuse, repeated};

impl Bank {
    /// A reversal of an original that was refused, or reversed before, is answered 00: nothing is held.
    pub(super) fn reversal(
        &mut self,
        request: &Message,
        wish: &Wish,
        answer: &Message,
    ) -> io::Result<Result<(), Refusal>> {
        let checked = wish.refusal().and_then(|()| reversible(request, &self.settings.profile));
        let (business, key) = match checked {
            Ok(named) => named,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(original) = self.ledger.row(&key).filter(|row| row.requests_seen > 0)
            && let Err(refusal) = self.fits(request, original)
        {
            return Ok(Err(refusal));
        }
        let mut unknown = Row::new(key.clone(), business, amount_of(request));
        answer.text(De::RRN).unwrap_or_default().clone_into(&mut unknown.rrn);
        answer.text(De::DATE).unwrap_or_default().clone_into(&mut unknown.date);
        "25".clone_into(&mut unknown.response_code);
        Ok(match self.ledger.reverse(&key, unknown)? {
            Reversal::Done | Reversal::NothingHeld => Ok(()),
            Reversal::NotFound => refuse("25", "no such original"),
        })
    }

    /// The reversal repeats its original, and nothing stands on that.
    fn fits(&self, request: &Message, original: &Row) -> Result<(), Refusal> {
        if original.amount != amount_of(request) {
            return refuse("64", "DE 4 is not the original's");
        }
        if original.repeats != repeated(request) {
            return refuse("30", "DE 3, 22, 25, 42, 49 or 60 is not the original's");
        }
        let date = request.text(De::ORIGINAL).and_then(|sixty_one| sixty_one.get(12..16));
        if date.is_some_and(|date| date != "0000" && date != original.date) {
            return refuse("30", "DE 61 has another date than the answer");
        }
        if original.state == Effect::Held && self.ledger.followers(&original.key()).next().is_some() {
            return refuse("12", "the original is voided, completed or refunded");
        }
        Ok(())
    }

    /// The card's word on scripts. A repeated one is believed again: nothing hangs on it.
    pub(super) fn script_result(
        &mut self,
        request: &Message,
        wish: &Wish,
        answer: &Message,
    ) -> io::Result<Result<(), Refusal>> {
        let business = Business::ScriptResult;
        let key = match key_of(request) {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.ledger.standing(&key) == Standing::Repeated {
            self.ledger.repeat(&key)?;
            let known = self.ledger.row(&key).filter(|row| row.business == business);
            return Ok(match known {
                Some(row) if row.state == Effect::Noted => Ok(()),
                Some(row) => {
                    Err(Refusal { code: row.response_code.clone(), why: "it was refused before".into() })
                }
                None => refuse("94", "this STAN was used in this batch"),
            });
        }
        let judged = wish.refusal().and_then(|()| self.believe(request, &key));
        let mut row = Row::new(key, business, amount_of(request));
        answer.text(De::RRN).unwrap_or_default().clone_into(&mut row.rrn);
        answer.text(De::DATE).unwrap_or_default().clone_into(&mut row.date);
        row.repeats = repeated(request);
        row.response_code = judged.as_ref().err().map_or("00", |refusal| &refusal.code).to_owned();
        if let Ok(original) = &judged {
            row.state = Effect::Noted;
            row.original = Some(original.clone());
        }
        self.ledger.enter(row)?;
        Ok(judged.map(|_| ()))
    }

    fn believe(&self, request: &Message, key: &Key) -> Result<Key, Refusal> {
        super::form::check(request, Some(Business::ScriptResult), &self.settings.profile.forms)?;
        let original = self.original(request, Business::ScriptResult, key)?;
        if request.text(De::RRN) != Some(&original.rrn) {
            return refuse("25", "DE 37 is not the original's");
        }
        if original.amount != amount_of(request) {
            return refuse("64", "DE 4 is not the original's");
        }
        let Some(tags) = request.bytes(De::ICC).and_then(read_tags) else {
            return refuse("30", "DE 55 is missing or unreadable");
        };
        let results = tags.value(Tag(0xDF31)).unwrap_or_default();
        if results.is_empty() || !results.len().is_multiple_of(5) {
            return refuse("30", "DF31 must hold five bytes for each script");
        }
        Ok(original.key())
    }
}

/// The reversal is well-formed, and its original of a kind that can be undone.
fn reversible(request: &Message, profile: &Profile) -> Result<(Business, Key), Refusal> {
    super::form::check(request, None, &profile.forms)?;
    let codes = &profile.reversal_codes;
    let reason = request.text(De::RESPONSE_CODE).unwrap_or_default();
    if ![&codes.no_answer, &codes.mac_error, &codes.refused].into_iter().any(|code| code == reason) {
        return refuse("30", "DE 39 is no reason of this acquirer");
    }
    let key = key_of(request)?;
    let business = message_type(request).and_then(Business::of_message_type);
    let Some(business) = business.filter(|business| business.is_reversible()) else {
        return refuse("40", "a transaction of this kind is not reversed");
    };
    let own = format!("{:06}{:06}", key.batch, key.stan);
    let sixty_one = request.text(De::ORIGINAL);
    let with_numbers = sixty_one == Some(&own);
    let with_day = sixty_one.is_some_and(|digits| digits.len() == 16 && digits.starts_with(&own));
    let fits = match (profile.names_original, business) {
        (NamesOriginal::Never, _) => sixty_one.is_none(),
        (NamesOriginal::Numbers, _) | (NamesOriginal::ByKind, Business::Void) => with_numbers,
        (NamesOriginal::NumbersAndDay, _)
        | (
            NamesOriginal::ByKind,
            Business::PreAuth
            | Business::PreAuthVoid
            | Business::PreAuthComplete
            | Business::PreAuthCompleteVoid,
        ) => with_day,
        (NamesOriginal::ByKind, _) => sixty_one.is_none(),
    };
    if fits { Ok((business, key)) } else { refuse("30", "DE 61 has not the form of this reversal") }
}

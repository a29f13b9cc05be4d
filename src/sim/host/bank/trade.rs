//! Requests that move money or ask about it: sale, balance, pre-authorisation, everything that follows an original, and
//! what is told afterwards.
use std::io;

use crate::domain::iso8583::{De, Message};
use crate::domain::unionpay::keys::WorkingKeys;

use super::super::business::Business;
use super::super::ledger::{Effect, Key, Row, Standing};
use super::card::{Card, Cryptogram};
use super::{Bank, Refusal, Wish, amount_of, key_of, message_type, refuse, repeated};

/// First half of DE 44: whose card it is. Choice: invented.
const ISSUER: &str = "03080000";
/// What is on every account before the first transaction, minor units. Choice: invented.
const OPENING_BALANCE: i64 = 10_000_000;
/// What a completion may reach of its pre-authorisation, in percent. Source: common rule of issuers; Spec: unverified.
const COMPLETION_PERCENT_MAX: u64 = 115;

/// What an approval does to the books.
#[derive(Default)]
struct Booking {
    booked: u64,
    takes: i64,
    reserves: i64,
    original: Option<Key>,
    proof: Option<Vec<u8>>,
}

impl Bank {
    /// Judges a request and enters it.
    pub(super) fn trade(
        &mut self,
        request: &Message,
        keys: &WorkingKeys,
        wish: &Wish,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        let business = message_type(request).and_then(|kind| Business::of(request.mti(), kind));
        let Some(business) = business else {
            return Ok(refuse("40", "this kind of transaction is not supported"));
        };
        let key = match key_of(request) {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if self.ledger.batch(&key.terminal, key.batch).is_some_and(super::Batch::is_closed) {
            return Ok(refuse("77", "this batch is settled"));
        }
        let standing = self.ledger.standing(&key);
        if standing == Standing::Repeated {
            self.ledger.repeat(&key)?;
            return Ok(self.repetition(business, &key, answer));
        }
        let card = Card::read(request);
        let judged = if standing == Standing::AfterReversal && !self.settings.books_late {
            refuse("12", "its reversal came first")
        } else {
            let code = wish.code(amount_of(request));
            wish.refusal().and_then(|()| self.judge(request, business, &key, card.as_ref(), keys, code))
        };
        self.enter(request, business, key, card.as_ref(), judged, wish, answer)
    }

    /// A STAN that was used. What is told is repeated until it is answered: it hears 94 and the references of what is
    /// booked, or the same refusal as before.
    fn repetition(&self, business: Business, key: &Key, answer: &mut Message) -> Result<(), Refusal> {
        if let Some(row) = self.ledger.row(key).filter(|row| business.is_told() && row.business == business) {
            if row.state == Effect::Declined {
                return Err(Refusal { code: row.response_code.clone(), why: "it was refused before".into() });
            }
            answer.set(De::RRN, &row.rrn).set(De::AUTH_CODE, &row.auth_code);
        }
        refuse("94", "this STAN was used in this batch")
    }

    /// Judges form, card, PIN, chip, amount and original. `code` is what an approval will be answered with.
    fn judge(
        &self,
        request: &Message,
        business: Business,
        key: &Key,
        card: Option<&Card>,
        keys: &WorkingKeys,
        code: [u8; 2],
    ) -> Result<Booking, Refusal> {
        super::form::check(request, Some(business), &self.settings.profile.forms)?;
        self.check_security(request, keys)?;
        let amount = amount_of(request);
        if amount == 0 && business != Business::Balance {
            return refuse("13", "the amount is zero");
        }
        if let Some(card) = card {
            self.check_pin(request, card, keys)?;
        }
        let booking = match business {
            Business::Void
            | Business::Refund
            | Business::PreAuthVoid
            | Business::PreAuthComplete
            | Business::PreAuthAdvice
            | Business::PreAuthCompleteVoid => self.follow(request, business, key, card)?,
            Business::Balance
            | Business::Sale
            | Business::PreAuth
            | Business::OfflineSale
            | Business::ChipOfflineSale
            | Business::ScriptResult => {
                let Some(card) = card else { return refuse("14", "no card number") };
                let proof = match business {
                    Business::ChipOfflineSale => {
                        self.check_chip(request, card, Cryptogram::Certificate, code)?
                    }
                    Business::OfflineSale => None,
                    _ => self.check_chip(request, card, Cryptogram::Request, code)?,
                };
                let money = signed(amount);
                let (takes, reserves) = if business == Business::PreAuth { (0, money) } else { (money, 0) };
                Booking { booked: amount, takes, reserves, original: None, proof }
            }
        };
        Ok(booking)
    }

    /// Judges what follows an original.
    fn follow(
        &self,
        request: &Message,
        business: Business,
        key: &Key,
        card: Option<&Card>,
    ) -> Result<Booking, Refusal> {
        let original = self.original(request, business, key)?;
        if let Some(card) = card {
            if self.fingerprint(&card.pan) != original.card {
                return refuse("14", "it is not the card of the original");
            }
        } else if !matches!(business, Business::Void | Business::PreAuthCompleteVoid) {
            return refuse("14", "no card number");
        }
        let amount = amount_of(request);
        let of_original = original.key();
        let followers: Vec<&Row> = self.ledger.followers(&of_original).collect();
        let refunded = followers.iter().filter(|row| row.business == Business::Refund);
        let refunded = refunded.fold(0_u64, |sum, row| sum.saturating_add(row.booked));
        // An undone completion leaves its pre-authorisation as it was.
        let stands = |row: &&&Row| {
            row.business != Business::Refund
                && !self
                    .ledger
                    .followers(&row.key())
                    .any(|undo| undo.business == Business::PreAuthCompleteVoid)
        };
        if followers.iter().any(|row| stands(&row)) {
            return refuse("12", "the original is voided or completed already");
        }
        let (money, reserve) = (signed(amount), original.reserved().saturating_neg());
        let (takes, reserves) = match business {
            Business::Refund if amount > original.booked.saturating_sub(refunded) => {
                return refuse("64", "more than is left of the original");
            }
            Business::PreAuthComplete | Business::PreAuthAdvice => {
                let most = original.booked.saturating_mul(COMPLETION_PERCENT_MAX) / 100;
                if amount > most {
                    return refuse("64", "more than 115 % of the pre-authorisation");
                }
                (money, reserve)
            }
            Business::Refund => (money.saturating_neg(), 0),
            _ if amount != original.booked => return refuse("64", "DE 4 is not the original's"),
            _ if refunded > 0 => return refuse("12", "the original is refunded already"),
            Business::PreAuthVoid => (0, reserve),
            // The completion had set its pre-authorisation free; its undo sets that aside again.
            _ => (money.saturating_neg(), reserve),
        };
        Ok(Booking { booked: amount, takes, reserves, original: Some(of_original), proof: None })
    }

    /// Enters the request with its judgement, and fills in the answer.
    #[expect(clippy::too_many_arguments, reason = "one request, seen from all sides, in one place")]
    fn enter(
        &mut self,
        request: &Message,
        business: Business,
        key: Key,
        card: Option<&Card>,
        judged: Result<Booking, Refusal>,
        wish: &Wish,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        let mut row = Row::new(key, business, amount_of(request));
        answer.text(De::RRN).unwrap_or_default().clone_into(&mut row.rrn);
        answer.text(De::DATE).unwrap_or_default().clone_into(&mut row.date);
        row.repeats = repeated(request);
        let original = judged.as_ref().ok().and_then(|booking| booking.original.as_ref());
        let original = original.and_then(|key| self.ledger.row(key));
        row.pan =
            card.map(|card| card.pan.masked()).or(original.map(|row| row.pan.clone())).unwrap_or_default();
        row.card = card
            .map(|card| self.fingerprint(&card.pan))
            .or(original.map(|row| row.card.clone()))
            .unwrap_or_default();
        let organisation = card.map_or("CUP", |card| self.organisation(&card.pan));
        // Sales approved by the chip count as domestic whatever the card.
        row.foreign = business != Business::ChipOfflineSale
            && card.map_or(original.is_some_and(|row| row.foreign), |_| organisation != "CUP");
        let outcome = match judged {
            Err(refusal) => {
                row.response_code.clone_from(&refusal.code);
                Err(refusal)
            }
            Ok(booking) => {
                row.state = if business == Business::Balance { Effect::Noted } else { Effect::Held };
                row.original = booking.original;
                (row.booked, row.takes, row.reserves) = (booking.booked, booking.takes, booking.reserves);
                self.approve(request, &mut row, card, organisation, booking.proof, wish, answer)
            }
        };
        self.ledger.enter(row)?;
        Ok(outcome)
    }

    /// What an approval answers; a partial one, where a rule wants it, is an `Err` with code 10, and so is one with
    /// another code than 00.
    #[expect(clippy::too_many_arguments, reason = "one answer, made of all that was judged")]
    fn approve(
        &self,
        request: &Message,
        row: &mut Row,
        card: Option<&Card>,
        organisation: &str,
        proof: Option<Vec<u8>>,
        wish: &Wish,
        answer: &mut Message,
    ) -> Result<(), Refusal> {
        answer.set_some(De::PAN, card.map(|card| card.pan.reveal())).set(De::PRIVATE_63, organisation);
        let icc = proof.map(|proof| [proof.as_slice(), wish.scripts.as_slice()].concat());
        answer.set_some(De::ICC, icc);
        "00".clone_into(&mut row.response_code);
        if row.business == Business::Balance {
            let moved =
                |sum: i64, other: &Row| sum.saturating_add(other.net()).saturating_add(other.reserved());
            let rows = self.ledger.rows();
            let moved = rows.iter().filter(|other| other.card == row.card).fold(0, moved);
            let balance = OPENING_BALANCE.saturating_sub(moved);
            let sign = if balance < 0 { 'D' } else { 'C' };
            answer.set(De::BALANCE, format!("1002156{sign}{:012}", balance.unsigned_abs()));
            return Ok(());
        }
        row.auth_code = format!("A{:05}", self.serial % 100_000);
        answer.set(De::AUTH_CODE, &row.auth_code);
        answer.set_some(De::SETTLEMENT_DATE, answer.text(De::DATE).map(str::to_owned));
        for de in [De::EXPIRY, De::CARD_SEQUENCE] {
            answer.set_some(de, request.bytes(de));
        }
        answer.set(De::ADDITIONAL_RESPONSE, format!("{ISSUER:<11}{:<11}", super::ACQUIRER));
        if let Some(code) = &wish.approve {
            row.response_code.clone_from(code);
            return refuse(code, "approved, with the code that a rule wants");
        }
        let Some(part) = wish.partial.filter(|part| *part < row.booked) else { return Ok(()) };
        row.booked = part;
        let (takes, reserves) = (row.takes.signum(), row.reserves.signum());
        (row.takes, row.reserves) =
            (takes.saturating_mul(signed(part)), reserves.saturating_mul(signed(part)));
        "10".clone_into(&mut row.response_code);
        answer.set(De::AMOUNT, format!("{part:012}"));
        Err(Refusal { code: "10".to_owned(), why: "a rule wants a part of it".into() })
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

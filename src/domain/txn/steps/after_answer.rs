//! After the bank's answer, or without one: the card hears it before anybody else does, then the outcome becomes
//! durable, then it is told.
//!
//! EMV 4.4 Book 3 §10.9 to §10.11 for what the card is told; the durability rules of this project for the
//! rest.
use super::closing::Ending;
use super::{Base, Step, removed_prompt, trouble};
use crate::domain::emv::apdu::ResponseApdu;
use crate::domain::emv::kernel::{Conclusion, HostAnswer, Input, Kernel, Output, Verdict};
use crate::domain::ident::ResponseCode;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryMode, Outcome, ResultCode};
use crate::domain::record::{CardFacts, ReversalReason};
use crate::domain::txn::{Completed, Event, Local, Now, Online, State, Word, card};
use crate::domain::unionpay::answers::FinancialAnswer;
use crate::domain::unionpay::response::{self, Class};
use std::sync::Arc;

impl Base {
    /// The bank has spoken; the card hears it before anybody else does, if it still listens.
    pub(super) fn answered(self, online: Online, answer: FinancialAnswer, now: Now) -> Step {
        let Online { kernel, card, .. } = online;
        if answer.partial && self.part(&answer).is_none() {
            let ending = self.part_not_taken();
            return self.end_sent(ending, card, answer.host, vec![], vec![], now);
        }
        let Some(kernel) = kernel else { return self.answered_without_chip(card, answer, now) };
        let code = answer.host.response_code.as_ref().map_or("", |code| code.as_str()).as_bytes();
        let host = HostAnswer::Answered {
            approved: answer.approved,
            response_code: <[u8; 2]>::try_from(code).unwrap_or(*b"05"),
            issuer_authentication: answer.issuer_authentication.clone(),
            scripts: answer.scripts.clone(),
        };
        let completed = Completed { card, word: Word::Bank(Box::new(answer)) };
        match kernel.step(Input::Host(host)) {
            Ok((kernel, output)) => self.completing(kernel, output, completed, now),
            Err(_) => self.card_lost(completed, ResultCode::CardUnreadable, vec![], now),
        }
    }

    /// What a partial approval is worth: it was announced, and lies between nothing and everything.
    fn part(&self, answer: &FinancialAnswer) -> Option<Amount> {
        let part = answer.amount.filter(|part| !part.is_zero() && *part < self.start.amount);
        part.filter(|_| self.announces_partial())
    }

    /// Nobody allowed it: declined and undone. What cannot be undone is the shop's to find out.
    fn part_not_taken(&self) -> Ending {
        match self.unanswered(ResultCode::ProtocolError, ReversalReason::Refused) {
            ending if ending.outcome == Outcome::Unknown && ending.reversal.is_none() => ending,
            _ => self.undone(Ending::declined(ResultCode::DeclinedHost), ReversalReason::Refused),
        }
    }

    fn approval(&self, answer: &FinancialAnswer) -> Ending {
        match self.part(answer).filter(|_| answer.partial) {
            Some(part) => Ending::approved_in_part(part),
            None => Ending::approved(self.start.amount),
        }
    }

    /// A refusal without a MAC could be anybody's: where the profile says so and TLS does not make up for it, what the
    /// bank may have booked is undone.
    fn refusal(&self, answer: &FinancialAnswer, card: &CardFacts) -> Ending {
        // 45: the bank takes no stripe for a chip. Appendix of response codes of Q/CUP 006.
        let code = answer.host.response_code.as_ref().map(ResponseCode::as_str);
        let ending = Ending::declined(match (card.entry_mode, code) {
            (EntryMode::Swipe, Some("45")) => ResultCode::FallbackRefused,
            _ => ResultCode::DeclinedHost,
        });
        if self.setup.identity.profile.doubts(answer.signed, self.setup.tls) {
            self.undone(ending, ReversalReason::NoAnswer)
        } else {
            ending
        }
    }

    fn answered_without_chip(self, card: Arc<CardFacts>, answer: FinancialAnswer, now: Now) -> Step {
        let ending = if answer.approved { self.approval(&answer) } else { self.refusal(&answer, &card) };
        let local = declined_keys(&answer);
        self.end_sent(ending, card, answer.host, local, vec![], now)
    }

    pub(super) fn completing(self, kernel: Kernel, output: Output, online: Completed, now: Now) -> Step {
        let kernel = Box::new(kernel);
        match output {
            Output::Transmit(command) => {
                let online = Box::new(online);
                self.go(State::AwaitCompletion { kernel, online }, vec![Local::Transmit(command)])
            }
            Output::Done(conclusion) => self.concluded(*conclusion, online, now),
            Output::Choose(_) | Output::AskPin(_) | Output::GoOnline(_) => {
                self.card_lost(online, ResultCode::CardUnreadable, vec![], now)
            }
        }
    }

    pub(super) fn completion(
        self,
        kernel: Box<Kernel>,
        online: Box<Completed>,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::CardAnswered(response) => self.completion_answer(*kernel, *online, response, now),
            Event::CardRemoved | Event::CardFailed(_) => match kernel.gone() {
                // The second cryptogram is there; only scripts were cut short.
                Some(conclusion) => self.concluded(conclusion, *online, now),
                None => self.card_lost(*online, trouble(&event), removed_prompt(&event), now),
            },
            _ => self.stay(State::AwaitCompletion { kernel, online }),
        }
    }

    fn completion_answer(self, kernel: Kernel, online: Completed, response: ResponseApdu, now: Now) -> Step {
        match kernel.step(Input::Response(response)) {
            Ok((kernel, output)) => self.completing(kernel, output, online, now),
            Err(_) => self.card_lost(online, ResultCode::CardUnreadable, vec![], now),
        }
    }

    /// The card is gone or silent before its second cryptogram. Declined stays declined; an approval is
    /// undone; without a line nothing was approved.
    pub(super) fn card_lost(
        self,
        online: Completed,
        result: ResultCode,
        farewell: Vec<Local>,
        now: Now,
    ) -> Step {
        let Completed { card, word } = online;
        let answer = match word {
            Word::Bank(answer) => *answer,
            Word::NoLine { stored, .. } => {
                return self.end_without_line(Ending::failed(result), stored, card, farewell, now);
            }
        };
        let ending = if answer.approved {
            self.undone(Ending::failed(result), ReversalReason::Refused)
        } else {
            self.refusal(&answer, &card)
        };
        let local = declined_keys(&answer);
        self.end_sent(ending, card, answer.host, local, farewell, now)
    }

    fn concluded(self, conclusion: Conclusion, online: Completed, now: Now) -> Step {
        let Completed { card, word } = online;
        // The slip shows what the cardholder did, which the first part knows; the last part knows the
        // cryptogram.
        let card = match conclusion.card.as_deref() {
            Some(last) => Arc::new(card::last_facts(last, &card)),
            None => card,
        };
        let answer = match word {
            Word::Bank(answer) => *answer,
            Word::NoLine { stored, result } => {
                return self.concluded_without_line(&conclusion, stored, result, card, now);
            }
        };
        let tags = conclusion.card.as_ref().map(|card| &card.tags);
        let profile = Arc::clone(&self.setup.identity.profile);
        let lists = &profile.icc;
        let ending = match conclusion.verdict {
            _ if !answer.approved => self.refusal(&answer, &card),
            Verdict::Approved => self.approval(&answer),
            _ => {
                let ending = Ending::declined(ResultCode::DeclinedCard);
                let icc = tags.map(|tags| lists.reversal_refused(tags));
                self.undone(ending, ReversalReason::Refused).with_icc(icc)
            }
        };
        let ending = ending.with_script(tags.and_then(|tags| lists.script_result(tags)));
        let local = declined_keys(&answer);
        self.end_sent(ending, card, answer.host, local, vec![], now)
    }

    /// The card was told that no line can be had: a TC is an approval.
    fn concluded_without_line(
        self,
        conclusion: &Conclusion,
        stored: bool,
        result: ResultCode,
        card: Arc<CardFacts>,
        now: Now,
    ) -> Step {
        let approved = conclusion.card.as_ref().filter(|_| conclusion.verdict == Verdict::Approved);
        match approved.and_then(|summary| self.offline_upload(summary)) {
            Some(upload) => self.end_stored(upload, stored, card, now),
            None => self.end_without_line(Ending::failed(result), stored, card, vec![], now),
        }
    }
}

/// 77, 99 and A0 say that our keys are no good: sign on again before anything else.
fn declined_keys(answer: &FinancialAnswer) -> Vec<Local> {
    let code = answer.host.response_code.as_ref();
    let refused = code.is_some_and(|code| response::class(code) == Class::SignOnNeeded);
    if refused { vec![Local::DropSignOn] } else { Vec::new() }
}

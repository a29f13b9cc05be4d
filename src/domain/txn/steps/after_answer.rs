//! After the bank's answer: the card hears it before anybody else does, then the outcome becomes durable,
//! then it is told.
//!
//! EMV 4.4 Book 3 §10.9 to §10.11 for what the card is told; the durability rules of this project for the
//! rest.
use super::closing::Ending;
use super::{Base, Step, removed_prompt, trouble};
use crate::domain::emv::apdu::ResponseApdu;
use crate::domain::emv::kernel::{Conclusion, HostAnswer, Input, Kernel, Output, Verdict};
use crate::domain::outcome::ResultCode;
use crate::domain::record::{CardFacts, ReversalReason};
use crate::domain::txn::{Completed, Event, Local, Now, Online, State};
use crate::domain::unionpay::answers::FinancialAnswer;
use crate::domain::unionpay::de55;
use crate::domain::unionpay::response::{self, Class};

impl Base {
    /// The bank has spoken; the card hears it before anybody else does.
    pub(super) fn answered(self, online: Online, answer: FinancialAnswer, now: Now) -> Step {
        let Online { kernel, card, .. } = online;
        if answer.partial {
            // Not announced, so not allowed: declined and undone.
            let ending = Ending::declined(ResultCode::DeclinedHost).reversed_by(ReversalReason::Refused);
            return self.end_sent(ending, card, answer.host, vec![], vec![], now);
        }
        let code = answer.host.response_code.as_ref().map_or("", |code| code.as_str()).as_bytes();
        let host = HostAnswer::Answered {
            approved: answer.approved,
            response_code: <[u8; 2]>::try_from(code).unwrap_or(*b"05"),
            issuer_authentication: answer.issuer_authentication.clone(),
            scripts: answer.scripts.clone(),
        };
        let completed = Box::new(Completed { card, answer });
        match kernel.step(Input::Host(host)) {
            Ok((kernel, output)) => self.completing(kernel, output, completed, now),
            Err(_) => self.card_lost(completed, ResultCode::CardUnreadable, vec![], now),
        }
    }

    fn completing(self, kernel: Kernel, output: Output, online: Box<Completed>, now: Now) -> Step {
        let kernel = Box::new(kernel);
        match output {
            Output::Transmit(command) => {
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
            Event::CardAnswered(response) => self.completion_answer(kernel, online, response, now),
            Event::CardRemoved | Event::CardFailed(_) => match kernel.gone() {
                // The second cryptogram is there; only scripts were cut short.
                Some(conclusion) => self.concluded(conclusion, online, now),
                None => self.card_lost(online, trouble(&event), removed_prompt(&event), now),
            },
            _ => self.stay(State::AwaitCompletion { kernel, online }),
        }
    }

    fn completion_answer(
        self,
        kernel: Box<Kernel>,
        online: Box<Completed>,
        response: ResponseApdu,
        now: Now,
    ) -> Step {
        match kernel.step(Input::Response(response)) {
            Ok((kernel, output)) => self.completing(kernel, output, online, now),
            Err(_) => self.card_lost(online, ResultCode::CardUnreadable, vec![], now),
        }
    }

    /// The card is gone or silent before its second cryptogram. Declined stays declined; an approval is
    /// undone.
    fn card_lost(self, online: Box<Completed>, result: ResultCode, farewell: Vec<Local>, now: Now) -> Step {
        let Completed { card, answer } = *online;
        let ending = if answer.approved {
            Ending::failed(result).reversed_by(ReversalReason::Refused)
        } else {
            Ending::declined(ResultCode::DeclinedHost)
        };
        let local = declined_keys(&answer);
        self.end_sent(ending, card, answer.host, local, farewell, now)
    }

    fn concluded(self, conclusion: Conclusion, online: Box<Completed>, now: Now) -> Step {
        let Completed { card, answer } = *online;
        let ending = match conclusion.verdict {
            _ if !answer.approved => Ending::declined(ResultCode::DeclinedHost),
            Verdict::Approved => Ending::approved(),
            _ => {
                let icc = conclusion.card.as_ref().map(|card| de55::reversal_after_refusal(&card.tags));
                Ending::declined(ResultCode::DeclinedCard).reversed_by(ReversalReason::Refused).with_icc(icc)
            }
        };
        // The slip shows what the cardholder did, which the first part knows; the last part knows the
        // cryptogram.
        let card = match self.facts(conclusion.card.as_deref()) {
            Some(last) => CardFacts { chip: merged(&last, &card), ..last },
            None => card,
        };
        let local = declined_keys(&answer);
        self.end_sent(ending, card, answer.host, local, vec![], now)
    }
}

/// 77, 99 and A0 say that our keys are no good: sign on again before anything else.
fn declined_keys(answer: &FinancialAnswer) -> Vec<Local> {
    let code = answer.host.response_code.as_ref();
    let refused = code.is_some_and(|code| response::class(code) == Class::SignOnNeeded);
    if refused { vec![Local::DropSignOn] } else { Vec::new() }
}

/// Chip lines of both cryptograms: the last ones, and the ARQC of the first.
fn merged(last: &CardFacts, first: &CardFacts) -> Vec<(String, String)> {
    let arqc =
        first.chip.iter().filter(|(name, _)| name == "ARQC" && !last.chip.iter().any(|(n, _)| n == name));
    last.chip.iter().chain(arqc).cloned().collect()
}

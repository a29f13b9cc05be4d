//! After the bank's answer: the card hears it before anybody else does, then the outcome becomes durable, then it is
//! told.
//!
//! EMV 4.4 Book 3 §10.9 to §10.11 for what the card is told; the durability rules of this project for the rest.
use super::{Base, Ending, Step, broken, removed_prompt, trouble};
use crate::domain::calendar::BootTime;
use crate::domain::emv::apdu::ResponseApdu;
use crate::domain::emv::kernel::{Conclusion, HostAnswer, Input, Kernel, Output, Verdict};
use crate::domain::money::Amount;
use crate::domain::outcome::{Outcome, ResultCode};
use crate::domain::record::{CardFacts, Closed, Record, ReversalReason};
use crate::domain::txn::{Completed, Event, Local, Now, Online, State, Txn, TxnEffects, Vital};
use crate::domain::unionpay::answers::FinancialAnswer;
use crate::domain::unionpay::de55;
use crate::domain::unionpay::response::{self, Class};
use core::time::Duration;

/// How long a store that failed twice waits before it is tried again.
const STORE_RETRY: Duration = Duration::from_secs(5);

impl Base {
    /// The bank has spoken; the card hears it before anybody else does.
    pub(super) fn answered(self, online: Box<Online>, answer: FinancialAnswer, now: Now) -> Step {
        let Online { kernel, card, .. } = *online;
        if answer.partial {
            // Not announced, so not allowed: declined and undone.
            let ending = Ending::declined(ResultCode::DeclinedHost).reversed_by(ReversalReason::Refused);
            return self.end(ending, None, Some(card), answer.host, vec![Local::PowerOff], now);
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
            Err(error) => self.card_lost(online, broken(&error), vec![], now),
        }
    }

    /// The card is gone or silent before its second cryptogram. Declined stays declined; an approval is undone.
    fn card_lost(self, online: Box<Completed>, result: ResultCode, mut local: Vec<Local>, now: Now) -> Step {
        let Completed { card, answer } = *online;
        let ending = if answer.approved {
            Ending::failed(result).reversed_by(ReversalReason::Refused)
        } else {
            Ending::declined(ResultCode::DeclinedHost)
        };
        local.push(Local::PowerOff);
        self.declined_keys(&answer, &mut local);
        self.end(ending, None, Some(card), answer.host, local, now)
    }

    fn concluded(self, conclusion: Conclusion, online: Box<Completed>, now: Now) -> Step {
        let Completed { card, answer } = *online;
        let last = self.facts(conclusion.card.as_deref());
        // The slip shows what the cardholder did, which the first part knows; the last part knows the cryptogram.
        let card = match last {
            Some(last) => CardFacts { chip: merged(&last, &card), ..last },
            None => card,
        };
        let mut local = vec![Local::PowerOff];
        self.declined_keys(&answer, &mut local);
        let ending = match conclusion.verdict {
            Verdict::Approved if answer.approved => {
                Ending { outcome: Outcome::Approved, result: ResultCode::Approved, reversal: None }
            }
            _ if answer.approved => {
                Ending::declined(ResultCode::DeclinedCard).reversed_by(ReversalReason::Refused)
            }
            _ => Ending::declined(ResultCode::DeclinedHost),
        };
        let refused = ending.reversal.is_some().then(|| conclusion.card.as_ref());
        let icc = refused.flatten().map(|card| de55::reversal_after_refusal(&card.tags));
        let (txn, mut effects) = self.end(ending, None, Some(card), answer.host, local, now);
        with_reversal_icc(txn, &mut effects, icc)
    }

    /// 77, 99 and A0 say that our keys are no good: sign on again before anything else.
    fn declined_keys(&self, answer: &FinancialAnswer, local: &mut Vec<Local>) {
        let code = answer.host.response_code.as_ref();
        if code.is_some_and(|code| response::class(code) == Class::SignOnNeeded) {
            local.push(Local::DropSignOn);
        }
    }

    pub(super) fn closed(
        self,
        mut closed: Box<Closed>,
        tries: u8,
        retry: Option<BootTime>,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::Stored(_) => self.go(State::Ended(closed), vec![Local::Finish]),
            Event::StoreFailed if closed.start.is_some() && tries > 0 => {
                // Nothing was ever sent, so nothing is owed; the result stands without its record.
                self.go(State::Ended(closed), vec![Local::Finish])
            }
            Event::StoreFailed if tries > 0 => {
                let retry = Some(now.boot.after(STORE_RETRY));
                self.stay(State::AwaitClosed { closed, tries, retry })
            }
            Event::StoreFailed => {
                // Nobody has heard of the outcome: what cannot be kept must not stand. The bank undoes it.
                if closed.start.is_none() && closed.outcome != Outcome::Unknown {
                    closed.outcome = Outcome::Unknown;
                    closed.result = ResultCode::StorageFault;
                    closed.approved_amount = Amount::ZERO;
                    closed.reversal = Some(ReversalReason::Refused);
                    closed.plies.clear();
                }
                self.store(*closed, 1, vec![])
            }
            Event::Tick if retry.is_some_and(|at| now.boot >= at) => self.store(*closed, tries, vec![]),
            _ => self.stay(State::AwaitClosed { closed, tries, retry }),
        }
    }
}

/// The reversal of a refused approval carries the card's last word.
fn with_reversal_icc(mut txn: Txn, effects: &mut TxnEffects, icc: Option<Vec<u8>>) -> Step {
    if let (Some(icc), Vital::Store(records)) = (icc, &mut effects.vital) {
        for record in records {
            if let Record::Closed(closed) = record {
                closed.reversal_icc = Some(icc.clone());
            }
        }
        if let State::AwaitClosed { closed, .. } = &mut txn.state {
            closed.reversal_icc = Some(icc);
        }
    }
    (txn, core::mem::replace(effects, TxnEffects::none()))
}

/// Chip lines of both cryptograms: the last ones, and the ARQC of the first.
fn merged(last: &CardFacts, first: &CardFacts) -> Vec<(String, String)> {
    let arqc =
        first.chip.iter().filter(|(name, _)| name == "ARQC" && !last.chip.iter().any(|(n, _)| n == name));
    last.chip.iter().chain(arqc).cloned().collect()
}

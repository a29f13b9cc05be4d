//! Before the bank is asked: the card comes in and is read, until it has said who it is and what it wants. No money can
//! move here.
//!
//! EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order.
use super::closing::Ending;
use super::{Base, Step, interruption, removed_prompt, trouble};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::{CardSummary, Conclusion, Input, Kernel, Output, PinRequest, Verdict};
use crate::domain::emv::params::{Aid, Purpose, TxnParams};
use crate::domain::emv::results::{Cid, Tvr};
use crate::domain::emv::tlv::Tag;
use crate::domain::outcome::{CvmMethod, EntryMode, Kind, Prompt, ResultCode};
use crate::domain::record::{CardFacts, WireFacts};
use crate::domain::rules::{self, Route, Rule, Undo};
use crate::domain::secret::{PinBlock, Track2};
use crate::domain::txn::fallback::Attempts;
use crate::domain::txn::{
    Answer, Ask, CardTrouble, Event, Known, Local, Now, Online, PinAsk, Stage, State, Then, card,
};
use crate::domain::unionpay::matrix::Name as Message;
use crate::domain::unionpay::messages::{self, WireSource};
use std::sync::Arc;

impl Base {
    pub(super) fn card(
        self,
        params: Box<TxnParams>,
        attempts: Attempts,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::CardInserted => {
                let local = vec![Local::Prompt(Prompt::DoNotRemoveCard), Local::PowerOn];
                self.go(State::AwaitPower { params, attempts }, local)
            }
            Event::Tick if now.boot >= deadline => {
                self.end_unsent(Ending::cancelled(ResultCode::CustomerTimeout), None, vec![], now)
            }
            _ => self.stay(State::AwaitCard { params, attempts, deadline }),
        }
    }

    pub(super) fn power(self, params: Box<TxnParams>, attempts: Attempts, event: Event, now: Now) -> Step {
        let trouble = match event {
            Event::CardPowered => {
                let (kernel, output) = Kernel::start(&self.setup.emv, *params);
                return self.output(kernel, output, Stage::default(), now);
            }
            Event::CardFailed(trouble) => trouble,
            Event::CardRemoved => CardTrouble::Removed,
            _ => return self.stay(State::AwaitPower { params, attempts }),
        };
        let attempts = attempts.failed(trouble);
        if attempts.are_over() {
            let local = vec![Local::Prompt(Prompt::OtherMethod)];
            return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), None, local, now);
        }
        let state = State::AwaitCard { params, attempts, deadline: self.patience(now) };
        self.go(state, vec![Local::PowerOff, Local::Prompt(Prompt::TryAgain)])
    }

    pub(super) fn chip(self, kernel: Box<Kernel>, stage: Stage, event: Event, now: Now) -> Step {
        match event {
            Event::CardAnswered(response) => self.tell_chip(*kernel, Input::Response(response), stage, now),
            Event::CardRemoved | Event::CardFailed(_) => {
                let card = self.facts(kernel.card().as_deref());
                self.end_unsent(Ending::failed(trouble(&event)), card, removed_prompt(&event), now)
            }
            _ => self.stay(State::AwaitChip { kernel, stage }),
        }
    }

    /// The conversation goes on, or the card has broken its rules.
    pub(super) fn tell_chip(self, kernel: Kernel, input: Input, stage: Stage, now: Now) -> Step {
        let card = kernel.card();
        match kernel.step(input) {
            Ok((kernel, output)) => self.output(kernel, output, stage, now),
            Err(_) => {
                let card = self.facts(card.as_deref());
                self.end_unsent(Ending::failed(ResultCode::CardUnreadable), card, vec![], now)
            }
        }
    }

    /// What the kernel wants, before the bank is asked.
    fn output(self, kernel: Kernel, output: Output, stage: Stage, now: Now) -> Step {
        let deadline = self.patience(now);
        match output {
            Output::Transmit(command) => {
                let kernel = Box::new(kernel);
                self.go(State::AwaitChip { kernel, stage }, vec![Local::Transmit(command)])
            }
            Output::Choose(candidates) => {
                // Without a cardholder's word one that wants it may not be chosen. EMV 4.4 Book 1 §12.4.
                let first = candidates.iter().find(|candidate| !candidate.confirm);
                let first = first.map(|candidate| candidate.aid.clone());
                let state = State::AwaitChoice { kernel: Box::new(kernel), first, deadline };
                self.go(state, vec![Local::Ask(Ask::Application(candidates))])
            }
            Output::AskPin(request) => {
                let PinRequest { card, kind, tries_left, again } = *request;
                let ask = PinAsk { kind, tries_left, again, bypass_allowed: true };
                self.known(Known { kernel, card, then: Then::Pin(ask), stage }, now)
            }
            Output::GoOnline(card) => self.known(Known { kernel, card, then: Then::Online, stage }, now),
            Output::Done(conclusion) => self.done(kernel, *conclusion, stage, now),
        }
    }

    /// The card was only read, or it or the terminal ended it without the bank.
    fn done(self, kernel: Kernel, conclusion: Conclusion, stage: Stage, now: Now) -> Step {
        let ending = match (conclusion.verdict, conclusion.card) {
            (Verdict::Read, Some(card)) => {
                return self.known(Known { kernel, card, then: Then::Read, stage }, now);
            }
            (Verdict::Approved, Some(card)) => {
                return self.known(Known { kernel, card, then: Then::Stored, stage }, now);
            }
            (Verdict::Read | Verdict::NotAccepted, card) => {
                (Ending::failed(ResultCode::CardNotAccepted), card)
            }
            (Verdict::Blocked, card) => (Ending::declined(ResultCode::CardBlocked), card),
            (
                Verdict::Approved
                | Verdict::DeclinedOffline
                | Verdict::DeclinedOnline
                | Verdict::DeclinedByCard
                | Verdict::DeclinedUnableOnline,
                card,
            ) => (Ending::declined(declined_by(card.as_deref())), card),
        };
        let (ending, card) = ending;
        let facts = self.facts(card.as_deref());
        self.end_unsent(ending, facts, vec![], now)
    }

    pub(super) fn choice(
        self,
        kernel: Box<Kernel>,
        first: Option<Aid>,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        let chosen = match event {
            Event::AgentAnswered(Answer::Application(aid)) => aid,
            // An agent that cannot choose leaves it to the card's priority.
            Event::AgentUnavailable => match first {
                Some(first) => first,
                None => {
                    let ending = Ending::failed(ResultCode::CardNotAccepted);
                    return self.end_unsent(ending, None, vec![], now);
                }
            },
            Event::AgentAnswered(Answer::Cancelled) => {
                return self.end_unsent(Ending::cancelled(ResultCode::CustomerCancelled), None, vec![], now);
            }
            other => {
                return match interruption(&other, deadline, now) {
                    Some((ending, local)) => self.end_unsent(ending, None, local, now),
                    None => self.stay(State::AwaitChoice { kernel, first, deadline }),
                };
            }
        };
        self.tell_chip(*kernel, Input::Chosen(chosen), Stage::default(), now)
    }

    /// The card wants the bank; what it said goes along.
    pub(super) fn go_online(self, kernel: Kernel, summary: &CardSummary, stage: Stage, now: Now) -> Step {
        let card = Arc::new(card::facts(summary, &self.setup.token_key));
        let Ok(icc) = self.setup.identity.profile.icc.request(&summary.tags) else {
            return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), Some(card), vec![], now);
        };
        let reversal_icc = self.setup.identity.profile.icc.reversal_no_answer(&summary.tags);
        let wire = self.wire(self.rule(), EntryMode::Chip, stage.pin.is_some(), &icc, &reversal_icc);
        let may_store = self.purpose() == Purpose::Pay && !stage.pin_asked;
        let track2 = summary.track2.clone();
        self.dial(Online { kernel: Some(kernel), track2, card, wire, pin: stage.pin, may_store })
    }

    /// The card was read, which is all that was wanted of it.
    pub(super) fn after_reading(self, summary: &CardSummary, pin: Option<PinBlock>, now: Now) -> Step {
        let mut card = card::facts(summary, &self.setup.token_key);
        if self.start.kind == Kind::PreAuthComplete && pin.is_none() {
            // Money is taken for goods: who gives no PIN signs. Choice.
            (card.cvm, card.signature_required) = (CvmMethod::Signature, true);
        }
        self.carry_out(Arc::new(card), summary.track2.clone(), pin, now)
    }

    /// Whose card it is is settled, and the chip is not needed any more, if there is one at all.
    pub(super) fn carry_out(
        self,
        card: Arc<CardFacts>,
        track2: Option<Track2>,
        pin: Option<PinBlock>,
        now: Now,
    ) -> Step {
        if let (true, Undo::Local(entry)) = (rules::undoes(self.start.kind), &self.setup.undo) {
            let entry = entry.clone();
            return self.end_undone_locally(entry, card, now);
        }
        let wire = self.wire(self.rule(), card.entry_mode, pin.is_some(), &[], &[]);
        if self.rule().route == Route::Queue {
            return self.tell_later(card, wire, now);
        }
        self.dial(Online { kernel: None, track2, card, wire, pin, may_store: false })
    }

    fn dial(self, online: Online) -> Step {
        self.go(State::AwaitLine(Box::new(online)), vec![Local::Prompt(Prompt::Dialling), Local::OpenLine])
    }

    pub(super) fn wire(
        &self,
        rule: &Rule,
        entry_mode: EntryMode,
        with_pin: bool,
        icc: &[u8],
        reversal_icc: &[u8],
    ) -> WireFacts {
        messages::wire_facts(&WireSource {
            message: if self.by_voice() { Message::VoiceSale } else { rule.message },
            identity: &self.setup.identity,
            original: self.start.terms.original.as_ref(),
            entry_mode,
            with_pin,
            fallback: false,
            partial: self.announces_partial(),
            icc,
            reversal_icc,
        })
    }

    /// DE 60.6: a part of the amount may be approved.
    pub(super) fn announces_partial(&self) -> bool {
        let room = self.setup.identity.profile.forms.private_60_digits >= 14;
        room && self.start.kind == Kind::Sale && self.start.terms.allow_partial
    }
}

/// Why the chip declined, as far as it can be told: the exception file, the service, or the PIN tries. EMV 4.4 Book 3
/// §6.5.5.4 for the reasons in the cryptogram information data.
fn declined_by(card: Option<&CardSummary>) -> ResultCode {
    let value = |tag| card.and_then(|card| card.tags.value(tag));
    let tvr = value(Tag::TVR).and_then(|tvr| tvr.try_into().ok()).map(Tvr::new).unwrap_or_default();
    let reason = value(Tag::CID).and_then(<[u8]>::first).map(|cid| Cid(*cid).reason());
    match reason {
        _ if tvr.has(Tvr::ON_EXCEPTION_FILE) => ResultCode::CardBlacklisted,
        Some(Cid::SERVICE_NOT_ALLOWED) => ResultCode::CardNotAccepted,
        Some(Cid::PIN_TRIES_EXCEEDED) => ResultCode::PinBlocked,
        _ if tvr.has(Tvr::PIN_TRY_LIMIT) => ResultCode::PinBlocked,
        _ => ResultCode::DeclinedOffline,
    }
}

//! Before the bank is asked: the card is read, until it has said who it is and what it wants. No money can
//! move here.
//!
//! EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order.
use super::closing::Ending;
use super::{Base, Step, interruption, removed_prompt, trouble};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::{CardSummary, Conclusion, Input, Kernel, Output, PinRequest, Verdict};
use crate::domain::emv::params::{Aid, Purpose};
use crate::domain::emv::results::{Cid, Tvr};
use crate::domain::emv::tlv::Tag;
use crate::domain::outcome::{CvmMethod, EntryMode, Kind, Prompt, ResultCode};
use crate::domain::record::{CardFacts, WireFacts};
use crate::domain::rules::{self, Route, Rule, Undo};
use crate::domain::secret::{PinBlock, Track2};
use crate::domain::txn::{Answer, Ask, Event, Known, Local, Now, Online, PinAsk, Stage, State, Then, card};
use crate::domain::unionpay::matrix::Name as Message;
use crate::domain::unionpay::messages::{self, WireSource};
use std::sync::Arc;

impl Base {
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
    pub(super) fn output(self, kernel: Kernel, output: Output, stage: Stage, now: Now) -> Step {
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
                let then = Then::Pin { kernel: Box::new(kernel), ask };
                self.known_chip(&card, then, stage, now)
            }
            Output::GoOnline(summary) => {
                let facts = card::facts(&summary, &self.setup.token_key);
                let then = Then::Online { kernel: Box::new(kernel), summary };
                self.known(Known { card: facts, then, stage }, now)
            }
            Output::Done(conclusion) => self.done(*conclusion, stage, now),
        }
    }

    fn known_chip(self, summary: &CardSummary, then: Then, stage: Stage, now: Now) -> Step {
        let card = card::facts(summary, &self.setup.token_key);
        self.known(Known { card, then, stage }, now)
    }

    /// The card was only read, or it or the terminal ended it without the bank.
    fn done(self, conclusion: Conclusion, stage: Stage, now: Now) -> Step {
        let ending = match (conclusion.verdict, conclusion.card) {
            (Verdict::Read, Some(summary)) => {
                let then = Then::Read { track2: summary.track2.clone(), fallback: false };
                return self.known_chip(&summary, then, stage, now);
            }
            (Verdict::Approved, Some(summary)) => {
                let facts = card::facts(&summary, &self.setup.token_key);
                return self.known(Known { card: facts, then: Then::Stored(summary), stage }, now);
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
    pub(super) fn go_online(
        self,
        kernel: Kernel,
        summary: &CardSummary,
        card: CardFacts,
        stage: Stage,
        now: Now,
    ) -> Step {
        let card = Arc::new(card);
        let Ok(icc) = self.setup.identity.profile.icc.request(&summary.tags) else {
            return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), Some(card), vec![], now);
        };
        let reversal_icc = self.setup.identity.profile.icc.reversal_no_answer(&summary.tags);
        let read =
            Read { with_pin: stage.pin.is_some(), icc: &icc, reversal_icc: &reversal_icc, ..Read::CHIP };
        let wire = self.wire(self.rule(), &read);
        let may_store = self.purpose() == Purpose::Pay && !stage.pin_asked;
        let track2 = summary.track2.clone();
        self.dial(Online { kernel: Some(kernel), track2, card, wire, pin: stage.pin, may_store })
    }

    /// The card was read, which is all that was wanted of it.
    pub(super) fn after_reading(
        self,
        mut card: CardFacts,
        track2: Option<Track2>,
        fallback: bool,
        pin: Option<PinBlock>,
        now: Now,
    ) -> Step {
        if self.start.kind == Kind::PreAuthComplete && pin.is_none() {
            // Money is taken for goods: who gives no PIN signs. Choice.
            (card.cvm, card.signature_required) = (CvmMethod::Signature, true);
        }
        self.carry_out(Arc::new(card), track2, fallback, pin, now)
    }

    /// Whose card it is is settled, and the chip is not needed any more, if there is one at all.
    pub(super) fn carry_out(
        self,
        card: Arc<CardFacts>,
        track2: Option<Track2>,
        fallback: bool,
        pin: Option<PinBlock>,
        now: Now,
    ) -> Step {
        if let (true, Undo::Local(entry)) = (rules::undoes(self.start.kind), &self.setup.undo) {
            let entry = entry.clone();
            return self.end_undone_locally(entry, card, now);
        }
        let read = Read { entry_mode: card.entry_mode, fallback, with_pin: pin.is_some(), ..Read::CHIP };
        let wire = self.wire(self.rule(), &read);
        if self.rule().route == Route::Queue {
            return self.tell_later(card, wire, now);
        }
        self.dial(Online { kernel: None, track2, card, wire, pin, may_store: false })
    }

    fn dial(self, online: Online) -> Step {
        self.go(State::AwaitLine(Box::new(online)), vec![Local::Prompt(Prompt::Dialling), Local::OpenLine])
    }

    pub(super) fn wire(&self, rule: &Rule, read: &Read<'_>) -> WireFacts {
        messages::wire_facts(&WireSource {
            message: if self.by_voice() { Message::VoiceSale } else { rule.message },
            identity: &self.setup.identity,
            original: self.start.terms.original.as_ref(),
            entry_mode: read.entry_mode,
            with_pin: read.with_pin,
            fallback: read.fallback,
            partial: self.announces_partial(),
            icc: read.icc,
            reversal_icc: read.reversal_icc,
        })
    }

    /// DE 60.6: a part of the amount may be approved.
    pub(super) fn announces_partial(&self) -> bool {
        let room = self.setup.identity.profile.forms.private_60_digits >= 14;
        room && self.start.kind == Kind::Sale && self.start.terms.allow_partial
    }
}

/// How a card was read, for its message.
pub(super) struct Read<'a> {
    pub(super) entry_mode: EntryMode,
    /// By its stripe, because its chip cannot be read.
    pub(super) fallback: bool,
    pub(super) with_pin: bool,
    pub(super) icc: &'a [u8],
    pub(super) reversal_icc: &'a [u8],
}

impl Read<'_> {
    /// By its chip, which said nothing for the bank; no PIN.
    pub(super) const CHIP: Self =
        Self { entry_mode: EntryMode::Chip, fallback: false, with_pin: false, icc: &[], reversal_icc: &[] };
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

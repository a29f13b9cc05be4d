//! The card has said who it is: is it the one that is meant, is it a duplicate, and what does the PIN say. No money can
//! move here. The order is that of the questions: same card, "this card?", "once more?", PIN, then the way on.
use super::closing::Ending;
use super::{Base, Step, interruption};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::{Input, PinKind, PinResult};
use crate::domain::emv::params::Purpose;
use crate::domain::outcome::{CvmMethod, EntryMode, Kind, PinEntry, Prompt, ResultCode};
use crate::domain::record::CardFacts;
use crate::domain::rules;
use crate::domain::secret::PinBlock;
use crate::domain::txn::{Answer, Ask, Event, Known, Local, Now, PinAsk, State, Then};
use std::sync::Arc;

/// What is asked where the terminal, not the chip, wants a PIN.
const FOR_THE_BANK: PinAsk =
    PinAsk { kind: PinKind::Online, tries_left: None, again: false, bypass_allowed: true };

impl Base {
    /// The way on from a card that is known, as far as nobody has to be asked.
    pub(super) fn known(self, known: Known, now: Now) -> Step {
        if !self.same_card(&known.card) {
            return self.end_known(Ending::failed(ResultCode::WrongCard), known.card, vec![], now);
        }
        if self.is_blacklisted(&known.card) {
            let ending = Ending::declined(ResultCode::CardBlacklisted);
            return self.end_known(ending, known.card, vec![], now);
        }
        let for_the_bank = matches!(known.then, Then::Pin { ask, .. } if ask.kind == PinKind::Online);
        if for_the_bank && self.purpose() == Purpose::PayOffline {
            // A PIN that only the bank can check: without the bank there is no such sale.
            let ending = Ending::declined(ResultCode::DeclinedOffline);
            return self.end_known(ending, known.card, vec![], now);
        }
        let known = Box::new(known);
        if self.setup.confirm_card && !known.stage.confirmed {
            let local = vec![Local::Prompt(Prompt::ConfirmCard), Local::Ask(Ask::Card)];
            let deadline = self.patience(now);
            return self.go(State::AwaitConfirm { known, deadline }, local);
        }
        if self.guards_duplicates() && !known.stage.unique {
            let token = known.card.token.clone();
            let look = Local::LookForDuplicate { token, amount: self.start.amount };
            return self.go(State::AwaitLookup(known), vec![look]);
        }
        let Known { card, then, stage } = *known;
        match then {
            Then::Pin { kernel, ask } => {
                self.ask_pin(Box::new(Known { card, then: Then::Pin { kernel, ask }, stage }), ask, now)
            }
            then @ Then::Read { .. } if self.reading_asks_pin(&card) && !stage.pin_asked => {
                self.ask_pin(Box::new(Known { card, then, stage }), FOR_THE_BANK, now)
            }
            Then::Read { track2, fallback } => self.after_reading(card, track2, fallback, stage.pin, now),
            Then::Stored(summary) => self.approved_by_card(&summary, card, stage.pin_asked, now),
            Then::Online { kernel, summary } => self.go_online(*kernel, &summary, card, stage, now),
        }
    }

    /// A follow-up wants the card of its original, where that is known.
    fn same_card(&self, card: &CardFacts) -> bool {
        let wanted = self.start.terms.original.as_ref().and_then(|original| original.card_token.as_ref());
        wanted.is_none_or(|wanted| *wanted == card.token)
    }

    /// The bank takes no money from this card.
    fn is_blacklisted(&self, card: &CardFacts) -> bool {
        let list = &self.setup.blacklist;
        self.takes_money() && list.contains(&card.token)
    }

    /// True for kinds that a blacklisted card is refused. Choice: an undo and a refund give money back, so the bank is
    /// asked.
    pub(super) const fn takes_money(&self) -> bool {
        matches!(self.start.kind, Kind::Sale | Kind::OfflineSale | Kind::PreAuth | Kind::Balance)
    }

    fn guards_duplicates(&self) -> bool {
        matches!(self.start.kind, Kind::Sale | Kind::OfflineSale)
            && !self.setup.allow_duplicate
            && !self.setup.identity.profile.duplicate_window.is_zero()
    }

    /// No chip asks: the profile decides, and a stripe that takes money wants the PIN that nobody else asks for.
    fn reading_asks_pin(&self, card: &CardFacts) -> bool {
        let swiped = card.entry_mode == EntryMode::Swipe && self.takes_money() && !self.by_voice();
        swiped || rules::asks_pin_after_reading(self.start.kind, &self.setup.identity.profile)
    }

    /// Asks for a PIN where one can be typed; nobody is told to type one where not.
    fn ask_pin(self, known: Box<Known>, ask: PinAsk, now: Now) -> Step {
        let question = match (self.setup.pin_entry, ask.kind) {
            (PinEntry::Agent, _) => Local::Ask(Ask::Pin(ask)),
            (PinEntry::Pinpad, PinKind::OfflinePlain) => Local::AskPad(self.setup.customer_timeout),
            (PinEntry::Pinpad | PinEntry::Nowhere, _) => {
                return self.pin_done(known, PinResult::NotAvailable, None, now);
            }
        };
        let prompt = if ask.again { Prompt::WrongPin } else { Prompt::EnterPin };
        let deadline = self.patience(now);
        self.go(State::AwaitPin { known, deadline }, vec![Local::Prompt(prompt), question])
    }

    pub(super) fn end_known(self, ending: Ending, card: CardFacts, local: Vec<Local>, now: Now) -> Step {
        self.end_unsent(ending, Some(Arc::new(card)), local, now)
    }

    pub(super) fn confirm(self, mut known: Box<Known>, deadline: BootTime, event: Event, now: Now) -> Step {
        match event {
            Event::AgentAnswered(Answer::Yes(true)) | Event::AgentUnavailable => {
                known.stage.confirmed = true;
                self.known(*known, now)
            }
            Event::AgentAnswered(_) => {
                self.end_known(Ending::cancelled(ResultCode::CustomerCancelled), known.card, vec![], now)
            }
            other => match interruption(&other, deadline, now) {
                Some((ending, local)) => self.end_known(ending, known.card, local, now),
                None => self.stay(State::AwaitConfirm { known, deadline }),
            },
        }
    }

    pub(super) fn lookup(self, mut known: Box<Known>, event: Event, now: Now) -> Step {
        match event {
            Event::DuplicateLookedUp(None) => {
                known.stage.unique = true;
                self.known(*known, now)
            }
            Event::DuplicateLookedUp(Some(earlier)) => {
                let deadline = self.patience(now);
                let ask = Local::Ask(Ask::Duplicate(earlier));
                self.go(State::AwaitDuplicate { known, deadline }, vec![ask])
            }
            // Who cannot look does not know, and never charges twice in silence.
            Event::StoreFailed => {
                self.end_known(Ending::failed(ResultCode::StorageFault), known.card, vec![], now)
            }
            Event::CardRemoved | Event::CardFailed(_) => {
                let ending = Ending::failed(super::trouble(&event));
                self.end_known(ending, known.card, super::removed_prompt(&event), now)
            }
            _ => self.stay(State::AwaitLookup(known)),
        }
    }

    pub(super) fn duplicate(self, mut known: Box<Known>, deadline: BootTime, event: Event, now: Now) -> Step {
        let suspected = ResultCode::DuplicateSuspected;
        match event {
            Event::AgentAnswered(Answer::Yes(true)) => {
                known.stage.unique = true;
                self.known(*known, now)
            }
            Event::AgentAnswered(_) => self.end_known(Ending::cancelled(suspected), known.card, vec![], now),
            Event::AgentUnavailable => self.end_known(Ending::failed(suspected), known.card, vec![], now),
            other => match interruption(&other, deadline, now) {
                Some((ending, local)) => self.end_known(ending, known.card, local, now),
                None => self.stay(State::AwaitDuplicate { known, deadline }),
            },
        }
    }

    pub(super) fn pin(self, known: Box<Known>, deadline: BootTime, event: Event, now: Now) -> Step {
        let asked = known.asked_pin();
        let (result, block) = match (event, asked) {
            (Event::AgentAnswered(Answer::Pin(block)), PinKind::Online) => (PinResult::Entered, Some(block)),
            (
                Event::AgentAnswered(Answer::PinTyped(pin)),
                PinKind::OfflinePlain | PinKind::OfflineEnciphered,
            ) => (PinResult::Typed(pin), None),
            (Event::AgentAnswered(Answer::PinPresented(status)), PinKind::OfflinePlain) => {
                (PinResult::Presented(status), None)
            }
            (Event::AgentAnswered(Answer::PinBypassed), _) => (PinResult::Bypassed, None),
            (Event::AgentAnswered(Answer::PinNotAvailable), _) => (PinResult::NotAvailable, None),
            (Event::AgentAnswered(Answer::PinTooLate), _) => {
                let ending = Ending::cancelled(ResultCode::CustomerTimeout);
                return self.end_known(ending, known.card, vec![], now);
            }
            (Event::AgentAnswered(_) | Event::AgentUnavailable, _) => {
                let ending = Ending::cancelled(ResultCode::PinCancelled);
                return self.end_known(ending, known.card, vec![], now);
            }
            (other, _) => {
                return match interruption(&other, deadline, now) {
                    Some((ending, local)) => self.end_known(ending, known.card, local, now),
                    None => self.stay(State::AwaitPin { known, deadline }),
                };
            }
        };
        self.pin_done(known, result, block, now)
    }

    /// A PIN was typed, or not: the card goes on, or the terminal does where it wanted the PIN.
    fn pin_done(self, known: Box<Known>, result: PinResult, block: Option<PinBlock>, now: Now) -> Step {
        let asked = known.asked_pin();
        let Known { mut card, then, mut stage } = *known;
        stage.pin_asked |= asked == PinKind::Online;
        stage.pin = block;
        if let Then::Pin { kernel, .. } = then {
            return self.tell_chip(*kernel, Input::PinDone(result), stage, now);
        }
        if stage.pin.is_some() {
            card.cvm = CvmMethod::OnlinePin;
            // Choice: who pays by stripe signs as well.
            card.signature_required &= card.entry_mode == EntryMode::Swipe;
        }
        self.known(Known { card, then, stage }, now)
    }
}

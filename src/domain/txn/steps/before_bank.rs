//! Before the bank is asked: the card comes in, is read, and the cardholder is known. No money can move here.
//!
//! EMV 4.4 Book 3 chapter 8 and Book 4 chapter 6 for the order. Choice: a TC of the first cryptogram is not
//! taken, because this version has no queue that could upload it.
use super::closing::Ending;
use super::{Base, Step, removed_prompt, trouble};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::{CardSummary, Conclusion, Input, Kernel, Output, PinResult, Verdict};
use crate::domain::emv::params::{Aid, TxnParams};
use crate::domain::outcome::{Prompt, ResultCode};
use crate::domain::secret::PinBlock;
use crate::domain::txn::{Answer, Ask, Event, Local, Now, Online, Stage, State, Then, card};
use crate::domain::unionpay::{de55, messages};

/// How often a card that cannot be read may be tried again.
const CARD_TRIES: u8 = 3;

impl Base {
    pub(super) fn begin(self, event: Event, now: Now) -> Step {
        match event {
            Event::Begun(params) => {
                let state = State::AwaitCard { params, tries: 0, deadline: self.patience(now) };
                self.go(state, vec![Local::Prompt(Prompt::InsertCard)])
            }
            Event::NotBegun(result) => self.end_unsent(Ending::failed(result), None, vec![], now),
            _ => self.stay(State::AwaitBegin),
        }
    }

    pub(super) fn card(
        self,
        params: Box<TxnParams>,
        tries: u8,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::CardInserted => {
                let local = vec![Local::Prompt(Prompt::DoNotRemoveCard), Local::PowerOn];
                self.go(State::AwaitPower { params, tries }, local)
            }
            Event::Tick if now.boot >= deadline => {
                self.end_unsent(Ending::cancelled(ResultCode::CustomerTimeout), None, vec![], now)
            }
            _ => self.stay(State::AwaitCard { params, tries, deadline }),
        }
    }

    pub(super) fn power(self, params: Box<TxnParams>, tries: u8, event: Event, now: Now) -> Step {
        match event {
            Event::CardPowered => {
                let (kernel, output) = Kernel::start(&self.setup.emv, *params);
                self.output(kernel, output, Stage::default(), now)
            }
            Event::CardFailed(_) | Event::CardRemoved => {
                let tries = tries.saturating_add(1);
                if tries >= CARD_TRIES {
                    return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), None, vec![], now);
                }
                let state = State::AwaitCard { params, tries, deadline: self.patience(now) };
                self.go(state, vec![Local::PowerOff, Local::Prompt(Prompt::TryAgain)])
            }
            _ => self.stay(State::AwaitPower { params, tries }),
        }
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
    fn tell_chip(self, kernel: Kernel, input: Input, stage: Stage, now: Now) -> Step {
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
        let kernel = Box::new(kernel);
        let deadline = self.patience(now);
        match output {
            Output::Transmit(command) => {
                self.go(State::AwaitChip { kernel, stage }, vec![Local::Transmit(command)])
            }
            Output::Choose(candidates) => match candidates.first().map(|c| c.aid.clone()) {
                Some(first) => self.go(
                    State::AwaitChoice { kernel, first, deadline },
                    vec![Local::Ask(Ask::Application(candidates))],
                ),
                None => self.end_unsent(Ending::failed(ResultCode::CardNotAccepted), None, vec![], now),
            },
            Output::AskPin(card) if self.setup.confirm_card => self.go(
                State::AwaitConfirm { kernel, card, then: Then::Pin, deadline },
                vec![Local::Prompt(Prompt::ConfirmCard), Local::Ask(Ask::Card)],
            ),
            Output::AskPin(card) => self.ask_pin(kernel, card, deadline),
            Output::GoOnline(card) if self.setup.confirm_card && !stage.confirmed => self.go(
                State::AwaitConfirm { kernel, card, then: Then::Online, deadline },
                vec![Local::Prompt(Prompt::ConfirmCard), Local::Ask(Ask::Card)],
            ),
            Output::GoOnline(card) => self.go_online(*kernel, card, stage.pin, now),
            Output::Done(conclusion) => self.ended_by_card(&conclusion, now),
        }
    }

    fn ask_pin(self, kernel: Box<Kernel>, card: Box<CardSummary>, deadline: BootTime) -> Step {
        let local = vec![Local::Prompt(Prompt::EnterPin), Local::Ask(Ask::Pin)];
        self.go(State::AwaitPin { kernel, card, deadline }, local)
    }

    /// The card or the terminal ended it without the bank.
    fn ended_by_card(self, conclusion: &Conclusion, now: Now) -> Step {
        let ending = match conclusion.verdict {
            Verdict::Read | Verdict::NotAccepted => Ending::failed(ResultCode::CardNotAccepted),
            Verdict::Blocked => Ending::declined(ResultCode::CardBlocked),
            // A TC here is an offline approval, which this version cannot upload: it is not taken.
            Verdict::Approved
            | Verdict::DeclinedOffline
            | Verdict::DeclinedOnline
            | Verdict::DeclinedByCard
            | Verdict::DeclinedUnableOnline => Ending::declined(ResultCode::DeclinedOffline),
        };
        let card = self.facts(conclusion.card.as_deref());
        self.end_unsent(ending, card, vec![], now)
    }

    pub(super) fn choice(
        self,
        kernel: Box<Kernel>,
        first: Aid,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        let chosen = match event {
            Event::AgentAnswered(Answer::Application(aid)) => aid,
            // An agent that cannot choose leaves it to the card's priority.
            Event::AgentUnavailable => first,
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

    pub(super) fn confirm(
        self,
        kernel: Box<Kernel>,
        card: Box<CardSummary>,
        then: Then,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::AgentAnswered(Answer::Yes(true)) | Event::AgentUnavailable => match then {
                Then::Pin => {
                    let deadline = self.patience(now);
                    self.ask_pin(kernel, card, deadline)
                }
                Then::Online => self.go_online(*kernel, card, None, now),
            },
            Event::AgentAnswered(_) => {
                let facts = self.facts(Some(&card));
                self.end_unsent(Ending::cancelled(ResultCode::CustomerCancelled), facts, vec![], now)
            }
            other => match interruption(&other, deadline, now) {
                Some((ending, local)) => {
                    let facts = self.facts(Some(&card));
                    self.end_unsent(ending, facts, local, now)
                }
                None => self.stay(State::AwaitConfirm { kernel, card, then, deadline }),
            },
        }
    }

    pub(super) fn pin(
        self,
        kernel: Box<Kernel>,
        card: Box<CardSummary>,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        let (result, block) = match event {
            Event::AgentAnswered(Answer::Pin(block)) => (PinResult::Entered, Some(block)),
            Event::AgentAnswered(Answer::PinBypassed) => (PinResult::Bypassed, None),
            Event::AgentAnswered(Answer::PinNotAvailable) => (PinResult::NotAvailable, None),
            Event::AgentAnswered(_) | Event::AgentUnavailable => {
                let facts = self.facts(Some(&card));
                return self.end_unsent(Ending::cancelled(ResultCode::PinCancelled), facts, vec![], now);
            }
            other => {
                return match interruption(&other, deadline, now) {
                    Some((ending, local)) => {
                        let facts = self.facts(Some(&card));
                        self.end_unsent(ending, facts, local, now)
                    }
                    None => self.stay(State::AwaitPin { kernel, card, deadline }),
                };
            }
        };
        self.tell_chip(*kernel, Input::PinDone(result), Stage { pin: block, confirmed: true }, now)
    }

    fn go_online(self, kernel: Kernel, summary: Box<CardSummary>, pin: Option<PinBlock>, now: Now) -> Step {
        let card = card::facts(&summary, &self.setup.token_key);
        let icc = match de55::sale(&summary.tags) {
            Ok(icc) => icc,
            Err(_) => {
                return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), Some(card), vec![], now);
            }
        };
        let reversal_icc = de55::reversal_no_answer(&summary.tags);
        let wire = messages::wire_facts(&self.setup.identity, pin.is_some(), &icc, &reversal_icc);
        let online = Online { kernel, summary, card, wire, pin };
        self.go(State::AwaitLine(Box::new(online)), vec![Local::Prompt(Prompt::Dialling), Local::OpenLine])
    }
}

/// The end and what goes with it if, while a person is asked something, the card leaves or patience is over.
fn interruption(event: &Event, deadline: BootTime, now: Now) -> Option<(Ending, Vec<Local>)> {
    match event {
        Event::CardRemoved | Event::CardFailed(_) => {
            Some((Ending::failed(trouble(event)), [vec![Local::Withdraw], removed_prompt(event)].concat()))
        }
        Event::Tick if now.boot >= deadline => {
            Some((Ending::cancelled(ResultCode::CustomerTimeout), vec![Local::Withdraw]))
        }
        _ => None,
    }
}

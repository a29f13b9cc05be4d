//! The opening: the terminal is ready, a supervisor allows it where one must, and a card is asked for where one is
//! needed.
use super::closing::Ending;
use super::{Base, Step};
use crate::domain::calendar::BootTime;
use crate::domain::emv::params::{CardWatch, TxnParams};
use crate::domain::outcome::{CvmMethod, EntryMode, Prompt, ResultCode};
use crate::domain::record::CardFacts;
use crate::domain::rules;
use crate::domain::txn::fallback::Attempts;
use crate::domain::txn::{Answer, Ask, Event, Local, Now, State};
use std::sync::Arc;

impl Base {
    pub(super) fn begin(self, event: Event, now: Now) -> Step {
        match event {
            Event::Begun(params) => self.begun(*params, now),
            Event::NotBegun(result) => self.end_unsent(Ending::failed(result), None, vec![], now),
            _ => self.stay(State::AwaitBegin),
        }
    }

    fn begun(self, params: TxnParams, now: Now) -> Step {
        // What the chip is told of the business is the business's to say; chance and time came with the event.
        let params = Box::new(TxnParams {
            amount: self.start.amount,
            currency: self.start.currency,
            transaction_type: self.rule().transaction_type,
            purpose: self.purpose(),
            watch: Some(self.watch()),
            ..params
        });
        let terms = &self.start.terms;
        if self.rule().supervisor && !terms.linked && terms.supervisor.is_none() {
            let deadline = self.patience(now);
            let ask = Local::Ask(Ask::Authorize(self.rule().action));
            return self.go(State::AwaitAuthorization { params, deadline }, vec![ask]);
        }
        self.allowed(params, now)
    }

    /// What the terminal remembers of cards, for the chip's risk management.
    fn watch(&self) -> CardWatch {
        let exceptions = if self.takes_money() { Arc::clone(&self.setup.blacklist) } else { Arc::default() };
        let recent = Arc::clone(&self.setup.recent);
        CardWatch { token_key: self.setup.token_key.clone(), exceptions, recent }
    }

    pub(super) fn authorization(
        mut self,
        params: Box<TxnParams>,
        deadline: BootTime,
        event: Event,
        now: Now,
    ) -> Step {
        let refused = ResultCode::NotAuthorized;
        match event {
            Event::AgentAnswered(Answer::Authorized(supervisor)) => {
                self.start.terms.supervisor = Some(supervisor);
                self.allowed(params, now)
            }
            Event::AgentAnswered(_) => self.end_unsent(Ending::cancelled(refused), None, vec![], now),
            Event::AgentUnavailable => self.end_unsent(Ending::failed(refused), None, vec![], now),
            Event::Tick if now.boot >= deadline => {
                self.end_unsent(Ending::cancelled(refused), None, vec![Local::Withdraw], now)
            }
            _ => self.stay(State::AwaitAuthorization { params, deadline }),
        }
    }

    /// Everybody who must has allowed it.
    fn allowed(self, params: Box<TxnParams>, now: Now) -> Step {
        match self.card_on_file() {
            Some(card) => self.carry_out(card, None, false, None, now),
            None => {
                let state =
                    State::AwaitCard { params, attempts: Attempts::default(), deadline: self.patience(now) };
                self.go(state, vec![Local::Prompt(Prompt::InsertCard)])
            }
        }
    }

    /// The card of the original, if this undo asks for none: the terminal started it itself, or the profile does not
    /// want to see the card again. A number that was wiped must be read once more.
    fn card_on_file(&self) -> Option<Arc<CardFacts>> {
        let undoes = rules::undoes(self.start.kind);
        let unasked = self.start.terms.linked || !self.setup.identity.profile.void_needs_card;
        let card = self.setup.stored_card.as_ref().filter(|_| undoes && unasked)?;
        Some(Arc::new(CardFacts {
            entry_mode: EntryMode::Manual,
            sequence: None,
            cvm: CvmMethod::NoCvm,
            signature_required: false,
            chip: Vec::new(),
            ..CardFacts::clone(card)
        }))
    }
}

//! A card is presented: its chip is powered, or its stripe is swiped. Chips that fail are counted
//! ([`crate::domain::txn::fallback`]); after three failures a stripe may stand in, where the terminal reads stripes and
//! the acquirer takes them.
use super::closing::Ending;
use super::{Base, Step};
use crate::domain::calendar::BootTime;
use crate::domain::emv::kernel::Kernel;
use crate::domain::emv::params::{Purpose, TxnParams};
use crate::domain::outcome::{CvmMethod, EntryMode, Prompt, ResultCode};
use crate::domain::record::CardFacts;
use crate::domain::secret::Track2;
use crate::domain::txn::fallback::{Attempts, Swipe, judge};
use crate::domain::txn::{CardTrouble, Event, Known, Local, Now, Stage, State, Then};

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
            Event::CardSwiped(track2) => self.swiped(params, attempts, track2, now),
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
        if attempts.open_fallback() && self.takes_stripes() {
            return self.ask_again(params, attempts, Prompt::SwipeCard, vec![Local::PowerOff], now);
        }
        if attempts.are_over() {
            // Another card, or another way to pay: this terminal has no other way to read this one.
            let local = vec![Local::Prompt(Prompt::OtherMethod)];
            return self.end_unsent(Ending::failed(ResultCode::CardUnreadable), None, local, now);
        }
        self.ask_again(params, attempts, Prompt::TryAgain, vec![Local::PowerOff], now)
    }

    /// A stripe may stand in for a chip. A sale that only the chip can approve has no other way.
    fn takes_stripes(&self) -> bool {
        let wants_chip = self.purpose() == Purpose::PayOffline;
        self.setup.reads_stripes && self.setup.identity.profile.swipe_fallback && !wants_chip
    }

    /// Waits for a card once more.
    fn ask_again(
        self,
        params: Box<TxnParams>,
        attempts: Attempts,
        prompt: Prompt,
        mut local: Vec<Local>,
        now: Now,
    ) -> Step {
        local.push(Local::Prompt(prompt));
        let deadline = self.patience(now);
        self.go(State::AwaitCard { params, attempts, deadline }, local)
    }

    /// A card with a chip is sent to the chip slot until its chip has failed; others pay by their stripe, where one can
    /// pay.
    fn swiped(self, params: Box<TxnParams>, attempts: Attempts, track2: Track2, now: Now) -> Step {
        let swipe = judge(&track2, attempts, self.takes_stripes());
        let only_chips = self.purpose() == Purpose::PayOffline;
        let Ok(pan) = track2.pan() else {
            return self.ask_again(params, attempts, Prompt::TryAgain, vec![], now);
        };
        if swipe == Swipe::UseChip || only_chips {
            return self.ask_again(params, attempts, Prompt::UseChip, vec![], now);
        }
        let card = CardFacts {
            token: self.setup.token_key.token(&pan),
            pan,
            expiry: track2.expiry(),
            sequence: None,
            entry_mode: EntryMode::Swipe,
            brand: String::new(),
            aid: String::new(),
            label: String::new(),
            cvm: CvmMethod::Signature,
            signature_required: true,
            chip: Vec::new(),
        };
        let then = Then::Read { track2: Some(track2), fallback: swipe == Swipe::Fallback };
        self.known(Known { card, then, stage: Stage::default() }, now)
    }
}

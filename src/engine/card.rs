//! The card of the running transaction: commands to the card thread, and what comes back as the transaction's events.
use super::Engine;
use super::cut;
use super::handle::Notice;
use super::trade::asked_nobody;
use crate::domain::outcome::{PinEntry, TxnState};
use crate::domain::txn::{Answer, CardTrouble, Event};
use crate::ports::{CardCommand, CardEvent, CardFault, PadAnswer, PadAsk};
use core::time::Duration;

impl Engine {
    /// Hands a command to the card thread; false if it does not take any.
    pub(super) fn card_command(&mut self, what: &str, make: impl FnOnce(u64) -> CardCommand) -> bool {
        let id = self.fresh_id();
        cut::boundary(&format_args!("before {what}"));
        if let Some(active) = &mut self.active {
            active.card_wait = Some(id);
        }
        (self.card)(make(id)).is_ok()
    }

    /// A command that the card thread did not take is never answered: the chip counts as unreadable.
    pub(super) fn answered_by_nobody(&mut self, sent: bool) {
        if !sent {
            tracing::warn!("the card thread takes no commands");
            self.step_txn(Event::CardFailed(CardTrouble::Reader));
        }
    }

    /// Has the reader's PIN pad ask. PC/SC part 10 counts the time in one byte.
    pub(super) fn ask_pin_pad(&mut self, longest: Duration) {
        let ask = PadAsk::plain(u8::try_from(longest.as_secs()).unwrap_or(u8::MAX));
        let sent = self.card_command("ask the PIN pad", |id| CardCommand::PresentPin { id, ask });
        self.answered_by_nobody(sent);
    }

    /// Where a PIN can be typed now: a PIN pad that is not there takes none.
    pub(super) fn pin_entry(&self) -> PinEntry {
        let has_pad = self.readers.iter().any(|reader| !reader.contactless && reader.pin_pad);
        match self.settings.pin_entry {
            PinEntry::Pinpad if !has_pad => PinEntry::Nowhere,
            entry => entry,
        }
    }

    /// An event of the card thread.
    pub(super) fn card_event(&mut self, event: CardEvent) {
        match event {
            CardEvent::Readers(readers) => self.readers_changed(readers),
            CardEvent::Inserted => {
                self.slot.card_in = true;
                self.slot.card_used = false;
                self.count_reader(0);
                self.tell(Notice::CardInserted(self.contact_reader()));
                self.offer_card();
            }
            CardEvent::Removed => self.card_removed(),
            CardEvent::Powered { id, result } if self.card_awaited(id) => {
                cut::boundary(&"powered");
                self.slot.card_used = true;
                match result {
                    Ok(_) => self.step_txn(Event::CardPowered),
                    Err(fault) => self.card_failed(&fault),
                }
            }
            CardEvent::Response { id, result } if self.card_awaited(id) => {
                cut::boundary(&"card answered");
                self.count_reader(1);
                match result {
                    Ok(response) => self.step_txn(Event::CardAnswered(response)),
                    Err(fault) => self.card_failed(&fault),
                }
            }
            CardEvent::PinPresented { id, result } if self.card_awaited(id) => {
                cut::boundary(&"PIN pad answered");
                match of_pin_pad(result) {
                    Ok(answer) => self.step_txn(Event::AgentAnswered(answer)),
                    Err(fault) => self.card_failed(&fault),
                }
            }
            CardEvent::PoweredOff { id } => self.card_let_go(id),
            // Answers to commands that nobody waits for any more.
            CardEvent::Powered { .. } | CardEvent::Response { .. } | CardEvent::PinPresented { .. } => {}
        }
    }

    fn card_awaited(&self, id: u64) -> bool {
        self.active.as_ref().is_some_and(|active| active.card_wait == Some(id))
    }

    fn card_failed(&mut self, fault: &CardFault) {
        self.count_reader(2);
        tracing::info!(%fault, "card trouble");
        if let Some(id) = self.active.as_ref().map(|active| active.txn.id().clone()) {
            self.timeline(&id, "card-trouble", &fault.to_string());
        }
        let trouble = match fault {
            CardFault::Removed | CardFault::NoCard => CardTrouble::Removed,
            CardFault::Mute | CardFault::Timeout(_) | CardFault::Broken(_) => CardTrouble::Unreadable,
            CardFault::Shared(_) | CardFault::NoReader(_) | CardFault::PinPad(_) => CardTrouble::Reader,
        };
        self.step_txn(Event::CardFailed(trouble));
    }

    fn card_removed(&mut self) {
        let early = self.active.as_ref().is_some_and(|active| {
            let unasked = asked_nobody(active.txn.state());
            !unasked && !matches!(active.txn.state(), TxnState::WaitingCard | TxnState::Resolving)
        });
        self.slot.card_in = false;
        self.slot.card_used = false;
        self.tell(Notice::CardRemoved { reader: self.contact_reader(), early });
        self.step_txn(Event::CardRemoved);
        self.cares_card_removed();
    }

    /// Offers a card that is not left over from an earlier transaction.
    pub(super) fn offer_card(&mut self) {
        let waits = self.active.as_ref().is_some_and(|active| active.txn.state() == TxnState::WaitingCard);
        if waits && self.slot.card_in && !self.slot.card_used {
            self.step_txn(Event::CardInserted);
        }
    }
}

/// What the reader's PIN pad says, as an answer to the transaction's question. A pad that does not work is no pad: the
/// card's list of methods goes on. EMV 4.4 Book 3 §10.5.1.
fn of_pin_pad(result: Result<PadAnswer, CardFault>) -> Result<Answer, CardFault> {
    match result {
        Ok(PadAnswer::Presented(status)) => Ok(Answer::PinPresented(status)),
        Ok(PadAnswer::Cancelled) => Ok(Answer::Cancelled),
        Ok(PadAnswer::TimedOut) => Ok(Answer::PinTooLate),
        Err(CardFault::PinPad(why)) => {
            tracing::warn!(why, "the PIN pad does not work");
            Ok(Answer::PinNotAvailable)
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::emv::apdu::StatusWord;

    /// Goal: each end of a PIN pad's question is an answer to the transaction's; trouble with the card stays trouble.
    #[test]
    fn what_a_pin_pad_says_answers_the_transaction() {
        let wrong = StatusWord(0x63C2);
        assert_eq!(of_pin_pad(Ok(PadAnswer::Presented(wrong))), Ok(Answer::PinPresented(wrong)));
        assert_eq!(of_pin_pad(Ok(PadAnswer::Cancelled)), Ok(Answer::Cancelled));
        assert_eq!(of_pin_pad(Ok(PadAnswer::TimedOut)), Ok(Answer::PinTooLate));
        assert_eq!(of_pin_pad(Err(CardFault::PinPad("6B80".to_owned()))), Ok(Answer::PinNotAvailable));
        assert_eq!(of_pin_pad(Err(CardFault::Removed)), Err(CardFault::Removed));
    }
}

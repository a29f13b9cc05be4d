//! Without the bank: what the card approves by itself, what the bank is told later, and the undo of what it never heard
//! of. Each ends with one record; what is to be uploaded stands in it.
//!
//! A card approves by itself with a TC in its first cryptogram, or, when no line can be had, in its second (EMV 4.4
//! Book 3 §10.8, Book 4 §6.3.6; 8A = Y1 and Y3). A sale whose card wanted a PIN for the bank is never one of them.
use super::before_bank::Read;
use super::closing::Ending;
use super::{Base, Step};
use crate::domain::emv::kernel::{CardSummary, HostAnswer, Input};
use crate::domain::outcome::{EntryType, Kind, ResultCode};
use crate::domain::record::{CardFacts, Upload, WireFacts};
use crate::domain::rules;
use crate::domain::txn::{Completed, Event, Now, Online, State, Word};
use std::sync::Arc;

impl Base {
    /// The first cryptogram is a TC.
    pub(super) fn approved_by_card(
        self,
        summary: &CardSummary,
        card: CardFacts,
        pin_asked: bool,
        now: Now,
    ) -> Step {
        let card = Arc::new(card);
        match self.offline_upload(summary).filter(|_| !pin_asked) {
            Some(upload) => self.end_stored(upload, false, card, now),
            None => self.end_unsent(Ending::declined(ResultCode::DeclinedOffline), Some(card), vec![], now),
        }
    }

    /// The upload of what the chip has approved; `None` if the chip did not say enough for it.
    pub(super) fn offline_upload(&self, summary: &CardSummary) -> Option<Upload> {
        let icc = self.setup.identity.profile.icc.upload(&summary.tags).ok()?;
        let rule = rules::rule(Kind::OfflineSale);
        let wire = self.wire(rule, &Read { icc: &icc, ..Read::CHIP });
        Some(Upload { entry_type: EntryType::OfflineSale, wire })
    }

    /// A kind that is told, not asked.
    pub(super) fn tell_later(self, card: Arc<CardFacts>, wire: WireFacts, now: Now) -> Step {
        let entry_type = match self.start.kind {
            Kind::PreAuthAdvice => EntryType::Advice,
            _ => EntryType::OfflineSale,
        };
        self.end_stored(Upload { entry_type, wire }, false, card, now)
    }

    /// No line on any attempt. The card is asked where the merchant lets it, else it has failed. `stored`: a `Sending`
    /// is durable, and its obligation disarmed.
    pub(super) fn unable(self, online: Online, stored: bool, result: ResultCode, now: Now) -> Step {
        let Online { kernel, card, .. } = online;
        let completed = Completed { card, word: Word::NoLine { stored, result } };
        match kernel.map(|kernel| kernel.step(Input::Host(HostAnswer::Unable))) {
            Some(Ok((kernel, output))) => self.completing(kernel, output, completed, now),
            Some(Err(_)) | None => self.card_lost(completed, ResultCode::CardUnreadable, vec![], now),
        }
    }

    /// `Unsent` before the card is asked: from then on nothing is owed, whatever the card says.
    pub(super) fn unsent_stored(
        self,
        online: Box<Online>,
        result: ResultCode,
        event: Event,
        now: Now,
    ) -> Step {
        match event {
            Event::Stored(_) => self.unable(*online, true, result, now),
            // It may be on the disk all the same; the outcome alone disarms too, and contradicts neither.
            Event::StoreFailed => {
                self.end_without_line(Ending::failed(result), true, online.card, vec![], now)
            }
            _ => self.stay(State::AwaitUnsentStored { online, result }),
        }
    }
}

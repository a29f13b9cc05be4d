//! What a test wishes of its world before it begins.
use super::super::super::{Event, State};
use super::super::makings::{card_on_file, original};
use super::World;
use super::chip::ChipPin;
use crate::domain::emv::tests::pin_authority;
use crate::domain::ident::AuthCode;
use crate::domain::outcome::{EntryType, PinEntry};
use crate::domain::record::EntryId;
use crate::domain::rules::Undo;
use std::sync::Arc;

impl World {
    /// The terminal may store what the chip approves by itself, and chip and terminal want the bank for nothing: the
    /// first cryptogram is a TC.
    pub(in super::super) fn lenient(self) -> Self {
        let mut world = self.unable();
        world.chip.card = world.chip.card.with(0x9F0F, "0000000000");
        for entry in &mut world.setup.emv.aids {
            (entry.tac_online, entry.floor_limit) = ([0; 5], 1_000_000);
            entry.random_threshold = 999_999;
        }
        world
    }

    /// The terminal may store what the chip approves when no line can be had.
    pub(in super::super) fn unable(self) -> Self {
        let mut world = self.with_signature();
        world.setup.may_store = true;
        world.chip.card = world.chip.card.with(0x9F0D, "0000000000");
        world.setup.emv.aids.iter_mut().for_each(|entry| entry.tac_default = [0; 5]);
        world
    }

    /// The terminal started it itself, to undo its original.
    pub(in super::super) fn linked(mut self) -> Self {
        self.start.terms.linked = true;
        self.setup.stored_card = Some(Arc::new(card_on_file()));
        self
    }

    /// The bank never heard of the original.
    pub(in super::super) fn locally(mut self) -> Self {
        let original = original().txn.unwrap();
        self.setup.undo = Undo::Local(Some(EntryId::new(original, EntryType::OfflineSale)));
        self
    }

    /// Somebody at the bank approved it by voice.
    pub(in super::super) fn by_voice(mut self) -> Self {
        self.start.terms.auth_code = Some(AuthCode::new("VOICE1").unwrap());
        self
    }

    /// The same card paid the same a moment ago.
    pub(in super::super) fn with_duplicate(mut self) -> Self {
        self.earlier = original().txn;
        self
    }

    /// Answers with issuer authentication and scripts for the chip.
    pub(in super::super) fn with_icc(mut self) -> Self {
        self.bank.icc = true;
        self
    }

    /// The caller wants the card confirmed.
    pub(in super::super) fn with_confirmation(mut self) -> Self {
        self.setup.confirm_card = true;
        self
    }

    /// The chip wants its application to be chosen.
    pub(in super::super) fn with_choice(mut self) -> Self {
        self.chip.card.priority = "81";
        self
    }

    /// The chip knows signature only.
    pub(in super::super) fn with_signature(mut self) -> Self {
        self.chip.card = self.chip.card.with(0x8E, "00000000 00000000 1E03");
        self
    }

    /// For made-up events, which neither bank nor disk know of.
    pub(in super::super) fn unjudged(mut self) -> Self {
        self.judged = false;
        self
    }

    /// Hears one more event as soon as it is in a state.
    pub(in super::super) fn with_stray(mut self, state: fn(&State) -> bool, event: Event) -> Self {
        self.stray = Some((state, event));
        self
    }

    /// The chip checks a PIN itself and will find so many wrong; the terminal can ask for it.
    pub(in super::super) fn with_offline_pin(mut self, wrong: u8) -> Self {
        self.chip.card = self.chip.card.with(0x8E, "00000000 00000000 0100");
        self.chip.pin = Some(ChipPin { left: 3, wrong });
        self.setup.emv.terminal.capabilities[1] = 0xF8;
        self
    }

    /// The same, under a key of the chip for PINs.
    pub(in super::super) fn with_enciphered_pin(self, wrong: u8) -> Self {
        let mut world = self.with_offline_pin(wrong);
        world.chip.card = world.chip.card.with_pin_key().with(0x8E, "00000000 00000000 0400");
        world.setup.emv.capks = [pin_authority()].into();
        world
    }

    /// A PIN is typed there.
    pub(in super::super) fn with_pin_entry(mut self, pin_entry: PinEntry) -> Self {
        self.setup.pin_entry = pin_entry;
        self
    }

    /// The chip has limits of consecutive offline sales, so its counters are read.
    pub(in super::super) fn with_counters(mut self) -> Self {
        self.chip.card = self.chip.card.with(0x9F14, "02").with(0x9F23, "04");
        self
    }
}

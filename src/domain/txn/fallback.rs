//! When a stripe may stand in for a chip: chips that cannot be read are counted, and a swipe is judged by the count. No
//! adapter of this version reads stripes: the terminal names another card or another way to pay after three failures.
//!
//! A service code that begins with 2 or 6 says that the card has a chip (ISO/IEC 7813): such a swipe is sent to the
//! chip slot. It is taken only after failed reads, where the acquirer allows it; DE 39 = 45 means that it does not. A
//! chip that is blocked, not accepted or that declines is a chip that was read: it opens nothing. `Spec: unverified`
use crate::domain::secret::Track2;
use crate::domain::txn::CardTrouble;

/// How often a card may be tried before the terminal gives up, and how often its chip must have failed before a stripe
/// counts. Choice: as chip terminals commonly do.
const TRIES: u8 = 3;

/// The attempts to read one card's chip, since it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    tries: u8,
    unreadable: u8,
}

/// What becomes of a swipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swipe {
    /// A card without a chip.
    Taken,
    /// A card whose chip could not be read; DE 22 and DE 60.5 say so.
    Fallback,
    /// The chip must be tried: prompt `use-chip`, result `chip-required`.
    UseChip,
}

impl Attempts {
    /// One more that led to nothing. A card that was pulled says nothing about its chip, and the reader's own trouble
    /// neither.
    #[must_use]
    pub const fn failed(self, trouble: CardTrouble) -> Self {
        let unreadable = match trouble {
            CardTrouble::Unreadable => self.unreadable.saturating_add(1),
            CardTrouble::Removed | CardTrouble::Reader => self.unreadable,
        };
        Self { tries: self.tries.saturating_add(1), unreadable }
    }

    /// True if the card is not asked for again.
    #[must_use]
    pub const fn are_over(self) -> bool {
        self.tries >= TRIES
    }

    /// True once the chip has failed so often that a stripe may stand in for it.
    #[must_use]
    pub const fn open_fallback(self) -> bool {
        self.unreadable >= TRIES
    }
}

/// Judges a swipe after these attempts. `allowed`: the acquirer takes a stripe for a chip.
#[must_use]
pub fn judge(track: &Track2, attempts: Attempts, allowed: bool) -> Swipe {
    let code = track.service_code().unwrap_or_default();
    match (code.starts_with(['2', '6']), attempts.open_fallback() && allowed) {
        (false, _) => Swipe::Taken,
        (true, true) => Swipe::Fallback,
        (true, false) => Swipe::UseChip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CardTrouble::{Reader, Removed, Unreadable};

    fn after(troubles: &[CardTrouble]) -> Attempts {
        troubles.iter().fold(Attempts::default(), |attempts, trouble| attempts.failed(*trouble))
    }

    /// Three failures of the chip open the stripe; a card that was pulled only uses up its tries.
    #[test]
    fn three_failures_of_a_chip_open_the_stripe() {
        let check = |troubles: &[CardTrouble], over, open| {
            let attempts = after(troubles);
            assert_eq!((attempts.are_over(), attempts.open_fallback()), (over, open), "{troubles:?}");
        };
        check(&[], false, false);
        check(&[Unreadable, Unreadable], false, false);
        check(&[Unreadable, Unreadable, Unreadable], true, true);
        check(&[Unreadable, Removed, Unreadable], true, false);
        check(&[Reader, Reader, Reader], true, false);
        assert!(after(&[Unreadable; 300]).open_fallback());
    }

    /// A swiped chip card goes to the slot, until its chip has failed and the acquirer allows it. Others are taken.
    #[test]
    fn a_swiped_chip_card_is_sent_to_the_slot() {
        let track = |code: &str| Track2::new(&format!("6228480000001234D2912{code}10000")).unwrap();
        let failed = after(&[Unreadable; 3]);
        for chip in ["201", "220", "601"] {
            assert_eq!(judge(&track(chip), Attempts::default(), true), Swipe::UseChip, "{chip}");
            assert_eq!(judge(&track(chip), after(&[Unreadable; 2]), true), Swipe::UseChip, "{chip}");
            assert_eq!(judge(&track(chip), failed, true), Swipe::Fallback, "{chip}");
            assert_eq!(judge(&track(chip), failed, false), Swipe::UseChip, "{chip}");
        }
        for stripe in ["101", "120", "521"] {
            assert_eq!(judge(&track(stripe), Attempts::default(), false), Swipe::Taken, "{stripe}");
        }
        let short = Track2::new("6228480000001234D2912").unwrap();
        assert_eq!(judge(&short, Attempts::default(), true), Swipe::Taken);
    }
}

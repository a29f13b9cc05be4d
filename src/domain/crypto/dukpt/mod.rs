//! Derived unique key per transaction (DUKPT): every transaction has a key of its own, and what is left in the terminal
//! afterwards leads back to none. ANSI X9.24-1:2009 annex A (TDES), ANSI X9.24-3:2017 §6 (AES).
//!
//! What both have in common stands here: a counter whose values have a limited number of one-bits, and a register for
//! each of its bits that holds the key of the next counter with that bit. It does not store anything: whoever holds a
//! [`Registers`] keeps it before the key is used.
pub mod aes;
pub mod tdes;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// How keys come from keys, and how far the counter goes.
pub trait Family {
    /// An intermediate key.
    type Key: Clone + Zeroize;
    /// Bits of the counter.
    const BITS: u32;
    /// Most one-bits of a counter that is used.
    const ONES_MAX: u32;

    /// The key of `counter` from that of the same counter without its lowest one-bit. One-way.
    fn derive(&self, key: &Self::Key, counter: u32) -> Self::Key;
}

/// The key of one transaction and the counter that names it.
pub struct Derived<F: Family> {
    /// Says which key it is.
    pub counter: u32,
    /// The key.
    pub key: Held<F>,
}

/// An intermediate key that is wiped when dropped.
pub struct Held<F: Family>(F::Key);

impl<F: Family> Held<F> {
    pub(super) const fn reveal(&self) -> &F::Key {
        &self.0
    }
}

impl<F: Family> Drop for Held<F> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The registers of a terminal. A step consumes them, so that no key is given twice.
pub struct Registers<F: Family> {
    family: F,
    counter: u32,
    /// One for each bit of the counter, lowest first.
    keys: Vec<Option<Held<F>>>,
}

/// What a step gives.
pub enum Step<F: Family> {
    /// The key of this transaction, and the registers for the next.
    Key(Derived<F>, Registers<F>),
    /// Every key has been used: the terminal needs a new initial key.
    UsedUp,
}

impl<F: Family> Registers<F> {
    /// Fills the registers from the initial key, which is not kept.
    #[must_use]
    pub fn load(family: F, initial: &F::Key) -> Self {
        let keys = (0..F::BITS).map(|bit| Some(Held(family.derive(initial, 1 << bit)))).collect();
        Self { family, counter: 1, keys }
    }

    /// The key of the next transaction. Its register is emptied, and those below it are filled from it.
    #[must_use]
    pub fn step(mut self) -> Step<F> {
        let (counter, bit) = (self.counter, self.counter.trailing_zeros());
        let Some(key) = self.register(bit).and_then(Option::take) else { return Step::UsedUp };
        if counter.count_ones() < F::ONES_MAX {
            for lower in 0..bit {
                let next = Held(self.family.derive(&key.0, counter | (1 << lower)));
                if let Some(register) = self.register(lower) {
                    *register = Some(next);
                }
            }
        }
        self.counter = successor::<F>(counter);
        Step::Key(Derived { counter, key }, self)
    }

    fn register(&mut self, bit: u32) -> Option<&mut Option<Held<F>>> {
        usize::try_from(bit).ok().and_then(|bit| self.keys.get_mut(bit))
    }
}

/// The next counter with few enough one-bits; zero when there is none.
fn successor<F: Family>(counter: u32) -> u32 {
    let mut next = counter.wrapping_add(1);
    while next.count_ones() > F::ONES_MAX {
        next = next.wrapping_add(next & next.wrapping_neg());
    }
    if F::BITS < u32::BITS && next >> F::BITS != 0 { 0 } else { next }
}

/// The key of any counter from the initial key: the receiver's side.
#[cfg(any(test, feature = "sim"))]
pub(crate) fn derive_from_initial<F: Family>(family: &F, initial: &F::Key, counter: u32) -> Held<F> {
    let bits = (0..F::BITS).rev().filter(|bit| counter & (1 << bit) != 0);
    let (_, key) = bits.fold((0, Held(initial.clone())), |(reached, key), bit| {
        let reached = reached | (1 << bit);
        (reached, Held(family.derive(&key.0, reached)))
    });
    key
}

#[cfg(test)]
impl<F: Family> Registers<F> {
    /// The registers as they are before the transaction `counter`, for tests that cannot step so far.
    pub(super) fn reached(family: F, initial: &F::Key, counter: u32) -> Self {
        let waits = |bit: u32| {
            let above = counter & !((1_u32 << bit) | ((1 << bit) - 1));
            let used = counter & (1 << bit) != 0 && bit != counter.trailing_zeros();
            let holds = !used && bit >= counter.trailing_zeros() && above.count_ones() < F::ONES_MAX;
            holds.then(|| derive_from_initial(&family, initial, above | (1 << bit)))
        };
        let keys = (0..F::BITS).map(waits).collect();
        Self { family, counter, keys }
    }
}

impl<F: Family> core::fmt::Debug for Registers<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registers").field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl<F: Family> ZeroizeOnDrop for Held<F> {}

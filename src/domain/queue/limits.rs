//! The merchant's limits on sales that the bank has not heard of, on top of what card and terminal decide:
//! `[store-and-forward]` of the configuration, checked before the card is asked.
use super::Entry;
use crate::domain::calendar::WallTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::money::Amount;
use crate::domain::outcome::EntryMode;
use core::time::Duration;

/// `[store-and-forward]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Sales are stored at all.
    pub enabled: bool,
    /// Most of one sale.
    pub max_amount: Amount,
    /// Most of all that wait.
    pub max_total: Amount,
    /// Most that wait.
    pub max_count: u32,
    /// No new one while the oldest waits longer.
    pub max_age: Duration,
    /// How the card must have been read.
    pub entry_modes: Vec<EntryMode>,
}

/// What waits: sales approved offline that the bank has neither booked nor refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Sum in minor units.
    pub amount: u64,
    /// How many.
    pub count: u32,
    /// Since when the oldest waits.
    pub oldest: Option<WallTime>,
}

impl Stored {
    /// Counts and sums the open entries of the queue.
    #[must_use]
    pub fn of(entries: &[Entry]) -> Self {
        entries.iter().filter(|entry| entry.is_stored_sale()).fold(Self::default(), |sum, entry| Self {
            amount: sum.amount.saturating_add(entry.amount.minor()),
            count: sum.count.saturating_add(1),
            oldest: sum.oldest.into_iter().chain([entry.created_at]).min(),
        })
    }
}

/// The sale that is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its amount.
    pub amount: Amount,
    /// How its card is read, once that is known.
    pub entry_mode: Option<EntryMode>,
    /// Now.
    pub at: WallTime,
    /// Without a trusted clock no age counts; offline kinds are refused for that alone.
    pub clock_trusted: bool,
}

/// The limit that stands against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// `enabled = false`.
    Disabled,
    /// `entry-modes` does not name this one.
    EntryMode(EntryMode),
    /// `max-amount`.
    Amount {
        /// Of the sale.
        value: u64,
        /// At most.
        allowed: u64,
    },
    /// `max-total`.
    Total {
        /// What would wait.
        value: u64,
        /// At most.
        allowed: u64,
    },
    /// `max-count`.
    Count {
        /// How many would wait.
        value: u32,
        /// At most.
        allowed: u32,
    },
    /// `max-age-h`.
    Age {
        /// Hours that the oldest waits.
        value: u64,
        /// At most.
        allowed: u64,
    },
}

impl Excess {
    /// The key of `[store-and-forward]`, also its word in `BlockedReasons`.
    #[must_use]
    pub const fn limit(self) -> &'static str {
        match self {
            Self::Disabled => "enabled",
            Self::EntryMode(_) => "entry-modes",
            Self::Amount { .. } => "max-amount",
            Self::Total { .. } => "max-total",
            Self::Count { .. } => "max-count",
            Self::Age { .. } => "max-age-h",
        }
    }

    /// The refusal: which limit, the value and what is allowed.
    #[must_use]
    pub fn fault(self) -> Fault {
        let limit = self.limit();
        let text = match self {
            Self::Disabled => {
                let text = "[store-and-forward] enabled is false; ask the bank, or switch it on";
                return Fault::new(FaultName::FunctionDisabled, text);
            }
            Self::EntryMode(mode) => format!("{limit}: a card read by {mode} is not stored; use the chip"),
            Self::Amount { value, allowed } => {
                format!("{limit}: {value} minor units, {allowed} are allowed for one offline sale")
            }
            Self::Total { value, allowed } => {
                format!("{limit}: {value} minor units would wait, {allowed} may; flush the queue first")
            }
            Self::Count { value, allowed } => {
                format!("{limit}: {value} offline sales would wait, {allowed} may; flush the queue first")
            }
            Self::Age { value, allowed } => {
                format!("{limit}: the oldest waits {value} h, {allowed} h are allowed; flush the queue first")
            }
        };
        Fault::new(FaultName::LimitExceeded, text)
    }
}

/// May this sale be stored beside what waits already? The first limit that stands against it, if any.
#[must_use]
pub fn excess(rules: &Rules, stored: Stored, wanted: Wanted) -> Option<Excess> {
    if !rules.enabled {
        return Some(Excess::Disabled);
    }
    if let Some(mode) = wanted.entry_mode.filter(|mode| !rules.entry_modes.contains(mode)) {
        return Some(Excess::EntryMode(mode));
    }
    let (amount, most) = (wanted.amount.minor(), rules.max_amount.minor());
    if amount > most {
        return Some(Excess::Amount { value: amount, allowed: most });
    }
    let (total, most) = (stored.amount.saturating_add(amount), rules.max_total.minor());
    if total > most {
        return Some(Excess::Total { value: total, allowed: most });
    }
    let count = stored.count.saturating_add(1);
    if count > rules.max_count {
        return Some(Excess::Count { value: count, allowed: rules.max_count });
    }
    let waits = |since: WallTime| Duration::from_micros(wanted.at.0.saturating_sub(since.0));
    let oldest = stored.oldest.filter(|_| wanted.clock_trusted).map(waits).unwrap_or_default();
    let hours = |time: Duration| time.as_secs() / 3600;
    (oldest > rules.max_age).then(|| Excess::Age { value: hours(oldest), allowed: hours(rules.max_age) })
}

/// What may still be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadRoom {
    /// Below `max-total`, minor units.
    pub amount: u64,
    /// Below `max-count`.
    pub count: u32,
}

/// Head-room below the totals; none while storing is switched off.
#[must_use]
pub const fn head_room(rules: &Rules, stored: Stored) -> HeadRoom {
    if !rules.enabled {
        return HeadRoom { amount: 0, count: 0 };
    }
    HeadRoom {
        amount: rules.max_total.minor().saturating_sub(stored.amount),
        count: rules.max_count.saturating_sub(stored.count),
    }
}

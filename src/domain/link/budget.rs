//! How many bytes a metered link has carried this month, and whether there is room for what need not be.
//!
//! The counters of an interface begin again at zero when it comes up anew; what was counted before stays counted.

/// Bytes of one link in one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Which month, as the caller counts them.
    month: u32,
    /// Counted in it.
    bytes: u64,
    /// The counter of the interface when it was last read.
    last: Option<u64>,
}

impl Usage {
    /// A counter was read. Its first reading counts nothing: what was before is not this program's to judge.
    #[must_use]
    pub fn read(self, counter: Option<u64>, month: u32) -> Self {
        let more = match (self.last, counter) {
            // It went back: the interface is new, and everything on it came since.
            (Some(last), Some(now)) => now.checked_sub(last).unwrap_or(now),
            (None, _) | (_, None) => 0,
        };
        let before = if month == self.month { self.bytes } else { 0 };
        Self { month, bytes: before.saturating_add(more), last: counter.or(self.last) }
    }

    /// Bytes of the month.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// There is room below the limit; 0 = no limit.
    #[must_use]
    pub const fn fits(self, limit: u64) -> bool {
        limit == 0 || self.bytes < limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_lives() -> impl Strategy<Value = Vec<Vec<u32>>> {
        prop::collection::vec(prop::collection::vec(0_u32..1000, 1..5), 1..6)
    }

    proptest! {
        /// Goal: however often an interface comes up anew, no byte is forgotten and none counted twice.
        #[test]
        fn counters_that_begin_anew_lose_nothing(lives in any_lives()) {
            let mut usage = Usage::default().read(Some(0), 1);
            let mut sum = 0_u64;
            for life in lives {
                let mut counter = 0_u64;
                for more in life {
                    counter += u64::from(more);
                    sum += u64::from(more);
                    usage = usage.read(Some(counter), 1).read(None, 1);
                }
                // A new life whose counter has not passed the old one's is seen at its beginning.
                usage = usage.read(Some(0), 1);
            }
            prop_assert_eq!(usage.bytes(), sum);
        }
    }

    /// Goal: the limit counts within a month only, and no limit is none.
    #[test]
    fn a_new_month_begins_at_zero() {
        let usage = Usage::default().read(Some(100), 1).read(Some(600), 1);
        assert_eq!(usage.bytes(), 500);
        assert!(!usage.fits(500) && usage.fits(501) && usage.fits(0));
        assert_eq!(usage.read(Some(700), 2).bytes(), 100);
    }
}

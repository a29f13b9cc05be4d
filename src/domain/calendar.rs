//! Points in time as plain data. The domain never asks what time it is; the engine tells it.
use core::fmt;
use core::time::Duration;

/// Microseconds of CLOCK_BOOTTIME: for deadlines within one boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub u64);

impl BootTime {
    /// This point plus a duration, saturating.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to this point; zero if it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Microseconds since 1970-01-01T00:00:00Z on the wall clock, corrected by the offset taken at sign-on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

/// A wall time broken down in the terminal's own time zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalTime {
    /// Four-digit year.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

impl LocalTime {
    /// `YYMMDD` in binary-coded decimal: EMV tag 9A. EMV 4.4 Book 3 Annex A.
    #[must_use]
    pub fn yymmdd_bcd(self) -> [u8; 3] {
        #[allow(clippy::cast_possible_truncation, reason = "below 100")]
        [bcd((self.year % 100) as u8), bcd(self.month), bcd(self.day)]
    }

    /// `hhmmss` in binary-coded decimal: EMV tag 9F21. EMV 4.4 Book 3 Annex A.
    #[must_use]
    pub fn hhmmss_bcd(self) -> [u8; 3] {
        [bcd(self.hour), bcd(self.minute), bcd(self.second)]
    }

    /// True if both are of the same day.
    #[must_use]
    pub fn same_day(self, other: Self) -> bool {
        (self.year, self.month, self.day) == (other.year, other.month, other.day)
    }

    /// How long this day still lasts, if its clocks are not changed until then.
    #[must_use]
    pub fn until_midnight(self) -> Duration {
        let part = |value: u8, seconds: u64| u64::from(value).saturating_mul(seconds);
        let passed = [part(self.hour, 3_600), part(self.minute, 60), part(self.second, 1)];
        let passed = passed.into_iter().fold(0, u64::saturating_add);
        Duration::from_secs(86_400_u64.saturating_sub(passed))
    }

    /// `MMDD` as text: DE 13, DE 61.3.
    #[must_use]
    pub fn mmdd(self) -> String {
        format!("{:02}{:02}", self.month, self.day)
    }
}

impl fmt::Display for LocalTime {
    /// `2026/11/22 09:30:00`, the form on receipts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

const fn bcd(value: u8) -> u8 {
    ((value / 10 % 10) << 4) | (value % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_time_has_the_forms_of_cards_messages_and_paper() {
        let t = LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7 };
        assert_eq!(t.yymmdd_bcd(), [0x26, 0x11, 0x22]);
        assert_eq!(t.hhmmss_bcd(), [0x09, 0x05, 0x07]);
        assert_eq!(t.mmdd(), "1122");
        assert_eq!(t.to_string(), "2026/11/22 09:05:07");
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let t = LocalTime { year: 2026, month: 12, day: 31, hour: 23, minute: 59, second: 58 };
        assert_eq!(t.until_midnight(), Duration::from_secs(2));
        assert_eq!(LocalTime { second: 60, ..t }.until_midnight(), Duration::ZERO, "a leap second");
        assert_eq!(LocalTime { hour: 0, minute: 0, second: 0, ..t }.until_midnight().as_secs(), 86_400);
        assert!(t.same_day(LocalTime { hour: 0, ..t }));
        for other in [LocalTime { day: 30, ..t }, LocalTime { month: 1, ..t }, LocalTime { year: 2027, ..t }]
        {
            assert!(!t.same_day(other), "{other}");
        }
    }
}

//! Columns to values and back. Everything read is checked: a value that does not fit is an error that names
//! its table and column, never a default.
use crate::domain::calendar::{LocalTime, WallTime};
use crate::domain::ident::IdentError;
use crate::domain::money::Amount;
use crate::ports::JournalError;
use rusqlite::Row;
use rusqlite::types::{FromSql, Type, ValueRef};

/// One row of one table.
pub(super) struct Columns<'r> {
    table: &'static str,
    row: &'r Row<'r>,
}

impl<'r> Columns<'r> {
    pub(super) const fn new(table: &'static str, row: &'r Row<'r>) -> Self {
        Self { table, row }
    }

    /// The error for a column whose value is not one of ours.
    pub(super) fn bad(&self, column: &str) -> JournalError {
        JournalError::Unusable(format!("{}.{column} holds a value that is not allowed there", self.table))
    }

    /// A value as SQLite has it; NULL is `None` for an `Option`.
    pub(super) fn get<T: FromSql>(&self, column: &str) -> Result<T, JournalError> {
        self.row.get(column).map_err(|_| self.bad(column))
    }

    pub(super) fn is_null(&self, column: &str) -> Result<bool, JournalError> {
        let value = self.row.get_ref(column).map_err(|_| self.bad(column))?;
        Ok(value.data_type() == Type::Null && value == ValueRef::Null)
    }

    pub(super) fn text(&self, column: &str) -> Result<String, JournalError> {
        self.get(column)
    }

    /// A whole number that fits the type asked for.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T, JournalError> {
        T::try_from(self.get::<i64>(column)?).map_err(|_| self.bad(column))
    }

    /// 0 or 1.
    pub(super) fn flag(&self, column: &str) -> Result<bool, JournalError> {
        match self.get::<i64>(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.bad(column)),
        }
    }

    pub(super) fn time(&self, column: &str) -> Result<WallTime, JournalError> {
        self.number(column).map(WallTime)
    }

    pub(super) fn amount(&self, column: &str) -> Result<Amount, JournalError> {
        Amount::from_minor(self.number(column)?).map_err(|_| self.bad(column))
    }

    /// A word or other text with a closed set of values.
    pub(super) fn word<T>(&self, column: &str, read: fn(&str) -> Option<T>) -> Result<T, JournalError> {
        read(&self.text(column)?).ok_or_else(|| self.bad(column))
    }

    /// The same where the column may be NULL.
    pub(super) fn word_or_null<T>(
        &self,
        column: &str,
        read: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, JournalError> {
        self.get::<Option<String>>(column)?
            .map(|text| read(&text).ok_or_else(|| self.bad(column)))
            .transpose()
    }

    /// A time where the column may be NULL.
    pub(super) fn time_or_null(&self, column: &str) -> Result<Option<WallTime>, JournalError> {
        if self.is_null(column)? { Ok(None) } else { self.time(column).map(Some) }
    }

    /// A text that identifies something.
    pub(super) fn ident<T>(
        &self,
        column: &str,
        read: fn(&str) -> Result<T, IdentError>,
    ) -> Result<T, JournalError> {
        read(&self.text(column)?).map_err(|_| self.bad(column))
    }

    /// The same where the column may be NULL.
    pub(super) fn ident_or_null<T>(
        &self,
        column: &str,
        read: fn(&str) -> Result<T, IdentError>,
    ) -> Result<Option<T>, JournalError> {
        self.get::<Option<String>>(column)?.map(|text| read(&text).map_err(|_| self.bad(column))).transpose()
    }

    /// A number that identifies something.
    pub(super) fn number_ident<T>(
        &self,
        column: &str,
        read: fn(u32) -> Result<T, IdentError>,
    ) -> Result<T, JournalError> {
        read(self.number(column)?).map_err(|_| self.bad(column))
    }

    /// The same where the column may be NULL.
    pub(super) fn number_ident_or_null<T>(
        &self,
        column: &str,
        read: fn(u32) -> Result<T, IdentError>,
    ) -> Result<Option<T>, JournalError> {
        if self.is_null(column)? { Ok(None) } else { self.number_ident(column, read).map(Some) }
    }

    /// Exactly `N` bytes.
    pub(super) fn bytes<const N: usize>(&self, column: &str) -> Result<[u8; N], JournalError> {
        self.get::<Vec<u8>>(column)?.try_into().map_err(|_| self.bad(column))
    }

    /// A JSON list of pairs.
    pub(super) fn pairs(&self, column: &str) -> Result<Vec<(String, String)>, JournalError> {
        serde_json::from_str(&self.text(column)?).map_err(|_| self.bad(column))
    }

    /// `YYYYMMDDhhmmss`, or NULL.
    pub(super) fn local_time(&self, column: &str) -> Result<Option<LocalTime>, JournalError> {
        self.get::<Option<String>>(column)?
            .map(|text| parse_local(&text).ok_or_else(|| self.bad(column)))
            .transpose()
    }
}

/// A time as stored. Refused beyond the year 294_246, where SQLite's integers end.
pub(super) fn time(at: WallTime) -> Result<i64, JournalError> {
    i64::try_from(at.0).map_err(|_| JournalError::Fault("a time does not fit the journal".to_owned()))
}

/// An amount as stored; its 12 digits always fit.
pub(super) fn amount(amount: Amount) -> i64 {
    i64::try_from(amount.minor()).unwrap_or(i64::MAX)
}

/// A list of pairs as stored.
pub(super) fn pairs(pairs: &[(String, String)]) -> Result<String, JournalError> {
    serde_json::to_string(pairs).map_err(|e| JournalError::Fault(e.to_string()))
}

/// A local time as stored.
pub(super) fn local(t: LocalTime) -> String {
    let LocalTime { year, month, day, hour, minute, second } = t;
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

fn parse_local(text: &str) -> Option<LocalTime> {
    if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize| text.get(from..from.checked_add(2)?)?.parse::<u8>().ok();
    Some(LocalTime {
        year: text.get(..4)?.parse().ok()?,
        month: part(4).filter(|m| (1..=12).contains(m))?,
        day: part(6).filter(|d| (1..=31).contains(d))?,
        hour: part(8).filter(|h| *h <= 23)?,
        minute: part(10).filter(|m| *m <= 59)?,
        second: part(12).filter(|s| *s <= 60)?,
    })
}

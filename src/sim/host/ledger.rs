//! What the acquirer holds: one row for each (terminal, batch, STAN), and the file that survives it.
//!
//! The judge of the conservation tests, so its rules are few: a STAN books at most once, a reversal undoes
//! what is booked, and a request that comes after its own reversal is refused (or booked, for a host of the
//! other kind). It holds no card number, only the masked form.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a row did to the cardholder's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The money is booked.
    Held,
    /// It was booked and given back.
    Reversed,
    /// Refused, nothing was booked.
    Declined,
    /// Only a reversal came; nothing was booked.
    NotFound,
}

/// Names one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// DE 41.
    pub terminal: String,
    /// DE 60.2.
    pub batch: u32,
    /// DE 11.
    pub stan: u32,
}

/// One financial message and its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// DE 41.
    pub terminal: String,
    /// DE 60.2.
    pub batch: u32,
    /// DE 11.
    pub stan: u32,
    /// DE 4 in minor units.
    pub amount: u64,
    /// What it did.
    pub state: Effect,
    /// DE 39 of the first answer to the request; of the reversal, where no request came.
    pub response_code: String,
    /// DE 37.
    pub rrn: String,
    /// DE 38; empty where it was refused.
    pub auth_code: String,
    /// First six and last four digits; empty where only a reversal came.
    pub pan: String,
    /// How often the request came.
    pub requests_seen: u32,
    /// How often its reversal came.
    pub reversals_seen: u32,
    /// True if it was booked although its reversal had come before.
    pub booked_late: bool,
    /// DE 3, 22, 25, 49 and 60 of the request, which a reversal must repeat.
    pub repeats: BTreeMap<u8, String>,
}

impl Row {
    fn key(&self) -> Key {
        Key { terminal: self.terminal.clone(), batch: self.batch, stan: self.stan }
    }
}

/// How a request stands to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of this number has come.
    New,
    /// The number was used in this batch.
    Repeated,
    /// Its reversal came first.
    AfterReversal,
}

/// What a reversal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reversal {
    /// The money went back now.
    Done,
    /// There was nothing to give back: reversed before, or the request had been refused.
    NothingHeld,
    /// No such request.
    NotFound,
}

/// All rows, in memory and on disk.
#[derive(Debug)]
pub struct Ledger {
    rows: BTreeMap<Key, Row>,
    file: Option<PathBuf>,
}

impl Ledger {
    /// Opens the ledger; a file that exists is read, so that a restarted acquirer still knows its books.
    ///
    /// # Errors
    /// The file cannot be read or is not a ledger.
    pub fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let rows = match file.as_deref().map(fs::read) {
            None => Vec::new(),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Some(bytes) => serde_json::from_slice::<Vec<Row>>(&bytes?)?,
        };
        Ok(Self { rows: rows.into_iter().map(|row| (row.key(), row)).collect(), file })
    }

    /// All rows, ordered by terminal, batch and STAN.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.rows.values().cloned().collect()
    }

    /// The row of a number.
    #[must_use]
    pub fn row(&self, key: &Key) -> Option<&Row> {
        self.rows.get(key)
    }

    /// Minor units held in all, and in how many rows.
    #[must_use]
    pub fn held(&self) -> (u64, usize) {
        let held = self.rows.values().filter(|row| row.state == Effect::Held);
        held.fold((0, 0), |(sum, count), row| (sum.saturating_add(row.amount), count.saturating_add(1)))
    }

    /// Begins new books.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn clear(&mut self) -> io::Result<()> {
        self.rows.clear();
        self.save()
    }

    /// How a request with this number stands.
    #[must_use]
    pub fn standing(&self, key: &Key) -> Standing {
        match self.rows.get(key) {
            None => Standing::New,
            Some(row) if row.requests_seen == 0 => Standing::AfterReversal,
            Some(_) => Standing::Repeated,
        }
    }

    /// Writes the first request of a number down. Durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn enter(&mut self, mut row: Row) -> io::Result<()> {
        let earlier = self.rows.get(&row.key());
        if let Some(earlier) = earlier.filter(|earlier| earlier.requests_seen > 0) {
            // The caller looks at the standing first; the books stay right even if it did not.
            row = earlier.clone();
            row.requests_seen = row.requests_seen.saturating_add(1);
        } else {
            row.requests_seen = 1;
            row.reversals_seen = earlier.map_or(0, |earlier| earlier.reversals_seen);
            row.booked_late = row.reversals_seen > 0 && row.state == Effect::Held;
        }
        self.rows.insert(row.key(), row);
        self.save()
    }

    /// Counts a repeated request. Durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn repeat(&mut self, key: &Key) -> io::Result<()> {
        if let Some(row) = self.rows.get_mut(key) {
            row.requests_seen = row.requests_seen.saturating_add(1);
        }
        self.save()
    }

    /// Applies a reversal. `amount` and `rrn` are kept only where no request is known. Durable when it
    /// returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn reverse(&mut self, key: &Key, amount: u64, rrn: &str) -> io::Result<Reversal> {
        let done = match self.rows.get_mut(key) {
            Some(row) => {
                row.reversals_seen = row.reversals_seen.saturating_add(1);
                match row.state {
                    Effect::Held => {
                        row.state = Effect::Reversed;
                        Reversal::Done
                    }
                    Effect::Reversed | Effect::Declined => Reversal::NothingHeld,
                    Effect::NotFound => Reversal::NotFound,
                }
            }
            None => {
                let row = Row {
                    terminal: key.terminal.clone(),
                    batch: key.batch,
                    stan: key.stan,
                    amount,
                    state: Effect::NotFound,
                    response_code: "25".to_owned(),
                    rrn: rrn.to_owned(),
                    auth_code: String::new(),
                    pan: String::new(),
                    requests_seen: 0,
                    reversals_seen: 1,
                    booked_late: false,
                    repeats: BTreeMap::new(),
                };
                self.rows.insert(key.clone(), row);
                Reversal::NotFound
            }
        };
        self.save().map(|()| done)
    }

    /// Writes a new file beside the old one and renames it over: a reader sees the old or the new books,
    /// never half.
    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut aside = file.clone().into_os_string();
        aside.push(".new");
        let mut out = File::create(&aside)?;
        serde_json::to_writer_pretty(&mut out, &self.rows())?;
        out.write_all(b"\n")?;
        out.sync_all()?;
        fs::rename(&aside, file)?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(stan: u32) -> Key {
        Key { terminal: "10000001".to_owned(), batch: 1, stan }
    }

    fn sale(stan: u32, state: Effect) -> Row {
        Row {
            terminal: "10000001".to_owned(),
            batch: 1,
            stan,
            amount: 1250,
            state,
            response_code: if state == Effect::Held { "00" } else { "51" }.to_owned(),
            rrn: "093105000002".to_owned(),
            auth_code: "A12345".to_owned(),
            pan: "622588******5678".to_owned(),
            requests_seen: 0,
            reversals_seen: 0,
            booked_late: false,
            repeats: BTreeMap::from([(3, "000000".to_owned())]),
        }
    }

    #[test]
    fn a_number_books_once_and_is_reversed_once() {
        let mut ledger = Ledger::open(None).unwrap();
        assert_eq!(ledger.standing(&key(2)), Standing::New);
        ledger.enter(sale(2, Effect::Held)).unwrap();
        assert_eq!(ledger.standing(&key(2)), Standing::Repeated);
        ledger.enter(sale(2, Effect::Held)).unwrap();
        ledger.repeat(&key(2)).unwrap();
        assert_eq!(ledger.held(), (1250, 1));
        assert_eq!(ledger.row(&key(2)).unwrap().requests_seen, 3);
        assert_eq!(ledger.reverse(&key(2), 1250, "").unwrap(), Reversal::Done);
        assert_eq!(ledger.reverse(&key(2), 1250, "").unwrap(), Reversal::NothingHeld);
        let row = ledger.row(&key(2)).unwrap();
        assert_eq!((row.state, row.reversals_seen), (Effect::Reversed, 2));
        assert_eq!(ledger.held(), (0, 0));
    }

    #[test]
    fn a_reversal_of_a_refused_request_has_nothing_to_give_back() {
        let mut ledger = Ledger::open(None).unwrap();
        ledger.enter(sale(2, Effect::Declined)).unwrap();
        assert_eq!(ledger.reverse(&key(2), 1250, "").unwrap(), Reversal::NothingHeld);
        assert_eq!(ledger.row(&key(2)).unwrap().state, Effect::Declined);
    }

    /// The two kinds of host of the late request: one refuses, the other books, and its row says so.
    #[test]
    fn a_request_after_its_reversal_stands_apart() {
        let mut ledger = Ledger::open(None).unwrap();
        assert_eq!(ledger.reverse(&key(2), 1250, "r").unwrap(), Reversal::NotFound);
        assert_eq!(ledger.reverse(&key(2), 1250, "r").unwrap(), Reversal::NotFound);
        assert_eq!(ledger.standing(&key(2)), Standing::AfterReversal);
        ledger.enter(sale(2, Effect::Held)).unwrap();
        let row = ledger.row(&key(2)).unwrap().clone();
        assert_eq!((row.state, row.booked_late, row.reversals_seen), (Effect::Held, true, 2));
        assert_eq!(ledger.reverse(&key(2), 1250, "r").unwrap(), Reversal::Done);
    }

    #[test]
    fn the_books_are_found_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.json");
        let mut ledger = Ledger::open(Some(file.clone())).unwrap();
        ledger.enter(sale(2, Effect::Held)).unwrap();
        ledger.enter(sale(3, Effect::Declined)).unwrap();
        ledger.reverse(&key(9), 5, "r").unwrap();
        let again = Ledger::open(Some(file.clone())).unwrap();
        assert_eq!(again.rows(), ledger.rows());
        fs::write(&file, b"{").unwrap();
        assert!(Ledger::open(Some(file)).is_err());
    }
}

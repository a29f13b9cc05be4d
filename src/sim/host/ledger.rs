//! What the acquirer holds: one row for each (terminal, batch, STAN), what was settled of each batch, and the file that
//! survives it.
//!
//! The judge of the conservation tests, so its rules are few: a STAN books at most once, a reversal undoes
//! what is booked, and a request that comes after its own reversal is refused (or booked, for a host of the
//! other kind). The books only add up: each row says what it takes and reserves while it is held, so that a reversed
//! void leaves its sale standing. It holds no card number, only the masked form and a keyed hash.
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::batches::Batch;
use super::business::Business;

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It is booked.
    Held,
    /// It was booked and undone.
    Reversed,
    /// Refused, nothing was booked.
    Declined,
    /// Only a reversal came; nothing was booked.
    NotFound,
    /// Answered with approval; there is no money in it: a balance inquiry, a script result.
    Noted,
}

/// Names one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// What was asked for.
    pub business: Business,
    /// DE 4 in minor units, as asked for.
    pub amount: u64,
    /// What was approved of it; less only after a partial approval.
    pub booked: u64,
    /// Minor units that this row takes from the cardholder while it is held; negative: gives back.
    pub takes: i64,
    /// Minor units that this row sets aside on the account while it is held; negative: sets free.
    pub reserves: i64,
    /// Where it stands.
    pub state: Effect,
    /// DE 39 of the first answer to the request; of the reversal, where no request came.
    pub response_code: String,
    /// DE 37.
    pub rrn: String,
    /// DE 38; empty where it was refused.
    pub auth_code: String,
    /// DE 13 of the answer.
    pub date: String,
    /// First six and last four digits; empty where only a reversal came.
    pub pan: String,
    /// Keyed hash of the card number.
    pub card: String,
    /// Settled as a foreign card.
    pub foreign: bool,
    /// What it undoes, completes or refunds.
    pub original: Option<Key>,
    /// How often the request came.
    pub requests_seen: u32,
    /// How often its reversal came.
    pub reversals_seen: u32,
    /// True if it was booked although its reversal had come before.
    pub booked_late: bool,
    /// DE 3, 22, 25, 42, 49 and 60 of the request, which a reversal must repeat.
    pub repeats: BTreeMap<u8, String>,
}

impl Row {
    /// A row that books nothing.
    #[must_use]
    pub fn new(key: Key, business: Business, amount: u64) -> Self {
        Self {
            terminal: key.terminal,
            batch: key.batch,
            stan: key.stan,
            business,
            amount,
            booked: 0,
            takes: 0,
            reserves: 0,
            state: Effect::Declined,
            response_code: String::new(),
            rrn: String::new(),
            auth_code: String::new(),
            date: String::new(),
            pan: String::new(),
            card: String::new(),
            foreign: false,
            original: None,
            requests_seen: 0,
            reversals_seen: 0,
            booked_late: false,
            repeats: BTreeMap::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { terminal: self.terminal.clone(), batch: self.batch, stan: self.stan }
    }

    /// What it took from the cardholder, in minor units; negative: gave back; zero unless held.
    #[must_use]
    pub fn net(&self) -> i64 {
        if self.state == Effect::Held { self.takes } else { 0 }
    }

    /// What it set aside; zero unless held.
    #[must_use]
    pub fn reserved(&self) -> i64 {
        if self.state == Effect::Held { self.reserves } else { 0 }
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

/// All books, in memory and on disk.
#[derive(Debug)]
pub struct Ledger {
    rows: BTreeMap<Key, Row>,
    batches: BTreeMap<(String, u32), Batch>,
    file: Option<PathBuf>,
}

/// The form of the file.
#[derive(Default, Serialize, Deserialize)]
struct Books {
    rows: Vec<Row>,
    batches: Vec<Batch>,
}

impl Ledger {
    /// Opens the ledger; a file that exists is read, so that a restarted acquirer still knows its books.
    ///
    /// # Errors
    /// The file cannot be read or is not a ledger.
    pub fn open(file: Option<PathBuf>) -> io::Result<Self> {
        let books = match file.as_deref().map(fs::read) {
            None => Books::default(),
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Books::default(),
            Some(bytes) => serde_json::from_slice(&bytes?)?,
        };
        let rows = books.rows.into_iter().map(|row| (row.key(), row)).collect();
        let batches = books.batches.into_iter().map(|batch| (batch.name(), batch)).collect();
        Ok(Self { rows, batches, file })
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

    /// The newest held row that fits; numbers come round again, the newest counts.
    pub fn find(&self, fits: impl Fn(&Row) -> bool) -> Option<&Row> {
        self.rows.values().rev().find(|row| row.state == Effect::Held && fits(row))
    }

    /// The held rows that undo, complete or refund this one.
    pub fn followers<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Row> {
        let follows = move |row: &&Row| row.state == Effect::Held && row.original.as_ref() == Some(key);
        self.rows.values().filter(follows)
    }

    /// Minor units that cardholders are without, taken or set aside, and in how many held rows that move money.
    #[must_use]
    pub fn held(&self) -> (i64, usize) {
        let moves = |row: &&Row| row.state == Effect::Held && (row.takes != 0 || row.reserves != 0);
        self.rows.values().filter(moves).fold((0, 0), |(sum, count), row| {
            let moved = row.takes.saturating_add(row.reserves);
            (i64::saturating_add(sum, moved), usize::saturating_add(count, 1))
        })
    }

    /// What was settled of each batch.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch> {
        self.batches.values().cloned().collect()
    }

    /// What was settled of one batch.
    #[must_use]
    pub fn batch(&self, terminal: &str, number: u32) -> Option<&Batch> {
        self.batches.get(&(terminal.to_owned(), number))
    }

    /// Writes down what is settled of a batch. Durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn settle(&mut self, batch: Batch) -> io::Result<()> {
        self.batches.insert(batch.name(), batch);
        self.save()
    }

    /// Begins new books.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn clear(&mut self) -> io::Result<()> {
        self.rows.clear();
        self.batches.clear();
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

    /// Applies a reversal. `unknown` is entered where no request is known. Durable when it returns.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn reverse(&mut self, key: &Key, unknown: Row) -> io::Result<Reversal> {
        let done = match self.rows.get_mut(key) {
            Some(row) => {
                row.reversals_seen = row.reversals_seen.saturating_add(1);
                match row.state {
                    Effect::Held => {
                        row.state = Effect::Reversed;
                        Reversal::Done
                    }
                    Effect::Reversed | Effect::Declined | Effect::Noted => Reversal::NothingHeld,
                    Effect::NotFound => Reversal::NotFound,
                }
            }
            None => {
                let row = Row { state: Effect::NotFound, reversals_seen: 1, ..unknown };
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
        serde_json::to_writer_pretty(&mut out, &Books { rows: self.rows(), batches: self.batches() })?;
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
            booked: 1250,
            takes: 1250,
            state,
            response_code: if state == Effect::Held { "00" } else { "51" }.to_owned(),
            pan: "622588******5678".to_owned(),
            repeats: BTreeMap::from([(3, "000000".to_owned())]),
            ..Row::new(key(stan), Business::Sale, 1250)
        }
    }

    fn reverse(ledger: &mut Ledger, stan: u32) -> Reversal {
        ledger.reverse(&key(stan), Row::new(key(stan), Business::Sale, 1250)).unwrap()
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
        assert_eq!(reverse(&mut ledger, 2), Reversal::Done);
        assert_eq!(reverse(&mut ledger, 2), Reversal::NothingHeld);
        let row = ledger.row(&key(2)).unwrap();
        assert_eq!((row.state, row.reversals_seen), (Effect::Reversed, 2));
        assert_eq!(ledger.held(), (0, 0));
    }

    #[test]
    fn a_reversal_of_a_refused_request_has_nothing_to_give_back() {
        let mut ledger = Ledger::open(None).unwrap();
        ledger.enter(sale(2, Effect::Declined)).unwrap();
        assert_eq!(reverse(&mut ledger, 2), Reversal::NothingHeld);
        assert_eq!(ledger.row(&key(2)).unwrap().state, Effect::Declined);
    }

    /// The two kinds of host of the late request: one refuses, the other books, and its row says so.
    #[test]
    fn a_request_after_its_reversal_stands_apart() {
        let mut ledger = Ledger::open(None).unwrap();
        assert_eq!(reverse(&mut ledger, 2), Reversal::NotFound);
        assert_eq!(reverse(&mut ledger, 2), Reversal::NotFound);
        assert_eq!(ledger.standing(&key(2)), Standing::AfterReversal);
        ledger.enter(sale(2, Effect::Held)).unwrap();
        let row = ledger.row(&key(2)).unwrap().clone();
        assert_eq!((row.state, row.booked_late, row.reversals_seen), (Effect::Held, true, 2));
        assert_eq!(reverse(&mut ledger, 2), Reversal::Done);
    }

    #[test]
    fn the_books_are_found_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.json");
        let mut ledger = Ledger::open(Some(file.clone())).unwrap();
        ledger.enter(sale(2, Effect::Held)).unwrap();
        ledger.enter(sale(3, Effect::Declined)).unwrap();
        reverse(&mut ledger, 9);
        let again = Ledger::open(Some(file.clone())).unwrap();
        assert_eq!(again.rows(), ledger.rows());
        fs::write(&file, b"{").unwrap();
        assert!(Ledger::open(Some(file)).is_err());
    }

    /// The books only add up: a void takes its sale away, and the reversal of the void puts it back.
    #[test]
    fn a_reversed_void_leaves_its_sale_standing() {
        let mut ledger = Ledger::open(None).unwrap();
        ledger.enter(sale(2, Effect::Held)).unwrap();
        let void =
            Row { takes: -1250, original: Some(key(2)), business: Business::Void, ..sale(3, Effect::Held) };
        ledger.enter(void).unwrap();
        assert_eq!((ledger.held(), ledger.followers(&key(2)).count()), ((0, 2), 1));
        assert_eq!(reverse(&mut ledger, 3), Reversal::Done);
        assert_eq!((ledger.held(), ledger.followers(&key(2)).count()), ((1250, 1), 0));
    }
}

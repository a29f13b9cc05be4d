//! What SQLite adds to the disk: one full commit of the record that goes before the first byte of a sale, against a
//! plain write of as many bytes with `fdatasync`, turn by turn on the same disk.
//!
//! The plain file is written as the journal's write-ahead log is: on and on at its end, and from the start again
//! where the log does so. The commits that also checkpoint (about one in a hundred) are not left out; the medians do
//! not notice them. The journal runs in this program here, so the ratio is the daemon's only where this program is as
//! optimised as the daemon.
use super::median;
use crate::domain::calendar::WallTime;
use crate::domain::ident::{MerchantId, OperatorId, RequestId, TerminalId, TxnId};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{CvmMethod, EntryMode, Kind, Outcome, ResultCode};
use crate::domain::record::{CardFacts, Closed, HostFacts, Record, Sending, Terms, TxnStart, WireFacts};
use crate::domain::secret::Pan;
use crate::ports::{Durability, Journal, JournalError};
use std::fs::{self, File};
use std::io::{Error, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Opens the journal under test in a folder of its own. The program that starts the measurement hands it in, because
/// simulators do not name adapters.
pub type OpenJournal = fn(&Path, WallTime) -> Result<Box<dyn Journal>, JournalError>;

/// Pairs of a commit and a plain write.
const PAIRS: u32 = 400;
/// First commits, alone: they tell how many bytes one writes.
const WARM_UP: u32 = 20;
/// Journal time of the first record, µs since 1970.
const NOON: u64 = 1_795_000_000_000_000;

/// What was measured.
pub(super) struct Commits {
    /// Bytes that one commit appends to the log, median.
    pub(super) bytes: u64,
    /// One commit, median.
    pub(super) commit: Duration,
    /// One plain write with `fdatasync`, median.
    pub(super) plain: Duration,
    /// Median of the ratios of the pairs.
    pub(super) ratio: f64,
}

/// Measures in this folder, which must not hold a journal.
pub(super) fn measure(folder: &Path, open: OpenJournal) -> Result<Commits, Error> {
    let mut journal = open(folder, WallTime(NOON)).map_err(Error::other)?;
    let log = folder.join("journal.db-wal");
    let length = || fs::metadata(&log).map_or(0, |file| file.len());
    let mut plain = File::create(folder.join("plain"))?;
    let (mut grown, mut commits, mut plains, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 0..WARM_UP {
        let before = length();
        commit(journal.as_mut(), number)?;
        grown.push(length().saturating_sub(before));
    }
    let bytes = vec![0x5a; usize::try_from(median(&mut grown)).map_err(Error::other)?];
    let mut write = || -> Result<Duration, Error> {
        // The log no longer grows where SQLite has begun to write it from the start again.
        if plain.stream_position()? >= length() {
            plain.seek(SeekFrom::Start(0))?;
        }
        let began = Instant::now();
        plain.write_all(&bytes)?;
        plain.sync_data()?;
        Ok(began.elapsed())
    };
    for number in WARM_UP..WARM_UP + PAIRS {
        // The first of a pair may wait for what the kernel is just writing, so they take turns in being it.
        let (commit, plain) = if number % 2 == 0 {
            let commit = commit(journal.as_mut(), number)?;
            (commit, write()?)
        } else {
            let plain = write()?;
            (commit(journal.as_mut(), number)?, plain)
        };
        commits.push(commit);
        plains.push(plain);
        ratios.push(commit.as_secs_f64() / plain.as_secs_f64());
    }
    Ok(Commits {
        bytes: median(&mut grown),
        commit: median(&mut commits),
        plain: median(&mut plains),
        ratio: median(&mut ratios),
    })
}

/// A whole sale: its request and its approval, as two records of one commit.
pub(super) fn sale(number: u32) -> Result<[Record; 2], Error> {
    let sending = record(number)?;
    let Record::Sending(sent) = &sending else { return Err(Error::other("no Sending")) };
    let closed = Closed {
        id: sent.start.id.clone(),
        start: None,
        card: None,
        outcome: Outcome::Approved,
        result: ResultCode::Approved,
        host: HostFacts::default(),
        approved_amount: sent.start.amount,
        reversal: None,
        reversal_icc: None,
        upload: None,
        script: None,
        withdraws: None,
        plies: Vec::new(),
        finished_at: sent.at,
    };
    Ok([sending, Record::Closed(Box::new(closed))])
}

/// One full commit, and how long it took.
fn commit(journal: &mut dyn Journal, number: u32) -> Result<Duration, Error> {
    let records = [record(number)?];
    let began = Instant::now();
    journal.commit(&records, Durability::Full).map_err(Error::other)?;
    Ok(began.elapsed())
}

/// The record before the first byte of a chip sale with PIN, with fields as long as a real one has them.
fn record(number: u32) -> Result<Record, Error> {
    let at = WallTime(NOON.saturating_add(u64::from(number) * 60_000_000));
    let request_id = RequestId::new(&format!("bench-{number}")).map_err(Error::other)?;
    let start = TxnStart {
        id: TxnId::of(&request_id),
        request_id,
        kind: Kind::Sale,
        amount: Amount::from_minor(1250).map_err(Error::other)?,
        currency: Currency::CNY,
        arguments_sha256: [0x5a; 32],
        operator: OperatorId::new("01").map_err(Error::other)?,
        created_at: at,
        cashier_ref: None,
        metadata: Vec::new(),
        plies: 2,
        terms: Terms::default(),
    };
    let chip = [("ARQC", 16), ("TVR", 10), ("TSI", 4), ("ATC", 4), ("AIP", 4), ("IAD", 38), ("UNPR NUM", 8)];
    let card = CardFacts {
        pan: Pan::new("6225880012345675").map_err(Error::other)?,
        expiry: Some("3012".to_owned()),
        sequence: Some(1),
        entry_mode: EntryMode::Chip,
        token: "0123456789abcdef".to_owned(),
        brand: "unionpay".to_owned(),
        aid: "A000000333010101".to_owned(),
        label: "UnionPay Debit".to_owned(),
        cvm: CvmMethod::OnlinePin,
        signature_required: false,
        chip: chip.map(|(name, digits)| (name.to_owned(), "5".repeat(digits))).to_vec(),
    };
    let wire = WireFacts {
        mti: "0200".to_owned(),
        processing_code: "000000".to_owned(),
        entry_mode: "051".to_owned(),
        condition: "00".to_owned(),
        message_type: "22".to_owned(),
        capability: "60".to_owned(),
        terminal_id: TerminalId::new("10000001").map_err(Error::other)?,
        merchant_id: MerchantId::new("102100058120001").map_err(Error::other)?,
        profile: "unionpay".to_owned(),
        reversal_icc: vec![0x95; 30],
        icc: vec![0x9f; 140],
        original: String::new(),
    };
    Ok(Record::Sending(Box::new(Sending { start, card: Arc::new(card), wire, at })))
}

//! The journal on real SQLite: each record and its row of the durability rules, power cuts, full disks,
//! sealed data.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests"
)]
use posd::adapters::journal_sqlite::SqliteJournal;
use posd::domain::calendar::{LocalTime, WallTime};
use posd::domain::ident::{
    AuthCode, BatchNumber, MerchantId, OperatorId, RequestId, ResponseCode, Rrn, Stan, TerminalId, TxnId,
};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{
    CardClass, CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, PrintState, QueueState, Resolution,
    ResultCode,
};
use posd::domain::record::{
    CardFacts, Closed, EntryId, FollowUp, HostFacts, KeyRecord, OperatorRow, OriginalRef, Record,
    ReversalReason, Sending, Terms, TimelineRow, TxnFilter, TxnRow, TxnStart, Upload, WireFacts,
};
use posd::domain::secret::Pan;
use posd::ports::{BackupFacts, Durability, Journal, JournalError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

mod batch;
mod copies;
mod find;
mod house;
mod housekeeping;
mod money;
mod pages;
mod power;
mod queue;
mod schema;
mod table;

const KEY: [u8; 32] = [0x5a; 32];
const PAN: &str = "6225880012345678";
const NOON: u64 = 1_795_000_000_000_000;

fn at(seconds: u64) -> WallTime {
    WallTime(NOON + seconds * 1_000_000)
}

fn factory() -> Vec<OperatorRow> {
    ["00", "01", "02", "03", "99"].map(operator).to_vec()
}

fn operator(id: &str) -> OperatorRow {
    OperatorRow {
        id: OperatorId::new(id).unwrap(),
        password_phc: "$argon2id$test".to_owned(),
        factory: true,
        failures: 0,
        locked_until: WallTime(0),
    }
}

/// Opens it. A child that another test is just starting holds a copy of every lock until its exec: that passes.
fn open(dir: &Path) -> SqliteJournal {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        match try_open(dir) {
            Err(JournalError::Unusable(why))
                if why.contains("another posd") && std::time::Instant::now() < until =>
            {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

fn try_open(dir: &Path) -> Result<SqliteJournal, JournalError> {
    SqliteJournal::open(dir, KEY, at(0), factory)
}

fn new_journal() -> (TempDir, SqliteJournal) {
    let dir = TempDir::new().unwrap();
    let journal = open(&dir.path().join("state"));
    (dir, journal)
}

fn txn_id(name: &str) -> TxnId {
    TxnId::of(&RequestId::new(name).unwrap())
}

fn start(name: &str, seconds: u64) -> TxnStart {
    let request_id = RequestId::new(name).unwrap();
    TxnStart {
        id: TxnId::of(&request_id),
        request_id,
        kind: Kind::Sale,
        amount: Amount::from_minor(1250).unwrap(),
        currency: Currency::CNY,
        arguments_sha256: [7; 32],
        operator: OperatorId::new("01").unwrap(),
        created_at: at(seconds),
        cashier_ref: Some("till 4".to_owned()),
        metadata: vec![("order".to_owned(), "\"17\", ü".to_owned())],
        plies: 2,
        terms: Terms::default(),
    }
}

fn card() -> Arc<CardFacts> {
    Arc::new(CardFacts {
        pan: Pan::new(PAN).unwrap(),
        expiry: Some("3012".to_owned()),
        sequence: Some(1),
        entry_mode: EntryMode::Chip,
        token: "0123456789abcdef".to_owned(),
        brand: "unionpay".to_owned(),
        aid: "A000000333010101".to_owned(),
        label: "UnionPay Debit".to_owned(),
        cvm: CvmMethod::OnlinePin,
        signature_required: false,
        chip: vec![("ARQC".to_owned(), "0011223344556677".to_owned())],
    })
}

pub(crate) fn wire() -> WireFacts {
    WireFacts {
        mti: "0200".to_owned(),
        processing_code: "000000".to_owned(),
        entry_mode: "051".to_owned(),
        condition: "00".to_owned(),
        message_type: "22".to_owned(),
        capability: "60".to_owned(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
        profile: "unionpay".to_owned(),
        reversal_icc: vec![0x95, 0x01, 0x00],
        icc: vec![0x9f, 0x26, 0x01, 0x02],
        original: String::new(),
    }
}

fn reversal_of(name: &str) -> EntryId {
    EntryId::new(txn_id(name), EntryType::Reversal)
}

fn sending(name: &str, seconds: u64) -> Record {
    let sending = Sending { start: start(name, seconds), card: card(), wire: wire(), at: at(seconds + 1) };
    Record::Sending(Box::new(sending))
}

fn closed(name: &str, outcome: Outcome, result: ResultCode, reversal: Option<ReversalReason>) -> Closed {
    Closed {
        id: txn_id(name),
        start: None,
        card: None,
        outcome,
        result,
        host: HostFacts::default(),
        approved_amount: Amount::ZERO,
        reversal,
        reversal_icc: None,
        upload: None,
        script: None,
        withdraws: None,
        plies: Vec::new(),
        finished_at: at(100),
    }
}

fn approved(name: &str) -> Closed {
    let host = HostFacts {
        response_code: Some(ResponseCode::new("00").unwrap()),
        rrn: Some(Rrn::new("123456789012").unwrap()),
        auth_code: Some(AuthCode::new("654321").unwrap()),
        host_time: Some(LocalTime { year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7 }),
        settlement_date: Some("1122".to_owned()),
        acquirer: Some("48021000".to_owned()),
        institutions: Some("01020000   03080000".to_owned()),
        organisation: Some("CUP".to_owned()),
        text: Some("交易成功".to_owned()),
        balance: None,
    };
    let amount = Amount::from_minor(1250).unwrap();
    let plies = vec![Ply::Merchant, Ply::Customer];
    Closed {
        host,
        approved_amount: amount,
        plies,
        ..closed(name, Outcome::Approved, ResultCode::Approved, None)
    }
}

fn unknown(name: &str) -> Closed {
    closed(name, Outcome::Unknown, ResultCode::HostTimeout, Some(ReversalReason::NoAnswer))
}

fn stored_offline(name: &str, seconds: u64) -> Closed {
    Closed {
        start: Some(start(name, seconds)),
        card: Some(card()),
        approved_amount: Amount::from_minor(1250).unwrap(),
        upload: Some(Upload { entry_type: EntryType::OfflineSale, wire: wire() }),
        ..closed(name, Outcome::StoredOffline, ResultCode::OfflineApproved, None)
    }
}

fn close(closed: Closed) -> Record {
    Record::Closed(Box::new(closed))
}

fn commit(journal: &mut SqliteJournal, record: Record) -> Option<(Stan, BatchNumber)> {
    journal.commit(&[record], Durability::Full).unwrap().taken
}

fn row(journal: &mut SqliteJournal, name: &str) -> TxnRow {
    journal.find(&txn_id(name)).unwrap().unwrap()
}

fn stan(number: u32) -> Stan {
    Stan::new(number).unwrap()
}

fn attempt(name: &str, seconds: u64) -> Record {
    Record::QueueAttempt { entry: reversal_of(name), at: at(seconds) }
}

fn reversal_state(name: &str, state: QueueState, code: Option<&str>) -> Record {
    Record::QueueState {
        entry: reversal_of(name),
        host: None,
        state,
        response_code: code.map(|c| ResponseCode::new(c).unwrap()),
        ask_again: code == Some("25") && state != QueueState::Done,
        error: if state == QueueState::Done { String::new() } else { "no answer".to_owned() },
        at: at(300),
    }
}

fn keys() -> KeyRecord {
    KeyRecord {
        block: b"working keys under the master key".to_vec(),
        tmk_check: [1, 2, 3, 4],
        loaded_at: at(50),
    }
}

fn sign_on(batch: Option<u32>) -> Record {
    let batch = batch.map(|b| BatchNumber::new(b).unwrap());
    Record::SignedOn { keys: keys(), new_master: None, batch, clock_offset: -1_500_000 }
}

/// Copies the files as a power cut would find them, while the journal is open.
fn cut(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in ["journal.db", "journal.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

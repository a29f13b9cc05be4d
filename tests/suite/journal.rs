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
    CvmMethod, EntryMode, EntryType, Kind, Outcome, Ply, PrintState, QueueState, ResultCode,
};
use posd::domain::record::{
    CardFacts, Closed, EntryId, HostFacts, KeyRecord, OperatorRow, Record, ReversalReason, Sending, Terms,
    TimelineRow, TxnFilter, TxnRow, TxnStart, WireFacts,
};
use posd::domain::secret::Pan;
use posd::ports::{Durability, Journal, JournalError};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

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

fn card() -> CardFacts {
    CardFacts {
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
    }
}

fn wire() -> WireFacts {
    WireFacts {
        mti: "0200".to_owned(),
        processing_code: "000000".to_owned(),
        entry_mode: "051".to_owned(),
        condition: "00".to_owned(),
        message_type: "22".to_owned(),
        capability: "60".to_owned(),
        terminal_id: TerminalId::new("10000001").unwrap(),
        merchant_id: MerchantId::new("102100058120001").unwrap(),
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
    Record::SignedOn { keys: keys(), batch, clock_offset: -1_500_000 }
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

/// A new terminal begins at STAN 1 in batch 1 with the factory operators, in files that nobody else may read.
#[test]
fn a_new_journal_is_private_and_has_the_factory_operators() {
    let (dir, mut journal) = new_journal();
    let loaded = journal.load().unwrap();
    assert_eq!(loaded.next_stan, Some(Stan::FIRST));
    assert_eq!(loaded.batch, Some(BatchNumber::FIRST));
    assert_eq!((loaded.batch_opened_at, loaded.newest), (at(0), at(0)));
    assert_eq!(loaded.operators, factory());
    assert!(!loaded.batch_has_records && loaded.open.is_empty() && loaded.identity.is_none());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let state = dir.path().join("state");
    assert_eq!(mode(&state), 0o700);
    for file in std::fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    // The factory set is for a new journal only.
    drop(journal);
    let mut journal = SqliteJournal::open(&state, KEY, at(9), || panic!("not a new journal")).unwrap();
    assert_eq!(journal.load().unwrap().operators.len(), 5);
}

/// Sending: all facts of the request are durable, with its STAN and batch, and a reversal 98 is armed.
#[test]
fn sending_takes_a_stan_and_arms_the_reversal() {
    let (dir, mut journal) = new_journal();
    assert_eq!(commit(&mut journal, sending("a", 10)), Some((stan(1), BatchNumber::FIRST)));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    let loaded = journal.load().unwrap();
    let stored = loaded.open.first().unwrap();
    assert_eq!(stored.start, start("a", 10));
    assert_eq!(stored.card, Some(card()));
    assert_eq!(stored.wire, Some(wire()));
    assert_eq!((stored.stan, stored.outcome, stored.result), (Some(stan(1)), Outcome::None, None));
    assert_eq!(stored.masked_pan, "622588******5678");
    let reversal = stored.reversal().cloned().unwrap();
    assert!(reversal.armed);
    assert_eq!((reversal.reason, reversal.attempts), (Some(ReversalReason::NoAnswer), 0));
    assert_eq!(reversal.icc, wire().reversal_icc);
    assert_eq!(loaded.next_stan, Some(stan(2)));
    assert_eq!(loaded.newest, at(11));
    assert!(loaded.batch_has_records);
    let (terminal, merchant, currency) = loaded.identity.unwrap();
    assert_eq!((terminal, merchant, currency.as_str()), (wire().terminal_id, wire().merchant_id, "CNY"));
}

/// A request id belongs to one transaction, and a refused commit leaves nothing behind, not even its STAN.
#[test]
fn a_request_id_is_stored_once() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    assert!(matches!(journal.commit(&[sending("a", 20)], Durability::Full), Err(JournalError::Fault(_))));
    journal.reopen().unwrap();
    assert_eq!(commit(&mut journal, sending("b", 20)), Some((stan(2), BatchNumber::FIRST)));
}

/// Unsent: nothing was written to a socket, so nothing is owed; the STAN stays used and the row still wants
/// its end.
#[test]
fn unsent_disarms_the_reversal() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, Record::Unsent { id: txn_id("a") });
    assert_eq!(row(&mut journal, "a").reversal(), None);
    assert_eq!(journal.load().unwrap().open.len(), 1);
    commit(&mut journal, close(closed("a", Outcome::Failed, ResultCode::ConnectFailed, None)));
    assert!(journal.load().unwrap().open.is_empty());
    assert_eq!(commit(&mut journal, sending("b", 20)), Some((stan(2), BatchNumber::FIRST)));
}

/// Closed(approved): disarms the reversal, keeps what the host said, and holds the plies until they are
/// printed.
#[test]
fn an_approval_disarms_the_reversal_and_holds_its_plies() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let end = Closed { card: Some(CardFacts { cvm: CvmMethod::Signature, ..card() }), ..approved("a") };
    commit(&mut journal, close(end.clone()));
    let stored = row(&mut journal, "a");
    assert_eq!((stored.outcome, stored.result), (Outcome::Approved, Some(ResultCode::Approved)));
    assert_eq!((stored.host, stored.approved_amount), (end.host, end.approved_amount));
    assert_eq!((stored.card, stored.entries), (end.card, Vec::new()));
    assert_eq!(stored.finished_at, Some(at(100)));
    let plies: Vec<_> = stored.plies.iter().map(|p| (p.ply, p.copy, p.state)).collect();
    assert_eq!(plies, [(Ply::Merchant, 0, PrintState::Held), (Ply::Customer, 0, PrintState::Held)]);
    assert_eq!(journal.load().unwrap().open.len(), 1, "plies are still to come");
    for ply in [Ply::Merchant, Ply::Customer] {
        let state = PrintState::Confirmed;
        commit(
            &mut journal,
            Record::PlyState { id: txn_id("a"), ply, copy: 0, state, reason: String::new() },
        );
    }
    let loaded = journal.load().unwrap();
    assert!(loaded.open.is_empty());
    assert_eq!(loaded.counts, [("sale".to_owned(), 1)]);
}

/// It ended before a request: the row is made by Closed, with no STAN and nothing owed.
#[test]
fn a_transaction_that_never_reached_the_bank_is_closed_with_its_start() {
    let (_dir, mut journal) = new_journal();
    let mut end = closed("a", Outcome::Cancelled, ResultCode::CustomerTimeout, None);
    end.start = Some(start("a", 10));
    commit(&mut journal, close(end.clone()));
    let stored = row(&mut journal, "a");
    assert_eq!((stored.outcome, stored.stan, stored.card), (Outcome::Cancelled, None, None));
    assert_eq!(stored.start, start("a", 10));
    assert!(!journal.load().unwrap().batch_has_records);
    // Nothing was sent: there is nothing to reverse.
    end = Closed {
        reversal: Some(ReversalReason::Refused),
        ..closed("b", Outcome::Failed, ResultCode::Interrupted, None)
    };
    end.start = Some(start("b", 20));
    assert!(journal.commit(&[close(end)], Durability::Full).is_err());
}

/// The outcome is written once; an unknown one never stands without its reversal.
#[test]
fn an_outcome_is_written_once() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let bare = closed("a", Outcome::Unknown, ResultCode::HostTimeout, None);
    assert!(journal.commit(&[close(bare)], Durability::Full).is_err());
    commit(&mut journal, close(approved("a")));
    let second = closed("a", Outcome::Declined, ResultCode::DeclinedCard, Some(ReversalReason::Refused));
    assert!(journal.commit(&[close(second)], Durability::Full).is_err());
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Approved);
    let missing = closed("b", Outcome::Failed, ResultCode::CardRemoved, None);
    assert!(journal.commit(&[close(missing)], Durability::Full).is_err());
}

/// The card refuses after an approval: declined, and a reversal 06 with the DE 55 of the second cryptogram is
/// due.
#[test]
fn a_card_that_refuses_an_approval_leaves_a_due_reversal() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let mut end = closed("a", Outcome::Declined, ResultCode::DeclinedCard, Some(ReversalReason::Refused));
    end.reversal_icc = Some(vec![0xde, 0xad]);
    commit(&mut journal, close(end));
    let reversal = row(&mut journal, "a").reversal().cloned().unwrap();
    assert!(!reversal.armed);
    assert_eq!((reversal.state, reversal.reason), (QueueState::Due, Some(ReversalReason::Refused)));
    assert_eq!((reversal.icc, reversal.created_at), (vec![0xde, 0xad], at(100)));
}

/// Attempts are counted before their first byte; a failed reversal stays open until it is done; done turns
/// unknown into reversed and keeps the result code.
#[test]
fn a_reversal_goes_from_due_to_done() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    assert!(journal.commit(&[attempt("a", 11)], Durability::Full).is_err(), "armed is not due");
    commit(&mut journal, close(unknown("a")));
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Unknown);
    for n in 1..=3 {
        commit(&mut journal, attempt("a", 100 + n));
        drop(journal);
        journal = open(&dir.path().join("state"));
        let reversal = journal.load().unwrap().open.first().unwrap().reversal().cloned().unwrap();
        assert_eq!((reversal.state, u64::from(reversal.attempts)), (QueueState::Sending, n));
    }
    commit(&mut journal, reversal_state("a", QueueState::Failed, None));
    assert_eq!(journal.load().unwrap().open.len(), 1);
    commit(&mut journal, attempt("a", 200));
    commit(&mut journal, reversal_state("a", QueueState::Due, Some("25")));
    assert!(row(&mut journal, "a").reversal().cloned().unwrap().ask_again);
    commit(&mut journal, attempt("a", 290));
    commit(&mut journal, reversal_state("a", QueueState::Done, Some("00")));
    let stored = row(&mut journal, "a");
    assert_eq!((stored.outcome, stored.result), (Outcome::Reversed, Some(ResultCode::HostTimeout)));
    let reversal = stored.reversal().unwrap();
    assert_eq!((reversal.state, reversal.attempts, reversal.ask_again), (QueueState::Done, 5, false));
    assert!(journal.load().unwrap().open.is_empty());
    assert!(journal.commit(&[attempt("a", 400)], Durability::Full).is_err(), "done is done");
}

/// A declined sale whose reversal is done stays declined.
#[test]
fn a_done_reversal_changes_only_an_unknown_outcome() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let end = closed("a", Outcome::Declined, ResultCode::DeclinedCard, Some(ReversalReason::Refused));
    commit(&mut journal, close(end));
    commit(&mut journal, attempt("a", 110));
    commit(&mut journal, reversal_state("a", QueueState::Done, Some("00")));
    assert_eq!(row(&mut journal, "a").outcome, Outcome::Declined);
}

/// Management messages draw from the same counter, and a commit takes one number only.
#[test]
fn management_messages_reserve_their_stan() {
    let (dir, mut journal) = new_journal();
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(1), BatchNumber::FIRST)));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    assert_eq!(commit(&mut journal, sending("a", 10)), Some((stan(2), BatchNumber::FIRST)));
    assert!(journal.commit(&[Record::ReserveStan, Record::ReserveStan], Durability::Full).is_err());
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(3), BatchNumber::FIRST)));
}

/// The counter wraps at 999999 and skips what the open batch or an open reversal of an older batch still
/// uses.
#[test]
fn a_stan_in_use_is_skipped() {
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(approved("a")));
    commit(&mut journal, sending("b", 20));
    commit(&mut journal, close(unknown("b")));
    let set_next = |journal: SqliteJournal, sql: &str| {
        drop(journal);
        rusqlite::Connection::open(state.join("journal.db")).unwrap().execute_batch(sql).unwrap();
        open(&state)
    };
    journal = set_next(journal, "UPDATE terminal SET next_stan = 999999");
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(999_999), BatchNumber::FIRST)));
    assert_eq!(
        commit(&mut journal, Record::ReserveStan),
        Some((stan(3), BatchNumber::FIRST)),
        "1 and 2 are used"
    );
    // In another batch only the obligation (2) still holds its number.
    let other = "INSERT INTO batch (id, number, opened_at) VALUES (2, 2, 0);
                 UPDATE terminal SET batch = 2, next_stan = 1";
    journal = set_next(journal, other);
    let second = BatchNumber::new(2).unwrap();
    assert_eq!(commit(&mut journal, Record::ReserveStan), Some((stan(1), second)));
    assert_eq!(commit(&mut journal, sending("c", 30)), Some((stan(3), second)));
}

/// Keys, clock offset and batch change in one commit; signing off forgets the keys and keeps the offset.
#[test]
fn a_sign_on_is_one_commit() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sign_on(Some(77)));
    drop(journal);
    let mut journal = open(&dir.path().join("state"));
    let loaded = journal.load().unwrap();
    assert_eq!(loaded.keys, Some(keys()));
    assert_eq!((loaded.clock_offset, loaded.batch), (-1_500_000, Some(BatchNumber::new(77).unwrap())));
    assert_eq!(loaded.batch_opened_at, at(50));
    commit(&mut journal, Record::SignedOff);
    let loaded = journal.load().unwrap();
    assert_eq!((loaded.keys, loaded.clock_offset), (None, -1_500_000));
}

/// A batch number is adopted only while the open batch has no financial record and no reversal is open
/// anywhere.
#[test]
fn a_batch_with_records_keeps_its_number() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    assert!(matches!(journal.commit(&[sign_on(Some(5))], Durability::Full), Err(JournalError::Fault(_))));
    assert_eq!(journal.load().unwrap().keys, None, "the keys of a refused sign-on are not stored");
    commit(&mut journal, sign_on(Some(1)));
    commit(&mut journal, sign_on(None));
    assert_eq!(journal.load().unwrap().batch, Some(BatchNumber::FIRST));
}

/// Operators are replaced whole; timeline and audit only grow, and the database itself refuses to touch the
/// audit.
#[test]
fn operators_change_and_trails_grow() {
    let (dir, mut journal) = new_journal();
    let changed = OperatorRow { factory: false, failures: 3, locked_until: at(60), ..operator("01") };
    let line =
        |what: &str, stan| TimelineRow { at: at(5), what: what.to_owned(), text: "…".to_owned(), stan };
    let lines = [line("created", None), line("host-sent", Some(stan(1)))];
    let id = txn_id("a");
    let who = Some(OperatorId::new("00").unwrap());
    let records = [
        Record::Operator(changed.clone()),
        Record::Timeline { id: id.clone(), row: lines[0].clone() },
        Record::Timeline { id: id.clone(), row: lines[1].clone() },
        Record::Audit { at: at(6), operator: who, text: "unlocked 01".to_owned() },
        Record::Audit { at: at(7), operator: None, text: "started".to_owned() },
    ];
    journal.commit(&records, Durability::Lazy).unwrap();
    assert_eq!(journal.load().unwrap().operators[1], changed);
    assert_eq!(journal.load().unwrap().newest, at(7));
    assert_eq!(journal.timeline(&id).unwrap(), lines);
    drop(journal);
    let raw = rusqlite::Connection::open(dir.path().join("state/journal.db")).unwrap();
    assert_eq!(raw.query_row("SELECT count(*) FROM audit", [], |r| r.get::<_, i64>(0)), Ok(2));
    assert!(raw.execute("UPDATE audit SET text = ''", []).is_err());
    assert!(raw.execute("DELETE FROM audit", []).is_err());
}

/// Reprints are plies of their own; a state replaces the earlier one of the same copy.
#[test]
fn ply_states_replace_each_other() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(Closed { plies: vec![Ply::Merchant], ..approved("a") }));
    for (copy, state) in [(0, PrintState::Printing), (0, PrintState::Unconfirmed), (1, PrintState::Queued)] {
        let reason = "power cut".to_owned();
        let record = Record::PlyState { id: txn_id("a"), ply: Ply::Merchant, copy, state, reason };
        journal.commit(&[record], Durability::Lazy).unwrap();
    }
    let plies: Vec<_> = row(&mut journal, "a").plies.iter().map(|p| (p.copy, p.state)).collect();
    assert_eq!(plies, [(0, PrintState::Unconfirmed), (1, PrintState::Queued)]);
    let nobody = Record::PlyState {
        id: txn_id("b"),
        ply: Ply::Merchant,
        copy: 0,
        state: PrintState::Held,
        reason: String::new(),
    };
    assert!(journal.commit(&[nobody], Durability::Full).is_err());
}

/// The power fails at each point of a sale: what had been promised by then is there, and nothing else.
#[test]
fn a_power_cut_keeps_what_was_committed() {
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    let steps = [
        sending("a", 10),
        close(unknown("a")),
        attempt("a", 110),
        reversal_state("a", QueueState::Done, Some("00")),
        sending("b", 20),
        close(approved("b")),
    ];
    for (n, record) in steps.into_iter().enumerate() {
        commit(&mut journal, record);
        let copy = dir.path().join(format!("cut{n}"));
        cut(&state, &copy);
        assert_eq!(open(&copy).load().unwrap(), journal.load().unwrap(), "after step {n}");
    }
}

/// The power fails in the middle of a write: the log is torn at any byte, and a prefix of the commits remains.
#[test]
fn a_torn_log_keeps_a_prefix_of_the_commits() {
    let (dir, mut journal) = new_journal();
    for n in 0..6 {
        commit(&mut journal, sending(&format!("t{n}"), n));
    }
    let state = dir.path().join("state");
    let length = std::fs::metadata(state.join("journal.db-wal")).unwrap().len();
    let mut last = 0;
    for (n, end) in (0..=length).step_by(7919).chain([length]).enumerate() {
        let copy = dir.path().join(format!("torn{n}"));
        cut(&state, &copy);
        let log = std::fs::OpenOptions::new().write(true).open(copy.join("journal.db-wal")).unwrap();
        log.set_len(end).unwrap();
        let loaded = open(&copy).load().unwrap();
        let stans: Vec<_> = loaded.open.iter().map(|t| t.stan.unwrap().get()).collect();
        assert!(stans.iter().copied().eq(1..=stans.len() as u32), "{end}: {stans:?}");
        assert_eq!(loaded.next_stan, Some(stan(stans.len() as u32 + 1)));
        assert!(stans.len() >= last, "a longer log holds no less");
        last = stans.len();
    }
    assert_eq!(last, 6);
}

/// What reopen reads is what was committed, and the journal goes on from there.
#[test]
fn a_reopened_journal_reads_and_writes_on() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    let before = journal.load().unwrap();
    journal.reopen().unwrap();
    assert_eq!(journal.load().unwrap(), before);
    assert_eq!(std::fs::metadata(dir.path().join("state/journal.db-wal")).unwrap().len(), 0);
    commit(&mut journal, close(approved("a")));
}

/// One daemon at a time; a database that is not ours is named and left alone.
#[test]
fn a_second_daemon_a_wrong_key_and_foreign_files_are_refused() {
    let (dir, journal) = new_journal();
    let state = dir.path().join("state");
    let refused = |result: Result<SqliteJournal, JournalError>, words: &str| match result.err() {
        Some(JournalError::Unusable(text)) => assert!(text.contains(words), "{text}"),
        other => panic!("{other:?} instead of {words}"),
    };
    refused(try_open(&state), "another posd holds");
    drop(journal);
    refused(SqliteJournal::open(&state, [1; 32], at(0), factory), "sealed under the storage key");
    let raw = rusqlite::Connection::open(state.join("journal.db")).unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    drop(raw);
    refused(try_open(&state), "schema is version 2");
    std::fs::write(
        state.join("journal.db"),
        "not a database, but long enough to have a header of one".repeat(20),
    )
    .unwrap();
    refused(try_open(&state), "not a database");
}

/// A word, number or text that does not belong in its column is an error naming table and column.
#[test]
fn a_foreign_value_is_named_with_its_table_and_column() {
    let check = |sql: &str, column: &str| {
        let (dir, mut journal) = new_journal();
        commit(&mut journal, sending("a", 10));
        drop(journal);
        let state = dir.path().join("state");
        rusqlite::Connection::open(state.join("journal.db")).unwrap().execute_batch(sql).unwrap();
        let error = open(&state).load().unwrap_err();
        assert!(matches!(&error, JournalError::Unusable(text) if text.contains(column)), "{sql}: {error}");
    };
    check("UPDATE txn SET kind = 'Sale'", "txn.kind");
    check("UPDATE txn SET outcome = 'paid'", "txn.outcome");
    check("UPDATE txn SET amount = -1", "txn.amount");
    check("UPDATE txn SET amount = 1000000000000", "txn.amount");
    check("UPDATE txn SET created_at = -5", "txn.created_at");
    check("UPDATE txn SET plies = 300", "txn.plies");
    check("UPDATE txn SET stan = 0", "txn.stan");
    check("UPDATE txn SET currency = 'XXX'", "txn.currency");
    check("UPDATE txn SET arguments_sha256 = x'00'", "txn.arguments_sha256");
    check("UPDATE txn SET metadata = '{'", "txn.metadata");
    check("UPDATE txn SET host_time = '20261322000000'", "txn.host_time");
    check("UPDATE txn SET card_sealed = x'00112233'", "txn.card_sealed");
    check("UPDATE reversal SET state = 'expired'", "reversal.state");
    check("UPDATE reversal SET reason = '42'", "reversal.reason");
    check("UPDATE reversal SET attempts = 5000000000", "reversal.attempts");
    check("UPDATE terminal SET next_stan = 1000000", "terminal.next_stan");
    check("INSERT INTO ply VALUES (1, 'third', 0, 'held', '')", "ply.ply");
    check("UPDATE operator SET factory = 2", "operator.factory");
    // A seal moved to another transaction does not open.
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, sending("b", 20));
    drop(journal);
    let state = dir.path().join("state");
    let swap = "UPDATE txn SET card_sealed = (SELECT card_sealed FROM txn WHERE id = 1) WHERE id = 2";
    rusqlite::Connection::open(state.join("journal.db")).unwrap().execute_batch(swap).unwrap();
    assert!(open(&state).load().unwrap_err().to_string().contains("seal is broken"));
}

/// Card numbers and expiry dates never reach the disk in clear, nor do the working keys.
#[test]
fn card_data_is_never_on_the_disk_in_clear() {
    let (dir, mut journal) = new_journal();
    let state = dir.path().join("state");
    let search = || {
        for file in std::fs::read_dir(&state).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            for secret in [PAN.as_bytes(), b"=3012", b"working keys", b"\x62\x25\x88\x00\x12\x34\x56\x78"] {
                let found = bytes.windows(secret.len()).any(|w| w == secret);
                assert!(!found, "{} holds {secret:?}", path.display());
            }
        }
    };
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, sign_on(None));
    search();
    commit(&mut journal, close(Closed { card: Some(card()), ..approved("a") }));
    journal.reopen().unwrap();
    search();
    assert_eq!(row(&mut journal, "a").card.unwrap().pan.reveal(), PAN);
}

/// Pages run from the newest to the oldest, each row once, also where times are equal and rows arrive in
/// between.
#[test]
fn pages_show_each_row_once() {
    let (_dir, mut journal) = new_journal();
    for n in 0..23 {
        let mut end = closed(&format!("t{n}"), Outcome::Cancelled, ResultCode::OperatorCancelled, None);
        end.start = Some(start(&format!("t{n}"), n / 4));
        commit(&mut journal, close(end));
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (rows, next) = journal.query(&TxnFilter::default(), 5, &cursor).unwrap();
        seen.extend(rows.iter().map(|r| r.start.request_id.as_str().to_owned()));
        let mut late =
            closed(&format!("late{}", seen.len()), Outcome::Cancelled, ResultCode::OperatorCancelled, None);
        late.start = Some(start(&format!("late{}", seen.len()), 1000));
        commit(&mut journal, close(late));
        if next.is_empty() {
            break;
        }
        cursor = next;
    }
    let expected: Vec<_> = (0..23).rev().map(|n| format!("t{n}")).collect();
    assert_eq!(seen, expected);
    let error = journal.query(&TxnFilter::default(), 5, "p1-zz").unwrap_err();
    assert!(matches!(error, JournalError::Unusable(_)));
}

/// Every filter key narrows the answer; together they must all hold.
#[test]
fn filters_narrow_the_answer() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(approved("a")));
    commit(&mut journal, sending("b", 20));
    let mut end = closed("c", Outcome::Cancelled, ResultCode::OperatorCancelled, None);
    end.start =
        Some(TxnStart { operator: OperatorId::new("02").unwrap(), kind: Kind::Balance, ..start("c", 30) });
    commit(&mut journal, close(end));
    let mut check = |filter: TxnFilter, names: &[&str]| {
        let (rows, next) = journal.query(&filter, 1000, "").unwrap();
        let found: Vec<_> = rows.iter().map(|r| r.start.request_id.as_str()).collect();
        assert_eq!((found.as_slice(), next.as_str()), (names, ""), "{filter:?}");
    };
    let all = TxnFilter::default;
    check(all(), &["c", "b", "a"]);
    check(TxnFilter { batch: Some(1), ..all() }, &["c", "b", "a"]);
    check(TxnFilter { batch: Some(2), ..all() }, &[]);
    check(TxnFilter { trace: Some(2), ..all() }, &["b"]);
    check(TxnFilter { kind: Some(Kind::Sale), ..all() }, &["b", "a"]);
    check(TxnFilter { outcome: Some(Outcome::None), ..all() }, &["b"]);
    check(TxnFilter { operator: Some("02".to_owned()), ..all() }, &["c"]);
    check(TxnFilter { from: Some(at(20)), to: Some(at(30)), ..all() }, &["b"]);
    check(TxnFilter { to: Some(WallTime(u64::MAX)), ..all() }, &["c", "b", "a"]);
    check(TxnFilter { card_token: Some(card().token), ..all() }, &["b", "a"]);
    check(TxnFilter { request_id: Some("a".to_owned()), kind: Some(Kind::Sale), ..all() }, &["a"]);
    check(TxnFilter { request_id: Some("a' OR '1'='1".to_owned()), ..all() }, &[]);
}

/// Starts this test program again for one of the ignored tests below, in a shell that first runs `prepare`.
fn child(test: &str, dir: &Path, prepare: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{prepare}\nexec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", test])
        .env("POSD_TEST_DIR", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Reads the promises of a child: each stands on a line of its own.
fn promise(line: &str) -> Option<u32> {
    line.strip_prefix("promised ")?.parse().ok()
}

/// Child of the two tests below: stores sales for ever, telling each promise after its commit.
#[test]
#[ignore = "a child process of other tests"]
fn child_that_stores_sales() {
    let Some(dir) = std::env::var_os("POSD_TEST_DIR") else { return };
    let mut journal = open(Path::new(&dir));
    for n in 0..100_000 {
        let name = format!("c{}-{n}", std::process::id());
        let Ok(committed) = journal.commit(&[sending(&name, n)], Durability::Full) else { return };
        println!("\npromised {}", committed.taken.unwrap().0.get());
        if journal.commit(&[close(approved(&name))], Durability::Full).is_err() {
            return;
        }
    }
}

/// SIGKILL at random moments: every promise that was told is kept, and no STAN is given twice.
#[test]
fn a_killed_daemon_keeps_every_promise() {
    let dir = TempDir::new().unwrap();
    let state = dir.path().join("state");
    drop(open(&state));
    let mut promised = Vec::new();
    for round in 0..8_u32 {
        let mut child = child("journal::child_that_stores_sales", &state, "").spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The kernel's scheduling makes the moment random; the number of lines only spreads it.
        for line in lines.by_ref().take(20 + 37 * (round as usize % 3)) {
            promised.extend(promise(&line.unwrap()));
        }
        child.kill().unwrap();
        promised.extend(lines.map_while(Result::ok).filter_map(|line| promise(&line)));
        child.wait().unwrap();
        let mut journal = open(&state);
        for stan in &promised {
            let filter = TxnFilter { trace: Some(*stan), ..TxnFilter::default() };
            assert_eq!(journal.query(&filter, 2, "").unwrap().0.len(), 1, "STAN {stan}");
        }
        assert!(journal.load().unwrap().next_stan > promised.last().and_then(|s| Stan::new(*s).ok()));
    }
    assert!(promised.len() > 50, "{} promises", promised.len());
}

/// Writes begin to fail at ever later points (the files may not grow): what was promised before is there.
#[test]
fn a_write_that_fails_takes_back_no_promise() {
    let mut promises = 0;
    for blocks in [200, 270, 350, 600, 1000, 2000, 4000] {
        let dir = TempDir::new().unwrap();
        let state = dir.path().join("state");
        drop(open(&state));
        // With its signal ignored, the write itself fails. A shell counts blocks of 512 or 1024 bytes.
        let prepare = format!("trap '' XFSZ; ulimit -f {blocks}");
        let output = child("journal::child_that_stores_sales", &state, &prepare).output().unwrap();
        let mut journal = open(&state);
        for stan in String::from_utf8_lossy(&output.stdout).lines().filter_map(promise) {
            let filter = TxnFilter { trace: Some(stan), ..TxnFilter::default() };
            assert_eq!(journal.query(&filter, 2, "").unwrap().0.len(), 1, "STAN {stan}, {blocks} blocks");
            promises += 1;
        }
        commit(&mut journal, sending("after", 1));
    }
    assert!(promises > 10, "{promises} promises");
}

/// Child of the test below, on a small file system of its own.
#[test]
#[ignore = "a child process of another test"]
fn child_on_a_full_disk() {
    let Some(dir) = std::env::var_os("POSD_TEST_DIR") else { return };
    let dir = Path::new(&dir);
    let state = dir.join("state");
    let mut journal = open(&state);
    assert!(state.join("ballast").exists());
    commit(&mut journal, sending("a", 10));
    // Something else fills the disk to the last byte.
    let filler = dir.join("filler");
    while std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&filler)
        .and_then(|mut f| std::io::Write::write_all(&mut f, &[1; 4096]))
        .is_ok()
    {}
    let mut tries = 0;
    while journal.commit(&[sending(&format!("fill{tries}"), 20)], Durability::Full).is_ok() {
        tries += 1;
        assert!(tries < 1000, "the disk did not fill");
    }
    assert!(!state.join("ballast").exists(), "the ballast is given up");
    journal.reopen().unwrap();
    commit(&mut journal, close(unknown("a")));
    assert_eq!(row(&mut journal, "a").reversal().cloned().unwrap().state, QueueState::Due);
    // Space returns: the ballast is made again with the next reopening.
    std::fs::remove_file(filler).unwrap();
    journal.reopen().unwrap();
    assert!(state.join("ballast").exists());
    println!("\npromised 1");
}

/// A full disk: the commit says so, the ballast goes, and the obligations can still be written.
#[test]
fn a_full_disk_still_has_room_for_the_obligations() {
    let dir = TempDir::new().unwrap();
    let mounted = format!("mount -t tmpfs -o size=8m posd-test '{}' || exit 77", dir.path().display());
    let test = child("journal::child_on_a_full_disk", dir.path(), &mounted);
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", test.get_program().to_str().unwrap()]).args(test.get_args());
    let output = command.env("POSD_TEST_DIR", dir.path()).output();
    match output {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).lines().any(|l| promise(l) == Some(1)));
        }
        // Containers may forbid new mounts; the rule then rests on the machine that allows them.
        Ok(output) if output.status.code() == Some(77) || output.stdout.is_empty() => {}
        other => panic!("{other:?}"),
    }
}

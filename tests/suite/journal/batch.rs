//! Sign-on and settlement.
use super::*;
use posd::domain::outcome::{BatchState, Verdict};
use posd::domain::record::SettlementStep;
use posd::domain::secret::MasterKeyMaterial;

const FIELD48: &str = "00000000000000000000000000000010000000000000000000000000000000";

fn step(step: SettlementStep) -> Record {
    Record::Settlement(Box::new(step))
}

fn begun() -> Record {
    step(SettlementStep::Begun { at: at(500), operator: OperatorId::new("01").unwrap() })
}

fn frozen() -> Record {
    step(SettlementStep::TotalsFrozen { field48: FIELD48.to_owned(), at: at(510) })
}

fn verdict(domestic: Verdict) -> Record {
    step(SettlementStep::Verdict { domestic, foreign: Verdict::Agreed, at: at(520) })
}

fn uploaded(records: u32) -> Record {
    step(SettlementStep::Uploaded { records, at: at(530) })
}

fn end(domestic: Verdict, forced: bool) -> Record {
    step(SettlementStep::Closed { domestic, foreign: Verdict::Agreed, forced, at: at(540) })
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

/// Each phase of a settlement is durable with all it fixed, and reads back after a restart.
#[test]
fn a_settlement_goes_through_its_phases() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sending("a", 10));
    commit(&mut journal, close(Closed { plies: Vec::new(), ..approved("a") }));
    let check = |record: Record, taken: Option<u32>, state, frozen, verdict, uploaded| {
        let mut journal = open(&dir.path().join("state"));
        assert_eq!(commit(&mut journal, record).map(|(stan, _)| stan.get()), taken);
        drop(journal);
        let kept = open(&dir.path().join("state")).load().unwrap().settlement.unwrap();
        assert_eq!((kept.begun_at, kept.operator.as_str()), (at(500), "01"));
        assert_eq!(
            (kept.state, kept.frozen, kept.verdict, kept.uploaded),
            (state, frozen, verdict, uploaded)
        );
    };
    drop(journal);
    let totals = Some((FIELD48.to_owned(), stan(2)));
    let word = Some((Verdict::Disagreed, Verdict::Agreed));
    check(begun(), None, BatchState::Settling, None, None, 0);
    check(frozen(), Some(2), BatchState::Settling, totals.clone(), None, 0);
    check(verdict(Verdict::Disagreed), None, BatchState::Uploading, totals.clone(), word, 0);
    check(uploaded(8), None, BatchState::Uploading, totals.clone(), word, 8);
    check(uploaded(8), None, BatchState::Uploading, totals, word, 8);
    let mut journal = open(&dir.path().join("state"));
    commit(&mut journal, end(Verdict::Disagreed, false));
    let loaded = journal.load().unwrap();
    assert_eq!((loaded.settlement, loaded.batch), (None, BatchNumber::new(2).ok()));
    assert_eq!((loaded.batch_opened_at, loaded.batch_has_records), (at(540), false));
    assert!(loaded.counts.is_empty() && loaded.identity.is_none());
    assert!(!row(&mut journal, "a").in_open_batch);
    let batch = journal.batch(None).unwrap().unwrap();
    assert_eq!(journal.batch(BatchNumber::new(1).ok()).unwrap().as_ref(), Some(&batch));
    assert_eq!((batch.number, batch.state, batch.forced), (BatchNumber::FIRST, BatchState::Closed, false));
    assert_eq!((batch.closed_at, batch.verdict), (Some(at(540)), word));
    assert_eq!((batch.field48.as_deref(), batch.opened_at), (Some(FIELD48), at(0)));
    assert_eq!(
        batch.totals.iter().map(|t| (t.kind, t.count, t.amount)).collect::<Vec<_>>(),
        [(Kind::Sale, 1, 1250)]
    );
}

/// Steps of a settlement, each made anew.
type Makers<'a> = &'a [fn() -> Record];

/// A step out of order is refused and changes nothing.
#[test]
fn settlement_steps_out_of_order_are_refused() {
    let reopened = || step(SettlementStep::Reopened { at: at(505), cause: "no answer".to_owned() });
    let all = [
        begun,
        frozen,
        || verdict(Verdict::Agreed),
        || uploaded(8),
        || end(Verdict::Agreed, false),
        reopened,
    ];
    // What is done first, and which of `all` are refused then.
    let cases: [(Makers, &[usize]); 4] = [
        (&[], &[1, 2, 3, 4, 5]),
        (&[begun], &[0, 2, 3, 4]),
        (&[begun, frozen], &[0, 1, 3, 4, 5]),
        (&[begun, frozen, || verdict(Verdict::Agreed)], &[0, 1, 2, 5]),
    ];
    for (before, bad) in cases {
        let (_dir, mut journal) = new_journal();
        for record in before {
            commit(&mut journal, record());
        }
        let loaded = journal.load().unwrap();
        for n in bad {
            assert!(journal.commit(&[all[*n]()], Durability::Full).is_err(), "{} then {n}", before.len());
        }
        assert!(journal.commit(&[sign_on(Some(9))], Durability::Full).is_err() || before.is_empty());
        if !before.is_empty() {
            assert_eq!(journal.load().unwrap(), loaded);
        }
    }
}

/// Before its totals are frozen a settlement may be given up: sales go on in the same batch, and the cause is kept.
#[test]
fn a_settlement_can_be_given_up_before_its_totals() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, begun());
    commit(&mut journal, step(SettlementStep::Reopened { at: at(505), cause: "no line".to_owned() }));
    let loaded = journal.load().unwrap();
    assert_eq!((loaded.settlement, loaded.batch), (None, Some(BatchNumber::FIRST)));
    commit(&mut journal, begun());
    drop(journal);
    let raw = rusqlite::Connection::open(dir.path().join("state/journal.db")).unwrap();
    let text: String = raw.query_row("SELECT text FROM audit", [], |r| r.get(0)).unwrap();
    assert_eq!(text, "settlement of batch 000001 given up: no line");
}

/// By force a batch closes without the bank's verdict, but only after its totals are frozen.
#[test]
fn a_batch_closes_by_force_after_its_totals() {
    let (_dir, mut journal) = new_journal();
    commit(&mut journal, begun());
    assert!(journal.commit(&[end(Verdict::Unknown, true)], Durability::Full).is_err());
    commit(&mut journal, frozen());
    commit(&mut journal, end(Verdict::Unknown, true));
    let batch = journal.batch(None).unwrap().unwrap();
    assert_eq!((batch.forced, batch.verdict.unwrap().0), (true, Verdict::Unknown));
}

/// After batch 999999 comes batch 1, and both are told apart; its settlement's number is not given again.
#[test]
fn batch_numbers_come_round() {
    let (dir, mut journal) = new_journal();
    commit(&mut journal, sign_on(Some(999_999)));
    assert_eq!(journal.batch(None).unwrap(), None, "an empty batch that was replaced is no history");
    commit(&mut journal, begun());
    assert_eq!(commit(&mut journal, frozen()), Some((stan(1), BatchNumber::new(999_999).unwrap())));
    drop(journal);
    let raw = rusqlite::Connection::open(dir.path().join("state/journal.db")).unwrap();
    raw.execute("UPDATE terminal SET next_stan = 1", []).unwrap();
    drop(raw);
    let mut journal = open(&dir.path().join("state"));
    assert_eq!(commit(&mut journal, Record::ReserveStan).unwrap().0, stan(2));
    commit(&mut journal, verdict(Verdict::Agreed));
    commit(&mut journal, end(Verdict::Agreed, false));
    assert_eq!(journal.load().unwrap().batch, Some(BatchNumber::FIRST));
    commit(&mut journal, sending("a", 600));
    assert_eq!(journal.batch(Some(BatchNumber::FIRST)).unwrap().unwrap().state, BatchState::Open);
    assert_eq!(journal.open_batch().unwrap().len(), 1);
}

/// Only the numbered transactions of the open batch are counted, in the order in which their numbers were taken.
#[test]
fn the_open_batch_lists_what_settlement_counts() {
    let (dir, mut journal) = new_journal();
    drop(journal);
    let raw = rusqlite::Connection::open(dir.path().join("state/journal.db")).unwrap();
    raw.execute("UPDATE terminal SET next_stan = 999998", []).unwrap();
    drop(raw);
    journal = open(&dir.path().join("state"));
    for name in ["a", "b", "c", "d"] {
        commit(&mut journal, sending(name, 10));
    }
    let mut none = closed("e", Outcome::Cancelled, ResultCode::CustomerTimeout, None);
    none.start = Some(start("e", 20));
    commit(&mut journal, close(none));
    let stans: Vec<_> = journal.open_batch().unwrap().iter().map(|r| r.stan.unwrap().get()).collect();
    assert_eq!(stans, [999_998, 999_999, 1, 2]);
}

/// A master key of the bus replaces the working keys in the same commit, is read back, and stands nowhere in clear.
#[test]
fn a_master_key_is_kept_sealed_and_the_working_keys_go() {
    let (dir, mut journal) = new_journal();
    let key = |byte| MasterKeyMaterial::new([byte; 16]);
    assert_eq!(journal.load().unwrap().master_key, None);
    commit(&mut journal, sign_on(None));
    commit(&mut journal, Record::MasterKeyLoaded(key(0xA7)));
    let loaded = journal.load().unwrap();
    assert_eq!((loaded.master_key, loaded.keys), (Some(key(0xA7)), None));
    let Record::SignedOn { keys, batch, clock_offset, .. } = sign_on(None) else { panic!("a sign-on") };
    let new_master = Some(key(0xB9));
    commit(&mut journal, Record::SignedOn { keys, new_master, batch, clock_offset });
    drop(journal);
    let state = dir.path().join("state");
    let loaded = open(&state).load().unwrap();
    assert_eq!((loaded.master_key, loaded.keys), (Some(key(0xB9)), Some(super::keys())));
    for file in std::fs::read_dir(&state).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(16).any(|part| part == [0xA7; 16] || part == [0xB9; 16]));
    }
}

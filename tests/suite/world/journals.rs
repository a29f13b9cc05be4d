//! The journal of the worlds against the real one: the same records, the same answers, the same rows.
//!
//! The records are those of simulated days, faults and power cuts included; now and then one is left out, doubled or
//! exchanged with the next, so that both have something to refuse.
use posd::adapters::journal_sqlite::SqliteJournal;
use posd::domain::calendar::WallTime;
use posd::domain::ident::TxnId;
use posd::domain::record::{Loaded, Record, TxnRow};
use posd::ports::{Durability, Journal};
use posd::sim::world::chance::SplitMix64;
use posd::sim::world::days;
use posd::sim::world::disk::Disk;
use std::collections::BTreeSet;

/// The time at which both are made.
const BEGUN: WallTime = WallTime(1_790_000_000_000_000);

/// The same row, with its lists in one order.
fn sorted(mut row: TxnRow) -> TxnRow {
    row.entries.sort_by_key(|entry| entry.entry_type);
    row.plies.sort_by_key(|ply| (ply.copy, ply.ply));
    row.follow_ups.sort_by(|a, b| a.id.cmp(&b.id));
    row
}

fn in_order(rows: Vec<TxnRow>) -> Vec<TxnRow> {
    let mut rows: Vec<TxnRow> = rows.into_iter().map(sorted).collect();
    rows.sort_by(|a, b| a.start.id.cmp(&b.start.id));
    rows
}

/// What recovery reads; the latest twenty are compared row by row instead.
fn comparable(loaded: Loaded) -> Loaded {
    Loaded { open: in_order(loaded.open), recent: Vec::new(), refused: in_order(loaded.refused), ..loaded }
}

/// Fails with the first line in which the two differ.
fn same<T: std::fmt::Debug + PartialEq>(theirs: &T, ours: &T, why: &str) {
    if theirs != ours {
        let (theirs, ours) = (format!("{theirs:#?}"), format!("{ours:#?}"));
        let first = theirs.lines().zip(ours.lines()).position(|(a, b)| a != b).unwrap_or_default();
        let around =
            |text: &str| text.lines().skip(first.saturating_sub(12)).take(16).collect::<Vec<_>>().join("\n");
        panic!("{why}: the real journal has\n{}\nand the model\n{}", around(&theirs), around(&ours));
    }
}

fn named(records: &[Record]) -> impl Iterator<Item = &TxnId> {
    records.iter().filter_map(|record| match record {
        Record::Sending(sending) => Some(&sending.start.id),
        Record::Closed(closed) => Some(&closed.id),
        Record::QueueAttempt { entry, .. }
        | Record::QueueState { entry, .. }
        | Record::Resolved { entry, .. } => Some(&entry.txn),
        Record::PlyState { id, .. } | Record::Unsent { id } => Some(id),
        _ => None,
    })
}

fn compare(seed: u64, mangled: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut real = SqliteJournal::open(folder.path(), [0x5a; 32], BEGUN, Vec::new).unwrap();
    let mut model = Disk::new(BEGUN);
    let mut chance = SplitMix64::new(seed);
    let mut commits = days::commits(seed, 16);
    if mangled {
        for at in (1..commits.len()).rev() {
            match chance.below(24) {
                0 => _ = commits.remove(at),
                1 => commits.insert(at, commits[at].clone()),
                2 => commits.swap(at - 1, at),
                _ => {}
            }
        }
    }
    let mut ids = BTreeSet::new();
    for (at, records) in commits.iter().enumerate() {
        let why = || format!("seed {seed}, commit {at}");
        let (theirs, ours) =
            (real.commit(records, Durability::Full), model.commit(records, Durability::Full));
        match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) => assert_eq!(theirs, ours, "{}", why()),
            (Err(_), Err(_)) => {}
            _ => panic!("the journals disagree: {theirs:?}, {ours:?}: {}", why()),
        }
        for id in named(records) {
            let (theirs, ours) = (real.find(id).unwrap(), model.find(id).unwrap());
            same(&theirs.map(sorted), &ours.map(sorted), &why());
            ids.insert(id.clone());
        }
        if at % 16 == 0 {
            same(&comparable(real.load().unwrap()), &comparable(model.load().unwrap()), &why());
        }
    }
    same(&comparable(real.load().unwrap()), &comparable(model.load().unwrap()), "at the end");
    same(&in_order(real.open_batch().unwrap()), &in_order(model.open_batch().unwrap()), "the open batch");
    for id in &ids {
        same(&real.find(id).unwrap().map(sorted), &model.find(id).unwrap().map(sorted), "a row at the end");
    }
    assert!(!ids.is_empty());
}

/// Goal: what the worlds prove of their journal holds for the real one.
#[test]
fn both_journals_take_the_same_records_to_the_same_rows() {
    (0..4).for_each(|seed| compare(seed, false));
}

/// Goal: both refuse the same contradictions, and keep nothing of what they refuse.
#[test]
fn both_journals_refuse_the_same_contradictions() {
    (0..6).chain([38]).for_each(|seed| compare(seed, true));
}

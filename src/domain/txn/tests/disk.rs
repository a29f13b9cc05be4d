//! A model of the journal for one transaction: what each record does to its row. A commit is all or nothing;
//! a record that contradicts the row is refused, and then nothing of its commit is stored.
use crate::domain::calendar::WallTime;
use crate::domain::ident::{BatchNumber, Stan};
use crate::domain::money::Amount;
use crate::domain::outcome::{CardClass, EntryType, Outcome, PrintState, QueueState};
use crate::domain::record::{
    Closed, EntryId, EntryRow, HostFacts, Loaded, PlyRow, Record, ReversalReason, Sending, TxnRow, TxnStart,
};
use crate::domain::rules::rule;

/// How a commit goes wrong. Each attempt may have reached the disk although it was reported as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreFault {
    /// The first attempt fails; looking again and writing once more helps.
    Once,
    /// The first attempt fails and is found when the journal is opened anew.
    OnceButThere,
    /// Both attempts fail; nothing is there.
    Twice,
    /// The journal cannot be opened again, and the record is there all the same.
    TwiceButThere,
}

/// What the journal gives back for a commit.
pub(super) type Taken = Option<(Stan, BatchNumber)>;

/// The journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) row: Option<TxnRow>,
    /// Every record that is durable, in order.
    pub(super) log: Vec<Record>,
    pub(super) next_stan: u32,
    /// The upload of the original was attempted: it can no longer be withdrawn.
    pub(super) attempted: bool,
    /// The upload that was withdrawn.
    pub(super) withdrawn: Option<EntryId>,
}

fn refuse<T>(why: &str) -> Result<T, String> {
    Err(why.to_owned())
}

impl Disk {
    /// As the journal thread commits: after a failure it looks, and writes once more what is absent.
    pub(super) fn commit(&mut self, records: &[Record], fault: Option<StoreFault>) -> Result<Taken, ()> {
        match fault {
            Some(StoreFault::Twice) => return Err(()),
            Some(StoreFault::TwiceButThere) => {
                self.apply(records).map_err(|_| ())?;
                return Err(());
            }
            Some(StoreFault::OnceButThere) => {
                let taken = self.apply(records).map_err(|_| ())?;
                return self.present(records).map(|_| taken).ok_or(());
            }
            Some(StoreFault::Once) | None => {}
        }
        // A refused commit is an error like any other: looking again may find that it is there already.
        let first = self.apply(records);
        first.or_else(|_| self.present(records).ok_or(()))
    }

    /// One record stands for all of its commit.
    fn present(&self, records: &[Record]) -> Option<Taken> {
        let row = self.row.as_ref()?;
        let reversal = row.reversal();
        let there = records.iter().find_map(|record| match record {
            Record::Sending(_) => Some(row.stan.is_some()),
            Record::Closed(closed) => Some(row.outcome == closed.outcome),
            Record::QueueState { state, .. } => Some(reversal.is_some_and(|r| r.state == *state)),
            Record::Unsent { .. } if records.len() == 1 => Some(row.entries.is_empty()),
            _ => None,
        });
        (there == Some(true)).then(|| row.stan.map(|stan| (stan, row.batch)))
    }

    fn apply(&mut self, records: &[Record]) -> Result<Taken, String> {
        let mut next = self.clone();
        let mut taken = None;
        for record in records {
            if let Some(numbers) = next.write(record)? {
                assert_eq!(taken.replace(numbers), None, "one commit takes one STAN only");
            }
            next.log.push(record.clone());
        }
        *self = next;
        Ok(taken)
    }

    fn write(&mut self, record: &Record) -> Result<Taken, String> {
        match record {
            Record::Sending(sending) => return self.sending(sending).map(Some),
            Record::ReserveStan => return Ok(Some(self.take_stan())),
            Record::Unsent { .. } => match self.armed() {
                Some(row) => row.entries.clear(),
                None => return refuse("nothing is armed"),
            },
            Record::Closed(closed) => return self.closed(closed),
            Record::QueueAttempt { .. } => {
                let reversal = self.row.as_mut().and_then(|row| row.entries.first_mut());
                match reversal.filter(|r| !r.armed && r.state != QueueState::Done) {
                    Some(reversal) => {
                        reversal.attempts += 1;
                        reversal.state = QueueState::Sending;
                    }
                    None => return refuse("the reversal is not due"),
                }
            }
            Record::QueueState { state, ask_again, error, .. } => {
                self.reversal_state(*state, *ask_again, error)?;
            }
            Record::PlyState { ply, copy, state, reason, .. } => {
                let row = self.row.as_mut().ok_or("no row")?;
                row.plies.retain(|known| (known.ply, known.copy) != (*ply, *copy));
                row.plies.push(PlyRow { ply: *ply, copy: *copy, state: *state, reason: reason.clone() });
            }
            other => panic!("no part of a transaction: {other:?}"),
        }
        Ok(None)
    }

    fn take_stan(&mut self) -> (Stan, BatchNumber) {
        self.next_stan += 1;
        (Stan::new(self.next_stan).unwrap(), BatchNumber::FIRST)
    }

    fn armed(&mut self) -> Option<&mut TxnRow> {
        self.row.as_mut().filter(|row| row.entries.iter().any(|entry| entry.armed))
    }

    fn insert(&mut self, start: &TxnStart) -> Result<&mut TxnRow, String> {
        if self.row.is_some() {
            return refuse("the transaction has its row already");
        }
        Ok(self.row.insert(TxnRow {
            start: start.clone(),
            stan: None,
            batch: BatchNumber::FIRST,
            in_open_batch: true,
            card_seen: None,
            card: None,
            masked_pan: String::new(),
            wire: None,
            outcome: Outcome::None,
            result: None,
            host: HostFacts::default(),
            approved_amount: Amount::ZERO,
            finished_at: None,
            card_class: CardClass::Domestic,
            entries: Vec::new(),
            follow_ups: Vec::new(),
            plies: Vec::new(),
        }))
    }

    fn sending(&mut self, sending: &Sending) -> Result<(Stan, BatchNumber), String> {
        self.insert(&sending.start)?;
        let (stan, batch) = self.take_stan();
        let row = self.row.as_mut().ok_or("no row")?;
        row.stan = Some(stan);
        row.batch = batch;
        row.card = Some(sending.card.clone());
        row.wire = Some(sending.wire.clone());
        let icc = sending.wire.reversal_icc.clone();
        row.entries = match sending.arms() {
            Some(EntryType::Reversal) => vec![due(ReversalReason::NoAnswer, true, sending.at, icc)],
            Some(entry_type) => {
                vec![EntryRow { armed: true, ..waits(entry_type, QueueState::Failed, sending.at, vec![]) }]
            }
            None => Vec::new(),
        };
        Ok((stan, batch))
    }

    fn closed(&mut self, closed: &Closed) -> Result<Taken, String> {
        if closed.withdraws.is_some() && self.attempted {
            return refuse("the entry was attempted meanwhile");
        }
        let at = closed.finished_at;
        let row = match &closed.start {
            Some(start) => self.insert(start)?,
            None => self.row.as_mut().ok_or("no row")?,
        };
        if row.outcome != Outcome::None {
            return refuse("it has its outcome already");
        }
        let excepted = row.entry(EntryType::RefundUnknown).is_some_and(|entry| entry.armed);
        if closed.outcome == Outcome::Unknown && closed.reversal.is_none() && !excepted {
            return refuse("unknown without a reversal or an exception");
        }
        if closed.reversal.is_some() && row.stan.is_none() {
            return refuse("it sent no request that could be reversed");
        }
        row.outcome = closed.outcome;
        row.result = Some(closed.result);
        row.host = closed.host.clone();
        row.approved_amount = closed.approved_amount;
        row.finished_at = Some(at);
        row.card = closed.card.clone().or_else(|| row.card.take());
        let icc = closed.reversal_icc.clone().or_else(|| row.wire.as_ref().map(|w| w.reversal_icc.clone()));
        let icc = icc.unwrap_or_default();
        row.entries = closed.reversal.map(|r| due(r, false, at, icc)).into_iter().collect();
        if excepted && closed.outcome == Outcome::Unknown {
            row.entries.push(waits(EntryType::RefundUnknown, QueueState::Failed, at, vec![]));
        }
        if let Some(script) = &closed.script {
            row.entries.push(waits(EntryType::Script, QueueState::Due, at, script.clone()));
        }
        let held = |ply| PlyRow { ply, copy: 0, state: PrintState::Held, reason: String::new() };
        row.plies = closed.plies.iter().copied().map(held).collect();
        let Some(upload) = &closed.upload else {
            self.withdrawn.clone_from(&closed.withdraws);
            return Ok(None);
        };
        row.wire = Some(upload.wire.clone());
        row.entries.push(waits(upload.entry_type, QueueState::Queued, at, upload.wire.icc.clone()));
        let taken = (row.stan.is_none()).then(|| self.take_stan());
        if let (Some((stan, _)), Some(row)) = (taken, self.row.as_mut()) {
            row.stan = Some(stan);
        }
        Ok(taken)
    }

    fn reversal_state(&mut self, state: QueueState, ask_again: bool, error: &str) -> Result<(), String> {
        let row = self.row.as_mut().ok_or("no row")?;
        let reversal = row.entries.first_mut().filter(|r| !r.armed).ok_or("no reversal that was due")?;
        reversal.state = state;
        reversal.ask_again = ask_again;
        error.clone_into(&mut reversal.last_error);
        if state == QueueState::Done && row.outcome == Outcome::Unknown {
            row.outcome = Outcome::Reversed;
        }
        Ok(())
    }

    /// What recovery reads: open ends only.
    pub(super) fn loaded(&self) -> Loaded {
        let open = |row: &TxnRow| {
            row.outcome == Outcome::None
                || row.entries.iter().any(|entry| entry.armed || entry.is_open())
                || row.plies.iter().any(|ply| {
                    matches!(ply.state, PrintState::Held | PrintState::Queued | PrintState::Printing)
                })
        };
        let open = self.row.iter().filter(|row| open(row)).cloned().collect();
        Loaded { open, ..Loaded::default() }
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.row.as_ref().map(|row| row.outcome)
    }

    /// An obligation is durable, armed ones included.
    pub(super) fn owes(&self, entry_type: EntryType) -> bool {
        let entry = self.row.as_ref().and_then(|row| row.entry(entry_type));
        entry.is_some_and(|entry| entry.armed || entry.state != QueueState::Done)
    }

    pub(super) fn owes_upload(&self) -> bool {
        self.owes(EntryType::OfflineSale) || self.owes(EntryType::Advice)
    }

    /// What the silence of the bank would owe is durable: nothing, for a kind that owes nothing.
    pub(super) fn is_armed(&self) -> bool {
        let Some(row) = &self.row else { return false };
        match rule(row.start.kind).silence.entry() {
            Some(entry_type) => row.entry(entry_type).is_some_and(|entry| entry.armed),
            None => row.outcome == Outcome::None,
        }
    }
}

fn waits(entry_type: EntryType, state: QueueState, created_at: WallTime, icc: Vec<u8>) -> EntryRow {
    EntryRow {
        entry_type,
        state,
        armed: false,
        reason: None,
        attempts: 0,
        ask_again: false,
        created_at,
        changed_at: created_at,
        response_code: None,
        last_error: String::new(),
        resolution: None,
        stan: None,
        icc,
    }
}

fn due(reason: ReversalReason, armed: bool, created_at: WallTime, icc: Vec<u8>) -> EntryRow {
    let entry = waits(EntryType::Reversal, QueueState::Due, created_at, icc);
    EntryRow { armed, reason: Some(reason), ..entry }
}

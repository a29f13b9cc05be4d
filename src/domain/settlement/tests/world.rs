//! A model of what is around the machine: a journal that keeps what a settlement stores, a queue that is drained, and a
//! bank. The power can fail at every step; then only the journal is left.
use super::super::{Answer, End, Event, Local, Request, Settlement, Setup};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, OperatorId, ResponseCode, Stan};
use crate::domain::outcome::{BatchState, Verdict};
use crate::domain::profile::VoidedSales;
use crate::domain::record::{Record, SettlementRow, SettlementStep, TxnRow};
use crate::domain::txn::{Now, Vital};
use core::time::Duration;
use std::collections::BTreeSet;

/// The journal, as far as a settlement is concerned. Every step is taken once: one that is repeated changes nothing.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) settlement: Option<SettlementRow>,
    pub(super) batch: u32,
    pub(super) closed: Vec<(u32, Verdict, Verdict, bool)>,
    pub(super) reopened: Vec<String>,
    pub(super) progress: Vec<u32>,
    reserved: BTreeSet<u32>,
    next_stan: u32,
}

impl Disk {
    fn new() -> Self {
        Self {
            settlement: None,
            batch: 1,
            closed: Vec::new(),
            reopened: Vec::new(),
            progress: Vec::new(),
            reserved: BTreeSet::new(),
            next_stan: 500,
        }
    }

    fn take(&mut self) -> Stan {
        self.next_stan += 1;
        self.reserved.insert(self.next_stan);
        Stan::new(self.next_stan).unwrap()
    }

    fn commit(&mut self, records: &[Record]) -> Option<Stan> {
        let mut taken = None;
        for record in records {
            let step = match record {
                Record::ReserveStan => {
                    taken = Some(self.take());
                    continue;
                }
                Record::Settlement(step) => &**step,
                other => panic!("no part of a settlement: {other:?}"),
            };
            match (step, &mut self.settlement) {
                (SettlementStep::Begun { at, operator }, none @ None) => {
                    *none = Some(SettlementRow {
                        state: BatchState::Settling,
                        begun_at: *at,
                        operator: operator.clone(),
                        frozen: None,
                        verdict: None,
                        uploaded: 0,
                    });
                }
                (SettlementStep::Reopened { cause, .. }, row) => {
                    assert!(row.as_ref().is_none_or(|row| row.frozen.is_none()), "reopened after freezing");
                    self.settlement = None;
                    self.reopened.push(cause.clone());
                }
                (SettlementStep::TotalsFrozen { .. }, Some(_)) => {
                    let stan = self.take();
                    taken = Some(stan);
                    let SettlementStep::TotalsFrozen { field48, .. } = step else { unreachable!() };
                    self.settlement.as_mut().unwrap().frozen = Some((field48.clone(), stan));
                }
                (SettlementStep::Verdict { domestic, foreign, .. }, Some(row)) => {
                    row.verdict = Some((*domestic, *foreign));
                    row.state = BatchState::Uploading;
                }
                (SettlementStep::Uploaded { records, .. }, Some(row)) => {
                    row.uploaded = *records;
                    self.progress.push(*records);
                }
                (SettlementStep::Closed { domestic, foreign, forced, .. }, Some(row)) => {
                    assert!(row.frozen.is_some(), "closed before the totals were frozen");
                    self.closed.push((self.batch, *domestic, *foreign, *forced));
                    self.batch += 1;
                    self.settlement = None;
                }
                // Repeated after a commit that was reported as failed.
                (_, _) => {}
            }
        }
        taken
    }
}

/// What goes wrong with the nth message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    NoLine,
    Lost,
    Silent,
    Garbled,
    Refused(&'static str),
}

/// The world.
pub(super) struct World {
    pub(super) disk: Disk,
    pub(super) rows: Vec<TxnRow>,
    pub(super) verdict: (Verdict, Verdict),
    /// Trouble by the number of the message.
    pub(super) trouble: Vec<(usize, Trouble)>,
    /// The queue cannot be emptied.
    pub(super) no_line: bool,
    /// Which stores fail although they are on the disk, by number.
    pub(super) store_faults: Vec<usize>,
    /// The power fails there, by number of the boundary.
    pub(super) cut: Option<usize>,
    /// A supervisor forces the close at this message.
    pub(super) force_at: Option<usize>,
    /// Every message that left, in order.
    pub(super) sent: Vec<Request>,
    /// Boundaries passed.
    pub(super) boundaries: usize,
    stores: usize,
    pub(super) sign_ons: usize,
    now: Now,
    pub(super) highest_progress: u8,
    pub(super) phases: Vec<&'static str>,
}

/// The power failed.
struct Cut;

pub(super) fn setup() -> Setup {
    Setup {
        batch: BatchNumber::FIRST,
        operator: OperatorId::new("01").unwrap(),
        response_timeout: Duration::from_secs(60),
        voided_sales: VoidedSales::BothSides,
    }
}

impl World {
    pub(super) fn new(rows: Vec<TxnRow>, domestic: Verdict, foreign: Verdict) -> Self {
        Self {
            disk: Disk::new(),
            rows,
            verdict: (domestic, foreign),
            trouble: Vec::new(),
            no_line: false,
            store_faults: Vec::new(),
            cut: None,
            force_at: None,
            sent: Vec::new(),
            boundaries: 0,
            stores: 0,
            sign_ons: 0,
            now: Now { boot: BootTime(1_000_000), wall: WallTime(1_000_000) },
            highest_progress: 0,
            phases: Vec::new(),
        }
    }

    fn boundary(&mut self) -> Result<(), Cut> {
        self.boundaries += 1;
        if self.cut == Some(self.boundaries) { Err(Cut) } else { Ok(()) }
    }

    /// From the wish to the end, through a power cut if one is planned. `None`: the power failed before the wish, or
    /// after the end, was durable.
    pub(super) fn run(&mut self, force_close: bool) -> Option<End> {
        let begun = Settlement::begin(setup(), force_close, self.now);
        match self.drive(begun) {
            Ok(end) => Some(end),
            Err(Cut) => {
                let row = self.disk.settlement.clone()?;
                self.highest_progress = 0;
                let batch = BatchNumber::new(self.disk.batch).unwrap();
                self.drive(Settlement::recover(&row, Setup { batch, ..setup() })).ok()
            }
        }
    }

    fn drive(
        &mut self,
        (mut machine, mut effects): (Settlement, crate::domain::txn::Effects<Local, Request>),
    ) -> Result<End, Cut> {
        for _ in 0..10_000 {
            self.observe(&machine);
            let mut next = None;
            for local in &effects.local {
                match local {
                    Local::Drain if self.no_line => {
                        next = Some(Event::NotDrained(Fault::new(FaultName::HostUnreachable, "no line")));
                    }
                    Local::Drain => next = Some(Event::Drained),
                    Local::ReadBatch => next = Some(Event::BatchRead(self.rows.clone())),
                    Local::DropSignOn => self.sign_ons += 1,
                    Local::StopDraining => {}
                }
            }
            let event = match effects.vital {
                Vital::Store(records) => self.store(&records)?,
                Vital::Send(request) => self.send(&request)?,
                Vital::Nothing => match next {
                    Some(event) => event,
                    None if machine.wants_line() => self.line(),
                    None => match (machine.ended(), machine.deadline()) {
                        (Some(end), _) => return Ok(end.clone()),
                        (None, Some(at)) => {
                            self.now = Now { boot: self.now.boot.max(at), wall: WallTime(at.0) };
                            Event::Tick
                        }
                        (None, None) => panic!("it waits for nothing: {machine:?}"),
                    },
                },
            };
            let answer = self.answer_to(&event);
            (machine, effects) = machine.step(event, self.now);
            if let Some(answer) = answer {
                self.boundary()?;
                (machine, effects) = machine.step(answer, self.now);
            }
        }
        panic!("it never ends")
    }

    fn observe(&mut self, machine: &Settlement) {
        assert!(machine.progress() >= self.highest_progress, "progress goes back: {machine:?}");
        self.highest_progress = machine.progress();
        if self.phases.last() != Some(&machine.phase()) {
            self.phases.push(machine.phase());
        }
        let frozen = self.disk.settlement.as_ref().is_some_and(|row| row.frozen.is_some());
        assert!(!(frozen && machine.cancellable()), "cancellable after the totals are frozen");
    }

    fn store(&mut self, records: &[Record]) -> Result<Event, Cut> {
        self.boundary()?;
        let stan = self.disk.commit(records);
        self.boundary()?;
        self.stores += 1;
        let failed = self.store_faults.contains(&self.stores);
        Ok(if failed { Event::StoreFailed } else { Event::Stored(stan) })
    }

    fn line(&mut self) -> Event {
        match self.trouble_now() {
            Some(Trouble::NoLine) => {
                self.over();
                Event::LineFailed("no line".to_owned())
            }
            _ => Event::LineReady,
        }
    }

    fn trouble_now(&self) -> Option<Trouble> {
        self.trouble.first().filter(|(at, _)| *at == self.sent.len()).map(|(_, trouble)| *trouble)
    }

    fn over(&mut self) {
        self.trouble.remove(0);
    }

    /// The rule of the house: nothing leaves before its record is durable.
    fn send(&mut self, request: &Request) -> Result<Event, Cut> {
        self.boundary()?;
        let row = self.disk.settlement.as_ref().expect("a settlement is durable before its messages");
        match request {
            Request::Totals { stan, field48 } => {
                assert_eq!(row.frozen.as_ref(), Some(&(field48.clone(), *stan)));
            }
            Request::Group { stan, .. } | Request::End { stan, .. } => {
                assert!(row.verdict.is_some() && self.disk.reserved.contains(&stan.get()));
            }
            Request::Copy(_) | Request::Chip { .. } => assert!(row.verdict.is_some()),
        }
        self.sent.push(request.clone());
        self.boundary()?;
        if self.force_at == Some(self.sent.len()) {
            return Ok(Event::ForceClose);
        }
        Ok(Event::RequestSent)
    }

    /// What the bank says to the message that has just left.
    fn answer_to(&mut self, event: &Event) -> Option<Event> {
        if *event != Event::RequestSent {
            return None;
        }
        let trouble = self.trouble.first().filter(|(at, _)| at + 1 == self.sent.len()).map(|(_, t)| *t);
        if trouble.is_some() {
            self.over();
        }
        match trouble {
            Some(Trouble::Silent) => None,
            Some(Trouble::Lost) => Some(Event::LineLost),
            Some(Trouble::Garbled) => Some(Event::Garbled),
            Some(Trouble::Refused(code)) => {
                Some(Event::Answered(Answer::Refused(ResponseCode::new(code).unwrap())))
            }
            Some(Trouble::NoLine) | None => Some(Event::Answered(match self.sent.last() {
                Some(Request::Totals { .. }) => Answer::Verdict(self.verdict.0, self.verdict.1),
                _ => Answer::Taken,
            })),
        }
    }
}

//! Each phase, each trouble, and the power failing at every step.
use super::rows::{approved, day};
use super::world::{Trouble, World, setup};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::fault::FaultName;
use crate::domain::ident::Stan;
use crate::domain::outcome::{BatchState, Kind, Outcome, Verdict};
use crate::domain::record::{Record, SettlementRow, SettlementStep, TxnRow};
use crate::domain::settlement::{Answer, End, Event, Local, Report, Request, Settlement, upload};
use crate::domain::txn::{Now, Vital};
use proptest::prelude::*;

use Verdict::{Agreed, Disagreed, Unknown};

const NOW: Now = Now { boot: BootTime(1_000_000), wall: WallTime(1_000_000) };

/// Twenty completions (lines of groups) and two sales with their certificates.
fn busy_day() -> Vec<TxnRow> {
    let mut rows: Vec<TxnRow> = (1..=20).map(|stan| approved(Kind::PreAuthComplete, stan, 100)).collect();
    rows.extend((21..=31).map(|stan| approved(Kind::Sale, stan, 200)));
    rows
}

fn closed(end: Option<End>) -> Report {
    match end {
        Some(End::Closed(report)) => *report,
        other => panic!("not closed: {other:?}"),
    }
}

fn sent_records(sent: &[Request]) -> usize {
    let told = |request: &Request| match request {
        Request::Group { lines, .. } => lines.len(),
        Request::Copy(_) | Request::Chip { .. } => 1,
        Request::Totals { .. } | Request::End { .. } => 0,
    };
    sent.iter().map(told).sum()
}

#[test]
fn an_agreed_batch_is_closed_with_its_certificates_told() {
    let mut world = World::new(day(), Agreed, Agreed);
    let report = closed(world.run(false));
    assert_eq!((report.verdict, report.forced), ((Agreed, Agreed), false));
    assert_eq!((report.uploaded, report.refused), (4, 0));
    assert_eq!(world.disk.closed, [(1, Agreed, Agreed, false)]);
    assert_eq!(world.disk.batch, 2);
    assert!(matches!(world.sent.first(), Some(Request::Totals { .. })));
    assert!(matches!(world.sent.last(), Some(Request::End { records: 4, agreed: true, .. })));
    assert_eq!(report.suspects.len(), 4, "denied, failed, unresolved refund, reversal answered 25");
    assert_eq!(
        world.phases,
        ["draining", "counting", "connecting", "comparing", "uploading", "ending", "closing", "done"]
    );
}

/// The detail goes up in the fixed order, its progress is durable every eight records, and the end counts all.
#[test]
fn a_batch_that_disagrees_sends_its_detail_and_says_so() {
    let mut world = World::new(busy_day(), Disagreed, Agreed);
    let report = closed(world.run(false));
    assert_eq!(report.verdict, (Disagreed, Agreed));
    assert_eq!(sent_records(&world.sent), 31);
    assert!(matches!(world.sent.last(), Some(Request::End { records: 31, agreed: false, .. })));
    let groups: Vec<usize> = world
        .sent
        .iter()
        .filter_map(|request| match request {
            Request::Group { lines, .. } => Some(lines.len()),
            _ => None,
        })
        .collect();
    assert_eq!(groups, [8, 8, 4]);
    assert!(world.disk.progress.windows(2).all(|pair| pair[1] - pair[0] <= 8), "{:?}", world.disk.progress);
    assert_eq!(world.disk.progress.last(), Some(&31));
}

#[test]
fn an_empty_batch_has_nothing_to_settle_and_stays_open() {
    for force in [false, true] {
        let mut world = World::new(Vec::new(), Agreed, Agreed);
        assert_eq!(world.run(force), Some(End::Empty));
        assert!(world.sent.is_empty() && world.disk.closed.is_empty());
        assert_eq!(world.disk.settlement, None);
    }
}

/// Without a line the queue cannot be drained: the job fails before anything is frozen, and sales are taken again.
#[test]
fn a_queue_that_cannot_be_drained_reopens_the_batch() {
    let mut world = World::new(day(), Agreed, Agreed);
    world.no_line = true;
    let Some(End::Failed(fault)) = world.run(false) else { panic!("it did not fail") };
    assert_eq!(fault.name, FaultName::HostUnreachable);
    assert_eq!(world.disk.reopened, ["no line"]);
    assert!(world.disk.settlement.is_none() && world.sent.is_empty());
}

/// Without a line nothing is frozen: sales would have to wait for it.
#[test]
fn a_bank_that_cannot_be_reached_reopens_the_batch() {
    let mut world = World::new(day(), Agreed, Agreed);
    world.trouble = vec![(0, Trouble::NoLine)];
    let Some(End::Failed(fault)) = world.run(false) else { panic!("it did not fail") };
    assert_eq!(fault.name, FaultName::HostUnreachable);
    assert!(world.disk.settlement.is_none() && world.sent.is_empty());
}

/// Whatever becomes of the answers, the 0500 is the same until one of them counts.
#[test]
fn the_totals_are_repeated_identically_until_they_are_answered() {
    let mut world = World::new(day(), Agreed, Agreed);
    world.trouble = vec![
        (0, Trouble::Silent),
        (1, Trouble::Lost),
        (2, Trouble::Garbled),
        (3, Trouble::Refused("96")),
        (4, Trouble::Refused("99")),
        (5, Trouble::NoLine),
    ];
    let report = closed(world.run(false));
    assert_eq!(report.verdict, (Agreed, Agreed));
    let asked: Vec<&Request> =
        world.sent.iter().filter(|request| matches!(request, Request::Totals { .. })).collect();
    assert_eq!(asked.len(), 6);
    assert!(asked.iter().all(|request| *request == asked[0]));
    assert_eq!(world.sign_ons, 1, "only 77, 99 and A0 ask for a sign-on");
    assert!(world.phases.contains(&"retrying"));
}

/// A record without an answer is told again; a refused one is told once and counted.
#[test]
fn the_upload_is_repeated_and_refusals_are_counted() {
    let mut world = World::new(day(), Agreed, Agreed);
    world.trouble = vec![(1, Trouble::Silent), (2, Trouble::Refused("30")), (6, Trouble::Lost)];
    let report = closed(world.run(false));
    assert_eq!((report.uploaded, report.refused), (4, 1));
    assert!(matches!(world.sent.last(), Some(Request::End { records: 4, .. })));
    let ends = world.sent.iter().filter(|request| matches!(request, Request::End { .. })).count();
    assert_eq!(ends, 2, "the lost end is told again");
}

/// A supervisor does not wait: without a verdict it is unknown, with one it stays.
#[test]
fn a_forced_close_keeps_what_the_bank_has_said() {
    let mut world = World::new(day(), Disagreed, Agreed);
    world.force_at = Some(1);
    let report = closed(world.run(false));
    assert_eq!((report.verdict, report.forced), ((Unknown, Unknown), true));
    assert_eq!(world.disk.closed, [(1, Unknown, Unknown, true)]);
    assert_eq!(report.field48.len(), 62);

    let mut world = World::new(day(), Disagreed, Agreed);
    world.force_at = Some(3);
    let report = closed(world.run(false));
    assert_eq!((report.verdict, report.forced), ((Disagreed, Agreed), true));
}

/// A bank that is gone for good: the batch is closed without asking it, its totals are kept.
#[test]
fn a_forced_settlement_asks_nobody() {
    let mut world = World::new(day(), Agreed, Agreed);
    world.no_line = true;
    let report = closed(world.run(true));
    assert!(report.forced && world.sent.is_empty());
    assert_eq!(world.disk.closed, [(1, Unknown, Unknown, true)]);
}

#[test]
fn it_is_cancelled_until_the_totals_are_frozen() {
    let (machine, effects) = Settlement::begin(setup(), false, NOW);
    assert!(matches!(effects.vital, Vital::Store(_)) && machine.cancellable());
    let (machine, effects) = machine.step(Event::Cancel, NOW);
    assert_eq!(effects.vital, Vital::Nothing, "begun is on its way to the disk");
    let (machine, effects) = machine.step(Event::Stored(None), NOW);
    let Vital::Store(records) = effects.vital else { panic!("not reopened") };
    let reopens = |record: &Record| match record {
        Record::Settlement(step) => matches!(**step, SettlementStep::Reopened { .. }),
        _ => false,
    };
    assert!(records.iter().all(reopens));
    let (machine, _) = machine.step(Event::Stored(None), NOW);
    assert!(matches!(machine.ended(), Some(End::Failed(fault)) if fault.name == FaultName::Cancelled));

    let (machine, _) = Settlement::begin(setup(), false, NOW);
    let (machine, _) = machine.step(Event::Stored(None), NOW);
    let (machine, effects) = machine.step(Event::Cancel, NOW);
    assert_eq!(effects.local, [Local::StopDraining]);
    let (machine, _) = machine.step(Event::Stored(None), NOW);
    assert!(machine.ended().is_some());

    let (machine, _) = Settlement::begin(setup(), false, NOW);
    let (machine, _) = machine.step(Event::Stored(None), NOW);
    let (machine, _) = machine.step(Event::Drained, NOW);
    let (machine, _) = machine.step(Event::BatchRead(day()), NOW);
    assert!(machine.cancellable() && machine.wants_line());
    let (machine, _) = machine.step(Event::LineReady, NOW);
    assert!(!machine.cancellable(), "the frozen totals are on their way to the disk");
    let (machine, _) = machine.step(Event::Cancel, NOW);
    assert_eq!(machine.batch_state(), BatchState::Settling);
    assert!(machine.ended().is_none());
}

/// A commit that is reported as failed may be on the disk: writing it once more must not close a second batch.
#[test]
fn failed_stores_are_written_again_without_doing_anything_twice() {
    let stores = {
        let mut world = World::new(busy_day(), Disagreed, Agreed);
        closed(world.run(false));
        world.disk.progress.len() + 6
    };
    for fault in 2..=stores {
        let mut world = World::new(busy_day(), Disagreed, Agreed);
        world.store_faults = vec![fault];
        let report = closed(world.run(false));
        assert_eq!(world.disk.closed, [(1, Disagreed, Agreed, false)], "store {fault}");
        assert_eq!(report.uploaded, 31, "store {fault}");
    }
    let mut world = World::new(busy_day(), Disagreed, Agreed);
    world.store_faults = vec![1];
    assert!(matches!(world.run(false), Some(End::Failed(fault)) if fault.name == FaultName::StorageFault));
    assert_eq!(world.disk.settlement, None, "what may have been begun is reopened");
}

/// The power fails before and after every store, send and answer: afterwards it goes on where it was, the 0500 stays
/// the same, every record is told, the end counts all of them, and one batch is closed.
#[test]
fn power_may_fail_at_every_step() {
    for (rows, domestic) in
        [(busy_day(), Disagreed), (day(), Disagreed), (day(), Agreed), (Vec::new(), Agreed)]
    {
        let plan = upload::plan(&rows, setup().voided_sales, (domestic, Agreed)).len();
        let steps = {
            let mut world = World::new(rows.clone(), domestic, Agreed);
            world.run(false);
            world.boundaries
        };
        for cut in 1..=steps {
            let mut world = World::new(rows.clone(), domestic, Agreed);
            world.cut = Some(cut);
            let end = world.run(false);
            if rows.is_empty() {
                assert!(world.disk.settlement.is_none() || end.is_some(), "cut {cut}");
                continue;
            }
            let wished = cut > 1;
            assert_eq!(world.disk.closed.len(), usize::from(wished), "cut {cut}: {end:?}");
            assert_eq!(world.disk.settlement, None, "cut {cut}");
            if !wished {
                continue;
            }
            let totals: Vec<&Request> =
                world.sent.iter().filter(|request| matches!(request, Request::Totals { .. })).collect();
            assert!(totals.iter().all(|request| *request == totals[0]), "cut {cut}: another 0500");
            assert!(sent_records(&world.sent) >= plan, "cut {cut}: records are missing");
            assert!(sent_records(&world.sent) <= plan + 9, "cut {cut}: more than the open part is repeated");
            let Some(Request::End { records, .. }) = world.sent.last() else { panic!("cut {cut}: no end") };
            assert_eq!(usize::try_from(*records).unwrap(), plan, "cut {cut}");
        }
    }
}

/// Each recorded phase is resumed at that phase.
#[test]
fn recovery_goes_on_at_the_recorded_phase() {
    let row = |frozen: bool, verdict, uploaded| SettlementRow {
        state: BatchState::Settling,
        begun_at: WallTime(1),
        operator: setup().operator,
        frozen: frozen.then(|| {
            let totals =
                crate::domain::settlement::totals::Totals::of(&busy_day(), setup().voided_sales).unwrap();
            (totals.field48(), Stan::new(77).unwrap())
        }),
        verdict,
        uploaded,
    };
    let recover = |row: &SettlementRow| Settlement::recover(row, setup());

    let (machine, effects) = recover(&row(false, None, 0));
    assert_eq!((effects.local, machine.phase()), (vec![Local::Drain], "draining"));

    let (machine, effects) = recover(&row(true, None, 0));
    assert_eq!(effects.local, [Local::ReadBatch]);
    let (machine, _) = machine.step(Event::BatchRead(busy_day()), NOW);
    let (_, effects) = machine.step(Event::LineReady, NOW);
    let Vital::Send(request) = effects.vital else { panic!("nothing is sent") };
    assert!(matches!(*request, Request::Totals { stan, .. } if stan.get() == 77));

    let (machine, _) = recover(&row(true, Some((Disagreed, Agreed)), 16));
    assert_eq!(machine.batch_state(), BatchState::Uploading);
    let (machine, effects) = machine.step(Event::BatchRead(busy_day()), NOW);
    assert_eq!(effects.vital, Vital::Store(vec![Record::ReserveStan]));
    let (machine, _) = machine.step(Event::Stored(Stan::new(90).ok()), NOW);
    let (_, effects) = machine.step(Event::LineReady, NOW);
    let Vital::Send(request) = effects.vital else { panic!("nothing is sent") };
    assert!(matches!(*request, Request::Group { ref lines, .. } if lines.len() == 4), "records 17 to 20");
}

/// What the shop resolved between two runs changes what goes up: the upload begins anew, and nothing is left out.
#[test]
fn an_upload_whose_records_changed_begins_anew() {
    let row = SettlementRow {
        state: BatchState::Uploading,
        begun_at: WallTime(1),
        operator: setup().operator,
        frozen: Some(("0".repeat(62), Stan::new(77).unwrap())),
        verdict: Some((Disagreed, Agreed)),
        uploaded: 16,
    };
    let (machine, _) = Settlement::recover(&row, setup());
    let (machine, _) = machine.step(Event::BatchRead(busy_day()), NOW);
    let (machine, _) = machine.step(Event::Stored(Stan::new(90).ok()), NOW);
    let (_, effects) = machine.step(Event::LineReady, NOW);
    let Vital::Send(request) = effects.vital else { panic!("nothing is sent") };
    assert!(matches!(*request, Request::Group { ref lines, .. } if lines[0].stan.get() == 1));
}

fn event() -> impl Strategy<Value = Event> {
    let stan = prop::sample::select(vec![None, Stan::new(600).ok(), Stan::new(601).ok()]);
    let declined = || {
        let mut rows = day();
        rows.iter_mut().for_each(|row| row.outcome = Outcome::Declined);
        rows
    };
    prop_oneof![
        6 => stan.prop_map(Event::Stored),
        1 => Just(Event::StoreFailed),
        4 => Just(Event::Drained),
        4 => Just(Event::BatchRead(day())),
        1 => Just(Event::BatchRead(declined())),
        1 => Just(Event::ReadFailed("broken".to_owned())),
        6 => Just(Event::LineReady),
        1 => Just(Event::LineFailed("none".to_owned())),
        6 => Just(Event::RequestSent),
        4 => Just(Event::Answered(Answer::Verdict(Disagreed, Agreed))),
        6 => Just(Event::Answered(Answer::Taken)),
        1 => Just(Event::Garbled),
        1 => Just(Event::LineLost),
        1 => Just(Event::Cancel),
        1 => Just(Event::ForceClose),
        2 => Just(Event::Tick),
    ]
}

proptest! {
    /// Any order of events: it never panics, and after its end it wants nothing more.
    #[test]
    fn any_order_of_events_is_taken(events in prop::collection::vec(event(), 0..120)) {
        let (mut machine, _) = Settlement::begin(setup(), false, NOW);
        let mut frozen = false;
        for event in events {
            let ended = machine.ended().is_some();
            let (next, effects) = machine.step(event, NOW);
            if let Vital::Store(records) = &effects.vital {
                for record in records {
                    let Record::Settlement(step) = record else { continue };
                    let reopens = matches!(**step, SettlementStep::Reopened { .. });
                    prop_assert!(!(frozen && reopens));
                    frozen |= matches!(**step, SettlementStep::TotalsFrozen { .. });
                }
            }
            prop_assert!(!ended || (effects.local.is_empty() && effects.vital == Vital::Nothing));
            machine = next;
        }
    }
}

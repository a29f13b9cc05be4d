//! Fault of the printer × moment in a slip × what the printer can prove → job state, and what the paper holds, also once
//! the fault is mended: `src/docs/paper-faults.md`.
use super::{Bench, PATIENCE, a_slip, on_paper};
use posd::adapters::printer_escpos::{Pen, encode};
use posd::domain::receipt::{Block, Document};
use posd::ports::PrintEnd;
use posd::sim::printer::{Fault, Printer, Receipt};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/paper-faults.md");
const INTRODUCTION: &str = "\
# Faults of the printer, and what becomes of a slip

Written by `tests/suite/printer/faults.rs`; `POSD_BLESS=1` writes it anew. A slip is printed on the simulated printer in
text mode, the fault comes at the moment named, is mended, and a second slip is printed. The columns are printers that
prove each slip by a process id (GS ( H), by a barrier and their status (GS r, DLE EOT), and not at all.

A cell says how the job ended, what was on the paper then, and after the arrow what was there once the fault was mended,
if that is more. In every row the second slip comes out whole, and no slip comes out twice: posd sends none again by itself
but those that are *held*, of which no byte was accepted. The second slip has paper of its own, except where a printer that
says nothing has lost a cut: nobody can know of it, and the cell says *joined*.

| fault | moment | process id | status | nothing |
|---|---|---|---|---|
";

/// Each fault with its name, and the moments at which it makes a difference.
const FAULTS: [(Fault, &str); 9] = [
    (Fault::PaperOut, "no paper"),
    (Fault::CoverOpen, "cover open"),
    (Fault::Offline, "switched offline"),
    (Fault::Overheated, "head too hot"),
    (Fault::CutterError, "cutter jams"),
    (Fault::Stall, "takes no more"),
    (Fault::Unplugged, "unplugged"),
    (Fault::Reboot, "loses power for a moment"),
    (Fault::Slow, "slow"),
];
const MOMENTS: [&str; 4] = ["before the slip", "at its first byte", "in the middle", "at its last byte"];
const EVIDENCE: [Option<Fault>; 3] = [None, Some(Fault::NoProcessId), Some(Fault::Mute)];

fn second() -> Document {
    Document { blocks: vec![Block::text("the second slip"), Block::Cut] }
}

/// What of the slip is on paper; blank pieces aside.
fn paper(printer: &Printer, slip: &str, other: &str) -> &'static str {
    let report = printer.report();
    let cut: Vec<&str> = report
        .receipts
        .iter()
        .map(|receipt| receipt.text.trim())
        .filter(|text| *text != other.trim())
        .collect();
    assert!(cut.iter().filter(|text| **text == slip.trim()).count() <= 1, "the slip came out twice");
    if cut.contains(&slip.trim()) {
        "whole"
    } else if report.uncut.trim() == slip.trim() {
        "whole, not cut"
    } else if cut.iter().any(|text| !text.is_empty()) || !report.uncut.trim().is_empty() {
        "a part"
    } else {
        "nothing"
    }
}

/// Waits until the printer has nothing left to do: no connection is open, or it stands still.
fn at_rest(printer: &Printer) {
    let until = Instant::now() + Duration::from_secs(3);
    while printer.report().connections > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn cell(fault: Fault, moment: usize, evidence: Option<Fault>) -> String {
    let printer = Printer::on_loopback().unwrap();
    evidence.into_iter().for_each(|fault| printer.set(fault));
    let mut bench = Bench::on(printer.address());
    bench.online();
    let (slip, other) = (a_slip(), second());
    let (text, other_text) = (on_paper(&slip), on_paper(&other));
    let pen = Pen::new(384, false);
    let bytes = encode(&slip, &pen).unwrap().concat().len();
    match moment {
        0 => printer.set(fault),
        1 => printer.set_after(1, fault),
        2 => printer.set_after(bytes / 2, fault),
        _ => printer.set_after(bytes, fault),
    }
    let end = bench.end(&slip);
    at_rest(&printer);
    let then = paper(&printer, &text, &other_text);
    printer.set(Fault::Nothing);
    evidence.into_iter().for_each(|fault| printer.set(fault));

    // The second slip: held as long as the printer's return is not noticed.
    let until = Instant::now() + PATIENCE;
    let mut end_of_second = bench.end(&other);
    while matches!(end_of_second, PrintEnd::Held(_)) && Instant::now() < until {
        end_of_second = bench.end(&other);
    }
    let proven = if evidence == Some(Fault::Mute) { "no-evidence" } else { "" };
    match end_of_second {
        PrintEnd::Confirmed => assert_eq!(proven, ""),
        PrintEnd::Unconfirmed(why) => assert_eq!(why, proven, "{fault:?} {moment} {evidence:?}"),
        other => panic!("{fault:?} {moment} {evidence:?}: {other:?}"),
    }
    at_rest(&printer);
    let report = printer.report();
    let ends = |receipt: &&Receipt| receipt.text.trim().ends_with(other_text.trim());
    let seconds: Vec<&Receipt> = report.receipts.iter().filter(ends).collect();
    let [only] = seconds[..] else { panic!("{fault:?} {moment} {evidence:?}: {report:?}") };
    let joined = only.text.trim() != other_text.trim();
    assert!(!joined || evidence == Some(Fault::Mute), "{fault:?} {moment} {evidence:?}: {report:?}");
    let last = paper(&printer, &text, &other_text);
    let job = match &end {
        PrintEnd::Confirmed => "confirmed".to_owned(),
        PrintEnd::Unconfirmed(why) => format!("unconfirmed ({why})"),
        PrintEnd::Held(why) => format!("held ({why})"),
        PrintEnd::Failed(why) => format!("failed ({why})"),
    };
    if matches!(end, PrintEnd::Held(_)) {
        assert_eq!(last, "nothing", "{fault:?} {moment} {evidence:?}: a held slip has no byte on paper");
    }
    if evidence == Some(Fault::Mute) && moment > 0 && matches!(fault, Fault::Unplugged | Fault::Reboot) {
        // Whether the end of the connection is seen before the last byte is sent is a race that nobody can win.
        assert!(matches!(end, PrintEnd::Unconfirmed(_)), "{fault:?} {moment}: {end:?}");
        return "unconfirmed: perhaps a part, perhaps joined".to_owned();
    }
    if fault == Fault::Stall && moment == 2 {
        // posd hangs up on a printer that reads no more; whether that one still gets what was on its way, the network
        // decides.
        assert!(matches!(last, "a part" | "whole"), "{last} {report:?}");
        return format!("{job}: {then} → perhaps whole");
    }
    let came = if last == then { String::new() } else { format!(" → {last}") };
    format!("{job}: {then}{came}{}", if joined { ", joined" } else { "" })
}

/// Goal: whatever fails at whatever moment, the job's state tells the truth about the paper, and the next slip is whole.
#[test]
fn the_table_of_paper_faults_is_true() {
    let rows: Vec<(Fault, &str, usize)> = FAULTS
        .into_iter()
        .flat_map(|(fault, name)| (0..MOMENTS.len()).map(move |moment| (fault, name, moment)))
        // These come at the cut, or at no moment of their own.
        .filter(|(fault, _, moment)| !matches!(fault, Fault::CutterError | Fault::Slow) || *moment == 0)
        .collect();
    let mut text = INTRODUCTION.to_owned();
    // Mostly they wait: a few at a time.
    for some in rows.chunks(6) {
        std::thread::scope(|scope| {
            let cells: Vec<_> = some
                .iter()
                .map(|(fault, _, moment)| {
                    EVIDENCE.map(|evidence| scope.spawn(move || cell(*fault, *moment, evidence)))
                })
                .collect();
            for ((fault, name, moment), cells) in some.iter().zip(cells) {
                let moment = match fault {
                    Fault::CutterError => "at the cut",
                    Fault::Slow => "all the time",
                    _ => MOMENTS.get(*moment).copied().unwrap_or_default(),
                };
                let [id, status, nothing] = cells.map(|cell| cell.join().expect("the row passed"));
                writeln!(text, "| {name} | {moment} | {id} | {status} | {nothing} |").unwrap();
            }
        });
    }
    if std::env::var_os("POSD_BLESS").is_some() {
        std::fs::write(TABLE, &text).unwrap();
    }
    let kept = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(text, kept, "src/docs/paper-faults.md is stale; POSD_BLESS=1 writes it anew");
}

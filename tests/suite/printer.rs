//! The printer: encoder against the simulated printer's own reader, and every fault to its [`PrintEnd`].
//!
//! `/dev/usb/lp0` needs a kernel module and a device; here its port is tried over a socket pair (unit tests of the
//! port), a plain file and a path that is not there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests fail like tests, and read golden and output files"
)]
mod faults;

use crate::slips::{approved, signed, slip};
use posd::adapters::printer_escpos::{
    Chinese, Device, Flow, Line, Pen, PrinterHandle, PrinterSettings, Timing, encode, start,
};
use posd::domain::outcome::Ply;
use posd::domain::quirks::{self, Proof, Traits};
use posd::domain::receipt::{Block, Document, text};
use posd::domain::slip::Language;
use posd::ports::{Learnt, PrintEnd, PrinterCommand, PrinterEvent, PrinterStatus};
use posd::sim::printer::{Args, Fault, Printer};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

/// A printer thread and its events.
struct Bench {
    runtime: tokio::runtime::Runtime,
    events: mpsc::Receiver<PrinterEvent>,
    handle: PrinterHandle,
    next_job: u64,
}

/// Short enough for tests, long enough for a loaded machine.
fn quick() -> Timing {
    Timing {
        connect: Duration::from_secs(1),
        answer: Duration::from_millis(600),
        stall: Duration::from_millis(500),
        proof: Duration::from_secs(2),
        probe: Duration::from_millis(50),
        paper_mm_s: 2000,
    }
}

impl Bench {
    fn of(device: Device, chinese: Chinese) -> Self {
        Self::with_quirks(device, chinese, "")
    }

    /// With a quirk file of this text.
    fn with_quirks(device: Device, chinese: Chinese, text: &str) -> Self {
        let quirks = quirks::read(std::path::Path::new("10-test.toml"), text).unwrap();
        let (sender, events) = mpsc::channel(32);
        let glyphs = crate::paper::typeface();
        let settings = PrinterSettings {
            device,
            line: Line { flow: Flow::Nothing, ..Line::default() },
            width_dots: Some(384),
            chinese,
            glyphs,
            drawer: None,
            quirks,
            timing: quick(),
        };
        let handle = start(settings, sender).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { runtime, events, handle, next_job: 1 }
    }

    fn on(address: SocketAddr) -> Self {
        let device = format!("tcp:{address}").parse().unwrap();
        Self::of(device, Chinese::Gb18030)
    }

    fn event(&mut self) -> PrinterEvent {
        let next = async { tokio::time::timeout(PATIENCE, self.events.recv()).await };
        self.runtime.block_on(next).expect("an event in time").expect("the thread lives")
    }

    /// The next status for which `wanted` holds.
    fn status(&mut self, wanted: impl Fn(&Option<PrinterStatus>) -> bool) -> Option<PrinterStatus> {
        loop {
            match self.event() {
                PrinterEvent::Status(status) if wanted(&status) => return status,
                PrinterEvent::Status(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn online(&mut self) -> PrinterStatus {
        self.status(|status| status.as_ref().is_some_and(|status| status.online)).unwrap()
    }

    /// Prints and gives the end, whether it was started, and the statuses on the way.
    fn print(&mut self, document: &Document) -> (PrintEnd, bool, Vec<Option<PrinterStatus>>) {
        let job = self.next_job;
        self.next_job += 1;
        self.handle
            .try_send(PrinterCommand::Print { job, document: document.clone(), after_break: false })
            .unwrap();
        let (mut started, mut statuses) = (false, Vec::new());
        loop {
            match self.event() {
                PrinterEvent::Started { job: which } => {
                    assert_eq!((which, started), (job, false));
                    started = true;
                }
                PrinterEvent::Done { job: which, end } => {
                    assert_eq!(which, job);
                    return (end, started, statuses);
                }
                PrinterEvent::Status(status) => statuses.push(status),
                PrinterEvent::Learnt { .. } => panic!("nothing was to be learnt"),
            }
        }
    }

    /// Has the printer asked for all.
    fn learn(&mut self) -> Result<Box<Learnt>, &'static str> {
        self.handle.try_send(PrinterCommand::Learn { id: 7 }).unwrap();
        loop {
            if let PrinterEvent::Learnt { id, result } = self.event() {
                assert_eq!(id, 7);
                return result;
            }
        }
    }

    fn end(&mut self, document: &Document) -> PrintEnd {
        self.print(document).0
    }
}

fn held(reason: &str) -> PrintEnd {
    PrintEnd::Held(reason.to_owned())
}

fn unconfirmed(reason: &str) -> PrintEnd {
    PrintEnd::Unconfirmed(reason.to_owned())
}

fn a_slip() -> Document {
    slip(&signed(), Language::Zh, Ply::Merchant, false)
}

/// The lines of a document without the tear mark, as the simulated printer writes them.
fn on_paper(document: &Document) -> String {
    let shown = text(document, 32);
    let body = shown.trim_end().strip_suffix("- - - - - - - - - - - - - - - -").unwrap();
    format!("{}\n", body.trim_end())
}

/// What the encoder wrote, another reader reads: the same lines, each slip on its own paper, nothing unknown.
#[test]
fn a_slip_comes_out_of_the_printer_as_it_was_laid_out() {
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::on(printer.address());
    let status = bench.online();
    assert_eq!((status.model.as_str(), status.evidence.as_str()), ("SIM-58", "process-id"));
    assert_eq!((status.paper.as_str(), status.cover.as_str(), status.columns), ("ok", "closed", 32));
    let plies = [
        slip(&approved(), Language::Zh, Ply::Merchant, false),
        slip(&approved(), Language::En, Ply::Customer, true),
        Document { blocks: vec![Block::text("镕野家 é ★"), Block::Cut] },
    ];
    for ply in &plies {
        assert_eq!(bench.print(ply), (PrintEnd::Confirmed, true, Vec::new()));
    }
    let report = printer.report();
    assert_eq!(report.errors, Vec::<String>::new());
    let shown: Vec<String> = report.receipts.into_iter().map(|receipt| receipt.text).collect();
    assert_eq!(shown, plies.iter().map(on_paper).collect::<Vec<_>>());
}

/// Not ready before the first byte: held, nothing sent, and the printer's return is told so that it can be tried again.
#[test]
fn a_printer_that_is_not_ready_gets_no_byte_and_its_return_is_told() {
    for (fault, reason) in [
        (Fault::PaperOut, "paper-out"),
        (Fault::CoverOpen, "cover-open"),
        (Fault::Offline, "offline"),
        (Fault::Mute, "no-answer"),
        (Fault::Stall, "no-answer"),
    ] {
        let printer = Printer::on_loopback().unwrap();
        let mut bench = Bench::on(printer.address());
        bench.online();
        let before = printer.report().bytes;
        printer.set(fault);
        let (end, started, statuses) = bench.print(&a_slip());
        assert_eq!((end, started), (held(reason), false), "{fault:?}");
        assert!(!statuses.last().unwrap().as_ref().unwrap().online, "{fault:?}");
        assert_eq!(printer.report().bytes, before, "{fault:?}");
        printer.set(Fault::Nothing);
        bench.online();
        assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed, "{fault:?}");
        assert_eq!(printer.report().receipts.len(), 1, "{fault:?}");
    }
}

#[test]
fn the_status_names_paper_and_cover() {
    let check = |fault, paper: &str, cover: &str, online| {
        let printer = Printer::on_loopback().unwrap();
        printer.set(fault);
        let mut bench = Bench::on(printer.address());
        let status = bench.status(|_| true).unwrap();
        let told = (status.paper.as_str(), status.cover.as_str(), status.online);
        assert_eq!(told, (paper, cover, online), "{fault:?}");
    };
    check(Fault::PaperLow, "low", "closed", true);
    check(Fault::PaperOut, "out", "closed", false);
    check(Fault::CoverOpen, "ok", "open", false);
    check(Fault::Mute, "unknown", "unknown", true);
}

/// The paper ends inside the slip: some of it is on paper, so it is not sent again by itself.
#[test]
fn paper_that_ends_inside_a_slip_leaves_it_unconfirmed() {
    for evidence in [None, Some(Fault::NoProcessId)] {
        let printer = Printer::on_loopback().unwrap();
        evidence.into_iter().for_each(|fault| printer.set(fault));
        let mut bench = Bench::on(printer.address());
        bench.online();
        printer.set_after(300, Fault::PaperOut);
        let (end, started, statuses) = bench.print(&a_slip());
        assert_eq!((end, started), (unconfirmed("paper-out"), true));
        assert_eq!(statuses.last().unwrap().as_ref().unwrap().paper, "out");
        assert!(!printer.report().uncut.is_empty());
        printer.set(Fault::Nothing);
        bench.online();
    }
}

/// A printer that stops reading in the middle has the bytes or not: nobody knows.
#[test]
fn a_printer_that_stops_reading_inside_a_slip_leaves_it_unconfirmed() {
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::on(printer.address());
    bench.online();
    printer.set_after(100, Fault::Stall);
    let (end, started, _) = bench.print(&a_slip());
    assert_eq!((end, started), (unconfirmed("no-answer"), true));
    printer.set(Fault::Nothing);
    bench.online();
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
}

/// More than all buffers hold: the sender itself notices the stall.
#[test]
fn a_stall_that_fills_all_buffers_ends_in_time() {
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::on(printer.address());
    bench.online();
    printer.set_after(100, Fault::Stall);
    let long = Document { blocks: vec![Block::Rule; 200_000] };
    assert_eq!(bench.end(&long), unconfirmed("stalled"));
}

#[test]
fn a_connection_that_closes_inside_a_slip_leaves_it_unconfirmed() {
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::on(printer.address());
    bench.online();
    printer.set_after(100, Fault::Unplugged);
    let (end, started, _) = bench.print(&a_slip());
    assert_eq!((end, started), (unconfirmed("gone"), true));
    printer.set(Fault::Nothing);
    bench.online();
    // The next slip is not garbled by the half of the last one, nor on the same paper.
    let whole = a_slip();
    assert_eq!(bench.end(&whole), PrintEnd::Confirmed);
    let report = printer.report();
    assert_eq!(report.errors, Vec::<String>::new());
    let papers: Vec<&str> = report.receipts.iter().map(|receipt| &*receipt.text).collect();
    assert!(matches!(papers[..], [half, next] if half != next && next == on_paper(&whole)), "{papers:?}");
}

/// What hung out of the printer before the terminal started is cut off before the first slip, also if that one had to wait.
#[test]
fn what_an_earlier_life_left_is_cut_off_once() {
    let printer = Printer::on_loopback().unwrap();
    printer.set(Fault::PaperOut);
    let mut bench = Bench::on(printer.address());
    let slip = a_slip();
    let first = PrinterCommand::Print { job: 1, document: slip.clone(), after_break: true };
    bench.handle.try_send(first).unwrap();
    let end = loop {
        if let PrinterEvent::Done { end, .. } = bench.event() {
            break end;
        }
    };
    assert_eq!(end, held("paper-out"));
    printer.set(Fault::Nothing);
    bench.online();
    for _ in 0..2 {
        assert_eq!(bench.end(&slip), PrintEnd::Confirmed);
    }
    let papers: Vec<String> = printer.report().receipts.into_iter().map(|receipt| receipt.text).collect();
    assert_eq!(papers.len(), 3, "{papers:?}");
    assert_eq!(papers[0].trim(), "");
    assert_eq!(papers[1..], [on_paper(&slip), on_paper(&slip)]);
}

/// Without process ids the barrier and the status afterwards are the proof.
#[test]
fn a_printer_without_process_ids_proves_by_its_status() {
    let printer = Printer::on_loopback().unwrap();
    printer.set(Fault::NoProcessId);
    let mut bench = Bench::on(printer.address());
    assert_eq!(bench.online().evidence, "poll");
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    assert_eq!(printer.report().errors, Vec::<String>::new());
}

/// A printer that says nothing prints, and nothing is proven.
#[test]
fn a_mute_printer_prints_without_proof() {
    let printer = Printer::on_loopback().unwrap();
    printer.set(Fault::Mute);
    let mut bench = Bench::on(printer.address());
    assert_eq!(bench.online().evidence, "none");
    assert_eq!(bench.end(&a_slip()), unconfirmed("no-evidence"));
    assert!(printer.wait_for(1, PATIENCE));
}

#[test]
fn an_absent_printer_holds_the_job_and_is_found_when_it_comes() {
    let address = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let mut bench = Bench::on(address);
    assert!(!bench.status(|_| true).unwrap().online);
    assert_eq!(bench.end(&a_slip()), held("unreachable"));
    let printer =
        Printer::start(&Args { listen: address, out: None, control: None, width_dots: 384 }).unwrap();
    bench.online();
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    assert_eq!(printer.report().receipts.len(), 1);

    let mut bench = Bench::of(Device::Special("/dev/usb/no-such-printer".into()), Chinese::Auto);
    assert!(!bench.status(|_| true).unwrap().online);
    assert_eq!(bench.end(&a_slip()), held("absent"));
}

/// Goal: what is known of a make counts: its width, its paper without a cut, and that its word is worth nothing; and what
/// the settings say counts over it.
#[test]
fn a_known_make_is_printed_on_as_it_needs() {
    let printer = Printer::on_loopback().unwrap();
    let device: Device = format!("tcp:{}", printer.address()).parse().unwrap();
    let text = "[[printer]]\nmodel = \"SIM-*\"\nwidth-dots = 576\ncutter = false\nfeed-lines = 7\nproof = \"none\"\n\
                [[printer]]\nmodel = \"other\"\nstatus = false\n";
    let mut bench = Bench::with_quirks(device, Chinese::Gb18030, text);
    let known =
        |status: &Option<PrinterStatus>| status.as_ref().is_some_and(|status| !status.quirks.is_empty());
    let status = bench.status(known).unwrap();
    let said = ["width-dots=576", "cutter=false", "feed-lines=7", "proof=none"];
    assert_eq!(status.quirks, said.map(|said| format!("{said} (10-test.toml)")));
    // The settings of the bench say 384.
    assert_eq!((status.evidence.as_str(), status.dots), ("none", 384));
    assert_eq!(bench.end(&a_slip()), unconfirmed("no-evidence"));
    let uncut = Pen { feed_lines: 7, cutter: false, ..Pen::new(384, false) };
    let bytes = encode(&a_slip(), &uncut).unwrap().concat();
    assert!(
        !bytes.windows(2).any(|two| two == b"\x1dV") && bytes.windows(3).any(|three| three == b"\x1bd\x07")
    );
    assert_eq!(printer.report().receipts.len(), 0, "the simulated printer ends a slip at a cut");
    assert_eq!(printer.report().errors, Vec::<String>::new());
}

/// Goal: a printer is asked for all it tells, and prints the page on which a person reads the rest; one in trouble is
/// left alone.
#[test]
fn a_printer_is_asked_for_all() {
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::on(printer.address());
    bench.online();
    let expected = Learnt {
        usb: None,
        maker: "POSD".to_owned(),
        model: "SIM-58".to_owned(),
        firmware: "1.0".to_owned(),
        status: true,
        proof: Proof::ProcessId,
        cutter: Some(true),
        chinese: Some(true),
    };
    assert_eq!(bench.learn(), Ok(Box::new(expected)));
    let report = printer.report();
    // A real one goes on in the next line, which is what is to be seen; the simulated one calls it a fault of slips.
    assert!(
        matches!(report.errors.as_slice(), [long] if long.starts_with("a line of 768 dots")),
        "{:?}",
        report.errors
    );
    let [page] = report.receipts.as_slice() else { panic!("{:?}", report.receipts) };
    assert!(page.text.contains("  28  32  36") && page.text.contains("汉字 ABC"), "{}", page.text);
    printer.set(Fault::PaperOut);
    assert_eq!(bench.learn(), Err("paper-out"));
    assert_eq!(printer.report().receipts.len(), 1);
}

/// A network printer serves several hosts: between jobs nobody holds a connection.
#[test]
fn two_terminals_share_a_network_printer() {
    let printer = Printer::on_loopback().unwrap();
    let (mut one, mut two) = (Bench::on(printer.address()), Bench::on(printer.address()));
    one.online();
    two.online();
    for _ in 0..2 {
        assert_eq!(one.end(&a_slip()), PrintEnd::Confirmed);
        assert_eq!(two.end(&a_slip()), PrintEnd::Confirmed);
    }
    assert_eq!(printer.report().errors, Vec::<String>::new());
}

/// A pseudo-terminal as a serial line, with what goes over it led to the simulated printer and back.
fn on_a_line(printer: &Printer) -> (std::path::PathBuf, std::thread::JoinHandle<()>) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    // A line whose other end nobody holds ends at once.
    let held = std::fs::OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let stream = std::net::TcpStream::connect(printer.address()).unwrap();
    let (mut back, mut answers) =
        (std::fs::File::from(ours.try_clone().unwrap()), stream.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
    let forth = std::thread::spawn(move || {
        // It ends with the test.
        drop(std::io::copy(&mut std::fs::File::from(ours), &mut &stream));
        drop(held);
    });
    (name.into(), forth)
}

/// Goal: on a serial line slips are text, bytes arrive as they were sent, and the end is proven as on any other way.
#[test]
fn a_serial_line_is_printed_on_as_text() {
    let printer = Printer::on_loopback().unwrap();
    let (path, _forth) = on_a_line(&printer);
    let mut bench = Bench::of(Device::Special(path.clone()), Chinese::Auto);
    let status = bench.online();
    assert_eq!((status.evidence.as_str(), status.model.as_str()), ("process-id", "SIM-58"));
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    let report = printer.report();
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(report.receipts[0].text, on_paper(&a_slip()));
    // Bytes that a terminal would change or take for itself: carriage return, end of file, flow control.
    let modes = rustix::termios::tcgetattr(std::fs::File::open(&path).unwrap()).unwrap();
    assert!(!modes.output_modes.contains(rustix::termios::OutputModes::OPOST));
    assert!(!modes.local_modes.contains(rustix::termios::LocalModes::ICANON));
    assert_eq!(modes.output_speed(), 115_200);
    printer.set(Fault::PaperOut);
    assert_eq!(bench.end(&a_slip()), held("paper-out"));
}

#[test]
fn a_file_takes_the_bytes_and_counts_as_printed_once_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slips.bin");
    let mut bench = Bench::of(Device::File(path.clone()), Chinese::Auto);
    assert_eq!(bench.online().evidence, "none");
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    let pen = Pen::new(384, false);
    let bytes = encode(&a_slip(), &pen).unwrap().concat();
    assert_eq!(std::fs::read(path).unwrap(), [bytes.clone(), bytes].concat());
}

/// Over a network slips go out as dots; paper that ends in the middle stops the slip at a band, and little of it waits in
/// the printer.
#[test]
fn pictures_are_proven_like_text_and_stop_at_a_band() {
    if crate::paper::typeface().is_none() {
        return;
    }
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::of(format!("tcp:{}", printer.address()).parse().unwrap(), Chinese::Auto);
    bench.online();
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    let report = printer.report();
    assert_eq!(report.errors, Vec::<String>::new());
    assert!(report.receipts[0].text.ends_with(" rows of dots]\n"), "{}", report.receipts[0].text);
    printer.set_after(4000, Fault::PaperOut);
    let before = printer.report().bytes;
    assert_eq!(bench.end(&a_slip()), unconfirmed("paper-out"));
    let sent = printer.report().bytes - before;
    assert!((4000..8000).contains(&sent), "{sent} bytes went to a printer without paper");
    printer.set(Fault::Nothing);
    bench.online();
    // What was cut off is ended with white dots: the next slip is whole.
    printer.set_after(9000, Fault::Unplugged);
    assert_eq!(bench.end(&a_slip()), unconfirmed("gone"));
    printer.set(Fault::Nothing);
    bench.online();
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    assert_eq!(printer.report().errors, Vec::<String>::new());
}

/// Without a font what was to be dots goes out as text.
#[test]
fn without_a_font_slips_are_text() {
    let settings = |chinese| PrinterSettings {
        device: "tcp:192.0.2.1:9100".parse().unwrap(),
        line: Line::default(),
        width_dots: Some(384),
        chinese,
        glyphs: None,
        drawer: None,
        quirks: Vec::new(),
        timing: quick(),
    };
    let text = encode(&a_slip(), &settings(Chinese::Gb18030).pen(&Traits::default(), false)).unwrap();
    assert_eq!(encode(&a_slip(), &settings(Chinese::Raster).pen(&Traits::default(), false)).unwrap(), text);
}

#[test]
fn the_thread_ends_with_its_last_handle() {
    let printer = Printer::on_loopback().unwrap();
    let mut bench = Bench::on(printer.address());
    bench.online();
    let Bench { runtime, mut events, handle, .. } = bench;
    drop(handle);
    let end = runtime.block_on(async { tokio::time::timeout(PATIENCE, events.recv()).await });
    assert_eq!(end, Ok(None));
}

/// The demo drives the printer by lines on a socket and finds text and pictures in a directory.
#[test]
fn the_control_socket_sets_faults_and_receipts_are_left_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let (out, control) = (folder.path().join("receipts"), folder.path().join("printer.sock"));
    let printer = Printer::start(&Args {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        out: Some(out.clone()),
        control: Some(control.clone()),
        width_dots: 384,
    })
    .unwrap();
    let ask = |request: &str| {
        let mut socket = UnixStream::connect(&control).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(socket, "{request}").unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        BufReader::new(socket).lines().map(Result::unwrap).collect::<Vec<_>>()
    };
    let mut bench = Bench::on(printer.address());
    bench.online();
    assert_eq!(ask("paper-out"), ["ok"]);
    assert_eq!(bench.end(&a_slip()), held("paper-out"));
    assert_eq!(ask("wait-for 1 1"), ["timeout"]);
    assert_eq!(ask("ok"), ["ok"]);
    bench.online();
    assert_eq!(bench.end(&a_slip()), PrintEnd::Confirmed);
    assert_eq!(ask("wait-for 1 20000"), ["ok 1"]);
    assert_eq!(ask("receipts"), ["receipt-1", "ok 1"]);
    assert_eq!(ask("errors"), ["ok 0"]);
    assert!(ask("explode")[0].starts_with("error: "));
    assert_eq!(std::fs::read_to_string(out.join("receipt-1.txt")).unwrap(), on_paper(&a_slip()));
    if printer.report().no_pictures.is_none() {
        let picture = out.join("receipt-1.png");
        assert_eq!(&std::fs::read(picture).unwrap()[1..4], b"PNG");
    }
}

//! The printer itself: one thread that owns paper, buffer, faults and connections, and does one message at a time.
use super::draw::{Glyph, Strip};
use super::reader::{Command, next};
use super::{Fault, Receipt, Report};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// Bytes that wait while it cannot print; then it reads no more.
const BUFFER_MAX: usize = 64 * 1024;
const RECEIPTS_MAX: usize = 1000;
/// A slow printer takes so many bytes, and pauses.
const PORTION: usize = 64;
const PAUSE: Duration = Duration::from_millis(10);
const ERRORS_MAX: usize = 1000;
/// No connection: nobody hears the answers.
const NOBODY: u64 = u64::MAX;
const IDLE: Duration = Duration::from_secs(3600);

/// What the mechanism is told.
pub(super) enum Message {
    Opened {
        connection: u64,
        stream: TcpStream,
    },
    /// `more` is answered when the next bytes may be read.
    Bytes {
        connection: u64,
        bytes: Vec<u8>,
        more: SyncSender<()>,
    },
    Closed {
        connection: u64,
    },
    /// A picture is there, or why not.
    Drawn(Result<(), String>),
    Order(Order),
}

/// From the library or the control socket.
pub(super) enum Order {
    Set {
        fault: Fault,
        /// So many document bytes from now.
        after: usize,
        done: SyncSender<()>,
    },
    Report(SyncSender<Report>),
    WaitFor {
        count: usize,
        until: Instant,
        answer: SyncSender<bool>,
    },
    Stop,
}

/// Where receipts are left.
pub(super) struct Out {
    pub(super) folder: PathBuf,
    /// To the thread that draws.
    pub(super) pictures: SyncSender<(PathBuf, Strip)>,
}

#[derive(Default)]
struct Faults {
    paper_out: bool,
    paper_low: bool,
    cover_open: bool,
    offline: bool,
    overheated: bool,
    /// At the next cut.
    cutter_jams: bool,
    cutter_error: bool,
    stalled: bool,
    unplugged: bool,
    slow: bool,
    no_process_id: bool,
    mute: bool,
    /// No fault: the cash drawer is open, and its switch high.
    drawer_open: bool,
    /// What comes after so many bytes.
    later: Vec<(usize, Fault)>,
}

impl Faults {
    const fn ready(&self) -> bool {
        !(self.paper_out || self.cover_open || self.offline || self.overheated || self.cutter_error)
    }

    /// The answer to DLE EOT n, as recorded from an emulator for each fault.
    fn real_time(&self, which: u8) -> u8 {
        let bits: &[(bool, u8)] = match which {
            1 => &[(!self.ready(), 0x08), (self.drawer_open, 0x04)],
            2 => &[
                (self.cover_open, 0x04),
                (self.paper_out, 0x20),
                (self.cutter_error || self.overheated, 0x40),
            ],
            3 => &[(self.cutter_error, 0x08), (self.overheated, 0x40)],
            4 => &[(self.paper_out, 0x6c), (self.paper_low, 0x0c)],
            _ => &[],
        };
        bits.iter().filter(|(set, _)| *set).fold(0x12, |answer, (_, bit)| answer | bit)
    }
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a real-time command.
    carry: Vec<u8>,
    /// Bytes not taken yet, and the reader that waits.
    rest: Vec<u8>,
    more: Option<SyncSender<()>>,
    /// Taken and not carried out.
    buffer: Vec<u8>,
    /// A fault has stopped it: that it ends inside a command is no surprise.
    broken: bool,
    /// What a slow printer has taken since its last pause, and when it goes on.
    portion: usize,
    rests_until: Option<Instant>,
}

impl Connection {
    const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            carry: Vec::new(),
            rest: Vec::new(),
            more: None,
            buffer: Vec::new(),
            broken: false,
            portion: 0,
            rests_until: None,
        }
    }
}

impl Connection {
    /// The cable is out: what has not been taken is lost.
    fn cut_off(&mut self) {
        self.broken = true;
        self.stream.shutdown(Shutdown::Both).ok();
        self.rest.clear();
        self.carry.clear();
        self.rests_until = None;
    }
}

pub(super) struct Mechanism {
    faults: Faults,
    connections: BTreeMap<u64, Connection>,
    /// What connections that are gone have left in the memory of a printer that could not print.
    orphaned: Vec<u8>,
    multi_byte: bool,
    align: u8,
    bold: bool,
    scale: u8,
    line: Vec<Glyph>,
    paper: Strip,
    out: Option<Out>,
    cut: usize,
    /// Receipts whose files are written; all that are cut, where there are no files.
    left: usize,
    report: Report,
    waiting: Vec<(usize, Instant, SyncSender<bool>)>,
}

impl Mechanism {
    pub(super) fn new(width_dots: u32, out: Option<Out>) -> Self {
        Self {
            faults: Faults::default(),
            connections: BTreeMap::new(),
            orphaned: Vec::new(),
            multi_byte: false,
            align: 0,
            bold: false,
            scale: 1,
            line: Vec::new(),
            paper: Strip::new(width_dots),
            out,
            cut: 0,
            left: 0,
            report: Report::default(),
            waiting: Vec::new(),
        }
    }

    pub(super) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let now = Instant::now();
            let waits = self.waiting.iter().map(|(_, until, _)| *until);
            let rests = self.connections.values().filter_map(|open| open.rests_until);
            let next = waits.chain(rests).min().unwrap_or(now + IDLE);
            match messages.recv_timeout(next.saturating_duration_since(now)) {
                Ok(Message::Opened { connection, stream }) => {
                    stream.set_write_timeout(Some(Duration::from_secs(1))).ok();
                    self.connections.insert(connection, Connection::new(stream));
                }
                Ok(Message::Bytes { connection, bytes, more }) => {
                    if let Some(open) = self.connections.get_mut(&connection) {
                        open.rest.extend(bytes);
                        open.more = Some(more);
                        self.take(connection);
                    }
                }
                Ok(Message::Closed { connection }) => self.closed(connection),
                Ok(Message::Drawn(drawn)) => {
                    self.left = self.left.saturating_add(1);
                    self.report.no_pictures = drawn.err();
                }
                Ok(Message::Order(Order::Set { fault, after, done })) => {
                    self.set(fault, after);
                    done.send(()).ok();
                }
                Ok(Message::Order(Order::Report(answer))) => {
                    answer.send(self.reported()).ok();
                }
                Ok(Message::Order(Order::WaitFor { count, until, answer })) => {
                    self.waiting.push((count, until, answer));
                }
                Ok(Message::Order(Order::Stop)) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.wake_slow();
            self.answer_waiting();
        }
        for connection in self.connections.values() {
            connection.stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn set(&mut self, fault: Fault, after: usize) {
        if after > 0 {
            self.faults.later.push((after, fault));
            return;
        }
        self.apply(fault);
        let orphaned = std::mem::take(&mut self.orphaned);
        self.orphaned = self.carry_out(NOBODY, orphaned);
        let open: Vec<u64> = self.connections.keys().copied().collect();
        for connection in open {
            self.carry_out_of(connection);
            self.take(connection);
        }
    }

    fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::Nothing => {
                self.faults = Faults { drawer_open: self.faults.drawer_open, ..Faults::default() };
            }
            Fault::DrawerIn => self.faults.drawer_open = false,
            Fault::PaperOut => self.faults.paper_out = true,
            Fault::PaperLow => self.faults.paper_low = true,
            Fault::CoverOpen => self.faults.cover_open = true,
            Fault::Offline => self.faults.offline = true,
            Fault::Overheated => self.faults.overheated = true,
            Fault::CutterError => self.faults.cutter_jams = true,
            Fault::Stall => self.faults.stalled = true,
            Fault::Unplugged => self.faults.unplugged = true,
            Fault::Reboot => self.reboot(),
            Fault::Slow => self.faults.slow = true,
            Fault::NoProcessId => self.faults.no_process_id = true,
            Fault::Mute => self.faults.mute = true,
        }
    }

    /// Everything that power keeps is gone; the paper is not.
    fn reboot(&mut self) {
        for open in self.connections.values_mut() {
            open.cut_off();
            open.buffer.clear();
        }
        self.orphaned.clear();
        self.obey(NOBODY, Command::Init);
    }

    /// Goes on with what a slow printer has put off.
    fn wake_slow(&mut self) {
        let now = Instant::now();
        let due = |open: &Connection| open.rests_until.is_some_and(|until| until <= now);
        let due: Vec<u64> =
            self.connections.iter().filter(|(_, open)| due(open)).map(|(id, _)| *id).collect();
        for connection in due {
            if let Some(open) = self.connections.get_mut(&connection) {
                (open.rests_until, open.portion) = (None, 0);
            }
            self.take(connection);
        }
    }

    /// Takes the bytes of a connection one by one, until they are used up or a fault stops it.
    fn take(&mut self, connection: u64) {
        loop {
            let Some(open) = self.connections.get_mut(&connection) else { return };
            if self.faults.stalled || open.buffer.len() > BUFFER_MAX {
                open.broken = true;
                return;
            }
            if open.rests_until.is_some() {
                return;
            }
            if self.faults.unplugged {
                open.cut_off();
            }
            if open.rest.is_empty() {
                if let Some(more) = open.more.take() {
                    more.send(()).ok();
                }
                return;
            }
            open.carry.push(open.rest.remove(0));
            match open.carry.as_slice() {
                [0x10] | [0x10, 0x04] => {}
                [0x10, 0x04, which @ 1..=4] => {
                    let answer = self.faults.real_time(*which);
                    open.carry.clear();
                    self.answer(connection, &[answer]);
                }
                _ => {
                    let bytes = std::mem::take(&mut open.carry);
                    open.portion = open.portion.saturating_add(bytes.len());
                    if self.faults.slow && open.portion >= PORTION {
                        open.rests_until = Some(Instant::now() + PAUSE);
                    }
                    self.report.bytes = self.report.bytes.saturating_add(bytes.len());
                    open.buffer.extend(&bytes);
                    self.count_down(bytes.len());
                    self.carry_out_of(connection);
                }
            }
        }
    }

    /// Faults that wait come nearer.
    fn count_down(&mut self, bytes: usize) {
        for (left, _) in &mut self.faults.later {
            *left = left.saturating_sub(bytes);
        }
        let (due, later) =
            std::mem::take(&mut self.faults.later).into_iter().partition(|(left, _)| *left == 0);
        self.faults.later = later;
        let due: Vec<(usize, Fault)> = due;
        due.into_iter().for_each(|(_, fault)| self.apply(fault));
    }

    fn closed(&mut self, connection: u64) {
        let Some(gone) = self.connections.remove(&connection) else { return };
        if !self.faults.ready() {
            self.orphaned.extend(gone.buffer);
        } else if !gone.buffer.is_empty() && !gone.broken {
            self.error(format!("the job ends inside a command: {:02x?}", gone.buffer));
        }
    }

    fn carry_out_of(&mut self, connection: u64) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        let buffer = std::mem::take(&mut open.buffer);
        let left = self.carry_out(connection, buffer);
        if let Some(open) = self.connections.get_mut(&connection) {
            open.buffer = left;
        }
    }

    /// Obeys the whole commands of a buffer and gives back what is left.
    fn carry_out(&mut self, connection: u64, mut buffer: Vec<u8>) -> Vec<u8> {
        while self.faults.ready() {
            let Some((command, length)) = next(&buffer, self.multi_byte) else { break };
            buffer.drain(..length.min(buffer.len()));
            self.obey(connection, command);
        }
        buffer
    }

    fn obey(&mut self, connection: u64, command: Command) {
        match command {
            Command::Char(c) => self.line.push(Glyph { c, bold: self.bold, scale: self.scale }),
            Command::LineFeed => self.end_line(),
            Command::Dots { row_bytes, bytes } => {
                if !self.line.is_empty() {
                    self.error("a picture in the middle of a line".to_owned());
                }
                if let Err(wide) = self.paper.add_dots(row_bytes, bytes) {
                    self.error(wide);
                }
            }
            Command::Init => {
                self.line.clear();
                (self.multi_byte, self.align, self.bold, self.scale) = (false, 0, false, 1);
            }
            Command::Pulse => {
                self.faults.drawer_open = true;
                self.report.pulses = self.report.pulses.saturating_add(1);
            }
            Command::MultiByte(on) => self.multi_byte = on,
            Command::Align(align) => self.align = align,
            Command::Bold(bold) => self.bold = bold,
            Command::Scale(scale) => self.scale = scale,
            Command::Feed(lines) => {
                if !self.line.is_empty() {
                    self.end_line();
                }
                (0..lines).for_each(|_| self.end_line());
            }
            Command::Cut if self.faults.cutter_jams => {
                // The blade hangs: nothing goes on until somebody frees it.
                (self.faults.cutter_jams, self.faults.cutter_error) = (false, true);
                if !self.line.is_empty() {
                    self.end_line();
                }
            }
            Command::Cut => self.cut_paper(),
            Command::Barrier => {
                let near_end = if self.faults.paper_low { 0x03 } else { 0 };
                self.answer(connection, &[near_end]);
            }
            Command::ProcessId(id) if !self.faults.no_process_id => {
                self.answer(connection, &[b"\x37\x22".as_slice(), &id, b"\0"].concat());
            }
            Command::ProcessId(_) | Command::Nothing => {}
            Command::Identify(67) => self.answer(connection, b"\x5fSIM-58\0"),
            Command::Identify(66) => self.answer(connection, b"\x5fPOSD\0"),
            Command::Identify(65) => self.answer(connection, b"\x5f1.0\0"),
            // Two-byte characters and a cutter.
            Command::Identify(2) => self.answer(connection, &[0x03]),
            Command::Identify(other) => self.error(format!("GS I {other}")),
            Command::Unknown(what) => self.error(what),
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Err(wide) = self.paper.add(line, self.align) {
            self.error(wide);
        }
    }

    fn cut_paper(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        let piece = self.paper.cut();
        self.cut = self.cut.saturating_add(1);
        let text = piece.text();
        match &self.out {
            None => self.left = self.cut,
            Some(out) => {
                let stem = out.folder.join(format!("receipt-{}", self.cut));
                let written = std::fs::write(stem.with_extension("txt"), &text);
                let drawing = out.pictures.try_send((stem.with_extension("png"), piece));
                if let Err(error) = written {
                    self.error(format!("{}: {error}", stem.display()));
                }
                if drawing.is_err() {
                    self.left = self.left.saturating_add(1);
                    self.error(format!("{}: too many pictures wait to be drawn", stem.display()));
                }
            }
        }
        self.report.receipts.push(Receipt { number: self.cut, text });
        if self.report.receipts.len() > RECEIPTS_MAX {
            self.report.receipts.remove(0);
        }
    }

    fn answer(&mut self, connection: u64, bytes: &[u8]) {
        if self.faults.mute {
            return;
        }
        if let Some(open) = self.connections.get_mut(&connection) {
            // A host that has gone hears nothing.
            open.stream.write_all(bytes).ok();
        }
    }

    fn answer_waiting(&mut self) {
        let (left, now) = (self.left, Instant::now());
        self.waiting.retain(|(count, until, answer)| {
            let there = left >= *count;
            if there || now >= *until {
                answer.send(there).ok();
            }
            !there && now < *until
        });
    }

    fn reported(&self) -> Report {
        Report { uncut: self.paper.text(), connections: self.connections.len(), ..self.report.clone() }
    }

    fn error(&mut self, what: String) {
        if self.report.errors.len() < ERRORS_MAX {
            self.report.errors.push(what);
        }
    }
}

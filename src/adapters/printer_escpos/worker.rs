//! What the thread does: jobs one after the other, a look at the printer at start and while it is in trouble.
use super::encode::{Pen, encode, feeding};
use super::learn::{Known, examine};
use super::port::{self, Stop};
use super::talk::{Condition, NoAnswer, Talk, process_id, process_id_request};
use super::{Device, PrinterSettings};
use crate::domain::quirks::{Proof as Evidence, Traits, UsbId, apply};
use crate::domain::receipt::{Document, columns};
use crate::ports::{PrintEnd, PrinterCommand, PrinterEvent, PrinterStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Between two looks at a printer that is printing.
const WATCH: Duration = Duration::from_millis(250);
const CLOSE: Duration = Duration::from_secs(1);
/// Why a slip is unconfirmed of which nothing can be proven.
const NO_EVIDENCE: &str = "no-evidence";

/// The engine is gone; the thread ends.
struct EngineGone;

/// A document on its way.
struct Job<'a> {
    number: u64,
    document: &'a Document,
    after_break: bool,
}

pub(super) struct Worker {
    settings: PrinterSettings,
    /// What is known of its make, the same in words, and how documents are written for it.
    traits: Traits,
    /// The way to it is.
    slow: bool,
    quirks: Vec<String>,
    pen: Pen,
    events: mpsc::Sender<PrinterEvent>,
    /// It has answered a status request. Forgotten, with the next, when it is gone: it may come back as another.
    answers: bool,
    known: Option<Known>,
    /// As last told.
    told: Option<Option<PrinterStatus>>,
    /// Look again soon: it is in trouble, or the last job was.
    watch: bool,
    /// The last paper may not be cut off, and its last command may want so many bytes more, at most.
    open_bytes: Option<usize>,
}

impl Worker {
    pub(super) fn new(settings: PrinterSettings, events: mpsc::Sender<PrinterEvent>) -> Self {
        let pen = settings.pen(&Traits::default(), false);
        Self {
            settings,
            traits: Traits::default(),
            slow: false,
            quirks: Vec::new(),
            pen,
            events,
            answers: false,
            known: None,
            told: None,
            watch: false,
            open_bytes: None,
        }
    }

    /// Works until the last handle or the engine is gone.
    pub(super) fn run(mut self, queue: &Receiver<PrinterCommand>) {
        if self.probe().is_err() {
            return;
        }
        let mut next_probe = Instant::now() + self.settings.timing.probe;
        loop {
            let command = if self.watch {
                queue.recv_timeout(next_probe.saturating_duration_since(Instant::now()))
            } else {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let done = match command {
                Ok(PrinterCommand::Print { job, document, after_break }) => {
                    self.print(&Job { number: job, document: &document, after_break })
                }
                Ok(PrinterCommand::Feed { lines }) => self.order(&feeding(lines)),
                Ok(PrinterCommand::OpenDrawer) => match self.settings.drawer {
                    Some(drawer) => self.order(&drawer.pulse(&self.traits)),
                    None => Ok(()),
                },
                Ok(PrinterCommand::Learn { id }) => self.learn(id),
                Err(RecvTimeoutError::Timeout) => self.probe(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if done.is_err() {
                return;
            }
            next_probe = Instant::now() + self.settings.timing.probe;
        }
    }

    fn tell(&self, event: PrinterEvent) -> Result<(), EngineGone> {
        self.events.blocking_send(event).map_err(|_| EngineGone)
    }

    /// Looks at the printer and tells what changed.
    fn probe(&mut self) -> Result<(), EngineGone> {
        match self.look() {
            Ok((talk, condition)) => {
                talk.close(CLOSE).ok();
                self.tell_condition(condition)
            }
            Err(reason) => self.tell_trouble(reason),
        }
    }

    fn print(&mut self, job: &Job<'_>) -> Result<(), EngineGone> {
        let end = self.attempt(job)?;
        self.tell(PrinterEvent::Done { job: job.number, end })
    }

    /// Has a printer that can do something at once: one that cannot would do it when somebody has mended it. What a
    /// cut-off job has left is cut off first, as before a slip.
    fn order(&mut self, command: &[u8]) -> Result<(), EngineGone> {
        let (mut talk, condition) = match self.look() {
            Ok(found) => found,
            Err(reason) => return self.tell_trouble(reason),
        };
        if condition.and_then(Condition::trouble).is_none() {
            let mut bytes = self.open_bytes.map(|open| self.pen.clearing(open)).unwrap_or_default();
            bytes.extend(command);
            let sent = talk.send(&bytes, self.settings.timing.stall);
            if let Some(stop) = sent.stop {
                // A part of the clearing is none, and a command may be open: it begins anew.
                if sent.accepted > 0 {
                    self.open_bytes = Some(bytes.len());
                }
                talk.close(CLOSE).ok();
                return self.tell_trouble(stop.word());
            }
            self.open_bytes = None;
        }
        // It answers when it has come so far: the drawer's switch says what the pulse has done.
        let after = if condition.is_some() { talk.condition().ok() } else { None };
        talk.close(CLOSE).ok();
        self.tell_condition(after.or(condition))
    }

    /// One job from its encoding to its end.
    fn attempt(&mut self, job: &Job<'_>) -> Result<PrintEnd, EngineGone> {
        if job.after_break {
            self.open_bytes.get_or_insert(0); // told once, true until a printer has been cleared
        }
        let (mut talk, condition) = match self.look() {
            Ok(found) => found,
            Err(reason) => return self.held(reason),
        };
        // Only now is it known for which printer.
        let mut pieces = match encode(job.document, &self.pen) {
            Ok(pieces) => pieces,
            Err(error) => {
                talk.close(CLOSE).ok();
                return Ok(PrintEnd::Failed(error.to_string()));
            }
        };
        if let Some(reason) = condition.and_then(Condition::trouble) {
            talk.close(CLOSE).ok();
            return self.held_by(reason, condition);
        }
        self.tell_condition(condition)?;
        let longest_bytes = pieces.iter().map(Vec::len).max().unwrap_or(0).max(self.open_bytes.unwrap_or(0));
        if self.open_bytes.is_some() {
            pieces.insert(0, self.pen.clearing(longest_bytes));
        }
        let evidence = self.evidence();
        if evidence == Evidence::ProcessId {
            pieces.push(process_id_request(process_id(job.number)));
        }
        self.tell(PrinterEvent::Started { job: job.number })?;
        let (accepted, stop) = self.send(&mut talk, &pieces, condition.is_some());
        let end = match stop {
            Some((reason, _)) if accepted == 0 => self.held(reason)?,
            Some((reason, condition)) => {
                talk.close(CLOSE).ok();
                self.unconfirmed(reason, condition)?
            }
            None => self.prove(job, talk, evidence)?,
        };
        // What is not proven may hang out of the printer, cut nowhere. Where nothing is ever proven that says nothing.
        let cut = match &end {
            PrintEnd::Unconfirmed(why) => why == NO_EVIDENCE,
            PrintEnd::Confirmed | PrintEnd::Held(_) | PrintEnd::Failed(_) => end == PrintEnd::Confirmed,
        };
        if accepted > 0 {
            self.open_bytes = (!cut).then_some(longest_bytes);
        }
        Ok(end)
    }

    /// Sends piece after piece, and looks at the printer between two of them: what is sent to one without paper comes
    /// out when somebody loads it, perhaps for the next customer. Gives the bytes accepted, and why not all.
    fn send(
        &self,
        talk: &mut Talk,
        pieces: &[Vec<u8>],
        mut ask: bool,
    ) -> (usize, Option<(&'static str, Option<Condition>)>) {
        let mut accepted = 0_usize;
        for piece in pieces {
            if ask && accepted > 0 {
                match talk.trouble() {
                    Ok(None) => {}
                    Ok(Some((reason, condition))) => return (accepted, Some((reason, Some(condition)))),
                    // It answers when it has done what it has: no more questions.
                    Err(NoAnswer::Silent) => ask = false,
                    Err(NoAnswer::Gone) => return (accepted, Some((Stop::Gone.word(), None))),
                }
            }
            let sent = talk.send(piece, self.settings.timing.stall);
            accepted = accepted.saturating_add(sent.accepted);
            if let Some(stop) = sent.stop {
                return (accepted, Some((stop.word(), None)));
            }
        }
        (accepted, None)
    }

    /// All bytes were accepted: finds out whether they are on paper.
    fn prove(&mut self, job: &Job<'_>, mut talk: Talk, evidence: Evidence) -> Result<PrintEnd, EngineGone> {
        if !talk.answers() {
            // Choice: a file is printed when it is on the disk.
            return if talk.close(CLOSE).is_ok() {
                Ok(PrintEnd::Confirmed)
            } else {
                self.unconfirmed("not-written", None)
            };
        }
        let mm = self.pen.height_mm(job.document);
        let speed = self.traits.paper_mm_s.unwrap_or(self.settings.timing.paper_mm_s).max(1);
        let printing = Duration::from_millis(mm.saturating_mul(1000) / u64::from(speed));
        let proof = match evidence {
            Evidence::ProcessId => self.await_process_id(&mut talk, process_id(job.number), printing),
            Evidence::Poll => self.await_paper(&mut talk, printing),
            Evidence::Nothing => self.await_nothing(&mut talk),
        };
        let closed = talk.close(CLOSE);
        match proof {
            Ok(()) => Ok(PrintEnd::Confirmed),
            // A printer that says nothing, and has let go while it was being sent to.
            Err((NO_EVIDENCE, None)) if closed == Err(Stop::Gone) => {
                self.unconfirmed(Stop::Gone.word(), None)
            }
            Err((reason, condition)) => self.unconfirmed(reason, condition),
        }
    }

    /// Waits for the id to come back. Trouble meanwhile ends the wait: what is on paper then, a person must see.
    fn await_process_id(&self, talk: &mut Talk, id: [u8; 4], printing: Duration) -> Proof {
        let until = Instant::now() + printing + self.settings.timing.proof;
        loop {
            if talk.came(until.min(Instant::now() + WATCH), |talk| talk.has_printed(id)).map_err(gone)? {
                return Ok(());
            }
            match talk.condition() {
                _ if talk.has_printed(id) => return Ok(()),
                Ok(condition) => in_order(condition)?,
                Err(NoAnswer::Gone) => return Err(gone(NoAnswer::Gone)),
                Err(NoAnswer::Silent) => {} // busy printing; the id is what counts
            }
            if Instant::now() >= until {
                return Err(("no-answer", None));
            }
        }
    }

    /// Waits for the barrier, then watches the status for as long as the paper needs.
    fn await_paper(&self, talk: &mut Talk, printing: Duration) -> Proof {
        let printed = Instant::now() + printing;
        let until = printed + self.settings.timing.proof;
        talk.send_barrier().map_err(gone)?;
        loop {
            let passed = talk.came(until.min(Instant::now() + WATCH), Talk::passed_barrier).map_err(gone)?;
            let condition = talk.condition().map_err(gone)?;
            in_order(condition)?;
            if passed && Instant::now() >= printed {
                return Ok(());
            }
            if !passed && Instant::now() >= until {
                return Err(("no-answer", None));
            }
            if passed {
                let pause = printed.min(Instant::now() + WATCH);
                talk.came(pause, |_| false).map_err(gone)?;
            }
        }
    }

    /// Nothing can prove the end; the status may still name the trouble.
    fn await_nothing(&self, talk: &mut Talk) -> Proof {
        if self.answers {
            in_order(talk.condition().map_err(gone)?)?;
        }
        Err((NO_EVIDENCE, None))
    }

    /// Opens the way and asks for the condition, `None` where the printer says nothing; learns what it can do at the
    /// first good chance. Else one word why a job would be held.
    fn look(&mut self) -> Result<(Talk, Option<Condition>), &'static str> {
        let timing = self.settings.timing;
        let port = port::open(&self.settings.device, self.settings.line, &timing).inspect_err(|reason| {
            if *reason != "busy" {
                (self.answers, self.known) = (false, None);
            }
        })?;
        self.recognise(port::usb_of(&self.settings.device), port.is_slow());
        let mut talk = Talk::new(port, timing.answer);
        if !talk.answers() || self.traits.status == Some(false) {
            return Ok((talk, None));
        }
        match talk.condition() {
            Ok(condition) => {
                self.answers = true;
                if self.known.is_none() && condition.trouble().is_none() {
                    self.known = Some(Known::of(&mut talk).ok_or("unreachable")?);
                    self.recognise(port::usb_of(&self.settings.device), self.slow);
                }
                let means_something = self.traits.status != Some(false);
                Ok((talk, means_something.then_some(condition)))
            }
            // One that has answered before is not ready now; one that never did cannot.
            Err(NoAnswer::Silent) if self.answers => {
                talk.close(CLOSE).ok();
                Err("no-answer")
            }
            Err(NoAnswer::Silent) => Ok((talk, None)),
            Err(NoAnswer::Gone) => Err("unreachable"),
        }
    }

    /// Takes up what is known of printers of this make.
    fn recognise(&mut self, usb: Option<UsbId>, slow: bool) {
        let model = self.known.as_ref().map_or("", |known| &known.model);
        let (traits, quirks) = apply(&self.settings.quirks, usb, model);
        if traits != self.traits {
            tracing::info!(model, quirks = quirks.join(", "), "printer is of a known make");
        }
        if traits != self.traits || slow != self.slow {
            self.pen = self.settings.pen(&traits, slow);
        }
        (self.traits, self.quirks, self.slow) = (traits, quirks, slow);
    }

    /// How the end of a job can be proven.
    fn evidence(&self) -> Evidence {
        let most = self.traits.proof.unwrap_or(Evidence::ProcessId);
        self.known.as_ref().map_or(Evidence::Nothing, |known| known.proof(most))
    }

    /// Asks a ready printer for everything, and has it print the page to be read.
    fn learn(&mut self, id: u64) -> Result<(), EngineGone> {
        let result = match self.look() {
            Err(reason) => {
                self.tell_trouble(reason)?;
                Err(reason)
            }
            Ok((mut talk, condition)) => {
                let usb = port::usb_of(&self.settings.device);
                let known = self.known.as_ref().filter(|_| condition.is_some());
                let result = match condition.and_then(Condition::trouble) {
                    None => examine(&mut talk, known, usb, self.settings.timing.stall),
                    Some(reason) => Err(reason),
                };
                talk.close(CLOSE).ok();
                self.tell_condition(condition)?;
                result
            }
        };
        self.tell(PrinterEvent::Learnt { id, result: result.map(Box::new) })
    }

    fn held(&mut self, reason: &'static str) -> Result<PrintEnd, EngineGone> {
        self.tell_trouble(reason)?;
        Ok(PrintEnd::Held(reason.to_owned()))
    }

    fn held_by(
        &mut self,
        reason: &'static str,
        condition: Option<Condition>,
    ) -> Result<PrintEnd, EngineGone> {
        self.tell_condition(condition)?;
        Ok(PrintEnd::Held(reason.to_owned()))
    }

    fn unconfirmed(
        &mut self,
        reason: &'static str,
        condition: Option<Condition>,
    ) -> Result<PrintEnd, EngineGone> {
        if condition.is_some() {
            self.tell_condition(condition)?;
        } else if reason != NO_EVIDENCE {
            self.known = None; // what it can prove is asked anew
            self.tell_trouble(reason)?;
        }
        Ok(PrintEnd::Unconfirmed(reason.to_owned()))
    }

    /// Tells a condition if it is new. A printer that says nothing is taken as ready.
    fn tell_condition(&mut self, condition: Option<Condition>) -> Result<(), EngineGone> {
        let mut status = self.unknown_status();
        status.online = condition.is_none_or(|condition| condition.trouble().is_none());
        if let Some(condition) = condition {
            let paper = match condition {
                Condition { paper_out: true, .. } => "out",
                Condition { paper_low: true, .. } => "low",
                _ => "ok",
            };
            paper.clone_into(&mut status.paper);
            if condition.cover_open { "open" } else { "closed" }.clone_into(&mut status.cover);
            if condition.cutter_error { "error" } else { "ok" }.clone_into(&mut status.cutter);
            status.overheated = condition.overheated;
            let switch = self.settings.drawer.and_then(|drawer| drawer.open_is_high);
            status.drawer_open = switch.map(|high| condition.drawer_high == high);
        }
        self.tell_status(Some(status))
    }

    /// Tells that nothing can be printed now, and that no more is known.
    fn tell_trouble(&mut self, reason: &str) -> Result<(), EngineGone> {
        let none_found = matches!(self.settings.device, Device::Auto | Device::Usb(..)) && reason == "absent";
        let status = (!none_found).then(|| self.unknown_status());
        self.tell_status(status)
    }

    fn tell_status(&mut self, status: Option<PrinterStatus>) -> Result<(), EngineGone> {
        let quiet = |status: &PrinterStatus| status.online && status.drawer_open != Some(true);
        self.watch = !status.as_ref().is_some_and(quiet);
        if self.told.as_ref() == Some(&status) {
            return Ok(());
        }
        self.told = Some(status.clone());
        self.tell(PrinterEvent::Status(status))
    }

    fn unknown_status(&self) -> PrinterStatus {
        let device = match &self.settings.device {
            device @ (Device::Auto | Device::Usb(..) | Device::Special(_)) => {
                port::file_of(device).map_or_else(String::new, |path| path.display().to_string())
            }
            Device::File(path) => format!("file:{}", path.display()),
            Device::Tcp(host, port) => format!("tcp:{host}:{port}"),
        };
        PrinterStatus {
            device,
            model: self.known.as_ref().map_or_else(String::new, |known| known.model.clone()),
            online: false,
            paper: "unknown".to_owned(),
            cover: "unknown".to_owned(),
            cutter: "unknown".to_owned(),
            overheated: false,
            columns: columns(self.pen.width_dots),
            dots: self.pen.width_dots,
            evidence: self.evidence().word().to_owned(),
            drawer_open: None,
            quirks: self.quirks.clone(),
        }
    }
}

/// Proven, or one word why not and the condition that showed it.
type Proof = Result<(), (&'static str, Option<Condition>)>;

const fn gone(why: NoAnswer) -> (&'static str, Option<Condition>) {
    match why {
        NoAnswer::Silent => ("no-answer", None),
        NoAnswer::Gone => (Stop::Gone.word(), None),
    }
}

fn in_order(condition: Condition) -> Proof {
    condition.trouble().map_or(Ok(()), |reason| Err((reason, Some(condition))))
}

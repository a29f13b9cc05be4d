//! Paper that tells of no transaction: a shop's own slips, the test page, an empty line or two.
//!
//! A slip of the shop's goes through the same queue and has the same guards as a receipt: it is held while the printer
//! is not ready, printed once, and printed again only when somebody says so. Choice: nothing of it is in the journal,
//! so after a restart it is gone; who wants it again asks again, and no restart prints anything twice.
use super::Engine;
use super::handle::Notice;
use super::paper::{Of, OwnKind, PrintKey};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::receipt::Document;
use crate::domain::slip::page::{PrinterFacts, marked, own_slip, test_page};
use crate::ports::{PrinterCommand, PrinterStatus};
use std::collections::BTreeMap;

/// Jobs that keep their objects after their end; older ones go.
const KEPT: usize = 8;

/// The documents of such paper, by number.
#[derive(Default)]
pub(super) struct OwnPapers {
    documents: BTreeMap<u64, Document>,
    /// The last number given; 0 = none yet.
    last: u64,
}

impl Engine {
    /// `Printer.PrintText`: id of the print job.
    ///
    /// # Errors
    /// `OperatorRequired`, `TooMany`.
    pub(super) fn print_text(&mut self, text: &str) -> Result<String, Fault> {
        self.session_used()?;
        let job = self.print_own(OwnKind::Text, own_slip(text))?.object();
        if let Some(operator) = self.session.as_ref().map(|session| session.operator.clone()) {
            self.note_audit(&operator, format!("text of {} bytes to paper: {job}", text.len()));
        }
        Ok(job)
    }

    /// `Printer.TestPage`: id of the print job.
    ///
    /// # Errors
    /// `OperatorRequired`, `DeviceAbsent`, `TooMany`.
    pub(super) fn print_test_page(&mut self) -> Result<String, Fault> {
        self.session_used()?;
        self.print_page().map(|key| key.object())
    }

    /// The test page, for whoever may have it.
    ///
    /// # Errors
    /// `DeviceAbsent`, `TooMany`.
    pub(super) fn print_page(&mut self) -> Result<PrintKey, Fault> {
        let status = self.printer_status.as_ref().ok_or_else(no_printer)?;
        let facts = PrinterFacts {
            model: &status.model,
            device: &status.device,
            evidence: &status.evidence,
            dots: status.dots,
        };
        let at = self.system.local(self.system.wall());
        let page = test_page(&self.shop(self.settings.currency), facts, at);
        self.print_own(OwnKind::Test, page)
    }

    /// `Printer.Feed`: paper, and nothing on it. It is not a job: who wants it stands before the printer.
    ///
    /// # Errors
    /// `OperatorRequired`, and why no paper moves: `DeviceAbsent`, `PaperOut`, `DeviceFault`, `DeviceBusy`.
    pub(super) fn feed(&mut self, lines: u8) -> Result<(), Fault> {
        self.session_used()?;
        let status = self.printer_status.as_ref().ok_or_else(no_printer)?;
        can_move(status)?;
        if self.desk.is_printing() {
            return Err(Fault::new(FaultName::DeviceBusy, "a slip is being printed; wait for it"));
        }
        (self.printer)(PrinterCommand::Feed { lines }).map_err(|_| {
            Fault::new(FaultName::DeviceBusy, "the printer has much to do; try again in a moment")
        })
    }

    pub(super) fn print_own(&mut self, kind: OwnKind, document: Document) -> Result<PrintKey, Fault> {
        self.desk_has_room()?;
        self.forget_own();
        let number = self.next_own();
        self.desk.own.documents.insert(number, document);
        let key = PrintKey::own(kind, number, 0);
        self.print_new(key.clone());
        Ok(key)
    }

    /// The whole paper again, marked, as a job of its own.
    ///
    /// # Errors
    /// `TooMany`.
    pub(super) fn reprint_own(&mut self, kind: OwnKind, number: u64) -> Result<(), Fault> {
        self.desk_has_room()?;
        self.print_new(PrintKey::own(kind, number, self.desk.next_copy(&Of::Own(kind, number))));
        Ok(())
    }

    /// The document of a job; `None` if it is forgotten.
    pub(super) fn own_document(&self, key: &PrintKey) -> Option<Document> {
        let Of::Own(_, number) = key.of else { return None };
        let document = self.desk.own.documents.get(&number)?.clone();
        Some(if key.is_copy() { marked(document, self.settings.language) } else { document })
    }

    /// Numbers go up, from a random one at each start: a path that somebody kept names nothing else afterwards.
    fn next_own(&mut self) -> u64 {
        if self.desk.own.last == 0 {
            let mut bytes = [0; 8];
            self.system.random(&mut bytes);
            self.desk.own.last = u64::from_be_bytes(bytes) >> 16;
        }
        self.desk.own.last = self.desk.own.last.saturating_add(1);
        self.desk.own.last
    }

    /// Lets the oldest jobs go that have ended.
    fn forget_own(&mut self) {
        let ended = self.desk.ended_own();
        let surplus = ended.len().saturating_sub(KEPT.saturating_sub(1));
        for key in ended.into_iter().take(surplus) {
            self.desk.forget(&key);
            self.tell(Notice::PrintJobGone(key.object()));
        }
        let wanted = self.desk.own_numbers();
        self.desk.own.documents.retain(|number, _| wanted.contains(number));
    }
}

pub(super) fn no_printer() -> Fault {
    Fault::new(FaultName::DeviceAbsent, "no printer is connected; check cable and power")
}

/// Says why no paper can be moved.
pub(super) fn can_move(status: &PrinterStatus) -> Result<(), Fault> {
    if status.online {
        return Ok(());
    }
    Err(match (status.paper.as_str(), status.cover.as_str()) {
        (_, "open") => Fault::new(FaultName::DeviceFault, "the cover is open; close it"),
        ("out", _) => Fault::new(FaultName::PaperOut, "there is no paper; load some"),
        _ => {
            Fault::new(FaultName::DeviceFault, "the printer is not ready; check cable, power and its lights")
        }
    })
}

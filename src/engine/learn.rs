//! `Printer.Learn`: what a printer says of itself, and a page that shows the rest.
use super::Engine;
use super::own_paper::{can_move, no_printer};
use super::view::JobValue;
use crate::domain::fault::{Fault, FaultName};
use crate::ports::{Learnt, PrinterCommand};

/// A printer that is being asked.
pub(super) struct Learning {
    id: u64,
    job: u64,
}

impl Engine {
    /// `Printer.Learn`: number of the job.
    ///
    /// # Errors
    /// `DeviceAbsent`, `PaperOut`, `DeviceFault`, `DeviceBusy` while a slip is printed or another asks, `Busy` during a
    /// transaction, `TooMany`.
    pub(super) fn learn_printer(&mut self) -> Result<u64, Fault> {
        can_move(self.printer_status.as_ref().ok_or_else(no_printer)?)?;
        if self.desk.is_printing() || self.desk.learning.is_some() {
            return Err(Fault::new(FaultName::DeviceBusy, "the printer is at work; wait for it"));
        }
        if self.active.is_some() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it or cancel it"));
        }
        let job = self.new_job("learn")?;
        let id = self.fresh_id();
        self.desk.learning = Some(Learning { id, job });
        self.job_runs(job, "asking", 10, false, "");
        if (self.printer)(PrinterCommand::Learn { id }).is_err() {
            self.learnt(id, Err("busy"));
        }
        Ok(job)
    }

    /// The printer thread has asked. It ends by itself, so the job has no deadline of its own.
    pub(super) fn learnt(&mut self, id: u64, result: Result<Box<Learnt>, &'static str>) {
        let Some(learning) = self.desk.learning.take_if(|learning| learning.id == id) else { return };
        let (result, fault) = match result {
            Ok(learnt) => (values(&learnt), None),
            Err(reason) => {
                let text = format!("the printer could not be asked: {reason}; see `posctl printer status`");
                (Vec::new(), Some(Fault::new(FaultName::DeviceFault, text)))
            }
        };
        self.end_job(learning.job, result, fault);
    }
}

fn values(learnt: &Learnt) -> Vec<(String, JobValue)> {
    let text = |key: &str, value: &str| (key.to_owned(), JobValue::Text(value.to_owned()));
    let usb = learnt.usb.map_or_else(String::new, |usb| usb.to_string());
    let word = |said: Option<bool>| match said {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    vec![
        text("usb", &usb),
        text("maker", &learnt.maker),
        text("model", &learnt.model),
        text("firmware", &learnt.firmware),
        ("status".to_owned(), JobValue::Flag(learnt.status)),
        text("proof", learnt.proof.word()),
        text("cutter", word(learnt.cutter)),
        text("chinese", word(learnt.chinese)),
    ]
}

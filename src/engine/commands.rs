//! Requests of the bus: to whom each goes. Every one is answered exactly once, at once or when its answer comes.
use super::handle::Command;
use super::journal_thread::Task;
use super::queue::Wish;
use super::start::reply;
use super::{Engine, Note};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::txn::management::Errand;
use tokio::sync::oneshot;

impl Engine {
    /// A request of the bus. Every one is answered exactly once, at once or when its answer comes.
    pub(super) fn command(&mut self, command: Command) {
        let Some(command) = self.refused_when_behind(command) else { return };
        let Some(command) = self.people_command(command) else { return };
        let Some(command) = self.upkeep_command(command) else { return };
        let Some(command) = self.link_command(command) else { return };
        let Some(command) = self.paper_command(command) else { return };
        let Some(command) = self.care_command(command) else { return };
        match command {
            Command::Start(request, caller, answer) => self.start(*request, caller, answer),
            Command::Expose(id, answer) => self.expose(id, answer),
            Command::Open { batch, trace, answer } => self.open(batch, trace, answer),
            Command::Cancel(id, answer) => {
                let result = self.cancel(&id);
                reply(answer, result);
            }
            Command::Timeline(id, answer) => {
                let notes = self.take_notes();
                if !notes.is_empty() {
                    self.commit(Note::Evidence, notes, crate::ports::Durability::Lazy);
                }
                self.put_task(Task::Timeline { id, answer });
            }
            Command::Receipt { id, ply, format, answer } => self.receipt(id, ply, format, answer),
            Command::HostSignOn(answer) => self.errand_command(Errand::SignOn, answer),
            Command::HostSignOff(answer) => self.errand_command(Errand::SignOff, answer),
            Command::Flush(answer) => {
                let result = self.flush();
                reply(answer, result);
            }
            Command::PauseQueue { why, leave, caller, answer } => {
                self.pause_queue(why, &leave, &caller, answer);
            }
            Command::ResumeQueue(answer) => self.resume_queue(answer),
            Command::Park { entry, why, leave, caller, answer } => {
                self.change_entry(&entry, &Wish::Park(why), &leave, &caller, answer);
            }
            Command::Unpark { entry, leave, caller, answer } => {
                self.change_entry(&entry, &Wish::Unpark, &leave, &caller, answer);
            }
            Command::Resolve { entry, how, leave, caller, answer } => {
                self.change_entry(&entry, &Wish::Resolve(how), &leave, &caller, answer);
            }
            Command::Settle { force_close, leave, caller, answer } => {
                let result = self.settle_batch(force_close, &leave, &caller);
                reply(answer, result);
            }
            Command::CancelJob(job, answer) => {
                let result = self.cancel_job(job);
                reply(answer, result);
            }
            Command::Query { filter, limit, cursor, answer } => self.query(filter, limit, cursor, answer),
            Command::Explain(id, answer) => self.explain(id, answer),
            Command::Totals { filter, answer } => self.put_task(Task::Totals { filter, answer }),
            // The others have taken theirs above.
            _ => {}
        }
    }

    /// Questions that the journal must answer are refused while many wait; commits always find a place.
    fn refused_when_behind(&self, command: Command) -> Option<Command> {
        if self.journal.takes_questions() {
            return Some(command);
        }
        let busy =
            || Fault::new(FaultName::Busy, "many questions wait for the journal; try again in a moment");
        match command {
            Command::Start(_, _, answer) | Command::Open { answer, .. } => reply(answer, Err(busy())),
            Command::Expose(_, answer) => reply(answer, Err(busy())),
            Command::Timeline(_, answer) => reply(answer, Err(busy())),
            Command::Receipt { answer, .. } => reply(answer, Err(busy())),
            Command::Query { answer, .. } => reply(answer, Err(busy())),
            Command::Totals { answer, .. } => reply(answer, Err(busy())),
            Command::Explain(_, answer) => reply(answer, Err(busy())),
            other => return Some(other),
        }
        None
    }

    /// What concerns links; gives everything else back.
    fn link_command(&mut self, command: Command) -> Option<Command> {
        let (answer, result) = match command {
            Command::HostTest { link, answer } => (answer, self.test_over(link)),
            Command::LearnPrinter(answer) => (answer, self.learn_printer()),
            Command::Scan(answer) => (answer, self.scan()),
            Command::Join { wanted, answer } => (answer, self.join(*wanted)),
            other => return Some(other),
        };
        reply(answer, result);
        None
    }

    /// What concerns the terminal's own health; gives everything else back.
    fn care_command(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::SelfTest { what, level, answer } => {
                let result = self.self_test(&what, level);
                reply(answer, result);
            }
            Command::ResetReader(answer) => self.reset_reader(answer),
            Command::Inhibit { why, caller, answer } => {
                let result = self.inhibit(why, &caller);
                reply(answer, result);
            }
            Command::Security(answer) => self.security(answer),
            Command::Report(target, answer) => {
                let result = self.report(target);
                reply(answer, result);
            }
            Command::ConfigGet { keys, answer } => self.config_get(&keys, answer),
            Command::Config { change, leave, caller } => self.config_command(change, &leave, &caller),
            other => return Some(other),
        }
        None
    }

    /// What concerns paper; gives everything else back.
    fn paper_command(&mut self, command: Command) -> Option<Command> {
        match command {
            Command::Reprint { id, ply, answer } => {
                let result = self.reprint(&id, ply);
                reply(answer, result);
            }
            Command::ReprintSettlement { batch, answer } => self.reprint_settlement(batch, answer),
            Command::PrintText(text, answer) => {
                let result = self.print_text(&text);
                reply(answer, result);
            }
            Command::TestPage(answer) => {
                let result = self.print_test_page();
                reply(answer, result);
            }
            Command::Feed { lines, answer } => {
                let result = self.feed(lines);
                reply(answer, result);
            }
            Command::OpenDrawer { leave, caller, answer } => {
                let result = self.open_drawer(&leave, &caller);
                reply(answer, result);
            }
            Command::RetryPrint(job, answer) => {
                let result = self.retry_print(&job);
                reply(answer, result);
            }
            Command::AbandonPrint { job, why, answer } => {
                let result = self.abandon_print(&job, &why);
                reply(answer, result);
            }
            other => return Some(other),
        }
        None
    }

    fn errand_command(&mut self, errand: Errand, answer: oneshot::Sender<Result<u64, Fault>>) {
        let result = self.host_errand(errand);
        super::start::reply(answer, result);
    }
}

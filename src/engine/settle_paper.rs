//! The paper on a settlement: the slip after the close, and its reprint.
//!
//! It is made anew from the journal whenever it is printed. Choice: nothing is noted in the journal of its printing,
//! and a restart prints no second one: it proves nothing, and `ReprintSettlement` gives it at any time.
use super::handle::Notice;
use super::journal_thread::{Settled, Task};
use super::paper::{Of, PrintKey};
use super::start::reply;
use super::{Engine, Note};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::BatchNumber;
use crate::domain::outcome::BatchState;
use crate::domain::settlement::slip::{self, slip};
use crate::ports::JournalError;
use tokio::sync::oneshot;

/// Print jobs on settlements that keep their objects; older ones that have ended go.
const KEPT: usize = 8;

/// Why a settled batch is read.
pub(super) enum Wish {
    /// Its slip is at the head of the print queue.
    Print(PrintKey),
    /// Somebody wants its slip again.
    Reprint(oneshot::Sender<Result<String, Fault>>),
}

impl Engine {
    pub(super) fn read_settled(&mut self, wish: Wish, number: Option<BatchNumber>) {
        self.put_task(Task::Settled { note: Note::Settled(Box::new(wish)), number });
    }

    /// A settled batch has been read.
    pub(super) fn settled_read(&mut self, wish: Wish, result: Result<Option<Settled>, JournalError>) {
        match wish {
            Wish::Print(key) => match result {
                Ok(settled) => {
                    let document = settled.map(|settled| {
                        let currency = self.settings.currency;
                        let batch = &settled.batch;
                        let closed_at = self.system.local(batch.closed_at.unwrap_or(batch.opened_at));
                        let told = slip::Settled { batch, rows: &settled.rows, closed_at, currency };
                        slip(&told, &self.shop(currency), key.is_copy())
                    });
                    self.print_document(&key, document);
                }
                Err(_) => self.print_unread(&key),
            },
            Wish::Reprint(answer) => {
                let job = match result {
                    Err(error) => Err(super::journal_thread::read_fault(&error)),
                    Ok(Some(settled)) if settled.batch.state == BatchState::Closed => {
                        self.print_settlement(settled.batch.number, true)
                    }
                    Ok(_) => Err(Fault::new(
                        FaultName::NotFound,
                        "no settled batch of that number; 0 is the one that was settled last",
                    )),
                };
                reply(answer, job);
            }
        }
    }

    /// `Ledger.ReprintSettlement`: 0 = the batch that was closed last.
    pub(super) fn reprint_settlement(&mut self, batch: u32, answer: oneshot::Sender<Result<String, Fault>>) {
        let number = match batch {
            0 => Ok(None),
            number => BatchNumber::new(number).map(Some),
        };
        match (self.session_used(), number) {
            (Err(fault), _) => reply(answer, Err(fault)),
            (Ok(()), Ok(number)) => self.read_settled(Wish::Reprint(answer), number),
            (Ok(()), Err(error)) => {
                reply(answer, Err(Fault::new(FaultName::InvalidArgument, error.to_string())));
            }
        }
    }

    /// Puts the slip of a batch into the print queue, as a marked copy if it was printed before.
    ///
    /// # Errors
    /// `TooMany`.
    pub(super) fn print_settlement(&mut self, batch: BatchNumber, copy: bool) -> Result<String, Fault> {
        self.desk_has_room()?;
        let known = self.desk.settlements();
        let of_batch = known.iter().filter(|(key, _)| key.of == Of::Batch(batch)).count();
        let number = u32::try_from(of_batch).unwrap_or(u32::MAX);
        let key = PrintKey::settlement(batch, if copy { number.max(1) } else { 0 });
        let surplus = known.len().saturating_sub(KEPT.saturating_sub(1));
        let old = known.into_iter().filter(|(old, ended)| *ended && *old != key).take(surplus);
        for (old, _) in old {
            self.desk.forget(&old);
            self.tell(Notice::PrintJobGone(old.object()));
        }
        self.print_new(key.clone());
        Ok(key.object())
    }
}

//! The end of a day: the real settlement machine, the queue before it, and the bank's own books against it.
use super::host::Totals;
use super::net::Heard;
use super::{Flow, RESPONSE, World, broken, operator};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::outcome::Verdict;
use crate::domain::profile::VoidedSales;
use crate::domain::settlement::{Answer, End, Event, Local, Request, Settlement, Setup};
use crate::domain::txn::{Effects, Vital};
use std::collections::VecDeque;

/// A supervisor or a cashier interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Person {
    Cancels,
    Forces,
}

impl World {
    /// Settles the open batch.
    ///
    /// # Errors
    /// The power failed, or a rule is broken.
    pub fn settle(&mut self, force: bool) -> Flow {
        self.moment();
        self.note(&"settlement");
        self.settle_on(force)
    }

    /// Begins a settlement, or goes on with the one that was interrupted.
    pub(super) fn settle_on(&mut self, force: bool) -> Flow {
        self.steps = 0;
        self.place.0 = "settlement";
        let batch = self.disk.batch_number();
        let voided_sales = VoidedSales::BothSides; // as the bank of this world counts
        let setup = Setup { batch, operator: operator("00")?, response_timeout: RESPONSE, voided_sales };
        let (mut machine, effects) = match self.disk.settlement().cloned() {
            Some(row) => Settlement::recover(&row, setup),
            None => Settlement::begin(setup, force, self.now),
        };
        let mut events = VecDeque::new();
        self.carry_settlement(effects, &mut events)?;
        loop {
            self.step()?;
            if machine.wants_line() && events.is_empty() {
                let ready = self.sign_on_if_needed()? && self.open_line();
                events.push_back(match ready {
                    true => Event::LineReady,
                    false => Event::LineFailed("no line".into()),
                });
            }
            if events.is_empty() && machine.cancellable() && self.fails(&[()]).is_some() {
                events.push_back(Event::Cancel);
            }
            let event = match (events.pop_front(), machine.deadline()) {
                (Some(event), _) => event,
                (None, Some(at)) => {
                    self.sleep_until(at);
                    match self.fails(&[Person::Forces, Person::Cancels]) {
                        Some(Person::Forces) => Event::ForceClose,
                        Some(Person::Cancels) => Event::Cancel,
                        None => Event::Tick,
                    }
                }
                (None, None) if machine.ended().is_some() => break,
                (None, None) => return broken(format!("a settlement waits for nothing: {machine:?}")),
            };
            let (next, effects) = machine.step(event, self.now);
            machine = next;
            self.carry_settlement(effects, &mut events)?;
        }
        self.settled(&machine)
    }

    fn carry_settlement(&mut self, effects: Effects<Local, Request>, events: &mut VecDeque<Event>) -> Flow {
        for local in effects.local {
            match local {
                Local::Drain => {
                    let drained = self.drain()?;
                    self.steps = 0;
                    events.push_back(match drained {
                        true => Event::Drained,
                        false => Event::NotDrained(Fault::new(FaultName::HostUnreachable, "no line")),
                    });
                }
                Local::StopDraining => {}
                Local::ReadBatch => events.push_back(Event::BatchRead(self.disk.open_rows())),
                Local::DropSignOn => self.memory.signed_on = false,
            }
        }
        match effects.vital {
            Vital::Nothing => Ok(()),
            Vital::Store(records) => {
                self.judge.before_settlement_step(&records, &self.disk);
                let stored = self.commit(&records, "before a settlement step is durable")?;
                events.push_back(match stored {
                    Some(committed) => {
                        if let Some((stan, batch)) = committed.taken {
                            self.judge.management(stan, batch)?;
                        }
                        Event::Stored(committed.taken.map(|(stan, _)| stan))
                    }
                    None => Event::StoreFailed,
                });
                Ok(())
            }
            Vital::Send(request) => self.send_settlement(&request, events),
        }
    }

    fn send_settlement(&mut self, request: &Request, events: &mut VecDeque<Event>) -> Flow {
        self.judge.sends_settlement(request, &self.disk)?;
        let batch = self.disk.batch_number().get();
        let what = match request {
            Request::Totals { .. } => "totals",
            Request::End { .. } => "end of upload",
            Request::Group { .. } | Request::Copy(_) | Request::Chip { .. } => "record of the upload",
        };
        let exchange = self.exchange(what, |world, mood| {
            // A record that the bank refuses is heard all the same; it is not told again.
            match request {
                Request::Group { lines, .. } => {
                    lines.iter().for_each(|line| world.bank.upload(line.stan.get()));
                }
                Request::Copy(row) | Request::Chip { row, .. } => {
                    row.stan.into_iter().for_each(|stan| world.bank.upload(stan.get()));
                }
                Request::Totals { .. } | Request::End { .. } => {}
            }
            if let Some(code) = mood.refusal("96") {
                return crate::domain::ident::ResponseCode::new(code).map(Answer::Refused).ok();
            }
            Some(match request {
                Request::Totals { field48, .. } => {
                    let (domestic, foreign) = world.bank.totals(batch);
                    let verdict = (compare(field48, 0, domestic), compare(field48, 31, foreign));
                    world.note(&format_args!("the bank says {} {}", verdict.0, verdict.1));
                    Answer::Verdict(verdict.0, verdict.1)
                }
                Request::Group { .. } | Request::Copy(_) | Request::Chip { .. } | Request::End { .. } => {
                    Answer::Taken
                }
            })
        })?;
        for heard in exchange.heard {
            events.extend(match heard {
                Heard::Sent => Some(Event::RequestSent),
                Heard::Answer(answer) => answer.map(Event::Answered),
                Heard::Garbled(_) => Some(Event::Garbled),
                Heard::Lost(_) => Some(Event::LineLost),
            });
        }
        Ok(())
    }

    fn settled(&mut self, machine: &Settlement) -> Flow {
        match machine.ended() {
            Some(End::Closed(report)) => {
                self.note(&format_args!("closed: {} {}", report.verdict.0, report.verdict.1));
                self.judge.batch_closed(report, &self.disk, &self.bank)?;
                self.bank.close(machine.batch().get());
            }
            Some(End::Empty) => self.note(&"nothing to settle"),
            Some(End::Failed(fault)) => self.note(&format_args!("not settled: {}", fault.text)),
            None => return broken("a settlement is over without an end"),
        }
        if self.disk.settlement().is_some() {
            return broken("a settlement is over and the batch is still being settled");
        }
        Ok(())
    }
}

/// The bank's word on one class: 31 digits of field 48 from `at` on.
fn compare(field48: &str, at: usize, books: Totals) -> Verdict {
    let number = |from: usize, length: usize| -> Option<u64> {
        let from = at.checked_add(from)?;
        field48.get(from..from.checked_add(length)?)?.parse().ok()
    };
    let told = (|| Some(((number(0, 12)?, number(12, 3)?), (number(15, 12)?, number(27, 3)?))))();
    let (debit, credit) = (books.debit, books.credit);
    match told {
        None => Verdict::Error,
        Some(told) if told == ((debit.0, u64::from(debit.1)), (credit.0, u64::from(credit.1))) => {
            Verdict::Agreed
        }
        Some(_) => Verdict::Disagreed,
    }
}

//! The steps of a settlement, phase by phase.
use super::totals::{self, Totals};
use super::upload::{self, Form};
use super::{
    Answer, End, Event, Local, PROGRESS_MAX, RETRY_MAX, RETRY_MIN, Report, Request, STORAGE_RETRY,
    Settlement, State, Step, Then, Wire, suspects,
};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::Stan;
use crate::domain::outcome::Verdict;
use crate::domain::record::{Record, SettlementStep, TxnRow};
use crate::domain::txn::{Effects, Now};
use crate::domain::unionpay::response::{self, Class};
use crate::domain::unionpay::settlement::Line;

pub(super) fn record(step: SettlementStep) -> Record {
    Record::Settlement(Box::new(step))
}

/// Takes one event.
pub(super) fn step(mut settlement: Settlement, event: Event, now: Now) -> Step {
    match (&mut settlement.state, event) {
        (State::Storing { .. }, Event::Stored(stan)) => settlement.stored(stan, now),
        (State::Storing { .. }, Event::StoreFailed) => settlement.store_failed(now),
        (State::StorePause { until, .. }, Event::Tick) if now.boot >= *until => settlement.store_again(),
        (State::Draining, Event::Drained) => settlement.read(),
        (State::Draining, Event::NotDrained(fault)) => settlement.reopen(End::Failed(fault), now),
        (State::Reading, Event::BatchRead(rows)) => settlement.batch_read(rows, now),
        (State::Reading, Event::ReadFailed(why)) => settlement.read_failed(&why, now),
        (State::ReadPause(until), Event::Tick) if now.boot >= *until => settlement.read(),
        (State::Connecting(_), Event::LineReady) => settlement.freeze(now),
        (State::Connecting(_), Event::LineFailed(cause)) => {
            let text = format!("no connection to the bank: {cause}");
            settlement.reopen(End::Failed(Fault::new(FaultName::HostUnreachable, text)), now)
        }
        (State::Connecting(_), Event::ForceClose) => {
            settlement.forced = true;
            settlement.freeze(now)
        }
        (State::Exchange(request, wire), event) => match (*wire, event) {
            (Wire::AwaitLine, Event::LineReady) => {
                let request = (**request).clone();
                *wire = Wire::AwaitSent;
                (settlement, Effects::send(vec![], request))
            }
            (Wire::AwaitLine, Event::LineFailed(cause)) => settlement.pause(&cause, now),
            (Wire::AwaitSent, Event::RequestSent) => {
                *wire = Wire::AwaitHost(now.boot.after(settlement.setup.response_timeout));
                (settlement, Effects::none())
            }
            (Wire::AwaitSent | Wire::AwaitHost(_), Event::Answered(answer)) => {
                settlement.answered(answer, now)
            }
            (Wire::AwaitSent | Wire::AwaitHost(_), Event::Garbled) => {
                settlement.pause("the answer is not usable", now)
            }
            (Wire::AwaitSent | Wire::AwaitHost(_), Event::LineLost) => {
                settlement.pause("the line broke", now)
            }
            (Wire::AwaitHost(until), Event::Tick) if now.boot >= until => settlement.pause("no answer", now),
            (Wire::Pause(until), Event::Tick) if now.boot >= until => {
                *wire = Wire::AwaitLine;
                (settlement, Effects::none())
            }
            (_, Event::ForceClose) => {
                settlement.forced = true;
                settlement.close(now)
            }
            // Everything else is late, early or repeated.
            (_, _) => (settlement, Effects::none()),
        },
        (_, Event::ForceClose) => settlement.force(),
        (_, Event::Cancel) => settlement.cancel(now),
        (_, _) => (settlement, Effects::none()),
    }
}

impl Settlement {
    pub(super) fn store(mut self, records: Vec<Record>, then: Then) -> Step {
        self.state = State::Storing { records: records.clone(), then };
        (self, Effects::store(vec![], records))
    }

    fn stored(mut self, stan: Option<Stan>, now: Now) -> Step {
        let State::Storing { then, .. } = &self.state else { return (self, Effects::none()) };
        match (then.clone(), stan) {
            (Then::Drain, _) if self.stop => self.reopen(End::Failed(cancelled()), now),
            (Then::Drain, _) if self.forced => self.read(),
            (Then::Drain, _) => self.drain(),
            (Then::Ask(field48), Some(stan)) => {
                self.frozen = Some((field48, stan));
                self.go_on(now)
            }
            // What was stored took a number that nobody can tell: freezing once more takes another one.
            (Then::Ask(_), None) => self.store_failed(now),
            (Then::Upload(domestic, foreign), _) => {
                self.verdict = Some((domestic, foreign));
                self.plan = upload::plan(&self.rows, self.setup.voided_sales, (domestic, foreign));
                self.go_on(now)
            }
            (Then::GoOn, _) => {
                self.durable = self.answered;
                self.go_on(now)
            }
            (Then::Numbered, _) if self.forced => self.close(now),
            (Then::Numbered, Some(stan)) => {
                self.durable = self.answered;
                self.numbered(stan)
            }
            (Then::Numbered, None) => self.store(vec![Record::ReserveStan], Then::Numbered),
            (Then::End(end), _) => {
                self.state = State::Ended(end);
                (self, Effects::none())
            }
        }
    }

    /// Nobody knows what is on the disk. Every step may be written once more: the journal takes each one once. Sales
    /// stay refused until it is clear that they may be taken.
    fn store_failed(mut self, now: Now) -> Step {
        let State::Storing { records, then } = &self.state else { return (self, Effects::none()) };
        let (records, then) = (records.clone(), then.clone());
        if matches!(then, Then::Drain) {
            return self.reopen(End::Failed(storage("the settlement cannot be stored")), now);
        }
        let until = now.boot.after(STORAGE_RETRY);
        self.state = State::StorePause { records, then, until };
        (self, Effects::none())
    }

    fn store_again(self) -> Step {
        let State::StorePause { records, then, .. } = &self.state else { return (self, Effects::none()) };
        let (records, then) = (records.clone(), then.clone());
        self.store(records, then)
    }

    pub(super) fn drain(mut self) -> Step {
        self.state = State::Draining;
        (self, Effects::local(vec![Local::Drain]))
    }

    pub(super) fn read(mut self) -> Step {
        self.state = State::Reading;
        (self, Effects::local(vec![Local::ReadBatch]))
    }

    fn read_failed(mut self, why: &str, now: Now) -> Step {
        if self.frozen.is_none() {
            return self.reopen(End::Failed(storage(why)), now);
        }
        self.state = State::ReadPause(now.boot.after(STORAGE_RETRY));
        (self, Effects::none())
    }

    fn batch_read(mut self, rows: Vec<TxnRow>, now: Now) -> Step {
        self.rows = rows;
        if self.frozen.is_some() {
            return self.resume(now);
        }
        if self.rows.is_empty() {
            return self.reopen(End::Empty, now);
        }
        match Totals::of(&self.rows, self.setup.voided_sales) {
            Ok(totals) => {
                self.state = State::Connecting(totals.field48());
                if self.forced { self.freeze(now) } else { (self, Effects::none()) }
            }
            Err(error) => {
                let text = format!("{error}; a technician must call the acquirer");
                self.reopen(End::Failed(Fault::new(FaultName::LimitExceeded, text)), now)
            }
        }
    }

    /// From here on only the bank's word ends it, or a supervisor's.
    fn freeze(self, now: Now) -> Step {
        let State::Connecting(field48) = &self.state else { return (self, Effects::none()) };
        let field48 = field48.clone();
        let frozen = SettlementStep::TotalsFrozen { field48: field48.clone(), at: now.wall };
        self.store(vec![record(frozen)], Then::Ask(field48))
    }

    /// After a restart. If the shop has resolved something since the totals were frozen, the order of the upload may
    /// have changed: then it begins anew.
    fn resume(mut self, now: Now) -> Step {
        if let Some((domestic, foreign)) = self.verdict {
            self.plan = upload::plan(&self.rows, self.setup.voided_sales, (domestic, foreign));
            let counted = Totals::of(&self.rows, self.setup.voided_sales).ok().map(|totals| totals.field48());
            let same = counted.as_ref() == self.frozen.as_ref().map(|(field48, _)| field48);
            if !same || self.answered > self.plan.len() {
                self.answered = 0;
                self.durable = 0;
            }
        }
        self.go_on(now)
    }

    /// The next message, once the totals are frozen.
    fn go_on(self, now: Now) -> Step {
        if self.forced {
            return self.close(now);
        }
        let Some((field48, stan)) = self.frozen.clone() else { return (self, Effects::none()) };
        if self.verdict.is_none() {
            return self.exchange(Request::Totals { stan, field48 });
        }
        let progress = (self.answered > self.durable).then(|| {
            let records = u32::try_from(self.answered).unwrap_or(u32::MAX);
            record(SettlementStep::Uploaded { records, at: now.wall })
        });
        match self.plan.get(self.answered).map(|detail| detail.form) {
            // A group and the end have a STAN of their own.
            None | Some(Form::Line) => {
                self.store(progress.into_iter().chain([Record::ReserveStan]).collect(), Then::Numbered)
            }
            Some(_) => match progress {
                Some(progress) if self.answered.saturating_sub(self.durable) >= PROGRESS_MAX => {
                    self.store(vec![progress], Then::GoOn)
                }
                _ => self.detail(),
            },
        }
    }

    /// The message that waited for its STAN.
    fn numbered(self, stan: Stan) -> Step {
        if self.answered >= self.plan.len() {
            let records = u32::try_from(self.plan.len()).unwrap_or(u32::MAX);
            let agreed = self.verdict == Some((Verdict::Agreed, Verdict::Agreed));
            return self.exchange(Request::End { stan, records, agreed });
        }
        let length = upload::message_length(&self.plan, self.answered);
        let details = self.plan.iter().skip(self.answered).take(length);
        let lines = details.filter_map(|detail| line(self.rows.get(detail.row)?)).collect();
        self.exchange(Request::Group { stan, lines })
    }

    /// A record that goes alone, under the STAN of its transaction.
    fn detail(self) -> Step {
        let Some(detail) = self.plan.get(self.answered).copied() else { return (self, Effects::none()) };
        let Some(row) = self.rows.get(detail.row).cloned().map(Box::new) else {
            return (self, Effects::none());
        };
        let chip = |row, failure| Request::Chip { row, failure, agreed: detail.agreed };
        self.exchange(match detail.form {
            Form::Certificate => chip(row, None),
            Form::Failure(kind) => chip(row, Some(kind)),
            Form::VoiceSale | Form::ChipOfflineSale | Form::Advice | Form::Line => Request::Copy(row),
        })
    }

    fn exchange(mut self, request: Request) -> Step {
        self.state = State::Exchange(Box::new(request), Wire::AwaitLine);
        (self, Effects::none())
    }

    /// No answer: the same bytes again after a while, as often as it takes.
    fn pause(mut self, why: &str, now: Now) -> Step {
        if let State::Exchange(_, wire) = &mut self.state {
            *wire = Wire::Pause(now.boot.after(self.pause));
            self.pause = RETRY_MAX.min(self.pause.saturating_mul(2));
            why.clone_into(&mut self.trouble);
        }
        (self, Effects::none())
    }

    fn answered(mut self, answer: Answer, now: Now) -> Step {
        let State::Exchange(request, _) = &self.state else { return (self, Effects::none()) };
        if let Answer::Refused(code) = &answer
            && response::class(code) == Class::SignOnNeeded
        {
            let (settlement, mut effects) = self.pause("the bank wants a new sign-on", now);
            effects.local.push(Local::DropSignOn);
            return (settlement, effects);
        }
        let length = match (&**request, &answer) {
            (Request::Totals { .. }, Answer::Verdict(domestic, foreign)) => {
                let (domestic, foreign) = (*domestic, *foreign);
                self.good();
                let verdict = SettlementStep::Verdict { domestic, foreign, at: now.wall };
                return self.store(vec![record(verdict)], Then::Upload(domestic, foreign));
            }
            (Request::Totals { .. }, Answer::Refused(code)) => {
                let why = format!("the bank refused the totals with {code}");
                return self.pause(&why, now);
            }
            (Request::Totals { .. }, Answer::Taken)
            | (
                Request::Group { .. } | Request::Copy(_) | Request::Chip { .. } | Request::End { .. },
                Answer::Verdict(..),
            ) => return self.pause("the answer is not usable", now),
            (Request::End { .. }, _) => {
                self.good();
                self.count_refusal(&answer);
                return self.close(now);
            }
            (Request::Group { .. } | Request::Copy(_) | Request::Chip { .. }, _) => {
                upload::message_length(&self.plan, self.answered)
            }
        };
        // A refused record is told once and listed; repeating it would not change the bank's mind.
        self.count_refusal(&answer);
        self.good();
        self.answered = self.answered.saturating_add(length);
        self.go_on(now)
    }

    fn count_refusal(&mut self, answer: &Answer) {
        if matches!(answer, Answer::Refused(_)) {
            self.refused = self.refused.saturating_add(1);
        }
    }

    fn good(&mut self) {
        self.pause = RETRY_MIN;
        self.trouble.clear();
    }

    /// A supervisor does not wait, in a state in which no message is under way.
    fn force(mut self) -> Step {
        if matches!(
            self.state,
            State::Ended(_)
                | State::Storing { then: Then::End(_), .. }
                | State::StorePause { then: Then::End(_), .. }
        ) {
            return (self, Effects::none());
        }
        self.forced = true;
        if matches!(self.state, State::Draining) {
            self.state = State::Reading;
            return (self, Effects::local(vec![Local::StopDraining, Local::ReadBatch]));
        }
        (self, Effects::none())
    }

    fn cancel(mut self, now: Now) -> Step {
        if !self.cancellable() {
            return (self, Effects::none());
        }
        match self.state {
            State::Storing { .. } => {
                self.stop = true;
                (self, Effects::none())
            }
            State::Draining => {
                let (settlement, mut effects) = self.reopen(End::Failed(cancelled()), now);
                effects.local.push(Local::StopDraining);
                (settlement, effects)
            }
            _ => self.reopen(End::Failed(cancelled()), now),
        }
    }

    /// Before the totals are frozen: sales are taken again.
    fn reopen(self, end: End, now: Now) -> Step {
        let cause = match &end {
            End::Failed(fault) => fault.text.clone(),
            End::Empty | End::Closed(_) => "nothing to settle".to_owned(),
        };
        let reopened = SettlementStep::Reopened { at: now.wall, cause };
        self.store(vec![record(reopened)], Then::End(end))
    }

    /// The batch is closed and the next one opened.
    fn close(self, now: Now) -> Step {
        let (domestic, foreign) = self.verdict.unwrap_or((Verdict::Unknown, Verdict::Unknown));
        let report = Report {
            verdict: (domestic, foreign),
            forced: self.forced,
            field48: self.frozen.as_ref().map(|(field48, _)| field48.clone()).unwrap_or_default(),
            totals: totals::lines(&self.rows),
            suspects: suspects::suspects(&self.rows),
            uploaded: u32::try_from(self.answered).unwrap_or(u32::MAX),
            refused: self.refused,
        };
        let closed = SettlementStep::Closed { domestic, foreign, forced: self.forced, at: now.wall };
        self.store(vec![record(closed)], Then::End(End::Closed(Box::new(report))))
    }
}

fn line(row: &TxnRow) -> Option<Line> {
    let pan = row.card.as_ref()?.pan.clone();
    Some(Line { card_class: row.card_class, stan: row.stan?, pan, amount: row.approved_amount })
}

fn cancelled() -> Fault {
    Fault::new(FaultName::Cancelled, "the settlement was cancelled; sales are taken again")
}

fn storage(why: &str) -> Fault {
    Fault::new(FaultName::StorageFault, format!("{why}; call a technician"))
}

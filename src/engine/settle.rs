//! Settlement: the wish, the machine's effects, its messages on the line, and the next batch.
//!
//! The machine decides ([`crate::domain::settlement`]); here it gets the queue drained, the batch read, a line and the
//! disk. Sales are refused while one runs ([`Engine::settling`]).
use super::handle::{Caller, CancelAnswer, Leave};
use super::view::JobValue;
use super::{Engine, Note, cut};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::{BatchNumber, OperatorId};
use crate::domain::leave::Deed;
use crate::domain::outcome::{BatchState, TxnState};
use crate::domain::queue::{Entry, order};
use crate::domain::record::{Committed, Record, SettlementRow, TxnRow};
use crate::domain::settlement::suspects::Suspect;
use crate::domain::settlement::{Answer, End, Event, Local, Report, Request, Settlement, Setup};
use crate::domain::txn::{Effects, Vital};
use crate::domain::unionpay::Identity;
use crate::domain::unionpay::messages::{self, BuildError};
use crate::domain::unionpay::settlement::{self as wire, TotalsAnswer};
use crate::ports::{Durability, JournalError};

/// The settlement that runs.
pub(super) struct Settling {
    machine: Settlement,
    job: u64,
}

impl Engine {
    /// True while the open batch is being settled: sales answer `BatchClosing`.
    pub(super) const fn settling(&self) -> bool {
        self.settling.is_some()
    }

    /// `BatchState`.
    pub(super) fn batch_state(&self) -> BatchState {
        self.settling.as_ref().map_or(BatchState::Open, |settling| settling.machine.batch_state())
    }

    /// `Ledger.Settle`. While one runs its job is the answer; a supervisor may end it by force.
    pub(super) fn settle_batch(
        &mut self,
        force_close: bool,
        leave: &Leave,
        caller: &Caller,
    ) -> Result<u64, Fault> {
        let operator = self.session_of(caller)?.operator.clone();
        if self.stopping() {
            return Err(Fault::new(FaultName::NotReady, "the terminal is stopping"));
        }
        if let Some(error) = &self.storage_trouble {
            return Err(super::journal_thread::read_fault(error));
        }
        if self.upkeep.holds_money() {
            return Err(super::upkeep::restored_fault());
        }
        if self.active.is_some() {
            return Err(Fault::new(FaultName::Busy, "a transaction runs; wait for it or cancel it"));
        }
        // A refused signature undoes its sale, and only in the open batch.
        if self.cares.iter().any(|care| care.machine.state() == TxnState::WaitingSignature) {
            return Err(Fault::new(FaultName::Busy, "a signature is being checked; wait for it"));
        }
        let running = self.settling.as_ref().map(|settling| settling.job);
        if running.is_none() && !force_close && self.keys.is_none() && !self.line.signing_on() {
            let text = "the terminal is not signed on; call Host.SignOn first";
            return Err(Fault::new(FaultName::NotSignedOn, text));
        }
        if force_close {
            let supervisor = self.may(&Deed::of("settle"), leave, caller)?;
            tracing::warn!(%supervisor, batch = self.batch.get(), "the batch is closed by force");
            let text = format!("close of batch {} by force", self.batch);
            let audit = Record::Audit { at: self.wall(), operator: Some(supervisor), text };
            self.commit(Note::Evidence, vec![audit], Durability::Full);
        }
        if let Some(job) = running {
            if force_close {
                self.step_settlement(Event::ForceClose);
            }
            return Ok(job);
        }
        let job = self.new_job("settlement")?;
        let setup = self.settlement_setup(operator);
        tracing::info!(batch = self.batch.get(), "settlement begins");
        let (machine, effects) = Settlement::begin(setup, force_close, self.now());
        self.settling = Some(Settling { machine, job });
        self.carry_settlement(effects);
        Ok(job)
    }

    /// After a restart: the settlement goes on where it was. `None` after a restore too: then nothing goes on by
    /// itself.
    pub(super) fn resume_settlement(&mut self, row: Option<&SettlementRow>) {
        let Some(row) = row else { return };
        match self.new_job("settlement") {
            Ok(job) => {
                tracing::warn!(batch = self.batch.get(), state = %row.state, "settlement goes on");
                let (machine, effects) =
                    Settlement::recover(row, self.settlement_setup(row.operator.clone()));
                self.settling = Some(Settling { machine, job });
                self.carry_settlement(effects);
            }
            Err(fault) => self.lost = Some(format!("the settlement cannot go on: {fault}")),
        }
    }

    fn settlement_setup(&self, operator: OperatorId) -> Setup {
        Setup {
            batch: self.batch,
            operator,
            response_timeout: self.settings.response_timeout,
            voided_sales: self.settings.identity.profile.voided_sales,
        }
    }

    /// Gives the machine an event and carries what it wants.
    pub(super) fn step_settlement(&mut self, event: Event) {
        let Some(Settling { machine, job }) = self.settling.take() else { return };
        let (machine, effects) = machine.step(event, self.now());
        self.settling = Some(Settling { machine, job });
        self.carry_settlement(effects);
    }

    fn carry_settlement(&mut self, effects: Effects<Local, Request>) {
        self.show_settlement();
        let machine = self.settling.as_ref().map(|settling| &settling.machine);
        let keeps = machine.is_some_and(Settlement::keeps_line);
        self.settlement_uses_line(keeps, self.settlement_wants_line());
        for local in effects.local {
            match local {
                Local::Drain => self.begin_draining(),
                Local::StopDraining => {}
                Local::ReadBatch => self.put_task(super::journal_thread::Task::OpenBatch),
                Local::DropSignOn => self.drop_sign_on(),
            }
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(records) => {
                cut::boundary(&"before store settlement");
                self.commit(Note::Settlement, records, Durability::Full);
            }
            Vital::Send(request) => self.send_settlement(&request),
        }
        if self.settling.as_ref().is_some_and(|settling| settling.machine.ended().is_some()) {
            self.settlement_ended();
        }
    }

    /// The job follows the machine.
    fn show_settlement(&mut self) {
        let Some(Settling { machine, job }) = &self.settling else { return };
        let (job, phase, progress) = (*job, machine.phase(), machine.progress());
        let (cancellable, trouble) = (machine.cancellable(), machine.trouble().to_owned());
        self.job_runs(job, phase, progress, cancellable, &trouble);
    }

    fn begin_draining(&mut self) {
        // Whether the bank can be reached is found out anew.
        self.reachable = "unknown";
        self.kick_queue();
    }

    /// Looks whether the queue has been drained, or cannot be; called after every event of the loop.
    pub(super) fn watch_settlement(&mut self) {
        let Some(settling) = &self.settling else { return };
        let unfrozen = settling.machine.cancellable();
        let unsigned = self.keys.is_none() && !self.line.signing_on() && !self.wants_sign_on_now();
        if settling.machine.draining() {
            let owed = !order::drained(&self.queue) || !self.queue_is_calm() || self.line.owes_unread();
            if !owed && !self.line.busy() {
                return self.step_settlement(Event::Drained);
            }
            if self.queue_paused.is_some() && self.queue.iter().any(Entry::is_waiting_upload) {
                let text = "the queue is paused, and sales wait in it; call Queue.Resume first";
                return self.step_settlement(Event::NotDrained(Fault::new(FaultName::WrongState, text)));
            }
            if unsigned {
                return self.step_settlement(Event::NotDrained(not_signed_on()));
            }
            if self.reachable == "no" && !self.line.busy() {
                let text =
                    "no connection to the bank, and something is owed to it; check the link and try again";
                self.step_settlement(Event::NotDrained(Fault::new(FaultName::HostUnreachable, text)));
            }
        } else if unfrozen && settling.machine.wants_line() && unsigned {
            self.step_settlement(Event::LineFailed("the terminal is not signed on".to_owned()));
        }
    }

    /// From the counting of the batch on nothing of the queue may change it.
    pub(super) fn settlement_holds_queue(&self) -> bool {
        self.settling.as_ref().is_some_and(|settling| !settling.machine.draining())
    }

    /// True while it is the settlement that wants the line.
    pub(super) fn settlement_wants_line(&self) -> bool {
        self.settling.as_ref().is_some_and(|settling| settling.machine.wants_line())
    }

    /// When the machine wants to hear that time passed.
    pub(super) fn settlement_deadline(&self) -> Option<BootTime> {
        self.settling.as_ref().and_then(|settling| settling.machine.deadline())
    }

    /// Time passed for the settlement.
    pub(super) fn tick_settlement(&mut self) {
        let now = self.system.boot();
        if self.settlement_deadline().is_some_and(|at| now >= at) {
            self.step_settlement(Event::Tick);
        }
    }

    /// What the journal says to the settlement.
    pub(super) fn settlement_stored(&mut self, result: Result<Committed, JournalError>) {
        cut::boundary(&"stored settlement");
        let event = match result {
            Ok(committed) => Event::Stored(committed.taken.map(|(stan, _)| stan)),
            Err(_) => Event::StoreFailed,
        };
        self.step_settlement(event);
    }

    /// The open batch has been read.
    pub(super) fn open_batch_read(&mut self, result: Result<Vec<TxnRow>, JournalError>) {
        self.step_settlement(match result {
            Ok(rows) => Event::BatchRead(rows),
            Err(error) => Event::ReadFailed(error.to_string()),
        });
    }

    /// The messages carry the identity under which the batch was begun.
    fn send_settlement(&mut self, request: &Request) {
        let mut identity: Identity = self.settings.identity.clone();
        if let Some(begun) = &self.open_batch.identity {
            identity.terminal_id = begun.terminal_id.clone();
            identity.merchant_id = begun.merchant_id.clone();
        }
        let Some(Settling { machine, .. }) = &self.settling else { return };
        let (batch, operator) = (machine.batch(), machine.operator());
        let currency = self.settings.currency;
        let built: Option<Result<messages::Request, BuildError>> = match request {
            Request::Totals { stan, field48 } => {
                Some(wire::totals(&identity, *stan, batch, field48, currency, operator))
            }
            Request::Group { stan, lines } => Some(wire::group(&identity, *stan, batch, lines)),
            Request::Copy(row) => wire::copy(&identity, row),
            Request::Chip { row, failure, agreed } => wire::chip(&identity, row, *failure, *agreed),
            Request::End { stan, records, agreed } => {
                Some(wire::end(&identity, *stan, batch, *records, *agreed))
            }
        };
        self.send_built(built);
    }

    /// An answer on the line. `true`: it is not ours.
    pub(super) fn settlement_answer(&mut self, request: &messages::Request, bytes: &[u8]) -> bool {
        let answer = if request.mti == "0500" {
            wire::read_totals(request, bytes).map(|answer| match answer {
                TotalsAnswer::Verdict(domestic, foreign) => Answer::Verdict(domestic, foreign),
                TotalsAnswer::Refused(code) => Answer::Refused(code),
            })
        } else {
            wire::read_upload(request, bytes).map(|refusal| refusal.map_or(Answer::Taken, Answer::Refused))
        };
        match answer {
            Ok(answer) => self.step_settlement(Event::Answered(answer)),
            Err(crate::domain::unionpay::answers::AnswerError::Foreign { .. }) => return true,
            Err(error) => {
                tracing::warn!(%error, "the answer is not usable");
                self.step_settlement(Event::Garbled);
            }
        }
        false
    }

    /// `Job.Cancel`.
    pub(super) fn cancel_settlement(&mut self) -> Result<CancelAnswer, Fault> {
        let cancellable = self.settling.as_ref().is_some_and(|settling| settling.machine.cancellable());
        if !cancellable {
            return Err(Settlement::too_late());
        }
        self.step_settlement(Event::Cancel);
        Ok(CancelAnswer::Accepted)
    }

    fn settlement_ended(&mut self) {
        let Some(Settling { machine, job }) = self.settling.take() else { return };
        let Some(end) = machine.ended().cloned() else { return };
        let batch = machine.batch();
        match end {
            End::Closed(report) => {
                cut::boundary(&"before settled");
                tracing::info!(
                    batch = batch.get(),
                    domestic = %report.verdict.0,
                    foreign = %report.verdict.1,
                    forced = report.forced,
                    refused = report.refused,
                    "batch closed"
                );
                self.next_batch();
                self.end_job(job, result(batch, &report), None);
                if let Err(fault) = self.print_settlement(batch, false) {
                    tracing::warn!(error = %fault, "the settlement slip is not printed; print it again later");
                }
            }
            End::Empty => {
                tracing::info!(batch = batch.get(), "nothing to settle");
                self.end_job(job, vec![head(batch), text("state", "nothing-to-settle")], None);
            }
            End::Failed(fault) => {
                tracing::warn!(batch = batch.get(), error = %fault, "settlement failed; sales are taken again");
                self.end_job(job, Vec::new(), Some(fault));
            }
        }
    }

    /// The view follows the journal: a new batch is open, and what was in the old one cannot be voided any more.
    fn next_batch(&mut self) {
        let settled = self.batch;
        self.batch = settled.next();
        self.open_batch.opened_at = self.wall();
        self.open_batch.has_records = false;
        self.recent.forget();
        self.open_batch.mismatch = false;
        self.open_batch.identity = None;
        self.counts.clear();
        let of_old = |view: &super::view::TxnView| view.batch == settled.get();
        let ids: Vec<_> =
            self.entries.iter().filter(|(_, e)| of_old(&e.view)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.refresh(&id);
        }
    }

    fn wants_sign_on_now(&self) -> bool {
        self.next_sign_on_at().is_some_and(|at| self.system.boot() >= at)
    }
}

fn not_signed_on() -> Fault {
    Fault::new(FaultName::NotSignedOn, "the terminal is not signed on; call Host.SignOn first")
}

/// What the job says of a closed batch.
fn result(batch: BatchNumber, report: &Report) -> Vec<(String, JobValue)> {
    let line = |line: &crate::domain::record::TotalsRow| {
        vec![
            text("kind", line.kind.word()),
            text("card-class", line.card_class.word()),
            text("operator", line.operator.as_str()),
            ("count".to_owned(), JobValue::Count(line.count)),
            money("amount", line.amount),
        ]
    };
    let suspect = |suspect: &Suspect| {
        vec![
            ("path".to_owned(), JobValue::Transaction(suspect.txn.clone())),
            text("reason", suspect.reason.word()),
            money("amount", suspect.amount.minor()),
        ]
    };
    vec![
        head(batch),
        text("state", if report.forced { "force-closed" } else { "closed" }),
        text("verdict-domestic", report.verdict.0.word()),
        text("verdict-foreign", report.verdict.1.word()),
        ("totals".to_owned(), JobValue::Rows(report.totals.iter().map(line).collect())),
        ("suspects".to_owned(), JobValue::Rows(report.suspects.iter().map(suspect).collect())),
        ("uploaded".to_owned(), JobValue::Count(report.uploaded)),
        ("refused".to_owned(), JobValue::Count(report.refused)),
    ]
}

fn head(batch: BatchNumber) -> (String, JobValue) {
    ("batch".to_owned(), JobValue::Count(batch.get()))
}

fn text(name: &str, word: &str) -> (String, JobValue) {
    (name.to_owned(), JobValue::Text(word.to_owned()))
}

fn money(name: &str, minor: u64) -> (String, JobValue) {
    (name.to_owned(), JobValue::Money(i64::try_from(minor).unwrap_or(i64::MAX)))
}

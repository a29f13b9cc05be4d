//! The end: the outcome becomes durable, then it is told. Until then nobody has heard of it.
//!
//! A commit that was reported as failed may be on the disk all the same, and what is on the disk is true. So
//! where two ends are possible they are tried in turn until one of them is durable: the journal takes one
//! outcome only.
use super::{Base, Step};
use crate::domain::calendar::BootTime;
use crate::domain::money::Amount;
use crate::domain::outcome::{Kind, Outcome, Ply, ResultCode};
use crate::domain::record::{
    CardFacts, Closed, EntryId, HostFacts, Record, ReversalReason, TxnStart, Upload,
};
use crate::domain::rules::Silence;
use crate::domain::txn::{Event, Local, Now, State, TxnEffects};
use core::time::Duration;
use std::sync::Arc;

/// How long a store that failed waits before it is tried again.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// How it ends, before the card and the numbers are filled in.
pub(super) struct Ending {
    pub(super) outcome: Outcome,
    pub(super) result: ResultCode,
    pub(super) reversal: Option<ReversalReason>,
    reversal_icc: Option<Vec<u8>>,
    /// What was approved.
    approved: Amount,
    upload: Option<Upload>,
    script: Option<Vec<u8>>,
    withdraws: Option<EntryId>,
}

impl Ending {
    const fn plain(outcome: Outcome, result: ResultCode) -> Self {
        Self {
            outcome,
            result,
            reversal: None,
            reversal_icc: None,
            approved: Amount::ZERO,
            upload: None,
            script: None,
            withdraws: None,
        }
    }

    pub(super) fn approved(amount: Amount) -> Self {
        Self { approved: amount, ..Self::plain(Outcome::Approved, ResultCode::Approved) }
    }

    pub(super) fn approved_in_part(part: Amount) -> Self {
        Self { approved: part, ..Self::plain(Outcome::Approved, ResultCode::Partial) }
    }

    pub(super) const fn failed(result: ResultCode) -> Self {
        Self::plain(Outcome::Failed, result)
    }

    pub(super) const fn cancelled(result: ResultCode) -> Self {
        Self::plain(Outcome::Cancelled, result)
    }

    pub(super) const fn declined(result: ResultCode) -> Self {
        Self::plain(Outcome::Declined, result)
    }

    pub(super) const fn unknown(result: ResultCode) -> Self {
        Self::plain(Outcome::Unknown, result)
    }

    pub(super) fn reversed_by(self, reason: ReversalReason) -> Self {
        Self { reversal: Some(reason), ..self }
    }

    /// DE 55 of the reversal, where it is not the one stored with the request.
    pub(super) fn with_icc(self, reversal_icc: Option<Vec<u8>>) -> Self {
        Self { reversal_icc: reversal_icc.filter(|_| self.reversal.is_some()), ..self }
    }

    /// What the card did with the issuer's scripts, for the issuer.
    pub(super) fn with_script(self, script: Option<Vec<u8>>) -> Self {
        Self { script, ..self }
    }
}

/// One way to write the end down.
#[derive(Debug)]
struct Form {
    closed: Closed,
    /// Nothing was written to a socket: the armed reversal is disarmed in the same commit.
    disarms: bool,
}

impl Form {
    fn records(&self) -> Vec<Record> {
        let unsent = self.disarms.then(|| Record::Unsent { id: self.closed.id.clone() });
        unsent.into_iter().chain([Record::Closed(Box::new(self.closed.clone()))]).collect()
    }
}

/// An end on its way to the disk.
#[derive(Debug)]
pub(in crate::domain::txn) struct Closing {
    form: Form,
    /// Tried in turn with `form`.
    other: Option<Form>,
    /// Told together with the outcome.
    farewell: Vec<Local>,
    failed_before: bool,
    retry: Option<BootTime>,
}

impl Closing {
    const fn new(form: Form, other: Option<Form>, farewell: Vec<Local>) -> Self {
        Self { form, other, farewell, failed_before: false, retry: None }
    }

    /// The end that is being stored.
    pub(in crate::domain::txn) const fn closed(&self) -> &Closed {
        &self.form.closed
    }

    /// When it is stored again.
    pub(in crate::domain::txn) const fn retry(&self) -> Option<BootTime> {
        self.retry
    }

    fn swap(&mut self) {
        if let Some(other) = &mut self.other {
            core::mem::swap(&mut self.form, other);
        }
    }
}

impl Base {
    /// Nobody has heard of the approval: what cannot be kept must not stand. The bank undoes it, or the shop finds out.
    fn unkept(&self, approved: &Closed) -> Option<Form> {
        let reversal = match self.rule().silence {
            Silence::Reverse => Some(ReversalReason::Refused),
            Silence::Except => None,
            Silence::Forget => return None,
        };
        let closed = Closed {
            outcome: Outcome::Unknown,
            result: ResultCode::StorageFault,
            approved_amount: Amount::ZERO,
            reversal,
            plies: Vec::new(),
            ..approved.clone()
        };
        (approved.outcome == Outcome::Approved).then_some(Form { closed, disarms: false })
    }

    /// True if a durable `Sending` of this kind has armed something.
    fn arms(&self) -> bool {
        self.rule().silence.entry().is_some()
    }

    /// Ends a transaction of which nothing was sent: one record makes the row and closes it.
    pub(super) fn end_unsent(
        self,
        ending: Ending,
        card: Option<Arc<CardFacts>>,
        local: Vec<Local>,
        now: Now,
    ) -> Step {
        let start = Some(self.start.clone());
        let closed = self.outcome(ending, start, card, HostFacts::default(), now);
        self.close(Closing::new(Form { closed, disarms: false }, None, Vec::new()), local)
    }

    /// Ends a transaction whose `Sending` is durable, though nothing was written to a socket.
    pub(super) fn end_disarmed(self, ending: Ending, card: Arc<CardFacts>, now: Now) -> Step {
        let closed = self.outcome(ending, None, Some(card), HostFacts::default(), now);
        let disarms = self.arms();
        self.close(Closing::new(Form { closed, disarms }, None, Vec::new()), Vec::new())
    }

    /// Ends a transaction whose `Sending` could not be stored, but may be on the disk all the same.
    pub(super) fn end_unstored(self, ending: Ending, card: Arc<CardFacts>, now: Now) -> Step {
        let start = Some(self.start.clone());
        let absent = self.outcome(ending, start, Some(card), HostFacts::default(), now);
        let there = Closed { start: None, ..absent.clone() };
        let other = Form { closed: there, disarms: self.arms() };
        self.close(Closing::new(Form { closed: absent, disarms: false }, Some(other), Vec::new()), Vec::new())
    }

    /// Ends a transaction that found no line and that the card did not approve. `stored`: its `Sending` is durable, and
    /// disarmed already.
    pub(super) fn end_without_line(
        self,
        ending: Ending,
        stored: bool,
        card: Arc<CardFacts>,
        farewell: Vec<Local>,
        now: Now,
    ) -> Step {
        let start = (!stored).then(|| self.start.clone());
        let closed = self.outcome(ending, start, Some(card), HostFacts::default(), now);
        self.close(Closing::new(Form { closed, disarms: false }, None, farewell), Vec::new())
    }

    /// Ends what the bank is told later. If it cannot be kept, it never was: the bank has not heard of it.
    pub(super) fn end_stored(self, upload: Upload, stored: bool, card: Arc<CardFacts>, now: Now) -> Step {
        let start = (!stored).then(|| self.start.clone());
        let ending = Ending {
            approved: self.start.amount,
            upload: Some(upload),
            ..Ending::plain(Outcome::StoredOffline, ResultCode::OfflineApproved)
        };
        let closed = self.outcome(ending, start, Some(card), HostFacts::default(), now);
        let other = unmade(&closed, ResultCode::StorageFault);
        self.close(Closing::new(Form { closed, disarms: false }, Some(other), Vec::new()), Vec::new())
    }

    /// Ends the undo of what the bank never heard of. If its entry was attempted meanwhile, the journal refuses.
    pub(super) fn end_undone_locally(self, entry: Option<EntryId>, card: Arc<CardFacts>, now: Now) -> Step {
        let start = Some(self.start.clone());
        let ending = Ending { withdraws: entry, ..Ending::approved(self.start.amount) };
        let closed = self.outcome(ending, start, Some(card), HostFacts::default(), now);
        let other = closed.withdraws.is_some().then(|| unmade(&closed, ResultCode::OriginalNotEligible));
        self.close(Closing::new(Form { closed, disarms: false }, other, Vec::new()), Vec::new())
    }

    /// Ends a transaction whose request may have left. `farewell` is told together with the outcome.
    pub(super) fn end_sent(
        self,
        ending: Ending,
        card: Arc<CardFacts>,
        host: HostFacts,
        local: Vec<Local>,
        farewell: Vec<Local>,
        now: Now,
    ) -> Step {
        let closed = self.outcome(ending, None, Some(card), host, now);
        let other = self.unkept(&closed);
        self.close(Closing::new(Form { closed, disarms: false }, other, farewell), local)
    }

    fn outcome(
        &self,
        ending: Ending,
        start: Option<TxnStart>,
        card: Option<Arc<CardFacts>>,
        host: HostFacts,
        now: Now,
    ) -> Closed {
        let holds = matches!(ending.outcome, Outcome::Approved | Outcome::StoredOffline);
        // A balance is shown, not printed: it is the cardholder's business. Choice.
        let wanted = if holds && self.start.kind != Kind::Balance { self.start.plies } else { 0 };
        let plies = match wanted {
            0 => Vec::new(),
            1 => vec![Ply::Merchant],
            2 => vec![Ply::Merchant, Ply::Customer],
            3.. => vec![Ply::Merchant, Ply::Bank, Ply::Customer],
        };
        Closed {
            id: self.start.id.clone(),
            start,
            card,
            outcome: ending.outcome,
            result: ending.result,
            host,
            approved_amount: ending.approved,
            reversal: ending.reversal,
            reversal_icc: ending.reversal_icc,
            upload: ending.upload,
            script: ending.script,
            withdraws: ending.withdraws,
            plies,
            finished_at: now.wall,
        }
    }

    /// The outcome goes to the disk, everything else waits for that.
    fn close(self, closing: Closing, mut local: Vec<Local>) -> Step {
        local.push(Local::PowerOff);
        self.store(closing, local)
    }

    fn store(self, closing: Closing, local: Vec<Local>) -> Step {
        let records = closing.form.records();
        let closing = Box::new(Closing { retry: None, ..closing });
        (self.txn(State::AwaitClosed(closing)), TxnEffects::store(local, records))
    }

    pub(super) fn closing(self, mut closing: Box<Closing>, event: Event, now: Now) -> Step {
        match (event, closing.retry) {
            (Event::Stored(_), None) => {
                let Closing { form, mut farewell, .. } = *closing;
                farewell.push(Local::Finish);
                self.go(State::Ended(Box::new(form.closed)), farewell)
            }
            (Event::StoreFailed, None) => {
                closing.swap();
                if closing.other.is_some() && !closing.failed_before {
                    closing.failed_before = true;
                    return self.store(*closing, Vec::new());
                }
                closing.retry = Some(now.boot.after(STORE_RETRY));
                self.stay(State::AwaitClosed(closing))
            }
            (Event::Tick, Some(at)) if now.boot >= at => self.store(*closing, Vec::new()),
            _ => self.stay(State::AwaitClosed(closing)),
        }
    }
}

/// Nothing of it stands, and nobody has heard of it.
fn unmade(closed: &Closed, result: ResultCode) -> Form {
    let closed = Closed {
        outcome: Outcome::Failed,
        result,
        approved_amount: Amount::ZERO,
        upload: None,
        withdraws: None,
        plies: Vec::new(),
        ..closed.clone()
    };
    Form { closed, disarms: false }
}

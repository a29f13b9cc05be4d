//! Reversals on the line: which one goes now, its run, and when it is tried again.
use super::{READ_AGAIN, RETRY_MAX, RETRY_MIN, User};
use crate::domain::calendar::BootTime;
use crate::domain::ident::TxnId;
use crate::domain::outcome::ResultCode;
use crate::domain::record::Record;
use crate::domain::txn::reversal::{self, Due, End, Reversal};
use crate::domain::txn::{self, Vital};
use crate::domain::unionpay::Identity;
use crate::domain::unionpay::messages::{self, ReversalFields};
use crate::engine::{Engine, Note, cut};
use crate::ports::{Durability, JournalError};

impl Engine {
    /// An outcome that owes a reversal is durable: its row becomes the obligation, and the line waits for that.
    pub(in crate::engine) fn owe_reversal(&mut self, id: &TxnId) {
        self.line.unread.insert(id.clone());
        self.refresh(id);
    }

    /// The row has been read, or could not be.
    pub(in crate::engine) fn owed_row_read(&mut self, id: &TxnId, error: Option<&JournalError>) {
        match error {
            None => _ = self.line.unread.remove(id),
            Some(error) if self.line.unread.contains(id) => {
                tracing::error!(transaction = %id, %error, "the row of an obligation cannot be read; trying again");
                self.line.read_again_at = Some(self.system.boot().after(READ_AGAIN));
            }
            Some(_) => {}
        }
    }

    pub(super) fn read_owed_rows(&mut self) {
        let now = self.system.boot();
        if self.line.read_again_at.take_if(|at| now >= *at).is_some() {
            for id in self.line.unread.clone() {
                self.refresh(&id);
            }
        }
    }

    /// After a restart: reversals that were answered with 25 are asked again as if they had been asked now.
    pub(in crate::engine) fn restore_line(&mut self) {
        let patience = self.settings.repeat_not_found;
        if !patience.is_zero() && self.reversals.iter().any(|due| due.ask_again) {
            self.line.ask_again_at = Some(self.system.boot().after(patience));
        }
    }

    /// The reversal that should go now, if any.
    pub(super) fn next_reversal(&mut self) -> Option<Due> {
        let now = self.system.boot();
        let trading = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
        let free =
            self.active.as_ref().is_none_or(|active| !active.txn.money_may_move() || active.txn.wants_line());
        let retry = self.line.retry_at.is_none_or(|at| now >= at);
        let again = self.line.ask_again_at.is_some_and(|at| now >= at);
        let kicked = &self.line.kicked;
        let due = self.reversals.iter().find(|due| {
            kicked.contains(&due.id)
                || (due.blocks_trading() && (trading || retry))
                || (due.waits_to_be_asked_again() && again)
        })?;
        free.then(|| due.clone())
    }

    /// When the next reversal is to be tried although nothing happens.
    pub(in crate::engine) fn next_reversal_at(&self) -> Option<BootTime> {
        if self.keys.is_none() || self.line.busy() {
            return None;
        }
        let blocking = self.reversals.iter().any(Due::blocks_trading);
        let again = self.reversals.iter().any(Due::waits_to_be_asked_again);
        let retry = if blocking { self.line.retry_at } else { None };
        let asked = if again { self.line.ask_again_at } else { None };
        retry.into_iter().chain(asked).min()
    }

    /// Every open reversal is tried now.
    pub(in crate::engine) fn kick_reversals(&mut self) {
        self.line.kicked = self.reversals.iter().map(|due| due.id.clone()).collect();
        self.line.retry_at = None;
        self.line.retry_pause = RETRY_MIN;
    }

    pub(super) fn step_reversal(&mut self, machine: Reversal, event: reversal::Event) {
        let now = self.now();
        let (machine, effects) = machine.step(event, now);
        for local in effects.local {
            match local {
                reversal::Local::DropSignOn => {
                    self.line.refused = true;
                    self.drop_sign_on();
                }
            }
        }
        let due = machine.due().clone();
        if let Some(kept) = self.reversals.iter_mut().find(|kept| kept.id == due.id) {
            *kept = due;
        }
        match machine.ended() {
            Some(end) => self.reversal_ended(&machine, end),
            None => self.line.user = Some(User::Reversal(Box::new(machine))),
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(mut records) => {
                let attempt = matches!(records.first(), Some(Record::QueueAttempt { .. }));
                let what = if attempt { "attempt" } else { "verdict" };
                cut::boundary(&format_args!("before store reversal {what}"));
                records.extend(self.take_notes());
                self.commit(Note::LineUser, records, Durability::Full);
            }
            Vital::Send(due) => self.send_reversal(&due),
        }
    }

    pub(super) fn send_reversal(&mut self, due: &Due) {
        let identity = Identity {
            terminal_id: due.wire.terminal_id.clone(),
            merchant_id: due.wire.merchant_id.clone(),
            ..self.settings.identity.clone()
        };
        let built = self.keys.as_ref().map(|keys| {
            let fields = ReversalFields {
                wire: &due.wire,
                stan: due.stan,
                batch: due.batch,
                amount: due.amount,
                currency: due.currency,
                pan: &due.pan,
                expiry: due.expiry.as_deref(),
                sequence: due.sequence,
                auth_code: due.auth_code.as_ref(),
                icc: &due.icc,
                reason: due.reason,
            };
            messages::reversal(&identity, &fields, keys)
        });
        self.timeline(&due.id, "reversal-sent", &format!("reversal sent, reason {}", due.reason.code()));
        self.send_built(built);
    }

    pub(super) fn reversal_ended(&mut self, machine: &Reversal, end: End) {
        let now = self.system.boot();
        let id = machine.due().id.clone();
        self.line.kicked.remove(&id);
        tracing::info!(transaction = %id, ?end, "reversal attempt ended");
        match end {
            End::Done => {
                self.reversals.retain(|due| due.id != id);
                self.line.retry_pause = RETRY_MIN;
                self.timeline(&id, "reversed", "the bank confirmed that it holds nothing");
                self.refresh(&id);
            }
            End::AskAgain => self.line.ask_again_at = Some(now.after(self.settings.repeat_not_found)),
            End::StillDue | End::NoLine | End::StorageFault => {
                self.line.retry_at = Some(now.after(self.line.retry_pause));
                self.line.retry_pause = RETRY_MAX.min(self.line.retry_pause.saturating_mul(2));
                if machine.due().ask_again {
                    self.line.ask_again_at = Some(now.after(self.settings.repeat_not_found));
                }
                if end == End::NoLine {
                    self.line.kicked.clear();
                }
                self.hang_up();
                let trading = self.active.as_ref().is_some_and(|active| active.txn.wants_line());
                if trading {
                    self.step_txn(txn::Event::LineFailed(ResultCode::ConnectFailed));
                }
            }
            End::Failed => self.hang_up(),
        }
        if self.line.kicked.is_empty() {
            self.flush_jobs_done();
        }
    }

    /// A reversal has become due with the outcome of a transaction: it goes out at once.
    pub(in crate::engine) fn reversal_due(&mut self, due: Due) {
        self.line.retry_at = None;
        self.line.retry_pause = RETRY_MIN;
        self.reversals.retain(|kept| kept.id != due.id);
        self.reversals.push(due);
    }
}

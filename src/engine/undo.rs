//! The undo of a refused signature: begun by the terminal itself as soon as it may trade, also after a restart, and
//! told as a reason until it is through. What a refusal still asks for is decided in
//! [`crate::domain::txn::refused`].
use super::handle::Caller;
use super::line::READ_AGAIN;
use super::{Engine, Note};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::followup::{self, Followed};
use crate::domain::ident::TxnId;
use crate::domain::money::Amount;
use crate::domain::outcome::Kind;
use crate::domain::record::{OriginalRef, Terms, TxnRow, TxnStart};
use crate::domain::rules::{self, Present, Undo};
use crate::domain::txn::refused::{Refusal, SIGNATURE_REFUSED, UNDO_IMPOSSIBLE, linked_request, refusal};
use crate::ports::{Durability, JournalError};
use std::collections::{BTreeSet, VecDeque};

/// Signatures that were refused.
#[derive(Default)]
pub(super) struct Refused {
    /// Transactions that nobody has undone yet: no more than a batch holds.
    open: BTreeSet<TxnId>,
    /// Those of them whose undo is still to begin, oldest first.
    due: VecDeque<Due>,
    /// Those of them that something else of the original is in the way of, until its row is read anew.
    waiting: Vec<Due>,
    /// What the journal told at the start: those that the terminal cannot undo by itself, as their timelines say.
    not_undone: BTreeSet<TxnId>,
    /// The journal could not be read: when the next look at it is due.
    read_again_at: Option<BootTime>,
}

/// An undo that is to begin.
pub(super) struct Due {
    original: TxnId,
    /// Who started the original: its agent shows the prompts. After a restart nobody knows.
    starter: Caller,
    /// The bank must be asked, which it can be only once the terminal is signed on.
    asks_bank: bool,
}

impl Refused {
    pub(super) fn new(not_undone: BTreeSet<TxnId>) -> Self {
        Self { not_undone, ..Self::default() }
    }

    /// A refused signature waits to be undone.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The transaction's object stays until then.
    pub(super) fn concerns(&self, id: &TxnId) -> bool {
        self.open.contains(id)
    }

    /// When an undo that could not be read about is tried again.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        self.read_again_at
    }

    /// The undo that may begin now, and whether the bank must be asked for it.
    fn next(&self, now: BootTime) -> Option<bool> {
        let pauses = self.read_again_at.is_some_and(|at| now < at);
        self.due.front().filter(|_| !pauses).map(|due| due.asks_bank)
    }

    fn take(&mut self) -> Option<Due> {
        self.read_again_at = None;
        self.due.pop_front()
    }

    /// The journal could not be read about this one: again after a pause.
    fn put_back(&mut self, due: Due, now: BootTime) {
        self.due.push_front(due);
        self.read_again_at = Some(now.after(READ_AGAIN));
    }

    /// The original was read anew: what was in the way of its undo may be gone.
    fn review(&mut self, id: &TxnId, over: bool) {
        if over {
            self.open.remove(id);
        }
        if let Some(at) = self.waiting.iter().position(|due| due.original == *id) {
            let due = self.waiting.swap_remove(at);
            if !over {
                self.due.push_back(due);
            }
        }
    }
}

impl Engine {
    /// The cashier says that the signature does not match.
    pub(super) fn refuse_signature(&mut self, id: &TxnId, starter: Caller) {
        tracing::warn!(transaction = %id, "signature refused");
        self.timeline(id, SIGNATURE_REFUSED, "the cashier refused the signature; the transaction is undone");
        let notes = self.take_notes();
        self.commit(Note::Evidence, notes, Durability::Full);
        self.refused.open.insert(id.clone());
        self.refused.due.push_back(Due { original: id.clone(), starter, asks_bank: false });
    }

    /// What the journal tells of refused signatures at the start.
    pub(super) fn restore_refused(&mut self, rows: &[TxnRow]) {
        for row in rows {
            let due = match refusal(row) {
                Refusal::Over => continue,
                Refusal::Undo => !self.refused.not_undone.contains(&row.start.id),
                Refusal::Person => false,
            };
            self.enter_row(row);
            let original = row.start.id.clone();
            self.refused.open.insert(original.clone());
            if due {
                tracing::warn!(transaction = %original, "the undo of a refused signature was cut short; again");
                self.refused.due.push_back(Due { original, starter: Caller::nobody(), asks_bank: false });
            }
        }
    }

    /// A transaction was read anew: its refusal may be over.
    pub(super) fn review_refusal(&mut self, row: &TxnRow) {
        if self.refused.concerns(&row.start.id) {
            self.refused.review(&row.start.id, refusal(row) == Refusal::Over);
        }
    }

    /// A refused signature is undone as soon as the terminal is free and may trade.
    pub(super) fn undo_when_free(&mut self) {
        if self.active.is_some() || self.stopping() {
            return;
        }
        let Some(asks_bank) = self.refused.next(self.system.boot()) else { return };
        if self.undo_blocked(asks_bank) {
            return;
        }
        if let Some(due) = self.refused.take() {
            let original = due.original.clone();
            self.find(Note::Undo(due), original);
        }
    }

    /// No card is asked, and an undo makes a full batch no fuller than field 48 bears.
    fn undo_blocked(&self, asks_bank: bool) -> bool {
        match self.blocked_reason(Kind::Void) {
            None | Some("no-reader" | "batch-full" | "parameters-missing") => false,
            Some("keys-missing" | "not-signed-on") => asks_bank,
            Some(_) => true,
        }
    }

    /// The row of a transaction whose signature was refused was read: its undo is started, without card and operator.
    pub(super) fn undo_row_read(&mut self, due: Due, result: Result<Option<Box<TxnRow>>, JournalError>) {
        let row = match result {
            Ok(Some(row)) => row,
            Ok(None) => {
                return tracing::error!(transaction = %due.original, "a refused signature of no transaction");
            }
            Err(error) => {
                let original = &due.original;
                tracing::error!(transaction = %original, %error, "the undo of a refused signature has to wait");
                return self.refused.put_back(due, self.system.boot());
            }
        };
        self.review_refusal(&row);
        let request_id = linked_request(&row.start.id);
        let (Some(kind), Some(request_id)) = (rules::undo_of(row.start.kind), request_id) else { return };
        let id = TxnId::of(&request_id);
        if refusal(&row) != Refusal::Undo || self.entries.contains_key(&id) {
            return;
        }
        if self.active.is_some() {
            return self.refused.due.push_front(due);
        }
        let told = OriginalRef { txn: Some(row.start.id.clone()), ..OriginalRef::default() };
        let profile = std::sync::Arc::clone(&self.settings.identity.profile);
        let present = Present { same_day: self.is_of_today(&row), profile: &profile };
        let found = Some((&*row, self.day_of(&row)));
        let Followed { original, amount, undo, card } =
            match followup::judge(kind, Amount::ZERO, &told, found, present) {
                Ok(followed) => followed,
                Err(fault) => return self.not_undone(due, &fault),
            };
        if undo == Undo::Online && self.undo_blocked(true) {
            return self.refused.due.push_front(Due { asks_bank: true, ..due });
        }
        let start = TxnStart {
            id,
            request_id,
            kind,
            amount,
            arguments_sha256: [0; 32],
            created_at: self.wall(),
            cashier_ref: None,
            metadata: Vec::new(),
            plies: self.settings.plies,
            terms: Terms { original: Some(original), linked: true, ..Terms::default() },
            ..row.start.clone()
        };
        let setup = self.setup(undo, card);
        self.begin(start, setup, due.starter);
    }

    /// The undo is not allowed. What is still open with the original is waited for; everything else, such as a day that
    /// is over, is final: its timeline says so, once, and the shop sees the reason until it has undone or refunded it.
    fn not_undone(&mut self, due: Due, fault: &Fault) {
        let id = due.original.clone();
        if fault.name == FaultName::ReversalPending {
            tracing::info!(transaction = %id, %fault, "the undo of a refused signature has to wait");
            return self.refused.waiting.push(due);
        }
        tracing::warn!(transaction = %id, %fault, "no undo of a refused signature");
        self.timeline(
            &id,
            UNDO_IMPOSSIBLE,
            &format!("the terminal cannot undo it by itself: {}", fault.text),
        );
        let notes = self.take_notes();
        self.commit(Note::Evidence, notes, Durability::Full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ident::RequestId;

    fn due(name: &str) -> Due {
        let original = TxnId::of(&RequestId::new(name).unwrap());
        Due { original, starter: Caller::nobody(), asks_bank: false }
    }

    /// Goal: an undo whose original could not be read is not lost: it is the next one, after a pause that has a
    /// deadline.
    #[test]
    fn an_undo_that_could_not_be_read_about_comes_again_after_a_pause() {
        let mut refused = Refused::default();
        refused.due.extend([due("a"), due("b")]);
        let now = BootTime(1_000_000);
        let first = refused.take().unwrap();
        refused.put_back(first, now);
        let again = now.after(READ_AGAIN);
        assert_eq!(refused.deadline(), Some(again));
        assert_eq!((refused.next(now), refused.next(again)), (None, Some(false)));
        let next: Vec<TxnId> = core::iter::from_fn(|| refused.take()).map(|due| due.original).collect();
        assert_eq!(next, [due("a").original, due("b").original]);
        assert_eq!(refused.deadline(), None);
    }

    /// Goal: an undo that something else of its original is in the way of comes again when that is read anew, and not
    /// when the refusal is over.
    #[test]
    fn an_undo_that_waits_comes_again_with_its_original() {
        let mut refused = Refused::default();
        for name in ["a", "b"] {
            refused.open.insert(due(name).original);
            refused.waiting.push(due(name));
        }
        assert_eq!(refused.next(BootTime(0)), None);
        refused.review(&due("a").original, false);
        refused.review(&due("b").original, true);
        refused.review(&due("a").original, false);
        assert_eq!(refused.take().map(|due| due.original), Some(due("a").original));
        assert!(refused.take().is_none() && refused.waiting.is_empty());
        assert!(refused.concerns(&due("a").original) && !refused.concerns(&due("b").original));
    }
}

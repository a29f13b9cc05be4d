//! The undo of a refused signature: begun by the terminal itself as soon as it may trade, also after a restart, and
//! told as a reason until it is through. What a refusal still asks for is decided in
//! [`crate::domain::txn::refused`].
use super::handle::Caller;
use super::{Engine, Note};
use crate::domain::followup::{self, Followed};
use crate::domain::ident::TxnId;
use crate::domain::money::Amount;
use crate::domain::outcome::Kind;
use crate::domain::record::{OriginalRef, Terms, TxnRow, TxnStart};
use crate::domain::rules::{self, Present, Undo};
use crate::domain::txn::refused::{Refusal, SIGNATURE_REFUSED, linked_request, refusal};
use crate::ports::{Durability, JournalError};
use std::collections::{BTreeSet, VecDeque};

/// Signatures that were refused.
#[derive(Default)]
pub(super) struct Refused {
    /// Transactions that nobody has undone yet: no more than a batch holds.
    open: BTreeSet<TxnId>,
    /// Those of them whose undo is still to begin, oldest first.
    due: VecDeque<Due>,
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
    /// A refused signature waits to be undone.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The transaction's object stays until then.
    pub(super) fn concerns(&self, id: &TxnId) -> bool {
        self.open.contains(id)
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
                Refusal::Undo => true,
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
        if self.refused.concerns(&row.start.id) && refusal(row) == Refusal::Over {
            self.refused.open.remove(&row.start.id);
        }
    }

    /// A refused signature is undone as soon as the terminal is free and may trade.
    pub(super) fn undo_when_free(&mut self) {
        if self.active.is_some() || self.stopping {
            return;
        }
        let Some(asks_bank) = self.refused.due.front().map(|due| due.asks_bank) else { return };
        if self.undo_blocked(asks_bank) {
            return;
        }
        if let Some(due) = self.refused.due.pop_front() {
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
        let Ok(Some(row)) = result else {
            return tracing::error!("the transaction of a refused signature cannot be read; undo it by hand");
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
        let Followed { original, amount, undo, card } = match followup::judge(
            kind,
            Amount::ZERO,
            &told,
            found,
            present,
        ) {
            Ok(followed) => followed,
            Err(fault) => {
                return tracing::warn!(transaction = %row.start.id, %fault, "no undo of a refused signature");
            }
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
}

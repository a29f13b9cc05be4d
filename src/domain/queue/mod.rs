//! The store-and-forward queue: everything the terminal still owes the bank, or the shop must clear up.
//!
//! One durable queue holds all five types. [`Entry`] is what a message needs, as the journal has it; [`delivery`] is
//! one run of one entry; [`order`] says which goes next and when; [`limits`] says how much may wait. Nothing is ever
//! dropped: an entry ends with the bank's word or with the shop's, and each end is durable.
pub mod delivery;
pub mod limits;
pub mod order;
mod verdict;

use super::calendar::WallTime;
use super::fault::{Fault, FaultName};
use super::ident::{AuthCode, BatchNumber, OperatorId, ResponseCode, Rrn, Stan};
use super::money::{Amount, Currency};
use super::outcome::{EntryType, Kind, QueueState, Resolution};
use super::record::{Begun, EntryId, EntryRow, Record, ReversalReason, TxnRow, WireFacts};
use super::secret::Pan;

/// [`Entry::last_error`] of an upload that was sent although it waited longer than allowed; it stays when it is done.
pub const LATE: &str = "late";

/// An open entry of the queue, with everything its message needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its transaction and its type.
    pub id: EntryId,
    /// Kind of its transaction.
    pub kind: Kind,
    /// STAN of its transaction: DE 11 of all messages but the script result's, DE 61.2 of that.
    pub txn_stan: Option<Stan>,
    /// DE 11 of a script result, once its first attempt has taken it.
    pub own_stan: Option<Stan>,
    /// Batch of its transaction: DE 60.2.
    pub batch: BatchNumber,
    /// DE 4.
    pub amount: Amount,
    /// DE 49.
    pub currency: Currency,
    /// Where it stands.
    pub state: QueueState,
    /// Attempts counted.
    pub attempts: u32,
    /// The host answered 25 to a reversal once.
    pub ask_again: bool,
    /// DE 39 of the last answer.
    pub response_code: Option<ResponseCode>,
    /// When it became due.
    pub created_at: WallTime,
    /// Last attempt, answer, or word of a person.
    pub changed_at: WallTime,
    /// Last trouble in words.
    pub last_error: String,
    /// The fields of the message; `None` if nothing is sent for it, or its card data is gone.
    pub content: Option<Box<Content>>,
}

/// What the message says of card and original. `Debug` masks the card number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// DE 2.
    pub pan: Pan,
    /// DE 14, `YYMM`.
    pub expiry: Option<String>,
    /// DE 23.
    pub sequence: Option<u8>,
    /// Scheme of the card, as [`super::record::CardFacts::brand`].
    pub brand: String,
    /// The fields that were stored with the transaction.
    pub wire: WireFacts,
    /// DE 32 of the original's answer.
    pub acquirer: Option<String>,
    /// DE 37 of the original's answer.
    pub rrn: Option<Rrn>,
    /// DE 38: what the original's answer brought, or for an upload what names or authorises it.
    pub auth_code: Option<AuthCode>,
    /// DE 13 of the original's answer, `MMDD`.
    pub answered_on: Option<String>,
    /// DE 39 of a 0400.
    pub reason: Option<ReversalReason>,
    /// DE 55.
    pub icc: Vec<u8>,
}

impl Entry {
    /// Under which identity it began; `None` where its request is not known any more.
    #[must_use]
    pub fn begun(&self) -> Option<Begun> {
        let wire = &self.content.as_ref()?.wire;
        Some(Begun {
            terminal_id: wire.terminal_id.clone(),
            merchant_id: wire.merchant_id.clone(),
            currency: self.currency.alpha().to_owned(),
            profile: wire.profile.clone(),
        })
    }

    /// True if it began under this identity; a request that is not known any more began under any.
    #[must_use]
    pub fn began_as(&self, known: &Begun) -> bool {
        self.content.as_ref().is_none_or(|content| {
            let wire = &content.wire;
            wire.terminal_id == known.terminal_id
                && wire.merchant_id == known.merchant_id
                && self.currency.alpha() == known.currency
                && wire.profile == known.profile
        })
    }

    /// All open entries of a transaction. Armed ones are not owed yet.
    #[must_use]
    pub fn all_of(row: &TxnRow) -> Vec<Self> {
        row.entries.iter().filter(|entry| entry.is_open() && !entry.armed).map(|e| Self::of(row, e)).collect()
    }

    fn of(row: &TxnRow, entry: &EntryRow) -> Self {
        Self {
            id: EntryId::new(row.start.id.clone(), entry.entry_type),
            kind: row.start.kind,
            txn_stan: row.stan,
            own_stan: entry.stan,
            batch: row.batch,
            amount: row.start.amount,
            currency: row.start.currency,
            state: entry.state,
            attempts: entry.attempts,
            ask_again: entry.ask_again,
            response_code: entry.response_code.clone(),
            created_at: entry.created_at,
            changed_at: entry.changed_at,
            last_error: entry.last_error.clone(),
            content: content(row, entry).map(Box::new),
        }
    }

    /// What is owed.
    #[must_use]
    pub const fn entry_type(&self) -> EntryType {
        self.id.entry_type
    }

    /// DE 11 of its message, once it has one.
    #[must_use]
    pub const fn stan(&self) -> Option<Stan> {
        match self.id.entry_type {
            EntryType::Script => self.own_stan,
            _ => self.txn_stan,
        }
    }

    /// A message is sent for it as long as it is neither refused, nor put aside, nor the shop's.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        self.content.is_some()
            && self.txn_stan.is_some()
            && match self.state {
                QueueState::Due | QueueState::Sending | QueueState::Queued | QueueState::Failed => true,
                QueueState::Done | QueueState::Denied | QueueState::Expired | QueueState::Parked => false,
            }
    }

    /// It goes by itself, without anybody's doing: what an image updater or a shop that closes should wait for.
    #[must_use]
    pub fn goes_by_itself(&self) -> bool {
        self.is_sendable() && self.state != QueueState::Failed
    }

    /// A sale or advice that the bank has still to hear of, and that goes by itself.
    #[must_use]
    pub fn is_waiting_upload(&self) -> bool {
        self.waiting_state() == QueueState::Queued && self.goes_by_itself()
    }

    /// The host answered 25, and its second answer is still wanted.
    #[must_use]
    pub fn waits_to_be_asked_again(&self) -> bool {
        self.ask_again && matches!(self.state, QueueState::Due | QueueState::Sending)
    }

    /// True while no financial message may go before it.
    #[must_use]
    pub fn blocks_trading(&self) -> bool {
        self.entry_type() == EntryType::Reversal && self.goes_by_itself() && !self.ask_again
    }

    /// It goes before a transaction: a reversal that blocks, and a script result that was never tried. A script result
    /// moves no money, so one that got no answer does not hold up the next customer.
    #[must_use]
    pub fn goes_first(&self) -> bool {
        let fresh_script = self.entry_type() == EntryType::Script && self.attempts == 0;
        self.blocks_trading() || (fresh_script && self.goes_by_itself())
    }

    /// The host said A0 last time.
    #[must_use]
    pub fn mac_refused(&self) -> bool {
        self.response_code.as_ref().is_some_and(|code| code.as_str() == "A0")
    }

    /// The bank will not end it by itself: it waits for the shop.
    #[must_use]
    pub fn is_unresolved(&self) -> bool {
        matches!(self.state, QueueState::Failed | QueueState::Denied | QueueState::Expired)
    }

    /// A sale approved without the bank, of which the bank has not heard.
    #[must_use]
    pub fn is_stored_sale(&self) -> bool {
        self.entry_type() == EntryType::OfflineSale
            && !matches!(self.state, QueueState::Done | QueueState::Denied)
    }

    /// Where it stands while it waits for its turn.
    #[must_use]
    pub const fn waiting_state(&self) -> QueueState {
        waiting_state(self.id.entry_type)
    }

    /// Puts it aside.
    ///
    /// # Errors
    /// `WrongState`: it is not waiting to be sent.
    pub fn park(&self, why: &str, at: WallTime) -> Result<Record, Fault> {
        if self.entry_type() == EntryType::RefundUnknown || !self.is_sendable() {
            let text = format!("a {} entry that is {} is not sent anyway", self.entry_type(), self.state);
            return Err(Fault::new(FaultName::WrongState, text));
        }
        Ok(self.set(QueueState::Parked, why, at))
    }

    /// Lets a parked one go on.
    ///
    /// # Errors
    /// `WrongState`: it is not parked.
    pub fn unpark(&self, at: WallTime) -> Result<Record, Fault> {
        if self.state != QueueState::Parked {
            let text = format!("the entry is {}, not parked", self.state);
            return Err(Fault::new(FaultName::WrongState, text));
        }
        // What belongs to the shop stays the shop's.
        let state = match self.entry_type() {
            EntryType::RefundUnknown => QueueState::Failed,
            _ => self.waiting_state(),
        };
        Ok(self.set(state, "", at))
    }

    /// Ends it by the shop's word.
    ///
    /// # Errors
    /// `WrongState`: the bank may still end it.
    pub fn resolve(
        &self,
        how: Resolution,
        operator: Option<OperatorId>,
        at: WallTime,
    ) -> Result<Record, Fault> {
        let shops = self.is_unresolved()
            || self.state == QueueState::Parked
            || self.entry_type() == EntryType::RefundUnknown;
        if !shops {
            let text = format!(
                "the entry is {}: the bank is still asked; flush the queue, or park the entry first",
                self.state
            );
            return Err(Fault::new(FaultName::WrongState, text));
        }
        Ok(Record::Resolved { entry: self.id.clone(), how, operator, at })
    }

    fn set(&self, state: QueueState, error: &str, at: WallTime) -> Record {
        Record::QueueState {
            entry: self.id.clone(),
            state,
            response_code: None,
            ask_again: self.ask_again,
            error: error.to_owned(),
            host: None,
            at,
        }
    }
}

/// Where an entry of this type stands while it waits for its turn.
#[must_use]
pub const fn waiting_state(entry_type: EntryType) -> QueueState {
    match entry_type {
        EntryType::Reversal | EntryType::Script => QueueState::Due,
        EntryType::OfflineSale | EntryType::Advice => QueueState::Queued,
        EntryType::RefundUnknown => QueueState::Failed,
    }
}

/// What recovery writes: an attempt that was under way has no answer, and its entry waits for its turn again.
#[must_use]
pub fn recover(row: &TxnRow, now: WallTime) -> Vec<Record> {
    let cut = |entry: &&EntryRow| !entry.armed && entry.state == QueueState::Sending;
    row.entries
        .iter()
        .filter(cut)
        .map(|entry| Record::QueueState {
            entry: EntryId::new(row.start.id.clone(), entry.entry_type),
            state: waiting_state(entry.entry_type),
            response_code: None,
            ask_again: entry.ask_again,
            error: "restarted".to_owned(),
            host: None,
            at: now,
        })
        .collect()
}

fn content(row: &TxnRow, entry: &EntryRow) -> Option<Content> {
    let terms = &row.start.terms;
    let told = || {
        let original = terms.original.as_ref().and_then(|original| original.auth_code.clone());
        terms.auth_code.clone().or(original)
    };
    let auth_code = match entry.entry_type {
        EntryType::RefundUnknown => return None,
        EntryType::OfflineSale | EntryType::Advice => told(),
        EntryType::Reversal | EntryType::Script => row.host.auth_code.clone(),
    };
    if entry.entry_type == EntryType::Reversal && entry.reason.is_none() {
        return None;
    }
    let card = row.card.as_ref()?;
    Some(Content {
        pan: card.pan.clone(),
        expiry: card.expiry.clone(),
        sequence: card.sequence,
        brand: card.brand.clone(),
        wire: row.wire.clone()?,
        acquirer: row.host.acquirer.clone(),
        rrn: row.host.rrn.clone(),
        auth_code,
        answered_on: row.host.host_time.map(|time| time.mmdd()),
        reason: entry.reason,
        icc: entry.icc.clone(),
    })
}

#[cfg(test)]
mod tests;

//! A start that may go on: its original is found and judged, leave is given, and the transaction is made.
use super::handle::{Caller, Leave, OriginalArgument, StartRequest};
use super::journal_thread::{Task, read_fault};
use super::shown::Entry;
use super::start::{PendingStart, reply};
use super::trade::Active;
use super::{Engine, Note};
use crate::domain::calendar::LocalTime;
use crate::domain::emv::params::{Purpose, TxnParams};
use crate::domain::fault::Fault;
use crate::domain::followup::{self, Followed};
use crate::domain::ident::{BatchNumber, OperatorId, Stan, TxnId};
use crate::domain::leave::Deed;
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryMode, Kind, Prompt, ResultCode, TxnState};
use crate::domain::queue::limits;
use crate::domain::record::{CardFacts, OriginalRef, Terms, TxnRow, TxnStart};
use crate::domain::rules::{self, OriginalRule, Present, Route, Undo, rule};
use crate::domain::secret::PinSeed;
use crate::domain::txn::{Event, Setup, Txn};
use crate::ports::JournalError;
use core::time::Duration;
use std::sync::Arc;

impl Engine {
    /// The day of a stored transaction as the bank counts it (DE 13), else as the terminal does.
    pub(super) fn day_of(&self, row: &TxnRow) -> Option<LocalTime> {
        row.host.host_time.or_else(|| row.finished_at.map(|at| self.system.local(at)))
    }

    pub(super) fn is_of_today(&self, row: &TxnRow) -> bool {
        let today = self.system.local(self.wall());
        self.day_of(row).is_some_and(|day| day.same_day(today))
    }

    /// `AllowedFollowUps` of a stored transaction.
    pub(super) fn allowed_follow_ups(&self, row: &TxnRow) -> Vec<Kind> {
        let present = Present { same_day: self.is_of_today(row), profile: &self.settings.identity.profile };
        rules::allowed_follow_ups(row, &self.settings.enabled_kinds, present)
    }

    /// The request id is new: what it follows is looked up, if it follows anything.
    pub(super) fn follow_or_create(&mut self, pending: PendingStart) {
        let PendingStart { request, caller, .. } = &pending;
        if let Err(fault) = self.may_start(request, caller) {
            return reply(pending.answer, Err(fault));
        }
        if rule(request.kind).original == OriginalRule::None {
            return self.admit(pending, None);
        }
        let wanted = told(request);
        match followup::check_told(request.kind, &wanted) {
            Err(fault) => reply(pending.answer, Err(fault)),
            Ok(()) => {
                let (note, wanted) = (Note::Original(Box::new(pending)), Box::new(wanted));
                self.put_task(Task::FindOriginal { note, wanted });
            }
        }
    }

    /// The original was looked up.
    pub(super) fn original_found(
        &mut self,
        pending: PendingStart,
        result: Result<Option<Box<TxnRow>>, JournalError>,
    ) {
        let PendingStart { request, caller, .. } = &pending;
        let id = TxnId::of(&request.request_id);
        let judged = match result {
            // Time has passed: another start may have been quicker.
            _ if self.entries.contains_key(&id) => {
                let same = self.same_request(&id, request);
                return reply(pending.answer, same);
            }
            Err(error) => Err(read_fault(&error)),
            Ok(row) => {
                self.may_start(request, caller).and_then(|()| self.judge_original(request, row.as_deref()))
            }
        };
        match judged {
            Ok(followed) => self.admit(pending, Some(followed)),
            Err(fault) => reply(pending.answer, Err(fault)),
        }
    }

    fn judge_original(&self, request: &StartRequest, row: Option<&TxnRow>) -> Result<Followed, Fault> {
        let same_day = row.is_some_and(|row| self.is_of_today(row));
        let found = row.map(|row| (row, self.day_of(row)));
        let profile = Arc::clone(&self.settings.identity.profile);
        let present = Present { same_day, profile: &profile };
        followup::judge(request.kind, request.amount, &told(request), found, present)
    }

    /// Nothing but leave is missing.
    fn admit(&mut self, pending: PendingStart, followed: Option<Followed>) {
        let PendingStart { request, caller, answer } = pending;
        let kind = request.kind;
        let locally = followed.as_ref().is_some_and(|followed| matches!(followed.undo, Undo::Local(_)));
        let amount = followed.as_ref().map_or(request.amount, |followed| followed.amount);
        let allowed = self
            .terminal_may_trade(kind, rule(kind).route == Route::Online && !locally)
            .and_then(|()| self.storable(&request))
            .and_then(|()| self.leave_for(&request, amount, followed.as_ref(), &caller));
        let supervisor = match allowed {
            Ok(supervisor) => supervisor,
            Err(fault) => return reply(answer, Err(fault)),
        };
        let id = TxnId::of(&request.request_id);
        let (original, undo, card) = match followed {
            Some(Followed { original, undo, card, .. }) => (Some(original), undo, card),
            None => (None, Undo::Online, None),
        };
        let terms = Terms {
            original,
            auth_code: request.auth_code.clone(),
            supervisor,
            allow_partial: request.allow_partial,
            linked: false,
        };
        self.create(request, caller, amount, terms, (undo, card));
        reply(answer, Ok(id));
    }

    /// The merchant's limit that leaves no room for even the smallest offline sale, as a word. One that the bank has
    /// allowed by voice may start all the same.
    pub(super) fn store_blocked(&self, kind: Kind) -> Option<&'static str> {
        let excess = self.store_excess(Amount::ONE, None).filter(|_| kind == Kind::OfflineSale);
        excess.map(limits::Excess::limit)
    }

    /// A sale that the bank hears of later must keep the merchant's limits; one that the bank has allowed by voice is
    /// no risk of the merchant's. Choice.
    fn storable(&self, request: &StartRequest) -> Result<(), Fault> {
        let at_risk = request.kind == Kind::OfflineSale && request.auth_code.is_none();
        let excess = self.store_excess(request.amount, Some(EntryMode::Chip)).filter(|_| at_risk);
        excess.map_or(Ok(()), |excess| Err(excess.fault()))
    }

    /// Who allowed it: the signed-on operator or a token. Nobody yet: the transaction waits for a supervisor.
    fn leave_for(
        &mut self,
        request: &StartRequest,
        amount: Amount,
        followed: Option<&Followed>,
        caller: &Caller,
    ) -> Result<Option<OperatorId>, Fault> {
        let rule = rule(request.kind);
        if !rule.supervisor {
            return Ok(None);
        }
        let original = followed.and_then(|followed| followed.original.txn.clone());
        let deed = Deed { action: rule.action, original, amount: Some(amount) };
        let leave = Leave { authorization: request.authorization.clone() };
        match self.may(&deed, &leave, caller) {
            Ok(supervisor) => Ok(Some(supervisor)),
            Err(_) if request.authorization.is_none() => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn create(
        &mut self,
        request: StartRequest,
        caller: Caller,
        amount: Amount,
        terms: Terms,
        (undo, stored_card): (Undo, Option<Arc<CardFacts>>),
    ) {
        let operator = self.session.as_mut().map(|session| {
            session.last_used = self.system.boot();
            session.operator.clone()
        });
        let seconds =
            |asked: Option<u32>, set: Duration| asked.map_or(set, |s| Duration::from_secs(u64::from(s)));
        let setup = Setup {
            customer_timeout: seconds(request.customer_timeout_s, self.settings.customer_timeout),
            response_timeout: seconds(request.host_timeout_s, self.settings.response_timeout),
            confirm_card: request.confirm_card,
            may_store: request.kind == Kind::Sale
                && self.clock_trusted()
                && self.store_excess(amount, Some(EntryMode::Chip)).is_none(),
            allow_duplicate: request.allow_duplicate,
            ..self.setup(undo, stored_card)
        };
        let start = TxnStart {
            id: TxnId::of(&request.request_id),
            request_id: request.request_id,
            kind: request.kind,
            amount,
            currency: request.currency,
            arguments_sha256: request.arguments_sha256,
            operator: operator.unwrap_or_else(super::operators::nobody),
            created_at: self.wall(),
            cashier_ref: request.cashier_ref,
            metadata: request.metadata,
            plies: request.plies.unwrap_or(self.settings.plies),
            terms,
        };
        self.begin(start, setup, caller);
    }

    /// What every transaction is told, with the terminal's own times.
    pub(super) fn setup(&self, undo: Undo, stored_card: Option<Arc<CardFacts>>) -> Setup {
        Setup {
            emv: self.settings.emv.clone(),
            identity: self.settings.identity.clone(),
            customer_timeout: self.settings.customer_timeout,
            response_timeout: self.settings.response_timeout,
            tls: self.settings.tls,
            token_key: self.settings.token_key.clone(),
            blacklist: Arc::clone(&self.downloads.tables.blacklist),
            recent: self.recent.list(),
            pin_entry: self.pin_entry(),
            // No adapter of this version does.
            reads_stripes: false,
            confirm_card: false,
            may_store: false,
            allow_duplicate: false,
            undo,
            stored_card,
        }
    }

    pub(super) fn begin(&mut self, start: TxnStart, setup: Setup, starter: Caller) {
        let id = start.id.clone();
        let order = self.fresh_id();
        let entry = Entry {
            view: super::views::of_start(&start, self.batch),
            published: None,
            arguments_sha256: start.arguments_sha256,
            order,
            exposed_until: None,
        };
        self.entries.insert(id.clone(), entry);
        tracing::info!(transaction = %id, kind = %start.kind, amount = start.amount.minor(), "started");
        let txn = Txn::new(start, setup);
        let waits = txn.asks_bank() && self.keys.is_none();
        self.active = Some(Active::new(txn, starter));
        self.tell_txn(&id);
        if waits {
            self.prompt(Prompt::SigningOn);
        }
    }

    /// The customer may be asked once the terminal is signed on, where the bank is to be asked at all.
    pub(super) fn begin_when_ready(&mut self) {
        let Some(txn) = self.active.as_ref().map(|active| &active.txn) else { return };
        if txn.state() != TxnState::Created {
            return;
        }
        if self.keys.is_some() || !txn.asks_bank() {
            let params = self.txn_params();
            self.step_txn(Event::Begun(Box::new(params)));
        } else if !self.line.signing_on() {
            self.step_txn(Event::NotBegun(ResultCode::NotSignedOn));
        }
    }

    /// Draws this transaction's chance and date. What its business is the transaction puts in itself.
    fn txn_params(&mut self) -> TxnParams {
        let mut chance = [0_u8; 8];
        self.system.random(&mut chance);
        let mut seed = [0_u8; 32];
        self.system.random(&mut seed);
        let [a, b, c, d, e, ..] = chance;
        TxnParams {
            amount: Amount::ZERO,
            amount_other: Amount::ZERO,
            currency: self.settings.currency,
            transaction_type: 0x00,
            now: self.system.local(self.wall()),
            unpredictable_number: [a, b, c, d],
            sequence_counter: self.next_stan.get(),
            selection_roll: 1 + e % 99,
            pin_seed: PinSeed::new(seed),
            purpose: Purpose::Pay,
            watch: None,
        }
    }

    /// A follow-up has moved on: its original is shown anew.
    pub(super) fn refresh_original(&mut self, start: &TxnStart) {
        let original = start.terms.original.as_ref().and_then(|original| original.txn.as_ref());
        if let Some(original) = original.filter(|original| self.entries.contains_key(original)) {
            self.refresh(&original.clone());
        }
    }
}

/// What the caller tells of the original, as the journal is asked for it.
fn told(request: &StartRequest) -> OriginalRef {
    let mut told = OriginalRef {
        rrn: request.rrn.clone(),
        date: request.date.clone(),
        auth_code: request.auth_code.clone(),
        ..OriginalRef::default()
    };
    match &request.original {
        Some(OriginalArgument::Object(id)) => told.txn = Some(id.clone()),
        Some(OriginalArgument::Numbers { batch, trace, date }) => {
            told.batch = BatchNumber::new(*batch).ok();
            told.stan = Stan::new(*trace).ok();
            let date = Some(date.clone()).filter(|date| !date.is_empty());
            told.date = told.date.or(date);
        }
        None => {}
    }
    told
}

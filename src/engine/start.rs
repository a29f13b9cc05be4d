//! Starting a transaction: is the request id known, may it run, and when may the customer be asked.
use super::handle::{Caller, StartRequest};
use super::{Engine, Note};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::TxnId;
use crate::domain::outcome::{Kind, PinEntry};
use crate::domain::record::TxnRow;
use crate::domain::rules::{self, AmountRule, CardUse, Route, rule};
use crate::ports::JournalError;
use core::time::Duration;
use tokio::sync::oneshot;

/// How long an old transaction's object stays after somebody asked for it.
const EXPOSED: Duration = Duration::from_secs(600);
/// How many of those there may be.
const EXPOSED_MAX: usize = 64;
/// How many old transactions keep their objects anyway.
const KEPT: usize = 20;

/// A start whose request id, or original, is being looked up.
pub(super) struct PendingStart {
    pub(super) request: StartRequest,
    pub(super) caller: Caller,
    pub(super) answer: oneshot::Sender<Result<TxnId, Fault>>,
}

impl Engine {
    /// `StartTransaction`: the same request gives the same transaction, before and after a restart.
    pub(super) fn start(
        &mut self,
        request: StartRequest,
        caller: Caller,
        answer: oneshot::Sender<Result<TxnId, Fault>>,
    ) {
        let id = TxnId::of(&request.request_id);
        if self.entries.contains_key(&id) {
            return reply(answer, self.same_request(&id, &request));
        }
        self.find(Note::Start(Box::new(PendingStart { request, caller, answer })), id);
    }

    /// The transaction of this name, if it was asked for with the same arguments.
    pub(super) fn same_request(&self, id: &TxnId, request: &StartRequest) -> Result<TxnId, Fault> {
        let entry = self.entries.get(id);
        let same = entry.is_some_and(|entry| entry.arguments_sha256 == request.arguments_sha256);
        if same { Ok(id.clone()) } else { Err(conflict()) }
    }

    pub(super) fn start_looked_up(
        &mut self,
        pending: PendingStart,
        result: Result<Option<Box<TxnRow>>, JournalError>,
    ) {
        let PendingStart { request, caller, answer } = pending;
        let id = TxnId::of(&request.request_id);
        let outcome = match result {
            Err(error) => Err(super::journal_thread::read_fault(&error)),
            Ok(Some(row)) if row.start.arguments_sha256 == request.arguments_sha256 => {
                self.expose_row(&row);
                Ok(id)
            }
            Ok(Some(_)) => Err(conflict()),
            // A second start with the same id may have come while the first was looked up.
            Ok(None) if self.entries.contains_key(&id) => self.same_request(&id, &request),
            Ok(None) => return self.follow_or_create(PendingStart { request, caller, answer }),
        };
        reply(answer, outcome);
    }

    /// Everything that can be known before the original is looked up.
    pub(super) fn may_start(&self, request: &StartRequest, caller: &Caller) -> Result<(), Fault> {
        let fault = |name, text: &str| Err(Fault::new(name, text));
        let kind = request.kind;
        if !kind.is_built() {
            return fault(
                FaultName::NotSupported,
                "this version does not do that kind; EnabledKinds lists them",
            );
        }
        if !request.entry_modes.is_empty() && !request.entry_modes.iter().any(|mode| mode == "chip") {
            return fault(FaultName::NotSupported, "this terminal reads chips only; leave entry-modes out");
        }
        if !self.settings.enabled_kinds.contains(&kind) {
            return fault(
                FaultName::FunctionDisabled,
                "this kind is switched off in [terminal] enabled-kinds",
            );
        }
        let fits = match rule(kind).amount {
            AmountRule::Positive => !request.amount.is_zero(),
            AmountRule::Zero => request.amount.is_zero(),
            AmountRule::Originals => true,
        };
        if !fits {
            return fault(FaultName::AmountInvalid, "the amount is above 0; of a balance inquiry it is 0");
        }
        if request.allow_partial && kind != Kind::Sale {
            return fault(FaultName::InvalidArgument, "option allow-partial goes with kind sale only");
        }
        if request.currency != self.settings.currency {
            let text = format!("this terminal trades in {:?}", self.settings.currency);
            return fault(FaultName::CurrencyMismatch, &text);
        }
        self.session_of(caller)?;
        if self.stopping() {
            return fault(FaultName::NotReady, "the terminal is stopping");
        }
        match &self.storage_trouble {
            Some(JournalError::Full) => {
                return fault(FaultName::StorageFull, "the disk is full; free space or call a technician");
            }
            Some(_) => {
                return fault(FaultName::StorageFault, "the journal cannot be written; call a technician");
            }
            None => {}
        }
        if self.active.is_some() {
            return fault(FaultName::Busy, "another transaction runs; wait for it or cancel it");
        }
        // How a void is carried out is not known yet; one that the bank need not hear of needs no sign-on.
        self.terminal_may_trade(kind, kind != Kind::Void)?;
        if self.settings.pin_entry == PinEntry::Agent && self.may_ask_pin(request) && !request.has_pin_agent {
            return fault(FaultName::NotReady, "no agent can ask the PIN; call Manager.RegisterAgent first");
        }
        Ok(())
    }

    /// A PIN may be wanted: by the chip, or by the profile.
    fn may_ask_pin(&self, request: &StartRequest) -> bool {
        match (rule(request.kind).card, request.kind) {
            (CardUse::Pay, Kind::OfflineSale) => false,
            (CardUse::Pay, _) => true,
            (CardUse::Read, kind) => rules::asks_pin_after_reading(kind, &self.settings.identity.profile),
        }
    }

    /// May a transaction of this kind begin as far as the terminal is concerned?
    pub(super) fn terminal_may_trade(&self, kind: Kind, asks_bank: bool) -> Result<(), Fault> {
        let fault = |name, text: &str| Err(Fault::new(name, text));
        let about_bank = |reason: &&str| matches!(*reason, "keys-missing" | "not-signed-on");
        if let Some(reason) = self.blocked_reason(kind).filter(|reason| asks_bank || !about_bank(reason)) {
            return match reason {
                "clock-untrusted" => fault(
                    FaultName::ClockUntrusted,
                    "the clock is behind the last record; sign on to the host, which tells the time",
                ),
                "batch-closing" => {
                    fault(FaultName::BatchClosing, "the batch is being settled; wait until it is closed")
                }
                "restore-unconfirmed" => Err(super::upkeep::restored_fault()),
                "inhibited" => Err(self.inhibited_fault()),
                "parameters-missing" => fault(FaultName::ParametersMissing, "emv.toml has no application"),
                "identity-changed" => fault(
                    FaultName::WrongState,
                    "terminal or merchant id changed while the batch is open; settle first",
                ),
                "batch-full" => fault(FaultName::LimitExceeded, "the batch is full; settle first"),
                "no-reader" => fault(FaultName::DeviceAbsent, "no chip reader; plug it in and check pcscd"),
                "keys-missing" => {
                    fault(FaultName::KeysMissing, "no master key is loaded; a technician must load it")
                }
                _ => fault(FaultName::NotSignedOn, "the terminal is not signed on; call Host.SignOn first"),
            };
        }
        Ok(())
    }

    /// Why a kind cannot start now, as a word; the operator aside.
    pub(super) fn blocked_reason(&self, kind: Kind) -> Option<&'static str> {
        let count: u32 = self.counts.values().copied().fold(0, u32::saturating_add);
        if !kind.is_built() {
            Some("not-supported")
        } else if self.storage_trouble.is_some() {
            Some("storage-fault")
        } else if self.upkeep.holds_money() {
            Some("restore-unconfirmed")
        } else if self.health.inhibitors.any() {
            Some("inhibited")
        } else if self.settling() {
            Some("batch-closing")
        } else if self.settings.emv.aids.is_empty() {
            Some("parameters-missing")
        } else if self.identity_changed() {
            Some("identity-changed")
        } else if count >= self.settings.batch_max {
            Some("batch-full")
        } else if !self.readers.iter().any(|reader| !reader.contactless && reader.ok) {
            Some("no-reader")
        } else if rule(kind).route == Route::Queue {
            // The bank hears of it later: its keys do not matter now, the terminal's clock does.
            (!self.clock_trusted()).then_some("clock-untrusted")
        } else if !self.has_master_key() {
            Some("keys-missing")
        } else if self.master_changing || (self.keys.is_none() && !self.line.signing_on()) {
            Some("not-signed-on")
        } else {
            None
        }
    }

    /// The open batch or an obligation was begun under another identity.
    pub(super) fn identity_changed(&self) -> bool {
        let (now, currency) = (&self.settings.identity, self.settings.currency);
        let counts = self.open_batch.has_records || !self.queue.is_empty();
        let batch = self.open_batch.identity.as_ref().filter(|_| counts);
        batch.into_iter().chain(self.queue.begun()).any(|begun| !begun.is(now, currency))
    }

    /// `GetTransaction` and `Ledger.Open`: an older one gets its object back for ten minutes.
    pub(super) fn expose(&mut self, id: TxnId, answer: oneshot::Sender<Result<(), Fault>>) {
        if self.entries.contains_key(&id) {
            return reply(answer, Ok(()));
        }
        self.find(Note::Expose(id.clone(), answer), id);
    }

    pub(super) fn expose_found(
        &mut self,
        id: &TxnId,
        answer: oneshot::Sender<Result<(), Fault>>,
        result: Result<Option<Box<TxnRow>>, JournalError>,
    ) {
        let outcome = match result {
            Err(error) => Err(super::journal_thread::read_fault(&error)),
            Ok(None) => {
                Err(Fault::new(FaultName::NotFound, format!("no transaction {id}; query the ledger")))
            }
            Ok(Some(row)) => {
                let exposed = self.entries.values().filter(|entry| entry.exposed_until.is_some()).count();
                if exposed >= EXPOSED_MAX {
                    Err(Fault::new(
                        FaultName::TooMany,
                        "64 older transactions are open already; try again later",
                    ))
                } else {
                    self.expose_row(&row);
                    Ok(())
                }
            }
        };
        reply(answer, outcome);
    }

    fn expose_row(&mut self, row: &TxnRow) {
        let until = self.system.boot().after(EXPOSED);
        self.enter_row(row);
        if let Some(entry) = self.entries.get_mut(&row.start.id) {
            entry.exposed_until = Some(until);
        }
        self.tell_txn(&row.start.id);
    }

    /// When the next old object goes.
    pub(super) fn next_forget_at(&self) -> Option<BootTime> {
        self.entries.values().filter_map(|entry| entry.exposed_until).min()
    }

    /// Old objects go: all but the live, the unresolved, the last 20 and those that were asked for.
    pub(super) fn forget(&mut self) {
        let now = self.system.boot();
        self.entries.end_exposure(now);
        if self.entries.len() <= KEPT {
            return;
        }
        let mut orders: Vec<u64> = self.entries.values().map(|entry| entry.order).collect();
        orders.sort_unstable_by(|a, b| b.cmp(a));
        let oldest_kept = orders.get(KEPT.saturating_sub(1)).copied().unwrap_or(0);
        let owing = self.queue.owing();
        let gone: Vec<TxnId> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.order < oldest_kept && entry.exposed_until.is_none())
            .map(|(id, _)| id)
            .filter(|id| !owing.contains(id) && !self.is_busy(id))
            .cloned()
            .collect();
        for id in gone {
            self.drop_entry(&id);
        }
    }

    /// It runs, or its paper or card is not home yet.
    fn is_busy(&self, id: &TxnId) -> bool {
        self.active.as_ref().is_some_and(|active| active.txn.id() == id)
            || self.cares.iter().any(|care| care.id == *id)
            || self.desk.has_open(id)
            || self.refused.concerns(id)
    }
}

/// Answers a caller; one that is gone needs no answer.
pub(super) fn reply<T>(answer: oneshot::Sender<Result<T, Fault>>, value: Result<T, Fault>) {
    let _gone = answer.send(value).is_err();
}

fn conflict() -> Fault {
    Fault::new(
        FaultName::IdempotencyConflict,
        "this request id was used with other arguments; use a new one for a new transaction",
    )
}

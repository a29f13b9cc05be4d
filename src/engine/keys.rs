//! Keys: what is restored at start, and a master key that comes over the bus.
use super::handle::{Caller, Leave};
use super::start::reply;
use super::{Engine, Note};
use crate::domain::fault::{Fault, FaultName};
use crate::domain::leave::Deed;
use crate::domain::record::{Committed, KeyRecord, Record};
use crate::domain::secret::MasterKeyMaterial;
use crate::ports::{Durability, JournalError};
use tokio::sync::oneshot;

/// A master key on its way to the disk.
pub(super) struct Loading {
    key: MasterKeyMaterial,
    answer: oneshot::Sender<Result<String, Fault>>,
}

impl Engine {
    /// Takes the stored master key in place of the credential's, and opens the stored working keys; those under another
    /// master key are forgotten.
    ///
    /// Choice: a key that was loaded over the bus is the newer word; the credential is what a terminal begins with.
    pub(super) fn restore_keys(&mut self, master: Option<&MasterKeyMaterial>, record: Option<KeyRecord>) {
        if let Some(Err(error)) = master.map(|key| self.key_store.load_master(key)) {
            tracing::error!(%error, "the stored master key cannot be used; load it again");
        }
        let (Some(record), Some(check)) = (record, self.key_store.master_check()) else { return };
        if check != record.tmk_check {
            tracing::warn!("the stored working keys belong to another master key; a sign-on is needed");
            return;
        }
        match self.key_store.open(&record.block) {
            Ok(opened) => {
                self.keys = Some(opened.session);
                self.key_record = Some(record);
            }
            Err(error) => {
                tracing::warn!(%error, "the stored working keys cannot be opened; a sign-on is needed");
            }
        }
    }

    /// A master key is there.
    pub(super) fn has_master_key(&self) -> bool {
        self.key_store.master_check().is_some()
    }

    /// `Host.LoadMasterKey`. It is used when it is durable; the working keys under the one before are gone then.
    pub(super) fn load_master_key(
        &mut self,
        key: MasterKeyMaterial,
        leave: &Leave,
        caller: &Caller,
        answer: oneshot::Sender<Result<String, Fault>>,
    ) {
        let allowed = self.may_change_master().and_then(|()| self.may(&Deed::of("keys"), leave, caller));
        let operator = match allowed {
            Ok(operator) => operator,
            Err(fault) => return reply(answer, Err(fault)),
        };
        let check = shown(self.key_store.check_value(&key));
        let line = self.audit(Some(&operator), format!("master key loaded, check value {check}"));
        let kept = match self.key_store.keeps_master() {
            true => Record::SignedOff,
            false => Record::MasterKeyLoaded(key.clone()),
        };
        self.master_changing = true;
        let loading = Box::new(Loading { key, answer });
        self.commit(Note::MasterKey(loading), vec![kept, line], Durability::Full);
    }

    /// What is owed, or still to be settled, was begun under the keys that would go.
    fn may_change_master(&self) -> Result<(), Fault> {
        let no = |name, text: &str| Err(Fault::new(name, text));
        if self.active.is_some() || self.settling() {
            return no(FaultName::Busy, "a transaction or a settlement runs; wait for it");
        }
        if self.master_changing || self.line.signing_on() {
            return no(FaultName::Busy, "keys are being exchanged; try again in a moment");
        }
        if !self.queue.is_empty() {
            return no(
                FaultName::WrongState,
                "messages to the bank are still owed; send them first: Queue.Flush",
            );
        }
        if self.open_batch.has_records {
            return no(FaultName::WrongState, "the open batch has records; settle it first: Ledger.Settle");
        }
        Ok(())
    }

    /// It is durable, or not.
    pub(super) fn master_key_stored(&mut self, loading: Loading, result: Result<Committed, JournalError>) {
        self.master_changing = false;
        let Loading { key, answer } = loading;
        if let Err(error) = result {
            return reply(answer, Err(super::journal_thread::read_fault(&error)));
        }
        self.drop_keys();
        let loaded = self.key_store.load_master(&key).map(|()| shown(self.key_store.check_value(&key)));
        if loaded.is_ok() {
            tracing::info!("another master key is loaded; a sign-on is needed");
            self.line_sign_on_now();
        }
        let fault =
            |error| Fault::new(FaultName::Failed, format!("{error}; the journal keeps the key: restart"));
        reply(answer, loaded.map_err(fault));
    }
}

/// A check value as people compare it: 8 hex digits.
pub(super) fn shown(check: [u8; 4]) -> String {
    check.iter().map(|byte| format!("{byte:02X}")).collect()
}

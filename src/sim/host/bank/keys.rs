//! Sign-on and sign-off: which keys a terminal is given, in the form of the profile, and whether a MAC is made with
//! them.
use std::collections::BTreeMap;
use std::io;

use crate::domain::iso8583::{De, Message};
use crate::domain::keystore::{KeyBlockLayout, SignOnKeys};
use crate::domain::secret::MasterKeyMaterial;
use crate::domain::unionpay::issuer::{ClearKeys, ClearMak};
use crate::domain::unionpay::keys::WorkingKeys;

use super::{Bank, Refusal, Wish, refuse};

/// Keys by terminal.
#[derive(Default)]
pub(super) struct Sessions {
    open: BTreeMap<String, WorkingKeys>,
    /// Terminals that were sent the new master key, and whether they have used keys that stood under it.
    renewed: BTreeMap<String, bool>,
}

#[cfg(test)]
impl Sessions {
    pub(super) fn insert(&mut self, terminal: &str, keys: WorkingKeys) {
        self.open.insert(terminal.to_owned(), keys);
    }

    pub(super) fn of(&self, terminal: &str) -> WorkingKeys {
        self.open[terminal].clone()
    }
}

impl Bank {
    /// Forgets all working keys, as after a restart: the next financial message is refused with A0.
    pub(in super::super) fn forget_keys(&mut self) {
        self.sessions.open.clear();
    }

    /// Gives out new keys.
    pub(super) fn sign_on(
        &mut self,
        request: &Message,
        wish: &Wish,
        answer: &mut Message,
    ) -> io::Result<Result<(), Refusal>> {
        if let Err(refusal) = self.known(request).and_then(|()| wish.refusal()) {
            return Ok(Err(refusal));
        }
        let terminal = request.text(De::TERMINAL).unwrap_or_default();
        let rules = self.settings.profile.keys;
        let keys = self.chosen()?;
        let (tmk, new_tmk) = self.master(terminal);
        answer.set(De::PRIVATE_62, keys.block(tmk, &rules, new_tmk));
        if new_tmk.is_some() {
            self.sessions.renewed.insert(terminal.to_owned(), false);
        }
        self.sessions.open.insert(terminal.to_owned(), keys.opened(rules));
        if let (Some(batch), Some(sixty)) = (self.settings.batch, request.text(De::PRIVATE_60)) {
            let (kind, rest) = (sixty.get(..2).unwrap_or_default(), sixty.get(8..).unwrap_or_default());
            answer.set(De::PRIVATE_60, format!("{kind}{batch:06}{rest}"));
        }
        Ok(Ok(()))
    }

    /// New keys by chance, or those that a test wants.
    fn chosen(&self) -> io::Result<ClearKeys> {
        let rules = &self.settings.profile.keys;
        let (mut pik, mut mak, mut tdk) = ([0; 16], [0; 16], [0; 16]);
        for key in [&mut pik, &mut mak, &mut tdk] {
            getrandom::fill(key).map_err(io::Error::other)?;
        }
        if let Some(keys) = self.settings.session_keys {
            (pik, mak) = keys;
        }
        let double = self.settings.double_mak || rules.key_block == KeyBlockLayout::Sm4;
        let (single, _) = mak.split_first_chunk().unwrap_or((&[0; 8], &[]));
        let mak = if double { ClearMak::Double(mak) } else { ClearMak::Single(*single) };
        let asked = rules.sign_on == SignOnKeys::TdesTracks && !self.settings.without_tdk;
        Ok(ClearKeys { pik, mak, tdk: asked.then_some(tdk) })
    }

    /// The master key of a terminal, and the one that it is to take in its place. Choice: a terminal has taken it when
    /// a MAC under its keys came; before that it is sent again, under the old one.
    fn master(&self, terminal: &str) -> (&MasterKeyMaterial, Option<&MasterKeyMaterial>) {
        let new = self.settings.new_tmk.as_ref();
        let new = new.filter(|_| self.settings.profile.keys.key_block == KeyBlockLayout::Typed);
        match new {
            Some(new) if self.sessions.renewed.get(terminal) == Some(&true) => (new, None),
            new => (&self.settings.tmk, new),
        }
    }

    pub(super) fn sign_off(&mut self, request: &Message) {
        self.sessions.open.remove(request.text(De::TERMINAL).unwrap_or_default());
    }

    /// The terminal is registered and signed on, and the MAC is right.
    pub(super) fn authentic(&mut self, request: &Message, packed: &[u8]) -> Result<WorkingKeys, Refusal> {
        self.known(request)?;
        let terminal = request.text(De::TERMINAL).unwrap_or_default();
        match self.sessions.open.get(terminal) {
            None => refuse("A0", "not signed on"),
            Some(keys) if request.has(De::MAC) && keys.verifies(packed) => {
                if let Some(used) = self.sessions.renewed.get_mut(terminal) {
                    *used = true;
                }
                Ok(keys.clone())
            }
            Some(_) => refuse("A0", "wrong MAC"),
        }
    }
}

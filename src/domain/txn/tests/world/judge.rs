//! The rules of the house: at every step, and once more at rest.
use super::*;

/// What was announced and what is durable, as the write-ahead rule sees it.
#[derive(Debug, Default)]
pub(in super::super) struct Watch {
    outstanding: Option<Vec<Record>>,
    sending: bool,
    closed: Option<Closed>,
    pub(in super::super) finishes: usize,
}

impl Watch {
    /// Before the machine hears of an event.
    pub(in super::super) fn hears(&mut self, event: &Event) {
        match event {
            Event::Stored(_) => {
                for record in self.outstanding.take().unwrap_or_default() {
                    match record {
                        Record::Sending(_) => self.sending = true,
                        Record::Closed(closed) => self.closed = Some(*closed),
                        _ => {}
                    }
                }
            }
            Event::StoreFailed => self.outstanding = None,
            _ => {}
        }
    }

    /// What the machine wants: each rule of the house is checked here.
    pub(in super::super) fn wants(&mut self, txn: &Txn, effects: &TxnEffects) {
        if let Vital::Send(_) = effects.vital {
            assert!(self.sending, "a request leaves before its Sending is durable");
            assert_eq!(self.closed, None, "a request leaves after the outcome");
        }
        if let Vital::Store(records) = &effects.vital {
            assert_eq!(self.outstanding, None, "a second store while one is out");
            assert_eq!(self.finishes, 0, "a store after the end");
            self.outstanding = Some(records.clone());
        }
        if effects.local.contains(&Local::Finish) {
            self.finishes += 1;
            assert_eq!(self.finishes, 1, "Finish comes once");
            let closed = self.closed.as_ref().expect("Finish before the outcome is durable");
            assert_eq!(txn.ended(), Some(closed), "another outcome is told than is durable");
        }
        let told = effects.local.iter().filter(|local| **local == Local::Finish).count();
        assert!(told <= 1);
    }
}

impl World {
    fn silence(&self) -> Silence {
        rule(self.start.kind).silence
    }

    /// What must hold after every step.
    pub(super) fn judge_step(&self) {
        if !self.judged {
            return;
        }
        let approved = self.disk.outcome() == Some(Outcome::Approved);
        let stored = self.disk.outcome() == Some(Outcome::StoredOffline);
        if self.bank.holds {
            let known = match self.silence() {
                Silence::Reverse => self.disk.owes(EntryType::Reversal),
                Silence::Except => self.disk.owes(EntryType::RefundUnknown),
                Silence::Forget => true,
            };
            assert!(approved || known, "the bank holds money that nobody knows of");
        }
        let asked = self.setup.undo == Undo::Online;
        if approved && asked {
            assert!(self.bank.holds, "approved, and the bank holds nothing");
        }
        assert_eq!(stored, self.disk.owes_upload(), "stored offline and to be uploaded are one");
        assert!(!(stored && self.bank.holds), "a request that may have arrived became an offline approval");
        let told_good = matches!(self.told, Some(Outcome::Approved | Outcome::StoredOffline));
        if told_good {
            assert!(approved || stored, "the customer was told otherwise");
        }
        let withdrawn = self.disk.withdrawn.is_some();
        let withdraws = matches!(self.setup.undo, Undo::Local(Some(_)));
        assert_eq!(withdrawn, approved && withdraws, "a local undo and its withdrawal are one");
    }

    /// What must hold when nothing is left to do.
    pub(super) fn judge_rest(&self) {
        let outcome = self.disk.outcome();
        match self.silence() {
            Silence::Reverse if self.setup.undo == Undo::Online => {
                assert_eq!(self.bank.holds, outcome == Some(Outcome::Approved), "{:?}", self.disk.row);
            }
            Silence::Reverse | Silence::Except | Silence::Forget => {}
        }
        let unknown_stays = self.silence() == Silence::Except;
        assert!(!self.disk.owes(EntryType::Reversal));
        assert_ne!(outcome, Some(Outcome::None));
        assert!(unknown_stays || outcome != Some(Outcome::Unknown));
        match self.told {
            Some(Outcome::Unknown) if unknown_stays => assert_eq!(outcome, Some(Outcome::Unknown)),
            Some(Outcome::Unknown) => assert_eq!(outcome, Some(Outcome::Reversed)),
            Some(told) => assert_eq!(outcome, Some(told)),
            None => assert!(self.cuts > 0, "it ended without a word"),
        }
        assert!(self.bank.sales.len() <= 1, "the bank was asked twice");
        assert!(self.cuts > 0 || !self.chip.powered, "the chip is left under power");
        let kept = self.disk.row.as_ref().map(|row| !row.approved_amount.is_zero());
        let good = matches!(outcome, Some(Outcome::Approved | Outcome::StoredOffline));
        assert_eq!(kept.unwrap_or_default(), good && self.start.kind != Kind::Balance);
        let reversible = self.silence() == Silence::Reverse;
        if self.chip.said_tc && outcome == Some(Outcome::Declined) && reversible {
            assert!(self.reversal_due().is_some(), "a TC ended as declined without a reversal");
        }
    }
}

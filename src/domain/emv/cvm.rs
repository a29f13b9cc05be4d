//! Cardholder verification: walks the card's list of methods until one is settled. EMV 4.4 Book 3 §10.5,
//! Annex C3.
//!
//! What a rule says is in `rule.rs`; a PIN, asked and checked, is in `pin.rs`. Results: EMV 4.4 Book 4 §6.3.4.5. Spec:
//! unverified.
use std::vec::IntoIter;

use super::kernel::{KernelError, Step};
use super::results::{Aip, CvmOutcome, CvmResults, Tsi, Tvr};
use super::risk;
use super::session::Session;
use super::tlv::Tag;
use crate::domain::outcome::CvmMethod;

mod pin;
mod rule;

pub(super) use pin::{AwaitChallenge, AwaitPin, AwaitTries, AwaitVerify};

use rule::{Method, Rule};

const PHASE: &str = "cardholder verification";

/// How far the walk is.
#[derive(Clone)]
struct Walk {
    session: Box<Session>,
    x: u64,
    y: u64,
    left: IntoIter<Rule>,
    /// The last rule that was carried out, without success.
    performed: Option<Rule>,
    /// The cardholder typed no PIN; none is asked a second time.
    bypassed: bool,
    /// PINs enciphered so far: no two may have the same padding.
    enciphered: u32,
}

/// Begins the walk, if the card supports verification and has a list.
pub(super) fn verify(mut session: Box<Session>) -> Step {
    if !session.aip.has(Aip::CVM) {
        return risk::assess(session);
    }
    match list(session.app.card.value(Tag::CVM_LIST).unwrap_or_default())? {
        Some((x, y, rules)) => {
            let left = rules.into_iter();
            Walk { session, x, y, left, performed: None, bypassed: false, enciphered: 0 }.next()
        }
        None => {
            session.tvr.set(Tvr::ICC_DATA_MISSING);
            risk::assess(session)
        }
    }
}

/// Reads a list: two amounts, then rules of two bytes. `None` if it has no rules.
fn list(list: &[u8]) -> Result<Option<(u64, u64, Vec<Rule>)>, KernelError> {
    if !list.len().is_multiple_of(2) {
        return Err(KernelError::Data { phase: PHASE, what: "the list has an odd length".to_owned() });
    }
    let Some((x, rest)) = list.split_first_chunk::<4>() else { return Ok(None) };
    let Some((y, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let pairs = rest.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok());
    let rules: Vec<Rule> = pairs.map(|[code, condition]| Rule { code, condition }).collect();
    let amount = |bytes: &[u8; 4]| u64::from(u32::from_be_bytes(*bytes));
    Ok((!rules.is_empty()).then(|| (amount(x), amount(y), rules)))
}

impl Walk {
    /// The next rule whose condition holds; the end of the list is a failure.
    fn next(mut self) -> Step {
        while let Some(rule) = self.left.next() {
            if rule.condition_holds(self.x, self.y, &self.session) {
                return self.attempt(rule);
            }
        }
        self.fail()
    }

    fn attempt(mut self, rule: Rule) -> Step {
        let method = rule.method();
        let supported = method.is_supported(&self.session);
        match method {
            Method::Fail => {
                self.performed = Some(rule);
                self.fail()
            }
            Method::Signature if supported => self.succeed(rule, CvmMethod::Signature, CvmOutcome::Unknown),
            Method::NoCvm if supported => self.succeed(rule, CvmMethod::NoCvm, CvmOutcome::Successful),
            // Choice: a PIN that was not typed once counts as not typed for every later PIN rule. EMV 4.4 Book 4
            // §6.3.4.3 allows it.
            Method::OnlinePin | Method::OfflinePin { .. } if self.bypassed => self.pass_over(rule),
            Method::OnlinePin if supported => {
                self.session.pin_asked = true;
                pin::ask_for_bank(self, rule)
            }
            Method::OfflinePin { form, with_signature } if supported => {
                pin::ask_for_card(self, rule, form, with_signature)
            }
            Method::Unrecognised => {
                self.session.tvr.set(Tvr::CVM_UNRECOGNISED);
                self.pass_over(rule)
            }
            Method::OnlinePin | Method::OfflinePin { .. } if !method.has_pin_entry(&self.session) => {
                self.session.tvr.set(Tvr::NO_PIN_PAD);
                self.pass_over(rule)
            }
            Method::OnlinePin
            | Method::OfflinePin { .. }
            | Method::Signature
            | Method::NoCvm
            | Method::Biometric => self.pass_over(rule),
        }
    }

    /// The rule settled it.
    fn succeed(mut self, rule: Rule, method: CvmMethod, outcome: CvmOutcome) -> Step {
        self.session.cvm = method;
        self.session.cvm_results = rule.results(outcome);
        self.session.tsi.set(Tsi::CVM);
        risk::assess(self.session)
    }

    /// The rule was carried out, without success.
    fn unsuccessful(mut self, rule: Rule) -> Step {
        self.performed = Some(rule);
        self.pass_over(rule)
    }

    /// The rule was not carried out: the next one counts, if this one says so.
    fn pass_over(self, rule: Rule) -> Step {
        if rule.may_continue() { self.next() } else { self.fail() }
    }

    /// No rule succeeded. The last method that was carried out is named, if there was one.
    fn fail(mut self) -> Step {
        let none = CvmResults::NONE_POSSIBLE;
        self.session.cvm_results = self.performed.map_or(none, |rule| rule.results(CvmOutcome::Failed));
        self.session.tvr.set(Tvr::CVM_FAILED);
        self.session.tsi.set(Tsi::CVM);
        risk::assess(self.session)
    }
}

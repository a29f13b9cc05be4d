//! Cardholder verification: walks the card's list of methods until one is settled. EMV 4.4 Book 3 §10.5,
//! Annex C3.
//!
//! Online PIN, signature and "no CVM" are done; offline PIN methods are not supported by this terminal. The
//! PIN itself never comes here. Results: EMV 4.4 Book 4 §6.3.4.5. Spec: unverified.
use std::vec::IntoIter;

use super::action;
use super::kernel::{Input, KernelError, Output, PinKind, PinRequest, PinResult, State, Step};
use super::results::{Aip, Capabilities, CvmOutcome, CvmResults, Tsi, Tvr};
use super::risk;
use super::session::Session;
use super::tlv::Tag;
use crate::domain::outcome::CvmMethod;

const PHASE: &str = "cardholder verification";

const FAIL: u8 = 0x00;
const ONLINE_PIN: u8 = 0x02;
const SIGNATURE: u8 = 0x1E;
const NO_CVM: u8 = 0x1F;

/// One rule: what to do, and when. EMV 4.4 Book 3 Annex C3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    code: u8,
    condition: u8,
}

impl Rule {
    const fn method(self) -> u8 {
        self.code & 0x3F
    }

    /// True if the next rule applies when this one is unsuccessful: bit 7.
    const fn may_continue(self) -> bool {
        self.code & 0x40 != 0
    }

    /// Offline PIN, plain (01, 03) or enciphered (04, 05), alone or with a signature.
    const fn is_offline_pin(self) -> bool {
        matches!(self.method(), 0x01 | 0x03..=0x05)
    }

    /// 06 to 0D are the biometric methods of EMV 4.4: known by name, and never supported here.
    const fn is_recognised(self) -> bool {
        matches!(self.method(), 0x00..=0x0D | SIGNATURE | NO_CVM)
    }

    const fn results(self, outcome: CvmOutcome) -> CvmResults {
        CvmResults { method: self.code, condition: self.condition, outcome }
    }
}

/// How far the walk is.
#[derive(Clone)]
struct Walk {
    x: u64,
    y: u64,
    left: IntoIter<Rule>,
    /// The last rule that was carried out, without success.
    performed: Option<Rule>,
    /// The PIN was refused or cannot be entered; it is not asked a second time.
    pin_settled: bool,
}

/// The cardholder enters the online PIN.
#[derive(Clone)]
pub(super) struct AwaitPin {
    session: Box<Session>,
    walk: Walk,
    rule: Rule,
}

/// What one rule came to.
enum Attempt {
    Successful(CvmMethod, CvmOutcome),
    AskPin,
    Unsuccessful,
    /// "Fail CVM processing".
    Ends,
}

/// Begins the walk, if the card supports verification and has a list.
pub(super) fn verify(mut session: Box<Session>) -> Step {
    if !session.aip.has(Aip::CVM) {
        return action_phase(session);
    }
    match walk(session.app.card.value(Tag::CVM_LIST).unwrap_or_default())? {
        Some(walk) => next(session, walk),
        None => {
            session.tvr.set(Tvr::ICC_DATA_MISSING);
            action_phase(session)
        }
    }
}

/// Reads a list: two amounts, then rules of two bytes. `None` if it has no rules.
fn walk(list: &[u8]) -> Result<Option<Walk>, KernelError> {
    if !list.len().is_multiple_of(2) {
        return Err(KernelError::Data { phase: PHASE, what: "the list has an odd length".to_owned() });
    }
    let Some((x, rest)) = list.split_first_chunk::<4>() else { return Ok(None) };
    let Some((y, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let rules: Vec<Rule> = rest
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
        .map(|[code, condition]| Rule { code, condition })
        .collect();
    let amount = |bytes: &[u8; 4]| u64::from(u32::from_be_bytes(*bytes));
    let walk =
        Walk { x: amount(x), y: amount(y), left: rules.into_iter(), performed: None, pin_settled: false };
    Ok((walk.left.len() > 0).then_some(walk))
}

fn next(mut session: Box<Session>, mut walk: Walk) -> Step {
    while let Some(rule) = walk.left.next() {
        if !walk.condition_holds(rule, &session) {
            continue;
        }
        match walk.attempt(rule, &mut session) {
            Attempt::Successful(method, outcome) => {
                session.cvm = method;
                session.cvm_results = rule.results(outcome);
                session.tsi.set(Tsi::CVM);
                return action_phase(session);
            }
            Attempt::AskPin => {
                session.pin_asked = true;
                let card = session.summary();
                let ask = PinRequest { card, kind: PinKind::Online, tries_left: None, again: false };
                return Ok((State::Pin(AwaitPin { session, walk, rule }), Output::AskPin(Box::new(ask))));
            }
            Attempt::Unsuccessful if rule.may_continue() => {}
            Attempt::Unsuccessful | Attempt::Ends => break,
        }
    }
    fail(session, &walk)
}

/// No rule succeeded. The last method that was carried out is named, if there was one.
fn fail(mut session: Box<Session>, walk: &Walk) -> Step {
    session.cvm_results =
        walk.performed.map_or(CvmResults::NONE_POSSIBLE, |rule| rule.results(CvmOutcome::Failed));
    session.tvr.set(Tvr::CVM_FAILED);
    session.tsi.set(Tsi::CVM);
    action_phase(session)
}

impl AwaitPin {
    /// The session, for a summary.
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let Input::PinDone(result) = input else { return Err(input.unexpected(PHASE)) };
        match result {
            PinResult::Entered => {
                self.session.tvr.set(Tvr::ONLINE_PIN);
                self.session.tsi.set(Tsi::CVM);
                self.session.cvm = CvmMethod::OnlinePin;
                self.session.cvm_results = self.rule.results(CvmOutcome::Unknown);
                return action_phase(self.session);
            }
            PinResult::Bypassed => self.session.tvr.set(Tvr::PIN_NOT_ENTERED),
            PinResult::NotAvailable => self.session.tvr.set(Tvr::NO_PIN_PAD),
            // A PIN for the bank comes as a block.
            other @ (PinResult::Typed(_) | PinResult::Presented(_)) => {
                return Err(Input::PinDone(other).unexpected(PHASE));
            }
        }
        self.walk.pin_settled = true;
        self.walk.performed = Some(self.rule);
        if self.rule.may_continue() { next(self.session, self.walk) } else { fail(self.session, &self.walk) }
    }
}

impl Walk {
    /// EMV 4.4 Book 3 Annex C3, condition codes. Codes that are not known never hold.
    fn condition_holds(&self, rule: Rule, session: &Session) -> bool {
        let params = &session.app.params;
        let cash = params.transaction_type == 0x01;
        let cashback = params.transaction_type == 0x09 || !params.amount_other.is_zero();
        let unattended = session.app.terminal.is_unattended();
        let in_currency =
            session.app.card.value(Tag::APPLICATION_CURRENCY) == Some(&params.currency.numeric_bcd());
        let amount = params.amount.minor();
        match rule.condition {
            0x00 => true,
            0x01 => cash && unattended,
            0x02 => !cash && !cashback,
            0x03 => supported(rule, session),
            0x04 => cash && !unattended,
            0x05 => cashback,
            0x06 => in_currency && amount < self.x,
            0x07 => in_currency && amount > self.x,
            0x08 => in_currency && amount < self.y,
            0x09 => in_currency && amount > self.y,
            _ => false,
        }
    }

    fn attempt(&mut self, rule: Rule, session: &mut Session) -> Attempt {
        if !rule.is_recognised() {
            session.tvr.set(Tvr::CVM_UNRECOGNISED);
            return Attempt::Unsuccessful;
        }
        match rule.method() {
            FAIL => {
                self.performed = Some(rule);
                Attempt::Ends
            }
            SIGNATURE if supported(rule, session) => {
                Attempt::Successful(CvmMethod::Signature, CvmOutcome::Unknown)
            }
            NO_CVM if supported(rule, session) => {
                Attempt::Successful(CvmMethod::NoCvm, CvmOutcome::Successful)
            }
            // Choice: a PIN that was refused once counts as refused for every later PIN rule.
            ONLINE_PIN if self.pin_settled => Attempt::Unsuccessful,
            ONLINE_PIN if supported(rule, session) => Attempt::AskPin,
            ONLINE_PIN => {
                session.tvr.set(Tvr::NO_PIN_PAD);
                Attempt::Unsuccessful
            }
            _ => {
                if rule.is_offline_pin() && !self.pin_settled {
                    session.tvr.set(Tvr::NO_PIN_PAD);
                }
                Attempt::Unsuccessful
            }
        }
    }
}

/// True if this terminal can carry the method out.
fn supported(rule: Rule, session: &Session) -> bool {
    let capabilities = session.capabilities();
    match rule.method() {
        FAIL => true,
        ONLINE_PIN => session.app.entry.online_pin && capabilities.has(Capabilities::ONLINE_PIN),
        SIGNATURE => capabilities.has(Capabilities::SIGNATURE),
        NO_CVM => capabilities.has(Capabilities::NO_CVM),
        _ => false,
    }
}

/// Verification is over: risk management, then the decision.
fn action_phase(mut session: Box<Session>) -> Step {
    risk::assess(&mut session);
    action::ask_first_cryptogram(session)
}

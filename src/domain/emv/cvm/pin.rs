//! A PIN, asked and checked: by the bank later, or by the card now. EMV 4.4 Book 3 §10.5.1 and §6.5.12.
//!
//! For the card: its try counter is read, the PIN is asked, VERIFY brings it, and a wrong one is asked for again as long
//! as the card says that tries are left. A PIN for the bank never comes here. Spec: unverified.
use super::super::apdu::{CommandApdu, ResponseApdu, StatusWord};
use super::super::kernel::{Input, Output, PinKind, PinRequest, PinResult, State, Step, response};
use super::super::results::{CvmOutcome, Tvr};
use super::super::session::Session;
use super::super::tlv::{self, Tag};
use super::rule::{PinForm, Rule};
use super::{PHASE, Walk};
use crate::domain::crypto::pin_block;
use crate::domain::outcome::CvmMethod;
use crate::domain::secret::ClearPin;

/// How often a PIN is asked under one rule. 63Cx counts to 15, so only a card that never counts down comes here. Choice.
const ATTEMPTS_MAX: u8 = 15;

/// A rule that has the card check a PIN.
#[derive(Clone, Copy)]
pub(super) struct Offline {
    pub(super) rule: Rule,
    pub(super) form: PinForm,
    pub(super) with_signature: bool,
}

/// The card says how many tries are left.
#[derive(Clone)]
pub(in super::super) struct AwaitTries {
    walk: Walk,
    how: Offline,
}

/// The cardholder types a PIN.
#[derive(Clone)]
pub(in super::super) struct AwaitPin {
    walk: Walk,
    target: Target,
}

/// Who is to check it.
#[derive(Clone, Copy)]
enum Target {
    Bank(Rule),
    /// `attempt` counts from 0.
    Card {
        how: Offline,
        attempt: u8,
    },
}

/// The card checks the PIN.
#[derive(Clone)]
pub(in super::super) struct AwaitVerify {
    walk: Walk,
    how: Offline,
    attempt: u8,
}

/// Asks the PIN that the bank checks.
pub(super) fn ask_for_bank(walk: Walk, rule: Rule) -> Step {
    Ok(AwaitPin { walk, target: Target::Bank(rule) }.ask(PinKind::Online, None))
}

/// Reads the try counter, tag 9F17, before anybody is asked. EMV 4.4 Book 3 §10.5.1.
pub(super) fn ask_tries(walk: Walk, how: Offline) -> (State, Output) {
    let command = CommandApdu { cla: 0x80, ins: 0xCA, p1: 0x9F, p2: 0x17, data: Vec::new(), le: Some(0) };
    (State::PinTries(AwaitTries { walk, how }), Output::Transmit(command))
}

impl AwaitTries {
    pub(in super::super) const fn session(&self) -> &Session {
        &self.walk.session
    }

    pub(in super::super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        let tries_left = counter(&answer);
        if tries_left == Some(0) {
            self.walk.session.tvr.set(Tvr::PIN_TRY_LIMIT);
            return self.walk.unsuccessful(self.how.rule);
        }
        Ok(self.how.ask(self.walk, tries_left, 0))
    }
}

/// Tag 9F17 of an answer to GET DATA. A card that does not tell it, or tells nonsense, is asked for no less. EMV 4.4
/// Book 3 §10.5.1.
fn counter(answer: &ResponseApdu) -> Option<u8> {
    let object = answer.status.is_ok().then(|| tlv::single(&answer.data).ok())??;
    match object {
        Some(object) if object.tag == Tag::PIN_TRY_COUNTER => match object.value {
            [tries] => Some(*tries),
            _ => None,
        },
        _ => None,
    }
}

impl Offline {
    fn ask(self, walk: Walk, tries_left: Option<u8>, attempt: u8) -> (State, Output) {
        let kind = match self.form {
            PinForm::Plain => PinKind::OfflinePlain,
            PinForm::Enciphered => PinKind::OfflineEnciphered,
        };
        AwaitPin { walk, target: Target::Card { how: self, attempt } }.ask(kind, tries_left)
    }

    /// VERIFY with the plaintext PIN block. EMV 4.4 Book 3 §6.5.12.
    fn verify(self, walk: Walk, attempt: u8, pin: &ClearPin) -> (State, Output) {
        let block = pin_block::format_2(pin).reveal();
        let command = CommandApdu { cla: 0x00, ins: 0x20, p1: 0, p2: 0x80, data: block.to_vec(), le: None };
        let state = State::PinVerify(AwaitVerify { walk, how: self, attempt });
        (state, Output::Transmit(command))
    }

    /// What the card, or the reader's PIN pad for it, says to a PIN. The only success is 9000. EMV 4.4 Book 3 §10.5.1.
    fn judge(self, mut walk: Walk, attempt: u8, status: StatusWord) -> Step {
        match status.0 {
            0x9000 if self.with_signature => {
                // The signature is checked later, so the whole is not known yet.
                walk.succeed(self.rule, CvmMethod::OfflinePinAndSignature, CvmOutcome::Unknown)
            }
            0x9000 => walk.succeed(self.rule, CvmMethod::OfflinePin, CvmOutcome::Successful),
            0x63C0 | 0x6983 | 0x6984 => {
                walk.session.tvr.set(Tvr::PIN_TRY_LIMIT);
                walk.unsuccessful(self.rule)
            }
            0x63C1..=0x63CF => {
                let attempt = attempt.saturating_add(1);
                if attempt >= ATTEMPTS_MAX {
                    return walk.unsuccessful(self.rule);
                }
                Ok(self.ask(walk, Some(status.sw2() & 0x0F), attempt))
            }
            // Choice: a card that cannot check a PIN has not checked it; the list goes on.
            _ => walk.unsuccessful(self.rule),
        }
    }
}

impl AwaitPin {
    pub(in super::super) const fn session(&self) -> &Session {
        &self.walk.session
    }

    fn ask(self, kind: PinKind, tries_left: Option<u8>) -> (State, Output) {
        let again = matches!(self.target, Target::Card { attempt, .. } if attempt > 0);
        let request = PinRequest { card: self.walk.session.summary(), kind, tries_left, again };
        (State::Pin(self), Output::AskPin(Box::new(request)))
    }

    pub(in super::super) fn step(self, input: Input) -> Step {
        let Input::PinDone(result) = input else { return Err(input.unexpected(PHASE)) };
        let Self { mut walk, target } = self;
        let rule = match target {
            Target::Bank(rule) | Target::Card { how: Offline { rule, .. }, .. } => rule,
        };
        match (result, target) {
            (PinResult::Entered, Target::Bank(rule)) => {
                walk.session.tvr.set(Tvr::ONLINE_PIN);
                walk.succeed(rule, CvmMethod::OnlinePin, CvmOutcome::Unknown)
            }
            (PinResult::Typed(pin), Target::Card { how, attempt }) => Ok(how.verify(walk, attempt, &pin)),
            (PinResult::Presented(status), Target::Card { how, attempt }) => how.judge(walk, attempt, status),
            (PinResult::Bypassed, _) => {
                walk.session.tvr.set(Tvr::PIN_NOT_ENTERED);
                walk.bypassed = true;
                walk.unsuccessful(rule)
            }
            (PinResult::NotAvailable, _) => {
                walk.session.tvr.set(Tvr::NO_PIN_PAD);
                walk.unsuccessful(rule)
            }
            // A PIN for the one is none for the other.
            (other @ (PinResult::Entered | PinResult::Typed(_) | PinResult::Presented(_)), _) => {
                Err(Input::PinDone(other).unexpected(PHASE))
            }
        }
    }
}

impl AwaitVerify {
    pub(in super::super) const fn session(&self) -> &Session {
        &self.walk.session
    }

    pub(in super::super) fn step(self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        self.how.judge(self.walk, self.attempt, answer.status)
    }
}

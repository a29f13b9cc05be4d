//! A PIN, asked and checked: by the bank later, or by the card now. EMV 4.4 Book 3 §10.5.1 and §6.5.12.
//!
//! For the card: its try counter is read, the PIN is asked, VERIFY brings it, and a wrong one is asked for again as
//! long as the card says that tries are left. A PIN for the bank never comes here. An enciphered PIN goes under the
//! card's key with a challenge of the card: EMV 4.4 Book 2 §7. Spec: unverified.
use super::super::apdu::{CommandApdu, StatusWord};
use super::super::get_data;
use super::super::kernel::{Input, Output, PinKind, PinRequest, PinResult, State, Step, response};
use super::super::oda::{self, RsaKey};
use super::super::results::{CvmOutcome, Tvr};
use super::super::session::Session;
use super::super::tlv::Tag;
use super::rule::{PinForm, Rule};
use super::{PHASE, Walk};
use crate::domain::crypto::pin_block;
use crate::domain::outcome::CvmMethod;
use crate::domain::secret::ClearPin;
use zeroize::Zeroizing;

/// How often a PIN is asked under one rule. Choice: 63Cx counts to 15, so only a card that never counts down comes
/// here.
const ATTEMPTS_MAX: u8 = 15;

/// A rule that has the card check a PIN.
#[derive(Clone)]
struct Offline {
    rule: Rule,
    /// The key of the card that enciphers it; none if it goes in clear.
    key: Option<Box<RsaKey>>,
    with_signature: bool,
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
#[derive(Clone)]
enum Target {
    Bank(Rule),
    /// `attempt` counts from 0.
    Card {
        how: Offline,
        attempt: u8,
    },
}

/// The card draws a number that makes its enciphered PIN good for once. EMV 4.4 Book 2 §7.2.
#[derive(Clone)]
pub(in super::super) struct AwaitChallenge {
    walk: Walk,
    how: Offline,
    attempt: u8,
    pin: ClearPin,
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

/// Asks the PIN that the card checks. The try counter, tag 9F17, is read before anybody is asked: EMV 4.4 Book 3
/// §10.5.1. A card whose key is no good cannot be given an enciphered PIN: Book 2 §7.1.
pub(super) fn ask_for_card(walk: Walk, rule: Rule, form: PinForm, with_signature: bool) -> Step {
    let key = match form {
        PinForm::Plain => None,
        PinForm::Enciphered => match oda::pin_key(&walk.session) {
            Ok(key) => Some(Box::new(key)),
            Err(_) => return walk.unsuccessful(rule),
        },
    };
    let how = Offline { rule, key, with_signature };
    let command = get_data::command(Tag::PIN_TRY_COUNTER);
    Ok((State::PinTries(AwaitTries { walk, how }), Output::Transmit(command)))
}

impl AwaitTries {
    pub(in super::super) const fn session(&self) -> &Session {
        &self.walk.session
    }

    pub(in super::super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        // A card that does not tell it, or tells nonsense, is asked for no less.
        let tries_left = get_data::value(Tag::PIN_TRY_COUNTER, &answer).map(|[tries]| tries);
        if tries_left == Some(0) {
            self.walk.session.tvr.set(Tvr::PIN_TRY_LIMIT);
            return self.walk.unsuccessful(self.how.rule);
        }
        Ok(self.how.ask(self.walk, tries_left, 0))
    }
}

impl Offline {
    fn ask(self, walk: Walk, tries_left: Option<u8>, attempt: u8) -> (State, Output) {
        let kind = if self.key.is_some() { PinKind::OfflineEnciphered } else { PinKind::OfflinePlain };
        AwaitPin { walk, target: Target::Card { how: self, attempt } }.ask(kind, tries_left)
    }

    /// A PIN goes to the card at once, or waits for a challenge.
    fn present(self, walk: Walk, attempt: u8, pin: ClearPin) -> (State, Output) {
        if self.key.is_some() {
            let command = CommandApdu { cla: 0x00, ins: 0x84, p1: 0, p2: 0, data: Vec::new(), le: Some(0) };
            let state = State::PinChallenge(AwaitChallenge { walk, how: self, attempt, pin });
            return (state, Output::Transmit(command));
        }
        let block = Zeroizing::new(pin_block::format_2(&pin).reveal());
        self.verify(walk, attempt, 0x80, block.to_vec())
    }

    /// VERIFY. `qualifier`: 80 for a PIN block in clear, 88 for one enciphered. EMV 4.4 Book 3 §6.5.12.
    fn verify(self, walk: Walk, attempt: u8, qualifier: u8, data: Vec<u8>) -> (State, Output) {
        let command = CommandApdu { cla: 0x00, ins: 0x20, p1: 0, p2: qualifier, data, le: None };
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
        let rule = match &target {
            Target::Bank(rule) | Target::Card { how: Offline { rule, .. }, .. } => *rule,
        };
        match (result, target) {
            (PinResult::Entered, Target::Bank(rule)) => {
                walk.session.tvr.set(Tvr::ONLINE_PIN);
                walk.succeed(rule, CvmMethod::OnlinePin, CvmOutcome::Unknown)
            }
            (PinResult::Typed(pin), Target::Card { how, attempt }) => Ok(how.present(walk, attempt, pin)),
            (PinResult::Presented(status), Target::Card { how, attempt }) if how.key.is_none() => {
                how.judge(walk, attempt, status)
            }
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

impl AwaitChallenge {
    pub(in super::super) const fn session(&self) -> &Session {
        &self.walk.session
    }

    pub(in super::super) fn step(self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        let Self { mut walk, how, attempt, pin } = self;
        let challenge = <[u8; 8]>::try_from(answer.data.as_slice()).ok().filter(|_| answer.status.is_ok());
        let Some((challenge, key)) = challenge.zip(how.key.clone()) else {
            return walk.unsuccessful(how.rule);
        };
        let seed = &walk.session.app.params.pin_seed;
        let padding = seed.padding(walk.enciphered, key.length().saturating_sub(HEAD));
        walk.enciphered = walk.enciphered.saturating_add(1);
        let clear = to_encipher(&pin, challenge, &padding);
        Ok(how.verify(walk, attempt, 0x88, key.raw(&clear)))
    }
}

/// Bytes before the padding: header, PIN block, challenge.
const HEAD: usize = 17;

/// What goes under the card's key: header 7F, PIN block, the card's challenge, random padding. EMV 4.4 Book 2 §7.2.
fn to_encipher(pin: &ClearPin, challenge: [u8; 8], padding: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut clear = Zeroizing::new(Vec::with_capacity(HEAD.saturating_add(padding.len())));
    clear.push(0x7F);
    clear.extend_from_slice(&*Zeroizing::new(pin_block::format_2(pin).reveal()));
    clear.extend_from_slice(&challenge);
    clear.extend_from_slice(padding);
    clear
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

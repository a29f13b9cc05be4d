//! Issuer scripts: commands of the issuer to the card, before (71) and after (72) the second cryptogram.
//!
//! A failed script never stops the transaction; it is told to the issuer in five bytes a script, tag DF31.
//! EMV 4.4 Book 3 §10.10, Annex E. Spec: unverified.
use std::vec::IntoIter;

use super::action::{Ending, ask_second_cryptogram, conclude};
use super::apdu::CommandApdu;
use super::kernel::{Conclusion, Input, Output, State, Step, Verdict, response};
use super::results::{Tsi, Tvr, TvrBit};
use super::session::Session;
use super::tlv::{self, Tag};

const PHASE: &str = "issuer scripts";

/// Most scripts taken from one answer, and most commands in one. Choice: EMV grants 128 bytes in all.
const SCRIPTS_MAX: usize = 8;
const COMMANDS_MAX: usize = 16;

/// One script as the issuer sent it.
#[derive(Clone)]
pub(super) struct Script {
    id: [u8; 4],
    /// `None` if the template is broken: it is reported as not performed.
    commands: Option<Vec<Vec<u8>>>,
}

/// Where the scripts run, and what comes after them.
#[derive(Clone)]
pub(super) enum Stage {
    BeforeSecondAc(Ending),
    AfterSecondAc(Verdict),
}

/// A command of a script is carried out.
#[derive(Clone)]
pub(super) struct AwaitScript {
    session: Box<Session>,
    stage: Stage,
    left: IntoIter<Script>,
    id: [u8; 4],
    commands: IntoIter<Vec<u8>>,
    number: u8,
}

/// How a script ended: first half of the result byte, and the number of the command that failed.
enum Outcome {
    NotPerformed,
    Failed(u8),
    Successful,
}

impl Stage {
    const fn failure(&self) -> TvrBit {
        match self {
            Self::BeforeSecondAc(_) => Tvr::SCRIPT_FAILED_BEFORE,
            Self::AfterSecondAc(_) => Tvr::SCRIPT_FAILED_AFTER,
        }
    }
}

/// Sorts the templates by when they run. What is neither 71 nor 72, or too much, counts as failed before.
pub(super) fn read_all(session: &mut Session, templates: &[Vec<u8>]) -> (Vec<Script>, Vec<Script>) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for template in templates.iter().take(SCRIPTS_MAX) {
        match template.first() {
            Some(0x71) => before.push(read(template)),
            Some(0x72) => after.push(read(template)),
            _ => session.tvr.set(Tvr::SCRIPT_FAILED_BEFORE),
        }
    }
    if templates.len() > SCRIPTS_MAX {
        session.tvr.set(Tvr::SCRIPT_FAILED_BEFORE);
    }
    (before, after)
}

fn read(template: &[u8]) -> Script {
    let mut id = [0; 4];
    let mut commands = Vec::new();
    let broken = |id| Script { id, commands: None };
    let Ok(Some(script)) = tlv::single(template) else { return broken(id) };
    for object in script.children() {
        match object {
            Ok(object) if object.tag == Tag::SCRIPT_ID => match object.value.try_into() {
                Ok(value) => id = value,
                Err(_) => return broken(id),
            },
            Ok(object) if object.tag == Tag::SCRIPT_COMMAND => commands.push(object.value.to_vec()),
            Ok(_) => {}
            Err(_) => return broken(id),
        }
    }
    if commands.len() > COMMANDS_MAX { broken(id) } else { Script { id, commands: Some(commands) } }
}

/// Runs scripts one after the other, then goes on.
pub(super) fn run(session: Box<Session>, stage: Stage, scripts: Vec<Script>) -> Step {
    next_script(session, stage, scripts.into_iter())
}

fn next_script(mut session: Box<Session>, stage: Stage, mut left: IntoIter<Script>) -> Step {
    while let Some(Script { id, commands }) = left.next() {
        session.tsi.set(Tsi::SCRIPTS);
        match commands {
            None => report(&mut session, &stage, id, Outcome::NotPerformed),
            Some(commands) => {
                let commands = commands.into_iter();
                return AwaitScript { session, stage, left, id, commands, number: 0 }.next_command();
            }
        }
    }
    match stage {
        Stage::BeforeSecondAc(end) => ask_second_cryptogram(session, end),
        Stage::AfterSecondAc(verdict) => Ok(conclude(&session, verdict)),
    }
}

impl AwaitScript {
    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn step(self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        // Warnings are no failure. EMV 4.4 Book 3 §10.10.
        if matches!(answer.status.sw1(), 0x90 | 0x62 | 0x63) { self.next_command() } else { self.fail() }
    }

    /// No further command can be carried out.
    pub(super) fn cut_short(mut self) -> Option<Conclusion> {
        let Stage::AfterSecondAc(verdict) = self.stage.clone() else { return None };
        report(&mut self.session, &self.stage, self.id, Outcome::NotPerformed);
        for script in self.left {
            report(&mut self.session, &self.stage, script.id, Outcome::NotPerformed);
        }
        Some(Conclusion { verdict, card: Some(self.session.summary()) })
    }

    fn next_command(mut self) -> Step {
        let Some(command) = self.commands.next() else { return self.end(Outcome::Successful) };
        self.number = self.number.saturating_add(1);
        match CommandApdu::parse(&command) {
            Ok(command) => Ok((State::Script(self), Output::Transmit(command))),
            Err(_) => self.fail(),
        }
    }

    fn fail(self) -> Step {
        let number = self.number;
        self.end(Outcome::Failed(number))
    }

    fn end(mut self, outcome: Outcome) -> Step {
        report(&mut self.session, &self.stage, self.id, outcome);
        next_script(self.session, self.stage, self.left)
    }
}

/// Appends five bytes to tags 9F5B and DF31: result and command number, then the script's identifier.
fn report(session: &mut Session, stage: &Stage, id: [u8; 4], outcome: Outcome) {
    let first = match outcome {
        Outcome::NotPerformed => 0x00,
        Outcome::Failed(number) => 0x10 | number.min(0x0F),
        Outcome::Successful => 0x20,
    };
    if first != 0x20 {
        session.tvr.set(stage.failure());
    }
    let mut results = session.app.own.value(Tag::UNIONPAY_SCRIPT_RESULTS).unwrap_or_default().to_vec();
    results.push(first);
    results.extend(id);
    session.app.own.put(Tag::SCRIPT_RESULTS, &results);
    session.app.own.put(Tag::UNIONPAY_SCRIPT_RESULTS, &results);
}

//! Application selection: the payment system environment, else the list of AIDs, the choice, the final
//! SELECT.
//!
//! What the application then does is not this file's business; it only takes an application back that
//! refuses. EMV 4.4 Book 1 §12. Spec: unverified.
use std::vec::IntoIter;

use super::apdu::{CommandApdu, ResponseApdu};
use super::kernel::{Candidate, Conclusion, Input, Output, State, Step, Verdict, response};
use super::label::label;
use super::params::{Aid, AidEntry, EmvConfig, TxnParams};
use super::records;
use super::session::App;
use super::tlv::{self, Reader, Tag, TagStore};

pub(super) const PHASE: &str = "application selection";
const PSE_NAME: &[u8] = b"1PAY.SYS.DDF01";

/// Most records read from the directory. Choice: real directories have one or two.
const DIRECTORY_RECORDS_MAX: u8 = 16;
/// Most occurrences of one AID. Choice: bounds a card that never runs out of applications.
const OCCURRENCES_MAX: u8 = 8;

const CARD_BLOCKED: u16 = 0x6A81;
const APPLICATION_BLOCKED: u16 = 0x6283;
const NO_MORE_RECORDS: u16 = 0x6A83;

/// An application of the card that the terminal accepts.
#[derive(Clone)]
struct Found {
    candidate: Candidate,
    entry: AidEntry,
}

/// What the terminal knows before an application is open, and which applications are left.
#[derive(Clone)]
pub(super) struct Selection {
    config: EmvConfig,
    params: TxnParams,
    found: Vec<Found>,
    blocked: bool,
}

/// The directory is selected.
#[derive(Clone)]
pub(super) struct AwaitDirectory(Selection);

/// A record of the directory is read.
#[derive(Clone)]
pub(super) struct AwaitDirectoryRecord {
    selection: Selection,
    sfi: u8,
    record: u8,
    code_table: Option<Vec<u8>>,
}

/// One AID of the terminal's list is tried.
#[derive(Clone)]
pub(super) struct AwaitListed {
    selection: Selection,
    tried: AidEntry,
    occurrence: u8,
    left: IntoIter<AidEntry>,
}

/// The cardholder chooses.
#[derive(Clone)]
pub(super) struct AwaitChoice(Selection);

/// The chosen application is selected.
#[derive(Clone)]
pub(super) struct AwaitFci {
    selection: Selection,
    found: Found,
}

/// Starts with the payment system environment.
pub(super) fn start(config: EmvConfig, params: TxnParams) -> (State, Output) {
    let selection = Selection { config, params, found: Vec::new(), blocked: false };
    (State::Directory(AwaitDirectory(selection)), Output::Transmit(select(PSE_NAME, false)))
}

fn select(name: &[u8], next: bool) -> CommandApdu {
    let p2 = if next { 0x02 } else { 0x00 };
    CommandApdu { cla: 0x00, ins: 0xA4, p1: 0x04, p2, data: name.to_vec(), le: Some(0) }
}

impl AwaitDirectory {
    pub(super) fn step(self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        match answer.status.0 {
            CARD_BLOCKED => Ok(self.0.over(Verdict::Blocked)),
            0x9000 => {
                let fci = fci(&answer.data);
                let sfi = fci.as_ref().and_then(|fci| fci.array(Tag::SFI)).map(|[sfi]| sfi);
                match sfi {
                    Some(sfi @ 1..=10) => {
                        let code_table = fci.and_then(|fci| fci.value(Tag::CODE_TABLE).map(<[u8]>::to_vec));
                        Ok(AwaitDirectoryRecord { selection: self.0, sfi, record: 1, code_table }.ask())
                    }
                    _ => Ok(self.0.list()),
                }
            }
            _ => Ok(self.0.list()),
        }
    }
}

impl AwaitDirectoryRecord {
    fn ask(self) -> (State, Output) {
        let command = records::read_record(self.sfi, self.record);
        (State::DirectoryRecord(self), Output::Transmit(command))
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        let last = answer.status.0 == NO_MORE_RECORDS || self.record >= DIRECTORY_RECORDS_MAX;
        // A record that cannot be read or understood is passed over; the others may still serve.
        if answer.status.is_ok() {
            self.take(&answer.data);
        }
        if !last {
            self.record = self.record.saturating_add(1);
            return Ok(self.ask());
        }
        if self.selection.found.is_empty() { Ok(self.selection.list()) } else { Ok(self.selection.choose()) }
    }

    /// The record that is read after this one.
    pub(super) fn ahead(&self) -> Option<CommandApdu> {
        let is_last = self.record >= DIRECTORY_RECORDS_MAX;
        (!is_last).then(|| records::read_record(self.sfi, self.record.saturating_add(1)))
    }

    fn take(&mut self, record: &[u8]) {
        let Ok(Some(template)) = tlv::single(record) else { return };
        if template.tag != Tag::RECORD_TEMPLATE {
            return;
        }
        for entry in template.children().flatten().filter(|object| object.tag == Tag::APPLICATION_TEMPLATE) {
            let Some(mut objects) = primitives(entry.value) else { continue };
            if let Some(code_table) = &self.code_table {
                objects.put(Tag::CODE_TABLE, code_table);
            }
            if let Some(aid) = objects.value(Tag::AID).and_then(Aid::new) {
                self.selection.add(aid, &objects);
            }
        }
    }
}

impl AwaitListed {
    fn ask(self) -> (State, Output) {
        let command = select(self.tried.aid.bytes(), self.occurrence > 0);
        (State::Listed(self), Output::Transmit(command))
    }

    /// The next AID of the terminal, or the choice if there is none.
    fn next(selection: Selection, mut left: IntoIter<AidEntry>) -> (State, Output) {
        match left.next() {
            Some(tried) => Self { selection, tried, occurrence: 0, left }.ask(),
            None => selection.choose(),
        }
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        let status = answer.status.0;
        if status == CARD_BLOCKED && self.occurrence == 0 {
            return Ok(self.selection.over(Verdict::Blocked));
        }
        let named = matches!(status, 0x9000 | APPLICATION_BLOCKED).then(|| named_fci(&answer)).flatten();
        let begins = |aid: &Aid| aid.bytes().starts_with(self.tried.aid.bytes());
        let Some((aid, objects)) = named.filter(|(aid, _)| begins(aid)) else {
            return Ok(Self::next(self.selection, self.left));
        };
        if !matches(&self.tried, &aid) {
            // A longer name than the terminal takes: the whole one may be the next occurrence.
        } else if status == APPLICATION_BLOCKED {
            self.selection.blocked = true;
        } else {
            self.selection.add(aid.clone(), &objects);
        }
        // The card took the AID as a part of a longer name, so there may be more of them.
        self.occurrence = self.occurrence.saturating_add(1);
        if aid == self.tried.aid || self.occurrence >= OCCURRENCES_MAX {
            return Ok(Self::next(self.selection, self.left));
        }
        Ok(self.ask())
    }
}

impl AwaitChoice {
    pub(super) fn step(self, input: Input) -> Step {
        let Input::Chosen(aid) = input else { return Err(input.unexpected(PHASE)) };
        match self.0.found.iter().position(|found| found.candidate.aid == aid) {
            Some(at) => Ok(self.0.open(at)),
            // Choice: an AID that was not offered is asked again; it costs nothing.
            None => Ok(self.0.ask()),
        }
    }
}

impl AwaitFci {
    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, PHASE)?;
        match answer.status.0 {
            CARD_BLOCKED => return Ok(self.selection.over(Verdict::Blocked)),
            APPLICATION_BLOCKED => self.selection.blocked = true,
            _ => {}
        }
        let opened = answer.status.is_ok().then(|| named_fci(&answer)).flatten();
        let Some((aid, objects)) = opened.filter(|(aid, _)| *aid == self.found.candidate.aid) else {
            return Ok(self.selection.choose());
        };
        let Selection { config, params, .. } = &self.selection;
        let label = label(&objects, config.terminal.additional_capabilities);
        let label = label.unwrap_or(self.found.candidate.label);
        let app = App::new(config, params, self.found.entry, aid, label, objects);
        Ok(records::ask_options(self.selection, Box::new(app)))
    }
}

impl Selection {
    /// Adds an application if the terminal accepts it and it is not there yet.
    fn add(&mut self, aid: Aid, objects: &TagStore) {
        let exact = self.config.aids.iter().find(|entry| entry.aid == aid);
        let longest = || {
            let partial = self.config.aids.iter().filter(|entry| matches(entry, &aid));
            partial.max_by_key(|entry| entry.aid.bytes().len())
        };
        let Some(entry) = exact.or_else(longest).cloned() else { return };
        if self.found.iter().any(|found| found.candidate.aid == aid) {
            return;
        }
        let [indicator] = objects.array(Tag::PRIORITY).unwrap_or_default();
        let label = label(objects, self.config.terminal.additional_capabilities);
        let label = label.unwrap_or_else(|| aid.to_string());
        let confirm = indicator & 0x80 != 0;
        let candidate = Candidate { aid, label, priority: indicator & 0x0F, confirm };
        self.found.push(Found { candidate, entry });
    }

    /// Tries every AID of the terminal. EMV 4.4 Book 1 §12.3.3.
    fn list(self) -> (State, Output) {
        let left = self.config.aids.clone().into_iter();
        AwaitListed::next(self, left)
    }

    /// Opens the only application, lets the cardholder choose among several, or gives up. EMV 4.4 Book 1
    /// §12.4.
    pub(super) fn choose(mut self) -> (State, Output) {
        match self.found.as_slice() {
            [] if self.blocked => self.over(Verdict::Blocked),
            [] => self.over(Verdict::NotAccepted),
            [only] if !only.candidate.confirm => self.open(0),
            _ => {
                // Applications without a priority come last; among equals the card's order stays.
                self.found.sort_by_key(|found| match found.candidate.priority {
                    0 => u8::MAX,
                    priority => priority,
                });
                self.ask()
            }
        }
    }

    fn ask(self) -> (State, Output) {
        let candidates = self.found.iter().map(|found| found.candidate.clone()).collect();
        (State::Choice(AwaitChoice(self)), Output::Choose(candidates))
    }

    /// Takes one application out of the list and selects it.
    fn open(mut self, at: usize) -> (State, Output) {
        let found = self.found.remove(at);
        let command = select(found.candidate.aid.bytes(), false);
        (State::Fci(AwaitFci { selection: self, found }), Output::Transmit(command))
    }

    fn over(self, verdict: Verdict) -> (State, Output) {
        (State::Ended, Output::Done(Box::new(Conclusion { verdict, card: None })))
    }
}

/// True if the terminal's entry accepts the card's AID. EMV 4.4 Book 1 §12.3.1.
fn matches(entry: &AidEntry, aid: &Aid) -> bool {
    entry.aid == *aid || (entry.partial_match && aid.bytes().starts_with(entry.aid.bytes()))
}

/// The objects of a file control information template: the name and the proprietary part. EMV 4.4 Book 1
/// §11.3.4.
fn fci(data: &[u8]) -> Option<TagStore> {
    let template = tlv::single(data).ok()?.filter(|object| object.tag == Tag::FCI_TEMPLATE)?;
    let objects: Vec<_> = template.children().collect::<Result<_, _>>().ok()?;
    let name = objects.iter().find(|object| object.tag == Tag::DF_NAME)?;
    let proprietary = objects.iter().find(|object| object.tag == Tag::FCI_PROPRIETARY)?;
    let mut fci = primitives(proprietary.value)?;
    fci.put_new(Tag::DF_NAME, name.value).ok()?;
    Some(fci)
}

fn named_fci(answer: &ResponseApdu) -> Option<(Aid, TagStore)> {
    let fci = fci(&answer.data)?;
    let aid = fci.value(Tag::DF_NAME).and_then(Aid::new)?;
    Some((aid, fci))
}

/// The primitive objects of one level; `None` if they are broken or one appears twice. Templates are left
/// out.
fn primitives(value: &[u8]) -> Option<TagStore> {
    let mut objects = TagStore::default();
    for object in Reader::new(value) {
        let object = object.ok()?;
        if !object.tag.is_constructed() {
            objects.put_new(object.tag, object.value).ok()?;
        }
    }
    Some(objects)
}

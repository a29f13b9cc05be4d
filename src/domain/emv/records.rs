//! GET PROCESSING OPTIONS, the file locator, and the records. EMV 4.4 Book 3 §10.1, §10.2.
//!
//! At the end stands a session with a card number; the phases that judge follow from there. Spec: unverified.
use std::vec::IntoIter;

use zeroize::Zeroizing;

use super::apdu::CommandApdu;
use super::describe::hex;
use super::kernel::{Input, KernelError, Output, State, Step, Verdict, response};
use super::params::Purpose;
use super::results::Aip;
use super::select::Selection;
use super::session::{App, Identity, Session, missing, wrong_length};
use super::tlv::{self, Tag, TagStore, TlvError};
use super::{action, dol, oda};
use crate::domain::secret::{Pan, Track2};

const OPTIONS: &str = "get processing options";
const RECORDS: &str = "read records";

/// Most records of one application. Choice: real cards have under 20; this bounds a hostile locator.
const RECORDS_MAX: usize = 64;

const NOT_SATISFIED: u16 = 0x6985;

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecordAt {
    sfi: u8,
    record: u8,
    /// The issuer signed it.
    signed: bool,
}

/// The application says what it can do and where its records are.
#[derive(Clone)]
pub(super) struct AwaitOptions {
    selection: Selection,
    app: Box<App>,
}

/// A record is read.
#[derive(Clone)]
pub(super) struct AwaitRecord {
    app: Box<App>,
    aip: Aip,
    /// What the records held so far.
    objects: TagStore,
    at: RecordAt,
    left: IntoIter<RecordAt>,
}

pub(super) fn read_record(sfi: u8, record: u8) -> CommandApdu {
    CommandApdu { cla: 0x00, ins: 0xB2, p1: record, p2: sfi << 3 | 0x04, data: Vec::new(), le: Some(0) }
}

/// Starts the application. A list that cannot be filled is a format error: the application is given up.
pub(super) fn ask_options(selection: Selection, mut app: Box<App>) -> (State, Output) {
    let filled = app.fill(app.card.value(Tag::PDOL).unwrap_or_default()).ok();
    let data = filled.as_ref().and_then(|filled| tlv::encode(Tag::COMMAND_TEMPLATE, filled).ok());
    app.options_data = filled.unwrap_or_default();
    match data {
        Some(data) => {
            let command = CommandApdu { cla: 0x80, ins: 0xA8, p1: 0, p2: 0, data, le: Some(0) };
            (State::Options(AwaitOptions { selection, app }), Output::Transmit(command))
        }
        None => selection.choose(),
    }
}

impl AwaitOptions {
    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, OPTIONS)?;
        match answer.status.0 {
            0x9000 => {}
            NOT_SATISFIED => return Ok(self.selection.choose()),
            status => return Err(KernelError::Status { phase: OPTIONS, status }),
        }
        // Choice: a broken answer gives the application up like 6985, because no record was read yet.
        let Some((aip, locator)) = options(&answer.data) else { return Ok(self.selection.choose()) };
        let put = self.app.card.put_new(Tag::AIP, aip.bytes());
        put.and_then(|()| self.app.card.put_new(Tag::AFL, locator)).map_err(broken)?;
        let mut left = record_list(locator)?.into_iter();
        match left.next() {
            Some(at) => Ok(AwaitRecord { app: self.app, aip, objects: TagStore::default(), at, left }.ask()),
            None => Err(missing(Tag::AFL, OPTIONS)),
        }
    }
}

/// AIP and AFL from either format. EMV 4.4 Book 3 §6.5.8.4.
fn options(data: &[u8]) -> Option<(Aip, &[u8])> {
    let template = tlv::single(data).ok()??;
    let (aip, locator) = match template.tag {
        Tag::RESPONSE_FORMAT_1 => template.value.split_first_chunk::<2>()?,
        Tag::RESPONSE_FORMAT_2 => {
            let objects: Vec<_> = template.children().collect::<Result<_, _>>().ok()?;
            let value = |tag| {
                let mut found = objects.iter().filter(|object| object.tag == tag);
                found.next().filter(|_| found.next().is_none()).map(|object| object.value)
            };
            (value(Tag::AIP)?.try_into().ok()?, value(Tag::AFL)?)
        }
        _ => return None,
    };
    let whole = !locator.is_empty() && locator.len().is_multiple_of(4);
    whole.then_some((Aip::new(*aip), locator))
}

/// The records that a locator names, in order. EMV 4.4 Book 3 §10.2.
fn record_list(locator: &[u8]) -> Result<Vec<RecordAt>, KernelError> {
    let bad = |what: &str| KernelError::Data { phase: OPTIONS, what: format!("file locator: {what}") };
    let mut list = Vec::new();
    for entry in locator.chunks_exact(4) {
        let &[file, first, last, signed] = entry else { return Err(bad("an entry is cut off")) };
        let sfi = file >> 3;
        if file & 0x07 != 0 || !(1..=30).contains(&sfi) {
            return Err(bad("a file identifier out of 1 to 30"));
        }
        if first == 0 || last < first {
            return Err(bad("record numbers out of order"));
        }
        let count = usize::from(last.saturating_sub(first)).saturating_add(1);
        if usize::from(signed) > count {
            return Err(bad("more signed records than records"));
        }
        if list.len().saturating_add(count) > RECORDS_MAX {
            return Err(bad("too many records"));
        }
        let is_signed = |record: u8| record.saturating_sub(first) < signed;
        list.extend((first..=last).map(|record| RecordAt { sfi, record, signed: is_signed(record) }));
    }
    Ok(list)
}

impl AwaitRecord {
    fn ask(self) -> (State, Output) {
        let command = read_record(self.at.sfi, self.at.record);
        (State::Record(self), Output::Transmit(command))
    }

    pub(super) fn step(mut self, input: Input) -> Step {
        let answer = response(input, RECORDS)?;
        if !answer.status.is_ok() {
            return Err(KernelError::Status { phase: RECORDS, status: answer.status.0 });
        }
        // Files above 10 belong to the issuer or the payment system; their form is not EMV's.
        if self.at.sfi <= 10 {
            self.take(&answer.data)?;
        }
        if self.at.signed {
            self.app.signed.add(self.at.sfi, &answer.data);
        }
        if let Some(at) = self.left.next() {
            self.at = at;
            return Ok(self.ask());
        }
        // What FCI and GET PROCESSING OPTIONS said stands; a record cannot change the file locator or the profile.
        self.app.card = self.objects.overlaid(&self.app.card);
        let identity = identity(&self.app)?;
        let session = Session::new(*self.app, identity, self.aip);
        if session.app.params.purpose == Purpose::Read {
            return Ok(action::conclude(&session, Verdict::Read));
        }
        oda::authenticate(Box::new(session))
    }

    /// The record that is read after this one.
    pub(super) fn ahead(&self) -> Option<CommandApdu> {
        self.left.as_slice().first().map(|at| read_record(at.sfi, at.record))
    }

    fn take(&mut self, record: &[u8]) -> Result<(), KernelError> {
        let template = tlv::single(record).map_err(broken)?;
        let Some(template) = template.filter(|object| object.tag == Tag::RECORD_TEMPLATE) else {
            let what = format!("record {} of file {} has no template 70", self.at.record, self.at.sfi);
            return Err(KernelError::Data { phase: RECORDS, what });
        };
        for object in template.children() {
            let object = object.map_err(broken)?;
            if !object.tag.is_constructed() {
                self.objects.put_new(object.tag, object.value).map_err(broken)?;
            }
        }
        Ok(())
    }
}

fn broken(error: TlvError) -> KernelError {
    KernelError::Data { phase: RECORDS, what: error.to_string() }
}

/// Checks what every card must have and reads who it is. EMV 4.4 Book 3 §7.2, §10.2.
fn identity(app: &App) -> Result<Identity, KernelError> {
    let value = |tag| app.card.value(tag).ok_or_else(|| missing(tag, RECORDS));
    let bad = |tag: Tag| KernelError::Data { phase: RECORDS, what: format!("tag {tag} is malformed") };
    // A list that cannot be used must show before the host is asked, not after.
    for list in [Tag::CDOL1, Tag::CDOL2] {
        dol::entries(value(list)?).map_err(|_| bad(list))?;
    }
    let expiry = value(Tag::EXPIRY)?;
    if expiry.len() != 3 {
        return Err(wrong_length(Tag::EXPIRY, expiry.len(), RECORDS));
    }
    let expiry = hex(expiry);
    let month = expiry.get(2..4).unwrap_or_default();
    if !expiry.bytes().all(|digit| digit.is_ascii_digit()) || !("01"..="12").contains(&month) {
        return Err(bad(Tag::EXPIRY));
    }
    let pan = Zeroizing::new(hex(value(Tag::PAN)?));
    let pan = Pan::new(pan.trim_end_matches('F')).map_err(|_| bad(Tag::PAN))?;
    let track2 = match app.card.value(Tag::TRACK2) {
        None => None,
        Some(track) => {
            let track = Zeroizing::new(hex(track));
            Some(Track2::new(&track).map_err(|_| bad(Tag::TRACK2))?)
        }
    };
    if track2.as_ref().is_some_and(|track| track.pan().as_ref() != Ok(&pan)) {
        return Err(KernelError::Data { phase: RECORDS, what: "tags 57 and 5A disagree".to_owned() });
    }
    let sequence = match app.card.value(Tag::PAN_SEQUENCE) {
        None => None,
        Some(&[digits]) if digits >> 4 <= 9 && digits & 0x0F <= 9 => {
            Some((digits >> 4) * 10 + (digits & 0x0F))
        }
        Some(_) => return Err(bad(Tag::PAN_SEQUENCE)),
    };
    Ok(Identity { pan, track2, expiry: expiry.chars().take(4).collect(), sequence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_profile_and_locator() {
        let check = |data: &[u8], expected: Option<&[u8]>| {
            assert_eq!(
                options(data).map(|(aip, locator)| [aip.bytes(), locator].concat()).as_deref(),
                expected
            );
        };
        check(&[0x80, 6, 0x7C, 0, 8, 1, 1, 0], Some(&[0x7C, 0, 8, 1, 1, 0]));
        check(&[0x77, 10, 0x82, 2, 0x7C, 0, 0x94, 4, 8, 1, 1, 0], Some(&[0x7C, 0, 8, 1, 1, 0]));
        check(&[0x80, 2, 0x7C, 0], None);
        check(&[0x80, 5, 0x7C, 0, 8, 1, 1], None);
        check(&[0x77, 4, 0x82, 2, 0x7C, 0], None);
        check(&[0x77, 3, 0x82, 2, 0x7C], None);
        check(&[0x70, 0], None);
        check(&[0x77, 14, 0x82, 2, 0x7C, 0, 0x82, 2, 0x7C, 0, 0x94, 4, 8, 1, 1, 0], None);
    }

    #[test]
    fn locators_are_checked_before_a_record_is_read() {
        let check = |locator: &[u8], expected: Option<&[(u8, u8)]>| {
            let list = record_list(locator)
                .ok()
                .map(|list| list.into_iter().map(|at| (at.sfi, at.record)).collect::<Vec<_>>());
            assert_eq!(list.as_deref(), expected, "{locator:02X?}");
        };
        check(&[0x08, 2, 3, 1, 0x10, 1, 1, 0], Some(&[(1, 2), (1, 3), (2, 1)]));
        check(&[0x08, 0, 1, 0], None);
        check(&[0x08, 2, 1, 0], None);
        check(&[0x08, 1, 1, 2], None);
        check(&[0x09, 1, 1, 0], None);
        check(&[0x00, 1, 1, 0], None);
        check(&[0xF8, 1, 1, 0], None);
        check(&[0x08, 1, 255, 0], None);
    }
}

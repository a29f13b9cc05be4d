//! One download as a consuming step function: pages of the list, then record by record, then the end message, then the
//! swap.
//!
//! No STAN, no MAC, no money. What is taken is durable before the next thing is asked for, and the line is given back
//! between messages, so that a payment never waits for more than one answer. After a power cut it goes on with the
//! records that are not built aside yet, if the bank's list is still the same; a blacklist is begun anew, because its
//! pages are known by number only. Messages and order: LiaoYang_POS; Spec: unverified.
use super::lists::{self, List, PageError, Rest};
use super::records::{self, RecordError};
use super::{Kind, Progress, Row, TableStep, parameters};
use crate::domain::calendar::BootTime;
use crate::domain::fault::{Fault, FaultName};
use crate::domain::ident::ResponseCode;
use crate::domain::profile::Profile;
use crate::domain::record::Record;
use crate::domain::secret::TokenKey;
use crate::domain::txn::{Effects, Now};
use core::time::Duration;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which CA keys or applications there are, from this one on.
    List {
        /// How many came already.
        received: usize,
    },
    /// One of them: the key of its row.
    Record(Vec<u8>),
    /// A page of the blacklist.
    Cards {
        /// Number of its first card, from 1.
        next: usize,
    },
    /// All parameters at once.
    Whole,
    /// The end of the download.
    End,
}

/// A request, complete but for the terminal's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Of which download.
    pub kind: Kind,
    /// What is asked.
    pub question: Question,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line is open, and nobody goes before.
    LineReady,
    /// No line: why, and the next step.
    LineFailed(String),
    /// The socket took the request.
    RequestSent,
    /// A good answer.
    Answered {
        /// DE 39.
        code: ResponseCode,
        /// DE 62.
        data: Vec<u8>,
    },
    /// No usable answer.
    Garbled,
    /// The line broke: why, and the next step.
    LineLost(String),
    /// The last records are durable.
    Stored,
    /// They are not, as far as anybody knows.
    StoreFailed,
    /// Not wanted any more.
    Cancel,
    /// Time passed.
    Tick,
}

/// How a download ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that came into use; `None`: the bank has no list, and the old table stays.
    pub rows: Option<usize>,
    /// What was passed over or refused, for people.
    pub remarks: Vec<String>,
}

/// What it is begun with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How long an answer is waited for.
    pub patience: Duration,
    /// The acquirer's rules.
    pub profile: Arc<Profile>,
    /// Makes tokens of the cards of a blacklist.
    pub token_key: TokenKey,
}

#[derive(Debug)]
enum State {
    AwaitLine(Question),
    AwaitSent(Question),
    AwaitHost(Question, BootTime),
    AwaitStored(Then),
    Ended(Result<Report, Fault>),
}

#[derive(Clone, Copy, Debug)]
enum Then {
    GoOn,
    End,
}

/// One download.
#[derive(Debug)]
pub struct Download {
    kind: Kind,
    setup: Setup,
    state: State,
    list: List,
    /// The list is whole.
    listed: bool,
    /// The digest of the list under which rows are built aside already.
    under: Option<[u8; 32]>,
    /// Keys of the rows that are durable.
    staged: Vec<Vec<u8>>,
    /// Keys that the bank lists and does not give, or that this terminal cannot use.
    passed_over: Vec<Vec<u8>>,
    /// Cards that the blacklist tells.
    total: usize,
    cards: usize,
    report: Report,
}

type Step = (Download, Effects<(), Request>);

impl Download {
    /// Begins, or goes on with what is built aside.
    #[must_use]
    pub fn new(kind: Kind, setup: Setup, held: Option<&Progress>) -> Self {
        let staged = held.and_then(|held| held.staged.as_ref());
        let first = match kind {
            Kind::Capk | Kind::Aid => Question::List { received: 0 },
            Kind::Blacklist => Question::Cards { next: 1 },
            Kind::Parameters | Kind::Contactless => Question::Whole,
        };
        Self {
            kind,
            setup,
            state: State::AwaitLine(first),
            list: List::default(),
            listed: false,
            under: staged.map(|(list, _)| *list),
            staged: staged.into_iter().flat_map(|(_, rows)| rows).map(|row| row.key.clone()).collect(),
            passed_over: Vec::new(),
            total: 0,
            cards: 0,
            report: Report::default(),
        }
    }

    /// What it downloads.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn ended(&self) -> Option<&Result<Report, Fault>> {
        match &self.state {
            State::Ended(result) => Some(result),
            _ => None,
        }
    }

    /// It wants a line, or the line anew: whoever must go before it goes first.
    #[must_use]
    pub const fn wants_line(&self) -> bool {
        matches!(self.state, State::AwaitLine(_))
    }

    /// When it wants [`Event::Tick`].
    #[must_use]
    pub const fn deadline(&self) -> Option<BootTime> {
        match self.state {
            State::AwaitHost(_, deadline) => Some(deadline),
            _ => None,
        }
    }

    /// True while [`Event::Cancel`] ends it: the swap is not on its way to the disk.
    #[must_use]
    pub const fn cancellable(&self) -> bool {
        !matches!(self.state, State::AwaitStored(Then::End) | State::Ended(_))
    }

    /// `listing`, `loading`, `ending`, `done`: for the job.
    #[must_use]
    pub const fn phase(&self) -> &'static str {
        match &self.state {
            State::AwaitLine(question) | State::AwaitSent(question) | State::AwaitHost(question, _) => {
                match question {
                    Question::List { .. } => "listing",
                    Question::Record(_) | Question::Cards { .. } | Question::Whole => "loading",
                    Question::End => "ending",
                }
            }
            State::AwaitStored(Then::GoOn) => "loading",
            State::AwaitStored(Then::End) => "ending",
            State::Ended(_) => "done",
        }
    }

    /// 0 to 100.
    #[must_use]
    pub fn progress(&self) -> u8 {
        let (done, all) = match self.kind {
            Kind::Capk | Kind::Aid if self.listed => {
                (self.staged.len().saturating_add(self.passed_over.len()), self.list.keys().len())
            }
            Kind::Blacklist => (self.cards, self.total),
            Kind::Capk | Kind::Aid | Kind::Parameters | Kind::Contactless => (0, 0),
        };
        let percent = done.saturating_mul(90).checked_div(all).map_or(0, |share| share.min(90));
        u8::try_from(percent).unwrap_or(90)
    }

    /// Takes one event. Total.
    #[must_use]
    pub fn step(mut self, event: Event, now: Now) -> Step {
        match (core::mem::replace(&mut self.state, State::AwaitStored(Then::GoOn)), event) {
            (State::AwaitLine(question), Event::LineReady) => {
                let request = Request { kind: self.kind, question: question.clone() };
                self.state = State::AwaitSent(question);
                (self, Effects::send(vec![], request))
            }
            (State::AwaitLine(_), Event::LineFailed(cause)) => {
                self.fail(FaultName::HostUnreachable, format!("no connection to the bank: {cause}"))
            }
            (State::AwaitSent(question), Event::RequestSent) => {
                self.state = State::AwaitHost(question, now.boot.after(self.setup.patience));
                (self, Effects::none())
            }
            (State::AwaitSent(question) | State::AwaitHost(question, _), Event::Answered { code, data }) => {
                self.answered(&question, &code, &data, now)
            }
            (State::AwaitSent(_) | State::AwaitHost(..), Event::Garbled) => self.fail(
                FaultName::ProtocolError,
                "the bank's answer is not usable; try again, then call the acquirer",
            ),
            (State::AwaitSent(_) | State::AwaitHost(..), Event::LineLost(cause)) => {
                self.fail(FaultName::HostUnreachable, format!("the line to the bank broke: {cause}"))
            }
            (State::AwaitHost(_, deadline), Event::Tick) if now.boot >= deadline => self
                .fail(FaultName::HostTimeout, "the bank did not answer in time; the download is tried again"),
            (State::AwaitStored(Then::GoOn), Event::Stored) => {
                self.state = State::AwaitLine(self.next_question());
                (self, Effects::none())
            }
            (State::AwaitStored(Then::End), Event::Stored) => {
                self.state = State::Ended(Ok(core::mem::take(&mut self.report)));
                (self, Effects::none())
            }
            (State::AwaitStored(_), Event::StoreFailed) => {
                self.fail(FaultName::StorageFault, "the journal cannot be written; call a technician")
            }
            (
                State::AwaitLine(_)
                | State::AwaitSent(_)
                | State::AwaitHost(..)
                | State::AwaitStored(Then::GoOn),
                Event::Cancel,
            ) => self.fail(FaultName::Cancelled, "cancelled"),
            // Everything else is late, early or repeated.
            (state, _) => {
                self.state = state;
                (self, Effects::none())
            }
        }
    }

    fn answered(mut self, question: &Question, code: &ResponseCode, data: &[u8], now: Now) -> Step {
        if code.as_str() != "00" {
            let text = crate::domain::text::declined(code.as_str(), &self.setup.profile.catalogue);
            return self.fail(FaultName::HostRejected, format!("the bank refused with {code}: {}", text.en));
        }
        match question {
            Question::List { .. } => match self.list.take(self.kind, data) {
                Ok(rest) => self.listed(rest, now),
                Err(error) => self.page_refused(error),
            },
            Question::Record(key) => self.record(key.clone(), data),
            Question::Cards { next } => self.cards(*next == 1, data, now),
            Question::Whole => self.whole(data, now),
            Question::End => self.swap(Vec::new(), now),
        }
    }

    fn listed(mut self, rest: Rest, now: Now) -> Step {
        match rest {
            Rest::None => self.nothing(),
            Rest::More => self.go_on(),
            Rest::End => {
                self.listed = true;
                let list = self.list.digest();
                if self.under == Some(list) {
                    // A row that the list does not name could not have been built under it.
                    return self.go_on();
                }
                self.under = Some(list);
                self.staged.clear();
                let begun = TableStep::Begun { kind: self.kind, list, at: now.wall };
                self.store(Then::GoOn, vec![begun])
            }
        }
    }

    /// Without a list there is nothing to put in place of the table in use.
    fn nothing(mut self) -> Step {
        self.report.remarks.push("the bank has none; what is in use stays".to_owned());
        let dropped = TableStep::Dropped { kind: self.kind };
        self.store(Then::End, vec![dropped])
    }

    fn record(mut self, key: Vec<u8>, data: &[u8]) -> Step {
        let body = match data.split_first() {
            Some((b'1', body)) => body,
            Some((b'0', _)) => return self.pass_over(key, "the bank does not have it"),
            _ => return self.record_refused(&key, "it begins with no status"),
        };
        match self.check(&key, body) {
            Ok(()) => {
                self.staged.push(key.clone());
                let rows = vec![Row { key, data: body.to_vec() }];
                let staged = TableStep::Staged { kind: self.kind, rows };
                self.store(Then::GoOn, vec![staged])
            }
            Err(error @ RecordError::Algorithm) => self.pass_over(key, &error.to_string()),
            Err(error) => self.record_refused(&key, &error.to_string()),
        }
    }

    /// Can it be used, and is it the one that was asked for?
    fn check(&self, key: &[u8], body: &[u8]) -> Result<(), RecordError> {
        let same = match self.kind {
            Kind::Capk => {
                records::capk(body).map(|capk| key == [capk.rid.as_slice(), &[capk.index]].concat())?
            }
            _ => records::application(body, self.setup.profile.downloads.partial_match)?.aid.bytes() == key,
        };
        if same { Ok(()) } else { Err(RecordError::Other) }
    }

    fn pass_over(mut self, key: Vec<u8>, why: &str) -> Step {
        self.report.remarks.push(format!("{} {}: {why}", self.kind, hex(&key)));
        self.passed_over.push(key);
        self.go_on()
    }

    fn cards(mut self, first: bool, data: &[u8], now: Now) -> Step {
        let page = match lists::cards(data) {
            Ok(page) => page,
            Err(error) => return self.page_refused(error),
        };
        if first && page.rest == Rest::None {
            return self.nothing();
        }
        let mut steps = Vec::new();
        if first {
            self.total = page.total;
            self.staged.clear();
            let list = Sha256::digest(page.total.to_be_bytes()).into();
            steps.push(TableStep::Begun { kind: self.kind, list, at: now.wall });
        }
        self.cards = self.cards.saturating_add(page.cards.len());
        self.listed = page.rest != Rest::More;
        if self.cards > lists::CARDS_MAX || (!self.listed && page.cards.is_empty()) {
            return self.page_refused(PageError::Endless);
        }
        if self.listed && self.cards != self.total {
            let (told, came) = (self.total, self.cards);
            return self.page_refused(PageError::Count { told, came });
        }
        let token = |pan| Row { key: self.setup.token_key.token(pan).into_bytes(), data: Vec::new() };
        let rows = page.cards.iter().map(token).collect();
        steps.push(TableStep::Staged { kind: self.kind, rows });
        self.store(Then::GoOn, steps)
    }

    fn whole(mut self, data: &[u8], now: Now) -> Step {
        let rows = if self.kind == Kind::Parameters {
            let parameters::Received { rows, remarks } = parameters::read(data);
            self.report.remarks.extend(remarks);
            rows
        } else {
            match contactless(data) {
                Ok(None) => return self.nothing(),
                Ok(Some(row)) => vec![row],
                Err(error) => return self.page_refused(error),
            }
        };
        if rows.is_empty() {
            let text = "the bank's parameters hold nothing that can be read; call the acquirer";
            return self.fail(FaultName::ProtocolError, text);
        }
        self.listed = true;
        self.staged = rows.iter().map(|row| row.key.clone()).collect();
        let list = Sha256::digest(data).into();
        let steps = vec![
            TableStep::Begun { kind: self.kind, list, at: now.wall },
            TableStep::Staged { kind: self.kind, rows },
        ];
        if self.kind == Kind::Parameters && !self.setup.profile.downloads.parameters_end {
            return self.swap(steps, now);
        }
        self.store(Then::GoOn, steps)
    }

    fn swap(mut self, mut steps: Vec<TableStep>, now: Now) -> Step {
        if self.staged.is_empty() && self.kind != Kind::Blacklist {
            let text = "the bank gave nothing of what it lists; the old table stays; call the acquirer";
            return self.fail(FaultName::HostRejected, text);
        }
        self.report.rows = Some(if self.kind == Kind::Blacklist { self.cards } else { self.staged.len() });
        steps.push(TableStep::Swapped { kind: self.kind, at: now.wall });
        self.store(Then::End, steps)
    }

    fn go_on(mut self) -> Step {
        self.state = State::AwaitLine(self.next_question());
        (self, Effects::none())
    }

    fn next_question(&self) -> Question {
        match self.kind {
            Kind::Capk | Kind::Aid if !self.listed => Question::List { received: self.list.keys().len() },
            Kind::Capk | Kind::Aid => {
                let missing = |key: &&Vec<u8>| !self.staged.contains(key) && !self.passed_over.contains(key);
                self.list.keys().iter().find(missing).cloned().map_or(Question::End, Question::Record)
            }
            Kind::Blacklist if !self.listed => Question::Cards { next: self.cards.saturating_add(1) },
            Kind::Parameters | Kind::Contactless if !self.listed => Question::Whole,
            Kind::Blacklist | Kind::Parameters | Kind::Contactless => Question::End,
        }
    }

    fn store(mut self, then: Then, steps: Vec<TableStep>) -> Step {
        self.state = State::AwaitStored(then);
        (self, Effects::store(vec![], steps.into_iter().map(Record::Table).collect()))
    }

    fn page_refused(self, error: PageError) -> Step {
        let text =
            format!("the list of {} is refused: {error}; the old table stays; call the acquirer", self.kind);
        self.fail(FaultName::ProtocolError, text)
    }

    fn record_refused(self, key: &[u8], why: &str) -> Step {
        let (kind, key) = (self.kind, hex(key));
        let text =
            format!("record {key} of {kind} is refused: {why}; the old table stays; call the acquirer");
        self.fail(FaultName::ProtocolError, text)
    }

    fn fail(mut self, name: FaultName, text: impl Into<String>) -> Step {
        self.state = State::Ended(Err(Fault::new(name, text)));
        (self, Effects::none())
    }
}

/// Contactless parameters: a status digit as in records, then BER-TLV. One row, as it came. Spec: unverified, both.
fn contactless(data: &[u8]) -> Result<Option<Row>, PageError> {
    let (rest, body) = lists::status(data)?;
    if rest == Rest::None {
        return Ok(None);
    }
    crate::domain::emv::tlv::Reader::new(body).try_for_each(|object| object.map(drop))?;
    Ok(Some(Row { key: Vec::new(), data: body.to_vec() }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

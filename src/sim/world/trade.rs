//! One transaction from the counter to its paper: the real machine, and everything it waits for.
use super::card::{Cards, ChipFault, Temper, card_of, status};
use super::host::{Asked, Said, is_foreign, kind_of};
use super::net::{Heard, Mood};
use super::{Flow, World, broken, operator};
use crate::domain::calendar::LocalTime;
use crate::domain::emv::apdu::CommandApdu;
use crate::domain::emv::params::{Purpose, TxnParams};
use crate::domain::ident::{AuthCode, RequestId, ResponseCode, Rrn, TxnId};
use crate::domain::money::{Amount, Currency};
use crate::domain::outcome::{EntryType, Kind, Prompt, QueueState, ResultCode};
use crate::domain::queue::Entry;
use crate::domain::record::{HostFacts, OriginalRef, Terms, TxnRow, TxnStart};
use crate::domain::rules::{self, Present, Undo};
use crate::domain::secret::{PinBlock, PinSeed};
use crate::domain::txn::{
    Answer, Ask, Cancellable, CardTrouble, Event, FinancialRequest, Local, Setup, Txn, Vital,
};
use crate::domain::unionpay::answers::FinancialAnswer;
use crate::ports::Journal;
use core::time::Duration;
use std::collections::VecDeque;

/// What the shop wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which kind.
    pub kind: Kind,
    /// Minor units; 0 for what has no amount of its own.
    pub amount: u64,
    /// Whose card.
    pub card: u8,
    /// How the chip answers.
    pub temper: Temper,
    /// What it follows.
    pub original: Option<TxnId>,
    /// A part is enough.
    pub partial: bool,
    /// The merchant lets it be stored.
    pub may_store: bool,
    /// The issuer sends scripts for the chip.
    pub scripts: bool,
}

impl Wanted {
    /// A transaction of a good card.
    #[must_use]
    pub const fn new(kind: Kind, amount: u64, card: u8) -> Self {
        Self {
            kind,
            amount,
            card,
            temper: Temper::Good,
            original: None,
            partial: false,
            may_store: false,
            scripts: false,
        }
    }
}

/// The running transaction and what it will hear.
struct Run {
    txn: Txn,
    events: VecDeque<Event>,
    late: Option<Event>,
    finished: bool,
    /// The bank's answers carry scripts.
    scripts: bool,
}

/// Somebody or something interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Person {
    Cancels,
    StaysAway,
    NoAgent,
    PowerFails,
}

impl World {
    /// Runs one transaction to its end. `None`: the rules do not allow it now.
    ///
    /// # Errors
    /// The power failed, or a rule is broken.
    pub fn trade(&mut self, wanted: &Wanted) -> Flow<Option<TxnId>> {
        self.moment();
        let Some((start, setup)) = self.start(wanted)? else { return Ok(None) };
        let id = start.id.clone();
        self.last = Some(id.clone());
        self.note(&format_args!("{} of {} with card {}", start.kind, start.amount.minor(), wanted.card));
        self.judge.begins(&start);
        self.cards.inserted = wanted.card;
        self.cards.temper = wanted.temper;
        let withdraws = match &setup.undo {
            Undo::Local(entry) => entry.clone(),
            Undo::Online => None,
        };
        self.memory.withheld = withdraws;
        self.memory.line_of = None;
        self.steps = 0;
        let begun = if self.sign_on_if_needed()? {
            Event::Begun(Box::new(self.params()))
        } else {
            Event::NotBegun(ResultCode::NotSignedOn)
        };
        let run = Run {
            txn: Txn::new(start, setup),
            events: VecDeque::from([begun]),
            late: None,
            finished: false,
            scripts: wanted.scripts,
        };
        self.run(run)?;
        self.memory.withheld = None;
        self.print(&id)?;
        self.refresh(&id);
        Ok(Some(id))
    }

    /// What the engine does when a caller asks for a transaction.
    fn start(&mut self, wanted: &Wanted) -> Flow<Option<(TxnStart, Setup)>> {
        self.serial = self.serial.saturating_add(1);
        let name = RequestId::new(&format!("{}-{}", self.prefix, self.serial));
        let request_id = name.or_else(|_| broken("the simulator makes a bad request id"))?;
        let original = match &wanted.original {
            Some(id) => match self.disk.row(id) {
                Some(row) => Some(row),
                None => return Ok(None),
            },
            None => None,
        };
        let mut amount = Amount::from_minor(wanted.amount).unwrap_or(Amount::ZERO);
        let mut undo = Undo::Online;
        if let Some(row) = &original {
            let present = Present { same_day: true, profile: &self.setup.identity.profile };
            match rules::eligible(row, wanted.kind, amount, present) {
                Ok(of_original) => amount = of_original,
                Err(_) => return Ok(None),
            }
            if rules::undoes(wanted.kind) {
                undo = rules::undo(row);
            }
        }
        let offline = wanted.kind == Kind::OfflineSale;
        let start = TxnStart {
            id: TxnId::of(&request_id),
            request_id,
            kind: wanted.kind,
            amount,
            currency: Currency::CNY,
            arguments_sha256: [0; 32],
            operator: operator("01")?,
            created_at: self.now.wall,
            cashier_ref: None,
            metadata: Vec::new(),
            plies: 2,
            terms: Terms {
                original: original.as_ref().map(reference),
                auth_code: None,
                supervisor: None,
                allow_partial: wanted.partial,
                linked: false,
            },
        };
        let setup = Setup {
            may_store: wanted.may_store || offline,
            undo,
            stored_card: original.and_then(|row| row.card),
            ..self.setup.clone()
        };
        Ok(Some((start, setup)))
    }

    fn params(&self) -> TxnParams {
        TxnParams {
            amount: Amount::ZERO,
            amount_other: Amount::ZERO,
            currency: Currency::CNY,
            transaction_type: 0,
            now: LocalTime { year: 2026, month: 9, day: 21, hour: 9, minute: 30, second: 0 },
            unpredictable_number: self.serial.to_be_bytes(),
            sequence_counter: self.serial,
            selection_roll: 50,
            pin_seed: PinSeed::new([9; 32]),
            purpose: Purpose::Pay,
            watch: None,
        }
    }

    fn run(&mut self, mut run: Run) -> Flow {
        loop {
            self.step()?;
            let event = match run.events.pop_front() {
                Some(event) => event,
                None => match run.txn.deadline() {
                    Some((at, _)) => {
                        self.sleep_until(at);
                        if let Some(late) = run.late.take() {
                            run.events.push_back(late);
                        }
                        Event::Tick
                    }
                    None if run.finished => return Ok(()),
                    None => return broken(format!("it rests in {}", run.txn.state())),
                },
            };
            self.judge.hears(&run.txn, &event);
            let (txn, effects) = run.txn.step(event, self.now);
            run.txn = txn;
            self.place.0 = run.txn.state().word();
            self.judge.wants(&run.txn, &effects, &self.disk)?;
            for local in effects.local {
                self.carry(local, &mut run)?;
            }
            match effects.vital {
                Vital::Nothing => {}
                Vital::Store(records) => {
                    let stored = self.commit(&records, "before the record is durable")?;
                    run.events.push_back(match stored {
                        Some(committed) => Event::Stored(committed.taken),
                        None => Event::StoreFailed,
                    });
                }
                Vital::Send(request) => self.send(*request, &mut run)?,
            }
        }
    }

    fn carry(&mut self, local: Local, run: &mut Run) -> Flow {
        match local {
            Local::Prompt(Prompt::InsertCard | Prompt::TryAgain) => {
                let event = match self.fails(&[Person::Cancels, Person::StaysAway, Person::PowerFails]) {
                    None | Some(Person::NoAgent) => Some(Event::CardInserted),
                    Some(Person::Cancels) => self.cancel(run),
                    Some(Person::StaysAway) => None,
                    Some(Person::PowerFails) => return self.cut("while a card is asked for"),
                };
                run.events.extend(event);
            }
            Local::Prompt(_) | Local::PowerOff | Local::Withdraw => {}
            Local::PowerOn => {
                self.cards.power_on();
                run.events.push_back(Event::CardPowered);
            }
            Local::Transmit(command) => self.transmit(&command, run)?,
            Local::Ask(ask) => self.asked(ask, run)?,
            // The worlds' reader has no PIN pad.
            Local::AskPad(_) => run.events.push_back(Event::AgentAnswered(Answer::PinNotAvailable)),
            Local::LookForDuplicate { token, amount } => {
                let since =
                    self.now.wall.0.saturating_sub(micros(self.setup.identity.profile.duplicate_window));
                let since = crate::domain::calendar::WallTime(since);
                let found = self.disk.find_duplicate(&token, amount, since);
                run.events.push_back(Event::DuplicateLookedUp(found.unwrap_or_default()));
            }
            Local::OpenLine => {
                let event = self.line_for_trade()?;
                run.events.push_back(event);
            }
            Local::DropSignOn => self.memory.signed_on = false,
            Local::Finish => {
                run.finished = true;
                self.judge.finishes(&run.txn, &self.disk)?;
                self.power("after Finished")?;
            }
        }
        Ok(())
    }

    /// The cashier cancels, if that is still possible.
    fn cancel(&mut self, run: &Run) -> Option<Event> {
        self.note(&"the cashier cancels");
        (run.txn.cancellable() == Cancellable::Yes)
            .then_some(Event::CancelRequested(ResultCode::OperatorCancelled))
    }

    fn transmit(&mut self, command: &CommandApdu, run: &mut Run) -> Flow {
        let cut = self.fails(&[None, Some(0), Some(1), Some(2), Some(3)]);
        let fault = match cut {
            None => None,
            Some(None) => return self.cut("while the chip works"),
            Some(Some(at)) => ChipFault::ALL.get(at).copied(),
        };
        if let Some(fault) = fault {
            self.note(&format_args!("the chip: {fault:?}"));
        }
        let answered = command.ins == 0xAE && command.p1 & 0xC0 == 0x40;
        run.events.push_back(match fault {
            None => Event::CardAnswered(self.cards.answer(command)),
            Some(ChipFault::Pulled) => Event::CardRemoved,
            Some(ChipFault::Mute) => Event::CardFailed(CardTrouble::Unreadable),
            Some(ChipFault::Refuses) => Event::CardAnswered(status(0x6F00)),
            Some(ChipFault::Garbage) => {
                let mut answer = self.cards.answer(command);
                answer.data = vec![0x6F, 0x81];
                Event::CardAnswered(answer)
            }
        });
        self.judge.cryptogram(answered, fault.is_none() && self.cards.said_tc)?;
        Ok(())
    }

    fn asked(&mut self, ask: Ask, run: &mut Run) -> Flow {
        let way = self.fails(&[Person::Cancels, Person::StaysAway, Person::NoAgent, Person::PowerFails]);
        let answer = match ask {
            Ask::Pin(_) => Answer::Pin(PinBlock::new([7; 8])),
            Ask::Application(candidates) => match candidates.into_iter().next() {
                Some(first) => Answer::Application(first.aid),
                None => Answer::Cancelled,
            },
            Ask::Card | Ask::Duplicate(_) => Answer::Yes(true),
            Ask::Authorize(_) => Answer::Authorized(operator("00")?),
        };
        run.events.extend(match way {
            None => Some(Event::AgentAnswered(answer)),
            Some(Person::Cancels) => Some(Event::AgentAnswered(Answer::Cancelled)),
            Some(Person::StaysAway) => None,
            Some(Person::NoAgent) => Some(Event::AgentUnavailable),
            Some(Person::PowerFails) => return self.cut("while a person is asked"),
        });
        Ok(())
    }

    /// What must go first goes, then the line is the transaction's.
    fn line_for_trade(&mut self) -> Flow<Event> {
        if !self.sign_on_if_needed()? {
            return Ok(Event::LineFailed(ResultCode::NotSignedOn));
        }
        if !self.first_things_first()? || !self.open_line() {
            return Ok(Event::LineFailed(ResultCode::ConnectFailed));
        }
        if !self.memory.signed_on {
            return Ok(Event::LineFailed(ResultCode::NotSignedOn));
        }
        Ok(Event::LineReady)
    }

    fn send(&mut self, request: FinancialRequest, run: &mut Run) -> Flow {
        let asked = read(&request)?;
        let blocks = |entry: &Entry| {
            let due = matches!(entry.state, QueueState::Due | QueueState::Sending);
            entry.entry_type() == EntryType::Reversal && due && !entry.ask_again
        };
        if self.memory.entries.iter().any(blocks) {
            return broken("1: a request leaves before a reversal that is due");
        }
        self.judge.sends(&request, &asked, &self.disk)?;
        self.memory.line_of = Some(request.start.id.clone());
        let amount = request.start.amount;
        self.judge.has_sent(request, asked.name);
        let kept = asked.clone();
        let exchange = self.exchange("request", |world, mood| {
            let part = mood == Mood::Part;
            let said = world.bank.ask(&asked, mood.refusal("51"), part);
            world.note(&format_args!("the bank says {} to {:?}", said.code, asked.name));
            said
        })?;
        if exchange.floats {
            self.floating.push(kept.clone());
        }
        let foreign = is_foreign(kept.card);
        for heard in exchange.heard {
            run.events.push_back(match heard {
                Heard::Sent => Event::RequestSent,
                Heard::Answer(said) => {
                    Event::HostAnswered(Box::new(answer(&said, amount, foreign, run.scripts)?))
                }
                Heard::Garbled(garbled) => Event::HostGarbled(garbled),
                Heard::Lost(wrote) => Event::LineLost { wrote },
            });
        }
        if let Some(said) = exchange.late {
            run.late = Some(Event::HostAnswered(Box::new(answer(&said, amount, foreign, run.scripts)?)));
        }
        Ok(())
    }
}

/// Template 72 with an identifier and one command.
const SCRIPT: [u8; 20] = [
    0x72, 0x12, 0x9F, 0x18, 0x04, 0, 0, 0, 1, 0x86, 0x09, 0x84, 0x24, 0x00, 0x00, 0x04, 0x11, 0x22, 0x33,
    0x44,
];

/// What names an original in messages.
fn reference(row: &TxnRow) -> OriginalRef {
    OriginalRef {
        txn: Some(row.start.id.clone()),
        batch: Some(row.batch),
        stan: row.stan,
        date: row.host.host_time.map(|time| time.mmdd()),
        rrn: row.host.rrn.clone(),
        auth_code: row.host.auth_code.clone(),
        card_token: row.card.as_ref().map(|card| card.token.clone()),
    }
}

/// The request as the bank reads it.
fn read(request: &FinancialRequest) -> Flow<Asked> {
    let Some(kind) = kind_of(&request.wire) else {
        return broken(format!("no bank knows a {} {}", request.wire.mti, request.wire.message_type));
    };
    let fields = request.fields();
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok()).filter(|n| *n != 0);
    Ok(Asked {
        name: (request.batch.get(), request.stan.get()),
        kind,
        amount: request.start.amount.minor(),
        card: card_of(request.pan.reveal()).ok_or_else(|| super::Halt::Broken("a strange card".into()))?,
        original: original_of(&request.wire.original),
        rrn: number(fields.rrn.map(Rrn::as_str)),
        auth_code: number(fields.auth_code.map(AuthCode::as_str)),
        partial: request.start.terms.allow_partial,
    })
}

/// Batch and STAN of field 61, where it tells them.
pub(super) fn original_of(field61: &str) -> Option<(u32, u32)> {
    let batch = field61.get(..6)?.parse().ok()?;
    let stan = field61.get(6..12)?.parse().ok()?;
    (batch != 0 && stan != 0).then_some((batch, stan))
}

/// What the terminal reads from the bank's answer.
pub(super) fn facts(said: &Said, foreign: bool) -> Flow<HostFacts> {
    let code = ResponseCode::new(said.code).or_else(|_| broken("the bank says what is no response code"))?;
    let organisation = Cards::organisation(foreign);
    Ok(HostFacts {
        response_code: Some(code),
        rrn: Rrn::new(&format!("{:012}", said.rrn)).ok(),
        auth_code: said.auth_code.and_then(|code| AuthCode::new(&format!("{code:06}")).ok()),
        host_time: Some(LocalTime { year: 2026, month: 9, day: 21, hour: 9, minute: 30, second: 5 }),
        organisation: Some(organisation.to_owned()),
        ..HostFacts::default()
    })
}

fn answer(said: &Said, asked: Amount, foreign: bool, scripts: bool) -> Flow<FinancialAnswer> {
    let partial = said.code == "10";
    let amount = if partial { Amount::from_minor(said.amount).unwrap_or(asked) } else { asked };
    Ok(FinancialAnswer {
        approved: matches!(said.code, "00" | "10"),
        signed: true,
        partial,
        host: facts(said, foreign)?,
        amount: Some(amount),
        issuer_authentication: scripts.then(|| vec![7; 10]),
        scripts: if scripts { vec![SCRIPT.to_vec()] } else { Vec::new() },
        header_request: 0,
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

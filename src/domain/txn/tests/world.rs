//! One transaction of any kind in a world of its own: terminal, chip, bank, disk and power. Faults are chosen
//! beforehand; the rules are checked at every step and once more at rest.
use super::super::recovery::recover;
use super::super::{
    Answer, Ask, CardTrouble, Event, FinancialRequest, Garbled, Local, Now, Setup, State, Txn, TxnEffects,
    Vital,
};
use super::disk::{Disk, StoreFault};
use super::makings::{RESPONSE_TIMEOUT, original, setup, start_of};
use crate::domain::calendar::{BootTime, WallTime};
use crate::domain::emv::apdu::{CommandApdu, ResponseApdu, StatusWord};
use crate::domain::emv::kernel::PinKind;
use crate::domain::emv::tests::{AAC, TestCard, params, tlv, unhex};
use crate::domain::ident::{AuthCode, OperatorId, ResponseCode, Rrn, Stan, TxnId};
use crate::domain::money::Amount;
use crate::domain::outcome::{EntryType, Kind, Outcome, Prompt, QueueState, ResultCode};
use crate::domain::profile::Profile;
use crate::domain::queue::Entry;
use crate::domain::queue::delivery::{self, Delivery, End, Limits};
use crate::domain::record::{Closed, HostFacts, Record, ReversalReason, TxnStart};
use crate::domain::rules::{Silence, Undo, rule};
use crate::domain::secret::{ClearPin, PinBlock};
use crate::domain::unionpay::answers::FinancialAnswer;
use std::collections::VecDeque;
use std::sync::Arc;

mod bank;
mod chip;
mod judge;
mod wishes;

pub(super) use bank::{Bank, BankFault, answer, script};
pub(super) use chip::{Chip, ChipFault};
pub(super) use judge::Watch;

/// What goes wrong. Numbers count from 0 over the whole life of the world, restarts included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The n-th dialling fails.
    NoLine(usize),
    /// The n-th message to the bank.
    Bank(usize, BankFault),
    /// The n-th command to the chip.
    Chip(usize, ChipFault),
    /// The chip answers the second GENERATE AC with AAC.
    ChipDeclines,
    /// The n-th commit.
    Store(usize, StoreFault),
    /// The upload that a local undo takes back was attempted meanwhile.
    Attempted,
    /// Power fails before the n-th effect is carried.
    Cut(usize),
}

/// Power has failed.
struct PowerCut;

/// Names a state without its contents.
type Place = fn(&State) -> bool;

/// Everything.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) start: TxnStart,
    /// What agents say, and what the journal says of an earlier payment; `None`: nobody answers.
    pub(super) agent: bool,
    pub(super) says: bool,
    pub(super) earlier: Option<TxnId>,
    pub(super) txn: Option<Txn>,
    pub(super) now: Now,
    pub(super) disk: Disk,
    pub(super) bank: Bank,
    pub(super) chip: Chip,
    /// What the machine will hear, in order.
    pub(super) events: VecDeque<Event>,
    pub(super) prompts: Vec<Prompt>,
    /// What the reader's PIN pad says first; then it gives a PIN to the chip each time.
    pub(super) pad: VecDeque<Answer>,
    faults: Vec<Fault>,
    watch: Watch,
    steps: usize,
    effects: usize,
    dials: usize,
    sends: usize,
    stores: usize,
    late: Option<Event>,
    stray: Option<(Place, Event)>,
    /// False where events are made up: then only the write-ahead rule is watched.
    judged: bool,
    pub(super) signed_on: bool,
    /// What `Finish` told.
    pub(super) told: Option<Outcome>,
    pub(super) cuts: usize,
}

impl World {
    /// A sale that is about to begin.
    pub(super) fn sale(faults: &[Fault]) -> Self {
        Self::of(Kind::Sale, faults)
    }

    /// A transaction of any kind that is about to begin.
    pub(super) fn of(kind: Kind, faults: &[Fault]) -> Self {
        let disk = Disk { attempted: faults.contains(&Fault::Attempted), ..Disk::default() };
        let world = Self {
            setup: setup(),
            start: start_of(kind),
            agent: true,
            says: true,
            earlier: None,
            txn: None,
            now: Now { boot: BootTime(1_000_000), wall: WallTime(1_000_000) },
            disk,
            bank: Bank::default(),
            chip: Chip {
                card: TestCard::new(),
                present: false,
                powered: false,
                in_directory: true,
                commands: 0,
                cryptograms: 0,
                said_tc: false,
                pin: None,
            },
            events: VecDeque::from([Event::Begun(Box::new(params()))]),
            prompts: Vec::new(),
            pad: VecDeque::new(),
            faults: faults.to_vec(),
            watch: Watch::default(),
            steps: 0,
            effects: 0,
            dials: 0,
            sends: 0,
            stores: 0,
            late: None,
            stray: None,
            judged: true,
            signed_on: true,
            told: None,
            cuts: 0,
        };
        // A card that wants a PIN for the bank makes no sale without it.
        if kind == Kind::OfflineSale { world.with_signature() } else { world }
    }

    /// Runs to rest: sale, restarts, reversals. All rules hold on the way and at the end.
    pub(super) fn run(mut self) -> Self {
        self.begin();
        self.finish()
    }

    /// The same from where it stands.
    pub(super) fn finish(mut self) -> Self {
        let mut ended = self.trade().and_then(|()| self.reverse());
        while ended.is_err() {
            self.cuts += 1;
            assert!(self.cuts < 4, "power fails for ever");
            ended = self.restart();
        }
        self.judge_rest();
        self
    }

    pub(super) fn begin(&mut self) {
        self.txn = Some(Txn::new(self.start.clone(), self.setup.clone()));
    }

    fn trade(&mut self) -> Result<(), PowerCut> {
        while self.next()? {}
        let txn = self.txn.as_ref().unwrap();
        assert!(matches!(txn.state, State::Ended(_)), "it rests in {:?}", txn.state);
        Ok(())
    }

    /// One step with the world's own next event, or with time. `false`: there is none.
    fn next(&mut self) -> Result<bool, PowerCut> {
        if let Some((_, event)) = self.stray.take_if(|(wanted, _)| wanted(&self.txn.as_ref().unwrap().state))
        {
            self.chip.present &= event != Event::CardRemoved;
            self.events.push_front(event);
        }
        if let Some(event) = self.events.pop_front() {
            self.step(event)?;
            return Ok(true);
        }
        let Some((at, _)) = self.txn.as_ref().unwrap().deadline() else { return Ok(false) };
        self.now.boot = self.now.boot.max(at);
        self.step(Event::Tick)?;
        if let Some(late) = self.late.take() {
            self.step(late)?;
        }
        Ok(true)
    }

    /// The same for tests that have no power cuts.
    pub(super) fn advance(&mut self) -> bool {
        self.next().unwrap_or_else(|PowerCut| panic!("no power cut was chosen"))
    }

    /// Gives the machine any event, outside of what the world would do.
    pub(super) fn tell(&mut self, event: Event) -> &mut Self {
        self.step(event).unwrap_or_else(|PowerCut| panic!("no power cut was chosen"));
        self
    }

    fn step(&mut self, event: Event) -> Result<(), PowerCut> {
        self.steps += 1;
        assert!(self.steps < 300, "it never comes to rest: {:?}", self.state());
        self.watch.hears(&event);
        let (txn, effects) = self.txn.take().unwrap().step(event, self.now);
        self.watch.wants(&txn, &effects);
        self.txn = Some(txn);
        for local in effects.local {
            self.effect()?;
            self.carry(local);
        }
        match effects.vital {
            Vital::Nothing => {}
            Vital::Store(records) => {
                self.effect()?;
                let stored = self.store(&records);
                self.events.push_back(stored.map_or(Event::StoreFailed, Event::Stored));
            }
            Vital::Send(request) => {
                self.effect()?;
                self.send(&request);
            }
        }
        self.judge_step();
        Ok(())
    }

    /// Power may fail before each effect.
    fn effect(&mut self) -> Result<(), PowerCut> {
        let number = self.effects;
        self.effects += 1;
        if self.faults.contains(&Fault::Cut(number)) { Err(PowerCut) } else { Ok(()) }
    }

    /// How many commands the chip was sent: so many places there are for it to be pulled at.
    pub(super) fn commands(&self) -> usize {
        self.chip.commands
    }

    /// How many effects were carried: so many places there are for a power cut.
    pub(super) fn effects(&self) -> usize {
        self.effects
    }

    fn store(&mut self, records: &[Record]) -> Result<super::disk::Taken, ()> {
        let number = self.stores;
        self.stores += 1;
        let fault = self.faults.iter().find_map(|fault| match fault {
            Fault::Store(n, fault) if *n == number => Some(*fault),
            _ => None,
        });
        self.disk.commit(records, fault)
    }

    fn carry(&mut self, local: Local) {
        match local {
            Local::Prompt(prompt) => {
                self.prompts.push(prompt);
                if matches!(prompt, Prompt::InsertCard | Prompt::TryAgain) {
                    self.chip.present = true;
                    self.events.push_back(Event::CardInserted);
                }
            }
            Local::PowerOn => {
                self.chip.powered = true;
                self.events.push_back(Event::CardPowered);
            }
            Local::PowerOff => self.chip.powered = false,
            Local::DropSignOn => self.signed_on = false,
            Local::Transmit(command) => self.transmit(&command),
            Local::Ask(_) if !self.agent => self.events.push_back(Event::AgentUnavailable),
            Local::Ask(ask) => self.events.push_back(Event::AgentAnswered(match ask {
                Ask::Pin(ask) if ask.kind == PinKind::Online => Answer::Pin(PinBlock::new([7; 8])),
                Ask::Pin(_) => Answer::PinTyped(ClearPin::new(b"1234").unwrap()),
                Ask::Application(candidates) => Answer::Application(candidates[0].aid.clone()),
                Ask::Card | Ask::Duplicate(_) => Answer::Yes(self.says),
                Ask::Authorize(_) if !self.says => Answer::Cancelled,
                Ask::Authorize(_) => Answer::Authorized(OperatorId::new("00").unwrap()),
            })),
            Local::AskPad(longest) => {
                assert_eq!(longest, self.setup.customer_timeout);
                let answer = self.pad.pop_front().unwrap_or_else(|| self.chip.pin_from_pad());
                self.events.push_back(Event::AgentAnswered(answer));
            }
            Local::LookForDuplicate { token, amount } => {
                assert_eq!((token, amount), (original().card_token.unwrap(), self.start.amount));
                self.events.push_back(Event::DuplicateLookedUp(self.earlier.clone()));
            }
            Local::OpenLine => {
                let fails = self.faults.contains(&Fault::NoLine(self.dials));
                self.dials += 1;
                let failed = Event::LineFailed(ResultCode::ConnectFailed);
                self.events.push_back(if fails { failed } else { Event::LineReady });
            }
            Local::Finish => {
                self.told = self.txn.as_ref().and_then(Txn::ended).map(|closed| closed.outcome);
                let durable = self.told == self.disk.outcome();
                assert!(durable || !self.judged, "what is told is not what is durable");
            }
            Local::Withdraw => {}
        }
    }

    /// A new start: recovery, then what it found due. Recovery may be cut, too.
    fn restart(&mut self) -> Result<(), PowerCut> {
        self.txn = None;
        self.events.clear();
        self.late = None;
        let records = recover(&self.disk.loaded(), self.now.wall);
        if !records.is_empty() {
            self.effect()?;
            // A start whose journal cannot be written ends; the service manager starts it again.
            self.store(&records).map_err(|()| PowerCut)?;
        }
        assert_eq!(recover(&self.disk.loaded(), self.now.wall), [], "recovery is not idempotent");
        self.judge_step();
        self.reverse()
    }

    /// The reason of the reversal that once was due.
    pub(super) fn reversal_due(&self) -> Option<ReversalReason> {
        self.disk.log.iter().find_map(|record| match record {
            Record::Closed(closed) => closed.reversal,
            _ => None,
        })
    }

    pub(super) fn result(&self) -> Option<ResultCode> {
        self.disk.row.as_ref().and_then(|row| row.result)
    }

    pub(super) fn closed(&self) -> &Closed {
        let closed = self.disk.log.iter().find_map(|record| match record {
            Record::Closed(closed) => Some(closed),
            _ => None,
        });
        closed.expect("a durable outcome")
    }

    /// How it is about to end, or has ended.
    pub(super) fn closing(&self) -> Option<(Outcome, ResultCode)> {
        match self.state() {
            State::AwaitClosed(closing) => Some((closing.closed().outcome, closing.closed().result)),
            State::Ended(closed) => Some((closed.outcome, closed.result)),
            _ => None,
        }
    }

    pub(super) fn state(&self) -> &State {
        &self.txn.as_ref().expect("a running terminal").state
    }
}

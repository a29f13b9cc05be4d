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

mod wishes;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BankFault {
    /// It decides, and its answer gets lost.
    LoseReply,
    /// It decides, and its answer comes after the terminal has given up.
    LateReply,
    /// It decides, and its answer has a wrong MAC.
    BadMac,
    /// It decides, and its answer cannot be read.
    Garbled,
    /// It declines a request; a reversal it refuses with 96.
    Decline,
    /// The same, without a MAC.
    DeclineUnsigned,
    /// It approves a part that nobody allowed.
    Partial,
    /// The line breaks before a byte has left.
    LostBefore,
    /// It declines, because it does not accept the terminal's keys.
    RefuseKeys,
    /// The line breaks after the socket has the whole request; the bank has not seen it.
    LostAfterUnseen,
    /// The line breaks before the socket says so, but the bank has the whole request.
    LostAfterSeen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChipFault {
    Removed,
    Mute,
    /// Answers with a status word that no phase allows.
    Refuses,
}

/// Power has failed.
struct PowerCut;

/// What was announced and what is durable, as the write-ahead rule sees it.
#[derive(Debug, Default)]
pub(super) struct Watch {
    outstanding: Option<Vec<Record>>,
    sending: bool,
    closed: Option<Closed>,
    pub(super) finishes: usize,
}

impl Watch {
    /// Before the machine hears of an event.
    pub(super) fn hears(&mut self, event: &Event) {
        match event {
            Event::Stored(_) => {
                for record in self.outstanding.take().unwrap_or_default() {
                    match record {
                        Record::Sending(_) => self.sending = true,
                        Record::Closed(closed) => self.closed = Some(*closed),
                        _ => {}
                    }
                }
            }
            Event::StoreFailed => self.outstanding = None,
            _ => {}
        }
    }

    /// What the machine wants: each rule of the house is checked here.
    pub(super) fn wants(&mut self, txn: &Txn, effects: &TxnEffects) {
        if let Vital::Send(_) = effects.vital {
            assert!(self.sending, "a request leaves before its Sending is durable");
            assert_eq!(self.closed, None, "a request leaves after the outcome");
        }
        if let Vital::Store(records) = &effects.vital {
            assert_eq!(self.outstanding, None, "a second store while one is out");
            assert_eq!(self.finishes, 0, "a store after the end");
            self.outstanding = Some(records.clone());
        }
        if effects.local.contains(&Local::Finish) {
            self.finishes += 1;
            assert_eq!(self.finishes, 1, "Finish comes once");
            let closed = self.closed.as_ref().expect("Finish before the outcome is durable");
            assert_eq!(txn.ended(), Some(closed), "another outcome is told than is durable");
        }
        let told = effects.local.iter().filter(|local| **local == Local::Finish).count();
        assert!(told <= 1);
    }
}

/// The bank's books for the one transaction.
#[derive(Debug, Default)]
pub(super) struct Bank {
    /// It has booked what it was asked for.
    pub(super) holds: bool,
    pub(super) declined: bool,
    /// The last request.
    pub(super) asked: Option<FinancialRequest>,
    /// STANs of the requests and reversals that it saw.
    pub(super) sales: Vec<Stan>,
    pub(super) reversals: Vec<Stan>,
    /// Scripts and issuer authentication come with its answers.
    pub(super) icc: bool,
}

impl Bank {
    fn asked(&mut self, request: &FinancialRequest, fault: Option<BankFault>) -> FinancialAnswer {
        self.sales.push(request.stan);
        self.asked = Some(request.clone());
        let declines = [BankFault::Decline, BankFault::DeclineUnsigned, BankFault::RefuseKeys];
        self.declined = fault.is_some_and(|fault| declines.contains(&fault));
        self.holds = !self.declined;
        let code = match fault {
            Some(BankFault::Decline | BankFault::DeclineUnsigned) => "51",
            Some(BankFault::RefuseKeys) => "A0",
            Some(BankFault::Partial) => "10",
            _ => "00",
        };
        let mut answer = answer(code, request.start.amount);
        answer.signed = fault != Some(BankFault::DeclineUnsigned);
        if request.start.kind == Kind::Balance {
            answer.host.balance = Some("1002156C000000123456".to_owned());
        }
        if self.icc {
            answer.issuer_authentication = Some(vec![7; 10]);
            answer.scripts = vec![script(0x71), script(0x72)];
        }
        answer
    }

    fn reversal(&mut self, due: &Entry, fault: Option<BankFault>) -> ResponseCode {
        self.reversals.extend(due.stan());
        let code = match fault {
            Some(BankFault::Decline) => "96",
            _ if self.holds => "00",
            _ => "25",
        };
        self.holds &= code != "00";
        ResponseCode::new(code).unwrap()
    }
}

/// An answer of the bank.
pub(super) fn answer(code: &str, amount: Amount) -> FinancialAnswer {
    let (approved, partial) = (matches!(code, "00" | "10"), code == "10");
    FinancialAnswer {
        approved,
        partial,
        host: HostFacts {
            response_code: Some(ResponseCode::new(code).unwrap()),
            rrn: Some(Rrn::new("093000000001").unwrap()),
            auth_code: approved.then(|| AuthCode::new("ABC123").unwrap()),
            ..HostFacts::default()
        },
        amount: Some(if partial { Amount::from_minor(1).unwrap() } else { amount }),
        issuer_authentication: None,
        scripts: Vec::new(),
        signed: true,
        header_request: 0,
    }
}

/// A script of one command.
pub(super) fn script(template: u32) -> Vec<u8> {
    unhex(&tlv(template, &(tlv(0x9F18, "00000001") + &tlv(0x86, "842400000411223344"))))
}

/// The chip.
pub(super) struct Chip {
    pub(super) card: TestCard,
    present: bool,
    powered: bool,
    in_directory: bool,
    commands: usize,
    cryptograms: usize,
    /// Its second cryptogram was a TC.
    pub(super) said_tc: bool,
    /// The PIN that it checks itself.
    pin: Option<ChipPin>,
}

/// A PIN with its tries.
struct ChipPin {
    left: u8,
    /// So many of the next ones are wrong.
    wrong: u8,
}

impl ChipPin {
    /// What it says to GET DATA for its counter and to VERIFY; `None` to everything else.
    fn answers(&mut self, command: &CommandApdu) -> Option<ResponseApdu> {
        let counter = unhex(&tlv(0x9F17, &format!("{:02X}", self.left)));
        let (data, status) = match command.ins {
            0xCA => (counter, 0x9000),
            0x20 if self.left == 0 => (Vec::new(), 0x6983),
            0x20 if self.wrong == 0 => (Vec::new(), 0x9000),
            0x20 => {
                (self.left, self.wrong) = (self.left - 1, self.wrong - 1);
                (Vec::new(), 0x63C0 | u16::from(self.left))
            }
            _ => return None,
        };
        Some(ResponseApdu { data, status: StatusWord(status) })
    }
}

impl Chip {
    pub(super) const fn pull(&mut self) {
        self.present = false;
    }
}

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

    fn transmit(&mut self, command: &CommandApdu) {
        let number = self.chip.commands;
        self.chip.commands += 1;
        let fault = self.faults.iter().find_map(|fault| match fault {
            Fault::Chip(n, fault) if *n == number => Some(*fault),
            _ => None,
        });
        match fault {
            Some(ChipFault::Removed) => {
                self.chip.present = false;
                self.events.push_back(Event::CardRemoved);
            }
            Some(ChipFault::Mute) => {
                return self.events.push_back(Event::CardFailed(CardTrouble::Unreadable));
            }
            Some(ChipFault::Refuses) => {
                let refusal = ResponseApdu { data: Vec::new(), status: StatusWord(0x6F00) };
                return self.events.push_back(Event::CardAnswered(refusal));
            }
            None => {}
        }
        if !self.chip.present {
            return self.events.push_back(Event::CardFailed(CardTrouble::Removed));
        }
        self.chip.in_directory &= command.ins != 0xA8;
        if let Some(answer) = self.chip.pin.as_mut().and_then(|pin| pin.answers(command)) {
            return self.events.push_back(Event::CardAnswered(answer));
        }
        let mut answer = self.chip.card.answers(command, self.chip.in_directory);
        if command.ins == 0xAE {
            self.chip.cryptograms += 1;
            if self.chip.cryptograms == 2 {
                let tc_after_decline = self.bank.declined && command.p1 == 0x40;
                assert!(!(tc_after_decline && self.judged), "a TC is asked for after a decline");
                if self.faults.contains(&Fault::ChipDeclines) {
                    answer.data = unhex(AAC);
                }
                self.chip.said_tc = answer.data.get(2) == Some(&0x40);
            }
        }
        self.events.push_back(Event::CardAnswered(answer));
    }

    fn bank_fault(&mut self) -> Option<BankFault> {
        let number = self.sends;
        self.sends += 1;
        self.faults.iter().find_map(|fault| match fault {
            Fault::Bank(n, fault) if *n == number => Some(*fault),
            _ => None,
        })
    }

    fn send(&mut self, request: &FinancialRequest) {
        let row = self.disk.row.as_ref();
        let armed = row.is_some_and(|row| row.stan == Some(request.stan)) && self.disk.is_armed();
        assert!(armed || !self.judged, "a request leaves without what its silence would owe");
        let fault = self.bank_fault();
        match fault {
            Some(BankFault::LostBefore) => {
                return self.events.push_back(Event::LineLost { wrote: false });
            }
            Some(BankFault::LostAfterUnseen) => {
                return self.events.extend([Event::RequestSent, Event::LineLost { wrote: true }]);
            }
            _ => {}
        }
        let answered = Event::HostAnswered(Box::new(self.bank.asked(request, fault)));
        if fault == Some(BankFault::LostAfterSeen) {
            return self.events.push_back(Event::LineLost { wrote: true });
        }
        self.events.push_back(Event::RequestSent);
        match fault {
            Some(BankFault::LoseReply) => {}
            Some(BankFault::LateReply) => self.late = Some(answered),
            Some(BankFault::BadMac) => self.events.push_back(Event::HostGarbled(Garbled::Mac)),
            Some(BankFault::Garbled) => self.events.push_back(Event::HostGarbled(Garbled::Content)),
            _ => self.events.push_back(answered),
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

    /// Runs the reversal, if one is due, until the bank has confirmed it.
    fn reverse(&mut self) -> Result<(), PowerCut> {
        for _ in 0..10 {
            let owed = self.disk.row.as_ref().map(Entry::all_of).unwrap_or_default();
            let due = owed.into_iter().find(|entry| entry.entry_type() == EntryType::Reversal);
            let Some(due) = due else { return Ok(()) };
            self.reversal_run(due)?;
        }
        panic!("the reversal never comes to its end");
    }

    fn reversal_run(&mut self, due: Entry) -> Result<(), PowerCut> {
        let profile = Arc::new(Profile { reversal_attempts: 3, ..Profile::clone(&Profile::unionpay()) });
        let limits = Limits { profile, response_timeout: RESPONSE_TIMEOUT, tls: false, late_after: None };
        let mut machine = Delivery::new(due, limits);
        let mut events = VecDeque::from([delivery::Event::LineReady]);
        while machine.ended().is_none() {
            let event = events.pop_front().unwrap_or_else(|| {
                self.now.boot = machine.deadline().expect("an event or a deadline");
                delivery::Event::Tick
            });
            let (next, effects) = machine.step(event, self.now);
            machine = next;
            match effects.vital {
                Vital::Nothing => {}
                Vital::Store(records) => {
                    self.effect()?;
                    let stored = self.store(&records);
                    let event = stored.map_or(delivery::Event::StoreFailed, |taken| {
                        delivery::Event::Stored(taken.map(|(stan, _)| stan))
                    });
                    events.push_back(event);
                }
                Vital::Send(due) => {
                    self.effect()?;
                    self.send_reversal(&due, &mut events);
                }
            }
            self.judge_step();
        }
        if machine.ended() == Some(End::Done) {
            assert!(!self.disk.owes(EntryType::Reversal));
        }
        Ok(())
    }

    fn send_reversal(&mut self, due: &Entry, events: &mut VecDeque<delivery::Event>) {
        let row = self.disk.row.as_ref().expect("the row of a reversal that leaves");
        let reversal = row.reversal().expect("the reversal that leaves");
        assert_eq!(reversal.state, QueueState::Sending, "a 0400 leaves before its attempt is durable");
        assert!(reversal.attempts >= due.attempts);
        assert_eq!((due.stan(), due.batch, due.amount), (row.stan, row.batch, row.start.amount));
        let fault = self.bank_fault();
        if matches!(fault, Some(BankFault::LostBefore | BankFault::LostAfterUnseen)) {
            return events.push_back(delivery::Event::LineLost);
        }
        let code = self.bank.reversal(due, fault);
        events.push_back(delivery::Event::RequestSent);
        match fault {
            Some(BankFault::LoseReply | BankFault::LateReply) => {}
            Some(BankFault::BadMac) => events.push_back(delivery::Event::Garbled(Garbled::Mac)),
            Some(BankFault::Garbled) => events.push_back(delivery::Event::Garbled(Garbled::Content)),
            Some(BankFault::LostAfterSeen) => events.push_back(delivery::Event::LineLost),
            _ => {
                let host = HostFacts { response_code: Some(code), ..HostFacts::default() };
                events.push_back(delivery::Event::Answered { host: Box::new(host), signed: true });
            }
        }
    }

    fn silence(&self) -> Silence {
        rule(self.start.kind).silence
    }

    /// What must hold after every step.
    fn judge_step(&self) {
        if !self.judged {
            return;
        }
        let approved = self.disk.outcome() == Some(Outcome::Approved);
        let stored = self.disk.outcome() == Some(Outcome::StoredOffline);
        if self.bank.holds {
            let known = match self.silence() {
                Silence::Reverse => self.disk.owes(EntryType::Reversal),
                Silence::Except => self.disk.owes(EntryType::RefundUnknown),
                Silence::Forget => true,
            };
            assert!(approved || known, "the bank holds money that nobody knows of");
        }
        let asked = self.setup.undo == Undo::Online;
        if approved && asked {
            assert!(self.bank.holds, "approved, and the bank holds nothing");
        }
        assert_eq!(stored, self.disk.owes_upload(), "stored offline and to be uploaded are one");
        assert!(!(stored && self.bank.holds), "a request that may have arrived became an offline approval");
        let told_good = matches!(self.told, Some(Outcome::Approved | Outcome::StoredOffline));
        if told_good {
            assert!(approved || stored, "the customer was told otherwise");
        }
        let withdrawn = self.disk.withdrawn.is_some();
        let withdraws = matches!(self.setup.undo, Undo::Local(Some(_)));
        assert_eq!(withdrawn, approved && withdraws, "a local undo and its withdrawal are one");
    }

    /// What must hold when nothing is left to do.
    fn judge_rest(&self) {
        let outcome = self.disk.outcome();
        match self.silence() {
            Silence::Reverse if self.setup.undo == Undo::Online => {
                assert_eq!(self.bank.holds, outcome == Some(Outcome::Approved), "{:?}", self.disk.row);
            }
            Silence::Reverse | Silence::Except | Silence::Forget => {}
        }
        let unknown_stays = self.silence() == Silence::Except;
        assert!(!self.disk.owes(EntryType::Reversal));
        assert_ne!(outcome, Some(Outcome::None));
        assert!(unknown_stays || outcome != Some(Outcome::Unknown));
        match self.told {
            Some(Outcome::Unknown) if unknown_stays => assert_eq!(outcome, Some(Outcome::Unknown)),
            Some(Outcome::Unknown) => assert_eq!(outcome, Some(Outcome::Reversed)),
            Some(told) => assert_eq!(outcome, Some(told)),
            None => assert!(self.cuts > 0, "it ended without a word"),
        }
        assert!(self.bank.sales.len() <= 1, "the bank was asked twice");
        assert!(self.cuts > 0 || !self.chip.powered, "the chip is left under power");
        let kept = self.disk.row.as_ref().map(|row| !row.approved_amount.is_zero());
        let good = matches!(outcome, Some(Outcome::Approved | Outcome::StoredOffline));
        assert_eq!(kept.unwrap_or_default(), good && self.start.kind != Kind::Balance);
        let reversible = self.silence() == Silence::Reverse;
        if self.chip.said_tc && outcome == Some(Outcome::Declined) && reversible {
            assert!(self.reversal_due().is_some(), "a TC ended as declined without a reversal");
        }
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

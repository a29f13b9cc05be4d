//! The bank of a world: its books for the one transaction, what goes wrong with a message, the reversals it is sent.
use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum BankFault {
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

/// The bank's books for the one transaction.
#[derive(Debug, Default)]
pub(in super::super) struct Bank {
    /// It has booked what it was asked for.
    pub(in super::super) holds: bool,
    pub(in super::super) declined: bool,
    /// The last request.
    pub(in super::super) asked: Option<FinancialRequest>,
    /// STANs of the requests and reversals that it saw.
    pub(in super::super) sales: Vec<Stan>,
    pub(in super::super) reversals: Vec<Stan>,
    /// Scripts and issuer authentication come with its answers.
    pub(in super::super) icc: bool,
    /// It declines with this code.
    pub(in super::super) refuses_with: Option<String>,
}

impl Bank {
    fn asked(&mut self, request: &FinancialRequest, fault: Option<BankFault>) -> FinancialAnswer {
        self.sales.push(request.stan);
        self.asked = Some(request.clone());
        let declines = [BankFault::Decline, BankFault::DeclineUnsigned, BankFault::RefuseKeys];
        self.declined = fault.is_some_and(|fault| declines.contains(&fault)) || self.refuses_with.is_some();
        self.holds = !self.declined;
        let code = match fault {
            Some(BankFault::Decline | BankFault::DeclineUnsigned) => "51",
            Some(BankFault::RefuseKeys) => "A0",
            Some(BankFault::Partial) => "10",
            _ => self.refuses_with.as_deref().unwrap_or("00"),
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
pub(in super::super) fn answer(code: &str, amount: Amount) -> FinancialAnswer {
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
pub(in super::super) fn script(template: u32) -> Vec<u8> {
    unhex(&tlv(template, &(tlv(0x9F18, "00000001") + &tlv(0x86, "842400000411223344"))))
}

impl World {
    fn bank_fault(&mut self) -> Option<BankFault> {
        let number = self.sends;
        self.sends += 1;
        self.faults.iter().find_map(|fault| match fault {
            Fault::Bank(n, fault) if *n == number => Some(*fault),
            _ => None,
        })
    }

    pub(super) fn send(&mut self, request: &FinancialRequest) {
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

    /// Runs the reversal, if one is due, until the bank has confirmed it.
    pub(super) fn reverse(&mut self) -> Result<(), PowerCut> {
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
}

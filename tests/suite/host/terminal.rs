//! A terminal made by hand: blocking socket, one card, the product's own message builders.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use posd::domain::calendar::{LocalTime, WallTime};
use posd::domain::emv::tlv::{Tag, TagStore};
use posd::domain::ident::{BatchNumber, MerchantId, Stan, TerminalId, TxnId};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{EntryMode, EntryType, Kind, QueueState};
use posd::domain::queue::{Content, Entry};
use posd::domain::record::{EntryId, ReversalReason, WireFacts};
use posd::domain::rules::rule;
use posd::domain::secret::{ClearPin, Pan, PinBlock};
use posd::domain::unionpay::Identity;
use posd::domain::unionpay::answers::{
    AnswerError, FinancialAnswer, read_financial, read_management, read_sign_on,
};
use posd::domain::unionpay::issuer::{ClearMak, key_block};
use posd::domain::unionpay::keys::{MasterKey, WorkingKeys};
use posd::domain::unionpay::messages::{self, Request, RequestFields, WireSource};
use posd::sim::host::TEST_TMK;
use posd::sim::issuer::{self, Cvn, TEST_IMK};

/// No test waits longer for one answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The card of every test, invented.
pub(super) const PAN: &str = "6225880012345678";

/// One connection and what a terminal has in memory.
pub(super) struct Terminal {
    pub(super) identity: Identity,
    pub(super) batch: BatchNumber,
    pub(super) keys: Option<WorkingKeys>,
    stream: TcpStream,
}

/// What a test changes of a sale.
#[derive(Clone)]
pub(super) struct Sale {
    pub(super) stan: u32,
    pub(super) amount: u64,
    pub(super) pin: Option<&'static [u8]>,
    pub(super) tags: TagStore,
}

impl Sale {
    /// A sale with PIN 123456 and a right ARQC.
    pub(super) fn new(stan: u32, amount: u64) -> Self {
        Self { stan, amount, pin: Some(b"123456"), tags: tags(amount) }
    }
}

/// The chip's part of a sale, its ARQC made with the issuer's key.
pub(super) fn tags(amount: u64) -> TagStore {
    let mut tags = TagStore::default();
    for (tag, value) in [
        (0x9F27, &[0x80][..]),
        (0x9F10, &Cvn::UnionPay01.iad([3, 0xA0, 0, 0])),
        (0x9F37, &[0xAA, 0xBB, 0xCC, 0xDD]),
        (0x9F36, &[0, 1]),
        (0x95, &[0, 0x80, 0, 0x80, 0]),
        (0x9A, &[0x26, 0x11, 0x22]),
        (0x9C, &[0]),
        (0x9F02, &bcd(amount)),
        (0x5F2A, &[1, 0x56]),
        (0x82, &[0x7C, 0]),
        (0x9F1A, &[1, 0x56]),
        (0x9F03, &[0; 6]),
        (0x9F33, &[0xE0, 0xF9, 0xC8]),
    ] {
        tags.put(Tag(tag), value);
    }
    let pan = Pan::new(PAN).unwrap();
    let arqc = issuer::cryptogram(&TEST_IMK, &pan, 1, &tags).unwrap();
    tags.put(Tag(0x9F26), &arqc);
    tags
}

fn bcd(amount: u64) -> Vec<u8> {
    let digits = format!("{amount:012}");
    digits.as_bytes().chunks(2).map(|pair| (pair[0] - b'0') << 4 | (pair[1] - b'0')).collect()
}

/// A moment near the acquirer's clock: only the year of an answer hangs on it.
fn now() -> LocalTime {
    LocalTime { year: 2026, month: 6, day: 15, hour: 12, minute: 0, second: 0 }
}

impl Terminal {
    pub(super) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let identity = Identity {
            profile: posd::domain::profile::Profile::unionpay(),
            terminal_id: TerminalId::new("10000001").unwrap(),
            merchant_id: MerchantId::new("102100058120001").unwrap(),
            tpdu: [0x60, 0, 5, 0, 0],
            header: [0x60, 0x32, 0, 0x32, 0, 0],
        };
        Self { identity, batch: BatchNumber::FIRST, keys: None, stream }
    }

    pub(super) fn signed_on(address: SocketAddr) -> Self {
        let mut terminal = Self::connect(address);
        assert_eq!(terminal.sign_on(), "00");
        terminal
    }

    /// The same terminal on a new connection.
    pub(super) fn reconnect(&mut self, address: SocketAddr) {
        self.stream = Self::connect(address).stream;
    }

    pub(super) fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).unwrap();
    }

    /// What comes after the two length bytes; `None` if the acquirer closed, even in the middle.
    pub(super) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 2];
        self.stream.read_exact(&mut length).ok()?;
        let mut payload = vec![0; usize::from(u16::from_be_bytes(length))];
        self.stream.read_exact(&mut payload).ok()?;
        Some(payload)
    }

    pub(super) fn exchange(&mut self, request: &Request) -> Vec<u8> {
        self.send(&request.frame);
        self.receive().expect("an answer")
    }

    /// Signs on, keeps keys and batch, and gives the response code.
    pub(super) fn sign_on(&mut self) -> String {
        let stan = Stan::new(900_001).unwrap();
        let request = messages::sign_on(&self.identity, stan, self.batch, None).unwrap();
        let payload = self.exchange(&request);
        let answer = read_sign_on(&request, &payload).unwrap();
        if answer.response_code.as_str() == "00" {
            let tmk = MasterKey::from_bytes(TEST_TMK);
            self.keys = WorkingKeys::open(&tmk, &answer.key_block).ok();
            self.batch = answer.batch.unwrap();
        }
        answer.response_code.to_string()
    }

    pub(super) fn sign_off(&mut self) -> String {
        let request = messages::sign_off(&self.identity, Stan::new(900_002).unwrap(), self.batch).unwrap();
        let payload = self.exchange(&request);
        read_management(&request, &payload).unwrap().response_code.to_string()
    }

    pub(super) fn echo(&mut self) -> String {
        let request = messages::echo(&self.identity, self.batch).unwrap();
        let payload = self.exchange(&request);
        read_management(&request, &payload).unwrap().response_code.to_string()
    }

    /// The header's request in the answer to an echo.
    pub(super) fn echo_asks(&mut self) -> u8 {
        let request = messages::echo(&self.identity, self.batch).unwrap();
        let payload = self.exchange(&request);
        read_management(&request, &payload).unwrap().header_request
    }

    pub(super) fn session(&self) -> WorkingKeys {
        // A terminal that never signed on signs with keys that the acquirer does not know.
        let tmk = MasterKey::from_bytes(TEST_TMK);
        let unknown = key_block(&tmk, &[0x11; 16], &ClearMak::Single([0x11; 8]), None);
        self.keys.clone().unwrap_or_else(|| WorkingKeys::open(&tmk, &unknown).unwrap())
    }

    pub(super) fn sale_request(&self, sale: &Sale) -> Request {
        let keys = self.session();
        let pan = Pan::new(PAN).unwrap();
        let pin: Option<PinBlock> = sale.pin.map(|pin| keys.pin_block(&ClearPin::new(pin).unwrap(), &pan));
        let icc = posd::domain::profile::Profile::unionpay().icc.request(&sale.tags).unwrap();
        let fields = RequestFields {
            wire: &self.sale_wire(pin.is_some(), &icc),
            stan: Stan::new(sale.stan).unwrap(),
            batch: self.batch,
            amount: Amount::from_minor(sale.amount).unwrap(),
            currency: Currency::CNY,
            pan: &pan,
            track2: None,
            expiry: Some("3012"),
            sequence: Some(1),
            pin: pin.as_ref(),
            rrn: None,
            auth_code: None,
        };
        messages::request(&self.identity, &fields, &keys).unwrap()
    }

    pub(super) fn wire(&self) -> WireFacts {
        self.sale_wire(true, &[])
    }

    fn sale_wire(&self, with_pin: bool, icc: &[u8]) -> WireFacts {
        messages::wire_facts(&WireSource {
            fallback: false,
            message: rule(Kind::Sale).message,
            identity: &self.identity,
            original: None,
            entry_mode: EntryMode::Chip,
            with_pin,
            partial: false,
            icc,
            reversal_icc: &[],
        })
    }

    pub(super) fn reversal_request(&self, stan: u32, amount: u64, wire: &WireFacts) -> Request {
        let txn = TxnId::parse("0123456789abcdef0123456789abcdef").unwrap();
        let content = Content {
            pan: Pan::new(PAN).unwrap(),
            expiry: Some("3012".to_owned()),
            sequence: Some(1),
            brand: "unionpay".to_owned(),
            wire: wire.clone(),
            acquirer: None,
            rrn: None,
            auth_code: None,
            answered_on: None,
            reason: Some(ReversalReason::NoAnswer),
            icc: Vec::new(),
        };
        let owed = Entry {
            id: EntryId::new(txn, EntryType::Reversal),
            kind: Kind::Sale,
            txn_stan: Some(Stan::new(stan).unwrap()),
            own_stan: None,
            batch: self.batch,
            amount: Amount::from_minor(amount).unwrap(),
            currency: Currency::CNY,
            state: QueueState::Due,
            attempts: 0,
            ask_again: false,
            response_code: None,
            created_at: WallTime::default(),
            changed_at: WallTime::default(),
            last_error: String::new(),
            content: Some(Box::new(content)),
        };
        messages::queued(&self.identity, &owed, &self.session()).unwrap()
    }

    /// Reads an answer as the product does.
    pub(super) fn read(&self, request: &Request, payload: &[u8]) -> Result<FinancialAnswer, AnswerError> {
        read_financial(request, payload, &self.session(), now())
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<FinancialAnswer, AnswerError> {
        let payload = self.exchange(request);
        self.read(request, &payload)
    }

    /// Response code of a sale.
    pub(super) fn sale(&mut self, sale: &Sale) -> String {
        let request = self.sale_request(sale);
        code(&self.ask(&request).unwrap())
    }

    /// Response code of a reversal.
    pub(super) fn reverse(&mut self, stan: u32, amount: u64) -> String {
        let request = self.reversal_request(stan, amount, &self.wire());
        code(&self.ask(&request).unwrap())
    }
}

pub(super) fn code(answer: &FinancialAnswer) -> String {
    answer.host.response_code.as_ref().map(ToString::to_string).unwrap_or_default()
}

//! Every kind of request as the product builds it, judged by the simulated acquirer: two that were written apart from
//! each other, from the same field documents.
use super::terminal::{PAN, Sale, Terminal, code, tags};
use posd::domain::calendar::WallTime;
use posd::domain::emv::tlv::{Tag, TagStore};
use posd::domain::ident::{BatchNumber, OperatorId, Stan, TxnId};
use posd::domain::money::{Amount, Currency};
use posd::domain::outcome::{CardClass, EntryMode, EntryType, Kind, QueueState};
use posd::domain::queue::{Content, Entry};
use posd::domain::record::{EntryId, OriginalRef, ReversalReason, WireFacts};
use posd::domain::rules::rule;
use posd::domain::secret::{ClearPin, Pan};
use posd::domain::unionpay::answers::FinancialAnswer;
use posd::domain::unionpay::matrix::Name;
use posd::domain::unionpay::messages::{self, RequestFields, WireSource};
use posd::domain::unionpay::settlement::{self, Line};
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use posd::sim::host::{Acquirer, Config};
use posd::sim::issuer::{self, TEST_IMK};

/// A kind and what it follows.
struct Wanted<'a> {
    kind: Kind,
    stan: u32,
    amount: u64,
    original: Option<&'a OriginalRef>,
    pin: bool,
    icc: Vec<u8>,
}

impl<'a> Wanted<'a> {
    fn new(kind: Kind, stan: u32, amount: u64, original: Option<&'a OriginalRef>) -> Self {
        Self { kind, stan, amount, original, pin: false, icc: Vec::new() }
    }
}

fn wire(terminal: &Terminal, wanted: &Wanted<'_>, voice: bool) -> WireFacts {
    messages::wire_facts(&WireSource {
        fallback: false,
        message: if voice { Name::VoiceSale } else { rule(wanted.kind).message },
        identity: &terminal.identity,
        original: wanted.original,
        entry_mode: EntryMode::Chip,
        with_pin: wanted.pin,
        partial: false,
        icc: &wanted.icc,
        reversal_icc: &[],
    })
}

fn ask(terminal: &mut Terminal, wanted: &Wanted<'_>) -> FinancialAnswer {
    let keys = terminal.session();
    let pan = Pan::new(PAN).unwrap();
    let pin = wanted.pin.then(|| keys.pin_block(&ClearPin::new(b"123456").unwrap(), &pan));
    let fields = RequestFields {
        wire: &wire(terminal, wanted, false),
        stan: Stan::new(wanted.stan).unwrap(),
        batch: terminal.batch,
        amount: Amount::from_minor(wanted.amount).unwrap(),
        currency: Currency::CNY,
        pan: &pan,
        track2: None,
        expiry: Some("3012"),
        sequence: Some(1),
        pin: pin.as_ref(),
        rrn: wanted.original.and_then(|original| original.rrn.as_ref()),
        auth_code: wanted.original.and_then(|original| original.auth_code.as_ref()),
    };
    let request = messages::request(&terminal.identity, &fields, &keys).unwrap();
    terminal.ask(&request).unwrap()
}

/// What a follow-up says of a transaction that was answered.
fn original(stan: u32, answer: &FinancialAnswer) -> OriginalRef {
    OriginalRef {
        batch: Some(BatchNumber::FIRST),
        stan: Some(Stan::new(stan).unwrap()),
        date: answer.host.host_time.map(|time| time.mmdd()),
        rrn: answer.host.rrn.clone(),
        auth_code: answer.host.auth_code.clone(),
        ..OriginalRef::default()
    }
}

/// The entry of a transaction, with what its answer brought.
fn entry(terminal: &Terminal, wanted: &Wanted<'_>, of: EntryType, answer: Option<&FinancialAnswer>) -> Entry {
    let host = answer.map(|answer| answer.host.clone()).unwrap_or_default();
    let stan = Stan::new(wanted.stan).unwrap();
    let own = (of == EntryType::Script).then(|| Stan::new(wanted.stan + 500).unwrap());
    let told = wanted.original.and_then(|original| original.auth_code.clone());
    Entry {
        id: EntryId::new(TxnId::parse(&"0".repeat(32)).unwrap(), of),
        kind: wanted.kind,
        txn_stan: Some(stan),
        own_stan: own,
        batch: terminal.batch,
        amount: Amount::from_minor(wanted.amount).unwrap(),
        currency: Currency::CNY,
        state: QueueState::Due,
        attempts: 1,
        ask_again: false,
        response_code: None,
        created_at: WallTime::default(),
        changed_at: WallTime::default(),
        last_error: String::new(),
        content: Some(Box::new(Content {
            pan: Pan::new(PAN).unwrap(),
            expiry: Some("3012".to_owned()),
            sequence: Some(1),
            brand: "unionpay".to_owned(),
            wire: wire(terminal, wanted, false),
            acquirer: host.acquirer,
            rrn: host.rrn,
            auth_code: host.auth_code.or(told),
            answered_on: host.host_time.map(|time| time.mmdd()),
            reason: (of == EntryType::Reversal).then_some(ReversalReason::NoAnswer),
            icc: wanted.icc.clone(),
        })),
    }
}

fn deliver(terminal: &mut Terminal, entry: &Entry) -> String {
    let request = messages::queued(&terminal.identity, entry, &terminal.session()).unwrap();
    code(&terminal.ask(&request).unwrap())
}

/// The chip's part of a request whose first two digits of DE 3 are these, signed anew.
fn signed(amount: u64, transaction_type: u8, more: &[(u32, &[u8])]) -> TagStore {
    let mut tags = tags(amount);
    tags.put(Tag(0x9C), &[transaction_type]);
    for (tag, value) in more {
        tags.put(Tag(*tag), value);
    }
    let pan = Pan::new(PAN).unwrap();
    let cryptogram = issuer::cryptogram(&TEST_IMK, &pan, 1, &tags).unwrap();
    tags.put(Tag(0x9F26), &cryptogram);
    tags
}

fn net(acquirer: &Acquirer) -> i64 {
    acquirer.ledger().unwrap().iter().map(|row| row.net()).sum()
}

fn started() -> (Acquirer, Terminal) {
    let acquirer = Acquirer::start(Config::test().unwrap()).unwrap();
    let terminal = Terminal::signed_on(acquirer.address());
    (acquirer, terminal)
}

/// Goal: a sale, its void, the void's reversal and a refund are understood, and the money goes where they say.
#[test]
fn what_follows_a_sale_is_understood() {
    let (acquirer, mut terminal) = started();
    let request = terminal.sale_request(&Sale::new(2, 1000));
    let answer = terminal.ask(&request).unwrap();
    let sale = original(2, &answer);
    let void = Wanted { pin: true, ..Wanted::new(Kind::Void, 3, 1000, Some(&sale)) };
    assert_eq!(code(&ask(&mut terminal, &void)), "00");
    assert_eq!(net(&acquirer), 0);
    let undo = entry(&terminal, &void, EntryType::Reversal, None);
    assert_eq!(deliver(&mut terminal, &undo), "00");
    assert_eq!(net(&acquirer), 1000, "the sale stands again");
    let refund = Wanted::new(Kind::Refund, 4, 400, Some(&sale));
    assert_eq!(code(&ask(&mut terminal, &refund)), "00");
    let more = Wanted::new(Kind::Refund, 5, 601, Some(&sale));
    assert_eq!(code(&ask(&mut terminal, &more)), "64");
    assert_eq!(net(&acquirer), 600);
}

/// Goal: the life of a pre-authorisation is understood: voided, completed, told, undone, each with its reversal.
#[test]
fn what_follows_a_pre_authorisation_is_understood() {
    let (acquirer, mut terminal) = started();
    let pre_auth = |terminal: &mut Terminal, stan| {
        let icc = posd::domain::profile::Profile::unionpay().icc.request(&signed(1000, 0x03, &[])).unwrap();
        let wanted = Wanted { pin: true, icc, ..Wanted::new(Kind::PreAuth, stan, 1000, None) };
        let answer = ask(terminal, &wanted);
        assert_eq!(code(&answer), "00");
        original(stan, &answer)
    };
    let first = pre_auth(&mut terminal, 2);
    let void = Wanted::new(Kind::PreAuthVoid, 3, 1000, Some(&first));
    assert_eq!(code(&ask(&mut terminal, &void)), "00");
    assert_eq!(acquirer.held().unwrap().0, 0);
    let undo = entry(&terminal, &void, EntryType::Reversal, None);
    assert_eq!(deliver(&mut terminal, &undo), "00");
    assert_eq!(acquirer.held().unwrap().0, 1000);

    let complete = Wanted { pin: true, ..Wanted::new(Kind::PreAuthComplete, 4, 900, Some(&first)) };
    let answer = ask(&mut terminal, &complete);
    assert_eq!((code(&answer), net(&acquirer)), ("00".to_owned(), 900));
    let completion = original(4, &answer);
    let back = Wanted::new(Kind::PreAuthCompleteVoid, 5, 900, Some(&completion));
    let answer = ask(&mut terminal, &back);
    assert_eq!((code(&answer), net(&acquirer)), ("00".to_owned(), 0));
    let undo = entry(&terminal, &back, EntryType::Reversal, Some(&answer));
    assert_eq!((deliver(&mut terminal, &undo), net(&acquirer)), ("00".to_owned(), 900));

    let second = pre_auth(&mut terminal, 6);
    let advice = Wanted::new(Kind::PreAuthAdvice, 7, 1100, Some(&second));
    let told = entry(&terminal, &advice, EntryType::Advice, None);
    assert_eq!((deliver(&mut terminal, &told), net(&acquirer)), ("00".to_owned(), 2000));
    assert_eq!((deliver(&mut terminal, &told), net(&acquirer)), ("94".to_owned(), 2000));
}

/// Goal: a sale that the chip approved is uploaded and repeated; a script result is believed; a balance is told.
#[test]
fn what_the_chip_says_is_understood() {
    let (acquirer, mut terminal) = started();
    let tags = signed(700, 0, &[(0x9F27, &[0x40]), (0x8A, b"Y1")]);
    let icc = posd::domain::profile::Profile::unionpay().icc.upload(&tags).unwrap();
    let sale = Wanted { icc, ..Wanted::new(Kind::OfflineSale, 2, 700, None) };
    let upload = entry(&terminal, &sale, EntryType::OfflineSale, None);
    assert_eq!(deliver(&mut terminal, &upload), "00");
    assert_eq!(deliver(&mut terminal, &upload), "94");
    assert_eq!(net(&acquirer), 700);

    let script = vec![0x72, 0x09, 0x86, 0x07, 0x84, 0x24, 0, 0, 2, 0xAA, 0xBB];
    acquirer.rule(Rule::once("0200", Fault::Script(script.clone())).of_type("22")).unwrap();
    let request = terminal.sale_request(&Sale::new(3, 100));
    let answer = terminal.ask(&request).unwrap();
    assert_eq!(answer.scripts, [script]);
    let results = [0xDF, 0x31, 5, 0x20, 0, 0, 0, 1].to_vec();
    let asked = Wanted { pin: true, icc: results, ..Wanted::new(Kind::Sale, 3, 100, None) };
    let result = entry(&terminal, &asked, EntryType::Script, Some(&answer));
    assert_eq!(deliver(&mut terminal, &result), "00");
    assert_eq!(acquirer.ledger().unwrap().last().unwrap().state, Effect::Noted);

    let icc = posd::domain::profile::Profile::unionpay().icc.request(&signed(0, 0x31, &[])).unwrap();
    let balance = Wanted { pin: true, icc, ..Wanted::new(Kind::Balance, 4, 0, None) };
    let answer = ask(&mut terminal, &balance);
    assert_eq!(answer.host.balance.as_deref(), Some("1002156C000009999200"));
}

/// Goal: totals that differ are told, the detail is taken once, and the batch is over after its end.
#[test]
fn a_settlement_is_understood() {
    let (acquirer, mut terminal) = started();
    assert_eq!(terminal.sale(&Sale::new(2, 1000)), "00");
    let operator = OperatorId::new("01").unwrap();
    let batch = terminal.batch;
    let stan = |number| Stan::new(number).unwrap();
    let field48 = |amount: u64| format!("{amount:012}001{:0>15}0{:0>31}", 0, 0);
    let ask = |terminal: &mut Terminal, field48: &str| {
        let identity = &terminal.identity;
        let request =
            settlement::totals(identity, stan(10), batch, field48, Currency::CNY, &operator).unwrap();
        let payload = terminal.exchange(&request);
        format!("{:?}", settlement::read_totals(&request, &payload).unwrap())
    };
    let said = ask(&mut terminal, &field48(1001));
    assert!(said.contains("Disagreed"), "{said}");
    let line = Line {
        card_class: CardClass::Domestic,
        stan: stan(2),
        pan: Pan::new(PAN).unwrap(),
        amount: Amount::from_minor(1000).unwrap(),
    };
    let lines = settlement::group(&terminal.identity, stan(11), batch, &[line]).unwrap();
    for _ in 0..2 {
        let payload = terminal.exchange(&lines);
        assert_eq!(settlement::read_upload(&lines, &payload).unwrap(), None);
    }
    let end = settlement::end(&terminal.identity, stan(12), batch, 1, false).unwrap();
    let payload = terminal.exchange(&end);
    assert_eq!(settlement::read_upload(&end, &payload).unwrap(), None);
    let settled = acquirer.batches().unwrap().remove(0);
    assert_eq!((settled.details.len(), settled.repeated, settled.end), (1, 1, Some((1, false))));
    assert!(settled.trouble.is_empty(), "{:?}", settled.trouble);
    assert_eq!(terminal.sale(&Sale::new(20, 100)), "77", "the batch is over");

    let (acquirer, mut terminal) = started();
    assert_eq!(terminal.sale(&Sale::new(2, 1000)), "00");
    for leave_out in [false, true] {
        acquirer.leave_out_totals_code(leave_out).unwrap();
        let said = ask(&mut terminal, &field48(1000));
        assert!(!said.contains("Disagreed") && said.contains("Agreed"), "{said}");
    }
}

//! The simulated acquirer's judgement and books, seen by a hand-made terminal, and `posd-sim host` as a
//! process.
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use posd::domain::emv::tlv::Tag;
use posd::domain::ident::{MerchantId, TerminalId};
use posd::domain::secret::Pan;
use posd::domain::unionpay::answers::AnswerError;
use posd::sim::host::ledger::Effect;
use posd::sim::host::{Acquirer, Config};
use posd::sim::issuer::{self, TEST_IMK};
use proptest::prelude::{ProptestConfig, any, prop, proptest};

use super::terminal::{PAN, PATIENCE, Sale, Terminal, code, tags};

fn acquirer() -> Acquirer {
    Acquirer::start(Config::test().unwrap()).unwrap()
}

/// State, requests seen, reversals seen of each row.
fn books(acquirer: &Acquirer) -> Vec<(u32, Effect, u32, u32)> {
    let rows = acquirer.ledger().unwrap();
    rows.iter().map(|row| (row.stan, row.state, row.requests_seen, row.reversals_seen)).collect()
}

/// Sign-on, echo, a chip sale with PIN, its reversal, sign-off: what the terminal reads, and what the books
/// say.
#[test]
fn a_whole_session_is_spoken_and_booked() {
    for double_mak in [false, true] {
        let mut config = Config::test().unwrap();
        config.bank.double_mak = double_mak;
        config.bank.batch = Some(42);
        let acquirer = Acquirer::start(config).unwrap();
        let mut terminal = Terminal::signed_on(acquirer.address());
        assert_eq!(terminal.batch.get(), 42, "the batch number of the host is handed out");
        assert_eq!(terminal.echo(), "00");
        let sale = Sale::new(2, 1250);
        let request = terminal.sale_request(&sale);
        let answer = terminal.ask(&request).unwrap();
        assert!(answer.approved && !answer.partial);
        let rrn = answer.host.rrn.clone().expect("an RRN");
        let auth_code = answer.host.auth_code.clone().expect("an authorisation code");
        let pan = Pan::new(PAN).unwrap();
        let proof = issuer::authentication_data(&TEST_IMK, &pan, 1, &sale.tags, *b"00").unwrap();
        assert_eq!(answer.issuer_authentication.as_deref(), Some(proof.as_slice()));
        assert_eq!(acquirer.held().unwrap(), (1250, 1));
        let row = acquirer.ledger().unwrap().remove(0);
        assert_eq!((row.terminal.as_str(), row.batch, row.amount), ("10000001", 42, 1250));
        assert_eq!((row.rrn, row.auth_code), (rrn.to_string(), auth_code.to_string()));
        assert_eq!((row.pan.as_str(), row.response_code.as_str()), ("622588******5678", "00"));
        assert_eq!(terminal.reverse(2, 1250), "00");
        assert_eq!(books(&acquirer), [(2, Effect::Reversed, 1, 1)]);
        assert_eq!(acquirer.held().unwrap(), (0, 0));
        assert_eq!(terminal.sign_off(), "00");
        assert_eq!(terminal.sale(&Sale::new(3, 1250)), "A0", "signed off");
    }
}

/// Each refusal has its code, books nothing and is written down once the MAC was right.
#[test]
fn each_fault_of_a_request_has_its_refusal() {
    let acquirer = acquirer();
    let mut terminal = Terminal::connect(acquirer.address());
    assert_eq!(terminal.sale(&Sale::new(1, 100)), "A0", "not signed on");
    assert_eq!(terminal.sign_on(), "00");
    assert_eq!(terminal.sale(&Sale { pin: Some(b"654321"), ..Sale::new(2, 100) }), "55");
    assert_eq!(terminal.sale(&Sale::new(3, 0)), "13");
    assert_eq!(terminal.sale(&Sale { tags: tags(99), ..Sale::new(4, 100) }), "13", "9F02 is another amount");
    let mut wrong = Sale::new(5, 100);
    wrong.tags.put(Tag(0x9F36), &[0, 2]);
    assert_eq!(terminal.sale(&wrong), "05", "the ARQC is over another ATC");
    let mut unknown = Sale::new(6, 100);
    unknown.tags.put(Tag(0x9F10), &[1, 2, 3]);
    assert_eq!(terminal.sale(&unknown), "A7", "a cryptogram version that the issuer does not know");
    let fives = [2, 3, 4, 5, 6].map(|stan| (stan, Effect::Declined, 1, 0));
    assert_eq!(books(&acquirer), fives);
    assert_eq!(terminal.sale(&Sale { pin: None, ..Sale::new(7, 100) }), "00", "a chip may do without PIN");
    assert_eq!(terminal.sale(&Sale::new(7, 100)), "94");
    assert_eq!(acquirer.held().unwrap(), (100, 1), "a repeated STAN books nothing");
    let mut bent = terminal.sale_request(&Sale::new(8, 100));
    *bent.frame.last_mut().unwrap() ^= 1;
    assert_eq!(code(&terminal.ask(&bent).unwrap()), "A0");
    terminal.identity.merchant_id = MerchantId::new("102100058120002").unwrap();
    assert_eq!(terminal.sale(&Sale::new(9, 100)), "03");
    assert_eq!(terminal.sign_on(), "03");
    terminal.identity.terminal_id = TerminalId::new("10000009").unwrap();
    assert_eq!(terminal.sale(&Sale::new(9, 100)), "97");
    assert_eq!(terminal.echo(), "97");
    assert_eq!(books(&acquirer).len(), 6, "what is not authentic is not written down");
}

/// The rules of reversals, first on a host of the usual kind.
#[test]
fn a_reversal_undoes_once_and_an_unknown_original_is_told() {
    let acquirer = acquirer();
    let mut terminal = Terminal::signed_on(acquirer.address());
    assert_eq!(terminal.reverse(2, 100), "25");
    assert_eq!(terminal.sale(&Sale::new(2, 100)), "12", "it comes after its own reversal");
    assert_eq!(books(&acquirer), [(2, Effect::Declined, 1, 1)]);
    assert_eq!(terminal.reverse(2, 100), "00", "nothing is held");
    assert_eq!(terminal.sale(&Sale::new(3, 100)), "00");
    let other_amount = terminal.reversal_request(3, 99, &terminal.wire());
    assert_eq!(code(&terminal.ask(&other_amount).unwrap()), "64");
    let mut wire = terminal.wire();
    "052".clone_into(&mut wire.entry_mode);
    let other_entry = terminal.reversal_request(3, 100, &wire);
    assert_eq!(code(&terminal.ask(&other_entry).unwrap()), "30");
    assert_eq!(acquirer.held().unwrap(), (100, 1), "a reversal that does not fit undoes nothing");
    assert_eq!(terminal.reverse(3, 100), "00");
    assert_eq!(terminal.reverse(3, 100), "00");
    assert_eq!(books(&acquirer)[1], (3, Effect::Reversed, 1, 2));
}

/// The listed exception: a host that books a request after it answered its reversal with 25.
#[test]
fn a_host_of_the_other_kind_books_late() {
    let mut config = Config::test().unwrap();
    config.bank.books_late = true;
    let acquirer = Acquirer::start(config).unwrap();
    let mut terminal = Terminal::signed_on(acquirer.address());
    assert_eq!(terminal.reverse(2, 100), "25");
    assert_eq!(terminal.sale(&Sale::new(2, 100)), "00");
    assert!(acquirer.ledger().unwrap()[0].booked_late);
    assert_eq!(terminal.reverse(2, 100), "00", "the second asking finds it");
    assert_eq!(acquirer.held().unwrap(), (0, 0));
}

/// The keys are fresh at each sign-on, and what was signed with older ones is refused.
#[test]
fn each_sign_on_brings_new_keys() {
    let acquirer = acquirer();
    let mut terminal = Terminal::signed_on(acquirer.address());
    let old = terminal.sale_request(&Sale::new(2, 100));
    assert_eq!(terminal.sign_on(), "00");
    terminal.send(&old.frame);
    let payload = terminal.receive().unwrap();
    assert_eq!(code(&terminal.read(&old, &payload).unwrap()), "A0");
    acquirer.forget_keys().unwrap();
    assert_eq!(terminal.sale(&Sale::new(2, 100)), "A0");
    assert_eq!(terminal.sign_on(), "00");
    assert_eq!(terminal.sale(&Sale::new(2, 100)), "00", "an unauthentic request does not use its STAN up");
}

/// A line that talks nonsense hurts only itself, whatever it says.
#[test]
fn noise_leaves_the_acquirer_standing() {
    let acquirer = acquirer();
    let address = acquirer.address();
    let mut good = Terminal::signed_on(address);
    proptest!(ProptestConfig::with_cases(64), |(
        payload in prop::collection::vec(any::<u8>(), 0..300),
        framed: bool,
    )| {
        let mut terminal = Terminal::connect(address);
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let prefix: &[u8] = if framed { &length } else { &[] };
        terminal.send(&[prefix, &payload].concat());
        assert_eq!(Terminal::connect(address).echo(), "00");
    });
    let keys = good.keys.clone();
    // A real request with one byte bent is answered, or not, but never believed.
    proptest!(ProptestConfig::with_cases(64), |(at: prop::sample::Index, flip in 1_u8..)| {
        let mut terminal = Terminal::connect(address);
        terminal.keys.clone_from(&keys);
        let mut request = terminal.sale_request(&Sale::new(77, 1234));
        let at = 13 + at.index(request.frame.len() - 13);
        request.frame[at] ^= flip;
        terminal.send(&request.frame);
        assert_eq!(Terminal::connect(address).echo(), "00");
    });
    assert_eq!(good.sale(&Sale::new(78, 100)), "00");
    assert_eq!(acquirer.held().unwrap(), (100, 1));
}

/// An answer read with the wrong keys is not believed: the other direction of the MAC.
#[test]
fn an_answer_under_other_keys_is_not_believed() {
    let acquirer = acquirer();
    let mut terminal = Terminal::signed_on(acquirer.address());
    let request = terminal.sale_request(&Sale::new(2, 100));
    terminal.send(&request.frame);
    let payload = terminal.receive().unwrap();
    terminal.keys = Terminal::signed_on(acquirer.address()).keys;
    assert_eq!(terminal.read(&request, &payload), Err(AnswerError::Mac));
}

pub(super) struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("it still ran");
        self.0.wait().expect("it is ours");
    }
}

pub(super) fn program(arguments: &[&str]) -> (Killed, std::net::SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posd-sim"));
    command.args(["host", "--listen", "127.0.0.1:0"]).args(arguments).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().strip_prefix("listening ").expect(&line).parse().unwrap())
}

/// Killed without warning after its answer, the acquirer still knows its books, and they show no card number.
#[test]
fn the_books_of_a_killed_acquirer_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, control) = (folder.path().join("ledger.json"), folder.path().join("host.sock"));
    let (file, control) = (file.to_str().unwrap(), control.to_str().unwrap());
    let arguments = ["--ledger", file, "--control", control, "--by-amount"];
    let (child, address) = program(&arguments);
    let mut terminal = Terminal::signed_on(address);
    assert_eq!(terminal.sale(&Sale::new(2, 1200)), "00");
    assert_eq!(terminal.sale(&Sale::new(3, 1251)), "51", "by its amount");
    drop(child);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("622588******5678") && !text.contains(PAN), "{text}");
    let (_child, address) = program(&arguments);
    terminal.reconnect(address);
    assert_eq!(terminal.sale(&Sale::new(2, 1200)), "A0", "its keys are gone");
    assert_eq!(terminal.sign_on(), "00");
    assert_eq!(terminal.sale(&Sale::new(2, 1200)), "94");
    assert_eq!(terminal.reverse(2, 1200), "00");
    assert!(std::fs::read_to_string(file).unwrap().contains("\"reversed\""));
}

/// Stopping ends threads and lines, and frees the port.
#[test]
fn a_dropped_acquirer_is_gone() {
    // An address of its own: on 127.0.0.1 another test may be given the freed port at once.
    let mut config = Config::test().unwrap();
    config.listen = std::net::SocketAddr::from(([127, 0, 77, 1], 0));
    let acquirer = Acquirer::start(config).unwrap();
    let address = acquirer.address();
    let mut terminal = Terminal::signed_on(address);
    let remote = posd::sim::host::Remote::clone(&acquirer);
    drop(acquirer);
    assert_eq!(terminal.receive(), None);
    assert!(TcpStream::connect_timeout(&address, PATIENCE).is_err());
    assert!(remote.ledger().is_err());
    let mut config = Config::test().unwrap();
    config.listen = address;
    drop(Acquirer::start(config).unwrap());
}

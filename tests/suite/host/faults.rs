//! Each injected fault does what its name says, to the books and on the line; and the control socket.
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use posd::domain::unionpay::answers::AnswerError;
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use posd::sim::host::{Acquirer, Config};
use serde_json::Value;

use super::terminal::{PATIENCE, Sale, Terminal};

fn started() -> (Acquirer, Terminal) {
    let acquirer = Acquirer::start(Config::test().unwrap()).unwrap();
    let terminal = Terminal::signed_on(acquirer.address());
    (acquirer, terminal)
}

/// Minor units held, when one sale of 100 met this fault and `read` was done with its answer.
fn held_after(
    fault: Fault,
    read: impl FnOnce(&mut Terminal, &posd::domain::unionpay::messages::Request),
) -> i64 {
    let (acquirer, mut terminal) = started();
    acquirer.rule(Rule::once("0200", fault)).unwrap();
    let request = terminal.sale_request(&Sale::new(2, 100));
    terminal.send(&request.frame);
    assert!(acquirer.wait_for("0200", 1, PATIENCE).unwrap());
    read(&mut terminal, &request);
    let (held, count) = acquirer.held().unwrap();
    assert!(count <= 1, "a STAN books at most once");
    held
}

/// The line still works and nothing else was in the way: the next answer is that of an echo.
fn nothing_came(terminal: &mut Terminal) {
    assert_eq!(terminal.echo(), "00");
}

#[test]
fn drop_books_without_an_answer() {
    assert_eq!(held_after(Fault::Drop, |terminal, _| nothing_came(terminal)), 100);
}

#[test]
fn drop_before_neither_books_nor_answers() {
    assert_eq!(held_after(Fault::DropBefore, |terminal, _| nothing_came(terminal)), 0);
}

#[test]
fn close_books_and_hangs_up() {
    assert_eq!(held_after(Fault::Close, |terminal, _| assert_eq!(terminal.receive(), None)), 100);
}

#[test]
fn close_before_hangs_up_without_booking() {
    assert_eq!(held_after(Fault::CloseBefore, |terminal, _| assert_eq!(terminal.receive(), None)), 0);
}

#[test]
fn truncate_books_and_hangs_up_in_the_middle() {
    assert_eq!(held_after(Fault::Truncate, |terminal, _| assert_eq!(terminal.receive(), None)), 100);
}

#[test]
fn bad_mac_and_no_mac_book_and_are_not_believed() {
    for fault in [Fault::BadMac, Fault::NoMac] {
        let held = held_after(fault, |terminal, request| {
            let payload = terminal.receive().unwrap();
            assert_eq!(terminal.read(request, &payload), Err(AnswerError::Mac));
        });
        assert_eq!(held, 100);
    }
}

#[test]
fn wrong_stan_is_a_foreign_answer() {
    let held = held_after(Fault::WrongStan, |terminal, request| {
        let payload = terminal.receive().unwrap();
        assert!(matches!(terminal.read(request, &payload), Err(AnswerError::Foreign { .. })));
    });
    assert_eq!(held, 100);
}

#[test]
fn garbage_is_a_frame_that_cannot_be_read() {
    let held = held_after(Fault::Garbage, |terminal, request| {
        let payload = terminal.receive().unwrap();
        assert!(matches!(terminal.read(request, &payload), Err(AnswerError::Unreadable(_))));
        nothing_came(terminal);
    });
    assert_eq!(held, 100);
}

#[test]
fn duplicate_answers_twice_and_books_once() {
    let held = held_after(Fault::Duplicate, |terminal, request| {
        let first = terminal.receive().unwrap();
        assert!(terminal.read(request, &first).unwrap().approved);
        assert_eq!(terminal.receive().unwrap(), first);
        nothing_came(terminal);
    });
    assert_eq!(held, 100);
}

#[test]
fn split_is_the_same_answer_in_single_bytes() {
    let held = held_after(Fault::Split, |terminal, request| {
        let payload = terminal.receive().unwrap();
        assert!(terminal.read(request, &payload).unwrap().approved);
    });
    assert_eq!(held, 100);
}

#[test]
fn decline_refuses_with_the_wanted_code() {
    let held = held_after(Fault::Decline("51".to_owned()), |terminal, request| {
        let payload = terminal.receive().unwrap();
        let answer = terminal.read(request, &payload).unwrap();
        assert_eq!(answer.host.response_code.unwrap().as_str(), "51");
    });
    assert_eq!(held, 0);
}

/// A late answer does not keep the line from being served meanwhile.
#[test]
fn late_answers_after_the_time_and_out_of_order() {
    let started = Instant::now();
    let held = held_after(Fault::Late(300), |terminal, request| {
        nothing_came(terminal);
        let payload = terminal.receive().unwrap();
        assert!(terminal.read(request, &payload).unwrap().approved);
    });
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(held, 100);
}

/// A reversal overtakes the answer to its sale, which then comes late: without any clock.
#[test]
fn hold_keeps_an_answer_until_it_is_released() {
    let (acquirer, mut terminal) = started();
    acquirer.rule(Rule::once("0200", Fault::Hold)).unwrap();
    let request = terminal.sale_request(&Sale::new(2, 100));
    terminal.send(&request.frame);
    assert_eq!(terminal.reverse(2, 100), "00");
    assert_eq!(acquirer.release().unwrap(), 1);
    let payload = terminal.receive().unwrap();
    assert!(terminal.read(&request, &payload).unwrap().approved, "it was, before its reversal");
    assert_eq!(acquirer.ledger().unwrap()[0].state, Effect::Reversed);
}

#[test]
fn bad_check_value_spoils_a_sign_on() {
    let acquirer = Acquirer::start(Config::test().unwrap()).unwrap();
    acquirer.rule(Rule::once("0800", Fault::BadCheckValue)).unwrap();
    let mut terminal = Terminal::connect(acquirer.address());
    assert_eq!(terminal.sign_on(), "00");
    assert!(terminal.keys.is_none(), "the terminal refuses the keys");
    acquirer.rule(Rule::once("0800", Fault::Decline("96".to_owned()))).unwrap();
    assert_eq!(terminal.sign_on(), "96");
    assert_eq!(terminal.sign_on(), "00");
    assert!(terminal.keys.is_some());
}

/// A dropped reversal is booked; the repeated one finds nothing held.
#[test]
fn faults_fit_reversals_too() {
    let (acquirer, mut terminal) = started();
    assert_eq!(terminal.sale(&Sale::new(2, 100)), "00");
    acquirer.rule(Rule::once("0400", Fault::Drop)).unwrap();
    acquirer.rule(Rule::once("0400", Fault::Decline("96".to_owned()))).unwrap();
    let request = terminal.reversal_request(2, 100, &terminal.wire());
    terminal.send(&request.frame);
    assert!(acquirer.wait_for("0400", 1, PATIENCE).unwrap());
    assert_eq!(acquirer.held().unwrap(), (0, 0));
    assert_eq!(terminal.reverse(2, 100), "96");
    assert_eq!(terminal.reverse(2, 100), "00");
    assert_eq!(acquirer.ledger().unwrap()[0].reversals_seen, 2, "a refused one is not one");
}

#[test]
fn connections_can_be_refused_and_lines_cut() {
    let (acquirer, mut terminal) = started();
    acquirer.refuse_connections().unwrap();
    assert!(TcpStream::connect_timeout(&acquirer.address(), PATIENCE).is_err());
    assert_eq!(terminal.echo(), "00", "an open line stays");
    acquirer.hang_up().unwrap();
    assert_eq!(terminal.receive(), None);
    acquirer.accept_connections().unwrap();
    acquirer.accept_connections().unwrap();
    terminal.reconnect(acquirer.address());
    assert_eq!(terminal.sale(&Sale::new(2, 100)), "00", "the session outlives the line");
}

/// One command a line, one line of JSON back.
struct Tester(BufReader<UnixStream>);

impl Tester {
    fn ask(&mut self, command: &str) -> Value {
        self.0.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

#[test]
fn the_control_socket_steers_and_answers_in_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::test().unwrap();
    config.control = Some(folder.path().join("host.sock"));
    let acquirer = Acquirer::start(config).unwrap();
    let stream = UnixStream::connect(folder.path().join("host.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tester = Tester(BufReader::new(stream));
    assert_eq!(tester.ask("rule 0200 amount=100 drop")["ok"], true);
    assert_eq!(tester.ask("rule sticky 0400 late 1")["ok"], true);
    assert_eq!(tester.ask("rules")["rules"][1], "sticky 0400 late 1");
    assert_eq!(tester.ask("batch 7")["ok"], true);
    let mut terminal = Terminal::signed_on(acquirer.address());
    assert_eq!(terminal.batch.get(), 7);
    assert_eq!(tester.ask("batch echo")["ok"], true);
    let request = terminal.sale_request(&Sale::new(2, 100));
    terminal.send(&request.frame);
    assert_eq!(tester.ask("wait-for 0200 1 20000")["seen"], true);
    assert_eq!(tester.ask("wait-for 0200 2 1")["seen"], false);
    let sum = tester.ask("ledger-sum");
    assert_eq!((&sum["held"], &sum["count"]), (&Value::from(100), &Value::from(1)));
    let ledger = tester.ask("ledger");
    assert_eq!(ledger["ledger"][0]["state"], "held");
    assert_eq!(ledger["ledger"][0]["pan"], "622588******5678");
    let messages = tester.ask("messages");
    let log = messages["messages"].as_array().unwrap();
    assert_eq!(log.len(), 4);
    assert_eq!((&log[2]["mti"], &log[2]["note"]), (&Value::from("0200"), &Value::from("drop")));
    assert_eq!((&log[2]["direction"], &log[2]["fields"]["11"]), (&Value::from("in"), &Value::from("000002")));
    for quiet in ["clear", "no-listen", "listen", "hang-up", "forget-keys"] {
        assert_eq!(tester.ask(quiet)["ok"], true, "{quiet}");
    }
    assert_eq!(tester.ask("release")["released"], 0);
    for wrong in ["", "dance", "batch 0", "rule 0200 fall", "wait-for 0200 x 1", "wait-for 0200 1 999999999"]
    {
        let answer = tester.ask(wrong);
        assert_eq!(answer["ok"], false, "{wrong}");
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
}

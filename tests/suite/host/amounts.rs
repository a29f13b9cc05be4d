//! The table "responses by amount" of the manual, tried row by row on `posd-sim host` as a process.
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use posd::domain::secret::Pan;
use posd::domain::unionpay::answers::AnswerError;
use posd::sim::host::amounts::fault_by_amount;
use posd::sim::issuer::{self, TEST_IMK};
use serde_json::Value;

use super::acquirer::program;
use super::terminal::{PAN, Sale, Terminal};

const MANUAL: &str = include_str!("../../../src/docs/simulator.md");
/// Above every ending of the table.
const BASE: u64 = 100_000;

/// Ending and rule of each row.
fn manual() -> Vec<(&'static str, &'static str)> {
    let rows = MANUAL.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (ending, rule) = (cells.next()?, cells.next()?);
        let digits = ending.bytes().all(|c| c.is_ascii_digit());
        digits.then_some((ending, rule.strip_prefix('`')?.strip_suffix('`')?))
    });
    rows.collect()
}

/// The control socket.
struct Control(BufReader<UnixStream>);

impl Control {
    fn ask(&mut self, command: &str) -> Value {
        self.0.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }

    /// State and booked amount of a number; `None`: the bank has not heard of it.
    fn row(&mut self, stan: u32) -> Option<(String, u64)> {
        let books = self.ask("ledger");
        let rows = books["ledger"].as_array().unwrap();
        let row = rows.iter().find(|row| row["stan"] == stan)?;
        Some((row["state"].as_str().unwrap().to_owned(), row["booked"].as_u64().unwrap()))
    }
}

fn connect(path: &Path) -> Control {
    Control(BufReader::new(UnixStream::connect(path).unwrap()))
}

/// Goal: the manual lists every amount that the simulator treats apart, with the same rule, and no other.
#[test]
fn the_manual_lists_what_the_simulator_does() {
    let rows = manual();
    assert!(rows.len() > 60, "{} rows were read", rows.len());
    for last in 0..10_000_u64 {
        let amount = BASE + last;
        let digits = format!("{last:04}");
        let row = rows.iter().find(|(ending, _)| *ending == digits);
        let row = row.or_else(|| rows.iter().find(|(ending, _)| *ending == &digits[2..]));
        let listed = row.map(|(_, rule)| match *rule {
            "partial" => format!("partial {}", amount / 2),
            rule => rule.to_owned(),
        });
        assert_eq!(fault_by_amount(amount).map(|fault| fault.to_string()), listed, "{digits}");
    }
}

/// Goal: the process does with each amount what its row says, to the terminal and in the books.
#[test]
fn each_row_of_the_manual_happens() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("host.sock");
    let (_child, address) = program(&["--by-amount", "--control", socket.to_str().unwrap()]);
    let (mut control, mut terminal) = (connect(&socket), Terminal::signed_on(address));
    let mut reversals = 0;
    for ((ending, rule), stan) in manual().into_iter().zip(2..) {
        let amount = BASE + ending.parse::<u64>().unwrap();
        let sale = Sale::new(stan, amount);
        let request = terminal.sale_request(&sale);
        let what = format!("{ending} {rule}");
        let held = Some(("held".to_owned(), amount));
        let words: Vec<&str> = rule.split(' ').collect();
        let mut expected = held;
        match words.as_slice() {
            ["decline", code] => {
                let answer = terminal.ask(&request).unwrap();
                assert_eq!(
                    (answer.approved, answer.host.response_code.unwrap().as_str()),
                    (false, *code),
                    "{what}"
                );
                expected = Some(("declined".to_owned(), 0));
            }
            ["partial"] => {
                let answer = terminal.ask(&request).unwrap();
                assert_eq!((answer.partial, answer.amount.unwrap().minor()), (true, amount / 2), "{what}");
                expected = Some(("held".to_owned(), amount / 2));
            }
            ["approve", code] => {
                let answer = terminal.ask(&request).unwrap();
                let (pan, arc) = (Pan::new(PAN).unwrap(), code.as_bytes().try_into().unwrap());
                let proof = issuer::authentication_data(&TEST_IMK, &pan, 1, &sale.tags, arc).unwrap();
                assert_eq!(
                    (answer.approved, answer.host.response_code.unwrap().as_str()),
                    (true, *code),
                    "{what}"
                );
                assert_eq!(answer.issuer_authentication.as_deref(), Some(proof.as_slice()), "{what}");
            }
            ["header", digit] => {
                let answer = terminal.ask(&request).unwrap();
                assert_eq!(
                    (answer.approved, answer.header_request.to_string().as_str()),
                    (true, *digit),
                    "{what}"
                );
            }
            ["late", ms] => {
                let start = std::time::Instant::now();
                assert!(terminal.ask(&request).unwrap().approved, "{what}");
                assert!(start.elapsed().as_millis() >= ms.parse().unwrap(), "{what}");
            }
            ["split"] => assert!(terminal.ask(&request).unwrap().approved, "{what}"),
            ["duplicate"] => {
                let first = terminal.exchange(&request);
                assert_eq!(terminal.receive(), Some(first), "{what}");
            }
            ["bad-mac" | "no-mac"] => assert_eq!(terminal.ask(&request), Err(AnswerError::Mac), "{what}"),
            ["garbage"] => {
                let read = terminal.ask(&request);
                assert!(matches!(read, Err(AnswerError::Unreadable(_))), "{what}: {read:?}");
            }
            ["wrong-stan"] => {
                let read = terminal.ask(&request);
                assert!(matches!(read, Err(AnswerError::Foreign { .. })), "{what}: {read:?}");
            }
            ["drop" | "drop-before"] => {
                // What is answered next on the line is the next question.
                terminal.send(&request.frame);
                assert_eq!(terminal.echo(), "00", "{what}");
            }
            ["close" | "close-before" | "half-close" | "truncate"] => {
                terminal.send(&request.frame);
                assert_eq!(terminal.receive(), None, "{what}");
                if rule == "half-close" {
                    let undo = terminal.reversal_request(stan, amount, &terminal.wire());
                    terminal.send(&undo.frame);
                    reversals += 1;
                    control.ask(&format!("wait-for 0400 {reversals} 20000"));
                    expected = Some(("reversed".to_owned(), amount));
                }
                terminal.reconnect(address);
            }
            _ => panic!("{what}: what shall happen?"),
        }
        if matches!(rule, "drop-before" | "close-before") {
            expected = None;
        }
        assert_eq!(control.row(stan), expected, "{what}");
    }
}

/// Goal: a rule puts another batch and a request of the header into any answer, the sign-on's too.
#[test]
fn a_sign_on_may_bring_another_batch_and_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("host.sock");
    let (_child, address) = program(&["--control", socket.to_str().unwrap()]);
    let mut control = connect(&socket);
    control.ask("batch 42");
    control.ask("rule 0820 header 4");
    let mut terminal = Terminal::signed_on(address);
    assert_eq!(terminal.batch.get(), 42);
    assert_eq!(terminal.echo_asks(), 4);
    assert_eq!(terminal.echo_asks(), 0, "once");
    control.ask("batch echo");
    assert_eq!(terminal.sign_on(), "00");
    assert_eq!(terminal.batch.get(), 42);
}

//! The control socket: one request a line, answered by lines of which the last begins with `ok`, `timeout` or `error`.
use super::mechanism::{Message, Order};
use super::{Fault, Report, fault_names, spawn, wait_briefly};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Bytes that one client may send.
const REQUESTS_MAX: u64 = 64 * 1024;

/// Opens the socket; a stale one of an earlier run is replaced.
pub(super) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).ok();
    }
    UnixListener::bind(path)
}

/// Serves clients until the socket is shut down.
pub(super) fn serve(listener: &UnixListener, orders: &SyncSender<Message>) {
    for client in listener.incoming() {
        let Ok(client) = client else { return };
        let orders = orders.clone();
        if spawn("sim-printer-cmd", move || talk(&client, &orders)).is_err() {
            return;
        }
    }
}

fn talk(client: &UnixStream, orders: &SyncSender<Message>) {
    let Ok(mut answers) = client.try_clone() else { return };
    for request in BufReader::new(client.take(REQUESTS_MAX)).lines() {
        let Ok(request) = request else { return };
        if answers.write_all(answer(request.trim(), orders).as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(request: &str, orders: &SyncSender<Message>) -> String {
    let words: Vec<&str> = request.split_whitespace().collect();
    match words.as_slice() {
        ["help"] => format!(
            "faults, after so many bytes if said: [after BYTES] {}\n\
             questions: receipts, errors, text NUMBER, wait-for COUNT TIMEOUT_MS\nok\n",
            fault_names()
        ),
        ["receipts"] => {
            let report = report(orders);
            let numbers = report.receipts.iter().map(|receipt| format!("receipt-{}\n", receipt.number));
            format!("{}ok {}\n", numbers.collect::<String>(), report.receipts.len())
        }
        ["errors"] => {
            let errors = report(orders).errors;
            format!("{}ok {}\n", errors.iter().map(|e| format!("{e}\n")).collect::<String>(), errors.len())
        }
        ["text", number] => {
            let found =
                report(orders).receipts.into_iter().find(|receipt| receipt.number.to_string() == *number);
            found.map_or_else(
                || "error: no such receipt\n".to_owned(),
                |receipt| format!("{}ok\n", receipt.text),
            )
        }
        ["wait-for", count, timeout_ms] => match (count.parse(), timeout_ms.parse()) {
            (Ok(count), Ok(timeout_ms)) => wait_for(count, Duration::from_millis(timeout_ms), orders),
            _ => "error: wait-for COUNT TIMEOUT_MS\n".to_owned(),
        },
        ["after", bytes, fault] => match bytes.parse() {
            Ok(after) => set(fault, after, orders),
            Err(_) => format!("error: {bytes} is not a number of bytes\n"),
        },
        _ => set(request, 0, orders),
    }
}

fn set(fault: &str, after: usize, orders: &SyncSender<Message>) -> String {
    match fault.parse::<Fault>() {
        Ok(fault) => {
            let (done, wait) = sync_channel(1);
            orders.send(Message::Order(Order::Set { fault, after, done })).ok();
            wait_briefly(&wait, ());
            "ok\n".to_owned()
        }
        Err(why) => format!("error: {why}\n"),
    }
}

fn report(orders: &SyncSender<Message>) -> Report {
    let (answer, wait) = sync_channel(1);
    orders.send(Message::Order(Order::Report(answer))).ok();
    wait_briefly(&wait, Report::default())
}

fn wait_for(count: usize, time: Duration, orders: &SyncSender<Message>) -> String {
    let (answer, wait) = sync_channel(1);
    let time = time.min(Duration::from_secs(3600));
    let until = Instant::now() + time;
    orders.send(Message::Order(Order::WaitFor { count, until, answer })).ok();
    let there = wait.recv_timeout(time + Duration::from_secs(1)).unwrap_or(false);
    if there { format!("ok {count}\n") } else { "timeout\n".to_owned() }
}

//! Answers that are not what they seem: without a MAC, of a stranger, of a request that was doubled, with the wrong
//! addresses; and the connection on which they come.
use crate::support::{Options, Till, Way, audit_trail, between, with_till};
use posd::api::proxy::ROOT_PATH;
use posd::domain::iso8583::{De, Message, pack, unpack};
use posd::domain::unionpay::dialect::DIALECT;
use posd::sim::host::ledger::Effect;
use posd::sim::host::rules::{Fault, Rule};
use rustix::net::{getpeername, sockopt};
use std::collections::HashMap;
use std::net::SocketAddr;
use zbus::zvariant::OwnedObjectPath;

/// Bytes of TPDU and header before the message type.
const BEFORE_MTI: usize = 11;

/// A bank on the same machine answers at once, so one second is patience enough.
fn impatient() -> Options {
    Options { response_timeout_s: 1, ..Options::default() }
}

/// What is not signed is not believed.
fn doubting() -> Options {
    Options { profile: "[business]\nunsigned-refusals = \"reverse\"\n", ..impatient() }
}

/// From now on the daemon speaks through a box that meddles.
async fn put_between(till: &mut Till, meddle: impl FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) {
    till.stop_daemon().await;
    let bank = till.acquirer.address();
    let own = between(bank, meddle).await;
    till.configure(&bank.to_string(), &own.to_string());
    till.start_daemon().await;
}

/// Message type of a frame, packed.
fn mti(frame: &[u8]) -> &[u8] {
    &frame[BEFORE_MTI..BEFORE_MTI + 2]
}

/// A frame with another message.
fn changed(frame: &[u8], change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = unpack(&DIALECT, &frame[BEFORE_MTI..]).unwrap();
    change(&mut message);
    [&frame[..BEFORE_MTI], &pack(&DIALECT, &message).unwrap()].concat()
}

/// The next sale, off the counter; how it ended.
async fn sale(till: &mut Till, request_id: &str, amount: i64) -> (OwnedObjectPath, String) {
    till.put_card("unionpay");
    let sale = till.sale(request_id, amount).await;
    let outcome = till.finished(&sale).await.outcome;
    till.take_card().await;
    (sale, outcome)
}

/// Goal: where the profile doubts what is not signed, a 25 without MAC ends no reversal: it is asked again, and undoes.
#[test]
fn an_unsigned_25_ends_no_reversal() {
    with_till(doubting(), async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::Drop)).unwrap();
        till.acquirer.rule(Rule::once("0400", Fault::DeclineUnsigned("25".to_owned()))).unwrap();
        let (lost, outcome) = sale(till, "s-1", 700).await;
        assert_eq!(outcome, "unknown");
        till.nothing_owed().await;
        till.until_is(lost.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.asked(&["0400"]).len(), 2);
        assert_eq!(till.booked(), [Effect::Reversed], "believed, the customer would have paid");
    });
}

/// Goal: … and a 94 without MAC ends no upload.
#[test]
fn an_unsigned_94_ends_no_upload() {
    with_till(doubting(), async |till| {
        let mut forged = false;
        let meddle = move |way: Way, frame: Vec<u8>| match (way, mti(&frame)) {
            (Way::Back, [0x02, 0x10]) if !forged => {
                forged = true;
                vec![changed(&frame, |answer| answer.set(De::RESPONSE_CODE, "94").remove(De::MAC))]
            }
            _ => vec![frame],
        };
        put_between(till, meddle).await;
        till.open().await;
        till.acquirer.refuse_connections().unwrap();
        till.acquirer.hang_up().unwrap();
        till.put_card("approves-offline");
        let stored = till.try_start("offline-sale", "s-1", 500, HashMap::new()).await.unwrap();
        assert_eq!(till.finished(&stored).await.outcome, "stored-offline");
        till.take_card().await;
        till.acquirer.accept_connections().unwrap();
        till.until::<u32>(ROOT_PATH, "Queue.Depth", |depth| *depth == 0).await;
        assert_eq!(till.asked(&["0200"]).len(), 2);
        assert_eq!(till.acquirer.held().unwrap(), (500, 1), "and booked once");
    });
}

/// Goal: a request that was doubled on the way and whose first answer was spoiled is answered with 94, and that is no
/// refusal: the outcome is unknown, and the booking is undone.
#[test]
fn a_94_after_a_stray_is_no_refusal() {
    with_till(impatient(), async |till| {
        let (mut doubled, mut spoiled) = (false, false);
        let meddle = move |way: Way, frame: Vec<u8>| match (way, mti(&frame)) {
            (Way::There, [0x02, 0x00]) if !doubled => {
                doubled = true;
                vec![frame.clone(), frame]
            }
            (Way::Back, [0x02, 0x10]) if !spoiled => {
                spoiled = true;
                vec![changed(&frame, |answer| _ = answer.set(De::STAN, "888888"))]
            }
            _ => vec![frame],
        };
        put_between(till, meddle).await;
        till.open().await;
        let (doubled, outcome) = sale(till, "s-1", 700).await;
        assert_eq!(outcome, "unknown");
        assert!(till.log().contains("the request was doubled on the way"), "{}", till.log());
        till.nothing_owed().await;
        till.until_is(doubled.as_str(), "Transaction.Outcome", "reversed").await;
        assert_eq!(till.booked(), [Effect::Reversed]);
        assert_eq!(sale(till, "s-2", 300).await.1, "approved", "the next one goes as ever");
    });
}

/// Goal: an answer that belongs to no transaction is not believed, and stands in the audit trail.
#[test]
fn a_stray_stands_in_the_audit_trail() {
    with_till(impatient(), async |till| {
        till.open().await;
        till.acquirer.rule(Rule::once("0200", Fault::WrongStan)).unwrap();
        let (lost, outcome) = sale(till, "s-1", 700).await;
        assert_eq!(outcome, "unknown");
        till.until_is(lost.as_str(), "Transaction.Outcome", "reversed").await;
        let own: u32 = till.get(lost.as_str(), "Transaction.Trace").await;
        let line = format!("-- a 0210 with STAN {:06} answered nothing; dropped", own + 1);
        till.stop_daemon().await;
        let trail = audit_trail(till);
        assert_eq!(trail.iter().filter(|told| **told == line).count(), 1, "{trail:?}");
    });
}

/// Goal: answers whose TPDU is not that of the request with the addresses swapped count, and are warned of.
#[test]
fn wrong_addresses_are_warned_of() {
    with_till(impatient(), async |till| {
        const WARNING: &str = "the TPDU of an answer is not that of its request";
        till.open().await;
        assert_eq!(sale(till, "s-1", 700).await.1, "approved");
        assert!(!till.log().contains(WARNING), "{}", till.log());
        let meddle = |way: Way, mut frame: Vec<u8>| {
            if way == Way::Back {
                frame[2] ^= 0x01;
            }
            vec![frame]
        };
        put_between(till, meddle).await;
        till.open_again().await;
        assert_eq!(sale(till, "s-2", 300).await.1, "approved");
        assert!(till.log().contains(WARNING), "{}", till.log());
    });
}

/// Goal: the kernel ends a connection whose peer acknowledges nothing, and asks an idle one whether it lives.
#[test]
fn a_dead_peer_is_noticed() {
    let options = Options { host_keys: "connection = \"long\"\n".to_owned(), ..Options::default() };
    with_till(options, async |till| {
        till.open().await;
        assert_eq!(sale(till, "s-1", 700).await.1, "approved");
        let bank = till.acquirer.address();
        let peer = |socket: &_| {
            getpeername(socket).ok().flatten().and_then(|address| SocketAddr::try_from(address).ok())
        };
        let sockets = till.daemon_sockets();
        let lines: Vec<_> = sockets.iter().filter(|socket| peer(socket) == Some(bank)).collect();
        assert_eq!(lines.len(), 1, "one line to the bank");
        assert!((1..=60_000).contains(&sockopt::tcp_user_timeout(lines[0]).unwrap()));
        assert!(sockopt::socket_keepalive(lines[0]).unwrap());
        assert!(sockopt::tcp_nodelay(lines[0]).unwrap());
    });
}

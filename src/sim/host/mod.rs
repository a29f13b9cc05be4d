//! Simulated acquirer on TCP: speaks the UnionPay dialect, checks MAC, PIN and ARQC, keeps a ledger,
//! injects faults.
//!
//! Threads and blocking sockets, so that it shares nothing with the daemon under test: `sim-gate` accepts,
//! each line has a reader and a writer, and `sim-desk` owns all state (`desk.rs`) and lets the bank
//! judge (`bank/`). TLS is taken off at the door (`tls.rs`).
//! What it does not do: code sales.
pub mod amounts;
mod bank;
pub mod batches;
pub mod business;
mod control;
mod desk;
mod gate;
pub mod ledger;
mod line;
pub mod log;
mod program;
pub mod rules;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::domain::ident::{MerchantId, TerminalId};
use crate::domain::profile::Profile;
use crate::domain::secret::{ClearPin, MasterKeyMaterial, Pan};
use crate::sim::issuer::TEST_IMK;

use bank::Bank;
pub use bank::BankSettings;
use bank::tables::{Tables, hex};
use batches::Batch;
use desk::{Ask, Desk};
use gate::{Gate, Visitor};
use ledger::{Ledger, Row};
use log::Spoken;
pub use program::{Args, run};
use rules::Rule;
use tls::Porter;
pub use tls::TlsFiles;

/// Messages and orders that may wait for the desk; senders wait when it is full.
const ASKS_MAX: usize = 256;
/// Testers that may be connected at once.
const TESTERS_MAX: usize = 16;
/// How long the desk may take for an order: it writes its ledger to disk between two of them.
const PATIENCE: Duration = Duration::from_secs(30);
/// The master key of test terminals. The usual public test value.
pub const TEST_TMK: [u8; 16] =
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF, 0xFE, 0xDC, 0xBA, 0x98, 0x76, 0x54, 0x32, 0x10];

/// How an acquirer is set up. The default takes any free port on loopback and one terminal.
#[derive(Clone)]
pub struct Config {
    /// Where terminals connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Terminals speak TLS; plain TCP without it.
    pub tls: Option<TlsFiles>,
    /// Path of the control socket; none without one.
    pub control: Option<PathBuf>,
    /// The ledger's file; none keeps it in memory only.
    pub ledger: Option<PathBuf>,
    /// Amounts choose the response, see [`amounts::fault_by_amount`].
    pub by_amount: bool,
    /// Keys, terminals and manners.
    pub bank: BankSettings,
}

impl Config {
    /// The set-up of tests: terminal 10000001 of merchant 102100058120001, the public test keys, PIN 123456.
    ///
    /// # Errors
    /// Cannot happen: the constants have the right form.
    pub fn test() -> io::Result<Self> {
        let terminal = TerminalId::new("10000001").map_err(io::Error::other)?;
        let merchant = MerchantId::new("102100058120001").map_err(io::Error::other)?;
        Ok(Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            control: None,
            ledger: None,
            by_amount: false,
            bank: BankSettings {
                profile: Profile::unionpay(),
                tmk: MasterKeyMaterial::new(TEST_TMK),
                imk: TEST_IMK,
                terminals: vec![(terminal, merchant)],
                pins: Vec::new(),
                default_pin: ClearPin::new(b"123456").map_err(io::Error::other)?,
                new_tmk: None,
                double_mak: false,
                without_tdk: false,
                session_keys: None,
                batch: None,
                books_late: false,
                foreign: Vec::new(),
                totals_without_code: false,
            },
        })
    }
}

/// A running acquirer. Dropping it closes all lines and ends its threads.
pub struct Acquirer {
    remote: Remote,
    threads: Vec<JoinHandle<()>>,
}

impl Acquirer {
    /// Binds and starts. Terminals can connect when it returns.
    ///
    /// # Errors
    /// A socket cannot be bound, a thread not be started, or the ledger's file not be read.
    pub fn start(config: Config) -> io::Result<Self> {
        let (asks, asked) = sync_channel(ASKS_MAX);
        let bank = Bank::new(config.bank, Ledger::open(config.ledger)?);
        let desk = Desk::new(bank, config.by_amount, asks.clone());
        let testers = Arc::new(());
        let to_desk = asks.clone();
        let porter = config.tls.as_ref().map(Porter::new).transpose()?;
        let welcome = move |gate: &Gate, visitor| match visitor {
            Visitor::Terminal(stream) => {
                let to_desk = to_desk.clone();
                let enter = move |stream| drop(to_desk.send(Ask::Terminal(stream))); // else it has ended
                match &porter {
                    None => enter(stream),
                    Some(porter) => drop(porter.admit(stream, enter)), // no thread: the terminal sees a close
                }
            }
            Visitor::Tester(stream) => {
                let place = Arc::clone(&testers);
                if Arc::strong_count(&place) > TESTERS_MAX {
                    return; // dropped: the tester sees a closed socket
                }
                let remote = Remote { asks: to_desk.clone(), gate: gate.clone() };
                let serve = move || {
                    drop(control::serve(&remote, &stream)); // a tester that breaks off harms only itself
                    drop(place);
                };
                drop(thread::Builder::new().name("sim-control".to_owned()).spawn(serve));
            }
        };
        let (gate, gate_thread) = Gate::open(config.listen, config.control.as_deref(), welcome)?;
        let desk_thread =
            thread::Builder::new().name("sim-desk".to_owned()).spawn(move || desk.run(&asked))?;
        Ok(Self { remote: Remote { asks, gate }, threads: vec![gate_thread, desk_thread] })
    }

    /// Waits for ever, or until the acquirer breaks.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            drop(thread.join()); // a panic has already been told on standard error
        }
    }
}

impl Deref for Acquirer {
    type Target = Remote;

    fn deref(&self) -> &Remote {
        &self.remote
    }
}

impl Drop for Acquirer {
    fn drop(&mut self) {
        self.remote.gate.stop();
        drop(self.remote.asks.send(Ask::Stop)); // fails only where the desk has ended
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Steers a running acquirer from any thread. Every order is done when its method returns; all of them fail
/// only when the acquirer has ended.
#[derive(Clone)]
pub struct Remote {
    asks: SyncSender<Ask>,
    gate: Gate,
}

impl Remote {
    /// Where terminals connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Sets a rule behind the others.
    ///
    /// # Errors
    /// 256 rules wait already, or the acquirer has ended.
    pub fn rule(&self, rule: Rule) -> io::Result<()> {
        let added = self.order(move |desk| desk.rules.add(rule))?;
        if added { Ok(()) } else { Err(io::Error::other("too many rules wait")) }
    }

    /// The rules that wait, in the words of the control socket.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn rules(&self) -> io::Result<Vec<String>> {
        self.order(|desk| desk.rules.words())
    }

    /// Forgets all rules.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn clear_rules(&self) -> io::Result<()> {
        self.order(|desk| desk.rules.clear())
    }

    /// Sends the answers that `hold` kept, and tells how many.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn release(&self) -> io::Result<usize> {
        self.order(Desk::release)
    }

    /// The books, ordered by terminal, batch and STAN.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn ledger(&self) -> io::Result<Vec<Row>> {
        self.order(|desk| desk.bank.ledger.rows())
    }

    /// What was settled of each batch.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn batches(&self) -> io::Result<Vec<Batch>> {
        self.order(|desk| desk.bank.ledger.batches())
    }

    /// Minor units that cardholders are without, taken or set aside, and in how many rows.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn held(&self) -> io::Result<(i64, usize)> {
        self.order(|desk| desk.bank.ledger.held())
    }

    /// Begins new books; keys and rules stay.
    ///
    /// # Errors
    /// The file cannot be written, or the acquirer has ended.
    pub fn clear_ledger(&self) -> io::Result<()> {
        self.order(|desk| desk.bank.ledger.clear())?
    }

    /// What was said, oldest first, at most the last thousand messages.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn messages(&self) -> io::Result<Vec<Spoken>> {
        self.order(|desk| desk.messages())
    }

    /// Requests by MTI that have been dealt with since the start, whatever became of them.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn seen(&self) -> io::Result<BTreeMap<String, u32>> {
        self.order(|desk| desk.seen())
    }

    /// How long terminals have waited for answers since the start, in all.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn kept_waiting(&self) -> io::Result<Duration> {
        self.order(|desk| desk.kept_waiting())
    }

    /// Waits until `count` requests of an MTI have been dealt with since the start: judged, booked, and
    /// answered unless a fault was in the way. False at the time-out.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn wait_for(&self, mti: &str, count: u32, timeout: Duration) -> io::Result<bool> {
        let (done, seen) = sync_channel(1);
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now);
        let mti = mti.to_owned();
        self.order(move |desk| desk.wait_for(&mti, count, deadline, done))?;
        Ok(seen.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok())
    }

    /// Refuses new connections; lines that are open stay.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn refuse_connections(&self) -> io::Result<()> {
        self.gate.refuse()
    }

    /// Accepts connections again, on the same port.
    ///
    /// # Errors
    /// The port was taken meanwhile, or the acquirer has ended.
    pub fn accept_connections(&self) -> io::Result<()> {
        self.gate.accept()
    }

    /// Closes every line.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn hang_up(&self) -> io::Result<()> {
        self.order(Desk::hang_up)
    }

    /// Forgets all working keys: the next financial message is refused with A0 until a sign-on.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn forget_keys(&self) -> io::Result<()> {
        self.order(|desk| desk.bank.forget_keys())
    }

    /// Hands out this batch number at each sign-on; `None` echoes the terminal's.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn hand_out_batch(&self, batch: Option<u32>) -> io::Result<()> {
        self.order(move |desk| desk.bank.settings.batch = batch)
    }

    /// Books requests that come after their reversal, or refuses them with 12.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn book_late(&self, books_late: bool) -> io::Result<()> {
        self.order(move |desk| desk.bank.settings.books_late = books_late)
    }

    /// Changes what is downloaded: `capk`, `aid` (whole records in hexadecimal), `parameters`, `contactless` (one text
    /// in hexadecimal), `blacklist` (card numbers), `page` (entries on a page), `lacking` (names of records that are
    /// listed and not given).
    ///
    /// # Errors
    /// Another word, or values of a wrong form; the acquirer has ended.
    pub fn set_table(&self, table: &str, values: &[&str]) -> io::Result<()> {
        let wrong =
            || io::Error::new(io::ErrorKind::InvalidInput, "no such table, or a value of a wrong form");
        let bytes = values.iter().map(|value| hex(value)).collect::<Option<Vec<_>>>();
        let texts = values.iter().map(|value| (*value).to_owned()).collect();
        let page = values.first().and_then(|value| value.parse().ok()).filter(|page| *page > 0);
        let one = || bytes.as_ref().map(|all| all.concat());
        let change: Box<dyn FnOnce(&mut Tables) + Send> = match table {
            "blacklist" => Box::new(move |tables| tables.blacklist = texts),
            "page" => {
                let page: usize = page.ok_or_else(wrong)?;
                Box::new(move |tables| tables.page = page)
            }
            "parameters" | "contactless" => {
                let (bytes, parameters) = (one().ok_or_else(wrong)?, table == "parameters");
                Box::new(move |tables| match parameters {
                    true => tables.parameters = bytes,
                    false => tables.contactless = bytes,
                })
            }
            "capk" | "aid" | "lacking" => {
                let (bytes, table) = (bytes.ok_or_else(wrong)?, table.to_owned());
                Box::new(move |tables| match table.as_str() {
                    "capk" => tables.capk = bytes,
                    "aid" => tables.aid = bytes,
                    _ => tables.lacking = bytes,
                })
            }
            _ => return Err(wrong()),
        };
        self.order(move |desk| change(&mut desk.bank.tables))
    }

    /// What was asked for downloads, oldest first: `capk list 00`, `aid record A000000333010101`, `blacklist page 001`,
    /// `capk end`, `state …`.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn download_questions(&self) -> io::Result<Vec<String>> {
        self.order(|desk| desk.bank.tables.asked())
    }

    /// Settles these cards as foreign ones.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn foreign(&self, cards: Vec<Pan>) -> io::Result<()> {
        self.order(move |desk| desk.bank.settings.foreign = cards)
    }

    /// Answers an agreeing 0500 without DE 39, or with it.
    ///
    /// # Errors
    /// The acquirer has ended.
    pub fn leave_out_totals_code(&self, leave_out: bool) -> io::Result<()> {
        self.order(move |desk| desk.bank.settings.totals_without_code = leave_out)
    }

    fn order<T: Send + 'static>(&self, order: impl FnOnce(&mut Desk) -> T + Send + 'static) -> io::Result<T> {
        let ended = || io::Error::other("the acquirer has ended");
        let (done, answer) = sync_channel(1);
        let ask = Ask::Do(Box::new(move |desk| {
            drop(done.send(order(desk))); // nobody waits any more
        }));
        self.asks.send(ask).map_err(|_| ended())?;
        answer.recv_timeout(PATIENCE).map_err(|_| ended())
    }
}
